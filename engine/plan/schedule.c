/*
 * The schedule: every chunk's place and every transfer, decided with the whole future known.
 *
 * The tasks are taken in order. Before each, what the next tasks will need is loaded ahead as far as room allows; when room
 * is short, the chunk whose next use is farthest leaves (Belady): dropped if a file or the spill store has it, dropped and
 * computed again later if that is cheaper than the drive, else spilled. Chunks that will have to leave anyway are spilled
 * ahead of need, so that nobody waits for the drive.
 */
#include "engine/plan/plan.h"

#include <string.h>

enum {
  LOOKAHEAD = 256,       /* tasks that loads may run ahead */
  EARLY_BYTES = 160 << 20, /* and bytes: deep enough for any drive, and fresh memory is slow */
  EARLY_BESIDE_WRITES = 80 << 20, /* where results go to a file: more reads in the drive's queue hold up the writes */
  FAR = 64,              /* tasks: what is needed sooner is not spilled ahead */
  CLEAN_BYTES = 96 << 20 /* room kept ready when spilling is certain */
};
#define NEVER INT32_MAX        /* next use of a kept chunk */
#define SPILL_NS_PER_BYTE 1.17 /* written at 2.2, read at 1.4 GB/s */
#define OP_NS 0.15             /* an addition on a block in cache */

enum { RESIDENT = 1, CLEAN = 2, SPILLED = 4, DROPPED = 8, MADE = 16, KEEP = 32, AHEAD = 64 /* spilled ahead */, EARLY = 128 /* loaded ahead */,
       TAKEN = 256 /* its last reader updates it in place */ };

typedef struct state {
  int64_t offset;
  mx_fence fence;  /* last steps that touched the memory */
  int32_t use;     /* place in `uses` of the next use */
  int32_t pin;     /* task position that needs it in place */
  uint16_t flags;
} state;

/* Scratch of the last tasks: given back late, since the next task would take the same memory and so wait for the one before,
   with which it could run side by side. */
enum { SCRATCHES = 16 };
typedef struct late {
  int64_t offset, bytes;
  mx_fence fence;
} late;

typedef struct entry {
  int32_t next_use, chunk;
} entry;

typedef MX_VEC(entry) heap;

typedef struct scheduler {
  mx_plan *plan;
  mx_space *space;
  mx_scratch_fn *scratch;
  void *ctx;
  state *s;          /* per chunk */
  int32_t *uses;     /* positions in the order, per chunk ascending */
  int32_t *first_use;
  heap clean, dirty; /* evictable chunks, farthest next use first; entries go stale */
  bool evicting;     /* heaps are kept up */
  int64_t *full_scratch; /* per kernel: scratch of a whole tile, -1 unknown */
  int64_t clean_ahead, loaded_ahead, to_come, spill_used;
  int64_t promised;  /* to what routines will build up, by tasks that loads have run ahead of: not to be filled with operands */
  int32_t ahead;     /* place in the order up to which loads have been begun */
  int64_t need;      /* largest working set of a task */
  bool to_file;      /* a result goes to a file */
  late scratches[SCRATCHES];
  int n_scratches;
  bool nomem, no_spill_room;
  bool tiny_too;     /* chunks below a page may leave as well: they free next to nothing */
} scheduler;

/* ---- heap ---- */

static bool farther(const scheduler *z, entry a, entry b) {
  if (a.next_use != b.next_use) return a.next_use > b.next_use;
  return z->s[a.chunk].fence.after < z->s[b.chunk].fence.after; /* the older: its transfers are done */
}

static void heap_push(scheduler *z, heap *h, entry e) {
  if (!mx_vec_push(z->plan->mem, h, e)) {
    z->nomem = true;
    return;
  }
  int64_t i = h->n - 1;
  while (i > 0 && farther(z, h->at[i], h->at[(i - 1) / 2])) {
    entry t = h->at[i];
    h->at[i] = h->at[(i - 1) / 2];
    h->at[(i - 1) / 2] = t;
    i = (i - 1) / 2;
  }
}

static void heap_pop(scheduler *z, heap *h) {
  h->at[0] = h->at[--h->n];
  for (int64_t i = 0;;) {
    int64_t l = 2 * i + 1, m = i;
    if (l < h->n && farther(z, h->at[l], h->at[m])) m = l;
    if (l + 1 < h->n && farther(z, h->at[l + 1], h->at[m])) m = l + 1;
    if (m == i) return;
    entry t = h->at[i];
    h->at[i] = h->at[m];
    h->at[m] = t;
    i = m;
  }
}

