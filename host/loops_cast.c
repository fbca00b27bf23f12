/*
 * Casts between all dtypes, and rounding of f32 registers to halves.
 *
 * Layer: host; contract in host/loops.h. Floats to integers truncate and saturate, NaN gives 0; anything to bool is
 * != 0; complex to real drops the imaginary part; integers wrap; to floats is rounded once, to nearest even.
 */
#include "host/loops_impl.h"

#include "host/scalar_half.h"
#if defined(__F16C__)
#include <immintrin.h>
#endif

enum { BLOCK = 256 };

/* ---- f32 <-> halves ------------------------------------------------------------------------------- */

#if defined(__AVX512F__)
#define HALF_LANES 16
static inline void f16_pack_vector(uint16_t *d, const float *a) {
  _mm256_storeu_si256((void *)d, _mm512_cvtps_ph(_mm512_loadu_ps(a), _MM_FROUND_TO_NEAREST_INT));
}
static inline void f16_unpack_vector(float *d, const uint16_t *a) {
  _mm512_storeu_ps(d, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)a)));
}
#elif defined(__F16C__)
#define HALF_LANES 8
static inline void f16_pack_vector(uint16_t *d, const float *a) {
  _mm_storeu_si128((void *)d, _mm256_cvtps_ph(_mm256_loadu_ps(a), _MM_FROUND_TO_NEAREST_INT));
}
static inline void f16_unpack_vector(float *d, const uint16_t *a) {
  _mm256_storeu_ps(d, _mm256_cvtph_ps(_mm_loadu_si128((const void *)a)));
}
#endif

/* The scalar code that finishes a block gives the same bits as the vector instructions. */
static void f16_pack(int64_t n, uint16_t *d, const float *a) {
  int64_t i = 0;
#if defined(HALF_LANES)
  for (; i + HALF_LANES <= n; i += HALF_LANES) f16_pack_vector(d + i, a + i);
#endif
  for (; i < n; i++) d[i] = mx_f16_of_f32(a[i]);
}
static void f16_unpack(int64_t n, float *d, const uint16_t *a) {
  int64_t i = 0;
#if defined(HALF_LANES)
  for (; i + HALF_LANES <= n; i += HALF_LANES) f16_unpack_vector(d + i, a + i);
#endif
  for (; i < n; i++) d[i] = mx_f32_of_f16(a[i]);
}
static void bf16_pack(int64_t n, uint16_t *d, const float *a) {
  MX_IVDEP for (int64_t i = 0; i < n; i++) d[i] = mx_bf16_of_f32(a[i]);
}
static void bf16_unpack(int64_t n, float *d, const uint16_t *a) {
  MX_IVDEP for (int64_t i = 0; i < n; i++) d[i] = mx_f32_of_bf16(a[i]);
}

static void round_f16(int64_t n, void *pd, const void *pa, const void *pb, const void *pc) {
  uint16_t t[BLOCK];
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t m = n - i < BLOCK ? n - i : BLOCK;
    f16_pack(m, t, (const float *)pa + i);
    f16_unpack(m, (float *)pd + i, t);
  }
}
static void round_bf16(int64_t n, void *pd, const void *pa, const void *pb, const void *pc) {
  float *d = pd;
  const float *a = pa;
  MX_IVDEP for (int64_t i = 0; i < n; i++) d[i] = mx_f32_of_bf16(mx_bf16_of_f32(a[i]));
}

/* ---- floats to integers --------------------------------------------------------------------------- */

/* Limits that are exact in the float: clamp, then convert. */
#define CLAMPED(name, TT, from, FT, WT, lo, hi)                                                              \
  static inline TT name##_of_##from(FT x) {                                                                  \
    WT c = (WT)x;                                                                                            \
    c = c < (WT)lo ? (WT)lo : c;                                                                             \
    c = c > (WT)hi ? (WT)hi : c;                                                                             \
    c = c != c ? (WT)0 : c;                                                                                  \
    return (TT)c;                                                                                            \
  }
