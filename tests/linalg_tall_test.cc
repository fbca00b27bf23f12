// QR and SVD of matrices much taller than wide, against one-sided Jacobi in long double and by residuals.
#include "tests/linalg_util.h"

#include <complex>

using namespace api;

ORACLE_OF_ROUTINE(qr)
ORACLE_OF_ROUTINE(svd)

namespace {

using Real = long double;
using Cx = std::complex<Real>;

struct Matrix {
  int64_t m = 0, n = 0;
  std::vector<Cx> a;
  Matrix(int64_t rows, int64_t cols) : m(rows), n(cols), a((size_t)(rows * cols)) {}
  Cx &at(int64_t i, int64_t j) { return a[(size_t)(i * n + j)]; }
  const Cx &at(int64_t i, int64_t j) const { return a[(size_t)(i * n + j)]; }
};

bool complex_dtype(mars_dtype dt) {
  return dt == MARS_C64 || dt == MARS_C128;
}
mars_dtype real_dtype(mars_dtype dt) {
  return dt == MARS_C64 ? MARS_F32 : dt == MARS_C128 ? MARS_F64 : dt;
}

Cx element(const Array &a, int64_t i) {
  switch (a.dt) {
  case MARS_F32: return ((const float *)a.bytes.data())[i];
  case MARS_F64: return ((const double *)a.bytes.data())[i];
  case MARS_C64: return Cx(((const float *)a.bytes.data())[2 * i], ((const float *)a.bytes.data())[2 * i + 1]);
  default: return Cx(((const double *)a.bytes.data())[2 * i], ((const double *)a.bytes.data())[2 * i + 1]);
  }
}
void set_element(Array &a, int64_t i, Cx v) {
  switch (a.dt) {
  case MARS_F32: ((float *)a.bytes.data())[i] = (float)v.real(); break;
  case MARS_F64: ((double *)a.bytes.data())[i] = (double)v.real(); break;
  case MARS_C64:
    ((float *)a.bytes.data())[2 * i] = (float)v.real();
    ((float *)a.bytes.data())[2 * i + 1] = (float)v.imag();
    break;
  default:
    ((double *)a.bytes.data())[2 * i] = (double)v.real();
    ((double *)a.bytes.data())[2 * i + 1] = (double)v.imag();
  }
}

Array to_array(mars_dtype dt, const Matrix &x) {
  Array a(dt, {x.m, x.n});
  for (int64_t i = 0; i < x.m * x.n; i++)
    set_element(a, i, x.a[(size_t)i]);
  return a;
}
// Matrix number `batch` of an array
Matrix to_matrix(const Array &a, int64_t batch = 0) {
  size_t nd = a.dims.size();
  Matrix x(a.dims[nd - 2], a.dims[nd - 1]);
  for (int64_t i = 0; i < x.m * x.n; i++)
    x.a[(size_t)i] = element(a, batch * x.m * x.n + i);
  return x;
}

Matrix adjoint(const Matrix &x) {
  Matrix t(x.n, x.m);
  for (int64_t i = 0; i < x.m; i++)
    for (int64_t j = 0; j < x.n; j++)
      t.at(j, i) = std::conj(x.at(i, j));
  return t;
}
Cx times(Cx a, Cx b) { // without the care for infinities that makes it slow
  return Cx(a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real());
}
Matrix product(const Matrix &x, const Matrix &y) {
  Matrix r(x.m, y.n);
  for (int64_t i = 0; i < x.m; i++)
    for (int64_t k = 0; k < x.n; k++)
      for (int64_t j = 0; j < y.n; j++)
        r.at(i, j) += times(x.at(i, k), y.at(k, j));
  return r;
}
Real greatest(const Matrix &x) {
  Real g = 0;
  for (const Cx &v : x.a)
    g = std::isnan(v.real()) || std::isnan(v.imag()) ? INFINITY : std::max(g, std::abs(v));
  return g;
}
Real difference(const Matrix &x, const Matrix &y) {
  Matrix d = x;
  for (size_t i = 0; i < d.a.size(); i++)
    d.a[i] -= y.a[i];
  return greatest(d);
}
// greatest element of |x^H x - 1|
Real from_orthonormal(const Matrix &x) {
  Matrix g(x.n, x.n);
  for (int64_t k = 0; k < x.m; k++)
    for (int64_t i = 0; i < x.n; i++)
      for (int64_t j = 0; j < x.n; j++)
        g.at(i, j) += times(std::conj(x.at(k, i)), x.at(k, j));
  for (int64_t i = 0; i < x.n; i++)
    g.at(i, i) -= Real(1);
  return greatest(g);
}

// Singular values in falling order, by one-sided Jacobi
std::vector<Real> jacobi(Matrix x) {
  if (x.m < x.n)
    x = adjoint(x);
  for (int sweep = 0, turned = 1; sweep < 60 && turned; sweep++) {
    turned = 0;
    for (int64_t p = 0; p < x.n; p++)
      for (int64_t q = p + 1; q < x.n; q++) {
        Real a = 0, b = 0;
        Cx c = 0;
        for (int64_t i = 0; i < x.m; i++) {
          a += std::norm(x.at(i, p));
          b += std::norm(x.at(i, q));
          c += times(std::conj(x.at(i, p)), x.at(i, q));
        }
        if (std::abs(c) <= 1e-19L * std::sqrt(a) * std::sqrt(b) || std::abs(c) == 0)
          continue;
        turned = 1;
        Cx phase = c / std::abs(c);
        Real z = (b - a) / (2 * std::abs(c)), t = (z >= 0 ? 1 : -1) / (std::abs(z) + std::sqrt(1 + z * z));
        Real cs = 1 / std::sqrt(1 + t * t), sn = cs * t;
        for (int64_t i = 0; i < x.m; i++) {
          Cx xp = x.at(i, p), xq = times(x.at(i, q), std::conj(phase));
          x.at(i, p) = cs * xp - sn * xq;
          x.at(i, q) = sn * xp + cs * xq;
        }
      }
  }
  std::vector<Real> s;
  for (int64_t j = 0; j < x.n; j++) {
    Real sum = 0;
    for (int64_t i = 0; i < x.m; i++)
      sum += std::norm(x.at(i, j));
    s.push_back(std::sqrt(sum));
  }
  std::sort(s.rbegin(), s.rend());
  return s;
}

// ---- matrices -------------------------------------------------------------------------------------------

Matrix random_matrix(mars_dtype dt, int64_t m, int64_t n, Rng &rng) {
  Matrix x(m, n);
  for (Cx &v : x.a)
    v = Cx((Real)rng.unit() * 2 - 1, complex_dtype(dt) ? (Real)rng.unit() * 2 - 1 : 0);
  return x;
}
// Orthonormal columns, Gram-Schmidt twice
Matrix orthonormal(mars_dtype dt, int64_t m, int64_t n, Rng &rng) {
  Matrix x = random_matrix(dt, m, n, rng);
  for (int64_t j = 0; j < n; j++)
    for (int pass = 0; pass < 2; pass++) {
      for (int64_t k = 0; k < j; k++) {
        Cx c = 0;
        for (int64_t i = 0; i < m; i++)
          c += times(std::conj(x.at(i, k)), x.at(i, j));
        for (int64_t i = 0; i < m; i++)
          x.at(i, j) -= times(c, x.at(i, k));
      }
      Real sum = 0;
      for (int64_t i = 0; i < m; i++)
        sum += std::norm(x.at(i, j));
      for (int64_t i = 0; i < m; i++)
        x.at(i, j) /= std::sqrt(sum);
    }
  return x;
}
// Singular values from 1 down to 1 / condition, geometrically
Matrix conditioned(mars_dtype dt, int64_t m, int64_t n, Real condition, Rng &rng) {
  Matrix u = orthonormal(dt, m, n, rng), v = orthonormal(dt, n, n, rng);
  for (int64_t j = 0; j < n; j++)
    for (int64_t i = 0; i < m; i++)
      u.at(i, j) *= std::pow(condition, -(Real)j / (Real)std::max<int64_t>(1, n - 1));
  return product(u, adjoint(v));
}

std::vector<Real> values_of(int64_t n, Real condition) { // of conditioned()
  std::vector<Real> s;
  for (int64_t j = 0; j < n; j++)
    s.push_back(std::pow(condition, -(Real)j / (Real)std::max<int64_t>(1, n - 1)));
  return s;
}

// ---- checks ---------------------------------------------------------------------------------------------

// Of residuals and singular values, relative to the matrix; orthogonality as the rows of ops.def promise it, 20 n u and 40 n u
Real bound(mars_dtype dt) {
  return real_dtype(dt) == MARS_F32 ? 4e-6L : 1e-12L;
}
Real orthogonality(mars_dtype dt, int64_t n) {
  return std::min(bound(dt), 20 * (Real)n * oracle::unit_roundoff(real_dtype(dt)));
}

void check_qr(const Matrix &a, const Matrix &q, const Matrix &r, mars_dtype dt, const std::string &what) {
  ASSERT_EQ(q.m, a.m) << what;
  ASSERT_EQ(q.n, r.m) << what;
  ASSERT_EQ(r.n, a.n) << what;
  EXPECT_LT(from_orthonormal(q), orthogonality(dt, q.n)) << what;
  EXPECT_LE(difference(product(q, r), a), bound(dt) * greatest(a)) << what;
  for (int64_t i = 0; i < r.m; i++)
    for (int64_t j = 0; j < i; j++)
      EXPECT_EQ(r.at(i, j), Cx(0)) << what;
}

void check_svd(const Matrix &a, const Matrix &u, const std::vector<Real> &s, const Matrix &vh, mars_dtype dt,
               const std::string &what, const std::vector<Real> &known = {}) {
  Matrix us = u;
  const std::vector<Real> want = known.empty() ? jacobi(a) : known;
  ASSERT_EQ(s.size(), want.size()) << what;
  EXPECT_LT(from_orthonormal(u), 2 * orthogonality(dt, u.n)) << what;
  EXPECT_LT(from_orthonormal(adjoint(vh)), bound(dt)) << what;
  for (size_t j = 0; j < s.size(); j++) {
    for (int64_t i = 0; i < u.m; i++)
      us.at(i, (int64_t)j) *= s[j];
    EXPECT_NEAR((double)s[j], (double)want[j], (double)(bound(dt) * want[0])) << what << ", value " << j;
    EXPECT_GE(s[j], 0) << what;
    if (j > 0) {
      EXPECT_LE(s[j], s[j - 1]) << what;
    }
  }
  EXPECT_LE(difference(product(us, vh), a), bound(dt) * want[0]) << what;
}

std::vector<Real> values(const Array &s, int64_t batch = 0) {
  std::vector<Real> v;
  for (int64_t i = 0, n = s.dims.back(); i < n; i++)
    v.push_back(element(s, batch * n + i).real());
  return v;
}

struct Svd {
  Array u, s, vh;
};
Svd run_svd(mars_session *s, mars_tensor *a) {
  mars_tensor *u, *sv, *vh;
  std::vector<Array> r;
  mars_svd(a, false, &u, &sv, &vh);
  EXPECT_TRUE(fetch_all(s, {u, sv, vh}, &r));
  if (r.size() != 3)
    return Svd();
  return {r[0], r[1], r[2]};
}
struct Qr {
  Array q, r;
};
Qr run_qr(mars_session *s, mars_tensor *a) {
  mars_tensor *q, *r;
  std::vector<Array> out;
  mars_qr(a, MARS_QR_REDUCED, &q, &r);
  EXPECT_TRUE(fetch_all(s, {q, r}, &out));
  if (out.size() != 2)
    return Qr();
  return {out[0], out[1]};
}
void check_both(mars_session *s, mars_tensor *t, const Array &a, const std::string &what,
                const std::vector<Real> &known = {}) {
  const Svd d = run_svd(s, t);
  const Qr f = run_qr(s, t);
  if (d.u.bytes.empty() || f.q.bytes.empty())
    return;
  EXPECT_EQ(d.s.dt, real_dtype(a.dt)) << what;
  check_svd(to_matrix(a), to_matrix(d.u), values(d.s), to_matrix(d.vh), a.dt, what, known);
  check_qr(to_matrix(a), to_matrix(f.q), to_matrix(f.r), a.dt, what);
}

const mars_dtype kLapack[] = {MARS_F32, MARS_F64, MARS_C64, MARS_C128};

std::string label(mars_dtype dt, int64_t m, int64_t n, const std::string &more = "") {
  return std::string(short_name(dt)) + " " + std::to_string(m) + " x " + std::to_string(n) + " " + more;
}

// What the session logs
struct Log {
  std::string text;
  static void take(void *user, mars_log_level, const char *line) { ((Log *)user)->text += std::string(line) + "\n"; }
};

// ---- shapes, conditions ---------------------------------------------------------------------------------

TEST(Tall, Shapes) {
  Rng rng(1 + seed_base());
  const std::vector<std::pair<int64_t, int64_t>> shapes = {{4, 1}, {5, 1}, {1000, 1}, {16, 4}, {17, 4}, {63, 4}, {64, 4},
                                                            {65, 4}, {257, 8}, {100, 25}, {301, 16}, {300, 70}};
  for (int64_t chunk : {0, 64})
    for (int threads : {1, 2}) {
      Config c;
      c.chunk = chunk;
      c.threads = threads;
      mars_session *s = shared_session(c);
      for (auto [m, n] : shapes)
        for (mars_dtype dt : kLapack) {
          if ((quick() && (m * n > 2000 || threads == 2)) || (n == 70 && threads == 2))
            continue;
          Scope scope(s);
          Array a = to_array(dt, conditioned(dt, m, n, 8, rng));
          check_both(s, tensor(s, a), a, label(dt, m, n, name_of(c)), n > 20 ? values_of(n, 8) : std::vector<Real>());
        }
    }
}

// The condition decides the method, and the log tells
TEST(Tall, ConditionChoosesTheMethod) {
  Rng rng(2 + seed_base());
  const int64_t m = 300, n = 10;
  struct Case {
    Real condition;
    const char *f64, *f32;
  };
  for (const Case &k : {Case{1, "", ""}, Case{4, "", ""}, Case{1e3L, "second pass", ""}, Case{1e5L, "second pass", "second pass"},
                        Case{1e10L, "Householder", nullptr}, Case{1e14L, "Householder", nullptr}})
    for (mars_dtype dt : kLapack) {
      const char *want = real_dtype(dt) == MARS_F32 ? k.f32 : k.f64;
      if (!want)
        continue;
      Log log;
      Config c;
      c.chunk = 256;
      c.log = Log::take;
      c.user = &log;
      Session s(c);
      Scope scope(s);
      Array a = to_array(dt, conditioned(dt, m, n, k.condition, rng));
      mars_tensor *t = tensor(s, a), *r;
      mars_qr(t, MARS_QR_REDUCED, nullptr, &r);
      EXPECT_NE(explained(s, r).find("Cholesky QR"), std::string::npos);
      const std::string what = label(dt, m, n, "condition " + std::to_string((double)k.condition));
      check_both(s, t, a, what);
      if (*want)
        EXPECT_NE(log.text.find(want), std::string::npos) << what << log.text;
      else
        EXPECT_EQ(log.text, "") << what;
      Array got(dt, {n, n});
      mars_output out = {};
      out.tensor = r, out.sink = MARS_SINK_MEMORY, out.data = got.bytes.data(), out.bytes = got.bytes.size();
      mars_job *job;
      mars_error err = {};
      mars_stats stats;
      ASSERT_TRUE(ok(mars_submit(s, &out, 1, &job, &err), err));
      ASSERT_TRUE(ok(mars_wait(job, &err), err));
      mars_job_get_stats(job, &stats);
      mars_job_release(job);
      EXPECT_STREQ(stats.methods, !*want ? "qr by Cholesky QR" : *want == 's' ? "qr by Cholesky QR in two passes" : "qr by Householder reflections in blocks of rows") << what;
    }
}

TEST(Tall, DeficientAndGraded) {
  Rng rng(3 + seed_base());
  const int64_t m = 200, n = 9;
  for (mars_dtype dt : kLapack)
    for (int kind = 0; kind < 6; kind++) {
      Matrix x = random_matrix(dt, m, n, rng);
      for (int64_t i = 0; i < m; i++) {
        if (kind == 0) x.at(i, 8) = x.at(i, 0) + x.at(i, 1);           // rank 8
        if (kind == 1) x.at(i, 4) = 0;                                 // a column of zeros
        if (kind == 2) x.at(i, 0) = x.at(i, 8) = 0;                    // two
        if (kind == 3) for (int64_t j = 0; j < n; j++) x.at(i, j) = 0; // nothing
        if (kind == 4) for (int64_t j = 0; j < n; j++) x.at(i, j) *= std::pow(10.0L, -(Real)j * 3);  // graded columns
        if (kind == 5 && i > 7) for (int64_t j = 0; j < n; j++) x.at(i, j) = 0; // rank 8, in the first rows
      }
      Config c;
      c.chunk = kind % 2 ? 64 : 400;
      mars_session *s = shared_session(c);
      Scope scope(s);
      Array a = to_array(dt, x);
      check_both(s, tensor(s, a), a, label(dt, m, n, "kind " + std::to_string(kind)));
    }
}

// Squares of the elements neither over- nor underflow
TEST(Tall, ExtremeScales) {
  Rng rng(4 + seed_base());
  for (Real scale : {1e-200L, 1e200L}) {
    mars_session *s = shared_session(Config());
    Scope scope(s);
    Matrix x = conditioned(MARS_F64, 120, 5, 3, rng);
    for (Cx &v : x.a)
      v *= scale;
    Array a = to_array(MARS_F64, x);
    check_both(s, tensor(s, a), a, std::to_string((double)scale));
  }
}

TEST(Tall, NotANumber) {
  for (mars_dtype dt : kLapack)
    for (double bad : {(double)NAN, (double)INFINITY})
      for (int64_t where : {0, 777}) {
        mars_session *s = shared_session(Config());
        Scope scope(s);
        Rng rng(5);
        Matrix x = random_matrix(dt, 400, 4, rng);
        x.a[(size_t)where] = (Real)bad;
        mars_tensor *t = tensor(s, to_array(dt, x)), *q, *u;
        mars_error err = {};
        mars_qr(t, MARS_QR_REDUCED, &q, nullptr);
        mars_svd(t, false, &u, nullptr, nullptr);
        EXPECT_TRUE(says(mars_run(s, &q, 1, &err), err, MARS_E_NUMERIC, {"mars_qr"}));
        EXPECT_TRUE(says(mars_run(s, &u, 1, &err), err, MARS_E_NUMERIC, {"mars_svd", "NaN"}));
      }
}

// ---- sources and budgets --------------------------------------------------------------------------------

// A matrix larger than the budget: whatever the method, from wherever it comes
TEST(Tall, OutOfCore) {
  Config c;
  c.budget = kMinimalBudget;
  c.threads = 2;
  for (double tiny : {1.0, 1e-4, 1e-11}) { // the last column is nearly the first: one pass, two, reflections
    const bool reflectors = tiny < 1e-10;  // they may be on the devices as well
    const size_t memory = reflectors ? memory_of(c) : c.budget;
    const int64_t m = quick() ? 20000 : (int64_t)(30000 * memory / kMinimalBudget), n = 8;
    TempDir dir;
    Array a(MARS_F64, {m, n});
    double *p = (double *)a.bytes.data();
    Rng rng(6);
    for (int64_t i = 0; i < m; i++) {
      for (int64_t j = 0; j < n; j++)
        p[i * n + j] = rng.unit() * 2 - 1;
      p[i * n + n - 1] = p[i * n] + tiny * p[i * n + n - 1];
    }
    write_npy(dir.file("a.npy"), a);
    for (int source = 0; source < 2; source++) {
      Session s(c);
      Scope scope(s);
      mars_tensor *t = source ? mars_from_npy(s, dir.file("a.npy").c_str()) : borrow(s, a), *u, *sv, *vh;
      mars_svd(t, false, &u, &sv, &vh);
      const char *names[] = {"u.npy", "s.npy", "vh.npy"};
      mars_tensor *tensors[] = {u, sv, vh};
      std::vector<mars_output> out(3);
      std::vector<std::string> paths;
      for (int i = 0; i < 3; i++)
        paths.push_back(dir.file(names[i]));
      for (int i = 0; i < 3; i++) {
        out[(size_t)i].tensor = tensors[i];
        if (!source)
          continue; // kept, spilled
        out[(size_t)i].sink = MARS_SINK_NPY;
        out[(size_t)i].path = paths[(size_t)i].c_str();
      }
      mars_job *job = nullptr;
      mars_error err = {};
      mars_stats stats = {};
      mars_status st = mars_submit(s, out.data(), 3, &job, &err);
      if (st == MARS_OK)
        st = mars_wait(job, &err);
      ASSERT_TRUE(ok(st, err)) << tiny;
      mars_job_get_stats(job, &stats);
      mars_job_release(job);
      const size_t bytes = (size_t)(m * n * 8);
      if (!reflectors && source) {
        EXPECT_EQ(stats.spill_written_bytes, 0u) << tiny;
      } else if (!quick()) { // what there is no room for: of the reflectors anywhere, of a kept u on the host
        EXPECT_GE(stats.spill_written_bytes, bytes - (source ? memory : c.budget)) << tiny;
      }
      Array got[3];
      for (int i = 0; i < 3; i++) {
        if (source)
          ASSERT_TRUE(read_npy(paths[(size_t)i], &got[i]));
        else
          got[i] = fetched(tensors[i]);
      }
      check_svd(to_matrix(a), to_matrix(got[0]), values(got[1]), to_matrix(got[2]), MARS_F64, std::to_string(tiny));
    }
  }
}

// n x n matrices take most of the budget
TEST(Tall, ManyColumnsInTinyBudgets) {
  Rng rng(12 + seed_base());
  const int64_t n = quick() ? 20 : 64;
  for (size_t budget : {kMinimalBudget, 2 * MiB})
    for (Real condition : {3.0L, 1e4L, 1e11L}) {
      Config c;
      c.budget = budget;
      c.threads = 2;
      Session s(c);
      Scope scope(s);
      Array a = to_array(MARS_F64, conditioned(MARS_F64, 12 * n, n, condition, rng));
      check_both(s, borrow(s, a), a, name_of(c) + " condition " + std::to_string((double)condition),
                 values_of(n, condition));
    }
}

// The headline in small: nothing is stored, whatever is needed again is generated again
TEST(Tall, GeneratedInputIsNotSpilled) {
  const int64_t m = quick() ? 20000 : 300000, n = 32;
  Config c;
  c.budget = 24 * MiB;
  c.threads = 2;
  Session s(c);
  Scope scope(s);
  mars_tensor *a = mars_random_uniform(s, MARS_F64, mars_shape{2, {m, n}}, 0, 1), *u, *sv, *vh;
  mars_svd(a, false, &u, &sv, &vh);
  mars_tensor *back = mars_matmul(mars_multiply(u, sv), vh);
  mars_tensor *worst[2] = {mars_max(mars_absolute(mars_subtract(back, a)), MARS_ALL),
                           mars_max(mars_absolute(mars_subtract(mars_matmul(mars_transpose(u), u),
                                                                mars_eye(s, MARS_F64, n, n, 0))), MARS_ALL)};
  for (mars_tensor *t : worst) {
    double value = 1;
    mars_output o = {};
    mars_job *job = nullptr;
    mars_error err = {};
    mars_stats stats = {};
    o.tensor = t;
    o.sink = MARS_SINK_MEMORY;
    o.data = &value;
    o.bytes = sizeof value;
    mars_status st = mars_submit(s, &o, 1, &job, &err);
    if (st == MARS_OK)
      st = mars_wait(job, &err);
    ASSERT_TRUE(ok(st, err));
    mars_job_get_stats(job, &stats);
    mars_job_release(job);
    EXPECT_LT(value, 1e-12);
    EXPECT_GT(value, 0);
    EXPECT_EQ(stats.spill_written_bytes, 0u);
  }
}

// Columns of length one, like headline data: singular values to 1e-12, each relative to itself
TEST(Tall, SmallSingularValuesAreAccurate) {
  Rng rng(7 + seed_base());
  Array a(MARS_F64, {quick() ? 2000 : 20000, 12});
  for (int64_t i = 0; i < a.size(); i++)
    ((double *)a.bytes.data())[i] = rng.unit();
  mars_session *s = shared_session(Config());
  Scope scope(s);
  const std::vector<Real> got = values(fetched(mars_svdvals(tensor(s, a)))), want = jacobi(to_matrix(a));
  for (size_t j = 0; j < want.size(); j++)
    EXPECT_NEAR((double)got[j], (double)want[j], 1e-12 * (double)want[j]);
}

// ---- what does not change the result --------------------------------------------------------------------

static void expect_same_bits(const Svd &got, const Svd &want, int threads) {
  EXPECT_TRUE(same_bits(got.u, want.u)) << threads;
  EXPECT_TRUE(same_bits(got.s, want.s)) << threads;
  EXPECT_TRUE(same_bits(got.vh, want.vh)) << threads;
}

TEST(Tall, SameBitsForAnyThreadsAndAnyCompany) {
  for (Real condition : {3.0L, 1e4L, 1e12L}) {
    Rng rng(8);
    Array a = to_array(MARS_F64, conditioned(MARS_F64, 3000, 33, condition, rng));
    Svd first;
    for (int threads : {1, 2, 3}) {
      Config c;
      c.threads = threads;
      c.chunk = 5000;
      Session s(c);
      Scope scope(s);
      mars_tensor *t = tensor(s, a), *u, *sv, *vh;
      Svd d = run_svd(s, t);
      if (threads_move_work()) { // as does the company: then the same job alone is the same
        Session other(c);
        Scope inside(other);
        expect_same_bits(run_svd(other, tensor(other, a)), d, threads);
        continue;
      }
      if (threads == 1)
        first = d;
      expect_same_bits(d, first, threads);
      mars_svd(t, false, &u, nullptr, nullptr); // one at a time
      EXPECT_TRUE(same_bits(fetched(u), first.u));
      mars_svd(t, false, nullptr, &sv, nullptr);
      EXPECT_TRUE(same_bits(fetched(sv), first.s));
      mars_svd(t, false, nullptr, nullptr, &vh);
      EXPECT_TRUE(same_bits(fetched(vh), first.vh));
      EXPECT_TRUE(same_bits(fetched(mars_svdvals(t)), first.s));
    }
  }
}

TEST(Tall, Batches) {
  Rng rng(9 + seed_base());
  for (mars_dtype dt : kLapack) {
    const int64_t m = 90, n = 6;
    Array a(dt, {2, 3, m, n});
    for (int64_t b = 0; b < 6; b++) {
      Matrix x = conditioned(dt, m, n, b == 4 ? 1e3L : 2, rng);
      for (int64_t i = 0; i < m * n; i++)
        set_element(a, b * m * n + i, x.a[(size_t)i]);
    }
    Config c;
    c.chunk = 128;
    mars_session *s = shared_session(c);
    Scope scope(s);
    mars_tensor *t = tensor(s, a);
    const Svd d = run_svd(s, t);
    const Qr f = run_qr(s, t);
    ASSERT_EQ(d.u.dims, (std::vector<int64_t>{2, 3, m, n}));
    ASSERT_EQ(d.s.dims, (std::vector<int64_t>{2, 3, n}));
    for (int64_t b = 0; b < 6; b++) {
      const std::string what = label(dt, m, n, "batch " + std::to_string(b));
      check_svd(to_matrix(a, b), to_matrix(d.u, b), values(d.s, b), to_matrix(d.vh, b), dt, what);
      check_qr(to_matrix(a, b), to_matrix(f.q, b), to_matrix(f.r, b), dt, what);
    }
  }
}

// Columns of the caller's that are rows to the engine; a view of every second row; wide matrices
TEST(Tall, ViewsAndWide) {
  Rng rng(10 + seed_base());
  for (mars_dtype dt : kLapack) {
    mars_session *s = shared_session(Config());
    Scope scope(s);
    const int64_t m = 130, n = 7;
    Matrix x = conditioned(dt, m, n, 5, rng), xt(n, m);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++)
        xt.at(j, i) = x.at(i, j);
    Array a = to_array(dt, x), at = to_array(dt, xt);
    check_both(s, mars_transpose(tensor(s, at)), a, label(dt, m, n, "transposed"));
    const Svd d = run_svd(s, tensor(s, at));
    ASSERT_EQ(d.u.dims, (std::vector<int64_t>{n, n}));
    ASSERT_EQ(d.vh.dims, (std::vector<int64_t>{n, m}));
    check_svd(xt = to_matrix(at), to_matrix(d.u), values(d.s), to_matrix(d.vh), dt, label(dt, n, m, "wide"));
  }
}

