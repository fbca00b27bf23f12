/*
 * Complex functions that libm does not have, or has with a larger error. In double; c64 rounds the result once.
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
  double half = exp2(re * 0.5); /* in two factors: 2**re may overflow where the product does not */
  return CMPLX((c - s * rest) * half * half, (s + c * rest) * half * half);
}

/* e**z - 1 with 1 - cos = 2 sin^2(half), which does not cancel near 0. */
static inline double complex mx_cexpm1(double complex z) {
  double re = creal(z), im = cimag(z);
  if (im == 0) return CMPLX(expm1(re), im);
  if (!isfinite(re) || !isfinite(im) || re > 700) {
    double complex e = cexp(z);
    return CMPLX(creal(e) - 1, cimag(e));
  }
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

static inline double complex mx_cmul(double complex a, double complex b) {
  return CMPLX(creal(a) * creal(b) - cimag(a) * cimag(b), creal(a) * cimag(b) + cimag(a) * creal(b));
}

/* NumPy's cases: z**0 is 1, 0**w is 0 for positive real w and else NaN, small integers by squaring. */
static inline double complex mx_cpow(double complex a, double complex b) {
  double br = creal(b), bi = cimag(b);
  if (br == 0 && bi == 0) return CMPLX(1, 0);
  if (creal(a) == 0 && cimag(a) == 0) return br > 0 && bi == 0 ? CMPLX(0, 0) : CMPLX(NAN, NAN);
  if (bi == 0 && br == rint(br) && fabs(br) < 100) {
    int e = (int)fabs(br);
    double complex r = CMPLX(1, 0), p = a;
    for (; e != 0; e >>= 1) {
      if (e & 1) r = mx_cmul(r, p);
      if (e > 1) p = mx_cmul(p, p);
    }
    if (br > 0) return r;
    double d = creal(r), i = cimag(r); /* 1/r by Smith's method */
    if (fabs(i) <= fabs(d)) {
      double q = i / d, s = d + i * q;
      return CMPLX(1 / s, -q / s);
    }
    double q = d / i, s = d * q + i;
    return CMPLX(q / s, -1 / s);
  }
  return cpow(a, b);
}

#endif