static int32_t next_use(const scheduler *z, int32_t c) {
  if (z->s[c].use < z->first_use[c + 1]) return z->uses[z->s[c].use];
  return z->s[c].flags & KEEP ? NEVER : -1;
}

static void track(scheduler *z, int32_t c) {
  if (!z->evicting || !(z->s[c].flags & RESIDENT) || !z->plan->chunks.at[c].bytes) return;
  if (!z->tiny_too && z->plan->chunks.at[c].bytes < MX_IO_ALIGN / 2) return;
  heap_push(z, z->s[c].flags & CLEAN ? &z->clean : &z->dirty, (entry){next_use(z, c), c});
}

/* The farthest evictable chunk of a heap, -1. Pinned ones are set aside and put back. */
static int32_t heap_top(scheduler *z, heap *h, bool want_clean, int32_t position) {
  entry aside[64];
  int n = 0;
  int32_t found = -1;
  while (h->n && n < 64) {
    entry e = h->at[0];
    const state *s = &z->s[e.chunk];
    bool valid = (s->flags & RESIDENT) && !!(s->flags & CLEAN) == want_clean && next_use(z, e.chunk) == e.next_use;
    if (valid && s->pin != position) {
      found = e.chunk;
      break;
    }
    heap_pop(z, h);
    if (valid) aside[n++] = e;
  }
  for (int i = 0; i < n; i++) heap_push(z, h, aside[i]);
  return found;
}

static void start_evicting(scheduler *z) {
  z->evicting = true;
  for (int64_t c = 0; c < z->plan->chunks.n; c++) track(z, (int32_t)c);
}

/* ---- steps ---- */

static int32_t step(scheduler *z, mx_step_kind kind, mx_tier tier, int32_t id, int64_t offset, mx_fence f) {
  mx_step s = {.kind = (uint8_t)kind, .tier = (uint8_t)tier, .id = id, .after = f.after, .after_store = f.after_store,
               .offset = offset};
  if (z->plan->steps.n >= INT32_MAX - 1 || !mx_vec_push(z->plan->mem, &z->plan->steps, s)) z->nomem = true;
  return (int32_t)z->plan->steps.n - 1;
}

static const mx_fence NONE = {-1, -1};

static int64_t chunk_room(const scheduler *z, int32_t c) {
  const mx_pchunk *pc = &z->plan->chunks.at[c];
  return mx_space_round((int64_t)pc->phase + pc->bytes + pc->spare + (pc->phase ? MX_IO_ALIGN - 1 : 0));
}

static void leave_arena(scheduler *z, int32_t c, uint8_t flags) {
  state *s = &z->s[c];
  int32_t i = step(z, MX_STEP_FREE, MX_TIER_DEVICE, c, s->offset, NONE);
  if (z->nomem) return;
  z->plan->steps.at[i].flags = flags;
  if (!mx_space_free(z->space, s->offset, chunk_room(z, c), s->fence)) z->nomem = true;
  if (s->flags & AHEAD) z->clean_ahead -= chunk_room(z, c);
  if (s->flags & EARLY) z->loaded_ahead -= chunk_room(z, c);
  s->flags &= (uint16_t) ~(RESIDENT | AHEAD | EARLY);
  s->offset = -1;
}

static void store_spill(scheduler *z, int32_t c) {
  state *s = &z->s[c];
  s->fence.after_store = step(z, MX_STEP_STORE, MX_TIER_SPILL, c, s->offset, NONE);
  s->flags |= SPILLED | CLEAN;
  z->spill_used += chunk_room(z, c);
  if ((size_t)z->spill_used > z->plan->stats.spill_peak_bytes) z->plan->stats.spill_peak_bytes = (size_t)z->spill_used;
  z->plan->stats.spill_write_bytes += (size_t)z->plan->chunks.at[c].bytes;
}

static bool can_spill(const scheduler *z, int32_t c) {
  const mx_machine *m = z->plan->machine;
  return m->spill && (!m->spill_budget_bytes || z->spill_used + chunk_room(z, c) <= (int64_t)m->spill_budget_bytes);
}

