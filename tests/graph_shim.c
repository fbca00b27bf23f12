#include "tests/graph_shim.h"

#include "engine/exec/value.h"
#include "engine/graph/graph.h"
#include "engine/session.h"

#include <string.h>

static const mx_node *node_of(const gs_node *n) { return (const mx_node *)n; }

const gs_node *gs_node_of(const mars_tensor *t) { return (const gs_node *)(t == NULL ? NULL : t->node); }
bool gs_weak(const mars_tensor *t) { return t->weak; }
const char *gs_op(const gs_node *n) { return mx_op_row_of(node_of(n)->op)->id; }
int gs_dtype(const gs_node *n) { return node_of(n)->dtype; }
int gs_loop(const gs_node *n) { return node_of(n)->loop; }
mars_shape gs_shape(const gs_node *n) { return node_of(n)->shape; }
int gs_n_operands(const gs_node *n) { return node_of(n)->n_operands; }
const gs_node *gs_operand(const gs_node *n, int i) { return (const gs_node *)node_of(n)->operand[i]; }
int gs_axis(const gs_node *n) { return node_of(n)->attr.axis; }
uint32_t gs_mask(const gs_node *n) { return node_of(n)->attr.reduce.mask; }
double gs_ddof(const gs_node *n) { return node_of(n)->attr.reduce.ddof; }
uint64_t gs_stream(const gs_node *n) { return node_of(n)->attr.random.stream; }
uint64_t gs_seed(const gs_node *n) { return node_of(n)->attr.random.seed; }

void gs_view(const gs_node *n, int d, int *axis, int64_t *start, int64_t *step) {
  const mx_view *v = &node_of(n)->attr.view;

  *axis = v->axis[d];
  *start = v->start[d];
  *step = v->step[d];
}

void gs_const(const gs_node *n, long double *re, long double *im) {
  const mx_const *c = &node_of(n)->attr.constant;

  *im = 0;
  if (c->dtype == MARS_BOOL) *re = c->v.b;
  else if (c->dtype <= MARS_I64) *re = c->v.i;
  else if (c->dtype <= MARS_U64) *re = c->v.u;
  else if (c->dtype <= MARS_F64) *re = c->v.f;
  else {
    *re = c->v.c[0];
    *im = c->v.c[1];
  }
}

int gs_const_dtype(const gs_node *n) { return node_of(n)->attr.constant.dtype; }

long long gs_live(mars_session *s) { return atomic_load(&s->mem.live); }
void gs_fail_at(mars_session *s, long long n) { atomic_store(&s->mem.fail_at, n); }
long long gs_fail_left(mars_session *s) { return atomic_load(&s->mem.fail_at); }
size_t gs_n_nodes(mars_session *s) { return s->graph.n_nodes; }

bool gs_give_value(mars_tensor *t, void *data) {
  mx_value *value = mx_value_memory(t->session, t->node->dtype, &t->node->shape, NULL, data, false, NULL, NULL);

  if (value == NULL) return false;
  mx_node_set_value(&t->session->graph, t->node, value);
  return true;
}

int gs_loop_dtype(const char *op, int dt) { return mx_op_loop_dtype(mx_op_find(op), (mars_dtype)dt); }
int gs_result_dtype(const char *op, int dt) { return mx_op_result_dtype(mx_op_find(op), (mars_dtype)dt); }

size_t gs_acc_layout(const char *op, int src, int64_t kept, int *n_parts, int *dtypes, size_t *offsets) {
  mx_acc_layout layout;

  mx_acc_layout_of(mx_op_row_of(mx_op_find(op))->acc, (mars_dtype)src, kept, &layout);
  *n_parts = layout.n_parts;
  for (int i = 0; i < layout.n_parts; i++) {
    dtypes[i] = layout.dtype[i];
    offsets[i] = layout.offset[i];
  }
  return layout.bytes;
}

int gs_program_text(char *buf, size_t bytes) {
  mx_instr instrs[] = {
      {.kind = MX_I_LOAD, .dtype = MARS_F32, .slot = 0, .dst = 0, .src = {-1, -1, -1}},
      {.kind = MX_I_CONST, .dtype = MARS_F32, .slot = 0, .dst = 1, .src = {-1, -1, -1}},
      {.kind = MX_I_OP, .op = MX_OP_MULTIPLY, .dtype = MARS_F32, .dst = 2, .src = {0, 1, -1}},
      {.kind = MX_I_STORE, .dtype = MARS_F32, .slot = 0, .dst = -1, .src = {2, -1, -1}},
      {.kind = MX_I_REDUCE, .op = MX_OP_SUM, .dtype = MARS_F32, .slot = 1, .dst = -1, .src = {0, -1, -1}},
  };
  mx_const two = {.dtype = MARS_F32, .v.f = 2};
  mx_program prog = {.ndim = 2, .space = {3, 4}, .reduce_mask = 2, .n_instrs = 5, .instrs = instrs, .consts = &two, .cost = 3};

  return mx_program_text(&prog, buf, bytes);
}
