/*
 * The executor plays a schedule: transfers are started as soon as their memory is free, compute steps are handed to the
 * device's owner in batches of independent calls, and nothing waits but for what it needs.
 *
 * Compute steps end in order; stores and loads end in any order. A step's fences (engine/plan/plan.h) say what must have
 * ended before its memory may be written.
 */
#include "engine/exec/actor.h"
#include "engine/exec/bind.h"
#include "engine/exec/owner.h"

#include <string.h>
#include <time.h>

enum {
  BATCH_CALLS = 256,
  BATCH_POINTS = 1 << 22,      /* elements: a batch of more would keep finished loads waiting */
  BATCH_POINTS_ALONE = 1 << 24, /* of a plan without transfers: more would keep a cancelled job running */
  BATCHES_IN_FLIGHT = 3,
  POLL_MS = 100
};

typedef enum io_state { IO_NONE, IO_WAITS, IO_FLIES, IO_DONE } io_state;

typedef struct transfer {
  mx_message message; /* first */
  mx_io io;
  struct exec *x;
  int32_t chunk, step;
  mx_fence fence;
  bool store, spill;
  int64_t extent[MARS_MAX_DIMS], row_step[MARS_MAX_DIMS];
  struct transfer *next;
} transfer;

typedef struct exec {
  mx_actor *actor;
  mars_session *session;
  mars_job *job;
  mx_plan *plan;
  mx_mem *mem;
  mx_binder binder;
  int64_t *offset;    /* per chunk: where it is now, -1 */
  int32_t *made;      /* per chunk: COMPUTE step that wrote or last read it, -1 */
  uint8_t *loading;   /* per chunk: io_state of its load */
  uint8_t *freed;     /* per chunk: it has left the arena; what it held is there until its store has ended */
  int32_t *slot_of;   /* per chunk: number in slots, -1 */
  mx_slot *slots;
  int32_t n_slots;
  uint8_t *slot_dead; /* per slot: free it when its store has ended */
  uint8_t *slot_busy;
  transfer *waiting, **waiting_tail; /* not started yet, in step order */
  transfer *spare;
  MX_VEC(int32_t) stores;            /* STORE steps that have not ended, ascending; ended ones become -1 */
  int64_t stores_from;
  int64_t flying;
  mx_batch *batch;                   /* being filled */
  mx_batch *spare_batches;
  int batches, n_spare;              /* launched and not reported */
  int64_t batch_points, most_points;
  int32_t computed;                  /* last COMPUTE step that has ended */
  int64_t pc;
  bool failed;
  mars_status status;
  mars_error error;
  int64_t next_progress_ns;
} exec;

static void fail(exec *x, mars_status st, const mars_error *err) {
  if (x->failed) return;
  x->failed = true;
  x->status = st;
  if (err) x->error = *err;
}

static void fail_nomem(exec *x) {
  mars_error e = {0};
  fail(x, MX_NOMEM(&e, x->plan->fn), &e);
}

/* ---- transfers ---- */

static int32_t oldest_store(const exec *x) { return x->stores_from < x->stores.n ? x->stores.at[x->stores_from] : INT32_MAX; }

static void store_ended(exec *x, int32_t step) {
  for (int64_t i = x->stores_from; i < x->stores.n; i++)
    if (x->stores.at[i] == step) {
      x->stores.at[i] = -1;
      break;
    }
  while (x->stores_from < x->stores.n && x->stores.at[x->stores_from] < 0) x->stores_from++;
  if (x->stores_from == x->stores.n) x->stores_from = x->stores.n = 0;
}

static bool fence_open(const exec *x, mx_fence f) { return f.after <= x->computed && f.after_store < oldest_store(x); }

static void io_done(mx_io *req) {
  transfer *t = req->user;
  t->message.kind = MX_MSG_IO;
  mx_mailbox_post(&t->x->actor->inbox, &t->message);
}

