/*
 * GEMM and SYRK: BLAS for floats and complex numbers, plain loops for integers.
 *
 * A call is cut into strips of its larger side: as suits the threads where that changes no bit (tile_cut.c), else always the same.
 */
#include "host/routines/tile.h"

#include <string.h>

static bool is_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }
static bool row_major(const mx_mat *a) { return a->cs == 1; }

/* ---- integers: wrap around, so signed ones are added as unsigned ---- */

#define INT_GEMM(name, type)                                                                                 \
  static void name(unsigned flags, const mx_mat *c, const mx_mat *a, const mx_mat *b) {                      \
    enum { KB = 128, JB = 512 };                                                                             \
    if (flags & MX_TF_FIRST)                                                                                 \
      for (int64_t i = 0; i < c->rows; i++)                                                                  \
        for (int64_t j = 0; j < c->cols; j++) ((type *)c->base)[i * c->rs + j * c->cs] = 0;                  \
    for (int64_t j0 = 0; j0 < c->cols; j0 += JB)                                                             \
      for (int64_t k0 = 0; k0 < a->cols; k0 += KB) {                                                         \
        const int64_t n = c->cols - j0 < JB ? c->cols - j0 : JB, k1 = k0 + KB < a->cols ? k0 + KB : a->cols; \
        for (int64_t i = 0; i < c->rows; i++)                                                                \
          for (int64_t k = k0; k < k1; k++) {                                                                \
            type *ci = (type *)c->base + i * c->rs + j0 * c->cs;                                             \
            const type *bk = (const type *)b->base + k * b->rs + j0 * b->cs;                                 \
            const type x = ((const type *)a->base)[i * a->rs + k * a->cs];                                   \
            const type y = flags & MX_TF_NEGATE ? (type)(0 - x) : x;                                         \
            if (b->cs == 1 && c->cs == 1)                                                                    \
              for (int64_t j = 0; j < n; j++) ci[j] += (type)(y * bk[j]);                                    \
            else                                                                                             \
              for (int64_t j = 0; j < n; j++) ci[j * c->cs] += (type)(y * bk[j * b->cs]);                    \
          }                                                                                                  \
      }                                                                                                      \
  }

INT_GEMM(gemm32, uint32_t)
INT_GEMM(gemm64, uint64_t)

/* ---- BLAS ---- */

/* How BLAS sees an operand when the product is row-major: as it is, or transposed. A conjugate is BLAS's own only together
   with a transpose. */
static CBLAS_TRANSPOSE trans_of(const mx_mat *a, bool conj) {
  if (row_major(a)) return conj ? CblasConjNoTrans : CblasNoTrans;
  return conj ? CblasConjTrans : CblasTrans;
}

static void blas_gemm(mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a, const mx_mat *b) {
  const double sign = flags & MX_TF_NEGATE ? -1 : 1, keep = flags & MX_TF_FIRST ? 0 : 1;
  const bool z = is_complex(dt);
  const CBLAS_TRANSPOSE ta = trans_of(a, z && (flags & MX_TF_CONJ)), tb = trans_of(b, z && (flags & MX_TF_CONJ2));
  const int m = (int)c->rows, n = (int)c->cols, k = (int)a->cols, la = mx_mat_ld(a), lb = mx_mat_ld(b), lc = mx_mat_ld(c);
  const float alpha_c[2] = {(float)sign, 0}, beta_c[2] = {(float)keep, 0};
  const double alpha_z[2] = {sign, 0}, beta_z[2] = {keep, 0};

  switch (dt) {
  case MARS_F32:
    BL(cblas_sgemm)(CblasRowMajor, ta, tb, m, n, k, (float)sign, (const float *)a->base, la, (const float *)b->base, lb, (float)keep,
                (float *)c->base, lc);
    break;
  case MARS_F64:
    BL(cblas_dgemm)(CblasRowMajor, ta, tb, m, n, k, sign, (const double *)a->base, la, (const double *)b->base, lb, keep,
                (double *)c->base, lc);
    break;
  case MARS_C64: BL(cblas_cgemm)(CblasRowMajor, ta, tb, m, n, k, alpha_c, a->base, la, b->base, lb, beta_c, c->base, lc); break;
  default: BL(cblas_zgemm)(CblasRowMajor, ta, tb, m, n, k, alpha_z, a->base, la, b->base, lb, beta_z, c->base, lc);
  }
}

