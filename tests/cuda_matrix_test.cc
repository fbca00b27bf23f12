// Kernels that other tests made (MARS_KERNEL_SOURCES was set when they ran, and is here), each for itself, as a device is given it,
// compiled by the real NVRTC to machine code of sm_80, sm_90 and sm_100: no registers are spilled to local memory, in no function.
//
// MARS_MATRIX_RESULTS: a file of what was proven before, one line for a kernel and an architecture, to which this adds.
// MARS_MATRIX_SECONDS: after these it stops; the next run goes on.
#include "tests/cuda_report.h"
#include "tests/cuda_shim.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace {

const int kArchs[] = {80, 90, 100};

// What machine code depends on beside the text.
std::string compiler() {
  cuda_library rows[16];
  mars_status st;
  mars_error err = {};
  std::string out;
  for (int i = cuda_open_libraries(getenv("MARS_CUDA_LIBRARY_PATH"), rows, 16, &st, &err); i-- > 0;)
    if (std::string(rows[i].name).find("nvrtc") != std::string::npos) out = rows[i].version;
  for (int i = 0; cuda_report_option(i) != nullptr; i++) out += std::string(" ") + cuda_report_option(i);
  return out + "\n";
}

struct Kernel {
  std::string file, text;
};

// Large angles are reduced by Payne and Hanek's method, which indexes a table of partial products: a stack frame that is no spill.
bool may_have_stack(const std::string &text) {
  static const std::regex real("FN\\((sin|cos|tan)\\)"), both("FN\\((sin|cos|tan|sinh|cosh|tanh|exp|exp2|expm1|pow)\\)");
  const char *kernel;
  bool is_complex;
  return cuda_source_split(text.c_str(), &kernel, &is_complex) && std::regex_search(kernel, is_complex ? both : real);
}

// Nine reductions of one pass have more accumulators, each twice, than a thread's 255 registers hold.
bool may_spill(const std::string &text) {
  int n = 0;
  for (size_t at = text.find("\ntypedef A_"); at != std::string::npos; at = text.find("\ntypedef A_", at + 1)) n++;
  return n >= 9;
}

// Of all functions of one kernel's program.
struct Proof {
  size_t stack = 0, stores = 0, loads = 0, registers = 0;
};

Proof proof_of(const std::string &log) {
  Proof p;
  for (const auto &r : kernel_reports(log)) {
    p.stack = std::max(p.stack, r.second.stack);
    p.stores += r.second.spill_stores;
    p.loads += r.second.spill_loads;
  }
  for (size_t at = log.find("Used "); at != std::string::npos; at = log.find("Used ", at + 1))
    p.registers = std::max(p.registers, (size_t)strtoul(log.c_str() + at + 5, nullptr, 10));
  return p;
}

class Matrix : public testing::Test {
protected:
  void SetUp() override {
    const char *why, *seconds = getenv("MARS_MATRIX_SECONDS");
    if (!cuda_has_nvrtc(&why)) GTEST_SKIP() << "no NVRTC: " << why;
    load_kernels(getenv("MARS_KERNEL_SOURCES"));
    ASSERT_FALSE(kernels_.empty()) << "MARS_KERNEL_SOURCES names no folder of kernels";
    compiler_ = compiler();
    if (seconds != nullptr) seconds_ = atof(seconds);
    load_results(getenv("MARS_MATRIX_RESULTS"));
  }

  // Of the folder and those in it; a text that several suites have made is one kernel.
  void load_kernels(const char *dir) {
    std::set<std::string> seen;
    std::error_code none;
    if (dir == nullptr) return;
    for (const auto &e : std::filesystem::recursive_directory_iterator(dir, none)) {
      if (!e.is_regular_file() || e.path().extension() != ".cu") continue;
      std::ifstream f(e.path());
      std::string text((std::istreambuf_iterator<char>(f)), std::istreambuf_iterator<char>());
      if (!text.empty() && seen.insert(text).second) kernels_.push_back({e.path().filename(), text});
    }
    std::sort(kernels_.begin(), kernels_.end(), [](const Kernel &a, const Kernel &b) { return a.file < b.file; });
  }
  void load_results(const char *path) {
    if (path == nullptr) return;
    std::ifstream f(path);
    std::string key, file;
    Proof p;
    for (int arch; f >> key >> arch >> p.stack >> p.stores >> p.loads >> p.registers >> file;) known_[{key, arch}] = p;
    out_.open(path, std::ios::app);
    ASSERT_TRUE(out_.good()) << path;
  }

