/*
 * FN(...) for c64 or c128. Template: define PREFIX, T, RT (the parts' type), M(f) (libm's name of f).
 *
 * c64 calls libm in double and rounds once, so its errors are below one ulp of the modulus. c128 uses libm's complex
 * functions, or host/complex_math.h where those lose accuracy or do not exist.
 */
#define F(f) MX_CAT3(PREFIX, _, f)

static inline T F(make)(RT re, RT im) { return (T){re, im}; }
/* through libm */
static inline double complex F(wide)(T x) { return CMPLX((double)x.re, (double)x.im); }
static inline T F(narrow)(double complex z) { return (T){(RT)creal(z), (RT)cimag(z)}; }

static inline T F(neg)(T x) { return (T){-x.re, -x.im}; }
static inline T F(conj)(T x) { return (T){x.re, -x.im}; }
static inline RT F(real)(T x) { return x.re; }
static inline RT F(imag)(T x) { return x.im; }
static inline T F(rint)(T x) { return (T){M(rint)(x.re), M(rint)(x.im)}; }
static inline T F(add)(T x, T y) { return (T){x.re + y.re, x.im + y.im}; }
static inline T F(sub)(T x, T y) { return (T){x.re - y.re, x.im - y.im}; }
static inline T F(mul)(T x, T y) {
  return (T){MX_ROUNDED(x.re * y.re) - MX_ROUNDED(x.im * y.im), MX_ROUNDED(x.re * y.im) + MX_ROUNDED(x.im * y.re)};
}

static inline RT F(larger)(T x) { return M(fabs)(x.re) > M(fabs)(x.im) ? M(fabs)(x.re) : M(fabs)(x.im); }
/* By a power of two: exact but for what becomes denormal, where a contracted multiply-add would give other bits. */
static inline T F(scaled)(T x, RT by) { return (T){MX_ROUNDED(x.re * by), MX_ROUNDED(x.im * by)}; }

static inline T F(smith)(T x, T y) {
  if (M(fabs)(y.re) >= M(fabs)(y.im)) {
    if (y.re == 0 && y.im == 0) return (T){x.re / M(fabs)(y.re), x.im / M(fabs)(y.re)};
    RT ratio = y.im / y.re, scale = 1 / (y.re + MX_ROUNDED(y.im * ratio));
    return (T){(x.re + MX_ROUNDED(x.im * ratio)) * scale, (x.im - MX_ROUNDED(x.re * ratio)) * scale};
  }
  RT ratio = y.re / y.im, scale = 1 / (y.im + MX_ROUNDED(y.re * ratio));
  return (T){(MX_ROUNDED(x.re * ratio) + x.im) * scale, (MX_ROUNDED(x.im * ratio) - x.re) * scale};
}

/* Smith's method; where its sums or its 1/scale would leave the range although the quotient does not, both operands are
   scaled first: near the greatest numbers down, near the least ones up. */
static inline T F(div)(T x, T y) {
  const RT top = sizeof(RT) == 4 ? (RT)0x1p125 : (RT)0x1p1021, low = sizeof(RT) == 4 ? (RT)0x1p-100 : (RT)0x1p-900;
  const RT up = sizeof(RT) == 4 ? (RT)0x1p100 : (RT)0x1p200;
  RT size = F(larger)(y);
  if (size >= top || F(larger)(x) >= top) return F(smith)(F(scaled)(x, (RT)0.125), F(scaled)(y, (RT)0.125));
  if (size < low && size > 0) return F(smith)(F(scaled)(x, up), F(scaled)(y, up));
  return F(smith)(x, y);
}
static inline T F(recip)(T x) {
  const RT top = sizeof(RT) == 4 ? (RT)0x1p125 : (RT)0x1p1021;
  RT down = F(larger)(x) >= top ? (RT)0.125 : (RT)1;
  x = F(scaled)(x, down);
  if (M(fabs)(x.im) <= M(fabs)(x.re)) {
    RT ratio = x.im / x.re, d = x.re + MX_ROUNDED(x.im * ratio);
    return F(scaled)((T){1 / d, -ratio / d}, down);
  }
  RT ratio = x.re / x.im, d = MX_ROUNDED(x.re * ratio) + x.im;
  return F(scaled)((T){ratio / d, -1 / d}, down);
}

static inline T F(sign)(T x) {
  RT r = M(hypot)(x.re, x.im);
  if (r == 0) return (T){0, 0};
  if (r < (RT)0x1p-100) { /* the modulus of denormals has few bits */
    x = F(scaled)(x, (RT)0x1p100);
    r = M(hypot)(x.re, x.im);
  }
  if (r != r) return (T){r, r};
  if (r == (RT)INFINITY) {
    int re_inf = M(fabs)(x.re) == (RT)INFINITY, im_inf = M(fabs)(x.im) == (RT)INFINITY;
    if (re_inf && im_inf) return (T){(RT)NAN, (RT)NAN};
    if (re_inf) return (T){M(copysign)(1, x.re), 0};
    if (im_inf) return (T){0, M(copysign)(1, x.im)};
    x.re *= (RT)0.25; /* the modulus alone overflowed */
    x.im *= (RT)0.25;
    r = M(hypot)(x.re, x.im);
  }
  return (T){x.re / r, x.im / r};
}

