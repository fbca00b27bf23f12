/*
 * Which nodes become values of their own ("hard"), and which roots share one pass ("group").
 *
 * Hard are: reductions and scans; what a reshape or a concatenation cannot be pushed through; operands of
 * concatenations; expensive nodes that would be computed several times. Everything else is computed again by whoever
 * reads it, which inside one kernel costs nothing.
 */
#include "engine/fuse/fuse.h"
#include "engine/routine.h"

#include <string.h>

enum { MAX_DEPTH = 200 };

/* ---- collecting: nodes reachable from the outputs, operands first ---- */

typedef struct frame {
  mx_node *node;
  int next;
} frame;

static bool push_info(mx_fuser *f, int64_t *cap, mx_node *node) {
  if (f->n_info == *cap && !mx_vec_reserve_(f->plan->mem, (void **)&f->info, cap, f->n_info + 1, sizeof *f->info)) return false;
  f->info[f->n_info++] = (mx_finfo){.node = node, .value = -1, .stamp = -1};
  node->mark = (int32_t)f->n_info;
  return true;
}

static mars_status collect(mx_fuser *f, mars_error *err) {
  mars_status st = MARS_OK;
  int64_t cap = 0;
  mx_mem *mem = f->plan->mem;
  MX_VEC(frame) stack = {0};
  for (size_t w = 0; w < f->input->n_wants; w++) {
    mx_node *start = f->input->wants[w].node;
    if (start->mark) continue;
    start->mark = -1;
    if (!mx_vec_push(mem, &stack, ((frame){start, 0}))) st = MARS_E_MEMORY;
    while (st == MARS_OK && stack.n) {
      frame *top = &stack.at[stack.n - 1];
      mx_node *node = top->node;
      if (!mx_node_is_leaf(node) && top->next < node->n_operands) {
        mx_node *op = node->operand[top->next++];
        if (op->mark) continue;
        op->mark = -1;
        if (!mx_vec_push(mem, &stack, ((frame){op, 0}))) st = MARS_E_MEMORY;
        continue;
      }
      stack.n--;
      if (!push_info(f, &cap, node)) st = MARS_E_MEMORY;
    }
    if (st != MARS_OK) break;
  }
  for (int64_t i = 0; i < stack.n; i++) stack.at[i].node->mark = 0;
  mx_vec_free(mem, &stack);
  return st == MARS_OK ? MARS_OK : MX_NOMEM(err, f->plan->fn);
}

/* ---- which nodes are values ---- */

static bool is_elementwise(const mx_node *n) {
  mx_op_kind k = mx_op_row_of(n->op)->kind;
  return k == MX_KIND_UNARY || k == MX_KIND_BINARY || k == MX_KIND_TERNARY || n->op == MX_OP_CAST;
}

static bool linear_ok(const mx_fuser *f, const mx_node *n) {
  if (mx_node_is_leaf(n) || mx_finfo_of(f, n)->hard || n->op == MX_OP_CONST || n->op == MX_OP_RESHAPE) return true;
  if (mx_op_row_of(n->op)->kind == MX_KIND_RANDOM) return true;
  if (n->op == MX_OP_IOTA) return n->shape.ndim == 1;
  if (n->op == MX_OP_VIEW) return n->operand[0]->size == 1;
  if (!is_elementwise(n)) return false;
  for (int o = 0; o < n->n_operands; o++)
    if (!mx_finfo_of(f, n->operand[o])->linear_ok) return false;
  return true;
}

/* memory traffic of writing and reading an element, in additions */
static double keep_cost(const mx_fuser *f, const mx_node *n) {
  double bytes = (double)n->size * (double)mars_dtype_bytes(n->dtype);
  return bytes < (double)f->plan->machine->arena_bytes / 4 ? 15 : 200;
}

