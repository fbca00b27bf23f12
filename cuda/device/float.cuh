/* FN(...) for f32 and f64: host/scalar_float.h; transcendental functions are CUDA's, within their rows' bounds. */
#define MX_F1(R, name, ...)                                                                                  \
  MX_DEV R(f32) name(f32 x) { typedef f32 T; (void)sizeof(T); return (__VA_ARGS__); }                        \
  MX_DEV R(f64) name(f64 x) { typedef f64 T; (void)sizeof(T); return (__VA_ARGS__); }
#define MX_F2(R, name, ...)                                                                                  \
  MX_DEV R(f32) name(f32 x, f32 y) { typedef f32 T; (void)sizeof(T); return (__VA_ARGS__); }                 \
  MX_DEV R(f64) name(f64 x, f64 y) { typedef f64 T; (void)sizeof(T); return (__VA_ARGS__); }
#define MX_SAME(T) T
#define MX_BOOL(T) b8

MX_F1(MX_SAME, mx_neg, -x)
MX_F1(MX_SAME, mx_abs, fabs(x))
MX_F1(MX_SAME, mx_fabs, fabs(x))
MX_F1(MX_SAME, mx_sign, x > 0 ? (T)1 : x < 0 ? (T)-1 : x == 0 ? (T)0 : x)
MX_F2(MX_SAME, mx_add, x + y)
MX_F2(MX_SAME, mx_sub, x - y)
MX_F2(MX_SAME, mx_mul, x *y)
MX_F2(MX_SAME, mx_div, x / y)
MX_F1(MX_SAME, mx_sqrt, sqrt(x))
MX_F1(MX_SAME, mx_recip, (T)1 / x)
MX_F1(MX_SAME, mx_rint, rint(x))
MX_F1(MX_SAME, mx_floor, floor(x))
MX_F1(MX_SAME, mx_ceil, ceil(x))
MX_F1(MX_SAME, mx_trunc, trunc(x))
MX_F1(MX_SAME, mx_degrees, x *(T)(180 / 3.14159265358979323846))
MX_F1(MX_SAME, mx_radians, x *(T)(3.14159265358979323846 / 180))
MX_F1(MX_SAME, mx_conj, x)
MX_F1(MX_SAME, mx_real, x)
MX_F1(MX_SAME, mx_imag, ((void)x, (T)0))
MX_F1(MX_BOOL, mx_signbit, (typename flt<T>::ST)bits_of(x) < 0)
MX_F1(MX_SAME, mx_angle, x != x ? x : mx_signbit(x) ? (T)3.14159265358979323846 : (T)0)
MX_F1(MX_BOOL, mx_isnan, x != x)
MX_F1(MX_BOOL, mx_isinf, fabs(x) == flt<T>::inf())
MX_F1(MX_BOOL, mx_isfinite, fabs(x) < flt<T>::inf())
MX_F1(MX_BOOL, mx_lnot, x == 0)

/* NaN first: the comparison is false for it. */
MX_F2(MX_SAME, mx_maximum, ((x >= y) | (x != x)) ? x : y)
MX_F2(MX_SAME, mx_minimum, ((x <= y) | (x != x)) ? x : y)
MX_F2(MX_SAME, mx_fmax, ((x >= y) | (y != y)) ? x : y)
MX_F2(MX_SAME, mx_fmin, ((x <= y) | (y != y)) ? x : y)
MX_F2(MX_BOOL, mx_eq, x == y)
MX_F2(MX_BOOL, mx_ne, x != y)
MX_F2(MX_BOOL, mx_lt, x < y)
MX_F2(MX_BOOL, mx_le, x <= y)
MX_F2(MX_BOOL, mx_gt, x > y)
MX_F2(MX_BOOL, mx_ge, x >= y)
MX_F2(MX_BOOL, mx_land, (x != 0) & (y != 0))
MX_F2(MX_BOOL, mx_lor, (x != 0) | (y != 0))
MX_F2(MX_BOOL, mx_lxor, (x != 0) ^ (y != 0))
MX_F2(MX_SAME, mx_copysign, copysign(x, y))
MX_F2(MX_SAME, mx_heaviside, x != x ? x : x == 0 ? y : x > 0 ? (T)1 : (T)0)

