/*
 * Reduction kernels of the host: how accumulators take elements in, merge, and are finished. Built once per instruction
 * set from reduce.inc.
 *
 * Layer: host. Pure functions over caller's memory; any thread. They know nothing of tiles, trees or threads: which
 * elements meet in which order is vm_reduce.c's.
 *
 * Accumulators are structures of arrays: part[p] points at lane 0 of part p (engine/program.h says which parts there
 * are). Every instruction set gives the same bits: lanes and orders are spelled out, nothing is contracted.
 */
#ifndef MX_REDUCE_H
#define MX_REDUCE_H

#include "engine/program.h"

/* Kernels: one per accumulator, and the sums and products that skip NaN. */
enum { MX_RED_NANSUM = MX_ACC_NANMOMENTS + 1, MX_RED_NANPROD, MX_RED_COUNT };

enum { MX_LEAF_ROWS = 16 }; /* that a lane adds up in order before it joins a tree; of a strip: additions */

typedef struct mx_reducer {
  /* Lane i takes src[i]. k: elements that each lane holds already; k = 0 sets it, whatever was there.
     index: what ARG kernels remember of this element. */
  void (*cols)(int64_t n, const void *src, char *const *part, int64_t k, int64_t index);
  /* cols for the rows src[0] to src[3], which are added in pairs first: one addition to the lane; first: k is 0. NULL: there is none. */
  void (*cols4)(int64_t n, const char *const *src, char *const *part, bool first);
  /* 1 to MX_LEAF_ROWS rows of `lanes` elements at once: lane i becomes src[i], src[lanes + i], ... in order, all parts
     filled. index: of the first row. */
  void (*leaf)(int64_t rows, int64_t lanes, const void *src, char *const *part, int64_t index);
  /* Four leaves of MX_LEAF_ROWS rows of 64 lanes as one state, as exact as if merged in pairs; all parts filled. NULL: there is none. */
  void (*leaf4)(const void *src, char *const *part, int64_t index);
  /* Lane q becomes the reduction of src[q*len, (q+1)*len); ARG indices count from 0 in every row. len > 0. */
  void (*rows)(int64_t rows, int64_t len, const void *src, char *const *part);
  /* a[i] = a[i] merged with b[i], which comes later. ARG: of equals the smaller index wins, wherever it stands. */
  void (*merge)(int64_t n, char *const *a, char *const *b);
  /* Lanes that hold nothing yet. */
  void (*none)(int64_t n, char *const *part);
  /* One lane takes src[0, n), at indices from `index` on: exact kernels that are faster without lanes; else NULL. */
  void (*flat)(int64_t n, const void *src, char *const *part, int64_t index);
  bool fixed_count; /* MOMENTS: cols leaves part 2 to the caller, who knows how many rows a lane took */
  bool has_index;   /* part 1 is an index */
  bool ordered;     /* the first of several counts: elements of a row may not be spread over lanes */
} mx_reducer;

typedef struct mx_reduce_table {
  const char *isa;
  mx_reducer kernel[MX_RED_COUNT][MARS_DTYPE_COUNT]; /* cols NULL: this dtype cannot be reduced so */
} mx_reduce_table;

/* The table for an instruction set that mx_loops_select accepts. */
const mx_reduce_table *mx_reduce_select(const char *isa);
/* The kernel of a REDUCE row over registers of dtype src; cols NULL if there is none. */
const mx_reducer *mx_reduce_kernel(const mx_reduce_table *table, mx_op op, mars_dtype src);

/* SCAN: rows of `width` elements; carry[c] is the running value of column c. first: carry holds nothing yet. */
typedef void mx_scan_fn(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first);
mx_scan_fn *mx_scan_kernel(mx_op op, mars_dtype dtype); /* NULL: none */

/* Finished values of n lanes of op's accumulator in `out` (mx_reduce_natural), n_reduced elements having gone into each. */
mars_dtype mx_reduce_natural(mx_op op, mars_dtype src);
void mx_reduce_finish(mx_op op, mars_dtype src, int64_t n, char *const *part, int64_t n_reduced, double ddof, void *out);

#endif
