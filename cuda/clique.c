/*
 * Copies between the devices of a session by NCCL. Contract: cuda/device.h.
 *
 * A clique is the set of devices that a session uses, with a communicator for each, made at the first copy. It has a thread, the only
 * one that calls NCCL for it, so that all members see the same order of operations, and a stream on each device. A copy to one or
 * some members is a group of sends and receives, a copy to all others a broadcast, the joining of accumulators a reduction. Up to
 * MX_IN_FLIGHT are under way.
 *
 * Where NCCL fails, at the call or later, the communicators are aborted for good, and what was under way is copied again through
 * pinned buffers, or joined there, as is all that comes after: what is read stands still until the end is told, so nothing is lost.
 */
#include "cuda/device.h"

#include "engine/session.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct mx_member {
  mx_cuda *dev;
  mx_nccl_comm comm;
  CUstream stream;
  CUevent event[MX_IN_FLIGHT];
} mx_member;

struct mx_clique {
  mx_mem *mem;
  const mx_cuda_api *cu;
  int n;
  mx_member member[MX_MAX_DEVICES];
  bool begun, broken; /* communicators are there; NCCL is not used any more */
  char *stage;        /* pinned */
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t more;
  mx_transfer *head, *tail; /* queued sets, by `next`; a set is linked by `also` */
  mx_transfer *flying[MX_IN_FLIGHT];
  int first, n_flying;
  bool stop, started, has_lock;
};

static mx_member *of(mx_clique *q, const mx_device *d) { return &q->member[((const mx_cuda *)d)->rank]; }

int mx_clique_members(const mx_clique *q) { return q->n; }

CUstream mx_clique_stream(const mx_cuda *dev) { return dev->clique->member[dev->rank].stream; }

/* ---- NCCL ---- */

static mars_status said(const mx_clique *q, int result, const char *what, mars_error *err) {
  if (result == 0) return MARS_OK;
  mx_fail(err, MARS_E_DEVICE, "mars_run: NCCL: %s: %s", what, q->cu->ncclGetErrorString(result));
  if (err != NULL) {
    err->code = result;
    memcpy(err->domain, "ncclResult_t", sizeof "ncclResult_t");
  }
  return MARS_E_DEVICE;
}

static mars_status begin_nccl(mx_clique *q, mars_error *err) {
  mars_status st = MARS_OK;
  mx_nccl_comm comms[MX_MAX_DEVICES] = {NULL};
  int ordinals[MX_MAX_DEVICES];

  if (q->begun) return MARS_OK;
  for (int i = 0; i < q->n; i++) ordinals[i] = q->member[i].dev->ordinal;
  MX_TRY(said(q, q->cu->ncclCommInitAll(comms, q->n, ordinals), "communicators for the session's devices", err));
  for (int i = 0; i < q->n; i++) q->member[i].comm = comms[i];
  q->begun = true;

done:
  return st;
}

/* What is under way there ends, one way or another; and when this returns it has, on every device that is left: a receive that is cut
   short may write until then, and who is told of a failed copy gives its target to others. */
static void abort_nccl(mx_clique *q) {
  mars_error err = {0};

  for (int i = 0; i < q->n; i++) {
    if (q->member[i].comm != NULL) (void)q->cu->ncclCommAbort(q->member[i].comm);
    q->member[i].comm = NULL;
  }
  for (int i = 0; i < q->n && q->begun && !q->broken; i++) {
    if (mx_cuda_enter(q->member[i].dev, &err) != MARS_OK) continue; /* lost: nothing runs there any more */
    (void)q->cu->cuStreamSynchronize(q->member[i].stream);
    mx_cuda_leave(q->member[i].dev);
  }
  q->broken = true;
}

/* An error that came up behind our back. */
static mars_status look(const mx_clique *q, mars_error *err) {
  for (int i = 0; i < q->n; i++) {
    int result = 0;

    if (atomic_load(&q->member[i].dev->lost) != 0) return mx_fail(err, MARS_E_DEVICE, "mars_run: %s was lost", q->member[i].dev->name);
    if (q->member[i].comm == NULL) continue;
    if (q->cu->ncclCommGetAsyncError(q->member[i].comm, &result) == 0 && result != 0 && result != MX_NCCL_IN_PROGRESS)
      return said(q, result, "an operation", err);
  }
  return MARS_OK;
}

