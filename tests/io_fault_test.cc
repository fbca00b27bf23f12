/* What goes wrong: injected faults, failing allocations, full disks, killed processes, refused system calls.
 */
#include "tests/io_util.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace io;

namespace {

const Mode kModes[] = {{"uring", true}, {"uring", false}, {"threads", true}, {"threads", false}};
class Fault : public testing::TestWithParam<Mode> {
protected:
  TempDir dir, spill;
};
INSTANTIATE_TEST_SUITE_P(Modes, Fault, testing::ValuesIn(kModes), mode_name);

constexpr size_t kJobBytes = 9 * kMiB; // three parts, and edges at an odd data offset

void write_input(const std::string &path) {
  std::string n = std::to_string(kJobBytes / 8);
  write_file(path, npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (" + n + ",), }"),
             random_bytes(kJobBytes, 21));
}

// A file through the spill store to a file: every kind of transfer. The first failure ends it, all is given
// back.
mars_status job(shim_store *s, const std::string &in, const std::string &out, mars_error *err) {
  mars_status st = MARS_OK;
  shim_info info;
  mx_source *source = nullptr;
  mx_sink *sink = nullptr;
  shim_slot slots[3] = {};
  shim_io ios[3] = {};
  const size_t each = kJobBytes / 3;
  auto run = [&](int n) {
    shim_run(s, ios, n);
    for (int i = 0; i < n; i++) {
      EXPECT_EQ(ios[i].times, 1);
      EXPECT_TRUE(ios[i].kind != SHIM_SPILL || (ios[i].status == MARS_OK) == (slots[i].dir > 0))
          << "slot of chunk " << i;
      if (st == MARS_OK && ios[i].status != MARS_OK) {
        st = ios[i].status;
        *err = ios[i].err;
      }
    }
    return st == MARS_OK;
  };
  *err = {};
  st = shim_source_open(s, in.c_str(), &info, &source, err);
  if (st == MARS_OK) st = shim_sink_create(s, out.c_str(), MARS_F64, &info.shape, &sink, err);
  if (st == MARS_OK) {
    for (int i = 0; i < 3; i++) {
      ios[i].kind = SHIM_READ;
      ios[i].source = source;
      ios[i].offset = (int64_t)each * i;
      ios[i].bytes = each;
      ios[i].phase = shim_source_phase(s, source, ios[i].offset);
      ios[i].buf = shim_store_arena(s) + (size_t)i * (each + 2 * kAlign);
      ios[i].buf_bytes = each + 2 * kAlign;
      ios[i].slot = &slots[i];
      ios[i].tag = (uint64_t)i + 1;
    }
    bool ok = run(3);
    for (shim_io &io : ios) io.kind = SHIM_SPILL;
    ok = ok && run(3);
    for (shim_io &io : ios) memset(io.buf, 0, io.buf_bytes);
    for (shim_io &io : ios) io.kind = SHIM_UNSPILL;
    ok = ok && run(3);
    for (shim_io &io : ios) {
      io.kind = SHIM_WRITE;
      io.sink = sink; /* phases differ from the file's: it goes through the page cache */
    }
    ok = ok && run(3);
  }
  for (shim_slot &slot : slots) shim_slot_free(s, &slot);
  if (st == MARS_OK)
    st = shim_sink_commit(s, sink, err);
  else
    shim_sink_abort(s, sink);
  shim_source_release(s, source);
  return st;
}

void expect_result(const std::string &in, const std::string &out) {
  std::vector<char> a = read_file(in), b = read_file(out);
  ASSERT_EQ(b.size(), kJobBytes + 4096);
  EXPECT_TRUE(std::equal(a.end() - (long)kJobBytes, a.end(), b.begin() + 4096));
}

TEST_P(Fault, EveryReadAndWriteMayFail) {
  std::string in = dir / "in.npy", out = dir / "out.npy";
  write_input(in);
  Store store({GetParam(), {spill.path}, 0, 64 * kMiB});
  mars_error err;
  ASSERT_EQ(job(store, in, out, &err), MARS_OK) << err.message;
  expect_result(in, out);
  unlink(out.c_str());
  for (bool write : {false, true}) {
    int n = 0;
    for (;; n++) {
      ASSERT_LT(n, 1000);
      shim_store_inject(store, write ? -1 : n, write ? n : -1, write && n % 2 ? ENOSPC : EIO);
      int fds = open_fds();
      mars_status st = job(store, in, out, &err);
      if (st == MARS_OK) break;
      EXPECT_EQ(st, write && n % 2 ? MARS_E_NOSPACE : MARS_E_IO) << err.message;
      EXPECT_EQ(err.code, write && n % 2 ? ENOSPC : EIO) << err.message;
      EXPECT_EQ(dir.files().size(), 1u) << "nothing but the input, after fault " << n << ": " << err.message;
      EXPECT_EQ(shim_store_spill_used(store), 0u);
      EXPECT_LE(open_fds(), fds + 2) << "at most one slab is new";
    }
    EXPECT_GE(n, write ? 10 : 6) << "header, parts, spill";
    expect_result(in, out);
    unlink(out.c_str());
  }
  shim_store_inject(store, -1, -1, 0);
}

