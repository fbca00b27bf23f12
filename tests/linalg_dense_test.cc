// QR, SVD and EIGH of general matrices: residuals and orthogonality within the bounds of their rows in the op table,
// for all dtypes, shapes, budgets; ill-conditioned and singular input; what is refused.
#include "tests/linalg_dense.h"
#include "tests/linalg_shim.h"
#include "tests/linalg_oracle.h"
#include <array>

using namespace factored;

ORACLE_OF_ROUTINE(qr)
ORACLE_OF_ROUTINE(svd)
ORACLE_OF_ROUTINE(eigh)

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

std::vector<double> falling(int64_t k, double condition) {
  std::vector<double> s;
  for (int64_t i = 0; i < k; i++)
    s.push_back(std::pow(condition, k > 1 ? -(double)i / (double)(k - 1) : 0));
  return s;
}

// ---- QR -------------------------------------------------------------------------------------------------

template <class T> void check_qr(mars_session *s, const Mat<Wide<T>> &a, mars_qr_mode mode, const std::string &what) {
  Scope scope(s);
  mars_tensor *q = nullptr, *r = nullptr;
  std::vector<Array> got;
  mars_qr(tensor(s, array<T>(a)), mode, &q, &r);
  ASSERT_TRUE(fetch_all(s, {q, r}, &got)) << what;
  const Mat<Wide<T>> left = matrix<T>(got[0]), right = matrix<T>(got[1]);
  const int64_t k = mode == MARS_QR_COMPLETE ? a.m : std::min(a.m, a.n);
  ASSERT_EQ(left.m, a.m);
  ASSERT_EQ(left.n, k);
  ASSERT_EQ(right.m, k);
  ASSERT_EQ(right.n, a.n);
  const double b = bound("qr", std::max(a.m, a.n), unit<T>());
  EXPECT_LE(frobenius(minus(product(left, right), a)), b * frobenius(a)) << what;
  EXPECT_LE(not_orthonormal(left), b) << what;
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < std::min(i, a.n); j++)
      ASSERT_EQ(right(i, j), Wide<T>(0)) << what << ", element " << i << ", " << j;
}

TYPED_TEST(Dense, QrOfShapes) {
  Session s(config_of(64 * MiB));
  const std::vector<std::pair<int64_t, int64_t>> shapes = {{1, 1},   {1, 5},   {5, 1},   {3, 3},   {31, 31},  {32, 33},   {63, 64},  {64, 63},
                                                           {64, 64}, {65, 65}, {65, 64}, {64, 65}, {50, 200}, {129, 128}, {127, 129}, {130, 97}};
  for (auto [m, n] : shapes)
    for (mars_qr_mode mode : {MARS_QR_REDUCED, MARS_QR_COMPLETE})
      check_qr<TypeParam>(s, rounded<TypeParam>(noise<Wide<TypeParam>>(m, n, (uint64_t)(m + n))), mode,
                          std::to_string(m) + " x " + std::to_string(n) + (mode == MARS_QR_COMPLETE ? " complete" : ""));
}

// 1 MiB: panels of a few dozen columns, groups of a few panels
TYPED_TEST(Dense, QrOutOfCore) {
  const int64_t d = quick() ? 4 : 1;
  for (auto [m, n] : std::vector<std::pair<int64_t, int64_t>>{{600 / d, 600 / d}, {601 / d, 399 / d}, {300 / d, 640 / d}}) {
    Session s(config_of(kMinimalBudget));
    check_qr<TypeParam>(s, rounded<TypeParam>(noise<Wide<TypeParam>>(m, n, 77)), MARS_QR_REDUCED, std::to_string(m) + " x " + std::to_string(n));
  }
}

TYPED_TEST(Dense, QrOfBadMatrices) {
  using W = Wide<TypeParam>;
  Session s(config_of(64 * MiB));
  const int64_t m = 150, n = 100;
  for (double condition : {1e8, 1e14})
    check_qr<TypeParam>(s, rounded<TypeParam>(with_values<W>(m, n, falling(n, condition), 8)), MARS_QR_REDUCED,
                        "condition " + std::to_string(condition));
  std::vector<double> few = falling(n, 10);
  std::fill(few.begin() + 40, few.end(), 0.0);
  check_qr<TypeParam>(s, rounded<TypeParam>(with_values<W>(m, n, few, 8)), MARS_QR_REDUCED, "rank 40");
  Mat<W> graded = noise<W>(m, n, 9), zero(m, n);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++)
      graded(i, j) = j % 7 == 3 ? W(0) : graded(i, j) * std::pow(2.0, -(double)j / 2);
  check_qr<TypeParam>(s, rounded<TypeParam>(graded), MARS_QR_REDUCED, "graded, with zero columns");
  check_qr<TypeParam>(s, zero, MARS_QR_COMPLETE, "zeros");
}

