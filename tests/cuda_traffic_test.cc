// What fused kernels read and write of global memory, counted by the simulated platform: each operand once, each result once, and
// nothing else. Every elementwise row and dtype is counted where it is compared with the oracle (cuda_ops_test.cc).
#include "tests/cuda_shim.h"
#include "tests/cuda_sim.h"
#include "tests/vm_util.h"

#include <functional>
#include <gtest/gtest.h>

using namespace vm;

namespace {

vm_dev *device() { return devices().empty() ? nullptr : devices()[0].dev; }

Array compact(mars_dtype dt, const Shape &shape) {
  Rng rng(1);
  Array a = make_array(rng, dt, shape, COMPACT);
  fill(rng, a, false);
  return a;
}
uint64_t bytes_of(mars_dtype dt, const Shape &shape) { return (uint64_t)count(shape) * mars_dtype_bytes(dt); }

struct Traffic {
  uint64_t read = 0, written = 0;
};
Traffic traffic_of(const std::function<void()> &what) {
  Traffic a, b;
  cuda_sim_kernel_bytes("mx_kernel", &a.read, &a.written);
  what();
  cuda_sim_kernel_bytes("mx_kernel", &b.read, &b.written);
  return {b.read - a.read, b.written - a.written};
}

class CudaTraffic : public testing::Test {
protected:
  void SetUp() override {
    if (device() == nullptr) GTEST_SKIP() << "no CUDA device";
    if (!cuda_sim_is_used()) GTEST_SKIP() << "a real device does not count";
  }
};

// Long chains over several dtypes, in sizes that leave a tail behind 16-byte accesses and in one that does not.
TEST_F(CudaTraffic, AChainReadsEachOperandOnce) {
  for (int64_t n : {4096, 4099}) {
    const Shape shape = {n};
    Program p(shape);
    int x = p.load(compact(MARS_F32, shape)), y = p.load(compact(MARS_F32, shape)), k = p.load(compact(MARS_I16, shape));
    int v = p.op("multiply", x, y);
    for (int i = 0; i < 12; i++) v = p.op(i % 2 ? "add" : "multiply", v, i % 3 ? x : y); // read again: from registers
    v = p.op("add", v, p.cast(k, MARS_F32));
    p.store(v, compact(MARS_F32, shape));
    Traffic t = traffic_of([&] { p.run(device(), {}); });
    EXPECT_EQ(t.read, 2 * bytes_of(MARS_F32, shape) + bytes_of(MARS_I16, shape)) << n;
    EXPECT_EQ(t.written, bytes_of(MARS_F32, shape)) << n;
  }
}

TEST_F(CudaTraffic, SeveralResultsOfOnePass) {
  const Shape shape = {37, 61};
  Program p(shape);
  int x = p.load(compact(MARS_F64, shape)), y = p.load(compact(MARS_F64, shape));
  int s = p.op("add", x, y), d = p.op("subtract", x, y), less = p.op("less", x, y);
  p.store(s, compact(MARS_F64, shape));
  p.store(p.op("multiply", s, d), compact(MARS_F64, shape));
  p.store(less, compact(MARS_BOOL, shape));
  p.store(p.cast(d, MARS_F32), compact(MARS_F32, shape));
  Traffic t = traffic_of([&] { p.run(device(), {}); });
  EXPECT_EQ(t.read, 2 * bytes_of(MARS_F64, shape));
  EXPECT_EQ(t.written, 2 * bytes_of(MARS_F64, shape) + bytes_of(MARS_BOOL, shape) + bytes_of(MARS_F32, shape));
}

// Generators and constants live in registers.
TEST_F(CudaTraffic, WhatIsGeneratedIsNotRead) {
  const Shape shape = {1500};
  Program p(shape);
  int u = p.uniform(MARS_F64, 1, 2, 0, {1}), i = p.iota(5, {1});
  p.store(p.op("add", p.op("multiply", u, p.constant(MARS_F64, number(MARS_F64, 3))), p.cast(i, MARS_F64)), compact(MARS_F64, shape));
  Traffic t = traffic_of([&] { p.run(device(), {}); });
  EXPECT_EQ(t.read, 0u);
  EXPECT_EQ(t.written, bytes_of(MARS_F64, shape));
}

// Transposed, reversed and with gaps: the same bytes, one element at a time.
TEST_F(CudaTraffic, AnyLayoutIsReadOnce) {
  Rng rng(7);
  const Shape shape = {19, 23, 5};
  for (int i = 0; i < 4; i++) {
    Array a = make_array(rng, MARS_F32, shape, ANY_ORDER), out = make_array(rng, MARS_F32, shape, ANY_ORDER);
    fill(rng, a, false);
    Program p(shape);
    int x = p.load(a);
    p.store(p.op("multiply", x, x), out);
    Traffic t = traffic_of([&] { p.run(device(), {}); });
    EXPECT_EQ(t.read, bytes_of(MARS_F32, shape));
    EXPECT_EQ(t.written, bytes_of(MARS_F32, shape));
  }
}

struct Reduction {
  const char *name;
  uint32_t mask;
  Shape shape;
};
class CudaReductionTraffic : public CudaTraffic, public testing::WithParamInterface<mars_dtype> {};

// The operand once; partial results of the blocks, which the scratch is for, are written once and read once.
TEST_P(CudaReductionTraffic, OneReadOfTheOperand) {
  const mars_dtype dt = GetParam();
  int cut = 0; // how many had partial results
  for (const char *name : {"sum", "std", "argmin"})
    for (const Reduction &r : {Reduction{name, 3, {300, 41}}, Reduction{name, 2, {40, 333}}, Reduction{name, 1, {5000, 7}}, Reduction{name, 2, {3, 40000}}}) {
      SCOPED_TRACE(std::string(name) + " mask " + std::to_string(r.mask) + " of " + std::to_string(r.shape[0]) + " x " + std::to_string(r.shape[1]));
      Program p(r.shape, r.mask);
      int x = p.load(compact(dt, r.shape));
      p.reduce(name, p.op("add", x, x), 0);
      vm_kernel *k = nullptr;
      mars_error err = {};
      ASSERT_EQ(vm_compile(device(), p.prog(), &k, &err), MARS_OK) << err.message;
      const uint64_t partial = vm_scratch(device(), k, r.shape.data());
      vm_kernel_free(device(), k);
      Options whole;
      whole.finish = true;
      size_t result = 0;
      Traffic t = traffic_of([&] { result = p.run(device(), whole)[0].size(); });
      ASSERT_GE(t.written, result);
      EXPECT_EQ(t.read - bytes_of(dt, r.shape), t.written - result) << "what is written for the second pass is read by it";
      EXPECT_LE(t.written - result, partial);
      EXPECT_EQ(t.written > result, partial > 0);
      EXPECT_LT(partial, bytes_of(dt, r.shape) / 4) << "partial results are few";
      cut += partial > 0;
    }
  EXPECT_GT(cut, 0);
}
INSTANTIATE_TEST_SUITE_P(Cuda, CudaReductionTraffic, testing::Values(MARS_I16, MARS_F32, MARS_C64),
                         [](const auto &i) { return std::string(mars_dtype_name(i.param)); });

// Several reductions and a result of every element, of one read.
TEST_F(CudaTraffic, ReductionsShareAPass) {
  const Shape shape = {64, 100};
  Program p(shape, 2);
  int x = p.load(compact(MARS_F32, shape)), y = p.op("multiply", x, x);
  p.reduce("sum", y);
  p.reduce("min", x);
  p.store(y, compact(MARS_F32, shape));
  vm_kernel *k = nullptr;
  mars_error err = {};
  ASSERT_EQ(vm_compile(device(), p.prog(), &k, &err), MARS_OK) << err.message;
  const uint64_t partial = vm_scratch(device(), k, shape.data());
  vm_kernel_free(device(), k);
  Options whole;
  whole.finish = true;
  size_t results = 0;
  Traffic t = traffic_of([&] {
    auto out = p.run(device(), whole);
    results = out[0].size() + out[1].size();
  });
  const uint64_t stored = bytes_of(MARS_F32, shape) + results;
  ASSERT_GE(t.written, stored);
  EXPECT_EQ(t.read - bytes_of(MARS_F32, shape), t.written - stored);
  EXPECT_LE(t.written - stored, partial);
}

TEST_F(CudaTraffic, AScanReadsOnceAndWritesOnce) {
  for (uint32_t mask : {1u, 2u}) {
    const Shape shape = mask == 1 ? Shape{40, 300} : Shape{3, 1100};
    Program p(shape, mask);
    int x = p.load(compact(MARS_I64, shape));
    p.scan("cumsum", p.op("multiply", x, x), compact(MARS_I64, shape));
    Traffic t = traffic_of([&] { p.run(device(), {}); });
    EXPECT_EQ(t.read, bytes_of(MARS_I64, shape)) << mask;
    EXPECT_EQ(t.written, bytes_of(MARS_I64, shape)) << mask;
  }
}

} // namespace
