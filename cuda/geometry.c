/* How a call's tile becomes a grid. Contract: cuda/device.h. */
#include "cuda/device.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  LEAF = 16,            /* rows that a thread adds up in order: MX_LEAF of device/reduce.cuh */
  ROWS_MOST = 128,      /* rows of a thread: 8 leaves, that join pairwise */
  BLOCKS_ENOUGH = 2048, /* of a reduction, before its threads take more rows */
  LINES_ENOUGH = 1024,  /* lines of a scan, before each gets a thread alone */
  TILES_BYTES = 36 << 10 /* of shared memory for a block's tiles: four such blocks have room on every multiprocessor */
};

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
/* bits of the least power of two >= n, at most `most` */
static int bits_for(int64_t n, int most) {
  int b = 0;

  while (b < most && ((int64_t)1 << b) < n) b++;
  return b;
}

/* ---- reductions: from the shape alone ---- */

static void group_extents(const mx_kernel *k, const int64_t *shape, mx_geometry *g) {
  int last = -1;

  g->ko = g->r = g->ki = 1;
  for (int d = 0; d < k->prog.ndim; d++)
    if (shape[d] > 1 && (k->prog.reduce_mask >> d & 1)) last = d;
  for (int d = 0; d < k->prog.ndim; d++) {
    if (k->prog.reduce_mask >> d & 1) g->r *= shape[d];
    else if (d > last && last >= 0) g->ki *= shape[d];
    else g->ko *= shape[d];
  }
}

void mx_cuda_reduce_shape(const mx_kernel *k, const int64_t *shape, mx_geometry *g) {
  int64_t by, groups, rows = LEAF;

  group_extents(k, shape, g);
  /* a block takes as many columns as a warp reads side by side, and more rows: accumulators, which go through memory where a column is cut,
     then stand for 128 elements each at least; for 16 they were three times the bytes of an operand of i8 */
  g->by_bits = bits_for(div_up(g->r, 4), 8 - bits_for(g->ki, 5));
  g->bx_bits = bits_for(g->ki, 8 - g->by_bits);
  by = (int64_t)1 << g->by_bits;
  groups = div_up(g->ki, (int64_t)1 << g->bx_bits) * div_up(g->ko, (int64_t)256 >> (g->bx_bits + g->by_bits));
  while (rows < ROWS_MOST && groups * div_up(g->r, by * rows) > BLOCKS_ENOUGH) rows *= 2;
  g->rows = by * rows;
  g->splits = div_up(g->r, g->rows);
  g->blocks = groups * g->splits;
}

size_t mx_cuda_acc_bytes(const mx_kernel *k, int slot, int64_t kept) {
  mx_acc_layout layout;

  mx_acc_layout_of(mx_op_row_of(k->prog.outs[slot].op)->acc, k->prog.outs[slot].src, kept, &layout);
  return layout.bytes;
}

size_t mx_cuda_scratch(const mx_kernel *k, const int64_t *shape) {
  mx_geometry g = {0};
  size_t bytes = 0;

  if (k->n_reduce == 0) return 0;
  mx_cuda_reduce_shape(k, shape, &g);
  if (g.splits <= 1) return 0;
  for (int o = 0; o < k->prog.n_out; o++)
    if (k->prog.outs[o].reduce) bytes += (size_t)g.splits * mx_cuda_acc_bytes(k, o, g.ko * g.ki);
  return bytes;
}

void mx_cuda_combine_shape(int64_t kept, int64_t n, int *bx_bits, int *by_bits) {
  *by_bits = bits_for(div_up(n, 4), 8 - bits_for(kept, 5));
  *bx_bits = bits_for(kept, 8 - *by_bits);
}

/* ---- dimensions ---- */

typedef struct dims {
  int n, order[MARS_MAX_DIMS], group[MARS_MAX_DIMS]; /* group: 0 outer kept, 1 reduced, 2 inner kept */
} dims;

