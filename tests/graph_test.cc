// The tensor graph: promotion, constants, creation, random streams, reductions, compositions.
#include "tests/graph_util.h"

#include <climits>
#include <cmath>
#include <random>

using namespace graphs;

namespace {

// ---- promotion --------------------------------------------------------------------------------------------

TEST_F(Graph, StrongDtypesPromoteAndCast) {
  Tensor a = mars_random_integers(s, MARS_I8, MARS_SHAPE(3), 0, 9);
  Tensor b = mars_random_uniform(s, MARS_F32, MARS_SHAPE(2, 3), 0, 1);
  const gs_node *n = gs_node_of(mars_add(a, b));
  EXPECT_STREQ(gs_op(n), "ADD");
  EXPECT_EQ(gs_dtype(n), MARS_F32);
  EXPECT_EQ(gs_loop(n), MARS_F32);
  EXPECT_EQ(text(gs_shape(n)), "(2,3)");
  EXPECT_EQ(gs_operand(n, 1), gs_node_of(b)); // has dtype and shape already
  EXPECT_STREQ(gs_op(gs_operand(n, 0)), "CAST");
  EXPECT_STREQ(gs_op(gs_operand(gs_operand(n, 0), 0)), "VIEW");
  EXPECT_EQ(mars_dtype_of(mars_less(a, b)), MARS_BOOL);
  EXPECT_EQ(mars_dtype_of(mars_divide(a, a)), MARS_F64);
  EXPECT_EQ(mars_dtype_of(mars_sqrt(a)), MARS_F16);
  EXPECT_EQ(mars_dtype_of(mars_add(mars_ones(s, MARS_F16, MARS_SHAPE(1)), mars_ones(s, MARS_BF16, MARS_SHAPE(1)))), MARS_F32);
}

TEST_F(Graph, WeakScalarsFollowNumPy2) {
  // result of array + True, + 1, + 1.0, + 1j, by dtype of the array (NEP 50)
  const mars_dtype want[MARS_DTYPE_COUNT][4] = {
      {MARS_BOOL, MARS_I64, MARS_F64, MARS_C128}, {MARS_I8, MARS_I8, MARS_F64, MARS_C128},
      {MARS_I16, MARS_I16, MARS_F64, MARS_C128},  {MARS_I32, MARS_I32, MARS_F64, MARS_C128},
      {MARS_I64, MARS_I64, MARS_F64, MARS_C128},  {MARS_U8, MARS_U8, MARS_F64, MARS_C128},
      {MARS_U16, MARS_U16, MARS_F64, MARS_C128},  {MARS_U32, MARS_U32, MARS_F64, MARS_C128},
      {MARS_U64, MARS_U64, MARS_F64, MARS_C128},  {MARS_F16, MARS_F16, MARS_F16, MARS_C64},
      {MARS_BF16, MARS_BF16, MARS_BF16, MARS_C64}, {MARS_F32, MARS_F32, MARS_F32, MARS_C64},
      {MARS_F64, MARS_F64, MARS_F64, MARS_C128},  {MARS_C64, MARS_C64, MARS_C64, MARS_C64},
      {MARS_C128, MARS_C128, MARS_C128, MARS_C128}};
  for (int dt = 0; dt < MARS_DTYPE_COUNT; dt++) {
    Tensor a = mars_ones(s, (mars_dtype)dt, MARS_SHAPE(2));
    Tensor weak[4] = {mars_bool(s, true), mars_int(s, 1), mars_float(s, 1), mars_complex(s, 0, 1)};
    for (int k = 0; k < 4; k++) {
      EXPECT_EQ(mars_dtype_of(mars_add(a, weak[k])), want[dt][k]) << mars_dtype_name((mars_dtype)dt) << " " << k;
      EXPECT_EQ(mars_dtype_of(mars_add(weak[k], a)), want[dt][k]) << mars_dtype_name((mars_dtype)dt) << " " << k;
    }
  }
}

TEST_F(Graph, WeakStaysWeakThroughOperators) {
  Tensor three = mars_add(mars_int(s, 1), mars_int(s, 2));
  EXPECT_TRUE(gs_weak(three));
  EXPECT_EQ(mars_dtype_of(three), MARS_I64);
  EXPECT_EQ(mars_dtype_of(mars_multiply(mars_ones(s, MARS_I8, MARS_SHAPE(2)), three)), MARS_I8);
  EXPECT_TRUE(gs_weak(mars_divide(mars_int(s, 1), mars_int(s, 2))));
  EXPECT_FALSE(gs_weak(mars_sqrt(mars_float(s, 2)))); // a function: NumPy gives a float64
  EXPECT_FALSE(gs_weak(mars_where(mars_bool(s, true), mars_int(s, 1), mars_int(s, 2))));
  EXPECT_FALSE(gs_weak(mars_astype(mars_int(s, 1), MARS_I64)));
  EXPECT_EQ(mars_dtype_of(mars_add(mars_astype(mars_int(s, 1), MARS_I64), mars_ones(s, MARS_I8, MARS_SHAPE(2)))), MARS_I64);
  Tensor minus = mars_negative(mars_int(s, 3));
  EXPECT_TRUE(gs_weak(minus));
  EXPECT_STREQ(gs_op(gs_node_of(minus)), "CONST");
  EXPECT_EQ(values(minus), list({-3}));
}

TEST_F(Graph, WeakIntegersMustFit) {
  Tensor u = mars_ones(s, MARS_U8, MARS_SHAPE(2)), f = mars_ones(s, MARS_F16, MARS_SHAPE(2));
  EXPECT_EQ(error(mars_add(u, mars_int(s, 300))),
            "MARS_E_OVERFLOW: mars_add: integer 300 is out of bounds for uint8, whose values are 0 to 255");
  EXPECT_EQ(mars_check(mars_add(u, mars_negative(mars_int(s, 1))), nullptr), MARS_E_OVERFLOW);
  EXPECT_EQ(mars_check(mars_full(s, MARS_I8, MARS_SHAPE(2), mars_int(s, 128)), nullptr), MARS_E_OVERFLOW);
  EXPECT_EQ(error(mars_add(u, mars_int(s, 255))), "");
  EXPECT_EQ(error(mars_add(f, mars_int(s, 1000000))), "");
  EXPECT_EQ(error(mars_divide(u, mars_int(s, 300))), ""); // computed in float64
  // comparisons have an answer
  EXPECT_EQ(gs_loop(gs_node_of(mars_less(u, mars_int(s, 300)))), MARS_I64);
  EXPECT_EQ(gs_loop(gs_node_of(mars_less(mars_ones(s, MARS_U64, MARS_SHAPE(2)), mars_int(s, -1)))), MARS_F64);
  EXPECT_EQ(gs_loop(gs_node_of(mars_less(u, mars_int(s, 200)))), MARS_U8);
}

TEST_F(Graph, OddDtypeRules) {
  Tensor f = mars_random_uniform(s, MARS_F32, MARS_SHAPE(4), 0, 1);
  Tensor i = mars_random_integers(s, MARS_I64, MARS_SHAPE(4), 0, 9);
  Tensor h = mars_astype(f, MARS_BF16);
  EXPECT_EQ(mars_dtype_of(mars_ldexp(f, i)), MARS_F32); // not float64
  EXPECT_EQ(mars_dtype_of(mars_ldexp(h, i)), MARS_BF16);
  EXPECT_EQ(mars_dtype_of(mars_where(i, f, mars_int(s, 3))), MARS_F32);
  EXPECT_EQ(gs_dtype(gs_operand(gs_node_of(mars_where(i, f, f)), 0)), MARS_BOOL);
  EXPECT_EQ(gs_node_of(mars_positive(f)), gs_node_of(f));
  EXPECT_EQ(gs_node_of(mars_conj(f)), gs_node_of(f));
  EXPECT_EQ(gs_node_of(mars_real(i)), gs_node_of(i));
  EXPECT_EQ(mars_dtype_of(mars_float_power(i, i)), MARS_F64);
  EXPECT_EQ(mars_dtype_of(mars_clip(mars_astype(i, MARS_I8), mars_int(s, 0), mars_int(s, 9))), MARS_I8);
  EXPECT_EQ(error(mars_power(i, mars_int(s, -1))),
            "MARS_E_ARG: mars_power: integers to negative integer powers are not allowed; exponent -1, dtype int64");
  EXPECT_EQ(error(mars_power(f, mars_int(s, -1))), "");
  EXPECT_EQ(error(mars_power(i, i)), "");
}

// In f64 the large ones would be equal.
TEST_F(Graph, SignedAgainstUnsigned64ComparesValues) {
  const int64_t signed_values[] = {-1, 0, 5, INT64_MAX, INT64_MAX - 1, INT64_MIN};
  const double unsigned_values[] = {0, 5, 0x1p63, 0x1p62};
  const char *const ops[] = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"};
  for (int64_t i : signed_values)
    for (double u : unsigned_values) {
      Tensor x = mars_astype(mars_int(s, i), MARS_I64), y = mars_astype(mars_float(s, u), MARS_U64), xy[] = {x, y}, yx[] = {y, x};
      const Value a = i, b = u;
      const bool want[] = {a == b, a != b, a < b, a <= b, a > b, a >= b}, swapped[] = {a == b, a != b, b < a, b <= a, b > a, b >= a};
      for (int k = 0; k < 6; k++) {
        EXPECT_EQ(values(mars_apply(s, ops[k], xy, 2)), list({(Value)want[k]})) << ops[k] << " " << i << " " << u;
        EXPECT_EQ(values(mars_apply(s, ops[k], yx, 2)), list({(Value)swapped[k]})) << ops[k] << " " << u << " " << i;
      }
    }
  EXPECT_EQ(mars_check(mars_less(counting(s, {2}), mars_astype(counting(s, {3}), MARS_U64)), nullptr), MARS_E_SHAPE);
}

// ---- constants --------------------------------------------------------------------------------------------

TEST_F(Graph, CastsOfConstantsAreConstants) {
  struct Case {
    Tensor from;
    mars_dtype to;
    Value want;
  };
  const Value inf = INFINITY;
  Case cases[] = {
      {mars_float(s, 0.1), MARS_F32, (Value)0.1f},
      {mars_float(s, 0.1), MARS_F16, 0.0999755859375L},
      {mars_float(s, 0.1), MARS_BF16, 0.10009765625L},
      {mars_float(s, 65519.99), MARS_F16, 65504},
      {mars_float(s, 65520), MARS_F16, inf}, // a tie, to even
      {mars_float(s, 1.0 + 0x1p-11 + 0x1p-40), MARS_F16, 1 + 0x1p-10L}, // by way of f32 it would be a tie
      {mars_float(s, 0x1p-25), MARS_F16, 0},
      {mars_float(s, 0x1.8p-25), MARS_F16, 0x1p-24L},
      {mars_float(s, 3.9), MARS_I32, 3},
      {mars_float(s, -3.9), MARS_I32, -3},
      {mars_float(s, 1e10), MARS_I32, 2147483647},
      {mars_float(s, -1e10), MARS_I32, -2147483648.0L},
      {mars_float(s, NAN), MARS_I32, 0},
      {mars_float(s, -1), MARS_U8, 0},
      {mars_float(s, 300), MARS_U8, 255},
      {mars_float(s, INFINITY), MARS_U64, 18446744073709551615.0L},
      {mars_float(s, NAN), MARS_BOOL, 1},
      {mars_int(s, -1), MARS_U64, 18446744073709551615.0L},
      {mars_int(s, 300), MARS_I8, 44},
      {mars_int(s, 200), MARS_I8, -56},
      {mars_int(s, 16777217), MARS_F32, 16777216},
      {mars_complex(s, 2.5, 7), MARS_I8, 2},
      {mars_complex(s, 0, 7), MARS_BOOL, 1},
      {mars_bool(s, true), MARS_F64, 1},
  };
  for (const Case &c : cases) {
    Tensor t = mars_astype(c.from, c.to);
    ASSERT_EQ(error(t), "");
    EXPECT_STREQ(gs_op(gs_node_of(t)), "CONST");
    EXPECT_EQ(mars_dtype_of(t), c.to);
    EXPECT_EQ(gs_const_dtype(gs_node_of(t)), c.to == MARS_F16 || c.to == MARS_BF16 ? MARS_F32 : c.to);
    EXPECT_EQ(values(t)[0], c.want) << mars_dtype_name(c.to) << " of " << (double)values(c.from)[0];
  }
  Value re, im;
  gs_const(gs_node_of(mars_astype(mars_complex(s, 0.1, 0.2), MARS_C64)), &re, &im);
  EXPECT_EQ(re, (Value)0.1f);
  EXPECT_EQ(im, (Value)0.2f);
  Tensor wide = mars_broadcast_to(mars_int(s, 5), MARS_SHAPE(2, 3));
  EXPECT_STREQ(gs_op(gs_node_of(mars_transpose(wide))), "CONST");
  EXPECT_EQ(text(mars_transpose(wide)), "(3,2)");
}

// A folded cast must give what the same cast gives at run time.
TEST(Constants, CastAsTheLoopsDo) {
  std::mt19937_64 rng(11);
  std::vector<uint64_t> bits = {0, 1, ~UINT64_C(0), INT64_MAX, (uint64_t)INT64_MIN, 0x7ff0000000000000, 0x7f8000007f800000};
  auto add = [&](double d) {
    uint64_t u;
    memcpy(&u, &d, 8);
    bits.push_back(u);
    float f[2] = {(float)d, (float)(d / 3)};
    memcpy(&u, f, 8);
    bits.push_back(u);
  };
  for (double d : {0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 127.9, 128.0, 255.5, 256.0, 65504.0, 65519.9, 65520.0, 0x1p-25, 0x1.8p-25, 3.4e38})
    add(d), add(-d);
  for (int i = 0; i < 3000; i++) {
    bits.push_back(rng() >> (rng() % 64));
    add(std::ldexp((double)(int64_t)rng(), (int)(rng() % 160) - 120));
    add((1 + (double)(rng() % 4096) / 2048) * (1 + 0x1p-45 * (double)(rng() % 3)) * std::ldexp(1, (int)(rng() % 40) - 20)); // near ties
  }
  for (int from = 0; from < MARS_DTYPE_COUNT; from++)
    for (int to = 0; to < MARS_DTYPE_COUNT; to++) {
      if (from == to || from == MARS_F16 || from == MARS_BF16) continue;
      int wrong = 0;
      for (uint64_t u : bits) wrong += !gs_cast_agrees(from, to, u);
      EXPECT_EQ(wrong, 0) << mars_dtype_name((mars_dtype)from) << " to " << mars_dtype_name((mars_dtype)to);
    }
}

// ---- creation ---------------------------------------------------------------------------------------------

TEST_F(Graph, Ranges) {
  EXPECT_EQ(values(mars_arange(s, MARS_DTYPE_AUTO, 2, 10, 3)), list({2, 5, 8}));
  EXPECT_EQ(mars_dtype_of(mars_arange(s, MARS_DTYPE_AUTO, 2, 10, 3)), MARS_I64);
  EXPECT_EQ(values(mars_arange(s, MARS_DTYPE_AUTO, 0, 1, 0.25)), list({0, 0.25, 0.5, 0.75}));
  EXPECT_EQ(values(mars_arange(s, MARS_I8, 3, -4, -2)), list({3, 1, -1, -3}));
  EXPECT_EQ(values(mars_arange(s, MARS_I32, 0, 2.5, 1)), list({0, 1, 2}));
  EXPECT_EQ(values(mars_arange(s, MARS_U64, 0x1p63, 0x1p63 + 4096, 2048)), list({0x1p63L, 0x1p63L + 2048}));
  EXPECT_EQ(text(mars_arange(s, MARS_F32, 5, 1, 1)), "(0)");
  EXPECT_EQ(mars_check(mars_arange(s, MARS_F64, 0, 1, 0), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_arange(s, MARS_F64, 0, NAN, 1), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_arange(s, MARS_F64, 0, 1e300, 1), nullptr), MARS_E_OVERFLOW);
  EXPECT_EQ(mars_check(mars_arange(s, MARS_I8, 0, 200, 1), nullptr), MARS_E_OVERFLOW);
  EXPECT_EQ(mars_check(mars_arange(s, MARS_U8, -1, 2, 1), nullptr), MARS_E_OVERFLOW);
  EXPECT_EQ(mars_check(mars_arange(s, MARS_I8, 0.5, 2, 1), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_arange(s, MARS_BOOL, 0, 2, 1), nullptr), MARS_E_DTYPE);

  EXPECT_EQ(values(mars_linspace(s, MARS_F64, 0, 1, 5, true)), list({0, 0.25, 0.5, 0.75, 1}));
  EXPECT_EQ(values(mars_linspace(s, MARS_F64, 0, 1, 4, false)), list({0, 0.25, 0.5, 0.75}));
  EXPECT_EQ(values(mars_linspace(s, MARS_F64, 7, 9, 1, true)), list({7}));
  EXPECT_EQ(values(mars_linspace(s, MARS_I32, -1, 1, 4, true)), list({-1, -1, 0, 1}));
  EXPECT_EQ(values(mars_linspace(s, MARS_F64, 0.1, 0.7, 100, true)).back(), (Value)0.7);
  EXPECT_EQ(mars_check(mars_linspace(s, MARS_F64, 0, 1, -1, true), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_linspace(s, MARS_F64, -1e308, 1e308, 3, true), nullptr), MARS_E_OVERFLOW);

  EXPECT_EQ(values(mars_eye(s, MARS_F32, 2, 3, 1)), list({0, 1, 0, 0, 0, 1}));
  EXPECT_EQ(values(mars_eye(s, MARS_I8, 2, 2, INT64_MAX)), list({0, 0, 0, 0}));
  EXPECT_EQ(values(mars_eye(s, MARS_I8, 2, 2, INT64_MIN)), list({0, 0, 0, 0}));
  EXPECT_EQ(values(mars_iota(s, MARS_F32, MARS_SHAPE(2, 2), 0)), list({0, 0, 1, 1}));
  EXPECT_EQ(mars_check(mars_iota(s, MARS_I8, MARS_SHAPE(129), 0), nullptr), MARS_E_OVERFLOW);
  EXPECT_EQ(mars_check(mars_iota(s, MARS_I8, MARS_SHAPE_0D, 0), nullptr), MARS_E_AXIS);
}

TEST_F(Graph, Constants) {
  EXPECT_EQ(values(mars_full(s, MARS_DTYPE_AUTO, MARS_SHAPE(2), mars_int(s, 7))), list({7, 7}));
  EXPECT_EQ(mars_dtype_of(mars_full_like(mars_ones(s, MARS_U8, MARS_SHAPE(2)), mars_float(s, 7.5))), MARS_U8);
  EXPECT_EQ(gs_node_of(mars_empty(s, MARS_F32, MARS_SHAPE(2))), gs_node_of(mars_zeros(s, MARS_F32, MARS_SHAPE(2))));
  EXPECT_EQ(values(mars_ones_like(mars_zeros(s, MARS_C64, MARS_SHAPE(1)))), list({1}));
  EXPECT_EQ(error(mars_zeros(s, MARS_F64, MARS_SHAPE(2, -3))), "MARS_E_SHAPE: mars_zeros: extent -3 of axis 1 is negative");
  EXPECT_EQ(mars_check(mars_zeros(s, (mars_dtype)15, MARS_SHAPE(2)), nullptr), MARS_E_DTYPE);
  EXPECT_EQ(mars_check(mars_zeros(s, MARS_F64, mars_shape{17, {}}), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(mars_check(mars_zeros(s, MARS_F64, mars_shape{-1, {}}), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(mars_check(mars_zeros(s, MARS_F64, MARS_SHAPE(INT64_C(1) << 31, INT64_C(1) << 31)), nullptr), MARS_E_OVERFLOW);
  EXPECT_EQ(text(mars_zeros(s, MARS_F64, MARS_SHAPE(INT64_MAX, INT64_MAX, 0))), "(9223372036854775807,9223372036854775807,0)");
  EXPECT_EQ(mars_check(mars_full(s, MARS_F64, MARS_SHAPE(2), counting(s, {1})), nullptr), MARS_E_SHAPE);
}

// ---- random -----------------------------------------------------------------------------------------------

TEST_F(Graph, RandomStreams) {
  Tensor a = mars_random_uniform(s, MARS_DTYPE_AUTO, MARS_SHAPE(4), 0, 1), b = mars_random_uniform(s, MARS_F64, MARS_SHAPE(4), 0, 1);
  EXPECT_NE(gs_node_of(a), gs_node_of(b));
  EXPECT_EQ(gs_stream(gs_node_of(b)), gs_stream(gs_node_of(a)) + 1);
  mars_random_seed(s, 5);
  Tensor c = mars_random_uniform(s, MARS_F64, MARS_SHAPE(4), 0, 1);
  mars_random_seed(s, 5);
  EXPECT_EQ(gs_node_of(mars_random_uniform(s, MARS_F64, MARS_SHAPE(4), 0, 1)), gs_node_of(c));
  EXPECT_EQ(gs_seed(gs_node_of(c)), 5u);
  Tensor h = mars_random_uniform(s, MARS_F16, MARS_SHAPE(4), 0, 1);
  EXPECT_STREQ(gs_op(gs_node_of(h)), "CAST");
  EXPECT_EQ(gs_dtype(gs_operand(gs_node_of(h), 0)), MARS_F32);
  EXPECT_STREQ(gs_op(gs_node_of(mars_random_uniform(s, MARS_F64, MARS_SHAPE(4), 2, 2))), "CONST");
  EXPECT_STREQ(gs_op(gs_node_of(mars_random_normal(s, MARS_F32, MARS_SHAPE(4), 1, 2))), "ADD");
  EXPECT_STREQ(gs_op(gs_node_of(mars_random_exponential(s, MARS_F32, MARS_SHAPE(4), 1))), "EXPONENTIAL");
  EXPECT_EQ(mars_dtype_of(mars_random_bernoulli(s, MARS_SHAPE(4), 0.5)), MARS_BOOL);
  EXPECT_EQ(mars_check(mars_random_bernoulli(s, MARS_SHAPE(4), 1.5), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_random_uniform(s, MARS_I8, MARS_SHAPE(4), 0, 1), nullptr), MARS_E_DTYPE);
  EXPECT_EQ(mars_check(mars_random_uniform(s, MARS_F64, MARS_SHAPE(4), 1, 0), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_random_uniform(s, MARS_F32, MARS_SHAPE(4), 0, 1e300), nullptr), MARS_E_OVERFLOW);
  EXPECT_EQ(mars_check(mars_random_normal(s, MARS_F64, MARS_SHAPE(4), 0, -1), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_random_integers(s, MARS_I8, MARS_SHAPE(4), 3, 3), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_random_integers(s, MARS_I8, MARS_SHAPE(4), 0, 129), nullptr), MARS_E_OVERFLOW);
  EXPECT_EQ(error(mars_random_integers(s, MARS_I8, MARS_SHAPE(4), 0, 128)), "");
  EXPECT_EQ(error(mars_random_integers(s, MARS_I64, MARS_SHAPE(4), INT64_MIN, INT64_MAX)), "");
}

// ---- reductions and scans ---------------------------------------------------------------------------------

TEST_F(Graph, Reductions) {
  Tensor f = mars_random_uniform(s, MARS_F32, MARS_SHAPE(2, 3, 4), 0, 1), i = mars_random_integers(s, MARS_U8, MARS_SHAPE(5), 0, 9);
  const gs_node *n = gs_node_of(mars_sum(f, MARS_AXES(-1, 0)));
  EXPECT_STREQ(gs_op(n), "SUM");
  EXPECT_EQ(gs_mask(n), 5u);
  EXPECT_EQ(text(gs_shape(n)), "(3)");
  EXPECT_EQ(gs_operand(n, 0), gs_node_of(f));
  EXPECT_EQ(mars_dtype_of(mars_sum(i, MARS_ALL)), MARS_U64);
  EXPECT_EQ(gs_dtype(gs_operand(gs_node_of(mars_sum(i, MARS_ALL)), 0)), MARS_U8);
  EXPECT_EQ(mars_dtype_of(mars_mean(i, MARS_ALL)), MARS_F64);
  EXPECT_EQ(mars_dtype_of(mars_argmax(f, MARS_AXES(1))), MARS_I64);

  mars_reduce_options o = {MARS_AXES(1), true, 1, false, MARS_BOOL};
  EXPECT_EQ(text(mars_std_opt(f, &o)), "(2,1,4)");
  EXPECT_EQ(gs_ddof(gs_operand(gs_node_of(mars_std_opt(f, &o)), 0)), 1);
  EXPECT_EQ(gs_ddof(gs_operand(gs_node_of(mars_sum_opt(f, &o)), 0)), 0); // no ddof: equal sums stay one node
  o = {MARS_ALL, false, 0, true, MARS_F64};
  EXPECT_EQ(mars_dtype_of(mars_sum_opt(i, &o)), MARS_F64);
  o.dtype = MARS_I8;
  EXPECT_EQ(mars_dtype_of(mars_prod_opt(i, &o)), MARS_I8);
  o.dtype = MARS_BOOL;
  EXPECT_STREQ(gs_op(gs_node_of(mars_sum_opt(i, &o))), "ANY");
  EXPECT_EQ(mars_check(mars_max_opt(i, &o), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_mean_opt(i, &o), nullptr), MARS_E_DTYPE);
  EXPECT_EQ(text(mars_sum_opt(f, nullptr)), "()");

  // NaN variants: the planner sees plain rows where it can
  EXPECT_STREQ(gs_op(gs_node_of(mars_nansum(f, MARS_ALL))), "SUM");
  EXPECT_STREQ(gs_op(gs_operand(gs_node_of(mars_nanprod(f, MARS_ALL)), 0)), "WHERE");
  EXPECT_EQ(gs_node_of(mars_nansum(i, MARS_ALL)), gs_node_of(mars_sum(i, MARS_ALL)));
  EXPECT_STREQ(gs_op(gs_node_of(mars_nanmax(i, MARS_ALL))), "MAX");
  EXPECT_STREQ(gs_op(gs_node_of(mars_nanmax(f, MARS_ALL))), "NANMAX");

  // no axes, no dimensions
  EXPECT_EQ(text(mars_sum(f, mars_axes{0, {}})), "(2,3,4)");
  EXPECT_EQ(gs_mask(gs_node_of(mars_var(f, mars_axes{0, {}}))), 1u);
  EXPECT_EQ(text(mars_sum(mars_sum(f, MARS_ALL), MARS_ALL)), "()");
  EXPECT_EQ(gs_mask(gs_node_of(mars_argmin(mars_sum(f, MARS_ALL), MARS_ALL))), 1u);
  mars_shape deep = {16, {2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3}};
  EXPECT_EQ(text(mars_max(mars_random_uniform(s, MARS_F32, deep, 0, 1), mars_axes{0, {}})), text(deep));

  EXPECT_EQ(error(mars_sum(f, MARS_AXES(3))),
            "MARS_E_AXIS: mars_sum: axis 3 is out of range for 3 dimensions; it must be in [-3, 2]");
  EXPECT_EQ(error(mars_sum(f, MARS_AXES(1, -2))), "MARS_E_AXIS: mars_sum: axis 1 is given twice");
  EXPECT_EQ(mars_check(mars_sum(mars_int(s, 1), MARS_AXES(0)), nullptr), MARS_E_AXIS);
  EXPECT_EQ(mars_check(mars_sum(f, mars_axes{17, {}}), nullptr), MARS_E_AXIS);
  o = {MARS_ALL, false, NAN, false, MARS_BOOL};
  EXPECT_EQ(mars_check(mars_var_opt(f, &o), nullptr), MARS_E_ARG);
}

TEST_F(Graph, ReductionsOfNothing) {
  Tensor z = mars_zeros(s, MARS_F32, MARS_SHAPE(0, 3));
  EXPECT_EQ(values(mars_sum(z, MARS_AXES(0))), list({0, 0, 0}));
  EXPECT_EQ(values(mars_prod(z, MARS_ALL)), list({1}));
  EXPECT_EQ(values(mars_all(z, MARS_ALL)), list({1}));
  EXPECT_EQ(values(mars_any(z, MARS_ALL)), list({0}));
  EXPECT_EQ(values(mars_count_nonzero(z, MARS_ALL)), list({0}));
  EXPECT_TRUE(std::isnan(values(mars_mean(z, MARS_ALL))[0]));
  EXPECT_TRUE(std::isnan(values(mars_nanstd(z, MARS_ALL))[0]));
  EXPECT_EQ(text(mars_max(z, MARS_AXES(1))), "(0)");
  EXPECT_EQ(error(mars_max(z, MARS_AXES(0))), "MARS_E_SHAPE: mars_max: of no elements (shape (0, 3)), which has no identity");
  EXPECT_EQ(mars_check(mars_argmin(z, MARS_ALL), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(mars_check(mars_nanargmin(z, MARS_ALL), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(text(mars_cumsum(z, 0)), "(0,3)");
  EXPECT_EQ(text(mars_add(z, mars_float(s, 1))), "(0,3)");
  EXPECT_EQ(text(mars_random_uniform(s, MARS_F32, MARS_SHAPE(0), 0, 1)), "(0)");
}

TEST_F(Graph, Scans) {
  Tensor i = mars_random_integers(s, MARS_I8, MARS_SHAPE(2, 3), 0, 9);
  const gs_node *n = gs_node_of(mars_cumsum(i, -1));
  EXPECT_STREQ(gs_op(n), "CUMSUM");
  EXPECT_EQ(gs_axis(n), 1);
  EXPECT_EQ(gs_dtype(gs_operand(n, 0)), MARS_I64);
  EXPECT_EQ(text(mars_cumprod(mars_float(s, 1), 0)), "(1)");
  EXPECT_EQ(mars_check(mars_cumsum(i, 2), nullptr), MARS_E_AXIS);
  mars_reduce_options o = {MARS_ALL, false, 0, true, MARS_F32};
  EXPECT_EQ(text(mars_apply_reduce("cumsum", i, &o)), "(6)");
  EXPECT_EQ(mars_dtype_of(mars_apply_reduce("cumsum", i, &o)), MARS_F32);
  o.axes = MARS_AXES(0, 1);
  EXPECT_EQ(mars_check(mars_apply_reduce("cumsum", i, &o), nullptr), MARS_E_AXIS);
}

// ---- compositions -----------------------------------------------------------------------------------------

TEST_F(Graph, Compositions) {
  double data[] = {1.25, NAN, INFINITY, -INFINITY};
  std::vector<Tensor> parts;
  for (double d : data) parts.push_back(mars_expand_dims(mars_float(s, d), 0));
  Tensor t = mars_concatenate(parts.data(), parts.size(), 0);
  const Value big = 1.7976931348623157e308L;
  EXPECT_EQ(values(mars_nan_to_num(t)), list({1.25, 0, (double)big, -(double)big}));
  EXPECT_EQ(values(mars_isposinf(t)), list({0, 0, 1, 0}));
  EXPECT_EQ(values(mars_isneginf(t)), list({0, 0, 0, 1}));
  Tensor i = counting(s, {3});
  EXPECT_EQ(gs_node_of(mars_nan_to_num(i)), gs_node_of(i));
  EXPECT_EQ(values(mars_isposinf(i)), list({0, 0, 0}));
  EXPECT_EQ(mars_check(mars_isposinf(mars_complex(s, 0, 1)), nullptr), MARS_E_DTYPE);
  EXPECT_EQ(gs_node_of(mars_round(i, 2)), gs_node_of(i));
  EXPECT_EQ(values(mars_round(mars_add(i, mars_int(s, 14)), -1)), list({10, 20, 20})); // 14, 15, 16: ties to even
  EXPECT_EQ(values(mars_round(mars_arange(s, MARS_F64, 0.125, 0.5, 0.25), 1)), list({0.1, 0.4}));
  EXPECT_EQ(mars_dtype_of(mars_round(mars_astype(i, MARS_F16), 1)), MARS_F16);
  EXPECT_EQ(mars_dtype_of(mars_nan_to_num(mars_astype(t, MARS_C64))), MARS_C64);
  EXPECT_EQ(mars_check(mars_round(i, 400), nullptr), MARS_E_ARG);

  Tensor x, y;
  mars_divmod(i, mars_int(s, 2), &x, &y);
  EXPECT_STREQ(gs_op(gs_node_of(x)), "FLOOR_DIVIDE");
  EXPECT_STREQ(gs_op(gs_node_of(y)), "REMAINDER");
  mars_modf(i, &x, &y);
  EXPECT_EQ(mars_dtype_of(x), MARS_F64);
  EXPECT_EQ(mars_dtype_of(y), MARS_F64);
  mars_frexp(t, &x, &y);
  EXPECT_EQ(mars_dtype_of(y), MARS_I32);
  mars_frexp(mars_complex(s, 1, 1), &x, &y);
  EXPECT_EQ(mars_check(x, nullptr), MARS_E_DTYPE);
  EXPECT_EQ(mars_check(y, nullptr), MARS_E_DTYPE);
  mars_modf(t, nullptr, nullptr);

  Tensor operands[] = {i, t};
  EXPECT_EQ(gs_node_of(mars_apply(s, "add", operands, 1)), nullptr);
  Tensor two[] = {i, i};
  EXPECT_EQ(gs_node_of(mars_apply(s, "add", two, 2)), gs_node_of(mars_add(i, i)));
  EXPECT_EQ(error(mars_apply(s, "ad", two, 2)), "MARS_E_ARG: mars_apply: there is no op 'ad'; mars_op_table lists them");
  EXPECT_EQ(mars_check(mars_apply(s, "sum", two, 1), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_apply(s, nullptr, nullptr, 0), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_apply_reduce("add", i, nullptr), nullptr), MARS_E_ARG);
  EXPECT_EQ(gs_node_of(mars_apply_reduce("sum", i, nullptr)), gs_node_of(mars_sum(i, MARS_ALL)));
}

} // namespace
