/* A public function for every elementwise row of the op table, and mars_apply. */
#include "engine/graph/build.h"
#include "engine/session.h"

static mars_tensor *apply_row(mars_session *s, mx_op op, mars_tensor *const *operands) {
  int n = mx_op_row_of(op)->info.arity;
  bool weak = false;
  mx_term term[3];
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, s, mx_op_row_of(op)->info.name, operands, (size_t)n);
  if (b.st == MARS_OK) {
    for (int i = 0; i < n; i++) term[i] = mx_term_of(operands[i]);
    node = mx_build_apply(&b, op, term, n, &weak);
  }
  return mx_build_close(&b, node, weak);
}

/* clang-format off */
#define UNARY(id, name, ...) \
  mars_tensor *mars_##name(mars_tensor *x) { return apply_row(NULL, MX_OP_##id, (mars_tensor *[]){x}); }
#define BINARY(id, name, ...) \
  mars_tensor *mars_##name(mars_tensor *x, mars_tensor *y) { return apply_row(NULL, MX_OP_##id, (mars_tensor *[]){x, y}); }
#define TERNARY(id, name, ...) \
  mars_tensor *mars_##name(mars_tensor *x, mars_tensor *y, mars_tensor *z) { \
    return apply_row(NULL, MX_OP_##id, (mars_tensor *[]){x, y, z}); }
#include "engine/ops.def"
/* clang-format on */

mars_tensor *mars_apply(mars_session *s, const char *name, mars_tensor *const *operands, size_t n) {
  const mx_op_row *row;
  mx_op op;
  mx_build b;

  mx_build_open_on(&b, s, "apply", operands, operands == NULL ? 0 : n);
  op = name == NULL ? MX_OP_COUNT : mx_op_find(name);
  if (op == MX_OP_COUNT) {
    mx_build_fail(&b, MARS_E_ARG, "there is no op '%s'; mars_op_table lists them", name == NULL ? "(null)" : name);
    return mx_build_close(&b, NULL, false);
  }
  row = mx_op_row_of(op);
  if (row->kind != MX_KIND_UNARY && row->kind != MX_KIND_BINARY && row->kind != MX_KIND_TERNARY)
    mx_build_fail(&b, MARS_E_ARG, "'%s' is no elementwise op but of the kind %s", name, row->info.kind);
  else if (operands == NULL || n != (size_t)row->info.arity)
    mx_build_fail(&b, MARS_E_ARG, "'%s' takes %d operands; %zu were given", name, row->info.arity, operands == NULL ? 0 : n);
  if (b.st != MARS_OK) return mx_build_close(&b, NULL, false);
  return apply_row(s, op, operands);
}