/* Those of more than one point, in groups. Elementwise tiles are walked as their first result lies in memory. */
static void sort_dims(const mx_kernel *k, const mx_call *call, dims *out) {
  int last = -1, nd = k->prog.ndim;
  const int64_t *lead = k->kind == MX_TEXT_POINTS && k->prog.n_out > 0 ? call->out[0].stride : NULL;

  out->n = 0;
  for (int d = 0; d < nd; d++)
    if (call->shape[d] > 1 && (k->prog.reduce_mask >> d & 1)) last = d;
  for (int pass = 0; pass < 3; pass++)
    for (int d = 0; d < nd; d++) {
      bool reduced = k->kind != MX_TEXT_POINTS && (k->prog.reduce_mask >> d & 1);
      int group = k->kind == MX_TEXT_POINTS ? 0 : reduced ? 1 : d > last && last >= 0 ? 2 : 0;

      if (call->shape[d] <= 1 || group != pass) continue;
      out->group[out->n] = group;
      out->order[out->n++] = d;
    }
  for (int i = 1; lead != NULL && i < out->n; i++) /* insertion sort, stable */
    for (int j = i; j > 0 && llabs(lead[out->order[j - 1]]) < llabs(lead[out->order[j]]); j--) {
      int t = out->order[j];

      out->order[j] = out->order[j - 1];
      out->order[j - 1] = t;
    }
}

static void look(mx_slot_view *v, uint64_t base, int es, const int64_t *stride, const dims *d) {
  v->base = base;
  v->es = es;
  for (int i = 0; i < d->n; i++) v->stride[i] = stride[d->order[i]];
}

/* Where elements stand in C order over the reduced axes of the space. */
static void look_at(const mx_kernel *k, const mx_call *call, mx_slot_view *v, const dims *d) {
  int64_t stride[MARS_MAX_DIMS] = {0}, scale = 1, base = 0;

  for (int i = k->prog.ndim - 1; i >= 0; i--) {
    if (!(k->prog.reduce_mask >> i & 1)) continue;
    stride[i] = scale;
    base += call->origin[i] * scale;
    scale *= k->prog.space[i];
  }
  look(v, (uint64_t)base, 0, stride, d);
}

static void look_at_slots(const mx_kernel *k, const mx_call *call, mx_geometry *g, const dims *d) {
  const mx_program *p = &k->prog;
  mx_slot_view *v = g->view = k->views;

  for (int i = 0; i < p->n_in; i++, v++)
    look(v, (uint64_t)(uintptr_t)call->in[i].base, (int)mars_dtype_bytes(p->in_dtype[i]), call->in[i].stride, d);
  for (int i = 0; i < p->n_gen; i++, v++) look(v, (uint64_t)call->gen[i].index, 0, call->gen[i].stride, d);
  for (int i = 0; i < p->n_out; i++, v++) {
    static const int64_t still[MARS_MAX_DIMS];

    look(v, (uint64_t)(uintptr_t)call->out[i].base, p->outs[i].reduce ? 0 : (int)mars_dtype_bytes(p->outs[i].dtype),
         p->outs[i].reduce ? still : call->out[i].stride, d);
  }
  if (k->has_at) look_at(k, call, v++, d);
  g->n_views = (int)(v - k->views);
}

/* Dimensions of a group that follow one another for every slot become one. */
static void merge_dims(const mx_call *call, mx_geometry *g, const dims *d) {
  int n = 0, group[MARS_MAX_DIMS];

  for (int i = 0; i < d->n; i++) {
    int64_t extent = call->shape[d->order[i]];
    bool join = n > 0 && group[n - 1] == d->group[i];

    for (int s = 0; s < g->n_views && join; s++) join = g->view[s].stride[n - 1] == g->view[s].stride[i] * extent;
    if (!join) {
      group[n] = d->group[i];
      g->extent[n++] = 1;
    }
    g->extent[n - 1] *= extent;
    for (int s = 0; s < g->n_views; s++) g->view[s].stride[n - 1] = g->view[s].stride[i];
  }
  for (int i = 0; i < n; i++) g->variant.dims[group[i]]++;
}

