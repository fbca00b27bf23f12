/*
 * gen_ops_header FILE: writes include/mars/ops.h, the prototypes of every op row, from engine/ops.def.
 *
 * Stand-alone and run at build time. FILE is left alone when its content would not change, so that nothing that
 * includes it is compiled again.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum row_kind { ROW_ELEMENTWISE, ROW_REDUCE, ROW_SCAN } row_kind;

typedef struct row {
  row_kind kind;
  int arity;
  const char *name, *domain, *result, *ulp, *doc;
} row;

static const row rows[] = {
#define UNARY(id, name, dom, res, ulp, cost, expr, doc) {ROW_ELEMENTWISE, 1, #name, #dom, #res, #ulp, doc},
#define BINARY(id, name, dom, res, ulp, cost, expr, doc) {ROW_ELEMENTWISE, 2, #name, #dom, #res, #ulp, doc},
#define TERNARY(id, name, dom, res, ulp, cost, expr, doc) {ROW_ELEMENTWISE, 3, #name, #dom, #res, #ulp, doc},
#define REDUCE(id, name, dom, res, acc, ulp, doc) {ROW_REDUCE, 1, #name, #dom, #res, #ulp, doc},
#define SCAN(id, name, dom, res, ulp, doc) {ROW_SCAN, 1, #name, #dom, #res, #ulp, doc},
#include "../engine/ops.def"
};

/* Text that grows; a failed allocation ends the program, which is a build step. */
typedef struct text {
  char *data;
  size_t len, cap;
} text;

