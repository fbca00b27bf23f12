/*
 * Plans: kernels (from engine/fuse), chunk tasks (from engine/tile), the schedule (from engine/plan).
 *
 * Everything here is a pure function of the node graph, the wanted outputs, the session's kept chunks and the
 * description of the machine. Nothing here touches a device or a file, but for the phases that files ask for.
 *
 * Layer: engine. Threads: made and used by the session's thread alone.
 */
#ifndef MX_PLAN_H
#define MX_PLAN_H

#include "engine/device.h"
#include "engine/exec/value.h"
#include "engine/graph/graph.h"
#include "engine/pool.h"
#include "engine/session.h"

/* ---- kernels ------------------------------------------------------------------------------------ */

/* How a slot sees the iteration space.
   coordinate: value coordinate d = view.start[d] + view.step[d] * (view.axis[d] < 0 ? 0 : i[view.axis[d]])
   linear: C-order index in the value (or its element index, for generators) = base + sum lstep[j] * i[j] */
typedef struct mx_access {
  bool linear;
  int ndim; /* of the value (coordinate) */
  mx_view view;
  int64_t base;
  int64_t lstep[MARS_MAX_DIMS];
} mx_access;

typedef enum mx_pv_kind {
  MX_PV_MEMORY, /* caller memory: a borrowed source, or where a result goes; never in the arena */
  MX_PV_FILE,   /* chunks come from a file */
  MX_PV_KEPT,   /* chunks of an earlier run */
  MX_PV_NEW,    /* made by this plan */
  MX_PV_CONCAT  /* no data of its own: other values side by side */
} mx_pv_kind;

/* One operand of a CONCAT value: seen through `view` it covers [start, start + extent) of the axis. */
typedef struct mx_pjoin {
  int value;
  mx_view view;
  int64_t start, extent;
} mx_pjoin;

/* A value in the plan. */
typedef struct mx_pvalue {
  mx_pv_kind kind;
  mx_node *node;   /* whose values; NULL for kept values that only take up room */
  mx_value *value; /* FILE, KEPT, borrowed MEMORY */
  mars_dtype dtype;
  mars_shape shape;
  int producer;    /* kernel, -1: none */
  bool keep;       /* stays after the run */
  int output;      /* index of the wanted output that it fills, -1 */
  mx_sink *sink;   /* npy file to write, or NULL */
  bool mirror;     /* symmetric in its last two axes: chunks above the diagonal do not exist, those below are read instead */
  int64_t even;    /* room in elements that each chunk takes at least (mx_pchunk.spare): places then fit the next one, too */
  char *data;      /* MEMORY */
  int device;      /* MEMORY: that reaches it, and alone reads and writes it */
  int64_t stride[MARS_MAX_DIMS];
  mx_grid grid;
  int32_t first_chunk; /* plan numbers of its chunks */
  int join_axis, n_joins;
  mx_pjoin *joins;     /* CONCAT */
} mx_pvalue;

typedef struct mx_pslot {
  int value;
  mx_access access;
  bool identity; /* same shape, grid and order as the kernel: chunk = tile */
} mx_pslot;

typedef struct mx_pout {
  int value;             /* plan value; a REDUCE slot's is the finished one */
  bool reduce;
  int32_t first_partial; /* chunks of the tiles' accumulators; -1: each tile finishes by itself */
} mx_pout;

enum { MX_MAX_OUTS = 60, MX_MAX_INSTRS = 1024 };

struct mx_routine;

