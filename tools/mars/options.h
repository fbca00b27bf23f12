/*
 * Command lines of the subcommands, and sessions opened from them.
 *
 * Layer: tools. Threads: one; the log callback comes from the session's thread.
 */
#ifndef MT_OPTIONS_H
#define MT_OPTIONS_H

#include "text.h"
#include <mars/mars.h>

typedef struct mt_pair {
  const char *name; /* NULL: the result */
  const char *text; /* expression or path */
} mt_pair;

typedef struct mt_options {
  const char *command;
  bool help, json, quiet, verbose, stats, no_progress, shape_only, dot, no_spill, no_fusion;
  bool has_seed;
  uint64_t seed;
  size_t budget_bytes, device_budget_bytes;
  const char *devices; /* NULL: the library's choice */
  int threads;
  int64_t chunk_elements;
  mars_dtype dtype; /* MARS_DTYPE_AUTO: as it is */
  const char **spill;
  int n_spill;
  const char *expression; /* calc, plan */
  mt_pair *binding, *output;
  size_t n_bindings, n_outputs;
  const char **word; /* ops: positional arguments */
  size_t n_words;
} mt_options;

/* Arguments behind the subcommand. False: an error is in diag (exit code 2). */
bool mt_options_parse(const char *command, int argc, char **argv, mt_arena *arena, mt_diag *diag, mt_options *out);

/* Open a session as asked for; warnings of the library go to stderr unless --quiet. */
bool mt_session_open(const mt_options *o, mars_session **out, mt_diag *diag);

/* While a progress line is on the terminal, others that write there take it away first. Any thread. */
void mt_stderr_lock(void);
void mt_stderr_unlock(void);
/* Rewrite the progress line (NULL: remove it). */
void mt_status_line(const char *text);

/* The subcommands; return exit codes. */
int mt_main_calc(const char *command, int argc, char **argv);
int mt_main_info(const char *command, int argc, char **argv);
int mt_main_ops(const char *command, int argc, char **argv);

/* Help pages. NULL: there is none. */
const char *mt_help_page(const char *topic);
/* The functions of calc expressions with their signatures. */
void mt_help_functions(FILE *out);

#endif
