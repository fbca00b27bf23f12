/*
 * scale (x*2) and axpb ((x + 1)*2) on float64.
 *
 * Case memory: caller's array to caller's array, bound by memory bandwidth. Case spill: generated input,
 * result kept by the session in a budget far below its size, bound by how fast the drive takes it.
 */
#include "bench/hand/kernels.h"
#include "bench/limits/disk.h"
#include "bench/util.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct scale_case {
  const bench_options *o;
  bool plus_one; /* axpb */
  int64_t n;
  size_t budget_bytes;
  mars_session *s;
  double *x, *out;
  char path[BENCH_PATH + 16];
} scale_case;

static mars_tensor *expression(const scale_case *c, mars_session *s, mars_tensor *x) {
  if (c->plus_one)
    x = mars_add(x, mars_int(s, 1));
  return mars_mul(x, mars_int(s, 2));
}

static double expected(const scale_case *c, double x) {
  return (x + (c->plus_one ? 1.0 : 0.0)) * 2.0;
}

/* ---- in memory ------------------------------------------------------------------------------------- */

static bool open_memory(void *ctx, bool ours, bool others, char *error) {
  scale_case *c = ctx;
  const size_t bytes = (size_t)c->n * sizeof(double);

  c->x = bench_alloc(bytes, c->o->threads);
  c->out = bench_alloc(bytes, c->o->threads);
  if (c->x == NULL || c->out == NULL) {
    bench_set_error(error, "no memory for two arrays of %zu bytes", bytes);
    return false;
  }
  bench_fill_f64(c->x, 0, c->n, c->o->threads);
  return !ours || bench_session_open(c->o, c->budget_bytes, 0, &c->s, error);
}

static void close_memory(void *ctx) {
  scale_case *c = ctx;
  const size_t bytes = (size_t)c->n * sizeof(double);

  mars_session_destroy(c->s);
  bench_free(c->x, bytes);
  bench_free(c->out, bytes);
}

static bool verify(const scale_case *c) {
  int64_t wrong = 0;

#pragma omp parallel for num_threads(c->o->threads) reduction(+ : wrong)
  for (int64_t i = 0; i < c->n; i++)
    wrong += c->out[i] != expected(c, c->x[i]);
  return wrong == 0;
}

static void memory_ours(void *ctx, bool check, bench_sample *s) {
  scale_case *c = ctx;
  const size_t bytes = (size_t)c->n * sizeof(double);
  double start;

  if (check)
    memset(c->out, 0xff, bytes);
  start = bench_now();
  mars_scope_open(c->s);
  mars_tensor *x = mars_from_memory(c->s, MARS_F64, MARS_SHAPE(c->n), NULL, c->x, NULL, NULL);
  bench_execute(
      c->s,
      &(mars_output){
          .tensor = expression(c, c->s, x), .sink = MARS_SINK_MEMORY, .data = c->out, .bytes = bytes},
      1, s);
  mars_scope_close(c->s);
  s->seconds = bench_now() - start;
  s->result = c->out[c->n - 1];
  if (check && s->ok)
    s->correct = verify(c);
}

static void memory_map(scale_case *c, hand_map what, bench_sample *s) {
  const double start = bench_now();

  hand_map_run(what, c->out, c->x, c->n, c->o->threads);
  s->seconds = bench_now() - start;
  s->ok = true;
}

static void memory_hand(void *ctx, bool check, bench_sample *s) {
  scale_case *c = ctx;
  memory_map(c, c->plus_one ? HAND_AXPB : HAND_SCALE, s);
}

static void memory_limit(void *ctx, bool check, bench_sample *s) {
  memory_map(ctx, HAND_COPY_NT, s);
}

/* ---- spilled --------------------------------------------------------------------------------------- */

static bool open_spill(void *ctx, bool ours, bool others, char *error) {
  return true;
}
static void close_spill(void *ctx) {}

/* Values near 200 places, the ends among them. */
static bool verify_kept(const scale_case *c, mars_session *s, mars_tensor *y) {
  enum { PLACES = 200, RUN = 5 };
  const int64_t last = c->n - RUN;
  double got[RUN];
  bool ok = last >= 0;

  for (int k = 0; k < PLACES && ok; k++) {
    const int64_t at = (int64_t)((double)last * k / (PLACES - 1));
    const mars_slice slice = {MARS_SLICE_RANGE, at, at + RUN, 1};
    mars_scope_open(s);
    ok = mars_fetch(mars_index(y, &slice, 1), got, sizeof got, NULL) == MARS_OK;
    mars_scope_close(s);
    for (int i = 0; i < RUN; i++)
      ok = ok && got[i] == expected(c, (double)(at + i));
  }
  return ok;
}

/* A smaller result of the same kind, let go again: the arena's pages are fresh no more. A program pays for them once. */
static bool warm_up(const scale_case *c, mars_session *session, char *error) {
  const int64_t n = (int64_t)(c->budget_bytes / 8 * 5 / 4);
  mars_error err = {0};
  bool ok;

  mars_scope_open(session);
  mars_tensor *y = expression(c, session, mars_arange(session, MARS_F64, 0, (double)(n < c->n ? n : c->n), 1));
  ok = mars_run(session, &y, 1, &err) == MARS_OK;
  if (!ok)
    bench_set_error(error, "%s", err.message);
  mars_scope_close(session);
  return ok;
}

