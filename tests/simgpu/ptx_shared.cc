#include "ptx_shared.h"

namespace sg {

void SharedShadow::begin_block() {
  block_epoch = full_epoch = ++epoch;
  partials.clear();
}

void SharedShadow::barrier(Cta &cta, uint32_t warps) {
  epoch++;
  uint32_t all = cta.warps.size() == 32 ? kFull : (1u << cta.warps.size()) - 1;
  if (warps == all) {
    full_epoch = epoch;
    partials.clear();
    for (Warp &w : cta.warps)
      w.syncs.clear();
  } else {
    partials.push_back(Partial{epoch, warps});
  }
}

void SharedShadow::forget_syncs(Warp &w) {
  partials.push_back(Partial{++epoch, 1u << w.index});
  w.syncs.clear();
}

/* Does a barrier lie between an access at `then` by lanes of a warp and what this lane does now? */
bool SharedShadow::is_ordered(const Warp &w, int lane, uint32_t then, unsigned warp, uint32_t lanes_then,
                              uint16_t sync) const {
  for (const Partial &p : partials) {
    bool is_both = (p.warps >> w.index & 1) && (warp == kManyWarps || (p.warps >> warp & 1));
    if (p.epoch > then && is_both)
      return true;
  }
  if (warp != static_cast<unsigned>(w.index))
    return false;
  for (size_t i = sync; i < w.syncs.size(); i++)
    if ((w.syncs[i] >> lane & 1) && (lanes_then & ~w.syncs[i]) == 0)
      return true;
  return false;
}

bool SharedShadow::race(Warp &w, const Op &op, int lane, uint64_t at, const Cell &cell, const char *what,
                        bool is_with_write) {
  const Launch &launch = *w.cta->launch;
  std::string other;
  if (is_with_write)
    other = "thread " + thread_name(launch, cell.write_thread) + " wrote";
  else if (cell.read_warp == kManyWarps)
    other = "threads of several warps read";
  else
    other = "thread " +
            thread_name(launch, cell.read_warp * kLanes + __builtin_ctz(cell.read_lanes & ~(1u << lane)
                                                                            ? cell.read_lanes & ~(1u << lane)
                                                                            : cell.read_lanes)) +
            " read";
  fault(w, op, lane, SG_PTX_E_RACE,
        std::string("race in shared memory: ") + what + " of byte " + std::to_string(at) + ", which " +
            other + " with no barrier in between");
  return false;
}

void SharedShadow::note_read(const Warp &w, int lane, Cell &cell, bool is_strong) const {
  uint16_t warp = static_cast<uint16_t>(w.index), sync = static_cast<uint16_t>(w.syncs.size());
  uint32_t bit = 1u << lane;

  if (cell.read_epoch < full_epoch || (cell.read_warp == warp && cell.read_epoch == epoch &&
                                       cell.read_sync < sync && w.syncs.back() == w.live)) {
    cell.read_lanes = bit; // earlier reads are behind a barrier of all that may follow
    cell.read_warp = warp;
    cell.is_read_strong = is_strong;
  } else if (cell.read_warp == warp) {
    cell.read_lanes |= bit;
    cell.is_read_strong = cell.is_read_strong && is_strong;
  } else {
    cell.read_warp = kManyWarps;
    cell.is_read_strong = cell.is_read_strong && is_strong;
  }
  cell.read_epoch = epoch;
  cell.read_sync = sync;
}

bool SharedShadow::touch(Warp &w, const Op &op, int lane, uint64_t at, size_t bytes, Touch kind,
                         const uint8_t *data) {
  const Launch &launch = *w.cta->launch;
  uint16_t thread = static_cast<uint16_t>(w.index * kLanes + lane),
           sync = static_cast<uint16_t>(w.syncs.size());
  bool is_checked = !(launch.flags & SG_PTX_NO_RACE_CHECK);
  bool is_strong = op.is_strong || kind == Touch::ATOMIC;

  for (size_t i = 0; i < bytes; i++) {
    Cell &cell = cells[at + i];
    bool was_written = cell.write_epoch >= block_epoch;
    if (kind != Touch::WRITE && !was_written && !(launch.flags & SG_PTX_NO_UNWRITTEN_CHECK)) {
      fault(w, op, lane, SG_PTX_E_UNWRITTEN,
            "read of shared memory that nobody in the block wrote: byte " + std::to_string(at + i));
      return false;
    }
    bool is_silent = kind == Touch::WRITE && was_written && w.cta->shared[at + i] == data[i];
    bool is_others =
        cell.write_epoch >= full_epoch && cell.write_thread != thread && !(is_strong && cell.is_write_strong);
    if (is_checked && is_others && !is_silent &&
        !is_ordered(w, lane, cell.write_epoch, cell.write_thread / kLanes, 1u << cell.write_thread % kLanes,
                    cell.write_sync))
      return race(w, op, lane, at + i, cell, kind == Touch::READ ? "read" : "write", true);
    if (kind == Touch::READ) {
      note_read(w, lane, cell, is_strong);
      continue;
    }
    bool is_mine = cell.read_warp == w.index && (cell.read_lanes & ~(1u << lane)) == 0;
    if (is_checked && cell.read_epoch >= full_epoch && cell.read_epoch > 0 && !is_mine && !is_silent &&
        !(is_strong && cell.is_read_strong) &&
        !is_ordered(w, lane, cell.read_epoch, cell.read_warp, cell.read_lanes & ~(1u << lane),
                    cell.read_sync))
      return race(w, op, lane, at + i, cell, "write", false);
    if (is_silent && cell.write_epoch >= full_epoch)
      continue; // the first writer stays on record
    cell.write_epoch = epoch;
    cell.write_thread = thread;
    cell.write_sync = sync;
    cell.is_write_strong = is_strong;
  }
  return true;
}

} // namespace sg
