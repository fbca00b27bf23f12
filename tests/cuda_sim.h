/* The simulated platform's own account, where the driver in use is the stand-in; on a real driver these say nothing. */
#ifndef TESTS_CUDA_SIM_H
#define TESTS_CUDA_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

bool cuda_sim_is_used(void);
/* Failed checks so far; the first one's text. */
size_t cuda_sim_failed_checks(char *first, size_t size);
/* Everything that is alive on it, summed: 0 after all has been given back. text: what there is. */
uint64_t cuda_sim_live(char *text, size_t size);
/* Settings such as "devices=2 fault=copy:3"; false if they are refused, or there is no simulator. */
bool cuda_sim_configure(const char *text);
/* As it was when the process began; nothing of it may be in use. */
void cuda_sim_reset(void);
/* Driver calls, and NCCL calls, since the last settings. */
uint64_t cuda_sim_calls(void);
/* Faults of the plan that have happened since the process began. */
uint64_t cuda_sim_faults(void);
uint64_t cuda_sim_nccl_calls(void);
/* Copies with the host stand still, or go on; how many stand. */
void cuda_sim_hold_copies(bool hold);
void cuda_sim_held_copies(int *up, int *down);
/* Modules loaded since the process began, from PTX or from machine code. */
uint64_t cuda_sim_modules(bool machine);
/* Bytes that kernels named `name` read and wrote. */
bool cuda_sim_kernel_bytes(const char *name, uint64_t *read, uint64_t *written);
/* Sectors of 32 bytes that their warps asked memory for. */
uint64_t cuda_sim_kernel_sectors(const char *name);

#ifdef __cplusplus
}
#endif
#endif
