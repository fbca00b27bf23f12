/* Views, joining, casts. */
#include "fn.h"

#include <string.h>

static bool fn_reshape(mt_call *c, mt_value *out) {
  mars_tensor *a;
  mars_shape s;

  return mt_arg_tensor(c, 0, &a) && mt_arg_shape(c, 1, &s) && mt_give(c, mars_reshape(a, s), out);
}
static bool fn_ravel(mt_call *c, mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && mt_give(c, mars_ravel(a), out);
}

static bool fn_transpose(mt_call *c, mt_value *out) {
  mars_tensor *a;
  mars_axes perm;

  if (!mt_arg_tensor(c, 0, &a) || !mt_arg_axes(c, 1, MARS_ALL, &perm)) return false;
  return mt_give(c, c->given[1] ? mars_permute_dims(a, perm) : mars_transpose(a), out);
}
static bool fn_matrix_transpose(mt_call *c, mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && mt_give(c, mars_swapaxes(a, -1, -2), out);
}
static bool fn_swapaxes(mt_call *c, mt_value *out) {
  mars_tensor *a;
  int i, j;

  return mt_arg_tensor(c, 0, &a) && mt_arg_small(c, 1, 0, &i) && mt_arg_small(c, 2, 0, &j) &&
         mt_give(c, mars_swapaxes(a, i, j), out);
}
static bool fn_moveaxis(mt_call *c, mt_value *out) {
  mars_tensor *a;
  int i, j;

  return mt_arg_tensor(c, 0, &a) && mt_arg_small(c, 1, 0, &i) && mt_arg_small(c, 2, 0, &j) &&
         mt_give(c, mars_moveaxis(a, i, j), out);
}
static bool fn_expand_dims(mt_call *c, mt_value *out) {
  mars_tensor *a;
  int axis;

  return mt_arg_tensor(c, 0, &a) && mt_arg_small(c, 1, 0, &axis) && mt_give(c, mars_expand_dims(a, axis), out);
}
static bool fn_squeeze(mt_call *c, mt_value *out) {
  mars_tensor *a;
  mars_axes axes;

  return mt_arg_tensor(c, 0, &a) && mt_arg_axes(c, 1, MARS_ALL, &axes) && mt_give(c, mars_squeeze(a, axes), out);
}
static bool fn_flip(mt_call *c, mt_value *out) {
  mars_tensor *a;
  mars_axes axes;

  return mt_arg_tensor(c, 0, &a) && mt_arg_axes(c, 1, MARS_ALL, &axes) && mt_give(c, mars_flip(a, axes), out);
}
static bool fn_flipud(mt_call *c, mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && mt_give(c, mars_flip(a, MARS_AXES(0)), out);
}
static bool fn_fliplr(mt_call *c, mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && mt_give(c, mars_flip(a, MARS_AXES(1)), out);
}
static bool fn_broadcast_to(mt_call *c, mt_value *out) {
  mars_tensor *a;
  mars_shape s;

  return mt_arg_tensor(c, 0, &a) && mt_arg_shape(c, 1, &s) && mt_give(c, mars_broadcast_to(a, s), out);
}

static bool fn_concatenate(mt_call *c, mt_value *out) {
  mars_tensor **t;
  size_t n;
  int axis;

  if (!mt_arg_tensors(c, 0, &t, &n) || !mt_arg_small(c, 1, 0, &axis)) return false;
  if (c->v[1].kind == MT_NONE && c->at[1] != c->pos) { /* axis=None: flattened */
    mt_value flat;
    for (size_t i = 0; i < n; i++) {
      if (!mt_give(c, mars_ravel(t[i]), &flat)) return false;
      t[i] = flat.tensor;
    }
  }
  return mt_give(c, mars_concatenate(t, n, axis), out);
}
static bool fn_stack(mt_call *c, mt_value *out) {
  mars_tensor **t;
  size_t n;
  int axis;

  return mt_arg_tensors(c, 0, &t, &n) && mt_arg_small(c, 1, 0, &axis) && mt_give(c, mars_stack(t, n, axis), out);
}

static bool fn_astype(mt_call *c, mt_value *out) {
  mars_tensor *a;
  mars_dtype dt;

  return mt_arg_tensor(c, 0, &a) && mt_arg_dtype(c, 1, MARS_F64, &dt) && mt_give(c, mars_astype(a, dt), out);
}

const mt_fn mt_fn_shape[] = {
    {"reshape", "a/x, *shape/newshape", true, fn_reshape, "The same elements in another shape; one extent may be -1."},
    {"ravel", "a/x", true, fn_ravel, "All elements along one axis."},
    {"flatten", "a/x", true, fn_ravel, "All elements along one axis."},
    {"transpose", "a/x, *axes=None", true, fn_transpose, "Axes reversed, or in the order given."},
    {"permute_dims", "a/x, *axes", true, fn_transpose, "Axes in the order given."},
    {"matrix_transpose", "x/a", false, fn_matrix_transpose, "The last two axes swapped."},
    {"swapaxes", "a/x, axis1, axis2", true, fn_swapaxes, "Two axes swapped."},
    {"moveaxis", "a/x, source, destination", false, fn_moveaxis, "An axis moved to another place."},
    {"expand_dims", "a/x, axis", false, fn_expand_dims, "A new axis of extent 1."},
    {"squeeze", "a/x, axis=None", true, fn_squeeze, "Without the axes of extent 1."},
    {"flip", "a/x, axis=None", false, fn_flip, "In reverse order along some or all axes."},
    {"flipud", "a/m", false, fn_flipud, "In reverse order along axis 0."},
    {"fliplr", "a/m", false, fn_fliplr, "In reverse order along axis 1."},
    {"broadcast_to", "a/x, shape", false, fn_broadcast_to, "Repeated to a greater shape, without a copy."},
    {"concatenate", "arrays, axis=0", false, fn_concatenate, "Tensors joined along an axis."},
    {"stack", "arrays, axis=0", false, fn_stack, "Tensors joined along a new axis."},
    {"astype", "a/x, dtype", true, fn_astype, "In another dtype. Floats to integers truncate; out of range saturates, NaN gives 0."},
    {NULL, NULL, false, NULL, NULL},
};
