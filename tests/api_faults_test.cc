// Fault injection: a small out-of-core job (npy in, spilled result, npy out, reduction) with its 1st, 2nd,
// ... allocation, read or write failing, until it succeeds. Each time: the documented status, a message,
// earlier results intact, no file left behind, nothing leaked, and the same job succeeds afterwards.
#include "tests/api_util.h"

#include <cerrno>
#include <fstream>
#include <memory>
#include <unistd.h>

using namespace api;

namespace {

const int64_t kRows = 64, kCols = 2048; // 1 MiB

class Faults : public testing::Test {
protected:
  void SetUp() override {
    Rng rng(1);
    x = Array(MARS_F64, {kRows, kCols});
    for (int64_t i = 0; i < x.size(); i++)
      ((double *)x.bytes.data())[i] = rng.unit();
    write_npy(dir.file("x.npy"), x);
    Config config;
    config.budget = kMinimalBudget;
    config.threads = 2;
    config.chunk = 8192;
    config.spill_dir = dir.path;
    s = std::make_unique<Session>(config);
    mars_scope_open(*s);
    // earlier results: one small, one that is spilled in part
    small = mars_add(mars_arange(*s, MARS_F64, 0, 5000, 1), mars_float(*s, 0.5));
    large = mars_flip(mars_from_npy(*s, dir.file("x.npy").c_str()), MARS_AXES(1));
    large = mars_mul(large, mars_float(*s, 2));
    mars_tensor *both[] = {small, large};
    mars_error err = {};
    ASSERT_TRUE(ok(mars_run(*s, both, 2, &err), err));
    { // once without faults: the values are known, and what stays for good is there
      Scope scope(*s);
      ASSERT_EQ(job(&err), MARS_OK) << err.message;
    }
    want = result;
    settle(*s);
    live = shim_live_allocations(*s);
  }
  void TearDown() override { mars_scope_close(*s); }

  // The job. NULL and error tensors go where they go.
  mars_status job(mars_error *err) {
    mars_tensor *t = mars_from_npy(*s, dir.file("x.npy").c_str());
    mars_tensor *y = mars_sub(mars_mul(t, mars_float(*s, 3)), mars_transpose(mars_transpose(t)));
    mars_tensor *parts[] = {y, mars_flip(y, MARS_AXES(0))};
    mars_tensor *c = mars_cumsum(mars_concatenate(parts, 2, 0), 0);
    std::string out = dir.file("y.npy");
    result = {0, 0};
    mars_output o[4] = {};
    o[0].tensor = c;
    o[1].tensor = mars_sqrt(y);
    o[1].sink = MARS_SINK_NPY;
    o[1].path = out.c_str();
    o[2].tensor = mars_sum(y, MARS_ALL);
    o[2].sink = MARS_SINK_MEMORY;
    o[2].data = &result[0];
    o[2].bytes = 8;
    mars_job *running = nullptr;
    mars_status st = mars_submit(*s, o, 3, &running, err);
    EXPECT_EQ(running == nullptr, st != MARS_OK);
    if (st == MARS_OK)
      st = mars_wait(running, err);
    mars_job_release(running);
    if (st != MARS_OK)
      return st;
    // start from what was kept
    mars_tensor *m = mars_max(mars_sub(c, mars_float(*s, 1)), MARS_ALL);
    return mars_fetch(m, &result[1], 8, err);
  }

  void check_earlier_results() {
    Array a = fetched(small), b = fetched(large);
    ASSERT_EQ(a.size(), 5000);
    ASSERT_EQ(b.size(), kRows * kCols);
    for (int64_t i = 0; i < 5000; i += 7)
      ASSERT_EQ((double)a.get(i).re, (double)i + 0.5);
    const double *p = (const double *)x.bytes.data(), *q = (const double *)b.bytes.data();
    for (int64_t i = 0; i < x.size(); i++)
      ASSERT_EQ(q[i], 2 * p[i / kCols * kCols + kCols - 1 - i % kCols]);
  }

