// The host device: elementwise programs, generators, pieces, errors. Reductions and scans have files of their own.
#include "tests/vm_util.h"

#include <cstring>
#include <gtest/gtest.h>
#include <numeric>

using namespace vm;
using oracle::Num;

namespace {

const mars_dtype kTypes[] = {MARS_F64, MARS_F32, MARS_I64, MARS_I32, MARS_I16, MARS_U8, MARS_BOOL, MARS_C128, MARS_C64};

// Shapes with at most `most` points: 0 to 6 dimensions, extents around blocks, ones among them.
Shape random_shape(Rng &rng, int64_t most) {
  static const int64_t extents[] = {1, 1, 2, 3, 5, 7, 16, 31, 64, 100, 255, 256, 257, 511, 513, 1023, 1024, 1025, 2047, 2049, 4100};
  Shape s;
  for (size_t nd = rng() % 7; s.size() < nd;) {
    int64_t e = extents[rng() % (sizeof extents / sizeof *extents)];
    s.push_back(count(s) * e <= most ? e : 1);
  }
  return s;
}

// A value of dtype dt from those there are, or a new load or constant.
int operand(Rng &rng, Program &p, std::vector<int> &values, mars_dtype dt, const Shape &shape) {
  std::vector<int> fit;
  for (int v : values)
    if (vm_dtype(p.prog(), v) == dt) fit.push_back(v);
  if (!fit.empty() && rng() % 4) return fit[rng() % fit.size()];
  if (rng() % 4 == 0) {
    values.push_back(p.constant(dt, number(dt, (double)(rng() % 7), 1)));
  } else {
    Array a = make_array(rng, dt, shape, rng() % 2 ? COMPACT : ANY_WITH_BROADCAST);
    fill(rng, a, false);
    values.push_back(p.load(a));
  }
  return values.back();
}

void random_program(Rng &rng, const Shape &shape, const Options &options) {
  Program p(shape);
  std::vector<int> values;
  mars_dtype dt = kTypes[rng() % 9];
  for (int n = 1 + (int)(rng() % 10); n > 0; n--) {
    static const char *const names[] = {"add", "maximum", "minimum", "equal", "less", "where", "cast"};
    std::string name = names[rng() % 7];
    int a = operand(rng, p, values, dt, shape), v;
    if (name == "cast") {
      mars_dtype to = kTypes[rng() % 9];
      if (to == vm_dtype(p.prog(), a)) to = to == MARS_F64 ? MARS_F32 : MARS_F64;
      v = p.cast(a, to);
      dt = to;
    } else if (name == "where") {
      int c = operand(rng, p, values, MARS_BOOL, shape), b = operand(rng, p, values, dt, shape);
      v = p.op(name, c, a, b);
    } else {
      v = p.op(name, a, operand(rng, p, values, dt, shape));
      dt = vm_dtype(p.prog(), v);
    }
    values.push_back(v);
  }
  for (int n = 1 + (int)(rng() % 3); n > 0; n--) {
    int v = n == 1 ? values.back() : values[rng() % values.size()];
    p.store(v, make_array(rng, vm_dtype(p.prog(), v), shape, rng() % 2 ? COMPACT : ANY_ORDER));
  }
  p.check(options);
}

TEST(VmPoints, RandomProgramsOverRandomStrides) {
  for (uint64_t seed = 0; seed < 150; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    Options o;
    o.stream = seed % 5 == 0;
    o.needs = Account::SOME; // of what nobody uses the compiler loads nothing
    random_program(rng, random_shape(rng, 6000), o);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

TEST(VmPoints, RandomProgramsInTiles) {
  for (uint64_t seed = 1000; seed < 1040; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    Shape shape = random_shape(rng, 3000);
    Options o;
    o.needs = Account::SOME;
    for (int64_t e : shape) o.tile.push_back(1 + (int64_t)(rng() % (uint64_t)e));
    if (shape.empty() || count(shape) / count(o.tile) > 300) o.tile.clear();
    random_program(rng, shape, o);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

// Sums, differences and products of arrays and constants in every order: what the host's peephole joins. Values are small
// multiples of 1/8, so that every result is exact.
TEST(VmPoints, ArithmeticThatIsFused) {
#ifdef VM_CUDA // no peephole there, and a compilation each
  const uint64_t seeds = 60;
#else
  const uint64_t seeds = 300;
#endif
  for (uint64_t seed = 0; seed < seeds; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    mars_dtype dt = seed % 2 ? MARS_F32 : MARS_F64;
    Shape shape{(int64_t)(1 + rng() % 1500)};
    bool count = seed % 5 == 0;
    Program p(shape, count ? 1 : 0);
    std::vector<int> leaves, values;
    for (int i = 0; i < 3; i++) {
      Array a = make_array(rng, dt, shape, COMPACT);
      fill(rng, a, false);
      leaves.push_back(p.load(a));
      leaves.push_back(p.constant(dt, number(dt, (double)(int64_t)(rng() % 9) / 4 - 1)));
    }
    for (int i = 0; i < 5; i++) {
      static const char *const names[] = {"add", "subtract", "multiply", "square"};
      auto pick = [&] { // one of the last two results, or a leaf
        if (values.empty() || rng() % 2) return leaves[rng() % leaves.size()];
        return values[values.size() - 1 - rng() % std::min<size_t>(2, values.size())];
      };
      std::string name = names[i < 4 ? rng() % 4 : rng() % 3];
      int a = pick(), b = pick();
      values.push_back(name == "square" ? p.op(name, a) : p.op(name, a, b));
    }
    if (count) {
      static const char *const relations[] = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"};
      p.reduce("count_nonzero", p.op(relations[rng() % 6], values.back(), leaves[rng() % leaves.size()]));
      p.reduce("count_nonzero", p.op(relations[rng() % 6], leaves[0], leaves[rng() % leaves.size()]));
    } else {
      p.store(values.back(), make_array(rng, dt, shape, rng() % 4 ? COMPACT : ANY_ORDER));
      if (rng() % 2) p.store(values[rng() % values.size()], make_array(rng, dt, shape, COMPACT));
    }
    Options o;
    o.needs = Account::SOME;
    o.stream = !count && rng() % 2;
    o.finish = true;
    p.check(o);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

// Counted comparisons where a leaf is a block, where rows are short, and where columns are counted.
TEST(VmPoints, ComparisonsThatAreCounted) {
  for (const Shape &shape : {Shape{100000}, Shape{300, 7}, Shape{40, 1500}, Shape{1500, 40}})
    for (uint32_t mask : {1u, 2u}) {
      if (shape.size() == 1 && mask == 2) continue;
      Rng rng(3);
      Program p(shape, mask);
      Array a = make_array(rng, MARS_F64, shape, COMPACT), b = a;
      fill(rng, a, true);
      fill(rng, b, true);
      int x = p.load(a);
      p.reduce("count_nonzero", p.op("less", x, p.load(b)));
      p.reduce("argmax", x);
      p.reduce("count_nonzero", p.op("greater_equal", x, p.constant(MARS_F64, number(MARS_F64, 0.5))));
      Options o;
      o.finish = true;
      p.check(o);
      p.check({});
      if (HasFatalFailure()) return;
    }
}

TEST(VmPoints, ManyUnits) { // several units, shapes that do not divide by anything
  for (const Shape &shape : {Shape{100003}, Shape{317, 401}, Shape{40000, 3}, Shape{3, 40001}, Shape{5, 4001, 7}}) {
    Rng rng(7);
    for (Layout layout : {COMPACT, ANY_WITH_BROADCAST})
      for (bool stream : {false, true}) {
        Program p(shape);
        Array a = make_array(rng, MARS_F64, shape, layout), b = make_array(rng, MARS_F64, shape, layout);
        fill(rng, a, true);
        fill(rng, b, true);
        int x = p.load(a), y = p.load(b), one = p.constant(MARS_F64, number(MARS_F64, 1.5));
        p.store(p.op("multiply", p.op("add", x, one), y), make_array(rng, MARS_F64, shape, stream ? COMPACT : ANY_ORDER));
        Options o;
        o.stream = stream;
        p.check(o);
        if (HasFatalFailure()) return;
      }
  }
}

TEST(VmPoints, TransposedOperands) {
  for (const Shape &shape : {Shape{64, 64}, Shape{300, 500}, Shape{3, 130, 257}, Shape{1000, 9}}) {
    Rng rng(3);
    for (mars_dtype dt : {MARS_F64, MARS_F32, MARS_U8, MARS_C128, MARS_I16}) {
      Program p(shape);
      Array a = make_array(rng, dt, shape, COMPACT), t = a;
      size_t nd = shape.size();
      int64_t es = (int64_t)mars_dtype_bytes(dt);
      // the last two dimensions the other way round
      t.stride[nd - 1] = es * shape[nd - 2];
      t.stride[nd - 2] = es;
      fill(rng, a, false);
      fill(rng, t, false);
      Array out = a;
      if (dt == MARS_F32) out = t;
      p.store(p.op("add", p.load(a), p.load(t)), out);
      p.check({});
      if (HasFatalFailure()) return;
    }
  }
}

TEST(VmPoints, SixteenDimensions) {
  Shape shape(16, 2);
  Rng rng(11);
  Program p(shape);
  Array a = make_array(rng, MARS_I32, shape, COMPACT);
  fill(rng, a, false);
  std::reverse(a.stride.begin(), a.stride.end());
  p.store(p.op("add", p.load(a), p.load(a)), make_array(rng, MARS_I32, shape, ANY_ORDER));
  p.check({});
}

TEST(VmPoints, LongChainsAndManyLiveValues) { // more live values than registers fit L1 with large blocks
  Shape shape{5000};
  Rng rng(5);
  for (int live : {3, 20, 60}) {
    Program p(shape);
    std::vector<int> v;
    for (int i = 0; i < live; i++) {
      Array a = make_array(rng, MARS_C128, shape, COMPACT);
      fill(rng, a, false);
      v.push_back(p.load(a));
    }
    for (int i = 0; i < live; i++) v.push_back(p.op("add", v[(size_t)i], v[(size_t)((i * 7 + 3) % live)]));
    int sum = v[(size_t)live];
    for (int i = live; i < 2 * live; i++) sum = p.op("add", sum, v[(size_t)i]);
    p.store(sum, make_array(rng, MARS_C128, shape, COMPACT));
    p.check({});
    if (HasFatalFailure()) return;
  }
}

TEST(VmPoints, CastsBetweenAllTypesAndRoundedHalves) {
  const mars_dtype all[] = {MARS_BOOL, MARS_I8,  MARS_I16, MARS_I32,  MARS_I64, MARS_U8,  MARS_U16, MARS_U32,
                            MARS_U64,  MARS_F16, MARS_BF16, MARS_F32, MARS_F64, MARS_C64, MARS_C128};
  Shape shape{777};
  Rng rng(2);
  for (mars_dtype from : all) {
    Program p(shape);
    Array a = make_array(rng, from, shape, COMPACT);
    fill(rng, a, false);
    int x = p.load(a);
    for (mars_dtype to : all)
      if (to != from) p.store(p.cast(x, to), make_array(rng, to, shape, COMPACT));
    p.store(x, make_array(rng, from, shape, ANY_ORDER));
    p.check({});
    if (HasFatalFailure()) return;
  }
}

TEST(VmPoints, StoreConverts) { // a register of another dtype than the slot's is cast
  Shape shape{1300};
  Rng rng(4);
  Program p(shape);
  Array a = make_array(rng, MARS_F64, shape, COMPACT);
  fill(rng, a, false);
  p.store(p.load(a), make_array(rng, MARS_F16, shape, COMPACT));
  p.check({});
}

TEST(VmPoints, SameValueStoredTwiceAndConstants) {
  Shape shape{40, 50};
  Rng rng(9);
  Program p(shape);
  Array a = make_array(rng, MARS_F64, shape, COMPACT);
  fill(rng, a, false);
  int x = p.load(a), c = p.constant(MARS_F64, number(MARS_F64, 2)), y = p.op("add", x, c);
  p.store(y, make_array(rng, MARS_F64, shape, COMPACT));
  p.store(y, make_array(rng, MARS_F64, shape, ANY_ORDER));
  p.store(c, make_array(rng, MARS_F64, shape, ANY_ORDER));
  p.store(p.op("multiply", y, y), make_array(rng, MARS_F64, shape, COMPACT));
  p.check({});
}

TEST(VmPoints, Generators) {
  for (const Shape &shape : {Shape{}, Shape{1}, Shape{70001}, Shape{100, 90}, Shape{3, 2, 700}}) {
    Rng rng(1);
    for (bool plain : {true, false}) {
      Shape stride(shape.size());
      int64_t s = 1;
      for (size_t d = shape.size(); d-- > 0; s *= shape[d]) stride[d] = plain ? s : (int64_t)(rng() % 2000) - 500;
      Program p(shape);
      p.store(p.iota(-5, stride), make_array(rng, MARS_I64, shape, COMPACT));
      p.store(p.uniform(MARS_F64, 77, 3, 1000000007, stride), make_array(rng, MARS_F64, shape, COMPACT));
      p.store(p.uniform(MARS_F32, 78, 4, 123456789, stride), make_array(rng, MARS_F32, shape, ANY_ORDER));
      p.check({});
      Options o;
      for (int64_t e : shape) o.tile.push_back((e + 2) / 3);
      p.check(o);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(VmPoints, OutputOverItsInput) { // x += y; both stand on one buffer, and x is read again after the store
  for (const Device &d : devices()) {
    const int64_t n = 5000;
    std::vector<double> x((size_t)n), y((size_t)n), twice((size_t)n);
    for (int64_t i = 0; i < n; i++) x[(size_t)i] = (double)i, y[(size_t)i] = 0.5;
    vm_prog *p = vm_prog_new(1, &n, 0);
    int a = vm_load(p, MARS_F64), b = vm_load(p, MARS_F64), s = vm_op(p, "add", a, b, -1);
    vm_store(p, s);
    vm_store(p, vm_op(p, "add", a, a, -1));
    vm_kernel *k = nullptr;
    ASSERT_EQ(vm_compile(d.dev, p, &k, nullptr), MARS_OK);
    vm_bind in[2] = {}, out[2] = {};
    in[0].base = (char *)x.data(), in[1].base = (char *)y.data();
    out[0].base = (char *)x.data(), out[1].base = (char *)twice.data();
    in[0].stride[0] = in[1].stride[0] = out[0].stride[0] = out[1].stride[0] = 8;
    vm_call c = {};
    c.kernel = k, c.ndim = 1, c.shape[0] = n, c.in = in, c.n_in = 2, c.out = out, c.n_out = 2;
    const Account account;
    ASSERT_EQ(vm_launch(d.dev, &c, 1, nullptr), MARS_OK);
    account.settle();
    for (int64_t i = 0; i < n; i++) {
      ASSERT_EQ(x[(size_t)i], (double)i + 0.5);
      ASSERT_EQ(twice[(size_t)i], 2.0 * (double)i);
    }
    vm_kernel_free(d.dev, k);
    vm_prog_free(p);
  }
}

TEST(VmPoints, ManyTinyCallsInOneLaunch) {
  for (const Device &d : devices()) {
    const int64_t one = 1;
    const int n = 20000;
    vm_prog *p = vm_prog_new(1, &one, 0);
    double two = 2;
    vm_store(p, vm_op(p, "multiply", vm_load(p, MARS_F64), vm_const(p, MARS_F64, &two), -1));
    vm_kernel *k = nullptr;
    ASSERT_EQ(vm_compile(d.dev, p, &k, nullptr), MARS_OK);
    std::vector<double> x((size_t)n), y((size_t)n);
    std::iota(x.begin(), x.end(), 0.0);
    std::vector<vm_bind> in((size_t)n), out((size_t)n);
    std::vector<vm_call> calls((size_t)n);
    for (int i = 0; i < n; i++) {
      in[(size_t)i].base = (char *)&x[(size_t)i];
      out[(size_t)i].base = (char *)&y[(size_t)i];
      vm_call &c = calls[(size_t)i];
      c.kernel = k, c.ndim = 1, c.shape[0] = 1, c.in = &in[(size_t)i], c.n_in = 1, c.out = &out[(size_t)i], c.n_out = 1;
    }
    const Account account;
    ASSERT_EQ(vm_launch(d.dev, calls.data(), n, nullptr), MARS_OK);
    account.settle();
    for (int i = 0; i < n; i++) ASSERT_EQ(y[(size_t)i], 2.0 * i);
    vm_kernel_free(d.dev, k);
    vm_prog_free(p);
  }
}

// ---- pieces ----

// The tile [rows, cols] of i32 cut at random rows and columns into boxes with strides of their own.
TEST(VmPieces, BoxesAndRuns) {
  for (const Shape &shape : {Shape{1, 1}, Shape{40, 30}, Shape{3, 50000}, Shape{70000, 2}})
    for (bool runs : {false, true})
      for (const Device &d : devices()) {
        Rng rng(21);
        int64_t rows = shape[0], cols = shape[1], total = rows * cols;
        std::vector<int32_t> scratch((size_t)total, -1), out((size_t)total, -1);
        std::vector<std::vector<int32_t>> memory;
        std::vector<vm_piece> pieces;
        auto value = [&](int64_t i) { return (int32_t)(i * 7 + 3); };
        if (runs) {
          for (int64_t at = 0; at < total;) {
            int64_t n = std::min(total - at, 1 + (int64_t)(rng() % (uint64_t)total)), step = 1 + (int64_t)(rng() % 3);
            bool back = rng() % 2;
            memory.emplace_back((size_t)(n * step));
            vm_piece q = {};
            q.run = true, q.flat_start = at, q.flat_count = n, q.flat_step = (back ? -4 : 4) * step;
            q.base = (const char *)&memory.back()[back ? (size_t)((n - 1) * step) : 0];
            for (int64_t i = 0; i < n; i++) memory.back()[(size_t)((back ? n - 1 - i : i) * step)] = value(at + i);
            pieces.push_back(q);
            at += n;
          }
        } else {
          int64_t r1 = rows / 3, c1 = cols / 2;
          for (auto [r, re] : {std::pair<int64_t, int64_t>{0, r1}, {r1, rows}})
            for (auto [c, ce] : {std::pair<int64_t, int64_t>{0, c1}, {c1, cols}}) {
              int64_t h = re - r, w = ce - c;
              if (h * w == 0) continue;
              bool turned = rng() % 2;
              memory.emplace_back((size_t)(h * w));
              vm_piece q = {};
              q.start[0] = r, q.start[1] = c, q.extent[0] = h, q.extent[1] = w;
              q.stride[0] = turned ? 4 : 4 * w, q.stride[1] = turned ? 4 * h : 4;
              q.base = (const char *)memory.back().data();
              for (int64_t i = 0; i < h; i++)
                for (int64_t j = 0; j < w; j++)
                  memory.back()[(size_t)(turned ? j * h + i : i * w + j)] = value((r + i) * cols + c + j);
              pieces.push_back(q);
            }
        }
        vm_prog *p = vm_prog_new(2, shape.data(), 0);
        int32_t one = 1;
        vm_store(p, vm_op(p, "add", vm_load(p, MARS_I32), vm_const(p, MARS_I32, &one), -1));
        vm_kernel *k = nullptr;
        ASSERT_EQ(vm_compile(d.dev, p, &k, nullptr), MARS_OK);
        vm_bind in = {}, o = {};
        in.base = (char *)scratch.data(), in.stride[0] = 4 * cols, in.stride[1] = 4;
        in.n_pieces = (int)pieces.size(), in.pieces = pieces.data();
        o.base = (char *)out.data(), o.stride[0] = 4 * cols, o.stride[1] = 4;
        vm_call c = {};
        c.kernel = k, c.ndim = 2, c.shape[0] = rows, c.shape[1] = cols;
        c.in = &in, c.n_in = 1, c.out = &o, c.n_out = 1;
        const Account account;
        ASSERT_EQ(vm_launch(d.dev, &c, 1, nullptr), MARS_OK);
        account.settle();
        for (int64_t i = 0; i < total; i++)
          ASSERT_EQ(out[(size_t)i], value(i) + 1) << d.name << " element " << i << (runs ? " runs" : " boxes");
        vm_kernel_free(d.dev, k);
        vm_prog_free(p);
      }
}

// ---- the device ----

TEST(VmDevice, TellsWhatItIs) {
  vm_dev *dev = nullptr;
  vm_info info;
  ASSERT_EQ(vm_open(2, true, nullptr, 3 << 20, &dev, nullptr), MARS_OK);
  vm_get_info(dev, &info);
  EXPECT_STREQ(info.name, "host");
  EXPECT_GT(strlen(info.cpu), 3u);
  EXPECT_EQ(info.threads, 2);
  EXPECT_GE(info.cores, 1);
  EXPECT_GE(info.numa_nodes, 1);
  EXPECT_GT(info.memory_bytes, (size_t)64 << 20);
  EXPECT_LE(info.memory_limit, info.memory_bytes);
  EXPECT_GT(info.memory_limit, (size_t)16 << 20);
  EXPECT_EQ(info.arena_bytes, (size_t)3 << 20);
  EXPECT_EQ((uintptr_t)info.arena % (2 << 20), 0u);
  info.arena[0] = info.arena[info.arena_bytes - 1] = 1; // it can be written from end to end
  vm_close(dev);
}

TEST(VmDevice, RefusesWhatItDoesNotHave) {
  vm_dev *dev = nullptr;
  mars_error err;
  EXPECT_EQ(vm_open(1, false, "avx1024", 0, &dev, &err), MARS_E_ARG);
  EXPECT_EQ(dev, nullptr);
  EXPECT_NE(strstr(err.message, "avx1024"), nullptr) << err.message;
  EXPECT_NE(strstr(err.message, "baseline"), nullptr) << err.message;
  EXPECT_EQ(vm_open(-1, false, nullptr, 0, &dev, &err), MARS_E_ARG);
  EXPECT_NE(strstr(err.message, "-1"), nullptr) << err.message;
  setenv("MARS_ISA", "nonsense", 1);
  EXPECT_EQ(vm_open(1, false, nullptr, 0, &dev, &err), MARS_E_ARG);
  EXPECT_NE(strstr(err.message, "MARS_ISA"), nullptr) << err.message;
  setenv("MARS_ISA", "baseline", 1);
  ASSERT_EQ(vm_open(1, false, nullptr, 0, &dev, &err), MARS_OK);
  vm_info info;
  vm_get_info(dev, &info);
  EXPECT_STREQ(info.isa, "baseline");
  vm_close(dev);
  unsetenv("MARS_ISA");
}

TEST(VmDevice, CreationSurvivesEveryFailedAllocation) {
  for (int64_t n = 1;; n++) {
    int64_t live = -1;
    mars_status st = vm_open_failing(n, &live);
    EXPECT_EQ(live, 0) << "allocation " << n;
    if (st == MARS_OK) {
      EXPECT_GE(n, 3); // the device, the pool, the workers
      break;
    }
    EXPECT_EQ(st, MARS_E_MEMORY) << "allocation " << n;
    ASSERT_LT(n, 1000);
  }
}

TEST(VmDevice, KernelsAndLaunchesSurviveEveryFailedAllocation) {
  const int64_t n = 70000, none = 0;
  std::vector<double> x((size_t)n, 1.0);
  vm_prog *p = vm_prog_new(1, &n, 1);
  double two = 2;
  vm_reduce(p, "sum", vm_op(p, "multiply", vm_load(p, MARS_F64), vm_const(p, MARS_F64, &two), -1), MARS_F64, 0);
  for (int64_t fail = 1;; fail++) {
    vm_dev *dev = nullptr;
    vm_kernel *k = nullptr;
    mars_error err = {};
    double sum = -1;
    ASSERT_EQ(vm_open(2, false, nullptr, 0, &dev, nullptr), MARS_OK);
    int64_t before = vm_live(dev);
    vm_fail_at(dev, fail);
    mars_status st = vm_compile(dev, p, &k, &err);
    if (st == MARS_OK) {
      vm_bind in = {}, out = {};
      in.base = (char *)x.data(), in.stride[0] = 8, out.base = (char *)&sum;
      vm_call c = {};
      c.kernel = k, c.ndim = 1, c.shape[0] = n, c.in = &in, c.n_in = 1, c.out = &out, c.n_out = 1, c.final_mask = 1;
      c.origin[0] = none;
      st = vm_launch(dev, &c, 1, &err);
      if (st == MARS_OK) {
        EXPECT_EQ(sum, 2.0 * (double)n);
      } else {
        EXPECT_EQ(sum, -1); // untouched
      }
    } else {
      EXPECT_EQ(k, nullptr);
      EXPECT_EQ(vm_live(dev), before) << "allocation " << fail;
    }
    bool done = st == MARS_OK;
    if (!done) {
      EXPECT_EQ(st, MARS_E_MEMORY) << "allocation " << fail;
      EXPECT_NE(strlen(err.message), 0u);
    }
    vm_kernel_free(dev, k);
    EXPECT_EQ(vm_close(dev), 0) << "allocation " << fail;
    if (done) {
      EXPECT_GT(fail, 10);
      break;
    }
    ASSERT_LT(fail, 1000);
  }
  vm_prog_free(p);
}

TEST(VmDevice, RefusesProgramsItCannotRun) {
  const int64_t n = 8;
  vm_kernel *k = nullptr;
  mars_error err;
  vm_prog *p = vm_prog_new(1, &n, 1);
  int x = vm_load(p, MARS_F64);
  vm_scan(p, "cumsum", x);
  vm_scan(p, "cumprod", x);
  EXPECT_EQ(vm_compile(devices()[0].dev, p, &k, &err), MARS_E_UNSUPPORTED);
  vm_prog_free(p);
  p = vm_prog_new(1, &n, 1);
  vm_reduce(p, "nanmean", vm_load(p, MARS_I32), MARS_F64, 0);
  EXPECT_EQ(vm_compile(devices()[0].dev, p, &k, &err), MARS_E_DTYPE);
  EXPECT_NE(strstr(err.message, "nanmean"), nullptr) << err.message;
  vm_prog_free(p);
}

} // namespace
