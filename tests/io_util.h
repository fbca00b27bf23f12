/*
 * Shared by the tests of io/: a store in a temporary directory, transfers that lay out their buffers, npy
 * files by hand.
 */
#ifndef TESTS_IO_UTIL_H
#define TESTS_IO_UTIL_H

#include "tests/io_shim.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace io {

struct Mode {
  const char *backend;
  bool direct;
};
std::string mode_name(const testing::TestParamInfo<Mode> &info); // uring_direct

constexpr size_t kMiB = (size_t)1 << 20;
constexpr size_t kAlign = 4096;

class TempDir {
public:
  TempDir();
  ~TempDir();
  std::string operator/(const std::string &name) const { return path + "/" + name; }
  std::vector<std::string> files() const;
  std::string path;
};

struct Options {
  Mode mode = {nullptr, true};
  std::vector<std::string> spill;
  size_t spill_budget = 0;
  size_t arena = 64 * kMiB;
};

// A store and its arena, from which buffers are cut one after another.
class Store {
public:
  explicit Store(const Options &o);
  ~Store(); // expects that nothing has leaked
  operator shim_store *() const { return s; }
  char *buffer(size_t bytes); // aligned; at least bytes + 2 blocks
  void rewind() { used = 0; }
  shim_store *s = nullptr;

private:
  size_t used = 0, size;
};

std::vector<char> random_bytes(size_t n, uint32_t seed);
std::string npy_header(const std::string &dict, int major = 1); // padded to 64, as NumPy does
void write_file(const std::string &path, const std::string &head, const std::vector<char> &data);
std::vector<char> read_file(const std::string &path);
int open_fds();
// Names of deleted files that this process holds open, of those whose old path begins with dir.
std::vector<std::string> deleted_fds(const std::string &dir);

// Read (write) one range of the file's data, with a buffer made for it; MARS_OK and data on success.
mars_status read_range(Store &s, mx_source *f, int64_t offset, size_t bytes, std::vector<char> &out,
                       mars_error *err);

} // namespace io
#endif
