// Matrices that are hard for every factorisation: condition 1e8 and 1e14, deficient rank, graded columns, columns of zeros.
// Backward errors of LAPACK's class, as the rows of the op table promise them, in memory and in budgets of a third of the
// matrix; where there is no answer, an error that says so. And the headline's small case against LAPACK itself.
#include "tests/linalg_dense.h"
#include "tests/linalg_shim.h"
#include <functional>
#include <memory>

using namespace factored;

namespace {

enum Trouble { kMild, kHard, kRank, kGraded, kZeros, kKinds };
const char *const kNames[] = {"condition 1e8", "condition 1e14", "rank deficient", "graded columns", "zero columns"};
constexpr size_t kTallLeast = 64 << 10; // elements: a third of the tall ones
constexpr int64_t kZeroEvery = 7, kFirstZero = 3;

int64_t side() {
  return quick() ? 90 : 240;
}
double bound(const char *op, int64_t n) {
  const mars_op_info *row;
  for (size_t i = 0; (row = mars_op_table(i)) != nullptr; i++)
    if (!std::strcmp(row->name, op)) return row->ulp * (double)n * unit<double>();
  ADD_FAILURE() << "no row " << op;
  return 0;
}
std::vector<double> falling(int64_t k, double condition) {
  std::vector<double> s;
  for (int64_t i = 0; i < k; i++)
    s.push_back(std::pow(condition, -(double)i / (double)(k - 1)));
  return s;
}
int64_t rank_of(int64_t n) {
  return n - n / 3;
}
double scale_of(int64_t j, int64_t n) { // a power of two: scaled columns keep their bits
  return std::pow(2.0, -(double)(46 * j / n));
}
template <class W> Mat<W> matrix_of(Trouble kind, int64_t m, int64_t n) {
  const int64_t k = std::min(m, n);
  if (kind == kMild || kind == kHard) return with_values<W>(m, n, falling(k, kind == kMild ? 1e8 : 1e14), 8);
  Mat<W> a = noise<W>(m, n, 9);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      if (kind == kRank && j >= rank_of(n)) a(i, j) = a(i, j - rank_of(n));
      if (kind == kGraded) a(i, j) *= scale_of(j, n);
      if (kind == kZeros && j % kZeroEvery == kFirstZero) a(i, j) = 0;
    }
  return a;
}
// Hermitian; kZeros: rows, too. `definite`: eigenvalues > 0, but for kRank and kZeros
template <class W> Mat<W> hermitian_of(Trouble kind, int64_t n, bool definite) {
  std::vector<double> w = falling(n, kind == kMild ? 1e8 : kind == kHard ? 1e14 : 3);
  for (int64_t i = 0; i < n; i++) {
    if (kind == kRank && i >= rank_of(n)) w[(size_t)i] = 0;
    if (!definite && i % 2) w[(size_t)i] *= -1;
  }
  Mat<W> a = with_spectrum<W>(w, 5);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      if (kind == kGraded) a(i, j) *= scale_of(i, n) * scale_of(j, n);
      if (kind == kZeros && (i % kZeroEvery == kFirstZero || j % kZeroEvery == kFirstZero)) a(i, j) = 0;
      a(j, i) = conj_of(a(i, j));
      if (i == j) a(i, i) = std::real(a(i, i));
    }
  return a;
}

template <class T> class Conditions : public testing::Test {
protected:
  using M = Mat<T>;
  // In plenty, and in a third of an m x n matrix (`least`: what the routine says that it needs, and a little)
  void each(int64_t m, int64_t n, size_t least, const std::function<void(mars_session *, Trouble)> &f) {
    for (size_t budget : {64 * MiB, std::max((size_t)(m * n) * sizeof(T) / 3, least)})
      for (int kind = 0; kind < kKinds; kind++) {
        SCOPED_TRACE(std::string(kNames[kind]) + ", " + std::to_string(budget) + " bytes");
        Session s(config_of(budget, 2));
        Scope scope(s);
        f(s, (Trouble)kind);
        if (this->HasFatalFailure()) return;
      }
  }
  mars_tensor *in(mars_session *s, const M &a) {
    given.push_back(std::make_unique<Array>(array<T>(a))); // the caller's, so that a matrix may be larger than the budget
    return borrow(s, *given.back());
  }
  testing::AssertionResult fails(mars_tensor *t, std::initializer_list<const char *> words) {
    mars_error err = {};
    return says(mars_run(mars_session_of(t), &t, 1, &err), err, MARS_E_NUMERIC, words);
  }
  // Whether there is a result: pivots of a matrix of deficient rank may be exactly 0.
  bool has(mars_tensor *t, Trouble kind, M *out) {
    Array got(Kind<T>::dt, {out->m, out->n});
    mars_error err = {};
    const mars_status st = mars_fetch(t, got.bytes.data(), got.bytes.size(), &err);
    if (kind == kRank && st == MARS_E_NUMERIC) {
      EXPECT_TRUE(says(st, err, MARS_E_NUMERIC, {"singular", "pivot"}));
      return false;
    }
    EXPECT_TRUE(ok(st, err));
    *out = matrix<T>(got);
    return st == MARS_OK;
  }
  std::vector<std::unique_ptr<Array>> given;
};
using Types = testing::Types<double, std::complex<double>>;
TYPED_TEST_SUITE(Conditions, Types);

