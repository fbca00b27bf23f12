/*
 * What travels while a plan is played: chunks from and to files and the spill store, and from arena to arena. Each starts as
 * soon as what it reads is there and what it writes is free; they end in any order.
 */
#include "engine/exec/exec.h"

#include <string.h>

/* ---- what reads an arena for others ---- */

static void out_ended(mx_lane *l, int32_t step) {
  for (int64_t i = l->out_from; i < l->out.n; i++)
    if (l->out.at[i] == step) {
      l->out.at[i] = -1;
      break;
    }
  while (l->out_from < l->out.n && l->out.at[l->out_from] < 0) l->out_from++;
  if (l->out_from == l->out.n) l->out_from = l->out.n = 0;
}

bool mx_lane_out_begins(mx_exec *x, mx_lane *l, int32_t step) {
  if (mx_vec_push(x->mem, &l->out, step)) return true;
  mx_exec_nomem(x);
  return false;
}

/* ---- records ---- */

void mx_move_done(mx_move *m) {
  m->message.kind = MX_MSG_MOVE;
  mx_mailbox_post(&m->x->actor->reports, &m->message);
}

static void io_done(mx_io *req) { mx_move_done(req->user); }
static void copy_done(mx_transfer *t) { mx_move_done(t->user); }

mx_move *mx_move_new(mx_exec *x, mx_move_kind kind, int32_t chunk, int32_t step) {
  mx_move *m = x->spare;
  if (m) x->spare = m->next;
  else m = mx_alloc(x->mem, sizeof *m);
  if (!m) {
    mx_exec_nomem(x);
    return NULL;
  }
  memset(m, 0, offsetof(mx_move, extent));
  m->x = x;
  m->kind = kind;
  m->chunk = chunk;
  m->step = step;
  m->made = -1;
  m->from = m->to = -1;
  m->fence = (mx_fence){-1, -1};
  return m;
}

static void recycle(mx_exec *x, mx_move *m) {
  mx_free(x->mem, m->gather);
  m->gather = NULL;
  m->next = x->spare;
  x->spare = m;
}

static void free_list(mx_exec *x, mx_move *m) {
  while (m) {
    mx_move *next = m->next;
    mx_free(x->mem, m->gather);
    mx_free(x->mem, m);
    m = next;
  }
}

void mx_exec_free_moves(mx_exec *x) {
  free_list(x, x->waiting);
  free_list(x, x->spare);
  for (int64_t i = 0; x->half && i < x->plan->steps.n; i++) {
    if (x->half[i]) x->half[i]->next = NULL;
    free_list(x, x->half[i]);
  }
  mx_free(x->mem, x->half);
}

/* ---- starting ---- */

static bool may_start(const mx_exec *x, const mx_move *m) {
  if (m->to >= 0) {
    const mx_lane *l = &x->lane[m->to];
    if (m->fence.after > l->computed || m->fence.after_store >= mx_lane_oldest_out(l)) return false;
  }
  if (m->gather) return mx_gather_is_there(x, m->gather);
  /* loads of what a store has not written yet have a fence of their own in the host's lane */
  return m->from < 0 || (!m->loading && m->made <= x->lane[m->from].computed);
}

static const char *name_of(const mx_move *m) {
  if (m->kind == MX_MOVE_LOAD) return m->spill ? "load of a spilled chunk" : "load";
  if (m->kind == MX_MOVE_STORE) return m->spill ? "spill" : "store";
  if (m->kind == MX_MOVE_JOIN) return "join";
  return m->from == 0 ? "copy up" : m->to == 0 ? "copy down" : "copy from a peer";
}

static void begins(mx_exec *x, mx_move *m) {
  x->flying++;
  if (x->session->ranges) m->range = x->session->ranges->start(name_of(m), m->step);
  if (m->to >= 0) x->lane[m->to].loading[m->chunk] = MX_IO_FLIES;
}

static void start(mx_exec *x, mx_move *m) {
  begins(x, m);
  if (m->gather) {
    mx_gather_start(x, m);
    return;
  }
  if (m->kind == MX_MOVE_COPY) {
    mx_device *dev = x->lane[m->to ? m->to : m->from].dev;
    dev->ops->transfer(dev, &m->copy);
    return;
  }
  mx_io *req = &m->io;
  if (m->spill) x->slot_busy[x->slot_of[m->chunk]] = 1;
  x->session->store->ops->submit(x->session->store, &req, 1);
}

