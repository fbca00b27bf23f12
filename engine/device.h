/*
 * The device vtable: what the engine asks of a device, and the calls that it launches.
 *
 * Layer: engine owns it; host/ and cuda/ implement it and never include one another.
 * Threads: one owner thread per device calls launch; the other functions are called by who runs the job: the session's thread, or
 * the caller's. Never two at once.
 * Failures: MARS_E_DEVICE from launch or a transfer of a device with memory of its own says that it is lost: the job is planned
 * again without it, and the session asks nothing more of it but destroy. MARS_E_MEMORY: the job is planned again with smaller tasks, and then
 * without the device, which later jobs use again. Every other status ends the job.
 */
#ifndef MX_DEVICE_H
#define MX_DEVICE_H

#include "engine/program.h"
#include "engine/ranges.h"

typedef struct mx_device mx_device;
typedef struct mx_kernel mx_kernel; /* a program made ready by one device */

/* A rectangular part of a load that does not lie in one chunk. Copied to the load's scratch (C order over the tile)
   before the program runs.
   start not NULL, a box: element (start + i) of the tile, 0 <= i < extent, comes from base + sum i_j * stride_j.
   start NULL, a run: elements flat_start + k of the tile in C order, 0 <= k < flat_count, come from base + k * flat_step. */
typedef struct mx_piece {
  const char *base;
  const int64_t *start, *extent, *stride; /* [ndim]; stride in bytes */
  int64_t flat_start, flat_count, flat_step;
} mx_piece;

/* How a slot sees the tile. Point i of the tile (0 <= i_j < shape_j) is at base + sum i_j * stride_j bytes.
   in with pieces: base is scratch for the gathered tile, stride its C-order strides; the device gathers first.
   gen: index + sum i_j * stride_j, an element index (RANDOM) or a value (IOTA). */
typedef struct mx_bind {
  char *base;
  int64_t index;
  const int64_t *stride; /* [ndim] */
  int n_pieces;
  const mx_piece *pieces;
} mx_bind;

/* Operations on matrices that routines are made of: engine/routines/tiles.def says what each does to its operands. */
typedef enum mx_tile_op {
#define TILE(id, name) MX_TILE_##id,
#include "engine/routines/tiles.def"
  MX_TILE_COUNT
} mx_tile_op;

/* Flags of tile operations. */
enum {
  MX_TF_FIRST = 1, MX_TF_NEGATE = 2, MX_TF_CONJ = 4, MX_TF_CONJ2 = 8, MX_TF_HERM = 16, MX_TF_MIRROR = 32, MX_TF_LOWER = 64,
  MX_TF_UPPER = 128, MX_TF_UNIT = 256, MX_TF_TRANS = 512,
  MX_TF_RIGHT = 4096, MX_TF_CHECK = 8192 /* singular: an error */
};

/* A matrix operand: element (i, j) stands at base + (i * rs + j * cs) elements. */
typedef struct mx_mat {
  char *base;
  int64_t rows, cols, rs, cs;
} mx_mat;

typedef struct mx_tile_call {
  mx_tile_op op;
  unsigned flags;
  mars_dtype dtype;
  int n;
  const mx_mat *mat; /* [n] */
  int64_t p[4];      /* p[3]: 1 + number of the matrix in a stack, for messages; 0: there is one */
  const char *fn;    /* the routine's name for messages, "cholesky" */
} mx_tile_call;

typedef enum mx_call_kind {
  MX_CALL_PROGRAM, /* run the program over the tile */
  MX_CALL_TILE,    /* one tile operation of a routine */
  MX_CALL_COMBINE  /* out[0] = partials merged in order (kernel = the program whose out slot `slot` made them) */
} mx_call_kind;

