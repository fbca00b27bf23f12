/* Contract: tests/cuda_tile_shim.h. */
#include "tests/cuda_tile_shim.h"

#include "engine/session.h"
#include "engine/status.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)TILE_CHECK == (int)MX_TF_CHECK && (int)TILE_RIGHT == (int)MX_TF_RIGHT && (int)TILE_TRANS == (int)MX_TF_TRANS,
               "flags as in engine/device.h");

enum { HOST_SCRATCH = 32 << 20 };

static mx_tile_op find(const char *op) {
  static const char *const names[MX_TILE_COUNT] = {
#define TILE(id, name) #name,
#include "engine/routines/tiles.def"
  };
  int i = 0;

  while (i < MX_TILE_COUNT && strcmp(names[i], op) != 0) i++;
  return (mx_tile_op)i;
}

bool tile_can(vm_dev *dev, const char *op, mars_dtype dt) {
  mx_device *d = vm_device(dev);

  return d->ops->can_tile == NULL || d->ops->can_tile(d, find(op), dt);
}

bool tile_wants(vm_dev *dev, const char *op, unsigned flags, mars_dtype dt, int n, const tile_mat *mats, const int64_t *p) {
  mx_device *d = vm_device(dev);
  mx_mat list[16];
  mx_tile_call tile = {.op = find(op), .flags = flags, .dtype = dt, .n = n, .mat = list, .fn = op};
  size_t bytes;

  for (int i = 0; i < n; i++) list[i] = (mx_mat){NULL, mats[i].rows, mats[i].cols, mats[i].rs, mats[i].cs};
  for (int i = 0; i < 4 && p != NULL; i++) tile.p[i] = p[i];
  return d->ops->tile_scratch(d, &tile, &bytes);
}

static void wake(mx_transfer *t) { sem_post(t->user); }

static mars_status all(mx_device *dev, mx_transfer *list, int n, mars_error *err) {
  mars_status st = MARS_OK;
  sem_t done;

  sem_init(&done, 0, 0);
  for (int i = 0; i < n; i++) {
    list[i].done = wake;
    list[i].user = &done;
    dev->ops->transfer(dev, &list[i]);
  }
  for (int i = 0; i < n; i++) sem_wait(&done);
  sem_destroy(&done);
  for (int i = 0; i < n && st == MARS_OK; i++) {
    st = list[i].status;
    if (st != MARS_OK && err != NULL) *err = list[i].err;
  }
  return st;
}

/* Operands to the device or back. */
static mars_status carry(mx_device *dev, mx_transfer_kind kind, int n, const tile_mat *mats, char *const *at, mars_error *err) {
  mx_transfer list[16] = {{0}};

  for (int i = 0; i < n; i++)
    list[i] = (mx_transfer){.kind = kind, .dst = kind == MX_TRANSFER_UP ? at[i] : mats[i].memory,
                            .src = kind == MX_TRANSFER_UP ? mats[i].memory : at[i], .bytes = mats[i].bytes};
  return all(dev, list, n, err);
}