static inline uint8_t F(isnan)(T x) { return (x.re != x.re) | (x.im != x.im); }
static inline uint8_t F(isinf)(T x) {
  return (M(fabs)(x.re) == (RT)INFINITY) | (M(fabs)(x.im) == (RT)INFINITY);
}
static inline uint8_t F(isfinite)(T x) {
  return (M(fabs)(x.re) < (RT)INFINITY) & (M(fabs)(x.im) < (RT)INFINITY);
}
static inline uint8_t F(nonzero)(T x) { return (x.re != 0) | (x.im != 0); }
static inline uint8_t F(lnot)(T x) { return !F(nonzero)(x); }
static inline uint8_t F(land)(T x, T y) { return F(nonzero)(x) & F(nonzero)(y); }
static inline uint8_t F(lor)(T x, T y) { return F(nonzero)(x) | F(nonzero)(y); }
static inline uint8_t F(lxor)(T x, T y) { return F(nonzero)(x) ^ F(nonzero)(y); }

/* Lexicographic; a NaN imaginary part makes the order of the real parts void. */
static inline uint8_t F(eq)(T x, T y) { return (x.re == y.re) & (x.im == y.im); }
static inline uint8_t F(ne)(T x, T y) { return (x.re != y.re) | (x.im != y.im); }
static inline uint8_t F(lt)(T x, T y) {
  return ((x.re < y.re) & (x.im == x.im) & (y.im == y.im)) | ((x.re == y.re) & (x.im < y.im));
}
static inline uint8_t F(le)(T x, T y) {
  return ((x.re < y.re) & (x.im == x.im) & (y.im == y.im)) | ((x.re == y.re) & (x.im <= y.im));
}
static inline uint8_t F(gt)(T x, T y) { return F(lt)(y, x); }
static inline uint8_t F(ge)(T x, T y) { return F(le)(y, x); }
static inline T F(maximum)(T x, T y) { return (F(isnan)(x) | F(ge)(x, y)) ? x : y; }
static inline T F(minimum)(T x, T y) { return (F(isnan)(x) | F(le)(x, y)) ? x : y; }
static inline T F(fmax)(T x, T y) { return (F(isnan)(y) | F(ge)(x, y)) ? x : y; }
static inline T F(fmin)(T x, T y) { return (F(isnan)(y) | F(le)(x, y)) ? x : y; }

static inline T F(sqrt)(T x) { return F(narrow)(csqrt(F(wide)(x))); }
static inline T F(exp)(T x) { return F(narrow)(cexp(F(wide)(x))); }
static inline T F(exp2)(T x) { return F(narrow)(mx_cexp2(F(wide)(x))); }
static inline T F(expm1)(T x) { return F(narrow)(mx_cexpm1(F(wide)(x))); }
static inline T F(log)(T x) { return F(narrow)(clog(F(wide)(x))); }
static inline T F(log2)(T x) { return F(narrow)(mx_clog_scaled(F(wide)(x), 1.4426950408889634074)); }
static inline T F(log10)(T x) { return F(narrow)(mx_clog_scaled(F(wide)(x), 0.43429448190325182765)); }
static inline T F(log1p)(T x) { return F(narrow)(mx_clog1p(F(wide)(x))); }
static inline T F(sin)(T x) { return F(narrow)(csin(F(wide)(x))); }
static inline T F(cos)(T x) { return F(narrow)(ccos(F(wide)(x))); }
static inline T F(tan)(T x) { return F(narrow)(ctan(F(wide)(x))); }
static inline T F(asin)(T x) { return F(narrow)(casin(F(wide)(x))); }
static inline T F(acos)(T x) { return F(narrow)(cacos(F(wide)(x))); }
static inline T F(atan)(T x) { return F(narrow)(catan(F(wide)(x))); }
static inline T F(sinh)(T x) { return F(narrow)(csinh(F(wide)(x))); }
static inline T F(cosh)(T x) { return F(narrow)(ccosh(F(wide)(x))); }
static inline T F(tanh)(T x) { return F(narrow)(ctanh(F(wide)(x))); }
static inline T F(asinh)(T x) { return F(narrow)(casinh(F(wide)(x))); }
static inline T F(acosh)(T x) { return F(narrow)(cacosh(F(wide)(x))); }
static inline T F(atanh)(T x) { return F(narrow)(catanh(F(wide)(x))); }
static inline T F(pow)(T x, T y) { return F(narrow)(mx_cpow(F(wide)(x), F(wide)(y))); }

#undef F
#undef PREFIX
#undef T
#undef RT
#undef M
