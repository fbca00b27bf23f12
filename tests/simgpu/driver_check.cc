/* Memory that streams' work touches, checked when the work runs. */
#include "driver_api.h"

namespace sg {
namespace {

/* Every run of a touch; a touch without gaps is one. */
template <class F> bool each_run(const Touch &t, F f) {
  if (t.rows == 0 || t.width == 0) return true;
  if (t.whole()) return f(t.begin(0), t.rows == 1 ? t.end(0) - t.begin(0) : t.width * t.rows);
  for (size_t r = 0; r < t.rows; r++)
    if (t.end(r) > t.begin(r) && !f(t.begin(r), t.end(r) - t.begin(r))) return false;
  return true;
}

} // namespace

CUresult check_touch(const char *what, const Touch &t, int device) {
  sg_memory *mem = state().memory;
  CUresult result = CUDA_SUCCESS;
  bool told = false;

  each_run(t, [&](uint64_t at, size_t bytes) {
    char why[256] = "";
    sg_memory_fault fault = SG_MEMORY_OK;
    if (t.write) {
      fault = sg_memory_check_write(mem, at, bytes, 1, device, why, sizeof why);
      if (fault == SG_MEMORY_READ_ONLY) fault = SG_MEMORY_OK; /* to kernels only */
    }
    if (fault == SG_MEMORY_OK && (!t.write || t.both))
      fault = sg_memory_check_read(mem, at, bytes, 1, device, why, sizeof why);
    if (fault == SG_MEMORY_OK) return true;
    if (fault == SG_MEMORY_UNWRITTEN) { /* a real device says nothing: so does this one, but the check has failed */
      if (!told) fail_check("%s reads bytes that nobody wrote: %s", what, why);
      told = true;
      return true;
    }
    fail_check("%s: %s", what, why);
    result = CUDA_ERROR_ILLEGAL_ADDRESS;
    return false;
  });
  return result;
}

void mark_touch(const Touch &t) {
  if (!t.write) return;
  each_run(t, [&](uint64_t at, size_t bytes) {
    sg_memory_mark_written(state().memory, at, bytes);
    return true;
  });
}

int pointer_device(uintptr_t p) {
  sg_memory_info info;
  if (!sg_memory_find(state().memory, p, 1, &info)) return -1;
  return info.kind == SG_MEMORY_DEVICE || info.kind == SG_MEMORY_CONST ? info.device : -1;
}

} // namespace sg