static int nccl_type(mars_dtype dt) {
  switch (dt) {
  case MARS_I8: return MX_NCCL_INT8;
  case MARS_I32: return MX_NCCL_INT32;
  case MARS_U32: return MX_NCCL_UINT32;
  case MARS_I64: return MX_NCCL_INT64;
  case MARS_U64: return MX_NCCL_UINT64;
  default: return MX_NCCL_BYTES; /* u8 */
  }
}

static int call_joins(mx_clique *q, const mx_transfer *set) {
  static const int op[] = {[MX_JOIN_SUM] = MX_NCCL_SUM, [MX_JOIN_PROD] = MX_NCCL_PROD, [MX_JOIN_MIN] = MX_NCCL_MIN, [MX_JOIN_MAX] = MX_NCCL_MAX};
  const size_t count = set->bytes / mars_dtype_bytes(set->join.dtype);
  const mx_member *root = of(q, set->on);
  int result = 0;

  for (const mx_transfer *t = set; t != NULL && result == 0; t = t->also) {
    const mx_member *m = of(q, t->on);

    result = q->cu->ncclReduce(t->src, m == root ? set->dst : NULL, count, nccl_type(set->join.dtype), op[set->join.op], root->dev->rank, m->comm, m->stream);
  }
  return result;
}

static int call_copies(mx_clique *q, const mx_transfer *set) {
  const mx_member *root = of(q, set->peer);
  int result = 0, n = 0;

  for (const mx_transfer *t = set; t != NULL; t = t->also) n++;
  if (n > 1 && n + 1 == q->n)
    result = q->cu->ncclBroadcast(set->src, (void *)(uintptr_t)set->src, set->bytes, MX_NCCL_BYTES, root->dev->rank, root->comm, root->stream);
  for (const mx_transfer *t = set; t != NULL && result == 0; t = t->also) {
    const mx_member *to = of(q, t->on);

    if (n > 1 && n + 1 == q->n) {
      result = q->cu->ncclBroadcast(t->dst, t->dst, t->bytes, MX_NCCL_BYTES, root->dev->rank, to->comm, to->stream);
      continue;
    }
    result = q->cu->ncclSend(t->src, t->bytes, MX_NCCL_BYTES, to->dev->rank, root->comm, root->stream);
    if (result == 0) result = q->cu->ncclRecv(t->dst, t->bytes, MX_NCCL_BYTES, root->dev->rank, to->comm, to->stream);
  }
  return result;
}

/* The calls of one set, inside of a group: what has been opened is closed, also after a failure. */
static int call_group(mx_clique *q, const mx_transfer *set) {
  int result = q->cu->ncclGroupStart(), end;

  if (result != 0) return result;
  result = set->kind == MX_TRANSFER_JOIN ? call_joins(q, set) : call_copies(q, set);
  end = q->cu->ncclGroupEnd();
  return result != 0 ? result : end;
}

static mars_status mark(mx_clique *q, const mx_member *m, int at, mars_error *err) {
  mars_status st = mx_cuda_enter(m->dev, err);

  if (st != MARS_OK) return st;
  st = mx_cuda_check(m->dev, q->cu->cuEventRecord(m->event[at], m->stream), "marking the end of a copy", err);
  mx_cuda_leave(m->dev);
  return st;
}

static mars_status issue(mx_clique *q, const mx_transfer *set, int at, mars_error *err) {
  mars_status st = MARS_OK;

  MX_TRY(look(q, err));
  MX_TRY(begin_nccl(q, err));
  MX_TRY(said(q, call_group(q, set), set->kind == MX_TRANSFER_JOIN ? "a reduction" : "a copy between devices", err));
  MX_TRY(mark(q, of(q, set->peer), at, err));
  for (const mx_transfer *t = set; t != NULL; t = t->also) MX_TRY(mark(q, of(q, t->on), at, err));

done:
  return st;
}

