/* The stand-in of cuSOLVER: handles, parameters, versions. Contract: cusolver_core.h. */
#include "cusolver_core.h"

#include <mutex>
#include <set>

namespace sg {
namespace {
std::mutex mutex;
std::set<cusolverDnHandle_t> &handles() {
  static auto *set = new std::set<cusolverDnHandle_t>;
  return *set;
}
} // namespace

bool solver_valid(cusolverDnHandle_t h) {
  std::lock_guard<std::mutex> guard(mutex);
  return h != nullptr && handles().count(h) != 0;
}

cusolverStatus_t solver_enqueue(cusolverDnHandle_t h, const char *what, std::vector<Touch> touches, std::function<void()> body) {
  if (export_current_device() != h->device) {
    export_fail_check("a cuSOLVER handle is used while another device is current");
    return CUSOLVER_STATUS_INTERNAL_ERROR;
  }
  CUresult r = export_enqueue(h->stream, what, std::move(touches), [body = std::move(body)] {
    blas_one_thread();
    body();
    return CUDA_SUCCESS;
  });
  return r == CUDA_SUCCESS ? CUSOLVER_STATUS_SUCCESS : r == CUDA_ERROR_OUT_OF_MEMORY ? CUSOLVER_STATUS_ALLOC_FAILED : CUSOLVER_STATUS_INTERNAL_ERROR;
}

} // namespace sg

using namespace sg;

cusolverStatus_t CUSOLVERAPI cusolverDnCreate(cusolverDnHandle_t *out) {
  if (out == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  *out = nullptr;
  CUresult r = export_create();
  if (r != CUDA_SUCCESS) return r == CUDA_ERROR_OUT_OF_MEMORY ? CUSOLVER_STATUS_ALLOC_FAILED : CUSOLVER_STATUS_NOT_INITIALIZED;
  auto *h = new cusolverDnContext;
  h->device = export_current_device();
  std::lock_guard<std::mutex> guard(mutex);
  handles().insert(h);
  *out = h;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnDestroy(cusolverDnHandle_t h) {
  std::lock_guard<std::mutex> guard(mutex);
  if (h == nullptr || handles().erase(h) == 0) return CUSOLVER_STATUS_NOT_INITIALIZED;
  export_destroy();
  delete h;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnSetStream(cusolverDnHandle_t h, cudaStream_t stream) {
  CHECK_HANDLE(h);
  int device = export_stream_device(reinterpret_cast<CUstream>(stream));
  if (stream != nullptr && device < 0) return CUSOLVER_STATUS_INVALID_VALUE;
  if (stream != nullptr && device != h->device) export_fail_check("cusolverDnSetStream: the stream is another device's than the handle");
  h->stream = reinterpret_cast<CUstream>(stream);
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnGetStream(cusolverDnHandle_t h, cudaStream_t *stream) {
  CHECK_HANDLE(h);
  if (stream == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  *stream = reinterpret_cast<cudaStream_t>(h->stream);
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnSetDeterministicMode(cusolverDnHandle_t h, cusolverDeterministicMode_t mode) {
  CHECK_HANDLE(h);
  h->deterministic = mode;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnGetDeterministicMode(cusolverDnHandle_t h, cusolverDeterministicMode_t *mode) {
  CHECK_HANDLE(h);
  if (mode == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  *mode = h->deterministic;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverGetProperty(libraryPropertyType type, int *value) {
  if (value == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  switch (type) {
  case MAJOR_VERSION: *value = CUSOLVER_VER_MAJOR; return CUSOLVER_STATUS_SUCCESS;
  case MINOR_VERSION: *value = CUSOLVER_VER_MINOR; return CUSOLVER_STATUS_SUCCESS;
  case PATCH_LEVEL: *value = CUSOLVER_VER_PATCH; return CUSOLVER_STATUS_SUCCESS;
  }
  return CUSOLVER_STATUS_INVALID_VALUE;
}

cusolverStatus_t CUSOLVERAPI cusolverGetVersion(int *version) {
  if (version == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  *version = CUSOLVER_VERSION;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnCreateParams(cusolverDnParams_t *params) {
  if (params == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  *params = new cusolverDnParams();
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnDestroyParams(cusolverDnParams_t params) {
  delete params;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnSetAdvOptions(cusolverDnParams_t params, cusolverDnFunction_t function, cusolverAlgMode_t algo) {
  if (params == nullptr || int(function) < 0 || int(function) >= 32) return CUSOLVER_STATUS_INVALID_VALUE;
  params->algorithm[int(function)] = int(algo);
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnCreateGesvdjInfo(gesvdjInfo_t *info) {
  if (info == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  *info = new gesvdjInfo;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnDestroyGesvdjInfo(gesvdjInfo_t info) {
  delete info;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnXgesvdjSetTolerance(gesvdjInfo_t info, double tolerance) {
  if (info == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  info->tolerance = tolerance;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnXgesvdjSetMaxSweeps(gesvdjInfo_t info, int n) {
  if (info == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  info->max_sweeps = n;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t CUSOLVERAPI cusolverDnXgesvdjSetSortEig(gesvdjInfo_t info, int sort) {
  if (info == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  info->sort = sort;
  return CUSOLVER_STATUS_SUCCESS;
}
