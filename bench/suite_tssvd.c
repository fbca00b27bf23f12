/*
 * u, s, v = svd(a); max(abs(u * s @ v - a)) of a generated m x 32 matrix, f64: the SVD of a tall matrix and its proof.
 *
 * Neither a nor u is kept: a comes from the generator, and is made again where that is cheaper. The limit are the flops of the
 * three products that nobody can do without (a^T a, half of it; u; u s v) at the rate of a large dgemm.
 */
#include "bench/hand/blas.h"
#include "bench/hand/kernels.h"
#include "bench/util.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 20240311u
#define STREAM 0u
#define COLS 32
#define SMALL 3000 /* rows of the one that is checked by the definition of an SVD */

typedef struct tssvd_case {
  const bench_options *o;
  int64_t m;
  size_t budget_bytes;
  mars_session *s;
} tssvd_case;

static bool open_tssvd(void *ctx, bool ours, bool others, char *error) {
  tssvd_case *c = ctx;

  if (others && !hand_blas_open(c->o->threads, error))
    return false;
  return !ours || bench_session_open(c->o, c->budget_bytes, 0, &c->s, error);
}

static void close_tssvd(void *ctx) {
  mars_session_destroy(((tssvd_case *)ctx)->s);
}

typedef struct parts {
  mars_tensor *a, *u, *s, *vh;
} parts;

static parts decompose(mars_session *session, int64_t m) {
  parts p;

  mars_random_seed(session, SEED);
  p.a = mars_random_uniform(session, MARS_F64, MARS_SHAPE(m, COLS), 0.0, 1.0);
  mars_svd(p.a, false, &p.u, &p.s, &p.vh);
  return p;
}

/* ---- the check: u and vh have orthonormal rows or columns, s falls, and their product is a ----------- */

typedef struct values {
  double a[SMALL * COLS], u[SMALL * COLS], s[COLS], vh[COLS * COLS];
} values;

/* x^T x of [rows, cols] is the identity. */
static bool orthonormal(const double *x, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < cols; i++)
    for (int64_t j = 0; j < cols; j++) {
      double sum = i == j ? -1 : 0;
      for (int64_t k = 0; k < rows; k++)
        sum += x[k * cols + i] * x[k * cols + j];
      if (!(fabs(sum) < 1e-12))
        return false;
    }
  return true;
}

static bool is_svd(const values *v) {
  bool ok = orthonormal(v->u, SMALL, COLS) && orthonormal(v->vh, COLS, COLS) && v->s[COLS - 1] > 0;

  for (int k = 1; k < COLS; k++)
    ok = ok && v->s[k] <= v->s[k - 1];
  for (int64_t i = 0; i < SMALL && ok; i++)
    for (int64_t j = 0; j < COLS; j++) {
      double sum = 0;
      for (int k = 0; k < COLS; k++)
        sum += v->u[i * COLS + k] * v->s[k] * v->vh[k * COLS + j];
      ok = ok && fabs(sum - hand_philox_at(SEED, STREAM, (uint64_t)(i * COLS + j))) < 1e-12;
    }
  return ok;
}

static bool check_small(tssvd_case *c, char *error) {
  values *v = malloc(sizeof *v);
  mars_session *session = NULL;
  bench_sample s = {0};
  bool ok = v != NULL && bench_session_open_beside(c->o, (size_t)1 << 20, &c->s, &session, error);

  if (ok) {
    mars_scope_open(session);
    const parts p = decompose(session, SMALL);
    const mars_output outputs[] = {{.tensor = p.u, .sink = MARS_SINK_MEMORY, .data = v->u, .bytes = sizeof v->u},
                                   {.tensor = p.s, .sink = MARS_SINK_MEMORY, .data = v->s, .bytes = sizeof v->s},
                                   {.tensor = p.vh, .sink = MARS_SINK_MEMORY, .data = v->vh, .bytes = sizeof v->vh}};
    ok = bench_execute(session, outputs, 3, &s) && is_svd(v);
    if (s.error[0] != '\0')
      memcpy(error, s.error, BENCH_TEXT);
    mars_scope_close(session);
  }
  mars_session_destroy(session);
  free(v);
  if (c->s == NULL)
    ok = bench_session_open(c->o, c->budget_bytes, 0, &c->s, error) && ok;
  return ok;
}

/* ---- runs ------------------------------------------------------------------------------------------ */

static void run_ours(void *ctx, bool check, bench_sample *s) {
  tssvd_case *c = ctx;
  const double start = bench_now();
  bool ok;

  mars_scope_open(c->s);
  const parts p = decompose(c->s, c->m);
  mars_tensor *back = mars_matmul(mars_mul(p.u, p.s), p.vh);
  mars_tensor *worst = mars_max(mars_absolute(mars_sub(back, p.a)), MARS_ALL);
  ok = bench_execute(
      c->s,
      &(mars_output){.tensor = worst, .sink = MARS_SINK_MEMORY, .data = &s->result, .bytes = sizeof s->result}, 1, s);
  mars_scope_close(c->s);
  s->seconds = bench_now() - start;
  if (check && ok)
    s->correct = s->result < 1e-11 && check_small(c, s->error);
}

static void run_hand(void *ctx, bool check, bench_sample *s) {
  const tssvd_case *c = ctx;
  const double start = bench_now();

  s->result = hand_tall_svd(SEED, STREAM, c->m, COLS, c->o->threads);
  s->seconds = bench_now() - start;
  s->ok = s->result < 1e-9; /* it squares the condition */
  if (!s->ok)
    bench_set_error(s->error, "its error is %g", s->result);
}

static void run_limit(void *ctx, bool check, bench_sample *s) {
  const tssvd_case *c = ctx;

  s->seconds = hand_dgemm_seconds(5.0 * (double)c->m * COLS * COLS, 2000);
  s->ok = s->seconds > 0;
}

static void run(const bench_options *o, const char *only, bench_report *r) {
  tssvd_case c = {.o = o,
                  .m = (int64_t)bench_size(o, 8e6, 4e5, 8e8),
                  .budget_bytes = bench_budget(o, o->scale == BENCH_QUICK ? (size_t)32 << 20 : (size_t)1 << 30)};
  const bench_job job = {.suite = "tssvd",
                         .name = "rows",
                         .size = (double)c.m,
                         .dtype = "f64",
                         .budget_bytes = c.budget_bytes,
                         .work = (double)c.m,
                         .work_scale = 1e-6,
                         .unit = "Mrows/s",
                         .limit_name = "dgemm",
                         .ctx = &c,
                         .open = open_tssvd,
                         .close = close_tssvd,
                         .run = {run_ours, run_hand, run_limit},
                         .isolated = true,
                         .long_runs = c.m > 20000000,
                         .peer_suite = "tssvd"};
  bench_row row;

  if (c.m < COLS)
    c.m = COLS;
  if (bench_interrupted())
    return;
  bench_measure(&job, o, &row);
  bench_report_add(r, &row);
  if (row.error[0] == '\0' && c.m < 800000000)
    printf("         8e8 rows at this rate: %.0f s\n", 800 / row.rate);
}

static const char *const cases[] = {"rows", NULL};
const bench_suite bench_suite_tssvd = {
    "tssvd", "u, s, v = svd(a); max(abs(u * s @ v - a)) of a generated matrix with 32 columns", cases, run};
