/* Attention pooling from checkpoint to vector: the reference's toy encoder with the names of fairseq2 is converted, and gives the
 * reference's vectors in every storage type; files and configurations that cannot work are refused in one sentence; an
 * autoencoder with such an encoder trains, and a student learns from it. */
#include "harness/golden.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/sonar_toy.h"
#include "lcm/convert.h"
#include "lcm/quantize.h"
#include "lcm/session.h"
#include "lcm/train.h"
#include "sonar/codec.h"
#include "unit/convert_toy.h"

enum { E = 48, N = 6, INPUT = 32 };

/* ---- Checkpoints ---- */

/* A checkpoint with one fault: a tensor left out, or with a column more. */
typedef struct fault {
    const char *drop, *bend;
} fault;

static void put_part(lcm_st_writer *w, const char *keys, const char *prefix, int64_t input, const fault *f, lcm_arena *a) {
    json_t *facts = json_load_file(TEST_DATA "/golden/sonar/golden.json", 0, NULL), *shape;
    const char *key;
    assert_non_null(facts);
    json_object_foreach(json_object_get(facts, keys), key, shape) {
        int64_t dims[2] = {json_integer_value(json_array_get(shape, 0)), json_integer_value(json_array_get(shape, 1))};
        int ndim = (int)json_array_size(shape);
        real *x;
        if (strstr(key, "attn.k_proj.weight") || strstr(key, "attn.v_proj.weight"))
            if (strncmp(key, "decoder.", 8) == 0 && strstr(key, "encoder_decoder_attn")) dims[1] = input;
        if (f && f->drop && strcmp(key, f->drop) == 0) continue;
        if (f && f->bend && strcmp(key, f->bend) == 0) dims[ndim - 1]++;
        x = lcm_arena_alloc(a, (size_t)(dims[0] * (ndim == 2 ? dims[1] : 1)) * sizeof *x);
        portable_fill(x, dims[0] * (ndim == 2 ? dims[1] : 1), prefix, key);
        assert_ok(ctx, lcm_st_writer_add_real(ctx, w, key, LCM_DT_F32, dims, ndim, x));
    }
    json_decref(facts);
}

/* The encoder, and with input > 0 a decoder that reads vectors of so many numbers. */
static const char *checkpoint(int64_t input, const fault *f) {
    const char *path = tmpdir_path(dir, "checkpoint.safetensors");
    lcm_arena *a = lcm_arena_new(1 << 20); /* of the values: the writer borrows them */
    lcm_st_writer *w;
    assert_ok(ctx, lcm_st_writer_new(ctx, &w));
    put_part(w, "encattn_keys", "encattn/", 0, f, a);
    if (input) put_part(w, "dec_keys", "dec/", input, f, a);
    assert_ok(ctx, lcm_st_writer_commit(ctx, w, path));
    lcm_st_writer_free(w);
    lcm_arena_free(a);
    return path;
}

static lcm_status convert(const char *path, const char *const *set, size_t n_set) {
    return lcm_convert(ctx, out, &path, 1, &(lcm_convert_opts){.tokenizer = spm, .langs = "none", .set = set, .n_set = n_set});
}

/* What the checkpoint does not say. */
static const char *const known[] = {"attn_heads=4", "max_seq_len=14", "pooler_heads=3"};

static void convert_good(int64_t input) { assert_ok(ctx, convert(checkpoint(input, NULL), known, 3)); }

/* ---- Vectors ---- */

typedef struct sequences {
    lcm_arena *arena;
    lcm_sonar_packer all, one[N];
} sequences;

static void push(lcm_sonar_packer *p, lcm_arena *arena, json_t *seqs, size_t from, size_t n) {
    int32_t ids[16];
    assert_ok(ctx, lcm_sonar_packer_begin(ctx, p, arena, (int64_t)n, (int64_t)n * 16));
    for (size_t s = from; s < from + n; s++) {
        json_t *seq = json_array_get(seqs, s);
        size_t len = json_array_size(seq);
        for (size_t k = 0; k < len; k++) ids[k] = (int32_t)json_integer_value(json_array_get(seq, k));
        lcm_sonar_packer_push(p, ids, 0, (lcm_pieces){ids, (int64_t)len}, ids, 0);
    }
}

