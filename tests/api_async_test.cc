// Jobs in the background: submit, wait, cancel, progress and log; several jobs, threads and sessions at once;
// eager mode.
#include "tests/api_util.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <unistd.h>

using namespace api;

namespace {

double scalar(mars_tensor *t) {
  return (double)fetched(t).get(0).re;
}

mars_output keep(mars_tensor *t) {
  mars_output o = {};
  o.tensor = t;
  return o;
}

// ---- one job --------------------------------------------------------------------------------------------

TEST(Async, SubmitWaitStatsAndProgress) {
  Config config;
  config.threads = 2;
  config.chunk = 1 << 14;
  Session s(config);
  Scope scope(s);
  mars_tensor *u = mars_random_uniform(s, MARS_F64, MARS_SHAPE(1 << 20), 0, 1);
  mars_output o = keep(mars_sum(mars_exp(u), MARS_ALL));
  mars_error err = {};
  mars_job *job = nullptr;
  ASSERT_TRUE(ok(mars_submit(s, &o, 1, &job, &err), err));
  ASSERT_NE(job, nullptr);
  ASSERT_TRUE(ok(mars_wait(job, &err), err));
  EXPECT_TRUE(mars_job_done(job));
  mars_progress p;
  mars_job_get_progress(job, &p);
  EXPECT_EQ(p.tasks_done, p.tasks_total);
  EXPECT_GT(p.tasks_total, 0);
  EXPECT_GE(p.seconds, 0);
  mars_stats stats;
  mars_job_get_stats(job, &stats);
  EXPECT_GE(stats.tasks, (1 << 20) / (1 << 14));
  EXPECT_GT(stats.kernels, 0);
  EXPECT_GT(stats.steps, 0);
  EXPECT_GE(stats.run_seconds, 0);
  EXPECT_GT(stats.peak_arena_bytes, 0u);
  EXPECT_EQ(mars_wait(job, nullptr), MARS_OK) << "waiting again gives the same answer";
  mars_job_release(job);
  mars_job_release(nullptr);
  EXPECT_NEAR(scalar(o.tensor) / (1 << 20), std::exp(1.0) - 1, 1e-2);
}

struct Seen {
  std::mutex lock;
  std::vector<mars_progress> progress;
  std::vector<std::string> lines;
  mars_job *cancel = nullptr;
  std::atomic<int> cancel_after{-1};
};
void on_progress(void *user, mars_job *job, const mars_progress *p) {
  Seen *seen = (Seen *)user;
  std::lock_guard<std::mutex> guard(seen->lock);
  seen->progress.push_back(*p);
  if (seen->cancel_after >= 0 && (int)seen->progress.size() > seen->cancel_after)
    mars_cancel(job);
}
void on_log(void *user, mars_log_level, const char *text) {
  Seen *seen = (Seen *)user;
  std::lock_guard<std::mutex> guard(seen->lock);
  seen->lines.push_back(text);
}

// Long enough for several reports
mars_tensor *slow(mars_session *s, int64_t n) {
  mars_tensor *t = mars_random_standard_normal(s, MARS_F64, MARS_SHAPE(n));
  for (int i = 0; i < 6; i++)
    t = mars_arctan(mars_tan(t));
  return mars_sum(t, MARS_ALL);
}

TEST(Async, ProgressIsReportedAndGrows) {
  Seen seen;
  Config config;
  config.progress = on_progress;
  config.log = on_log;
  config.user = &seen;
  config.chunk = 1 << 16;
  Session s(config);
  Scope scope(s);
  mars_output o = keep(slow(s, (int64_t)(quick() ? 1 : 4) << 21));
  mars_error err = {};
  mars_job *job = nullptr;
  auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(ok(mars_submit(s, &o, 1, &job, &err), err));
  ASSERT_TRUE(ok(mars_wait(job, &err), err));
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  mars_job_release(job);
  std::lock_guard<std::mutex> guard(seen.lock);
  if (seconds > 0.5) {
    EXPECT_GE(seen.progress.size(), 2u) << seconds << " s";
  }
  EXPECT_LE((double)seen.progress.size(), 20 * seconds + 10);
  for (size_t i = 0; i < seen.progress.size(); i++) {
    EXPECT_LE(seen.progress[i].tasks_done, seen.progress[i].tasks_total);
    if (i) {
      EXPECT_GE(seen.progress[i].tasks_done, seen.progress[i - 1].tasks_done);
    }
  }
}

TEST(Async, CancelFromTheProgressCallback) {
  Seen seen;
  seen.cancel_after = 0;
  Config config;
  config.progress = on_progress;
  config.user = &seen;
  config.chunk = 1 << 14;
  Session s(config);
  Scope scope(s);
  mars_output o = keep(slow(s, (int64_t)1 << 27));
  mars_error err = {};
  mars_job *job = nullptr;
  ASSERT_TRUE(ok(mars_submit(s, &o, 1, &job, &err), err));
  EXPECT_EQ(mars_wait(job, &err), MARS_E_CANCELLED);
  mars_job_release(job);
  seen.cancel_after = -1;
  EXPECT_EQ(scalar(mars_sum(mars_ones(s, MARS_F64, MARS_SHAPE(1000)), MARS_ALL)), 1000);
}

// The job keeps what it needs: scopes may close, handles may go, the handle of the job itself too.
TEST(Async, JobsOutliveTheirScopes) {
  Session s;
  std::vector<double> out(100000, -1);
  mars_job *job = nullptr;
  mars_error err = {};
  {
    Scope scope(s);
    mars_output o = keep(mars_mul(mars_arange(s, MARS_F64, 0, 100000, 1), mars_float(s, 2)));
    o.sink = MARS_SINK_MEMORY;
    o.data = out.data();
    o.bytes = out.size() * 8;
    ASSERT_TRUE(ok(mars_submit(s, &o, 1, &job, &err), err));
  }
  ASSERT_TRUE(ok(mars_wait(job, &err), err));
  mars_job_release(job);
  for (size_t i = 0; i < out.size(); i++)
    ASSERT_EQ(out[i], 2.0 * (double)i);
}

TEST(Async, SessionDestroyedWhileJobsRun) {
  for (int round = 0; round < 3; round++) {
    Config config;
    config.threads = 2;
    config.chunk = 1 << 12;
    auto s = std::make_unique<Session>(config);
    mars_output o = keep(slow(*s, (int64_t)1 << 27));
    std::vector<mars_job *> jobs(3, nullptr);
    mars_error err = {};
    for (mars_job *&j : jobs)
      ASSERT_TRUE(ok(mars_submit(*s, &o, 1, &j, &err), err));
    for (mars_job *j : jobs)
      mars_cancel(j);
    for (mars_job *j : jobs)
      mars_job_release(j);
    ASSERT_TRUE(ok(mars_submit(*s, &o, 1, &jobs[0], &err), err));
    auto start = std::chrono::steady_clock::now();
    s.reset(); // cancels what runs and waits for it
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 20);
  }
}

