#include "engine/exec/export.h"
#include "engine/exec/owner.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t mx_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- jobs ---- */

static void drop_nodes(mars_job *job) {
  for (size_t i = 0; i < job->n_wants; i++) {
    if (job->wants[i].node) mx_node_release(&job->session->graph, job->wants[i].node);
    job->wants[i].node = NULL;
  }
}

void mx_job_list(mars_job *job) {
  mx_actor *a = job->session->actor;
  pthread_mutex_lock(&a->kept_lock);
  job->next = a->jobs;
  if (job->next) job->next->prev = job;
  a->jobs = job;
  pthread_mutex_unlock(&a->kept_lock);
}

static void unlist(mars_job *job) {
  mx_actor *a = job->session->actor;
  pthread_mutex_lock(&a->kept_lock);
  if (job->next) job->next->prev = job->prev;
  if (job->prev) job->prev->next = job->next;
  else if (a->jobs == job) a->jobs = job->next;
  pthread_mutex_unlock(&a->kept_lock);
}

static void free_job(mars_job *job) {
  mars_session *s = job->session;
  unlist(job);
  drop_nodes(job);
  for (int d = 1; d < s->machine.n_devices; d++)
    if (job->mark[d]) s->machine.device[d].dev->ops->mark_destroy(s->machine.device[d].dev, job->mark[d]);
  for (size_t i = 0; i < job->n_wants; i++) mx_free(&s->mem, job->paths[i]);
  mx_free(&s->mem, job->wants);
  mx_free(&s->mem, job->paths);
  mx_free(&s->mem, job->text);
  pthread_cond_destroy(&job->ended);
  pthread_mutex_destroy(&job->lock);
  mx_free(&s->mem, job);
}

void mx_job_unref(mars_job *job) {
  if (atomic_fetch_sub(&job->refs, 1) == 1) free_job(job);
}

/* Who waits finds everything given back: the nodes before, the actor's reference together with the news, so that the
   caller's is the last one then. */
void mx_job_end(mars_job *job, mars_status st, const mars_error *err) {
  drop_nodes(job);
  pthread_mutex_lock(&job->lock);
  job->status = st;
  if (st != MARS_OK && err) job->error = *err;
  atomic_fetch_sub(&job->refs, 1);
  job->done = true;
  pthread_cond_broadcast(&job->ended);
  pthread_mutex_unlock(&job->lock);
}

/* ---- values that come and go ---- */

static void forget(mx_actor *a, mx_value *v) {
  mx_store *store = a->session->store;
  for (int64_t i = 0; i < v->grid.total; i++)
    if (v->chunks[i].slot.dir) store->ops->slot_free(store, &v->chunks[i].slot);
  for (int64_t i = 0; i < a->kept.n; i++)
    if (a->kept.at[i] == v) {
      a->kept.at[i] = a->kept.at[--a->kept.n];
      break;
    }
  mx_value_free(v);
}

void mx_actor_discard(mx_actor *a, mx_value *value) {
  pthread_mutex_lock(&a->kept_lock);
  if (a->busy) {
    value->next = a->discarded;
    a->discarded = value;
  } else {
    forget(a, value);
  }
  pthread_mutex_unlock(&a->kept_lock);
}

static void become_busy(mx_actor *a) {
  pthread_mutex_lock(&a->kept_lock);
  a->busy = true;
  pthread_mutex_unlock(&a->kept_lock);
}

static void become_idle(mx_actor *a) {
  pthread_mutex_lock(&a->kept_lock);
  while (a->discarded) {
    mx_value *v = a->discarded;
    a->discarded = v->next;
    forget(a, v);
  }
  a->busy = false;
  pthread_mutex_unlock(&a->kept_lock);
}

static void count_used(mx_actor *a) {
  long long used = 0;
  for (int64_t k = 0; k < a->kept.n; k++) {
    const mx_value *v = a->kept.at[k];
    int64_t elem = (int64_t)mars_dtype_bytes(v->dtype), start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS];
    for (int64_t i = 0; i < v->grid.total; i++) {
      if (v->chunks[i].offset < 0) continue;
      mx_grid_chunk(&v->grid, &v->shape, i, start, extent);
      int64_t n = elem;
      for (int d = 0; d < v->shape.ndim; d++) n *= extent[d];
      used += n;
    }
  }
  pthread_mutex_lock(&a->session->export_lock);
  for (const mx_export *e = a->session->exports; e; e = e->next)
    if (!e->device) used += (long long)e->bytes;
  pthread_mutex_unlock(&a->session->export_lock);
  atomic_store(&a->used_bytes, used);
}

