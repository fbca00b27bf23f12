// Random numbers through the API: the published Philox vectors, the documented streams, the same values for
// any chunking, budget, thread count and slicing, and a chi-square and a serial-correlation test per
// distribution.
#include "tests/api_util.h"

using namespace api;

namespace {

TEST(Philox, KnownAnswers) { // Random123, kat_vectors, philox4x32 with 10 rounds
  struct {
    uint32_t counter[4], key[2], want[4];
  } rows[] = {{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
              {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
               {0xffffffff, 0xffffffff},
               {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
              {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
               {0xa4093822, 0x299f31d0},
               {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
  for (auto &r : rows) {
    uint32_t out[4];
    oracle::philox4x32_10(r.counter, r.key, out);
    for (int i = 0; i < 4; i++)
      EXPECT_EQ(out[i], r.want[i]);
  }
}

// Every distribution, by name; each call takes the next stream of the session.
struct Distribution {
  const char *name;
  mars_dtype dt;
  mars_tensor *(*make)(mars_session *, mars_shape);
  double (*cdf)(double); // continuous ones; NULL: `values` equally likely values from `low` on
  int64_t low, values;
};

void PrintTo(const Distribution &d, std::ostream *out) {
  *out << d.name;
}

const Distribution kDistributions[] = {
    {"uniform_f64", MARS_F64,
     [](mars_session *s, mars_shape n) { return mars_random_uniform(s, MARS_F64, n, -1, 3); },
     [](double x) { return std::min(std::max((x + 1) / 4, 0.0), 1.0); }, 0, 0},
    {"uniform_f32", MARS_F32,
     [](mars_session *s, mars_shape n) { return mars_random_uniform(s, MARS_F32, n, 0, 1); },
     [](double x) { return std::min(std::max(x, 0.0), 1.0); }, 0, 0},
    {"standard_normal_f64", MARS_F64,
     [](mars_session *s, mars_shape n) { return mars_random_standard_normal(s, MARS_F64, n); },
     [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }, 0, 0},
    {"standard_normal_f32", MARS_F32,
     [](mars_session *s, mars_shape n) { return mars_random_standard_normal(s, MARS_F32, n); },
     [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }, 0, 0},
    {"normal_f64", MARS_F64,
     [](mars_session *s, mars_shape n) { return mars_random_normal(s, MARS_F64, n, 5, 2); },
     [](double x) { return std::erfc(-(x - 5) / 2 / std::sqrt(2.0)) / 2; }, 0, 0},
    {"exponential_f64", MARS_F64,
     [](mars_session *s, mars_shape n) { return mars_random_exponential(s, MARS_F64, n, 2); },
     [](double x) { return x < 0 ? 0 : -std::expm1(-x / 2); }, 0, 0},
    {"exponential_f32", MARS_F32,
     [](mars_session *s, mars_shape n) { return mars_random_exponential(s, MARS_F32, n, 1); },
     [](double x) { return x < 0 ? 0 : -std::expm1(-x); }, 0, 0},
    {"integers_i64", MARS_I64,
     [](mars_session *s, mars_shape n) { return mars_random_integers(s, MARS_I64, n, -30, 70); }, nullptr,
     -30, 100},
    {"integers_u8", MARS_U8,
     [](mars_session *s, mars_shape n) { return mars_random_integers(s, MARS_U8, n, 0, 256); }, nullptr, 0,
     256},
    {"integers_i16", MARS_I16,
     [](mars_session *s, mars_shape n) { return mars_random_integers(s, MARS_I16, n, 7, 14); }, nullptr, 7,
     7},
    {"bernoulli", MARS_BOOL, [](mars_session *s, mars_shape n) { return mars_random_bernoulli(s, n, 0.5); },
     nullptr, 0, 2},
};

class Random : public testing::TestWithParam<Distribution> {};
std::string case_name(const testing::TestParamInfo<Distribution> &info) {
  return info.param.name;
}

double value(const Array &a, int64_t i) {
  oracle::Num n = a.get(i);
  return n.kind == 'f' ? (double)n.re : (double)n.i;
}

TEST_P(Random, SameStreamInEveryConfiguration) {
  const Distribution &d = GetParam();
  Array want;
  std::vector<Config> configs = covering_configs(41);
  if (on_gpus())
    configs.insert(configs.begin(), host_config());
  for (const Config &config : configs) {
    mars_session *s = shared_session(config);
    Scope scope(s);
    mars_random_seed(s, 99);
    mars_tensor *t = d.make(s, MARS_SHAPE(53, 41));
    EXPECT_EQ(mars_dtype_of(t), d.dt);
    mars_slice items[] = {{MARS_SLICE_RANGE, 5, 100, 3}},
               back[] = {{MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, -2}};
    mars_tensor *part = mars_index(mars_ravel(t), items, 1); // before and apart from the whole
    Array some = fetched(part);
    Array all = fetched(t);
    if (want.bytes.empty())
      want = all;
    EXPECT_TRUE(same_bits(all, want)) << name_of(config);
    ASSERT_EQ(some.size(), 32);
    for (int64_t i = 0; i < 32; i++)
      EXPECT_EQ(value(some, i), value(want, 5 + 3 * i)) << name_of(config) << ", " << i;
    Array reversed = fetched(mars_index(mars_transpose(t), back, 1));
    for (int64_t i = 0; i < reversed.size(); i++) {
      int64_t col = 40 - 2 * (i / 53), r = i % 53;
      ASSERT_EQ(value(reversed, i), value(want, r * 41 + col)) << name_of(config);
    }
    // the seed starts the streams again; the next stream is another one
    Array other = fetched(d.make(s, MARS_SHAPE(53, 41)));
    EXPECT_FALSE(same_bits(other, want));
    mars_random_seed(s, 99);
    EXPECT_TRUE(same_bits(fetched(d.make(s, MARS_SHAPE(53, 41))), want));
    mars_random_seed(s, 100);
    EXPECT_FALSE(same_bits(fetched(d.make(s, MARS_SHAPE(53, 41))), want));
  }
}

// Chi-square over equally likely cells: z is about standard normal when the distribution is right.
TEST_P(Random, ChiSquare) {
  const Distribution &d = GetParam();
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_random_seed(s, 2024);
  const int64_t n = quick() ? 100000 : 1000000;
  Array a = fetched(d.make(s, MARS_SHAPE(n)));
  int64_t cells = d.cdf ? 256 : d.values;
  std::vector<double> count((size_t)cells, 0);
  for (int64_t i = 0; i < n; i++) {
    double x = value(a, i);
    int64_t cell = d.cdf ? std::min((int64_t)(d.cdf(x) * (double)cells), cells - 1) : (int64_t)x - d.low;
    ASSERT_TRUE(cell >= 0 && cell < cells) << x;
    count[(size_t)cell]++;
  }
  double expected = (double)n / (double)cells, chi2 = 0;
  for (double c : count)
    chi2 += (c - expected) * (c - expected) / expected;
  double z = (chi2 - (double)(cells - 1)) / std::sqrt(2.0 * (double)(cells - 1));
  EXPECT_LT(std::fabs(z), 5) << "chi-square " << chi2 << " with " << cells - 1 << " degrees of freedom";
}

// Correlation of neighbours at distances that a block cipher could tie together.
TEST_P(Random, SerialCorrelation) {
  const Distribution &d = GetParam();
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_random_seed(s, 77);
  const int64_t n = quick() ? 50000 : 400000;
  Array a = fetched(d.make(s, MARS_SHAPE(n)));
  double mean = 0, var = 0;
  for (int64_t i = 0; i < n; i++)
    mean += value(a, i);
  mean /= (double)n;
  for (int64_t i = 0; i < n; i++)
    var += (value(a, i) - mean) * (value(a, i) - mean);
  for (int64_t lag : {1, 2, 3, 4, 8, 64, 4096}) {
    double c = 0;
    for (int64_t i = 0; i + lag < n; i++)
      c += (value(a, i) - mean) * (value(a, i + lag) - mean);
    EXPECT_LT(std::fabs(c / var) * std::sqrt((double)n), 5) << "lag " << lag;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Random, testing::ValuesIn(kDistributions), case_name);

// The documented construction, bit by bit.
TEST(RandomStreams, AreTheDocumentedPhiloxStreams) {
  Session s;
  Scope scope(s);
  mars_random_seed(s, 0x123456789abcdef0u);
  Array u = fetched(mars_random_uniform(s, MARS_F64, MARS_SHAPE(1001), 0, 1));
  Array f = fetched(mars_random_uniform(s, MARS_F32, MARS_SHAPE(1001), 0, 1));
  Array k = fetched(mars_random_integers(s, MARS_I64, MARS_SHAPE(1001), -5, INT64_MAX));
  Array small = fetched(mars_random_integers(s, MARS_I32, MARS_SHAPE(1001), 0, 6));
  Array b = fetched(mars_random_bernoulli(s, MARS_SHAPE(1001), 0.3));
  Array e = fetched(mars_random_exponential(s, MARS_F64, MARS_SHAPE(1001), 1));
  Array g = fetched(mars_random_standard_normal(s, MARS_F64, MARS_SHAPE(1001)));
  const uint64_t seed = 0x123456789abcdef0u;
  for (uint64_t i = 0; i < 1001; i++) {
    ASSERT_EQ(value(u, (int64_t)i), oracle::uniform_f64(seed, 0, i)) << i;
    ASSERT_EQ((float)value(f, (int64_t)i), oracle::uniform_f32(seed, 1, i)) << i;
    ASSERT_EQ((int64_t)k.get((int64_t)i).i, oracle::integer(seed, 2, i, -5, (uint64_t)INT64_MAX + 5)) << i;
    ASSERT_EQ((int64_t)small.get((int64_t)i).i, oracle::integer(seed, 3, i, 0, 6)) << i;
    ASSERT_EQ((int)b.get((int64_t)i).i, oracle::uniform_f64(seed, 4, i) < 0.3) << i;
    double want = -std::log1p(-oracle::uniform_f64(seed, 5, i));
    ASSERT_NEAR(value(e, (int64_t)i), want, 4e-16 * std::fabs(want) * 4) << i;
    double u1 = oracle::uniform_f64(seed, 6, i & ~(uint64_t)1), u2 = oracle::uniform_f64(seed, 6, i | 1);
    double r = std::sqrt(-2 * std::log1p(-u1)), angle = 2 * M_PI * u2;
    ASSERT_NEAR(value(g, (int64_t)i), i % 2 ? r * std::sin(angle) : r * std::cos(angle), 1e-14) << i;
  }
}

// Far into a stream: element indexes above 32 bits are their own.
TEST(RandomStreams, LongStreamsDoNotRepeat) {
  Session s;
  Scope scope(s);
  mars_random_seed(s, 5);
  int64_t n = (int64_t)1 << 36;
  mars_tensor *t = mars_random_uniform(s, MARS_F64, MARS_SHAPE(n), 0, 1);
  for (int64_t start : {(int64_t)0, (int64_t)1 << 32, ((int64_t)1 << 33) + 2, n - 100}) {
    mars_slice items[] = {{MARS_SLICE_RANGE, start, start + 100, 1}};
    Array a = fetched(mars_index(t, items, 1));
    ASSERT_EQ(a.size(), 100);
    for (int64_t i = 0; i < 100; i++)
      ASSERT_EQ(value(a, i), oracle::uniform_f64(5, 0, (uint64_t)(start + i)));
  }
}

TEST(RandomStreams, EdgesOfTheRanges) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_random_seed(s, 1);
  // high is never reached, even where rounding would reach it
  Array a = fetched(mars_max(
      mars_random_uniform(s, MARS_F32, MARS_SHAPE(1000000), 1, std::nextafter(1.0f, 2.0f)), MARS_ALL));
  EXPECT_EQ(value(a, 0), 1);
  EXPECT_EQ(fetched(mars_random_uniform(s, MARS_F64, MARS_SHAPE(0, 3), 0, 1)).size(), 0);
  EXPECT_EQ(fetched(mars_random_bernoulli(s, MARS_SHAPE_0D, 1)).get(0).i, 1);
  EXPECT_EQ((int)fetched(mars_any(mars_random_bernoulli(s, MARS_SHAPE(1000), 0), MARS_ALL)).get(0).i, 0);
  Array i = fetched(mars_random_integers(s, MARS_I8, MARS_SHAPE(2000), -128, 128));
  std::vector<int> seen(256, 0);
  for (int64_t k = 0; k < 2000; k++)
    seen[(size_t)(i.get(k).i + 128)] = 1;
  EXPECT_GT(std::count(seen.begin(), seen.end(), 1), 250);
}

} // namespace