#define CLAMPED2(name, TT, lo, hi, WT) CLAMPED(name, TT, f32, float, WT, lo, hi) CLAMPED(name, TT, f64, double, double, lo, hi)
CLAMPED2(i8, int8_t, -128, 127, float)
CLAMPED2(u8, uint8_t, 0, 255, float)
CLAMPED2(i16, int16_t, -32768, 32767, float)
CLAMPED2(u16, uint16_t, 0, 65535, float)
CLAMPED2(i32, int32_t, INT32_MIN, INT32_MAX, double)
CLAMPED2(u32, uint32_t, 0, UINT32_MAX, double)

/* 64 bits: the upper limit is no float, so convert only what is in range. */
#define WIDE(from, FT)                                                                                       \
  static inline int64_t i64_of_##from(FT x) {                                                                \
    FT safe = ((x >= (FT)-0x1p63) & (x < (FT)0x1p63)) ? x : (FT)0;                                           \
    int64_t r = (int64_t)safe;                                                                               \
    r = x >= (FT)0x1p63 ? INT64_MAX : r;                                                                     \
    return x < (FT)-0x1p63 ? INT64_MIN : r;                                                                  \
  }                                                                                                          \
  static inline uint64_t u64_of_##from(FT x) {                                                               \
    FT safe = ((x >= 0) & (x < (FT)0x1p64)) ? x : (FT)0;                                                     \
    uint64_t r = (uint64_t)safe;                                                                             \
    return x >= (FT)0x1p64 ? UINT64_MAX : r;                                                                 \
  }
WIDE(f32, float)
WIDE(f64, double)

/* ---- from everything but halves ------------------------------------------------------------------- */

#define RE_i x
#define IM_i 0
#define BOOL_i x != 0
#define INT_i(name, TT, v) (TT)(v)
#define RE_f x
#define IM_f 0
#define BOOL_f x != 0
#define INT_f(name, TT, v) MX_CAT3(name, _of_, REAL)(v)
#define RE_c x.re
#define IM_c x.im
#define BOOL_c (x.re != 0) | (x.im != 0)
#define INT_c(name, TT, v) MX_CAT3(name, _of_, REAL)(v)

#define PREFIX b
#define T uint8_t
#define KIND i
#define REAL none
#define ODD(x) (float)(x)
#define DTYPE MARS_BOOL
#include "host/loops_cast.inc"

#define PREFIX i8
#define T int8_t
#define KIND i
#define REAL none
#define ODD(x) (float)(x)
#define DTYPE MARS_I8
#include "host/loops_cast.inc"

#define PREFIX i16
#define T int16_t
#define KIND i
#define REAL none
#define ODD(x) (float)(x)
#define DTYPE MARS_I16
#include "host/loops_cast.inc"

#define PREFIX i32
#define T int32_t
#define KIND i
#define REAL none
#define ODD(x) mx_f32_odd_of_f64((double)(x))
#define DTYPE MARS_I32
#include "host/loops_cast.inc"

#define PREFIX i64
#define T int64_t
#define KIND i
#define REAL none
#define ODD(x) mx_f32_odd_of_f64(mx_f64_odd_of_i64(x))
#define DTYPE MARS_I64
#include "host/loops_cast.inc"

#define PREFIX u8
#define T uint8_t
#define KIND i
#define REAL none
#define ODD(x) (float)(x)
#define DTYPE MARS_U8
#include "host/loops_cast.inc"

#define PREFIX u16
#define T uint16_t
#define KIND i
#define REAL none
#define ODD(x) (float)(x)
#define DTYPE MARS_U16
#include "host/loops_cast.inc"

#define PREFIX u32
#define T uint32_t
#define KIND i
#define REAL none
#define ODD(x) mx_f32_odd_of_f64((double)(x))
#define DTYPE MARS_U32
#include "host/loops_cast.inc"

#define PREFIX u64
#define T uint64_t
#define KIND i
#define REAL none
#define ODD(x) mx_f32_odd_of_f64(mx_f64_odd_of_u64(x))
#define DTYPE MARS_U64
#include "host/loops_cast.inc"

#define PREFIX f32
#define T float
#define KIND f
#define REAL f32
#define ODD(x) (x)
#define DTYPE MARS_F32
#include "host/loops_cast.inc"

