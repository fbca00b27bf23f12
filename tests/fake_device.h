/*
 * Devices with memory of their own, for tests: kernels are the host's, run on a separate memory; copies are made by threads of
 * each device, late and out of order between the directions; what a device is not given to use it refuses or complains about.
 */
#ifndef TESTS_FAKE_DEVICE_H
#define TESTS_FAKE_DEVICE_H

#include <mars/mars.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fake_plan {
  int count;             /* devices "fake:0", "fake:1", ... */
  size_t memory_bytes;   /* of each; device_budget_bytes 0 takes all */
  bool peers;            /* copies from device to device are offered */
  bool joins;            /* accumulators of all of them are joined */
  bool no_programs, no_tiles; /* nothing of the kind can run there */
  bool refuse_arena;     /* the host's arena cannot be reached directly */
  int refuse_every;      /* n > 0: every n-th program, by its content, and every n-th tile operation cannot */
  int delay_us;          /* longest delay of a copy */
  uint64_t seed;         /* of the delays */
  long fail_at;          /* n >= 0: the n-th call that can fail (kernel, launch, copy; from 0) fails; negative: none */
  mars_status fail_with; /* MARS_E_DEVICE: the device is lost from then on */
} fake_plan;

/* For the sessions that are created from now on; one test at a time. Clears the counters. */
void fake_set(const fake_plan *plan);
/* Calls so far that could have failed. */
long fake_calls(void);
long fake_launched(void); /* calls of kernels and tile operations */
long fake_copies(int kind); /* 0 up, 1 down, 2 peer */
long fake_broadcasts(void); /* copies of one chunk to several devices, given together */
long fake_joins(void);
int fake_connected(void);   /* devices that the last session told of together */
long fake_most_in_flight(void); /* copies that were queued at once */
/* First thing that a device was asked and must not be (a pointer outside its memory, a copy outside an arena), NULL. */
const char *fake_complaint(void);
/* Devices that exist now. */
int fake_alive(void);
mars_status fake_session_create(const mars_session_config *config, mars_session **out, mars_error *err);

#ifdef __cplusplus
}
#endif
#endif
