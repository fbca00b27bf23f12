/*
 * Who leaves an arena: the chunk whose next use is farthest (Belady). Dropped if it is elsewhere too, in a file or in the
 * spill store; dropped and computed again later if that is cheaper than the drive; else spilled, or from a device copied down
 * to the host. What will have to leave anyway leaves ahead of need, so that nobody waits for it.
 */
#include "engine/plan/schedule.h"

#include <string.h>

enum {
  FAR = 64,              /* tasks: what is needed sooner is not spilled ahead */
  CLEAN_BYTES = 96 << 20, /* room kept ready when spilling is certain */
  CHEAP = 8              /* operations an element: about what it takes to write and read it in memory that no cache holds */
};

/* ---- next uses ---- */

static int32_t own_use(const mx_scheduler *z, int a, int32_t c) {
  const mx_copy *s = &z->arena[a].s[c];
  return s->use < z->first_use[c + 1] ? z->uses[s->use] : -1;
}

/* Tasks of a device that has a copy, and is not about to give it away, do not need the host's. */
int32_t mx_next_use(const mx_scheduler *z, int a, int32_t c) {
  int32_t next = own_use(z, a, c);
  if (z->n > 1 && a == 0)
    for (int d = 1; d < z->n; d++) {
      bool there = mx_where(z, c) >> d & 1 && !(z->arena[d].s[c].flags & MX_AHEAD);
      int32_t use = there ? -1 : own_use(z, d, c);
      if (use >= 0 && (next < 0 || use < next)) next = use;
    }
  if (next >= 0) return next;
  if (a == 0 && mx_chunk_flags(z, c) & MX_KEEP) return MX_NEVER;
  if (z->n == 1) return -1;
  return z->left[c] > 0 || mx_chunk_flags(z, c) & MX_KEEP ? MX_LATER : -1;
}

/* Can this copy go without anything being written? What is kept must be on the host in the end. */
static bool is_clean(const mx_scheduler *z, int a, int32_t c) {
  if (mx_chunk_flags(z, c) & MX_CLEAN) return true;
  if (a == 0 && mx_chunk_flags(z, c) & MX_KEEP) return false;
  return mx_where(z, c) & ~(1u << a);
}

/* Used now, and much later for a last time: that costs as much to make again as to read from where it would lie, and the room is
   better used again while it is in cache. Pages that nobody has touched yet are dearer still. */
bool mx_not_worth_keeping(const mx_scheduler *z, int a, int32_t c, int32_t position) {
  const mx_plan *p = z->plan;
  const mx_arena *r = &z->arena[a];
  if (z->n > 1 || r->to_come <= mx_space_bytes(r->space) - mx_space_used(r->space)) return false; /* all of it fits */
  const int32_t next = own_use(z, a, c), last = z->uses[z->first_use[c + 1] - 1];
  if (next <= position + MX_LOOKAHEAD || last > next + FAR || !mx_recomputable(z, a, c)) return false;
  return p->kernels.at[p->tasks.at[p->chunks.at[c].producer].kernel].prog.cost <= CHEAP;
}

/* ---- heaps ---- */

static bool farther(const mx_arena *r, mx_heap_entry a, mx_heap_entry b) {
  if (a.next_use != b.next_use) return a.next_use > b.next_use;
  return r->s[a.chunk].fence.after < r->s[b.chunk].fence.after; /* the older: its transfers are done */
}

static void heap_push(mx_scheduler *z, mx_arena *r, mx_heap *h, mx_heap_entry e) {
  if (!mx_vec_push(z->plan->mem, h, e)) {
    z->nomem = true;
    return;
  }
  int64_t i = h->n - 1;
  while (i > 0 && farther(r, h->at[i], h->at[(i - 1) / 2])) {
    mx_heap_entry t = h->at[i];
    h->at[i] = h->at[(i - 1) / 2];
    h->at[(i - 1) / 2] = t;
    i = (i - 1) / 2;
  }
}

static void heap_pop(const mx_arena *r, mx_heap *h) {
  h->at[0] = h->at[--h->n];
  for (int64_t i = 0;;) {
    int64_t l = 2 * i + 1, m = i;
    if (l < h->n && farther(r, h->at[l], h->at[m])) m = l;
    if (l + 1 < h->n && farther(r, h->at[l + 1], h->at[m])) m = l + 1;
    if (m == i) return;
    mx_heap_entry t = h->at[i];
    h->at[i] = h->at[m];
    h->at[m] = t;
    i = m;
  }
}

void mx_track(mx_scheduler *z, int a, int32_t c) {
  mx_arena *r = &z->arena[a];
  if (!r->evicting || !(r->s[c].flags & MX_RESIDENT) || !z->plan->chunks.at[c].bytes) return;
  if (!r->tiny_too && z->plan->chunks.at[c].bytes < MX_IO_ALIGN / 2) return;
  heap_push(z, r, is_clean(z, a, c) ? &r->clean : &r->dirty, (mx_heap_entry){mx_next_use(z, a, c), c});
}