/* ---- running ---- */

typedef struct run {
  mx_actor *actor;
  mars_job *job;
  mx_plan *plan;
  mx_kernel **kernels[MX_MAX_DEVICES]; /* of each device, those that it runs */
  int64_t n_kernels;
  mx_culprit culprit;
  mars_error left_out; /* why the last device was that this job began with and does without: lost, or for want of memory */
  mx_value **kept; /* retained while the job runs */
  size_t n_kept;
  mx_hold *holds;  /* of what was given away */
  int64_t n_holds;
} run;

static size_t scratch_of(void *ctx, int device, const mx_pkernel *kernel, const int64_t *shape) {
  run *r = ctx;
  int64_t i = kernel - r->plan->kernels.at;
  mx_device *dev = r->actor->session->machine.device[device].dev;
  return dev->ops->kernel_scratch(dev, r->kernels[device][i], shape);
}

/* What kernel_create says of a device with memory of its own says which device it is. */
static mars_status make_kernel(run *r, int d, int64_t i, mars_error *err) {
  const mx_machine_device *m = &r->actor->session->machine.device[d];
  mars_error bad = {0};
  if (d && r->plan->kernels.at[i].routine) return MARS_OK; /* its tile operations are the device's own */
  mars_status st = m->dev->ops->kernel_create(m->dev, &r->plan->kernels.at[i].prog, &r->kernels[d][i], &bad);
  if (st == MARS_OK) return st;
  if (d && st == MARS_E_DEVICE) r->culprit.lost = d;
  if (d && st == MARS_E_MEMORY) r->culprit.full = d;
  if (err) *err = bad;
  if (d && !strstr(bad.message, m->name)) (void)mx_fail(err, st, "%s: device %s: %s", r->plan->fn, m->name, bad.message);
  return st;
}

/* Kernels that are there stay: plans with smaller chunks have the same programs. */
static mars_status make_kernels(void *ctx, mx_plan *plan, mars_error *err) {
  run *r = ctx;
  const int n = r->actor->session->machine.n_devices;
  r->plan = plan;
  r->n_kernels = plan->kernels.n;
  for (int d = 0; d < n; d++) {
    if (!r->kernels[d]) r->kernels[d] = mx_calloc(plan->mem, (size_t)plan->kernels.n + 1, sizeof *r->kernels[d]);
    if (!r->kernels[d]) return MX_NOMEM(err, plan->fn);
    for (int64_t i = 0; i < plan->kernels.n; i++) {
      if (!(plan->kernels.at[i].devices >> d & 1) || r->kernels[d][i]) continue;
      mars_status st = make_kernel(r, d, i, err);
      if (st != MARS_OK) return st;
    }
  }
  return MARS_OK;
}

static mars_status hold_kept(run *r, mars_error *err) {
  mx_actor *a = r->actor;
  r->kept = mx_calloc(&a->session->mem, (size_t)a->kept.n + 1, sizeof *r->kept);
  if (!r->kept) return MX_NOMEM(err, r->job->fn);
  for (int64_t i = 0; i < a->kept.n; i++)
    if (mx_value_try_retain(a->kept.at[i])) r->kept[r->n_kept++] = a->kept.at[i];
  return MARS_OK;
}

/* Results that are given away get their places, and the plan goes round all such. */
static mars_status place_exports(run *r, mars_error *err) {
  mars_job *job = r->job;
  for (size_t i = 0; i < job->n_wants; i++) {
    mx_want *w = &job->wants[i];
    if (!w->lent || !w->lent->bytes) continue;
    mars_status st = mx_export_place(r->actor, w->lent, job->fn, err);
    if (st != MARS_OK) return st;
    w->data = mx_export_data(w->lent);
  }
  return mx_export_list(r->actor->session, &r->holds, &r->n_holds, job->fn, err);
}

/* The devices do nothing before what was in the caller's streams has ended. A device that fails here is not lost for that. */
static mars_status wait_for_streams(const run *r, mars_error *err) {
  const mx_machine *m = &r->actor->session->machine;
  for (int d = 1; d < m->n_devices; d++) {
    if (!r->job->mark[d] || m->device[d].lost) continue;
    mars_status st = m->device[d].dev->ops->mark_wait(m->device[d].dev, r->job->mark[d], err);
    if (st != MARS_OK) return st;
  }
  return mx_export_settle(r->actor->session, true, err);
}