static int nd_of(const mx_geometry *g) { return g->variant.dims[0] + g->variant.dims[1] + g->variant.dims[2]; }

static bool is_wide(const mx_geometry *g, int64_t points) {
  if (points >= INT32_MAX) return true;
  for (int s = 0; s < g->n_views; s++) {
    double reach = 0;

    for (int d = 0; d < nd_of(g) && g->view[s].es > 0; d++) reach += fabs((double)g->view[s].stride[d]) * (double)g->extent[d];
    if (reach >= (double)INT32_MAX) return true;
  }
  return false;
}

/* ---- vectors ---- */

static bool aligned(const mx_slot_view *v, int nd, int vec) {
  int64_t bytes = min64(16, (int64_t)vec * v->es);

  if (v->base % (uint64_t)bytes != 0) return false;
  for (int d = 0; d < nd - 1; d++)
    if (v->stride[d] % bytes != 0) return false;
  return true;
}

/* The most elements that every slot can take at once along the innermost dimension: 16 bytes of the widest one. */
static int choose_vec(const mx_kernel *k, mx_geometry *g) {
  const mx_program *p = &k->prog;
  int nd = nd_of(g), most = 1, vec;

  if (nd == 0) return 1;
  for (int s = 0; s < g->n_views; s++) {
    const mx_slot_view *v = &g->view[s];
    bool load = s < p->n_in;

    if (v->es == 0) continue;
    if (load && v->stride[nd - 1] == 0) {
      g->variant.broadcast[s / 64] |= (uint64_t)1 << s % 64;
      continue;
    }
    if (v->stride[nd - 1] != v->es) return 1;
    if (v->es > most) most = v->es;
  }
  for (vec = mx_text_vec(p, most); vec > 1; vec /= 2) {
    bool fits = nd == 1 ? g->extent[0] >= vec : g->extent[nd - 1] % vec == 0;

    for (int s = 0; s < g->n_views && fits; s++) {
      bool still = s < p->n_in && (g->variant.broadcast[s / 64] >> s % 64 & 1);

      fits = g->view[s].es == 0 || still || aligned(&g->view[s], nd, vec);
    }
    if (fits) break;
  }
  return vec;
}

/* ---- tiles ---- */

/* Operands that lie along dimension d, and whose neighbours along the innermost one are in different lines. */
static bool lies_across(const mx_slot_view *v, int d, int last) {
  return v->es > 0 && llabs(v->stride[d]) == v->es && llabs(v->stride[last]) > v->es;
}

/* The dimension along which the most bytes lie across, and the operands of which that is true and for which there is room. */
static bool choose_tiles(const mx_kernel *k, mx_geometry *g) {
  mx_text_variant *v = &g->variant;
  int last = nd_of(g) - 1, most = 0, room = TILES_BYTES;

  if (last < 1 || g->extent[last] < MX_TILE_WORTH) return false;
  for (int d = 0; d < last; d++) {
    int bytes = 0;

    for (int i = 0; i < k->prog.n_in; i++)
      if (lies_across(&g->view[i], d, last)) bytes += g->view[i].es;
    if (g->extent[d] < MX_TILE_WORTH || bytes == 0 || bytes < most) continue;
    most = bytes;
    v->across = (uint8_t)d;
  }
  if (most == 0) return false;
  for (int i = 0; i < k->prog.n_in; i++) {
    int bytes = MX_TILE_SIDE * MX_TILE_PITCH * g->view[i].es;

    if (!lies_across(&g->view[i], v->across, last) || bytes > room) continue;
    v->staged[i / 64] |= (uint64_t)1 << i % 64;
    room -= bytes;
  }
  return true;
}

