#include "driver_test_util.h"

#include <cstdlib>
#include <map>

void *library(const char *file) {
  static std::map<std::string, void *> open;
  void *&lib = open[file];
  if (lib == nullptr) lib = dlopen((std::string(SIMGPU_DIR) + "/" + file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (lib == nullptr) {
    fprintf(stderr, "%s\n", dlerror());
    abort();
  }
  return lib;
}

void *symbol(const char *file, const char *name) {
  void *p = dlsym(library(file), name);
  if (p == nullptr) {
    fprintf(stderr, "%s is not in %s\n", name, file);
    abort();
  }
  return p;
}

void Simulated::SetUp() { start("devices=4 bytes=64M links=nvlink seed=7"); }

void Simulated::start(const char *configuration) {
  finish();
  SIM(sg_sim_reset)();
  ASSERT_EQ(SIM(sg_sim_configure)(configuration), 0) << SIM(sg_sim_error)();
  OK(CU(cuInit)(0));
  OK(CU(cuDeviceGetCount)(&devices));
  for (int d = 0; d < devices; d++) {
    CUcontext c;
    CUstream s;
    OK(CU(cuDevicePrimaryCtxRetain)(&c, d));
    ctx.push_back(c);
    OK(CU(cuCtxSetCurrent)(c));
    OK(CU(cuStreamCreate)(&s, CU_STREAM_NON_BLOCKING));
    stream.push_back(s);
  }
  if (devices > 0) {
    OK(CU(cuCtxSetCurrent)(ctx[0]));
  }
}

void Simulated::finish() {
  for (size_t d = 0; d < ctx.size(); d++) {
    if (ctx[d] == nullptr) continue; /* the test has ended it */
    CU(cuCtxSetCurrent)(ctx[d]);
    CU(cuStreamDestroy)(stream[d]);
    CU(cuCtxSetCurrent)(nullptr);
    CU(cuDevicePrimaryCtxRelease)(int(d));
  }
  ctx.clear();
  stream.clear();
}

void Simulated::TearDown() {
  finish();
  char first[1024] = "";
  EXPECT_EQ(SIM(sg_sim_failed_checks)(first, sizeof first), 0u) << first;
  sg_sim_live_info l = live();
  EXPECT_EQ(l.device_bytes + l.pinned_bytes + l.registered_bytes, 0u);
  EXPECT_EQ(l.streams + l.events + l.modules + l.contexts + l.pools + l.communicators + l.handles, 0);
}

void Simulated::expect_failed_check(const char *text) {
  size_t n = SIM(sg_sim_failed_checks)(nullptr, 0);
  bool found = false;
  std::string all;
  for (size_t i = 0; i < n; i++) {
    char one[1024];
    SIM(sg_sim_failed_check)(i, one, sizeof one);
    found |= std::string(one).find(text) != std::string::npos;
    all += std::string(one) + "\n";
  }
  EXPECT_TRUE(found) << "no \"" << text << "\" among " << n << ":\n" << all;
  SIM(sg_sim_forget_failed_checks)();
}

sg_sim_live_info Simulated::live() {
  sg_sim_live_info l;
  SIM(sg_sim_live)(&l);
  return l;
}
