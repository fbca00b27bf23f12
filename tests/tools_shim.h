/* What the tests of the command-line tool call: its C modules behind plain functions. */
#ifndef TOOLS_SHIM_H
#define TOOLS_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Result of one step: exit code 0 and a text, or an exit code, the message and the byte position (-1: none). */
typedef struct tools_result {
  int code;
  int pos;
  char text[8192];
} tools_result;

/* Parse; text: the statements in prefix form, separated by "; ". */
void tools_parse(const char *source, tools_result *out);
/* Evaluate over the stand-in. Set: x float64 (1000, 10), f float32 (6,), k int64 (6,), c complex128 (2,), BAD whose use
   gives error tensors. text: the value. */
void tools_eval(const char *source, tools_result *out);
/* Tensors that the last tools_eval made. */
int tools_eval_calls(void);
/* The message with its caret, as printed. */
void tools_diagnose(const char *command, const char *source, size_t pos, const char *message, tools_result *out);
/* Elements as NumPy prints them; cut: bit d set where only 3 + 3 elements of axis d are there. */
void tools_format(int dtype, int ndim, const int64_t *dims, unsigned cut, const void *data, tools_result *out);
/* Half formats. */
double tools_half_to_double(int dtype, uint16_t bits);
uint16_t tools_half_of_double(int dtype, double v);
/* -1: not a size */
int64_t tools_bytes(const char *text);
void tools_progress(int64_t done, int64_t total, double seconds, double eta, int columns, tools_result *out);
/* Options as "key=value ..." */
void tools_options(const char *command, int argc, char **argv, tools_result *out);

#ifdef __cplusplus
}
#endif
#endif
