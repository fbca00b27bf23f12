/* Reductions of one range: moments in cache-sized blocks, argmax by block maxima, sums of rows. */
#include "bench/hand/kernels.h"
#include "bench/hand/vec.h"

#define BLOCK 2048 /* 16 KiB: the second pass over a block finds it in L1 */

static hand_moments block_moments(const double *x, int64_t n, const hand_kernels *k) {
  hand_moments m = {(double)n, k->read(x, n) / (double)n, 0};
  const vecd mean = vecd_set(m.mean);
  vecd acc[4] = {vecd_set(0), vecd_set(0), vecd_set(0), vecd_set(0)};
  int64_t i = 0;

  for (; i + 4 * VECD <= n; i += 4 * VECD) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
      const vecd d = vecd_sub(vecd_load(x + i + v * VECD), mean);
      acc[v] = vecd_fma(d, d, acc[v]);
    }
  }
  m.m2 = vecd_hadd(vecd_add(vecd_add(acc[0], acc[1]), vecd_add(acc[2], acc[3])));
  for (; i < n; i++)
    m.m2 += (x[i] - m.mean) * (x[i] - m.mean);
  return m;
}

static hand_moments moments(const double *x, int64_t n) {
  const hand_kernels *k = hand_kernels_get();
  hand_moments all = {0, 0, 0};

  for (int64_t i = 0; i < n; i += BLOCK)
    all = hand_moments_merge(all, block_moments(x + i, n - i < BLOCK ? n - i : BLOCK, k));
  return all;
}

static double block_max(const double *x, int64_t n) {
  double best = x[0];
  int64_t i = 0;

  if (n >= 4 * VECD) {
    vecd top[4] = {vecd_load(x), vecd_load(x + VECD), vecd_load(x + 2 * VECD), vecd_load(x + 3 * VECD)};
    for (i = 4 * VECD; i + 4 * VECD <= n; i += 4 * VECD) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; v++)
        top[v] = vecd_max(top[v], vecd_load(x + i + v * VECD));
    }
    best = vecd_hmax(vecd_max(vecd_max(top[0], top[1]), vecd_max(top[2], top[3])));
  }
  for (; i < n; i++)
    best = x[i] > best ? x[i] : best;
  return best;
}

/* The index is looked for only in a block whose maximum beats all before it: few blocks, and in L1. */
static hand_top top(const double *x, int64_t n) {
  hand_top best = {x[0], 0};

  for (int64_t i = 0; i < n; i += BLOCK) {
    const int64_t count = n - i < BLOCK ? n - i : BLOCK;
    const double m = block_max(x + i, count);
    if (m > best.value) {
      int64_t at = i;
      while (x[at] != m)
        at++;
      best = (hand_top){m, at};
    }
  }
  return best;
}

/* Four rows at once: the accumulators, which do not fit L1, are read and written a quarter as often. */
static void add_rows(double *acc, const double *x, int64_t rows, int64_t cols, int64_t row_stride) {
  int64_t r = 0;

  for (; r + 4 <= rows; r += 4) {
    const double *a = x + r * row_stride, *b = a + row_stride, *c = b + row_stride, *d = c + row_stride;
    int64_t j = 0;
    for (; j + VECD <= cols; j += VECD) {
      const vecd ab = vecd_add(vecd_load(a + j), vecd_load(b + j));
      const vecd cd = vecd_add(vecd_load(c + j), vecd_load(d + j));
      vecd_store(acc + j, vecd_add(vecd_load(acc + j), vecd_add(ab, cd)));
    }
    for (; j < cols; j++)
      acc[j] += (a[j] + b[j]) + (c[j] + d[j]);
  }
  for (; r < rows; r++)
    for (int64_t j = 0; j < cols; j++)
      acc[j] += x[r * row_stride + j];
}

void HAND(hand_fill_reduce)(hand_kernels *k) {
  k->moments = moments;
  k->top = top;
  k->add_rows = add_rows;
}
