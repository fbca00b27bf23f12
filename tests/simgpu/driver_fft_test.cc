/* cuFFT against the definition of the transform: sizes, layouts, precisions, in place and not, and what is refused. */
#include "driver_test_util.h"

#include <cufft.h>

#include <cmath>
#include <complex>
#include <cstdlib>
#include <limits>
#include <random>
#include <tuple>
#include <type_traits>

#define FFT(name) reinterpret_cast<decltype(&name)>(symbol("libcufft.so.12", #name))
#define FOK(call) ASSERT_EQ(call, CUFFT_SUCCESS)

using z = std::complex<double>;

namespace {

enum class Kind { forward, inverse, r2c, c2r };
enum class Placing { basic, padded, interleaved }; /* no strides said; holes in rows, between elements and members; members by turns */

long long product(const std::vector<int> &n) {
  long long p = 1;
  for (int x : n) p *= x;
  return p;
}

/* sum of x[j] w^(jk) over all dimensions, as it is defined. */
std::vector<z> transform(const std::vector<z> &x, const std::vector<int> &n, int sign) {
  std::vector<z> out(x.size());
  for (size_t k = 0; k < x.size(); k++)
    for (size_t j = 0; j < x.size(); j++) {
      double turns = 0;
      size_t kk = k, jj = j;
      for (size_t d = n.size(); d-- > 0; kk /= size_t(n[d]), jj /= size_t(n[d]))
        turns += double(kk % size_t(n[d]) * (jj % size_t(n[d])) % size_t(n[d])) / n[d];
      out[k] += x[j] * std::polar(1.0, sign * 2 * M_PI * turns);
    }
  return out;
}

/* Where the elements of one side are, in elements of `width` reals. */
struct Side {
  std::vector<int> extent, embed;
  int width, stride = 1, dist = 0, batch;

  Side(const std::vector<int> &extent, int width, int batch) : extent(extent), embed(extent), width(width), batch(batch) { dense(); }
  void dense() { dist = int(product(embed)) * stride; }
  size_t count() const { return size_t(product(extent)); }
  size_t at(int b, size_t flat) const {
    size_t place = 0, step = size_t(stride);
    for (size_t d = extent.size(); d-- > 0; flat /= size_t(extent[d]), step *= size_t(embed[d])) place += flat % size_t(extent[d]) * step;
    return (place + size_t(b) * size_t(dist)) * size_t(width);
  }
  size_t reals() const { return at(batch - 1, count() - 1) + size_t(width); }
  std::vector<char> used() const {
    std::vector<char> is(reals(), 0);
    for (int b = 0; b < batch; b++)
      for (size_t i = 0; i < count(); i++)
        for (int w = 0; w < width; w++) is[at(b, i) + size_t(w)] = 1;
    return is;
  }
};

struct Job {
  std::vector<int> n;
  int batch;
  Kind kind;
  bool dbl, in_place;
  Placing placing;

  Side side(bool real) const {
    bool halves = kind == Kind::r2c || kind == Kind::c2r;
    std::vector<int> extent = n;
    if (halves && !real) extent.back() = n.back() / 2 + 1;
    Side s(extent, real ? 1 : 2, batch);
    if (in_place && halves) { /* rows of both sides take the same bytes */
      s.embed.back() = (n.back() / 2 + 1 + (placing == Placing::padded)) * (real ? 2 : 1);
      s.dense();
    } else if (placing == Placing::padded) {
      for (int &e : s.embed) e += real ? 3 : 1;
      s.stride = real ? 2 : 3;
      s.dense();
      s.dist += 5;
    } else if (placing == Placing::interleaved) {
      s.stride = batch;
      s.dist = 1;
    }
    return s;
  }
  cufftType type() const {
    if (kind == Kind::r2c) return dbl ? CUFFT_D2Z : CUFFT_R2C;
    if (kind == Kind::c2r) return dbl ? CUFFT_Z2D : CUFFT_C2R;
    return dbl ? CUFFT_Z2Z : CUFFT_C2C;
  }
};

class Fourier : public Simulated {
protected:
  void SetUp() override { start("devices=1 bytes=64M seed=5"); }

