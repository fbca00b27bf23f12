// Norms of all orders against long double loops, and what is composed of singular values: least squares, the pseudoinverse,
// rank, the randomized SVD, by the properties that define them.
#include "tests/linalg_dense.h"

using namespace factored;

namespace {

constexpr double kInf = INFINITY;
constexpr mars_axes kAll = {MARS_ALL_AXES, {0}};
mars_axes axes(std::initializer_list<int> list) {
  mars_axes a = {};
  for (int x : list)
    a.axis[a.count++] = x;
  return a;
}

template <class T> class Spectral : public testing::Test {};
using Types = testing::Types<float, double, std::complex<float>, std::complex<double>>;
TYPED_TEST_SUITE(Spectral, Types);

// ---- vector norms ---------------------------------------------------------------------------------------

long double vector_norm(const std::vector<long double> &x, double ord) {
  if (ord == MARS_NORM_DEFAULT) ord = 2;
  long double best = ord > 0 ? 0 : INFINITY, sum = 0;
  for (long double v : x) {
    if (std::isinf(ord))
      best = ord > 0 ? std::max(best, v) : std::min(best, v);
    else
      sum += ord == 0 ? (v != 0) : std::pow(v, (long double)ord);
  }
  return std::isinf(ord) ? best : ord == 0 ? sum : std::pow(sum, 1 / (long double)ord);
}

// |a[..]| of all elements, C order
template <class T> std::vector<long double> magnitudes(const Array &a) {
  std::vector<long double> v;
  for (int64_t i = 0; i < a.size(); i++)
    v.push_back(std::abs((std::complex<long double>)((const T *)(const void *)a.bytes.data())[i]));
  return v;
}

template <class T> Array random3(std::vector<int64_t> dims, uint64_t seed) {
  Array a(Kind<T>::dt, dims);
  Rng rng(seed);
  for (int64_t i = 0; i < a.size(); i++) {
    Wide<T> w;
    draw(rng, &w);
    ((T *)(void *)a.bytes.data())[i] = rng.chance(0.1) ? T(0) : (T)w;
  }
  return a;
}

TYPED_TEST(Spectral, VectorNormsOfAllOrders) {
  using Real = typename Kind<TypeParam>::Real;
  Session s(config_of(8 * MiB, 2, 64));
  Scope scope(s);
  const std::vector<int64_t> dims = {5, 37, 4};
  Array a = random3<TypeParam>(dims, 3);
  const auto mag = magnitudes<TypeParam>(a);
  for (double ord : {MARS_NORM_DEFAULT, 0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -2.0, 2.5, kInf, -kInf})
    for (bool keep : {false, true}) {
      Array got = fetched(mars_norm(tensor(s, a), ord, axes({-2}), keep));
      EXPECT_EQ(got.dims, keep ? (std::vector<int64_t>{5, 1, 4}) : (std::vector<int64_t>{5, 4}));
      const std::vector<double> r = reals<Real>(got);
      for (int64_t i = 0; i < 5; i++)
        for (int64_t k = 0; k < 4; k++) {
          std::vector<long double> x;
          for (int64_t j = 0; j < 37; j++)
            x.push_back(mag[(size_t)((i * 37 + j) * 4 + k)]);
          const double want = (double)vector_norm(x, ord);
          EXPECT_NEAR(r[(size_t)(i * 4 + k)], want, 100 * unit<TypeParam>() * want) << "ord " << ord;
        }
    }
  Array whole = fetched(mars_norm(tensor(s, a), MARS_NORM_DEFAULT, kAll, true)); // of any shape, as one vector
  EXPECT_EQ(whole.dims, (std::vector<int64_t>{1, 1, 1}));
  EXPECT_NEAR(reals<Real>(whole)[0], (double)vector_norm(mag, 2), 1e-5);
}

TEST(Norms, NarrowDtypesDoNotOverflow) {
  Session s(config_of(8 * MiB));
  Scope scope(s);
  Array a = array_of<float>(MARS_F32, {3}, {3e30f, 4e30f, 0});
  EXPECT_FLOAT_EQ(((const float *)(const void *)fetched(mars_norm(tensor(s, a), 2, kAll, false)).bytes.data())[0], 5e30f);
  Array ints = array_of<int32_t>(MARS_I32, {2}, {-3, 4});
  Array got = fetched(mars_norm(tensor(s, ints), MARS_NORM_DEFAULT, kAll, false));
  EXPECT_EQ(got.dt, MARS_F64);
  EXPECT_EQ(((const double *)(const void *)got.bytes.data())[0], 5);
}

TEST(Norms, Refusals) {
  Session s(config_of(8 * MiB));
  Scope scope(s);
  mars_tensor *v = tensor(s, Array(MARS_F64, {3})), *m = tensor(s, Array(MARS_F64, {3, 4})), *c = tensor(s, Array(MARS_F64, {2, 3, 4}));
  EXPECT_TRUE(is_error(mars_norm(v, MARS_NORM_FRO, kAll, false), MARS_E_ARG, {"mars_norm", "MARS_NORM_FRO", "vectors"}));
  EXPECT_TRUE(is_error(mars_norm(v, MARS_NORM_NUC, axes({0}), false), MARS_E_ARG, {"MARS_NORM_NUC"}));
  EXPECT_TRUE(is_error(mars_norm(m, 3, kAll, false), MARS_E_ARG, {"3 is no order of matrices"}));
  EXPECT_TRUE(is_error(mars_norm(m, 0, kAll, false), MARS_E_ARG, {"0 is no order of matrices"}));
  EXPECT_TRUE(is_error(mars_norm(m, 2, axes({1, -1}), false), MARS_E_AXIS, {"axis 1 is given twice"}));
  EXPECT_TRUE(is_error(mars_norm(m, 2, axes({2}), false), MARS_E_AXIS, {"axis 2"}));
  EXPECT_TRUE(is_error(mars_norm(c, 2, kAll, false), MARS_E_AXIS, {"3 axes", "(2, 3, 4)"}));
  EXPECT_TRUE(is_error(mars_norm(c, MARS_NORM_DEFAULT, axes({0, 1, 2}), false), MARS_E_AXIS, {"3 axes"}));
  EXPECT_TRUE(is_error(mars_norm(tensor(s, Array(MARS_F64, {0})), kInf, kAll, false), MARS_E_SHAPE, {"no elements"}));
  EXPECT_TRUE(is_error(mars_norm(tensor(s, Array(MARS_F16, {2, 2})), 2, kAll, false), MARS_E_DTYPE, {"float16"}));
  EXPECT_EQ(reals<double>(fetched(mars_norm(tensor(s, Array(MARS_F64, {0})), 2, kAll, false)))[0], 0);
}

// ---- matrix norms ---------------------------------------------------------------------------------------

TYPED_TEST(Spectral, MatrixNormsOfAllOrders) {
  using W = Wide<TypeParam>;
  using Real = typename Kind<TypeParam>::Real;
  Session s(config_of(8 * MiB, 2));
  Scope scope(s);
  const int64_t m = 23, n = 14;
  const std::vector<double> values = [] {
    std::vector<double> v;
    for (int i = 0; i < 14; i++)
      v.push_back(14 - i * 0.75);
    return v;
  }();
  const Mat<W> a = rounded<TypeParam>(with_values<W>(m, n, values, 4));
  double rows = 0, few_rows = kInf, cols = 0, few_cols = kInf, nuclear = 0;
  for (int64_t i = 0; i < m; i++) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
      sum += std::abs(a(i, j));
    rows = std::max(rows, sum), few_rows = std::min(few_rows, sum);
  }
  for (int64_t j = 0; j < n; j++) {
    double sum = 0;
    for (int64_t i = 0; i < m; i++)
      sum += std::abs(a(i, j));
    cols = std::max(cols, sum), few_cols = std::min(few_cols, sum);
  }
  for (double v : values)
    nuclear += v;
  const std::vector<std::pair<double, double>> want = {{MARS_NORM_DEFAULT, frobenius(a)}, {MARS_NORM_FRO, frobenius(a)},
                                                       {MARS_NORM_NUC, nuclear},          {2, values.front()},
                                                       {-2, values.back()},               {1, cols},
                                                       {-1, few_cols},                    {kInf, rows},
                                                       {-kInf, few_rows}};
  // as a plain matrix, and as the outer axes of three of them, turned
  Array plain = array<TypeParam>(a), stack(Kind<TypeParam>::dt, {n, 3, m});
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++)
      for (int64_t k = 0; k < 3; k++)
        ((TypeParam *)(void *)stack.bytes.data())[(j * 3 + k) * m + i] = (TypeParam)(a(i, j) * (double)(k + 1));
  for (auto [ord, value] : want) {
    Array got = fetched(mars_norm(tensor(s, plain), ord, kAll, false)), three = fetched(mars_norm(tensor(s, stack), ord, axes({2, 0}), true));
    EXPECT_EQ(got.dims, std::vector<int64_t>{});
    EXPECT_EQ(three.dims, (std::vector<int64_t>{1, 3, 1}));
    EXPECT_NEAR(reals<Real>(got)[0], value, 300 * unit<TypeParam>() * nuclear) << "ord " << ord;
    for (int k = 0; k < 3; k++)
      EXPECT_NEAR(reals<Real>(three)[(size_t)k], value * (k + 1), 1000 * unit<TypeParam>() * nuclear) << "ord " << ord;
  }
}

