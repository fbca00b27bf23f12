// The memory promise: a process in a memory cgroup of budget + 96 MiB streams a file several times larger,
// with a peak resident size of at most budget + 64 MiB.
#include "tests/api_util.h"

#include <fcntl.h>
#include <fstream>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace api;

namespace {

const size_t kBudget = 64 * MiB;
const int64_t kElements = (int64_t)(384 * MiB / 8);

// A memory cgroup of its own, of either version; `why` says what was refused.
class Cgroup {
public:
  explicit Cgroup(size_t limit) {
    std::string name = "/mars_test_" + std::to_string(getpid());
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
      path = "/sys/fs/cgroup" + name;
      file = "/memory.max";
    } else {
      path = "/sys/fs/cgroup/memory" + name;
      file = "/memory.limit_in_bytes";
    }
    if (mkdir(path.c_str(), 0755) != 0) {
      why = "cannot make " + path + ": " + std::strerror(errno);
      path.clear();
      return;
    }
    if (!put(file, std::to_string(limit)))
      why = "cannot set " + path + file;
  }
  ~Cgroup() {
    if (!path.empty())
      rmdir(path.c_str());
  }
  bool put(const std::string &name, const std::string &text) {
    std::ofstream f(path + name);
    f << text;
    return (bool)f.flush();
  }
  std::string path, file, why;
};

size_t peak_resident_bytes() {
  std::ifstream f("/proc/self/status");
  for (std::string line; std::getline(f, line);)
    if (line.compare(0, 6, "VmHWM:") == 0)
      return (size_t)std::stoull(line.substr(6)) * 1024;
  return 0;
}

// Element i of the file, cheap to make and to check
double element(int64_t i) {
  return (double)(i % 1000003) * 0.5;
}

void make_file(const std::string &path) {
  std::string header =
      "{'descr': '<f8', 'fortran_order': False, 'shape': (" + std::to_string(kElements) + ",), }";
  write_raw_npy(path, header, "");
  std::ofstream f(path, std::ios::binary | std::ios::app);
  std::vector<double> block(1 << 16);
  for (int64_t i = 0; i < kElements; i += (int64_t)block.size()) {
    for (size_t k = 0; k < block.size(); k++)
      block[k] = element(i + (int64_t)k);
    f.write((const char *)block.data(), (std::streamsize)(block.size() * 8));
  }
  ASSERT_TRUE(f.flush());
}

// What the child does: (x + 1) * 2 to a file and its sum, in the budget; leaves its peak in peak.txt.
TEST(Memory, DISABLED_StreamInTheCgroup) {
  const char *dir = std::getenv("MARS_TEST_STREAM_DIR");
  ASSERT_NE(dir, nullptr);
  std::string base = dir, out = base + "/y.npy";
  {
    Config config;
    config.budget = kBudget;
    config.threads = 2;
    config.spill_dir = base;
    Session s(config);
    Scope scope(s);
    mars_tensor *x = mars_from_npy(s, (base + "/x.npy").c_str());
    mars_tensor *y = mars_mul(mars_add(x, mars_float(s, 1)), mars_float(s, 2));
    double sum = 0;
    mars_output o[2] = {};
    o[0].tensor = y;
    o[0].sink = MARS_SINK_NPY;
    o[0].path = out.c_str();
    o[1].tensor = mars_sum(x, MARS_ALL);
    o[1].sink = MARS_SINK_MEMORY;
    o[1].data = &sum;
    o[1].bytes = 8;
    mars_job *job = nullptr;
    mars_error err = {};
    ASSERT_TRUE(ok(mars_submit(s, o, 2, &job, &err), err));
    ASSERT_TRUE(ok(mars_wait(job, &err), err));
    mars_job_release(job);
    long double want = 0;
    for (int64_t i = 0; i < kElements; i++)
      want += element(i);
    EXPECT_NEAR(sum, (double)want, 1e-3);
    // and something that has to be spilled: six times the budget, twice
    mars_tensor *c = mars_cumsum(x, 0);
    ASSERT_TRUE(ok(mars_run(s, &c, 1, &err), err));
    double last = 0;
    mars_slice items[] = {{MARS_SLICE_INTEGER, -1, 0, 0}};
    ASSERT_TRUE(ok(mars_fetch(mars_index(c, items, 1), &last, 8, &err), err));
    EXPECT_NEAR(last, (double)want, 1e-2 * std::fabs((double)want));
  }
  std::ofstream(base + "/peak.txt") << peak_resident_bytes();
}

TEST(Memory, PeakResidentSizeStaysBelowBudgetPlus64MiB) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's shadow memory counts as resident";
#endif
  TempDir dir;
  struct statfs fs;
  ASSERT_EQ(statfs(dir.path.c_str(), &fs), 0);
  if (fs.f_type == TMPFS_MAGIC)
    GTEST_SKIP() << dir.path << " is in memory: its files would count; set MARS_TEST_TMPDIR";
  make_file(dir.file("x.npy"));
  Cgroup group(kBudget + 96 * MiB);
  std::string program = "/proc/self/exe", procs = group.path + "/cgroup.procs";
  pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    if (group.why.empty()) {
      int fd = open(procs.c_str(), O_WRONLY);
      std::string self = std::to_string(getpid());
      if (fd < 0 || write(fd, self.data(), self.size()) < 0)
        _exit(77);
      close(fd);
    }
    setenv("MARS_TEST_STREAM_DIR", dir.path.c_str(), 1);
    execl(program.c_str(), "api_memory_test", "--gtest_filter=Memory.DISABLED_StreamInTheCgroup",
          "--gtest_also_run_disabled_tests", (char *)nullptr);
    _exit(78);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
    GTEST_SKIP() << "cannot move a process to " << group.path;
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status)
                                 << " (9: the cgroup's limit was reached)";
  ASSERT_EQ(WEXITSTATUS(status), 0);
  size_t peak = 0;
  std::ifstream(dir.file("peak.txt")) >> peak;
  EXPECT_GT(peak, 1 * MiB);
  EXPECT_LE(peak, kBudget + 64 * MiB) << "peak resident size " << peak / MiB << " MiB";
  // the result, outside of the cgroup and block by block
  std::ifstream f(dir.file("y.npy"), std::ios::binary);
  f.seekg(0, std::ios::end);
  int64_t bytes = (int64_t)f.tellg(), data = kElements * 8;
  ASSERT_GT(bytes, data);
  f.seekg(bytes - data);
  std::vector<double> block(1 << 16);
  for (int64_t i = 0; i < kElements; i += (int64_t)block.size()) {
    f.read((char *)block.data(), (std::streamsize)(block.size() * 8));
    for (size_t k = 0; k < block.size(); k++)
      ASSERT_EQ(block[k], (element(i + (int64_t)k) + 1) * 2) << i;
  }
  if (!group.why.empty())
    GTEST_SKIP() << "checked without a memory cgroup: " << group.why;
}

} // namespace
