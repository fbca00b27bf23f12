/* Contract: tests/vm_shim.h. */
#include "tests/vm_shim.h"

#include "engine/session.h"
#include "tests/vm_stage.h"

#include <stdlib.h>
#include <string.h>

struct vm_dev {
  mx_mem mem;
  mx_device *device;
};

struct vm_prog {
  mx_program p;
  mx_instr instrs[512];
  mars_dtype value_dtype[512], in_dtype[64];
  mx_random gens[64];
  mx_out_desc outs[64];
  mx_const consts[64];
};

struct vm_kernel {
  mx_kernel *k;
  const mx_program *prog;
};

mars_status vm_open(int threads, bool bind, const char *isa, size_t arena_bytes, vm_dev **out, mars_error *err) {
  vm_dev *dev = calloc(1, sizeof *dev);
  mx_host_config config = {.mem = &dev->mem, .arena_bytes = arena_bytes, .threads = threads, .bind_threads = bind, .isa = isa};
  mars_status st;

  *out = NULL;
  mx_mem_init(&dev->mem, NULL);
  st = mx_host_device_create(&config, &dev->device, err);
  if (st != MARS_OK) {
    free(dev);
    return st;
  }
  *out = dev;
  return MARS_OK;
}

mars_status vm_open_cuda(int ordinal, size_t bytes, vm_dev **out, mars_error *err) {
  vm_dev *dev = calloc(1, sizeof *dev);
  mx_device_request request = {.mem = &dev->mem, .index = ordinal, .budget_bytes = bytes};
  mars_status st;

  *out = NULL;
  mx_mem_init(&dev->mem, NULL);
  st = mx_cuda_kind.create(mx_cuda_kind.ctx, &request, &dev->device, err);
  if (st != MARS_OK) {
    free(dev);
    return st;
  }
  *out = dev;
  return MARS_OK;
}

struct mx_device *vm_device(vm_dev *dev) { return dev->device; }

int64_t vm_close(vm_dev *dev) {
  int64_t live;

  if (dev == NULL) return 0;
  dev->device->ops->destroy(dev->device);
  live = atomic_load(&dev->mem.live);
  free(dev);
  return live;
}

int64_t vm_live(vm_dev *dev) { return atomic_load(&dev->mem.live); }
void vm_fail_at(vm_dev *dev, int64_t n) { atomic_store(&dev->mem.fail_at, n); }

void vm_get_info(vm_dev *dev, vm_info *out) {
  mx_host_info info;

  mx_host_device_info(dev->device, &info);
  out->cpu = info.cpu;
  out->isa = info.isa;
  out->cores = info.cores;
  out->threads = info.threads;
  out->numa_nodes = info.numa_nodes;
  out->memory_bytes = info.memory_bytes;
  out->memory_limit = mx_host_memory_limit();
  out->l2_bytes = info.l2_bytes;
  out->arena = dev->device->ops->memory(dev->device, &out->arena_bytes);
  out->name = dev->device->ops->name(dev->device);
}

mars_status vm_open_failing(int64_t n, int64_t *live) {
  mx_mem mem;
  mx_host_config config = {.mem = &mem, .arena_bytes = 1 << 20, .threads = 2, .bind_threads = true};
  mx_device *device = NULL;
  mars_status st;

  mx_mem_init(&mem, NULL);
  atomic_store(&mem.fail_at, n);
  st = mx_host_device_create(&config, &device, NULL);
  if (device != NULL) device->ops->destroy(device);
  *live = atomic_load(&mem.live);
  return st;
}

/* ---- programs ---- */

vm_prog *vm_prog_new(int ndim, const int64_t *space, uint32_t mask) {
  vm_prog *p = calloc(1, sizeof *p);

  p->p = (mx_program){.ndim = ndim, .reduce_mask = mask, .instrs = p->instrs, .value_dtype = p->value_dtype,
                      .in_dtype = p->in_dtype, .gens = p->gens, .outs = p->outs, .consts = p->consts, .cost = 1};
  for (int d = 0; d < ndim; d++) p->p.space[d] = space[d];
  return p;
}

