/* The two products of attention, for attend.c, which includes this once per width of vectors. A vector wider than a
 * register would live in memory, accumulators and all (gcc 12; twenty times slower). ATTEND_BYTES: the width;
 * ATTEND_CODE: attributes of functions; ATTEND_NAME(x): a name of their own. Each sum runs in the order of its index
 * and multiplies apart from adding (clang would fuse the two where it may), so all widths give the same bits. */
typedef real ATTEND_NAME(vec) __attribute__((vector_size(ATTEND_BYTES), aligned(sizeof(real)), may_alias));
enum { ATTEND_NAME(LANES) = ATTEND_BYTES / sizeof(real) };
#define LCM_VEC ATTEND_NAME(vec)
#define LCM_LANES ATTEND_NAME(LANES)

/* p[i][j] = q_i . k_j for four queries; `row` are offsets of their q. */
ATTEND_CODE static void ATTEND_NAME(scores)(real *p, const real *q, const int64_t *row, const real *kt, int64_t n, int64_t K) {
    int64_t N = padded(n);
    for (int64_t j = 0; j < N; j += 2 * LCM_LANES) {
        LCM_VEC s[QUERIES][2];
#pragma GCC unroll 4
        for (int i = 0; i < QUERIES; i++) s[i][0] = s[i][1] = (LCM_VEC){0};
        for (int64_t c = 0; c < K; c++) {
            LCM_VEC a = *(const LCM_VEC *)(kt + c * N + j), b = *(const LCM_VEC *)(kt + c * N + j + LCM_LANES);
#pragma GCC unroll 4
            for (int i = 0; i < QUERIES; i++) {
                LCM_VEC x = q[row[i] + c] * a, y = q[row[i] + c] * b;
                s[i][0] += x;
                s[i][1] += y;
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < QUERIES; i++) {
            *(LCM_VEC *)(p + i * N + j) = s[i][0];
            *(LCM_VEC *)(p + i * N + j + LCM_LANES) = s[i][1];
        }
    }
}

/* o_i = sum_j p[i][j] v_j; columns by eight vectors, then one by one. */
ATTEND_CODE static void ATTEND_NAME(mix)(real *o, const int64_t *row, const real *p, const real *v, int64_t n, int64_t K) {
    int64_t N = padded(n), c = 0;
    for (; c + 2 * LCM_LANES <= K; c += 2 * LCM_LANES) {
        LCM_VEC s[QUERIES][2];
#pragma GCC unroll 4
        for (int i = 0; i < QUERIES; i++) s[i][0] = s[i][1] = (LCM_VEC){0};
        for (int64_t j = 0; j < n; j++) {
            LCM_VEC a = *(const LCM_VEC *)(v + j * K + c), b = *(const LCM_VEC *)(v + j * K + c + LCM_LANES);
#pragma GCC unroll 4
            for (int i = 0; i < QUERIES; i++) {
                LCM_VEC x = p[i * N + j] * a, y = p[i * N + j] * b;
                s[i][0] += x;
                s[i][1] += y;
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < QUERIES; i++) {
            *(LCM_VEC *)(o + row[i] + c) = s[i][0];
            *(LCM_VEC *)(o + row[i] + c + LCM_LANES) = s[i][1];
        }
    }
    for (; c < K; c++) {
        for (int i = 0; i < QUERIES; i++) {
            real s = 0;
            for (int64_t j = 0; j < n; j++) {
                real x = p[i * N + j] * v[j * K + c];
                s += x;
            }
            o[row[i] + c] = s;
        }
    }
}

#undef LCM_VEC
#undef LCM_LANES
#undef ATTEND_BYTES
#undef ATTEND_CODE
#undef ATTEND_NAME
