/*
 * Free space of the slabs: best fit, coalescing, O(log n).
 *
 * Layer: io. Threads: guarded by the spill store's lock.
 * Invariant: extents are disjoint and no two of one slab touch. As there is at most one free extent between
 * two used ones, n_used + n_slabs nodes are enough for any state: acquire and add reserve them, so that
 * release cannot fail.
 */
#ifndef MX_IO_EXTENT_H
#define MX_IO_EXTENT_H

#include "engine/mem.h"

typedef struct mx_extent mx_extent;
struct mx_extent {
  int32_t slab;
  int64_t offset, bytes;
  uint32_t priority;
  mx_extent *kid[2][2]; /* treaps by (slab, offset) and by (bytes, slab, offset) */
};
typedef struct mx_extents {
  mx_mem *mem;
  mx_extent *root[2];
  mx_extent *spare;
  int64_t n_nodes, n_used, n_slabs; /* n_nodes: all there are */
  void **blocks;                    /* allocations of nodes */
  int64_t n_blocks;
  uint32_t random;
} mx_extents;

void mx_extents_init(mx_extents *e, mx_mem *mem);
void mx_extents_reset(mx_extents *e);
/* A new slab's space. false: no memory. */
bool mx_extents_add(mx_extents *e, int32_t slab, int64_t bytes);
/* Best fit. 1: taken; 0: nothing fits; -1: no memory. */
int mx_extents_acquire(mx_extents *e, int64_t bytes, int32_t *slab, int64_t *offset);
void mx_extents_release(mx_extents *e, int32_t slab, int64_t offset, int64_t bytes);

#endif
