// Every reduction and scan: all axes subsets, keepdims, ddof, dtype, NaN, empty; bit equality across threads
// and runs.
#include "tests/api_util.h"

#include <array>

using namespace api;
using oracle::Num;

namespace {

struct Case {
  const mars_op_info *op;
  mars_dtype dt;
};

void PrintTo(const Case &c, std::ostream *out) {
  *out << c.op->name << "_" << short_name(c.dt);
}

std::vector<Case> cases_of(const char *kind) {
  std::vector<Case> all;
  const mars_op_info *op;
  for (size_t i = 0; (op = mars_op_table(i)) != nullptr; i++)
    if (std::string(op->kind) == kind)
      for (mars_dtype dt : kDtypes)
        all.push_back({op, dt});
  return all;
}
std::string case_name(const testing::TestParamInfo<Case> &info) {
  return std::string(info.param.op->name) + "_" + short_name(info.param.dt);
}

// Few bits where the sum of all would overflow; a NaN and infinities in a corner when asked for
Array input(mars_dtype dt, std::vector<int64_t> dims, uint64_t seed, bool special) {
  Rng rng(seed + (uint64_t)dt * 77);
  Array a = random_array(dt, dims, rng, true);
  char k = oracle::kind_of(dt);
  if (special && a.size() > 20 && (k == 'f' || k == 'c')) {
    Num nan = a.get(0);
    nan.re = std::nan("");
    for (int i = 0; i < 3; i++)
      a.set(rng.below(a.size()), nan);
  }
  if (k == 'b' && !special) // runs of equal values, so that any and all have something to say
    for (int64_t i = 0; i < a.size(); i++)
      a.bytes[(size_t)i] = (i / 50) % 2;
  return a;
}

bool reduced(uint32_t mask, size_t axis) {
  return mask >> axis & 1;
}

// The elements of each kept position, in C order
std::vector<std::vector<Num>> groups(const Array &a, uint32_t mask) {
  int64_t kept = 1;
  for (size_t d = 0; d < a.dims.size(); d++)
    if (!reduced(mask, d))
      kept *= a.dims[d];
  std::vector<std::vector<Num>> g((size_t)kept);
  for (int64_t i = 0; i < a.size(); i++) {
    int64_t rest = i, index = 0, stride = 1;
    for (size_t d = a.dims.size(); d-- > 0;) {
      int64_t c = rest % a.dims[d];
      rest /= a.dims[d];
      if (reduced(mask, d))
        continue;
      index += c * stride;
      stride *= a.dims[d];
    }
    g[(size_t)index].push_back(a.get(i));
  }
  return g;
}

mars_reduce_options options_for(uint32_t mask, size_t ndim, bool keepdims, bool negative) {
  mars_reduce_options o = {};
  o.keepdims = keepdims;
  for (size_t d = 0; d < ndim; d++)
    if (reduced(mask, d))
      o.axes.axis[o.axes.count++] = (int)d - (negative ? (int)ndim : 0);
  return o;
}

std::vector<int64_t> result_dims(const Array &a, uint32_t mask, bool keepdims) {
  std::vector<int64_t> dims;
  for (size_t d = 0; d < a.dims.size(); d++)
    if (!reduced(mask, d) || keepdims)
      dims.push_back(reduced(mask, d) ? 1 : a.dims[d]);
  return dims;
}

void judge(const mars_op_info *op, const Array &a, uint32_t mask, double ddof, mars_dtype acc,
           const Array &got, const std::string &where) {
  std::vector<std::vector<Num>> g = groups(a, mask);
  int shown = 0;
  for (size_t i = 0; i < g.size() && shown < 3; i++) {
    oracle::Reduced want = oracle::reduce(op->name, a.dt, g[i], ddof, acc, op->ulp);
    ASSERT_TRUE(want.accepted) << where;
    ASSERT_EQ(got.dt, want.dtype) << where;
    if (oracle::close(got.dt, got.get((int64_t)i), want.value, want.bound))
      continue;
    shown++;
    ADD_FAILURE() << op->name << " of " << g[i].size() << " " << short_name(a.dt) << " " << where << " gives "
                  << oracle::show(got.get((int64_t)i)) << " instead of " << oracle::show(want.value)
                  << " within " << (double)want.bound.abs << ", element " << i;
  }
}

class Reduction : public testing::TestWithParam<Case> {};

TEST_P(Reduction, AxesKeepdimsAndConfigurations) {
  const Case &c = GetParam();
  ASSERT_TRUE(oracle::has_reduce(c.op->name)) << "no oracle for the reduction '" << c.op->name << "'";
  bool exact = c.op->ulp == 0 || (oracle::kind_of(c.dt) != 'f' && oracle::kind_of(c.dt) != 'c' &&
                                  std::string(c.op->name).find("sum") != std::string::npos);
  for (bool special : {false, true}) {
    Array a = input(c.dt, {5, 11, 23}, 100 + special, special);
    for (uint32_t mask = 1; mask < 8; mask++) {
      if (quick() && mask != 7 && mask != 2)
        continue;
      Array first;
      bool judged = false;
      std::vector<Config> configs = covering_configs(23);
      for (size_t k = mask % 3; k < configs.size();
           k += 3) { // each mask meets every chunk size and every budget
        const Config &config = configs[k];
        mars_session *s = shared_session(config);
        Scope scope(s);
        mars_reduce_options o = options_for(mask, 3, mask % 2 == 0, mask > 3);
        if (mask == 7 && !special)
          o.axes = MARS_ALL;
        std::string where =
            "over axes mask " + std::to_string(mask) + (special ? " with NaN, " : ", ") + name_of(config);
        Array got = fetched(mars_apply_reduce(c.op->name, tensor(s, a), &o));
        ASSERT_EQ(got.dims, result_dims(a, mask, o.keepdims)) << where;
        if (judged && exact) {
          EXPECT_TRUE(same_bits(got, first)) << where;
        }
        if (judged && got.bytes == first.bytes)
          continue;
        judge(c.op, a, mask, 0, MARS_DTYPE_AUTO, got, where);
        first = got;
        judged = true;
      }
    }
  }
}

// The same chunking: the same bits for any thread count, any run, fused or not.
TEST_P(Reduction, SameBitsForThreadsAndRuns) {
  const Case &c = GetParam();
  Array a = input(c.dt, {101, 47}, 3, true);
  for (uint32_t k = 0; k < 3; k++) {
    const int64_t chunk = std::array<int64_t, 3>{7, 470, 0}[k];
    for (uint32_t mask : {1u, 2u, 3u}) {
      if (quick() && (k + mask + (uint32_t)c.dt) % 3 != 0) // every chunk with every mask in a third of the dtypes
        continue;
      Array first;
      for (int threads : {1, 2, 2}) {
        Config config;
        config.chunk = chunk;
        config.threads = threads;
        mars_session *s = shared_session(config);
        Scope scope(s);
        mars_reduce_options o = options_for(mask, 2, false, false);
        Array got = fetched(mars_apply_reduce(c.op->name, tensor(s, a), &o));
        if (first.bytes.empty())
          first = got;
        EXPECT_TRUE(same_bits(got, first))
            << "chunk " << chunk << ", mask " << mask << ", threads " << threads;
      }
    }
  }
}

TEST_P(Reduction, EmptyScalarAndNoAxes) {
  const Case &c = GetParam();
  mars_session *s = shared_session(Config());
  Scope scope(s);
  oracle::Reduced want = oracle::reduce(c.op->name, c.dt, {}, 0, MARS_DTYPE_AUTO, c.op->ulp);
  mars_tensor *none = mars_zeros(s, c.dt, MARS_SHAPE(0));
  mars_tensor *r = mars_apply_reduce(c.op->name, none, nullptr);
  if (want.accepted) {
    Array got = fetched(r);
    ASSERT_EQ(got.dims, std::vector<int64_t>{});
    EXPECT_TRUE(oracle::close(got.dt, got.get(0), want.value, want.bound)) << oracle::show(got.get(0));
  } else {
    EXPECT_TRUE(is_error(r, MARS_E_SHAPE, {c.op->name, "(0,)"}));
  }
  // an empty result of a non-empty axis is legal for every row
  mars_reduce_options last = options_for(2, 2, false, false);
  EXPECT_EQ(fetched(mars_apply_reduce(c.op->name, mars_zeros(s, c.dt, MARS_SHAPE(0, 3)), &last)).dims,
            std::vector<int64_t>{0});
  Array one(c.dt, {});
  one.set(0, oracle::cast(Num{'i', 1, 0, 0}, MARS_I64, c.dt));
  Array got = fetched(mars_apply_reduce(c.op->name, tensor(s, one), nullptr));
  judge(c.op, one, 0, 0, MARS_DTYPE_AUTO, got, "of a scalar");
  Array single = input(c.dt, {1}, 9, false);
  judge(c.op, single, 1, 0, MARS_DTYPE_AUTO,
        fetched(mars_apply_reduce(c.op->name, tensor(s, single), nullptr)), "of one");
}

INSTANTIATE_TEST_SUITE_P(Op, Reduction, testing::ValuesIn(cases_of("reduce")), case_name);

const mars_op_info *row(const std::string &name) {
  const mars_op_info *op;
  for (size_t i = 0; (op = mars_op_table(i)) != nullptr; i++)
    if (name == op->name)
      return op;
  return nullptr;
}

TEST(Reductions, Ddof) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  for (mars_dtype dt : {MARS_I32, MARS_F16, MARS_F32, MARS_F64, MARS_C128}) {
    Array a = input(dt, {40, 5}, 1, false);
    for (const char *name : {"var", "std", "nanvar", "nanstd"})
      for (double ddof : {0.0, 1.0, 2.5, 40.0, 41.0}) {
        mars_reduce_options o = options_for(1, 2, false, false);
        o.ddof = ddof;
        judge(row(name), a, 1, ddof, MARS_DTYPE_AUTO, fetched(mars_apply_reduce(name, tensor(s, a), &o)),
              "ddof " + std::to_string(ddof));
      }
  }
}

