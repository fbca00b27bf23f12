/*
 * Fork and join: the one place where host work becomes parallel.
 *
 * Layer: host. Threads: a pool is used by one thread at a time, the device's owner.
 * Contract: which worker runs which unit is not fixed; results must not depend on it.
 */
#ifndef MX_PARALLEL_H
#define MX_PARALLEL_H

#include "host/machine.h"

typedef struct mx_pool mx_pool;

/* Do units [begin, end) as worker `thread`, 0 <= thread < mx_pool_threads. */
typedef void mx_unit_fn(void *ctx, int thread, int64_t begin, int64_t end);

/* threads 0: one per core (fewer under a CPU quota). Fewer than asked for when the system does not let them start.
   The machine must outlive the pool. */
mars_status mx_pool_create(mx_mem *mem, const mx_host_machine *machine, int threads, bool bind, mx_pool **out,
                           mars_error *err);
void mx_pool_destroy(mx_pool *pool); /* NULL is fine */
int mx_pool_threads(const mx_pool *pool);
/* Run units 0..n_units-1, `grain` of them at a time (0: chosen), dynamically scheduled; returns when all are done.
   With one unit or one thread everything runs on the caller. */
void mx_parallel_for(mx_pool *pool, int64_t n_units, int64_t grain, mx_unit_fn *fn, void *ctx);

#endif
