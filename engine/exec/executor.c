/*
 * The executor plays a schedule: transfers are started as soon as their memory is free, compute steps are handed to their
 * device's owner in batches of independent calls, and nothing waits but for what it needs.
 *
 * Each device has a lane, which goes through the steps about its arena in order and stops where it must wait; the others go on.
 * Compute steps of a device end in order; stores, loads and copies end in any order. A step's fences (engine/plan/plan.h) say
 * what must have ended before its memory may be written. Nothing can stop for ever: whatever a step waits for comes before it in
 * the schedule.
 */
#include "engine/exec/exec.h"

#include <string.h>
#include <time.h>

enum {
  BATCH_CALLS = 256,
  BATCH_POINTS = 1 << 22,      /* elements: a batch of more would keep finished loads waiting */
  BATCH_POINTS_ALONE = 1 << 26, /* of a plan without transfers, times half of the instructions: more would keep a cancelled job running */
  BATCHES_IN_FLIGHT = 3,
  ROW_CALLS = 64,              /* that depend on one another, in a batch */
  ROW_ENOUGH = 40,             /* a row of so many ends where it hands nothing on */
  FEW_TASKS = 8,               /* of a small job: more are for all threads */
  POLL_MS = 100
};

void mx_exec_fail(mx_exec *x, int device, mars_status st, const mars_error *err) {
  if (x->failed) return;
  x->failed = true;
  x->status = st;
  if (err) x->error = *err;
  if (!device || st == MARS_E_NUMERIC || st == MX_E_CONDITION) return;
  if (st == MARS_E_DEVICE) x->culprit.lost = device;
  if (st == MARS_E_MEMORY) x->culprit.full = device;
  const char *name = x->plan->machine->device[device].name;
  if (err && strstr(err->message, name)) return;
  x->error.status = st;
  (void)mx_fail_from(&x->error, &x->error, "%s: device %s: %s", x->plan->fn, name, err && err->message[0] ? err->message : mars_status_text(st));
}

void mx_exec_nomem(mx_exec *x) {
  mars_error e = {0};
  mx_exec_fail(x, 0, MX_NOMEM(&e, x->plan->fn), &e);
}

/* ---- compute ---- */

static mx_batch *new_batch(mx_exec *x, mx_lane *l) {
  mx_batch *b = x->spare_batches;
  if (b) x->spare_batches = (mx_batch *)b->message.next;
  else {
    b = mx_alloc(x->mem, sizeof *b);
    if (b && !(b->calls = mx_alloc(x->mem, BATCH_CALLS * sizeof *b->calls))) {
      mx_free(x->mem, b);
      b = NULL;
    }
    if (b) mx_pool_init(&b->pool, x->mem);
  }
  if (!b) {
    mx_exec_nomem(x);
    return NULL;
  }
  b->n = 0;
  b->row = false;
  b->tasks = 0;
  b->device = l->device;
  b->broken = &l->broken;
  b->ranges = x->session->ranges;
  l->batch_points = 0;
  l->handed = 0;
  return b;
}

static void recycle(mx_exec *x, mx_batch *b) {
  mx_pool_reset(&b->pool);
  b->message.next = (mx_message *)x->spare_batches;
  x->spare_batches = b;
}

static void batch_ended(mx_exec *x, mx_batch *b) {
  mx_lane *l = &x->lane[b->device];
  l->batches--;
  l->computed = b->last_step;
  if (b->status != MARS_OK) mx_exec_fail(x, b->device, b->status, &b->error);
  atomic_fetch_add_explicit(&x->job->tasks_done, b->tasks, memory_order_relaxed);
  recycle(x, b);
}

/* A small job's calls are done before another thread would have woken up. */
static bool runs_here(const mx_exec *x, const mx_lane *l) {
  return x->job->small && x->plan->n_tasks <= FEW_TASKS && l->dev->ops->launch_here;
}

static void flush(mx_exec *x, mx_lane *l) {
  if (!l->batch) return;
  mx_batch *b = l->batch;
  l->batch = NULL;
  const bool here = runs_here(x, l) && !l->batches; /* with no batch on its way the owner rests */
  l->batches++;
  if (!here) {
    mx_owner_launch(l->owner, b);
    return;
  }
  mx_batch_launch(l->dev, b, true);
  batch_ended(x, b);
}

