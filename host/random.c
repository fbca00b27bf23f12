/*
 * Random fills, index ramps and the copy past the caches.
 *
 * Layer: host. The values are defined at mx_random in engine/program.h: element e of a stream depends on (seed, stream, e)
 * alone, and has the same bits for every instruction set.
 */
#include "host/loops_impl.h"
#include "host/scalar_half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ALWAYS static inline __attribute__((always_inline))
#include "host/random_philox.inc"

#define MX_BM ALWAYS
#define f32 float
#define f64 double
#define u32 uint32_t
#define u64 uint64_t
ALWAYS u64 mx_bm_bits64(f64 x) {
  u64 u;
  memcpy(&u, &x, sizeof u);
  return u;
}
ALWAYS f64 mx_bm_of64(u64 u) {
  f64 x;
  memcpy(&x, &u, sizeof x);
  return x;
}
#define mx_bm_bits32 mx_bits_of_f32
#define mx_bm_of32 mx_f32_of_bits
#include "engine/box_muller.h"
#undef f32
#undef f64
#undef u32
#undef u64

/* Elements handled at a time by everything that is not a uniform fill with step 1. */
enum { BLOCK = 256, GROUP_BYTES = 128 };

/* ---- uniform -------------------------------------------------------------------------------------- */

typedef struct scaling {
  double low, span, limit; /* low + u * span, at most limit */
} scaling;

static scaling scaling_of(const mx_random *r) {
  if (r->dtype == MARS_F32) {
    float low = (float)r->p0, high = (float)r->p1;
    return (scaling){low, high - low, high > low ? nextafterf(high, low) : low};
  }
  return (scaling){r->p0, r->p1 - r->p0, r->p1 > r->p0 ? nextafter(r->p1, r->p0) : r->p0};
}

ALWAYS double f64_of_word(uint64_t w, bool unit, const scaling *s) {
  double u = (double)(int64_t)(w >> 11) * 0x1p-53;
  if (unit) return u;
  u = s->low + u * s->span;
  return u < s->limit ? u : s->limit;
}
ALWAYS float f32_of_word(uint32_t w, bool unit, const scaling *s) {
  float u = (float)(int32_t)(w >> 8) * 0x1p-24f;
  if (unit) return u;
  u = (float)s->low + u * (float)s->span;
  return u < (float)s->limit ? u : (float)s->limit;
}

/* What a word becomes. Every mode writes as many bytes as it reads. */
typedef enum mode { RAW, F64_UNIT, F64_SCALED, F32_UNIT, F32_SCALED } mode;

#if defined(__AVX512F__)
ALWAYS __m512i convert(mode how, __m512i v, const scaling *s) {
  if (how == F64_UNIT || how == F64_SCALED) {
    __m512d u = _mm512_mul_pd(_mm512_cvtepu64_pd(_mm512_srli_epi64(v, 11)), _mm512_set1_pd(0x1p-53));
    if (how == F64_SCALED) {
      u = _mm512_add_pd(_mm512_set1_pd(s->low), _mm512_mul_pd(u, _mm512_set1_pd(s->span)));
      u = _mm512_min_pd(u, _mm512_set1_pd(s->limit));
    }
    return _mm512_castpd_si512(u);
  }
  if (how == F32_UNIT || how == F32_SCALED) {
    __m512 u = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32(v, 8)), _mm512_set1_ps(0x1p-24f));
    if (how == F32_SCALED) {
      u = _mm512_add_ps(_mm512_set1_ps((float)s->low), _mm512_mul_ps(u, _mm512_set1_ps((float)s->span)));
      u = _mm512_min_ps(u, _mm512_set1_ps((float)s->limit));
    }
    return _mm512_castps_si512(u);
  }
  return v;
}
#elif defined(__AVX2__)
/* The 53 bits as 2^52 + low 32 and 2^84 + high 21, in the mantissas of doubles; the sum of the two is exact. */
ALWAYS __m256i convert(mode how, __m256i v, const scaling *s) {
  if (how == F64_UNIT || how == F64_SCALED) {
    __m256i w = _mm256_srli_epi64(v, 11);
    __m256i lo = _mm256_blend_epi32(w, _mm256_set1_epi64x(0x4330000000000000), 0xAA);
    __m256i hi = _mm256_or_si256(_mm256_srli_epi64(v, 43), _mm256_set1_epi64x(0x4530000000000000));
    __m256d u = _mm256_sub_pd(_mm256_castsi256_pd(hi), _mm256_set1_pd(0x1p84 + 0x1p52));
    u = _mm256_mul_pd(_mm256_add_pd(u, _mm256_castsi256_pd(lo)), _mm256_set1_pd(0x1p-53));
    if (how == F64_SCALED) {
      u = _mm256_add_pd(_mm256_set1_pd(s->low), _mm256_mul_pd(u, _mm256_set1_pd(s->span)));
      u = _mm256_min_pd(u, _mm256_set1_pd(s->limit));
    }
    return _mm256_castpd_si256(u);
  }
  if (how == F32_UNIT || how == F32_SCALED) {
    __m256 u = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(v, 8)), _mm256_set1_ps(0x1p-24f));
    if (how == F32_SCALED) {
      u = _mm256_add_ps(_mm256_set1_ps((float)s->low), _mm256_mul_ps(u, _mm256_set1_ps((float)s->span)));
      u = _mm256_min_ps(u, _mm256_set1_ps((float)s->limit));
    }
    return _mm256_castps_si256(u);
  }
  return v;
}
#endif