/* Made by a task without inputs, cheaper to make again than to write and read? */
static bool recomputable(const scheduler *z, int32_t c) {
  const mx_plan *p = z->plan;
  const mx_pchunk *pc = &p->chunks.at[c];
  if (pc->producer < 0 || (z->s[c].flags & KEEP) || pc->value < 0) return false;
  const mx_ptask *t = &p->tasks.at[pc->producer];
  if (p->kernels.at[t->kernel].routine) return false;
  if (t->tile < 0 || t[1].first_in != t->first_in || t[1].first_out != t->first_out + 1) return false;
  const mx_pvalue *v = &p->values.at[pc->value];
  if (v->output >= 0 || p->kernels.at[t->kernel].prog.reduce_mask) return false;
  double elements = (double)pc->bytes / (double)mars_dtype_bytes(v->dtype);
  return elements * p->kernels.at[t->kernel].prog.cost * OP_NS < (double)pc->bytes * SPILL_NS_PER_BYTE;
}

/* ---- room ---- */

/* Room of what a task makes that later tasks go on updating in place: it stays for long. */
static int64_t lasting_room(const scheduler *z, int32_t task) {
  const mx_plan *p = z->plan;
  int64_t n = 0;
  for (int32_t k = p->tasks.at[task].first_out; k < p->tasks.at[task + 1].first_out; k++) {
    int32_t c = p->outs.at[k];
    if (z->s[c].flags & TAKEN && p->chunks.at[c].takes < 0) n += chunk_room(z, c);
  }
  return n;
}

/* A chunk that was loaded ahead had to leave: loads go on from the task that wants it, or it would come when somebody waits for it,
   in the place of the next one that was loaded ahead, and so on. */
static void go_back(scheduler *z, int32_t place) {
  while (z->ahead > place) z->promised -= lasting_room(z, z->plan->order.at[--z->ahead]);
}

/* Make one chunk leave whose next use is after `beyond`; false: there is none. */
static bool evict(scheduler *z, int32_t position, int32_t beyond) {
  if (!z->evicting) start_evicting(z);
  int32_t a = heap_top(z, &z->clean, true, position), b = heap_top(z, &z->dirty, false, position), c = a;
  if (b >= 0 && !recomputable(z, b) && !can_spill(z, b)) {
    z->no_spill_room = true;
    b = -1;
  }
  /* what is updated in place would have to be written and read for every update: not for a load ahead, nor while there is
     something to be read again */
  if (b >= 0 && (z->s[b].flags & TAKEN) && (beyond > position || (a >= 0 && next_use(z, a) > beyond))) b = -1;
  if (a < 0 || (b >= 0 && next_use(z, b) > next_use(z, a) && next_use(z, a) < position + LOOKAHEAD)) c = b;
  if (c < 0 || next_use(z, c) <= beyond) return false;
  if (!(z->s[c].flags & CLEAN)) {
    if (recomputable(z, c)) z->s[c].flags |= DROPPED;
    else store_spill(z, c);
  }
  if (next_use(z, c) > position) go_back(z, next_use(z, c));
  leave_arena(z, c, 0);
  return !z->nomem;
}

/* false: there was none */
static bool give_back_scratch(scheduler *z, int keep) {
  int n = z->n_scratches - keep;
  if (n <= 0) return false;
  for (int i = 0; i < n; i++)
    if (!mx_space_free(z->space, z->scratches[i].offset, z->scratches[i].bytes, z->scratches[i].fence)) z->nomem = true;
  memmove(z->scratches, z->scratches + n, (size_t)keep * sizeof *z->scratches);
  z->n_scratches = keep;
  return true;
}

static void keep_scratch(scheduler *z, int64_t at, int64_t bytes, int32_t step_number) {
  int64_t held = bytes;
  int keep = 0; /* of the ones before */
  while (keep < z->n_scratches && keep < SCRATCHES - 1) {
    held += z->scratches[z->n_scratches - 1 - keep].bytes;
    if (held > mx_space_bytes(z->space) / 32) break;
    keep++;
  }
  (void)give_back_scratch(z, keep);
  z->scratches[z->n_scratches++] = (late){at, bytes, {step_number, -1}};
}

