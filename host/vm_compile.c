/* Programs to kernels. Contract: host/vm.h. */
#include "host/vm.h"

#include "engine/status.h"

#include <string.h>

enum {
  L1_BYTES = 36 << 10,     /* that the registers of a block may fill: L1 has 32 to 48 KiB, and not all are hot at once */
  REGS_MAX = 384 << 10,    /* per worker: outside the arena's budget */
  LOAD_REGS_MAX = 256 << 10
};

static atomic_ullong next_id;

typedef struct compiler {
  mx_kernel *k;
  const mx_program *prog;
  const mx_vm_isa *isa;
  const mx_loops *loops; /* isa's */
  mars_dtype *dtype; /* [cap] of each value */
  int *last;         /* [cap] last step that reads it, -1: none */
  int *constant;     /* [cap] constant's number, -1 */
  int *home;         /* [cap] register number, -1: none */
  bool *shared;      /* [cap] the register may be given to others */
  uint8_t *stored;   /* [cap] has a direct store */
  bool *spread;      /* [cap] a constant that is read as an array */
  struct reg { int es; bool free; } *regs;
  int n_regs, cap;
  int64_t per_point; /* bytes of all registers and constants */
} compiler;

/* ---- steps ---- */

static int new_value(compiler *c, mars_dtype dt) {
  c->dtype[c->k->n_values] = dt;
  return c->k->n_values++;
}

static void add_step(compiler *c, mx_step_kind kind, int slot, int dst, const int *src, mx_loop *fn, int es) {
  c->k->steps[c->k->n_steps++] = (mx_step){.kind = (uint8_t)kind, .es = (uint8_t)es, .slot = (uint16_t)slot, .dst = dst,
                                           .a = src[0], .b = src[1], .c = src[2], .d = -1, .fn = fn, .op = MX_OP_COUNT};
}

static mars_status no_loop(mars_error *err, const char *what, mars_dtype dt) {
  return mx_fail(err, MARS_E_DTYPE, "mars_run: the host has no loop for %s over %s", what, mars_dtype_name(dt));
}

/* Convert value v to dtype `to`, if it has another. */
static mars_status add_cast(compiler *c, int *v, mars_dtype to, mars_error *err) {
  mars_dtype from = c->dtype[*v];
  int src[3] = {*v, -1, -1};

  if (from == to) return MARS_OK;
  if (c->loops->cast[from][to] == NULL) return no_loop(err, "a cast", from);
  *v = new_value(c, to);
  add_step(c, MX_S_CALL, 0, *v, src, c->loops->cast[from][to], (int)mars_dtype_bytes(to));
  return MARS_OK;
}

static mars_status add_reduce(compiler *c, const mx_instr *in, mars_error *err) {
  mx_out *out = &c->k->outs[in->slot];
  mx_acc_layout layout;

  out->kind = MX_I_REDUCE;
  out->src = c->dtype[in->src[0]];
  out->reducer = mx_reduce_kernel(c->isa->reduce, out->desc.op, out->src);
  if (out->reducer->cols == NULL) return no_loop(err, mx_op_row_of(out->desc.op)->info.name, out->src);
  out->natural = mx_reduce_natural(out->desc.op, out->src);
  if (out->natural != out->desc.dtype) {
    out->cast = c->loops->cast[out->natural][out->desc.dtype];
    if (out->cast == NULL) return no_loop(err, "a cast", out->natural);
  }
  mx_acc_layout_of(mx_op_row_of(out->desc.op)->acc, out->src, 1, &layout);
  for (int p = 0; p < layout.n_parts; p++) out->lane_bytes += (int)mars_dtype_bytes(layout.dtype[p]);
  c->k->lane_bytes += out->lane_bytes;
  c->k->reduce_slots[c->k->n_reduce++] = in->slot;
  add_step(c, MX_S_REDUCE, in->slot, -1, in->src, NULL, (int)mars_dtype_bytes(out->src));
  return MARS_OK;
}

static mars_status add_store(compiler *c, const mx_instr *in, int v, mars_error *err) {
  mx_out *out = &c->k->outs[in->slot];
  int src[3] = {v, -1, -1};
  mars_status st = add_cast(c, &src[0], out->desc.dtype, err);

  if (st != MARS_OK) return st;
  add_step(c, MX_S_STORE, in->slot, -1, src, NULL, (int)mars_dtype_bytes(out->desc.dtype));
  return MARS_OK;
}

