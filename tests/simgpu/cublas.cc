/* The stand-in of cuBLAS: handles. Contract: cublas_core.h. */
#include "cublas_core.h"

#include <mutex>
#include <set>

namespace sg {
namespace {
std::mutex mutex;
std::set<cublasHandle_t> &handles() {
  static auto *set = new std::set<cublasHandle_t>;
  return *set;
}
} // namespace

bool handle_valid(cublasHandle_t h) {
  std::lock_guard<std::mutex> guard(mutex);
  return h != nullptr && handles().count(h) != 0;
}

cublasStatus_t status_of(CUresult r) {
  switch (r) {
  case CUDA_SUCCESS: return CUBLAS_STATUS_SUCCESS;
  case CUDA_ERROR_OUT_OF_MEMORY: return CUBLAS_STATUS_ALLOC_FAILED;
  case CUDA_ERROR_NOT_INITIALIZED:
  case CUDA_ERROR_INVALID_CONTEXT: return CUBLAS_STATUS_NOT_INITIALIZED;
  default: return CUBLAS_STATUS_EXECUTION_FAILED;
  }
}

cublasStatus_t blas_enqueue(cublasHandle_t h, const char *what, std::vector<Touch> touches, std::function<void()> body, bool wait) {
  if (export_current_device() != h->device) {
    export_fail_check("a cuBLAS handle is used while another device is current");
    return CUBLAS_STATUS_EXECUTION_FAILED;
  }
  CUresult r = export_enqueue(h->stream, what, std::move(touches), [body = std::move(body)] {
    blas_one_thread();
    body();
    return CUDA_SUCCESS;
  });
  if (r == CUDA_SUCCESS && wait) r = cuStreamSynchronize(h->stream);
  return status_of(r);
}

} // namespace sg

using namespace sg;

cublasStatus_t CUBLASWINAPI cublasCreate_v2(cublasHandle_t *out) {
  if (out == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *out = nullptr;
  CUresult r = export_create(); /* the real one makes the primary context of device 0 current where none is */
  if (r != CUDA_SUCCESS) return r == CUDA_ERROR_OUT_OF_MEMORY ? CUBLAS_STATUS_ALLOC_FAILED : CUBLAS_STATUS_NOT_INITIALIZED;
  auto *h = new cublasContext;
  h->device = export_current_device();
  std::lock_guard<std::mutex> guard(mutex);
  handles().insert(h);
  *out = h;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasDestroy_v2(cublasHandle_t h) {
  std::lock_guard<std::mutex> guard(mutex);
  if (h == nullptr || handles().erase(h) == 0) return CUBLAS_STATUS_NOT_INITIALIZED;
  export_destroy();
  delete h;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasGetVersion_v2(cublasHandle_t h, int *version) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (version == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *version = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasGetProperty(libraryPropertyType type, int *value) {
  if (value == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  switch (type) {
  case MAJOR_VERSION: *value = CUBLAS_VER_MAJOR; return CUBLAS_STATUS_SUCCESS;
  case MINOR_VERSION: *value = CUBLAS_VER_MINOR; return CUBLAS_STATUS_SUCCESS;
  case PATCH_LEVEL: *value = CUBLAS_VER_PATCH; return CUBLAS_STATUS_SUCCESS;
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

size_t CUBLASWINAPI cublasGetCudartVersion(void) { return CUDA_VERSION; }

/* Setting a stream takes the workspace away, as the real one does: set it again afterwards. */
cublasStatus_t CUBLASWINAPI cublasSetStream_v2(cublasHandle_t h, cudaStream_t stream) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  int device = export_stream_device(reinterpret_cast<CUstream>(stream));
  if (stream != nullptr && device < 0) return CUBLAS_STATUS_INVALID_VALUE;
  if (stream != nullptr && device != h->device) export_fail_check("cublasSetStream: the stream is another device's than the handle");
  h->stream = reinterpret_cast<CUstream>(stream);
  h->workspace = nullptr;
  h->workspace_bytes = 0;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasGetStream_v2(cublasHandle_t h, cudaStream_t *stream) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (stream == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *stream = reinterpret_cast<cudaStream_t>(h->stream);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasSetWorkspace_v2(cublasHandle_t h, void *p, size_t bytes) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (bytes != 0 && (p == nullptr || uintptr_t(p) % 256 != 0)) return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes != 0 && export_pointer_device(p) != h->device) {
    export_fail_check("cublasSetWorkspace: not memory of the handle's device");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  h->workspace = bytes != 0 ? p : nullptr;
  h->workspace_bytes = bytes;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasSetPointerMode_v2(cublasHandle_t h, cublasPointerMode_t mode) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (mode != CUBLAS_POINTER_MODE_HOST && mode != CUBLAS_POINTER_MODE_DEVICE) return CUBLAS_STATUS_INVALID_VALUE;
  h->pointers = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasGetPointerMode_v2(cublasHandle_t h, cublasPointerMode_t *mode) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (mode == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *mode = h->pointers;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasSetMathMode(cublasHandle_t h, cublasMath_t mode) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  h->math = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasGetMathMode(cublasHandle_t h, cublasMath_t *mode) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (mode == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *mode = h->math;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasSetAtomicsMode(cublasHandle_t h, cublasAtomicsMode_t mode) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  h->atomics = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasGetAtomicsMode(cublasHandle_t h, cublasAtomicsMode_t *mode) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (mode == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *mode = h->atomics;
  return CUBLAS_STATUS_SUCCESS;
}

const char *CUBLASWINAPI cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
#define NAME(s) case s: return #s;
    NAME(CUBLAS_STATUS_SUCCESS)
    NAME(CUBLAS_STATUS_NOT_INITIALIZED)
    NAME(CUBLAS_STATUS_ALLOC_FAILED)
    NAME(CUBLAS_STATUS_INVALID_VALUE)
    NAME(CUBLAS_STATUS_ARCH_MISMATCH)
    NAME(CUBLAS_STATUS_MAPPING_ERROR)
    NAME(CUBLAS_STATUS_EXECUTION_FAILED)
    NAME(CUBLAS_STATUS_INTERNAL_ERROR)
    NAME(CUBLAS_STATUS_NOT_SUPPORTED)
    NAME(CUBLAS_STATUS_LICENSE_ERROR)
#undef NAME
  }
  return "CUBLAS_STATUS_UNKNOWN";
}

const char *CUBLASWINAPI cublasGetStatusString(cublasStatus_t status) { return cublasGetStatusName(status); }
