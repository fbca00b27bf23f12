// mars_matmul: every dtype, operand layout, origin of operands, chunk size, budget and number of threads against
// sums of products element by element; symmetric products and what reads them.
#include "tests/linalg_util.h"

using namespace api;
using namespace linalg;

ORACLE_OF_ROUTINE(matmul)

namespace {

std::vector<Config> configs() {
  std::vector<Config> all = {Config(), config_of(kMinimalBudget, 2, 64), config_of(256 * MiB, 1, 331), config_of(kMinimalBudget),
                             config_of(kMinimalBudget, 1, 1500)};
  all[2].fusion = false;
  if (quick())
    all = {all[1], all[3]};
  return all;
}

// ---- layouts ---------------------------------------------------------------------------------------------

enum Layout { PLAIN, TURNED, CONJUGATE, TURNED_CONJUGATE, EVERY_SECOND, BACKWARDS, LAYOUTS };
const char *const kLayouts[] = {"plain", "turned", "conjugate", "turned conjugate", "every second", "backwards"};

// A tensor with the values of `a` that is a view of something else. memory: arrays that outlive the run
mars_tensor *laid_out(mars_session *s, const Array &a, Layout layout, std::vector<Array> *memory) {
  const size_t nd = a.dims.size();
  const int last = (int)nd - 1;
  memory->push_back(a);
  Array &m = memory->back();
  switch (layout) {
  case TURNED: m = transposed(a); return mars_swapaxes(borrow(s, m), last - 1, last);
  case CONJUGATE: m = conjugated(a); return mars_conj(borrow(s, m));
  case TURNED_CONJUGATE:
    m = conjugated(transposed(a));
    return mars_conj(mars_swapaxes(borrow(s, m), last - 1, last));
  case EVERY_SECOND: {
    std::vector<int64_t> dims = a.dims;
    dims[nd - 1] = 2 * dims[nd - 1] + 1;
    dims[nd - 2] = 3 * dims[nd - 2];
    m = Array(a.dt, dims);
    std::fill(m.bytes.begin(), m.bytes.end(), 1);
    const int64_t rows = a.dims[nd - 2], cols = a.dims[nd - 1];
    for (int64_t i = 0; i < a.size(); i++)
      std::memcpy(m.at((i / (rows * cols) * dims[nd - 2] + i / cols % rows * 3 + 1) * dims[nd - 1] + i % cols * 2), a.at(i), a.item());
    mars_slice items[] = {{MARS_SLICE_ELLIPSIS, 0, 0, 0},
                          {MARS_SLICE_RANGE, 1, MARS_NONE, 3},
                          {MARS_SLICE_RANGE, 0, -1, 2}};
    return mars_index(borrow(s, m), items, 3);
  }
  case BACKWARDS:
    for (int64_t i = 0; i < a.size(); i++)
      std::memcpy(m.at(a.size() - 1 - i), a.at(i), a.item());
    return mars_flip(borrow(s, m), MARS_ALL);
  default: return borrow(s, m);
  }
}

class Matmul : public testing::TestWithParam<mars_dtype> {};

TEST_P(Matmul, EveryPairOfLayouts) {
  const mars_dtype dt = GetParam();
  const bool complex = oracle::kind_of(dt) == 'c';
  Rng rng(3 + (uint64_t)dt);
  Array a = random_array(dt, {37, 41}, rng, true), b = random_array(dt, {41, 29}, rng, true);
  const Expected want = matmul(a, b);
  for (const Config &c : configs()) {
    mars_session *s = shared_session(c);
    for (int i = 0; i < LAYOUTS; i++)
      for (int j = 0; j < LAYOUTS; j++) {
        if (!complex && (i == CONJUGATE || j == CONJUGATE || i == TURNED_CONJUGATE || j == TURNED_CONJUGATE))
          continue;
        Scope scope(s);
        std::vector<Array> memory;
        memory.reserve(2);
        mars_tensor *x = laid_out(s, a, (Layout)i, &memory), *y = laid_out(s, b, (Layout)j, &memory);
        EXPECT_TRUE(near(fetched(mars_matmul(x, y)), want)) << kLayouts[i] << " @ " << kLayouts[j] << ", " << name_of(c);
      }
  }
}

TEST_P(Matmul, ShapesBatchesAndVectors) {
  const mars_dtype dt = GetParam();
  Rng rng(5 + (uint64_t)dt);
  const std::vector<int64_t> shapes[][2] = {
      {{1, 1}, {1, 1}},       {{2, 3}, {3, 2}},       {{16, 16}, {16, 16}},       {{33, 7}, {7, 65}},     {{1, 50}, {50, 40}},
      {{40, 50}, {50, 1}},    {{3, 200}, {200, 2}},   {{5, 12, 13}, {5, 13, 14}}, {{5, 12, 13}, {13, 14}},
      {{12, 13}, {5, 13, 14}}, {{2, 1, 12, 9}, {3, 9, 11}}, {{4, 1, 9}, {4, 9, 1}}, {{300, 2, 3}, {300, 3, 4}},
      {{1, 12, 9}, {3, 9, 11}}, {{2, 3, 20, 21}, {2, 3, 21, 22}}};
  for (const auto &pair : shapes) {
    Array a = random_array(dt, pair[0], rng, true), b = random_array(dt, pair[1], rng, true);
    const Expected want = matmul(a, b);
    for (const Config &c : configs()) {
      mars_session *s = shared_session(c);
      Scope scope(s);
      std::vector<Array> memory;
      memory.reserve(4);
      EXPECT_TRUE(near(fetched(mars_matmul(borrow(s, a), borrow(s, b))), want))
          << testing::PrintToString(pair[0]) << " @ " << testing::PrintToString(pair[1]) << ", " << name_of(c);
      EXPECT_TRUE(near(fetched(mars_matmul(laid_out(s, a, TURNED, &memory), laid_out(s, b, BACKWARDS, &memory))), want))
          << testing::PrintToString(pair[0]) << " turned @ " << testing::PrintToString(pair[1]) << ", " << name_of(c);
    }
  }
  Array v = random_array(dt, {41}, rng, true), w = random_array(dt, {41}, rng, true), m = random_array(dt, {23, 41}, rng, true),
        t = random_array(dt, {3, 41, 5}, rng, true);
  for (const Config &c : configs()) {
    mars_session *s = shared_session(c);
    Scope scope(s);
    EXPECT_TRUE(near(fetched(mars_matmul(borrow(s, v), borrow(s, w))), sum_of_products(dt, {"i", "i"}, "", {v, w}))) << name_of(c);
    EXPECT_TRUE(near(fetched(mars_matmul(borrow(s, m), borrow(s, v))), sum_of_products(dt, {"ij", "j"}, "i", {m, v}))) << name_of(c);
    EXPECT_TRUE(near(fetched(mars_matmul(borrow(s, v), mars_transpose(borrow(s, m)))), sum_of_products(dt, {"j", "ij"}, "i", {v, m})))
        << name_of(c);
    EXPECT_TRUE(near(fetched(mars_matmul(borrow(s, v), borrow(s, t))), sum_of_products(dt, {"j", "bjk"}, "bk", {v, t}))) << name_of(c);
    EXPECT_TRUE(near(fetched(mars_matmul(mars_swapaxes(borrow(s, t), 1, 2), borrow(s, v))), sum_of_products(dt, {"bjk", "j"}, "bk", {t, v})))
        << name_of(c);
  }
}

// ---- where operands come from ----------------------------------------------------------------------------

enum Origin { MEMORY, STRIDED, NPY, NPY_FORTRAN, KEPT, EXPRESSION, JOINED, RESHAPED, PRODUCT, ORIGINS };
const char *const kOrigins[] = {"memory", "strided", "npy", "npy fortran", "kept", "expression", "joined", "reshaped", "product"};

struct Sources {
  TempDir dir;
  std::vector<Array> memory;
  int files = 0;
};

mars_tensor *from(mars_session *s, const Array &a, Origin origin, Sources *src) {
  const int64_t rows = a.dims[0], cols = a.dims[1];
  mars_error err = {};
  src->memory.push_back(a);
  Array &m = src->memory.back();
  switch (origin) {
  case STRIDED: { // rows apart, from the last to the first
    m = Array(a.dt, {rows, cols + 3});
    for (int64_t i = 0; i < a.size(); i++)
      std::memcpy(m.at((rows - 1 - i / cols) * (cols + 3) + i % cols), a.at(i), a.item());
    int64_t strides[] = {-(int64_t)a.item() * (cols + 3), (int64_t)a.item()};
    return mars_from_memory(s, a.dt, shape_of(a.dims), strides, m.at((rows - 1) * (cols + 3)), nullptr, nullptr);
  }
  case NPY:
  case NPY_FORTRAN: {
    std::string path = src->dir.file(std::to_string(src->files++) + ".npy");
    NpyOptions o;
    o.fortran = origin == NPY_FORTRAN;
    write_npy(path, a, o);
    return mars_from_npy(s, path.c_str());
  }
  case KEPT: {
    mars_tensor *t = borrow(s, m);
    t = mars_where(mars_ones(s, MARS_BOOL, shape_of(a.dims)), t, t);
    EXPECT_TRUE(ok(mars_run(s, &t, 1, &err), err));
    return t;
  }
  case EXPRESSION: return mars_where(mars_less(mars_iota(s, MARS_I64, shape_of(a.dims), 1), mars_int(s, 1 << 20)), borrow(s, m), mars_zeros_like(borrow(s, m)));
  case JOINED: {
    mars_tensor *t = borrow(s, m);
    mars_slice top[] = {{MARS_SLICE_RANGE, 0, rows / 3, 1}}, bottom[] = {{MARS_SLICE_RANGE, rows / 3, MARS_NONE, 1}};
    mars_tensor *parts[] = {mars_index(t, top, 1), mars_index(t, bottom, 1)};
    return mars_concatenate(parts, 2, 0);
  }
  case RESHAPED: return mars_reshape(mars_ravel(borrow(s, m)), shape_of(a.dims));
  case PRODUCT: { // by the unit matrix
    mars_tensor *unit = mars_eye(s, a.dt, cols, cols, 0);
    return mars_matmul(borrow(s, m), unit);
  }
  default: return borrow(s, m);
  }
}

TEST_P(Matmul, EveryOrigin) {
  const mars_dtype dt = GetParam();
  if (quick() && dt != MARS_F64 && dt != MARS_C64 && dt != MARS_I16)
    return;
  Rng rng(7 + (uint64_t)dt);
  Array a = random_array(dt, {61, 53}, rng, true), b = random_array(dt, {53, 47}, rng, true);
  const Expected want = matmul(a, b);
  for (const Config &c : configs()) {
    mars_session *s = shared_session(c);
    for (int i = 0; i < ORIGINS; i++) {
      if (dt == MARS_BF16 && (i == NPY || i == NPY_FORTRAN))
        continue; // npy has no bf16
      Scope scope(s);
      Sources src;
      src.memory.reserve(4);
      mars_tensor *x = from(s, a, (Origin)i, &src), *y = from(s, b, (Origin)((i + 3) % 2), &src);
      EXPECT_TRUE(near(fetched(mars_matmul(x, y)), want)) << kOrigins[i] << " first, " << name_of(c);
      Array ta = transposed(a), tb = transposed(b);
      mars_tensor *p = mars_transpose(from(s, tb, (Origin)i, &src));
      EXPECT_TRUE(near(fetched(mars_matmul(x, p)), want)) << kOrigins[i] << " second turned, " << name_of(c);
    }
  }
}

std::string dtype_name(const testing::TestParamInfo<mars_dtype> &info) {
  return short_name(info.param);
}
INSTANTIATE_TEST_SUITE_P(Dtype, Matmul, testing::ValuesIn(kDtypes), dtype_name);

// ---- more than fits --------------------------------------------------------------------------------------

// Products several times the budget: operands and result are spilled, some chunks of generators made again. Checked by
// vectors: (a b) v = a (b v), and by single elements.
TEST(MatmulOutOfCore, LargerThanTheBudget) {
  const int64_t n = quick() ? 300 : 700;
  Rng rng(11);
  Array a = random_array(MARS_F64, {n, n}, rng, true), b = random_array(MARS_F64, {n, n}, rng, true);
  const double *pa = (const double *)a.bytes.data(), *pb = (const double *)b.bytes.data();
  TempDir dir;
  write_npy(dir.file("a.npy"), a);
  write_npy(dir.file("b.npy"), b);
  std::vector<Array> got;
  for (int threads : {1, 2})
    for (int how = 0; how < 4; how++) {
      Session s(config_of(2 * MiB, threads));
      Scope scope(s);
      mars_error err = {};
      mars_tensor *x = how == 0 ? borrow(s, a) : mars_from_npy(s, dir.file("a.npy").c_str()),
                  *y = how == 0 ? borrow(s, b) : mars_from_npy(s, dir.file("b.npy").c_str());
      mars_tensor *r;
      if (how == 2)
        x = mars_mul(mars_add(x, x), mars_float(s, 0.5)); // an expression, which is spilled
      r = how == 3 ? mars_transpose(mars_matmul(mars_transpose(y), mars_transpose(x))) : mars_matmul(x, y);
      if (how == 1) { // kept, larger than the budget
        ASSERT_TRUE(ok(mars_run(s, &r, 1, &err), err));
      }
      Array whole = fetched(r);
      const double *p = (const double *)whole.bytes.data();
      for (int64_t k = 0; k < 4000; k++) {
        const int64_t i = rng.below(n), j = rng.below(n);
        long double sum = 0, size = 0;
        for (int64_t l = 0; l < n; l++)
          sum += (long double)pa[i * n + l] * pb[l * n + j], size += std::fabs((long double)pa[i * n + l] * pb[l * n + j]);
        ASSERT_NEAR(p[i * n + j], (double)sum, (double)(size * (n + 4) * 0x1p-53L)) << i << ", " << j << " how " << how;
      }
      if (threads == 1)
        got.push_back(whole);
      else if (!threads_move_work()) {
        EXPECT_TRUE(same_bits(whole, got[(size_t)how])) << "two threads, how " << how;
      }
    }
}

TEST(MatmulOutOfCore, OfGenerators) {
  const int64_t n = quick() ? 200 : 500;
  for (size_t budget : {64 * MiB, 1 * MiB}) {
    std::vector<Array> got;
    for (int threads : {1, 2}) {
      Session s(config_of(budget, threads));
      Scope scope(s);
      mars_random_seed(s, 5);
      mars_tensor *x = mars_random_uniform(s, MARS_F64, MARS_SHAPE(n, n + 20), -1, 1),
                  *y = mars_random_standard_normal(s, MARS_F64, MARS_SHAPE(n + 20, n - 30));
      if (got.empty() || threads_move_work()) {
        Array ax = fetched(x), ay = fetched(y);
        got.push_back(fetched(mars_matmul(x, y)));
        Array small = sliced(ax, {0, 0}, {n / 10, 1}, {10, n + 20});
        const Expected want = matmul(small, ay);
        EXPECT_TRUE(near(sliced(got.back(), {0, 0}, {n / 10, 1}, {10, n - 30}), want));
        continue;
      }
      EXPECT_TRUE(same_bits(fetched(mars_matmul(x, y)), got[0])) << threads << " threads";
    }
  }
}

// Large enough for the threads to cut them as it suits them, with rows and columns that no kernel of BLAS likes: how many there are
// changes no bit. One chunk, where few threads have one part each, and chunks of a generator, of which the last ones are cut.
class MatmulInParts : public testing::TestWithParam<mars_dtype> {};

TEST_P(MatmulInParts, SameBitsForAnyNumberOfThreads) {
  const mars_dtype dt = GetParam();
  Rng rng(29);
  for (bool turned : {false, true}) {
    const int64_t m = turned ? 650 : 1031, n = turned ? 1303 : 777, k = turned ? 402 : 431;
    if (quick() && turned)
      continue;
    const Array a = random_array(dt, turned ? std::vector<int64_t>{k, m} : std::vector<int64_t>{m, k}, rng, true),
                b = random_array(dt, {k, n}, rng, true);
    Array want;
    for (int threads : {1, 2, 7}) {
      Session s(config_of(64 * MiB, threads));
      Scope scope(s);
      mars_tensor *x = turned ? mars_transpose(borrow(s, a)) : borrow(s, a);
      const Array got = fetched(mars_matmul(x, borrow(s, b)));
      if (threads == 1)
        want = got;
      EXPECT_TRUE(same_bits(got, want)) << m << " x " << n << ", " << threads << " threads";
    }
    const Array rows = turned ? transposed(sliced(a, {0, 100}, {1, 501}, {k, 2})) : sliced(a, {100, 0}, {501, 1}, {2, k});
    EXPECT_TRUE(near(sliced(want, {100, 0}, {501, 1}, {2, n}), matmul(rows, b)));
  }
}
INSTANTIATE_TEST_SUITE_P(Dtype, MatmulInParts, testing::Values(MARS_F32, MARS_F64, MARS_C64, MARS_C128), dtype_name);

TEST(MatmulOutOfCore, OfAGeneratorByItsTransposeInParts) {
  const int64_t n = 1700;
  double want[2] = {0, 0};
  for (int threads : {1, 2, 3}) {
    Session s(config_of(256 * MiB, threads, 850 * 850));
    Scope scope(s);
    mars_random_seed(s, 5);
    mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(n, n), -1, 1);
    mars_tensor *c = mars_matmul(a, mars_transpose(a)), *r[] = {mars_sum(mars_sub(c, a), MARS_ALL), mars_std(c, MARS_ALL)};
    for (int i = 0; i < 2; i++) {
      double got = 0;
      mars_error err = {};
      ASSERT_TRUE(ok(mars_fetch(r[i], &got, 8, &err), err));
      if (threads == 1)
        want[i] = got;
      EXPECT_EQ(got, want[i]) << threads << " threads, number " << i;
    }
  }
}

