/*
 * SLEEF's deterministic vector functions of this instruction set: MX_V64/MX_V32 vectors, MX_SLEEF64/MX_SLEEF32 names.
 *
 * Layer: host, private to the loop files. x86 without FMA and everything else of x86-64: SSE2; other machines: SLEEF's
 * scalar functions, a vector of one.
 */
#ifndef MX_LOOPS_SLEEF_H
#define MX_LOOPS_SLEEF_H

#include <math.h>
#include <sleef.h>

#define MX_SLEEF_(pre, f, shape, acc, isa) Sleef_##pre##_##f##shape##_##acc##isa
#define MX_SLEEF(pre, f, shape, acc, isa) MX_SLEEF_(pre, f, shape, acc, isa)

#if defined(__AVX512F__)
#define MX_V64 __m512d
#define MX_V32 __m512
#define MX_V64_2 Sleef___m512d_2
#define MX_V32_2 Sleef___m512_2
#define MX_LANES64 8
#define MX_SLEEF64(f, acc) MX_SLEEF(finz, f, d8, acc, avx512f)
#define MX_SLEEF32(f, acc) MX_SLEEF(finz, f, f16, acc, avx512f)
#elif defined(__AVX2__)
#define MX_V64 __m256d
#define MX_V32 __m256
#define MX_V64_2 Sleef___m256d_2
#define MX_V32_2 Sleef___m256_2
#define MX_LANES64 4
#define MX_SLEEF64(f, acc) MX_SLEEF(finz, f, d4, acc, avx2)
#define MX_SLEEF32(f, acc) MX_SLEEF(finz, f, f8, acc, avx2)
#elif defined(__SSE2__)
#define MX_V64 __m128d
#define MX_V32 __m128
#define MX_V64_2 Sleef___m128d_2
#define MX_V32_2 Sleef___m128_2
#define MX_LANES64 2
#define MX_SLEEF64(f, acc) MX_SLEEF(cinz, f, d2, acc, sse2)
#define MX_SLEEF32(f, acc) MX_SLEEF(cinz, f, f4, acc, sse2)
#else
#define MX_V64 double
#define MX_V32 float
#define MX_V64_2 Sleef_double_2
#define MX_V32_2 Sleef_float_2
#define MX_LANES64 1
#if defined(FP_FAST_FMA)
#define MX_SLEEF64(f, acc) MX_SLEEF(finz, f, d1, acc, purecfma)
#define MX_SLEEF32(f, acc) MX_SLEEF(finz, f, f1, acc, purecfma)
#else
#define MX_SLEEF64(f, acc) MX_SLEEF(cinz, f, d1, acc, purec)
#define MX_SLEEF32(f, acc) MX_SLEEF(cinz, f, f1, acc, purec)
#endif
#endif
#define MX_LANES32 (MX_LANES64 == 1 ? 1 : 2 * MX_LANES64)

#endif
