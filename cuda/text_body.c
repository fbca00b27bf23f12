/* Instructions to statements. Contract: cuda/text.h. */
#include "cuda/text.h"

#include <stdio.h>
#include <string.h>

static bool is_half(mars_dtype dt) { return dt == MARS_F16 || dt == MARS_BF16; }

/* ---- what there is device code for: every row and dtype, in programs of one form ---- */

bool mx_text_can(const mx_program *prog, const char **why) {
  const char *reason = NULL;
  int scans = 0, reductions = 0;
  mx_text_variant v = {.kind = MX_TEXT_REDUCE, .dims = {(uint8_t)prog->ndim, 0, 0}};
  mx_text_layout layout;

  for (int i = 0; i < prog->n_instrs; i++) {
    scans += prog->instrs[i].kind == MX_I_SCAN;
    reductions += prog->instrs[i].kind == MX_I_REDUCE;
  }
  if (scans > 1 || (scans > 0 && reductions > 0)) reason = "a program of several scans, or of scans and reductions";
  mx_text_layout_of(prog, &v, &layout);
  if (layout.words > MX_PARAM_WORDS) reason = "a program of so many operands";
  if (why != NULL) *why = reason;
  return reason == NULL;
}

/* ---- ops ---- */

static void op_name(const mx_instr *in, char *out, size_t n) {
  snprintf(out, n, "op_%s_%s", mx_op_row_of((mx_op)in->op)->id, mx_text_type((mars_dtype)in->dtype));
}

static void write_op(mx_text *t, const mx_instr *in) {
  const mx_op_row *row = mx_op_row_of((mx_op)in->op);
  mars_dtype dt = (mars_dtype)in->dtype;
  const char *type = mx_text_type(is_half(dt) ? MARS_F32 : dt);
  const char *result = mx_text_type(is_half(dt) ? MARS_F32 : mx_op_result_dtype((mx_op)in->op, dt));
  char name[80];

  op_name(in, name, sizeof name);
  mx_text_put(t, "MX_DEV %s %s(%s x", result, name, in->op == MX_OP_WHERE ? "b8" : type);
  if (row->info.arity > 1) mx_text_put(t, ", %s y", type);
  if (row->info.arity > 2) mx_text_put(t, ", %s z", type);
  if (is_half(dt)) /* the two ops that work on a half's own grid */
    mx_text_put(t, ") { return mx_half_%s<%s>(x%s); }\n", row->info.name, mx_text_type(dt), row->info.arity > 1 ? ", y" : "");
  else
    mx_text_put(t, ") { return (%s)(%s); }\n", result, row->expr);
}

void mx_text_ops(mx_text_frame *f) {
  const mx_program *p = f->prog;

  for (int i = 0; i < p->n_instrs; i++) {
    bool first = p->instrs[i].kind == MX_I_OP;

    for (int j = 0; j < i && first; j++)
      first = p->instrs[j].kind != MX_I_OP || p->instrs[j].op != p->instrs[i].op || p->instrs[j].dtype != p->instrs[i].dtype;
    if (first) write_op(f->t, &p->instrs[i]);
  }
}

/* ---- addresses ---- */

static bool in_broadcast(const mx_text_variant *v, int slot) { return v->broadcast[slot / 64] >> slot % 64 & 1; }

/* " + (off)c0 * (off)p.w[9] + ..." for the strides from word `first` on; dims of them */
static void put_offset(mx_text_frame *f, int first, int dims, const char *type) {
  for (int d = 0; d < dims; d++) mx_text_put(f->t, "%s(%s)c%d * (%s)p.w[%d]", d > 0 ? " + " : "", type, d, type, first + d);
  if (dims == 0) mx_text_append(f->t, "0");
}

static void put_address(mx_text_frame *f, int word) {
  mx_text_put(f->t, "(char *)p.w[%d] + (", word);
  put_offset(f, word + 1, f->layout.nd, "off");
  mx_text_append(f->t, ")");
}

static int in_word(const mx_text_frame *f, int slot) { return f->layout.in + slot * (1 + f->layout.nd); }
static int gen_word(const mx_text_frame *f, int slot) { return f->layout.gen + slot * (1 + f->layout.nd); }

static void put_index(mx_text_frame *f, int word, const char *type) {
  mx_text_put(f->t, "(%s)((i64)p.w[%d] + ", type, word);
  put_offset(f, word + 1, f->layout.nd, "i64");
  mx_text_append(f->t, ")");
}

/* ---- tiles: a block's threads are r = 0..7 and s = 0..31 ---- */

static bool is_staged(const mx_text_variant *v, int slot) { return v->staged[slot / 64] >> slot % 64 & 1; }

static const char *stored_type(mars_dtype dt) { return dt == MARS_BOOL ? "u8" : mx_text_type(dt); }