static void analyse_node(mx_fuser *f, mx_finfo *fi) {
  mx_node *n = fi->node;
  mx_op_kind kind = mx_op_row_of(n->op)->kind;
  bool leaf = mx_node_is_leaf(n);
  fi->depth = 1;
  fi->cost = 1;
  if (leaf) {
    fi->linear_ok = true;
    return;
  }
  fi->cost = kind == MX_KIND_NODE ? 0 : mx_op_row_of(n->op)->cost;
  for (int o = 0; o < n->n_operands; o++) {
    mx_finfo *po = mx_finfo_of(f, n->operand[o]);
    mx_node *on = po->node;
    po->uses++;
    if (n->op == MX_OP_VIEW || n->op == MX_OP_RESHAPE) po->viewed = true;
    if (n->op == MX_OP_VIEW && is_elementwise(on) && n->size / 8 >= on->size && n->size >= 4096) po->hard = true;
    if (n->op == MX_OP_RESHAPE && !po->linear_ok) po->hard = po->linear_ok = true;
    if (n->op == MX_OP_CONCAT) {
      mx_node *base = on; /* stored is the base, or the view where that is much less */
      while (base->op == MX_OP_VIEW && !mx_node_is_leaf(base) && !mx_finfo_of(f, base)->hard) base = base->operand[0];
      if (!mx_node_is_leaf(base)) mx_finfo_of(f, on->size * 2 < base->size ? on : base)->hard = true;
    }
    if (kind == MX_KIND_ROUTINE) { /* routines read stored values, through views */
      mx_node *base = on;
      while (base->op == MX_OP_VIEW && !mx_node_is_leaf(base) && !mx_finfo_of(f, base)->hard) base = base->operand[0];
      if (!mx_node_is_leaf(base) && base->op != MX_OP_CONCAT) mx_finfo_of(f, base)->hard = true;
    }
    if (!po->hard) {
      fi->cost += po->cost;
      if (po->depth + 1 > fi->depth) fi->depth = po->depth + 1;
    }
  }
  if (kind == MX_KIND_REDUCE || kind == MX_KIND_SCAN || kind == MX_KIND_ROUTINE || n->op == MX_OP_TO_DEVICE || fi->force) fi->hard = true;
  if (f->plan->machine->no_fusion && n->op != MX_OP_VIEW && n->op != MX_OP_RESHAPE && n->op != MX_OP_CONST &&
      n->op != MX_OP_CONCAT)
    fi->hard = true;
  if (fi->depth > MAX_DEPTH && n->op != MX_OP_VIEW && n->op != MX_OP_RESHAPE && n->op != MX_OP_CONCAT) fi->hard = true;
  if (fi->hard) fi->depth = 1;
  fi->linear_ok = linear_ok(f, n);
}

/* Is this leaf brought from caller memory into chunks first, by the host or the device that reaches it? */
static bool is_staged(const mx_fuser *f, const mx_node *n) {
  return n->value && n->value->kind == MX_VALUE_MEMORY && (f->staged || n->value->device) && n->size;
}

static void set_levels(mx_fuser *f) {
  for (int64_t i = 0; i < f->n_info; i++) {
    mx_finfo *fi = &f->info[i];
    fi->level = 0;
    if (mx_node_is_leaf(fi->node)) continue;
    for (int o = 0; o < fi->node->n_operands; o++) {
      mx_finfo *po = mx_finfo_of(f, fi->node->operand[o]);
      int l = po->level + (mx_node_is_leaf(po->node) ? is_staged(f, po->node) : po->hard);
      if (l > fi->level) fi->level = l;
    }
    if (fi->node->op == MX_OP_CONCAT && fi->hard) continue;
  }
}

/* Expensive nodes that several kernels, or one kernel in several ways, would compute. */
static bool mark_expensive(mx_fuser *f) {
  bool changed = false;
  for (int64_t i = 0; i < f->n_info; i++) f->info[i].first_level = -1;
  for (int64_t i = f->n_info - 1; i >= 0; i--) { /* readers first */
    mx_finfo *fi = &f->info[i];
    if (mx_node_is_leaf(fi->node)) continue;
    int here = fi->hard || fi->first_level < 0 ? fi->level : fi->first_level;
    for (int o = 0; o < fi->node->n_operands; o++) {
      mx_finfo *po = mx_finfo_of(f, fi->node->operand[o]);
      bool splits = po->first_level >= 0 && po->first_level != here;
      if (po->first_level < 0) po->first_level = here;
      bool twice = splits || (po->uses > 1 && po->viewed);
      bool can = !po->hard && !mx_node_is_leaf(po->node) &&
                 (is_elementwise(po->node) || mx_op_row_of(po->node->op)->kind == MX_KIND_RANDOM);
      if (twice && can && po->cost * (po->uses > 1 ? po->uses - 1 : 1) > keep_cost(f, po->node)) {
        po->hard = true;
        changed = true;
      }
    }
  }
  return changed;
}

