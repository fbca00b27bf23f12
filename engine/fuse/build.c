/*
 * The program of one kernel: roots are walked down to values, generators and constants; every (node, access) pair
 * becomes one SSA value, so what is read twice in the same way is computed once.
 */
#include "engine/fuse/fuse.h"

#include <string.h>

typedef struct memo {
  const mx_node *node;
  int32_t access, ssa; /* access: number in `accesses`, -1: does not matter */
} memo;

typedef struct builder {
  mx_fuser *f;
  mx_mem *mem;
  mx_pkernel *k;
  mars_shape space;
  MX_VEC(mx_instr) instrs;
  MX_VEC(mars_dtype) dtypes;
  MX_VEC(mx_access) accesses;
  MX_VEC(mx_pslot) in;
  MX_VEC(mars_dtype) in_dtype;
  MX_VEC(mx_access) gen;
  MX_VEC(mx_random) gens;
  MX_VEC(mx_const) consts;
  MX_VEC(mx_pout) out;
  MX_VEC(mx_out_desc) outs;
  memo *table;
  int64_t table_size, table_used;
  double cost;
  bool cut; /* too long: unwind */
  bool nomem;
} builder;

static bool half(mars_dtype dt) { return dt == MARS_F16 || dt == MARS_BF16; }
static mars_dtype reg_dtype(mars_dtype dt) { return half(dt) ? MARS_F32 : dt; }

/* ---- accesses ---- */

static void access_identity(const mars_shape *space, mx_access *a) {
  memset(a, 0, sizeof *a);
  a->ndim = space->ndim;
  for (int d = 0; d < space->ndim; d++) {
    a->view.axis[d] = space->dims[d] == 1 ? -1 : (int8_t)d;
    a->view.step[d] = space->dims[d] == 1 ? 0 : 1;
  }
}

/* how `node` (a VIEW) makes its operand be seen */
static void access_through_view(const mx_access *a, const mx_node *node, mx_access *out) {
  const mx_view *v = &node->attr.view;
  memset(out, 0, sizeof *out);
  out->ndim = node->operand[0]->shape.ndim;
  for (int d = 0; d < out->ndim; d++) {
    int e = v->axis[d];
    out->view.start[d] = v->start[d];
    out->view.axis[d] = -1;
    if (e < 0 || a->linear) continue; /* linear: the operand has one element */
    out->view.start[d] += v->step[d] * a->view.start[e];
    if (a->view.axis[e] < 0) continue;
    out->view.axis[d] = a->view.axis[e];
    out->view.step[d] = v->step[d] * a->view.step[e];
  }
}

static void access_linear(const mx_access *a, const mars_shape *shape, mx_access *out) {
  if (a->linear) {
    *out = *a;
    return;
  }
  memset(out, 0, sizeof *out);
  out->linear = true;
  int64_t stride = 1;
  for (int d = shape->ndim - 1; d >= 0; d--) {
    out->base += a->view.start[d] * stride;
    if (a->view.axis[d] >= 0) out->lstep[a->view.axis[d]] += a->view.step[d] * stride;
    stride *= shape->dims[d];
  }
}

/* ---- memo ---- */

static uint64_t memo_hash(const mx_node *node, const mx_access *a) {
  uint64_t h = (uint64_t)(uintptr_t)node * 0x9E3779B97F4A7C15u;
  if (!a) return h ^ (h >> 29);
  const int64_t *w = a->linear ? a->lstep : a->view.start;
  h ^= (uint64_t)a->base + a->linear;
  for (int i = 0; i < MARS_MAX_DIMS; i++) h = (h ^ (uint64_t)w[i]) * 0xD6E8FEB86659FD93u;
  for (int i = 0; i < MARS_MAX_DIMS; i++) h = (h ^ (uint64_t)(a->view.axis[i] + 2 * a->view.step[i])) * 0xD6E8FEB86659FD93u;
  return h ^ (h >> 32);
}

