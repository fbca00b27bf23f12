/*
 * The order of tasks: depth first from the wanted outputs, chunk after chunk, so that what is made is used soon and little
 * is alive at a time. Kernels that read the same stored chunks run side by side, and accumulators are combined as soon as
 * a combine task has all of its inputs. Tasks of a routine run in their rule's order, and a pass over a routine's result takes
 * each chunk as soon as it is made.
 */
#include "engine/plan/plan.h"

#include <string.h>

enum { MAX_SIBLINGS = 8 };
/* Results whose inputs are made in one go, where those are small: the device then gets them as one batch of independent
   calls, not as pairs that wait for each other. WAVE_SHARE: of the arena that they may take. */
enum { WAVE = 64, WAVE_SHARE = 32 };
/* States of a task. A queued one is on the stack to be done soon; whoever needs it sooner puts it on top again. */
enum { UNTOUCHED, BEGUN, DONE, QUEUED };

typedef struct frame {
  int32_t task, next;
} frame;

/* Tasks that read what routines made, directly or through other tasks ("downstream"): each runs as soon as all of that is
   there, so that it need not be kept. */
typedef struct readers {
  uint8_t *down;    /* per task; NULL: the plan has no routine */
  int32_t *first;   /* per chunk: into task */
  int32_t *task;
  int32_t *missing; /* per task: such chunks still to come */
  int32_t *open;    /* per kernel: next task of a block that is begun and not ended, -1 */
} readers;

typedef struct orderer {
  mx_plan *plan;
  uint8_t *state;    /* what is said below */
  int32_t *combine;  /* per chunk: the COMBINE task that reads it, -1 */
  int32_t *pending;  /* per task: COMBINE inputs still to come */
  int32_t (*sibling)[MAX_SIBLINGS]; /* per kernel: kernels to run tile by tile beside it, -1 ends */
  readers readers;
  MX_VEC(frame) stack;
} orderer;

static bool of_routine(const mx_plan *p, int32_t task) { return p->kernels.at[p->tasks.at[task].kernel].routine != NULL; }

/* Does the chunk come from a routine, or from downstream of one, and not from the task's own kernel? */
static bool comes_down(const orderer *o, int32_t task, int32_t chunk) {
  const mx_plan *p = o->plan;
  int32_t producer = p->chunks.at[chunk].producer;
  if (producer < 0) return false;
  if (of_routine(p, producer)) return p->tasks.at[producer].kernel != p->tasks.at[task].kernel;
  return o->readers.down[producer];
}

static void mark_down(orderer *o) {
  const mx_plan *p = o->plan;
  int top = 0;
  for (int64_t k = 0; k < p->kernels.n; k++)
    if (p->kernels.at[k].level > top) top = p->kernels.at[k].level;
  for (int level = 0; level <= top; level++) /* what a kernel reads is of a lower level, or its own */
    for (int64_t k = 0; k < p->kernels.n; k++) {
      if (p->kernels.at[k].level != level) continue;
      for (int32_t t = p->kernels.at[k].first_task; t < p->n_tasks && p->tasks.at[t].kernel == k; t++)
        for (int32_t i = p->tasks.at[t].first_in; i < p->tasks.at[t + 1].first_in && !o->readers.down[t]; i++)
          o->readers.down[t] = comes_down(o, t, p->ins.at[i]);
    }
}