// ---- condition numbers ----------------------------------------------------------------------------------

TYPED_TEST(Spectral, ConditionNumbers) {
  using W = Wide<TypeParam>;
  using Real = typename Kind<TypeParam>::Real;
  Session s(config_of(8 * MiB));
  Scope scope(s);
  const Mat<W> a = rounded<TypeParam>(with_values<W>(12, 12, {20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 4}, 4));
  const Mat<W> tall = rounded<TypeParam>(with_values<W>(30, 3, {6, 3, 2}, 4));
  const double e = 3000 * unit<TypeParam>();
  const auto cond = [&](const Mat<W> &m, double ord) { return reals<Real>(fetched(mars_cond(tensor(s, array<TypeParam>(m)), ord)))[0]; };
  EXPECT_NEAR(cond(a, MARS_NORM_DEFAULT), 5, e);
  EXPECT_NEAR(cond(a, 2), 5, e);
  EXPECT_NEAR(cond(a, -2), 0.2, e);
  EXPECT_NEAR(cond(tall, 2), 3, e);
  for (double ord : {1.0, -1.0, kInf, -kInf, MARS_NORM_FRO}) { // by norms of the matrix and of its inverse from the SVD
    mars_tensor *t = tensor(s, array<TypeParam>(a)), *product = mars_multiply(mars_norm(t, ord, kAll, false), mars_norm(mars_pinv(t, 0), ord, kAll, false));
    const double want = reals<Real>(fetched(product))[0];
    EXPECT_NEAR(cond(a, ord), want, e * want) << "ord " << ord;
  }
  EXPECT_EQ(cond(Mat<W>(3, 3), 2), kInf) << "0 / 0 of a matrix without NaN";
}

