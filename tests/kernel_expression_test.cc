// Expressions as text: the nodes that the same calls would make, positions in errors, memory that runs out.
#include "tests/api_util.h"

using namespace api;

namespace {

// What a text and the calls give must be one node: equal expressions are hash-consed, so no new one may appear.
void expect_same(mars_session *s, const char *text, const std::vector<mars_named> &operands, mars_tensor *want) {
  SCOPED_TRACE(text);
  mars_error err = {};
  ASSERT_EQ(mars_check(want, &err), MARS_OK) << err.message;
  const size_t before = shim_live_nodes(s);
  mars_tensor *t = mars_elementwise(s, text, operands.data(), operands.size());
  ASSERT_EQ(mars_check(t, &err), MARS_OK) << err.message;
  EXPECT_EQ(shim_live_nodes(s), before);
  EXPECT_EQ(mars_dtype_of(t), mars_dtype_of(want));
  EXPECT_EQ(dims_of(mars_shape_of(t)), dims_of(mars_shape_of(want)));
  EXPECT_TRUE(same_bits(fetched(t), fetched(want)));
}

TEST(Expression, IsTheSameNodesAsTheCalls) {
  mars_session *s = shared_session(Config());
  for (mars_dtype dt : {MARS_I32, MARS_U8, MARS_F16, MARS_BF16, MARS_F32, MARS_F64, MARS_C64}) {
    Scope scope(s);
    Rng rng(3);
    mars_tensor *x = tensor(s, random_array(dt, {5, 7}, rng, true)), *y = tensor(s, random_array(dt, {7}, rng, true));
    mars_tensor *a = tensor(s, random_array(MARS_F32, {}, rng, true));
    const std::vector<mars_named> xay = {{"x", x}, {"a", a}, {"y", y}};
    expect_same(s, "x*x + a*y", xay, mars_add(mars_multiply(x, x), mars_multiply(a, y)));
    expect_same(s, "(x + 1) * y == x", xay, mars_equal(mars_multiply(mars_add(x, mars_int(s, 1)), y), x));
    expect_same(s, "where(x != y, np.abs(x), float64(y))", xay,
                mars_where(mars_not_equal(x, y), mars_absolute(x), mars_astype(y, MARS_F64)));
    expect_same(s, "t = x - y; u = t*t\n-u + x.real", xay,
                mars_add(mars_negative(mars_multiply(mars_subtract(x, y), mars_subtract(x, y))), mars_real(x)));
  }
}

TEST(Expression, OperatorsBindAsInPython) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  Rng rng(4);
  mars_tensor *x = tensor(s, random_array(MARS_F64, {33}, rng, true)), *y = tensor(s, random_array(MARS_F64, {33}, rng, true));
  mars_tensor *i = tensor(s, random_array(MARS_I64, {33}, rng, true)), *k = tensor(s, random_array(MARS_I64, {33}, rng, true));
  const std::vector<mars_named> all = {{"x", x}, {"y", y}, {"i", i}, {"k", k}, {"sin", y}};
  expect_same(s, "-x**2 + y", all, mars_add(mars_negative(mars_power(x, mars_int(s, 2))), y));
  expect_same(s, "x - y - x", all, mars_subtract(mars_subtract(x, y), x));
  expect_same(s, "x // y % x", all, mars_remainder(mars_floor_divide(x, y), x));
  expect_same(s, "i & k | ~i ^ k << 2", all,
              mars_bitwise_or(mars_bitwise_and(i, k), mars_bitwise_xor(mars_invert(i), mars_left_shift(k, mars_int(s, 2)))));
  expect_same(s, "x < y <= 1", all, mars_logical_and(mars_less(x, y), mars_less_equal(y, mars_int(s, 1))));
  expect_same(s, "sin + np.sin(x)", all, mars_add(y, mars_sin(x))); // an operand hides a function of its name
  expect_same(s, "x + 2j", all, mars_add(x, mars_complex(s, 0, 2)));
  expect_same(s, "maximum(x, -1.5e0) + clip(y, 0, 1)", all,
              mars_add(mars_maximum(x, mars_float(s, -1.5)), mars_clip(y, mars_int(s, 0), mars_int(s, 1))));
}

