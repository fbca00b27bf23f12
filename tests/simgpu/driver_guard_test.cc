/* The stand-in driver's guard of pinned memory: uses before the copy's end is known are reported, others are not. */
#include "driver_test_util.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace {

constexpr size_t page = 4096, pages = 4, bytes = page * pages;

/* Device memory of 7s on device 0, and pinned memory of 1s that every context may use. */
class Guard : public Simulated {
protected:
  void SetUp() override {
    if (sysconf(_SC_PAGESIZE) != long(page)) GTEST_SKIP() << "pages of this machine are not of 4 KiB";
    start("devices=2 bytes=64M seed=0 guard=1");
    OK(CU(cuMemAlloc)(&p, bytes));
    OK(CU(cuMemsetD8)(p, 7, bytes));
    OK(CU(cuCtxSynchronize)());
    OK(CU(cuMemHostAlloc)(reinterpret_cast<void **>(&host), bytes, CU_MEMHOSTALLOC_PORTABLE));
    memset(host, 1, bytes);
    OK(CU(cuEventCreate)(&event, CU_EVENT_DISABLE_TIMING));
  }
  void TearDown() override {
    if (IsSkipped()) return;
    OK(CU(cuCtxSetCurrent)(ctx[0]));
    OK(CU(cuEventDestroy)(event));
    OK(CU(cuMemFreeHost)(host));
    OK(CU(cuMemFree)(p));
    Simulated::TearDown();
  }
  char read(size_t at) { return static_cast<volatile char *>(host)[at]; }
  void write(size_t at, char value) { static_cast<volatile char *>(host)[at] = value; }
  size_t failed() { return SIM(sg_sim_failed_checks)(nullptr, 0); }
  void download() { OK(CU(cuMemcpyDtoHAsync)(host, p, bytes, stream[0])); }
  void wait() { OK(CU(cuStreamSynchronize)(stream[0])); }
  void expect_all(char value) {
    size_t wrong = 0;
    for (size_t i = 0; i < bytes; i++) wrong += read(i) != value;
    EXPECT_EQ(wrong, 0u);
  }

  CUdeviceptr p = 0;
  char *host = nullptr;
  CUevent event = nullptr;
};

} // namespace

TEST_F(Guard, ReadOfATargetTooEarly) {
  download();
  OK(CU(cuEventRecord)(event, stream[0]));
  read(page + 5);
  read(page + 6); /* told once */
  EXPECT_EQ(failed(), 1u);
  char text[1024];
  SIM(sg_sim_failed_checks)(text, sizeof text);
  for (const char *part : {"too early: the host's thread", "byte 4101 of the target of cuMemcpyDtoHAsync", "of device 0",
                           "wait for its stream, or for event", "By simgpu_driver_test(", "Queued by thread"})
    EXPECT_NE(std::string(text).find(part), std::string::npos) << part << "\n" << text;
#if defined(__x86_64__)
  EXPECT_NE(std::string(text).find(" reads "), std::string::npos) << text;
#endif
  expect_failed_check("too early");
  wait();
  expect_all(7);
}

TEST_F(Guard, WriteOfATargetTooEarly) {
  download();
  write(0, 3);
#if defined(__x86_64__)
  expect_failed_check(" writes ");
#else
  expect_failed_check("of the target of cuMemcpyDtoHAsync");
#endif
  wait();
}

TEST_F(Guard, ReadsOfWhatTheHostKnowsToBeThere) {
  download();
  OK(CU(cuEventRecord)(event, stream[0]));
  OK(CU(cuEventSynchronize)(event));
  expect_all(7);
  memset(host, 1, bytes);
  download();
  CUresult r;
  while ((r = CU(cuStreamQuery)(stream[0])) == CUDA_ERROR_NOT_READY) std::this_thread::yield();
  OK(r);
  expect_all(7);
  memset(host, 1, bytes);
  download();
  OK(CU(cuEventRecord)(event, stream[0]));
  while ((r = CU(cuEventQuery)(event)) == CUDA_ERROR_NOT_READY) std::this_thread::yield();
  OK(r);
  expect_all(7);
  memset(host, 1, bytes);
  download();
  OK(CU(cuCtxSynchronize)());
  expect_all(7);
  EXPECT_EQ(failed(), 0u);
}

/* A query of an event in front of the copy, or of another stream, says nothing of it. */
TEST_F(Guard, WaitingForSomethingElseDoesNotHelp) {
  CUstream other;
  OK(CU(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING));
  OK(CU(cuEventRecord)(event, stream[0]));
  download();
  OK(CU(cuEventSynchronize)(event));
  OK(CU(cuStreamSynchronize)(other));
  EXPECT_EQ(failed(), 0u);
  read(0);
  expect_failed_check("no event is recorded behind it");
  wait();
  OK(CU(cuStreamDestroy)(other));
}

