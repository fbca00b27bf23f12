// QR, SVD and EIGH of general matrices: residuals and orthogonality within the bounds of their rows in the op table,
// for all dtypes, shapes, budgets; ill-conditioned and singular input; what is refused.
#include "tests/linalg_dense.h"

using namespace linalg;

namespace {

double bound(const char *op, int64_t n, double u) {
  const mars_op_info *row;
  for (size_t i = 0; (row = mars_op_table(i)) != nullptr; i++)
    if (!std::strcmp(row->name, op))
      return row->ulp * (double)std::max<int64_t>(n, 1) * u;
  ADD_FAILURE() << "no row " << op;
  return 0;
}

template <class T> class Dense : public testing::Test {};
using Types = testing::Types<float, double, std::complex<float>, std::complex<double>>;
TYPED_TEST_SUITE(Dense, Types);

// ---- EIGH -----------------------------------------------------------------------------------------------

template <class T> void check_eigh(mars_session *s, const Mat<Wide<T>> &a, const std::vector<double> &want, const std::string &what) {
  Scope scope(s);
  for (mars_triangle triangle : {MARS_LOWER, MARS_UPPER}) {
    Mat<Wide<T>> given = a; // the other triangle is not read
    for (int64_t i = 0; i < a.m; i++)
      for (int64_t j = 0; j < a.n; j++)
        if (triangle == MARS_LOWER ? j > i : j < i) given(i, j) = NAN;
    mars_tensor *w = nullptr, *v = nullptr;
    std::vector<Array> got;
    mars_eigh(tensor(s, array<T>(given)), triangle, &w, &v);
    ASSERT_TRUE(fetch_all(s, {w, v}, &got)) << what;
    const Mat<Wide<T>> vectors = matrix<T>(got[1]);
    const std::vector<double> values = reals<typename Kind<T>::Real>(got[0]);
    Mat<Wide<T>> scaled = vectors;
    for (int64_t i = 0; i < a.m; i++)
      for (int64_t j = 0; j < a.n; j++)
        scaled(i, j) *= values[(size_t)j];
    const double b = bound("eigh", a.n, unit<T>());
    EXPECT_LE(frobenius(minus(product(a, vectors), scaled)), b * frobenius(a)) << what;
    EXPECT_LE(not_orthonormal(vectors), b) << what;
    for (size_t i = 0; i < values.size(); i++) {
      EXPECT_NEAR(values[i], want[i], b * frobenius(a)) << what << ", value " << i;
      EXPECT_LE(values[i ? i - 1 : 0], values[i]);
    }
    mars_tensor *only = mars_eigvalsh(tensor(s, array<T>(given)), triangle);
    const std::vector<double> alone = reals<typename Kind<T>::Real>(fetched(only));
    for (size_t i = 0; i < alone.size(); i++)
      EXPECT_NEAR(alone[i], want[i], b * frobenius(a)) << what << ", value " << i;
  }
}

std::vector<double> spread(int64_t n, double condition) { // -1 .. 1, smallest magnitude 1 / condition, rising
  std::vector<double> w;
  for (int64_t i = 0; i < n; i++)
    w.push_back((i % 2 ? 1 : -1) * std::pow(condition, n > 1 ? -(double)i / (double)(n - 1) : 0));
  std::sort(w.begin(), w.end());
  return w;
}

TYPED_TEST(Dense, EighFindsKnownSpectra) {
  Session s(small(64 * MiB));
  for (int64_t n : {1, 2, 3, 31, 64, 65, 200})
    for (double condition : {1.0, 10.0, 1e8, 1e14}) {
      if (quick() && n > 65) continue;
      const std::vector<double> w = spread(n, condition);
      check_eigh<TypeParam>(s, rounded<TypeParam>(with_spectrum<Wide<TypeParam>>(w, (uint64_t)n)), w,
                            "n " + std::to_string(n) + " condition " + std::to_string(condition));
    }
}

TYPED_TEST(Dense, EighInSmallBudgetsIterates) { // 3.3 n^2 elements do not fit, one and a band do
  const int64_t n = quick() ? 100 : 256;
  const size_t e = mars_dtype_bytes(Kind<TypeParam>::dt), budget = (size_t)(2 * n * n + 80 * n) * e + MiB / 8;
  Session s(small(std::max(budget, kMinimalBudget)));
  const std::vector<double> w = spread(n, 100);
  check_eigh<TypeParam>(s, rounded<TypeParam>(with_spectrum<Wide<TypeParam>>(w, 5)), w, "in little memory");
}

TEST(DenseEigh, BatchesAndEmptyOnes) {
  Session s(small(16 * MiB));
  Scope scope(s);
  const int64_t n = 17;
  Array a(MARS_F64, {2, 3, n, n});
  Rng rng(4);
  for (int64_t i = 0; i < a.size(); i++)
    ((double *)(void *)a.bytes.data())[i] = rng.unit();
  mars_tensor *w = nullptr, *v = nullptr, *t = tensor(s, a);
  std::vector<Array> got;
  mars_eigh(t, MARS_LOWER, &w, &v);
  ASSERT_TRUE(fetch_all(s, {w, v}, &got));
  EXPECT_EQ(got[0].dims, (std::vector<int64_t>{2, 3, n}));
  EXPECT_EQ(got[1].dims, a.dims);
  for (int64_t k = 0; k < 6; k++) {
    Mat<double> x = matrix<double>(a, k), q = matrix<double>(got[1], k), scaled = q;
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = i + 1; j < n; j++)
        x(i, j) = x(j, i);
    for (int64_t i = 0; i < n * n; i++)
      scaled.a[(size_t)i] *= ((const double *)(const void *)got[0].bytes.data())[k * n + i % n];
    EXPECT_LE(frobenius(minus(product(x, q), scaled)), 1e-13 * frobenius(x)) << k;
  }
  mars_eigh(tensor(s, Array(MARS_C64, {4, 0, 0})), MARS_LOWER, &w, &v);
  ASSERT_TRUE(fetch_all(s, {w, v}, &got));
  EXPECT_EQ(got[0].dims, (std::vector<int64_t>{4, 0}));
  EXPECT_EQ(got[0].dt, MARS_F32);
  EXPECT_EQ(got[1].dims, (std::vector<int64_t>{4, 0, 0}));
}

