/* GEMM, SYRK, TRSM by cuBLAS, whose matrices are column-major. Contract: cuda/routines/routines.h. */
#include "cuda/routines/routines.h"

#include <stdio.h>
#include <string.h>

/* ---- handles ---- */

static mars_status check(mx_cuda *dev, int status, int no_memory, const char *domain, const char *what, mars_error *err) {
  mars_status st = status == no_memory ? MARS_E_MEMORY : MARS_E_DEVICE;

  if (status == 0) return MARS_OK;
  mx_fail(err, st, "mars_run: %s: %s: status %d", dev->name, what, status);
  if (err != NULL) {
    err->code = status;
    snprintf(err->domain, sizeof err->domain, "%s", domain);
  }
  return st;
}

mars_status mx_cuda_blas_check(mx_cuda *dev, int status, const char *what, mars_error *err) {
  return check(dev, status, (int)CUBLAS_STATUS_ALLOC_FAILED, "cublasStatus_t", what, err);
}

mars_status mx_cuda_solver_check(mx_cuda *dev, int status, const char *what, mars_error *err) {
  return check(dev, status, (int)CUSOLVER_STATUS_ALLOC_FAILED, "cusolverStatus", what, err);
}

mars_status mx_cuda_tiles_open(mx_cuda *dev, mars_error *err) {
  if (dev->blas == NULL) dev->blas = mx_alloc(dev->mem, sizeof *dev->blas);
  return dev->blas != NULL ? MARS_OK : mx_fail(err, MARS_E_MEMORY, "mars_run: %s: no memory for cuBLAS", dev->name);
}

mars_status mx_cuda_blas_open(mx_cuda *dev, mx_cuda_blas **out, mars_error *err) {
  mars_status st = MARS_OK;

  MX_TRY(mx_cuda_tiles_open(dev, err));
  if (dev->blas->blas == NULL) {
    MX_TRY(mx_cuda_need(mx_cuda_load(MX_LIB_CUBLAS), MX_LIB_CUBLAS, "mars_run: matrix products on a CUDA device", err));
    MX_TRY(mx_cuda_blas_check(dev, (int)dev->cu->cublasCreate(&dev->blas->blas), "cublasCreate", err));
    MX_TRY(mx_cuda_blas_check(dev, (int)dev->cu->cublasSetStream(dev->blas->blas, dev->compute), "cublasSetStream", err));
  }
  *out = dev->blas;

done:
  return st;
}

mars_status mx_cuda_solver_open(mx_cuda *dev, mx_cuda_blas **out, mars_error *err) {
  mars_status st = MARS_OK;

  MX_TRY(mx_cuda_tiles_open(dev, err));
  if (dev->blas->solver == NULL) {
    MX_TRY(mx_cuda_need(mx_cuda_load(MX_LIB_CUSOLVER), MX_LIB_CUSOLVER, "mars_run: factorisations on a CUDA device", err));
    MX_TRY(mx_cuda_solver_check(dev, (int)dev->cu->cusolverDnCreate(&dev->blas->solver), "cusolverDnCreate", err));
    MX_TRY(mx_cuda_solver_check(dev, (int)dev->cu->cusolverDnSetStream(dev->blas->solver, dev->compute), "cusolverDnSetStream", err));
  }
  *out = dev->blas;

done:
  return st;
}

void mx_cuda_blas_destroy(mx_cuda *dev) {
  mx_cuda_blas *b = dev->blas;

  if (b == NULL) return;
  if (b->blas != NULL) (void)dev->cu->cublasDestroy(b->blas);
  if (b->solver != NULL) (void)dev->cu->cusolverDnDestroy(b->solver);
  if (b->info != 0) (void)dev->cu->cuMemFree(b->info);
  if (b->info_host != NULL) (void)dev->cu->cuMemFreeHost(b->info_host);
  if (b->work != 0) (void)dev->cu->cuMemFree(b->work);
  mx_free(dev->mem, b);
  dev->blas = NULL;
}

mars_status mx_cuda_work(mx_cuda *dev, size_t bytes, CUdeviceptr *out, mars_error *err) {
  mars_status st = MARS_OK;
  mx_cuda_blas *b = dev->blas;

  if (bytes > b->work_bytes) {
    MX_TRY(mx_cuda_check(dev, dev->cu->cuStreamSynchronize(dev->compute), "waiting for the workspace", err));
    if (b->work != 0) (void)dev->cu->cuMemFree(b->work);
    b->work = 0;
    b->work_bytes = 0;
    MX_TRY(mx_cuda_room(dev, bytes, MX_ROOM_WORK, &b->work, "workspace of a routine", err));
    b->work_bytes = bytes;
  }
  *out = b->work;

done:
  return st;
}