static transfer *new_transfer(exec *x, int32_t chunk, int32_t step) {
  transfer *t = x->spare;
  if (t) x->spare = t->next;
  else t = mx_alloc(x->mem, sizeof *t);
  if (!t) {
    fail_nomem(x);
    return NULL;
  }
  const mx_pchunk *c = &x->plan->chunks.at[chunk];
  memset(t, 0, offsetof(transfer, extent));
  t->x = x;
  t->chunk = chunk;
  t->step = step;
  t->io.user = t;
  t->io.done = io_done;
  t->io.tag = (uint64_t)chunk;
  t->io.buf = x->binder.base + x->offset[chunk];
  t->io.phase = c->phase;
  t->io.bytes = (size_t)c->bytes;
  t->io.buf_bytes = (size_t)mx_space_round((int64_t)c->phase + c->bytes + (c->phase ? MX_IO_ALIGN - 1 : 0));
  return t;
}

/* Where a chunk stands in its file: one run, or rows. */
static void file_region(const mx_pvalue *v, int32_t index, transfer *t) {
  int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS], stride[MARS_MAX_DIMS], elem = (int64_t)mars_dtype_bytes(v->dtype);
  int nd = v->shape.ndim, run = nd;
  mx_grid_chunk(&v->grid, &v->shape, index, start, extent);
  mx_strides_c(nd, v->shape.dims, elem, stride);
  for (int d = 0; d < nd; d++) t->io.offset += start[d] * stride[d];
  bool whole = true; /* dimensions from `run` on are contiguous in the file */
  while (run > 0 && whole) {
    run--;
    whole = extent[run] == v->shape.dims[run];
  }
  t->io.rows = 1;
  for (int d = 0; d < run; d++) {
    t->extent[d] = extent[d];
    t->row_step[d] = stride[d];
    t->io.rows *= extent[d];
  }
  t->io.row_ndim = run;
  t->io.row_extent = t->extent;
  t->io.row_step = t->row_step;
}

static void start(exec *x, transfer *t) {
  mx_io *req = &t->io;
  if (t->spill) x->slot_busy[x->slot_of[t->chunk]] = 1;
  if (!t->store) x->loading[t->chunk] = IO_FLIES;
  x->flying++;
  x->session->store->ops->submit(x->session->store, &req, 1);
}

static bool may_start(const exec *x, const transfer *t) {
  return fence_open(x, t->fence);
}

static void start_or_wait(exec *x, transfer *t) {
  if (may_start(x, t)) start(x, t);
  else {
    t->next = NULL;
    *x->waiting_tail = t;
    x->waiting_tail = &t->next;
  }
}

static bool start_waiting(exec *x) {
  bool any = false;
  transfer **p = &x->waiting;
  while (*p) {
    transfer *t = *p;
    if (!may_start(x, t)) {
      p = &t->next;
      continue;
    }
    *p = t->next;
    start(x, t);
    any = true;
  }
  x->waiting_tail = p;
  return any;
}

static bool do_load(exec *x, const mx_step *s, int32_t number) {
  x->offset[s->id] = s->offset;
  x->freed[s->id] = 0;
  transfer *t = new_transfer(x, s->id, number);
  if (!t) return false;
  const mx_pchunk *c = &x->plan->chunks.at[s->id];
  t->fence = (mx_fence){s->after, s->after_store};
  if (s->tier == MX_TIER_SPILL) {
    t->spill = true;
    t->io.kind = MX_IO_SPILL_READ;
    t->io.slot = &x->slots[x->slot_of[s->id]];
    if (!x->slot_busy[x->slot_of[s->id]] && t->io.slot->dir) t->io.tag = t->io.slot->tag; /* of this job or an earlier one */
    else { /* its store has not ended: the slot is not filled in yet, the tag will be this chunk's */
      if (t->fence.after_store < number - 1) t->fence.after_store = number - 1;
    }
  } else {
    const mx_pvalue *v = &x->plan->values.at[c->value];
    t->io.kind = MX_IO_SOURCE_READ;
    t->io.source = v->value->source;
    file_region(v, c->index, t);
  }
  x->loading[s->id] = IO_WAITS;
  start_or_wait(x, t);
  return true;
}