/* Whether a member's part has ended. */
static mars_status ask(mx_clique *q, const mx_member *m, int at, bool *ended, mars_error *err) {
  mars_status st = mx_cuda_enter(m->dev, err);
  CUresult r;

  if (st != MARS_OK) return st;
  r = q->cu->cuEventQuery(m->event[at]);
  if (r == CUDA_ERROR_NOT_READY) *ended = false;
  else st = mx_cuda_check(m->dev, r, "a copy", err);
  mx_cuda_leave(m->dev);
  return st;
}

/* All members are asked again and again: where one has failed the others would wait for ever, and NCCL tells of its own failures only
   when it is asked. */
static mars_status wait_for(mx_clique *q, const mx_transfer *set, int at, mars_error *err) {
  const struct timespec pause = {0, 20000};
  mars_status st = MARS_OK;

  for (bool ended = false; !ended;) {
    ended = true;
    MX_TRY(ask(q, of(q, set->peer), at, &ended, err));
    for (const mx_transfer *t = set; t != NULL; t = t->also) MX_TRY(ask(q, of(q, t->on), at, &ended, err));
    MX_TRY(look(q, err));
    if (!ended) (void)nanosleep(&pause, NULL);
  }

done:
  return st;
}

/* ---- through pinned memory ---- */

static mars_status half(mx_clique *q, const mx_member *m, bool up, char *dst, const char *src, size_t bytes, mars_error *err) {
  mars_status st = mx_cuda_enter(m->dev, err), end;
  CUresult r;

  if (st != MARS_OK) return st;
  if (up) r = q->cu->cuMemcpyHtoDAsync((CUdeviceptr)(uintptr_t)dst, src, bytes, m->stream);
  else r = q->cu->cuMemcpyDtoHAsync(dst, (CUdeviceptr)(uintptr_t)src, bytes, m->stream);
  st = mx_cuda_check(m->dev, r, "a copy through the host", err);
  end = mx_cuda_check(m->dev, q->cu->cuStreamSynchronize(m->stream), "a copy through the host", st == MARS_OK ? err : NULL);
  mx_cuda_leave(m->dev);
  return st == MARS_OK ? end : st;
}

static mars_status staged(mx_clique *q, mx_transfer *t, mars_error *err) {
  mars_status st = MARS_OK;

  for (size_t at = 0; at < t->bytes; at += MX_STAGE_BYTES) {
    const size_t n = t->bytes - at < MX_STAGE_BYTES ? t->bytes - at : MX_STAGE_BYTES;

    t->failed = t->peer;
    MX_TRY(half(q, of(q, t->peer), false, q->stage, t->src + at, n, err));
    t->failed = t->on;
    MX_TRY(half(q, of(q, t->on), true, t->dst + at, q->stage, n, err));
  }

done:
  return st;
}

/* What a reduction of a GPU gives: integers wrap around. */
#define FOLD(T, U)                                                                                       \
  do {                                                                                                   \
    T *x = (T *)(void *)a;                                                                               \
    const T *y = (const T *)(const void *)b;                                                             \
    for (size_t i = 0; i < bytes / sizeof(T); i++) {                                                     \
      if (op == MX_JOIN_SUM) x[i] = (T)((U)x[i] + (U)y[i]);                                              \
      else if (op == MX_JOIN_PROD) x[i] = (T)((U)x[i] * (U)y[i]);                                        \
      else if ((op == MX_JOIN_MIN) == (y[i] < x[i])) x[i] = y[i];                                        \
    }                                                                                                    \
  } while (0)

static void fold(mx_join_op op, mars_dtype dtype, char *a, const char *b, size_t bytes) {
  switch (dtype) {
  case MARS_I8: FOLD(int8_t, uint32_t); break;
  case MARS_U8: FOLD(uint8_t, uint32_t); break;
  case MARS_I32: FOLD(int32_t, uint32_t); break;
  case MARS_U32: FOLD(uint32_t, uint32_t); break;
  case MARS_I64: FOLD(int64_t, uint64_t); break;
  default: FOLD(uint64_t, uint64_t); break;
  }
}