// ---- special values --------------------------------------------------------------------------------------

TEST(MatmulValues, NaNAndInfinityPropagate) {
  const double nan = std::nan(""), inf = HUGE_VAL;
  for (mars_dtype dt : {MARS_F16, MARS_BF16, MARS_F32, MARS_F64}) {
    Rng rng(13);
    Array a = random_array(dt, {40, 33}, rng, true), b = random_array(dt, {33, 35}, rng, true);
    auto put = [&](Array *x, int64_t i, double v) {
      Num num = x->get(i);
      num.re = v;
      x->set(i, num);
    };
    put(&a, 3 * 33 + 5, nan);
    put(&a, 7 * 33 + 2, inf);
    put(&a, 9 * 33 + 1, inf);
    put(&a, 9 * 33 + 2, -inf);
    put(&b, 4 * 35 + 6, nan);
    put(&b, 2 * 35 + 8, 0); // inf * 0
    const Expected want = matmul(a, b);
    for (const Config &c : configs()) {
      mars_session *s = shared_session(c);
      Scope scope(s);
      EXPECT_TRUE(near(fetched(mars_matmul(borrow(s, a), borrow(s, b))), want)) << short_name(dt) << " " << name_of(c);
      mars_tensor *x = borrow(s, a);
      Array gram = fetched(mars_matmul(x, mars_transpose(x)));
      EXPECT_TRUE(near(gram, matmul(a, transposed(a)))) << short_name(dt) << " symmetric " << name_of(c);
    }
  }
}

