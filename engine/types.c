/* dtypes: names, sizes, NumPy 2 promotion. */
#include <mars/types.h>

#include <string.h>

static const struct {
  const char *name;
  int bytes;
  char kind;
} dtypes[MARS_DTYPE_COUNT] = {
#define X(id, value, name, bytes, kind) {name, bytes, kind},
    MARS_DTYPE_LIST(X)
#undef X
};

static bool is_dtype(mars_dtype dt) { return (int)dt >= 0 && (int)dt < MARS_DTYPE_COUNT; }

const char *mars_dtype_name(mars_dtype dt) { return is_dtype(dt) ? dtypes[dt].name : "?"; }

size_t mars_dtype_bytes(mars_dtype dt) { return is_dtype(dt) ? (size_t)dtypes[dt].bytes : 0; }

mars_dtype mars_dtype_from_name(const char *name) {
  /* kind and bytes as NumPy writes them, kind and bits as Mars does. "i8" and "u8" are not here: they would be int64
     to the one and int8 to the other, and a silent mistake is worse than a refusal. */
  static const struct {
    const char *name;
    mars_dtype dt;
  } shorts[] = {
      {"?", MARS_BOOL},   {"b1", MARS_BOOL},   {"i1", MARS_I8},    {"i2", MARS_I16},  {"i4", MARS_I32},
      {"u1", MARS_U8},    {"u2", MARS_U16},    {"u4", MARS_U32},   {"f2", MARS_F16},  {"f4", MARS_F32},
      {"f8", MARS_F64},   {"c8", MARS_C64},    {"c16", MARS_C128}, {"i16", MARS_I16}, {"i32", MARS_I32},
      {"i64", MARS_I64},  {"u16", MARS_U16},   {"u32", MARS_U32},  {"u64", MARS_U64}, {"f16", MARS_F16},
      {"bf16", MARS_BF16}, {"f32", MARS_F32},  {"f64", MARS_F64},  {"c64", MARS_C64}, {"c128", MARS_C128},
      {"int", MARS_I64},  {"uint", MARS_U64},  {"float", MARS_F64}, {"complex", MARS_C128},
  };

  if (name == NULL) return MARS_DTYPE_AUTO;
  for (int i = 0; i < MARS_DTYPE_COUNT; i++)
    if (strcmp(name, dtypes[i].name) == 0) return (mars_dtype)i;
  for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++)
    if (strcmp(name, shorts[i].name) == 0) return shorts[i].dt;
  return MARS_DTYPE_AUTO;
}

/* The least float that holds every value of an integer dtype as NumPy sees it: 8 bits f16, 16 bits f32, more f64. */
static mars_dtype float_for(mars_dtype dt, mars_dtype half) {
  int bytes = dtypes[dt].bytes;

  return bytes == 1 ? half : bytes == 2 ? MARS_F32 : MARS_F64;
}

static mars_dtype promote_floats(mars_dtype a, mars_dtype b) {
  if (a == b) return a;
  if (a == MARS_F64 || b == MARS_F64) return MARS_F64;
  return MARS_F32; /* f32 with anything below, or f16 with bf16: neither holds the other */
}

static mars_dtype promote_integers(mars_dtype a, mars_dtype b) {
  mars_dtype u, i;

  if (dtypes[a].kind == dtypes[b].kind) return dtypes[a].bytes >= dtypes[b].bytes ? a : b;
  u = dtypes[a].kind == 'u' ? a : b;
  i = dtypes[a].kind == 'u' ? b : a;
  if (dtypes[u].bytes < dtypes[i].bytes) return i;
  switch (dtypes[u].bytes) {
  case 1: return MARS_I16;
  case 2: return MARS_I32;
  case 4: return MARS_I64;
  default: return MARS_F64;
  }
}

mars_dtype mars_dtype_promote(mars_dtype a, mars_dtype b) {
  mars_dtype fa, fb;
  char ka, kb;

  if (!is_dtype(a) || !is_dtype(b)) return MARS_DTYPE_AUTO;
  if (a == b || b == MARS_BOOL) return a;
  if (a == MARS_BOOL) return b;
  ka = dtypes[a].kind;
  kb = dtypes[b].kind;
  if (ka != 'f' && ka != 'c' && kb != 'f' && kb != 'c') return promote_integers(a, b);

  /* as floats of the right width, then back to complex if one of them is */
  if (ka == 'c') fa = a == MARS_C64 ? MARS_F32 : MARS_F64;
  else fa = ka == 'f' ? a : float_for(a, kb == 'f' && b == MARS_BF16 ? MARS_BF16 : MARS_F16);
  if (kb == 'c') fb = b == MARS_C64 ? MARS_F32 : MARS_F64;
  else fb = kb == 'f' ? b : float_for(b, ka == 'f' && a == MARS_BF16 ? MARS_BF16 : MARS_F16);
  fa = promote_floats(fa, fb);
  if (ka == 'c' || kb == 'c') return fa == MARS_F64 ? MARS_C128 : MARS_C64;
  return fa;
}
