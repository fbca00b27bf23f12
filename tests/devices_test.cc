// Several devices with memory of their own: the same values as the host alone, in memories so small that chunks come and go;
// every plan proven by the validator; failures of every call.
#include "tests/api_util.h"
#include "tests/plan_shim.h"

using namespace api;

namespace {

fake_plan platform(int count, size_t bytes, bool peers = true) {
  fake_plan p = {};
  p.count = count;
  p.memory_bytes = bytes;
  p.peers = peers;
  p.delay_us = 200;
  p.seed = 1;
  p.fail_at = -1;
  return p;
}

Config config_of(const std::string &devices, size_t budget = 4 * MiB, int64_t chunk = 4096) {
  Config c;
  c.devices = devices;
  c.budget = budget;
  c.chunk = chunk;
  return c;
}

// ---- programs ----

using Results = std::vector<mars_tensor *>;
struct Program {
  const char *name;
  std::function<Results(mars_session *)> build;
  double bound = 0; // relative; 0: the same bits
};
void PrintTo(const Program &p, std::ostream *out) { *out << p.name; }

mars_tensor *input(mars_session *s, int64_t rows, int64_t cols, uint64_t seed) {
  Rng rng(seed);
  Array a(MARS_F64, {rows, cols});
  for (int64_t i = 0; i < a.size(); i++)
    ((double *)a.bytes.data())[i] = rng.unit() - 0.5;
  return tensor(s, a);
}
mars_tensor *num(mars_session *s, double v) { return mars_float(s, v); }
mars_tensor *part(mars_tensor *t, int64_t from, int64_t to, int64_t step = 1) {
  mars_slice r = {MARS_SLICE_RANGE, from, to, step};
  return mars_index(t, &r, 1);
}

const Program kPrograms[] = {
    {"chain", [](mars_session *s) -> Results {
       mars_tensor *x = input(s, 300, 400, 1);
       return {mars_add(mars_multiply(x, num(s, 3)), mars_exp(x))};
     }},
    {"generated", [](mars_session *s) -> Results {
       mars_tensor *x = mars_random_uniform(s, MARS_F64, MARS_SHAPE(200000), 0, 1);
       return {mars_sum(mars_multiply(x, x), MARS_ALL), mars_sqrt(x)};
     }},
    {"passes", [](mars_session *s) -> Results {
       mars_tensor *x = input(s, 256, 512, 2), *d = mars_subtract(x, mars_mean(x, MARS_ALL));
       return {mars_divide(d, mars_std(x, MARS_ALL)), mars_max(d, MARS_AXES(0)), mars_argmin(d, MARS_AXES(1))};
     }},
    {"stencil", [](mars_session *s) -> Results {
       mars_tensor *x = input(s, 400, 300, 3);
       mars_tensor *y = mars_add(part(x, 0, 398), mars_add(part(x, 1, 399), part(x, 2, 400)));
       return {mars_subtract(part(y, 0, 397), part(y, 1, 398)), mars_sum(y, MARS_AXES(1))};
     }},
    {"transpose", [](mars_session *s) -> Results {
       mars_tensor *x = mars_sin(input(s, 300, 300, 4));
       mars_tensor *parts[2] = {x, mars_transpose(x)};
       mars_tensor *c = mars_concatenate(parts, 2, 0);
       return {mars_add(x, mars_transpose(x)), mars_flip(c, MARS_AXES(1))};
     }},
    {"scan", [](mars_session *s) -> Results {
       mars_tensor *x = input(s, 500, 200, 5);
       return {mars_cumsum(x, 0), mars_cumsum(mars_cumsum(mars_ravel(x), 0), 0)};
     }},
    {"joins", [](mars_session *s) -> Results {
       mars_tensor *x = input(s, 150, 200, 6), *y = mars_random_uniform(s, MARS_F64, MARS_SHAPE(120, 200), 0, 1);
       mars_tensor *parts[3] = {x, mars_exp(y), part(x, 149, MARS_NONE, -1)};
       mars_tensor *c = mars_concatenate(parts, 3, 0);
       return {mars_cumsum(c, 1), mars_sum(c, MARS_AXES(0))};
     }},
    {"halves", [](mars_session *s) -> Results {
       mars_tensor *x = mars_astype(input(s, 200, 300, 7), MARS_F16);
       return {mars_cumsum(x, 1), mars_add(x, x), mars_sum(x, MARS_ALL), mars_astype(x, MARS_I8)};
     }},
    {"product", [](mars_session *s) -> Results {
       mars_tensor *a = input(s, 250, 320, 8), *b = input(s, 320, 190, 9);
       return {mars_matmul(a, b), mars_sum(mars_matmul(mars_transpose(b), mars_transpose(a)), MARS_ALL)};
     }, 1e-12}, // operands in caller memory are not cut on the host
    {"generated_product", [](mars_session *s) -> Results {
       mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(260, 310), 0, 1);
       mars_tensor *b = mars_random_uniform(s, MARS_F64, MARS_SHAPE(310, 170), 0, 1);
       return {mars_matmul(a, b), mars_sum(mars_matmul(mars_transpose(b), mars_transpose(a)), MARS_ALL)};
     }, 1e-12}, // tiles follow the least arena
    {"symmetric", [](mars_session *s) -> Results {
       mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(300, 200), 0, 1);
       return {mars_std(mars_subtract(mars_matmul(a, mars_transpose(a)), num(s, 1)), MARS_ALL)};
     }},
    {"factors", [](mars_session *s) -> Results {
       mars_tensor *a = input(s, 200, 200, 10);
       mars_tensor *spd = mars_add(mars_matmul(a, mars_transpose(a)), mars_eye(s, MARS_F64, 200, 200, 0));
       return {mars_cholesky(spd), mars_solve(spd, a), mars_det(spd)};
     }, 1e-9},
    {"orthogonal", [](mars_session *s) -> Results {
       mars_tensor *a = input(s, 2000, 24, 11), *q, *r;
       mars_qr(a, MARS_QR_REDUCED, &q, &r);
       return {mars_fabs(r), mars_matmul(mars_transpose(q), q), mars_svdvals(a)};
     }, 1e-9},
};

