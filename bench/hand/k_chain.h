/*
 * The ten chains as plain fused loops, for one real type: include with REAL, V(name), LANES and FILL defined.
 * Which expression is which: bench/chains.h.
 */
#include "bench/chains.h"
#include "bench/hand/kernels.h"
#include "bench/hand/vec.h"

typedef V() vec;

#define C(x) V(_set)((REAL)(x))
#define ADD(x, y) V(_add)(x, y)
#define SUB(x, y) V(_sub)(x, y)
#define MUL(x, y) V(_mul)(x, y)
#define DIV(x, y) V(_div)(x, y)
#define FMA(x, y, z) V(_fma)(x, y, z)

#define CHAIN_LOOP(expr)                                                                                     \
  for (int64_t i = 0; i < n; i += LANES) {                                                                   \
    expr;                                                                                                    \
  }
#define A V(_load)(in[0] + i)
#define B V(_load)(in[1] + i)
#define CC V(_load)(in[2] + i)
#define D V(_load)(in[3] + i)
#define OUT(e) V(_stream)(out + i, e)

static void axpby(REAL *out, const REAL *const *in, int64_t n) {
  CHAIN_LOOP(OUT(FMA(C(3), B, MUL(C(2), A))))
}

static void squares(REAL *out, const REAL *const *in, int64_t n) {
  CHAIN_LOOP(const vec a = A; const vec b = B; OUT(FMA(MUL(C(2), a), b, FMA(a, a, MUL(b, b)))))
}

static void sincos_chain(REAL *out, const REAL *const *in, int64_t n) {
  CHAIN_LOOP(const vec s = V(_sin)(A); const vec c = V(_cos)(B); OUT(FMA(s, s, MUL(c, c))))
}

static void where_chain(REAL *out, const REAL *const *in, int64_t n) {
  CHAIN_LOOP(const vec a = A; const vec b = B; const vec c = CC;
             const vec inner = V(_select)(V(_lt)(C(0.5), c), ADD(a, c), SUB(b, c));
             OUT(V(_select)(V(_and)(V(_lt)(C(0.25), a), V(_lt)(b, C(0.75))), SUB(MUL(a, b), c), inner)))
}

static void explog(REAL *out, const REAL *const *in, int64_t n) {
  CHAIN_LOOP(const vec l = V(_log)(ADD(V(_exp)(A), V(_exp)(B)));
             OUT(FMA(V(_log)(ADD(C(1), CC)), V(_exp)(SUB(C(0), D)), l)))
}

static void horner(REAL *out, const REAL *const *in, int64_t n) {
  CHAIN_LOOP(const vec a = A; vec p = C(bench_horner[BENCH_HORNER_DEGREE]);
             for (int k = BENCH_HORNER_DEGREE - 1; k >= 0; k--) p = FMA(p, a, C(bench_horner[k])); OUT(p))
}

static void distance(REAL *out, const REAL *const *in, int64_t n) {
  CHAIN_LOOP(const vec x = SUB(A, B); const vec y = SUB(CC, D); OUT(V(_sqrt)(FMA(x, x, MUL(y, y)))))
}

static void logistic(REAL *out, const REAL *const *in, int64_t n) {
  CHAIN_LOOP(OUT(DIV(C(1), ADD(C(1), V(_exp)(SUB(C(0), A))))))
}

static void options(REAL *out, const REAL *const *in, int64_t n) {
  CHAIN_LOOP(const vec s = ADD(A, C(1)); const vec k = ADD(B, C(1)); const vec t = ADD(CC, C(0.125));
             const vec v = FMA(D, C(0.5), C(0.125)); const vec vt = MUL(v, V(_sqrt)(t));
             const vec d1 = DIV(FMA(FMA(MUL(C(0.5), v), v, C(0.03125)), t, V(_log)(DIV(s, k))), vt);
             const vec d2 = SUB(d1, vt); const vec n1 = ADD(C(1), V(_tanh)(MUL(C(0.8125), d1)));
             const vec n2 = ADD(C(1), V(_tanh)(MUL(C(0.8125), d2)));
             const vec e = V(_exp)(MUL(C(-0.03125), t)); OUT(SUB(MUL(s, n1), MUL(MUL(k, e), n2))))
}

static void blosc_bool(bool *out, const REAL *const *in, int64_t n) {
  CHAIN_LOOP(const vec a = A; const vec e = FMA(MUL(a, a), a, V(_sin)(ADD(a, a)));
             const unsigned m = V(_bits)(V(_and)(V(_lt)(e, CC), V(_lt)(C(0), B)));
             for (int k = 0; k < LANES; k++) out[i + k] = m >> k & 1;)
}

static void chain(int which, void *out, const REAL *const *in, int64_t n) {
  static void (*const table[HAND_CHAINS - 1])(REAL *, const REAL *const *, int64_t) = {
      axpby, squares, sincos_chain, where_chain, explog, horner, distance, logistic, options};

  if (which == HAND_CHAINS - 1)
    blosc_bool(out, in, n);
  else
    table[which](out, in, n);
  vec_fence();
}

static void touch(void *out, int out_bytes, const REAL *const *in, int n_in, int64_t n) {
  REAL *dst = out;
  bool *flag = out;

  for (int64_t i = 0; i < n; i += LANES) {
    vec sum = A;
    for (int k = 1; k < n_in; k++)
      sum = ADD(sum, V(_load)(in[k] + i));
    if (out_bytes == sizeof(REAL))
      V(_stream)(dst + i, sum);
    else
      memset(flag + i, V(_bits)(V(_lt)(C(0.5), sum)) != 0, LANES);
  }
  vec_fence();
}

void FILL(hand_kernels *k) {
  k->CHAIN_SLOT = chain;
  k->TOUCH_SLOT = touch;
}
