/* Kernel programs: accumulator layout and text. Contract: engine/program.h. */
#include "engine/program.h"

#include "engine/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- accumulators ---- */

static mars_dtype sum_dtype(mars_dtype src) {
  switch (src) {
  case MARS_BOOL: case MARS_I8: case MARS_I16: case MARS_I32: case MARS_I64: return MARS_I64;
  case MARS_U8: case MARS_U16: case MARS_U32: case MARS_U64: return MARS_U64;
  case MARS_C64: case MARS_C128: return MARS_C128;
  default: return MARS_F64;
  }
}

/* Registers of halves are f32. */
static mars_dtype register_dtype(mars_dtype dt) { return dt == MARS_F16 || dt == MARS_BF16 ? MARS_F32 : dt; }

static void add_part(mx_acc_layout *out, mars_dtype dt, int64_t kept) {
  out->dtype[out->n_parts] = dt;
  out->offset[out->n_parts] = out->bytes;
  out->bytes += ((size_t)kept * mars_dtype_bytes(dt) + 63) & ~(size_t)63;
  out->n_parts++;
}

void mx_acc_layout_of(mx_acc acc, mars_dtype src, int64_t kept, mx_acc_layout *out) {
  memset(out, 0, sizeof *out);
  switch (acc) {
  case MX_ACC_NONE: break;
  case MX_ACC_SUM:
  case MX_ACC_PROD: add_part(out, sum_dtype(src), kept); break;
  case MX_ACC_MIN:
  case MX_ACC_MAX:
  case MX_ACC_FMIN:
  case MX_ACC_FMAX: add_part(out, register_dtype(src), kept); break;
  case MX_ACC_ANY:
  case MX_ACC_ALL: add_part(out, MARS_BOOL, kept); break;
  case MX_ACC_COUNT: add_part(out, MARS_I64, kept); break;
  case MX_ACC_ARGMIN:
  case MX_ACC_ARGMAX:
  case MX_ACC_NANARGMIN:
  case MX_ACC_NANARGMAX:
    add_part(out, register_dtype(src), kept);
    add_part(out, MARS_I64, kept);
    break;
  case MX_ACC_NANSUM:
    add_part(out, sum_dtype(src), kept);
    add_part(out, MARS_I64, kept);
    break;
  case MX_ACC_MOMENTS:
  case MX_ACC_NANMOMENTS:
    add_part(out, src == MARS_C64 || src == MARS_C128 ? MARS_C128 : MARS_F64, kept);
    add_part(out, MARS_F64, kept);
    add_part(out, MARS_I64, kept);
    break;
  }
}

static bool join_op(mx_acc acc, mx_join_op *out) {
  switch (acc) {
  case MX_ACC_SUM:
  case MX_ACC_COUNT: *out = MX_JOIN_SUM; return true;
  case MX_ACC_PROD: *out = MX_JOIN_PROD; return true;
  case MX_ACC_MIN:
  case MX_ACC_FMIN:
  case MX_ACC_ALL: *out = MX_JOIN_MIN; return true;
  case MX_ACC_MAX:
  case MX_ACC_FMAX:
  case MX_ACC_ANY: *out = MX_JOIN_MAX; return true;
  default: return false;
  }
}

bool mx_acc_join_of(mx_acc acc, mars_dtype src, mx_join *out) {
  mx_acc_layout l;
  if (!join_op(acc, &out->op)) return false;
  mx_acc_layout_of(acc, src, 1, &l);
  out->dtype = l.dtype[0] == MARS_BOOL ? MARS_U8 : l.dtype[0];
  switch (out->dtype) {
  case MARS_I8: case MARS_U8: case MARS_I32: case MARS_U32: case MARS_I64: case MARS_U64: return true;
  default: return false;
  }
}

/* ---- text ---- */

typedef struct writer {
  char *buf;
  size_t bytes;
  int len; /* what it would be with room enough */
} writer;

