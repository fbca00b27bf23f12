/* Whole CUDA C programs through the real NVRTC; plain C++ computes the same. */
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <thread>

#include "ptx_test_util.h"

namespace {

class Program : public testing::TestWithParam<const char *> {
protected:
  /* false: skipped, or failed */
  bool compile(const std::string &source) {
    std::string why, ptx = nvrtc_compile(source, &why, GetParam());
    if (ptx.empty() && why.compare(0, 5, "error") != 0) {
      skip = why;
      return false;
    }
    EXPECT_FALSE(ptx.empty()) << why;
    return !ptx.empty() && dev.load(ptx);
  }
  Device dev;
  std::string skip;
};

#define COMPILE(source)                                                                                      \
  if (!compile(source)) {                                                                                    \
    if (!skip.empty())                                                                                       \
      GTEST_SKIP() << skip;                                                                                  \
    FAIL() << "it does not compile";                                                                         \
  }

/* ---- random numbers
 * ---------------------------------------------------------------------------------------------- */

void philox(const uint32_t *counter, const uint32_t *key, uint32_t *out) {
  uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = 0xD2511F53ull * c[0], p1 = 0xCD9E8D57ull * c[2];
    uint32_t next[4] = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
                        static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    std::copy(next, next + 4, c);
    k[0] += 0x9E3779B9, k[1] += 0xBB67AE85;
  }
  std::copy(c, c + 4, out);
}

