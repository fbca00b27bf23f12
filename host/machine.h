/*
 * What the machine offers this process: cores, caches, NUMA nodes, memory limits. Found with hwloc and /proc.
 *
 * Layer: host. Threads: discovery by one thread; the result is read-only.
 */
#ifndef MX_MACHINE_H
#define MX_MACHINE_H

#include "engine/mem.h"

#include <hwloc.h>

typedef struct mx_host_machine {
  hwloc_topology_t topology;
  hwloc_cpuset_t allowed;     /* processing units that the process may use */
  int cores, numa_nodes;      /* that the process may use; at least 1 */
  int cpu_quota;              /* whole CPUs granted by a cgroup quota, rounded up; 0: no quota */
  size_t memory_bytes;        /* physical */
  size_t l2_bytes;            /* of one core, 0 unknown */
  char cpu[128];              /* model name */
} mx_host_machine;

/* Fill *out. On failure (MARS_E_DEVICE, MARS_E_MEMORY) nothing needs to be reset. */
mars_status mx_host_machine_init(mx_host_machine *out, mars_error *err);
void mx_host_machine_reset(mx_host_machine *machine); /* a zeroed struct is fine */
/* Processing unit for worker `index`: distinct cores first, then their siblings. NULL if there is none; not the
   caller's to free: it is an object of the topology. */
hwloc_obj_t mx_host_machine_unit(const mx_host_machine *machine, int index);

#endif
