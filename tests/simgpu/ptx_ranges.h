/*
 * Which bytes of an allocation one launch touched, as runs: what the driver needs to see races between streams.
 *
 * Kept by lines of 256 bytes, each with its first and last byte that was touched: gaps inside of a line are not seen.
 *
 * Layer: tests/simgpu. Threads: that of the launch.
 */
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace sg {

class Ranges {
public:
  Ranges() = default;
  ~Ranges() { free(lines); }
  Ranges(const Ranges &) = delete;
  Ranges &operator=(const Ranges &) = delete;
  Ranges(Ranges &&other) noexcept : lines(other.lines), low(other.low), high(other.high) { other.lines = nullptr; }

  void open(size_t bytes) {
    lines = static_cast<Line *>(calloc(bytes / kLine + 1, sizeof(Line))); // pages that nobody touches cost nothing
    if (lines == nullptr) throw std::bad_alloc();
  }
  bool is_open() const { return lines != nullptr; }

  void add(size_t at, size_t bytes) {
    size_t end = at + bytes, last = (end - 1) / kLine;
    if (at / kLine < low) low = at / kLine;
    if (last > high) high = last;
    for (size_t i = at / kLine; i <= last; i++) {
      size_t from = at > i * kLine ? at - i * kLine : 0, to = end < (i + 1) * kLine ? end - i * kLine : kLine;
      if (lines[i].reach < kLine - from) lines[i].reach = static_cast<uint16_t>(kLine - from);
      if (lines[i].end < to) lines[i].end = static_cast<uint16_t>(to);
    }
  }

  // f(offset, bytes), ascending, at most `most` times
  template <class F> void each(size_t most, F f) const {
    size_t begin = 0, end = 0; // of the run that is growing; none while equal
    for (size_t i = low; i <= high && most > 0; i++) {
      if (lines[i].end == 0) continue;
      size_t from = i * kLine + kLine - lines[i].reach, to = i * kLine + lines[i].end;
      if (end == from && begin != end) {
        end = to;
        continue;
      }
      if (begin != end) f(begin, end - begin), most--;
      begin = from, end = to;
    }
    if (begin != end && most > 0) f(begin, end - begin);
  }

private:
  static constexpr size_t kLine = 256;
  struct Line {
    uint16_t reach, end; // from the first touched byte to the line's end; from the line's start to behind the last one
  };
  Line *lines = nullptr;
  size_t low = SIZE_MAX, high = 0;
};

} // namespace sg
