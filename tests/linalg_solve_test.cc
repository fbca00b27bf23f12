// Cholesky and LU factors, triangular and general systems, inverses and determinants: backward errors in
// memory and in budgets that hold a fraction of the matrix, the same bits with any number of threads, batches,
// views, files, expressions, conditions up to singular.
#include "tests/linalg_solve_util.h"
#include "tests/linalg_oracle.h"

using namespace systems;

ORACLE_OF_ROUTINE(cholesky)
ORACLE_OF_ROUTINE(solve_triangular)
ORACLE_OF_ROUTINE(lu)
ORACLE_OF_ROUTINE(solve)
ORACLE_OF_ROUTINE(inv)
ORACLE_OF_ROUTINE(det)

namespace {

const mars_dtype kTypes[] = {MARS_F32, MARS_F64, MARS_C64, MARS_C128};

std::vector<int64_t> orders() { // panels have 256 columns where there is room, tiles 128 rows
  if (quick())
    return {1, 2, 33, 150};
  return {1, 2, 3, 8, 17, 127, 128, 129, 255, 256, 257, 600};
}
bool covered(int64_t n, mars_dtype dt) { // the large ones in two of the dtypes
  return n < 128 || dt == MARS_F64 || (dt == MARS_C64 && n == 257);
}

Array eye(mars_dtype dt, int64_t n) {
  return array_from(dt, {n, n}, [n](int64_t k) { return Z(k / n == k % n ? 1 : 0, 0); });
}

// ---- checks ---------------------------------------------------------------------------------------------

void check_cholesky(const Array &a, const Array &got) {
  Matrix l(got), want(a);
  const int64_t n = l.n;
  for (int64_t i = 0; i < n; i++) { // what is above the diagonal of a is not read
    EXPECT_GT(l(i, i).real(), 0);
    EXPECT_EQ(l(i, i).imag(), 0);
    want(i, i) = want(i, i).real();
    for (int64_t j = i + 1; j < n; j++) {
      EXPECT_EQ(l(i, j), Z(0, 0));
      want(i, j) = std::conj(want(j, i));
    }
  }
  Matrix h = adjoint(l);
  EXPECT_LE(product_residual(want, {&l, &h}), 10 * (long double)n * unit(a.dt) * norm(want.v));
}

void check_lu(const Array &a, int64_t batch, const Array &p, const Array &l, const Array &u) {
  Matrix am(a, batch), pm(p, batch), lm(l, batch), um(u, batch);
  const int64_t m = am.m, n = am.n, k = std::min(m, n);
  ASSERT_EQ(pm.m, m);
  ASSERT_EQ(lm.n, k);
  ASSERT_EQ(um.m, k);
  std::vector<int> column((size_t)m);
  for (int64_t i = 0; i < m; i++) {
    int ones = 0;
    for (int64_t j = 0; j < m; j++)
      if (pm(i, j) != Z(0, 0)) {
        EXPECT_EQ(pm(i, j), Z(1, 0));
        ones++, column[(size_t)j]++;
      }
    EXPECT_EQ(ones, 1) << "row " << i;
  }
  EXPECT_EQ(std::count(column.begin(), column.end(), 1), m);
  long double largest = 0;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < k; j++) {
      if (j >= i) {
        ASSERT_EQ(lm(i, j), Z(i == j, 0));
      }
      largest = std::max(largest, std::abs(lm(i, j)));
    }
  EXPECT_LE(largest, is_complex(a.dt) ? 1.4143 : 1.00001) << "that is what pivots are chosen for";
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < i; j++)
      ASSERT_EQ(um(i, j), Z(0, 0));
  EXPECT_LE(product_residual(am, {&pm, &lm, &um}),
            10 * (long double)std::max(m, n) * unit(a.dt) * norm(am.v) + 1e-4000L);
}

void check_system(const Array &a, int64_t ab, const Array &b, int64_t bb, const Array &x, int64_t xb) {
  Matrix am(a, ab), bm(b, bb), xm(x, xb);
  EXPECT_LE(system_residual(am, xm, bm), 20 * (long double)am.n * unit(a.dt));
}

// ---- one matrix, every size, dtype and budget -----------------------------------------------------------------

