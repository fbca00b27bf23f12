/* Nodes: hash-consing, release, values. Contract: engine/graph/graph.h. */
#include "engine/graph/graph.h"

#include "engine/exec/value.h"
#include "engine/graph/handle.h"
#include "engine/status.h"

#include <string.h>

#define FIRST_BUCKETS 256

/* ---- hashing ---- */

static uint64_t mix(uint64_t h, uint64_t word) {
  h = (h ^ word) * 0x9E3779B97F4A7C15u;
  return h ^ h >> 32;
}

/* Bytes of attr that a node of this op may use. */
static size_t attr_bytes(const mx_node *node) {
  switch (mx_op_row_of(node->op)->kind) {
  case MX_KIND_REDUCE: return sizeof node->attr.reduce;
  case MX_KIND_SCAN: return sizeof node->attr.axis;
  case MX_KIND_RANDOM: return sizeof node->attr.random;
  case MX_KIND_ROUTINE: return sizeof node->attr.routine;
  case MX_KIND_NODE: return sizeof node->attr;
  default: return 0;
  }
}

static uint64_t hash_of(const mx_node *proto, mx_node *const *operand, int n) {
  uint64_t h = mix((uint64_t)proto->op, (uint64_t)proto->dtype << 8 | (uint64_t)proto->loop);
  size_t bytes = attr_bytes(proto);
  const char *attr = (const char *)&proto->attr;

  for (int d = 0; d < proto->shape.ndim; d++) h = mix(h, (uint64_t)proto->shape.dims[d]);
  for (int i = 0; i < n; i++) h = mix(h, operand[i]->serial);
  for (size_t at = 0; at < bytes; at += 8) {
    uint64_t word = 0;
    memcpy(&word, attr + at, bytes - at < 8 ? bytes - at : 8);
    h = mix(h, word);
  }
  return h;
}

static bool equal_shapes(const mars_shape *a, const mars_shape *b) {
  return a->ndim == b->ndim && memcmp(a->dims, b->dims, (size_t)a->ndim * sizeof a->dims[0]) == 0;
}

static bool matches(const mx_node *node, const mx_node *proto, mx_node *const *operand, int n) {
  if (!node->pure || node->op != proto->op || node->dtype != proto->dtype || node->loop != proto->loop ||
      node->n_keys != n || !equal_shapes(&node->shape, &proto->shape))
    return false;
  for (int i = 0; i < n; i++)
    if (node->key[i] != operand[i]->serial) return false;
  return memcmp(&node->attr, &proto->attr, attr_bytes(proto)) == 0;
}

/* ---- the table ---- */

/* Longer chains are only slower, so a failed allocation is no error. */
static void grow_locked(mx_graph *graph) {
  size_t n = graph->n_buckets * 2;
  mx_node **buckets = mx_calloc(graph->mem, n, sizeof *buckets);

  if (buckets == NULL) return;
  for (size_t i = 0; i < graph->n_buckets; i++)
    for (mx_node *node = graph->buckets[i], *next; node != NULL; node = next) {
      next = node->next;
      node->next = buckets[node->hash & (n - 1)];
      buckets[node->hash & (n - 1)] = node;
    }
  mx_free(graph->mem, graph->buckets);
  graph->buckets = buckets;
  graph->n_buckets = n;
}

static void unlink_locked(mx_graph *graph, mx_node *node) {
  mx_node **at = &graph->buckets[node->hash & (graph->n_buckets - 1)];

  while (*at != node) at = &(*at)->next;
  *at = node->next;
  node->next = NULL;
  graph->n_nodes--;
}

/* Node, operand pointers and keys in one piece. */
static mx_node *node_create(mx_graph *graph, const mx_node *proto, mx_node *const *operand, int n) {
  size_t bytes = sizeof(mx_node) + (size_t)n * (sizeof(uint64_t) + sizeof(mx_node *));
  mx_node *node = mx_alloc(graph->mem, bytes);

  if (node == NULL) return NULL;
  node->op = proto->op;
  node->dtype = proto->dtype;
  node->loop = proto->loop;
  node->shape = proto->shape;
  node->size = proto->size;
  memcpy(&node->attr, &proto->attr, sizeof node->attr);
  node->pure = proto->op != MX_OP_SOURCE;
  node->value = proto->value;
  node->within = proto->within;
  node->n_operands = node->n_keys = n;
  node->key = (uint64_t *)(node + 1);
  node->operand = (mx_node **)(node->key + n);
  for (int i = 0; i < n; i++) {
    node->operand[i] = operand[i];
    node->key[i] = operand[i]->serial;
    mx_node_retain(operand[i]);
  }
  atomic_init(&node->refs, 1);
  return node;
}

mx_node *mx_graph_intern(mx_graph *graph, const mx_node *proto, mx_node *const *operand, int n) {
  uint64_t hash = hash_of(proto, operand, n);
  mx_node *node = NULL;

  pthread_mutex_lock(&graph->lock);
  if (proto->op != MX_OP_SOURCE)
    for (node = graph->buckets[hash & (graph->n_buckets - 1)]; node != NULL; node = node->next)
      if (node->hash == hash && matches(node, proto, operand, n)) break;
  if (node != NULL) {
    mx_node_retain(node);
  } else if ((node = node_create(graph, proto, operand, n)) != NULL) {
    node->serial = ++graph->next_serial;
    node->hash = proto->op == MX_OP_SOURCE ? mix(hash, node->serial) : hash;
    if (graph->n_nodes >= graph->n_buckets) grow_locked(graph);
    node->next = graph->buckets[node->hash & (graph->n_buckets - 1)];
    graph->buckets[node->hash & (graph->n_buckets - 1)] = node;
    graph->n_nodes++;
  }
  pthread_mutex_unlock(&graph->lock);
  return node;
}

