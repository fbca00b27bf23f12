/*
 * The session's actor: plans and runs jobs one after another, and owns all chunks that live between them. It has a thread, but
 * a small job is run by the thread that waits for it (turn.c): whoever has the turn is the actor.
 *
 * Threads: mx_actor_submit, mx_actor_run_here, mx_actor_discard and job functions from any thread; the rest belongs to who has the turn.
 */
#ifndef MX_ACTOR_H
#define MX_ACTOR_H

#include "engine/exec/mailbox.h"
#include "engine/exec/value.h"
#include "engine/plan/plan.h"
#include <stdatomic.h>

enum { MX_MSG_JOB, MX_MSG_STOP, MX_MSG_BATCH, MX_MSG_MOVE };

typedef struct mx_owner mx_owner; /* engine/exec/owner.h */

typedef struct mx_actor {
  mars_session *session;
  mx_mailbox inbox;   /* jobs, for the actor's thread */
  mx_mailbox reports; /* batches and moves of the job that runs, for who runs it */
  mx_owner *owner[MX_MAX_DEVICES]; /* of each device */
  pthread_t thread;
  mx_message stop;
  atomic_bool stopping; /* whatever runs or waits is cancelled */
  pthread_mutex_t turn_lock;
  pthread_cond_t turn_free;
  int64_t queued;     /* jobs submitted that have not ended, under turn_lock: first come, first served */
  bool lent;          /* under turn_lock: a caller has the turn */
  MX_VEC(mx_value *) kept; /* CHUNKS values; weak. While a job runs the actor's, else under kept_lock */
  atomic_llong used_bytes; /* of the arena, by kept values, after the last job */
  pthread_mutex_t kept_lock;
  bool busy;               /* a job runs: what is let go waits in `discarded`, linked through `next` */
  mx_value *discarded;
  mars_job *jobs;          /* every job record, under kept_lock: the session's end frees those that nobody released */
} mx_actor;

struct mars_job {
  mx_message message;
  mars_job *prev, *next; /* in actor->jobs */
  mars_session *session;
  atomic_int refs;
  atomic_bool cancel;
  pthread_mutex_t lock;
  pthread_cond_t ended;
  bool done;
  mars_status status;
  mars_error error;
  const char *fn;
  size_t n_wants;
  mx_want *wants;      /* nodes retained */
  void *mark[MX_MAX_DEVICES]; /* of the caller's streams: the devices' work begins behind them */
  char **paths;        /* NPY wants; else NULL */
  bool small;          /* worth no change of threads: known when it begins */
  int explain;         /* -1: run; else a mars_explain_format: only `text` is made */
  char *text;
  mars_stats stats;
  atomic_llong tasks_done, tasks_total;
  atomic_llong started_ns; /* CLOCK_MONOTONIC, 0 before */
};

/* By its owner, or since the session ends. */
static inline bool mx_job_is_cancelled(const mx_actor *actor, const mars_job *job) {
  return atomic_load_explicit(&job->cancel, memory_order_relaxed) || atomic_load_explicit(&actor->stopping, memory_order_relaxed);
}

mars_status mx_actor_create(mars_session *s, mx_actor **out, mars_error *err);
void mx_actor_destroy(mx_actor *actor); /* cancels what runs and what waits, ends the threads; values may still be let go */
void mx_actor_free(mx_actor *actor);    /* after that: what was let go, and the record */
void mx_actor_submit(mx_actor *actor, mars_job *job);
/* Plan and play, by who has the turn; the job's end is his to tell (mx_job_end). */
mars_status mx_actor_run(mx_actor *actor, mars_job *job, mars_error *err);

/* ---- turn.c ---- */

/* Run a small job in the calling thread, if nothing else runs or waits. false: it was not begun. */
bool mx_actor_run_here(mx_actor *actor, mars_job *job);
/* With the turn: is the job worth no change of threads? */
bool mx_job_is_small(const mars_job *job);
void mx_turn_queue(mx_actor *actor);        /* a job was submitted */
void mx_turn_wait(mx_actor *actor);         /* the actor's thread, before it runs one */
void mx_turn_ended(mx_actor *actor);        /* it has ended */
/* A CHUNKS value that nobody refers to any more. */
void mx_actor_discard(mx_actor *actor, mx_value *value);
void mx_job_end(mars_job *job, mars_status st, const mars_error *err);
void mx_job_list(mars_job *job); /* a new record; its last unref takes it out again */
void mx_job_unref(mars_job *job);
int64_t mx_now_ns(void);

/* Devices with memory of their own whose failure ended a run, -1: none. */
typedef struct mx_culprit {
  int lost; /* MARS_E_DEVICE: it is of no use any more */
  int full; /* MARS_E_MEMORY: it wanted more memory beside its arena than there is now */
} mx_culprit;

/* engine/exec/executor.c: play a plan. kernels[d]: device d's, one per plan kernel. On return nothing is in flight; kept chunks' places have been written back to their values.
   *culprit: the device whose failure ended the run. */
mars_status mx_execute(mx_actor *actor, mars_job *job, mx_plan *plan, mx_kernel **const *kernels, mx_scratch_fn *scratch,
                       void *scratch_ctx, mx_culprit *culprit, mars_error *err);

/* engine/exec/explain.c: text of a plan, mx_alloc'ed. NULL: no memory. */
char *mx_explain(const mx_plan *plan, mars_explain_format format);

#endif