TEST(Expression, NumbersAmongThemselvesAreComputedAtOnce) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  Rng rng(5);
  mars_tensor *x = tensor(s, random_array(MARS_F32, {9}, rng, true));
  const std::vector<mars_named> one = {{"x", x}};
  expect_same(s, "1/4*x", one, mars_multiply(mars_float(s, 0.25), x));
  expect_same(s, "x + (7//2 - -7//2 + 2**10 % 1000 + -7 % 4)", one, mars_add(x, mars_int(s, 3 + 4 + 24 + 1)));
  expect_same(s, "2**-1 * x + 2.0**3", one, mars_add(mars_multiply(mars_float(s, 0.5), x), mars_float(s, 8)));
  expect_same(s, "x * (pi - e)", one, mars_multiply(x, mars_float(s, 3.141592653589793 - 2.718281828459045)));
  EXPECT_EQ(mars_dtype_of(mars_elementwise(s, "x*(2/3) + 1", one.data(), 1)), MARS_F32);
  // without operands: a Python-like scalar, as mars_float gives
  EXPECT_EQ(mars_dtype_of(mars_add(x, mars_elementwise(s, "1/3 + 1", nullptr, 0))), MARS_F32);
}

TEST(Expression, IsFusedWithWhatIsAroundIt) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  Rng rng(6);
  mars_tensor *x = tensor(s, random_array(MARS_F64, {100, 50}, rng, true)), *y = tensor(s, random_array(MARS_F64, {50}, rng, true));
  mars_named both[] = {{"x", x}, {"y", y}};
  mars_tensor *t = mars_sum(mars_sqrt(mars_absolute(mars_elementwise(s, "x*x - y*x + 2", both, 2))), MARS_ALL);
  double value = 0;
  mars_output o = {};
  o.tensor = t, o.sink = MARS_SINK_MEMORY, o.data = &value, o.bytes = sizeof value;
  mars_job *job = nullptr;
  mars_error err = {};
  ASSERT_TRUE(ok(mars_submit(s, &o, 1, &job, &err), err));
  ASSERT_TRUE(ok(mars_wait(job, &err), err));
  mars_stats stats;
  mars_job_get_stats(job, &stats);
  mars_job_release(job);
  bool devices = getenv("MARS_TEST_DEVICES") != nullptr; // caller memory is then copied to and from chunks by kernels of its own
  if (!devices) {
    EXPECT_LE(stats.kernels, 2); // the pass, and the copy of its result to the caller's memory
  }
  EXPECT_GT(value, 0);
}

