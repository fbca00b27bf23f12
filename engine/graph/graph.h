/*
 * The tensor graph: immutable, hash-consed, refcounted nodes; handles; scopes.
 *
 * Layer: engine. Threads: every function takes the graph's lock itself unless its name ends in _locked; nodes are
 * immutable but for `value`, which the session's thread sets (mx_node_set_value) under the lock.
 * Invariants: operands are older than the node; no two live pure nodes are equal; a node without elements is a CONST
 * or a SOURCE, and no node has an operand without elements (reductions over nothing are CONSTs too).
 *
 * graph.c      nodes: interning, release, values           handle.c   handles and scopes
 * build.h/.c   one public call under construction          constant.c values of CONST nodes
 * promote.c    dtypes and broadcasting of elementwise ops  rows.c     a function for every row of the op table
 * index.c views.c join.c reduce.c create.c source.c random.c compose.c   the other public calls
 * dlpack.c DLPack in and out, the caller's streams
 * user_kernel.c mars_kernel_apply
 * expression.c mars_elementwise                            number.c   what it computes at once
 */
#ifndef MX_GRAPH_H
#define MX_GRAPH_H

#include "engine/mem.h"
#include "engine/op.h"
#include "engine/program.h"
#include "engine/store.h"
#include <pthread.h>
#include <stdatomic.h>

typedef struct mx_node mx_node;
typedef struct mx_value mx_value; /* engine/exec/value.h: data that exists */

/* VIEW: input coordinate d = start[d] + step[d] * (axis[d] < 0 ? 0 : output coordinate axis[d]). Each output axis is
   used by at most one input dimension; an unused one is new or broadcast. Views of views are one node. Input dimensions
   that see one coordinate only (integer index, output extent 1) have axis -1 and step 0. */
typedef struct mx_view {
  int8_t axis[MARS_MAX_DIMS];
  int64_t start[MARS_MAX_DIMS];
  int64_t step[MARS_MAX_DIMS];
} mx_view;

typedef struct mx_reduce_attr {
  uint32_t mask; /* reduced axes of the operand; the result has the others only (keepdims is a VIEW on top) */
  double ddof;
} mx_reduce_attr;

/* ROUTINE nodes: one node for each result that somebody wants; those that differ in `which` alone become one kernel. */
typedef struct mx_routine_attr {
  int32_t which;  /* number of the result */
  uint32_t flags; /* the routine's own; engine/routine.h */
  int64_t p[2];
} mx_routine_attr;

struct mx_node {
  mx_op op;
  mars_dtype dtype;   /* of the values, halves included */
  mars_dtype loop;    /* elementwise: operand dtype after promotion (operands have it already, by CAST nodes);
                         WHERE: of operands 1 and 2 */
  mars_shape shape;
  int64_t size;       /* elements */
  int n_operands;
  mx_node **operand;  /* elementwise: each operand has the node's own shape (broadcast by VIEW nodes) */
  union {
    mx_const constant;  /* CONST: for halves an f32 constant */
    int axis;           /* IOTA, CONCAT, SCAN; TO_DEVICE: number of the device */
    mx_random random;   /* RANDOM rows; halves: dtype f32 under a CAST */
    mx_view view;
    mx_reduce_attr reduce;
    mx_routine_attr routine;
  } attr;
  const char *within;   /* ROUTINE: public function that asked for it first, without "mars_"; no part of what nodes are compared by */
  bool pure;            /* hash-consed: equal nodes are one */
  uint64_t hash;
  uint64_t serial;      /* creation order: operands have smaller ones */
  atomic_int refs;
  mx_value *value;      /* not NULL: the node's values exist; it counts as a SOURCE */
  int n_keys;           /* operands at birth, */
  uint64_t *key;        /* their serials: equality stays decidable when a value has replaced the operands */
  mx_node *next;        /* hash chain */
  int32_t mark, mark2;  /* planner's scratch, valid inside one planning */
};

typedef struct mx_graph {
  mx_mem *mem;
  pthread_mutex_t lock;
  mx_node **buckets;
  size_t n_buckets, n_nodes;
  uint64_t next_serial;
  uint64_t seed, next_stream;
  struct mx_scope *scopes; /* all open scopes of all threads */
} mx_graph;

/* The live node equal to *proto (op, dtype, loop, shape, size, attr; padding of attr zero) on these operands, or a new one;
   SOURCE: always new, takes over proto->value on success. One reference is the caller's. NULL: no memory. */
mx_node *mx_graph_intern(mx_graph *graph, const mx_node *proto, mx_node *const *operand, int n);
/* Operand 0, retained, if the node is an `op` whose values do not exist yet; else NULL. For views that collapse. */
mx_node *mx_graph_peel(mx_graph *graph, const mx_node *node, mx_op op);
/* All operands, retained, unless the node's values exist: then false. */
bool mx_graph_operands(mx_graph *graph, const mx_node *node, mx_node **operand);
bool mx_node_has_value(mx_graph *graph, const mx_node *node);

mars_status mx_graph_init(mx_graph *graph, mx_mem *mem, mars_error *err);
/* Frees every handle and node that is left. */
void mx_graph_reset(mx_graph *graph);

void mx_node_retain(mx_node *node);
/* The last release gives the value back through mx_value_release and lets go of the operands (iteratively, not by recursion:
   chains may be long). */
void mx_node_release(mx_graph *graph, mx_node *node);
/* Attach a computed value (ownership of one reference moves); the operands are let go, the node is a leaf from now on. */
void mx_node_set_value(mx_graph *graph, mx_node *node, mx_value *value);

/* Handle internals */
struct mars_tensor {
  mars_session *session;
  mx_node *node;      /* NULL: an error tensor */
  mars_error *error;  /* error tensor's own record */
  bool weak;          /* Python-like scalar: kind counts, width does not */
  int refs;           /* 1 for its scope + retains */
  struct mx_scope *scope;
  mars_tensor *prev, *next; /* in its scope's list */
};

/* A new handle on a node (takes over the caller's reference) in the current scope. NULL node, or no memory: NULL/err tensor. */
mars_tensor *mx_tensor_wrap(mars_session *s, mx_node *node);
/* A new handle on a copy of an error. */
mars_tensor *mx_tensor_error_copy(mars_session *s, const mars_error *error);
mars_tensor *mx_tensor_error(mars_session *s, mars_status st, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A SOURCE node for a value (takes over one reference of it, also on failure). NULL: no memory. */
mx_node *mx_node_source(mx_graph *graph, mars_dtype dt, const mars_shape *shape, mx_value *value);

#endif