mx_node *mx_node_source(mx_graph *graph, mars_dtype dt, const mars_shape *shape, mx_value *value) {
  mx_node proto, *node;

  memset(&proto, 0, sizeof proto);
  proto.op = MX_OP_SOURCE;
  proto.dtype = proto.loop = dt;
  proto.shape.ndim = shape->ndim;
  memcpy(proto.shape.dims, shape->dims, (size_t)shape->ndim * sizeof shape->dims[0]);
  proto.value = value;
  if (!mx_shape_elements(&proto.shape, mars_dtype_bytes(dt), &proto.size) ||
      (node = mx_graph_intern(graph, &proto, NULL, 0)) == NULL) {
    mx_value_release(value);
    return NULL;
  }
  return node;
}

/* ---- references ---- */

void mx_node_retain(mx_node *node) { atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed); }

/* The last reference goes under the lock, so that interning never finds a node that is about to die. */
static bool drop_shared(mx_node *node) {
  int refs = atomic_load_explicit(&node->refs, memory_order_relaxed);

  while (refs > 1)
    if (atomic_compare_exchange_weak_explicit(&node->refs, &refs, refs - 1, memory_order_acq_rel, memory_order_relaxed))
      return true;
  return false;
}

/* Drops one reference of `node`; what dies is taken out of the table and put before `dead`, linked by next. Operands
   of the dead are dropped in turn; the worklist is the list itself, so chains of any length need no stack. */
static mx_node *drop_locked(mx_graph *graph, mx_node *node, mx_node *dead) {
  mx_node *work = NULL;

  if (atomic_fetch_sub(&node->refs, 1) != 1) return dead;
  unlink_locked(graph, node);
  node->next = NULL;
  work = node;
  while (work != NULL) {
    node = work;
    work = node->next;
    for (int i = 0; i < node->n_operands; i++) {
      mx_node *op = node->operand[i];
      if (atomic_fetch_sub(&op->refs, 1) != 1) continue;
      unlink_locked(graph, op);
      op->next = work;
      work = op;
    }
    node->next = dead;
    dead = node;
  }
  return dead;
}

/* Without the lock: the release callback of borrowed memory is the user's code. */
static void bury(mx_graph *graph, mx_node *dead) {
  while (dead != NULL) {
    mx_node *next = dead->next;
    if (dead->value != NULL) mx_value_release(dead->value);
    mx_free(graph->mem, dead);
    dead = next;
  }
}

void mx_node_release(mx_graph *graph, mx_node *node) {
  mx_node *dead;

  if (node == NULL || drop_shared(node)) return;
  pthread_mutex_lock(&graph->lock);
  dead = drop_locked(graph, node, NULL);
  pthread_mutex_unlock(&graph->lock);
  bury(graph, dead);
}

void mx_node_set_value(mx_graph *graph, mx_node *node, mx_value *value) {
  mx_node *dead = NULL;
  mx_value *old;

  pthread_mutex_lock(&graph->lock);
  old = node->value;
  node->value = value;
  for (int i = 0; i < node->n_operands; i++) dead = drop_locked(graph, node->operand[i], dead);
  node->n_operands = 0;
  pthread_mutex_unlock(&graph->lock);
  if (old != NULL) mx_value_release(old);
  bury(graph, dead);
}

mx_node *mx_graph_peel(mx_graph *graph, const mx_node *node, mx_op op) {
  mx_node *operand = NULL;

  if (node->op != op) return NULL;
  pthread_mutex_lock(&graph->lock);
  if (node->value == NULL && node->n_operands > 0) {
    operand = node->operand[0];
    mx_node_retain(operand);
  }
  pthread_mutex_unlock(&graph->lock);
  return operand;
}

bool mx_graph_operands(mx_graph *graph, const mx_node *node, mx_node **operand) {
  bool there;

  pthread_mutex_lock(&graph->lock);
  there = node->value == NULL;
  for (int o = 0; there && o < node->n_operands; o++) {
    operand[o] = node->operand[o];
    mx_node_retain(operand[o]);
  }
  pthread_mutex_unlock(&graph->lock);
  return there;
}

bool mx_node_has_value(mx_graph *graph, const mx_node *node) {
  bool has;

  pthread_mutex_lock(&graph->lock);
  has = node->value != NULL;
  pthread_mutex_unlock(&graph->lock);
  return has;
}

/* ---- the graph ---- */

mars_status mx_graph_init(mx_graph *graph, mx_mem *mem, mars_error *err) {
  memset(graph, 0, sizeof *graph);
  graph->mem = mem;
  graph->n_buckets = FIRST_BUCKETS;
  graph->buckets = mx_calloc(mem, FIRST_BUCKETS, sizeof *graph->buckets);
  if (graph->buckets == NULL || !mx_scopes_init(graph)) {
    mx_free(mem, graph->buckets);
    memset(graph, 0, sizeof *graph);
    return mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for the graph");
  }
  pthread_mutex_init(&graph->lock, NULL);
  return MARS_OK;
}

void mx_graph_reset(mx_graph *graph) {
  mx_node *dead = NULL;

  if (graph->buckets == NULL) return;
  mx_scopes_reset(graph);
  for (size_t i = 0; i < graph->n_buckets; i++)
    for (mx_node *node = graph->buckets[i], *next; node != NULL; node = next) {
      next = node->next;
      node->next = dead;
      dead = node;
    }
  mx_free(graph->mem, graph->buckets);
  graph->buckets = NULL;
  graph->n_nodes = 0;
  bury(graph, dead);
  pthread_mutex_destroy(&graph->lock);
}