// Results of the same configuration but for the threads have the same bits, but where the host works beside GPUs: its threads decide what it takes.
class SameBits {
public:
  void see(const Config &c, int64_t n, const std::vector<Array> &got) {
    std::vector<Array> &first = one[{c.budget, n}];
    for (size_t i = 0; i < got.size() && c.threads > 1 && !first.empty() && !threads_move_work(); i++)
      EXPECT_TRUE(same_bits(got[i], first[i])) << "result " << i << ", " << name_of(c);
    first = got;
  }

private:
  std::map<std::pair<size_t, int64_t>, std::vector<Array>> one;
};

class Sizes : public testing::TestWithParam<mars_dtype> {
protected:
  void each(const std::function<void(mars_session *, const Config &, int64_t)> &f) {
    for (int64_t n : orders())
      for (const Config &c : configs()) {
        if (!covered(n, GetParam()) || (n == 600 && c.chunk))
          continue;
        SCOPED_TRACE("n " + std::to_string(n) + " " + name_of(c));
        Session s(c);
        Scope scope(s);
        f(s, c, n);
        if (HasFatalFailure())
          return;
      }
  }
};

TEST_P(Sizes, Cholesky) {
  SameBits bits;
  each([&](mars_session *s, const Config &c, int64_t n) {
    Array a = definite_matrix(GetParam(), n, (uint64_t)n);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = i + 1; j < n; j++)
        a.set(i * n + j, oracle::Num{is_complex(a.dt) ? 'c' : 'f', 0, NAN, 0}); // not to be read
    std::vector<Array> got(1);
    ASSERT_TRUE(fetch(mars_cholesky(borrow(s, a)), &got[0]));
    check_cholesky(a, got[0]);
    bits.see(c, n, got);
  });
}

TEST_P(Sizes, Lu) {
  SameBits bits;
  each([&](mars_session *s, const Config &c, int64_t n) {
    for (auto shape : {std::make_pair(n, n), std::make_pair(n + n / 2, n), std::make_pair(n, 2 * n)}) {
      if ((n > 300 || n == 255 || n == 256) && (shape.first != n || shape.second != n))
        continue;
      Array a = random_matrix(GetParam(), {shape.first, shape.second}, (uint64_t)n);
      mars_tensor *p, *l, *u;
      mars_lu(borrow(s, a), &p, &l, &u);
      std::vector<Array> got;
      ASSERT_TRUE(fetch_all(s, {p, l, u}, &got));
      check_lu(a, 0, got[0], got[1], got[2]);
      if (shape.first == n && shape.second == n)
        bits.see(c, n, got);
    }
  });
}

TEST_P(Sizes, SolveAndInverse) {
  SameBits bits;
  each([&](mars_session *s, const Config &c, int64_t n) {
    Array a = random_matrix(GetParam(), {n, n}, (uint64_t)n + 1), one = eye(GetParam(), n);
    std::vector<Array> b, got;
    std::vector<mars_tensor *> wanted;
    for (int64_t k : {(int64_t)1, (int64_t)5, n + 3})
      b.push_back(random_matrix(GetParam(), {n, k}, (uint64_t)k));
    for (const Array &rhs : b)
      wanted.push_back(mars_solve(borrow(s, a), borrow(s, rhs)));
    wanted.push_back(mars_inv(borrow(s, a)));
    ASSERT_TRUE(fetch_all(s, wanted, &got));
    for (size_t i = 0; i < b.size(); i++)
      check_system(a, 0, b[i], 0, got[i], 0);
    check_system(a, 0, one, 0, got[3], 0);
    bits.see(c, n, got);
  });
}