TEST(DenseQr, SpillsAndKeepsItsBitsForAnyNumberOfThreads) {
  const int64_t n = quick() ? 200 : 600;
  std::vector<Array> first;
  for (int threads : {1, 2}) {
    Session s(config_of(kMinimalBudget, threads));
    Scope scope(s);
    mars_tensor *a = mars_random_standard_normal(s, MARS_F64, MARS_SHAPE(n, n)), *q = nullptr, *r = nullptr;
    mars_qr(a, MARS_QR_REDUCED, &q, &r);
    mars_stats stats = run_stats(s, {q, r});
    EXPECT_LE(stats.peak_arena_bytes, kMinimalBudget);
    if (!quick()) {
      EXPECT_GT(stats.spill_written_bytes, (size_t)(n * n * 8));
    }
    std::vector<Array> got = {fetched(q), fetched(r)};
    if (first.empty() || threads_move_work()) first = got;
    for (size_t i = 0; i < 2; i++)
      EXPECT_TRUE(same_bits(got[i], first[i]));
  }
}

// Chunks of an earlier job are runs of rows: they are cut into blocks, not read for every group of panels.
TEST(DenseQr, ReadsRowsOfAnEarlierJobOnce) {
  const int64_t n = quick() ? 300 : 600;
  Session s(config_of(kMinimalBudget));
  Scope scope(s);
  mars_tensor *a = mars_random_standard_normal(s, MARS_F64, MARS_SHAPE(n, n)), *q = nullptr, *r = nullptr;
  run_stats(s, {a});
  mars_qr(a, MARS_QR_REDUCED, &q, &r);
  const mars_stats stats = run_stats(s, {q, r});
  const size_t bytes = (size_t)(n * n * 8);
  EXPECT_LE(stats.spill_read_bytes, 19 * bytes) << "panels by groups, twice, and the operand; 25 times if read for every group";
  const Mat<double> given = matrix<double>(fetched(a)), left = matrix<double>(fetched(q)), right = matrix<double>(fetched(r));
  const double b = bound("qr", n, unit<double>());
  EXPECT_LE(frobenius(minus(product(left, right), given)), b * frobenius(given));
  EXPECT_LE(not_orthonormal(left), b);
}

TEST(DenseQr, OneResultAlone) {
  Session s(config_of(2 * MiB));
  Scope scope(s);
  Array a = array<double>(noise<double>(90, 210, 1)), tall = array<double>(noise<double>(210, 190, 1));
  for (const Array &x : {a, tall}) {
    mars_tensor *q = nullptr, *r = nullptr, *q1 = nullptr, *r1 = nullptr;
    mars_qr(tensor(s, x), MARS_QR_REDUCED, &q, &r);
    std::vector<Array> both;
    ASSERT_TRUE(fetch_all(s, {q, r}, &both));
    mars_qr(tensor(s, x), MARS_QR_REDUCED, &q1, nullptr);
    mars_qr(tensor(s, x), MARS_QR_REDUCED, nullptr, &r1);
    const Array alone[] = {fetched(q1), fetched(r1)};
    for (int i = 0; i < 2; i++) {
      if (!threads_move_work()) {
        EXPECT_TRUE(same_bits(alone[i], both[(size_t)i]));
        continue;
      }
      // with one result the host may get other tasks than with two, and its library rounds in another way
      const Mat<double> got = matrix<double>(alone[i]), want = matrix<double>(both[(size_t)i]);
      EXPECT_LE(frobenius(minus(got, want)), 1e-11 * frobenius(want));
    }
  }
}

