/*
 * A device with memory, launches from PTX text or from CUDA C by the real NVRTC.
 */
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "ptx.h"

/* "" and *why when there is no NVRTC here or it refuses the source (then *why begins with "error"). */
std::string nvrtc_compile(const std::string &source, std::string *why, const char *arch = "compute_90");

class Device {
public:
  explicit Device(int devices = 1) : mem(sg_memory_create(devices)) {}
  ~Device();

  /* Device memory; freed with the device. Nobody has written it. */
  template <class T> T *raw(size_t n, int device = 0) {
    return static_cast<T *>(allocate(n * sizeof(T), device));
  }
  template <class T> T *put(const std::vector<T> &values, int device = 0) {
    T *p = raw<T>(values.size(), device);
    memcpy(p, values.data(), values.size() * sizeof(T));
    sg_memory_mark_written(mem, reinterpret_cast<uint64_t>(p), values.size() * sizeof(T));
    return p;
  }
  void release(void *p); // it stays mapped until the device goes

  bool load(const std::string &ptx); // a failure is a test failure
  sg_ptx_status launch(const char *kernel, unsigned blocks, unsigned threads, std::vector<void *> args,
                       size_t shared = 0);
  template <class... A> sg_ptx_status run(const char *kernel, unsigned blocks, unsigned threads, A... args) {
    return launch(kernel, blocks, threads, {static_cast<void *>(&args)...});
  }

  sg_memory *mem;
  sg_ptx_module *module = nullptr;
  sg_ptx_counts counts = {};
  sg_ptx_grid grid = {};
  std::string error;

private:
  std::vector<std::pair<void *, bool>> blocks; // and: is it registered
  void *allocate(size_t bytes, int device);
};

/* The head of a module and a kernel around a body. The kernel's parameters are .u64 p0 .. p3. */
std::string ptx_kernel(const std::string &body, const std::string &before = "");

/*
 * One instruction, or a few, over vectors of words: inputs are b64 in %a0 .. %a3 (their low parts in %r0..,
 * %h0.., and as floats in %f0.., %d0..), the results are what the text leaves in %x0, %x1 (b64). One thread
 * an element, so that lanes are used.
 */
using Words = std::vector<uint64_t>;
std::vector<Words> ptx_eval(const std::string &text, const std::vector<Words> &inputs, size_t outputs = 1);
/* Words of numbers, and back. */
inline uint64_t f32(float x) {
  uint32_t w;
  memcpy(&w, &x, 4);
  return w;
}
inline uint64_t f64(double x) {
  uint64_t w;
  memcpy(&w, &x, 8);
  return w;
}
inline float as_f32(uint64_t w) {
  uint32_t u = static_cast<uint32_t>(w);
  float x;
  memcpy(&x, &u, 4);
  return x;
}
inline double as_f64(uint64_t w) {
  double x;
  memcpy(&x, &w, 8);
  return x;
}
/* A single case. */
uint64_t ptx_one(const std::string &text, const Words &inputs);

#define REQUIRE_NVRTC(name, source, ...)                                                                     \
  std::string name##_why;                                                                                    \
  std::string name = nvrtc_compile(source, &name##_why, ##__VA_ARGS__);                                      \
  if (name.empty() && name##_why.compare(0, 5, "error") != 0)                                                \
    GTEST_SKIP() << name##_why;                                                                              \
  ASSERT_FALSE(name.empty()) << name##_why
