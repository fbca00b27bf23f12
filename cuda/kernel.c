/* Programs made ready. Contract: cuda/device.h. */
#include "cuda/device.h"

#include <stdlib.h>
#include <string.h>

/* ---- a program of one's own ---- */

static void *take(char **at, const void *from, size_t bytes) {
  void *p = *at;

  if (bytes > 0) memcpy(p, from, bytes);
  *at += (bytes + 15) & ~(size_t)15;
  return p;
}

static mars_status copy_program(mx_kernel *k, const mx_program *p, mars_error *err) {
  mx_mem *mem = k->dev->mem;
  size_t sizes[6] = {(size_t)p->n_instrs * sizeof *p->instrs, (size_t)p->n_values * sizeof *p->value_dtype,
                     (size_t)p->n_in * sizeof *p->in_dtype,   (size_t)p->n_gen * sizeof *p->gens,
                     (size_t)p->n_out * sizeof *p->outs,      (size_t)p->n_consts * sizeof *p->consts};
  size_t bytes = 16;
  char *at;

  for (int i = 0; i < 6; i++) bytes += (sizes[i] + 15) & ~(size_t)15;
  k->copy = at = mx_alloc(mem, bytes);
  if (at == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_run: no memory for a kernel of %d instructions", p->n_instrs);
  k->prog = *p;
  k->prog.mem = NULL;
  k->prog.instrs = take(&at, p->instrs, sizes[0]);
  k->prog.value_dtype = take(&at, p->value_dtype, sizes[1]);
  k->prog.in_dtype = take(&at, p->in_dtype, sizes[2]);
  k->prog.gens = take(&at, p->gens, sizes[3]);
  k->prog.outs = take(&at, p->outs, sizes[4]);
  k->prog.consts = take(&at, p->consts, sizes[5]);
  return MARS_OK;
}

static mars_status check_dtypes(const mx_program *p, mars_error *err) {
  for (int i = 0; i < p->n_instrs; i++) {
    mars_dtype dt = (mars_dtype)p->instrs[i].dtype;
    mx_op op = (mx_op)p->instrs[i].op;

    mx_acc acc = mx_op_row_of(op)->acc;
    bool floats_only = acc == MX_ACC_NANSUM || acc == MX_ACC_NANMOMENTS;

    if ((p->instrs[i].kind == MX_I_OP && mx_op_loop_dtype(op, dt) != dt) ||
        (p->instrs[i].kind == MX_I_REDUCE && floats_only && dt < MARS_F16))
      return mx_fail(err, MARS_E_DTYPE, "mars_run: there is no kernel for %s over %s", mx_op_row_of(op)->info.name, mars_dtype_name(dt));
  }
  return MARS_OK;
}

mars_status mx_cuda_kernel_create(mx_cuda *dev, const mx_program *prog, mx_kernel **out, mars_error *err) {
  mars_status st = MARS_OK;
  mx_kernel *k = mx_alloc(dev->mem, sizeof *k);
  mx_text_variant plain = {.dims = {1, 0, 0}};
  mx_text_layout layout;
  const char *why;

  *out = NULL;
  if (k == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_run: no memory for a kernel");
  k->dev = dev;
  MX_TRY(copy_program(k, prog, err));
  if (!prog->routine) {
    if (!mx_text_can(prog, &why)) MX_TRY(mx_fail(err, MARS_E_UNSUPPORTED, "mars_run: %s has no kernel for %s", dev->name, why));
    MX_TRY(check_dtypes(prog, err));
    MX_TRY(mx_cuda_need(dev->cu, MX_LIB_NVRTC, "mars_run: kernels of programs", err));
    k->kind = mx_text_kind_of(prog);
    mx_text_layout_of(prog, &plain, &layout);
    k->has_at = layout.has_at;
    for (int o = 0; o < prog->n_out; o++) k->n_reduce += prog->outs[o].reduce;
    k->views = mx_calloc(dev->mem, (size_t)(prog->n_in + prog->n_gen + prog->n_out + 1), sizeof *k->views);
    k->combine = mx_calloc(dev->mem, (size_t)prog->n_out, sizeof(CUfunction));
    if (k->views == NULL || k->combine == NULL) MX_TRY(mx_fail(err, MARS_E_MEMORY, "mars_run: no memory for a kernel's slots"));
  }
  *out = k;
  k = NULL;

done:
  mx_cuda_kernel_destroy(k);
  return st;
}

void mx_cuda_kernel_destroy(mx_kernel *k) {
  mx_mem *mem;

  if (k == NULL) return;
  mem = k->dev->mem;
  mx_free(mem, k->views);
  mx_free(mem, k->variants);
  mx_free(mem, k->combine);
  mx_free(mem, k->copy);
  mx_free(mem, k);
}

/* ---- variants ---- */

static mars_status build(mx_cuda *dev, mx_text *t, CUfunction *out, mars_error *err) {
  mars_status st = t->failed ? mx_fail(err, MARS_E_MEMORY, "mars_run: %s: no memory for a kernel's text", dev->name)
                             : mx_cuda_function(dev, t->buf, 0, "mx_kernel", out, err);

  mx_text_reset(t);
  return st;
}

mars_status mx_cuda_variant(mx_kernel *k, const mx_text_variant *key, struct mx_variant **out, mars_error *err) {
  mx_text text = {.mem = k->dev->mem};
  struct mx_variant *v;
  mars_status st;

  for (int i = 0; i < k->n_variants; i++)
    if (memcmp(&k->variants[i].key, key, sizeof *key) == 0) {
      *out = &k->variants[i];
      return MARS_OK;
    }
  if (k->n_variants == k->cap_variants) {
    int cap = k->cap_variants > 0 ? 2 * k->cap_variants : 4;

    v = mx_grow(k->dev->mem, k->variants, (size_t)k->cap_variants * sizeof *v, (size_t)cap * sizeof *v);
    if (v == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_run: %s: no memory for a kernel's variants", k->dev->name);
    k->variants = v;
    k->cap_variants = cap;
  }
  v = &k->variants[k->n_variants];
  memset(v, 0, sizeof *v);
  v->key = *key;
  mx_text_layout_of(&k->prog, key, &v->layout);
  mx_text_program(&text, &k->prog, key);
  st = build(k->dev, &text, &v->fn, err);
  if (st != MARS_OK) return st;
  k->n_variants++;
  *out = v;
  return MARS_OK;
}

mars_status mx_cuda_combine_fn(mx_kernel *k, int slot, CUfunction *out, mars_error *err) {
  mx_text text = {.mem = k->dev->mem};
  mars_status st = MARS_OK;

  if (k->combine[slot] == NULL) {
    mx_text_combine(&text, &k->prog.outs[slot]);
    st = build(k->dev, &text, &k->combine[slot], err);
  }
  *out = k->combine[slot];
  return st;
}
