/*
 * A session that is a graph and a store, for building the graph tests without engine/exec. Left out of the build when
 * that is there.
 */
#include "engine/exec/value.h"
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

mars_status mars_session_create(const mars_session_config *config, mars_session **out, mars_error *err) {
  mars_session *s = calloc(1, sizeof *s);
  mx_store_config store = {.n_spill_dirs = 0};
  mars_status st;

  *out = NULL;
  if (s == NULL) return MARS_E_MEMORY;
  mx_mem_init(&s->mem, NULL);
  store.mem = &s->mem;
  store.backend = "threads";
  st = mx_graph_init(&s->graph, &s->mem, err);
  if (st == MARS_OK) st = mx_io_store_create(&store, &s->store, err);
  if (st == MARS_OK) *out = s;
  return st;
}

void mars_session_destroy(mars_session *s) {
  if (s == NULL) return;
  mx_graph_reset(&s->graph);
  s->store->ops->destroy(s->store);
  if (atomic_load(&s->mem.live) != 0) abort();
  free(s);
}

mars_tensor *mx_eager(mars_tensor *t) { return t; }

mx_value *mx_value_memory(mars_session *s, mars_dtype dt, const mars_shape *shape, const int64_t *byte_strides, void *data,
                          bool owned, void (*release)(void *), void *user) {
  mx_value *v = mx_alloc(&s->mem, sizeof *v);

  if (v == NULL) return NULL;
  atomic_init(&v->refs, 1);
  v->session = s;
  v->data = data;
  v->owned = owned;
  v->release = release;
  v->release_user = user;
  return v;
}

mx_value *mx_value_file(mars_session *s, mars_dtype dt, const mars_shape *shape, mx_source *source) {
  mx_value *v = mx_value_memory(s, dt, shape, NULL, NULL, false, NULL, NULL);

  if (v != NULL) v->source = source;
  return v;
}

void mx_value_retain(mx_value *v) { atomic_fetch_add(&v->refs, 1); }

void mx_value_release(mx_value *v) {
  if (atomic_fetch_sub(&v->refs, 1) != 1) return;
  if (v->release != NULL) v->release(v->release_user);
  if (v->owned) mx_free(&v->session->mem, v->data);
  if (v->source != NULL) v->session->store->ops->source_release(v->source);
  mx_free(&v->session->mem, v);
}