TEST_P(Fault, EveryAllocationMayFail) {
  std::string in = dir / "in.npy", out = dir / "out.npy", at = spill.path;
  write_input(in);
  const char *dirs[] = {at.c_str()};
  shim_store_config c = {GetParam().backend, !GetParam().direct, dirs, 1, 0, 64 * kMiB};
  mars_error err = {};
  int n = 1, fds = open_fds();
  shim_store *s = nullptr;
  for (;; n++) {
    ASSERT_LT(n, 100);
    if ((s = shim_store_open(&c, n, &err))) break;
    EXPECT_EQ(err.status, MARS_E_MEMORY) << n << err.message;
    EXPECT_LT(err.code, 1000000) << "allocations left after failure " << n;
    EXPECT_EQ(open_fds(), fds) << n;
  }
  EXPECT_GT(n, 6);
  int done = 0;
  for (int k = 1;; k++) {
    ASSERT_LT(k, 100);
    shim_store_fail_alloc(s, k);
    mars_status st = job(s, in, out, &err);
    shim_store_fail_alloc(s, -1);
    if (st == MARS_OK) break;
    done++;
    EXPECT_EQ(st, MARS_E_MEMORY) << err.message;
    EXPECT_EQ(dir.files().size(), 1u);
  }
  EXPECT_GT(done, 5);
  expect_result(in, out);
  EXPECT_EQ(shim_store_close(s), 0);
  EXPECT_EQ(open_fds(), fds);
}

TEST_P(Fault, AKilledProcessLeavesNothing) {
  std::string in = dir / "in.npy", out = dir / "out.npy";
  write_input(in);
  for (int when = 0; when < 3; when++) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
      const char *dirs[] = {spill.path.c_str()};
      shim_store_config c = {GetParam().backend, !GetParam().direct, dirs, 1, 0, 64 * kMiB};
      mars_error err;
      shim_store *s = shim_store_open(&c, -1, &err);
      mx_sink *sink = nullptr;
      mars_shape shape = {1, {1000000}};
      shim_slot slot = {};
      if (!s || shim_sink_create(s, out.c_str(), MARS_F64, &shape, &sink, &err) != MARS_OK) _exit(1);
      shim_io io = {};
      io.kind = when == 1 ? SHIM_SPILL : SHIM_WRITE;
      io.sink = sink;
      io.slot = &slot;
      io.buf = shim_store_arena(s);
      io.buf_bytes = io.bytes = 8000000;
      if (when) shim_run(s, &io, 1);
      if (write(ready[1], "x", 1) != 1) _exit(1);
      pause();
      _exit(1);
    }
    char c;
    close(ready[1]);
    ASSERT_EQ(read(ready[0], &c, 1), 1);
    close(ready[0]);
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(dir.files().size(), 1u);
    EXPECT_TRUE(spill.files().empty());
  }
}

