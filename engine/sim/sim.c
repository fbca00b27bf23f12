#include "engine/sim/sim.h"

typedef struct playback {
  const mx_plan *plan;
  const mx_sim_machine *m;
  double *step_end;  /* per step */
  double *ready;     /* per chunk: its data is in the arena */
  double compute, read, write; /* when each resource is free */
  double stores_end; /* every STORE step so far */
  double *stores_by; /* per step: end of all STORE steps up to it */
  mx_sim_result *r;
} playback;

mx_sim_machine mx_sim_default(int threads) {
  return (mx_sim_machine){.op_ns = 0.15, .flops_per_s = 50e9, .memory_bytes_per_s = 24e9, .read_bytes_per_s = 1.4e9, .write_bytes_per_s = 2.2e9,
                          .task_ns = 1000, .threads = threads > 0 ? threads : 1};
}

static double later(double a, double b) { return a > b ? a : b; }

static double task_seconds(const playback *c, const mx_ptask *t) {
  const mx_pkernel *k = &c->plan->kernels.at[t->kernel];
  double bytes = 0, points = 1;
  for (int32_t i = t->first_in; i < t[1].first_in; i++) bytes += (double)c->plan->chunks.at[c->plan->ins.at[i]].bytes;
  for (int32_t o = t->first_out; o < t[1].first_out; o++) bytes += (double)c->plan->chunks.at[c->plan->outs.at[o]].bytes;
  double by_ops = 0;
  if (k->routine) {
    by_ops = c->plan->rtasks.at[t->tile].flops / c->m->flops_per_s / c->m->threads;
  } else if (t->tile >= 0) {
    int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS];
    mars_shape space = {.ndim = k->prog.ndim};
    for (int d = 0; d < space.ndim; d++) space.dims[d] = k->prog.space[d];
    mx_grid_chunk(&k->grid, &space, t->tile, start, extent);
    for (int d = 0; d < space.ndim; d++) points *= (double)extent[d];
    for (int i = 0; i < k->prog.n_in; i++) { /* caller memory has no chunks */
      const mx_pvalue *v = &c->plan->values.at[k->in[i].value];
      if (v->kind == MX_PV_MEMORY) bytes += points * (double)mars_dtype_bytes(v->dtype);
    }
    by_ops = points * k->prog.cost * c->m->op_ns * 1e-9 / c->m->threads;
  }
  return later(by_ops, bytes / c->m->memory_bytes_per_s) + c->m->task_ns * 1e-9;
}

static double fence(const playback *c, const mx_step *s) {
  double t = s->after >= 0 ? c->step_end[s->after] : 0;
  return s->after_store >= 0 ? later(t, c->stores_by[s->after_store]) : t;
}

static void play(playback *c, int64_t i) {
  const mx_step *s = &c->plan->steps.at[i];
  double t = 0, took;
  switch (s->kind) {
  case MX_STEP_LOAD:
    took = (double)c->plan->chunks.at[s->id].bytes / c->m->read_bytes_per_s;
    t = later(c->read, fence(c, s)) + took;
    c->read = t;
    c->r->read_busy += took;
    c->ready[s->id] = t;
    break;
  case MX_STEP_STORE:
    took = (double)c->plan->chunks.at[s->id].bytes / c->m->write_bytes_per_s;
    t = later(c->write, c->ready[s->id]) + took;
    c->write = t;
    c->r->write_busy += took;
    c->stores_end = later(c->stores_end, t);
    break;
  case MX_STEP_COMPUTE: {
    const mx_ptask *k = &c->plan->tasks.at[s->id];
    double inputs = 0, memory = fence(c, s);
    for (int32_t j = k->first_in; j < k[1].first_in; j++) inputs = later(inputs, c->ready[c->plan->ins.at[j]]);
    if (inputs > later(c->compute, memory)) c->r->waited_for_loads += inputs - later(c->compute, memory);
    if (memory > c->compute) c->r->waited_for_stores += memory - c->compute;
    took = task_seconds(c, k);
    t = later(c->compute, later(inputs, memory)) + took;
    c->compute = t;
    c->r->compute_busy += took;
    for (int32_t j = k->first_out; j < k[1].first_out; j++) c->ready[c->plan->outs.at[j]] = t;
    break;
  }
  default: break;
  }
  c->step_end[i] = t;
  c->stores_by[i] = c->stores_end;
  c->r->seconds = later(c->r->seconds, t);
}

mars_status mx_simulate(const mx_plan *plan, const mx_sim_machine *machine, mx_sim_result *out, mars_error *err) {
  mars_status st = MARS_OK;
  playback c = {.plan = plan, .m = machine, .r = out};
  *out = (mx_sim_result){0};
  c.step_end = mx_calloc(plan->mem, (size_t)plan->steps.n + 1, sizeof *c.step_end);
  c.stores_by = mx_calloc(plan->mem, (size_t)plan->steps.n + 1, sizeof *c.stores_by);
  c.ready = mx_calloc(plan->mem, (size_t)plan->chunks.n + 1, sizeof *c.ready);
  if (!c.step_end || !c.stores_by || !c.ready) MX_TRY(MX_NOMEM(err, plan->fn));
  for (int64_t i = 0; i < plan->steps.n; i++) play(&c, i);
done:
  mx_free(plan->mem, c.step_end);
  mx_free(plan->mem, c.stores_by);
  mx_free(plan->mem, c.ready);
  return st;
}