static sequences sequences_new(void) {
    json_t *facts = json_load_file(TEST_DATA "/golden/sonar/golden.json", 0, NULL), *seqs = json_object_get(facts, "enc_seqs");
    sequences s = {.arena = lcm_arena_new(1 << 14)};
    assert_int_equal(json_array_size(seqs), N);
    push(&s.all, s.arena, seqs, 0, N);
    for (size_t i = 0; i < N; i++) push(&s.one[i], s.arena, seqs, i, 1);
    json_decref(facts);
    return s;
}

static double distance(const real *a, const real *b, int64_t n) {
    double d = 0, size = 0;
    for (int64_t i = 0; i < n; i++) d += pow((double)(a[i] - b[i]), 2), size += pow((double)b[i], 2);
    return sqrt(d / size);
}

/* In every storage type, alone and together. Tolerances are relative 2-norms: f32 of its rounding; the others of their weights',
 * 2^-11, 2^-8, and half of 1/127 of a row's largest, each grown about fivefold by four layers of random weights. */
static void every_type_gives_the_reference_vectors(void **state) {
    static const struct {
        int dtype;
        lcm_matrix_type type;
        double tolerance;
    } types[] = {{LCM_EXPORT_KEEP, LCM_MATRIX_REAL, 1e-5}, {LCM_EXPORT_F16, LCM_MATRIX_F16, 3e-3},
                 {LCM_EXPORT_BF16, LCM_MATRIX_BF16, 2e-2}, {LCM_EXPORT_INT8, LCM_MATRIX_I8, 6e-2}};
    golden *g = golden_open("sonar/golden");
    const real *want = golden_real(g, NULL, "encattn.pool");
    sequences s = sequences_new();
    (void)state;
    convert_good(0);
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        const char *path = tmpdir_path(dir, "typed.safetensors");
        lcm_sonar_file f;
        lcm_sonar_encoder *encoder;
        real all[N * E], one[E];
        assert_ok(ctx, lcm_export(ctx, out, path, &(lcm_export_opts){.dtype = types[k].dtype}));
        assert_ok(ctx, lcm_sonar_load(ctx, &f, path, LCM_SONAR_ENCODER));
        assert_int_equal(lcm_sonar_dim(&f.config), E);
        assert_int_equal(f.net->pooler.query.type, types[k].type);
        assert_int_equal(f.net->pooler.layers[1].outer.type, types[k].type);
        assert_ok(ctx, lcm_sonar_encoder_new(ctx, &encoder, f.net));
        assert_ok(ctx, lcm_sonar_encoder_run(ctx, all, encoder, &s.all.b, f.config.pooling));
        if (!(distance(all, want, N * E) <= types[k].tolerance)) fail_msg("type %d: off by %g", types[k].dtype, distance(all, want, N * E));
        for (size_t i = 0; i < N; i++) {
            assert_ok(ctx, lcm_sonar_encoder_run(ctx, one, encoder, &s.one[i].b, f.config.pooling));
            if (types[k].type == LCM_MATRIX_I8) assert_memory_equal(one, all + i * E, sizeof one);
            else assert_true(distance(one, all + i * E, E) <= 1e-5);
        }
        lcm_sonar_encoder_free(encoder);
        lcm_sonar_file_close(&f);
    }
    lcm_arena_free(s.arena);
    golden_close(g);
}

/* ---- Both parts ---- */

