/*
 * A stand-in for libmars under the evaluator's tests: tensors are texts of the calls that made them, with a dtype and
 * a shape where the tests need one. No arithmetic.
 *
 * Every name "bad" in a call's operands makes an error tensor, to see where errors are reported.
 */
#include "tools_fake.h"

#include <mars/mars.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mars_tensor {
  mars_tensor *next;
  char *text;
  mars_dtype dtype;
  mars_shape shape;
  bool bad;
};

static mars_tensor *all;
static int calls;

static mars_tensor *make(mars_dtype dt, mars_shape shape, const char *fmt, ...) {
  mars_tensor *t = calloc(1, sizeof *t);
  va_list args;

  va_start(args, fmt);
  if (vasprintf(&t->text, fmt, args) < 0) abort();
  va_end(args);
  t->dtype = dt;
  t->shape = shape;
  t->bad = strstr(t->text, "BAD(") != NULL;
  t->next = all;
  all = t;
  calls++;
  return t;
}

void tools_fake_reset(void) {
  while (all) {
    mars_tensor *t = all;
    all = t->next;
    free(t->text);
    free(t);
  }
  calls = 0;
}
int tools_fake_calls(void) { return calls; }
const char *tools_fake_text(const mars_tensor *t) { return t->text; }
mars_tensor *tools_fake_tensor(const char *name, mars_dtype dt, mars_shape shape) { return make(dt, shape, "%s", name); }

static const char *shape_text(mars_shape s) {
  static char ring[4][200];
  static int next;
  char *p = ring[next++ % 4];
  int n = sprintf(p, "(");

  for (int d = 0; d < s.ndim; d++) n += sprintf(p + n, d ? ",%lld" : "%lld", (long long)s.dims[d]);
  sprintf(p + n, ")");
  return p;
}
static const char *axes_text(mars_axes a) {
  static char ring[4][200];
  static int next;
  char *p = ring[next++ % 4];
  int n = sprintf(p, a.count == MARS_ALL_AXES ? "all" : "{");

  for (int d = 0; d < a.count; d++) n += sprintf(p + n, d ? ",%d" : "%d", a.axis[d]);
  if (a.count != MARS_ALL_AXES) sprintf(p + n, "}");
  return p;
}

const char *mars_status_name(mars_status st) { return "?"; }
const char *mars_status_text(mars_status st) { return "?"; }
static const struct {
  const char *name;
  size_t bytes;
} dtypes[] = {
#define X(id, value, name, bytes, kind) {name, bytes},
    MARS_DTYPE_LIST(X)
#undef X
};
const char *mars_dtype_name(mars_dtype dt) { return dt < 0 ? "?" : dtypes[dt].name; }
size_t mars_dtype_bytes(mars_dtype dt) { return dtypes[dt].bytes; }
mars_dtype mars_dtype_from_name(const char *name) {
  for (int i = 0; i < MARS_DTYPE_COUNT; i++)
    if (!strcmp(dtypes[i].name, name)) return (mars_dtype)i;
  return strcmp(name, "f8") ? MARS_DTYPE_AUTO : MARS_F64;
}

mars_status mars_check(const mars_tensor *t, mars_error *err) {
  if (!t) return MARS_E_MEMORY;
  if (!t->bad) return MARS_OK;
  err->status = MARS_E_SHAPE;
  snprintf(err->message, sizeof err->message, "mars_fake: shapes do not fit");
  return MARS_E_SHAPE;
}
mars_dtype mars_dtype_of(const mars_tensor *t) { return t->dtype; }
mars_shape mars_shape_of(const mars_tensor *t) { return t->shape; }
int64_t mars_size_of(const mars_tensor *t) {
  int64_t n = 1;
  for (int d = 0; d < t->shape.ndim; d++) n *= t->shape.dims[d];
  return n;
}

