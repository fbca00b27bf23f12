#include "parse.h"

static void *take(void *arena, size_t bytes) { return mt_alloc(arena, bytes); }

bool mt_parse(const char *source, mt_arena *arena, mt_diag *diag, mx_script *out) {
  const mx_text_memory memory = {take, arena};
  mx_text_fault fault = {0};

  if (mx_parse(source, &memory, &fault, out)) return true;
  return mt_fail(diag, MT_EXIT_USAGE, source, fault.pos, "%s", fault.message);
}