void mx_move_start_or_wait(mx_exec *x, mx_move *m) {
  if (may_start(x, m)) start(x, m);
  else {
    m->next = NULL;
    *x->waiting_tail = m;
    x->waiting_tail = &m->next;
  }
}

static bool to_peer(const mx_move *m) { return m->kind == MX_MOVE_COPY && m->copy.kind == MX_TRANSFER_PEER; }

/* Begins m, which has left the list of those that wait, and with it what waits behind *rest and brings the same chunk from the same
   device to others. */
static void start_together(mx_exec *x, mx_move *m, mx_move **rest) {
  mx_device *from = x->lane[m->from].dev;
  mx_transfer *list[MX_MOST_BROADCAST] = {&m->copy};
  mx_device *to[MX_MOST_BROADCAST] = {x->lane[m->to].dev};
  int n = 1;
  for (mx_move **p = rest; *p && n < MX_MOST_BROADCAST;) {
    mx_move *o = *p;
    if (!to_peer(o) || o->from != m->from || o->chunk != m->chunk || !may_start(x, o)) {
      p = &o->next;
      continue;
    }
    *p = o->next;
    list[n] = &o->copy;
    to[n++] = x->lane[o->to].dev;
    begins(x, o);
  }
  if (n == 1) {
    start(x, m);
    return;
  }
  begins(x, m);
  from->ops->broadcast(from, list, to, n);
}

bool mx_exec_start_waiting(mx_exec *x) {
  bool any = false;
  mx_move **p = &x->waiting;
  while (*p) {
    mx_move *m = *p;
    if (!may_start(x, m)) {
      p = &m->next;
      continue;
    }
    *p = m->next;
    if (to_peer(m) && x->lane[m->from].dev->ops->broadcast) start_together(x, m, p);
    else start(x, m);
    any = true;
  }
  x->waiting_tail = p;
  return any;
}

/* ---- files and spill store ---- */

static mx_move *new_io(mx_exec *x, mx_move_kind kind, int32_t chunk, int32_t step) {
  mx_move *m = mx_move_new(x, kind, chunk, step);
  if (!m) return NULL;
  const mx_lane *host = &x->lane[0];
  const mx_pchunk *c = &x->plan->chunks.at[chunk];
  m->io.user = m;
  m->io.done = io_done;
  m->io.tag = (uint64_t)chunk;
  m->io.buf = host->binder.base + host->offset[chunk];
  m->io.phase = c->phase;
  m->io.bytes = (size_t)c->bytes;
  m->io.buf_bytes = (size_t)mx_space_round((int64_t)c->phase + c->bytes + (c->phase ? MX_IO_ALIGN - 1 : 0));
  return m;
}

/* Where a chunk stands in its file: one run, or rows. */
static void file_region(const mx_pvalue *v, int32_t index, mx_move *m) {
  int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS], stride[MARS_MAX_DIMS], elem = (int64_t)mars_dtype_bytes(v->dtype);
  int nd = v->shape.ndim, run = nd;
  mx_grid_chunk(&v->grid, &v->shape, index, start, extent);
  mx_strides_c(nd, v->shape.dims, elem, stride);
  for (int d = 0; d < nd; d++) m->io.offset += start[d] * stride[d];
  bool whole = true; /* dimensions from `run` on are contiguous in the file */
  while (run > 0 && whole) {
    run--;
    whole = extent[run] == v->shape.dims[run];
  }
  m->io.rows = 1;
  for (int d = 0; d < run; d++) {
    m->extent[d] = extent[d];
    m->row_step[d] = stride[d];
    m->io.rows *= extent[d];
  }
  m->io.row_ndim = run;
  m->io.row_extent = m->extent;
  m->io.row_step = m->row_step;
}

