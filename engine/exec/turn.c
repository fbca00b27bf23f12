/*
 * Whose turn it is. Jobs run one after another, in the order of their submission; the actor's thread runs them. But two changes
 * of threads on the way to a job's end, and two back, cost more than a small job itself, so the thread that waits for it runs it,
 * if nobody else is running or waiting: for as long it is the actor.
 */
#include "engine/exec/actor.h"

enum { SMALL_NODES = 48, SMALL_BYTES = 256 << 10 /* of all values: some ten microseconds of work */ };

/* ---- what is small ---- */

typedef struct walk {
  const mx_node *seen[SMALL_NODES];
  int n;
  int64_t bytes;
} walk;

static bool see(walk *w, const mx_node *node) {
  for (int i = 0; i < w->n; i++)
    if (w->seen[i] == node) return true;
  if (w->n == SMALL_NODES || node->size > SMALL_BYTES) return false;
  w->bytes += node->size * (int64_t)mars_dtype_bytes(node->dtype);
  w->seen[w->n++] = node;
  return w->bytes <= SMALL_BYTES;
}

/* Without the graph's lock, as the planner: who has the turn is the only one to set values. */
bool mx_job_is_small(const mars_job *job) {
  walk w = {.n = 0};
  for (size_t i = 0; i < job->n_wants; i++) /* files are the actor's thread's */
    if (job->wants[i].sink == MARS_SINK_NPY || !see(&w, job->wants[i].node)) return false;
  for (int at = 0; at < w.n; at++) {
    const mx_node *node = w.seen[at];
    if (node->value && node->value->kind == MX_VALUE_FILE) return false;
    if (node->value) continue;
    for (int o = 0; o < node->n_operands; o++)
      if (!see(&w, node->operand[o])) return false;
  }
  return true;
}

/* ---- turns ---- */

void mx_turn_queue(mx_actor *a) {
  pthread_mutex_lock(&a->turn_lock);
  a->queued++;
  pthread_mutex_unlock(&a->turn_lock);
}

void mx_turn_wait(mx_actor *a) {
  pthread_mutex_lock(&a->turn_lock);
  while (a->lent) pthread_cond_wait(&a->turn_free, &a->turn_lock);
  pthread_mutex_unlock(&a->turn_lock);
}

void mx_turn_ended(mx_actor *a) {
  pthread_mutex_lock(&a->turn_lock);
  a->queued--;
  pthread_mutex_unlock(&a->turn_lock);
}

static bool borrow(mx_actor *a) {
  pthread_mutex_lock(&a->turn_lock);
  const bool free = !a->lent && a->queued == 0;
  if (free) a->lent = true;
  pthread_mutex_unlock(&a->turn_lock);
  return free;
}

static void give_back(mx_actor *a) {
  pthread_mutex_lock(&a->turn_lock);
  a->lent = false;
  if (a->queued) pthread_cond_signal(&a->turn_free);
  pthread_mutex_unlock(&a->turn_lock);
}

bool mx_actor_run_here(mx_actor *a, mars_job *job) {
  mars_error err = {0};
  if (!borrow(a)) return false;
  job->small = mx_job_is_small(job);
  if (!job->small) {
    give_back(a);
    return false;
  }
  mars_status st = mx_actor_run(a, job, &err);
  give_back(a);
  mx_job_end(job, st, &err);
  return true;
}
