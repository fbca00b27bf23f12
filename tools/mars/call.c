/* Function calls: finding the function, binding arguments to its signature, rows of the op table. */
#include "fn.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* ---- names ---------------------------------------------------------------------------------------- */

/* NumPy functions that are expected and not there yet: they get a plain answer instead of near matches. */
static const char *const later[] = {
    "cross", "vecdot", "linalg.cross", "linalg.vecdot", "linalg.eig", "linalg.eigvals", "linalg.tensorinv",
    "linalg.tensorsolve", "linalg.vector_norm", "linalg.matrix_norm",
    "sort", "argsort", "partition", "argpartition", "unique", "searchsorted", "nonzero", "flatnonzero", "take",
    "take_along_axis", "compress", "median", "nanmedian", "percentile", "quantile", "histogram", "bincount", "diff",
    "gradient", "convolve", "correlate", "interp", "tile", "repeat", "roll", "pad", "split", "meshgrid", "cov", "corrcoef",
    "average", "trapz", "isin", "isclose", "allclose", "random.choice", "random.permutation", "random.shuffle"};

const mt_fn *mt_fn_table(size_t index) {
  static const mt_fn *const tables[] = {mt_fn_create,  mt_fn_random, mt_fn_shape, mt_fn_math,
                                        mt_fn_product, mt_fn_linalg, NULL};
  return index < sizeof tables / sizeof *tables ? tables[index] : NULL;
}

/* "svd" of "linalg.svd"; NULL: it is not from there. */
static const char *in_linalg(const char *name) { return strncmp(name, "linalg.", 7) ? NULL : name + 7; }

static const mt_fn *find_fn(const char *name) {
  const char *linalg = in_linalg(name);

  for (size_t t = 0; mt_fn_table(t); t++) {
    const mt_fn *table = mt_fn_table(t);
    if (linalg && table != mt_fn_product && table != mt_fn_linalg) continue;
    for (const mt_fn *fn = table; fn->name; fn++)
      if (!strcmp(fn->name, linalg ? linalg : name)) return fn;
  }
  return NULL;
}

static bool is_kind(const mars_op_info *row, const char *kind) { return !strcmp(row->kind, kind); }

/* Rows that can be applied to tensors; leaves, views, generators and routines have functions of their own. */
static const mars_op_info *find_row(const char *name) {
  const mars_op_info *row;

  for (size_t i = 0; (row = mars_op_table(i)); i++)
    if (!strcmp(row->name, name) && !is_kind(row, "random") && !is_kind(row, "node") && !is_kind(row, "routine"))
      return row;
  return NULL;
}

/* float32, int8, ...; float, int, complex, bool are Python's. */
static bool find_dtype(const char *name, mars_dtype *out) {
  static const struct {
    const char *name;
    mars_dtype dt;
  } extra[] = {{"float", MARS_F64},   {"int", MARS_I64},    {"complex", MARS_C128}, {"bool_", MARS_BOOL}, {"double", MARS_F64},
               {"single", MARS_F32},  {"half", MARS_F16},   {"intp", MARS_I64},     {"float_", MARS_F64}};

  for (size_t i = 0; i < sizeof extra / sizeof *extra; i++)
    if (!strcmp(extra[i].name, name)) {
      *out = extra[i].dt;
      return true;
    }
  *out = mars_dtype_from_name(name);
  return *out != MARS_DTYPE_AUTO && !strcmp(mars_dtype_name(*out), name); /* not "f8": that may be a misspelt variable */
}

static const struct {
  const char *name;
  double value;
} constants[] = {{"pi", 3.14159265358979323846}, {"e", 2.71828182845904523536}, {"inf", INFINITY},
                 {"nan", NAN}, {"Inf", INFINITY}, {"NaN", NAN}, {"euler_gamma", 0.57721566490153286061}};

bool mt_find_constant(const char *name, mt_value *out) {
  mars_dtype dt;

  for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
    if (!strcmp(constants[i].name, name)) {
      *out = mt_of_float(constants[i].value);
      return true;
    }
  if (!strcmp(name, "newaxis")) {
    *out = (mt_value){.kind = MT_NONE};
    return true;
  }
  if (!find_dtype(name, &dt)) return false;
  *out = mt_of_dtype(dt);
  return true;
}

bool mt_function_exists(const char *name) {
  name = mx_canonical_name(name);
  return find_fn(name) || find_row(name);
}

