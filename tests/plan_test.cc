// Plans: what fusion makes one kernel of, which tasks may run side by side, that budgets hold, that the validator sees every kind of damage, the simulator.
#include "tests/plan_shim.h"
#include "tests/shim.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {

struct Session {
  mars_session *s = nullptr;
  mars_error err{};
  explicit Session(size_t budget, int64_t chunk = 0, bool spill = true) {
    mars_session_config c;
    mars_session_config_init(&c);
    c.host_budget_bytes = budget;
    c.chunk_elements = chunk;
    c.threads = 1;
    if (!spill) c.n_spill_dirs = MARS_SPILL_OFF;
    EXPECT_EQ(mars_session_create(&c, &s, &err), MARS_OK) << err.message;
  }
  ~Session() { mars_session_destroy(s); }
};

struct Plan {
  shim_plan *p = nullptr;
  mars_error err{};
  mars_status st;
  Plan(Session &s, std::vector<mars_tensor *> t, bool keep) {
    st = shim_plan_make(s.s, t.data(), t.size(), keep, &p, &err);
  }
  ~Plan() { shim_plan_free(p); }
};

mars_tensor *Uniform(Session &s, int64_t n) { return mars_random_uniform(s.s, MARS_F64, MARS_SHAPE(n), 0, 1); }

// Whenever a plan in the making asks whether it is still wanted, it may be told that it is not.
TEST(Cancelled, WhileItIsPlanned) {
  Session s(1 << 20);
  mars_error err{};
  mars_tensor *a = mars_random_uniform(s.s, MARS_F64, MARS_SHAPE(1000, 1000), 0, 1);
  mars_tensor *t = mars_sum(mars_solve_triangular(a, a, MARS_UPPER, MARS_NO_TRANS, false), MARS_ALL);
  int64_t often, asked;
  ASSERT_EQ(shim_plan_make_cancelled(s.s, t, -1, &often, &err), MARS_OK) << err.message;
  EXPECT_GT(often, 10);
  const int64_t live = shim_live_allocations(s.s);
  for (int64_t n = 0; n < often; n++) {
    EXPECT_EQ(shim_plan_make_cancelled(s.s, t, n, &asked, &err), MARS_E_CANCELLED) << n;
    EXPECT_EQ(asked, n + 1) << "it goes on";
    EXPECT_STREQ(err.message, "plan_test: cancelled");
    EXPECT_EQ(shim_live_allocations(s.s), live) << n;
  }
}

TEST(Fusion, ChainOf30OpsIsOneKernel) {
  Session s(64 << 20);
  mars_tensor *x = Uniform(s, 100000), *y = x;
  for (int i = 0; i < 30; i++) y = i % 2 ? mars_multiply(y, x) : mars_add(y, mars_float(s.s, i));
  Plan p(s, {y}, false);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
  EXPECT_EQ(shim_plan_kernels(p.p), 1);
}

TEST(Fusion, SeveralOutputsAndReductionsShareAPass) {
  Session s(64 << 20);
  mars_tensor *x = Uniform(s, 100000), *y = mars_sin(x);
  Plan p(s, {y, mars_sum(y, MARS_ALL), mars_std(y, MARS_ALL), mars_sqrt(x)}, true);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
  EXPECT_EQ(shim_plan_kernels(p.p), 1);
  EXPECT_EQ(shim_plan_instrs(p.p, 0, shim_op("sin")), 1);
}

TEST(Fusion, CommonSubexpressionsAreComputedOnce) {
  Session s(64 << 20);
  mars_tensor *x = Uniform(s, 1000);
  mars_tensor *a = mars_exp(mars_add(x, mars_float(s.s, 1))), *b = mars_exp(mars_add(x, mars_float(s.s, 1)));
  Plan p(s, {mars_multiply(a, b)}, false);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
  EXPECT_EQ(shim_plan_instrs(p.p, 0, shim_op("exp")), 1);
}