TEST(Reductions, AccumulatorDtype) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  for (mars_dtype dt : {MARS_BOOL, MARS_I8, MARS_U16, MARS_F16, MARS_F32, MARS_F64})
    for (mars_dtype acc : {MARS_I16, MARS_I64, MARS_U8, MARS_F32, MARS_F64, MARS_C128})
      for (const char *name : {"sum", "prod", "nansum", "nanprod"}) {
        Array a = input(dt, {7, 30}, 5, false);
        mars_reduce_options o = options_for(2, 2, true, false);
        o.has_dtype = true;
        o.dtype = acc;
        Array got = fetched(mars_apply_reduce(name, tensor(s, a), &o));
        EXPECT_EQ(got.dt, acc);
        judge(row(name), a, 2, 0, acc, got, std::string("in ") + short_name(acc));
      }
}

// Where E[x^2] - E[x]^2 would have no digit left.
TEST(Reductions, VarianceOfDataFarFromZero) {
  for (int64_t chunk : {11, 1000, 0}) {
    Config config;
    config.chunk = chunk;
    mars_session *s = shared_session(config);
    Scope scope(s);
    std::vector<double> v;
    Rng rng(17);
    long double sum = 0, m2 = 0;
    for (int i = 0; i < 20000; i++)
      v.push_back(1e9 + rng.unit());
    for (double x : v)
      sum += x - 1e9L;
    for (double x : v)
      m2 += (x - 1e9L - sum / 20000) * (x - 1e9L - sum / 20000);
    Array a = array_of(MARS_F64, {20000}, v);
    double got = (double)fetched(mars_var(tensor(s, a), MARS_ALL)).get(0).re;
    EXPECT_NEAR(got, (double)(m2 / 20000), 1e-6) << "chunk " << chunk;
  }
}