static void both_parts_speak_wide_concepts(void **state) {
    static const char *const text[] = {"a b", "ab ab a"};
    static const size_t len[] = {3, 7};
    lcm_selftest_report report;
    lcm_quantize_report q;
    lcm_sonar_file f;
    lcm_bundle *b;
    lcm_session *s;
    char *said, small[4096];
    float x[2 * E];
    (void)state;
    convert_good(E);
    assert_ok(ctx, lcm_sonar_load(ctx, &f, out, LCM_SONAR_BOTH));
    assert_int_equal(f.config.pooling, LCM_SONAR_ATTENTION);
    assert_int_equal(f.config.pooler_layers, 2);
    assert_int_equal(f.config.pooler_ffn_inner_dim, 96);
    assert_int_equal(f.config.input_dim, 0); /* the concept's */
    lcm_sonar_file_close(&f);
    assert_ok(ctx, lcm_export(ctx, out, out, &(lcm_export_opts){.selftest = 1}));
    assert_ok(ctx, lcm_selftest(ctx, &report, out));
    assert_true(report.passed && report.vectors > 0);
    snprintf(small, sizeof small, "%s", tmpdir_path(dir, "int8.safetensors"));
    assert_ok(ctx, lcm_export(ctx, out, small, &(lcm_export_opts){.dtype = LCM_EXPORT_INT8}));
    assert_ok(ctx, lcm_quantize_compare(ctx, &q, out, small, text, len, 2, 1, NULL, NULL));
    assert_true(q.cos_least > 0.99 && q.cos_least < 1);
    assert_ok(ctx, lcm_bundle_open(ctx, &b, out, LCM_LOAD_ENCODER | LCM_LOAD_DECODER));
    assert_int_equal(lcm_bundle_get_info(b)->dim, E);
    assert_ok(ctx, lcm_session_new(ctx, &s, b));
    assert_ok(ctx, lcm_session_encode(ctx, x, NULL, s, text, len, 2, NULL));
    assert_ok(ctx, lcm_session_decode(ctx, &said, NULL, s, x, 2, NULL));
    lcm_free(said);
    assert_int_equal(lcm_session_set_pooling(ctx, s, LCM_POOLING_MAX), LCM_ERR_ARG);
    assert_says(ctx, "pooling 'max' gives vectors of 32 numbers, this model's have 48");
    assert_ok(ctx, lcm_session_set_pooling(ctx, s, LCM_POOLING_MODEL));
    lcm_session_free(s);
    lcm_bundle_close(b);
}

/* ---- What cannot work ---- */

static void refused(const fault *f, const char *const *set, size_t n_set, lcm_status want, const char *message) {
    lcm_status st = convert(checkpoint(0, f), set, n_set);
    if (st != want || strstr(lcm_ctx_message(ctx), message) == NULL) fail_msg("status %d, '%s'", st, lcm_ctx_message(ctx));
    assert_null(strchr(lcm_ctx_message(ctx), '\n'));
}

static void wrong_checkpoints_are_refused(void **state) {
    static const char query[] = "pooler.decoder_frontend.embed.weight", out_bias[] = "pooler.projection_out.bias",
                      inner[] = "pooler.decoder.layers.0.ffn.inner_proj.weight", dead[] = "pooler.decoder.layers.1.self_attn.k_proj.weight",
                      cross[] = "pooler.decoder.layers.1.encoder_decoder_attn.k_proj.weight";
    static const char *const heads5[] = {"attn_heads=4", "pooler_heads=5"}, *const mean[] = {"attn_heads=4", "pooling=mean", "embedding_dim=0"};
    (void)state;
    refused(NULL, settings, 2, LCM_ERR_ARG, "no tensor shows the number of the pooler's heads, and width 48 is no multiple of 64: set pooler_heads");
    refused(NULL, heads5, 2, LCM_ERR_SHAPE, "embedding_dim 48 does not divide into 5 heads of the pooler");
    refused(NULL, mean, 3, LCM_ERR_FORMAT, "'pooler.decoder.layers.0.encoder_decoder_attn.k_proj.bias' is not part");
    refused(&(fault){.drop = query}, known, 3, LCM_ERR_NOTFOUND, query);
    refused(&(fault){.drop = out_bias}, known, 3, LCM_ERR_NOTFOUND, out_bias);
    refused(&(fault){.drop = inner}, known, 3, LCM_ERR_NOTFOUND, inner);
    refused(&(fault){.bend = inner}, known, 3, LCM_ERR_SHAPE, "[96, 49], expected [96, 48]");
    refused(&(fault){.bend = cross}, known, 3, LCM_ERR_SHAPE, "[48, 33], expected [48, 32]");
    refused(&(fault){.bend = dead}, known, 3, LCM_ERR_SHAPE, "[48, 49], expected [48, 48]"); /* left out, but looked at */
    assert_int_equal(convert(checkpoint(INPUT, NULL), known, 3), LCM_ERR_SHAPE);
    assert_says(ctx, "the encoder gives vectors of 48 numbers, the decoder reads 32");
}

