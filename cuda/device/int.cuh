/* FN(...) for bool and the integers: host/scalar_bool.h and host/scalar_int.h. Arithmetic wraps. */
template <class T> struct int_of;
#define MX_INT(T, UT, WT, BITS, SIGNED)                                                                      \
  template <> struct int_of<T> {                                                                             \
    typedef UT U;                                                                                            \
    typedef WT W;                                                                                            \
    enum { bits = BITS, is_signed = SIGNED };                                                                \
  };
MX_INT(i8, u8, u32, 8, 1)
MX_INT(i16, u16, u32, 16, 1)
MX_INT(i32, u32, u32, 32, 1)
MX_INT(i64, u64, u64, 64, 1)
MX_INT(u8, u8, u32, 8, 0)
MX_INT(u16, u16, u32, 16, 0)
MX_INT(u32, u32, u32, 32, 0)
MX_INT(u64, u64, u64, 64, 0)
#define MX_W typename int_of<T>::W
#define MX_U typename int_of<T>::U

template <class T> MX_DEV T mx_neg(T x) { return (T)((MX_W)0 - (MX_W)x); }
template <class T> MX_DEV T mx_add(T x, T y) { return (T)((MX_W)x + (MX_W)y); }
template <class T> MX_DEV T mx_sub(T x, T y) { return (T)((MX_W)x - (MX_W)y); }
template <class T> MX_DEV T mx_mul(T x, T y) { return (T)((MX_W)x * (MX_W)y); }
template <class T> MX_DEV T mx_abs(T x) { return x < 0 ? mx_neg(x) : x; }
template <class T> MX_DEV T mx_sign(T x) { return (T)((x > 0) - (x < 0)); }
template <class T> MX_DEV b8 mx_signbit(T x) { return x < 0; }
template <class T> MX_DEV T mx_conj(T x) { return x; }
template <class T> MX_DEV T mx_real(T x) { return x; }
template <class T> MX_DEV T mx_imag(T) { return 0; }
template <class T> MX_DEV T mx_floor(T x) { return x; }
template <class T> MX_DEV T mx_ceil(T x) { return x; }
template <class T> MX_DEV T mx_trunc(T x) { return x; }
template <class T> MX_DEV b8 mx_isnan(T) { return false; }
template <class T> MX_DEV b8 mx_isinf(T) { return false; }
template <class T> MX_DEV b8 mx_isfinite(T) { return true; }
template <class T> MX_DEV b8 mx_lnot(T x) { return x == 0; }
template <class T> MX_DEV T mx_inv(T x) { return (T)~x; }
template <class T> MX_DEV T mx_recip(T x) { return x == 1 || (int_of<T>::is_signed && x == (T)-1) ? x : (T)0; }
template <class T> MX_DEV u8 mx_popcount(T x) {
  MX_U u = (MX_U)mx_abs(x);
  return (u8)(sizeof(T) == 8 ? __popcll(u) : __popc((u32)u));
}

/* y not 0 */
template <class T> MX_DEV T mx_quotient(T x, T y) {
  return int_of<T>::is_signed && y == (T)-1 ? mx_neg(x) : (T)(x / y);
}
template <class T> MX_DEV T mx_cmod(T x, T y) {
  T d = y == 0 ? (T)1 : y;
  T r = mx_sub(x, mx_mul(mx_quotient(x, d), d));
  return y == 0 ? (T)0 : r;
}
template <class T> MX_DEV T mx_floordiv(T x, T y) {
  T d = y == 0 ? (T)1 : y;
  T q = mx_quotient(x, d);
  if (int_of<T>::is_signed) {
    T r = mx_sub(x, mx_mul(q, d));
    q = (T)(q - (r != 0 && (T)(r ^ d) < 0));
  }
  return y == 0 ? (T)0 : q;
}
template <class T> MX_DEV T mx_pymod(T x, T y) {
  T r = mx_cmod(x, y);
  if (int_of<T>::is_signed) r = (r != 0 && (T)(r ^ y) < 0) ? mx_add(r, y) : r;
  return r;
}
template <class T> MX_DEV T mx_pow(T x, T y) {
  MX_W base = (MX_W)x, r = 1;
  MX_U e = (MX_U)y;
  if (int_of<T>::is_signed && y < 0) return x == 1 ? (T)1 : x == (T)-1 ? (T)(y & 1 ? -1 : 1) : (T)0;
  for (; e != 0; e >>= 1) {
    if (e & 1) r *= base;
    base *= base;
  }
  return (T)r;
}

