/* Batches of calls on the compute stream. Contract: cuda/device.h. */
#include "cuda/device.h"

#include "cuda/ranges.h"

#include <stdio.h>
#include <string.h>

/* ---- one kernel ---- */

mars_status mx_cuda_queue(mx_cuda *dev, CUfunction fn, int64_t blocks, unsigned threads, const uint64_t *words, int n_words,
                          const char *what, mars_error *err) {
  uint64_t copy[MX_PARAM_WORDS + 1];
  void *params[1] = {copy};
  CUresult r;

  if (blocks <= 0) return MARS_OK;
  if (blocks > INT32_MAX || n_words > MX_PARAM_WORDS)
    return mx_fail(err, MARS_E_UNSUPPORTED, "mars_run: %s: %s of %lld blocks and %d words: a launch has at most %d and %d", dev->name, what,
                   (long long)blocks, n_words, INT32_MAX, (int)MX_PARAM_WORDS);
  memcpy(copy, words, (size_t)n_words * sizeof *words);
  r = dev->cu->cuLaunchKernel(fn, (unsigned)blocks, 1, 1, threads, 1, 1, 0, dev->compute, params, NULL);
  if (r == CUDA_ERROR_OUT_OF_MEMORY || r == CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES) { /* local memory, or what earlier kernels hold */
    mars_status st = mx_cuda_make_room(dev, MX_ROOM_KERNEL, err);

    if (st != MARS_OK) return st;
    r = dev->cu->cuLaunchKernel(fn, (unsigned)blocks, 1, 1, threads, 1, 1, 0, dev->compute, params, NULL);
  }
  return mx_cuda_check(dev, r, what, err);
}

/* ---- operands in pieces ---- */

static mars_status gather(mx_cuda *dev, const mx_call *call, const mx_bind *bind, int es, mars_error *err) {
  mars_status st = MARS_OK;

  for (int j = 0; j < bind->n_pieces; j++) {
    const mx_piece *p = &bind->pieces[j];
    mx_copy c = {.to = bind->base, .from = p->base, .es = es, .nd = p->start == NULL ? 1 : call->ndim};

    if (p->start == NULL) {
      c.to += p->flat_start * es;
      c.extent[0] = p->flat_count;
      c.to_stride[0] = es;
      c.from_stride[0] = p->flat_step;
    }
    for (int d = 0; d < call->ndim && p->start != NULL; d++) {
      c.to += p->start[d] * bind->stride[d];
      c.extent[d] = p->extent[d];
      c.to_stride[d] = bind->stride[d];
      c.from_stride[d] = p->stride[d];
    }
    MX_TRY(mx_cuda_copy(dev, &c, err));
  }

done:
  return st;
}

/* ---- COMBINE ---- */

/* Room for n pointers in the table; waits for the stream where the table is full. */
static mars_status table_room(mx_cuda *dev, int n, size_t *at, mars_error *err) {
  mars_status st = MARS_OK;
  size_t bytes = ((size_t)n * sizeof(void *) + 255) & ~(size_t)255, want = 64 << 10;

  if (dev->table_used + bytes > dev->table_bytes) {
    MX_TRY(mx_cuda_check(dev, dev->cu->cuStreamSynchronize(dev->compute), "waiting for kernels", err));
    dev->table_used = 0;
  }
  if (bytes > dev->table_bytes) {
    while (want < bytes) want *= 2;
    if (dev->table != 0) (void)dev->cu->cuMemFree(dev->table);
    if (dev->table_host != NULL) (void)dev->cu->cuMemFreeHost(dev->table_host);
    dev->table = 0;
    dev->table_host = NULL;
    dev->table_bytes = 0;
    MX_TRY(mx_cuda_room(dev, want, MX_ROOM_TABLE, &dev->table, "memory for a table of partial results", err));
    MX_TRY(mx_cuda_check(dev, dev->cu->cuMemHostAlloc((void **)&dev->table_host, want, 0), "pinned memory for a table of partial results",
                         err));
    dev->table_bytes = want;
  }
  *at = dev->table_used;
  dev->table_used += bytes;

done:
  return st;
}

