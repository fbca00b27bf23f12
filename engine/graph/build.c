/* One public call under construction, and the nodes that it makes. Contract: engine/graph/build.h. */
#include "engine/graph/build.h"

#include "engine/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- open, fail, close ---- */

void mx_build_open(mx_build *b, mars_session *s, const char *fn) {
  b->session = s;
  b->fn = fn;
  b->st = MARS_OK;
  b->n_held = 0;
  b->cap_held = sizeof b->few / sizeof *b->few;
  b->held = b->few;
  if (s == NULL) b->st = MARS_E_MEMORY; /* mx_build_close then has no session to make a handle in */
}

void mx_build_check(mx_build *b, const mars_tensor *operand, size_t i) {
  if (b->st != MARS_OK) return;
  if (operand == NULL) mx_build_fail(b, MARS_E_MEMORY, "operand %zu is NULL: there was no memory for its handle", i + 1);
  else if (operand->error != NULL) mx_build_fail_copy(b, operand->error);
  else if (operand->session != b->session) mx_build_fail(b, MARS_E_ARG, "operand %zu belongs to another session; all must belong to one", i + 1);
}

void mx_build_open_on(mx_build *b, mars_session *s, const char *fn, mars_tensor *const *operands, size_t n) {
  for (size_t i = 0; i < n && s == NULL; i++)
    if (operands[i] != NULL) s = operands[i]->session;
  mx_build_open(b, s, fn);
  for (size_t i = 0; i < n; i++) mx_build_check(b, operands[i], i);
}

mx_node *mx_build_fail(mx_build *b, mars_status st, const char *fmt, ...) {
  char text[sizeof b->error.message];
  va_list ap;

  if (b->st != MARS_OK) return NULL;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  b->st = mx_fail(&b->error, st, "mars_%s: %s", b->fn, text);
  return NULL;
}

mx_node *mx_build_fail_copy(mx_build *b, const mars_error *error) {
  if (b->st != MARS_OK) return NULL;
  b->error = *error;
  b->st = error->status;
  return NULL;
}

mx_node *mx_build_hold(mx_build *b, mx_node *node) {
  if (node == NULL) return mx_build_fail(b, MARS_E_MEMORY, "no memory for a node of the graph");
  if (b->n_held == b->cap_held) {
    size_t bytes = b->cap_held * sizeof *b->held;
    mx_node **held = mx_grow(&b->session->mem, b->held == b->few ? NULL : b->held, bytes, 2 * bytes);
    if (held == NULL) {
      mx_node_release(&b->session->graph, node);
      return mx_build_fail(b, MARS_E_MEMORY, "no memory for %zu nodes of the graph", b->n_held + 1);
    }
    if (b->held == b->few) memcpy(held, b->few, bytes);
    b->held = held;
    b->cap_held *= 2;
  }
  return b->held[b->n_held++] = node;
}

mars_tensor *mx_build_result(mx_build *b, mx_node *node) {
  mars_tensor *t;

  if (b->session == NULL) return NULL;
  if (b->st != MARS_OK) return mx_tensor_error_copy(b->session, &b->error);
  mx_node_retain(node);
  t = mx_tensor_wrap(b->session, node);
  return t == NULL || t->node == NULL ? t : mx_eager(t);
}

void mx_build_results(mx_build *b, mx_node *const *node, mars_tensor **const *out, int n) {
  mars_tensor *run[4];
  mars_error err = {0};
  size_t m = 0;

  for (int i = 0; i < n; i++) {
    if (out[i] == NULL) continue;
    if (b->session == NULL || b->st != MARS_OK || !b->session->config.eager) {
      *out[i] = mx_build_result(b, node[i]);
      continue;
    }
    mx_node_retain(node[i]);
    *out[i] = mx_tensor_wrap(b->session, node[i]);
    if (*out[i] != NULL && (*out[i])->node != NULL) run[m++] = *out[i];
  }
  if (m == 0 || mars_run(b->session, run, m, &err) == MARS_OK) return;
  for (int i = 0; i < n; i++)
    if (out[i] != NULL) *out[i] = mx_tensor_error(b->session, err.status, "%s", err.message);
}

mars_tensor *mx_build_close(mx_build *b, mx_node *node, bool weak) {
  mars_tensor *t = mx_build_result(b, node);

  if (t != NULL && t->node != NULL) t->weak = weak;
  mx_build_drop(b);
  return t;
}

void mx_build_drop(mx_build *b) {
  if (b->session == NULL) return;
  for (size_t i = 0; i < b->n_held; i++) mx_node_release(&b->session->graph, b->held[i]);
  if (b->held != b->few) mx_free(&b->session->mem, b->held);
  b->n_held = 0;
  b->held = b->few;
}

/* ---- checks ---- */

