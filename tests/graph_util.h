// Graphs of nodes that nobody runs: evaluated here one element at a time.
#ifndef TESTS_GRAPH_UTIL_H
#define TESTS_GRAPH_UTIL_H

#include "tests/graph_shim.h"

#include <gtest/gtest.h>
#include <initializer_list>
#include <string>
#include <vector>

namespace graphs {

using Tensor = mars_tensor *;
using Index = std::vector<int64_t>;
using Value = long double; // 64-bit mantissa: int64 and uint64 exactly

class Graph : public testing::Test {
protected:
  void SetUp() override {
    mars_error err;
    ASSERT_EQ(mars_session_create(nullptr, &s, &err), MARS_OK) << err.message;
  }
  void TearDown() override { mars_session_destroy(s); }
  mars_session *s = nullptr;
};

mars_shape shape_of(const Index &dims);
std::string text(const mars_shape &shape); // (2,3)
std::string text(Tensor t);
std::string error(Tensor t); // "" or "MARS_E_SHAPE: mars_add: .."

Index unravel(int64_t linear, const mars_shape &shape);
int64_t ravel(const Index &at, const mars_shape &shape);
std::vector<Value> values(Tensor t);
inline std::vector<Value> list(std::initializer_list<Value> v) { return v; }
// 0, 1, 2, ... in C order; a graph of its own, so that nothing folds
Tensor counting(mars_session *s, const Index &dims);

} // namespace graphs

#endif
