// Symmetric and Hermitian products: half of them is computed, and nobody can tell by the values.
#include "tests/linalg_util.h"

using namespace api;
using namespace linalg;

namespace {

std::vector<Config> configs() {
  std::vector<Config> all = {Config(), config_of(kMinimalBudget, 2, 100), config_of(256 * MiB, 1, 333), config_of(kMinimalBudget, 1)};
  all[2].fusion = false;
  if (quick())
    all = {all[1], all[2]};
  return all;
}

enum Kind { A_AT, AT_A, A_AH, AH_A, CONJ_A_AT, KINDS };
const char *const kKinds[] = {"a a^T", "a^T a", "a a^H", "a^H a", "conj(a) a^T"};

mars_tensor *turned(mars_tensor *t) {
  const int last = mars_shape_of(t).ndim - 1;
  return mars_swapaxes(t, last - 1, last);
}

mars_tensor *product(mars_tensor *t, Kind kind) {
  switch (kind) {
  case A_AT: return mars_matmul(t, turned(t));
  case AT_A: return mars_matmul(turned(t), t);
  case A_AH: return mars_matmul(t, mars_conj(turned(t)));
  case AH_A: return mars_matmul(turned(mars_conj(t)), t);
  default: return mars_matmul(mars_conj(t), turned(t));
  }
}

Expected expected(const Array &a, Kind kind) {
  switch (kind) {
  case A_AT: return matmul(a, transposed(a));
  case AT_A: return matmul(transposed(a), a);
  case A_AH: return matmul(a, conjugated(transposed(a)));
  case AH_A: return matmul(conjugated(transposed(a)), a);
  default: return matmul(conjugated(a), transposed(a));
  }
}

// Zeros have no sign here: the conjugate of 0 is -0.
Array unsigned_zeros(const Array &a) {
  Array r = a;
  for (int64_t i = 0; i < r.size(); i++) {
    Num v = r.get(i);
    v.re += 0, v.im += 0;
    r.set(i, v);
  }
  return r;
}

class Symmetric : public testing::TestWithParam<mars_dtype> {};

TEST_P(Symmetric, ValuesAndMirrorImages) {
  const mars_dtype dt = GetParam();
  Rng rng(19 + (uint64_t)dt);
  for (std::vector<int64_t> dims : {std::vector<int64_t>{57, 43}, {43, 57}, {2, 3, 19, 23}, {40, 1}, {2, 2}}) {
    Array a = random_array(dt, dims, rng, true);
    for (int k = 0; k < KINDS; k++) {
      const Expected want = expected(a, (Kind)k);
      for (const Config &c : configs()) {
        mars_session *s = shared_session(c);
        Scope scope(s);
        mars_tensor *r = product(borrow(s, a), (Kind)k);
        Array got = fetched(r);
        EXPECT_TRUE(near(got, want)) << kKinds[k] << " of " << testing::PrintToString(dims) << ", " << name_of(c);
        const bool herm = oracle::kind_of(dt) == 'c' && k >= A_AH;
        EXPECT_TRUE(same_bits(unsigned_zeros(got), unsigned_zeros(herm ? conjugated(transposed(got)) : transposed(got))))
            << kKinds[k] << " is its own mirror image, " << name_of(c);
      }
    }
  }
}

// What follows a symmetric product, each against the whole product in memory.
TEST_P(Symmetric, WhatReadsIt) {
  const mars_dtype dt = GetParam();
  const bool complex = oracle::kind_of(dt) == 'c';
  const int64_t n = quick() ? 53 : 91;
  Rng rng(29 + (uint64_t)dt);
  Array a = random_array(dt, {n, 23}, rng, true);
  TempDir dir;
  for (int k : {(int)A_AT, (int)A_AH}) {
    if (!complex && k == A_AH)
      continue;
    const Expected want = expected(a, (Kind)k);
    for (const Config &c : configs()) {
      mars_session *s = shared_session(c);
      Scope scope(s);
      const std::string where = std::string(kKinds[k]) + ", " + name_of(c);
      mars_error err = {};
      // the bits that everything has to agree with
      const Array p = fetched(product(borrow(s, a), (Kind)k));
      ASSERT_TRUE(near(p, want)) << where;
      auto fresh = [&]() { return product(borrow(s, a), (Kind)k); };
      mars_tensor *whole = borrow(s, p);
      real most = 0, slack = 0;
      for (int64_t i = 0; i < p.size(); i++) {
        const Num v = p.get(i);
        most = std::max(most, oracle::kind_of(dt) == 'i' ? 0 : std::hypot(v.re, v.im));
        slack = std::max(slack, want.slack[(size_t)i]);
      }
      // the same chunks give the same bits; where the size of chunks follows from what else there is, rounding may differ
      auto same = [&](const char *what, mars_tensor *got, mars_tensor *as) {
        const Array x = fetched(got), y = fetched(as);
        if (c.chunk != 0) {
          EXPECT_TRUE(same_bits(x, y)) << what << ", " << where;
          return;
        }
        const Expected close{y.dt, y.dims, numbers(y), std::vector<real>((size_t)y.size(), slack * (2 + 2 * most + (real)n))};
        EXPECT_TRUE(near(x, close)) << what << ", " << where;
      };
      same("elementwise", mars_add(fresh(), mars_multiply(fresh(), fresh())), mars_add(whole, mars_multiply(whole, whole)));
      same("turned", mars_transpose(fresh()), mars_transpose(whole));
      mars_slice items[] = {{MARS_SLICE_RANGE, 5, MARS_NONE, 3}, {MARS_SLICE_RANGE, MARS_NONE, 2, -2}};
      same("sliced", mars_index(fresh(), items, 2), mars_index(whole, items, 2));
      mars_slice row[] = {{MARS_SLICE_INTEGER, 3, 0, 0}};
      same("a row", mars_index(fresh(), row, 1), mars_index(whole, row, 1));
      same("reshaped", mars_add(mars_reshape(fresh(), MARS_SHAPE(n * n)), mars_float(s, 0)),
           mars_add(mars_reshape(whole, MARS_SHAPE(n * n)), mars_float(s, 0)));
      same("diagonal", mars_diagonal(fresh(), 2), mars_diagonal(whole, 2));
      same("other diagonal", mars_diagonal(fresh(), -7), mars_diagonal(whole, -7));
      same("tril", mars_tril(fresh(), 1), mars_tril(whole, 1));
      mars_tensor *join[] = {fresh(), mars_flip(fresh(), MARS_AXES(0))}, *join2[] = {whole, mars_flip(whole, MARS_AXES(0))};
      same("joined", mars_concatenate(join, 2, 1), mars_concatenate(join2, 2, 1));
      same("running sum", mars_cumsum(fresh(), 1), mars_cumsum(whole, 1));
      // sums in other chunks differ in the last bits
      const mars_dtype sum_dt = mars_dtype_of(mars_sum(whole, MARS_ALL));
      Expected rows = sum_of_products(sum_dt, {"ij"}, "j", {p});
      EXPECT_TRUE(near(fetched(mars_sum(fresh(), MARS_AXES(0))), rows)) << where;
      mars_tensor *quarter = mars_astype(mars_multiply(fresh(), mars_full(s, dt, MARS_SHAPE_0D, mars_float(s, 1 / 64.0))), dt);
      Array scaled = fetched(mars_astype(mars_multiply(whole, mars_full(s, dt, MARS_SHAPE_0D, mars_float(s, 1 / 64.0))), dt));
      EXPECT_TRUE(near(fetched(mars_sum(quarter, MARS_ALL)), sum_of_products(sum_dt, {"ij"}, "", {scaled}))) << where;
      EXPECT_TRUE(near(fetched(mars_matmul(fresh(), borrow(s, a))), matmul(p, a))) << "as an operand, " << where;
      if (!oracle::is_half(dt)) { // overflows
        EXPECT_TRUE(near(fetched(mars_matmul(fresh(), fresh())), matmul(p, p))) << "by itself, " << where;
      }
      // kept, and then read
      mars_tensor *kept = fresh();
      ASSERT_TRUE(ok(mars_run(s, &kept, 1, &err), err)) << where;
      same("kept", kept, whole);
      same("kept, turned", mars_transpose(kept), mars_transpose(whole));
      same("kept, diagonal", mars_diagonal(kept, 1), mars_diagonal(whole, 1));
      ASSERT_TRUE(ok(mars_save_npy(fresh(), dir.file("p.npy").c_str(), &err), err)) << where;
      Array back;
      ASSERT_TRUE(read_npy(dir.file("p.npy"), &back)) << where;
      EXPECT_TRUE(same_bits(back, p)) << "saved, " << where;
    }
  }
}

// Of something that is a view itself, or an expression.
TEST_P(Symmetric, OfViewsAndExpressions) {
  const mars_dtype dt = GetParam();
  Rng rng(37);
  Array a = random_array(dt, {90, 64}, rng, true);
  Array part = sliced(a, {80, 1}, {-2, 3}, {40, 21});
  for (const Config &c : configs()) {
    mars_session *s = shared_session(c);
    Scope scope(s);
    mars_slice items[] = {{MARS_SLICE_RANGE, 80, 0, -2}, {MARS_SLICE_RANGE, 1, MARS_NONE, 3}};
    mars_tensor *view = mars_index(borrow(s, a), items, 2);
    EXPECT_TRUE(near(fetched(product(view, A_AT)), expected(part, A_AT))) << name_of(c);
    EXPECT_TRUE(near(fetched(product(view, AH_A)), expected(part, AH_A))) << name_of(c);
    mars_tensor *twice = mars_add(borrow(s, a), borrow(s, a));
    Array sum = fetched(twice);
    EXPECT_TRUE(near(fetched(product(twice, AT_A)), expected(sum, AT_A))) << name_of(c);
    EXPECT_TRUE(near(fetched(product(mars_flip(twice, MARS_AXES(0)), A_AH)),
                     expected(sliced(sum, {89, 0}, {-1, 1}, {90, 64}), A_AH)))
        << name_of(c);
  }
}

std::string dtype_name(const testing::TestParamInfo<mars_dtype> &info) {
  return short_name(info.param);
}
INSTANTIATE_TEST_SUITE_P(Dtype, Symmetric, testing::Values(MARS_I32, MARS_F16, MARS_F32, MARS_F64, MARS_C64, MARS_C128), dtype_name);

TEST(SymmetricOutOfCore, SpilledKeptAndReadEveryWay) {
  const int64_t n = quick() ? 300 : 640, m = 200;
  Rng rng(43);
  Array a = random_array(MARS_F64, {n, m}, rng, true);
  TempDir dir;
  write_npy(dir.file("a.npy"), a);
  std::vector<Array> got;
  for (int threads : {1, 2}) {
    Session s(config_of(2 * MiB, threads));
    Scope scope(s);
    mars_error err = {};
    mars_tensor *x = mars_from_npy(s, dir.file("a.npy").c_str());
    mars_tensor *p = mars_matmul(x, mars_transpose(x));
    Array d = fetched(mars_diagonal(p, 0)), total = fetched(mars_sum(mars_sqrt(mars_absolute(p)), MARS_ALL));
    ASSERT_TRUE(ok(mars_run(s, &p, 1, &err), err));
    ASSERT_TRUE(ok(mars_save_npy(p, dir.file("p.npy").c_str(), &err), err));
    Array whole = fetched(p), back;
    ASSERT_TRUE(read_npy(dir.file("p.npy"), &back));
    EXPECT_TRUE(same_bits(back, whole));
    EXPECT_TRUE(same_bits(transposed(whole), whole));
    const double *w = (const double *)whole.bytes.data(), *q = (const double *)a.bytes.data();
    long double sum = 0;
    for (int64_t i = 0; i < n; i++) {
      ASSERT_EQ(((const double *)d.bytes.data())[i], w[i * n + i]) << i;
      const int64_t j = (i * 7 + 3) % n;
      long double dot = 0, size = 0;
      for (int64_t k = 0; k < m; k++)
        dot += (long double)q[i * m + k] * q[j * m + k], size += std::fabs((long double)q[i * m + k] * q[j * m + k]);
      ASSERT_NEAR(w[i * n + j], (double)dot, (double)(size * (m + 4) * 0x1p-53L)) << i << ", " << j;
      for (int64_t k = 0; k < n; k++)
        sum += std::sqrt(std::fabs((long double)w[i * n + k]));
    }
    EXPECT_NEAR((double)total.get(0).re, (double)sum, (double)sum * 1e-13);
    got.push_back(whole);
  }
  EXPECT_TRUE(same_bits(got[0], got[1])) << "two threads";
}

} // namespace
