/*
 * Matrices for the tests of factorisations: products and norms by plain loops in double precision, matrices of known
 * spectrum, and the residuals that bound a factorisation's backward error.
 */
#ifndef TESTS_LINALG_DENSE_H
#define TESTS_LINALG_DENSE_H

#include "tests/api_util.h"
#include <complex>
#include <limits>

namespace factored {

using namespace api;

template <class T> struct Kind;
template <> struct Kind<float> {
  static constexpr mars_dtype dt = MARS_F32, real_dt = MARS_F32;
  using Wide = double;
  using Real = float;
};
template <> struct Kind<double> {
  static constexpr mars_dtype dt = MARS_F64, real_dt = MARS_F64;
  using Wide = double;
  using Real = double;
};
template <> struct Kind<std::complex<float>> {
  static constexpr mars_dtype dt = MARS_C64, real_dt = MARS_F32;
  using Wide = std::complex<double>;
  using Real = float;
};
template <> struct Kind<std::complex<double>> {
  static constexpr mars_dtype dt = MARS_C128, real_dt = MARS_F64;
  using Wide = std::complex<double>;
  using Real = double;
};
template <class T> using Wide = typename Kind<T>::Wide;
template <class T> constexpr double unit() { // unit roundoff
  return std::numeric_limits<typename Kind<T>::Real>::epsilon() / 2;
}

inline double conj_of(double x) {
  return x;
}
inline std::complex<double> conj_of(std::complex<double> x) {
  return std::conj(x);
}

template <class W> struct Mat { // C order
  int64_t m = 0, n = 0;
  std::vector<W> a;
  Mat() = default;
  Mat(int64_t rows, int64_t cols) : m(rows), n(cols), a((size_t)(rows * cols)) {}
  W &operator()(int64_t i, int64_t j) { return a[(size_t)(i * n + j)]; }
  const W &operator()(int64_t i, int64_t j) const { return a[(size_t)(i * n + j)]; }
};

template <class W> Mat<W> product(const Mat<W> &x, const Mat<W> &y) {
  Mat<W> z(x.m, y.n);
  for (int64_t i = 0; i < x.m; i++)
    for (int64_t k = 0; k < x.n; k++) {
      const W f = x(i, k);
      const W *row = &y.a[(size_t)(k * y.n)];
      W *to = z.a.data() + i * z.n;
      for (int64_t j = 0; j < y.n; j++)
        to[j] += f * row[j];
    }
  return z;
}
template <class W> Mat<W> adjoint(const Mat<W> &x) {
  Mat<W> z(x.n, x.m);
  for (int64_t i = 0; i < x.m; i++)
    for (int64_t j = 0; j < x.n; j++)
      z(j, i) = conj_of(x(i, j));
  return z;
}
template <class W> double frobenius(const Mat<W> &x) {
  double sum = 0;
  for (const W &v : x.a)
    sum += std::norm(v);
  return std::sqrt(sum);
}
template <class W> Mat<W> minus(Mat<W> x, const Mat<W> &y) {
  for (size_t i = 0; i < x.a.size(); i++)
    x.a[i] -= y.a[i];
  return x;
}
template <class W> Mat<W> identity(int64_t n) {
  Mat<W> x(n, n);
  for (int64_t i = 0; i < n; i++)
    x(i, i) = 1;
  return x;
}
// || X^H X - I ||
template <class W> double not_orthonormal(const Mat<W> &x) {
  return frobenius(minus(product(adjoint(x), x), identity<W>(x.n)));
}

inline void draw(Rng &rng, double *x) {
  *x = rng.unit() * 2 - 1;
}
inline void draw(Rng &rng, std::complex<double> *x) {
  const double re = rng.unit() * 2 - 1;
  *x = {re, rng.unit() * 2 - 1};
}
template <class W> Mat<W> noise(int64_t m, int64_t n, uint64_t seed) {
  Mat<W> x(m, n);
  Rng rng(seed);
  for (W &v : x.a)
    draw(rng, &v);
  return x;
}
// Applies a few random reflections from the left
template <class W> void reflect(Mat<W> *x, uint64_t seed) {
  for (int round = 0; round < 3; round++) {
    const Mat<W> v = noise<W>(x->m, 1, seed + (uint64_t)round);
    double norm = 0;
    for (const W &e : v.a)
      norm += std::norm(e);
    std::vector<W> dots((size_t)x->n);
    for (int64_t i = 0; i < x->m; i++)
      for (int64_t j = 0; j < x->n; j++)
        dots[(size_t)j] += conj_of(v(i, 0)) * (*x)(i, j);
    for (int64_t i = 0; i < x->m; i++)
      for (int64_t j = 0; j < x->n; j++)
        (*x)(i, j) -= 2 / norm * v(i, 0) * dots[(size_t)j];
  }
}
// m x n with these singular values
template <class W> Mat<W> with_values(int64_t m, int64_t n, const std::vector<double> &s, uint64_t seed) {
  Mat<W> x(m, n);
  for (size_t i = 0; i < s.size(); i++)
    x((int64_t)i, (int64_t)i) = s[i];
  reflect(&x, seed);
  x = adjoint(x);
  reflect(&x, seed + 10);
  return adjoint(x);
}
// Hermitian with these eigenvalues
template <class W> Mat<W> with_spectrum(const std::vector<double> &w, uint64_t seed) {
  Mat<W> x((int64_t)w.size(), (int64_t)w.size());
  for (size_t i = 0; i < w.size(); i++)
    x((int64_t)i, (int64_t)i) = w[i];
  reflect(&x, seed);
  x = adjoint(x);
  reflect(&x, seed);
  return x;
}

// Rounded to T, so that what is compared is what the library was given
template <class T> Mat<Wide<T>> rounded(Mat<Wide<T>> x) {
  for (auto &v : x.a)
    v = (Wide<T>)(T)v;
  return x;
}
template <class T> Array array(const Mat<Wide<T>> &x) {
  std::vector<T> v(x.a.size());
  for (size_t i = 0; i < v.size(); i++)
    v[i] = (T)x.a[i];
  return array_of(Kind<T>::dt, {x.m, x.n}, v);
}
// Matrix `which` of the last two axes
template <class T> Mat<Wide<T>> matrix(const Array &a, int64_t which = 0) {
  EXPECT_EQ(a.dt, Kind<T>::dt);
  const size_t nd = a.dims.size();
  Mat<Wide<T>> x(nd > 1 ? a.dims[nd - 2] : 1, a.dims[nd - 1]);
  const T *p = (const T *)(const void *)a.bytes.data() + which * x.m * x.n;
  for (size_t i = 0; i < x.a.size(); i++)
    x.a[i] = (Wide<T>)p[i];
  return x;
}
template <class R> std::vector<double> reals(const Array &a) {
  EXPECT_EQ(a.dt, Kind<R>::dt);
  std::vector<double> v((size_t)a.size());
  for (size_t i = 0; i < v.size(); i++)
    v[i] = (double)((const R *)(const void *)a.bytes.data())[i];
  return v;
}

inline mars_stats run_stats(mars_session *s, const std::vector<mars_tensor *> &t) {
  std::vector<mars_output> outputs(t.size());
  mars_job *job = nullptr;
  mars_error err = {};
  mars_stats stats = {};
  for (size_t i = 0; i < t.size(); i++)
    outputs[i].tensor = t[i];
  mars_status st = mars_submit(s, outputs.data(), outputs.size(), &job, &err);
  if (st == MARS_OK)
    st = mars_wait(job, &err);
  EXPECT_TRUE(ok(st, err));
  if (job)
    mars_job_get_stats(job, &stats);
  mars_job_release(job);
  return stats;
}

} // namespace factored
#endif