void mx_text_tiles_declare(mx_text_frame *f) {
  for (int i = 0; i < f->prog->n_in; i++)
    if (is_staged(f->v, i)) mx_text_put(f->t, "  __shared__ %s s%d[%d];\n", stored_type(f->prog->in_dtype[i]), i, MX_TILE_SIDE * MX_TILE_PITCH);
}

/* Threads s follow one another along the staged operands' own dimension, j along the innermost one. */
void mx_text_tiles_fill(mx_text_frame *f) {
  for (int i = 0; i < f->prog->n_in; i++) {
    if (!is_staged(f->v, i)) continue;
    mx_text_put(f->t, "        s%d[j * %d + s] = mx_ld<%s>(", i, MX_TILE_PITCH, stored_type(f->prog->in_dtype[i]));
    put_address(f, in_word(f, i));
    mx_text_append(f->t, ");\n");
  }
}

/* ---- vectors ---- */

/* In front of the loop over j: c of the innermost dimension is that of the group's first element. */
void mx_text_vector_loads(mx_text_frame *f) {
  for (int i = 0; i < f->prog->n_in; i++) {
    const char *type = mx_text_type(f->prog->in_dtype[i]);
    const char *stored = f->prog->in_dtype[i] == MARS_BOOL ? "u8" : type;
    int n = f->v->vec, per = 16 / (int)mars_dtype_bytes(f->prog->in_dtype[i]);

    if (in_broadcast(f->v, i)) {
      mx_text_put(f->t, "    const %s a%d = mx_ld<%s>(", type, i, type);
      put_address(f, in_word(f, i));
      mx_text_append(f->t, ");\n");
      continue;
    }
    if (per > n) per = n;
    if (f->prog->in_dtype[i] == MARS_C128) { /* one is 16 bytes */
      mx_text_put(f->t, "    c128 a%d[%d];\n    { const char *q = ", i, n);
      put_address(f, in_word(f, i));
      for (int k = 0; k < n; k++) mx_text_put(f->t, "; a%d[%d] = mx_ld<c128>(q + %d)", i, k, 16 * k);
      mx_text_append(f->t, "; }\n");
      continue;
    }
    for (int k = 0; k < n / per; k++) {
      mx_text_put(f->t, "    %s a%d_%d[%d]; mx_ldv<%s, %d>(a%d_%d, ", stored, i, k, per, stored, per, i, k);
      put_address(f, in_word(f, i));
      mx_text_put(f->t, " + %d);\n", 16 * k);
    }
  }
  for (int i = 0; i < f->prog->n_out; i++)
    mx_text_put(f->t, "    %s o%d[%d];\n", f->prog->outs[i].dtype == MARS_BOOL ? "u8" : mx_text_type(f->prog->outs[i].dtype), i,
                f->v->vec);
}

void mx_text_vector_stores(mx_text_frame *f) {
  for (int i = 0; i < f->prog->n_out; i++) {
    mars_dtype dt = f->prog->outs[i].dtype;
    const char *type = dt == MARS_BOOL ? "u8" : mx_text_type(dt);
    int n = f->v->vec, per = 16 / (int)mars_dtype_bytes(dt);

    if (per > n) per = n;
    mx_text_append(f->t, "    { char *q = ");
    put_address(f, f->layout.out[i]);
    mx_text_append(f->t, ";");
    for (int k = 0; k < n / per; k++) {
      if (dt == MARS_C128) {
        mx_text_put(f->t, " mx_st(q + %d, o%d[%d]);", 16 * k, i, k);
        continue;
      }
      mx_text_put(f->t, " { %s s[%d] = {", type, per);
      for (int j = 0; j < per; j++) mx_text_put(f->t, "%so%d[%d]", j > 0 ? ", " : "", i, k * per + j);
      mx_text_put(f->t, "}; mx_stv<%s, %d>(q + %d, s); }", type, per, 16 * k);
    }
    mx_text_append(f->t, " }\n");
  }
}

/* Element j of a load; the loop over j is unrolled, so that the choice of the part costs nothing. */
static void put_vector_element(mx_text_frame *f, int slot) {
  mars_dtype dt = f->prog->in_dtype[slot];
  int n = f->v->vec, per = 16 / (int)mars_dtype_bytes(dt);
  const char *not0 = dt == MARS_BOOL ? " != 0" : "";

  if (in_broadcast(f->v, slot)) {
    mx_text_put(f->t, "a%d", slot);
    return;
  }
  if (dt == MARS_C128) {
    mx_text_put(f->t, "a%d[j]", slot);
    return;
  }
  if (per > n) per = n;
  for (int k = 0; k < n / per - 1; k++) mx_text_put(f->t, "j < %d ? a%d_%d[j %% %d] : ", (k + 1) * per, slot, k, per);
  mx_text_put(f->t, "a%d_%d[j %% %d]%s", slot, n / per - 1, per, not0);
}

