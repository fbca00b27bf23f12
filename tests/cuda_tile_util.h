// A CUDA device and the host's beside it; matrices for both.
#ifndef TESTS_CUDA_TILE_UTIL_H
#define TESTS_CUDA_TILE_UTIL_H

#include "tests/cuda_shim.h"
#include "tests/cuda_sim.h"
#include "tests/cuda_tile_shim.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

class CudaDevice : public ::testing::Test {
protected:
  void SetUp() override {
    mars_error err = {};
    const char *why = nullptr;
    if (!cuda_has_nvrtc(&why)) GTEST_SKIP() << "no NVRTC: " << why;
    if (cuda_device_count() > 0) cuda_sim_configure("devices=2"); // real ones are as they are
    mars_status st = vm_open_cuda(0, 32 << 20, &cuda_, &err);
    if (st == MARS_E_UNSUPPORTED) GTEST_SKIP() << err.message;
    ASSERT_EQ(st, MARS_OK) << err.message;
    ASSERT_EQ(vm_open(1, false, nullptr, 0, &host_, &err), MARS_OK) << err.message;
  }
  void TearDown() override {
    char text[1000];
    if (cuda_ != nullptr) {
      EXPECT_EQ(vm_close(cuda_), 0);
    }
    if (host_ != nullptr) vm_close(host_);
    EXPECT_EQ(cuda_sim_failed_checks(text, sizeof text), 0u) << text;
    EXPECT_EQ(cuda_sim_live(text, sizeof text), 0u) << text;
  }
  vm_dev *cuda_ = nullptr, *host_ = nullptr;
};

inline int parts(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128 ? 2 : 1; }
inline double element(mars_dtype dt, const char *p, int part) {
  switch (dt) {
  case MARS_I32: return *(const int32_t *)p;
  case MARS_U32: return *(const uint32_t *)p;
  case MARS_I64: return (double)*(const int64_t *)p;
  case MARS_F32: case MARS_C64: return ((const float *)p)[part];
  default: return ((const double *)p)[part];
  }
}
inline void put(mars_dtype dt, char *p, int part, double v) {
  switch (dt) {
  case MARS_I32: *(int32_t *)p = (int32_t)v; break;
  case MARS_U32: *(uint32_t *)p = (uint32_t)(int64_t)v; break;
  case MARS_I64: *(int64_t *)p = (int64_t)v; break;
  case MARS_F32: case MARS_C64: ((float *)p)[part] = (float)v; break;
  default: ((double *)p)[part] = v;
  }
}

// A matrix in memory of its own, by rows or by columns; behind each run a gap, where that is wanted.
struct Mat {
  mars_dtype dt;
  int64_t rows, cols, rs, cs, offset;
  std::vector<char> mem;
  // Of 17 different values.
  Mat(std::mt19937 &rng, mars_dtype dt, int64_t rows, int64_t cols, bool by_rows, int gap = 2)
      : Mat(dt, rows, cols, by_rows, gap) {
    fill([&] { return (double)(int)(rng() % 17) / 8 - 1; });
  }
  // Zeros.
  Mat(mars_dtype dt, int64_t rows, int64_t cols, bool by_rows, int gap = 0) : dt(dt), rows(rows), cols(cols), offset(gap > 0 ? 3 : 0) {
    rs = by_rows ? cols + gap : 1;
    cs = by_rows ? 1 : rows + gap;
    mem.assign((size_t)(offset + (rows + gap) * (cols + gap)) * mars_dtype_bytes(dt), 0);
  }
  template <class F> void fill(F next) {
    size_t es = mars_dtype_bytes(dt);
    for (size_t i = 0; i < mem.size() / es; i++)
      for (int k = 0; k < parts(dt); k++) put(dt, &mem[i * es], k, next());
  }
  char *at(int64_t i, int64_t j) { return &mem[(size_t)(offset + i * rs + j * cs) * mars_dtype_bytes(dt)]; }
  double get(int64_t i, int64_t j, int part) { return element(dt, at(i, j), part); }
  tile_mat view() { return {mem.data(), mem.size(), offset, rows, cols, rs, cs, mars_dtype_bytes(dt)}; }
};

#endif
