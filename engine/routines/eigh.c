/*
 * EIGH: eigenvalues and eigenvectors of Hermitian matrices that fit the budget together with LAPACK's workspace.
 *
 * The operand is copied into a column-major chunk in bands of rows, LAPACK works there, and the vectors are copied into the
 * chunks of the result. Divide and conquer takes two matrices of workspace beside the matrix; where they do not fit,
 * QR iteration in place takes over. Matrices of a batch run side by side; a single one that is large has all threads.
 */
#include "engine/routine.h"
#include "engine/routines/dense.h"

#include <string.h>

static mars_status grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  (void)err;
  if (k->result[0] < 0) return MARS_OK;
  mx_pvalue *w = &plan->values.at[k->result[0]];
  int64_t chunk[MARS_MAX_DIMS] = {0};
  for (int d = 0; d < w->shape.ndim; d++) chunk[d] = d == w->shape.ndim - 1 ? w->shape.dims[d] : 1;
  mx_grid_init(&w->grid, &w->shape, chunk);
  return MARS_OK;
}

static void copy_out(mx_rbuild *b, int64_t matrix, const mx_rarg *v) {
  const mx_pvalue *value = &b->plan->values.at[b->k->result[1]];
  const int nd = value->shape.ndim;
  const int64_t per = value->grid.count[nd - 2] * value->grid.count[nd - 1];
  mx_r_group_begin(b);
  for (int64_t i = 0; i < per && b->st == MARS_OK; i++) {
    int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS];
    mx_r_result_box(b, 1, matrix * per + i, start, extent);
    mx_rarg to = mx_r_result_mat(b, 1, matrix * per + i);
    mx_rarg from = mx_r_sub(b, v, start[nd - 2], start[nd - 1], extent[nd - 2], extent[nd - 1]);
    mx_r_begin(b, MX_TILE_COPY, 0);
    mx_r_write(b, &to);
    mx_r_read(b, &from);
    mx_r_end(b, 0, (double)to.rows * (double)to.cols);
  }
  mx_r_group_end(b);
}

static void one_matrix(mx_rbuild *b, int64_t matrix, const int64_t *batch, int64_t n, int job, int method) {
  const unsigned flags = (b->k->node->attr.routine.flags & MX_RF_LOWER ? MX_TF_LOWER : MX_TF_UPPER);
  mx_rarg a = mx_r_mat_f(mx_r_temp(b, n * n * b->elem), n, n);
  mx_rarg w = {.chunk = -1, .memory = -1, .rows = 1, .cols = n, .rs = n, .cs = 1};
  mx_r_break(b);
  mx_r_load_bands(b, 0, batch, 0, 0, &a, b->k->edge);
  if (b->k->result[0] >= 0) w = mx_r_result_mat(b, 0, matrix);
  else w.chunk = mx_r_temp(b, n * mx_dense_real_bytes(b->dtype));
  mx_r_begin(b, MX_TILE_EIGH, flags);
  mx_r_write(b, &w);
  mx_r_update(b, &a);
  mx_r_p(b, 0, job);
  mx_r_p(b, 1, method);
  mx_r_end(b, mx_dense_eigh_bytes(b->dtype, n, job, method), (job == MX_DENSE_VALUES ? 4.0 / 3 : 9.0) * (double)n * (double)n * (double)n);
  if (job != MX_DENSE_VALUES) copy_out(b, matrix, &a);
}

static void tasks(mx_rbuild *b) {
  const mars_shape *shape = &b->k->node->operand[0]->shape;
  const int nd = shape->ndim;
  const int64_t n = shape->dims[nd - 1], arena = (int64_t)b->plan->machine->arena_bytes, matrix = mx_space_round(n * n * b->elem);
  const int job = b->k->result[1] >= 0 ? MX_DENSE_REDUCED : MX_DENSE_VALUES;
  int64_t count = 1, batch[MARS_MAX_DIMS] = {0};
  int method = MX_DENSE_CONQUER;
  if (matrix + mx_dense_eigh_bytes(b->dtype, n, job, method) > arena / 8 * 7) method = MX_DENSE_ITERATE;
  const int64_t need = matrix + mx_dense_eigh_bytes(b->dtype, n, job, method);
  if (need > arena) {
    mx_r_fail(b, MARS_E_BUDGET,
              "the host budget of %lld bytes is too small: a matrix of %lld rows and its workspace need at least %lld bytes at once; "
              "mars_randomized_svd finds leading eigenvectors without that",
              (long long)arena, (long long)n, (long long)need);
    return;
  }
  b->k->method = method == MX_DENSE_ITERATE ? "QR iteration in place" : "divide and conquer";
  for (int d = 0; d < nd - 2; d++) count *= shape->dims[d];
  for (int64_t i = 0; i < count && b->st == MARS_OK; i++) {
    mx_r_matrix(b, shape, nd - 2, i, count, batch);
    one_matrix(b, i, batch, n, job, method);
  }
}

const mx_routine mx_routine_eigh = {.op = MX_OP_EIGH, .grids = grids, .tasks = tasks};
