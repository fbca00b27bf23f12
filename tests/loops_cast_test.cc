// Casts between all dtypes, rounding to halves, index ramps and the streaming copy, on every instruction set.
#include "tests/loops_util.h"

#include <gtest/gtest.h>

using namespace loops;
using oracle::Num;

namespace {

struct Pair {
  mars_dtype from, to;
};

std::vector<Pair> pairs() {
  std::vector<Pair> out;
  for (mars_dtype from : dtypes())
    for (mars_dtype to : dtypes())
      if (from != to) out.push_back({from, to});
  return out;
}

std::string pair_name(const testing::TestParamInfo<Pair> &info) {
  return std::string(mars_dtype_name(info.param.from)) + "_to_" + mars_dtype_name(info.param.to);
}

// The oracle rounds a long double, which holds every operand, once.
Num expected(Pair p, const Num &v) {
  Num want = oracle::cast(v, p.from, p.to);
  return want;
}

// Values next to what the target rounds or saturates at.
void add_edges(Pair p, std::vector<Num> *values) {
  char k = oracle::kind_of(p.from), t = oracle::kind_of(p.to);
  if (k != 'f' && k != 'c') return;
  std::vector<double> edges;
  if (t == 'i' || t == 'u') {
    int bits = oracle::bits_of(p.to) - (t == 'i');
    for (double edge : {std::ldexp(1.0, bits), -std::ldexp(1.0, bits)})
      for (double d : {-1.0, -0.5, 0.0, 0.5, 1.0, 2.0}) edges.insert(edges.end(), {edge + d, std::nextafter(edge, 0.0)});
  } else {
    for (double x : {65504.0, 65519.0, 65520.0, 0x1p-24, 0x1.8p-25, 0x1p-25, 0x1.ffcp-15, 1 + 0x1p-11, 1 + 0x1.8p-10, 1 + 0x1p-8, 1 + 0x1.8p-7, 0x1.fep127, 0x1.ffp127})
      for (double y : {x, -x, x * (1 + 0x1p-40), x * (1 - 0x1p-40), x * (1 + 0x1p-20)}) edges.push_back(y); // double rounding
  }
  for (double e : edges) {
    Num n;
    n.kind = k;
    n.re = e;
    unsigned char b[16];
    oracle::store(p.from, n, b);
    values->push_back(oracle::load(p.from, b));
  }
}

class Cast : public testing::TestWithParam<Pair> {};

TEST_P(Cast, MatchesOracleAnywhereInTheBlock) {
  Pair p = GetParam();
  Numbers numbers(p.from * 17 + p.to);
  std::vector<Num> values = numbers.special(p.from);
  add_edges(p, &values);
  for (int i = 0; i < 1013; i++) values.push_back(numbers.draw(p.from));
  int64_t n = (int64_t)values.size();
  size_t from = mars_dtype_bytes(p.from), to = mars_dtype_bytes(p.to);
  Bytes in((size_t)n * from), want((size_t)n * to);
  for (int64_t i = 0; i < n; i++) {
    oracle::store(p.from, values[(size_t)i], &in[(size_t)i * from]);
    oracle::store(p.to, expected(p, oracle::load(p.from, &in[(size_t)i * from])), &want[(size_t)i * to]);
  }
  for (const char *isa : isas()) {
    loops_fn *cast = loops_cast(isa, p.from, p.to);
    ASSERT_NE(cast, nullptr);
    for (int64_t start : {0, 1, 5})
      for (int64_t len : {(int64_t)0, (int64_t)1, (int64_t)31, n - 5}) {
        Block out(p.to, len);
        cast(len, out.data(), &in[(size_t)start * from], nullptr, nullptr);
        int64_t bad = first_difference(p.to, len, out.data(), &want[(size_t)start * to]);
        EXPECT_EQ(bad, -1) << isa << ": " << oracle::show(values[(size_t)(start + bad)]) << " gives "
                           << oracle::show(oracle::load(p.to, out.data() + bad * (int64_t)to)) << ", expected "
                           << oracle::show(oracle::load(p.to, &want[(size_t)(start + bad) * to]));
        EXPECT_TRUE(out.guards_intact()) << isa;
      }
    if (from == to) {
      Bytes both = in;
      cast(n, both.data(), both.data(), nullptr, nullptr);
      EXPECT_EQ(first_difference(p.to, n, both.data(), want.data()), -1) << isa << ", in place";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Pairs, Cast, testing::ValuesIn(pairs()), pair_name);

TEST(CastTable, NothingForEqualDtypes) {
  for (const char *isa : isas())
    for (mars_dtype dt : dtypes()) EXPECT_EQ(loops_cast(isa, dt, dt), nullptr);
}

// All halves, NaN payloads included, are the same bits from the vector instructions and the portable code.
TEST(Half, EveryBitPatternIsTheSameOnEveryInstructionSet) {
  for (mars_dtype half : {MARS_F16, MARS_BF16}) {
    std::vector<uint16_t> in(65536);
    for (int i = 0; i < 65536; i++) in[(size_t)i] = (uint16_t)i;
    std::vector<uint32_t> want(65536), got(65536);
    loops_cast("baseline", half, MARS_F32)(65536, want.data(), in.data(), nullptr, nullptr);
    for (const char *isa : isas()) {
      loops_cast(isa, half, MARS_F32)(65536, got.data(), in.data(), nullptr, nullptr);
      EXPECT_EQ(got, want) << isa;
      std::vector<uint16_t> back(65536);
      loops_cast(isa, MARS_F32, half)(65536, back.data(), got.data(), nullptr, nullptr);
      for (int i = 0; i < 65536; i++) {
        bool quieted = std::isnan(oracle::load(half, &in[(size_t)i]).re);
        ASSERT_EQ(back[(size_t)i], quieted ? in[(size_t)i] | (half == MARS_F16 ? 0x200 : 0x40) : in[(size_t)i]) << isa;
      }
    }
  }
}

TEST(Half, SinglesRoundTheSameOnEveryInstructionSet) {
  std::mt19937_64 random(11);
  std::vector<uint32_t> in(100003);
  for (uint32_t &u : in) u = (uint32_t)random();
  int64_t n = (int64_t)in.size();
  for (mars_dtype half : {MARS_F16, MARS_BF16}) {
    std::vector<uint16_t> want(in.size()), got(in.size());
    std::vector<float> wide(in.size()), rounded(in.size());
    loops_cast("baseline", MARS_F32, half)(n, want.data(), in.data(), nullptr, nullptr);
    for (const char *isa : isas()) {
      loops_cast(isa, MARS_F32, half)(n, got.data(), in.data(), nullptr, nullptr);
      EXPECT_EQ(got, want) << isa;
      loops_cast(isa, half, MARS_F32)(n, wide.data(), got.data(), nullptr, nullptr);
      loops_round(isa, half)(n, rounded.data(), in.data(), nullptr, nullptr);
      EXPECT_EQ(std::memcmp(wide.data(), rounded.data(), in.size() * 4), 0) << isa;
      std::vector<uint32_t> both = in;
      loops_round(isa, half)(n, both.data(), both.data(), nullptr, nullptr);
      EXPECT_EQ(std::memcmp(wide.data(), both.data(), in.size() * 4), 0) << isa << ", in place";
    }
  }
}

TEST(Iota, CountsAndWraps) {
  for (const char *isa : isas())
    for (int64_t n : {0, 1, 7, 64, 129}) {
      Block out(MARS_I64, n);
      loops_iota(isa, INT64_MAX - 5, 3, n, (int64_t *)out.data());
      for (int64_t i = 0; i < n; i++) {
        int64_t v;
        std::memcpy(&v, out.data() + i * 8, 8);
        ASSERT_EQ((uint64_t)v, (uint64_t)INT64_MAX - 5 + 3 * (uint64_t)i) << isa;
      }
      EXPECT_TRUE(out.guards_intact()) << isa;
    }
}

TEST(StreamCopy, CopiesAnyAlignmentAndLength) {
  std::mt19937 random(3);
  Bytes src(70000), dst(70000);
  for (unsigned char &c : src) c = (unsigned char)random();
  for (const char *isa : isas())
    for (size_t bytes : {0, 1, 63, 64, 255, 256, 257, 4096, 5000, 65536 + 3})
      for (size_t to : {0, 1, 8, 63})
        for (size_t from : {0, 3, 64}) {
          std::fill(dst.begin(), dst.end(), 0xA5);
          loops_stream_copy(isa, dst.data() + 64 + to, src.data() + from, bytes);
          ASSERT_EQ(std::memcmp(dst.data() + 64 + to, src.data() + from, bytes), 0) << isa << ", " << bytes << " bytes";
          ASSERT_EQ(dst[63 + to], 0xA5) << isa;
          ASSERT_EQ(dst[64 + to + bytes], 0xA5) << isa;
        }
}

} // namespace