TEST(Reductions, TiesAndNanInArgminArgmax) {
  for (int64_t chunk : {1, 2, 3, 0}) {
    Config config;
    config.chunk = chunk;
    config.threads = 2;
    mars_session *s = shared_session(config);
    Scope scope(s);
    const double nan = std::nan("");
    auto index = [&](const char *name, const std::vector<double> &v) {
      return (int64_t)fetched(
                 mars_apply_reduce(name, tensor(s, array_of(MARS_F64, {(int64_t)v.size()}, v)), nullptr))
          .get(0)
          .i;
    };
    EXPECT_EQ(index("argmax", {1, 5, 2, 5, 5, 0}), 1);
    EXPECT_EQ(index("argmin", {1, 0, 2, 0, 5, 0}), 1);
    EXPECT_EQ(index("argmax", {1, 5, nan, 7, nan}), 2);
    EXPECT_EQ(index("argmin", {1, 5, nan, 0, nan}), 2);
    EXPECT_EQ(index("nanargmax", {nan, 5, nan, 7, 7}), 3);
    EXPECT_EQ(index("nanargmin", {nan, nan, 4, 4, nan}), 2);
    EXPECT_EQ(index("nanargmin", {nan, nan, nan}), -1);
    EXPECT_EQ(index("argmax", {-0.0, 0.0, 0.0}), 0);
    // over the last and over the first axis of a matrix with equal rows
    mars_tensor *m = mars_zeros(s, MARS_F32, MARS_SHAPE(4, 5));
    Array z = fetched(mars_argmax(m, MARS_AXES(0)));
    for (int64_t i = 0; i < z.size(); i++)
      EXPECT_EQ((int64_t)z.get(i).i, 0);
  }
}

