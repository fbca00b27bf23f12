/*
 * Steps that bring a chunk into an arena or out of it: loads, stores, copies between the arenas.
 */
#include "engine/plan/schedule.h"

#include <string.h>

#define SPILL_NS_PER_BYTE 1.17 /* written at 2.2, read at 1.4 GB/s */
#define LINK_NS_PER_BYTE 0.1   /* down and up again, where the link's rate is unknown */
#define OP_NS 0.15             /* an addition on a block in cache */

int32_t mx_step_add(mx_scheduler *z, mx_step_kind kind, int a, mx_tier tier, int32_t id, int64_t offset, mx_fence f) {
  mx_step s = {.kind = (uint8_t)kind, .device = (uint8_t)a, .tier = (uint8_t)tier, .id = id, .after = f.after,
               .after_store = f.after_store, .offset = offset};
  if (z->plan->steps.n >= INT32_MAX - 1 || !mx_vec_push(z->plan->mem, &z->plan->steps, s)) z->nomem = true;
  return (int32_t)z->plan->steps.n - 1;
}

bool mx_settle(mx_scheduler *z, int a, int32_t c, int64_t at, mx_fence fence, mx_step_kind kind, mx_tier tier) {
  mx_copy *s = &z->arena[a].s[c];
  mx_step_add(z, kind, a, tier, c, at, fence);
  s->offset = at;
  s->fence = MX_NO_FENCE; /* whoever uses it first has waited for this step */
  s->flags |= MX_RESIDENT;
  z->arena[0].s[c].where |= (uint16_t)(1u << a);
  return !z->nomem;
}

/* The copy is gone from its arena: what was counted for it, and what its absence means for the others. */
static void forget(mx_scheduler *z, int a, int32_t c) {
  mx_arena *r = &z->arena[a];
  mx_copy *s = &r->s[c];
  if (s->flags & MX_AHEAD) r->clean_ahead -= mx_room_of(z, a, c);
  if (s->flags & MX_EARLY) r->loaded_ahead -= mx_room_of(z, a, c);
  s->flags &= (uint16_t) ~(MX_RESIDENT | MX_AHEAD | MX_EARLY);
  s->offset = -1;
  z->arena[0].s[c].where &= (uint16_t) ~(1u << a);
  if (z->n == 1 || !mx_where(z, c)) return;
  if (a == 0 && !(mx_chunk_flags(z, c) & MX_CLEAN)) /* nor is what was copied down here ahead any more */
    for (int d = 1; d < z->n; d++) {
      if (z->arena[d].s[c].flags & MX_AHEAD) z->arena[d].clean_ahead -= mx_room_of(z, d, c);
      z->arena[d].s[c].flags &= (uint16_t)~MX_AHEAD;
    }
  mx_track_all(z, c);
}

void mx_leave(mx_scheduler *z, int a, int32_t c, uint8_t flags) {
  mx_copy *s = &z->arena[a].s[c];
  int32_t i = mx_step_add(z, MX_STEP_FREE, a, MX_TIER_DEVICE, c, s->offset, MX_NO_FENCE);
  if (z->nomem) return;
  z->plan->steps.at[i].flags = flags;
  mx_give_back(z, a, s->offset, mx_room_of(z, a, c), s->fence);
  forget(z, a, c);
}

bool mx_can_spill(const mx_scheduler *z, int32_t c) {
  const mx_machine *m = z->plan->machine;
  return m->spill && (!m->spill_budget_bytes || z->spill_used + mx_room_of(z, 0, c) <= (int64_t)m->spill_budget_bytes);
}

void mx_store_spill(mx_scheduler *z, int32_t c) {
  mx_copy *s = &z->arena[0].s[c];
  s->fence.after_store = mx_step_add(z, MX_STEP_STORE, 0, MX_TIER_SPILL, c, s->offset, MX_NO_FENCE);
  s->flags |= MX_SPILLED | MX_CLEAN;
  z->spill_used += mx_room_of(z, 0, c);
  if ((size_t)z->spill_used > z->plan->stats.spill_peak_bytes) z->plan->stats.spill_peak_bytes = (size_t)z->spill_used;
  z->plan->stats.spill_write_bytes += (size_t)z->plan->chunks.at[c].bytes;
  if (z->n > 1) mx_track_all(z, c);
}

bool mx_recomputable(const mx_scheduler *z, int a, int32_t c) {
  const mx_plan *p = z->plan;
  const mx_pchunk *pc = &p->chunks.at[c];
  if (pc->producer < 0 || (mx_chunk_flags(z, c) & MX_KEEP) || pc->value < 0) return false;
  const mx_ptask *t = &p->tasks.at[pc->producer];
  if (p->kernels.at[t->kernel].routine) return false;
  if (t->tile < 0 || t[1].first_in != t->first_in || t[1].first_out != t->first_out + 1) return false;
  if (a && !(p->kernels.at[t->kernel].devices >> a & 1)) return false; /* made elsewhere: it would be copied all the same */
  const mx_pvalue *v = &p->values.at[pc->value];
  if (v->output >= 0 || p->kernels.at[t->kernel].prog.reduce_mask) return false;
  double elements = (double)pc->bytes / (double)mars_dtype_bytes(v->dtype);
  double op_ns = OP_NS, move_ns = SPILL_NS_PER_BYTE;
  if (a) {
    const mx_machine_device *d = &p->machine->device[a];
    op_ns = d->flops > 0 ? 1e9 / d->flops : OP_NS;
    move_ns = d->link_bytes_per_second > 0 ? 2e9 / d->link_bytes_per_second : LINK_NS_PER_BYTE;
  }
  return elements * p->kernels.at[t->kernel].prog.cost * op_ns < (double)pc->bytes * move_ns;
}