/* ---- GEMM ---- */

typedef struct operand {
  const char *base;
  int ld;
  cublasOperation_t op;
} operand;

/* C (m x n) = alpha op(A) op(B) + beta C, all by columns. */
static int gemm(const mx_cuda *dev, cublasHandle_t h, mars_dtype dt, int m, int n, int k, double alpha, const operand *a, const operand *b,
                double beta, char *c, int ldc) {
  const float sa = (float)alpha, sb = (float)beta;
  const cuComplex ca = {sa, 0}, cb = {sb, 0};
  const cuDoubleComplex za = {alpha, 0}, zb = {beta, 0};

  switch (dt) {
  case MARS_F32:
    return (int)dev->cu->cublasSgemm(h, a->op, b->op, m, n, k, &sa, (const float *)a->base, a->ld, (const float *)b->base, b->ld, &sb, (float *)c, ldc);
  case MARS_F64:
    return (int)dev->cu->cublasDgemm(h, a->op, b->op, m, n, k, &alpha, (const double *)a->base, a->ld, (const double *)b->base, b->ld, &beta,
                                     (double *)c, ldc);
  case MARS_C64:
    return (int)dev->cu->cublasCgemm(h, a->op, b->op, m, n, k, &ca, (const cuComplex *)a->base, a->ld, (const cuComplex *)b->base, b->ld, &cb,
                                     (cuComplex *)c, ldc);
  default:
    return (int)dev->cu->cublasZgemm(h, a->op, b->op, m, n, k, &za, (const cuDoubleComplex *)a->base, a->ld, (const cuDoubleComplex *)b->base,
                                     b->ld, &zb, (cuDoubleComplex *)c, ldc);
  }
}

static mx_mat columns_of(const mx_mat *a, size_t es, int64_t at, int64_t n) {
  return (mx_mat){a->base + at * a->cs * (int64_t)es, a->rows, n, a->rs, a->cs};
}

/* How cuBLAS sees a matrix; a conjugate that is not transposed it does not know: *copy is then set. */
static operand see(const mx_mat *a, bool conj, bool *copy) {
  bool rows = mx_mat_rows(a) && !(a->rs == 1 || a->rows == 1);
  operand o = {a->base, mx_mat_ld(a, rows), rows ? conj ? CUBLAS_OP_C : CUBLAS_OP_T : CUBLAS_OP_N};

  *copy = conj && !rows;
  return o;
}

/* A conjugated copy of a, by rows, so that its conjugate transpose is not needed: it is seen transposed. */
static mars_status conjugated(mx_cuda *dev, mars_dtype dt, const mx_mat *a, CUdeviceptr at, operand *out, mars_error *err) {
  mx_mat copy = {(char *)(uintptr_t)at, a->rows, a->cols, a->cols, 1};

  *out = (operand){copy.base, mx_mat_ld(&copy, true), CUBLAS_OP_T};
  return mx_cuda_conj(dev, dt, &copy, a, err);
}

/* C = (first ? 0 : C) +- op(A) op(B) with C by columns; where conjugates are copied, a panel of the inner dimension at a time. */
static mars_status gemm_columns(mx_cuda *dev, mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a, const mx_mat *b, bool conj_a,
                                bool conj_b, mars_error *err) {
  mars_status st = MARS_OK;
  size_t es = mars_dtype_bytes(dt);
  double alpha = flags & MX_TF_NEGATE ? -1 : 1, beta = flags & MX_TF_FIRST ? 0 : 1;
  int64_t k = a->cols, panel = k;
  mx_mat bt = mx_mat_t(b);
  mx_cuda_blas *blas = NULL;
  CUdeviceptr work = 0;
  bool copy_a, copy_b;

  MX_TRY(mx_cuda_blas_open(dev, &blas, err));
  (void)see(a, conj_a, &copy_a);
  (void)see(b, conj_b, &copy_b);
  if (copy_a || copy_b) {
    size_t each = ((size_t)(copy_a ? a->rows : 0) + (size_t)(copy_b ? b->cols : 0)) * es;

    panel = each * (size_t)k <= MX_WORK_BYTES ? k : (int64_t)(MX_WORK_BYTES / each);
    if (panel < 1) panel = 1;
    MX_TRY(mx_cuda_work(dev, each * (size_t)panel, &work, err));
  }
  for (int64_t at = 0; at == 0 || at < k; at += panel) {
    int64_t n = k - at < panel ? k - at : panel;
    mx_mat ap = columns_of(a, es, at, n), bp = columns_of(&bt, es, at, n);
    operand oa, ob;

    bp = mx_mat_t(&bp);
    oa = see(&ap, conj_a, &copy_a);
    ob = see(&bp, conj_b, &copy_b);
    if (copy_a) MX_TRY(conjugated(dev, dt, &ap, work, &oa, err));
    if (copy_b) MX_TRY(conjugated(dev, dt, &bp, work + (copy_a ? (size_t)ap.rows * (size_t)n * es : 0), &ob, err));
    MX_TRY(mx_cuda_blas_check(dev,
                              gemm(dev, blas->blas, dt, (int)c->rows, (int)c->cols, (int)n, alpha, &oa, &ob, beta, c->base,
                                   mx_mat_ld(c, false)),
                              "a matrix product of cuBLAS", err));
    beta = 1;
  }

done:
  return st;
}

