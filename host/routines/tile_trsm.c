/* TRSM: triangular systems with many right-hand sides inside a tile. */
#include "engine/numeric.h"
#include "host/routines/tile.h"

static bool zero_at(mars_dtype dt, const char *p) {
  switch (dt) {
  case MARS_F32: return *(const float *)p == 0;
  case MARS_F64: return *(const double *)p == 0;
  case MARS_C64: return ((const float *)p)[0] == 0 && ((const float *)p)[1] == 0;
  default: return ((const double *)p)[0] == 0 && ((const double *)p)[1] == 0;
  }
}

void mx_tile_trsm(mars_dtype dt, unsigned flags, const mx_mat *a, const mx_mat *b) {
  const bool rows = b->cs == 1 && (b->rs != 1 || b->rows == 1), turned = (a->cs == 1) != rows && a->rows > 1;
  const bool trans = !!(flags & MX_TF_TRANS) != turned, conj = flags & MX_TF_CONJ, lower = !!(flags & MX_TF_LOWER) != turned;
  const CBLAS_ORDER order = rows ? CblasRowMajor : CblasColMajor;
  const CBLAS_SIDE side = flags & MX_TF_RIGHT ? CblasRight : CblasLeft;
  const CBLAS_UPLO uplo = lower ? CblasLower : CblasUpper;
  const CBLAS_TRANSPOSE op = trans ? conj ? CblasConjTrans : CblasTrans : conj ? CblasConjNoTrans : CblasNoTrans;
  const CBLAS_DIAG diag = flags & MX_TF_UNIT ? CblasUnit : CblasNonUnit;
  const int m = (int)b->rows, n = (int)b->cols, la = mx_mat_ld(a), ld = rows ? (int)b->rs : (int)b->cs;
  const int run = rows ? n : m, lb = ld >= run ? ld : run;
  const float one_c[2] = {1, 0};
  const double one_z[2] = {1, 0};

  if (m == 0 || n == 0) return;
  switch (dt) {
  case MARS_F32: BL(cblas_strsm)(order, side, uplo, op, diag, m, n, 1, (const float *)a->base, la, (float *)b->base, lb); break;
  case MARS_F64: BL(cblas_dtrsm)(order, side, uplo, op, diag, m, n, 1, (const double *)a->base, la, (double *)b->base, lb); break;
  case MARS_C64: BL(cblas_ctrsm)(order, side, uplo, op, diag, m, n, one_c, a->base, la, b->base, lb); break;
  default: BL(cblas_ztrsm)(order, side, uplo, op, diag, m, n, one_z, a->base, la, b->base, lb);
  }
}

int64_t mx_tile_parts(int64_t n) {
  enum { LEAST = 64, MOST = 256 };

  return n < 2 * LEAST ? 1 : (n + 2 * MOST - 1) / (2 * MOST) * 2;
}

int64_t mx_tile_units_trsm(const mx_tile_call *t, int threads) {
  return mx_tile_parts(t->flags & MX_TF_RIGHT ? t->mat[0].rows : t->mat[0].cols);
}

mars_status mx_tile_run_trsm(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *b = &t->mat[0], *a = &t->mat[1];
  const bool right = t->flags & MX_TF_RIGHT;
  mx_mat part;
  int64_t begin, end;

  for (int64_t i = 0; (t->flags & MX_TF_CHECK) && i < a->rows; i++)
    if (zero_at(t->dtype, a->base + i * (a->rs + a->cs) * (int64_t)es))
      return mx_fail_diagonal(err, t->fn, t->p[3], t->p[0] + i);
  mx_tile_part(right ? b->rows : b->cols, 16, unit, units, &begin, &end);
  if (right) part = mx_mat_sub(b, es, begin, 0, end - begin, b->cols);
  else part = mx_mat_sub(b, es, 0, begin, b->rows, end - begin);
  mx_tile_trsm(t->dtype, t->flags, a, &part);
  return MARS_OK;
}
