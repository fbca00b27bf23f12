/* The loop that runs a warp: branches, calls, returns. */
#include "ptx_decode.h"

namespace sg {
namespace {

void set_bases(Warp &w) {
  w.bases[0] = w.frames.back().regs;
  w.bases[1] = const_cast<uint8_t *>(w.frames.back().code->constants.data()->bytes); // never a destination
}

/* Lanes leave: the function (entries of the last frame) or the kernel (all). */
void drop(Warp &w, uint32_t mask, bool is_exit) {
  for (size_t i = w.stack.size(); i-- > 0;) {
    if (!is_exit && w.stack[i].frame + 1 != w.frames.size())
      break;
    w.stack[i].mask &= ~mask;
  }
  if (is_exit)
    w.live &= ~mask;
}

/* Forget empty entries and the functions whose lanes have all returned. false: the warp is done. */
bool settle(Warp &w) {
  while (!w.stack.empty() && w.stack.back().mask == 0)
    w.stack.pop_back();
  if (w.stack.empty())
    return false;
  bool is_popped = false;
  while (w.stack.back().frame + 1 < w.frames.size()) {
    w.frames.pop_back();
    is_popped = true;
  }
  if (is_popped)
    set_bases(w);
  return true;
}

void copy_arguments(Warp &w, uint32_t mask, const std::vector<std::pair<uint64_t, size_t>> &theirs,
                    uint32_t their_base, const std::vector<uint64_t> &ours, uint32_t our_base, bool is_in) {
  size_t stride = w.cta->launch->local_stride;
  size_t n = std::min(theirs.size(), ours.size());
  each_lane(mask, [&](int l) {
    uint8_t *local = w.local.data() + static_cast<size_t>(l) * stride;
    for (size_t i = 0; i < n; i++) {
      uint8_t *a = local + their_base + theirs[i].first, *b = local + our_base + ours[i];
      if (is_in)
        memcpy(b, a, theirs[i].second);
      else
        memcpy(a, b, theirs[i].second);
    }
  });
}

bool enter(Warp &w, const Op &op, uint32_t mask, const Code *callee, const Call &call) {
  const Frame caller = w.frames.back();
  uint32_t base = caller.local_base + static_cast<uint32_t>(caller.code->local_bytes);

  if (base + callee->local_bytes > w.cta->launch->local_stride || w.frames.size() > 4096) {
    fault(w, op, __builtin_ctz(mask), SG_PTX_E_ILLEGAL_ADDRESS,
          "the stack is too small for the call of " + callee->fn->name);
    return false;
  }
  if (call.params.size() != callee->param_offsets.size() ||
      call.results.size() > callee->result_offsets.size()) {
    fault(w, op, __builtin_ctz(mask), SG_PTX_E_TRAP, "number of parameters of " + callee->fn->name);
    return false;
  }
  size_t depth = w.frames.size();
  if (w.buffers.size() <= depth)
    w.buffers.resize(depth + 1);
  size_t blocks = (callee->frame_bytes + 63) / 64;
  if (w.buffers[depth].size() < blocks)
    w.buffers[depth].resize(blocks);
  w.frames.push_back(Frame{callee, w.buffers[depth].data()->bytes, base, &op});
  copy_arguments(w, mask, call.params, caller.local_base, callee->param_offsets, base, true);
  w.stack.push_back(Entry{0, kNone, mask, static_cast<uint32_t>(depth)});
  set_bases(w);
  return true;
}

/* A call through a register: lanes may call different functions; each in turn, then all go on after the call.
 */
bool enter_indirect(Warp &w, const Op &op, uint32_t mask, const Call &call) {
  const uint64_t *address = slot<uint64_t>(w, op.a);
  const LoadedModule &module = *w.cta->launch->module;
  int first = __builtin_ctz(mask);
  uint64_t target = address[first];
  uint32_t same = 0;

  each_lane(mask, [&](int l) { same |= static_cast<uint32_t>(address[l] == target) << l; });
  size_t index = static_cast<size_t>((target & ~kWindowMask) >> 4);
  bool is_code = (target & kWindowMask) == kCodeWindow && index < module.ast.functions.size();
  auto it = is_code ? module.code_of.find(&module.ast.functions[index]) : module.code_of.end();
  if (it == module.code_of.end()) {
    fault(w, op, first, SG_PTX_E_ILLEGAL_ADDRESS, "call of " + hex(target) + ", which is no function");
    return false;
  }
  if (same != mask) { // the others run this call again: an entry of their own, which ends behind it
    Entry &e = w.stack.back();
    uint32_t here = static_cast<uint32_t>(&op - w.frames.back().code->ops.data());
    uint32_t frame = e.frame;
    w.stack.push_back(Entry{here, here + 1, mask & ~same, frame});
  }
  return enter(w, op, same, it->second, call);
}

/* The paths of a branch: the entry below waits where they meet, unless an outer one waits there anyway. */
void split(Warp &w, const Op &op, const uint32_t *targets, const uint32_t *masks, size_t n) {
  Entry here = w.stack.back();
  uint32_t join = op.join == kNone ? here.join : op.join;

  w.cta->launch->counts.divergent_branches++;
  w.stack.pop_back();
  if (join != kNone && join != here.join)
    w.stack.push_back(Entry{join, here.join, here.mask, here.frame});
  for (size_t i = 0; i < n; i++)
    if (targets[i] != join)
      w.stack.push_back(Entry{targets[i], join, masks[i], here.frame});
}

/* brx.idx. Sets the entry's pc. */
void branch_by_table(Warp &w, const Op &op, uint32_t mask) {
  const std::vector<uint32_t> &table = w.frames.back().code->tables[op.target];
  const uint32_t *index = slot<uint32_t>(w, op.a);
  uint32_t targets[kLanes + 1], masks[kLanes + 1];
  size_t n = 0;
  uint32_t others = w.stack.back().mask & ~mask;

  if (others)
    targets[n] = w.stack.back().pc + 1, masks[n++] = others;
  for (uint32_t left = mask; left;) {
    int first = __builtin_ctz(left);
    if (index[first] >= table.size()) {
      fault(w, op, first, SG_PTX_E_TRAP, "branch table has no entry " + std::to_string(index[first]));
      return;
    }
    uint32_t target = table[index[first]], same = 0;
    each_lane(left, [&](int l) {
      same |= static_cast<uint32_t>(index[l] < table.size() && table[index[l]] == target) << l;
    });
    left &= ~same;
    size_t k = 0;
    while (k < n && targets[k] != target)
      k++;
    if (k == n)
      targets[n] = target, masks[n++] = 0;
    masks[k] |= same;
  }
  if (n == 1)
    w.stack.back().pc = targets[0];
  else
    split(w, op, targets, masks, n);
}

/* Returns false when the warp must stop: done, waiting or faulted. The entry's pc is that of op. */
bool control(Warp &w, const Op &op, uint32_t mask) {
  Entry &e = w.stack.back();
  uint32_t pc = e.pc;

  switch (op.flow) {
  case Flow::NEXT:
    e.pc++;
    return true;
  case Flow::BRANCH: {
    uint32_t stay = e.mask & ~mask;
    if (!stay)
      e.pc = op.target;
    else if (!mask)
      e.pc++;
    else {
      uint32_t targets[2] = {pc + 1, op.target}, masks[2] = {stay, mask};
      if (targets[0] == targets[1])
        e.pc++;
      else
        split(w, op, targets, masks, 2);
    }
    return true;
  }
  case Flow::TABLE:
    if (!mask)
      e.pc++;
    else
      branch_by_table(w, op, mask);
    return w.cta->launch->status == SG_PTX_OK;
  case Flow::CALL: {
    e.pc++;
    if (!mask)
      return true;
    const Call &call = w.frames.back().code->calls[op.target];
    if (call.callee)
      return enter(w, op, mask, call.callee, call);
    if (op.a != kNone)
      return enter_indirect(w, op, mask, call);
    system_call(w, op, mask);
    return w.cta->launch->status == SG_PTX_OK;
  }
  case Flow::RET:
    if (w.frames.size() > 1) {
      e.pc++;
      if (!mask)
        return true;
      const Frame &f = w.frames.back();
      const Frame &caller = w.frames[w.frames.size() - 2];
      copy_arguments(w, mask, caller.code->calls[f.call->target].results, caller.local_base,
                     f.code->result_offsets, f.local_base, false);
      drop(w, mask, false);
      return true;
    }
    [[fallthrough]];
  case Flow::EXIT:
    e.pc++;
    drop(w, mask, true);
    return true;
  case Flow::BARRIER:
    e.pc++;
    return mask == 0 || arrive(w, op, mask);
  case Flow::TRAP:
    e.pc++;
    if (!mask)
      return true;
    fault(w, op, __builtin_ctz(mask), SG_PTX_E_TRAP, op.in->text());
    return false;
  }
  return true;
}

} // namespace

void run_warp(Warp &w, uint64_t quantum) {
  Launch &launch = *w.cta->launch;
  uint64_t left = quantum, thread_instructions = 0;

  set_bases(w);
  while (left > 0) {
    if (!settle(w)) {
      w.state = Warp::DONE;
      break;
    }
    const Entry e = w.stack.back();
    const Op *const ops = w.frames.back().code->ops.data();
    const Op *op = ops + e.pc;
    const Op *const join = e.join == kNone ? nullptr : ops + e.join;
    uint32_t mask = 0;
    bool is_control = false;
    if (op == join) { // the others come here, too: the entry below goes on for all
      w.stack.pop_back();
      continue;
    }
    while (left > 0 && op != join) { // straight code
      mask = e.mask;
      if (op->guard != kNone)
        mask &= op->is_guard_negated ? ~predicate(w, op->guard) : predicate(w, op->guard);
      thread_instructions += static_cast<uint64_t>(count_lanes(mask));
      left--;
      if (!op->run) {
        is_control = true;
        break;
      }
      if (mask)
        op->run(w, *op, mask);
      if (op->may_fault && launch.status != SG_PTX_OK)
        break;
      op++;
    }
    w.stack.back().pc = static_cast<uint32_t>(op - ops);
    if (launch.status != SG_PTX_OK)
      break;
    if (is_control && !control(w, *op, mask))
      break;
  }
  w.executed += quantum - left;
  launch.counts.instructions += thread_instructions;
  launch.counts.warp_instructions += quantum - left;
}

} // namespace sg
