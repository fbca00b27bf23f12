/* Calls to units to blocks, and the step loop. Contract: host/vm.h. */
#include "host/routines/tile.h"
#include "host/vm.h"

#include "engine/status.h"

#include <math.h>
#include <string.h>

/* ---- the step loop ---- */

/* A vector that every row is combined with: a block of whole rows finds it where the block before has left it. */
static bool has_rows_still(mx_run *run, const mx_step *s, int64_t p, int64_t n, const char *reg) {
  const mx_window *v = &run->in[s->slot];
  struct mx_splatted *kept = &run->work->splats[s->slot];
  const int64_t len = v->shape[0];
  const bool rows = v->nd == 2 && v->stride[1] == 0 && v->stride[0] == v->es && n > len && p % len == 0;

  if (rows && kept->rows_n >= n && memcmp(reg, v->base, (size_t)(len * v->es)) == 0) return true;
  kept->rows_n = rows ? n : 0;
  return false;
}

static inline void load(mx_run *run, const mx_step *s, int64_t p, int64_t n) {
  const mx_window *v = &run->in[s->slot];
  mx_work *w = run->work;
  char *reg = w->regs + run->kernel->reg[s->dst];
  int64_t len, offset = mx_window_offset(v, p, &len);

  w->ptr[s->dst] = reg;
  if (n <= len && v->stride[0] == v->es && !v->copy) {
    w->ptr[s->dst] = v->base + offset;
  } else if (n <= len && v->stride[0] == 0) {
    struct mx_splatted *kept = run->kernel->keep_loads ? &w->splats[s->slot] : NULL;

    if (kept != NULL && kept->n >= n && memcmp(kept->value, v->base + offset, (size_t)v->es) == 0) return;
    mx_splat(reg, v->base + offset, v->es, n);
    if (kept != NULL) {
      kept->n = n;
      kept->rows_n = 0;
      memcpy(kept->value, v->base + offset, (size_t)v->es);
    }
  } else {
    if (run->kernel->keep_loads) w->splats[s->slot].n = 0;
    if (!run->kernel->keep_loads || !has_rows_still(run, s, p, n, reg)) mx_window_gather(v, p, n, reg);
  }
}

static void generate(mx_run *run, const mx_step *s, int64_t p, int64_t n) {
  const mx_window *v = &run->gen[s->slot];
  const mx_random *r = &run->kernel->gens[s->slot];
  const mx_loops *loops = run->host->isa.loops;
  char *dst = run->work->ptr[s->dst];

  while (n > 0) {
    int64_t len, offset = mx_window_offset(v, p, &len);

    if (len > n) len = n;
    if (s->kind == MX_S_IOTA)
      loops->iota(v->index + offset, v->stride[0], len, (int64_t *)dst);
    else
      loops->random(r, (uint64_t)(v->index + offset), v->stride[0], len, dst);
    dst += len * s->es;
    p += len;
    n -= len;
  }
}

static inline void store(mx_run *run, const mx_step *s, int64_t p, int64_t n) {
  const mx_window *v = &run->out[s->slot];
  const char *src = run->work->ptr[s->a];
  char *dst = mx_window_run(v, p, n);

  if (dst == src) return; /* computed in place */
  if (dst == NULL)
    mx_window_scatter(v, p, n, src);
  else if (run->call->stream_out)
    run->host->isa.loops->stream_copy(dst, src, (size_t)(n * v->es));
  else
    memcpy(dst, src, (size_t)(n * v->es));
}

/* A last step and its store past the caches, a little at a time: so reading and writing of memory go on together. */
static bool stream_tail(mx_run *run, const mx_step *s, int64_t p, int64_t n) {
  enum { PART_BYTES = 1024 };
  _Alignas(64) char part[PART_BYTES];
  void **ptr = run->work->ptr;
  const uint8_t *bytes = run->kernel->value_bytes;
  const int64_t most = PART_BYTES / s->es;
  const char *from[4] = {ptr[s->a], ptr[s->b], ptr[s->c], ptr[s->d]};
  const int64_t step[4] = {most * bytes[s->a], most * bytes[s->b], most * bytes[s->c], most * bytes[s->d]};
  char *dst = mx_window_run(&run->out[s[1].slot], p, n);

  if (dst == NULL) return false;
  if (s->stream != NULL) {
    if (s->kind == MX_S_CALL)
      s->stream(n, dst, ptr[s->stream_a], ptr[s->stream_b], NULL, NULL);
    else
      s->stream(n, dst, from[0], from[1], from[2], from[3]);
    return true;
  }
  for (; n > 0; n -= most, dst += PART_BYTES) {
    int64_t len = n < most ? n : most;

    if (s->kind == MX_S_CALL)
      s->fn(len, part, from[0], from[1], from[2]);
    else
      s->fused(len, part, from[0], from[1], from[2], from[3]);
    run->host->isa.loops->stream_copy(dst, part, (size_t)(len * s->es));
    for (int i = 0; i < 4; i++)
      if (step[i] != 0) from[i] += step[i];
  }
  return true;
}

