/* sum, std, argmax and axis sums of a 2-D f64 array: from memory (read bandwidth) and from an npy file (the
 * drive). */
#include "bench/hand/kernels.h"
#include "bench/limits/disk.h"
#include "bench/util.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum reduce_op { SUM, STD, ARGMAX, AXIS0, AXIS1, N_OPS } reduce_op;
static const char *const op_names[N_OPS] = {"sum", "std", "argmax", "axis0", "axis1"};
static const char *const disk_names[N_OPS] = {"sum-npy", "std-npy", "argmax-npy", "axis0-npy", "axis1-npy"};

typedef struct reduce_case {
  const bench_options *o;
  reduce_op op;
  bool from_file;
  int64_t rows, cols;
  size_t budget_bytes;
  mars_session *s;
  double *x;              /* in memory */
  double *out, *expected; /* n_out values */
  int64_t n_out;
  char path[BENCH_PATH];
} reduce_case;

static size_t file_bytes(const reduce_case *c) {
  return DISK_NPY_HEADER + (size_t)c->rows * (size_t)c->cols * sizeof(double);
}

/* ---- the independent value: plain loops over the formula of the data ------------------------------- */

static void expect(reduce_case *c) {
  long double sum = 0, m2 = 0;
  double best = -1, mean;
  uint64_t at = 0;

  memset(c->expected, 0, (size_t)c->n_out * sizeof(double));
  for (int64_t r = 0; r < c->rows; r++) {
    double row = 0; /* at most some ten thousand numbers below 1 */
    for (int64_t j = 0; j < c->cols; j++, at++) {
      const double x = bench_datum(0, at);
      row += x;
      if (c->op == AXIS0)
        c->expected[j] += x;
      if (c->op == ARGMAX && x > best) {
        best = x;
        c->expected[0] = (double)at;
      }
    }
    if (c->op == AXIS1)
      c->expected[r] = row;
    sum += row;
  }
  if (c->op == SUM)
    c->expected[0] = (double)sum;
  if (c->op != STD)
    return;
  mean = (double)(sum / (long double)at);
  for (uint64_t i = 0; i < at; i++) {
    const double d = bench_datum(0, i) - mean;
    m2 += d * d;
  }
  c->expected[0] = (double)sqrtl(m2 / (long double)at);
}

static bool verify(const reduce_case *c) {
  bool ok = true;

  for (int64_t i = 0; i < c->n_out; i++)
    ok = ok &&
         (c->op == ARGMAX ? c->out[i] == c->expected[i] : bench_close_to(c->out[i], c->expected[i], 1e-11));
  return ok;
}

/* ---- ours ------------------------------------------------------------------------------------------ */

static bool open_reduce(void *ctx, bool ours, bool others, char *error) {
  reduce_case *c = ctx;
  const int64_t n = c->rows * c->cols;

  c->out = calloc((size_t)c->n_out, sizeof(double));
  c->expected = calloc((size_t)c->n_out, sizeof(double));
  if (!c->from_file)
    c->x = bench_alloc((size_t)n * sizeof(double), c->o->threads);
  if (c->out == NULL || c->expected == NULL || (!c->from_file && c->x == NULL)) {
    bench_set_error(error, "no memory for %lld doubles", (long long)n);
    return false;
  }
  if (!c->from_file)
    bench_fill_f64(c->x, 0, n, c->o->threads);
  return !ours || bench_session_open(c->o, c->budget_bytes, 0, &c->s, error);
}

static void close_reduce(void *ctx) {
  reduce_case *c = ctx;

  mars_session_destroy(c->s);
  bench_free(c->x, (size_t)c->rows * (size_t)c->cols * sizeof(double));
  free(c->out);
  free(c->expected);
}

static mars_tensor *expression(const reduce_case *c, mars_tensor *x) {
  switch (c->op) {
  case SUM:
    return mars_sum(x, MARS_ALL);
  case STD:
    return mars_std(x, MARS_ALL);
  case ARGMAX:
    return mars_astype(mars_argmax(x, MARS_ALL), MARS_F64);
  case AXIS0:
    return mars_sum(x, MARS_AXES(0));
  case AXIS1:
    return mars_sum(x, MARS_AXES(1));
  case N_OPS:
    break;
  }
  return NULL;
}

