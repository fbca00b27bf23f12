// Numbers of all dtypes: loading, storing, rounding, casting, judging.
#include "tests/oracle.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

namespace oracle {

namespace {

struct Format {
  int precision; // bits of the significand, the leading one included
  int emin, emax;
};

Format format_of(mars_dtype dt) {
  switch (dt) {
  case MARS_F16:
    return {11, -14, 15};
  case MARS_BF16:
    return {8, -126, 127};
  case MARS_F32:
  case MARS_C64:
    return {24, -126, 127};
  default:
    return {53, -1022, 1023};
  }
}

real pow2(int e) {
  return std::ldexp((real)1, e);
}

// Nearest value of the format, ties to even, overflow to infinity.
real round_real(const Format &f, real x) {
  if (!std::isfinite(x) || x == 0)
    return x;
  int e;
  std::frexp(x, &e);
  e = std::max(e - 1, f.emin);
  real quantum = pow2(e - f.precision + 1);
  real r = std::nearbyint(x / quantum) * quantum;
  real limit = (2 - pow2(1 - f.precision)) * pow2(f.emax);
  if (std::fabs(r) > limit)
    return std::copysign(std::numeric_limits<real>::infinity(), x);
  return r == 0 ? std::copysign((real)0, x) : r;
}

uint16_t half_bits(mars_dtype dt, real x) {
  Format f = format_of(dt);
  int mant = f.precision - 1, ebits = 15 - mant;
  uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  uint16_t top = (uint16_t)(((1 << ebits) - 1) << mant);
  if (std::isnan(x))
    return (uint16_t)(sign | top | (1 << (mant - 1)));
  x = round_real(f, std::fabs(x));
  if (std::isinf(x))
    return sign | top;
  if (x == 0)
    return sign;
  int e;
  std::frexp(x, &e);
  e -= 1;
  if (e < f.emin)
    return (uint16_t)(sign | (uint16_t)(x / pow2(f.emin - mant)));
  uint16_t frac = (uint16_t)(x / pow2(e - mant)) & (uint16_t)((1 << mant) - 1);
  return (uint16_t)(sign | ((e - f.emin + 1) << mant) | frac);
}

real half_value(mars_dtype dt, uint16_t bits) {
  Format f = format_of(dt);
  int mant = f.precision - 1, ebits = 15 - mant;
  int e = (bits >> mant) & ((1 << ebits) - 1);
  int frac = bits & ((1 << mant) - 1);
  real v;
  if (e == (1 << ebits) - 1)
    v = frac ? std::numeric_limits<real>::quiet_NaN() : std::numeric_limits<real>::infinity();
  else if (e == 0)
    v = frac * pow2(f.emin - mant);
  else
    v = (frac + (1 << mant)) * pow2(e - 1 + f.emin - mant);
  return (bits & 0x8000) ? -v : v;
}

template <class T> T get(const void *p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T> void put(void *p, T v) {
  std::memcpy(p, &v, sizeof v);
}

Num of_int(char kind, wide i) {
  Num n;
  n.kind = kind;
  n.i = i;
  return n;
}
Num of_real(real re) {
  Num n;
  n.kind = 'f';
  n.re = re;
  return n;
}
Num of_cplx(real re, real im) {
  Num n;
  n.kind = 'c';
  n.re = re;
  n.im = im;
  return n;
}

wide lowest(mars_dtype dt) {
  return kind_of(dt) == 'i' ? -((wide)1 << (bits_of(dt) - 1)) : 0;
}
wide highest(mars_dtype dt) {
  return kind_of(dt) == 'i' ? ((wide)1 << (bits_of(dt) - 1)) - 1 : ((wide)1 << bits_of(dt)) - 1;
}

} // namespace

char kind_of(mars_dtype dt) {
  switch (dt) {
#define X(id, value, name, bytes, kind)                                                                      \
  case id:                                                                                                   \
    return kind;
    MARS_DTYPE_LIST(X)
#undef X
  default:
    return '?';
  }
}

int bits_of(mars_dtype dt) {
  switch (dt) {
#define X(id, value, name, bytes, kind)                                                                      \
  case id:                                                                                                   \
    return kind == 'b' ? 1 : bytes * 8;
    MARS_DTYPE_LIST(X)
#undef X
  default:
    return 0;
  }
}

bool is_half(mars_dtype dt) {
  return dt == MARS_F16 || dt == MARS_BF16;
}

mars_dtype float_of(mars_dtype dt) {
  return dt == MARS_C64 ? MARS_F32 : dt == MARS_C128 ? MARS_F64 : dt;
}

Num load(mars_dtype dt, const void *p) {
  switch (dt) {
  case MARS_BOOL:
    return of_int('b', get<uint8_t>(p) != 0);
  case MARS_I8:
    return of_int('i', get<int8_t>(p));
  case MARS_I16:
    return of_int('i', get<int16_t>(p));
  case MARS_I32:
    return of_int('i', get<int32_t>(p));
  case MARS_I64:
    return of_int('i', get<int64_t>(p));
  case MARS_U8:
    return of_int('u', get<uint8_t>(p));
  case MARS_U16:
    return of_int('u', get<uint16_t>(p));
  case MARS_U32:
    return of_int('u', get<uint32_t>(p));
  case MARS_U64:
    return of_int('u', get<uint64_t>(p));
  case MARS_F16:
  case MARS_BF16:
    return of_real(half_value(dt, get<uint16_t>(p)));
  case MARS_F32:
    return of_real(get<float>(p));
  case MARS_F64:
    return of_real(get<double>(p));
  case MARS_C64:
    return of_cplx(get<float>(p), get<float>((const char *)p + 4));
  default:
    return of_cplx(get<double>(p), get<double>((const char *)p + 8));
  }
}

void store(mars_dtype dt, const Num &v, void *p) {
  switch (dt) {
  case MARS_BOOL:
    put<uint8_t>(p, v.i != 0);
    break;
  case MARS_I8:
  case MARS_U8:
    put<uint8_t>(p, (uint8_t)v.i);
    break;
  case MARS_I16:
  case MARS_U16:
    put<uint16_t>(p, (uint16_t)v.i);
    break;
  case MARS_I32:
  case MARS_U32:
    put<uint32_t>(p, (uint32_t)v.i);
    break;
  case MARS_I64:
  case MARS_U64:
    put<uint64_t>(p, (uint64_t)v.i);
    break;
  case MARS_F16:
  case MARS_BF16:
    put<uint16_t>(p, half_bits(dt, v.re));
    break;
  case MARS_F32:
    put<float>(p, (float)v.re);
    break;
  case MARS_F64:
    put<double>(p, (double)v.re);
    break;
  case MARS_C64:
    put<float>(p, (float)v.re);
    put<float>((char *)p + 4, (float)v.im);
    break;
  default:
    put<double>(p, (double)v.re);
    put<double>((char *)p + 8, (double)v.im);
  }
}

wide wrap(mars_dtype dt, wide v) {
  int bits = bits_of(dt);
  if (dt == MARS_BOOL)
    return v != 0;
  unsigned __int128 m = (unsigned __int128)v & ((((unsigned __int128)1) << bits) - 1);
  if (kind_of(dt) == 'i' && (m >> (bits - 1)))
    return (wide)m - ((wide)1 << bits);
  return (wide)m;
}

Num rounded(mars_dtype dt, const Num &v) {
  Num r = v;
  Format f = format_of(dt);
  if (kind_of(dt) == 'f')
    r.re = round_real(f, v.re);
  if (kind_of(dt) == 'c')
    r.re = round_real(f, v.re), r.im = round_real(f, v.im);
  return r;
}

Num cast(const Num &v, mars_dtype from, mars_dtype to) {
  char k = kind_of(from), t = kind_of(to);
  bool whole = k == 'b' || k == 'i' || k == 'u';
  if (t == 'b')
    return of_int('b', whole ? v.i != 0 : (v.re != 0 || (k == 'c' && v.im != 0)));
  if (t == 'i' || t == 'u') {
    if (whole)
      return of_int(t, wrap(to, v.i));
    if (std::isnan(v.re))
      return of_int(t, 0);
    real x = std::trunc(v.re);
    if (x <= (real)lowest(to))
      return of_int(t, lowest(to));
    if (x >= (real)highest(to))
      return of_int(t, highest(to));
    return of_int(t, (wide)x);
  }
  // halves are reached through f32, which is what "computed in f32 and rounded" says; 64-bit integers fit a
  // long double
  Num r =
      t == 'c' ? of_cplx(whole ? (real)v.i : v.re, k == 'c' ? v.im : 0) : of_real(whole ? (real)v.i : v.re);
  return rounded(to, r);
}

real ulp_at(mars_dtype dt, real x) {
  Format f = format_of(dt);
  int e = f.emin;
  if (x != 0 && std::isfinite(x)) {
    std::frexp(x, &e);
    e = std::min(std::max(e - 1, f.emin), f.emax);
  }
  return pow2(e - f.precision + 1);
}

real unit_roundoff(mars_dtype dt) {
  mars_dtype f = float_of(dt);
  return pow2(f == MARS_F64 ? -53 : -24);
}

std::string show(const Num &v) {
  char buf[96];
  if (v.kind == 'f')
    std::snprintf(buf, sizeof buf, "%.21Lg", v.re);
  else if (v.kind == 'c')
    std::snprintf(buf, sizeof buf, "(%.21Lg%+.21Lgj)", v.re, v.im);
  else if (v.kind == 'u')
    std::snprintf(buf, sizeof buf, "%llu", (unsigned long long)v.i);
  else
    std::snprintf(buf, sizeof buf, "%lld", (long long)v.i);
  return buf;
}

namespace {

bool close_real(mars_dtype dt, real got, real want, const Bound &b, real scale) {
  if (std::isnan(want))
    return std::isnan(got);
  if (std::isnan(got))
    return false;
  real r = round_real(format_of(dt), want);
  if (got == r)
    return got != 0 || b.any_zero || std::signbit(got) == std::signbit(r);
  if (std::isinf(want))
    return false;
  real slack = std::max((real)b.ulp * ulp_at(dt, scale), b.abs);
  if (std::isinf(got)) { // allowed when the bound reaches beyond the greatest finite number
    real top = (2 - pow2(1 - format_of(dt).precision)) * pow2(format_of(dt).emax);
    return slack > 0 && std::signbit(got) == std::signbit(want) && std::fabs(want) + slack >= top;
  }
  return std::fabs(got - want) <= slack;
}

} // namespace

bool close(mars_dtype dt, const Num &got, const Num &want, const Bound &bound) {
  char k = kind_of(dt);
  if (k == 'f')
    return close_real(dt, got.re, want.re, bound, want.re);
  if (k != 'c')
    return got.i == want.i;
  mars_dtype part = float_of(dt);
  real scale = bound.ulp > 0 ? std::hypot(want.re, want.im) : 0;
  if (bound.ulp == 0)
    return close_real(part, got.re, want.re, bound, want.re) &&
           close_real(part, got.im, want.im, bound, want.im);
  bool wild_got = !std::isfinite(got.re) || !std::isfinite(got.im);
  if (!std::isfinite(want.re) || !std::isfinite(want.im) || scale >= pow2(format_of(dt).emax))
    return true;
  if (wild_got)
    return false;
  Bound b = bound;
  b.any_zero = true;
  return close_real(part, got.re, want.re, b, scale) && close_real(part, got.im, want.im, b, scale);
}

} // namespace oracle