// Products and what is done with their rows, in one job, where the threads take some rows through all of it at once, and
// step by step, where each step is a pass of its own: the same bits, in whole chunks and in the last, odd one.
TEST(MatmulValues, RowsThroughSeveralStepsAtOnce) {
  const int64_t m = 2 * 16384 + 5003, n = 32;
  std::vector<double> want, x(n * n);
  for (int64_t i = 0; i < n * n; i++)
    x[(size_t)i] = 0.25 * (double)(i * 7919 % 101) - 12;
  for (int threads : {1, 2, 3}) {
    Session s(config_of(256 * MiB, threads, n * 16384));
    Scope scope(s);
    mars_error err = {};
    mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(m, n), -1, 1);
    mars_tensor *y = mars_from_memory(s, MARS_F64, MARS_SHAPE(n, n), nullptr, x.data(), nullptr, nullptr);
    mars_tensor *row = mars_from_memory(s, MARS_F64, MARS_SHAPE(n), nullptr, x.data() + n, nullptr, nullptr);
    std::vector<double> got((size_t)(m * n) + 2);
    const bool by_step = threads == 1;
    mars_tensor *t = a;
    for (int step = 0; step < 5; step++) {
      t = step == 0 ? mars_matmul(a, y)
          : step == 1 ? mars_mul(t, row)
          : step == 2 ? mars_matmul(t, y)
          : step == 3 ? mars_sub(mars_sin(t), a)
                      : t;
      if (by_step) {
        ASSERT_TRUE(ok(mars_run(s, &t, 1, &err), err));
      }
    }
    mars_tensor *most = mars_max(mars_absolute(t), MARS_ALL), *sum = mars_sum(t, MARS_ALL);
    auto into = [&](mars_tensor *from, size_t at, size_t count) {
      mars_output o = {};
      o.tensor = from;
      o.sink = MARS_SINK_MEMORY;
      o.data = &got[at];
      o.bytes = count * 8;
      return o;
    };
    const size_t all = (size_t)(m * n);
    const mars_output out[] = {into(t, 0, all), into(most, all, 1), into(sum, all + 1, 1)};
    mars_job *job = nullptr;
    ASSERT_TRUE(ok(mars_submit(s, out, 3, &job, &err), err));
    ASSERT_TRUE(ok(mars_wait(job, &err), err));
    mars_job_release(job);
    if (by_step)
      want = got;
    for (size_t i = 0; i < got.size(); i++)
      ASSERT_EQ(got[i], want[i]) << i << ", " << threads << " threads";
    double alone = 0; // and without the results in between
    ASSERT_TRUE(ok(mars_fetch(most, &alone, 8, &err), err));
    EXPECT_EQ(alone, want[all]);
  }
}

