/* Several devices: peer access and copies, NCCL, NVML. */
#include "driver_test_util.h"

#include <nccl.h>

#include <cstring>
#include <thread>

using Peers = Simulated;
#define NCCL(name) reinterpret_cast<decltype(&name)>(symbol("libnccl.so.2", #name))
#define NOK(call) ASSERT_EQ(call, ncclSuccess)

TEST_F(Peers, TheMatrixOfLinksIsKept) {
  int can = -1, value = -1;
  start("devices=3 bytes=1M links=none,nvlink,pcie;nvlink,none,none;pcie,none,none");
  OK(CU(cuDeviceCanAccessPeer)(&can, 0, 1));
  EXPECT_EQ(can, 1);
  OK(CU(cuDeviceCanAccessPeer)(&can, 1, 2));
  EXPECT_EQ(can, 0);
  OK(CU(cuDeviceGetP2PAttribute)(&value, CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED, 0, 1));
  EXPECT_EQ(value, 1);
  OK(CU(cuDeviceGetP2PAttribute)(&value, CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED, 0, 2));
  EXPECT_EQ(value, 0);
  EXPECT_EQ(CU(cuCtxDisablePeerAccess)(ctx[1]), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
  OK(CU(cuCtxEnablePeerAccess)(ctx[1], 0));
  EXPECT_EQ(CU(cuCtxEnablePeerAccess)(ctx[1], 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
  EXPECT_EQ(CU(cuCtxEnablePeerAccess)(ctx[0], 0), CUDA_ERROR_INVALID_CONTEXT);
  OK(CU(cuCtxDisablePeerAccess)(ctx[1]));
  OK(CU(cuCtxSetCurrent)(ctx[1]));
  EXPECT_EQ(CU(cuCtxEnablePeerAccess)(ctx[2], 0), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
}

TEST_F(Peers, CopiesBetweenDevices) {
  CUdeviceptr p, q;
  CUevent e;
  unsigned back[4] = {0};
  OK(CU(cuMemAlloc)(&p, 16));
  OK(CU(cuEventCreate)(&e, CU_EVENT_DISABLE_TIMING));
  OK(CU(cuMemsetD32Async)(p, 99, 4, stream[0]));
  OK(CU(cuEventRecord)(e, stream[0]));
  OK(CU(cuCtxSetCurrent)(ctx[2]));
  OK(CU(cuMemAlloc)(&q, 16));
  OK(CU(cuStreamWaitEvent)(stream[2], e, 0));
  OK(CU(cuMemcpyPeerAsync)(q, ctx[2], p, ctx[0], 16, stream[2]));
  OK(CU(cuMemcpyDtoHAsync)(back, q, 16, stream[2]));
  EXPECT_EQ(back[3], 99u);
  sg_sim_count_info c;
  SIM(sg_sim_counts)(&c);
  EXPECT_EQ(c.peer_bytes, 16u);
  OK(CU(cuMemFree)(q));
  OK(CU(cuCtxSetCurrent)(ctx[0]));
  OK(CU(cuMemsetD32Async)(p, 1, 4, stream[0]));
  OK(CU(cuStreamSynchronize)(stream[0]));
  OK(CU(cuEventDestroy)(e));
  OK(CU(cuMemFree)(p));
}

class Nccl : public Simulated {
protected:
  static constexpr int ranks = 4;
  static constexpr size_t count = 1000;
  ncclComm_t comm[ranks] = {};
  CUdeviceptr in[ranks], out[ranks];

  void SetUp() override {
    Simulated::SetUp();
    NOK(NCCL(ncclCommInitAll)(comm, ranks, nullptr));
    for (int r = 0; r < ranks; r++) {
      std::vector<float> host(count);
      for (size_t i = 0; i < count; i++) host[i] = float(r + 1) * float(i);
      OK(CU(cuCtxSetCurrent)(ctx[r]));
      OK(CU(cuMemAlloc)(&in[r], count * 4));
      OK(CU(cuMemAlloc)(&out[r], ranks * count * 4));
      OK(CU(cuMemcpyHtoDAsync)(in[r], host.data(), count * 4, stream[r]));
    }
  }
  void TearDown() override {
    for (int r = 0; r < ranks; r++) {
      CU(cuCtxSetCurrent)(ctx[r]);
      CU(cuStreamSynchronize)(stream[r]);
      EXPECT_EQ(CU(cuMemFree)(in[r]), CUDA_SUCCESS);
      EXPECT_EQ(CU(cuMemFree)(out[r]), CUDA_SUCCESS);
      if (comm[r] != nullptr) {
        EXPECT_EQ(NCCL(ncclCommDestroy)(comm[r]), ncclSuccess);
      }
    }
    Simulated::TearDown();
  }
  cudaStream_t rt(int r) { return reinterpret_cast<cudaStream_t>(stream[r]); }
  void *ptr(CUdeviceptr p) { return reinterpret_cast<void *>(p); }
  std::vector<float> fetch(int r, CUdeviceptr p, size_t n) {
    std::vector<float> host(n, -1);
    EXPECT_EQ(CU(cuCtxSetCurrent)(ctx[r]), CUDA_SUCCESS);
    EXPECT_EQ(CU(cuMemcpyDtoHAsync)(host.data(), p, n * 4, stream[r]), CUDA_SUCCESS);
    return host;
  }
};

TEST_F(Nccl, AllReduceAmongFour) {
  int n = 0, rank = -1, version = 0;
  NOK(NCCL(ncclGetVersion)(&version));
  EXPECT_EQ(version, NCCL_VERSION_CODE);
  NOK(NCCL(ncclCommCount)(comm[2], &n));
  NOK(NCCL(ncclCommUserRank)(comm[2], &rank));
  EXPECT_EQ(n, 4);
  EXPECT_EQ(rank, 2);
  EXPECT_EQ(live().communicators, 4);
  NOK(NCCL(ncclGroupStart)());
  for (int r = 0; r < ranks; r++) NOK(NCCL(ncclAllReduce)(ptr(in[r]), ptr(out[r]), count, ncclFloat32, ncclSum, comm[r], rt(r)));
  NOK(NCCL(ncclGroupEnd)());
  for (int r = 0; r < ranks; r++) {
    std::vector<float> got = fetch(r, out[r], count);
    for (size_t i = 0; i < count; i++) ASSERT_EQ(got[i], 10.0f * float(i)) << r;
  }
}

TEST_F(Nccl, TheOtherCollectives) {
  NOK(NCCL(ncclGroupStart)());
  for (int r = 0; r < ranks; r++) NOK(NCCL(ncclAllGather)(ptr(in[r]), ptr(out[r]), count, ncclFloat32, comm[r], rt(r)));
  NOK(NCCL(ncclGroupEnd)());
  for (int r = 0; r < ranks; r++) EXPECT_EQ(fetch(r, out[r], ranks * count)[3 * count + 7], 28.0f);
  NOK(NCCL(ncclGroupStart)());
  for (int r = 0; r < ranks; r++) NOK(NCCL(ncclReduceScatter)(ptr(out[r]), ptr(in[r]), count, ncclFloat32, ncclMax, comm[r], rt(r)));
  NOK(NCCL(ncclGroupEnd)());
  for (int r = 0; r < ranks; r++) EXPECT_EQ(fetch(r, in[r], count)[7], 7.0f * float(r + 1));
  NOK(NCCL(ncclGroupStart)());
  for (int r = 0; r < ranks; r++) NOK(NCCL(ncclBroadcast)(ptr(in[r]), ptr(in[r]), count, ncclFloat32, 3, comm[r], rt(r)));
  NOK(NCCL(ncclGroupEnd)());
  NOK(NCCL(ncclGroupStart)());
  for (int r = 0; r < ranks; r++) NOK(NCCL(ncclReduce)(ptr(in[r]), ptr(out[r]), count, ncclFloat32, ncclAvg, 1, comm[r], rt(r)));
  NOK(NCCL(ncclGroupEnd)());
  EXPECT_EQ(fetch(0, in[0], count)[2], 8.0f);
  EXPECT_EQ(fetch(1, out[1], count)[2], 8.0f);
}

TEST_F(Nccl, SendAndReceiveInARing) {
  NOK(NCCL(ncclGroupStart)());
  for (int r = 0; r < ranks; r++) {
    NOK(NCCL(ncclSend)(ptr(in[r]), count, ncclFloat32, (r + 1) % ranks, comm[r], rt(r)));
    NOK(NCCL(ncclRecv)(ptr(out[r]), count, ncclFloat32, (r + ranks - 1) % ranks, comm[r], rt(r)));
  }
  NOK(NCCL(ncclGroupEnd)());
  for (int r = 0; r < ranks; r++) EXPECT_EQ(fetch(r, out[r], count)[5], 5.0f * float((r + ranks - 1) % ranks + 1));
}

TEST_F(Nccl, HalfTypesRoundOnce) {
  for (int r = 0; r < ranks; r++) { /* 1 + 3 * 2^-8 in bf16: a tie, to even */
    OK(CU(cuCtxSetCurrent)(ctx[r]));
    OK(CU(cuMemsetD32Async)(in[r], r == 0 ? 0x3f803f80 : 0x3b803b80, 1, stream[r]));
  }
  NOK(NCCL(ncclGroupStart)());
  for (int r = 0; r < ranks; r++) NOK(NCCL(ncclAllReduce)(ptr(in[r]), ptr(out[r]), 2, ncclBfloat16, ncclSum, comm[r], rt(r)));
  NOK(NCCL(ncclGroupEnd)());
  uint32_t bits;
  std::vector<float> got = fetch(3, out[3], 1);
  memcpy(&bits, got.data(), 4);
  EXPECT_EQ(bits, 0x3f823f82u);
}

TEST_F(Nccl, MistakesAreFound) {
  EXPECT_EQ(NCCL(ncclAllReduce)(ptr(in[0]), ptr(out[1]), count, ncclFloat32, ncclSum, comm[0], rt(0)), ncclInvalidArgument);
  expect_failed_check("another device");
  EXPECT_EQ(NCCL(ncclBroadcast)(ptr(in[0]), ptr(out[0]), count, ncclFloat32, 4, comm[0], rt(0)), ncclInvalidArgument);
  EXPECT_EQ(NCCL(ncclGroupEnd)(), ncclInvalidUsage);
  for (int r = 0; r < ranks; r++) NOK(NCCL(ncclAllReduce)(ptr(in[r]), ptr(out[r]), count, ncclFloat32, ncclSum, comm[r], rt(r)));
  fetch(0, out[0], 1);
  expect_failed_check("outside of a group");
  NOK(NCCL(ncclGroupStart)());
  for (int r = 0; r < ranks; r++)
    NOK(NCCL(ncclAllReduce)(ptr(in[r]), ptr(out[r]), r == 2 ? 1 : count, ncclFloat32, ncclSum, comm[r], rt(r)));
  NOK(NCCL(ncclGroupEnd)());
  for (int r = 0; r < ranks; r++) {
    OK(CU(cuCtxSetCurrent)(ctx[r]));
    OK(CU(cuStreamSynchronize)(stream[r]));
  }
  expect_failed_check("different collectives");
  ncclResult_t async = ncclSuccess;
  NOK(NCCL(ncclCommGetAsyncError)(comm[0], &async));
  EXPECT_EQ(async, ncclInvalidUsage);
}

TEST_F(Nccl, AbortEndsWhatWaits) {
  NOK(NCCL(ncclRecv)(ptr(out[0]), count, ncclFloat32, 1, comm[0], rt(0))); /* nobody sends */
  OK(CU(cuCtxSetCurrent)(ctx[0]));
  EXPECT_EQ(CU(cuStreamQuery)(stream[0]), CUDA_ERROR_NOT_READY);
  NOK(NCCL(ncclCommAbort)(comm[0]));
  comm[0] = nullptr;
  OK(CU(cuStreamSynchronize)(stream[0]));
  EXPECT_EQ(NCCL(ncclAllReduce)(ptr(in[1]), ptr(out[1]), 1, ncclFloat32, ncclSum, comm[1], rt(1)), ncclRemoteError);
}

TEST_F(Nccl, PlannedFaults) {
  ASSERT_EQ(SIM(sg_sim_configure)("fault=nccl:2"), 0);
  NOK(NCCL(ncclGroupStart)());
  EXPECT_EQ(NCCL(ncclAllReduce)(ptr(in[0]), ptr(out[0]), 1, ncclFloat32, ncclSum, comm[0], rt(0)), ncclSuccess);
  EXPECT_EQ(NCCL(ncclAllReduce)(ptr(in[1]), ptr(out[1]), 1, ncclFloat32, ncclSum, comm[1], rt(1)), ncclInternalError);
  EXPECT_EQ(NCCL(ncclGroupEnd)(), ncclInternalError); /* and nothing was started */
  EXPECT_EQ(SIM(sg_sim_nccl_calls)(), 4u);
  ASSERT_EQ(SIM(sg_sim_configure)("fault=none"), 0);
}

TEST_F(Nccl, RanksOfTwoThreads) {
  ncclUniqueId id;
  NOK(NCCL(ncclGetUniqueId)(&id));
  float got[2] = {0, 0};
  auto one = [&](int rank) {
    ncclComm_t c = nullptr;
    EXPECT_EQ(CU(cuCtxSetCurrent)(ctx[rank]), CUDA_SUCCESS);
    EXPECT_EQ(NCCL(ncclCommInitRank)(&c, 2, id, rank), ncclSuccess);
    EXPECT_EQ(NCCL(ncclAllReduce)(ptr(in[rank]), ptr(out[rank]), count, ncclFloat32, ncclProd, c, rt(rank)), ncclSuccess);
    got[rank] = fetch(rank, out[rank], count)[3];
    EXPECT_EQ(NCCL(ncclCommDestroy)(c), ncclSuccess);
    CU(cuCtxSetCurrent)(nullptr);
  };
  std::thread other(one, 1);
  one(0);
  other.join();
  EXPECT_EQ(got[0], 18.0f);
  EXPECT_EQ(got[1], 18.0f);
}

TEST_F(Peers, NvmlTellsTheSameMachine) {
  auto nvml = [](const char *name) { return symbol("libnvidia-ml.so.1", name); };
  struct Pci {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char text[32];
  } pci, end;
  struct {
    unsigned long long total, free, used;
  } memory;
  unsigned count = 0, active = 0, level = 0, status = 9;
  void *d0, *d1;
  char uuid[64], version[32];
  auto by_index = reinterpret_cast<int (*)(unsigned, void **)>(nvml("nvmlDeviceGetHandleByIndex_v2"));
  EXPECT_EQ(by_index(0, &d0), 1); /* not initialised */
  ASSERT_EQ(reinterpret_cast<int (*)()>(nvml("nvmlInit_v2"))(), 0);
  ASSERT_EQ(reinterpret_cast<int (*)(unsigned *)>(nvml("nvmlDeviceGetCount_v2"))(&count), 0);
  EXPECT_EQ(count, 4u);
  ASSERT_EQ(by_index(0, &d0), 0);
  ASSERT_EQ(by_index(1, &d1), 0);
  EXPECT_EQ(by_index(4, &d1), 2);
  ASSERT_EQ(reinterpret_cast<int (*)(void *, char *, unsigned)>(nvml("nvmlDeviceGetUUID"))(d0, uuid, sizeof uuid), 0);
  EXPECT_EQ(strlen(uuid), 40u);
  ASSERT_EQ(reinterpret_cast<int (*)(char *, unsigned)>(nvml("nvmlSystemGetDriverVersion"))(version, sizeof version), 0);
  ASSERT_EQ(reinterpret_cast<int (*)(void *, Pci *)>(nvml("nvmlDeviceGetPciInfo_v3"))(d1, &pci), 0);
  ASSERT_EQ(reinterpret_cast<int (*)(void *, unsigned, unsigned *)>(nvml("nvmlDeviceGetNvLinkState"))(d0, 0, &active), 0);
  EXPECT_EQ(active, 1u);
  ASSERT_EQ(reinterpret_cast<int (*)(void *, unsigned, Pci *)>(nvml("nvmlDeviceGetNvLinkRemotePciInfo_v2"))(d0, 0, &end), 0);
  EXPECT_STREQ(end.text, pci.text);
  ASSERT_EQ(reinterpret_cast<int (*)(void *, void *, unsigned *)>(nvml("nvmlDeviceGetTopologyCommonAncestor"))(d0, d1, &level), 0);
  EXPECT_GT(level, 0u);
  ASSERT_EQ(reinterpret_cast<int (*)(void *, void *, unsigned, unsigned *)>(nvml("nvmlDeviceGetP2PStatus"))(d0, d1, 2, &status), 0);
  EXPECT_EQ(status, 0u);
  CUdeviceptr p;
  OK(CU(cuMemAlloc)(&p, 1024));
  ASSERT_EQ(reinterpret_cast<int (*)(void *, void *)>(nvml("nvmlDeviceGetMemoryInfo"))(d0, &memory), 0);
  EXPECT_EQ(memory.used, 1024u);
  OK(CU(cuMemFree)(p));
  ASSERT_EQ(reinterpret_cast<int (*)()>(nvml("nvmlShutdown"))(), 0);
}