static inline void count(mx_run *run, const mx_step *s, int64_t n) {
  void **ptr = run->work->ptr;
  int64_t *counter = mx_reduce_counter(run, s->slot);

  if (counter != NULL) {
    *counter += s->squares != NULL ? s->squares(n, ptr[s->c], ptr[s->d], ptr[s->b]) : s->count(n, ptr[s->a], ptr[s->b]);
    return;
  }
  s->fn(n, ptr[s->dst], ptr[s->a], ptr[s->b], NULL);
  mx_reduce_feed(run, s->slot, ptr[s->dst], n);
}

void mx_vm_block(mx_run *run, int64_t p, int64_t n) {
  const mx_kernel *k = run->kernel;
  void **ptr = run->work->ptr;
  bool stream = run->call->stream_out;

  for (int i = 0; i < k->n_direct; i++) { /* in streams too: the call before may have had its results in the caches */
    const struct mx_direct *d = &k->direct[i];
    char *dst = stream ? NULL : mx_window_run(&run->out[d->slot], p, n);

    ptr[d->value] = dst != NULL ? dst : run->work->regs + k->reg[d->value];
  }
  for (const mx_step *s = k->steps, *end = s + k->n_steps; s < end; s++)
    switch ((mx_step_kind)s->kind) {
    case MX_S_CALL:
      if (s->tail && stream && stream_tail(run, s, p, n))
        s++; /* its store */
      else
        s->fn(n, ptr[s->dst], ptr[s->a], ptr[s->b], ptr[s->c]);
      break;
    case MX_S_FUSED:
      if (s->tail && stream && stream_tail(run, s, p, n))
        s++;
      else if (!s->counted || mx_reduce_counter(run, s->slot) == NULL)
        s->fused(n, ptr[s->dst], ptr[s->a], ptr[s->b], ptr[s->c], ptr[s->d]);
      break;
    case MX_S_COUNT: count(run, s, n); break;
    case MX_S_LOAD: load(run, s, p, n); break;
    case MX_S_IOTA:
    case MX_S_RANDOM: generate(run, s, p, n); break;
    case MX_S_COPY: memcpy(ptr[s->dst], ptr[s->a], (size_t)(n * s->es)); break;
    case MX_S_STORE: store(run, s, p, n); break;
    case MX_S_REDUCE: mx_reduce_feed(run, s->slot, ptr[s->a], n); break;
    case MX_S_SCAN: mx_scan_feed(run, s->slot, ptr[s->a], ptr[s->dst], n); break;
    }
}

/* ---- preparing a call ---- */

/* Dimensions with more than one point, outermost first: outer kept, reduced, inner kept. */
static int sort_dims(const mx_kernel *k, const int64_t *shape, int *order) {
  int n = 0, last = -1;

  for (int d = 0; d < k->ndim; d++)
    if (shape[d] > 1 && (k->mask >> d & 1)) last = d;
  for (int pass = 0; pass < 3; pass++)
    for (int d = 0; d < k->ndim; d++) {
      bool reduced = k->mask >> d & 1;

      if (shape[d] > 1 && pass == (reduced ? 1 : d > last && last >= 0 ? 2 : 0)) order[n++] = d;
    }
  return n;
}

/* Loads that stand where an output stands are copied before anything is written over them. */
static void mark_shared_memory(const mx_prep *prep, mx_window *in, const mx_window *out) {
  for (int o = 0; o < prep->kernel->n_out; o++)
    for (int i = 0; i < prep->kernel->n_in; i++)
      if (prep->kernel->outs[o].kind != MX_I_REDUCE && in[i].base == out[o].base) in[i].copy = true;
}

