// Factorisations on the CUDA device, one tile operation at a time, against the host's.
#include "tests/cuda_tile_util.h"

#include <cmath>
#include <array>
#include <complex>
#include <limits>
#include <string>

namespace {

using C = std::complex<double>;
const double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

bool narrow(mars_dtype dt) { return dt == MARS_F32 || dt == MARS_C64; }
mars_dtype wide_of(mars_dtype dt) { return parts(dt) == 2 ? MARS_C128 : MARS_F64; }
mars_dtype real_of(mars_dtype dt) { return narrow(dt) ? MARS_F32 : MARS_F64; }

Mat noise(std::mt19937 &rng, mars_dtype dt, int64_t rows, int64_t cols, bool by_rows, int gap = 0) {
  Mat m(dt, rows, cols, by_rows, gap);
  std::normal_distribution<double> normal;
  m.fill([&] { return normal(rng); });
  return m;
}

C value(Mat &m, int64_t i, int64_t j) { return {m.get(i, j, 0), parts(m.dt) == 2 ? m.get(i, j, 1) : 0}; }

class Factor : public CudaDevice, public ::testing::WithParamInterface<mars_dtype> {
protected:
  void SetUp() override {
    CudaDevice::SetUp();
    if (!IsSkipped() && !tile_can(cuda_, "lu_panel", GetParam())) GTEST_SKIP() << "no cuSOLVER";
  }
  mars_status on(vm_dev *dev, const char *op, unsigned flags, std::vector<Mat *> mats, const int64_t *p, std::string *message = nullptr) {
    std::vector<tile_mat> views;
    mars_error err = {};
    for (Mat *m : mats) views.push_back(m->view());
    mars_status st = tile_run(dev, op, flags, GetParam(), (int)views.size(), views.data(), p, &err);
    if (message != nullptr) *message = err.message;
    else EXPECT_EQ(st, MARS_OK) << op << ": " << err.message;
    return st;
  }
  // Runs on both and compares the first n matrices; host gets the same operands.
  void both(const char *op, unsigned flags, std::vector<Mat *> mats, int n, std::vector<int64_t> p) {
    SCOPED_TRACE(std::string(op) + " flags " + std::to_string(flags));
    p.resize(4);
    std::vector<Mat> copies;
    std::vector<Mat *> others;
    for (Mat *m : mats) copies.push_back(*m);
    for (Mat &m : copies) others.push_back(&m);
    ASSERT_TRUE(tile_can(cuda_, op, GetParam()));
    ASSERT_EQ(on(host_, op, flags, others, p.data()), MARS_OK);
    ASSERT_EQ(on(cuda_, op, flags, mats, p.data()), MARS_OK);
    for (int k = 0; k < n; k++) same(*mats[(size_t)k], copies[(size_t)k], k);
  }
  void same(Mat &got, Mat &want, int which) {
    double bound = narrow(GetParam()) ? 2e-4 : 1e-11;
    for (int64_t i = 0; i < got.rows; i++)
      for (int64_t j = 0; j < got.cols; j++)
        for (int k = 0; k < parts(got.dt); k++) {
          double w = want.get(i, j, k), g = got.get(i, j, k);
          if (std::isnan(w)) ASSERT_TRUE(std::isnan(g)) << "matrix " << which << " at " << i << ", " << j;
          else ASSERT_NEAR(g, w, bound * (1 + std::fabs(w))) << "matrix " << which << " at " << i << ", " << j << " part " << k;
        }
  }
  void fails(const char *op, unsigned flags, const std::vector<Mat *> &mats, std::vector<int64_t> p, const char *text) {
    std::vector<Mat> copies;
    std::vector<Mat *> others;
    std::string of_host, of_cuda;
    p.resize(4);
    for (Mat *m : mats) copies.push_back(*m);
    for (Mat &m : copies) others.push_back(&m);
    EXPECT_EQ(on(host_, op, flags, others, p.data(), &of_host), MARS_E_NUMERIC);
    EXPECT_EQ(on(cuda_, op, flags, mats, p.data(), &of_cuda), MARS_E_NUMERIC);
    EXPECT_NE(of_cuda.find(text), std::string::npos) << of_cuda;
    EXPECT_EQ(of_cuda, of_host);
  }
  std::mt19937 rng_{7};
};
INSTANTIATE_TEST_SUITE_P(Cuda, Factor, ::testing::Values(MARS_F32, MARS_F64, MARS_C64, MARS_C128),
                         [](const auto &i) { return std::string(mars_dtype_name(i.param)); });

// ---- LU ----

TEST_P(Factor, PanelsOfLu) {
  for (auto [m, n] : {std::pair<int, int>{40, 11}, {11, 11}, {1, 1}, {30, 1}}) {
    Mat a = noise(rng_, GetParam(), m, n, false, m == 40 ? 2 : 0), pivot(MARS_I32, n, 1, false);
    both("lu_panel", TILE_CHECK, {&a, &pivot}, 2, {5});
  }
}

TEST_P(Factor, ZeroPivotsArePassedOverOrNamed) {
  mars_dtype dt = GetParam();
  for (int zero : {0, 4, 10}) {
    Mat a = noise(rng_, dt, 25, 11, false), pivot(MARS_I32, 11, 1, false), b = a;
    for (int i = 0; i < 25; i++)
      for (int k = 0; k < parts(dt); k++) put(dt, a.at(i, zero), k, 0), put(dt, b.at(i, zero), k, 0);
    both("lu_panel", 0, {&a, &pivot}, 2, {});
    a = b;
    fails("lu_panel", TILE_CHECK, {&a, &pivot}, {100}, ("pivot of column " + std::to_string(100 + zero)).c_str());
    a = b;
    fails("lu_panel", TILE_CHECK | TILE_TRANS, {&a, &pivot}, {100}, ("pivot of row " + std::to_string(100 + zero)).c_str());
  }
  Mat ones(dt, 12, 12, false), pivot(MARS_I32, 12, 1, false);
  for (int i = 0; i < 12; i++)
    for (int j = 0; j < 12; j++) put(dt, ones.at(i, j), 0, 1);
  both("lu_panel", 0, {&ones, &pivot}, 2, {});
}

TEST_P(Factor, WhatIsNotFiniteStays) {
  mars_dtype dt = GetParam();
  for (double bad : {kNan, kInf}) {
    Mat a = noise(rng_, dt, 20, 7, false), pivot(MARS_I32, 7, 1, false);
    put(dt, a.at(13, 2), 0, bad);
    const int64_t p[4] = {0, 0, 0, 0};
    ASSERT_EQ(on(cuda_, "lu_panel", 0, {&a, &pivot}, p), MARS_OK);
    bool found = false;
    for (int i = 0; i < 20; i++)
      for (int j = 0; j < 7; j++) found |= !std::isfinite(a.get(i, j, 0));
    EXPECT_TRUE(found);
    for (int j = 0; j < 7; j++) {
      EXPECT_GE(pivot.get(j, 0, 0), j);
      EXPECT_LT(pivot.get(j, 0, 0), 20);
    }
  }
}

TEST_P(Factor, StepsOfLu) {
  mars_dtype dt = GetParam();
  const int m = 45, w = 8;
  for (int next : {0, 6}) {
    Mat a = noise(rng_, dt, m, w + next + 9, false, 1), pivot(MARS_I32, w, 1, false), then(MARS_I32, 6, 1, false), panel = a;
    panel.cols = w;
    const int64_t p[4] = {0, 0, 0, 0};
    ASSERT_EQ(on(host_, "lu_panel", 0, {&panel, &pivot}, p), MARS_OK);
    a.mem = panel.mem;
    if (next > 0) both("lu_step", TILE_CHECK, {&a, &pivot, &then}, 3, {w, next, w});
    else both("lu_step", 0, {&a, &pivot}, 1, {w, 0, w});
    Mat c = noise(rng_, dt, m, 10, false), back = noise(rng_, dt, m, 3, false), x = noise(rng_, dt, w, 5, false);
    both("lu_update", 0, {&c, &panel, &pivot}, 1, {});
    both("lu_back_t", 0, {&back, &panel, &pivot}, 1, {});
    Mat u = noise(rng_, dt, 20 + w, w, false), rhs = noise(rng_, dt, 30, 5, false), rhs_t = rhs;
    for (int i = 0; i < w; i++) put(dt, u.at(20 + i, i), 0, 9 + i);
    both("lu_back", 0, {&rhs, &u}, 1, {});
    both("lu_forward_t", 0, {&rhs_t, &u}, 1, {});
  }
}

TEST_P(Factor, ResultsOfLu) {
  mars_dtype dt = GetParam();
  const int m = 30;
  Mat first = noise(rng_, dt, m, 8, false), second = noise(rng_, dt, m - 8, 5, false), order(MARS_I64, m, 1, false), after(MARS_I64, m - 8, 1, false);
  for (int i = 0; i < m; i++) put(MARS_I64, order.at(i, 0), 0, i < 8 ? i : 8 + (i * 7 + 3) % (m - 8));
  for (int i = 0; i < m - 8; i++) put(MARS_I64, after.at(i, 0), 0, i < 5 ? 8 + i : 13 + (i - 5 + 4) % (m - 13));
  for (bool by_rows : {true, false}) {
    Mat l(dt, 17, 13, by_rows, 1);
    both("lu_lower", 0, {&l, &first, &order, &second, &after}, 1, {6, 0});
  }
  Mat diagonal(dt, 8, 1, false);
  both("lu_diag", 0, {&diagonal, &first}, 1, {});
}

// ---- QR ----

TEST_P(Factor, PanelsOfQr) {
  mars_dtype dt = GetParam();
  for (auto [m, k, cols] : {std::array<int, 3>{50, 9, 13}, {9, 9, 9}, {9, 9, 30}, {20, 1, 1}, {1, 1, 4}}) {
    Mat a = noise(rng_, dt, m, cols, false, m == 50 ? 3 : 0), t(dt, k, k, false);
    both("qr_panel", TILE_CHECK, {&a, &t}, 2, {0, 0, 0});
    Mat v = a;
    v.cols = k;
    for (unsigned flags : {0u, (unsigned)TILE_TRANS}) {
      Mat c = noise(rng_, dt, m, 6, false);
      both("qr_apply", flags, {&c, &v, &t}, 1, {64, 0, 0});
    }
  }
}

TEST_P(Factor, NamesWhatIsNotFinite) {
  mars_dtype dt = GetParam();
  Mat a = noise(rng_, dt, 12, 5, false), t(dt, 5, 5, false);
  put(dt, a.at(7, 3), parts(dt) - 1, kNan);
  put(dt, a.at(2, 4), 0, kInf);
  fails("qr_panel", TILE_CHECK, {&a, &t}, {0, 40, 0, 3}, "matrix 2 of the stack has a NaN or infinity in row 7, column 43");
  Mat s(real_of(dt), 1, 5, true), b = noise(rng_, dt, 8, 5, true), w(real_of(dt), 1, 8, true), h = noise(rng_, dt, 8, 8, false);
  put(dt, b.at(6, 1), 0, -kInf);
  fails("svd", 0, {&s, &b}, {0, 0, 0, 4}, "matrix 3 of the stack has a NaN or infinity in row 6, column 1");
  put(dt, h.at(2, 5), 0, kNan);
  const int64_t p[4] = {0, 0, 0, 0};
  ASSERT_EQ(on(cuda_, "eigh", TILE_LOWER, {&w, &h}, p), MARS_OK); // it stands in the other triangle
  h = noise(rng_, dt, 8, 8, false);
  put(dt, h.at(2, 5), 0, kNan);
  fails("eigh", TILE_UPPER, {&w, &h}, {0, 0, 0, 0}, "the matrix has a NaN or infinity in row 2, column 5");
}

// ---- whole matrices ----

double most_wrong(Mat &a, Mat &u, Mat &s, Mat &vh) {
  double worst = 0;
  for (int64_t i = 0; i < a.rows; i++)
    for (int64_t j = 0; j < a.cols; j++) {
      C sum = 0;
      for (int64_t k = 0; k < s.cols; k++) sum += value(u, i, k) * s.get(0, k, 0) * value(vh, k, j);
      worst = std::max(worst, std::abs(sum - value(a, i, j)));
    }
  return worst;
}

double not_orthogonal(Mat &u, bool columns) {
  double worst = 0;
  const int64_t n = columns ? u.cols : u.rows, depth = columns ? u.rows : u.cols;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      C sum = i == j ? -1 : 0;
      for (int64_t k = 0; k < depth; k++) sum += columns ? std::conj(value(u, k, i)) * value(u, k, j) : value(u, i, k) * std::conj(value(u, j, k));
      worst = std::max(worst, std::abs(sum));
    }
  return worst;
}

