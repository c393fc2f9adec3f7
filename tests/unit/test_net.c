/* Inference on weights of every storage type: against the training pass, int8 against f32 on the shipped model,
 * the same bits alone, together and with more threads; and int8 files that must be refused. */
#include "harness/golden.h"

#include <fcntl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/room.h"
#include "harness/tmpdir.h"
#include "lcm/quantize.h"
#include "modelfile/model_meta.h"
#include "sonar/codec.h"

#define STORIES TEST_DATA "/../../models/stories/sonar.safetensors"

static const char *const sentences[] = {
    "The lamp in the kitchen was still warm.", "Nobody had asked the old gardener.", "Two boats came home before noon.",
    "She smiled and closed the book.", "Once upon a time, there was a little girl named Lily.",
    "Tom and his mom went to the park.", "\"Can I play with you?\" asked the bird.", "It was a sunny day.",
    "The dog ran after the red ball.", "He was very sad because he lost his toy.", "They all laughed and hugged.",
    "The wind blew the leaves all over the yard.", "One day, a small fish found a shiny stone.",
    "\"Thank you,\" said the cat, and went to sleep.", "They lived happily ever after.", "Yes."};
enum { N = sizeof sentences / sizeof *sentences };

typedef struct fixture {
    lcm_ctx *ctx;
    char *dir;
    char int8[256], half[256];
    lcm_sonar_file f32, i8;
    lcm_codec *codec32, *codec8;
} fixture;

#define ok(f, call) assert_ok((f)->ctx, call)

static void export_as(fixture *f, char path[256], const char *name, int dtype) {
    lcm_export_opts o = {.dtype = dtype};
    strncpy(path, tmpdir_path(f->dir, name), 255);
    ok(f, lcm_export(f->ctx, STORIES, path, &o));
}

static int setup(void **state) {
    static fixture f;
    char plain[256] = "";
    f.ctx = lcm_ctx_new();
    f.dir = tmpdir_new();
    export_as(&f, f.int8, "int8.safetensors", LCM_EXPORT_INT8);
    export_as(&f, f.half, "bf16.safetensors", LCM_EXPORT_BF16);
    export_as(&f, plain, "f32.safetensors", LCM_EXPORT_F32);
    ok(&f, lcm_sonar_load(f.ctx, &f.f32, plain, LCM_SONAR_BOTH));
    ok(&f, lcm_sonar_load(f.ctx, &f.i8, f.int8, LCM_SONAR_BOTH));
    ok(&f, lcm_codec_new(f.ctx, &f.codec32, &f.f32));
    ok(&f, lcm_codec_new(f.ctx, &f.codec8, &f.i8));
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_codec_free(f->codec32);
    lcm_codec_free(f->codec8);
    lcm_sonar_file_close(&f->f32);
    lcm_sonar_file_close(&f->i8);
    tmpdir_free(f->dir);
    lcm_ctx_free(f->ctx);
    return 0;
}

static real *encode(fixture *f, lcm_codec *c, size_t first, size_t n) {
    size_t len[N];
    real *x = malloc(n * (size_t)lcm_codec_dim(c) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) len[i] = strlen(sentences[first + i]);
    ok(f, lcm_codec_encode(f->ctx, x, NULL, c, sentences + first, len, n, -1));
    return x;
}