/* Blocks by scalar code: other machines, and the group in which the low counter word carries. */
ALWAYS void blocks_scalar(mode how, const philox *p, const scaling *s, uint64_t block, int64_t blocks, char *dst) {
  MX_IVDEP for (int64_t k = 0; k < blocks; k++) {
    uint64_t w[2];
    philox_block(p, block + (uint64_t)k, w);
    if (how == F32_UNIT || how == F32_SCALED) {
      float t[4];
      for (int j = 0; j < 4; j++) t[j] = f32_of_word((uint32_t)(w[j / 2] >> j % 2 * 32), how == F32_UNIT, s);
      memcpy(dst + k * 16, t, 16);
    } else if (how == RAW) {
      memcpy(dst + k * 16, w, 16);
    } else {
      double t[2] = {f64_of_word(w[0], how == F64_UNIT, s), f64_of_word(w[1], how == F64_UNIT, s)};
      memcpy(dst + k * 16, t, 16);
    }
  }
}

#if defined(__AVX2__)
/* `vectors` vectors of blocks from these counters on, converted. */
ALWAYS void vectors_of(mode how, const segment *seg, group_vector counters, int vectors, const scaling *s, char *dst) {
  group_vector v[2 * FLIGHT];
  blocks_of(seg, counters, vectors, v);
#pragma GCC unroll 16
  for (int j = 0; j < 2 * vectors; j++) {
    v[j] = convert(how, v[j], s);
    memcpy(dst + j * (int)sizeof v[j], &v[j], sizeof v[j]);
  }
}
#endif

/* Whole groups from `block` on, converted. */
ALWAYS void groups(mode how, const philox *p, const scaling *s, uint64_t block, int64_t n_groups, char *dst) {
#if defined(__AVX2__)
  enum { ONE = 8 / WIDE_LANES, MANY = FLIGHT / ONE }; /* vectors of a group, groups in flight */
  while (n_groups > 0) {
    uint64_t left = ((uint64_t)1 << 32) - (uint32_t)block; /* blocks before the carry */
    int64_t n = (uint64_t)n_groups < left / 8 ? n_groups : (int64_t)(left / 8), k = 0;
    segment seg = segment_of(p, (uint32_t)(block >> 32));
    group_vector counters = counters_of((uint32_t)block);
    for (; k + MANY <= n; k += MANY, dst += MANY * GROUP_BYTES) {
      vectors_of(how, &seg, counters, FLIGHT, s, dst);
      counters = ADD(counters, SET(8 * MANY));
    }
    for (; k < n; k++, dst += GROUP_BYTES) {
      vectors_of(how, &seg, counters, ONE, s, dst);
      counters = ADD(counters, SET(8));
    }
    block += (uint64_t)n * 8;
    n_groups -= n;
    if (n_groups > 0) {
      blocks_scalar(how, p, s, block, 8, dst);
      block += 8;
      dst += GROUP_BYTES;
      n_groups--;
    }
  }
#else
  blocks_scalar(how, p, s, block, n_groups * 8, dst);
#endif
}