TEST_F(Guard, SourceMayBeReadAndNotWritten) {
  OK(CU(cuMemcpyHtoDAsync)(p, host, bytes, stream[0]));
  EXPECT_EQ(read(100), 1);
  EXPECT_EQ(failed(), 0u);
  write(100, 2);
  expect_failed_check("byte 100 of the source of cuMemcpyHtoDAsync");
  CU(cuStreamSynchronize)(stream[0]);
  SIM(sg_sim_forget_failed_checks)(); /* the copy may have run after the change, and says so too */
  OK(CU(cuMemcpyHtoDAsync)(p, host, bytes, stream[0]));
  wait();
  write(100, 3);
  EXPECT_EQ(failed(), 0u);
}

TEST_F(Guard, PartialPagesAreLeftOpen) {
  char *own = static_cast<char *>(aligned_alloc(page, bytes));
  memset(own, 1, bytes);
  OK(CU(cuMemHostRegister)(own, bytes, CU_MEMHOSTREGISTER_PORTABLE));
  OK(CU(cuMemcpyDtoHAsync)(own + 100, p, 2 * page, stream[0])); /* pages 0 and 2 in part, 1 whole */
  volatile char *v = own;
  EXPECT_EQ(v[99], 1);
  v[0] = 5;
  EXPECT_EQ(v[100 + 2 * page], 1);
  EXPECT_EQ(failed(), 0u);
  (void)v[page];
  expect_failed_check("byte 3996 of the target");
  wait();
  for (size_t i = 0; i < bytes; i++) ASSERT_EQ(v[i], i == 0 ? 5 : i < 100 || i >= 100 + 2 * page ? 1 : 7) << i;
  OK(CU(cuMemHostUnregister)(own));
  free(own);
}

TEST_F(Guard, RowsOfARectangle) {
  CUDA_MEMCPY2D c = {};
  c.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  c.srcDevice = p;
  c.srcPitch = page;
  c.dstMemoryType = CU_MEMORYTYPE_HOST;
  c.dstHost = host;
  c.dstPitch = 2 * page;
  c.WidthInBytes = page;
  c.Height = 2;
  OK(CU(cuMemcpy2DAsync)(&c, stream[0]));
  EXPECT_EQ(read(page), 1);
  write(3 * page, 1);
  EXPECT_EQ(failed(), 0u);
  read(2 * page + 1);
  expect_failed_check("target of cuMemcpy2DAsync");
  wait();
  for (size_t i = 0; i < bytes; i++) ASSERT_EQ(read(i), i / page % 2 == 0 ? 7 : 1) << i;
}

/* One pinned memory of two devices: each page waits for its own. */
TEST_F(Guard, TwoDevices) {
  CUdeviceptr q;
  OK(CU(cuCtxSetCurrent)(ctx[1]));
  OK(CU(cuMemAlloc)(&q, bytes));
  OK(CU(cuMemsetD8)(q, 9, bytes));
  OK(CU(cuCtxSynchronize)());
  OK(CU(cuMemcpyDtoHAsync)(host + 2 * page, q, 2 * page, stream[1]));
  OK(CU(cuCtxSetCurrent)(ctx[0]));
  OK(CU(cuMemcpyDtoHAsync)(host, p, 2 * page, stream[0]));
  wait();
  EXPECT_EQ(read(2 * page - 1), 7);
  EXPECT_EQ(failed(), 0u);
  read(2 * page);
  expect_failed_check("of device 1");
  OK(CU(cuCtxSetCurrent)(ctx[1]));
  OK(CU(cuStreamSynchronize)(stream[1]));
  EXPECT_EQ(read(2 * page), 9);
  OK(CU(cuMemFree)(q));
}

/* What streams do in an order of their own is not the host's: from device to device by pinned memory. */
TEST_F(Guard, WorkOfStreamsGoesThrough) {
  CUdeviceptr q;
  char back[bytes];
  OK(CU(cuCtxSetCurrent)(ctx[1]));
  OK(CU(cuMemAlloc)(&q, bytes));
  OK(CU(cuCtxSetCurrent)(ctx[0]));
  download();
  OK(CU(cuEventRecord)(event, stream[0]));
  OK(CU(cuCtxSetCurrent)(ctx[1]));
  OK(CU(cuStreamWaitEvent)(stream[1], event, 0));
  OK(CU(cuMemcpyHtoDAsync)(q, host, bytes, stream[1]));
  OK(CU(cuStreamSynchronize)(stream[1]));
  OK(CU(cuMemcpyDtoH)(back, q, bytes));
  for (char b : back) ASSERT_EQ(b, 7);
  expect_all(7); /* the host knows of both */
  OK(CU(cuMemFree)(q));
  EXPECT_EQ(failed(), 0u);
}

