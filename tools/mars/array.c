/* Arrays written out in the expression: nested tuples and lists of numbers. */
#include "eval.h"

#include <string.h>

enum { MOST_ELEMENTS = 1000000 };

typedef struct literal {
  mt_eval *ev;
  size_t pos;
  mars_shape shape;
  mt_kind kind; /* the widest among the numbers */
  int64_t n;
  const mt_value **leaf;
} literal;

/* The first path down gives the shape; measure() then checks that every other one agrees. */
static bool find_shape(literal *l, const mt_value *v) {
  l->n = 1;
  for (; v->kind == MT_TUPLE; v = &v->item[0]) {
    if (l->shape.ndim == MARS_MAX_DIMS) return mt_eval_fail(l->ev, l->pos, "more than %d axes", MARS_MAX_DIMS);
    l->shape.dims[l->shape.ndim++] = (int64_t)v->n;
    if (__builtin_mul_overflow(l->n, (int64_t)v->n, &l->n) || l->n > MOST_ELEMENTS)
      return mt_eval_fail(l->ev, l->pos, "an array written out has at most %d elements; use a file", MOST_ELEMENTS);
    if (!v->n) break;
  }
  l->kind = l->n ? MT_BOOL : MT_FLOAT;
  return true;
}

static bool measure(literal *l, const mt_value *v, int axis, int64_t *at) {
  if (v->kind != MT_TUPLE) {
    if (axis != l->shape.ndim) return mt_eval_fail(l->ev, l->pos, "the rows of an array must have the same length");
    if (v->kind == MT_TENSOR)
      return mt_eval_fail(l->ev, l->pos, "an array is made of numbers; join tensors with stack((a, b)) or concatenate((a, b))");
    if (!mt_is_number(v)) return mt_eval_fail(l->ev, l->pos, "an array is made of numbers, not %s", mt_kind_name(v));
    if (v->kind > l->kind) l->kind = v->kind;
    l->leaf[(*at)++] = v;
    return true;
  }
  if (axis >= l->shape.ndim || (int64_t)v->n != l->shape.dims[axis])
    return mt_eval_fail(l->ev, l->pos, "the rows of an array must have the same length");
  for (size_t i = 0; i < v->n; i++)
    if (!measure(l, &v->item[i], axis + 1, at)) return false;
  return true;
}

bool mt_eval_array(mt_eval *ev, size_t pos, const mt_value *v, mt_value *out) {
  static const mars_dtype dtype_of[] = {
      [MT_BOOL] = MARS_BOOL, [MT_INT] = MARS_I64, [MT_FLOAT] = MARS_F64, [MT_COMPLEX] = MARS_C128};
  literal l = {.ev = ev, .pos = pos};
  int64_t at = 0;
  char *data;

  if (!find_shape(&l, v)) return false;
  l.leaf = mt_alloc(ev->arena, ((size_t)l.n + 1) * sizeof *l.leaf);
  if (l.n && !measure(&l, v, 0, &at)) return false;
  data = mt_alloc(ev->arena, ((size_t)l.n + 1) * 16);
  for (int64_t i = 0; i < l.n; i++) {
    const mt_value *x = l.leaf[i];
    if (l.kind == MT_BOOL) data[i] = x->i != 0;
    else if (l.kind == MT_INT) ((int64_t *)data)[i] = x->i;
    else if (l.kind == MT_FLOAT) ((double *)data)[i] = mt_to_double(x);
    else memcpy(data + 16 * i, x->kind == MT_COMPLEX ? x->c : (double[2]){mt_to_double(x), 0}, 16);
  }
  return mt_eval_give(ev, pos, mars_from_copy(ev->session, dtype_of[l.kind], l.shape, data), out);
}
