// mars-bench on simulated GPUs, at tiny sizes: every row is correct and has the host's result. The environment points at
// the stand-ins (bench.cmake); its sizes are so small that eviction comes from the devices' budget.
#include "tests/api_util.h"
#include "tests/bench_util.h"

#include <filesystem>

using namespace bench;

namespace {

struct Suite {
  const char *name;
  std::vector<std::string> args;
  double tolerance;   // of results, relative: sums of floats depend on the chunks
  double spilled = 0; // bytes at least
};

void PrintTo(const Suite &s, std::ostream *out) {
  *out << s.name;
}

class BenchOnDevices : public Bench, public testing::WithParamInterface<Suite> {
protected:
  void SetUp() override {
    Bench::SetUp();
    if (!api::no_kernels().empty()) GTEST_SKIP() << api::no_kernels(); // the host would do all of the work
    report_ = dir_ + "/checks";
    setenv("MARS_SIMGPU_REPORT", report_.c_str(), 1);
  }
  void TearDown() override {
    if (IsSkipped()) return Bench::TearDown();
    unsetenv("MARS_SIMGPU_REPORT");
    std::ifstream f(report_);
    std::stringstream checks;
    checks << f.rdbuf();
    EXPECT_EQ(checks.str(), "") << "failed checks of the simulated platform";
    unlink(report_.c_str());
    Bench::TearDown();
  }
  std::vector<std::string> on(const char *devices) {
    std::vector<std::string> args = GetParam().args;
    args.insert(args.end(), {"--devices", devices, "--device-budget", "1M", "--threads", "1"});
    return args;
  }
  std::string report_;
};

TEST_P(BenchOnDevices, HasTheHostsResults) {
  const Json want = rows(on("host"), "1");
  ASSERT_GT(want.items.size(), 0u);
  for (const char *devices : {"cuda:0", "cuda:0,cuda:1", "host,cuda:0,cuda:1"}) {
    SCOPED_TRACE(devices);
    const Json got = rows(on(devices), "1");
    ASSERT_EQ(got.items.size(), want.items.size());
    for (size_t i = 0; i < got.items.size(); i++) {
      const Json &g = got.items[i], &w = want.items[i];
      SCOPED_TRACE(w.at("case").text + " " + w.at("dtype").text);
      EXPECT_EQ(g.at("case").text, w.at("case").text);
      EXPECT_EQ(g.at("size").number, w.at("size").number);
      EXPECT_TRUE(g.at("correct").flag);
      const double x = g.at("result").number, y = w.at("result").number;
      EXPECT_LE(std::fabs(x - y), GetParam().tolerance * std::fabs(y)) << x << " and " << y;
      EXPECT_GE(g.at("spill_written_bytes").number, GetParam().spilled);
    }
  }
}

// The work is the device's: kernels are compiled for it.
TEST_F(Bench, WorkIsTheDevices) {
  if (!api::no_kernels().empty()) GTEST_SKIP() << api::no_kernels();
  const char *shared = getenv("MARS_CACHE_DIR");
  const std::string own = dir_ + "/kernels", before = shared != nullptr ? shared : "";
  setenv("MARS_CACHE_DIR", own.c_str(), 1);
  for (const char *devices : {"host", "cuda:0"}) {
    rows({"pi", "--size", "1000", "--devices", devices, "--device-budget", "1M"}, "1");
    EXPECT_EQ(std::filesystem::exists(own) && !std::filesystem::is_empty(own), std::string(devices) == "cuda:0") << devices;
  }
  std::filesystem::remove_all(own);
  if (shared != nullptr)
    setenv("MARS_CACHE_DIR", before.c_str(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Suites, BenchOnDevices,
    testing::Values(Suite{"pi", {"pi", "--size", "20011"}, 0}, Suite{"axpb", {"axpb:memory", "--size", "50003"}, 0},
                    // 6.4 MB, of which the host and two devices hold 4 MiB
                    Suite{"axpb_spill", {"axpb:spill", "--size", "800003", "--budget", "2M"}, 0, 8 * 800003 - 4 * 1048576.0},
                    Suite{"stream", {"stream", "--size", "2000000", "--budget", "16M"}, 1e-12},
                    Suite{"reduce", {"reduce", "--size", "32000", "--budget", "16M"}, 1e-12},
                    Suite{"matmul", {"matmul", "--size", "100"}, 1e-6}),
    [](const testing::TestParamInfo<Suite> &info) { return std::string(info.param.name); });

} // namespace
