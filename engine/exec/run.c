/*
 * The public calls that run graphs: submit, wait, fetch, save, explain.
 */
#include "engine/exec/export.h"

#include <string.h>

static mars_status check_output(mars_session *s, const char *fn, size_t i, const mars_output *o, mars_error *err) {
  if (!o->tensor) return mx_fail(err, MARS_E_MEMORY, "%s: output %zu is NULL: memory for its handle could not be had", fn, i);
  if (o->tensor->session != s) return mx_fail(err, MARS_E_ARG, "%s: output %zu belongs to another session", fn, i);
  mars_status st = mars_check(o->tensor, err);
  if (st != MARS_OK) return st;
  size_t bytes = (size_t)o->tensor->node->size * mars_dtype_bytes(o->tensor->node->dtype);
  switch (o->sink) {
  case MARS_SINK_KEEP: return MARS_OK;
  case MARS_SINK_MEMORY:
    if (bytes != o->bytes)
      return mx_fail(err, MARS_E_ARG, "%s: output %zu needs exactly %zu bytes of memory, %zu are given", fn, i, bytes, o->bytes);
    if (bytes && !o->data) return mx_fail(err, MARS_E_ARG, "%s: output %zu has no memory: data is NULL", fn, i);
    return MARS_OK;
  case MARS_SINK_NPY:
    if (!o->path || !o->path[0]) return mx_fail(err, MARS_E_ARG, "%s: output %zu has no path", fn, i);
    return MARS_OK;
  }
  return mx_fail(err, MARS_E_ARG, "%s: output %zu has sink %d, which is none of MARS_SINK_*", fn, i, (int)o->sink);
}

static mars_status make_job(mars_session *s, const char *fn, const mars_output *outputs, size_t n, int explain, mars_job **out,
                            mars_error *err) {
  mars_status st = MARS_OK;
  mars_job *job = NULL;
  *out = NULL;
  if (!s) return mx_fail(err, MARS_E_ARG, "%s: the session is NULL", fn);
  if (n && !outputs) return mx_fail(err, MARS_E_ARG, "%s: outputs is NULL, but %zu are announced", fn, n);
  for (size_t i = 0; i < n; i++) MX_TRY(check_output(s, fn, i, &outputs[i], err));
  job = mx_alloc(&s->mem, sizeof *job);
  if (!job) MX_TRY(MX_NOMEM(err, fn));
  job->session = s;
  job->fn = fn;
  job->explain = explain;
  atomic_init(&job->refs, 1);
  pthread_mutex_init(&job->lock, NULL);
  pthread_cond_init(&job->ended, NULL);
  mx_job_list(job);
  job->wants = mx_calloc(&s->mem, n + 1, sizeof *job->wants);
  job->paths = mx_calloc(&s->mem, n + 1, sizeof *job->paths);
  if (!job->wants || !job->paths) MX_TRY(MX_NOMEM(err, fn));
  for (size_t i = 0; i < n; i++) {
    job->wants[i] = (mx_want){.node = outputs[i].tensor->node, .sink = outputs[i].sink, .data = outputs[i].data};
    mx_node_retain(job->wants[i].node);
    job->n_wants = i + 1;
    if (outputs[i].sink != MARS_SINK_NPY) continue;
    job->paths[i] = mx_strdup(&s->mem, outputs[i].path);
    if (!job->paths[i]) MX_TRY(MX_NOMEM(err, fn));
  }
  *out = job;
  job = NULL;
done:
  if (job) mx_job_unref(job);
  return st;
}

/* Where each of the caller's streams is now. */
static mars_status mark_streams(mars_job *job, mars_error *err) {
  mars_session *s = job->session;
  for (int d = 1; d < s->machine.n_devices; d++) {
    mx_device *dev = s->machine.device[d].dev;
    pthread_mutex_lock(&s->export_lock);
    void *stream = s->stream[d];
    pthread_mutex_unlock(&s->export_lock);
    if (stream == MARS_NO_STREAM) continue;
    mars_status st = dev->ops->mark_create(dev, stream, &job->mark[d], err);
    if (st != MARS_OK) return st;
  }
  return MARS_OK;
}

static mars_status start(mars_job *job, mars_error *err) {
  mars_status st = job->explain < 0 ? mark_streams(job, err) : MARS_OK;
  if (st != MARS_OK) return st;
  atomic_fetch_add(&job->refs, 1); /* the actor's */
  mx_actor_submit(job->session->actor, job);
  return MARS_OK;
}

static mars_status submit(mars_session *s, const char *fn, const mars_output *outputs, size_t n, int explain, mars_job **out,
                          mars_error *err) {
  mars_status st = make_job(s, fn, outputs, n, explain, out, err);
  if (st != MARS_OK) return st;
  st = start(*out, err);
  if (st == MARS_OK) return MARS_OK;
  mx_job_unref(*out);
  *out = NULL;
  return st;
}

static mars_status run_now(mars_session *s, const char *fn, const mars_output *outputs, size_t n, mars_error *err) {
  mars_job *job = NULL;
  mars_status st = make_job(s, fn, outputs, n, -1, &job, err);
  if (st != MARS_OK) return st;
  st = mark_streams(job, err);
  if (st != MARS_OK) {
    mx_job_unref(job);
    return st;
  }
  atomic_fetch_add(&job->refs, 1); /* the actor's */
  if (!mx_actor_run_here(s->actor, job)) mx_actor_submit(s->actor, job);
  st = mars_wait(job, err);
  mars_job_release(job);
  return st;
}

