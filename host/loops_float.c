/*
 * Elementwise loops over floats and complex numbers.
 *
 * Layer: host; contract in host/loops.h.
 */
#include "host/loops_impl.h"

#include "host/complex_math.h"
#include "host/loops_sleef.h"
#include "host/scalar_half.h"

#define PREFIX f32
#define T float
#define V MX_V32
#define LANES MX_LANES32
#define S(f, acc) MX_SLEEF32(f, acc)
#define M(name) MX_CAT(name, f)
#include "host/loops_vec.inc"
#define PREFIX f64
#define T double
#define V MX_V64
#define LANES MX_LANES64
#define S(f, acc) MX_SLEEF64(f, acc)
#define M(name) name
#include "host/loops_vec.inc"

/* FN(f) that has a loop in host/loops_vec.inc; how: host/loops_pass.inc */
#define f32_exp(x) ~, SKIP, f32v_exp
#define f32_exp2(x) ~, SKIP, f32v_exp2
#define f32_expm1(x) ~, SKIP, f32v_expm1
#define f32_log(x) ~, SKIP, f32v_log
#define f32_log2(x) ~, SKIP, f32v_log2
#define f32_log10(x) ~, SKIP, f32v_log10
#define f32_log1p(x) ~, SKIP, f32v_log1p
#define f32_sin(x) ~, SKIP, f32v_sin
#define f32_cos(x) ~, SKIP, f32v_cos
#define f32_tan(x) ~, SKIP, f32v_tan
#define f32_asin(x) ~, SKIP, f32v_asin
#define f32_acos(x) ~, SKIP, f32v_acos
#define f32_atan(x) ~, SKIP, f32v_atan
#define f32_sinh(x) ~, SKIP, f32v_sinh
#define f32_cosh(x) ~, SKIP, f32v_cosh
#define f32_tanh(x) ~, SKIP, f32v_tanh
#define f32_asinh(x) ~, SKIP, f32v_asinh
#define f32_acosh(x) ~, SKIP, f32v_acosh
#define f32_atanh(x) ~, SKIP, f32v_atanh
#define f32_cbrt(x) ~, SKIP, f32v_cbrt
#define f32_erf(x) ~, SKIP, f32v_erf
#define f32_erfc(x) ~, SKIP, f32v_erfc
#define f32_lgamma(x) ~, SKIP, f32v_lgamma
#define f32_pow(x, y) ~, SKIP, f32v_pow
#define f32_atan2(x, y) ~, SKIP, f32v_atan2
#define f32_hypot(x, y) ~, SKIP, f32v_hypot
#define f32_logaddexp(x, y) ~, SKIP, f32v_logaddexp
#define f32_logaddexp2(x, y) ~, SKIP, f32v_logaddexp2
#define f32_floordiv(x, y) ~, SKIP, f32v_floordiv
#define f32_pymod(x, y) ~, SKIP, f32v_pymod
#define f32_cmod(x, y) ~, SKIP, f32v_cmod
#define f64_exp(x) ~, SKIP, f64v_exp
#define f64_exp2(x) ~, SKIP, f64v_exp2
#define f64_expm1(x) ~, SKIP, f64v_expm1
#define f64_log(x) ~, SKIP, f64v_log
#define f64_log2(x) ~, SKIP, f64v_log2
#define f64_log10(x) ~, SKIP, f64v_log10
#define f64_log1p(x) ~, SKIP, f64v_log1p
#define f64_sin(x) ~, SKIP, f64v_sin
#define f64_cos(x) ~, SKIP, f64v_cos
#define f64_tan(x) ~, SKIP, f64v_tan
#define f64_asin(x) ~, SKIP, f64v_asin
#define f64_acos(x) ~, SKIP, f64v_acos
#define f64_atan(x) ~, SKIP, f64v_atan
#define f64_sinh(x) ~, SKIP, f64v_sinh
#define f64_cosh(x) ~, SKIP, f64v_cosh
#define f64_tanh(x) ~, SKIP, f64v_tanh
#define f64_asinh(x) ~, SKIP, f64v_asinh
#define f64_acosh(x) ~, SKIP, f64v_acosh
#define f64_atanh(x) ~, SKIP, f64v_atanh
#define f64_cbrt(x) ~, SKIP, f64v_cbrt
#define f64_erf(x) ~, SKIP, f64v_erf
#define f64_erfc(x) ~, SKIP, f64v_erfc
#define f64_lgamma(x) ~, SKIP, f64v_lgamma
#define f64_pow(x, y) ~, SKIP, f64v_pow
#define f64_atan2(x, y) ~, SKIP, f64v_atan2
#define f64_hypot(x, y) ~, SKIP, f64v_hypot
#define f64_logaddexp(x, y) ~, SKIP, f64v_logaddexp
#define f64_logaddexp2(x, y) ~, SKIP, f64v_logaddexp2
#define f64_floordiv(x, y) ~, SKIP, f64v_floordiv
#define f64_pymod(x, y) ~, SKIP, f64v_pymod
#define f64_cmod(x, y) ~, SKIP, f64v_cmod
#define c64_abs(x) ~, SKIP, f32v_cabs
#define c64_angle(x) ~, SKIP, f32v_carg
#define c128_abs(x) ~, SKIP, f64v_cabs
#define c128_angle(x) ~, SKIP, f64v_carg

#define PREFIX f32
#define T float
#define BT uint32_t
#define ST int32_t
#define M(name) MX_CAT(name, f)
#define MANT 23
#define EXPMAX 255
#include "host/scalar_float.h"
#define PREFIX f32
#define T float
#define RT T
#define KIND f
#define DTYPE MARS_F32
#include "host/loops_pass.inc"

#define PREFIX f64
#define T double
#define BT uint64_t
#define ST int64_t
#define M(name) name
#define MANT 52
#define EXPMAX 2047
#include "host/scalar_float.h"
#define PREFIX f64
#define T double
#define RT T
#define KIND f
#define DTYPE MARS_F64
#include "host/loops_pass.inc"

#define PREFIX c64
#define T mx_c64
#define RT float
#define M(name) MX_CAT(name, f)
#include "host/scalar_complex.h"
#define PREFIX c64
#define T mx_c64
#define RT float
#define KIND c
#define DTYPE MARS_C64
#include "host/loops_pass.inc"

#define PREFIX c128
#define T mx_c128
#define RT double
#define M(name) name
#include "host/scalar_complex.h"
#define PREFIX c128
#define T mx_c128
#define RT double
#define KIND c
#define DTYPE MARS_C128
#include "host/loops_pass.inc"

/* The two ops that work on a half's own grid; registers are f32. */
#define T float
LOOP1(f16_loop_SPACING, T, mx_f16_spacing(x))
LOOP1(bf16_loop_SPACING, T, mx_bf16_spacing(x))
LOOP2(f16_loop_NEXTAFTER, T, mx_f16_nextafter(x, y))
LOOP2(bf16_loop_NEXTAFTER, T, mx_bf16_nextafter(x, y))
#undef T

void MX_PER_ISA(mx_loops_fill_float)(mx_loops *out) {
  out->op[MX_OP_SPACING][MARS_F16] = f16_loop_SPACING;
  out->op[MX_OP_SPACING][MARS_BF16] = bf16_loop_SPACING;
  out->op[MX_OP_NEXTAFTER][MARS_F16] = f16_loop_NEXTAFTER;
  out->op[MX_OP_NEXTAFTER][MARS_BF16] = bf16_loop_NEXTAFTER;
  fill_f32(out);
  fill_f64(out);
  fill_c64(out);
  fill_c128(out);
}