  void make(const Job &j, const Side &in, const Side &out, cufftHandle *plan) {
    std::vector<int> n = j.n, ie = in.embed, oe = out.embed;
    int rank = int(n.size());
    if (j.placing == Placing::interleaved) {
      std::vector<long long> n64(n.begin(), n.end()), ie64(ie.begin(), ie.end()), oe64(oe.begin(), oe.end());
      size_t work = 1;
      ie64[0] = oe64[0] = 0; /* the first is in no address */
      FOK(FFT(cufftCreate)(plan));
      FOK(FFT(cufftMakePlanMany64)(*plan, rank, n64.data(), ie64.data(), in.stride, in.dist, oe64.data(), out.stride, out.dist, j.type(),
                                   j.batch, &work));
    } else if (j.placing == Placing::padded) {
      FOK(FFT(cufftPlanMany)(plan, rank, n.data(), ie.data(), in.stride, in.dist, oe.data(), out.stride, out.dist, j.type(), j.batch));
    } else if (rank == 1) {
      FOK(FFT(cufftPlan1d)(plan, n[0], j.type(), j.batch));
    } else if (j.batch > 1) { /* one side alone is as good as none: 7, 9 and the like are ignored */
      FOK(FFT(cufftPlanMany)(plan, rank, n.data(), nullptr, 7, 9, oe.data(), 3, 1, j.type(), j.batch));
    } else if (rank == 2) {
      FOK(FFT(cufftPlan2d)(plan, n[0], n[1], j.type()));
    } else {
      FOK(FFT(cufftPlan3d)(plan, n[0], n[1], n[2], j.type()));
    }
    FOK(FFT(cufftSetStream)(*plan, reinterpret_cast<cudaStream_t>(stream[0])));
  }

  template <class R> cufftResult execute(cufftHandle plan, Kind kind, CUdeviceptr in, CUdeviceptr out) {
    using C = std::conditional_t<std::is_same_v<R, double>, cufftDoubleComplex, cufftComplex>;
    R *rin = reinterpret_cast<R *>(in), *rout = reinterpret_cast<R *>(out);
    C *cin = reinterpret_cast<C *>(in), *cout = reinterpret_cast<C *>(out);
    int direction = kind == Kind::forward ? CUFFT_FORWARD : CUFFT_INVERSE;
    if constexpr (std::is_same_v<R, double>) {
      if (kind == Kind::r2c) return FFT(cufftExecD2Z)(plan, rin, cout);
      if (kind == Kind::c2r) return FFT(cufftExecZ2D)(plan, cin, rout);
      return FFT(cufftExecZ2Z)(plan, cin, cout, direction);
    } else {
      if (kind == Kind::r2c) return FFT(cufftExecR2C)(plan, rin, cout);
      if (kind == Kind::c2r) return FFT(cufftExecC2R)(plan, cin, rout);
      return FFT(cufftExecC2C)(plan, cin, cout, direction);
    }
  }

  /* One member: what goes in, and what must come out. */
  void draw(const Job &j, std::mt19937 &random, std::vector<z> *in, std::vector<z> *want) {
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::vector<z> x(size_t(product(j.n)));
    for (z &v : x) {
      double re = float(uniform(random)), im = float(uniform(random)); /* the same numbers in both precisions */
      v = z(re, j.kind == Kind::r2c || j.kind == Kind::c2r ? 0 : im);
    }
    std::vector<z> spectrum = transform(x, j.n, j.kind == Kind::inverse ? 1 : -1), half;
    size_t row = size_t(j.n.back());
    for (size_t i = 0; i < spectrum.size(); i++)
      if (i % row <= row / 2) half.push_back(spectrum[i]);
    *in = j.kind == Kind::c2r ? half : x;
    *want = j.kind == Kind::c2r ? x : j.kind == Kind::r2c ? half : spectrum;
    if (j.kind == Kind::c2r)
      for (z &v : *want) v *= double(x.size());
  }

  template <class R> void run(const Job &j) {
    Side in = j.side(j.kind == Kind::r2c), out = j.side(j.kind == Kind::c2r);
    size_t reals = in.reals() > out.reals() ? in.reals() : out.reals(), bytes = reals * sizeof(R);
    const R nan = std::numeric_limits<R>::quiet_NaN(), untouched = 77;
    std::vector<R> a(reals, j.in_place ? untouched : nan), b(reals, untouched); /* holes of the input are read by nobody */
    std::vector<std::vector<z>> given(size_t(j.batch)), want(size_t(j.batch));
    std::mt19937 random(unsigned(product(j.n)));
    for (int m = 0; m < j.batch; m++) {
      draw(j, random, &given[size_t(m)], &want[size_t(m)]);
      for (size_t i = 0; i < in.count(); i++) {
        z v = given[size_t(m)][i];
        a[in.at(m, i)] = R(v.real());
        if (in.width == 2) a[in.at(m, i) + 1] = R(v.imag());
      }
    }
    CUdeviceptr da = 0, db = 0;
    OK(CU(cuMemAlloc)(&da, bytes));
    OK(CU(cuMemAlloc)(&db, bytes));
    OK(CU(cuMemcpyHtoDAsync)(da, a.data(), bytes, stream[0]));
    OK(CU(cuMemcpyHtoDAsync)(db, b.data(), bytes, stream[0]));
    cufftHandle plan = 0;
    make(j, in, out, &plan);
    FOK(execute<R>(plan, j.kind, da, j.in_place ? da : db));
    std::vector<R> left(reals), got(reals);
    OK(CU(cuMemcpyDtoHAsync)(left.data(), da, bytes, stream[0]));
    OK(CU(cuMemcpyDtoHAsync)(got.data(), j.in_place ? da : db, bytes, stream[0]));
    OK(CU(cuStreamSynchronize)(stream[0]));
    FOK(FFT(cufftDestroy)(plan));
    OK(CU(cuMemFree)(da));
    OK(CU(cuMemFree)(db));
    compare(j, out, got, want);
    untouched_holes(j, in, out, a, left, got);
  }

