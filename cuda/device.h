/*
 * The CUDA device: the vtable of engine/device.h over the driver API.
 *
 *   device.c    creation, info, the vtable, errors that last
 *   module.c    texts to functions: compiled once, kept
 *   kernel.c    programs made ready; their variants
 *   geometry.c  how a call's tile becomes a grid, and the words of a kernel's parameters
 *   launch.c    batches of calls on the compute stream
 *   copy.c      strided copies
 *   memory.c    memory beside the arena, and what happens when there is none left
 *   caller.c    the caller's memory and streams
 *   lane.c      transfers: one lane for each direction, with its stream and its thread
 *   clique.c    transfers between the devices of a session by NCCL
 *   routines/   tile operations
 *
 * Layer: cuda. Threads: launch runs on the device's owner thread; kernels are made, and transfers are queued, by the
 * session's thread; each lane has a thread that waits for its copies. Every function enters the device's context and leaves
 * it again: the caller's current context stays as it was.
 * Invariant: all of the device's tensor memory is the slab, which is charged as the arena's bytes when it is created.
 */
#ifndef MX_CUDA_DEVICE_H
#define MX_CUDA_DEVICE_H

#include "cuda/compile.h"
#include "cuda/library.h"
#include "cuda/text.h"
#include "engine/device.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MX_LANES = 3, MX_IN_FLIGHT = 4, MX_STAGE_BYTES = 4 << 20 };

/* ---- transfers ---- */
typedef struct mx_lane {
  struct mx_cuda *dev;
  CUstream stream;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t more;
  mx_transfer *head, *tail;              /* queued, not begun */
  mx_transfer *flying[MX_IN_FLIGHT];     /* begun, oldest at `first` */
  CUevent event[MX_IN_FLIGHT];
  int first, n_flying;
  bool stop, started, has_lock;
  char *stage[MX_IN_FLIGHT];             /* pinned, where the host's memory could not be registered */
  CUevent stage_event[MX_IN_FLIGHT];
} mx_lane;

typedef struct mx_module mx_module; /* module.c */
typedef struct mx_clique mx_clique; /* clique.c */

typedef struct mx_cuda {
  mx_device base;
  mx_mem *mem;
  const mx_cuda_api *cu;
  int ordinal;
  char name[16], model[128];
  CUdevice device;
  CUcontext ctx;
  bool retained;
  int capability, sms;
  int arch;           /* that NVRTC compiles for; 0: it is missing, or knows none that the device runs */
  double clock_hz, bandwidth;
  CUdeviceptr slab;   /* as allocated */
  char *arena;
  size_t arena_bytes;
  CUstream compute;
  CUevent done;
  mx_lane lane[MX_LANES]; /* by mx_transfer_kind */
  char *host;             /* registered arena; NULL: copies are staged */
  size_t host_bytes;
  bool registered;        /* by this device */
  pthread_mutex_t lock;   /* of the modules */
  bool has_lock;
  mx_module *modules;
  int n_modules, cap_modules;
  bool machine;           /* the driver reads no PTX of this NVRTC: machine code */
  CUdeviceptr table;      /* pointers of COMBINE calls, and their copy in pinned memory */
  char *table_host;
  size_t table_bytes, table_used;
  atomic_int lost;        /* the CUresult of an error that lasts; 0: none */
  atomic_uint peers;      /* devices whose memory may be read */
  mx_clique *clique;      /* of the session's devices; NULL: alone, or no NCCL */
  int rank;               /* in it */
  void (*log)(void *user, mars_log_level level, const char *text);
  void *log_user;
  pthread_mutex_t tiles;  /* of what follows */
  bool has_tiles;
  struct mx_cuda_blas *blas;
} mx_cuda;

/* ---- device.c ---- */
mars_status mx_cuda_enter(mx_cuda *dev, mars_error *err);
void mx_cuda_leave(mx_cuda *dev);
/* A driver call's result: MARS_OK, or err filled; remembers errors after which the context is of no use. */
mars_status mx_cuda_check(mx_cuda *dev, CUresult r, const char *what, mars_error *err);

/* ---- memory.c ---- */
typedef enum mx_room_for { MX_ROOM_TABLE, MX_ROOM_WORK, MX_ROOM_KERNEL, MX_ROOM_ALL } mx_room_for;
/* Device memory beside the arena, on the owner's thread. Where it is out, work is waited for, what is kept for reuse is given back, and
   it is tried once more. On failure *out is 0 and the error says who holds what. */
mars_status mx_cuda_room(mx_cuda *dev, size_t bytes, mx_room_for what, CUdeviceptr *out, const char *name, mars_error *err);
/* The waiting and giving back alone; what calls of that kind work with stays. ALL: between launches. */
mars_status mx_cuda_make_room(mx_cuda *dev, mx_room_for what, mars_error *err);
/* Appended to err's message. */
void mx_cuda_tell_holders(mx_cuda *dev, mars_error *err);

/* ---- module.c ---- */
/* The function of a text, which is compiled (flags: mx_compile's) and loaded if it has not been. */
mars_status mx_cuda_function(mx_cuda *dev, const char *source, unsigned flags, const char *name, CUfunction *out, mars_error *err);
void mx_cuda_unload(mx_cuda *dev);

/* ---- geometry.c ---- */
typedef struct mx_slot_view { /* one per slot, in the order in, gen, out, at */
  uint64_t base;
  int es; /* bytes of an element; 0: an index */
  int64_t stride[MARS_MAX_DIMS];
} mx_slot_view;