static void analyse(mx_fuser *f) {
  for (int64_t i = 0; i < f->n_info; i++) {
    mx_finfo *fi = &f->info[i];
    *fi = (mx_finfo){.node = fi->node, .force = fi->force, .value = -1, .stamp = -1};
  }
  for (int64_t i = 0; i < f->n_info; i++) analyse_node(f, &f->info[i]);
  set_levels(f);
  if (mark_expensive(f)) set_levels(f);
}

/* ---- plan values ---- */

static int32_t new_value(mx_fuser *f, mx_node *node, mars_dtype dt) {
  mx_pvalue v = {.kind = MX_PV_NEW, .node = node, .dtype = dt, .producer = -1, .output = -1, .join_axis = -1};
  v.shape = node->shape;
  return mx_vec_push(f->plan->mem, &f->plan->values, v) ? (int32_t)f->plan->values.n - 1 : -1;
}

static void place_in_memory(mx_pvalue *v, char *data) {
  v->kind = MX_PV_MEMORY;
  v->data = data;
  mx_strides_c(v->shape.ndim, v->shape.dims, (int64_t)mars_dtype_bytes(v->dtype), v->stride);
}

static int32_t leaf_value(mx_fuser *f, mx_node *node) {
  mx_value *e = node->value;
  int32_t i = new_value(f, node, node->dtype);
  if (i < 0) return -1;
  mx_pvalue *v = &f->plan->values.at[i];
  v->value = e;
  if (e->kind == MX_VALUE_MEMORY) {
    v->kind = MX_PV_MEMORY;
    v->data = e->data;
    v->device = e->device;
    memcpy(v->stride, e->stride, sizeof v->stride);
  } else if (e->kind == MX_VALUE_FILE) {
    v->kind = MX_PV_FILE;
  } else {
    v->kind = MX_PV_KEPT;
    v->grid = e->grid;
  }
  return i;
}

mx_node *mx_fuse_base(const mx_fuser *f, mx_node *node, mx_view *view) {
  memset(view, 0, sizeof *view);
  for (int d = 0; d < node->shape.ndim; d++) view->axis[d] = (int8_t)d, view->step[d] = 1;
  while (mx_finfo_of(f, node)->value < 0 && node->op == MX_OP_VIEW) { /* view := what node->operand[0] is seen through */
    mx_view next = {0};
    for (int d = 0; d < node->operand[0]->shape.ndim; d++) {
      int e = node->attr.view.axis[d];
      next.start[d] = node->attr.view.start[d] + (e < 0 ? 0 : node->attr.view.step[d] * view->start[e]);
      next.axis[d] = e < 0 ? -1 : view->axis[e];
      next.step[d] = e < 0 ? 0 : node->attr.view.step[d] * view->step[e];
    }
    *view = next;
    node = node->operand[0];
  }
  return node;
}

static mars_status concat_value(mx_fuser *f, mx_finfo *fi) {
  mx_plan *plan = f->plan;
  mx_node *n = fi->node;
  fi->value = new_value(f, n, n->dtype);
  mx_pjoin *joins = mx_pool_alloc(&plan->pool, (size_t)n->n_operands * sizeof *joins + 1);
  if (fi->value < 0 || !joins) return MARS_E_MEMORY;
  int64_t at = 0;
  for (int o = 0; o < n->n_operands; o++) {
    mx_node *on = n->operand[o];
    mx_view view;
    joins[o] = (mx_pjoin){.start = at, .extent = on->shape.dims[n->attr.axis]};
    at += joins[o].extent;
    on = mx_fuse_base(f, on, &view);
    joins[o].view = view;
    joins[o].value = mx_finfo_of(f, on)->value;
  }
  mx_pvalue *v = &plan->values.at[fi->value];
  v->kind = MX_PV_CONCAT;
  v->join_axis = n->attr.axis;
  v->n_joins = n->n_operands;
  v->joins = joins;
  return MARS_OK;
}

