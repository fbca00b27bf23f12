/*
 * Complex functions that libm does not have, or has with a larger error. c64 calls them too and rounds the result once.
 *
 * Layer: host, private to the loop files.
 */
#ifndef MX_COMPLEX_MATH_H
#define MX_COMPLEX_MATH_H

#include "host/scalar.h"

/* 2**z: cexp with the angle im * log 2 in two parts, as its rounding error grows with im. */
static inline double complex mx_cexp2(double complex z) {
  const double ln2_hi = 0.69314718055994530942, ln2_lo = 2.3190468138462996e-17;
  double re = creal(z), im = cimag(z);
  if (im == 0) return CMPLX(exp2(re), im);
  if (!isfinite(re) || !isfinite(im)) return cexp(CMPLX(re, im));
  double angle = im * ln2_hi, rest = fma(im, ln2_hi, -angle) + im * ln2_lo;
  double s = sin(angle), c = cos(angle);
  if (fabs(rest) > 1e-8) { /* beyond 2**26 the small angle is none: turn by it, so that the modulus stays right */
    double sr = sin(rest), cr = cos(rest), turned = s * cr + c * sr;
    c = c * cr - s * sr;
    s = turned;
    rest = 0;
  }
  double half = exp2(re * 0.5); /* in two factors: 2**re may overflow where the product does not */
  return CMPLX((c - s * rest) * half * half, (s + c * rest) * half * half);
}

/* e**z - 1; near 0 with 1 - cos = 2 sin^2(half), which does not cancel. */
static inline double complex mx_cexpm1(double complex z) {
  double re = creal(z), im = cimag(z);
  if (im == 0) return CMPLX(expm1(re), im);
  if (!isfinite(re) || !isfinite(im) || re > 700) {
    double complex e = cexp(z);
    return CMPLX(creal(e) - 1, cimag(e));
  }
  if (re < -0.7) return CMPLX(exp(re) * cos(im) - 1, exp(re) * sin(im)); /* below 1/2: no cancellation */
  double h = sin(im * 0.5);
  return CMPLX(expm1(re) * cos(im) - 2 * h * h, exp(re) * sin(im));
}

static inline double complex mx_clog_scaled(double complex z, double scale) {
  double complex l = clog(z);
  return CMPLX(creal(l) * scale, cimag(l) * scale);
}

/* log(1 + z): near 0 the modulus of 1 + z comes from log1p, as 1 + re would drop re's low bits. */
static inline double complex mx_clog1p(double complex z) {
  double re = creal(z), im = cimag(z);
  if (fabs(re) < 0.5 && fabs(im) < 0.5)
    return CMPLX(0.5 * log1p(re * (2 + re) + im * im), atan2(im, 1 + re));
  return clog(CMPLX(1 + re, im));
}

/* z**w in long double: the error of exp(w log z) is |w log z| units of the precision that it is computed in. NumPy's
   cases: z**0 is 1, 0**w is 0 for positive real w and else NaN, small integers by squaring (Gaussian integers exact). */
static inline long double complex mx_cmull(long double complex a, long double complex b) {
  return CMPLXL(creall(a) * creall(b) - cimagl(a) * cimagl(b), creall(a) * cimagl(b) + cimagl(a) * creall(b));
}
static inline double complex mx_cpow(double complex a, double complex b) {
  double br = creal(b), bi = cimag(b);
  long double complex r = CMPLXL(1, 0), p = CMPLXL(creal(a), cimag(a));
  if (br == 0 && bi == 0) return CMPLX(1, 0);
  if (creal(a) == 0 && cimag(a) == 0) return br > 0 && bi == 0 ? CMPLX(0, 0) : CMPLX(NAN, NAN);
  if (bi != 0 || br != rint(br) || fabs(br) >= 100) {
    r = cpowl(p, CMPLXL(br, bi));
    return CMPLX((double)creall(r), (double)cimagl(r));
  }
  for (int e = (int)fabs(br); e != 0; e >>= 1) {
    if (e & 1) r = mx_cmull(r, p);
    if (e > 1) p = mx_cmull(p, p);
  }
  if (br > 0) return CMPLX((double)creall(r), (double)cimagl(r));
  long double re = creall(r), im = cimagl(r); /* 1/r by Smith's method */
  if (fabsl(im) <= fabsl(re)) {
    long double q = im / re, s = re + im * q;
    return CMPLX((double)(1 / s), (double)(-q / s));
  }
  long double q = re / im, s = re * q + im;
  return CMPLX((double)(q / s), (double)(-1 / s));
}

#endif
