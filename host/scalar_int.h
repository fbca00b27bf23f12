/*
 * FN(...) for one integer dtype. Template: define PREFIX, T, UT (unsigned of the same width), BITS, SIGNED first.
 * Arithmetic goes through an unsigned type of at least 32 bits, so that it wraps and nothing is undefined.
 */
#define F(f) MX_CAT3(PREFIX, _, f)
#if BITS == 64
#define WT uint64_t
#else
#define WT uint32_t
#endif

static inline T F(neg)(T x) { return (T)((WT)0 - (WT)x); }
static inline T F(add)(T x, T y) { return (T)((WT)x + (WT)y); }
static inline T F(sub)(T x, T y) { return (T)((WT)x - (WT)y); }
static inline T F(mul)(T x, T y) { return (T)((WT)x * (WT)y); }
#if SIGNED
static inline T F(abs)(T x) { return x < 0 ? F(neg)(x) : x; }
static inline T F(sign)(T x) { return (T)((x > 0) - (x < 0)); }
static inline uint8_t F(signbit)(T x) { return x < 0; }
#else
static inline T F(abs)(T x) { return x; }
static inline T F(sign)(T x) { return x > 0; }
static inline uint8_t F(signbit)(T x) { return 0; }
#endif
static inline UT F(magnitude)(T x) { return (UT)F(abs)(x); }
static inline T F(conj)(T x) { return x; }
static inline T F(real)(T x) { return x; }
static inline T F(imag)(T x) { return 0; }
static inline T F(floor)(T x) { return x; }
static inline T F(ceil)(T x) { return x; }
static inline T F(trunc)(T x) { return x; }
static inline uint8_t F(isnan)(T x) { return 0; }
static inline uint8_t F(isinf)(T x) { return 0; }
static inline uint8_t F(isfinite)(T x) { return 1; }
static inline uint8_t F(lnot)(T x) { return x == 0; }
static inline T F(inv)(T x) { return (T)~x; }
/* 1/x truncated: only 1 and -1 have a result but 0. */
static inline T F(recip)(T x) {
#if SIGNED
  return x == 1 || x == -1 ? x : 0;
#else
  return x == 1;
#endif
}

static inline uint8_t F(popcount)(T x) {
#if BITS == 64
  return (uint8_t)__builtin_popcountll(F(magnitude)(x));
#else
  return (uint8_t)__builtin_popcount(F(magnitude)(x));
#endif
}

/* x/y toward zero for y not 0. Up to 32 bits through a float of twice the bits: the rounded quotient is nearer to
   the true one than any integer that is not the true one, and floats divide in vectors. */
static inline T F(quotient)(T x, T y) {
#if BITS == 64 && SIGNED
  return y == -1 ? F(neg)(x) : x / y;
#elif BITS == 64
  return x / y;
#elif BITS == 32 && SIGNED
  T d = y == -1 ? 1 : y; /* INT_MIN / -1 does not fit the conversion */
  T q = (T)((double)x / (double)d);
  return y == -1 ? F(neg)(x) : q;
#elif BITS == 32
  return (T)((double)x / (double)y);
#else
  return (T)(int32_t)((float)x / (float)y);
#endif
}
static inline T F(cmod)(T x, T y) {
  T d = y == 0 ? 1 : y;
  T r = F(sub)(x, F(mul)(F(quotient)(x, d), d));
  return y == 0 ? 0 : r;
}
static inline T F(floordiv)(T x, T y) {
  T d = y == 0 ? 1 : y;
  T q = F(quotient)(x, d);
#if SIGNED
  T r = F(sub)(x, F(mul)(q, d));
  q = (T)(q - (r != 0 && (r ^ d) < 0));
#endif
  return y == 0 ? 0 : q;
}
static inline T F(pymod)(T x, T y) {
  T r = F(cmod)(x, y);
#if SIGNED
  r = (r != 0 && (r ^ y) < 0) ? F(add)(r, y) : r;
#endif
  return r;
}

static inline T F(pow)(T x, T y) {
  WT base = (WT)x, r = 1;
  UT e = (UT)y;
#if SIGNED
  if (y < 0) return x == 1 ? 1 : x == -1 ? (T)(y & 1 ? -1 : 1) : 0;
#endif
  for (; e != 0; e >>= 1) {
    if (e & 1) r *= base;
    base *= base;
  }
  return (T)r;
}

static inline T F(maximum)(T x, T y) { return x > y ? x : y; }
static inline T F(minimum)(T x, T y) { return x < y ? x : y; }
static inline T F(fmax)(T x, T y) { return x > y ? x : y; }
static inline T F(fmin)(T x, T y) { return x < y ? x : y; }
static inline uint8_t F(eq)(T x, T y) { return x == y; }
static inline uint8_t F(ne)(T x, T y) { return x != y; }
static inline uint8_t F(lt)(T x, T y) { return x < y; }
static inline uint8_t F(le)(T x, T y) { return x <= y; }
static inline uint8_t F(gt)(T x, T y) { return x > y; }
static inline uint8_t F(ge)(T x, T y) { return x >= y; }
static inline uint8_t F(land)(T x, T y) { return (x != 0) & (y != 0); }
static inline uint8_t F(lor)(T x, T y) { return (x != 0) | (y != 0); }
static inline uint8_t F(lxor)(T x, T y) { return (x != 0) ^ (y != 0); }
static inline T F(band)(T x, T y) { return (T)(x & y); }
static inline T F(bor)(T x, T y) { return (T)(x | y); }
static inline T F(bxor)(T x, T y) { return (T)(x ^ y); }
/* A negative count is a large one, as in NumPy. */
static inline T F(shl)(T x, T y) {
  T s = (T)((WT)x << ((WT)y & (BITS - 1)));
  return (UT)y < BITS ? s : 0;
}
static inline T F(shr)(T x, T y) {
  T s = (T)(x >> ((WT)y & (BITS - 1)));
#if SIGNED
  T fill = (T)(x < 0 ? -1 : 0);
#else
  T fill = 0;
#endif
  return (UT)y < BITS ? s : fill;
}

static inline UT F(ugcd)(UT a, UT b) {
  if (a == 0 || b == 0) return a | b;
  int shift = __builtin_ctzll((uint64_t)a | b);
  a = (UT)(a >> __builtin_ctzll(a));
  do { /* a is odd */
    b = (UT)(b >> __builtin_ctzll(b));
    UT lo = a < b ? a : b;
    b = (UT)(a < b ? b - a : a - b);
    a = lo;
  } while (b != 0);
  return (UT)(a << shift);
}
/* gcd(INT_MIN, 0 or INT_MIN) is 2**(bits-1) and wraps to INT_MIN. */
static inline T F(gcd)(T x, T y) { return (T)F(ugcd)(F(magnitude)(x), F(magnitude)(y)); }
static inline T F(lcm)(T x, T y) {
  UT a = F(magnitude)(x), b = F(magnitude)(y), g = F(ugcd)(a, b);
  return g == 0 ? 0 : (T)((WT)(UT)(a / g) * (WT)b);
}

#undef F
#undef WT
#undef PREFIX
#undef T
#undef UT
#undef BITS
#undef SIGNED
