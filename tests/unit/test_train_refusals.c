/* Training runs that cannot work: each is refused in one sentence that names what does not fit, and leaves no run folder. */
#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "harness/eval_world.h"
#include "lcm/model_io.h"
#include "lcm/train.h"
#include "quant/rvq_io.h"

#define TOKENIZER TEST_DATA "/golden/spm/toy_unigram.model"

enum { D = TOY_D, U = 4 };

typedef eval_world fixture;

#define ok(f, call) assert_ok((f)->ctx, call)

/* Copies of what tmpdir_path and tmpdir_write give back only until the next call. */
typedef struct path {
    char at[512];
} path;

static path in(fixture *f, const char *name) {
    path p;
    snprintf(p.at, sizeof p.at, "%s", tmpdir_path(f->dir, name));
    return p;
}

static path text_file(fixture *f, const char *name, const char *text) {
    path p;
    snprintf(p.at, sizeof p.at, "%s", tmpdir_write(f->dir, name, text, strlen(text)));
    return p;
}

/* keys: of the configuration, behind "kind". */
static void refused(fixture *f, const char *kind, const char *keys, lcm_status want, const char *message) {
    path run = in(f, "run");
    char config[4096];
    const char *said;
    int n = snprintf(config, sizeof config, "{\"kind\": \"%s\", %s, \"train\": {\"run\": \"%s\", \"lr\": {\"warmup_steps\": 1, \"max_steps\": 2}}}",
                     kind, keys, run.at);
    lcm_status st;
    assert_true(n > 0 && (size_t)n < sizeof config);
    st = lcm_train(f->ctx, config, NULL);
    said = lcm_ctx_message(f->ctx);
    if (st != want || strstr(said, message) == NULL) fail_msg("%s: status %d, '%s', expected %d, '%s'", kind, st, said, want, message);
    assert_null(strchr(said, '\n'));
    assert_false(lcm_exists(run.at));
}

#define REFUSED(kind, want, message, ...)                    \
    do {                                                     \
        char keys_[3072];                                    \
        snprintf(keys_, sizeof keys_, __VA_ARGS__);          \
        refused(f, kind, keys_, want, message);              \
    } while (0)

/* n documents of `concepts` concepts each. */
static path store_of(fixture *f, const char *name, int n, int concepts, const char *space) {
    path p = in(f, name);
    lcm_store_report report = {0};
    real *x = toy_concepts((int64_t)n * concepts + 1, D, 3);
    lcm_shard *shard;
    ok(f, lcm_mkdirs(f->ctx, p.at));
    ok(f, lcm_shard_new(f->ctx, &shard, D, LCM_DT_F32));
    for (int d = 0, at = 0; d < n; d++) {
        bool kept;
        for (int i = 0; i < concepts; i++, at++) ok(f, lcm_shard_add(f->ctx, shard, x + at * D, "word", 4));
        ok(f, lcm_shard_end_doc(f->ctx, shard, &kept));
        assert_int_equal(kept, concepts > 0);
    }
    ok(f, lcm_shard_write(f->ctx, shard, p.at, 0, space, &report));
    ok(f, lcm_store_finish(f->ctx, p.at, 1, NULL));
    lcm_shard_free(shard);
    free(x);
    return p;
}

/* Pairs of one sentence and `target` ones. */
static path pairs_of(fixture *f, const char *name, int target) {
    path p = in(f, name);
    lcm_store_report report = {0};
    real *x = toy_concepts(target + 1, D, 3);
    lcm_shard *shard;
    bool kept;
    ok(f, lcm_mkdirs(f->ctx, p.at));
    ok(f, lcm_shard_new(f->ctx, &shard, D, LCM_DT_F32));
    lcm_shard_set_pairs(shard);
    for (int i = 0; i <= target; i++) ok(f, lcm_shard_add(f->ctx, shard, x + i * D, "word", 4));
    ok(f, lcm_shard_end_pair(f->ctx, shard, 1, &kept));
    ok(f, lcm_shard_write(f->ctx, shard, p.at, 0, f->file.space_hex, &report));
    ok(f, lcm_store_finish(f->ctx, p.at, 1, NULL));
    lcm_shard_free(shard);
    free(x);
    return p;
}