/* ---- instructions ---- */

static void put_const(mx_text_frame *f, const mx_instr *in) {
  mars_dtype dt = (mars_dtype)in->dtype;
  int w = f->layout.konst + 2 * in->slot;

  switch (dt) {
  case MARS_BOOL: mx_text_put(f->t, "p.w[%d] != 0", w); break;
  case MARS_F32: mx_text_put(f->t, "of_bits((u32)p.w[%d])", w); break;
  case MARS_F64: mx_text_put(f->t, "of_bits(p.w[%d])", w); break;
  case MARS_C64: mx_text_put(f->t, "make_cx(of_bits((u32)p.w[%d]), of_bits((u32)p.w[%d]))", w, w + 1); break;
  case MARS_C128: mx_text_put(f->t, "make_cx(of_bits(p.w[%d]), of_bits(p.w[%d]))", w, w + 1); break;
  default: mx_text_put(f->t, "(%s)p.w[%d]", mx_text_type(dt), w); break;
  }
}

static void put_random(mx_text_frame *f, const mx_instr *in) {
  const mx_random *r = &f->prog->gens[in->slot];
  const char *type = mx_text_type((mars_dtype)in->dtype);
  int w = f->layout.random + MX_RANDOM_WORDS * in->slot;

  switch (r->op) {
  case MX_OP_UNIFORM:
    if (r->p0 == 0 && r->p1 == 1)
      mx_text_put(f->t, "mx_unit<%s>(p.w[%d], p.w[%d], ", type, w, w + 1);
    else
      mx_text_put(f->t, "mx_uniform<%s>(p.w[%d], p.w[%d], p.w[%d], p.w[%d], p.w[%d], ", type, w, w + 1, w + 2, w + 3, w + 4);
    break;
  case MX_OP_NORMAL: mx_text_put(f->t, "mx_normal<%s>(p.w[%d], p.w[%d], ", type, w, w + 1); break;
  case MX_OP_EXPONENTIAL: mx_text_put(f->t, "mx_exponential<%s>(p.w[%d], p.w[%d], ", type, w, w + 1); break;
  case MX_OP_INTEGERS:
    mx_text_put(f->t, "mx_integers<%s>(p.w[%d], p.w[%d], p.w[%d], p.w[%d], ", type, w, w + 1, w + 2, w + 3);
    break;
  default: mx_text_put(f->t, "mx_bernoulli(p.w[%d], p.w[%d], p.w[%d], ", w, w + 1, w + 2); break;
  }
  put_index(f, gen_word(f, in->slot), "u64");
  mx_text_append(f->t, ")");
}

static void put_call(mx_text_frame *f, const mx_instr *in) {
  char name[80];

  op_name(in, name, sizeof name);
  mx_text_put(f->t, "%s(", name);
  for (int k = 0; k < 3 && in->src[k] >= 0; k++) mx_text_put(f->t, "%sv%d", k > 0 ? ", " : "", in->src[k]);
  mx_text_append(f->t, ")");
}

static void put_store(mx_text_frame *f, const mx_instr *in) {
  const char *type = mx_text_type(f->prog->outs[in->slot].dtype);

  if (f->v->vec > 1) {
    mx_text_put(f->t, "o%d[j] = mx_cast<%s>(v%d)%s;\n", in->slot, type, in->src[0],
                f->prog->outs[in->slot].dtype == MARS_BOOL ? " ? 1 : 0" : "");
    return;
  }
  mx_text_append(f->t, "mx_st(");
  put_address(f, f->layout.out[in->slot]);
  mx_text_put(f->t, ", mx_cast<%s>(v%d));\n", type, in->src[0]);
}

/* What has no result: STORE, REDUCE, SCAN. */
static void put_effect(mx_text_frame *f, const mx_instr *in) {
  const char *prod = in->op == MX_OP_CUMPROD ? "true" : "false";

  switch ((mx_instr_kind)in->kind) {
  case MX_I_STORE: put_store(f, in); break;
  case MX_I_REDUCE: mx_text_put(f->t, "l%d.take(v%d, at);\n", in->slot, in->src[0]); break;
  default:
    if (f->v->kind != MX_TEXT_LINES) { /* the block scans behind the body */
      mx_text_put(f->t, "sv = v%d;\n", in->src[0]);
      break;
    }
    mx_text_put(f->t, "run = have ? mx_running<T, %s>(run, v%d) : v%d; have = true;\n", prod, in->src[0], in->src[0]);
    break;
  }
}

void mx_text_scan_store(mx_text_frame *f, const mx_instr *in, const char *indent) {
  mx_text_put(f->t, "%smx_st(", indent);
  put_address(f, f->layout.out[in->slot]);
  mx_text_put(f->t, ", mx_cast<%s>(run));\n", mx_text_type(f->prog->outs[in->slot].dtype));
}

