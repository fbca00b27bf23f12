#include "tests/linalg_util.h"

#include <map>

namespace linalg {

using oracle::cplx;
using oracle::wide;

namespace {

struct Sum {
  char kind;
  mars_dtype dt;
  wide i = 0;
  bool any = false;
  cplx z = 0;
  real size = 0; // sum of the moduli
  int64_t terms = 0;

  void add(const std::vector<Num> &factor) {
    terms++;
    if (kind == 'b') {
      bool all = true;
      for (const Num &f : factor)
        all = all && f.i != 0;
      any = any || all;
    } else if (kind == 'i' || kind == 'u') {
      wide p = 1;
      for (const Num &f : factor)
        p = oracle::wrap(dt, (wide)((unsigned __int128)p * (unsigned __int128)f.i));
      i = oracle::wrap(dt, i + p);
    } else {
      cplx p = 1;
      real modulus = 1;
      for (const Num &f : factor) {
        p = kind == 'c' ? p * cplx(f.re, f.im) : cplx(p.real() * f.re, 0);
        modulus *= kind == 'c' ? std::hypot(f.re, f.im) : std::fabs(f.re);
      }
      z += p;
      if (std::isfinite(modulus))
        size += modulus;
    }
  }
};

} // namespace

Expected sum_of_products(mars_dtype dt, const std::vector<std::string> &in, const std::string &out,
                         const std::vector<Array> &operands) {
  std::map<char, int64_t> extent;
  for (size_t k = 0; k < in.size(); k++)
    for (size_t d = 0; d < in[k].size(); d++) {
      int64_t &e = extent.emplace(in[k][d], 1).first->second;
      if (operands[k].dims[d] != 1)
        e = operands[k].dims[d];
    }
  std::string order = out; // output axes, then those that are summed
  for (const auto &e : extent)
    if (out.find(e.first) == std::string::npos)
      order += e.first;
  Expected x;
  x.dt = dt;
  int64_t outer = 1, inner = 1;
  for (size_t d = 0; d < order.size(); d++) {
    (d < out.size() ? outer : inner) *= extent[order[d]];
    if (d < out.size())
      x.dims.push_back(extent[order[d]]);
  }
  std::vector<std::vector<Num>> cast(operands.size());
  std::vector<std::vector<int64_t>> stride(operands.size(), std::vector<int64_t>(order.size(), 0));
  for (size_t k = 0; k < operands.size(); k++) {
    for (int64_t i = 0; i < operands[k].size(); i++)
      cast[k].push_back(oracle::rounded(dt, oracle::cast(operands[k].get(i), operands[k].dt, dt)));
    int64_t step = 1;
    for (size_t d = in[k].size(); d-- > 0;) {
      if (operands[k].dims[d] != 1)
        stride[k][order.find(in[k][d])] += step;
      step *= operands[k].dims[d];
    }
  }
  std::vector<Num> factor(operands.size());
  for (int64_t i = 0; i < outer; i++) {
    Sum sum{oracle::kind_of(dt), dt};
    for (int64_t j = 0; j < inner; j++) {
      std::vector<int64_t> at(operands.size(), 0);
      int64_t left_out = i, left_in = j;
      for (size_t d = order.size(); d-- > 0;) {
        int64_t &left = d < out.size() ? left_out : left_in;
        for (size_t k = 0; k < operands.size(); k++)
          at[k] += left % extent[order[d]] * stride[k][d];
        left /= extent[order[d]];
      }
      for (size_t k = 0; k < operands.size(); k++)
        factor[k] = cast[k][(size_t)at[k]];
      sum.add(factor);
    }
    Num v;
    v.kind = sum.kind;
    v.i = sum.kind == 'b' ? sum.any : sum.i;
    v.re = sum.z.real();
    v.im = sum.z.imag();
    real u = oracle::unit_roundoff(dt), slack = 0;
    if (v.kind == 'f' || v.kind == 'c') {
      slack = (real)(4 + sum.terms + 2 * (int64_t)operands.size()) * u * sum.size * (v.kind == 'c' ? 3 : 1);
      if (oracle::is_half(dt) && std::isfinite(v.re))
        slack += oracle::ulp_at(dt, v.re);
    }
    x.value.push_back(v);
    x.slack.push_back(slack);
  }
  return x;
}

Expected matmul(const Array &a, const Array &b) {
  std::string la, lb, out;
  size_t na = a.dims.size(), nb = b.dims.size(), n = std::max(na, nb);
  for (size_t d = 2; d < n; d++) { // batches, paired from the last
    char c = (char)('a' + (int)(n - 1 - d));
    out += c;
  }
  la = out.substr(n - na) + "xy";
  lb = out.substr(n - nb) + "yz";
  return sum_of_products(oracle::promote(a.dt, b.dt), {la, lb}, out + "xz", {a, b});
}

testing::AssertionResult near(const Array &got, const Expected &want) {
  if (got.dt != want.dt)
    return testing::AssertionFailure() << api::short_name(got.dt) << " instead of " << api::short_name(want.dt);
  if (got.dims != want.dims)
    return testing::AssertionFailure() << "shape " << testing::PrintToString(got.dims) << " instead of "
                                       << testing::PrintToString(want.dims);
  auto off = [](real x, real y, real slack) {
    if (std::isnan(y))
      return !std::isnan(x);
    if (std::isinf(y))
      return x != y;
    return !(std::fabs(x - y) <= slack);
  };
  for (int64_t i = 0; i < got.size(); i++) {
    const Num g = got.get(i), &w = want.value[(size_t)i];
    const real slack = want.slack[(size_t)i];
    const bool wrong = w.kind == 'f'   ? off(g.re, w.re, slack)
                       : w.kind == 'c' ? off(g.re, w.re, slack) || off(g.im, w.im, slack)
                                       : g.i != w.i;
    if (wrong)
      return testing::AssertionFailure() << "element " << i << " of " << got.size() << ": " << oracle::show(g)
                                         << " instead of " << oracle::show(w) << " +- " << (double)slack;
  }
  return testing::AssertionSuccess();
}

Array transposed(const Array &a) {
  std::vector<int64_t> dims = a.dims;
  const size_t n = dims.size();
  std::swap(dims[n - 1], dims[n - 2]);
  Array t(a.dt, dims);
  const int64_t rows = a.dims[n - 2], cols = a.dims[n - 1];
  for (int64_t i = 0; i < a.size(); i++) {
    const int64_t batch = i / (rows * cols), r = i / cols % rows, c = i % cols;
    std::memcpy(t.at(batch * rows * cols + c * rows + r), a.at(i), a.item());
  }
  return t;
}

Array conjugated(const Array &a) {
  Array c = a;
  for (int64_t i = 0; i < a.size(); i++) {
    Num v = a.get(i);
    v.im = -v.im;
    c.set(i, v);
  }
  return c;
}

Array sliced(const Array &a, const std::vector<int64_t> &start, const std::vector<int64_t> &step,
             const std::vector<int64_t> &count) {
  Array s(a.dt, count);
  for (int64_t i = 0; i < s.size(); i++) {
    int64_t left = i, at = 0, stride = 1;
    for (size_t d = count.size(); d-- > 0;) {
      at += (start[d] + left % count[d] * step[d]) * stride;
      left /= count[d];
      stride *= a.dims[d];
    }
    std::memcpy(s.at(i), a.at(at), a.item());
  }
  return s;
}

} // namespace linalg