static void put(writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(writer *w, const char *fmt, ...) {
  size_t at = (size_t)w->len < w->bytes ? (size_t)w->len : w->bytes;
  va_list ap;

  va_start(ap, fmt);
  w->len += vsnprintf(w->bytes > at ? w->buf + at : NULL, w->bytes - at, fmt, ap);
  va_end(ap);
}

static void put_const(writer *w, const mx_const *c) {
  switch (c->dtype) {
  case MARS_BOOL: put(w, "%s", c->v.b ? "true" : "false"); break;
  case MARS_I8: case MARS_I16: case MARS_I32: case MARS_I64: put(w, "%lld", (long long)c->v.i); break;
  case MARS_U8: case MARS_U16: case MARS_U32: case MARS_U64: put(w, "%llu", (unsigned long long)c->v.u); break;
  case MARS_C64:
  case MARS_C128: put(w, "%.17g%+.17gj", c->v.c[0], c->v.c[1]); break;
  default: put(w, "%.17g", c->v.f); break;
  }
}

static void put_mask(writer *w, uint32_t mask) {
  const char *sep = "";

  put(w, "{");
  for (int d = 0; d < MARS_MAX_DIMS; d++)
    if (mask >> d & 1) {
      put(w, "%s%d", sep, d);
      sep = ", ";
    }
  put(w, "}");
}

static void put_generator(writer *w, const mx_program *prog, const mx_instr *in) {
  const mx_random *r = &prog->gens[in->slot];

  put(w, "%s gen%d seed %llu stream %llu", mx_op_row_of(r->op)->info.name, in->slot, (unsigned long long)r->seed,
      (unsigned long long)r->stream);
  if (r->op == MX_OP_UNIFORM) put(w, " [%g, %g)", r->p0, r->p1);
  if (r->op == MX_OP_BERNOULLI) put(w, " p %g", r->p0);
  if (r->op == MX_OP_INTEGERS) put(w, " from %lld, %llu values", (long long)r->low, (unsigned long long)r->range);
}

static void put_operands(writer *w, const mx_instr *in) {
  for (int k = 0; k < 3 && in->src[k] >= 0; k++) put(w, "%s%%%d", k == 0 ? " " : ", ", in->src[k]);
}

static void put_instr(writer *w, const mx_program *prog, const mx_instr *in) {
  const char *dt = mars_dtype_name((mars_dtype)in->dtype);

  put(w, "  ");
  if (in->dst >= 0) put(w, "%%%d = ", in->dst);
  switch ((mx_instr_kind)in->kind) {
  case MX_I_LOAD: put(w, "load %s in%d", dt, in->slot); break;
  case MX_I_CONST:
    put(w, "const %s ", dt);
    put_const(w, &prog->consts[in->slot]);
    break;
  case MX_I_IOTA: put(w, "iota int64 gen%d", in->slot); break;
  case MX_I_RANDOM: put_generator(w, prog, in); break;
  case MX_I_CAST: put(w, "cast %s -> %s %%%d", mars_dtype_name((mars_dtype)in->from), dt, in->src[0]); break;
  case MX_I_ROUND: put(w, "round %s %%%d", dt, in->src[0]); break;
  case MX_I_OP:
    put(w, "%s %s", mx_op_row_of((mx_op)in->op)->info.name, dt);
    put_operands(w, in);
    break;
  case MX_I_STORE: put(w, "store %s out%d %%%d", dt, in->slot, in->src[0]); break;
  case MX_I_REDUCE:
  case MX_I_SCAN:
    put(w, "%s %s over ", mx_op_row_of((mx_op)in->op)->info.name, dt);
    put_mask(w, prog->reduce_mask);
    put(w, " out%d %%%d", in->slot, in->src[0]);
    break;
  }
  put(w, "\n");
}

int mx_program_text(const mx_program *prog, char *buf, size_t bytes) {
  writer w = {buf, bytes, 0};
  mars_shape space = {prog->ndim, {0}};
  char text[MX_SHAPE_TEXT];

  for (int d = 0; d < prog->ndim; d++) space.dims[d] = prog->space[d];
  put(&w, "space %s", mx_shape_text(&space, text, sizeof text));
  if (prog->reduce_mask != 0) {
    put(&w, " over ");
    put_mask(&w, prog->reduce_mask);
  }
  put(&w, " cost %g\n", prog->cost);
  for (int i = 0; i < prog->n_instrs; i++) put_instr(&w, prog, &prog->instrs[i]);
  return w.len;
}
