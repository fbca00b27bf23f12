/* NVRTC and the cache of what it made. Contract: cuda/compile.h. */
#include "cuda/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MAX_OPTIONS = 4 };

typedef struct options {
  const char *of[MAX_OPTIONS];
  int n, version[2]; /* of NVRTC */
  char arch[40];
} options;

static void choose_options(const mx_cuda_api *cu, int arch, unsigned flags, options *o) {
  *o = (options){0};
  (void)cu->nvrtcVersion(&o->version[0], &o->version[1]);
  snprintf(o->arch, sizeof o->arch, "--gpu-architecture=%s_%d", flags & MX_COMPILE_MACHINE ? "sm" : "compute", arch);
  o->of[o->n++] = o->arch;
  o->of[o->n++] = "--fmad=false"; /* no contraction: what the host rounds twice is rounded twice here */
  o->of[o->n++] = "--std=c++17";
  /* leaves out textures, surfaces and the runtime's types: a sixth of the time of a small kernel. Known since NVRTC 12.4. */
  if (!(flags & MX_COMPILE_FOREIGN) && (o->version[0] > 12 || (o->version[0] == 12 && o->version[1] >= 4))) o->of[o->n++] = "--minimal";
}

int mx_compile_arch(const mx_cuda_api *cu, int capability) {
  int n = 0, best = 0, archs[128];

  if (cu->nvrtcGetNumSupportedArchs(&n) != NVRTC_SUCCESS || n <= 0 || n > 128) return 0;
  if (cu->nvrtcGetSupportedArchs(archs) != NVRTC_SUCCESS) return 0;
  for (int i = 0; i < n; i++)
    if (archs[i] <= capability && archs[i] > best) best = archs[i];
  return best;
}

/* ---- the cache ---- */

typedef struct header {
  char magic[8];
  XXH128_hash_t key; /* what the file is named by: one under another's name is none */
  XXH128_hash_t sum; /* of the payload */
  uint64_t bytes;    /* the payload's */
} header;
static const char MAGIC[8] = {'m', 'a', 'r', 's', 'p', 't', 'x', '2'};

