/* Opening CUDA's libraries. Contract: cuda/library.h. */
#include "cuda/library.h"

#include <mars/mars.h>

#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- versions ---- */

static void driver_version(mx_cuda_api *cu, char *out, size_t n) {
  int v = 0;

  if (cu->cuDriverGetVersion(&v) == CUDA_SUCCESS) snprintf(out, n, "for CUDA %d.%d", v / 1000, v % 1000 / 10);
}

static void nvrtc_version(mx_cuda_api *cu, char *out, size_t n) {
  int major = 0, minor = 0;

  if (cu->nvrtcVersion(&major, &minor) == NVRTC_SUCCESS) snprintf(out, n, "%d.%d", major, minor);
}

#define BY_PROPERTY(name, get)                                                                               \
  static void name(mx_cuda_api *cu, char *out, size_t n) {                                                   \
    int v[3] = {0};                                                                                          \
    if (cu->get == NULL) return;                                                                             \
    for (int i = 0; i < 3; i++)                                                                              \
      if (cu->get((libraryPropertyType)i, &v[i]) != 0) return;                                               \
    snprintf(out, n, "%d.%d.%d", v[0], v[1], v[2]);                                                          \
  }
BY_PROPERTY(cublas_version, cublasGetProperty)
BY_PROPERTY(cusolver_version, cusolverGetProperty)
BY_PROPERTY(cusparse_version, cusparseGetProperty)

static void cufft_version(mx_cuda_api *cu, char *out, size_t n) {
  int v = 0;

  if (cu->cufftGetVersion(&v) == 0) snprintf(out, n, "%d.%d.%d", v / 1000, v % 1000 / 100, v % 100);
}

static void nccl_version(mx_cuda_api *cu, char *out, size_t n) {
  int v = 0;

  if (cu->ncclGetVersion(&v) == 0) snprintf(out, n, "%d.%d.%d", v / 10000, v % 10000 / 100, v % 100);
}

static void nvml_version(mx_cuda_api *cu, char *out, size_t n) {
  char text[80];

  if (cu->nvmlInit_v2() != 0) return;
  if (cu->nvmlSystemGetDriverVersion(text, sizeof text) == 0) snprintf(out, n, "driver %.30s", text);
  cu->nvmlShutdown();
}

/* ---- the table of what there is ---- */

static const struct {
  const char *name, *sonames, *without;
  void (*version)(mx_cuda_api *cu, char *out, size_t n);
} libraries[MX_LIB_COUNT] = {
#define LIBRARY(id, name, version, sonames, without) {name, sonames, without, version},
#include "cuda/library.def"
};

/* The rows in order: a library begins where name is NULL. */
#define TEXT_(f) #f
#define TEXT(f) TEXT_(f)
static const struct symbol {
  const char *name;
  size_t offset; /* in mx_cuda_api */
  bool needed;
} symbols[] = {
#define LIBRARY(id, ...) {NULL, MX_LIB_##id, true},
#define NEED(f) {TEXT(f), offsetof(mx_cuda_api, f), true},
#define MAY(f) {TEXT(f), offsetof(mx_cuda_api, f), false},
#include "cuda/library.def"
};
enum { N_SYMBOLS = sizeof symbols / sizeof *symbols };

static void put_symbol(mx_cuda_api *cu, size_t offset, void *address) {
  memcpy((char *)cu + offset, &address, sizeof address);
}

/* ---- folders ---- */

static void add_folder(mx_cuda_api *cu, const char *folder) {
  struct stat st;

  if (cu->n_folders == (int)(sizeof cu->folders / sizeof *cu->folders) || stat(folder, &st) != 0 || !S_ISDIR(st.st_mode))
    return;
  cu->folders[cu->n_folders] = strdup(folder);
  if (cu->folders[cu->n_folders] != NULL) cu->n_folders++;
}

