/*
 * Tile operations on the CUDA device: engine/routines/tiles.def says what each does. cuda/README.md says which stay on the host.
 *
 *   tile.c      dispatch, scratch; COPY, FILL, TRI and mirrors by kernels of ours
 *   finding.c   what operations find out on the device: pivots, what is not finite
 *   blas.c      handles; GEMM, SYRK, TRSM by cuBLAS
 *   integers.c  GEMM of integers by a kernel of ours
 *   solver.c    cuSOLVER's functions, for four dtypes
 *   chol.c      CHOL
 *   lu.c        LU_PANEL, LU_STEP, LU_UPDATE, LU_BACK, LU_FORWARD_T, LU_BACK_T, LU_LOWER, LU_DIAG
 *   qr.c        QR_PANEL, QR_APPLY; reflections for tall.c
 *   tall.c      TALL_GRAM, TALL_MUL, TALL_QR, TALL_APPLY
 *   dense.c     SVD, EIGH
 *
 * Layer: cuda. Threads: the device's owner, and for scratch the session's thread, one at a time (mx_cuda.tiles). Everything is queued
 * on the compute stream.
 */
#ifndef MX_CUDA_ROUTINES_H
#define MX_CUDA_ROUTINES_H

#include "cuda/device.h"

enum { MX_CHECKS = 256, MX_WORK_BYTES = 16 << 20 };

/* A finding of an operation, looked at after the launch: 64 bits on the device. */
typedef enum mx_finding {
  /* an int that cuSOLVER writes: below 0 for an argument, else */
  MX_FOUND_INFO,     /* ignored */
  MX_FOUND_MINOR,    /* a leading minor of this order is not positive */
  MX_FOUND_DIVERGED, /* an iteration did not converge */
  /* the least number of an element that is not as it should be */
  MX_FOUND_ZERO,     /* on a triangle's diagonal */
  MX_FOUND_NEGATIVE, /* on a Cholesky factor's diagonal: or NaN */
  MX_FOUND_PIVOT,    /* a zero pivot of LU */
  MX_FOUND_INFINITE  /* something that is not finite */
} mx_finding;
typedef struct mx_check {
  mx_finding kind;
  const char *fn, *what; /* what: of an iteration, "eigenvalues"; "row" or "column" of a pivot */
  int64_t first;         /* index of the first row; INFINITE: of the first column */
  int64_t matrix;        /* as mx_tile_call.p[3] */
  int64_t length;        /* INFINITE: of a line */
  bool by_rows;          /* lines are rows */
} mx_check;

typedef struct mx_cuda_blas {
  cublasHandle_t blas;
  cusolverDnHandle_t solver;
  CUdeviceptr info;     /* uint64_t[MX_CHECKS] */
  uint64_t *info_host;  /* pinned */
  mx_check check[MX_CHECKS];
  int n_checks;
  CUdeviceptr work;     /* conjugated panels */
  size_t work_bytes;
} mx_cuda_blas;

/* ---- blas.c ---- */
/* The handles, created when they are first wanted. */
mars_status mx_cuda_blas_open(mx_cuda *dev, mx_cuda_blas **out, mars_error *err);
mars_status mx_cuda_solver_open(mx_cuda *dev, mx_cuda_blas **out, mars_error *err);
mars_status mx_cuda_tiles_open(mx_cuda *dev, mars_error *err); /* the record alone */
mars_status mx_cuda_blas_check(mx_cuda *dev, int status, const char *what, mars_error *err);
mars_status mx_cuda_solver_check(mx_cuda *dev, int status, const char *what, mars_error *err);
/* At least so many bytes of workspace; operations on the stream use it one after another. */
mars_status mx_cuda_work(mx_cuda *dev, size_t bytes, CUdeviceptr *out, mars_error *err);
/* C = (FIRST ? 0 : C) +- op(A) op(B), flags as of GEMM. */
mars_status mx_cuda_product(mx_cuda *dev, mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a, const mx_mat *b, mars_error *err);
/* b = op(a)^-1 b or b op(a)^-1, flags as of TRSM but CHECK. */
mars_status mx_cuda_solve(mx_cuda *dev, mars_dtype dt, unsigned flags, const mx_mat *b, const mx_mat *a, mars_error *err);