typedef struct mx_call {
  mx_call_kind kind;
  mx_kernel *kernel; /* NULL: a tile operation on a device with memory of its own */
  int ndim;
  const int64_t *shape;  /* [ndim] tile extents, all > 0 */
  const int64_t *origin; /* [ndim] tile start in the iteration space */
  const mx_bind *in, *gen;
  /* STORE, SCAN slots: strided as said above. REDUCE slots: base is the accumulator of the tile's kept elements
     (K = product of kept extents, C order), or with final_mask bit `slot` set K finished values in outs[slot].dtype,
     C order compact. */
  const mx_bind *out;
  uint64_t final_mask;
  /* SCAN: carry of what stands before and behind the tile along the scanned dimension, one element per kept point,
     in the register dtype; carry_in NULL at the start. */
  const char *carry_in;
  char *carry_out;
  const mx_tile_call *tile; /* TILE */
  /* COMBINE */
  int slot;
  int64_t kept;
  int n_partials;
  const char *const *partials;
  /* scratch of kernel_scratch() bytes, 64-byte aligned */
  char *scratch;
  bool stream_out; /* results are larger than the caches: store past them */
  uint64_t passing; /* bit o: out[o], of a tile operation A0, is read by later calls of launch_rows alone, and may be left out of memory */
  int32_t step;    /* its number in the plan, for profilers */
} mx_call;

/* One copy between the memory of a device and the host's arena, or another device's memory. The struct is the engine's and
   stays valid until done is called. */
typedef struct mx_transfer mx_transfer;
typedef enum mx_transfer_kind {
  MX_TRANSFER_UP,   /* host arena -> this device */
  MX_TRANSFER_DOWN, /* this device -> host arena */
  MX_TRANSFER_PEER, /* `peer` -> this device */
  MX_TRANSFER_JOIN  /* see join */
} mx_transfer_kind;
struct mx_transfer {
  mx_transfer_kind kind;
  mx_device *peer; /* PEER: whose memory src is; else NULL */
  mx_join join;    /* JOIN */
  char *dst;
  const char *src;
  size_t bytes;
  void (*done)(mx_transfer *t); /* on a thread of the device's; must return soon */
  void *user;
  /* filled before done */
  mars_status status;
  mars_error err;
  mx_device *failed;        /* PEER, JOIN: with MARS_E_DEVICE, which of them is lost, where that is known; else NULL */
  mx_transfer *next, *also; /* these three are the device's own */
  mx_device *on;
};

/* Copies of the same bytes that may go together; accumulators that are joined. */
enum { MX_MOST_BROADCAST = 16 };

/* What the planner may know of a device. */
typedef struct mx_device_info {
  const char *model;          /* "NVIDIA H100 PCIe"; the CPU's name */
  bool host;                  /* its memory is the host arena: no transfers */
  size_t memory_bytes;        /* of its arena */
  double flops;               /* f64, a second; 0: unknown */
  double memory_bytes_per_second, link_bytes_per_second; /* own memory; to and from the host; 0: unknown */
} mx_device_info;

