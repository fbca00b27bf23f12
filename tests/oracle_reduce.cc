// Oracle of the reductions and scans: long double and 128-bit integer sums, element by element.
#include "tests/oracle.h"

#include <cmath>
#include <limits>
#include <set>

namespace oracle {

namespace {

const real NaN = std::numeric_limits<real>::quiet_NaN();

bool is_nan(const Num &v) {
  return (v.kind == 'f' && std::isnan(v.re)) || (v.kind == 'c' && (std::isnan(v.re) || std::isnan(v.im)));
}
bool nonzero(const Num &v) {
  return v.kind == 'f' ? v.re != 0 : v.kind == 'c' ? v.re != 0 || v.im != 0 : v.i != 0;
}
bool before(const Num &a, const Num &b) { // a < b
  if (a.kind == 'f')
    return a.re < b.re;
  if (a.kind == 'c')
    return a.re < b.re || (a.re == b.re && a.im < b.im);
  return a.i < b.i;
}
real magnitude(const Num &v) {
  return v.kind == 'f' ? std::fabs(v.re) : v.kind == 'c' ? std::hypot(v.re, v.im) : 0;
}

Num number(char kind, real re, real im = 0) {
  Num n;
  n.kind = kind;
  if (kind == 'f' || kind == 'c')
    n.re = re, n.im = im;
  else
    n.i = (wide)re;
  return n;
}

std::vector<Num> without_nan(const std::vector<Num> &x) {
  std::vector<Num> r;
  for (const Num &v : x)
    if (!is_nan(v))
      r.push_back(v);
  return r;
}

// Extra rounding when the result is stored as a half.
real half_slack(mars_dtype dt, real value) {
  return is_half(dt) ? 0.5L * ulp_at(dt, value) : 0;
}

Reduced sum_like(bool product, mars_dtype dt, const std::vector<Num> &x, double ulp) {
  Reduced r;
  r.accepted = true;
  r.dtype = dt;
  char k = kind_of(dt);
  r.value.kind = k;
  r.bound.any_zero = true;
  if (k != 'f' && k != 'c') {
    wide acc = product ? 1 : 0;
    for (const Num &v : x)
      acc = wrap(dt, product ? (wide)((unsigned __int128)acc * (unsigned __int128)v.i) : acc + v.i);
    r.value.i = acc;
    return r;
  }
  cplx acc = product ? 1 : 0;
  real scale = 0;
  for (const Num &v : x) {
    cplx z(v.re, v.im);
    // only the real part takes part for real dtypes, or 0 * inf would make it NaN
    acc = product ? (k == 'c' ? acc * z : cplx(acc.real() * v.re, 0)) : acc + z;
    if (std::isfinite(magnitude(v)))
      scale += magnitude(v); // what is not finite decides by itself
  }
  r.value.re = acc.real();
  r.value.im = acc.imag();
  real n = (real)std::max<size_t>(x.size(), 1), u = unit_roundoff(dt);
  // a product's relative errors add up one by one, whatever the tree
  r.bound.abs = product ? (ulp + 2 * n) * u * std::abs(acc) : (ulp + std::log2(n)) * u * scale;
  if (product)
    r.bound.abs += ulp_at(float_of(dt), 0) * n;
  r.bound.abs += half_slack(dt, std::abs(acc));
  if (!std::isfinite(r.bound.abs))
    r.bound.abs = 0;
  return r;
}

Reduced extreme(bool greatest, bool skip_nan, mars_dtype dt, const std::vector<Num> &x, bool index) {
  Reduced r;
  r.dtype = index ? MARS_I64 : dt;
  if (x.empty())
    return r;
  r.accepted = true;
  int64_t best = -1;
  for (size_t i = 0; i < x.size(); i++) {
    if (is_nan(x[i])) {
      if (skip_nan)
        continue;
      best = (int64_t)i;
      break;
    }
    if (best < 0 || (greatest ? before(x[(size_t)best], x[i]) : before(x[i], x[(size_t)best])))
      best = (int64_t)i;
  }
  if (index) {
    r.value = number('i', 0);
    r.value.i = best;
  } else {
    r.value = best < 0 ? number(kind_of(dt), NaN, NaN) : x[(size_t)best];
    r.bound.any_zero = true;
  }
  return r;
}

Reduced mean_of(mars_dtype dt, const std::vector<Num> &x, double ulp) {
  Reduced r;
  r.accepted = true;
  r.dtype = kind_of(dt) == 'f' || kind_of(dt) == 'c' ? dt : MARS_F64;
  char k = kind_of(r.dtype);
  real re = 0, im = 0, scale = 0;
  for (const Num &v : x) {
    Num y = cast(v, dt, k == 'c' ? dt : k == 'f' && r.dtype == dt ? dt : MARS_F64);
    re += y.re, im += y.im, scale += std::isfinite(magnitude(y)) ? magnitude(y) : 0;
  }
  real n = (real)x.size();
  r.value = x.empty() ? number(k, NaN, NaN) : number(k, re / n, im / n);
  r.bound.any_zero = true;
  if (!x.empty()) {
    r.bound.abs = (ulp + std::log2(n)) * unit_roundoff(r.dtype) * scale / n +
                  half_slack(r.dtype, std::hypot(re, im) / n);
    // integers are summed exactly in 64 bits, which may wrap: such data is not judged here
    if (!std::isfinite(r.bound.abs))
      r.bound.abs = 0;
  }
  return r;
}

Reduced variance(bool root, mars_dtype dt, const std::vector<Num> &x, double ddof, double ulp) {
  Reduced r;
  r.accepted = true;
  r.dtype = kind_of(dt) == 'f' ? dt : kind_of(dt) == 'c' ? float_of(dt) : MARS_F64;
  real n = (real)x.size(), re = 0, im = 0, m2 = 0;
  std::vector<Num> y;
  for (const Num &v : x)
    y.push_back(kind_of(dt) == 'f' || kind_of(dt) == 'c' ? v : cast(v, dt, MARS_F64));
  for (const Num &v : y)
    re += v.re, im += v.im;
  re /= n, im /= n;
  for (const Num &v : y)
    m2 += (v.re - re) * (v.re - re) + (v.im - im) * (v.im - im);
  real div = n - (real)ddof;
  real var =
      x.empty() || div <= 0 ? (m2 > 0 && !x.empty() ? std::numeric_limits<real>::infinity() : NaN) : m2 / div;
  real value = root ? std::sqrt(var) : var;
  r.value = number('f', value);
  r.bound.any_zero = true;
  if (std::isfinite(var)) {
    // moments are kept in f64 for every dtype; the mean's own rounding enters once, not squared
    real u = unit_roundoff(r.dtype), dev = std::sqrt(var), mean = std::hypot(re, im);
    real e = (ulp + std::log2(std::max(n, (real)1))) * (u * var + unit_roundoff(MARS_F64) * mean * dev);
    real tiny = (ulp + std::log2(std::max(n, (real)1))) * unit_roundoff(MARS_F64) * mean;
    e += tiny * tiny;
    r.bound.abs = root ? (dev > 0 ? std::min(e / dev, std::sqrt(e)) : std::sqrt(e)) : e;
    r.bound.abs += half_slack(r.dtype, value) + ulp_at(r.dtype, value) * 0.5L;
  }
  return r;
}

const std::set<std::string> kNames = {"sum",    "prod",      "min",      "max",    "mean",    "var",
                                      "std",    "any",       "all",      "argmin", "argmax",  "count_nonzero",
                                      "nansum", "nanprod",   "nanmin",   "nanmax", "nanmean", "nanvar",
                                      "nanstd", "nanargmin", "nanargmax"};

mars_dtype sum_dtype(mars_dtype dt) {
  switch (kind_of(dt)) {
  case 'b':
  case 'i':
    return MARS_I64;
  case 'u':
    return MARS_U64;
  default:
    return dt;
  }
}

} // namespace

bool has_reduce(const std::string &name) {
  return kNames.count(name) != 0;
}

Reduced reduce(const std::string &name, mars_dtype dt, const std::vector<Num> &x, double ddof, mars_dtype acc,
               double ulp) {
  bool nan = name.compare(0, 3, "nan") == 0;
  std::string base = nan ? name.substr(3) : name;
  if (base == "sum" || base == "prod") {
    mars_dtype to = acc == MARS_DTYPE_AUTO ? sum_dtype(dt) : acc;
    std::vector<Num> y;
    for (const Num &v : nan ? without_nan(x) : x)
      y.push_back(cast(v, dt, to));
    return sum_like(base == "prod", to, y, ulp);
  }
  if (base == "min" || base == "max")
    return extreme(base == "max", nan, dt, x, false);
  if (base == "argmin" || base == "argmax")
    return extreme(base == "argmax", nan, dt, x, true);
  if (base == "mean")
    return mean_of(dt, nan ? without_nan(x) : x, ulp);
  if (base == "var" || base == "std")
    return variance(base == "std", dt, nan ? without_nan(x) : x, ddof, ulp);
  Reduced r;
  r.accepted = true;
  wide count = 0;
  for (const Num &v : x)
    count += nonzero(v);
  r.dtype = base == "count_nonzero" ? MARS_I64 : MARS_BOOL;
  r.value.kind = kind_of(r.dtype);
  r.value.i = base == "any" ? count > 0 : base == "all" ? count == (wide)x.size() : count;
  return r;
}

mars_dtype reduce_dtype(const std::string &name, mars_dtype dt, mars_dtype acc) {
  Num one = cast(number('i', 1), MARS_I64, dt);
  return reduce(name, dt, {one}, 0, acc, 0).dtype;
}

std::vector<Num> scan(const std::string &name, mars_dtype dt, const std::vector<Num> &x) {
  bool product = name == "cumprod";
  mars_dtype to = sum_dtype(dt), reg = is_half(to) ? MARS_F32 : to;
  std::vector<Num> out;
  Num acc;
  for (size_t i = 0; i < x.size(); i++) {
    Num v = cast(x[i], dt, to);
    if (i == 0) {
      acc = v;
    } else if (reg == MARS_F64) {
      acc.re = product ? (double)acc.re * (double)v.re : (double)acc.re + (double)v.re;
    } else if (reg == MARS_F32) {
      acc.re = product ? (float)acc.re * (float)v.re : (float)acc.re + (float)v.re;
    } else if (kind_of(reg) == 'c') {
      cplx a(acc.re, acc.im), b(v.re, v.im), s = product ? a * b : a + b;
      acc.re = s.real(), acc.im = s.imag();
      acc = rounded(reg, acc);
    } else {
      acc.i = wrap(to, product ? (wide)((unsigned __int128)acc.i * (unsigned __int128)v.i) : acc.i + v.i);
    }
    out.push_back(rounded(to, acc));
  }
  return out;
}

} // namespace oracle