static double total(const reduce_case *c) {
  double sum = 0;

  for (int64_t i = 0; i < c->n_out; i++)
    sum += c->out[i];
  return sum;
}

static void run_ours(void *ctx, bool check, bench_sample *s) {
  reduce_case *c = ctx;
  double start;

  if (c->from_file)
    disk_forget(c->path);
  memset(c->out, 0xff, (size_t)c->n_out * sizeof(double));
  start = bench_now();
  mars_scope_open(c->s);
  mars_tensor *x =
      c->from_file ? mars_from_npy(c->s, c->path)
                   : mars_from_memory(c->s, MARS_F64, MARS_SHAPE(c->rows, c->cols), NULL, c->x, NULL, NULL);
  bench_execute(c->s,
                &(mars_output){.tensor = expression(c, x),
                               .sink = MARS_SINK_MEMORY,
                               .data = c->out,
                               .bytes = (size_t)c->n_out * sizeof(double)},
                1, s);
  mars_scope_close(c->s);
  s->seconds = bench_now() - start;
  s->result = total(c);
  if (check && s->ok) {
    expect(c);
    s->correct = verify(c);
  }
}

/* ---- by hand, in memory ---------------------------------------------------------------------------- */

static void memory_hand(void *ctx, bool check, bench_sample *s) {
  reduce_case *c = ctx;
  const int64_t n = c->rows * c->cols;
  const double start = bench_now();

  switch (c->op) {
  case SUM:
    c->out[0] = hand_read(c->x, n, c->o->threads);
    break;
  case STD:
    c->out[0] = hand_std(c->x, n, c->o->threads);
    break;
  case ARGMAX:
    c->out[0] = (double)hand_argmax(c->x, n, c->o->threads).index;
    break;
  case AXIS0:
    hand_sum_axis0(c->out, c->x, c->rows, c->cols, c->o->threads);
    break;
  case AXIS1:
    hand_sum_axis1(c->out, c->x, c->rows, c->cols, c->o->threads);
    break;
  case N_OPS:
    break;
  }
  s->seconds = bench_now() - start;
  s->ok = true;
}

static void memory_limit(void *ctx, bool check, bench_sample *s) {
  reduce_case *c = ctx;
  const double start = bench_now();

  s->result = hand_read(c->x, c->rows * c->cols, c->o->threads);
  s->seconds = bench_now() - start;
  s->ok = true;
}

/* ---- by hand, from the file ------------------------------------------------------------------------ */

typedef struct disk_state {
  reduce_case *c;
  hand_moments moments;
  hand_top top;
  double sum;
} disk_state;

/* Elements [first, first + n) of the array, cut at the ends of rows. */
static void axis_block(disk_state *d, const double *x, int64_t first, int64_t n) {
  const hand_kernels *k = hand_kernels_get();
  reduce_case *c = d->c;

  while (n > 0) {
    const int64_t row = first / c->cols, col = first % c->cols;
    const int64_t count = c->cols - col < n ? c->cols - col : n;
    if (c->op == AXIS1)
      c->out[row] += k->read(x, count);
    else
      k->add_rows(c->out + col, x, 1, count, count);
    x += count;
    first += count;
    n -= count;
  }
}

static void disk_block(void *user, char *buf, size_t offset, size_t len) {
  disk_state *d = user;
  const hand_kernels *k = hand_kernels_get();
  const size_t skip = offset == 0 ? DISK_NPY_HEADER : 0;
  const double *x = (const double *)(buf + skip);
  const int64_t first = (int64_t)((offset + skip - DISK_NPY_HEADER) / sizeof(double));
  const int64_t n = (int64_t)((len - skip) / sizeof(double));

  if (n == 0)
    return;
  if (d->c->op == SUM) {
    d->sum += k->read(x, n);
  } else if (d->c->op == STD) {
    d->moments = hand_moments_merge(d->moments, k->moments(x, n));
  } else if (d->c->op == ARGMAX) {
    hand_top t = k->top(x, n);
    t.index += first;
    if (t.value > d->top.value || (t.value == d->top.value && t.index < d->top.index))
      d->top = t;
  } else {
    axis_block(d, x, first, n);
  }
}

