/* Views: strided runs in and out of block registers. Contract: host/vm.h. */
#include "host/vm.h"

#include <string.h>

void mx_window_init(mx_window *v, const mx_bind *bind, int es, int nd, const int *order, const int64_t *shape) {
  int n = 0;

  v->base = bind->base;
  v->index = bind->index;
  v->es = es;
  v->copy = false;
  for (int i = nd - 1; i >= 0; i--) {
    int64_t extent = shape[order[i]], stride = bind->stride[order[i]];

    if (n > 0 && stride == v->stride[n - 1] * v->shape[n - 1]) {
      v->shape[n - 1] *= extent;
      continue;
    }
    v->shape[n] = extent;
    v->stride[n++] = stride;
  }
  if (n == 0) {
    v->shape[0] = 1;
    v->stride[0] = es;
    n = 1;
  }
  v->nd = n;
}

/* Elements may stand at any address: memory accesses through memcpy of a known size. */
typedef struct { char b[16]; } bytes16;

#define GATHER(T)                                                                                            \
  for (int64_t i = 0; i < n; i++, src += stride) __builtin_memcpy(dst + i * (int64_t)sizeof(T), src, sizeof(T))
#define SCATTER(T)                                                                                           \
  for (int64_t i = 0; i < n; i++, dst += stride) __builtin_memcpy(dst, src + i * (int64_t)sizeof(T), sizeof(T))

static void gather_run(char *restrict dst, const char *restrict src, int64_t n, int64_t stride, int es) {
  if (stride == es) {
    memcpy(dst, src, (size_t)(n * es));
    return;
  }
  switch (es) {
  case 1: GATHER(char); return;
  case 2: GATHER(int16_t); return;
  case 4: GATHER(int32_t); return;
  case 8: GATHER(int64_t); return;
  default: GATHER(bytes16); return;
  }
}

static void scatter_run(char *restrict dst, const char *restrict src, int64_t n, int64_t stride, int es) {
  if (stride == es) {
    memcpy(dst, src, (size_t)(n * es));
    return;
  }
  switch (es) {
  case 1: SCATTER(char); return;
  case 2: SCATTER(int16_t); return;
  case 4: SCATTER(int32_t); return;
  case 8: SCATTER(int64_t); return;
  default: SCATTER(bytes16); return;
  }
}

/* A walk over the runs of [p, p + n). */
typedef struct walk {
  const mx_window *v;
  int64_t at[MARS_MAX_DIMS], offset, left;
} walk;

static void walk_start(walk *w, const mx_window *v, int64_t p, int64_t n) {
  w->v = v;
  w->offset = 0;
  w->left = n;
  for (int d = 0; d < v->nd; d++) {
    w->at[d] = d == v->nd - 1 ? p : p % v->shape[d];
    p /= v->shape[d];
    w->offset += w->at[d] * v->stride[d];
  }
}

/* Length of the run at offset. */
static inline int64_t walk_run(const walk *w) {
  int64_t run = w->v->shape[0] - w->at[0];

  return run < w->left ? run : w->left;
}

static inline void walk_next(walk *w, int64_t len) {
  const mx_window *v = w->v;

  w->left -= len;
  w->at[0] += len;
  w->offset += len * v->stride[0];
  for (int d = 0; d < v->nd - 1 && w->at[d] == v->shape[d]; d++) {
    w->at[d] = 0;
    w->offset += v->stride[d + 1] - v->shape[d] * v->stride[d];
    w->at[d + 1]++;
  }
}

/* A matrix whose columns are contiguous: read along them, a few columns at a time so that the lines of dst stay in L1. */
#define TURN(T)                                                                                              \
  for (int64_t j = 0; j < cols; j++)                                                                         \
    for (int64_t i = 0; i < rows; i++)                                                                       \
      __builtin_memcpy(dst + (i * cols + j) * (int64_t)sizeof(T), src + j * stride + i * (int64_t)sizeof(T), sizeof(T))

static void gather_turned(char *restrict dst, const char *restrict src, int64_t rows, int64_t cols, int64_t stride,
                          int es) {
  switch (es) {
  case 1: TURN(char); return;
  case 2: TURN(int16_t); return;
  case 4: TURN(int32_t); return;
  case 8: TURN(int64_t); return;
  default: TURN(bytes16); return;
  }
}

void mx_window_gather(const mx_window *view, int64_t p, int64_t n, char *dst) {
  walk w;

  if (view->nd == 2 && view->stride[1] == view->es && p == 0 && n == view->shape[0] * view->shape[1]) {
    gather_turned(dst, view->base, view->shape[1], view->shape[0], view->stride[0], view->es);
    return;
  }
  for (walk_start(&w, view, p, n); w.left > 0;) {
    int64_t len = walk_run(&w);

    gather_run(dst, view->base + w.offset, len, view->stride[0], view->es);
    dst += len * view->es;
    walk_next(&w, len);
  }
}

void mx_window_scatter(const mx_window *view, int64_t p, int64_t n, const char *src) {
  walk w;

  for (walk_start(&w, view, p, n); w.left > 0;) {
    int64_t len = walk_run(&w);

    scatter_run(view->base + w.offset, src, len, view->stride[0], view->es);
    src += len * view->es;
    walk_next(&w, len);
  }
}

#define SPLAT(T)                                                                                             \
  do {                                                                                                       \
    T one;                                                                                                   \
    __builtin_memcpy(&one, src, sizeof one);                                                                 \
    for (int64_t i = 0; i < n; i++) __builtin_memcpy(dst + i * (int64_t)sizeof(T), &one, sizeof one);        \
  } while (0)

void mx_splat(char *restrict dst, const char *restrict src, int es, int64_t n) {
  switch (es) {
  case 1: memset(dst, *src, (size_t)n); return;
  case 2: SPLAT(int16_t); return;
  case 4: SPLAT(int32_t); return;
  case 8: SPLAT(int64_t); return;
  default: SPLAT(bytes16); return;
  }
}