  void check_after(mars_status st, bool thorough) {
    std::vector<std::string> files = {"x.npy"};
    if (std::ifstream(dir.file("y.npy")))
      files.push_back("y.npy"); // of the run that succeeded before, or this one
    EXPECT_EQ(dir.list(), files) << "a temporary file was left";
    EXPECT_TRUE(no_leak(*s, live)) << "leaked records";
    if (st != MARS_OK)
      unlink(dir.file("y.npy").c_str());
    if (!thorough)
      return;
    check_earlier_results();
    mars_error err = {};
    {
      Scope scope(*s);
      EXPECT_EQ(job(&err), MARS_OK) << "the same job later: " << err.message;
    }
    EXPECT_EQ(result, want);
    EXPECT_TRUE(no_leak(*s, live));
  }

  // Fails the n-th of something for n = 1, 2, ...; `allowed` says which statuses are documented; `met`: the
  // fault was met although the job succeeded, as where memory is only wished for. Returns how many failed.
  int until_success(const std::function<void(int64_t n)> &arm, const std::function<bool()> &met,
                    const std::vector<mars_status> &allowed) {
    int failed = 0;
    for (int64_t n = 1;; n++) {
      SCOPED_TRACE("fault " + std::to_string(n));
      unlink(dir.file("y.npy").c_str());
      mars_error err = {};
      mars_scope_open(
          *s); // before the fault: handles of a scope that could not be opened belong to the outer one
      arm(n);
      mars_status st = job(&err);
      bool hit = met();
      arm(-1);
      mars_scope_close(*s);
      if (st == MARS_OK) {
        EXPECT_EQ(result, want);
        if (!hit)
          return failed;
      } else {
        failed++;
        EXPECT_TRUE(std::count(allowed.begin(), allowed.end(), st))
            << mars_status_name(st) << ": " << err.message;
        EXPECT_EQ(err.status, st);
        EXPECT_NE(std::string(err.message).find("mars_"), std::string::npos) << err.message;
      }
      check_after(st, failed % (quick() ? 37 : 11) == 1);
      if (testing::Test::HasFailure() || n > 20000)
        return failed;
    }
  }