static mars_status add_scan(compiler *c, const mx_instr *in, mars_error *err) {
  mx_out *out = &c->k->outs[in->slot];
  int tmp;

  if (c->k->scan)
    return mx_fail(err, MARS_E_UNSUPPORTED, "mars_run: a kernel program with two scans; the host runs one at a time");
  c->k->scan = true;
  out->src = c->dtype[in->src[0]];
  out->scan = mx_scan_kernel((mx_op)in->op, out->src);
  if (out->scan == NULL) return no_loop(err, mx_op_row_of((mx_op)in->op)->info.name, out->src);
  tmp = new_value(c, out->src);
  add_step(c, MX_S_SCAN, in->slot, tmp, in->src, NULL, (int)mars_dtype_bytes(out->src));
  out->kind = MX_I_SCAN;
  return add_store(c, in, tmp, err);
}

static mars_status add_instr(compiler *c, const mx_instr *in, mars_error *err) {
  mars_dtype dt = (mars_dtype)in->dtype;
  int es = in->dst >= 0 ? (int)mars_dtype_bytes(c->dtype[in->dst]) : 0;
  mx_loop *fn;

  switch ((mx_instr_kind)in->kind) {
  case MX_I_LOAD: add_step(c, MX_S_LOAD, in->slot, in->dst, in->src, NULL, es); return MARS_OK;
  case MX_I_CONST: c->constant[in->dst] = in->slot; return MARS_OK;
  case MX_I_IOTA: add_step(c, MX_S_IOTA, in->slot, in->dst, in->src, NULL, es); return MARS_OK;
  case MX_I_RANDOM: add_step(c, MX_S_RANDOM, in->slot, in->dst, in->src, NULL, es); return MARS_OK;
  case MX_I_CAST:
    fn = c->loops->cast[in->from][dt];
    if (in->from != dt && fn == NULL) return no_loop(err, "a cast", dt);
    add_step(c, in->from == dt ? MX_S_COPY : MX_S_CALL, 0, in->dst, in->src, fn, es);
    return MARS_OK;
  case MX_I_ROUND:
    fn = dt == MARS_F16 ? c->loops->round_f16 : c->loops->round_bf16;
    add_step(c, MX_S_CALL, 0, in->dst, in->src, fn, es);
    return MARS_OK;
  case MX_I_OP:
    fn = c->loops->op[in->op][dt];
    if (fn == NULL) return no_loop(err, mx_op_row_of((mx_op)in->op)->info.name, dt);
    add_step(c, MX_S_CALL, 0, in->dst, in->src, fn, es);
    c->k->steps[c->k->n_steps - 1].op = in->op;
    c->k->steps[c->k->n_steps - 1].dtype = in->dtype;
    return MARS_OK;
  case MX_I_STORE: return add_store(c, in, in->src[0], err);
  case MX_I_REDUCE: return add_reduce(c, in, err);
  case MX_I_SCAN: return add_scan(c, in, err);
  }
  return mx_fail(err, MARS_E_INTERNAL, "mars_run: kernel instruction of kind %d", in->kind);
}

/* ---- registers: linear scan ---- */

static void find_last_uses(compiler *c) {
  for (int v = 0; v < c->k->n_values; v++) c->last[v] = -1;
  for (int s = 0; s < c->k->n_steps; s++) {
    const mx_step *step = &c->k->steps[s];

    if (step->a >= 0) c->last[step->a] = s;
    if (step->b >= 0) c->last[step->b] = s;
    if (step->c >= 0) c->last[step->c] = s;
    if (step->d >= 0) c->last[step->d] = s;
  }
}

static int new_reg(compiler *c, int es) {
  c->regs[c->n_regs] = (struct reg){es, false};
  c->per_point += es;
  return c->n_regs++;
}

static int take_reg(compiler *c, int es) {
  for (int r = 0; r < c->n_regs; r++)
    if (c->regs[r].free && c->regs[r].es == es) {
      c->regs[r].free = false;
      return r;
    }
  return new_reg(c, es);
}

static bool dies_at(const compiler *c, int v, int s) {
  return v >= 0 && c->last[v] == s && c->home[v] >= 0 && c->shared[v];
}

static void give_reg(compiler *c, int v, int s) {
  if (dies_at(c, v, s)) c->regs[c->home[v]].free = true;
}

