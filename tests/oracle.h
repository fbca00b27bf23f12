/*
 * Oracle: what every op should give, written without the engine: plain integer code, IEEE arithmetic of the
 * compiler and long double functions of the C library. Ops are found by NumPy's name; an op that is not here
 * has no oracle.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <complex>
#include <cstdint>
#include <mars/types.h>
#include <string>
#include <vector>

namespace oracle {

using wide = __int128;
using real = long double;
using cplx = std::complex<long double>;

// A number of any dtype. kind as in MARS_DTYPE_LIST: b, i and u use i; f uses re; c uses re and im.
struct Num {
  char kind = 'i';
  wide i = 0;
  real re = 0, im = 0;
};

char kind_of(mars_dtype dt);
int bits_of(mars_dtype dt); // 1 for bool
bool is_half(mars_dtype dt);
mars_dtype float_of(mars_dtype complex_dt);

Num load(mars_dtype dt, const void *p);
// Rounds and narrows; integers wrap, floats round to nearest even.
void store(mars_dtype dt, const Num &v, void *p);
// astype: floats to integers truncate and saturate, NaN gives 0; integers wrap; complex drops the imaginary
// part.
Num cast(const Num &v, mars_dtype from, mars_dtype to);
// v rounded to the dtype's grid
Num rounded(mars_dtype dt, const Num &v);
wide wrap(mars_dtype dt, wide v);
// Distance between neighbours of the float dtype at |x|
real ulp_at(mars_dtype dt, real x);
// u = half the spacing at 1 of the dtype in which the dtype is accumulated (halves: f32)
real unit_roundoff(mars_dtype dt);
std::string show(const Num &v);

// How an element is judged.
struct Bound {
  double ulp = 0; // units in the last place, relative to the modulus for complex; 0: equal after rounding
  real abs = 0;   // or this absolute error
  bool any_zero = false; // the sign of a zero is not judged
};
bool close(mars_dtype dt, const Num &got, const Num &want, const Bound &bound);

// ---- elementwise ----------------------------------------------------------------------------------------

struct Expect {
  Num value;
  Bound bound;
  bool skip = false; // NumPy leaves it open
};

// Whether there is an oracle for this elementwise op.
bool has_op(const std::string &name);
// The dtype of the loop and of the result for a common operand dtype; false: the op must refuse it.
bool op_types(const std::string &name, mars_dtype operand, mars_dtype *loop, mars_dtype *result);
// One element. args have the dtype `operand` (where: args[0] is bool). row_ulp: the row's bound.
Expect eval(const std::string &name, mars_dtype operand, const Num *args, double row_ulp);

// ---- reductions -----------------------------------------------------------------------------------------

struct Reduced {
  bool accepted = false; // an empty reduction without identity is not
  mars_dtype dtype = MARS_DTYPE_AUTO;
  Num value;
  Bound bound;
};
bool has_reduce(const std::string &name);
// All of `x` (elements of dtype dt in C order). acc: dtype given by the caller or MARS_DTYPE_AUTO.
Reduced reduce(const std::string &name, mars_dtype dt, const std::vector<Num> &x, double ddof, mars_dtype acc,
               double row_ulp);
mars_dtype reduce_dtype(const std::string &name, mars_dtype dt, mars_dtype acc);
// Running sum or product in order in the result dtype (halves: in f32).
std::vector<Num> scan(const std::string &name, mars_dtype dt, const std::vector<Num> &x);

// ---- promotion ------------------------------------------------------------------------------------------

mars_dtype promote(mars_dtype a, mars_dtype b);
// dtype of `a op weak`, weak kind b, i, f or c
mars_dtype promote_weak(mars_dtype a, char weak);

// ---- random ---------------------------------------------------------------------------------------------

void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
double uniform_f64(uint64_t seed, uint64_t stream, uint64_t index);
float uniform_f32(uint64_t seed, uint64_t stream, uint64_t index);
int64_t integer(uint64_t seed, uint64_t stream, uint64_t index, int64_t low, uint64_t range);

} // namespace oracle
#endif