static mars_status create_sinks(run *r, mars_error *err) {
  mars_job *job = r->job;
  mx_store *store = r->actor->session->store;
  for (size_t i = 0; i < job->n_wants; i++) {
    mx_want *w = &job->wants[i];
    if (w->sink != MARS_SINK_NPY || job->explain >= 0) continue;
    mars_status st = store->ops->sink_create(store, job->fn, job->paths[i], w->node->dtype, &w->node->shape, &w->file, err);
    if (st != MARS_OK) return st;
  }
  return MARS_OK;
}

/* Records for the values that will stay, made before anything runs so that nothing can fail afterwards. */
static mars_status prepare_kept(run *r, mars_error *err) {
  mx_actor *a = r->actor;
  mx_plan *p = r->plan;
  if (!mx_vec_reserve(&a->session->mem, &a->kept, a->kept.n + p->values.n + 1)) return MX_NOMEM(err, p->fn);
  for (int64_t i = 0; i < p->values.n; i++) {
    mx_pvalue *v = &p->values.at[i];
    if (v->kind != MX_PV_NEW || !v->keep) continue;
    v->value = mx_value_chunks(a->session, v->dtype, &v->shape, &v->grid);
    if (!v->value) return MX_NOMEM(err, p->fn);
  }
  return MARS_OK;
}

static void publish_kept(run *r, bool ok) {
  mx_actor *a = r->actor;
  mx_plan *p = r->plan;
  for (int64_t i = 0; p && i < p->values.n; i++) {
    mx_pvalue *v = &p->values.at[i];
    if (v->kind != MX_PV_NEW || !v->keep || !v->value) continue;
    if (!ok) {
      mx_value_free(v->value);
    } else {
      a->kept.at[a->kept.n++] = v->value;
      if (v->node->value) mx_value_release(v->value); /* wanted twice */
      else mx_node_set_value(&a->session->graph, v->node, v->value);
    }
    v->value = NULL;
  }
}

static mars_status finish_sinks(run *r, mars_status st, mars_error *err) {
  mars_job *job = r->job;
  mx_store *store = r->actor->session->store;
  for (size_t i = 0; i < job->n_wants; i++) {
    mx_sink *file = job->wants[i].file;
    job->wants[i].file = NULL;
    if (!file) continue;
    if (st == MARS_OK) st = store->ops->sink_commit(file, err);
    else store->ops->sink_abort(file);
  }
  return st;
}

/* Each once. What a plan says of a method in brackets is about other outcomes than the one there was. */
static void list_methods(mars_job *job, const mx_plan *plan) {
  char *out = job->stats.methods;
  const size_t room = sizeof job->stats.methods;
  out[0] = '\0';
  for (int64_t i = 0; i < plan->kernels.n; i++) {
    const mx_pkernel *k = &plan->kernels.at[i];
    char text[sizeof job->stats.methods];
    if (!k->method) continue;
    const char *more = strstr(k->method, " (");
    snprintf(text, sizeof text, "%s by %.*s", mx_op_row_of(k->node->op)->info.name, (int)(more ? more - k->method : (ptrdiff_t)strlen(k->method)),
             k->method);
    const size_t n = strlen(out);
    if (!strstr(out, text)) snprintf(out + n, room - n, "%s%s", n ? "; " : "", text);
  }
}

static void fill_stats(mars_job *job, const mx_plan *plan, double plan_seconds) {
  job->stats.tasks = plan->n_tasks;
  job->stats.kernels = plan->kernels.n;
  job->stats.steps = plan->steps.n;
  job->stats.plan_seconds = plan_seconds;
  job->stats.peak_arena_bytes = plan->stats.peak_bytes;
  job->stats.recomputed_tasks = plan->stats.recomputed;
  atomic_store(&job->tasks_total, plan->stats.computes);
}

static void drop_plan(run *r) {
  mars_session *s = r->actor->session;
  for (int d = 0; d < s->machine.n_devices; d++) {
    mx_device *dev = s->machine.device[d].dev;
    for (int64_t i = 0; r->kernels[d] && i < r->n_kernels; i++)
      if (r->kernels[d][i]) dev->ops->kernel_destroy(dev, r->kernels[d][i]);
    mx_free(&s->mem, r->kernels[d]);
    r->kernels[d] = NULL;
  }
  r->n_kernels = 0;
  r->plan = NULL;
}