// Run body in a child; 0 when all its expectations held.
template <class F> int in_child(F body) {
  pid_t child = fork();
  if (child == 0) {
    body();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

TEST_P(Fault, AFullDiskIsToldAndNothingIsLeft) {
  /* a file size limit makes a "disk" of 1 MiB for every file, for any user */
  EXPECT_EQ(in_child([&] {
              signal(SIGXFSZ, SIG_IGN);
              rlimit lim = {kMiB, kMiB};
              setrlimit(RLIMIT_FSIZE, &lim);
              Store store({GetParam(), {spill.path}, 0, 64 * kMiB});
              mars_error err = {};
              mx_sink *sink = nullptr;
              mars_shape shape = {1, {1000000}};
              EXPECT_EQ(shim_sink_create(store, (dir / "x.npy").c_str(), MARS_F64, &shape, &sink, &err),
                        MARS_E_IO);
              EXPECT_EQ(err.code, EFBIG);
              EXPECT_NE(std::string(err.message).find("8004096"), std::string::npos) << err.message;
              shim_slot slot = {};
              shim_io io = {};
              io.kind = SHIM_SPILL;
              io.slot = &slot;
              io.buf = store.buffer(8 * kMiB);
              io.buf_bytes = io.bytes = 8 * kMiB;
              shim_run(store, &io, 1);
              EXPECT_EQ(io.status, MARS_E_IO);
              EXPECT_NE(std::string(io.err.message).find(spill.path), std::string::npos) << io.err.message;
              io.buf_bytes = io.bytes = 500000; /* a smaller slab still fits */
              shim_run(store, &io, 1);
              EXPECT_EQ(io.status, MARS_OK) << io.err.message;
              shim_slot_free(store, &slot);
            }),
            0);
  EXPECT_TRUE(dir.files().empty());
}

TEST_P(Fault, AFullFileSystem) {
  std::string at = dir / "small";
  ASSERT_EQ(mkdir(at.c_str(), 0700), 0);
  if (mount("tmpfs", at.c_str(), "tmpfs", 0, "size=4m") != 0) {
    rmdir(at.c_str());
    GTEST_SKIP() << "no right to mount a small file system here";
  }
  {
    Store store({GetParam(), {at, spill.path}, 0, 64 * kMiB});
    mars_error err = {};
    mx_sink *sink = nullptr;
    mars_shape shape = {1, {1000000}};
    EXPECT_EQ(shim_sink_create(store, (at + "/x.npy").c_str(), MARS_F64, &shape, &sink, &err),
              MARS_E_NOSPACE);
    EXPECT_EQ(err.code, ENOSPC);
    EXPECT_NE(std::string(err.message).find("8004096"), std::string::npos) << err.message;
    /* one spill directory is full: the other takes it */
    shim_slot slots[6] = {};
    shim_io ios[6] = {};
    for (int i = 0; i < 6; i++) {
      ios[i].kind = SHIM_SPILL;
      ios[i].slot = &slots[i];
      ios[i].tag = (uint64_t)i;
      ios[i].buf = store.buffer(2 * kMiB);
      ios[i].buf_bytes = ios[i].bytes = 2 * kMiB;
      memset(ios[i].buf, i + 1, ios[i].bytes);
    }
    shim_run(store, ios, 6);
    int first = 0;
    for (int i = 0; i < 6; i++) {
      EXPECT_EQ(ios[i].status, MARS_OK) << ios[i].err.message;
      first += slots[i].dir == 1;
      ios[i].kind = SHIM_UNSPILL;
      memset(ios[i].buf, 0, ios[i].bytes);
    }
    EXPECT_GE(first, 1);
    EXPECT_LE(first, 2);
    shim_run(store, ios, 6);
    for (int i = 0; i < 6; i++) {
      EXPECT_EQ(ios[i].status, MARS_OK) << ios[i].err.message;
      EXPECT_EQ(ios[i].buf[12345], i + 1);
      shim_slot_free(store, &slots[i]);
    }
  }
  {
    Store store({GetParam(), {at}, 0, 64 * kMiB});
    shim_slot slot = {};
    shim_io io = {};
    io.kind = SHIM_SPILL;
    io.slot = &slot;
    io.buf = store.buffer(8 * kMiB);
    io.buf_bytes = io.bytes = 8 * kMiB;
    shim_run(store, &io, 1);
    EXPECT_EQ(io.status, MARS_E_NOSPACE);
    EXPECT_NE(std::string(io.err.message).find(at), std::string::npos) << io.err.message;
    EXPECT_NE(std::string(io.err.message).find("8388608"), std::string::npos) << io.err.message;
  }
  EXPECT_EQ(umount(at.c_str()), 0) << "a closed store holds no file: " << strerror(errno);
  umount2(at.c_str(), MNT_DETACH);
  rmdir(at.c_str());
}

// From here on this process gets `error` from the system call nr, if argument `arg` has a bit of mask (0:
// always).
void refuse(unsigned nr, int arg, unsigned mask, unsigned error) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(offsetof(seccomp_data, args) + 8 * (size_t)arg)),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, mask, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  if (!mask) code[3] = BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0);
  sock_fprog prog = {6, code};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

struct Refusal {
  const char *name;
  unsigned nr;
  int arg;
  unsigned mask, error;
  const char *backend, *says; // says: a word of the one line that must be logged; empty: nothing is said
  bool direct;
};
const Refusal kRefusals[] = {
    {"io_uring_unknown", __NR_io_uring_setup, 0, 0, ENOSYS, "threads", "io_uring", true},
    {"io_uring_forbidden", __NR_io_uring_setup, 0, 0, EPERM, "threads", "io_uring", true},
    {"io_uring_no_memory", __NR_io_uring_setup, 0, 0, ENOMEM, "threads", "io_uring", true},
    {"registering_forbidden", __NR_io_uring_register, 0, 0, EPERM, "io_uring", "", true},
    {"direct_refused", __NR_openat, 2, O_DIRECT, EINVAL, "io_uring", "O_DIRECT", false},
    {"nameless_files_refused", __NR_openat, 2, O_TMPFILE & ~O_DIRECTORY, EOPNOTSUPP, "io_uring", "", true},
    {"no_fallocate", __NR_fallocate, 0, 0, EOPNOTSUPP, "io_uring", "", true},
};
class Fallback : public testing::TestWithParam<Refusal> {};
INSTANTIATE_TEST_SUITE_P(Refused, Fallback, testing::ValuesIn(kRefusals),
                         [](const testing::TestParamInfo<Refusal> &i) { return std::string(i.param.name); });