TEST(Cond, BatchesAndRefusals) {
  Session s(config_of(8 * MiB));
  Scope scope(s);
  Array d = array_of<int32_t>(MARS_I32, {2, 2, 2}, {1, 0, 0, 8, 4, 0, 0, 0});
  const std::vector<double> two = reals<double>(fetched(mars_cond(tensor(s, d), 2)));
  EXPECT_NEAR(two[0], 8, 1e-12);
  EXPECT_EQ(two[1], kInf);
  for (double ord : {2.0, 1.0}) // no matrices are no matrices of nothing
    EXPECT_EQ(fetched(mars_cond(tensor(s, Array(MARS_F64, {0, 3, 3})), ord)).dims, std::vector<int64_t>{0});
  EXPECT_TRUE(is_error(mars_cond(tensor(s, Array(MARS_F64, {0, 0})), 2), MARS_E_SHAPE, {"mars_cond", "(0, 0)"}));
  EXPECT_TRUE(is_error(mars_cond(tensor(s, Array(MARS_F64, {2, 3})), 1), MARS_E_SHAPE, {"(2, 3)", "square"}));
  EXPECT_TRUE(is_error(mars_cond(tensor(s, Array(MARS_F64, {3})), 2), MARS_E_SHAPE, {"(3,)"}));
  EXPECT_TRUE(is_error(mars_cond(tensor(s, Array(MARS_F64, {3, 3})), 5), MARS_E_ARG, {"mars_cond", "5 is no order"}));
}

