/* What is the caller's: memory on the device, streams. Contract: engine/device.h. */
#include "cuda/device.h"

/* ---- memory ---- */

static mars_status check_memory(mx_cuda *dev, const void *data, size_t bytes, mars_error *err) {
  const mx_cuda_api *cu = dev->cu;
  CUdeviceptr p = (CUdeviceptr)(uintptr_t)data, last = p + bytes - 1;
  CUcontext owner = NULL;
  int ordinal = -1;

  if (cu->cuPointerGetAttribute == NULL) return MARS_OK; /* a driver too old to be asked */
  if (cu->cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, p) != CUDA_SUCCESS)
    return mx_fail(err, MARS_E_ARG, "%p is no memory that the driver of %s knows", data, dev->name);
  if (ordinal != (int)dev->device)
    return mx_fail(err, MARS_E_ARG, "%p is memory of cuda:%d, not of %s", data, ordinal, dev->name);
  if (cu->cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, last) != CUDA_SUCCESS || ordinal != (int)dev->device)
    return mx_fail(err, MARS_E_ARG, "%p is memory of %s, but not all of the %zu bytes from there on", data, dev->name, bytes);
  if (cu->cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_CONTEXT, p) == CUDA_SUCCESS && owner != NULL && owner != dev->ctx)
    return mx_fail(err, MARS_E_ARG, "%p is memory of another context than the primary one of %s", data, dev->name);
  return MARS_OK;
}

mars_status mx_cuda_reaches(mx_device *d, const void *data, size_t bytes, mars_error *err) {
  mx_cuda *dev = (mx_cuda *)d;
  mars_status st = mx_cuda_enter(dev, err);

  if (st != MARS_OK) return st;
  st = check_memory(dev, data, bytes, err);
  mx_cuda_leave(dev);
  return st;
}

/* ---- streams ---- */

mars_status mx_cuda_mark_create(mx_device *d, void *stream, void **mark, mars_error *err) {
  mx_cuda *dev = (mx_cuda *)d;
  CUevent event = NULL;
  mars_status st = mx_cuda_enter(dev, err);

  *mark = NULL;
  if (st != MARS_OK) return st;
  if (dev->cu->cuStreamWaitEvent == NULL) MX_TRY(mx_fail(err, MARS_E_UNSUPPORTED, "mars_run: %s: this driver has no cuStreamWaitEvent", dev->name));
  MX_TRY(mx_cuda_check(dev, dev->cu->cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "an event for the caller's stream", err));
  MX_TRY(mx_cuda_check(dev, dev->cu->cuEventRecord(event, (CUstream)stream), "marking the end of the caller's stream", err));
  *mark = event;
  event = NULL;

done:
  if (event != NULL) (void)dev->cu->cuEventDestroy(event);
  mx_cuda_leave(dev);
  return st;
}

mars_status mx_cuda_mark_wait(mx_device *d, void *mark, mars_error *err) {
  mx_cuda *dev = (mx_cuda *)d;
  mars_status st = mx_cuda_enter(dev, err);

  if (st != MARS_OK) return st;
  MX_TRY(mx_cuda_check(dev, dev->cu->cuStreamWaitEvent(dev->compute, mark, 0), "waiting for the caller's stream", err));
  for (int i = 0; i < MX_LANES; i++)
    MX_TRY(mx_cuda_check(dev, dev->cu->cuStreamWaitEvent(dev->lane[i].stream, mark, 0), "waiting for the caller's stream", err));
  if (dev->clique != NULL)
    MX_TRY(mx_cuda_check(dev, dev->cu->cuStreamWaitEvent(mx_clique_stream(dev), mark, 0), "waiting for the caller's stream", err));

done:
  mx_cuda_leave(dev);
  return st;
}

void mx_cuda_mark_destroy(mx_device *d, void *mark) {
  mx_cuda *dev = (mx_cuda *)d;

  if (dev->cu->cuCtxPushCurrent(dev->ctx) != CUDA_SUCCESS) return;
  (void)dev->cu->cuEventDestroy(mark);
  mx_cuda_leave(dev);
}
