// What fused kernels read and write of global memory, counted by the simulated platform: each operand once, each result once, and
// nothing else.
//
// tests/cuda_traffic.h has the law, and Program::run holds every launch of this program's tests to it. Here are the figures without it, from
// shapes alone, and the rows and dtypes that no other test takes through every form of kernel. Elementwise rows are counted where they
// are compared with the oracle (cuda_ops_test.cc), operands that lie across in cuda_turn_test.cc.
//
// A kernel is a compilation of a tenth of a second, and its text is made of parts that do not look at one another: what the axes are, how an
// element is loaded, the rows. vm_reduce_test.cc has every two of them, one row in a pass, but for halves; here are these, and passes of several
// rows by turns. MARS_TEST_WHOLE=1: every row with every dtype over all axes.
#include "tests/cuda_counted.h"
#include "tests/cuda_shim.h"
#include "tests/vm_util.h"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <numeric>

using namespace vm;

namespace {

vm_dev *device() { return devices().empty() ? nullptr : devices()[0].dev; }

bool is_set(const char *variable) {
  const char *v = std::getenv(variable);
  return v != nullptr && *v != '\0' && *v != '0';
}
bool whole() { return is_set("MARS_TEST_WHOLE"); }
bool quick() { return is_set("MARS_TEST_QUICK") && !whole(); }

std::vector<mars_dtype> all_dtypes() {
  std::vector<mars_dtype> out((size_t)MARS_DTYPE_COUNT);
  for (size_t i = 0; i < out.size(); i++) out[i] = (mars_dtype)i;
  return out;
}
// One for every kind of load and accumulator.
const mars_dtype kClasses[] = {MARS_BOOL, MARS_I16, MARS_U64, MARS_F16, MARS_BF16, MARS_F32, MARS_F64, MARS_C64, MARS_C128};
mars_dtype loop_of(mars_dtype dt) { return oracle::is_half(dt) ? MARS_F32 : dt; }

std::vector<std::string> rows_of(enum cuda_row kind) {
  std::vector<std::string> out;
  for (int op = 0; op < cuda_op_count(); op++) {
    const char *name = nullptr;
    if (cuda_row_of(op, &name) == kind) out.push_back(name);
  }
  return out;
}

Array compact(mars_dtype dt, const Shape &shape, uint64_t seed = 1) {
  Rng rng(seed);
  Array a = make_array(rng, dt, shape, COMPACT);
  fill(rng, a, false);
  return a;
}
// The same elements for every point along `axes`.
Array broadcast(mars_dtype dt, const Shape &shape, const std::vector<size_t> &axes) {
  Shape own = shape;
  for (size_t d : axes) own[d] = 1;
  Array a = compact(dt, own, 3);
  a.shape = shape;
  for (size_t d : axes) a.stride[d] = 0;
  return a;
}
uint64_t bytes_of(mars_dtype dt, const Shape &shape) { return (uint64_t)count(shape) * mars_dtype_bytes(dt); }

Traffic traffic_of(const std::function<void()> &what) {
  const Traffic a = so_far();
  what();
  const Traffic b = so_far();
  return {b.read - a.read, b.written - a.written, b.sectors - a.sectors};
}

class CudaTraffic : public testing::Test {
protected:
  void SetUp() override {
    if (device() == nullptr) GTEST_SKIP() << "no CUDA device";
    if (!cuda_sim_is_used()) GTEST_SKIP() << "a real device does not count";
  }
};
class CudaTrafficOf : public CudaTraffic, public testing::WithParamInterface<mars_dtype> {};
std::string name_of(const testing::TestParamInfo<mars_dtype> &i) { return mars_dtype_name(i.param); }

// ---- elementwise ----

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

class CudaCastTraffic : public CudaTrafficOf {};

// To all dtypes, narrow and wide ones apart, since the widest slot decides how many elements are taken at once; vm_test.cc has them all
// in one pass. Among the results is one that needs every bit: of others a compiler may load parts.
TEST_P(CudaCastTraffic, ToEveryWidth) {
  const mars_dtype from = GetParam();
  const Shape shape = {1003};
  for (bool narrow : {true, false}) {
    if (!whole() && narrow != ((int)from % 2 == 0)) continue;
    Program p(shape);
    const int x = p.load(compact(from, shape));
    uint64_t written = 0;
    for (mars_dtype to : all_dtypes()) {
      if ((mars_dtype_bytes(to) <= 2) != narrow || to == MARS_C128) continue;
      p.store(to == from ? x : p.cast(x, to), compact(to, shape));
      written += bytes_of(to, shape);
    }
    Traffic t = traffic_of([&] { p.run(device(), {}); });
    EXPECT_EQ(t.read, bytes_of(from, shape));
    EXPECT_EQ(t.written, written);
  }
}
INSTANTIATE_TEST_SUITE_P(Cuda, CudaCastTraffic, testing::ValuesIn(all_dtypes()), name_of);

// Reversed, with gaps and with the axes in any order: the same bytes, one element at a time.
TEST_F(CudaTraffic, AnyLayoutIsReadOnce) {
  Rng rng(7);
  const Shape shape = {19, 23, 5};
  for (mars_dtype dt : {MARS_U8, MARS_BF16, MARS_F32, MARS_F32, MARS_F64, MARS_C128}) {
    Array a = make_array(rng, dt, shape, ANY_ORDER), out = make_array(rng, dt, shape, ANY_ORDER);
    fill(rng, a, false);
    Program p(shape);
    int x = p.load(a);
    p.store(loop_of(dt) == dt ? p.op("multiply", x, x) : x, out);
    Traffic t = traffic_of([&] { p.run(device(), {}); });
    EXPECT_EQ(t.read, bytes_of(dt, shape)) << mars_dtype_name(dt);
    EXPECT_EQ(t.written, bytes_of(dt, shape)) << mars_dtype_name(dt);
  }
}

// What "once" means for an operand that is smaller than the result. Its element is asked for once by each thread that uses it: for every
// point, or for every vector of points where it stands still along them. Threads of a warp that want the same address get it by one sector,
// so what stands still asks memory for hardly more than a sector a warp, and what is the same along other axes for no more than an
// operand of the result's size. That it was there before is the business of caches.
TEST_F(CudaTraffic, ABroadcastOperandOncePerUse) {
  const Shape shape = {64, 128};
  const struct {
    const char *name;
    std::vector<size_t> axes;
    bool still;
  } cases[] = {{"a row", {0}, false}, {"a column", {1}, true}, {"one element", {0, 1}, true}};
  for (const auto &c : cases)
    for (mars_dtype dt : {MARS_U8, MARS_F32, MARS_C64}) {
      SCOPED_TRACE(std::string(mars_dtype_name(dt)) + ", " + c.name);
      Program p(shape);
      p.store(p.op("add", p.load(compact(dt, shape)), p.load(broadcast(dt, shape, c.axes))), compact(dt, shape));
      Traffic t = traffic_of([&] { p.run(device(), {}); });
      const uint64_t es = mars_dtype_bytes(dt), vec = (uint64_t)cuda_vec(p.prog(), (int)es), warps = (uint64_t)count(shape) / vec / 32;
      ASSERT_GT(vec, 1u);
      EXPECT_EQ(t.read, bytes_of(dt, shape) + bytes_of(dt, shape) / (c.still ? vec : 1));
      EXPECT_EQ(t.written, bytes_of(dt, shape));
      const uint64_t run = vec * es + 1; // sectors of a warp's 32 vectors, that may begin in the middle of one
      EXPECT_LE(t.sectors, warps * (2 * run + (c.still ? 2 : run + 1))) << "a warp has points of two rows at most";
    }
}

// ---- what is made in registers ----

void expect_no_reads(vm_prog *p, int64_t n, int gens, const std::vector<mars_dtype> &results) {
  vm_kernel *k = nullptr;
  mars_error err = {};
  ASSERT_EQ(vm_compile(device(), p, &k, &err), MARS_OK) << err.message;
  std::vector<std::vector<char>> memory;
  std::vector<vm_bind> gen((size_t)gens), out(results.size());
  uint64_t written = 0;
  for (vm_bind &g : gen) g.stride[0] = 1;
  for (size_t i = 0; i < results.size(); i++) {
    const size_t es = mars_dtype_bytes(results[i]);
    memory.emplace_back((size_t)n * es);
    out[i].base = memory[i].data();
    out[i].stride[0] = (int64_t)es;
    written += memory[i].size();
  }
  vm_call c = {};
  c.kernel = k, c.ndim = 1, c.shape[0] = n;
  c.gen = gen.data(), c.n_gen = gens, c.out = out.data(), c.n_out = (int)out.size();
  Traffic t = traffic_of([&] { EXPECT_EQ(vm_launch(device(), &c, 1, &err), MARS_OK) << err.message; });
  EXPECT_EQ(t.read, 0u);
  EXPECT_EQ(t.written, written);
  vm_kernel_free(device(), k);
}

// Every row of the table over every dtype that it has: one pass of them all, and of floats the halves, too.
TEST_F(CudaTraffic, RandomNumbersAreNotRead) {
  const int64_t n = 1501, space = n;
  int rows = 0;
  for (int op = 0; op < cuda_op_count(); op++) {
    const char *name = nullptr;
    if (cuda_row_of(op, &name) != CUDA_ROW_RANDOM) continue;
    SCOPED_TRACE(name);
    vm_prog *p = vm_prog_new(1, &space, 0);
    std::vector<mars_dtype> results;
    int gens = 0;
    for (mars_dtype dt : all_dtypes()) {
      if (cuda_loop_dtype(op, dt) != dt) continue;
      const bool probability = std::strcmp(name, "random_bernoulli") == 0;
      const int v = vm_random(p, name, loop_of(dt), 1, 2, probability ? 0.3 : 0, 1, -5, 100);
      vm_store(p, loop_of(dt) == dt ? v : vm_cast(p, v, dt));
      results.push_back(dt);
      gens++;
    }
    ASSERT_GT(gens, 0);
    expect_no_reads(p, n, gens, results);
    vm_prog_free(p);
    rows++;
  }
  EXPECT_EQ(rows, 5);
}

TEST_F(CudaTraffic, WhatIsGeneratedIsNotRead) {
  const Shape shape = {1500};
  Program p(shape, 1);
  int u = p.uniform(MARS_F64, 1, 2, 0, {1}), i = p.iota(5, {1});
  int v = p.op("add", p.op("multiply", u, p.constant(MARS_F64, number(MARS_F64, 3))), p.cast(i, MARS_F64));
  p.store(v, compact(MARS_F64, shape));
  p.reduce("mean", v);
  p.reduce("argmax", u);
  Options finished;
  finished.finish = true;
  Traffic t = traffic_of([&] { p.run(device(), finished); });
  EXPECT_EQ(t.read, 0u);
  EXPECT_EQ(t.written, bytes_of(MARS_F64, shape) + 2 * 8);
}

// ---- reductions ----

// By axes; the longer one of each is cut among blocks, whose accumulators a second kernel joins.
struct Axes {
  const char *name;
  uint32_t mask;
  Shape shape, cut;
};
const Axes kAxes[] = {{"whole", 3, {37, 41}, {61, 83}},
                      {"last axis", 2, {40, 333}, {3, 4200}},
                      {"first axis", 1, {60, 45}, {900, 45}},
                      {"middle axis", 2, {5, 90, 4}, {3, 1100, 4}}};

bool accepts(const std::string &row, mars_dtype dt) {
  const int64_t space = 16;
  vm_prog *p = vm_prog_new(1, &space, 1);
  vm_kernel *k = nullptr;
  mars_error err = {};
  int v = vm_load(p, dt);
  if (loop_of(dt) != dt) v = vm_cast(p, v, MARS_F32);
  vm_reduce(p, row.c_str(), v, vm_reduced_dtype(row.c_str(), dt), 0);
  const mars_status st = vm_compile(device(), p, &k, &err);
  // rows that ignore NaN by accumulators of their own: the graph has no such nodes of integers
  EXPECT_TRUE(st == MARS_OK || (st == MARS_E_DTYPE && dt < MARS_F16 && row.compare(0, 3, "nan") == 0)) << row << ": " << err.message;
  vm_kernel_free(device(), k);
  vm_prog_free(p);
  return st == MARS_OK;
}

struct Pass {
  uint64_t partials, results; /* bytes */
};
// One pass: rows over an operand, or over a chain of it and of a narrow one.
Pass reduce_in_a_pass(mars_dtype dt, const std::vector<std::string> &rows, uint32_t mask, const Shape &shape, bool chain) {
  Program p(shape, mask);
  int v = p.load(compact(dt, shape));
  uint64_t operands = bytes_of(dt, shape), results = 0;
  if (loop_of(dt) != dt) v = p.cast(v, MARS_F32);
  if (chain) {
    v = p.op("add", p.op("multiply", v, v), p.cast(p.load(compact(MARS_U8, shape)), loop_of(dt)));
    operands += bytes_of(MARS_U8, shape);
  }
  for (const std::string &row : rows) p.reduce(row, v, 0, dt);
  vm_kernel *k = nullptr;
  mars_error err = {};
  EXPECT_EQ(vm_compile(device(), p.prog(), &k, &err), MARS_OK) << err.message;
  if (k == nullptr) return {};
  const uint64_t scratch = vm_scratch(device(), k, shape.data());
  vm_kernel_free(device(), k);
  Options finished;
  finished.finish = true;
  Traffic t = traffic_of([&] {
    for (const auto &r : p.run(device(), finished)) results += r.size();
  });
  EXPECT_GE(t.written, results);
  EXPECT_EQ(t.read - operands, t.written - results) << "what is written for the second pass is read by it, and nothing else beside operands";
  EXPECT_LE(t.written - results, scratch);
  EXPECT_EQ(t.written > results, scratch > 0);
  return {t.written - results, results};
}

class CudaReductionTraffic : public CudaTrafficOf {};

// Rows that take the dtype, four in a pass; which of them, whether behind a chain, over which axes, and whether cut: by turns.
TEST_P(CudaReductionTraffic, OperandsOnce) {
  const mars_dtype dt = GetParam();
  std::vector<std::string> rows;
  for (const std::string &row : rows_of(CUDA_ROW_REDUCE))
    if (accepts(row, dt)) rows.push_back(row);
  EXPECT_GE(rows.size(), 18u);
  size_t turn = (size_t)dt, cut = 0;
  for (size_t first = 0; first < rows.size(); first += 4, turn++) {
    const std::vector<std::string> pass(rows.begin() + (std::ptrdiff_t)first, rows.begin() + (std::ptrdiff_t)std::min(first + 4, rows.size()));
    if (!whole() && turn % 3 != 0 && (quick() || !oracle::is_half(dt))) continue;
    if (quick() && cut > 0) break; // one pass
    for (size_t f = 0; f < 4; f++) {
      if (!whole() && f != turn % 4) continue;
      for (bool is_cut : {false, true}) { // the same kernel; cut, another for each row joins
        if (is_cut && !whole() && (turn % 3 != 0 || cut > 0)) continue;
        SCOPED_TRACE(pass[0] + " .. over the " + kAxes[f].name + (is_cut ? ", cut" : ""));
        const Pass bytes = reduce_in_a_pass(dt, pass, kAxes[f].mask, is_cut ? kAxes[f].cut : kAxes[f].shape, turn % 2 != 0);
        EXPECT_EQ(bytes.partials > 0, is_cut);
        cut += is_cut;
      }
    }
  }
  EXPECT_GT(cut, 0u);
}
INSTANTIATE_TEST_SUITE_P(Cuda, CudaReductionTraffic, testing::ValuesIn(kClasses), name_of);

// What the second pass costs: however a group is cut, an accumulator stands for 128 of its elements at least. From geometries alone; the law
// that these accumulators are written once and read once is held by all that runs.
TEST_F(CudaTraffic, AccumulatorsAreFew) {
  int cut = 0;
  for (int64_t inner : {1, 3, 31, 32, 33, 64, 100, 255, 256, 257, 1000, 40000})
    for (int64_t reduced : {16, 17, 64, 128, 129, 255, 1000, 4097, 50000, 3000000})
      for (int64_t outer : {1, 7, 600}) {
        const int64_t space[] = {outer, reduced, inner};
        vm_prog *p = vm_prog_new(3, space, 2);
        const int slot = vm_reduce(p, "var", vm_load(p, MARS_F32), MARS_F32, 0);
        vm_kernel *k = nullptr;
        ASSERT_EQ(vm_compile(device(), p, &k, nullptr), MARS_OK);
        const size_t scratch = vm_scratch(device(), k, space), one = vm_acc_bytes(p, slot, outer * inner);
        EXPECT_LE(scratch, scratch == 0 ? 0 : one * (size_t)((reduced + 127) / 128)) << outer << " x " << reduced << " x " << inner;
        cut += scratch > 0;
        vm_kernel_free(device(), k);
        vm_prog_free(p);
      }
  EXPECT_GT(cut, 0);
}

// Several reductions and a result of every element, of one read.
TEST_F(CudaTraffic, ReductionsShareAPass) {
  const Shape shape = {64, 100};
  Program p(shape, 2);
  int x = p.load(compact(MARS_F32, shape)), y = p.op("multiply", x, x);
  p.reduce("sum", y);
  p.reduce("min", x);
  p.store(y, compact(MARS_F32, shape));
  Options finished;
  finished.finish = true;
  size_t results = 0;
  Traffic t = traffic_of([&] {
    auto out = p.run(device(), finished);
    results = out[0].size() + out[1].size();
  });
  EXPECT_EQ(t.read, bytes_of(MARS_F32, shape)) << "not cut: nothing else";
  EXPECT_EQ(t.written, bytes_of(MARS_F32, shape) + results);
}

// ---- scans ----

class CudaScanTraffic : public CudaTrafficOf {};

// A block for a line, a thread for a line, lines along the innermost axis by tiles: by turns, as vm_scan_test.cc has all of them but for
// operands that are cast.
TEST_P(CudaScanTraffic, ReadsOnceAndWritesOnce) {
  const mars_dtype dt = GetParam();
  const struct {
    const char *name;
    uint32_t axis;
    Shape shape;
  } forms[] = {{"few lines", 1, {3, 300, 2}},
               {"many lines", 0, {20, 1100}},
               {"innermost axis", 1, {1040, 20}},
               {"few of the innermost axis", 1, {5, 700}}};
  const std::vector<std::string> rows = rows_of(CUDA_ROW_SCAN);
  EXPECT_GE(rows.size(), 2u);
  size_t turn = (size_t)dt;
  for (const auto &form : forms) {
    turn++;
    if (!whole() && turn % (quick() ? 4 : 2) != 0) continue;
    for (size_t r = 0; r < rows.size(); r++) {
      if (!whole() && r != turn / 2 % rows.size()) continue;
      SCOPED_TRACE(rows[r] + ", " + form.name);
      const mars_dtype result = vm_reduced_dtype(rows[r].c_str(), loop_of(dt));
      Program p(form.shape, 1u << form.axis);
      int v = p.load(compact(dt, form.shape));
      if (result != dt) v = p.cast(v, result);
      p.scan(rows[r], p.op("multiply", v, v), compact(result, form.shape));
      Traffic t = traffic_of([&] { p.run(device(), {}); });
      EXPECT_EQ(t.read, bytes_of(dt, form.shape));
      EXPECT_EQ(t.written, bytes_of(result, form.shape));
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Cuda, CudaScanTraffic, testing::ValuesIn(kClasses), name_of);

// ---- copies ----

// An operand in two pieces: the left half as it lies, or backwards, the right one turned. Both are laid out in one place, by a read and a
// write, before the kernel reads them there; elements of every size.
TEST_F(CudaTraffic, PiecesAreCopiedOnce) {
  const int64_t rows = 40, half = 33, cols = 2 * half;
  const Shape shape = {rows, cols};
  for (mars_dtype dt : {MARS_I8, MARS_F16, MARS_F32, MARS_C64, MARS_C128})
    for (bool back : {false, true}) {
      SCOPED_TRACE(std::string(mars_dtype_name(dt)) + (back ? " backwards" : ""));
      const int64_t es = (int64_t)mars_dtype_bytes(dt);
      std::vector<char> left((size_t)(rows * half * es), 1), right(left), place((size_t)(rows * cols * es)), out(place);
      vm_piece piece[2] = {};
      for (vm_piece &q : piece) q.extent[0] = rows, q.extent[1] = half;
      piece[0].base = left.data() + (back ? (half - 1) * es : 0);
      piece[0].stride[0] = half * es, piece[0].stride[1] = back ? -es : es;
      piece[1].base = right.data(), piece[1].start[1] = half;
      piece[1].stride[0] = es, piece[1].stride[1] = rows * es;
      vm_prog *p = vm_prog_new(2, shape.data(), 0);
      vm_store(p, vm_load(p, dt));
      vm_kernel *k = nullptr;
      mars_error err = {};
      ASSERT_EQ(vm_compile(device(), p, &k, &err), MARS_OK) << err.message;
      vm_bind in = {}, o = {};
      in.base = place.data(), o.base = out.data();
      in.stride[0] = o.stride[0] = cols * es, in.stride[1] = o.stride[1] = es;
      in.n_pieces = 2, in.pieces = piece;
      vm_call c = {};
      c.kernel = k, c.ndim = 2, c.shape[0] = rows, c.shape[1] = cols, c.in = &in, c.n_in = 1, c.out = &o, c.n_out = 1;
      const Account account;
      Traffic t = traffic_of([&] { EXPECT_EQ(vm_launch(device(), &c, 1, &err), MARS_OK) << err.message; });
      account.settle(); // and the copies' kernels
      EXPECT_EQ(t.read, out.size());
      EXPECT_EQ(t.written, out.size());
      EXPECT_EQ(out, std::vector<char>(out.size(), 1));
      vm_kernel_free(device(), k);
      vm_prog_free(p);
    }
}

} // namespace