static double count_of(const mx_program *p) {
  double n = 1;

  for (int d = 0; d < p->ndim; d++)
    if (p->reduce_mask >> d & 1) n *= (double)p->space[d];
  return n;
}

static uint64_t bits_of(double x) {
  uint64_t u;

  memcpy(&u, &x, sizeof u);
  return u;
}

/* n partial accumulators of `kept` elements, at table or from base on, `step` bytes apart. */
static mars_status combine(mx_kernel *k, int slot, uint64_t table, uint64_t base, uint64_t step, int64_t n, int64_t kept, char *out,
                           bool finish, mars_error *err) {
  mars_status st = MARS_OK;
  CUfunction fn = NULL;
  uint64_t w[MX_C_WORDS];
  unsigned threads;
  int xb, yb;

  MX_TRY(mx_cuda_combine_fn(k, slot, &fn, err));
  mx_cuda_combine_shape(kept, n, &xb, &yb);
  w[MX_C_TABLE] = table;
  w[MX_C_BASE] = base;
  w[MX_C_STEP] = step;
  w[MX_C_N] = (uint64_t)n;
  w[MX_C_KEPT] = (uint64_t)kept;
  w[MX_C_OUT] = (uint64_t)(uintptr_t)out;
  w[MX_C_FINISH] = finish;
  w[MX_C_COUNT] = bits_of(count_of(&k->prog));
  w[MX_C_DDOF] = bits_of(k->prog.outs[slot].ddof);
  w[MX_C_BITS] = (uint64_t)(xb | yb << 8);
  threads = 1u << (xb + yb);
  if (threads < 32) threads = 32;
  MX_TRY(mx_cuda_queue(k->dev, fn, (kept + ((int64_t)1 << xb) - 1) >> xb, threads, w, MX_C_WORDS, "joining partial results", err));

done:
  return st;
}

static mars_status queue_combine(mx_cuda *dev, const mx_call *call, mars_error *err) {
  mars_status st = MARS_OK;
  size_t at = 0, bytes = (size_t)call->n_partials * sizeof(void *);

  MX_TRY(table_room(dev, call->n_partials, &at, err));
  memcpy(dev->table_host + at, call->partials, bytes);
  MX_TRY(mx_cuda_check(dev, dev->cu->cuMemcpyHtoDAsync(dev->table + at, dev->table_host + at, bytes, dev->compute),
                       "copying a table of partial results", err));
  MX_TRY(combine(call->kernel, call->slot, dev->table + at, 0, 0, call->n_partials, call->kept, call->out[0].base,
                 call->final_mask >> call->slot & 1, err));

done:
  return st;
}

/* ---- programs ---- */

static mars_status queue_variant(mx_kernel *k, const mx_call *call, const mx_geometry *g, int64_t from, mars_error *err) {
  mars_status st = MARS_OK;
  struct mx_variant *v = NULL;
  uint64_t w[MX_PARAM_WORDS + 1];

  MX_TRY(mx_cuda_variant(k, &g->variant, &v, err));
  if (v->layout.words > MX_PARAM_WORDS)
    MX_TRY(mx_fail(err, MARS_E_UNSUPPORTED, "mars_run: %s: a kernel of %d words of parameters", k->dev->name, v->layout.words));
  mx_cuda_words(k, &v->layout, call, g, from, w);
  MX_TRY(mx_cuda_queue(k->dev, v->fn, g->blocks, 256, w, v->layout.words, "a kernel", err));

done:
  return st;
}