TEST_P(Sizes, Triangular) {
  SameBits bits;
  each([&](mars_session *s, const Config &c, int64_t n) {
    Matrix r(random_matrix(GetParam(), {n, n}, (uint64_t)n + 2)); // not so large that solutions overflow
    Array a = array_from(GetParam(), {n, n}, [&](int64_t k) {
      return k / n == k % n ? Z(2, 0) : r(k / n, k % n) / std::sqrt((long double)n);
    });
    std::vector<Array> got;
    std::vector<mars_tensor *> wanted;
    const int64_t k = n > 300 ? 70 : 7;
    Array b = random_matrix(GetParam(), {n, k}, 3);
    for (int v = 0; v < 12; v++)
      wanted.push_back(mars_solve_triangular(borrow(s, a), borrow(s, b), v & 1 ? MARS_LOWER : MARS_UPPER,
                                             (mars_trans)(v / 2 % 3), v >= 6));
    ASSERT_TRUE(fetch_all(s, wanted, &got));
    for (int v = 0; v < 12; v++) {
      Matrix t(a), tt(n, n);
      for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
          if (i == j ? v >= 6 : (v & 1) ? j > i : j < i)
            t(i, j) = i == j ? 1 : 0;
      for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
          tt(i, j) = v / 2 % 3 == 0 ? t(i, j) : v / 2 % 3 == 1 ? t(j, i) : std::conj(t(j, i));
      EXPECT_LE(system_residual(tt, Matrix(got[(size_t)v]), Matrix(b)), 10 * (long double)n * unit(a.dt)) << "variant " << v;
    }
    bits.see(c, n, got);
  });
}

// Determinant by elimination in long double
Z determinant(Matrix a) {
  Z det = 1;
  for (int64_t j = 0; j < a.n; j++) {
    int64_t p = j;
    for (int64_t i = j; i < a.n; i++)
      if (std::abs(a(i, j)) > std::abs(a(p, j)))
        p = i;
    if (p != j) {
      det = -det;
      for (int64_t c = 0; c < a.n; c++)
        std::swap(a(p, c), a(j, c));
    }
    det *= a(j, j);
    if (a(j, j) == Z(0, 0))
      return 0;
    for (int64_t i = j + 1; i < a.n; i++) {
      Z f = a(i, j) / a(j, j);
      for (int64_t c = j; c < a.n; c++)
        a(i, c) -= f * a(j, c);
    }
  }
  return det;
}

TEST_P(Sizes, Determinant) {
  SameBits bits;
  each([&](mars_session *s, const Config &c, int64_t n) {
    if (n > 300)
      return;
    Array a = random_matrix(GetParam(), {n, n}, (uint64_t)n + 3); // diagonally dominant but for the order of its rows
    Array rows(GetParam(), {n, n});
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++) {
        oracle::Num x = a.get(i * n + j);
        x.re = i == j ? (i % 3 ? 1 : -1) * (oracle::real)(n + 1) / 4 : x.re / 4;
        rows.set((i * 7 + 3) % n * n + j, n % 7 ? x : a.get(i * n + j));
      }
    mars_tensor *sign, *logdet;
    mars_slogdet(borrow(s, rows), &sign, &logdet);
    std::vector<Array> got;
    ASSERT_TRUE(fetch_all(s, {mars_det(borrow(s, rows)), sign, logdet}, &got));
    Z want = determinant(Matrix(rows));
    const long double tolerance = 50 * (long double)n * unit(a.dt) * (n % 7 ? 1 : 100), size = std::abs(want);
    oracle::Num d = got[0].get(0), g = got[1].get(0), l = got[2].get(0);
    if (size < (GetParam() == MARS_F32 || GetParam() == MARS_C64 ? 1e38L : 1e308L))
      EXPECT_LE(std::abs(Z(d.re, d.im) - want), tolerance * size);
    else
      EXPECT_FALSE(std::isfinite((double)(std::abs(Z(d.re, d.im)))));
    EXPECT_LE(std::abs(Z(g.re, g.im) - want / size), tolerance);
    EXPECT_NEAR((double)l.re, (double)std::log(size), (double)(tolerance + 4 * unit(a.dt) * std::fabs(std::log(size))));
    EXPECT_EQ(got[2].dt, GetParam() == MARS_F32 || GetParam() == MARS_C64 ? MARS_F32 : MARS_F64);
    bits.see(c, n, got);
  });
}

INSTANTIATE_TEST_SUITE_P(LinalgSolve, Sizes, testing::ValuesIn(kTypes),
                         [](const auto &info) { return std::string(short_name(info.param)); });

// ---- batches, views, files, expressions -----------------------------------------------------------------------

