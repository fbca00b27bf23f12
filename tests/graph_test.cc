// The tensor graph: promotion, broadcasting, views, hash-consing, scopes, errors, failing allocations. Nothing is run:
// node graphs are evaluated here, one element at a time.
#include "tests/graph_shim.h"
#include <gtest/gtest.h>
#include <climits>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using Tensor = mars_tensor *;
using Index = std::vector<int64_t>;

class Graph : public testing::Test {
protected:
  void SetUp() override {
    mars_error err;
    ASSERT_EQ(mars_session_create(nullptr, &s, &err), MARS_OK) << err.message;
  }
  void TearDown() override { mars_session_destroy(s); }
  mars_session *s = nullptr;
};

mars_shape shape_of(const Index &dims) {
  mars_shape shape = {(int)dims.size(), {}};
  for (size_t d = 0; d < dims.size(); d++) shape.dims[d] = dims[d];
  return shape;
}

std::string text(const mars_shape &shape) {
  std::string t = "(";
  for (int d = 0; d < shape.ndim; d++) t += (d ? "," : "") + std::to_string(shape.dims[d]);
  return t + ")";
}

std::string text(Tensor t) { return text(mars_shape_of(t)); }

std::string error(Tensor t) {
  mars_error err;
  if (mars_check(t, &err) == MARS_OK) return "";
  return std::string(mars_status_name(err.status)) + ": " + err.message;
}

// ---- a naive evaluator ------------------------------------------------------------------------------------

using Value = long double; // 64-bit mantissa: int64 and uint64 exactly

Value to_dtype(Value v, int dt) {
  switch (dt) {
  case MARS_BOOL: return v != 0;
  case MARS_F32: return (float)v;
  case MARS_F64: return (double)v;
  case MARS_F16:
  case MARS_BF16: return v; // only values that halves hold are used here
  case MARS_C64:
  case MARS_C128: return v;
  }
  if (std::isnan(v)) return 0;
  int bits = 8 * (int)mars_dtype_bytes((mars_dtype)dt);
  Value m = std::ldexp((Value)1, bits);
  v = std::fmod(std::trunc(v), m);
  if (v < 0) v += m;
  return dt <= MARS_I64 && v >= m / 2 ? v - m : v;
}

Value element(const gs_node *n, const Index &at);

Value element_of_op(const std::string &op, const std::vector<Value> &x, int loop) {
  if (op == "ADD") return to_dtype(x[0] + x[1], loop);
  if (op == "MULTIPLY") return to_dtype(x[0] * x[1], loop);
  if (op == "DIVIDE") return to_dtype(x[0] / x[1], loop);
  if (op == "EQUAL") return x[0] == x[1];
  if (op == "NOT_EQUAL") return x[0] != x[1];
  if (op == "LESS") return x[0] < x[1];
  if (op == "LESS_EQUAL") return x[0] <= x[1];
  if (op == "GREATER") return x[0] > x[1];
  if (op == "GREATER_EQUAL") return x[0] >= x[1];
  if (op == "LOGICAL_AND") return x[0] != 0 && x[1] != 0;
  if (op == "LOGICAL_OR") return x[0] != 0 || x[1] != 0;
  if (op == "WHERE") return x[0] != 0 ? x[1] : x[2];
  if (op == "ISNAN") return std::isnan(x[0]);
  if (op == "FLOOR") return std::floor(x[0]);
  if (op == "RINT") return std::nearbyint(x[0]);
  ADD_FAILURE() << "no evaluator for " << op;
  return 0;
}

Index unravel(int64_t linear, const mars_shape &shape) {
  Index at((size_t)shape.ndim);
  for (int d = shape.ndim - 1; d >= 0; d--) {
    at[(size_t)d] = linear % shape.dims[d];
    linear /= shape.dims[d];
  }
  return at;
}

int64_t ravel(const Index &at, const mars_shape &shape) {
  int64_t linear = 0;
  for (int d = 0; d < shape.ndim; d++) linear = linear * shape.dims[d] + at[(size_t)d];
  return linear;
}