template <class W> Mat<W> scaled(Mat<W> u, const std::vector<double> &s) {
  for (int64_t i = 0; i < u.m; i++)
    for (int64_t j = 0; j < u.n; j++)
      u(i, j) *= s[(size_t)j];
  return u;
}
// Largest |a x - b| / (|a| |x|) of all columns
template <class W> double system_error(const Mat<W> &a, const Mat<W> &x, const Mat<W> &b) {
  const Mat<W> r = minus(product(a, x), b);
  double worst = 0;
  for (int64_t j = 0; j < x.n; j++) {
    double top = 0, size = 0;
    for (int64_t i = 0; i < x.m; i++)
      top += std::norm(r(i, j)), size += std::norm(x(i, j));
    const double e = std::sqrt(top / size) / frobenius(a);
    if (!(e <= worst)) worst = e;
  }
  return worst;
}

// ---- triangular factors and systems ---------------------------------------------------------------------

TYPED_TEST(Conditions, Cholesky) {
  using M = Mat<TypeParam>;
  const int64_t n = side();
  this->each(n, n, 0, [&](mars_session *s, Trouble kind) {
    // a spectrum down to 1e-14 may be no longer definite once it is rounded; graded matrices of that condition are
    const M a = hermitian_of<TypeParam>(kind, n, true);
    mars_tensor *l = mars_cholesky(this->in(s, a));
    if (kind == kZeros) {
      EXPECT_TRUE(this->fails(l, {"mars_cholesky", "leading minor of order 4", "block of order 3 before it is definite"}));
      return;
    }
    Array got(Kind<TypeParam>::dt, {n, n});
    mars_error err = {};
    const mars_status st = mars_fetch(l, got.bytes.data(), got.bytes.size(), &err);
    if (st != MARS_OK && (kind == kRank || kind == kHard)) {
      EXPECT_TRUE(says(st, err, MARS_E_NUMERIC, {"leading minor of order"}));
      return;
    }
    ASSERT_TRUE(ok(st, err));
    const M f = matrix<TypeParam>(got);
    EXPECT_LE(frobenius(minus(product(f, adjoint(f)), a)), bound("cholesky", n) * frobenius(a));
  });
}

TYPED_TEST(Conditions, LuAndSystems) {
  using M = Mat<TypeParam>;
  const int64_t n = side();
  this->each(n, n, 0, [&](mars_session *s, Trouble kind) {
    const M a = matrix_of<TypeParam>(kind, n, n), b = noise<TypeParam>(n, 3, 4);
    mars_tensor *t = this->in(s, a), *p, *l, *u, *rhs = this->in(s, b);
    std::vector<Array> got;
    mars_lu(t, &p, &l, &u);
    ASSERT_TRUE(fetch_all(s, {p, l, u}, &got));
    const M lower = matrix<TypeParam>(got[1]);
    EXPECT_LE(frobenius(minus(product(matrix<TypeParam>(got[0]), product(lower, matrix<TypeParam>(got[2]))), a)), bound("lu", n) * frobenius(a));
    if (kind == kZeros) {
      EXPECT_TRUE(this->fails(mars_solve(t, rhs), {"mars_solve", "pivot of column 3 is 0", "those before it are not", "unchanged"}));
      EXPECT_TRUE(this->fails(mars_inv(mars_transpose(t)), {"mars_inv", "singular", "unchanged"}));
      return;
    }
    M x(n, 3);
    if (this->has(mars_solve(t, rhs), kind, &x)) {
      EXPECT_LE(system_error(a, x, b), bound("solve", n));
    }
    x = M(n, n);
    if (!this->has(mars_inv(t), kind, &x)) return;
    EXPECT_LE(frobenius(minus(product(a, x), identity<TypeParam>(n))), bound("inv", n) * frobenius(a) * frobenius(x));
  });
}

