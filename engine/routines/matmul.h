/*
 * Where the operands of a product stand in files and do not fit: blocks and chunks for the least traffic.
 *
 * Layer: engine/routines only.
 */
#ifndef MX_MATMUL_H
#define MX_MATMUL_H

#include "engine/routine.h"

/* A choice that also gave the files and the result their chunks; in mx_pkernel.own, NULL: none was made. */
typedef struct mx_matmul_layout {
  int64_t p, q; /* tiles of a block */
  int64_t tk;   /* depth of the panels */
} mx_matmul_layout;

/* From mx_routine.grids. Sets the grids of the result and of file operands that nobody else reads, or leaves all as it is. */
mars_status mx_matmul_layout_choose(mx_plan *plan, mx_pkernel *k, mars_error *err);

#endif
