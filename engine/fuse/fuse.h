/*
 * Fusion: from the node graph to kernels. Internal to engine/fuse.
 *
 * fuse.c   which nodes become values of their own, which roots share a kernel
 * build.c  the program of one kernel
 * routine.c  the kernel of a routine
 */
#ifndef MX_FUSE_H
#define MX_FUSE_H

#include "engine/plan/plan.h"

/* What fusion knows of a node; node->mark - 1 is its place in `info`. */
typedef struct mx_finfo {
  mx_node *node;
  bool hard;      /* a value of its own: loaded by whoever reads it */
  bool force;     /* hard because a program grew too long; survives another round */
  bool linear_ok; /* can be read by C-order index without being a value */
  bool viewed;    /* some reader looks at it through a view */
  int32_t value;  /* plan value of a leaf, a hard node, a CONCAT; -1 */
  int32_t uses, depth, level, first_level;
  int32_t stamp;  /* group that visited it last */
  double cost;    /* per element, down to the next values */
} mx_finfo;

typedef enum mx_root_kind { MX_ROOT_STORE, MX_ROOT_REDUCE, MX_ROOT_SCAN, MX_ROOT_ROUTINE } mx_root_kind;

/* Something that a kernel must produce. */
typedef struct mx_root {
  mx_root_kind kind;
  bool copy;        /* the node is a value: load it */
  int32_t from;     /* copy: plan value to load instead of the node's, -1 */
  int home;         /* 1 + device that reaches the caller memory that it copies, 0: any may run it */
  bool empty;       /* reduction over no elements: its identity everywhere */
  mx_node *node;
  int32_t value;    /* plan value to fill */
  int32_t level, group;
  mars_shape space; /* iteration space */
  uint32_t mask;
} mx_root;

typedef struct mx_fuser {
  mx_plan *plan;
  const mx_plan_input *input;
  mx_finfo *info;
  int64_t n_info;
  MX_VEC(mx_root) roots;
  bool again; /* a node was forced: start over */
  bool staged; /* devices with memory of their own take part: caller memory is read and written by copies that the host makes */
} mx_fuser;

/* 1 + device that a root's kernel is wanted on, 0: any. */
static inline int mx_root_pin(const mx_root *r) { return r->kind == MX_ROOT_STORE && !r->copy && r->node->op == MX_OP_TO_DEVICE ? r->node->attr.axis + 1 : 0; }
static inline mx_finfo *mx_finfo_of(const mx_fuser *f, const mx_node *node) { return &f->info[node->mark - 1]; }
static inline bool mx_node_is_leaf(const mx_node *node) { return node->value || node->op == MX_OP_SOURCE; }

/* Program and slots of the kernel made of the roots with number `group` in f->roots. Sets f->again instead when it would
   become too long. */
mars_status mx_fuse_build(mx_fuser *f, int group, int level, mars_error *err);

/* Kernel of the routine results with number `group` in f->roots. */
mars_status mx_fuse_routine(mx_fuser *f, int group, int level, mars_error *err);
/* Follows VIEW nodes from `node` down to a value (or what is no VIEW): that node, and how it is seen from there. */
mx_node *mx_fuse_base(const mx_fuser *f, mx_node *node, mx_view *view);

#endif
