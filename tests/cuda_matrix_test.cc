// Kernels that other tests made (MARS_KERNEL_SOURCES was set when they ran, and is here), compiled by the real NVRTC to machine code
// of sm_80, sm_90 and sm_100: no registers are spilled to local memory. Many kernels stand in one program, for the compiler's sake.
#include "tests/cuda_report.h"
#include "tests/cuda_shim.h"

#include <algorithm>
#include <cstdlib>
#include <dirent.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

const size_t kTogether = 40;

struct Kernel {
  std::string file, text;
};

// Large angles are reduced by Payne and Hanek's method, which indexes a table of partial products: a stack frame that is no spill.
bool may_have_stack(const std::string &kernel, bool is_complex) {
  static const std::regex real("FN\\((sin|cos|tan)\\)"), both("FN\\((sin|cos|tan|sinh|cosh|tanh|exp|exp2|expm1|pow)\\)");
  return std::regex_search(kernel, is_complex ? both : real);
}

class Matrix : public testing::TestWithParam<int> {
protected:
  static void SetUpTestSuite() {
    const char *dir = getenv("MARS_KERNEL_SOURCES");
    std::set<std::string> seen;
    DIR *d = dir != nullptr ? opendir(dir) : nullptr;
    for (struct dirent *e = d != nullptr ? readdir(d) : nullptr; e != nullptr; e = readdir(d)) {
      if (e->d_name[0] == '.') continue;
      std::ifstream f(std::string(dir) + "/" + e->d_name);
      std::string text((std::istreambuf_iterator<char>(f)), std::istreambuf_iterator<char>());
      if (text.empty() || !seen.insert(text).second) continue;
      const char *kernel;
      bool is_complex;
      if (!cuda_source_split(text.c_str(), &kernel, &is_complex)) alone_.push_back({e->d_name, text});
      else together_[is_complex].push_back({e->d_name, kernel});
    }
    if (d != nullptr) closedir(d);
    for (auto *v : {&together_[0], &together_[1], &alone_})
      std::sort(v->begin(), v->end(), [](const Kernel &a, const Kernel &b) { return a.file < b.file; });
  }
  void SetUp() override {
    const char *why;
    if (!cuda_has_nvrtc(&why)) GTEST_SKIP() << "no NVRTC: " << why;
    ASSERT_FALSE(together_[0].empty()) << "MARS_KERNEL_SOURCES names no folder of kernels";
  }

  void check(const Kernel &k, const KernelReport &r, bool stack) {
    EXPECT_EQ(r.spill_stores, 0u) << k.file;
    EXPECT_EQ(r.spill_loads, 0u) << k.file;
    EXPECT_TRUE(r.stack == 0 || stack) << k.file << ": " << r.stack << " bytes of stack\n" << k.text;
    frames_ += r.stack > 0;
    kernels_++;
  }
  std::string compile(const std::string &text, bool *ok) {
    char *raw = cuda_compile_report(text.c_str(), GetParam(), ok);
    std::string log = raw;
    free(raw);
    return log;
  }
  void check_together(const Kernel *k, size_t n, bool is_complex) {
    cuda_source *s = cuda_source_new(is_complex);
    for (size_t i = 0; i < n; i++) cuda_source_add_text(s, k[i].text.c_str());
    bool ok = false;
    std::string log = compile(cuda_source_text(s), &ok);
    cuda_source_free(s);
    ASSERT_TRUE(ok) << k[0].file << " to " << k[n - 1].file << ": " << log.substr(0, 3000);
    auto reports = kernel_reports(log);
    for (size_t i = 0; i < n; i++) {
      auto at = reports.find("k" + std::to_string(i));
      ASSERT_NE(at, reports.end()) << k[i].file << " is not in the report";
      check(k[i], at->second, may_have_stack(k[i].text, is_complex));
    }
  }

  static std::vector<Kernel> together_[2], alone_;
  int frames_ = 0, kernels_ = 0;
};
std::vector<Kernel> Matrix::together_[2], Matrix::alone_;

TEST_P(Matrix, CompilesWithoutSpills) {
  for (bool is_complex : {false, true})
    for (size_t i = 0; i < together_[is_complex].size() && !HasFatalFailure(); i += kTogether)
      check_together(&together_[is_complex][i], std::min(kTogether, together_[is_complex].size() - i), is_complex);
  for (const Kernel &k : alone_) { // copies and matrices: several kernels each
    bool ok = false;
    std::string log = compile(k.text, &ok);
    ASSERT_TRUE(ok) << k.file << ": " << log.substr(0, 3000);
    auto reports = kernel_reports(log);
    EXPECT_FALSE(reports.empty()) << k.file;
    for (auto &r : reports) check({k.file + " " + r.first, ""}, r.second, false);
  }
  printf("sm_%d: %d kernels, %d of them with a stack frame for large angles\n", GetParam(), kernels_, frames_);
}
INSTANTIATE_TEST_SUITE_P(Cuda, Matrix, testing::Values(80, 90, 100), [](const auto &i) { return "sm" + std::to_string(i.param); });

} // namespace
