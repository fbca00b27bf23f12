/*
 * Accumulators that lie in the arenas of several devices and become one in the arena of one of them, by a collective operation of the
 * devices: a move that reads all of these arenas. Contract: engine/exec/exec.h.
 */
#include "engine/exec/exec.h"

static void join_done(mx_transfer *t) { mx_move_done(t->user); }

/* The arena in which they are joined comes first. */
static mx_gather *new_gather(const mx_exec *x, const mx_step *s, mx_join join) {
  const mx_plan *p = x->plan;
  const mx_ptask *t = &p->tasks.at[p->chunks.at[s->id].producer];
  mx_gather *g = mx_calloc(x->mem, 1, sizeof *g);
  if (!g) return NULL;
  g->n = 1;
  for (int32_t i = t->first_in; i < t[1].first_in; i++) {
    const int32_t c = p->ins.at[i];
    const int device = mx_join_device(p, c), at = device == s->device ? 0 : g->n++;
    g->from[at].device = device;
    g->from[at].chunk = c;
    g->part[at].kind = MX_TRANSFER_JOIN;
    g->part[at].join = join;
    g->part[at].peer = x->lane[s->device].dev;
    g->part[at].bytes = (size_t)p->chunks.at[c].index * mars_dtype_bytes(join.dtype);
  }
  return g;
}

static mx_move *begin_join(mx_exec *x, const mx_step *s, int32_t number) {
  mx_join join;
  mx_move *m = mx_move_new(x, MX_MOVE_JOIN, s->id, number);
  if (!m) return NULL;
  x->half[number] = m;
  (void)mx_plan_joins(x->plan, x->plan->chunks.at[s->id].producer, &join); /* or there would be no such step */
  m->gather = new_gather(x, s, join);
  if (m->gather) return m;
  mx_exec_nomem(x);
  return NULL;
}

bool mx_exec_join(mx_exec *x, mx_lane *l, const mx_step *s, int32_t number) {
  const mx_plan *p = x->plan;
  mx_move *m = x->half[number] ? x->half[number] : begin_join(x, s, number);
  if (!m) return false;
  mx_gather *g = m->gather;
  for (int i = 0; i < g->n; i++) {
    const int32_t c = g->from[i].chunk;
    if (g->from[i].device != l->device) continue;
    g->part[i].src = mx_lane_place(l, &p->chunks.at[c], l->offset[c]);
    g->from[i].made = l->made[c];
    g->from[i].loading = l->loading[c] == MX_IO_WAITS || l->loading[c] == MX_IO_FLIES;
    l->sent[c] = 1;
    if (!mx_lane_out_begins(x, l, number)) return false;
  }
  if (l->device == s->device) {
    g->part[0].dst = mx_lane_expects(x, l, s, m);
  }
  if (++m->halves != g->n) return true;
  x->half[number] = NULL;
  g->part[0].done = join_done;
  g->part[0].user = m;
  mx_move_start_or_wait(x, m);
  return true;
}

bool mx_gather_is_there(const mx_exec *x, const mx_gather *g) {
  for (int i = 0; i < g->n; i++)
    if (g->from[i].loading || g->from[i].made > x->lane[g->from[i].device].computed) return false;
  return true;
}

void mx_gather_start(mx_exec *x, mx_move *m) {
  mx_gather *g = m->gather;
  mx_transfer *list[MX_MOST_BROADCAST];
  mx_device *of[MX_MOST_BROADCAST];
  for (int i = 0; i < g->n; i++) {
    list[i] = &g->part[i];
    of[i] = x->lane[g->from[i].device].dev;
  }
  of[0]->ops->join(of[0], list, of, g->n);
}

void mx_gather_arrived(mx_gather *g, int arena, int32_t chunk) {
  for (int i = 0; i < g->n; i++)
    if (g->from[i].device == arena && g->from[i].chunk == chunk) g->from[i].loading = false;
}