Value element(const gs_node *n, const Index &at) {
  std::string op = gs_op(n);
  mars_shape shape = gs_shape(n);
  for (int d = 0; d < shape.ndim; d++) {
    EXPECT_GE(at[(size_t)d], 0);
    EXPECT_LT(at[(size_t)d], shape.dims[d]);
  }
  if (op == "CONST") {
    Value re, im;
    gs_const(n, &re, &im);
    return re;
  }
  if (op == "IOTA") return at[(size_t)gs_axis(n)];
  const gs_node *first = gs_operand(n, 0);
  if (op == "VIEW") {
    Index in;
    for (int d = 0; d < gs_shape(first).ndim; d++) {
      int axis;
      int64_t start, step;
      gs_view(n, d, &axis, &start, &step);
      in.push_back(start + step * (axis < 0 ? 0 : at[(size_t)axis]));
    }
    return element(first, in);
  }
  if (op == "RESHAPE") return element(first, unravel(ravel(at, shape), gs_shape(first)));
  if (op == "CAST") return to_dtype(element(first, at), gs_dtype(n));
  if (op == "CONCAT") {
    Index in = at;
    for (int i = 0; i < gs_n_operands(n); i++) {
      int64_t extent = gs_shape(gs_operand(n, i)).dims[gs_axis(n)];
      if (in[(size_t)gs_axis(n)] < extent) return element(gs_operand(n, i), in);
      in[(size_t)gs_axis(n)] -= extent;
    }
  }
  std::vector<Value> x;
  for (int i = 0; i < gs_n_operands(n); i++) {
    EXPECT_EQ(text(gs_shape(gs_operand(n, i))), text(shape)) << op;
    if (op != "WHERE" || i > 0) { EXPECT_EQ(gs_dtype(gs_operand(n, i)), gs_loop(n)) << op; }
    x.push_back(element(gs_operand(n, i), at));
  }
  return element_of_op(op, x, gs_loop(n));
}

std::vector<Value> values(Tensor t) {
  EXPECT_EQ(error(t), "");
  std::vector<Value> v;
  if (!error(t).empty()) return v;
  for (int64_t i = 0; i < mars_size_of(t); i++) v.push_back(element(gs_node_of(t), unravel(i, mars_shape_of(t))));
  return v;
}

std::vector<Value> list(std::initializer_list<Value> v) { return v; }

// 0, 1, 2, ... in C order; a graph of its own, so that nothing folds
Tensor counting(mars_session *s, const Index &dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return mars_reshape(mars_arange(s, MARS_I64, 0, (double)n, 1), shape_of(dims));
}

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

// ---- broadcasting -----------------------------------------------------------------------------------------

TEST_F(Graph, Broadcasting) {
  struct Case {
    Index a, b;
    const char *want; // nullptr: error
  };
  const Case cases[] = {
      {{}, {}, "()"},           {{3}, {}, "(3)"},          {{2, 1}, {3}, "(2,3)"},        {{2, 1, 4}, {3, 1}, "(2,3,4)"},
      {{0}, {1}, "(0)"},        {{1, 0}, {5, 1}, "(5,0)"}, {{0}, {2}, nullptr},           {{2, 3}, {2}, nullptr},
      {{2, 3}, {3, 2}, nullptr}, {{1, 1, 1}, {4}, "(1,1,4)"}};
  for (const Case &c : cases) {
    Tensor a = counting(s, c.a), b = counting(s, c.b), sum = mars_add(a, b);
    if (c.want == nullptr) {
      EXPECT_EQ(mars_check(sum, nullptr), MARS_E_SHAPE);
      continue;
    }
    EXPECT_EQ(text(sum), c.want);
    std::vector<Value> got = values(sum), x = values(a), y = values(b);
    for (size_t i = 0; i < got.size(); i++) {
      Index at = unravel((int64_t)i, mars_shape_of(sum));
      auto pick = [&](const std::vector<Value> &v, const Index &dims) {
        int64_t linear = 0;
        for (size_t d = 0; d < dims.size(); d++) {
          int64_t k = at[at.size() - dims.size() + d];
          linear = linear * dims[d] + (dims[d] == 1 ? 0 : k);
        }
        return v[(size_t)linear];
      };
      EXPECT_EQ(got[i], pick(x, c.a) + pick(y, c.b));
    }
  }
  EXPECT_EQ(error(mars_add(counting(s, {2, 3}), mars_astype(counting(s, {4}), MARS_F32))),
            "MARS_E_SHAPE: mars_add: int64 (2, 3) and float32 (4,) do not broadcast; extents, paired from the last, must be "
            "equal or 1");
  Tensor big = mars_iota(s, MARS_I8, MARS_SHAPE(INT64_C(1) << 40, 1), 1), row = mars_reshape(big, MARS_SHAPE(1, INT64_C(1) << 40));
  EXPECT_EQ(mars_check(mars_add(big, row), nullptr), MARS_E_OVERFLOW);
  EXPECT_EQ(text(mars_broadcast_to(counting(s, {3, 1}), MARS_SHAPE(2, 3, 4))), "(2,3,4)");
  EXPECT_EQ(mars_check(mars_broadcast_to(counting(s, {3}), MARS_SHAPE(3, 1)), nullptr), MARS_E_SHAPE);
}

// ---- indexing ---------------------------------------------------------------------------------------------

// Python's rule by walking: which positions of [0, extent) does start:stop:step take?
Index walk(const mars_slice &item, int64_t extent) {
  Index out;
  int64_t step = item.step == MARS_NONE ? 1 : item.step;
  int64_t at = item.start, end = item.stop;
  if (at == MARS_NONE) at = step > 0 ? 0 : extent - 1;
  else if (at < 0) at += extent;
  if (end != MARS_NONE && end < 0) end += extent;
  if (step > 0)
    for (at = std::max<int64_t>(at, 0); at < extent && (end == MARS_NONE || at < end); at += step) out.push_back(at);
  else
    for (at = std::min(at, extent - 1); at >= 0 && (end == MARS_NONE || at > end); at += step) out.push_back(at);
  return out;
}