TEST(DenseEigh, Refusals) {
  Session s(small(1 * MiB));
  Scope scope(s);
  mars_tensor *w = nullptr, *v = nullptr;
  mars_eigh(tensor(s, Array(MARS_F64, {3, 4})), MARS_LOWER, &w, &v);
  EXPECT_TRUE(is_error(w, MARS_E_SHAPE, {"mars_eigh", "(3, 4)", "square"}));
  EXPECT_TRUE(is_error(v, MARS_E_SHAPE, {"mars_eigh", "(3, 4)", "square"}));
  EXPECT_TRUE(is_error(mars_eigvalsh(tensor(s, Array(MARS_F64, {3})), MARS_LOWER), MARS_E_SHAPE, {"mars_eigvalsh", "(3,)"}));
  EXPECT_TRUE(is_error(mars_eigvalsh(tensor(s, Array(MARS_F16, {3, 3})), MARS_LOWER), MARS_E_DTYPE, {"float16"}));
  EXPECT_TRUE(is_error(mars_eigvalsh(tensor(s, Array(MARS_F64, {3, 3})), (mars_triangle)7), MARS_E_ARG, {"triangle 7"}));
  Array a(MARS_F64, {5, 5});
  ((double *)(void *)a.bytes.data())[5 * 3 + 2] = INFINITY;
  mars_error err = {};
  double value[5];
  EXPECT_TRUE(says(mars_fetch(mars_eigvalsh(tensor(s, a), MARS_LOWER), value, sizeof value, &err), err, MARS_E_NUMERIC,
                   {"mars_eigh", "row 3, column 2"}));
  EXPECT_EQ(mars_fetch(mars_eigvalsh(tensor(s, a), MARS_UPPER), value, sizeof value, &err), MARS_OK);
  mars_tensor *large = mars_random_uniform(s, MARS_F64, MARS_SHAPE(1000, 1000), 0, 1);
  mars_eigh(large, MARS_LOWER, &w, &v);
  EXPECT_TRUE(says(mars_run(s, &v, 1, &err), err, MARS_E_BUDGET, {"mars_eigh", "8", "bytes", "mars_randomized_svd"}));
}

