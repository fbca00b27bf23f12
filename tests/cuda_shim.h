/* Plain C view of cuda/ for the C++ tests: sources of many kernels, and what the real compiler makes of them. */
#ifndef TESTS_CUDA_SHIM_H
#define TESTS_CUDA_SHIM_H

#include "tests/vm_shim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- texts ---- */
enum cuda_kind { CUDA_POINTS, CUDA_TILES, CUDA_REDUCE, CUDA_LINES, CUDA_LINE, CUDA_LINES_TILED };
typedef struct cuda_variant {
  enum cuda_kind kind;
  int outer, reduced, inner;
  bool wide;
  int vec;
  uint64_t broadcast;
  int across; /* CUDA_TILES */
  uint64_t staged;
} cuda_variant;
typedef struct cuda_source cuda_source;
/* Several kernels, named k0, k1, ..., under one copy of the device texts. */
cuda_source *cuda_source_new(bool with_complex);
void cuda_source_free(cuda_source *s);
void cuda_source_add(cuda_source *s, const vm_prog *p, const cuda_variant *v);
void cuda_source_add_combine(cuda_source *s, const vm_prog *p, int slot);
/* A whole text as the compiler got it (MARS_KERNEL_SOURCES): its kernel without the device texts before it. false: it is none of a
   program (but of copies or matrices). *is_complex: it needs those functions. */
bool cuda_source_split(const char *text, const char **kernel, bool *is_complex);
const char *cuda_source_text(const cuda_source *s); /* NULL: there was no memory */
char *cuda_copy_text(int dims, bool by_tiles); /* of strided copies; free */
bool cuda_can(const vm_prog *p, const char **why);
bool cuda_elementwise(int op, const char **name, int *arity);
/* Rows of the op table by what they are. */
enum cuda_row { CUDA_ROW_ELEMENTWISE, CUDA_ROW_REDUCE, CUDA_ROW_SCAN, CUDA_ROW_RANDOM, CUDA_ROW_OTHER };
enum cuda_row cuda_row_of(int op, const char **name);
mars_dtype cuda_loop_dtype(int op, mars_dtype dt);
int cuda_op_count(void);
double cuda_cost(int op);
int cuda_vec(const vm_prog *p, int widest); /* elements that a thread takes at once */

/* ---- the compiler ---- */
bool cuda_has_nvrtc(const char **why);
/* Compiles for sm_<arch> and returns the compiler's whole log with its resource report; free. *ok: it compiled. */
char *cuda_compile_report(const char *text, int arch, bool *ok);
/* The options of that beside the architecture: mx_compile's, less what only leaves out declarations, and what makes the report; NULL
   behind the last. */
const char *cuda_report_option(int i);
/* mx_compile: the PTX (free) or NULL and err */
char *cuda_compile_ptx(const char *text, int capability, bool *cached, mars_error *err);
/* The same as a text that is not ours, and by an NVRTC that says it is of another version. */
char *cuda_compile_ptx_as(const char *text, int capability, bool foreign, bool other_version, bool *cached, mars_error *err);
int cuda_arch(int capability);

int cuda_device_count(void);

/* ---- libraries ---- */
typedef struct cuda_library {
  char name[32], path[512], version[40], missing[320];
} cuda_library;
/* Opens `path` alone; fills the rows; returns their number. *st: whether there is a driver. */
int cuda_open_libraries(const char *path, cuda_library *rows, int max, mars_status *st, mars_error *err);

#ifdef __cplusplus
}
#endif
#endif