const char *mt_suggest_name(mt_eval *ev, const char *name) {
  const mars_op_info *row;
  mt_suggest s;

  mt_suggest_init(&s, in_linalg(name) ? in_linalg(name) : name);
  for (size_t i = 0; i < ev->n_variables; i++) mt_suggest_offer(&s, ev->variable[i].name);
  for (size_t t = 0; mt_fn_table(t); t++)
    for (const mt_fn *fn = mt_fn_table(t); fn->name; fn++) mt_suggest_offer(&s, fn->name);
  for (size_t i = 0; (row = mars_op_table(i)); i++)
    if (find_row(row->name)) mt_suggest_offer(&s, row->name);
  for (size_t i = 0; mx_other_name(i); i++) mt_suggest_offer(&s, mx_other_name(i));
  for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) mt_suggest_offer(&s, constants[i].name);
  for (int dt = 0; dt < MARS_DTYPE_COUNT; dt++) mt_suggest_offer(&s, mars_dtype_name((mars_dtype)dt));
  return mt_suggest_text(&s, ev->arena);
}

/* ---- binding -------------------------------------------------------------------------------------- */

typedef struct parameter {
  const char *names; /* "a/x" */
  size_t n;
  bool optional, keyword_only, rest;
} parameter;

static size_t parse_signature(const char *s, parameter *p) {
  bool keyword_only = false;
  size_t n = 0;

  while (*s) {
    size_t len = strcspn(s, ",");
    while (*s == ' ') s++, len--;
    if (*s == '|') {
      keyword_only = true;
    } else {
      parameter *q = &p[n++];
      *q = (parameter){.keyword_only = keyword_only, .rest = *s == '*'};
      q->names = s + q->rest;
      q->n = strcspn(q->names, "=,");
      q->optional = q->names[q->n] == '=';
    }
    s += len;
    if (*s) s++;
  }
  return n;
}

static bool has_name(const parameter *p, const char *name) {
  size_t len = strlen(name), at = 0;

  while (at < p->n) {
    size_t n = strcspn(p->names + at, "/=,");
    if (n == len && !memcmp(p->names + at, name, n)) return true;
    at += n + 1;
  }
  return false;
}

static void signature_text(const mt_call *c, mt_str *out) {
  mt_str_printf(out, "%s(", c->name);
  for (const char *s = c->signature; *s; s++) { /* without synonyms; '|' as Python writes it */
    if (*s == '/') {
      s += strcspn(s, "=,") - 1;
      continue;
    }
    mt_str_add(out, *s == '|' ? "*" : s, 1);
  }
  mt_str_puts(out, ")");
}

static bool bind_fail(mt_call *c, size_t pos, const char *problem, const char *what) {
  mt_str text = {0};

  signature_text(c, &text);
  mt_eval_fail(c->ev, pos, "%s(): %s%s; it is %s", c->name, problem, what, text.text);
  mt_str_free(&text);
  return false;
}

/* "*shape": x.reshape(2, 3) or x.reshape((2, 3)) */
static size_t bind_rest(mt_call *c, size_t at, const mt_argument *args, size_t n) {
  size_t count = 0;

  while (count < n && !args[count].name) count++;
  c->given[at] = count > 0;
  if (!count) return 0;
  c->at[at] = args[0].pos;
  if (count == 1 && args[0].value.kind != MT_INT) {
    c->v[at] = args[0].value;
    return 1;
  }
  c->v[at] = (mt_value){.kind = MT_TUPLE, .n = count, .item = mt_alloc(c->ev->arena, count * sizeof(mt_value))};
  for (size_t i = 0; i < count; i++) c->v[at].item[i] = args[i].value;
  return count;
}

static bool bind(mt_call *c, const mt_argument *args, size_t n) {
  parameter p[MT_MAX_PARAMS];
  size_t n_params = parse_signature(c->signature, p), next = 0, i = 0;

  for (size_t k = 0; k < n_params; k++) c->at[k] = c->pos;
  while (i < n && !args[i].name) {
    if (next >= n_params || p[next].keyword_only) return bind_fail(c, args[i].pos, "too many arguments", "");
    if (p[next].rest) {
      i += bind_rest(c, next++, args + i, n - i);
      continue;
    }
    c->v[next] = args[i].value;
    c->at[next] = args[i].pos;
    c->given[next++] = true;
    i++;
  }
  for (; i < n; i++) {
    size_t k = 0;
    while (k < n_params && !has_name(&p[k], args[i].name)) k++;
    if (k == n_params) return bind_fail(c, args[i].pos, "unexpected keyword ", args[i].name);
    if (c->given[k]) return bind_fail(c, args[i].pos, "given twice: ", args[i].name);
    c->v[k] = args[i].value;
    c->at[k] = args[i].pos;
    c->given[k] = true;
  }
  for (size_t k = 0; k < n_params; k++) {
    if (!c->given[k] && !p[k].optional) {
      char *name = mt_strndup(c->ev->arena, p[k].names, strcspn(p[k].names, "/=,"));
      return bind_fail(c, c->pos, "missing argument ", name);
    }
    if (p[k].optional && c->v[k].kind == MT_NONE) c->given[k] = false;
  }
  return true;
}