typedef struct mx_geometry {
  mx_text_variant variant;
  int64_t extent[MARS_MAX_DIMS]; /* after merging, outermost first */
  int64_t ko, r, ki;
  int64_t rows, splits;          /* REDUCE: rows of a block */
  int bx_bits, by_bits;
  int64_t blocks, tail;          /* tail: points that the vectors leave over */
  int n_views;
  mx_slot_view *view;            /* the kernel's memory */
} mx_geometry;

struct mx_kernel {
  mx_cuda *dev;
  mx_program prog;               /* a copy of its own */
  void *copy;                    /* its memory */
  mx_text_kind kind;
  bool has_at;
  int n_reduce;
  mx_slot_view *views;
  struct mx_variant {
    mx_text_variant key;
    mx_text_layout layout;
    CUfunction fn;
  } *variants;
  int n_variants, cap_variants;
  CUfunction *combine;           /* [n_out], NULL until wanted */
};

/* ko, r, ki and how they are cut, from the tile's shape alone. */
void mx_cuda_reduce_shape(const mx_kernel *k, const int64_t *shape, mx_geometry *g);
size_t mx_cuda_scratch(const mx_kernel *k, const int64_t *shape);
void mx_cuda_geometry(const mx_kernel *k, const mx_call *call, mx_geometry *g);
/* Words of the kernel's parameters; from: point at which a POINTS kernel begins. */
void mx_cuda_words(const mx_kernel *k, const mx_text_layout *layout, const mx_call *call, const mx_geometry *g, int64_t from,
                   uint64_t *w);
void mx_cuda_combine_shape(int64_t kept, int64_t n, int *bx_bits, int *by_bits);
size_t mx_cuda_acc_bytes(const mx_kernel *k, int slot, int64_t kept);

/* ---- kernel.c ---- */
mars_status mx_cuda_kernel_create(mx_cuda *dev, const mx_program *prog, mx_kernel **out, mars_error *err);
void mx_cuda_kernel_destroy(mx_kernel *k); /* NULL is fine */
/* The compiled form for these variants. */
mars_status mx_cuda_variant(mx_kernel *k, const mx_text_variant *key, struct mx_variant **out, mars_error *err);
mars_status mx_cuda_combine_fn(mx_kernel *k, int slot, CUfunction *out, mars_error *err);

/* ---- launch.c ---- */
mars_status mx_cuda_launch(mx_cuda *dev, mx_call *const *calls, int n, mars_error *err);
/* Queue a kernel of 256 threads a block on the compute stream. */
mars_status mx_cuda_queue(mx_cuda *dev, CUfunction fn, int64_t blocks, unsigned threads, const uint64_t *words, int n_words,
                          const char *what, mars_error *err);

/* ---- copy.c ---- */
typedef struct mx_copy { /* of elements of es bytes; strides in bytes */
  char *to;
  const char *from;
  int es, nd;
  int64_t extent[MARS_MAX_DIMS], to_stride[MARS_MAX_DIMS], from_stride[MARS_MAX_DIMS];
} mx_copy;
/* Queue a copy; by tiles, where that is of use. */
mars_status mx_cuda_copy(mx_cuda *dev, const mx_copy *copy, mars_error *err);
/* Queue a copy of conjugates, es 8 or 16, if it is one by tiles; *turned: it was. */
mars_status mx_cuda_turn_conj(mx_cuda *dev, const mx_copy *copy, bool *turned, mars_error *err);

/* ---- caller.c: functions of the vtable ---- */
mars_status mx_cuda_reaches(mx_device *d, const void *data, size_t bytes, mars_error *err);
mars_status mx_cuda_mark_create(mx_device *d, void *stream, void **mark, mars_error *err);
mars_status mx_cuda_mark_wait(mx_device *d, void *mark, mars_error *err);
void mx_cuda_mark_destroy(mx_device *d, void *mark);

/* ---- lane.c ---- */
mars_status mx_lane_init(mx_lane *lane, mx_cuda *dev, mars_error *err);
void mx_lane_reset(mx_lane *lane);
void mx_lane_push(mx_lane *lane, mx_transfer *t);

/* ---- clique.c ---- */
/* The devices of one session, two or more: with NCCL they get a clique. */
void mx_clique_join(mx_cuda *const *devs, int n);
/* Takes the clique from all its members; nothing may be under way. NULL is fine. */
void mx_clique_destroy(mx_clique *q);
int mx_clique_members(const mx_clique *q);
/* On which a member sends and receives. */
CUstream mx_clique_stream(const mx_cuda *dev);
/* Queue copies of the same bytes from one member to others: PEER transfers, linked by `also`, `on` set. Or a JOIN of all members, first
   that of the one which gets it. */
void mx_clique_push(mx_clique *q, mx_transfer *first);
/* Whether memory of `peer` can be read over the link. */
bool mx_cuda_linked(const mx_cuda *dev, const mx_cuda *peer);

/* ---- routines ---- */
struct mx_cuda_blas;
bool mx_cuda_can_tile(mx_cuda *dev, mx_tile_op op, mars_dtype dtype);
bool mx_cuda_tile_scratch(mx_cuda *dev, const mx_tile_call *t, size_t *bytes);
mars_status mx_cuda_tile(mx_cuda *dev, const mx_call *call, mars_error *err);
/* After the launch's end: what its tile operations found out on the device. */
mars_status mx_cuda_tile_results(mx_cuda *dev, mars_error *err);
void mx_cuda_blas_destroy(mx_cuda *dev);

#endif