static void tiles_geometry(const mx_kernel *k, mx_geometry *g) {
  int last = nd_of(g) - 1;

  g->variant.kind = MX_TEXT_TILES;
  g->ko = 1;
  for (int d = 0; d <= last; d++) g->ko *= d == last || d == g->variant.across ? div_up(g->extent[d], MX_TILE_SIDE) : g->extent[d];
  g->blocks = min64(g->ko, (int64_t)k->dev->sms * 16);
}

/* ---- the whole ---- */

static void points_geometry(const mx_kernel *k, mx_geometry *g, int64_t points) {
  int vec = choose_vec(k, g);
  int64_t groups;

  if (vec == 1) memset(g->variant.broadcast, 0, sizeof g->variant.broadcast);
  g->variant.vec = (uint8_t)vec;
  g->tail = nd_of(g) == 1 ? points % vec : 0;
  groups = (points - g->tail) / vec;
  g->ko = groups;
  g->blocks = min64(div_up(groups, 256), (int64_t)k->dev->sms * 16);
}

void mx_cuda_geometry(const mx_kernel *k, const mx_call *call, mx_geometry *g) {
  int64_t points = 1;
  dims d;

  memset(g, 0, sizeof *g);
  for (int i = 0; i < k->prog.ndim; i++) points *= call->shape[i];
  sort_dims(k, call, &d);
  look_at_slots(k, call, g, &d);
  merge_dims(call, g, &d);
  g->variant.kind = (uint8_t)k->kind;
  g->variant.vec = 1;
  g->variant.wide = is_wide(g, points);
  if (k->kind == MX_TEXT_POINTS) {
    if (points > 0 && choose_tiles(k, g)) tiles_geometry(k, g);
    else points_geometry(k, g, points);
    return;
  }
  mx_cuda_reduce_shape(k, call->shape, g);
  if (k->kind == MX_TEXT_REDUCE) return;
  const int64_t lines = g->ko * g->ki;
  if (lines < LINES_ENOUGH && g->r > 32) g->variant.kind = MX_TEXT_LINE;
  else if (lines >= LINES_ENOUGH && g->ki == 1 && g->r >= MX_TILE_WORTH) g->variant.kind = MX_TEXT_LINES_TILED;
  g->blocks = g->variant.kind == MX_TEXT_LINE ? lines : div_up(lines, g->variant.kind == MX_TEXT_LINES ? 256 : MX_TILE_SIDE);
}

/* ---- words ---- */

static uint64_t bits_of(double x) {
  uint64_t u;

  memcpy(&u, &x, sizeof u);
  return u;
}

static uint64_t bits32(double x) {
  float f = (float)x;
  uint32_t u;

  memcpy(&u, &f, sizeof u);
  return u;
}

static void const_words(const mx_const *c, uint64_t *w) {
  switch (c->dtype) {
  case MARS_BOOL: w[0] = c->v.b != 0; break;
  case MARS_F32: w[0] = bits32(c->v.f); break;
  case MARS_F64: w[0] = bits_of(c->v.f); break;
  case MARS_C64: w[0] = bits32(c->v.c[0]), w[1] = bits32(c->v.c[1]); break;
  case MARS_C128: w[0] = bits_of(c->v.c[0]), w[1] = bits_of(c->v.c[1]); break;
  default: w[0] = c->v.u; break;
  }
}

/* As host/random.c rounds them: f32 does its arithmetic in f32. */
static void random_words(const mx_random *r, uint64_t *w) {
  double low = r->p0, span = r->p1 - r->p0, limit = r->p1 > r->p0 ? nextafter(r->p1, r->p0) : r->p0;

  w[0] = r->seed;
  w[1] = r->stream;
  switch (r->op) {
  case MX_OP_UNIFORM:
    if (r->dtype == MARS_F32) {
      float l = (float)r->p0, h = (float)r->p1;

      low = l;
      span = h - l;
      limit = h > l ? nextafterf(h, l) : l;
    }
    w[2] = bits_of(low), w[3] = bits_of(span), w[4] = bits_of(limit);
    break;
  case MX_OP_INTEGERS: w[2] = (uint64_t)r->low, w[3] = r->range; break;
  case MX_OP_BERNOULLI:
    w[2] = r->p0 >= 1 ? (uint64_t)1 << 53 : r->p0 > 0 ? (uint64_t)ceil(r->p0 * 0x1p53) : 0;
    break;
  default: break;
  }
}

