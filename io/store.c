/*
 * The store: an actor. Callers put requests into its mailbox; its owner thread cuts them into parts, keeps
 * the ring full in the order of submission, and calls done.
 *
 * Faults are counted when a part is cut, so that "the n-th read" is the same one in every run with the same
 * requests.
 */
#include "io/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_XFERS (MX_PART_DEPTH + 2) /* those with parts in flight, and the one that is being cut */

void mx_io_say(mx_io_log *log, mx_said what, mars_log_level level, const char *fmt, ...) {
  if (atomic_fetch_or(&log->said, what) & what || !log->fn) return;
  char text[512];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  log->fn(log->user, level, text);
}

int mx_io_fault(mx_io_store *store, bool write) {
  atomic_llong *at = write ? &store->write_at : &store->read_at;
  if (atomic_load_explicit(at, memory_order_relaxed) < 0) return 0;
  return atomic_fetch_sub(at, 1) == 0 ? atomic_load(&store->fault) : 0;
}

/* ---- owner thread --------------------------------------------------------------------------------- */

static void complete(mx_io_store *s, mx_xfer *x) {
  mx_io *req = x->req;
  if (x->hash_due) {
    mx_xfer **at = &s->hash;
    while (*at != x) at = &(*at)->next;
    *at = x->next;
    mx_xfer_hash(x);
  }
  mx_xfer_finish(s, x);
  x->next = s->free_xfers;
  s->free_xfers = x;
  req->done(req);
}

static void part_over(mx_io_store *s, mx_part *part) {
  mx_xfer *x = part->xfer;
  part->next = s->free_parts;
  s->free_parts = part;
  if (--x->outstanding == 0 && x->issued) complete(s, x);
}

/* Begin the next waiting request; false: there is none that could begin. */
static bool begin(mx_io_store *s) {
  mx_io *req = s->waiting;
  mx_xfer *x = s->free_xfers;
  if (!req || !x) return false;
  s->waiting = req->next;
  if (!s->waiting) s->waiting_end = &s->waiting;
  s->free_xfers = x->next;
  if (mx_xfer_start(s, x, req) && req->kind == MX_IO_SPILL_WRITE) {
    x->hash_due = true;
    x->next = s->hash;
    s->hash = x;
  }
  s->issuing = x;
  return true;
}

/* Fill the ring. */
static void issue(mx_io_store *s) {
  while (s->free_parts && (s->issuing || begin(s))) {
    mx_xfer *x = s->issuing;
    mx_part *part = s->free_parts;
    if (!mx_xfer_cut(s, x, part)) {
      x->issued = true;
      s->issuing = NULL;
      if (!x->outstanding) complete(s, x);
      continue;
    }
    s->free_parts = part->next;
    x->outstanding++;
    int fault = mx_io_fault(s, part->write);
    if (fault) {
      part->result = -fault;
      part->tries = INT32_MAX - 1; /* EINTR, EAGAIN: meant to be final */
      part->direct = false;
      (void)mx_xfer_take(s, part); /* such a result always ends it */
      part_over(s, part);
    } else {
      s->ring->ops->queue(s->ring, part);
    }
  }
}

/* Hash what is being written while the drive writes it. */
static void hash_writes(mx_io_store *s) {
  if (!s->hash) return;
  s->ring->ops->flush(s->ring);
  while (s->hash) {
    mx_xfer *x = s->hash;
    s->hash = x->next;
    x->hash_due = false;
    mx_xfer_hash(x);
  }
}

/* Take the mail. true: there will be no more. */
static bool take_mail(mx_io_store *s) {
  pthread_mutex_lock(&s->lock);
  if (s->inbox) {
    *s->waiting_end = s->inbox;
    s->waiting_end = s->inbox_end;
    s->inbox = NULL;
    s->inbox_end = &s->inbox;
  }
  mx_file *dead = s->dead;
  s->dead = NULL;
  bool stop = s->stop;
  s->asleep = true; /* whoever writes from here on wakes us */
  pthread_mutex_unlock(&s->lock);
  while (dead) {
    mx_file *next = dead->next;
    s->ring->ops->forget(s->ring, dead);
    mx_free(s->mem, dead);
    dead = next;
  }
  return stop;
}