static bool do_store(exec *x, const mx_step *s, int32_t number) {
  transfer *t = new_transfer(x, s->id, number);
  if (!t) return false;
  const mx_pchunk *c = &x->plan->chunks.at[s->id];
  t->store = true;
  t->fence = (mx_fence){x->made[s->id], -1}; /* what it writes has been computed */
  if (s->tier == MX_TIER_SPILL) {
    int32_t k = x->slot_of[s->id];
    if (k < 0) k = x->slot_of[s->id] = x->n_slots++;
    t->spill = true;
    t->io.kind = MX_IO_SPILL_WRITE;
    t->io.slot = &x->slots[k];
    x->slot_busy[k] = 1;
  } else {
    const mx_pvalue *v = &x->plan->values.at[c->value];
    t->io.kind = MX_IO_SINK_WRITE;
    t->io.sink = v->sink;
    file_region(v, c->index, t);
  }
  if (!mx_vec_push(x->mem, &x->stores, number)) {
    t->next = x->spare;
    x->spare = t;
    fail_nomem(x);
    return false;
  }
  start_or_wait(x, t);
  return true;
}

static void slot_release(exec *x, int32_t chunk) {
  int32_t k = x->slot_of[chunk];
  if (k < 0) return;
  if (x->slot_busy[k]) x->slot_dead[k] = 1;
  else if (x->slots[k].dir) x->session->store->ops->slot_free(x->session->store, &x->slots[k]), x->slots[k].dir = 0;
}

static void transfer_ended(exec *x, transfer *t) {
  x->flying--;
  if (t->io.status != MARS_OK) fail(x, t->io.status, &t->io.err);
  if (t->spill) {
    int32_t k = x->slot_of[t->chunk];
    x->slot_busy[k] = 0;
    if (t->store && t->io.status != MARS_OK) x->slots[k].dir = 0; /* nothing is there; the arena still has it */
    if (x->slot_dead[k]) slot_release(x, t->chunk);
  }
  if (t->store) store_ended(x, t->step);
  else x->loading[t->chunk] = t->io.status == MARS_OK ? IO_DONE : IO_WAITS;
  mars_stats *st = &x->job->stats;
  size_t n = t->io.bytes;
  if (t->io.kind == MX_IO_SOURCE_READ) st->source_read_bytes += n;
  else if (t->io.kind == MX_IO_SINK_WRITE) st->sink_written_bytes += n;
  else if (t->io.kind == MX_IO_SPILL_READ) st->spill_read_bytes += n;
  else st->spill_written_bytes += n;
  t->next = x->spare;
  x->spare = t;
}

/* ---- compute ---- */

static mx_batch *new_batch(exec *x) {
  mx_batch *b = x->spare_batches;
  if (b) {
    x->spare_batches = (mx_batch *)b->message.next;
    x->n_spare--;
  } else {
    b = mx_alloc(x->mem, sizeof *b);
    if (b && !(b->calls = mx_alloc(x->mem, BATCH_CALLS * sizeof *b->calls))) {
      mx_free(x->mem, b);
      b = NULL;
    }
    if (b) mx_pool_init(&b->pool, x->mem);
  }
  if (!b) {
    fail_nomem(x);
    return NULL;
  }
  b->n = 0;
  b->tasks = 0;
  x->batch_points = 0;
  return b;
}

static void recycle(exec *x, mx_batch *b) {
  mx_pool_reset(&b->pool);
  b->message.next = (mx_message *)x->spare_batches;
  x->spare_batches = b;
  x->n_spare++;
}