void vm_prog_free(vm_prog *p) { free(p); }

static int add(vm_prog *p, mx_instr_kind kind, mars_dtype dt, mars_dtype value, int slot, int a, int b, int c) {
  mx_instr *in = &p->instrs[p->p.n_instrs++];

  *in = (mx_instr){.kind = (uint8_t)kind, .dtype = (uint8_t)dt, .slot = (uint16_t)slot, .dst = -1, .src = {a, b, c}};
  if (value == MARS_DTYPE_AUTO) return -1;
  p->value_dtype[p->p.n_values] = value;
  return in->dst = p->p.n_values++;
}

static mars_dtype as_register(mars_dtype dt) { return dt == MARS_F16 || dt == MARS_BF16 ? MARS_F32 : dt; }

int vm_load(vm_prog *p, mars_dtype dt) {
  p->in_dtype[p->p.n_in] = dt;
  return add(p, MX_I_LOAD, dt, dt, p->p.n_in++, -1, -1, -1);
}

int vm_const(vm_prog *p, mars_dtype dt, const void *e) {
  mx_const *c = &p->consts[p->p.n_consts];

  c->dtype = dt;
  switch (dt) {
  case MARS_BOOL: c->v.b = *(const uint8_t *)e; break;
  case MARS_I8: c->v.i = *(const int8_t *)e; break;
  case MARS_I16: c->v.i = *(const int16_t *)e; break;
  case MARS_I32: c->v.i = *(const int32_t *)e; break;
  case MARS_U8: c->v.u = *(const uint8_t *)e; break;
  case MARS_U16: c->v.u = *(const uint16_t *)e; break;
  case MARS_U32: c->v.u = *(const uint32_t *)e; break;
  case MARS_F32: c->v.f = *(const float *)e; break;
  case MARS_C64: c->v.c[0] = ((const float *)e)[0], c->v.c[1] = ((const float *)e)[1]; break;
  default: memcpy(&c->v, e, mars_dtype_bytes(dt));
  }
  return add(p, MX_I_CONST, dt, dt, p->p.n_consts++, -1, -1, -1);
}

int vm_iota(vm_prog *p) {
  p->gens[p->p.n_gen].op = MX_OP_IOTA;
  return add(p, MX_I_IOTA, MARS_I64, MARS_I64, p->p.n_gen++, -1, -1, -1);
}

int vm_uniform(vm_prog *p, mars_dtype dt, uint64_t seed, uint64_t stream) {
  p->gens[p->p.n_gen] = (mx_random){.op = MX_OP_UNIFORM, .dtype = dt, .seed = seed, .stream = stream, .p0 = 0, .p1 = 1};
  return add(p, MX_I_RANDOM, dt, dt, p->p.n_gen++, -1, -1, -1);
}

int vm_random(vm_prog *p, const char *name, mars_dtype dt, uint64_t seed, uint64_t stream, double p0, double p1, int64_t low,
              uint64_t range) {
  p->gens[p->p.n_gen] = (mx_random){.op = mx_op_find(name), .dtype = dt, .seed = seed, .stream = stream, .p0 = p0, .p1 = p1,
                                    .low = low, .range = range};
  return add(p, MX_I_RANDOM, dt, dt, p->p.n_gen++, -1, -1, -1);
}

int vm_cast(vm_prog *p, int v, mars_dtype to) {
  int dst = add(p, MX_I_CAST, to, to, 0, v, -1, -1);

  p->instrs[p->p.n_instrs - 1].from = (uint8_t)p->value_dtype[v];
  return dst;
}

int vm_round(vm_prog *p, int v, mars_dtype half) { return add(p, MX_I_ROUND, half, MARS_F32, 0, v, -1, -1); }

