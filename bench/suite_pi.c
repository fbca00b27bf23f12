/* Monte Carlo pi: points in the unit square, counted inside the circle. No data at all, only arithmetic. */
#include "bench/hand/kernels.h"
#include "bench/util.h"

#include <math.h>
#include <string.h>

#define SEED 20240229u

typedef struct pi_case {
  const bench_options *o;
  int64_t n;
  size_t budget_bytes;
  mars_session *s;
} pi_case;

static bool open_pi(void *ctx, bool ours, bool others, char *error) {
  pi_case *c = ctx;
  return !ours || bench_session_open(c->o, c->budget_bytes, 0, &c->s, error);
}

static void close_pi(void *ctx) {
  mars_session_destroy(((pi_case *)ctx)->s);
}

static bool compute(pi_case *c, double *value, bench_sample *s) {
  mars_tensor *x, *y, *inside, *pi;
  bool ok;

  mars_scope_open(c->s);
  mars_random_seed(c->s, SEED);
  x = mars_random_uniform(c->s, MARS_F64, MARS_SHAPE(c->n), 0.0, 1.0);
  y = mars_random_uniform(c->s, MARS_F64, MARS_SHAPE(c->n), 0.0, 1.0);
  inside = mars_less_equal(mars_add(mars_mul(x, x), mars_mul(y, y)), mars_int(c->s, 1));
  pi = mars_div(mars_mul(mars_sum(inside, MARS_ALL), mars_int(c->s, 4)), mars_int(c->s, c->n));
  ok = bench_execute(
      c->s, &(mars_output){.tensor = pi, .sink = MARS_SINK_MEMORY, .data = value, .bytes = sizeof *value}, 1,
      s);
  mars_scope_close(c->s);
  return ok;
}

/* The stream that the session gives to the next random tensor after seeding: found by its first values. */
static bool find_stream(pi_case *c, uint64_t *stream, bench_sample *s) {
  double x[4];
  bool ok;

  mars_scope_open(c->s);
  mars_random_seed(c->s, SEED);
  ok = bench_execute(c->s,
                     &(mars_output){.tensor = mars_random_uniform(c->s, MARS_F64, MARS_SHAPE(4), 0.0, 1.0),
                                    .sink = MARS_SINK_MEMORY,
                                    .data = x,
                                    .bytes = sizeof x},
                     1, s);
  mars_scope_close(c->s);
  for (*stream = 0; ok && *stream < 1000; ++*stream) {
    bool same = true;
    for (uint64_t e = 0; e < 4; e++)
      same = same && x[e] == hand_philox_at(SEED, *stream, e);
    if (same)
      return true;
  }
  return false;
}

static void run_ours(void *ctx, bool check, bench_sample *s) {
  pi_case *c = ctx;
  uint64_t stream;
  const double start = bench_now();

  if (!compute(c, &s->result, s))
    return;
  s->seconds = bench_now() - start;
  if (check) {
    const mars_stats stats = s->stats;
    s->correct = find_stream(c, &stream, s) &&
                 s->result == 4.0 * (double)hand_pi_count(SEED, stream, stream + 1, c->n, c->o->threads) /
                                  (double)c->n &&
                 fabs(s->result - M_PI) <= 6 * 1.6422 / sqrt((double)c->n);
    s->stats = stats;
  }
}

static void run_hand(void *ctx, bool check, bench_sample *s) {
  pi_case *c = ctx;
  const double start = bench_now();

  s->result = 4.0 * (double)hand_pi_count(SEED, 0, 1, c->n, c->o->threads) / (double)c->n;
  s->seconds = bench_now() - start;
  s->ok = true;
}

static void run_limit(void *ctx, bool check, bench_sample *s) {
  pi_case *c = ctx;
  const double start = bench_now();

  s->result = hand_philox_sum(SEED, 0, 2 * c->n, c->o->threads);
  s->seconds = bench_now() - start;
  s->ok = true;
}

static void run(const bench_options *o, const char *only, bench_report *r) {
  pi_case c = {.o = o,
               .n = (int64_t)bench_size(o, 1e9, 1e7, 1e10),
               .budget_bytes = bench_budget(o, (size_t)128 << 20)};
  const bench_job job = {.suite = "pi",
                         .name = "points",
                         .size = (double)c.n,
                         .dtype = "f64",
                         .budget_bytes = c.budget_bytes,
                         .work = (double)c.n,
                         .work_scale = 1e-9,
                         .unit = "Gpoints/s",
                         .limit_name = "philox",
                         .ctx = &c,
                         .open = open_pi,
                         .close = close_pi,
                         .run = {run_ours, run_hand, run_limit},
                         .isolated = true,
                         .peer_suite = "pi"};

  bench_run_job(&job, o, r);
}

static const char *const cases[] = {"points", NULL};
const bench_suite bench_suite_pi = {"pi", "Monte Carlo pi from n random points, counted in one pass", cases,
                                    run};
