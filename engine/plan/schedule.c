/*
 * The schedule: every chunk's place and every transfer, decided with the whole future known.
 *
 * The tasks are taken in order, each on the device that place.c gave it. Before each, what the next tasks will need is loaded
 * ahead as far as room allows: from files and spill store into the host's arena, from there (or from a peer) into the device's.
 * When room is short, residency.c decides who leaves.
 */
#include "engine/plan/schedule.h"

#include <string.h>

enum {
  EARLY_BYTES = 160 << 20,        /* that loads may run ahead: deep enough for any drive, and fresh memory is slow */
  EARLY_BESIDE_WRITES = 32 << 20, /* where results go to a file: more reads in the queue hold up the writes, and memory is cold */
};

/* ---- tasks ---- */

int64_t mx_plan_scratch(const mx_plan *plan, int device, const mx_pkernel *k, const int64_t *extent, mx_scratch_fn *scratch,
                        void *ctx, int64_t *gather) {
  int64_t points = 1, bytes = ((int64_t)scratch(ctx, device, k, extent) + 63) & ~(int64_t)63;
  for (int d = 0; d < k->prog.ndim; d++) points *= extent[d];
  for (int i = 0; i < k->prog.n_in; i++) {
    const mx_pvalue *v = &plan->values.at[k->in[i].value];
    bool one = k->in[i].identity || (v->kind == MX_PV_MEMORY && !k->in[i].access.linear) ||
               (v->kind != MX_PV_CONCAT && v->grid.total == 1 && !k->in[i].access.linear);
    gather[i] = one ? -1 : bytes;
    if (!one) bytes += (points * (int64_t)mars_dtype_bytes(v->dtype) + 63) & ~(int64_t)63;
  }
  return bytes;
}

static int64_t task_scratch(mx_scheduler *z, int a, const mx_ptask *t) {
  if (t->tile < 0) return 0;
  if (z->plan->kernels.at[t->kernel].routine) {
    const mx_rtask *r = &z->plan->rtasks.at[t->tile];
    return a && r->own_scratch >= 0 ? r->own_scratch : r->scratch_bytes;
  }
  const mx_pkernel *k = &z->plan->kernels.at[t->kernel];
  int64_t *whole = &z->arena[a].full_scratch[t->kernel];
  int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS], gather[MX_MAX_SLOTS + 16];
  mars_shape space = {.ndim = k->prog.ndim};
  memcpy(space.dims, k->prog.space, sizeof space.dims);
  if (*whole == 0) return 0; /* whole tiles need none: nor do smaller ones */
  mx_grid_chunk(&k->grid, &space, t->tile, start, extent);
  bool full = true;
  for (int d = 0; d < space.ndim; d++) full &= extent[d] == k->grid.chunk[d];
  if (full && *whole > 0) return *whole;
  int64_t bytes = mx_plan_scratch(z->plan, a, k, extent, z->scratch, z->ctx, gather);
  if (full) *whole = bytes;
  return bytes;
}

/* Chunk c takes over the memory of the chunk that its task updates in place; copies of that one elsewhere die with it. */
static bool take_over(mx_scheduler *z, int a, int32_t c, mx_fence *fence) {
  int32_t old = z->plan->chunks.at[c].takes;
  mx_arena *r = &z->arena[a];
  mx_copy *s = &r->s[old];
  int64_t at = s->offset;
  *fence = s->fence;
  int32_t i = mx_step_add(z, MX_STEP_FREE, a, MX_TIER_DEVICE, old, at, MX_NO_FENCE);
  if (z->nomem) return false;
  z->plan->steps.at[i].flags = a ? MX_FREE_TAKEN : MX_FREE_DEAD | MX_FREE_TAKEN;
  if (s->flags & MX_AHEAD) r->clean_ahead -= mx_room_of(z, a, old);
  if (s->flags & MX_EARLY) r->loaded_ahead -= mx_room_of(z, a, old);
  s->flags &= (uint16_t) ~(MX_RESIDENT | MX_AHEAD | MX_EARLY);
  s->offset = -1;
  if (a == 0) {
    if (s->flags & MX_SPILLED) z->spill_used -= mx_room_of(z, 0, old);
    s->flags &= (uint16_t)~MX_SPILLED;
  }
  z->arena[0].s[old].where &= (uint16_t) ~(1u << a);
  return mx_settle(z, a, c, at, *fence, MX_STEP_ALLOC, MX_TIER_DEVICE);
}