static double cosine(const real *a, const real *b, int64_t n) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* The tape's forward pass, on which training and the golden files rest, gives the same states. */
static void inference_is_the_training_pass(void **state) {
    fixture *f = *state;
    lcm_sonar_file trained;
    lcm_sonar_net *net;
    lcm_sonar_encoder *enc;
    lcm_sonar_packer p;
    lcm_tape *tape;
    lcm_tensor *want;
    lcm_arena *arena = lcm_arena_new(1 << 16);
    int32_t ids[40];
    real *got;
    ok(f, lcm_sonar_load_model(f->ctx, &trained, STORIES, LCM_SONAR_BOTH, false));
    ok(f, lcm_sonar_net_view(f->ctx, &net, trained.model));
    ok(f, lcm_sonar_encoder_new(f->ctx, &enc, net));
    ok(f, lcm_sonar_packer_begin(f->ctx, &p, arena, 39, 39 * 20));
    for (int32_t n = 1; n < 40; n++) { /* every remainder of the tiles of attention */
        for (int32_t i = 0; i < n; i++) ids[i] = 4 + (n * 37 + i * 101) % 4000;
        lcm_sonar_packer_push(&p, ids, 0, (lcm_pieces){ids, n}, ids, 0);
    }
    got = malloc((size_t)(p.b.n * 256) * sizeof *got);
    assert_non_null(got);
    ok(f, lcm_sonar_encoder_run(f->ctx, got, enc, &p.b, LCM_POOL_MEAN));
    tape = lcm_tape_new(f->ctx, 1 << 20);
    want = lcm_sonar_encode_fwd(tape, trained.model, &p.b);
    assert_non_null(want);
    for (int64_t i = 0; i < p.b.n; i++) {
        double distance = 0, size = 0;
        for (int64_t k = 0; k < 256; k++) {
            double d = (double)got[i * 256 + k] - (double)want->x[i * 256 + k];
            distance += d * d;
            size += (double)want->x[i * 256 + k] * (double)want->x[i * 256 + k];
        }
        assert_true(distance <= 1e-10 * size); /* f32 sums in another order */
    }
    free(got);
    lcm_tape_free(tape);
    lcm_arena_free(arena);
    lcm_sonar_encoder_free(enc);
    lcm_sonar_net_free(net);
    lcm_sonar_file_close(&trained);
}

static void int8_keeps_vectors_and_texts(void **state) {
    fixture *f = *state;
    int64_t D = lcm_codec_dim(f->codec32);
    real *a = encode(f, f->codec32, 0, N), *b = encode(f, f->codec8, 0, N);
    lcm_buf x = {0}, y = {0};
    double mean = 0;
    int same = 0;
    const char *p, *q;
    for (int i = 0; i < N; i++) {
        double c = cosine(a + i * D, b + i * D, D);
        assert_true(c > 0.999);
        mean += c / N;
    }
    assert_true(mean > 0.9997);
    ok(f, lcm_codec_decode(f->ctx, &x, NULL, f->codec32, a, N, -1, NULL));
    ok(f, lcm_codec_decode(f->ctx, &y, NULL, f->codec8, b, N, -1, NULL));
    p = x.data;
    q = y.data;
    for (int i = 0; i < N; i++, p += strlen(p) + 1, q += strlen(q) + 1) same += strcmp(p, q) == 0;
    assert_true(same >= N - 1); /* one near tie may fall the other way */
    free(a);
    free(b);
    lcm_buf_free(&x);
    lcm_buf_free(&y);
}

static void int8_gives_the_same_bits_alone_together_and_threaded(void **state) {
    fixture *f = *state;
    int64_t D = lcm_codec_dim(f->codec8);
    int threads = omp_get_max_threads();
    real *all, *one;
    lcm_buf texts = {0}, texts2 = {0};
    double scores[N], scores2[N];
    omp_set_num_threads(1);
    all = encode(f, f->codec8, 0, N);
    ok(f, lcm_codec_decode(f->ctx, &texts, scores, f->codec8, all, N, -1, NULL));
    for (size_t i = 0; i < N; i++) {
        one = encode(f, f->codec8, i, 1);
        assert_memory_equal(one, all + (int64_t)i * D, (size_t)D * sizeof *one);
        free(one);
    }
    omp_set_num_threads(2);
    one = encode(f, f->codec8, 0, N);
    ok(f, lcm_codec_decode(f->ctx, &texts2, scores2, f->codec8, all, N, -1, NULL));
    omp_set_num_threads(threads);
    assert_memory_equal(one, all, (size_t)(N * D) * sizeof *one);
    assert_int_equal(texts.len, texts2.len);
    assert_memory_equal(texts.data, texts2.data, texts.len);
    assert_memory_equal(scores, scores2, sizeof scores);
    free(one);
    free(all);
    lcm_buf_free(&texts);
    lcm_buf_free(&texts2);
}