typedef struct mx_pkernel {
  mx_program prog;   /* of a routine: empty */
  int level;
  bool scan;
  int scan_axis;
  mx_pslot *in;      /* [prog.n_in] */
  mx_access *gen;    /* [prog.n_gen] */
  mx_pout *out;      /* [prog.n_out] */
  mx_grid grid;      /* tiles of the iteration space */
  mx_grid kept_grid; /* of the dimensions that are not reduced */
  int64_t reduced_tiles;
  int32_t first_task;
  int32_t carry_first; /* scan: chunks of the carries, one per tile */
  bool big;          /* its streams are larger than the caches */
  int pin;           /* 1 + device that it is to run on, 0: any */
  int home;          /* 1 + device that alone can run it, since caller memory is there, 0: none */
  uint32_t devices;  /* bit d: tasks of it run on device d */
  /* routines (engine/routine.h) */
  const struct mx_routine *routine; /* NULL: a program */
  mx_node *node;     /* one of the nodes: op, attributes */
  char fn[64];       /* its name for messages: "svd", or as part of another function "lstsq, in its svd" */
  mars_dtype dtype;  /* in which it works: its first operand's; results may have others */
  const char *method; /* which of several it takes, for mars_explain; NULL: it has one */
  int n_slots, n_results;
  mx_pslot *slot;    /* [n_slots] operands */
  int32_t result[4]; /* plan value of each result, -1: not wanted */
  int64_t edge;      /* rows and columns of a tile, or what the routine takes it for */
  void *own;         /* the routine's, from the plan's pool */
} mx_pkernel;

/* ---- chunk tasks -------------------------------------------------------------------------------- */

/* COMBINE merges partial accumulators. */
typedef struct mx_ptask {
  int32_t kernel;
  int32_t tile;      /* PROGRAM: tile number; COMBINE: -1 - slot */
  int32_t first_in;  /* into ins; the next task's first_in ends it */
  int32_t first_out; /* into outs */
} mx_ptask;
#define MX_COMBINE_FINAL INT32_MIN
static inline bool mx_combine_is_final(const mx_ptask *t) { return t->tile < -2 * MX_MAX_OUTS; }

/* An operand of a tile operation: a matrix inside a chunk, or inside caller memory. */
typedef struct mx_rarg {
  int32_t chunk;  /* that it is read from or written to; -1: caller memory that is only read */
  int32_t memory; /* plan value in caller memory, -1: the chunk is in the arena */
  int64_t offset; /* bytes from the chunk's data, or from the first element of caller memory */
  int64_t rows, cols, rs, cs; /* strides in elements */
} mx_rarg;

/* A task of a routine: ptask.tile is its number here. */
typedef struct mx_rtask {
  uint16_t op, flags;
  uint8_t dtype;     /* of its matrices */
  bool chained;      /* runs after the task before it */
  int32_t gate;      /* what this and the next gate - 1 tasks read from outside is made before it */
  int32_t first_arg; /* into rargs; the next one's first_arg ends it */
  int64_t p[4];
  int64_t scratch_bytes; /* on the host */
  int64_t own_scratch;   /* on a device with memory of its own, where place.c has put it there */
  double flops;
} mx_rtask;

typedef struct mx_pchunk {
  int32_t value;    /* plan value; -1: an accumulator or carry */
  int32_t index;    /* chunk number in the value; accumulators and carries: kept elements */
  int32_t producer; /* task, -1: exists */
  uint32_t phase;
  int32_t takes;    /* the chunk whose memory and contents it takes over when it is made (an update in place), -1 */
  int64_t bytes;    /* data; 0 for MEMORY */
  int64_t spare;    /* room behind the data, so that chunks at an edge leave holes that others fit in */
} mx_pchunk;

/* ---- schedule ----------------------------------------------------------------------------------- */

typedef enum mx_step_kind {
  MX_STEP_ALLOC,   /* `chunk` begins to live at `offset` of the device's arena */
  MX_STEP_LOAD,    /* ALLOC + read from file or spill store; the host only */
  MX_STEP_COMPUTE, /* task; offset: scratch, -1 none */
  MX_STEP_STORE,   /* write `chunk`: to the sink of its value (tier FILE) or the spill store (tier SPILL); the host only */
  MX_STEP_FREE,    /* `chunk` leaves the arena; offset -1: it is not there, only its spill slot goes */
  MX_STEP_COPY,    /* ALLOC + copy from the arena of device `flags`, where it stays */
  MX_STEP_COLLECTIVE /* ALLOC of the accumulator `chunk` + the joining of those that its COMBINE task reads, each in the arena of its maker */
} mx_step_kind;

