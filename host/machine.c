/* Machine discovery. Contract: host/machine.h; mx_host_memory_limit: engine/session.h. */
#include "host/machine.h"

#include "engine/session.h"
#include "engine/status.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t physical_bytes(void) {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

  return pages > 0 && page > 0 ? (size_t)pages * (size_t)page : 0;
}

/* First line of a small file; false if it cannot be read. */
static bool read_line(const char *path, char *buf, size_t bytes) {
  FILE *f = fopen(path, "re");
  bool ok = f != NULL && fgets(buf, (int)bytes, f) != NULL;

  if (f != NULL) fclose(f);
  return ok;
}

/* ---- control groups ----
 * A limit binds when it is set anywhere between the process's group and the root. In a container the path of
 * /proc/self/cgroup may not exist below the mount: what cannot be read sets no limit, and the root is read always. */

typedef void cgroup_visit(const char *dir, void *user);

static void visit_up(const char *root, char *path, cgroup_visit *visit, void *user) {
  char dir[4096];

  for (;;) {
    char *slash;

    if (snprintf(dir, sizeof dir, "%s%s", root, path) < (int)sizeof dir) visit(dir, user);
    slash = strrchr(path, '/');
    if (slash == NULL) return;
    *slash = '\0'; /* "/a/b" -> "/a" -> "" */
  }
}

/* Visit every group from ours to the root that governs the v1 controller, and every v2 group. */
static void visit_groups(const char *controller, cgroup_visit *visit, void *user) {
  char line[4096], root[64];
  FILE *f = fopen("/proc/self/cgroup", "re");

  if (f == NULL) return;
  while (fgets(line, sizeof line, f) != NULL) {
    char *names = strchr(line, ':'), *path = names != NULL ? strchr(names + 1, ':') : NULL;

    if (path == NULL) continue;
    *path++ = '\0';
    names++;
    path[strcspn(path, "\n")] = '\0';
    if (names[0] == '\0') {
      char copy[4096];

      snprintf(copy, sizeof copy, "%s", path);
      visit_up("/sys/fs/cgroup", copy, visit, user);
      visit_up("/sys/fs/cgroup/unified", path, visit, user);
    } else {
      bool ours = false;

      for (char *save = NULL, *n = strtok_r(names, ",", &save); n != NULL; n = strtok_r(NULL, ",", &save))
        ours |= strcmp(n, controller) == 0;
      if (!ours) continue;
      snprintf(root, sizeof root, "/sys/fs/cgroup/%s", controller);
      visit_up(root, path, visit, user);
    }
  }
  fclose(f);
}

static void lower_memory(const char *dir, void *user) {
  static const char *const names[] = {"memory.max", "memory.limit_in_bytes"};
  size_t *limit = user;

  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[4200], text[64];
    unsigned long long value;

    snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    if (read_line(path, text, sizeof text) && sscanf(text, "%llu", &value) == 1 && value > 0 && value < *limit)
      *limit = (size_t)value;
  }
}

static void lower_cpus(const char *dir, void *user) {
  int *cpus = user;
  char path[4200], text[64];
  long long quota = 0, period = 0;

  snprintf(path, sizeof path, "%s/cpu.max", dir);
  if (!read_line(path, text, sizeof text) || sscanf(text, "%lld %lld", &quota, &period) != 2) {
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    if (!read_line(path, text, sizeof text) || sscanf(text, "%lld", &quota) != 1) return;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    if (!read_line(path, text, sizeof text) || sscanf(text, "%lld", &period) != 1) return;
  }
  if (quota > 0 && period > 0) {
    int n = (int)((quota + period - 1) / period);

    if (*cpus == 0 || n < *cpus) *cpus = n;
  }
}

size_t mx_host_memory_limit(void) {
  size_t limit = physical_bytes();

  if (limit == 0) limit = (size_t)1 << 30; /* unknown: something every machine has */
  visit_groups("memory", lower_memory, &limit);
  return limit;
}

/* ---- topology ---- */

static void find_cpu_name(mx_host_machine *m) {
  hwloc_obj_t package = hwloc_get_obj_by_type(m->topology, HWLOC_OBJ_PACKAGE, 0);
  const char *name = package != NULL ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;

  if (name == NULL) name = hwloc_obj_get_info_by_name(hwloc_get_root_obj(m->topology), "Architecture");
  snprintf(m->cpu, sizeof m->cpu, "%s", name != NULL && name[0] != '\0' ? name : "unknown CPU");
}

