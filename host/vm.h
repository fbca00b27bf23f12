/*
 * The blocked vector interpreter: kernel programs compiled to steps over block registers, and calls prepared and run.
 *
 *   vm_compile.c  program -> mx_kernel: register allocation, loops chosen, constants spread
 *   vm_view.c     how a slot sees the tile: runs, gathers, scatters, pieces
 *   vm_run.c      launch: calls -> units -> blocks; the step loop
 *   vm_box.c      elementwise calls with turned operands
 *   vm_reduce_shape.c, vm_reduce.c  REDUCE and COMBINE: trees of accumulators
 *   vm_scan.c     SCAN
 *
 * Layer: host. Threads: kernels are immutable; a prepared call is read by all workers; a mx_work belongs to one worker.
 *
 * Order: a call's points are numbered in C order of its dimensions, for REDUCE and SCAN after sorting them into
 * [outer kept, reduced, inner kept]. A block is a run of those numbers. Nothing that a result depends on comes from the
 * number of threads.
 */
#ifndef MX_VM_H
#define MX_VM_H

#include "engine/device.h"
#include "host/arena.h"
#include "host/fused.h"
#include "host/loops.h"
#include "host/parallel.h"
#include "host/reduce.h"

enum {
  MX_UNIT_POINTS = 32 << 10, /* a unit of parallel work */
  MX_SERIAL_WORK = 16 << 10, /* calls with less to do than this many additions do not fork */
  MX_BLOCK_MAX = 2048,
  MX_LANES_MAX = 512,        /* lanes of a strip, at least; also rows that a short reduction keeps */
  MX_LEAF_POINTS = 1024      /* a leaf of short lanes, and the longest short row: a block of a reduction holds it */
};

/* ---- views ---- */

/* Dimensions innermost first, those that follow one another in memory merged; at least one. */
typedef struct mx_window {
  char *base;
  int64_t index; /* generators: of point 0 */
  int nd, es;    /* es: bytes of an element, 1 for generators */
  bool copy;     /* loads: never in place, an output of the call stands on the same memory */
  int64_t shape[MARS_MAX_DIMS], stride[MARS_MAX_DIMS];
} mx_window;

/* Dimensions `order[0..nd)` of shape and stride, outermost first. */
void mx_window_init(mx_window *view, const mx_bind *bind, int es, int nd, const int *order, const int64_t *shape);
/* Offset of point p; *run: points from p on that follow one another with stride[0]. */
static inline int64_t mx_window_offset(const mx_window *v, int64_t p, int64_t *run) {
  int64_t offset, i;

  if (v->nd == 1) {
    *run = v->shape[0] - p;
    return p * v->stride[0];
  }
  i = p % v->shape[0];
  p /= v->shape[0];
  *run = v->shape[0] - i;
  offset = i * v->stride[0];
  for (int d = 1; d < v->nd - 1; d++) {
    offset += p % v->shape[d] * v->stride[d];
    p /= v->shape[d];
  }
  return offset + p * v->stride[v->nd - 1];
}
/* Address of points [p, p + n) if they lie contiguous, else NULL. */
static inline char *mx_window_run(const mx_window *v, int64_t p, int64_t n) {
  int64_t run, offset = mx_window_offset(v, p, &run);

  return n == 1 || (n <= run && v->stride[0] == v->es) ? v->base + offset : NULL;
}
void mx_window_gather(const mx_window *view, int64_t p, int64_t n, char *dst);
void mx_window_scatter(const mx_window *view, int64_t p, int64_t n, const char *src);
/* n copies of one element */
void mx_splat(char *dst, const char *src, int es, int64_t n);

/* ---- kernels ---- */

typedef enum mx_step_kind {
  MX_S_CALL,
  MX_S_FUSED, /* two or three CALLs in one: vm_peephole.c */
  MX_S_LOAD,
  MX_S_IOTA,
  MX_S_RANDOM,
  MX_S_COPY,
  MX_S_STORE,
  MX_S_REDUCE,
  MX_S_COUNT, /* a comparison and the COUNT_NONZERO of it */
  MX_S_SCAN
} mx_step_kind;