/* n elements from element `index` on, `per` of them in a block; the ends of a range are cut out of a spare group. */
ALWAYS void fill(mode how, const philox *p, const scaling *s, int per, uint64_t index, int64_t n, char *dst) {
  const size_t size = (size_t)(16 / per);
  char spare[GROUP_BYTES];
  uint64_t block = index / (uint64_t)per;
  int64_t skip = (int64_t)(index % (uint64_t)per);

  if (skip != 0 && n > 0) {
    int64_t m = per - skip < n ? per - skip : n;
    blocks_scalar(how, p, s, block, 1, spare);
    memcpy(dst, spare + (size_t)skip * size, (size_t)m * size);
    dst += (size_t)m * size;
    n -= m;
    block++;
  }
  int64_t whole = n / (8 * per);
  groups(how, p, s, block, whole, dst);
  n -= whole * 8 * per;
  if (n > 0) {
    groups(how, p, s, block + (uint64_t)whole * 8, 1, spare);
    memcpy(dst + whole * GROUP_BYTES, spare, (size_t)n * size);
  }
}

/* ---- words of any elements ------------------------------------------------------------------------ */

/* The two words of the block of each element; `per` elements share a block. */
static void element_words(const philox *p, int per, uint64_t index, uint64_t step, int64_t n, uint64_t *w0,
                          uint64_t *w1) {
  uint64_t block[BLOCK] = {0};
  int shift = per == 2 ? 1 : 2;
  for (int64_t k = 0; k < n; k++) block[k] = (index + (uint64_t)k * step) >> shift;
  philox_scattered(p, n, block, w0, w1);
}

/* The 64-bit word of each element: word e%2 of block e/2. */
static void words64(const philox *p, uint64_t index, uint64_t step, int64_t n, uint64_t *w) {
  if (step == 1 && index + (uint64_t)n > index) {
    fill(RAW, p, NULL, 2, index, n, (char *)w);
    return;
  }
  uint64_t w0[BLOCK], w1[BLOCK];
  element_words(p, 2, index, step, n, w0, w1);
  for (int64_t k = 0; k < n; k++) w[k] = (index + (uint64_t)k * step) & 1 ? w1[k] : w0[k];
}
/* The 32-bit word of each element: word e%4 of block e/4. */
static void words32(const philox *p, uint64_t index, uint64_t step, int64_t n, uint32_t *w) {
  if (step == 1 && index + (uint64_t)n > index) {
    fill(RAW, p, NULL, 4, index, n, (char *)w);
    return;
  }
  uint64_t w0[BLOCK], w1[BLOCK];
  element_words(p, 4, index, step, n, w0, w1);
  for (int64_t k = 0; k < n; k++) {
    uint64_t e = index + (uint64_t)k * step, pair = e & 2 ? w1[k] : w0[k];
    w[k] = (uint32_t)(pair >> (e & 1) * 32);
  }
}

/* ---- distributions: a block of n <= BLOCK elements ------------------------------------------------ */

/* The number in [0, 1) of each element. */
static void units64(const philox *p, uint64_t index, uint64_t step, int64_t n, double *u) {
  if (step == 1 && index + (uint64_t)n > index) {
    fill(F64_UNIT, p, NULL, 2, index, n, (char *)u);
    return;
  }
  uint64_t w[BLOCK];
  words64(p, index, step, n, w);
  for (int64_t k = 0; k < n; k++) u[k] = f64_of_word(w[k], true, NULL);
}
static void units32(const philox *p, uint64_t index, uint64_t step, int64_t n, float *u) {
  if (step == 1 && index + (uint64_t)n > index) {
    fill(F32_UNIT, p, NULL, 4, index, n, (char *)u);
    return;
  }
  uint32_t w[BLOCK];
  words32(p, index, step, n, w);
  for (int64_t k = 0; k < n; k++) u[k] = f32_of_word(w[k], true, NULL);
}