static void flush(exec *x) {
  if (!x->batch) return;
  mx_batch *b = x->batch;
  x->batch = NULL;
  x->batches++;
  mx_owner_launch(x->actor->owner, b);
}

static void batch_ended(exec *x, mx_batch *b) {
  x->batches--;
  x->computed = b->last_step;
  if (b->status != MARS_OK) fail(x, b->status, &b->error);
  atomic_fetch_add_explicit(&x->job->tasks_done, b->tasks, memory_order_relaxed);
  recycle(x, b);
}

static int64_t call_points(const mx_call *c) {
  if (c->kind == MX_CALL_COMBINE) return c->kept * c->n_partials;
  if (c->kind == MX_CALL_TILE) return BATCH_POINTS / 32; /* large ones: up to 32 side by side */
  int64_t n = 1;
  for (int d = 0; d < c->ndim; d++) n *= c->shape[d];
  return n;
}

/* false: cannot go on now (or failed) */
static bool do_compute(exec *x, const mx_step *s, int32_t number) {
  const mx_plan *p = x->plan;
  const mx_ptask *t = &p->tasks.at[s->id];
  if (x->batches >= BATCHES_IN_FLIGHT) return false;
  if (s->after_store >= oldest_store(x)) return false;
  int32_t first = x->batch ? x->batch->first_step : INT32_MAX;
  bool depends = s->after >= first;
  for (int32_t i = t->first_in; i < t[1].first_in; i++) {
    int32_t c = p->ins.at[i];
    uint8_t l = x->loading[c];
    if (l == IO_WAITS || l == IO_FLIES) return false;
    depends |= p->chunks.at[c].producer >= 0 && x->made[c] >= first;
  }
  if (x->batch && (depends || x->batch->n == BATCH_CALLS || x->batch_points >= x->most_points)) {
    flush(x);
    if (x->batches >= BATCHES_IN_FLIGHT) return false;
  }
  if (!x->batch && !(x->batch = new_batch(x))) return false;
  mx_batch *b = x->batch;
  mx_call *call = mx_bind_call(&x->binder, s->id, s->offset, &b->pool);
  if (!call) {
    fail_nomem(x);
    return false;
  }
  if (!b->n) b->first_step = number;
  b->last_step = number;
  b->calls[b->n++] = call;
  b->tasks++;
  x->batch_points += call_points(call);
  for (int32_t i = t->first_out; i < t[1].first_out; i++) x->made[p->outs.at[i]] = number;
  return true;
}

/* Memory of a freed chunk may still be read by what is queued: whoever writes it next is fenced. */
static bool do_free(exec *x, const mx_step *s) {
  if (x->loading[s->id] == IO_WAITS || x->loading[s->id] == IO_FLIES) return false;
  x->loading[s->id] = IO_NONE;
  x->freed[s->id] = 1;
  if (s->flags & MX_FREE_DEAD) slot_release(x, s->id);
  return true;
}

static bool do_step(exec *x) {
  int32_t number = (int32_t)x->pc;
  const mx_step *s = &x->plan->steps.at[x->pc];
  switch (s->kind) {
  case MX_STEP_ALLOC:
    x->offset[s->id] = s->offset;
    x->freed[s->id] = 0;
    return true;
  case MX_STEP_LOAD: return do_load(x, s, number);
  case MX_STEP_STORE: return do_store(x, s, number);
  case MX_STEP_COMPUTE: return do_compute(x, s, number);
  case MX_STEP_FREE: return do_free(x, s);
  default: {
    mars_error e = {0};
    fail(x, mx_fail(&e, MARS_E_INTERNAL, "%s: step %d is of kind %d, which this device does not have", x->plan->fn, number, s->kind), &e);
    return false;
  }
  }
}

/* ---- the loop ---- */

