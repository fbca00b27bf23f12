/* Kernel launches, and what is known of a function. */
#include "driver_api.h"

#include <cstring>

using namespace sg;

namespace sg {
namespace {

struct Launch {
  const sg_ptx_kernel *kernel;
  std::string name;
  sg_ptx_grid grid;
  std::vector<char> params;
  int device;
  sg_ptx_counts counts;
  std::array<sg_ptx_traffic, 64> traffic;
};

CUresult result_of(sg_ptx_status status) {
  switch (status) {
  case SG_PTX_OK: return CUDA_SUCCESS;
  case SG_PTX_E_UNWRITTEN: return CUDA_SUCCESS; /* a real device says nothing; the failed check does */
  case SG_PTX_E_RACE: return CUDA_SUCCESS;
  case SG_PTX_E_ARGUMENT: return CUDA_ERROR_INVALID_VALUE;
  case SG_PTX_E_MEMORY: return CUDA_ERROR_OUT_OF_MEMORY;
  case SG_PTX_E_ILLEGAL_ADDRESS: return CUDA_ERROR_ILLEGAL_ADDRESS;
  case SG_PTX_E_MISALIGNED: return CUDA_ERROR_MISALIGNED_ADDRESS;
  case SG_PTX_E_UNKNOWN: return CUDA_ERROR_ILLEGAL_INSTRUCTION;
  case SG_PTX_E_TIMEOUT: return CUDA_ERROR_LAUNCH_TIMEOUT;
  case SG_PTX_E_BARRIER:
  case SG_PTX_E_TRAP: break;
  }
  return CUDA_ERROR_LAUNCH_FAILED;
}

void note_touch(void *user, uint64_t base, size_t bytes, int written) {
  static_cast<std::vector<Touch> *>(user)->push_back({uintptr_t(base), bytes, bytes, 1, written != 0, false});
}

CUresult run_launch(Launch &l, std::vector<Touch> *met) {
  char error[1024] = "";
  std::shared_lock<std::shared_mutex> guard(state().mapping);
  l.grid.touched = note_touch;
  l.grid.touched_user = met;
  l.grid.max_traffic = l.traffic.size(), l.grid.traffic = l.traffic.data();
  sg_ptx_status status =
      sg_ptx_launch(l.kernel, &l.grid, nullptr, l.params.data(), state().memory, l.device, &l.counts, error, sizeof error);
  if (status != SG_PTX_OK) fail_check("%s: %s", sg_ptx_status_name(status), error);
  return result_of(status);
}

/* Read of variables of the module: tables of functions, not the application's data. */
uint64_t read_of_variables(const Launch &l) {
  uint64_t n = 0;
  for (size_t i = 0; i < l.grid.traffic_count && i < l.traffic.size(); i++)
    if (state().allocations.count(uintptr_t(l.traffic[i].allocation.base)) == 0) n += l.traffic[i].read_bytes;
  return n;
}

void count_launch(const Launch &l) {
  State &s = state();
  State::KernelCount &k = s.kernels[l.name];
  const uint64_t read = l.counts.global_read_bytes - read_of_variables(l);
  s.counts.launches++;
  s.counts.global_read_bytes += read;
  s.counts.global_written_bytes += l.counts.global_written_bytes;
  k.launches++;
  k.read += read;
  k.written += l.counts.global_written_bytes;
  k.sectors += l.counts.global_sectors;
}

/* The parameter block, from one of the two ways to give it. */
CUresult take_params(const sg_ptx_kernel_info *info, void **params, void **extra, std::vector<char> *block) {
  block->assign(info->param_bytes != 0 ? info->param_bytes : 1, 0);
  if (params != nullptr) {
    if (extra != nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < info->param_count; i++) memcpy(block->data() + info->params[i].offset, params[i], info->params[i].bytes);
    return CUDA_SUCCESS;
  }
  if (extra == nullptr) return info->param_count == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  const void *from = nullptr;
  size_t bytes = 0;
  for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
    if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER) from = extra[1];
    else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *static_cast<size_t *>(extra[1]);
    else return CUDA_ERROR_INVALID_VALUE;
  }
  if (bytes < info->param_bytes || from == nullptr) return CUDA_ERROR_INVALID_VALUE;
  memcpy(block->data(), from, info->param_bytes);
  return CUDA_SUCCESS;
}

