/* CUDA devices as the session finds and opens them. Contract: engine/device.h (mx_device_kind). */
#include "engine/session.h"

static int count(void *ctx) {
  (void)ctx;
  return mx_cuda_device_count(NULL);
}

static mars_status describe(void *ctx, int index, mx_device_info *out, mars_error *err) {
  (void)ctx;
  *out = (mx_device_info){.host = false};
  return mx_cuda_device_memory(index, &out->memory_bytes, err);
}

static mars_status create(void *ctx, const mx_device_request *request, mx_device **out, mars_error *err) {
  (void)ctx;
  return mx_cuda_device_create(&(mx_cuda_config){.mem = request->mem, .ordinal = request->index, .memory_bytes = request->budget_bytes}, out, err);
}

const mx_device_kind mx_cuda_kind = {.name = "cuda", .count = count, .describe = describe, .create = create};
