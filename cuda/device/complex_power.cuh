/*
 * Powers of c128 numbers. The error of exp(w log z) is |w log z| units of the precision that it is computed in, so logarithm, angle and
 * their products with w are sums of two doubles (Dekker 1971), good for some 100 bits.
 */
struct dd { f64 hi, lo; };
MX_DEV dd dd_of(f64 hi, f64 lo) {
  dd r;
  r.hi = hi;
  r.lo = lo;
  return r;
}
MX_DEV dd dd_fast(f64 a, f64 b) { /* |a| >= |b| */
  const f64 s = a + b;
  return dd_of(s, b - (s - a));
}
MX_DEV dd dd_two(f64 a, f64 b) {
  const f64 s = a + b, t = s - a;
  return dd_of(s, (a - (s - t)) + (b - t));
}
MX_DEV dd dd_add(dd a, dd b) {
  dd s = dd_two(a.hi, b.hi), t = dd_two(a.lo, b.lo);
  s = dd_fast(s.hi, s.lo + t.hi);
  return dd_fast(s.hi, s.lo + t.lo);
}
MX_DEV dd dd_neg(dd a) { return dd_of(-a.hi, -a.lo); }
MX_DEV dd dd_prod(f64 a, f64 b) {
  const f64 p = a * b;
  return dd_of(p, fma(a, b, -p));
}
MX_DEV dd dd_mul(dd a, dd b) {
  const dd p = dd_prod(a.hi, b.hi);
  return dd_fast(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}
MX_DEV dd dd_div(dd a, dd b) {
  const f64 q = a.hi / b.hi;
  const dd r = dd_add(a, dd_neg(dd_mul(b, dd_of(q, 0))));
  const f64 q2 = r.hi / b.hi;
  const dd r2 = dd_add(r, dd_neg(dd_mul(b, dd_of(q2, 0))));
  return dd_add(dd_fast(q, q2), dd_of(r2.hi / b.hi, 0));
}

/* 1 +- z/3 + z^2/5 +- ...: the first terms of `exact` in two doubles, the rest, which are small, in one. */
template <int EXACT, int TERMS, int SIGN> MX_DEV dd dd_series(dd z) {
  f64 tail = 0;
#pragma unroll
  for (int n = TERMS; n > EXACT; n--) tail = tail * z.hi + (SIGN < 0 && n % 2 ? -1.0 : 1.0) / (2 * n + 1);
  dd sum = dd_of(tail, 0);
#pragma unroll
  for (int n = EXACT; n >= 0; n--) {
    const f64 d = 2 * n + 1, one = SIGN < 0 && n % 2 ? -1.0 : 1.0, hi = one / d;
    sum = dd_add(dd_mul(sum, z), dd_of(hi, fma(-hi, d, one) / d));
  }
  return sum;
}

MX_DEV int z_exponent(f64 x) { /* of a positive finite number */
  return x < 0x1p-1000 ? (int)(bits_of(x * 0x1p200) >> 52) - 1223 : (int)(bits_of(x) >> 52) - 1023;
}
MX_DEV f64 z_shift(f64 x, int e) { /* x 2^-e, e an exponent of a number */
  const int h = e / 2;
  return x * of_bits((u64)(1023 - h) << 52) * of_bits((u64)(1023 - (e - h)) << 52);
}

/* log x, 1 <= x < 8 */
MX_DEV dd dd_log(dd x) {
  int e = z_exponent(x.hi);
  f64 down = of_bits((u64)(1023 - e) << 52);
  if (x.hi * down > 1.4142135623730951) {
    down *= 0.5;
    e++;
  }
  const dd m = dd_of(x.hi * down, x.lo * down);
  const dd s = dd_div(dd_add(m, dd_of(-1, 0)), dd_add(m, dd_of(1, 0)));
  const dd l = dd_mul(s, dd_series<8, 18, 1>(dd_mul(s, s)));
  return dd_add(dd_mul(dd_of(e, 0), dd_of(0.6931471805599453, 2.3190468138462996e-17)), dd_of(2 * l.hi, 2 * l.lo));
}

/* The arctangents of k / 8. */
MX_DEV dd dd_eighth(int k) {
  switch (k) {
  case 0: return dd_of(0.0, 0.0);
  case 1: return dd_of(0.12435499454676144, -3.1253241424539383e-18);
  case 2: return dd_of(0.24497866312686414, 1.0698755618734451e-17);
  case 3: return dd_of(0.35877067027057225, -2.4623815582638635e-17);
  case 4: return dd_of(0.4636476090008061, 2.2698777452961687e-17);
  case 5: return dd_of(0.5585993153435624, -5.4556305485916264e-18);
  case 6: return dd_of(0.6435011087932844, 1.5834785051444286e-17);
  case 7: return dd_of(0.7188299996216245, -2.1478388444456983e-17);
  default: return dd_of(0.7853981633974483, 3.061616997868383e-17);
  }
}
/* Angle of x + i y, neither infinite, not both 0. */
MX_DEV dd dd_angle(f64 x, f64 y) {
  const bool steep = fabs(y) > fabs(x);
  const f64 small = steep ? fabs(x) : fabs(y), large = steep ? fabs(y) : fabs(x);
  const dd t = dd_div(dd_of(small, 0), dd_of(large, 0));
  const int k = (int)rint(t.hi * 8);
  const dd c = dd_of(k * 0.125, 0), s = dd_div(dd_add(t, dd_neg(c)), dd_add(dd_of(1, 0), dd_mul(t, c)));
  dd a = dd_add(dd_eighth(k), dd_mul(s, dd_series<5, 12, -1>(dd_mul(s, s))));
  if (steep) a = dd_add(dd_of(1.5707963267948966, 6.123233995736766e-17), dd_neg(a));
  if (copysign(1.0, x) < 0) a = dd_add(dd_of(3.141592653589793, 1.2246467991473532e-16), dd_neg(a));
  return copysign(1.0, y) < 0 ? dd_neg(a) : a;
}

MX_DEV c128 z_power(c128 z, c128 w) {
  const f64 larger = mx_larger(z);
  const c128 l = z_log(z);
  const c128 plain = mx_z(w.re * l.re - w.im * l.im, w.re * l.im + w.im * l.re);
  if (!(larger < MX_INF64) || !(fabs(plain.re) < 2000) || !(fabs(plain.im) < 0x1p50)) return z_exp(plain);
  const int k = z_exponent(larger);
  const f64 x = z_shift(z.re, k), y = z_shift(z.im, k);
  const dd n = dd_log(dd_add(dd_prod(x, x), dd_prod(y, y)));
  const dd r = dd_add(dd_of(0.5 * n.hi, 0.5 * n.lo), dd_mul(dd_of(k, 0), dd_of(0.6931471805599453, 2.3190468138462996e-17))), a = dd_angle(x, y);
  const dd wr = dd_of(w.re, 0), wi = dd_of(w.im, 0);
  const dd e = dd_add(dd_mul(wr, r), dd_neg(dd_mul(wi, a))), t = dd_add(dd_mul(wr, a), dd_mul(wi, r));
  const f64 c = cos(t.hi), s = sin(t.hi);
  return z_polar(e.hi, c + (c * e.lo - s * t.lo), s + (s * e.lo + c * t.lo));
}

/* z**n by squaring, 0 < n < 100. */
struct zz { dd re, im; };
MX_DEV zz zz_mul(const zz &a, const zz &b) {
  zz r;
  r.re = dd_add(dd_mul(a.re, b.re), dd_neg(dd_mul(a.im, b.im)));
  r.im = dd_add(dd_mul(a.re, b.im), dd_mul(a.im, b.re));
  return r;
}
MX_DEV c128 mx_pow(c128 z, c128 w) {
  const f64 nan = flt<f64>::nan();
  zz r, p;
  if (w.re == 0 && w.im == 0) return mx_z(1, 0);
  if (z.re == 0 && z.im == 0) return w.re > 0 && w.im == 0 ? mx_z(0, 0) : mx_z(nan, nan);
  if (w.im != 0 || w.re != rint(w.re) || fabs(w.re) >= 100) return z_power(z, w);
  r.re = dd_of(1, 0);
  r.im = p.re = p.im = dd_of(0, 0);
  p.re.hi = z.re;
  p.im.hi = z.im;
  for (int e = (int)fabs(w.re); e != 0; e >>= 1) {
    if (e & 1) r = zz_mul(r, p);
    if (e > 1) p = zz_mul(p, p);
  }
  const f64 size = mx_larger(mx_z(r.re.hi, r.im.hi));
  if (!(size > 0x1p-400) || !(size < 0x1p400)) return z_power(z, w); /* what the low parts hold may be lost there */
  if (w.re > 0) return mx_z(r.re.hi, r.im.hi);
  const dd q = dd_add(dd_mul(r.re, r.re), dd_mul(r.im, r.im));
  return mx_z(dd_div(r.re, q).hi, -dd_div(r.im, q).hi);
}