/* Codebooks of the values 1, 2, … behind a normaliser of this scale. */
static path books_of(fixture *f, const char *name, uint64_t space, real scale, int64_t dim) {
    path p = in(f, name);
    lcm_rvq_config c = {dim, 2, U};
    lcm_rvq_file q;
    lcm_buf bytes = {0};
    ok(f, lcm_rvq_file_new(f->ctx, &q, &c, space));
    for (int64_t k = 0; k < 2; k++)
        for (int64_t i = 0; i < U * dim; i++) q.rvq.book[k]->x[i] = (real)(i + 1);
    q.normalizer->scale[0] = scale;
    ok(f, lcm_rvq_write(f->ctx, &bytes, &q, 2, NULL));
    ok(f, lcm_write_file(f->ctx, p.at, bytes.data, bytes.len));
    lcm_buf_free(&bytes);
    lcm_rvq_file_close(&q);
    return p;
}

#define SIZES "\"model\": {\"sonar_embed_dim\": 12, \"max_seq_len\": 16, \"model_dim\": 16, "
#define SMALL "\"num_layers\": 1, \"num_attn_heads\": 2, \"ffn_inner_dim\": 16"
#define BOOKS "\"codebooks\": 2, \"units\": 4, \"codebook_embed_dim\": 8, "
#define TASK "\"end_of_text\": \"\", \"task\": {\"max_len\": 16}"

static void sizes_that_do_not_divide(void **state) {
    static const struct {
        const char *kind, *sizes, *message;
    } cases[] = {
        {"base", SIZES "\"lcm\": {\"num_attn_heads\": 3}}", "model_dim 16 does not divide into 3 heads"},
        {"two_tower", SIZES "\"context_encoder\": {\"num_attn_heads\": 3}}", "model_dim 16 does not divide into 3 heads"},
        {"two_tower", SIZES "\"context_encoder\": {" SMALL "}, \"denoiser\": {\"num_attn_heads\": 5}}", "model_dim 16 does not divide into 5 heads"},
        {"one_tower", SIZES "\"tower\": {\"num_attn_heads\": 3}}", "model_dim 16 does not divide into 3 heads"},
        {"quant_c", SIZES BOOKS "\"tower\": {\"num_attn_heads\": 3}}", "model_dim 16 does not divide into 3 heads"},
        {"quant_d", SIZES BOOKS "\"tower\": {\"num_attn_heads\": 3}}", "model_dim 16 does not divide into 3 heads"},
    };
    fixture *f = *state;
    path store = store_of(f, "store3", 4, 3, f->file.space_hex), text = text_file(f, "text.txt", "Tom ran.\nAnn sang.\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        REFUSED(cases[i].kind, LCM_ERR_SHAPE, cases[i].message, "\"store\": \"%s\", %s, " TASK, store.at, cases[i].sizes);
    REFUSED("base", LCM_ERR_SHAPE, "sonar_embed_dim is 13, the store holds vectors of 12",
            "\"store\": \"%s\", \"model\": {\"sonar_embed_dim\": 13, \"max_seq_len\": 16, \"model_dim\": 16, \"lcm\": {" SMALL "}}, " TASK, store.at);
    REFUSED("llama", LCM_ERR_SHAPE, "hidden_size 20 does not divide into 3 heads",
            "\"tokenizer\": \"%s\", \"data\": [\"%s\"], \"model\": {\"vocab_size\": 400, \"hidden_size\": 20, \"num_attention_heads\": 3}",
            TOKENIZER, text.at);
    REFUSED("sonar", LCM_ERR_SHAPE, "model_dim 20 does not divide into 3 heads",
            "\"tokenizer\": \"%s\", \"data\": [\"%s\"], \"model\": {\"vocab_size\": 400, \"model_dim\": 20, \"attn_heads\": 3}", TOKENIZER,
            text.at);
}

