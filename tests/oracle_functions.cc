// Oracle of the elementwise functions: long double versions of the C library.
#include "tests/oracle_table.h"

namespace oracle {

namespace {

const real PI = 3.14159265358979323846264338327950288L;
const real LN2 = 0.693147180559945309417232121458176568L;
const real LN10 = 2.30258509299404568401799145468436421L;

// A function of one real or complex variable.
void function(Table &t, const char *name, Domain domain, real (*f)(real), cplx (*c)(cplx) = nullptr) {
  Entry e{domain, SAME};
  e.approx = [f](real x, real, real) { return f(x); };
  if (c)
    e.complex = [c](cplx x, cplx, cplx) { return c(x); };
  t[name] = e;
}

cplx complex_expm1(cplx z) {
  real s = std::sin(z.imag() / 2);
  return cplx(std::expm1(z.real()) * std::cos(z.imag()) - 2 * s * s, std::exp(z.real()) * std::sin(z.imag()));
}
cplx complex_log1p(cplx z) {
  real x = z.real(), y = z.imag();
  real re =
      std::hypot(x, y) < 0.5L ? std::log1p(2 * x + (x * x + y * y)) / 2 : std::log(std::hypot(1 + x, y));
  return cplx(re, std::atan2(y, 1 + x));
}

// 2**z with log 2 in two parts: its rounding error times a large imaginary part would be an angle
cplx complex_exp2(cplx z) {
  const real hi = 0x1.62E42FEFA39EF358p-1L, lo = -0x0.361C4C67FC0D0950BF0Dp-64L;
  real angle = z.imag() * hi, rest = std::fma(z.imag(), hi, -angle) + z.imag() * lo;
  cplx turn = cplx(std::cos(angle), std::sin(angle)) * cplx(std::cos(rest), std::sin(rest));
  return turn * std::exp2(z.real());
}

} // namespace

void add_functions(Table &t) {
  function(t, "sqrt", FLC, nullptr, [](cplx z) { return std::sqrt(z); });
  t["sqrt"].approx = nullptr;
  exact(t["sqrt"], [](auto x, auto, auto) { return std::sqrt(x); });
  function(t, "cbrt", FLT, [](real x) { return std::cbrt(x); });
  function(
      t, "exp", FLC, [](real x) { return std::exp(x); }, [](cplx z) { return std::exp(z); });
  function(
      t, "exp2", FLC, [](real x) { return std::exp2(x); }, complex_exp2);
  // beyond, the angle im * log 2 would need more digits of log 2 than two doubles hold
  t["exp2"].skip = [](mars_dtype, const Num *a) { return std::fabs(a[0].im) > 0x1p50L; };
  function(
      t, "expm1", FLC, [](real x) { return std::expm1(x); }, complex_expm1);
  function(
      t, "log", FLC, [](real x) { return std::log(x); }, [](cplx z) { return std::log(z); });
  function(
      t, "log2", FLC, [](real x) { return std::log2(x); }, [](cplx z) { return std::log(z) / LN2; });
  function(
      t, "log10", FLC, [](real x) { return std::log10(x); }, [](cplx z) { return std::log(z) / LN10; });
  function(
      t, "log1p", FLC, [](real x) { return std::log1p(x); }, complex_log1p);
  function(
      t, "sin", FLC, [](real x) { return std::sin(x); }, [](cplx z) { return std::sin(z); });
  function(
      t, "cos", FLC, [](real x) { return std::cos(x); }, [](cplx z) { return std::cos(z); });
  function(
      t, "tan", FLC, [](real x) { return std::tan(x); }, [](cplx z) { return std::tan(z); });
  function(
      t, "arcsin", FLC, [](real x) { return std::asin(x); }, [](cplx z) { return std::asin(z); });
  function(
      t, "arccos", FLC, [](real x) { return std::acos(x); }, [](cplx z) { return std::acos(z); });
  function(
      t, "arctan", FLC, [](real x) { return std::atan(x); }, [](cplx z) { return std::atan(z); });
  function(
      t, "sinh", FLC, [](real x) { return std::sinh(x); }, [](cplx z) { return std::sinh(z); });
  function(
      t, "cosh", FLC, [](real x) { return std::cosh(x); }, [](cplx z) { return std::cosh(z); });
  function(
      t, "tanh", FLC, [](real x) { return std::tanh(x); }, [](cplx z) { return std::tanh(z); });
  function(
      t, "arcsinh", FLC, [](real x) { return std::asinh(x); }, [](cplx z) { return std::asinh(z); });
  function(
      t, "arccosh", FLC, [](real x) { return std::acosh(x); }, [](cplx z) { return std::acosh(z); });
  function(
      t, "arctanh", FLC, [](real x) { return std::atanh(x); }, [](cplx z) { return std::atanh(z); });
  function(t, "degrees", FLT, [](real x) { return x * (180 / PI); });
  function(t, "radians", FLT, [](real x) { return x * (PI / 180); });
  function(t, "erf", FLT, [](real x) { return std::erf(x); });
  function(t, "erfc", FLT, [](real x) { return std::erfc(x); });
  function(t, "gammaln", FLT, [](real x) {
    int sign;
    return lgammal_r(x, &sign);
  });
  t["gammaln"].abs_ulps = 4; // relative accuracy is lost where the logarithm crosses 0

  auto &angle = t["angle"];
  angle = Entry{FLC, REALPART};
  angle.approx = [](real x, real, real) { return std::isnan(x) ? x : std::signbit(x) ? PI : 0; };
  angle.complex = [](cplx z, cplx, cplx) { return cplx(std::arg(z), 0); };

  auto binary = [&t](const char *name, real (*f)(real, real)) {
    Entry e{FLT, SAME};
    e.approx = [f](real x, real y, real) { return f(x, y); };
    t[name] = e;
  };
  binary("arctan2", [](real y, real x) { return std::atan2(y, x); });
  binary("hypot", [](real x, real y) { return std::hypot(x, y); });
  binary("logaddexp", [](real x, real y) {
    return x == y ? x + LN2
           : std::isnan(x + y) && !(std::isinf(x) && std::isinf(y))
               ? x + y
               : std::max(x, y) + std::log1p(std::exp(-std::fabs(x - y)));
  });
  binary("logaddexp2", [](real x, real y) {
    return x == y ? x + 1
           : std::isnan(x + y) && !(std::isinf(x) && std::isinf(y))
               ? x + y
               : std::max(x, y) + std::log1p(std::exp2(-std::fabs(x - y))) / LN2;
  });
  t["logaddexp"].abs_ulps = t["logaddexp2"].abs_ulps = 4; // the two terms cancel where the sum is near 1
}

} // namespace oracle
