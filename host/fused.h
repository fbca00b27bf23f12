/*
 * Two or three elementwise ops in one pass, and comparisons counted as they are made: what the interpreter's peephole
 * puts in place of single steps. Built once per instruction set from fused.inc.
 *
 * Layer: host. Contract: as for loops (host/loops.h), and bit-equal to the single ops: every op rounds.
 */
#ifndef MX_FUSED_H
#define MX_FUSED_H

#include "engine/op.h"

typedef void mx_fused_fn(int64_t n, void *dst, const void *a, const void *b, const void *c, const void *d);
typedef int64_t mx_count_fn(int64_t n, const void *a, const void *b);
typedef int64_t mx_count_squares_fn(int64_t n, const void *x, const void *y, const void *k);

/* RSUB, RDIV: the operands change places. Only singles divide. */
enum { MX_F_ADD, MX_F_SUB, MX_F_MUL, MX_F_RSUB, MX_F_DIV, MX_F_RDIV, MX_F_OPS };
enum { MX_F_EQ, MX_F_NE, MX_F_LT, MX_F_LE, MX_F_GT, MX_F_GE, MX_F_COMPARES };
enum { MX_F_F64, MX_F_F32, MX_F_TYPES };

/* A fused loop, and the same with its results stored past the caches (the caller fences). */
typedef struct mx_fused_loop {
  mx_fused_fn *plain, *stream;
} mx_fused_loop;

/* Where an operand b or c may be a constant, index 1 is the loop that reads its first element alone. */
typedef struct mx_fused {
  /* dst = a o b, past the caches: [o][b] */
  mx_fused_fn *single[MX_F_TYPES][MX_F_OPS][2];
  /* dst = (a o b) p c: [o][p][b][c] */
  mx_fused_loop pair[MX_F_TYPES][4][4][2][2];
  /* dst = (a o b) p (c q d): [o][p][q]; none is RSUB */
  mx_fused_loop quad[MX_F_TYPES][3][3][3];
  /* how many a[i] compare with b[i]: [compare][b] */
  mx_count_fn *count[MX_F_TYPES][MX_F_COMPARES][2];
  /* how many x[i]*x[i] + y[i]*y[i] compare with the constant k: points inside a circle */
  mx_count_squares_fn *count_squares[MX_F_TYPES][MX_F_COMPARES];
} mx_fused;

/* For an instruction set that mx_loops_select accepts. */
const mx_fused *mx_fused_select(const char *isa);
/* Places of an op in the tables; -1: it has none. DIVIDE: singles alone. */
int mx_fused_op(mx_op op);
int mx_fused_compare(mx_op op);
int mx_fused_type(mars_dtype dt);

#endif