void mx_track_all(mx_scheduler *z, int32_t c) {
  for (int a = 0; a < z->n; a++)
    if (mx_where(z, c) >> a & 1) mx_track(z, a, c);
}

/* The farthest evictable chunk of a heap, -1. Pinned ones are set aside and put back: what the task at `position` needs, and,
   while loading ahead, what has just been loaded. */
static int32_t heap_top(mx_scheduler *z, int a, mx_heap *h, bool want_clean, int32_t position, bool ahead) {
  mx_arena *r = &z->arena[a];
  mx_heap_entry aside[64];
  int n = 0;
  int32_t found = -1;
  while (h->n && n < 64) {
    mx_heap_entry e = h->at[0];
    const mx_copy *s = &r->s[e.chunk];
    bool valid = (s->flags & MX_RESIDENT) && is_clean(z, a, e.chunk) == want_clean && mx_next_use(z, a, e.chunk) == e.next_use;
    if (valid && s->pin != position && !(ahead && s->pin == MX_PIN_AHEAD(position))) {
      found = e.chunk;
      break;
    }
    heap_pop(r, h);
    if (valid) aside[n++] = e;
  }
  for (int i = 0; i < n; i++) heap_push(z, r, h, aside[i]);
  return found;
}

static void start_evicting(mx_scheduler *z, int a) {
  z->arena[a].evicting = true;
  for (int64_t c = 0; c < z->plan->chunks.n; c++) mx_track(z, a, (int32_t)c);
}

/* ---- room ---- */

/* Send a dirty chunk where it is kept. false: there is no room for it. */
static bool save(mx_scheduler *z, int a, int32_t c, int32_t position, int32_t beyond) {
  if (a) return mx_copy_over(z, 0, c, a, position, beyond);
  mx_store_spill(z, c);
  return true;
}

int64_t mx_lasting_room(const mx_scheduler *z, int a, int32_t task) {
  const mx_plan *p = z->plan;
  int64_t n = 0;
  for (int32_t k = p->tasks.at[task].first_out; k < p->tasks.at[task + 1].first_out; k++) {
    int32_t c = p->outs.at[k];
    if (mx_chunk_flags(z, c) & MX_TAKEN && p->chunks.at[c].takes < 0) n += mx_room_of(z, a, c);
  }
  return n;
}

/* A chunk that was loaded ahead had to leave: loads go on from the task that wants it, or it would come when somebody waits for it,
   in the place of the next one that was loaded ahead, and so on. */
static void go_back(mx_scheduler *z, int a, int32_t place) {
  mx_arena *r = &z->arena[a];
  while (r->ahead > place) {
    const int32_t task = z->plan->order.at[--r->ahead];
    if (mx_task_device(z->plan, task) == a) r->promised -= mx_lasting_room(z, a, task);
  }
}

bool mx_evict(mx_scheduler *z, int a, int32_t position, int32_t beyond) {
  mx_arena *r = &z->arena[a];
  if (!r->evicting) start_evicting(z, a);
  const bool ahead = beyond > position;
  int32_t clean = heap_top(z, a, &r->clean, true, position, ahead), dirty = heap_top(z, a, &r->dirty, false, position, ahead), c = clean;
  if (a == 0 && dirty >= 0 && !mx_recomputable(z, a, dirty) && !mx_can_spill(z, dirty)) {
    z->no_spill_room = true;
    dirty = -1;
  }
  /* what is updated in place would have to be written and read for every update: not for a load ahead, nor while there is
     something to be read again */
  if (dirty >= 0 && (mx_chunk_flags(z, dirty) & MX_TAKEN) && (beyond > position || (clean >= 0 && mx_next_use(z, a, clean) > beyond)))
    dirty = -1;
  if (clean < 0 || (dirty >= 0 && mx_next_use(z, a, dirty) > mx_next_use(z, a, clean) && mx_next_use(z, a, clean) < position + MX_LOOKAHEAD))
    c = dirty;
  if (c < 0 || mx_next_use(z, a, c) <= beyond) return false;
  if (!is_clean(z, a, c)) {
    if (mx_recomputable(z, a, c)) z->arena[0].s[c].flags |= MX_DROPPED;
    else if (!save(z, a, c, position, beyond)) {
      c = heap_top(z, a, &r->clean, true, position, ahead); /* what was clean may not be any more */
      if (c < 0 || mx_next_use(z, a, c) <= beyond || z->nomem) return false;
    }
  }
  if (mx_next_use(z, a, c) > position) go_back(z, a, mx_next_use(z, a, c));
  mx_leave(z, a, c, 0);
  return !z->nomem;
}