static void disk_hand(void *ctx, bool check, bench_sample *s) {
  reduce_case *c = ctx;
  disk_state d = {.c = c, .top = {-INFINITY, 0}};

  disk_forget(c->path);
  memset(c->out, 0, (size_t)c->n_out * sizeof(double));
  s->seconds = disk_time_read(c->path, file_bytes(c), 16, disk_block, &d, s->error);
  s->ok = s->seconds > 0;
}

static void disk_limit(void *ctx, bool check, bench_sample *s) {
  reduce_case *c = ctx;
  double deeper;

  disk_forget(c->path);
  s->seconds = disk_time_read(c->path, file_bytes(c), 16, NULL, NULL, s->error);
  s->ok = s->seconds > 0;
  if (!s->ok)
    return;
  deeper = disk_time_read(c->path, file_bytes(c), 32, NULL, NULL, s->error);
  if (deeper > 0)
    s->seconds = fmin(s->seconds, deeper);
}

/* ---- the suite ------------------------------------------------------------------------------------- */

static bool prepare(void *ctx, char *error) {
  reduce_case *c = ctx;
  return access(c->path, F_OK) == 0 || disk_make_npy(c->path, c->rows, c->cols, error);
}

static bool run_case(reduce_case c, bench_report *r) {
  const double n = (double)c.rows * (double)c.cols;
  bench_job job = {.suite = "reduce",
                   .name = c.from_file ? disk_names[c.op] : op_names[c.op],
                   .size = n,
                   .dtype = "f64",
                   .budget_bytes = c.budget_bytes,
                   .work = 8 * n,
                   .work_scale = 1e-9,
                   .unit = "GB/s",
                   .limit_name = c.from_file ? "raw read" : "read",
                   .ctx = &c,
                   .open = open_reduce,
                   .close = close_reduce,
                   .peer_suite = "reduce"};

  c.n_out = c.op == AXIS0 ? c.cols : c.op == AXIS1 ? c.rows : 1;
  job.run[BENCH_OURS] = run_ours;
  job.run[BENCH_HAND] = c.from_file ? disk_hand : memory_hand;
  job.run[BENCH_LIMIT] = c.from_file ? disk_limit : memory_limit;
  if (c.from_file) {
    job.isolated = job.long_runs = true;
    job.prepare = prepare;
    job.disk_bytes = access(c.path, F_OK) == 0 ? 0 : 8 * n;
    memcpy(job.input, c.path, sizeof job.input);
  }
  return bench_run_job(&job, c.o, r);
}

static void run(const bench_options *o, const char *only, bench_report *r) {
  const double n = bench_size(o, 3.2e8, 4e6, 3.2e8);
  reduce_case c = {.o = o, .cols = n >= 1.6e5 ? 16000 : n >= 100 ? 10 : 1};

  c.rows = (int64_t)(n / (double)c.cols);
  if (c.rows < 1)
    c.rows = 1;
  snprintf(c.path, sizeof c.path, "%.480s/reduce.npy", o->work_dir);
  for (int file = 0; file < 2; file++) {
    c.from_file = file != 0;
    c.budget_bytes = bench_budget(o, o->scale == BENCH_QUICK ? (size_t)64 << 20 : (size_t)512 << 20);
    for (int op = 0; op < N_OPS && !bench_interrupted(); op++) {
      c.op = (reduce_op)op;
      if (only == NULL || strcmp(only, file != 0 ? disk_names[op] : op_names[op]) == 0)
        run_case(c, r);
    }
  }
  unlink(c.path);
}

static const char *const cases[] = {"sum",     "std",        "argmax",    "axis0",     "axis1", "sum-npy",
                                    "std-npy", "argmax-npy", "axis0-npy", "axis1-npy", NULL};
const bench_suite bench_suite_reduce = {
    "reduce", "sum, std, argmax and axis sums of a 2-D array, in memory and from a file", cases, run};