/* Sentences, and among them what lies between two of them: of all, the likeliest text is taken, with its number. */
static void the_best_said_of_several_is_taken(void **state) {
    fixture *f = *state;
    int64_t D = lcm_codec_dim(f->codec32);
    real *x = encode(f, f->codec32, 0, N);
    lcm_buf all = {0}, one = {0};
    double score[N];
    lcm_said said;
    size_t least = 0, likeliest = 0;
    const char *p;
    for (int64_t i = 0; i < D; i++) x[i] = (x[i] + x[D + i]) / 2;
    ok(f, lcm_codec_decode(f->ctx, &all, score, f->codec32, x, N, -1, NULL));
    for (size_t i = 1; i < N; i++) {
        if (score[i] < score[least]) least = i;
        if (score[i] > score[likeliest]) likeliest = i;
    }
    assert_int_equal(least, 0); /* nobody says the mean of two sentences */
    ok(f, lcm_codec_decode_best(f->ctx, &one, &said, f->codec32, x, N, 0, -1, NULL));
    assert_int_equal(said.which, likeliest);
    assert_true(said.score == score[likeliest]);
    p = all.data;
    for (size_t i = 0; i < likeliest; i++) p += strlen(p) + 1;
    assert_string_equal(one.data, p);
    assert_int_equal(one.len, strlen(p) + 1);
    one.len = 0; /* the first that is good enough: not the mean, but its neighbour */
    ok(f, lcm_codec_decode_best(f->ctx, &one, &said, f->codec32, x, N, score[1], -1, NULL));
    assert_int_equal(said.which, 1);
    assert_string_equal(one.data, (const char *)all.data + strlen(all.data) + 1);
    free(x);
    lcm_buf_free(&all);
    lcm_buf_free(&one);
}

/* Pieces that begin a word do not follow themselves; a text without doubles is decoded as ever. */
static void doubled_words_are_blocked_on_request(void **state) {
    fixture *f = *state;
    static const char *const text[2] = {"Tom was very very happy.", "Tom was very happy."};
    size_t len[2] = {strlen(text[0]), strlen(text[1])};
    real *x = calloc(2 * (size_t)lcm_codec_dim(f->codec32), sizeof *x);
    lcm_beam_opts beam = lcm_beam_opts_default();
    lcm_buf plain = {0}, blocked = {0};
    assert_non_null(x);
    ok(f, lcm_codec_encode(f->ctx, x, NULL, f->codec32, text, len, 2, -1));
    ok(f, lcm_codec_decode(f->ctx, &plain, NULL, f->codec32, x, 2, -1, &beam));
    beam.block_doubles = true;
    ok(f, lcm_codec_decode(f->ctx, &blocked, NULL, f->codec32, x, 2, -1, &beam));
    assert_string_equal(plain.data, text[0]);
    assert_null(strstr(blocked.data, "very very"));
    assert_string_equal((const char *)blocked.data + strlen(blocked.data) + 1, text[1]);
    free(x);
    lcm_buf_free(&plain);
    lcm_buf_free(&blocked);
}

/* f16 (the shipped file) and bf16 stay in the map; their vectors are those of the widened numbers. */
static void sixteen_bits_are_their_numbers(void **state) {
    fixture *f = *state;
    const char *const path[] = {STORIES, f->half};
    const double least[] = {1 - 1e-9, 0.9995}; /* the f32 file was made from the f16 one */
    real *a = encode(f, f->codec32, 0, N);
    for (int k = 0; k < 2; k++) {
        lcm_sonar_file file;
        lcm_codec *codec;
        real *b;
        ok(f, lcm_sonar_load(f->ctx, &file, path[k], LCM_SONAR_BOTH));
        assert_int_equal(file.net->enc_embed.type, k ? LCM_MATRIX_BF16 : LCM_MATRIX_F16);
        ok(f, lcm_codec_new(f->ctx, &codec, &file));
        b = encode(f, codec, 0, N);
        for (int i = 0; i < N; i++) assert_true(cosine(a + i * 256, b + i * 256, 256) > least[k]);
        free(b);
        lcm_codec_free(codec);
        lcm_sonar_file_close(&file);
    }
    free(a);
}

