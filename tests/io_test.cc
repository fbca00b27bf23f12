/* The store: spilling, rows, sinks, fallbacks, on both backends with and without direct transfers. */
#include "tests/io_util.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

using namespace io;

namespace {

const Mode kModes[] = {{"uring", true}, {"uring", false}, {"threads", true}, {"threads", false}};
class StoreTest : public testing::TestWithParam<Mode> {
protected:
  Options options(std::vector<std::string> spill = {}, size_t arena = 64 * kMiB) {
    return {GetParam(), std::move(spill), 0, arena};
  }
  TempDir dir;
};
INSTANTIATE_TEST_SUITE_P(Modes, StoreTest, testing::ValuesIn(kModes), mode_name);

size_t rounded(size_t n) {
  return (n + kAlign - 1) / kAlign * kAlign;
}

shim_io spill_io(int kind, shim_slot *slot, uint64_t tag, char *buf, size_t phase, size_t bytes) {
  shim_io io = {};
  io.kind = kind;
  io.slot = slot;
  io.tag = tag;
  io.buf = buf;
  io.phase = phase;
  io.bytes = bytes;
  io.buf_bytes = rounded(phase + bytes);
  return io;
}

TEST_P(StoreTest, SaysWhatItUses) {
  Store store(options({dir.path}));
  bool threads = !strcmp(GetParam().backend, "threads");
  EXPECT_STREQ(shim_store_backend(store), threads ? "threads" : "io_uring");
  EXPECT_EQ(shim_store_direct(store), GetParam().direct);
  EXPECT_STREQ(shim_store_log(store), "") << "nothing was refused here";
}

// ---- spill ------------------------------------------------------------------------------------------------

TEST_P(StoreTest, SpilledChunksComeBack) {
  Store store(options({dir.path}, 256 * kMiB));
  std::mt19937 rng(1);
  struct Chunk {
    std::vector<char> data;
    shim_slot slot = {};
    uint64_t tag;
    size_t phase;
  };
  std::vector<Chunk> chunks;
  for (size_t n : {0, 1, 4095, 4096, 4097, 100000, 1 << 20, (4 << 20) + 1, 9000001}) {
    Chunk c;
    c.data = random_bytes(n, (uint32_t)n);
    chunks.push_back(c);
  }
  for (int i = 0; i < 60; i++) {
    Chunk c;
    c.data = random_bytes(1 + rng() % (200 << 10), rng());
    chunks.push_back(c);
  }
  for (int round = 0; round < 3; round++) {
    store.rewind();
    std::vector<shim_io> ios;
    size_t used = 0;
    for (Chunk &c : chunks) {
      c.tag = rng();
      c.phase = rng() % 2 ? 0 : rng() % kAlign;
      char *buf = store.buffer(c.data.size());
      std::copy(c.data.begin(), c.data.end(), buf + c.phase);
      ios.push_back(spill_io(SHIM_SPILL, &c.slot, c.tag, buf, c.phase, c.data.size()));
      used += std::max(kAlign, rounded(c.phase + c.data.size()));
    }
    shim_run(store, ios.data(), (int)ios.size());
    for (shim_io &io : ios) ASSERT_EQ(io.status, MARS_OK) << io.err.message;
    EXPECT_EQ(shim_store_spill_used(store), used);
    store.rewind();
    for (size_t i = 0; i < chunks.size(); i++) {
      ios[i].kind = SHIM_UNSPILL;
      ios[i].buf = store.buffer(chunks[i].data.size());
      memset(ios[i].buf, 0x55, ios[i].buf_bytes);
    }
    std::shuffle(ios.begin(), ios.end(), rng);
    shim_run(store, ios.data(), (int)ios.size());
    for (shim_io &io : ios) {
      ASSERT_EQ(io.status, MARS_OK) << io.err.message;
      for (Chunk &c : chunks) {
        if (io.slot != &c.slot) continue;
        ASSERT_TRUE(std::equal(c.data.begin(), c.data.end(), io.buf + io.phase));
      }
    }
    for (size_t i = 0; i < chunks.size(); i += 2) shim_slot_free(store, &chunks[i].slot);
    EXPECT_GT(shim_store_spill_used(store), 0u);
    for (Chunk &c : chunks) shim_slot_free(store, &c.slot); /* a freed one is zero: nothing happens */
    EXPECT_EQ(shim_store_spill_used(store), 0u);
  }
  EXPECT_EQ(dir.files().size(), 0u) << "slabs have no names";
}

TEST_P(StoreTest, FreedSpaceIsUsedAgain) {
  Store store(options({dir.path}, 32 * kMiB));
  char *buf = store.buffer(8 * kMiB);
  size_t fds = 0;
  for (int i = 0; i < 40; i++) {
    shim_slot slot = {};
    shim_io io = spill_io(SHIM_SPILL, &slot, 1, buf, 0, 8 * kMiB);
    shim_run(store, &io, 1);
    ASSERT_EQ(io.status, MARS_OK) << io.err.message;
    shim_slot_free(store, &slot);
    if (i == 0) fds = deleted_fds(dir.path).size();
  }
  EXPECT_EQ(deleted_fds(dir.path).size(), fds);
}

TEST_P(StoreTest, DamageIsSeen) {
  Store store(options({dir.path}));
  std::vector<char> data = random_bytes(300000, 4);
  char *buf = store.buffer(data.size());
  memcpy(buf, data.data(), data.size());
  shim_slot slot = {};
  shim_io io = spill_io(SHIM_SPILL, &slot, 0xabcd, buf, 0, data.size());
  shim_run(store, &io, 1);
  ASSERT_EQ(io.status, MARS_OK) << io.err.message;
  auto fds = deleted_fds(dir.path);
  ASSERT_GE(fds.size(), 1u);
  int fd = open(fds[0].c_str(), O_RDWR);
  ASSERT_GE(fd, 0);
  char byte = (char)(data[123456] ^ 1);
  ASSERT_EQ(pwrite(fd, &byte, 1, slot.offset + 123456), 1);
  fsync(fd);
  close(fd);
  io.kind = SHIM_UNSPILL;
  shim_run(store, &io, 1);
  EXPECT_EQ(io.status, MARS_E_CHECKSUM);
  EXPECT_NE(std::string(io.err.message).find("abcd"), std::string::npos) << io.err.message;
  io.tag = 0xabce; /* another generation of the chunk */
  shim_run(store, &io, 1);
  EXPECT_EQ(io.status, MARS_E_CHECKSUM);
  EXPECT_NE(std::string(io.err.message).find("holds chunk abcd, not abce"), std::string::npos)
      << io.err.message;
  shim_slot_free(store, &slot);
}

TEST_P(StoreTest, DirectoriesAreStriped) {
  TempDir other;
  Store store(options({dir.path, other.path}));
  shim_slot slots[8] = {};
  std::vector<shim_io> ios;
  for (shim_slot &s : slots) ios.push_back(spill_io(SHIM_SPILL, &s, 7, store.buffer(kMiB), 0, kMiB));
  shim_run(store, ios.data(), 8);
  int count[3] = {};
  for (int i = 0; i < 8; i++) {
    ASSERT_EQ(ios[(size_t)i].status, MARS_OK) << ios[(size_t)i].err.message;
    ASSERT_TRUE(slots[i].dir == 1 || slots[i].dir == 2);
    count[slots[i].dir]++;
  }
  EXPECT_EQ(count[1], 4);
  EXPECT_EQ(count[2], 4);
  EXPECT_FALSE(deleted_fds(dir.path).empty());
  EXPECT_FALSE(deleted_fds(other.path).empty());
  for (shim_slot &s : slots) shim_slot_free(store, &s);
}

TEST_P(StoreTest, SpillBudgetIsKept) {
  Options o = options({dir.path});
  o.spill_budget = 3 * kMiB;
  Store store(o);
  shim_slot slots[4] = {};
  std::vector<shim_io> ios;
  for (shim_slot &s : slots) ios.push_back(spill_io(SHIM_SPILL, &s, 7, store.buffer(kMiB), 0, kMiB));
  shim_run(store, ios.data(), 4);
  for (int i = 0; i < 3; i++) EXPECT_EQ(ios[(size_t)i].status, MARS_OK) << ios[(size_t)i].err.message;
  EXPECT_EQ(ios[3].status, MARS_E_BUDGET);
  EXPECT_NE(std::string(ios[3].err.message).find("at least 4194304"), std::string::npos)
      << ios[3].err.message;
  EXPECT_EQ(slots[3].dir, 0);
  shim_slot_free(store, &slots[1]);
  shim_run(store, &ios[3], 1);
  EXPECT_EQ(ios[3].status, MARS_OK) << ios[3].err.message;
  for (shim_slot &s : slots) shim_slot_free(store, &s);
}

TEST_P(StoreTest, WithoutADirectoryNothingIsSpilled) {
  Store store(options());
  shim_slot slot = {};
  shim_io io = spill_io(SHIM_SPILL, &slot, 7, store.buffer(4096), 0, 4096);
  shim_run(store, &io, 1);
  EXPECT_EQ(io.status, MARS_E_STATE);
  EXPECT_NE(std::string(io.err.message).find("spill_dirs"), std::string::npos) << io.err.message;
}

TEST(Store, BadSpillDirectoriesAreToldAtOnce) {
  TempDir dir;
  write_file(dir / "file", "x", {});
  for (std::string bad : {dir / "missing", dir / "file", std::string("/proc/self")}) {
    const char *dirs[] = {dir.path.c_str(), bad.c_str()};
    shim_store_config c = {nullptr, false, dirs, 2, 0, kMiB};
    mars_error err = {};
    int fds = open_fds();
    EXPECT_EQ(shim_store_open(&c, -1, &err), nullptr) << bad;
    EXPECT_EQ(err.status, MARS_E_IO) << err.message;
    EXPECT_LT(err.code, 1000000) << "leak";
    EXPECT_NE(std::string(err.message).find(bad), std::string::npos) << err.message;
    EXPECT_EQ(open_fds(), fds);
  }
}

TEST(Store, UnknownBackendIsRefused) {
  shim_store_config c = {"magic", false, nullptr, 0, 0, kMiB};
  mars_error err = {};
  EXPECT_EQ(shim_store_open(&c, -1, &err), nullptr);
  EXPECT_EQ(err.status, MARS_E_ARG);
  EXPECT_NE(std::string(err.message).find("magic"), std::string::npos);
}

// ---- sinks ------------------------------------------------------------------------------------------------

shim_io sink_io(Store &s, mx_sink *f, int64_t offset, const char *data, size_t bytes) {
  shim_io io = {};
  io.kind = SHIM_WRITE;
  io.sink = f;
  io.offset = offset;
  io.bytes = bytes;
  io.phase = shim_sink_phase(s, f, offset);
  io.buf = s.buffer(bytes);
  io.buf_bytes = rounded(bytes) + 2 * kAlign;
  memset(io.buf, 0x77, io.buf_bytes); /* must never reach the file */
  memcpy(io.buf + io.phase, data, bytes);
  return io;
}

const char kHeader[] =
    "\x93NUMPY\x01\x00\xf6\x0f{'descr': '<f8', 'fortran_order': False, 'shape': (3, 333333), } ";

TEST_P(StoreTest, SinkChunksMayBeWrittenInAnyOrder) {
  std::mt19937 rng(5);
  std::vector<char> data = random_bytes(3 * 333333 * 8, 6);
  mars_shape shape = {2, {3, 333333}};
  for (size_t longest : {5000u, 70000u, 3000000u, 8000000u}) {
    Store store(options({}, 128 * kMiB));
    std::string path = dir / "out.npy";
    mars_error err = {};
    mx_sink *f = nullptr;
    ASSERT_EQ(shim_sink_create(store, path.c_str(), MARS_F64, &shape, &f, &err), MARS_OK) << err.message;
    std::vector<shim_io> ios;
    for (size_t at = 0; at < data.size();) {
      size_t n = std::min(data.size() - at, 1 + rng() % longest);
      ios.push_back(sink_io(store, f, (int64_t)at, &data[at], n));
      at += n;
    }
    std::shuffle(ios.begin(), ios.end(), rng);
    shim_run(store, ios.data(), (int)ios.size());
    for (shim_io &io : ios) ASSERT_EQ(io.status, MARS_OK) << io.err.message;
    ASSERT_EQ(shim_sink_commit(store, f, &err), MARS_OK) << err.message;
    std::vector<char> got = read_file(path);
    ASSERT_EQ(got.size(), 4096 + data.size());
    EXPECT_EQ(memcmp(got.data(), kHeader, sizeof kHeader - 1), 0);
    EXPECT_EQ(got[4095], '\n');
    EXPECT_TRUE(std::equal(data.begin(), data.end(), got.begin() + 4096)) << longest;
    EXPECT_EQ(dir.files().size(), 1u);
    /* and it is read back by ourselves */
    shim_info info;
    mx_source *in = nullptr;
    ASSERT_EQ(shim_source_open(store, path.c_str(), &info, &in, &err), MARS_OK) << err.message;
    EXPECT_EQ(info.data_offset, 4096);
    EXPECT_EQ(info.shape.dims[1], 333333);
    shim_source_release(store, in);
  }
}

TEST_P(StoreTest, HeadersOfEveryDtypeAndShape) {
  Store store(options());
  struct Case {
    mars_dtype dtype;
    mars_shape shape;
    const char *dict;
  } cases[] = {
      {MARS_BOOL, {0, {}}, "{'descr': '|b1', 'fortran_order': False, 'shape': (), } "},
      {MARS_I8, {1, {1}}, "{'descr': '|i1', 'fortran_order': False, 'shape': (1,), } "},
      {MARS_U8, {2, {0, 5}}, "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 5), } "},
      {MARS_F16, {1, {3}}, "{'descr': '<f2', 'fortran_order': False, 'shape': (3,), } "},
      {MARS_U64, {1, {2}}, "{'descr': '<u8', 'fortran_order': False, 'shape': (2,), } "},
      {MARS_C128, {3, {1, 2, 3}}, "{'descr': '<c16', 'fortran_order': False, 'shape': (1, 2, 3), } "},
  };
  for (const Case &c : cases) {
    mars_error err = {};
    mx_sink *f = nullptr;
    std::string path = dir / "h.npy";
    ASSERT_EQ(shim_sink_create(store, path.c_str(), c.dtype, &c.shape, &f, &err), MARS_OK) << err.message;
    ASSERT_EQ(shim_sink_commit(store, f, &err), MARS_OK) << err.message;
    std::vector<char> got = read_file(path);
    size_t n = mars_dtype_bytes(c.dtype);
    for (int i = 0; i < c.shape.ndim; i++) n *= (size_t)c.shape.dims[i];
    ASSERT_EQ(got.size(), 4096 + n);
    EXPECT_EQ(std::string(&got[10], strlen(c.dict)), c.dict);
    shim_info info;
    mars_error perr;
    ASSERT_EQ(shim_npy_parse(got.data(), 4096, &info, &perr), MARS_OK) << perr.message;
    EXPECT_EQ(info.dtype, c.dtype);
    EXPECT_EQ(info.shape.ndim, c.shape.ndim);
  }
}

mars_status create_sink(Store &store, const std::string &path, mars_dtype dtype, mars_shape shape,
                        mars_error *err) {
  mx_sink *f = nullptr;
  *err = {};
  mars_status st = shim_sink_create(store, path.c_str(), dtype, &shape, &f, err);
  EXPECT_EQ(st == MARS_OK, f != nullptr);
  shim_sink_abort(store, f);
  return st;
}

TEST_P(StoreTest, SinkRefusesWhatItCannotWrite) {
  Store store(options());
  mars_error err;
  mars_shape shape = {1, {10}};
  EXPECT_EQ(create_sink(store, dir / "x.npy", MARS_BF16, shape, &err), MARS_E_DTYPE);
  EXPECT_NE(std::string(err.message).find("cast to float32"), std::string::npos);
  EXPECT_EQ(create_sink(store, dir / "no/such/x.npy", MARS_F32, shape, &err), MARS_E_IO);
  EXPECT_EQ(err.code, ENOENT);
  EXPECT_NE(std::string(err.message).find("no/such/x.npy"), std::string::npos) << err.message;
  EXPECT_EQ(create_sink(store, dir.path, MARS_F32, shape, &err), MARS_E_IO);
  EXPECT_EQ(err.code, EISDIR);
  EXPECT_EQ(create_sink(store, dir.path + "/", MARS_F32, shape, &err), MARS_E_IO);
  EXPECT_EQ(create_sink(store, "/dev/null", MARS_F32, shape, &err),
            MARS_E_IO); /* never replaced by a rename */
  EXPECT_EQ(create_sink(store, "/proc/x.npy", MARS_F32, shape, &err), MARS_E_IO);
  EXPECT_EQ(create_sink(store, "", MARS_F32, shape, &err), MARS_E_ARG);
  EXPECT_EQ(create_sink(store, dir / std::string(5000, 'a'), MARS_F32, shape, &err), MARS_E_IO);
  EXPECT_EQ(create_sink(store, dir / "x.npy", MARS_F64, {2, {INT64_MAX / 8, 9}}, &err), MARS_E_OVERFLOW);
  EXPECT_EQ(create_sink(store, dir / "x.npy", MARS_F64, {1, {INT64_MAX / 8}}, &err), MARS_E_OVERFLOW);
  EXPECT_NE(create_sink(store, dir / "x.npy", MARS_F64, {1, {(int64_t)1 << 56}}, &err), MARS_OK);
  EXPECT_NE(std::string(err.message).find("reserve"), std::string::npos) << err.message;
  EXPECT_TRUE(dir.files().empty());
}

TEST_P(StoreTest, AFileIsReplacedOnlyByCommit) {
  Store store(options());
  std::string path = dir / "x.npy", link = dir / "link.npy";
  write_file(path, "old", {});
  ASSERT_EQ(symlink("x.npy", link.c_str()), 0);
  mars_error err = {};
  mars_shape shape = {1, {2}};
  mx_sink *f = nullptr;
  mode_t mask = umask(027);
  ASSERT_EQ(shim_sink_create(store, path.c_str(), MARS_F64, &shape, &f, &err), MARS_OK) << err.message;
  EXPECT_EQ(read_file(path).size(), 3u);
  shim_sink_abort(store, f);
  EXPECT_EQ(read_file(path).size(), 3u);
  ASSERT_EQ(shim_sink_create(store, link.c_str(), MARS_F64, &shape, &f, &err), MARS_OK) << err.message;
  ASSERT_EQ(shim_sink_commit(store, f, &err), MARS_OK) << err.message;
  umask(mask);
  EXPECT_EQ(read_file(path).size(), 4096u + 16);
  struct stat st;
  ASSERT_EQ(lstat(link.c_str(), &st), 0);
  EXPECT_TRUE(S_ISLNK(st.st_mode)) << "the link is followed, not replaced";
  ASSERT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0640u);
  EXPECT_EQ(dir.files().size(), 2u);
}