mars_status mx_run_export(mars_tensor *t, const char *fn, mx_export *e, mars_error *err) {
  mars_status st = MARS_OK;
  mars_job *job = NULL;
  const mars_output o = {.tensor = t, .sink = MARS_SINK_KEEP};
  MX_TRY(make_job(t->session, fn, &o, 1, -1, &job, err));
  job->wants[0].sink = MARS_SINK_MEMORY;
  job->wants[0].device = e->device;
  job->wants[0].lent = e;
  MX_TRY(start(job, err));
  MX_TRY(mars_wait(job, err));
done:
  if (job) mx_job_unref(job);
  return st;
}

mars_status mars_submit(mars_session *s, const mars_output *outputs, size_t n, mars_job **out, mars_error *err) {
  if (!out) return mx_fail(err, MARS_E_ARG, "mars_submit: out is NULL: there is no place for the job");
  return submit(s, "mars_submit", outputs, n, -1, out, err);
}

mars_status mars_wait(mars_job *job, mars_error *err) {
  if (!job) return mx_fail(err, MARS_E_ARG, "mars_wait: the job is NULL");
  pthread_mutex_lock(&job->lock);
  while (!job->done) pthread_cond_wait(&job->ended, &job->lock);
  mars_status st = job->status;
  if (st != MARS_OK && err) *err = job->error;
  pthread_mutex_unlock(&job->lock);
  return st;
}

void mars_cancel(mars_job *job) {
  if (job) atomic_store(&job->cancel, true);
}

bool mars_job_done(mars_job *job) {
  if (!job) return true;
  pthread_mutex_lock(&job->lock);
  bool done = job->done;
  pthread_mutex_unlock(&job->lock);
  return done;
}

void mars_job_get_progress(mars_job *job, mars_progress *out) {
  int64_t done = atomic_load(&job->tasks_done), total = atomic_load(&job->tasks_total), t0 = atomic_load(&job->started_ns);
  *out = (mars_progress){.tasks_done = done, .tasks_total = total, .eta_seconds = -1};
  if (t0) out->seconds = (double)(mx_now_ns() - t0) * 1e-9;
  if (done > 0 && total > 0) out->eta_seconds = out->seconds * (double)(total - done) / (double)done;
}

void mars_job_get_stats(mars_job *job, mars_stats *out) {
  *out = (mars_stats){0};
  if (mars_job_done(job)) *out = job->stats;
}

void mars_job_release(mars_job *job) {
  if (!job) return;
  mars_wait(job, NULL);
  mx_job_unref(job);
}

mars_status mars_run(mars_session *s, mars_tensor *const *tensors, size_t n, mars_error *err) {
  if (!s) return mx_fail(err, MARS_E_ARG, "mars_run: the session is NULL");
  if (n && !tensors) return mx_fail(err, MARS_E_ARG, "mars_run: tensors is NULL, but %zu are announced", n);
  mars_output *outputs = mx_calloc(&s->mem, n + 1, sizeof *outputs);
  if (!outputs) return MX_NOMEM(err, "mars_run");
  for (size_t i = 0; i < n; i++) outputs[i] = (mars_output){.tensor = tensors[i], .sink = MARS_SINK_KEEP};
  mars_status st = run_now(s, "mars_run", outputs, n, err);
  mx_free(&s->mem, outputs);
  return st;
}

mars_status mars_fetch(mars_tensor *t, void *dst, size_t bytes, mars_error *err) {
  if (!t) return mx_fail(err, MARS_E_MEMORY, "mars_fetch: the tensor is NULL: memory for its handle could not be had");
  mars_output o = {.tensor = t, .sink = MARS_SINK_MEMORY, .data = dst, .bytes = bytes};
  return run_now(t->session, "mars_fetch", &o, 1, err);
}

mars_status mars_save_npy(mars_tensor *t, const char *path, mars_error *err) {
  if (!t) return mx_fail(err, MARS_E_MEMORY, "mars_save_npy: the tensor is NULL: memory for its handle could not be had");
  mars_output o = {.tensor = t, .sink = MARS_SINK_NPY, .path = path};
  return run_now(t->session, "mars_save_npy", &o, 1, err);
}

mars_status mars_explain(mars_session *s, const mars_output *outputs, size_t n, mars_explain_format format, char **text,
                         mars_error *err) {
  mars_job *job = NULL;
  if (!text) return mx_fail(err, MARS_E_ARG, "mars_explain: text is NULL: there is no place for the result");
  *text = NULL;
  if (format != MARS_EXPLAIN_TEXT && format != MARS_EXPLAIN_DOT)
    return mx_fail(err, MARS_E_ARG, "mars_explain: format %d is neither MARS_EXPLAIN_TEXT nor MARS_EXPLAIN_DOT", (int)format);
  mars_status st = submit(s, "mars_explain", outputs, n, (int)format, &job, err);
  if (st != MARS_OK) return st;
  st = mars_wait(job, err);
  if (st == MARS_OK) {
    *text = job->text;
    job->text = NULL;
  }
  mars_job_release(job);
  return st;
}

void mars_text_free(mars_session *s, char *text) {
  if (s) mx_free(&s->mem, text);
}

mars_tensor *mx_eager(mars_tensor *t) {
  if (!t || !t->node || !t->session->config.eager || t->node->value) return t;
  mars_error err = {0};
  mars_status st = mars_run(t->session, &t, 1, &err);
  if (st == MARS_OK) return t;
  return mx_tensor_error(t->session, st, "%s", err.message);
}