static bool compute(mx_scheduler *z, int32_t task, int a, int32_t position, bool again) {
  mx_plan *p = z->plan;
  const mx_ptask *t = &p->tasks.at[task];
  mx_copy *s = z->arena[a].s;
  mx_fence all = MX_NO_FENCE;
  for (int32_t k = t->first_out; k < t[1].first_out; k++) {
    int32_t c = p->outs.at[k];
    s[c].pin = position;
    if (!p->chunks.at[c].bytes) continue;
    mx_fence f = MX_NO_FENCE;
    if (p->chunks.at[c].takes >= 0) {
      if (!take_over(z, a, c, &f)) return false;
    } else {
      int64_t at = mx_make_room(z, a, mx_room_of(z, a, c), position, position, &f);
      if (at < 0 || !mx_settle(z, a, c, at, f, MX_STEP_ALLOC, MX_TIER_DEVICE)) return false;
    }
    if (f.after > all.after) all.after = f.after;
    if (f.after_store > all.after_store) all.after_store = f.after_store;
  }
  int64_t scratch = task_scratch(z, a, t), at = -1;
  if (scratch > 0 && (at = mx_make_room(z, a, scratch, position, position, &all)) < 0) return false;
  int32_t i = mx_step_add(z, MX_STEP_COMPUTE, a, MX_TIER_DEVICE, task, at, all);
  if (scratch > 0) mx_keep_scratch(z, a, at, scratch, i);
  for (int32_t k = t->first_out; k < t[1].first_out; k++) s[p->outs.at[k]].fence.after = i;
  for (int32_t k = t->first_in; k < t[1].first_in; k++) s[p->ins.at[k]].fence.after = i;
  p->stats.computes++;
  p->stats.device[a].computes++;
  p->stats.recomputed += again;
  return !z->nomem;
}

/* Where a chunk that is wanted on device a is made once more. */
static int made_on(const mx_scheduler *z, int a, int32_t c) {
  const int32_t task = z->plan->chunks.at[c].producer;
  return z->plan->kernels.at[z->plan->tasks.at[task].kernel].devices >> a & 1 ? a : mx_task_device(z->plan, task);
}

static bool make_again(mx_scheduler *z, int a, int32_t c, int32_t position) {
  const int on = made_on(z, a, c);
  z->arena[0].s[c].flags &= (uint16_t)~MX_DROPPED;
  if (!compute(z, z->plan->chunks.at[c].producer, on, position, true)) return false;
  mx_track(z, on, c);
  return on == a || mx_bring(z, a, c, position, position);
}

static bool present(mx_scheduler *z, int a, int32_t c, int32_t position) {
  mx_copy *s = &z->arena[a].s[c];
  s->pin = position;
  if ((s->flags & MX_RESIDENT) || !z->plan->chunks.at[c].bytes) return true;
  return mx_chunk_flags(z, c) & MX_DROPPED ? make_again(z, a, c, position) : mx_bring(z, a, c, position, position);
}

/* What a group of tasks reads, and has been dropped, is made before the first of them, as far as there is room: else each would be
   made right before the task that reads it, and the device gets pairs that wait for each other, not one batch. */
static bool make_again_together(mx_scheduler *z, int a, int32_t task, int32_t position) {
  const mx_plan *p = z->plan;
  const mx_ptask *t = &p->tasks.at[task];
  const int32_t gate = p->kernels.at[t->kernel].routine ? p->rtasks.at[t->tile].gate : 1;
  int64_t own = 0;
  if (gate < 2) return true;
  for (int32_t i = 0; i < gate; i++) own += mx_lasting_room(z, a, task + i);
  for (int32_t k = t->first_in; k < t[gate].first_in; k++) {
    const int32_t c = p->ins.at[k];
    if (!(mx_chunk_flags(z, c) & MX_DROPPED) || mx_resident(z, a, c) || made_on(z, a, c) != a) continue;
    if (!mx_spare(z, a, own + mx_room_of(z, a, c), position, position + gate, true)) break;
    if (!make_again(z, a, c, position)) return false;
  }
  return true;
}

