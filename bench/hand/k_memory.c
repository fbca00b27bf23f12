/* Streams through memory, and fused multiply-adds: what the machine can do at most. Also scale and axpb. */
#include "bench/hand/kernels.h"
#include "bench/hand/vec.h"

#define STEP (4 * VECD)

static double read_sum(const double *x, int64_t n) {
  vecd a = vecd_set(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  int64_t i = 0;
  double sum;

  for (; i + 8 * VECD <= n; i += 8 * VECD) {
    a = vecd_add(a, vecd_load(x + i));
    b = vecd_add(b, vecd_load(x + i + VECD));
    c = vecd_add(c, vecd_load(x + i + 2 * VECD));
    d = vecd_add(d, vecd_load(x + i + 3 * VECD));
    e = vecd_add(e, vecd_load(x + i + 4 * VECD));
    f = vecd_add(f, vecd_load(x + i + 5 * VECD));
    g = vecd_add(g, vecd_load(x + i + 6 * VECD));
    h = vecd_add(h, vecd_load(x + i + 7 * VECD));
  }
  a = vecd_add(vecd_add(a, b), vecd_add(c, d));
  e = vecd_add(vecd_add(e, f), vecd_add(g, h));
  sum = vecd_hadd(vecd_add(a, e));
  for (; i < n; i++)
    sum += x[i];
  return sum;
}

/* out[i] = EXPR of the vectors X and Y, four vectors a step, stored by STORE */
#define LOOP(name, params, STORE, LOADS, EXPR)                                                               \
  static void name params {                                                                                  \
    for (int64_t i = 0; i < n; i += STEP) {                                                                  \
      for (int k = 0; k < 4; k++) {                                                                          \
        const int64_t at = i + k * VECD;                                                                     \
        LOADS;                                                                                               \
        STORE(out + at, EXPR);                                                                               \
      }                                                                                                      \
    }                                                                                                        \
    vec_fence();                                                                                             \
  }
#define LOAD_X const vecd X = vecd_load(x + at)
#define LOAD_XY                                                                                              \
  const vecd X = vecd_load(x + at);                                                                          \
  const vecd Y = vecd_load(y + at)

LOOP(copy, (double *out, const double *x, int64_t n), vecd_store, LOAD_X, X)
LOOP(copy_nt, (double *out, const double *x, int64_t n), vecd_stream, LOAD_X, X)
LOOP(write_plain, (double *out, double value, int64_t n), vecd_store, , vecd_set(value))
LOOP(write_nt, (double *out, double value, int64_t n), vecd_stream, , vecd_set(value))
LOOP(triad, (double *out, const double *x, const double *y, int64_t n), vecd_store, LOAD_XY,
     vecd_fma(Y, vecd_set(3.0), X))
LOOP(triad_nt, (double *out, const double *x, const double *y, int64_t n), vecd_stream, LOAD_XY,
     vecd_fma(Y, vecd_set(3.0), X))
LOOP(scale, (double *out, const double *x, int64_t n), vecd_stream, LOAD_X, vecd_mul(X, vecd_set(2.0)))
LOOP(axpb, (double *out, const double *x, int64_t n), vecd_stream, LOAD_X,
     vecd_mul(vecd_add(X, vecd_set(1.0)), vecd_set(2.0)))

static void axpb_in_place(double *x, int64_t n) {
  const vecd one = vecd_set(1.0), two = vecd_set(2.0);
  int64_t i = 0;

  for (; i + VECD <= n; i += VECD)
    vecd_store(x + i, vecd_mul(vecd_add(vecd_load(x + i), one), two));
  for (; i < n; i++)
    x[i] = (x[i] + 1.0) * 2.0;
}

/* 12 chains hide the latency of 4 cycles on two units; more would spill the 16 registers of AVX2. */
static double fma_chains(int64_t rounds, double *flops) {
  enum { CHAINS = 12 };
  vecd acc[CHAINS], sum = vecd_set(0);
  const vecd m = vecd_set(0.999999), a = vecd_set(1e-6);

  for (int k = 0; k < CHAINS; k++)
    acc[k] = vecd_set(1.0 + k);
  for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++)
      acc[k] = vecd_fma(acc[k], m, a);
  }
  for (int k = 0; k < CHAINS; k++)
    sum = vecd_add(sum, acc[k]);
  *flops = 2.0 * VECD * CHAINS * (double)rounds;
  return vecd_hadd(sum);
}

void HAND(hand_fill_memory)(hand_kernels *k) {
  k->read = read_sum;
  k->copy = copy;
  k->copy_nt = copy_nt;
  k->write = write_plain;
  k->write_nt = write_nt;
  k->triad = triad;
  k->triad_nt = triad_nt;
  k->fma = fma_chains;
  k->scale = scale;
  k->axpb = axpb;
  k->axpb_in_place = axpb_in_place;
}