/* The model to go on with, the autoencoder, the stores and the codebooks must all speak of the same space. */
static void another_space(void **state) {
    fixture *f = *state;
    path store = store_of(f, "store3", 4, 3, f->file.space_hex), alien = store_of(f, "alien", 4, 3, "0123456789abcdef");
    path books = books_of(f, "alien.rvq", 0x0123456789abcdef, 1, D);
    const char *quant = SIZES BOOKS "\"tower\": {" SMALL "}}";
    REFUSED("base", LCM_ERR_SHAPE, "was trained in another space than the store's", "\"store\": \"%s\", \"init\": \"%s\", " TASK, alien.at, f->base);
    REFUSED("base", LCM_ERR_SHAPE, "was made in 0123456789abcdef", "\"store\": \"%s\", \"sonar\": \"%s\", \"end_of_text\": \"End.\"", alien.at, f->sonar);
    REFUSED("base", LCM_ERR_SHAPE, "the stores speak different spaces", "\"store\": \"%s\", \"valid_store\": \"%s\", " TASK, store.at, alien.at);
    REFUSED("quant_c", LCM_ERR_SHAPE, "were fitted in the SONAR space 0123456789abcdef", "\"store\": \"%s\", \"rvq\": \"%s\", %s, " TASK, store.at,
            books.at, quant);
    REFUSED("quant_d", LCM_ERR_ARG, "needs a codebook file", "\"store\": \"%s\", %s, " TASK, store.at, quant);
}

/* Codes of another normaliser would be those of other sentences. */
static void another_normalizer(void **state) {
    fixture *f = *state;
    path store = store_of(f, "store3", 4, 3, f->file.space_hex), model = in(f, "quant.safetensors");
    path own = books_of(f, "own.rvq", f->file.space, 1, D), other = books_of(f, "other.rvq", f->file.space, 2, D);
    lcm_quant_config c = toy_quant_config();
    lcm_model_save_opts o = {.dtype = LCM_DT_F32, .space = f->file.space};
    lcm_model *m;
    c.codebooks = 2;
    c.units = U;
    for (int kind = 0; kind < 2; kind++) {
        const char *name = kind ? "quant_d" : "quant_c";
        ok(f, lcm_model_create(f->ctx, &m, name, &c, false));
        lcm_model_init(m, 1);
        ok(f, lcm_model_save(f->ctx, m, &o, model.at));
        lcm_model_free(m);
        REFUSED(name, LCM_ERR_SHAPE, "were fitted behind normaliser", "\"store\": \"%s\", \"init\": \"%s\", \"rvq\": \"%s\", " TASK, store.at, model.at,
                other.at);
        /* only the normaliser was in the way: the next complaint is about something else */
        REFUSED(name, LCM_ERR_ARG, "task.max_len 17 exceeds", "\"store\": \"%s\", \"init\": \"%s\", \"rvq\": \"%s\", \"end_of_text\": \"\","
                " \"task\": {\"max_len\": 17, \"batch_concepts\": 16}, \"criterion\": {\"cf_guidance_probability\": 0.1}", store.at, model.at, own.at);
    }
}