TEST_P(Program, PhiloxKnownAnswers) {
  COMPILE(R"(extern "C" __global__ void k(uint4 *out, const uint4 *counter, const uint2 *key, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    uint4 c = counter[i]; uint2 q = key[i];
    for (int r = 0; r < 10; r++) {
      unsigned h0 = __umulhi(0xD2511F53u, c.x), l0 = 0xD2511F53u * c.x, h1 = __umulhi(0xCD9E8D57u, c.z), l1 = 0xCD9E8D57u * c.z;
      c = make_uint4(h1 ^ c.y ^ q.x, l1, h0 ^ c.w ^ q.y, l0);
      q.x += 0x9E3779B9u; q.y += 0xBB67AE85u;
    }
    out[i] = c;
  })");
  // the published vectors of Random123, then others
  std::vector<uint32_t> counters = {0,   0,   0,          0,          ~0u,        ~0u,
                                    ~0u, ~0u, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                        keys = {0, 0, ~0u, ~0u, 0xa4093822, 0x299f31d0};
  const uint32_t known[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8, 0x408f276d, 0x41c83b0e,
                            0xa20bc7c6, 0x6d5451fd, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
  std::mt19937 rng(1);
  while (counters.size() < 4 * 500) {
    for (int i = 0; i < 4; i++)
      counters.push_back(rng());
    for (int i = 0; i < 2; i++)
      keys.push_back(rng());
  }
  int n = static_cast<int>(keys.size() / 2);
  uint32_t *out = dev.raw<uint32_t>(counters.size()), *c = dev.put(counters), *k = dev.put(keys);
  ASSERT_EQ(dev.run("k", 4, 128, out, c, k, n), SG_PTX_OK) << dev.error;
  for (size_t i = 0; i < 12; i++)
    EXPECT_EQ(out[i], known[i]);
  for (int i = 0; i < n; i++) {
    uint32_t want[4];
    philox(&counters[4 * static_cast<size_t>(i)], &keys[2 * static_cast<size_t>(i)], want);
    ASSERT_TRUE(std::equal(want, want + 4, out + 4 * i)) << i;
  }
}

/* ---- integers
 * ---------------------------------------------------------------------------------------------------- */

TEST_P(Program, WideIntegers) {
  COMPILE(R"(typedef unsigned long long u64; typedef long long s64;
  extern "C" __global__ void k(u64 *out, const u64 *a, const u64 *b, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 x = a[i], y = b[i]; unsigned __int128 p = (unsigned __int128)x * y + x; __int128 q = (__int128)(s64)x * (s64)y - y;
    u64 *o = out + 8 * i;
    o[0] = (u64)p; o[1] = (u64)(p >> 64); o[2] = (u64)(q >> 64); o[3] = (u64)(p >> (y & 127));
    o[4] = y ? x / y : 1; o[5] = y ? x % y : 1; o[6] = y ? (u64)((s64)x / (s64)(y | 2)) : 1; o[7] = __umul64hi(x, y) + __popcll(x) + __clzll(y) + __ffsll(x) + __brevll(y);
  })");
  std::mt19937_64 rng(2);
  std::vector<uint64_t> a, b;
  for (int i = 0; i < 300; i++)
    a.push_back(rng() >> (rng() % 64)), b.push_back(rng() >> (rng() % 64));
  a[0] = 0, b[1] = 0, a[2] = ~0ull, b[2] = ~0ull, a[3] = 1ull << 63;
  int n = 300;
  uint64_t *out = dev.raw<uint64_t>(8 * 300), *da = dev.put(a), *db = dev.put(b);
  ASSERT_EQ(dev.run("k", 3, 128, out, da, db, n), SG_PTX_OK) << dev.error;
  for (size_t i = 0; i < a.size(); i++) {
    uint64_t x = a[i], y = b[i];
    unsigned __int128 p = static_cast<unsigned __int128>(x) * y + x;
    __int128 q = static_cast<__int128>(static_cast<int64_t>(x)) * static_cast<int64_t>(y) - y;
    uint64_t reversed = 0;
    for (int k = 0; k < 64; k++)
      reversed |= (y >> k & 1) << (63 - k);
    uint64_t high = static_cast<uint64_t>((static_cast<unsigned __int128>(x) * y) >> 64);
    uint64_t tail = high + static_cast<uint64_t>(__builtin_popcountll(x)) +
                    static_cast<uint64_t>(y ? __builtin_clzll(y) : 64) +
                    static_cast<uint64_t>(__builtin_ffsll(static_cast<int64_t>(x))) + reversed;
    uint64_t want[8] = {static_cast<uint64_t>(p),
                        static_cast<uint64_t>(p >> 64),
                        static_cast<uint64_t>(q >> 64),
                        static_cast<uint64_t>(p >> (y & 127)),
                        y ? x / y : 1,
                        y ? x % y : 1,
                        y ? static_cast<uint64_t>(static_cast<int64_t>(x) / static_cast<int64_t>(y | 2)) : 1,
                        tail};
    for (int k = 0; k < 8; k++)
      ASSERT_EQ(out[8 * i + static_cast<size_t>(k)], want[k]) << i << " " << k << " " << x << " " << y;
  }
}

/* ---- shared memory, warps
 * ---------------------------------------------------------------------------------------- */

TEST_P(Program, TransposeByTiles) {
  COMPILE(R"(extern "C" __global__ void k(float *out, const float *in, int rows, int cols) {
    __shared__ float tile[32][33];
    int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
    for (int j = 0; j < 32; j += 8) if (x < cols && y + j < rows) tile[threadIdx.y + j][threadIdx.x] = in[(y + j) * cols + x];
    __syncthreads();
    x = blockIdx.y * 32 + threadIdx.x; y = blockIdx.x * 32 + threadIdx.y;
    for (int j = 0; j < 32; j += 8) if (x < rows && y + j < cols) out[(y + j) * rows + x] = tile[threadIdx.x][threadIdx.y + j];
  })");
  int rows = 75, cols = 53;
  std::vector<float> in(static_cast<size_t>(rows * cols));
  for (size_t i = 0; i < in.size(); i++)
    in[i] = static_cast<float>(i);
  float *src = dev.put(in), *dst = dev.raw<float>(in.size());
  dev.grid.grid[1] = 3, dev.grid.block[1] = 8;
  ASSERT_EQ(dev.run("k", 2, 32, dst, src, rows, cols), SG_PTX_OK) << dev.error;
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < cols; c++)
      ASSERT_EQ(dst[c * rows + r], in[static_cast<size_t>(r * cols + c)]);
  EXPECT_EQ(dev.counts.global_read_bytes, in.size() * 4); // one pass
  EXPECT_EQ(dev.counts.global_written_bytes, in.size() * 4);
  EXPECT_EQ(dev.counts.local_accesses, 0u);
}

const char *const kReduce = R"(extern "C" __global__ void k(double *out, const double *in, long long n) {
    __shared__ double part[32];
    double s = 0;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) s += in[i];
    for (int d = 16; d > 0; d /= 2) s += __shfl_down_sync(0xffffffffu, s, d);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = s;
    __syncthreads();
    if (threadIdx.x < 32) {
      s = threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : 0;
      for (int d = 16; d > 0; d /= 2) s += __shfl_xor_sync(0xffffffffu, s, d);
      if (threadIdx.x == 0) out[blockIdx.x] = s;
    }
  })";

