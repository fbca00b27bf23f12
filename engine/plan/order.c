/*
 * The order of tasks: depth first from the wanted outputs, chunk after chunk, so that what is made is used soon and little
 * is alive at a time. Kernels that read the same stored chunks run side by side, and accumulators are combined as soon as
 * a combine task has all of its inputs.
 */
#include "engine/plan/plan.h"

#include <string.h>

enum { MAX_SIBLINGS = 8 };

typedef struct frame {
  int32_t task, next;
} frame;

typedef struct orderer {
  mx_plan *plan;
  uint8_t *state;    /* 0 untouched, 1 on the stack, 2 done */
  int32_t *combine;  /* per chunk: the COMBINE task that reads it, -1 */
  int32_t *pending;  /* per task: COMBINE inputs still to come */
  int32_t (*sibling)[MAX_SIBLINGS]; /* per kernel: kernels to run tile by tile beside it, -1 ends */
  MX_VEC(frame) stack;
} orderer;

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
    if (f->next < t->first_in) f->next = t->first_in;
    int32_t below = -1;
    while (f->next < t[1].first_in && below < 0) {
      int32_t producer = p->chunks.at[p->ins.at[f->next++]].producer;
      if (producer >= 0 && o->state[producer] == 0) below = producer;
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
  return st;
}