/* ---- bound arguments ------------------------------------------------------------------------------ */

bool mt_arg_fail(mt_call *c, int i, const char *wanted) {
  parameter p[MT_MAX_PARAMS];

  parse_signature(c->signature, p);
  return mt_eval_fail(c->ev, c->at[i], "%s(): %.*s must be %s, not %s", c->name, (int)strcspn(p[i].names, "/=,"),
                      p[i].names, wanted, mt_kind_name(&c->v[i]));
}

/* Sizes may be written 1e6. */
static bool whole(const mt_value *v, int64_t *out) {
  if (v->kind == MT_INT || v->kind == MT_BOOL) *out = v->i;
  else if (v->kind == MT_FLOAT && v->f == floor(v->f) && fabs(v->f) < 0x1p62) *out = (int64_t)v->f;
  else return false;
  return true;
}

bool mt_arg_int(mt_call *c, int i, int64_t fallback, int64_t *out) {
  *out = fallback;
  return !c->given[i] || whole(&c->v[i], out) || mt_arg_fail(c, i, "an integer");
}

bool mt_arg_small(mt_call *c, int i, int fallback, int *out) {
  int64_t v;

  if (!mt_arg_int(c, i, fallback, &v)) return false;
  if (v < INT_MIN || v > INT_MAX) return mt_eval_fail(c->ev, c->at[i], "%s(): %lld is out of range", c->name, (long long)v);
  *out = (int)v;
  return true;
}

bool mt_arg_double(mt_call *c, int i, double fallback, double *out) {
  *out = fallback;
  if (!c->given[i]) return true;
  if (!mt_is_real(&c->v[i])) return mt_arg_fail(c, i, "a real number");
  *out = mt_to_double(&c->v[i]);
  return true;
}

bool mt_arg_bool(mt_call *c, int i, bool fallback, bool *out) {
  *out = fallback;
  if (!c->given[i]) return true;
  if (c->v[i].kind != MT_BOOL && c->v[i].kind != MT_INT) return mt_arg_fail(c, i, "True or False");
  *out = c->v[i].i != 0;
  return true;
}

bool mt_arg_dtype(mt_call *c, int i, mars_dtype fallback, mars_dtype *out) {
  *out = fallback;
  if (!c->given[i]) return true;
  if (c->v[i].kind == MT_DTYPE) {
    *out = c->v[i].dtype;
    return true;
  }
  if (c->v[i].kind != MT_STRING) return mt_arg_fail(c, i, "a dtype, e.g. float32");
  *out = mars_dtype_from_name(c->v[i].text);
  if (*out != MARS_DTYPE_AUTO) return true;
  char names[160] = "";
  for (int dt = 0; dt < MARS_DTYPE_COUNT; dt++) {
    strcat(strcat(names, dt == 0 ? "" : ", "), mars_dtype_name((mars_dtype)dt));
  }
  return mt_eval_fail(c->ev, c->at[i], "%s(): there is no dtype '%.60s'; there are %s", c->name, c->v[i].text, names);
}

bool mt_arg_shape(mt_call *c, int i, mars_shape *out) {
  const mt_value *v = &c->v[i];

  *out = MARS_SHAPE_0D;
  if (!c->given[i]) return true;
  if (whole(v, &out->dims[0])) {
    out->ndim = 1;
    return true;
  }
  if (v->kind != MT_TUPLE) return mt_arg_fail(c, i, "an integer or a tuple of integers");
  if (v->n > MARS_MAX_DIMS)
    return mt_eval_fail(c->ev, c->at[i], "%s(): a shape of %zu axes; at most %d are possible", c->name, v->n, MARS_MAX_DIMS);
  for (size_t d = 0; d < v->n; d++)
    if (!whole(&v->item[d], &out->dims[d])) return mt_arg_fail(c, i, "made of integers");
  out->ndim = (int)v->n;
  return true;
}