/* Plan and play, or explain. *out, to be destroyed by the caller: also after a failure, if there is one. */
static mars_status run_plan(run *r, const mx_plan_input *input, mx_plan **out, mars_error *err) {
  mx_actor *a = r->actor;
  mars_job *job = r->job;
  mars_status st = MARS_OK;
  int64_t t0 = mx_now_ns(), t1;
  MX_TRY(mx_plan_make(input, make_kernels, scratch_of, r, out, err));
  t1 = mx_now_ns();
  fill_stats(job, *out, (double)(t1 - t0) * 1e-9);
  if (job->explain >= 0) {
    job->text = mx_explain(*out, (mars_explain_format)job->explain);
    if (!job->text) MX_TRY(MX_NOMEM(err, job->fn));
    goto done;
  }
  MX_TRY(prepare_kept(r, err));
  MX_TRY(mx_execute(a, job, *out, r->kernels, scratch_of, r, &r->culprit, err));
  job->stats.run_seconds = (double)(mx_now_ns() - t1) * 1e-9;
  list_methods(job, *out);
done:
  return st;
}

/* What a device has beyond its arena (a routine's workspace, kernels) is not planned. It has waited for its own work and given back
   what it could: now tasks are split, and in the end the others do without it, in this job only. */
static bool with_less(run *r, const mars_error *bad, mx_plan_input *input) {
  mars_session *s = r->actor->session;
  const int full = r->culprit.full;
  if (input->without >> full & 1) return false;
  const bool split = !input->smaller;
  if (split) input->smaller = 1;
  else input->without |= 1u << full, r->left_out = *bad;
  mx_log(s, MARS_LOG_WARNING, "%s; the job is run again %s %s", bad->message,
         split ? "in smaller tasks, for the sake of device" : "without device", s->machine.device[full].name);
  return true;
}

/* A factorisation may find that the matrix needs another method; a device may be lost, and the others do its part: what is kept
   is on the host as well. */
static bool another_way(run *r, mars_status st, const mars_error *bad, mx_plan_input *input) {
  mars_session *s = r->actor->session;
  const int lost = r->culprit.lost;
  if (r->culprit.full > 0 && st == MARS_E_MEMORY) return with_less(r, bad, input);
  if (lost > 0 && !s->machine.device[lost].lost) {
    mx_session_lose(s, lost, bad);
    r->left_out = *bad;
    mx_log(s, MARS_LOG_WARNING, "%s; the job is run again without device %s", bad->message, s->machine.device[lost].name);
    return true;
  }
  if (st != MX_E_CONDITION || bad->code <= input->exact || bad->code > 2) return false;
  mx_log(s, MARS_LOG_INFO, "%s; the job is run again, with %s", bad->message,
         bad->code == 1 ? "a second pass of Cholesky QR" : "Householder reflections");
  input->exact = (int)bad->code;
  return true;
}

/* A plan that is refused after a device was left out lacks that device: the reason is what happened there. */
static mars_status reason_of(const run *r, mars_status st, mars_error *bad) {
  if (r->left_out.status == MARS_OK || (st != MARS_E_UNSUPPORTED && st != MARS_E_BUDGET)) return st;
  *bad = r->left_out;
  return bad->status;
}

static bool is_cancelled(void *ctx) {
  const run *r = ctx;
  return mx_job_is_cancelled(r->actor, r->job);
}

mars_status mx_actor_run(mx_actor *a, mars_job *job, mars_error *err) {
  mars_session *s = a->session;
  mars_status st = MARS_OK;
  run r = {.actor = a, .job = job};
  mx_plan *plan = NULL;
  mars_error bad = {0};
  job->started_ns = mx_now_ns();
  become_busy(a);
  if (atomic_load(&job->cancel)) MX_TRY(mx_fail(err, MARS_E_CANCELLED, "%s: cancelled", job->fn));
  MX_TRY(hold_kept(&r, err));
  MX_TRY(place_exports(&r, err));
  MX_TRY(wait_for_streams(&r, err));
  MX_TRY(create_sinks(&r, err));
  mx_plan_input input = {.mem = &s->mem, .machine = &s->machine, .store_ops = s->store->ops, .fn = job->fn, .cancelled = is_cancelled,
                         .cancelled_ctx = &r, .wants = job->wants, .n_wants = job->n_wants, .kept = r.kept, .n_kept = r.n_kept, .holds = r.holds, .n_holds = r.n_holds};
  for (;;) { /* from the beginning, results written over, while a failure says that another plan will do */
    r.culprit = (mx_culprit){-1, -1};
    st = run_plan(&r, &input, &plan, &bad);
    if (!another_way(&r, st, &bad, &input)) break;
    if (plan) publish_kept(&r, false);
    drop_plan(&r);
    mx_plan_destroy(plan);
    plan = NULL;
    atomic_store(&job->tasks_done, 0);
    mx_error_clear(&bad);
  }
  st = reason_of(&r, st, &bad);
  if (st != MARS_OK && err) *err = bad;
done:
  if (plan) publish_kept(&r, st == MARS_OK && job->explain < 0);
  st = finish_sinks(&r, st, err);
  drop_plan(&r);
  mx_plan_destroy(plan);
  for (size_t i = 0; i < r.n_kept; i++) mx_value_release(r.kept[i]);
  mx_free(&s->mem, r.kept);
  mx_free(&s->mem, r.holds);
  count_used(a);
  become_idle(a);
  return st;
}