static void uniform_block(const mx_random *r, uint64_t index, uint64_t step, int64_t n, void *dst) {
  philox p = philox_of(r, 0);
  scaling s = scaling_of(r);
  bool unit = r->p0 == 0 && r->p1 == 1;
  if (r->dtype == MARS_F32) {
    uint32_t w[BLOCK];
    words32(&p, index, step, n, w);
    for (int64_t k = 0; k < n; k++) ((float *)dst)[k] = f32_of_word(w[k], unit, &s);
  } else {
    uint64_t w[BLOCK];
    words64(&p, index, step, n, w);
    for (int64_t k = 0; k < n; k++) ((double *)dst)[k] = f64_of_word(w[k], unit, &s);
  }
}

/* -log(1 - u), where 1 - u is exact: log1p's argument needs no more care. */
static void exponential_block(const mx_random *r, uint64_t index, uint64_t step, int64_t n, void *dst) {
  philox p = philox_of(r, 0);
  if (r->dtype == MARS_F32) {
    float t[BLOCK];
    units32(&p, index, step, n, t);
    MX_IVDEP for (int64_t k = 0; k < n; k++) t[k] = 0 - mx_bm_log32(1 - t[k]);
    memcpy(dst, t, (size_t)n * sizeof *t);
  } else {
    double t[BLOCK];
    units64(&p, index, step, n, t);
    MX_IVDEP for (int64_t k = 0; k < n; k++) t[k] = 0 - mx_bm_log64(1 - t[k]);
    memcpy(dst, t, (size_t)n * sizeof *t);
  }
}

/* Box-Muller of n pairs: u1 becomes the cosine's value, u2 the sine's. */
static void box_muller64(int64_t n, double *restrict u1, double *restrict u2) {
  MX_IVDEP for (int64_t k = 0; k < n; k++) {
    double r = __builtin_sqrt(-2 * mx_bm_log64(1 - u1[k])), s, c;
    mx_bm_sincospi64(2 * u2[k], &s, &c);
    u1[k] = r * c;
    u2[k] = r * s;
  }
}
static void box_muller32(int64_t n, float *restrict u1, float *restrict u2) {
  MX_IVDEP for (int64_t k = 0; k < n; k++) {
    float r = __builtin_sqrtf(-2 * mx_bm_log32(1 - u1[k])), s, c;
    mx_bm_sincospi32(2 * u2[k], &s, &c);
    u1[k] = r * c;
    u2[k] = r * s;
  }
}

/* Consecutive elements: each pair is computed once. An odd start or end drops half a pair. */
static void normal64_run(const philox *p, uint64_t index, int64_t n, double *dst) {
  double u[BLOCK + 2], u1[BLOCK] = {0}, u2[BLOCK] = {0};
  int64_t skip = (int64_t)(index & 1), pairs = (skip + n + 1) / 2;
  fill(F64_UNIT, p, NULL, 2, index - (uint64_t)skip, 2 * pairs, (char *)u);
  for (int64_t k = 0; k < pairs; k++) {
    u1[k] = u[2 * k];
    u2[k] = u[2 * k + 1];
  }
  box_muller64(pairs, u1, u2);
  for (int64_t k = 0; k < pairs; k++) {
    u[2 * k] = u1[k];
    u[2 * k + 1] = u2[k];
  }
  memcpy(dst, u + skip, (size_t)n * sizeof *dst);
}
static void normal32_run(const philox *p, uint64_t index, int64_t n, float *dst) {
  float u[BLOCK + 2], u1[BLOCK] = {0}, u2[BLOCK] = {0};
  int64_t skip = (int64_t)(index & 1), pairs = (skip + n + 1) / 2;
  fill(F32_UNIT, p, NULL, 4, index - (uint64_t)skip, 2 * pairs, (char *)u);
  for (int64_t k = 0; k < pairs; k++) {
    u1[k] = u[2 * k];
    u2[k] = u[2 * k + 1];
  }
  box_muller32(pairs, u1, u2);
  for (int64_t k = 0; k < pairs; k++) {
    u[2 * k] = u1[k];
    u[2 * k + 1] = u2[k];
  }
  memcpy(dst, u + skip, (size_t)n * sizeof *dst);
}