static void report_agrees_with_the_format(void **state) {
    fixture *f = *state;
    lcm_quantize_report r;
    size_t len[N];
    for (int i = 0; i < N; i++) len[i] = strlen(sentences[i]);
    ok(f, lcm_quantize_compare(f->ctx, &r, STORIES, f->int8, sentences, len, N, 1, NULL, NULL));
    assert_int_equal(r.tensors, 29);
    assert_true(r.worst <= 0.5 / 127 * 1.0001 && r.worst > 0.4 / 127); /* half a step, somewhere */
    assert_true(r.rms > 0.001 && r.rms < 0.02);
    assert_int_equal(r.sentences, N);
    assert_true(r.cos_mean > 0.9997 && r.cos_least > 0.999 && r.cos_least <= r.cos_mean);
    assert_true(r.same_text >= N - 1 && r.exact_before >= N - 4 && r.exact_after >= r.exact_before - 1);
    ok(f, lcm_quantize_compare(f->ctx, &r, STORIES, STORIES, NULL, NULL, 0, 0, NULL, NULL));
    assert_true(r.rms == 0 && r.worst == 0 && r.sentences == 0);
}

/* ---- Files to refuse ---- */

/* Copies the int8 file with tensor `name` replaced by `with` (NULL: left out). */
static const char *damaged(fixture *f, const char *name, const lcm_st_tensor *with) {
    const char *path = tmpdir_path(f->dir, "damaged.safetensors"), *key;
    lcm_st *st;
    lcm_st_writer *w;
    ok(f, lcm_st_open(f->ctx, &st, f->int8));
    ok(f, lcm_st_writer_new(f->ctx, &w));
    for (size_t i = 0; (key = lcm_st_meta_key(st, i)) != NULL; i++) ok(f, lcm_st_writer_meta(f->ctx, w, key, lcm_st_meta(st, key)));
    for (size_t i = 0; i < lcm_st_count(st); i++) {
        const lcm_st_tensor *t = lcm_st_at(st, i);
        if (strcmp(t->name, name) == 0) t = with;
        if (t) ok(f, lcm_st_writer_add(f->ctx, w, lcm_st_at(st, i)->name, t->dtype, t->dims, t->ndim, t->data));
    }
    ok(f, lcm_st_writer_commit(f->ctx, w, path));
    lcm_st_writer_free(w);
    lcm_st_close(st);
    return path;
}

static void refused(fixture *f, const char *path, lcm_status want, const char *word) {
    lcm_sonar_file file;
    assert_int_equal(lcm_sonar_load(f->ctx, &file, path, LCM_SONAR_BOTH), want);
    if (strstr(lcm_ctx_message(f->ctx), word) == NULL) fail_msg("'%s' does not name '%s'", lcm_ctx_message(f->ctx), word);
    assert_null(file.net);
}

static void damaged_int8_files_are_refused(void **state) {
    fixture *f = *state;
    static const char *const q = "encoder.layers.0.ffn.inner_proj.weight", *const s = "encoder.layers.0.ffn.inner_proj.weight.scale";
    const float bad[] = {NAN, INFINITY, -1, 1e30f};
    float *scale = calloc(1024, sizeof *scale);
    lcm_st_tensor t = {.dtype = LCM_DT_F32, .ndim = 1, .dims = {1024}, .data = scale};
    lcm_sonar_file file;
    assert_non_null(scale);
    for (int i = 0; i < 4; i++) {
        scale[700] = bad[i];
        refused(f, damaged(f, s, &t), LCM_ERR_FORMAT, s);
    }
    scale[700] = 0;
    ok(f, lcm_sonar_load(f->ctx, &file, damaged(f, s, &t), LCM_SONAR_BOTH)); /* a row of zeros is a row */
    lcm_sonar_file_close(&file);
    refused(f, damaged(f, s, NULL), LCM_ERR_FORMAT, s);
    t.dims[0] = 992; /* one panel less */
    refused(f, damaged(f, s, &t), LCM_ERR_SHAPE, s);
    t = (lcm_st_tensor){.dtype = LCM_DT_I32, .ndim = 1, .dims = {1024}, .data = scale};
    refused(f, damaged(f, s, &t), LCM_ERR_FORMAT, "I32");
    free(scale);
    scale = calloc(1024 * 256, 1);
    assert_non_null(scale);
    t = (lcm_st_tensor){.dtype = LCM_DT_U8, .ndim = 4, .dims = {32, 64, 32, 2}, .data = scale};
    refused(f, damaged(f, q, &t), LCM_ERR_SHAPE, q);
    t = (lcm_st_tensor){.dtype = LCM_DT_U8, .ndim = 2, .dims = {1024, 256}, .data = scale}; /* not packed */
    refused(f, damaged(f, q, &t), LCM_ERR_SHAPE, q);
    t = (lcm_st_tensor){.dtype = LCM_DT_I8, .ndim = 4, .dims = {32, 64, 32, 4}, .data = scale};
    refused(f, damaged(f, q, &t), LCM_ERR_SHAPE, q);
    free(scale);
    assert_int_equal(lcm_sonar_load_model(f->ctx, &file, f->int8, LCM_SONAR_BOTH, true), LCM_ERR_SHAPE); /* not to be trained */
    assert_int_equal(lcm_export(f->ctx, f->int8, tmpdir_path(f->dir, "x"), &(lcm_export_opts){.dtype = LCM_EXPORT_F32}), LCM_ERR_UNSUPPORTED);
    assert_int_equal(lcm_export(f->ctx, TEST_DATA "/../../models/stories/lcm.safetensors", tmpdir_path(f->dir, "x"),
                                &(lcm_export_opts){.dtype = LCM_EXPORT_INT8}), LCM_ERR_UNSUPPORTED);
}

