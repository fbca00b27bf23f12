/*
 * Cholesky, LU, QR and the solution of a system, f64, of a generated n x n matrix that is several times the budget. The factors
 * are kept by the session, most of them spilled.
 *
 * The hand-written version is LAPACK with all of its matrix in memory, of order 8000 at most; its time is scaled by the flops.
 */
#include "bench/hand/blas.h"
#include "bench/hand/kernels.h"
#include "bench/util.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEED 20240312u
#define STREAM 0u
#define HAND_MOST 8000
#define LIMIT_ORDER 2000

static const char *const names[HAND_FACTORS] = {"cholesky", "lu", "qr", "solve"};

typedef struct factor_case {
  const bench_options *o;
  hand_factor what;
  int64_t n;
  size_t budget_bytes;
} factor_case;

static bool open_factor(void *ctx, bool ours, bool others, char *error) {
  const factor_case *c = ctx;
  return !others || hand_blas_open(c->o->threads, error);
}
static void close_factor(void *ctx) {}

/* ---- the check: products of the factors with a vector against a's own, made by the generator's definition -- */

/* y = a x of the general matrix. */
static bool multiply_a(const factor_case *c, const double *x, double *y) {
  const int64_t n = c->n;
  int failed = 0;

#pragma omp parallel num_threads(c->o->threads) reduction(+ : failed)
  {
    double *row = malloc((size_t)n * sizeof *row);
    failed += row == NULL;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < n; i++) {
      double sum = 0;
      if (row == NULL)
        continue;
      hand_uniform(SEED, STREAM, (uint64_t)(i * n), n, row);
      for (int64_t k = 0; k < n; k++)
        sum += row[k] * x[k];
      y[i] = sum;
    }
    free(row);
  }
  return failed == 0;
}

/* The same of Cholesky's, of which the lower triangle counts. */
static bool multiply_symmetric(const factor_case *c, const double *x, double *y) {
  const int64_t n = c->n;
  double *row = malloc((size_t)n * sizeof *row);

  if (row == NULL)
    return false;
  memset(y, 0, (size_t)n * sizeof *y);
  for (int64_t i = 0; i < n; i++) {
    double sum = 0;
    hand_uniform(SEED, STREAM, (uint64_t)(i * n), i + 1, row);
    for (int64_t k = 0; k < i; k++) {
      sum += row[k] * x[k];
      y[k] += row[k] * x[i];
    }
    y[i] += sum + (row[i] + (double)n) * x[i];
  }
  free(row);
  return true;
}

#define FETCH_COLUMNS 128

/* y = t x, or t^T x, of a tensor that the session holds, some columns at a time: chunks of factors are panels of columns, or tiles. */
static bool multiply_tensor(const factor_case *c, mars_session *s, mars_tensor *t, bool transposed, const double *x,
                            double *y) {
  const int64_t n = c->n;
  double *columns = malloc((size_t)(FETCH_COLUMNS * n) * sizeof *columns);
  bool ok = columns != NULL;

  memset(y, 0, (size_t)n * sizeof *y);
  for (int64_t k = 0; k < n && ok; k += FETCH_COLUMNS) {
    const int64_t count = n - k < FETCH_COLUMNS ? n - k : FETCH_COLUMNS;
    const mars_slice slice[2] = {{MARS_SLICE_RANGE, 0, n, 1}, {MARS_SLICE_RANGE, k, k + count, 1}};
    mars_scope_open(s);
    ok = mars_fetch(mars_index(t, slice, 2), columns, (size_t)(count * n) * sizeof *columns, NULL) == MARS_OK;
    mars_scope_close(s);
    for (int64_t i = 0; i < n && ok; i++)
      for (int64_t j = 0; j < count; j++) {
        if (transposed)
          y[k + j] += columns[i * count + j] * x[i];
        else
          y[i] += columns[i * count + j] * x[k + j];
      }
  }
  free(columns);
  return ok;
}

