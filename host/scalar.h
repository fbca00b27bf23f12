/*
 * The FN(...) functions of engine/ops.def for every loop dtype: b_, i8_ ... u64_, f32_, f64_, c64_, c128_.
 *
 * Layer: host, included by the loop files only (each compiled once per instruction set, so all is static).
 * Rows of f32 and f64 whose function is a whole-block one (host/loops_vec.inc) have no scalar function here.
 * Written so that compilers vectorise them: selects instead of branches, no calls where an expression does.
 */
#ifndef MX_SCALAR_H
#define MX_SCALAR_H

#include <complex.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#undef I

#ifndef CMPLX /* Clang with glibc's header */
#define CMPLX(re, im) __builtin_complex((double)(re), (double)(im))
#define CMPLXL(re, im) __builtin_complex((long double)(re), (long double)(im))
#endif

#define MX_CAT_(a, b) a##b
#define MX_CAT(a, b) MX_CAT_(a, b)
#define MX_CAT3_(a, b, c) a##b##c
#define MX_CAT3(a, b, c) MX_CAT3_(a, b, c)

/* Iterations are independent: dst is one of the inputs or apart from all of them. */
#if defined(__clang__)
#define MX_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define MX_IVDEP _Pragma("GCC ivdep")
#endif

/* A product that an addition must not swallow. GCC 12's vectoriser makes vfmaddsub of interleaved complex products even
   under -ffp-contract=off, so the vector body and the tail of a loop would differ. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define MX_ROUNDED(x) __builtin_assoc_barrier(x)
#else
#define MX_ROUNDED(x) (x)
#endif

typedef struct mx_c64 {
  float re, im;
} mx_c64;
typedef struct mx_c128 {
  double re, im;
} mx_c128;

#endif