/* A JOIN by the host, block by block. */
static mars_status joined_here(mx_clique *q, mx_transfer *set, mars_error *err) {
  const size_t block = MX_STAGE_BYTES / 2;
  char *more = q->stage + block;
  mars_status st = MARS_OK;

  for (size_t at = 0; at < set->bytes; at += block) {
    const size_t n = set->bytes - at < block ? set->bytes - at : block;

    for (const mx_transfer *t = set; t != NULL; t = t->also) {
      set->failed = t->on;
      MX_TRY(half(q, of(q, t->on), false, t == set ? q->stage : more, t->src + at, n, err));
      if (t != set) fold(set->join.op, set->join.dtype, q->stage, more, n);
    }
    set->failed = set->on;
    MX_TRY(half(q, of(q, set->on), true, set->dst + at, q->stage, n, err));
  }

done:
  return st;
}

/* ---- the thread ---- */

static void finish(mx_clique *q, mx_transfer *set, bool there) {
  if (set->kind == MX_TRANSFER_JOIN) {
    mx_error_clear(&set->err);
    set->status = there ? MARS_OK : joined_here(q, set, &set->err);
    set->done(set);
    return;
  }
  while (set != NULL) {
    mx_transfer *next = set->also; /* what is told of is the engine's again */

    mx_error_clear(&set->err);
    set->status = there ? MARS_OK : staged(q, set, &set->err);
    set->done(set);
    set = next;
  }
}

/* Everything goes through the host from now on, what is under way first. */
static void give_up(mx_clique *q, const mars_error *why) {
  char text[400];

  if (!q->broken) {
    snprintf(text, sizeof text, "what CUDA devices exchange goes through the host from now on: %.300s", why->message);
    if (q->member[0].dev->log != NULL) q->member[0].dev->log(q->member[0].dev->log_user, MARS_LOG_WARNING, text);
  }
  abort_nccl(q);
  for (; q->n_flying > 0; q->n_flying--) {
    finish(q, q->flying[q->first], false);
    q->first = (q->first + 1) % MX_IN_FLIGHT;
  }
}

static void begin(mx_clique *q, mx_transfer *set) {
  const int at = (q->first + q->n_flying) % MX_IN_FLIGHT;
  mars_error err = {0};

  if (!q->broken && issue(q, set, at, &err) == MARS_OK) {
    q->flying[at] = set;
    q->n_flying++;
    return;
  }
  if (!q->broken) give_up(q, &err);
  finish(q, set, false);
}

static void wait_for_oldest(mx_clique *q) {
  const int at = q->first;
  mx_transfer *set = q->flying[at];
  mars_error err = {0};
  mars_status st;

  st = wait_for(q, set, at, &err);
  if (st != MARS_OK) {
    give_up(q, &err);
    return;
  }
  q->first = (at + 1) % MX_IN_FLIGHT;
  q->n_flying--;
  finish(q, set, true);
}

static void *clique_main(void *arg) {
  mx_clique *q = arg;

  pthread_mutex_lock(&q->lock);
  for (;;) {
    while (q->head != NULL && q->n_flying < MX_IN_FLIGHT) {
      mx_transfer *set = q->head;

      q->head = set->next;
      pthread_mutex_unlock(&q->lock);
      begin(q, set);
      pthread_mutex_lock(&q->lock);
    }
    if (q->n_flying > 0) {
      pthread_mutex_unlock(&q->lock);
      wait_for_oldest(q);
      pthread_mutex_lock(&q->lock);
    } else if (q->stop && q->head == NULL) {
      break;
    } else if (q->head == NULL) {
      pthread_cond_wait(&q->more, &q->lock);
    }
  }
  pthread_mutex_unlock(&q->lock);
  return NULL;
}

void mx_clique_push(mx_clique *q, mx_transfer *first) {
  first->next = NULL;
  pthread_mutex_lock(&q->lock);
  if (q->head != NULL) q->tail->next = first;
  else q->head = first;
  q->tail = first;
  pthread_cond_signal(&q->more);
  pthread_mutex_unlock(&q->lock);
}

/* ---- life ---- */