mars_tensor *mars_bool(mars_session *s, bool v) { return make(MARS_BOOL, MARS_SHAPE_0D, v ? "True" : "False"); }
mars_tensor *mars_int(mars_session *s, int64_t v) { return make(MARS_I64, MARS_SHAPE_0D, "%lld", (long long)v); }
mars_tensor *mars_float(mars_session *s, double v) { return make(MARS_F64, MARS_SHAPE_0D, "%gf", v); }
mars_tensor *mars_complex(mars_session *s, double re, double im) {
  return make(MARS_C128, MARS_SHAPE_0D, "(%g%+gj)", re, im);
}
#define CREATE(f, ...) make(dt, shape, #f "(%s, %s" __VA_ARGS__)
mars_tensor *mars_empty(mars_session *s, mars_dtype dt, mars_shape shape) {
  return CREATE(empty, ")", mars_dtype_name(dt), shape_text(shape));
}
mars_tensor *mars_zeros(mars_session *s, mars_dtype dt, mars_shape shape) {
  return CREATE(zeros, ")", mars_dtype_name(dt), shape_text(shape));
}
mars_tensor *mars_ones(mars_session *s, mars_dtype dt, mars_shape shape) {
  return CREATE(ones, ")", mars_dtype_name(dt), shape_text(shape));
}
mars_tensor *mars_full(mars_session *s, mars_dtype dt, mars_shape shape, mars_tensor *fill) {
  return make(dt == MARS_DTYPE_AUTO ? fill->dtype : dt, shape, "full(%s, %s, %s)",
              dt == MARS_DTYPE_AUTO ? "auto" : mars_dtype_name(dt), shape_text(shape), fill->text);
}
mars_tensor *mars_empty_like(mars_tensor *a) { return make(a->dtype, a->shape, "empty_like(%s)", a->text); }
mars_tensor *mars_zeros_like(mars_tensor *a) { return make(a->dtype, a->shape, "zeros_like(%s)", a->text); }
mars_tensor *mars_ones_like(mars_tensor *a) { return make(a->dtype, a->shape, "ones_like(%s)", a->text); }
mars_tensor *mars_arange(mars_session *s, mars_dtype dt, double start, double stop, double step) {
  return make(dt, MARS_SHAPE((int64_t)((stop - start) / step)), "arange(%s, %g, %g, %g)", mars_dtype_name(dt), start, stop,
              step);
}
mars_tensor *mars_linspace(mars_session *s, mars_dtype dt, double start, double stop, int64_t num, bool endpoint) {
  return make(dt, MARS_SHAPE(num), "linspace(%s, %g, %g, %lld, %d)", mars_dtype_name(dt), start, stop, (long long)num, endpoint);
}
mars_tensor *mars_eye(mars_session *s, mars_dtype dt, int64_t n, int64_t m, int64_t k) {
  return make(dt, MARS_SHAPE(n, m), "eye(%s, %lld, %lld, %lld)", mars_dtype_name(dt), (long long)n, (long long)m, (long long)k);
}
mars_tensor *mars_iota(mars_session *s, mars_dtype dt, mars_shape shape, int axis) {
  return make(dt, shape, "iota(%s, %s, %d)", mars_dtype_name(dt), shape_text(shape), axis);
}
mars_tensor *mars_from_copy(mars_session *s, mars_dtype dt, mars_shape shape, const void *data) {
  char text[400];
  int64_t size = 1;
  int n = 0;

  for (int d = 0; d < shape.ndim; d++) size *= shape.dims[d];
  text[0] = 0;
  for (int64_t i = 0; i < size && n < 300; i++)
    n += dt == MARS_I64   ? sprintf(text + n, i ? ",%lld" : "%lld", (long long)((const int64_t *)data)[i])
         : dt == MARS_F64 ? sprintf(text + n, i ? ",%g" : "%g", ((const double *)data)[i])
         : dt == MARS_C128 ? sprintf(text + n, i ? ",%g%+gj" : "%g%+gj", ((const double *)data)[2 * i], ((const double *)data)[2 * i + 1])
                          : sprintf(text + n, i ? ",%d" : "%d", ((const char *)data)[i]);
  return make(dt, shape, "array(%s, %s, [%s])", mars_dtype_name(dt), shape_text(shape), text);
}
mars_tensor *mars_from_npy(mars_session *s, const char *path) { return make(MARS_F64, MARS_SHAPE(4, 5), "npy(%s)", path); }

