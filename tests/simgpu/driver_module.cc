/* Modules from PTX text, their functions and variables. */
#include "driver_api.h"
#include "machine_code.h"

#include <cstring>
#include <fstream>
#include <sstream>

using namespace sg;

namespace sg {

void module_end(CUmodule module) {
  State &s = state();
  for (auto &f : module->functions) {
    s.functions.erase(f.second);
    delete f.second;
  }
  s.modules.erase(module);
  module->ctx->modules.erase(module);
  sg_ptx_unload(module->ptx);
  delete module;
}

namespace {

struct JitLog {
  char *error = nullptr, *info = nullptr;
  size_t error_size = 0, info_size = 0;
  void **error_size_out = nullptr, **info_size_out = nullptr;

  static void put(char *to, size_t size, void **size_out, const char *text) {
    size_t n = strlen(text);
    if (to != nullptr && size > 0) snprintf(to, size, "%s", text);
    if (size_out != nullptr) *size_out = reinterpret_cast<void *>(uintptr_t(n < size ? n + 1 : size));
  }
};

CUresult read_options(unsigned n, CUjit_option *options, void **values, JitLog *log) {
  if (n != 0 && (options == nullptr || values == nullptr)) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < n; i++) switch (options[i]) {
    case CU_JIT_ERROR_LOG_BUFFER: log->error = static_cast<char *>(values[i]); break;
    case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
      log->error_size = uintptr_t(values[i]) & 0xffffffffu;
      log->error_size_out = &values[i];
      break;
    case CU_JIT_INFO_LOG_BUFFER: log->info = static_cast<char *>(values[i]); break;
    case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
      log->info_size = uintptr_t(values[i]) & 0xffffffffu;
      log->info_size_out = &values[i];
      break;
    default: break;
    }
  return CUDA_SUCCESS;
}

/* The newest PTX that the driver reads, 10 * major + minor: CUDA 11.x reads 7.x, 12.x and 13.x 8.x and 9.x, but that 12.6 brought none. */
int newest_ptx(int driver) {
  const int major = driver / 1000, minor = driver % 1000 / 10;
  return 10 * (major - 4) + minor - (major == 12 && minor >= 6 ? 1 : 0);
}

/* What the image is; only PTX text can be run here, that of machine code where its maker has left it (nvrtc.cc). */
CUresult look_at(const void *image, const std::string &folder, std::string *ptx, bool *machine) {
  const unsigned char *p = static_cast<const unsigned char *>(image);
  *machine = p[0] == 0x7f && memcmp(p, "\177ELF", 4) == 0;
  if (*machine) {
    std::ifstream f(folder.empty() ? "" : ptx_of_machine_code(folder, image));
    std::stringstream text;
    text << f.rdbuf();
    *ptx = text.str();
    return ptx->empty() ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_SUCCESS;
  }
  if (p[0] == 0x50 && memcmp(p, "\x50\xed\x55\xba", 4) == 0) return CUDA_ERROR_NO_BINARY_FOR_GPU; /* a fat binary */
  *ptx = static_cast<const char *>(image);
  if (ptx->find(".version") == std::string::npos) return CUDA_ERROR_INVALID_IMAGE;
  return CUDA_SUCCESS;
}

CUresult load(const char *name, CUmodule *out, const void *image, unsigned n, CUjit_option *options, void **values) {
  return call(name, on_alloc, [&](CUcontext ctx, Lock &lock) {
    State &s = state();
    JitLog log;
    std::string text;
    char error[1024] = "";
    bool machine = false;

    if (out == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
    CUresult r = read_options(n, options, values, &log);
    if (r == CUDA_SUCCESS) r = look_at(image, s.config.machine, &text, &machine);
    if (r != CUDA_SUCCESS) return r;
    int device = ctx->device, target = 0, version = 0, cc = 10 * s.config.cc_major + s.config.cc_minor;
    lock.unlock();
    sg_ptx_module *ptx = sg_ptx_load(text.c_str(), s.memory, device, error, sizeof error);
    lock.lock();
    JitLog::put(log.info, log.info_size, log.info_size_out, "");
    JitLog::put(log.error, log.error_size, log.error_size_out, error);
    if (ptx == nullptr) return CUDA_ERROR_INVALID_PTX;
    sg_ptx_version(ptx, &target, &version);
    /* machine code is for its generation alone */
    const bool wrong = target > cc || (machine && target / 10 != cc / 10);
    if (wrong || (!machine && version > newest_ptx(s.config.driver != 0 ? s.config.driver : CUDA_VERSION))) {
      sg_ptx_unload(ptx);
      return wrong ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    }
    (machine ? s.counts.machine_modules : s.counts.ptx_modules)++;
    auto module = std::make_unique<CUmod_st>();
    module->ctx = ctx;
    module->ptx = ptx;
    ctx->modules.insert(module.get());
    s.modules.insert(module.get());
    *out = module.release();
    return CUDA_SUCCESS;
  });
}

template <class F> CUresult on_module(const char *name, const Gate &gate, CUmodule module, F body) {
  return call(name, gate, [&](CUcontext ctx, Lock &lock) {
    if (module == nullptr || state().modules.count(module) == 0) return CUDA_ERROR_INVALID_HANDLE;
    return body(ctx, lock);
  });
}

} // namespace
} // namespace sg

