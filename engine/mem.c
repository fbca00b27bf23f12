/* The engine's own records. Contract: engine/mem.h. */
#include "engine/mem.h"

#include <stdlib.h>
#include <string.h>

void mx_mem_init(mx_mem *mem, const mars_allocator *allocator) {
  memset(&mem->allocator, 0, sizeof mem->allocator);
  if (allocator != NULL && allocator->alloc != NULL) mem->allocator = *allocator;
  atomic_init(&mem->live, 0);
  atomic_init(&mem->fail_at, -1);
}

static void *raw_alloc(mx_mem *mem, size_t bytes, bool clear) {
  void *p;

  if (atomic_load_explicit(&mem->fail_at, memory_order_relaxed) > 0 && atomic_fetch_sub(&mem->fail_at, 1) == 1)
    return NULL;
  if (bytes == 0) bytes = 1;
  if (mem->allocator.alloc != NULL) {
    p = mem->allocator.alloc(mem->allocator.user, bytes);
    if (p != NULL && clear) memset(p, 0, bytes);
  } else {
    p = clear ? calloc(1, bytes) : malloc(bytes);
  }
  if (p != NULL) atomic_fetch_add_explicit(&mem->live, 1, memory_order_relaxed);
  return p;
}

void *mx_alloc(mx_mem *mem, size_t bytes) { return raw_alloc(mem, bytes, true); }

void *mx_calloc(mx_mem *mem, size_t count, size_t bytes) {
  size_t total;

  if (__builtin_mul_overflow(count, bytes, &total)) return NULL;
  return raw_alloc(mem, total, true);
}

void *mx_grow(mx_mem *mem, void *ptr, size_t old_bytes, size_t new_bytes) {
  void *p = raw_alloc(mem, new_bytes, false);

  if (p == NULL) return NULL;
  if (ptr != NULL) memcpy(p, ptr, old_bytes < new_bytes ? old_bytes : new_bytes);
  mx_free(mem, ptr);
  return p;
}

char *mx_strdup(mx_mem *mem, const char *text) {
  size_t bytes = strlen(text) + 1;
  char *p = raw_alloc(mem, bytes, false);

  if (p != NULL) memcpy(p, text, bytes);
  return p;
}

void mx_free(mx_mem *mem, void *ptr) {
  if (ptr == NULL) return;
  atomic_fetch_sub_explicit(&mem->live, 1, memory_order_relaxed);
  if (mem->allocator.alloc == NULL)
    free(ptr);
  else if (mem->allocator.free != NULL)
    mem->allocator.free(mem->allocator.user, ptr);
}
