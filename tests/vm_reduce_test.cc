// Reductions of the host device against the oracle: every row and dtype, shapes, masks, tiles, combine trees.
#include "tests/vm_util.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace vm;
using oracle::Num;

namespace {

const mars_dtype kTypes[] = {MARS_BOOL, MARS_I8,  MARS_I16, MARS_I32, MARS_I64, MARS_U8, MARS_U16,
                             MARS_U32,  MARS_U64, MARS_F32, MARS_F64, MARS_C64, MARS_C128};
const char *const kNames[] = {"sum", "prod", "min", "max", "mean", "var", "std", "any", "all", "argmin", "argmax",
                              "count_nonzero", "nansum", "nanprod", "nanmin", "nanmax", "nanmean", "nanvar", "nanstd",
                              "nanargmin", "nanargmax"};

bool is_float(mars_dtype dt) { return oracle::kind_of(dt) == 'f' || oracle::kind_of(dt) == 'c'; }
// Rows whose accumulators integers never have: the graph builder gives them to the plain row.
bool exists(const std::string &name, mars_dtype dt) {
  return is_float(dt) || (name != "nanmean" && name != "nanvar" && name != "nanstd");
}

// Values for a row: products of numbers near 1, few zeros.
Array data_for(Rng &rng, const std::string &name, mars_dtype dt, const Shape &shape, Layout layout, bool special) {
  Array a = make_array(rng, dt, shape, layout);
  fill(rng, a, special);
  if (name.find("prod") == std::string::npos) return a;
  for (int64_t i = 0; i < count(shape); i++) {
    bool nan = special && is_float(dt) && rng() % 50 == 0 && name.compare(0, 3, "nan") == 0;
    Num v = number(dt, nan ? NAN : is_float(dt) ? 0.75 + (double)(rng() % 5) / 8 : 1 + (double)(rng() % 3), 0);
    oracle::store(dt, v, &a.mem[(size_t)a.at(unravel(i, shape))]);
  }
  return a;
}

struct Job {
  Shape space;
  uint32_t mask;
};

class EveryRow : public ::testing::TestWithParam<const char *> {};

TEST_P(EveryRow, EveryDtypeAndMode) {
  std::string name = GetParam();
  // short rows, short groups, long rows (spread lanes), long columns, all of it, nothing but ones
  const Job jobs[] = {{{1}, 1},         {{40, 3}, 2},    {{40, 300}, 2},  {{9, 20, 7}, 2},     {{5, 1500}, 2},
                      {{3, 700, 3}, 2}, {{1201, 3}, 1},  {{70, 600}, 1},  {{4, 13, 11, 6}, 5}, {{3000}, 1},
                      {{6, 1, 5}, 2},   {{17, 1100}, 1}, {{2, 40, 50}, 3}};
  size_t row = 0;
  while (name != kNames[row]) row++;
  for (const mars_dtype &dt : kTypes) {
    if (!exists(name, dt)) continue;
    for (const Job &job : jobs) {
#ifdef VM_CUDA // a compilation each: every two of row, dtype and job meet, but not every three. Some rows are for four dtypes.
      const size_t apart = exists(name, MARS_BOOL) ? 6 : 4;
      if (((size_t)(&job - jobs) + (size_t)(&dt - kTypes) + row) % apart != 0) continue;
#endif
      Rng rng(17);
      for (bool special : {false, true}) {
        if (special && !is_float(dt)) continue;
        Program p(job.space, job.mask);
        p.reduce(name, p.load(data_for(rng, name, dt, job.space, special ? ANY_WITH_BROADCAST : COMPACT, special)), 0);
        Options o;
        o.finish = special;
        p.check(o);
        if (HasFatalFailure()) return;
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Vm, EveryRow, ::testing::ValuesIn(kNames), [](const auto &i) { return std::string(i.param); });

TEST(VmReduce, RandomShapesMasksTiles) {
  for (uint64_t seed = 0; seed < 120; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    static const int64_t extents[] = {1, 2, 3, 7, 16, 17, 50, 255, 256, 513, 1025, 2100};
    Shape space;
    for (size_t nd = rng() % 5; space.size() < nd;) {
      int64_t e = extents[rng() % 12];
      space.push_back(count(space) * e <= 5000 ? e : 1);
    }
    uint32_t mask = space.empty() ? 0 : (uint32_t)(rng() % (1u << space.size()));
    Program p(space, mask);
    int n = 1 + (int)(rng() % 3);
    for (int i = 0; i < n; i++) {
      mars_dtype dt = kTypes[rng() % 13];
      std::string name = kNames[rng() % 21];
      if (!exists(name, dt)) dt = MARS_F64;
      p.reduce(name, p.load(data_for(rng, name, dt, space, ANY_WITH_BROADCAST, rng() % 2)), (double)(rng() % 2));
    }
    Options o;
    o.finish = rng() % 2;
    if (rng() % 2 && !space.empty()) {
      for (int64_t e : space) o.tile.push_back(1 + (int64_t)(rng() % (uint64_t)e));
      if (count(space) / count(o.tile) > 200) o.tile.clear();
    }
    p.check(o);
    if (HasFatalFailure()) return;
  }
}

TEST(VmReduce, LongRowsAreSplitAndColumnsStripped) {
  const Job jobs[] = {{{400000}, 1}, {{3, 150001}, 2}, {{130000, 3}, 1}, {{2000, 130}, 1}, {{1500, 601}, 1}, {{130, 3001}, 1}};
  for (const Job &job : jobs) {
    Rng rng(23);
    Program p(job.space, job.mask);
    Array a = make_array(rng, MARS_F64, job.space, COMPACT);
    for (size_t i = 0; i + 8 <= a.mem.size(); i += 8) {
      double v = 1e3 + std::normal_distribution<double>()(rng);
      memcpy(&a.mem[i], &v, 8);
    }
    int x = p.load(a), f = p.cast(x, MARS_F32), half = p.constant(MARS_F64, number(MARS_F64, 1000));
    p.reduce("sum", x);
    p.reduce("std", x, 1);
    p.reduce("argmax", x);
    p.reduce("sum", f);
    p.reduce("count_nonzero", p.op("less_equal", x, half));
    p.reduce("nanvar", f);
    Options o;
    o.finish = true;
    p.check(o);
    if (HasFatalFailure()) return;
    for (int64_t e : job.space) o.tile.push_back((e + 1) / 2);
    p.check(o);
    if (HasFatalFailure()) return;
  }
}

TEST(VmReduce, StoresAndReducesInOnePass) {
  for (const Job &job : {Job{{70000}, 1}, Job{{500, 90}, 1}, Job{{90, 500}, 2}, Job{{30, 7, 20}, 2}, Job{{6000, 5}, 2}}) {
    Rng rng(31);
    Program p(job.space, job.mask);
    Array a = make_array(rng, MARS_F64, job.space, ANY_ORDER);
    fill(rng, a, false);
    int y = p.op("add", p.load(a), p.constant(MARS_F64, number(MARS_F64, 1)));
    p.store(y, make_array(rng, MARS_F64, job.space, ANY_ORDER));
    p.reduce("sum", y);
    p.store(p.op("multiply", y, y), make_array(rng, MARS_F64, job.space, COMPACT));
    p.reduce("std", y);
    p.reduce("max", p.cast(y, MARS_I16));
    p.check({});
    Options o;
    o.finish = o.stream = true;
    p.check(o);
    if (HasFatalFailure()) return;
  }
}

// The other reductions of a program change no bit of one.
TEST(VmReduce, AloneOrInCompanyTheSameBits) {
  for (const Job &job : {Job{{300000}, 1}, Job{{100, 700}, 2}, Job{{700, 1300}, 1}, Job{{9000, 7}, 1}}) {
    Rng rng(37);
    Array a = make_array(rng, MARS_F64, job.space, COMPACT);
    for (size_t i = 0; i + 8 <= a.mem.size(); i += 8) {
      double v = std::normal_distribution<double>()(rng);
      memcpy(&a.mem[i], &v, 8);
    }
    Program alone(job.space, job.mask), company(job.space, job.mask);
    alone.reduce("sum", alone.load(a));
    int x = company.load(a);
    company.reduce("sum", x);
    for (const char *other : {"var", "argmin", "nanvar", "max"}) company.reduce(other, x);
    int c = company.cast(x, MARS_C128);
    for (int i = 0; i < 4; i++) company.reduce("nanstd", c);
    Options o;
    o.finish = true;
    for (const Device &d : devices()) {
      auto one = alone.run(d.dev, o), many = company.run(d.dev, o);
      ASSERT_EQ(memcmp(one[0].data(), many[0].data(), one[0].size()), 0) << d.name;
    }
  }
}

TEST(VmReduce, HalvesAreStoredRounded) {
  for (mars_dtype half : {MARS_F16, MARS_BF16}) {
    Shape space{40, 120};
    Rng rng(41);
    Program p(space, 2);
    Array a = make_array(rng, half, space, COMPACT);
    fill(rng, a, false);
    int x = p.cast(p.load(a), MARS_F32);
    for (const char *name : {"sum", "mean", "std", "max", "nanmean"}) p.reduce(name, x, 0, half);
    Options o;
    o.finish = true;
    p.check(o);
    p.check({});
  }
}

TEST(VmReduce, VarianceWithTooFewElements) {
  Rng rng(43);
  Program p({5, 2}, 2);
  Array a = make_array(rng, MARS_F64, {5, 2}, COMPACT);
  fill(rng, a, false);
  int x = p.load(a);
  for (double ddof : {0.0, 1.0, 2.0, 3.0}) p.reduce("var", x, ddof);
  Options o;
  o.finish = true;
  p.check(o);
}

TEST(VmReduce, SumOfNegativeZerosIsNegativeZero) {
  for (int64_t n : {1, 7, 40, 600, 40000}) {
    Program p({n}, 1);
    Rng rng(1);
    Array a = make_array(rng, MARS_F64, {n}, COMPACT);
    for (int64_t i = 0; i < n; i++) oracle::store(MARS_F64, number(MARS_F64, -0.0), &a.mem[(size_t)i * 8]);
    p.reduce("sum", p.load(a));
    Options o;
    o.finish = true;
    for (const Device &d : devices()) {
      double got;
      memcpy(&got, p.run(d.dev, o)[0].data(), 8);
      EXPECT_TRUE(got == 0 && std::signbit(got)) << n;
    }
  }
}

// Sums of the same sign: the error of a tree stays near log2(n) roundings where a plain sum's grows with n.
TEST(VmReduce, SumsStayNearTheTreeBound) {
  const int64_t n = 3000000;
  std::vector<float> x((size_t)n);
  Rng rng(47);
  long double want = 0, scale = 0;
  for (float &v : x) {
    v = (float)std::uniform_real_distribution<double>()(rng);
    want += v;
    scale += v;
  }
  for (const Device &d : devices()) {
    vm_prog *p = vm_prog_new(1, &n, 1);
    vm_reduce(p, "sum", vm_load(p, MARS_F32), MARS_F64, 0);
    vm_kernel *k = nullptr;
    ASSERT_EQ(vm_compile(d.dev, p, &k, nullptr), MARS_OK);
    double sum = 0;
    vm_bind in = {}, out = {};
    in.base = (char *)x.data(), in.stride[0] = 4, out.base = (char *)&sum;
    vm_call c = {};
    c.kernel = k, c.ndim = 1, c.shape[0] = n, c.in = &in, c.n_in = 1, c.out = &out, c.n_out = 1, c.final_mask = 1;
    ASSERT_EQ(vm_launch(d.dev, &c, 1, nullptr), MARS_OK);
    EXPECT_LE(std::fabs((double)((long double)sum - want)), (double)(22 * 0x1p-53L * scale)) << d.name;
    vm_kernel_free(d.dev, k);
    vm_prog_free(p);
  }
}

// What is subtracted from a lane's elements is taken from its first ones: that these differ from all others may cost no digits.
TEST(VmReduce, MomentsOfLanesThatBeginDifferently) {
  const int64_t n = 1 << 16;
  for (int64_t period : {1024, 4096})
    for (int64_t width : {64, 128, 256, 512, 768}) {
      Program p({n}, 1);
      Rng rng(59);
      Array a = make_array(rng, MARS_F64, {n}, COMPACT);
      for (int64_t i = 0; i < n; i++)
        oracle::store(MARS_F64, number(MARS_F64, i % period < width ? 0.1 : 0), &a.mem[(size_t)i * 8]);
      int x = p.load(a);
      p.reduce("var", x);
      p.reduce("std", x);
      Options o;
      o.finish = true;
      p.check(o);
      if (HasFatalFailure()) FAIL() << width << " of " << period;
    }
}

// Equal numbers are rounded the same way again and again.
TEST(VmReduce, SumsOfEqualRows) {
  for (int64_t rows : {19, 64, 150, 257}) {
    Program p({rows, 2500}, 1);
    Rng rng(61);
    Array a = make_array(rng, MARS_F64, {rows, 2500}, COMPACT);
    for (int64_t i = 0; i < rows * 2500; i++)
      oracle::store(MARS_F64, number(MARS_F64, 0.1 * (double)(1 + i % 7)), &a.mem[(size_t)i * 8]);
    p.reduce("sum", p.load(a));
    Options o;
    o.finish = true;
    p.check(o);
    if (HasFatalFailure()) FAIL() << rows;
  }
}

TEST(VmReduce, CombineTreesOfManyPartials) {
  for (const Job &job : {Job{{1000}, 1}, Job{{300, 700}, 1}}) {
    Rng rng(53);
    Program p(job.space, job.mask);
    Array a = make_array(rng, MARS_F32, job.space, COMPACT);
    fill(rng, a, true);
    int x = p.load(a);
    for (const char *name : {"nansum", "nanstd", "argmax", "nanargmin", "min", "nanmax", "all"}) p.reduce(name, x);
    Options o;
    o.tile = job.space;
    o.tile[0] = 3;
    p.check(o);
    if (HasFatalFailure()) return;
  }
}

} // namespace
