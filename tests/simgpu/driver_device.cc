/* cuInit and what can be asked of devices. */
#include "driver_api.h"

#include <cstring>

using namespace sg;

namespace sg {

bool device_valid(CUdevice dev) { return dev >= 0 && size_t(dev) < state().devices.size(); }

void device_uuid(int dev, unsigned char bytes[16]) {
  static const unsigned char head[12] = {0x51, 0x6d, 0x75, 0x1a, 0x7e, 0xd0, 0x4d, 0x61, 0x92, 0x73, 0x00, 0x00};
  memcpy(bytes, head, 12);
  for (int i = 0; i < 4; i++) bytes[12 + i] = (unsigned char)(dev >> (24 - 8 * i));
}

namespace {

/* As an H100 answers; what does not depend on the model is the same for all. */
int attribute(CUdevice_attribute a, int dev, bool *known) {
  const Config &c = state().config;
  int cc = 10 * c.cc_major + c.cc_minor;
  int shared = cc >= 90 ? 227 : cc == 80 || cc == 87 ? 163 : 99; /* KiB a block may ask for */

  *known = true;
  switch (a) {
  case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: return 1024;
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X: return 1024;
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: return 1024;
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: return 64;
  case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: return 2147483647;
  case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y: return 65535;
  case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: return 65535;
  case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: return 48 << 10;
  case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: return shared << 10;
  case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: return (shared + 1) << 10;
  case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK: return 1024;
  case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY: return 65536;
  case CU_DEVICE_ATTRIBUTE_WARP_SIZE: return 32;
  case CU_DEVICE_ATTRIBUTE_MAX_PITCH: return 2147483647;
  case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK: return 65536;
  case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR: return 65536;
  case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: return 1755000;
  case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: return 2619000;
  case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: return 5120;
  case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: return 50 << 20;
  case CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE: return 32 << 20;
  case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: return cc == 86 || cc == 89 || cc >= 120 ? 1536 : 2048;
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR: return cc == 86 || cc == 89 ? 16 : 32;
  case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return 4; /* few: grids that are sized by it stay quick to interpret */
  case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT: return 512;
  case CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT: return 32;
  case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP: return 1;
  case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT: return 3;
  case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS: return 1;
  case CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT: return 0;
  case CU_DEVICE_ATTRIBUTE_INTEGRATED: return 0;
  case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY: return 1;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_MODE: return CU_COMPUTEMODE_DEFAULT;
  case CU_DEVICE_ATTRIBUTE_ECC_ENABLED: return 1;
  case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: return dev + 1;
  case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID: return 0;
  case CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID: return 0;
  case CU_DEVICE_ATTRIBUTE_TCC_DRIVER: return 0;
  case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: return 1;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return c.cc_major;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return c.cc_minor;
  case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED: return 1;
  case CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED: return 1;
  case CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED: return 1;
  case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY: return 0; /* cuMemAllocManaged is not simulated */
  case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS: return 0;
  case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS: return 0;
  case CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM: return 1;
  case CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED: return 1;
  case CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED: return 1;
  case CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD: return 0;
  case CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO: return cc == 80 || cc == 90 ? 2 : 64;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED: return 1;
  case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH: return 0; /* blocks run one after the other */
  case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED: return 1;
  case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED: return 0;
  case CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED: return 0;
  case CU_DEVICE_ATTRIBUTE_NUMA_ID: return -1;
  case CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID: return 0;
  default: *known = false; return 0;
  }
}

template <class F> CUresult on_device(const char *name, CUdevice dev, const void *out, F body) {
  return call(name, on_nothing, [&](CUcontext, Lock &) {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!device_valid(dev)) return CUDA_ERROR_INVALID_DEVICE;
    return body();
  });
}

} // namespace
} // namespace sg

CUresult CUDAAPI cuInit(unsigned int flags) {
  State &s = state();
  Lock lock(s.mutex);

  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  CUcontext ctx = nullptr;
  CUresult injected = CUDA_SUCCESS;
  CUresult r = gate_enter("cuInit", on_nothing, lock, &ctx, &injected);
  if (r != CUDA_SUCCESS && r != CUDA_ERROR_NOT_INITIALIZED) return r;
  if (s.devices.empty()) return CUDA_ERROR_NO_DEVICE;
  s.initialised = true;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDriverGetVersion(int *version) {
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  State &s = state();
  Lock lock(s.mutex);
  *version = s.config.driver != 0 ? s.config.driver : CUDA_VERSION;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDeviceGetCount(int *count) {
  return call("cuDeviceGetCount", on_nothing, [&](CUcontext, Lock &) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = int(state().devices.size());
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGet(CUdevice *device, int ordinal) {
  return on_device("cuDeviceGet", ordinal, device, [&] {
    *device = ordinal;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetName(char *name, int len, CUdevice dev) {
  return on_device("cuDeviceGetName", dev, name, [&] {
    if (len <= 0) return CUDA_ERROR_INVALID_VALUE;
    snprintf(name, size_t(len), "Simulated GPU sm_%d%d", state().config.cc_major, state().config.cc_minor);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev) {
  return on_device("cuDeviceGetAttribute", dev, pi, [&] {
    bool known;
    int value = attribute(attrib, dev, &known);
    if (!known && (attrib <= 0 || attrib >= CU_DEVICE_ATTRIBUTE_MAX)) return CUDA_ERROR_INVALID_VALUE;
    *pi = value;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceTotalMem(size_t *bytes, CUdevice dev) {
  return on_device("cuDeviceTotalMem", dev, bytes, [&] {
    *bytes = state().config.bytes;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetUuid(CUuuid *uuid, CUdevice dev) {
  return on_device("cuDeviceGetUuid", dev, uuid, [&] {
    device_uuid(dev, reinterpret_cast<unsigned char *>(uuid->bytes));
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetPCIBusId(char *text, int len, CUdevice dev) {
  return on_device("cuDeviceGetPCIBusId", dev, text, [&] {
    if (len < 13) return CUDA_ERROR_INVALID_VALUE;
    snprintf(text, size_t(len), "0000:%02x:00.0", unsigned(dev + 1) & 0xff);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetByPCIBusId(CUdevice *dev, const char *text) {
  return call("cuDeviceGetByPCIBusId", on_nothing, [&](CUcontext, Lock &) {
    unsigned domain, bus, device;
    if (dev == nullptr || text == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (sscanf(text, "%x:%x:%x", &domain, &bus, &device) != 3) return CUDA_ERROR_INVALID_VALUE;
    if (domain != 0 || device != 0 || !device_valid(int(bus) - 1)) return CUDA_ERROR_INVALID_DEVICE;
    *dev = int(bus) - 1;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceCanAccessPeer(int *can, CUdevice dev, CUdevice peer) {
  return on_device("cuDeviceCanAccessPeer", dev, can, [&] {
    if (!device_valid(peer)) return CUDA_ERROR_INVALID_DEVICE;
    *can = dev != peer && state().config.links[size_t(dev)][size_t(peer)] != Link::none;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice dev, CUdevice peer) {
  return on_device("cuDeviceGetP2PAttribute", dev, value, [&] {
    if (!device_valid(peer) || dev == peer) return CUDA_ERROR_INVALID_DEVICE;
    Link link = state().config.links[size_t(dev)][size_t(peer)];
    switch (attrib) {
    case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK: *value = link == Link::nvlink ? 0 : 1; return CUDA_SUCCESS;
    case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED: *value = link != Link::none; return CUDA_SUCCESS;
    case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED: *value = link == Link::nvlink; return CUDA_SUCCESS;
    case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED: *value = 0; return CUDA_SUCCESS;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
  });
}
