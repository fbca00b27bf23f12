// What goes wrong with systems and factors: matrices that are singular, not definite, not finite, not square
// or empty; budgets and disks that are too small; every allocation, read and write failing in turn. Each time
// a status and a message that names the place, inputs that are still readable, nothing leaked.
#include "tests/linalg_solve_util.h"

#include <cerrno>
#include <memory>
#include <sys/mount.h>
#include <sys/stat.h>

using namespace systems;

namespace {

void set(Array &a, int64_t i, int64_t j, double x) {
  a.set(i * a.dims[1] + j, oracle::Num{is_complex(a.dt) ? 'c' : 'f', 0, (oracle::real)x, 0});
}
Array diagonal(mars_dtype dt, int64_t n) {
  return array_from(dt, {n, n}, [n](int64_t k) { return Z(k / n == k % n ? 1 + (double)(k % 7) : 0, 0); });
}
testing::AssertionResult fails(mars_session *s, mars_tensor *t, mars_status st, std::initializer_list<const char *> words) {
  mars_error err = {};
  return says(mars_run(s, &t, 1, &err), err, st, words);
}

// ---- matrices that have no answer -----------------------------------------------------------------------

TEST(LinalgErrors, NumericOnesNameThePlace) {
  for (mars_dtype dt : {MARS_F32, MARS_F64, MARS_C64, MARS_C128})
    for (const Config &c : configs())
      for (int64_t n : {9, quick() ? 120 : 310}) {
        SCOPED_TRACE(name_of(c) + " n " + std::to_string(n) + " " + short_name(dt));
        Session s(c);
        const int64_t live = baseline(s);
        {
          Scope scope(s);
          const int64_t at = n - 4;
          const std::string index = std::to_string(at), order = std::to_string(at + 1);
          Array zero = diagonal(dt, n), minus = zero, column = random_matrix(dt, {n, n}, 3), b = random_matrix(dt, {n, 2}, 4);
          set(zero, at, at, 0);
          set(minus, at, at, -1);
          for (int64_t i = 0; i < n; i++)
            set(column, i, at, 0);
          mars_tensor *kept = mars_add(borrow(s, b), mars_float(s, 0));
          mars_error err = {};
          ASSERT_TRUE(ok(mars_run(s, &kept, 1, &err), err));
          EXPECT_TRUE(fails(s, mars_cholesky(borrow(s, minus)), MARS_E_NUMERIC, {"mars_cholesky", order.c_str(), "definite", "unchanged"}));
          EXPECT_TRUE(fails(s, mars_cholesky(borrow(s, zero)), MARS_E_NUMERIC, {"mars_cholesky", order.c_str()}));
          EXPECT_TRUE(fails(s, mars_solve(borrow(s, column), kept), MARS_E_NUMERIC, {"mars_solve", index.c_str(), "singular", "those before it are not", "unchanged"}));
          EXPECT_TRUE(fails(s, mars_inv(borrow(s, zero)), MARS_E_NUMERIC, {"mars_inv", index.c_str(), "singular"}));
          for (mars_triangle t : {MARS_UPPER, MARS_LOWER}) {
            EXPECT_TRUE(fails(s, mars_solve_triangular(borrow(s, zero), kept, t, MARS_TRANS, false), MARS_E_NUMERIC,
                              {"mars_solve_triangular", index.c_str(), "singular"}));
            Array x = fetched(mars_solve_triangular(borrow(s, zero), kept, t, MARS_TRANS, true));
            EXPECT_EQ(x.size(), 2 * n) << "a unit diagonal is not read";
          }
          mars_tensor *sign, *logdet;
          mars_slogdet(borrow(s, column), &sign, &logdet);
          std::vector<Array> got;
          ASSERT_TRUE(fetch_all(s, {mars_det(borrow(s, column)), sign, logdet, kept}, &got));
          EXPECT_EQ((double)got[0].get(0).re, 0);
          EXPECT_EQ((double)got[1].get(0).re, 0);
          EXPECT_EQ((double)got[2].get(0).re, -INFINITY);
          EXPECT_TRUE(same_bits(got[3], b)) << "inputs are still readable";
        }
        EXPECT_TRUE(no_leak(s, live));
      }
}

TEST(LinalgErrors, NameTheMatrixOfAStack) {
  for (const Config &c : configs()) {
    SCOPED_TRACE(name_of(c));
    Session s(c);
    Scope scope(s);
    const int64_t n = quick() ? 40 : 130;
    Array one = diagonal(MARS_F64, n), stack = one, infinite, b = random_matrix(MARS_F64, {n, 2}, 4);
    stack.dims = {2, 3, n, n};
    stack.bytes.clear();
    for (int i = 0; i < 6; i++) stack.bytes.insert(stack.bytes.end(), one.bytes.begin(), one.bytes.end());
    infinite = stack;
    const oracle::Num zero{'f', 0, 0, 0}, nan{'f', 0, (oracle::real)NAN, 0};
    stack.set(4 * n * n + 5 * (n + 1), zero); // matrix (1, 1), element (5, 5)
    infinite.set(3 * n * n + 7 * n + 2, nan);
    EXPECT_TRUE(fails(s, mars_cholesky(borrow(s, stack)), MARS_E_NUMERIC, {"mars_cholesky: matrix 4 of the stack", "5"}));
    EXPECT_TRUE(fails(s, mars_solve(borrow(s, stack), borrow(s, b)), MARS_E_NUMERIC, {"mars_solve: matrix 4 of the stack", "5"}));
    EXPECT_TRUE(fails(s, mars_inv(borrow(s, stack)), MARS_E_NUMERIC, {"mars_inv: matrix 4 of the stack", "5"}));
    EXPECT_TRUE(fails(s, mars_solve_triangular(borrow(s, stack), borrow(s, b), MARS_UPPER, MARS_NO_TRANS, false), MARS_E_NUMERIC, {"mars_solve_triangular: matrix 4 of the stack", "5"}));
    mars_tensor *w, *v, *q, *r;
    mars_eigh(borrow(s, infinite), MARS_LOWER, &w, &v);
    EXPECT_TRUE(fails(s, w, MARS_E_NUMERIC, {"mars_eigh", "matrix 3 of the stack", "row 7, column 2"}));
    mars_qr(borrow(s, infinite), MARS_QR_REDUCED, &q, &r);
    EXPECT_TRUE(fails(s, r, MARS_E_NUMERIC, {"mars_qr", "matrix 3 of the stack", "row 7, column 2"}));
    EXPECT_TRUE(fails(s, mars_svdvals(borrow(s, infinite)), MARS_E_NUMERIC, {"mars_svdvals, in its svd", "matrix 3 of the stack", "row 7, column 2"}));
  }
}

// A function that rests on another says both names: the place is one in what the inner one is given.
TEST(LinalgErrors, NameTheFunctionThatWasCalled) {
  Session s;
  Scope scope(s);
  Array a = array_from(MARS_F64, {60, 5}, [](int64_t k) { return Z(k == 17 ? NAN : (double)(k % 11), 0); }), b = random_matrix(MARS_F64, {60, 1}, 4);
  mars_tensor *x, *residuals, *rank, *values, *u, *sigma, *vh;
  mars_lstsq(borrow(s, a), borrow(s, b), -1, &x, &residuals, &rank, &values);
  EXPECT_TRUE(fails(s, x, MARS_E_NUMERIC, {"mars_lstsq, in its svd: the matrix has a NaN", "unchanged"}));
  EXPECT_TRUE(fails(s, mars_pinv(borrow(s, a), -1), MARS_E_NUMERIC, {"mars_pinv, in its svd"}));
  EXPECT_TRUE(fails(s, mars_matrix_rank(borrow(s, a), -1), MARS_E_NUMERIC, {"mars_matrix_rank, in its svd"}));
  mars_randomized_svd(borrow(s, a), 2, 2, 1, &u, &sigma, &vh);
  EXPECT_TRUE(fails(s, sigma, MARS_E_NUMERIC, {"mars_randomized_svd, in its qr"}));
}

TEST(LinalgErrors, NotFinite) {
  for (const Config &c : configs())
    for (double x : {(double)NAN, (double)INFINITY, -(double)INFINITY})
      for (int64_t n : {5, 150}) {
        SCOPED_TRACE(name_of(c) + " n " + std::to_string(n) + " " + std::to_string(x));
        Session s(c);
        Scope scope(s);
        Array a = definite_matrix(MARS_F64, n, 5), b = random_matrix(MARS_F64, {n, 1}, 6);
        set(a, n - 2, n - 2, x);
        set(a, n - 1, n - 3, x);
        EXPECT_TRUE(fails(s, mars_cholesky(borrow(s, a)), MARS_E_NUMERIC, {"mars_cholesky"}));
        mars_tensor *p, *l, *u;
        mars_lu(borrow(s, a), &p, &l, &u);
        std::vector<Array> got;
        ASSERT_TRUE(fetch_all(s, {p, l, u, mars_solve(borrow(s, a), borrow(s, b)), mars_det(borrow(s, a))}, &got));
        bool any = false;
        for (const Array &part : {got[1], got[2], got[3], got[4]})
          for (int64_t i = 0; i < part.size(); i++)
            any = any || !std::isfinite((double)part.get(i).re);
        EXPECT_TRUE(any) << "it shows in the results";
        for (int64_t i = 0, ones = 0; i < n; i++, ones = 0) {
          for (int64_t j = 0; j < n; j++)
            ones += got[0].get(i * n + j).re == 1;
          EXPECT_EQ(ones, 1) << "a permutation all the same, row " << i;
        }
      }
  // all of it
  Session s(config_of(kMinimalBudget));
  Scope scope(s);
  Array a = array_from(MARS_C64, {100, 100}, [](int64_t) { return Z(NAN, NAN); });
  mars_tensor *p, *l, *u;
  mars_lu(borrow(s, a), &p, &l, &u);
  std::vector<Array> got;
  EXPECT_TRUE(fetch_all(s, {p, l, u}, &got));
}

TEST(LinalgErrors, ShapesAndDtypes) {
  Session s;
  Scope scope(s);
  auto zeros = [&](mars_shape shape, mars_dtype dt = MARS_F64) { return mars_zeros(s, dt, shape); };
  mars_tensor *square = zeros(MARS_SHAPE(3, 3)), *flat = zeros(MARS_SHAPE(4)), *wide = zeros(MARS_SHAPE(3, 4));
  mars_tensor *p, *l, *u;
  EXPECT_TRUE(is_error(mars_cholesky(wide), MARS_E_SHAPE, {"mars_cholesky", "(3, 4)", "square"}));
  EXPECT_TRUE(is_error(mars_cholesky(flat), MARS_E_SHAPE, {"mars_cholesky", "(4,)"}));
  EXPECT_TRUE(is_error(mars_inv(wide), MARS_E_SHAPE, {"mars_inv", "(3, 4)"}));
  EXPECT_TRUE(is_error(mars_det(wide), MARS_E_SHAPE, {"mars_det", "(3, 4)"}));
  mars_slogdet(flat, &p, &l);
  EXPECT_TRUE(is_error(p, MARS_E_SHAPE, {"mars_slogdet", "(4,)"}));
  EXPECT_TRUE(is_error(l, MARS_E_SHAPE, {"mars_slogdet", "(4,)"}));
  mars_lu(flat, &p, &l, &u);
  for (mars_tensor *t : {p, l, u})
    EXPECT_TRUE(is_error(t, MARS_E_SHAPE, {"mars_lu", "(4,)"}));
  mars_lu(square, nullptr, &l, nullptr);
  EXPECT_EQ(mars_check(l, nullptr), MARS_OK);
  EXPECT_TRUE(is_error(mars_solve(wide, flat), MARS_E_SHAPE, {"mars_solve", "(3, 4)"}));
  EXPECT_TRUE(is_error(mars_solve(square, flat), MARS_E_SHAPE, {"mars_solve", "(3, 3)"}));
  EXPECT_TRUE(is_error(mars_solve(square, zeros(MARS_SHAPE(4, 3))), MARS_E_SHAPE, {"mars_solve", "(3, 3)", "(4, 3)"}));
  EXPECT_TRUE(is_error(mars_solve(square, zeros(MARS_SHAPE_0D)), MARS_E_SHAPE, {"mars_solve"}));
  EXPECT_TRUE(is_error(mars_solve(zeros(MARS_SHAPE(2, 3, 3)), zeros(MARS_SHAPE(5, 3, 1))), MARS_E_SHAPE,
                       {"mars_solve", "(2, 3, 3)", "(5, 3, 1)", "broadcast"}));
  EXPECT_TRUE(is_error(mars_solve_triangular(square, flat, MARS_LOWER, MARS_NO_TRANS, false), MARS_E_SHAPE, {"mars_solve_triangular"}));
  EXPECT_TRUE(is_error(mars_solve_triangular(square, square, (mars_triangle)7, MARS_NO_TRANS, false), MARS_E_ARG,
                       {"mars_solve_triangular", "7"}));
  EXPECT_TRUE(is_error(mars_solve_triangular(square, square, MARS_LOWER, (mars_trans)9, false), MARS_E_ARG, {"mars_solve_triangular", "9"}));
  for (mars_dtype half : {MARS_F16, MARS_BF16}) {
    mars_tensor *h = zeros(MARS_SHAPE(3, 3), half);
    for (mars_tensor *t : {mars_cholesky(h), mars_inv(h), mars_det(h), mars_solve(h, square), mars_solve(square, h)})
      EXPECT_TRUE(is_error(t, MARS_E_DTYPE, {"mars_", mars_dtype_name(half)}));
  }
  mars_tensor *bad = mars_add(square, flat);
  EXPECT_TRUE(is_error(mars_solve(bad, flat), MARS_E_SHAPE, {"mars_add"}));
  EXPECT_TRUE(is_error(mars_inv(bad), MARS_E_SHAPE, {"mars_add"}));
  EXPECT_EQ(mars_inv(nullptr), nullptr);
}

TEST(LinalgErrors, EmptyMatrices) {
  Session s;
  Scope scope(s);
  auto zeros = [&](mars_shape shape) { return mars_zeros(s, MARS_F64, shape); };
  auto dims = [&](mars_tensor *t) { return fetched(t).dims; };
  typedef std::vector<int64_t> D;
  mars_tensor *none = zeros(MARS_SHAPE(0, 0)), *batch = zeros(MARS_SHAPE(0, 3, 3)), *p, *l, *u;
  EXPECT_EQ(dims(mars_cholesky(none)), (D{0, 0}));
  EXPECT_EQ(dims(mars_inv(batch)), (D{0, 3, 3}));
  EXPECT_EQ((double)fetched(mars_det(none)).get(0).re, 1);
  EXPECT_EQ(dims(mars_det(batch)), (D{0}));
  mars_slogdet(zeros(MARS_SHAPE(2, 0, 0)), &p, &l);
  EXPECT_EQ((double)fetched(p).get(1).re, 1);
  EXPECT_EQ((double)fetched(l).get(1).re, 0);
  EXPECT_EQ(dims(mars_solve(none, zeros(MARS_SHAPE(0, 5)))), (D{0, 5}));
  EXPECT_EQ(dims(mars_solve(none, zeros(MARS_SHAPE(0)))), (D{0}));
  EXPECT_EQ(dims(mars_solve(mars_eye(s, MARS_F64, 3, 3, 0), zeros(MARS_SHAPE(3, 0)))), (D{3, 0}));
  mars_lu(zeros(MARS_SHAPE(2, 3, 0)), &p, &l, &u);
  Array perm = fetched(p);
  EXPECT_EQ(perm.dims, (D{2, 3, 3}));
  for (int64_t i = 0; i < 18; i++)
    EXPECT_EQ((double)perm.get(i).re, i % 9 % 4 == 0);
  EXPECT_EQ(dims(l), (D{2, 3, 0}));
  EXPECT_EQ(dims(u), (D{2, 0, 0}));
  mars_lu(zeros(MARS_SHAPE(0, 4)), &p, &l, &u);
  EXPECT_EQ(dims(p), (D{0, 0}));
  EXPECT_EQ(dims(l), (D{0, 0}));
  EXPECT_EQ(dims(u), (D{0, 4}));
}

// ---- budgets and disks ------------------------------------------------------------------------------------

std::vector<mars_tensor *> everything(mars_session *s, mars_tensor *a) {
  mars_tensor *p, *l, *u;
  mars_lu(a, &p, &l, &u);
  return {mars_cholesky(a), l, u, mars_solve(a, a), mars_inv(a), mars_solve_triangular(a, a, MARS_UPPER, MARS_NO_TRANS, false)};
}

TEST(LinalgBudgets, TooSmallIsRefusedWithTheBytes) {
  Config c = config_of(kMinimalBudget);
  Session s(c);
  const int64_t live = baseline(s);
  {
    Scope scope(s);
    // one column of it is larger than the budget
    mars_tensor *u, *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(400000, 3), 0, 1);
    mars_error err = {};
    mars_lu(a, nullptr, nullptr, &u);
    ASSERT_TRUE(says(mars_run(s, &u, 1, &err), err, MARS_E_BUDGET, {"mars_lu", "bytes", "400000"}));
    bool named = false;
    for (const char *t = err.message; *t; t++)
      if (isdigit((unsigned char)*t)) {
        char *end;
        named = named || std::strtoull(t, &end, 10) >= 400000u * 8;
        t = end - 1;
      }
    EXPECT_TRUE(named) << err.message;
  }
  EXPECT_TRUE(no_leak(s, live));
}

