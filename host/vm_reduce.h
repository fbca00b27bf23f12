/*
 * What the tree of a reduction (vm_reduce.c) and those that feed it (vm_reduce_feed.c) share.
 *
 * Layer: host. Threads: a run belongs to one worker.
 */
#ifndef MX_VM_REDUCE_H
#define MX_VM_REDUCE_H

#include "host/vm.h"

enum { MX_FLAT_BYTES = 64 }; /* of a slot's accumulator of one lane: 16 for each part */

/* Short lanes: a block is a leaf, so that kernels see all of it at once. */
static inline bool mx_leaf_blocks(const mx_rshape *g) { return MX_LEAF_ROWS * g->lanes <= MX_LEAF_POINTS; }

/* Parts of slot number i in a state, from lane `at` on. */
static inline void mx_parts_of(const mx_part *parts, int i, char *state, int64_t at, char **part) {
  for (int p = 0; p < 3; p++) part[p] = state + parts[3 * i + p].offset + (size_t)at * parts[3 * i + p].bytes;
}

static inline const mx_reducer *mx_reducer_of(const mx_run *run, int i) { return run->kernel->outs[run->slots[i]].reducer; }

/* Whether slot number i has one lane beside the tree. */
static inline bool mx_is_flat(const mx_run *run, int i) { return run->flat != NULL && mx_reducer_of(run, i)->flat != NULL; }

static inline void mx_flat_parts(const mx_run *run, int i, char **part) {
  for (int p = 0; p < 3; p++) part[p] = run->flat + i * MX_FLAT_BYTES + 16 * p;
}

/* The state in progress, of 2^level leaves, joins the binary counter, which holds a multiple of as many; `cur` is then
   free. */
void mx_reduce_push_leaves(mx_run *run, int level);
/* What cols leaves to us, and leaf does not: counts of a leaf, and lanes that took nothing. */
void mx_reduce_close_leaf(mx_run *run);

/* Rows [row, end) of strip [c0, c0 + width) of one ko, whose points begin at `base`. */
void mx_reduce_feed_strip(mx_run *run, int64_t base, int64_t row, int64_t end, int64_t c0, int64_t width);
/* The same where a row is all of spread * ki. */
void mx_reduce_feed_whole(mx_run *run, int64_t base, int64_t row, int64_t end_row);

#endif
