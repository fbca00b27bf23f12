/*
 * Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011) in
 * registers.
 *
 * Each 64-bit lane holds one 32-bit word of a counter. The multiplication reads only the lower half of a
 * lane, so the upper halves may hold anything and no masking is needed until the words are put together.
 */
#include "bench/hand/kernels.h"
#include "bench/hand/vec.h"

#define SETS 4 /* counters in flight: hides the latency of the multiplications */

typedef struct words {
  vecu w0, w1, w2, w3;
} words;

typedef struct keys {
  vecu a[10], b[10];
} keys;

static void make_keys(uint64_t seed, keys *k) {
  uint32_t a = (uint32_t)seed, b = (uint32_t)(seed >> 32);

  for (int r = 0; r < 10; r++) {
    k->a[r] = vecu_set(a);
    k->b[r] = vecu_set(b);
    a += 0x9E3779B9u;
    b += 0xBB67AE85u;
  }
}

VEC_INLINE words start(uint64_t stream, uint64_t block) {
  const vecu count = vecu_count(block);
  return (words){count, vecu_high(count), vecu_set(stream & 0xffffffffu), vecu_set(stream >> 32 & 0xffffffu)};
}

VEC_INLINE words one_round(words c, vecu ka, vecu kb) {
  const vecu p0 = vecu_mul32(c.w0, vecu_set(0xD2511F53u)), p1 = vecu_mul32(c.w2, vecu_set(0xCD9E8D57u));
  return (words){vecu_xor3(vecu_high(p1), c.w1, ka), p1, vecu_xor3(vecu_high(p0), c.w3, kb), p0};
}

VEC_INLINE void rounds(words c[SETS], const keys *k) {
  for (int r = 0; r < 10; r++) {
#pragma GCC unroll 4
    for (int s = 0; s < SETS; s++)
      c[s] = one_round(c[s], k->a[r], k->b[r]);
  }
}

static double philox(uint64_t seed, uint64_t stream, uint64_t block, int64_t n_blocks) {
  const vecd unit = vecd_set(0x1p-53);
  vecd sum0 = vecd_set(0), sum1 = sum0;
  keys k;

  make_keys(seed, &k);
  for (int64_t i = 0; i < n_blocks; i += SETS * VECD) {
    words c[SETS];
    for (int s = 0; s < SETS; s++)
      c[s] = start(stream, block + (uint64_t)(i + s * VECD));
    rounds(c, &k);
    for (int s = 0; s < SETS; s++) {
      sum0 = vecd_add(sum0, vecd_mul(vecu_to_53(c[s].w0, c[s].w1), unit));
      sum1 = vecd_add(sum1, vecd_mul(vecu_to_53(c[s].w2, c[s].w3), unit));
    }
  }
  return vecd_hadd(vecd_add(sum0, sum1));
}

/* Both doubles of a block stand side by side in memory, and in two vectors here. */
static void uniform(uint64_t seed, uint64_t stream, uint64_t block, int64_t n_blocks, double *out) {
  const vecd unit = vecd_set(0x1p-53);
  double even[VECD], odd[VECD];
  keys k;

  make_keys(seed, &k);
  for (int64_t i = 0; i < n_blocks; i += SETS * VECD) {
    words c[SETS];
    for (int s = 0; s < SETS; s++)
      c[s] = start(stream, block + (uint64_t)(i + s * VECD));
    rounds(c, &k);
    for (int s = 0; s < SETS; s++) {
      double *to = out + 2 * (i + s * VECD);
      vecd_store(even, vecd_mul(vecu_to_53(c[s].w0, c[s].w1), unit));
      vecd_store(odd, vecd_mul(vecu_to_53(c[s].w2, c[s].w3), unit));
      for (int v = 0; v < VECD; v++) {
        to[2 * v] = even[v];
        to[2 * v + 1] = odd[v];
      }
    }
  }
}

VEC_INLINE unsigned inside(vecu x0, vecu x1, vecu y0, vecu y1) {
  const vecd unit = vecd_set(0x1p-53);
  const vecd x = vecd_mul(vecu_to_53(x0, x1), unit), y = vecd_mul(vecu_to_53(y0, y1), unit);
  const vecd r = vecd_add(vecd_mul(x, x), vecd_mul(y, y));
  return vecd_bits(vecd_le(r, vecd_set(1.0)));
}

static int64_t pi(uint64_t seed, uint64_t stream_x, uint64_t stream_y, uint64_t block, int64_t n_blocks) {
  int64_t count = 0;
  keys k;

  make_keys(seed, &k);
  for (int64_t i = 0; i < n_blocks; i += SETS / 2 * VECD) {
    words c[SETS];
    for (int s = 0; s < SETS; s += 2) {
      const uint64_t at = block + (uint64_t)(i + s / 2 * VECD);
      c[s] = start(stream_x, at);
      c[s + 1] = start(stream_y, at);
    }
    rounds(c, &k);
    for (int s = 0; s < SETS; s += 2) {
      count += __builtin_popcount(inside(c[s].w0, c[s].w1, c[s + 1].w0, c[s + 1].w1));
      count += __builtin_popcount(inside(c[s].w2, c[s].w3, c[s + 1].w2, c[s + 1].w3));
    }
  }
  return count;
}

void HAND(hand_fill_random)(hand_kernels *k) {
  k->philox = philox;
  k->uniform = uniform;
  k->pi = pi;
}
