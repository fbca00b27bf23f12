/*
 * Who touched which byte of shared memory since the last barrier: races, and reads of what nobody wrote.
 *
 * Two accesses of a byte by different threads conflict when one of them writes and no barrier lies between; a
 * bar.warp.sync of both lanes orders lanes of one warp. A write of the value that is there already, and two
 * accesses that are both volatile, atomic or otherwise strong, are no conflict.
 */
#pragma once
#include "ptx_exec.h"

namespace sg {

enum class Touch { READ, WRITE, ATOMIC };

struct SharedShadow {
  /* Room for this many bytes. What an earlier launch left in them is older than every block that begins. */
  void reserve(size_t bytes) {
    if (epoch > UINT32_MAX / 2)
      *this = SharedShadow();
    if (cells.size() < bytes)
      cells.resize(bytes);
  }
  void begin_block();
  void barrier(Cta &cta, uint32_t warps);
  void forget_syncs(Warp &w); // a long list of them becomes one point in time

  /* One lane touches [at, at + bytes). `data`: what a write is about to store. \return false after a fault */
  bool touch(Warp &w, const Op &op, int lane, uint64_t at, size_t bytes, Touch kind, const uint8_t *data);

private:
  struct Cell {
    uint32_t write_epoch = 0;
    uint16_t write_thread = 0, write_sync = 0;
    uint32_t read_epoch = 0, read_lanes = 0;
    uint16_t read_warp = 0, read_sync = 0;
    bool is_write_strong = false, is_read_strong = false;
  };
  struct Partial { // a barrier of some warps
    uint32_t epoch, warps;
  };
  std::vector<Cell> cells;
  std::vector<Partial> partials; // since the last full barrier
  uint32_t epoch = 0;            // grows with every barrier
  uint32_t full_epoch = 0;       // of the last barrier of all threads
  uint32_t block_epoch = 0;      // at the block's begin

  static constexpr uint16_t kManyWarps = 0xffff;

  bool is_ordered(const Warp &w, int lane, uint32_t then, unsigned warp, uint32_t lanes_then,
                  uint16_t sync) const;
  bool race(Warp &w, const Op &op, int lane, uint64_t at, const Cell &cell, const char *what,
            bool is_with_write);
  void note_read(const Warp &w, int lane, Cell &cell, bool is_strong) const;
};

} // namespace sg