TEST_P(Factor, SingularValues) {
  mars_dtype dt = GetParam();
  const double bound = narrow(dt) ? 1e-4 : 1e-12;
  for (auto [m, n] : {std::pair<int, int>{9, 17}, {17, 9}, {10, 10}})
    for (int job : {0, 1, 2}) { // values, reduced, full
      SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(n) + " job " + std::to_string(job));
      const int k = std::min(m, n), ku = job == 2 ? m : k, kv = job == 2 ? n : k;
      Mat a = noise(rng_, dt, m, n, true, 1), kept = a, s(real_of(dt), 1, k, true), want = s, u(dt, m, ku, true, 1), vh(dt, kv, n, true, 1);
      const int64_t p[4] = {job, 0, 0, 0}, values[4] = {0, 0, 0, 0};
      std::vector<Mat *> mats = {&s, &a};
      if (job > 0) mats.insert(mats.end(), {&u, &vh});
      ASSERT_EQ(on(cuda_, "svd", 0, mats, p), MARS_OK);
      a = kept;
      ASSERT_EQ(on(host_, "svd", 0, {&want, &a}, values), MARS_OK);
      same(s, want, 0);
      if (job == 0) continue;
      EXPECT_LT(most_wrong(kept, u, s, vh), bound * 20);
      EXPECT_LT(not_orthogonal(u, true), bound * 5);
      EXPECT_LT(not_orthogonal(vh, false), bound * 5);
    }
}