TEST_F(Graph, IndexMatchesNaiveReference) {
  std::mt19937 rng(7);
  auto below = [&](int n) { return (int64_t)(rng() % (unsigned)n); };
  for (int round = 0; round < 3000; round++) {
    Index dims;
    for (int64_t d = below(4); d >= 0; d--) dims.push_back(below(6));
    mars_scope_open(s);
    Tensor t = counting(s, dims);
    // positions[d]: what the index takes of axis d; -1 in shape: dropped
    std::vector<mars_slice> items;
    std::vector<Index> positions;
    Index result;
    size_t axis = 0, ellipsis_at = rng() % 8;
    bool legal = true;
    while (axis < dims.size() && below(8) != 0) {
      if (items.size() == ellipsis_at) {
        items.push_back({MARS_SLICE_ELLIPSIS, 0, 0, 0});
        for (int64_t skip = below((int)(dims.size() - axis) + 1); skip > 0; skip--, axis++) {
          positions.push_back(walk({MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, MARS_NONE}, dims[axis]));
          result.push_back((int64_t)positions.back().size());
        }
        if (axis < dims.size()) { // the rest must be indexed, or the ellipsis would take it
          for (; axis < dims.size(); axis++) {
            items.push_back({MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, 1});
            positions.push_back(walk(items.back(), dims[axis]));
            result.push_back(dims[axis]);
          }
        }
        break;
      }
      switch (below(4)) {
      case 0:
        items.push_back({MARS_SLICE_NEWAXIS, 0, 0, 0});
        result.push_back(1);
        break;
      case 1: {
        int64_t at = below(9) - 4;
        items.push_back({MARS_SLICE_INTEGER, at, 0, 0});
        legal = legal && at >= -dims[axis] && at < dims[axis];
        positions.push_back({at < 0 ? at + dims[axis] : at});
        axis++;
        break;
      }
      default: {
        const int64_t steps[] = {1, 2, 3, -1, -2, 5, MARS_NONE, INT64_MAX, -INT64_MAX};
        mars_slice item = {MARS_SLICE_RANGE, below(4) ? below(16) - 8 : MARS_NONE, below(4) ? below(16) - 8 : MARS_NONE,
                           steps[below(7)]};
        items.push_back(item);
        positions.push_back(walk(item, dims[axis]));
        result.push_back((int64_t)positions.back().size());
        axis++;
      }
      }
    }
    for (; axis < dims.size(); axis++) {
      positions.push_back(walk({MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, 1}, dims[axis]));
      result.push_back(dims[axis]);
    }
    Tensor got = mars_index(t, items.data(), items.size());
    if (!legal) {
      EXPECT_EQ(mars_check(got, nullptr), MARS_E_INDEX);
      mars_scope_close(s);
      continue;
    }
    ASSERT_EQ(text(got), text(shape_of(result))) << round;
    std::vector<Value> want;
    std::function<void(size_t, int64_t)> enumerate = [&](size_t d, int64_t linear) {
      if (d == dims.size()) {
        want.push_back(linear);
        return;
      }
      for (int64_t p : positions[d]) enumerate(d + 1, linear * dims[d] + p);
    };
    enumerate(0, 0);
    ASSERT_EQ(values(got), want) << round;
    // and once more: views of views are one view
    Tensor twice = mars_flip(got, MARS_ALL);
    std::vector<Value> reversed(want.rbegin(), want.rend());
    ASSERT_EQ(values(twice), reversed) << round;
    const gs_node *n = gs_node_of(twice);
    if (std::string(gs_op(n)) == "VIEW") { EXPECT_STRNE(gs_op(gs_operand(n, 0)), "VIEW"); }
    mars_scope_close(s);
  }
}

