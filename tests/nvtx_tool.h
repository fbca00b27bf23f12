/* What the NVTX tool of the tests has seen; found by dlsym in the library that NVTX has loaded. */
#ifndef TESTS_NVTX_TOOL_H
#define TESTS_NVTX_TOOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nvtx_kind { NVTX_PUSH = 1, NVTX_POP, NVTX_START, NVTX_END } nvtx_kind;
typedef struct nvtx_event {
  int kind;
  char name[44];
  int64_t number; /* payload */
  uint64_t thread, id;
} nvtx_event;

/* The events since the last call, oldest first. */
size_t nvtx_tool_take(nvtx_event *out, size_t most);

#ifdef __cplusplus
}
#endif
#endif
