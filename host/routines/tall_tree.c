/*
 * TALL_QR, TALL_APPLY: Householder QR of a block of rows, and its Q times something.
 *
 * The block is taken in pieces that stay in cache: the first is factored, then every other below the R so far. Pieces are
 * column-major, one behind the other in A0; piece i's triangles are columns of height p[2] in A1.
 */
#include "host/routines/tall.h"

#include <string.h>

typedef struct shape {
  mars_dtype dt; /* of the pieces */
  int64_t es, rows, n, sub, nb, pieces;
} shape;

static bool is_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }

static shape shape_of(const mx_tile_call *t, const mx_mat *v) {
  shape s = {.dt = t->dtype, .rows = v->rows, .n = v->cols, .sub = t->p[1], .nb = t->p[2]};

  if (t->p[0]) s.dt = is_complex(t->dtype) ? MARS_C128 : MARS_F64;
  s.es = (int64_t)mars_dtype_bytes(s.dt);
  s.pieces = (s.rows + s.sub - 1) / s.sub;
  return s;
}

static int64_t height(const shape *s, int64_t piece) { return piece < s->pieces - 1 ? s->sub : s->rows - piece * s->sub; }
static char *piece_of(const shape *s, const mx_mat *v, int64_t piece) { return v->base + piece * s->sub * s->n * s->es; }
static char *triangles(const shape *s, const mx_mat *t, int64_t piece) { return t->base + piece * s->nb * s->n * s->es; }

static void copy(const shape *s, const mx_mat *d, const mx_mat *from) {
  const mx_mat mat[2] = {*d, *from};
  const mx_tile_call call = {.op = MX_TILE_COPY, .dtype = s->dt, .n = 2, .mat = mat};

  (void)mx_tile_run(&call, NULL, 0, 1, NULL); /* cannot fail */
}

/* ---- LAPACK, for four dtypes ---- */

