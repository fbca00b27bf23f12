/* GEMM of integers. Contract: cuda/routines/routines.h, cuda/device/product.cuh. */
#include "cuda/routines/routines.h"

#include "cuda/device_text.h"

enum { SIDE = 32 };

static void words(const mx_mat *a, int64_t es, uint64_t *w) {
  w[0] = (uint64_t)(uintptr_t)a->base;
  w[1] = (uint64_t)(a->rs * es);
  w[2] = (uint64_t)(a->cs * es);
}

mars_status mx_cuda_product_int(mx_cuda *dev, mars_dtype dt, unsigned flags, const mx_mat *c, const mx_mat *a, const mx_mat *b,
                                mars_error *err) {
  mars_status st = MARS_OK;
  const int64_t es = (int64_t)mars_dtype_bytes(dt), blocks = (c->rows + SIDE - 1) / SIDE * ((c->cols + SIDE - 1) / SIDE);
  uint64_t w[13] = {(uint64_t)c->rows, (uint64_t)c->cols, (uint64_t)a->cols, (flags & MX_TF_FIRST ? 1u : 0) | (flags & MX_TF_NEGATE ? 2u : 0)};
  CUfunction fn = NULL;

  words(c, es, w + 4);
  words(a, es, w + 7);
  words(b, es, w + 10);
  MX_TRY(mx_cuda_tile_fn(dev, mx_device_product, es == 4 ? "mx_product_4" : "mx_product_8", &fn, err));
  MX_TRY(mx_cuda_queue(dev, fn, blocks, 256, w, 13, "a product of integers", err));

done:
  return st;
}