// Results in memory, in one job.
std::vector<Array> run(mars_session *s, const Program &p) {
  Scope scope(s);
  mars_random_seed(s, 5);
  std::vector<Array> out;
  EXPECT_TRUE(fetch_all(s, p.build(s), &out)) << p.name;
  if (out.empty()) throw std::runtime_error(p.name);
  return out;
}

// Kept, with results of the job before, and fetched from there.
std::vector<Array> run_kept(mars_session *s, const Program &p) {
  Scope scope(s);
  mars_random_seed(s, 5);
  Results r = p.build(s);
  std::vector<Array> out;
  mars_error err = {};
  EXPECT_TRUE(ok(mars_run(s, r.data(), r.size(), &err), err)) << p.name;
  for (mars_tensor *t : r)
    out.push_back(fetched(t));
  return out;
}

void expect_same(const std::vector<Array> &got, const std::vector<Array> &want, const Program &p, const std::string &where) {
  ASSERT_EQ(got.size(), want.size()) << p.name << " on " << where;
  for (size_t i = 0; i < got.size(); i++) {
    if (p.bound == 0) {
      EXPECT_TRUE(same_bits(got[i], want[i])) << p.name << " on " << where << ", result " << i;
      continue;
    }
    ASSERT_EQ(got[i].dims, want[i].dims);
    double worst = 0, scale = 0;
    for (int64_t k = 0; k < got[i].size(); k++) {
      double a = ((double *)got[i].bytes.data())[k], b = ((double *)want[i].bytes.data())[k];
      worst = std::max(worst, std::abs(a - b));
      scale = std::max(scale, std::abs(b));
      ASSERT_FALSE(std::isnan(a)) << p.name;
    }
    EXPECT_LE(worst, p.bound * scale) << p.name << " on " << where << ", result " << i;
  }
}

std::vector<Array> on_the_host(const Program &p) {
  Config c = config_of("host", 16 * MiB);
  Session s(c);
  return run(s, p);
}

class Programs : public testing::TestWithParam<Program> {};
std::string program_name(const testing::TestParamInfo<Program> &info) { return info.param.name; }

