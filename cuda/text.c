/* Writing texts, names of types, layout of the parameter words. Contract: cuda/text.h. */
#include "cuda/text.h"

#include "cuda/device_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- writing ---- */

static bool room(mx_text *t, size_t more) {
  size_t cap = t->cap > 0 ? t->cap : 4096;
  char *p;

  if (t->failed) return false;
  if (t->len + more + 1 <= t->cap) return true;
  while (cap < t->len + more + 1) cap *= 2;
  p = mx_grow(t->mem, t->buf, t->len, cap);
  if (p == NULL) {
    t->failed = true;
    return false;
  }
  t->buf = p;
  t->cap = cap;
  return true;
}

void mx_text_append(mx_text *t, const char *text) {
  size_t n = strlen(text);

  if (!room(t, n)) return;
  memcpy(t->buf + t->len, text, n + 1);
  t->len += n;
}

void mx_text_put(mx_text *t, const char *fmt, ...) {
  char line[2048];
  va_list ap;
  int n;

  va_start(ap, fmt);
  n = vsnprintf(line, sizeof line, fmt, ap);
  va_end(ap);
  if (n < 0 || (size_t)n >= sizeof line)
    t->failed = true; /* a line that long is our own mistake */
  else
    mx_text_append(t, line);
}

void mx_text_reset(mx_text *t) {
  mx_free(t->mem, t->buf);
  *t = (mx_text){.mem = t->mem};
}

const char *mx_text_type(mars_dtype dt) {
  static const char *const names[MARS_DTYPE_COUNT] = {
      [MARS_BOOL] = "b8", [MARS_I8] = "i8",   [MARS_I16] = "i16",   [MARS_I32] = "i32", [MARS_I64] = "i64",
      [MARS_U8] = "u8",   [MARS_U16] = "u16", [MARS_U32] = "u32",   [MARS_U64] = "u64", [MARS_F16] = "f16",
      [MARS_BF16] = "bf16", [MARS_F32] = "f32", [MARS_F64] = "f64", [MARS_C64] = "c64", [MARS_C128] = "c128"};

  return (int)dt >= 0 && dt < MARS_DTYPE_COUNT ? names[dt] : "?";
}

/* ---- programs ---- */

mx_text_kind mx_text_kind_of(const mx_program *prog) {
  for (int i = 0; i < prog->n_instrs; i++) {
    if (prog->instrs[i].kind == MX_I_SCAN) return MX_TEXT_LINES;
    if (prog->instrs[i].kind == MX_I_REDUCE) return MX_TEXT_REDUCE;
  }
  return MX_TEXT_POINTS;
}

static bool is_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }

/* Accumulators that remember places, or whose first element counts. */
static bool wants_at(const mx_out_desc *out) {
  switch (mx_op_row_of(out->op)->acc) {
  case MX_ACC_ARGMIN:
  case MX_ACC_ARGMAX:
  case MX_ACC_NANARGMIN:
  case MX_ACC_NANARGMAX: return true;
  case MX_ACC_MIN:
  case MX_ACC_MAX:
  case MX_ACC_FMIN:
  case MX_ACC_FMAX: return is_complex(out->src);
  default: return false;
  }
}

void mx_text_layout_of(const mx_program *prog, const mx_text_variant *v, mx_text_layout *out) {
  int at = MX_W_EXTENT, nd = v->dims[0] + v->dims[1] + v->dims[2];

  memset(out, 0, sizeof *out);
  out->nd = nd;
  at += nd;
  out->in = at;
  at += prog->n_in * (1 + nd);
  out->gen = at;
  at += prog->n_gen * (1 + nd);
  for (int i = 0; i < prog->n_out; i++) {
    out->out[i] = (int16_t)(at < INT16_MAX ? at : INT16_MAX);
    at += prog->outs[i].reduce ? 4 : 1 + nd;
    if (prog->outs[i].reduce && wants_at(&prog->outs[i])) out->has_at = true;
  }
  out->at = at;
  if (out->has_at) at += 1 + nd;
  out->konst = at;
  at += 2 * prog->n_consts;
  out->random = at;
  at += MX_RANDOM_WORDS * prog->n_gen;
  out->words = at;
}

bool mx_text_wants_complex(const mx_program *prog) {
  for (int v = 0; v < prog->n_values; v++)
    if (is_complex(prog->value_dtype[v])) return true;
  return false;
}

/* Where arithmetic and not memory is what is waited for, more elements at once only take registers. */
int mx_text_vec(const mx_program *prog, int widest) {
  int vec = 16 / widest, most = prog->cost > 10 ? 1 : prog->n_instrs > 24 ? 2 : 8;

  return vec < most ? vec : most;
}

/* ---- fixed texts ---- */

void mx_text_prelude(mx_text *t, bool complex_functions) {
  mx_text_append(t, mx_device_base);
  mx_text_append(t, mx_device_int);
  mx_text_append(t, mx_device_float);
  mx_text_append(t, mx_device_cast);
  if (!complex_functions) return;
  mx_text_append(t, mx_device_complex);
  mx_text_append(t, mx_device_complex_math);
  mx_text_append(t, mx_device_complex_power);
}

void mx_text_copy(mx_text *t, int dims, bool by_tiles) {
  mx_text_append(t, mx_device_base);
  mx_text_put(t, "#define DIMS %d\n", dims);
  mx_text_append(t, by_tiles ? mx_device_turn : mx_device_copy);
}