/* A decoder for quantised vectors: only of the codebooks' space, and only with an encoder that stays in it. */
static void decoders_of_other_codebooks(void **state) {
    fixture *f = *state;
    path text = text_file(f, "text.txt", "Tom ran.\nAnn sang.\n");
    path own = books_of(f, "own.rvq", f->file.space, 1, D), alien = books_of(f, "alien.rvq", 1, 1, D), wide = books_of(f, "wide.rvq", f->file.space, 1, D + 2);
    const char *keys = "\"data\": [\"%s\"], \"init\": \"%s\", \"rvq\": \"%s\", \"task\": {\"max_pieces\": 8, \"objective\": {\"freeze_encoder\": %s}}";
    char config[2048];
    snprintf(config, sizeof config, keys, text.at, f->sonar, alien.at, "true");
    refused(f, "sonar", config, LCM_ERR_SHAPE, "were fitted in the SONAR space 0000000000000001");
    snprintf(config, sizeof config, keys, text.at, f->sonar, wide.at, "true");
    refused(f, "sonar", config, LCM_ERR_SHAPE, "is for concepts of 14 channels, the model's have 12");
    snprintf(config, sizeof config, keys, text.at, f->sonar, own.at, "false");
    refused(f, "sonar", config, LCM_ERR_ARG, "needs a model to start from (init) and task.objective.freeze_encoder");
}

/* Nothing to predict: no document, documents of one sentence without an end, pairs that are longer than the window. */
static void nothing_to_train_on(void **state) {
    static const struct {
        const char *kind, *sizes;
    } kinds[] = {{"base", SIZES "\"lcm\": {" SMALL "}}"},
                 {"two_tower", SIZES "\"context_encoder\": {" SMALL "}, \"denoiser\": {\"timestep_embed_dim\": 16, " SMALL "}}"},
                 {"one_tower", SIZES "\"tower\": {" SMALL "}}"},
                 {"quant_c", SIZES BOOKS "\"tower\": {" SMALL "}}"},
                 {"quant_d", SIZES BOOKS "\"tower\": {" SMALL "}}"}};
    fixture *f = *state;
    path none = store_of(f, "none", 3, 0, f->file.space_hex), one = store_of(f, "one", 4, 1, f->file.space_hex);
    path pairs = pairs_of(f, "pairs", 16), empty = text_file(f, "empty.txt", "\n \n"), books = books_of(f, "own.rvq", f->file.space, 1, D);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char rvq[600] = "";
        if (strncmp(kinds[i].kind, "quant", 5) == 0) snprintf(rvq, sizeof rvq, "\"rvq\": \"%s\", ", books.at);
        REFUSED(kinds[i].kind, LCM_ERR_ARG, "no chunk of 2 to 16 concepts", "\"store\": \"%s\", %s%s, " TASK, one.at, rvq, kinds[i].sizes);
        REFUSED(kinds[i].kind, LCM_ERR_ARG, "no pair of 2 to 16 concepts",
                "\"store\": \"%s\", %s%s, \"end_of_text\": \"\", \"task\": {\"max_len\": 16, \"supervised\": true}", pairs.at, rvq, kinds[i].sizes);
        REFUSED(kinds[i].kind, LCM_ERR_ARG, "task.max_len 17 exceeds model.max_seq_len 16",
                "\"store\": \"%s\", %s%s, \"end_of_text\": \"\", \"task\": {\"max_len\": 17}", one.at, rvq, kinds[i].sizes);
    }
    REFUSED("base", LCM_ERR_ARG, "none' holds no document", "\"store\": \"%s\", %s, " TASK, none.at, kinds[0].sizes);
    REFUSED("llama", LCM_ERR_ARG, "the training corpus has no usable document", "\"tokenizer\": \"%s\", \"data\": [\"%s\"], \"model\": {\"vocab_size\": 400}",
            TOKENIZER, empty.at);
    REFUSED("sonar", LCM_ERR_ARG, "the training corpus has no usable sentence", "\"tokenizer\": \"%s\", \"data\": [\"%s\"], \"model\": {\"vocab_size\": 400}",
            TOKENIZER, empty.at);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_that_do_not_divide), cmocka_unit_test(another_space),       cmocka_unit_test(another_normalizer),
        cmocka_unit_test(decoders_of_other_codebooks), cmocka_unit_test(nothing_to_train_on),
    };
    return cmocka_run_group_tests(tests, eval_world_setup, eval_world_teardown);
}