/* ---- ahead of the tasks ---- */

typedef enum verdict { SKIP, BRING, STOP } verdict;

/* Should chunk c, which a task of device `on` will read, come into arena a now? Into the host's on its way to a device too. */
static verdict wanted(const mx_scheduler *z, int a, int on, int32_t c, int32_t at) {
  const mx_pchunk *pc = &z->plan->chunks.at[c];
  const uint16_t flags = mx_chunk_flags(z, c), where = mx_where(z, c);
  if (where >> a & 1 || !pc->bytes || flags & MX_DROPPED) return SKIP;
  if (a != on) return !where && (flags & MX_SPILLED || pc->producer < 0) ? BRING : SKIP;
  if (where) return BRING;
  if (!(flags & MX_SPILLED) && pc->producer >= 0) /* not made yet; by somebody else, for a device: looked at again when it is */
    return a && mx_task_device(z->plan, pc->producer) != a ? STOP : SKIP;
  return a && z->arena[0].ahead <= at ? STOP : BRING;          /* the host has not begun to load it */
}

static bool bring_ahead(mx_scheduler *z, int a, int32_t c, int32_t position, int64_t cap) {
  mx_arena *r = &z->arena[a];
  const int64_t room = mx_room_of(z, a, c);
  if (r->promised > 0 && !mx_spare(z, a, room, position, r->ahead, true)) return false;
  if (r->loaded_ahead + room > cap || !mx_bring(z, a, c, position, r->ahead)) return false;
  r->s[c].pin = MX_PIN_AHEAD(position); /* not at once out again for another load */
  r->s[c].flags |= MX_EARLY;
  r->loaded_ahead += room;
  return true;
}

/* Begin the loads, or copies, that coming tasks need in arena a, up to where there is no room for what the next one makes: before a
   new block of accumulators, until the last one is gone. */
static void prefetch(mx_scheduler *z, int a, int32_t position) {
  mx_plan *p = z->plan;
  mx_arena *r = &z->arena[a];
  int64_t most = z->to_file && a == 0 ? EARLY_BESIDE_WRITES : EARLY_BYTES;
  int64_t cap = mx_space_bytes(r->space) / 2 < most ? mx_space_bytes(r->space) / 2 : most;
  if (r->ahead < position) r->ahead = position;
  for (; r->ahead < p->order.n && r->ahead < position + MX_LOOKAHEAD; ++r->ahead) {
    const int32_t task = p->order.at[r->ahead];
    const mx_ptask *t = &p->tasks.at[task];
    const int on = mx_task_device(p, task);
    if (a && on != a) continue;
    if (mx_plan_joins(p, task, NULL)) continue; /* of what it reads nothing travels */
    for (int32_t k = t->first_in; k < t[1].first_in; k++) {
      verdict v = wanted(z, a, on, p->ins.at[k], r->ahead);
      if (v == STOP || (v == BRING && !bring_ahead(z, a, p->ins.at[k], position, cap))) return;
    }
    if (on != a) continue;
    const int64_t lasting = mx_lasting_room(z, a, task);
    if (lasting > 0 && r->ahead > position && !mx_spare(z, a, lasting, position, r->ahead, false)) return;
    r->promised += lasting;
  }
}

/* ---- a task ---- */

/* What it made goes where it must be besides. */
static bool deliver(mx_scheduler *z, int a, int32_t c, int32_t position) {
  mx_plan *p = z->plan;
  const int32_t v = p->chunks.at[c].value;
  const bool to_file = v >= 0 && p->values.at[v].sink != NULL;
  if (p->chunks.at[c].bytes && p->chunks.at[c].takes < 0) z->arena[a].to_come -= mx_room_of(z, a, c);
  if (a && p->chunks.at[c].bytes && (to_file || mx_chunk_flags(z, c) & MX_KEEP)) {
    z->arena[0].to_come -= mx_room_of(z, 0, c);
    if (!mx_copy_over(z, 0, c, a, position, position)) return false;
  }
  if (to_file) {
    mx_copy *s = &z->arena[0].s[c];
    s->fence.after_store = mx_step_add(z, MX_STEP_STORE, 0, MX_TIER_FILE, c, s->offset, MX_NO_FENCE);
    p->stats.sink_write_bytes += (size_t)p->chunks.at[c].bytes;
  }
  if (mx_next_use(z, a, c) < 0) mx_die(z, c);
  else mx_track_all(z, c);
  return true;
}

