/*
 * The libraries of CUDA, opened at run time: nothing of them is linked, and each may be missing.
 *
 * Looked for in the folders of $MARS_CUDA_LIBRARY_PATH (colon-separated; a folder of Python's nvidia-* wheels may be named,
 * its nvidia/<package>/lib folders are then looked through; with "!" as the last entry nothing is looked for elsewhere), $CUDA_HOME and $CUDA_PATH (lib64, lib, targets),
 * /usr/local/cuda, /usr/local/cuda-*, and then wherever the system's loader looks.
 *
 * Layer: cuda. Threads: mx_cuda_load opens each once, under a lock; what it has filled is not changed again and stays.
 */
#ifndef MX_CUDA_LIBRARY_H
#define MX_CUDA_LIBRARY_H

#include "engine/status.h"

#include <cublas_v2.h>
#include <cuda.h>
#include <cusolverDn.h>
#include <nvrtc.h>

/* Their headers are not in every toolkit: declared as the libraries' ABI has them. NVML's results are enums, 0 is success; the driver's
   version has at most 80 characters. */
int cusparseGetProperty(libraryPropertyType type, int *value);
int cufftGetVersion(int *version);
int ncclGetVersion(int *version);
typedef struct ncclComm *mx_nccl_comm;
enum { /* as in nccl.h */
  MX_NCCL_INT8, MX_NCCL_BYTES, MX_NCCL_INT32, MX_NCCL_UINT32, MX_NCCL_INT64, MX_NCCL_UINT64,
  MX_NCCL_SUM = 0, MX_NCCL_PROD, MX_NCCL_MAX, MX_NCCL_MIN,
  MX_NCCL_IN_PROGRESS = 7
};
int ncclCommInitAll(mx_nccl_comm *comms, int n, const int *devices);
int ncclCommDestroy(mx_nccl_comm comm);
int ncclCommAbort(mx_nccl_comm comm);
int ncclCommGetAsyncError(mx_nccl_comm comm, int *error);
int ncclGroupStart(void);
int ncclGroupEnd(void);
int ncclSend(const void *at, size_t count, int type, int peer, mx_nccl_comm comm, CUstream stream);
int ncclRecv(void *at, size_t count, int type, int peer, mx_nccl_comm comm, CUstream stream);
int ncclBroadcast(const void *from, void *to, size_t count, int type, int root, mx_nccl_comm comm, CUstream stream);
int ncclReduce(const void *from, void *to, size_t count, int type, int op, int root, mx_nccl_comm comm, CUstream stream);
const char *ncclGetErrorString(int result);
int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlSystemGetDriverVersion(char *version, unsigned length);

typedef enum mx_cuda_lib {
#define LIBRARY(id, ...) MX_LIB_##id,
#include "cuda/library.def"
  MX_LIB_COUNT
} mx_cuda_lib;

/* One of them: path and version if it is there, else why not. */
typedef struct mx_cuda_library {
  const char *name;
  char *path; /* NULL: it is missing */
  bool tried;
  char version[40];
  char missing[300]; /* why */
  char told[400];    /* and what follows from it */
} mx_cuda_library;

typedef struct mx_cuda_api {
  mx_cuda_library lib[MX_LIB_COUNT];
#define NEED(f) __typeof__(f) *f;
#define MAY(f) __typeof__(f) *f; /* may be NULL */
#include "cuda/library.def"
  char *folders[64]; /* that are looked through, in order */
  int n_folders;
  bool system; /* and then the system's loader */
  void *handle[MX_LIB_COUNT], *builtins; /* builtins: what NVRTC would look for by name */
} mx_cuda_api;

/* The process's table, after an attempt to open `lib`. Never NULL; functions of libraries not asked for are NULL. */
const mx_cuda_api *mx_cuda_load(mx_cuda_lib lib);
static inline bool mx_cuda_has(const mx_cuda_api *cu, mx_cuda_lib lib) { return cu->lib[lib].path != NULL; }
/* MARS_E_UNSUPPORTED and the reason, if it is missing. what: "mars_run: kernels on cuda:0" */
mars_status mx_cuda_need(const mx_cuda_api *cu, mx_cuda_lib lib, const char *what, mars_error *err);

/* A table of its own, for tests: `path` as in MARS_CUDA_LIBRARY_PATH, and nothing else. */
mars_status mx_cuda_api_open(const char *path, mx_cuda_api *cu, mars_error *err);
void mx_cuda_api_reset(mx_cuda_api *cu);

/* Fill err with what a driver call gave. what: "cuMemAlloc of 4096 bytes"; name: "cuda:0" or NULL. */
mars_status mx_cuda_fail(const mx_cuda_api *cu, CUresult r, const char *name, const char *what, mars_error *err);

#endif