bool mt_axes_of(mt_call *c, int i, const mt_value *one, mars_axes *out) {
  const mt_value *v = one->kind == MT_TUPLE ? one->item : one;
  size_t n = one->kind == MT_TUPLE ? one->n : 1;

  if (n > MARS_MAX_DIMS) return mt_eval_fail(c->ev, c->at[i], "%s(): too many axes", c->name);
  out->count = (int)n;
  for (size_t k = 0; k < n; k++) {
    if (v[k].kind != MT_INT) return mt_arg_fail(c, i, "an integer or a tuple of integers");
    if (v[k].i < INT_MIN || v[k].i > INT_MAX)
      return mt_eval_fail(c->ev, c->at[i], "%s(): axis %lld is out of range", c->name, (long long)v[k].i);
    out->axis[k] = (int)v[k].i;
  }
  return true;
}

bool mt_arg_axes(mt_call *c, int i, mars_axes fallback, mars_axes *out) {
  *out = fallback;
  return !c->given[i] || mt_axes_of(c, i, &c->v[i], out);
}

bool mt_arg_string(mt_call *c, int i, const char **out) {
  if (c->v[i].kind != MT_STRING) return mt_arg_fail(c, i, "a string in quotes");
  *out = c->v[i].text;
  return true;
}

bool mt_arg_tensor(mt_call *c, int i, mars_tensor **out) {
  return mt_eval_tensor(c->ev, c->at[i], &c->v[i], c->name, out);
}

bool mt_arg_tensors(mt_call *c, int i, mars_tensor ***out, size_t *n) {
  const mt_value *v = &c->v[i];

  if (v->kind != MT_TUPLE) return mt_arg_fail(c, i, "a tuple of tensors: (a, b)");
  *n = v->n;
  *out = mt_alloc(c->ev->arena, (v->n + 1) * sizeof **out);
  if (!v->n) return mt_eval_fail(c->ev, c->at[i], "%s(): at least one tensor is needed", c->name);
  for (size_t k = 0; k < v->n; k++)
    if (!mt_eval_tensor(c->ev, c->at[i], &v->item[k], c->name, &(*out)[k])) return false;
  return true;
}

bool mt_give(mt_call *c, mars_tensor *t, mt_value *out) { return mt_eval_give(c->ev, c->pos, t, out); }

bool mt_give_tuple(mt_call *c, mars_tensor *const *t, size_t n, mt_value *out) {
  mt_value *item = mt_alloc(c->ev->arena, n * sizeof *item);

  for (size_t i = 0; i < n; i++)
    if (!mt_give(c, t[i], &item[i])) return false;
  *out = (mt_value){.kind = MT_TUPLE, .item = item, .n = n};
  return true;
}

/* ---- rows of the op table ------------------------------------------------------------------------- */

static bool call_elementwise(mt_call *c, const mars_op_info *row, mt_value *out) {
  const mt_value *operands[3];

  for (int i = 0; i < row->arity; i++) operands[i] = &c->v[i];
  return mt_eval_apply(c->ev, c->pos, row->name, operands, (size_t)row->arity, out);
}

static bool call_reduce(mt_call *c, const mars_op_info *row, mt_value *out) {
  mars_reduce_options o = {.axes = MARS_ALL};
  bool adds = !strcmp(row->name, "sum") || !strcmp(row->name, "prod") || !strcmp(row->name, "nansum") ||
              !strcmp(row->name, "nanprod");
  mars_tensor *a;

  if (c->given[1] && c->v[1].kind == MT_TENSOR && (!strcmp(row->name, "max") || !strcmp(row->name, "min")))
    return mt_eval_fail(c->ev, c->pos, "%s() is over one tensor; of two it is %simum(a, b)", c->name, row->name);
  if (!mt_arg_tensor(c, 0, &a) || !mt_arg_axes(c, 1, MARS_ALL, &o.axes) || !mt_arg_bool(c, 2, false, &o.keepdims) ||
      !mt_arg_dtype(c, 3, MARS_DTYPE_AUTO, &o.dtype) || !mt_arg_double(c, 4, 0, &o.ddof))
    return false;
  if (c->given[4] && !strstr(row->name, "var") && !strstr(row->name, "std"))
    return mt_eval_fail(c->ev, c->at[4], "%s(): only var and std take ddof", c->name);
  if (c->given[3]) {
    if (adds) o.has_dtype = true;
    else if (!mt_give(c, mars_astype(a, o.dtype), out)) return false;
    else a = out->tensor;
  }
  return mt_give(c, mars_apply_reduce(row->name, a, &o), out);
}