// A decomposition of what another one made, in one job; neither knows beforehand which method it will be
TEST(Tall, OneAfterAnother) {
  Rng rng(13 + seed_base());
  Config c;
  c.chunk = 300;
  Session s(c);
  Scope scope(s);
  Array a = to_array(MARS_F64, conditioned(MARS_F64, 500, 12, 1e5L, rng));
  mars_tensor *q, *r, *u, *sv, *vh;
  mars_qr(tensor(s, a), MARS_QR_REDUCED, &q, &r);
  mars_svd(q, false, &u, &sv, &vh);
  std::vector<Array> out;
  ASSERT_TRUE(fetch_all(s, {q, r, u, sv, vh}, &out));
  check_qr(to_matrix(a), to_matrix(out[0]), to_matrix(out[1]), MARS_F64, "first");
  check_svd(to_matrix(out[0]), to_matrix(out[2]), values(out[3]), to_matrix(out[4]), MARS_F64, "second");
}

// When a job is planned again, what the session kept of earlier ones is still there, in memory or spilled
TEST(Tall, KeptValuesOutliveASecondPlan) {
  Rng rng(14 + seed_base());
  Log log;
  Config c;
  c.budget = kMinimalBudget;
  c.threads = 2;
  c.log = Log::take;
  c.user = &log;
  Session s(c);
  Scope scope(s);
  const int64_t m = 6000, n = 8;
  mars_tensor *noise = mars_random_uniform(s, MARS_F64, mars_shape{2, {m, n}}, 0, 1), *kept = mars_multiply(noise, noise);
  mars_error err = {};
  ASSERT_TRUE(ok(mars_run(s, &kept, 1, &err), err));
  const Array before = fetched(kept);
  for (Real condition : {1e5L, 1e12L}) {
    Array a = to_array(MARS_F64, conditioned(MARS_F64, m, n, condition, rng));
    mars_tensor *u, *sv, *vh, *sum;
    mars_svd(borrow(s, a), false, &u, &sv, &vh);
    sum = mars_add(u, kept);
    std::vector<Array> out;
    ASSERT_TRUE(fetch_all(s, {u, sv, vh, sum}, &out));
    check_svd(to_matrix(a), to_matrix(out[0]), values(out[1]), to_matrix(out[2]), MARS_F64, "svd");
    for (int64_t i = 0; i < m * n; i += 7)
      ASSERT_EQ(((double *)out[3].bytes.data())[i],
                ((double *)out[0].bytes.data())[i] + ((const double *)before.bytes.data())[i]);
    EXPECT_TRUE(same_bits(fetched(kept), before));
  }
  EXPECT_NE(log.text.find("second pass"), std::string::npos);
  EXPECT_NE(log.text.find("Householder"), std::string::npos);
}