TEST_P(Program, ReductionByShuffles) {
  COMPILE(kReduce);
  std::vector<double> in(10007);
  for (size_t i = 0; i < in.size(); i++)
    in[i] = static_cast<double>(i % 97);
  double want = 0, got = 0;
  for (double x : in)
    want += x;
  double *src = dev.put(in), *dst = dev.raw<double>(7);
  long long n = static_cast<long long>(in.size());
  ASSERT_EQ(dev.run("k", 7, 192, dst, src, n), SG_PTX_OK) << dev.error;
  for (int i = 0; i < 7; i++)
    got += dst[i];
  EXPECT_EQ(got, want);
}

TEST_P(Program, ReductionWithoutItsBarrierIsFound) {
  std::string source = kReduce;
  source.replace(source.find("    __syncthreads();\n"), 21, "");
  COMPILE(source);
  double *src = dev.put(std::vector<double>(1000, 1.0)), *dst = dev.raw<double>(4);
  long long n = 1000;
  sg_ptx_status status = dev.run("k", 4, 128, dst, src, n);
  EXPECT_TRUE(status == SG_PTX_E_RACE || status == SG_PTX_E_UNWRITTEN)
      << sg_ptx_status_name(status) << dev.error;
  EXPECT_NE(dev.error.find("test.cu:"), std::string::npos) << dev.error; // the line of the source
}

TEST_P(Program, HistogramByAtomics) {
  COMPILE(
      R"(extern "C" __global__ void k(unsigned *out, unsigned long long *sum, float *fs, int *low, const unsigned *in, int n) {
    extern __shared__ unsigned bins[];
    for (int i = threadIdx.x; i < 64; i += blockDim.x) bins[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
      atomicAdd(&bins[in[i] % 64], 1u); atomicAdd(sum, (unsigned long long)in[i]); atomicAdd(fs, 0.5f); atomicMin(low, -(int)(in[i] & 0xffff));
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 64; i += blockDim.x) atomicAdd(&out[i], bins[i]);
  })");
  std::mt19937 rng(4);
  std::vector<uint32_t> in(3000), want(64), zeros(64);
  uint64_t total = 0;
  int least = 0;
  for (uint32_t &x : in) {
    x = rng();
    want[x % 64]++;
    total += x;
    least = std::min(least, -static_cast<int>(x & 0xffff));
  }
  uint32_t *out = dev.put(zeros), *src = dev.put(in);
  uint64_t *sum = dev.put(std::vector<uint64_t>{0});
  float *fs = dev.put(std::vector<float>{0});
  int *low = dev.put(std::vector<int>{0});
  int n = 3000;
  std::vector<void *> args = {&out, &sum, &fs, &low, &src, &n};
  ASSERT_EQ(dev.launch("k", 3, 96, args, 256), SG_PTX_OK) << dev.error;
  EXPECT_EQ(std::vector<uint32_t>(out, out + 64), want);
  EXPECT_EQ(*sum, total);
  EXPECT_EQ(*fs, 1500.0f);
  EXPECT_EQ(*low, least);
}

TEST_P(Program, LastBlockCombines) { // blocks count themselves by an atomic: the last one sees what all wrote
  COMPILE(R"(__device__ unsigned arrived;
  extern "C" __global__ void k(unsigned *part, unsigned *out) {
    __shared__ bool last;
    if (threadIdx.x == 0) { part[blockIdx.x] = blockIdx.x + 1; __threadfence(); last = atomicAdd(&arrived, 1u) == gridDim.x - 1; }
    __syncthreads();
    if (!last) return;
    unsigned s = 0;
    for (unsigned i = threadIdx.x; i < gridDim.x; i += 32) s += part[i];
    s = __reduce_add_sync(0xffffffffu, s);
    if (threadIdx.x == 0) { *out = s; arrived = 0; }
  })");
  uint32_t *part = dev.raw<uint32_t>(100), *out = dev.raw<uint32_t>(1);
  for (uint64_t seed : {0, 1, 2}) {
    dev.grid.order_seed = seed;
    *out = 0;
    ASSERT_EQ(dev.run("k", 100, 32, part, out), SG_PTX_OK) << dev.error;
    EXPECT_EQ(*out, 5050u);
  }
}

/* ---- control flow
 * ------------------------------------------------------------------------------------------------ */