/* Rows at a time of a tall product by a small matrix: below 10^6 multiplications OpenBLAS packs nothing, which is nearly twice
   as fast at 32 x 32. 0: the whole. */
static int64_t small_rows(mars_dtype dt, const mx_mat *c, const mx_mat *a) {
  const int64_t each = c->cols * a->cols, rows = each <= 64 * 64 ? (1 << 18) / each & -(int64_t)16 : 0;

  return (dt == MARS_F32 || dt == MARS_F64) && rows > 0 && c->rows > rows ? rows : 0;
}

void mx_tile_gemm(mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a, const mx_mat *b) {
  if (c->rows == 0 || c->cols == 0) return;
  if (!row_major(c) && c->cols == 1) { /* a column of whatever */
    const mx_mat column = {c->base, c->rows, 1, c->rs, 1};

    mx_tile_gemm(dt, flags, &column, a, b);
    return;
  }
  if (!row_major(c)) { /* c^T = b^T a^T */
    const mx_mat ct = mx_mat_t(c), at = mx_mat_t(a), bt = mx_mat_t(b);
    unsigned f = flags & ~(unsigned)(MX_TF_CONJ | MX_TF_CONJ2);

    if (flags & MX_TF_CONJ) f |= MX_TF_CONJ2;
    if (flags & MX_TF_CONJ2) f |= MX_TF_CONJ;
    if (row_major(&ct)) {
      mx_tile_gemm(dt, f, &ct, &bt, &at);
      return;
    }
  }
  if (dt < MARS_F16) {
    if (mars_dtype_bytes(dt) == 4) gemm32(flags, c, a, b);
    else gemm64(flags, c, a, b);
    return;
  }
  const int64_t rows = small_rows(dt, c, a);
  const size_t es = mars_dtype_bytes(dt);

  if (rows == 0) blas_gemm(dt, flags, c, a, b);
  for (int64_t i = 0; rows > 0 && i < c->rows; i += rows) {
    const int64_t n = c->rows - i < rows ? c->rows - i : rows;
    const mx_mat ci = mx_mat_sub(c, es, i, 0, n, c->cols), ai = mx_mat_sub(a, es, i, 0, n, a->cols);

    blas_gemm(dt, flags, &ci, &ai, b);
  }
}

static bool by_rows(const mx_mat *c) { return c->rows >= c->cols; }

/* ---- parts ---- */

/* Parts of its longer side that a product is always made in where BLAS's bits depend on where it is cut, so that how many threads
   there are changes none. Each part packs the other operand anew, which costs some percent. */
static int64_t parts_of(const mx_mat *c, int64_t depth) {
  enum { MOST = 16, WIDE = 1024, LEAST_SIDE = 512 };
  const int64_t side = by_rows(c) ? c->rows : c->cols;

  if (side < LEAST_SIDE || 2.0 * (double)c->rows * (double)c->cols * (double)depth < 1e7) return 1;
  if (side < 2 * WIDE) return 2;
  return side / WIDE < MOST ? side / WIDE : MOST;
}

static double multiplications(const mx_mat *c, int64_t depth) { return (double)c->rows * (double)c->cols * (double)depth; }

/* A product that is made in as many parts as suit the threads, each one call of BLAS: how many there may be; 0: it is not one. The
   first such product of a dtype pays for the trial, so it must be much larger. */
