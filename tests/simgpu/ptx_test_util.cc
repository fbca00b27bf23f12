#include "ptx_test_util.h"

#include <dlfcn.h>

#include <cstdlib>

/* ---- the device
 * -------------------------------------------------------------------------------------------------- */

Device::~Device() {
  sg_ptx_unload(module);
  for (auto &b : blocks)
    free(b.first);
  sg_memory_destroy(mem);
}

void *Device::allocate(size_t bytes, int device) {
  void *p = aligned_alloc(256, (bytes + 255) / 256 * 256 +
                                   256); // not every access behind the end is another one's memory
  EXPECT_EQ(sg_memory_add(mem, p, bytes, device, SG_MEMORY_DEVICE), 0);
  blocks.emplace_back(p, true);
  return p;
}

void Device::release(void *p) {
  EXPECT_EQ(sg_memory_remove(mem, p), 0);
}

bool Device::load(const std::string &ptx) {
  char text[1024] = "";
  sg_ptx_unload(module);
  module = sg_ptx_load(ptx.c_str(), mem, 0, text, sizeof text);
  EXPECT_NE(module, nullptr) << text << "\n" << ptx;
  return module != nullptr;
}

sg_ptx_status Device::launch(const char *name, unsigned blocks_x, unsigned threads, std::vector<void *> args,
                             size_t shared) {
  char text[1024] = "";
  const sg_ptx_kernel *kernel = sg_ptx_find_kernel(module, name);
  if (!kernel) {
    ADD_FAILURE() << "no kernel " << name;
    return SG_PTX_E_ARGUMENT;
  }
  grid.grid[0] = blocks_x;
  grid.block[0] = threads;
  for (int i = 1; i < 3; i++) {
    if (!grid.grid[i])
      grid.grid[i] = 1;
    if (!grid.block[i])
      grid.block[i] = 1;
  }
  grid.dynamic_shared_bytes = shared;
  EXPECT_EQ(args.size(), sg_ptx_kernel_describe(kernel)->param_count);
  sg_ptx_status status =
      sg_ptx_launch(kernel, &grid, args.data(), nullptr, mem, 0, &counts, text, sizeof text);
  error = text;
  return status;
}

/* ---- PTX by hand
 * ------------------------------------------------------------------------------------------------- */

std::string ptx_kernel(const std::string &body, const std::string &before) {
  return ".version 9.0\n.target sm_90\n.address_size 64\n" + before +
         ".visible .entry k(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3)\n{\n" + body +
         "\n}\n";
}

std::vector<Words> ptx_eval(const std::string &text, const std::vector<Words> &inputs, size_t outputs) {
  size_t n = inputs.empty() ? 1 : inputs[0].size();
  Device dev;
  std::string body =
      ".reg .b64 %base, %at, %a<4>, %x<2>, %t<8>;\n.reg .f64 %d<8>;\n.reg .f32 %f<8>;\n.reg .b32 %r<8>, %i, "
      "%n;\n"
      ".reg .b16 %h<8>;\n.reg .pred %p<8>;\n"
      "mov.u32 %i, %tid.x;\nmov.u32 %n, %ctaid.x;\nmad.lo.u32 %i, %n, 64, %i;\n"
      "ld.param.u64 %at, [p3];\ncvt.u32.u64 %n, %at;\nsetp.ge.u32 %p7, %i, %n;\n@%p7 bra DONE;\n"
      "mov.b64 %x0, 0;\nmov.b64 %x1, 0;\n";
  std::vector<uint64_t> flat;
  for (const Words &w : inputs)
    flat.insert(flat.end(), w.begin(), w.end());
  if (flat.empty())
    flat.push_back(0);
  for (size_t i = 0; i < inputs.size(); i++) {
    std::string k = std::to_string(i);
    body += "ld.param.u64 %base, [p0];\nmad.wide.u32 %at, %i, 8, %base;\nld.global.b64 %a" + k + ", [%at+" +
            std::to_string(8 * n * i) + "];\ncvt.u32.u64 %r" + k + ", %a" + k + ";\ncvt.u16.u64 %h" + k +
            ", %a" + k + ";\nmov.b32 %f" + k + ", %r" + k + ";\nmov.b64 %d" + k + ", %a" + k + ";\n";
  }
  body += text + "\n";
  for (size_t i = 0; i < outputs; i++)
    body += "ld.param.u64 %base, [p1];\nmad.wide.u32 %at, %i, 8, %base;\nst.global.b64 [%at+" +
            std::to_string(8 * n * i) + "], %x" + std::to_string(i) + ";\n";
  body += "DONE: ret;";
  std::vector<Words> out(outputs, Words(n));
  if (!dev.load(ptx_kernel(body)))
    return out;
  uint64_t *in = dev.put(flat), *result = dev.raw<uint64_t>(n * outputs);
  sg_ptx_status status =
      dev.run("k", static_cast<unsigned>((n + 63) / 64), 64, in, result, nullptr, static_cast<uint64_t>(n));
  EXPECT_EQ(status, SG_PTX_OK) << dev.error << "\n" << text;
  if (status != SG_PTX_OK)
    return out;
  for (size_t i = 0; i < outputs; i++)
    out[i].assign(result + i * n, result + (i + 1) * n);
  return out;
}