// Blocks that lie across chunks, turned, or in several values are brought together
TEST(Tall, GatheredBlocks) {
  Rng rng(15 + seed_base());
  for (mars_dtype dt : kLapack)
    for (int64_t chunk : {64, 77, 1000}) {
      Config c;
      c.chunk = chunk;
      mars_session *s = shared_session(c);
      Scope scope(s);
      const int64_t m = 150, n = 11;
      Array a = to_array(dt, conditioned(dt, m, n, chunk == 77 ? 1e3L : 4, rng)), b = to_array(dt, conditioned(dt, 60, n, 4, rng));
      mars_tensor *x = mars_negative(tensor(s, a)), *y = mars_negative(tensor(s, b)); // computed, in chunks
      mars_tensor *pair[2] = {x, y};
      mars_tensor *turned[] = {mars_flip(x, MARS_AXES(0)), mars_flip(x, MARS_AXES(1)), mars_concatenate(pair, 2, 0),
                               mars_transpose(mars_negative(mars_transpose(x)))};
      for (int i = 0; i < 4; i++)
        check_both(s, turned[i], fetched(turned[i]), label(dt, m, n, name_of(c) + " view " + std::to_string(i)));
    }
}

// ---- nothing, and what is refused -----------------------------------------------------------------------

TEST(Tall, Empty) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_tensor *q, *r, *u, *sv, *vh;
  mars_tensor *rows = tensor(s, Array(MARS_F64, {5, 0})), *none = tensor(s, Array(MARS_F32, {0, 6, 2}));
  mars_qr(rows, MARS_QR_REDUCED, &q, &r);
  EXPECT_EQ(fetched(q).dims, (std::vector<int64_t>{5, 0}));
  EXPECT_EQ(fetched(r).dims, (std::vector<int64_t>{0, 0}));
  mars_qr(rows, MARS_QR_COMPLETE, &q, &r);
  EXPECT_TRUE(same_bits(fetched(q), fetched(mars_eye(s, MARS_F64, 5, 5, 0))));
  EXPECT_EQ(fetched(r).dims, (std::vector<int64_t>{5, 0}));
  mars_svd(rows, true, &u, &sv, &vh);
  EXPECT_TRUE(same_bits(fetched(u), fetched(mars_eye(s, MARS_F64, 5, 5, 0))));
  EXPECT_EQ(fetched(sv).dims, (std::vector<int64_t>{0}));
  EXPECT_EQ(fetched(vh).dims, (std::vector<int64_t>{0, 0}));
  mars_svd(none, false, &u, &sv, &vh);
  EXPECT_EQ(fetched(u).dims, (std::vector<int64_t>{0, 6, 2}));
  EXPECT_EQ(fetched(sv).dims, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(fetched(vh).dims, (std::vector<int64_t>{0, 2, 2}));
}

