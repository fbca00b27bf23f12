/*
 * ((a @ a.T) - a).std() of a generated n x n matrix, f64.
 *
 * Nothing is read and one number is kept. Case memory: a and the product fit. Case budget: neither does; panels of a are made
 * when they are needed, blocks of the product are used up as soon as they are made. Flops are those of a symmetric product,
 * n^2 (n + 1), which is also what the limit does in one call.
 */
#include "bench/hand/blas.h"
#include "bench/hand/kernels.h"
#include "bench/util.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEED 20240310u
#define STREAM 0u      /* the first one after seeding */
#define LIMIT_MOST 8000 /* order of the limit's product; its time is scaled by the flops */

typedef struct aat_case {
  const bench_options *o;
  int64_t n;
  size_t budget_bytes;
  mars_session *s;
  double *work; /* the hand-written version's */
} aat_case;

static double flops(int64_t n) {
  return (double)n * (double)n * (double)(n + 1);
}

/* Rows of a panel: two of them and a block of the product in the budget. */
static int64_t panel_rows(const aat_case *c) {
  const double n = (double)c->n, room = (double)c->budget_bytes / sizeof(double);
  const double rows = floor(sqrt(n * n + room) - n);

  if (2 * n * n <= room || rows >= n)
    return c->n;
  return rows < 1 ? 1 : (int64_t)rows;
}

static size_t work_bytes(const aat_case *c) {
  return hand_aat_doubles(c->n, panel_rows(c)) * sizeof(double);
}

static bool open_aat(void *ctx, bool ours, bool others, char *error) {
  aat_case *c = ctx;

  if (others) {
    if (!hand_blas_open(c->o->threads, error))
      return false;
    c->work = bench_alloc(work_bytes(c), c->o->threads);
  }
  return !ours || bench_session_open(c->o, c->budget_bytes, 0, &c->s, error);
}

static void close_aat(void *ctx) {
  aat_case *c = ctx;

  mars_session_destroy(c->s);
  bench_free(c->work, work_bytes(c));
}

static bool compute(mars_session *session, int64_t n, double *value, bench_sample *s) {
  bool ok;

  mars_scope_open(session);
  mars_random_seed(session, SEED);
  mars_tensor *a = mars_random_uniform(session, MARS_F64, MARS_SHAPE(n, n), 0.0, 1.0);
  mars_tensor *d = mars_sub(mars_matmul(a, mars_transpose(a)), a);
  ok = bench_execute(
      session,
      &(mars_output){.tensor = mars_std(d, MARS_ALL), .sink = MARS_SINK_MEMORY, .data = value, .bytes = sizeof *value},
      1, s);
  mars_scope_close(session);
  return ok;
}

/* By its definition, in plain loops over the definition of the generator. NaN: no memory. */
static double plain_std(int64_t n) {
  double *a = malloc((size_t)(n * n) * sizeof *a), *d = malloc((size_t)(n * n) * sizeof *d);
  double mean = 0, m2 = 0;

  for (int64_t i = 0; i < n * n && a != NULL; i++)
    a[i] = hand_philox_at(SEED, STREAM, (uint64_t)i);
  for (int64_t i = 0; i < n && a != NULL && d != NULL; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t k = 0; k < n; k++)
        sum += a[i * n + k] * a[j * n + k];
      d[i * n + j] = sum - a[i * n + j];
      mean += d[i * n + j] / (double)(n * n);
    }
  for (int64_t i = 0; i < n * n && a != NULL && d != NULL; i++)
    m2 += (d[i] - mean) * (d[i] - mean);
  if (a == NULL || d == NULL)
    m2 = NAN;
  free(a);
  free(d);
  return sqrt(m2 / (double)(n * n));
}

/* A small one in a session whose budget is as small a part of it, and not less than 1 MiB. */
static bool check_small(aat_case *c, char *error) {
  const int64_t n = c->n < 500 ? c->n : 500;
  const double scale = (double)n / (double)c->n;
  const size_t budget = (size_t)fmax((double)c->budget_bytes * scale * scale, 1 << 20);
  mars_session *session;
  bench_sample s = {0};
  double value = NAN;
  bool ok = bench_session_open_beside(c->o, budget, &c->s, &session, error);

  if (ok) {
    ok = compute(session, n, &value, &s);
    if (!ok)
      memcpy(error, s.error, BENCH_TEXT);
    mars_session_destroy(session);
  }
  if (c->s == NULL)
    ok = bench_session_open(c->o, c->budget_bytes, 0, &c->s, error) && ok;
  return ok && bench_close_to(value, plain_std(n), 1e-9);
}

static void run_ours(void *ctx, bool check, bench_sample *s) {
  aat_case *c = ctx;
  const double start = bench_now();

  if (!compute(c->s, c->n, &s->result, s))
    return;
  s->seconds = bench_now() - start;
  /* of n at hand, sqrt(n / 18) is what it tends to: 7 n / 144 for the products, n / 144 for the diagonal */
  if (check)
    s->correct = check_small(c, s->error) &&
                 fabs(s->result / sqrt((double)c->n / 18) - 1) < 0.02 + 5 / sqrt((double)c->n);
}

static void run_hand(void *ctx, bool check, bench_sample *s) {
  const aat_case *c = ctx;
  const double start = bench_now();

  if (c->work == NULL) {
    bench_set_error(s->error, "no memory for %zu bytes", work_bytes(c));
    return;
  }
  s->result = hand_aat_std(SEED, STREAM, c->n, panel_rows(c), c->work, c->o->threads);
  s->seconds = bench_now() - start;
  s->ok = true;
}

static void run_limit(void *ctx, bool check, bench_sample *s) {
  const aat_case *c = ctx;

  s->seconds = hand_dsyrk_seconds(flops(c->n), c->n < LIMIT_MOST ? c->n : LIMIT_MOST);
  s->ok = s->seconds > 0;
}

static void run_case(aat_case c, const char *name, bench_report *r) {
  const bench_job job = {.suite = "aat",
                         .name = name,
                         .size = (double)c.n,
                         .dtype = "f64",
                         .budget_bytes = c.budget_bytes,
                         .work = flops(c.n),
                         .work_scale = 1e-9,
                         .unit = "GFLOP/s",
                         .limit_name = "dsyrk",
                         .ctx = &c,
                         .open = open_aat,
                         .close = close_aat,
                         .run = {run_ours, run_hand, run_limit},
                         .isolated = true,
                         .long_runs = c.n > 12000,
                         .same_as_hand = 1e-9,
                         .peer_suite = "aat"};
  bench_run_job(&job, c.o, r);
}

static void run(const bench_options *o, const char *only, bench_report *r) {
  aat_case c = {.o = o};

  if (only == NULL ? o->scale != BENCH_HEADLINE : strcmp(only, "memory") == 0) {
    c.n = (int64_t)bench_size(o, 8000, 1200, 8000);
    c.budget_bytes = bench_budget(o, (size_t)2 << 30);
    run_case(c, "memory", r);
  }
  if (only == NULL || strcmp(only, "budget") == 0) {
    c.n = (int64_t)bench_size(o, 20000, 1600, 100000);
    c.budget_bytes = bench_budget(o, o->scale == BENCH_QUICK ? (size_t)8 << 20 : (size_t)1 << 30);
    run_case(c, "budget", r);
  }
}

static const char *const cases[] = {"memory", "budget", NULL};
const bench_suite bench_suite_aat = {
    "aat", "((a @ a.T) - a).std() of a generated matrix: in memory; in a budget below its size", cases, run};