TEST(LinalgBatches, EveryRoutine) {
  for (const Config &c : configs()) {
    SCOPED_TRACE(name_of(c));
    Session s(c);
    Scope scope(s);
    Array a = random_matrix(MARS_F64, {3, 2, 9, 9}, 5), b = random_matrix(MARS_F64, {2, 9, 4}, 6);
    mars_tensor *p, *l, *u, *sign, *logdet, *t = borrow(s, a);
    mars_lu(t, &p, &l, &u);
    mars_slogdet(t, &sign, &logdet);
    mars_tensor *spd = mars_matmul(t, mars_swapaxes(t, 2, 3));
    std::vector<Array> got;
    ASSERT_TRUE(fetch_all(s, {p, l, u, mars_solve(t, borrow(s, b)), mars_inv(t), mars_det(t), sign, logdet, spd, mars_cholesky(spd),
                              mars_solve_triangular(t, borrow(s, b), MARS_LOWER, MARS_NO_TRANS, true)},
                          &got));
    EXPECT_EQ(got[3].dims, (std::vector<int64_t>{3, 2, 9, 4}));
    EXPECT_EQ(got[5].dims, (std::vector<int64_t>{3, 2}));
    Array one = eye(MARS_F64, 9);
    for (int64_t i = 0; i < 6; i++) {
      check_lu(a, i, got[0], got[1], got[2]);
      check_system(a, i, b, i % 2, got[3], i);
      check_system(a, i, one, 0, got[4], i);
      Z want = determinant(Matrix(a, i));
      EXPECT_NEAR((double)got[5].get(i).re, (double)want.real(), 1e-11 * (double)std::abs(want) + 1e-13);
      EXPECT_EQ((double)got[6].get(i).re, want.real() < 0 ? -1 : 1);
      EXPECT_NEAR((double)got[7].get(i).re, (double)std::log(std::abs(want)), 1e-10);
      Matrix m(got[8], i), f(got[9], i), h = adjoint(f);
      EXPECT_LE(product_residual(m, {&f, &h}), 90 * unit(MARS_F64) * norm(m.v));
    }
  }
}

