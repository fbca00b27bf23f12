/*
 * NVRTC: CUDA C to PTX, with a cache on disk.
 *
 * The cache: the folder `kernels` of $MARS_CACHE_DIR, else of $XDG_CACHE_HOME/mars, else of $HOME/.cache/mars, its owner's alone
 * (mode 0700; one that others may look into is not used); set MARS_CACHE_DIR to the empty string for none. A file is named by the
 * hash of all that its contents come from, is written under another name and then renamed, and carries that hash and a checksum: where
 * one does not fit, the kernel is compiled again and the file written over.
 * MARS_KERNEL_SOURCES names a folder that gets every kernel's text, for a look at it and for the tests' compile matrix.
 *
 * Layer: cuda. Threads: any; no state but the files.
 */
#ifndef MX_CUDA_COMPILE_H
#define MX_CUDA_COMPILE_H

#include "cuda/library.h"
#include "engine/mem.h"

/* The newest architecture of NVRTC that a device of this compute capability (80, 90, ..) runs; 0: none. */
int mx_compile_arch(const mx_cuda_api *cu, int capability);

typedef struct mx_compiled {
  char *code; /* mx_free */
  size_t bytes;
  bool cached; /* it came from the disk */
} mx_compiled;

enum {
  MX_COMPILE_MACHINE = 1, /* machine code of sm_<arch> instead of PTX */
  MX_COMPILE_FOREIGN = 2, /* a text that is not ours: it may use whatever NVRTC offers */
};

/* On failure err->message ends with the compiler's first complaint. */
mars_status mx_compile(const mx_cuda_api *cu, mx_mem *mem, const char *source, int arch, unsigned flags, mx_compiled *out,
                       mars_error *err);

#endif
