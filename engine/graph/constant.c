/* Values of CONST nodes: making and casting them. Contract: engine/graph/build.h. */
#include "engine/graph/build.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void clear(mx_const *c, mars_dtype dt) {
  memset(c, 0, sizeof *c);
  c->dtype = dt;
}

void mx_const_bool(mx_const *c, bool value) {
  clear(c, MARS_BOOL);
  c->v.b = value;
}

void mx_const_i64(mx_const *c, int64_t value) {
  clear(c, MARS_I64);
  c->v.i = value;
}

void mx_const_f64(mx_const *c, double value) {
  clear(c, MARS_F64);
  c->v.f = value;
}

void mx_const_c128(mx_const *c, double re, double im) {
  clear(c, MARS_C128);
  c->v.c[0] = re;
  c->v.c[1] = im;
}

int64_t mx_dtype_min(mars_dtype dt) {
  return mx_dtype_is_signed(dt) ? INT64_MIN >> (64 - 8 * (int)mars_dtype_bytes(dt)) : 0;
}

uint64_t mx_dtype_max(mars_dtype dt) {
  return UINT64_MAX >> (64 - 8 * (int)mars_dtype_bytes(dt) + mx_dtype_is_signed(dt));
}

bool mx_dtype_holds(mars_dtype dt, int64_t value) {
  return value >= mx_dtype_min(dt) && (value < 0 || (uint64_t)value <= mx_dtype_max(dt));
}

double mx_dtype_huge(mars_dtype dt) {
  switch (dt) {
  case MARS_F16: return 65504.0;
  case MARS_BF16: return 0x1.FEp127;
  case MARS_F32: return FLT_MAX;
  default: return DBL_MAX;
  }
}

/* Round to `digits` binary digits behind the leading one, exponents from min_exponent: nearest, ties to even. Scaling by
   powers of two is exact, so there is one rounding. */
static double round_to_half(double x, int digits, int min_exponent, double huge_value) {
  int exponent;
  double y;

  if (x == 0 || !isfinite(x)) return x;
  exponent = ilogb(x);
  if (exponent < min_exponent) exponent = min_exponent;
  y = scalbn(nearbyint(scalbn(x, digits - exponent)), exponent - digits);
  return fabs(y) > huge_value ? copysign(INFINITY, x) : y;
}

static double round_float(double x, mars_dtype to) {
  switch (to) {
  case MARS_F16: return round_to_half(x, 10, -14, mx_dtype_huge(MARS_F16));
  case MARS_BF16: return round_to_half(x, 7, -126, mx_dtype_huge(MARS_BF16));
  case MARS_F32:
  case MARS_C64: return (double)(float)x;
  default: return x;
  }
}

static int64_t narrow_signed(uint64_t bits, mars_dtype to) {
  int shift = 64 - 8 * (int)mars_dtype_bytes(to);

  return (int64_t)(bits << shift) >> shift;
}

static int64_t float_to_signed(double x, mars_dtype to) {
  double limit = ldexp(1.0, 8 * (int)mars_dtype_bytes(to) - 1);

  if (isnan(x)) return 0;
  if (x >= limit) return (int64_t)mx_dtype_max(to);
  if (x < -limit) return mx_dtype_min(to);
  return (int64_t)x;
}

static uint64_t float_to_unsigned(double x, mars_dtype to) {
  if (isnan(x) || x <= 0) return 0;
  if (x >= ldexp(1.0, 8 * (int)mars_dtype_bytes(to))) return mx_dtype_max(to);
  return (uint64_t)x;
}

/* A magnitude as f64; what does not fit goes into the last bit, so that rounding on to fewer bits rounds once. */
static double sticky(uint64_t u) {
  return (double)(u >> 53 == 0 ? u : (u & ~(uint64_t)0x7ff) | (uint64_t)((u & 0x7ff) != 0) << 11);
}

static double integer_to_float(const mx_const *from, mars_dtype to) {
  bool negative = mx_dtype_is_signed(from->dtype) && from->v.i < 0;
  double magnitude;

  if (to == MARS_F64 || to == MARS_C128)
    return mx_dtype_is_signed(from->dtype) ? (double)from->v.i : (double)from->v.u;
  magnitude = sticky(negative ? 0 - from->v.u : from->v.u);
  return round_float(negative ? -magnitude : magnitude, to);
}

static double real_part(const mx_const *from, mars_dtype to) {
  if (from->dtype == MARS_BOOL) return from->v.b;
  if (mx_dtype_is_integer(from->dtype)) return integer_to_float(from, to);
  return round_float(mx_dtype_is_complex(from->dtype) ? from->v.c[0] : from->v.f, to);
}

static bool truth(const mx_const *c) {
  if (c->dtype == MARS_BOOL) return c->v.b;
  if (mx_dtype_is_integer(c->dtype)) return c->v.u != 0;
  if (mx_dtype_is_complex(c->dtype)) return c->v.c[0] != 0 || c->v.c[1] != 0;
  return c->v.f != 0;
}

void mx_const_cast(const mx_const *from, mars_dtype to, mx_const *out) {
  bool fraction = from->dtype >= MARS_F16;
  uint64_t bits = from->dtype == MARS_BOOL ? from->v.b : from->v.u; /* i and u share their bytes */
  mx_const c;

  clear(&c, mx_dtype_is_half(to) ? MARS_F32 : to);
  if (to == MARS_BOOL) {
    c.v.b = truth(from);
  } else if (mx_dtype_is_signed(to)) {
    c.v.i = fraction ? float_to_signed(real_part(from, MARS_F64), to) : narrow_signed(bits, to);
  } else if (mx_dtype_is_unsigned(to)) {
    c.v.u = fraction ? float_to_unsigned(real_part(from, MARS_F64), to) : bits & mx_dtype_max(to);
  } else if (mx_dtype_is_complex(to)) {
    c.v.c[0] = real_part(from, to);
    if (mx_dtype_is_complex(from->dtype)) c.v.c[1] = round_float(from->v.c[1], to);
  } else {
    c.v.f = real_part(from, to);
  }
  memcpy(out, &c, sizeof c);
}