/* FREE flags */
enum {
  MX_FREE_DEAD = 1, /* nobody needs the chunk again: its spill slot goes too */
  MX_FREE_TAKEN = 2 /* the next step gives its memory, as it is, to the chunk that takes it over */
};

typedef enum mx_tier { MX_TIER_DEVICE, MX_TIER_FILE, MX_TIER_SPILL, MX_TIER_MEMORY } mx_tier;

/* A step is about the arena of `device`, and its fences name steps about the same arena: each device plays its own steps in
   order, at its own pace, and devices meet in COPY and COLLECTIVE steps alone. */
typedef struct mx_step {
  uint8_t kind, device, tier, flags;
  int32_t id;          /* COMPUTE: task; the others: chunk */
  int32_t after;       /* COMPUTE step that must have ended before this one writes its memory, -1 */
  int32_t after_store; /* every step up to this one that reads the arena for others (STORE; COPY from it) must have ended
                          too, -1 */
  int64_t offset;
} mx_step;

typedef struct mx_device_stats {
  int64_t computes;
  size_t peak_bytes, up_bytes, down_bytes, peer_bytes; /* copied: from the host, to the host, from other devices */
} mx_device_stats;

typedef struct mx_plan_stats {
  int64_t tasks, computes, recomputed;
  size_t peak_bytes, spill_write_bytes, spill_read_bytes, spill_peak_bytes, source_read_bytes, sink_write_bytes;
  mx_device_stats device[MX_MAX_DEVICES];
} mx_plan_stats;

/* One wanted output, checked by the caller. */
typedef struct mx_want {
  mx_node *node;
  mars_sink sink;
  char *data;
  int device;    /* MEMORY: that reaches data */
  struct mx_export *lent; /* MEMORY: data is to be found in that device's arena */
  mx_sink *file; /* NPY: created by the caller before planning; NULL when only explaining */
} mx_want;

typedef struct mx_plan {
  mx_mem *mem;
  mx_pool pool;
  const mx_machine *machine; /* `own`: the machine without the devices that are left alone */
  mx_machine own;
  const mx_device_ops *device_ops; /* kernel_scratch is asked through the executor's callback */
  const mx_store_ops *store_ops;
  const char *fn; /* public function for messages */
  bool (*cancelled)(void *ctx); /* NULL: it cannot be; asked from time to time while it is made */
  void *cancelled_ctx;
  const mx_hold *holds; /* [n_holds] ranges of arenas that are not the plan's */
  int64_t n_holds;
  int64_t chunk_elements;
  int64_t evenly;   /* the side that square chunks are to cut into equal parts, 0: none */
  bool square; /* grids balance the last two axes: something is read across */
  int attempt; /* plans that did not fit before this one */
  bool spill_short; /* the last of them for want of spill space */
  int exact;   /* 0: routines may take methods that rest on a good condition; 1, 2: the run before this one found it bad, or
                  very bad (MX_E_CONDITION) */

  MX_VEC(mx_pvalue) values;
  MX_VEC(mx_pkernel) kernels;
  MX_VEC(mx_pchunk) chunks;
  MX_VEC(mx_ptask) tasks; /* one more than there are, as end mark */
  MX_VEC(int32_t) ins;
  MX_VEC(int32_t) outs;
  MX_VEC(mx_rtask) rtasks; /* one more than there are, as end mark */
  MX_VEC(mx_rarg) rargs;
  MX_VEC(int32_t) order;  /* tasks in execution order */
  MX_VEC(mx_step) steps;
  int64_t n_tasks;
  uint8_t *task_device;   /* [n_tasks]; NULL: the host runs all */
  uint32_t without;       /* bit d: device d is left alone, since the working set does not fit it, or it ran out of memory */
  int refused;            /* device whose arena was too small in the last attempt */
  mx_plan_stats stats;
} mx_plan;

