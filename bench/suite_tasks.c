/*
 * plan and overhead: a graph of a million chunk tasks of eight elements each.
 *
 * plan: seconds to plan it. overhead: seconds to run it, per task; the arithmetic of eight elements is
 * nothing.
 */
#include "bench/util.h"

#include <math.h>
#include <string.h>

#define ARRAYS 4
#define CHUNK 8

typedef struct tasks_case {
  const bench_options *o;
  bool plan;
  int64_t tasks;
  /* lengths differ: arrays of one shape would be made by one kernel, four results a task */
  int64_t n[ARRAYS];
  size_t budget_bytes;
  mars_session *s;
  double *out[ARRAYS];
} tasks_case;

static bool open_tasks(void *ctx, bool ours, bool others, char *error) {
  tasks_case *c = ctx;

  for (int k = 0; k < ARRAYS; k++) {
    c->out[k] = bench_alloc((size_t)c->n[k] * sizeof(double), 1);
    if (c->out[k] == NULL) {
      bench_set_error(error, "no memory for %d arrays of %lld doubles", ARRAYS, (long long)c->n[k]);
      return false;
    }
  }
  return bench_session_open(c->o, c->budget_bytes, CHUNK, &c->s, error);
}

static void close_tasks(void *ctx) {
  tasks_case *c = ctx;

  mars_session_destroy(c->s);
  for (int k = 0; k < ARRAYS; k++)
    bench_free(c->out[k], (size_t)c->n[k] * sizeof(double));
}

static bool verify(const tasks_case *c) {
  bool ok = true;

  for (int k = 0; k < ARRAYS; k++)
    for (int64_t i = 0; i < c->n[k]; i++)
      ok = ok && c->out[k][i] == ((double)i + (k + 1)) * 2.0;
  return ok;
}

static void run_ours(void *ctx, bool check, bench_sample *s) {
  tasks_case *c = ctx;
  mars_output outputs[ARRAYS];

  if (check)
    for (int k = 0; k < ARRAYS; k++)
      memset(c->out[k], 0xff, (size_t)c->n[k] * sizeof(double));
  mars_scope_open(c->s);
  for (int k = 0; k < ARRAYS; k++) {
    mars_tensor *x = mars_arange(c->s, MARS_F64, k + 1, (double)(c->n[k] + k + 1), 1);
    outputs[k] = (mars_output){.tensor = mars_mul(x, mars_int(c->s, 2)),
                               .sink = MARS_SINK_MEMORY,
                               .data = c->out[k],
                               .bytes = (size_t)c->n[k] * sizeof(double)};
  }
  bench_execute(c->s, outputs, ARRAYS, s);
  mars_scope_close(c->s);
  s->seconds = c->plan ? s->stats.plan_seconds : s->stats.run_seconds;
  s->result = (double)s->stats.tasks;
  if (check && s->ok)
    s->correct = verify(c) && s->stats.tasks >= c->tasks;
}

static void run(const bench_options *o, bench_report *r, bool plan) {
  const double tasks = fmax(bench_size(o, 1e6, 1e5, 1e6), 100);
  tasks_case c = {
      .o = o, .plan = plan, .tasks = (int64_t)tasks, .budget_bytes = bench_budget(o, (size_t)256 << 20)};
  bench_job job = {.suite = plan ? "plan" : "overhead",
                   .name = "tasks",
                   .size = tasks,
                   .dtype = "f64",
                   .budget_bytes = c.budget_bytes,
                   .work = tasks,
                   .work_scale = plan ? 1e-6 : 1e6,
                   .unit = plan ? "Mtasks/s" : "us/task",
                   .inverse = !plan,
                   .ctx = &c,
                   .open = open_tasks,
                   .close = close_tasks,
                   .run = {run_ours, NULL, NULL}};

  for (int k = 0; k < ARRAYS; k++)
    c.n[k] = (c.tasks / ARRAYS + 1 + k) * CHUNK;
  bench_run_job(&job, o, r);
}

static void run_plan(const bench_options *o, const char *only, bench_report *r) {
  run(o, r, true);
}
static void run_overhead(const bench_options *o, const char *only, bench_report *r) {
  run(o, r, false);
}

static const char *const cases[] = {"tasks", NULL};
const bench_suite bench_suite_plan = {"plan", "planning of a graph of a million chunk tasks", cases,
                                      run_plan};
const bench_suite bench_suite_overhead = {"overhead", "engine time of each of a million tiny tasks", cases,
                                          run_overhead};