static void put_value(mx_text_frame *f, const mx_instr *in) {
  const char *type = mx_text_type(f->prog->value_dtype[in->dst]);

  mx_text_put(f->t, "const %s v%d = ", type, in->dst);
  switch ((mx_instr_kind)in->kind) {
  case MX_I_LOAD:
    if (f->v->vec > 1) {
      put_vector_element(f, in->slot);
    } else if (is_staged(f->v, in->slot)) {
      mx_text_put(f->t, "s%d[s * %d + j]%s", in->slot, MX_TILE_PITCH, f->prog->in_dtype[in->slot] == MARS_BOOL ? " != 0" : "");
    } else {
      mx_text_put(f->t, "mx_ld<%s>(", type);
      put_address(f, in_word(f, in->slot));
      mx_text_append(f->t, ")");
    }
    break;
  case MX_I_CONST: put_const(f, in); break;
  case MX_I_IOTA: put_index(f, gen_word(f, in->slot), "i64"); break;
  case MX_I_RANDOM: put_random(f, in); break;
  case MX_I_CAST: mx_text_put(f->t, "mx_cast<%s>(v%d)", type, in->src[0]); break;
  case MX_I_ROUND: mx_text_put(f->t, "mx_round_%s(v%d)", mx_text_type((mars_dtype)in->dtype), in->src[0]); break;
  default: put_call(f, in); break;
  }
  mx_text_append(f->t, ";\n");
}

/* Loads first: an output may stand where an operand stood. */
void mx_text_body(mx_text_frame *f, const char *indent) {
  if (f->layout.has_at) {
    mx_text_put(f->t, "%sconst i64 at = ", indent);
    put_index(f, f->layout.at, "i64");
    mx_text_append(f->t, ";\n");
  } else if (f->v->kind == MX_TEXT_REDUCE) {
    mx_text_put(f->t, "%sconst i64 at = 0;\n", indent);
  }
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < f->prog->n_instrs; i++) {
      const mx_instr *in = &f->prog->instrs[i];

      if ((in->kind == MX_I_LOAD) != (pass == 0)) continue;
      mx_text_append(f->t, indent);
      if (in->dst >= 0) put_value(f, in);
      else put_effect(f, in);
      if (in->kind == MX_I_SCAN && f->v->kind == MX_TEXT_LINES) mx_text_scan_store(f, in, indent);
    }
}

/* ---- accumulators ---- */

void mx_text_accumulator(mx_text *t, const mx_out_desc *out) {
  const char *type = mx_text_type(out->src);
  bool skips = out->src >= MARS_F16; /* only floats have NaN */
  const char *skip = skips ? "true" : "false";

  switch (mx_op_row_of(out->op)->acc) {
  case MX_ACC_SUM:
    if (out->op == MX_OP_MEAN) mx_text_put(t, "A_mean<%s>", type);
    else mx_text_put(t, "A_sum<%s, %s>", type, out->op == MX_OP_NANSUM ? skip : "false");
    break;
  case MX_ACC_PROD: mx_text_put(t, "A_prod<%s, %s>", type, out->op == MX_OP_NANPROD ? skip : "false"); break;
  case MX_ACC_MIN: mx_text_put(t, "A_extreme<%s, false, false>", type); break;
  case MX_ACC_MAX: mx_text_put(t, "A_extreme<%s, true, false>", type); break;
  case MX_ACC_FMIN: mx_text_put(t, "A_extreme<%s, false, %s>", type, skip); break;
  case MX_ACC_FMAX: mx_text_put(t, "A_extreme<%s, true, %s>", type, skip); break;
  case MX_ACC_ANY: mx_text_put(t, "A_truth<%s, false>", type); break;
  case MX_ACC_ALL: mx_text_put(t, "A_truth<%s, true>", type); break;
  case MX_ACC_COUNT: mx_text_put(t, "A_count<%s>", type); break;
  case MX_ACC_ARGMIN: mx_text_put(t, "A_arg<%s, false, false>", type); break;
  case MX_ACC_ARGMAX: mx_text_put(t, "A_arg<%s, true, false>", type); break;
  case MX_ACC_NANARGMIN: mx_text_put(t, "A_arg<%s, false, %s>", type, skip); break;
  case MX_ACC_NANARGMAX: mx_text_put(t, "A_arg<%s, true, %s>", type, skip); break;
  case MX_ACC_NANSUM: mx_text_put(t, "A_nansum<%s>", type); break;
  case MX_ACC_MOMENTS: mx_text_put(t, "A_moments<%s, false, %s>", type, out->op == MX_OP_STD ? "true" : "false"); break;
  default: mx_text_put(t, "A_moments<%s, true, %s>", type, out->op == MX_OP_NANSTD ? "true" : "false"); break;
  }
}