CUresult CUDAAPI cuModuleLoadData(CUmodule *out, const void *image) {
  return load("cuModuleLoadData", out, image, 0, nullptr, nullptr);
}

CUresult CUDAAPI cuModuleLoadDataEx(CUmodule *out, const void *image, unsigned int n, CUjit_option *options, void **values) {
  return load("cuModuleLoadDataEx", out, image, n, options, values);
}

CUresult CUDAAPI cuModuleLoadFatBinary(CUmodule *, const void *) {
  return call("cuModuleLoadFatBinary", on_alloc, [&](CUcontext, Lock &) { return CUDA_ERROR_NO_BINARY_FOR_GPU; });
}

CUresult CUDAAPI cuModuleUnload(CUmodule module) {
  return on_module("cuModuleUnload", on_release, module, [&](CUcontext, Lock &lock) {
    device_wait(module->ctx->device, lock);
    if (state().modules.count(module) == 0) return CUDA_ERROR_INVALID_HANDLE;
    module_end(module);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuModuleGetFunction(CUfunction *out, CUmodule module, const char *name) {
  return on_module("cuModuleGetFunction", on_ctx, module, [&](CUcontext, Lock &) {
    if (out == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    CUfunction &f = module->functions[name];
    if (f == nullptr) {
      const sg_ptx_kernel *kernel = sg_ptx_find_kernel(module->ptx, name);
      if (kernel == nullptr) {
        module->functions.erase(name);
        return CUDA_ERROR_NOT_FOUND;
      }
      f = new CUfunc_st;
      f->module = module;
      f->kernel = kernel;
      state().functions.insert(f);
    }
    *out = f;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuModuleGetFunctionCount(unsigned int *count, CUmodule module) {
  return on_module("cuModuleGetFunctionCount", on_ctx, module, [&](CUcontext, Lock &) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = unsigned(sg_ptx_kernel_count(module->ptx));
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuModuleGetGlobal(CUdeviceptr *p, size_t *bytes, CUmodule module, const char *name) {
  return on_module("cuModuleGetGlobal", on_ctx, module, [&](CUcontext, Lock &) {
    uint64_t at;
    size_t n;
    if (name == nullptr || (p == nullptr && bytes == nullptr)) return CUDA_ERROR_INVALID_VALUE;
    if (!sg_ptx_find_global(module->ptx, name, &at, &n)) return CUDA_ERROR_NOT_FOUND;
    if (p != nullptr) *p = at;
    if (bytes != nullptr) *bytes = n;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuModuleGetLoadingMode(CUmoduleLoadingMode *mode) {
  return call("cuModuleGetLoadingMode", on_nothing, [&](CUcontext, Lock &) {
    if (mode == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *mode = CU_MODULE_EAGER_LOADING;
    return CUDA_SUCCESS;
  });
}