TEST_P(Programs, AreTheSameEverywhere) {
  const Program &p = GetParam();
  fake_plan plan = platform(4, MiB);
  fake_set(&plan);
  std::vector<Array> want = on_the_host(p);
  bool half = false;
  for (const char *devices : {"fake:0", "fake:0,fake:1", "fake:3,fake:2,fake:1,fake:0", "fake:0,host", "host,fake:1,fake:0"}) {
    half = !half;
    for (size_t bytes : {512u << 10, 4u << 20})
      for (bool peers : {false, true}) {
        if (quick() && ((bytes == 4u << 20) != peers) == half) // each memory with and without peers, on every other set
          continue;
        plan = platform(4, bytes, peers);
        fake_set(&plan);
        const std::string where = std::string(devices) + " of " + std::to_string(bytes) + (peers ? " with peers" : "");
        {
          Session s(config_of(devices));
          expect_same(run(s, p), want, p, where);
          expect_same(run_kept(s, p), want, p, where + ", kept");
          EXPECT_GT(fake_launched(), 0) << where;
        }
        EXPECT_EQ(fake_alive(), 0);
      }
  }
}
INSTANTIATE_TEST_SUITE_P(Devices, Programs, testing::ValuesIn(kPrograms), program_name);

TEST(Devices, ProductsHaveTheSameBitsInTheSameRoom) {
  const Program &p = *std::find_if(std::begin(kPrograms), std::end(kPrograms), [](const Program &q) { return q.name == std::string("generated_product"); });
  fake_plan plan = platform(3, 2 * MiB);
  fake_set(&plan);
  Session host(config_of("host", 2 * MiB)), three(config_of("fake:0,fake:1,fake:2", 2 * MiB));
  Program exact = p;
  exact.bound = 0;
  expect_same(run_kept(three, p), run_kept(host, p), exact, "three devices");
}

// What one device has made and several others want is given to it together, where those have room in time: not every time.
TEST(Devices, WhatSeveralWantIsCopiedTogether) {
  const Program &p = *std::find_if(std::begin(kPrograms), std::end(kPrograms), [](const Program &q) { return q.name == std::string("passes"); });
  fake_plan plan = platform(4, MiB);
  long together = 0;
  for (int i = 0; i < 20 && together == 0; i++) {
    plan.seed = (uint64_t)i + 1;
    fake_set(&plan);
    Session s(config_of("fake:0,fake:1,fake:2,fake:3"));
    EXPECT_EQ(fake_connected(), 4);
    run(s, p);
    together += fake_broadcasts();
  }
  EXPECT_GT(together, 0);
  EXPECT_EQ(fake_complaint(), nullptr);
}

// ---- random graphs ----

mars_tensor *random_graph(mars_session *s, Rng &rng, const std::vector<mars_tensor *> &leaves) {
  std::vector<mars_tensor *> pool = leaves;
  auto any = [&] { return pool[(size_t)rng.below((int64_t)pool.size())]; };
  for (int i = 0; i < 12; i++) {
    mars_tensor *x = any(), *y = any();
    switch (rng.below(10)) {
    case 0: pool.push_back(mars_add(x, y)); break;
    case 1: pool.push_back(mars_multiply(x, y)); break;
    case 2: pool.push_back(mars_transpose(x)); break; // all are square
    case 3: pool.push_back(mars_sin(x)); break;
    case 4: pool.push_back(mars_subtract(x, mars_mean(y, MARS_AXES(0)))); break;
    case 5: pool.push_back(mars_cumsum(mars_sin(x), (int)rng.below(2))); break;
    case 6: pool.push_back(mars_flip(x, MARS_AXES((int)rng.below(2)))); break;
    case 7: {
      mars_tensor *halves[2] = {part(x, 60, 120), part(y, 0, 60)};
      pool.push_back(mars_concatenate(halves, 2, 0));
      break;
    }
    case 8: pool.push_back(mars_to_device(x, "host")); break;
    default: pool.push_back(mars_divide(x, mars_add(mars_max(mars_absolute(x), MARS_ALL), num(s, 1)))); break;
    }
  }
  return pool.back();
}