typedef struct mx_step {
  uint8_t kind, es;      /* es: bytes of an element of dst, or of what is stored */
  uint16_t slot;
  int32_t dst, a, b, c, d; /* values; n_values: none */
  mx_loop *fn;
  mx_fused_fn *fused;    /* FUSED */
  mx_fused_fn *stream;   /* CALL, FUSED: results past the caches; NULL: no such loop */
  int32_t stream_a, stream_b; /* CALL: its operands there, the constant last */
  mx_count_fn *count;    /* COUNT */
  mx_count_squares_fn *squares; /* COUNT of c*c + d*d against b, where a is that sum; else NULL */
  uint16_t op;           /* CALL of an elementwise op: which, over which dtype; else MX_OP_COUNT */
  uint8_t dtype;
  bool counted;          /* FUSED: read by a COUNT of squares alone, for `slot`: not needed where that has one count */
  bool scalar_b, scalar_c; /* FUSED: of these constants it reads the first element only */
  bool tail;             /* CALL, FUSED: the next step stores dst, and nobody else reads it */
} mx_step;

typedef struct mx_out {
  mx_out_desc desc;
  mx_instr_kind kind;          /* STORE, REDUCE, SCAN */
  mars_dtype src;              /* dtype of the register */
  const mx_reducer *reducer;   /* REDUCE */
  mars_dtype natural;          /* REDUCE: of finished values before the cast */
  mx_loop *cast;               /* REDUCE: natural -> desc.dtype, NULL if they are the same */
  mx_scan_fn *scan;            /* SCAN */
  int lane_bytes;              /* REDUCE: of an accumulator */
} mx_out;

struct mx_kernel {
  mx_mem *mem;
  uint64_t id;             /* never given twice: a worker knows by it what its memory shows */
  int ndim;
  uint32_t mask;
  int64_t space[MARS_MAX_DIMS];
  int64_t n_reduced;       /* product of the reduced extents of the space */
  int n_steps, n_values, n_in, n_gen, n_out, n_direct, n_reduce;
  bool scan;
  bool plain;              /* a load and REDUCEs of it, nothing else */
  bool rows4;              /* plain, and all of them take four rows at once */
  mx_step *steps;
  size_t *reg;             /* [n_values] offset in the worker's registers */
  uint8_t *value_bytes;    /* [n_values + 1] of an element; 0 behind the last */
  void **fixed;            /* [n_values + 1] constants' splats, else NULL */
  char *splats;
  int *in_bytes;           /* [n_in] of an element */
  mx_random *gens;
  mx_out *outs;
  struct mx_direct {
    int32_t value;
    uint16_t slot;
  } *direct;               /* values that may be computed where they are stored */
  int *reduce_slots;       /* [n_reduce] */
  int64_t block;           /* points of a full block */
  size_t reg_bytes;
  int lane_bytes;          /* of all REDUCE accumulators together */
  double weight;           /* cost of a point in additions */
  bool keep_loads;         /* registers of loads are not shared: spread scalars stay there between blocks */
};

/* What kernels are compiled against: all of one instruction set. */
typedef struct mx_vm_isa {
  const mx_loops *loops;
  const mx_reduce_table *reduce;
  const mx_fused *fused;
} mx_vm_isa;

mars_status mx_vm_compile(mx_mem *mem, const mx_vm_isa *isa, const mx_program *prog, mx_kernel **out, mars_error *err);
/* Joins steps. constant[v] >= 0: v is a constant; uses, def: room for n_values each. */
void mx_vm_peephole(mx_kernel *kernel, const mx_fused *fused, const int *constant, int *uses, int *def);
void mx_vm_kernel_destroy(mx_kernel *kernel); /* NULL is fine */

/* ---- calls ---- */