TEST_F(Guard, FunctionsOfTheHostMayReadWhatIsBeforeThem) {
  std::pair<char *, std::atomic<int>> seen{host, 0};
  download();
  auto fn = [](void *user) {
    auto *s = static_cast<std::pair<char *, std::atomic<int>> *>(user);
    s->second = s->first[bytes - 1];
  };
  OK(CU(cuLaunchHostFunc)(stream[0], fn, &seen));
  wait();
  EXPECT_EQ(seen.second, 7);
  EXPECT_EQ(failed(), 0u);
}

TEST_F(Guard, SystemCallsGetAnError) {
  int fd = open("/dev/zero", O_RDWR);
  ASSERT_GE(fd, 0);
  int out[2];
  ASSERT_EQ(pipe(out), 0);
  download();
  EXPECT_EQ(::write(out[1], host, page), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(::read(fd, host, page), -1);
  EXPECT_EQ(errno, EFAULT);
  wait();
  EXPECT_EQ(::write(out[1], host, page), ssize_t(page));
  for (int f : {fd, out[0], out[1]}) close(f);
  expect_all(7);
}

TEST_F(Guard, ManyThreadsAtOnce) {
  for (int round = 0; round < 50; round++) {
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    download();
    for (int i = 0; i < 4; i++)
      threads.emplace_back([&] {
        ready++;
        while (ready < 4) std::this_thread::yield();
        for (size_t at = 0; at < bytes; at += page) read(at);
      });
    for (std::thread &t : threads) t.join();
    wait();
  }
  EXPECT_EQ(failed(), 50u); /* one of each copy, whoever comes first */
  SIM(sg_sim_forget_failed_checks)();
}

/* More than is protected: the rest is not, and nothing else changes. */
TEST_F(Guard, ManyCopies) {
  constexpr size_t n = 5000;
  char *many;
  OK(CU(cuMemAllocHost)(reinterpret_cast<void **>(&many), n * page));
  for (size_t i = 0; i < n; i++) OK(CU(cuMemcpyDtoHAsync)(many + i * page, p, page, stream[0]));
  wait();
  size_t wrong = 0;
  for (size_t i = 0; i < n; i++) wrong += many[i * page] != 7;
  EXPECT_EQ(wrong, 0u);
  OK(CU(cuMemFreeHost)(many));
}

TEST_F(Guard, MayBeSwitchedOff) {
  ASSERT_EQ(SIM(sg_sim_configure)("guard=0"), 0);
  download();
  read(0);
  wait();
  EXPECT_EQ(failed(), 0u);
  ASSERT_EQ(SIM(sg_sim_configure)("guard=1"), 0);
}

/* In a process of its own: a crash is still one, for the handler that was there before. */
TEST(GuardAlone, OtherFaultsReachTheHandlerBefore) {
  pid_t child = fork();
  if (child == 0) {
    execl("/proc/self/exe", "crash", "--gtest_filter=GuardCrash.DISABLED_Crash", "--gtest_also_run_disabled_tests", nullptr);
    _exit(99);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST(GuardCrash, DISABLED_Crash) { /* run by the test before it */
  struct sigaction mine = {};
  mine.sa_handler = [](int) { _exit(42); };
  ASSERT_EQ(sigaction(SIGSEGV, &mine, nullptr), 0);
  CUcontext c;
  CUstream s;
  CUdeviceptr p;
  char *pinned;
  OK(CU(cuInit)(0));
  OK(CU(cuDevicePrimaryCtxRetain)(&c, 0));
  OK(CU(cuCtxSetCurrent)(c));
  OK(CU(cuStreamCreate)(&s, CU_STREAM_NON_BLOCKING));
  OK(CU(cuMemAlloc)(&p, page));
  OK(CU(cuMemsetD8)(p, 7, page));
  OK(CU(cuCtxSynchronize)());
  OK(CU(cuMemAllocHost)(reinterpret_cast<void **>(&pinned), page));
  OK(CU(cuMemcpyDtoHAsync)(pinned, p, page, s));
  (void)*static_cast<volatile char *>(pinned); /* goes on */
  ASSERT_EQ(SIM(sg_sim_failed_checks)(nullptr, 0), 1u);
  void *nobodys = mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(nobodys, MAP_FAILED);
  *static_cast<volatile char *>(nobodys) = 1;
}
