/*
 * Vectors for the hand-written kernels: one source, compiled once for each instruction set.
 *
 * vecd_ are doubles, vecf_ floats, vecu_ 64-bit integers; VECD lanes of doubles and of 64-bit integers, VECF of
 * floats. Without AVX2 a vector is one number, so that the same sources make a portable fallback.
 */
#ifndef BENCH_VEC_H
#define BENCH_VEC_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define VEC_CAT2(a, b) a##b
#define VEC_CAT(a, b) VEC_CAT2(a, b)
/** HAND(name): the name with the instruction set behind it, so that the variants link together. */
#define HAND(name) VEC_CAT(VEC_CAT(name, _), HAND_ISA)
#define VEC_INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__) && defined(__AVX512DQ__)

#include <immintrin.h>
#include <sleef.h>
#define VECD 8
#define VECF 16
typedef __m512d vecd;
typedef __m512 vecf;
typedef __m512i vecu;
typedef __mmask8 vecd_mask;
typedef __mmask16 vecf_mask;

#define VEC_REAL(p, V, T, S, M, SL, W)                                                                       \
  VEC_INLINE V p##_set(T x) { return _mm512_set1_##S(x); }                                                   \
  VEC_INLINE V p##_load(const T *x) { return _mm512_loadu_##S(x); }                                          \
  VEC_INLINE void p##_store(T *x, V v) { _mm512_storeu_##S(x, v); }                                          \
  VEC_INLINE void p##_stream(T *x, V v) { _mm512_stream_##S(x, v); }                                         \
  VEC_INLINE V p##_add(V a, V b) { return _mm512_add_##S(a, b); }                                            \
  VEC_INLINE V p##_sub(V a, V b) { return _mm512_sub_##S(a, b); }                                            \
  VEC_INLINE V p##_mul(V a, V b) { return _mm512_mul_##S(a, b); }                                            \
  VEC_INLINE V p##_div(V a, V b) { return _mm512_div_##S(a, b); }                                            \
  VEC_INLINE V p##_fma(V a, V b, V c) { return _mm512_fmadd_##S(a, b, c); }                                  \
  VEC_INLINE V p##_sqrt(V a) { return _mm512_sqrt_##S(a); }                                                  \
  VEC_INLINE V p##_max(V a, V b) { return _mm512_max_##S(a, b); }                                            \
  VEC_INLINE T p##_hadd(V a) { return _mm512_reduce_add_##S(a); }                                            \
  VEC_INLINE T p##_hmax(V a) { return _mm512_reduce_max_##S(a); }                                            \
  VEC_INLINE M p##_lt(V a, V b) { return _mm512_cmp_##S##_mask(a, b, _CMP_LT_OQ); }                          \
  VEC_INLINE M p##_le(V a, V b) { return _mm512_cmp_##S##_mask(a, b, _CMP_LE_OQ); }                          \
  VEC_INLINE M p##_and(M a, M b) { return (M)(a & b); }                                                      \
  VEC_INLINE V p##_select(M m, V yes, V no) { return _mm512_mask_blend_##S(m, no, yes); }                    \
  VEC_INLINE unsigned p##_bits(M m) { return m; }                                                            \
  VEC_INLINE V p##_sin(V a) { return Sleef_sin##SL##W##_u10avx512f(a); }                                     \
  VEC_INLINE V p##_cos(V a) { return Sleef_cos##SL##W##_u10avx512f(a); }                                     \
  VEC_INLINE V p##_exp(V a) { return Sleef_exp##SL##W##_u10avx512f(a); }                                     \
  VEC_INLINE V p##_log(V a) { return Sleef_log##SL##W##_u10avx512f(a); }                                     \
  VEC_INLINE V p##_tanh(V a) { return Sleef_tanh##SL##W##_u10avx512f(a); }
VEC_REAL(vecd, __m512d, double, pd, __mmask8, d, 8)
VEC_REAL(vecf, __m512, float, ps, __mmask16, f, 16)