// ---- several at once ------------------------------------------------------------------------------------

TEST(Async, JobsQueuedFromSeveralThreads) {
  Config config;
  config.threads = 2;
  config.chunk = 1000;
  Session s(config);
  int64_t live = baseline(s);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      for (int k = 0; k < (quick() ? 5 : 20); k++) {
        Scope scope(s);
        std::vector<mars_job *> jobs;
        std::vector<std::vector<double>> out;
        out.reserve(3);
        for (int j = 0; j < 3; j++) {
          mars_tensor *x = mars_arange(s, MARS_F64, 0, 5000, 1);
          mars_output o = keep(mars_add(mars_mul(x, mars_float(s, t + 1)), mars_float(s, j)));
          out.emplace_back(5000, 0.0);
          o.sink = MARS_SINK_MEMORY;
          o.data = out.back().data();
          o.bytes = 40000;
          mars_job *job = nullptr;
          if (mars_submit(s, &o, 1, &job, nullptr) != MARS_OK)
            wrong++;
          jobs.push_back(job);
        }
        for (int j = 2; j >= 0; j--) {
          if (mars_wait(jobs[(size_t)j], nullptr) != MARS_OK)
            wrong++;
          mars_job_release(jobs[(size_t)j]);
          for (int i = 0; i < 5000; i++)
            if (out[(size_t)j][(size_t)i] != i * (t + 1.0) + j)
              wrong++;
        }
        // a result shared by all threads, and kept ones of their own
        mars_tensor *mine = mars_cumsum(mars_ones(s, MARS_I64, MARS_SHAPE(3000)), 0);
        if (mars_run(s, &mine, 1, nullptr) != MARS_OK)
          wrong++;
        int64_t sum = 0;
        if (mars_fetch(mars_sum(mine, MARS_ALL), &sum, 8, nullptr) != MARS_OK || sum != 3000 * 3001 / 2)
          wrong++;
      }
    });
  for (std::thread &t : threads)
    t.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(no_leak(s, live));
}

