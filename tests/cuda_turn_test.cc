// Operands that lie along another axis than the result: programs by tiles in shared memory, to the host's bits, with the operands' bytes
// read once and in whole sectors.
#include "tests/cuda_counted.h"
#include "tests/cuda_shim.h"
#include "tests/vm_util.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <numeric>

using namespace vm;

namespace {

vm_dev *device() { return devices().empty() ? nullptr : devices()[0].dev; }

// Compact, its dimensions in memory in this order, outermost first; `gap` elements behind each run, or backwards along the fastest.
Array laid_out(mars_dtype dt, const Shape &shape, const std::vector<int> &order, int64_t gap = 0, bool back = false, uint64_t seed = 3) {
  Rng rng(seed);
  Array a;
  int64_t step = (int64_t)mars_dtype_bytes(dt);
  a.dt = dt;
  a.shape = shape;
  a.stride.assign(shape.size(), 0);
  for (size_t k = order.size(); k-- > 0;) {
    const size_t d = (size_t)order[k];
    const bool turned = back && k + 1 == order.size();
    a.stride[d] = turned ? -step : step;
    if (turned) a.offset = step * (shape[d] - 1);
    step *= shape[d] + (k + 1 == order.size() ? gap : 0);
  }
  a.mem.assign((size_t)step + 16, (char)0x5e);
  fill(rng, a, false); // the bits of a NaN that arithmetic makes are not the host's
  return a;
}

class CudaTurn : public testing::Test {
protected:
  void SetUp() override {
    mars_error err = {};
    if (device() == nullptr) GTEST_SKIP() << "no CUDA device";
    ASSERT_EQ(vm_open(1, false, nullptr, 0, &host_, &err), MARS_OK) << err.message;
  }
  void TearDown() override {
    if (host_ != nullptr) vm_close(host_);
  }
  // The device's bits are the host's; what it moved.
  Traffic same_as_host(Program &p) {
    const Traffic before = so_far();
    const auto got = p.run(device(), {});
    const Traffic after = so_far();
    EXPECT_EQ(got, p.run(host_, {}));
    return {after.read - before.read, after.written - before.written, after.sectors - before.sectors};
  }
  vm_dev *host_ = nullptr;
};

uint64_t bytes_of(mars_dtype dt, const Shape &shape) { return (uint64_t)count(shape) * mars_dtype_bytes(dt); }

struct Case {
  Shape shape;
  std::vector<int> order; // of the operand that lies across
};
const Case kCases[] = {{{33, 70}, {1, 0}},         {{1, 50}, {1, 0}},        {{31, 32}, {1, 0}},        {{16, 17}, {1, 0}}, {{15, 40}, {1, 0}},
                       {{64, 96}, {1, 0}},         {{3, 40, 50}, {0, 2, 1}}, {{35, 3, 40}, {2, 1, 0}}, {{17, 33, 5}, {2, 0, 1}},
                       {{2, 20, 3, 21}, {0, 3, 2, 1}}};

class CudaTurnOf : public CudaTurn, public testing::WithParamInterface<mars_dtype> {};

// x.T + y, or what there is of it for halves and truth values; and the same values beside them in a result that lies across itself.
TEST_P(CudaTurnOf, TheHostsBitsAndEveryByteOnce) {
  const mars_dtype dt = GetParam(), loop = dt == MARS_F16 || dt == MARS_BF16 ? MARS_F32 : dt;
  int number = (int)dt;
  for (const Case &c : kCases) {
    const int form = number++ % 3;
    SCOPED_TRACE(std::to_string(c.shape[0]) + " x " + std::to_string(c.shape[1]) + " .. form " + std::to_string(form));
    std::vector<int> rows(c.shape.size());
    std::iota(rows.begin(), rows.end(), 0);
    Program p(c.shape);
    auto load = [&](const Array &a) { return loop == dt ? p.load(a) : p.cast(p.load(a), loop); };
    int x = load(laid_out(dt, c.shape, c.order, form == 1 ? 3 : 0, form == 2)), y = load(laid_out(dt, c.shape, rows, 0, false, 4));
    int sum = p.op(dt == MARS_BOOL ? "logical_xor" : "add", x, y);
    p.store(sum, laid_out(dt, c.shape, rows, form));
    uint64_t written = bytes_of(dt, c.shape);
    if (form == 1) {
      p.store(p.cast(p.op("equal", sum, x), MARS_F64), laid_out(MARS_F64, c.shape, c.order));
      written += bytes_of(MARS_F64, c.shape);
    }
    const Traffic t = same_as_host(p);
    if (!cuda_sim_is_used()) continue;
    EXPECT_EQ(t.read, 2 * bytes_of(dt, c.shape));
    EXPECT_EQ(t.written, written);
  }
}
INSTANTIATE_TEST_SUITE_P(Cuda, CudaTurnOf,
                         testing::Values(MARS_BOOL, MARS_I8, MARS_U16, MARS_I32, MARS_F16, MARS_BF16, MARS_F32, MARS_F64, MARS_C64, MARS_C128),
                         [](const auto &i) { return std::string(mars_dtype_name(i.param)); });

// Of a run of a tile's side: those it fills, and one more as it may begin in the middle of one.
uint64_t sectors_of(mars_dtype dt, const Shape &shape) { return (uint64_t)count(shape) / 32 * (mars_dtype_bytes(dt) + 1); }

// A copy, (x.T * 2 + x), and one with operands of several widths. An element at a time, those that lie across would ask for 32 sectors
// where these runs have 2 (u8) to 17 (c128).
TEST_F(CudaTurn, WholeSectors) {
  if (!cuda_sim_is_used()) GTEST_SKIP() << "a real device does not count";
  const Shape shape = {96, 160};
  for (mars_dtype dt : {MARS_U8, MARS_F32, MARS_F64, MARS_C128})
    for (int form = 0; form < 3; form++) {
      SCOPED_TRACE(std::string(mars_dtype_name(dt)) + " form " + std::to_string(form));
      Program p(shape);
      int v = p.load(laid_out(dt, shape, {1, 0}));
      uint64_t most = 2 * sectors_of(dt, shape);
      if (form > 0) {
        v = p.op("add", p.op("multiply", v, p.constant(dt, number(dt, 2))), p.load(laid_out(dt, shape, {0, 1}, 0, false, 4)));
        most += sectors_of(dt, shape);
      }
      if (form > 1) {
        v = p.op("add", v, p.cast(p.load(laid_out(MARS_I16, shape, {1, 0})), dt));
        most += sectors_of(MARS_I16, shape);
      }
      p.store(v, laid_out(dt, shape, {0, 1}));
      EXPECT_LE(same_as_host(p).sectors, most);
    }
}

// More operands that lie across than shared memory has room for, along two axes, and one that stands still.
TEST_F(CudaTurn, MoreThanThereIsRoomFor) {
  const Shape shape = {18, 20, 34};
  Program p(shape);
  int v = p.load(laid_out(MARS_C128, shape, {0, 2, 1}));
  for (uint64_t i = 0; i < 4; i++) v = p.op("add", v, p.load(laid_out(MARS_C128, shape, i == 2 ? std::vector<int>{2, 1, 0} : std::vector<int>{0, 2, 1}, 0, false, 5 + i)));
  Array still = laid_out(MARS_C128, {18, 1, 1}, {0, 1, 2});
  still.shape = shape;
  still.stride[1] = still.stride[2] = 0;
  v = p.op("multiply", v, p.load(still));
  v = p.op("add", v, p.cast(p.iota(7, {100, 3, 1}), MARS_C128));
  p.store(v, laid_out(MARS_C128, shape, {0, 1, 2}));
  const Traffic t = same_as_host(p);
  if (cuda_sim_is_used()) {
    EXPECT_EQ(t.written, bytes_of(MARS_C128, shape));
  }
}

// Scans along the innermost axis of more lines than are given a block each: by tiles, in order.
TEST_F(CudaTurn, ScansOfManyLines) {
  for (const Shape &shape : {Shape{1100, 70}, Shape{41, 30, 33}, Shape{1025, 16}, Shape{1024, 1}})
    for (mars_dtype dt : {MARS_I16, MARS_F32, MARS_F64, MARS_C128}) {
      SCOPED_TRACE(std::string(mars_dtype_name(dt)) + " of " + std::to_string(shape[0]));
      const mars_dtype loop = dt == MARS_I16 ? MARS_I64 : dt;
      std::vector<int> rows(shape.size());
      std::iota(rows.begin(), rows.end(), 0);
      Program p(shape, 1u << (shape.size() - 1));
      int v = p.load(laid_out(dt, shape, rows));
      if (loop != dt) v = p.cast(v, loop);
      v = p.op("add", v, p.load(laid_out(loop, shape, rows, 0, false, 4)));
      if (shape.size() == 2) p.store(v, laid_out(loop, shape, rows)); // and what is scanned
      p.scan(dt == MARS_F64 ? "cumprod" : "cumsum", v, laid_out(loop, shape, rows, 2));
      const Traffic t = same_as_host(p);
      if (!cuda_sim_is_used() || shape.back() < 32) continue;
      // an element at a time along the lines they would ask for a sector each
      const uint64_t most = sectors_of(dt, shape) + (shape.size() == 2 ? 3 : 2) * sectors_of(loop, shape);
      EXPECT_EQ(t.read, bytes_of(dt, shape) + bytes_of(loop, shape));
      EXPECT_LE(t.sectors, most * 5 / 4); // lines are no multiples of a tile
    }
}

// Tiles of a larger space, whose operands begin somewhere.
TEST_F(CudaTurn, PartsOfALargerSpace) {
  const Shape shape = {70, 90};
  Program p(shape);
  p.store(p.op("subtract", p.load(laid_out(MARS_F32, shape, {1, 0}, 1)), p.load(laid_out(MARS_F32, shape, {0, 1}))), laid_out(MARS_F32, shape, {0, 1}));
  Options parts;
  parts.tile = {33, 47};
  EXPECT_EQ(p.run(device(), parts), p.run(host_, {}));
}

} // namespace