static bool memo_grow(builder *b) {
  int64_t size = b->table_size ? b->table_size * 2 : 64;
  memo *t = mx_calloc(b->mem, (size_t)size, sizeof *t);
  if (!t) return false;
  for (int64_t i = 0; i < b->table_size; i++) {
    memo *m = &b->table[i];
    if (!m->node) continue;
    uint64_t h = memo_hash(m->node, m->access < 0 ? NULL : &b->accesses.at[m->access]);
    while (t[h & (uint64_t)(size - 1)].node) h++;
    t[h & (uint64_t)(size - 1)] = *m;
  }
  mx_free(b->mem, b->table);
  b->table = t;
  b->table_size = size;
  return true;
}

/* Entry for (node, access): found (ssa >= 0) or new (ssa -1). NULL: no memory. */
static memo *memo_find(builder *b, const mx_node *node, const mx_access *a) {
  if (b->table_used * 2 >= b->table_size && !memo_grow(b)) return NULL;
  uint64_t h = memo_hash(node, a);
  for (;; h++) {
    memo *m = &b->table[h & (uint64_t)(b->table_size - 1)];
    if (!m->node) {
      if (a && !mx_vec_push(b->mem, &b->accesses, *a)) return NULL;
      *m = (memo){node, a ? (int32_t)b->accesses.n - 1 : -1, -1};
      b->table_used++;
      return m;
    }
    if (m->node == node && (a ? m->access >= 0 && !memcmp(&b->accesses.at[m->access], a, sizeof *a) : m->access < 0))
      return m;
  }
}

/* ---- emitting ---- */

static int32_t emit(builder *b, mx_instr i, mars_dtype result) {
  i.dst = (int32_t)b->dtypes.n;
  if (!mx_vec_push(b->mem, &b->dtypes, result) || !mx_vec_push(b->mem, &b->instrs, i)) {
    b->nomem = true;
    return -1;
  }
  return i.dst;
}

static void emit_end(builder *b, mx_instr i) {
  i.dst = -1;
  if (!mx_vec_push(b->mem, &b->instrs, i)) b->nomem = true;
}

static mx_instr instr(mx_instr_kind kind, mars_dtype dt) {
  return (mx_instr){.kind = (uint8_t)kind, .dtype = (uint8_t)dt, .dst = -1, .src = {-1, -1, -1}};
}

static int32_t emit_cast(builder *b, int32_t src, mars_dtype from, mars_dtype to) {
  mx_instr i = instr(MX_I_CAST, to);
  i.from = (uint8_t)from;
  i.src[0] = src;
  return emit(b, i, to);
}

static int32_t emit_round(builder *b, int32_t src, mars_dtype to) {
  mx_instr i = instr(MX_I_ROUND, to);
  i.src[0] = src;
  return emit(b, i, MARS_F32);
}

/* registers of node dtypes: halves live in f32 registers that hold half values */
static int32_t emit_convert(builder *b, int32_t src, mars_dtype from, mars_dtype to) {
  mars_dtype rf = reg_dtype(from);
  if (!half(to)) return rf == to ? src : emit_cast(b, src, rf, to);
  if (rf == MARS_F32) return emit_round(b, src, to);
  return emit_cast(b, emit_cast(b, src, rf, to), to, MARS_F32); /* straight to the half: rounded once */
}

static int32_t emit_load(builder *b, const mx_node *node, const mx_access *a, int32_t value) {
  const mx_pvalue *v = &b->f->plan->values.at[value];
  mx_pslot slot = {.value = value, .access = *a};
  if (v->kind == MX_PV_CONCAT && a->linear) b->nomem = true; /* cannot be: linear_ok says no */
  mx_instr i = instr(MX_I_LOAD, v->dtype);
  i.slot = (uint16_t)b->in.n;
  if (!mx_vec_push(b->mem, &b->in, slot) || !mx_vec_push(b->mem, &b->in_dtype, v->dtype)) b->nomem = true;
  int32_t ssa = emit(b, i, v->dtype);
  b->cost += 1;
  if (half(v->dtype)) return emit_cast(b, ssa, v->dtype, MARS_F32);
  if (half(node->dtype)) return emit_round(b, ssa, node->dtype); /* a scan of halves is held in f32 */
  return ssa;
}

