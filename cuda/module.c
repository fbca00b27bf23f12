/* Texts to functions. Contract: cuda/device.h. */
#include "cuda/compile.h"
#include "cuda/device.h"

#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct mx_module {
  XXH128_hash_t key;
  CUmodule module;
};

enum { LOG_BYTES = 400 };

/* Compile and load one kind of code. *refused: the driver is older than NVRTC and does not read its PTX. */
static mars_status load_as(mx_cuda *dev, const char *source, unsigned flags, CUmodule *out, bool *refused, mars_error *err) {
  const mx_cuda_api *cu = dev->cu;
  char log[LOG_BYTES] = "", what[LOG_BYTES + 80];
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, (void *)(uintptr_t)(sizeof log - 1)};
  mx_compiled code;
  mars_status st = mx_compile(cu, dev->mem, source, dev->arch, flags, &code, err);
  CUresult r;

  if (st != MARS_OK) return st;
  r = cu->cuModuleLoadDataEx(out, code.code, 2, options, values);
  if (r == CUDA_ERROR_OUT_OF_MEMORY) {
    st = mx_cuda_make_room(dev, MX_ROOM_KERNEL, err);
    if (st == MARS_OK) r = cu->cuModuleLoadDataEx(out, code.code, 0, NULL, NULL);
  }
  mx_free(dev->mem, code.code);
  if (st != MARS_OK) return st;
  *refused = r == CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
  snprintf(what, sizeof what, "loading a kernel%s%.300s", log[0] != '\0' ? ": " : "", log);
  st = mx_cuda_check(dev, r, what, err);
  if (st == MARS_E_MEMORY) mx_cuda_tell_holders(dev, err);
  return st;
}

/* PTX, until the driver has refused it once; machine code needs no assembler of the driver's. */
static mars_status load(mx_cuda *dev, const char *source, unsigned flags, CUmodule *out, mars_error *err) {
  mars_status st = MARS_OK;
  bool refused = false;

  if (!dev->machine) {
    st = load_as(dev, source, flags, out, &refused, err);
    if (!refused) return st;
    dev->machine = true;
  }
  return load_as(dev, source, flags | MX_COMPILE_MACHINE, out, &refused, err);
}

static mars_status find(mx_cuda *dev, const char *source, unsigned flags, CUmodule *out, mars_error *err) {
  XXH128_hash_t key = XXH3_128bits(source, strlen(source));
  mars_status st;

  for (int i = 0; i < dev->n_modules; i++)
    if (XXH128_isEqual(dev->modules[i].key, key)) {
      *out = dev->modules[i].module;
      return MARS_OK;
    }
  if (dev->n_modules == dev->cap_modules) {
    int cap = dev->cap_modules > 0 ? 2 * dev->cap_modules : 32;
    mx_module *p = mx_grow(dev->mem, dev->modules, (size_t)dev->cap_modules * sizeof *p, (size_t)cap * sizeof *p);

    if (p == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_run: %s: no memory for %d kernels", dev->name, cap);
    dev->modules = p;
    dev->cap_modules = cap;
  }
  st = load(dev, source, flags, out, err);
  if (st != MARS_OK) return st;
  dev->modules[dev->n_modules++] = (mx_module){key, *out};
  return MARS_OK;
}

mars_status mx_cuda_function(mx_cuda *dev, const char *source, unsigned flags, const char *name, CUfunction *out, mars_error *err) {
  CUmodule module = NULL;
  mars_status st;

  pthread_mutex_lock(&dev->lock);
  st = find(dev, source, flags, &module, err);
  pthread_mutex_unlock(&dev->lock);
  if (st != MARS_OK) return st;
  return mx_cuda_check(dev, dev->cu->cuModuleGetFunction(out, module, name), "looking up a kernel", err);
}

void mx_cuda_unload(mx_cuda *dev) {
  for (int i = 0; i < dev->n_modules; i++) (void)dev->cu->cuModuleUnload(dev->modules[i].module);
  mx_free(dev->mem, dev->modules);
  dev->modules = NULL;
  dev->n_modules = dev->cap_modules = 0;
}