  TempDir dir;
  Array x;
  std::unique_ptr<Session> s;
  mars_tensor *small = nullptr, *large = nullptr;
  std::vector<double> result, want;
  int64_t live = 0;
};

TEST_F(Faults, EveryAllocation) {
  int n = until_success([this](int64_t k) { shim_fail_allocation(*s, k); },
                        [this] { return shim_allocation_failed(*s); }, {MARS_E_MEMORY});
  EXPECT_GT(n, 20);
  check_after(MARS_OK, true);
}

TEST_F(Faults, EveryRead) {
  int n =
      until_success([this](int64_t k) { shim_fail_io(*s, k, -1, EIO); }, [] { return false; }, {MARS_E_IO});
  EXPECT_GT(n, 5);
  check_after(MARS_OK, true);
}

TEST_F(Faults, EveryWrite) {
  int n =
      until_success([this](int64_t k) { shim_fail_io(*s, -1, k, EIO); }, [] { return false; }, {MARS_E_IO});
  EXPECT_GT(n, 5);
  n = until_success([this](int64_t k) { shim_fail_io(*s, -1, k, ENOSPC); }, [] { return false; },
                    {MARS_E_NOSPACE});
  EXPECT_GT(n, 5);
  check_after(MARS_OK, true);
}

// ---- opening a session, building graphs, explaining -----------------------------------------------------

struct Counter { // an allocator that fails its n-th call and counts what is out
  int64_t fail_at = -1, calls = 0, live = 0;
  static void *alloc(void *user, size_t bytes) {
    Counter *c = (Counter *)user;
    int64_t call = __atomic_add_fetch(&c->calls, 1, __ATOMIC_RELAXED);
    if (call == c->fail_at)
      return nullptr;
    __atomic_add_fetch(&c->live, 1, __ATOMIC_RELAXED);
    return std::malloc(bytes);
  }
  static void release(void *user, void *p) {
    if (p)
      __atomic_sub_fetch(&((Counter *)user)->live, 1, __ATOMIC_RELAXED);
    std::free(p);
  }
};

TEST(SessionFaults, EveryAllocationOfOpening) {
  int failed = 0, files = open_files();
  for (int64_t n = 1;; n++) {
    Counter counter;
    counter.fail_at = n;
    Config config;
    config.budget = 16 * MiB;
    config.threads = 2;
    config.allocator = {Counter::alloc, Counter::release, &counter};
    mars_session *s = (mars_session *)1;
    mars_error err = {};
    mars_status st = open_session(config, &s, &err);
    bool met = counter.calls >= n;
    if (st == MARS_OK) { // it may do with less, fewer threads say, but must work then
      double out = 0;
      mars_scope_open(s);
      EXPECT_EQ(mars_fetch(mars_sum(mars_ones(s, MARS_F64, MARS_SHAPE(1000)), MARS_ALL), &out, 8, nullptr),
                MARS_OK);
      EXPECT_EQ(out, 1000);
      mars_scope_close(s);
      mars_session_destroy(s);
    } else {
      failed++;
      EXPECT_TRUE(says(st, err, MARS_E_MEMORY, {"mars_session_create"})) << "allocation " << n;
      EXPECT_EQ(s, nullptr);
    }
    EXPECT_EQ(counter.live, 0) << "allocation " << n;
    EXPECT_EQ(open_files(), files) << "allocation " << n;
    if (!met || HasFailure())
      break;
  }
  EXPECT_GT(failed, 3);
}

// Every record comes from the caller's allocator and goes back to it.
TEST(SessionFaults, OwnAllocatorSeesEverythingBack) {
  Counter counter;
  {
    Config config;
    config.budget = 4 * MiB;
    config.allocator = {Counter::alloc, Counter::release, &counter};
    Session s(config);
    Scope scope(s);
    mars_tensor *t = mars_cumsum(mars_random_uniform(s, MARS_F64, MARS_SHAPE(1 << 20), 0, 1), 0);
    mars_error err = {};
    ASSERT_TRUE(ok(mars_run(s, &t, 1, &err), err));
    EXPECT_GT(counter.live, 5);
  }
  EXPECT_EQ(counter.live, 0);
}

TEST(SessionFaults, EveryAllocationOfBuildingAndExplaining) {
  Session s;
  int64_t live = baseline(s);
  for (int64_t n = 1;; n++) {
    bool met, good = true;
    {
      mars_scope_open(s);
      shim_fail_allocation(s, n);
      mars_scope_open(s);
      mars_tensor *a = mars_linspace(s, MARS_F64, 0, 1, 100, true), *b = mars_eye(s, MARS_F32, 10, 10, 0);
      mars_tensor *parts[] = {mars_reshape(a, MARS_SHAPE(10, 10)), b,
                              mars_random_normal(s, MARS_F64, MARS_SHAPE(2, 10), 1, 2)};
      mars_tensor *c = mars_std(mars_round(mars_concatenate(parts, 3, 0), 2), MARS_AXES(1)), *q, *r;
      mars_divmod(c, mars_from_copy(s, MARS_I32, MARS_SHAPE_0D, "\1\0\0\0"), &q, &r);
      mars_output o = {};
      o.tensor = mars_where(mars_isnan(q), r, mars_clip(q, mars_int(s, 0), mars_int(s, 5)));
      char *text = nullptr;
      mars_error err = {};
      mars_status st = mars_explain(s, &o, 1, MARS_EXPLAIN_TEXT, &text, &err);
      met = shim_allocation_failed(s);
      shim_fail_allocation(s, -1);
      good = st == MARS_OK;
      EXPECT_EQ(text != nullptr, good);
      if (!good) {
        EXPECT_TRUE(says(st, err, MARS_E_MEMORY, {"mars_"})) << n;
      }
      mars_text_free(s, text);
      mars_scope_close(s);
      mars_scope_close(s);
    }
    EXPECT_TRUE(no_leak(s, live)) << "allocation " << n;
    if (HasFailure() || (good && !met))
      break;
  }
}

} // namespace