static int64_t room(scheduler *z, int64_t bytes, int32_t position, int32_t beyond, mx_fence *fence) {
  for (;;) {
    int64_t at = mx_space_alloc(z->space, bytes, fence);
    if (at < 0 && give_back_scratch(z, 0)) continue;
    if (at >= 0 || z->nomem || evict(z, position, beyond)) {
      if (at >= 0 || z->nomem) return at;
      continue;
    }
    if (beyond > position) return -1; /* a load ahead can wait */
    if (mx_space_use_all(z->space)) continue;
    if (z->tiny_too) return -1;
    z->tiny_too = true;
    start_evicting(z);
  }
}

static bool settle(scheduler *z, int32_t c, int64_t at, mx_fence fence, mx_step_kind kind, mx_tier tier) {
  state *s = &z->s[c];
  step(z, kind, tier, c, at, fence);
  s->offset = at;
  s->fence = NONE; /* whoever uses it first has waited for this step */
  s->flags |= RESIDENT;
  return !z->nomem;
}

static bool load(scheduler *z, int32_t c, int32_t position, int32_t beyond) {
  mx_fence f = NONE;
  const mx_pchunk *pc = &z->plan->chunks.at[c];
  int64_t at = room(z, chunk_room(z, c), position, beyond, &f);
  if (at < 0) return false;
  bool spilled = z->s[c].flags & SPILLED;
  settle(z, c, at, f, MX_STEP_LOAD, spilled ? MX_TIER_SPILL : MX_TIER_FILE);
  z->s[c].flags |= CLEAN;
  if (spilled) z->plan->stats.spill_read_bytes += (size_t)pc->bytes;
  else z->plan->stats.source_read_bytes += (size_t)pc->bytes;
  track(z, c);
  return !z->nomem;
}

/* ---- tasks ---- */

int64_t mx_plan_scratch(const mx_plan *plan, const mx_pkernel *k, const int64_t *extent, mx_scratch_fn *scratch, void *ctx,
                        int64_t *gather) {
  int64_t points = 1, bytes = ((int64_t)scratch(ctx, k, extent) + 63) & ~(int64_t)63;
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

static int64_t task_scratch(scheduler *z, const mx_ptask *t) {
  if (t->tile < 0) return 0;
  if (z->plan->kernels.at[t->kernel].routine) return z->plan->rtasks.at[t->tile].scratch_bytes;
  const mx_pkernel *k = &z->plan->kernels.at[t->kernel];
  int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS], gather[MX_MAX_SLOTS + 16];
  mars_shape space = {.ndim = k->prog.ndim};
  memcpy(space.dims, k->prog.space, sizeof space.dims);
  if (z->full_scratch[t->kernel] == 0) return 0; /* whole tiles need none: nor do smaller ones */
  mx_grid_chunk(&k->grid, &space, t->tile, start, extent);
  bool full = true;
  for (int d = 0; d < space.ndim; d++) full &= extent[d] == k->grid.chunk[d];
  if (full && z->full_scratch[t->kernel] > 0) return z->full_scratch[t->kernel];
  int64_t bytes = mx_plan_scratch(z->plan, k, extent, z->scratch, z->ctx, gather);
  if (full) z->full_scratch[t->kernel] = bytes;
  return bytes;
}

static void die(scheduler *z, int32_t c) {
  state *s = &z->s[c];
  if (s->flags & SPILLED) z->spill_used -= chunk_room(z, c);
  if (s->flags & RESIDENT) leave_arena(z, c, MX_FREE_DEAD);
}

/* Chunk c takes over the memory of the chunk that its task updates in place. */
static bool take_over(scheduler *z, int32_t c, mx_fence *fence) {
  int32_t old = z->plan->chunks.at[c].takes;
  state *s = &z->s[old];
  int64_t at = s->offset;
  *fence = s->fence;
  int32_t i = step(z, MX_STEP_FREE, MX_TIER_DEVICE, old, at, NONE);
  if (z->nomem) return false;
  z->plan->steps.at[i].flags = MX_FREE_DEAD | MX_FREE_TAKEN;
  if (s->flags & SPILLED) z->spill_used -= chunk_room(z, old);
  if (s->flags & AHEAD) z->clean_ahead -= chunk_room(z, old);
  if (s->flags & EARLY) z->loaded_ahead -= chunk_room(z, old);
  s->flags &= (uint16_t) ~(RESIDENT | AHEAD | EARLY | SPILLED);
  s->offset = -1;
  return settle(z, c, at, *fence, MX_STEP_ALLOC, MX_TIER_DEVICE);
}

