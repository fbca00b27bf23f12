// Accumulators of several devices that become one by a collective operation of the devices: where that is done, the same bits as on the
// host, and what a failure leaves.
#include "tests/api_util.h"
#include "tests/plan_shim.h"

using namespace api;

namespace {

constexpr int64_t kRows = 12, kCols = 65536; // an accumulator of the narrowest elements is large enough

fake_plan platform(int count, size_t bytes) {
  fake_plan p = {};
  p.count = count;
  p.memory_bytes = bytes;
  p.peers = p.joins = true;
  p.delay_us = 200;
  p.seed = 1;
  p.fail_at = -1;
  return p;
}

Config config_of(const std::string &devices) {
  Config c;
  c.devices = devices;
  c.budget = 24 * MiB;
  c.chunk = kCols; // a row
  return c;
}

const char *const kDevices[] = {"fake:0,fake:1", "fake:1,fake:0,fake:2", "fake:0,fake:1,fake:2,fake:3"};

mars_tensor *numbers(mars_session *s, mars_dtype dt) {
  mars_tensor *x = mars_random_integers(s, MARS_I64, MARS_SHAPE(kRows, kCols), -3, 4);
  return mars_astype(x, dt);
}

struct Case {
  const char *op;
  mars_dtype dtype;
  bool joined;
};

// Of each operation the dtypes that matter to it: what is exact in any order, and what is not, or has no type for it.
const Case kCases[] = {
    {"sum", MARS_BOOL, true},   {"sum", MARS_I8, true},      {"sum", MARS_U16, true},    {"sum", MARS_I64, true},  {"sum", MARS_F32, false},
    {"sum", MARS_F64, false},   {"prod", MARS_I32, true},    {"prod", MARS_U64, true},   {"prod", MARS_C64, false}, {"min", MARS_I8, true},
    {"min", MARS_U8, true},     {"min", MARS_I16, false},    {"min", MARS_U16, false},   {"min", MARS_I32, true},  {"min", MARS_F32, false},
    {"min", MARS_BOOL, true},   {"max", MARS_U32, true},     {"max", MARS_I64, true},    {"max", MARS_U64, true},  {"max", MARS_F64, false},
    {"max", MARS_F16, false},   {"mean", MARS_I32, true},    {"mean", MARS_F64, false},  {"var", MARS_I32, false}, {"any", MARS_F64, true},
    {"any", MARS_I16, true},    {"all", MARS_BF16, true},    {"all", MARS_C128, true},   {"argmin", MARS_I32, false}, {"argmax", MARS_F32, false},
    {"count_nonzero", MARS_F16, true}, {"count_nonzero", MARS_I64, true}, {"nansum", MARS_I64, true}, {"nanmax", MARS_I32, true},
    {"nanmin", MARS_F64, false}};

mars_tensor *reduced(mars_session *s, const Case &c) {
  mars_reduce_options o = {};
  o.axes = MARS_AXES(0);
  return mars_apply_reduce(c.op, numbers(s, c.dtype), &o);
}

Array on(const std::string &devices, const Case &c) {
  Session s(config_of(devices));
  Scope scope(s);
  mars_random_seed(s, 9);
  std::vector<Array> r;
  EXPECT_TRUE(fetch_all(s, {reduced(s, c)}, &r));
  return r.empty() ? Array(MARS_BOOL, {0}) : r[0];
}

TEST(Join, WhatIsExactInAnyOrder) {
  for (const Case &c : kCases) {
    if (quick() && (&c - kCases) % 3 != 1) continue;
    SCOPED_TRACE(std::string(c.op) + " of " + mars_dtype_name(c.dtype));
    fake_plan plan = platform(4, 8 * MiB);
    fake_set(&plan);
    const Array want = on("host", c);
    for (const char *devices : kDevices) {
      if (quick() && devices != kDevices[(&c - kCases) / 3 % 3]) continue;
      fake_set(&plan);
      const Array got = on(devices, c);
      EXPECT_EQ(fake_joins(), c.joined ? 1 : 0) << devices;
      EXPECT_TRUE(same_bits(got, want)) << devices; // what is not joined goes through the host's tree
      EXPECT_TRUE(!c.joined || fake_copies(2) == 0) << devices;
      EXPECT_EQ(fake_complaint(), nullptr);
    }
  }
}

// Several accumulators at once, of a pass that has others too; several kept tiles; a chain on either side.
std::vector<mars_tensor *> job(mars_session *s) {
  mars_tensor *x = mars_random_integers(s, MARS_I64, MARS_SHAPE(kRows, 3 * kCols / 2), -1000, 1000);
  mars_tensor *sum = mars_sum(mars_multiply(x, x), MARS_AXES(0)), *most = mars_max(x, MARS_AXES(0));
  return {mars_subtract(sum, most), mars_any(mars_greater(x, mars_int(s, 990)), MARS_AXES(0)), mars_sum(x, MARS_ALL), mars_max(x, MARS_AXES(1))};
}

std::vector<Array> run(mars_session *s) {
  Scope scope(s);
  mars_random_seed(s, 4);
  std::vector<Array> out;
  std::vector<mars_tensor *> t = job(s);
  EXPECT_TRUE(fetch_all(s, t, &out));
  return out;
}

void expect_same(const std::vector<Array> &got, const std::vector<Array> &want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); i++) EXPECT_TRUE(same_bits(got[i], want[i])) << "result " << i;
}

