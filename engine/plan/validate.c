/*
 * The validator: replays a schedule step by step, knowing nothing of how it was made, and proves that it may be run.
 *
 * Devices play their own steps at their own pace, and meet in copies. So what is proven of an arena is proven from the steps
 * about it alone; a copy proves of both its sides.
 */
#include "engine/plan/plan.h"

#include <string.h>

enum { UNIT = 64 };

typedef struct arena {
  uint64_t *live;    /* a bit per UNIT bytes */
  int32_t *touched;  /* per UNIT: last COMPUTE step that touched it, or NULL for large arenas */
  int32_t *stored;   /* per UNIT: last step that read it for others */
  int64_t *offset;   /* per chunk, -1 not resident */
  int64_t *taken;    /* per chunk that was taken over: where it stood, -1 */
  uint8_t *filled;   /* per chunk: its values are there */
  int32_t ended;     /* the last reader for others that has ended when the COMPUTE steps so far have */
  int64_t used, units;
  int64_t gap, gap_bytes; /* nothing is at [gap, gap + gap_bytes), which has no UNITs */
} arena;

typedef struct check {
  const mx_plan *plan;
  arena arena[MX_MAX_DEVICES];
  int n;
  int32_t *implied;  /* per COMPUTE step: its arena's `ended` */
  uint8_t *made;     /* per chunk: its values exist or existed */
  uint8_t *spilled;
} check;

static int64_t unit_of(const arena *r, int64_t at) { return (at >= r->gap + r->gap_bytes ? at - r->gap_bytes : at) / UNIT; }

static bool claim(arena *k, int64_t at, int64_t bytes, bool take) {
  if (at < 0 || at % UNIT || at + bytes > k->units * UNIT + k->gap_bytes) return false;
  if (k->gap_bytes && at < k->gap + k->gap_bytes && at + bytes > k->gap) return false;
  int64_t u = unit_of(k, at), end = u + (bytes + UNIT - 1) / UNIT;
  while (u < end) { /* up to a word of 64 units at once */
    int64_t n = 64 - (u & 63) < end - u ? 64 - (u & 63) : end - u;
    uint64_t bits = (n == 64 ? ~0ull : (1ull << n) - 1) << (u & 63);
    if ((k->live[u >> 6] & bits) != (take ? 0 : bits)) return false;
    k->live[u >> 6] ^= bits;
    u += n;
  }
  k->used += take ? bytes : -bytes;
  return true;
}

/* What a chunk has in an arena is what the planner's allocator gives it, rounded up: all of it changes hands with the chunk. */
static int64_t room_of(const mx_pchunk *c, int device) { return mx_space_round(mx_chunk_room(c, device)); }

/* Memory of this range may be written by step s: its last users are among what s waits for. COMPUTE steps of a device run in
   order and have waited themselves: scratch that lay there meanwhile hands on no more than its COMPUTE step. */
static bool fenced(const check *k, const arena *r, int64_t at, int64_t bytes, int32_t after, int32_t after_store) {
  if (!r->touched) return true;
  if (after >= 0 && k->implied && k->implied[after] > after_store) after_store = k->implied[after];
  for (int64_t u = unit_of(r, at), end = u + (bytes + UNIT - 1) / UNIT; u < end; u++) {
    if (r->stored[u] > after_store) return false;
    if (r->touched[u] > after) return false;
  }
  return true;
}

static void touch(arena *r, int64_t at, int64_t bytes, int32_t step, bool store) {
  if (!r->touched) return;
  for (int64_t u = unit_of(r, at), end = u + (bytes + UNIT - 1) / UNIT; u < end; u++) (store ? r->stored : r->touched)[u] = step;
}

/* A fence must name a step of the same device: others go at their own pace. */
static bool own_fence(const check *k, const mx_step *s) {
  const mx_plan *p = k->plan;
  if (s->after >= p->steps.n || s->after_store >= p->steps.n) return false;
  if (s->after < 0) return true;
  const mx_step *a = &p->steps.at[s->after];
  return a < s && a->kind == MX_STEP_COMPUTE && a->device == s->device;
}

static const char *settle(check *k, const mx_step *s) {
  const mx_plan *p = k->plan;
  arena *r = &k->arena[s->device];
  const mx_pchunk *c = &p->chunks.at[s->id];
  const int64_t room = room_of(c, s->device);
  if (r->offset[s->id] >= 0) return "chunk is resident already";
  if (!claim(r, s->offset, room, true)) return "memory is in use or outside the arena";
  if (!own_fence(k, s)) return "waits for what is no computation of its device before it";
  if (!fenced(k, r, s->offset, room, s->after, s->after_store)) return "memory is reused before its last user ended";
  touch(r, s->offset, room, -1, false); /* whoever uses it next has waited for this step, and so for those before */
  touch(r, s->offset, room, -1, true);
  r->offset[s->id] = s->offset;
  r->filled[s->id] = s->kind != MX_STEP_ALLOC;
  return NULL;
}