/* Copies the model file with tensor `name` left out or, with cols > 0, replaced by zeros. */
static const char *damaged(const char *name, int64_t rows, int64_t cols) {
    const char *path = tmpdir_path(dir, "damaged.safetensors"), *key;
    real *zeros = calloc((size_t)(rows * cols) + 1, sizeof *zeros);
    lcm_st *st;
    lcm_st_writer *w;
    assert_non_null(zeros);
    assert_ok(ctx, lcm_st_open(ctx, &st, out));
    assert_ok(ctx, lcm_st_writer_new(ctx, &w));
    for (size_t i = 0; (key = lcm_st_meta_key(st, i)) != NULL; i++) assert_ok(ctx, lcm_st_writer_meta(ctx, w, key, lcm_st_meta(st, key)));
    for (size_t i = 0; i < lcm_st_count(st); i++) {
        const lcm_st_tensor *t = lcm_st_at(st, i);
        if (strcmp(t->name, name) != 0) assert_ok(ctx, lcm_st_writer_add(ctx, w, t->name, t->dtype, t->dims, t->ndim, t->data));
        else if (cols) assert_ok(ctx, lcm_st_writer_add_real(ctx, w, name, LCM_DT_F32, (int64_t[]){rows, cols}, 2, zeros));
    }
    assert_ok(ctx, lcm_st_writer_commit(ctx, w, path));
    lcm_st_writer_free(w);
    lcm_st_close(st);
    free(zeros);
    return path;
}

static void damaged_files_are_refused(void **state) {
    static const struct {
        const char *name;
        int64_t rows, cols;
        lcm_status want;
        const char *message;
    } cases[] = {
        {"pooler.projection_out.weight", 0, 0, LCM_ERR_FORMAT, "'pooler.projection_out.weight'"},
        {"pooler.decoder.layers.1.ffn_layer_norm.bias", 0, 0, LCM_ERR_FORMAT, "'pooler.decoder.layers.1.ffn_layer_norm.bias'"},
        {"pooler.projection_out.weight", 32, 48, LCM_ERR_SHAPE, "'pooler.projection_out.weight'"},
        {"pooler.decoder_frontend.embed.weight", 2, 48, LCM_ERR_SHAPE, "'pooler.decoder_frontend.embed.weight'"},
        {"pooler.decoder.layers.0.self_attn.v_proj.weight", 48, 32, LCM_ERR_SHAPE, "'pooler.decoder.layers.0.self_attn.v_proj.weight'"},
    };
    (void)state;
    convert_good(0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = damaged(cases[i].name, cases[i].rows, cases[i].cols);
        lcm_sonar_file f;
        for (int inference = 0; inference < 2; inference++) {
            assert_int_equal(inference ? lcm_sonar_load(ctx, &f, path, LCM_SONAR_ENCODER)
                                       : lcm_sonar_load_model(ctx, &f, path, LCM_SONAR_ENCODER, true), cases[i].want);
            assert_says(ctx, cases[i].message);
            assert_true(f.net == NULL && f.model == NULL);
        }
    }
}

