#include "tests/graph_shim.h"

#include "engine/exec/value.h"
#include "engine/graph/build.h"
#include "engine/session.h"
#include "host/loops.h"

#include <math.h>

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

/* An element in memory as a constant. */
static void load_const(mars_dtype dt, const void *at, mx_const *c) {
  float f[2];

  memset(c, 0, sizeof *c);
  c->dtype = dt;
  switch (dt) {
  case MARS_BOOL: c->v.b = *(const uint8_t *)at; break;
  case MARS_I8: c->v.i = *(const int8_t *)at; break;
  case MARS_I16: c->v.i = *(const int16_t *)at; break;
  case MARS_I32: c->v.i = *(const int32_t *)at; break;
  case MARS_U8: c->v.u = *(const uint8_t *)at; break;
  case MARS_U16: c->v.u = *(const uint16_t *)at; break;
  case MARS_U32: c->v.u = *(const uint32_t *)at; break;
  case MARS_F32: c->v.f = *(const float *)at; break;
  case MARS_C64:
    memcpy(f, at, sizeof f);
    c->v.c[0] = f[0];
    c->v.c[1] = f[1];
    break;
  default: memcpy(&c->v, at, mars_dtype_bytes(dt)); break;
  }
}

static bool same(double a, double b) { return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b); }

bool gs_cast_agrees(int from, int to, uint64_t bits) {
  const mx_loops *loops = mx_loops_select("baseline");
  union {
    uint64_t u[2];
    double f[2];
  } in = {{bits, bits >> 7 | bits << 57}}, out = {{0, 0}}, wide = {{0, 0}};
  mx_const c, want, got;

  if (from == MARS_BOOL) in.u[0] &= 1;
  load_const((mars_dtype)from, &in, &c);
  mx_const_cast(&c, (mars_dtype)to, &want);
  loops->cast[from][to](1, &out, &in, NULL, NULL);
  if (mx_dtype_is_half((mars_dtype)to)) {
    loops->cast[to][MARS_F32](1, &wide, &out, NULL, NULL);
    load_const(MARS_F32, &wide, &got);
  } else {
    load_const((mars_dtype)to, &out, &got);
  }
  if (want.dtype != got.dtype) return false;
  if (want.dtype < MARS_F16) return want.v.u == got.v.u;
  if (want.dtype <= MARS_F64) return same(want.v.f, got.v.f);
  return same(want.v.c[0], got.v.c[0]) && same(want.v.c[1], got.v.c[1]);
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