VEC_INLINE vecu vecu_set(uint64_t x) { return _mm512_set1_epi64((long long)x); }
VEC_INLINE vecu vecu_count(uint64_t x) {
  return _mm512_add_epi64(vecu_set(x), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
}
VEC_INLINE vecu vecu_add(vecu a, vecu b) { return _mm512_add_epi64(a, b); }
VEC_INLINE vecu vecu_mul32(vecu a, vecu b) { return _mm512_mul_epu32(a, b); }
VEC_INLINE vecu vecu_high(vecu a) { return _mm512_srli_epi64(a, 32); }
VEC_INLINE vecu vecu_xor3(vecu a, vecu b, vecu c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
/* (low 32 bits of lo) | hi << 32, of which the upper 53 bits become a double in [0, 2^53) */
VEC_INLINE vecd vecu_to_53(vecu lo, vecu hi) {
  vecu w = _mm512_mask_shuffle_epi32(lo, 0xAAAA, hi, (_MM_PERM_ENUM)0xA0);
  return _mm512_cvtepu64_pd(_mm512_srli_epi64(w, 11));
}

#elif defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>
#include <sleef.h>
#define VECD 4
#define VECF 8
typedef __m256d vecd;
typedef __m256 vecf;
typedef __m256i vecu;
typedef __m256d vecd_mask;
typedef __m256 vecf_mask;

#define VEC_REAL(p, V, T, S, M, SL, W)                                                                       \
  VEC_INLINE V p##_set(T x) { return _mm256_set1_##S(x); }                                                   \
  VEC_INLINE V p##_load(const T *x) { return _mm256_loadu_##S(x); }                                          \
  VEC_INLINE void p##_store(T *x, V v) { _mm256_storeu_##S(x, v); }                                          \
  VEC_INLINE void p##_stream(T *x, V v) { _mm256_stream_##S(x, v); }                                         \
  VEC_INLINE V p##_add(V a, V b) { return _mm256_add_##S(a, b); }                                            \
  VEC_INLINE V p##_sub(V a, V b) { return _mm256_sub_##S(a, b); }                                            \
  VEC_INLINE V p##_mul(V a, V b) { return _mm256_mul_##S(a, b); }                                            \
  VEC_INLINE V p##_div(V a, V b) { return _mm256_div_##S(a, b); }                                            \
  VEC_INLINE V p##_fma(V a, V b, V c) { return _mm256_fmadd_##S(a, b, c); }                                  \
  VEC_INLINE V p##_sqrt(V a) { return _mm256_sqrt_##S(a); }                                                  \
  VEC_INLINE V p##_max(V a, V b) { return _mm256_max_##S(a, b); }                                            \
  VEC_INLINE T p##_hadd(V a) {                                                                               \
    T sum = 0;                                                                                               \
    for (int i = 0; i < (int)(sizeof a / sizeof(T)); i++) sum += a[i];                                       \
    return sum;                                                                                              \
  }                                                                                                          \
  VEC_INLINE T p##_hmax(V a) {                                                                               \
    T top = a[0];                                                                                            \
    for (int i = 1; i < (int)(sizeof a / sizeof(T)); i++) top = a[i] > top ? a[i] : top;                     \
    return top;                                                                                              \
  }                                                                                                          \
  VEC_INLINE M p##_lt(V a, V b) { return _mm256_cmp_##S(a, b, _CMP_LT_OQ); }                                 \
  VEC_INLINE M p##_le(V a, V b) { return _mm256_cmp_##S(a, b, _CMP_LE_OQ); }                                 \
  VEC_INLINE M p##_and(M a, M b) { return _mm256_and_##S(a, b); }                                            \
  VEC_INLINE V p##_select(M m, V yes, V no) { return _mm256_blendv_##S(no, yes, m); }                        \
  VEC_INLINE unsigned p##_bits(M m) { return (unsigned)_mm256_movemask_##S(m); }                             \
  VEC_INLINE V p##_sin(V a) { return Sleef_sin##SL##W##_u10avx2(a); }                                        \
  VEC_INLINE V p##_cos(V a) { return Sleef_cos##SL##W##_u10avx2(a); }                                        \
  VEC_INLINE V p##_exp(V a) { return Sleef_exp##SL##W##_u10avx2(a); }                                        \
  VEC_INLINE V p##_log(V a) { return Sleef_log##SL##W##_u10avx2(a); }                                        \
  VEC_INLINE V p##_tanh(V a) { return Sleef_tanh##SL##W##_u10avx2(a); }
VEC_REAL(vecd, __m256d, double, pd, __m256d, d, 4)
VEC_REAL(vecf, __m256, float, ps, __m256, f, 8)