static void *actor_main(void *arg) {
  mx_actor *a = arg;
  for (;;) {
    mx_message *m = mx_mailbox_take(&a->inbox, -1);
    while (m) {
      mx_message *next = m->next;
      if (m->kind == MX_MSG_STOP) return NULL; /* nothing is submitted after it */
      mars_job *job = (mars_job *)m;
      mars_error err = {0};
      if (atomic_load(&a->stopping)) atomic_store(&job->cancel, true);
      mx_turn_wait(a);
      job->small = mx_job_is_small(job);
      mars_status st = mx_actor_run(a, job, &err);
      mx_turn_ended(a); /* before the news: who hears it finds the turn free */
      mx_job_end(job, st, &err);
      m = next;
    }
  }
}

void mx_actor_submit(mx_actor *a, mars_job *job) {
  job->message.kind = MX_MSG_JOB;
  mx_turn_queue(a);
  mx_mailbox_post(&a->inbox, &job->message);
}

static void destroy_owners(mx_actor *a) {
  for (int d = 0; d < MX_MAX_DEVICES; d++) {
    mx_owner_destroy(a->owner[d]);
    a->owner[d] = NULL;
  }
}

enum { LOCKS = 5 };

/* *made of them are there, whatever comes back: 0 or an errno. */
static int init_locks(mx_actor *a, int *made) {
  int e = mx_mailbox_init(&a->inbox);
  if (!e && ++*made) e = mx_mailbox_init(&a->reports);
  if (!e && ++*made) e = pthread_mutex_init(&a->kept_lock, NULL);
  if (!e && ++*made) e = pthread_mutex_init(&a->turn_lock, NULL);
  if (!e && ++*made) e = pthread_cond_init(&a->turn_free, NULL);
  if (!e) ++*made;
  return e;
}

static void reset_locks(mx_actor *a, int made) {
  if (made > 4) pthread_cond_destroy(&a->turn_free);
  if (made > 3) pthread_mutex_destroy(&a->turn_lock);
  if (made > 2) pthread_mutex_destroy(&a->kept_lock);
  if (made > 1) mx_mailbox_reset(&a->reports);
  if (made > 0) mx_mailbox_reset(&a->inbox);
}

mars_status mx_actor_create(mars_session *s, mx_actor **out, mars_error *err) {
  mars_status st = MARS_OK;
  int made = 0;
  mx_actor *a = mx_alloc(&s->mem, sizeof *a);
  *out = NULL;
  if (!a) return MX_NOMEM(err, "mars_session_create");
  a->session = s;
  a->stop.kind = MX_MSG_STOP;
  int e = init_locks(a, &made);
  if (e) MX_TRY(mx_fail_errno(err, MARS_E_MEMORY, e, "mars_session_create: no lock"));
  for (int d = 0; d < s->machine.n_devices; d++)
    MX_TRY(mx_owner_create(&s->mem, s->machine.device[d].dev, &a->reports, MX_MSG_BATCH, &a->owner[d], err));
  e = pthread_create(&a->thread, NULL, actor_main, a);
  if (e) MX_TRY(mx_fail_errno(err, MARS_E_MEMORY, e, "mars_session_create: no thread for the session"));
  *out = a;
  a = NULL;
done:
  if (a) {
    destroy_owners(a);
    reset_locks(a, made);
    mx_free(&s->mem, a);
  }
  return st;
}

void mx_actor_destroy(mx_actor *a) {
  if (!a) return;
  atomic_store(&a->stopping, true);
  mx_mailbox_post(&a->inbox, &a->stop);
  pthread_join(a->thread, NULL);
  while (a->jobs) free_job(a->jobs); /* all have ended; their handles were not given back */
  destroy_owners(a);
}

void mx_actor_free(mx_actor *a) {
  if (!a) return;
  reset_locks(a, LOCKS);
  mx_vec_free(&a->session->mem, &a->kept);
  mx_free(&a->session->mem, a);
}