MX_F1(MX_SAME, mx_cbrt, cbrt(x))
MX_F1(MX_SAME, mx_exp, exp(x))
MX_F1(MX_SAME, mx_exp2, exp2(x))
MX_F1(MX_SAME, mx_expm1, expm1(x))
MX_F1(MX_SAME, mx_log, log(x))
MX_F1(MX_SAME, mx_log2, log2(x))
MX_F1(MX_SAME, mx_log10, log10(x))
MX_F1(MX_SAME, mx_log1p, log1p(x))
MX_F1(MX_SAME, mx_sin, sin(x))
MX_F1(MX_SAME, mx_cos, cos(x))
MX_F1(MX_SAME, mx_tan, tan(x))
MX_F1(MX_SAME, mx_asin, asin(x))
MX_F1(MX_SAME, mx_acos, acos(x))
MX_F1(MX_SAME, mx_atan, atan(x))
MX_F1(MX_SAME, mx_sinh, sinh(x))
MX_F1(MX_SAME, mx_cosh, cosh(x))
MX_F1(MX_SAME, mx_tanh, tanh(x))
MX_F1(MX_SAME, mx_asinh, asinh(x))
MX_F1(MX_SAME, mx_acosh, acosh(x))
MX_F1(MX_SAME, mx_atanh, atanh(x))
MX_F1(MX_SAME, mx_erf, erf(x))
MX_F1(MX_SAME, mx_erfc, erfc(x))
MX_DEV f64 mx_lgamma(f64 x) { return lgamma(x); }
/* in double, so that it is right next to the zeros at negative x */
MX_DEV f32 mx_lgamma(f32 x) { return (f32)lgamma((f64)x); }
MX_F2(MX_SAME, mx_pow, pow(x, y))
MX_F2(MX_SAME, mx_atan2, atan2(x, y))
MX_F2(MX_SAME, mx_hypot, hypot(x, y))
MX_F2(MX_SAME, mx_cmod, fmod(x, y))

/* Equal operands first, which covers infinities of one sign; NaN falls through. */
template <class T> MX_DEV T mx_logaddexp_of(T x, T y, bool two) {
  T diff = x - y, big = diff > 0 ? x : y, t = diff > 0 ? -diff : diff;
  big = x != x ? x : big;
  if (x == y) return big + (two ? (T)1 : (T)0.69314718055994530942);
  return big + (two ? log1p(exp2(t)) * (T)1.4426950408889634074 : log1p(exp(t)));
}
MX_F2(MX_SAME, mx_logaddexp, mx_logaddexp_of<T>(x, y, false))
MX_F2(MX_SAME, mx_logaddexp2, mx_logaddexp_of<T>(x, y, true))

template <class T> MX_DEV T mx_floordiv_of(T x, T y) {
  T r = fmod(x, y), q = (x - r) / y;
  q = r != 0 && (y < 0) != (r < 0) ? q - 1 : q;
  T w = floor(q);
  w = q - w > (T)0.5 ? w + 1 : w;
  w = q != 0 ? w : copysign((T)0, x / y);
  return y == 0 ? x / y : w;
}
template <class T> MX_DEV T mx_pymod_of(T x, T y) {
  T r = fmod(x, y), v = (y < 0) != (r < 0) ? r + y : r;
  return r == 0 ? copysign((T)0, y) : v; /* r is NaN for y = 0 */
}
MX_F2(MX_SAME, mx_floordiv, mx_floordiv_of<T>(x, y))
MX_F2(MX_SAME, mx_pymod, mx_pymod_of<T>(x, y))