CUresult check_shape(const CUlaunchConfig &c, CUfunction f, const sg_ptx_kernel_info *info) {
  if (c.gridDimX == 0 || c.gridDimY == 0 || c.gridDimZ == 0 || c.blockDimX == 0 || c.blockDimY == 0 || c.blockDimZ == 0)
    return CUDA_ERROR_INVALID_VALUE;
  if (c.gridDimX > 2147483647u || c.gridDimY > 65535 || c.gridDimZ > 65535) return CUDA_ERROR_INVALID_VALUE;
  if (c.blockDimX > 1024 || c.blockDimY > 1024 || c.blockDimZ > 64) return CUDA_ERROR_INVALID_VALUE;
  uint64_t threads = uint64_t(c.blockDimX) * c.blockDimY * c.blockDimZ;
  if (threads > 1024 || threads > info->max_threads) return CUDA_ERROR_INVALID_VALUE;
  const unsigned *want = info->required_block;
  if (want[0] != 0 && (c.blockDimX != want[0] || c.blockDimY != want[1] || c.blockDimZ != want[2])) return CUDA_ERROR_INVALID_VALUE;
  if (c.sharedMemBytes > unsigned(f->dynamic_shared_limit)) return CUDA_ERROR_INVALID_VALUE;
  if (f->dynamic_shared_limit <= 48 << 10 && c.sharedMemBytes + info->static_shared_bytes > 48u << 10) return CUDA_ERROR_INVALID_VALUE;
  if (uint64_t(info->registers) * threads > 65536) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  return CUDA_SUCCESS;
}

CUresult check_attributes(const CUlaunchConfig &c) {
  for (unsigned i = 0; i < c.numAttrs; i++) {
    const CUlaunchAttribute &a = c.attrs[i];
    if (a.id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && a.value.cooperative != 0) return CUDA_ERROR_NOT_SUPPORTED;
    if (a.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION &&
        (a.value.clusterDim.x != 1 || a.value.clusterDim.y != 1 || a.value.clusterDim.z != 1))
      return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}

CUresult launch(const char *name, const CUlaunchConfig &c, CUfunction f, void **params, void **extra) {
  return call(name, on_launch, [&](CUcontext ctx, Lock &) {
    State &s = state();
    CUstream stream = nullptr;

    if (f == nullptr || s.functions.count(f) == 0) return CUDA_ERROR_INVALID_HANDLE;
    CUresult r = stream_resolve(ctx, c.hStream, &stream);
    if (r != CUDA_SUCCESS) return r;
    if (stream->ctx->error != CUDA_SUCCESS) return stream->ctx->error;
    if (stream->ctx != f->module->ctx) return CUDA_ERROR_INVALID_HANDLE;
    const sg_ptx_kernel_info *info = sg_ptx_kernel_describe(f->kernel);
    r = check_shape(c, f, info);
    if (r == CUDA_SUCCESS) r = check_attributes(c);
    auto l = std::make_shared<Launch>();
    if (r == CUDA_SUCCESS) r = take_params(info, params, extra, &l->params);
    if (r != CUDA_SUCCESS) return r;
    l->kernel = f->kernel;
    l->name = info->name;
    l->device = stream->ctx->device;
    l->counts = sg_ptx_counts();
    l->grid = sg_ptx_grid();
    l->grid.grid[0] = c.gridDimX, l->grid.grid[1] = c.gridDimY, l->grid.grid[2] = c.gridDimZ;
    l->grid.block[0] = c.blockDimX, l->grid.block[1] = c.blockDimY, l->grid.block[2] = c.blockDimZ;
    l->grid.dynamic_shared_bytes = c.sharedMemBytes;
    l->grid.order_seed = s.config.seed == 0 ? 0 : s.sched.random() | 1;
    auto op = std::make_unique<Op>();
    op->what = info->name; /* the module outlives its launches: unloading waits */
    op->step = true;
    op->run = [l](Op &self) { return run_launch(*l, &self.met); };
    op->finish = [l] { count_launch(*l); };
    stream_issue(stream, std::move(op));
    return CUDA_SUCCESS;
  });
}

template <class F> CUresult on_function(const char *name, CUfunction f, F body) {
  return call(name, on_ctx, [&](CUcontext, Lock &) {
    if (f == nullptr || state().functions.count(f) == 0) return CUDA_ERROR_INVALID_HANDLE;
    return body(sg_ptx_kernel_describe(f->kernel));
  });
}

int shared_optin() {
  int cc = 10 * state().config.cc_major + state().config.cc_minor;
  return (cc >= 90 ? 227 : cc == 80 || cc == 87 ? 163 : 99) << 10;
}

} // namespace
} // namespace sg