// Records of tasks are not in the budget, so there must not be any number of them.
TEST(LinalgBudgets, MoreTilesThanCanBePlannedAreRefused) {
  long long enough = 16 * 1024;
  for (int times = 0; times < 4; times++) { // it can be planned with what it says are needed, at the third time at the latest
    Config c;
    c.budget = (size_t)enough;
    c.devices = "host"; // whose budget it is about
    Session s(c);
    Scope scope(s);
    mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(4000, 4000), 0, 1);
    mars_output x = {};
    x.tensor = mars_sum(mars_solve_triangular(a, a, MARS_UPPER, MARS_NO_TRANS, false), MARS_ALL);
    mars_error err = {};
    char *text = nullptr;
    const mars_status st = mars_explain(s, &x, 1, MARS_EXPLAIN_TEXT, &text, &err);
    mars_text_free(s, text);
    if (times > 0 && st == MARS_OK) return;
    EXPECT_TRUE(says(st, err, MARS_E_OVERFLOW, {"mars_solve_triangular", "tasks", std::to_string(enough).c_str(), "bytes are needed"}));
    const char *about = strstr(err.message, "; about ");
    ASSERT_NE(about, nullptr) << err.message;
    enough = atoll(about + 8);
  }
  ADD_FAILURE() << enough << " are still too little";
}