bool mx_build_dtype(mx_build *b, mars_dtype dt) {
  if ((int)dt < 0 || dt >= MARS_DTYPE_COUNT) mx_build_fail(b, MARS_E_DTYPE, "%d is not a dtype", (int)dt);
  return b->st == MARS_OK;
}

bool mx_build_shape(mx_build *b, mars_dtype dt, const mars_shape *shape, mars_shape *out) {
  char text[MX_SHAPE_TEXT];
  int64_t elements;

  if (b->st != MARS_OK) return false;
  if (shape->ndim < 0 || shape->ndim > MARS_MAX_DIMS) {
    mx_build_fail(b, MARS_E_SHAPE, "%d dimensions; a tensor has 0 to %d", shape->ndim, MARS_MAX_DIMS);
    return false;
  }
  memset(out, 0, sizeof *out);
  out->ndim = shape->ndim;
  for (int d = 0; d < shape->ndim; d++) {
    out->dims[d] = shape->dims[d];
    if (shape->dims[d] < 0)
      mx_build_fail(b, MARS_E_SHAPE, "extent %lld of axis %d is negative", (long long)shape->dims[d], d);
  }
  if (b->st == MARS_OK && !mx_shape_elements(out, mars_dtype_bytes(dt), &elements))
    mx_build_fail(b, MARS_E_OVERFLOW, "a %s tensor of shape %s has more than 2**63 - 1 bytes", mars_dtype_name(dt),
                  mx_shape_text(out, text, sizeof text));
  return b->st == MARS_OK;
}

bool mx_build_axis(mx_build *b, int axis, int ndim, int *out) {
  if (b->st != MARS_OK) return false;
  if (axis < -ndim || axis >= ndim) {
    if (ndim == 0) mx_build_fail(b, MARS_E_AXIS, "axis %d of a tensor of 0 dimensions, which has no axis", axis);
    else
      mx_build_fail(b, MARS_E_AXIS, "axis %d is out of range for %d dimensions; it must be in [%d, %d]", axis, ndim, -ndim,
                    ndim - 1);
    return false;
  }
  *out = axis < 0 ? axis + ndim : axis;
  return true;
}

bool mx_build_axes(mx_build *b, const mars_axes *axes, int ndim, uint32_t *mask) {
  int axis;

  *mask = 0;
  if (b->st != MARS_OK) return false;
  if (axes->count == MARS_ALL_AXES) {
    *mask = (1u << ndim) - 1;
    return true;
  }
  if (axes->count < 0 || axes->count > MARS_MAX_DIMS) {
    mx_build_fail(b, MARS_E_AXIS, "%d axes; a set of axes has 0 to %d, or MARS_ALL_AXES", axes->count, MARS_MAX_DIMS);
    return false;
  }
  for (int i = 0; i < axes->count; i++) {
    if (!mx_build_axis(b, axes->axis[i], ndim, &axis)) return false;
    if (*mask >> axis & 1) {
      mx_build_fail(b, MARS_E_AXIS, "axis %d is given twice", axis);
      return false;
    }
    *mask |= 1u << axis;
  }
  return true;
}

/* ---- nodes ---- */

static mx_node *zero_const(mx_build *b, mars_dtype dt, const mars_shape *shape) {
  mx_const zero;

  mx_const_i64(&zero, 0);
  mx_const_cast(&zero, dt, &zero);
  return mx_build_const(b, dt, shape, &zero);
}

static void proto_init(mx_node *proto, mx_op op, mars_dtype dt, const mars_shape *shape) {
  memset(proto, 0, sizeof *proto);
  proto->op = op;
  proto->dtype = proto->loop = dt;
  proto->shape = *shape;
}

/* Interns the node; without elements it is a CONST, whatever would have made it. */
static mx_node *finish(mx_build *b, mx_node *proto, mx_node *const *operand, int n) {
  char text[MX_SHAPE_TEXT];

  if (b->st != MARS_OK) return NULL;
  if (!mx_shape_elements(&proto->shape, mars_dtype_bytes(proto->dtype), &proto->size))
    return mx_build_fail(b, MARS_E_OVERFLOW, "the result, %s of shape %s, has more than 2**63 - 1 bytes",
                         mars_dtype_name(proto->dtype), mx_shape_text(&proto->shape, text, sizeof text));
  if (proto->size == 0 && proto->op != MX_OP_CONST) return zero_const(b, proto->dtype, &proto->shape);
  return mx_build_hold(b, mx_graph_intern(&b->session->graph, proto, operand, n));
}

mx_node *mx_build_const(mx_build *b, mars_dtype dt, const mars_shape *shape, const mx_const *value) {
  mx_node proto;

  if (b->st != MARS_OK) return NULL;
  proto_init(&proto, MX_OP_CONST, dt, shape);
  memcpy(&proto.attr.constant, value, sizeof *value);
  return finish(b, &proto, NULL, 0);
}

