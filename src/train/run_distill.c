/* Training run of a student encoder: a SONAR file and text in, a smaller encoder of the same space out. */
#include "sonar/sonar_io.h"
#include "train/run_inputs.h"
#include "train/task_distill.h"

/* What the student need not share with its teacher. */
typedef struct student_config {
    int64_t encoder_layers, attn_heads, ffn_inner_dim;
    double dropout;
} student_config;

typedef struct config {
    char kind[32], teacher[1024], segment_lang[32];
    bool presegmented, parallel;
    student_config model;
    lcm_task_distill_config task;
    lcm_trainer_config train;
} config;

static const lcm_field student_fields[] = {
    LCM_F_INT(student_config, encoder_layers, 1, 1024, "encoder layers"),
    LCM_F_INT(student_config, attn_heads, 1, 1024, "attention heads"),
    LCM_F_INT(student_config, ffn_inner_dim, 1, 1048576, "inner width of the feed-forward network"),
    LCM_F_REAL(student_config, dropout, 0, 0.9, "dropout after embedding, attention and feed-forward"),
    LCM_F_END};

static const lcm_field fields[] = {
    LCM_F_STRING(config, kind, "distill"),
    LCM_F_STRING(config, teacher, "SONAR file whose encoder is imitated"),
    LCM_F_STRING(config, segment_lang, "language of the sentence segmenter"),
    LCM_F_BOOL(config, presegmented, "every document (line) is one sentence already"),
    LCM_F_BOOL(config, parallel, "pairs, the teacher reads tgt, the student src: JSON lines with src, src_lang, tgt, tgt_lang"),
    LCM_F_STRUCT(config, model, student_fields, "sizes of the student; width, pooling and tokeniser are the teacher's"),
    LCM_F_STRUCT(config, task, lcm_task_distill_fields, "batches"),
    LCM_F_STRUCT(config, train, lcm_trainer_fields, "optimisation"),
    LCM_F_END};

static void defaults(void *out) {
    config *c = out;
    *c = (config){.kind = "distill", .segment_lang = "en", .model = {.encoder_layers = 2, .attn_heads = 4, .ffn_inner_dim = 1024},
                  .task = lcm_task_distill_config_default(), .train = lcm_trainer_config_default()};
    c->train.lr = lcm_run_lr(1e-3, 1e-5);
    c->train.adamw = (lcm_adamw_config){.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01};
    c->train.max_grad_norm = 1;
}

typedef struct state {
    lcm_sonar_file teacher;
    lcm_sonar *student;
    lcm_run_sentences train, valid;
    lcm_task *task;
} state;

static lcm_status new_student(lcm_ctx *ctx, state *s, const config *c) {
    lcm_sonar_config m = s->teacher.config;
    m.encoder_layers = c->model.encoder_layers;
    m.attn_heads = c->model.attn_heads;
    m.ffn_inner_dim = c->model.ffn_inner_dim;
    m.dropout = c->model.dropout;
    m.share_embeddings = false; /* there is no decoder to share with */
    LCM_TRY(lcm_sonar_config_check(ctx, &m));
    LCM_TRY(lcm_sonar_new(ctx, &s->student, &m, LCM_SONAR_ENCODER, true));
    lcm_params_init(&s->student->params, (uint64_t)c->train.seed);
    return LCM_OK;
}

static lcm_status prepare(lcm_ctx *ctx, state *s, const config *c, const json_t *resolved) {
    lcm_corpus_opts o = {.lang = c->segment_lang, .presegmented = c->presegmented, .max_pieces = c->task.max_pieces};
    if (c->teacher[0] == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "config.teacher: a SONAR file is required");
    LCM_TRY(lcm_sonar_load(ctx, &s->teacher, c->teacher, LCM_SONAR_ENCODER));
    if (c->task.max_pieces + 2 > s->teacher.config.max_seq_len)
        LCM_FAIL(ctx, LCM_ERR_ARG, "task.max_pieces %lld leaves no room for specials in the teacher's max_seq_len %lld",
                 (long long)c->task.max_pieces, (long long)s->teacher.config.max_seq_len);
    LCM_TRY(new_student(ctx, s, c));
    LCM_TRY(lcm_run_sentences_read(ctx, &s->train, resolved, "data", s->teacher.tok, s->teacher.lang, &o, c->parallel));
    LCM_TRY(lcm_run_sentences_read(ctx, &s->valid, resolved, "valid", s->teacher.tok, s->teacher.lang, &o, c->parallel));
    lcm_log(ctx, LCM_LOG_INFO, "distill: %lld parameters, the teacher has %lld", (long long)s->student->params.count,
            (long long)s->teacher.net->parameters);
    return lcm_task_distill_new(ctx, &s->task, &c->task, s->student, &s->teacher, c->teacher, &s->train.data,
                                s->valid.data.target->n ? &s->valid.data : NULL, (uint64_t)c->train.seed);
}

static lcm_status run(lcm_ctx *ctx, void *run_config, const json_t *resolved, lcm_run_hooks *hooks) {
    const config *c = run_config;
    state s = {0};
    lcm_status st = prepare(ctx, &s, c, resolved);
    if (st == LCM_OK) st = lcm_run_task(ctx, &c->train, s.task, resolved, hooks);
    lcm_task_distill_free(s.task);
    lcm_run_sentences_free(&s.train);
    lcm_run_sentences_free(&s.valid);
    lcm_sonar_free(s.student);
    lcm_sonar_file_close(&s.teacher);
    return st;
}

const lcm_run_kind lcm_run_distill = {.name = "distill", .help = "smaller encoder of an existing space", .size = sizeof(config),
                                       .defaults = defaults, .fields = fields, .raw = lcm_run_text_lists, .run = run};
