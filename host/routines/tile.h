/*
 * Tile operations on the host: the operations of engine/routines/tiles.def, on BLAS and LAPACK.
 *
 * Every operation NAME has two functions, mx_tile_units_NAME and mx_tile_run_NAME, in the kernel file of its routine.
 * A call may be cut into units that run side by side, each on one thread. BLAS and LAPACK themselves are kept to one thread: with more
 * their results would depend on how many.
 *
 * Layer: host. Threads: units of one call run at the same time; they write disjoint parts.
 */
#ifndef MX_TILE_H
#define MX_TILE_H

#include "engine/device.h"
#include "engine/status.h"
#include "host/routines/blas.h"

/* How many units to cut a call into, when `threads` threads have nothing else to do. */
typedef int64_t mx_tile_units_fn(const mx_tile_call *t, int threads);
/* Unit `unit` of `units`. scratch: the call's, shared by its units. */
typedef mars_status mx_tile_run_fn(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err);

#define TILE(id, name)                                                                                       \
  mx_tile_units_fn mx_tile_units_##name;                                                                     \
  mx_tile_run_fn mx_tile_run_##name;
#include "engine/routines/tiles.def"

int64_t mx_tile_units(const mx_tile_call *t, int threads);
/* May a call be cut into any number of units, some more than there are threads, by its device's choice? */
bool mx_tile_cuts_freely(const mx_tile_call *t);
/* Multiplications of GEMM and SYRK; 0: of anything else. */
double mx_tile_product_work(const mx_tile_call *t);
mars_status mx_tile_run(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err);

/* Could it be done in `units` equal parts, part i making rows [i, i + 1) * rows / units of A0 (TALL_GRAM: no rows of anything) from the
   same rows of A1 and from all of the others, with the bits that it has when it is done in one? */
bool mx_tile_rows(const mx_tile_call *t, int64_t units);
int64_t mx_tile_gram_scratch(const mx_tile_call *t); /* bytes of a TALL_GRAM */
bool mx_tile_rows_tall_gram(const mx_tile_call *t, int64_t units);
bool mx_tile_rows_gemm(const mx_tile_call *t, int64_t units);
bool mx_tile_rows_tall_mul(const mx_tile_call *t, int64_t units);

/* Part `unit` of [0, n) cut into `units` nearly equal runs that start at multiples of `align`. */
void mx_tile_part(int64_t n, int64_t align, int64_t unit, int64_t units, int64_t *begin, int64_t *end);

/* Matrix-matrix product of the call's dtype on strided matrices (one stride of each is 1): c = (first ? 0 : c) +- op(a) op(b). */
void mx_tile_gemm(mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a, const mx_mat *b);

/* Has a product of floats in BLAS (operands not conjugated) that is cut at multiples of MX_CUT_ALIGN rows or columns the bits of the
   whole? Asked of products with more than MX_CUT_LEAST multiplications in every part: smaller ones may take other ways through BLAS. */
enum { MX_CUT_ALIGN = 48, MX_CUT_LEAST = 1 << 24 };
bool mx_blas_cuts_freely(mars_dtype dt);

/* Lower triangle of c = (FIRST ? 0 : c) +- a a^T, with HERM a a^H; flags as of the operation SYRK but CONJ. */
void mx_tile_syrk(mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a);
/* b = op(a)^-1 b or b op(a)^-1; flags LOWER, UPPER, UNIT, TRANS, CONJ (with TRANS), RIGHT as of the operation TRSM. */
void mx_tile_trsm(mars_dtype dt, unsigned flags, const mx_mat *a, const mx_mat *b);
/* Parts that n rows or columns of work are cut into. The number of threads does not count: results have the same bits. */
int64_t mx_tile_parts(int64_t n);

static inline mx_mat mx_mat_sub(const mx_mat *a, size_t elem, int64_t row, int64_t col, int64_t rows, int64_t cols) {
  return (mx_mat){a->base + (row * a->rs + col * a->cs) * (int64_t)elem, rows, cols, a->rs, a->cs};
}
/* Of an element of the dtype that tall matrices are multiplied in. */
static inline size_t mx_tile_wide_bytes(mars_dtype dt) { return dt >= MARS_C64 ? 16 : 8; }
static inline mx_mat mx_mat_t(const mx_mat *a) { return (mx_mat){a->base, a->cols, a->rows, a->cs, a->rs}; }
/* Leading dimension for BLAS: at least 1 and at least the length of a run. */
static inline int mx_mat_ld(const mx_mat *a) {
  const int64_t ld = a->cs == 1 ? a->rs : a->cs, run = a->cs == 1 ? a->cols : a->rows;
  return (int)(ld >= run && ld > 0 ? ld : run > 0 ? run : 1);
}

#endif
