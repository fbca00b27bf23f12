/*
 * An interpreter of PTX: what NVRTC emits runs here as a GPU would run it, and every access is checked.
 *
 * Layer: tests/simgpu, over memory.h. README.md says how it works inside.
 * Threads: a loaded module is not changed by launches (but its variables are memory like any other); launches
 * may run at once, of one module or of several. One launch uses the calling thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "memory.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sg_ptx_module sg_ptx_module;
typedef struct sg_ptx_kernel sg_ptx_kernel;

/* What a launch found; in brackets the CUresult that a real driver would give. */
typedef enum {
  SG_PTX_OK,
  SG_PTX_E_ARGUMENT,        /* grid, block or shared size cannot be launched [INVALID_VALUE] */
  SG_PTX_E_MEMORY,          /* the process is out of memory [OUT_OF_MEMORY] */
  SG_PTX_E_ILLEGAL_ADDRESS, /* out of bounds, freed, no peer access, read-only [ILLEGAL_ADDRESS] */
  SG_PTX_E_MISALIGNED,      /* [MISALIGNED_ADDRESS] */
  SG_PTX_E_UNWRITTEN, /* a read of bytes nobody wrote, global, shared or local [a real GPU says nothing] */
  SG_PTX_E_RACE,      /* shared memory, no barrier between [a real GPU says nothing] */
  SG_PTX_E_BARRIER,   /* a barrier that part of the block or warp does not reach [a real GPU may hang] */
  SG_PTX_E_UNKNOWN,   /* an instruction that is not implemented, or a function that is not there [INVALID_PTX]
                       */
  SG_PTX_E_TRAP,      /* trap, brkpt, a failed assert [LAUNCH_FAILED or ASSERT] */
  SG_PTX_E_TIMEOUT    /* more instructions than allowed: an endless loop or a wait for a later block
                         [LAUNCH_TIMEOUT] */
} sg_ptx_status;

/* Counted over all threads of one launch. */
typedef struct {
  uint64_t instructions;      /* executed thread-instructions (predicated-off lanes are not counted) */
  uint64_t warp_instructions; /* the same, one per warp */
  uint64_t global_read_bytes,
      global_written_bytes;             /* plain loads and stores of global memory, host memory included */
  uint64_t global_loads, global_stores; /* thread accesses; a vector access is one */
  uint64_t global_sectors; /* of 32 bytes, that a warp's load or store asks memory for: no more where neighbouring lanes share one */
  uint64_t shared_accesses;
  uint64_t atomics;        /* atom and red, global and shared */
  uint64_t local_accesses; /* ld.local and st.local: spills, or arrays indexed at run time */
  uint64_t barriers;       /* bar.sync and kin, one per block and barrier */
  uint64_t divergent_branches;
} sg_ptx_counts;

/* Bytes moved between one launch and one allocation. */
typedef struct {
  sg_memory_info allocation;
  uint64_t read_bytes, written_bytes; /* all accesses */
  uint64_t distinct_read_bytes,
      distinct_written_bytes; /* bytes touched at least once; with SG_PTX_COUNT_DISTINCT */
} sg_ptx_traffic;

enum {
  SG_PTX_COUNT_DISTINCT =
      1, /* fill the distinct counts of sg_ptx_traffic (a bitmap per touched allocation) */
  SG_PTX_NO_RACE_CHECK = 2,
  SG_PTX_NO_UNWRITTEN_CHECK = 4
};

typedef struct {
  unsigned grid[3], block[3];
  size_t dynamic_shared_bytes;
  uint64_t order_seed;        /* 0: blocks in order, x fastest; else they run in an order drawn from it */
  uint64_t instruction_limit; /* warp-instructions of one block; 0: 2^31 */
  unsigned flags;             /* SG_PTX_* above */
  size_t max_traffic;         /* room in traffic; 0 with NULL: not wanted */
  sg_ptx_traffic *traffic;    /* out: by allocation, in the order of first use */
  size_t traffic_count;       /* out: allocations touched (may exceed max_traffic) */
  /* If not NULL, called when the launch has ended, for every run of bytes that it read or wrote (at most 1024 runs of an
     allocation and kind). Gaps within 64 aligned bytes are not seen. */
  void (*touched)(void *user, uint64_t base, size_t bytes, int written);
  void *touched_user;
} sg_ptx_grid;

typedef struct {
  size_t offset, bytes, align; /* in the parameter block, as cuFuncGetParamInfo gives them */
} sg_ptx_param;

typedef struct {
  const char *name;
  size_t param_count;
  const sg_ptx_param *params;
  size_t param_bytes; /* the whole block, for CU_LAUNCH_PARAM_BUFFER_POINTER */
  size_t static_shared_bytes;
  size_t local_bytes;         /* of one thread, callees not included */
  size_t const_bytes;         /* of the module */
  unsigned max_threads;       /* product of .maxntid, or 1024 */
  unsigned required_block[3]; /* .reqntid, or zeros */
  unsigned registers;         /* a guess: what a launch could need of a real register file, at most 255 */
  const char
      *unknown; /* the first instruction that is not implemented, with its line; NULL if there is none */
} sg_ptx_kernel_info;

/*
 * Parse and decode a module and lay out its variables, which become allocations of `device` in mem (their
 * initial values written). mem must outlive the module. Instructions that are not known are accepted here and
 * refused at the launch. \return the module, or NULL with a message ("line 12: ...").
 */
sg_ptx_module *sg_ptx_load(const char *ptx, sg_memory *mem, int device, char *error, size_t error_size);
void sg_ptx_unload(sg_ptx_module *module); /* NULL is fine */

/* The module's .target ("sm_90a" gives 90) and .version (9.0 gives 90). */
void sg_ptx_version(const sg_ptx_module *module, int *target, int *version);

size_t sg_ptx_kernel_count(const sg_ptx_module *module);
const sg_ptx_kernel *sg_ptx_kernel_at(const sg_ptx_module *module, size_t index);
const sg_ptx_kernel *sg_ptx_find_kernel(const sg_ptx_module *module,
                                        const char *name); /* NULL: no such .entry */
const sg_ptx_kernel_info *sg_ptx_kernel_describe(const sg_ptx_kernel *kernel);

/* Address and size of a .global or .const variable. \return 1, or 0 if there is none of that name. */
int sg_ptx_find_global(const sg_ptx_module *module, const char *name, uint64_t *addr, size_t *bytes);

/*
 * Run a kernel to its end on the calling thread. params[i] points to parameter i, as with cuLaunchKernel, or
 * NULL with `block`: the whole parameter block (param_bytes). The check of every access is against mem and
 * `device`, the module's. \param grid    its out fields are written \param counts  may be NULL \param error
 * kernel, line, thread and what it did; one line of text
 */
sg_ptx_status sg_ptx_launch(const sg_ptx_kernel *kernel, sg_ptx_grid *grid, void *const *params,
                            const void *block, sg_memory *mem, int device, sg_ptx_counts *counts, char *error,
                            size_t error_size);

const char *sg_ptx_status_name(sg_ptx_status status);

#ifdef __cplusplus
}
#endif