TEST(DenseQr, BatchesChunksAndTransposes) {
  const int64_t m = 70, n = 41;
  Array a(MARS_C128, {3, m, n});
  Rng rng(4);
  for (int64_t i = 0; i < 2 * a.size(); i++)
    ((double *)(void *)a.bytes.data())[i] = rng.unit();
  for (int64_t chunk : {0, 97}) {
    Session s(config_of(8 * MiB, 2, chunk));
    Scope scope(s);
    for (bool turned : {false, true}) {
      mars_tensor *q = nullptr, *r = nullptr, *t = tensor(s, a);
      std::vector<Array> got;
      mars_qr(turned ? mars_swapaxes(t, 1, 2) : t, MARS_QR_REDUCED, &q, &r);
      ASSERT_TRUE(fetch_all(s, {q, r}, &got));
      for (int64_t k = 0; k < 3; k++) {
        Mat<std::complex<double>> x = matrix<std::complex<double>>(a, k), y((turned ? n : m), (turned ? m : n));
        for (int64_t i = 0; i < y.m; i++)
          for (int64_t j = 0; j < y.n; j++)
            y(i, j) = turned ? x(j, i) : x(i, j);
        const auto left = matrix<std::complex<double>>(got[0], k);
        EXPECT_LE(frobenius(minus(product(left, matrix<std::complex<double>>(got[1], k)), y)), 1e-13 * frobenius(y));
        EXPECT_LE(not_orthonormal(left), 1e-13);
      }
    }
  }
}

TEST(DenseQr, RefusesNaNAndInfinity) {
  Session s(config_of(4 * MiB));
  Scope scope(s);
  for (auto [m, n, i, j] : std::vector<std::array<int64_t, 4>>{{90, 80, 7, 3}, {90, 80, 89, 79}, {50, 200, 49, 150}}) {
    Mat<double> a = noise<double>(m, n, 1);
    a(i, j) = j == 3 ? NAN : -INFINITY;
    mars_tensor *r = nullptr;
    mars_error err = {};
    mars_qr(tensor(s, array<double>(a)), MARS_QR_REDUCED, nullptr, &r);
    const std::string place = "row " + std::to_string(i) + ", column " + std::to_string(j);
    EXPECT_TRUE(says(mars_run(s, &r, 1, &err), err, MARS_E_NUMERIC, {"mars_qr", place.c_str()}));
  }
}

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
  Session s(config_of(64 * MiB));
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
  Session s(config_of(std::max(budget, kMinimalBudget)));
  const std::vector<double> w = spread(n, 100);
  check_eigh<TypeParam>(s, rounded<TypeParam>(with_spectrum<Wide<TypeParam>>(w, 5)), w, "in little memory");
}

TEST(DenseEigh, BatchesAndEmptyOnes) {
  Session s(config_of(16 * MiB));
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
  Session s(config_of(1 * MiB));
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
                   {"mars_eigvalsh", "row 3, column 2"}));
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


