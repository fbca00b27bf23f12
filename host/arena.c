/* The host arena. Contract: host/arena.h. */
#include "host/arena.h"

#include "engine/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20 };

/* Whether the kernel gives transparent huge pages to those who ask by madvise. */
static bool huge_pages_offered(void) {
  char text[128] = "";
  FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");

  if (f == NULL) return false;
  if (fgets(text, sizeof text, f) == NULL) text[0] = '\0';
  fclose(f);
  return strstr(text, "[always]") != NULL || strstr(text, "[madvise]") != NULL;
}

mars_status mx_arena_init(mx_arena *arena, const mx_host_machine *machine, size_t bytes, mars_error *err) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), map_bytes;

  memset(arena, 0, sizeof *arena);
  if (bytes == 0) return MARS_OK;
  if (__builtin_add_overflow(bytes, page - 1, &bytes) || __builtin_add_overflow(bytes & ~(page - 1), HUGE_PAGE, &map_bytes))
    return mx_fail(err, MARS_E_OVERFLOW, "mars_session_create: a host budget of %zu bytes overflows", bytes);
  bytes &= ~(page - 1);
  /* NORESERVE: the budget, not the kernel's overcommit accounting, is what limits us */
  arena->map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arena->map == MAP_FAILED) {
    arena->map = NULL;
    return mx_fail_errno(err, MARS_E_MEMORY, errno,
                         "mars_session_create: cannot map %zu bytes for the host budget; give a smaller one", bytes);
  }
  arena->map_bytes = map_bytes;
  arena->base = (char *)(((uintptr_t)arena->map + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
  arena->bytes = bytes;
  arena->huge_pages = bytes >= HUGE_PAGE && madvise(arena->base, bytes, MADV_HUGEPAGE) == 0 && huge_pages_offered();
  if (machine->numa_nodes > 1) /* a refusal costs speed, not correctness */
    (void)hwloc_set_area_membind(machine->topology, arena->base, bytes, machine->allowed, HWLOC_MEMBIND_INTERLEAVE, 0);
  return MARS_OK;
}

void mx_arena_reset(mx_arena *arena) {
  if (arena->map != NULL) munmap(arena->map, arena->map_bytes);
  memset(arena, 0, sizeof *arena);
}
