#include "engine/sim/sim.h"

typedef struct playback {
  const mx_plan *plan;
  const mx_sim_machine *m;
  double *step_end;  /* per step */
  double *ready[MX_MAX_DEVICES]; /* per chunk: its data is in the device's arena */
  double compute[MX_MAX_DEVICES], read, write; /* when each resource is free */
  double up[MX_MAX_DEVICES], down[MX_MAX_DEVICES], in[MX_MAX_DEVICES]; /* links with the host, and what comes from peers */
  double out_end[MX_MAX_DEVICES]; /* every step so far that reads the arena for others */
  double *out_by;    /* per step of these: end of all of its arena up to it */
  int n;
  mx_sim_result *r;
} playback;

/* Of a device that does not say. */
enum { LINK_BYTES_PER_S = 1 << 30 };

mx_sim_machine mx_sim_default(int threads) {
  return (mx_sim_machine){.op_ns = 0.15, .flops_per_s = 50e9, .memory_bytes_per_s = 24e9, .read_bytes_per_s = 1.4e9, .write_bytes_per_s = 2.2e9,
                          .task_ns = 1000, .threads = threads > 0 ? threads : 1};
}

static double later(double a, double b) { return a > b ? a : b; }

/* By the rates that a device tells, as far as it does. */
static double device_seconds(const playback *c, int d, const mx_ptask *t, double bytes, double ops) {
  const mx_machine_device *m = &c->plan->machine->device[d];
  const bool routine = c->plan->kernels.at[t->kernel].routine != NULL;
  const double host = routine ? c->m->flops_per_s : 1e9 / c->m->op_ns;
  return later(ops / (m->flops > 0 ? m->flops : host), bytes / (m->memory_bytes_per_second > 0 ? m->memory_bytes_per_second : c->m->memory_bytes_per_s));
}

static double task_seconds(const playback *c, int d, const mx_ptask *t) {
  const mx_pkernel *k = &c->plan->kernels.at[t->kernel];
  double bytes = 0, points = 1;
  for (int32_t i = t->first_in; i < t[1].first_in; i++) bytes += (double)c->plan->chunks.at[c->plan->ins.at[i]].bytes;
  for (int32_t o = t->first_out; o < t[1].first_out; o++) bytes += (double)c->plan->chunks.at[c->plan->outs.at[o]].bytes;
  double by_ops = 0, ops = 0;
  if (k->routine) {
    ops = c->plan->rtasks.at[t->tile].flops;
    by_ops = ops / c->m->flops_per_s / c->m->threads;
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
    ops = points * k->prog.cost;
    by_ops = ops * c->m->op_ns * 1e-9 / c->m->threads;
  }
  if (d) return device_seconds(c, d, t, bytes, ops) + c->m->task_ns * 1e-9;
  return later(by_ops, bytes / c->m->memory_bytes_per_s) + c->m->task_ns * 1e-9;
}

static double fence(const playback *c, const mx_step *s) {
  double t = s->after >= 0 ? c->step_end[s->after] : 0;
  return s->after_store >= 0 ? later(t, c->out_by[s->after_store]) : t;
}

static double io(playback *c, const mx_step *s, double *resource, double rate, double from, double *busy) {
  const double took = (double)c->plan->chunks.at[s->id].bytes / rate, t = later(*resource, from) + took;
  *resource = t;
  *busy += took;
  return t;
}

/* The arena is read for others until t. */
static void goes_out(playback *c, int device, int64_t i, double t) {
  c->out_end[device] = later(c->out_end[device], t);
  c->out_by[i] = later(c->out_by[i], c->out_end[device]); /* of a join: of several arenas */
}

static double copy(playback *c, const mx_step *s, int64_t i) {
  const int to = s->device, from = s->flags;
  const double link = c->plan->machine->device[to ? to : from].link_bytes_per_second;
  double *resource = !from ? &c->up[to] : !to ? &c->down[from] : &c->in[to];
  double t = io(c, s, resource, link > 0 ? link : LINK_BYTES_PER_S, later(c->ready[from][s->id], fence(c, s)), &c->r->copy_busy);
  c->ready[to][s->id] = t;
  goes_out(c, from, i, t);
  return t;
}