// A right-hand side with one axis is one vector for all matrices (NumPy 2), with more it is a matrix.
TEST(LinalgBatches, RightHandSides) {
  Session s;
  Scope scope(s);
  Array a = random_matrix(MARS_F64, {2, 3, 3}, 7), v = random_matrix(MARS_F64, {3}, 8), w = random_matrix(MARS_F64, {3, 3}, 9);
  std::vector<Array> got;
  ASSERT_TRUE(fetch_all(s, {mars_solve(borrow(s, a), borrow(s, v)), mars_solve(borrow(s, a), borrow(s, w))}, &got));
  EXPECT_EQ(got[0].dims, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(got[1].dims, (std::vector<int64_t>{2, 3, 3}));
  for (int64_t i = 0; i < 2; i++) {
    Matrix x(3, 1), b(3, 1);
    for (int64_t k = 0; k < 3; k++) {
      x(k, 0) = (long double)got[0].get(i * 3 + k).re;
      b(k, 0) = (long double)v.get(k).re;
    }
    EXPECT_LE(system_residual(Matrix(a, i), x, b), 60 * unit(MARS_F64));
    check_system(a, i, w, 0, got[1], i);
  }
}

TEST(LinalgOperands, ViewsFilesExpressionsAndKeptValues) {
  TempDir dir;
  const int64_t n = quick() ? 70 : 220;
  Array wide = random_matrix(MARS_F64, {2 * n, 3 * n}, 11), b = random_matrix(MARS_F64, {n, 5}, 12);
  write_npy(dir.file("wide.npy"), wide);
  for (const Config &c : configs()) {
    SCOPED_TRACE(name_of(c));
    Session s(c);
    Scope scope(s);
    mars_slice odd[] = {{MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, -2}, {MARS_SLICE_RANGE, 1, MARS_NONE, 3}};
    mars_tensor *kept = mars_add(borrow(s, wide), mars_float(s, 0.25));
    mars_error err = {};
    ASSERT_TRUE(ok(mars_run(s, &kept, 1, &err), err));
    std::vector<mars_tensor *> operand;
    for (mars_tensor *t : {borrow(s, wide), mars_from_npy(s, dir.file("wide.npy").c_str()), kept})
      for (bool turned : {false, true})
        operand.push_back(turned ? mars_transpose(mars_index(t, odd, 2)) : mars_index(t, odd, 2));
    mars_tensor *noise = mars_random_uniform(s, MARS_F64, MARS_SHAPE(n, n), -1, 1);
    operand.push_back(noise);
    operand.push_back(mars_sub(mars_mul(noise, noise), operand[0]));
    for (size_t i = 0; i < operand.size(); i++) {
      SCOPED_TRACE("operand " + std::to_string(i));
      Array a = fetched(operand[i]);
      mars_tensor *p, *l, *u, *spd = mars_matmul(operand[i], mars_transpose(operand[i]));
      mars_lu(operand[i], &p, &l, &u);
      std::vector<Array> got;
      ASSERT_TRUE(fetch_all(s, {p, l, u, mars_solve(operand[i], borrow(s, b)), mars_inv(operand[i]), spd, mars_cholesky(spd)}, &got));
      check_lu(a, 0, got[0], got[1], got[2]);
      check_system(a, 0, b, 0, got[3], 0);
      check_system(a, 0, eye(MARS_F64, n), 0, got[4], 0);
      check_cholesky(got[5], got[6]);
    }
  }
}

// Results that are kept, spilled, written to files, and read by what comes after them.
TEST(LinalgOperands, ResultsStayAndGoToFiles) {
  TempDir dir;
  const int64_t n = quick() ? 100 : 400;
  Array a = definite_matrix(MARS_F64, n, 13);
  Session s(config_of(kMinimalBudget));
  Scope scope(s);
  mars_tensor *l = mars_cholesky(borrow(s, a)), *p, *lower, *upper, *x = mars_inv(borrow(s, a));
  mars_error err = {};
  mars_lu(borrow(s, a), &p, &lower, &upper);
  mars_tensor *keep[] = {l, lower, upper, x};
  ASSERT_TRUE(ok(mars_run(s, keep, 4, &err), err));
  check_cholesky(a, fetched(l));
  check_lu(a, 0, fetched(p), fetched(lower), fetched(upper));
  check_system(a, 0, eye(MARS_F64, n), 0, fetched(x), 0);
  std::string path = dir.file("l.npy");
  ASSERT_TRUE(ok(mars_save_npy(mars_cholesky(mars_mul(borrow(s, a), mars_float(s, 2))), path.c_str(), &err), err));
  Array from, twice = a;
  for (int64_t i = 0; i < n * n; i++)
    ((double *)twice.bytes.data())[i] *= 2;
  ASSERT_TRUE(read_npy(path, &from));
  check_cholesky(twice, from);
}

// The order of rows, kept beside the factors: nothing is factored again when they are read.
TEST(LinalgOperands, RowOrderIsKeptBesideLu) {
  const int64_t n = quick() ? 150 : 500;
  Array a = random_matrix(MARS_F64, {n, n}, 21);
  Session s(config_of(kMinimalBudget));
  Scope scope(s);
  mars_tensor *p, *l, *u;
  mars_error err = {};
  mars_lu(borrow(s, a), &p, &l, &u);
  mars_tensor *order = mars_argmax(p, MARS_AXES(1)), *keep[] = {order, l, u};
  ASSERT_TRUE(ok(mars_run(s, keep, 3, &err), err));
  const Array at = fetched(order), was = a;
  std::fill(a.bytes.begin(), a.bytes.end(), 0); // what is made from it from now on is wrong
  Array pm(MARS_F64, {n, n});
  for (int64_t i = 0; i < n; i++)
    ((double *)pm.bytes.data())[i * n + ((const int64_t *)at.bytes.data())[i]] = 1;
  check_lu(was, 0, pm, fetched(l), fetched(u));
}

TEST(LinalgOperands, IntegersBecomeDoubles) {
  Session s;
  Scope scope(s);
  int32_t v[] = {4, 2, 2, 5};
  mars_tensor *a = mars_from_copy(s, MARS_I32, MARS_SHAPE(2, 2), v);
  Array l = fetched(mars_cholesky(a)), d = fetched(mars_det(a)), x = fetched(mars_solve(a, mars_from_copy(s, MARS_I32, MARS_SHAPE(2), v)));
  EXPECT_EQ(l.dt, MARS_F64);
  EXPECT_EQ((double)l.get(0).re, 2);
  EXPECT_EQ((double)l.get(2).re, 1);
  EXPECT_EQ((double)l.get(3).re, 2);
  EXPECT_NEAR((double)d.get(0).re, 16, 1e-13);
  EXPECT_NEAR((double)x.get(0).re, 1, 1e-15);
  EXPECT_NEAR((double)x.get(1).re, 0, 1e-15);
  float one = 1;
  mars_tensor *f = mars_from_copy(s, MARS_F32, MARS_SHAPE(1, 1), &one);
  EXPECT_EQ(mars_dtype_of(mars_solve(a, mars_from_copy(s, MARS_C64, MARS_SHAPE(2), v))), MARS_C128);
  EXPECT_EQ(mars_dtype_of(mars_solve(f, f)), MARS_F32);
}

// An eager session makes all factors in one job.
TEST(LinalgOperands, EagerSessions) {
  Config c = config_of(4 * MiB);
  c.eager = true;
  Session s(c);
  Scope scope(s);
  Array a = random_matrix(MARS_F64, {40, 40}, 31);
  mars_tensor *p, *l, *u, *sign, *logdet;
  mars_lu(borrow(s, a), &p, &l, &u);
  mars_slogdet(borrow(s, a), &sign, &logdet);
  for (mars_tensor *t : {p, l, u, sign, logdet})
    EXPECT_TRUE(mars_is_ready(t));
  check_lu(a, 0, fetched(p), fetched(l), fetched(u));
  Array none(MARS_F64, {3, 3});
  EXPECT_TRUE(is_error(mars_inv(borrow(s, none)), MARS_E_NUMERIC, {"mars_inv", "row 0"}));
}

// ---- conditions -------------------------------------------------------------------------------------------

// Columns graded over `decades`; rank: columns from there on repeat earlier ones; some columns zero.
Array difficult(mars_dtype dt, int64_t n, double decades, int64_t rank, bool zeros) {
  Matrix r(random_matrix(dt, {n, n}, 21));
  return array_from(dt, {n, n}, [&](int64_t k) {
    int64_t i = k / n, j = k % n, c = j < rank ? j : j - rank;
    if (zeros && j % 10 == 3)
      return Z(0, 0);
    return r(i, c) * (long double)std::pow(10.0, -decades * (double)c / (double)n);
  });
}

TEST(LinalgConditions, BackwardErrorsDoNotDependOnThem) {
  const int64_t n = quick() ? 60 : 200;
  for (mars_dtype dt : {MARS_F64, MARS_C64})
    for (const Config &c : configs()) {
      SCOPED_TRACE(name_of(c) + " " + short_name(dt));
      Session s(c);
      Scope scope(s);
      const double most = dt == MARS_F64 ? 14 : 6;
      for (const Array &a : {difficult(dt, n, most / 2, n, false), difficult(dt, n, most, n, false), difficult(dt, n, 0, n - n / 3, false),
                             difficult(dt, n, most, n - 5, true), Array(dt, {n, n})}) {
        mars_tensor *p, *l, *u;
        mars_lu(borrow(s, a), &p, &l, &u);
        std::vector<Array> got;
        ASSERT_TRUE(fetch_all(s, {p, l, u}, &got));
        check_lu(a, 0, got[0], got[1], got[2]);
      }
      for (double decades : {most / 2, most}) { // the condition is about that of the columns
        Array a = difficult(dt, n, decades, n, false), b = random_matrix(dt, {n, 3}, 22), big = difficult(dt, n, 0, n, false);
        Array rows = array_from(dt, {n, n}, [&](int64_t k) { // and graded rows
          oracle::Num x = a.get(k % n * n + k / n);
          return Z(x.re, x.im);
        });
        std::vector<Array> got;
        ASSERT_TRUE(fetch_all(s, {mars_solve(borrow(s, a), borrow(s, b)), mars_solve(borrow(s, rows), borrow(s, b))}, &got));
        check_system(a, 0, b, 0, got[0], 0);
        check_system(rows, 0, b, 0, got[1], 0);
        // d h d with graded d is as definite as h
        Matrix h(definite_matrix(dt, n, 23));
        Array graded = array_from(dt, {n, n}, [&](int64_t k) {
          return h(k / n, k % n) * (long double)std::pow(10.0, -decades / 2 * (double)(k / n + k % n) / (double)n);
        });
        check_cholesky(graded, fetched(mars_cholesky(borrow(s, graded))));
      }
    }
}

// What n = 600 in the least of the budgets of these tests is cut into.
TEST(LinalgTiles, FiveByFiveAndMore) {
  const int64_t n = 600;
  Session s(config_of(kMinimalBudget));
  Scope scope(s);
  const Array matrix = definite_matrix(MARS_F64, n, 1);
  mars_tensor *a = borrow(s, matrix), *p, *l, *u, *q, *r;
  mars_lu(a, &p, &l, &u);
  mars_qr(a, MARS_QR_REDUCED, &q, &r);
  for (mars_tensor *t : {mars_cholesky(a), l, u, q, r, mars_solve(a, a), mars_inv(a), mars_solve_triangular(a, a, MARS_UPPER, MARS_NO_TRANS, false)}) {
    const std::string text = explained(s, t);
    const size_t at = text.find(" result, chunks ");
    long long chunks = 0, rows = 0, columns = 0;
    ASSERT_NE(at, std::string::npos) << text.substr(0, 400);
    ASSERT_EQ(sscanf(text.c_str() + at, " result, chunks %lld x (%lld, %lld)", &chunks, &rows, &columns), 3) << text.substr(at, 60);
    EXPECT_GE((n + rows - 1) / rows, 5) << text.substr(0, 400);
    EXPECT_GE((n + columns - 1) / columns, 5) << text.substr(0, 400);
  }
}

// Hilbert matrices: condition beyond what the dtype holds, residuals stay small.
TEST(LinalgConditions, Hilbert) {
  Session s;
  Scope scope(s);
  Array h = array_from(MARS_F64, {14, 14}, [](int64_t k) { return Z(1.0L / (long double)(k / 14 + k % 14 + 1), 0); });
  Array b = random_matrix(MARS_F64, {14, 2}, 3);
  check_system(h, 0, b, 0, fetched(mars_solve(borrow(s, h), borrow(s, b))), 0);
  // the determinant of the order 6, 5.3673e-18, is known exactly: 1 / 186313420339200000
  mars_slice six[] = {{MARS_SLICE_RANGE, 0, 6, 1}, {MARS_SLICE_RANGE, 0, 6, 1}};
  EXPECT_NEAR((double)fetched(mars_det(mars_index(borrow(s, h), six, 2))).get(0).re * 186313420339200000.0, 1, 1e-9);
}

TEST(LinalgDeterminants, NeitherOverflowNorUnderflow) {
  Session s;
  Scope scope(s);
  const int64_t n = 300;
  for (double size : {1e200, 1e-200}) {
    Array a = array_from(MARS_F64, {n, n}, [&](int64_t k) { return Z(k / n == k % n ? size : 0, 0); });
    mars_tensor *sign, *logdet;
    mars_slogdet(borrow(s, a), &sign, &logdet);
    std::vector<Array> got;
    ASSERT_TRUE(fetch_all(s, {sign, logdet, mars_det(borrow(s, a))}, &got));
    EXPECT_EQ((double)got[0].get(0).re, 1);
    EXPECT_NEAR((double)got[1].get(0).re / (n * std::log(size)), 1, 1e-13);
    EXPECT_EQ((double)got[2].get(0).re, size > 1 ? INFINITY : 0);
  }
  // large and small factors that cancel
  Array a = array_from(MARS_F64, {n, n}, [&](int64_t k) { return Z(k / n == k % n ? (k % 2 ? 1e200 : 1e-200) : 0, 0); });
  EXPECT_NEAR((double)fetched(mars_det(borrow(s, a))).get(0).re, 1, 1e-12);
}

} // namespace
