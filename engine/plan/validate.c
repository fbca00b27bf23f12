/*
 * The validator: replays a schedule step by step, knowing nothing of how it was made, and proves that it may be run.
 */
#include "engine/plan/plan.h"

#include <string.h>

enum { UNIT = 64 };

typedef struct check {
  const mx_plan *plan;
  uint64_t *live;    /* a bit per UNIT bytes of the arena */
  int32_t *touched;  /* per UNIT: last COMPUTE step that touched it, or NULL for large arenas */
  int32_t *stored;   /* per UNIT: last STORE step */
  int32_t *implied;  /* per step: the last STORE that has ended when the COMPUTE steps up to it have */
  int64_t *offset;   /* per chunk, -1 not resident */
  int64_t *taken;    /* per chunk that was taken over: where it stood, -1 */
  uint8_t *made;     /* per chunk: its values exist or existed */
  uint8_t *spilled;
  int64_t used, units;
} check;

static int64_t room_of(const mx_pchunk *c) {
  return mx_space_round((int64_t)c->phase + c->bytes + c->spare + (c->phase ? MX_IO_ALIGN - 1 : 0));
}

static bool claim(check *k, int64_t at, int64_t bytes, bool take) {
  if (at < 0 || at % UNIT || at + bytes > k->units * UNIT) return false;
  int64_t u = at / UNIT, end = (at + bytes + UNIT - 1) / UNIT;
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

/* Memory of this range may be written by step s: its last users are among what s waits for. COMPUTE steps run in order and
   have waited themselves: scratch that lay there meanwhile hands on no more than its COMPUTE step. */
static bool fenced(const check *k, int64_t at, int64_t bytes, int32_t after, int32_t after_store) {
  if (!k->touched) return true;
  if (after >= 0 && k->implied[after] > after_store) after_store = k->implied[after];
  for (int64_t u = at / UNIT; u < (at + bytes + UNIT - 1) / UNIT; u++) {
    if (k->stored[u] > after_store) return false;
    if (k->touched[u] > after) return false;
  }
  return true;
}

static void touch(check *k, int64_t at, int64_t bytes, int32_t step, bool store) {
  if (!k->touched) return;
  for (int64_t u = at / UNIT; u < (at + bytes + UNIT - 1) / UNIT; u++) (store ? k->stored : k->touched)[u] = step;
}

static const char *settle(check *k, const mx_step *s) {
  const mx_plan *p = k->plan;
  const mx_pchunk *c = &p->chunks.at[s->id];
  if (k->offset[s->id] >= 0) return "chunk is resident already";
  if (!claim(k, s->offset, room_of(c), true)) return "memory is in use or outside the arena";
  if (!fenced(k, s->offset, room_of(c), s->after, s->after_store)) return "memory is reused before its last user ended";
  touch(k, s->offset, room_of(c), -1, false); /* whoever uses it next has waited for this step, and so for those before */
  touch(k, s->offset, room_of(c), -1, true);
  k->offset[s->id] = s->offset;
  if (s->kind != MX_STEP_LOAD) return NULL;
  if (s->tier == MX_TIER_SPILL && !k->spilled[s->id]) return "loaded from the spill store, but never stored there";
  if (s->tier == MX_TIER_FILE && (c->value < 0 || p->values.at[c->value].kind != MX_PV_FILE)) return "loaded from no file";
  k->made[s->id] = 1;
  return NULL;
}

static const char *compute(check *k, const mx_step *s, int32_t number) {
  const mx_plan *p = k->plan;
  const mx_ptask *t = &p->tasks.at[s->id];
  for (int32_t i = t->first_in; i < t[1].first_in; i++) {
    int32_t c = p->ins.at[i];
    if (!k->made[c]) return "an operand is not computed yet";
    bool taken = false; /* the memory is a result's already, which is what happens in place */
    for (int32_t o = t->first_out; o < t[1].first_out; o++) taken |= p->chunks.at[p->outs.at[o]].takes == c;
    if (taken) continue;
    if (p->chunks.at[c].bytes && k->offset[c] < 0) return "an operand is not resident";
    if (p->chunks.at[c].bytes) touch(k, k->offset[c], room_of(&p->chunks.at[c]), number, false);
  }
  for (int32_t i = t->first_out; i < t[1].first_out; i++) {
    int32_t c = p->outs.at[i];
    if (p->chunks.at[c].bytes && k->offset[c] < 0) return "a result has no memory";
    if (p->chunks.at[c].bytes && p->chunks.at[c].takes >= 0 && k->taken[p->chunks.at[c].takes] != k->offset[c])
      return "a result does not stand where what it updates stood";
    k->made[c] = 1;
    if (p->chunks.at[c].bytes) touch(k, k->offset[c], room_of(&p->chunks.at[c]), number, false);
  }
  return NULL;
}

static const char *replay(check *k, const mx_step *s, int32_t number) {
  const mx_plan *p = k->plan;
  if (k->implied) {
    k->implied[number] = number ? k->implied[number - 1] : -1;
    if (s->kind == MX_STEP_COMPUTE && s->after_store > k->implied[number]) k->implied[number] = s->after_store;
  }
  switch (s->kind) {
  case MX_STEP_ALLOC:
  case MX_STEP_LOAD: return settle(k, s);
  case MX_STEP_COMPUTE: return compute(k, s, number);
  case MX_STEP_STORE:
    if (k->offset[s->id] < 0 || !k->made[s->id]) return "stores what is not there";
    if (s->tier == MX_TIER_SPILL) k->spilled[s->id] = 1;
    touch(k, k->offset[s->id], room_of(&p->chunks.at[s->id]), number, true);
    return NULL;
  case MX_STEP_FREE:
    if (k->offset[s->id] < 0) return "frees what is not resident";
    if (k->offset[s->id] != s->offset || !claim(k, s->offset, room_of(&p->chunks.at[s->id]), false)) return "frees another's memory";
    if (s->flags & MX_FREE_TAKEN) k->taken[s->id] = s->offset;
    k->offset[s->id] = -1;
    return NULL;
  default: return "is of a kind that this device does not have";
  }
}

static const char *begin(check *k) {
  const mx_plan *p = k->plan;
  for (int64_t c = 0; c < p->chunks.n; c++) {
    k->offset[c] = k->taken[c] = -1;
    int32_t v = p->chunks.at[c].value;
    if (v < 0 || p->values.at[v].kind != MX_PV_KEPT) continue;
    const mx_chunk *e = &p->values.at[v].value->chunks[p->chunks.at[c].index];
    k->made[c] = 1;
    k->spilled[c] = e->slot.dir != 0;
    if (e->offset < 0) continue;
    k->offset[c] = e->offset;
    if (!claim(k, e->offset, room_of(&p->chunks.at[c]), true)) return "kept chunks overlap";
  }
  return NULL;
}

static const char *end(const check *k) {
  const mx_plan *p = k->plan;
  for (int64_t c = 0; c < p->chunks.n; c++) {
    int32_t v = p->chunks.at[c].value;
    bool keep = v >= 0 && (p->values.at[v].kind == MX_PV_KEPT || p->values.at[v].keep);
    if (keep && (!k->made[c] || (k->offset[c] < 0 && !k->spilled[c]))) return "a kept chunk is lost";
    if (!keep && k->offset[c] >= 0) return "a chunk that nobody needs is left in the arena";
    if (v >= 0 && p->values.at[v].output >= 0 && p->values.at[v].producer >= 0 && !k->made[c]) return "an output was not computed";
  }
  return NULL;
}

/* UNITs up to the highest place that the plan names and that lies in the arena: a small job in a large arena needs few. */
static int64_t units_named(const mx_plan *p) {
  int64_t top = 0, arena = (int64_t)p->machine->arena_bytes;
  for (int64_t i = 0; i < p->steps.n; i++) {
    const mx_step *s = &p->steps.at[i];
    if (s->kind != MX_STEP_ALLOC && s->kind != MX_STEP_LOAD) continue;
    int64_t end = s->offset + room_of(&p->chunks.at[s->id]);
    if (end > top && end <= arena) top = end;
  }
  for (int64_t c = 0; c < p->chunks.n; c++) {
    int32_t v = p->chunks.at[c].value;
    if (v < 0 || p->values.at[v].kind != MX_PV_KEPT) continue;
    int64_t end = p->values.at[v].value->chunks[p->chunks.at[c].index].offset + room_of(&p->chunks.at[c]);
    if (end > top && end <= arena) top = end;
  }
  return (top + UNIT - 1) / UNIT;
}

mars_status mx_plan_validate(const mx_plan *p, mars_error *err) {
  mars_status st = MARS_OK;
  const char *wrong;
  check k = {.plan = p, .units = units_named(p)};
  size_t n = (size_t)p->chunks.n + 1;
  bool fences = k.units <= 1 << 17; /* replaying them costs memory as large as the arena */
  k.live = mx_calloc(p->mem, (size_t)k.units / 64 + 1, 8);
  k.offset = mx_calloc(p->mem, n, sizeof *k.offset);
  k.taken = mx_calloc(p->mem, n, sizeof *k.taken);
  k.made = mx_calloc(p->mem, n, 1);
  k.spilled = mx_calloc(p->mem, n, 1);
  k.touched = fences ? mx_alloc(p->mem, (size_t)k.units * sizeof *k.touched + 1) : NULL;
  k.stored = fences ? mx_alloc(p->mem, (size_t)k.units * sizeof *k.stored + 1) : NULL;
  k.implied = fences ? mx_alloc(p->mem, ((size_t)p->steps.n + 1) * sizeof *k.implied) : NULL;
  if (!k.live || !k.offset || !k.taken || !k.made || !k.spilled || (fences && (!k.touched || !k.stored || !k.implied))) MX_TRY(MX_NOMEM(err, p->fn));
  if (fences) {
    memset(k.touched, -1, (size_t)k.units * sizeof *k.touched);
    memset(k.stored, -1, (size_t)k.units * sizeof *k.stored);
  }
  wrong = begin(&k);
  for (int64_t i = 0; i < p->steps.n && !wrong; i++) {
    wrong = replay(&k, &p->steps.at[i], (int32_t)i);
    if (wrong) {
      const mx_step *s = &p->steps.at[i];
      MX_TRY(mx_fail(err, MARS_E_INTERNAL, "%s: the schedule is wrong: step %lld (kind %d, number %d) %s", p->fn, (long long)i, s->kind,
                     s->id, wrong));
    }
  }
  if (!wrong) wrong = end(&k);
  if (wrong) MX_TRY(mx_fail(err, MARS_E_INTERNAL, "%s: the schedule is wrong: %s", p->fn, wrong));
done:
  mx_free(p->mem, k.live);
  mx_free(p->mem, k.offset);
  mx_free(p->mem, k.taken);
  mx_free(p->mem, k.made);
  mx_free(p->mem, k.spilled);
  mx_free(p->mem, k.touched);
  mx_free(p->mem, k.stored);
  mx_free(p->mem, k.implied);
  return st;
}
