/*
 * Op numbers and the op table, from ops.def.
 *
 * Layer: engine. Read-only data; any thread.
 */
#ifndef MX_OP_H
#define MX_OP_H

#include <mars/mars.h>

typedef enum mx_op {
#define UNARY(id, ...) MX_OP_##id,
#define BINARY(id, ...) MX_OP_##id,
#define TERNARY(id, ...) MX_OP_##id,
#define REDUCE(id, ...) MX_OP_##id,
#define SCAN(id, ...) MX_OP_##id,
#define RANDOM(id, ...) MX_OP_##id,
#define ROUTINE(id, ...) MX_OP_##id,
#define NODE(id, ...) MX_OP_##id,
#include "engine/ops.def"
  MX_OP_COUNT
} mx_op;

typedef enum mx_op_kind {
  MX_KIND_UNARY, MX_KIND_BINARY, MX_KIND_TERNARY, MX_KIND_REDUCE, MX_KIND_SCAN, MX_KIND_RANDOM, MX_KIND_ROUTINE,
  MX_KIND_NODE
} mx_op_kind;

typedef enum mx_domain {
  MX_DOM_NONE, MX_DOM_ALL, MX_DOM_NUM, MX_DOM_NUMB, MX_DOM_REAL, MX_DOM_REALB, MX_DOM_BITS, MX_DOM_INTS,
  MX_DOM_FLT, MX_DOM_FLC, MX_DOM_FLD
} mx_domain;

typedef enum mx_result {
  MX_RES_NONE, MX_RES_SAME, MX_RES_BOOL, MX_RES_REAL, MX_RES_I32, MX_RES_I64, MX_RES_U8,
  MX_RES_SUM,  /* bool, i*: i64; u*: u64; floats and complex: the same */
  MX_RES_MEAN, /* integers and bool: f64; else the same */
  MX_RES_VAR   /* integers and bool: f64; complex: its float; else the same */
} mx_result;

/* Accumulators of reductions; layouts in engine/program.h. */
typedef enum mx_acc {
  MX_ACC_NONE, MX_ACC_SUM, MX_ACC_PROD, MX_ACC_MIN, MX_ACC_MAX, MX_ACC_FMIN, MX_ACC_FMAX, MX_ACC_ANY, MX_ACC_ALL,
  MX_ACC_COUNT, MX_ACC_ARGMIN, MX_ACC_ARGMAX, MX_ACC_NANARGMIN, MX_ACC_NANARGMAX, MX_ACC_NANSUM, MX_ACC_MOMENTS,
  MX_ACC_NANMOMENTS
} mx_acc;

typedef struct mx_op_row {
  mars_op_info info; /* name, doc, kind, arity, ulp */
  const char *id;    /* "ADD" */
  const char *expr;  /* elementwise: the scalar expression; else NULL */
  mx_op_kind kind;
  mx_domain domain;
  mx_result result;
  mx_acc acc;
  int cost;
} mx_op_row;

/* Row of an op; never NULL for 0 <= op < MX_OP_COUNT. */
const mx_op_row *mx_op_row_of(mx_op op);
/* Op of a NumPy name ("add"), MX_OP_COUNT if there is none. */
mx_op mx_op_find(const char *name);
/* The domain's rule: dtype in which the op's loop runs for a promoted operand dtype (halves stay halves here);
   MARS_DTYPE_AUTO: the op does not accept it. */
mars_dtype mx_op_loop_dtype(mx_op op, mars_dtype promoted);
/* The result rule applied to the loop dtype. */
mars_dtype mx_op_result_dtype(mx_op op, mars_dtype loop);

#endif