/* A ring or a tree of links, all at once: one accumulator's time. */
static double join(playback *c, const mx_step *s, int64_t i) {
  const mx_plan *p = c->plan;
  const mx_ptask *t = &p->tasks.at[p->chunks.at[s->id].producer];
  const double link = p->machine->device[s->device].link_bytes_per_second;
  double from = fence(c, s);
  for (int32_t k = t->first_in; k < t[1].first_in; k++) from = later(from, c->ready[mx_join_device(p, p->ins.at[k])][p->ins.at[k]]);
  const double end = io(c, s, &c->in[s->device], link > 0 ? link : LINK_BYTES_PER_S, from, &c->r->copy_busy);
  c->ready[s->device][s->id] = end;
  for (int32_t k = t->first_in; k < t[1].first_in; k++) goes_out(c, mx_join_device(p, p->ins.at[k]), i, end);
  return end;
}

static double compute(playback *c, const mx_step *s) {
  const mx_ptask *k = &c->plan->tasks.at[s->id];
  const int d = s->device;
  double inputs = 0, memory = fence(c, s), *free = &c->compute[d];
  for (int32_t j = k->first_in; j < k[1].first_in; j++) inputs = later(inputs, c->ready[d][c->plan->ins.at[j]]);
  if (inputs > later(*free, memory)) c->r->waited_for_loads += inputs - later(*free, memory);
  if (memory > *free) c->r->waited_for_stores += memory - *free;
  const double took = task_seconds(c, d, k), t = later(*free, later(inputs, memory)) + took;
  *free = t;
  c->r->compute_busy += took;
  c->r->device_busy[d] += took;
  for (int32_t j = k->first_out; j < k[1].first_out; j++) c->ready[d][c->plan->outs.at[j]] = t;
  return t;
}

static void play(playback *c, int64_t i) {
  const mx_step *s = &c->plan->steps.at[i];
  double t = 0;
  switch (s->kind) {
  case MX_STEP_LOAD:
    t = io(c, s, &c->read, c->m->read_bytes_per_s, fence(c, s), &c->r->read_busy);
    c->ready[0][s->id] = t;
    break;
  case MX_STEP_STORE:
    t = io(c, s, &c->write, c->m->write_bytes_per_s, c->ready[0][s->id], &c->r->write_busy);
    goes_out(c, 0, i, t);
    break;
  case MX_STEP_COPY: t = copy(c, s, i); break;
  case MX_STEP_COLLECTIVE: t = join(c, s, i); break;
  case MX_STEP_COMPUTE: t = compute(c, s); break;
  default: break;
  }
  c->step_end[i] = t;
  c->r->seconds = later(c->r->seconds, t);
}

mars_status mx_simulate(const mx_plan *plan, const mx_sim_machine *machine, mx_sim_result *out, mars_error *err) {
  mars_status st = MARS_OK;
  playback c = {.plan = plan, .m = machine, .r = out, .n = plan->task_device ? plan->machine->n_devices : 1};
  *out = (mx_sim_result){0};
  c.step_end = mx_calloc(plan->mem, (size_t)plan->steps.n + 1, sizeof *c.step_end);
  c.out_by = mx_calloc(plan->mem, (size_t)plan->steps.n + 1, sizeof *c.out_by);
  if (!c.step_end || !c.out_by) MX_TRY(MX_NOMEM(err, plan->fn));
  for (int d = 0; d < c.n; d++)
    if (!(c.ready[d] = mx_calloc(plan->mem, (size_t)plan->chunks.n + 1, sizeof *c.ready[d]))) MX_TRY(MX_NOMEM(err, plan->fn));
  for (int64_t i = 0; i < plan->steps.n; i++) play(&c, i);
done:
  mx_free(plan->mem, c.step_end);
  mx_free(plan->mem, c.out_by);
  for (int d = 0; d < c.n; d++) mx_free(plan->mem, c.ready[d]);
  return st;
}
