/*
 * Binding: a chunk task and the places of its chunks become a call that a device can launch.
 */
#ifndef MX_BIND_H
#define MX_BIND_H

#include "engine/plan/plan.h"

typedef struct mx_binder {
  const mx_plan *plan;
  int device;
  mx_kernel *const *kernels; /* the device's */
  const int64_t *offset; /* per chunk, in its arena */
  char *base;            /* of its arena */
  mx_scratch_fn *scratch;
  void *scratch_ctx;
} mx_binder;

/* NULL: no memory. Everything comes from the pool. scratch: arena offset of the task's, -1 none. */
mx_call *mx_bind_call(const mx_binder *b, int32_t task, int64_t scratch, mx_pool *pool);

#endif