static void add_matches(mx_cuda_api *cu, const char *root, const char *pattern) {
  char text[1024];
  glob_t found = {0};

  if (snprintf(text, sizeof text, "%s/%s", root, pattern) >= (int)sizeof text) return;
  if (glob(text, 0, NULL, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; i++) add_folder(cu, found.gl_pathv[i]);
  globfree(&found);
}

static void add_path(mx_cuda_api *cu, const char *path) {
  while (path != NULL && *path != '\0') {
    size_t n = strcspn(path, ":");
    char folder[1024];

    if (n > 0 && n < sizeof folder) {
      memcpy(folder, path, n);
      folder[n] = '\0';
      add_folder(cu, folder);
      add_matches(cu, folder, "nvidia/*/lib"); /* site-packages of the nvidia-* wheels */
    }
    path += n + (path[n] == ':');
  }
}

static void add_toolkit(mx_cuda_api *cu, const char *root) {
  if (root == NULL || *root == '\0') return;
  add_matches(cu, root, "lib64");
  add_matches(cu, root, "lib");
  add_matches(cu, root, "targets/*/lib");
}

static void add_usual(mx_cuda_api *cu) {
  glob_t found = {0};

  const char *path = getenv("MARS_CUDA_LIBRARY_PATH");
  size_t n = path != NULL ? strlen(path) : 0;

  add_path(cu, path);
  if (n > 0 && path[n - 1] == '!' && (n == 1 || path[n - 2] == ':')) return; /* nowhere else */
  add_toolkit(cu, getenv("CUDA_HOME"));
  add_toolkit(cu, getenv("CUDA_PATH"));
  add_toolkit(cu, "/usr/local/cuda");
  if (glob("/usr/local/cuda-*", 0, NULL, &found) == 0)
    for (size_t i = found.gl_pathc; i-- > 0;) add_toolkit(cu, found.gl_pathv[i]); /* newest first */
  globfree(&found);
  cu->system = true;
}

/* ---- opening ---- */

static void forget_symbols(mx_cuda_api *cu, mx_cuda_lib lib) {
  int i = 0;

  while (symbols[i].name != NULL || symbols[i].offset != (size_t)lib) i++;
  for (i++; i < N_SYMBOLS && symbols[i].name != NULL; i++) put_symbol(cu, symbols[i].offset, NULL);
}

/* The first needed function that is not there; NULL: all are. */
static const char *find_symbols(mx_cuda_api *cu, mx_cuda_lib lib, void *handle) {
  int i = 0;

  while (symbols[i].name != NULL || symbols[i].offset != (size_t)lib) i++;
  for (i++; i < N_SYMBOLS && symbols[i].name != NULL; i++) {
    void *address = dlsym(handle, symbols[i].name);

    if (address == NULL && symbols[i].needed) return symbols[i].name;
    put_symbol(cu, symbols[i].offset, address);
  }
  return NULL;
}

static char *path_of(void *handle, const char *file) {
  struct link_map *map = NULL;

  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map != NULL && map->l_name != NULL && map->l_name[0] != '\0')
    file = map->l_name;
  return strdup(file);
}

/* The first reason is kept, for it is about the file that should have been the one. */
static void remember(mx_cuda_library *l, const char *file, const char *why) {
  if (l->missing[0] != '\0') return;
  if (strstr(why, file) != NULL) snprintf(l->missing, sizeof l->missing, "%s", why);
  else snprintf(l->missing, sizeof l->missing, "%.180s: %.100s", file, why);
}

static bool open_file(mx_cuda_api *cu, mx_cuda_lib lib, const char *file, bool quiet) {
  mx_cuda_library *l = &cu->lib[lib];
  void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  const char *why = handle != NULL ? find_symbols(cu, lib, handle) : NULL;
  char text[200];

  if (handle == NULL) {
    why = dlerror();
    if (!quiet) remember(l, file, why != NULL ? why : "it cannot be opened");
    return false;
  }
  if (why != NULL) {
    snprintf(text, sizeof text, "it has no function %s: too old, or not this library", why);
    remember(l, file, text);
  } else if ((l->path = path_of(handle, file)) != NULL) {
    cu->handle[lib] = handle;
    return true;
  }
  forget_symbols(cu, lib);
  dlclose(handle);
  return false;
}

static bool open_named(mx_cuda_api *cu, mx_cuda_lib lib, const char *soname) {
  char file[1300];
  struct stat st;

  for (int f = 0; f < cu->n_folders; f++) {
    snprintf(file, sizeof file, "%s/%s", cu->folders[f], soname);
    if (stat(file, &st) == 0 && open_file(cu, lib, file, false)) return true;
  }
  return false;
}

/* NVRTC opens a second library by its name alone, which the loader finds beside it only in folders that it knows: one that is open is
   taken. Where it is not there, NVRTC says so when it compiles. */
static void open_builtins(mx_cuda_api *cu) {
  const char *path = cu->lib[MX_LIB_NVRTC].path, *slash = strrchr(path, '/');
  char file[1300];
  int major = 0, minor = 0;

  if (slash == NULL || cu->nvrtcVersion(&major, &minor) != NVRTC_SUCCESS) return;
  if (snprintf(file, sizeof file, "%.*s/libnvrtc-builtins.so.%d.%d", (int)(slash - path), path, major, minor) < (int)sizeof file)
    cu->builtins = dlopen(file, RTLD_NOW | RTLD_LOCAL);
}