static void used(mx_scheduler *z, int a, int32_t c, int32_t position) {
  mx_copy *s = &z->arena[a].s[c];
  if (s->flags & MX_EARLY) z->arena[a].loaded_ahead -= mx_room_of(z, a, c);
  s->flags &= (uint16_t)~MX_EARLY;
  s->use++;
  if (z->n > 1) {
    z->left[c]--;
    while (s->use < z->first_use[c + 1] && mx_task_device(z->plan, z->plan->order.at[z->uses[s->use]]) != a) s->use++;
  }
  if (mx_next_use(z, a, c) < 0) mx_die(z, c);
  else if (mx_resident(z, a, c) && mx_not_worth_keeping(z, a, c, position)) {
    z->arena[0].s[c].flags |= MX_DROPPED;
    mx_leave(z, a, c, 0);
  } else mx_track_all(z, c);
}

static bool compute_with(mx_scheduler *z, int32_t task, int a, int32_t position) {
  const mx_plan *p = z->plan;
  const mx_ptask *t = &p->tasks.at[task];
  if (!make_again_together(z, a, task, position)) return false;
  for (int32_t k = t->first_in; k < t[1].first_in; k++)
    if (!present(z, a, p->ins.at[k], position)) return false;
  return compute(z, task, a, position, false);
}

static bool run_task(mx_scheduler *z, int32_t position) {
  mx_plan *p = z->plan;
  int32_t task = p->order.at[position];
  const mx_ptask *t = &p->tasks.at[task];
  const int a = mx_task_device(p, task);
  bool joined;
  for (int32_t k = t->first_in; k < t[1].first_in; k++) z->arena[a].s[p->ins.at[k]].pin = position;
  if (!mx_join_together(z, task, position, &joined)) return false;
  if (!joined && !compute_with(z, task, a, position)) return false;
  for (int32_t k = t->first_out; k < t[1].first_out; k++)
    if (!deliver(z, a, p->outs.at[k], position)) return false;
  for (int32_t k = t->first_in; k < t[1].first_in; k++) used(z, a, p->ins.at[k], position);
  return !z->nomem;
}

/* ---- setup ---- */

static void begin_chunk(mx_scheduler *z, int32_t c) {
  mx_plan *p = z->plan;
  const mx_pchunk *pc = &p->chunks.at[c];
  const int32_t v = pc->value;
  for (int a = 0; a < z->n; a++) {
    int32_t use = z->first_use[c];
    while (z->n > 1 && use < z->first_use[c + 1] && mx_task_device(p, p->order.at[z->uses[use]]) != a) use++;
    z->arena[a].s[c] = (mx_copy){.offset = -1, .fence = MX_NO_FENCE, .use = use, .pin = -1};
  }
  if (z->n > 1) z->left[c] = z->first_use[c + 1] - z->first_use[c];
  const bool keep = v >= 0 && (p->values.at[v].kind == MX_PV_KEPT || p->values.at[v].keep);
  if (keep) z->arena[0].s[c].flags |= MX_KEEP;
  if (pc->producer < 0 || !pc->bytes) return;
  const int a = mx_task_device(p, pc->producer);
  if (pc->takes < 0) z->arena[a].to_come += mx_room_of(z, a, c);
  if (a && (keep || (v >= 0 && p->values.at[v].sink))) z->arena[0].to_come += mx_room_of(z, 0, c);
}

static bool reserve_kept(mx_scheduler *z, int32_t c) {
  const mx_plan *p = z->plan;
  const int32_t v = p->chunks.at[c].value;
  if (v < 0 || p->values.at[v].kind != MX_PV_KEPT) return true;
  const mx_chunk *e = &p->values.at[v].value->chunks[p->chunks.at[c].index];
  mx_copy *s = &z->arena[0].s[c];
  if (e->slot.dir) {
    s->flags |= MX_SPILLED | MX_CLEAN;
    z->spill_used += mx_room_of(z, 0, c);
  }
  if (e->device && e->device < z->n && mx_plan_may_use(p, e->device)) {
    mx_copy *copy = &z->arena[e->device].s[c];
    copy->flags |= MX_RESIDENT;
    copy->offset = e->there;
    s->where |= (uint16_t)(1u << e->device);
    if (!mx_space_reserve(z->arena[e->device].space, e->there, mx_room_of(z, e->device, c))) return false;
  }
  if (e->offset < 0) return true;
  s->flags |= MX_RESIDENT;
  s->where |= 1;
  s->offset = e->offset;
  return mx_space_reserve(z->arena[0].space, e->offset, mx_room_of(z, 0, c));
}

