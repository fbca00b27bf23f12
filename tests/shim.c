#include "tests/shim.h"
#include "engine/routine.h"
#include "engine/session.h"

void shim_fail_allocation(mars_session *s, int64_t n) {
  atomic_store(&s->mem.fail_at, n);
}

bool shim_allocation_failed(mars_session *s) {
  return atomic_load(&s->mem.fail_at) <= 0;
}

void shim_fail_io(mars_session *s, int64_t read_at, int64_t write_at, int errnum) {
  s->store->ops->inject(s->store, read_at, write_at, errnum);
}

int64_t shim_live_allocations(mars_session *s) {
  return atomic_load(&s->mem.live);
}

size_t shim_live_nodes(mars_session *s) {
  size_t n;

  pthread_mutex_lock(&s->graph.lock);
  n = s->graph.n_nodes;
  pthread_mutex_unlock(&s->graph.lock);
  return n;
}

size_t shim_spill_used_bytes(mars_session *s) {
  mx_store_info info;

  s->store->ops->info(s->store, &info);
  return info.spill_used_bytes;
}

bool shim_has_rule(const char *name) {
  mx_op op = mx_op_find(name);

  return op != MX_OP_COUNT && mx_op_row_of(op)->kind == MX_KIND_ROUTINE && mx_routine_of(op) != NULL;
}