mx_node *mx_build_number(mx_build *b, mars_dtype dt, const mars_shape *shape, double value) {
  mx_const c;

  mx_const_f64(&c, value);
  mx_const_cast(&c, dt, &c);
  return mx_build_const(b, dt, shape, &c);
}

mx_node *mx_build_iota(mx_build *b, const mars_shape *shape, int axis) {
  mx_node proto;

  if (b->st != MARS_OK) return NULL;
  if (shape->dims[axis] == 1) return zero_const(b, MARS_I64, shape);
  proto_init(&proto, MX_OP_IOTA, MARS_I64, shape);
  proto.attr.axis = axis;
  return finish(b, &proto, NULL, 0);
}

mx_node *mx_build_random(mx_build *b, const mars_shape *shape, const mx_random *random) {
  mx_node proto;

  if (b->st != MARS_OK) return NULL;
  proto_init(&proto, random->op, random->dtype, shape);
  memcpy(&proto.attr.random, random, sizeof *random);
  return finish(b, &proto, NULL, 0);
}

mx_node *mx_build_cast(mx_build *b, mx_node *node, mars_dtype dt) {
  mx_node proto;
  mx_const value;

  if (b->st != MARS_OK || node->dtype == dt) return node;
  if (node->op == MX_OP_CONST) {
    mx_const_cast(&node->attr.constant, dt, &value);
    return mx_build_const(b, dt, &node->shape, &value);
  }
  proto_init(&proto, MX_OP_CAST, dt, &node->shape);
  return finish(b, &proto, &node, 1);
}

static bool is_empty(const mars_shape *shape) {
  for (int d = 0; d < shape->ndim; d++)
    if (shape->dims[d] == 0) return true;
  return false;
}

/* The view that shows a tensor as it is. */
static bool is_identity(const mx_node *node, const mars_shape *shape, const mx_view *view) {
  if (node->shape.ndim != shape->ndim) return false;
  for (int d = 0; d < shape->ndim; d++) {
    if (node->shape.dims[d] != shape->dims[d]) return false;
    if (shape->dims[d] != 1 && (view->axis[d] != d || view->start[d] != 0 || view->step[d] != 1)) return false;
  }
  return true;
}

/* outer(inner(x)) as one view of x; out may be outer */
static void compose(const mx_view *outer, const mx_view *inner, int ndim, mx_view *out) {
  mx_view v;

  memset(&v, 0, sizeof v);
  for (int d = 0; d < ndim; d++) {
    int mid = inner->axis[d];
    v.start[d] = inner->start[d];
    v.axis[d] = -1;
    if (mid < 0) continue;
    v.start[d] += inner->step[d] * outer->start[mid];
    v.axis[d] = outer->axis[mid];
    v.step[d] = v.axis[d] < 0 ? 0 : inner->step[d] * outer->step[mid];
  }
  memcpy(out, &v, sizeof v);
}

mx_node *mx_build_view(mx_build *b, mx_node *node, const mars_shape *shape, const mx_view *view) {
  mx_node proto, *base;
  mx_view *v = &proto.attr.view;

  if (b->st != MARS_OK) return NULL;
  if (node->op == MX_OP_CONST) return mx_build_const(b, node->dtype, shape, &node->attr.constant);
  if (is_empty(shape)) return zero_const(b, node->dtype, shape); /* starts and steps may be anything: not to be composed */
  proto_init(&proto, MX_OP_VIEW, node->dtype, shape);
  for (int d = 0; d < node->shape.ndim; d++) {
    bool fixed = view->axis[d] < 0 || shape->dims[view->axis[d]] == 1; /* one coordinate only */
    v->axis[d] = fixed ? -1 : view->axis[d];
    v->start[d] = view->start[d];
    v->step[d] = fixed ? 0 : view->step[d];
  }
  base = mx_graph_peel(&b->session->graph, node, MX_OP_VIEW);
  if (base != NULL) {
    if (mx_build_hold(b, base) == NULL) return NULL;
    compose(v, &node->attr.view, base->shape.ndim, v);
    node = base;
  }
  if (is_identity(node, shape, v)) return node;
  return finish(b, &proto, &node, 1);
}

/* A reshape that adds and drops extents of 1 only is a view: input dimension d is output axis view->axis[d]. */
static bool only_ones_differ(const mars_shape *from, const mars_shape *to, mx_view *view) {
  int out = 0;

  memset(view, 0, sizeof *view);
  for (int d = 0; d < from->ndim; d++) {
    view->axis[d] = -1;
    if (from->dims[d] == 1) continue;
    while (out < to->ndim && to->dims[out] == 1) out++;
    if (out == to->ndim || to->dims[out] != from->dims[d]) return false;
    view->axis[d] = (int8_t)out++;
    view->step[d] = 1;
  }
  while (out < to->ndim && to->dims[out] == 1) out++;
  return out == to->ndim;
}

