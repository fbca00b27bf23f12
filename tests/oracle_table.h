// What the parts of the elementwise oracle share: an entry per NumPy name.
#ifndef TESTS_ORACLE_TABLE_H
#define TESTS_ORACLE_TABLE_H

#include "tests/oracle.h"

#include <cmath>
#include <functional>
#include <map>

namespace oracle {

enum Domain { ALL, NUM, NUMB, REAL, REALB, BITS, INTS, FLT, FLC, FLD };
enum Result { SAME, BOOL, REALPART, I32, U8 };

struct Entry {
  explicit Entry(Domain d = ALL, Result r = SAME) : domain(d), result(r) {}
  Domain domain = ALL;
  Result result = SAME;
  // integers and bool; dt is the loop's dtype, the answer is wrapped into the result's
  std::function<wide(mars_dtype dt, wide, wide, wide)> integer;
  // IEEE arithmetic in the loop's own dtype: the answer is exact
  std::function<float(float, float, float)> f32;
  std::function<double(double, double, double)> f64;
  // more precise than the loop's dtype: the answer is judged within the bound
  std::function<real(real, real, real)> approx;
  std::function<cplx(cplx, cplx, cplx)> complex;
  // halves have a spacing of their own
  std::function<real(mars_dtype, real, real)> half;
  std::function<bool(mars_dtype, const Num *)> skip;
  real abs_ulps = 0; // absolute error allowed, in units of the spacing at 1
  bool any_zero = false;
};

template <class F> void exact(Entry &e, F f) {
  e.f32 = [f](float x, float y, float z) -> float { return (float)f(x, y, z); };
  e.f64 = [f](double x, double y, double z) -> double { return (double)f(x, y, z); };
}

using Table = std::map<std::string, Entry>;

// Functions of real and complex variables, oracle_functions.cc
void add_functions(Table &t);

} // namespace oracle
#endif