typedef enum mx_mode {
  MX_M_POINTS,       /* no reduction */
  MX_M_BOXES,        /* the same, where an operand is turned against the others */
  MX_M_SHORT_ROWS,   /* inner kept = 1, a row fits a block: whole rows in a block */
  MX_M_SHORT_GROUPS, /* reduced x inner kept fits a block: whole groups in a block */
  MX_M_STREAM,       /* lanes over (several rows of) inner kept, a tree over the rows */
  MX_M_SCAN,
  MX_M_COMBINE,
  MX_M_TILE
} mx_mode;

/* Shape of a reduction or scan: [ko][r][ki]. Depends on the tile's shape and the kernel alone. */
typedef struct mx_rshape {
  mx_mode mode;
  int64_t ko, r, ki;
  int64_t spread;       /* rows of ki side by side in the lanes, a power of two */
  int64_t lanes;        /* of a unit: spread * ki, or a strip of ki */
  int64_t strips;
  int64_t rows;         /* of spread * ki elements; the last may be short */
  int64_t splits, split_rows;
  int64_t kos;          /* ko's of a unit */
  int64_t units;
} mx_rshape;

/* Boxes of `height` points of dimension `high` by `width` of `wide`. */
typedef struct mx_box {
  int n_outer, outer[MARS_MAX_DIMS], high, wide;
  int64_t height, width, rows, columns, boxes;
} mx_box;

typedef struct mx_prep {
  const mx_call *call;
  const mx_kernel *kernel;
  int64_t view0;        /* in, gen, out views in the device's array */
  int64_t total;
  int64_t row, step;    /* blocks have at most `step` points and do not cross multiples of `row` */
  int64_t first_unit, units;
  int64_t unit_points;  /* POINTS */
  size_t acc_bytes;     /* of a worker, beside the registers */
  double work;
  mx_rshape shape;
  mx_box box;
} mx_prep;

/* One worker's memory. */
typedef struct mx_work {
  uint64_t kernel;         /* id of the kernel whose registers `ptr` shows, 0: none */
  char *mem;
  size_t bytes;
  void **ptr;              /* [n_values + 1] where each value's block is */
  char *regs;
  /* [n_in] with keep_loads: points of a register that hold `value`, or one and the same row again and again; 0: not so */
  struct mx_splatted { int64_t n, rows_n; char value[16]; } *splats;
  char *acc;
  double load;             /* products that the launch at hand is thought to give it */
} mx_work;

typedef struct mx_host {
  mx_device base;
  mx_mem *mem;
  mx_host_machine machine;
  mx_arena arena;
  mx_pool *pool;
  mx_vm_isa isa;
  mx_work *work; /* [threads] */
  mx_prep *preps;
  mx_window *views;
  struct mx_piece_unit *pieces;
  int64_t cap_preps, cap_views, cap_pieces;
  atomic_bool tile_failed;      /* in the launch that runs */
  mars_status tile_status;      /* of the first that failed */
  mars_error tile_error;
} mx_host;

enum { MX_TREE_LEVELS = 48 };

/* Where a part of an accumulator stands in a state, and the bytes of a lane; bytes 0: no such part. */
typedef struct mx_part {
  size_t offset, bytes;
} mx_part;

/* A unit being run: one worker, one call. */
typedef struct mx_run {
  const mx_host *host;
  const mx_prep *prep;
  const mx_kernel *kernel;
  const mx_call *call;
  const mx_window *in, *gen, *out;
  mx_work *work;
  /* reductions: accumulators in progress, and the tree */
  const int *slots;      /* that are reduced */
  int n_slots;
  int64_t lanes;         /* of the accumulators below; 0: not set up */
  struct mx_part *parts; /* [3 n_slots] where parts stand in a state of `lanes` lanes */
  struct mx_part *joined; /* the same with ki lanes */
  int64_t pos, k, row;   /* next lane, rows in the current leaf, row number */
  int64_t point;         /* of the block's first element among the reduced ones (ki = 1) */
  bool all_flat;         /* there is no tree */
  bool leaf4;            /* 64 lanes, and all slots take four leaves at once */
  int64_t leaves;
  size_t state_bytes;
  char *cur, *tree[MX_TREE_LEVELS];
  char *flat;            /* [n_slots] accumulators of one lane: kernels that need no tree; NULL: all are in the tree */
  char *temp;            /* finished values before their cast */
  /* scans: `row` is the first ko of a block of whole groups */
  char *carry;
  bool first;
} mx_run;

