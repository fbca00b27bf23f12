/*
 * The header's dict is a Python literal. It is parsed by a parser that knows just what NumPy may write there:
 * three keys in any order, strings without escapes, True or False, a tuple of plain integers. Anything else
 * is refused, since files come from anywhere.
 */
#include "io/npy.h"

#include "engine/status.h"

#include <stdio.h>
#include <string.h>

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

mars_status mx_npy_prefix(const char *fn, const char *name, const unsigned char *head, size_t head_bytes,
                          int64_t *dict_offset, int64_t *dict_bytes, mars_error *err) {
  if (head_bytes < sizeof magic || memcmp(head, magic, sizeof magic) != 0)
    return mx_fail(err, MARS_E_FORMAT, "%s: '%s' is not an npy file: it does not begin with \\x93NUMPY", fn,
                   name);
  if (head_bytes < 10)
    return mx_fail(err, MARS_E_FORMAT, "%s: '%s' ends within the npy header (%zu bytes)", fn, name,
                   head_bytes);
  int major = head[6], minor = head[7];
  if (major < 1 || major > 3 || minor != 0)
    return mx_fail(err, MARS_E_FORMAT, "%s: '%s' has npy version %d.%d; 1.0, 2.0 and 3.0 can be read", fn,
                   name, major, minor);
  if (major == 1) {
    *dict_offset = 10;
    *dict_bytes = head[8] | head[9] << 8;
    return MARS_OK;
  }
  if (head_bytes < MX_NPY_PREFIX_BYTES)
    return mx_fail(err, MARS_E_FORMAT, "%s: '%s' ends within the npy header (%zu bytes)", fn, name,
                   head_bytes);
  *dict_offset = 12;
  *dict_bytes = (int64_t)head[8] | (int64_t)head[9] << 8 | (int64_t)head[10] << 16 | (int64_t)head[11] << 24;
  if (*dict_bytes > MX_NPY_HEADER_MAX)
    return mx_fail(err, MARS_E_FORMAT, "%s: '%s' claims an npy header of %lld bytes; at most %d are read", fn,
                   name, (long long)*dict_bytes, MX_NPY_HEADER_MAX);
  return MARS_OK;
}

/* ---- the literal ---------------------------------------------------------------------------------- */

typedef struct parser {
  const char *fn, *name, *begin, *at, *end;
  mars_error *err;
} parser;

static mars_status bad(parser *p, const char *wanted) {
  return mx_fail(p->err, MARS_E_FORMAT, "%s: npy header of '%s': %s expected at character %lld", p->fn,
                 p->name, wanted, (long long)(p->at - p->begin));
}

static char peek(parser *p) {
  while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r')) p->at++;
  return p->at < p->end ? *p->at : '\0';
}

static bool eat(parser *p, char c) {
  if (peek(p) != c || p->at == p->end) return false;
  p->at++;
  return true;
}

static mars_status parse_string(parser *p, const char *what, const char **text, size_t *length) {
  char quote = peek(p);
  if (quote != '\'' && quote != '"') return bad(p, what);
  const char *from = ++p->at;
  while (p->at < p->end && *p->at != quote && *p->at != '\\' && *p->at != '\n') p->at++;
  if (p->at == p->end || *p->at != quote) return bad(p, "the end of the string");
  *text = from;
  *length = (size_t)(p->at++ - from);
  return MARS_OK;
}

static mars_status parse_flag(parser *p, bool *out) {
  peek(p);
  size_t left = (size_t)(p->end - p->at);
  if (left >= 4 && !memcmp(p->at, "True", 4)) {
    *out = true;
    p->at += 4;
    return MARS_OK;
  }
  if (left >= 5 && !memcmp(p->at, "False", 5)) {
    *out = false;
    p->at += 5;
    return MARS_OK;
  }
  return bad(p, "True or False");
}

static mars_status parse_extent(parser *p, int64_t *out) {
  if (peek(p) == '-')
    return mx_fail(p->err, MARS_E_FORMAT, "%s: npy header of '%s': a negative extent at character %lld",
                   p->fn, p->name, (long long)(p->at - p->begin));
  if (p->at == p->end || *p->at < '0' || *p->at > '9') return bad(p, "an extent (a plain integer)");
  int64_t value = 0;
  for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
    if (!mx_mul_i64(value, 10, &value) || !mx_add_i64(value, *p->at - '0', &value))
      return mx_fail(p->err, MARS_E_OVERFLOW, "%s: npy header of '%s': an extent does not fit 64 bits", p->fn,
                     p->name);
  if (p->at < p->end && *p->at == 'L') p->at++; /* written by Python 2 */
  *out = value;
  return MARS_OK;
}

