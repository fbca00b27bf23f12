/* Free space of the slabs, against a map of blocks. */
#include "tests/io_shim.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace {

// One bit per block of every slab: what is used.
struct Model {
  std::vector<std::vector<bool>> used;
  // Length of the shortest free run that holds n blocks, 0 if there is none.
  size_t best(size_t n) const {
    size_t best = 0;
    for (const auto &slab : used)
      for (size_t i = 0, run = 0; i <= slab.size(); i++) {
        if (i < slab.size() && !slab[i]) {
          run++;
          continue;
        }
        if (run >= n && (!best || run < best)) best = run;
        run = 0;
      }
    return best;
  }
  size_t run_at(size_t slab, size_t at) const {
    size_t from = at, to = at;
    while (from > 0 && !used[slab][from - 1]) from--;
    while (to < used[slab].size() && !used[slab][to]) to++;
    return from == at ? to - from : 0; // 0: the place is not the begin of a free run
  }
};

TEST(Extents, BestFitAndCoalescingMatchAModel) {
  constexpr int64_t kBlock = 4096;
  std::mt19937 rng(7);
  shim_extents *e = shim_extents_create();
  Model m;
  struct Held {
    int32_t slab;
    int64_t offset, bytes;
  };
  std::vector<Held> held;
  for (int step = 0; step < 20000; step++) {
    if (m.used.size() < 6 && step % 500 == 0) {
      size_t blocks = 64 + rng() % 64;
      ASSERT_TRUE(shim_extents_add(e, (int32_t)m.used.size(), (int64_t)blocks * kBlock));
      m.used.emplace_back(blocks, false);
    }
    if (rng() % 100 < 52 || held.empty()) {
      size_t n = 1 + rng() % (rng() % 8 ? 6 : 40);
      size_t best = m.best(n);
      Held h = {-1, -1, (int64_t)n * kBlock};
      int got = shim_extents_acquire(e, h.bytes, &h.slab, &h.offset);
      ASSERT_EQ(got, best ? 1 : 0);
      if (!got) continue;
      ASSERT_EQ(h.offset % kBlock, 0);
      ASSERT_EQ(m.run_at((size_t)h.slab, (size_t)(h.offset / kBlock)), best);
      for (size_t i = 0; i < n; i++) m.used[(size_t)h.slab][(size_t)(h.offset / kBlock) + i] = true;
      held.push_back(h);
    } else {
      size_t k = rng() % held.size();
      Held h = held[k];
      held[k] = held.back();
      held.pop_back();
      shim_extents_release(e, h.slab, h.offset, h.bytes);
      for (int64_t i = 0; i < h.bytes / kBlock; i++)
        m.used[(size_t)h.slab][(size_t)(h.offset / kBlock + i)] = false;
    }
  }
  for (const Held &h : held) shim_extents_release(e, h.slab, h.offset, h.bytes);
  for (const auto &slab : m.used) { // all is one run again
    int32_t at;
    int64_t offset;
    EXPECT_EQ(shim_extents_acquire(e, (int64_t)slab.size() * kBlock, &at, &offset), 1);
    EXPECT_EQ(offset, 0);
  }
  shim_extents_destroy(e);
}

TEST(Extents, NothingFitsNothing) {
  shim_extents *e = shim_extents_create();
  int32_t slab;
  int64_t offset;
  EXPECT_EQ(shim_extents_acquire(e, 4096, &slab, &offset), 0);
  ASSERT_TRUE(shim_extents_add(e, 0, 8192));
  EXPECT_EQ(shim_extents_acquire(e, 12288, &slab, &offset), 0);
  EXPECT_EQ(shim_extents_acquire(e, 8192, &slab, &offset), 1);
  EXPECT_EQ(shim_extents_acquire(e, 4096, &slab, &offset), 0);
  shim_extents_release(e, slab, offset, 8192);
  shim_extents_destroy(e);
}

} // namespace