static bool push_root(mx_fuser *f, mx_root r) {
  r.group = -1;
  return mx_vec_push(f->plan->mem, &f->roots, r);
}

/* The leaf's value in caller memory is copied into chunks, which stand for the leaf. */
static mars_status stage_leaf(mx_fuser *f, mx_finfo *fi) {
  const int32_t memory = fi->value;
  fi->value = new_value(f, fi->node, fi->node->dtype);
  mx_root r = {.kind = MX_ROOT_STORE, .node = fi->node, .value = fi->value, .copy = true, .from = memory, .space = fi->node->shape};
  if (fi->node->value->device) r.home = fi->node->value->device + 1;
  return fi->value >= 0 && push_root(f, r) ? MARS_OK : MARS_E_MEMORY;
}

/* The root that makes a hard node. */
static bool hard_root(mx_fuser *f, mx_finfo *fi) {
  mx_node *n = fi->node;
  mx_op_kind kind = mx_op_row_of(n->op)->kind;
  mx_root r = {.kind = MX_ROOT_STORE, .node = n, .value = fi->value, .from = -1, .level = fi->level, .space = n->shape};
  if (kind == MX_KIND_REDUCE && n->operand[0]->size == 0) r.empty = true;
  else if (kind == MX_KIND_REDUCE) {
    r.kind = MX_ROOT_REDUCE;
    r.space = n->operand[0]->shape;
    r.mask = n->attr.reduce.mask;
  } else if (kind == MX_KIND_SCAN) {
    r.kind = MX_ROOT_SCAN;
    r.mask = 1u << n->attr.axis;
  } else if (kind == MX_KIND_ROUTINE) {
    r.kind = MX_ROOT_ROUTINE;
  }
  return push_root(f, r);
}

static mars_status make_values(mx_fuser *f) {
  for (int64_t i = 0; i < f->n_info; i++) {
    mx_finfo *fi = &f->info[i];
    mx_node *n = fi->node;
    if (mx_node_is_leaf(n)) {
      fi->value = leaf_value(f, n);
      if (fi->value < 0 || (is_staged(f, n) && stage_leaf(f, fi) != MARS_OK)) return MARS_E_MEMORY;
    } else if (fi->hard) {
      bool half = n->dtype == MARS_F16 || n->dtype == MARS_BF16;
      bool scan = mx_op_row_of(n->op)->kind == MX_KIND_SCAN;
      int32_t join = -1;
      if (n->op == MX_OP_CONCAT) { /* the copy reads the joined view, everybody else the copy */
        mars_status st = concat_value(f, fi);
        if (st != MARS_OK) return st;
        join = fi->value;
      }
      fi->value = new_value(f, n, scan && half ? MARS_F32 : n->dtype);
      if (fi->value < 0) return MARS_E_MEMORY;
      if (join >= 0) f->plan->values.at[fi->value].join_axis = -2 - join;
      if (n->size && !hard_root(f, fi)) return MARS_E_MEMORY;
    } else if (n->op == MX_OP_CONCAT) {
      mars_status st = concat_value(f, fi);
      if (st != MARS_OK) return st;
    }
  }
  return MARS_OK;
}

/* Routines leave results in chunks as they need them, which may be kept as they are; only products go straight to files and
   memory. */
static bool needs_copy(const mx_node *n, mars_sink sink) {
  if (mx_op_row_of(n->op)->kind != MX_KIND_ROUTINE) return false;
  if (n->op != MX_OP_MATMUL) return sink != MARS_SINK_KEEP;
  return n->attr.routine.flags & MX_RF_SYMMETRIC; /* half of it is not there */
}