TEST_F(Graph, IndexExtremes) {
  Tensor t = counting(s, {5});
  auto range = [&](int64_t a, int64_t b, int64_t c) {
    mars_slice item = {MARS_SLICE_RANGE, a, b, c};
    return values(mars_index(t, &item, 1));
  };
  EXPECT_EQ(range(INT64_MIN + 1, INT64_MAX, 1), list({0, 1, 2, 3, 4}));
  EXPECT_EQ(range(INT64_MAX, INT64_MIN + 1, -1), list({4, 3, 2, 1, 0}));
  EXPECT_EQ(range(1, MARS_NONE, INT64_MAX), list({1}));
  EXPECT_EQ(range(MARS_NONE, MARS_NONE, -INT64_MAX), list({4}));
  EXPECT_EQ(range(3, 3, INT64_MAX), list({}));
  EXPECT_EQ(range(-100, 2, 2), list({0}));
  mars_slice five = {MARS_SLICE_INTEGER, 5, 0, 0}, zero = {MARS_SLICE_RANGE, 0, 3, 0};
  mars_slice two[2] = {five, five}, dots[2] = {{MARS_SLICE_ELLIPSIS, 0, 0, 0}, {MARS_SLICE_ELLIPSIS, 0, 0, 0}};
  EXPECT_EQ(error(mars_index(t, &five, 1)), "MARS_E_INDEX: mars_index: index 5 is out of range for axis 0 of extent 5");
  EXPECT_EQ(error(mars_index(t, two, 2)), "MARS_E_INDEX: mars_index: too many indices: 2 for a tensor of 1 dimensions");
  EXPECT_EQ(mars_check(mars_index(t, dots, 2), nullptr), MARS_E_INDEX);
  EXPECT_EQ(mars_check(mars_index(t, &zero, 1), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_index(t, nullptr, 1), nullptr), MARS_E_ARG);
  EXPECT_EQ(gs_node_of(mars_index(t, nullptr, 0)), gs_node_of(t));
  std::vector<mars_slice> many(17, {MARS_SLICE_NEWAXIS, 0, 0, 0});
  EXPECT_EQ(mars_check(mars_index(t, many.data(), many.size()), nullptr), MARS_E_SHAPE);
}

// ---- other views ------------------------------------------------------------------------------------------