static bool idle(const mx_io_store *s) {
  if (s->waiting || s->issuing) return false;
  for (int i = 0; i < N_XFERS; i++)
    if (s->xfers[i].outstanding) return false;
  return true;
}

static void serve(mx_io_store *s) {
  for (;;) {
    bool stop = take_mail(s);
    issue(s);
    hash_writes(s);
    /* asked after issue(), which may have completed the last request: nobody would wake us then */
    if (stop && idle(s)) return;
    mx_part *part = s->ring->ops->reap(s->ring, true);
    while (part) {
      mx_part *next = part->next;
      if (mx_xfer_take(s, part))
        part_over(s, part);
      else
        s->ring->ops->queue(s->ring, part);
      part = next;
    }
  }
}

static int open_ring(mx_io_store *s) {
  bool threads = s->backend && !strcmp(s->backend, "threads");
  int error = threads ? 0 : mx_ring_uring_create(&s->ring_config, &s->ring);
  if (error > 0) {
    mx_io_say(&s->log, MX_SAID_RING, s->backend ? MARS_LOG_WARNING : MARS_LOG_INFO,
              "io_uring cannot be had (%s): using threads for input and output", strerror(error));
    threads = true;
  }
  return threads ? mx_ring_threads_create(&s->ring_config, &s->ring) : error;
}

static void *owner(void *arg) {
  mx_io_store *s = arg;
  pthread_setname_np(pthread_self(), "mars-io");
  int error = open_ring(s);
  pthread_mutex_lock(&s->lock);
  s->start_error = error;
  s->started = true;
  pthread_cond_signal(&s->start);
  pthread_mutex_unlock(&s->lock);
  if (error) return NULL;
  serve(s);
  s->ring->ops->retire(s->ring);
  return NULL;
}

/* ---- callers' side -------------------------------------------------------------------------------- */

static void store_info(mx_store *base, mx_store_info *out) {
  mx_io_store *s = mx_io_store_of(base);
  *out = (mx_store_info){.backend = s->ring->ops->name,
                         .fixed_buffers = atomic_load(&s->ring->fixed_buffers),
                         .direct = atomic_load(&s->direct),
                         .n_spill_dirs = s->n_dirs,
                         .spill_dirs = (const char *const *)s->dirs,
                         .spill_used_bytes = mx_spill_used_bytes(s->spill)};
}

static void store_submit(mx_store *base, mx_io *const *reqs, int n) {
  mx_io_store *s = mx_io_store_of(base);
  if (n < 1) return;
  for (int i = 0; i < n; i++) {
    reqs[i]->next = i + 1 < n ? reqs[i + 1] : NULL;
    if (reqs[i]->kind == MX_IO_SOURCE_READ) mx_source_retain(reqs[i]->source);
    if (reqs[i]->kind == MX_IO_SINK_WRITE) atomic_fetch_add(&reqs[i]->sink->pending, 1);
  }
  pthread_mutex_lock(&s->lock);
  *s->inbox_end = reqs[0];
  s->inbox_end = &reqs[n - 1]->next;
  bool wake = s->asleep;
  s->asleep = false;
  pthread_mutex_unlock(&s->lock);
  if (wake) s->ring->ops->wake(s->ring);
}

static void store_slot_free(mx_store *base, mx_slot *slot) {
  mx_spill_release(mx_io_store_of(base)->spill, slot);
}

static void store_inject(mx_store *base, int64_t read_at, int64_t write_at, int errnum) {
  mx_io_store *s = mx_io_store_of(base);
  atomic_store(&s->fault, errnum);
  atomic_store(&s->read_at, read_at);
  atomic_store(&s->write_at, write_at);
}

static void stop_owner(mx_io_store *s) {
  if (!s->started) return;
  if (s->ring) {
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_mutex_unlock(&s->lock);
    s->ring->ops->wake(s->ring);
  }
  pthread_join(s->thread, NULL);
}

static void store_destroy(mx_store *base) {
  mx_io_store *s = mx_io_store_of(base);
  if (!s) return;
  stop_owner(s);
  mx_mem *mem = s->mem;
  mx_spill_destroy(s, s->spill);
  while (s->dead) { /* the ring goes, and its table with it */
    mx_file *next = s->dead->next;
    mx_free(mem, s->dead);
    s->dead = next;
  }
  if (s->ring) s->ring->ops->destroy(s->ring);
  for (int i = 0; s->dirs && i < s->n_dirs; i++) mx_free(mem, s->dirs[i]);
  mx_free(mem, s->dirs);
  mx_free(mem, s->parts);
  mx_free(mem, s->xfers);
  mx_free(mem, s->gap);
  pthread_cond_destroy(&s->start);
  pthread_mutex_destroy(&s->lock);
  mx_free(mem, s);
}