static int64_t call_points(const mx_call *c) {
  if (c->kind == MX_CALL_COMBINE) return c->kept * c->n_partials;
  if (c->kind == MX_CALL_TILE) return BATCH_POINTS / 32; /* large ones: up to 32 side by side */
  int64_t n = 1;
  for (int d = 0; d < c->ndim; d++) n *= c->shape[d];
  return n;
}

/* The call of a step that depends on the batch, if it can be done part by part with all of that; else NULL. */
static mx_call *bind_in_row(mx_exec *x, mx_lane *l, const mx_step *s) {
  mx_batch *b = l->batch;
  const mx_device_ops *ops = l->dev->ops;
  if (!ops->follows || runs_here(x, l) || (b->n > 1 && !b->row) || b->n >= ROW_CALLS) return NULL;
  mx_call *call = mx_bind_call(&l->binder, s->id, s->offset, &b->pool);
  if (!call || !ops->follows(l->dev, b->calls, b->n, call)) return NULL;
  b->row = true;
  return call;
}

/* A row is best cut where none of its results are still to be read: then they need not leave the caches. */
static bool row_is_enough(const mx_exec *x, const mx_lane *l) {
  return l->batch->row && !l->handed && (l->batch->n >= ROW_ENOUGH || l->batch_points >= x->most_points / 2);
}

/* false: cannot go on now (or failed) */
static bool do_compute(mx_exec *x, mx_lane *l, const mx_step *s, int32_t number) {
  const mx_plan *p = x->plan;
  const mx_ptask *t = &p->tasks.at[s->id];
  if (l->batches >= BATCHES_IN_FLIGHT) return false;
  if (s->after_store >= mx_lane_oldest_out(l)) return false;
  int32_t first = l->batch ? l->batch->first_step : INT32_MAX;
  bool depends = s->after >= first;
  for (int32_t i = t->first_in; i < t[1].first_in; i++) {
    int32_t c = p->ins.at[i];
    uint8_t state = l->loading[c];
    if (state == MX_IO_WAITS || state == MX_IO_FLIES) return false;
    depends |= p->chunks.at[c].producer >= 0 && l->made[c] >= first;
  }
  const bool full = l->batch && (l->batch->n == BATCH_CALLS || l->batch_points >= x->most_points || row_is_enough(x, l));
  mx_call *call = depends && !full ? bind_in_row(x, l, s) : NULL;
  if (l->batch && !call && (depends || full || l->batch->row)) {
    flush(x, l);
    if (l->batches >= BATCHES_IN_FLIGHT) return false;
  }
  if (!l->batch && !(l->batch = new_batch(x, l))) return false;
  mx_batch *b = l->batch;
  if (!call && !(call = mx_bind_call(&l->binder, s->id, s->offset, &b->pool))) {
    mx_exec_nomem(x);
    return false;
  }
  call->step = number;
  if (!b->n) b->first_step = number;
  b->last_step = number;
  b->calls[b->n++] = call;
  b->tasks++;
  const mx_pkernel *k = &p->kernels.at[t->kernel];
  l->batch_points += call_points(call) * (x->most_points == BATCH_POINTS_ALONE && !k->routine ? (k->prog.n_instrs + 1) / 2 : 1);
  for (int32_t i = t->first_out; i < t[1].first_out; i++) {
    l->made[p->outs.at[i]] = number;
    l->sent[p->outs.at[i]] = 0;
    l->handed += p->chunks.at[p->outs.at[i]].value >= 0; /* accumulators stay in a few lines */
  }
  return true;
}

/* A chunk leaves before the row of calls that makes it is launched: unless it is on its way to somebody else, nobody but them sees it. */
static void note_passing(const mx_exec *x, mx_lane *l, const mx_step *s) {
  const mx_plan *p = x->plan;
  mx_batch *b = l->batch;
  if (!b || l->made[s->id] < b->first_step || l->freed[s->id]) return;
  l->handed -= p->chunks.at[s->id].value >= 0;
  if (!b->row || l->sent[s->id] || s->flags & MX_FREE_TAKEN) return;
  const mx_ptask *t = &p->tasks.at[p->chunks.at[s->id].producer];
  for (int i = 0; i < b->n; i++) {
    mx_call *call = b->calls[i];
    if (call->step != l->made[s->id]) continue;
    if (call->kind == MX_CALL_TILE) call->passing = p->rargs.at[p->rtasks.at[t->tile].first_arg].chunk == s->id;
    for (int32_t o = t->first_out; call->kind == MX_CALL_PROGRAM && o < t[1].first_out; o++)
      if (p->outs.at[o] == s->id && o - t->first_out < MX_MAX_OUTS) call->passing |= 1ull << (o - t->first_out);
  }
}