std::vector<Array> random_job(mars_session *s, uint64_t seed, const TempDir &dir) {
  Rng rng(seed);
  Scope scope(s);
  mars_random_seed(s, seed);
  Array a(MARS_F64, {120, 120});
  for (int64_t i = 0; i < a.size(); i++)
    ((double *)a.bytes.data())[i] = rng.unit() - 0.5;
  const std::string in = dir.file("in.npy"), out = dir.file("out.npy");
  write_npy(in, a);
  mars_tensor *held = mars_negative(borrow(s, a)); // where data are changes grids, and so the last bit of sums
  mars_error err = {};
  EXPECT_TRUE(ok(mars_run(s, &held, 1, &err), err)) << "seed " << seed;
  std::vector<mars_tensor *> leaves = {held, mars_from_npy(s, in.c_str()),
                                       mars_random_uniform(s, MARS_F64, MARS_SHAPE(120, 120), -1, 1)};
  mars_tensor *kept = random_graph(s, rng, leaves);
  EXPECT_TRUE(ok(mars_run(s, &kept, 1, &err), err)) << "seed " << seed;
  leaves.push_back(kept);
  mars_tensor *x = random_graph(s, rng, leaves), *y = random_graph(s, rng, leaves);
  std::vector<Array> r;
  mars_tensor *results[] = {x, mars_sum(y, MARS_ALL)};
  EXPECT_TRUE(ok(mars_run(s, results, 2, &err), err)) << "seed " << seed;
  EXPECT_TRUE(fetch_all(s, {results[0], results[1], kept}, &r)) << "seed " << seed;
  EXPECT_TRUE(ok(mars_save_npy(y, out.c_str(), &err), err)) << "seed " << seed;
  r.emplace_back();
  EXPECT_TRUE(read_npy(out, &r.back()));
  settle(s);
  return r;
}

TEST(Devices, RandomGraphs) {
  TempDir dir;
  fake_plan plan = platform(4, 512 << 10); // fusion follows the least arena: here it is ample for one value
  for (uint64_t seed = seed_base(); seed < seed_base() + 12; seed++) {
    fake_set(&plan);
    Config host = config_of("host", 8 * MiB, 997);
    Session h(host);
    std::vector<Array> want = random_job(h, seed, dir);
    for (const char *devices : {"fake:0", "fake:0,fake:1,fake:2,fake:3", "host,fake:1"}) {
      plan.peers = seed & 1;
      plan.refuse_every = seed % 3 ? 0 : 4;
      plan.seed = seed;
      fake_set(&plan);
      Session s(config_of(devices, MiB, 997));
      std::vector<Array> got = random_job(s, seed, dir);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); i++)
        EXPECT_TRUE(same_bits(got[i], want[i])) << "seed " << seed << " on " << devices << ", result " << i;
    }
  }
}

// ---- placement and movement ----

TEST(Devices, ShareTheWorkAndLookAhead) {
  fake_plan plan = platform(2, 4 * MiB, false);
  plan.delay_us = 2000;
  fake_set(&plan);
  Session s(config_of("fake:0,fake:1", 32 * MiB));
  Scope scope(s);
  std::vector<Array> r;
  ASSERT_TRUE(fetch_all(s, {mars_exp(input(s, 1000, 1000, 1))}, &r));
  EXPECT_GE(fake_most_in_flight(), 3);
  EXPECT_EQ(fake_copies(2), 0);
  mars_tensor *x = mars_random_uniform(s, MARS_F64, MARS_SHAPE(1 << 20), 0, 1);
  std::string text = explain(s, mars_sqrt(x));
  EXPECT_NE(text.find("fake:0"), std::string::npos) << text;
  EXPECT_NE(text.find("fake:1    1"), std::string::npos) << text; // 128 of 256 tasks
  EXPECT_NE(text.find("copied from the host"), std::string::npos) << text;
}

// One device adds up u^T u, of which each makes a part: the others make theirs when it comes to them, or it would have to be spilled.
TEST(Devices, WhatIsUsedElsewhereIsMadeWhenItIsWanted) {
  fake_plan plan = platform(4, MiB);
  fake_set(&plan);
  for (const char *devices : {"fake:0,fake:1", "fake:0,fake:1,fake:2,fake:3", "fake:0,host"})
    for (size_t budget : {12 * MiB, 2 * MiB}) {
      Session s(config_of(devices, budget, 0));
      Scope scope(s);
      mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(100000, 32), 0, 1), *u;
      mars_svd(a, false, &u, nullptr, nullptr);
      mars_tensor *product = mars_matmul(mars_transpose(u), u);
      shim_plan *p = nullptr;
      mars_error err = {};
      ASSERT_TRUE(ok(shim_plan_make(s, &product, 1, false, &p, &err), err)) << devices;
      EXPECT_EQ(shim_plan_spilled(p), 0) << devices << ", " << budget;
      EXPECT_TRUE(ok(shim_plan_validate(p, &err), err)) << devices;
      shim_plan_free(p);
      ASSERT_TRUE(ok(shim_plan_make(s, &u, 1, true, &p, &err), err)) << devices;
      EXPECT_GE(shim_plan_spilled(p), (int64_t)(100000 * 32 * 8 - budget)) << devices; // and what is to stay is
      shim_plan_free(p);
    }
}

