#include "show.h"

#include <string.h>

enum { MOST_SHOWN = 1000000 }; /* corners of many axes: 6**n elements */

/* Elements 0..2 and -3..-1 of an axis. */
static bool cut_axis(mt_eval *ev, mars_tensor **t, int axis) {
  mars_slice first[MARS_MAX_DIMS] = {{0}}, last[MARS_MAX_DIMS] = {{0}};
  mars_tensor *ends[2];
  mt_value v;

  for (int d = 0; d <= axis; d++)
    first[d] = last[d] = (mars_slice){MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, MARS_NONE};
  first[axis].stop = MT_FMT_EDGE;
  last[axis].start = -MT_FMT_EDGE;
  ends[0] = mars_index(*t, first, (size_t)axis + 1);
  ends[1] = mars_index(*t, last, (size_t)axis + 1);
  if (!mt_eval_give(ev, 0, mars_concatenate(ends, 2, axis), &v)) return false;
  *t = v.tensor;
  return true;
}

static bool prepare_tensor(mt_eval *ev, mars_tensor *t, mt_shown *out) {
  mars_shape shape = mars_shape_of(t);
  int64_t size;

  *out = (mt_shown){.tensor = t, .array.dtype = mars_dtype_of(t)};
  if (mars_size_of(t) > MT_FMT_THRESHOLD)
    for (int d = 0; d < shape.ndim; d++) {
      if (shape.dims[d] <= 2 * MT_FMT_EDGE) continue;
      out->array.cut[d] = true;
      if (!cut_axis(ev, &out->tensor, d)) return false;
    }
  out->array.shape = mars_shape_of(out->tensor);
  size = mars_size_of(out->tensor);
  if (size > MOST_SHOWN)
    return mt_fail(ev->diag, MT_EXIT_USAGE, NULL, 0,
                   "the result has too many axes to print; use --shape, or -o to write it to a file");
  out->bytes = (size_t)size * mars_dtype_bytes(out->array.dtype);
  out->data = mt_alloc(ev->arena, out->bytes + 1);
  out->array.data = out->data;
  return true;
}

static size_t count_tensors(const mt_value *v) {
  size_t n = v->kind == MT_TENSOR;

  if (v->kind == MT_TUPLE)
    for (size_t i = 0; i < v->n; i++) n += count_tensors(&v->item[i]);
  return n;
}

static bool prepare(mt_eval *ev, const mt_value *v, mt_shown **next) {
  if (v->kind == MT_TENSOR) return prepare_tensor(ev, v->tensor, (*next)++);
  if (v->kind == MT_TUPLE)
    for (size_t i = 0; i < v->n; i++)
      if (!prepare(ev, &v->item[i], next)) return false;
  return true;
}

bool mt_show_prepare(mt_eval *ev, const mt_value *v, mt_shown **out, size_t *n) {
  mt_shown *next;

  *n = count_tensors(v);
  *out = next = mt_alloc(ev->arena, (*n + 1) * sizeof **out);
  return prepare(ev, v, &next);
}

static void write_value(const mt_value *v, const mt_shown **next, bool quotes, mt_str *out);

static void write_tuple(const mt_value *v, const mt_shown **next, mt_str *out) {
  mt_str_puts(out, v->list ? "[" : "(");
  for (size_t i = 0; i < v->n; i++) {
    if (i) mt_str_puts(out, ", ");
    write_value(&v->item[i], next, true, out);
  }
  mt_str_puts(out, v->list ? "]" : v->n == 1 ? ",)" : ")");
}

static void write_value(const mt_value *v, const mt_shown **next, bool quotes, mt_str *out) {
  switch (v->kind) {
  case MT_NONE: mt_str_puts(out, "None"); break;
  case MT_DOTS: mt_str_puts(out, "..."); break;
  case MT_STRING: mt_str_printf(out, quotes ? "'%s'" : "%s", v->text); break;
  case MT_DTYPE: mt_str_puts(out, mars_dtype_name(v->dtype)); break;
  case MT_TENSOR: mt_fmt_array(&(*next)++->array, out); break;
  case MT_TUPLE: write_tuple(v, next, out); break;
  default: mt_fmt_number(v, out); break;
  }
}

/* The results of divmod and its like stand below each other, other tuples on one line. */
void mt_show_value(const mt_value *v, const mt_shown *shown, mt_str *out) {
  if (v->kind == MT_NONE) return;
  if (v->kind == MT_TUPLE && count_tensors(v)) {
    for (size_t i = 0; i < v->n; i++) {
      write_value(&v->item[i], &shown, false, out);
      mt_str_puts(out, "\n");
    }
    return;
  }
  write_value(v, &shown, false, out);
  mt_str_puts(out, "\n");
}

void mt_show_shape(const mt_value *v, mt_str *out) {
  if (v->kind == MT_TENSOR) {
    mars_shape shape = mars_shape_of(v->tensor);
    mt_str_printf(out, "%s (", mars_dtype_name(mars_dtype_of(v->tensor)));
    for (int d = 0; d < shape.ndim; d++) mt_str_printf(out, d ? ", %lld" : "%lld", (long long)shape.dims[d]);
    mt_str_puts(out, shape.ndim == 1 ? ",)\n" : ")\n");
  } else if (v->kind == MT_TUPLE && count_tensors(v)) {
    for (size_t i = 0; i < v->n; i++) mt_show_shape(&v->item[i], out);
  } else {
    mt_show_value(v, NULL, out);
  }
}