/* The process's own affinity, not the calling thread's: that one may be a bound worker. */
static void limit_to_affinity(mx_host_machine *m) {
  size_t bytes = 1024 / 8;
  cpu_set_t *set = NULL;

  for (; bytes <= 65536 / 8; bytes *= 2) {
    free(set);
    set = malloc(bytes);
    if (set == NULL) return;
    memset(set, 0, bytes);
    if (sched_getaffinity(getpid(), bytes, set) == 0) break;
  }
  if (bytes <= 65536 / 8) {
    hwloc_bitmap_t mine = hwloc_bitmap_alloc();

    for (unsigned i = 0; mine != NULL && i < bytes * 8; i++)
      if (CPU_ISSET_S(i, bytes, set)) hwloc_bitmap_set(mine, i);
    if (mine != NULL && hwloc_bitmap_intersects(mine, m->allowed)) hwloc_bitmap_and(m->allowed, m->allowed, mine);
    hwloc_bitmap_free(mine);
  }
  free(set);
}

static int count_inside(const mx_host_machine *m, hwloc_obj_type_t type) {
  int n = 0, total = hwloc_get_nbobjs_by_type(m->topology, type);

  for (int i = 0; i < total; i++)
    n += hwloc_bitmap_intersects(hwloc_get_obj_by_type(m->topology, type, (unsigned)i)->cpuset, m->allowed) != 0;
  return n;
}

mars_status mx_host_machine_init(mx_host_machine *out, mars_error *err) {
  hwloc_obj_t l2;

  memset(out, 0, sizeof *out);
  if (hwloc_topology_init(&out->topology) != 0)
    return mx_fail(err, MARS_E_MEMORY, "mars_session_create: hwloc_topology_init failed: out of memory");
  if (hwloc_topology_load(out->topology) != 0) {
    mx_host_machine_reset(out);
    return mx_fail(err, MARS_E_DEVICE, "mars_session_create: hwloc cannot read this machine's topology");
  }
  out->allowed = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(out->topology));
  if (out->allowed == NULL) {
    mx_host_machine_reset(out);
    return mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for a CPU set");
  }
  limit_to_affinity(out);
  out->cores = count_inside(out, HWLOC_OBJ_CORE);
  if (out->cores <= 0) out->cores = hwloc_bitmap_weight(out->allowed);
  if (out->cores <= 0) out->cores = 1;
  out->numa_nodes = count_inside(out, HWLOC_OBJ_NUMANODE);
  if (out->numa_nodes <= 0) out->numa_nodes = 1;
  out->memory_bytes = physical_bytes();
  l2 = hwloc_get_obj_by_type(out->topology, HWLOC_OBJ_L2CACHE, 0);
  out->l2_bytes = l2 != NULL ? (size_t)l2->attr->cache.size : 0;
  visit_groups("cpu", lower_cpus, &out->cpu_quota);
  find_cpu_name(out);
  return MARS_OK;
}

void mx_host_machine_reset(mx_host_machine *machine) {
  if (machine->allowed != NULL) hwloc_bitmap_free(machine->allowed);
  if (machine->topology != NULL) hwloc_topology_destroy(machine->topology);
  machine->allowed = NULL;
  machine->topology = NULL;
}

hwloc_obj_t mx_host_machine_unit(const mx_host_machine *machine, int index) {
  /* round 0 takes the first allowed unit of every core, round 1 the second, ... */
  for (int round = 0, seen = 0; round < 16; round++) {
    int cores = hwloc_get_nbobjs_by_type(machine->topology, HWLOC_OBJ_CORE);

    for (int c = 0; c < cores; c++) {
      hwloc_obj_t core = hwloc_get_obj_by_type(machine->topology, HWLOC_OBJ_CORE, (unsigned)c);
      int nth = 0;

      for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_inside_cpuset_by_type(
                                       machine->topology, core->cpuset, HWLOC_OBJ_PU, pu)) != NULL;) {
        if (!hwloc_bitmap_isset(machine->allowed, pu->os_index) || nth++ != round) continue;
        if (seen++ == index) return pu;
        break;
      }
    }
  }
  return NULL;
}
