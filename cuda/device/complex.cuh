/* FN(...) for c64 and c128: host/scalar_complex.h. */
template <class R> MX_DEV cx<R> mx_neg(cx<R> x) { return make_cx(-x.re, -x.im); }
template <class R> MX_DEV cx<R> mx_conj(cx<R> x) { return make_cx(x.re, -x.im); }
template <class R> MX_DEV R mx_real(cx<R> x) { return x.re; }
template <class R> MX_DEV R mx_imag(cx<R> x) { return x.im; }
template <class R> MX_DEV cx<R> mx_rint(cx<R> x) { return make_cx(rint(x.re), rint(x.im)); }
template <class R> MX_DEV cx<R> mx_add(cx<R> x, cx<R> y) { return make_cx(x.re + y.re, x.im + y.im); }
template <class R> MX_DEV cx<R> mx_sub(cx<R> x, cx<R> y) { return make_cx(x.re - y.re, x.im - y.im); }
template <class R> MX_DEV cx<R> mx_mul(cx<R> x, cx<R> y) {
  return make_cx(x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re);
}
MX_DEV f64 z_abs(c128 z); /* complex_math.cuh */
MX_DEV f64 mx_abs(c128 x) { return z_abs(x); }
MX_DEV f32 mx_abs(c64 x) { return (f32)sqrt((f64)x.re * (f64)x.re + (f64)x.im * (f64)x.im); } /* in double it cannot overflow */
template <class R> MX_DEV R mx_angle(cx<R> x) { return atan2(x.im, x.re); }
template <class R> MX_DEV R mx_larger(cx<R> x) { return fabs(x.re) > fabs(x.im) ? fabs(x.re) : fabs(x.im); }
template <class R> MX_DEV cx<R> mx_scaled(cx<R> x, R by) { return make_cx(x.re * by, x.im * by); }

template <class R> MX_DEV cx<R> mx_smith(cx<R> x, cx<R> y) {
  if (fabs(y.re) >= fabs(y.im)) {
    if (y.re == 0 && y.im == 0) return make_cx(x.re / fabs(y.re), x.im / fabs(y.re));
    R ratio = y.im / y.re, scale = 1 / (y.re + y.im * ratio);
    return make_cx((x.re + x.im * ratio) * scale, (x.im - x.re * ratio) * scale);
  }
  R ratio = y.re / y.im, scale = 1 / (y.im + y.re * ratio);
  return make_cx((x.re * ratio + x.im) * scale, (x.im * ratio - x.re) * scale);
}
/* Near the ends of the range both are scaled first. */
template <class R> MX_DEV cx<R> mx_div(cx<R> x, cx<R> y) {
  const bool single = sizeof(R) == 4;
  const R top = single ? (R)0x1p125 : (R)0x1p1021, low = single ? (R)0x1p-100 : (R)0x1p-900;
  const R up = single ? (R)0x1p100 : (R)0x1p200;
  R size = mx_larger(y);
  if (size >= top || mx_larger(x) >= top) return mx_smith(mx_scaled(x, (R)0.125), mx_scaled(y, (R)0.125));
  if (size < low && size > 0) return mx_smith(mx_scaled(x, up), mx_scaled(y, up));
  return mx_smith(x, y);
}
template <class R> MX_DEV cx<R> mx_recip(cx<R> x) {
  const R top = sizeof(R) == 4 ? (R)0x1p125 : (R)0x1p1021;
  R down = mx_larger(x) >= top ? (R)0.125 : (R)1;
  x = mx_scaled(x, down);
  if (fabs(x.im) <= fabs(x.re)) {
    R ratio = x.im / x.re, d = x.re + x.im * ratio;
    return mx_scaled(make_cx(1 / d, -ratio / d), down);
  }
  R ratio = x.re / x.im, d = x.re * ratio + x.im;
  return mx_scaled(make_cx(ratio / d, -1 / d), down);
}
template <class R> MX_DEV cx<R> mx_sign(cx<R> x) {
  const R inf = flt<R>::inf();
  R r = hypot(x.re, x.im);
  if (r == 0) return make_cx((R)0, (R)0);
  if (r < (R)0x1p-100) { /* the modulus of denormals has few bits */
    x = mx_scaled(x, (R)0x1p100);
    r = hypot(x.re, x.im);
  }
  if (r != r) return make_cx(r, r);
  if (r == inf) {
    bool re_inf = fabs(x.re) == inf, im_inf = fabs(x.im) == inf;
    if (re_inf && im_inf) return make_cx(flt<R>::nan(), flt<R>::nan());
    if (re_inf) return make_cx(copysign((R)1, x.re), (R)0);
    if (im_inf) return make_cx((R)0, copysign((R)1, x.im));
    x = mx_scaled(x, (R)0.25); /* the modulus alone overflowed */
    r = hypot(x.re, x.im);
  }
  return make_cx(x.re / r, x.im / r);
}

