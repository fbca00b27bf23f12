// The tensor graph: broadcasting, indexing and other views, joins.
#include "tests/graph_util.h"

#include <climits>
#include <functional>
#include <random>

using namespace graphs;

namespace {

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

} // namespace
