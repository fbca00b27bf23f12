/* A tool that NVTX loads into the program (NVTX_INJECTION64_PATH): keeps the ranges of the domain "mars". Contract: tests/nvtx_tool.h. */
#include "tests/nvtx_tool.h"

#include <nvtx3/nvToolsExt.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define TOOL __attribute__((visibility("default")))

enum { MOST = 1 << 16 };
static nvtx_event events[MOST];
static size_t n_events;
static uint64_t next_id = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int mars; /* its address is the domain's handle; other domains have none */

static void add(nvtx_kind kind, const nvtxEventAttributes_t *e, uint64_t *id) {
  pthread_mutex_lock(&lock);
  if (n_events < MOST) {
    nvtx_event *v = &events[n_events++];

    v->kind = kind;
    v->thread = (uint64_t)pthread_self();
    if (e != NULL) {
      snprintf(v->name, sizeof v->name, "%s", e->messageType == NVTX_MESSAGE_TYPE_ASCII ? e->message.ascii : "?");
      v->number = e->payloadType == NVTX_PAYLOAD_TYPE_INT64 ? e->payload.llValue : -1;
    }
    if (kind == NVTX_START) *id = next_id++;
    if (id != NULL) v->id = *id;
  }
  pthread_mutex_unlock(&lock);
}

static nvtxDomainHandle_t NVTX_API create(const char *name) { return strcmp(name, "mars") == 0 ? (nvtxDomainHandle_t)&mars : NULL; }

static int NVTX_API push(nvtxDomainHandle_t domain, const nvtxEventAttributes_t *e) {
  if (domain == (nvtxDomainHandle_t)&mars) add(NVTX_PUSH, e, NULL);
  return 0;
}
static int NVTX_API pop(nvtxDomainHandle_t domain) {
  if (domain == (nvtxDomainHandle_t)&mars) add(NVTX_POP, NULL, NULL);
  return 0;
}
static nvtxRangeId_t NVTX_API start(nvtxDomainHandle_t domain, const nvtxEventAttributes_t *e) {
  uint64_t id = 0;

  if (domain == (nvtxDomainHandle_t)&mars) add(NVTX_START, e, &id);
  return id;
}
static void NVTX_API end(nvtxDomainHandle_t domain, nvtxRangeId_t id) {
  if (domain == (nvtxDomainHandle_t)&mars) add(NVTX_END, NULL, &id);
}

TOOL int NVTX_API InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get) {
  const NvtxExportTableCallbacks *c = get(NVTX_ETID_CALLBACKS);
  NvtxFunctionTable table = NULL;
  unsigned n = 0;

  if (c == NULL || !c->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &table, &n) || n < NVTX_CBID_CORE2_SIZE) return 0;
  *table[NVTX_CBID_CORE2_DomainCreateA] = (NvtxFunctionPointer)create;
  *table[NVTX_CBID_CORE2_DomainRangePushEx] = (NvtxFunctionPointer)push;
  *table[NVTX_CBID_CORE2_DomainRangePop] = (NvtxFunctionPointer)pop;
  *table[NVTX_CBID_CORE2_DomainRangeStartEx] = (NvtxFunctionPointer)start;
  *table[NVTX_CBID_CORE2_DomainRangeEnd] = (NvtxFunctionPointer)end;
  return 1;
}

TOOL size_t nvtx_tool_take(nvtx_event *out, size_t most) {
  pthread_mutex_lock(&lock);
  size_t n = n_events < most ? n_events : most;
  memcpy(out, events, n * sizeof *out);
  memset(events, 0, n_events * sizeof *events);
  n_events = 0;
  pthread_mutex_unlock(&lock);
  return n;
}
