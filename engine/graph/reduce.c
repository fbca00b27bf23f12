/* Reductions and scans: a public function for every row, mars_apply_reduce. */
#include "engine/graph/build.h"
#include "engine/session.h"

#include <math.h>
#include <string.h>

/* ---- which row, on which operand ---- */

static bool has_nan(mars_dtype dt) { return dt >= MARS_F16; }

/* The row without its nan-, for dtypes that have no NaN. */
static mx_op plain_op(mx_op op) {
  switch (op) {
  case MX_OP_NANSUM: return MX_OP_SUM;
  case MX_OP_NANPROD: return MX_OP_PROD;
  case MX_OP_NANMIN: return MX_OP_MIN;
  case MX_OP_NANMAX: return MX_OP_MAX;
  case MX_OP_NANMEAN: return MX_OP_MEAN;
  case MX_OP_NANVAR: return MX_OP_VAR;
  case MX_OP_NANSTD: return MX_OP_STD;
  case MX_OP_NANARGMIN: return MX_OP_ARGMIN;
  case MX_OP_NANARGMAX: return MX_OP_ARGMAX;
  default: return op;
  }
}

/* Sums and products that skip NaN are plain ones of x with NaN replaced by 0 or 1; the other nan- rows count. */
static mx_node *without_nan(mx_build *b, mx_op *op, mx_node *x) {
  mx_node *neutral;
  bool sum = *op == MX_OP_NANSUM;

  if (b->st != MARS_OK) return NULL;
  if (has_nan(x->dtype)) {
    if (!sum && *op != MX_OP_NANPROD) return x;
    neutral = mx_build_number(b, x->dtype, &x->shape, sum ? 0 : 1);
    x = mx_build_where(b, mx_build_op1(b, MX_OP_ISNAN, x), neutral, x);
  }
  *op = plain_op(*op);
  return x;
}

/* The option dtype: sum and prod accumulate and return in it. */
static mx_node *cast_operand(mx_build *b, mx_op *op, mx_node *x, const mars_reduce_options *options) {
  mx_op plain = plain_op(*op);
  mx_result rule = mx_op_row_of(*op)->result;
  mars_dtype dt = options->dtype;

  if (b->st != MARS_OK || !options->has_dtype) return x;
  if (!mx_build_dtype(b, dt)) return NULL;
  if (rule != MX_RES_SUM && rule != MX_RES_MEAN && rule != MX_RES_VAR)
    return mx_build_fail(b, MARS_E_ARG, "takes no dtype; sum, prod, mean, var, std and their nan- variants do");
  if (rule != MX_RES_SUM && dt < MARS_F16)
    return mx_build_fail(b, MARS_E_DTYPE, "dtype %s cannot hold the result; it must be a float or complex", mars_dtype_name(dt));
  if (plain != *op) x = without_nan(b, op, x); /* NaN must go before a cast to integers makes them 0 */
  if (dt == MARS_BOOL) *op = *op == MX_OP_SUM ? MX_OP_ANY : MX_OP_ALLOF;
  return mx_build_cast(b, x, dt);
}

/* ---- reductions over nothing ---- */

static bool reduces_nothing(const mx_node *node, uint32_t mask) {
  for (int d = 0; d < node->shape.ndim; d++)
    if (mask >> d & 1 && node->shape.dims[d] == 0) return true;
  return false;
}