static const char *load(check *k, const mx_step *s) {
  const mx_plan *p = k->plan;
  const mx_pchunk *c = &p->chunks.at[s->id];
  if (s->device) return "loads into an arena that files do not reach";
  const char *wrong = settle(k, s);
  if (wrong) return wrong;
  if (s->tier == MX_TIER_SPILL && !k->spilled[s->id]) return "loaded from the spill store, but never stored there";
  if (s->tier == MX_TIER_FILE && (c->value < 0 || p->values.at[c->value].kind != MX_PV_FILE)) return "loaded from no file";
  k->made[s->id] = 1;
  return NULL;
}

static const char *copy(check *k, const mx_step *s, int32_t number) {
  if (s->flags >= k->n || s->flags == s->device) return "copies from no other arena";
  arena *from = &k->arena[s->flags];
  if (from->offset[s->id] < 0 || !from->filled[s->id]) return "copies what is not there";
  touch(from, from->offset[s->id], room_of(&k->plan->chunks.at[s->id], s->flags), number, true);
  return settle(k, s);
}

/* The operands stay where they are, each in the arena of its maker. */
static const char *join(check *k, const mx_step *s, int32_t number) {
  const mx_plan *p = k->plan;
  const int32_t task = p->chunks.at[s->id].producer;
  if (task < 0 || !mx_plan_joins(p, task, NULL)) return "joins what devices cannot join";
  for (int32_t i = p->tasks.at[task].first_in; i < p->tasks.at[task + 1].first_in; i++) {
    const int32_t c = p->ins.at[i];
    arena *from = &k->arena[mx_join_device(p, c)];
    if (from->offset[c] < 0 || !from->filled[c]) return "joins what is not there";
    touch(from, from->offset[c], room_of(&p->chunks.at[c], mx_join_device(p, c)), number, true);
  }
  if (s->device != mx_task_device(p, task)) return "joins on another device than the task's";
  k->made[s->id] = 1;
  return settle(k, s);
}

static const char *compute(check *k, const mx_step *s, int32_t number) {
  const mx_plan *p = k->plan;
  arena *r = &k->arena[s->device];
  const mx_ptask *t = &p->tasks.at[s->id];
  if (!own_fence(k, s)) return "waits for what is no computation of its device before it";
  for (int32_t i = t->first_in; i < t[1].first_in; i++) {
    int32_t c = p->ins.at[i];
    if (!k->made[c]) return "an operand is not computed yet";
    bool taken = false; /* the memory is a result's already, which is what happens in place */
    for (int32_t o = t->first_out; o < t[1].first_out; o++) taken |= p->chunks.at[p->outs.at[o]].takes == c;
    if (taken) continue;
    if (p->chunks.at[c].bytes && (r->offset[c] < 0 || !r->filled[c])) return "an operand is not resident";
    if (p->chunks.at[c].bytes) touch(r, r->offset[c], room_of(&p->chunks.at[c], s->device), number, false);
  }
  if (p->kernels.at[t->kernel].home > 1 && p->kernels.at[t->kernel].home - 1 != s->device) return "is about memory that another device alone reaches";
  for (int32_t i = t->first_out; i < t[1].first_out; i++) {
    int32_t c = p->outs.at[i];
    k->made[c] = 1;
    if (!p->chunks.at[c].bytes) {
      const int32_t v = p->chunks.at[c].value;
      if (s->device != (v >= 0 ? p->values.at[v].device : 0)) return "writes caller memory from a device that does not reach it";
      continue;
    }
    if (r->offset[c] < 0) return "a result has no memory";
    if (p->chunks.at[c].takes >= 0 && r->taken[p->chunks.at[c].takes] != r->offset[c])
      return "a result does not stand where what it updates stood";
    r->filled[c] = 1;
    touch(r, r->offset[c], room_of(&p->chunks.at[c], s->device), number, false);
  }
  return NULL;
}

static const char *leave(check *k, const mx_step *s) {
  arena *r = &k->arena[s->device];
  if (s->offset < 0 && r->offset[s->id] < 0) { /* its spill slot goes */
    if (s->device || !(s->flags & MX_FREE_DEAD) || !k->spilled[s->id]) return "frees what is not resident";
    k->spilled[s->id] = 0;
    return NULL;
  }
  if (r->offset[s->id] < 0) return "frees what is not resident";
  if (r->offset[s->id] != s->offset || !claim(r, s->offset, room_of(&k->plan->chunks.at[s->id], s->device), false))
    return "frees another's memory";
  if (s->flags & MX_FREE_DEAD && s->device) return "gives a spill slot back from a device that does not own it";
  if (s->flags & MX_FREE_TAKEN) r->taken[s->id] = r->filled[s->id] ? s->offset : -1;
  r->offset[s->id] = -1;
  r->filled[s->id] = 0;
  return NULL;
}