typedef struct mx_device_ops {
  /* "host", "cuda:0" */
  const char *(*name)(mx_device *dev);
  mars_status (*kernel_create)(mx_device *dev, const mx_program *prog, mx_kernel **out, mars_error *err);
  void (*kernel_destroy)(mx_device *dev, mx_kernel *kernel);
  /* Scratch that one call over a tile of this shape needs, beyond gathered loads (those the engine adds). */
  size_t (*kernel_scratch)(mx_device *dev, const mx_kernel *kernel, const int64_t *shape);
  /* Run calls that do not depend on one another; returns when all have finished. */
  mars_status (*launch)(mx_device *dev, mx_call *const *calls, int n, mars_error *err);
  /* The same in the calling thread alone, while the owner rests: wakes nobody, and leaves the thread as it was. NULL: it cannot. */
  mars_status (*launch_here)(mx_device *dev, mx_call *const *calls, int n, mars_error *err);
  /* Calls in a row, each of which depends on those before it: may `next`, too, be handed to launch_rows with them, which does them
     all part by part? Both NULL: no. */
  bool (*follows)(mx_device *dev, mx_call *const *calls, int n, const mx_call *next);
  mars_status (*launch_rows)(mx_device *dev, mx_call *const *calls, int n, mars_error *err);
  /* The arena: one mapping of *bytes, page aligned. Bytes of it become resident when they are first written. */
  void *(*memory)(mx_device *dev, size_t *bytes);
  void (*destroy)(mx_device *dev);
  /* The rest is asked of devices with memory of their own; NULL for the host. */
  void (*info)(mx_device *dev, mx_device_info *out);
  /* The host arena, before the first transfer: pages that the device may reach directly. A refusal is not an error: copies
     are staged then. Undone by destroy. */
  mars_status (*host_memory)(mx_device *dev, void *arena, size_t bytes, mars_error *err);
  /* Queue one copy; done is called once, also on failure, and copies of one kind begin in the order of these calls. The
     engine sees to it that nobody writes what is read or reads what is written meanwhile. */
  void (*transfer)(mx_device *dev, mx_transfer *t);
  /* Whether a kernel of this program, or this tile operation, can run here at all (a library may be missing). */
  bool (*can_program)(mx_device *dev, const mx_program *prog);
  bool (*can_tile)(mx_device *dev, mx_tile_op op, mars_dtype dtype);
  /* Whether no kernel at all can be made here, and what is missing for it: "libnvrtc is missing: ..". NULL: nothing ever is. */
  bool (*lacks)(mx_device *dev, char *text, size_t bytes);
  /* Of operations that can_tile allows: the scratch that this one takes here, in bytes. The operands have no memory yet (base is
     NULL). false: the host had better do it, since it is small or wants more than there is. NULL: what the tile rule says. */
  bool (*tile_scratch)(mx_device *dev, const mx_tile_call *tile, size_t *bytes);
  /* Whether PEER transfers from `peer`, a device of the same kind, to this one are offered. NULL: never; copies go through the
     host. */
  bool (*can_peer)(mx_device *dev, mx_device *peer);
  /* Queue PEER transfers of the same bytes of this device to others of its kind, list[i] to to[i], 2 <= n <= MX_MOST_BROADCAST: as n
     calls of transfer, but the bytes may leave this device once only. NULL: they are queued one by one. */
  void (*broadcast)(mx_device *dev, mx_transfer *const *list, mx_device *const *to, int n);
  /* Whether accumulators of n devices of this one's kind, as many as one session has connected, are joined by `join`. NULL: never; they
     are copied to one of them, and a kernel joins them. */
  bool (*can_join)(mx_device *dev, int n);
  /* Queue the joining of the accumulators list[i]->src of devices of[i], this one among them once: list[0]->dst, on this device, gets
     them element by element by list[0]->join. list[0] alone is told of, once; the others lend their room until then. Sources stand
     still: after a failure they are what they were. */
  void (*join)(mx_device *dev, mx_transfer *const *list, mx_device *const *of, int n);
  /* Whether kernels of this device reach [data, data + bytes) of the caller's; err says why not. NULL: they reach none. */
  mars_status (*reaches)(mx_device *dev, const void *data, size_t bytes, mars_error *err);
  /* A mark at the end of what is in the caller's stream now; whatever is queued after mark_wait runs when that has ended. From
     any thread. NULL: the device has no streams. */
  mars_status (*mark_create)(mx_device *dev, void *stream, void **mark, mars_error *err);
  mars_status (*mark_wait)(mx_device *dev, void *mark, mars_error *err);
  void (*mark_destroy)(mx_device *dev, void *mark);
} mx_device_ops;

struct mx_device {
  const mx_device_ops *ops;
};

/* Devices with memory of their own come in kinds: the session asks each kind that it knows (engine/session.h) what is there. */
typedef struct mx_device_request {
  mx_mem *mem;
  int index;
  size_t budget_bytes; /* of its arena; 0: what the device offers */
  bool first;          /* of its kind in this session: who says what is missing for all of them */
  void (*log)(void *user, mars_log_level level, const char *text);
  void *log_user;
} mx_device_request;

typedef struct mx_device_kind {
  const char *name; /* "cuda": its devices are cuda:0, cuda:1, ... */
  void *ctx;        /* given to all three */
  int (*count)(void *ctx); /* devices that are there; 0 where a driver or library is missing */
  /* Why there are no more than these, for messages: "the driver has 2 devices", "libcuda is missing: ..". NULL: nothing to say. */
  void (*why)(void *ctx, char *text, size_t bytes);
  /* memory_bytes, all that an arena may have, of one that need not be in use yet. */
  mars_status (*describe)(void *ctx, int index, mx_device_info *out, mars_error *err);
  mars_status (*create)(void *ctx, const mx_device_request *request, mx_device **out, mars_error *err);
  const mx_ranges *ranges; /* a profiler's, which wants to know of every step; NULL: none */
  /* All devices of this kind that one session uses, two or more: called once, before can_peer is asked and anything is copied. What the
     kind makes for them together it gives back when the first of them is destroyed. NULL: nothing to do. */
  void (*connect)(void *ctx, mx_device *const *devs, int n);
} mx_device_kind;

#endif
