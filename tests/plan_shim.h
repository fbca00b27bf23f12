/* What the planner's tests need of the engine's internals, for C++. */
#ifndef PLAN_SHIM_H
#define PLAN_SHIM_H
#include <mars/mars.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct shim_plan shim_plan;

/* Plan outputs (kept, or fetched to memory that is never written). */
mars_status shim_plan_make(mars_session *s, mars_tensor *const *t, size_t n, bool keep, shim_plan **out, mars_error *err);
/* The same, and cancelled when it is asked for the n-th time, from 0, whether it is; -1: never. *asked: how often it was. */
mars_status shim_plan_make_cancelled(mars_session *s, mars_tensor *t, int64_t n, int64_t *asked, mars_error *err);
void shim_plan_free(shim_plan *p);
int64_t shim_plan_kernels(const shim_plan *p);
int64_t shim_plan_tasks(const shim_plan *p);
int64_t shim_plan_steps(const shim_plan *p);
int64_t shim_plan_peak(const shim_plan *p);
int64_t shim_plan_recomputed(const shim_plan *p);
/* The most tasks one behind another in the order of which none reads what another of them makes. */
int64_t shim_plan_side_by_side(const shim_plan *p);
/* Computations that are done once more between two tasks of one group of a routine: those two are no batch. */
int64_t shim_plan_again_within(const shim_plan *p);
int64_t shim_plan_spilled(const shim_plan *p);
int shim_plan_instrs(const shim_plan *p, int kernel, int op); /* OP instructions of that row; -1: all instructions */
int shim_op(const char *name);
mars_status shim_plan_validate(const shim_plan *p, mars_error *err);
/* Damage a schedule: returns whether there was a step to damage. */
typedef enum { DROP_LOAD, DOUBLE_FREE, SHIFT_ALLOC, DROP_FENCES, DROP_FREE, REORDER_COMPUTE, DROP_COPY, DROP_JOIN, EARLY_JOIN, WRONG_DEVICE } shim_damage;
bool shim_plan_damage(shim_plan *p, shim_damage how);
double shim_plan_simulate(const shim_plan *p, double read_rate, double *busiest);

/* Random allocations in the arena model; returns NULL or what went wrong. */
const char *shim_space_torture(uint64_t seed, int64_t bytes, int rounds);

#ifdef __cplusplus
}
#endif
#endif