static bool find_readers(orderer *o) {
  mx_plan *p = o->plan;
  readers *r = &o->readers;
  int64_t n = 0;
  bool any = false;
  for (int64_t k = 0; k < p->kernels.n; k++) any |= p->kernels.at[k].routine != NULL;
  if (!any) return true;
  r->down = mx_calloc(p->mem, (size_t)p->n_tasks + 1, 1);
  r->first = mx_calloc(p->mem, (size_t)p->chunks.n + 2, sizeof *r->first);
  r->missing = mx_calloc(p->mem, (size_t)p->n_tasks + 1, sizeof *r->missing);
  r->open = mx_alloc(p->mem, ((size_t)p->kernels.n + 1) * sizeof *r->open);
  if (!r->down || !r->first || !r->missing || !r->open) return false;
  memset(r->open, -1, ((size_t)p->kernels.n + 1) * sizeof *r->open);
  mark_down(o);
  for (int pass = 0; pass < 2; pass++) {
    for (int32_t t = 0; t < p->n_tasks; t++)
      for (int32_t k = p->tasks.at[t].first_in; k < p->tasks.at[t + 1].first_in && p->tasks.at[t].tile >= 0; k++) {
        int32_t c = p->ins.at[k];
        if (!comes_down(o, t, c)) continue;
        if (pass) r->task[r->first[c]++] = t;
        else r->first[c + 1]++, r->missing[t]++, n++;
      }
    if (pass) break;
    if (!(r->task = mx_alloc(p->mem, (size_t)(n + 1) * sizeof *r->task))) return false;
    for (int64_t c = 0; c < p->chunks.n; c++) r->first[c + 1] += r->first[c];
  }
  for (int64_t c = p->chunks.n; c > 0; c--) r->first[c] = r->first[c - 1]; /* filling moved each start to its end */
  r->first[0] = 0;
  return true;
}

/* Put a task on the stack that is to be done soon. */
static bool queue(orderer *o, int32_t task) {
  if (o->state[task] != UNTOUCHED) return true;
  o->state[task] = QUEUED;
  return mx_vec_push(o->plan->mem, &o->stack, ((frame){task, 0}));
}

static bool chained(const mx_plan *p, int32_t task) {
  return of_routine(p, task) && p->rtasks.at[p->tasks.at[task].tile].chained;
}

/* Is all there that a reader and the group behind it want from routines, and no block of its kernel open? What is missing may be
   waiting for the task that is just done: begun ones are below on the stack, and would not be waited for. */
static bool ready(const orderer *o, int32_t task) {
  const mx_plan *p = o->plan;
  const mx_ptask *t = &p->tasks.at[task];
  const bool routine = of_routine(p, task);
  const int32_t gate = routine ? p->rtasks.at[t->tile].gate : 1;
  const int32_t open = routine && !chained(p, task) ? o->readers.open[t->kernel] : -1;
  if (open >= 0 && o->state[open] != DONE) return false;
  for (int32_t i = t->first_in; i < t[gate].first_in; i++) {
    const int32_t producer = p->chunks.at[p->ins.at[i]].producer;
    if (producer < 0 || o->state[producer] == DONE) continue;
    if (routine && producer >= task && p->tasks.at[producer].kernel == t->kernel) continue; /* of the group itself */
    if (of_routine(p, producer) || o->readers.down[producer] || o->state[producer] == BEGUN) return false;
  }
  return true;
}

/* A task is done: what only waited for it follows. */
static bool queue_readers(orderer *o, int32_t task) {
  const mx_plan *p = o->plan;
  const mx_ptask *t = &p->tasks.at[task];
  const readers *r = &o->readers;
  if (of_routine(p, task)) {
    bool more = task + 1 < p->n_tasks && p->tasks.at[task + 1].kernel == t->kernel && chained(p, task + 1);
    r->open[t->kernel] = more ? task + 1 : -1;
  }
  for (int32_t k = t->first_out; k < t[1].first_out; k++) {
    int32_t out = p->outs.at[k];
    for (int32_t i = r->first[out + 1]; i-- > r->first[out];) { /* a stack: the first reader comes out first */
      int32_t reader = r->task[i];
      if (--r->missing[reader]) continue;
      if (chained(p, reader) && o->state[reader - 1] != DONE) continue; /* comes after that one */
      if (!ready(o, reader)) continue;                                  /* comes when it is wanted */
      if (!queue(o, reader)) return false;
    }
  }
  return true;
}

static bool stored(const mx_pvalue *v) { return v->kind == MX_PV_FILE || v->kind == MX_PV_KEPT || v->kind == MX_PV_NEW; }

static bool share_chunks(const mx_plan *plan, const mx_pkernel *a, const mx_pkernel *b) {
  if (a->level != b->level || a->grid.total != b->grid.total) return false;
  for (int i = 0; i < a->prog.n_in; i++)
    for (int j = 0; j < b->prog.n_in; j++)
      if (a->in[i].value == b->in[j].value && a->in[i].identity && b->in[j].identity && stored(&plan->values.at[a->in[i].value]))
        return true;
  return false;
}