static mars_status parse_shape(parser *p, mars_shape *shape) {
  mars_status st = MARS_OK;
  shape->ndim = 0;
  if (!eat(p, '(')) return bad(p, "the shape as a tuple");
  while (!eat(p, ')')) {
    int64_t extent = 0;
    MX_TRY(parse_extent(p, &extent));
    if (shape->ndim == MARS_MAX_DIMS)
      return mx_fail(p->err, MARS_E_SHAPE, "%s: '%s' has more than %d dimensions", p->fn, p->name,
                     MARS_MAX_DIMS);
    shape->dims[shape->ndim++] = extent;
    if (eat(p, ',')) continue;
    if (shape->ndim == 1 || peek(p) != ')') return bad(p, "','");
  }

done:
  return st;
}

static mars_status refuse(parser *p, const char *descr, int length, const char *why) {
  return mx_fail(p->err, MARS_E_DTYPE, "%s: '%s' has dtype '%.*s': %s", p->fn, p->name,
                 length > 40 ? 40 : length, descr, why);
}

static mars_dtype dtype_of(char kind, int bytes) {
  static const struct {
    char kind, bytes, dtype;
  } known[] = {{'b', 1, MARS_BOOL}, {'i', 1, MARS_I8},   {'i', 2, MARS_I16}, {'i', 4, MARS_I32},
               {'i', 8, MARS_I64},  {'u', 1, MARS_U8},   {'u', 2, MARS_U16}, {'u', 4, MARS_U32},
               {'u', 8, MARS_U64},  {'f', 2, MARS_F16},  {'f', 4, MARS_F32}, {'f', 8, MARS_F64},
               {'c', 8, MARS_C64},  {'c', 16, MARS_C128}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].kind == kind && known[i].bytes == bytes) return (mars_dtype)known[i].dtype;
  return MARS_DTYPE_AUTO;
}

static mars_status parse_descr(parser *p, mars_dtype *dtype, bool *swap) {
  const char *text = NULL;
  size_t length = 0;
  char c = peek(p);
  if (c == '[' || c == '(')
    return refuse(p, p->at, 1, "structured arrays are not supported; save one field of it");
  mars_status st = parse_string(p, "the dtype as a string", &text, &length);
  if (st != MARS_OK) return st;
  const char *at = text, *end = text + length;
  char order = at < end && *at && strchr("<>|=", *at) ? *at++ : '=';
  char kind = at < end ? *at++ : '\0';
  int bytes = 0, digits = 0;
  for (; at < end && *at >= '0' && *at <= '9' && digits < 6; at++, digits++) bytes = bytes * 10 + (*at - '0');
  if (kind == '?' && !digits && at == end) kind = 'b', bytes = digits = 1;
  if (kind && strchr("OSUVaMm", kind)) {
    const char *why = kind == 'O'   ? "arrays of Python objects hold pickles and are refused"
                      : kind == 'V' ? "raw records are not supported; view them as a numeric dtype first"
                      : kind == 'M' || kind == 'm' ? "times are not supported; save x.astype('int64')"
                                                   : "strings are not supported";
    return refuse(p, text, (int)length, why);
  }
  if (!kind || !strchr("biufc", kind) || !digits || at != end || !length)
    return mx_fail(p->err, MARS_E_FORMAT, "%s: npy header of '%s': '%.*s' is no dtype", p->fn, p->name,
                   length > 40 ? 40 : (int)length, text);
  *dtype = dtype_of(kind, bytes);
  if (*dtype == MARS_DTYPE_AUTO)
    return refuse(p, text, (int)length,
                  "not supported; save it as one of bool, int8..64, uint8..64, float16..64, "
                  "complex64, complex128, e.g. x.astype('float64')");
  const uint16_t probe = 1;
  bool little = *(const unsigned char *)&probe == 1;
  *swap = mars_dtype_bytes(*dtype) > 1 && order == (little ? '>' : '<');
  return MARS_OK;
}

