/* NVTX ranges. Contract: cuda/ranges.h. */
#include "cuda/ranges.h"

#ifdef MX_NVTX
#include <nvtx3/nvToolsExt.h>

#include <pthread.h>

static nvtxDomainHandle_t domain;

static void create(void) { domain = nvtxDomainCreateA("mars"); }

void mx_range_push(const char *name) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  nvtxEventAttributes_t e = {0};

  pthread_once(&once, create);
  e.version = NVTX_VERSION;
  e.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  e.messageType = NVTX_MESSAGE_TYPE_ASCII;
  e.message.ascii = name;
  nvtxDomainRangePushEx(domain, &e);
}

void mx_range_pop(void) { nvtxDomainRangePop(domain); }
#else
void mx_range_push(const char *name) { (void)name; }
void mx_range_pop(void) {}
#endif