static void find_siblings(orderer *o) {
  mx_plan *p = o->plan;
  for (int64_t a = 0; a < p->kernels.n; a++) {
    int n = 0;
    memset(o->sibling[a], -1, sizeof o->sibling[a]);
    for (int64_t b = 0; b < p->kernels.n && n < MAX_SIBLINGS && p->kernels.n <= 256; b++)
      if (a != b && !p->kernels.at[a].scan && !p->kernels.at[b].scan && share_chunks(p, &p->kernels.at[a], &p->kernels.at[b]))
        o->sibling[a][n++] = (int32_t)b;
  }
}

/* Append a task; its siblings go on the stack; combines that it completes follow at once. */
static bool finish(orderer *o, int32_t task) {
  mx_plan *p = o->plan;
  o->state[task] = DONE;
  p->order.at[p->order.n++] = task;
  const mx_ptask *t = &p->tasks.at[task];
  if (t->tile >= 0)
    for (int i = 0; i < MAX_SIBLINGS && o->sibling[t->kernel][i] >= 0; i++)
      if (!queue(o, p->kernels.at[o->sibling[t->kernel][i]].first_task + t->tile)) return false;
  if (o->readers.down && (of_routine(p, task) || o->readers.down[task]) && !queue_readers(o, task)) return false;
  for (int32_t k = t->first_out; k < t[1].first_out; k++) {
    int32_t c = o->combine[p->outs.at[k]];
    if (c >= 0 && --o->pending[c] == 0 && o->state[c] == UNTOUCHED && !finish(o, c)) return false; /* as deep as the combine tree */
  }
  return true;
}

static bool waits(const orderer *o, int32_t task) { return o->state[task] == UNTOUCHED || o->state[task] == QUEUED; }

/* A task that must come before the frame's, -1. */
static int32_t below(const orderer *o, frame *f) {
  const mx_plan *p = o->plan;
  const mx_ptask *t = &p->tasks.at[f->task];
  const bool routine = of_routine(p, f->task);
  const int32_t gate = routine ? p->rtasks.at[t->tile].gate : 1;
  if (chained(p, f->task) && waits(o, f->task - 1)) return f->task - 1;
  if (routine && !chained(p, f->task)) { /* end a block before another begins, or it would lie half-made in the other's room */
    int32_t open = o->readers.open[t->kernel];
    if (open >= 0 && waits(o, open)) return open;
  }
  if (f->next < t->first_in) f->next = t->first_in;
  while (f->next < t[gate].first_in) {
    int32_t producer = p->chunks.at[p->ins.at[f->next++]].producer;
    if (producer < 0 || !waits(o, producer)) continue;
    if (routine && producer >= f->task && p->tasks.at[producer].kernel == t->kernel) continue; /* of the group itself */
    return producer;
  }
  return -1;
}

/* A reader was ready when it was queued. Since then a block of its kernel may have begun that cannot go on yet: then it comes when
   it is wanted, for what the block waits for may be begun already and lie below on the stack. */
static bool comes_too_soon(const orderer *o, int32_t task) {
  return o->state[task] == QUEUED && o->readers.down && !ready(o, task);
}

static bool visit(orderer *o, int32_t root) {
  mx_plan *p = o->plan;
  if (!waits(o, root)) return true;
  o->state[root] = BEGUN;
  if (!mx_vec_push(p->mem, &o->stack, ((frame){root, 0}))) return false;
  while (o->stack.n) {
    frame *f = &o->stack.at[o->stack.n - 1];
    if (comes_too_soon(o, f->task)) {
      o->state[f->task] = UNTOUCHED;
      o->stack.n--;
      continue;
    }
    int32_t task = f->task, first = o->state[task] == DONE ? -1 : below(o, f);
    if (o->state[task] != DONE) o->state[task] = BEGUN;
    if (first >= 0) {
      o->state[first] = BEGUN;
      if (!mx_vec_push(p->mem, &o->stack, ((frame){first, 0}))) return false;
      continue;
    }
    o->stack.n--;
    if (o->state[task] != DONE && !finish(o, task)) return false;
  }
  return true;
}