// Columns scaled by powers of two: the same pivots, whatever that does to the condition.
TYPED_TEST(Conditions, Determinants) {
  using M = Mat<TypeParam>;
  const int64_t n = side();
  M plain = matrix_of<TypeParam>(kGraded, n, n);
  double logs = 0;
  for (int64_t j = 0; j < n; j++) {
    logs += std::log(scale_of(j, n));
    for (int64_t i = 0; i < n; i++)
      plain(i, j) /= scale_of(j, n);
  }
  this->each(n, n, 0, [&](mars_session *s, Trouble kind) {
    const M a = matrix_of<TypeParam>(kind, n, n);
    mars_tensor *sign, *logdet, *t = this->in(s, a);
    std::vector<Array> got, want;
    mars_slogdet(t, &sign, &logdet);
    ASSERT_TRUE(fetch_all(s, {sign, logdet, mars_det(t)}, &got));
    const double log_of = reals<double>(got[1])[0];
    const TypeParam det = *(const TypeParam *)(const void *)got[2].bytes.data();
    if (kind == kZeros) {
      EXPECT_EQ(*(const TypeParam *)(const void *)got[0].bytes.data(), TypeParam(0));
      EXPECT_EQ(log_of, -INFINITY);
      EXPECT_EQ(det, TypeParam(0));
    } else if (kind == kGraded) {
      mars_slogdet(this->in(s, plain), &sign, &logdet);
      ASSERT_TRUE(fetch_all(s, {sign, logdet}, &want));
      const TypeParam *one = (const TypeParam *)(const void *)got[0].bytes.data(), *other = (const TypeParam *)(const void *)want[0].bytes.data();
      EXPECT_LE(std::abs(*one - *other), 1e-12);
      EXPECT_NEAR(log_of, reals<double>(want[1])[0] + logs, 1e-12 * std::fabs(logs));
    } else if (kind == kMild) { // |d log det| <= |a^-1| |da|
      double sum = 0;
      for (double v : falling(n, 1e8))
        sum += std::log(v);
      EXPECT_NEAR(log_of, sum, bound("det", n) * 1e8);
    }
    EXPECT_NEAR(std::abs(det), std::exp(log_of), 1e-9 * std::abs(det));
  });
}

TYPED_TEST(Conditions, Triangles) {
  using M = Mat<TypeParam>;
  const int64_t n = side();
  this->each(n, n, 0, [&](mars_session *s, Trouble kind) {
    M r = matrix_of<TypeParam>(kind, n, n);
    const M b = noise<TypeParam>(n, 3, 4);
    std::vector<Array> got;
    mars_tensor *factor;
    mars_qr(this->in(s, r), MARS_QR_REDUCED, nullptr, &factor);
    ASSERT_TRUE(fetch_all(s, {factor}, &got));
    r = matrix<TypeParam>(got[0]);
    mars_tensor *x = mars_solve_triangular(this->in(s, r), this->in(s, b), MARS_UPPER, MARS_NO_TRANS, false);
    if (kind == kZeros) {
      for (int64_t i = 0; i < n; i++)
        r(i, kFirstZero) = 0;
      x = mars_solve_triangular(this->in(s, r), this->in(s, b), MARS_UPPER, MARS_NO_TRANS, false);
      EXPECT_TRUE(this->fails(x, {"mars_solve_triangular", "of the diagonal is 0", "unchanged"}));
      return;
    }
    ASSERT_TRUE(fetch_all(s, {x}, &got));
    EXPECT_LE(system_error(r, matrix<TypeParam>(got[0]), b), bound("solve_triangular", n));
  });
}

// ---- orthogonal factors -----------------------------------------------------------------------------------

