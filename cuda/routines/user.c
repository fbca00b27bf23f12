/* USER: a kernel of the user's own, compiled from its text. */
#include "cuda/compile.h"
#include "cuda/routines/routines.h"
#include "engine/user.h"

#include <stdio.h>
#include <string.h>

/* What stands before the user's text; his lines keep their numbers. */
static const char *const PRELUDE = "struct mars_chunk { long long offset, count, ndim, shape[16]; };\n#line 1 \"kernel\"\n";

static mars_status function_of(mx_cuda *dev, const mx_user_kernel *u, CUfunction *fn, mars_error *err) {
  const size_t n = strlen(PRELUDE), m = strlen(u->source);
  const char *name = u->name != NULL ? u->name : u->entry;
  char *text = mx_alloc(dev->mem, n + m + 1);
  mars_error bad = {0};
  mars_status st;

  if (text == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_kernel_apply: no memory for the text of kernel '%.60s'", name);
  memcpy(text, PRELUDE, n);
  memcpy(text + n, u->source, m + 1);
  st = mx_cuda_function(dev, text, MX_COMPILE_FOREIGN, u->entry, fn, &bad);
  mx_free(dev->mem, text);
  if (st == MARS_OK) return st;
  if (strcmp(bad.domain, "nvrtcResult") == 0) {
    const char *log = strstr(bad.message, "kernel(");
    bad.status = MARS_E_ARG;
    return mx_fail_from(err, &bad, "mars_kernel_apply: kernel '%.60s' does not compile for %s: %.380s", name, dev->name, log != NULL ? log : bad.message);
  }
  if (bad.code == CUDA_ERROR_NOT_FOUND)
    return mx_fail(err, MARS_E_ARG, "mars_kernel_apply: kernel '%.60s' has no entry '%.60s': declare it extern \"C\" __global__ void %.60s(...)", name, u->entry,
                   u->entry);
  if (err != NULL) *err = bad;
  return st;
}

mars_status mx_cuda_user(mx_cuda *dev, const mx_tile_call *t, mars_error *err) {
  mars_status st = MARS_OK;
  void *params[1 + MX_USER_OUT + MX_USER_IN];
  CUdeviceptr at[MX_USER_OUT + MX_USER_IN];
  mars_chunk chunk;
  const mx_user_kernel *u = mx_user_call(t, &chunk);
  CUfunction fn = NULL;
  char what[100];

  MX_TRY(function_of(dev, u, &fn, err));
  params[0] = &chunk;
  for (int i = 0; i < u->n_in + u->n_out; i++) { /* operands, then results; in the call it is the other way round */
    at[i] = (CUdeviceptr)(uintptr_t)t->mat[i < u->n_in ? u->n_out + i : i - u->n_in].base;
    params[1 + i] = &at[i];
  }
  snprintf(what, sizeof what, "kernel '%.60s'", u->name != NULL ? u->name : u->entry);
  MX_TRY(mx_cuda_check(dev, dev->cu->cuLaunchKernel(fn, (unsigned)((chunk.count + 255) / 256), 1, 1, 256, 1, 1, 0, dev->compute, params, NULL), what, err));

done:
  return st;
}
