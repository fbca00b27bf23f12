/*
 * What tests ask of the simulated platform: symbols of the stand-in libcuda.so.1, found by dlsym.
 *
 * Layer: tests/simgpu. Threads: any, sg_sim_reset and sg_sim_configure only while nobody else calls the platform.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What exists now. After an application has ended all of it is zero. */
typedef struct sg_sim_live_info {
  size_t device_bytes, pinned_bytes, registered_bytes;
  int streams, events, modules, contexts, pools;
  int communicators; /* NCCL */
  int handles;       /* cuBLAS, cuSOLVER, cuSPARSE handles and cuFFT plans */
} sg_sim_live_info;

/* Since the process began, or since the last sg_sim_reset. */
typedef struct sg_sim_count_info {
  uint64_t launches, copies;
  uint64_t up_bytes, down_bytes, device_bytes, peer_bytes; /* copied: to a device, from it, inside it, between two */
  uint64_t global_read_bytes, global_written_bytes;        /* by kernels; reads of a module's own variables are left out */
  uint64_t faults;                                         /* of the fault plan, that have happened */
  uint64_t ptx_modules, machine_modules;                   /* loaded, from PTX and from machine code */
} sg_sim_count_info;

/* Waits for all work, frees everything, forgets failed checks and counts, reads the environment again. Handles that the
   application still holds are invalid afterwards. */
void sg_sim_reset(void);
/* "devices=4 bytes=64M links=nvlink seed=3 fault=copy:3,alloc:7": the settings of README.md without their prefix, separated by
   white space; what is not named stays. devices, bytes, cc and links only while no context exists.
   Starts the fault plan's counters anew; a device that was lost is back if no context exists. 0, or -1 with nothing changed and the reason in sg_sim_error(). */
int sg_sim_configure(const char *text);
const char *sg_sim_error(void);
void sg_sim_live(sg_sim_live_info *out);
/* From now on copies between host and device begin and do not end, until they are let on again. Those that stand so: one of a stream. */
void sg_sim_hold_copies(int hold);
void sg_sim_held_copies(int *up, int *down);
/* Number of failed checks so far; the first one's text in `first` (may be NULL), cut to size. */
size_t sg_sim_failed_checks(char *first, size_t size);
/* Text of failed check i; "" if there is none. */
void sg_sim_failed_check(size_t i, char *text, size_t size);
void sg_sim_forget_failed_checks(void);
void sg_sim_counts(sg_sim_count_info *out);
/* Of one kernel, by name: 1, or 0 if it never ran. */
int sg_sim_kernel_counts(const char *name, uint64_t *launches, uint64_t *read_bytes, uint64_t *written_bytes);
/* Sectors of 32 bytes that its warps' loads and stores asked memory for, as if there were no caches: 1/32 of the bytes where lanes
   follow one another, one for every lane where they are far apart. */
uint64_t sg_sim_kernel_sectors(const char *name);
/* Driver calls since the last reset or configure: the range of the fault plan's "call:N". */
uint64_t sg_sim_calls(void);
/* NCCL calls likewise: the range of "nccl:N". */
uint64_t sg_sim_nccl_calls(void);

#ifdef __cplusplus
}
#endif