TEST(Join, FromAmpleToTight) {
  fake_plan plan = platform(4, 64 * MiB);
  fake_set(&plan);
  Session host(config_of("host"));
  const std::vector<Array> want = run(host);
  long most = 0;
  for (const char *devices : kDevices)
    for (size_t bytes : {64 * MiB, 6 * MiB, 3 * MiB, 2 * MiB}) {
      SCOPED_TRACE(std::string(devices) + " of " + std::to_string(bytes));
      plan.memory_bytes = bytes;
      fake_set(&plan);
      {
        Session s(config_of(devices));
        expect_same(run(s), want);
        expect_same(run(s), want); // again, in arenas that are not new
      }
      EXPECT_EQ(fake_complaint(), nullptr);
      most = std::max(most, fake_joins());
      EXPECT_TRUE(bytes < 64 * MiB || fake_joins() > 0);
    }
  EXPECT_EQ(most, 10); // three rows of two kept tiles, but the smaller tile of any(), twice
}

TEST(Join, OnlyWhereAllTakePart) {
  fake_plan plan = platform(4, 16 * MiB);
  const Case c = {"sum", MARS_I32, true};
  auto text = [&](const char *devices, int64_t rows) {
    fake_set(&plan);
    Session s(config_of(devices));
    Scope scope(s);
    return explain(s, mars_sum(mars_random_integers(s, MARS_I32, MARS_SHAPE(rows, kCols), 0, 9), MARS_AXES(0)));
  };
  EXPECT_NE(text("fake:0,fake:1", 12).find("join    part"), std::string::npos);
  EXPECT_NE(text("fake:0,fake:1", 12).find("of 2 devices"), std::string::npos);
  EXPECT_EQ(text("host,fake:0,fake:1", 12).find("join    part"), std::string::npos);
  EXPECT_EQ(text("fake:0", 12).find("join    part"), std::string::npos);
  EXPECT_EQ(text("fake:0,fake:1,fake:2,fake:3", 3).find("join    part"), std::string::npos); // a device has nothing of it
  plan.joins = false;
  EXPECT_EQ(text("fake:0,fake:1", 12).find("join    part"), std::string::npos);
  plan.joins = true;
  EXPECT_TRUE(same_bits(on("host,fake:0,fake:1", c), on("host", c)));
  fake_set(&plan);
  Session s(config_of("fake:0,fake:1"));
  Scope scope(s);
  const std::string small = explain(s, mars_sum(mars_random_integers(s, MARS_I32, MARS_SHAPE(1 << 20), 0, 9), MARS_ALL));
  EXPECT_EQ(small.find("join    part"), std::string::npos); // as fast to copy
}

class Damage : public testing::TestWithParam<shim_damage> {};

TEST_P(Damage, IsSeen) {
  fake_plan plan = platform(3, 16 * MiB);
  fake_set(&plan);
  Session s(config_of("fake:0,fake:1,fake:2"));
  Scope scope(s);
  mars_tensor *t = mars_max(numbers(s, MARS_I32), MARS_AXES(0));
  shim_plan *p = nullptr;
  mars_error err = {};
  ASSERT_EQ(shim_plan_make(s, &t, 1, true, &p, &err), MARS_OK) << err.message;
  EXPECT_EQ(shim_plan_validate(p, &err), MARS_OK) << err.message;
  double busy = 0;
  EXPECT_GT(shim_plan_simulate(p, 1e9, &busy), 0);
  EXPECT_TRUE(shim_plan_damage(p, GetParam()));
  EXPECT_EQ(shim_plan_validate(p, &err), MARS_E_INTERNAL);
  shim_plan_free(p);
}
INSTANTIATE_TEST_SUITE_P(Join, Damage, testing::Values(DROP_JOIN, EARLY_JOIN, DROP_FENCES, DROP_FREE, DOUBLE_FREE));

class Faults : public testing::TestWithParam<mars_status> {};

// Call n of a job fails, n = 0, 1, ... until none does. A lost device's part is made elsewhere.
TEST_P(Faults, EveryCallFailsOnce) {
  const bool recovers = GetParam() == MARS_E_DEVICE || GetParam() == MARS_E_MEMORY;
  fake_plan plan = platform(3, 16 * MiB);
  plan.delay_us = 20;
  plan.fail_with = GetParam();
  fake_set(&plan);
  const Case c = {"sum", MARS_I64, true};
  const Array want = on("host", c);
  bool through = false;
  for (long n = 0; !through && !HasFailure(); n++) {
    SCOPED_TRACE("call " + std::to_string(n));
    plan.fail_at = n;
    fake_set(&plan);
    Session s(config_of("fake:0,fake:1,fake:2"));
    {
      Scope scope(s);
      mars_random_seed(s, 9);
      mars_tensor *t = reduced(s, c);
      mars_error err = {};
      const mars_status st = mars_run(s, &t, 1, &err);
      through = fake_calls() <= n;
      EXPECT_TRUE(recovers || through ? ok(st, err) : says(st, err, GetParam(), {"fake:", "injected"}));
      EXPECT_TRUE(same_bits(fetched(t), want)); // after a failure: the same job goes
      EXPECT_TRUE(!through || fake_joins() == 1);
    }
    settle(s);
    EXPECT_EQ(shim_spill_used_bytes(s), 0u);
    EXPECT_EQ(fake_complaint(), nullptr);
  }
}
INSTANTIATE_TEST_SUITE_P(Join, Faults, testing::Values(MARS_E_INTERNAL, MARS_E_DEVICE, MARS_E_MEMORY),
                         [](const auto &info) {
                           return std::string(info.param == MARS_E_DEVICE ? "lost" : info.param == MARS_E_MEMORY ? "full" : "failed");
                         });

} // namespace