/* Chunks that hold a result are copied to where the caller wants it. */
static mars_status unstage(mx_fuser *f, int32_t value, int level, const mx_want *want, int w) {
  int32_t i = new_value(f, want->node, want->node->dtype);
  mx_root r = {.kind = MX_ROOT_STORE, .node = want->node, .value = i, .copy = true, .from = value, .space = want->node->shape,
               .level = level + 1, .home = want->device ? want->device + 1 : 0};
  if (i < 0 || (want->node->size && !push_root(f, r))) return MARS_E_MEMORY;
  f->plan->values.at[i].output = w;
  place_in_memory(&f->plan->values.at[i], want->data);
  f->plan->values.at[i].device = want->device;
  return MARS_OK;
}

/* Give each wanted output a value, and a root where the node does not already have one that serves. */
static mars_status make_outputs(mx_fuser *f) {
  mx_plan *plan = f->plan;
  for (size_t w = 0; w < f->input->n_wants; w++) {
    const mx_want *want = &f->input->wants[w];
    mx_node *n = want->node;
    mx_finfo *fi = mx_finfo_of(f, n);
    bool leaf = mx_node_is_leaf(n);
    int32_t i = -1;
    const bool from_chunks = want->sink == MARS_SINK_MEMORY && (f->staged || want->device);
    bool own = fi->hard && !leaf && plan->values.at[fi->value].output < 0 && plan->values.at[fi->value].dtype == n->dtype &&
               !needs_copy(n, want->sink) && !(want->sink == MARS_SINK_MEMORY && mx_op_row_of(n->op)->kind == MX_KIND_REDUCE);
    if (leaf && want->sink == MARS_SINK_KEEP) continue;
    if (from_chunks && (is_staged(f, n) || (fi->hard && !leaf) || (leaf && f->staged))) {
      if (unstage(f, fi->value, fi->level, want, (int)w) != MARS_OK) return MARS_E_MEMORY;
      continue;
    }
    if (own) i = fi->value;
    else {
      i = new_value(f, n, n->dtype);
      bool copy = leaf || fi->hard;
      mx_root r = {.kind = MX_ROOT_STORE, .node = n, .value = i, .copy = copy, .from = -1, .space = n->shape,
                   .level = fi->level + (copy && (!leaf || is_staged(f, n)))};
      if (i < 0 || (n->size && !push_root(f, r))) return MARS_E_MEMORY;
      if (from_chunks) {
        if (unstage(f, i, r.level, want, (int)w) != MARS_OK) return MARS_E_MEMORY;
        continue;
      }
    }
    mx_pvalue *v = &plan->values.at[i];
    v->output = (int)w;
    v->keep = want->sink == MARS_SINK_KEEP;
    v->sink = want->file;
    if (want->sink == MARS_SINK_MEMORY) place_in_memory(v, want->data);
  }
  return MARS_OK;
}

/* Kept values that are no part of the graph only take up room. */
static mars_status add_kept(mx_fuser *f) {
  for (size_t i = 0; i < f->input->n_kept; i++) {
    mx_value *e = f->input->kept[i];
    bool there = false;
    for (int64_t k = 0; k < f->plan->values.n && !there; k++) there = f->plan->values.at[k].value == e;
    if (there) continue;
    mx_pvalue v = {.kind = MX_PV_KEPT, .value = e, .dtype = e->dtype, .shape = e->shape, .producer = -1, .output = -1,
                   .join_axis = -1, .grid = e->grid};
    if (!mx_vec_push(f->plan->mem, &f->plan->values, v)) return MARS_E_MEMORY;
  }
  return MARS_OK;
}

/* ---- groups ---- */

static bool same_space(const mx_root *a, const mx_root *b) {
  return a->space.ndim == b->space.ndim &&
         !memcmp(a->space.dims, b->space.dims, (size_t)a->space.ndim * sizeof a->space.dims[0]);
}