  template <class R> void compare(const Job &j, const Side &out, const std::vector<R> &got, const std::vector<std::vector<z>> &want) {
    double n = double(product(j.n)), scale = j.kind == Kind::c2r ? n : std::sqrt(n);
    double near = 4 * std::numeric_limits<R>::epsilon() * (1 + std::log2(n)) * scale + 1e-13 * n; /* the definition's own error, too */
    for (int m = 0; m < j.batch; m++)
      for (size_t i = 0; i < out.count(); i++) {
        size_t at = out.at(m, i);
        ASSERT_NEAR(got[at], want[size_t(m)][i].real(), near) << "member " << m << ", " << i;
        if (out.width == 2) {
          ASSERT_NEAR(got[at + 1], want[size_t(m)][i].imag(), near) << "member " << m << ", " << i;
        }
      }
  }

  /* Nothing beside the result is written, and the input of complex to real alone is lost. */
  template <class R>
  void untouched_holes(const Job &j, const Side &in, const Side &out, const std::vector<R> &a, const std::vector<R> &left,
                       const std::vector<R> &got) {
    std::vector<char> read = in.used(), written = out.used();
    read.resize(got.size()), written.resize(got.size());
    for (size_t i = 0; i < got.size(); i++) {
      bool input = read[i] && !j.in_place, result = written[i] || (read[i] && j.in_place);
      if (!result) {
        ASSERT_EQ(got[i], R(77)) << i;
      }
      if (input && j.kind == Kind::c2r) {
        ASSERT_TRUE(std::isnan(left[i])) << i;
      } else if (input) {
        ASSERT_EQ(left[i], a[i]) << i;
      }
    }
  }