/* Scratch of one task of a kernel for a tile shape: device's own, asked through this. */
typedef size_t mx_scratch_fn(void *ctx, int device, const mx_pkernel *kernel, const int64_t *tile_shape);

typedef struct mx_plan_input {
  mx_mem *mem;
  const mx_machine *machine;
  const mx_store_ops *store_ops;
  const char *fn;
  const mx_want *wants;
  size_t n_wants;
  bool (*cancelled)(void *ctx); /* as in mx_plan */
  void *cancelled_ctx;
  int exact;             /* as in mx_plan */
  int smaller;           /* so many times as in plans that did not fit, tasks are made smaller from the beginning */
  uint32_t without;      /* bit d: device d is left alone */
  mx_value *const *kept; /* values that the session holds in arena and spill store */
  size_t n_kept;
  const mx_hold *holds;  /* as in mx_plan; they overlap nothing that is kept */
  int64_t n_holds;
} mx_plan_input;

/* MARS_OK, or MARS_E_CANCELLED: whoever waits for the plan does not want it any more. */
mars_status mx_plan_cancelled(const mx_plan *plan, mars_error *err);

/* The stages; each fills its part of the plan. mx_plan_make runs them all, shrinking the chunks until the plan fits.
   kernel_ready is called before every schedule, so that each device that a kernel runs on (mx_pkernel.devices) can say what
   scratch it needs. */
mars_status mx_fuse(mx_plan *plan, const mx_plan_input *input, mars_error *err);
void mx_tile_choose(mx_plan *plan);                              /* chunk_elements and square, first guess */
mars_status mx_tile_grids(mx_plan *plan, mars_error *err);       /* grids of kernels and values */
mars_status mx_tile_tasks(mx_plan *plan, mars_error *err);       /* chunks and tasks */
mars_status mx_plan_order(mx_plan *plan, mars_error *err);       /* depth first */
mars_status mx_plan_place(mx_plan *plan, mars_error *err);       /* a device for every task; order: side by side */
mars_status mx_plan_schedule(mx_plan *plan, mx_scratch_fn *scratch, void *ctx, mars_error *err);
/* Replays a schedule and proves: budget never exceeded, no overlap, operands resident when used, nothing freed twice
   or lost, reused memory waited for. MARS_E_INTERNAL with the step's number otherwise. */
mars_status mx_plan_validate(const mx_plan *plan, mars_error *err);
void mx_plan_destroy(mx_plan *plan);

typedef mars_status mx_kernel_ready_fn(void *ctx, mx_plan *plan, mars_error *err);
mars_status mx_plan_make(const mx_plan_input *input, mx_kernel_ready_fn *ready, mx_scratch_fn *scratch, void *ctx,
                         mx_plan **out, mars_error *err);

/* Scratch of a tile task: the device's part first, then one gathered tile per slot that may need it.
   gather[i]: offset of slot i's, -1 if it never needs one. */
int64_t mx_plan_scratch(const mx_plan *plan, int device, const mx_pkernel *k, const int64_t *extent, mx_scratch_fn *scratch,
                        void *ctx, int64_t *gather);
static inline int mx_task_device(const mx_plan *plan, int32_t task) { return plan->task_device ? plan->task_device[task] : 0; }
/* ---- engine/plan/join.c */
enum { MX_JOIN_BYTES = 64 << 10 }; /* an accumulator's: smaller ones are copied as fast as devices meet */
/* Devices that share the work, if they can join accumulators of that many bytes of this slot: each is then to make one of its own. 0: no. */
int mx_plan_join_places(const mx_plan *plan, const mx_pkernel *kernel, int slot, int64_t bytes);
/* A COMBINE task of one accumulator of every device that takes part in collective operations, which can join them: how (join may be NULL). */
bool mx_plan_joins(const mx_plan *plan, int32_t task, mx_join *join);
/* In whose arena an operand of such a task is joined. */
static inline int mx_join_device(const mx_plan *plan, int32_t chunk) { return mx_task_device(plan, plan->chunks.at[chunk].producer); }