TEST(LinalgBudgets, SmallChunksThatMakeTooManyTasksAreNamed) {
  Session s(config_of(16 * 1024, 1, 900));
  Scope scope(s);
  mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(4000, 4000), 0, 1);
  EXPECT_TRUE(fails(s, mars_sum(mars_solve_triangular(a, a, MARS_UPPER, MARS_NO_TRANS, false), MARS_ALL), MARS_E_OVERFLOW, {"mars_solve_triangular: chunks of 900 elements", "16384", "larger chunks", "bytes"}));
}

TEST(LinalgBudgets, SpillBudgetTooSmall) {
  Config c = config_of(kMinimalBudget);
  c.spill_budget = 1 * MiB;
  Session s(c);
  const int64_t live = baseline(s);
  {
    Scope scope(s);
    Array a = definite_matrix(MARS_F64, 600, 7);
    mars_tensor *t = borrow(s, a);
    for (mars_tensor *r : everything(s, t))
      EXPECT_TRUE(fails(s, r, MARS_E_BUDGET, {"mars_run", "spill"}));
    EXPECT_TRUE(same_bits(fetched(t), a));
    Array d = fetched(mars_det(mars_eye(s, MARS_F64, 100, 100, 0)));
    EXPECT_EQ((double)d.get(0).re, 1) << "the session goes on";
  }
  EXPECT_TRUE(no_leak(s, live));
}