CUresult CUDAAPI cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                unsigned shared, CUstream stream, void **params, void **extra) {
  CUlaunchConfig c = {};
  c.gridDimX = gx, c.gridDimY = gy, c.gridDimZ = gz;
  c.blockDimX = bx, c.blockDimY = by, c.blockDimZ = bz;
  c.sharedMemBytes = shared;
  c.hStream = stream;
  return launch("cuLaunchKernel", c, f, params, extra);
}

CUresult CUDAAPI cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **params, void **extra) {
  if (config == nullptr || (config->numAttrs != 0 && config->attrs == nullptr)) return CUDA_ERROR_INVALID_VALUE;
  return launch("cuLaunchKernelEx", *config, f, params, extra);
}

CUresult CUDAAPI cuFuncGetAttribute(int *out, CUfunction_attribute what, CUfunction f) {
  return on_function("cuFuncGetAttribute", f, [&](const sg_ptx_kernel_info *info) {
    int target = 0, version = 0;
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    sg_ptx_version(f->module->ptx, &target, &version);
    switch (what) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: {
      unsigned by_registers = info->registers != 0 ? 65536 / info->registers / 32 * 32 : 1024;
      *out = int(info->max_threads < by_registers ? info->max_threads : by_registers);
      break;
    }
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *out = int(info->static_shared_bytes); break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES: *out = int(info->const_bytes); break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: *out = int(info->local_bytes); break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS: *out = int(info->registers); break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION: *out = target; break;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *out = 10 * state().config.cc_major + state().config.cc_minor; break;
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA: *out = 0; break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *out = f->dynamic_shared_limit; break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *out = f->carveout; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuFuncSetAttribute(CUfunction f, CUfunction_attribute what, int value) {
  return on_function("cuFuncSetAttribute", f, [&](const sg_ptx_kernel_info *info) {
    switch (what) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      if (value < 0 || size_t(value) + info->static_shared_bytes > size_t(shared_optin())) return CUDA_ERROR_INVALID_VALUE;
      f->dynamic_shared_limit = value;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      if (value < -1 || value > 100) return CUDA_ERROR_INVALID_VALUE;
      f->carveout = value;
      return CUDA_SUCCESS;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
  });
}

CUresult CUDAAPI cuFuncSetCacheConfig(CUfunction f, CUfunc_cache config) {
  return on_function("cuFuncSetCacheConfig", f, [&](const sg_ptx_kernel_info *) {
    f->cache = int(config);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuFuncGetModule(CUmodule *out, CUfunction f) {
  return on_function("cuFuncGetModule", f, [&](const sg_ptx_kernel_info *) {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *out = f->module;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuFuncGetName(const char **out, CUfunction f) {
  return on_function("cuFuncGetName", f, [&](const sg_ptx_kernel_info *info) {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *out = info->name;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuFuncGetParamInfo(CUfunction f, size_t i, size_t *offset, size_t *bytes) {
  return on_function("cuFuncGetParamInfo", f, [&](const sg_ptx_kernel_info *info) {
    if (offset == nullptr || i >= info->param_count) return CUDA_ERROR_INVALID_VALUE;
    *offset = info->params[i].offset;
    if (bytes != nullptr) *bytes = info->params[i].bytes;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction f, int block_size, size_t dynamic,
                                                                      unsigned int flags) {
  return on_function("cuOccupancyMaxActiveBlocksPerMultiprocessor", f, [&](const sg_ptx_kernel_info *info) {
    if (blocks == nullptr || block_size <= 0 || (flags & ~1u) != 0) return CUDA_ERROR_INVALID_VALUE;
    size_t threads = (size_t(block_size) + 31) / 32 * 32, registers = info->registers != 0 ? info->registers : 1;
    size_t per_sm = size_t(shared_optin()) + 1024, shared = info->static_shared_bytes + dynamic + 1024;
    size_t n = 2048 / threads;
    if (block_size > 1024 || unsigned(block_size) > info->max_threads) n = 0;
    if (65536 / (registers * threads) < n) n = 65536 / (registers * threads);
    if (per_sm / shared < n) n = per_sm / shared;
    *blocks = int(n < 32 ? n : 32);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction f, int block_size, size_t dynamic) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, f, block_size, dynamic, 0);
}