/* Without an axis NumPy runs over the flattened array. */
static bool call_scan(mt_call *c, const mars_op_info *row, mt_value *out) {
  mars_reduce_options o = {.axes = {1, {0}}};
  mars_tensor *a;

  if (!mt_arg_tensor(c, 0, &a) || !mt_arg_small(c, 1, 0, &o.axes.axis[0]) ||
      !mt_arg_dtype(c, 2, MARS_DTYPE_AUTO, &o.dtype))
    return false;
  if (c->given[2]) {
    if (!mt_give(c, mars_astype(a, o.dtype), out)) return false;
    a = out->tensor;
  }
  if (!c->given[1] && mars_shape_of(a).ndim != 1) {
    if (!mt_give(c, mars_ravel(a), out)) return false;
    a = out->tensor;
  }
  return mt_give(c, mars_apply_reduce(row->name, a, &o), out);
}

static bool call_row(mt_call *c, const mars_op_info *row, const mt_argument *args, size_t n, mt_value *out) {
  static const char *const elementwise[] = {"", "x/a", "x/x1/a, y/x2/b", "x, y, z"};

  if (is_kind(row, "reduce")) {
    c->signature = "a/x, axis=None, |, keepdims=False, dtype=None, ddof/correction=0";
    return bind(c, args, n) && call_reduce(c, row, out);
  }
  if (is_kind(row, "scan")) {
    c->signature = "a/x, axis=None, dtype=None";
    return bind(c, args, n) && call_scan(c, row, out);
  }
  if (row->arity < 1 || row->arity > 3) return mt_eval_fail(c->ev, c->pos, "'%s' cannot be called here", c->name);
  c->signature = elementwise[row->arity];
  return bind(c, args, n) && call_elementwise(c, row, out);
}

/* ---- the call ------------------------------------------------------------------------------------- */

static bool unknown_function(mt_eval *ev, const char *name, size_t pos, bool method) {
  for (size_t i = 0; i < sizeof later / sizeof *later; i++)
    if (!strcmp(later[i], name)) return mt_eval_fail(ev, pos, "'%s' is not available yet", name);
  if (!strncmp(name, "fft.", 4)) return mt_eval_fail(ev, pos, "'%s' is not available yet", name);
  if (mt_eval_get(ev, name)) return mt_eval_fail(ev, pos, "'%s' is a variable: it cannot be called", name);
  return mt_eval_fail(ev, pos, "unknown %s '%s'%s", method ? "method" : "function", name, mt_suggest_name(ev, name));
}

static bool call_dtype(mt_eval *ev, mars_dtype dt, const char *name, size_t pos, const mt_argument *args, size_t n,
                       mt_value *out) {
  mt_call c = {.ev = ev, .name = name, .pos = pos, .signature = "x"};
  mars_tensor *t;

  if (!bind(&c, args, n)) return false;
  if (!mt_arg_tensor(&c, 0, &t)) return false;
  return mt_give(&c, mars_astype(t, dt), out);
}

static bool is_method_row(const mars_op_info *row) {
  return is_kind(row, "reduce") || is_kind(row, "scan") || !strcmp(row->name, "conj");
}

bool mt_call_function(mt_eval *ev, const char *name, size_t pos, const mt_value *self, size_t self_pos,
                      const mt_argument *args, size_t n, mt_value *out) {
  mt_call c = {.ev = ev, .name = name, .pos = pos};
  const char *canonical = mx_canonical_name(name);
  const mt_fn *fn = find_fn(canonical);
  const mars_op_info *row = fn ? NULL : find_row(canonical);
  bool folded = false;
  mars_dtype dt;

  if (!self && !mt_fold_builtin(ev, name, pos, args, n, out, &folded)) return false;
  if (folded) return true;
  if (self) { /* x.f(...) is f(x, ...) */
    mt_argument *all = mt_alloc(ev->arena, (n + 1) * sizeof *all);
    all[0] = (mt_argument){NULL, self_pos, *self};
    if (n) memcpy(all + 1, args, n * sizeof *all);
    args = all;
    n++;
    if (self->kind != MT_TENSOR && !mt_is_number(self))
      return mt_eval_fail(ev, pos, "a %s has no method '%s'", mt_kind_name(self), name);
    if ((fn && !fn->method) || (row && !is_method_row(row)))
      return mt_eval_fail(ev, pos, "a tensor has no method '%s': write %s(x)", name, name);
  }
  if (fn) {
    c.fn = fn;
    c.signature = fn->signature;
    return bind(&c, args, n) && fn->body(&c, out);
  }
  if (row) return call_row(&c, row, args, n, out);
  if (!self && find_dtype(name, &dt)) return call_dtype(ev, dt, name, pos, args, n, out);
  return unknown_function(ev, name, pos, self != NULL);
}
