// Every elementwise row x dtype x instruction set of host/loops.h against the oracle; then the loop's contract: in place,
// any length, element-aligned pointers, nothing written past the end, bits that do not depend on the place in the block.
#include "tests/loops_util.h"

#include <algorithm>
#include <cctype>
#include <gtest/gtest.h>

using namespace loops;
using oracle::Num;

namespace {

struct Case {
  int op;
  mars_dtype dt;
};

bool elementwise(int op) { return loops_row_of(op).arity > 0; }

std::vector<Case> cases() {
  std::vector<Case> out;
  for (int op = 0; op < loops_op_count(); op++)
    for (mars_dtype dt : dtypes())
      if (elementwise(op) && loops_op(nullptr, op, dt)) out.push_back({op, dt});
  return out;
}

std::string case_name(const testing::TestParamInfo<Case> &info) {
  return std::string(loops_row_of(info.param.op).name) + "_" + mars_dtype_name(info.param.dt);
}

// The tests named Special look at what judged() leaves out.
class Loop : public testing::TestWithParam<Case>, protected Row {
protected:
  void SetUp() override { set_row(GetParam().op, GetParam().dt, 3001); }
  const void *at(int k, int64_t i) const {
    return k < row_.arity ? &in_[k][(size_t)i * mars_dtype_bytes(operand(k))] : nullptr;
  }
  Bytes run(const char *isa) const {
    Bytes out((size_t)n_ * mars_dtype_bytes(result_));
    loops_op(isa, GetParam().op, GetParam().dt)(n_, out.data(), at(0, 0), at(1, 0), at(2, 0));
    return out;
  }
};

TEST_P(Loop, MatchesOracle) {
  ASSERT_TRUE(oracle::has_op(row_.name)) << row_.name << " has no oracle";
  std::vector<oracle::Expect> want((size_t)n_);
  std::vector<bool> skip((size_t)n_);
  int64_t judged_count = 0;
  for (int64_t i = 0; i < n_; i++) {
    Num args[3];
    for (int k = 0; k < row_.arity; k++) args[k] = argument(k, i);
    want[(size_t)i] = oracle::eval(row_.name, GetParam().dt, args, row_.ulp);
    skip[(size_t)i] = want[(size_t)i].skip || !judged(args);
    judged_count += !skip[(size_t)i];
  }
  ASSERT_GT(judged_count, n_ / 4);
  for (const char *isa : isas()) {
    Bytes got = run(isa);
    int shown = 0;
    for (int64_t i = 0; i < n_ && shown < 5; i++) {
      Num v = oracle::load(result_, &got[(size_t)i * mars_dtype_bytes(result_)]);
      const oracle::Expect &e = want[(size_t)i];
      if (skip[(size_t)i] || oracle::close(half_ ? GetParam().dt : result_, v, e.value, e.bound)) continue;
      shown++;
      ADD_FAILURE() << isa << " " << row_.name << "(" << oracle::show(argument(0, i))
                    << (row_.arity > 1 ? ", " + oracle::show(argument(1, i)) : "")
                    << (row_.arity > 2 ? ", " + oracle::show(argument(2, i)) : "") << ") = " << oracle::show(v)
                    << ", expected " << oracle::show(e.value) << " within " << e.bound.ulp << " ulp";
    }
  }
}

TEST_P(Loop, ExactRowsAreTheSameOnEveryInstructionSet) {
  if (row_.ulp != 0) return;
  Bytes want = run("baseline");
  for (const char *isa : isas())
    EXPECT_EQ(first_difference(result_, n_, run(isa).data(), want.data()), -1) << isa;
}

TEST_P(Loop, BitsDoNotDependOnThePlaceInTheBlock) {
  size_t size = mars_dtype_bytes(result_);
  for (const char *isa : isas()) {
    loops_fn *loop = loops_op(isa, GetParam().op, GetParam().dt);
    Bytes want = run(isa);
    int64_t starts[] = {0, 1, 3, 255, n_ - 77}, lengths[] = {0, 1, 2, 7, 15, 16, 17, 33, 77};
    for (int64_t start : starts)
      for (int64_t n : lengths) {
        Block out(result_, n);
        loop(n, out.data(), at(0, start), at(1, start), at(2, start));
        EXPECT_EQ(first_difference(result_, n, out.data(), &want[(size_t)start * size]), -1) << isa << ", " << start << ", " << n;
        EXPECT_TRUE(out.guards_intact()) << isa << ", " << n << " elements";
      }
  }
}

TEST_P(Loop, WorksInPlace) {
  for (const char *isa : isas()) {
    Bytes want = run(isa);
    for (int k = 0; k < row_.arity; k++) {
      if (mars_dtype_bytes(operand(k)) != mars_dtype_bytes(result_)) continue;
      Block both(operand(k), n_);
      std::memcpy(both.data(), in_[k].data(), in_[k].size());
      const void *args[3] = {at(0, 0), at(1, 0), at(2, 0)};
      args[k] = both.data();
      loops_op(isa, GetParam().op, GetParam().dt)(n_, both.data(), args[0], args[1], args[2]);
      EXPECT_EQ(first_difference(result_, n_, both.data(), want.data()), -1) << isa << ", operand " << k;
      EXPECT_TRUE(both.guards_intact()) << isa;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, Loop, testing::ValuesIn(cases()), case_name);

// A loop is there exactly where the row's domain says so. Halves: only what works on their own grid.
TEST(Table, LoopsFollowTheDomains) {
  for (const char *isa : isas())
    for (int op = 0; op < loops_op_count(); op++)
      for (mars_dtype dt : dtypes()) {
        std::string name = loops_row_of(op).name;
        bool want = elementwise(op) && loops_loop_dtype(op, dt) == dt;
        if (oracle::is_half(dt)) want = name == "nextafter" || name == "spacing";
        EXPECT_EQ(loops_op(isa, op, dt) != nullptr, want) << isa << " " << name << " " << mars_dtype_name(dt);
      }
}

TEST(Table, SelectsByName) {
  EXPECT_TRUE(loops_has(nullptr));
  EXPECT_TRUE(loops_has("baseline"));
  EXPECT_FALSE(loops_has("sse9"));
  for (const char *isa : isas()) EXPECT_STREQ(loops_name(isa), isa);
  EXPECT_STREQ(loops_name(nullptr), isas().back());
}

// What the oracle leaves open: powers that NumPy fixes, and infinite complex signs.
template <class T> T apply(const char *isa, const char *name, mars_dtype dt, T x, T y) {
  T out;
  for (int op = 0; op < loops_op_count(); op++)
    if (std::string(loops_row_of(op).name) == name) loops_op(isa, op, dt)(1, &out, &x, &y, nullptr);
  return out;
}

TEST(Special, ComplexPowersAreNumPys) {
  using C = std::complex<double>;
  for (const char *isa : isas()) {
    auto power = [isa](C x, C y) { return apply(isa, "power", MARS_C128, x, y); };
    EXPECT_EQ(power({0, 0}, {0, 0}), C(1, 0));
    EXPECT_EQ(power({0, 0}, {2, 0}), C(0, 0));
    EXPECT_TRUE(std::isnan(power({0, 0}, {-1, 0}).real()));
    EXPECT_TRUE(std::isnan(power({0, 0}, {1, 1}).imag()));
    EXPECT_EQ(power({1, 2}, {10, 0}), C(237, -3116));
    EXPECT_EQ(power({0, 1}, {-1, 0}), C(0, -1));
    EXPECT_EQ(power({0, 2}, {-2, 0}), C(-0.25, 0));
  }
}

TEST(Special, ComplexInfinitiesAndNaN) {
  using C = std::complex<double>;
  const double inf = std::numeric_limits<double>::infinity(), big = std::numeric_limits<double>::max();
  for (const char *isa : isas()) {
    auto sign = [isa](C x) { return apply(isa, "sign", MARS_C128, x, x); };
    EXPECT_EQ(sign({inf, 3}), C(1, 0));
    EXPECT_EQ(sign({-2, -inf}), C(0, -1));
    EXPECT_TRUE(std::isnan(sign({inf, inf}).real()));
    EXPECT_NEAR(std::abs(sign({big, big})), 1, 1e-15);
    C q = apply(isa, "divide", MARS_C128, C(1, -2), C(0, 0));
    EXPECT_EQ(q.real(), inf);
    EXPECT_EQ(q.imag(), -inf);
    C r = apply(isa, "divide", MARS_C128, C(1e300, 1e300), C(1e300, 1e300));
    EXPECT_EQ(r, C(1, 0));
    const double nan = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(apply(isa, "fmax", MARS_C128, C(1, nan), C(5, nan)).real(), 1);
    EXPECT_EQ(apply(isa, "fmin", MARS_C128, C(7, nan), C(5, nan)).real(), 7);
  }
}

TEST(Special, IntegerPowers) {
  for (const char *isa : isas()) {
    auto power = [isa](int32_t x, int32_t y) { return apply(isa, "power", MARS_I32, x, y); };
    EXPECT_EQ(power(0, -1), 0);
    EXPECT_EQ(power(1, -5), 1);
    EXPECT_EQ(power(-1, -5), -1);
    EXPECT_EQ(power(-1, INT32_MIN), 1);
    EXPECT_EQ(power(2, -1), 0);
    EXPECT_EQ(power(3, 21), (int32_t)10460353203);
    EXPECT_EQ(apply<int32_t>(isa, "floor_divide", MARS_I32, INT32_MIN, -1), INT32_MIN);
    EXPECT_EQ(apply<int32_t>(isa, "gcd", MARS_I32, INT32_MIN, 0), INT32_MIN);
  }
}

} // namespace