VEC_INLINE vecu vecu_set(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
VEC_INLINE vecu vecu_count(uint64_t x) { return _mm256_add_epi64(vecu_set(x), _mm256_setr_epi64x(0, 1, 2, 3)); }
VEC_INLINE vecu vecu_add(vecu a, vecu b) { return _mm256_add_epi64(a, b); }
VEC_INLINE vecu vecu_mul32(vecu a, vecu b) { return _mm256_mul_epu32(a, b); }
VEC_INLINE vecu vecu_high(vecu a) { return _mm256_srli_epi64(a, 32); }
VEC_INLINE vecu vecu_xor3(vecu a, vecu b, vecu c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
/* AVX2 has no conversion from 64-bit integers: each half goes into the mantissa of a power of two. */
VEC_INLINE vecd vecu_to_53(vecu lo, vecu hi) {
  vecu w = _mm256_srli_epi64(_mm256_blend_epi32(lo, _mm256_slli_epi64(hi, 32), 0xAA), 11);
  vecu high = _mm256_or_si256(_mm256_srli_epi64(w, 32), vecu_set(0x4530000000000000u)); /* 2^84 + high * 2^32 */
  vecu low = _mm256_blend_epi32(w, vecu_set(0x4330000000000000u), 0xAA);                /* 2^52 + low */
  vecd top = _mm256_sub_pd(_mm256_castsi256_pd(high), _mm256_set1_pd(0x1.00000001p84)); /* less 2^84 + 2^52 */
  return _mm256_add_pd(top, _mm256_castsi256_pd(low));
}

#else

#define VECD 1
#define VECF 1
typedef double vecd;
typedef float vecf;
typedef uint64_t vecu;
typedef bool vecd_mask;
typedef bool vecf_mask;

#define VEC_REAL(p, V, F)                                                                                    \
  VEC_INLINE V p##_set(V x) { return x; }                                                                    \
  VEC_INLINE V p##_load(const V *x) { return *x; }                                                           \
  VEC_INLINE void p##_store(V *x, V v) { *x = v; }                                                           \
  VEC_INLINE void p##_stream(V *x, V v) { *x = v; }                                                          \
  VEC_INLINE V p##_add(V a, V b) { return a + b; }                                                           \
  VEC_INLINE V p##_sub(V a, V b) { return a - b; }                                                           \
  VEC_INLINE V p##_mul(V a, V b) { return a * b; }                                                           \
  VEC_INLINE V p##_div(V a, V b) { return a / b; }                                                           \
  VEC_INLINE V p##_fma(V a, V b, V c) { return a * b + c; }                                                  \
  VEC_INLINE V p##_sqrt(V a) { return F(sqrt)(a); }                                                          \
  VEC_INLINE V p##_max(V a, V b) { return a > b ? a : b; }                                                   \
  VEC_INLINE V p##_hadd(V a) { return a; }                                                                   \
  VEC_INLINE V p##_hmax(V a) { return a; }                                                                   \
  VEC_INLINE bool p##_lt(V a, V b) { return a < b; }                                                         \
  VEC_INLINE bool p##_le(V a, V b) { return a <= b; }                                                        \
  VEC_INLINE bool p##_and(bool a, bool b) { return a && b; }                                                 \
  VEC_INLINE V p##_select(bool m, V yes, V no) { return m ? yes : no; }                                      \
  VEC_INLINE unsigned p##_bits(bool m) { return m; }                                                         \
  VEC_INLINE V p##_sin(V a) { return F(sin)(a); }                                                            \
  VEC_INLINE V p##_cos(V a) { return F(cos)(a); }                                                            \
  VEC_INLINE V p##_exp(V a) { return F(exp)(a); }                                                            \
  VEC_INLINE V p##_log(V a) { return F(log)(a); }                                                            \
  VEC_INLINE V p##_tanh(V a) { return F(tanh)(a); }
#define VEC_F64(name) name
#define VEC_F32(name) name##f
VEC_REAL(vecd, double, VEC_F64)
VEC_REAL(vecf, float, VEC_F32)

VEC_INLINE vecu vecu_set(uint64_t x) { return x; }
VEC_INLINE vecu vecu_count(uint64_t x) { return x; }
VEC_INLINE vecu vecu_add(vecu a, vecu b) { return a + b; }
VEC_INLINE vecu vecu_mul32(vecu a, vecu b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }
VEC_INLINE vecu vecu_high(vecu a) { return a >> 32; }
VEC_INLINE vecu vecu_xor3(vecu a, vecu b, vecu c) { return a ^ b ^ c; }
VEC_INLINE vecd vecu_to_53(vecu lo, vecu hi) { return (double)(((lo & 0xffffffffu) | hi << 32) >> 11); }

#endif

/** Streaming stores are weakly ordered: before another thread reads what they wrote. */
VEC_INLINE void vec_fence(void) {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

#endif
