#include "tests/graph_util.h"

#include <cmath>

namespace graphs {

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

// ---- a naive evaluator ------------------------------------------------------------------------------------

namespace {

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

} // namespace

std::vector<Value> values(Tensor t) {
  EXPECT_EQ(error(t), "");
  std::vector<Value> v;
  if (!error(t).empty()) return v;
  for (int64_t i = 0; i < mars_size_of(t); i++) v.push_back(element(gs_node_of(t), unravel(i, mars_shape_of(t))));
  return v;
}

Tensor counting(mars_session *s, const Index &dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return mars_reshape(mars_arange(s, MARS_I64, 0, (double)n, 1), shape_of(dims));
}

} // namespace graphs