TEST(Devices, WhatIsKeptStaysWhereItWasMade) {
  fake_plan plan = platform(2, 4 * MiB);
  fake_set(&plan);
  Session s(config_of("fake:0,fake:1", 16 * MiB));
  Scope scope(s);
  mars_tensor *x = mars_exp(mars_random_uniform(s, MARS_F64, MARS_SHAPE(200000), 0, 1)), *y = x;
  mars_error err = {};
  ASSERT_TRUE(ok(mars_run(s, &x, 1, &err), err));
  for (int i = 0; i < 5; i++) {
    mars_tensor *next = mars_sqrt(mars_add(y, x));
    ASSERT_TRUE(ok(mars_run(s, &next, 1, &err), err));
    y = next;
  }
  EXPECT_EQ(fake_copies(0), 0);
  EXPECT_EQ(fake_copies(2), 0);
  Session host(config_of("host", 16 * MiB));
  Scope inner(host);
  mars_tensor *hx = mars_exp(mars_random_uniform(host, MARS_F64, MARS_SHAPE(200000), 0, 1)), *hy = hx;
  for (int i = 0; i < 5; i++)
    hy = mars_sqrt(mars_add(hy, hx));
  EXPECT_TRUE(same_bits(fetched(y), fetched(hy)));
}

TEST(Devices, PinsAreRespected) {
  fake_plan plan = platform(2, 4 * MiB);
  fake_set(&plan);
  Session s(config_of("fake:0,fake:1"));
  Scope scope(s);
  mars_tensor *x = mars_random_uniform(s, MARS_F64, MARS_SHAPE(100000), 0, 1);
  mars_tensor *y = mars_to_device(mars_exp(x), "fake:1");
  EXPECT_EQ(explain(s, y).find("fake:0  compute"), std::string::npos);
  EXPECT_NE(explain(s, y).find("fake:1  compute"), std::string::npos);
  EXPECT_NE(explain(s, mars_to_device(mars_exp(x), "host")).find("host  compute"), std::string::npos);
  mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(100, 100), 0, 1);
  EXPECT_EQ(explain(s, mars_to_device(mars_matmul(a, a), "fake:1")).find("fake:0  compute"), std::string::npos);
  EXPECT_TRUE(same_bits(fetched(y), fetched(mars_exp(x))));
  EXPECT_TRUE(is_error(mars_to_device(x, "fake:2"), MARS_E_ARG, {"mars_to_device", "fake:2", "host, fake:0, fake:1"}));
  EXPECT_TRUE(is_error(mars_to_device(x, nullptr), MARS_E_ARG, {"mars_to_device"}));
}

TEST(Devices, WhatTheyCannotRunRunsOnTheHost) {
  for (int what = 0; what < 3; what++) {
    fake_plan plan = platform(2, MiB);
    plan.no_programs = what == 0;
    plan.no_tiles = what == 1;
    plan.refuse_every = what == 2 ? 2 : 0;
    for (const Program &p : kPrograms) {
      plan.seed++;
      fake_set(&plan);
      Session s(config_of("fake:0,fake:1"));
      expect_same(run(s, p), on_the_host(p), p, "devices that can do some things");
    }
  }
}

TEST(Devices, FromTooSmallToAmple) {
  int left_out = 0;
  for (size_t bytes = 16 << 10; bytes <= 160 << 10; bytes += 16 << 10) {
    fake_plan plan = platform(2, bytes);
    fake_set(&plan);
    Session s(config_of("fake:0,fake:1"));
    for (const Program &p : kPrograms) {
      if (p.bound > 0) continue;
      Scope scope(s);
      left_out += explain(s, p.build(s)[0]).find("left out") != std::string::npos;
      expect_same(run_kept(s, p), on_the_host(p), p, std::to_string(bytes));
    }
  }
  EXPECT_GT(left_out, 0);
}

class Damage : public testing::TestWithParam<shim_damage> {};

