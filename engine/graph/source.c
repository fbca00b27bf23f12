/* Tensors on data that exists: caller memory, copies, npy files. */
#include "engine/exec/value.h"
#include "engine/graph/build.h"
#include "engine/session.h"

#include <string.h>

/* Without elements nothing will ever read it: a constant then. */
mx_node *mx_build_source(mx_build *b, mars_dtype dt, const mars_shape *shape, mx_value *value) {
  if (value == NULL) return mx_build_fail(b, MARS_E_MEMORY, "no memory for the record of a value");
  for (int d = 0; d < shape->ndim; d++)
    if (shape->dims[d] == 0) {
      mx_value_release(value);
      return mx_build_number(b, dt, shape, 0);
    }
  return mx_build_hold(b, mx_node_source(&b->session->graph, dt, shape, value));
}

bool mx_build_memory(mx_build *b, mars_dtype dt, const mars_shape *shape, const int64_t *strides, const void *data) {
  size_t align = mars_dtype_bytes(dt) / (mx_dtype_is_complex(dt) ? 2 : 1);
  int64_t elements;

  mx_shape_elements(shape, 1, &elements);
  if (elements == 0) return true;
  if (data == NULL) mx_build_fail(b, MARS_E_ARG, "data is NULL for %lld elements", (long long)elements);
  else if ((uintptr_t)data % align != 0)
    mx_build_fail(b, MARS_E_ARG, "data is not aligned to %zu bytes as %s needs", align, mars_dtype_name(dt));
  for (int d = 0; d < shape->ndim && strides != NULL; d++)
    if (shape->dims[d] > 1 && strides[d] % (int64_t)align != 0)
      mx_build_fail(b, MARS_E_ARG, "stride %lld of axis %d is no multiple of %zu as %s needs", (long long)strides[d], d, align,
                    mars_dtype_name(dt));
  return b->st == MARS_OK;
}

mars_tensor *mars_from_memory(mars_session *s, mars_dtype dt, mars_shape shape, const int64_t *byte_strides,
                              const void *data, void (*release)(void *user), void *user) {
  mx_value *value = NULL;
  mx_node *node = NULL;
  mars_shape clean;
  mx_build b;

  mx_build_open(&b, s, "from_memory");
  if (mx_build_dtype(&b, dt) && mx_build_shape(&b, dt, &shape, &clean) && mx_build_memory(&b, dt, &clean, byte_strides, data)) {
    value = mx_value_memory(s, dt, &clean, byte_strides, (void *)data, false, release, user);
    node = mx_build_source(&b, dt, &clean, value);
  }
  /* without a value nobody else will ever call it */
  if (value == NULL && release != NULL) release(user);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_from_copy(mars_session *s, mars_dtype dt, mars_shape shape, const void *data) {
  mx_value *value;
  mx_node *node = NULL;
  mars_shape clean;
  int64_t elements;
  void *copy;
  mx_build b;

  mx_build_open(&b, s, "from_copy");
  if (mx_build_dtype(&b, dt) && mx_build_shape(&b, dt, &shape, &clean)) {
    mx_shape_elements(&clean, mars_dtype_bytes(dt), &elements);
    size_t bytes = (size_t)elements * mars_dtype_bytes(dt);
    if (bytes == 0) {
      node = mx_build_number(&b, dt, &clean, 0);
    } else if (data == NULL) {
      mx_build_fail(&b, MARS_E_ARG, "data is NULL for %lld elements", (long long)elements);
    } else if ((copy = mx_alloc(&s->mem, bytes)) == NULL) {
      mx_build_fail(&b, MARS_E_MEMORY, "no memory for %zu bytes", bytes);
    } else {
      memcpy(copy, data, bytes);
      value = mx_value_memory(s, dt, &clean, NULL, copy, true, NULL, NULL);
      if (value == NULL) mx_free(&s->mem, copy);
      node = mx_build_source(&b, dt, &clean, value);
    }
  }
  return mx_build_close(&b, node, false);
}

/* A Fortran-order file holds the transpose in C order. */
static mx_node *transposed(mx_build *b, mx_node *node) {
  mars_shape shape;
  mx_view view;

  if (b->st != MARS_OK) return NULL;
  memset(&shape, 0, sizeof shape);
  memset(&view, 0, sizeof view);
  shape.ndim = node->shape.ndim;
  for (int d = 0; d < shape.ndim; d++) {
    int e = shape.ndim - 1 - d;
    shape.dims[e] = node->shape.dims[d];
    view.axis[d] = (int8_t)e;
    view.step[d] = 1;
  }
  return mx_build_view(b, node, &shape, &view);
}

mars_tensor *mars_from_npy(mars_session *s, const char *path) {
  mx_source *file = NULL;
  mx_source_info info;
  mx_value *value;
  mx_node *node = NULL;
  mars_error error;
  mars_shape clean;
  mx_build b;

  memset(&info, 0, sizeof info);
  mx_build_open(&b, s, "from_npy");
  if (b.st == MARS_OK && path == NULL) mx_build_fail(&b, MARS_E_ARG, "path is NULL");
  if (b.st == MARS_OK && s->store->ops->source_open(s->store, "mars_from_npy", path, &info, &file, &error) != MARS_OK)
    mx_build_fail_copy(&b, &error);
  if (b.st == MARS_OK && mx_build_shape(&b, info.dtype, &info.shape, &clean)) {
    value = mx_value_file(s, info.dtype, &clean, file);
    if (value != NULL) file = NULL; /* the value's now */
    node = mx_build_source(&b, info.dtype, &clean, value);
    if (info.fortran) node = transposed(&b, node);
  }
  if (file != NULL) s->store->ops->source_release(file);
  return mx_build_close(&b, node, false);
}