const char *const kShapes = R"(
  HOST __noinline__ int collatz(long long x) { int n = 0; while (x != 1) { x = x & 1 ? 3 * x + 1 : x / 2; n++; if (n > 500) return -1; } return n; }
  HOST __noinline__ int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
  struct Pair { double a; int b[3]; };
  HOST __noinline__ Pair turn(Pair p, int by) { Pair q; q.a = p.a * by; for (int i = 0; i < 3; i++) q.b[i] = p.b[(i + by) % 3]; return q; }
  HOST int choose(int k, int x) {
    switch (k) { case 0: return x + 3; case 1: return x * x; case 2: return x ^ 0x55; case 3: return -x; case 4: return x % 7; case 5: return x >> 2; case 6: return x << 3; case 7: return x | 1;
      case 8: { int s = 0; for (int i = 0; i < x % 9; i++) { if (i == 5) break; if (i == 2) continue; s += i; } return s; } default: return 1000; }
  }
  HOST int work(int i) {
    int list[16]; for (int j = 0; j < 16; j++) list[j] = (i * 37 + j * 11) % 101;
    for (int j = 1; j < 16; j++) { int v = list[j], p = j; while (p > 0 && list[p - 1] > v) { list[p] = list[p - 1]; p--; } list[p] = v; }
    Pair p = {1.5 * i, {i, i + 1, i + 2}}; p = turn(p, i % 4 + 1);
    return collatz(i + 1) + fib(i % 9) + choose(i % 11, i) + list[i % 16] * 3 + (int)p.a + p.b[i % 3];
  })";
#define HOST inline
#define __noinline__
namespace plain {
int collatz(long long x) {
  int n = 0;
  while (x != 1) {
    x = x & 1 ? 3 * x + 1 : x / 2;
    n++;
    if (n > 500)
      return -1;
  }
  return n;
}
int fib(int n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
struct Pair {
  double a;
  int b[3];
};
Pair turn(Pair p, int by) {
  Pair q;
  q.a = p.a * by;
  for (int i = 0; i < 3; i++)
    q.b[i] = p.b[(i + by) % 3];
  return q;
}
int choose(int k, int x) {
  switch (k) {
  case 0:
    return x + 3;
  case 1:
    return x * x;
  case 2:
    return x ^ 0x55;
  case 3:
    return -x;
  case 4:
    return x % 7;
  case 5:
    return x >> 2;
  case 6:
    return x << 3;
  case 7:
    return x | 1;
  case 8: {
    int s = 0;
    for (int i = 0; i < x % 9; i++) {
      if (i == 5)
        break;
      if (i == 2)
        continue;
      s += i;
    }
    return s;
  }
  default:
    return 1000;
  }
}
int work(int i) {
  int list[16];
  for (int j = 0; j < 16; j++)
    list[j] = (i * 37 + j * 11) % 101;
  std::sort(list, list + 16);
  Pair p = {1.5 * i, {i, i + 1, i + 2}};
  p = turn(p, i % 4 + 1);
  return collatz(i + 1) + fib(i % 9) + choose(i % 11, i) + list[i % 16] * 3 + static_cast<int>(p.a) +
         p.b[i % 3];
}
} // namespace plain
#undef HOST
#undef __noinline__

TEST_P(Program, DivergentLoopsCallsAndSwitches) {
  COMPILE(std::string("#define HOST __device__\n") + kShapes + R"(
  extern "C" __global__ void k(int *out, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) out[i] = work(i); })");
  int n = 700;
  int *out = dev.raw<int>(700);
  ASSERT_EQ(dev.run("k", 6, 128, out, n), SG_PTX_OK) << dev.error;
  for (int i = 0; i < n; i++)
    ASSERT_EQ(out[i], plain::work(i)) << i;
  EXPECT_GT(dev.counts.divergent_branches, 0u);
  EXPECT_GT(dev.counts.local_accesses, 0u);
}