TEST(Expression, ErrorsSayWhere) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  Rng rng(7);
  mars_tensor *x = tensor(s, random_array(MARS_F64, {3, 2}, rng, true)), *y = tensor(s, random_array(MARS_F64, {5}, rng, true));
  mars_tensor *h = tensor(s, random_array(MARS_I8, {2}, rng, true)), *b = tensor(s, random_array(MARS_BOOL, {2}, rng, true));
  const std::vector<mars_named> all = {{"x", x}, {"y", y}, {"h", h}, {"b", b}};
  const struct {
    const char *text;
    mars_status st;
    std::initializer_list<const char *> words;
  } cases[] = {
      {"x + zz*2", MARS_E_ARG, {"mars_elementwise", "line 1, column 5", "zz*2", "unknown name 'zz'", "x, y, h, b"}},
      {"x +", MARS_E_ARG, {"line 1, column 4", "(its end)"}},
      {"t = x;\nt + * x", MARS_E_ARG, {"line 2, column 5"}},
      {"x + y", MARS_E_SHAPE, {"line 1, column 3", "mars_add", "(3, 2)", "(5,)", "broadcast"}},
      {"h + 300", MARS_E_OVERFLOW, {"line 1, column 3", "300", "int8"}},
      {"b - b", MARS_E_DTYPE, {"line 1, column 3", "mars_subtract", "bool"}},
      {"x @ x", MARS_E_ARG, {"column 3", "'@'"}},
      {"sum(x)", MARS_E_ARG, {"column 1", "'sum'", "mars_sum"}},
      {"x[0]", MARS_E_ARG, {"column 2", "not elementwise"}},
      {"sin(x, x)", MARS_E_ARG, {"'sin'", "1 operand, not 2"}},
      {"foo(x)", MARS_E_ARG, {"no elementwise function 'foo'"}},
      {"where(x, y=1)", MARS_E_ARG, {"column 10", "keywords"}},
      {"x and y", MARS_E_ARG, {"'and'"}},
      {"x + 1/0", MARS_E_ARG, {"column 6", "division by zero"}},
      {"x + 9223372036854775807*2", MARS_E_ARG, {"64 bits"}},
      {"x + 9223372036854775808", MARS_E_ARG, {"64 bits"}},
      {"", MARS_E_ARG, {"empty"}},
      {"x; y", MARS_E_ARG, {"column 1", "only the last"}},
      {"a, b = x", MARS_E_ARG, {"column 4", "one name"}},
      {"x.foo", MARS_E_ARG, {"not elementwise"}},
      {"x = 'text'", MARS_E_ARG, {"column 5", "not elementwise"}},
      {"x $ y", MARS_E_ARG, {"column 3", "'$'"}},
  };
  for (const auto &c : cases) {
    SCOPED_TRACE(c.text);
    EXPECT_TRUE(is_error(mars_elementwise(s, c.text, all.data(), all.size()), c.st, c.words));
  }
  mars_named bad[] = {{"2x", x}}, twice[] = {{"x", x}, {"x", y}}, null[] = {{"x", nullptr}}, nameless[] = {{nullptr, x}};
  EXPECT_TRUE(is_error(mars_elementwise(s, "1", bad, 1), MARS_E_ARG, {"'2x'"}));
  EXPECT_TRUE(is_error(mars_elementwise(s, "1", twice, 2), MARS_E_ARG, {"two operands", "'x'"}));
  EXPECT_TRUE(is_error(mars_elementwise(s, "1", null, 1), MARS_E_MEMORY, {"operand 1 is NULL"}));
  EXPECT_TRUE(is_error(mars_elementwise(s, "1", nameless, 1), MARS_E_ARG, {"NULL"}));
  EXPECT_TRUE(is_error(mars_elementwise(s, nullptr, nullptr, 0), MARS_E_ARG, {"expression is NULL"}));
  EXPECT_TRUE(is_error(mars_elementwise(s, "x", nullptr, 1), MARS_E_ARG, {"operands is NULL"}));
  mars_named carries[] = {{"x", mars_add(x, y)}};
  EXPECT_TRUE(is_error(mars_elementwise(s, "x+1", carries, 1), MARS_E_SHAPE, {"mars_add"}));
  EXPECT_EQ(mars_elementwise(nullptr, "1", nullptr, 0), nullptr);
  std::string deep(5000, '(');
  EXPECT_TRUE(is_error(mars_elementwise(s, deep.c_str(), nullptr, 0), MARS_E_ARG, {"nest"}));
}

TEST(Expression, MemoryThatRunsOutIsAnErrorAndNothingLeaks) {
  Config config;
  config.budget = kMinimalBudget;
  Session s(config);
  mars_scope_open(s);
  Rng rng(8);
  mars_tensor *x = tensor(s, random_array(MARS_F64, {16}, rng, true));
  mars_named one[] = {{"x", x}};
  const char *text = "t = x*2.5 + 'a' * 0"; // a string: its copy is an allocation, too
  const char *good = "t = x*2.5 + sqrt(abs(x)) + 1_000; t < x < 3 < t";
  for (const char *expression : {text, good}) {
    {
      Scope scope(s);
      mars_elementwise(s, expression, one, 1);
    }
    settle(s);
    const int64_t live = shim_live_allocations(s);
    int failed = 0;
    for (int64_t n = 1;; n++) {
      Scope scope(s);
      shim_fail_allocation(s, n);
      mars_tensor *t = mars_elementwise(s, expression, one, 1);
      const bool met = shim_allocation_failed(s);
      shim_fail_allocation(s, -1);
      if (!met)
        break;
      failed++;
      mars_error err = {};
      if (t != nullptr && expression == good) {
        EXPECT_EQ(mars_check(t, &err), MARS_E_MEMORY) << err.message;
      }
    }
    EXPECT_GE(failed, 2);
    settle(s);
    EXPECT_EQ(shim_live_allocations(s), live);
  }
  mars_scope_close(s);
}

} // namespace