static void report_progress(exec *x) {
  mars_session *s = x->session;
  int64_t now = mx_now_ns();
  if (!s->config.progress || now < x->next_progress_ns) return;
  x->next_progress_ns = now + POLL_MS * 1000000;
  mars_progress p;
  mars_job_get_progress(x->job, &p);
  s->config.progress(s->config.user, x->job, &p);
}

static void take_messages(exec *x, int timeout_ms) {
  mx_message *m = mx_mailbox_take(&x->actor->inbox, timeout_ms);
  while (m) {
    mx_message *next = m->next;
    if (m->kind == MX_MSG_BATCH) batch_ended(x, (mx_batch *)m);
    else if (m->kind == MX_MSG_IO) transfer_ended(x, (transfer *)m);
    else {
      m->next = NULL;
      *x->actor->held_tail = m;
      x->actor->held_tail = &m->next;
    }
    m = next;
  }
}

static void play(exec *x) {
  for (int64_t spin = 0;; spin++) {
    bool cancel = atomic_load_explicit(&x->job->cancel, memory_order_relaxed) || atomic_load_explicit(&x->actor->stopping, memory_order_relaxed);
    if (cancel && !x->failed) {
      mars_error e = {0};
      fail(x, mx_fail(&e, MARS_E_CANCELLED, "%s: cancelled", x->plan->fn), &e);
    }
    if (!x->failed) start_waiting(x);
    while (!x->failed && x->pc < x->plan->steps.n && do_step(x)) {
      x->pc++;
      if (!(x->pc & 1023)) take_messages(x, 0);
    }
    flush(x);
    bool idle = !x->batches && !x->flying;
    if (x->failed ? idle : idle && x->pc == x->plan->steps.n && !x->waiting) return;
    if (!x->failed && idle) { /* fences may have opened by what ended while steps were taken */
      if (start_waiting(x) || (x->pc < x->plan->steps.n && spin < 2)) continue;
      if (x->flying || x->batches) continue;
    }
    take_messages(x, POLL_MS);
    if (x->batches || x->flying) spin = 0;
    report_progress(x);
  }
}

/* ---- beginning and end ---- */

static bool begin(exec *x) {
  mx_plan *p = x->plan;
  size_t n = (size_t)p->chunks.n + 1, spills = 1;
  x->most_points = BATCH_POINTS_ALONE;
  for (int64_t i = 0; i < p->steps.n; i++) {
    const mx_step *s = &p->steps.at[i];
    spills += s->kind == MX_STEP_STORE && s->tier == MX_TIER_SPILL;
    if (s->kind == MX_STEP_STORE || s->kind == MX_STEP_LOAD) x->most_points = BATCH_POINTS;
  }
  for (int64_t v = 0; v < p->values.n; v++)
    if (p->values.at[v].kind == MX_PV_KEPT) spills += (size_t)p->values.at[v].grid.total;
  x->offset = mx_alloc(x->mem, n * sizeof *x->offset);
  x->made = mx_alloc(x->mem, n * sizeof *x->made);
  x->loading = mx_calloc(x->mem, n, 1);
  x->freed = mx_calloc(x->mem, n, 1);
  x->slot_of = mx_alloc(x->mem, n * sizeof *x->slot_of);
  x->slots = mx_calloc(x->mem, spills, sizeof *x->slots);
  x->slot_dead = mx_calloc(x->mem, spills, 1);
  x->slot_busy = mx_calloc(x->mem, spills, 1);
  if (!x->offset || !x->made || !x->loading || !x->freed || !x->slot_of || !x->slots || !x->slot_dead || !x->slot_busy) return false;
  memset(x->offset, -1, n * sizeof *x->offset);
  memset(x->made, -1, n * sizeof *x->made);
  memset(x->slot_of, -1, n * sizeof *x->slot_of);
  for (int64_t v = 0; v < p->values.n; v++) {
    const mx_pvalue *pv = &p->values.at[v];
    if (pv->kind != MX_PV_KEPT) continue;
    for (int64_t i = 0; i < pv->grid.total; i++) {
      const mx_chunk *e = &pv->value->chunks[i];
      x->offset[pv->first_chunk + i] = e->offset;
      if (!e->slot.dir) continue;
      x->slot_of[pv->first_chunk + i] = x->n_slots;
      x->slots[x->n_slots++] = e->slot;
    }
  }
  x->binder.offset = x->offset;
  return true;
}