mars_status mx_cuda_product(mx_cuda *dev, mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a, const mx_mat *b, mars_error *err) {
  bool ca = mx_is_complex(dt) && (flags & MX_TF_CONJ), cb = mx_is_complex(dt) && (flags & MX_TF_CONJ2);
  mx_mat ct = mx_mat_t(c), at = mx_mat_t(a), bt = mx_mat_t(b);

  if (c->rows == 0 || c->cols == 0) return MARS_OK;
  if (dt < MARS_F16) return mx_cuda_product_int(dev, dt, flags, c, a, b, err);
  if (c->rs == 1 || c->rows == 1) return gemm_columns(dev, dt, flags, c, a, b, ca, cb, err);
  return gemm_columns(dev, dt, flags, &ct, &bt, &at, cb, ca, err); /* C^T = B^T A^T */
}

mars_status mx_cuda_gemm(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  (void)scratch;
  return mx_cuda_product(dev, t->dtype, t->flags, &t->mat[0], &t->mat[1], &t->mat[2], err);
}

/* ---- SYRK ---- */

static int rank_k(const mx_cuda *dev, cublasHandle_t h, mars_dtype dt, bool herm, cublasFillMode_t part, cublasOperation_t op, int n, int k,
                  double alpha, const char *a, int lda, double beta, char *c, int ldc) {
  const float sa = (float)alpha, sb = (float)beta;
  const cuComplex ca = {sa, 0}, cb = {sb, 0};
  const cuDoubleComplex za = {alpha, 0}, zb = {beta, 0};

  switch (dt) {
  case MARS_F32: return (int)dev->cu->cublasSsyrk(h, part, op, n, k, &sa, (const float *)a, lda, &sb, (float *)c, ldc);
  case MARS_F64: return (int)dev->cu->cublasDsyrk(h, part, op, n, k, &alpha, (const double *)a, lda, &beta, (double *)c, ldc);
  case MARS_C64:
    if (herm) return (int)dev->cu->cublasCherk(h, part, op, n, k, &sa, (const cuComplex *)a, lda, &sb, (cuComplex *)c, ldc);
    return (int)dev->cu->cublasCsyrk(h, part, op, n, k, &ca, (const cuComplex *)a, lda, &cb, (cuComplex *)c, ldc);
  default:
    if (herm) return (int)dev->cu->cublasZherk(h, part, op, n, k, &alpha, (const cuDoubleComplex *)a, lda, &beta, (cuDoubleComplex *)c, ldc);
    return (int)dev->cu->cublasZsyrk(h, part, op, n, k, &za, (const cuDoubleComplex *)a, lda, &zb, (cuDoubleComplex *)c, ldc);
  }
}

/* By columns a row-major C is C^T, and its lower triangle the upper one: A A^T is that itself, A A^H its conjugate. */
static mars_status syrk(mx_cuda *dev, const mx_tile_call *t, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_mat *c = &t->mat[0], *a = &t->mat[1];
  bool z = mx_is_complex(t->dtype), conj = z && (t->flags & MX_TF_CONJ), herm = z && (t->flags & MX_TF_HERM);
  bool c_rows = c->cs == 1, a_rows = mx_mat_rows(a);
  mx_cuda_blas *b = NULL;

  if (t->dtype < MARS_F16 || conj || (herm && a_rows != c_rows)) { /* the whole square */
    unsigned f = (t->flags & (MX_TF_FIRST | MX_TF_NEGATE)) | (conj ? MX_TF_CONJ : 0) | (herm != conj ? MX_TF_CONJ2 : 0);
    mx_mat at = mx_mat_t(a);

    return mx_cuda_product(dev, t->dtype, f, c, a, &at, err);
  }
  MX_TRY(mx_cuda_blas_open(dev, &b, err));
  MX_TRY(mx_cuda_blas_check(dev,
                            rank_k(dev, b->blas, t->dtype, herm, c_rows ? CUBLAS_FILL_MODE_UPPER : CUBLAS_FILL_MODE_LOWER,
                                   !a_rows ? CUBLAS_OP_N : herm ? CUBLAS_OP_C : CUBLAS_OP_T, (int)c->rows, (int)a->cols,
                                   t->flags & MX_TF_NEGATE ? -1 : 1, a->base, mx_mat_ld(a, a_rows), t->flags & MX_TF_FIRST ? 0 : 1, c->base,
                                   mx_mat_ld(c, c_rows)),
                            "a symmetric product of cuBLAS", err));

done:
  return st;
}

