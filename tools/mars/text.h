/*
 * Memory and error records of the command-line tool: a bump arena for everything that lives as long as one
 * command, a growing string, and the first error with its place in the user's text.
 *
 * Layer: tools. Threads: one.
 */
#ifndef MT_TEXT_H
#define MT_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes of the command. */
enum { MT_EXIT_OK = 0, MT_EXIT_RUN = 1, MT_EXIT_USAGE = 2, MT_EXIT_INTERRUPTED = 130 };

#define MT_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Freed all at once. Zero-initialise. */
typedef struct mt_arena {
  struct mt_block *head;
} mt_arena;
/* Zeroed memory, aligned for any type. Never NULL: a command that has no memory left says so and ends (exit code 1). */
void *mt_alloc(mt_arena *arena, size_t bytes);
char *mt_strndup(mt_arena *arena, const char *text, size_t n);
char *mt_sprintf(mt_arena *arena, const char *fmt, ...) MT_PRINTF(2, 3);
void mt_arena_free(mt_arena *arena);

/* A growing string; text is NUL-terminated once something was added. Zero-initialise; free with mt_str_free. */
typedef struct mt_str {
  char *text;
  size_t n, capacity;
} mt_str;
void mt_str_add(mt_str *s, const char *text, size_t n);
void mt_str_puts(mt_str *s, const char *text);
void mt_str_pad(mt_str *s, char c, int64_t count);
void mt_str_printf(mt_str *s, const char *fmt, ...) MT_PRINTF(2, 3);
void mt_str_free(mt_str *s);

/* The first error of a command. */
typedef struct mt_diag {
  bool failed;
  int exit_code;
  const char *source; /* the text that `pos` counts bytes in; NULL: no position */
  size_t pos;
  char message[700];
} mt_diag;
/* Record an error, unless there is one already; always returns false. source NULL: without a position. */
bool mt_fail(mt_diag *diag, int exit_code, const char *source, size_t pos, const char *fmt, ...) MT_PRINTF(5, 6);
/* "mars: calc: message", then the line of the source and a caret under the position. */
void mt_diag_print(FILE *out, const char *command, const mt_diag *diag);

/* Near matches of a mistyped word: feed candidates, then read the best (at most 3, ", "-separated; "" if none is near). */
typedef struct mt_suggest {
  const char *word;
  const char *best[3];
  int distance[3];
} mt_suggest;
void mt_suggest_init(mt_suggest *s, const char *word);
void mt_suggest_offer(mt_suggest *s, const char *candidate);
/* "; did you mean a, b?" or "". The text lives in the arena. */
const char *mt_suggest_text(const mt_suggest *s, mt_arena *arena);

#endif