static int64_t free_parts(const mx_tile_call *t) {
  enum { LEAST_SIDE = 512, LEAST_DEPTH = 64, LEAST_PART = 4 * MX_CUT_ALIGN, TRIAL = 8 };
  const mx_mat *c = &t->mat[0];
  const int64_t depth = t->mat[1].cols, side = by_rows(c) ? c->rows : c->cols;
  const double work = multiplications(c, depth), most = work / (2.0 * MX_CUT_LEAST); /* parts are not quite equal */

  if (t->dtype < MARS_F32 || (t->flags & (MX_TF_CONJ | MX_TF_CONJ2)) || (!row_major(c) && c->rs != 1)) return 0;
  if (c->rows < LEAST_SIDE || c->cols < LEAST_SIDE || depth < LEAST_DEPTH || most < TRIAL || !mx_blas_cuts_freely(t->dtype)) return 0;
  return most < (double)(side / LEAST_PART) ? (int64_t)most : side / LEAST_PART;
}

bool mx_tile_cuts_freely(const mx_tile_call *t) { return t->op == MX_TILE_GEMM && free_parts(t) > 0; }

double mx_tile_product_work(const mx_tile_call *t) {
  const double work = t->op == MX_TILE_GEMM || t->op == MX_TILE_SYRK ? multiplications(&t->mat[0], t->mat[1].cols) : 0;

  return t->op == MX_TILE_SYRK ? work / 2 : work;
}

int64_t mx_tile_units_gemm(const mx_tile_call *t, int threads) {
  const int64_t any = free_parts(t), parts = any > 0 ? any : parts_of(&t->mat[0], t->mat[1].cols);

  return parts < threads ? parts : threads;
}

bool mx_tile_rows_gemm(const mx_tile_call *t, int64_t units) {
  const mx_mat *c = &t->mat[0], *a = &t->mat[1];
  const int64_t any = free_parts(t), parts = parts_of(c, a->cols);

  if (!by_rows(c) || a->rows != c->rows) return false;
  if (any > 0) return c->rows % (MX_CUT_ALIGN * units) == 0 && units <= any;
  return c->rows % (16 * parts) == 0 && parts % units == 0;
}

static void gemm_part(const mx_tile_call *t, int64_t align, int64_t part, int64_t parts) {
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *c = &t->mat[0], *a = &t->mat[1], *b = &t->mat[2];
  int64_t begin, end;

  if (by_rows(c)) {
    mx_tile_part(c->rows, align, part, parts, &begin, &end);
    const mx_mat cs = mx_mat_sub(c, es, begin, 0, end - begin, c->cols), as = mx_mat_sub(a, es, begin, 0, end - begin, a->cols);
    mx_tile_gemm(t->dtype, t->flags, &cs, &as, b);
  } else {
    mx_tile_part(c->cols, align, part, parts, &begin, &end);
    const mx_mat cs = mx_mat_sub(c, es, 0, begin, c->rows, end - begin), bs = mx_mat_sub(b, es, 0, begin, b->rows, end - begin);
    mx_tile_gemm(t->dtype, t->flags, &cs, a, &bs);
  }
}

mars_status mx_tile_run_gemm(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const int64_t parts = parts_of(&t->mat[0], t->mat[1].cols);

  if (free_parts(t) > 0) gemm_part(t, MX_CUT_ALIGN, unit, units);
  else
    for (int64_t i = parts * unit / units; i < parts * (unit + 1) / units; i++) gemm_part(t, 16, i, parts);
  return MARS_OK;
}

/* ---- SYRK ---- */

