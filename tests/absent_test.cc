// What is not there: devices that do not exist and why, libraries that are missing, drivers that are too old, budgets that are too large.
// Each test is a process of its own, with its environment (absent.cmake): libraries are looked for once.
#include "tests/api_util.h"

using namespace api;

namespace {

struct Log {
  std::vector<std::string> warnings;
  static void take(void *user, mars_log_level level, const char *text) {
    if (level >= MARS_LOG_WARNING) ((Log *)user)->warnings.push_back(text);
  }
};

testing::AssertionResult refused(const char *devices, size_t budget, mars_status st, std::initializer_list<const char *> words) {
  mars_session_config c;
  mars_session_config_init(&c);
  c.host_budget_bytes = 4 * MiB;
  c.devices = devices;
  c.device_budget_bytes = budget;
  mars_session *s = nullptr;
  mars_error err = {};
  mars_status got = mars_session_create(&c, &s, &err);
  mars_session_destroy(s);
  return says(got, err, st, words);
}

// Without devices named, the host does it and nothing fails.
void expect_host_works() {
  mars_session_config c;
  mars_session_config_init(&c);
  c.host_budget_bytes = 4 * MiB;
  mars_session *s = nullptr;
  mars_error err = {};
  ASSERT_TRUE(ok(mars_session_create(&c, &s, &err), err));
  mars_session_info info;
  mars_session_get_info(s, &info);
  EXPECT_EQ(info.n_devices, 1);
  double sum = 0;
  EXPECT_TRUE(ok(mars_fetch(mars_sum(mars_arange(s, MARS_F64, 0, 10, 1), MARS_ALL), &sum, sizeof sum, &err), err));
  EXPECT_EQ(sum, 45);
  mars_session_destroy(s);
}

TEST(Absent, Driver) {
  EXPECT_TRUE(refused("cuda:0", 0, MARS_E_ARG, {"\"cuda:0\"", "libcuda is missing", "libcuda.so.1", "there are: host"}));
  EXPECT_TRUE(refused("host, cuda:1", 0, MARS_E_ARG, {"\"cuda:1\"", "libcuda is missing"}));
  EXPECT_TRUE(refused("rocm:0", 0, MARS_E_ARG, {"\"rocm:0\"", "there are: host"}));
  expect_host_works();
}

TEST(Absent, Devices) {
  EXPECT_TRUE(refused("cuda:0", 0, MARS_E_ARG, {"\"cuda:0\"", "CUDA_ERROR_NO_DEVICE", "there are: host"}));
  expect_host_works();
}

TEST(Absent, OldDriver) {
  EXPECT_TRUE(refused("cuda:0", 0, MARS_E_ARG, {"\"cuda:0\"", "libcuda.so.1", "for CUDA 10.2", "11.2 or newer"}));
  expect_host_works();
}

TEST(Absent, DeviceNumberAndBudget) {
  EXPECT_TRUE(refused("cuda:2", 0, MARS_E_ARG, {"\"cuda:2\"", "the driver has 2 devices", "host, cuda:0, cuda:1"}));
  EXPECT_TRUE(refused("cuda:", 0, MARS_E_ARG, {"\"cuda:\""}));
  EXPECT_TRUE(refused("cuda:0,cuda:0", 64 * MiB, MARS_E_ARG, {"cuda:0 twice"}));
  EXPECT_TRUE(refused("", 0, MARS_E_ARG, {"\"\""}));
  EXPECT_TRUE(refused("cuda:1", 300 * MiB, MARS_E_BUDGET, {"device_budget_bytes", "314572800", "cuda:1", "bytes of memory"}));
  EXPECT_TRUE(refused("cuda:0", 1, MARS_E_BUDGET, {"cuda:0"}));
}

// Elementwise work stays on the host, with one warning for all GPUs; products use them nevertheless.
TEST(Absent, Nvrtc) {
  mars_library lib = {};
  for (size_t i = 0; mars_library_get(i, &lib) && strcmp(lib.name, "libnvrtc"); i++) {
  }
  ASSERT_STREQ(lib.name, "libnvrtc");
  ASSERT_EQ(lib.path, nullptr) << "the environment of this test should hide " << lib.path;
  Log log;
  mars_session_config c;
  mars_session_config_init(&c);
  c.host_budget_bytes = 16 * MiB;
  c.devices = "cuda:0,cuda:1";
  c.device_budget_bytes = 8 * MiB;
  c.log = Log::take;
  c.user = &log;
  mars_session *s = nullptr;
  mars_error err = {};
  ASSERT_TRUE(ok(mars_session_create(&c, &s, &err), err));
  EXPECT_EQ(log.warnings.size(), 1u);
  if (!log.warnings.empty()) {
    EXPECT_NE(log.warnings[0].find("libnvrtc is missing"), std::string::npos) << log.warnings[0];
  }
  mars_tensor *a = mars_add(mars_random_uniform(s, MARS_F64, MARS_SHAPE(96, 96), 0, 1), mars_float(s, 1));
  mars_tensor *b = mars_mul(a, mars_float(s, 2));
  mars_tensor *product = mars_matmul(a, mars_add(b, mars_float(s, 3)));
  std::vector<double> x(96 * 96), y(96 * 96), z(96 * 96);
  mars_output o = {};
  o.tensor = product, o.sink = MARS_SINK_MEMORY, o.data = z.data(), o.bytes = z.size() * 8;
  mars_job *job = nullptr;
  ASSERT_TRUE(ok(mars_submit(s, &o, 1, &job, &err), err));
  ASSERT_TRUE(ok(mars_wait(job, &err), err));
  mars_stats stats;
  mars_job_get_stats(job, &stats);
  mars_job_release(job);
  EXPECT_GT(stats.copied_bytes, 96u * 96 * 8) << "no operand went to a GPU";
  ASSERT_TRUE(ok(mars_fetch(a, x.data(), x.size() * 8, &err), err));
  ASSERT_TRUE(ok(mars_fetch(mars_add(b, mars_float(s, 3)), y.data(), y.size() * 8, &err), err));
  for (size_t i = 0; i < 96; i += 5)
    for (size_t j = 0; j < 96; j += 7) {
      double want = 0;
      for (size_t k = 0; k < 96; k++) want += x[i * 96 + k] * y[k * 96 + j];
      ASSERT_NEAR(z[i * 96 + j], want, 1e-10);
    }
  EXPECT_EQ(log.warnings.size(), 1u);
  mars_session_destroy(s);
}

} // namespace
