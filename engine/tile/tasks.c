/*
 * Chunk tasks: one per tile of every kernel, combine trees for reductions over several tiles, carries for scans.
 */
#include "engine/plan/plan.h"
#include "engine/routine.h"

#include <string.h>

enum { FAN_IN = 16 };

typedef struct maker {
  mx_plan *plan;
  mx_stamps stamp; /* per chunk: 1 + last task that lists it as input */
  bool nomem;
} maker;

static int32_t add_chunk(maker *m, int32_t value, int32_t index, int64_t bytes) {
  mx_pchunk c = {.value = value, .index = index, .producer = -1, .takes = -1, .bytes = bytes};
  if (!mx_vec_push(m->plan->mem, &m->plan->chunks, c)) m->nomem = true;
  return (int32_t)m->plan->chunks.n - 1;
}

/* Where a chunk begins in C order, -1 if it is not one run. */
static int64_t linear_start(const mx_pvalue *v, const int64_t *start, const int64_t *extent) {
  int64_t lin = 0;
  bool split = false;
  for (int d = 0; d < v->shape.ndim; d++) {
    if (split && extent[d] != v->shape.dims[d]) return -1;
    if (extent[d] > 1) split = true;
    lin = lin * v->shape.dims[d] + start[d];
  }
  return lin;
}

static void add_value_chunks(maker *m, int32_t value) {
  mx_plan *plan = m->plan;
  mx_pvalue *v = &plan->values.at[value];
  v->first_chunk = (int32_t)plan->chunks.n;
  if (v->kind == MX_PV_CONCAT || (v->kind == MX_PV_MEMORY && v->producer < 0)) return;
  int64_t elem = (int64_t)mars_dtype_bytes(v->dtype), start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS], even = v->even * elem;
  for (int64_t i = 0; i < v->grid.total && !m->nomem; i++) {
    mx_grid_chunk(&v->grid, &v->shape, i, start, extent);
    int64_t n = elem;
    for (int d = 0; d < v->shape.ndim; d++) n *= extent[d];
    int32_t c = add_chunk(m, value, (int32_t)i, v->kind == MX_PV_MEMORY ? 0 : n);
    if (m->nomem) return;
    mx_pchunk *pc = &plan->chunks.at[c];
    if (even > n && v->kind != MX_PV_MEMORY) pc->spare = even - n;
    if (v->kind == MX_PV_KEPT) pc->phase = v->value->chunks[i].phase;
    if (v->kind != MX_PV_FILE && !v->sink) continue;
    int64_t lin = linear_start(v, start, extent);
    if (lin < 0) continue;
    if (v->kind == MX_PV_FILE) pc->phase = (uint32_t)plan->store_ops->source_phase(v->value->source, lin * elem);
    else pc->phase = (uint32_t)plan->store_ops->sink_phase(v->sink, lin * elem);
  }
}

/* ---- tasks ---- */

typedef struct in_ctx {
  maker *m;
  int32_t task;
} in_ctx;

static void add_in(maker *m, int32_t task, int32_t chunk) {
  if (m->stamp.at[chunk] == task + 1) return;
  m->stamp.at[chunk] = task + 1;
  if (!mx_vec_push(m->plan->mem, &m->plan->ins, chunk)) m->nomem = true;
}

static bool part_in(void *ctx, const mx_part *part) {
  in_ctx *i = ctx;
  const mx_pvalue *v = &i->m->plan->values.at[part->value];
  if (v->kind == MX_PV_MEMORY && v->producer < 0) return true;
  add_in(i->m, i->task, v->first_chunk + (int32_t)part->chunk);
  return !i->m->nomem;
}

static int32_t begin_task(maker *m, int32_t kernel, int32_t tile) {
  mx_plan *p = m->plan;
  mx_ptask t = {kernel, tile, (int32_t)p->ins.n, (int32_t)p->outs.n};
  if (!mx_vec_push(p->mem, &p->tasks, t)) m->nomem = true;
  return (int32_t)p->tasks.n - 1;
}

static void add_out(maker *m, int32_t task, int32_t chunk) {
  mx_plan *p = m->plan;
  if (m->nomem || !mx_vec_push(p->mem, &p->outs, chunk)) {
    m->nomem = true;
    return;
  }
  p->chunks.at[chunk].producer = task;
}

/* Number of the kept tile that tile `t` belongs to. */
static int64_t kept_tile(const mx_pkernel *k, int64_t t) {
  int64_t coord[MARS_MAX_DIMS], kept = 0;
  for (int d = k->prog.ndim - 1; d >= 0; d--) {
    coord[d] = t % k->grid.count[d];
    t /= k->grid.count[d];
  }
  for (int d = 0; d < k->prog.ndim; d++)
    if (!(k->prog.reduce_mask >> d & 1)) kept = kept * k->grid.count[d] + coord[d];
  return kept;
}

static int64_t kept_elements(const mx_pkernel *k, const int64_t *extent) {
  int64_t n = 1;
  for (int d = 0; d < k->prog.ndim; d++)
    if (!(k->prog.reduce_mask >> d & 1)) n *= extent[d];
  return n;
}