/* A register for the result of step s. Loops may write over an operand of the same width; a cast to another may not. */
static void place(compiler *c, int s) {
  const mx_step *step = &c->k->steps[s];
  const int src[4] = {step->a, step->b, step->c, step->d};
  bool in_place = step->kind == MX_S_CALL || step->kind == MX_S_FUSED;
  int v = step->dst, reuse = -1;

  if (v >= 0) {
    for (int i = 0; i < 4 && in_place && reuse < 0; i++)
      if (dies_at(c, src[i], s) && c->regs[c->home[src[i]]].es == step->es) reuse = src[i];
    c->shared[v] = step->kind != MX_S_LOAD || !c->k->keep_loads;
    c->home[v] = reuse >= 0 ? c->home[reuse] : c->shared[v] ? take_reg(c, step->es) : new_reg(c, step->es);
    if (reuse >= 0) c->shared[reuse] = false; /* handed on, not given back */
  }
  for (int i = 0; i < 4; i++) give_reg(c, src[i], s);
  if (v >= 0 && c->last[v] < 0) c->regs[c->home[v]].free = c->shared[v]; /* nobody reads it */
}

/* ---- constants ---- */

static void write_const(const mx_const *k, mars_dtype dt, char *dst) {
  union { uint8_t b; int8_t i8; int16_t i16; int32_t i32; uint8_t u8; uint16_t u16; uint32_t u32; float f, c[2]; } n;

  switch (dt) {
  case MARS_BOOL: n.b = k->v.b != 0; break;
  case MARS_I8: n.i8 = (int8_t)k->v.i; break;
  case MARS_I16: n.i16 = (int16_t)k->v.i; break;
  case MARS_I32: n.i32 = (int32_t)k->v.i; break;
  case MARS_U8: n.u8 = (uint8_t)k->v.u; break;
  case MARS_U16: n.u16 = (uint16_t)k->v.u; break;
  case MARS_U32: n.u32 = (uint32_t)k->v.u; break;
  case MARS_F32: n.f = (float)k->v.f; break;
  case MARS_C64: n.c[0] = (float)k->v.c[0], n.c[1] = (float)k->v.c[1]; break;
  default: memcpy(dst, &k->v, mars_dtype_bytes(dt)); return; /* i64, u64, f64, c128 */
  }
  memcpy(dst, &n, mars_dtype_bytes(dt));
}

/* Constants that are read as arrays. Streaming loops take the first element alone, the steps they stand for do not. */
static void find_spread(compiler *c) {
  for (int s = 0; s < c->k->n_steps; s++) {
    const mx_step *step = &c->k->steps[s];
    const int src[4] = {step->a, step->scalar_b ? -1 : step->b, step->scalar_c ? -1 : step->c, step->d};

    for (int i = 0; i < 4; i++)
      if (src[i] >= 0 && c->constant[src[i]] >= 0) c->spread[src[i]] = true;
  }
}

static size_t splat_bytes(const compiler *c, int v) {
  return ((c->spread[v] ? (size_t)c->k->block * mars_dtype_bytes(c->dtype[v]) : 16) + 63) & ~(size_t)63;
}