bool mx_exec_load(mx_exec *x, const mx_step *s, int32_t number) {
  mx_lane *host = &x->lane[0];
  host->offset[s->id] = s->offset;
  host->freed[s->id] = 0;
  mx_move *m = new_io(x, MX_MOVE_LOAD, s->id, number);
  if (!m) return false;
  const mx_pchunk *c = &x->plan->chunks.at[s->id];
  m->to = 0;
  m->fence = (mx_fence){s->after, s->after_store};
  if (s->tier == MX_TIER_SPILL) {
    m->spill = true;
    m->io.kind = MX_IO_SPILL_READ;
    m->io.slot = &x->slots[x->slot_of[s->id]];
    if (!x->slot_busy[x->slot_of[s->id]] && m->io.slot->dir) m->io.tag = m->io.slot->tag; /* of this job or an earlier one */
    else { /* its store has not ended: the slot is not filled in yet, the tag will be this chunk's */
      if (m->fence.after_store < number - 1) m->fence.after_store = number - 1;
    }
  } else {
    const mx_pvalue *v = &x->plan->values.at[c->value];
    m->io.kind = MX_IO_SOURCE_READ;
    m->io.source = v->value->source;
    file_region(v, c->index, m);
  }
  host->loading[s->id] = MX_IO_WAITS;
  mx_move_start_or_wait(x, m);
  return true;
}

/* The read side: what must have been made, or have arrived, before. */
static bool reads(mx_exec *x, mx_lane *l, mx_move *m) {
  m->from = l->device;
  m->made = l->made[m->chunk];
  m->loading = l->loading[m->chunk] == MX_IO_WAITS || l->loading[m->chunk] == MX_IO_FLIES;
  return mx_lane_out_begins(x, l, m->step);
}

bool mx_exec_store(mx_exec *x, const mx_step *s, int32_t number) {
  mx_move *m = new_io(x, MX_MOVE_STORE, s->id, number);
  if (!m) return false;
  const mx_pchunk *c = &x->plan->chunks.at[s->id];
  if (s->tier == MX_TIER_SPILL) {
    int32_t k = x->slot_of[s->id];
    if (k < 0) k = x->slot_of[s->id] = x->n_slots++;
    m->spill = true;
    m->io.kind = MX_IO_SPILL_WRITE;
    m->io.slot = &x->slots[k];
    x->slot_busy[k] = 1;
  } else {
    const mx_pvalue *v = &x->plan->values.at[c->value];
    m->io.kind = MX_IO_SINK_WRITE;
    m->io.sink = v->sink;
    file_region(v, c->index, m);
  }
  if (!reads(x, &x->lane[0], m)) {
    recycle(x, m);
    return false;
  }
  mx_move_start_or_wait(x, m);
  return true;
}

void mx_exec_slot_release(mx_exec *x, int32_t chunk) {
  int32_t k = x->slot_of[chunk];
  if (k < 0) return;
  if (x->slot_busy[k]) x->slot_dead[k] = 1;
  else if (x->slots[k].dir) x->session->store->ops->slot_free(x->session->store, &x->slots[k]), x->slots[k].dir = 0;
}

/* ---- from arena to arena ---- */

char *mx_lane_place(const mx_lane *l, const mx_pchunk *c, int64_t offset) {
  return l->binder.base + offset + mx_chunk_phase(c, l->device);
}

char *mx_lane_expects(const mx_exec *x, mx_lane *l, const mx_step *s, mx_move *m) {
  l->offset[s->id] = s->offset;
  l->freed[s->id] = 0;
  l->loading[s->id] = MX_IO_WAITS;
  l->made[s->id] = -1;
  m->to = l->device;
  m->fence = (mx_fence){s->after, s->after_store};
  return mx_lane_place(l, &x->plan->chunks.at[s->id], s->offset);
}