static int64_t acc_bytes(const mx_pkernel *k, int slot, int64_t kept) {
  mx_acc_layout l;
  mx_acc_layout_of(mx_op_row_of(k->prog.outs[slot].op)->acc, k->prog.outs[slot].src, kept, &l);
  return (int64_t)l.bytes;
}

/* Chunks for accumulators and carries of every tile. */
static void add_partials(maker *m, mx_pkernel *k) {
  mx_plan *plan = m->plan;
  int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS];
  mars_shape space = {.ndim = k->prog.ndim};
  memcpy(space.dims, k->prog.space, sizeof space.dims);
  k->carry_first = -1;
  for (int o = 0; o < k->prog.n_out; o++) k->out[o].first_partial = -1;
  for (int o = 0; o < k->prog.n_out && !m->nomem; o++) {
    bool partial = k->out[o].reduce && k->reduced_tiles > 1;
    if (!partial && !k->scan) continue;
    if (k->scan) k->carry_first = (int32_t)plan->chunks.n;
    else k->out[o].first_partial = (int32_t)plan->chunks.n;
    for (int64_t t = 0; t < k->grid.total && !m->nomem; t++) {
      mx_grid_chunk(&k->grid, &space, t, start, extent);
      int64_t kept = kept_elements(k, extent);
      int64_t bytes = k->scan ? kept * (int64_t)mars_dtype_bytes(k->prog.outs[o].src) : acc_bytes(k, o, kept);
      add_chunk(m, -1, (int32_t)kept, bytes);
    }
  }
}

static void add_tile_tasks(maker *m, int32_t ki, mx_pkernel *k) {
  mx_plan *plan = m->plan;
  int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS], axis_stride = 1;
  mars_shape space = {.ndim = k->prog.ndim};
  memcpy(space.dims, k->prog.space, sizeof space.dims);
  for (int d = space.ndim - 1; k->scan && d > k->scan_axis; d--) axis_stride *= k->grid.count[d];
  k->first_task = (int32_t)plan->tasks.n;
  for (int64_t t = 0; t < k->grid.total && !m->nomem; t++) {
    int32_t task = begin_task(m, ki, (int32_t)t);
    bool geometry = false;
    for (int i = 0; i < k->prog.n_in && !m->nomem; i++) {
      const mx_pvalue *v = &plan->values.at[k->in[i].value];
      if (v->kind == MX_PV_MEMORY && v->producer < 0) continue;
      if (k->in[i].identity) {
        add_in(m, task, v->first_chunk + (int32_t)t);
        continue;
      }
      if (!geometry) mx_grid_chunk(&k->grid, &space, t, start, extent), geometry = true;
      in_ctx ctx = {m, task};
      mx_walk_parts(plan, k->in[i].value, &k->in[i].access, space.ndim, start, extent, part_in, &ctx);
    }
    if (k->scan && (t / axis_stride) % k->grid.count[k->scan_axis] > 0) add_in(m, task, k->carry_first + (int32_t)(t - axis_stride));
    for (int o = 0; o < k->prog.n_out && !m->nomem; o++) {
      const mx_pvalue *v = &plan->values.at[k->out[o].value];
      if (k->out[o].first_partial >= 0) add_out(m, task, k->out[o].first_partial + (int32_t)t);
      else add_out(m, task, v->first_chunk + (int32_t)(k->out[o].reduce ? kept_tile(k, t) : t));
    }
    if (k->scan) add_out(m, task, k->carry_first + (int32_t)t);
  }
}

/* One task that merges accumulators; the chunk that it makes: `out`, or with out < 0 one more accumulator. */
static int32_t merge(maker *m, int32_t ki, int32_t tile, const int32_t *list, int64_t n, int32_t out) {
  mx_plan *plan = m->plan;
  const int32_t task = begin_task(m, ki, tile);
  for (int64_t i = 0; i < n && !m->nomem; i++)
    if (!mx_vec_push(plan->mem, &plan->ins, list[i])) m->nomem = true;
  if (out < 0) {
    out = add_chunk(m, -1, plan->chunks.at[list[0]].index, plan->chunks.at[list[0]].bytes);
    if (m->nomem || !mx_vec_push(plan->mem, &m->stamp, 0)) m->nomem = true;
  }
  add_out(m, task, out);
  return out;
}

/* One level of a tree; how many are left. */
static int64_t merge_level(maker *m, int32_t ki, int slot, int32_t *list, int64_t n) {
  const int64_t groups = (n + FAN_IN - 1) / FAN_IN;
  for (int64_t g = 0; g < groups && !m->nomem; g++) {
    const int64_t from = g * FAN_IN, to = from + FAN_IN < n ? from + FAN_IN : n;
    list[g] = merge(m, ki, -1 - slot, list + from, to - from, -1);
  }
  return groups;
}