// ---- SVD ------------------------------------------------------------------------------------------------

template <class T> void check_svd(mars_session *s, const Mat<Wide<T>> &a, bool full, const std::vector<double> *want, const std::string &what) {
  Scope scope(s);
  mars_tensor *u = nullptr, *values = nullptr, *vh = nullptr;
  std::vector<Array> got;
  mars_svd(tensor(s, array<T>(a)), full, &u, &values, &vh);
  ASSERT_TRUE(fetch_all(s, {u, values, vh}, &got)) << what;
  const int64_t k = std::min(a.m, a.n);
  const Mat<Wide<T>> left = matrix<T>(got[0]), right = matrix<T>(got[2]);
  const std::vector<double> sv = reals<typename Kind<T>::Real>(got[1]);
  ASSERT_EQ(left.m, a.m);
  ASSERT_EQ(left.n, full ? a.m : k);
  ASSERT_EQ(right.m, full ? a.n : k);
  ASSERT_EQ(right.n, a.n);
  ASSERT_EQ((int64_t)sv.size(), k);
  Mat<Wide<T>> us(a.m, k), vk(k, a.n);
  for (int64_t i = 0; i < a.m; i++)
    for (int64_t j = 0; j < k; j++)
      us(i, j) = left(i, j) * sv[(size_t)j];
  std::copy(right.a.begin(), right.a.begin() + k * a.n, vk.a.begin());
  const double b = bound("svd", std::max(a.m, a.n), unit<T>()), norm = frobenius(a);
  EXPECT_LE(frobenius(minus(product(us, vk), a)), b * norm) << what;
  EXPECT_LE(not_orthonormal(left), b) << what;
  EXPECT_LE(not_orthonormal(adjoint(right)), b) << what;
  const std::vector<double> only = reals<typename Kind<T>::Real>(fetched(mars_svdvals(tensor(s, array<T>(a)))));
  for (int64_t i = 0; i < k; i++) {
    EXPECT_GE(sv[(size_t)i], i + 1 < k ? sv[(size_t)i + 1] : 0);
    EXPECT_NEAR(sv[(size_t)i], want ? (*want)[(size_t)i] : sv[(size_t)i], b * norm) << what;
    EXPECT_NEAR(only[(size_t)i], sv[(size_t)i], b * norm) << what;
  }
}

std::vector<double> falling(int64_t k, double condition) {
  std::vector<double> s;
  for (int64_t i = 0; i < k; i++)
    s.push_back(std::pow(condition, k > 1 ? -(double)i / (double)(k - 1) : 0));
  return s;
}

TYPED_TEST(Dense, SvdOfShapes) {
  Session s(small(64 * MiB));
  const std::vector<std::pair<int64_t, int64_t>> shapes = {{1, 1}, {1, 7}, {7, 1}, {2, 2}, {5, 3}, {3, 5}, {64, 64}, {65, 33}, {33, 130}, {120, 80}, {150, 150}};
  for (auto [m, n] : shapes)
    for (bool full : {false, true})
      for (double condition : {2.0, 1e8, 1e14}) {
        const std::vector<double> v = falling(std::min(m, n), condition);
        check_svd<TypeParam>(s, rounded<TypeParam>(with_values<Wide<TypeParam>>(m, n, v, (uint64_t)(m * 31 + n))), full, &v,
                             std::to_string(m) + " x " + std::to_string(n) + (full ? " full" : "") + " condition " + std::to_string(condition));
      }
}