TEST_F(Graph, ReshapesCollapse) {
  Tensor t = mars_random_uniform(s, MARS_F64, MARS_SHAPE(4, 6), 0, 1);
  Tensor r = mars_reshape(t, MARS_SHAPE(2, 12));
  EXPECT_STREQ(gs_op(gs_node_of(r)), "RESHAPE");
  EXPECT_EQ(gs_operand(gs_node_of(mars_reshape(r, MARS_SHAPE(3, -1))), 0), gs_node_of(t));
  EXPECT_EQ(text(mars_reshape(r, MARS_SHAPE(3, -1))), "(3,8)");
  EXPECT_EQ(gs_node_of(mars_reshape(r, MARS_SHAPE(4, 6))), gs_node_of(t));
  EXPECT_STREQ(gs_op(gs_node_of(mars_reshape(t, MARS_SHAPE(4, 1, 6, 1)))), "VIEW");
  EXPECT_EQ(gs_node_of(mars_reshape(mars_reshape(t, MARS_SHAPE(4, 1, 6, 1)), MARS_SHAPE(4, 6))), gs_node_of(t));
  EXPECT_EQ(text(mars_ravel(t)), "(24)");
  EXPECT_EQ(text(mars_reshape(mars_zeros(s, MARS_F32, MARS_SHAPE(0, 3)), MARS_SHAPE(-1, 5))), "(0,5)");
  EXPECT_EQ(error(mars_reshape(t, MARS_SHAPE(5, -1))),
            "MARS_E_SHAPE: mars_reshape: shape (4, 6) of 24 elements cannot become (5, -1)");
  EXPECT_EQ(mars_check(mars_reshape(t, MARS_SHAPE(-1, -1)), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(mars_check(mars_reshape(t, MARS_SHAPE(-2, -12)), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(mars_check(mars_reshape(mars_zeros(s, MARS_F32, MARS_SHAPE(0)), MARS_SHAPE(0, -1)), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(text(mars_reshape(mars_float(s, 1), MARS_SHAPE(1, 1))), "(1,1)");
}

TEST_F(Graph, Permutations) {
  Tensor t = counting(s, {2, 3, 4});
  EXPECT_EQ(text(mars_transpose(t)), "(4,3,2)");
  EXPECT_EQ(gs_node_of(mars_transpose(mars_transpose(t))), gs_node_of(t));
  EXPECT_EQ(text(mars_permute_dims(t, MARS_AXES(1, -1, 0))), "(3,4,2)");
  EXPECT_EQ(text(mars_swapaxes(t, 0, -1)), "(4,3,2)");
  EXPECT_EQ(text(mars_moveaxis(t, 0, -1)), "(3,4,2)");
  EXPECT_EQ(text(mars_moveaxis(t, 2, 0)), "(4,2,3)");
  EXPECT_EQ(text(mars_expand_dims(t, -1)), "(2,3,4,1)");
  EXPECT_EQ(text(mars_squeeze(mars_expand_dims(mars_expand_dims(t, 0), 2), MARS_ALL)), "(2,3,4)");
  EXPECT_EQ(text(mars_squeeze(mars_expand_dims(t, 0), MARS_AXES(0))), "(2,3,4)");
  std::vector<Value> moved = values(mars_moveaxis(t, 0, 2)), want;
  for (int j = 0; j < 3; j++)
    for (int k = 0; k < 4; k++)
      for (int i = 0; i < 2; i++) want.push_back(12 * i + 4 * j + k);
  EXPECT_EQ(moved, want);
  EXPECT_EQ(error(mars_permute_dims(t, MARS_AXES(0, 1, 1))), "MARS_E_AXIS: mars_permute_dims: axis 1 is given twice");
  EXPECT_EQ(mars_check(mars_permute_dims(t, MARS_AXES(0, 1)), nullptr), MARS_E_AXIS);
  EXPECT_EQ(mars_check(mars_permute_dims(t, MARS_ALL), nullptr), MARS_E_AXIS);
  EXPECT_EQ(error(mars_squeeze(t, MARS_AXES(1))),
            "MARS_E_SHAPE: mars_squeeze: axis 1 of shape (2, 3, 4) has extent 3; only extents of 1 can be dropped");
  EXPECT_EQ(error(mars_swapaxes(t, 0, 3)),
            "MARS_E_AXIS: mars_swapaxes: axis 3 is out of range for 3 dimensions; it must be in [-3, 2]");
  EXPECT_EQ(mars_check(mars_flip(mars_int(s, 1), MARS_AXES(0)), nullptr), MARS_E_AXIS);
}

TEST_F(Graph, Joins) {
  Tensor a = counting(s, {2, 3}), b = mars_astype(counting(s, {2, 1}), MARS_F32), none = mars_zeros(s, MARS_I8, MARS_SHAPE(2, 0));
  Tensor both[] = {a, none, b}, one[] = {none, a}, same[] = {a, a};
  Tensor t = mars_concatenate(both, 3, 1);
  EXPECT_EQ(mars_dtype_of(t), MARS_F64);
  EXPECT_EQ(gs_n_operands(gs_node_of(t)), 2);
  EXPECT_EQ(values(t), list({0, 1, 2, 0, 3, 4, 5, 1}));
  EXPECT_EQ(gs_node_of(mars_concatenate(one, 2, -1)), gs_node_of(a));
  EXPECT_EQ(text(mars_stack(same, 2, 1)), "(2,2,3)");
  EXPECT_EQ(values(mars_stack(same, 2, -1)), list({0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5}));
  Tensor scalars[] = {mars_int(s, 1), mars_astype(mars_float(s, 2), MARS_F32)};
  EXPECT_EQ(mars_dtype_of(mars_stack(scalars, 2, 0)), MARS_F64);
  EXPECT_EQ(mars_check(mars_concatenate(scalars, 2, 0), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(mars_check(mars_concatenate(both, 3, 0), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(mars_check(mars_concatenate(both, 3, 2), nullptr), MARS_E_AXIS);
  EXPECT_EQ(mars_check(mars_stack(both, 3, 0), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(mars_concatenate(nullptr, 0, 0), nullptr);
  std::vector<Tensor> many;
  for (int i = 0; i < 100; i++) many.push_back(mars_iota(s, MARS_I64, MARS_SHAPE(i % 3 + 1), 0));
  EXPECT_EQ(mars_size_of(mars_concatenate(many.data(), many.size(), 0)), 199);
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

// ---- errors -----------------------------------------------------------------------------------------------

TEST_F(Graph, FirstErrorTravels) {
  Tensor bad = mars_reshape(counting(s, {6}), MARS_SHAPE(4)), worse = mars_sum(counting(s, {6}), MARS_AXES(9));
  std::string first = error(bad);
  EXPECT_EQ(error(mars_add(mars_sqrt(bad), worse)), first);
  EXPECT_EQ(error(mars_where(worse, bad, bad)), error(worse));
  EXPECT_EQ(error(mars_sum(bad, MARS_AXES(77))), first);
  Tensor both[] = {bad, worse};
  EXPECT_EQ(error(mars_stack(both, 2, 99)), first);
  EXPECT_EQ(mars_shape_of(bad).ndim, -1);
  EXPECT_EQ(mars_dtype_of(bad), MARS_DTYPE_AUTO);
  EXPECT_FALSE(mars_is_ready(bad));

  EXPECT_EQ(mars_sqrt(nullptr), nullptr);
  EXPECT_EQ(mars_add(nullptr, nullptr), nullptr);
  EXPECT_EQ(mars_check(mars_add(mars_int(s, 1), nullptr), nullptr), MARS_E_MEMORY);
  EXPECT_EQ(mars_check(mars_add(nullptr, mars_int(s, 1)), nullptr), MARS_E_MEMORY);
  EXPECT_EQ(mars_check(nullptr, nullptr), MARS_E_MEMORY);
  EXPECT_EQ(mars_zeros(nullptr, MARS_F64, MARS_SHAPE(2)), nullptr);

  EXPECT_EQ(error(mars_subtract(mars_bool(s, true), mars_bool(s, true))),
            "MARS_E_DTYPE: mars_subtract: not defined for bool () and bool (); it takes integers, floats and complex numbers; "
            "for bool use mars_logical_xor");
  EXPECT_EQ(error(mars_arctan2(mars_complex(s, 1, 1), mars_float(s, 1))),
            "MARS_E_DTYPE: mars_arctan2: not defined for complex128 () and float64 (); it takes bool, integers and floats");

  mars_session *other = nullptr;
  ASSERT_EQ(mars_session_create(nullptr, &other, nullptr), MARS_OK);
  EXPECT_EQ(mars_check(mars_add(mars_int(s, 1), mars_int(other, 1)), nullptr), MARS_E_ARG);
  mars_session_destroy(other);
}

// ---- hash-consing, scopes, lifetimes ----------------------------------------------------------------------

TEST_F(Graph, EqualNodesAreOne) {
  Tensor x = mars_random_uniform(s, MARS_F64, MARS_SHAPE(3, 4), 0, 1);
  auto build = [&] { return mars_sum(mars_multiply(mars_exp(mars_transpose(x)), mars_float(s, 2)), MARS_AXES(0)); };
  Tensor a = build();
  size_t nodes = gs_n_nodes(s);
  Tensor b = build();
  EXPECT_NE(a, b);
  EXPECT_EQ(gs_node_of(a), gs_node_of(b));
  EXPECT_EQ(gs_n_nodes(s), nodes);
  EXPECT_NE(gs_node_of(mars_sum(x, MARS_AXES(0))), gs_node_of(mars_sum(x, MARS_AXES(1))));
  EXPECT_NE(gs_node_of(mars_cumsum(x, 0)), gs_node_of(mars_cumsum(x, 1)));
  EXPECT_NE(gs_node_of(mars_float(s, 0.0)), gs_node_of(mars_float(s, -0.0))); // 1/x tells them apart
  EXPECT_EQ(gs_node_of(mars_float(s, NAN)), gs_node_of(mars_float(s, NAN)));
  EXPECT_NE(gs_node_of(mars_int(s, 0)), gs_node_of(mars_float(s, 0)));
}

TEST_F(Graph, ScopesFreeWhatIsNotRetained) {
  mars_scope_open(s);
  long long base = gs_live(s); // with the scope itself
  Tensor kept = nullptr;
  {
    mars_scope_open(s);
    Tensor x = mars_random_uniform(s, MARS_F64, MARS_SHAPE(3), 0, 1);
    kept = mars_retain(mars_add(x, x));
    mars_sqrt(kept);
    mars_zeros(s, (mars_dtype)99, MARS_SHAPE(3)); // error handles too
    mars_scope_close(s);
  }
  EXPECT_EQ(gs_live(s), base + 3); // handle, sum, its operand
  EXPECT_EQ(error(kept), "");
  mars_release(kept);
  EXPECT_EQ(gs_live(s), base);
  Tensor t = mars_float(s, 1);
  mars_release(t); // not retained: goes early
  EXPECT_EQ(gs_live(s), base);
  mars_release(nullptr);
  EXPECT_EQ(mars_retain(nullptr), nullptr);
  mars_scope_close(s);
  mars_scope_close(s); // none is open: nothing happens
  mars_scope_close(nullptr);
}

TEST_F(Graph, ScopesBelongToThreads) {
  std::vector<std::thread> threads;
  mars_scope_open(s);
  Tensor mine = mars_random_uniform(s, MARS_F64, MARS_SHAPE(8), 0, 1);
  for (int k = 0; k < 4; k++)
    threads.emplace_back([&, k] {
      for (int round = 0; round < 200; round++) {
        mars_scope_open(s);
        Tensor t = mine;
        for (int i = 0; i < 10; i++) t = mars_add(mars_multiply(t, mars_float(s, i + k % 2)), mine);
        Tensor keep = mars_retain(mars_index(t, nullptr, 0));
        mars_scope_close(s);
        mars_release(keep);
      }
    });
  for (auto &t : threads) t.join();
  EXPECT_EQ(gs_n_nodes(s), 1u);
  EXPECT_EQ(error(mine), "");
  mars_scope_close(s);
  EXPECT_EQ(gs_n_nodes(s), 0u);
}

TEST_F(Graph, LongChainsDieWithoutRecursion) {
  mars_scope_open(s);
  Tensor t = mars_retain(mars_random_uniform(s, MARS_F64, MARS_SHAPE(2), 0, 1));
  for (int i = 0; i < 300000; i++) {
    Tensor next = mars_sqrt(t);
    mars_release(t); // once for the retain of the first, its scope's share of the others
    t = next;
  }
  EXPECT_GE(gs_n_nodes(s), 300000u);
  mars_scope_close(s);
  EXPECT_EQ(gs_n_nodes(s), 0u);
}

TEST_F(Graph, ValuesReplaceOperands) {
  static double data[4];
  mars_scope_open(s);
  Tensor x = mars_random_uniform(s, MARS_F64, MARS_SHAPE(2, 2), 0, 1);
  Tensor e = mars_exp(x), r = mars_reshape(e, MARS_SHAPE(4));
  mars_release(e);
  const gs_node *n = gs_node_of(r);
  EXPECT_FALSE(mars_is_ready(r));
  ASSERT_TRUE(gs_give_value(r, data));
  EXPECT_TRUE(mars_is_ready(r));
  EXPECT_EQ(gs_n_operands(n), 0);
  EXPECT_EQ(gs_n_nodes(s), 2u); // exp is gone
  // a reshape of it is a reshape of the values, not of what they came from
  EXPECT_EQ(gs_operand(gs_node_of(mars_reshape(r, MARS_SHAPE(2, 2))), 0), n);
  Tensor y = mars_sqrt(x);
  ASSERT_TRUE(gs_give_value(y, data));
  EXPECT_EQ(gs_node_of(mars_sqrt(x)), gs_node_of(y)); // found again, computed
  mars_scope_close(s);
  EXPECT_EQ(gs_n_nodes(s), 0u);
}

// ---- data from outside ------------------------------------------------------------------------------------

void count_release(void *user) { ++*(int *)user; }

TEST_F(Graph, BorrowedMemoryIsGivenBackOnce) {
  static double data[6] = {1, 2, 3, 4, 5, 6};
  int released = 0;
  mars_scope_open(s);
  const int64_t strides[] = {-8, 16};
  Tensor t = mars_from_memory(s, MARS_F64, MARS_SHAPE(2, 3), strides, data + 1, count_release, &released);
  EXPECT_EQ(error(t), "");
  EXPECT_TRUE(mars_is_ready(t));
  Tensor v = mars_retain(mars_transpose(t));
  mars_scope_close(s);
  EXPECT_EQ(released, 0);
  mars_release(v);
  EXPECT_EQ(released, 1);
  // a tensor that cannot be needs it no more either
  EXPECT_EQ(mars_check(mars_from_memory(s, MARS_F64, MARS_SHAPE(-2), nullptr, data, count_release, &released), nullptr), MARS_E_SHAPE);
  EXPECT_EQ(released, 2);
  EXPECT_EQ(mars_check(mars_from_memory(s, MARS_F64, MARS_SHAPE(2), nullptr, nullptr, count_release, &released), nullptr), MARS_E_ARG);
  EXPECT_EQ(mars_check(mars_from_memory(s, MARS_F64, MARS_SHAPE(2), nullptr, (char *)data + 1, nullptr, nullptr), nullptr), MARS_E_ARG);
  EXPECT_EQ(released, 3);
  EXPECT_EQ(text(mars_from_memory(s, MARS_F64, MARS_SHAPE(2, 0), nullptr, nullptr, count_release, &released)), "(2,0)");
  EXPECT_EQ(released, 4);
  EXPECT_EQ(error(mars_from_copy(s, MARS_F64, MARS_SHAPE(6), data)), "");
  EXPECT_EQ(mars_check(mars_from_copy(s, MARS_F64, MARS_SHAPE(6), nullptr), nullptr), MARS_E_ARG);
}

std::string write_npy(const std::string &name, const std::string &header, size_t data_bytes) {
  std::string path = testing::TempDir() + name, h = header;
  while ((10 + h.size() + 1) % 64 != 0) h += ' ';
  h += '\n';
  FILE *f = fopen(path.c_str(), "wb");
  fwrite("\x93NUMPY\x01\x00", 1, 8, f);
  fputc((int)(h.size() & 255), f);
  fputc((int)(h.size() >> 8), f);
  fwrite(h.data(), 1, h.size(), f);
  std::string zeros(data_bytes, '\0');
  fwrite(zeros.data(), 1, zeros.size(), f);
  fclose(f);
  return path;
}

TEST_F(Graph, NpyFiles) {
  std::string c = write_npy("graph_c.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24);
  std::string f = write_npy("graph_f.npy", "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24);
  Tensor t = mars_from_npy(s, c.c_str());
  EXPECT_EQ(error(t), "");
  EXPECT_EQ(text(t), "(2,3)");
  EXPECT_STREQ(gs_op(gs_node_of(t)), "SOURCE");
  t = mars_from_npy(s, f.c_str());
  EXPECT_EQ(text(t), "(2,3)");
  EXPECT_STREQ(gs_op(gs_node_of(t)), "VIEW");
  EXPECT_EQ(text(gs_shape(gs_operand(gs_node_of(t), 0))), "(3,2)");
  mars_error err;
  EXPECT_EQ(mars_check(mars_from_npy(s, "/nonexistent/x.npy"), &err), MARS_E_IO);
  EXPECT_NE(strstr(err.message, "mars_from_npy"), nullptr) << err.message;
  EXPECT_EQ(mars_check(mars_from_npy(s, nullptr), nullptr), MARS_E_ARG);
  remove(c.c_str());
  remove(f.c_str());
}

// ---- failing allocations ----------------------------------------------------------------------------------

TEST_F(Graph, EveryAllocationMayFail) {
  static double data[6];
  static int released;
  std::string npy = write_npy("graph_sweep.npy", "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }", 48);
  std::vector<std::pair<const char *, std::function<std::vector<Tensor>()>>> calls;
  mars_scope_open(s);
  Tensor x = mars_random_uniform(s, MARS_F32, MARS_SHAPE(2, 3), 0, 1), y = mars_random_integers(s, MARS_I16, MARS_SHAPE(3), 0, 5);
  Tensor h = mars_astype(x, MARS_F16), z = mars_astype(x, MARS_C64);
  mars_slice item = {MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, -2};
  auto add = [&](const char *name, std::function<Tensor()> call) {
    calls.push_back({name, [call] { return std::vector<Tensor>{call()}; }});
  };
  add("scalar", [&] { return mars_float(s, 123); });
  add("error", [&] { return mars_zeros(s, (mars_dtype)99, MARS_SHAPE(2)); });
  add("add", [&] { return mars_add(x, y); });
  add("nested", [&] { return mars_sum(mars_exp(mars_add(x, mars_float(s, 2))), MARS_ALL); });
  add("where", [&] { return mars_where(y, x, mars_int(s, 7)); });
  add("ldexp", [&] { return mars_ldexp(h, y); });
  add("index", [&] { return mars_index(mars_reshape(x, MARS_SHAPE(3, 2)), &item, 1); });
  add("reshape", [&] { return mars_reshape(mars_reshape(x, MARS_SHAPE(6)), MARS_SHAPE(3, 2)); });
  add("transpose", [&] { return mars_flip(mars_transpose(x), MARS_ALL); });
  add("broadcast", [&] { return mars_broadcast_to(x, MARS_SHAPE(4, 2, 3)); });
  add("stack", [&] {
    std::vector<Tensor> many(20, y);
    many[3] = mars_astype(y, MARS_F32);
    return mars_stack(many.data(), many.size(), 1);
  });
  add("full", [&] { return mars_full(s, MARS_F16, MARS_SHAPE(3), mars_float(s, 1.5)); });
  add("arange", [&] { return mars_arange(s, MARS_F32, 1, 9, 0.5); });
  add("linspace", [&] { return mars_linspace(s, MARS_I32, 1, 9, 17, true); });
  add("eye", [&] { return mars_eye(s, MARS_I8, 3, 4, 1); });
  add("normal", [&] { return mars_random_normal(s, MARS_BF16, MARS_SHAPE(5), 1, 2); });
  add("nansum", [&] { return mars_nansum(x, MARS_AXES(1)); });
  add("std", [&] {
    mars_reduce_options o = {MARS_AXES(0), true, 1, true, MARS_F64};
    return mars_std_opt(x, &o);
  });
  add("no_axes", [&] { return mars_max(x, mars_axes{0, {}}); });
  add("cumsum", [&] { return mars_cumsum(y, 0); });
  add("round", [&] { return mars_round(x, 2); });
  add("nan_to_num", [&] { return mars_nan_to_num(z); });
  add("from_copy", [&] { return mars_from_copy(s, MARS_F64, MARS_SHAPE(6), data); });
  add("from_npy", [&] { return mars_from_npy(s, npy.c_str()); });
  add("from_memory", [&] {
    released = 0;
    Tensor t = mars_from_memory(s, MARS_F64, MARS_SHAPE(6), nullptr, data, count_release, &released);
    EXPECT_EQ(released, mars_check(t, nullptr) != MARS_OK);
    return t;
  });
  calls.push_back({"divmod", [&] {
                     Tensor q, r;
                     mars_divmod(x, y, &q, &r);
                     return std::vector<Tensor>{q, r};
                   }});
  for (auto &call : calls) {
    size_t nodes = gs_n_nodes(s);
    int failures = 0;
    for (long long n = 1;; n++) {
      mars_scope_open(s);
      gs_fail_at(s, n);
      std::vector<Tensor> got = call.second();
      bool hit = gs_fail_left(s) <= 0;
      gs_fail_at(s, -1);
      bool failed = false;
      for (Tensor t : got) {
        mars_status st = mars_check(t, nullptr);
        failed = failed || (t == nullptr || st == MARS_E_MEMORY);
        EXPECT_TRUE(st == MARS_OK || st == MARS_E_MEMORY || call.first == std::string("error")) << call.first << " " << n;
      }
      if (hit) failures += failed;
      else { EXPECT_FALSE(failed) << call.first << " " << n; }
      mars_scope_close(s);
      EXPECT_EQ(gs_n_nodes(s), nodes) << call.first << " " << n;
      if (!hit) break;
      ASSERT_LT(n, 1000);
    }
    EXPECT_GT(failures, 0) << call.first;
  }
  long long live = gs_live(s);
  for (auto &call : calls) {
    mars_scope_open(s);
    call.second();
    mars_scope_close(s);
    EXPECT_EQ(gs_live(s), live) << call.first;
  }
  // a scope that could not be opened: its close must not close the one around it
  gs_fail_at(s, 1);
  mars_scope_open(s);
  gs_fail_at(s, -1);
  Tensor inner = mars_float(s, 77);
  mars_scope_close(s);
  EXPECT_EQ(error(inner), "");
  EXPECT_EQ(error(x), "");
  mars_scope_close(s);
  remove(npy.c_str());
}

} // namespace
