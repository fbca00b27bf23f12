/* In place of the CUDA device where its headers were missing at build time. */
#include "engine/session.h"
#include "engine/status.h"

int mx_cuda_device_count(const char **why) {
  if (why != NULL) *why = MX_CUDA_WHY;
  return 0;
}

mars_status mx_cuda_device_memory(int ordinal, size_t *bytes, mars_error *err) {
  *bytes = 0;
  return mx_fail(err, MARS_E_UNSUPPORTED, "mars_session_create: cuda:%d: %s", ordinal, MX_CUDA_WHY);
}

mars_status mx_cuda_device_create(const mx_cuda_config *config, mx_device **out, mars_error *err) {
  *out = NULL;
  return mx_fail(err, MARS_E_UNSUPPORTED, "mars_session_create: cuda:%d: %s", config->ordinal, MX_CUDA_WHY);
}

bool mars_library_get(size_t index, mars_library *out) {
  if (index > 0) return false;
  *out = (mars_library){.name = "cuda", .missing = MX_CUDA_WHY};
  return true;
}
