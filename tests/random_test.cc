// Random fills of host/loops.h: the published Philox vectors, the definition at mx_random in engine/program.h against the
// oracle, independence of chunk, start, step and instruction set, bounds, and the statistics of every distribution.
#include "tests/loops_util.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>

using namespace loops;

namespace {

loops_random stream(loops_distribution op, mars_dtype dt) {
  loops_random r = {};
  r.op = op;
  r.dtype = dt;
  r.seed = 0x9876543210fedcbaull;
  r.stream = 0x00c0ffee12345678ull;
  r.p1 = 1;
  return r;
}

template <class T> std::vector<T> filled(const char *isa, const loops_random &r, uint64_t index, int64_t step, int64_t n) {
  std::vector<T> out((size_t)n);
  loops_fill(isa, &r, index, step, n, out.data());
  return out;
}

TEST(Philox, KnownAnswers) { // Random123, kat_vectors, philox4x32 with 10 rounds
  struct {
    uint32_t counter[4], key[2], want[4];
  } rows[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
  for (auto &row : rows) {
    uint32_t out[4];
    oracle::philox4x32_10(row.counter, row.key, out);
    for (int i = 0; i < 4; i++) EXPECT_EQ(out[i], row.want[i]);
  }
  // The first row through the library: seed 0, stream 0, block 0, all 2^64 integers.
  loops_random r = stream(LOOPS_INTEGERS, MARS_U64);
  r.seed = r.stream = 0;
  for (const char *isa : isas())
    EXPECT_EQ(filled<uint64_t>(isa, r, 0, 1, 2), (std::vector<uint64_t>{0xe169c58d6627e8d5, 0x9b00dbd8bc57ac4c})) << isa;
}

// Starts in the middle of a block, across the carry of the low counter word, and around the ends of 64 bits.
const uint64_t kStarts[] = {0, 1, 2, 3, 5, 12345, (1ull << 33) - 40, (1ull << 33) - 3, (1ull << 34) - 65, 1ull << 40,
                            (1ull << 63) - 50, ~0ull - 30};
const int64_t kSteps[] = {1, 0, 2, 3, -1, -7, 1000003, (int64_t)1 << 33};

TEST(Definition, Uniform) {
  loops_random r = stream(LOOPS_UNIFORM, MARS_F64), s = stream(LOOPS_UNIFORM, MARS_F32);
  for (const char *isa : isas())
    for (uint64_t start : kStarts)
      for (int64_t step : kSteps) {
        std::vector<double> x = filled<double>(isa, r, start, step, 131);
        std::vector<float> y = filled<float>(isa, s, start, step, 131);
        for (uint64_t k = 0; k < x.size(); k++) {
          uint64_t e = start + k * (uint64_t)step;
          ASSERT_EQ(x[k], oracle::uniform_f64(r.seed, r.stream, e)) << isa << ", element " << e;
          ASSERT_EQ(y[k], oracle::uniform_f32(s.seed, s.stream, e)) << isa << ", element " << e;
        }
      }
}

TEST(Definition, UniformScaled) {
  loops_random r = stream(LOOPS_UNIFORM, MARS_F64), s = stream(LOOPS_UNIFORM, MARS_F32);
  r.p0 = s.p0 = -3.25;
  r.p1 = s.p1 = 11.1;
  for (const char *isa : isas())
    for (int64_t step : {1, 5}) {
      std::vector<double> x = filled<double>(isa, r, 77, step, 500);
      std::vector<float> y = filled<float>(isa, s, 77, step, 500);
      for (uint64_t k = 0; k < x.size(); k++) {
        double u = oracle::uniform_f64(r.seed, r.stream, 77 + k * (uint64_t)step);
        float v = oracle::uniform_f32(s.seed, s.stream, 77 + k * (uint64_t)step);
        volatile double p = u * (11.1 + 3.25); // rounded before it is added
        volatile float q = v * (11.1f + 3.25f);
        ASSERT_EQ(x[k], -3.25 + p) << isa;
        ASSERT_EQ(y[k], -3.25f + q) << isa;
      }
    }
}

TEST(Definition, Integers) {
  for (uint64_t range : {1ull, 2ull, 3ull, 1000ull, (1ull << 31) + 1, (1ull << 32) - 1, 1ull << 32, 3ull << 40, (1ull << 63) + 1,
                         3ull << 62, ~0ull, 0ull})
    for (mars_dtype dt : {MARS_I64, MARS_U32, MARS_I16, MARS_U8}) {
      loops_random r = stream(LOOPS_INTEGERS, dt);
      r.low = -17;
      r.range = range;
      for (const char *isa : isas())
        for (int64_t step : {1, -3}) {
          Bytes got(400 * mars_dtype_bytes(dt));
          loops_fill(isa, &r, 1001, step, 400, got.data());
          for (uint64_t k = 0; k < 400; k++) {
            int64_t want = oracle::integer(r.seed, r.stream, 1001 + k * (uint64_t)step, r.low, range);
            ASSERT_EQ((int64_t)oracle::load(dt, &got[k * mars_dtype_bytes(dt)]).i, (int64_t)oracle::wrap(dt, want))
                << isa << ", range " << range << ", " << k;
          }
        }
    }
}

TEST(Definition, Bernoulli) {
  loops_random r = stream(LOOPS_BERNOULLI, MARS_BOOL);
  for (double p : {0.0, 1e-3, 0.3, 0.5, 1.0, oracle::uniform_f64(r.seed, r.stream, 40)})
    for (const char *isa : isas())
      for (int64_t step : {1, 2}) {
        r.p0 = p;
        std::vector<unsigned char> x = filled<unsigned char>(isa, r, 3, step, 700);
        for (uint64_t k = 0; k < x.size(); k++)
          ASSERT_EQ(x[k], oracle::uniform_f64(r.seed, r.stream, 3 + k * (uint64_t)step) < p) << isa << ", p = " << p;
      }
}

const long double kPi = 3.14159265358979323846264338327950288L;

// Box-Muller and the exponential's logarithm in long double. Errors in units of the last place of the radius.
template <class T> void check_logarithmic(mars_dtype dt, std::function<long double(uint64_t)> uniform) {
  loops_random normal = stream(LOOPS_NORMAL, dt), exponential = stream(LOOPS_EXPONENTIAL, dt);
  for (const char *isa : isas())
    for (uint64_t start : {0ull, 1ull, 1ull << 33})
      for (int64_t step : {1, 3}) {
        std::vector<T> x = filled<T>(isa, normal, start, step, 900), y = filled<T>(isa, exponential, start, step, 900);
        ASSERT_EQ(std::memcmp(x.data(), filled<T>(isas()[0], normal, start, step, 900).data(), 900 * sizeof(T)), 0) << isa;
        ASSERT_EQ(std::memcmp(y.data(), filled<T>(isas()[0], exponential, start, step, 900).data(), 900 * sizeof(T)), 0) << isa;
        for (uint64_t k = 0; k < x.size(); k++) {
          uint64_t e = start + k * (uint64_t)step;
          long double u1 = uniform(e & ~1ull), u2 = uniform(e | 1), radius = std::sqrt(-2 * std::log1p(-u1));
          long double want = radius * (e & 1 ? std::sin(2 * kPi * u2) : std::cos(2 * kPi * u2));
          ASSERT_LE(std::fabs(x[k] - want), 8 * oracle::ulp_at(dt, radius)) << isa << ", element " << e;
          long double log = -std::log1p(-uniform(e));
          ASSERT_LE(std::fabs(y[k] - log), 2 * oracle::ulp_at(dt, log)) << isa << ", element " << e;
        }
      }
}
TEST(Definition, NormalAndExponential) {
  loops_random r = stream(LOOPS_NORMAL, MARS_F64);
  check_logarithmic<double>(MARS_F64, [&](uint64_t e) { return oracle::uniform_f64(r.seed, r.stream, e); });
  check_logarithmic<float>(MARS_F32, [&](uint64_t e) { return oracle::uniform_f32(r.seed, r.stream, e); });
}

TEST(Bounds, UniformNeverReachesHigh) {
  struct {
    double low, high;
  } rows[] = {{1, std::nextafter(1.0, 2.0)}, {1, 1 + 0x1p-50}, {-0x1p-1000, 0x1p-1000}, {-5, -4}, {1e16, 1e16 + 2}, {3, 3}};
  for (auto &row : rows)
    for (mars_dtype dt : {MARS_F64, MARS_F32})
      for (const char *isa : isas())
        for (int64_t step : {1, 2}) {
          loops_random r = stream(LOOPS_UNIFORM, dt);
          r.p0 = row.low;
          r.p1 = row.high;
          Bytes got(20000 * mars_dtype_bytes(dt));
          loops_fill(isa, &r, 0, step, 20000, got.data());
          bool f32 = dt == MARS_F32;
          long double low = f32 ? (float)row.low : row.low, high = f32 ? (float)row.high : row.high;
          for (size_t k = 0; k < 20000; k++) {
            long double v = oracle::load(dt, &got[k * mars_dtype_bytes(dt)]).re;
            ASSERT_GE(v, low) << isa;
            ASSERT_TRUE(v < high || high == low) << isa;
          }
        }
}

// ---- every distribution ---------------------------------------------------------------------------------

struct Distribution {
  const char *name;
  loops_random random;
  double mean, variance;
  std::function<double(double)> cdf; // continuous ones
};

std::vector<Distribution> distributions() {
  auto normal = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  auto exponential = [](double x) { return -std::expm1(-x); };
  std::vector<Distribution> out = {
      {"uniform_f64", stream(LOOPS_UNIFORM, MARS_F64), 0.5, 1 / 12., [](double x) { return x; }},
      {"uniform_f32", stream(LOOPS_UNIFORM, MARS_F32), 0.5, 1 / 12., [](double x) { return x; }},
      {"normal_f64", stream(LOOPS_NORMAL, MARS_F64), 0, 1, normal},
      {"normal_f32", stream(LOOPS_NORMAL, MARS_F32), 0, 1, normal},
      {"exponential_f64", stream(LOOPS_EXPONENTIAL, MARS_F64), 1, 1, exponential},
      {"exponential_f32", stream(LOOPS_EXPONENTIAL, MARS_F32), 1, 1, exponential},
      {"integers_i32", stream(LOOPS_INTEGERS, MARS_I32), -3.5, (100. * 100 - 1) / 12, nullptr},
      {"integers_u8", stream(LOOPS_INTEGERS, MARS_U8), 99, (199. * 199 - 1) / 12, nullptr},
      {"bernoulli", stream(LOOPS_BERNOULLI, MARS_BOOL), 0.3, 0.3 * 0.7, nullptr},
  };
  out[6].random.low = -53;
  out[6].random.range = 100;
  out[7].random.range = 199;
  out[8].random.p0 = 0.3;
  return out;
}

class Each : public testing::TestWithParam<Distribution> {};

TEST_P(Each, SameValuesForAnyChunkStartAndStep) {
  const loops_random &r = GetParam().random;
  size_t size = mars_dtype_bytes(r.dtype);
  const int64_t total = 5000;
  std::mt19937_64 random(9);
  for (const char *isa : isas()) {
    Bytes whole((size_t)total * size);
    loops_fill(isa, &r, 1000, 1, total, whole.data());
    for (int trial = 0; trial < 400; trial++) {
      int64_t step = trial % 3 ? 1 : (int64_t)(random() % 9) - 4;
      int64_t n = (int64_t)(random() % (trial % 5 ? 40 : 1100)), start = (int64_t)(random() % total);
      int64_t last = start + (n - 1) * step;
      if (n > 0 && (last < 0 || last >= total)) continue;
      Block out(r.dtype, n);
      loops_fill(isa, &r, 1000 + (uint64_t)start, step, n, out.data());
      for (int64_t k = 0; k < n; k++)
        ASSERT_TRUE(same(r.dtype, out.data() + k * (int64_t)size, &whole[(size_t)(start + k * step) * size]))
            << isa << ", start " << start << ", step " << step << ", element " << k << " of " << n;
      ASSERT_TRUE(out.guards_intact()) << isa;
    }
  }
}

TEST_P(Each, StreamsAndSeedsDiffer) {
  loops_random r = GetParam().random;
  auto bytes = [&] {
    Bytes out(256 * mars_dtype_bytes(r.dtype));
    loops_fill(nullptr, &r, 0, 1, 256, out.data());
    return out;
  };
  Bytes base = bytes();
  for (int bit = 0; bit < 64; bit += 5) {
    r.seed ^= 1ull << bit;
    EXPECT_NE(bytes(), base) << "seed bit " << bit;
    r.seed = GetParam().random.seed;
  }
  for (int bit = 0; bit < 56; bit += 5) {
    r.stream ^= 1ull << bit;
    EXPECT_NE(bytes(), base) << "stream bit " << bit;
    r.stream = GetParam().random.stream;
  }
}

// Mean, variance, correlation with the next elements, and 256 cells of equal probability. The streams are fixed, so this
// cannot fail by chance; the limits are those of a test at about 1e-6.
TEST_P(Each, Statistics) {
  const Distribution &d = GetParam();
  const size_t n = 1 << 19;
  size_t size = mars_dtype_bytes(d.random.dtype);
  for (const char *isa : isas()) {
    Bytes raw(n * size);
    loops_fill(isa, &d.random, 1, 1, (int64_t)n, raw.data());
    std::vector<double> x(n);
    for (size_t i = 0; i < n; i++) {
      oracle::Num v = oracle::load(d.random.dtype, &raw[i * size]);
      x[i] = v.kind == 'f' ? (double)v.re : (double)v.i;
    }
    double sigma = std::sqrt(d.variance), sum = 0, square = 0, fourth = 0;
    for (double v : x) sum += v - d.mean, square += (v - d.mean) * (v - d.mean), fourth += std::pow(v - d.mean, 4);
    EXPECT_LT(std::fabs(sum / n), 5 * sigma / std::sqrt(n)) << isa;
    double spread = std::sqrt((fourth / n - d.variance * d.variance) / n);
    EXPECT_LT(std::fabs(square / n - d.variance), 5 * spread) << isa;
    for (size_t lag : {1, 2, 3, 4, 8, 16}) {
      double product = 0;
      for (size_t i = 0; i + lag < n; i++) product += (x[i] - d.mean) * (x[i + lag] - d.mean);
      EXPECT_LT(std::fabs(product / n / d.variance), 5 / std::sqrt(n)) << isa << ", lag " << lag;
    }
    std::vector<double> cells(256);
    size_t used = 256;
    if (d.cdf)
      for (double v : x) cells[std::min<size_t>(255, (size_t)(d.cdf(v) * 256))]++;
    else if (d.random.op == LOOPS_INTEGERS) {
      used = d.random.range;
      for (double v : x) cells.at((size_t)(v - (double)d.random.low))++;
    } else {
      continue; // two values: the mean says all
    }
    double chi = 0, want = (double)n / used;
    for (size_t k = 0; k < used; k++) chi += (cells[k] - want) * (cells[k] - want) / want;
    EXPECT_LT(std::fabs(chi - (used - 1)), 5 * std::sqrt(2.0 * (used - 1))) << isa;
  }
}

INSTANTIATE_TEST_SUITE_P(Distributions, Each, testing::ValuesIn(distributions()),
                         [](const testing::TestParamInfo<Distribution> &info) { return std::string(info.param.name); });

} // namespace
