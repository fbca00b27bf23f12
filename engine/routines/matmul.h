/*
 * How a product is cut: blocks of the result for the least traffic.
 *
 * Layer: engine/routines only.
 */
#ifndef MX_MATMUL_H
#define MX_MATMUL_H

#include "engine/routine.h"

/* The choice, in mx_pkernel.own; tiles of the result are its chunks. */
typedef struct mx_matmul_layout {
  int64_t p, q; /* tiles of a block */
  int64_t tk;   /* depth of the panels */
  bool stream;  /* a's tiles pass one by one, instead of being in memory as a whole panel */
} mx_matmul_layout;

/* From mx_routine.grids, after the result's grid has its default. Where the product does not fit, the grids of the result and of file
   operands that nobody else reads are cut to measure. */
mars_status mx_matmul_layout_choose(mx_plan *plan, mx_pkernel *k, mars_error *err);

#endif
