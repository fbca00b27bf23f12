// What is not there: devices that do not exist and why, libraries that are missing, drivers that are too old, budgets that are too large.
// Each test is a process of its own, with its environment (absent.cmake): libraries are looked for once.
#include "tests/api_util.h"
#include "tests/cuda_sim.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

using namespace api;

namespace {

struct Log {
  std::vector<std::string> warnings;
  static void take(void *user, mars_log_level level, const char *text) {
    if (level >= MARS_LOG_WARNING) ((Log *)user)->warnings.push_back(text);
  }
};

mars_library library(const char *name) {
  mars_library lib = {};
  for (size_t i = 0; mars_library_get(i, &lib); i++)
    if (!strcmp(lib.name, name)) return lib;
  ADD_FAILURE() << "there is no row for " << name;
  return {};
}

// Where NVRTC lies, as found by a process that is asked for nothing else: this one has yet to look for its libraries.
std::string path_of_nvrtc() {
  int fd[2];
  char path[1024] = "";
  if (pipe(fd) != 0) return "";
  const pid_t child = fork();
  if (child == 0) {
    const mars_library lib = library("libnvrtc");
    if (lib.path != nullptr) (void)!write(fd[1], lib.path, strlen(lib.path));
    _exit(0);
  }
  close(fd[1]);
  if (read(fd[0], path, sizeof path - 1) < 0) path[0] = '\0';
  close(fd[0]);
  waitpid(child, nullptr, 0);
  return path;
}

// A folder of links to the simulated platform, less the files of one library, and to NVRTC. It is removed with it.
class Folder {
public:
  std::filesystem::path path = std::filesystem::path(test_tmp()) / ("libraries." + std::to_string(getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path make(const char *name) const {
    std::filesystem::create_directories(path / name);
    return path / name;
  }
  static void link_all(const std::filesystem::path &from, const std::filesystem::path &to, const std::string &with, const std::string &without = "-") {
    for (const auto &e : std::filesystem::directory_iterator(from)) {
      const std::string name = e.path().filename();
      if (name.compare(0, with.size(), with) == 0 && name.compare(0, without.size() + 1, without + ".") != 0)
        std::filesystem::create_symlink(std::filesystem::absolute(e.path()), to / name);
    }
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
  // the reserve is 16 MiB at least and 1 GiB at most
  for (size_t total : {(size_t)256, (size_t)24 << 10}) {
    ASSERT_TRUE(cuda_sim_configure(("bytes=" + std::to_string(total) + "M").c_str()));
    mars_session_config c;
    mars_session_config_init(&c);
    c.host_budget_bytes = 4 * MiB;
    c.devices = "cuda:0";
    mars_session *s = nullptr;
    mars_error err = {};
    mars_session_info info;
    ASSERT_TRUE(ok(mars_session_create(&c, &s, &err), err));
    mars_session_get_info(s, &info);
    EXPECT_EQ(info.devices[1].budget_bytes, (total - (total == 256 ? 16 : 1024)) * MiB);
    mars_session_destroy(s);
  }
}

// Elementwise work stays on the host, with one warning for all GPUs; products use them nevertheless.
TEST(Absent, Nvrtc) {
  const mars_library lib = library("libnvrtc");
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
  // who asks for a kernel is told what is missing
  mars_kernel k = {};
  const mars_kernel_operand in = {MARS_F64, MARS_OPERAND_CHUNK};
  const mars_dtype out = MARS_F64;
  k.name = "mine", k.source = "", k.entry = "mine", k.n_in = k.n_out = 1, k.in = &in, k.out = &out;
  mars_tensor *made = nullptr;
  mars_kernel_apply(s, &k, &a, &made);
  EXPECT_TRUE(says(mars_run(s, &made, 1, &err), err, MARS_E_UNSUPPORTED, {"'mine'", "libnvrtc is missing", "libnvrtc.so", "host function"}));
  struct DLManagedTensor *given = nullptr;
  EXPECT_TRUE(says(mars_to_dlpack(a, "cuda:0", &given, &err), err, MARS_E_UNSUPPORTED, {"memory of device cuda:0", "libnvrtc is missing", "libnvrtc.so"}));
  EXPECT_EQ(log.warnings.size(), 1u);
  mars_session_destroy(s);
}

// One library less than there could be; NVRTC is there.
class AbsentLibrary : public testing::Test {
protected:
  void hide(const char *name) {
    const char *simgpu = getenv("MARS_TEST_SIMGPU");
    const std::string nvrtc = path_of_nvrtc();
    ASSERT_NE(simgpu, nullptr);
    if (nvrtc.empty()) GTEST_SKIP() << "no NVRTC: " << library("libnvrtc").missing;
    Folder::link_all(simgpu, folder.path, "lib", name);
    Folder::link_all(std::filesystem::path(nvrtc).parent_path(), folder.path, "libnvrtc");
    setenv("MARS_CUDA_LIBRARY_PATH", (folder.path.string() + ":!").c_str(), 1);
    for (const char *other : {"libcuda", "libnvrtc", "libcublas", "libcusolver", "libnccl"}) {
      const mars_library lib = library(other);
      if (strcmp(other, name) == 0) {
        EXPECT_EQ(lib.path, nullptr) << lib.path;
      } else {
        EXPECT_NE(lib.path, nullptr) << other << ": " << lib.missing;
      }
    }
  }
  mars_session *open(Log *log, const char *devices = "cuda:0,cuda:1") {
    mars_session_config c;
    mars_session_config_init(&c);
    c.host_budget_bytes = 16 * MiB;
    c.devices = devices;
    c.device_budget_bytes = MiB / 2;
    c.log = Log::take;
    c.user = log;
    mars_session *s = nullptr;
    mars_error err = {};
    EXPECT_TRUE(ok(mars_session_create(&c, &s, &err), err));
    return s;
  }
  // Elementwise work, a product, a solution: with it, the bytes that went to and from GPUs.
  void expect_right(mars_session *s, uint64_t *copied) {
    const int64_t n = 160;
    Scope scope(s);
    mars_error err = {};
    mars_tensor *a = mars_add(mars_random_uniform(s, MARS_F64, MARS_SHAPE(n, n), 0, 1), mars_mul(mars_eye(s, MARS_F64, n, n, 0), mars_int(s, n)));
    mars_tensor *b = mars_matmul(a, mars_transpose(a)), *x = mars_solve(a, b);
    std::vector<double> of[3];
    mars_output o[3] = {};
    mars_tensor *const t[] = {a, b, x};
    for (int i = 0; i < 3; i++) {
      of[i].resize((size_t)(n * n));
      o[i].tensor = t[i], o[i].sink = MARS_SINK_MEMORY, o[i].data = of[i].data(), o[i].bytes = of[i].size() * 8;
    }
    mars_job *job = nullptr;
    mars_stats stats = {};
    ASSERT_TRUE(ok(mars_submit(s, o, 3, &job, &err), err));
    EXPECT_TRUE(ok(mars_wait(job, &err), err));
    mars_job_get_stats(job, &stats);
    mars_job_release(job);
    *copied = stats.copied_bytes;
    for (int64_t i = 0; i < n; i += 3)
      for (int64_t j = 0; j < n; j += 7) {
        double want = 0;
        for (int64_t k = 0; k < n; k++) want += of[0][(size_t)(i * n + k)] * of[0][(size_t)(j * n + k)];
        ASSERT_NEAR(of[1][(size_t)(i * n + j)], want, 1e-9 * n) << i << " " << j;
        ASSERT_NEAR(of[2][(size_t)(i * n + j)], of[0][(size_t)(j * n + i)], 1e-9) << i << " " << j;
      }
  }
  // One warning a session says what is missing and what follows.
  void expect_told(const std::vector<std::string> &warnings, const char *name, const char *follows) {
    ASSERT_EQ(warnings.size(), 1u) << testing::PrintToString(warnings);
    EXPECT_EQ(warnings[0].find(std::string(name) + " is missing: not found (" + name + ".so"), 0u) << warnings[0];
    EXPECT_NE(warnings[0].find(follows), std::string::npos) << warnings[0];
  }
  void without(const char *name, const char *follows) {
    hide(name);
    if (IsSkipped() || HasFailure()) return;
    for (int session = 0; session < 2; session++) {
      Log log;
      uint64_t copied = 0;
      mars_session *s = open(&log);
      ASSERT_NE(s, nullptr);
      expect_right(s, &copied);
      EXPECT_GT(copied, 160u * 160 * 8) << "nothing went to a GPU";
      mars_session_destroy(s);
      expect_told(log.warnings, name, follows);
    }
  }
  Folder folder;
};

TEST_F(AbsentLibrary, Cublas) { without("libcublas", "products of floats, and what is made of them, stay on the host"); }
TEST_F(AbsentLibrary, Cusolver) { without("libcusolver", "factorisations, eigenvalues and singular values stay on the host"); }

TEST_F(AbsentLibrary, Nccl) {
  without("libnccl", "copies between GPUs that cannot reach one another go through the host");
  if (IsSkipped()) return;
  // nothing is missing where they can
  Log log;
  uint64_t copied = 0;
  ASSERT_TRUE(cuda_sim_configure("links=pcie"));
  mars_session *s = open(&log);
  ASSERT_NE(s, nullptr);
  expect_right(s, &copied);
  mars_session_destroy(s);
  EXPECT_TRUE(log.warnings.empty()) << log.warnings[0];
}

// NVRTC is newer than the driver, or than the device.
class NvrtcIsNewer : public AbsentLibrary {
protected:
  // With all of NVRTC, or that which lets the simulated driver run machine code; its version, and caches of the test's own.
  void begin(bool machine, int at_least, const char *setting, const char *value) {
    const std::string nvrtc = path_of_nvrtc(), simgpu = getenv("MARS_TEST_SIMGPU");
    if (nvrtc.empty()) GTEST_SKIP() << "no NVRTC: " << library("libnvrtc").missing;
    setenv(setting, value, 1);
    setenv("MARS_SIMGPU_NVRTC", nvrtc.c_str(), 1);
    setenv("MARS_SIMGPU_MACHINE", folder.make("machine").c_str(), 1);
    setenv("MARS_CACHE_DIR", folder.path.c_str(), 1);
    setenv("MARS_CUDA_LIBRARY_PATH", ((machine ? simgpu + "_nvrtc:" : "") + simgpu + ":" + std::filesystem::path(nvrtc).parent_path().string() + ":!").c_str(), 1);
    const mars_library lib = library("libnvrtc");
    int major = 0, minor = 0;
    ASSERT_NE(lib.path, nullptr) << lib.missing;
    EXPECT_EQ(std::string(lib.path).find("simgpu_nvrtc") != std::string::npos, machine) << lib.path;
    ASSERT_EQ(sscanf(lib.version, "%d.%d", &major, &minor), 2) << lib.version;
    if (10 * major + minor < at_least) GTEST_SKIP() << "NVRTC " << lib.version << " is not newer";
  }
  // Entries of the cache by what they begin with, behind what the cache itself writes.
  std::pair<int, int> cached() {
    std::pair<int, int> ptx_and_machine = {0, 0};
    for (const auto &e : std::filesystem::directory_iterator(folder.path / "kernels")) {
      std::ifstream f(e.path());
      const std::string text((std::istreambuf_iterator<char>(f)), std::istreambuf_iterator<char>());
      (text.find("\177ELF") < 64 ? ptx_and_machine.second : ptx_and_machine.first)++;
    }
    return ptx_and_machine;
  }
  // One session: what was loaded.
  std::pair<uint64_t, uint64_t> run() {
    Log log;
    uint64_t copied = 0;
    const uint64_t ptx = cuda_sim_modules(false), machine = cuda_sim_modules(true);
    mars_session *s = open(&log, "cuda:0");
    if (s == nullptr) return {0, 0};
    expect_right(s, &copied);
    EXPECT_GT(copied, 160u * 160 * 8) << "nothing went to a GPU";
    EXPECT_TRUE(log.warnings.empty()) << log.warnings[0];
    mars_session_destroy(s);
    return {cuda_sim_modules(false) - ptx, cuda_sim_modules(true) - machine};
  }
};

// Machine code, then. What the cache keeps of one kind is not given to a driver that wants the other.
TEST_F(NvrtcIsNewer, ThanTheDriverReads) {
  begin(true, 123, "MARS_SIMGPU_DRIVER", "12020");
  if (IsSkipped() || HasFailure()) return;
  const auto first = run();
  EXPECT_EQ(first.first, 0u) << "PTX";
  EXPECT_GT(first.second, 4u) << "machine code";
  const auto had = cached();
  EXPECT_EQ(had.first, 1) << "refused once, PTX is not made any more";
  EXPECT_EQ((uint64_t)had.second, first.second);
  ASSERT_TRUE(cuda_sim_configure("driver=99000")); // as new as can be
  const auto newer = run();
  EXPECT_EQ(newer.first, first.second);
  EXPECT_EQ(newer.second, 0u);
  EXPECT_EQ(cached(), std::make_pair((int)first.second, had.second));
  ASSERT_TRUE(cuda_sim_configure("driver=12020"));
  EXPECT_EQ(run(), first);
  EXPECT_EQ(cached(), std::make_pair((int)first.second, had.second)) << "all of it was there";
}

// A driver that takes neither has the host do the work, and one warning says why.
TEST_F(NvrtcIsNewer, AndTheDriverTakesNoMachineCode) {
  begin(false, 123, "MARS_SIMGPU_DRIVER", "12020");
  if (IsSkipped() || HasFailure()) return;
  Log log;
  uint64_t copied = 0;
  mars_session *s = open(&log, "cuda:0");
  ASSERT_NE(s, nullptr);
  for (int i = 0; i < 2; i++) expect_right(s, &copied);
  ASSERT_EQ(log.warnings.size(), 1u) << testing::PrintToString(log.warnings);
  for (const char *word : {"cuda:0", "CUDA_ERROR_NO_BINARY_FOR_GPU", "without device cuda:0"})
    EXPECT_NE(log.warnings[0].find(word), std::string::npos) << log.warnings[0];
  EXPECT_EQ(cuda_sim_modules(false) + cuda_sim_modules(true), 0u);
  mars_session_destroy(s);
}

// NVRTC 13 has given up what came before 7.5.
TEST_F(NvrtcIsNewer, ThanTheDevice) {
  begin(false, 130, "MARS_SIMGPU_CC", "7.0");
  if (IsSkipped() || HasFailure()) return;
  Log log;
  uint64_t copied = 0;
  mars_session *s = open(&log, "cuda:0");
  ASSERT_NE(s, nullptr);
  expect_right(s, &copied);
  EXPECT_GT(copied, 160u * 160 * 8) << "no product went to the GPU";
  ASSERT_EQ(log.warnings.size(), 1u) << testing::PrintToString(log.warnings);
  for (const char *word : {"libnvrtc 1", "does not compile", "cuda:0, 7.0", "programs stay on the host"})
    EXPECT_NE(log.warnings[0].find(word), std::string::npos) << log.warnings[0];
  mars_kernel k = {};
  const mars_kernel_operand in = {MARS_F64, MARS_OPERAND_CHUNK};
  const mars_dtype out = MARS_F64;
  k.name = "mine", k.source = "", k.entry = "mine", k.n_in = k.n_out = 1, k.in = &in, k.out = &out;
  mars_tensor *a = mars_ones(s, MARS_F64, MARS_SHAPE(9)), *made = nullptr;
  mars_error err = {};
  mars_kernel_apply(s, &k, &a, &made);
  EXPECT_TRUE(says(mars_run(s, &made, 1, &err), err, MARS_E_UNSUPPORTED, {"'mine'", "does not compile", "7.0", "host function"}));
  mars_session_destroy(s);
}

// The folders that are documented, in their order: MARS_CUDA_LIBRARY_PATH's, CUDA_HOME, CUDA_PATH.
TEST(AbsentElsewhere, TheFirstFolderThatIsNamedWins) {
  const char *simgpu = getenv("MARS_TEST_SIMGPU");
  ASSERT_NE(simgpu, nullptr);
  Folder folder;
  const auto a = folder.make("a"), b = folder.make("b"), home = folder.make("home/lib64"), path = folder.make("path/lib64");
  const struct {
    const std::filesystem::path &in;
    std::vector<const char *> with;
  } folders[] = {{a, {"libcuda"}},
                 {b, {"libcuda", "libcublas"}},
                 {home, {"libcuda", "libcublas", "libcusolver"}},
                 {path, {"libcuda", "libcublas", "libcusolver", "libcusparse"}}};
  for (const auto &f : folders)
    for (const char *name : f.with) Folder::link_all(simgpu, f.in, std::string(name) + ".");
  setenv("MARS_CUDA_LIBRARY_PATH", (a.string() + ":" + b.string()).c_str(), 1);
  setenv("CUDA_HOME", home.parent_path().c_str(), 1);
  setenv("CUDA_PATH", path.parent_path().c_str(), 1);
  for (const auto &f : folders) {
    const mars_library lib = library(f.with.back());
    ASSERT_NE(lib.path, nullptr) << lib.name << ": " << lib.missing;
    EXPECT_EQ(std::filesystem::path(lib.path).parent_path(), f.in) << lib.name;
  }
}

} // namespace
