#include "engine/exec/bind.h"

#include <string.h>

typedef struct gather {
  const mx_binder *b;
  mx_pool *pool;
  int ndim;
  int64_t points;
  MX_VEC(mx_piece) pieces;
  bool nomem;
} gather;

static char *chunk_data(const mx_binder *b, int32_t chunk) {
  return b->base + b->offset[chunk] + mx_chunk_phase(&b->plan->chunks.at[chunk], b->device);
}

static bool add_piece(void *ctx, const mx_part *part) {
  gather *g = ctx;
  const mx_pvalue *v = &g->b->plan->values.at[part->value];
  char *from = v->kind == MX_PV_MEMORY ? v->data : chunk_data(g->b, v->first_chunk + (int32_t)part->chunk);
  mx_piece p = {.base = from + part->offset, .flat_start = part->flat, .flat_count = part->count, .flat_step = part->step};
  if (part->count < 0) {
    size_t bytes = (size_t)g->ndim * sizeof(int64_t);
    int64_t *box = mx_pool_alloc(g->pool, 3 * bytes + 8);
    if (!box) g->nomem = true;
    else {
      memcpy(box, part->start, bytes);
      memcpy(box + g->ndim, part->extent, bytes);
      memcpy(box + 2 * g->ndim, part->stride, bytes);
      p.start = box;
      p.extent = box + g->ndim;
      p.stride = box + 2 * g->ndim;
    }
  }
  if (!g->nomem && !mx_vec_push(g->b->plan->mem, &g->pieces, p)) g->nomem = true;
  return !g->nomem;
}

/* One piece that is the whole tile needs no copy. */
static bool whole(const gather *g, const int64_t *extent, mx_bind *out, int64_t *stride) {
  if (g->pieces.n != 1) return false;
  const mx_piece *p = &g->pieces.at[0];
  if (p->start) {
    for (int d = 0; d < g->ndim; d++) {
      if (p->start[d] != 0 || p->extent[d] != extent[d]) return false;
      stride[d] = p->stride[d];
    }
  } else {
    if (p->flat_start != 0 || p->flat_count != g->points) return false;
    mx_strides_c(g->ndim, extent, p->flat_step, stride);
  }
  out->base = (char *)p->base;
  return true;
}

static bool bind_gathered(const mx_binder *b, const mx_pslot *slot, const int64_t *origin, const int64_t *extent, int ndim,
                          char *scratch, mx_bind *out, int64_t *stride, mx_pool *pool) {
  gather g = {.b = b, .pool = pool, .ndim = ndim, .points = 1};
  for (int d = 0; d < ndim; d++) g.points *= extent[d];
  mx_walk_parts(b->plan, slot->value, &slot->access, ndim, origin, extent, add_piece, &g);
  if (!g.nomem && !whole(&g, extent, out, stride)) {
    mx_piece *copy = mx_pool_alloc(pool, (size_t)g.pieces.n * sizeof *copy + 1);
    if (!copy) g.nomem = true;
    else {
      memcpy(copy, g.pieces.at, (size_t)g.pieces.n * sizeof *copy);
      out->base = scratch;
      out->pieces = copy;
      out->n_pieces = (int)g.pieces.n;
      mx_strides_c(ndim, extent, (int64_t)mars_dtype_bytes(b->plan->values.at[slot->value].dtype), stride);
    }
  }
  mx_vec_free(b->plan->mem, &g.pieces);
  return !g.nomem;
}

static bool c_order(const mx_pvalue *v, int64_t elem) {
  for (int d = v->shape.ndim - 1; d >= 0; d--) {
    if (v->shape.dims[d] != 1 && v->stride[d] != elem) return false;
    elem *= v->shape.dims[d];
  }
  return true;
}