/* May this device take part? */
bool mx_plan_may_use(const mx_plan *plan, int device);
/* Devices other than the host that may take part. */
bool mx_plan_devices(const mx_plan *plan);
/* Where a chunk's data begin in its room: files ask for a place only in the arena that they reach. */
static inline int64_t mx_chunk_phase(const mx_pchunk *c, int device) { return device ? 0 : (int64_t)c->phase; }
int64_t mx_space_round(int64_t bytes);
static inline int64_t mx_chunk_room(const mx_pchunk *c, int device) {
  int64_t phase = mx_chunk_phase(c, device);
  return mx_space_round(phase + c->bytes + c->spare + (phase ? MX_IO_ALIGN - 1 : 0));
}

/* ---- tiles and regions (engine/tile/region.c) ----------------------------------------------------- */

int64_t mx_grid_init(mx_grid *grid, const mars_shape *shape, const int64_t *chunk); /* returns total */
/* Start and extents of chunk `index`. */
void mx_grid_chunk(const mx_grid *grid, const mars_shape *shape, int64_t index, int64_t *start, int64_t *extent);
void mx_strides_c(int ndim, const int64_t *extent, int64_t elem_bytes, int64_t *stride);

/* What part of a slot's value a tile reads, chunk by chunk. Exactly one form per call:
   box (count_flat < 0): tile box [start, start+extent), element i of it at chunk byte `offset` + sum i_j stride_j;
   run: tile elements [flat, flat+count) in C order, from `offset` with `step` bytes between. */
typedef struct mx_part {
  int value;     /* plan value that has the chunk */
  int64_t chunk; /* chunk number in it */
  const int64_t *start, *extent, *stride;
  int64_t offset;
  int64_t flat, count, step;
} mx_part;
typedef bool mx_part_fn(void *ctx, const mx_part *part); /* false stops the walk */
/* start, shape: the tile. Returns false if fn stopped it. */
bool mx_walk_parts(const mx_plan *plan, int value, const mx_access *access, int ndim, const int64_t *start,
                   const int64_t *shape, mx_part_fn *fn, void *ctx);

/* ---- arena model (engine/plan/space.c) ------------------------------------------------------------ */

typedef struct mx_space mx_space;
mx_space *mx_space_create(mx_mem *mem, size_t bytes);
void mx_space_destroy(mx_space *space);
/* Take [offset, offset+bytes) that is known to be in use at the start; false: no memory. */
bool mx_space_reserve(mx_space *space, int64_t offset, int64_t bytes);
bool mx_space_ready(mx_space *space); /* after the reserves, before the first alloc */
/* When memory may be written again: after this COMPUTE step of its device, and after all steps up to that one that read its
   arena for others (STORE, COPY). */
typedef struct mx_fence {
  int32_t after, after_store;
} mx_fence;
/* Offset or -1; *fence is raised to what the memory waits for. bytes are rounded by mx_space_round. */
int64_t mx_space_alloc(mx_space *space, int64_t bytes, mx_fence *fence);
/* From now on large blocks may take what was kept for small ones; false: they could before. */
bool mx_space_use_all(mx_space *space);
/* Memory waiting for a store is reused last, other memory first (it is warm). false: no memory for the record. */
bool mx_space_free(mx_space *space, int64_t offset, int64_t bytes, mx_fence fence);
int64_t mx_space_used(const mx_space *space);
int64_t mx_space_bytes(const mx_space *space);
int64_t mx_space_large(const mx_space *space); /* of it, what large blocks may have */
int64_t mx_space_peak(const mx_space *space);

#endif