static int32_t emit_const(builder *b, const mx_const *c) {
  mx_instr i = instr(MX_I_CONST, c->dtype);
  i.slot = (uint16_t)b->consts.n;
  if (!mx_vec_push(b->mem, &b->consts, *c)) b->nomem = true;
  return emit(b, i, c->dtype);
}

static int32_t emit_gen(builder *b, const mx_node *node, const mx_access *a) {
  bool iota = node->op == MX_OP_IOTA;
  mx_random r = iota ? (mx_random){.op = MX_OP_IOTA, .dtype = MARS_I64} : node->attr.random;
  mx_access lin;
  if (!iota || a->linear) access_linear(a, &node->shape, &lin);
  else { /* the coordinate along one axis */
    int d = node->attr.axis;
    memset(&lin, 0, sizeof lin);
    lin.linear = true;
    lin.base = a->view.start[d];
    if (a->view.axis[d] >= 0) lin.lstep[a->view.axis[d]] = a->view.step[d];
  }
  mx_instr i = instr(iota ? MX_I_IOTA : MX_I_RANDOM, r.dtype);
  i.op = (uint16_t)node->op;
  i.slot = (uint16_t)b->gen.n;
  if (!mx_vec_push(b->mem, &b->gen, lin) || !mx_vec_push(b->mem, &b->gens, r)) b->nomem = true;
  b->cost += mx_op_row_of(node->op)->cost + 1;
  return emit(b, i, r.dtype);
}

static int32_t build(builder *b, mx_node *node, const mx_access *a);

static int32_t emit_op(builder *b, mx_node *node, const mx_access *a) {
  const mx_op_row *row = mx_op_row_of(node->op);
  bool direct_half = node->op == MX_OP_NEXTAFTER || node->op == MX_OP_SPACING;
  mars_dtype loop = direct_half ? node->loop : reg_dtype(node->loop);
  mx_instr i = instr(MX_I_OP, loop);
  i.op = (uint16_t)node->op;
  for (int o = 0; o < node->n_operands; o++) {
    i.src[o] = build(b, node->operand[o], a);
    if (i.src[o] < 0) return -1;
  }
  b->cost += row->cost;
  mars_dtype result = mx_op_result_dtype(node->op, loop);
  int32_t ssa = emit(b, i, reg_dtype(result));
  if (half(node->loop) && half(node->dtype) && !direct_half) ssa = emit_round(b, ssa, node->dtype);
  return ssa;
}

static int32_t build_new(builder *b, mx_node *node, const mx_access *a) {
  mx_finfo *fi = mx_finfo_of(b->f, node);
  /* a constant that is stored for a join is no load for its other readers */
  bool constant = node->op == MX_OP_CONST && !node->value;
  if (!constant && fi->value >= 0 && (fi->hard || mx_node_is_leaf(node) || node->op == MX_OP_CONCAT))
    return emit_load(b, node, a, fi->value);
  mx_access next;
  switch (node->op) {
  case MX_OP_CONST: return emit_const(b, &node->attr.constant);
  case MX_OP_VIEW:
    access_through_view(a, node, &next);
    return build(b, node->operand[0], &next);
  case MX_OP_RESHAPE:
    access_linear(a, &node->shape, &next);
    return build(b, node->operand[0], &next);
  case MX_OP_TO_DEVICE: return build(b, node->operand[0], a);
  case MX_OP_CAST: {
    int32_t src = build(b, node->operand[0], a);
    b->cost += 1;
    return src < 0 ? -1 : emit_convert(b, src, node->operand[0]->dtype, node->dtype);
  }
  default: break;
  }
  mx_op_kind kind = mx_op_row_of(node->op)->kind;
  if (kind == MX_KIND_RANDOM || node->op == MX_OP_IOTA) return emit_gen(b, node, a);
  return emit_op(b, node, a);
}