uint64_t ptx_one(const std::string &text, const Words &inputs) {
  std::vector<Words> in;
  for (uint64_t x : inputs)
    in.push_back({x});
  return ptx_eval(text, in)[0][0];
}

/* ---- NVRTC
 * ------------------------------------------------------------------------------------------------------- */

namespace {

struct Nvrtc {
  void *lib = nullptr;
  std::string why, include;
  using Program = void *;
  int (*create)(Program *, const char *, const char *, int, const char *const *,
                const char *const *) = nullptr;
  int (*compile)(Program, int, const char *const *) = nullptr;
  int (*log_size)(Program, size_t *) = nullptr;
  int (*log)(Program, char *) = nullptr;
  int (*ptx_size)(Program, size_t *) = nullptr;
  int (*ptx)(Program, char *) = nullptr;
  int (*destroy)(Program *) = nullptr;

  Nvrtc() {
    std::vector<std::string> folders;
    const char *path = getenv("MARS_CUDA_LIBRARY_PATH");
    std::string list = path ? path : "";
    for (size_t at = 0; at < list.size();) {
      size_t end = std::min(list.find(':', at), list.size());
      if (end > at)
        folders.push_back(list.substr(at, end - at));
      at = end + 1;
    }
    if (const char *home = getenv("CUDA_HOME"))
      folders.push_back(std::string(home) + "/lib64");
    folders.insert(folders.end(), {"/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu", ""});
    for (const std::string &f : folders)
      for (const char *name : {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"}) {
        if (!lib)
          lib = dlopen(((f.empty() ? "" : f + "/") + name).c_str(), RTLD_NOW | RTLD_LOCAL);
        if (lib && include.empty()) {
          include = f.empty() ? "/usr/include" : f + "/../include";
          int (*version)(int *, int *) = nullptr;
          int major = 0, minor = 0;
          if (get("nvrtcVersion", &version) && version(&major, &minor) == 0) // NVRTC looks for it by its name alone
            dlopen((f + "/libnvrtc-builtins.so." + std::to_string(major) + "." + std::to_string(minor)).c_str(), RTLD_NOW | RTLD_LOCAL);
        }
      }
    if (!lib) {
      why = "no NVRTC: libnvrtc.so is neither in MARS_CUDA_LIBRARY_PATH nor in the usual places";
      return;
    }
    bool is_complete = get("nvrtcCreateProgram", &create) && get("nvrtcCompileProgram", &compile) &&
                       get("nvrtcGetProgramLogSize", &log_size) && get("nvrtcGetProgramLog", &log) &&
                       get("nvrtcGetPTXSize", &ptx_size) && get("nvrtcGetPTX", &ptx) &&
                       get("nvrtcDestroyProgram", &destroy);
    if (!is_complete)
      why = "NVRTC lacks a function";
  }
  template <class F> bool get(const char *name, F *f) {
    *f = reinterpret_cast<F>(dlsym(lib, name));
    return *f != nullptr;
  }
};

} // namespace

std::string nvrtc_compile(const std::string &source, std::string *why, const char *arch) {
  static Nvrtc rtc;
  Nvrtc::Program program = nullptr;
  std::string out, option = std::string("--gpu-architecture=") + arch,
                   include = "--include-path=" + rtc.include;
  size_t size = 0;

  if (!rtc.why.empty()) {
    *why = rtc.why;
    return "";
  }
  const char *options[] = {option.c_str(), include.c_str(), "--device-int128", "-lineinfo",
                           "-default-device"};
  if (rtc.create(&program, source.c_str(), "test.cu", 0, nullptr, nullptr) != 0) {
    *why = "error: nvrtcCreateProgram";
    return "";
  }
  if (rtc.compile(program, 5, options) != 0) {
    rtc.log_size(program, &size);
    std::string text(size, 0);
    rtc.log(program, &text[0]);
    *why = "error: " + text;
  } else {
    rtc.ptx_size(program, &size);
    out.resize(size);
    rtc.ptx(program, &out[0]);
    out.resize(strlen(out.c_str()));
  }
  rtc.destroy(&program);
  return out;
}
