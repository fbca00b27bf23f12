/* cvt by hand: every pair of integer types by rule, floats by known values and against the machine's own
 * conversions. */
#include <cfenv>
#include <cmath>
#include <limits>

#include "ptx_test_util.h"

namespace {

struct IntType {
  const char *name;
  int bits;
  bool is_signed;
};
const IntType kInts[] = {{"u8", 8, false},   {"s8", 8, true},   {"u16", 16, false}, {"s16", 16, true},
                         {"u32", 32, false}, {"s32", 32, true}, {"u64", 64, false}, {"s64", 64, true}};

__int128 value_of(uint64_t w, const IntType &t) {
  if (t.bits < 64)
    w &= (1ull << t.bits) - 1;
  __int128 v = w;
  if (t.is_signed && w >> (t.bits - 1) & 1)
    v -= static_cast<__int128>(1) << t.bits;
  return v;
}

const char *reg(int bits) {
  return bits <= 16 ? "%h" : bits == 32 ? "%r" : "%a";
}

TEST(Convert, IntegersToIntegers) {
  Words x = {0,
             1,
             0x7f,
             0x80,
             0xff,
             0x7fff,
             0x8000,
             0xffff,
             0x7fffffff,
             0x80000000,
             0xffffffff,
             0x123456789abcdef0,
             0x7fffffffffffffff,
             0x8000000000000000,
             ~0ull};
  for (const IntType &from : kInts)
    for (const IntType &to : kInts)
      for (const char *sat : {"", ".sat"}) {
        if (*sat && from.bits + (to.is_signed && !from.is_signed) <= to.bits &&
            !(from.is_signed && !to.is_signed))
          continue; // PTX has it only where it matters
        std::string d = to.bits <= 16 ? "%h3" : to.bits == 32 ? "%r3" : "%x0";
        std::string text = std::string("cvt") + sat + "." + to.name + "." + from.name + " " + d + ", " +
                           reg(from.bits) + "0;";
        if (to.bits < 64)
          text += to.bits <= 16 ? "cvt.u64.u16 %x0, %h3;" : "cvt.u64.u32 %x0, %r3;";
        Words got = ptx_eval(text, {x})[0];
        for (size_t i = 0; i < x.size(); i++) {
          __int128 v = value_of(x[i], from), one = 1;
          __int128 low = to.is_signed ? -(one << (to.bits - 1)) : 0,
                   high = (one << (to.bits - to.is_signed)) - 1;
          if (*sat)
            v = v < low ? low : v > high ? high : v;
          v = value_of(static_cast<uint64_t>(v), to); // wraps; extended to the register
          uint64_t want = static_cast<uint64_t>(v);
          if (to.bits < 64)
            want &= to.bits <= 16 ? 0xffff : 0xffffffff;
          ASSERT_EQ(got[i], want) << text << std::hex << x[i];
        }
      }
}

TEST(Convert, NarrowSourcesInWideRegisters) {
  EXPECT_EQ(ptx_one("cvt.u32.u8 %r3, %r0; cvt.u64.u32 %x0, %r3;", {0xffffff80}), 0x80u);
  EXPECT_EQ(ptx_one("cvt.s32.s8 %r3, %r0; cvt.u64.u32 %x0, %r3;", {0x12345680}), 0xffffff80u);
  EXPECT_EQ(ptx_one("cvt.s64.s16 %x0, %r0;", {0x18000}), 0xffffffffffff8000u);
  EXPECT_EQ(ptx_one("cvt.u8.u32 %r3, %r0; cvt.u64.u32 %x0, %r3;", {0x1ff}), 0xffu);
  EXPECT_EQ(ptx_one("cvt.rn.f32.s8 %f3, %r0; mov.b32 %r3, %f3; cvt.u64.u32 %x0, %r3;", {0xfe}), f32(-2));
}

TEST(Convert, FloatsToIntegers) {
  auto s32 = [](const char *mode, float x) {
    return static_cast<int32_t>(
        ptx_one(std::string("cvt") + mode + ".s32.f32 %r3, %f0; cvt.u64.u32 %x0, %r3;", {f32(x)}));
  };
  EXPECT_EQ(s32(".rni", 2.5f), 2);
  EXPECT_EQ(s32(".rni", 3.5f), 4);
  EXPECT_EQ(s32(".rzi", -2.9f), -2);
  EXPECT_EQ(s32(".rmi", -2.1f), -3);
  EXPECT_EQ(s32(".rpi", -2.9f), -2);
  EXPECT_EQ(s32(".rpi", 2.1f), 3);
  EXPECT_EQ(s32(".rzi", 3e9f), INT32_MAX);
  EXPECT_EQ(s32(".rzi", -3e9f), INT32_MIN);
  EXPECT_EQ(s32(".rzi", NAN), 0);
  EXPECT_EQ(s32(".rpi.ftz", 1e-40f), 0);
  EXPECT_EQ(s32(".rpi", 1e-40f), 1);
  EXPECT_EQ(ptx_one("cvt.rzi.s64.f32 %x0, %f0;", {f32(NAN)}), 1ull << 63);
  EXPECT_EQ(ptx_one("cvt.rzi.u32.f64 %r3, %d0; cvt.u64.u32 %x0, %r3;", {f64(NAN)}), 1ull << 31);
  EXPECT_EQ(ptx_one("cvt.rzi.u64.f64 %x0, %d0;", {f64(-1)}), 0u);
  EXPECT_EQ(ptx_one("cvt.rzi.u64.f64 %x0, %d0;", {f64(18446744073709549568.0)}), 18446744073709549568ull);
  EXPECT_EQ(ptx_one("cvt.rzi.u64.f64 %x0, %d0;", {f64(1e30)}), ~0ull);
  EXPECT_EQ(ptx_one("cvt.rzi.s64.f64 %x0, %d0;", {f64(-9223372036854775808.0)}), 1ull << 63);
  EXPECT_EQ(ptx_one("cvt.rzi.u8.f32 %h3, %f0; cvt.u64.u16 %x0, %h3;", {f32(300)}), 255u);
  EXPECT_EQ(ptx_one("cvt.rzi.s8.f32 %h3, %f0; cvt.u64.u16 %x0, %h3;", {f32(-300)}), 0xff80u);
  EXPECT_EQ(ptx_one("cvt.rni.s32.f16 %r3, %h0; cvt.u64.u32 %x0, %r3;", {0x4100}), 2u); // 2.5
}

/* Against the machine under each rounding direction. */
TEST(Convert, RoundingDirections) {
  const struct {
    const char *name;
    int mode;
  } kModes[] = {{"rn", FE_TONEAREST}, {"rz", FE_TOWARDZERO}, {"rm", FE_DOWNWARD}, {"rp", FE_UPWARD}};
  Words ints = {0,
                1,
                0xffffffff,
                0x1000001,
                0x1000003,
                0xfffffffffffffff,
                0x7fffffffffffffff,
                0x8000000000000001,
                ~0ull,
                0x8000008000000001};
  Words doubles = {f64(1.0 / 3), f64(-1.0 / 3),   f64(1e300), f64(-1e300), f64(1e-42),
                   f64(-1e-300), f64(16777217.0), f64(0.0),   f64(-0.0),   f64(INFINITY)};
  for (auto &m : kModes) {
    std::string n = m.name;
    Words s = ptx_eval("cvt." + n + ".f32.s64 %f3, %a0; mov.b32 %r3, %f3; cvt.u64.u32 %x0, %r3; cvt." + n +
                           ".f64.u64 %d3, %a0; mov.b64 %x1, %d3;",
                       {ints}, 2)[0];
    Words u = ptx_eval("cvt." + n + ".f32.u64 %f3, %a0; mov.b32 %r3, %f3; cvt.u64.u32 %x0, %r3; cvt." + n +
                           ".f64.u64 %d3, %a0; mov.b64 %x1, %d3;",
                       {ints}, 2)[1];
    Words f =
        ptx_eval("cvt." + n + ".f32.f64 %f3, %d0; mov.b32 %r3, %f3; cvt.u64.u32 %x0, %r3;", {doubles})[0];
    fesetround(m.mode);
    std::vector<float> ws, wf;
    std::vector<double> wu;
    for (uint64_t x : ints) {
      volatile int64_t i = static_cast<int64_t>(x);
      volatile uint64_t k = x;
      volatile float a = static_cast<float>(i);
      volatile double b = static_cast<double>(k);
      ws.push_back(float(a)), wu.push_back(double(b));
    }
    for (uint64_t x : doubles) {
      double y;
      memcpy(&y, &x, 8);
      volatile double v = y;
      volatile float a = static_cast<float>(v);
      wf.push_back(float(a));
    }
    fesetround(FE_TONEAREST);
    for (size_t i = 0; i < ints.size(); i++) {
      EXPECT_EQ(s[i], f32(ws[i])) << n << " " << ints[i];
      EXPECT_EQ(u[i], f64(wu[i])) << n << " " << ints[i];
      EXPECT_EQ(f[i], f32(wf[i])) << n << " " << i;
    }
  }
}

/* f16 by the definition: the nearest of all 65536 values, or the neighbour that the direction wants. */
double half_value(uint32_t h, int mantissa) {
  int bits = 15 - mantissa, bias = (1 << (bits - 1)) - 1;
  int e = static_cast<int>(h >> mantissa) & ((1 << bits) - 1),
      m = static_cast<int>(h) & ((1 << mantissa) - 1);
  double v =
      e == 0 ? std::ldexp(m, 1 - bias - mantissa) : std::ldexp(m + (1 << mantissa), e - bias - mantissa);
  return h & 0x8000 ? -v : v;
}

uint32_t nearest_half(double x, int mantissa, const std::string &mode) {
  uint32_t inf = ((1u << (15 - mantissa)) - 1) << mantissa, low = 0;
  double a = std::fabs(x);
  while (low + 1 < inf && half_value(low + 1, mantissa) <= a)
    low++;
  double below = half_value(low, mantissa),
         above = low + 1 == inf ? std::ldexp(1.0, 1 << (14 - mantissa)) : half_value(low + 1, mantissa);
  bool is_up;
  if (a == below)
    is_up = false;
  else if (mode == "rz")
    is_up = false;
  else if (mode == "rm")
    is_up = std::signbit(x);
  else if (mode == "rp")
    is_up = !std::signbit(x);
  else
    is_up = a - below > above - a || (a - below == above - a && (low & 1));
  if (a >= above)
    is_up = is_up || mode == "rn"; // beyond the greatest
  return (low + is_up) | (std::signbit(x) ? 0x8000 : 0);
}

TEST(Convert, ToHalves) {
  std::vector<float> x = {
      0,     -0.0f, 1,     1.0f / 3, -1.0f / 3, 65504, 65519,          65520,  70000, -1e30f, 1e-8f,  2.9e-8f,
      3e-8f, 6e-8f, 1e-5f, 2049,     2051,      0.1f,  1.00048828125f, 1.001f, 3e38f, 1e-40f, -1e-39f};
  Words in;
  for (float v : x)
    in.push_back(f32(v));
  for (const char *mode : {"rn", "rz"}) {
    Words h = ptx_eval(std::string("cvt.") + mode + ".f16.f32 %h3, %f0; cvt.u64.u16 %x0, %h3;", {in})[0];
    Words b = ptx_eval(std::string("cvt.") + mode + ".bf16.f32 %h3, %f0; cvt.u64.u16 %x0, %h3;", {in})[0];
    for (size_t i = 0; i < x.size(); i++) {
      EXPECT_EQ(h[i], nearest_half(x[i], 10, mode)) << mode << " " << x[i];
      EXPECT_EQ(b[i], nearest_half(x[i], 7, mode)) << mode << " " << x[i];
    }
  }
  EXPECT_EQ(ptx_one("cvt.rn.f16.f32 %h3, %f0; cvt.u64.u16 %x0, %h3;", {f32(NAN)}), 0x7fffu);
  EXPECT_EQ(ptx_one("cvt.rn.f16.f64 %h3, %d0; cvt.u64.u16 %x0, %h3;",
                    {f64(1.0 + std::ldexp(1, -11) + std::ldexp(1, -40))}),
            0x3c01u); // one rounding, not two
  EXPECT_EQ(ptx_one("cvt.rn.f16.u64 %h3, %a0; cvt.u64.u16 %x0, %h3;", {65519}), 0x7bffu);
  EXPECT_EQ(ptx_one("cvt.rp.f16.s32 %h3, %r0; cvt.u64.u16 %x0, %h3;", {2049}), 0x6801u);
  EXPECT_EQ(ptx_one("cvt.rn.f16x2.f32 %r3, %f0, %f1; cvt.u64.u32 %x0, %r3;", {f32(1), f32(-2)}), 0x3c00c000u);
  EXPECT_EQ(ptx_one("cvt.rn.bf16x2.f32 %r3, %f0, %f1; cvt.u64.u32 %x0, %r3;", {f32(1), f32(-2)}),
            0x3f80c000u);
  EXPECT_EQ(ptx_one("cvt.rn.relu.f16.f32 %h3, %f0; cvt.u64.u16 %x0, %h3;", {f32(-2)}), 0u);
  EXPECT_EQ(ptx_one("cvt.rn.sat.f16.f32 %h3, %f0; cvt.u64.u16 %x0, %h3;", {f32(7)}), 0x3c00u);
}

TEST(Convert, FromHalvesIsExact) {
  Words h;
  for (uint64_t i = 0; i < 65536; i += 7)
    h.push_back(i);
  Words f = ptx_eval("cvt.f32.f16 %f3, %h0; mov.b32 %r3, %f3; cvt.u64.u32 %x0, %r3; cvt.f32.bf16 %f3, %h0; "
                     "mov.b32 %r3, %f3; cvt.u64.u32 %x1, %r3;",
                     {h}, 2)[0];
  for (size_t i = 0; i < h.size(); i++) {
    if ((h[i] & 0x7c00) == 0x7c00)
      EXPECT_TRUE(!std::isfinite(as_f32(f[i])) && std::isnan(as_f32(f[i])) == ((h[i] & 0x3ff) != 0)) << h[i];
    else
      EXPECT_EQ(f[i], f32(static_cast<float>(half_value(static_cast<uint32_t>(h[i]), 10)))) << h[i];
  }
}

TEST(Convert, FloatsToFloats) {
  auto r = [](const char *mode, float x) {
    return as_f32(ptx_one(
        std::string("cvt") + mode + ".f32.f32 %f3, %f0; mov.b32 %r3, %f3; cvt.u64.u32 %x0, %r3;", {f32(x)}));
  };
  EXPECT_EQ(r(".rni", 2.5f), 2);
  EXPECT_EQ(r(".rmi", -0.5f), -1);
  EXPECT_EQ(r(".rpi", -0.5f), 0);
  EXPECT_TRUE(std::signbit(r(".rpi", -0.5f)));
  EXPECT_EQ(r(".rzi", 1e30f), 1e30f);
  EXPECT_EQ(r(".sat", 1.5f), 1);
  EXPECT_EQ(r(".sat", -1), 0);
  EXPECT_EQ(r(".sat", NAN), 0);
  EXPECT_EQ(r(".ftz", 1e-40f), 0);
  EXPECT_EQ(r("", 1e-40f), 1e-40f);
  EXPECT_EQ(ptx_one("cvt.f64.f32 %d3, %f0; mov.b64 %x0, %d3;", {f32(0.1f)}), f64(static_cast<double>(0.1f)));
  EXPECT_EQ(ptx_one("cvt.rmi.f64.f64 %d3, %d0; mov.b64 %x0, %d3;", {f64(-1e-9)}), f64(-1));
  EXPECT_EQ(ptx_one("cvt.rna.tf32.f32 %r3, %f0; cvt.u64.u32 %x0, %r3;", {0x3f801000}), 0x3f802000u);
}

TEST(Convert, Pack) {
  EXPECT_EQ(ptx_one("cvt.pack.sat.s16.s32 %r3, %r0, %r1; cvt.u64.u32 %x0, %r3;", {100000, 0xffffffff}),
            0x7fffffffu);
  EXPECT_EQ(ptx_one("cvt.pack.sat.u8.s32.b32 %r3, %r0, %r1, %r2; cvt.u64.u32 %x0, %r3;",
                    {300, 0xfffffff0, 0xabcd1234}),
            0x1234ff00u);
}

} // namespace
