/*
 * The stand-in of NVML: the functions that tell what a machine is made of. NVML's header is no part of the toolkit that the
 * simulator is compiled against, so what is needed of its ABI is declared here, as NVIDIA's published reference of it and the
 * bindings made from its header have it: names with their versions, codes of nvmlReturn_t, members of nvmlPciInfo_t and
 * nvmlMemory_t, P2P status, at most 18 links (fewer in older ones).
 *
 * Layer: tests/simgpu, libnvidia-ml.so.1. Threads: any.
 */
#include "driver_export.h"

#include <atomic>
#include <cstdio>
#include <cstring>

#define NVML_API extern "C" __attribute__((visibility("default")))

namespace {

enum nvmlReturn_t {
  NVML_SUCCESS = 0,
  NVML_ERROR_UNINITIALIZED = 1,
  NVML_ERROR_INVALID_ARGUMENT = 2,
  NVML_ERROR_NOT_SUPPORTED = 3,
  NVML_ERROR_NOT_FOUND = 6,
  NVML_ERROR_INSUFFICIENT_SIZE = 7
};
enum { TOPOLOGY_INTERNAL = 0, TOPOLOGY_SINGLE = 10, TOPOLOGY_SYSTEM = 50 };
enum { P2P_OK = 0, P2P_NOT_SUPPORTED = 5 };
enum { CAPS_READ = 0, CAPS_WRITE = 1, CAPS_NVLINK = 2, CAPS_ATOMICS = 3, CAPS_PCI = 4 };
constexpr unsigned max_links = 18;

struct Handle {};
typedef Handle *nvmlDevice_t;

struct nvmlPciInfo_t {
  char busIdLegacy[16];
  unsigned domain, bus, device, pciDeviceId, pciSubSystemId;
  char busId[32];
};
struct nvmlMemory_t {
  unsigned long long total, free, used;
};

std::atomic<int> users{0};
Handle handles[64];

bool index_of(nvmlDevice_t d, int *index) {
  if (d < handles || d >= handles + sg::export_devices()) return false;
  *index = int(d - handles);
  return true;
}

void pci_of(int index, nvmlPciInfo_t *out) {
  memset(out, 0, sizeof *out);
  out->bus = unsigned(index + 1);
  out->pciDeviceId = 0x233010de;
  snprintf(out->busIdLegacy, sizeof out->busIdLegacy, "0000:%02X:00.0", out->bus & 0xff);
  snprintf(out->busId, sizeof out->busId, "00000000:%02X:00.0", out->bus & 0xff);
}

/* The device at the other end of a link: the links go to the devices that NVLink reaches, in their order. */
int link_end(int index, unsigned link) {
  for (int d = 0; d < sg::export_devices(); d++)
    if (d != index && sg::export_link(index, d) == 2 && link-- == 0) return d;
  return -1;
}

} // namespace

#define CHECK(d, index)                                                                                                           \
  int index = 0;                                                                                                                  \
  if (users == 0) return NVML_ERROR_UNINITIALIZED;                                                                                \
  if (!index_of(d, &index)) return NVML_ERROR_INVALID_ARGUMENT