static bool list_uses(mx_scheduler *z) {
  mx_plan *p = z->plan;
  mx_copy *s = z->arena[0].s;
  for (int64_t i = 0; i < p->ins.n; i++) z->first_use[p->ins.at[i] + 1]++;
  for (int64_t c = 0; c < p->chunks.n; c++) z->first_use[c + 1] += z->first_use[c];
  for (int64_t c = 0; c < p->chunks.n; c++) s[c].use = z->first_use[c];
  for (int64_t o = 0; o < p->order.n; o++) {
    const mx_ptask *t = &p->tasks.at[p->order.at[o]];
    for (int32_t k = t->first_in; k < t[1].first_in; k++) z->uses[s[p->ins.at[k]].use++] = (int32_t)o;
  }
  for (int64_t c = 0; c < p->chunks.n; c++) {
    begin_chunk(z, (int32_t)c);
    if (!reserve_kept(z, (int32_t)c)) return false;
  }
  for (int64_t i = 0; i < p->n_holds; i++)
    if (p->holds[i].device < z->n && !mx_space_reserve(z->arena[p->holds[i].device].space, p->holds[i].offset, p->holds[i].bytes)) return false;
  for (int64_t c = 0; c < p->chunks.n; c++)
    if (p->chunks.at[c].takes >= 0) s[p->chunks.at[c].takes].flags |= MX_TAKEN;
  for (int a = 0; a < z->n; a++)
    if (!mx_space_ready(z->arena[a].space)) return false;
  return true;
}

static int64_t working_set(mx_scheduler *z, int a, const mx_ptask *t) {
  int64_t n = t->tile < 0 ? 0 : mx_space_round(task_scratch(z, a, t));
  for (int32_t k = t->first_in; k < t[1].first_in; k++)
    if (z->plan->chunks.at[z->plan->ins.at[k]].bytes) n += mx_room_of(z, a, z->plan->ins.at[k]);
  for (int32_t k = t->first_out; k < t[1].first_out; k++)
    if (z->plan->chunks.at[z->plan->outs.at[k]].bytes && z->plan->chunks.at[z->plan->outs.at[k]].takes < 0)
      n += mx_room_of(z, a, z->plan->outs.at[k]);
  return n;
}

static mars_status refuse(mx_scheduler *z, int32_t position, mars_error *err) {
  mx_plan *p = z->plan;
  if (p->refused < 0) p->refused = 0;
  const int a = p->refused;
  int64_t need = 0;
  for (int64_t t = 0; t < p->n_tasks; t++) {
    int64_t n = mx_task_device(p, (int32_t)t) == a ? working_set(z, a, &p->tasks.at[t]) : 0;
    if (n > need) need = n;
  }
  long long have = (long long)mx_space_bytes(z->arena[a].space);
  p->spill_short = z->no_spill_room && a == 0 && need <= have;
  if (a)
    return mx_fail(err, MARS_E_BUDGET, "%s: the budget of device %s, %lld bytes, is too small: with chunks of %lld elements the job needs at least %lld bytes",
                   p->fn, p->machine->device[a].name, have, (long long)p->chunk_elements, (long long)(need > have ? need : have + need));
  if (p->spill_short) {
    long long hold = have + need;
    if (p->machine->spill)
      return mx_fail(err, MARS_E_BUDGET,
                     "%s: the job keeps more alive than host budget (%lld bytes) and spill budget (%lld bytes) hold; at least "
                     "%lld bytes of host budget are needed for it to go on at task %d of %lld",
                     p->fn, have, (long long)p->machine->spill_budget_bytes, hold, position, (long long)p->n_tasks);
    return mx_fail(err, MARS_E_BUDGET,
                   "%s: the job keeps more alive than the host budget of %lld bytes holds, at least %lld bytes are needed, and "
                   "there is no spill directory",
                   p->fn, have, hold);
  }
  return mx_fail(err, MARS_E_BUDGET, "%s: the host budget of %lld bytes is too small: with chunks of %lld elements the job needs at least %lld bytes",
                 p->fn, have, (long long)p->chunk_elements, (long long)(need > have ? need : have + need));
}

