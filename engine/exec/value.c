#include "engine/exec/value.h"
#include "engine/exec/actor.h"

#include <string.h>

static mx_value *new_value(mars_session *s, mx_value_kind kind, mars_dtype dt, const mars_shape *shape) {
  mx_value *v = mx_alloc(&s->mem, sizeof *v);
  if (!v) return NULL;
  v->kind = kind;
  atomic_init(&v->refs, 1);
  v->session = s;
  v->dtype = dt;
  v->shape = *shape;
  return v;
}

mx_value *mx_value_memory(mars_session *s, mars_dtype dt, const mars_shape *shape, const int64_t *byte_strides, void *data,
                          bool owned, void (*release)(void *), void *user) {
  mx_value *v = new_value(s, MX_VALUE_MEMORY, dt, shape);
  if (!v) return NULL;
  v->data = data;
  v->owned = owned;
  v->release = release;
  v->release_user = user;
  if (byte_strides) memcpy(v->stride, byte_strides, (size_t)shape->ndim * sizeof *byte_strides);
  else mx_strides_c(shape->ndim, shape->dims, (int64_t)mars_dtype_bytes(dt), v->stride);
  return v;
}

mx_value *mx_value_file(mars_session *s, mars_dtype dt, const mars_shape *shape, mx_source *source) {
  mx_value *v = new_value(s, MX_VALUE_FILE, dt, shape);
  if (v) v->source = source;
  return v;
}

mx_value *mx_value_chunks(mars_session *s, mars_dtype dt, const mars_shape *shape, const mx_grid *grid) {
  mx_value *v = new_value(s, MX_VALUE_CHUNKS, dt, shape);
  if (!v) return NULL;
  v->grid = *grid;
  v->chunks = mx_calloc(&s->mem, (size_t)grid->total, sizeof *v->chunks);
  if (!v->chunks) {
    mx_free(&s->mem, v);
    return NULL;
  }
  for (int64_t i = 0; i < grid->total; i++) v->chunks[i].offset = -1;
  return v;
}

void mx_value_retain(mx_value *v) { atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed); }

bool mx_value_try_retain(mx_value *v) {
  int n = atomic_load(&v->refs);
  while (n > 0)
    if (atomic_compare_exchange_weak(&v->refs, &n, n + 1)) return true;
  return false;
}

void mx_value_free(mx_value *v) {
  mars_session *s = v->session;
  mx_free(&s->mem, v->chunks);
  mx_free(&s->mem, v);
}

void mx_value_release(mx_value *v) {
  if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1) return;
  mars_session *s = v->session;
  if (v->kind == MX_VALUE_CHUNKS) {
    mx_actor_discard(s->actor, v); /* its thread owns the chunks */
    return;
  }
  if (v->release) v->release(v->release_user);
  if (v->owned) mx_free(&s->mem, v->data);
  if (v->source) s->store->ops->source_release(v->source);
  mx_value_free(v);
}