#define BY_DTYPE(dt, name, ...)                                                                              \
  switch (dt) {                                                                                              \
  case MARS_F32: (void)BL(LAPACKE_s##name)(LAPACK_COL_MAJOR, __VA_ARGS__); break;                            \
  case MARS_F64: (void)BL(LAPACKE_d##name)(LAPACK_COL_MAJOR, __VA_ARGS__); break;                            \
  case MARS_C64: (void)BL(LAPACKE_c##name)(LAPACK_COL_MAJOR, __VA_ARGS__); break;                            \
  default: (void)BL(LAPACKE_z##name)(LAPACK_COL_MAJOR, __VA_ARGS__);                                         \
  }

/* They return nothing but complaints about arguments. */
static void geqrt(const shape *s, int h, void *v, void *t, void *work) {
  BY_DTYPE(s->dt, geqrt_work, h, (int)s->n, (int)s->nb, v, h, t, (int)s->nb, work)
}

static void tpqrt(const shape *s, int h, void *r, void *v, void *t, void *work) {
  BY_DTYPE(s->dt, tpqrt_work, h, (int)s->n, 0, (int)s->nb, r, (int)s->n, v, h, t, (int)s->nb, work)
}

static void gemqrt(const shape *s, int h, int cols, const void *v, const void *t, void *c, void *work) {
  BY_DTYPE(s->dt, gemqrt_work, 'L', 'N', h, cols, (int)s->n, (int)s->nb, v, h, t, (int)s->nb, c, h, work)
}

static void tpmqrt(const shape *s, int h, int cols, const void *v, const void *t, void *top, void *c, void *work) {
  BY_DTYPE(s->dt, tpmqrt_work, 'L', 'N', h, cols, (int)s->n, 0, (int)s->nb, v, h, t, (int)s->nb, top, (int)s->n, c, h, work)
}

/* ---- TALL_QR ---- */

/* Rows [row, row + h) of the sources, zeros behind them. */
static void fill_piece(const shape *s, const mx_tile_call *call, int64_t row, int64_t h, char *to) {
  const mx_mat piece = {to, h, s->n, 1, h};
  int64_t first = 0;

  for (int i = 3; i < call->n; i++) {
    const mx_mat *from = &call->mat[i];
    const int64_t begin = row > first ? row : first, stop = row + h < first + from->rows ? row + h : first + from->rows;

    if (begin < stop) {
      const mx_mat src = mx_mat_sub(from, (size_t)s->es, begin - first, 0, stop - begin, s->n);
      const mx_mat dst = mx_mat_sub(&piece, (size_t)s->es, begin - row, 0, stop - begin, s->n);

      copy(s, &dst, &src);
    }
    first += from->rows;
  }
  for (int64_t j = 0, at = first > row ? first - row : 0; j < s->n && at < h; j++)
    memset(to + (j * h + at) * s->es, 0, (size_t)((h - at) * s->es));
}

/* Upper triangle, column-major with leading dimension ld, as rows; zeros below. */
static void store_r(const shape *s, const mx_mat *to, char *from, int64_t ld) {
  const mx_mat r = {from, s->n, s->n, 1, ld};

  mx_tall_widen(s->dt, to, &r);
  for (int64_t i = 1; i < s->n; i++) memset(to->base + i * s->n * (is_complex(s->dt) ? 16 : 8), 0, (size_t)(i * (is_complex(s->dt) ? 16 : 8)));
}

int64_t mx_tile_units_tall_qr(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_tall_qr(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const shape s = shape_of(t, &t->mat[0]);
  char *work = scratch + s.n * s.n * s.es;
  const mx_mat r = {scratch, s.n, s.n, 1, s.n};

  for (int64_t i = 0; i < s.pieces; i++) {
    char *v = piece_of(&s, &t->mat[0], i), *tri = triangles(&s, &t->mat[1], i);
    const int64_t h = height(&s, i);

    fill_piece(&s, t, i * s.sub, h, v);
    if (i > 0) {
      tpqrt(&s, (int)h, scratch, v, tri, work);
    } else {
      const mx_mat top = {v, s.n, s.n, 1, h};

      geqrt(&s, (int)h, v, tri, work);
      copy(&s, &r, &top); /* the reflectors below the diagonal come along; nobody reads them */
    }
  }
  store_r(&s, &t->mat[2], scratch, s.n);
  return MARS_OK;
}

/* ---- TALL_APPLY ---- */

/* By columns, as many whatever the number of threads. */
int64_t mx_tile_units_tall_apply(const mx_tile_call *t, int threads) {
  const int64_t n = t->mat[0].cols / 16;

  return n < 1 ? 1 : n > 4 ? 4 : n;
}

mars_status mx_tile_run_tall_apply(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const shape s = shape_of(t, &t->mat[1]);
  const mx_mat *out = &t->mat[0], *v = &t->mat[1], *tri = &t->mat[2], *x = &t->mat[3];
  int64_t begin, end;

  mx_tile_part(s.n, 1, unit, units, &begin, &end);
  const int64_t cols = end - begin;
  char *top = scratch + (s.n + s.sub + s.nb) * begin * s.es, *c = top + s.n * cols * s.es, *work = c + s.sub * cols * s.es;
  const mx_mat root = mx_mat_sub(x, is_complex(s.dt) ? 16 : 8, 0, begin, s.n, cols), top_mat = {top, s.n, cols, 1, s.n};

  mx_tall_narrow(s.dt, &top_mat, &root);
  for (int64_t i = s.pieces - 1; i >= 0; i--) {
    const int64_t h = height(&s, i), row = i * s.sub, rows = out->rows - row < h ? out->rows - row : h;
    const mx_mat whole = {c, h, cols, 1, h};

    memset(c, 0, (size_t)(h * cols * s.es));
    if (i > 0) {
      tpmqrt(&s, (int)h, (int)cols, piece_of(&s, v, i), triangles(&s, tri, i), top, c, work);
    } else {
      const mx_mat upper = {c, s.n, cols, 1, h};

      copy(&s, &upper, &top_mat);
      gemqrt(&s, (int)h, (int)cols, piece_of(&s, v, i), triangles(&s, tri, i), c, work);
    }
    if (rows <= 0) continue; /* the rows of zeros below a short block */
    const mx_mat from = mx_mat_sub(&whole, (size_t)s.es, 0, 0, rows, cols), to = mx_mat_sub(out, (size_t)s.es, row, begin, rows, cols);

    copy(&s, &to, &from);
  }
  return MARS_OK;
}