// Who allocates the engine's records is who runs the job.
struct Allocating {
  std::mutex lock;
  std::vector<std::thread::id> threads;
};
void *count_alloc(void *user, size_t bytes) {
  Allocating *a = (Allocating *)user;
  std::lock_guard<std::mutex> guard(a->lock);
  std::thread::id self = std::this_thread::get_id();
  if (std::find(a->threads.begin(), a->threads.end(), self) == a->threads.end())
    a->threads.push_back(self);
  return malloc(bytes);
}
void count_free(void *, void *p) {
  free(p);
}

TEST(Async, SmallJobsRunInTheThreadThatWaits) {
  Allocating seen;
  Config config = host_config(); // devices with memory of their own have threads that copy
  config.threads = 2;
  config.allocator = {count_alloc, count_free, &seen};
  Session s(config);
  Scope scope(s);
  std::vector<double> a(64 * 64, 0.5), out(64 * 64);
  mars_tensor *x = mars_from_memory(s, MARS_F64, MARS_SHAPE(64, 64), nullptr, a.data(), nullptr, nullptr);
  mars_error err = {};
  seen.threads.clear();
  ASSERT_TRUE(ok(mars_fetch(mars_add(mars_matmul(x, x), x), out.data(), out.size() * 8, &err), err));
  EXPECT_EQ(seen.threads, std::vector<std::thread::id>{std::this_thread::get_id()});
  for (double v : out)
    ASSERT_EQ(v, 16.5);
  double large = 0;
  ASSERT_TRUE(ok(mars_fetch(mars_sum(mars_ones(s, MARS_F64, MARS_SHAPE(1 << 20)), MARS_ALL), &large, 8, &err), err));
  EXPECT_EQ(large, 1 << 20);
  EXPECT_GT(seen.threads.size(), 1u) << "the session's thread runs what is not small";
}

// What was submitted before is finished before, even where the later job is small and the caller would run it himself.
TEST(Async, SmallJobsWaitForTheirTurn) {
  Config config;
  config.threads = 2;
  Session s(config);
  for (int round = 0; round < 20; round++) {
    Scope scope(s);
    double sum = -1, twice = 0;
    mars_output o = keep(mars_sum(mars_full(s, MARS_F64, MARS_SHAPE(200000), mars_float(s, round)), MARS_ALL));
    o.sink = MARS_SINK_MEMORY;
    o.data = &sum;
    o.bytes = 8;
    mars_job *job = nullptr;
    mars_error err = {};
    ASSERT_TRUE(ok(mars_submit(s, &o, 1, &job, &err), err));
    mars_tensor *x = mars_from_memory(s, MARS_F64, MARS_SHAPE(1), nullptr, &sum, nullptr, nullptr);
    ASSERT_TRUE(ok(mars_fetch(mars_add(x, x), &twice, 8, &err), err));
    EXPECT_EQ(twice, 400000.0 * round);
    mars_job_release(job);
  }
}

TEST(Async, OneJobWaitedForAndCancelledByManyThreads) {
  Config config;
  config.threads = 2;
  config.chunk = 4096;
  Session s(config);
  Scope scope(s);
  for (int round = 0; round < 10; round++) {
    mars_output o = keep(slow(s, 1 << 16));
    mars_job *job = nullptr;
    mars_error err = {};
    ASSERT_TRUE(ok(mars_submit(s, &o, 1, &job, &err), err));
    std::vector<std::thread> threads;
    std::vector<mars_status> st(4, MARS_E_INTERNAL);
    for (size_t t = 0; t < 4; t++)
      threads.emplace_back([&, t] {
        mars_progress p;
        mars_job_get_progress(job, &p);
        if (t == 3 && round % 2)
          mars_cancel(job);
        st[t] = mars_wait(job, nullptr);
      });
    for (std::thread &t : threads)
      t.join();
    for (mars_status x : st) {
      EXPECT_EQ(x, st[0]);
      EXPECT_TRUE(x == MARS_OK || (round % 2 && x == MARS_E_CANCELLED)) << mars_status_name(x);
    }
    mars_job_release(job);
  }
}

TEST(Async, SessionsInParallel) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 3; t++)
    threads.emplace_back([&, t] {
      for (int k = 0; k < (quick() ? 2 : 5); k++) {
        Config config;
        config.budget = 4 * MiB;
        config.threads = 1 + t % 2;
        Session s(config);
        Scope scope(s);
        mars_random_seed(s, (uint64_t)t);
        mars_tensor *u = mars_random_uniform(s, MARS_F64, MARS_SHAPE(200000), 0, 1);
        mars_tensor *c = mars_cumsum(u, 0);
        if (mars_run(s, &c, 1, nullptr) != MARS_OK)
          wrong++;
        double sum = 0, last = 0;
        mars_slice end = {MARS_SLICE_INTEGER, -1, 0, 0};
        if (mars_fetch(mars_sum(u, MARS_ALL), &sum, 8, nullptr) != MARS_OK)
          wrong++;
        if (mars_fetch(mars_index(c, &end, 1), &last, 8, nullptr) != MARS_OK)
          wrong++;
        if (std::fabs(sum - last) > 1e-7 || std::fabs(sum / 200000 - 0.5) > 0.01)
          wrong++;
      }
    });
  for (std::thread &t : threads)
    t.join();
  EXPECT_EQ(wrong, 0);
}

