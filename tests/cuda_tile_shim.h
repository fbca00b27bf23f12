/* Tile operations and transfers on any device, for the C++ tests. */
#ifndef TESTS_CUDA_TILE_SHIM_H
#define TESTS_CUDA_TILE_SHIM_H

#include "tests/vm_shim.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  TILE_FIRST = 1, TILE_NEGATE = 2, TILE_CONJ = 4, TILE_CONJ2 = 8, TILE_HERM = 16, TILE_MIRROR = 32, TILE_LOWER = 64,
  TILE_UPPER = 128, TILE_UNIT = 256, TILE_TRANS = 512, TILE_RIGHT = 4096, TILE_CHECK = 8192
};
typedef struct tile_mat {
  char *memory; /* all of it goes to the device and comes back */
  size_t bytes;
  int64_t offset, rows, cols, rs, cs; /* in elements */
  size_t elem; /* bytes of one; 0: the operation's */
} tile_mat;

/* One operation by the name of engine/routines/tiles.def ("gemm") in a launch of its own. */
mars_status tile_run(vm_dev *dev, const char *op, unsigned flags, mars_dtype dt, int n, const tile_mat *mats, const int64_t *p,
                     mars_error *err);
bool tile_can(vm_dev *dev, const char *op, mars_dtype dt);
/* Whether the device wants this one, which tile_can allows. */
bool tile_wants(vm_dev *dev, const char *op, unsigned flags, mars_dtype dt, int n, const tile_mat *mats, const int64_t *p);

/* n copies of `bytes` up from `src` to distinct places of the arena and down again to `dst`, all queued at once. */
mars_status transfer_round(vm_dev *dev, int n, size_t bytes, const char *src, char *dst, mars_error *err);
/* Arena of one device to the other's and back to the host. */
mars_status transfer_peer(vm_dev *from, vm_dev *to, size_t bytes, const char *src, char *dst, mars_error *err);
/* Tells CUDA devices that one session uses them all. */
void connect_devices(vm_dev *const *devs, int n);
/* Bytes up to the first device, from its arena to those of the others at once, and down again to dst[1], ... Broadcasts, `rounds` of
   them queued at once to places one behind the other. */
mars_status transfer_broadcast(vm_dev *const *devs, int n, int rounds, size_t bytes, const char *src, char *const *dst, mars_error *err);
/* The accumulators src[i] of all n connected devices, joined on devices[root] (op: 0 sum, 1 product, 2 least, 3 greatest) and copied to dst. */
mars_status transfer_join(vm_dev *const *devs, int n, int root, int op, mars_dtype dtype, size_t count, const char *const *src, char *dst, mars_error *err);
mars_status register_host(vm_dev *dev, void *memory, size_t bytes, mars_error *err);
/* Model and bytes of its arena. */
const char *device_model(vm_dev *dev, size_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
