/*
 * What the C++ tests need of the engine's C internals: injected faults and counts of live records.
 */
#ifndef TESTS_SHIM_H
#define TESTS_SHIM_H

#include <mars/mars.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The n-th allocation from now (1: the next) of the engine's records fails; n < 0: none. */
void shim_fail_allocation(mars_session *s, int64_t n);
/* Whether the fault armed last has been met. */
bool shim_allocation_failed(mars_session *s);
/* The n-th read (write) of the store from now fails with errnum; n < 0: none. */
void shim_fail_io(mars_session *s, int64_t read_at, int64_t write_at, int errnum);
int64_t shim_live_allocations(mars_session *s);
size_t shim_live_nodes(mars_session *s);
size_t shim_spill_used_bytes(mars_session *s);
/* Whether the op of this name is a routine with a tile rule. */
bool shim_has_rule(const char *name);

#ifdef __cplusplus
}
#endif
#endif
