/* Plain C view of the host device for the C++ tests: programs built by hand, calls launched. */
#ifndef TESTS_VM_SHIM_H
#define TESTS_VM_SHIM_H

#include <mars/mars.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vm_dev vm_dev;
typedef struct vm_prog vm_prog;

typedef struct vm_info {
  const char *cpu, *isa;
  int cores, threads, numa_nodes;
  size_t memory_bytes, memory_limit, l2_bytes, arena_bytes;
  char *arena;
  const char *name;
} vm_info;

/* isa NULL: $MARS_ISA or the best */
mars_status vm_open(int threads, bool bind, const char *isa, size_t arena_bytes, vm_dev **out, mars_error *err);
/* A CUDA device: launches move their operands there and back (tests/vm_stage.h). */
mars_status vm_open_cuda(int ordinal, size_t bytes, vm_dev **out, mars_error *err);
struct mx_device *vm_device(vm_dev *dev); /* engine/device.h */
int64_t vm_close(vm_dev *dev);         /* NULL is fine; returns the records that it left behind */
int64_t vm_live(vm_dev *dev);          /* records not yet freed */
void vm_fail_at(vm_dev *dev, int64_t n); /* the n-th allocation from now fails; negative: none */
void vm_get_info(vm_dev *dev, vm_info *out);
/* Create, destroy with the n-th allocation failing; live records afterwards in *live. */
mars_status vm_open_failing(int64_t n, int64_t *live);

vm_prog *vm_prog_new(int ndim, const int64_t *space, uint32_t mask);
void vm_prog_free(vm_prog *p); /* NULL is fine */
/* Each returns the SSA value; slots are numbered in order of the calls. */
int vm_load(vm_prog *p, mars_dtype dt);
int vm_const(vm_prog *p, mars_dtype dt, const void *element);
int vm_iota(vm_prog *p);
int vm_uniform(vm_prog *p, mars_dtype dt, uint64_t seed, uint64_t stream);
/* a generator of any row; p0, p1, low, range: as in mx_random */
int vm_random(vm_prog *p, const char *name, mars_dtype dt, uint64_t seed, uint64_t stream, double p0, double p1, int64_t low,
              uint64_t range);
int vm_cast(vm_prog *p, int v, mars_dtype to);
int vm_round(vm_prog *p, int v, mars_dtype half);
int vm_op(vm_prog *p, const char *name, int a, int b, int c); /* -1: unused; the loop's dtype is b's for where, else a's */
int vm_op_as(vm_prog *p, const char *name, mars_dtype loop, int a, int b, int c); /* halves: registers are f32 */
/* Each returns the out slot. */
int vm_store(vm_prog *p, int v);
int vm_store_as(vm_prog *p, int v, mars_dtype dt);
int vm_reduce(vm_prog *p, const char *name, int v, mars_dtype result, double ddof);
int vm_scan(vm_prog *p, const char *name, int v);
mars_dtype vm_reduced_dtype(const char *name, mars_dtype src); /* of the finished values */
void vm_set_cost(vm_prog *p, double cost); /* of a point; 1 else */
const struct mx_program *vm_program(const vm_prog *p); /* engine/program.h */
mars_dtype vm_dtype(const vm_prog *p, int v);

typedef struct vm_kernel vm_kernel;
mars_status vm_compile(vm_dev *dev, const vm_prog *p, vm_kernel **out, mars_error *err);
void vm_kernel_free(vm_dev *dev, vm_kernel *k);
size_t vm_scratch(vm_dev *dev, const vm_kernel *k, const int64_t *shape);
/* bytes of an accumulator of `kept` elements of an out slot */
size_t vm_acc_bytes(const vm_prog *p, int slot, int64_t kept);

typedef struct vm_piece {
  const char *base;
  bool run;
  int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS], stride[MARS_MAX_DIMS];
  int64_t flat_start, flat_count, flat_step;
} vm_piece;

typedef struct vm_bind {
  char *base;
  int64_t index;
  int64_t stride[MARS_MAX_DIMS];
  int n_pieces;
  const vm_piece *pieces;
} vm_bind;

typedef struct vm_call {
  bool combine;
  vm_kernel *kernel;
  int ndim;
  int64_t shape[MARS_MAX_DIMS], origin[MARS_MAX_DIMS];
  const vm_bind *in, *gen, *out;
  int n_in, n_gen, n_out;
  uint64_t final_mask;
  const char *carry_in;
  char *carry_out;
  int slot;
  int64_t kept;
  int n_partials;
  const char *const *partials;
  bool stream_out;
  uint64_t passing; /* as in mx_call */
} vm_call;

/* One launch; scratch is allocated here, 64-byte aligned and filled with rubbish. */
mars_status vm_launch(vm_dev *dev, const vm_call *calls, int n, mars_error *err);
/* One launch_rows; *follow: each call may follow those before it. Where it may not, nothing is launched. */
mars_status vm_launch_rows(vm_dev *dev, const vm_call *calls, int n, bool *follow, mars_error *err);

#ifdef __cplusplus
}
#endif
#endif
