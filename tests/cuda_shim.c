/* Contract: tests/cuda_shim.h. */
#include "tests/cuda_shim.h"

#include "cuda/compile.h"
#include "cuda/device_text.h"
#include "cuda/library.h"
#include "cuda/text.h"
#include "engine/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cuda_source {
  mx_mem mem;
  mx_text text;
  int n;
};

cuda_source *cuda_source_new(bool with_complex) {
  cuda_source *s = calloc(1, sizeof *s);

  mx_mem_init(&s->mem, NULL);
  s->text.mem = &s->mem;
  mx_text_prelude(&s->text, with_complex);
  mx_text_random(&s->text);
  mx_text_append(&s->text, mx_device_reduce);
  mx_text_append(&s->text, mx_device_scan);
  return s;
}

void cuda_source_free(cuda_source *s) {
  if (s == NULL) return;
  mx_text_reset(&s->text);
  free(s);
}

/* The texts name their kernel and its types alike: in a namespace each, and the kernel by a macro. */
static void open_kernel(cuda_source *s) { mx_text_put(&s->text, "#define mx_kernel k%d\nnamespace n%d {\n", s->n, s->n); }
static void close_kernel(cuda_source *s) {
  mx_text_append(&s->text, "}\n#undef mx_kernel\n");
  s->n++;
}

void cuda_source_add(cuda_source *s, const vm_prog *p, const cuda_variant *v) {
  mx_text_variant tv = {.kind = (uint8_t)v->kind, .dims = {(uint8_t)v->outer, (uint8_t)v->reduced, (uint8_t)v->inner},
                        .wide = v->wide, .vec = (uint8_t)v->vec, .broadcast = {v->broadcast},
                        .across = (uint8_t)v->across, .staged = {v->staged}};

  open_kernel(s);
  mx_text_kernel(&s->text, vm_program(p), &tv);
  close_kernel(s);
}

void cuda_source_add_combine(cuda_source *s, const vm_prog *p, int slot) {
  const mx_program *prog = vm_program(p);

  open_kernel(s);
  mx_text_combine_kernel(&s->text, &prog->outs[slot]);
  close_kernel(s);
}

static bool skip(const char **at, const char *text) {
  const size_t n = strlen(text);
  const bool there = strncmp(*at, text, n) == 0;

  if (there) *at += n;
  return there;
}

static bool skip_random(const char **at) {
  mx_mem mem;
  mx_text random = {.mem = &mem};

  mx_mem_init(&mem, NULL);
  mx_text_random(&random);
  const bool there = !random.failed && skip(at, random.buf);
  mx_text_reset(&random);
  return there;
}

bool cuda_source_split(const char *text, const char **kernel, bool *is_complex) {
  const char *at = text;

  if (!skip(&at, mx_device_base) || !skip(&at, mx_device_int) || !skip(&at, mx_device_float) || !skip(&at, mx_device_cast)) return false;
  *is_complex = skip(&at, mx_device_complex) && skip(&at, mx_device_complex_math) && skip(&at, mx_device_complex_power);
  (void)skip_random(&at);
  (void)skip(&at, mx_device_reduce);
  (void)skip(&at, mx_device_scan);
  *kernel = at;
  return strstr(at, "mx_kernel(") != NULL && strstr(at, "#define") == NULL;
}

const char *cuda_source_text(const cuda_source *s) { return s->text.failed ? NULL : s->text.buf; }

char *cuda_copy_text(int dims, bool by_tiles) {
  mx_mem mem;
  mx_text text = {.mem = &mem};
  char *out;

  mx_mem_init(&mem, NULL);
  mx_text_copy(&text, dims, by_tiles);
  out = text.failed ? NULL : strdup(text.buf);
  mx_text_reset(&text);
  return out;
}

bool cuda_can(const vm_prog *p, const char **why) { return mx_text_can(vm_program(p), why); }

bool cuda_elementwise(int op, const char **name, int *arity) {
  const mx_op_row *row = mx_op_row_of((mx_op)op);

  *name = row->info.name;
  *arity = row->info.arity;
  return row->kind == MX_KIND_UNARY || row->kind == MX_KIND_BINARY || row->kind == MX_KIND_TERNARY;
}
enum cuda_row cuda_row_of(int op, const char **name) {
  int arity;

  if (cuda_elementwise(op, name, &arity)) return CUDA_ROW_ELEMENTWISE;
  switch (mx_op_row_of((mx_op)op)->kind) {
  case MX_KIND_REDUCE: return CUDA_ROW_REDUCE;
  case MX_KIND_SCAN: return CUDA_ROW_SCAN;
  case MX_KIND_RANDOM: return CUDA_ROW_RANDOM;
  default: return CUDA_ROW_OTHER;
  }
}