/* Memory of a freed chunk may still be read by what is queued: whoever writes it next is fenced. */
static bool do_free(mx_exec *x, mx_lane *l, const mx_step *s) {
  if (l->loading[s->id] == MX_IO_WAITS || l->loading[s->id] == MX_IO_FLIES) return false;
  note_passing(x, l, s);
  l->loading[s->id] = MX_IO_NONE;
  l->freed[s->id] = 1;
  if (s->flags & MX_FREE_DEAD) mx_exec_slot_release(x, s->id);
  return true;
}

static bool do_step(mx_exec *x, mx_lane *l) {
  int32_t number = (int32_t)l->pc;
  const mx_step *s = &x->plan->steps.at[l->pc];
  switch (s->kind) {
  case MX_STEP_ALLOC:
    l->offset[s->id] = s->offset;
    l->freed[s->id] = 0;
    return true;
  case MX_STEP_LOAD: return mx_exec_load(x, s, number);
  case MX_STEP_STORE:
    l->sent[s->id] = 1;
    return mx_exec_store(x, s, number);
  case MX_STEP_COPY:
    l->sent[s->id] = 1;
    return mx_exec_copy(x, l, s, number);
  case MX_STEP_COLLECTIVE: return mx_exec_join(x, l, s, number);
  case MX_STEP_COMPUTE: return do_compute(x, l, s, number);
  case MX_STEP_FREE: return do_free(x, l, s);
  default: {
    mars_error e = {0};
    mx_exec_fail(x, 0, mx_fail(&e, MARS_E_INTERNAL, "%s: step %d is of kind %d, which no device has", x->plan->fn, number, s->kind), &e);
    return false;
  }
  }
}

/* ---- the loop ---- */

static void report_progress(mx_exec *x) {
  mars_session *s = x->session;
  int64_t now = mx_now_ns();
  if (!s->config.progress || now < x->next_progress_ns) return;
  x->next_progress_ns = now + POLL_MS * 1000000;
  mars_progress p;
  mars_job_get_progress(x->job, &p);
  s->config.progress(s->config.user, x->job, &p);
}

static void take_messages(mx_exec *x, int timeout_ms) {
  mx_message *m = mx_mailbox_take(&x->actor->reports, timeout_ms);
  while (m) {
    mx_message *next = m->next;
    if (m->kind == MX_MSG_BATCH) batch_ended(x, (mx_batch *)m);
    else mx_exec_move_ended(x, (mx_move *)m);
    m = next;
  }
}

static bool is_about(const mx_exec *x, const mx_step *s, int device) {
  if (s->device == device) return true;
  if (s->kind == MX_STEP_COLLECTIVE) return x->plan->machine->joined >> device & 1;
  return s->kind == MX_STEP_COPY && s->flags == device;
}

/* Steps of one lane, as far as it goes. Whether it took any. */
static bool play_lane(mx_exec *x, mx_lane *l) {
  const int64_t n = x->plan->steps.n, from = l->pc;
  while (!x->failed && l->pc < n) {
    if (x->n > 1 && !is_about(x, &x->plan->steps.at[l->pc], l->device)) {
      l->pc++;
      continue;
    }
    if (!do_step(x, l)) break;
    l->pc++;
    if (!(l->pc & 1023)) take_messages(x, 0);
  }
  return l->pc > from;
}

static bool at_rest(const mx_exec *x) {
  bool rest = !x->flying;
  for (int i = 0; i < x->n; i++) rest &= !x->lane[i].batches;
  return rest;
}

static bool ended(const mx_exec *x) {
  bool end = !x->waiting;
  for (int i = 0; i < x->n; i++) end &= x->lane[i].pc == x->plan->steps.n;
  return end;
}