TEST(Tall, IntegersBecomeDoubles) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  Array a(MARS_I32, {40, 3});
  Rng rng(11);
  for (int64_t i = 0; i < a.size(); i++)
    ((int32_t *)a.bytes.data())[i] = (int32_t)rng.between(-9, 9);
  mars_tensor *t = tensor(s, a);
  check_both(s, t, fetched(mars_astype(t, MARS_F64)), "integers");
}

TEST(Tall, Refused) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_tensor *q, *r, *u;
  mars_qr(tensor(s, Array(MARS_F64, {5})), MARS_QR_REDUCED, &q, &r);
  EXPECT_TRUE(is_error(q, MARS_E_SHAPE, {"mars_qr", "(5,)"}));
  EXPECT_TRUE(is_error(r, MARS_E_SHAPE, {"mars_qr", "(5,)"}));
  mars_svd(tensor(s, Array(MARS_F16, {5, 2})), false, &u, nullptr, nullptr);
  EXPECT_TRUE(is_error(u, MARS_E_DTYPE, {"mars_svd", "float16"}));
  EXPECT_TRUE(is_error(mars_svdvals(tensor(s, Array(MARS_BF16, {5, 2}))), MARS_E_DTYPE, {"mars_svdvals"}));
  mars_qr(tensor(s, Array(MARS_F64, {5, 1})), (mars_qr_mode)7, &q, nullptr);
  EXPECT_TRUE(is_error(q, MARS_E_ARG, {"mode 7"}));
  mars_svd(nullptr, false, nullptr, nullptr, nullptr);
}

} // namespace