mars_tensor *mars_index(mars_tensor *a, const mars_slice *items, size_t n) {
  char text[400];
  int at = 0;

  text[0] = 0;
  for (size_t i = 0; i < n; i++) {
    int64_t v[3] = {items[i].start, items[i].stop, items[i].step};
    if (i) at += sprintf(text + at, ", ");
    switch (items[i].kind) {
    case MARS_SLICE_RANGE:
      for (int k = 0; k < 3; k++) {
        if (k) at += sprintf(text + at, ":");
        if (v[k] != MARS_NONE) at += sprintf(text + at, "%lld", (long long)v[k]);
      }
      break;
    case MARS_SLICE_INTEGER: at += sprintf(text + at, "%lld", (long long)v[0]); break;
    case MARS_SLICE_NEWAXIS: at += sprintf(text + at, "None"); break;
    case MARS_SLICE_ELLIPSIS: at += sprintf(text + at, "..."); break;
    }
  }
  return make(a->dtype, a->shape, "%s[%s]", a->text, text);
}
mars_tensor *mars_reshape(mars_tensor *a, mars_shape s) { return make(a->dtype, s, "reshape(%s, %s)", a->text, shape_text(s)); }
mars_tensor *mars_ravel(mars_tensor *a) { return make(a->dtype, MARS_SHAPE(mars_size_of(a)), "ravel(%s)", a->text); }
mars_tensor *mars_transpose(mars_tensor *a) { return make(a->dtype, a->shape, "transpose(%s)", a->text); }
mars_tensor *mars_permute_dims(mars_tensor *a, mars_axes p) {
  return make(a->dtype, a->shape, "permute_dims(%s, %s)", a->text, axes_text(p));
}
mars_tensor *mars_swapaxes(mars_tensor *a, int i, int j) { return make(a->dtype, a->shape, "swapaxes(%s, %d, %d)", a->text, i, j); }
mars_tensor *mars_moveaxis(mars_tensor *a, int i, int j) { return make(a->dtype, a->shape, "moveaxis(%s, %d, %d)", a->text, i, j); }
mars_tensor *mars_expand_dims(mars_tensor *a, int axis) { return make(a->dtype, a->shape, "expand_dims(%s, %d)", a->text, axis); }
mars_tensor *mars_squeeze(mars_tensor *a, mars_axes x) { return make(a->dtype, a->shape, "squeeze(%s, %s)", a->text, axes_text(x)); }
mars_tensor *mars_flip(mars_tensor *a, mars_axes x) { return make(a->dtype, a->shape, "flip(%s, %s)", a->text, axes_text(x)); }
mars_tensor *mars_broadcast_to(mars_tensor *a, mars_shape s) {
  return make(a->dtype, s, "broadcast_to(%s, %s)", a->text, shape_text(s));
}
static mars_tensor *join(const char *name, mars_tensor *const *t, size_t n, int axis) {
  char text[400] = "";
  for (size_t i = 0; i < n; i++) {
    if (i) strncat(text, ", ", sizeof text - strlen(text) - 1);
    strncat(text, t[i]->text, sizeof text - strlen(text) - 1);
  }
  return make(t[0]->dtype, t[0]->shape, "%s([%s], %d)", name, text, axis);
}
mars_tensor *mars_concatenate(mars_tensor *const *t, size_t n, int axis) { return join("concatenate", t, n, axis); }
mars_tensor *mars_stack(mars_tensor *const *t, size_t n, int axis) { return join("stack", t, n, axis); }
mars_tensor *mars_astype(mars_tensor *a, mars_dtype dt) { return make(dt, a->shape, "astype(%s, %s)", a->text, mars_dtype_name(dt)); }
mars_tensor *mars_round(mars_tensor *a, int d) { return make(a->dtype, a->shape, "round(%s, %d)", a->text, d); }
mars_tensor *mars_nan_to_num(mars_tensor *a) { return make(a->dtype, a->shape, "nan_to_num(%s)", a->text); }
mars_tensor *mars_float_power(mars_tensor *a, mars_tensor *b) { return make(MARS_F64, a->shape, "float_power(%s, %s)", a->text, b->text); }
mars_tensor *mars_isposinf(mars_tensor *a) { return make(MARS_BOOL, a->shape, "isposinf(%s)", a->text); }
mars_tensor *mars_isneginf(mars_tensor *a) { return make(MARS_BOOL, a->shape, "isneginf(%s)", a->text); }
void mars_divmod(mars_tensor *a, mars_tensor *b, mars_tensor **q, mars_tensor **r) {
  *q = make(a->dtype, a->shape, "divmod.q(%s, %s)", a->text, b->text);
  *r = make(a->dtype, a->shape, "divmod.r(%s, %s)", a->text, b->text);
}
void mars_modf(mars_tensor *a, mars_tensor **f, mars_tensor **i) {
  *f = make(a->dtype, a->shape, "modf.f(%s)", a->text);
  *i = make(a->dtype, a->shape, "modf.i(%s)", a->text);
}
void mars_frexp(mars_tensor *a, mars_tensor **m, mars_tensor **e) {
  *m = make(a->dtype, a->shape, "frexp.m(%s)", a->text);
  *e = make(MARS_I32, a->shape, "frexp.e(%s)", a->text);
}
void mars_random_seed(mars_session *s, uint64_t seed) {}
mars_tensor *mars_random_uniform(mars_session *s, mars_dtype dt, mars_shape sh, double lo, double hi) {
  return make(dt, sh, "uniform(%s, %s, %g, %g)", mars_dtype_name(dt), shape_text(sh), lo, hi);
}
mars_tensor *mars_random_standard_normal(mars_session *s, mars_dtype dt, mars_shape sh) {
  return make(dt, sh, "standard_normal(%s, %s)", mars_dtype_name(dt), shape_text(sh));
}
mars_tensor *mars_random_normal(mars_session *s, mars_dtype dt, mars_shape sh, double loc, double scale) {
  return make(dt, sh, "normal(%s, %s, %g, %g)", mars_dtype_name(dt), shape_text(sh), loc, scale);
}
mars_tensor *mars_random_exponential(mars_session *s, mars_dtype dt, mars_shape sh, double scale) {
  return make(dt, sh, "exponential(%s, %s, %g)", mars_dtype_name(dt), shape_text(sh), scale);
}
mars_tensor *mars_random_integers(mars_session *s, mars_dtype dt, mars_shape sh, int64_t lo, int64_t hi) {
  return make(dt, sh, "integers(%s, %s, %lld, %lld)", mars_dtype_name(dt), shape_text(sh), (long long)lo, (long long)hi);
}
mars_tensor *mars_random_bernoulli(mars_session *s, mars_shape sh, double p) {
  return make(MARS_BOOL, sh, "bernoulli(%s, %g)", shape_text(sh), p);
}

