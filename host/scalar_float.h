/*
 * FN(...) for f32 or f64, what is not done by whole blocks (host/loops_vec.inc). Template: define PREFIX, T, BT
 * (unsigned bits), ST (signed bits), M(f) (libm's name of f), MANT (stored mantissa bits), EXPMAX (exponent field of inf).
 */
#define F(f) MX_CAT3(PREFIX, _, f)
#define BIAS (EXPMAX / 2)

static inline BT F(bits)(T x) {
  BT u;
  memcpy(&u, &x, sizeof u);
  return u;
}
static inline T F(of_bits)(BT u) {
  T x;
  memcpy(&x, &u, sizeof x);
  return x;
}
#define SIGN_BIT ((BT)1 << (sizeof(BT) * 8 - 1))
#define INF_BITS ((BT)EXPMAX << MANT)

static inline T F(neg)(T x) { return -x; }
static inline T F(abs)(T x) { return M(fabs)(x); }
static inline T F(fabs)(T x) { return M(fabs)(x); }
static inline T F(sign)(T x) { return x > 0 ? (T)1 : x < 0 ? (T)-1 : x == 0 ? (T)0 : x; }
static inline T F(add)(T x, T y) { return x + y; }
static inline T F(sub)(T x, T y) { return x - y; }
static inline T F(mul)(T x, T y) { return x * y; }
static inline T F(div)(T x, T y) { return x / y; }
static inline T F(sqrt)(T x) { return M(sqrt)(x); }
static inline T F(recip)(T x) { return 1 / x; }
static inline T F(rint)(T x) { return M(rint)(x); }
static inline T F(floor)(T x) { return M(floor)(x); }
static inline T F(ceil)(T x) { return M(ceil)(x); }
static inline T F(trunc)(T x) { return M(trunc)(x); }
static inline T F(degrees)(T x) { return x * (T)(180 / 3.14159265358979323846); }
static inline T F(radians)(T x) { return x * (T)(3.14159265358979323846 / 180); }
static inline T F(conj)(T x) { return x; }
static inline T F(real)(T x) { return x; }
static inline T F(imag)(T x) { return 0; }
/* atan2(0, x) */
static inline T F(angle)(T x) {
  T r = (ST)F(bits)(x) < 0 ? (T)3.14159265358979323846 : (T)0;
  return x != x ? x : r;
}
static inline uint8_t F(signbit)(T x) { return (ST)F(bits)(x) < 0; }
static inline uint8_t F(isnan)(T x) { return x != x; }
static inline uint8_t F(isinf)(T x) { return M(fabs)(x) == (T)INFINITY; }
static inline uint8_t F(isfinite)(T x) { return M(fabs)(x) < (T)INFINITY; }
static inline uint8_t F(lnot)(T x) { return x == 0; }

/* NaN first: the comparison is false for it. */
static inline T F(maximum)(T x, T y) { return ((x >= y) | (x != x)) ? x : y; }
static inline T F(minimum)(T x, T y) { return ((x <= y) | (x != x)) ? x : y; }
static inline T F(fmax)(T x, T y) { return ((x >= y) | (y != y)) ? x : y; }
static inline T F(fmin)(T x, T y) { return ((x <= y) | (y != y)) ? x : y; }
static inline uint8_t F(eq)(T x, T y) { return x == y; }
static inline uint8_t F(ne)(T x, T y) { return x != y; }
static inline uint8_t F(lt)(T x, T y) { return x < y; }
static inline uint8_t F(le)(T x, T y) { return x <= y; }
static inline uint8_t F(gt)(T x, T y) { return x > y; }
static inline uint8_t F(ge)(T x, T y) { return x >= y; }
static inline uint8_t F(land)(T x, T y) { return (x != 0) & (y != 0); }
static inline uint8_t F(lor)(T x, T y) { return (x != 0) | (y != 0); }
static inline uint8_t F(lxor)(T x, T y) { return (x != 0) ^ (y != 0); }
static inline T F(copysign)(T x, T y) { return M(copysign)(x, y); }
static inline T F(heaviside)(T x, T y) {
  T r = x > 0 ? (T)1 : (T)0;
  r = x == 0 ? y : r;
  return x != x ? x : r;
}

/* One step in magnitude is one step of the bits. */
static inline T F(nextafter)(T x, T y) {
  BT u = F(bits)(x), mag = u & ~SIGN_BIT;
  BT step = (x < y) == (x > 0) ? u + 1 : u - 1;
  step = mag == 0 ? (F(bits)(y) & SIGN_BIT) | 1 : step;
  T r = F(of_bits)(step);
  r = x == y ? y : r;
  return ((x != x) | (y != y)) ? x + y : r;
}
/* Away from 0, so negative for negative x, as NumPy's; inf for the largest, NaN for inf. */
static inline T F(spacing)(T x) {
  T r = F(of_bits)(F(bits)(x) + 1) - x;
  return M(fabs)(x) < (T)INFINITY ? r : x - x;
}

#define TINY_SCALE F(of_bits)((BT)(BIAS + MANT + 2) << MANT) /* lifts denormals into the normal range */
static inline T F(frexp_m)(T x) {
  BT mag = F(bits)(x) & ~SIGN_BIT;
  T n = mag < ((BT)1 << MANT) ? x * TINY_SCALE : x;
  T r = F(of_bits)((F(bits)(n) & ~INF_BITS) | (BT)(BIAS - 1) << MANT);
  return ((mag == 0) | (mag >= INF_BITS)) ? x : r;
}
static inline int32_t F(frexp_e)(T x) {
  BT mag = F(bits)(x) & ~SIGN_BIT;
  T n = mag < ((BT)1 << MANT) ? x * TINY_SCALE : x;
  ST e = (ST)((F(bits)(n) >> MANT) & EXPMAX) - (BIAS - 1);
  e = mag < ((BT)1 << MANT) ? e - (MANT + 2) : e;
  return ((mag == 0) | (mag >= INF_BITS)) ? 0 : (int32_t)e;
}
#undef TINY_SCALE
static inline T F(modf_f)(T x) {
  T f = x - M(trunc)(x);
  f = M(fabs)(x) == (T)INFINITY ? (T)0 : f;
  return M(copysign)(f, x);
}

/* x * 2**trunc(y), rounded once: at most two exact steps before the one that may round. */
static inline T F(pow2)(int32_t e) { return F(of_bits)((BT)(e + BIAS) << MANT); }
static inline T F(ldexp)(T x, T y) {
  const int32_t up = BIAS, down = -(BIAS - 1) + MANT + 1; /* a step down keeps the last bits in the normal range */
  T c = y > 4 * BIAS ? (T)(4 * BIAS) : y;
  c = c < -4 * BIAS ? (T)(-4 * BIAS) : c;
  int32_t e = (int32_t)(c != c ? 0 : c);
  T r = x;
  for (int k = 0; k < 2; k++) {
    int32_t s = e > up ? up : e < -(BIAS - 1) ? down : 0;
    r *= F(pow2)(s);
    e -= s;
  }
  e = e > up ? up : e < -(BIAS - 1) ? -(BIAS - 1) : e;
  r *= F(pow2)(e);
  return y != y ? y : r;
}

#undef F
#undef BIAS
#undef SIGN_BIT
#undef INF_BITS
#undef PREFIX
#undef T
#undef BT
#undef ST
#undef M
#undef MANT
#undef EXPMAX
