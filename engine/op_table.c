/* The op table, made from ops.def. This file must not see <math.h>: its macros would expand in the expressions. */
#include "engine/op.h"

#include <string.h>

#define ROW(name, doc, kind, arity, ulp) {#name, doc, kind, arity, ulp}

static const mx_op_row rows[MX_OP_COUNT] = {
#define UNARY(id, name, dom, res, ulp, cost, expr, doc)                                                      \
  {ROW(name, doc, "unary", 1, ulp), #id, #expr, MX_KIND_UNARY, MX_DOM_##dom, MX_RES_##res, MX_ACC_NONE, cost},
#define BINARY(id, name, dom, res, ulp, cost, expr, doc)                                                     \
  {ROW(name, doc, "binary", 2, ulp), #id, #expr, MX_KIND_BINARY, MX_DOM_##dom, MX_RES_##res, MX_ACC_NONE, cost},
#define TERNARY(id, name, dom, res, ulp, cost, expr, doc)                                                    \
  {ROW(name, doc, "ternary", 3, ulp), #id, #expr, MX_KIND_TERNARY, MX_DOM_##dom, MX_RES_##res, MX_ACC_NONE, cost},
#define REDUCE(id, name, dom, res, acc, ulp, doc)                                                            \
  {ROW(name, doc, "reduce", 1, ulp), #id, NULL, MX_KIND_REDUCE, MX_DOM_##dom, MX_RES_##res, MX_ACC_##acc, 1},
#define SCAN(id, name, dom, res, ulp, doc)                                                                   \
  {ROW(name, doc, "scan", 1, ulp), #id, NULL, MX_KIND_SCAN, MX_DOM_##dom, MX_RES_##res, MX_ACC_NONE, 1},
#define RANDOM(id, name, dom, cost, doc)                                                                     \
  {ROW(name, doc, "random", 0, 0), #id, NULL, MX_KIND_RANDOM, MX_DOM_##dom, MX_RES_SAME, MX_ACC_NONE, cost},
#define ROUTINE(id, name, n_out, ulp, doc)                                                                    \
  {ROW(name, doc, "routine", -1, ulp), #id, NULL, MX_KIND_ROUTINE, MX_DOM_NONE, MX_RES_NONE, MX_ACC_NONE, 1000},
#define NODE(id, name, doc)                                                                                  \
  {ROW(name, doc, "node", -1, 0), #id, NULL, MX_KIND_NODE, MX_DOM_NONE, MX_RES_NONE, MX_ACC_NONE, 0},
#include "engine/ops.def"
};

const mx_op_row *mx_op_row_of(mx_op op) { return &rows[op]; }

mx_op mx_op_find(const char *name) {
  int op = 0;

  while (op < MX_OP_COUNT && strcmp(rows[op].info.name, name) != 0) op++;
  return (mx_op)op;
}

const mars_op_info *mars_op_table(size_t index) { return index < MX_OP_COUNT ? &rows[index].info : NULL; }

static bool is_integer(mars_dtype dt) { return dt >= MARS_I8 && dt <= MARS_U64; }
static bool is_float(mars_dtype dt) { return dt >= MARS_F16 && dt <= MARS_F64; }
static bool is_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }

/* NumPy's first float loop that an integer operand can be cast to safely. */
static mars_dtype float_loop(mars_dtype dt) {
  if (is_float(dt) || is_complex(dt)) return dt;
  switch (mars_dtype_bytes(dt)) {
  case 1: return MARS_F16;
  case 2: return MARS_F32;
  default: return MARS_F64;
  }
}

mars_dtype mx_op_loop_dtype(mx_op op, mars_dtype dt) {
  const mars_dtype none = MARS_DTYPE_AUTO;

  if ((int)dt < 0 || dt >= MARS_DTYPE_COUNT) return none;
  switch (rows[op].domain) {
  case MX_DOM_NONE:
  case MX_DOM_ALL: return dt;
  case MX_DOM_NUM: return dt == MARS_BOOL ? none : dt;
  case MX_DOM_NUMB: return dt == MARS_BOOL ? MARS_I8 : dt;
  case MX_DOM_REAL: return is_complex(dt) ? none : dt == MARS_BOOL ? MARS_I8 : dt;
  case MX_DOM_REALB: return is_complex(dt) ? none : dt;
  case MX_DOM_BITS: return dt == MARS_BOOL || is_integer(dt) ? dt : none;
  case MX_DOM_INTS: return dt == MARS_BOOL ? MARS_I8 : is_integer(dt) ? dt : none;
  case MX_DOM_FLT: return is_complex(dt) ? none : float_loop(dt);
  case MX_DOM_FLC: return float_loop(dt);
  case MX_DOM_FLD: return is_float(dt) || is_complex(dt) ? dt : MARS_F64;
  }
  return none;
}

static mars_dtype real_of(mars_dtype dt) { return dt == MARS_C64 ? MARS_F32 : dt == MARS_C128 ? MARS_F64 : dt; }

mars_dtype mx_op_result_dtype(mx_op op, mars_dtype loop) {
  bool discrete = loop == MARS_BOOL || is_integer(loop);

  switch (rows[op].result) {
  case MX_RES_NONE:
  case MX_RES_SAME: return loop;
  case MX_RES_BOOL: return MARS_BOOL;
  case MX_RES_REAL: return real_of(loop);
  case MX_RES_I32: return MARS_I32;
  case MX_RES_I64: return MARS_I64;
  case MX_RES_U8: return MARS_U8;
  case MX_RES_SUM: return !discrete ? loop : loop >= MARS_U8 ? MARS_U64 : MARS_I64;
  case MX_RES_MEAN: return discrete ? MARS_F64 : loop;
  case MX_RES_VAR: return discrete ? MARS_F64 : real_of(loop);
  }
  return MARS_DTYPE_AUTO;
}