/* The accumulators list[0..n) of one kept tile become one finished chunk. */
static void combine(maker *m, int32_t ki, int slot, int32_t *list, int64_t n, int32_t final_chunk) {
  while (n > FAN_IN && !m->nomem) n = merge_level(m, ki, slot, list, n);
  if (!m->nomem) merge(m, ki, MX_COMBINE_FINAL + slot, list, n, final_chunk);
}

/* The same where the devices that share the work can join accumulators: each makes one of its tiles', and these are joined. The runs of
   tiles are those that equal devices are given. false: not here. */
static bool combine_by_device(maker *m, int32_t ki, const mx_pkernel *k, int slot, int32_t *list, int64_t n, int32_t final_chunk) {
  const int places = mx_plan_join_places(m->plan, k, slot, m->plan->chunks.at[list[0]].bytes);
  int64_t end[MX_MAX_DEVICES] = {0};
  int32_t acc[MX_MAX_DEVICES];
  for (int64_t i = 0; i < n && places; i++) {
    const int64_t tile = list[i] - k->out[slot].first_partial;
    end[(2 * tile + 1) * places / (2 * k->grid.total)] = i + 1;
  }
  for (int p = 0; p < places; p++)
    if (!end[p]) return false; /* nothing of it is there */
  for (int p = 0; p < places && !m->nomem; p++) {
    const int64_t from = p ? end[p - 1] : 0;
    int64_t left = end[p] - from;
    while (left > 1 && !m->nomem) left = merge_level(m, ki, slot, list + from, left);
    acc[p] = list[from];
  }
  if (!places || m->nomem) return places > 0;
  const int32_t all = merge(m, ki, -1 - slot, acc, places, -1);
  if (!m->nomem) merge(m, ki, MX_COMBINE_FINAL + slot, &all, 1, final_chunk);
  return true;
}

static void add_combines(maker *m, int32_t ki, mx_pkernel *k) {
  mx_plan *plan = m->plan;
  int64_t kept_total = k->kept_grid.total, n = k->reduced_tiles;
  for (int o = 0; o < k->prog.n_out && !m->nomem; o++) {
    if (k->out[o].first_partial < 0) continue;
    int32_t *list = mx_alloc(plan->mem, (size_t)(kept_total * n) * sizeof *list);
    int64_t *filled = mx_calloc(plan->mem, (size_t)kept_total, sizeof *filled);
    if (!list || !filled) m->nomem = true;
    for (int64_t t = 0; t < k->grid.total && !m->nomem; t++) {
      int64_t kt = kept_tile(k, t);
      list[kt * n + filled[kt]++] = k->out[o].first_partial + (int32_t)t;
    }
    const mx_pvalue *v = &plan->values.at[k->out[o].value];
    for (int64_t kt = 0; kt < kept_total && !m->nomem; kt++)
      if (!combine_by_device(m, ki, k, o, list + kt * n, n, v->first_chunk + (int32_t)kt))
        combine(m, ki, o, list + kt * n, n, v->first_chunk + (int32_t)kt);
    mx_free(plan->mem, list);
    mx_free(plan->mem, filled);
  }
}

mars_status mx_tile_tasks(mx_plan *plan, mars_error *err) {
  maker m = {.plan = plan};
  mars_status st = MARS_OK;
  plan->chunks.n = plan->tasks.n = plan->ins.n = plan->outs.n = plan->rtasks.n = plan->rargs.n = 0;
  for (int64_t v = 0; v < plan->values.n && !m.nomem; v++) add_value_chunks(&m, (int32_t)v);
  for (int64_t k = 0; k < plan->kernels.n && !m.nomem; k++) add_partials(&m, &plan->kernels.at[k]);
  m.stamp.at = NULL;
  if (!m.nomem && mx_vec_reserve(plan->mem, &m.stamp, plan->chunks.n + 1)) {
    memset(m.stamp.at, 0, (size_t)(plan->chunks.n + 1) * sizeof *m.stamp.at);
    m.stamp.n = plan->chunks.n;
  } else m.nomem = true;
  for (int64_t k = 0; k < plan->kernels.n && !m.nomem && st == MARS_OK; k++) {
    if ((st = mx_plan_cancelled(plan, err)) != MARS_OK) break;
    if (plan->kernels.at[k].routine) {
      st = mx_tile_routine(plan, (int32_t)k, &m.stamp, err);
      continue;
    }
    add_tile_tasks(&m, (int32_t)k, &plan->kernels.at[k]);
    if (!m.nomem) add_combines(&m, (int32_t)k, &plan->kernels.at[k]);
  }
  plan->n_tasks = plan->tasks.n;
  if (!m.nomem) begin_task(&m, -1, 0); /* end mark */
  if (!m.nomem && !mx_vec_push(plan->mem, &plan->rtasks, ((mx_rtask){.first_arg = (int32_t)plan->rargs.n}))) m.nomem = true;
  mx_vec_free(plan->mem, &m.stamp);
  if (st != MARS_OK) return st;
  return m.nomem ? MX_NOMEM(err, plan->fn) : MARS_OK;
}