/* Caller memory is addressed as it is. */
static void bind_memory(const mx_pvalue *v, const mx_access *a, const int64_t *origin, int ndim, mx_bind *out, int64_t *stride) {
  int64_t elem = (int64_t)mars_dtype_bytes(v->dtype);
  memset(stride, 0, (size_t)ndim * sizeof *stride);
  out->base = v->data;
  if (a->linear) {
    int64_t lin = a->base;
    for (int j = 0; j < ndim; j++) {
      lin += a->lstep[j] * origin[j];
      stride[j] = a->lstep[j] * elem;
    }
    out->base += lin * elem;
    return;
  }
  for (int d = 0; d < v->shape.ndim; d++) {
    int j = a->view.axis[d];
    out->base += (a->view.start[d] + (j < 0 ? 0 : a->view.step[d] * origin[j])) * v->stride[d];
    if (j >= 0) stride[j] += a->view.step[d] * v->stride[d];
  }
}

static bool bind_in(const mx_binder *b, const mx_pkernel *k, int i, int32_t tile, const int64_t *origin, const int64_t *extent,
                    char *scratch, mx_bind *out, int64_t *stride, mx_pool *pool) {
  const mx_pslot *slot = &k->in[i];
  const mx_pvalue *v = &b->plan->values.at[slot->value];
  int64_t elem = (int64_t)mars_dtype_bytes(v->dtype);
  out->stride = stride;
  if (slot->identity) {
    out->base = chunk_data(b, v->first_chunk + tile);
    mx_strides_c(k->prog.ndim, extent, elem, stride);
    return true;
  }
  if (v->kind == MX_PV_MEMORY && (!slot->access.linear || c_order(v, elem))) {
    bind_memory(v, &slot->access, origin, k->prog.ndim, out, stride);
    return true;
  }
  return bind_gathered(b, slot, origin, extent, k->prog.ndim, scratch, out, stride, pool);
}

static void bind_out(const mx_binder *b, const mx_pkernel *k, int32_t chunk, int o, const int64_t *origin, const int64_t *extent,
                     mx_bind *out, int64_t *stride) {
  const mx_pvalue *v = &b->plan->values.at[k->out[o].value];
  out->stride = stride;
  if (v->kind == MX_PV_MEMORY && !k->out[o].reduce) {
    out->base = v->data;
    for (int j = 0; j < k->prog.ndim; j++) {
      out->base += origin[j] * v->stride[j];
      stride[j] = v->stride[j];
    }
    return;
  }
  out->base = chunk_data(b, chunk);
  mx_strides_c(k->prog.ndim, extent, (int64_t)mars_dtype_bytes(v->dtype), stride);
}

static mx_call *bind_combine(const mx_binder *b, const mx_ptask *t, mx_call *call, mx_pool *pool) {
  const mx_plan *p = b->plan;
  const mx_pkernel *k = &p->kernels.at[t->kernel];
  bool final = mx_combine_is_final(t);
  int n = t[1].first_in - t->first_in;
  const char **partials = mx_pool_alloc(pool, (size_t)n * sizeof *partials);
  mx_bind *out = mx_pool_alloc(pool, (size_t)k->prog.n_out * sizeof *out);
  if (!partials || !out) return NULL;
  for (int i = 0; i < n; i++) partials[i] = chunk_data(b, p->ins.at[t->first_in + i]);
  call->kind = MX_CALL_COMBINE;
  call->slot = final ? t->tile - MX_COMBINE_FINAL : -1 - t->tile;
  call->kept = p->chunks.at[p->ins.at[t->first_in]].index;
  call->n_partials = n;
  call->partials = partials;
  call->final_mask = final ? 1ull << call->slot : 0;
  out[0].base = out[call->slot].base = chunk_data(b, p->outs.at[t->first_out]);
  call->out = out;
  return call;
}

