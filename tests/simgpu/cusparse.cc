/*
 * The stand-in of cuSPARSE: handles and versions only. No operation on sparse matrices is simulated, and none is exported.
 *
 * Layer: tests/simgpu, libcusparse.so.12. Threads: as cuSPARSE.
 */
#pragma GCC visibility push(default)
#include <cusparse.h>
#pragma GCC visibility pop

#include "driver_export.h"

struct cusparseContext {
  cudaStream_t stream = nullptr;
  cusparsePointerMode_t mode = CUSPARSE_POINTER_MODE_HOST;
};

cusparseStatus_t CUSPARSEAPI cusparseCreate(cusparseHandle_t *out) {
  if (out == nullptr) return CUSPARSE_STATUS_INVALID_VALUE;
  CUresult r = sg::export_create();
  if (r != CUDA_SUCCESS) return r == CUDA_ERROR_OUT_OF_MEMORY ? CUSPARSE_STATUS_ALLOC_FAILED : CUSPARSE_STATUS_NOT_INITIALIZED;
  *out = new cusparseContext;
  return CUSPARSE_STATUS_SUCCESS;
}

cusparseStatus_t CUSPARSEAPI cusparseDestroy(cusparseHandle_t h) {
  if (h == nullptr) return CUSPARSE_STATUS_NOT_INITIALIZED;
  delete h;
  sg::export_destroy();
  return CUSPARSE_STATUS_SUCCESS;
}

cusparseStatus_t CUSPARSEAPI cusparseGetVersion(cusparseHandle_t h, int *version) {
  if (h == nullptr) return CUSPARSE_STATUS_NOT_INITIALIZED;
  if (version == nullptr) return CUSPARSE_STATUS_INVALID_VALUE;
  *version = CUSPARSE_VERSION;
  return CUSPARSE_STATUS_SUCCESS;
}

cusparseStatus_t CUSPARSEAPI cusparseGetProperty(libraryPropertyType type, int *value) {
  if (value == nullptr) return CUSPARSE_STATUS_INVALID_VALUE;
  switch (type) {
  case MAJOR_VERSION: *value = CUSPARSE_VER_MAJOR; return CUSPARSE_STATUS_SUCCESS;
  case MINOR_VERSION: *value = CUSPARSE_VER_MINOR; return CUSPARSE_STATUS_SUCCESS;
  case PATCH_LEVEL: *value = CUSPARSE_VER_PATCH; return CUSPARSE_STATUS_SUCCESS;
  }
  return CUSPARSE_STATUS_INVALID_VALUE;
}

cusparseStatus_t CUSPARSEAPI cusparseSetStream(cusparseHandle_t h, cudaStream_t stream) {
  if (h == nullptr) return CUSPARSE_STATUS_NOT_INITIALIZED;
  if (stream != nullptr && sg::export_stream_device(reinterpret_cast<CUstream>(stream)) < 0) return CUSPARSE_STATUS_INVALID_VALUE;
  h->stream = stream;
  return CUSPARSE_STATUS_SUCCESS;
}

cusparseStatus_t CUSPARSEAPI cusparseGetStream(cusparseHandle_t h, cudaStream_t *stream) {
  if (h == nullptr) return CUSPARSE_STATUS_NOT_INITIALIZED;
  if (stream == nullptr) return CUSPARSE_STATUS_INVALID_VALUE;
  *stream = h->stream;
  return CUSPARSE_STATUS_SUCCESS;
}

cusparseStatus_t CUSPARSEAPI cusparseSetPointerMode(cusparseHandle_t h, cusparsePointerMode_t mode) {
  if (h == nullptr) return CUSPARSE_STATUS_NOT_INITIALIZED;
  h->mode = mode;
  return CUSPARSE_STATUS_SUCCESS;
}

cusparseStatus_t CUSPARSEAPI cusparseGetPointerMode(cusparseHandle_t h, cusparsePointerMode_t *mode) {
  if (h == nullptr) return CUSPARSE_STATUS_NOT_INITIALIZED;
  if (mode == nullptr) return CUSPARSE_STATUS_INVALID_VALUE;
  *mode = h->mode;
  return CUSPARSE_STATUS_SUCCESS;
}