/* SSA value of (node, access), -1 on failure or cut */
static int32_t build(builder *b, mx_node *node, const mx_access *a) {
  if (b->cut || b->nomem) return -1;
  if (node->op == MX_OP_CONST && !node->value) a = NULL;
  memo *m = memo_find(b, node, a);
  if (!m) {
    b->nomem = true;
    return -1;
  }
  if (m->ssa >= 0) return m->ssa;
  int64_t before = b->instrs.n;
  int32_t ssa = build_new(b, node, a);
  if (ssa < 0 || b->nomem) return -1;
  bool slots = b->in.n > MX_MAX_SLOTS - 8 || b->gen.n > MX_MAX_SLOTS - 8 || b->consts.n > 4 * MX_MAX_SLOTS;
  if ((b->instrs.n > MX_MAX_INSTRS || slots) && b->instrs.n - before >= (slots ? 16 : MX_MAX_INSTRS / 4)) {
    mx_finfo *fi = mx_finfo_of(b->f, node);
    if (!fi->hard && !mx_node_is_leaf(node) && node->op != MX_OP_VIEW && node->op != MX_OP_RESHAPE) {
      fi->force = true;
      b->cut = true;
      return -1;
    }
  }
  m = memo_find(b, node, a); /* the table may have moved */
  m->ssa = ssa;
  return ssa;
}

/* ---- roots ---- */

static mx_const identity_const(const mx_node *node) {
  mx_const c = {.dtype = reg_dtype(node->dtype)};
  char kind = c.dtype == MARS_BOOL ? 'b' : c.dtype <= MARS_I64 ? 'i' : c.dtype <= MARS_U64 ? 'u' : c.dtype <= MARS_F64 ? 'f' : 'c';
  double v = node->op == MX_OP_PROD || node->op == MX_OP_ALLOF ? 1 : 0;
  mx_result r = mx_op_row_of(node->op)->result;
  if (r == MX_RES_MEAN || r == MX_RES_VAR) v = __builtin_nan("");
  if (kind == 'b') c.v.b = v != 0;
  else if (kind == 'i') c.v.i = (int64_t)v;
  else if (kind == 'u') c.v.u = (uint64_t)v;
  else if (kind == 'f') c.v.f = v;
  else c.v.c[0] = v;
  return c;
}

static void build_root(builder *b, const mx_root *r) {
  mx_access id;
  access_identity(&b->space, &id);
  const mx_pvalue *v = &b->f->plan->values.at[r->value];
  mx_pout out = {.value = r->value, .reduce = r->kind == MX_ROOT_REDUCE, .first_partial = -1};
  mx_out_desc desc = {.reduce = out.reduce, .op = r->node->op, .dtype = v->dtype};
  int32_t ssa;
  if (r->copy) {
    ssa = emit_load(b, r->node, &id, r->from >= 0 ? r->from : mx_finfo_of(b->f, r->node)->value);
  } else if (r->empty) {
    mx_const c = identity_const(r->node);
    ssa = emit_const(b, &c);
  } else if (r->kind == MX_ROOT_STORE) {
    mx_finfo *fi = mx_finfo_of(b->f, r->node);
    int32_t saved = fi->value;
    if (fi->hard) fi->value = -1; /* this is where it is made */
    if (fi->hard && r->node->op == MX_OP_CONCAT) /* from the joined view, whose number fuse.c left there */
      ssa = emit_load(b, r->node, &id, -2 - b->f->plan->values.at[saved].join_axis);
    else ssa = build(b, r->node, &id);
    fi->value = saved;
  } else {
    ssa = build(b, r->node->operand[0], &id);
  }
  if (ssa < 0 || b->cut || b->nomem) return;
  mx_instr i = instr(MX_I_STORE, v->dtype);
  if (r->kind == MX_ROOT_STORE) {
    if (half(v->dtype)) ssa = emit_cast(b, ssa, MARS_F32, v->dtype);
  } else {
    i.kind = r->kind == MX_ROOT_REDUCE ? MX_I_REDUCE : MX_I_SCAN;
    i.op = (uint16_t)r->node->op;
    i.dtype = (uint8_t)b->dtypes.at[ssa];
    desc.src = i.dtype;
    desc.ddof = out.reduce ? r->node->attr.reduce.ddof : 0;
    b->cost += 2;
  }
  i.src[0] = ssa;
  i.slot = (uint16_t)b->out.n;
  emit_end(b, i);
  if (!mx_vec_push(b->mem, &b->out, out) || !mx_vec_push(b->mem, &b->outs, desc)) b->nomem = true;
}