static mx_call *bind_tile(const mx_binder *b, const mx_ptask *t, mx_call *call, int64_t scratch, mx_pool *pool) {
  const mx_plan *p = b->plan;
  const mx_rtask *r = &p->rtasks.at[t->tile];
  const mx_pkernel *k = &p->kernels.at[t->kernel];
  int n = r[1].first_arg - r->first_arg;
  mx_tile_call *tile = mx_pool_alloc(pool, sizeof *tile);
  mx_mat *mat = mx_pool_alloc(pool, (size_t)n * sizeof *mat + 1);
  if (!tile || !mat) return NULL;
  for (int i = 0; i < n; i++) {
    const mx_rarg *a = &p->rargs.at[r->first_arg + i];
    char *base = a->memory >= 0 ? p->values.at[a->memory].data : chunk_data(b, a->chunk);
    mat[i] = (mx_mat){base + a->offset, a->rows, a->cols, a->rs, a->cs};
  }
  *tile = (mx_tile_call){.op = (mx_tile_op)r->op, .flags = r->flags, .dtype = (mars_dtype)r->dtype, .n = n, .mat = mat,
                         .fn = k->fn};
  memcpy(tile->p, r->p, sizeof tile->p);
  call->kind = MX_CALL_TILE;
  call->tile = tile;
  if (scratch >= 0) call->scratch = b->base + scratch;
  return call;
}

mx_call *mx_bind_call(const mx_binder *b, int32_t task, int64_t scratch, mx_pool *pool) {
  const mx_plan *p = b->plan;
  const mx_ptask *t = &p->tasks.at[task];
  const mx_pkernel *k = &p->kernels.at[t->kernel];
  int nd = k->prog.ndim, n_in = k->prog.n_in, n_gen = k->prog.n_gen, n_out = k->prog.n_out;
  mx_call *call = mx_pool_alloc(pool, sizeof *call);
  if (!call) return NULL;
  call->kernel = b->kernels[t->kernel];
  call->ndim = nd;
  if (k->routine) return bind_tile(b, t, call, scratch, pool);
  if (t->tile < 0) return bind_combine(b, t, call, pool);
  mx_bind *binds = mx_pool_alloc(pool, (size_t)(n_in + n_gen + n_out) * sizeof *binds);
  int64_t *dims = mx_pool_alloc(pool, (size_t)((2 + n_in + n_out) * nd + 1) * sizeof *dims);
  if (!binds || !dims) return NULL;
  int64_t *origin = dims, *extent = dims + nd, *stride = dims + 2 * nd, gather[MX_MAX_SLOTS + 16];
  mars_shape space = {.ndim = nd};
  memcpy(space.dims, k->prog.space, (size_t)nd * sizeof space.dims[0]);
  mx_grid_chunk(&k->grid, &space, t->tile, origin, extent);
  call->shape = extent;
  call->origin = origin;
  call->in = binds;
  call->gen = binds + n_in;
  call->out = binds + n_in + n_gen;
  call->stream_out = k->big;
  if (scratch >= 0) {
    call->scratch = b->base + scratch;
    mx_plan_scratch(p, b->device, k, extent, b->scratch, b->scratch_ctx, gather);
  }
  for (int i = 0; i < n_in; i++, stride += nd)
    if (!bind_in(b, k, i, t->tile, origin, extent, scratch >= 0 && gather[i] >= 0 ? call->scratch + gather[i] : NULL, &binds[i], stride, pool))
      return NULL;
  for (int g = 0; g < n_gen; g++) {
    mx_bind *bind = &binds[n_in + g];
    bind->index = k->gen[g].base;
    bind->stride = k->gen[g].lstep;
    for (int j = 0; j < nd; j++) bind->index += k->gen[g].lstep[j] * origin[j];
  }
  for (int o = 0; o < n_out; o++, stride += nd) {
    bind_out(b, k, p->outs.at[t->first_out + o], o, origin, extent, &binds[n_in + n_gen + o], stride);
    if (k->out[o].reduce && k->out[o].first_partial < 0) call->final_mask |= 1ull << o;
  }
  if (k->scan) {
    call->carry_out = chunk_data(b, p->outs.at[t->first_out + n_out]);
    int32_t first = k->carry_first, n = first + (int32_t)k->grid.total;
    for (int32_t i = t->first_in; i < t[1].first_in; i++)
      if (p->ins.at[i] >= first && p->ins.at[i] < n) call->carry_in = chunk_data(b, p->ins.at[i]);
  }
  return call;
}
