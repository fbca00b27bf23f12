/*
 * Routines: operations that are more than one pass over elements (products, factorisations).
 *
 * A ROUTINE row of ops.def has: its public call and shape inference in engine/graph; its tile rule in
 * engine/routines/<name>.c, an mx_routine that is listed in routines/table.c; tile operations (routines/tiles.def) with one
 * kernel file per device. The tile rule turns one kernel into a list of tasks; each runs one tile operation on matrices that
 * lie in chunks. Tasks stand in the order in which they are to run. Everything else (residency, spilling, prefetch,
 * recomputation of operands, checks of the schedule) is the planner's as for every other task.
 *
 * Operands are read only, through their views; what a routine works on in place are chunks of its own (mx_r_temp), whose
 * every update makes a new version that takes over the memory of the one before. Nothing may read an old version later.
 *
 * Every function may be called after a failure (no memory): it then does nothing, and the end tells.
 *
 * Layer: engine. Threads: the session's.
 */
#ifndef MX_ROUTINE_H
#define MX_ROUTINE_H

#include "engine/plan/plan.h"

/* Flags of routine nodes (mx_routine_attr.flags). */
enum {
  MX_RF_CONJ_A = 1, MX_RF_CONJ_B = 2, /* MATMUL: operand conjugated */
  MX_RF_SYMMETRIC = 4,                /* MATMUL: b is a's transpose (HERMITIAN: conjugate transpose) */
  MX_RF_HERMITIAN = 8,
  MX_RF_LOWER = 16, MX_RF_UNIT = 32,  /* SOLVE_TRIANGULAR */
  MX_RF_COMPLETE = 64,                /* QR, SVD: full matrices */
  MX_RF_SINGULAR = 128                /* INV: a singular matrix is no error; what comes out of it is not finite */
};

struct mx_rbuild;

typedef struct mx_routine {
  mx_op op;
  /* Grids of the results that are wanted (plan->values.at[k->result[i]].grid; default: plan->chunk_elements, square), from
     shapes, plan->chunk_elements, plan->attempt (each time smaller working sets are asked for) and the arena. Sets mirror
     where the rule makes the lower chunks only. NULL: the default grids. */
  mars_status (*grids)(mx_plan *plan, mx_pkernel *k, mars_error *err);
  void (*tasks)(struct mx_rbuild *b);
} mx_routine;

const mx_routine *mx_routine_of(mx_op op); /* routines/table.c */

typedef MX_VEC(int32_t) mx_stamps;

typedef struct mx_rbuild {
  mx_plan *plan;
  mx_pkernel *k;
  int32_t kernel;       /* its number */
  mars_dtype dtype;     /* in which the routine works: operand 0's */
  int64_t elem;         /* bytes of it */
  int64_t first_rtask;
  int32_t task;         /* being made, -1 */
  int32_t group;        /* first rtask of the open group, -1 */
  bool broken;          /* the next task need not follow the last */
  int64_t matrix;       /* 1 + number of the matrix of a stack that tasks are about, 0: there is one; p[3] of the tasks to come */
  mx_stamps *stamp;     /* per chunk: 1 + last task that lists it as input */
  mars_status st;       /* first failure */
  mars_error *err;
} mx_rbuild;