static void normal_block(const mx_random *r, uint64_t index, uint64_t step, int64_t n, void *dst) {
  philox p = philox_of(r, 0);
  bool run = step == 1 && index + (uint64_t)n > index;
  uint64_t w0[BLOCK], w1[BLOCK];
  if (r->dtype == MARS_F32) {
    float u1[BLOCK] = {0}, u2[BLOCK] = {0};
    if (run) {
      normal32_run(&p, index, n, dst);
      return;
    }
    element_words(&p, 4, index, step, n, w0, w1);
    for (int64_t k = 0; k < n; k++) {
      uint64_t pair = (index + (uint64_t)k * step) & 2 ? w1[k] : w0[k];
      u1[k] = f32_of_word((uint32_t)pair, true, NULL);
      u2[k] = f32_of_word((uint32_t)(pair >> 32), true, NULL);
    }
    box_muller32(n, u1, u2);
    for (int64_t k = 0; k < n; k++) ((float *)dst)[k] = (index + (uint64_t)k * step) & 1 ? u2[k] : u1[k];
  } else {
    double u1[BLOCK] = {0}, u2[BLOCK] = {0};
    if (run) {
      normal64_run(&p, index, n, dst);
      return;
    }
    element_words(&p, 2, index, step, n, w0, w1);
    for (int64_t k = 0; k < n; k++) {
      u1[k] = f64_of_word(w0[k], true, NULL);
      u2[k] = f64_of_word(w1[k], true, NULL);
    }
    box_muller64(n, u1, u2);
    for (int64_t k = 0; k < n; k++) ((double *)dst)[k] = (index + (uint64_t)k * step) & 1 ? u2[k] : u1[k];
  }
}

/* Lemire, "Fast random integer generation in an interval", 2019: the high word of word * range, rejected while the low
   word is below 2^64 mod range. Attempts are 8 bits of the counter; the 256th is taken as it is. */
static uint64_t bounded_retry(const mx_random *r, uint64_t threshold, uint64_t e, uint64_t word) {
  unsigned __int128 m = (unsigned __int128)word * r->range;
  for (uint32_t attempt = 1; (uint64_t)m < threshold && attempt < 256; attempt++) {
    philox p = philox_of(r, attempt);
    uint64_t w[2];
    philox_block(&p, e / 2, w);
    m = (unsigned __int128)w[e & 1] * r->range;
  }
  return (uint64_t)(m >> 64);
}

static void integers_block(const mx_random *r, uint64_t index, uint64_t step, int64_t n, void *dst) {
  philox p = philox_of(r, 0);
  uint64_t w[BLOCK], v[BLOCK], range = r->range, doubtful = 0;
  words64(&p, index, step, n, w);
  if (range == 0) {
    memcpy(v, w, (size_t)n * sizeof *v);
  } else if (range >> 32 == 0) { /* the high word in 64-bit arithmetic, which vectorises */
    for (int64_t k = 0; k < n; k++) {
      v[k] = ((w[k] >> 32) * range + ((w[k] & 0xffffffffu) * range >> 32)) >> 32;
      doubtful |= w[k] * range < range;
    }
  } else {
    for (int64_t k = 0; k < n; k++) {
      unsigned __int128 m = (unsigned __int128)w[k] * range;
      v[k] = (uint64_t)(m >> 64);
      doubtful |= (uint64_t)m < range;
    }
  }
  if (doubtful != 0) {
    uint64_t threshold = (0 - range) % range;
    for (int64_t k = 0; k < n; k++)
      if (w[k] * range < threshold) v[k] = bounded_retry(r, threshold, index + (uint64_t)k * step, w[k]);
  }

  uint64_t low = (uint64_t)r->low;
  switch (mars_dtype_bytes(r->dtype)) {
  case 1:
    for (int64_t k = 0; k < n; k++) ((uint8_t *)dst)[k] = (uint8_t)(v[k] + low);
    break;
  case 2:
    for (int64_t k = 0; k < n; k++) ((uint16_t *)dst)[k] = (uint16_t)(v[k] + low);
    break;
  case 4:
    for (int64_t k = 0; k < n; k++) ((uint32_t *)dst)[k] = (uint32_t)(v[k] + low);
    break;
  default:
    for (int64_t k = 0; k < n; k++) ((uint64_t *)dst)[k] = v[k] + low;
  }
}

