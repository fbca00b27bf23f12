// Printing as NumPy does, sizes, progress lines and command lines. The expected texts are NumPy 1.24's.
#include "tests/tools_shim.h"
#include <gtest/gtest.h>
#include <cmath>
#include <cstring>
#include <mars/mars.h>
#include <string>
#include <vector>

namespace {

template <class T> std::string Format(mars_dtype dt, std::vector<int64_t> dims, const std::vector<T> &data, unsigned cut = 0) {
  tools_result r;
  tools_format(dt, (int)dims.size(), dims.data(), cut, data.data(), &r);
  return r.text;
}
std::string Scalar(double v) { return Format<double>(MARS_F64, {}, {v}); }
std::string Scalar32(float v) { return Format<float>(MARS_F32, {}, {v}); }

TEST(ToolsFormat, Scalars) {
  EXPECT_EQ(Scalar(3), "3.0");
  EXPECT_EQ(Scalar(-0.0), "-0.0");
  EXPECT_EQ(Scalar(0.1), "0.1");
  EXPECT_EQ(Scalar(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(Scalar(1e15), "1000000000000000.0");
  EXPECT_EQ(Scalar(1e16), "1e+16");
  EXPECT_EQ(Scalar(0.0001), "0.0001");
  EXPECT_EQ(Scalar(0.00001), "1e-05");
  EXPECT_EQ(Scalar(1.5e300), "1.5e+300");
  EXPECT_EQ(Scalar(5e-324), "5e-324");
  EXPECT_EQ(Scalar(std::ldexp(1, -44)), "5.684341886080802e-14"); // a power of two: the nearest digits do not read back
  EXPECT_EQ(Scalar(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(Scalar(INFINITY), "inf");
  EXPECT_EQ(Scalar(-INFINITY), "-inf");
  EXPECT_EQ(Scalar(NAN), "nan");
  EXPECT_EQ(Scalar32(0.1f), "0.1");
  EXPECT_EQ(Scalar32(16777216.f), "16777216.0");
  EXPECT_EQ(Scalar32(3.4028235e38f), "3.4028235e+38");
  EXPECT_EQ(Format<uint16_t>(MARS_F16, {}, {0x2e66}), "0.1");
  EXPECT_EQ(Format<uint16_t>(MARS_F16, {}, {0x7bff}), "65500.0");
  EXPECT_EQ(Format<uint16_t>(MARS_BF16, {}, {0x3dcd}), "0.1");
  EXPECT_EQ(Format<int64_t>(MARS_I64, {}, {INT64_MIN}), "-9223372036854775808");
  EXPECT_EQ(Format<uint64_t>(MARS_U64, {}, {UINT64_MAX}), "18446744073709551615");
  EXPECT_EQ(Format<uint8_t>(MARS_BOOL, {}, {1}), "True");
  EXPECT_EQ(Format<double>(MARS_C128, {}, {1, 2}), "(1+2j)");
  EXPECT_EQ(Format<double>(MARS_C128, {}, {0, -2.5}), "-2.5j");
  EXPECT_EQ(Format<double>(MARS_C128, {}, {-0.0, 2}), "(-0+2j)");
  EXPECT_EQ(Format<double>(MARS_C128, {}, {NAN, INFINITY}), "(nan+infj)");
  EXPECT_EQ(Format<float>(MARS_C64, {}, {0.1f, 1e20f}), "(0.1+1e+20j)");
}

TEST(ToolsFormat, Arrays) {
  EXPECT_EQ(Format<double>(MARS_F64, {3}, {1, 2, 3}), "[1. 2. 3.]");
  EXPECT_EQ(Format<double>(MARS_F64, {3}, {1, 2.5, -3.25}), "[ 1.    2.5  -3.25]");
  EXPECT_EQ(Format<double>(MARS_F64, {3}, {1e-5, 1.5, 3}), "[1.0e-05 1.5e+00 3.0e+00]");
  EXPECT_EQ(Format<double>(MARS_F64, {2}, {1e8, 1}), "[1.e+08 1.e+00]");
  EXPECT_EQ(Format<double>(MARS_F64, {2}, {1e300, 1e-300}), "[1.e+300 1.e-300]");
  EXPECT_EQ(Format<double>(MARS_F64, {3}, {1.0 / 3, 2.0 / 3, 1}), "[0.33333333 0.66666667 1.        ]");
  EXPECT_EQ(Format<double>(MARS_F64, {4}, {NAN, 1, INFINITY, -INFINITY}), "[ nan   1.  inf -inf]");
  EXPECT_EQ(Format<double>(MARS_F64, {2}, {NAN, INFINITY}), "[nan inf]");
  EXPECT_EQ(Format<uint16_t>(MARS_F16, {3}, {0x01cc, 0x8666, 0x7bff}), "[ 2.742e-05 -9.763e-05  6.550e+04]");
  EXPECT_EQ(Format<float>(MARS_F32, {2}, {0.1f, 0.2f}), "[0.1 0.2]");
  EXPECT_EQ(Format<int32_t>(MARS_I32, {2, 2}, {1, -20, 300, 4}), "[[  1 -20]\n [300   4]]");
  EXPECT_EQ(Format<uint8_t>(MARS_BOOL, {2}, {1, 0}), "[ True False]");
  EXPECT_EQ(Format<double>(MARS_C128, {2}, {1, 2, -0.5, -20}), "[ 1.  +2.j -0.5-20.j]");
  EXPECT_EQ(Format<double>(MARS_F64, {0, 3}, {}), "[]");
  EXPECT_EQ(Format<int64_t>(MARS_I64, {2, 1, 2}, {1, 2, 3, 4}), "[[[1 2]]\n\n [[3 4]]]");
}

TEST(ToolsFormat, LongLinesWrapAt75) {
  std::vector<int64_t> v(40);
  for (int i = 0; i < 40; i++) v[i] = i;
  EXPECT_EQ(Format<int64_t>(MARS_I64, {40}, v),
            "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n"
            " 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39]");
}

TEST(ToolsFormat, Corners) {
  EXPECT_EQ(Format<int64_t>(MARS_I64, {6}, {0, 1, 2, 1997, 1998, 1999}, 1), "[   0    1    2 ... 1997 1998 1999]");
  std::vector<int64_t> v(12);
  for (int i = 0; i < 12; i++) v[i] = i;
  EXPECT_EQ(Format<int64_t>(MARS_I64, {6, 2}, v, 1), "[[ 0  1]\n [ 2  3]\n [ 4  5]\n ...\n [ 6  7]\n [ 8  9]\n [10 11]]");
  EXPECT_EQ(Format<int64_t>(MARS_I64, {2, 6}, v, 2), "[[ 0  1  2 ...  3  4  5]\n [ 6  7  8 ...  9 10 11]]");
}

TEST(ToolsFormat, HalvesRoundTrip) {
  for (int dt : {MARS_F16, MARS_BF16})
    for (unsigned bits = 0; bits < 65536; bits++) {
      double v = tools_half_to_double(dt, (uint16_t)bits);
      if (std::isnan(v)) {
        EXPECT_TRUE(std::isnan(tools_half_to_double(dt, tools_half_of_double(dt, v))));
        continue;
      }
      ASSERT_EQ(tools_half_of_double(dt, v), bits) << dt;
    }
  EXPECT_EQ(tools_half_of_double(MARS_F16, 65519.999), 0x7bff);
  EXPECT_EQ(tools_half_of_double(MARS_F16, 65520), 0x7c00);
  EXPECT_EQ(tools_half_of_double(MARS_F16, 1 + std::ldexp(1, -11)), 0x3c00);     // a tie goes to even
  EXPECT_EQ(tools_half_of_double(MARS_F16, 1 + 3 * std::ldexp(1, -11)), 0x3c02);
  EXPECT_EQ(tools_half_of_double(MARS_F16, std::ldexp(1, -25)), 0x0000);
  EXPECT_EQ(tools_half_of_double(MARS_F16, 1.01 * std::ldexp(1, -25)), 0x0001);
}

// Digits that read back as the same value, over random bit patterns.
TEST(ToolsFormat, ScalarsReadBack) {
  uint64_t state = 88172645463325252ULL;
  for (int i = 0; i < 20000; i++) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    double v;
    std::memcpy(&v, &state, 8);
    if (!std::isfinite(v)) continue;
    ASSERT_EQ(std::strtod(Scalar(v).c_str(), nullptr), v);
    float f;
    std::memcpy(&f, &state, 4);
    if (!std::isfinite(f)) continue;
    ASSERT_EQ(std::strtof(Scalar32(f).c_str(), nullptr), f);
  }
}

TEST(ToolsUnits, Bytes) {
  EXPECT_EQ(tools_bytes("65536"), 65536);
  EXPECT_EQ(tools_bytes("512M"), 512 << 20);
  EXPECT_EQ(tools_bytes("1.5k"), 1536);
  EXPECT_EQ(tools_bytes("2GiB"), (int64_t)2 << 30);
  EXPECT_EQ(tools_bytes("2gb"), (int64_t)2 << 30);
  EXPECT_EQ(tools_bytes("1T"), (int64_t)1 << 40);
  for (const char *bad : {"", "M", "-1", "1X", "1MM", "1e99", "inf", "12 M", "99999999P"}) EXPECT_EQ(tools_bytes(bad), -1) << bad;
}

std::string Progress(int64_t done, int64_t total, double seconds, double eta, int columns) {
  tools_result r;
  tools_progress(done, total, seconds, eta, columns, &r);
  return r.text;
}

TEST(ToolsProgress, FitsTheTerminal) {
  EXPECT_EQ(Progress(50, 100, 10, 10, 100),
            "[####################....................]  50%  50/100 tasks  5 tasks/s  ETA 10.0 s");
  EXPECT_EQ(Progress(2500, 10000, 1, 3661, 60), "[#....]  25%  2500/10000 tasks  2.50 ktasks/s  ETA 1:01:01");
  for (int columns = 1; columns < 200; columns++)
    for (int64_t done : {0, 1, 99, 100, 101}) {
      std::string s = Progress(done, 100, 0, -1, columns);
      ASSERT_LT((int)s.size(), columns) << s;
    }
}

std::string Options(const char *command, std::vector<const char *> argv, int code = 0) {
  tools_result r;
  tools_options(command, (int)argv.size(), const_cast<char **>(argv.data()), &r);
  EXPECT_EQ(r.code, code) << r.text;
  return r.text;
}

TEST(ToolsOptions, Calc) {
  EXPECT_EQ(Options("calc", {"(x+1)*2", "x=big.npy", "-o", "out.npy", "--budget", "512M"}),
            "expr=(x+1)*2 budget=536870912 threads=0 chunk=0 dtype=-1 bind x=big.npy out =out.npy");
  EXPECT_EQ(Options("calc", {"--threads=2", "--chunk", "7", "a", "-o", "a=a.npy", "-o", "b/c=d.npy", "--spill", "/a", "--spill=/b", "--seed", "42", "-q"}),
            "expr=a budget=0 threads=2 chunk=7 dtype=-1 seed=42 out a=a.npy out =b/c=d.npy spill /a spill /b quiet");
  EXPECT_EQ(Options("calc", {"-x + 1", "x=y*2"}), "expr=-x + 1 budget=0 threads=0 chunk=0 dtype=-1 bind x=y*2");
  EXPECT_EQ(Options("calc", {"--", "--x"}), "expr=--x budget=0 threads=0 chunk=0 dtype=-1");
  EXPECT_EQ(Options("plan", {"x", "--dot", "--dtype", "float32"}), "expr=x budget=0 threads=0 chunk=0 dtype=11 dot");
}

TEST(ToolsOptions, Errors) {
  EXPECT_NE(Options("calc", {}, 2).find("an expression is missing"), std::string::npos);
  EXPECT_EQ(Options("calc", {"x", "--bugdet", "1"}, 2), "unknown option '--bugdet'; did you mean --budget?");
  EXPECT_NE(Options("calc", {"x", "--budget"}, 2).find("missing"), std::string::npos);
  EXPECT_NE(Options("calc", {"x", "--budget", "much"}, 2).find("takes a size"), std::string::npos);
  EXPECT_NE(Options("calc", {"x", "--threads", "0"}, 2).find("takes a number"), std::string::npos);
  EXPECT_NE(Options("calc", {"x", "--dtype", "float65"}, 2).find("takes a dtype"), std::string::npos);
  EXPECT_NE(Options("calc", {"x", "--quiet=1"}, 2).find("no value"), std::string::npos);
  EXPECT_NE(Options("calc", {"x", "big.npy"}, 2).find("expected name="), std::string::npos);
  EXPECT_NE(Options("calc", {"x", "1a=big.npy"}, 2).find("expected name="), std::string::npos);
  EXPECT_NE(Options("calc", {"x", "-o", "x="}, 2).find("-o takes"), std::string::npos);
  EXPECT_NE(Options("calc", {"x", "--dot"}, 2).find("unknown option"), std::string::npos);
  EXPECT_NE(Options("info", {"x"}, 2).find("unexpected"), std::string::npos);
}

} // namespace