/* Returns the length of the rows that all slots have in common. */
static int64_t make_views(mx_prep *prep, mx_window *views, int nd, const int *order) {
  const mx_kernel *k = prep->kernel;
  const mx_call *call = prep->call;
  mx_window *v = views;
  int64_t row = prep->total;

  for (int i = 0; i < k->n_in; i++, v++) {
    mx_window_init(v, &call->in[i], k->in_bytes[i], nd, order, call->shape);
    if (v->shape[0] < row) row = v->shape[0];
  }
  for (int i = 0; i < k->n_gen; i++, v++) {
    mx_window_init(v, &call->gen[i], 1, nd, order, call->shape);
    if (v->shape[0] < row) row = v->shape[0];
  }
  for (int i = 0; i < k->n_out; i++, v++) {
    if (k->outs[i].kind == MX_I_REDUCE) continue;
    mx_window_init(v, &call->out[i], (int)mars_dtype_bytes(k->outs[i].desc.dtype), nd, order, call->shape);
    if (v->shape[0] < row) row = v->shape[0];
  }
  mark_shared_memory(prep, views, views + k->n_in + k->n_gen);
  return row;
}

/* Blocks keep inside the rows that all slots have in common, when those are long enough to be worth it; then every
   contiguous load is read in place. */
static void choose_blocks(mx_prep *prep, int64_t row) {
  int64_t block = prep->kernel->block, n;

  prep->row = row >= 256 ? row : prep->total;
  n = (prep->row + block - 1) / block;
  prep->step = n <= 1 ? block : ((prep->row + n - 1) / n + 63) & ~(int64_t)63;
  if (prep->step > block) prep->step = block;
}

/* threads: how many this call should make work for. */
static void prepare(mx_prep *prep, const mx_call *call, mx_window *views, int threads) {
  const mx_kernel *k = call->kernel;
  int order[MARS_MAX_DIMS], nd;

  prep->call = call;
  prep->kernel = k;
  prep->acc_bytes = 0;
  if (call->kind == MX_CALL_TILE) {
    prep->shape.mode = MX_M_TILE;
    prep->units = mx_tile_units(call->tile, threads);
    prep->work = MX_SERIAL_WORK; /* worth a second thread, if there are units for it */
    return;
  }
  if (call->kind == MX_CALL_COMBINE) {
    mx_combine_prepare(prep);
    return;
  }
  prep->total = 1;
  for (int d = 0; d < call->ndim; d++) prep->total *= call->shape[d];
  nd = sort_dims(k, call->shape, order);
  choose_blocks(prep, make_views(prep, views, nd, order));
  prep->work = (double)prep->total * k->weight;
  if (k->scan || k->n_reduce > 0) {
    if (k->scan)
      mx_scan_shape(k, call->shape, &prep->shape);
    else
      mx_reduce_shape(k, call->shape, &prep->shape);
    prep->units = prep->shape.units;
    prep->acc_bytes = mx_reduce_acc_bytes(prep);
    mx_reduce_begin(prep);
  } else if (!mx_box_prepare(prep, nd, order)) {
    prep->shape.mode = MX_M_POINTS;
    /* costly kernels in smaller units; it does not matter to the results */
    prep->unit_points = MX_UNIT_POINTS;
    while (prep->unit_points > 2 * MX_BLOCK_MAX && (double)prep->unit_points * k->weight > 8 * MX_UNIT_POINTS)
      prep->unit_points /= 2;
    prep->units = (prep->total + prep->unit_points - 1) / prep->unit_points;
  }
}

/* ---- running units ---- */

static void points_unit(mx_run *run, int64_t unit) {
  const mx_prep *prep = run->prep;
  int64_t p = unit * prep->unit_points, end = p + prep->unit_points;

  if (end > prep->total) end = prep->total;
  while (p < end) {
    int64_t n = mx_vm_block_points(prep, p, end - p);

    mx_vm_block(run, p, n);
    p += n;
  }
}

/* Show the kernel's registers in the worker's memory. */
static void enter(mx_work *w, const mx_kernel *k) {
  size_t at = (size_t)(-(uintptr_t)w->mem & 63);

  w->kernel = k->id;
  w->ptr = (void **)(w->mem + at);
  at += ((size_t)k->n_values + 1) * sizeof(void *);
  at = (at + 15) & ~(size_t)15;
  w->splats = (struct mx_splatted *)(w->mem + at);
  for (int i = 0; i < k->n_in; i++) w->splats[i].n = w->splats[i].rows_n = 0;
  at += (size_t)k->n_in * sizeof *w->splats;
  w->regs = (char *)(((uintptr_t)w->mem + at + 63) & ~(uintptr_t)63); /* whole cache lines */
  w->acc = w->regs + k->reg_bytes;
  for (int v = 0; v <= k->n_values; v++)
    w->ptr[v] = k->fixed[v] != NULL ? k->fixed[v] : v < k->n_values ? w->regs + k->reg[v] : NULL;
}

