/*
 * Memory that leaves the session: ranges of the devices' arenas that others use until they give them back.
 *
 * Threads: ranges are taken by the session's thread between plans, and given back by any. A plan goes round the ranges that
 * were taken when it began.
 * Invariant: a range that is taken overlaps no kept chunk, and no step of a plan that began after it.
 */
#ifndef MX_EXPORT_H
#define MX_EXPORT_H

#include "engine/exec/actor.h"
#include "engine/dlpack.h"

typedef struct mx_export {
  mars_session *session;
  int device;
  bool placed;
  int64_t offset;
  size_t bytes;
  struct mx_export *prev, *next; /* in session->exports, while it is placed; next: in session->left */
  void *mark; /* in session->left: where the caller's stream was when the range came back */
  int64_t shape[MARS_MAX_DIMS], stride[MARS_MAX_DIMS];
  union {
    struct DLManagedTensor plain;
    struct DLManagedTensorVersioned versioned;
  } managed;
} mx_export;

/* A place in the arena of e->device; what is kept there makes way. The session's thread, between plans. */
mars_status mx_export_place(mx_actor *a, mx_export *e, const char *fn, mars_error *err);
/* The ranges that are taken now: mx_alloc'ed. */
mars_status mx_export_list(mars_session *s, mx_hold **out, int64_t *n, const char *fn, mars_error *err);
/* Any thread. Where the caller has told of a stream, what is in it now may still use the range. */
void mx_export_destroy(mx_export *e);
/* The devices do nothing more before what may still use ranges that have come back. The session's thread, after mx_export_list; wait: false
   lets it be, at the session's end. */
mars_status mx_export_settle(mars_session *s, bool wait, mars_error *err);
char *mx_export_data(const mx_export *e);

/* engine/exec/run.c: compute t into a range of e->device's arena. */
mars_status mx_run_export(mars_tensor *t, const char *fn, mx_export *e, mars_error *err);
/* engine/exec/session.c: what a session leaves until its last range has come back. */
void mx_session_finish(mars_session *s);

#endif
