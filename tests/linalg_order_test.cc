// What reads a factor while another part of it waits to be made: a product whose block has begun and cannot go on.
#include "tests/linalg_util.h"

#include <cmath>
#include <functional>

using namespace api;

namespace {

constexpr int64_t kSide = 200;

mars_tensor *worst(mars_tensor *t) { return mars_max(mars_absolute(t), MARS_ALL); }

struct Case {
  const char *name;
  std::function<mars_tensor *(mars_tensor *)> of;
};

const Case kCases[] = {
    {"p @ a", [](mars_tensor *a) {
       mars_tensor *p, *l, *u;
       mars_lu(a, &p, &l, &u);
       return worst(mars_matmul(p, a));
     }},
    {"l @ u - p.T @ a", [](mars_tensor *a) {
       mars_tensor *p, *l, *u;
       mars_lu(a, &p, &l, &u);
       return worst(mars_subtract(mars_matmul(l, u), mars_matmul(mars_transpose(p), a)));
     }},
    {"q @ a", [](mars_tensor *a) {
       mars_tensor *q, *r;
       mars_qr(a, MARS_QR_REDUCED, &q, &r);
       return worst(mars_matmul(q, a));
     }},
    {"q.T @ a - r", [](mars_tensor *a) {
       mars_tensor *q, *r;
       mars_qr(a, MARS_QR_REDUCED, &q, &r);
       return worst(mars_subtract(mars_matmul(mars_transpose(q), a), r));
     }},
};

// The status is that of a job that does not fit: some of these budgets are too small for some of them.
mars_status value(const Case &c, size_t budget, int threads, double *out) {
  Config config;
  config.budget = budget, config.threads = threads;
  mars_session *s = shared_session(config);
  Scope scope(s);
  mars_error err = {};
  mars_random_seed(s, 3);
  mars_tensor *t = c.of(mars_random_uniform(s, MARS_F64, MARS_SHAPE(kSide, kSide), 0, 1));
  mars_output o = {};
  o.tensor = t, o.sink = MARS_SINK_MEMORY, o.data = out, o.bytes = sizeof *out;
  mars_job *job = nullptr;
  mars_status st = mars_submit(s, &o, 1, &job, &err);
  if (st == MARS_OK) st = mars_wait(job, &err);
  mars_job_release(job);
  EXPECT_TRUE(st == MARS_OK || st == MARS_E_BUDGET) << c.name << " in " << budget << ": " << err.message;
  return st;
}

TEST(Order, ReadersOfFactorsInTinyBudgets) {
  for (const Case &c : kCases) {
    double want = NAN;
    int done = 0;
    ASSERT_EQ(value(c, 256 * MiB, 1, &want), MARS_OK);
    for (size_t budget : {64 << 10, 80 << 10, 96 << 10, 128 << 10, 160 << 10, 200 << 10, 400 << 10}) {
      double got = NAN;
      if (value(c, budget, 1 + (int)(budget >> 14) % 2, &got) != MARS_OK) continue;
      done++;
      EXPECT_NEAR(got, want, 1e-12 * (1 + want)) << c.name << " in " << budget;
    }
    EXPECT_GE(done, 4) << c.name;
  }
}

} // namespace