  void run_sizes(const std::vector<std::vector<int>> &sizes, Kind kind, bool dbl, Placing placing, bool in_place) {
    for (const std::vector<int> &n : sizes)
      for (int batch : getenv("MARS_TEST_QUICK") == nullptr ? std::vector<int>{1, 3} : std::vector<int>{3}) {
        std::string text = "batch " + std::to_string(batch);
        for (int x : n) text += " " + std::to_string(x);
        SCOPED_TRACE(text);
        Job j{n, batch, kind, dbl, in_place, placing};
        if (dbl) run<double>(j);
        else run<float>(j);
        if (HasFatalFailure()) return;
      }
  }
};

class FourierOf : public Fourier, public ::testing::WithParamInterface<std::tuple<Kind, bool, Placing, bool>> {};

std::string name_of(const ::testing::TestParamInfo<FourierOf::ParamType> &info) {
  auto [kind, dbl, placing, in_place] = info.param;
  const char *kinds[] = {"forward", "inverse", "r2c", "c2r"}, *placings[] = {"basic", "padded", "interleaved"};
  return std::string(kinds[int(kind)]) + (dbl ? "_double_" : "_single_") + placings[int(placing)] + (in_place ? "_in_place" : "");
}

TEST_P(FourierOf, OneDimension) {
  auto [kind, dbl, placing, in_place] = GetParam();
  run_sizes({{1}, {2}, {7}, {8}, {49}, {60}, {127}, {211}}, kind, dbl, placing, in_place);
}

TEST_P(FourierOf, TwoDimensions) {
  auto [kind, dbl, placing, in_place] = GetParam();
  run_sizes({{1, 5}, {5, 1}, {6, 9}, {13, 11}, {4, 16}}, kind, dbl, placing, in_place);
}

TEST_P(FourierOf, ThreeDimensions) {
  auto [kind, dbl, placing, in_place] = GetParam();
  run_sizes({{1, 1, 3}, {2, 3, 5}, {5, 4, 6}, {3, 1, 7}}, kind, dbl, placing, in_place);
}

INSTANTIATE_TEST_SUITE_P(All, FourierOf,
                         ::testing::Combine(::testing::Values(Kind::forward, Kind::inverse, Kind::r2c, Kind::c2r), ::testing::Bool(),
                                            ::testing::Values(Placing::basic, Placing::padded, Placing::interleaved),
                                            ::testing::Bool()),
                         name_of);

TEST_F(Fourier, PlansAreRefused) {
  cufftHandle plan = 0, made = 0;
  int n[4] = {4, 4, 4, 4}, embed[3] = {4, 4, 4}, none[3] = {4, 0, 4}, zero[2] = {4, 0};
  size_t work = 1;
  EXPECT_EQ(FFT(cufftCreate)(nullptr), CUFFT_INVALID_VALUE);
  EXPECT_EQ(FFT(cufftPlan1d)(nullptr, 8, CUFFT_C2C, 1), CUFFT_INVALID_VALUE);
  EXPECT_EQ(FFT(cufftPlan1d)(&plan, 0, CUFFT_C2C, 1), CUFFT_INVALID_SIZE);
  EXPECT_EQ(FFT(cufftPlan1d)(&plan, 8, CUFFT_C2C, 0), CUFFT_INVALID_SIZE);
  EXPECT_EQ(FFT(cufftPlan1d)(&plan, 8, cufftType(0x77), 1), CUFFT_INVALID_TYPE);
  EXPECT_EQ(FFT(cufftPlan2d)(&plan, 8, -1, CUFFT_C2C), CUFFT_INVALID_SIZE);
  EXPECT_EQ(FFT(cufftPlan3d)(&plan, 8, 8, 0, CUFFT_C2C), CUFFT_INVALID_SIZE);
  auto many = [&](int rank, int *size, int *in, int stride) {
    return FFT(cufftPlanMany)(&plan, rank, size, in, stride, 64, embed, 1, 64, CUFFT_Z2Z, 1);
  };
  EXPECT_EQ(many(0, n, nullptr, 1), CUFFT_INVALID_VALUE);
  EXPECT_EQ(many(4, n, nullptr, 1), CUFFT_INVALID_VALUE);
  EXPECT_EQ(many(3, nullptr, nullptr, 1), CUFFT_INVALID_VALUE);
  EXPECT_EQ(many(2, zero, nullptr, 1), CUFFT_INVALID_SIZE);
  EXPECT_EQ(many(3, n, embed, 0), CUFFT_INVALID_VALUE);
  EXPECT_EQ(many(3, n, none, 1), CUFFT_INVALID_VALUE);
  EXPECT_EQ(live().handles, 0); /* none of them has left one */

  FOK(FFT(cufftCreate)(&made));
  EXPECT_EQ(FFT(cufftExecZ2Z)(made, nullptr, nullptr, CUFFT_FORWARD), CUFFT_INVALID_PLAN); /* nothing planned */
  FOK(FFT(cufftMakePlan1d)(made, 8, CUFFT_Z2Z, 1, &work));
  EXPECT_EQ(FFT(cufftMakePlan1d)(made, 8, CUFFT_Z2Z, 1, &work), CUFFT_INVALID_PLAN); /* once */
  FOK(FFT(cufftGetSize)(made, &work));
  FOK(FFT(cufftDestroy)(made));
  EXPECT_EQ(FFT(cufftDestroy)(made), CUFFT_INVALID_PLAN);
  EXPECT_EQ(FFT(cufftSetStream)(made, nullptr), CUFFT_INVALID_PLAN);
  EXPECT_EQ(FFT(cufftGetSize)(made, &work), CUFFT_INVALID_PLAN);
}

TEST_F(Fourier, CallsAreRefused) {
  cufftHandle plan = 0;
  CUdeviceptr p = 0;
  OK(CU(cuMemAlloc)(&p, 64 * sizeof(z)));
  FOK(FFT(cufftPlan1d)(&plan, 64, CUFFT_Z2Z, 1));
  FOK(FFT(cufftSetStream)(plan, reinterpret_cast<cudaStream_t>(stream[0])));
  auto *data = reinterpret_cast<cufftDoubleComplex *>(p);
  EXPECT_EQ(FFT(cufftExecZ2Z)(plan, nullptr, data, CUFFT_FORWARD), CUFFT_INVALID_VALUE);
  EXPECT_EQ(FFT(cufftExecZ2Z)(plan, data, nullptr, CUFFT_FORWARD), CUFFT_INVALID_VALUE);
  EXPECT_EQ(FFT(cufftExecZ2Z)(plan, data, data, 0), CUFFT_INVALID_VALUE);
  EXPECT_EQ(FFT(cufftExecZ2D)(plan, data, reinterpret_cast<double *>(p)), CUFFT_INVALID_TYPE);
  EXPECT_EQ(FFT(cufftExecZ2Z)(plan + 1, data, data, CUFFT_FORWARD), CUFFT_INVALID_PLAN);
  int v = 0;
  FOK(FFT(cufftGetVersion)(&v));
  EXPECT_EQ(v, CUFFT_VERSION);

  FOK(FFT(cufftExecZ2Z)(plan, data, data, CUFFT_FORWARD)); /* runs, as on a device, and is told */
  OK(CU(cuStreamSynchronize)(stream[0]));
  expect_failed_check("cufftExecZ2Z reads bytes that nobody wrote");
  FOK(FFT(cufftExecZ2Z)(plan, data, data + 1, CUFFT_FORWARD)); /* one element too far */
  EXPECT_EQ(CU(cuStreamSynchronize)(stream[0]), CUDA_ERROR_ILLEGAL_ADDRESS);
  expect_failed_check("cufftExecZ2Z: ");
  EXPECT_EQ(FFT(cufftExecZ2Z)(plan, data, data, CUFFT_FORWARD), CUFFT_EXEC_FAILED);
  FOK(FFT(cufftDestroy)(plan));
}

TEST_F(Fourier, ComplexToRealWritesItsInput) {
  cufftHandle plan = 0;
  CUdeviceptr spectrum = 0, back = 0, copy = 0;
  CUstream other = nullptr;
  constexpr size_t bytes = 33 * sizeof(z);
  OK(CU(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING));
  for (CUdeviceptr *p : {&spectrum, &back, &copy}) OK(CU(cuMemAlloc)(p, bytes));
  OK(CU(cuMemsetD8)(spectrum, 0, bytes));
  OK(CU(cuCtxSynchronize)());
  FOK(FFT(cufftPlan1d)(&plan, 64, CUFFT_Z2D, 1));
  FOK(FFT(cufftSetStream)(plan, reinterpret_cast<cudaStream_t>(stream[0])));
  FOK(FFT(cufftExecZ2D)(plan, reinterpret_cast<cufftDoubleComplex *>(spectrum), reinterpret_cast<double *>(back)));
  OK(CU(cuMemcpyDtoDAsync)(copy, spectrum, bytes, other)); /* a second reader, for all that this call knows */
  OK(CU(cuCtxSynchronize)());
  expect_failed_check("race: ");
  FOK(FFT(cufftDestroy)(plan));
  for (CUdeviceptr p : {spectrum, back, copy}) OK(CU(cuMemFree)(p));
  OK(CU(cuStreamDestroy)(other));
}

/* Streams are threads, and each plans when its work runs. */
TEST_F(Fourier, ManyStreamsPlanAtOnce) {
  constexpr int streams = 6, rounds = 20;
  CUstream s[streams];
  CUdeviceptr p[streams];
  cufftHandle plan[streams];
  for (int i = 0; i < streams; i++) {
    int n = 60 + i;
    std::vector<double> one(size_t(2 * n), 0.0);
    one[0] = 1;
    OK(CU(cuStreamCreate)(&s[i], CU_STREAM_NON_BLOCKING));
    OK(CU(cuMemAlloc)(&p[i], one.size() * sizeof(double)));
    OK(CU(cuMemcpyHtoDAsync)(p[i], one.data(), one.size() * sizeof(double), s[i]));
    FOK(FFT(cufftPlan1d)(&plan[i], n, CUFFT_Z2Z, 1));
    FOK(FFT(cufftSetStream)(plan[i], reinterpret_cast<cudaStream_t>(s[i])));
  }
  for (int r = 0; r < rounds; r++)
    for (int i = 0; i < streams; i++) {
      auto *data = reinterpret_cast<cufftDoubleComplex *>(p[i]);
      FOK(FFT(cufftExecZ2Z)(plan[i], data, data, CUFFT_FORWARD));
    }
  for (int i = 0; i < streams; i++) {
    double got[2];
    OK(CU(cuMemcpyDtoHAsync)(got, p[i], sizeof got, s[i]));
    OK(CU(cuStreamSynchronize)(s[i]));
    EXPECT_NEAR(got[0] / std::pow(60.0 + i, rounds / 2), 1, 1e-12); /* there and there again: n times itself */
    FOK(FFT(cufftDestroy)(plan[i]));
    OK(CU(cuMemFree)(p[i]));
    OK(CU(cuStreamDestroy)(s[i]));
  }
}

} // namespace