TEST(LinalgBudgets, DiskFullInTheMiddle) {
  TempDir dir;
  std::string path = dir.file("disk");
  mkdir(path.c_str(), 0755);
  if (mount("tmpfs", path.c_str(), "tmpfs", 0, "size=2m") != 0)
    GTEST_SKIP() << "no right to mount a small file system";
  {
    Config c = config_of(kMinimalBudget);
    c.spill_dir = path;
    Session s(c);
    Scope scope(s);
    Array a = definite_matrix(MARS_F64, 700, 7), b = random_matrix(MARS_F64, {40, 40}, 8);
    mars_tensor *kept = mars_mul(borrow(s, b), mars_float(s, 1));
    mars_error err = {};
    ASSERT_TRUE(ok(mars_run(s, &kept, 1, &err), err));
    std::vector<mars_tensor *> all = everything(s, borrow(s, a));
    // and of QR the column panels, and both methods of tall matrices: a column of zeros asks for reflections
    Array regular = random_matrix(MARS_F64, {30000, 20}, 9), deficient = regular;
    for (int64_t i = 0; i < 30000; i++) set(deficient, i, 7, 0);
    for (const Array *x : {&a, &regular, &deficient}) {
      mars_tensor *q, *r;
      mars_qr(borrow(s, *x), MARS_QR_REDUCED, &q, &r);
      all.push_back(q);
    }
    for (mars_tensor *r : all)
      EXPECT_TRUE(fails(s, r, MARS_E_NOSPACE, {"mars_run", path.c_str()}));
    EXPECT_TRUE(same_bits(fetched(kept), b));
    EXPECT_EQ(fetched(mars_inv(kept)).size(), 1600) << "the session goes on";
  }
  umount2(path.c_str(), MNT_DETACH);
}

