/*
 * Values of the evaluator. Numbers stay Python's own (weak scalars, sizes) until they meet a tensor: arithmetic among
 * them is done here, with Python's rules.
 *
 * Layer: tools. Threads: one.
 */
#ifndef MT_VALUE_H
#define MT_VALUE_H

#include "engine/expr/lex.h"
#include "text.h"
#include <mars/mars.h>

typedef enum mt_kind {
  MT_NONE,
  MT_BOOL,    /* i */
  MT_INT,     /* i */
  MT_FLOAT,   /* f */
  MT_COMPLEX, /* c */
  MT_STRING,  /* text */
  MT_DTYPE,   /* dtype */
  MT_DOTS,    /* ... */
  MT_TUPLE,   /* item, n; `list`: written with [] */
  MT_TENSOR   /* tensor, never an error tensor */
} mt_kind;

typedef struct mt_value {
  mt_kind kind;
  bool list;
  int64_t i;
  double f, c[2];
  const char *text;
  mars_dtype dtype;
  struct mt_value *item;
  size_t n;
  mars_tensor *tensor;
} mt_value;

static inline mt_value mt_of_int(int64_t i) { return (mt_value){.kind = MT_INT, .i = i}; }
static inline mt_value mt_of_bool(bool b) { return (mt_value){.kind = MT_BOOL, .i = b}; }
static inline mt_value mt_of_float(double f) { return (mt_value){.kind = MT_FLOAT, .f = f}; }
static inline mt_value mt_of_complex(double re, double im) { return (mt_value){.kind = MT_COMPLEX, .c = {re, im}}; }
static inline mt_value mt_of_dtype(mars_dtype dt) { return (mt_value){.kind = MT_DTYPE, .dtype = dt}; }
static inline mt_value mt_of_tensor(mars_tensor *t) { return (mt_value){.kind = MT_TENSOR, .tensor = t}; }

/* bool, int, float or complex: Python's own numbers */
static inline bool mt_is_number(const mt_value *v) { return v->kind >= MT_BOOL && v->kind <= MT_COMPLEX; }
static inline bool mt_is_real(const mt_value *v) { return v->kind >= MT_BOOL && v->kind <= MT_FLOAT; }
/* "int", "tensor", ... */
const char *mt_kind_name(const mt_value *v);
double mt_to_double(const mt_value *v); /* of a real number */

/* Arithmetic on two numbers, or one. NULL: done; else what is wrong (static text). */
const char *mt_fold_binary(mx_sign op, const mt_value *a, const mt_value *b, mt_value *out);
const char *mt_fold_unary(mx_sign op, const mt_value *a, mt_value *out);
/* Python's round(a, decimals) for reals. */
const char *mt_fold_round(const mt_value *a, int64_t decimals, mt_value *out);

#endif