static bool load(mx_scheduler *z, int32_t c, int32_t position, int32_t beyond) {
  mx_fence f = MX_NO_FENCE;
  const mx_pchunk *pc = &z->plan->chunks.at[c];
  int64_t at = mx_make_room(z, 0, mx_room_of(z, 0, c), position, beyond, &f);
  if (at < 0) return false;
  bool spilled = mx_chunk_flags(z, c) & MX_SPILLED;
  mx_settle(z, 0, c, at, f, MX_STEP_LOAD, spilled ? MX_TIER_SPILL : MX_TIER_FILE);
  z->arena[0].s[c].flags |= MX_CLEAN;
  if (spilled) z->plan->stats.spill_read_bytes += (size_t)pc->bytes;
  else z->plan->stats.source_read_bytes += (size_t)pc->bytes;
  mx_track(z, 0, c);
  return !z->nomem;
}

static void count_copy(mx_scheduler *z, int a, int from, int32_t c) {
  size_t bytes = (size_t)z->plan->chunks.at[c].bytes;
  mx_device_stats *d = z->plan->stats.device;
  if (a == 0) d[from].down_bytes += bytes;
  else if (from == 0) d[a].up_bytes += bytes;
  else d[a].peer_bytes += bytes;
}

/* A chunk that a device has now, and the host no other use for. It stays behind the next copies: whoever took its room at once would wait
   for this copy, and host, link and device would take turns. */
static void leave_behind(mx_scheduler *z, int32_t c, int32_t position) {
  if (z->n_passing == MX_PASSING) mx_let_pass(z, 1, position);
  z->passing[z->n_passing++] = c;
}

void mx_let_pass(mx_scheduler *z, int n, int32_t position) {
  for (int i = 0; i < n && i < z->n_passing; i++) {
    const int32_t c = z->passing[i];
    const mx_copy *s = &z->arena[0].s[c];
    /* it may have died, or come back since */
    if (s->flags & MX_RESIDENT && mx_where(z, c) != 1 && z->left[c] == 1 && s->pin != position) mx_leave(z, 0, c, 0);
  }
  if (n > z->n_passing) n = z->n_passing;
  z->n_passing -= n;
  memmove(z->passing, z->passing + n, (size_t)z->n_passing * sizeof z->passing[0]);
}

bool mx_copy_over(mx_scheduler *z, int a, int32_t c, int from, int32_t position, int32_t beyond) {
  mx_copy *src = &z->arena[from].s[c];
  mx_fence f = MX_NO_FENCE;
  const int32_t pin = src->pin;
  src->pin = position; /* while room is made */
  int64_t at = mx_make_room(z, a, mx_room_of(z, a, c), position, beyond, &f);
  src->pin = pin;
  if (at < 0) return false;
  mx_settle(z, a, c, at, f, MX_STEP_COPY, MX_TIER_DEVICE);
  if (z->nomem) return false;
  int32_t i = (int32_t)z->plan->steps.n - 1;
  z->plan->steps.at[i].flags = (uint8_t)from;
  src->fence.after_store = i;
  if (src->flags & MX_EARLY) { /* this was what it was loaded for */
    z->arena[from].loaded_ahead -= mx_room_of(z, from, c);
    src->flags &= (uint16_t)~MX_EARLY;
  }
  count_copy(z, a, from, c);
  mx_track_all(z, c);
  /* its only use is ahead: the host's room serves others better */
  if (from == 0 && z->left[c] == 1 && !(mx_chunk_flags(z, c) & MX_KEEP) && src->pin != position) leave_behind(z, c, position);
  return !z->nomem;
}

/* An arena other than a's that has the chunk and can copy it there, -1. */
static int source_of(const mx_scheduler *z, int a, int32_t c) {
  uint32_t where = mx_where(z, c);
  if (a == 0) {
    for (int d = 1; d < z->n; d++)
      if (where >> d & 1) return d;
    return -1;
  }
  uint32_t peers = where & z->plan->machine->device[a].peers;
  return peers ? __builtin_ctz(peers) : where & 1 ? 0 : -1;
}

bool mx_bring(mx_scheduler *z, int a, int32_t c, int32_t position, int32_t beyond) {
  int from = source_of(z, a, c);
  if (from >= 0) return mx_copy_over(z, a, c, from, position, beyond);
  if (a == 0) return load(z, c, position, beyond);
  /* through the host; there it must stay until the copy is on its way */
  if (!mx_bring(z, 0, c, position, beyond)) return false;
  return mx_copy_over(z, a, c, 0, position, beyond);
}

void mx_die(mx_scheduler *z, int32_t c) {
  mx_copy *s = &z->arena[0].s[c];
  const bool spilled = s->flags & MX_SPILLED;
  if (spilled) z->spill_used -= mx_room_of(z, 0, c);
  s->flags &= (uint16_t)~MX_SPILLED;
  for (int a = z->n; --a > 0;)
    if (mx_resident(z, a, c)) mx_leave(z, a, c, 0);
  if (z->nomem) return;
  if (mx_resident(z, 0, c)) mx_leave(z, 0, c, MX_FREE_DEAD);
  else if (spilled && z->n > 1) {
    int32_t i = mx_step_add(z, MX_STEP_FREE, 0, MX_TIER_DEVICE, c, -1, MX_NO_FENCE);
    if (!z->nomem) z->plan->steps.at[i].flags = MX_FREE_DEAD;
  }
}