static size_t work_bytes(const mx_prep *prep) {
  const mx_kernel *k = prep->kernel;

  return ((size_t)k->n_values + 1) * sizeof(void *) + (size_t)k->n_in * sizeof(struct mx_splatted) + k->reg_bytes +
         prep->acc_bytes + 256;
}

typedef struct launch {
  mx_host *host;
  int n;
  /* of calls that are done part by part */
  int64_t parts;
  int64_t views;  /* of all calls; each worker has copies of them behind them, which show it its own part of what is passing */
  int n_passing;
  mx_passing passing[MX_MOST_PASSING];
} launch;

static void run_tile(mx_host *host, const mx_tile_call *tile, const mx_prep *prep, int64_t unit) {
  mars_error err = {0};
  mars_status st;

  (void)mx_blas_alone(); /* a team of one is no parallel region to OpenBLAS */
  st = mx_tile_run(tile, prep->call->scratch, unit, prep->units, &err);

  if (st == MARS_OK || atomic_exchange(&host->tile_failed, true)) return;
  host->tile_status = st; /* read after the join */
  host->tile_error = err;
}

static void run_units(mx_host *host, const mx_prep *prep, const mx_window *views, mx_work *work, int64_t begin, int64_t end) {
  const mx_kernel *k = prep->kernel;
  mx_run run = {.host = host, .prep = prep, .kernel = k, .call = prep->call, .work = work};

  run.in = views + prep->view0;
  run.gen = run.in + k->n_in;
  run.out = run.gen + k->n_gen;
  run.slots = k->reduce_slots;
  run.n_slots = k->n_reduce;
  if (prep->shape.mode == MX_M_TILE) {
    for (int64_t u = begin; u < end; u++) run_tile(host, prep->call->tile, prep, u);
    return;
  }
  if (work->kernel != k->id) enter(work, k);
  for (int64_t u = begin; u < end; u++)
    switch (prep->shape.mode) {
    case MX_M_POINTS: points_unit(&run, u); break;
    case MX_M_BOXES: mx_box_unit(&run, u); break;
    case MX_M_SCAN: mx_scan_unit(&run, u); break;
    case MX_M_COMBINE: mx_combine_unit(&run, u); break;
    default: mx_reduce_unit(&run, u);
    }
#if defined(__x86_64__)
  if (prep->call->stream_out) __builtin_ia32_sfence(); /* stores past the caches are seen before the join */
#endif
}

/* Units [begin, end) of all calls together. */
static void run_range(void *ctx, int thread, int64_t begin, int64_t end) {
  const launch *l = ctx;
  int lo = 0, hi = l->n - 1;

  while (lo < hi) { /* last call whose first unit is at or before begin */
    int mid = (lo + hi + 1) / 2;

    if (l->host->preps[mid].first_unit <= begin)
      lo = mid;
    else
      hi = mid - 1;
  }
  for (; begin < end; lo++) {
    const mx_prep *prep = &l->host->preps[lo];
    int64_t stop = prep->first_unit + prep->units;

    if (stop > end) stop = end;
    run_units(l->host, prep, l->host->views, &l->host->work[thread], begin - prep->first_unit, stop - prep->first_unit);
    begin = stop;
  }
}

/* ---- launch ---- */

/* In a thread that may be the user's: his parallel regions have as many threads afterwards as before. */
static void run_alone(launch *l, int64_t units, bool tiles) {
  const int before = tiles ? mx_blas_alone() : 0;

  run_range(l, 0, 0, units);
  if (before > 0) mx_blas_threads(before);
}