/* Records a failure that is not about memory (a routine's own refusal); the first one counts. */
void mx_r_fail(mx_rbuild *b, mars_status st, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The tasks to come are about matrix `number` of the stack of n that the first nd axes of a shape are: its coordinates there. */
void mx_r_matrix(mx_rbuild *b, const mars_shape *shape, int nd, int64_t number, int64_t n, int64_t *batch);

/* ---- chunks ---- */

/* A new chunk of `bytes` bytes that only this routine sees. */
int32_t mx_r_temp(mx_rbuild *b, int64_t bytes);
/* The same with the size and place of another chunk, so that that one may take it over in the end (mx_r_into). */
int32_t mx_r_temp_like(mx_rbuild *b, int32_t chunk);
/* Chunk `index` of result `which`, which is wanted. */
int32_t mx_r_result(mx_rbuild *b, int which, int64_t index);
/* Start and extents of that chunk, all axes. */
void mx_r_result_box(const mx_rbuild *b, int which, int64_t index, int64_t *start, int64_t *extent);
/* The last two axes of that result's chunk, as a matrix (C order, or the caller's memory); batch axes have extent 1 there. */
mx_rarg mx_r_result_mat(mx_rbuild *b, int which, int64_t index);

/* ---- matrices ---- */

mx_rarg mx_r_mat(int32_t chunk, int64_t rows, int64_t cols);    /* the whole chunk, C order */
mx_rarg mx_r_mat_f(int32_t chunk, int64_t rows, int64_t cols);  /* the whole chunk, column-major */
mx_rarg mx_r_sub(const mx_rbuild *b, const mx_rarg *a, int64_t row, int64_t col, int64_t rows, int64_t cols);
/* For matrices of another dtype than the routine's: elem_bytes. */
mx_rarg mx_r_sub_bytes(const mx_rarg *a, int64_t row, int64_t col, int64_t rows, int64_t cols, int64_t elem_bytes);
mx_rarg mx_r_t(const mx_rarg *a); /* transposed */
/* Rows [row, row + rows) and columns [col, col + cols) of operand `slot`; batch: coordinates of its leading axes (NULL if it
   has two axes). Where the box stands in one chunk with stride 1 in either direction it is addressed in place; otherwise
   COPY tasks bring it into a temporary chunk. So this makes tasks: call it between tasks. Operands with one axis: cols
   counts along it, rows is 1. */
mx_rarg mx_r_operand(mx_rbuild *b, int slot, const int64_t *batch, int64_t row, int64_t col, int64_t rows, int64_t cols);
/* COPY task: operand box into dst (a chunk of the routine's own that is first written here). */
void mx_r_load(mx_rbuild *b, int slot, const int64_t *batch, int64_t row, int64_t col, const mx_rarg *dst);
/* The same for rows [from, from + rows) of dst, in place where its chunk is there already: dst->chunk is then the next version. */
void mx_r_load_rows(mx_rbuild *b, int slot, const int64_t *batch, int64_t row, int64_t col, mx_rarg *dst, int64_t from, int64_t rows);
/* The same as COPY tasks of `band` rows each, so that no more of the operand than that need be in memory beside dst, whose
   chunk is the last version afterwards. */
void mx_r_load_bands(mx_rbuild *b, int slot, const int64_t *batch, int64_t row, int64_t col, mx_rarg *dst, int64_t band);

/* ---- tasks ---- */

void mx_r_begin(mx_rbuild *b, mx_tile_op op, unsigned flags);
void mx_r_p(mx_rbuild *b, int i, int64_t value);
/* Operands in the order of tiles.def. */
void mx_r_read(mx_rbuild *b, const mx_rarg *m);
void mx_r_write(mx_rbuild *b, const mx_rarg *m); /* written for the first time; a chunk may be written once only */
/* In place: m->chunk becomes the next version. A chunk may be updated through one operand of a task only. */
void mx_r_update(mx_rbuild *b, mx_rarg *m);
/* In place, and the version that comes out is `chunk` (a result that mx_r_temp_like was made after). */
void mx_r_into(mx_rbuild *b, mx_rarg *m, int32_t chunk);
/* scratch_bytes: what the tile operation needs beside its operands; flops: for the cost model. */
void mx_r_end(mx_rbuild *b, int64_t scratch_bytes, double flops);
/* The next task may run before the last one (another block of the result): order then follows whoever reads the results. */
void mx_r_break(mx_rbuild *b);
/* Tasks between these two are independent: their operands are all made ready before the first, so that they run side by
   side. */
void mx_r_group_begin(mx_rbuild *b);
void mx_r_group_end(mx_rbuild *b);

/* ---- sizes ---- */

/* Extent of a chunk of an operand along one of its axes; 0: it is not cut along it (or lies in caller memory). */
int64_t mx_r_axis_chunk(const mx_plan *plan, const mx_pkernel *k, int slot, int axis);

/* Largest width w <= most, a multiple of `unit` where possible and at least 1, with `count * rows * w * elem` bytes inside
   1 / share of the arena at the plan's attempt (which halves it each time). */
int64_t mx_r_width(const mx_plan *plan, int64_t rows, int64_t elem, int64_t share, int64_t unit, int64_t most);

/* engine/tile/routine.c: chunks and tasks of all routine kernels. */
mars_status mx_tile_routine(mx_plan *plan, int32_t kernel, mx_stamps *stamp, mars_error *err);

#endif
