/*
 * Parsing for the command: the parser of engine/expr with the command's arena and error record.
 *
 * Layer: tools; no libmars. Threads: one.
 */
#ifndef MT_PARSE_H
#define MT_PARSE_H

#include "engine/expr/parse.h"
#include "text.h"

/* Parse source, which must outlive the script, as must the arena. False: an error is in diag (exit code 2). */
bool mt_parse(const char *source, mt_arena *arena, mt_diag *diag, mx_script *out);

/* The tree as text in prefix form, "(* (+ x 1) 2)", for tests. */
void mt_ast_write(const mx_ast *ast, mt_str *out);

#endif