TEST_P(StoreTest, TransfersOutsideOfAFileAreRefused) {
  Store store(options());
  mars_error err = {};
  mars_shape shape = {1, {1000}};
  mx_sink *f = nullptr;
  ASSERT_EQ(shim_sink_create(store, (dir / "x.npy").c_str(), MARS_I8, &shape, &f, &err), MARS_OK)
      << err.message;
  std::vector<char> data(2000);
  struct {
    int64_t offset;
    size_t bytes;
  } bad[] = {{0, 1001}, {1000, 1}, {-1, 10}, {INT64_MAX, 10}};
  for (auto &b : bad) {
    shim_io io = sink_io(store, f, 0, data.data(), b.bytes);
    io.offset = b.offset;
    shim_run(store, &io, 1);
    EXPECT_EQ(io.status, MARS_E_INTERNAL) << b.offset;
    EXPECT_EQ(io.times, 1);
  }
  shim_io nothing = sink_io(store, f, 1000, data.data(), 0);
  shim_run(store, &nothing, 1);
  EXPECT_EQ(nothing.status, MARS_OK);
  shim_sink_abort(store, f);
  EXPECT_TRUE(dir.files().empty());
}

// ---- rows -------------------------------------------------------------------------------------------------

struct Region {
  size_t elem;
  std::vector<int64_t> shape, start, extent, step; // the last axis is contiguous: step 1
};