static void blas_syrk(mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a) {
  const bool z = is_complex(dt), herm = z && (flags & MX_TF_HERM);
  const double keep = flags & MX_TF_FIRST ? 0 : 1, sign = flags & MX_TF_NEGATE ? -1 : 1;
  const int n = (int)c->rows, k = (int)a->cols, la = mx_mat_ld(a), lc = mx_mat_ld(c);
  const CBLAS_TRANSPOSE tr = row_major(a) ? CblasNoTrans : herm ? CblasConjTrans : CblasTrans;
  const float one_c[2] = {(float)sign, 0}, keep_c[2] = {(float)keep, 0};
  const double one_z[2] = {sign, 0}, keep_z[2] = {keep, 0};

  switch (dt) {
  case MARS_F32:
    BL(cblas_ssyrk)(CblasRowMajor, CblasLower, tr, n, k, (float)sign, (const float *)a->base, la, (float)keep, (float *)c->base, lc);
    break;
  case MARS_F64:
    BL(cblas_dsyrk)(CblasRowMajor, CblasLower, tr, n, k, sign, (const double *)a->base, la, keep, (double *)c->base, lc);
    break;
  case MARS_C64:
    if (herm) BL(cblas_cherk)(CblasRowMajor, CblasLower, tr, n, k, (float)sign, a->base, la, (float)keep, c->base, lc);
    else BL(cblas_csyrk)(CblasRowMajor, CblasLower, tr, n, k, one_c, a->base, la, keep_c, c->base, lc);
    break;
  default:
    if (herm) BL(cblas_zherk)(CblasRowMajor, CblasLower, tr, n, k, sign, a->base, la, keep, c->base, lc);
    else BL(cblas_zsyrk)(CblasRowMajor, CblasLower, tr, n, k, one_z, a->base, la, keep_z, c->base, lc);
  }
}

static void mirror(const mx_mat *c, mars_dtype dt, bool herm) {
  enum { B = 32 };
  const int64_t es = (int64_t)mars_dtype_bytes(dt);

  for (int64_t i0 = 0; i0 < c->rows; i0 += B)
    for (int64_t j0 = i0; j0 < c->cols; j0 += B) {
      const int64_t i1 = i0 + B < c->rows ? i0 + B : c->rows, j1 = j0 + B < c->cols ? j0 + B : c->cols;
      for (int64_t i = i0; i < i1; i++)
        for (int64_t j = j0 > i ? j0 : i + 1; j < j1; j++) {
          char *to = c->base + (i * c->rs + j * c->cs) * es;
          const char *from = c->base + (j * c->rs + i * c->cs) * es;

          memcpy(to, from, (size_t)es);
          if (!herm) continue;
          if (dt == MARS_C64) ((float *)to)[1] = -((float *)to)[1];
          else if (dt == MARS_C128) ((double *)to)[1] = -((double *)to)[1];
        }
    }
  for (int64_t i = 0; herm && i < c->rows; i++) { /* what rounding has left there */
    char *at = c->base + i * (c->rs + c->cs) * es;
    if (dt == MARS_C64) ((float *)at)[1] = 0;
    else ((double *)at)[1] = 0;
  }
}

/* Diagonal tiles are few: they run beside others, not in parts. */
int64_t mx_tile_units_syrk(const mx_tile_call *t, int threads) { return 1; }

void mx_tile_syrk(mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a) {
  const bool z = is_complex(dt), conj = z && (flags & MX_TF_CONJ), herm = z && (flags & MX_TF_HERM);
  const mx_mat at = mx_mat_t(a);
  unsigned f = flags & (MX_TF_FIRST | MX_TF_NEGATE);

  if (dt < MARS_F16 || c->cs != 1 || conj || (herm && a->cs != 1)) {
    /* BLAS has a a^T, and a a^H for row-major a: for the others the whole square */
    if (conj) f |= MX_TF_CONJ;
    if (herm != conj) f |= MX_TF_CONJ2;
    mx_tile_gemm(dt, f, c, a, &at);
  } else {
    blas_syrk(dt, flags, c, a);
  }
}

mars_status mx_tile_run_syrk(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const mx_mat *c = &t->mat[0], *a = &t->mat[1];
  const bool z = is_complex(t->dtype);

  mx_tile_syrk(t->dtype, t->flags, c, a);
  if (t->flags & MX_TF_MIRROR) mirror(c, t->dtype, z && (t->flags & MX_TF_HERM));
  return MARS_OK;
}