/* A session for each run, so that its slab files are gone before the next contender writes. */
static void spill_ours(void *ctx, bool check, bench_sample *s) {
  scale_case *c = ctx;
  mars_session *session = NULL;
  double start;

  if (!bench_session_open(c->o, c->budget_bytes, 0, &session, s->error))
    return;
  if (!warm_up(c, session, s->error)) {
    mars_session_destroy(session);
    return;
  }
  start = bench_now();
  mars_scope_open(session);
  mars_tensor *y = expression(c, session, mars_arange(session, MARS_F64, 0, (double)c->n, 1));
  if (bench_execute(session, &(mars_output){.tensor = y, .sink = MARS_SINK_KEEP}, 1, s)) {
    s->seconds = bench_now() - start;
    s->result = expected(c, (double)(c->n - 1));
    if (check)
      s->correct = verify_kept(c, session, y);
  }
  mars_scope_close(session);
  mars_session_destroy(session);
}

static void fill_block(void *user, char *buf, size_t offset, size_t len) {
  const scale_case *c = user;
  double *x = (double *)buf;
  const double first = (double)(offset / sizeof(double)), add = c->plus_one ? 1.0 : 0.0;

  for (size_t i = 0; i < len / sizeof(double); i++)
    x[i] = (first + (double)i + add) * 2.0;
}

static void spill_write(scale_case *c, disk_each_fn *each, bench_sample *s) {
  s->seconds = disk_time_write(c->path, (size_t)c->n * sizeof(double), 16, each, c, s->error);
  s->ok = s->seconds > 0;
}

static void spill_hand(void *ctx, bool check, bench_sample *s) {
  spill_write(ctx, fill_block, s);
}
static void spill_limit(void *ctx, bool check, bench_sample *s) {
  spill_write(ctx, NULL, s);
}

/* ---- the suites ------------------------------------------------------------------------------------ */

static void run_memory(scale_case c, const char *suite, bench_report *r) {
  const bench_job job = {.suite = suite,
                         .name = "memory",
                         .size = (double)c.n,
                         .dtype = "f64",
                         .budget_bytes = c.budget_bytes,
                         .work = 16.0 * (double)c.n,
                         .work_scale = 1e-9,
                         .unit = "GB/s",
                         .limit_name = "copy-nt",
                         .ctx = &c,
                         .open = open_memory,
                         .close = close_memory,
                         .run = {memory_ours, memory_hand, memory_limit},
                         .peer_suite = suite};
  bench_run_job(&job, c.o, r);
}

static void run_spill(scale_case c, const char *suite, bench_report *r) {
  bench_job job = {.suite = suite,
                   .name = "spill",
                   .size = (double)c.n,
                   .dtype = "f64",
                   .budget_bytes = c.budget_bytes,
                   .work = 8.0 * (double)c.n,
                   .work_scale = 1e-9,
                   .unit = "GB/s",
                   .limit_name = "raw write",
                   .ctx = &c,
                   .open = open_spill,
                   .close = close_spill,
                   .run = {spill_ours, spill_hand, spill_limit},
                   .isolated = true,
                   .long_runs = true,
                   .disk_bytes = 8.0 * (double)c.n,
                   .peer_suite = suite};

  snprintf(c.path, sizeof c.path, "%s/raw", c.o->work_dir);
  snprintf(job.output, sizeof job.output, "%.480s/peer.npy", c.o->work_dir);
  bench_run_job(&job, c.o, r);
}

static void run(const bench_options *o, const char *only, bench_report *r, bool plus_one) {
  const char *suite = plus_one ? "axpb" : "scale";
  scale_case c = {.o = o, .plus_one = plus_one};
  const double n = bench_size(o, 3.6e8, 1e7, 3.6e9);
  const bool fits = 16.0 * n < 0.75 * (double)bench_physical_memory();
  const bool spill = only != NULL ? strcmp(only, "spill") == 0 : !fits || o->scale == BENCH_QUICK;

  if (spill) {
    c.n = (int64_t)n;
    c.budget_bytes = bench_budget(o, o->scale == BENCH_QUICK ? (size_t)32 << 20 : (size_t)2 << 30);
    run_spill(c, suite, r);
  }
  if (only != NULL ? strcmp(only, "memory") == 0 : fits) {
    c.n = (int64_t)n;
    c.budget_bytes = bench_budget(o, (size_t)256 << 20);
    run_memory(c, suite, r);
  }
}

static void run_scale(const bench_options *o, const char *only, bench_report *r) {
  run(o, only, r, false);
}
static void run_axpb(const bench_options *o, const char *only, bench_report *r) {
  run(o, only, r, true);
}

static const char *const cases[] = {"memory", "spill", NULL};
const bench_suite bench_suite_scale = {"scale", "x*2 on f64: memory to memory; larger than memory, spilled",
                                       cases, run_scale};
const bench_suite bench_suite_axpb = {
    "axpb", "(x + 1)*2 on f64: memory to memory; larger than memory, spilled", cases, run_axpb};