static void open_library(mx_cuda_api *cu, mx_cuda_lib lib) {
  mx_cuda_library *l = &cu->lib[lib];
  char names[200], *save, *name;
  bool found = false;

  if (l->tried) return;
  l->tried = true;
  for (int system = 0; system <= (cu->system ? 1 : 0) && !found; system++) {
    snprintf(names, sizeof names, "%s", libraries[lib].sonames);
    for (name = strtok_r(names, " ", &save); name != NULL && !found; name = strtok_r(NULL, " ", &save))
      found = system ? open_file(cu, lib, name, true) : open_named(cu, lib, name);
  }
  if (found) {
    l->missing[0] = '\0';
    if (lib == MX_LIB_NVRTC) open_builtins(cu);
    libraries[lib].version(cu, l->version, sizeof l->version);
  } else if (l->missing[0] == '\0') {
    snprintf(l->missing, sizeof l->missing, "not found (%s)", libraries[lib].sonames);
  }
  memcpy(l->told, l->missing, sizeof l->missing);
  if (libraries[lib].without != NULL) {
    const size_t n = strlen(l->told);

    snprintf(l->told + n, sizeof l->told - n, "; %s", libraries[lib].without);
  }
}

static void begin(mx_cuda_api *cu) {
  memset(cu, 0, sizeof *cu);
  for (int i = 0; i < MX_LIB_COUNT; i++) cu->lib[i].name = libraries[i].name;
}

const mx_cuda_api *mx_cuda_load(mx_cuda_lib lib) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static mx_cuda_api api;
  static bool begun;

  pthread_mutex_lock(&lock);
  if (!begun) {
    begin(&api);
    add_usual(&api);
    begun = true;
  }
  open_library(&api, lib);
  pthread_mutex_unlock(&lock);
  return &api;
}

bool mars_library_get(size_t index, mars_library *out) {
  const mx_cuda_library *l;

  if (index >= MX_LIB_COUNT) return false;
  l = &mx_cuda_load((mx_cuda_lib)index)->lib[index];
  *out = (mars_library){l->name, l->path, l->version, l->path == NULL ? l->told : NULL};
  return true;
}

mars_status mx_cuda_api_open(const char *path, mx_cuda_api *cu, mars_error *err) {
  begin(cu);
  add_path(cu, path);
  for (int i = 0; i < MX_LIB_COUNT; i++) open_library(cu, (mx_cuda_lib)i);
  return mx_cuda_need(cu, MX_LIB_DRIVER, "CUDA", err);
}

void mx_cuda_api_reset(mx_cuda_api *cu) {
  for (int i = 0; i < MX_LIB_COUNT; i++) {
    if (cu->handle[i] != NULL) dlclose(cu->handle[i]);
    free(cu->lib[i].path);
  }
  if (cu->builtins != NULL) dlclose(cu->builtins);
  for (int f = 0; f < cu->n_folders; f++) free(cu->folders[f]);
  memset(cu, 0, sizeof *cu);
}

mars_status mx_cuda_need(const mx_cuda_api *cu, mx_cuda_lib lib, const char *what, mars_error *err) {
  if (mx_cuda_has(cu, lib)) return MARS_OK;
  return mx_fail(err, MARS_E_UNSUPPORTED, "%s: %s is missing: %s", what, cu->lib[lib].name,
                 cu->lib[lib].tried ? cu->lib[lib].missing : "it has not been looked for");
}

mars_status mx_cuda_fail(const mx_cuda_api *cu, CUresult r, const char *name, const char *what, mars_error *err) {
  const char *id = NULL, *text = NULL;
  mars_status st = r == CUDA_ERROR_OUT_OF_MEMORY || r == CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES ? MARS_E_MEMORY : MARS_E_DEVICE;

  if (cu->cuGetErrorName(r, &id) != CUDA_SUCCESS || id == NULL) id = "an unknown error";
  if (cu->cuGetErrorString(r, &text) != CUDA_SUCCESS || text == NULL) text = "";
  mx_fail(err, st, "mars_run: %s%s%s: %s (%s)", name != NULL ? name : "", name != NULL ? ": " : "", what, id, text);
  if (err != NULL) {
    err->code = (int64_t)r;
    memcpy(err->domain, "CUresult", sizeof "CUresult");
  }
  return st;
}
