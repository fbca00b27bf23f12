/* COPY, FILL, TRI: moving matrices between layouts. */
#include "host/routines/tile.h"

#include <string.h>

enum { BLOCK = 32 }; /* rows and columns of a turned block: both its sides stay in L1 */

#define COPY_RUN(name, type)                                                                                 \
  static void name(type *d, int64_t drs, int64_t dcs, const type *s, int64_t srs, int64_t scs, int64_t m, int64_t n) {             \
    for (int64_t i0 = 0; i0 < m; i0 += BLOCK)                                                                \
      for (int64_t j0 = 0; j0 < n; j0 += BLOCK) {                                                            \
        const int64_t i1 = i0 + BLOCK < m ? i0 + BLOCK : m, j1 = j0 + BLOCK < n ? j0 + BLOCK : n;                                  \
        for (int64_t i = i0; i < i1; i++)                                                                    \
          for (int64_t j = j0; j < j1; j++) d[i * drs + j * dcs] = s[i * srs + j * scs];                     \
      }                                                                                                      \
  }

typedef struct wide {
  uint64_t lo, hi;
} wide;
COPY_RUN(copy8, uint8_t)
COPY_RUN(copy16, uint16_t)
COPY_RUN(copy32, uint32_t)
COPY_RUN(copy64, uint64_t)
COPY_RUN(copy128, wide)

/* Rows [begin, end) of d = s. */
static void copy_rows(const mx_mat *d, const mx_mat *s, size_t es, int64_t begin, int64_t end) {
  char *to = d->base + begin * d->rs * (int64_t)es;
  const char *from = s->base + begin * s->rs * (int64_t)es;
  const int64_t m = end - begin, n = d->cols;

  if (d->cs == 1 && s->cs == 1) {
    for (int64_t i = 0; i < m; i++)
      memcpy(to + i * d->rs * (int64_t)es, from + i * s->rs * (int64_t)es, (size_t)n * es);
    return;
  }
  switch (es) {
  case 1: copy8((uint8_t *)to, d->rs, d->cs, (const uint8_t *)from, s->rs, s->cs, m, n); break;
  case 2: copy16((uint16_t *)to, d->rs, d->cs, (const uint16_t *)from, s->rs, s->cs, m, n); break;
  case 4: copy32((uint32_t *)to, d->rs, d->cs, (const uint32_t *)from, s->rs, s->cs, m, n); break;
  case 8: copy64((uint64_t *)to, d->rs, d->cs, (const uint64_t *)from, s->rs, s->cs, m, n); break;
  default: copy128((wide *)to, d->rs, d->cs, (const wide *)from, s->rs, s->cs, m, n);
  }
}

static void conj_rows(const mx_mat *d, mars_dtype dt, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++)
    for (int64_t j = 0; j < d->cols; j++) {
      const int64_t at = 2 * (i * d->rs + j * d->cs) + 1;
      if (dt == MARS_C64) ((float *)d->base)[at] = -((float *)d->base)[at];
      else ((double *)d->base)[at] = -((double *)d->base)[at];
    }
}

int64_t mx_tile_units_copy(const mx_tile_call *t, int threads) {
  const int64_t rows = t->mat[0].rows;

  return t->n > 2 ? t->n / 2 : rows < 2 * threads ? 1 : threads > 1 ? 2 * threads : 1;
}

mars_status mx_tile_run_copy(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *d = t->mat, *s = d + 1;
  int64_t begin = 0, end = d->rows;

  if (t->n > 2) {
    d += 2 * unit;
    s = d + 1;
    end = d->rows;
  } else {
    mx_tile_part(d->rows, 1, unit, units, &begin, &end);
  }
  copy_rows(d, s, es, begin, end);
  if ((t->flags & MX_TF_CONJ) && (t->dtype == MARS_C64 || t->dtype == MARS_C128)) conj_rows(d, t->dtype, begin, end);
  return MARS_OK;
}

static void store_one(char *at, mars_dtype dt) {
  switch (dt) {
  case MARS_F32: *(float *)at = 1; break;
  case MARS_F64: *(double *)at = 1; break;
  case MARS_C64: *(float _Complex *)at = 1; break;
  case MARS_C128: *(double _Complex *)at = 1; break;
  case MARS_F16: *(uint16_t *)at = 0x3c00; break;
  case MARS_BF16: *(uint16_t *)at = 0x3f80; break;
  default: *at = 1; /* integers, little endian, cleared before */
  }
}

static void clear_row(const mx_mat *d, size_t es, int64_t i, int64_t from, int64_t to) {
  char *row = d->base + i * d->rs * (int64_t)es;

  if (from < 0) from = 0;
  if (to > d->cols) to = d->cols;
  if (d->cs == 1 && to > from) memset(row + from * (int64_t)es, 0, (size_t)(to - from) * es);
  else
    for (int64_t j = from; j < to; j++) memset(row + j * d->cs * (int64_t)es, 0, es);
}

static void set_one(const mx_mat *d, mars_dtype dt, int64_t i, int64_t j) {
  if (j >= 0 && j < d->cols) store_one(d->base + (i * d->rs + j * d->cs) * (int64_t)mars_dtype_bytes(dt), dt);
}

int64_t mx_tile_units_fill(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_fill(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *d = t->mat;

  for (int64_t i = 0; i < d->rows; i++) {
    clear_row(d, es, i, 0, d->cols);
    if (t->p[0]) set_one(d, t->dtype, i, i + t->p[1]);
  }
  return MARS_OK;
}

int64_t mx_tile_units_tri(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_tri(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *d = &t->mat[0], *s = &t->mat[1];

  copy_rows(d, s, es, 0, d->rows);
  for (int64_t i = 0; i < d->rows; i++) {
    if (t->flags & MX_TF_LOWER) clear_row(d, es, i, i + t->p[0] + 1, d->cols);
    else clear_row(d, es, i, 0, i + t->p[0] < d->cols ? i + t->p[0] : d->cols);
    if (t->flags & MX_TF_UNIT) {
      const int64_t j = i + t->p[0];
      if (j < 0 || j >= d->cols) continue;
      clear_row(d, es, i, j, j + 1);
      set_one(d, t->dtype, i, j);
    }
  }
  return MARS_OK;
}
