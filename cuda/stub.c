/* In place of the CUDA device where its headers were missing at build time: there are no devices, so nobody opens one. */
#include "engine/session.h"

#include <stdio.h>

static int count(void *ctx) {
  (void)ctx;
  return 0;
}

static void why(void *ctx, char *text, size_t bytes) {
  (void)ctx;
  snprintf(text, bytes, "%s", MX_CUDA_WHY);
}

const mx_device_kind mx_cuda_kind = {.name = "cuda", .count = count, .why = why};

bool mars_library_get(size_t index, mars_library *out) {
  if (index > 0) return false;
  *out = (mars_library){.name = "cuda", .missing = MX_CUDA_WHY};
  return true;
}
