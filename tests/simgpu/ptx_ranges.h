/*
 * Which bytes of an allocation one launch touched, as runs: what the driver needs to see races between streams.
 *
 * Kept by lines of 64 bytes, each with its first and last byte that was touched: gaps inside of a line are not seen. So an
 * allocator that hands out pieces of one allocation must not make them smaller. Lines come in blocks, which exist where
 * something was touched: a launch that touches little of a large arena costs little.
 *
 * Layer: tests/simgpu. Threads: that of the launch.
 */
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sg {

class Ranges {
public:
  void open(size_t bytes) { blocks.resize(bytes / kLine / kLines + 1); }
  bool is_open() const { return !blocks.empty(); }

  void add(size_t at, size_t bytes) {
    size_t end = at + bytes, last = (end - 1) / kLine;
    for (size_t i = at / kLine; i <= last; i++) {
      std::unique_ptr<Line[]> &block = blocks[i / kLines];
      if (!block) block.reset(new Line[kLines]());
      Line &line = block[i % kLines];
      size_t from = at > i * kLine ? at - i * kLine : 0, to = end < (i + 1) * kLine ? end - i * kLine : kLine;
      line.reach = std::max(line.reach, static_cast<uint8_t>(kLine - from));
      line.end = std::max(line.end, static_cast<uint8_t>(to));
    }
  }

  // f(offset, bytes), ascending, at most `most` times
  template <class F> void each(size_t most, F f) const {
    size_t begin = 0, end = 0; // of the run that is growing; none while equal
    for (size_t b = 0; b < blocks.size(); b++)
      for (size_t i = 0; i < kLines && blocks[b] && most > 0; i++) {
        const Line &line = blocks[b][i];
        if (line.end == 0) continue;
        size_t start = (b * kLines + i) * kLine, from = start + kLine - line.reach, to = start + line.end;
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
  static constexpr size_t kLine = 64, kLines = 1024; // of a block
  struct Line {
    uint8_t reach, end; // from the first touched byte to the line's end; from the line's start to behind the last one
  };
  std::vector<std::unique_ptr<Line[]>> blocks; // none: nothing touched there
};

} // namespace sg