// ---- every allocation, read and write ---------------------------------------------------------------------

class LinalgFaults : public testing::Test {
protected:
  void SetUp() override {
    Config c = config_of(kMinimalBudget);
    c.spill_dir = dir.path;
    s = std::make_unique<Session>(c);
    a = definite_matrix(MARS_F64, 300, 9);
    {
      Scope scope(*s);
      ASSERT_EQ(job(nullptr), MARS_OK); // what stays for good is there
    }
    want = result;
    settle(*s);
    live = shim_live_allocations(*s);
  }
  mars_status job(mars_error *err) {
    mars_tensor *t = borrow(*s, a), *p, *l, *u, *sign, *logdet;
    mars_lu(t, &p, &l, &u);
    mars_slogdet(t, &sign, &logdet);
    mars_tensor *wanted[] = {mars_cholesky(t), l, u, mars_inv(t), sign};
    mars_output o[6] = {};
    for (int i = 0; i < 5; i++)
      o[i].tensor = wanted[i];
    result = 0;
    o[5].tensor = mars_sum(mars_solve_triangular(t, mars_solve(t, p), MARS_LOWER, MARS_NO_TRANS, false), MARS_ALL);
    o[5].sink = MARS_SINK_MEMORY;
    o[5].data = &result;
    o[5].bytes = 8;
    mars_job *running = nullptr;
    mars_status st = mars_submit(*s, o, 6, &running, err);
    if (st == MARS_OK)
      st = mars_wait(running, err);
    mars_job_release(running);
    return st;
  }
  // Fails the n-th of something, n = 1, 2, ... with growing steps, until all goes well.
  void until_success(const std::function<void(int64_t)> &arm, const std::function<bool()> &met, mars_status allowed) {
    int failed = 0;
    for (int64_t n = 1;; n += 1 + n / (quick() ? 4 : 12)) {
      SCOPED_TRACE("fault " + std::to_string(n));
      mars_error err = {};
      mars_scope_open(*s); // before the fault: handles of a scope that could not be opened belong to the outer one
      arm(n);
      mars_status st = job(&err);
      bool hit = met();
      arm(-1);
      mars_scope_close(*s);
      if (st == MARS_OK) {
        EXPECT_EQ(result, want);
        if (!hit)
          break;
      } else {
        failed++;
        EXPECT_EQ(st, allowed) << mars_status_name(st) << ": " << err.message;
        EXPECT_NE(std::string(err.message).find("mars_"), std::string::npos) << err.message;
      }
      EXPECT_TRUE(no_leak(*s, live)) << "leaked records";
      if (HasFailure())
        return;
    }
    EXPECT_GT(failed, 5);
    mars_error err = {};
    Scope scope(*s);
    EXPECT_EQ(job(&err), MARS_OK) << err.message;
    EXPECT_EQ(result, want);
  }
  TempDir dir;
  Array a;
  std::unique_ptr<Session> s;
  double result = 0, want = 0;
  int64_t live = 0;
};

TEST_F(LinalgFaults, EveryAllocation) {
  until_success([this](int64_t n) { shim_fail_allocation(*s, n); }, [this] { return shim_allocation_failed(*s); }, MARS_E_MEMORY);
}

TEST_F(LinalgFaults, EveryWrite) {
  until_success([this](int64_t n) { shim_fail_io(*s, -1, n, ENOSPC); }, [] { return false; }, MARS_E_NOSPACE);
}

TEST_F(LinalgFaults, EveryRead) {
  until_success([this](int64_t n) { shim_fail_io(*s, n, -1, EIO); }, [] { return false; }, MARS_E_IO);
}

} // namespace