/* The real table: names and arities come from the one list. */
static const mars_op_info rows[] = {
#define UNARY(id, name, dom, res, ulp, cost, expr, doc) {#name, doc, "unary", 1, ulp},
#define BINARY(id, name, dom, res, ulp, cost, expr, doc) {#name, doc, "binary", 2, ulp},
#define TERNARY(id, name, dom, res, ulp, cost, expr, doc) {#name, doc, "ternary", 3, ulp},
#define REDUCE(id, name, dom, res, acc, ulp, doc) {#name, doc, "reduce", 1, ulp},
#define SCAN(id, name, dom, res, ulp, doc) {#name, doc, "scan", 1, ulp},
#define RANDOM(id, name, dom, cost, doc) {#name, doc, "random", 0, 0},
#define NODE(id, name, doc) {#name, doc, "node", 0, 0},
#include "engine/ops.def"
};
const mars_op_info *mars_op_table(size_t i) { return i < sizeof rows / sizeof *rows ? &rows[i] : NULL; }

mars_tensor *mars_apply(mars_session *s, const char *name, mars_tensor *const *t, size_t n) {
  if (n == 1) return make(t[0]->dtype, t[0]->shape, "%s(%s)", name, t[0]->text);
  if (n == 2) return make(t[0]->dtype, t[0]->shape, "%s(%s, %s)", name, t[0]->text, t[1]->text);
  return make(t[1]->dtype, t[1]->shape, "%s(%s, %s, %s)", name, t[0]->text, t[1]->text, t[2]->text);
}
mars_tensor *mars_apply_reduce(const char *name, mars_tensor *a, const mars_reduce_options *o) {
  char extra[100] = "";

  if (o->keepdims) strcat(extra, ", keepdims");
  if (o->ddof != 0) sprintf(extra + strlen(extra), ", ddof=%g", o->ddof);
  if (o->has_dtype) sprintf(extra + strlen(extra), ", %s", mars_dtype_name(o->dtype));
  return make(a->dtype, MARS_SHAPE_0D, "%s(%s, %s%s)", name, a->text, axes_text(o->axes), extra);
}

/* ---- linear algebra: the call as a text ----------------------------------------------------------- */

#define PAIR(name)                                                                                           \
  mars_tensor *mars_##name(mars_tensor *a, mars_tensor *b) {                                                 \
    return make(a->dtype, a->shape, #name "(%s, %s)", a->text, b->text);                                     \
  }
PAIR(matmul) PAIR(dot) PAIR(inner) PAIR(outer) PAIR(vdot) PAIR(kron) PAIR(solve)
#undef PAIR
#define ONE(name)                                                                                            \
  mars_tensor *mars_##name(mars_tensor *a) { return make(a->dtype, a->shape, #name "(%s)", a->text); }
