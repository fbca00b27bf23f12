/* Opening OpenBLAS and LAPACKE. Contract: host/routines/blas.h. */
#include "host/routines/blas.h"

#include "engine/session.h"

#include <dlfcn.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

mx_blas_table mx_blas;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char found[160], missing[256];
static mars_status opened;

/* Kernels for CPUs without AVX2, by OpenBLAS's names. */
static bool old_kernels(const char *core) {
  static const char *const old[] = {"prescott", "core2", "penryn", "dunnington", "nehalem", "atom", "sandybridge", "generic",
                                    "katmai", "coppermine", "northwood", "banias", "athlon", "opteron", "opteron_sse3",
                                    "barcelona", "bobcat", "nano", "bulldozer"};

  for (size_t i = 0; i < sizeof old / sizeof *old; i++)
    if (strcasecmp(core, old[i]) == 0) return true;
  return false;
}

/* What the CPU has, as OPENBLAS_CORETYPE; NULL: nothing that is worth a second try. */
static const char *better_core(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    return "OPENBLAS_CORETYPE=SKYLAKEX";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "OPENBLAS_CORETYPE=HASWELL";
#endif
  return NULL;
}

/* The environment is not changed in place, since other threads may be reading it: for the moment of loading there is a copy
   with one more entry. */
static void *open_with(const char *file, const char *entry) {
  static char **volatile stays; /* somebody may still be looking at the copy */
  char **old = environ, **copy;
  size_t n = 0;
  void *lib;

  (void)stays;
  while (old != NULL && old[n] != NULL) n++;
  copy = malloc((n + 2) * sizeof *copy);
  if (copy == NULL) return dlopen(file, RTLD_NOW | RTLD_LOCAL);
  for (size_t i = 0; i < n; i++) copy[i] = old[i];
  copy[n] = (char *)(uintptr_t)entry;
  copy[n + 1] = NULL;
  stays = environ = copy;
  lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  environ = old;
  return lib;
}

static const char *core_of(void *lib) {
  __typeof__(openblas_get_corename) *name = NULL;

  *(void **)&name = dlsym(lib, "openblas_get_corename");
  return name != NULL ? name() : "";
}

static void *open_openblas(void) {
  static const char file[] = "libopenblas.so.0";
  void *there = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
  void *lib = there != NULL ? there : dlopen(file, RTLD_NOW | RTLD_LOCAL);
  const char *better = better_core();

  if (lib == NULL || there != NULL || better == NULL || getenv("OPENBLAS_CORETYPE") != NULL || !old_kernels(core_of(lib)))
    return lib;
  dlclose(lib);
  return open_with(file, better);
}

static bool take(void *lib, const char *name, void *field) {
  void *symbol = dlsym(lib, name);

  if (symbol == NULL && missing[0] == '\0') snprintf(missing, sizeof missing, "%s is not in it", name);
  memcpy(field, &symbol, sizeof symbol);
  return symbol != NULL;
}

static void open_all(void) {
  void *blas = open_openblas(), *lapacke = blas != NULL ? dlopen("liblapacke.so.3", RTLD_NOW | RTLD_LOCAL) : NULL;
  bool all = blas != NULL && lapacke != NULL;

  opened = MARS_E_UNSUPPORTED;
  if (!all) {
    const char *why = dlerror();
    snprintf(missing, sizeof missing, "%s", why != NULL ? why : "not found");
    return;
  }
#define BLAS(name) all = take(blas, #name, &mx_blas.name) && all;
#define LAPACKE(name) all = take(lapacke, #name, &mx_blas.name) && all;
#include "host/routines/blas.def"
  if (!all) return;
  opened = MARS_OK;
  snprintf(found, sizeof found, "%s, %s kernels", BL(openblas_get_config)(), BL(openblas_get_corename)());
}

mars_status mx_blas_open(const char **what, mars_error *err) {
  pthread_once(&once, open_all);
  if (what != NULL) *what = opened == MARS_OK ? found : missing;
  if (opened != MARS_OK)
    return mx_fail(err, opened, "linear algebra needs libopenblas.so.0 and liblapacke.so.3 (Debian: libopenblas0-openmp, liblapacke): %s",
                   missing);
  return MARS_OK;
}

const char *mx_host_blas(void) {
  const char *what;

  (void)!mx_blas_open(&what, NULL);
  return what;
}

int mx_blas_alone(void) {
  int n;

  if (BL(openblas_get_parallel)() != 2) {
    BL(openblas_set_num_threads)(1);
    return 0;
  }
  n = omp_get_max_threads();
  if (n > 1) omp_set_num_threads(1);
  return n > 1 ? n : 0;
}

void mx_blas_threads(int n) { omp_set_num_threads(n); }
