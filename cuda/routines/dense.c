/*
 * SVD, EIGH of whole matrices by cuSOLVER. Contract: cuda/routines/routines.h; engine/routines/tiles.def.
 *
 * Both are iterations, which may do anything with what is not finite: the matrix is looked through first, and that is waited for.
 * Small matrices are left to the host, where each is a matter of microseconds and many run side by side.
 */
#include "cuda/routines/routines.h"

#include "cuda/device_text.h"
#include "engine/routines/dense.h"

enum { LEAST = 64 /* rows and columns */ };

static mars_dtype real_of(mars_dtype dt) { return dt == MARS_F32 || dt == MARS_C64 ? MARS_F32 : MARS_F64; }

/* n numbers into a row of a matrix. */
static mars_status give_values(mx_cuda *dev, mars_dtype dt, const mx_mat *to, char *from, int64_t n, mars_error *err) {
  const mx_mat row = {to->base, 1, n, n, to->cs}, values = {from, 1, n, n, 1};

  return mx_cuda_copy_mat(dev, real_of(dt), &row, &values, err);
}

/* ---- EIGH ---- */

typedef struct eigh_room {
  char *values, *work;
  size_t bytes;
  int64_t work_bytes;
} eigh_room;

static bool eigh_lay_out(mx_cuda *dev, const mx_tile_call *t, char *scratch, eigh_room *r) {
  const mx_mat *a = &t->mat[1];

  *r = (eigh_room){.work_bytes = mx_solver_syevd_bytes(dev, t->dtype, t->p[0] != MX_DENSE_VALUES, !(t->flags & MX_TF_LOWER), (int)a->rows,
                                                       mx_mat_ld(a, false))};
  if (r->work_bytes < 0) return false;
  r->values = mx_take(&scratch, &r->bytes, a->rows * mx_dense_real_bytes(t->dtype));
  r->work = mx_take(&scratch, &r->bytes, r->work_bytes);
  return true;
}

bool mx_cuda_eigh_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  eigh_room r = {0};
  const bool known = t->mat[1].rows >= LEAST && eigh_lay_out(dev, t, NULL, &r);

  *bytes = r.bytes;
  return known;
}

mars_status mx_cuda_eigh(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_mat *a = &t->mat[1];
  const mx_check end = {.kind = MX_FOUND_DIVERGED, .fn = t->fn, .what = "eigenvalues", .matrix = t->p[3]};
  CUdeviceptr info = 0;
  eigh_room r;

  if (!eigh_lay_out(dev, t, scratch, &r)) MX_TRY(mx_fail(err, MARS_E_DEVICE, "mars_%s: %s: cuSOLVER's syevd_bufferSize fails", t->fn, dev->name));
  MX_TRY(mx_cuda_finite(dev, t, a, t->flags & (MX_TF_LOWER | MX_TF_UPPER), 0, err));
  MX_TRY(mx_cuda_judge(dev, err));
  MX_TRY(mx_cuda_finding(dev, &end, &info, err));
  const mx_solver_work w = {r.work, r.work_bytes, (int *)(uintptr_t)info};
  MX_TRY(mx_solver_syevd(dev, t->dtype, t->p[0] != MX_DENSE_VALUES, !(t->flags & MX_TF_LOWER), (int)a->rows, a->base, mx_mat_ld(a, false),
                         r.values, &w, err));
  MX_TRY(give_values(dev, t->dtype, &t->mat[0], r.values, a->rows, err));

done:
  return st;
}

/* ---- SVD ---- */

/* The row-major matrix is its transpose to the library, whose left vectors are then vh and right ones u. It takes no more columns
   than rows: a matrix with more rows than columns is turned first, and its vectors after. */
typedef struct svd_room {
  bool turned;
  int64_t m, n, ku, kv; /* as the library sees it; columns of its left vectors, rows of its right ones */
  char *values, *rwork, *a, *u, *v, *work;
  size_t bytes;
  int64_t work_bytes;
} svd_room;

