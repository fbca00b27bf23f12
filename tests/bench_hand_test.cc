// The hand-written competitors of mars-bench compute what they should, in every instruction set of this CPU.
#include "bench/hand/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

namespace {

template <class T> struct Aligned {
  explicit Aligned(int64_t n)
      : data((T *)std::aligned_alloc(64, ((size_t)n * sizeof(T) + 127) & ~(size_t)63)), n(n) {}
  ~Aligned() { std::free(data); }
  Aligned(const Aligned &) = delete;
  T &operator[](int64_t i) { return data[i]; }
  T *data;
  int64_t n;
};

void fill(Aligned<double> &x, int k) {
  for (int64_t i = 0; i < x.n; i++)
    x[i] = hand_philox_at(3, (uint64_t)k, (uint64_t)i);
}

hand_kernels baseline() {
  hand_kernels k = {};
  k.isa = "baseline";
  hand_fill_memory_baseline(&k);
  hand_fill_random_baseline(&k);
  hand_fill_reduce_baseline(&k);
  hand_fill_chain_f64_baseline(&k);
  hand_fill_chain_f32_baseline(&k);
  return k;
}

std::vector<hand_kernels> tables() {
  std::vector<hand_kernels> all = {baseline()};
#if defined(__x86_64__)
#define TABLE(isa_name)                                                                                      \
  do {                                                                                                       \
    hand_kernels k = {};                                                                                     \
    k.isa = #isa_name;                                                                                       \
    hand_fill_memory_##isa_name(&k);                                                                         \
    hand_fill_random_##isa_name(&k);                                                                         \
    hand_fill_reduce_##isa_name(&k);                                                                         \
    hand_fill_chain_f64_##isa_name(&k);                                                                      \
    hand_fill_chain_f32_##isa_name(&k);                                                                      \
    all.push_back(k);                                                                                        \
  } while (0)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    TABLE(avx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
    TABLE(avx512);
#endif
  return all;
}

class Hand : public testing::TestWithParam<hand_kernels> {};

// Published known answer of Philox 4x32-10: counter 0, key 0 gives 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
TEST(HandPhilox, KnownAnswer) {
  EXPECT_EQ(hand_philox_at(0, 0, 0), (double)(0xe169c58d6627e8d5u >> 11) * 0x1p-53);
  EXPECT_EQ(hand_philox_at(0, 0, 1), (double)(0x9b00dbd8bc57ac4cu >> 11) * 0x1p-53);
}

TEST_P(Hand, PhiloxSumsTheDefinedStream) {
  const uint64_t first = (uint64_t{1} << 32) - 40; // the block number crosses 32 bits
  double want = 0;
  for (uint64_t e = 0; e < 128; e++)
    want += hand_philox_at(77, 5, 2 * first + e);
  EXPECT_NEAR(GetParam().philox(77, 5, first, 64), want, 1e-12);
}

TEST_P(Hand, UniformIsTheDefinedStream) {
  const uint64_t block = (uint64_t{1} << 32) - 40;
  double out[2 * 64 + 1];
  out[128] = -1;
  GetParam().uniform(77, 5, block, 64, out);
  for (uint64_t e = 0; e < 128; e++)
    ASSERT_EQ(out[e], hand_philox_at(77, 5, 2 * block + e)) << e;
  EXPECT_EQ(out[128], -1);
}

TEST(HandPhilox, UniformOfAnyRange) {
  for (uint64_t first : {0, 1, 2, 63, 1001})
    for (int64_t n : {0, 1, 2, 63, 64, 65, 128, 131, 200}) {
      std::vector<double> out((size_t)n + 2, -1);
      hand_uniform(3, 9, first, n, out.data() + 1);
      for (int64_t i = 0; i < n; i++)
        ASSERT_EQ(out[(size_t)i + 1], hand_philox_at(3, 9, first + (uint64_t)i)) << first << " " << i;
      ASSERT_EQ(out[0], -1);
      ASSERT_EQ(out[(size_t)n + 1], -1) << first << " " << n;
    }
}

TEST_P(Hand, PiCountsThePointsOfTheDefinition) {
  int64_t want = 0;
  for (uint64_t e = 0; e < 2 * 320; e++) {
    const double x = hand_philox_at(9, 4, e), y = hand_philox_at(9, 8, e);
    want += x * x + y * y <= 1;
  }
  EXPECT_EQ(GetParam().pi(9, 4, 8, 0, 320), want);
}

TEST_P(Hand, MapsAndStreams) {
  const int64_t n = 640;
  Aligned<double> x(n), y(n), out(n);
  fill(x, 0);
  fill(y, 1);
  const hand_kernels &k = GetParam();
  double flops = 0;
  EXPECT_GT(k.fma(100, &flops), 0);
  EXPECT_GT(flops, 0);
  k.scale(out.data, x.data, n);
  for (int64_t i = 0; i < n; i++)
    ASSERT_EQ(out[i], x[i] * 2) << i;
  k.axpb(out.data, x.data, n);
  for (int64_t i = 0; i < n; i++)
    ASSERT_EQ(out[i], (x[i] + 1) * 2) << i;
  k.copy(out.data, x.data, n);
  k.axpb_in_place(out.data + 1, n - 3); // any alignment and count
  for (int64_t i = 1; i < n - 2; i++)
    ASSERT_EQ(out[i], (x[i] + 1) * 2) << i;
  EXPECT_EQ(out[0], x[0]);
  EXPECT_EQ(out[n - 2], x[n - 2]);
  k.copy_nt(out.data, y.data, n);
  for (int64_t i = 0; i < n; i++)
    ASSERT_EQ(out[i], y[i]) << i;
  k.triad(out.data, x.data, y.data, n);
  for (int64_t i = 0; i < n; i++)
    ASSERT_NEAR(out[i], x[i] + 3 * y[i], 1e-15) << i;
  k.write_nt(out.data, 4.5, n);
  for (int64_t i = 0; i < n; i++)
    ASSERT_EQ(out[i], 4.5) << i;
}

TEST_P(Hand, ReductionsOfAnyLength) {
  Aligned<double> x(5000);
  fill(x, 2);
  const hand_kernels &k = GetParam();
  for (int64_t n : {1, 2, 7, 8, 9, 31, 33, 64, 2047, 2048, 2049, 5000}) {
    double sum = 0, m2 = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
      sum += x[i];
      if (x[i] > x[at])
        at = i;
    }
    for (int64_t i = 0; i < n; i++)
      m2 += (x[i] - sum / n) * (x[i] - sum / n);
    EXPECT_NEAR(k.read(x.data, n), sum, 1e-11) << n;
    const hand_moments m = k.moments(x.data, n);
    EXPECT_EQ(m.count, (double)n);
    EXPECT_NEAR(m.mean, sum / n, 1e-13) << n;
    EXPECT_NEAR(m.m2, m2, 1e-11) << n;
    EXPECT_EQ(k.top(x.data, n).index, at) << n;
  }
}

TEST_P(Hand, AddRows) {
  Aligned<double> x(7 * 21), acc(21);
  fill(x, 3);
  for (int64_t rows = 0; rows <= 7; rows++) {
    std::fill(acc.data, acc.data + 21, 0.5);
    GetParam().add_rows(acc.data, x.data, rows, 21, 21);
    for (int64_t j = 0; j < 21; j++) {
      double want = 0.5;
      for (int64_t r = 0; r < rows; r++)
        want += x[r * 21 + j];
      ASSERT_NEAR(acc[j], want, 1e-14) << rows << " rows, column " << j;
    }
  }
}

// The baseline's chains are libm's; bench_test holds the library's against another plain version.
TEST_P(Hand, ChainsAgreeWithTheBaseline) {
  const int64_t n = 256;
  const hand_kernels k = GetParam(), base = baseline();
  std::vector<Aligned<double> *> d;
  std::vector<Aligned<float> *> f;
  const double *in[4];
  const float *inf[4];
  for (int i = 0; i < 4; i++) {
    d.push_back(new Aligned<double>(n));
    f.push_back(new Aligned<float>(n));
    fill(*d[i], i);
    for (int64_t j = 0; j < n; j++)
      (*f[i])[j] = (float)(*d[i])[j];
    in[i] = d[i]->data;
    inf[i] = f[i]->data;
  }
  Aligned<double> got(n), want(n);
  for (int c = 0; c < HAND_CHAINS; c++) {
    k.chain_f64(c, got.data, in, n);
    base.chain_f64(c, want.data, in, n);
    for (int64_t i = 0; i < n; i++) {
      if (c == HAND_CHAINS - 1)
        ASSERT_EQ(((bool *)got.data)[i], ((bool *)want.data)[i]) << "chain " << c << " at " << i;
      else
        ASSERT_NEAR(got[i], want[i], 1e-14 * (1 + std::fabs(want[i]))) << "chain " << c << " at " << i;
    }
    k.chain_f32(c, got.data, inf, n);
    base.chain_f32(c, want.data, inf, n);
    for (int64_t i = 0; i < n && c < HAND_CHAINS - 1; i++)
      ASSERT_NEAR(((float *)got.data)[i], ((float *)want.data)[i], 4e-6) << "f32 chain " << c << " at " << i;
  }
  for (int i = 0; i < 4; i++) {
    delete d[i];
    delete f[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Hand, testing::ValuesIn(tables()),
                         [](const testing::TestParamInfo<hand_kernels> &i) {
                           return std::string(i.param.isa);
                         });

TEST(HandDrivers, AnyThreadCount) {
  const int64_t rows = 37, cols = 101, n = rows * cols;
  Aligned<double> x(n), out(n), a0(cols), a1(rows);
  fill(x, 0);
  const double sum = std::accumulate(x.data, x.data + n, 0.0);
  for (int threads : {1, 2, 3, 8}) {
    EXPECT_NEAR(hand_read(x.data, n, threads), sum, 1e-10);
    EXPECT_EQ(x[hand_argmax(x.data, n, threads).index], *std::max_element(x.data, x.data + n));
    hand_map_run(HAND_AXPB, out.data, x.data, n, threads);
    for (int64_t i = 0; i < n; i++)
      ASSERT_EQ(out[i], (x[i] + 1) * 2) << i;
    hand_sum_axis0(a0.data, x.data, rows, cols, threads);
    hand_sum_axis1(a1.data, x.data, rows, cols, threads);
    EXPECT_NEAR(std::accumulate(a0.data, a0.data + cols, 0.0), sum, 1e-10);
    EXPECT_NEAR(std::accumulate(a1.data, a1.data + rows, 0.0), sum, 1e-10);
    EXPECT_NEAR(a1[5], std::accumulate(x.data + 5 * cols, x.data + 6 * cols, 0.0), 1e-12);
  }
  for (int64_t count : {0, 1, 63, 64, 65, 1000}) {
    int64_t want = 0;
    double total = 0;
    for (int64_t e = 0; e < count; e++) {
      const double u = hand_philox_at(1, 0, (uint64_t)e), v = hand_philox_at(1, 1, (uint64_t)e);
      want += u * u + v * v <= 1;
      total += u;
    }
    EXPECT_EQ(hand_pi_count(1, 0, 1, count, 2), want) << count;
    EXPECT_NEAR(hand_philox_sum(1, 0, count, 2), total, 1e-11) << count;
  }
}

} // namespace