TEST_P(Damage, IsSeen) {
  fake_plan plan = platform(2, 256 << 10);
  fake_set(&plan);
  Session s(config_of("fake:0,fake:1", 512 << 10));
  Scope scope(s);
  mars_tensor *x = mars_random_uniform(s, MARS_F64, MARS_SHAPE(1 << 17), 0, 1), *kept = mars_multiply(x, x);
  mars_error err = {};
  ASSERT_TRUE(ok(mars_run(s, &kept, 1, &err), err));
  mars_tensor *t[] = {mars_sum(kept, MARS_ALL), mars_cumsum(mars_add(kept, x), 0)};
  shim_plan *p = nullptr;
  ASSERT_EQ(shim_plan_make(s, t, 2, true, &p, &err), MARS_OK) << err.message;
  EXPECT_EQ(shim_plan_validate(p, &err), MARS_OK) << err.message;
  double busy = 0, seconds = shim_plan_simulate(p, 1e9, &busy);
  EXPECT_GT(seconds, 0);
  EXPECT_TRUE(shim_plan_damage(p, GetParam()));
  EXPECT_EQ(shim_plan_validate(p, &err), MARS_E_INTERNAL);
  shim_plan_free(p);
}
INSTANTIATE_TEST_SUITE_P(Validator, Damage,
                         testing::Values(DROP_LOAD, DOUBLE_FREE, SHIFT_ALLOC, DROP_FENCES, DROP_FREE, REORDER_COMPUTE, DROP_COPY,
                                         WRONG_DEVICE));

TEST(Devices, TooSmallForAnyTaskLeavesItToTheHost) {
  fake_plan plan = platform(1, 64 << 10);
  fake_set(&plan);
  Session s(config_of("fake:0", 8 * MiB, 65536)); // chunks of 512 KiB
  Scope scope(s);
  mars_tensor *x = mars_random_uniform(s, MARS_F64, MARS_SHAPE(300000), 0, 1);
  EXPECT_TRUE(same_bits(fetched(mars_cumsum(x, 0)), fetched(mars_to_device(mars_cumsum(x, 0), "host"))));
  EXPECT_EQ(fake_launched(), 0);
}

// ---- bad input ----

TEST(Devices, BadConfigurations) {
  fake_plan plan = platform(2, 4 * MiB);
  fake_set(&plan);
  auto refused = [&](const char *devices, size_t budget, mars_status st, std::initializer_list<const char *> words) {
    Config c = config_of(devices);
    c.device_budget = budget;
    mars_session *s = nullptr;
    mars_error err = {};
    testing::AssertionResult r = says(open_session(c, &s, &err), err, st, words);
    EXPECT_EQ(s, nullptr);
    mars_session_destroy(s);
    return r;
  };
  EXPECT_TRUE(refused("gpu:0", 0, MARS_E_ARG, {"\"gpu:0\"", "host, fake:0, fake:1"}));
  EXPECT_TRUE(refused("fake:0,fake:2", 0, MARS_E_ARG, {"\"fake:2\"", "host, fake:0, fake:1"}));
  EXPECT_TRUE(refused("fake:0,,host", 0, MARS_E_ARG, {"no device \"\""}));
  EXPECT_TRUE(refused("host,fake:0,host", 0, MARS_E_ARG, {"host twice"}));
  EXPECT_TRUE(refused("fake:1,fake:1", 0, MARS_E_ARG, {"fake:1 twice"}));
  EXPECT_TRUE(refused("fake:1", 5 * MiB, MARS_E_BUDGET, {"fake:1", "5242880", "4194304"}));
  EXPECT_EQ(fake_alive(), 0);
  Config c = config_of(" fake:1 , host");
  c.device_budget = MiB;
  Session s(c);
  mars_session_info info;
  mars_session_get_info(s, &info);
  ASSERT_EQ(info.n_devices, 2);
  EXPECT_STREQ(info.devices[0].name, "host");
  EXPECT_TRUE(info.devices[0].shares_work);
  EXPECT_STREQ(info.devices[1].name, "fake:1");
  EXPECT_EQ(info.devices[1].budget_bytes, MiB);
  EXPECT_EQ(info.devices[1].memory_bytes, 4 * MiB);
  EXPECT_FALSE(info.devices[1].lost);
}

// ---- faults ----

