/* Speed of a SONAR encoder or decoder on given token ids. One line per measurement.
 *
 *   sonar_speed FILE encode SENTENCES TOKENS [THREADS] [RUNS]           sentences/s; TOKENS 0: lengths 6 … 72
 *   sonar_speed FILE decode SENTENCES TOKENS [THREADS] [RUNS] [BEAM]    tokens/s, TOKENS each are forced, at least 3
 *
 * The ids are those that bench/peer_int8.py gives its programs. One thread is timed by its CPU time, loading and the
 * first result always by the clock. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "sonar/batch.h"
#include "sonar/beam.h"
#include "sonar/encoder.h"
#include "sonar/sonar_io.h"

enum { MAX_RUNS = 1000 };

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Quantiles of the tokens of an English sentence: 27 in the mean. */
static const int lengths[16] = {6, 9, 12, 14, 16, 18, 20, 22, 24, 27, 30, 33, 37, 42, 50, 72};

typedef struct job {
    const lcm_sonar_net *net;
    lcm_sonar_encoder *enc;
    lcm_sonar_batch batch;
    real *out;
    int64_t n, tokens;
    lcm_beam_opts beam;
    char end[80]; /* what shows that all programs computed the same */
} job;

static lcm_status encode(lcm_ctx *ctx, job *j) {
    LCM_TRY(lcm_sonar_encoder_run(ctx, j->out, j->enc, &j->batch, LCM_POOL_MEAN));
    snprintf(j->end, sizeof j->end, "%.6g %.6g %.6g %.6g", (double)j->out[0], (double)j->out[1], (double)j->out[2], (double)j->out[3]);
    return LCM_OK;
}

static lcm_status decode(lcm_ctx *ctx, job *j) {
    static lcm_hypotheses h[1024];
    const int32_t prompt[2] = {3, 5};
    LCM_TRY(lcm_beam_search(ctx, h, j->net, j->out, j->n, prompt, 2, &j->beam));
    snprintf(j->end, sizeof j->end, "%d %d %d %d", (int)h[0].items[0].ids[0], (int)h[0].items[0].ids[1],
             (int)h[0].items[0].ids[2], (int)h[0].items[0].ids[3]);
    for (int64_t i = 0; i < j->n; i++) lcm_hypotheses_free(&h[i]);
    return LCM_OK;
}

static lcm_status fill_encode(lcm_ctx *ctx, job *j, lcm_arena *arena) {
    lcm_sonar_packer p;
    int64_t T = 0;
    int32_t ids[1024];
    for (int64_t i = 0; i < j->n; i++) T += j->tokens ? j->tokens : lengths[i % 16];
    LCM_TRY(lcm_sonar_packer_begin(ctx, &p, arena, j->n, T));
    for (int64_t i = 0; i < j->n; i++) {
        int64_t len = j->tokens ? j->tokens : lengths[i % 16];
        for (int64_t t = 0; t < len; t++) ids[t] = (int32_t)(4 + (i * 7919 + t * 104729) % (j->net->config.vocab_size - 4));
        lcm_sonar_packer_push(&p, ids, len, (lcm_pieces){ids, 0}, ids, 0);
    }
    j->batch = p.b;
    return lcm_sonar_encoder_new(ctx, &j->enc, j->net);
}

static lcm_status run(lcm_ctx *ctx, int argc, char **argv, lcm_arena *arena) {
    bool encoding = strcmp(argv[2], "encode") == 0;
    job j = {.n = atoll(argv[3]), .tokens = atoll(argv[4]), .beam = lcm_beam_opts_default()};
    int threads = argc > 5 ? atoi(argv[5]) : 1, runs = argc > 6 ? atoi(argv[6]) : 5;
    clockid_t clock = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    double t[MAX_RUNS], t0 = now(CLOCK_MONOTONIC), loaded, first = 0, work;
    lcm_sonar_file f;
    struct rusage usage;
    omp_set_num_threads(threads);
    LCM_TRY(lcm_sonar_load(ctx, &f, argv[1], encoding ? LCM_SONAR_ENCODER : LCM_SONAR_DECODER));
    loaded = now(CLOCK_MONOTONIC) - t0;
    j.net = f.net;
    j.out = lcm_arena_zalloc(arena, (size_t)(j.n * f.config.model_dim) * sizeof(real));
    if (encoding) LCM_TRY(fill_encode(ctx, &j, arena));
    else {
        j.beam.beam_size = argc > 7 ? atoll(argv[7]) : 1;
        j.beam.min_gen_len = j.beam.max_gen_len = j.tokens + 1;
        for (int64_t i = 0; i < j.n * f.config.model_dim; i++) j.out[i] = (real)((double)(i * 7919 % 1009) / 1009 - 0.5) * (real)0.024;
    }
    for (int i = -1; i < runs && i < MAX_RUNS; i++) { /* the first one warms up */
        double begin = now(clock);
        LCM_TRY(encoding ? encode(ctx, &j) : decode(ctx, &j));
        if (i >= 0) t[i] = now(clock) - begin;
        else first = now(CLOCK_MONOTONIC) - t0;
    }
    qsort(t, (size_t)runs, sizeof *t, ascending);
    work = encoding ? (double)j.n : (double)(j.n * j.tokens);
    getrusage(RUSAGE_SELF, &usage);
    printf("lcm %s %lldx%lld threads %d beam %lld  best %.2f median %.2f %s  load %.3f first %.3f s  peak %.2f GB  ends %s\n", argv[2], (long long)j.n,
           (long long)j.tokens, threads, (long long)(encoding ? 0 : j.beam.beam_size), work / t[0], work / t[runs / 2],
           encoding ? "sentences/s" : "tokens/s", loaded, first, (double)usage.ru_maxrss / 1048576, j.end);
    lcm_sonar_encoder_free(j.enc);
    lcm_sonar_file_close(&f);
    return LCM_OK;
}

int main(int argc, char **argv) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_arena *arena = lcm_arena_new(1 << 16);
    lcm_status st;
    if (argc < 5 || ctx == NULL || arena == NULL) {
        fprintf(stderr, "usage: sonar_speed FILE encode|decode SENTENCES TOKENS [THREADS] [RUNS] [BEAM]\n");
        return 2;
    }
    st = run(ctx, argc, argv, arena);
    if (st) fprintf(stderr, "sonar_speed: %s\n", lcm_ctx_message(ctx));
    lcm_arena_free(arena);
    lcm_ctx_free(ctx);
    return st != LCM_OK;
}
