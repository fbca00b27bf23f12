/*
 * SVD of matrices that fit the budget together with LAPACK's workspace.
 *
 * LAPACK is given the C-order matrix as the column-major transpose that it is: A^T = conj(V) S U^T, whose factors are, again
 * in C order, vh and u. Divide and conquer keeps the matrix for a second try by QR iteration, should it not converge, and
 * wants four to five squares of workspace; where all that does not fit, QR iteration alone works on three. Matrices of a
 * batch run side by side; a single one that is large has all threads.
 */
#include "engine/routine.h"
#include "engine/routines/dense.h"
#include "engine/routines/orthogonal.h"

#include <string.h>

typedef struct dense {
  mx_rbuild *b;
  int64_t m, n, k;  /* k values */
  int64_t ku, kv;   /* columns of u, rows of vh */
  int job, method;
} dense;

/* Values: a chunk for every matrix. */
static mx_rarg values_arg(dense *r, int64_t matrix) {
  mx_rarg s = {.chunk = -1, .memory = -1, .rows = 1, .cols = r->k, .rs = r->k, .cs = 1};
  if (r->b->k->result[1] >= 0) return mx_r_result_mat(r->b, 1, matrix);
  s.chunk = mx_r_temp(r->b, r->k * mx_dense_real_bytes(r->b->dtype));
  return s;
}

/* Chunks of a result's matrix; 0: the result is not wanted. */
static int64_t chunks_of(const dense *r, int which) {
  if (r->b->k->result[which] < 0) return 0;
  const mx_pvalue *v = &r->b->plan->values.at[r->b->k->result[which]];
  return v->grid.count[v->shape.ndim - 2] * v->grid.count[v->shape.ndim - 1];
}

/* Where LAPACK writes vectors: the result itself if that is one chunk in C order, else a chunk to copy from. */
static mx_rarg vectors_arg(dense *r, int which, int64_t matrix, int64_t rows, int64_t cols) {
  if (chunks_of(r, which) == 1) {
    mx_rarg a = mx_r_result_mat(r->b, which, matrix);
    if (a.cs == 1 && a.rs >= cols) return a;
  }
  return mx_r_mat(mx_r_temp(r->b, rows * cols * r->b->elem), rows, cols);
}

static void copy_out(dense *r, int which, int64_t matrix, const mx_rarg *from) {
  mx_rbuild *b = r->b;
  const int64_t per = chunks_of(r, which);
  if (!per || (per == 1 && from->chunk == mx_r_result(b, which, matrix))) return;
  const int nd = b->plan->values.at[b->k->result[which]].shape.ndim;
  for (int64_t i = 0; i < per && b->st == MARS_OK; i++) {
    int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS];
    mx_r_result_box(b, which, matrix * per + i, start, extent);
    mx_rarg to = mx_r_result_mat(b, which, matrix * per + i);
    mx_rarg part = mx_r_sub(b, from, start[nd - 2], start[nd - 1], extent[nd - 2], extent[nd - 1]);
    mx_r_begin(b, MX_TILE_COPY, 0);
    mx_r_write(b, &to);
    mx_r_read(b, &part);
    mx_r_end(b, 0, (double)to.rows * (double)to.cols);
  }
}

static void one_matrix(dense *r, int64_t matrix, const int64_t *batch) {
  mx_rbuild *b = r->b;
  mx_rarg u, vh, a = mx_r_mat(mx_r_temp(b, r->m * r->n * b->elem), r->m, r->n);
  mx_r_break(b);
  mx_r_load_bands(b, 0, batch, 0, 0, &a, b->k->edge);
  mx_rarg s = values_arg(r, matrix);
  if (r->job != MX_DENSE_VALUES) {
    u = vectors_arg(r, 0, matrix, r->m, r->ku);
    vh = vectors_arg(r, 2, matrix, r->kv, r->n);
  }
  mx_r_begin(b, MX_TILE_SVD, 0);
  mx_r_write(b, &s);
  mx_r_update(b, &a);
  if (r->job != MX_DENSE_VALUES) {
    mx_r_write(b, &u);
    mx_r_write(b, &vh);
  }
  mx_r_p(b, 0, r->job);
  mx_r_p(b, 1, r->method);
  const double k = (double)r->k, mx = (double)(r->m > r->n ? r->m : r->n);
  mx_r_end(b, mx_dense_svd_bytes(b->dtype, r->m, r->n, r->job, r->method), (r->job == MX_DENSE_VALUES ? 3 : 20) * k * k * mx);
  if (r->job == MX_DENSE_VALUES) return;
  mx_r_group_begin(b);
  copy_out(r, 0, matrix, &u);
  copy_out(r, 2, matrix, &vh);
  mx_r_group_end(b);
}

static int64_t need_bytes(const dense *r) {
  const int64_t e = r->b->elem, a = mx_space_round(r->m * r->n * e);
  const int64_t vectors = r->job == MX_DENSE_VALUES ? 0 : mx_space_round(r->m * r->ku * e) + mx_space_round(r->kv * r->n * e);
  return a + vectors + mx_space_round(r->k * 8) + mx_space_round(mx_dense_svd_bytes(r->b->dtype, r->m, r->n, r->job, r->method));
}

static bool choose(dense *r) {
  const int64_t arena = (int64_t)r->b->plan->machine->arena_bytes;
  r->method = MX_DENSE_CONQUER;
  if (need_bytes(r) > arena / 8 * 7) r->method = MX_DENSE_ITERATE;
  if (need_bytes(r) <= arena) return true;
  mx_r_fail(r->b, MARS_E_BUDGET,
            "the host budget of %lld bytes is too small: a matrix [%lld, %lld], its vectors and the workspace need at least %lld "
            "bytes at once; mars_randomized_svd, or a matrix with few columns, need not",
            (long long)arena, (long long)r->m, (long long)r->n, (long long)need_bytes(r));
  return false;
}

mars_status mx_svd_dense_grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  (void)err;
  if (k->result[1] < 0) return MARS_OK;
  mx_pvalue *s = &plan->values.at[k->result[1]];
  int64_t chunk[MARS_MAX_DIMS] = {0};
  for (int d = 0; d < s->shape.ndim; d++) chunk[d] = d == s->shape.ndim - 1 ? s->shape.dims[d] : 1;
  mx_grid_init(&s->grid, &s->shape, chunk);
  return MARS_OK;
}

void mx_svd_dense(mx_rbuild *b) {
  const mx_node *node = b->k->node;
  const mars_shape *shape = &node->operand[0]->shape;
  const int nd = shape->ndim;
  const bool full = node->attr.routine.flags & MX_RF_COMPLETE;
  int64_t count = 1, batch[MARS_MAX_DIMS] = {0};
  dense r = {.b = b, .m = shape->dims[nd - 2], .n = shape->dims[nd - 1]};
  r.k = r.m < r.n ? r.m : r.n;
  r.ku = full ? r.m : r.k;
  r.kv = full ? r.n : r.k;
  r.job = b->k->result[0] < 0 && b->k->result[2] < 0 ? MX_DENSE_VALUES : full ? MX_DENSE_FULL : MX_DENSE_REDUCED;
  if (!choose(&r)) return;
  b->k->method = r.method == MX_DENSE_ITERATE ? "QR iteration in place" : "divide and conquer";
  for (int d = 0; d < nd - 2; d++) count *= shape->dims[d];
  for (int64_t i = 0; i < count && b->st == MARS_OK; i++) {
    mx_r_matrix(b, shape, nd - 2, i, count, batch);
    one_matrix(&r, i, batch);
  }
}
