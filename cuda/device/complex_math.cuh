/*
 * Transcendental functions of complex numbers, in double: c64 rounds the result once. Branch cuts and signed zeros are C99's.
 *
 * Hull, Fairgrieve, Tang, "Implementing the complex arcsine and arccosine functions using exception handling" (1997), and
 * Kahan, "Branch cuts for complex elementary functions" (1987), are where asin, acos, atanh and tanh come from.
 */
MX_DEV c128 mx_z(f64 re, f64 im) { return make_cx(re, im); }
MX_DEV c128 z_turn(c128 z) { return mx_z(-z.im, z.re); }  /* i z */
MX_DEV c128 z_back(c128 z) { return mx_z(z.im, -z.re); }  /* -i z */

/* sqrt(a a + b b) with what rounding lost put back (Borges 2019); a >= b >= 0 */
MX_DEV f64 z_hypot(f64 a, f64 b) {
  f64 up = 1, down = 1;
  if (b == 0 || a == MX_INF64) return a;
  if (a > 0x1p500) up = 0x1p-600, down = 0x1p600;
  if (a < 0x1p-400) up = 0x1p600, down = 0x1p-600;
  a *= up;
  b *= up;
  f64 h = sqrt(fma(a, a, b * b)), h2 = h * h, a2 = a * a;
  f64 x = fma(-b, b, h2 - a2) + fma(h, h, -h2) - fma(a, a, -a2);
  return (h - x / (2 * h)) * down;
}
MX_DEV f64 z_abs(c128 z) {
  f64 a = fabs(z.re), b = fabs(z.im);
  if (a == MX_INF64 || b == MX_INF64) return MX_INF64;
  if (a != a || b != b) return a + b;
  return a > b ? z_hypot(a, b) : z_hypot(b, a);
}

MX_DEV c128 z_sqrt(c128 z) {
  f64 a = fabs(z.re), b = fabs(z.im), up = 1, down = 1;
  if (a == 0 && b == 0) return mx_z(0, z.im);
  if (b == MX_INF64) return mx_z(MX_INF64, z.im);
  if (a >= 0x1p1000 || b >= 0x1p1000) up = 0x1p-60, down = 0x1p30;
  else if (a < 0x1p-900 && b < 0x1p-900) up = 0x1p120, down = 0x1p-60;
  f64 t = sqrt(0.5 * (a * up + z_abs(mx_z(a * up, b * up)))), u = b * up / (2 * t);
  t *= down;
  u *= down;
  if (z.re >= 0) return mx_z(t, copysign(u, z.im));
  return z.re != z.re ? mx_z(z.re, z.re) : mx_z(u, copysign(t, z.im));
}

/* e**x (c + i s), where e**x alone may leave the range: exp(700) as a factor */
MX_DEV c128 z_polar(f64 x, f64 c, f64 s) {
  if (x > 700 && x < 1500) {
    f64 e = exp(x - 700);
    return mx_z(c * e * 1.0142320547350045e304, s * e * 1.0142320547350045e304);
  }
  f64 e = exp(x);
  return mx_z(e * c, e * s);
}
MX_DEV c128 z_exp(c128 z) {
  if (z.im == 0) return mx_z(exp(z.re), z.im);
  if (z.re == -MX_INF64 && !(fabs(z.im) < MX_INF64)) return mx_z(0, 0);
  return z_polar(z.re, cos(z.im), sin(z.im));
}
/* the angle im * log 2 in two parts, as its rounding error grows with im */
MX_DEV c128 z_exp2(c128 z) {
  const f64 ln2_hi = 0.69314718055994530942, ln2_lo = 2.3190468138462996e-17;
  if (z.im == 0) return mx_z(exp2(z.re), z.im);
  if (!(fabs(z.re) < MX_INF64 && fabs(z.im) < MX_INF64)) return z_exp(z);
  f64 angle = z.im * ln2_hi, rest = fma(z.im, ln2_hi, -angle) + z.im * ln2_lo, s = sin(angle), c = cos(angle);
  if (fabs(rest) > 1e-8) { /* no small angle */
    f64 sr = sin(rest), cr = cos(rest), turned = s * cr + c * sr;
    c = c * cr - s * sr;
    s = turned;
    rest = 0;
  }
  f64 re = c - s * rest, im = s + c * rest;
  if (fabs(z.re) < 1000) return mx_z(re * exp2(z.re), im * exp2(z.re));
  f64 half = exp2(z.re * 0.5);
  return mx_z(re * half * half, im * half * half);
}
/* near 0 with 1 - cos = 2 sin^2(half), which does not cancel */
MX_DEV c128 z_expm1(c128 z) {
  if (z.im == 0) return mx_z(expm1(z.re), z.im);
  if (!(fabs(z.re) < MX_INF64 && fabs(z.im) < MX_INF64) || z.re > 700) {
    c128 e = z_exp(z);
    return mx_z(e.re - 1, e.im);
  }
  f64 e = exp(z.re), c = cos(z.im), s = sin(z.im);
  if (z.re < -0.7) return mx_z(e * c - 1, e * s); /* below 1/2: no cancellation */
  f64 h = sin(z.im * 0.5);
  return mx_z(expm1(z.re) * c - 2 * h * h, e * s);
}

