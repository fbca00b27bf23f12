/* OpenBLAS and LAPACKE by dlopen. Contract: blas_host.h. */
#include "blas_host.h"

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

namespace sg {
namespace {

void *open_first(const char *const *names) {
  for (; *names != nullptr; names++)
    if (void *lib = dlopen(*names, RTLD_NOW | RTLD_LOCAL)) return lib;
  fprintf(stderr, "simulated CUDA platform: %s\n", dlerror());
  abort();
}

void *openblas() {
  static const char *const names[] = {"libopenblas.so.0", "libopenblas.so", nullptr};
  static void *lib = open_first(names);
  return lib;
}

void *lapacke() {
  static const char *const names[] = {"liblapacke.so.3", "liblapacke.so", nullptr};
  static void *lib = open_first(names);
  return lib;
}

} // namespace

void *blas_symbol(const char *name, bool from_lapacke) {
  void *p = dlsym(from_lapacke ? lapacke() : openblas(), name);
  if (p == nullptr) {
    fprintf(stderr, "simulated CUDA platform: %s is in no BLAS or LAPACKE here\n", name);
    abort();
  }
  return p;
}

/* OpenBLAS with OpenMP takes its number of threads from the calling thread. Other builds have one number for the process, which
   is the application's to set. */
void blas_one_thread() {
  static thread_local bool done = false;
  if (done) return;
  done = true;
  auto parallel = reinterpret_cast<int (*)()>(dlsym(openblas(), "openblas_get_parallel"));
  auto threads = reinterpret_cast<void (*)(int)>(dlsym(openblas(), "omp_set_num_threads"));
  if (parallel != nullptr && parallel() == 2 && threads != nullptr) threads(1);
}

} // namespace sg