/* Kept values, and new ones if the run went well, learn where their chunks are now; all other slots are given back. */
static void write_back(exec *x, bool ok) {
  mx_plan *p = x->plan;
  for (int64_t v = 0; v < p->values.n; v++) {
    const mx_pvalue *pv = &p->values.at[v];
    if (pv->kind == MX_PV_CONCAT || pv->kind == MX_PV_MEMORY) continue;
    for (int64_t i = 0; i < pv->grid.total; i++) {
      int32_t c = pv->first_chunk + (int32_t)i, k = x->slot_of[c];
      bool theirs = pv->kind == MX_PV_KEPT, ours = ok && pv->keep && pv->value;
      if (theirs || ours) {
        mx_chunk *e = &pv->value->chunks[i];
        bool spilled = k >= 0 && x->slots[k].dir;
        bool there = !x->freed[c] && x->loading[c] != IO_WAITS && x->loading[c] != IO_FLIES;
        e->offset = there || !spilled ? x->offset[c] : -1;
        e->phase = p->chunks.at[c].phase;
        e->slot = spilled ? x->slots[k] : (mx_slot){0};
      } else if (k >= 0 && x->slots[k].dir) {
        x->session->store->ops->slot_free(x->session->store, &x->slots[k]);
      }
    }
  }
  for (int64_t c = 0; c < p->chunks.n; c++) { /* accumulators and carries may have been spilled too */
    int32_t k = x->slot_of[c];
    if (p->chunks.at[c].value < 0 && k >= 0 && x->slots[k].dir) x->session->store->ops->slot_free(x->session->store, &x->slots[k]);
  }
}

static void end(exec *x) {
  while (x->waiting) {
    transfer *t = x->waiting;
    x->waiting = t->next;
    mx_free(x->mem, t);
  }
  while (x->spare) {
    transfer *t = x->spare;
    x->spare = t->next;
    mx_free(x->mem, t);
  }
  if (x->batch) recycle(x, x->batch);
  while (x->spare_batches) {
    mx_batch *b = x->spare_batches;
    x->spare_batches = (mx_batch *)b->message.next;
    mx_free(x->mem, b->calls);
    mx_free(x->mem, b);
  }
  mx_vec_free(x->mem, &x->stores);
  mx_free(x->mem, x->offset);
  mx_free(x->mem, x->made);
  mx_free(x->mem, x->loading);
  mx_free(x->mem, x->freed);
  mx_free(x->mem, x->slot_of);
  mx_free(x->mem, x->slots);
  mx_free(x->mem, x->slot_dead);
  mx_free(x->mem, x->slot_busy);
}

mars_status mx_execute(mx_actor *actor, mars_job *job, mx_plan *plan, mx_kernel **kernels, mx_scratch_fn *scratch,
                       void *scratch_ctx, mars_error *err) {
  mars_session *s = actor->session;
  exec x = {.actor = actor, .session = s, .job = job, .plan = plan, .mem = &s->mem, .computed = -1};
  x.binder = (mx_binder){.plan = plan, .kernels = kernels, .base = s->base, .scratch = scratch, .scratch_ctx = scratch_ctx};
  x.waiting_tail = &x.waiting;
  x.next_progress_ns = mx_now_ns() + POLL_MS * 1000000;
  if (begin(&x)) {
    play(&x);
    write_back(&x, !x.failed);
  } else {
    fail_nomem(&x);
  }
  end(&x);
  if (x.failed && err) *err = x.error;
  return x.failed ? x.status : MARS_OK;
}
