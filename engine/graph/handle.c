/* Handles, the scopes that own them, and what a handle says of itself. */
#include "engine/graph/handle.h"

#include "engine/session.h"
#include "engine/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Handles of one scope. graph->scopes lists all of them, youngest first; the default scope is the last one and also
   keeps the handles that outlived theirs because they are retained. */
struct mx_scope {
  struct mx_scope *next;
  bool is_default;
  pthread_t thread; /* not in the default scope */
  int missed;       /* scopes opened inside this one for which there was no memory: their closes close nothing */
  mars_tensor *handles;
};
typedef struct mx_scope mx_scope;

/* An error tensor and its record in one piece. */
typedef struct error_tensor {
  mars_tensor tensor;
  mars_error error;
} error_tensor;

/* ---- scopes ---- */

bool mx_scopes_init(mx_graph *graph) {
  mx_scope *scope = mx_alloc(graph->mem, sizeof *scope);

  if (scope == NULL) return false;
  scope->is_default = true;
  graph->scopes = scope;
  return true;
}

void mx_scopes_reset(mx_graph *graph) {
  while (graph->scopes != NULL) {
    mx_scope *scope = graph->scopes;
    graph->scopes = scope->next;
    while (scope->handles != NULL) {
      mars_tensor *t = scope->handles;
      scope->handles = t->next;
      mx_free(graph->mem, t);
    }
    mx_free(graph->mem, scope);
  }
}

/* The calling thread's innermost open scope, else the default one. */
static mx_scope **scope_slot_locked(mx_graph *graph) {
  mx_scope **at = &graph->scopes;

  while (!(*at)->is_default && !pthread_equal((*at)->thread, pthread_self())) at = &(*at)->next;
  return at;
}

static void link_locked(mx_scope *scope, mars_tensor *t) {
  t->scope = scope;
  t->prev = NULL;
  t->next = scope->handles;
  if (t->next != NULL) t->next->prev = t;
  scope->handles = t;
}

static void unlink_locked(mars_tensor *t) {
  if (t->prev != NULL) t->prev->next = t->next;
  else t->scope->handles = t->next;
  if (t->next != NULL) t->next->prev = t->prev;
  t->next = t->prev = NULL;
}

void mars_scope_open(mars_session *s) {
  mx_scope *scope;

  if (s == NULL) return;
  scope = mx_alloc(&s->mem, sizeof *scope);
  pthread_mutex_lock(&s->graph.lock);
  if (scope != NULL) {
    scope->thread = pthread_self();
    scope->next = s->graph.scopes;
    s->graph.scopes = scope;
  } else {
    (*scope_slot_locked(&s->graph))->missed++; /* handles then live in the scope around */
  }
  pthread_mutex_unlock(&s->graph.lock);
}

void mars_scope_close(mars_session *s) {
  mx_graph *graph;
  mx_scope *scope, **at, *home;
  mars_tensor *dead = NULL;

  if (s == NULL) return;
  graph = &s->graph;
  pthread_mutex_lock(&graph->lock);
  at = scope_slot_locked(graph);
  scope = *at;
  if (scope->is_default || scope->missed > 0) {
    scope->missed -= scope->missed > 0;
    scope = NULL;
  } else {
    *at = scope->next;
    for (home = scope; !home->is_default;) home = home->next;
    while (scope->handles != NULL) {
      mars_tensor *t = scope->handles;
      unlink_locked(t);
      if (--t->refs > 0) {
        link_locked(home, t);
      } else {
        t->next = dead;
        dead = t;
      }
    }
  }
  pthread_mutex_unlock(&graph->lock);
  mx_free(&s->mem, scope);
  while (dead != NULL) {
    mars_tensor *next = dead->next;
    mx_node_release(graph, dead->node);
    mx_free(&s->mem, dead);
    dead = next;
  }
}

/* ---- handles ---- */

static void enter_scope(mars_session *s, mars_tensor *t) {
  t->session = s;
  t->refs = 1;
  pthread_mutex_lock(&s->graph.lock);
  link_locked(*scope_slot_locked(&s->graph), t);
  pthread_mutex_unlock(&s->graph.lock);
}

mars_tensor *mx_tensor_wrap(mars_session *s, mx_node *node) {
  mars_tensor *t;

  if (node == NULL) return mx_tensor_error(s, MARS_E_MEMORY, "no memory for a node of the graph");
  t = mx_alloc(&s->mem, sizeof *t);
  if (t == NULL) {
    mx_node_release(&s->graph, node);
    return NULL;
  }
  t->node = node;
  enter_scope(s, t);
  return t;
}

mars_tensor *mx_tensor_error_copy(mars_session *s, const mars_error *error) {
  error_tensor *e = mx_alloc(&s->mem, sizeof *e);

  if (e == NULL) return NULL;
  e->error = *error;
  e->tensor.error = &e->error;
  enter_scope(s, &e->tensor);
  return &e->tensor;
}

mars_tensor *mx_tensor_error(mars_session *s, mars_status st, const char *fmt, ...) {
  mars_error error;
  va_list ap;

  mx_error_clear(&error);
  error.status = st;
  va_start(ap, fmt);
  vsnprintf(error.message, sizeof error.message, fmt, ap);
  va_end(ap);
  return mx_tensor_error_copy(s, &error);
}

mars_tensor *mars_retain(mars_tensor *t) {
  if (t == NULL) return NULL;
  pthread_mutex_lock(&t->session->graph.lock);
  t->refs++;
  pthread_mutex_unlock(&t->session->graph.lock);
  return t;
}

void mars_release(mars_tensor *t) {
  mars_session *s;
  bool last;

  if (t == NULL) return;
  s = t->session;
  pthread_mutex_lock(&s->graph.lock);
  last = --t->refs == 0;
  if (last) unlink_locked(t);
  pthread_mutex_unlock(&s->graph.lock);
  if (!last) return;
  mx_node_release(&s->graph, t->node);
  mx_free(&s->mem, t);
}

/* ---- what a handle says ---- */

mars_session *mars_session_of(const mars_tensor *t) { return t == NULL ? NULL : t->session; }

mars_dtype mars_dtype_of(const mars_tensor *t) { return t == NULL || t->node == NULL ? MARS_DTYPE_AUTO : t->node->dtype; }

mars_shape mars_shape_of(const mars_tensor *t) {
  mars_shape none = {-1, {0}};

  return t == NULL || t->node == NULL ? none : t->node->shape;
}

int64_t mars_size_of(const mars_tensor *t) { return t == NULL || t->node == NULL ? 0 : t->node->size; }

mars_status mars_check(const mars_tensor *t, mars_error *err) {
  if (t == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_check: the tensor is NULL: no memory for its handle");
  if (t->error != NULL) {
    if (err != NULL) *err = *t->error;
    return t->error->status;
  }
  mx_error_clear(err);
  return MARS_OK;
}

bool mars_is_ready(const mars_tensor *t) {
  return t != NULL && t->node != NULL && mx_node_has_value(&t->session->graph, t->node);
}