/* The first ones, up to the last `keep`. false: there was none */
static bool give_back_late(mx_scheduler *z, mx_arena *r, mx_late *late, int *count, int keep) {
  int n = *count - keep;
  if (n <= 0) return false;
  for (int i = 0; i < n; i++)
    if (!mx_space_free(r->space, late[i].offset, late[i].bytes, late[i].fence)) z->nomem = true;
  memmove(late, late + n, (size_t)keep * sizeof *late);
  *count = keep;
  return true;
}

/* How many of the last may stay beside `bytes` more. */
static int late_beside(const mx_late *late, int count, int most, int64_t bytes, int64_t limit) {
  int keep = 0;
  while (keep < count && keep < most) {
    bytes += late[count - 1 - keep].bytes;
    if (bytes > limit) break;
    keep++;
  }
  return keep;
}

void mx_give_back(mx_scheduler *z, int a, int64_t at, int64_t bytes, mx_fence fence) {
  mx_arena *r = &z->arena[a];
  const int64_t limit = mx_space_bytes(r->space) / MX_RESTS_SHARE;
  if (!a || fence.after_store < 0 || bytes > limit) {
    if (!mx_space_free(r->space, at, bytes, fence)) z->nomem = true;
    return;
  }
  (void)give_back_late(z, r, r->rests, &r->n_rests, late_beside(r->rests, r->n_rests, MX_RESTS - 1, bytes, limit));
  r->rests[r->n_rests++] = (mx_late){at, bytes, fence};
}

void mx_keep_scratch(mx_scheduler *z, int a, int64_t at, int64_t bytes, int32_t step_number) {
  mx_arena *r = &z->arena[a];
  const int keep = late_beside(r->scratches, r->n_scratches, MX_SCRATCHES - 1, bytes, mx_space_bytes(r->space) / 32);
  (void)give_back_late(z, r, r->scratches, &r->n_scratches, keep);
  r->scratches[r->n_scratches++] = (mx_late){at, bytes, {step_number, -1}};
}

bool mx_spare(mx_scheduler *z, int a, int64_t bytes, int32_t position, int32_t beyond, bool for_load) {
  mx_arena *r = &z->arena[a];
  while (mx_space_used(r->space) + bytes + r->promised > mx_space_large(r->space)) {
    if (give_back_late(z, r, r->rests, &r->n_rests, 0)) continue;
    if (!for_load && (!r->evicting || heap_top(z, a, &r->clean, true, position, true) < 0)) return false;
    if (!mx_evict(z, a, position, beyond)) return false;
  }
  return true;
}

int64_t mx_make_room(mx_scheduler *z, int a, int64_t bytes, int32_t position, int32_t beyond, mx_fence *fence) {
  mx_arena *r = &z->arena[a];
  for (;;) {
    int64_t at = mx_space_alloc(r->space, bytes, fence);
    if (at < 0 && a == 0 && z->n_passing > 0 && !z->nomem) {
      mx_let_pass(z, z->n_passing, position);
      continue;
    }
    if (at < 0 && give_back_late(z, r, r->rests, &r->n_rests, 0)) continue;
    if (at < 0 && give_back_late(z, r, r->scratches, &r->n_scratches, 0)) continue;
    if (at >= 0 || z->nomem || mx_evict(z, a, position, beyond)) {
      if (at >= 0 || z->nomem) return at;
      continue;
    }
    if (beyond > position) return -1; /* a load ahead can wait */
    if (mx_space_use_all(r->space)) continue;
    if (r->tiny_too) {
      if (z->plan->refused < 0) z->plan->refused = a;
      return -1;
    }
    r->tiny_too = true;
    start_evicting(z, a);
  }
}

void mx_leave_ahead(mx_scheduler *z, int a, int32_t position) {
  mx_arena *r = &z->arena[a];
  int64_t bytes = mx_space_bytes(r->space), mark = bytes / 4 < CLEAN_BYTES ? bytes / 4 : CLEAN_BYTES;
  int64_t free = bytes - mx_space_used(r->space);
  if (free >= mark || r->to_come <= free || (a == 0 && !z->plan->machine->spill)) return;
  if (!r->evicting) start_evicting(z, a);
  while (!z->nomem && free + r->clean_ahead < mark && r->to_come > free + r->clean_ahead) {
    int32_t c = heap_top(z, a, &r->dirty, false, position, true);
    if (c < 0 || mx_next_use(z, a, c) <= position + FAR || mx_recomputable(z, a, c)) return;
    if (a == 0 && !mx_can_spill(z, c)) return;
    if (mx_chunk_flags(z, c) & MX_TAKEN && mx_next_use(z, a, c) <= position + 4 * MX_LOOKAHEAD) return; /* it would soon be another */
    /* what the host has for as late a use stays there: it may be what was just copied down, and the two would change places for ever */
    if (!save(z, a, c, position, mx_next_use(z, a, c))) return;
    r->s[c].flags |= MX_AHEAD;
    r->clean_ahead += mx_room_of(z, a, c);
    mx_track_all(z, c);
  }
}