static double norm(const double *x, int64_t n) {
  double sum = 0;

  for (int64_t i = 0; i < n; i++)
    sum += x[i] * x[i];
  return sqrt(sum);
}

static double distance(const double *x, const double *y, int64_t n) {
  double sum = 0;

  for (int64_t i = 0; i < n; i++)
    sum += (x[i] - y[i]) * (x[i] - y[i]);
  return sqrt(sum);
}

typedef struct results {
  mars_tensor *t[3]; /* cholesky: l; lu: order of rows, l, u; qr: q, r; solve: x */
  int n;
} results;

/* y[i] = x[order[i]], which is p x. */
static bool permute(mars_tensor *order, int64_t n, const double *x, double *y) {
  int64_t *at = malloc((size_t)n * sizeof *at);
  bool ok = at != NULL && mars_fetch(order, at, (size_t)n * sizeof *at, NULL) == MARS_OK;

  for (int64_t i = 0; i < n && ok; i++) {
    ok = at[i] >= 0 && at[i] < n;
    if (ok)
      y[i] = x[at[i]];
  }
  free(at);
  return ok;
}

/* |f1 f2 .. x - a x| below some thousand ulps of |a| |x|: u n, with room for the growth of LU. */
static bool verify_with(const factor_case *c, mars_session *s, const results *r, double *x, double *y, double *z) {
  const int64_t n = c->n;
  const double scale = (double)n * (c->what == HAND_CHOLESKY ? 1.5 : 0.6), tolerance = 0x1p-53 * 40 * (double)n * scale;
  double size;
  bool ok;

  for (int64_t i = 0; i < n; i++)
    x[i] = hand_philox_at(SEED, 77, (uint64_t)i) - 0.5;
  size = norm(x, n);
  switch (c->what) {
  case HAND_CHOLESKY:
    ok = multiply_tensor(c, s, r->t[0], true, x, y) && multiply_tensor(c, s, r->t[0], false, y, z) &&
         multiply_symmetric(c, x, y);
    break;
  case HAND_LU:
    ok = multiply_tensor(c, s, r->t[2], false, x, y) && multiply_tensor(c, s, r->t[1], false, y, z) &&
         permute(r->t[0], n, z, y);
    memcpy(z, y, (size_t)n * sizeof *z);
    ok = ok && multiply_a(c, x, y);
    break;
  case HAND_QR:
    ok = multiply_tensor(c, s, r->t[0], false, x, y) && multiply_tensor(c, s, r->t[0], true, y, z) &&
         distance(z, x, n) < 0x1p-53 * 40 * (double)n * size; /* q^T q = 1 */
    ok = ok && multiply_tensor(c, s, r->t[1], false, x, y) && multiply_tensor(c, s, r->t[0], false, y, z) &&
         multiply_a(c, x, y);
    break;
  default: /* a x of the solution against the right side, which is all ones */
    ok = mars_fetch(r->t[0], x, (size_t)n * sizeof *x, NULL) == MARS_OK && multiply_a(c, x, y);
    size = norm(x, n);
    for (int64_t i = 0; i < n; i++)
      z[i] = 1;
    break;
  }
  return ok && distance(y, z, n) <= tolerance * size;
}

static bool verify(const factor_case *c, mars_session *s, const results *r) {
  const size_t bytes = (size_t)c->n * sizeof(double);
  double *x = malloc(bytes), *y = malloc(bytes), *z = malloc(bytes);
  const bool ok = x != NULL && y != NULL && z != NULL && verify_with(c, s, r, x, y, z);

  free(x);
  free(y);
  free(z);
  return ok;
}

/* ---- runs ------------------------------------------------------------------------------------------ */