TEST_P(Factor, Eigenvalues) {
  mars_dtype dt = GetParam();
  const double bound = narrow(dt) ? 1e-4 : 1e-12;
  const int n = 14;
  Mat h = noise(rng_, dt, n, n, false);
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++)
      for (int k = 0; k < parts(dt); k++) put(dt, h.at(j, i), k, i == j && k == 1 ? 0 : (k == 1 ? -1 : 1) * h.get(i, j, k));
  for (unsigned triangle : {(unsigned)TILE_LOWER, (unsigned)TILE_UPPER})
    for (int job : {0, 1}) {
      Mat v = h, other = h, w(real_of(dt), 1, n, true), want = w;
      const int64_t p[4] = {job, 0, 0, 0};
      ASSERT_EQ(on(cuda_, "eigh", triangle, {&w, &v}, p), MARS_OK);
      ASSERT_EQ(on(host_, "eigh", triangle, {&want, &other}, p), MARS_OK);
      same(w, want, 0);
      if (job == 0) continue;
      EXPECT_LT(not_orthogonal(v, true), bound * 5);
      for (int j = 0; j < n; j++)
        for (int i = 0; i < n; i++) {
          C sum = -w.get(0, j, 0) * value(v, i, j);
          for (int k = 0; k < n; k++) sum += value(h, i, k) * value(v, k, j);
          ASSERT_LT(std::abs(sum), bound * 20) << i << ", " << j;
        }
    }
}