template <class T> void check_qr(mars_session *s, mars_tensor *t, const Mat<T> &a) {
  mars_tensor *q, *r;
  std::vector<Array> got;
  mars_qr(t, MARS_QR_REDUCED, &q, &r);
  ASSERT_TRUE(fetch_all(s, {q, r}, &got));
  const Mat<T> left = matrix<T>(got[0]);
  EXPECT_LE(frobenius(minus(product(left, matrix<T>(got[1])), a)), bound("qr", std::min(a.m, a.n)) * frobenius(a));
  EXPECT_LE(not_orthonormal(left), bound("qr", std::min(a.m, a.n)));
}
template <class T> void check_svd(mars_session *s, mars_tensor *t, const Mat<T> &a, Trouble kind) {
  mars_tensor *u, *values, *vh;
  std::vector<Array> got;
  mars_svd(t, false, &u, &values, &vh);
  ASSERT_TRUE(fetch_all(s, {u, values, vh}, &got));
  const Mat<T> left = matrix<T>(got[0]), right = matrix<T>(got[2]);
  const std::vector<double> v = reals<double>(got[1]);
  const double b = bound("svd", std::min(a.m, a.n));
  EXPECT_LE(frobenius(minus(product(scaled(left, v), right), a)), b * frobenius(a));
  EXPECT_LE(not_orthonormal(left), b);
  EXPECT_LE(not_orthonormal(adjoint(right)), b);
  const std::vector<double> want = falling((int64_t)v.size(), kind == kMild ? 1e8 : 1e14);
  for (size_t i = 0; i < v.size() && (kind == kMild || kind == kHard); i++)
    EXPECT_NEAR(v[i], want[i], b) << "value " << i;
}

TYPED_TEST(Conditions, Qr) {
  const int64_t n = side();
  this->each(n, n, 0, [&](mars_session *s, Trouble kind) {
    const Mat<TypeParam> a = matrix_of<TypeParam>(kind, n, n);
    check_qr<TypeParam>(s, this->in(s, a), a);
  });
}
TYPED_TEST(Conditions, TallQrAndSvd) {
  const int64_t m = 16000, n = 12;
  this->each(m, n, kTallLeast * sizeof(TypeParam), [&](mars_session *s, Trouble kind) {
    const Mat<TypeParam> a = matrix_of<TypeParam>(kind, m, n);
    check_qr<TypeParam>(s, this->in(s, a), a);
    check_svd<TypeParam>(s, this->in(s, a), a, kind);
  });
}
// These need the matrix in memory: the small budget is the one in which they iterate.
TYPED_TEST(Conditions, Svd) {
  const int64_t n = side() / 2;
  this->each(n, n, (size_t)(6 * n * n + 64 * n) * sizeof(TypeParam), [&](mars_session *s, Trouble kind) {
    const Mat<TypeParam> a = matrix_of<TypeParam>(kind, n, n);
    check_svd<TypeParam>(s, this->in(s, a), a, kind);
  });
}
TYPED_TEST(Conditions, Eigh) {
  const int64_t n = side() / 2;
  this->each(n, n, (size_t)(2 * n * n + 80 * n) * sizeof(TypeParam) + MiB / 8, [&](mars_session *s, Trouble kind) {
    const Mat<TypeParam> a = hermitian_of<TypeParam>(kind, n, false);
    mars_tensor *w, *v;
    std::vector<Array> got;
    mars_eigh(this->in(s, a), MARS_LOWER, &w, &v);
    ASSERT_TRUE(fetch_all(s, {w, v}, &got));
    const Mat<TypeParam> q = matrix<TypeParam>(got[1]);
    EXPECT_LE(frobenius(minus(product(a, q), scaled(q, reals<double>(got[0])))), bound("eigh", n) * frobenius(a));
    EXPECT_LE(not_orthonormal(q), bound("eigh", n));
  });
}

// ---- what is composed of them -----------------------------------------------------------------------------