static void wrong_sizes_are_refused(void **state) {
    static const lcm_sonar_config good = {.model_dim = 8, .encoder_layers = 1, .decoder_layers = 1, .attn_heads = 2, .ffn_inner_dim = 8,
                                          .vocab_size = 8, .max_seq_len = 8, .pooling = LCM_SONAR_ATTENTION};
    static const struct {
        int64_t embedding, input, heads;
        int pooling, layers;
        const char *message; /* NULL: works */
    } cases[] = {
        {0, 0, 0, LCM_SONAR_ATTENTION, 1, NULL},
        {12, 0, 3, LCM_SONAR_ATTENTION, 1, NULL},
        {12, 12, 3, LCM_SONAR_ATTENTION, 1, NULL},
        {8, 0, 5, LCM_POOL_LAST, 0, NULL}, /* the pooler's sizes matter where there is one */
        {12, 0, 5, LCM_SONAR_ATTENTION, 1, "embedding_dim 12 does not divide into 5 heads of the pooler"},
        {5, 0, 0, LCM_SONAR_ATTENTION, 1, "embedding_dim 5 is odd or less than 4"},
        {2, 0, 0, LCM_SONAR_ATTENTION, 1, "embedding_dim 2 is odd or less than 4"},
        {12, 0, 3, LCM_SONAR_ATTENTION, 0, "needs pooler_layers"},
        {12, 0, 3, LCM_POOL_MAX, 1, "embedding_dim 12 is not model_dim 8: that needs pooling 'attention', not 'max'"},
        {12, 8, 3, LCM_SONAR_ATTENTION, 1, "the encoder gives vectors of 12 numbers, the decoder reads 8"},
        {0, 12, 0, LCM_POOL_MEAN, 1, "the encoder gives vectors of 8 numbers, the decoder reads 12"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lcm_sonar_config c = good;
        lcm_sonar *m;
        lcm_status st;
        c.embedding_dim = cases[i].embedding;
        c.input_dim = cases[i].input;
        c.pooler_heads = cases[i].heads;
        c.pooling = cases[i].pooling;
        c.pooler_layers = cases[i].layers;
        st = lcm_sonar_register(ctx, &m, &c, LCM_SONAR_BOTH);
        assert_int_equal(st, cases[i].message ? LCM_ERR_SHAPE : LCM_OK);
        if (cases[i].message) assert_says(ctx, cases[i].message);
        lcm_sonar_free(m);
    }
}

/* ---- Training ---- */

#define TOKENIZER TEST_DATA "/golden/spm/toy_unigram.model"

static void train(const char *kind, const char *run, const char *text, const char *keys) {
    char config[8192];
    int n = snprintf(config, sizeof config,
                     "{\"kind\": \"%s\", \"presegmented\": true, \"data\": [\"%s\"], \"valid\": \"%s\", %s, \"train\": {\"run\": \"%s\","
                     " \"validate_every\": 10, \"lr\": {\"lr\": 1e-2, \"warmup_steps\": 5, \"max_steps\": 60}}}",
                     kind, text, text, keys, run);
    assert_true(n > 0 && (size_t)n < sizeof config);
    assert_ok(ctx, lcm_train(ctx, config, NULL));
}

/* First and last value of a metric in a run's log. */
static void metric(const char *run, const char *key, double *first, double *last) {
    char path[4200], line[4096];
    bool any = false;
    FILE *f;
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        json_t *j = json_loads(line, 0, NULL), *v = json_object_get(j, key);
        if (v) *last = json_number_value(v);
        if (v && !any) *first = *last, any = true;
        json_decref(j);
    }
    fclose(f);
    assert_true(any);
}

/* The same encoder with concepts of a hundredth of the size. */
static void write_faint(const char *path, lcm_sonar_file *f) {
    const char *const names[] = {"pooler.projection_out.weight", "pooler.projection_out.bias"};
    lcm_buf bytes = {0};
    for (int i = 0; i < 2; i++) {
        lcm_tensor *t = &lcm_params_find(&f->model->params, names[i])->t;
        for (int64_t k = 0; k < t->rows * t->cols; k++) t->x[k] *= (real)0.01;
    }
    assert_ok(ctx, lcm_sonar_write(ctx, &bytes, f->model, NULL, f->tok, LCM_DT_F32, f->space, NULL, NULL));
    assert_ok(ctx, lcm_write_file(ctx, path, bytes.data, bytes.len));
    lcm_buf_free(&bytes);
}