mars_status mx_cuda_syrk(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = syrk(dev, t, err);

  (void)scratch;
  if (st == MARS_OK && (t->flags & MX_TF_MIRROR))
    st = mx_cuda_mirror(dev, t->dtype, &t->mat[0], mx_is_complex(t->dtype) && (t->flags & MX_TF_HERM), err);
  return st;
}

/* ---- TRSM ---- */

static int solve(const mx_cuda *dev, cublasHandle_t h, mars_dtype dt, cublasSideMode_t side, cublasFillMode_t part, cublasOperation_t op,
                 cublasDiagType_t diag, int m, int n, const char *a, int lda, char *b, int ldb) {
  const float one = 1;
  const double wide = 1;
  const cuComplex c = {1, 0};
  const cuDoubleComplex z = {1, 0};

  switch (dt) {
  case MARS_F32: return (int)dev->cu->cublasStrsm(h, side, part, op, diag, m, n, &one, (const float *)a, lda, (float *)b, ldb);
  case MARS_F64: return (int)dev->cu->cublasDtrsm(h, side, part, op, diag, m, n, &wide, (const double *)a, lda, (double *)b, ldb);
  case MARS_C64: return (int)dev->cu->cublasCtrsm(h, side, part, op, diag, m, n, &c, (const cuComplex *)a, lda, (cuComplex *)b, ldb);
  default: return (int)dev->cu->cublasZtrsm(h, side, part, op, diag, m, n, &z, (const cuDoubleComplex *)a, lda, (cuDoubleComplex *)b, ldb);
  }
}

mars_status mx_cuda_solve(mx_cuda *dev, mars_dtype dt, unsigned flags, const mx_mat *b, const mx_mat *a, mars_error *err) {
  mars_status st = MARS_OK;
  bool rows = b->cs == 1 && (b->rs != 1 || b->rows == 1), a_rows = a->cs == 1 && a->rows > 1;
  bool other = a_rows != rows && a->rows > 1; /* a is stored the other way round than b */
  bool trans = !!(flags & MX_TF_TRANS) != other, lower = !!(flags & MX_TF_LOWER) != other, right = flags & MX_TF_RIGHT;
  bool conj = mx_is_complex(dt) && (flags & MX_TF_CONJ), around = conj && !trans;
  cublasOperation_t op = trans ? conj ? CUBLAS_OP_C : CUBLAS_OP_T : CUBLAS_OP_N;
  mx_cuda_blas *blas = NULL;

  if (b->rows == 0 || b->cols == 0) return MARS_OK;
  MX_TRY(mx_cuda_blas_open(dev, &blas, err));
  if (around) MX_TRY(mx_cuda_conj(dev, dt, b, b, err)); /* conj(A) X = B is A conj(X) = conj(B) */
  /* by columns, a row-major b is its transpose: the other side, the other triangle, and what was m is n */
  MX_TRY(mx_cuda_blas_check(dev,
                            solve(dev, blas->blas, dt, right != rows ? CUBLAS_SIDE_RIGHT : CUBLAS_SIDE_LEFT,
                                  lower != rows ? CUBLAS_FILL_MODE_LOWER : CUBLAS_FILL_MODE_UPPER, op,
                                  flags & MX_TF_UNIT ? CUBLAS_DIAG_UNIT : CUBLAS_DIAG_NON_UNIT, (int)(rows ? b->cols : b->rows),
                                  (int)(rows ? b->rows : b->cols), a->base, mx_mat_ld(a, a->rows > 1 ? a_rows : rows), b->base,
                                  mx_mat_ld(b, rows)),
                            "a triangular solve of cuBLAS", err));
  if (around) MX_TRY(mx_cuda_conj(dev, dt, b, b, err));

done:
  return st;
}

mars_status mx_cuda_trsm(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_check zero = {.kind = MX_FOUND_ZERO, .fn = t->fn, .first = t->p[0], .matrix = t->p[3]};

  (void)scratch;
  if (t->flags & MX_TF_CHECK) MX_TRY(mx_cuda_finding_diagonal(dev, t->dtype, &t->mat[1], &zero, err));
  MX_TRY(mx_cuda_solve(dev, t->dtype, t->flags, &t->mat[0], &t->mat[1], err));

done:
  return st;
}