// A small out-of-core job: a file, a product, a scan; kept, in memory.
Results fault_job(mars_session *s) {
  mars_tensor *x = input(s, 96, 96, 20), *y = mars_random_uniform(s, MARS_F64, MARS_SHAPE(96, 96), 0, 1);
  mars_tensor *z = mars_cumsum(mars_add(mars_sin(x), mars_transpose(y)), 0);
  return {mars_subtract(z, mars_mean(z, MARS_ALL)), mars_matmul(y, y), mars_sum(mars_exp(z), MARS_AXES(1))};
}

class Faults : public testing::TestWithParam<mars_status> {};

TEST_P(Faults, EveryCallFailsOnce) {
  const bool lost = GetParam() == MARS_E_DEVICE, full = GetParam() == MARS_E_MEMORY;
  fake_plan plan = platform(2, 128 << 10);
  plan.delay_us = 20;
  plan.fail_with = GetParam();
  fake_set(&plan);
  std::vector<Array> want;
  {
    Session host(config_of("host", 4 * MiB, 1024));
    Scope scope(host);
    mars_random_seed(host, 3);
    ASSERT_TRUE(fetch_all(host, fault_job(host), &want));
  }
  for (long n = 0;; n++) {
    plan.fail_at = -1;
    fake_set(&plan);
    Session s(config_of("fake:0,fake:1", MiB, 1024));
    mars_error err = {};
    bool through = false;
    { // once without faults: what stays for good is there
      Scope scope(s);
      Results r = fault_job(s);
      ASSERT_TRUE(ok(mars_run(s, r.data(), r.size(), &err), err));
    }
    const int64_t live = baseline(s);
    {
      Scope scope(s);
      mars_random_seed(s, 3);
      Results r = fault_job(s);
      plan.fail_at = n;
      fake_set(&plan);
      mars_status st = mars_run(s, r.data(), r.size(), &err);
      through = fake_calls() <= n;
      if (lost || full || through) {
        EXPECT_TRUE(ok(st, err)) << "call " << n;
      } else {
        EXPECT_TRUE(says(st, err, GetParam(), {"fake:", "injected"})) << "call " << n;
      }
      std::vector<Array> got; // after a failure: the same job goes
      for (mars_tensor *t : r)
        got.push_back(fetched(t));
      expect_same(got, want, {"job", nullptr, 1e-12}, "call " + std::to_string(n)); // tiles follow the least arena
      mars_session_info info;
      mars_session_get_info(s, &info);
      EXPECT_EQ(info.devices[1].lost + info.devices[2].lost, lost && !through) << "call " << n;
    }
    settle(s);
    EXPECT_TRUE(no_leak(s, live)) << "call " << n;
    EXPECT_EQ(shim_spill_used_bytes(s), 0u) << "call " << n;
    if (through || HasFailure())
      break;
  }
}
INSTANTIATE_TEST_SUITE_P(Devices, Faults, testing::Values(MARS_E_INTERNAL, MARS_E_DEVICE, MARS_E_MEMORY),
                         [](const auto &info) {
                           return std::string(info.param == MARS_E_DEVICE ? "lost" : info.param == MARS_E_MEMORY ? "full" : "failed");
                         });

TEST(Devices, KeptValuesOutliveALostDevice) {
  fake_plan plan = platform(1, MiB);
  plan.fail_with = MARS_E_DEVICE;
  fake_set(&plan);
  static std::string log;
  log.clear();
  plan.refuse_arena = true;
  fake_set(&plan);
  Config c = config_of("fake:0");
  c.log = [](void *, mars_log_level, const char *text) { log += text; };
  Session s(c);
  Scope scope(s);
  mars_tensor *x = mars_exp(mars_random_uniform(s, MARS_F64, MARS_SHAPE(50000), 0, 1));
  mars_error err = {};
  ASSERT_TRUE(ok(mars_run(s, &x, 1, &err), err));
  EXPECT_EQ(fake_launched() > 0, true);
  Array before = fetched(x);
  plan.fail_at = 0;
  fake_set(&plan);
  Array twice = fetched(mars_add(x, x));
  EXPECT_TRUE(same_bits(fetched(mars_subtract(mars_add(x, x), x)), before));
  EXPECT_NE(log.find("copies to fake:0 are staged"), std::string::npos) << log;
  EXPECT_NE(log.find("again without device fake:0"), std::string::npos) << log;
  EXPECT_EQ(fake_launched(), 0);
}

} // namespace
