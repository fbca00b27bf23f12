/* Functions that make tensors. */
#include "fn.h"

#include <string.h>

static bool shape_and_dtype(mt_call *c, int shape, int dtype, mars_shape *s, mars_dtype *dt) {
  return mt_arg_shape(c, shape, s) && mt_arg_dtype(c, dtype, MARS_F64, dt);
}

static bool fn_empty(mt_call *c, mt_value *out) {
  mars_shape s;
  mars_dtype dt;
  return shape_and_dtype(c, 0, 1, &s, &dt) && mt_give(c, mars_empty(c->ev->session, dt, s), out);
}
static bool fn_zeros(mt_call *c, mt_value *out) {
  mars_shape s;
  mars_dtype dt;
  return shape_and_dtype(c, 0, 1, &s, &dt) && mt_give(c, mars_zeros(c->ev->session, dt, s), out);
}
static bool fn_ones(mt_call *c, mt_value *out) {
  mars_shape s;
  mars_dtype dt;
  return shape_and_dtype(c, 0, 1, &s, &dt) && mt_give(c, mars_ones(c->ev->session, dt, s), out);
}

static bool fn_full(mt_call *c, mt_value *out) {
  mars_shape s;
  mars_dtype dt;
  mars_tensor *fill;

  return mt_arg_shape(c, 0, &s) && mt_arg_tensor(c, 1, &fill) && mt_arg_dtype(c, 2, MARS_DTYPE_AUTO, &dt) &&
         mt_give(c, mars_full(c->ev->session, dt, s, fill), out);
}

/* The *_like functions, with an optional other dtype. */
static bool like(mt_call *c, mars_tensor *t, int dtype, mt_value *out) {
  mars_dtype dt;

  if (!mt_arg_dtype(c, dtype, MARS_DTYPE_AUTO, &dt) || !mt_give(c, t, out)) return false;
  return dt == MARS_DTYPE_AUTO || mt_give(c, mars_astype(out->tensor, dt), out);
}
static bool fn_empty_like(mt_call *c, mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && like(c, mars_empty_like(a), 1, out);
}
static bool fn_zeros_like(mt_call *c, mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && like(c, mars_zeros_like(a), 1, out);
}
static bool fn_ones_like(mt_call *c, mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && like(c, mars_ones_like(a), 1, out);
}

/* fill goes to the wanted dtype directly, not by way of a's. */
static bool fn_full_like(mt_call *c, mt_value *out) {
  mars_tensor *a, *fill;
  mars_dtype dt;

  if (!mt_arg_tensor(c, 0, &a) || !mt_arg_tensor(c, 1, &fill) || !mt_arg_dtype(c, 2, mars_dtype_of(a), &dt)) return false;
  return mt_give(c, mars_full(c->ev->session, dt, mars_shape_of(a), fill), out);
}

static bool fn_arange(mt_call *c, mt_value *out) {
  mars_dtype dt = MARS_I64;
  double v[3];

  for (int i = 0; i < 3; i++) {
    if (!mt_arg_double(c, i, i == 2, &v[i])) return false;
    if (c->given[i] && c->v[i].kind == MT_FLOAT) dt = MARS_F64;
  }
  if (!c->given[1]) { /* arange(stop) */
    v[1] = v[0];
    v[0] = 0;
  }
  return mt_arg_dtype(c, 3, dt, &dt) && mt_give(c, mars_arange(c->ev->session, dt, v[0], v[1], v[2]), out);
}

static bool fn_linspace(mt_call *c, mt_value *out) {
  double start, stop;
  mars_dtype dt;
  bool endpoint;
  int64_t num;

  return mt_arg_double(c, 0, 0, &start) && mt_arg_double(c, 1, 0, &stop) && mt_arg_int(c, 2, 50, &num) &&
         mt_arg_bool(c, 3, true, &endpoint) && mt_arg_dtype(c, 4, MARS_F64, &dt) &&
         mt_give(c, mars_linspace(c->ev->session, dt, start, stop, num, endpoint), out);
}

static bool fn_eye(mt_call *c, mt_value *out) {
  int64_t n, m, k;
  mars_dtype dt;

  return mt_arg_int(c, 0, 0, &n) && mt_arg_int(c, 1, n, &m) && mt_arg_int(c, 2, 0, &k) &&
         mt_arg_dtype(c, 3, MARS_F64, &dt) && mt_give(c, mars_eye(c->ev->session, dt, n, m, k), out);
}
static bool fn_identity(mt_call *c, mt_value *out) {
  mars_dtype dt;
  int64_t n;

  return mt_arg_int(c, 0, 0, &n) && mt_arg_dtype(c, 1, MARS_F64, &dt) &&
         mt_give(c, mars_eye(c->ev->session, dt, n, n, 0), out);
}

static bool fn_iota(mt_call *c, mt_value *out) {
  mars_shape s;
  mars_dtype dt;
  int axis;

  return mt_arg_shape(c, 0, &s) && mt_arg_small(c, 1, 0, &axis) && mt_arg_dtype(c, 2, MARS_I64, &dt) &&
         mt_give(c, mars_iota(c->ev->session, dt, s, axis), out);
}

static bool fn_load(mt_call *c, mt_value *out) {
  const char *path;

  return mt_arg_string(c, 0, &path) && mt_give(c, mars_from_npy(c->ev->session, path), out);
}

static bool fn_array(mt_call *c, mt_value *out) {
  mars_dtype dt;

  if (!mt_arg_dtype(c, 1, MARS_DTYPE_AUTO, &dt)) return false;
  if (c->v[0].kind == MT_TENSOR) *out = c->v[0];
  else if (!mt_eval_array(c->ev, c->at[0], &c->v[0], out)) return false;
  return dt == MARS_DTYPE_AUTO || mt_give(c, mars_astype(out->tensor, dt), out);
}

const mt_fn mt_fn_create[] = {
    {"array", "object, dtype=None", false, fn_array, "A tensor of the numbers in nested lists."},
    {"load", "file", false, fn_load, "An npy file; read chunk by chunk when it is needed."},
    {"empty", "shape, dtype=float64", false, fn_empty, "The same as zeros: never garbage."},
    {"zeros", "shape, dtype=float64", false, fn_zeros, "Zeros."},
    {"ones", "shape, dtype=float64", false, fn_ones, "Ones."},
    {"full", "shape, fill_value, dtype=None", false, fn_full, "One value everywhere."},
    {"empty_like", "a/x, dtype=None", false, fn_empty_like, "empty with a's shape."},
    {"zeros_like", "a/x, dtype=None", false, fn_zeros_like, "zeros with a's shape."},
    {"ones_like", "a/x, dtype=None", false, fn_ones_like, "ones with a's shape."},
    {"full_like", "a/x, fill_value, dtype=None", false, fn_full_like, "full with a's shape."},
    {"arange", "start, stop=None, step=1, dtype=None", false, fn_arange, "start, start + step, ... below stop; arange(stop) starts at 0."},
    {"linspace", "start, stop, num=50, endpoint=True, dtype=float64", false, fn_linspace, "num evenly spaced values."},
    {"eye", "N, M=None, k=0, dtype=float64", false, fn_eye, "Ones on the k-th diagonal."},
    {"identity", "n, dtype=float64", false, fn_identity, "The square eye."},
    {"iota", "shape, axis=0, dtype=int64", false, fn_iota, "Each element is its own index along an axis."},
    {NULL, NULL, false, NULL, NULL},
};