mars_status tile_run(vm_dev *vm, const char *op, unsigned flags, mars_dtype dt, int n, const tile_mat *mats, const int64_t *p,
                     mars_error *err) {
  mx_device *dev = vm_device(vm);
  bool own = dev->ops->transfer != NULL;
  mx_program prog = {.routine = true, .cost = 1};
  mx_tile_call tile = {.op = find(op), .flags = flags, .dtype = dt, .n = n, .fn = op};
  mx_mat list[16];
  char *at[16], *arena;
  size_t used = 0, bytes, es = mars_dtype_bytes(dt), scratch = HOST_SCRATCH;
  mx_call call = {.kind = MX_CALL_TILE, .tile = &tile}, *calls[1] = {&call};
  mars_status st = dev->ops->kernel_create(dev, &prog, &call.kernel, err);

  if (st != MARS_OK) return st;
  arena = dev->ops->memory(dev, &bytes);
  for (int i = 0; i < n; i++) {
    at[i] = own ? arena + used : mats[i].memory;
    used += (mats[i].bytes + 255) & ~(size_t)255;
    list[i] = (mx_mat){at[i] + mats[i].offset * (int64_t)(mats[i].elem > 0 ? mats[i].elem : es), mats[i].rows, mats[i].cols, mats[i].rs, mats[i].cs};
  }
  tile.mat = list;
  for (int i = 0; i < 4 && p != NULL; i++) tile.p[i] = p[i];
  if (own) (void)dev->ops->tile_scratch(dev, &tile, &scratch);
  call.scratch = own ? arena + used : aligned_alloc(64, scratch);
  if (own && used + scratch > bytes) st = mx_fail(err, MARS_E_BUDGET, "%zu bytes of scratch", scratch);
  if (st == MARS_OK && own) st = carry(dev, MX_TRANSFER_UP, n, mats, at, err);
  if (st == MARS_OK) st = dev->ops->launch(dev, calls, 1, err);
  if (st == MARS_OK && own) st = carry(dev, MX_TRANSFER_DOWN, n, mats, at, err);
  if (!own) free(call.scratch);
  dev->ops->kernel_destroy(dev, call.kernel);
  return st;
}

mars_status transfer_round(vm_dev *vm, int n, size_t bytes, const char *src, char *dst, mars_error *err) {
  mx_device *dev = vm_device(vm);
  mx_transfer *list = calloc((size_t)n + 1, sizeof *list);
  size_t room;
  char *arena = dev->ops->memory(dev, &room);
  mars_status st;

  for (int i = 0; i < n; i++)
    list[i] = (mx_transfer){.kind = MX_TRANSFER_UP, .dst = arena + (size_t)i * bytes, .src = src + (size_t)i * bytes, .bytes = bytes};
  st = all(dev, list, n, err);
  memset(list, 0, (size_t)n * sizeof *list);
  for (int i = 0; i < n; i++)
    list[i] = (mx_transfer){.kind = MX_TRANSFER_DOWN, .dst = dst + (size_t)i * bytes, .src = arena + (size_t)i * bytes, .bytes = bytes};
  if (st == MARS_OK) st = all(dev, list, n, err);
  free(list);
  return st;
}

mars_status transfer_peer(vm_dev *vfrom, vm_dev *vto, size_t bytes, const char *src, char *dst, mars_error *err) {
  mx_device *from = vm_device(vfrom), *to = vm_device(vto);
  size_t room;
  char *a = from->ops->memory(from, &room), *b = to->ops->memory(to, &room);
  mx_transfer up = {.kind = MX_TRANSFER_UP, .dst = a, .src = src, .bytes = bytes};
  mx_transfer over = {.kind = MX_TRANSFER_PEER, .peer = from, .dst = b, .src = a, .bytes = bytes};
  mx_transfer down = {.kind = MX_TRANSFER_DOWN, .dst = dst, .src = b, .bytes = bytes};
  mars_status st = all(from, &up, 1, err);

  if (st == MARS_OK) st = all(to, &over, 1, err);
  return st == MARS_OK ? all(to, &down, 1, err) : st;
}

void connect_devices(vm_dev *const *devs, int n) {
  mx_device *list[16];

  for (int i = 0; i < n; i++) list[i] = vm_device(devs[i]);
  mx_cuda_kind.connect(mx_cuda_kind.ctx, list, n);
}