TEST(MatmulValues, EmptyMatrices) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  for (mars_dtype dt : kDtypes) {
    Array z = fetched(mars_matmul(mars_ones(s, dt, MARS_SHAPE(3, 0)), mars_ones(s, dt, MARS_SHAPE(0, 4))));
    EXPECT_EQ(z.dims, (std::vector<int64_t>{3, 4}));
    EXPECT_TRUE(same_bits(z, Array(dt, {3, 4})));
    EXPECT_EQ(fetched(mars_matmul(mars_ones(s, dt, MARS_SHAPE(0, 3)), mars_ones(s, dt, MARS_SHAPE(3, 4)))).dims,
              (std::vector<int64_t>{0, 4}));
    EXPECT_EQ(fetched(mars_matmul(mars_ones(s, dt, MARS_SHAPE(2, 0, 3)), mars_ones(s, dt, MARS_SHAPE(1, 3, 0)))).dims,
              (std::vector<int64_t>{2, 0, 0}));
    Array v = fetched(mars_matmul(mars_ones(s, dt, MARS_SHAPE(0)), mars_ones(s, dt, MARS_SHAPE(0))));
    EXPECT_TRUE(same_bits(v, Array(dt, {})));
  }
}

TEST(MatmulValues, OfConstants) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  Array got = fetched(mars_matmul(mars_ones(s, MARS_F64, MARS_SHAPE(30, 40)), mars_full(s, MARS_F64, MARS_SHAPE(40, 20), mars_float(s, 3))));
  for (int64_t i = 0; i < got.size(); i++)
    ASSERT_EQ((double)got.get(i).re, 120);
}

} // namespace