#define PREFIX f64
#define T double
#define KIND f
#define REAL f64
#define ODD(x) mx_f32_odd_of_f64(x)
#define DTYPE MARS_F64
#include "host/loops_cast.inc"

#define PREFIX c64
#define T mx_c64
#define KIND c
#define REAL f32
#define ODD(x) (x)
#define DTYPE MARS_C64
#include "host/loops_cast.inc"

#define PREFIX c128
#define T mx_c128
#define KIND c
#define REAL f64
#define ODD(x) mx_f32_odd_of_f64(x)
#define DTYPE MARS_C128
#include "host/loops_cast.inc"

/* ---- from halves: through f32, which is exact ------------------------------------------------------- */

typedef void unpack(int64_t n, float *d, const uint16_t *a);

static inline __attribute__((always_inline)) void through_f32(unpack *up, mx_loop *loop, size_t bytes, int64_t n, void *d,
                                                              const uint16_t *a) {
  float t[BLOCK];
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t m = n - i < BLOCK ? n - i : BLOCK;
    up(m, t, a + i);
    loop(m, (char *)d + (size_t)i * bytes, t, NULL, NULL);
  }
}
#define HALF(from, to, bytes)                                                                                \
  static void from##_to_##to(int64_t n, void *d, const void *a, const void *b, const void *c) {              \
    through_f32(from##_unpack, f32_to_##to, bytes, n, d, a);                                                 \
  }
#define HALF2(to, bytes) HALF(f16, to, bytes) HALF(bf16, to, bytes)
HALF2(b, 1)
HALF2(i8, 1)
HALF2(i16, 2)
HALF2(i32, 4)
HALF2(i64, 8)
HALF2(u8, 1)
HALF2(u16, 2)
HALF2(u32, 4)
HALF2(u64, 8)
HALF2(f64, 8)
HALF2(c64, 8)
HALF2(c128, 16)
HALF(f16, bf16, 2)
HALF(bf16, f16, 2)
static void f16_to_f32(int64_t n, void *d, const void *a, const void *b, const void *c) { f16_unpack(n, d, a); }
static void bf16_to_f32(int64_t n, void *d, const void *a, const void *b, const void *c) { bf16_unpack(n, d, a); }

#define FILL_HALF(from, row)                                                                                 \
  do {                                                                                                       \
    mx_loop *const to[MARS_F16] = {                                                                          \
        [MARS_BOOL] = from##_to_b, [MARS_I8] = from##_to_i8,   [MARS_I16] = from##_to_i16,                   \
        [MARS_I32] = from##_to_i32, [MARS_I64] = from##_to_i64, [MARS_U8] = from##_to_u8,                    \
        [MARS_U16] = from##_to_u16, [MARS_U32] = from##_to_u32, [MARS_U64] = from##_to_u64};                 \
    memcpy((row), to, sizeof to);                                                                            \
    (row)[MARS_F32] = from##_to_f32;                                                                         \
    (row)[MARS_F64] = from##_to_f64;                                                                         \
    (row)[MARS_C64] = from##_to_c64;                                                                         \
    (row)[MARS_C128] = from##_to_c128;                                                                       \
  } while (0)

void MX_PER_ISA(mx_loops_fill_cast)(mx_loops *out) {
  cast_fill_b(out);
  cast_fill_i8(out);
  cast_fill_i16(out);
  cast_fill_i32(out);
  cast_fill_i64(out);
  cast_fill_u8(out);
  cast_fill_u16(out);
  cast_fill_u32(out);
  cast_fill_u64(out);
  cast_fill_f32(out);
  cast_fill_f64(out);
  cast_fill_c64(out);
  cast_fill_c128(out);
  FILL_HALF(f16, out->cast[MARS_F16]);
  FILL_HALF(bf16, out->cast[MARS_BF16]);
  out->cast[MARS_F16][MARS_BF16] = f16_to_bf16;
  out->cast[MARS_BF16][MARS_F16] = bf16_to_f16;
  out->round_f16 = round_f16;
  out->round_bf16 = round_bf16;
}
