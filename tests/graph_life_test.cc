// The tensor graph: errors that travel, hash-consing, scopes, lifetimes, data from outside, failing allocations.
#include "tests/graph_util.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <thread>

using namespace graphs;

namespace {

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