mars_status transfer_broadcast(vm_dev *const *devs, int n, int rounds, size_t bytes, const char *src, char *const *dst, mars_error *err) {
  mx_device *root = vm_device(devs[0]), *to[16];
  mx_transfer over[8][16] = {{{0}}}, *list[16];
  size_t room, all_bytes = bytes * (size_t)rounds;
  char *a = root->ops->memory(root, &room);
  mx_transfer up = {.kind = MX_TRANSFER_UP, .dst = a, .src = src, .bytes = all_bytes};
  mars_status st = all(root, &up, 1, err);
  sem_t done;

  if (st != MARS_OK) return st;
  sem_init(&done, 0, 0);
  for (int r = 0; r < rounds; r++) {
    for (int i = 1; i < n; i++) {
      to[i - 1] = vm_device(devs[i]);
      list[i - 1] = &over[r][i];
      over[r][i] = (mx_transfer){.kind = MX_TRANSFER_PEER, .peer = root, .dst = (char *)to[i - 1]->ops->memory(to[i - 1], &room) + (size_t)r * bytes,
                                 .src = a + (size_t)r * bytes, .bytes = bytes, .done = wake, .user = &done};
    }
    root->ops->broadcast(root, list, to, n - 1);
  }
  for (int i = 0; i < rounds * (n - 1); i++) sem_wait(&done);
  sem_destroy(&done);
  for (int r = 0; r < rounds; r++)
    for (int i = 1; i < n && st == MARS_OK; i++) {
      st = over[r][i].status;
      if (st != MARS_OK && err != NULL) *err = over[r][i].err;
    }
  for (int i = 1; i < n && st == MARS_OK; i++) {
    mx_device *d = vm_device(devs[i]);
    mx_transfer down = {.kind = MX_TRANSFER_DOWN, .dst = dst[i], .src = d->ops->memory(d, &room), .bytes = all_bytes};

    st = all(d, &down, 1, err);
  }
  return st;
}

mars_status transfer_join(vm_dev *const *devs, int n, int root, int op, mars_dtype dtype, size_t count, const char *const *src, char *dst, mars_error *err) {
  const size_t bytes = count * mars_dtype_bytes(dtype), at = (bytes + 63) & ~(size_t)63;
  mx_device *of[16];
  mx_transfer part[16] = {{0}}, *list[16];
  mars_status st = MARS_OK;
  size_t room;
  sem_t done;

  for (int i = 0; i < n && st == MARS_OK; i++) { /* the root comes first */
    const int from = i == 0 ? root : i <= root ? i - 1 : i;
    of[i] = vm_device(devs[from]);
    list[i] = &part[i];
    char *memory = of[i]->ops->memory(of[i], &room);
    mx_transfer up = {.kind = MX_TRANSFER_UP, .dst = memory, .src = src[from], .bytes = bytes};
    part[i] = (mx_transfer){.kind = MX_TRANSFER_JOIN, .peer = of[0], .join = {(mx_join_op)op, dtype}, .src = memory, .bytes = bytes, .done = wake, .user = &done};
    st = all(of[i], &up, 1, err);
  }
  if (st != MARS_OK) return st;
  if (!of[0]->ops->can_join(of[0], n)) return mx_fail(err, MARS_E_UNSUPPORTED, "nothing is joined among %d", n);
  part[0].dst = (char *)of[0]->ops->memory(of[0], &room) + at;
  sem_init(&done, 0, 0);
  of[0]->ops->join(of[0], list, of, n);
  sem_wait(&done);
  sem_destroy(&done);
  if (part[0].status != MARS_OK) {
    if (err != NULL) *err = part[0].err;
    return part[0].status;
  }
  mx_transfer down = {.kind = MX_TRANSFER_DOWN, .dst = dst, .src = part[0].dst, .bytes = bytes};
  return all(of[0], &down, 1, err);
}

mars_status register_host(vm_dev *dev, void *memory, size_t bytes, mars_error *err) {
  mx_device *d = vm_device(dev);

  return d->ops->host_memory(d, memory, bytes, err);
}

const char *device_model(vm_dev *dev, size_t *bytes) {
  mx_device_info info;

  vm_device(dev)->ops->info(vm_device(dev), &info);
  *bytes = info.memory_bytes;
  return info.model;
}
