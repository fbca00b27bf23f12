/*
 * Evaluator of calc programs: walks the tree and builds tensors through the public API.
 *
 * Layer: tools. Threads: one.
 * Invariant: a value that is a tensor is a valid one: error tensors are reported where they are made, with the place.
 */
#ifndef MT_EVAL_H
#define MT_EVAL_H

#include "parse.h"
#include "value.h"

typedef struct mt_variable {
  const char *name;
  mt_value value;
} mt_variable;

typedef struct mt_eval {
  mars_session *session;
  mt_arena *arena;
  mt_diag *diag;
  const char *source; /* of the program that is being evaluated */
  mt_variable *variable;
  size_t n_variables, capacity;
} mt_eval;

/* Evaluate all statements; *out is the last one's value. Names stay set for the next program. */
bool mt_eval_program(mt_eval *ev, const mx_script *program, mt_value *out);
void mt_eval_set(mt_eval *ev, const char *name, const mt_value *value);
/* NULL: there is none. */
const mt_value *mt_eval_get(const mt_eval *ev, const char *name);

/* For the function bodies: an error at a place of the current source (always false), and conversions. */
bool mt_eval_fail(mt_eval *ev, size_t pos, const char *fmt, ...) MT_PRINTF(3, 4);
/* Take a tensor that a library call gave: an error tensor becomes an error at pos. */
bool mt_eval_give(mt_eval *ev, size_t pos, mars_tensor *t, mt_value *out);
/* Numbers become weak scalars, tuples and lists of numbers arrays. what: whose operand it is, for the message. */
bool mt_eval_tensor(mt_eval *ev, size_t pos, const mt_value *v, const char *what, mars_tensor **out);
/* Apply an elementwise row. */
bool mt_eval_apply(mt_eval *ev, size_t pos, const char *op, const mt_value *const *operands, size_t n, mt_value *out);
/* A typed array of a number or of nested tuples and lists of numbers: bool, int64, float64 or complex128. */
bool mt_eval_array(mt_eval *ev, size_t pos, const mt_value *v, mt_value *out);

#endif