TEST_P(Factor, LeavesSmallOnesToTheHost) {
  mars_dtype dt = GetParam();
  Mat s(real_of(dt), 1, 32, true), small(dt, 32, 32, true), values(real_of(dt), 1, 200, true), large(dt, 200, 300, true);
  tile_mat few[2] = {s.view(), small.view()}, many[2] = {values.view(), large.view()};
  const int64_t p[4] = {0, 0, 0, 0};
  EXPECT_FALSE(tile_wants(cuda_, "svd", 0, dt, 2, few, p));
  EXPECT_FALSE(tile_wants(cuda_, "eigh", TILE_LOWER, dt, 2, few, p));
  EXPECT_TRUE(tile_wants(cuda_, "svd", 0, dt, 2, many, p));
}

// ---- tall matrices ----

TEST_P(Factor, GramMatrices) {
  mars_dtype dt = GetParam();
  const int n = 7;
  Mat r = noise(rng_, wide_of(dt), n, n, true);
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < i; j++)
      for (int k = 0; k < parts(dt); k++) put(r.dt, r.at(i, j), k, 0);
    put(r.dt, r.at(i, i), 0, 5);
  }
  for (bool by_rows : {true, false})
    for (bool divided : {false, true}) {
      Mat a = noise(rng_, dt, 900, n, by_rows), sum(wide_of(dt), 2 * n, n, true), own = sum;
      std::vector<Mat *> mats = {&sum, &a}, others = {&own, &a};
      if (divided) mats.push_back(&r), others.push_back(&r);
      const int64_t p[4] = {0, 0, 0, 0};
      for (unsigned flags : {(unsigned)TILE_FIRST, 0u}) {
        ASSERT_EQ(on(cuda_, "tall_gram", flags, mats, p), MARS_OK);
        ASSERT_EQ(on(host_, "tall_gram", flags, others, p), MARS_OK);
      }
      for (int i = 0; i < n; i++) // sum and what was lost of it, the upper triangle
        for (int j = i; j < n; j++)
          for (int k = 0; k < parts(dt); k++)
            ASSERT_NEAR(sum.get(i, j, k) + sum.get(n + i, j, k), own.get(i, j, k) + own.get(n + i, j, k), 1e-10) << i << ", " << j;
      Mat x = noise(rng_, wide_of(dt), n, n, true), u(dt, 900, n, true);
      std::vector<Mat *> product = {&u, &a, &x};
      if (divided) product.push_back(&r);
      both("tall_mul", 0, product, 1, {4});
    }
}

