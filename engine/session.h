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

enum { MX_MAX_DEVICES = 16 }; /* the host among them */

typedef struct mx_machine_device {
  mx_device *dev;
  const char *name;
  size_t arena_bytes;
  double flops, memory_bytes_per_second, link_bytes_per_second; /* 0: unknown */
  const mars_error *lost; /* what it failed with: it is not used again. NULL: it is well */
  uint32_t peers; /* bit d: copies from device d come straight here */
} mx_machine_device;

typedef struct mx_machine { /* what planning may know */
  size_t arena_bytes; /* that working sets are chosen for: the least of the devices' */
  mx_machine_device device[MX_MAX_DEVICES]; /* 0 is the host, whose arena files and spill store reach */
  int n_devices;
  uint8_t use[MX_MAX_DEVICES]; /* devices that share the work, in the order that the user gave */
  int n_use;
  uint32_t joined; /* bit d: devices whose accumulators can be joined into one of them in one go, all of them or none */
  int threads;
  int64_t chunk_elements; /* 0: choose */
  bool no_fusion;
  bool spill;             /* a spill directory is there */
  size_t spill_budget_bytes;
  size_t l2_bytes;
} mx_machine;

/* A range of an arena that plans go round. */
typedef struct mx_hold {
  int device;
  int64_t offset, bytes;
} mx_hold;

struct mars_session {
  mx_mem mem;
  mars_session_config config;
  mx_graph graph;
  mx_device *device; /* device 0, the host; all: machine.device */
  mx_store *store;
  mx_machine machine;
  struct mx_actor *actor; /* engine/exec/actor.h */
  const mx_ranges *ranges; /* NULL: nobody wants them */
  mars_session_info info;
  mars_device_info device_info[MX_MAX_DEVICES];
  mars_error device_error[MX_MAX_DEVICES]; /* of lost ones */
  char device_name[MX_MAX_DEVICES][24];
  pthread_mutex_t export_lock;
  struct mx_export *exports; /* engine/exec/export.h; this and what follows under export_lock */
  struct mx_user_kernel *kernels; /* engine/user.h */
  struct mx_export *left;    /* given back while the caller's stream had work, which the next job waits for */
  int64_t lent;              /* of them that live; the last one of a session that is closed finishes it */
  bool closed;
  void *stream[MX_MAX_DEVICES]; /* jobs begin behind it; MARS_NO_STREAM */
};

/* mars_session_create with these kinds of devices instead of the built-in ones (tests). */
mars_status mx_session_create_with(const mars_session_config *config, const mx_device_kind *const *kinds, int n_kinds,
                                   mars_session **out, mars_error *err);
/* engine/exec/devices.c: create what config.devices names, after the host device; fills machine and info. */
mars_status mx_session_add_devices(mars_session *s, const mx_device_kind *const *kinds, int n_kinds, mars_error *err);
/* A device failed for good, with this: it is not planned for any more. The actor's thread. */
void mx_session_lose(mars_session *s, int device, const mars_error *why);
/* Number of the session's device of this name, -1 after filling err. */
int mx_session_device(const mars_session *s, const char *fn, const char *name, mars_error *err);
/* cuda/device.c; cuda/stub.c where CUDA's headers were missing at build time: it has no devices then. */
extern const mx_device_kind mx_cuda_kind;

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

/* Bytes that this process may use: the least of physical memory and its memory cgroups' limits. */
size_t mx_host_memory_limit(void);

#endif