template <class T> MX_DEV T mx_maximum(T x, T y) { return x > y ? x : y; }
template <class T> MX_DEV T mx_minimum(T x, T y) { return x < y ? x : y; }
template <class T> MX_DEV T mx_fmax(T x, T y) { return x > y ? x : y; }
template <class T> MX_DEV T mx_fmin(T x, T y) { return x < y ? x : y; }
template <class T> MX_DEV b8 mx_eq(T x, T y) { return x == y; }
template <class T> MX_DEV b8 mx_ne(T x, T y) { return x != y; }
template <class T> MX_DEV b8 mx_lt(T x, T y) { return x < y; }
template <class T> MX_DEV b8 mx_le(T x, T y) { return x <= y; }
template <class T> MX_DEV b8 mx_gt(T x, T y) { return x > y; }
template <class T> MX_DEV b8 mx_ge(T x, T y) { return x >= y; }
template <class T> MX_DEV b8 mx_land(T x, T y) { return (x != 0) & (y != 0); }
template <class T> MX_DEV b8 mx_lor(T x, T y) { return (x != 0) | (y != 0); }
template <class T> MX_DEV b8 mx_lxor(T x, T y) { return (x != 0) ^ (y != 0); }
template <class T> MX_DEV T mx_band(T x, T y) { return (T)(x & y); }
template <class T> MX_DEV T mx_bor(T x, T y) { return (T)(x | y); }
template <class T> MX_DEV T mx_bxor(T x, T y) { return (T)(x ^ y); }
/* A negative count is a large one. */
template <class T> MX_DEV T mx_shl(T x, T y) {
  T s = (T)((MX_W)x << ((MX_W)y & (int_of<T>::bits - 1)));
  return (MX_U)y < (MX_U)int_of<T>::bits ? s : (T)0;
}
template <class T> MX_DEV T mx_shr(T x, T y) {
  T s = (T)(x >> ((MX_W)y & (int_of<T>::bits - 1)));
  T fill = int_of<T>::is_signed && x < 0 ? (T)-1 : (T)0;
  return (MX_U)y < (MX_U)int_of<T>::bits ? s : fill;
}

template <class U> MX_DEV int mx_ctz(U u) { return sizeof(U) == 8 ? __ffsll((i64)u) - 1 : __ffs((int)(u32)u) - 1; }
template <class U> MX_DEV U mx_ugcd(U a, U b) {
  if (a == 0 || b == 0) return a | b;
  int shift = mx_ctz((U)(a | b));
  a = (U)(a >> mx_ctz(a));
  do { /* a is odd */
    b = (U)(b >> mx_ctz(b));
    U lo = a < b ? a : b;
    b = (U)(a < b ? b - a : a - b);
    a = lo;
  } while (b != 0);
  return (U)(a << shift);
}
template <class T> MX_DEV T mx_gcd(T x, T y) { return (T)mx_ugcd((MX_U)mx_abs(x), (MX_U)mx_abs(y)); }
template <class T> MX_DEV T mx_lcm(T x, T y) {
  MX_U a = (MX_U)mx_abs(x), b = (MX_U)mx_abs(y), g = mx_ugcd(a, b);
  return g == 0 ? (T)0 : (T)((MX_W)(MX_U)(a / g) * (MX_W)b);
}

/* ---- bool ---- */
MX_DEV b8 mx_abs(b8 x) { return x; }
MX_DEV b8 mx_lnot(b8 x) { return !x; }
MX_DEV b8 mx_inv(b8 x) { return !x; }
MX_DEV b8 mx_imag(b8) { return false; }
MX_DEV b8 mx_add(b8 x, b8 y) { return x | y; }
MX_DEV b8 mx_mul(b8 x, b8 y) { return x & y; }
MX_DEV b8 mx_maximum(b8 x, b8 y) { return x | y; }
MX_DEV b8 mx_minimum(b8 x, b8 y) { return x & y; }
MX_DEV b8 mx_fmax(b8 x, b8 y) { return x | y; }
MX_DEV b8 mx_fmin(b8 x, b8 y) { return x & y; }
MX_DEV b8 mx_land(b8 x, b8 y) { return x & y; }
MX_DEV b8 mx_lor(b8 x, b8 y) { return x | y; }
MX_DEV b8 mx_lxor(b8 x, b8 y) { return x ^ y; }
MX_DEV b8 mx_band(b8 x, b8 y) { return x & y; }
MX_DEV b8 mx_bor(b8 x, b8 y) { return x | y; }
MX_DEV b8 mx_bxor(b8 x, b8 y) { return x ^ y; }