// numpy.linalg.cond of singular matrices is infinity for every order, of matrices with NaN it is NaN.
TEST(Cond, OfSingularMatrices) {
  Session s(config_of(8 * MiB));
  Scope scope(s);
  const Array zero(MARS_F64, {3, 3}), zero_column = array_of<double>(MARS_F64, {3, 3}, {1, 2, 0, 4, 5, 0, 7, 8, 0}),
              zero_row = array_of<double>(MARS_F64, {3, 3}, {0, 0, 0, 4, 5, 6, 7, 8, 10}),
              equal_rows = array_of<double>(MARS_F64, {2, 2}, {1, 2, 1, 2}), corner = array_of<double>(MARS_F64, {3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 0}),
              with_nan = array_of<double>(MARS_F64, {2, 2}, {1, NAN, 0, 1}), fine = array_of<double>(MARS_F64, {2, 2}, {2, 0, 0, 1});
  for (double ord : {1.0, -1.0, kInf, -kInf, MARS_NORM_FRO}) {
    for (const Array *a : {&zero, &zero_column, &zero_row, &equal_rows, &corner})
      EXPECT_EQ(reals<double>(fetched(mars_cond(tensor(s, *a), ord)))[0], kInf) << "ord " << ord;
    EXPECT_TRUE(std::isnan(reals<double>(fetched(mars_cond(tensor(s, with_nan), ord)))[0])) << "ord " << ord;
    EXPECT_TRUE(std::isfinite(reals<double>(fetched(mars_cond(tensor(s, fine), ord)))[0])) << "ord " << ord;
  }
  mars_error err = {};
  Array inverse(MARS_F64, {3, 3});
  mars_tensor *t = tensor(s, zero); // one node for both would forget the error
  EXPECT_EQ(reals<double>(fetched(mars_cond(t, 1)))[0], kInf);
  EXPECT_TRUE(says(mars_fetch(mars_inv(t), inverse.bytes.data(), inverse.bytes.size(), &err), err, MARS_E_NUMERIC, {"singular"}));
}

// ---- rank -----------------------------------------------------------------------------------------------

int64_t as_int(const Array &a, int64_t i = 0) {
  EXPECT_EQ(a.dt, MARS_I64);
  return ((const int64_t *)(const void *)a.bytes.data())[i];
}

TYPED_TEST(Spectral, RankOfMatrices) {
  using W = Wide<TypeParam>;
  Session s(config_of(8 * MiB));
  Scope scope(s);
  for (int64_t rank : {0, 1, 5, 12}) {
    std::vector<double> v(12, 0.0);
    for (int64_t i = 0; i < rank; i++)
      v[(size_t)i] = std::pow(0.5, (double)i);
    const Mat<W> a = rounded<TypeParam>(with_values<W>(20, 12, v, 4));
    EXPECT_EQ(as_int(fetched(mars_matrix_rank(tensor(s, array<TypeParam>(a)), -1))), rank);
    EXPECT_EQ(as_int(fetched(mars_matrix_rank(tensor(s, array<TypeParam>(a)), 0.2))), std::min<int64_t>(rank, 3));
  }
}

TEST(Rank, OfVectorsAndNothing) {
  Session s(config_of(8 * MiB));
  Scope scope(s);
  EXPECT_EQ(as_int(fetched(mars_matrix_rank(tensor(s, array_of<double>(MARS_F64, {3}, {0, 0, 2})), -1))), 1);
  EXPECT_EQ(as_int(fetched(mars_matrix_rank(tensor(s, Array(MARS_F64, {3})), -1))), 0);
  EXPECT_EQ(as_int(fetched(mars_matrix_rank(tensor(s, Array(MARS_F64, {0, 3})), -1))), 0);
  Array batch = fetched(mars_matrix_rank(tensor(s, array_of<int64_t>(MARS_I64, {2, 2, 2}, {1, 2, 2, 4, 1, 2, 3, 4})), -1));
  EXPECT_EQ(batch.dims, std::vector<int64_t>{2});
  EXPECT_EQ(as_int(batch, 0), 1);
  EXPECT_EQ(as_int(batch, 1), 2);
  EXPECT_TRUE(is_error(mars_matrix_rank(tensor(s, Array(MARS_F64, {2, 2})), NAN), MARS_E_ARG, {"mars_matrix_rank", "NaN"}));
}

// ---- pseudoinverse: the four conditions of Moore and Penrose --------------------------------------------