int vm_op_as(vm_prog *p, const char *name, mars_dtype loop, int a, int b, int c) {
  mx_op op = mx_op_find(name);
  int dst = add(p, MX_I_OP, loop, as_register(mx_op_result_dtype(op, loop)), 0, a, b, c);

  p->instrs[p->p.n_instrs - 1].op = (uint16_t)op;
  return dst;
}

int vm_op(vm_prog *p, const char *name, int a, int b, int c) {
  return vm_op_as(p, name, p->value_dtype[mx_op_find(name) == MX_OP_WHERE ? b : a], a, b, c);
}

int vm_store_as(vm_prog *p, int v, mars_dtype dt) {
  p->outs[p->p.n_out] = (mx_out_desc){.dtype = dt};
  add(p, MX_I_STORE, dt, MARS_DTYPE_AUTO, p->p.n_out, v, -1, -1);
  return p->p.n_out++;
}

int vm_store(vm_prog *p, int v) { return vm_store_as(p, v, p->value_dtype[v]); }

int vm_reduce(vm_prog *p, const char *name, int v, mars_dtype result, double ddof) {
  mx_op op = mx_op_find(name);

  p->outs[p->p.n_out] =
      (mx_out_desc){.reduce = true, .op = op, .src = as_register(p->value_dtype[v]), .dtype = result, .ddof = ddof};
  add(p, MX_I_REDUCE, p->value_dtype[v], MARS_DTYPE_AUTO, p->p.n_out, v, -1, -1);
  p->instrs[p->p.n_instrs - 1].op = (uint16_t)op;
  return p->p.n_out++;
}

int vm_scan(vm_prog *p, const char *name, int v) {
  p->outs[p->p.n_out] = (mx_out_desc){.dtype = p->value_dtype[v]};
  add(p, MX_I_SCAN, p->value_dtype[v], MARS_DTYPE_AUTO, p->p.n_out, v, -1, -1);
  p->instrs[p->p.n_instrs - 1].op = (uint16_t)mx_op_find(name);
  return p->p.n_out++;
}

mars_dtype vm_reduced_dtype(const char *name, mars_dtype src) { return mx_op_result_dtype(mx_op_find(name), src); }
void vm_set_cost(vm_prog *p, double cost) { p->p.cost = cost; }
const mx_program *vm_program(const vm_prog *p) { return &p->p; }

mars_dtype vm_dtype(const vm_prog *p, int v) { return p->value_dtype[v]; }

/* ---- kernels and calls ---- */

mars_status vm_compile(vm_dev *dev, const vm_prog *p, vm_kernel **out, mars_error *err) {
  mx_kernel *k = NULL;
  mars_status st = dev->device->ops->kernel_create(dev->device, &p->p, &k, err);

  *out = NULL;
  if (st != MARS_OK) return st;
  *out = calloc(1, sizeof **out);
  (*out)->k = k;
  (*out)->prog = &p->p;
  return MARS_OK;
}

void vm_kernel_free(vm_dev *dev, vm_kernel *k) {
  if (k == NULL) return;
  dev->device->ops->kernel_destroy(dev->device, k->k);
  free(k);
}

size_t vm_scratch(vm_dev *dev, const vm_kernel *k, const int64_t *shape) {
  return dev->device->ops->kernel_scratch(dev->device, k->k, shape);
}

size_t vm_acc_bytes(const vm_prog *p, int slot, int64_t kept) {
  mx_acc_layout layout;

  mx_acc_layout_of(mx_op_row_of(p->outs[slot].op)->acc, p->outs[slot].src, kept, &layout);
  return layout.bytes;
}