TEST_P(Fallback, IsSaidOnceAndGivesTheSame) {
  TempDir dir, spill;
  const Refusal &r = GetParam();
  write_input(dir / "in.npy");
  EXPECT_EQ(in_child([&] {
              refuse(r.nr, r.arg, r.mask, r.error);
              Store store({{nullptr, true}, {spill.path}, 0, 64 * kMiB});
              EXPECT_STREQ(shim_store_backend(store), r.backend);
              EXPECT_EQ(shim_store_direct(store), r.direct);
              bool registers = r.nr != __NR_io_uring_setup && r.nr != __NR_io_uring_register;
              EXPECT_EQ(shim_store_fixed_buffers(store), registers);
              mars_error err;
              for (int i = 0; i < 2; i++)
                EXPECT_EQ(job(store, dir / "in.npy", dir / "out.npy", &err), MARS_OK) << err.message;
              expect_result(dir / "in.npy", dir / "out.npy");
              std::string log = shim_store_log(store);
              EXPECT_NE(log.find(r.says), std::string::npos) << log;
              EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), *r.says ? 1 : 0) << "said once: " << log;
              EXPECT_EQ(dir.files().size(), 2u);
              EXPECT_EQ(job(store, dir / "in.npy", dir / "no/out.npy", &err), MARS_E_IO);
              shim_store_inject(store, 5, -1, EIO);
              EXPECT_EQ(job(store, dir / "in.npy", dir / "other.npy", &err), MARS_E_IO);
              EXPECT_EQ(dir.files().size(), 2u) << "an aborted sink leaves nothing";
              EXPECT_TRUE(spill.files().empty());
            }),
            0);
}

TEST(LockedMemory, RefusalIsSaidOnce) {
  TempDir dir, spill;
  write_input(dir / "in.npy");
  chmod(dir.path.c_str(), 0777);
  chmod(spill.path.c_str(), 0777);
  EXPECT_EQ(in_child([&] {
              rlimit lim = {0, 0};
              setrlimit(RLIMIT_MEMLOCK, &lim);
              if (getuid() == 0 && setresuid(65534, 65534, 65534) != 0) return; /* root may lock anything */
              Store store({{"uring", true}, {spill.path}, 0, 64 * kMiB});
              if (strcmp(shim_store_backend(store), "io_uring")) return;
              mars_error err;
              for (int i = 0; i < 3; i++)
                EXPECT_EQ(job(store, dir / "in.npy", dir / "out.npy", &err), MARS_OK) << err.message;
              expect_result(dir / "in.npy", dir / "out.npy");
              EXPECT_FALSE(shim_store_fixed_buffers(store));
              std::string log = shim_store_log(store);
              EXPECT_EQ(log.find('\n'), log.size() - 1) << "said once: " << log;
              EXPECT_NE(log.find("registered buffers"), std::string::npos) << log;
            }),
            0);
}

TEST(LockedMemory, RegisteredBuffersAreUsedWhereAllowed) {
  TempDir dir, spill;
  write_input(dir / "in.npy");
  Store store({{"uring", true}, {spill.path}, 0, 200 * kMiB});
  mars_error err;
  for (int i = 0; i < 4; i++) {
    ASSERT_EQ(job(store, dir / "in.npy", dir / "out.npy", &err), MARS_OK) << err.message;
    expect_result(dir / "in.npy", dir / "out.npy");
  }
  std::string log = shim_store_log(store);
  EXPECT_EQ(shim_store_fixed_buffers(store), log.empty()) << log;
}

TEST_P(Fault, MemoryFileSystem) {
  struct stat st;
  if (stat("/dev/shm", &st) != 0) GTEST_SKIP() << "no /dev/shm here";
  std::string in = dir / "in.npy", out = "/dev/shm/mars-io-test-" + std::to_string(getpid()) + ".npy";
  write_input(in);
  {
    Store store({GetParam(), {"/dev/shm"}, 0, 64 * kMiB});
    mars_error err;
    ASSERT_EQ(job(store, in, out, &err), MARS_OK) << err.message;
    ASSERT_EQ(job(store, out, dir / "again.npy", &err), MARS_OK) << err.message;
  }
  expect_result(in, dir / "again.npy");
  unlink(out.c_str());
}

} // namespace
