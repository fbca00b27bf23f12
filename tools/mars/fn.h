/*
 * Functions of calc expressions that are more than a row of the op table: one table, one body each, Python's argument
 * binding from the signature text.
 *
 * Layer: tools. Threads: one.
 */
#ifndef MT_FN_H
#define MT_FN_H

#include "eval.h"

enum { MT_MAX_PARAMS = 10 };

/* An argument as written in the call. */
typedef struct mt_argument {
  const char *name; /* NULL: positional */
  size_t pos;
  mt_value value;
} mt_argument;

/* A call with its arguments bound to the parameters of the signature. */
typedef struct mt_call {
  mt_eval *ev;
  const char *name; /* as the user wrote it, without np. */
  size_t pos;
  const struct mt_fn *fn;
  const char *signature;
  mt_value v[MT_MAX_PARAMS];
  bool given[MT_MAX_PARAMS]; /* false also where an optional one is None */
  size_t at[MT_MAX_PARAMS];  /* position; the call's where not given */
} mt_call;

/*
 * signature: "a/x, axis/axes=None, |, keepdims=False": names and their synonyms; '=' makes it optional (what follows is
 * for the reader only); behind '|' by keyword only; "*shape": the remaining positional arguments, or one tuple.
 */
typedef struct mt_fn {
  const char *name;
  const char *signature;
  bool method; /* also x.name(...) */
  bool (*body)(mt_call *c, mt_value *out);
  const char *doc;
} mt_fn;

/* The tables, each ended by a row with name NULL. */
extern const mt_fn mt_fn_create[], mt_fn_random[], mt_fn_shape[], mt_fn_math[], mt_fn_product[], mt_fn_linalg[];
/* Table `index` of them, NULL behind the last. */
const mt_fn *mt_fn_table(size_t index);

/* Call a function by name. self NULL: a plain function, else x.name(...) with self as the first argument. */
bool mt_call_function(mt_eval *ev, const char *name, size_t pos, const mt_value *self, size_t self_pos,
                      const mt_argument *args, size_t n, mt_value *out);
/* abs, round, max, min, pow, divmod, int, float, complex, bool of Python's own numbers; *done false: not one of these. */
bool mt_fold_builtin(mt_eval *ev, const char *name, size_t pos, const mt_argument *args, size_t n, mt_value *out,
                     bool *done);
/* What a name stands for besides variables: constants and dtypes. */
bool mt_find_constant(const char *name, mt_value *out);
/* Whether a function of that name exists. */
bool mt_function_exists(const char *name);
/* "; did you mean ...?" over functions, constants and the variables. */
const char *mt_suggest_name(mt_eval *ev, const char *name);

/* Bound arguments. False: an error was recorded that names function and parameter. */
bool mt_arg_int(mt_call *c, int i, int64_t fallback, int64_t *out);
bool mt_arg_small(mt_call *c, int i, int fallback, int *out); /* axes and the like */
bool mt_arg_double(mt_call *c, int i, double fallback, double *out);
bool mt_arg_bool(mt_call *c, int i, bool fallback, bool *out);
bool mt_arg_dtype(mt_call *c, int i, mars_dtype fallback, mars_dtype *out);
bool mt_arg_shape(mt_call *c, int i, mars_shape *out);              /* not given: 0-d */
bool mt_arg_axes(mt_call *c, int i, mars_axes fallback, mars_axes *out);
bool mt_axes_of(mt_call *c, int i, const mt_value *v, mars_axes *out); /* axes that are a part of argument i */
bool mt_arg_string(mt_call *c, int i, const char **out);
bool mt_arg_tensor(mt_call *c, int i, mars_tensor **out);
bool mt_arg_tensors(mt_call *c, int i, mars_tensor ***out, size_t *n); /* a tuple of them */
bool mt_arg_fail(mt_call *c, int i, const char *wanted);
/* The call's result. */
bool mt_give(mt_call *c, mars_tensor *t, mt_value *out);
bool mt_give_tuple(mt_call *c, mars_tensor *const *t, size_t n, mt_value *out);

#endif
