/*
 * Binding: a chunk task and the places of its chunks become a call that a device can launch.
 */
#ifndef MX_BIND_H
#define MX_BIND_H

#include "engine/plan/plan.h"

typedef struct mx_binder {
  const mx_plan *plan;
  mx_kernel *const *kernels;
  const int64_t *offset; /* per chunk, in the arena */
  char *base;
  mx_scratch_fn *scratch;
  void *scratch_ctx;
} mx_binder;

/* NULL: no memory. Everything comes from the pool. scratch: arena offset of the task's, -1 none. */
mx_call *mx_bind_call(const mx_binder *b, int32_t task, int64_t scratch, mx_pool *pool);

#endif