template <class R> MX_DEV b8 mx_isnan(cx<R> x) { return (x.re != x.re) | (x.im != x.im); }
template <class R> MX_DEV b8 mx_isinf(cx<R> x) { return (fabs(x.re) == flt<R>::inf()) | (fabs(x.im) == flt<R>::inf()); }
template <class R> MX_DEV b8 mx_isfinite(cx<R> x) { return (fabs(x.re) < flt<R>::inf()) & (fabs(x.im) < flt<R>::inf()); }
template <class R> MX_DEV b8 mx_nonzero(cx<R> x) { return (x.re != 0) | (x.im != 0); }
template <class R> MX_DEV b8 mx_lnot(cx<R> x) { return !mx_nonzero(x); }
template <class R> MX_DEV b8 mx_land(cx<R> x, cx<R> y) { return mx_nonzero(x) & mx_nonzero(y); }
template <class R> MX_DEV b8 mx_lor(cx<R> x, cx<R> y) { return mx_nonzero(x) | mx_nonzero(y); }
template <class R> MX_DEV b8 mx_lxor(cx<R> x, cx<R> y) { return mx_nonzero(x) ^ mx_nonzero(y); }

/* Lexicographic; a NaN imaginary part makes the order of the real parts void. */
template <class R> MX_DEV b8 mx_eq(cx<R> x, cx<R> y) { return (x.re == y.re) & (x.im == y.im); }
template <class R> MX_DEV b8 mx_ne(cx<R> x, cx<R> y) { return (x.re != y.re) | (x.im != y.im); }
template <class R> MX_DEV b8 mx_lt(cx<R> x, cx<R> y) {
  return ((x.re < y.re) & (x.im == x.im) & (y.im == y.im)) | ((x.re == y.re) & (x.im < y.im));
}
template <class R> MX_DEV b8 mx_le(cx<R> x, cx<R> y) {
  return ((x.re < y.re) & (x.im == x.im) & (y.im == y.im)) | ((x.re == y.re) & (x.im <= y.im));
}
template <class R> MX_DEV b8 mx_gt(cx<R> x, cx<R> y) { return mx_lt(y, x); }
template <class R> MX_DEV b8 mx_ge(cx<R> x, cx<R> y) { return mx_le(y, x); }
template <class R> MX_DEV cx<R> mx_maximum(cx<R> x, cx<R> y) { return (mx_isnan(x) | mx_ge(x, y)) ? x : y; }
template <class R> MX_DEV cx<R> mx_minimum(cx<R> x, cx<R> y) { return (mx_isnan(x) | mx_le(x, y)) ? x : y; }
template <class R> MX_DEV cx<R> mx_fmax(cx<R> x, cx<R> y) { return (mx_isnan(y) | mx_ge(x, y)) ? x : y; }
template <class R> MX_DEV cx<R> mx_fmin(cx<R> x, cx<R> y) { return (mx_isnan(y) | mx_le(x, y)) ? x : y; }