#define MX_BT typename flt<T>::BT
#define MX_ST typename flt<T>::ST
template <class T> MX_DEV MX_BT mx_sign_bit() { return (MX_BT)1 << (sizeof(T) * 8 - 1); }
/* One step in magnitude is one step of the bits. */
template <class T> MX_DEV T mx_nextafter_of(T x, T y) {
  const MX_BT sign = mx_sign_bit<T>();
  MX_BT u = bits_of(x), mag = u & ~sign;
  MX_BT step = (x < y) == (x > 0) ? u + 1 : u - 1;
  step = mag == 0 ? (bits_of(y) & sign) | 1 : step;
  T r = of_bits(step);
  r = x == y ? y : r;
  return ((x != x) | (y != y)) ? x + y : r;
}
template <class T> MX_DEV T mx_spacing_of(T x) {
  T r = of_bits((MX_BT)(bits_of(x) + 1)) - x;
  return fabs(x) < flt<T>::inf() ? r : x - x;
}
MX_F2(MX_SAME, mx_nextafter, mx_nextafter_of<T>(x, y))
MX_F1(MX_SAME, mx_spacing, mx_spacing_of<T>(x))

template <class T> MX_DEV T mx_lifted(T x) { /* denormals into the normal range */
  MX_BT mag = bits_of(x) & ~mx_sign_bit<T>();
  return mag < ((MX_BT)1 << flt<T>::mant) ? x * of_bits((MX_BT)(flt<T>::bias + flt<T>::mant + 2) << flt<T>::mant) : x;
}
template <class T> MX_DEV T mx_frexp_m_of(T x) {
  const MX_BT inf = (MX_BT)flt<T>::expmax << flt<T>::mant;
  MX_BT mag = bits_of(x) & ~mx_sign_bit<T>();
  T r = of_bits((MX_BT)((bits_of(mx_lifted(x)) & ~inf) | (MX_BT)(flt<T>::bias - 1) << flt<T>::mant));
  return ((mag == 0) | (mag >= inf)) ? x : r;
}
template <class T> MX_DEV i32 mx_frexp_e_of(T x) {
  const MX_BT inf = (MX_BT)flt<T>::expmax << flt<T>::mant;
  MX_BT mag = bits_of(x) & ~mx_sign_bit<T>();
  i32 e = (i32)((bits_of(mx_lifted(x)) >> flt<T>::mant) & flt<T>::expmax) - (flt<T>::bias - 1);
  e = mag < ((MX_BT)1 << flt<T>::mant) ? e - (flt<T>::mant + 2) : e;
  return ((mag == 0) | (mag >= inf)) ? 0 : e;
}
#define MX_I32(T) i32
MX_F1(MX_SAME, mx_frexp_m, mx_frexp_m_of<T>(x))
MX_F1(MX_I32, mx_frexp_e, mx_frexp_e_of<T>(x))
template <class T> MX_DEV T mx_modf_f_of(T x) {
  T f = x - trunc(x);
  f = fabs(x) == flt<T>::inf() ? (T)0 : f;
  return copysign(f, x);
}
MX_F1(MX_SAME, mx_modf_f, mx_modf_f_of<T>(x))

/* x * 2**trunc(y), rounded once: at most two exact steps before the one that may round. */
template <class T> MX_DEV T mx_ldexp_of(T x, T y) {
  const int bias = flt<T>::bias, up = bias, down = -(bias - 1) + flt<T>::mant + 1;
  T c = y > 4 * bias ? (T)(4 * bias) : y;
  c = c < -4 * bias ? (T)(-4 * bias) : c;
  int e = (int)(c != c ? (T)0 : c);
  T r = x;
#pragma unroll
  for (int k = 0; k < 2; k++) {
    int s = e > up ? up : e < -(bias - 1) ? down : 0;
    r *= of_bits((MX_BT)(s + bias) << flt<T>::mant);
    e -= s;
  }
  e = e > up ? up : e < -(bias - 1) ? -(bias - 1) : e;
  r *= of_bits((MX_BT)(e + bias) << flt<T>::mant);
  return y != y ? y : r;
}
MX_F2(MX_SAME, mx_ldexp, mx_ldexp_of<T>(x, y))