static void add(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(text *t, const char *fmt, ...) {
  va_list ap;
  int n;

  va_start(ap, fmt);
  n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  if (t->len + (size_t)n + 1 > t->cap) {
    t->cap = 2 * (t->len + (size_t)n + 1);
    t->data = realloc(t->data, t->cap);
    if (t->data == NULL) {
      fprintf(stderr, "gen_ops_header: out of memory\n");
      exit(1);
    }
  }
  va_start(ap, fmt);
  vsnprintf(t->data + t->len, t->cap - t->len, fmt, ap);
  va_end(ap);
  t->len += (size_t)n;
}

static const char *lookup(const char *const (*table)[2], const char *key) {
  for (; (*table)[0] != NULL; table++)
    if (strcmp((*table)[0], key) == 0) return (*table)[1];
  fprintf(stderr, "gen_ops_header: no text for '%s'\n", key);
  exit(1);
}

static const char *domain_text(const char *domain) {
  static const char *const table[][2] = {
      {"ALL", "bool, integers, floats, complex."},
      {"NUM", "integers, floats, complex; not bool."},
      {"NUMB", "integers, floats, complex; bool as int8."},
      {"REAL", "integers, floats; bool as int8."},
      {"REALB", "bool, integers, floats."},
      {"BITS", "bool, integers."},
      {"INTS", "integers; bool as int8."},
      {"FLT", "floats; bool, int8, uint8 as float16, int16, uint16 as float32, wider integers as float64."},
      {"FLC", "floats, complex; bool, int8, uint8 as float16, int16, uint16 as float32, wider integers as float64."},
      {"FLD", "floats, complex; bool and integers as float64."},
      {NULL, NULL}};
  return lookup(table, domain);
}

static const char *result_text(const char *result) {
  static const char *const table[][2] = {
      {"SAME", "of the operands' common dtype"},
      {"BOOL", "bool"},
      {"REAL", "of the operand's dtype, for complex of its real dtype"},
      {"I32", "int32"},
      {"I64", "int64"},
      {"U8", "uint8"},
      {"SUM", "int64 for bool and signed integers, uint64 for unsigned ones, else of the operand's dtype"},
      {"MEAN", "float64 for bool and integers, else of the operand's dtype"},
      {"VAR", "float64 for bool and integers, the real dtype for complex, else of the operand's dtype"},
      {NULL, NULL}};
  return lookup(table, result);
}

static void add_accuracy(text *t, const row *r) {
  if (r->kind == ROW_REDUCE && strcmp(r->ulp, "0") != 0)
    add(t, " * Accuracy   floats: error <= (%s + log2 of the number of elements) u, relative to sum |x|.\n", r->ulp);
  else if (r->kind == ROW_SCAN)
    add(t, " * Accuracy   floats: at most %s ulp per addition or multiplication; integers exact modulo 2**64.\n", r->ulp);
  else if (strcmp(r->ulp, "0") == 0)
    add(t, " * Accuracy   exact, or exactly rounded; the same bits everywhere.\n");
  else
    add(t, " * Accuracy   floats: at most %s ulp.\n", r->ulp);
}

static void add_row(text *t, const row *r) {
  static const char *const operands[] = {"", "mars_tensor *x", "mars_tensor *x, mars_tensor *y",
                                         "mars_tensor *x, mars_tensor *y, mars_tensor *z"};
  static const char *const arity[] = {"", "One operand", "Two operands, broadcast", "Three operands, broadcast"};

  add(t, "/**\n * \\brief %s\n *\n", r->doc);
  if (r->kind == ROW_ELEMENTWISE) {
    add(t, " * %s; elementwise.\n", arity[r->arity]);
  } else if (r->kind == ROW_REDUCE) {
    add(t, " * \\param axes  reduced axes, MARS_ALL for all; they do not occur in the result\n");
  } else {
    add(t, " * \\param axis  negative: from the end\n");
  }
  add(t, " * \\return     %s; an error tensor if shapes, dtypes or axes do not fit\n *\n", result_text(r->result));
  add(t, " * Types      %s\n", domain_text(r->domain));
  add_accuracy(t, r);
  add(t, " */\n");
  switch (r->kind) {
  case ROW_ELEMENTWISE:
    add(t, "MARS_API mars_tensor *mars_%s(%s);\n\n", r->name, operands[r->arity]);
    break;
  case ROW_REDUCE:
    add(t, "MARS_API mars_tensor *mars_%s(mars_tensor *a, mars_axes axes);\n", r->name);
    add(t, "/** \\brief mars_%s with keepdims, ddof or dtype; options NULL: all axes. */\n", r->name);
    add(t, "MARS_API mars_tensor *mars_%s_opt(mars_tensor *a, const mars_reduce_options *options);\n\n", r->name);
    break;
  case ROW_SCAN:
    add(t, "MARS_API mars_tensor *mars_%s(mars_tensor *a, int axis);\n\n", r->name);
    break;
  }
}

static void add_alias(text *t, const char *alias, const char *name) {
  add(t, "/** \\brief Short for mars_%s. */\n", name);
  add(t, "static inline mars_tensor *mars_%s(mars_tensor *x, mars_tensor *y) { return mars_%s(x, y); }\n", alias, name);
}

static int same_content(const char *path, const text *t) {
  FILE *f = fopen(path, "rb");
  char *old;
  size_t n;

  if (f == NULL) return 0;
  old = malloc(t->len + 1);
  n = old == NULL ? 0 : fread(old, 1, t->len + 1, f);
  fclose(f);
  n = old != NULL && n == t->len && memcmp(old, t->data, n) == 0;
  free(old);
  return (int)n;
}

int main(int argc, char **argv) {
  text t = {0};
  FILE *f;

  if (argc != 2) {
    fprintf(stderr, "usage: gen_ops_header FILE\n");
    return 2;
  }
  add(&t, "/*\n * Mars: the ops. Written by tools/gen_ops_header from engine/ops.def; do not edit.\n"
          " *\n * NULL operands give NULL; error operands give the first of them. Dtypes are promoted as NumPy 2 does.\n"
          " */\n#ifndef MARS_OPS_H\n#define MARS_OPS_H\n\n#include <mars/mars.h>\n\n"
          "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) add_row(&t, &rows[i]);
  add_alias(&t, "sub", "subtract");
  add_alias(&t, "mul", "multiply");
  add_alias(&t, "div", "divide");
  add(&t, "\n#ifdef __cplusplus\n}\n#endif\n#endif\n");

  if (same_content(argv[1], &t)) {
    free(t.data);
    return 0;
  }
  f = fopen(argv[1], "wb");
  if (f == NULL || fwrite(t.data, 1, t.len, f) != t.len || fclose(f) != 0) {
    fprintf(stderr, "gen_ops_header: cannot write %s\n", argv[1]);
    return 1;
  }
  free(t.data);
  return 0;
}
