/*
 * The registry of the simulated devices' live allocations, and who wrote which byte of them.
 *
 * Layer: tests/simgpu. Device memory is memory of the process: a device pointer is the host address.
 * Threads: every function may be called from any thread.
 * Not owned: the registry holds addresses, the caller owns the memory. It must stay mapped until
 * sg_memory_remove has returned; a kernel that is still using it then is the tested program's error and may
 * be seen as a crash.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sg_memory sg_memory;

typedef enum {
  SG_MEMORY_DEVICE, /* cuMemAlloc, pools, module variables: reads of bytes nobody wrote are found here only */
  SG_MEMORY_PINNED, /* cuMemHostAlloc: the host writes it unseen, so all of it counts as written; every device
                       may access */
  SG_MEMORY_MAPPED, /* cuMemHostRegister: likewise */
  SG_MEMORY_MANAGED, /* cuMemAllocManaged: likewise */
  SG_MEMORY_CONST    /* a module's .const variables: kernels may not write them */
} sg_memory_kind;

typedef enum {
  SG_MEMORY_OK,
  SG_MEMORY_OUT_OF_BOUNDS, /* in no live allocation, or past its end */
  SG_MEMORY_FREED,         /* the same, and the address was in one that is gone */
  SG_MEMORY_MISALIGNED,
  SG_MEMORY_UNWRITTEN, /* a read of bytes that nobody wrote */
  SG_MEMORY_NO_PEER,   /* memory of another device, to which access was not enabled */
  SG_MEMORY_READ_ONLY
} sg_memory_fault;

typedef struct {
  uint64_t base;
  size_t bytes;
  int device; /* the owner; -1: the host */
  sg_memory_kind kind;
  uint64_t id; /* counts up with every sg_memory_add; names the allocation in messages */
} sg_memory_info;

/* A registry for devices 0 .. devices-1, without peer access; NULL when memory is short. */
sg_memory *sg_memory_create(int devices);
void sg_memory_destroy(sg_memory *mem); /* NULL is fine */

/* Register a range. \return 0; -1 when it is empty, overlaps a live one, or memory is short. Nobody has
 * written it. */
int sg_memory_add(sg_memory *mem, const void *base, size_t bytes, int device, sg_memory_kind kind);
/* Forget the range that begins at base. \return 0; -1 when none does. Its address is remembered for messages.
 */
int sg_memory_remove(sg_memory *mem, const void *base);

/* The live range that holds all of [addr, addr + bytes). \return 1 and *info (may be NULL), or 0. */
int sg_memory_find(sg_memory *mem, uint64_t addr, size_t bytes, sg_memory_info *info);
/* Bytes and number of live ranges of a device and kind. */
void sg_memory_live(sg_memory *mem, int device, sg_memory_kind kind, size_t *bytes, size_t *count);

/* May kernels and copies of device `from` access memory of device `to`? */
void sg_memory_set_peer(sg_memory *mem, int from, int to, int allowed);

/* Somebody (a copy, a memset, a library routine) wrote these bytes; outside of live ranges: ignored. */
void sg_memory_mark_written(sg_memory *mem, uint64_t addr, size_t bytes);
/* The bytes are fresh again: for allocators that hand out pieces of one range. */
void sg_memory_mark_unwritten(sg_memory *mem, uint64_t addr, size_t bytes);
/* 1 if all of [addr, addr + bytes) is live and written: a copy that carries the marks along asks for this. */
int sg_memory_is_written(sg_memory *mem, uint64_t addr, size_t bytes);

/* The same but for padding: in every line of 64 bytes the first byte is written, and what is not is at the line's end. */
int sg_memory_is_padded(sg_memory *mem, uint64_t addr, size_t bytes);
/* [dst, dst + bytes) is as written as [src, src + bytes): a copy from one to the other, both live, carries the marks along. */
void sg_memory_copy_marks(sg_memory *mem, uint64_t dst, uint64_t src, size_t bytes);

/*
 * The same for a copy that has been made between device memory and host memory of the registry, where a chunk that is not full yet may
 * rest. What nobody wrote arrives as bytes of 0xcb, so that whoever uses it on the host is seen to be wrong. On the way back every eight
 * such bytes that still have that value are as unwritten as they were; others the host has written, which nobody sees.
 */
void sg_memory_marks_down(sg_memory *mem, uint64_t host, uint64_t src, size_t bytes);
void sg_memory_marks_up(sg_memory *mem, uint64_t dst, uint64_t host, size_t bytes);

/*
 * May `device` (-1: the host, which needs no peer access) access [addr, addr + bytes) at this alignment (a
 * power of two)? The write check does not mark. On a fault `why` (may be NULL) says what is wrong with which
 * allocation.
 */
sg_memory_fault sg_memory_check_read(sg_memory *mem, uint64_t addr, size_t bytes, size_t align, int device,
                                     char *why, size_t size);
sg_memory_fault sg_memory_check_write(sg_memory *mem, uint64_t addr, size_t bytes, size_t align, int device,
                                      char *why, size_t size);

#ifdef __cplusplus
}
#endif