  std::string key_of(const std::string &text) const {
    const XXH128_hash_t h = XXH3_128bits((compiler_ + text).data(), compiler_.size() + text.size());
    char out[40];
    snprintf(out, sizeof out, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
    return out;
  }

  // One kernel for the architectures that it was not proven for.
  void prove(const Kernel &k, const std::string &key) {
    for (int arch : kArchs) {
      if (known_.count({key, arch}) != 0) continue;
      bool ok = false;
      char *raw = cuda_compile_report(k.text.c_str(), arch, &ok);
      const std::string log = raw;
      free(raw);
      if (!ok || kernel_reports(log).empty()) {
        ADD_FAILURE() << k.file << " sm_" << arch << ": " << log.substr(0, 3000);
        return;
      }
      const Proof p = proof_of(log);
      known_[{key, arch}] = p;
      if (out_.is_open()) out_ << key << ' ' << arch << ' ' << p.stack << ' ' << p.stores << ' ' << p.loads << ' ' << p.registers << ' ' << k.file << std::endl;
    }
  }

  bool late() const { return seconds_ > 0 && std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count() > seconds_; }

  std::vector<Kernel> kernels_;
  std::map<std::pair<std::string, int>, Proof> known_;
  std::string compiler_;
  std::ofstream out_;
  double seconds_ = 0;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

TEST_F(Matrix, CompilesWithoutSpills) {
  int left = 0;
  std::map<int, int> proven, frames, exceptions;
  for (const Kernel &k : kernels_) {
    const std::string key = key_of(k.text);
    bool all = true;
    for (int arch : kArchs) all = all && known_.count({key, arch}) != 0;
    if (!all && late()) {
      left++;
      continue;
    }
    if (!all) prove(k, key);
    const bool spills = may_spill(k.text), stack = spills || may_have_stack(k.text);
    for (int arch : kArchs) {
      if (known_.count({key, arch}) == 0) continue;
      const Proof &p = known_[{key, arch}];
      EXPECT_TRUE(p.stores + p.loads == 0 || spills) << k.file << " spills on sm_" << arch << ": " << p.stores << " bytes stored, " << p.loads << " loaded";
      EXPECT_TRUE(p.stack == 0 || stack) << k.file << " sm_" << arch << ": " << p.stack << " bytes of stack";
      proven[arch]++;
      frames[arch] += p.stack > 0 && p.stores + p.loads == 0;
      exceptions[arch] += p.stores + p.loads > 0;
    }
  }
  for (int arch : kArchs) printf("sm_%d: %d kernels, %d of them with a stack frame for large angles, %d of nine reductions or more that spill\n", arch, proven[arch], frames[arch], exceptions[arch]);
  if (left > 0) GTEST_SKIP() << left << " kernels are left for the next run";
}

// Atomic additions of floats would make sums depend on the order of the blocks. Of the PTX that the simulated platform ran, which is
// in the cache.
TEST_F(Matrix, NoAtomicsOfFloats) {
  static const std::regex atomic("\\b(atom|red)\\.[a-z0-9_.:]*\\b(f16|f16x2|bf16|bf16x2|f32|f64)\\b");
  auto first = [](const std::string &text) {
    bool cached;
    mars_error err = {};
    char *ptx = cuda_compile_ptx(text.c_str(), 90, &cached, &err);
    EXPECT_NE(ptx, nullptr) << err.message;
    const std::string all = ptx != nullptr ? ptx : "";
    free(ptx);
    std::string found;
    size_t at = 0; // lines with either word: a regular expression over some hundred kilobytes is slow
    for (size_t end; at < all.size() && found.empty(); at = end + 1) {
      end = std::min(all.find('\n', at), all.size());
      const std::string line = all.substr(at, end - at);
      if ((line.find("atom.") != std::string::npos || line.find("red.") != std::string::npos) && std::regex_search(line, atomic)) found = line;
    }
    return found;
  };
  const std::string sources = getenv("MARS_KERNEL_SOURCES");
  unsetenv("MARS_KERNEL_SOURCES"); // what is compiled here is none of the suites'
  // what is looked for is found where it is
  EXPECT_NE(first("extern \"C\" __global__ void k(float *a) { atomicAdd(a, 1.5f); }"), "");
  EXPECT_NE(first("extern \"C\" __global__ void k(double *a, double *b) { *b = atomicAdd(a, 1.5); }"), "");
  EXPECT_EQ(first("extern \"C\" __global__ void k(unsigned *a) { atomicAdd(a, 1u); }"), "");
  int left = 0;
  for (const Kernel &k : kernels_) {
    if (late()) left++;
    else EXPECT_EQ(first(k.text), "") << k.file;
  }
  setenv("MARS_KERNEL_SOURCES", sources.c_str(), 1);
  if (left > 0) GTEST_SKIP() << left << " kernels are left";
}

} // namespace