TEST_P(Factor, BlocksOfReflections) {
  mars_dtype dt = GetParam();
  for (auto [rows, height, n] : {std::array<int, 3>{70, 70, 12}, {5, 12, 12}, {40, 40, 1}})
    for (bool wide : {false, true}) {
      const mars_dtype own = wide ? wide_of(dt) : dt;
      const int nb = std::min(5, n);
      SCOPED_TRACE(std::to_string(rows) + " rows " + (wide ? "wide" : ""));
      Mat v(own, height, n, true), t(own, nb, n, true), r(wide_of(dt), n, n, true), a = noise(rng_, own, rows, n, true);
      const std::vector<int64_t> p = {wide, height, nb};
      both("tall_qr", 0, {&v, &t, &r, &a}, 1, p);
      Mat r2(wide_of(dt), n, n, true);
      both("tall_qr", 0, {&v, &t, &r2, &a}, 1, p);
      Mat x = noise(rng_, wide_of(dt), n, n, true), out(own, rows, n, true);
      both("tall_apply", 0, {&out, &v, &t, &x}, 1, p); // the host knows what the device has made
      const int64_t pieces[4] = {wide, 1, nb, 0};
      tile_mat views[4] = {v.view(), t.view(), r.view(), a.view()};
      if (height > 12) {
        EXPECT_FALSE(tile_wants(cuda_, "tall_qr", 0, dt, 4, views, pieces));
      }
    }
}

// ---- integers ----

class Integers : public CudaDevice, public ::testing::WithParamInterface<mars_dtype> {};
INSTANTIATE_TEST_SUITE_P(Cuda, Integers, ::testing::Values(MARS_I32, MARS_U32, MARS_I64),
                         [](const auto &i) { return std::string(mars_dtype_name(i.param)); });

TEST_P(Integers, ProductsWrapAround) {
  mars_dtype dt = GetParam();
  ASSERT_TRUE(tile_can(cuda_, "gemm", dt));
  std::mt19937 rng(3);
  for (int layout = 0; layout < 8; layout++)
    for (unsigned flags : {(unsigned)TILE_FIRST, (unsigned)TILE_NEGATE}) {
      Mat c(dt, 37, 41, layout & 1, 1), a(dt, 37, 19, layout & 2, 1), b(dt, 19, 41, layout & 4, 1);
      for (Mat *m : {&c, &a, &b}) m->fill([&] { return (double)((int64_t)rng() - (1ll << 31)) * (mars_dtype_bytes(dt) == 8 ? 1048576 : 0.5); });
      Mat own = c;
      tile_mat x[3] = {own.view(), a.view(), b.view()}, y[3] = {c.view(), a.view(), b.view()};
      mars_error err = {};
      ASSERT_EQ(tile_run(host_, "gemm", flags, dt, 3, x, nullptr, &err), MARS_OK) << err.message;
      ASSERT_EQ(tile_run(cuda_, "gemm", flags, dt, 3, y, nullptr, &err), MARS_OK) << err.message;
      EXPECT_EQ(c.mem, own.mem);
    }
}

} // namespace
