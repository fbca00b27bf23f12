// Matrices in long double, and backward errors by multiplying back: what the tests of systems and factors
// share. A residual is measured with every unit vector while the order is small, else with a few vectors of
// signs, for which the expected square of |R x| is the squared Frobenius norm of R.
#ifndef TESTS_LINALG_SOLVE_UTIL_H
#define TESTS_LINALG_SOLVE_UTIL_H

#include "tests/api_util.h"

#include <complex>
#include <map>

namespace systems {

using namespace api;
typedef std::complex<long double> Z;
typedef std::vector<Z> Vector;

struct Matrix { // batch number b of the last two axes of an array
  int64_t m = 0, n = 0;
  std::vector<Z> v;
  Matrix(int64_t rows, int64_t cols) : m(rows), n(cols), v((size_t)(rows * cols)) {}
  explicit Matrix(const Array &a, int64_t b = 0) {
    size_t nd = a.dims.size();
    m = a.dims[nd - 2], n = a.dims[nd - 1];
    v.resize((size_t)(m * n));
    for (int64_t i = 0; i < m * n; i++) {
      oracle::Num x = a.get(b * m * n + i);
      v[(size_t)i] = x.kind == 'i' ? Z((long double)x.i, 0) : Z((long double)x.re, (long double)x.im);
    }
  }
  Z &operator()(int64_t i, int64_t j) { return v[(size_t)(i * n + j)]; }
  const Z &operator()(int64_t i, int64_t j) const { return v[(size_t)(i * n + j)]; }
};

inline bool is_complex(mars_dtype dt) {
  return dt == MARS_C64 || dt == MARS_C128;
}
inline double unit(mars_dtype dt) {
  return (double)oracle::unit_roundoff(dt);
}

inline Array array_from(mars_dtype dt, std::vector<int64_t> dims, const std::function<Z(int64_t)> &f) {
  Array a(dt, std::move(dims));
  for (int64_t i = 0; i < a.size(); i++) {
    Z z = f(i);
    oracle::Num x;
    x.kind = is_complex(dt) ? 'c' : 'f';
    x.re = (oracle::real)z.real();
    x.im = is_complex(dt) ? (oracle::real)z.imag() : 0;
    a.set(i, x);
  }
  return a;
}
inline Array random_matrix(mars_dtype dt, std::vector<int64_t> dims, uint64_t seed) {
  Rng rng(seed);
  return array_from(dt, std::move(dims), [&](int64_t) {
    double re = rng.unit() * 2 - 1;
    return Z(re, is_complex(dt) ? rng.unit() * 2 - 1 : 0);
  });
}
// Hermitian positive definite, with eigenvalues around n / 3
inline Array definite_matrix(mars_dtype dt, int64_t n, uint64_t seed) {
  Matrix r(random_matrix(dt, {n, n}, seed));
  return array_from(dt, {n, n}, [&](int64_t k) {
    int64_t i = k / n, j = k % n;
    Z z = (r(i, j) + std::conj(r(j, i))) * 0.5L;
    return i == j ? Z(std::abs(z) + (long double)n, 0) : z;
  });
}

inline long double norm(const std::vector<Z> &v) {
  long double sum = 0;
  for (const Z &z : v)
    sum += std::norm(z);
  return std::sqrt(sum);
}

inline Vector times(const Matrix &a, const Vector &x) {
  Vector y((size_t)a.m);
  bool real = true;
  for (const Z &z : x)
    real = real && z.imag() == 0;
  for (int64_t i = 0; i < a.m; i++) {
    long double re = 0, im = 0; // without the special cases of complex products
    const Z *row = &a.v[(size_t)(i * a.n)];
    for (int64_t j = 0; j < a.n; j++) {
      re += row[j].real() * x[(size_t)j].real();
      im += row[j].imag() * x[(size_t)j].real();
      if (!real) {
        re -= row[j].imag() * x[(size_t)j].imag();
        im += row[j].real() * x[(size_t)j].imag();
      }
    }
    y[(size_t)i] = Z(re, im);
  }
  return y;
}
inline Matrix adjoint(const Matrix &a) {
  Matrix t(a.n, a.m);
  for (int64_t i = 0; i < a.m; i++)
    for (int64_t j = 0; j < a.n; j++)
      t(j, i) = std::conj(a(i, j));
  return t;
}

// |A - factors[0] factors[1] ...|, Frobenius
inline long double product_residual(const Matrix &a, const std::vector<const Matrix *> &factors) {
  const bool all = a.n <= 130;
  const int64_t probes = all ? a.n : 3;
  long double sum = 0;
  Rng rng(77);
  for (int64_t p = 0; p < probes; p++) {
    Vector x((size_t)a.n);
    for (int64_t j = 0; j < a.n; j++)
      x[(size_t)j] = all ? (j == p ? 1 : 0) : rng.chance(0.5) ? 1 : -1;
    Vector want = times(a, x), got = x;
    for (size_t f = factors.size(); f-- > 0;)
      got = times(*factors[f], got);
    for (size_t i = 0; i < want.size(); i++)
      sum += std::norm(want[i] - got[i]);
  }
  return std::sqrt(all ? sum : sum / (long double)probes);
}

// Largest |A x - b| / (|A| |x|) over the columns x of X
inline long double system_residual(const Matrix &a, const Matrix &x, const Matrix &b) {
  long double worst = 0, size = norm(a.v);
  const int64_t step = x.n > 40 && a.n > 130 ? x.n / 9 : 1;
  for (int64_t j = 0; j < x.n; j += step) {
    Vector column((size_t)x.m);
    for (int64_t i = 0; i < x.m; i++)
      column[(size_t)i] = x(i, j);
    Vector r = times(a, column);
    for (int64_t i = 0; i < a.m; i++)
      r[(size_t)i] -= b(i, j);
    long double e = norm(r) / (size * norm(column) + 1e-4000L);
    if (!(e <= worst))
      worst = e;
  }
  return worst;
}

// In memory; small panels in memory; budgets of which the matrices of these tests are several times
inline std::vector<Config> configs() {
  return {config_of(256 * MiB), config_of(64 * MiB, 1, 900), config_of(kMinimalBudget, 1), config_of(kMinimalBudget, 2)};
}

} // namespace systems
#endif
