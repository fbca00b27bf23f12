/*
 * Where diverged lanes meet again: the immediate post-dominator of the branch's block.
 *
 * Source: Cooper, Harvey and Kennedy, A Simple, Fast Dominance Algorithm (2001), on the reversed graph.
 */
#include <algorithm>

#include "ptx_decode.h"

namespace sg {
namespace {

class Graph {
public:
  explicit Graph(Code *code) : code(*code) {}

  void run() {
    find_blocks();
    find_edges();
    order();
    dominate();
    for (Op &op : code.ops) {
      if (op.flow != Flow::BRANCH && op.flow != Flow::TABLE)
        continue;
      size_t block = block_of[static_cast<size_t>(&op - code.ops.data())];
      size_t join = idom[block];
      op.join = join == kUnset || join == exit_block ? kNone : static_cast<uint32_t>(starts[join]);
    }
  }

private:
  static constexpr size_t kUnset = ~static_cast<size_t>(0);
  Code &code;
  std::vector<size_t> starts;   // of blocks
  std::vector<size_t> block_of; // op -> block
  size_t exit_block = 0;
  std::vector<std::vector<size_t>> next, previous;
  std::vector<size_t> postorder, number; // of the reversed graph, from the exit
  std::vector<size_t> idom;

  static bool ends_block(const Op &op) {
    return op.flow == Flow::BRANCH || op.flow == Flow::TABLE || op.flow == Flow::RET ||
           op.flow == Flow::EXIT || op.flow == Flow::TRAP;
  }

  void find_blocks() {
    std::vector<bool> is_start(code.ops.size() + 1, false);
    is_start[0] = true;
    for (size_t i = 0; i < code.ops.size(); i++) {
      const Op &op = code.ops[i];
      if (op.flow == Flow::BRANCH)
        is_start[op.target] = true;
      if (op.flow == Flow::TABLE)
        for (uint32_t t : code.tables[op.target])
          is_start[t] = true;
      if (ends_block(op))
        is_start[i + 1] = true;
    }
    for (size_t i = 0; i < code.ops.size(); i++) {
      if (is_start[i])
        starts.push_back(i);
      block_of.push_back(starts.size() - 1);
    }
    exit_block = starts.size();
  }

  void edge(size_t from, size_t to) {
    next[from].push_back(to);
    previous[to].push_back(from);
  }

  void find_edges() {
    next.resize(exit_block + 1);
    previous.resize(exit_block + 1);
    for (size_t b = 0; b < exit_block; b++) {
      size_t last = (b + 1 < exit_block ? starts[b + 1] : code.ops.size()) - 1;
      const Op &op = code.ops[last];
      bool falls = !ends_block(op) || op.guard != kNone;
      if (op.flow == Flow::BRANCH)
        edge(b, block_of[op.target]);
      else if (op.flow == Flow::TABLE)
        for (uint32_t t : code.tables[op.target])
          edge(b, block_of[t]);
      else if (ends_block(op))
        edge(b, exit_block);
      if (falls)
        edge(b, b + 1);
    }
  }

  void order() {
    number.assign(exit_block + 1, kUnset);
    std::vector<std::pair<size_t, size_t>> stack = {{exit_block, 0}};
    std::vector<bool> is_seen(exit_block + 1, false);
    is_seen[exit_block] = true;
    while (!stack.empty()) {
      size_t b = stack.back().first;
      if (stack.back().second < previous[b].size()) {
        size_t p = previous[b][stack.back().second++];
        if (!is_seen[p]) {
          is_seen[p] = true;
          stack.push_back({p, 0});
        }
      } else {
        number[b] = postorder.size();
        postorder.push_back(b);
        stack.pop_back();
      }
    }
  }

  size_t intersect(size_t a, size_t b) const {
    while (a != b) {
      while (number[a] < number[b])
        a = idom[a];
      while (number[b] < number[a])
        b = idom[b];
    }
    return a;
  }

  /* A block from which the end cannot be reached (an endless loop) stays unset. */
  void dominate() {
    idom.assign(exit_block + 1, kUnset);
    idom[exit_block] = exit_block;
    for (bool is_changed = true; is_changed;) {
      is_changed = false;
      for (size_t i = postorder.size(); i-- > 0;) {
        size_t b = postorder[i];
        if (b == exit_block)
          continue;
        size_t best = kUnset;
        for (size_t n : next[b]) {
          if (number[n] == kUnset || idom[n] == kUnset)
            continue;
          best = best == kUnset ? n : intersect(best, n);
        }
        if (best != idom[b]) {
          idom[b] = best;
          is_changed = true;
        }
      }
    }
  }
};

} // namespace

void find_joins(Code *code) {
  Graph(code).run();
}

} // namespace sg