// ---- scopes ---------------------------------------------------------------------------------------------

TEST(Scopes, FreeTheHandlesOfTheirThread) {
  Session s;
  int64_t live = baseline(s);
  mars_scope_open(s);
  mars_tensor *outer = mars_ones(s, MARS_F64, MARS_SHAPE(10)), *kept = nullptr;
  std::thread other([&] {
    Scope scope(s); // its own: the main thread's scope is not touched
    mars_tensor *t = mars_add(outer, mars_float(s, 1));
    kept = mars_retain(mars_mul(t, t));
    EXPECT_EQ(scalar(t), 2);
  });
  other.join();
  {
    Scope inner(s);
    EXPECT_EQ(scalar(mars_sum(outer, MARS_ALL)), 10);
  }
  EXPECT_EQ(scalar(outer), 1);
  EXPECT_EQ(scalar(kept), 4) << "retained beyond its scope";
  mars_scope_close(s);
  mars_release(kept);
  EXPECT_TRUE(no_leak(s, live));
  EXPECT_EQ(shim_live_nodes(s), 0u);
}

TEST(Scopes, HandlesWithoutAnyScopeLiveUntilTheSessionEnds) {
  Session s; // the leak checkers say the rest
  mars_tensor *t = mars_exp(mars_zeros(s, MARS_F64, MARS_SHAPE(3)));
  EXPECT_EQ(scalar(t), 1);
  EXPECT_EQ(mars_session_of(t), s.s);
  EXPECT_EQ(mars_size_of(t), 3);
}

// ---- eager ----------------------------------------------------------------------------------------------

TEST(Eager, GivesTheValuesOfLazy) {
  Rng rng(9);
  Array x = random_array(MARS_F64, {50, 40}, rng, true), k = random_array(MARS_I32, {40}, rng, true);
  std::vector<Array> want;
  for (bool eager : {false, true}) {
    Config config;
    config.eager = eager;
    config.chunk = 333;
    Session s(config);
    Scope scope(s);
    mars_random_seed(s, 6);
    mars_tensor *a = tensor(s, x), *b = tensor(s, k);
    mars_tensor *y = mars_add(mars_sqrt(mars_absolute(a)), b);
    if (eager) {
      EXPECT_TRUE(mars_is_ready(y));
    } else {
      EXPECT_FALSE(mars_is_ready(y));
    }
    mars_tensor *r = mars_random_uniform(s, MARS_F32, MARS_SHAPE(40), 0, 1);
    mars_tensor *z = mars_cumsum(mars_transpose(mars_mul(y, r)), 1);
    std::vector<Array> got;
    ASSERT_TRUE(fetch_all(s, {y, z, mars_std(z, MARS_AXES(0)), mars_argmax(z, MARS_ALL)}, &got));
    if (want.empty())
      want = got;
    for (size_t i = 0; i < got.size(); i++)
      if (i != 2) {
        EXPECT_TRUE(same_bits(got[i], want[i])) << i;
      }
    // run by themselves or with what feeds them, reductions may be cut into other chunks
    for (int64_t i = 0; i < got[2].size(); i++)
      EXPECT_NEAR((double)got[2].get(i).re, (double)want[2].get(i).re, 1e-12 * (double)want[2].get(i).re);
  }
}

// In an eager session what fails, fails where it is written.
TEST(Eager, RunErrorsBecomeErrorTensors) {
  TempDir dir;
  write_npy(dir.file("x.npy"), Array(MARS_F64, {1000}));
  Config config;
  config.eager = true;
  Session s(config);
  Scope scope(s);
  mars_tensor *t = mars_from_npy(s, dir.file("x.npy").c_str());
  ASSERT_EQ(truncate(dir.file("x.npy").c_str(), 500), 0);
  mars_tensor *y = mars_add(t, mars_float(s, 1));
  EXPECT_TRUE(is_error(y, MARS_E_IO, {"x.npy"}));
  EXPECT_EQ(scalar(mars_ones(s, MARS_F64, MARS_SHAPE(2))), 1);
}

} // namespace