TEST_P(Program, VirtualFunctionsAndPointers) {
  COMPILE(
      R"(__device__ __noinline__ float f0(float x) { return x + 1; } __device__ __noinline__ float f1(float x) { return x * 2; } __device__ __noinline__ float f2(float x) { return x * x; }
  typedef float (*fp)(float);
  __constant__ fp table[3] = {f0, f1, f2};
  struct Base { __device__ virtual float g(float) const = 0; };
  struct A : Base { float k; __device__ A(float x) : k(x) {} __device__ float g(float x) const { return x - k; } };
  struct B : Base { __device__ float g(float x) const { return -x; } };
  extern "C" __global__ void k(float *out) { int i = threadIdx.x; A a(i); B b; const Base *p = i & 1 ? (const Base *)&a : (const Base *)&b; out[i] = table[i % 3](i) + p->g(3); })");
  float *out = dev.raw<float>(64);
  ASSERT_EQ(dev.run("k", 1, 64, out), SG_PTX_OK) << dev.error;
  for (int i = 0; i < 64; i++) {
    float x = static_cast<float>(i), t = i % 3 == 0 ? x + 1 : i % 3 == 1 ? x * 2 : x * x;
    ASSERT_EQ(out[i], t + (i & 1 ? 3 - x : -3)) << i;
  }
}

/* ---- 16-bit floats
 * ----------------------------------------------------------------------------------------------- */

TEST_P(Program, HalvesComputeInSingle) {
  COMPILE(R"(#include <cuda_fp16.h>
#include <cuda_bf16.h>
  extern "C" __global__ void k(__half *h, __nv_bfloat16 *b, __half2 *h2, int *c, const float *x, const float *y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return;
    __half p = __float2half(x[i]), q = __float2half(y[i]);
    h[i] = __float2half(__half2float(p) * __half2float(q) + 1.0f);
    b[i] = __float2bfloat16(__bfloat162float(__float2bfloat16(x[i])) / __bfloat162float(__float2bfloat16(y[i])));
    h2[i] = __hfma2(__halves2half2(p, q), __halves2half2(q, q), __halves2half2(p, p));
    c[i] = (p < q) + 2 * __hgt(__float2bfloat16(x[i]), __float2bfloat16(y[i])) + 4 * __half2int_rn(p);
  })");
  std::mt19937 rng(6);
  std::uniform_real_distribution<float> u(-30, 30);
  std::vector<float> x, y;
  for (int i = 0; i < 500; i++)
    x.push_back(u(rng)), y.push_back(u(rng));
  auto half = [](double v) { // v has few enough bits or is far from a tie
    if (v == 0)
      return 0.0;
    int e;
    std::frexp(v, &e);
    double ulp = std::ldexp(1.0, std::max(e, -13) - 11);
    return std::nearbyint(v / ulp) * ulp;
  };
  auto bf = [](double v) {
    int e;
    if (v == 0)
      return 0.0;
    std::frexp(v, &e);
    double ulp = std::ldexp(1.0, e - 8);
    return std::nearbyint(v / ulp) * ulp;
  };
  auto value = [](uint16_t w, int mantissa) {
    int bits = 15 - mantissa, bias = (1 << (bits - 1)) - 1, e = w >> mantissa & ((1 << bits) - 1),
        m = w & ((1 << mantissa) - 1);
    double v = e ? std::ldexp(m + (1 << mantissa), e - bias - mantissa) : std::ldexp(m, 1 - bias - mantissa);
    return w & 0x8000 ? -v : v;
  };
  uint16_t *h = dev.raw<uint16_t>(500), *b = dev.raw<uint16_t>(500), *h2 = dev.raw<uint16_t>(1000);
  int *c = dev.raw<int>(500), n = 500;
  float *dx = dev.put(x), *dy = dev.put(y);
  ASSERT_EQ(dev.run("k", 4, 128, h, b, h2, c, dx, dy, n), SG_PTX_OK) << dev.error;
  for (size_t i = 0; i < 500; i++) {
    double p = half(x[i]), q = half(y[i]);
    ASSERT_EQ(value(h[i], 10),
              half(static_cast<double>(std::fma(static_cast<float>(p), static_cast<float>(q), 1.0f))))
        << i;
    ASSERT_EQ(value(b[i], 7),
              bf(static_cast<double>(static_cast<float>(bf(x[i])) / static_cast<float>(bf(y[i])))))
        << i;
    ASSERT_EQ(value(h2[2 * i], 10), half(p * q + p)) << i; // exact in double here
    ASSERT_EQ(value(h2[2 * i + 1], 10), half(q * q + p)) << i;
    ASSERT_EQ(c[i], (p < q) + 2 * (bf(x[i]) > bf(y[i])) + 4 * static_cast<int>(std::nearbyint(p))) << i;
  }
}