TEST(Fusion, DependentReductionIsASecondPass) {
  Session s(64 << 20);
  mars_tensor *x = Uniform(s, 100000);
  mars_tensor *y = mars_subtract(x, mars_mean(x, MARS_ALL));
  Plan p(s, {y}, false);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
  EXPECT_EQ(shim_plan_kernels(p.p), 2);
}

TEST(Fusion, ExplodingViewsAreCut) {
  Session s(64 << 20);
  mars_tensor *x = Uniform(s, 5000);
  int64_t n = 5000;
  for (int i = 0; i < 20; i++, n--) {
    mars_slice head = {MARS_SLICE_RANGE, MARS_NONE, -1, MARS_NONE}, tail = {MARS_SLICE_RANGE, 1, MARS_NONE, MARS_NONE};
    x = mars_add(mars_sin(mars_index(x, &head, 1)), mars_index(x, &tail, 1));
  }
  Plan p(s, {x}, false);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
  for (int k = 0; k < shim_plan_kernels(p.p); k++) EXPECT_LE(shim_plan_instrs(p.p, k, -1), 1100);
}

TEST(Fusion, DeepChainsDoNotOverflowTheStack) {
  Session s(64 << 20);
  mars_tensor *x = Uniform(s, 1000);
  for (int i = 0; i < 20000; i++) x = mars_add(x, mars_float(s.s, i % 7));
  Plan p(s, {x}, false);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
}

// A result in caller memory is copied there by a task of its own: pairs that wait for each other, unless many tiles come first.
TEST(Order, SmallResultsAreMadeInWaves) {
  Session s(64 << 20, 1000), tiny(1 << 20, 1000);
  for (Session *at : {&s, &tiny}) {
    mars_tensor *x = mars_random_uniform(at->s, MARS_F64, MARS_SHAPE(500, 1000), 0, 1);
    Plan p(*at, {mars_sum(x, MARS_AXES(1))}, false);
    ASSERT_EQ(p.st, MARS_OK) << p.err.message;
    ASSERT_GE(shim_plan_tasks(p.p), 1000);
    EXPECT_GE(shim_plan_side_by_side(p.p), 64);
  }
}

// Where what lies between is large it is used at once instead, or a wave would fill the arena.
TEST(Order, LargeResultsAreUsedAtOnce) {
  Session s(64 << 20, 50000);
  mars_tensor *x = mars_cumsum(mars_random_uniform(s.s, MARS_F64, MARS_SHAPE(100, 50000), 0, 1), 1);
  Plan p(s, {mars_sin(x)}, false);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
  EXPECT_LT(shim_plan_side_by_side(p.p), 8);
}

TEST(Schedule, PeakStaysInBudgetAndSpillsOnlyWhenItMust) {
  for (size_t budget : {256u << 10, 1u << 20, 8u << 20, 64u << 20}) {
    Session s(budget);
    mars_tensor *x = Uniform(s, 1 << 20);
    Plan p(s, {mars_multiply(x, x)}, true); // 8 MiB stay
    ASSERT_EQ(p.st, MARS_OK) << p.err.message;
    EXPECT_LE(shim_plan_peak(p.p), (int64_t)budget);
    EXPECT_EQ(shim_plan_validate(p.p, &p.err), MARS_OK) << p.err.message;
    if (budget > 8u << 20) {
      EXPECT_EQ(shim_plan_spilled(p.p), 0);
    } else if (budget < 8u << 20) {
      EXPECT_GE(shim_plan_spilled(p.p), (8 << 20) - (int64_t)budget);
    }
  }
}

TEST(Schedule, RefusedWithTheBytesNeededWhereNothingMaySpill) {
  Session s(256 << 10, 0, false);
  mars_tensor *x = Uniform(s, 1 << 20);
  Plan p(s, {mars_multiply(x, x)}, true);
  EXPECT_EQ(p.st, MARS_E_BUDGET);
  EXPECT_NE(std::string(p.err.message).find("spill"), std::string::npos) << p.err.message;
  EXPECT_NE(std::string(p.err.message).find("bytes"), std::string::npos) << p.err.message;
}