/* x has no elements. Some results may have: those of the identity. */
static mx_node *reduce_nothing(mx_build *b, mx_op op, const mx_node *x, uint32_t mask) {
  char text[MX_SHAPE_TEXT];
  mars_dtype dt = mx_op_result_dtype(op, x->dtype);
  mars_shape kept;
  mx_const c;
  double value = 0;

  memset(&kept, 0, sizeof kept);
  for (int d = 0; d < x->shape.ndim; d++)
    if (!(mask >> d & 1)) kept.dims[kept.ndim++] = x->shape.dims[d];
  switch (mx_op_row_of(op)->result) {
  case MX_RES_SAME:
  case MX_RES_I64:
    if (op == MX_OP_COUNT_NONZERO || !reduces_nothing(x, mask)) break;
    return mx_build_fail(b, MARS_E_SHAPE, "of no elements (shape %s), which has no identity",
                         mx_shape_text(&x->shape, text, sizeof text));
  case MX_RES_MEAN:
  case MX_RES_VAR: value = NAN; break;
  default: value = op == MX_OP_PROD || op == MX_OP_ALLOF; break;
  }
  mx_const_c128(&c, value, isnan(value) ? NAN : 0);
  if (!mx_dtype_is_complex(dt)) mx_const_f64(&c, value);
  mx_const_cast(&c, dt, &c);
  return mx_build_const(b, dt, &kept, &c);
}

/* ---- reductions ---- */

static mx_node *keep_dims(mx_build *b, mx_node *node, const mars_shape *from, uint32_t mask) {
  mars_shape shape = *from;

  for (int d = 0; d < shape.ndim; d++)
    if (mask >> d & 1) shape.dims[d] = 1;
  return mx_build_reshape(b, node, &shape);
}

static mx_node *reduce_node(mx_build *b, mx_op op, mx_node *node, const mars_reduce_options *options) {
  mars_dtype dt = options->dtype;
  mars_shape from;
  mx_node *x = node;
  uint32_t mask, over;

  if (b->st != MARS_OK) return NULL;
  from = node->shape;
  if (!mx_build_axes(b, &options->axes, from.ndim, &mask)) return NULL;
  if (!isfinite(options->ddof)) return mx_build_fail(b, MARS_E_ARG, "ddof is %g; it must be finite", options->ddof);
  x = cast_operand(b, &op, x, options);
  x = without_nan(b, &op, x);
  if (b->st == MARS_OK && op == MX_OP_SUM && x->dtype == MARS_BOOL) op = MX_OP_COUNT_NONZERO; /* the same, and faster */
  over = mask;
  if (b->st == MARS_OK && mask == 0 && x->size > 0) {
    /* each element by itself: an axis of extent 1 to reduce over, so that no planner meets an empty mask */
    mars_shape row = {2, {1, x->size}};
    x = from.ndim < MARS_MAX_DIMS ? mx_build_expand(b, x, 0) : mx_build_reshape(b, x, &row);
    over = 1;
  }
  if (b->st != MARS_OK) return NULL;
  x = x->size == 0 ? reduce_nothing(b, op, x, mask)
                   : mx_build_reduce(b, op, x, over, mx_op_row_of(op)->result == MX_RES_VAR ? options->ddof : 0);
  if (options->has_dtype && mx_op_row_of(op)->result == MX_RES_SUM) x = mx_build_cast(b, x, dt);
  return options->keepdims || mask == 0 ? keep_dims(b, x, &from, mask) : x;
}

mx_node *mx_build_reduce_axes(mx_build *b, mx_op op, mx_node *node, const mars_axes *axes, bool keepdims) {
  const mars_reduce_options options = {.axes = *axes, .keepdims = keepdims};

  return reduce_node(b, op, node, &options);
}

static mars_tensor *reduce(mx_op op, mars_tensor *a, const mars_reduce_options *options) {
  static const mars_reduce_options whole = {.axes = {MARS_ALL_AXES, {0}}};
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, mx_op_row_of(op)->info.name, &a, 1);
  if (b.st == MARS_OK) node = reduce_node(&b, op, a->node, options == NULL ? &whole : options);
  return mx_build_close(&b, node, false);
}

static mars_tensor *reduce_axes(mx_op op, mars_tensor *a, mars_axes axes) {
  mars_reduce_options options = {.axes = axes};

  return reduce(op, a, &options);
}

/* ---- scans ---- */