/* Run the steps on points [p, p + n). */
void mx_vm_block(mx_run *run, int64_t p, int64_t n);
/* Longest block at p, at most n. */
static inline int64_t mx_vm_block_points(const mx_prep *prep, int64_t p, int64_t n) {
  if (n > prep->step) n = prep->step;
  if (prep->row < prep->total) {
    int64_t left = prep->row - p % prep->row;

    if (n > left) n = left;
  }
  return n;
}

/* vm_reduce.c */
void mx_group_extents(const mx_kernel *kernel, const int64_t *shape, mx_rshape *out); /* ko, r, ki; the rest 0 */
void mx_reduce_shape(const mx_kernel *kernel, const int64_t *shape, mx_rshape *out);
int mx_reduce_levels(int64_t rows); /* of the tree over the leaves of so many rows; at least 1 */
size_t mx_reduce_scratch(const mx_kernel *kernel, const mx_rshape *shape); /* bytes of the call's scratch */
size_t mx_reduce_acc_bytes(const mx_prep *prep);                           /* bytes of a worker */
void mx_reduce_begin(const mx_prep *prep);                                 /* before the units, on one thread */
void mx_reduce_unit(mx_run *run, int64_t unit);
void mx_reduce_feed(mx_run *run, int slot, const char *src, int64_t n);    /* the REDUCE step */
int64_t *mx_reduce_counter(mx_run *run, int slot); /* the one count of a COUNT slot, NULL where it has lanes */
void mx_combine_prepare(mx_prep *prep);
void mx_combine_unit(mx_run *run, int64_t unit);

/* vm_box.c; nd, order: the tile's dimensions of more than one point, outermost first */
bool mx_box_prepare(mx_prep *prep, int nd, const int *order);
void mx_box_unit(mx_run *run, int64_t unit);

/* vm_scan.c */
void mx_scan_shape(const mx_kernel *kernel, const int64_t *shape, mx_rshape *out);
void mx_scan_unit(mx_run *run, int64_t unit);
void mx_scan_feed(mx_run *run, int slot, const char *src, char *dst, int64_t n); /* the SCAN step */

/* vm_run.c: the device's launch */
/* here: by the calling thread alone. */
mars_status mx_vm_launch(mx_host *host, mx_call *const *calls, int n, bool here, mars_error *err);
/* Of calls each of which may follow those before it (vm_rows.c): the workers go through them together where their units allow it. */
mars_status mx_vm_launch_rows(mx_host *host, mx_call *const *calls, int n, mars_error *err);

/* vm_rows.c: may `next`, which depends on these calls, be done unit by unit after theirs? */
bool mx_vm_follows(mx_call *const *calls, int n, const mx_call *next);
/* Into how many parts of the same rows the calls' units fall; those of tile operations are made so. 0: they do not. */
int64_t mx_vm_common_units(mx_prep *preps, int n);
/* Where something lies that only the calls of a row need, and the bytes of a part of it. */
enum { MX_MOST_PASSING = 16 };
typedef struct mx_passing {
  const char *begin;
  int64_t part_bytes;
} mx_passing;
/* All such places of calls that are done in `parts` parts; their number. */
int mx_vm_passing(mx_call *const *calls, int n, int64_t parts, mx_passing *out);
/* The same address `by` parts further, if it is one of these places. */
char *mx_vm_shifted(const mx_passing *p, int n, char *base, int64_t by);
/* vm_pieces.c: gather all pieces of the calls' loads */
mars_status mx_vm_gather_pieces(mx_host *host, mx_call *const *calls, int n, mars_error *err);
/* *array holds at least n records; keeps what is there */
mars_status mx_vm_reserve(mx_mem *mem, void **array, int64_t *cap, int64_t n, size_t bytes, mars_error *err);

#endif