/* u < p is word >> 11 < p * 2^53, rounded up. */
static void bernoulli_block(const mx_random *r, uint64_t index, uint64_t step, int64_t n, void *dst) {
  philox p = philox_of(r, 0);
  uint64_t w[BLOCK];
  int64_t limit = r->p0 >= 1 ? (int64_t)1 << 53 : r->p0 > 0 ? (int64_t)ceil(r->p0 * 0x1p53) : 0;
  words64(&p, index, step, n, w);
  for (int64_t k = 0; k < n; k++) ((uint8_t *)dst)[k] = (int64_t)(w[k] >> 11) < limit;
}

/* ---- entry points --------------------------------------------------------------------------------- */

static void uniform_run(const mx_random *r, uint64_t index, int64_t n, void *dst) {
  philox p = philox_of(r, 0);
  scaling s = scaling_of(r);
  bool unit = r->p0 == 0 && r->p1 == 1;
  if (r->dtype == MARS_F32 && unit) fill(F32_UNIT, &p, &s, 4, index, n, dst);
  else if (r->dtype == MARS_F32) fill(F32_SCALED, &p, &s, 4, index, n, dst);
  else if (unit) fill(F64_UNIT, &p, &s, 2, index, n, dst);
  else fill(F64_SCALED, &p, &s, 2, index, n, dst);
}

static void random_fill(const mx_random *r, uint64_t index, int64_t step, int64_t n, void *dst) {
  if (n <= 0) return;
  if (r->op == MX_OP_UNIFORM && step == 1 && index + (uint64_t)n > index) {
    uniform_run(r, index, n, dst);
    return;
  }
  size_t size = mars_dtype_bytes(r->dtype);
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t m = n - i < BLOCK ? n - i : BLOCK;
    uint64_t e = index + (uint64_t)i * (uint64_t)step;
    char *d = (char *)dst + (size_t)i * size;
    switch (r->op) {
    case MX_OP_UNIFORM: uniform_block(r, e, (uint64_t)step, m, d); break;
    case MX_OP_NORMAL: normal_block(r, e, (uint64_t)step, m, d); break;
    case MX_OP_EXPONENTIAL: exponential_block(r, e, (uint64_t)step, m, d); break;
    case MX_OP_INTEGERS: integers_block(r, e, (uint64_t)step, m, d); break;
    default: bernoulli_block(r, e, (uint64_t)step, m, d); break;
    }
  }
}

static void iota(int64_t start, int64_t step, int64_t n, int64_t *dst) {
  uint64_t *d = (uint64_t *)dst;
  for (int64_t k = 0; k < n; k++) d[k] = (uint64_t)start + (uint64_t)k * (uint64_t)step;
}

/* Stores that bypass the caches spare the read of every destination line: a third of a copy's traffic. */
static void stream_copy(void *dst, const void *src, size_t bytes) {
#if defined(__x86_64__)
  char *d = dst;
  const char *s = src;
  size_t head = (size_t)(-(uintptr_t)d & 63);
  if (bytes >= 256) {
    memcpy(d, s, head);
    d += head;
    s += head;
    bytes -= head;
    for (; bytes >= 64; bytes -= 64, d += 64, s += 64) {
#if defined(__AVX512F__)
      _mm512_stream_si512((void *)d, _mm512_loadu_si512((const void *)s));
#elif defined(__AVX2__)
      _mm256_stream_si256((void *)d, _mm256_loadu_si256((const void *)s));
      _mm256_stream_si256((void *)(d + 32), _mm256_loadu_si256((const void *)(s + 32)));
#else
      for (int j = 0; j < 64; j += 16) _mm_stream_si128((void *)(d + j), _mm_loadu_si128((const void *)(s + j)));
#endif
    }
  }
  memcpy(d, s, bytes);
#else
  memcpy(dst, src, bytes);
#endif
}

void MX_PER_ISA(mx_loops_fill_random)(mx_loops *out) {
  out->random = random_fill;
  out->iota = iota;
  out->stream_copy = stream_copy;
}