static mx_node *scan_node(mx_build *b, mx_op op, mx_node *node, int axis, mars_dtype dt) {
  mars_shape flat = {1, {1}};
  int at;

  if (b->st != MARS_OK) return NULL;
  if (node->shape.ndim == 0) node = mx_build_reshape(b, node, &flat); /* as NumPy: one element, one dimension */
  if (b->st != MARS_OK || !mx_build_axis(b, axis, node->shape.ndim, &at)) return NULL;
  if (dt == MARS_DTYPE_AUTO) dt = mx_op_result_dtype(op, node->dtype);
  node = mx_build_cast(b, node, dt);
  if (dt != MARS_F16 && dt != MARS_BF16) return mx_build_scan(b, op, node, at);
  /* halves run in f32 and are rounded by a CAST of its own: every reader of the result, joins among them, then sees halves */
  node = b->st == MARS_OK ? mx_build_cast(b, node, MARS_F32) : NULL;
  node = b->st == MARS_OK ? mx_build_scan(b, op, node, at) : NULL;
  return b->st == MARS_OK ? mx_build_cast(b, node, dt) : NULL;
}

static mars_tensor *scan(mx_op op, mars_tensor *a, int axis) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, mx_op_row_of(op)->info.name, &a, 1);
  if (b.st == MARS_OK) node = scan_node(&b, op, a->node, axis, MARS_DTYPE_AUTO);
  return mx_build_close(&b, node, false);
}

/* With options: all axes means the tensor in C order, as NumPy's axis=None. */
static mars_tensor *scan_options(mx_op op, mars_tensor *a, const mars_reduce_options *options) {
  bool flat = options == NULL || options->axes.count == MARS_ALL_AXES;
  mx_node *node = NULL;
  mars_shape shape = {1, {0}};
  mx_build b;

  mx_build_open_on(&b, NULL, mx_op_row_of(op)->info.name, &a, 1);
  if (options != NULL && options->has_dtype && mx_build_dtype(&b, options->dtype) && options->dtype == MARS_BOOL)
    mx_build_fail(&b, MARS_E_DTYPE, "bool cannot hold the result; give an integer, float or complex dtype");
  if (!flat && options->axes.count != 1)
    mx_build_fail(&b, MARS_E_AXIS, "runs along one axis, or MARS_ALL for C order; %d axes were given", options->axes.count);
  if (b.st == MARS_OK) {
    node = a->node;
    if (flat) {
      shape.dims[0] = node->size;
      node = mx_build_reshape(&b, node, &shape);
    }
    node = scan_node(&b, op, node, flat ? 0 : options->axes.axis[0],
                     options != NULL && options->has_dtype ? options->dtype : MARS_DTYPE_AUTO);
  }
  return mx_build_close(&b, node, false);
}

/* ---- the public functions ---- */

/* clang-format off */
#define REDUCE(id, name, ...) \
  mars_tensor *mars_##name(mars_tensor *a, mars_axes axes) { return reduce_axes(MX_OP_##id, a, axes); } \
  mars_tensor *mars_##name##_opt(mars_tensor *a, const mars_reduce_options *options) { return reduce(MX_OP_##id, a, options); }
#define SCAN(id, name, ...) \
  mars_tensor *mars_##name(mars_tensor *a, int axis) { return scan(MX_OP_##id, a, axis); }
#include "engine/ops.def"
/* clang-format on */

mars_tensor *mars_apply_reduce(const char *name, mars_tensor *a, const mars_reduce_options *options) {
  mx_op op = name == NULL ? MX_OP_COUNT : mx_op_find(name);
  mx_build b;

  if (op != MX_OP_COUNT && mx_op_row_of(op)->kind == MX_KIND_REDUCE) return reduce(op, a, options);
  if (op != MX_OP_COUNT && mx_op_row_of(op)->kind == MX_KIND_SCAN) return scan_options(op, a, options);
  mx_build_open_on(&b, NULL, "apply_reduce", &a, 1);
  mx_build_fail(&b, MARS_E_ARG, "there is no reduction '%s'; mars_op_table lists them", name == NULL ? "(null)" : name);
  return mx_build_close(&b, NULL, false);
}
