#include "show.h"

#include <string.h>

enum { MOST_SHOWN = 1000000 }; /* corners of many axes: 6**n elements */

/* The corner of t that the bits say. */
static bool corner(mt_eval *ev, mars_tensor *t, const mt_array *a, mt_block *out) {
  mars_slice items[MARS_MAX_DIMS] = {{0}};
  int ndim = a->shape.ndim;
  mt_value v;

  for (int d = 0; d < ndim; d++) {
    items[d] = (mars_slice){MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, MARS_NONE};
    if (!a->cut[d]) continue;
    if (out->last >> d & 1) items[d].start = -MT_FMT_EDGE;
    else items[d].stop = MT_FMT_EDGE;
  }
  if (!mt_eval_give(ev, 0, mars_index(t, items, (size_t)ndim), &v)) return false;
  out->tensor = v.tensor;
  out->bytes = (size_t)mars_size_of(v.tensor) * mars_dtype_bytes(a->dtype);
  out->data = mt_alloc(ev->arena, out->bytes + 1);
  return true;
}

static bool prepare_tensor(mt_eval *ev, mars_tensor *t, mt_shown *out) {
  mars_shape shape = mars_shape_of(t);
  bool large = mars_size_of(t) > MT_FMT_THRESHOLD;
  unsigned cuts = 0;
  int64_t size = 1;

  *out = (mt_shown){.array = {.dtype = mars_dtype_of(t), .shape = shape}, .n_blocks = 1};
  for (int d = 0; d < shape.ndim; d++) {
    if (large && shape.dims[d] > 2 * MT_FMT_EDGE) {
      out->array.cut[d] = true;
      out->array.shape.dims[d] = 2 * MT_FMT_EDGE;
      out->n_blocks *= 2;
      cuts |= 1u << d;
    }
    size *= out->array.shape.dims[d];
    if (size > MOST_SHOWN)
      return mt_fail(ev->diag, MT_EXIT_USAGE, NULL, 0,
                     "the result has too many axes to print; use --shape, or -o to write it to a file");
  }
  out->block = mt_alloc(ev->arena, out->n_blocks * sizeof *out->block);
  for (unsigned last = 0, i = 0; i < out->n_blocks; i++, last = ((last | ~cuts) + 1) & cuts) { /* the subsets of cuts */
    out->block[i].last = last;
    if (!corner(ev, t, &out->array, &out->block[i])) return false;
  }
  out->data = out->n_blocks == 1 ? out->block[0].data
                                 : mt_alloc(ev->arena, (size_t)size * mars_dtype_bytes(out->array.dtype) + 1);
  out->array.data = out->data;
  return true;
}

/* Rows along the last axis of a block to their places; returns the elements of the block copied so far. */
static size_t place(const mt_shown *s, const mt_block *b, int axis, size_t from, size_t to) {
  const mt_array *a = &s->array;
  size_t item = mars_dtype_bytes(a->dtype), n = (size_t)a->shape.dims[axis], count = a->cut[axis] ? MT_FMT_EDGE : n;

  to = to * n + (b->last >> axis & 1 ? MT_FMT_EDGE : 0);
  if (axis == a->shape.ndim - 1) {
    memcpy((char *)s->data + to * item, (const char *)b->data + from * item, count * item);
    return from + count;
  }
  for (size_t i = 0; i < count; i++) from = place(s, b, axis + 1, from, to + i);
  return from;
}

void mt_show_assemble(mt_shown *shown) {
  if (shown->n_blocks == 1) return; /* it is in place */
  for (size_t i = 0; i < shown->n_blocks; i++) place(shown, &shown->block[i], 0, 0, 0);
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
