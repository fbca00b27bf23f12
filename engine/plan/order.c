/*
 * The order of tasks: depth first from the wanted outputs, chunk after chunk, so that what is made is used soon and little
 * is alive at a time. Kernels that read the same stored chunks run side by side, and accumulators are combined as soon as
 * a combine task has all of its inputs. Tasks of a routine run in their rule's order, and a pass over a routine's result takes
 * each chunk as soon as it is made.
 */
#include "engine/plan/plan.h"

#include <string.h>

enum { MAX_SIBLINGS = 8 };

typedef struct frame {
  int32_t task, next;
} frame;

/* Program tasks that read chunks made by routines. */
typedef struct readers {
  int32_t *first;   /* per chunk: into task; NULL: the plan has no routine */
  int32_t *task;
  int32_t *missing; /* per task: such chunks still to come */
} readers;

typedef struct orderer {
  mx_plan *plan;
  uint8_t *state;    /* 0 untouched, 1 on the stack, 2 done */
  int32_t *combine;  /* per chunk: the COMBINE task that reads it, -1 */
  int32_t *pending;  /* per task: COMBINE inputs still to come */
  int32_t (*sibling)[MAX_SIBLINGS]; /* per kernel: kernels to run tile by tile beside it, -1 ends */
  readers readers;
  MX_VEC(frame) stack;
} orderer;

static bool of_routine(const mx_plan *p, int32_t task) { return p->kernels.at[p->tasks.at[task].kernel].routine != NULL; }

static bool is_push(const mx_plan *p, int32_t task, int32_t chunk) {
  int32_t producer = p->chunks.at[chunk].producer;
  return producer >= 0 && p->chunks.at[chunk].value >= 0 && of_routine(p, producer) && !of_routine(p, task) && p->tasks.at[task].tile >= 0;
}

static bool find_readers(orderer *o) {
  mx_plan *p = o->plan;
  readers *r = &o->readers;
  int64_t n = 0;
  bool any = false;
  for (int64_t k = 0; k < p->kernels.n; k++) any |= p->kernels.at[k].routine != NULL;
  if (!any) return true;
  r->first = mx_calloc(p->mem, (size_t)p->chunks.n + 2, sizeof *r->first);
  r->missing = mx_calloc(p->mem, (size_t)p->n_tasks + 1, sizeof *r->missing);
  if (!r->first || !r->missing) return false;
  for (int pass = 0; pass < 2; pass++) {
    for (int32_t t = 0; t < p->n_tasks; t++)
      for (int32_t k = p->tasks.at[t].first_in; k < p->tasks.at[t + 1].first_in; k++) {
        int32_t c = p->ins.at[k];
        if (!is_push(p, t, c)) continue;
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
  o->state[task] = 2;
  p->order.at[p->order.n++] = task;
  const mx_ptask *t = &p->tasks.at[task];
  if (t->tile >= 0)
    for (int i = 0; i < MAX_SIBLINGS && o->sibling[t->kernel][i] >= 0; i++) {
      int32_t s = p->kernels.at[o->sibling[t->kernel][i]].first_task + t->tile;
      if (o->state[s]) continue;
      o->state[s] = 1;
      if (!mx_vec_push(p->mem, &o->stack, ((frame){s, 0}))) return false;
    }
  int32_t next = task + 1; /* what a routine has begun it ends, or it would be left half-made while others take the room */
  if (o->readers.first && of_routine(p, task) && next < p->n_tasks && p->tasks.at[next].kernel == t->kernel &&
      p->rtasks.at[p->tasks.at[next].tile].chained && o->state[next] == 0) {
    o->state[next] = 1;
    if (!mx_vec_push(p->mem, &o->stack, ((frame){next, 0}))) return false;
  }
  for (int32_t k = t->first_out; k < t[1].first_out && o->readers.first; k++) {
    int32_t out = p->outs.at[k];
    for (int32_t i = o->readers.first[out + 1]; i-- > o->readers.first[out];) { /* a stack: the first reader comes out first */
      int32_t reader = o->readers.task[i];
      if (--o->readers.missing[reader] || o->state[reader]) continue;
      o->state[reader] = 1;
      if (!mx_vec_push(p->mem, &o->stack, ((frame){reader, 0}))) return false;
    }
  }
  for (int32_t k = t->first_out; k < t[1].first_out; k++) {
    int32_t c = o->combine[p->outs.at[k]];
    if (c >= 0 && --o->pending[c] == 0 && o->state[c] == 0 && !finish(o, c)) return false; /* as deep as the combine tree */
  }
  return true;
}

static bool visit(orderer *o, int32_t root) {
  mx_plan *p = o->plan;
  if (o->state[root]) return true;
  o->state[root] = 1;
  if (!mx_vec_push(p->mem, &o->stack, ((frame){root, p->tasks.at[root].first_in}))) return false;
  while (o->stack.n) {
    frame *f = &o->stack.at[o->stack.n - 1];
    const mx_ptask *t = &p->tasks.at[f->task];
    int32_t below = -1, gate = 1;
    if (f->next < t->first_in) f->next = t->first_in;
    if (p->kernels.at[t->kernel].routine) {
      const mx_rtask *r = &p->rtasks.at[t->tile];
      gate = r->gate;
      if (r->chained && o->state[f->task - 1] == 0) below = f->task - 1;
    }
    while (f->next < t[gate].first_in && below < 0) {
      int32_t producer = p->chunks.at[p->ins.at[f->next++]].producer;
      if (producer < 0 || o->state[producer] != 0) continue;
      if (producer >= f->task && p->tasks.at[producer].kernel == t->kernel && p->kernels.at[t->kernel].routine) continue;
      below = producer;
    }
    if (below >= 0) {
      o->state[below] = 1;
      if (!mx_vec_push(p->mem, &o->stack, ((frame){below, p->tasks.at[below].first_in}))) return false;
      continue;
    }
    int32_t task = f->task;
    o->stack.n--;
    if (o->state[task] != 2 && !finish(o, task)) return false;
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
    for (int64_t c = 0; c < pv->grid.total; c++)
      if (!visit(&o, plan->chunks.at[pv->first_chunk + c].producer)) MX_TRY(MX_NOMEM(err, plan->fn));
  }
  for (int64_t t = 0; t < plan->n_tasks; t++) /* values that nobody reads cannot be, but accumulators of shared kernels can */
    if (!visit(&o, (int32_t)t)) MX_TRY(MX_NOMEM(err, plan->fn));
done:
  mx_vec_free(mem, &o.stack);
  mx_free(mem, o.state);
  mx_free(mem, o.combine);
  mx_free(mem, o.pending);
  mx_free(mem, o.sibling);
  mx_free(mem, o.readers.first);
  mx_free(mem, o.readers.task);
  mx_free(mem, o.readers.missing);
  return st;
}