static bool svd_lay_out(mx_cuda *dev, const mx_tile_call *t, char *scratch, svd_room *r) {
  const mx_mat *a = &t->mat[1];
  const int64_t es = (int64_t)mars_dtype_bytes(t->dtype), real = mx_dense_real_bytes(t->dtype);
  const bool turned = a->rows > a->cols, full = t->p[0] == MX_DENSE_FULL;

  *r = (svd_room){.turned = turned, .m = turned ? a->rows : a->cols, .n = turned ? a->cols : a->rows};
  r->ku = full ? r->m : r->n;
  r->kv = r->n;
  r->work_bytes = mx_solver_gesvd_bytes(dev, t->dtype, (int)r->m, (int)r->n);
  if (r->work_bytes < 0) return false;
  r->values = mx_take(&scratch, &r->bytes, r->n * real);
  r->rwork = mx_take(&scratch, &r->bytes, r->n * real);
  r->work = mx_take(&scratch, &r->bytes, r->work_bytes);
  if (!turned) return true;
  r->a = mx_take(&scratch, &r->bytes, r->m * r->n * es);
  if (t->p[0] == MX_DENSE_VALUES) return true;
  r->u = mx_take(&scratch, &r->bytes, r->m * r->ku * es);
  r->v = mx_take(&scratch, &r->bytes, r->kv * r->n * es);
  return true;
}

bool mx_cuda_svd_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  svd_room r = {0};
  const mx_mat *a = &t->mat[1];
  const bool known = a->rows >= LEAST && a->cols >= LEAST && svd_lay_out(dev, t, NULL, &r);

  *bytes = r.bytes;
  return known;
}

static mars_status decompose(mx_cuda *dev, const mx_tile_call *t, const svd_room *r, CUdeviceptr info, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_mat *a = &t->mat[1], *u = &t->mat[2], *vh = &t->mat[3];
  const bool vectors = t->p[0] != MX_DENSE_VALUES;
  const mx_mat own = mx_mat_columns(r->a, r->m, r->n), left = mx_mat_columns(r->u, r->m, r->ku), right = mx_mat_columns(r->v, r->kv, r->n);
  const mx_solver_work w = {r->work, r->work_bytes, (int *)(uintptr_t)info};
  mx_solver_svd x = {.job = vectors ? t->p[0] == MX_DENSE_FULL ? 'A' : 'S' : 'N', .m = (int)r->m, .n = (int)r->n, .ld = mx_mat_ld(a, true),
                     .ldu = 1, .ldv = 1, .a = a->base, .s = r->values, .rwork = r->rwork};

  if (r->turned) {
    MX_TRY(mx_cuda_copy_mat(dev, t->dtype, &own, a, err));
    x.a = r->a;
    x.ld = (int)r->m;
  }
  if (vectors) {
    x.u = r->turned ? r->u : vh->base;
    x.ldu = r->turned ? (int)r->m : mx_mat_ld(vh, true);
    x.v = r->turned ? r->v : u->base;
    x.ldv = r->turned ? (int)r->kv : mx_mat_ld(u, true);
  }
  MX_TRY(mx_solver_gesvd(dev, t->dtype, &x, &w, err));
  if (vectors && r->turned) {
    MX_TRY(mx_cuda_copy_mat(dev, t->dtype, u, &left, err));
    MX_TRY(mx_cuda_copy_mat(dev, t->dtype, vh, &right, err));
  }

done:
  return st;
}

mars_status mx_cuda_svd(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_check end = {.kind = MX_FOUND_DIVERGED, .fn = t->fn, .what = "singular values", .matrix = t->p[3]};
  CUdeviceptr info = 0;
  svd_room r;

  if (!svd_lay_out(dev, t, scratch, &r)) MX_TRY(mx_fail(err, MARS_E_DEVICE, "mars_%s: %s: cuSOLVER's gesvd_bufferSize fails", t->fn, dev->name));
  MX_TRY(mx_cuda_finite(dev, t, &t->mat[1], 0, 0, err));
  MX_TRY(mx_cuda_judge(dev, err));
  MX_TRY(mx_cuda_finding(dev, &end, &info, err));
  MX_TRY(decompose(dev, t, &r, info, err));
  MX_TRY(give_values(dev, t->dtype, &t->mat[0], r.values, r.n, err));

done:
  return st;
}