static const mx_store_ops ops = {.info = store_info,
                                 .source_open = mx_source_open,
                                 .source_retain = mx_source_retain,
                                 .source_release = mx_source_release,
                                 .sink_create = mx_sink_create,
                                 .sink_commit = mx_sink_commit,
                                 .sink_abort = mx_sink_abort,
                                 .source_phase = mx_source_phase,
                                 .sink_phase = mx_sink_phase,
                                 .submit = store_submit,
                                 .slot_free = store_slot_free,
                                 .inject = store_inject,
                                 .destroy = store_destroy};

static bool allocate(mx_io_store *s, const mx_store_config *config) {
  s->parts = mx_calloc(s->mem, MX_PART_DEPTH, sizeof *s->parts);
  s->xfers = mx_calloc(s->mem, N_XFERS, sizeof *s->xfers);
  s->gap = mx_calloc(s->mem, MX_PART_DEPTH, MX_GAP_BYTES);
  s->n_dirs = config->n_spill_dirs > 0 && config->spill_dirs ? config->n_spill_dirs : 0;
  s->dirs = mx_calloc(s->mem, (size_t)s->n_dirs, sizeof *s->dirs);
  if (!s->parts || !s->xfers || !s->gap || !s->dirs) return false;
  for (int i = 0; i < s->n_dirs; i++)
    if (!(s->dirs[i] = mx_strdup(s->mem, config->spill_dirs[i]))) return false;
  for (int i = MX_PART_DEPTH - 1; i >= 0; i--) {
    s->parts[i].next = s->free_parts;
    s->free_parts = &s->parts[i];
  }
  for (int i = N_XFERS - 1; i >= 0; i--) {
    s->xfers[i].next = s->free_xfers;
    s->free_xfers = &s->xfers[i];
  }
  return true;
}

/* Start the owner thread with all signals blocked: they are the application's. */
static int start_owner(mx_io_store *s) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int error = pthread_create(&s->thread, NULL, owner, s);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (error) return error;
  pthread_mutex_lock(&s->lock);
  while (!s->started) pthread_cond_wait(&s->start, &s->lock);
  pthread_mutex_unlock(&s->lock);
  return s->start_error;
}

mars_status mx_io_store_create(const mx_store_config *config, mx_store **out, mars_error *err) {
  mars_status st = MARS_OK;
  const char *backend = config->backend ? config->backend : getenv("MARS_IO");
  int error = 0;
  mx_io_store *s = NULL;

  *out = NULL;
  if (backend && !*backend) backend = NULL;
  if (backend && strcmp(backend, "uring") && strcmp(backend, "threads"))
    return mx_fail(err, MARS_E_ARG,
                   "mars_session_create: io_backend '%s' is not known; use \"uring\" or \"threads\"",
                   backend);
  s = mx_alloc(config->mem, sizeof *s);
  if (!s) goto memory;
  s->base.ops = &ops;
  s->mem = config->mem;
  s->log.fn = config->log;
  s->log.user = config->log_user;
  s->no_direct = config->no_direct;
  s->backend = backend;
  s->ring_config = (mx_ring_config){s->mem, &s->log, config->arena, config->arena_bytes};
  atomic_init(&s->read_at, -1);
  atomic_init(&s->write_at, -1);
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->start, NULL);
  s->inbox_end = &s->inbox;
  s->waiting_end = &s->waiting;
  if (!allocate(s, config)) goto memory;
  MX_TRY(mx_spill_create(s, config, &s->spill, err));
  error = start_owner(s);
  if (error < 0) goto memory;
  if (error) {
    st = mx_fail_errno(err, MARS_E_IO, error,
                       "mars_session_create: cannot start the thread for input and output");
    goto done;
  }
  *out = &s->base;
  s = NULL;
  goto done;

memory:
  st = mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for the store");
done:
  if (s) store_destroy(&s->base);
  return st;
}
