// Jobs larger than the budget: the same values as in memory, spilled results read back, files in and out.
#include "tests/api_util.h"

#include <sys/stat.h>
#include <unistd.h>

using namespace api;

namespace {

// Random f64 data, fast
Array noise(std::vector<int64_t> dims, uint64_t seed) {
  Array a(MARS_F64, std::move(dims));
  Rng rng(seed);
  double *p = (double *)a.bytes.data();
  for (int64_t i = 0; i < a.size(); i++)
    p[i] = rng.unit() * 4 - 2;
  return a;
}
const double *f64(const Array &a) {
  return (const double *)a.bytes.data();
}

int64_t scale() {
  return quick() ? 4 : 1;
} // divides the sizes

Config small_budget(size_t budget = 4 * MiB, int threads = 2) {
  Config c;
  c.budget = budget;
  c.threads = threads;
  return c;
}

mars_stats run_outputs(mars_session *s, const std::vector<mars_output> &outputs) {
  mars_job *job = nullptr;
  mars_error err = {};
  mars_stats stats = {};
  mars_status st = mars_submit(s, outputs.data(), outputs.size(), &job, &err);
  if (st == MARS_OK)
    st = mars_wait(job, &err);
  EXPECT_TRUE(ok(st, err));
  if (job)
    mars_job_get_stats(job, &stats);
  mars_job_release(job);
  return stats;
}

mars_output keep(mars_tensor *t) {
  mars_output o = {};
  o.tensor = t;
  return o;
}

// ---- spilling -------------------------------------------------------------------------------------------

// A kept result eight times the budget is spilled, and read back in another order than it was written.
TEST(OutOfCore, KeptResultIsSpilledAndReadBack) {
  for (const char *backend : {"", "threads"}) {
    TempDir dir;
    Config config = small_budget();
    config.spill_dir = dir.path;
    config.io_backend = backend;
    Session s(config);
    Scope scope(s);
    int64_t n = 2048 / scale();
    Array x = noise({n, 2048}, 1);
    mars_tensor *y = mars_add(mars_sqrt(mars_absolute(borrow(s, x))), mars_float(s, 1));
    mars_stats stats = run_outputs(s, {keep(y)});
    EXPECT_TRUE(mars_is_ready(y));
    EXPECT_GT(stats.spill_written_bytes, 0u);
    EXPECT_GE(stats.spill_written_bytes + config.budget, x.bytes.size()) << "what the arena does not hold";
    EXPECT_LE(stats.peak_arena_bytes, config.budget);
    EXPECT_TRUE(dir.list().empty()) << "spill files are unlinked as soon as they are open";
    Array whole = fetched(y);
    for (int64_t i = 0; i < x.size(); i++)
      ASSERT_EQ(f64(whole)[i], std::sqrt(std::fabs(f64(x)[i])) + 1) << i;
    Array turned = fetched(mars_transpose(y));
    for (int64_t i = 0; i < x.size(); i += 37)
      ASSERT_EQ(f64(turned)[i], f64(whole)[i % n * 2048 + i / n]) << i;
    mars_slice every[] = {{MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, -5}, {MARS_SLICE_RANGE, 3, MARS_NONE, 7}};
    Array some = fetched(mars_index(y, every, 2));
    int64_t cols = some.dims[1];
    for (int64_t i = 0; i < some.size(); i++)
      ASSERT_EQ(f64(some)[i], f64(whole)[(n - 1 - i / cols * 5) * 2048 + 3 + i % cols * 7]);
  }
}

TEST(OutOfCore, SpillSpaceIsGivenBack) {
  TempDir dir;
  Config config = small_budget();
  config.spill_dir = dir.path;
  Session s(config);
  int64_t live = baseline(s);
  for (int round = 0; round < 3; round++) {
    Scope scope(s);
    mars_tensor *u = mars_random_uniform(s, MARS_F64, MARS_SHAPE(1 << 20), 0, 1);
    mars_tensor *y = mars_cumsum(u, 0);
    mars_error err = {};
    ASSERT_TRUE(ok(mars_run(s, &y, 1, &err), err));
    EXPECT_GT(shim_spill_used_bytes(s), 0u);
  }
  settle(s);
  EXPECT_EQ(shim_spill_used_bytes(s), 0u);
  EXPECT_TRUE(no_leak(s, live));
}

// x + transposed x, a join, a scan, reductions over each axis: the same bits as with everything in memory.
TEST(OutOfCore, EqualsInMemoryBitForBit) {
  int64_t n = 1600 / scale();
  Array x = noise({n, 1600}, 2), square = noise({n, n}, 3);
  std::vector<Array> want;
  for (size_t budget : {256 * MiB, 8 * MiB, 4 * MiB}) {
    for (int threads : {1, 2}) {
      Config config = small_budget(budget, threads);
      config.chunk = 30000; // the same chunks in every budget, so that sums have the same bits
      Session s(config);
      Scope scope(s);
      mars_tensor *t = borrow(s, x), *q = borrow(s, square);
      mars_tensor *sym = mars_add(q, mars_transpose(q));
      mars_tensor *pair[] = {t, mars_flip(t, MARS_AXES(0))};
      mars_tensor *joined = mars_concatenate(pair, 2, 1);
      std::vector<mars_tensor *> wanted = {sym,
                                           mars_cumsum(t, 0),
                                           mars_cumsum(t, 1),
                                           mars_mul(joined, mars_float(s, 0.5)),
                                           mars_sum(joined, MARS_AXES(0)),
                                           mars_std(joined, MARS_AXES(1)),
                                           mars_sum(t, MARS_ALL),
                                           mars_argmax(mars_transpose(t), MARS_AXES(0)),
                                           mars_sub(t, mars_expand_dims(mars_mean(t, MARS_AXES(1)), 1)),
                                           mars_reshape(mars_mul(t, t), MARS_SHAPE(1600, n))};
      std::vector<Array> got;
      ASSERT_TRUE(fetch_all(s, wanted, &got)) << name_of(config);
      if (want.empty())
        want = got;
      for (size_t k = 0; k < got.size(); k++)
        EXPECT_TRUE(same_bits(got[k], want[k])) << "output " << k << ", " << name_of(config);
    }
  }
}

// A chain over several kept results, each of which is larger than the budget.
TEST(OutOfCore, LaterGraphsStartFromSpilledResults) {
  Session s(small_budget(3 * MiB));
  Scope scope(s);
  int64_t n = (1 << 21) / scale();
  Array x = noise({n}, 5);
  mars_error err = {};
  mars_tensor *a = mars_mul(borrow(s, x), mars_float(s, 2)), *b = mars_add(a, mars_float(s, 1));
  ASSERT_TRUE(ok(mars_run(s, &a, 1, &err), err));
  ASSERT_TRUE(ok(mars_run(s, &b, 1, &err), err));
  mars_tensor *c = mars_sub(b, mars_flip(a, MARS_ALL));
  ASSERT_TRUE(ok(mars_run(s, &c, 1, &err), err));
  Array got = fetched(c), first = fetched(a);
  for (int64_t i = 0; i < n; i++)
    ASSERT_EQ(f64(got)[i], f64(x)[i] * 2 + 1 - f64(x)[n - 1 - i] * 2);
  for (int64_t i = 0; i < n; i++)
    ASSERT_EQ(f64(first)[i], f64(x)[i] * 2);
}

TEST(OutOfCore, RandomIsMadeAgainRatherThanSpilled) {
  Session s(small_budget(2 * MiB));
  Scope scope(s);
  mars_tensor *u = mars_random_uniform(s, MARS_F64, MARS_SHAPE((1 << 22) / scale()), 0, 1);
  mars_tensor *centred = mars_sub(u, mars_mean(u, MARS_ALL));
  std::vector<Array> got(1, Array(MARS_F64, {}));
  mars_output o = {};
  o.tensor = mars_sum(mars_mul(centred, centred), MARS_ALL);
  o.sink = MARS_SINK_MEMORY;
  o.data = got[0].bytes.data();
  o.bytes = 8;
  mars_stats stats = run_outputs(s, {o});
  EXPECT_EQ(stats.spill_written_bytes, 0u);
  EXPECT_NEAR(f64(got[0])[0] / (double)mars_size_of(u), 1.0 / 12, 1e-3);
}

TEST(OutOfCore, WithoutSpillABudgetErrorSaysSo) {
  Config config = small_budget();
  config.spill = false;
  Session s(config);
  Scope scope(s);
  Array x = noise({1 << 21}, 6);
  mars_tensor *small = mars_add(mars_arange(s, MARS_F64, 0, 1000, 1), mars_float(s, 1));
  mars_error err = {};
  ASSERT_TRUE(ok(mars_run(s, &small, 1, &err), err));
  mars_tensor *y = mars_sqrt(borrow(s, x));
  EXPECT_TRUE(says(mars_run(s, &y, 1, &err), err, MARS_E_BUDGET, {"mars_run", "spill"}));
  EXPECT_FALSE(mars_is_ready(y));
  // what streams needs no spilling, and earlier results are still there
  Array got = fetched(mars_sqrt(borrow(s, x)));
  for (int64_t i = 0; i < x.size(); i++)
    ASSERT_TRUE(f64(got)[i] == std::sqrt(f64(x)[i]) || f64(x)[i] < 0);
  EXPECT_EQ(f64(fetched(small))[999], 1000);
}

TEST(OutOfCore, SpillBudgetIsKept) {
  Config config = small_budget();
  config.spill_budget = 8 * MiB;
  Session s(config);
  Scope scope(s);
  Array x = noise({1 << 22}, 6);
  mars_tensor *y = mars_sqrt(borrow(s, x)), *half = mars_absolute(borrow(s, x));
  mars_slice head[] = {{MARS_SLICE_RANGE, 0, 1 << 20, 1}};
  half = mars_index(half, head, 1);
  mars_error err = {};
  mars_status st = mars_run(s, &y, 1, &err);
  EXPECT_TRUE(st == MARS_E_BUDGET || st == MARS_E_NOSPACE) << mars_status_name(st);
  EXPECT_NE(std::string(err.message).find("spill"), std::string::npos) << err.message;
  ASSERT_TRUE(ok(mars_run(s, &half, 1, &err), err));
  EXPECT_EQ(f64(fetched(half))[77], std::fabs(f64(x)[77]));
}

// ---- files ----------------------------------------------------------------------------------------------

class NpyRoundTrip : public testing::TestWithParam<mars_dtype> {};

TEST_P(NpyRoundTrip, EveryLayoutInASmallBudget) {
  mars_dtype dt = GetParam();
  TempDir dir;
  Rng rng(33);
  Array a = random_array(dt, {301, 17, 29 / scale() + 1}, rng);
  for (bool fortran : {false, true})
    for (bool big : {false, true}) {
      NpyOptions o;
      o.fortran = fortran;
      o.big_endian = big;
      write_npy(dir.file("in.npy"), a, o);
      for (int k = 0; k < 3; k++) {
        // chunks of 5000 elements of a transposed file touch most of it: they need more than the least budget
        Config config = small_budget(k == 2 ? 256 * MiB : k == 1 ? kMinimalBudget : 8 * MiB, 1 + k % 2);
        config.chunk = k == 0 ? 5000 : 0;
        config.direct = k != 1;
        mars_session *s = shared_session(config);
        Scope scope(s);
        std::string where = name_of(config) + (fortran ? " fortran" : "") + (big ? " big-endian" : "");
        mars_tensor *t = mars_from_npy(s, dir.file("in.npy").c_str());
        EXPECT_TRUE(same_bits(fetched(t), a)) << where;
        mars_error err = {};
        ASSERT_TRUE(ok(mars_save_npy(t, dir.file("copy.npy").c_str(), &err), err)) << where;
        Array back;
        ASSERT_TRUE(read_npy(dir.file("copy.npy"), &back)) << where;
        EXPECT_TRUE(same_bits(back, a)) << where;
        // computed, turned and sliced on the way
        mars_slice items[] = {{MARS_SLICE_RANGE, 290, 10, -3}};
        mars_tensor *view = mars_index(mars_transpose(t), nullptr, 0);
        ASSERT_TRUE(ok(mars_save_npy(view, dir.file("turned.npy").c_str(), &err), err)) << where;
        ASSERT_TRUE(read_npy(dir.file("turned.npy"), &back));
        EXPECT_TRUE(same_bits(back, fetched(view))) << where;
        mars_tensor *part = mars_index(t, items, 1);
        Array slice = fetched(part);
        int64_t row = a.size() / 301;
        for (int64_t i = 0; i < slice.size(); i++)
          ASSERT_EQ(std::memcmp(slice.at(i), a.at((290 - i / row * 3) * row + i % row), a.item()), 0)
              << where << " " << i;
      }
      EXPECT_EQ(dir.list(), (std::vector<std::string>{"copy.npy", "in.npy", "turned.npy"}))
          << "temporary files were left";
    }
}

std::string dtype_name(const testing::TestParamInfo<mars_dtype> &info) {
  return short_name(info.param);
}
INSTANTIATE_TEST_SUITE_P(Dtype, NpyRoundTrip,
                         testing::Values(MARS_BOOL, MARS_I8, MARS_I16, MARS_I32, MARS_I64, MARS_U8, MARS_U16,
                                         MARS_U32, MARS_U64, MARS_F16, MARS_F32, MARS_F64, MARS_C64,
                                         MARS_C128),
                         dtype_name);

TEST(Files, StreamedThroughASmallBudget) {
  TempDir dir;
  Array x = noise({(1 << 22) / scale()}, 9); // 32 MiB
  write_npy(dir.file("x.npy"), x);
  for (const char *backend : {"", "threads"})
    for (int threads : {1, 2}) {
      Config config = small_budget(4 * MiB, threads);
      config.io_backend = backend;
      config.spill = false; // nothing of this needs to be spilled
      Session s(config);
      Scope scope(s);
      mars_tensor *t = mars_from_npy(s, dir.file("x.npy").c_str());
      mars_tensor *y = mars_mul(mars_add(t, mars_float(s, 1)), mars_float(s, 2));
      double sum = 0;
      std::string path = dir.file("y.npy");
      mars_output file = {}, total = {};
      file.tensor = y;
      file.sink = MARS_SINK_NPY;
      file.path = path.c_str();
      total.tensor = mars_sum(y, MARS_ALL);
      total.sink = MARS_SINK_MEMORY;
      total.data = &sum;
      total.bytes = 8;
      mars_stats stats = run_outputs(s, {file, total});
      EXPECT_GE(stats.source_read_bytes, x.bytes.size());
      EXPECT_LE(stats.source_read_bytes, x.bytes.size() + x.bytes.size() / 4) << "read once";
      EXPECT_GE(stats.sink_written_bytes, x.bytes.size());
      EXPECT_EQ(stats.spill_written_bytes, 0u);
      EXPECT_LE(stats.peak_arena_bytes, config.budget);
      Array y2;
      ASSERT_TRUE(read_npy(path, &y2));
      long double want = 0;
      for (int64_t i = 0; i < x.size(); i++) {
        ASSERT_EQ(f64(y2)[i], (f64(x)[i] + 1) * 2) << i;
        want += f64(y2)[i];
      }
      EXPECT_NEAR(sum, (double)want, 1e-6);
    }
}

// Writing over the file that is being read: the reader keeps the old file, the name gets the new one.
TEST(Files, ResultMayReplaceItsSource) {
  TempDir dir;
  Array x = noise({1 << 20}, 10);
  write_npy(dir.file("x.npy"), x);
  Session s(small_budget());
  Scope scope(s);
  mars_tensor *t = mars_from_npy(s, dir.file("x.npy").c_str());
  mars_error err = {};
  ASSERT_TRUE(ok(mars_save_npy(mars_negative(t), dir.file("x.npy").c_str(), &err), err));
  Array y;
  ASSERT_TRUE(read_npy(dir.file("x.npy"), &y));
  for (int64_t i = 0; i < x.size(); i++)
    ASSERT_EQ(f64(y)[i], -f64(x)[i]);
}

TEST(Files, EmptyScalarAndTinyFiles) {
  TempDir dir;
  Session s(small_budget(kMinimalBudget));
  for (std::vector<int64_t> dims : {std::vector<int64_t>{}, {0}, {3, 0, 2}, {1}, {7}}) {
    Scope scope(s);
    Array x = noise(dims, 11), back;
    write_npy(dir.file("x.npy"), x);
    mars_tensor *t = mars_from_npy(s, dir.file("x.npy").c_str());
    EXPECT_TRUE(same_bits(fetched(t), x)) << testing::PrintToString(dims);
    mars_error err = {};
    ASSERT_TRUE(ok(mars_save_npy(mars_positive(t), dir.file("y.npy").c_str(), &err), err))
        << testing::PrintToString(dims);
    ASSERT_TRUE(read_npy(dir.file("y.npy"), &back)) << testing::PrintToString(dims);
    EXPECT_TRUE(same_bits(back, x)) << testing::PrintToString(dims);
  }
}

// ---- ownership ------------------------------------------------------------------------------------------

TEST(Ownership, BorrowedMemoryIsReleasedOnceWhateverHappens) {
  static int released;
  released = 0;
  Array x = noise({1 << 20}, 12);
  auto count = [](void *) { ++released; };
  {
    Session s(small_budget());
    mars_error err = {};
    {
      Scope scope(s);
      mars_tensor *t =
          mars_from_memory(s, MARS_F64, MARS_SHAPE(1 << 20), nullptr, x.bytes.data(), count, nullptr);
      mars_tensor *y = mars_sqrt(t), *z = mars_flip(t, MARS_ALL);
      ASSERT_TRUE(ok(mars_run(s, &y, 1, &err), err));
      EXPECT_EQ(f64(fetched(z))[0], f64(x)[(1 << 20) - 1]);
      EXPECT_EQ(released, 0);
    }
    EXPECT_EQ(released, 1);
    mars_tensor *kept = nullptr;
    {
      Scope scope(s);
      mars_tensor *t =
          mars_from_memory(s, MARS_F64, MARS_SHAPE(1 << 20), nullptr, x.bytes.data(), count, nullptr);
      kept = mars_retain(mars_negative(t));
    }
    EXPECT_EQ(released, 1) << "the kept tensor still needs it";
    ASSERT_TRUE(ok(mars_run(s, &kept, 1, &err), err));
    EXPECT_EQ(released, 2) << "computed: the operand is not needed any more";
    EXPECT_EQ(f64(fetched(kept))[5], -f64(x)[5]);
    mars_release(kept);
    {
      Scope scope(s);
      mars_tensor *t =
          mars_from_memory(s, MARS_F64, MARS_SHAPE(1 << 20), nullptr, x.bytes.data(), count, nullptr);
      shim_fail_io(s, 1, 1, EIO); // a failing run
      mars_tensor *y = mars_sqrt(t);
      EXPECT_NE(mars_run(s, &y, 1, &err), MARS_OK);
      shim_fail_io(s, -1, -1, 0);
    }
    EXPECT_EQ(released, 3);
    mars_tensor *bad = mars_from_memory(s, MARS_F64, MARS_SHAPE(-1), nullptr, x.bytes.data(), count, nullptr);
    EXPECT_NE(mars_check(bad, nullptr), MARS_OK);
    EXPECT_LE(released, 4) << "an invalid call releases once or leaves the memory with the caller";
  }
}

TEST(Ownership, EarlierResultsSurviveAFailingRun) {
  Session s(small_budget(3 * MiB));
  Scope scope(s);
  int64_t n = 1 << 20;
  Array x = noise({n}, 13);
  mars_error err = {};
  mars_tensor *a = mars_mul(borrow(s, x), mars_float(s, 3)), *b = mars_cumsum(a, 0);
  ASSERT_TRUE(ok(mars_run(s, &a, 1, &err), err));
  for (int at : {1, 2, 5}) {
    shim_fail_io(s, -1, at, EIO);
    mars_status st = mars_run(s, &b, 1, &err);
    shim_fail_io(s, -1, -1, 0);
    EXPECT_TRUE(says(st, err, MARS_E_IO, {"mars_run"})) << at;
    EXPECT_FALSE(mars_is_ready(b));
    Array got = fetched(a);
    for (int64_t i = 0; i < n; i += 101)
      ASSERT_EQ(f64(got)[i], f64(x)[i] * 3);
  }
  ASSERT_TRUE(ok(mars_run(s, &b, 1, &err), err)) << "and the same run succeeds later";
}

} // namespace