/* ---- finding.c ---- */
/* Room for the next finding, cleared. */
mars_status mx_cuda_finding(mx_cuda *dev, const mx_check *what, CUdeviceptr *out, mars_error *err);
/* The first failure of those that were asked for since; waits for the stream. */
mars_status mx_cuda_judge(mx_cuda *dev, mars_error *err);
/* Is a matrix finite? One triangle with the diagonal (flags MX_TF_LOWER or MX_TF_UPPER), or all of it. */
mars_status mx_cuda_finite(mx_cuda *dev, const mx_tile_call *t, const mx_mat *a, unsigned flags, int64_t first_column, mars_error *err);
mars_status mx_cuda_finding_diagonal(mx_cuda *dev, mars_dtype dt, const mx_mat *a, const mx_check *what, mars_error *err);

/* ---- matrices ---- */
static inline bool mx_is_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }
static inline bool mx_mat_rows(const mx_mat *a) { return a->cs == 1 || a->cols == 1; } /* rows, or what may pass for them */
/* Leading dimension as BLAS wants it: at least the run's length. */
static inline int mx_mat_ld(const mx_mat *a, bool rows) {
  int64_t ld = rows ? a->rs : a->cs, run = rows ? a->cols : a->rows;

  return (int)(ld > run ? ld : run > 1 ? run : 1);
}
static inline mx_mat mx_mat_t(const mx_mat *a) { return (mx_mat){a->base, a->cols, a->rows, a->cs, a->rs}; }
static inline mx_mat mx_mat_part(const mx_mat *a, size_t es, int64_t row, int64_t col, int64_t rows, int64_t cols) {
  return (mx_mat){a->base + (row * a->rs + col * a->cs) * (int64_t)es, rows, cols, a->rs, a->cs};
}
static inline mx_mat mx_mat_columns(char *base, int64_t rows, int64_t cols) { return (mx_mat){base, rows, cols, 1, rows}; }
static inline mx_mat mx_mat_by_rows(char *base, int64_t rows, int64_t cols) { return (mx_mat){base, rows, cols, cols, 1}; }
/* Scratch is taken piece by piece; with scratch NULL the pieces are only counted. */
static inline char *mx_take(char **scratch, size_t *used, int64_t bytes) {
  char *p = *scratch != NULL ? *scratch + *used : NULL;

  *used += ((size_t)bytes + 255) & ~(size_t)255;
  return p;
}

/* ---- kernels of tile.c ---- */
mars_status mx_cuda_conj(mx_cuda *dev, mars_dtype dt, const mx_mat *to, const mx_mat *from, mars_error *err);
mars_status mx_cuda_mirror(mx_cuda *dev, mars_dtype dt, const mx_mat *a, bool herm, mars_error *err);
mars_status mx_cuda_triangle(mx_cuda *dev, mars_dtype dt, const mx_mat *to, const mx_mat *from, bool lower, int64_t diag, bool unit,
                             mars_error *err);
/* Rows and columns of one matrix to another. */
mars_status mx_cuda_copy_mat(mx_cuda *dev, mars_dtype dt, const mx_mat *to, const mx_mat *from, mars_error *err);
/* Zeros. */
mars_status mx_cuda_clear(mx_cuda *dev, char *at, size_t bytes, mars_error *err);
/* A kernel of base.cuh and another file's text, "name_f64" or "name_8", by enough blocks of 256 threads for n elements. */
mars_status mx_cuda_tile_kernel(mx_cuda *dev, const char *text, const char *name, mars_dtype dt, int64_t n, const uint64_t *words, int n_words,
                                mars_error *err);
mars_status mx_cuda_tile_kernel_bytes(mx_cuda *dev, const char *text, const char *name, mars_dtype dt, int64_t n, const uint64_t *words,
                                      int n_words, mars_error *err);
mars_status mx_cuda_tile_fn(mx_cuda *dev, const char *text, const char *name, CUfunction *fn, mars_error *err);