/* The run's model, in place of f. */
static void load_run(lcm_sonar_file *f, char *path, size_t cap, const char *run) {
    snprintf(path, cap, "%s/step_00000060/model.safetensors", run);
    lcm_sonar_file_close(f);
    assert_ok(ctx, lcm_sonar_load_model(ctx, f, path, LCM_SONAR_ENCODER, false));
}

static void autoencoders_train_and_teach(void **state) {
    static const char text[] = "the cat\nthe dog\na cat sat\na dog ran\nthe bird\nno\n";
    char file[4096], run[4096], frozen[4096], student[4096], path[4200], keys[4700];
    lcm_sonar_file a = {0}, b = {0};
    double first, last;
    (void)state;
    snprintf(file, sizeof file, "%s", tmpdir_write(dir, "text.txt", text, strlen(text)));
    snprintf(run, sizeof run, "%s", tmpdir_path(dir, "run"));
    snprintf(frozen, sizeof frozen, "%s", tmpdir_path(dir, "frozen"));
    snprintf(student, sizeof student, "%s", tmpdir_path(dir, "student"));
    train("sonar", run, file,
          "\"tokenizer\": \"" TOKENIZER "\", \"model\": {\"model_dim\": 16, \"encoder_layers\": 1, \"decoder_layers\": 1, \"attn_heads\": 2,"
          " \"ffn_inner_dim\": 32, \"vocab_size\": 400, \"max_seq_len\": 40, \"pooling\": \"attention\", \"embedding_dim\": 24, \"pooler_heads\": 3},"
          " \"task\": {\"max_pieces\": 38}");
    metric(run, "valid_xent", &first, &last);
    assert_true(last < 0.5 * first);
    load_run(&a, path, sizeof path, run);
    assert_int_equal(lcm_sonar_dim(&a.config), 24);

    /* A frozen encoder keeps its pooler, and its space. */
    snprintf(keys, sizeof keys, "\"init\": \"%s\", \"task\": {\"max_pieces\": 38, \"objective\": {\"freeze_encoder\": true}}", path);
    train("sonar", frozen, file, keys);
    load_run(&b, path, sizeof path, frozen);
    assert_int_equal(a.model->params.n_flat, b.model->params.n_flat);
    assert_memory_equal(a.model->params.x, b.model->params.x, (size_t)a.model->params.n_flat * sizeof(real));
    assert_string_equal(a.space_hex, b.space_hex);

    /* A student begins at the scale of the space: as far off as two vectors of one length are, at most, and not a hundred times. */
    snprintf(path, sizeof path, "%s", tmpdir_path(dir, "faint.safetensors"));
    write_faint(path, &a);
    snprintf(keys, sizeof keys, "\"teacher\": \"%s\", \"model\": {\"encoder_layers\": 1, \"attn_heads\": 2, \"ffn_inner_dim\": 16},"
             " \"task\": {\"max_pieces\": 38}", path);
    train("distill", student, file, keys);
    metric(student, "relative_error", &first, &last);
    assert_true(first < 4 && last < 0.3);
    load_run(&b, path, sizeof path, student);
    assert_string_equal(a.space_hex, b.space_hex);
    assert_int_equal(lcm_sonar_dim(&b.config), 24);
    lcm_sonar_file_close(&a);
    lcm_sonar_file_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_gives_the_reference_vectors), cmocka_unit_test(both_parts_speak_wide_concepts),
        cmocka_unit_test(wrong_checkpoints_are_refused),          cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(wrong_sizes_are_refused),                cmocka_unit_test(autoencoders_train_and_teach),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
