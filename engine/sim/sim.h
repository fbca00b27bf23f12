/*
 * The simulator: plays a schedule on a virtual clock with a description of the machine, by the executor's rules.
 *
 * Compute steps of a device run in order, on the host one batch of the machine's threads; loads share the drive's reading side
 * and stores its writing side, copies share their link, each in the order of the schedule. Pure function of the plan.
 */
#ifndef MX_SIM_H
#define MX_SIM_H

#include "engine/plan/plan.h"

typedef struct mx_sim_machine {
  double op_ns;              /* an addition on a block in cache, one thread */
  double flops_per_s;        /* of tile operations, one thread */
  double memory_bytes_per_s; /* streaming, all threads */
  double read_bytes_per_s, write_bytes_per_s; /* of the drive, each alone */
  double task_ns;            /* engine's own time of a task */
  int threads;
} mx_sim_machine;

typedef struct mx_sim_result {
  double seconds;                            /* makespan */
  double compute_busy, read_busy, write_busy, copy_busy; /* seconds, all devices and links together */
  double device_busy[MX_MAX_DEVICES];        /* of it, computing on each */
  double waited_for_loads, waited_for_stores; /* seconds that computing stood still for */
} mx_sim_result;

/* A plain machine: what a core and a drive of today do. */
mx_sim_machine mx_sim_default(int threads);
mars_status mx_simulate(const mx_plan *plan, const mx_sim_machine *machine, mx_sim_result *out, mars_error *err);

#endif