static mars_status queue_program(mx_cuda *dev, const mx_call *call, mars_error *err) {
  mars_status st = MARS_OK;
  mx_kernel *k = call->kernel;
  char *scratch = call->scratch;
  mx_geometry g;

  for (int i = 0; i < k->prog.n_in; i++)
    MX_TRY(gather(dev, call, &call->in[i], (int)mars_dtype_bytes(k->prog.in_dtype[i]), err));
  mx_cuda_geometry(k, call, &g);
  MX_TRY(queue_variant(k, call, &g, 0, err));
  if (g.tail > 0) { /* points that the vectors leave over */
    int64_t done = g.ko * g.variant.vec;
    mx_geometry rest = g;

    rest.variant.vec = 1;
    memset(rest.variant.broadcast, 0, sizeof rest.variant.broadcast);
    rest.ko = rest.extent[0] = g.tail;
    rest.blocks = 1;
    MX_TRY(queue_variant(k, call, &rest, done, err));
  }
  for (int o = 0; o < k->prog.n_out && g.splits > 1; o++) {
    size_t bytes;

    if (!k->prog.outs[o].reduce) continue;
    bytes = mx_cuda_acc_bytes(k, o, g.ko * g.ki);
    MX_TRY(combine(k, o, 0, (uint64_t)(uintptr_t)scratch, bytes, g.splits, g.ko * g.ki, call->out[o].base,
                   call->final_mask >> o & 1, err));
    scratch += (size_t)g.splits * bytes;
  }

done:
  return st;
}

/* ---- launch ---- */

/* A program by its last operation, which is what the rest of it is for. */
static const char *name_of(const mx_call *call) {
  static const char *const tile[] = {
#define TILE(id, name) #name,
#include "engine/routines/tiles.def"
  };
  const mx_program *p;

  if (call->kind == MX_CALL_TILE) return tile[call->tile->op];
  p = &call->kernel->prog;
  if (call->kind == MX_CALL_COMBINE) return "combine";
  for (int i = p->n_instrs; i-- > 0;) {
    mx_instr_kind kind = (mx_instr_kind)p->instrs[i].kind;

    if (kind == MX_I_OP || kind == MX_I_REDUCE || kind == MX_I_SCAN) return mx_op_row_of((mx_op)p->instrs[i].op)->info.name;
    if (kind == MX_I_RANDOM) return mx_op_row_of(p->gens[p->instrs[i].slot].op)->info.name;
  }
  return "copy";
}

/* The range is around the queueing: profilers show what it queued under its name. */
static mars_status queue_call(mx_cuda *dev, const mx_call *call, mars_error *err) {
  mars_status st = MARS_OK;

  mx_range_push(name_of(call), call->step);
  switch (call->kind) {
  case MX_CALL_PROGRAM: st = queue_program(dev, call, err); break;
  case MX_CALL_COMBINE: st = queue_combine(dev, call, err); break;
  case MX_CALL_TILE: st = mx_cuda_tile(dev, call, err); break;
  }
  mx_range_pop();
  return st;
}

static mars_status wait_for_all(mx_cuda *dev, mars_error *err) {
  mars_status st = MARS_OK;

  MX_TRY(mx_cuda_check(dev, dev->cu->cuEventRecord(dev->done, dev->compute), "marking the end of kernels", err));
  MX_TRY(mx_cuda_check(dev, dev->cu->cuEventSynchronize(dev->done), "kernels", err));

done:
  if (st != MARS_OK) (void)dev->cu->cuStreamSynchronize(dev->compute); /* nothing runs on when the failure is told */
  return st;
}

mars_status mx_cuda_launch(mx_cuda *dev, mx_call *const *calls, int n, mars_error *err) {
  mars_status st = MARS_OK, end;

  st = mx_cuda_enter(dev, err);
  if (st != MARS_OK) return st;
  dev->table_used = 0;
  for (int i = 0; i < n && st == MARS_OK; i++) st = queue_call(dev, calls[i], err);
  /* also after a failure: what is queued reads memory that the engine takes back */
  end = wait_for_all(dev, st == MARS_OK ? err : NULL);
  if (st == MARS_OK) st = end;
  end = mx_cuda_tile_results(dev, st == MARS_OK ? err : NULL);
  if (st == MARS_OK) st = end;
  if (st == MARS_E_MEMORY) (void)mx_cuda_make_room(dev, MX_ROOM_ALL, NULL); /* for another try, and for the others on the device */
  mx_cuda_leave(dev);
  return st;
}