static results build(const factor_case *c, mars_session *s) {
  results r = {.n = 1};
  mars_tensor *a, *p;

  mars_random_seed(s, SEED);
  a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(c->n, c->n), 0.0, 1.0);
  switch (c->what) {
  case HAND_CHOLESKY: /* dominated by its diagonal */
    a = mars_add(a, mars_mul(mars_eye(s, MARS_F64, c->n, c->n, 0), mars_float(s, (double)c->n)));
    r.t[0] = mars_cholesky(a);
    break;
  case HAND_LU:
    mars_lu(a, &p, &r.t[1], &r.t[2]);
    r.t[0] = mars_argmax(p, MARS_AXES(1));
    r.n = 3;
    break;
  case HAND_QR:
    mars_qr(a, MARS_QR_REDUCED, &r.t[0], &r.t[1]);
    r.n = 2;
    break;
  default:
    r.t[0] = mars_solve(a, mars_ones(s, MARS_F64, MARS_SHAPE(c->n)));
    break;
  }
  return r;
}

/* A session for each run: its slab files are gone before the next contender runs. p of lu is kept as the order of rows: read in a
   later job, it would be made by another factorisation. */
static void run_ours(void *ctx, bool check, bench_sample *s) {
  const factor_case *c = ctx;
  mars_session *session = NULL;
  mars_output outputs[3] = {{0}};
  double start;

  if (!bench_session_open(c->o, c->budget_bytes, 0, &session, s->error))
    return;
  start = bench_now();
  mars_scope_open(session);
  const results r = build(c, session);
  for (int i = 0; i < r.n; i++)
    outputs[i] = (mars_output){.tensor = r.t[i], .sink = MARS_SINK_KEEP};
  if (bench_execute(session, outputs, (size_t)r.n, s)) {
    s->seconds = bench_now() - start;
    s->result = (double)c->n;
    if (check)
      s->correct = verify(c, session, &r);
  }
  mars_scope_close(session);
  mars_session_destroy(session);
}

static void run_hand(void *ctx, bool check, bench_sample *s) {
  const factor_case *c = ctx;
  const int64_t n = c->n < HAND_MOST ? c->n : HAND_MOST;

  s->seconds = hand_factor_seconds(c->what, n, c->o->threads) * hand_factor_flops(c->what, c->n) /
               hand_factor_flops(c->what, n);
  s->ok = s->seconds > 0;
  if (!s->ok)
    bench_set_error(s->error, "LAPACK failed, or there is no memory");
}

static void run_limit(void *ctx, bool check, bench_sample *s) {
  const factor_case *c = ctx;

  s->seconds = hand_dgemm_seconds(hand_factor_flops(c->what, c->n), c->n < LIMIT_ORDER ? c->n : LIMIT_ORDER);
  s->ok = s->seconds > 0;
}

static void run_case(factor_case c, bench_report *r) {
  const bench_job job = {.suite = "factor",
                         .name = names[c.what],
                         .size = (double)c.n,
                         .dtype = "f64",
                         .budget_bytes = c.budget_bytes,
                         .work = hand_factor_flops(c.what, c.n),
                         .work_scale = 1e-9,
                         .unit = "GFLOP/s",
                         .limit_name = "dgemm",
                         .ctx = &c,
                         .open = open_factor,
                         .close = close_factor,
                         .run = {run_ours, run_hand, run_limit},
                         .isolated = true,
                         .long_runs = true,
                         .disk_bytes = 32.0 * (double)c.n * (double)c.n,
                         .peer_suite = "factor"};
  bench_run_job(&job, c.o, r);
}

static void run(const bench_options *o, const char *only, bench_report *r) {
  factor_case c = {.o = o,
                   .n = (int64_t)bench_size(o, 12000, 1000, 24000),
                   .budget_bytes = bench_budget(o, o->scale == BENCH_QUICK ? (size_t)8 << 20 : (size_t)256 << 20)};

  for (int what = 0; what < HAND_FACTORS && !bench_interrupted(); what++) {
    c.what = (hand_factor)what;
    if (only == NULL || strcmp(only, names[what]) == 0)
      run_case(c, r);
  }
}

static const char *const cases[] = {"cholesky", "lu", "qr", "solve", NULL};
const bench_suite bench_suite_factor = {
    "factor", "Cholesky, LU, QR and a system of order n in a budget far below the matrix, against LAPACK in memory", cases,
    run};