static mars_status spread_constants(compiler *c, mars_error *err) {
  mx_kernel *k = c->k;
  size_t bytes = 64, at = 0;

  for (int v = 0; v < k->n_values; v++)
    if (c->constant[v] >= 0) bytes += splat_bytes(c, v);
  k->splats = mx_alloc(k->mem, bytes);
  if (k->splats == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_run: no memory for a kernel's constants");
  at = (size_t)(-(uintptr_t)k->splats & 63);
  for (int v = 0; v < k->n_values; v++) {
    int es = (int)mars_dtype_bytes(c->dtype[v]);
    char one[16];

    if (c->constant[v] < 0) continue;
    write_const(&c->prog->consts[c->constant[v]], c->dtype[v], one);
    k->fixed[v] = k->splats + at;
    mx_splat(k->splats + at, one, es, c->spread[v] ? k->block : 1);
    at += splat_bytes(c, v);
  }
  return MARS_OK;
}

/* ---- the whole ---- */

/* The largest power of two of points whose registers stay in L1. A whole short row must fit where there are REDUCEs. */
static int64_t choose_block(const compiler *c) {
  int64_t b = MX_BLOCK_MAX, least = c->k->n_reduce > 0 ? MX_LEAF_POINTS : 16;

  while (b > 256 && b * c->per_point > L1_BYTES) b /= 2;
  while (b > least && b * c->per_point > REGS_MAX) b /= 2;
  return b < least ? least : b;
}

static void lay_out(compiler *c) {
  mx_kernel *k = c->k;

  k->block = choose_block(c);
  for (int v = 0; v < k->n_values; v++) k->reg[v] = 0;
  for (int r = 0; r < c->n_regs; r++) {
    for (int v = 0; v < k->n_values; v++)
      if (c->home[v] == r) k->reg[v] = k->reg_bytes;
    k->reg_bytes += ((size_t)k->block * (size_t)c->regs[r].es + 63) & ~(size_t)63;
    /* not a multiple of 4 KiB apart: loads and stores at equal page offsets wait for one another */
    k->reg_bytes += 192;
  }
}

/* A stored value is computed in its destination, unless it is a load or a constant. */
static void find_direct(compiler *c) {
  mx_kernel *k = c->k;

  for (int s = 0; s < k->n_steps; s++) {
    const mx_step *step = &k->steps[s];

    if (step->kind == MX_S_LOAD) c->stored[step->dst] = 1;
    if (step->kind != MX_S_STORE || c->constant[step->a] >= 0 || c->stored[step->a]) continue;
    c->stored[step->a] = 1;
    k->direct[k->n_direct++] = (struct mx_direct){step->a, step->slot};
  }
}

/* Whether reductions may read what they reduce where it stands, past the step loop. */
static bool is_plain(const mx_kernel *k) {
  if (k->n_in != 1 || k->n_steps < 2 || k->steps[0].kind != MX_S_LOAD) return false;
  for (int s = 1; s < k->n_steps; s++)
    if (k->steps[s].kind != MX_S_REDUCE || k->steps[s].a != k->steps[0].dst) return false;
  return true;
}

static bool takes_rows4(const mx_kernel *k) {
  for (int i = 0; i < k->n_reduce; i++)
    if (k->outs[k->reduce_slots[i]].reducer->cols4 == NULL) return false;
  return k->plain;
}

static mars_status allocate(compiler *c, mx_mem *mem, mars_error *err) {
  const mx_program *p = c->prog;
  mx_kernel *k = c->k = mx_alloc(mem, sizeof *k);
  size_t cap = (size_t)p->n_values + 2 * (size_t)p->n_out + 1;

  if (k == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_run: no memory for a kernel");
  k->mem = mem;
  k->id = atomic_fetch_add(&next_id, 1) + 1;
  c->cap = (int)cap;
  k->steps = mx_calloc(mem, (size_t)p->n_instrs + 2 * (size_t)p->n_out + 1, sizeof *k->steps);
  k->reg = mx_calloc(mem, cap, sizeof *k->reg);
  k->value_bytes = mx_calloc(mem, cap + 1, sizeof *k->value_bytes);
  k->fixed = mx_calloc(mem, cap + 1, sizeof *k->fixed);
  k->in_bytes = mx_calloc(mem, (size_t)p->n_in, sizeof *k->in_bytes);
  k->gens = mx_calloc(mem, (size_t)p->n_gen, sizeof *k->gens);
  k->outs = mx_calloc(mem, (size_t)p->n_out, sizeof *k->outs);
  k->direct = mx_calloc(mem, (size_t)p->n_out, sizeof *k->direct);
  k->reduce_slots = mx_calloc(mem, (size_t)p->n_out, sizeof *k->reduce_slots);
  c->dtype = mx_calloc(mem, cap, sizeof *c->dtype);
  c->last = mx_calloc(mem, cap, sizeof *c->last);
  c->constant = mx_calloc(mem, cap, sizeof *c->constant);
  c->home = mx_calloc(mem, cap, sizeof *c->home);
  c->shared = mx_calloc(mem, cap, sizeof *c->shared);
  c->stored = mx_calloc(mem, cap, sizeof *c->stored);
  c->spread = mx_calloc(mem, cap, sizeof *c->spread);
  c->regs = mx_calloc(mem, cap, sizeof *c->regs);
  if (!k->steps || !k->reg || !k->value_bytes || !k->fixed || !k->in_bytes || !k->gens || !k->outs || !k->direct ||
      !k->reduce_slots || !c->dtype || !c->last || !c->constant || !c->home || !c->shared || !c->stored || !c->spread || !c->regs)
    return mx_fail(err, MARS_E_MEMORY, "mars_run: no memory for a kernel of %d instructions", p->n_instrs);
  return MARS_OK;
}

static void copy_program(compiler *c) {
  const mx_program *p = c->prog;
  mx_kernel *k = c->k;
  int64_t loads = 0;

  k->ndim = p->ndim;
  k->mask = p->reduce_mask;
  k->n_in = p->n_in;
  k->n_gen = p->n_gen;
  k->n_out = p->n_out;
  k->n_values = p->n_values;
  k->n_reduced = 1;
  k->weight = 1 + p->cost;
  for (int d = 0; d < p->ndim; d++) {
    k->space[d] = p->space[d];
    if (p->reduce_mask >> d & 1) k->n_reduced *= p->space[d];
  }
  for (int i = 0; i < p->n_in; i++) {
    k->in_bytes[i] = (int)mars_dtype_bytes(p->in_dtype[i]);
    loads += k->in_bytes[i];
  }
  k->keep_loads = loads * MX_BLOCK_MAX <= LOAD_REGS_MAX;
  for (int i = 0; i < p->n_gen; i++) k->gens[i] = p->gens[i];
  for (int i = 0; i < p->n_out; i++) k->outs[i] = (mx_out){.desc = p->outs[i], .kind = MX_I_STORE};
  for (int v = 0; v < c->cap; v++) {
    if (v < p->n_values) c->dtype[v] = p->value_dtype[v];
    c->constant[v] = c->home[v] = -1;
  }
}

static void free_compiler(compiler *c, mx_mem *mem) {
  mx_free(mem, c->dtype);
  mx_free(mem, c->last);
  mx_free(mem, c->constant);
  mx_free(mem, c->home);
  mx_free(mem, c->shared);
  mx_free(mem, c->stored);
  mx_free(mem, c->spread);
  mx_free(mem, c->regs);
}

mars_status mx_vm_compile(mx_mem *mem, const mx_vm_isa *isa, const mx_program *prog, mx_kernel **out, mars_error *err) {
  mars_status st = MARS_OK;
  compiler c = {.prog = prog, .isa = isa, .loops = isa->loops};
  mx_kernel *k;

  *out = NULL;
  MX_TRY(allocate(&c, mem, err));
  k = c.k;
  copy_program(&c);
  for (int i = 0; i < prog->n_instrs; i++) MX_TRY(add_instr(&c, &prog->instrs[i], err));
  if (k->scan && k->n_reduce > 0)
    MX_TRY(mx_fail(err, MARS_E_UNSUPPORTED, "mars_run: a kernel program that scans and reduces; the host does one"));
  mx_vm_peephole(k, isa->fused, c.constant, c.last, c.home);
  for (int v = 0; v < k->n_values; v++) c.home[v] = -1;
  find_last_uses(&c);
  find_spread(&c);
  find_direct(&c);
  for (int v = 0; v < k->n_values; v++)
    if (c.constant[v] >= 0 && c.spread[v]) c.per_point += (int64_t)mars_dtype_bytes(c.dtype[v]);
  for (int s = 0; s < k->n_steps; s++) place(&c, s);
  lay_out(&c);
  k->plain = is_plain(k);
  k->rows4 = takes_rows4(k);
  for (int v = 0; v < k->n_values; v++) k->value_bytes[v] = (uint8_t)mars_dtype_bytes(c.dtype[v]);
  MX_TRY(spread_constants(&c, err));
  for (int s = 0; s < k->n_steps; s++) { /* "none" is the entry behind the last value */
    mx_step *step = &k->steps[s];

    if (step->dst < 0) step->dst = k->n_values;
    if (step->a < 0) step->a = k->n_values;
    if (step->b < 0) step->b = k->n_values;
    if (step->c < 0) step->c = k->n_values;
    if (step->d < 0) step->d = k->n_values;
    step->tail = (step->kind == MX_S_CALL || step->kind == MX_S_FUSED) && s + 1 < k->n_steps &&
                 k->steps[s + 1].kind == MX_S_STORE && k->steps[s + 1].a == step->dst && c.last[step->dst] == s + 1;
  }
  *out = k;
  c.k = NULL;

done:
  free_compiler(&c, mem);
  mx_vm_kernel_destroy(c.k);
  return st;
}

void mx_vm_kernel_destroy(mx_kernel *k) {
  if (k == NULL) return;
  mx_free(k->mem, k->steps);
  mx_free(k->mem, k->reg);
  mx_free(k->mem, k->value_bytes);
  mx_free(k->mem, k->fixed);
  mx_free(k->mem, k->splats);
  mx_free(k->mem, k->in_bytes);
  mx_free(k->mem, k->gens);
  mx_free(k->mem, k->outs);
  mx_free(k->mem, k->direct);
  mx_free(k->mem, k->reduce_slots);
  mx_free(k->mem, k);
}