mars_status mx_vm_reserve(mx_mem *mem, void **array, int64_t *cap, int64_t n, size_t bytes, mars_error *err) {
  int64_t want = *cap > 0 ? *cap : 16;
  void *p;

  if (n <= *cap) return MARS_OK;
  while (want < n) want *= 2;
  p = mx_grow(mem, *array, (size_t)*cap * bytes, (size_t)want * bytes);
  if (p == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_run: no memory to launch %lld records", (long long)n);
  *array = p;
  *cap = want;
  return MARS_OK;
}

/* Every worker's memory holds at least `bytes`. */
static mars_status reserve_work(mx_host *host, int threads, size_t bytes, mars_error *err) {
  for (int t = 0; t < threads; t++) {
    mx_work *w = &host->work[t];
    char *p;

    if (w->bytes >= bytes) continue;
    p = mx_grow(host->mem, NULL, 0, bytes + 4096);
    if (p == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_run: no memory for %zu bytes of a worker's registers", bytes);
    mx_free(host->mem, w->mem);
    w->mem = p;
    w->bytes = bytes;
    w->kernel = 0;
  }
  return MARS_OK;
}

static int64_t slots_of(const mx_kernel *k) { return k->n_in + k->n_gen + k->n_out; }

/* ---- how many units a call is to make ---- */

/* The worker that would be at rest first. */
static mx_work *least_loaded(mx_host *host) {
  mx_work *least = host->work;

  for (int t = 1; t < mx_pool_threads(host->pool); t++)
    if (host->work[t].load < least->load) least = &host->work[t];
  return least;
}

/* Multiplications of all products in the batch, for each worker. */
static double share_of(mx_host *host, mx_call *const *calls, int n) {
  double work = 0;

  for (int t = 0; t < mx_pool_threads(host->pool); t++) host->work[t].load = 0;
  for (int i = 0; i < n; i++)
    if (calls[i]->kind == MX_CALL_TILE) work += mx_tile_product_work(calls[i]->tile);
  return work / mx_pool_threads(host->pool);
}

/* Many calls keep all workers busy by themselves. Each part of a product packs an operand anew, so products stay whole as long as the
   workers come to an end together; workers are thought to take the calls in order. They never run equally fast, so in a long batch
   the last products, `left` of whose multiplications no worker has yet, come in parts that get smaller towards the end. */
static int units_wanted(mx_host *host, const mx_call *call, int n, double share, double *left) {
  enum { LONG = 4, PARTS = 2 };
  const int threads = mx_pool_threads(host->pool), usual = n >= 4 * threads ? 1 : threads;
  const double work = call->kind == MX_CALL_TILE ? mx_tile_product_work(call->tile) : 0;
  const mx_work *most = host->work;
  mx_work *least;
  int units = 1;

  if (work == 0 || threads == 1) return usual;
  least = least_loaded(host);
  for (int t = 1; t < threads; t++)
    if (host->work[t].load > most->load) most = &host->work[t];
  if (share >= LONG * work) units = (int)ceil(PARTS * threads * work / *left * (1 - 1e-9));
  else if (least->load + work > 1.02 * share) units = most->load - least->load < 0.02 * work ? threads : 2 * threads;
  for (int i = 0; i < units; i++) least_loaded(host)->load += work / units;
  *left -= work;
  return mx_tile_cuts_freely(call->tile) ? units : usual;
}

/* Calls whose records fit the room there is. */
static mars_status launch_batch(mx_host *host, mx_call *const *calls, int n, bool here, mars_error *err) {
  mars_status st = MARS_OK;
  launch l = {.host = host, .n = n};
  int64_t units = 0, views = 0;
  size_t bytes = 0;
  double work = 0;
  const double share = share_of(host, calls, n);
  double left = share * mx_pool_threads(host->pool);
  bool parallel, tiles = false;

  MX_TRY(mx_vm_gather_pieces(host, calls, n, err));
  for (int i = 0; i < n; i++) {
    mx_prep *prep = &host->preps[i];
    size_t need;

    prep->view0 = views;
    tiles |= calls[i]->kind == MX_CALL_TILE;
    prepare(prep, calls[i], host->views + views, units_wanted(host, calls[i], n, share, &left));
    views += slots_of(prep->kernel);
    prep->first_unit = units;
    units += prep->units;
    work += prep->work + 100;
    need = work_bytes(prep);
    if (need > bytes) bytes = need;
  }
  parallel = !here && units > 1 && work >= MX_SERIAL_WORK && mx_pool_threads(host->pool) > 1;
  MX_TRY(reserve_work(host, parallel ? mx_pool_threads(host->pool) : 1, bytes, err));
  atomic_store_explicit(&host->tile_failed, false, memory_order_relaxed);
  if (parallel)
    mx_parallel_for(host->pool, units, tiles ? 1 : 0, run_range, &l);
  else
    run_alone(&l, units, tiles);
  if (atomic_load_explicit(&host->tile_failed, memory_order_relaxed)) {
    if (err != NULL) *err = host->tile_error;
    st = host->tile_status;
  }

done:
  return st;
}

/* Of this worker, for a part: it finds what is passing in its own part of the memory. Returns its views. */
static const mx_window *own_views(const launch *l, int thread, int64_t part) {
  const mx_window *from = l->host->views;
  mx_window *to = l->host->views + (thread + 1) * l->views;

  for (int64_t i = 0; i < l->views; i++) {
    to[i] = from[i];
    to[i].base = mx_vm_shifted(l->passing, l->n_passing, from[i].base, thread - part);
  }
  return to;
}

static void run_own_tile(const launch *l, const mx_prep *prep, int thread, int64_t part) {
  enum { MATS = 8 };
  mx_mat mat[MATS];
  mx_tile_call tile = *prep->call->tile;

  for (int i = 0; i < tile.n && i < MATS; i++) {
    mat[i] = tile.mat[i];
    mat[i].base = mx_vm_shifted(l->passing, l->n_passing, mat[i].base, thread - part);
  }
  tile.mat = mat;
  run_tile(l->host, &tile, prep, part);
}

/* Part by part through all calls. */
static void run_rows(void *ctx, int thread, int64_t begin, int64_t end) {
  const launch *l = ctx;

  for (int64_t part = begin; part < end; part++) {
    const mx_window *views = l->n_passing > 0 ? own_views(l, thread, part) : l->host->views;

    for (int i = 0; i < l->n; i++) {
      const mx_prep *prep = &l->host->preps[i];
      const int64_t each = prep->units / l->parts;

      if (l->n_passing > 0 && prep->shape.mode == MX_M_TILE) run_own_tile(l, prep, thread, part);
      else run_units(l->host, prep, views, &l->host->work[thread], part * each, (part + 1) * each);
    }
  }
}

mars_status mx_vm_launch_rows(mx_host *host, mx_call *const *calls, int n, mars_error *err) {
  mars_status st = MARS_OK;
  launch l = {.host = host, .n = n};
  const int threads = mx_pool_threads(host->pool);
  int64_t views = 0;
  size_t bytes = 0;

  for (int i = 0; i < n; i++) l.views += slots_of(calls[i]->kernel);
  MX_TRY(mx_vm_reserve(host->mem, (void **)&host->preps, &host->cap_preps, n, sizeof *host->preps, err));
  MX_TRY(mx_vm_reserve(host->mem, (void **)&host->views, &host->cap_views, (threads + 1) * l.views, sizeof *host->views, err));
  for (int i = 0; i < n; i++) {
    mx_prep *prep = &host->preps[i];

    prep->view0 = views;
    prepare(prep, calls[i], host->views + views, threads);
    views += slots_of(prep->kernel);
    if (work_bytes(prep) > bytes) bytes = work_bytes(prep);
  }
  l.parts = mx_vm_common_units(host->preps, n);
  if (l.parts < 2) {
    for (int i = 0; i < n && st == MARS_OK; i++) st = launch_batch(host, calls + i, 1, false, err);
    goto done;
  }
  MX_TRY(reserve_work(host, threads, bytes, err));
  if (threads <= l.parts) l.n_passing = mx_vm_passing(calls, n, l.parts, l.passing);
  atomic_store_explicit(&host->tile_failed, false, memory_order_relaxed);
  mx_parallel_for(host->pool, l.parts, 1, run_rows, &l);
  if (atomic_load_explicit(&host->tile_failed, memory_order_relaxed)) {
    if (err != NULL) *err = host->tile_error;
    st = host->tile_status;
  }

done:
  return st;
}

mars_status mx_vm_launch(mx_host *host, mx_call *const *calls, int n, bool here, mars_error *err) {
  enum { BATCH = 512, BATCH_SLOTS = 2048 }; /* bounds the records, which stand outside the arena's budget */
  mars_status st = MARS_OK;

  for (int first = 0, end; first < n; first = end) {
    int64_t slots = slots_of(calls[first]->kernel);

    for (end = first + 1; end < n && end - first < BATCH; end++) {
      int64_t more = slots_of(calls[end]->kernel);

      if (slots + more > BATCH_SLOTS) break;
      slots += more;
    }
    MX_TRY(mx_vm_reserve(host->mem, (void **)&host->preps, &host->cap_preps, end - first, sizeof *host->preps, err));
    MX_TRY(mx_vm_reserve(host->mem, (void **)&host->views, &host->cap_views, slots, sizeof *host->views, err));
    MX_TRY(launch_batch(host, calls + first, end - first, here, err));
  }

done:
  return st;
}
