/*
 * The session: what one user's graph, devices and store hang on. The actor that plans and runs jobs is engine/exec.
 *
 * Layer: engine. Threads: fields are fixed after creation, or guarded as said.
 */
#ifndef MX_SESSION_H
#define MX_SESSION_H

#include "engine/device.h"
#include "engine/graph/graph.h"
#include "engine/store.h"

typedef struct mx_machine { /* what planning may know */
  size_t arena_bytes;
  int threads;
  int64_t chunk_elements; /* 0: choose */
  bool no_fusion;
  bool spill;             /* a spill directory is there */
  size_t spill_budget_bytes;
  size_t l2_bytes;
} mx_machine;

struct mars_session {
  mx_mem mem;
  mars_session_config config;
  mx_graph graph;
  mx_device *device; /* device 0, the host */
  mx_store *store;
  mx_machine machine;
  char *base;        /* arena */
  struct mx_actor *actor; /* engine/exec/actor.h */
  mars_session_info info;
};

/* Log through the session's callback, if any. */
void mx_log(mars_session *s, mars_log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* After building a node in an eager session: run it. Returns t (an error tensor if the run failed). */
mars_tensor *mx_eager(mars_tensor *t);

/* host/device.c: the one thing that the engine takes from host/ besides the vtable. */
typedef struct mx_host_config {
  mx_mem *mem;
  size_t arena_bytes;
  int threads;      /* 0: all */
  bool bind_threads;
  const char *isa;  /* NULL: best */
} mx_host_config;
typedef struct mx_host_info {
  const char *cpu, *isa;
  int cores, threads, numa_nodes;
  size_t memory_bytes, l2_bytes;
  bool huge_pages;
} mx_host_info;
mars_status mx_host_device_create(const mx_host_config *config, mx_device **out, mars_error *err);
void mx_host_device_info(mx_device *dev, mx_host_info *out);
const char *mx_host_blas(void); /* opens the libraries */

/* cuda/device.c, and cuda/stub.c where CUDA's headers were missing at build time. */
typedef struct mx_cuda_config {
  mx_mem *mem;
  int ordinal;         /* "cuda:0" is 0 */
  size_t memory_bytes; /* of the arena; 0: what is free less a reserve */
} mx_cuda_config;
/* Devices that there are; 0 and *why (may be NULL) if there is none, or no driver. */
int mx_cuda_device_count(const char **why);
mars_status mx_cuda_device_create(const mx_cuda_config *config, mx_device **out, mars_error *err);

/* Bytes that this process may use: the least of physical memory and its memory cgroups' limits. */
size_t mx_host_memory_limit(void);

#endif
