/*
 * A pool: many allocations with one lifetime, freed together. For plans.
 *
 * Threads: one owner. Memory comes zeroed.
 */
#ifndef MX_POOL_H
#define MX_POOL_H

#include "engine/mem.h"
#include "engine/status.h"

typedef struct mx_pool {
  mx_mem *mem;
  struct mx_pool_block *blocks;
  char *at;
  size_t left, next_bytes; /* in the current block; of the next one, which are larger and larger */
} mx_pool;

void mx_pool_init(mx_pool *pool, mx_mem *mem);
void *mx_pool_alloc(mx_pool *pool, size_t bytes); /* 16-byte aligned; NULL: no memory */
void mx_pool_reset(mx_pool *pool);                /* frees everything */

/* A growable array whose storage is the engine's memory: MX_VEC(type) v = {0}; mx_vec_push(mem, &v, item) is false on no memory. */
#define MX_VEC(type)                                                                                         \
  struct {                                                                                                   \
    type *at;                                                                                                \
    int64_t n, cap;                                                                                          \
  }
bool mx_vec_reserve_(mx_mem *mem, void **at, int64_t *cap, int64_t want, size_t item);
#define mx_vec_reserve(mem, v, want)                                                                         \
  ((want) <= (v)->cap || mx_vec_reserve_((mem), (void **)&(v)->at, &(v)->cap, (want), sizeof *(v)->at))
#define mx_vec_push(mem, v, item) (mx_vec_reserve(mem, v, (v)->n + 1) ? ((v)->at[(v)->n++] = (item), true) : false)
#define mx_vec_free(mem, v) (mx_free((mem), (v)->at), (v)->at = NULL, (v)->n = (v)->cap = 0)

#define MX_NOMEM(err, what) mx_fail((err), MARS_E_MEMORY, "%s: no memory for the engine's own records", (what))

#endif