/* What the makers of chunks [first, first + WAVE) of an output read, as far as it is made and small, before any of them. */
static bool visit_wave(orderer *o, const mx_pvalue *v, int64_t first) {
  const mx_plan *p = o->plan;
  const int64_t end = first + WAVE < v->grid.total ? first + WAVE : v->grid.total;
  for (int64_t c = first; c < end; c++) {
    const mx_ptask *t = &p->tasks.at[p->chunks.at[v->first_chunk + c].producer];
    int64_t bytes = 0;
    for (int32_t i = t->first_in; i < t[1].first_in; i++)
      if (p->chunks.at[p->ins.at[i]].producer >= 0) bytes += p->chunks.at[p->ins.at[i]].bytes;
    if (bytes > (int64_t)p->machine->arena_bytes / (WAVE * WAVE_SHARE)) continue;
    for (int32_t i = t->first_in; i < t[1].first_in; i++) {
      const int32_t producer = p->chunks.at[p->ins.at[i]].producer;
      if (producer >= 0 && o->state[producer] != DONE && !visit(o, producer)) return false;
    }
  }
  return true;
}

mars_status mx_plan_order(mx_plan *plan, mars_error *err) {
  mars_status st = MARS_OK;
  mx_mem *mem = plan->mem;
  orderer o = {.plan = plan};
  o.state = mx_calloc(mem, (size_t)plan->n_tasks + 1, 1);
  o.combine = mx_alloc(mem, ((size_t)plan->chunks.n + 1) * sizeof *o.combine);
  o.pending = mx_calloc(mem, (size_t)plan->n_tasks + 1, sizeof *o.pending);
  o.sibling = mx_calloc(mem, (size_t)plan->kernels.n + 1, sizeof *o.sibling);
  plan->order.n = 0;
  if (!o.state || !o.combine || !o.pending || !o.sibling || !mx_vec_reserve(mem, &plan->order, plan->n_tasks + 1))
    MX_TRY(MX_NOMEM(err, plan->fn));
  memset(o.combine, -1, ((size_t)plan->chunks.n + 1) * sizeof *o.combine);
  for (int64_t t = 0; t < plan->n_tasks; t++) {
    const mx_ptask *pt = &plan->tasks.at[t];
    if (pt->tile >= 0) continue;
    o.pending[t] = pt[1].first_in - pt->first_in;
    for (int32_t k = pt->first_in; k < pt[1].first_in; k++) o.combine[plan->ins.at[k]] = (int32_t)t;
  }
  find_siblings(&o);
  if (!find_readers(&o)) MX_TRY(MX_NOMEM(err, plan->fn));
  for (int64_t v = 0; v < plan->values.n; v++) {
    const mx_pvalue *pv = &plan->values.at[v];
    if (pv->output < 0 || pv->producer < 0) continue;
    for (int64_t c = 0; c < pv->grid.total; c++) {
      if (c % WAVE == 0 && !o.readers.down && !visit_wave(&o, pv, c)) MX_TRY(MX_NOMEM(err, plan->fn));
      if (!visit(&o, plan->chunks.at[pv->first_chunk + c].producer)) MX_TRY(MX_NOMEM(err, plan->fn));
    }
  }
  for (int64_t t = 0; t < plan->n_tasks; t++) /* values that nobody reads cannot be, but accumulators of shared kernels can */
    if (!visit(&o, (int32_t)t)) MX_TRY(MX_NOMEM(err, plan->fn));
done:
  mx_vec_free(mem, &o.stack);
  mx_free(mem, o.state);
  mx_free(mem, o.combine);
  mx_free(mem, o.pending);
  mx_free(mem, o.sibling);
  mx_free(mem, o.readers.down);
  mx_free(mem, o.readers.first);
  mx_free(mem, o.readers.task);
  mx_free(mem, o.readers.missing);
  mx_free(mem, o.readers.open);
  return st;
}
