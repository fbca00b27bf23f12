/*
 * Device and pinned memory beside the arena. Contract: cuda/device.h.
 *
 * Where there is none left: wait for the device's own work (libraries give back what they held meanwhile), give back what is only kept
 * for reuse, try once more. After that the error says who holds what, and the engine makes the tasks smaller or does without the device.
 */
#include "cuda/routines/routines.h"

#include <stdio.h>
#include <string.h>

static void free_table(mx_cuda *dev) {
  if (dev->table != 0) {
    (void)dev->cu->cuMemFree(dev->table);
    if (dev->table_host != NULL) (void)dev->cu->cuMemFreeHost(dev->table_host);
    dev->table = 0;
    dev->table_host = NULL;
    dev->table_bytes = dev->table_used = 0;
  }
}

static void free_work(mx_cuda *dev) {
  mx_cuda_blas *b = dev->blas;

  if (b != NULL && b->work != 0) {
    (void)dev->cu->cuMemFree(b->work);
    b->work = 0;
    b->work_bytes = 0;
  }
}

mars_status mx_cuda_make_room(mx_cuda *dev, mx_room_for what, mars_error *err) {
  mars_status st = mx_cuda_check(dev, dev->cu->cuStreamSynchronize(dev->compute), "waiting for memory", err);

  if (st != MARS_OK) return st;
  /* a call has the table's address or the workspace's, never both; a kernel's operands may lie in either */
  if (what == MX_ROOM_WORK || what == MX_ROOM_ALL) free_table(dev);
  if (what == MX_ROOM_TABLE || what == MX_ROOM_ALL) free_work(dev);
  return MARS_OK;
}

/* Who holds what, behind the driver's words. */
void mx_cuda_tell_holders(mx_cuda *dev, mars_error *err) {
  size_t free_bytes = 0, total = 0, n;

  if (err == NULL) return;
  n = strlen(err->message);
  (void)dev->cu->cuMemGetInfo(&free_bytes, &total);
  snprintf(err->message + n, sizeof err->message - n,
           "; of %zu bytes %zu are free; this session holds %zu bytes for tensors, %zu for tables, %zu of workspace, and %d kernels",
           total, free_bytes, dev->arena_bytes, dev->table_bytes, dev->blas != NULL ? dev->blas->work_bytes : 0, dev->n_modules);
}

mars_status mx_cuda_room(mx_cuda *dev, size_t bytes, mx_room_for what, CUdeviceptr *out, const char *name, mars_error *err) {
  CUresult r = dev->cu->cuMemAlloc(out, bytes);
  mars_status st = MARS_OK;

  if (r == CUDA_ERROR_OUT_OF_MEMORY) {
    MX_TRY(mx_cuda_make_room(dev, what, err));
    r = dev->cu->cuMemAlloc(out, bytes);
  }
  MX_TRY(mx_cuda_check(dev, r, name, err));

done:
  if (r != CUDA_SUCCESS) *out = 0;
  if (r == CUDA_ERROR_OUT_OF_MEMORY) mx_cuda_tell_holders(dev, err);
  return st;
}
