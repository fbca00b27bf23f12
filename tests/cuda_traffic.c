/* Contract: tests/cuda_traffic.h. */
#include "tests/cuda_traffic.h"

#include "cuda/device.h"
#include "tests/cuda_sim.h"
#include "tests/vm_stage.h"

#include <stdio.h>

static cuda_traffic expected;

/* ---- the law ---- */

static uint64_t extent_of(const int64_t *extent, int nd) {
  uint64_t n = 1;

  for (int d = 0; d < nd; d++) n *= (uint64_t)extent[d];
  return n;
}

/* An accumulator's parts; mx_acc_layout.bytes is that and the gaps. */
static uint64_t parts_bytes(const mx_acc_layout *layout, uint64_t kept) {
  uint64_t bytes = 0;

  for (int i = 0; i < layout->n_parts; i++) bytes += kept * mars_dtype_bytes(layout->dtype[i]);
  return bytes;
}

static void add_accumulator(const mx_out_desc *out, uint64_t kept, uint64_t splits, bool final) {
  mx_acc_layout layout;

  mx_acc_layout_of(mx_op_row_of(out->op)->acc, out->src, (int64_t)kept, &layout);
  if (splits > 1) expected.partials += splits * parts_bytes(&layout, kept);
  expected.results += final ? kept * mars_dtype_bytes(out->dtype) : layout.bytes;
}

static void add_pieces(const mx_call *c, const mx_bind *bind, uint64_t es) {
  for (int i = 0; i < bind->n_pieces; i++) {
    const mx_piece *p = &bind->pieces[i];

    expected.copied += es * (p->start == NULL ? (uint64_t)p->flat_count : extent_of(p->extent, c->ndim));
  }
}

static void add_carries(const mx_call *c, const mx_program *p, const mx_geometry *g) {
  const uint64_t lines = (uint64_t)(g->ko * g->ki), readers = g->variant.kind == MX_TEXT_LINE ? 256 : 1;

  for (int i = 0; i < p->n_instrs; i++) {
    const uint64_t es = p->instrs[i].kind == MX_I_SCAN ? mars_dtype_bytes(p->value_dtype[p->instrs[i].src[0]]) : 0;

    if (c->carry_in != NULL) expected.carries_read += lines * readers * es;
    if (c->carry_out != NULL) expected.carries_written += lines * es;
  }
}

static void add_program(const mx_call *c) {
  const mx_program *p = &c->kernel->prog;
  const uint64_t points = extent_of(c->shape, c->ndim);
  mx_geometry g;

  mx_cuda_geometry(c->kernel, c, &g);
  if (g.blocks == 0) return;
  for (int i = 0; i < p->n_in; i++) {
    const uint64_t es = mars_dtype_bytes(p->in_dtype[i]);
    const bool still = g.variant.vec > 1 && (g.variant.broadcast[i / 64] >> i % 64 & 1);

    expected.operands += es * (still ? (uint64_t)(g.ko + g.tail) : points);
    add_pieces(c, &c->in[i], es);
  }
  for (int o = 0; o < p->n_out; o++) {
    if (p->outs[o].reduce) add_accumulator(&p->outs[o], (uint64_t)(g.ko * g.ki), (uint64_t)g.splits, c->final_mask >> o & 1);
    else expected.results += points * mars_dtype_bytes(p->outs[o].dtype);
  }
  if (c->kernel->kind == MX_TEXT_LINES) add_carries(c, p, &g);
}

static void add_combine(const mx_call *c) {
  const mx_out_desc *out = &c->kernel->prog.outs[c->slot];
  const uint64_t kept = (uint64_t)c->kept;
  mx_acc_layout layout;

  mx_acc_layout_of(mx_op_row_of(out->op)->acc, out->src, c->kept, &layout);
  expected.combined += (uint64_t)c->n_partials * (parts_bytes(&layout, kept) + kept * sizeof(void *));
  add_accumulator(out, kept, 1, c->final_mask >> c->slot & 1);
}

static void watch(mx_call *const *calls, int n) {
  for (int i = 0; i < n; i++) {
    if (calls[i]->kind == MX_CALL_COMBINE) add_combine(calls[i]);
    if (calls[i]->kind == MX_CALL_PROGRAM) add_program(calls[i]);
  }
}

/* ---- both sides ---- */

cuda_traffic cuda_traffic_expected(void) {
  vm_stage_watch = watch;
  return expected;
}

uint64_t cuda_traffic_read(const cuda_traffic *t) { return t->operands + t->partials + t->combined + t->carries_read + t->copied; }
uint64_t cuda_traffic_written(const cuda_traffic *t) { return t->results + t->partials + t->carries_written + t->copied; }

static void add_counted(const char *name, uint64_t *read, uint64_t *written) {
  uint64_t r = 0, w = 0;

  if (!cuda_sim_kernel_bytes(name, &r, &w)) return; /* it never ran */
  *read += r;
  *written += w;
}

bool cuda_traffic_counted(uint64_t *read, uint64_t *written) {
  *read = *written = 0;
  add_counted("mx_kernel", read, written);
  for (int es = 1; es <= 16; es *= 2)
    for (int turned = 0; turned < 2; turned++) {
      char name[32];

      snprintf(name, sizeof name, "mx_%s_%d", turned ? "turn" : "copy", es);
      add_counted(name, read, written);
    }
  return cuda_sim_is_used();
}
