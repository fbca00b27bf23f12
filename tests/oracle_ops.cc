// Oracle of the elementwise ops: one entry per NumPy name, with the dtypes that it accepts.
#include "tests/oracle_table.h"

#include <cmath>
#include <limits>

namespace oracle {

namespace {

wide absolute(wide x) {
  return x < 0 ? -x : x;
}
bool nan_in(cplx z) {
  return std::isnan(z.real()) || std::isnan(z.imag());
}
cplx yes(bool b) {
  return cplx(b ? 1 : 0, 0);
}
bool any(cplx z) {
  return z.real() != 0 || z.imag() != 0;
}
// NumPy's order of complex numbers
bool less(cplx a, cplx b) {
  return (a.real() < b.real() && !std::isnan(a.imag()) && !std::isnan(b.imag())) ||
         (a.real() == b.real() && a.imag() < b.imag());
}
bool less_equal(cplx a, cplx b) {
  return (a.real() < b.real() && !std::isnan(a.imag()) && !std::isnan(b.imag())) ||
         (a.real() == b.real() && a.imag() <= b.imag());
}

wide floor_div(wide a, wide b) {
  if (b == 0)
    return 0;
  wide q = a / b;
  return (a % b != 0 && ((a < 0) != (b < 0))) ? q - 1 : q;
}

wide product(wide x, wide y) {
  return (wide)((unsigned __int128)x * (unsigned __int128)y);
}

wide power_mod(mars_dtype dt, wide x, wide y) {
  if (y < 0) {
    if (x == 1)
      return 1;
    if (x == -1)
      return (y & 1) ? -1 : 1;
    return 0;
  }
  wide r = 1;
  x = wrap(dt, x);
  for (; y; y >>= 1, x = wrap(dt, product(x, x)))
    if (y & 1)
      r = wrap(dt, product(r, x));
  return r;
}

wide gcd(wide a, wide b) {
  a = absolute(a), b = absolute(b);
  while (b) {
    wide t = a % b;
    a = b;
    b = t;
  }
  return a;
}

// NumPy's npy_divmod
template <class T> T float_mod(T a, T b) {
  T m = std::fmod(a, b);
  if (b == 0)
    return m;
  if (m != 0)
    return (b < 0) != (m < 0) ? m + b : m;
  return std::copysign((T)0, b);
}
template <class T> T float_floordiv(T a, T b) {
  if (b == 0)
    return a / b;
  T m = std::fmod(a, b);
  T d = (a - m) / b;
  if (m != 0 && (b < 0) != (m < 0))
    d -= 1;
  if (d == 0)
    return std::copysign((T)0, a / b);
  T f = std::floor(d);
  return d - f > (T)0.5 ? f + 1 : f;
}

real half_next(mars_dtype dt, real x, bool up) {
  if (x == 0)
    return up ? ulp_at(dt, 0) : -ulp_at(dt, 0);
  bool away = (x > 0) == up;
  real u = ulp_at(dt, x);
  real r = x + (up ? u : -u);
  // stepping toward 0 from a power of two moves by half a unit, unless that is below the smallest
  if (!away && std::fabs(r) < std::fabs(x)) {
    real smaller = ulp_at(dt, std::nextafter(x, (real)0));
    r = x + (up ? smaller : -smaller);
  }
  if (r == 0)
    r = std::copysign((real)0, x);
  Num n;
  n.kind = 'f';
  n.re = r;
  return rounded(dt, n).re;
}

void arithmetic(Table &t) {
  auto &positive = t["positive"];
  positive = Entry{NUM, SAME};
  positive.integer = [](mars_dtype, wide x, wide, wide) { return x; };
  exact(positive, [](auto x, auto, auto) { return x; });
  positive.complex = [](cplx x, cplx, cplx) { return x; };

  auto &negative = t["negative"];
  negative = Entry{NUM, SAME};
  negative.integer = [](mars_dtype, wide x, wide, wide) { return -x; };
  exact(negative, [](auto x, auto, auto) { return -x; });
  negative.complex = [](cplx x, cplx, cplx) { return -x; };

  auto &abs = t["absolute"];
  abs = Entry{ALL, REALPART};
  abs.integer = [](mars_dtype, wide x, wide, wide) { return absolute(x); };
  exact(abs, [](auto x, auto, auto) { return std::fabs(x); });
  abs.complex = [](cplx x, cplx, cplx) { return cplx(std::hypot(x.real(), x.imag()), 0); };

  auto &fabs = t["fabs"];
  fabs = Entry{FLT, SAME};
  exact(fabs, [](auto x, auto, auto) { return std::fabs(x); });

  auto &sign = t["sign"];
  sign = Entry{NUM, SAME};
  sign.integer = [](mars_dtype, wide x, wide, wide) { return (wide)((x > 0) - (x < 0)); };
  exact(sign, [](auto x, auto, auto) { return std::isnan(x) ? x : decltype(x)((x > 0) - (x < 0)); });
  sign.complex = [](cplx x, cplx, cplx) { return any(x) ? x / std::hypot(x.real(), x.imag()) : cplx(0, 0); };
  sign.any_zero = true;

  auto &square = t["square"];
  square = Entry{NUMB, SAME};
  square.integer = [](mars_dtype, wide x, wide, wide) { return product(x, x); };
  exact(square, [](auto x, auto, auto) { return x * x; });
  square.complex = [](cplx x, cplx, cplx) { return x * x; };

  auto &reciprocal = t["reciprocal"];
  reciprocal = Entry{NUMB, SAME};
  reciprocal.integer = [](mars_dtype, wide x, wide, wide) { return x ? 1 / x : 0; };
  exact(reciprocal, [](auto x, auto, auto) { return decltype(x)(1) / x; });
  reciprocal.complex = [](cplx x, cplx, cplx) { return cplx(1, 0) / x; };

  auto &add = t["add"];
  add = Entry{ALL, SAME};
  add.integer = [](mars_dtype, wide x, wide y, wide) { return x + y; };
  exact(add, [](auto x, auto y, auto) { return x + y; });
  add.complex = [](cplx x, cplx y, cplx) {
    return cplx((double)x.real() + (double)y.real(), (double)x.imag() + (double)y.imag());
  };

  auto &subtract = t["subtract"];
  subtract = Entry{NUM, SAME};
  subtract.integer = [](mars_dtype, wide x, wide y, wide) { return x - y; };
  exact(subtract, [](auto x, auto y, auto) { return x - y; });
  subtract.complex = [](cplx x, cplx y, cplx) {
    return cplx((double)x.real() - (double)y.real(), (double)x.imag() - (double)y.imag());
  };

  auto &multiply = t["multiply"];
  multiply = Entry{ALL, SAME};
  multiply.integer = [](mars_dtype, wide x, wide y, wide) { return product(x, y); };
  exact(multiply, [](auto x, auto y, auto) { return x * y; });
  multiply.complex = [](cplx x, cplx y, cplx) { return x * y; };

  auto &divide = t["divide"];
  divide = Entry{FLD, SAME};
  exact(divide, [](auto x, auto y, auto) { return x / y; });
  divide.complex = [](cplx x, cplx y, cplx) { return x / y; };

  auto &floordiv = t["floor_divide"];
  floordiv = Entry{REAL, SAME};
  floordiv.integer = [](mars_dtype, wide x, wide y, wide) { return floor_div(x, y); };
  exact(floordiv, [](auto x, auto y, auto) { return float_floordiv(x, y); });

  auto &remainder = t["remainder"];
  remainder = Entry{REAL, SAME};
  remainder.integer = [](mars_dtype, wide x, wide y, wide) { return y ? x - floor_div(x, y) * y : 0; };
  exact(remainder, [](auto x, auto y, auto) { return float_mod(x, y); });

  auto &fmod = t["fmod"];
  fmod = Entry{REAL, SAME};
  fmod.integer = [](mars_dtype, wide x, wide y, wide) { return y ? x % y : 0; };
  exact(fmod, [](auto x, auto y, auto) { return std::fmod(x, y); });

  auto &power = t["power"];
  power = Entry{NUMB, SAME};
  power.integer = [](mars_dtype dt, wide x, wide y, wide) { return power_mod(dt, x, y); };
  power.approx = [](real x, real y, real) { return std::pow(x, y); };
  power.complex = [](cplx x, cplx y, cplx) { return any(x) ? std::exp(y * std::log(x)) : yes(!any(y)); };
  // 0 to a negative power has no integer value
  power.skip = [](mars_dtype dt, const Num *a) { return kind_of(dt) == 'i' && a[0].i == 0 && a[1].i < 0; };
}

void rounding(Table &t) {
  struct {
    const char *name;
    Domain domain;
    double (*f64)(double);
    float (*f32)(float);
  } rows[] = {
      {"rint", FLC, [](double x) { return std::nearbyint(x); }, [](float x) { return std::nearbyint(x); }},
      {"floor", REALB, [](double x) { return std::floor(x); }, [](float x) { return std::floor(x); }},
      {"ceil", REALB, [](double x) { return std::ceil(x); }, [](float x) { return std::ceil(x); }},
      {"trunc", REALB, [](double x) { return std::trunc(x); }, [](float x) { return std::trunc(x); }},
  };
  for (auto &row : rows) {
    Entry e{row.domain, SAME};
    e.integer = [](mars_dtype, wide x, wide, wide) { return x; };
    e.f32 = [f = row.f32](float x, float, float) { return f(x); };
    e.f64 = [f = row.f64](double x, double, double) { return f(x); };
    e.complex = [](cplx x, cplx, cplx) { return cplx(std::nearbyint(x.real()), std::nearbyint(x.imag())); };
    t[row.name] = e;
  }
  auto &spacing = t["spacing"];
  spacing = Entry{FLT, SAME};
  exact(spacing, [](auto x, auto, auto) {
    using T = decltype(x);
    if (std::isinf(x))
      return std::numeric_limits<T>::quiet_NaN();
    return std::nextafter(x, std::copysign(std::numeric_limits<T>::infinity(), x)) - x;
  });
  spacing.half = [](mars_dtype dt, real x, real) {
    if (!std::isfinite(x))
      return std::numeric_limits<real>::quiet_NaN();
    return half_next(dt, x, !std::signbit(x)) - x;
  };
  auto &nextafter = t["nextafter"];
  nextafter = Entry{FLT, SAME};
  exact(nextafter, [](auto x, auto y, auto) { return std::nextafter(x, y); });
  nextafter.half = [](mars_dtype dt, real x, real y) {
    if (std::isnan(x) || std::isnan(y))
      return std::numeric_limits<real>::quiet_NaN();
    if (x == y)
      return y;
    if (std::isinf(x)) {
      real top = std::ldexp((real)1, dt == MARS_F16 ? 16 : 128) -
                 ulp_at(dt, std::ldexp((real)1, dt == MARS_F16 ? 15 : 127));
      return std::copysign(top, x);
    }
    return half_next(dt, x, y > x);
  };
  auto &frac = t["modf_fraction"];
  frac = Entry{FLT, SAME};
  exact(frac, [](auto x, auto, auto) {
    auto whole = x;
    return std::modf(x, &whole);
  });
  auto &mant = t["frexp_mantissa"];
  mant = Entry{FLT, SAME};
  exact(mant, [](auto x, auto, auto) {
    int e;
    return std::frexp(x, &e);
  });
  auto &expo = t["frexp_exponent"];
  expo = Entry{FLT, I32};
  exact(expo, [](auto x, auto, auto) {
    int e = 0;
    (void)std::frexp(x, &e);
    return decltype(x)(e);
  });
  expo.skip = [](mars_dtype, const Num *a) { return !std::isfinite(a[0].re); };
}

void tests(Table &t) {
  auto predicate = [&t](const char *name, Domain d, wide whole, bool (*f)(real), bool (*c)(cplx)) {
    Entry e{d, BOOL};
    e.integer = [whole](mars_dtype, wide, wide, wide) { return whole; };
    exact(e, [f](auto x, auto, auto) { return decltype(x)(f(x)); });
    if (c)
      e.complex = [c](cplx z, cplx, cplx) { return yes(c(z)); };
    t[name] = e;
  };
  predicate(
      "isnan", ALL, 0, [](real x) { return std::isnan(x); }, nan_in);
  predicate(
      "isinf", ALL, 0, [](real x) { return std::isinf(x); },
      [](cplx z) { return std::isinf(z.real()) || std::isinf(z.imag()); });
  predicate(
      "isfinite", ALL, 1, [](real x) { return std::isfinite(x); },
      [](cplx z) { return std::isfinite(z.real()) && std::isfinite(z.imag()); });
  predicate(
      "signbit", REAL, 0, [](real x) { return std::signbit(x); }, nullptr);
  t["signbit"].integer = [](mars_dtype, wide x, wide, wide) { return (wide)(x < 0); };
  predicate(
      "logical_not", ALL, 0, [](real x) { return x == 0; }, [](cplx z) { return !any(z); });
  t["logical_not"].integer = [](mars_dtype, wide x, wide, wide) { return (wide)(x == 0); };

  auto compare = [&t](const char *name, bool (*i)(wide, wide), bool (*f)(double, double),
                      bool (*c)(cplx, cplx)) {
    Entry e{ALL, BOOL};
    e.integer = [i](mars_dtype, wide x, wide y, wide) { return (wide)i(x, y); };
    exact(e, [f](auto x, auto y, auto) { return decltype(x)(f(x, y)); });
    e.complex = [c](cplx x, cplx y, cplx) { return yes(c(x, y)); };
    t[name] = e;
  };
  compare(
      "equal", [](wide x, wide y) { return x == y; }, [](double x, double y) { return x == y; },
      [](cplx x, cplx y) { return x.real() == y.real() && x.imag() == y.imag(); });
  compare(
      "not_equal", [](wide x, wide y) { return x != y; }, [](double x, double y) { return x != y; },
      [](cplx x, cplx y) { return x.real() != y.real() || x.imag() != y.imag(); });
  compare(
      "less", [](wide x, wide y) { return x < y; }, [](double x, double y) { return x < y; }, less);
  compare(
      "less_equal", [](wide x, wide y) { return x <= y; }, [](double x, double y) { return x <= y; },
      less_equal);
  compare(
      "greater", [](wide x, wide y) { return x > y; }, [](double x, double y) { return x > y; },
      [](cplx x, cplx y) { return less(y, x); });
  compare(
      "greater_equal", [](wide x, wide y) { return x >= y; }, [](double x, double y) { return x >= y; },
      [](cplx x, cplx y) { return less_equal(y, x); });
  compare(
      "logical_and", [](wide x, wide y) { return x && y; },
      [](double x, double y) { return x != 0 && y != 0; }, [](cplx x, cplx y) { return any(x) && any(y); });
  compare(
      "logical_or", [](wide x, wide y) { return x || y; },
      [](double x, double y) { return x != 0 || y != 0; }, [](cplx x, cplx y) { return any(x) || any(y); });
  compare(
      "logical_xor", [](wide x, wide y) { return !x != !y; },
      [](double x, double y) { return (x != 0) != (y != 0); },
      [](cplx x, cplx y) { return any(x) != any(y); });
}

void selection(Table &t) {
  // keep: whether x stays when neither is NaN; nan_wins: maximum and minimum give the NaN, fmax and fmin the
  // other
  auto extreme = [&t](const char *name, bool greater, bool nan_wins) {
    Entry e{ALL, SAME};
    e.any_zero = true;
    e.integer = [greater](mars_dtype, wide x, wide y, wide) { return (x > y) == greater ? x : y; };
    exact(e, [=](auto x, auto y, auto) {
      if (std::isnan(x))
        return nan_wins ? x : y;
      if (std::isnan(y))
        return nan_wins ? y : x;
      return (x > y) == greater ? x : y;
    });
    // which of two NaN is open
    e.skip = [](mars_dtype dt, const Num *a) {
      return kind_of(dt) == 'c' && nan_in(cplx(a[0].re, a[0].im)) && nan_in(cplx(a[1].re, a[1].im));
    };
    e.complex = [=](cplx x, cplx y, cplx) {
      if (nan_in(x))
        return nan_wins ? x : y;
      if (nan_in(y))
        return nan_wins ? y : x;
      return (greater ? less_equal(y, x) : less_equal(x, y)) ? x : y;
    };
    t[name] = e;
  };
  extreme("maximum", true, true);
  extreme("minimum", false, true);
  extreme("fmax", true, false);
  extreme("fmin", false, false);

  auto &where = t["where"];
  where = Entry{ALL, SAME};
  where.integer = [](mars_dtype, wide x, wide y, wide z) { return x ? y : z; };
  exact(where, [](auto x, auto y, auto z) { return x != 0 ? y : z; });
  where.complex = [](cplx x, cplx y, cplx z) { return any(x) ? y : z; };

  auto &clip = t["clip"];
  clip = Entry{REALB, SAME};
  clip.any_zero = true;
  clip.integer = [](mars_dtype, wide x, wide lo, wide hi) { return std::min(std::max(x, lo), hi); };
  exact(clip, [](auto x, auto lo, auto hi) {
    auto low = std::isnan(x) ? x : std::isnan(lo) ? lo : std::max(x, lo);
    return std::isnan(low) ? low : std::isnan(hi) ? hi : std::min(low, hi);
  });

  auto &copysign = t["copysign"];
  copysign = Entry{FLT, SAME};
  exact(copysign, [](auto x, auto y, auto) { return std::copysign(x, y); });
  auto &ldexp = t["ldexp"];
  ldexp = Entry{FLT, SAME};
  exact(ldexp, [](auto x, auto y, auto) { return std::ldexp(x, (int)y); });
  ldexp.skip = [](mars_dtype, const Num *a) {
    return !std::isfinite(a[1].re) || a[1].re != std::trunc(a[1].re) || std::fabs(a[1].re) > 1e6L;
  };
  auto &heaviside = t["heaviside"];
  heaviside = Entry{FLT, SAME};
  exact(heaviside, [](auto x, auto y, auto) { return std::isnan(x) ? x : x == 0 ? y : decltype(x)(x > 0); });
}

void parts(Table &t) {
  auto &conj = t["conj"];
  conj = Entry{NUMB, SAME};
  conj.integer = [](mars_dtype, wide x, wide, wide) { return x; };
  exact(conj, [](auto x, auto, auto) { return x; });
  conj.complex = [](cplx z, cplx, cplx) { return cplx(z.real(), -z.imag()); };
  auto &re = t["real"];
  re = Entry{ALL, REALPART};
  re.integer = [](mars_dtype, wide x, wide, wide) { return x; };
  exact(re, [](auto x, auto, auto) { return x; });
  re.complex = [](cplx z, cplx, cplx) { return cplx(z.real(), 0); };
  auto &im = t["imag"];
  im = Entry{ALL, REALPART};
  im.integer = [](mars_dtype, wide, wide, wide) { return (wide)0; };
  exact(im, [](auto x, auto, auto) { return decltype(x)(0); });
  im.complex = [](cplx z, cplx, cplx) { return cplx(z.imag(), 0); };
}

void bitwise(Table &t) {
  auto whole = [&t](const char *name, Domain d, wide (*f)(mars_dtype, wide, wide)) {
    Entry e{d, SAME};
    e.integer = [f](mars_dtype dt, wide x, wide y, wide) { return f(dt, x, y); };
    t[name] = e;
  };
  whole("invert", BITS, [](mars_dtype dt, wide x, wide) { return dt == MARS_BOOL ? (wide)!x : ~x; });
  whole("bitwise_and", BITS, [](mars_dtype, wide x, wide y) { return x & y; });
  whole("bitwise_or", BITS, [](mars_dtype, wide x, wide y) { return x | y; });
  whole("bitwise_xor", BITS, [](mars_dtype, wide x, wide y) { return x ^ y; });
  whole("left_shift", INTS, [](mars_dtype dt, wide x, wide y) {
    return y < 0 || y >= bits_of(dt) ? 0 : (wide)((unsigned __int128)x << (int)y);
  });
  whole("right_shift", INTS, [](mars_dtype dt, wide x, wide y) {
    return y < 0 || y >= bits_of(dt) ? (wide)(x < 0 ? -1 : 0) : x >> (int)y;
  });
  whole("gcd", INTS, [](mars_dtype, wide x, wide y) { return gcd(x, y); });
  whole("lcm", INTS, [](mars_dtype, wide x, wide y) {
    wide g = gcd(x, y);
    return g ? (wide)((unsigned __int128)(absolute(x) / g) * (unsigned __int128)absolute(y)) : 0;
  });
  whole("bitwise_count", INTS, [](mars_dtype, wide x, wide) {
    unsigned __int128 a = (unsigned __int128)absolute(x);
    return (wide)(__builtin_popcountll((unsigned long long)a) +
                  __builtin_popcountll((unsigned long long)(a >> 64)));
  });
  t["bitwise_count"].result = U8;
}

const Table &table() {
  static const Table t = [] {
    Table fill;
    arithmetic(fill);
    rounding(fill);
    add_functions(fill);
    tests(fill);
    selection(fill);
    parts(fill);
    bitwise(fill);
    return fill;
  }();
  return t;
}

// NumPy's choice of a float for an integer operand
mars_dtype float_for(mars_dtype dt, bool division) {
  if (kind_of(dt) == 'f' || kind_of(dt) == 'c')
    return dt;
  if (division)
    return MARS_F64;
  int bits = bits_of(dt);
  return bits <= 8 ? MARS_F16 : bits == 16 ? MARS_F32 : MARS_F64;
}

} // namespace

bool has_op(const std::string &name) {
  return table().count(name) != 0;
}

bool op_types(const std::string &name, mars_dtype dt, mars_dtype *loop, mars_dtype *result) {
  const Entry &e = table().at(name);
  char k = kind_of(dt);
  bool ok = true;
  mars_dtype l = dt;
  switch (e.domain) {
  case ALL:
    break;
  case NUM:
    ok = k != 'b';
    break;
  case NUMB:
    l = k == 'b' ? MARS_I8 : dt;
    break;
  case REAL:
    ok = k != 'c';
    l = k == 'b' ? MARS_I8 : dt;
    break;
  case REALB:
    ok = k != 'c';
    break;
  case BITS:
    ok = k == 'b' || k == 'i' || k == 'u';
    break;
  case INTS:
    ok = k == 'b' || k == 'i' || k == 'u';
    l = k == 'b' ? MARS_I8 : dt;
    break;
  case FLT:
    ok = k != 'c';
    l = float_for(dt, false);
    break;
  case FLC:
    l = float_for(dt, false);
    break;
  case FLD:
    l = float_for(dt, true);
    break;
  }
  *loop = l;
  *result = e.result == BOOL       ? MARS_BOOL
            : e.result == I32      ? MARS_I32
            : e.result == U8       ? MARS_U8
            : e.result == REALPART ? float_of(l)
                                   : l;
  return ok;
}

namespace {

Num answer(mars_dtype result, real re, real im) {
  Num n;
  n.kind = kind_of(result);
  if (n.kind == 'f' || n.kind == 'c')
    n.re = re, n.im = im;
  else
    n.i = (wide)re;
  return n;
}

Expect eval_real(const Entry &e, mars_dtype loop, mars_dtype result, const Num *a, double row_ulp) {
  Expect x;
  x.bound.any_zero = e.any_zero;
  if (is_half(loop) && e.half) {
    x.value = answer(result, e.half(loop, a[0].re, a[1].re), 0);
  } else if (e.f64) {
    real r = loop == MARS_F64 ? (real)e.f64((double)a[0].re, (double)a[1].re, (double)a[2].re)
                              : (real)e.f32((float)a[0].re, (float)a[1].re, (float)a[2].re);
    x.value = answer(result, r, 0);
  } else {
    x.value = answer(result, e.approx(a[0].re, a[1].re, a[2].re), 0);
    // computed in f32, then rounded once more
    x.bound.ulp = is_half(loop) ? 0.51 : row_ulp;
    x.bound.abs = e.abs_ulps * ulp_at(is_half(loop) ? MARS_F32 : loop, 1);
    if (e.abs_ulps > 0 && is_half(loop))
      x.bound.abs += 0.5L * ulp_at(loop, x.value.re);
  }
  return x;
}

} // namespace

Expect eval(const std::string &name, mars_dtype operand, const Num *args, double row_ulp) {
  const Entry &e = table().at(name);
  mars_dtype loop, result;
  Expect x;
  if (!op_types(name, operand, &loop, &result))
    return x;
  Num a[3];
  for (int i = 0; i < 3; i++)
    a[i] = (i == 0 && name == "where") ? cast(args[i], MARS_BOOL, loop) : cast(args[i], operand, loop);
  if (e.skip && e.skip(loop, a)) {
    x.skip = true;
    return x;
  }
  char k = kind_of(loop);
  // of inexact complex functions only finite values are promised, not C's Annex G
  if (k == 'c' && row_ulp > 0)
    for (const Num &n : a)
      x.skip = x.skip || !std::isfinite(n.re) || !std::isfinite(n.im);
  if (x.skip)
    return x;
  if (k == 'f')
    return eval_real(e, loop, result, a, row_ulp);
  if (k == 'c') {
    cplx r = e.complex(cplx(a[0].re, a[0].im), cplx(a[1].re, a[1].im), cplx(a[2].re, a[2].im));
    x.value = answer(result, r.real(), r.imag());
    x.bound.ulp = row_ulp;
    x.bound.any_zero = true;
    return x;
  }
  x.value.kind = kind_of(result);
  x.value.i = wrap(result, e.integer(loop, a[0].i, a[1].i, a[2].i));
  return x;
}

} // namespace oracle