TYPED_TEST(Dense, SvdOfShapes) {
  Session s(config_of(64 * MiB));
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
  Session s(config_of(64 * MiB));
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
  Session s(config_of(std::max(budget, kMinimalBudget)));
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
      Session s(config_of(16 * MiB, threads, chunk));
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
  Session s(config_of(1 * MiB));
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

// Divide and conquer that does not converge is followed by QR iteration on the matrix as it came.
TEST(DenseSvd, FallsBackToIteration) {
  ASSERT_TRUE(shim_gesdd_fails(true));
  for (int64_t m : {60, 40, 75}) {
    const Mat<double> a = noise<double>(m, 60, (uint64_t)m);
    Session s(config_of(64 * MiB, 2));
    Scope scope(s);
    mars_tensor *u = nullptr, *values = nullptr, *vh = nullptr;
    std::vector<Array> got;
    mars_svd(tensor(s, array<double>(a)), false, &u, &values, &vh);
    ASSERT_TRUE(fetch_all(s, {u, values, vh}, &got));
    const std::vector<double> sv = reals<double>(got[1]);
    Mat<double> us = matrix<double>(got[0]);
    EXPECT_LE(not_orthonormal(us), bound("svd", 60, unit<double>()));
    for (int64_t i = 0; i < us.m; i++)
      for (int64_t j = 0; j < us.n; j++)
        us(i, j) *= sv[(size_t)j];
    EXPECT_LE(frobenius(minus(product(us, matrix<double>(got[2])), a)), bound("svd", std::max<int64_t>(m, 60), unit<double>()) * frobenius(a));
  }
  EXPECT_EQ(shim_gesdd_calls(), 3);
  EXPECT_TRUE(shim_gesdd_fails(false));
}

// ---- large ones -----------------------------------------------------------------------------------------

TEST(DenseThreads, LargeMatricesHaveTheSameBitsForAnyNumber) {
  const int64_t n = 520; // LAPACK shares work among threads from some order on, if it is let
  Mat<double> a = noise<double>(n, n, 3);
  std::vector<Array> first;
  for (int threads : {1, 2, 4}) {
    Session s(config_of(64 * MiB, threads));
    Scope scope(s);
    mars_tensor *t = tensor(s, array<double>(a)), *w = nullptr, *v = nullptr, *u = nullptr, *values = nullptr, *vh = nullptr;
    std::vector<Array> got;
    mars_eigh(t, MARS_LOWER, &w, &v);
    mars_svd(t, false, &u, &values, &vh);
    ASSERT_TRUE(fetch_all(s, {w, v, u, values, vh}, &got));
    for (size_t i = 0; i < got.size() && threads > 1; i++)
      EXPECT_TRUE(same_bits(got[i], first[i])) << "result " << i << ", " << threads << " threads";
    first = got;
  }
}

TEST(DenseLarge, AmongOtherWork) {
  if (quick()) {
    GTEST_SKIP() << "large matrices are for full runs";
  }
  const int64_t n = 520;
  Session s(config_of(64 * MiB, 2));
  Scope scope(s);
  Mat<double> a = noise<double>(n, n, 1);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < i; j++)
      a(j, i) = a(i, j);
  mars_tensor *t = tensor(s, array<double>(a)), *w = nullptr, *v = nullptr, *u = nullptr, *values = nullptr, *vh = nullptr;
  std::vector<Array> got;
  mars_eigh(t, MARS_LOWER, &w, &v);
  mars_svd(t, false, &u, &values, &vh);
  ASSERT_TRUE(fetch_all(s, {w, v, u, values, vh, mars_matmul(t, t)}, &got)); // all of it in one job
  const Mat<double> q = matrix<double>(got[1]), left = matrix<double>(got[2]);
  Mat<double> qw = q, us = left;
  std::vector<double> magnitude = reals<double>(got[0]);
  const std::vector<double> sv = reals<double>(got[3]);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      qw(i, j) *= magnitude[(size_t)j];
      us(i, j) *= sv[(size_t)j];
    }
  const double norm = frobenius(a);
  EXPECT_LE(frobenius(minus(product(a, q), qw)), bound("eigh", n, unit<double>()) * norm);
  EXPECT_LE(frobenius(minus(product(us, matrix<double>(got[4])), a)), bound("svd", n, unit<double>()) * norm);
  EXPECT_LE(not_orthonormal(q), bound("eigh", n, unit<double>()));
  EXPECT_LE(not_orthonormal(left), bound("svd", n, unit<double>()));
  EXPECT_LE(frobenius(minus(matrix<double>(got[5]), product(a, a))), 1e-13 * norm * norm);
  for (double &x : magnitude)
    x = std::fabs(x);
  std::sort(magnitude.rbegin(), magnitude.rend());
  for (int64_t i = 0; i < n; i++)
    EXPECT_NEAR(sv[(size_t)i], magnitude[(size_t)i], 1e-12 * norm); // |eigenvalues| of a symmetric matrix
}

// ---- order ----------------------------------------------------------------------------------------------

// A product that goes straight to the caller's memory takes long, on one thread; the other is free for its reader.
TEST(DenseOrder, ResultInCallerMemoryIsMadeBeforeItIsRead) {
  const int64_t k = quick() ? 20000 : 200000;
  Session s(config_of(64 * MiB, 2));
  Scope scope(s);
  const Mat<double> a = noise<double>(16, k, 1), b = noise<double>(k, 16, 2), c = noise<double>(16, 64, 3);
  mars_tensor *y = mars_matmul(tensor(s, array<double>(a)), tensor(s, array<double>(b))), *z = mars_matmul(y, tensor(s, array<double>(c)));
  std::vector<Array> got;
  ASSERT_TRUE(fetch_all(s, {y, z}, &got));
  const Mat<double> want = product(product(a, b), c);
  EXPECT_LE(frobenius(minus(matrix<double>(got[1]), want)), 1e-9 * frobenius(want));
}

} // namespace