static void check_cancelled(mx_exec *x) {
  if (!mx_job_is_cancelled(x->actor, x->job) || x->failed) return;
  mars_error e = {0};
  mx_exec_fail(x, 0, mx_fail(&e, MARS_E_CANCELLED, "%s: cancelled", x->plan->fn), &e);
}

static void play(mx_exec *x) {
  for (int still = 0;;) {
    bool any;
    check_cancelled(x);
    do {
      any = !x->failed && mx_exec_start_waiting(x);
      for (int i = 0; i < x->n; i++) any |= play_lane(x, &x->lane[i]);
      if (any) still = 0;
    } while (any && x->n > 1); /* what one lane did may be what another waits for */
    for (int i = 0; i < x->n; i++) flush(x, &x->lane[i]);
    if (at_rest(x)) {
      if (x->failed || ended(x)) return;
      if (++still > 2) { /* nobody will ever wake us */
        mars_error e = {0};
        mx_exec_fail(x, 0, mx_fail(&e, MARS_E_INTERNAL, "%s: the schedule does not go on", x->plan->fn), &e);
      }
      continue; /* fences may have opened by what ended while steps were taken */
    }
    take_messages(x, POLL_MS);
    still = 0;
    report_progress(x);
  }
}

/* ---- beginning and end ---- */

static bool begin_lane(mx_exec *x, mx_lane *l) {
  size_t n = (size_t)x->plan->chunks.n + 1;
  l->offset = mx_alloc(x->mem, n * sizeof *l->offset);
  l->made = mx_alloc(x->mem, n * sizeof *l->made);
  l->loading = mx_calloc(x->mem, n, 1);
  l->freed = mx_calloc(x->mem, n, 1);
  l->sent = mx_calloc(x->mem, n, 1);
  if (!l->offset || !l->made || !l->loading || !l->freed || !l->sent) return false;
  memset(l->offset, -1, n * sizeof *l->offset);
  memset(l->made, -1, n * sizeof *l->made);
  l->binder.offset = l->offset;
  l->computed = -1;
  return true;
}

static bool begin(mx_exec *x) {
  mx_plan *p = x->plan;
  size_t n = (size_t)p->chunks.n + 1, spills = 1;
  x->most_points = BATCH_POINTS_ALONE;
  for (int64_t i = 0; i < p->steps.n; i++) {
    const mx_step *s = &p->steps.at[i];
    spills += s->kind == MX_STEP_STORE && s->tier == MX_TIER_SPILL;
    if (s->kind == MX_STEP_STORE || s->kind == MX_STEP_LOAD || s->kind == MX_STEP_COPY || s->kind == MX_STEP_COLLECTIVE)
      x->most_points = BATCH_POINTS;
  }
  for (int64_t v = 0; v < p->values.n; v++)
    if (p->values.at[v].kind == MX_PV_KEPT) spills += (size_t)p->values.at[v].grid.total;
  for (int i = 0; i < x->n; i++)
    if (!begin_lane(x, &x->lane[i])) return false;
  x->slot_of = mx_alloc(x->mem, n * sizeof *x->slot_of);
  x->slots = mx_calloc(x->mem, spills, sizeof *x->slots);
  x->slot_dead = mx_calloc(x->mem, spills, 1);
  x->slot_busy = mx_calloc(x->mem, spills, 1);
  if (!x->slot_of || !x->slots || !x->slot_dead || !x->slot_busy) return false;
  if (x->n > 1 && !(x->half = mx_calloc(x->mem, (size_t)p->steps.n + 1, sizeof *x->half))) return false;
  memset(x->slot_of, -1, n * sizeof *x->slot_of);
  for (int64_t v = 0; v < p->values.n; v++) {
    const mx_pvalue *pv = &p->values.at[v];
    if (pv->kind != MX_PV_KEPT) continue;
    for (int64_t i = 0; i < pv->grid.total; i++) {
      const mx_chunk *e = &pv->value->chunks[i];
      x->lane[0].offset[pv->first_chunk + i] = e->offset;
      if (e->device && e->device < x->n && mx_plan_may_use(p, e->device)) x->lane[e->device].offset[pv->first_chunk + i] = e->there;
      if (!e->slot.dir) continue;
      x->slot_of[pv->first_chunk + i] = x->n_slots;
      x->slots[x->n_slots++] = e->slot;
    }
  }
  return true;
}

