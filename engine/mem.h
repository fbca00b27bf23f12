/*
 * The engine's own records: allocation through the session's allocator, counted, with injected faults.
 * Tensor data does not come from here but from the arena (engine/device.h).
 *
 * Threads: any. Invariant: live counts what was allocated and not yet freed.
 */
#ifndef MX_MEM_H
#define MX_MEM_H

#include <mars/mars.h>
#include <stdatomic.h>

typedef struct mx_mem {
  mars_allocator allocator;
  atomic_llong live;       /* allocations */
  atomic_llong fail_at;    /* tests: the allocation that brings this to 0 fails; negative: none */
} mx_mem;

void mx_mem_init(mx_mem *mem, const mars_allocator *allocator); /* NULL or alloc NULL: malloc */
/* Zeroed memory or NULL; bytes 0 gives a valid pointer. */
void *mx_alloc(mx_mem *mem, size_t bytes);
void *mx_calloc(mx_mem *mem, size_t count, size_t bytes); /* NULL on overflow too */
/* Grow to new_bytes, keeping old_bytes; the rest is not cleared. On failure NULL and ptr stays valid. */
void *mx_grow(mx_mem *mem, void *ptr, size_t old_bytes, size_t new_bytes);
char *mx_strdup(mx_mem *mem, const char *text);
void mx_free(mx_mem *mem, void *ptr); /* NULL is fine */

#endif