TYPED_TEST(Dense, SvdOfSingularMatrices) {
  using W = Wide<TypeParam>;
  Session s(small(64 * MiB));
  check_svd<TypeParam>(s, Mat<W>(40, 30), false, nullptr, "zeros");
  std::vector<double> v = falling(30, 10);
  std::fill(v.begin() + 7, v.end(), 0.0);
  check_svd<TypeParam>(s, rounded<TypeParam>(with_values<W>(40, 30, v, 3)), false, &v, "rank 7");
  Mat<W> graded = noise<W>(40, 30, 9);
  for (int64_t i = 0; i < 40; i++)
    for (int64_t j = 0; j < 30; j++)
      graded(i, j) = j % 5 == 2 ? W(0) : graded(i, j) * std::pow(2.0, -(double)j);
  check_svd<TypeParam>(s, rounded<TypeParam>(graded), false, nullptr, "graded, with zero columns");
}

TYPED_TEST(Dense, SvdInSmallBudgetsIterates) { // three squares and a bit
  const int64_t n = quick() ? 90 : 200;
  const size_t e = mars_dtype_bytes(Kind<TypeParam>::dt), budget = (size_t)(5 * n * n) * e;
  Session s(small(std::max(budget, kMinimalBudget)));
  check_svd<TypeParam>(s, rounded<TypeParam>(noise<Wide<TypeParam>>(n, n, 6)), false, nullptr, "in little memory");
}

TEST(DenseSvd, BatchesThreadsAndChunks) {
  const int64_t m = 23, n = 19;
  Array a(MARS_F32, {5, m, n});
  Rng rng(4);
  for (int64_t i = 0; i < a.size(); i++)
    ((float *)(void *)a.bytes.data())[i] = (float)rng.unit();
  std::vector<Array> first;
  for (int threads : {1, 2})
    for (int64_t chunk : {0, 64}) {
      Session s(small(16 * MiB, threads, chunk));
      Scope scope(s);
      mars_tensor *u = nullptr, *v = nullptr, *vh = nullptr;
      std::vector<Array> got;
      mars_svd(tensor(s, a), false, &u, &v, &vh);
      ASSERT_TRUE(fetch_all(s, {u, v, vh}, &got));
      EXPECT_EQ(got[1].dims, (std::vector<int64_t>{5, n}));
      for (int64_t k = 0; k < 5; k++) {
        Mat<double> us = matrix<float>(got[0], k);
        for (int64_t i = 0; i < m * n; i++)
          us.a[(size_t)i] *= (double)((const float *)(const void *)got[1].bytes.data())[k * n + i % n];
        EXPECT_LE(frobenius(minus(product(us, matrix<float>(got[2], k)), matrix<float>(a, k))), 1e-5) << k;
      }
      if (first.empty()) first = got;
      for (size_t i = 0; i < 3; i++)
        EXPECT_TRUE(same_bits(got[i], first[i])) << threads << " threads, chunk " << chunk;
    }
}

TEST(DenseSvd, Refusals) {
  Session s(small(1 * MiB));
  Scope scope(s);
  mars_error err = {};
  Array a(MARS_C128, {6, 5});
  ((double *)(void *)a.bytes.data())[2 * (5 * 4 + 1) + 1] = NAN;
  double value[5];
  EXPECT_TRUE(says(mars_fetch(mars_svdvals(tensor(s, a)), value, sizeof value, &err), err, MARS_E_NUMERIC, {"mars_svd", "row 4, column 1"}));
  mars_tensor *large = mars_random_uniform(s, MARS_F64, MARS_SHAPE(700, 600), 0, 1), *u = nullptr;
  mars_svd(large, false, &u, nullptr, nullptr);
  EXPECT_TRUE(says(mars_run(s, &u, 1, &err), err, MARS_E_BUDGET, {"mars_svd", "[700, 600]", "bytes", "mars_randomized_svd"}));
}

} // namespace
