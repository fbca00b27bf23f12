/*
 * The host arena: one anonymous mapping in which all tensor data of a session lives.
 *
 * Layer: host. Threads: created and destroyed by one thread; the bytes are the engine's.
 * Invariant: no page is resident before it is first written.
 */
#ifndef MX_ARENA_H
#define MX_ARENA_H

#include "host/machine.h"

typedef struct mx_arena {
  char *base;   /* 2 MiB aligned */
  size_t bytes; /* what was asked for, rounded up to whole pages */
  void *map;
  size_t map_bytes;
  bool huge_pages; /* the kernel was asked for huge pages and gives them to those who ask */
} mx_arena;

/* bytes 0 is legal: base is then NULL. On several NUMA nodes pages are interleaved over those the process may use. */
mars_status mx_arena_init(mx_arena *arena, const mx_host_machine *machine, size_t bytes, mars_error *err);
void mx_arena_reset(mx_arena *arena); /* a zeroed struct is fine */

#endif
