/*
 * NVRTC for the simulated driver of an older CUDA: all is the real one's, whose path is $MARS_SIMGPU_NVRTC. When machine code is fetched,
 * the same text is compiled once more with the same options, to PTX, which goes to the folder $MARS_SIMGPU_MACHINE (machine_code.h).
 *
 * Layer: tests/simgpu. Threads: any.
 */
#include <dlfcn.h>
#include <nvrtc.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "machine_code.h"

namespace {

struct Program {
  std::string source, name;
  std::vector<std::string> options;
};

std::mutex lock;
std::map<nvrtcProgram, Program> programs;

void *open_real() {
  const char *path = getenv("MARS_SIMGPU_NVRTC");
  if (path == nullptr) return nullptr;
  int (*version)(int *, int *);
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void *f = handle != nullptr ? dlsym(handle, "nvrtcVersion") : nullptr;
  int major = 0, minor = 0;
  memcpy(&version, &f, sizeof f);
  if (f == nullptr || version(&major, &minor) != 0) return nullptr;
  /* it looks for this one by its name, which the loader knows once it is open */
  const std::string folder = std::string(path).substr(0, std::string(path).rfind('/'));
  (void)dlopen((folder + "/libnvrtc-builtins.so." + std::to_string(major) + "." + std::to_string(minor)).c_str(), RTLD_NOW | RTLD_LOCAL);
  return handle;
}

template <class F> F *real(const char *name) {
  static void *const handle = open_real();
  void *p = handle != nullptr ? dlsym(handle, name) : nullptr;
  F *f = nullptr;
  memcpy(&f, &p, sizeof p);
  return f;
}

/* Where the real one is not, or lacks the function. */
template <class F, class... A> nvrtcResult forward(const char *name, F *, A... args) {
  F *f = real<F>(name);
  return f != nullptr ? f(args...) : NVRTC_ERROR_INTERNAL_ERROR;
}
#define FORWARD(f, ...) forward(#f, &f, __VA_ARGS__)

std::string as_ptx(const Program &p) {
  std::vector<std::string> options = p.options;
  std::vector<const char *> o;
  nvrtcProgram again = nullptr;
  std::string text;
  size_t n = 0;
  for (std::string &option : options) {
    const size_t at = option.find("=sm_");
    if (at != std::string::npos) option.replace(at, 4, "=compute_");
    o.push_back(option.c_str());
  }
  if (FORWARD(nvrtcCreateProgram, &again, p.source.c_str(), p.name.c_str(), 0, nullptr, nullptr) != NVRTC_SUCCESS) return "";
  if (FORWARD(nvrtcCompileProgram, again, int(o.size()), o.data()) == NVRTC_SUCCESS && FORWARD(nvrtcGetPTXSize, again, &n) == NVRTC_SUCCESS) {
    text.resize(n);
    if (FORWARD(nvrtcGetPTX, again, text.data()) != NVRTC_SUCCESS) text.clear();
  }
  (void)FORWARD(nvrtcDestroyProgram, &again);
  return text.substr(0, text.find('\0'));
}

} // namespace

nvrtcResult nvrtcVersion(int *major, int *minor) { return FORWARD(nvrtcVersion, major, minor); }
nvrtcResult nvrtcGetNumSupportedArchs(int *n) { return FORWARD(nvrtcGetNumSupportedArchs, n); }
nvrtcResult nvrtcGetSupportedArchs(int *archs) { return FORWARD(nvrtcGetSupportedArchs, archs); }
nvrtcResult nvrtcGetPTXSize(nvrtcProgram p, size_t *n) { return FORWARD(nvrtcGetPTXSize, p, n); }
nvrtcResult nvrtcGetPTX(nvrtcProgram p, char *text) { return FORWARD(nvrtcGetPTX, p, text); }
nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram p, size_t *n) { return FORWARD(nvrtcGetProgramLogSize, p, n); }
nvrtcResult nvrtcGetProgramLog(nvrtcProgram p, char *text) { return FORWARD(nvrtcGetProgramLog, p, text); }
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram p, size_t *n) { return FORWARD(nvrtcGetCUBINSize, p, n); }

const char *nvrtcGetErrorString(nvrtcResult r) {
  auto *f = real<const char *(nvrtcResult)>("nvrtcGetErrorString");
  return f != nullptr ? f(r) : "the real NVRTC is not there";
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram *out, const char *source, const char *name, int n, const char *const *headers, const char *const *names) {
  const nvrtcResult r = FORWARD(nvrtcCreateProgram, out, source, name, n, headers, names);
  std::lock_guard<std::mutex> guard(lock);
  if (r == NVRTC_SUCCESS) programs[*out] = {source, name != nullptr ? name : "", {}};
  return r;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram p, int n, const char *const *options) {
  {
    std::lock_guard<std::mutex> guard(lock);
    programs[p].options.assign(options, options + n);
  }
  return FORWARD(nvrtcCompileProgram, p, n, options);
}

nvrtcResult nvrtcGetCUBIN(nvrtcProgram p, char *code) {
  const char *folder = getenv("MARS_SIMGPU_MACHINE");
  const nvrtcResult r = FORWARD(nvrtcGetCUBIN, p, code);
  if (r != NVRTC_SUCCESS || folder == nullptr) return r;
  Program program;
  {
    std::lock_guard<std::mutex> guard(lock);
    program = programs[p];
  }
  const std::string path = sg::ptx_of_machine_code(folder, code);
  if (!path.empty()) std::ofstream(path) << as_ptx(program);
  return r;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram *p) {
  {
    std::lock_guard<std::mutex> guard(lock);
    programs.erase(*p);
  }
  return FORWARD(nvrtcDestroyProgram, p);
}