TYPED_TEST(Spectral, PseudoinverseIsMooreAndPenroses) {
  using W = Wide<TypeParam>;
  Session s(config_of(8 * MiB));
  Scope scope(s);
  for (auto [m, n] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {9, 9}, {30, 7}, {7, 30}, {25, 20}})
    for (int64_t rank : {std::min(m, n), std::max<int64_t>(1, std::min(m, n) - 3)}) {
      std::vector<double> v(rank);
      for (int64_t i = 0; i < rank; i++)
        v[(size_t)i] = 1 + (double)i;
      const Mat<W> a = rounded<TypeParam>(with_values<W>(m, n, v, 7));
      const Mat<W> p = matrix<TypeParam>(fetched(mars_pinv(tensor(s, array<TypeParam>(a)), -1)));
      ASSERT_EQ(p.m, n);
      ASSERT_EQ(p.n, m);
      const double e = 3000 * unit<TypeParam>() * (double)rank;
      const Mat<W> ap = product(a, p), pa = product(p, a);
      EXPECT_LE(frobenius(minus(product(ap, a), a)), e * frobenius(a));
      EXPECT_LE(frobenius(minus(product(pa, p), p)), e * frobenius(p));
      EXPECT_LE(frobenius(minus(adjoint(ap), ap)), e);
      EXPECT_LE(frobenius(minus(adjoint(pa), pa)), e);
    }
}

TEST(Pinv, CutsBatchesAndEmptyOnes) {
  Session s(config_of(8 * MiB));
  Scope scope(s);
  Array d = array_of<double>(MARS_F64, {2, 2, 2}, {1, 0, 0, 0.01, 4, 0, 0, 2});
  const std::vector<double> got = reals<double>(fetched(mars_pinv(tensor(s, d), 0.1)));
  const std::vector<double> want = {1, 0, 0, 0, 0.25, 0, 0, 0.5};
  for (size_t i = 0; i < 8; i++)
    EXPECT_NEAR(got[i], want[i], 1e-15);
  EXPECT_EQ(fetched(mars_pinv(tensor(s, Array(MARS_F32, {0, 3})), -1)).dims, (std::vector<int64_t>{3, 0}));
  EXPECT_EQ(fetched(mars_pinv(tensor(s, Array(MARS_F32, {2, 3, 0})), -1)).dims, (std::vector<int64_t>{2, 0, 3}));
  EXPECT_TRUE(is_error(mars_pinv(tensor(s, Array(MARS_F32, {3})), -1), MARS_E_SHAPE, {"mars_pinv", "(3,)"}));
}

// ---- least squares --------------------------------------------------------------------------------------

TYPED_TEST(Spectral, LeastSquares) {
  using W = Wide<TypeParam>;
  using Real = typename Kind<TypeParam>::Real;
  Session s(config_of(8 * MiB));
  for (auto [m, n] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {12, 12}, {40, 9}, {9, 40}, {25, 20}})
    for (int64_t rank : {std::min(m, n), std::max<int64_t>(1, std::min(m, n) - 3)}) {
      Scope scope(s);
      std::vector<double> v;
      for (int64_t i = 0; i < rank; i++)
        v.push_back(3 - 2 * (double)i / (double)rank);
      const int64_t k = 3;
      const Mat<W> a = rounded<TypeParam>(with_values<W>(m, n, v, 7)), b = rounded<TypeParam>(noise<W>(m, k, 8));
      mars_tensor *x = nullptr, *residuals = nullptr, *got_rank = nullptr, *values = nullptr;
      std::vector<Array> got;
      mars_lstsq(tensor(s, array<TypeParam>(a)), tensor(s, array<TypeParam>(b)), -1, &x, &residuals, &got_rank, &values);
      ASSERT_TRUE(fetch_all(s, {x, residuals, got_rank, values}, &got));
      const Mat<W> solution = matrix<TypeParam>(got[0]), r = minus(b, product(a, solution));
      ASSERT_EQ(solution.m, n);
      ASSERT_EQ(solution.n, k);
      EXPECT_EQ(as_int(got[2]), rank);
      const double e = 2000 * unit<TypeParam>();
      EXPECT_LE(frobenius(product(adjoint(a), r)), e * frobenius(b)) << "the residual is orthogonal to the columns of a";
      for (int64_t j = 0; j < k; j++) {
        double sum = 0;
        for (int64_t i = 0; i < m; i++)
          sum += std::norm(r(i, j));
        EXPECT_NEAR(reals<Real>(got[1])[(size_t)j], sum, e * 10);
      }
      // the shortest one: no part outside of the rows of a
      const Mat<W> p = matrix<TypeParam>(fetched(mars_pinv(tensor(s, array<TypeParam>(a)), -1)));
      EXPECT_LE(frobenius(minus(product(product(p, a), solution), solution)), e * frobenius(solution));
      for (int64_t i = 0; i < rank; i++)
        EXPECT_NEAR(reals<Real>(got[3])[(size_t)i], v[(size_t)i], e);
    }
}

