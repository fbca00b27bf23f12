/* CUDA C through the real NVRTC, and the same in plain C++. */
#include <cmath>
#include <random>

#include "ptx_test_util.h"

namespace {

double ulps(double got, double want) {
  if (std::isnan(got) && std::isnan(want))
    return 0;
  if (got == want)
    return 0;
  if (!std::isfinite(got) || !std::isfinite(want))
    return 1e300;
  double step = std::nextafter(std::fabs(want), INFINITY) - std::fabs(want);
  return std::fabs(got - want) / step;
}

float ulp_of(float want) {
  return std::nextafterf(std::fabs(want), INFINITY) - std::fabs(want);
}

/* Arguments of all sizes, and the special ones. */
std::vector<double> arguments(double low, double high, size_t n) {
  std::mt19937_64 rng(7);
  std::uniform_real_distribution<double> u(low, high);
  std::vector<double> x = {low, high, (low + high) / 2};
  if (low <= 0 && high >= 0)
    x.insert(x.end(), {0.0, -0.0, 1e-300, -1e-30});
  while (x.size() < n)
    x.push_back(u(rng));
  return x;
}

struct Function {
  const char *name, *expression;
  double low, high;
  double (*want)(double);
  long double max_ulp;
  double max_ulp_single;
};

const Function kFunctions[] = {
    {"exp", "exp(x)", -700, 700, [](double x) { return std::exp(x); }, 2, 3},
    {"exp2", "exp2(x)", -1000, 1000, [](double x) { return std::exp2(x); }, 2, 3},
    {"expm1", "expm1(x)", -30, 30, [](double x) { return std::expm1(x); }, 2, 3},
    {"log", "log(x)", 0.001, 1e9, [](double x) { return std::log(x); }, 2, 3},
    {"log1p", "log1p(x)", -0.999, 1e5, [](double x) { return std::log1p(x); }, 2, 3},
    {"log10", "log10(x)", 1e-9, 1e9, [](double x) { return std::log10(x); }, 3, 4},
    {"sin", "sin(x)", -1e6, 1e6, [](double x) { return std::sin(x); }, 3, 3},
    {"cos", "cos(x)", -1e6, 1e6, [](double x) { return std::cos(x); }, 3, 3},
    {"sin_huge", "sin(x)", 1e15, 1e22, [](double x) { return std::sin(x); }, 3, 3},
    {"tan", "tan(x)", -100, 100, [](double x) { return std::tan(x); }, 3, 5},
    {"atan", "atan(x)", -50, 50, [](double x) { return std::atan(x); }, 3, 4},
    {"asin", "asin(x)", -1, 1, [](double x) { return std::asin(x); }, 3, 4},
    {"sinh", "sinh(x)", -80, 80, [](double x) { return std::sinh(x); }, 3, 4},
    {"tanh", "tanh(x)", -10, 10, [](double x) { return std::tanh(x); }, 3, 3},
    {"erf", "erf(x)", -6, 6, [](double x) { return std::erf(x); }, 3, 4},
    {"erfc", "erfc(x)", -5, 9, [](double x) { return std::erfc(x); }, 6, 8},
    {"tgamma", "tgamma(x)", 0.1, 30, [](double x) { return std::tgamma(x); }, 12, 14},
    {"cbrt", "cbrt(x)", -1e6, 1e6, [](double x) { return std::cbrt(x); }, 3, 3},
    {"sqrt", "sqrt(x)", 0, 1e9, [](double x) { return std::sqrt(x); }, 0, 0},
    {"rsqrt", "rsqrt(x)", 1e-3, 1e9, [](double x) { return 1 / std::sqrt(x); }, 2, 3},
    {"rint", "rint(x)", -1000, 1000, [](double x) { return std::rint(x); }, 0, 0},
    {"floor", "floor(x)", -1000, 1000, [](double x) { return std::floor(x); }, 0, 0},
    {"divide", "x / (T)7.3", -1e6, 1e6, [](double x) { return x / 7.3; }, 0, 0},
    {"reciprocal", "1 / x", -1e6, 1e6, [](double x) { return 1 / x; }, 0, 0},
    {"pow", "pow(x, (T)2.75)", 0.001, 1e4, [](double x) { return std::pow(x, 2.75); }, 3, 9},
    {"fmod", "fmod(x, (T)0.375)", -1e6, 1e6, [](double x) { return std::fmod(x, 0.375); }, 0, 0},
};

class LibraryFunction : public testing::TestWithParam<std::tuple<Function, const char *>> {};

TEST_P(LibraryFunction, MatchesPlainC) {
  const Function &f = std::get<0>(GetParam());
  std::string source = std::string("template <class T> __device__ T g(T x) { return ") + f.expression +
                       "; }\n"
                       "extern \"C\" __global__ void kd(double *y, const double *x, int n) { int i = "
                       "blockIdx.x * blockDim.x + threadIdx.x;\n"
                       "  if (i < n) y[i] = g<double>(x[i]); }\n"
                       "extern \"C\" __global__ void kf(float *y, const float *x, int n) { int i = "
                       "blockIdx.x * blockDim.x + threadIdx.x;\n"
                       "  if (i < n) y[i] = g<float>(x[i]); }\n";
  REQUIRE_NVRTC(ptx, source, std::get<1>(GetParam()));
  Device dev;
  ASSERT_TRUE(dev.load(ptx));
  std::vector<double> x = arguments(f.low, f.high, 999);
  int n = static_cast<int>(x.size());
  double *dx = dev.put(x), *dy = dev.raw<double>(x.size());
  ASSERT_EQ(dev.run("kd", 8, 128, dy, dx, n), SG_PTX_OK) << dev.error;
  for (size_t i = 0; i < x.size(); i++)
    ASSERT_LE(ulps(dy[i], f.want(x[i])), f.max_ulp) << "double x = " << x[i] << " got " << dy[i];

  std::vector<float> xf(x.begin(), x.end());
  float *fx = dev.put(xf), *fy = dev.raw<float>(x.size());
  ASSERT_EQ(dev.run("kf", 8, 128, fy, fx, n), SG_PTX_OK) << dev.error;
  for (size_t i = 0; i < x.size(); i++) {
    double want = f.want(static_cast<double>(xf[i]));
    if (std::string(f.name) == "divide")
      want = static_cast<double>(xf[i] / 7.3f);
    float rounded = static_cast<float>(want);
    if (std::isnan(fy[i]) && std::isnan(want))
      continue;
    if (fy[i] == rounded)
      continue;
    ASSERT_TRUE(std::isfinite(fy[i])) << xf[i];
    ASSERT_LE(std::fabs(static_cast<double>(fy[i]) - want),
              (f.max_ulp_single + (f.max_ulp_single > 0 ? 0.5 : 0)) * ulp_of(rounded))
        << "float x = " << xf[i] << " got " << fy[i] << " want " << want;
  }
}

std::string function_name(const testing::TestParamInfo<LibraryFunction::ParamType> &i) {
  return std::string(std::get<0>(i.param).name) + "_" + std::get<1>(i.param);
}
INSTANTIATE_TEST_SUITE_P(All, LibraryFunction,
                         testing::Combine(testing::ValuesIn(kFunctions),
                                          testing::Values("compute_90", "compute_100")),
                         function_name);

} // namespace