TEST_P(Program, ComplexAndLgamma) {
  COMPILE(R"(extern "C" __global__ void k(double2 *z, double *g, float *gf, const double *x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return;
    double s, c; sincos(x[i], &s, &c); double r = exp(x[i] * 0.1); z[i] = make_double2(r * c, r * s); g[i] = lgamma(x[i]) + hypot(x[i], 3.0); gf[i] = lgammaf((float)x[i]);
  })");
  std::vector<double> x;
  for (int i = 0; i < 300; i++)
    x.push_back(-20.3 + 0.217 * i);
  double *z = dev.raw<double>(600), *g = dev.raw<double>(300), *dx = dev.put(x);
  float *gf = dev.raw<float>(300);
  int n = 300;
  ASSERT_EQ(dev.run("k", 3, 128, z, g, gf, dx, n), SG_PTX_OK) << dev.error;
  for (size_t i = 0; i < x.size(); i++) {
    double r = std::exp(x[i] * 0.1);
    EXPECT_NEAR(z[2 * i], r * std::cos(x[i]), 4e-16 * r * 2);
    EXPECT_NEAR(z[2 * i + 1], r * std::sin(x[i]), 4e-16 * r * 2);
    double want = std::lgamma(x[i]) + std::hypot(x[i], 3.0);
    EXPECT_NEAR(g[i], want, 1e-12 * std::fabs(want) + 1e-12) << x[i];
    double single = std::lgamma(static_cast<double>(static_cast<float>(x[i])));
    EXPECT_NEAR(gf[i], single, 2e-6 * std::fabs(single) + 2e-6) << x[i];
  }
}

/* ---- the system
 * -------------------------------------------------------------------------------------------------- */

TEST_P(Program, AssertAndPrintf) {
  COMPILE(
      R"(extern "C" __global__ void k(int n) { printf("thread %d of %s: %5.2f %llx\n", (int)threadIdx.x, "k", 1.5 * threadIdx.x, 255ull); assert(threadIdx.x < n); })");
  testing::internal::CaptureStdout();
  int n = 1;
  EXPECT_EQ(dev.run("k", 1, 2, n), SG_PTX_E_TRAP);
  std::string out = testing::internal::GetCapturedStdout();
  EXPECT_EQ(out, "thread 0 of k:  0.00 ff\nthread 1 of k:  1.50 ff\n");
  EXPECT_NE(dev.error.find("assertion failed"), std::string::npos) << dev.error;
  EXPECT_NE(dev.error.find("thread (1,0,0)"), std::string::npos) << dev.error;
}

TEST_P(Program, LaunchesAtOnce) { // of one module, on several threads
  COMPILE(R"(extern "C" __global__ void k(unsigned *out, unsigned *shared_sum, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x; unsigned s = 0; for (int j = 0; j <= i % 50; j++) s += j * i; if (i < n) out[i] = s; atomicAdd(shared_sum, 1u); })");
  int n = 2000;
  uint32_t *sum = dev.put(std::vector<uint32_t>{0});
  std::vector<uint32_t *> outs;
  std::vector<std::thread> threads;
  std::vector<sg_ptx_status> statuses(3);
  for (size_t t = 0; t < 3; t++)
    outs.push_back(dev.raw<uint32_t>(2000));
  const sg_ptx_kernel *kernel = sg_ptx_find_kernel(dev.module, "k");
  for (size_t t = 0; t < 3; t++)
    threads.emplace_back([&, t] {
      sg_ptx_grid grid = {};
      grid.grid[0] = 16, grid.block[0] = 128, grid.grid[1] = grid.grid[2] = grid.block[1] = grid.block[2] = 1;
      char error[256];
      void *args[] = {&outs[t], &sum, &n};
      statuses[t] = sg_ptx_launch(kernel, &grid, args, nullptr, dev.mem, 0, nullptr, error, sizeof error);
    });
  for (std::thread &t : threads)
    t.join();
  EXPECT_EQ(*sum, 3u * 2048);
  for (size_t t = 0; t < 3; t++) {
    EXPECT_EQ(statuses[t], SG_PTX_OK);
    for (uint32_t i = 0; i < 2000; i++) {
      uint32_t s = 0;
      for (uint32_t j = 0; j <= i % 50; j++)
        s += j * i;
      ASSERT_EQ(outs[t][i], s);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Program, testing::Values("compute_80", "compute_90", "compute_100"),
                         [](const testing::TestParamInfo<const char *> &i) { return std::string(i.param); });

} // namespace