TEST(Lstsq, OneColumnMixedTypesEmptyOnesRefusals) {
  Session s(config_of(8 * MiB));
  Scope scope(s);
  mars_tensor *x = nullptr, *residuals = nullptr, *rank = nullptr, *values = nullptr;
  std::vector<Array> got;
  mars_tensor *line = tensor(s, array_of<int32_t>(MARS_I32, {4, 2}, {0, 1, 1, 1, 2, 1, 3, 1}));
  mars_lstsq(line, tensor(s, array_of<float>(MARS_F32, {4}, {-1, 0.25f, 0.875f, 2.125f})), -1, &x, &residuals, &rank, &values);
  ASSERT_TRUE(fetch_all(s, {x, residuals, rank, values}, &got));
  EXPECT_EQ(got[0].dims, std::vector<int64_t>{2});
  EXPECT_EQ(got[1].dims, std::vector<int64_t>{1});
  EXPECT_EQ(got[0].dt, MARS_F64);
  EXPECT_NEAR(reals<double>(got[0])[0], 1, 1e-13);
  EXPECT_NEAR(reals<double>(got[0])[1], -0.9375, 1e-13);
  mars_lstsq(tensor(s, Array(MARS_F64, {3, 0})), tensor(s, array_of<double>(MARS_F64, {3, 1}, {1, 2, 2})), -1, &x, &residuals, &rank, &values);
  ASSERT_TRUE(fetch_all(s, {x, residuals, rank, values}, &got));
  EXPECT_EQ(got[0].dims, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(reals<double>(got[1])[0], 9);
  EXPECT_EQ(as_int(got[2]), 0);
  mars_lstsq(tensor(s, Array(MARS_F64, {0, 3})), tensor(s, Array(MARS_F64, {0, 2})), -1, &x, &residuals, &rank, &values);
  ASSERT_TRUE(fetch_all(s, {x, residuals, rank, values}, &got));
  EXPECT_EQ(got[0].dims, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(got[1].dims, std::vector<int64_t>{2});
  mars_lstsq(line, tensor(s, Array(MARS_F64, {3})), -1, &x, nullptr, nullptr, nullptr);
  EXPECT_TRUE(is_error(x, MARS_E_SHAPE, {"mars_lstsq", "(4, 2)", "(3,)", "4 and 3 rows"}));
  mars_lstsq(tensor(s, Array(MARS_F64, {2, 3, 3})), tensor(s, Array(MARS_F64, {3})), -1, &x, nullptr, nullptr, nullptr);
  EXPECT_TRUE(is_error(x, MARS_E_SHAPE, {"(2, 3, 3)", "two axes"}));
  mars_lstsq(line, tensor(s, Array(MARS_F64, {4})), NAN, nullptr, nullptr, &rank, nullptr);
  EXPECT_TRUE(is_error(rank, MARS_E_ARG, {"rcond"}));
}

std::vector<double> falling_by_half(int64_t k) {
  std::vector<double> v;
  for (int64_t i = 0; i < k; i++)
    v.push_back(std::pow(0.5, (double)i));
  return v;
}

// ---- randomized SVD -------------------------------------------------------------------------------------

template <class T> void check_leading(mars_session *s, mars_tensor *a, const Mat<Wide<T>> &m, const std::vector<double> &v, int64_t k, int power, double tolerance) {
  mars_tensor *u = nullptr, *values = nullptr, *vh = nullptr;
  std::vector<Array> got;
  mars_randomized_svd(a, k, 6, power, &u, &values, &vh);
  ASSERT_TRUE(fetch_all(s, {u, values, vh}, &got));
  Mat<Wide<T>> us = matrix<T>(got[0]);
  const Mat<Wide<T>> right = matrix<T>(got[2]);
  ASSERT_EQ(us.m, m.m);
  ASSERT_EQ(us.n, k);
  ASSERT_EQ(right.m, k);
  ASSERT_EQ(right.n, m.n);
  EXPECT_LE(not_orthonormal(us), 500 * unit<T>());
  EXPECT_LE(not_orthonormal(adjoint(right)), 500 * unit<T>());
  double beyond = 0;
  for (size_t i = (size_t)k; i < v.size(); i++)
    beyond += v[i] * v[i];
  for (int64_t i = 0; i < k; i++)
    EXPECT_NEAR(reals<typename Kind<T>::Real>(got[1])[(size_t)i], v[(size_t)i], tolerance * v[0]) << i;
  for (int64_t i = 0; i < us.m; i++)
    for (int64_t j = 0; j < k; j++)
      us(i, j) *= reals<typename Kind<T>::Real>(got[1])[(size_t)j];
  EXPECT_LE(frobenius(minus(product(us, right), m)), std::sqrt(beyond) * 1.5 + tolerance * frobenius(m));
}

TYPED_TEST(Spectral, RandomizedSvdOfLowRank) {
  using W = Wide<TypeParam>;
  Session s(config_of(8 * MiB));
  for (auto [m, n] : std::vector<std::pair<int64_t, int64_t>>{{60, 50}, {40, 120}, {200, 20}, {6, 5}}) {
    Scope scope(s);
    const int64_t k = std::min<int64_t>(5, n);
    const std::vector<double> v = falling_by_half(k);
    const Mat<W> a = rounded<TypeParam>(with_values<W>(m, n, v, 5));
    check_leading<TypeParam>(s, tensor(s, array<TypeParam>(a)), a, v, k, 0, 2000 * unit<TypeParam>());
  }
}

TEST(RandomizedSvd, PowerIterationsSharpenSlowSpectra) {
  Session s(config_of(8 * MiB));
  Scope scope(s);
  std::vector<double> v;
  for (int i = 0; i < 60; i++)
    v.push_back(std::pow(0.9, i));
  const Mat<double> a = with_values<double>(80, 60, v, 5);
  check_leading<double>(s, tensor(s, array<double>(a)), a, v, 4, 6, 0.01);
}

TEST(RandomizedSvd, OutOfCoreFromAFile) { // 9 MB in 2 MiB
  const int64_t m = quick() ? 300 : 1500, n = quick() ? 200 : 750;
  const std::vector<double> v = falling_by_half(8);
  const Mat<double> a = with_values<double>(m, n, v, 5);
  TempDir dir;
  write_npy(dir.file("a.npy"), array<double>(a));
  Session s(config_of(2 * MiB));
  Scope scope(s);
  mars_tensor *t = mars_from_npy(s, dir.file("a.npy").c_str());
  check_leading<double>(s, t, a, v, 8, 1, 1e-12);
}

TEST(RandomizedSvd, SeedsAndRefusals) {
  Session s(config_of(8 * MiB));
  Scope scope(s);
  mars_tensor *a = tensor(s, array<double>(noise<double>(30, 20, 1))), *u = nullptr, *v = nullptr;
  mars_random_seed(s, 5);
  mars_randomized_svd(a, 3, 2, 1, &u, nullptr, nullptr);
  Array first = fetched(u);
  mars_random_seed(s, 5);
  mars_randomized_svd(a, 3, 2, 1, &u, nullptr, nullptr);
  EXPECT_TRUE(same_bits(fetched(u), first));
  mars_randomized_svd(a, 0, 2, 1, &u, &v, nullptr);
  EXPECT_TRUE(is_error(u, MARS_E_ARG, {"mars_randomized_svd", "k is 0", "(30, 20)", "20"}));
  EXPECT_TRUE(is_error(v, MARS_E_ARG, {"k is 0"}));
  mars_randomized_svd(a, 21, 2, 1, &u, nullptr, nullptr);
  EXPECT_TRUE(is_error(u, MARS_E_ARG, {"k is 21"}));
  mars_randomized_svd(a, 3, -2, 1, nullptr, nullptr, &u);
  EXPECT_TRUE(is_error(u, MARS_E_ARG, {"oversample -2"}));
  mars_randomized_svd(tensor(s, Array(MARS_F64, {4})), 1, 2, 1, nullptr, nullptr, &u);
  EXPECT_TRUE(is_error(u, MARS_E_SHAPE, {"(4,)"}));
}

} // namespace