static bool may_share(const mx_fuser *f, const mx_root *a, const mx_root *b) {
  if (f->plan->machine->no_fusion || a->kind == MX_ROOT_SCAN || b->kind == MX_ROOT_SCAN) return false;
  if (a->kind == MX_ROOT_ROUTINE || b->kind == MX_ROOT_ROUTINE) return false;
  if (a->from >= 0 || b->from >= 0 || mx_root_pin(a) != mx_root_pin(b)) return false;
  if (a->level != b->level || !same_space(a, b)) return false;
  return !a->mask || !b->mask || a->mask == b->mask;
}

typedef struct walk {
  MX_VEC(mx_node *) stack;
} walk;

/* Group that already reads something that root r reads and may take it, else -1; stamps what r reads with `stamp`. */
static mars_status find_group(mx_fuser *f, const mx_root *r, int stamp, const int32_t *group_root, int *found) {
  mx_mem *mem = f->plan->mem;
  walk w = {{0}};
  *found = -1;
  mars_status st = MARS_OK;
  mx_node *start = r->kind == MX_ROOT_STORE ? r->node : r->node->operand[0];
  if (r->empty || r->from >= 0) return MARS_OK;
  bool first = true;
  if (!mx_vec_push(mem, &w.stack, start)) return MARS_E_MEMORY;
  while (w.stack.n) {
    mx_node *n = w.stack.at[--w.stack.n];
    mx_finfo *fi = mx_finfo_of(f, n);
    bool stop = mx_node_is_leaf(n) || (fi->hard && !(first && r->kind == MX_ROOT_STORE && !r->copy)) || (first && r->copy);
    first = false;
    if (n->op == MX_OP_CONST && !n->value) continue;
    if (fi->stamp == stamp) continue;
    if (fi->stamp >= 0 && n->size > 1 && *found < 0 && may_share(f, &f->roots.at[group_root[fi->stamp]], r))
      *found = fi->stamp;
    fi->stamp = stamp;
    if (stop) continue;
    for (int o = 0; o < n->n_operands; o++)
      if (!mx_vec_push(mem, &w.stack, n->operand[o])) {
        st = MARS_E_MEMORY;
        goto done;
      }
  }
done:
  mx_vec_free(mem, &w.stack);
  return st;
}

/* An earlier root that is another result of the same routine on the same operands, -1. */
static int same_routine(const mx_fuser *f, int64_t i) {
  const mx_node *n = f->roots.at[i].node;
  for (int64_t k = 0; k < i; k++) {
    const mx_node *o = f->roots.at[k].node;
    mx_routine_attr a = n->attr.routine, b;
    if (f->roots.at[k].kind != MX_ROOT_ROUTINE || o->op != n->op || o->n_operands != n->n_operands) continue;
    b = o->attr.routine;
    if (a.flags != b.flags || a.p[0] != b.p[0] || a.p[1] != b.p[1]) continue;
    if (!memcmp(o->operand, n->operand, (size_t)n->n_operands * sizeof *n->operand)) return f->roots.at[k].group;
  }
  return -1;
}

/* Every root gets a group; groups that share are merged through `alias`. */
static mars_status make_groups(mx_fuser *f, int32_t *alias, int32_t *members, int *n_groups) {
  int32_t *group_root = mx_calloc(f->plan->mem, (size_t)f->roots.n + 1, sizeof *group_root);
  if (!group_root) return MARS_E_MEMORY;
  mars_status st = MARS_OK;
  for (int64_t i = 0; i < f->roots.n && st == MARS_OK; i++) {
    int found;
    group_root[i] = (int32_t)i;
    alias[i] = (int32_t)i;
    if (f->roots.at[i].kind == MX_ROOT_ROUTINE) {
      found = same_routine(f, i);
      f->roots.at[i].group = alias[i] = found >= 0 ? found : (int32_t)i;
      continue;
    }
    st = find_group(f, &f->roots.at[i], (int)i, group_root, &found);
    if (found >= 0) {
      int g = alias[found];
      const mx_root *r = &f->roots.at[i], *first = &f->roots.at[g];
      bool clash = false; /* the group's mask may have come from a later member */
      for (int64_t k = g; k < i && !clash; k++) clash = alias[k] == g && !may_share(f, &f->roots.at[k], r);
      if (!clash && members[g] < MX_MAX_OUTS && first->level == r->level) alias[i] = g;
    }
    members[alias[i]]++;
    f->roots.at[i].group = alias[i];
  }
  *n_groups = (int)f->roots.n;
  mx_free(f->plan->mem, group_root);
  return st;
}