mx_node *mx_build_reshape(mx_build *b, mx_node *node, const mars_shape *shape) {
  mx_node proto, *base;
  mx_view view;

  if (b->st != MARS_OK) return NULL;
  if (node->op == MX_OP_CONST) return mx_build_const(b, node->dtype, shape, &node->attr.constant);
  base = mx_graph_peel(&b->session->graph, node, MX_OP_RESHAPE);
  if (base != NULL) {
    if (mx_build_hold(b, base) == NULL) return NULL;
    node = base;
  }
  if (only_ones_differ(&node->shape, shape, &view)) return mx_build_view(b, node, shape, &view);
  proto_init(&proto, MX_OP_RESHAPE, node->dtype, shape);
  return finish(b, &proto, &node, 1);
}

mx_node *mx_build_to_device(mx_build *b, mx_node *node, int device) {
  mx_node proto;

  if (b->st != MARS_OK || node->size == 0) return node;
  proto_init(&proto, MX_OP_TO_DEVICE, node->dtype, &node->shape);
  proto.attr.axis = device;
  return finish(b, &proto, &node, 1);
}

mx_node *mx_build_broadcast(mx_build *b, mx_node *node, const mars_shape *shape) {
  int lead;
  mx_view view;

  if (b->st != MARS_OK) return NULL;
  lead = shape->ndim - node->shape.ndim;
  memset(&view, 0, sizeof view);
  for (int d = 0; d < node->shape.ndim; d++) {
    bool stretched = node->shape.dims[d] == 1 && shape->dims[lead + d] != 1;
    view.axis[d] = stretched ? -1 : (int8_t)(lead + d);
    view.step[d] = !stretched;
  }
  return mx_build_view(b, node, shape, &view);
}

mx_node *mx_build_expand(mx_build *b, mx_node *node, int axis) {
  mars_shape shape;

  if (b->st != MARS_OK) return NULL;
  shape = node->shape;
  if (shape.ndim == MARS_MAX_DIMS)
    return mx_build_fail(b, MARS_E_SHAPE, "a new axis for a tensor of %d dimensions, the most there can be", MARS_MAX_DIMS);
  memmove(shape.dims + axis + 1, shape.dims + axis, (size_t)(shape.ndim - axis) * sizeof shape.dims[0]);
  shape.dims[axis] = 1;
  shape.ndim++;
  return mx_build_reshape(b, node, &shape);
}

mx_node *mx_build_row(mx_build *b, mx_op op, mars_dtype loop, mx_node *const *operand, int n) {
  mx_node proto;

  if (b->st != MARS_OK) return NULL;
  proto_init(&proto, op, mx_op_result_dtype(op, loop), &operand[0]->shape);
  proto.loop = loop;
  return finish(b, &proto, operand, n);
}

mx_node *mx_build_reduce(mx_build *b, mx_op op, mx_node *node, uint32_t mask, double ddof) {
  mars_shape kept;
  mx_node proto;

  if (b->st != MARS_OK) return NULL;
  memset(&kept, 0, sizeof kept);
  for (int d = 0; d < node->shape.ndim; d++)
    if (!(mask >> d & 1)) kept.dims[kept.ndim++] = node->shape.dims[d];
  proto_init(&proto, op, mx_op_result_dtype(op, node->dtype), &kept);
  proto.loop = node->dtype;
  proto.attr.reduce.mask = mask;
  proto.attr.reduce.ddof = ddof;
  return finish(b, &proto, &node, 1);
}

mx_node *mx_build_scan(mx_build *b, mx_op op, mx_node *node, int axis) {
  mx_node proto;

  if (b->st != MARS_OK) return NULL;
  proto_init(&proto, op, node->dtype, &node->shape);
  proto.attr.axis = axis;
  return finish(b, &proto, &node, 1);
}

mx_node *mx_build_routine(mx_build *b, mx_op op, mx_node *const *operand, int n, mars_dtype dt, const mars_shape *shape, int which,
                          uint32_t flags, int64_t p0, int64_t p1) {
  mx_node proto;

  if (b->st != MARS_OK) return NULL;
  proto_init(&proto, op, dt, shape);
  proto.attr.routine = (mx_routine_attr){.which = which, .flags = flags, .p = {p0, p1}};
  proto.within = b->fn;
  return finish(b, &proto, operand, n);
}

mx_node *mx_build_concat(mx_build *b, mx_node *const *operand, int n, const mars_shape *shape, int axis) {
  mx_node proto;

  if (b->st != MARS_OK) return NULL;
  proto_init(&proto, MX_OP_CONCAT, operand[0]->dtype, shape);
  proto.attr.axis = axis;
  return finish(b, &proto, operand, n);
}