/* ---- solver.c ---- */
/* Bytes of workspace; < 0: the library does not say. */
int64_t mx_solver_potrf_bytes(mx_cuda *dev, mars_dtype dt, bool upper, int n, int ld);
int64_t mx_solver_getrf_bytes(mx_cuda *dev, mars_dtype dt, int m, int n, int ld);
int64_t mx_solver_geqrf_bytes(mx_cuda *dev, mars_dtype dt, int m, int n, int ld);
int64_t mx_solver_syevd_bytes(mx_cuda *dev, mars_dtype dt, bool vectors, bool upper, int n, int ld);
int64_t mx_solver_gesvd_bytes(mx_cuda *dev, mars_dtype dt, int m, int n);
/* Matrices by columns; bytes: of the workspace, as they were told; info: an int on the device. */
typedef struct mx_solver_work {
  void *at;
  int64_t bytes;
  int *info;
} mx_solver_work;
mars_status mx_solver_potrf(mx_cuda *dev, mars_dtype dt, bool upper, int n, void *a, int ld, const mx_solver_work *w, mars_error *err);
mars_status mx_solver_getrf(mx_cuda *dev, mars_dtype dt, int m, int n, void *a, int ld, int *pivot, const mx_solver_work *w, mars_error *err);
mars_status mx_solver_geqrf(mx_cuda *dev, mars_dtype dt, int m, int n, void *a, int ld, void *tau, const mx_solver_work *w, mars_error *err);
mars_status mx_solver_syevd(mx_cuda *dev, mars_dtype dt, bool vectors, bool upper, int n, void *a, int ld, void *values,
                            const mx_solver_work *w, mars_error *err);
typedef struct mx_solver_svd {
  signed char job; /* 'N', 'S', 'A', of both sides */
  int m, n, ld, ldu, ldv; /* m >= n */
  void *a, *s, *u, *v, *rwork;
} mx_solver_svd;
mars_status mx_solver_gesvd(mx_cuda *dev, mars_dtype dt, const mx_solver_svd *x, const mx_solver_work *w, mars_error *err);

/* ---- operations: queue one; its scratch, false where the host had better do it ---- */
typedef mars_status mx_cuda_tile_run(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err);
typedef bool mx_cuda_tile_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes);
mx_cuda_tile_run mx_cuda_gemm, mx_cuda_syrk, mx_cuda_trsm, mx_cuda_chol, mx_cuda_lu_panel, mx_cuda_lu_step, mx_cuda_lu_update,
    mx_cuda_lu_back, mx_cuda_lu_forward_t, mx_cuda_lu_back_t, mx_cuda_lu_lower, mx_cuda_lu_diag, mx_cuda_qr_panel, mx_cuda_qr_apply,
    mx_cuda_svd, mx_cuda_eigh, mx_cuda_tall_gram, mx_cuda_tall_mul, mx_cuda_tall_qr, mx_cuda_tall_apply;
mx_cuda_tile_bytes mx_cuda_chol_bytes, mx_cuda_lu_panel_bytes, mx_cuda_lu_step_bytes, mx_cuda_qr_panel_bytes, mx_cuda_qr_apply_bytes,
    mx_cuda_svd_bytes, mx_cuda_eigh_bytes, mx_cuda_tall_gram_bytes, mx_cuda_tall_mul_bytes, mx_cuda_tall_qr_bytes,
    mx_cuda_tall_apply_bytes;

mars_status mx_cuda_product_int(mx_cuda *dev, mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a, const mx_mat *b,
                                mars_error *err);

/* ---- reflections, qr.c ---- */
/* First k columns of a (by columns, m rows) into reflectors and r; tri: their triangle T (k x k, its own leading dimension), 0 below
   its diagonal, for each `nb` columns one beside the other. */
mars_status mx_cuda_reflectors(mx_cuda *dev, const mx_tile_call *t, mars_dtype dt, const mx_mat *a, int64_t nb, const mx_mat *tri, char *scratch,
                               mars_error *err);
/* c = (I - V T V^H) c, or with its conjugate transpose; V in the lower trapezoid of v. */
mars_status mx_cuda_reflect(mx_cuda *dev, mars_dtype dt, bool trans, const mx_mat *c, const mx_mat *v, const mx_mat *tri, char *scratch,
                            mars_error *err);
/* Their scratch; < 0: unknown. */
int64_t mx_cuda_reflectors_bytes(mx_cuda *dev, mars_dtype dt, int64_t m, int64_t k, int64_t nb);
int64_t mx_cuda_reflect_bytes(mars_dtype dt, int64_t k, int64_t n);

/* ---- user.c ---- */
mars_status mx_cuda_user(mx_cuda *dev, const mx_tile_call *t, mars_error *err);

#endif