#define MOVE(field, vec)                                                                                     \
  do {                                                                                                       \
    size_t bytes_ = (size_t)(vec).n * sizeof *(vec).at;                                                      \
    (field) = mx_pool_alloc(&plan->pool, bytes_ + 1);                                                        \
    if (!(field)) return false;                                                                              \
    if (bytes_) memcpy((field), (vec).at, bytes_);                                                           \
  } while (0)

static bool move_to_kernel(builder *b, mx_plan *plan, mx_pkernel *k) {
  mx_program *p = &k->prog;
  *p = (mx_program){.mem = plan->mem, .ndim = b->space.ndim, .cost = b->cost};
  memcpy(p->space, b->space.dims, sizeof p->space);
  p->n_instrs = (int)b->instrs.n;
  p->n_values = (int)b->dtypes.n;
  p->n_in = (int)b->in.n;
  p->n_gen = (int)b->gen.n;
  p->n_out = (int)b->out.n;
  p->n_consts = (int)b->consts.n;
  MOVE(p->instrs, b->instrs);
  MOVE(p->value_dtype, b->dtypes);
  MOVE(p->in_dtype, b->in_dtype);
  MOVE(p->gens, b->gens);
  MOVE(p->outs, b->outs);
  MOVE(p->consts, b->consts);
  MOVE(k->in, b->in);
  MOVE(k->gen, b->gen);
  MOVE(k->out, b->out);
  return true;
}

mars_status mx_fuse_build(mx_fuser *f, int group, int level, mars_error *err) {
  mx_plan *plan = f->plan;
  builder b = {.f = f, .mem = plan->mem};
  mx_pkernel k = {.level = level, .carry_first = -1};
  mars_status st = MARS_OK;
  for (int64_t i = 0; i < f->roots.n && !b.cut && !b.nomem; i++) {
    const mx_root *r = &f->roots.at[i];
    if (r->group != group) continue;
    b.space = r->space;
    if (mx_root_pin(r)) k.pin = mx_root_pin(r);
    if (r->home) k.home = r->home;
    if (r->kind == MX_ROOT_SCAN) k.scan = true, k.scan_axis = r->node->attr.axis;
    if (r->mask) k.prog.reduce_mask = r->mask;
    build_root(&b, r);
  }
  uint32_t mask = k.prog.reduce_mask;
  if (b.cut) f->again = true;
  else if (b.nomem || !move_to_kernel(&b, plan, &k)) st = MX_NOMEM(err, plan->fn);
  else {
    k.prog.reduce_mask = mask;
    for (int o = 0; o < k.prog.n_out; o++) plan->values.at[k.out[o].value].producer = (int)plan->kernels.n;
    if (!mx_vec_push(plan->mem, &plan->kernels, k)) st = MX_NOMEM(err, plan->fn);
  }
  mx_mem *mem = plan->mem;
  mx_vec_free(mem, &b.instrs), mx_vec_free(mem, &b.dtypes), mx_vec_free(mem, &b.accesses), mx_vec_free(mem, &b.in);
  mx_vec_free(mem, &b.in_dtype), mx_vec_free(mem, &b.gen), mx_vec_free(mem, &b.gens), mx_vec_free(mem, &b.consts);
  mx_vec_free(mem, &b.out), mx_vec_free(mem, &b.outs), mx_free(mem, b.table);
  return st;
}