static bool compute(scheduler *z, int32_t task, int32_t position, bool again) {
  mx_plan *p = z->plan;
  const mx_ptask *t = &p->tasks.at[task];
  mx_fence all = NONE;
  for (int32_t k = t->first_out; k < t[1].first_out; k++) {
    int32_t c = p->outs.at[k];
    z->s[c].pin = position;
    z->s[c].flags |= MADE;
    if (!p->chunks.at[c].bytes) continue;
    mx_fence f = NONE;
    if (p->chunks.at[c].takes >= 0) {
      if (!take_over(z, c, &f)) return false;
    } else {
      int64_t at = room(z, chunk_room(z, c), position, position, &f);
      if (at < 0 || !settle(z, c, at, f, MX_STEP_ALLOC, MX_TIER_DEVICE)) return false;
    }
    if (f.after > all.after) all.after = f.after;
    if (f.after_store > all.after_store) all.after_store = f.after_store;
  }
  int64_t scratch = task_scratch(z, t), at = -1;
  if (scratch > 0 && (at = room(z, scratch, position, position, &all)) < 0) return false;
  int32_t i = step(z, MX_STEP_COMPUTE, MX_TIER_DEVICE, task, at, all);
  if (scratch > 0) keep_scratch(z, at, scratch, i);
  for (int32_t k = t->first_out; k < t[1].first_out; k++) z->s[p->outs.at[k]].fence.after = i;
  for (int32_t k = t->first_in; k < t[1].first_in; k++) z->s[p->ins.at[k]].fence.after = i;
  p->stats.computes++;
  p->stats.recomputed += again;
  return !z->nomem;
}

static bool present(scheduler *z, int32_t c, int32_t position) {
  state *s = &z->s[c];
  s->pin = position;
  if ((s->flags & RESIDENT) || !z->plan->chunks.at[c].bytes) return true;
  if (!(s->flags & DROPPED)) return load(z, c, position, position);
  s->flags &= (uint16_t)~DROPPED;
  if (!compute(z, z->plan->chunks.at[c].producer, position, true)) return false;
  track(z, c);
  return true;
}

/* Is there room for more beside what is promised? What nobody needs soon leaves for it; what is not to be had again for a read
   only if the room is for a read. */
static bool spare(scheduler *z, int64_t bytes, int32_t position, int32_t beyond, bool for_load) {
  while (mx_space_used(z->space) + bytes + z->promised > mx_space_large(z->space)) {
    if (!for_load && (!z->evicting || heap_top(z, &z->clean, true, position) < 0)) return false;
    if (!evict(z, position, beyond)) return false;
  }
  return true;
}

/* Begin the loads of coming tasks, up to where there is no room for what the next one makes: before a new block of accumulators,
   until the last one is gone. */
static void prefetch(scheduler *z, int32_t position) {
  mx_plan *p = z->plan;
  int64_t most = z->to_file ? EARLY_BESIDE_WRITES : EARLY_BYTES;
  int64_t cap = mx_space_bytes(z->space) / 2 < most ? mx_space_bytes(z->space) / 2 : most;
  if (z->ahead < position) z->ahead = position;
  for (; z->ahead < p->order.n && z->ahead < position + LOOKAHEAD; z->ahead++) {
    const int32_t task = p->order.at[z->ahead];
    const mx_ptask *t = &p->tasks.at[task];
    for (int32_t k = t->first_in; k < t[1].first_in; k++) {
      int32_t c = p->ins.at[k];
      const state *s = &z->s[c];
      bool loadable = !(s->flags & RESIDENT) && p->chunks.at[c].bytes && !(s->flags & DROPPED) &&
                      (s->flags & SPILLED || (p->chunks.at[c].producer < 0));
      if (!loadable) continue;
      if (z->promised > 0 && !spare(z, chunk_room(z, c), position, z->ahead, true)) return;
      if (z->loaded_ahead + chunk_room(z, c) > cap || !load(z, c, position, z->ahead)) return;
      z->s[c].pin = position; /* not at once out again */
      z->s[c].flags |= EARLY;
      z->loaded_ahead += chunk_room(z, c);
    }
    const int64_t lasting = lasting_room(z, task);
    if (lasting > 0 && z->ahead > position && !spare(z, lasting, position, z->ahead, false)) return;
    z->promised += lasting;
  }
}