mars_dtype cuda_loop_dtype(int op, mars_dtype dt) { return mx_op_loop_dtype((mx_op)op, dt); }
double cuda_cost(int op) { return mx_op_row_of((mx_op)op)->cost; }
int cuda_vec(const vm_prog *p, int widest) { return mx_text_vec(vm_program(p), widest); }
int cuda_op_count(void) { return MX_OP_COUNT; }

/* ---- the compiler ---- */

bool cuda_has_nvrtc(const char **why) {
  const mx_cuda_api *cu = mx_cuda_load(MX_LIB_NVRTC);

  *why = cu->lib[MX_LIB_NVRTC].missing;
  return mx_cuda_has(cu, MX_LIB_NVRTC);
}

static const char *const report_options[] = {"--fmad=false", "--std=c++17", "--ptxas-options=-v", "--disable-warnings", NULL};
enum { N_REPORT_OPTIONS = sizeof report_options / sizeof *report_options - 1 };

const char *cuda_report_option(int i) { return report_options[i]; }

char *cuda_compile_report(const char *text, int arch, bool *ok) {
  const mx_cuda_api *cu = mx_cuda_load(MX_LIB_NVRTC);
  char option[64];
  const char *options[1 + N_REPORT_OPTIONS] = {option};
  nvrtcProgram prog = NULL;
  size_t bytes = 0;
  char *log;

  snprintf(option, sizeof option, "--gpu-architecture=sm_%d", arch);
  for (int i = 0; i < N_REPORT_OPTIONS; i++) options[1 + i] = report_options[i];
  *ok = cu->nvrtcCreateProgram(&prog, text, "mars.cu", 0, NULL, NULL) == NVRTC_SUCCESS &&
        cu->nvrtcCompileProgram(prog, 1 + N_REPORT_OPTIONS, options) == NVRTC_SUCCESS;
  cu->nvrtcGetProgramLogSize(prog, &bytes);
  log = calloc(1, bytes + 1);
  cu->nvrtcGetProgramLog(prog, log);
  cu->nvrtcDestroyProgram(&prog);
  return log;
}

int cuda_arch(int capability) { return mx_compile_arch(mx_cuda_load(MX_LIB_NVRTC), capability); }

static nvrtcResult say_other_version(int *major, int *minor) {
  const nvrtcResult r = mx_cuda_load(MX_LIB_NVRTC)->nvrtcVersion(major, minor);

  *minor ^= 1; /* one that takes the same options */
  return r;
}

char *cuda_compile_ptx_as(const char *text, int capability, bool foreign, bool other_version, bool *cached, mars_error *err) {
  mx_cuda_api cu = *mx_cuda_load(MX_LIB_NVRTC);
  mx_mem mem;
  mx_compiled c;
  char *out = NULL;

  if (other_version) cu.nvrtcVersion = say_other_version;
  mx_mem_init(&mem, NULL);
  if (mx_compile(&cu, &mem, text, mx_compile_arch(&cu, capability), foreign ? MX_COMPILE_FOREIGN : 0, &c, err) == MARS_OK) {
    out = strdup(c.code);
    *cached = c.cached;
    mx_free(&mem, c.code);
  }
  return atomic_load(&mem.live) == 0 ? out : NULL;
}

char *cuda_compile_ptx(const char *text, int capability, bool *cached, mars_error *err) {
  return cuda_compile_ptx_as(text, capability, false, false, cached, err);
}

int cuda_device_count(void) { return mx_cuda_kind.count(mx_cuda_kind.ctx); }

/* ---- libraries ---- */

int cuda_open_libraries(const char *path, cuda_library *rows, int max, mars_status *st, mars_error *err) {
  mx_cuda_api cu;
  int n = 0;

  *st = mx_cuda_api_open(path, &cu, err);
  for (; n < MX_LIB_COUNT && n < max; n++) {
    snprintf(rows[n].name, sizeof rows[n].name, "%s", cu.lib[n].name);
    snprintf(rows[n].path, sizeof rows[n].path, "%s", cu.lib[n].path != NULL ? cu.lib[n].path : "");
    snprintf(rows[n].version, sizeof rows[n].version, "%s", cu.lib[n].version);
    snprintf(rows[n].missing, sizeof rows[n].missing, "%s", cu.lib[n].missing);
  }
  mx_cuda_api_reset(&cu);
  return n;
}
