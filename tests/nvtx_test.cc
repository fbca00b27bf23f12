// NVTX ranges around steps, as a tool sees them that NVTX loads into the program; and nothing of all that without a tool.
#include "tests/api_util.h"
#include "tests/cuda_shim.h"
#include "tests/cuda_sim.h"
#include "tests/nvtx_tool.h"

#include <cstdlib>
#include <dlfcn.h>
#include <map>
#include <set>

using namespace api;

namespace {

class Ranges : public testing::Test {
protected:
  static void SetUpTestSuite() { setenv("NVTX_INJECTION64_PATH", NVTX_TOOL, 1); } // before the first range

  // Events of what `work` does; every range has been closed, those of a thread in order.
  std::vector<nvtx_event> events_of(const std::function<void()> &work) {
    auto take = [] {
      std::vector<nvtx_event> v;
      void *tool = dlopen(NVTX_TOOL, RTLD_NOW | RTLD_NOLOAD);
      if (tool == nullptr) return v; // no range yet
      auto fn = (size_t(*)(nvtx_event *, size_t))dlsym(tool, "nvtx_tool_take");
      v.resize(1 << 16);
      v.resize(fn(v.data(), v.size()));
      dlclose(tool);
      return v;
    };
    take();
    work();
    std::vector<nvtx_event> v = take();
    std::map<uint64_t, int> depth;
    std::set<uint64_t> open;
    for (const nvtx_event &e : v) {
      if (e.kind == NVTX_PUSH) depth[e.thread]++;
      if (e.kind == NVTX_POP) {
        EXPECT_GE(--depth[e.thread], 0);
      }
      if (e.kind == NVTX_START) {
        EXPECT_TRUE(open.insert(e.id).second);
      }
      if (e.kind == NVTX_END) {
        EXPECT_EQ(open.erase(e.id), 1u);
      }
      if (e.kind == NVTX_PUSH || e.kind == NVTX_START) {
        EXPECT_GE(e.number, 0) << e.name << " names no step";
      }
    }
    for (auto &d : depth) EXPECT_EQ(d.second, 0);
    EXPECT_TRUE(open.empty());
    return v;
  }
  std::set<std::string> names(const std::vector<nvtx_event> &v) {
    std::set<std::string> out;
    for (const nvtx_event &e : v)
      if (e.kind == NVTX_PUSH || e.kind == NVTX_START) out.insert(e.name);
    return out;
  }
};

TEST_F(Ranges, OfAHostThatSpills) {
  TempDir dir;
  Array x(MARS_F64, {256, 512});
  write_npy(dir.file("x.npy"), x);
  auto v = events_of([&] {
    Config c;
    c.devices = ""; // the host alone
    c.budget = MiB;
    c.chunk = 16384;
    Session s(c);
    Scope scope(s);
    mars_tensor *t = mars_from_npy(s, dir.file("x.npy").c_str());
    mars_tensor *y = mars_cumsum(mars_add(t, mars_float(s, 1)), 0);
    mars_error err = {};
    EXPECT_TRUE(ok(mars_run(s, &y, 1, &err), err));
    EXPECT_TRUE(ok(mars_save_npy(mars_flip(y, MARS_AXES(0)), dir.file("y.npy").c_str(), &err), err));
  });
  for (const char *name : {"load", "store", "spill", "compute"}) EXPECT_EQ(names(v).count(name), 1u) << name;
}

TEST_F(Ranges, OfTwoDevices) {
  if (!no_kernels().empty()) GTEST_SKIP() << no_kernels();
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  cuda_sim_configure("devices=2");
  if (cuda_device_count() < 2) GTEST_SKIP() << "one CUDA device";
  int64_t tasks = 0;
  auto v = events_of([&] {
    mars_session_config c;
    mars_session_config_init(&c);
    c.host_budget_bytes = 8 * MiB, c.device_budget_bytes = 128 << 10, c.chunk_elements = 4096, c.threads = 1;
    c.devices = "cuda:0,cuda:1";
    mars_session *s = nullptr;
    mars_error err = {};
    ASSERT_TRUE(ok(mars_session_create(&c, &s, &err), err));
    Array x(MARS_F64, {128, 256});
    mars_tensor *t = borrow(s, x), *d = mars_subtract(t, mars_mean(t, MARS_ALL));
    mars_tensor *r = mars_random_uniform(s, MARS_F64, MARS_SHAPE(60, 60), 0, 1);
    mars_output o[2] = {};
    Array y(MARS_F64, {128, 256}), p(MARS_F64, {60, 60});
    o[0].tensor = d, o[0].sink = MARS_SINK_MEMORY, o[0].data = y.bytes.data(), o[0].bytes = y.bytes.size();
    o[1].tensor = mars_matmul(r, r), o[1].sink = MARS_SINK_MEMORY, o[1].data = p.bytes.data(), o[1].bytes = p.bytes.size();
    mars_job *job = nullptr;
    EXPECT_TRUE(ok(mars_submit(s, o, 2, &job, &err), err));
    EXPECT_TRUE(ok(mars_wait(job, &err), err));
    mars_stats stats;
    mars_job_get_stats(job, &stats);
    tasks = stats.tasks;
    mars_job_release(job);
    mars_session_destroy(s);
  });
  for (const char *name : {"copy up", "copy down", "compute", "mean", "combine", "subtract", "random_uniform", "gemm"})
    EXPECT_EQ(names(v).count(name), 1u) << name;
  std::set<int64_t> steps; // of computations on devices, each in the range of its batch
  std::map<uint64_t, std::vector<std::string>> stack;
  for (const nvtx_event &e : v) {
    auto &on = stack[e.thread];
    if (e.kind == NVTX_POP) on.pop_back();
    if (e.kind != NVTX_PUSH) continue;
    on.push_back(e.name);
    if (on.size() < 2) continue;
    EXPECT_EQ(on[0], "compute");
    EXPECT_TRUE(steps.insert(e.number).second) << "step " << e.number << " twice";
  }
  EXPECT_GT(steps.size(), 10u);
  EXPECT_LE((int64_t)steps.size(), tasks);
}

// In a process of its own.
TEST(WithoutATool, NothingIsLoaded) {
  if (getenv("NVTX_INJECTION64_PATH") != nullptr) GTEST_SKIP() << "a tool is there";
  {
    Session s;
    Scope scope(s);
    double sum = 0;
    ASSERT_EQ(mars_fetch(mars_sum(mars_ones(s, MARS_F64, MARS_SHAPE(1000)), MARS_ALL), &sum, 8, nullptr), MARS_OK);
    EXPECT_EQ(sum, 1000);
  }
  EXPECT_EQ(dlopen(NVTX_TOOL, RTLD_NOW | RTLD_NOLOAD), nullptr);
}

} // namespace
