/*
 * Whether products may be cut as it suits the threads. Contract: host/routines/tile.h.
 *
 * BLAS adds the terms of an element in one order in the middle of a call and, with some kernels, in another in its last rows and
 * columns. Where every run of MX_CUT_ALIGN rows is done like every other, a call and the calls that it is cut into have the same bits.
 * Nobody promises that, and not all kernels do it (those for f32 on AVX2 do not), so it is tried, once for each dtype: in a product
 * of a matrix whose rows are all alike by another one, the rows of the result must be alike to the last bit, in calls of any
 * height. The extents make the kernels meet all their leftovers, and sums that are added in two goes.
 */
#include "host/routines/tile.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { UNKNOWN, YES, NO };

static atomic_int known[MARS_C128 + 1];

/* Between -1 and 1. */
static double datum(uint32_t i) { return (int32_t)(i * 2654435761u + 12345u) * 0x1p-31; }

static void put(mars_dtype dt, char *to, uint32_t i) {
  switch (dt) {
  case MARS_F32: *(float *)to = (float)datum(i); break;
  case MARS_F64: *(double *)to = datum(i); break;
  case MARS_C64: ((float *)to)[0] = (float)datum(i), ((float *)to)[1] = (float)datum(~i); break;
  default: ((double *)to)[0] = datum(i), ((double *)to)[1] = datum(~i);
  }
}

typedef struct trial {
  mars_dtype dtype;
  size_t elem;
  char *a, *b, *c;   /* room for the largest */
  char *row;         /* of the first result */
  bool have_row;
} trial;

static void fill(const trial *t, const mx_mat *x, bool rows_alike, bool columns_alike, uint32_t seed) {
  for (int64_t i = 0; i < x->rows; i++)
    for (int64_t j = 0; j < x->cols; j++)
      put(t->dtype, x->base + (size_t)(i * x->rs + j) * t->elem, seed + (uint32_t)(rows_alike ? j : columns_alike ? i : i * x->cols + j));
}

/* c = a b, n of whose rows (turned: columns) are alike and have `other` elements; whether they came out so, and like those before. */
static bool came_out_alike(trial *t, bool turned, int64_t n, int64_t other, int64_t depth) {
  const int64_t rows = turned ? other : n, columns = turned ? n : other;
  const mx_mat c = {t->c, rows, columns, columns, 1}, a = {t->a, rows, depth, depth, 1}, b = {t->b, depth, columns, columns, 1};

  fill(t, &a, !turned, false, 1);
  fill(t, &b, false, turned, 1u << 20);
  mx_tile_gemm(t->dtype, MX_TF_FIRST, &c, &a, &b);
  for (int64_t j = 0; j < other && !t->have_row; j++)
    memcpy(t->row + (size_t)j * t->elem, c.base + (size_t)(j * (turned ? columns : 1)) * t->elem, t->elem);
  t->have_row = true;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < other; j++)
      if (memcmp(t->row + (size_t)j * t->elem, c.base + (size_t)(turned ? j * columns + i : i * columns + j) * t->elem, t->elem) != 0)
        return false;
  return true;
}

static bool all_alike(mars_dtype dt) {
  enum { DEEP = 400, SHALLOW = 120, A = MX_CUT_ALIGN };
  static const struct {
    int64_t other, depth, n[3];
  } tries[] = {{207, DEEP, {5 * A, 7 * A, 9 * A}}, {111, SHALLOW, {27 * A, 28 * A, 0}}};
  trial t = {.dtype = dt, .elem = mars_dtype_bytes(dt)};
  const size_t side = (size_t)28 * A * t.elem;
  bool alike;

  t.a = malloc(side * DEEP), t.b = malloc(side * DEEP), t.c = malloc(side * 207), t.row = malloc(side);
  alike = t.a != NULL && t.b != NULL && t.c != NULL && t.row != NULL;
  for (int turned = 0; turned < 2; turned++)
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
      t.have_row = false;
      for (int k = 0; k < 3 && alike && tries[i].n[k] > 0; k++)
        alike = came_out_alike(&t, turned, tries[i].n[k], tries[i].other, tries[i].depth);
    }
  free(t.a);
  free(t.b);
  free(t.c);
  free(t.row);
  return alike;
}

bool mx_blas_cuts_freely(mars_dtype dt) {
  int state = atomic_load_explicit(&known[dt], memory_order_relaxed);

  if (state == UNKNOWN) { /* two threads that try it at once find the same */
    const int before = mx_blas_alone();

    state = all_alike(dt) ? YES : NO;
    if (before > 0) mx_blas_threads(before);
    atomic_store_explicit(&known[dt], state, memory_order_relaxed);
  }
  return state == YES;
}
