#include "text.h"

#include <stdlib.h>
#include <string.h>

struct mt_block {
  struct mt_block *next;
  size_t used, capacity;
  _Alignas(16) char data[];
};

static void die_of_memory(void) {
  fputs("mars: out of memory\n", stderr);
  exit(MT_EXIT_RUN);
}

void *mt_alloc(mt_arena *arena, size_t bytes) {
  struct mt_block *b = arena->head;
  void *p;

  if (bytes > PTRDIFF_MAX / 2) die_of_memory();
  bytes = (bytes + 15) & ~(size_t)15;
  if (!b || b->capacity - b->used < bytes) {
    size_t capacity = bytes > 16384 ? bytes : 16384;
    b = calloc(1, sizeof *b + capacity);
    if (!b) die_of_memory();
    b->capacity = capacity;
    b->next = arena->head;
    arena->head = b;
  }
  p = b->data + b->used;
  b->used += bytes;
  return p;
}

char *mt_strndup(mt_arena *arena, const char *text, size_t n) {
  char *p = mt_alloc(arena, n + 1);

  memcpy(p, text, n);
  return p;
}

char *mt_sprintf(mt_arena *arena, const char *fmt, ...) {
  va_list args;
  char *p;
  int n;

  va_start(args, fmt);
  n = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  p = mt_alloc(arena, (size_t)n + 1);
  va_start(args, fmt);
  vsnprintf(p, (size_t)n + 1, fmt, args);
  va_end(args);
  return p;
}

void mt_arena_free(mt_arena *arena) {
  struct mt_block *b = arena->head;

  while (b) {
    struct mt_block *next = b->next;
    free(b);
    b = next;
  }
  arena->head = NULL;
}

static void str_reserve(mt_str *s, size_t more) {
  size_t need = s->n + more + 1;

  if (need <= s->capacity) return;
  s->capacity = need > 2 * s->capacity ? need : 2 * s->capacity;
  s->text = realloc(s->text, s->capacity);
  if (!s->text) die_of_memory();
}

void mt_str_add(mt_str *s, const char *text, size_t n) {
  str_reserve(s, n);
  memcpy(s->text + s->n, text, n);
  s->n += n;
  s->text[s->n] = 0;
}

void mt_str_puts(mt_str *s, const char *text) { mt_str_add(s, text, strlen(text)); }

void mt_str_pad(mt_str *s, char c, int64_t count) {
  if (count <= 0) return;
  str_reserve(s, (size_t)count);
  memset(s->text + s->n, c, (size_t)count);
  s->n += (size_t)count;
  s->text[s->n] = 0;
}

void mt_str_printf(mt_str *s, const char *fmt, ...) {
  va_list args;
  int n;

  va_start(args, fmt);
  n = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  str_reserve(s, (size_t)n);
  va_start(args, fmt);
  vsnprintf(s->text + s->n, (size_t)n + 1, fmt, args);
  va_end(args);
  s->n += (size_t)n;
}

void mt_str_free(mt_str *s) {
  free(s->text);
  *s = (mt_str){0};
}

bool mt_fail(mt_diag *diag, int exit_code, const char *source, size_t pos, const char *fmt, ...) {
  va_list args;

  if (diag->failed) return false;
  diag->failed = true;
  diag->exit_code = exit_code;
  diag->source = source;
  diag->pos = pos;
  va_start(args, fmt);
  vsnprintf(diag->message, sizeof diag->message, fmt, args);
  va_end(args);
  return false;
}

static bool is_continuation(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

/* Only the line with the error, and of a long line only the part around it. */
void mt_diag_print(FILE *out, const char *command, const mt_diag *diag) {
  const int reach = 60;
  const char *s = diag->source;
  size_t len, pos, first, last, line_first, line_last, i;

  fprintf(out, "mars: %s%s%s\n", command, *command ? ": " : "", diag->message);
  if (!s) return;
  len = strlen(s);
  pos = diag->pos < len ? diag->pos : len;
  for (line_first = pos; line_first > 0 && s[line_first - 1] != '\n';) line_first--;
  for (line_last = pos; line_last < len && s[line_last] != '\n';) line_last++;
  first = pos - line_first > (size_t)reach ? pos - (size_t)reach : line_first;
  last = line_last - pos > (size_t)reach ? pos + (size_t)reach : line_last;
  while (first > line_first && is_continuation(s[first])) first--;
  while (last < line_last && is_continuation(s[last])) last++;

  fprintf(out, "  %s", first > line_first ? "..." : "");
  for (i = first; i < last; i++) fputc((unsigned char)s[i] < 32 || s[i] == 127 ? ' ' : s[i], out);
  fprintf(out, "%s\n  %s", last < line_last ? "..." : "", first > line_first ? "   " : "");
  for (i = first; i < pos; i++)
    if (!is_continuation(s[i])) fputc(' ', out);
  fputs("^\n", out);
}

/* Edit distance with swaps of neighbours counted as one; words longer than the table are far from everything. */
static int edit_distance(const char *a, const char *b) {
  enum { LIMIT = 40 };
  int d[LIMIT + 1][LIMIT + 1];
  int n = (int)strnlen(a, LIMIT + 1), m = (int)strnlen(b, LIMIT + 1);

  if (n > LIMIT || m > LIMIT) return LIMIT;
  for (int i = 0; i <= n; i++) d[i][0] = i;
  for (int j = 0; j <= m; j++) d[0][j] = j;
  for (int i = 1; i <= n; i++)
    for (int j = 1; j <= m; j++) {
      int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
      if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
        best = d[i - 2][j - 2] + 1;
      d[i][j] = best;
    }
  return d[n][m];
}

void mt_suggest_init(mt_suggest *s, const char *word) { *s = (mt_suggest){.word = word}; }

void mt_suggest_offer(mt_suggest *s, const char *candidate) {
  int length = (int)strlen(s->word);
  int allowed = length <= 2 ? 1 : length <= 5 ? 2 : 3;
  int d = edit_distance(s->word, candidate);

  if (d > allowed || d >= (int)strlen(candidate)) return;
  for (int i = 0; i < 3; i++)
    if (s->best[i] && !strcmp(s->best[i], candidate)) return;
  for (int i = 0; i < 3; i++)
    if (!s->best[i] || d < s->distance[i]) {
      for (int j = 2; j > i; j--) {
        s->best[j] = s->best[j - 1];
        s->distance[j] = s->distance[j - 1];
      }
      s->best[i] = candidate;
      s->distance[i] = d;
      return;
    }
}

/* Only those about as near as the best one. */
const char *mt_suggest_text(const mt_suggest *s, mt_arena *arena) {
  const char *text = "; did you mean ";

  if (!s->best[0]) return "";
  for (int i = 0; i < 3 && s->best[i] && s->distance[i] <= s->distance[0] + 1; i++)
    text = mt_sprintf(arena, "%s%s%s", text, i ? ", " : "", s->best[i]);
  return mt_sprintf(arena, "%s?", text);
}