// Runs of a region of a C-order array, and what they should hold.
void runs_of(const Region &r, int64_t *first, std::vector<int64_t> *extent, std::vector<int64_t> *step,
             size_t *run) {
  int nd = (int)r.shape.size();
  std::vector<int64_t> stride((size_t)nd, (int64_t)r.elem);
  for (int i = nd - 2; i >= 0; i--) stride[(size_t)i] = stride[(size_t)i + 1] * r.shape[(size_t)i + 1];
  *first = 0;
  for (int i = 0; i < nd; i++) *first += r.start[(size_t)i] * stride[(size_t)i];
  extent->assign(r.extent.begin(), r.extent.end() - 1);
  step->clear();
  for (int i = 0; i + 1 < nd; i++) step->push_back(stride[(size_t)i] * r.step[(size_t)i]);
  *run = (size_t)r.extent.back() * r.elem;
}

const Region kRegions[] = {
    {8, {100, 1000}, {3, 5}, {90, 900}, {1, 1}},               // small holes
    {8, {100, 4000}, {3, 5}, {90, 100}, {1, 1}},               // large holes
    {8, {2000, 500}, {1999, 0}, {1000, 1}, {-2, 1}},           // one element a run, backwards
    {1, {300, 300}, {0, 0}, {300, 300}, {1, 1}},               // no holes at all
    {4, {30, 40, 500}, {29, 2, 3}, {10, 30, 450}, {-3, 1, 1}}, // three axes
    {16, {3, 400000}, {0, 1}, {3, 399998}, {1, 1}},            // runs longer than a part
    {4, {700, 1500}, {0, 100}, {700, 700}, {1, 1}},            // more runs than a part has places
    {2, {50, 20, 10, 8}, {49, 19, 1, 2}, {25, 10, 4, 5}, {-2, -2, 2, 1}},
};