static mx_bind *make_binds(const vm_bind *from, int n) {
  mx_bind *binds = calloc((size_t)n + 1, sizeof *binds);

  for (int i = 0; i < n; i++) {
    mx_piece *pieces = calloc((size_t)from[i].n_pieces + 1, sizeof *pieces);

    for (int j = 0; j < from[i].n_pieces; j++) {
      const vm_piece *p = &from[i].pieces[j];

      pieces[j] = (mx_piece){.base = p->base, .flat_start = p->flat_start, .flat_count = p->flat_count, .flat_step = p->flat_step};
      if (p->run) continue;
      pieces[j].start = p->start;
      pieces[j].extent = p->extent;
      pieces[j].stride = p->stride;
    }
    binds[i] = (mx_bind){from[i].base, from[i].index, from[i].stride, from[i].n_pieces, pieces};
  }
  return binds;
}

static void free_binds(const mx_bind *binds, int n) {
  for (int i = 0; i < n; i++) free((void *)(uintptr_t)binds[i].pieces);
  free((void *)(uintptr_t)binds);
}

typedef mars_status launch_fn(vm_dev *dev, mx_call *const *list, const mx_program *const *prog, int n, void *ctx, mars_error *err);

static mars_status launch_with(vm_dev *dev, const vm_call *calls, int n, launch_fn *launch, void *ctx, mars_error *err) {
  mx_call *c = calloc((size_t)n + 1, sizeof *c);
  mx_call **list = calloc((size_t)n + 1, sizeof *list);
  const mx_program **prog = calloc((size_t)n + 1, sizeof *prog);
  mars_status st;

  for (int i = 0; i < n; i++) {
    const vm_call *from = &calls[i];
    size_t scratch = from->combine ? 0 : vm_scratch(dev, from->kernel, from->shape);

    list[i] = &c[i];
    prog[i] = from->kernel->prog;
    c[i] = (mx_call){.kind = from->combine ? MX_CALL_COMBINE : MX_CALL_PROGRAM, .kernel = from->kernel->k,
                     .ndim = from->ndim, .shape = from->shape, .origin = from->origin,
                     .in = make_binds(from->in, from->n_in), .gen = make_binds(from->gen, from->n_gen),
                     .out = make_binds(from->out, from->n_out), .final_mask = from->final_mask,
                     .carry_in = from->carry_in, .carry_out = from->carry_out, .slot = from->slot, .kept = from->kept,
                     .n_partials = from->n_partials, .partials = from->partials, .stream_out = from->stream_out,
                     .passing = from->passing};
    if (scratch > 0) {
      c[i].scratch = aligned_alloc(64, (scratch + 63) & ~(size_t)63);
      memset(c[i].scratch, 0xa5, scratch);
    }
  }
  st = launch(dev, list, prog, n, ctx, err);
  for (int i = 0; i < n; i++) {
    free_binds(c[i].in, calls[i].n_in);
    free_binds(c[i].gen, calls[i].n_gen);
    free_binds(c[i].out, calls[i].n_out);
    free(c[i].scratch);
  }
  free(c);
  free(list);
  free(prog);
  return st;
}

static mars_status plain(vm_dev *dev, mx_call *const *list, const mx_program *const *prog, int n, void *ctx, mars_error *err) {
  return dev->device->ops->transfer != NULL ? vm_stage_launch(dev->device, list, prog, n, err) : dev->device->ops->launch(dev->device, list, n, err);
}

mars_status vm_launch(vm_dev *dev, const vm_call *calls, int n, mars_error *err) { return launch_with(dev, calls, n, plain, NULL, err); }

static mars_status in_rows(vm_dev *dev, mx_call *const *list, const mx_program *const *prog, int n, void *ctx, mars_error *err) {
  bool *follow = ctx;

  *follow = true;
  for (int i = 1; i < n; i++) *follow &= dev->device->ops->follows(dev->device, list, i, list[i]);
  return *follow ? dev->device->ops->launch_rows(dev->device, list, n, err) : MARS_OK;
}

mars_status vm_launch_rows(vm_dev *dev, const vm_call *calls, int n, bool *follow, mars_error *err) {
  return launch_with(dev, calls, n, in_rows, follow, err);
}