static void view_words(const mx_slot_view *v, int nd, int64_t from, uint64_t *w) {
  w[0] = v->base + (nd == 1 ? (uint64_t)(from * v->stride[0]) : 0);
  for (int d = 0; d < nd; d++) w[1 + d] = (uint64_t)v->stride[d];
}

static double count_of(const mx_program *p) {
  double n = 1;

  for (int d = 0; d < p->ndim; d++)
    if (p->reduce_mask >> d & 1) n *= (double)p->space[d];
  return n;
}

static void out_words(const mx_kernel *k, const mx_text_layout *layout, const mx_call *call, const mx_geometry *g, int64_t from,
                      uint64_t *w) {
  const mx_slot_view *v = g->view + k->prog.n_in + k->prog.n_gen;
  char *scratch = call->scratch;

  for (int o = 0; o < k->prog.n_out; o++) {
    uint64_t *at = w + layout->out[o];
    size_t bytes;

    if (!k->prog.outs[o].reduce) {
      view_words(&v[o], layout->nd, from, at);
      continue;
    }
    bytes = mx_cuda_acc_bytes(k, o, g->ko * g->ki);
    at[0] = g->splits > 1 ? (uint64_t)(uintptr_t)scratch : v[o].base;
    at[1] = bytes;
    at[2] = g->splits > 1 ? 0 : call->final_mask >> o & 1;
    at[3] = bits_of(k->prog.outs[o].ddof);
    if (g->splits > 1) scratch += (size_t)g->splits * bytes;
  }
}

void mx_cuda_words(const mx_kernel *k, const mx_text_layout *layout, const mx_call *call, const mx_geometry *g, int64_t from,
                   uint64_t *w) {
  const mx_program *p = &k->prog;
  int nd = layout->nd;

  memset(w, 0, (size_t)layout->words * sizeof *w);
  w[MX_W_KO] = (uint64_t)g->ko;
  w[MX_W_R] = (uint64_t)g->r;
  w[MX_W_KI] = (uint64_t)g->ki;
  w[MX_W_ROWS] = (uint64_t)g->rows;
  w[MX_W_SPLITS] = (uint64_t)g->splits;
  w[MX_W_BITS] = (uint64_t)(g->bx_bits | g->by_bits << 8);
  w[MX_W_COUNT] = bits_of(count_of(p));
  w[MX_W_CARRY_IN] = (uint64_t)(uintptr_t)call->carry_in;
  w[MX_W_CARRY_OUT] = (uint64_t)(uintptr_t)call->carry_out;
  for (int d = 0; d < nd; d++) w[MX_W_EXTENT + d] = (uint64_t)g->extent[d];
  if (g->variant.vec > 1) w[MX_W_EXTENT + nd - 1] /= g->variant.vec; /* groups */
  for (int i = 0; i < p->n_in; i++) view_words(&g->view[i], nd, from, w + layout->in + i * (1 + nd));
  for (int i = 0; i < p->n_gen; i++) view_words(&g->view[p->n_in + i], nd, from, w + layout->gen + i * (1 + nd));
  if (layout->has_at) view_words(&g->view[g->n_views - 1], nd, from, w + layout->at);
  out_words(k, layout, call, g, from, w);
  for (int i = 0; i < p->n_consts; i++) const_words(&p->consts[i], w + layout->konst + 2 * i);
  for (int i = 0; i < p->n_gen; i++) random_words(&p->gens[i], w + layout->random + MX_RANDOM_WORDS * i);
}