static const char *replay(check *k, const mx_step *s, int32_t number) {
  if (s->device >= k->n) return "is for a device that there is not";
  arena *r = &k->arena[s->device];
  switch (s->kind) {
  case MX_STEP_ALLOC: return settle(k, s);
  case MX_STEP_LOAD: return load(k, s);
  case MX_STEP_COPY: return copy(k, s, number);
  case MX_STEP_COLLECTIVE: return join(k, s, number);
  case MX_STEP_COMPUTE:
    if (s->after_store > r->ended) r->ended = s->after_store;
    if (k->implied) k->implied[number] = r->ended;
    return compute(k, s, number);
  case MX_STEP_STORE:
    if (s->device || r->offset[s->id] < 0 || !r->filled[s->id]) return "stores what is not there";
    if (s->tier == MX_TIER_SPILL) k->spilled[s->id] = 1;
    touch(r, r->offset[s->id], room_of(&k->plan->chunks.at[s->id], 0), number, true);
    return NULL;
  case MX_STEP_FREE: return leave(k, s);
  default: return "is of a kind that no device has";
  }
}

static const char *begin(check *k) {
  const mx_plan *p = k->plan;
  for (int a = 0; a < k->n; a++)
    for (int64_t c = 0; c < p->chunks.n; c++) k->arena[a].offset[c] = k->arena[a].taken[c] = -1;
  for (int64_t c = 0; c < p->chunks.n; c++) {
    int32_t v = p->chunks.at[c].value;
    if (v < 0 || p->values.at[v].kind != MX_PV_KEPT) continue;
    const mx_chunk *e = &p->values.at[v].value->chunks[p->chunks.at[c].index];
    k->made[c] = 1;
    k->spilled[c] = e->slot.dir != 0;
    if (e->device && e->device < k->n && mx_plan_may_use(p, e->device)) {
      arena *r = &k->arena[e->device];
      r->offset[c] = e->there;
      r->filled[c] = 1;
      if (!claim(r, e->there, room_of(&p->chunks.at[c], e->device), true)) return "kept chunks overlap";
    }
    if (e->offset < 0) continue;
    k->arena[0].offset[c] = e->offset;
    k->arena[0].filled[c] = 1;
    if (!claim(&k->arena[0], e->offset, room_of(&p->chunks.at[c], 0), true)) return "kept chunks overlap";
  }
  for (int64_t i = 0; i < p->n_holds; i++) {
    const mx_hold *h = &p->holds[i];
    arena *r = &k->arena[h->device];
    int64_t bytes = h->device < k->n ? r->units * UNIT - h->offset : 0; /* the plan names no places above */
    if (bytes > h->bytes) bytes = h->bytes;
    if (bytes > 0 && !claim(r, h->offset, bytes, true)) return "a kept chunk overlaps memory that was given away";
  }
  return NULL;
}

static const char *end(const check *k) {
  const mx_plan *p = k->plan;
  for (int64_t c = 0; c < p->chunks.n; c++) {
    int32_t v = p->chunks.at[c].value;
    bool keep = v >= 0 && (p->values.at[v].kind == MX_PV_KEPT || p->values.at[v].keep);
    if (keep && (!k->made[c] || (!k->arena[0].filled[c] && !k->spilled[c]))) return "a kept chunk is lost";
    for (int a = 0; a < k->n; a++)
      if (!keep && k->arena[a].offset[c] >= 0) return "a chunk that nobody needs is left in an arena";
    if (v >= 0 && p->values.at[v].output >= 0 && p->values.at[v].producer >= 0 && !k->made[c]) return "an output was not computed";
  }
  return NULL;
}

typedef struct extent {
  int64_t half, arena; /* of the bytes that there are */
  int64_t low_end, high_begin, high_end;
} extent;

static void name(extent *e, int64_t at, int64_t bytes) {
  if (at < 0 || at + bytes > e->arena) return; /* not to be claimed */
  if (at < e->half) {
    if (at + bytes > e->low_end) e->low_end = at + bytes;
    return;
  }
  if (at < e->high_begin) e->high_begin = at;
  if (at + bytes > e->high_end) e->high_end = at + bytes;
}

/* UNITs for the places that the plan names: a small job uses a little at the low end of a large arena, and a little at the high
   one. */
