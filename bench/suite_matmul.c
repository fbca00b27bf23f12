/*
 * Matrix products of the caller's arrays into the caller's array: n = 4096 in f64 and f32, and the latency of n = 64.
 *
 * The hand-written version is one call of OpenBLAS; the limit is what the vector units can do.
 */
#include "bench/hand/blas.h"
#include "bench/hand/kernels.h"
#include "bench/util.h"

#include <math.h>
#include <string.h>

#define CALLS 200 /* of the small product in one run */

typedef struct matmul_case {
  const bench_options *o;
  bool f32;
  int64_t n;
  int calls;
  size_t budget_bytes;
  mars_session *s;
  void *a, *b, *out;
} matmul_case;

static size_t bytes_of(const matmul_case *c) {
  return (size_t)c->n * (size_t)c->n * (c->f32 ? sizeof(float) : sizeof(double));
}

static bool open_matmul(void *ctx, bool ours, bool others, char *error) {
  matmul_case *c = ctx;
  void **const arrays[] = {&c->a, &c->b, &c->out};

  for (int k = 0; k < 3; k++) {
    *arrays[k] = bench_alloc(bytes_of(c), c->o->threads);
    if (*arrays[k] == NULL) {
      bench_set_error(error, "no memory for three arrays of %zu bytes", bytes_of(c));
      return false;
    }
  }
  for (int k = 0; k < 2; k++)
    if (c->f32)
      bench_fill_f32(*arrays[k], k, c->n * c->n, c->o->threads);
    else
      bench_fill_f64(*arrays[k], k, c->n * c->n, c->o->threads);
  if (others && !hand_blas_open(c->o->threads, error))
    return false;
  return !ours || bench_session_open(c->o, c->budget_bytes, 0, &c->s, error);
}

static void close_matmul(void *ctx) {
  matmul_case *c = ctx;

  mars_session_destroy(c->s);
  bench_free(c->a, bytes_of(c));
  bench_free(c->b, bytes_of(c));
  bench_free(c->out, bytes_of(c));
}

static double element(const matmul_case *c, const void *array, int64_t i) {
  return c->f32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

/* Some thousand elements of the product, their sums in double: the bound of the library's error, 4 + n ulps of sum |a| |b|. */
static bool verify(const matmul_case *c) {
  const double u = c->f32 ? 0x1p-24 : 0x1p-53;
  const int64_t n = c->n, step = n * n > 4000 ? n * n / 4000 | 1 : 1;

  for (int64_t at = 0; at < n * n; at += step) {
    long double sum = 0;
    for (int64_t k = 0; k < n; k++)
      sum += (long double)element(c, c->a, at / n * n + k) * element(c, c->b, k * n + at % n);
    if (!(fabsl(sum - element(c, c->out, at)) <= (long double)(4 + n) * u * sum)) /* nothing is negative */
      return false;
  }
  return true;
}

/* at_once: in the thread that asks, as for one small product after another; it leaves no record of what was done. */
static bool multiply(matmul_case *c, bool at_once, bench_sample *s) {
  const mars_dtype dt = c->f32 ? MARS_F32 : MARS_F64;
  bool ok;

  mars_scope_open(c->s);
  mars_tensor *a = mars_from_memory(c->s, dt, MARS_SHAPE(c->n, c->n), NULL, c->a, NULL, NULL);
  mars_tensor *b = mars_from_memory(c->s, dt, MARS_SHAPE(c->n, c->n), NULL, c->b, NULL, NULL);
  ok = at_once ? bench_fetch(mars_matmul(a, b), c->out, bytes_of(c), s)
               : bench_execute(c->s,
                               &(mars_output){.tensor = mars_matmul(a, b),
                                              .sink = MARS_SINK_MEMORY,
                                              .data = c->out,
                                              .bytes = bytes_of(c)},
                               1, s);
  mars_scope_close(c->s);
  return ok;
}

static void run_ours(void *ctx, bool check, bench_sample *s) {
  matmul_case *c = ctx;
  double start;

  if (check)
    memset(c->out, 0xff, bytes_of(c));
  if (c->calls > 1 && !multiply(c, false, s))
    return;
  start = bench_now();
  for (int i = 0; i < c->calls; i++)
    if (!multiply(c, c->calls > 1, s))
      return;
  s->seconds = bench_now() - start;
  s->result = element(c, c->out, c->n * c->n - 1);
  if (check)
    s->correct = verify(c);
}

static void run_hand(void *ctx, bool check, bench_sample *s) {
  const matmul_case *c = ctx;
  const double start = bench_now();

  for (int i = 0; i < c->calls; i++) {
    if (c->f32)
      hand_gemm_f32(c->n, c->a, c->b, c->out);
    else
      hand_gemm_f64(c->n, c->a, c->b, c->out);
  }
  s->seconds = bench_now() - start;
  s->result = element(c, c->out, c->n * c->n - 1);
  s->ok = true;
}

static double flops(const matmul_case *c) {
  return 2.0 * (double)c->n * (double)c->n * (double)c->n;
}

/* Twice as many floats as doubles fit a vector. */
static void run_limit(void *ctx, bool check, bench_sample *s) {
  const matmul_case *c = ctx;

  s->seconds = c->calls * flops(c) / (hand_fma_rate(c->o->threads) * 1e9 * (c->f32 ? 2 : 1));
  s->ok = true;
}

static void run_case(matmul_case c, const char *name, bench_report *r) {
  const bool small = c.calls > 1;
  bench_job job = {.suite = "matmul",
                   .name = name,
                   .size = (double)c.n,
                   .dtype = c.f32 ? "f32" : "f64",
                   .budget_bytes = c.budget_bytes,
                   .work = small ? c.calls : flops(&c),
                   .work_scale = small ? 1e6 : 1e-9,
                   .unit = small ? "us" : "GFLOP/s",
                   .inverse = small,
                   .limit_name = "fma",
                   .ctx = &c,
                   .open = open_matmul,
                   .close = close_matmul,
                   .run = {run_ours, run_hand, run_limit},
                   .isolated = true,
                   .peer_suite = "matmul"};
  bench_run_job(&job, c.o, r);
}

static void run(const bench_options *o, const char *only, bench_report *r) {
  matmul_case c = {.o = o, .calls = 1, .budget_bytes = bench_budget(o, (size_t)256 << 20)};

  c.n = (int64_t)bench_size(o, 4096, 1024, 4096);
  if (only == NULL || strcmp(only, "f64") == 0)
    run_case(c, "f64", r);
  c.f32 = true;
  if (only == NULL || strcmp(only, "f32") == 0)
    run_case(c, "f32", r);
  c.f32 = false;
  c.n = o->size > 0 && o->size < 64 ? (int64_t)o->size : 64;
  c.calls = CALLS;
  if (only == NULL || strcmp(only, "latency") == 0)
    run_case(c, "latency", r);
}

static const char *const cases[] = {"f64", "f32", "latency", NULL};
const bench_suite bench_suite_matmul = {
    "matmul", "a @ b of the caller's arrays, n = 4096; the latency of n = 64", cases, run};