NVML_API nvmlReturn_t nvmlInit_v2(void) {
  users++;
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlShutdown(void) {
  if (users == 0) return NVML_ERROR_UNINITIALIZED;
  users--;
  return NVML_SUCCESS;
}

NVML_API const char *nvmlErrorString(nvmlReturn_t r) {
  switch (r) {
  case NVML_SUCCESS: return "Success";
  case NVML_ERROR_UNINITIALIZED: return "Uninitialized";
  case NVML_ERROR_INVALID_ARGUMENT: return "Invalid Argument";
  case NVML_ERROR_NOT_SUPPORTED: return "Not Supported";
  case NVML_ERROR_NOT_FOUND: return "Not Found";
  case NVML_ERROR_INSUFFICIENT_SIZE: return "Insufficient Size";
  }
  return "Unknown Error";
}

NVML_API nvmlReturn_t nvmlSystemGetDriverVersion(char *text, unsigned length) {
  static const char version[] = "580.00.sim";
  if (users == 0) return NVML_ERROR_UNINITIALIZED;
  if (text == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (length < sizeof version) return NVML_ERROR_INSUFFICIENT_SIZE;
  memcpy(text, version, sizeof version);
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version) {
  if (users == 0) return NVML_ERROR_UNINITIALIZED;
  if (version == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *version = CUDA_VERSION;
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) {
  if (users == 0) return NVML_ERROR_UNINITIALIZED;
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *count = unsigned(sg::export_devices());
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *out) {
  if (users == 0) return NVML_ERROR_UNINITIALIZED;
  if (out == nullptr || index >= unsigned(sg::export_devices())) return NVML_ERROR_INVALID_ARGUMENT;
  *out = &handles[index];
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *text, nvmlDevice_t *out) {
  unsigned domain, bus, device;
  if (users == 0) return NVML_ERROR_UNINITIALIZED;
  if (text == nullptr || out == nullptr || sscanf(text, "%x:%x:%x", &domain, &bus, &device) != 3) return NVML_ERROR_INVALID_ARGUMENT;
  if (domain != 0 || device != 0 || bus == 0 || bus > unsigned(sg::export_devices())) return NVML_ERROR_NOT_FOUND;
  *out = &handles[bus - 1];
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t d, unsigned *out) {
  CHECK(d, index);
  if (out == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *out = unsigned(index);
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t d, char *text, unsigned length) {
  CHECK(d, index);
  if (text == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (length < sizeof "Simulated GPU") return NVML_ERROR_INSUFFICIENT_SIZE;
  memcpy(text, "Simulated GPU", sizeof "Simulated GPU");
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t d, char *text, unsigned length) {
  unsigned char u[16];
  CHECK(d, index);
  if (text == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (length < 41) return NVML_ERROR_INSUFFICIENT_SIZE;
  sg::export_uuid(index, u);
  snprintf(text, length, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4], u[5],
           u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *out) {
  CHECK(d, index);
  if (out == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  pci_of(index, out);
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *out) {
  size_t used, total;
  CHECK(d, index);
  if (out == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  sg::export_memory(index, &used, &total);
  out->total = total;
  out->used = used;
  out->free = total > used ? total - used : 0;
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t a, nvmlDevice_t b, unsigned *level) {
  CHECK(a, from);
  CHECK(b, to);
  if (level == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *level = from == to ? TOPOLOGY_INTERNAL : sg::export_link(from, to) == 0 ? TOPOLOGY_SYSTEM : TOPOLOGY_SINGLE;
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t d, unsigned link, unsigned *active) {
  CHECK(d, index);
  if (active == nullptr || link >= max_links) return NVML_ERROR_INVALID_ARGUMENT;
  *active = link_end(index, link) >= 0;
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t d, unsigned link, nvmlPciInfo_t *out) {
  CHECK(d, index);
  if (out == nullptr || link >= max_links) return NVML_ERROR_INVALID_ARGUMENT;
  int end = link_end(index, link);
  if (end < 0) return NVML_ERROR_NOT_SUPPORTED;
  pci_of(end, out);
  return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetP2PStatus(nvmlDevice_t a, nvmlDevice_t b, unsigned what, unsigned *status) {
  CHECK(a, from);
  CHECK(b, to);
  if (status == nullptr || what > CAPS_PCI || from == to) return NVML_ERROR_INVALID_ARGUMENT;
  int link = sg::export_link(from, to);
  bool yes = what == CAPS_NVLINK || what == CAPS_ATOMICS ? link == 2 : what == CAPS_PCI ? link == 1 : link != 0;
  *status = yes ? P2P_OK : P2P_NOT_SUPPORTED;
  return NVML_SUCCESS;
}