static mars_status open_member(mx_clique *q, mx_member *m, mars_error *err) {
  mars_status st = mx_cuda_enter(m->dev, err);

  if (st != MARS_OK) return st;
  MX_TRY(mx_cuda_check(m->dev, q->cu->cuStreamCreate(&m->stream, CU_STREAM_NON_BLOCKING), "a stream for NCCL", err));
  for (int i = 0; i < MX_IN_FLIGHT; i++)
    MX_TRY(mx_cuda_check(m->dev, q->cu->cuEventCreate(&m->event[i], CU_EVENT_DISABLE_TIMING), "an event for NCCL", err));
  if (q->stage == NULL)
    MX_TRY(mx_cuda_check(m->dev, q->cu->cuMemHostAlloc((void **)&q->stage, MX_STAGE_BYTES, CU_MEMHOSTALLOC_PORTABLE), "pinned memory", err));

done:
  mx_cuda_leave(m->dev);
  return st;
}

static mars_status open_all(mx_clique *q, mars_error *err) {
  mars_status st = MARS_OK;

  for (int i = 0; i < q->n; i++) MX_TRY(open_member(q, &q->member[i], err));
  if (pthread_mutex_init(&q->lock, NULL) != 0) MX_TRY(mx_fail(err, MARS_E_MEMORY, "no lock for NCCL"));
  if (pthread_cond_init(&q->more, NULL) != 0) {
    pthread_mutex_destroy(&q->lock);
    MX_TRY(mx_fail(err, MARS_E_MEMORY, "no lock for NCCL"));
  }
  q->has_lock = true;
  if (pthread_create(&q->thread, NULL, clique_main, q) != 0) MX_TRY(mx_fail(err, MARS_E_MEMORY, "no thread for NCCL"));
  q->started = true;

done:
  return st;
}

void mx_clique_join(mx_cuda *const *devs, int n) {
  const mx_cuda_api *cu = mx_cuda_load(MX_LIB_NCCL);
  mx_clique *q = mx_cuda_has(cu, MX_LIB_NCCL) ? mx_alloc(devs[0]->mem, sizeof *q) : NULL;
  mars_error err = {0};

  if (q == NULL) return; /* copies go over links that reach, or through the host's arena */
  *q = (mx_clique){.mem = devs[0]->mem, .cu = cu, .n = n};
  for (int i = 0; i < n; i++) q->member[i].dev = devs[i];
  if (open_all(q, &err) != MARS_OK) {
    mx_clique_destroy(q);
    return;
  }
  for (int i = 0; i < n; i++) {
    devs[i]->clique = q;
    devs[i]->rank = i;
  }
}

static void close_member(mx_clique *q, mx_member *m) {
  const bool entered = q->cu->cuCtxPushCurrent(m->dev->ctx) == CUDA_SUCCESS || q->cu->cuCtxPushCurrent(m->dev->ctx) == CUDA_SUCCESS;

  for (int i = 0; i < MX_IN_FLIGHT; i++)
    if (m->event[i] != NULL) (void)q->cu->cuEventDestroy(m->event[i]);
  if (m->stream != NULL) (void)q->cu->cuStreamDestroy(m->stream);
  if (m == &q->member[0] && q->stage != NULL) (void)q->cu->cuMemFreeHost(q->stage);
  if (entered) mx_cuda_leave(m->dev);
  m->dev->clique = NULL;
}

void mx_clique_destroy(mx_clique *q) {
  bool lost = false;

  if (q == NULL) return;
  if (q->started) {
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_signal(&q->more);
    pthread_mutex_unlock(&q->lock);
    pthread_join(q->thread, NULL);
  }
  if (q->has_lock) {
    pthread_cond_destroy(&q->more);
    pthread_mutex_destroy(&q->lock);
  }
  for (int i = 0; i < q->n; i++) lost = lost || atomic_load(&q->member[i].dev->lost) != 0;
  if (lost) abort_nccl(q);
  for (int i = 0; i < q->n; i++) {
    if (q->member[i].comm != NULL) (void)q->cu->ncclCommDestroy(q->member[i].comm);
    q->member[i].comm = NULL;
  }
  for (int i = 0; i < q->n; i++) close_member(q, &q->member[i]);
  mx_free(q->mem, q);
}