/* A sparse file that says it holds 400 GB of weights: refused with advice, before a byte of them is read. */
static void a_model_larger_than_memory_is_refused(void **state) {
    fixture *f = *state;
    static const char config[] = "{\"model_dim\": 65536, \"encoder_layers\": 1, \"decoder_layers\": 1, \"attn_heads\": 1,"
                                 " \"ffn_inner_dim\": 1, \"vocab_size\": 1500000, \"share_embeddings\": true}";
    const char *path = tmpdir_path(f->dir, "large.safetensors");
    const int64_t rows = 1500000, bytes = rows * 65536 * 4;
    char header[4096];
    const lcm_st_tensor *tok;
    json_t *quoted = json_string(config);
    char *text = json_dumps(quoted, JSON_ENCODE_ANY);
    lcm_st *st;
    int n, fd = open(path, O_CREAT | O_RDWR, 0600);
    ok(f, lcm_st_open(f->ctx, &st, STORIES));
    ok(f, lcm_st_require(f->ctx, &tok, st, "tokenizer.model", NULL, 1));
    n = snprintf(header + 8, sizeof header - 8,
                 "{\"__metadata__\":{\"lcm.format\":\"1\",\"lcm.kind\":\"sonar\",\"lcm.langs\":\"\",\"lcm.space\":\"0000000000000001\","
                 "\"lcm.config\":%s},\"tokenizer.model\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[0,%zu]},"
                 "\"decoder_frontend.embed.weight\":{\"dtype\":\"F32\",\"shape\":[%lld,65536],\"data_offsets\":[%zu,%lld]}}",
                 text, tok->nbytes, tok->nbytes, (long long)rows, tok->nbytes, (long long)(bytes + (int64_t)tok->nbytes));
    for (int i = 0; i < 8; i++) header[i] = (char)((uint64_t)n >> (8 * i));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, header, (size_t)n + 8), n + 8);
    assert_int_equal(write(fd, tok->data, tok->nbytes), (ssize_t)tok->nbytes);
    if (ftruncate(fd, n + 8 + (off_t)tok->nbytes + bytes) != 0) skip(); /* a file system without such sizes */
    close(fd);
    lcm_st_close(st);
    free(text);
    json_decref(quoted);
    refused(f, path, LCM_ERR_NOMEM, "lcm quantize");
    assert_true(lcm_room_left() > 0);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(inference_is_the_training_pass),
                                       cmocka_unit_test(int8_keeps_vectors_and_texts),
                                       cmocka_unit_test(int8_gives_the_same_bits_alone_together_and_threaded),
                                       cmocka_unit_test(the_best_said_of_several_is_taken),
                                       cmocka_unit_test(doubled_words_are_blocked_on_request),
                                       cmocka_unit_test(sixteen_bits_are_their_numbers),
                                       cmocka_unit_test(report_agrees_with_the_format),
                                       cmocka_unit_test(damaged_int8_files_are_refused),
                                       cmocka_unit_test(a_model_larger_than_memory_is_refused)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