static void measure(arena *r, const mx_plan *p, int a) {
  const int64_t arena = (int64_t)p->machine->device[a].arena_bytes;
  extent e = {.half = arena / 2, .arena = arena, .high_begin = arena};
  for (int64_t i = 0; i < p->steps.n; i++) {
    const mx_step *s = &p->steps.at[i];
    if (s->device != a || (s->kind != MX_STEP_ALLOC && s->kind != MX_STEP_LOAD && s->kind != MX_STEP_COPY && s->kind != MX_STEP_COLLECTIVE))
      continue;
    name(&e, s->offset, room_of(&p->chunks.at[s->id], a));
  }
  for (int64_t c = 0; c < p->chunks.n; c++) {
    int32_t v = p->chunks.at[c].value;
    if (v < 0 || p->values.at[v].kind != MX_PV_KEPT) continue;
    const mx_chunk *k = &p->values.at[v].value->chunks[p->chunks.at[c].index];
    if (!a || k->device == a) name(&e, a ? k->there : k->offset, room_of(&p->chunks.at[c], a));
  }
  r->gap = (e.low_end + UNIT - 1) / UNIT * UNIT;
  r->gap_bytes = e.high_end ? (e.high_begin / UNIT * UNIT - r->gap) : 0;
  if (r->gap_bytes < 0) r->gap_bytes = 0;
  r->units = ((e.high_end > e.low_end ? e.high_end : e.low_end) - r->gap_bytes + UNIT - 1) / UNIT;
}

static bool open_arena(check *k, int a) {
  const mx_plan *p = k->plan;
  arena *r = &k->arena[a];
  const size_t n = (size_t)p->chunks.n + 1;
  measure(r, p, a);
  r->ended = -1;
  const bool fences = r->units <= 1 << 17; /* replaying them costs memory as large as the arena */
  r->live = mx_calloc(p->mem, (size_t)r->units / 64 + 1, 8);
  r->offset = mx_calloc(p->mem, n, sizeof *r->offset);
  r->taken = mx_calloc(p->mem, n, sizeof *r->taken);
  r->filled = mx_calloc(p->mem, n, 1);
  if (!r->live || !r->offset || !r->taken || !r->filled) return false;
  if (!fences) return true;
  r->touched = mx_alloc(p->mem, (size_t)r->units * sizeof *r->touched + 1);
  r->stored = mx_alloc(p->mem, (size_t)r->units * sizeof *r->stored + 1);
  if (!r->touched || !r->stored) return false;
  memset(r->touched, -1, (size_t)r->units * sizeof *r->touched);
  memset(r->stored, -1, (size_t)r->units * sizeof *r->stored);
  if (!k->implied) k->implied = mx_alloc(p->mem, ((size_t)p->steps.n + 1) * sizeof *k->implied);
  return k->implied != NULL;
}

static void close_arena(const check *k, arena *r) {
  mx_mem *mem = k->plan->mem;
  mx_free(mem, r->live);
  mx_free(mem, r->touched);
  mx_free(mem, r->stored);
  mx_free(mem, r->offset);
  mx_free(mem, r->taken);
  mx_free(mem, r->filled);
}

mars_status mx_plan_validate(const mx_plan *p, mars_error *err) {
  mars_status st = MARS_OK;
  const char *wrong;
  check k = {.plan = p, .n = p->task_device ? p->machine->n_devices : 1};
  const size_t n = (size_t)p->chunks.n + 1;
  for (int a = 0; a < k.n; a++)
    if (!open_arena(&k, a)) MX_TRY(MX_NOMEM(err, p->fn));
  k.made = mx_calloc(p->mem, n, 1);
  k.spilled = mx_calloc(p->mem, n, 1);
  if (!k.made || !k.spilled) MX_TRY(MX_NOMEM(err, p->fn));
  wrong = begin(&k);
  for (int64_t i = 0; i < p->steps.n && !wrong; i++) {
    const mx_step *s = &p->steps.at[i];
    wrong = replay(&k, s, (int32_t)i);
    if (wrong)
      MX_TRY(mx_fail(err, MARS_E_INTERNAL, "%s: the schedule is wrong: step %lld (kind %d, device %d, number %d) %s", p->fn, (long long)i,
                     s->kind, s->device, s->id, wrong));
  }
  if (!wrong) wrong = end(&k);
  if (wrong) MX_TRY(mx_fail(err, MARS_E_INTERNAL, "%s: the schedule is wrong: %s", p->fn, wrong));
done:
  for (int a = 0; a < k.n; a++) close_arena(&k, &k.arena[a]);
  mx_free(p->mem, k.implied);
  mx_free(p->mem, k.made);
  mx_free(p->mem, k.spilled);
  return st;
}
