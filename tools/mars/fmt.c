#include "fmt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- scalars -------------------------------------------------------------------------------------- */

/* Digits with a point behind the first `before` of them. */
static void put_positional(mt_str *out, const char *digits, int n, int exponent) {
  if (exponent < 0) {
    mt_str_puts(out, "0.");
    mt_str_pad(out, '0', -exponent - 1);
    mt_str_add(out, digits, (size_t)n);
    return;
  }
  mt_str_add(out, digits, (size_t)(n > exponent + 1 ? exponent + 1 : n));
  mt_str_pad(out, '0', exponent + 1 - n);
  mt_str_puts(out, ".");
  if (n > exponent + 1) mt_str_add(out, digits + exponent + 1, (size_t)(n - exponent - 1));
}

static bool put_special(mt_str *out, double v) {
  if (isfinite(v)) return false;
  mt_str_puts(out, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
  return true;
}

/* repr: positional from 1e-4 to below 1e16. point: "3.0"; without it "3", as the parts of a complex number. */
static void put_float(mt_str *out, double v, mars_dtype dt, bool point) {
  char digits[24];
  int exponent, n;

  if (put_special(out, v)) return;
  if (signbit(v)) mt_str_puts(out, "-");
  n = mt_fmt_digits(v, dt, digits, &exponent);
  if (exponent < -4 || exponent >= 16) {
    mt_str_add(out, digits, 1);
    if (n > 1) mt_str_printf(out, ".%s", digits + 1);
    mt_str_printf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    return;
  }
  put_positional(out, digits, n, exponent);
  if (out->text[out->n - 1] == '.') {
    if (point) mt_str_puts(out, "0");
    else out->text[--out->n] = 0;
  }
}

static void put_complex(mt_str *out, double re, double im, mars_dtype part) {
  bool both = re != 0 || signbit(re);

  if (both) {
    mt_str_puts(out, "(");
    put_float(out, re, part, false);
    if (isnan(im) || !signbit(im)) mt_str_puts(out, "+");
  }
  put_float(out, im, part, false);
  mt_str_puts(out, both ? "j)" : "j");
}

void mt_fmt_number(const mt_value *v, mt_str *out) {
  if (v->kind == MT_BOOL) mt_str_puts(out, v->i ? "True" : "False");
  else if (v->kind == MT_INT) mt_str_printf(out, "%lld", (long long)v->i);
  else if (v->kind == MT_FLOAT) put_float(out, v->f, MARS_F64, true);
  else put_complex(out, v->c[0], v->c[1], MARS_F64);
}

/* ---- elements ------------------------------------------------------------------------------------- */

typedef struct element {
  int64_t i;
  uint64_t u;
  double f, im;
} element;

static element element_at(const mt_array *a, int64_t at) {
  element e = {0};

  switch (a->dtype) {
  case MARS_BOOL: e.i = ((const unsigned char *)a->data)[at] != 0; break;
  case MARS_I8: e.i = ((const int8_t *)a->data)[at]; break;
  case MARS_I16: e.i = ((const int16_t *)a->data)[at]; break;
  case MARS_I32: e.i = ((const int32_t *)a->data)[at]; break;
  case MARS_I64: e.i = ((const int64_t *)a->data)[at]; break;
  case MARS_U8: e.u = ((const uint8_t *)a->data)[at]; break;
  case MARS_U16: e.u = ((const uint16_t *)a->data)[at]; break;
  case MARS_U32: e.u = ((const uint32_t *)a->data)[at]; break;
  case MARS_U64: e.u = ((const uint64_t *)a->data)[at]; break;
  case MARS_F16:
  case MARS_BF16: e.f = mt_half_to_double(a->dtype, ((const uint16_t *)a->data)[at]); break;
  case MARS_F32: e.f = ((const float *)a->data)[at]; break;
  case MARS_F64: e.f = ((const double *)a->data)[at]; break;
  case MARS_C64:
    e.f = ((const float *)a->data)[2 * at];
    e.im = ((const float *)a->data)[2 * at + 1];
    break;
  case MARS_C128:
    e.f = ((const double *)a->data)[2 * at];
    e.im = ((const double *)a->data)[2 * at + 1];
    break;
  default: break;
  }
  return e;
}

static char kind_of(mars_dtype dt) {
  static const char kinds[] = {
#define X(id, value, name, bytes, kind) [value] = kind,
      MARS_DTYPE_LIST(X)
#undef X
  };
  return kinds[dt];
}

/* The float dtype whose digits count. */
static mars_dtype part_dtype(mars_dtype dt) { return dt == MARS_C64 ? MARS_F32 : dt == MARS_C128 ? MARS_F64 : dt; }

static void put_scalar(mt_str *out, mars_dtype dt, const element *e) {
  switch (kind_of(dt)) {
  case 'b': mt_str_puts(out, e->i ? "True" : "False"); break;
  case 'i': mt_str_printf(out, "%lld", (long long)e->i); break;
  case 'u': mt_str_printf(out, "%llu", (unsigned long long)e->u); break;
  case 'f': put_float(out, e->f, dt, true); break;
  default: put_complex(out, e->f, e->im, part_dtype(dt)); break;
  }
}

/* ---- columns of floats ---------------------------------------------------------------------------- */

enum { PRECISION = 8 };

/* How the floats of one array (or its real or imaginary parts) are written: all alike, points aligned. */
typedef struct column {
  mars_dtype dtype;
  bool scientific, plus;   /* plus: "+1." instead of "1." */
  int left, right;         /* characters before the point (with the sign) and behind it */
  int exponent_digits;
} column;

/* "[-]ddd.fff" or, scientific, "d.fff", at most PRECISION fractional digits, no zeros at the end; *e: the exponent.
   Where the shortest digits are too few, the next digits of the exact value follow, not zeros, as NumPy has it. */
static void digits_of(const column *c, double v, mt_str *out, int *e) {
  char digits[24], text[400];
  int n = mt_fmt_digits(v, c->dtype, digits, e), fraction = c->scientific ? n - 1 : n - 1 - *e;

  out->n = 0;
  if (signbit(v)) mt_str_puts(out, "-");
  else if (c->plus) mt_str_puts(out, "+");
  if (c->scientific && fraction < c->right) {
    snprintf(text, sizeof text, "%.*e", c->right, fabs(v));
    mt_str_add(out, text, strcspn(text, "e"));
    *e = atoi(strchr(text, 'e') + 1);
    return;
  }
  if (!c->scientific && fraction < 0) { /* digits before the point are exact, too */
    mt_str_printf(out, "%.0f.", fabs(v));
    return;
  }
  if (fraction <= PRECISION) {
    put_positional(out, digits, n, c->scientific ? 0 : *e);
    return;
  }
  snprintf(text, sizeof text, c->scientific ? "%.*e" : "%.*f", PRECISION, fabs(v));
  if (c->scientific) {
    char *exponent = strchr(text, 'e');
    *e = atoi(exponent + 1);
    *exponent = 0;
  }
  n = (int)strlen(text);
  while (text[n - 1] == '0') n--;
  mt_str_add(out, text, (size_t)n);
}

static double part(const mt_array *a, int64_t at, bool imaginary) {
  element e = element_at(a, at);
  return imaginary ? e.im : e.f;
}

/* NumPy's choice: scientific from 1e8, below 1e-4, or with a range of more than 1000. */
static void choose_scientific(column *c, const mt_array *a, int64_t size, bool imaginary) {
  double most = 0, least = INFINITY;

  for (int64_t i = 0; i < size; i++) {
    double v = fabs(part(a, i, imaginary));
    if (!isfinite(v) || v == 0) continue;
    most = v > most ? v : most;
    least = v < least ? v : least;
  }
  c->scientific = most > 0 && (most >= 1e8 || least < 1e-4 || most / least > 1000);
}

static column measure(const mt_array *a, int64_t size, bool imaginary) {
  column c = {.dtype = part_dtype(a->dtype), .plus = imaginary};
  int right = 0;
  bool special = false, negative_infinity = imaginary;
  int special_width = 3;
  mt_str s = {0};

  choose_scientific(&c, a, size, imaginary);
  for (int64_t i = 0; i < size; i++) {
    double v = part(a, i, imaginary);
    int e, point, width;
    if (!isfinite(v)) {
      special = true;
      if (isinf(v) && v < 0) negative_infinity = true;
      continue;
    }
    digits_of(&c, v, &s, &e);
    point = (int)(strchr(s.text, '.') - s.text);
    if (point > c.left) c.left = point;
    if ((int)s.n - point - 1 > right) right = (int)s.n - point - 1;
    width = abs(e) < 100 ? 2 : 3;
    if (c.scientific && width > c.exponent_digits) c.exponent_digits = width;
  }
  mt_str_free(&s);
  c.right = right;
  if (special) {
    int behind = c.right + 1 + (c.scientific ? c.exponent_digits + 2 : 0);
    special_width += negative_infinity;
    if (special_width - behind > c.left) c.left = special_width - behind;
  }
  return c;
}

static void put_column(mt_str *out, const column *c, double v) {
  int behind = c->right + 1 + (c->scientific ? c->exponent_digits + 2 : 0), e, point;
  mt_str s = {0};

  if (!isfinite(v)) {
    const char *text = isnan(v) ? (c->plus ? "+nan" : "nan") : v < 0 ? "-inf" : c->plus ? "+inf" : "inf";
    mt_str_pad(out, ' ', c->left + behind - (int)strlen(text));
    mt_str_puts(out, text);
    return;
  }
  digits_of(c, v, &s, &e);
  point = (int)(strchr(s.text, '.') - s.text);
  mt_str_pad(out, ' ', c->left - point);
  mt_str_add(out, s.text, s.n);
  mt_str_pad(out, c->scientific ? '0' : ' ', c->right - ((int)s.n - point - 1));
  if (c->scientific) mt_str_printf(out, "e%c%0*d", e < 0 ? '-' : '+', c->exponent_digits, abs(e));
  mt_str_free(&s);
}

/* ---- arrays --------------------------------------------------------------------------------------- */

typedef struct writer {
  const mt_array *a;
  mt_str *out;
  column re, im;
  int width;         /* of integers and bools */
  size_t line_start; /* of the line that is being written */
} writer;

static void put_element(const writer *w, int64_t at, mt_str *out) {
  element e = element_at(w->a, at);
  size_t first = out->n;

  switch (kind_of(w->a->dtype)) {
  case 'f': put_column(out, &w->re, e.f); break;
  case 'c': /* the j stands behind the last digit, the padding behind the j */
    put_column(out, &w->re, e.f);
    put_column(out, &w->im, e.im);
    first = out->n;
    while (out->text[out->n - 1] == ' ') out->n--;
    first -= out->n;
    mt_str_puts(out, "j");
    mt_str_pad(out, ' ', (int64_t)first);
    break;
  default: {
    mt_str s = {0};
    put_scalar(&s, w->a->dtype, &e);
    mt_str_pad(out, ' ', w->width - (int)s.n);
    mt_str_add(out, s.text, s.n);
    mt_str_free(&s);
  }
  }
}

static void rstrip(mt_str *out) {
  while (out->n && out->text[out->n - 1] == ' ') out->text[--out->n] = 0;
}

/* A word of the last axis: on this line, or on a new one below the first element. */
static void put_word(writer *w, const char *word, size_t n, int depth, bool first) {
  int limit = MT_FMT_WIDTH - depth; /* room for the brackets that may follow */

  if (!first) {
    if ((int)(w->out->n - w->line_start + 1 + n) > limit) {
      rstrip(w->out);
      mt_str_puts(w->out, "\n");
      w->line_start = w->out->n;
      mt_str_pad(w->out, ' ', depth);
    } else {
      mt_str_puts(w->out, " ");
    }
  }
  mt_str_add(w->out, word, n);
}

static void put_axis(writer *w, int axis, int64_t offset, int64_t stride) {
  const mars_shape *shape = &w->a->shape;
  int64_t n = shape->dims[axis], inner = n ? stride / n : 0;
  bool last = axis == shape->ndim - 1;
  mt_str word = {0};

  mt_str_puts(w->out, "[");
  for (int64_t i = 0; i < n; i++) {
    bool dots = w->a->cut[axis] && i == MT_FMT_EDGE;
    if (last) {
      if (dots) put_word(w, "...", 3, axis + 1, i == 0);
      word.n = 0;
      put_element(w, offset + i, &word);
      put_word(w, word.text, word.n, axis + 1, i == 0);
      continue;
    }
    for (int pass = dots ? 0 : 1; pass < 2; pass++) { /* the dots have a line of their own */
      if (i || pass == 0) {
        mt_str_pad(w->out, '\n', shape->ndim - 1 - axis);
        w->line_start = w->out->n;
        mt_str_pad(w->out, ' ', axis + 1);
      }
      if (pass == 0) mt_str_puts(w->out, "...");
    }
    put_axis(w, axis + 1, offset + i * inner, inner);
  }
  mt_str_puts(w->out, "]");
  mt_str_free(&word);
}

void mt_fmt_array(const mt_array *a, mt_str *out) {
  writer w = {.a = a, .out = out, .line_start = out->n};
  int64_t size = 1;
  char kind = kind_of(a->dtype);

  for (int d = 0; d < a->shape.ndim; d++) size *= a->shape.dims[d];
  if (a->shape.ndim == 0) {
    element e = element_at(a, 0);
    put_scalar(out, a->dtype, &e);
    return;
  }
  if (size == 0) {
    mt_str_puts(out, "[]");
    return;
  }
  if (kind == 'f' || kind == 'c') {
    w.re = measure(a, size, false);
    if (kind == 'c') w.im = measure(a, size, true);
  } else {
    mt_str s = {0};
    for (int64_t i = 0; i < size; i++) {
      element e = element_at(a, i);
      s.n = 0;
      put_scalar(&s, a->dtype, &e);
      if ((int)s.n > w.width) w.width = (int)s.n;
    }
    if (kind == 'b') w.width = 5;
    mt_str_free(&s);
  }
  put_axis(&w, 0, 0, size);
}