TEST_P(StoreTest, RowsAreReadInto) {
  for (const Region &r : kRegions) {
    Store store(options({}, 128 * kMiB));
    size_t total = r.elem;
    std::string text = "(";
    for (int64_t d : r.shape) {
      total *= (size_t)d;
      text += std::to_string(d) + ",";
    }
    const char *code = r.elem == 16  ? "c16"
                       : r.elem == 8 ? "f8"
                       : r.elem == 4 ? "f4"
                       : r.elem == 2 ? "i2"
                                     : "i1";
    std::vector<char> data = random_bytes(total, 8);
    std::string path = dir / "rows.npy";
    write_file(
        path,
        npy_header("{'descr': '<" + std::string(code) + "', 'fortran_order': False, 'shape': " + text + ")}"),
        data);
    mars_error err = {};
    shim_info info;
    mx_source *f = nullptr;
    ASSERT_EQ(shim_source_open(store, path.c_str(), &info, &f, &err), MARS_OK) << err.message;
    std::vector<int64_t> extent, step;
    shim_io io = {};
    size_t run = 0;
    runs_of(r, &io.offset, &extent, &step, &run);
    io.kind = SHIM_READ;
    io.source = f;
    io.rows = 1;
    for (int64_t e : extent) io.rows *= e;
    io.bytes = run * (size_t)io.rows;
    io.row_ndim = (int)extent.size();
    io.row_extent = extent.data();
    io.row_step = step.data();
    io.phase = shim_source_phase(store, f, io.offset);
    io.buf = store.buffer(io.bytes);
    io.buf_bytes = rounded(io.bytes) + 2 * kAlign;
    shim_run(store, &io, 1);
    ASSERT_EQ(io.status, MARS_OK) << io.err.message;
    /* the same by a walk over the index */
    std::vector<int64_t> index(extent.size(), 0);
    for (int64_t k = 0; k < io.rows; k++) {
      int64_t at = io.offset;
      for (size_t i = 0; i < index.size(); i++) at += index[i] * step[i];
      ASSERT_EQ(memcmp(io.buf + io.phase + (size_t)k * run, &data[(size_t)at], run), 0) << "run " << k;
      for (size_t i = index.size(); i-- > 0;) {
        if (++index[i] < extent[i]) break;
        index[i] = 0;
      }
    }
    step[0] = step[0] > 0 ? (int64_t)total : -(int64_t)total; /* now it reaches outside */
    if (extent[0] > 1) {
      shim_run(store, &io, 1);
      EXPECT_EQ(io.status, MARS_E_INTERNAL);
    }
    shim_source_release(store, f);
  }
}