/* Spill what must leave anyway, while there is still room. */
static void spill_ahead(scheduler *z, int32_t position) {
  int64_t bytes = mx_space_bytes(z->space), mark = bytes / 4 < CLEAN_BYTES ? bytes / 4 : CLEAN_BYTES;
  int64_t free = bytes - mx_space_used(z->space);
  if (free >= mark || z->to_come <= free || !z->plan->machine->spill) return;
  if (!z->evicting) start_evicting(z);
  while (!z->nomem && free + z->clean_ahead < mark && z->to_come > free + z->clean_ahead) {
    int32_t c = heap_top(z, &z->dirty, false, position);
    if (c < 0 || next_use(z, c) <= position + FAR || recomputable(z, c) || !can_spill(z, c)) return;
    if (z->s[c].flags & TAKEN && next_use(z, c) <= position + 4 * LOOKAHEAD) return; /* it would soon be another */
    store_spill(z, c);
    z->s[c].flags |= AHEAD;
    z->clean_ahead += chunk_room(z, c);
    track(z, c);
  }
}

static int64_t working_set(scheduler *z, const mx_ptask *t) {
  int64_t n = t->tile < 0 ? 0 : mx_space_round(task_scratch(z, t));
  for (int32_t k = t->first_in; k < t[1].first_in; k++)
    if (z->plan->chunks.at[z->plan->ins.at[k]].bytes) n += chunk_room(z, z->plan->ins.at[k]);
  for (int32_t k = t->first_out; k < t[1].first_out; k++)
    if (z->plan->chunks.at[z->plan->outs.at[k]].bytes && z->plan->chunks.at[z->plan->outs.at[k]].takes < 0)
      n += chunk_room(z, z->plan->outs.at[k]);
  return n;
}

static bool run_task(scheduler *z, int32_t position) {
  mx_plan *p = z->plan;
  int32_t task = p->order.at[position];
  const mx_ptask *t = &p->tasks.at[task];
  for (int32_t k = t->first_in; k < t[1].first_in; k++) z->s[p->ins.at[k]].pin = position;
  for (int32_t k = t->first_in; k < t[1].first_in; k++)
    if (!present(z, p->ins.at[k], position)) return false;
  if (!compute(z, task, position, false)) return false;
  for (int32_t k = t->first_out; k < t[1].first_out; k++) {
    int32_t c = p->outs.at[k], v = p->chunks.at[c].value;
    if (p->chunks.at[c].bytes && p->chunks.at[c].takes < 0) z->to_come -= chunk_room(z, c);
    if (v >= 0 && p->values.at[v].sink) {
      z->s[c].fence.after_store = step(z, MX_STEP_STORE, MX_TIER_FILE, c, z->s[c].offset, NONE);
      p->stats.sink_write_bytes += (size_t)p->chunks.at[c].bytes;
    }
    if (next_use(z, c) < 0) die(z, c);
    else track(z, c);
  }
  for (int32_t k = t->first_in; k < t[1].first_in; k++) {
    int32_t c = p->ins.at[k];
    state *s = &z->s[c];
    if (s->flags & EARLY) z->loaded_ahead -= chunk_room(z, c);
    s->flags &= (uint16_t)~EARLY;
    s->use++;
    if (next_use(z, c) < 0) die(z, c);
    else track(z, c);
  }
  return !z->nomem;
}

/* ---- setup ---- */