TEST(Schedule, WhatIsCheapIsComputedAgain) {
  Session s(1 << 20, 4096);
  mars_tensor *x = Uniform(s, 1 << 20), *v[64];
  mars_slice rev = {MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, -1};
  v[0] = x;
  mars_tensor *joined = mars_concatenate(v, 1, 0); // x itself
  mars_tensor *two[2] = {joined, mars_index(joined, &rev, 1)};
  mars_tensor *y = mars_concatenate(two, 2, 0); // makes x a value that is read twice, from both ends
  Plan p(s, {mars_cumsum(y, 0)}, false);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
  EXPECT_GT(shim_plan_recomputed(p.p), 0);
  EXPECT_EQ(shim_plan_spilled(p.p), 0);
  EXPECT_EQ(shim_plan_validate(p.p, &p.err), MARS_OK) << p.err.message;
}

TEST(Schedule, AGroupsOperandsAreMadeAgainBeforeIt) {
  Session s(4 << 20);
  mars_tensor *a = mars_random_uniform(s.s, MARS_F64, MARS_SHAPE(1200, 1200), 0.0, 1.0);
  Plan p(s, {mars_std(mars_sub(mars_matmul(a, mars_transpose(a)), a), MARS_ALL)}, false);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
  EXPECT_GT(shim_plan_recomputed(p.p), 100);
  EXPECT_LT(5 * shim_plan_again_within(p.p), shim_plan_recomputed(p.p)) << shim_plan_again_within(p.p); /* where room is short */
  EXPECT_EQ(shim_plan_validate(p.p, &p.err), MARS_OK) << p.err.message;
}

class Damage : public testing::TestWithParam<shim_damage> {};

TEST_P(Damage, IsSeen) {
  Session s(512 << 10, 4096);
  mars_tensor *x = Uniform(s, 1 << 18), *kept = mars_multiply(x, x);
  ASSERT_EQ(mars_run(s.s, &kept, 1, &s.err), MARS_OK) << s.err.message; // 2 MiB: partly spilled, so there are loads
  Plan p(s, {mars_sum(kept, MARS_ALL), mars_multiply(mars_add(kept, x), kept)}, true);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
  ASSERT_EQ(shim_plan_validate(p.p, &p.err), MARS_OK) << p.err.message;
  ASSERT_TRUE(shim_plan_damage(p.p, GetParam()));
  EXPECT_EQ(shim_plan_validate(p.p, &p.err), MARS_E_INTERNAL);
}
INSTANTIATE_TEST_SUITE_P(Validator, Damage,
                         testing::Values(DROP_LOAD, DOUBLE_FREE, SHIFT_ALLOC, DROP_FENCES, DROP_FREE, REORDER_COMPUTE));

TEST(Simulator, FollowsTheBusiestResource) {
  Session s(512 << 10, 4096);
  mars_tensor *x = Uniform(s, 1 << 18), *kept = mars_multiply(x, x);
  ASSERT_EQ(mars_run(s.s, &kept, 1, &s.err), MARS_OK) << s.err.message;
  Plan p(s, {mars_sum(kept, MARS_ALL)}, false);
  ASSERT_EQ(p.st, MARS_OK) << p.err.message;
  double slow_busy, fast_busy, slow = shim_plan_simulate(p.p, 1e8, &slow_busy), fast = shim_plan_simulate(p.p, 1e9, &fast_busy);
  EXPECT_GE(slow, slow_busy);
  EXPECT_GE(fast, fast_busy);
  EXPECT_GT(slow, fast * 2);
}

TEST(Space, NeverOverlapsAndComesTogetherAgain) {
  for (uint64_t seed = 1; seed <= 20; seed++) EXPECT_EQ(shim_space_torture(seed, 4 << 20, 20000), nullptr) << "seed " << seed;
}

} // namespace
