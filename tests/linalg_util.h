// Shared by the tests of linear algebra: sums of products element by element in long double and exact integers.
#ifndef TESTS_LINALG_UTIL_H
#define TESTS_LINALG_UTIL_H

#include "tests/api_util.h"
#include "tests/linalg_oracle.h"

namespace linalg {

using api::Array;
using oracle::Num;
using oracle::real;

// What a result should be, and how far it may be off.
struct Expected {
  mars_dtype dt = MARS_F64;
  std::vector<int64_t> dims;
  std::vector<Num> value;
  std::vector<real> slack;
};

// Sum over all labels that are not in `out` of the product of the operands, each with a label per axis (extents of 1
// are repeated). Operands are cast to dt first; the sum is rounded to dt once.
Expected sum_of_products(mars_dtype dt, const std::vector<std::string> &in, const std::string &out,
                         const std::vector<Array> &operands);
// numpy.matmul of operands with two or more axes
Expected matmul(const Array &a, const Array &b);
testing::AssertionResult near(const Array &got, const Expected &want);

Array transposed(const Array &a); // the last two axes
Array conjugated(const Array &a);
// The elements at start[d] + i * step[d]
Array sliced(const Array &a, const std::vector<int64_t> &start, const std::vector<int64_t> &step,
             const std::vector<int64_t> &count);

} // namespace linalg

#endif