static bool list_uses(scheduler *z) {
  mx_plan *p = z->plan;
  for (int64_t i = 0; i < p->ins.n; i++) z->first_use[p->ins.at[i] + 1]++;
  for (int64_t c = 0; c < p->chunks.n; c++) z->first_use[c + 1] += z->first_use[c];
  for (int64_t c = 0; c < p->chunks.n; c++) z->s[c].use = z->first_use[c];
  for (int64_t o = 0; o < p->order.n; o++) {
    const mx_ptask *t = &p->tasks.at[p->order.at[o]];
    for (int32_t k = t->first_in; k < t[1].first_in; k++) z->uses[z->s[p->ins.at[k]].use++] = (int32_t)o;
  }
  for (int64_t c = 0; c < p->chunks.n; c++) {
    state *s = &z->s[c];
    *s = (state){.offset = -1, .fence = NONE, .use = z->first_use[c], .pin = -1};
    int32_t v = p->chunks.at[c].value;
    if (v >= 0 && (p->values.at[v].kind == MX_PV_KEPT || p->values.at[v].keep)) s->flags |= KEEP;
    if (p->chunks.at[c].producer >= 0 && p->chunks.at[c].takes < 0)
      z->to_come += p->chunks.at[c].bytes ? chunk_room(z, (int32_t)c) : 0;
    if (v < 0 || p->values.at[v].kind != MX_PV_KEPT) continue;
    const mx_chunk *e = &p->values.at[v].value->chunks[p->chunks.at[c].index];
    s->flags |= MADE;
    if (e->slot.dir) {
      s->flags |= SPILLED | CLEAN;
      z->spill_used += chunk_room(z, (int32_t)c);
    }
    if (e->offset < 0) continue;
    s->flags |= RESIDENT;
    s->offset = e->offset;
    if (!mx_space_reserve(z->space, e->offset, chunk_room(z, (int32_t)c))) return false;
  }
  for (int64_t c = 0; c < p->chunks.n; c++)
    if (p->chunks.at[c].takes >= 0) z->s[p->chunks.at[c].takes].flags |= TAKEN;
  return mx_space_ready(z->space);
}

static mars_status refuse(scheduler *z, int32_t position, mars_error *err) {
  mx_plan *p = z->plan;
  int64_t need = 0;
  for (int64_t t = 0; t < p->n_tasks; t++) {
    int64_t n = working_set(z, &p->tasks.at[t]);
    if (n > need) need = n;
  }
  z->need = need;
  long long have = (long long)mx_space_bytes(z->space);
  p->spill_short = z->no_spill_room && need <= mx_space_bytes(z->space);
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

mars_status mx_plan_schedule(mx_plan *plan, mx_scratch_fn *scratch, void *ctx, mars_error *err) {
  mars_status st = MARS_OK;
  mx_mem *mem = plan->mem;
  scheduler z = {.plan = plan, .scratch = scratch, .ctx = ctx};
  size_t n = (size_t)plan->chunks.n;
  plan->steps.n = 0;
  plan->stats = (mx_plan_stats){.tasks = plan->n_tasks};
  z.space = mx_space_create(mem, plan->machine->arena_bytes);
  z.s = mx_calloc(mem, n + 1, sizeof *z.s);
  z.first_use = mx_calloc(mem, n + 2, sizeof *z.first_use);
  z.uses = mx_alloc(mem, ((size_t)plan->ins.n + 1) * sizeof *z.uses);
  z.full_scratch = mx_alloc(mem, ((size_t)plan->kernels.n + 1) * sizeof *z.full_scratch);
  mx_free(mem, plan->final_offset);
  plan->final_offset = mx_alloc(mem, (n + 1) * sizeof *plan->final_offset);
  if (!z.space || !z.s || !z.first_use || !z.uses || !z.full_scratch || !plan->final_offset || !list_uses(&z))
    MX_TRY(MX_NOMEM(err, plan->fn));
  for (int64_t k = 0; k < plan->kernels.n; k++) z.full_scratch[k] = -1;
  for (int64_t v = 0; v < plan->values.n; v++) z.to_file |= plan->values.at[v].sink != NULL;
  for (int32_t p = 0; p < plan->order.n; p++) {
    prefetch(&z, p);
    if (p < z.ahead) z.promised -= lasting_room(&z, plan->order.at[p]);
    bool ok = run_task(&z, p);
    if (ok) spill_ahead(&z, p);
    if (z.nomem) MX_TRY(MX_NOMEM(err, plan->fn));
    if (!ok) MX_TRY(refuse(&z, p, err));
  }
  for (size_t c = 0; c < n; c++) plan->final_offset[c] = z.s[c].offset;
  plan->stats.peak_bytes = (size_t)mx_space_peak(z.space);
done:
  mx_space_destroy(z.space);
  mx_free(mem, z.s);
  mx_free(mem, z.first_use);
  mx_free(mem, z.uses);
  mx_free(mem, z.full_scratch);
  mx_vec_free(mem, &z.clean);
  mx_vec_free(mem, &z.dirty);
  return st;
}