TEST_P(StoreTest, RowsAreWrittenOutOf) {
  Store store(options({}, 128 * kMiB));
  const int64_t rows = 301, cols = 5003;
  std::vector<char> data = random_bytes((size_t)(rows * cols * 4), 12);
  mars_shape shape = {2, {rows, cols}};
  mars_error err = {};
  mx_sink *f = nullptr;
  std::string path = dir / "rows.npy";
  ASSERT_EQ(shim_sink_create(store, path.c_str(), MARS_F32, &shape, &f, &err), MARS_OK) << err.message;
  /* tiles of 100 x 2000, some runs of neighbours share a block */
  std::vector<shim_io> ios;
  std::vector<std::vector<int64_t>> extents, steps;
  extents.reserve(64);
  steps.reserve(64);
  for (int64_t r = 0; r < rows; r += 100)
    for (int64_t c = 0; c < cols; c += 2000) {
      int64_t nr = std::min<int64_t>(100, rows - r), nc = std::min<int64_t>(2000, cols - c);
      std::vector<char> tile;
      for (int64_t i = 0; i < nr; i++) {
        const char *from = &data[(size_t)(((r + i) * cols + c) * 4)];
        tile.insert(tile.end(), from, from + nc * 4);
      }
      extents.push_back({nr});
      steps.push_back({cols * 4});
      shim_io io = sink_io(store, f, (r * cols + c) * 4, tile.data(), tile.size());
      io.rows = nr;
      io.row_ndim = 1;
      io.row_extent = extents.back().data();
      io.row_step = steps.back().data();
      ios.push_back(io);
    }
  std::shuffle(ios.begin(), ios.end(), std::mt19937(2));
  shim_run(store, ios.data(), (int)ios.size());
  for (shim_io &io : ios) ASSERT_EQ(io.status, MARS_OK) << io.err.message;
  ASSERT_EQ(shim_sink_commit(store, f, &err), MARS_OK) << err.message;
  std::vector<char> got = read_file(path);
  ASSERT_EQ(got.size(), 4096 + data.size());
  EXPECT_TRUE(std::equal(data.begin(), data.end(), got.begin() + 4096));
}

