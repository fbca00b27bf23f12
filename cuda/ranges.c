/* NVTX ranges. Contract: cuda/ranges.h. */
#include "cuda/ranges.h"

#ifdef MX_NVTX
#include <nvtx3/nvToolsExt.h>

#include <pthread.h>
#include <stdbool.h>

static nvtxDomainHandle_t domain;

static void create(void) { domain = nvtxDomainCreateA("mars"); }

/* Without a profiler there is no domain: its calls are not made. */
static bool listened(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once(&once, create);
  return domain != NULL;
}

static nvtxEventAttributes_t attributes(const char *name, int64_t number) {
  nvtxEventAttributes_t e = {0};

  e.version = NVTX_VERSION;
  e.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  e.messageType = NVTX_MESSAGE_TYPE_ASCII;
  e.message.ascii = name;
  e.payloadType = NVTX_PAYLOAD_TYPE_INT64;
  e.payload.llValue = number;
  return e;
}

void mx_range_push(const char *name, int64_t number) {
  if (!listened()) return;
  nvtxEventAttributes_t e = attributes(name, number);
  (void)nvtxDomainRangePushEx(domain, &e);
}

void mx_range_pop(void) {
  if (listened()) (void)nvtxDomainRangePop(domain);
}

static uint64_t start(const char *name, int64_t number) {
  if (!listened()) return 0;
  nvtxEventAttributes_t e = attributes(name, number);
  return nvtxDomainRangeStartEx(domain, &e);
}

static void end(uint64_t id) {
  if (listened()) nvtxDomainRangeEnd(domain, id);
}
#else
void mx_range_push(const char *name, int64_t number) { (void)name, (void)number; }
void mx_range_pop(void) {}
static uint64_t start(const char *name, int64_t number) { return (void)name, (void)number, 0; }
static void end(uint64_t id) { (void)id; }
#endif

const mx_ranges mx_cuda_ranges = {start, end, mx_range_push, mx_range_pop};