TYPED_TEST(Conditions, LeastSquaresAndPseudoinverse) {
  using M = Mat<TypeParam>;
  const int64_t m = 16000, n = 12;
  this->each(m, n, kTallLeast * sizeof(TypeParam), [&](mars_session *s, Trouble kind) {
    const M a = matrix_of<TypeParam>(kind, m, n), b = noise<TypeParam>(m, 2, 4);
    mars_tensor *t = this->in(s, a), *x, *rank, *values;
    std::vector<Array> got;
    mars_lstsq(t, this->in(s, b), -1, &x, nullptr, &rank, &values);
    ASSERT_TRUE(fetch_all(s, {x, rank, values, mars_matrix_rank(t, -1)}, &got));
    const M solution = matrix<TypeParam>(got[0]), r = minus(b, product(a, solution));
    const std::vector<double> v = reals<double>(got[2]);
    const double cut = (double)m * 2 * unit<double>(), e = bound("svd", m);
    const int64_t found = *(const int64_t *)(const void *)got[1].bytes.data();
    EXPECT_EQ(found, std::count_if(v.begin(), v.end(), [&](double sv) { return sv > cut * v[0]; }));
    EXPECT_EQ(found, *(const int64_t *)(const void *)got[3].bytes.data());
    if (kind == kMild || kind == kRank || kind == kZeros) {
      EXPECT_EQ(found, kind == kMild ? n : kind == kRank ? rank_of(n) : n - 2);
    }
    // orthogonal to the columns, but for what is cut off
    EXPECT_LE(frobenius(product(adjoint(a), r)), (e + cut) * frobenius(a) * (frobenius(a) * frobenius(solution) + frobenius(b)));
    ASSERT_TRUE(fetch_all(s, {mars_pinv(t, -1)}, &got));
    const M p = matrix<TypeParam>(got[0]), pa = product(p, a);
    const double condition = v[0] / v[(size_t)found - 1];
    EXPECT_LE(frobenius(minus(product(pa, p), p)), e * condition * frobenius(p));
    EXPECT_LE(frobenius(minus(product(a, pa), a)), (e * condition + cut) * frobenius(a));
  });
}

TYPED_TEST(Conditions, RandomizedSvd) {
  using M = Mat<TypeParam>;
  const int64_t m = 600, n = side(), k = 8, p = 8;
  this->each(m, n, (size_t)70000 * sizeof(TypeParam), [&](mars_session *s, Trouble kind) {
    M a = matrix_of<TypeParam>(kind, m, n);
    if (kind == kRank) { // few columns, again and again
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = k; j < n; j++)
          a(i, j) = a(i, j - k);
    }
    mars_tensor *u, *values, *vh;
    std::vector<Array> got;
    mars_randomized_svd(this->in(s, a), k, p, 1, &u, &values, &vh);
    ASSERT_TRUE(fetch_all(s, {u, values, vh}, &got));
    const M left = matrix<TypeParam>(got[0]), right = matrix<TypeParam>(got[2]);
    Session whole(config_of(64 * MiB));
    Scope inner(whole);
    const std::vector<double> all = reals<double>(fetched(mars_svdvals(tensor(whole, array<TypeParam>(a)))));
    double beyond = 0;
    for (size_t i = (size_t)k; i < all.size(); i++)
      beyond += all[i] * all[i];
    EXPECT_LE(not_orthonormal(left), bound("svd", k + p));
    EXPECT_LE(not_orthonormal(adjoint(right)), bound("svd", k + p));
    EXPECT_LE(frobenius(minus(product(scaled(left, reals<double>(got[1])), right), a)), 1.5 * std::sqrt(beyond) + bound("svd", m) * frobenius(a));
  });
}

// ---- the headline's small case ------------------------------------------------------------------------------

TEST(HeadlineSvd, SingularValuesOfAHundredThousandRowsAreLapacks) {
  const int64_t m = 100000, n = 32;
  Session s(config_of(2 * MiB, 2)); // of 25.6 MB
  Scope scope(s);
  mars_random_seed(s, 20240311);
  mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(m, n), 0, 1), *u, *values, *vh;
  mars_svd(a, false, &u, &values, &vh);
  std::vector<double> got((size_t)n), want((size_t)n), given((size_t)(m * n));
  double worst = 1, apart = 1;
  mars_tensor *back = mars_max(mars_absolute(mars_subtract(mars_matmul(mars_multiply(u, values), vh), a)), MARS_ALL);
  mars_tensor *turned = mars_max(mars_absolute(mars_subtract(mars_matmul(mars_transpose(u), u), mars_eye(s, MARS_F64, n, n, 0))), MARS_ALL);
  mars_error err = {};
  ASSERT_TRUE(ok(mars_fetch(values, got.data(), got.size() * 8, &err), err));
  ASSERT_TRUE(ok(mars_fetch(back, &worst, 8, &err), err));
  ASSERT_TRUE(ok(mars_fetch(turned, &apart, 8, &err), err));
  ASSERT_TRUE(ok(mars_fetch(a, given.data(), given.size() * 8, &err), err));
  EXPECT_LT(worst, 1e-12);
  EXPECT_LT(apart, 1e-12);
  ASSERT_TRUE(shim_lapack_svdvals(m, n, given.data(), want.data()));
  for (size_t i = 0; i < want.size(); i++)
    EXPECT_NEAR(got[i], want[i], 1e-12 * want[i]) << "value " << i;
}

} // namespace
