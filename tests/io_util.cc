#include "tests/io_util.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fstream>
#include <unistd.h>

namespace io {

std::string mode_name(const testing::TestParamInfo<Mode> &info) {
  return std::string(info.param.backend) + (info.param.direct ? "_direct" : "_buffered");
}

TempDir::TempDir() {
  const char *base = getenv("TMPDIR");
  std::string text = std::string(base && *base ? base : "/tmp") + "/mars-io-test-XXXXXX";
  std::vector<char> name(text.begin(), text.end());
  name.push_back(0);
  if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
  char real[4096]; // names in /proc are real ones
  path = realpath(name.data(), real) ? real : name.data();
}

TempDir::~TempDir() {
  for (const std::string &f : files()) unlink((*this / f).c_str());
  rmdir(path.c_str());
}

std::vector<std::string> TempDir::files() const {
  std::vector<std::string> out;
  if (DIR *d = opendir(path.c_str())) {
    while (dirent *e = readdir(d))
      if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) out.push_back(e->d_name);
    closedir(d);
  }
  return out;
}

Store::Store(const Options &o) : size(o.arena) {
  std::vector<const char *> dirs;
  for (const std::string &d : o.spill) dirs.push_back(d.c_str());
  shim_store_config c = {o.mode.backend,   !o.mode.direct, dirs.data(),
                         (int)dirs.size(), o.spill_budget, o.arena};
  mars_error err = {};
  s = shim_store_open(&c, -1, &err);
  if (!s) throw std::runtime_error(err.message);
}

Store::~Store() {
  EXPECT_EQ(shim_store_close(s), 0) << "live allocations";
}

char *Store::buffer(size_t bytes) {
  char *at = shim_store_arena(s) + used;
  used += (bytes + kAlign - 1) / kAlign * kAlign + 2 * kAlign;
  if (used > size) throw std::runtime_error("the test's arena is too small");
  return at;
}

std::vector<char> random_bytes(size_t n, uint32_t seed) {
  std::mt19937_64 rng(seed);
  std::vector<char> out(n);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t v = rng();
    memcpy(&out[i], &v, 8);
  }
  for (; i < n; i++) out[i] = (char)rng();
  return out;
}

std::string npy_header(const std::string &dict, int major) {
  size_t prefix = major == 1 ? 10 : 12, total = (prefix + dict.size() + 1 + 63) / 64 * 64;
  std::string text = dict + std::string(total - prefix - dict.size() - 1, ' ') + "\n";
  std::string out("\x93NUMPY");
  out += (char)major;
  out += '\0';
  for (size_t i = 0; i < prefix - 8; i++) out += (char)(text.size() >> 8 * i);
  return out + text;
}

void write_file(const std::string &path, const std::string &head, const std::vector<char> &data) {
  std::ofstream f(path, std::ios::binary);
  f << head;
  f.write(data.data(), (std::streamsize)data.size());
}

std::vector<char> read_file(const std::string &path) {
  std::ifstream f(path, std::ios::binary | std::ios::ate);
  std::vector<char> out(f ? (size_t)f.tellg() : 0);
  f.seekg(0).read(out.data(), (std::streamsize)out.size());
  return out;
}

int open_fds() {
  int n = 0;
  if (DIR *d = opendir("/proc/self/fd")) {
    while (readdir(d)) n++;
    closedir(d);
  }
  return n;
}

std::vector<std::string> deleted_fds(const std::string &dir) {
  std::vector<std::string> out;
  if (DIR *d = opendir("/proc/self/fd")) {
    while (dirent *e = readdir(d)) {
      char target[4096];
      std::string name = std::string("/proc/self/fd/") + e->d_name;
      ssize_t n = readlink(name.c_str(), target, sizeof target - 1);
      if (n <= 0) continue;
      std::string text(target, (size_t)n);
      if (text.rfind(dir + "/", 0) == 0 && text.find(" (deleted)") != std::string::npos) out.push_back(name);
    }
    closedir(d);
  }
  return out;
}

mars_status read_range(Store &s, mx_source *f, int64_t offset, size_t bytes, std::vector<char> &out,
                       mars_error *err) {
  shim_io io = {};
  io.kind = SHIM_READ;
  io.source = f;
  io.offset = offset;
  io.bytes = bytes;
  io.phase = shim_source_phase(s, f, offset);
  io.buf = s.buffer(bytes);
  io.buf_bytes = (bytes + kAlign - 1) / kAlign * kAlign + 2 * kAlign;
  shim_run(s, &io, 1);
  EXPECT_EQ(io.times, 1);
  out.assign(io.buf + io.phase, io.buf + io.phase + bytes);
  if (err) *err = io.err;
  return io.status;
}

} // namespace io