static bool is_there(const mx_lane *l, int32_t c) {
  return l->offset[c] >= 0 && !l->freed[c] && l->loading[c] != MX_IO_WAITS && l->loading[c] != MX_IO_FLIES;
}

/* A device's copy of a kept chunk. What devices had before a job of the host alone is still there. */
static void write_back_copy(const mx_exec *x, int32_t c, mx_chunk *e) {
  if (x->n == 1) return;
  e->device = 0;
  for (int d = 1; d < x->n && !e->device; d++) {
    if (!is_there(&x->lane[d], c) || d == x->culprit.lost) continue;
    e->device = d;
    e->there = x->lane[d].offset[c];
  }
}

/* Kept values, and new ones if the run went well, learn where their chunks are now; all other slots are given back. */
static void write_back(mx_exec *x, bool ok) {
  mx_plan *p = x->plan;
  const mx_lane *host = &x->lane[0];
  for (int64_t v = 0; v < p->values.n; v++) {
    const mx_pvalue *pv = &p->values.at[v];
    if (pv->kind == MX_PV_CONCAT || pv->kind == MX_PV_MEMORY) continue;
    for (int64_t i = 0; i < pv->grid.total; i++) {
      int32_t c = pv->first_chunk + (int32_t)i, k = x->slot_of[c];
      bool theirs = pv->kind == MX_PV_KEPT, ours = ok && pv->keep && pv->value;
      if (theirs || ours) {
        mx_chunk *e = &pv->value->chunks[i];
        bool spilled = k >= 0 && x->slots[k].dir;
        e->offset = is_there(host, c) || !spilled ? host->offset[c] : -1;
        write_back_copy(x, c, e);
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

static void end(mx_exec *x) {
  mx_exec_free_moves(x);
  for (int i = 0; i < x->n; i++) {
    mx_lane *l = &x->lane[i];
    if (l->batch) recycle(x, l->batch);
    mx_vec_free(x->mem, &l->out);
    mx_free(x->mem, l->offset);
    mx_free(x->mem, l->made);
    mx_free(x->mem, l->loading);
    mx_free(x->mem, l->freed);
    mx_free(x->mem, l->sent);
  }
  while (x->spare_batches) {
    mx_batch *b = x->spare_batches;
    x->spare_batches = (mx_batch *)b->message.next;
    mx_free(x->mem, b->calls);
    mx_free(x->mem, b);
  }
  mx_free(x->mem, x->slot_of);
  mx_free(x->mem, x->slots);
  mx_free(x->mem, x->slot_dead);
  mx_free(x->mem, x->slot_busy);
}

mars_status mx_execute(mx_actor *actor, mars_job *job, mx_plan *plan, mx_kernel **const *kernels, mx_scratch_fn *scratch,
                       void *scratch_ctx, mx_culprit *culprit, mars_error *err) {
  mars_session *s = actor->session;
  mx_exec x = {.actor = actor, .session = s, .job = job, .plan = plan, .mem = &s->mem, .culprit = {-1, -1}};
  x.n = plan->task_device ? plan->machine->n_devices : 1;
  for (int d = 0; d < x.n; d++) {
    mx_device *dev = plan->machine->device[d].dev;
    size_t bytes;
    x.lane[d].device = d;
    x.lane[d].dev = dev;
    x.lane[d].owner = actor->owner[d];
    x.lane[d].binder = (mx_binder){.plan = plan, .device = d, .kernels = kernels[d], .base = dev->ops->memory(dev, &bytes),
                                   .scratch = scratch, .scratch_ctx = scratch_ctx};
  }
  x.waiting_tail = &x.waiting;
  x.next_progress_ns = mx_now_ns() + POLL_MS * 1000000;
  if (begin(&x)) {
    play(&x);
    write_back(&x, !x.failed);
  } else {
    mx_exec_nomem(&x);
  }
  end(&x);
  *culprit = x.culprit;
  if (x.failed && err) *err = x.error;
  return x.failed ? x.status : MARS_OK;
}
