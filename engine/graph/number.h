/*
 * Arithmetic among the numbers of an expression, with Python's rules: int (64 bits here) and float.
 *
 * Layer: engine/graph. Threads: any; no state.
 */
#ifndef MX_NUMBER_H
#define MX_NUMBER_H

#include "engine/expr/lex.h"
#include "engine/program.h"

/* a sign b, where both are i64 or f64 and sign is + - * / // % or **. *why NULL: *out is the result; else what is wrong.
   False: this is not computed here, but left to the graph. */
bool mx_number_fold(mx_sign sign, const mx_const *a, const mx_const *b, mx_const *out, const char **why);

#endif