MX_DEV f64 z_log_abs(f64 a, f64 b) { /* a >= b >= 0 */
  if (a > 0.5 && a < 2 && b < 2) return 0.5 * log1p((a - 1) * (a + 1) + b * b);
  if (a > 0x1p1000 && a < MX_INF64) return log(z_hypot(a * 0x1p-60, b * 0x1p-60)) + 60 * 0.69314718055994530942;
  if (a < 0x1p-900 && a > 0) return log(z_hypot(a * 0x1p200, b * 0x1p200)) - 200 * 0.69314718055994530942;
  return log(z_hypot(a, b));
}
MX_DEV c128 z_log(c128 z) {
  f64 a = fabs(z.re), b = fabs(z.im);
  f64 re = a == MX_INF64 || b == MX_INF64 ? MX_INF64 : a != a || b != b ? a + b : a > b ? z_log_abs(a, b) : z_log_abs(b, a);
  return mx_z(re, atan2(z.im, z.re));
}
MX_DEV c128 z_log_scaled(c128 z, f64 by) {
  c128 l = z_log(z);
  return mx_z(l.re * by, l.im * by);
}
MX_DEV c128 z_log1p(c128 z) {
  if (fabs(z.re) < 0.5 && fabs(z.im) < 0.5)
    return mx_z(0.5 * log1p(z.re * (2 + z.re) + z.im * z.im), atan2(z.im, 1 + z.re));
  return z_log(mx_z(1 + z.re, z.im));
}

MX_DEV c128 z_sinh(c128 z) {
  f64 a = fabs(z.re), c = cos(z.im), s = sin(z.im);
  if (z.im == 0) return mx_z(sinh(z.re), z.im);
  if (a < 700) return mx_z(sinh(z.re) * c, cosh(z.re) * s);
  return z_polar(a, 0.5 * copysign(1.0, z.re) * c, 0.5 * s);
}
MX_DEV c128 z_cosh(c128 z) {
  f64 a = fabs(z.re), c = cos(z.im), s = sin(z.im);
  if (a < 700) return mx_z(cosh(z.re) * c, sinh(z.re) * s);
  return z_polar(a, 0.5 * c, 0.5 * copysign(1.0, z.re) * s);
}
MX_DEV c128 z_tanh(c128 z) {
  f64 a = fabs(z.re);
  if (z.im == 0) return mx_z(tanh(z.re), z.im);
  if (a > 22) return mx_z(copysign(1.0, z.re), 4 * sin(z.im) * cos(z.im) * exp(-2 * a));
  f64 t = tan(z.im), beta = 1 + t * t, s = sinh(z.re), rho = sqrt(1 + s * s), d = 1 + beta * s * s;
  return mx_z(beta * rho * s / d, t / d);
}

