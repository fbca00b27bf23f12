/*
 * A plan in words, and as a graph for Graphviz.
 */
#include "engine/exec/actor.h"
#include "engine/routine.h"
#include "engine/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { STEPS_SHOWN = 60, TILES_SHOWN = 64 };

typedef struct text {
  mx_mem *mem;
  MX_VEC(char) s;
  bool nomem;
} text;

static void say(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(text *t, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  if (!t->nomem && mx_vec_reserve(t->mem, &t->s, t->s.n + n + 1)) {
    vsnprintf(t->s.at + t->s.n, (size_t)n + 1, fmt, again);
    t->s.n += n;
  } else t->nomem = true;
  va_end(again);
  va_end(ap);
}

static const char *bytes_text(char *buf, size_t n, double bytes) {
  static const char *unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int u = 0;
  while (bytes >= 1024 && u < 4) bytes /= 1024, u++;
  snprintf(buf, n, u ? "%.2f %s" : "%.0f %s", bytes, unit[u]);
  return buf;
}

static const char *value_kind(const mx_pvalue *v) {
  switch (v->kind) {
  case MX_PV_MEMORY: return v->producer < 0 ? "caller memory" : "result in caller memory";
  case MX_PV_FILE: return "npy file";
  case MX_PV_KEPT: return "kept by the session";
  case MX_PV_CONCAT: return "other values joined";
  default: return v->sink ? "result to npy file" : v->output >= 0 ? "result" : "intermediate";
  }
}

static void say_grid(text *t, const mx_grid *grid, const mars_shape *shape) {
  mars_shape chunk = {.ndim = shape->ndim};
  char buf[MX_SHAPE_TEXT];
  for (int d = 0; d < shape->ndim; d++) chunk.dims[d] = grid->chunk[d] < shape->dims[d] ? grid->chunk[d] : shape->dims[d];
  say(t, "%lld x %s", (long long)grid->total, mx_shape_text(&chunk, buf, sizeof buf));
}

static void say_value(text *t, const mx_plan *p, int64_t i) {
  const mx_pvalue *v = &p->values.at[i];
  char buf[MX_SHAPE_TEXT];
  say(t, "  v%-3lld %-9s %-18s %s", (long long)i, mars_dtype_name(v->dtype), mx_shape_text(&v->shape, buf, sizeof buf), value_kind(v));
  if (v->kind != MX_PV_CONCAT && !(v->kind == MX_PV_MEMORY && v->producer < 0)) {
    say(t, ", chunks ");
    say_grid(t, &v->grid, &v->shape);
  }
  if (v->producer >= 0) say(t, ", made by k%d", v->producer);
  say(t, "\n");
}

static void say_routine(text *t, const mx_plan *p, int64_t i) {
  static const char *const op[] = {
#define TILE(id, name) #name,
#include "engine/routines/tiles.def"
  };
  const mx_pkernel *k = &p->kernels.at[i];
  int64_t count[MX_TILE_COUNT] = {0}, n = 0;
  double flops = 0;
  for (int64_t j = k->first_task; j < p->n_tasks && p->tasks.at[j].kernel == i; j++, n++) {
    const mx_rtask *r = &p->rtasks.at[p->tasks.at[j].tile];
    count[r->op]++;
    flops += r->flops;
  }
  say(t, "  k%lld routine %s%s%s%s, %lld tasks, %.3g flops\n    reads", (long long)i, mx_op_row_of(k->node->op)->info.name,
      k->node->op == MX_OP_MATMUL && (k->node->attr.routine.flags & MX_RF_SYMMETRIC) ? " of a symmetric product" : "",
      k->method ? " by " : "", k->method ? k->method : "", (long long)n, flops);
  for (int s = 0; s < k->n_slots; s++) say(t, " v%d", k->slot[s].value);
  say(t, "; makes");
  for (int o = 0; o < 4; o++)
    if (k->result[o] >= 0) say(t, " v%d", k->result[o]);
  say(t, "\n     ");
  for (int o = 0; o < MX_TILE_COUNT; o++)
    if (count[o]) say(t, " %lld x %s", (long long)count[o], op[o]);
  say(t, "\n");
}

static void say_kernel(text *t, const mx_plan *p, int64_t i) {
  const mx_pkernel *k = &p->kernels.at[i];
  if (k->routine) {
    say_routine(t, p, i);
    return;
  }
  mars_shape space = {.ndim = k->prog.ndim};
  memcpy(space.dims, k->prog.space, sizeof space.dims);
  char buf[MX_SHAPE_TEXT];
  say(t, "  k%lld over %s, tiles ", (long long)i, mx_shape_text(&space, buf, sizeof buf));
  say_grid(t, &k->grid, &space);
  say(t, ", %d instructions, cost %.0f per element, %s\n", k->prog.n_instrs, k->prog.cost,
      k->big ? "stored past the caches" : "stored through the caches");
  say(t, "    reads");
  for (int s = 0; s < k->prog.n_in; s++) say(t, " v%d%s", k->in[s].value, k->in[s].identity ? "" : " (through a view)");
  if (!k->prog.n_in) say(t, " nothing");
  say(t, "; makes");
  for (int s = 0; s < k->prog.n_out; s++) say(t, " v%d", k->out[s].value);
  say(t, "\n");
  int n = mx_program_text(&k->prog, NULL, 0);
  char *prog = n > 0 ? mx_alloc(t->mem, (size_t)n + 1) : NULL;
  if (!prog) {
    t->nomem = t->nomem || n > 0;
    return;
  }
  mx_program_text(&k->prog, prog, (size_t)n + 1);
  for (char *line = prog; *line;) {
    char *end = strchr(line, '\n');
    int len = end ? (int)(end - line) : (int)strlen(line);
    say(t, "      %.*s\n", len, line);
    line += len + (end != NULL);
  }
  mx_free(t->mem, prog);
}

static void say_chunk(text *t, const mx_plan *p, int32_t c) {
  const mx_pchunk *pc = &p->chunks.at[c];
  if (pc->value >= 0) say(t, "v%d[%d]", pc->value, pc->index);
  else say(t, "part %d", c);
}

static void say_step(text *t, const mx_plan *p, int64_t i) {
  const mx_step *s = &p->steps.at[i];
  static const char *name[] = {"alloc", "load", "compute", "store", "free", "copy", "join"};
  const mx_machine_device *device = p->machine->device;
  say(t, "  %6lld  %s  %-8s", (long long)i, device[s->device].name, name[s->kind]);
  if (s->kind == MX_STEP_COMPUTE) {
    const mx_ptask *k = &p->tasks.at[s->id];
    if (k->tile >= 0) say(t, "k%d tile %d ->", k->kernel, k->tile);
    else say(t, "k%d combine %d ->", k->kernel, k[1].first_in - k->first_in);
    for (int32_t o = k->first_out; o < k[1].first_out; o++) say(t, " "), say_chunk(t, p, p->outs.at[o]);
  } else {
    say_chunk(t, p, s->id);
    if (s->kind == MX_STEP_LOAD) say(t, " from %s", s->tier == MX_TIER_SPILL ? "spill" : "file");
    if (s->kind == MX_STEP_STORE) say(t, " to %s", s->tier == MX_TIER_SPILL ? "spill" : "file");
    if (s->kind == MX_STEP_COPY) say(t, " from %s", device[s->flags].name);
    if (s->kind == MX_STEP_COLLECTIVE) say(t, " of %d devices", __builtin_popcount(p->machine->joined));
    if (s->offset < 0) say(t, ": its spill slot");
    else say(t, " at %lld", (long long)s->offset);
  }
  if (s->after >= 0) say(t, ", after %d", s->after);
  if (s->after_store >= 0) say(t, ", after stores up to %d", s->after_store);
  say(t, "\n");
}

static void say_simulation(text *t, const mx_plan *p) {
  mx_sim_machine m = mx_sim_default(p->machine->threads);
  mx_sim_result r;
  if (mx_simulate(p, &m, &r, NULL) != MARS_OK) {
    t->nomem = true;
    return;
  }
  say(t, "simulated %.3g s with %d threads at %.0f GB/s, a drive that reads %.1f and writes %.1f GB/s\n", r.seconds, m.threads,
      m.memory_bytes_per_s * 1e-9, m.read_bytes_per_s * 1e-9, m.write_bytes_per_s * 1e-9);
  say(t, "          computing %.3g s, reading %.3g s, writing %.3g s; computing waits %.3g s for loads, %.3g s for stores\n",
      r.compute_busy, r.read_busy, r.write_busy, r.waited_for_loads, r.waited_for_stores);
  if (!p->task_device) return;
  say(t, "          copying %.3g s; computing", r.copy_busy);
  for (int d = 0; d < p->machine->n_devices; d++) say(t, "%s %s %.3g s", d ? "," : "", p->machine->device[d].name, r.device_busy[d]);
  say(t, "\n");
}

static void say_devices(text *t, const mx_plan *p) {
  char a[32], b[32], c[32], d[32], e[32];
  if (p->machine->n_devices == 1) return;
  say(t, "devices\n");
  for (int i = 0; i < p->machine->n_devices; i++) {
    const mx_machine_device *m = &p->machine->device[i];
    const mx_device_stats *s = &p->stats.device[i];
    say(t, "  %-9s %lld tasks, peak %s of %s", m->name, (long long)s->computes, bytes_text(a, sizeof a, (double)s->peak_bytes),
        bytes_text(b, sizeof b, (double)m->arena_bytes));
    if (i)
      say(t, "; copied from the host %s, to the host %s, from peers %s", bytes_text(c, sizeof c, (double)s->up_bytes),
          bytes_text(d, sizeof d, (double)s->down_bytes), bytes_text(e, sizeof e, (double)s->peer_bytes));
    say(t, m->lost ? "; lost\n" : p->without >> i & 1 ? "; left out: the working set does not fit it\n" : "\n");
  }
}

static void say_plan(text *t, const mx_plan *p) {
  char a[32], b[32], c[32], d[32], e[32];
  say(t, "values\n");
  for (int64_t i = 0; i < p->values.n; i++) say_value(t, p, i);
  say(t, "kernels\n");
  for (int64_t i = 0; i < p->kernels.n; i++) say_kernel(t, p, i);
  say(t, "chunk graph\n  %lld tasks, %lld chunks, %lld operands; chunks of %lld elements%s\n", (long long)p->n_tasks,
      (long long)p->chunks.n, (long long)p->ins.n, (long long)p->chunk_elements, p->square ? ", square: something is read across" : "");
  say(t, "schedule\n  %lld steps, %lld computations of which %lld again instead of spilling\n", (long long)p->steps.n,
      (long long)p->stats.computes, (long long)p->stats.recomputed);
  for (int64_t i = 0; i < p->steps.n && i < STEPS_SHOWN; i++) say_step(t, p, i);
  if (p->steps.n > STEPS_SHOWN) say(t, "  ...     %lld more\n", (long long)(p->steps.n - STEPS_SHOWN));
  say(t, "peak      arena %s of %s, spill %s\n", bytes_text(a, sizeof a, (double)p->stats.peak_bytes),
      bytes_text(b, sizeof b, (double)p->machine->device[0].arena_bytes), bytes_text(c, sizeof c, (double)p->stats.spill_peak_bytes));
  say(t, "moved     files read %s, files written %s, spill written %s, spill read %s\n",
      bytes_text(a, sizeof a, (double)p->stats.source_read_bytes), bytes_text(b, sizeof b, (double)p->stats.sink_write_bytes),
      bytes_text(d, sizeof d, (double)p->stats.spill_write_bytes), bytes_text(e, sizeof e, (double)p->stats.spill_read_bytes));
  say_devices(t, p);
  say_simulation(t, p);
}

static void dot_task(text *t, const mx_plan *p, int32_t id) {
  const mx_ptask *k = &p->tasks.at[id];
  if (k->tile >= 0) say(t, "  t%d [label=\"k%d tile %d\" shape=box];\n", id, k->kernel, k->tile);
  else say(t, "  t%d [label=\"k%d combine\" shape=box style=rounded];\n", id, k->kernel);
  for (int32_t i = k->first_in; i < k[1].first_in; i++) {
    int32_t c = p->ins.at[i];
    if (p->chunks.at[c].producer >= 0) say(t, "  t%d -> t%d;\n", p->chunks.at[c].producer, id);
    else say(t, "  c%d [label=\"v%d[%d]\"];\n  c%d -> t%d;\n", c, p->chunks.at[c].value, p->chunks.at[c].index, c, id);
  }
  for (int32_t o = k->first_out; o < k[1].first_out; o++) {
    const mx_pchunk *c = &p->chunks.at[p->outs.at[o]];
    if (c->value >= 0 && p->values.at[c->value].output >= 0)
      say(t, "  o%d [label=\"v%d[%d]\" style=bold];\n  t%d -> o%d;\n", p->outs.at[o], c->value, c->index, id, p->outs.at[o]);
  }
}

static void dot_plan(text *t, const mx_plan *p) {
  say(t, "digraph plan {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
  for (int64_t i = 0; i < p->order.n && i < TILES_SHOWN; i++) dot_task(t, p, p->order.at[i]);
  if (p->order.n > TILES_SHOWN) say(t, "  more [label=\"%lld more tasks\" shape=plaintext];\n", (long long)(p->order.n - TILES_SHOWN));
  say(t, "}\n");
}

char *mx_explain(const mx_plan *plan, mars_explain_format format) {
  text t = {.mem = plan->mem};
  if (format == MARS_EXPLAIN_DOT) dot_plan(&t, plan);
  else say_plan(&t, plan);
  if (t.nomem) mx_vec_free(t.mem, &t.s);
  return t.s.at;
}