/* A folder of ours that nobody else can look into or write; created if need be. */
static bool make_folder(char *path) {
  struct stat st;

  for (char *p = path + 1; *p != '\0'; p++) {
    if (*p != '/') continue;
    *p = '\0';
    (void)mkdir(path, 0700); /* those that are there already are */
    *p = '/';
  }
  if (mkdir(path, 0700) != 0 && errno != EEXIST) return false;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

static bool cache_folder(char *out, size_t n) {
  const char *dir = getenv("MARS_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  int len = -1;

  if (dir != NULL) len = dir[0] != '\0' ? snprintf(out, n, "%s/kernels", dir) : -1;
  else if (xdg != NULL && xdg[0] != '\0') len = snprintf(out, n, "%s/mars/kernels", xdg);
  else if (home != NULL && home[0] != '\0') len = snprintf(out, n, "%s/.cache/mars/kernels", home);
  return len > 0 && (size_t)len < n && make_folder(out);
}

static XXH128_hash_t key_of(const options *o, const char *source) {
  XXH3_state_t *state = XXH3_createState();
  XXH128_hash_t key = {0, 0};

  if (state == NULL) return key;
  XXH3_128bits_reset(state);
  XXH3_128bits_update(state, o->version, sizeof o->version);
  for (int i = 0; i < o->n; i++) XXH3_128bits_update(state, o->of[i], strlen(o->of[i]) + 1);
  XXH3_128bits_update(state, source, strlen(source));
  key = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  return key;
}

static bool read_all(int fd, void *data, size_t bytes) {
  for (char *p = data; bytes > 0;) {
    ssize_t n = read(fd, p, bytes);

    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    bytes -= (size_t)n;
  }
  return true;
}

static bool write_all(int fd, const void *data, size_t bytes) {
  for (const char *p = data; bytes > 0;) {
    ssize_t n = write(fd, p, bytes);

    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    bytes -= (size_t)n;
  }
  return true;
}

static bool load(mx_mem *mem, const char *file, XXH128_hash_t key, mx_compiled *out) {
  int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  struct stat st;
  header h;
  bool good = false;

  if (fd < 0) return false;
  if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && read_all(fd, &h, sizeof h) && memcmp(h.magic, MAGIC, sizeof MAGIC) == 0 &&
      XXH128_isEqual(h.key, key) && h.bytes < (uint64_t)1 << 30 && (uint64_t)st.st_size == sizeof h + h.bytes)
    out->code = mx_alloc(mem, (size_t)h.bytes + 1); /* PTX is text: it ends with a 0 */
  if (out->code != NULL && read_all(fd, out->code, (size_t)h.bytes)) good = XXH128_isEqual(XXH3_128bits(out->code, (size_t)h.bytes), h.sum);
  close(fd);
  if (good) {
    out->bytes = (size_t)h.bytes;
    out->cached = true;
    return true;
  }
  mx_free(mem, out->code);
  out->code = NULL;
  return false;
}

/* A cache that cannot be written is no failure. */
static void save(const char *file, XXH128_hash_t key, const mx_compiled *c) {
  header h = {.key = key, .sum = XXH3_128bits(c->code, c->bytes), .bytes = c->bytes};
  char temp[1200];
  int fd;

  memcpy(h.magic, MAGIC, sizeof MAGIC);
  if (snprintf(temp, sizeof temp, "%s.XXXXXX", file) >= (int)sizeof temp) return;
  fd = mkstemp(temp); /* mode 0600 */
  if (fd < 0) return;
  if (!write_all(fd, &h, sizeof h) || !write_all(fd, c->code, c->bytes) || close(fd) != 0 || rename(temp, file) != 0)
    (void)unlink(temp);
}

/* $MARS_KERNEL_SOURCES: a folder that gets the text of every kernel that compiles, by the same name as in the cache. */
static void keep_source(const char *source, const char *name) {
  const char *dir = getenv("MARS_KERNEL_SOURCES");
  char path[1200];
  FILE *f;

  if (dir == NULL || dir[0] == '\0' || snprintf(path, sizeof path, "%s/%s.cu", dir, name) >= (int)sizeof path) return;
  f = fopen(path, "wx"); /* one that is there says the same */
  if (f == NULL) return;
  (void)fputs(source, f);
  (void)fclose(f);
}

/* ---- the compiler ---- */

/* The log's first error, and where it stands in the text. */
static mars_status complain(const mx_cuda_api *cu, mx_mem *mem, nvrtcProgram prog, nvrtcResult r, const char *arch,
                            mars_error *err) {
  size_t bytes = 0;
  char *log = NULL, *first;

  if (cu->nvrtcGetProgramLogSize(prog, &bytes) == NVRTC_SUCCESS && bytes > 1) log = mx_alloc(mem, bytes + 1);
  if (log != NULL && cu->nvrtcGetProgramLog(prog, log) != NVRTC_SUCCESS) log[0] = '\0';
  first = log != NULL ? strstr(log, "error") : NULL;
  while (first != NULL && first > log && first[-1] != '\n') first--;
  mx_fail(err, MARS_E_INTERNAL, "mars_run: NVRTC refuses a kernel for %s: %s: %.380s", arch, cu->nvrtcGetErrorString(r),
          first != NULL ? first : log != NULL ? log : "");
  if (err != NULL) {
    err->code = (int64_t)r;
    memcpy(err->domain, "nvrtcResult", sizeof "nvrtcResult");
  }
  mx_free(mem, log);
  return MARS_E_INTERNAL;
}

static mars_status fetch(const mx_cuda_api *cu, mx_mem *mem, nvrtcProgram prog, bool machine, mx_compiled *out,
                         mars_error *err) {
  size_t bytes = 0;
  nvrtcResult r = machine ? cu->nvrtcGetCUBINSize(prog, &bytes) : cu->nvrtcGetPTXSize(prog, &bytes);

  if (r == NVRTC_SUCCESS) {
    out->code = mx_alloc(mem, bytes + 1);
    if (out->code == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_run: no memory for %zu bytes of a compiled kernel", bytes);
    r = machine ? cu->nvrtcGetCUBIN(prog, out->code) : cu->nvrtcGetPTX(prog, out->code);
  }
  if (r != NVRTC_SUCCESS) {
    mx_free(mem, out->code);
    out->code = NULL;
    return mx_fail(err, MARS_E_INTERNAL, "mars_run: NVRTC gives no code: %s", cu->nvrtcGetErrorString(r));
  }
  out->bytes = bytes;
  return MARS_OK;
}

static mars_status compile(const mx_cuda_api *cu, mx_mem *mem, const char *source, const options *o, bool machine, mx_compiled *out,
                           mars_error *err) {
  nvrtcProgram prog = NULL;
  mars_status st = MARS_OK;
  nvrtcResult r;

  r = cu->nvrtcCreateProgram(&prog, source, "mars.cu", 0, NULL, NULL);
  if (r != NVRTC_SUCCESS) return mx_fail(err, MARS_E_MEMORY, "mars_run: NVRTC: %s", cu->nvrtcGetErrorString(r));
  r = cu->nvrtcCompileProgram(prog, o->n, o->of);
  st = r != NVRTC_SUCCESS ? complain(cu, mem, prog, r, o->arch, err) : fetch(cu, mem, prog, machine, out, err);
  (void)cu->nvrtcDestroyProgram(&prog);
  return st;
}

mars_status mx_compile(const mx_cuda_api *cu, mx_mem *mem, const char *source, int arch, unsigned flags, mx_compiled *out,
                       mars_error *err) {
  char folder[1024], file[1100], name[40];
  XXH128_hash_t key;
  options o;
  bool machine = flags & MX_COMPILE_MACHINE, caching = cache_folder(folder, sizeof folder);
  mars_status st;

  *out = (mx_compiled){0};
  if (machine && (cu->nvrtcGetCUBIN == NULL || cu->nvrtcGetCUBINSize == NULL))
    return mx_fail(err, MARS_E_UNSUPPORTED, "mars_run: this NVRTC makes no machine code");
  choose_options(cu, arch, flags, &o);
  key = key_of(&o, source);
  snprintf(name, sizeof name, "%016llx%016llx", (unsigned long long)key.high64, (unsigned long long)key.low64);
  if (caching) snprintf(file, sizeof file, "%s/%s", folder, name);
  if (!caching || !load(mem, file, key, out)) {
    st = compile(cu, mem, source, &o, machine, out, err);
    if (st != MARS_OK) return st;
    if (caching) save(file, key, out);
  }
  keep_source(source, name);
  return MARS_OK;
}