static void drop_kernels(mx_plan *plan) {
  plan->kernels.n = 0;
  plan->values.n = 0;
}

/* One attempt; f->again is set when a program grew too long. */
static mars_status attempt(mx_fuser *f, mars_error *err) {
  mx_plan *plan = f->plan;
  mars_status st = MARS_OK;
  int32_t *alias = NULL, *members = NULL;
  int n_groups = 0;
  f->again = false;
  f->roots.n = 0;
  drop_kernels(plan);
  analyse(f);
  MX_TRY(make_values(f));
  MX_TRY(make_outputs(f));
  MX_TRY(add_kept(f));
  alias = mx_calloc(plan->mem, (size_t)f->roots.n + 1, sizeof *alias);
  members = mx_calloc(plan->mem, (size_t)f->roots.n + 1, sizeof *members);
  if (!alias || !members) MX_TRY(MARS_E_MEMORY);
  MX_TRY(make_groups(f, alias, members, &n_groups));
  for (int g = 0; g < n_groups && !f->again; g++)
    if (f->roots.at[g].group == g)
      MX_TRY((f->roots.at[g].kind == MX_ROOT_ROUTINE ? mx_fuse_routine : mx_fuse_build)(f, g, f->roots.at[g].level, err));
done:
  mx_free(plan->mem, alias);
  mx_free(plan->mem, members);
  return st == MARS_E_MEMORY ? MX_NOMEM(err, plan->fn) : st;
}

/* What is read by one pinned kernel alone is made where that one runs. */
static mars_status spread_pins(mx_plan *plan, mars_error *err) {
  enum { NOBODY = -1, SEVERAL = -2 };
  bool any = false;
  for (int64_t k = 0; k < plan->kernels.n; k++) any |= plan->kernels.at[k].pin != 0;
  if (!any) return MARS_OK;
  int32_t *reader = mx_alloc(plan->mem, (size_t)plan->kernels.n * sizeof *reader);
  if (!reader) return MX_NOMEM(err, plan->fn);
  for (int64_t k = 0; k < plan->kernels.n; k++) reader[k] = NOBODY;
  for (int64_t k = 0; k < plan->kernels.n; k++) {
    const mx_pkernel *q = &plan->kernels.at[k];
    for (int i = 0; i < (q->routine ? q->n_slots : q->prog.n_in); i++) {
      int producer = plan->values.at[(q->routine ? q->slot : q->in)[i].value].producer;
      if (producer >= 0 && reader[producer] != k) reader[producer] = reader[producer] == NOBODY ? (int32_t)k : SEVERAL;
    }
  }
  for (bool more = true; more;) {
    more = false;
    for (int64_t k = 0; k < plan->kernels.n; k++) {
      mx_pkernel *q = &plan->kernels.at[k];
      if (q->pin || reader[k] < 0 || !plan->kernels.at[reader[k]].pin) continue;
      q->pin = plan->kernels.at[reader[k]].pin;
      more = true;
    }
  }
  mx_free(plan->mem, reader);
  return MARS_OK;
}

mars_status mx_fuse(mx_plan *plan, const mx_plan_input *input, mars_error *err) {
  mx_fuser f = {.plan = plan, .input = input, .staged = mx_plan_devices(plan)};
  mars_status st = MARS_OK;
  MX_TRY(collect(&f, err));
  do {
    MX_TRY(attempt(&f, err));
  } while (f.again);
  MX_TRY(spread_pins(plan, err));
done:
  for (int64_t i = 0; i < f.n_info; i++) f.info[i].node->mark = 0;
  mx_free(plan->mem, f.info);
  mx_vec_free(plan->mem, &f.roots);
  return st;
}