mars_status mx_npy_parse(const char *fn, const char *name, const char *dict, size_t dict_bytes,
                         mx_source_info *info, mars_error *err) {
  mars_status st = MARS_OK;
  parser parse = {fn, name, dict, dict, dict + dict_bytes, err}, *p = &parse;
  bool have[3] = {false, false, false}, fortran = false;
  static const char *const keys[3] = {"descr", "fortran_order", "shape"};

  if (!eat(p, '{')) return bad(p, "'{'");
  while (!eat(p, '}')) {
    const char *key = NULL;
    size_t length = 0;
    int k = 0;
    MX_TRY(parse_string(p, "a key", &key, &length));
    while (k < 3 && (strlen(keys[k]) != length || memcmp(keys[k], key, length) != 0)) k++;
    if (k == 3 || have[k])
      return mx_fail(err, MARS_E_FORMAT, "%s: npy header of '%s': key '%.*s' %s", fn, name,
                     length > 40 ? 40 : (int)length, key, k == 3 ? "is not known" : "is there twice");
    have[k] = true;
    if (!eat(p, ':')) return bad(p, "':'");
    MX_TRY(k == 0   ? parse_descr(p, &info->dtype, &info->swap)
           : k == 1 ? parse_flag(p, &fortran)
                    : parse_shape(p, &info->shape));
    if (!eat(p, ',') && peek(p) != '}') return bad(p, "',' or '}'");
  }
  peek(p);
  if (p->at != p->end) return bad(p, "nothing more");
  for (int k = 0; k < 3; k++)
    if (!have[k])
      return mx_fail(err, MARS_E_FORMAT, "%s: npy header of '%s': key '%s' is missing", fn, name, keys[k]);

  info->fortran = fortran && info->shape.ndim > 1; /* one order is both otherwise */
  if (info->fortran)
    for (int i = 0, j = info->shape.ndim - 1; i < j; i++, j--) {
      int64_t t = info->shape.dims[i];
      info->shape.dims[i] = info->shape.dims[j];
      info->shape.dims[j] = t;
    }

done:
  return st;
}

/* ---- writing -------------------------------------------------------------------------------------- */

void mx_npy_format(mars_dtype dtype, const mars_shape *shape, char out[MX_NPY_DATA_OFFSET]) {
  static const char kinds[] = {
#define X(id, value, name, bytes, kind) [value] = kind,
      MARS_DTYPE_LIST(X)
#undef X
  };
  const uint16_t probe = 1;
  size_t bytes = mars_dtype_bytes(dtype), room = MX_NPY_DATA_OFFSET;
  char order = bytes == 1 ? '|' : *(const unsigned char *)&probe == 1 ? '<' : '>';
  const size_t length = MX_NPY_DATA_OFFSET - 10;

  memset(out, ' ', room);
  memcpy(out, magic, sizeof magic);
  out[6] = 1;
  out[7] = 0;
  out[8] = (char)(length & 0xff);
  out[9] = (char)(length >> 8);
  size_t at = 10;
  at += (size_t)snprintf(out + at, room - at, "{'descr': '%c%c%zu', 'fortran_order': False, 'shape': (",
                         order, kinds[dtype], bytes);
  for (int i = 0; i < shape->ndim; i++)
    at += (size_t)snprintf(out + at, room - at, "%s%lld", i ? ", " : "", (long long)shape->dims[i]);
  at += (size_t)snprintf(out + at, room - at, "%s), }", shape->ndim == 1 ? "," : "");
  out[at] = ' '; /* over the terminator */
  out[MX_NPY_DATA_OFFSET - 1] = '\n';
}

/* ---- values --------------------------------------------------------------------------------------- */

#if defined(__x86_64__) && defined(__GNUC__)
#define WIDE __attribute__((target("avx2")))
static bool have_wide(void) {
  return __builtin_cpu_supports("avx2");
}
#else
#define WIDE
static bool have_wide(void) {
  return false;
}
#endif

/* memcpy keeps it legal for any alignment and vectorises all the same */
#define SWAP_BODY(T, swap)                                                                                   \
  for (size_t i = 0; i < n; i++) {                                                                           \
    T v;                                                                                                     \
    memcpy(&v, data + i * sizeof v, sizeof v);                                                               \
    v = swap(v);                                                                                             \
    memcpy(data + i * sizeof v, &v, sizeof v);                                                               \
  }
#define SWAP(bits)                                                                                           \
  static void swap##bits(char *data, size_t n){SWAP_BODY(                                                    \
      uint##bits##_t, __builtin_bswap##bits)} WIDE static void swap##bits##_wide(char *data, size_t n) {     \
    SWAP_BODY(uint##bits##_t, __builtin_bswap##bits)                                                         \
  }
SWAP(16)
SWAP(32)
SWAP(64)

void mx_npy_swap(void *data, size_t bytes, mars_dtype dtype) {
  size_t scalar = mars_dtype_bytes(dtype);
  if (dtype == MARS_C64 || dtype == MARS_C128) scalar /= 2;
  bool wide = have_wide();
  if (scalar == 2) (wide ? swap16_wide : swap16)(data, bytes / 2);
  if (scalar == 4) (wide ? swap32_wide : swap32)(data, bytes / 4);
  if (scalar == 8) (wide ? swap64_wide : swap64)(data, bytes / 8);
}

void mx_npy_normalise_bool(void *data, size_t bytes) {
  unsigned char *p = data;
  for (size_t i = 0; i < bytes; i++) p[i] = p[i] != 0;
}