TEST_P(StoreTest, ClosingWaitsForWhatIsQueued) {
  for (int round = 0; round < 40; round++) {
    const char *dirs[] = {dir.path.c_str()};
    shim_store_config c = {GetParam().backend, !GetParam().direct, dirs, 1, 0, 64 * kMiB};
    mars_error err = {};
    shim_store *s = shim_store_open(&c, -1, &err);
    ASSERT_NE(s, nullptr) << err.message;
    shim_slot slots[50] = {};
    const int n = 1 + round * 17 % 50; /* fewer and more than parts in flight */
    std::vector<shim_io> ios;
    for (int i = 0; i < n; i++) /* some move nothing: they are done as soon as they begin */
      ios.push_back(spill_io(SHIM_SPILL, &slots[i], 1, shim_store_arena(s) + (size_t)i * kMiB, 0,
                             (round + i) % 3 ? kMiB : 0));
    EXPECT_EQ(shim_run_and_close(s, ios.data(), n), 0);
    for (shim_io &io : ios) {
      EXPECT_EQ(io.times, 1);
      EXPECT_EQ(io.status, MARS_OK) << io.err.message;
    }
  }
}

// ---- many threads
// -------------------------------------------------------------------------------------------

TEST_P(StoreTest, ThreadsMaySubmitAndFreeAtTheSameTime) {
  Store store(options({dir.path}, 128 * kMiB));
  std::vector<std::thread> threads;
  std::vector<char *> bufs;
  for (int i = 0; i < 4; i++) bufs.push_back(store.buffer(8 * 300000 + 8 * kAlign));
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      std::mt19937 rng((uint32_t)t);
      for (int round = 0; round < 20; round++) {
        shim_slot slots[8] = {};
        std::vector<shim_io> ios;
        std::vector<std::vector<char>> data;
        for (int i = 0; i < 8; i++) {
          data.push_back(random_bytes(1 + rng() % 300000, rng()));
          char *buf = bufs[(size_t)t] + (size_t)i * rounded(300000);
          memcpy(buf, data.back().data(), data.back().size());
          ios.push_back(spill_io(SHIM_SPILL, &slots[i], (uint64_t)(t * 100 + i), buf, 0, data.back().size()));
        }
        shim_run(store, ios.data(), 8);
        for (shim_io &io : ios) {
          wrong += io.status != MARS_OK;
          memset(io.buf, 0, io.bytes);
          io.kind = SHIM_UNSPILL;
        }
        shim_run(store, ios.data(), 8);
        for (int i = 0; i < 8; i++) {
          wrong += ios[(size_t)i].status != MARS_OK ||
                   memcmp(ios[(size_t)i].buf, data[(size_t)i].data(), data[(size_t)i].size());
          shim_slot_free(store, &slots[i]);
        }
      }
    });
  for (std::thread &t : threads) t.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(shim_store_spill_used(store), 0u);
}

} // namespace