bool mx_exec_copy(mx_exec *x, mx_lane *l, const mx_step *s, int32_t number) {
  const mx_pchunk *c = &x->plan->chunks.at[s->id];
  mx_move *m = x->half[number];
  if (!m && !(m = x->half[number] = mx_move_new(x, MX_MOVE_COPY, s->id, number))) return false;
  if (l->device == s->device) {
    m->copy.dst = mx_lane_expects(x, l, s, m);
    m->halves |= 2;
  } else {
    m->copy.src = mx_lane_place(l, c, l->offset[s->id]);
    m->halves |= 1;
    if (!reads(x, l, m)) return false;
  }
  if (m->halves != 3) return true;
  x->half[number] = NULL;
  m->copy.kind = m->from == 0 ? MX_TRANSFER_UP : m->to == 0 ? MX_TRANSFER_DOWN : MX_TRANSFER_PEER;
  m->copy.peer = m->copy.kind == MX_TRANSFER_PEER ? x->lane[m->from].dev : NULL;
  m->copy.bytes = (size_t)c->bytes;
  m->copy.done = copy_done;
  m->copy.user = m;
  mx_move_start_or_wait(x, m);
  return true;
}

/* ---- the end of one ---- */

/* The chunk has arrived: copies that wait for it in this arena need not look again, since it may leave and come back. */
static void arrived(mx_exec *x, int arena, int32_t chunk) {
  const mx_lane *l = &x->lane[arena];
  if (x->n == 1) return; /* what a lone host loads it does not write anywhere */
  for (mx_move *m = x->waiting; m; m = m->next) {
    if (m->from == arena && m->chunk == chunk) m->loading = false;
    if (m->gather) mx_gather_arrived(m->gather, arena, chunk);
  }
  for (int64_t i = l->out_from; i < l->out.n; i++) { /* and those that the other lane has not come to yet */
    mx_move *m = l->out.at[i] >= 0 ? x->half[l->out.at[i]] : NULL;
    if (m && m->gather) mx_gather_arrived(m->gather, arena, chunk);
    else if (m && m->chunk == chunk) m->loading = false;
  }
}

static void io_ended(mx_exec *x, mx_move *m) {
  if (m->io.status != MARS_OK) mx_exec_fail(x, 0, m->io.status, &m->io.err);
  if (m->spill) {
    int32_t k = x->slot_of[m->chunk];
    x->slot_busy[k] = 0;
    if (m->kind == MX_MOVE_STORE && m->io.status != MARS_OK) x->slots[k].dir = 0; /* nothing is there; the arena still has it */
    if (x->slot_dead[k]) mx_exec_slot_release(x, m->chunk);
  }
  mars_stats *st = &x->job->stats;
  size_t n = m->io.bytes;
  if (m->io.kind == MX_IO_SOURCE_READ) st->source_read_bytes += n;
  else if (m->io.kind == MX_IO_SINK_WRITE) st->sink_written_bytes += n;
  else if (m->io.kind == MX_IO_SPILL_READ) st->spill_read_bytes += n;
  else st->spill_written_bytes += n;
}

static int lane_of(const mx_exec *x, const mx_device *dev, int otherwise) {
  for (int i = 0; i < x->n && dev; i++)
    if (x->lane[i].dev == dev) return i;
  return otherwise;
}

static mars_status copy_ended(mx_exec *x, mx_move *m) {
  const mx_transfer *t = m->gather ? &m->gather->part[0] : &m->copy;
  const int other = m->to ? m->to : m->from;
  if (t->status != MARS_OK) mx_exec_fail(x, lane_of(x, t->failed, other), t->status, &t->err);
  for (int i = 0; m->gather && i < m->gather->n; i++) out_ended(&x->lane[m->gather->from[i].device], m->step);
  x->job->stats.copied_bytes += t->bytes * (size_t)(m->gather ? m->gather->n - 1 : 1);
  if (m->gather && t->status == MARS_OK) atomic_fetch_add_explicit(&x->job->tasks_done, 1, memory_order_relaxed);
  return t->status;
}

void mx_exec_move_ended(mx_exec *x, mx_move *m) {
  x->flying--;
  if (x->session->ranges) x->session->ranges->end(m->range);
  mars_status st = m->io.status;
  if (m->kind == MX_MOVE_COPY || m->gather) st = copy_ended(x, m);
  else io_ended(x, m);
  if (m->from >= 0) out_ended(&x->lane[m->from], m->step);
  if (m->to >= 0) {
    x->lane[m->to].loading[m->chunk] = st == MARS_OK ? MX_IO_DONE : MX_IO_WAITS;
    if (st == MARS_OK) arrived(x, m->to, m->chunk);
  }
  recycle(x, m);
}