ONE(cholesky) ONE(inv) ONE(det) ONE(svdvals)
#undef ONE
#define WITH(name, type, format)                                                                             \
  mars_tensor *mars_##name(mars_tensor *a, type x) { return make(a->dtype, a->shape, #name "(%s, " format ")", a->text, x); }
WITH(matrix_power, int64_t, "%ld") WITH(diagonal, int64_t, "%ld") WITH(trace, int64_t, "%ld") WITH(diag, int64_t, "%ld")
WITH(tril, int64_t, "%ld") WITH(triu, int64_t, "%ld") WITH(pinv, double, "%g") WITH(matrix_rank, double, "%g")
WITH(cond, double, "%g") WITH(eigvalsh, mars_triangle, "%d")
#undef WITH
mars_tensor *mars_tensordot(mars_tensor *a, mars_tensor *b, mars_axes i, mars_axes k) {
  return make(a->dtype, a->shape, "tensordot(%s, %s, %s, %s)", a->text, b->text, axes_text(i), axes_text(k));
}
mars_tensor *mars_einsum(const char *subscripts, mars_tensor *const *t, size_t n) { return join(subscripts, t, n, 0); }
mars_tensor *mars_multi_dot(mars_tensor *const *t, size_t n) { return join("multi_dot", t, n, 0); }
mars_tensor *mars_solve_triangular(mars_tensor *a, mars_tensor *b, mars_triangle triangle, mars_trans trans, bool unit) {
  return make(b->dtype, b->shape, "solve_triangular(%s, %s, %s%s%s)", a->text, b->text, triangle == MARS_LOWER ? "lower" : "upper",
              trans == MARS_TRANS ? ", trans" : trans == MARS_CONJ_TRANS ? ", conj_trans" : "", unit ? ", unit" : "");
}
mars_tensor *mars_norm(mars_tensor *a, double ord, mars_axes axes, bool keepdims) {
  return make(MARS_F64, MARS_SHAPE_0D, "norm(%s, %g, %s%s)", a->text, ord, axes_text(axes), keepdims ? ", keepdims" : "");
}
static void part(mars_tensor **out, mars_tensor *a, const char *name, const char *extra) {
  if (out) *out = make(a->dtype, a->shape, "%s(%s%s)", name, a->text, extra);
}
void mars_lu(mars_tensor *a, mars_tensor **p, mars_tensor **l, mars_tensor **u) {
  part(p, a, "lu.p", ""), part(l, a, "lu.l", ""), part(u, a, "lu.u", "");
}
void mars_slogdet(mars_tensor *a, mars_tensor **sign, mars_tensor **logdet) {
  part(sign, a, "slogdet.s", ""), part(logdet, a, "slogdet.l", "");
}
void mars_qr(mars_tensor *a, mars_qr_mode mode, mars_tensor **q, mars_tensor **r) {
  const char *extra = mode == MARS_QR_COMPLETE ? ", complete" : "";
  part(q, a, "qr.q", extra), part(r, a, "qr.r", extra);
}
void mars_svd(mars_tensor *a, bool full, mars_tensor **u, mars_tensor **s, mars_tensor **vh) {
  const char *extra = full ? ", full" : "";
  part(u, a, "svd.u", extra), part(s, a, "svd.s", extra), part(vh, a, "svd.vh", extra);
}
void mars_eigh(mars_tensor *a, mars_triangle triangle, mars_tensor **w, mars_tensor **v) {
  const char *extra = triangle == MARS_LOWER ? ", lower" : ", upper";
  part(w, a, "eigh.w", extra), part(v, a, "eigh.v", extra);
}
void mars_randomized_svd(mars_tensor *a, int64_t k, int64_t oversample, int iterations, mars_tensor **u, mars_tensor **s,
                         mars_tensor **vh) {
  char extra[80];
  sprintf(extra, ", %ld, %ld, %d", (long)k, (long)oversample, iterations);
  part(u, a, "rsvd.u", extra), part(s, a, "rsvd.s", extra), part(vh, a, "rsvd.vh", extra);
}
void mars_lstsq(mars_tensor *a, mars_tensor *b, double rcond, mars_tensor **x, mars_tensor **residuals, mars_tensor **rank,
                mars_tensor **s) {
  char extra[300];
  snprintf(extra, sizeof extra, ", %s, %g", b->text, rcond);
  part(x, a, "lstsq.x", extra), part(residuals, a, "lstsq.r", extra), part(rank, a, "lstsq.n", extra), part(s, a, "lstsq.s", extra);
}