static bool open_arenas(mx_scheduler *z) {
  mx_plan *p = z->plan;
  mx_mem *mem = p->mem;
  const size_t n = (size_t)p->chunks.n;
  for (int a = 0; a < z->n; a++) {
    mx_arena *r = &z->arena[a];
    r->space = mx_space_create(mem, p->machine->device[a].arena_bytes);
    r->s = mx_calloc(mem, n + 1, sizeof *r->s);
    r->full_scratch = mx_alloc(mem, ((size_t)p->kernels.n + 1) * sizeof *r->full_scratch);
    if (!r->space || !r->s || !r->full_scratch) return false;
    for (int64_t k = 0; k < p->kernels.n; k++) r->full_scratch[k] = -1;
  }
  z->first_use = mx_calloc(mem, n + 2, sizeof *z->first_use);
  z->uses = mx_alloc(mem, ((size_t)p->ins.n + 1) * sizeof *z->uses);
  if (z->n > 1 && !(z->left = mx_alloc(mem, (n + 1) * sizeof *z->left))) return false;
  return z->first_use && z->uses && list_uses(z);
}

static void close_arenas(mx_scheduler *z) {
  mx_mem *mem = z->plan->mem;
  for (int a = 0; a < z->n; a++) {
    mx_arena *r = &z->arena[a];
    mx_space_destroy(r->space);
    mx_free(mem, r->s);
    mx_free(mem, r->full_scratch);
    mx_vec_free(mem, &r->clean);
    mx_vec_free(mem, &r->dirty);
  }
  mx_free(mem, z->first_use);
  mx_free(mem, z->uses);
  mx_free(mem, z->left);
}

/* Of what is kept, and so on the host or in the spill store, one device's copy stays for later jobs. */
static void leave_devices(mx_scheduler *z) {
  for (int a = 2; a < z->n; a++)
    for (int64_t c = 0; c < z->plan->chunks.n && !z->nomem; c++)
      if (mx_resident(z, a, (int32_t)c) && mx_where(z, (int32_t)c) & ((1u << a) - 2)) mx_leave(z, a, (int32_t)c, 0);
}

mars_status mx_plan_schedule(mx_plan *plan, mx_scratch_fn *scratch, void *ctx, mars_error *err) {
  mars_status st = MARS_OK;
  mx_scheduler z = {.plan = plan, .scratch = scratch, .ctx = ctx, .n = plan->task_device ? plan->machine->n_devices : 1};
  plan->steps.n = 0;
  plan->refused = -1;
  plan->stats = (mx_plan_stats){.tasks = plan->n_tasks};
  if (!open_arenas(&z)) MX_TRY(MX_NOMEM(err, plan->fn));
  for (int64_t v = 0; v < plan->values.n; v++) z.to_file |= plan->values.at[v].sink != NULL;
  for (int32_t p = 0; p < plan->order.n; p++) {
    if (p % 1024 == 0) MX_TRY(mx_plan_cancelled(plan, err));
    for (int a = 0; a < z.n; a++) {
      prefetch(&z, a, p);
      if (p < z.arena[a].ahead && mx_task_device(plan, plan->order.at[p]) == a)
        z.arena[a].promised -= mx_lasting_room(&z, a, plan->order.at[p]);
    }
    bool ok = run_task(&z, p);
    for (int a = 0; ok && a < z.n; a++) mx_leave_ahead(&z, a, p);
    if (z.nomem) MX_TRY(MX_NOMEM(err, plan->fn));
    if (!ok) MX_TRY(refuse(&z, p, err));
  }
  leave_devices(&z);
  if (z.nomem) MX_TRY(MX_NOMEM(err, plan->fn));
  plan->stats.peak_bytes = (size_t)mx_space_peak(z.arena[0].space);
  for (int a = 0; a < z.n; a++) plan->stats.device[a].peak_bytes = (size_t)mx_space_peak(z.arena[a].space);
done:
  close_arenas(&z);
  return st;
}