// x + 1, its sum and its deviation in one job, and the same one by one.
TEST(Reductions, FusedWithWhatFeedsThem) {
  Rng rng(4);
  Array x = random_array(MARS_F64, {301, 67}, rng, true);
  for (const Config &config : covering_configs(67)) {
    mars_session *s = shared_session(config);
    Scope scope(s);
    mars_tensor *y = mars_add(tensor(s, x), mars_float(s, 1));
    std::vector<mars_tensor *> wanted = {y,
                                         mars_sum(y, MARS_ALL),
                                         mars_std(y, MARS_ALL),
                                         mars_max(y, MARS_AXES(1)),
                                         mars_sum(y, MARS_AXES(0)),
                                         mars_any(mars_isnan(y), MARS_ALL)};
    std::vector<Array> got;
    ASSERT_TRUE(fetch_all(s, wanted, &got)) << name_of(config);
    for (int64_t i = 0; i < x.size(); i++)
      ASSERT_EQ((double)got[0].get(i).re, (double)x.get(i).re + 1);
    const char *names[] = {"", "sum", "std", "max", "sum", "any"};
    uint32_t masks[] = {0, 3, 3, 2, 1, 3};
    for (size_t k = 1; k < 5; k++)
      judge(row(names[k]), got[0], masks[k], 0, MARS_DTYPE_AUTO, got[k], name_of(config));
    EXPECT_EQ((int)got[5].get(0).i, 0);
    // reductions of reductions
    mars_tensor *centred = mars_subtract(y, mars_expand_dims(mars_mean(y, MARS_AXES(1)), 1));
    Array m = fetched(mars_max(mars_absolute(mars_mean(centred, MARS_AXES(1))), MARS_ALL));
    EXPECT_LT((double)m.get(0).re, 1e-14) << name_of(config);
  }
}

// ---- scans ----------------------------------------------------------------------------------------------

class Scan : public testing::TestWithParam<Case> {};

TEST_P(Scan, RunsInOrderAlongEachAxis) {
  const Case &c = GetParam();
  Array a = input(c.dt, {4, 33, 5}, 21, false);
  for (int axis = 0; axis < 3; axis++) {
    int64_t inner = 1, n = a.dims[(size_t)axis];
    for (size_t d = (size_t)axis + 1; d < 3; d++)
      inner *= a.dims[d];
    for (const Config &config : covering_configs(5)) {
      mars_session *s = shared_session(config);
      Scope scope(s);
      mars_reduce_options o = {};
      o.axes.count = 1;
      o.axes.axis[0] = axis == 2 ? -1 : axis;
      Array got = fetched(mars_apply_reduce(c.op->name, tensor(s, a), &o));
      ASSERT_EQ(got.dims, a.dims);
      int shown = 0;
      for (int64_t outer = 0; outer < a.size() / (n * inner); outer++)
        for (int64_t k = 0; k < inner && shown < 3; k++) {
          std::vector<Num> line;
          for (int64_t i = 0; i < n; i++)
            line.push_back(a.get((outer * n + i) * inner + k));
          std::vector<Num> want = oracle::scan(c.op->name, c.dt, line);
          oracle::Bound bound;
          // additions in order are the same bits; a complex product has a rounding error per step
          if (oracle::kind_of(c.dt) == 'c' && std::string(c.op->name) == "cumprod")
            bound.ulp = 4.0 * (double)n;
          for (int64_t i = 0; i < n && shown < 3; i++) {
            Num g = got.get((outer * n + i) * inner + k);
            if (oracle::close(got.dt, g, want[(size_t)i], bound))
              continue;
            shown++;
            ADD_FAILURE() << c.op->name << " along axis " << axis << " of " << short_name(c.dt) << " at " << i
                          << " gives " << oracle::show(g) << " instead of " << oracle::show(want[(size_t)i])
                          << ", " << name_of(config);
          }
        }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Op, Scan, testing::ValuesIn(cases_of("scan")), case_name);

TEST(Scans, EmptyOneAndLong) {
  for (int64_t chunk : {64, 0}) {
    Config config;
    config.chunk = chunk;
    config.threads = 2;
    mars_session *s = shared_session(config);
    Scope scope(s);
    EXPECT_EQ(fetched(mars_cumsum(mars_zeros(s, MARS_F64, MARS_SHAPE(0)), 0)).size(), 0);
    EXPECT_EQ((double)fetched(mars_cumsum(mars_ones(s, MARS_F64, MARS_SHAPE(1)), 0)).get(0).re, 1);
    Array run = fetched(mars_cumsum(mars_arange(s, MARS_I64, 0, 10000, 1), 0));
    for (int64_t i = 0; i < 10000; i++)
      ASSERT_EQ((int64_t)run.get(i).i, i * (i + 1) / 2);
    // a scan feeding a reduction, in one job
    EXPECT_EQ((int64_t)fetched(mars_max(mars_cumsum(mars_ones(s, MARS_I32, MARS_SHAPE(10000)), 0), MARS_ALL))
                  .get(0)
                  .i,
              10000);
  }
}

} // namespace