/* Both parts of asin and acos of x + i y, x, y >= 0: angles as = asin's, ac = acos's real part, im for both. */
MX_DEV void z_arc(f64 x, f64 y, f64 &as, f64 &ac, f64 &im) {
  const f64 half_pi = 1.57079632679489661923;
  if (x > 0x1p250 || y > 0x1p250) {
    as = atan2(x, y);
    ac = atan2(y, x);
    im = (x > y ? z_log_abs(x, y) : z_log_abs(y, x)) + 0.69314718055994530942;
    return;
  }
  if (x == 1 && y < 0x1p-400) {
    im = ac = sqrt(y);
    as = half_pi - ac;
    return;
  }
  if (y <= 0x1p-60 * fabs(x - 1)) {
    if (x < 1) {
      as = asin(x);
      ac = acos(x);
      im = y / sqrt((1 - x) * (1 + x));
    } else {
      f64 w = sqrt((x - 1) * (x + 1));
      as = half_pi;
      ac = y / w;
      im = log1p((x - 1) + w);
    }
    return;
  }
  f64 r = x + 1 > y ? z_hypot(x + 1, y) : z_hypot(y, x + 1), e = fabs(x - 1), s = e > y ? z_hypot(e, y) : z_hypot(y, e);
  f64 a = 0.5 * (r + s), b = x / a;
  if (b <= 0.6417) {
    as = asin(b);
    ac = acos(b);
  } else {
    f64 ax = a + x;
    f64 root = x <= 1 ? sqrt(0.5 * ax * (y * y / (r + x + 1) + (s + (1 - x))))
                      : y * sqrt(0.5 * (ax / (r + x + 1) + ax / (s + (x - 1))));
    as = atan2(x, root);
    ac = atan2(root, x);
  }
  if (a <= 1.5) {
    f64 am1 = x < 1 ? 0.5 * (y * y / (r + (x + 1)) + y * y / (s + (1 - x))) : 0.5 * (y * y / (r + (x + 1)) + (s + (x - 1)));
    im = log1p(am1 + sqrt(am1 * (a + 1)));
  } else {
    im = log(a + sqrt((a - 1) * (a + 1)));
  }
}
MX_DEV c128 z_asin(c128 z) {
  f64 as, ac, im;
  z_arc(fabs(z.re), fabs(z.im), as, ac, im);
  return mx_z(copysign(as, z.re), copysign(im, z.im));
}
MX_DEV c128 z_acos(c128 z) {
  f64 as, ac, im;
  z_arc(fabs(z.re), fabs(z.im), as, ac, im);
  return mx_z(bits_of(z.re) >> 63 ? 3.14159265358979323846 - ac : ac, -copysign(im, z.im));
}
MX_DEV c128 z_acosh(c128 z) {
  c128 a = z_acos(z);
  return bits_of(z.im) >> 63 ? z_back(a) : z_turn(a);
}
MX_DEV c128 z_asinh(c128 z) { return z_back(z_asin(z_turn(z))); }
MX_DEV c128 z_atanh(c128 z) {
  f64 x = fabs(z.re), y = fabs(z.im), re, im;
  if (x == MX_INF64 || y == MX_INF64) return mx_z(copysign(0.0, z.re), y != y ? y : copysign(1.57079632679489661923, z.im));
  if (x > 0x1p100 || y > 0x1p100) { /* 1/z, next to which pi/2 is all there is */
    f64 m = x > y ? x : y, p = x / m, q = y / m;
    return mx_z(copysign(p / (p * p + q * q) / m, z.re), copysign(1.57079632679489661923, z.im));
  }
  if (x == 1 && y < 0x1p-300) {
    re = 0.5 * (0.69314718055994530942 - log(y));
    im = 0.25 * 3.14159265358979323846;
    if (y == 0) im = 0;
  } else {
    re = 0.25 * log1p(4 * x / ((1 - x) * (1 - x) + y * y));
    im = 0.5 * atan2(2 * y, (1 - x) * (1 + x) - y * y);
  }
  return mx_z(copysign(re, z.re), copysign(im, z.im));
}
MX_DEV c128 z_atan(c128 z) { return z_back(z_atanh(z_turn(z))); }
MX_DEV c128 z_sin(c128 z) { return z_back(z_sinh(z_turn(z))); }
MX_DEV c128 z_cos(c128 z) { return z_cosh(z_turn(z)); }
MX_DEV c128 z_tan(c128 z) { return z_back(z_tanh(z_turn(z))); }

MX_DEV c128 mx_wide(c64 x) { return mx_z(x.re, x.im); }
#define MX_Z(name, ...)                                                                                      \
  MX_DEV c128 mx_##name(c128 x) { return __VA_ARGS__; }                                                      \
  MX_DEV c64 mx_##name(c64 v) {                                                                              \
    c128 x = mx_wide(v), z = __VA_ARGS__;                                                                    \
    return make_cx((f32)z.re, (f32)z.im);                                                                    \
  }
MX_Z(sqrt, z_sqrt(x))
MX_Z(exp, z_exp(x))
MX_Z(exp2, z_exp2(x))
MX_Z(expm1, z_expm1(x))
MX_Z(log, z_log(x))
MX_Z(log2, z_log_scaled(x, 1.4426950408889634074))
MX_Z(log10, z_log_scaled(x, 0.43429448190325182765))
MX_Z(log1p, z_log1p(x))
MX_Z(sin, z_sin(x))
MX_Z(cos, z_cos(x))
MX_Z(tan, z_tan(x))
MX_Z(asin, z_asin(x))
MX_Z(acos, z_acos(x))
MX_Z(atan, z_atan(x))
MX_Z(sinh, z_sinh(x))
MX_Z(cosh, z_cosh(x))
MX_Z(tanh, z_tanh(x))
MX_Z(asinh, z_asinh(x))
MX_Z(acosh, z_acosh(x))
MX_Z(atanh, z_atanh(x))

/* c64 alone: in double the error of exp(w log z) is small enough. z**0 is 1, 0**w is 0 for positive real w and else NaN,
   small integers by squaring. */
MX_DEV c64 mx_pow(c64 v, c64 u) {
  c128 a = mx_wide(v), b = mx_wide(u), r = mx_z(1, 0);
  const f32 nan = flt<f32>::nan();
  if (b.re == 0 && b.im == 0) return make_cx(1.0f, 0.0f);
  if (a.re == 0 && a.im == 0) return b.re > 0 && b.im == 0 ? make_cx(0.0f, 0.0f) : make_cx(nan, nan);
  if (b.im != 0 || b.re != rint(b.re) || fabs(b.re) >= 100) {
    c128 l = z_log(a);
    r = z_exp(mx_z(b.re * l.re - b.im * l.im, b.re * l.im + b.im * l.re));
  } else {
    for (int e = (int)fabs(b.re); e != 0; e >>= 1) {
      if (e & 1) r = mx_mul(r, a);
      if (e > 1) a = mx_mul(a, a);
    }
    if (b.re < 0) r = mx_recip(r);
  }
  return make_cx((f32)r.re, (f32)r.im);
}
