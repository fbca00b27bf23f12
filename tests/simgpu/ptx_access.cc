#include "ptx_access.h"

#include <algorithm>

namespace sg {
namespace {

constexpr uint64_t kSector = 32;

sg_ptx_status status_of(sg_memory_fault fault) {
  switch (fault) {
  case SG_MEMORY_MISALIGNED:
    return SG_PTX_E_MISALIGNED;
  case SG_MEMORY_UNWRITTEN:
    return SG_PTX_E_UNWRITTEN;
  default:
    return SG_PTX_E_ILLEGAL_ADDRESS;
  }
}

/* ---- global
 * ------------------------------------------------------------------------------------------------------ */

/* The registry has the words for what a fast check found. */
bool global_fault(Warp &w, const Op &op, int lane, uint64_t addr, const Access &a) {
  Launch &launch = *w.cta->launch;
  char why[512];
  sg_memory_fault found = SG_MEMORY_OK;

  if (a.touch != Touch::WRITE)
    found = sg_memory_check_read(launch.mem, addr, a.bytes, a.align, launch.device, why, sizeof why);
  if (a.touch != Touch::READ && found == SG_MEMORY_OK)
    found = sg_memory_check_write(launch.mem, addr, a.bytes, a.align, launch.device, why, sizeof why);
  if (found == SG_MEMORY_OK) { // it was freed, and another one made of it, in the middle of this
    found = SG_MEMORY_FREED;
    snprintf(why, sizeof why, "access to 0x%llx, which was freed meanwhile",
             static_cast<unsigned long long>(addr));
  }
  fault(w, op, lane, status_of(found), why);
  return false;
}

Met *find_met(Launch &launch, uint64_t addr) {
  for (size_t &i : launch.recent)
    if (i < launch.met.size() && launch.met[i].allocation->holds(addr, 1) &&
        launch.met[i].allocation->is_live.load(std::memory_order_relaxed)) {
      size_t found = i;
      std::swap(launch.recent[0], i); // the last one used is looked at first
      return &launch.met[found];
    }
  std::shared_ptr<Allocation> a = launch.mem->lookup(addr);
  if (!a)
    return nullptr;
  size_t i = 0;
  while (i < launch.met.size() && launch.met[i].allocation != a)
    i++;
  if (i == launch.met.size()) {
    launch.met.emplace_back();
    launch.met[i].allocation = a;
    launch.met[i].is_ours = launch.mem->may_access(launch.device, *a);
    if (launch.grid->touched != nullptr) {
      launch.met[i].read_ranges.open(a->info.bytes);
      launch.met[i].written_ranges.open(a->info.bytes);
    }
    if (launch.flags & SG_PTX_COUNT_DISTINCT) {
      launch.met[i].read_map = std::make_unique<ByteMap>(a->info.bytes);
      launch.met[i].written_map = std::make_unique<ByteMap>(a->info.bytes);
      if (!launch.met[i].read_map->is_valid() || !launch.met[i].written_map->is_valid())
        throw std::bad_alloc();
    }
  }
  std::rotate(launch.recent, launch.recent + 3, launch.recent + 4);
  launch.recent[0] = i;
  return &launch.met[i];
}

/* n bytes at addr, in one allocation: everything but alignment. */
bool check_range(Launch &launch, Met &met, uint64_t addr, size_t n, Touch touch) {
  Allocation &a = *met.allocation;

  if (!a.holds(addr, n) || !met.is_ours)
    return false;
  size_t at = addr - a.info.base;
  if (touch != Touch::WRITE) {
    if (!(launch.flags & SG_PTX_NO_UNWRITTEN_CHECK) && !a.is_written(addr, n))
      return false;
    met.read_bytes += n;
    if (met.read_map)
      met.read_map->set(at, n);
    if (met.read_ranges.is_open())
      met.read_ranges.add(at, n);
  }
  if (touch != Touch::READ) {
    if (a.info.kind == SG_MEMORY_CONST)
      return false;
    a.mark(addr, n);
    met.written_bytes += n;
    if (met.written_map)
      met.written_map->set(at, n);
    if (met.written_ranges.is_open())
      met.written_ranges.add(at, n);
  }
  return true;
}

/* What lanes of an access ask for, one after the other: a sector once while lanes stay in it. */
uint64_t sectors_of(uint32_t mask, const uint64_t *addr, size_t bytes) {
  uint64_t n = 0, last = ~0ull;

  each_lane(mask, [&](int l) {
    for (uint64_t s = addr[l] / kSector; s <= (addr[l] + bytes - 1) / kSector; s++) {
      n += s != last;
      last = s;
    }
  });
  return n;
}

bool check_global(Warp &w, const Op &op, uint32_t mask, const uint64_t *addr, Access *a) {
  Launch &launch = *w.cta->launch;
  const size_t bytes = a->bytes;
  const uint64_t first = addr[__builtin_ctz(mask)];
  uint64_t low_bits = 0, unequal = 0;
  const int count = count_lanes(mask);

  if (mask == kFull) {
    uint64_t strided = 0;
    for (uint64_t l = 0; l < kLanes; l++) {
      low_bits |= addr[l];
      unequal |= addr[l] ^ first;
      strided |= addr[l] ^ (first + l * bytes);
    }
    a->is_contiguous = strided == 0;
  } else {
    each_lane(mask, [&](int l) { low_bits |= addr[l]; });
    unequal = 1;
  }
  uint64_t total = bytes * static_cast<uint64_t>(count);
  if (a->touch != Touch::ATOMIC) {
    launch.counts.global_sectors += a->is_contiguous ? (first + total - 1) / kSector - first / kSector + 1 : sectors_of(mask, addr, bytes);
    if (a->touch == Touch::READ)
      launch.counts.global_read_bytes += total, launch.counts.global_loads += static_cast<uint64_t>(count);
    else
      launch.counts.global_written_bytes += total,
          launch.counts.global_stores += static_cast<uint64_t>(count);
  }
  each_lane(mask, [&](int l) { a->host[l] = reinterpret_cast<uint8_t *>(addr[l]); });
  if (!(low_bits & (a->align - 1))) {
    Met *met = find_met(launch, first);
    if (a->is_contiguous && met && check_range(launch, *met, first, bytes * kLanes, a->touch))
      return true;
    if (!unequal && met && check_range(launch, *met, first, bytes, a->touch)) {
      (a->touch == Touch::WRITE ? met->written_bytes : met->read_bytes) += bytes * (kLanes - 1);
      return true;
    }
  }
  a->is_contiguous = false;
  for (uint32_t m = mask; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    Met *met = find_met(launch, addr[l]);
    if (!met || (addr[l] & (a->align - 1)) || !check_range(launch, *met, addr[l], bytes, a->touch))
      return global_fault(w, op, l, addr[l], *a);
  }
  return true;
}

/* ---- the other spaces
 * -------------------------------------------------------------------------------------------- */

const char *touch_name(Touch touch) {
  return touch == Touch::READ ? "read" : touch == Touch::WRITE ? "write" : "atomic operation";
}

bool window_fault(Warp &w, const Op &op, int lane, const Access &a, uint64_t at, const char *space,
                  const std::string &limits) {
  bool is_misaligned = at & (a.align - 1);
  fault(w, op, lane, is_misaligned ? SG_PTX_E_MISALIGNED : SG_PTX_E_ILLEGAL_ADDRESS,
        std::string(touch_name(a.touch)) + " of " + std::to_string(a.bytes) + " bytes at " + space +
            " address " + hex(at) +
            (is_misaligned ? ": not aligned to " + std::to_string(a.align) : ": out of bounds, " + limits));
  return false;
}

bool check_shared(Warp &w, const Op &op, uint32_t mask, const uint64_t *addr, Access *a) {
  Launch &launch = *w.cta->launch;

  launch.counts.shared_accesses += static_cast<uint64_t>(count_lanes(mask));
  for (uint32_t m = mask; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t at = addr[l];
    bool is_static = at + a->bytes <= launch.static_shared && at < launch.static_shared;
    bool is_dynamic =
        at >= launch.dynamic_base && at < launch.shared_bytes && at + a->bytes <= launch.shared_bytes;
    if ((!is_static && !is_dynamic) || (at & (a->align - 1)))
      return window_fault(w, op, l, *a, at, "shared",
                          "the block has " + std::to_string(launch.static_shared) + " bytes, and " +
                              std::to_string(launch.grid->dynamic_shared_bytes) + " of dynamic size from " +
                              hex(launch.dynamic_base));
    a->host[l] = w.cta->shared.data() + at;
    if (!w.cta->shadow->touch(w, op, l, at, a->bytes, a->touch,
                              a->touch == Touch::WRITE ? a->data[l] : nullptr))
      return false;
    // a store of the same instruction by a later lane must see this one's value
    if (a->touch == Touch::WRITE)
      memcpy(a->host[l], a->data[l], a->bytes);
  }
  return true;
}

bool check_local(Warp &w, const Op &op, uint32_t mask, const uint64_t *addr, Access *a) {
  size_t stride = w.cta->launch->local_stride;

  w.cta->launch->counts.local_accesses +=
      op.space == Space::PARAM ? 0 : static_cast<uint64_t>(count_lanes(mask));
  for (uint32_t m = mask; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (addr[l] >= stride || addr[l] + a->bytes > stride || (addr[l] & (a->align - 1)))
      return window_fault(w, op, l, *a, addr[l], "local",
                          "a thread has " + std::to_string(stride) + " bytes");
    a->host[l] = w.local.data() + static_cast<size_t>(l) * stride + addr[l];
  }
  return true;
}

bool check_param(Warp &w, const Op &op, uint32_t mask, const uint64_t *addr, Access *a) {
  Launch &launch = *w.cta->launch;

  for (uint32_t m = mask; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (a->touch != Touch::READ || addr[l] >= launch.params.size() ||
        addr[l] + a->bytes > launch.params.size() || (addr[l] & (a->align - 1)))
      return window_fault(w, op, l, *a, addr[l], "parameter",
                          "the kernel has " + std::to_string(launch.params.size()) +
                              " bytes, which may only be read");
    a->host[l] = launch.params.data() + addr[l];
  }
  return true;
}

bool check_generic(Warp &w, const Op &op, uint32_t mask, uint64_t *addr, Access *a) {
  uint32_t left = mask;

  while (left) {
    uint64_t window = addr[__builtin_ctz(left)] & kWindowMask;
    uint32_t same = 0;
    each_lane(left, [&](int l) { same |= static_cast<uint32_t>((addr[l] & kWindowMask) == window) << l; });
    if (window == kSharedWindow || window == kLocalWindow || window == kParamWindow)
      each_lane(same, [&](int l) { addr[l] &= ~kWindowMask; });
    bool is_fine = window == kSharedWindow  ? check_shared(w, op, same, addr, a)
                   : window == kLocalWindow ? check_local(w, op, same, addr, a)
                   : window == kParamWindow ? check_param(w, op, same, addr, a)
                                            : check_global(w, op, same, addr, a);
    if (!is_fine)
      return false;
    left &= ~same;
  }
  return true;
}

} // namespace

bool resolve(Warp &w, const Op &op, uint32_t mask, Access *a) {
  uint64_t addr[kLanes];
  uint64_t add = static_cast<uint64_t>(op.imm);

  a->is_contiguous = false;
  if (op.is_address_32) {
    const uint32_t *base = slot<uint32_t>(w, op.a);
    lanes(mask, [=, &addr](int l) { addr[l] = static_cast<uint32_t>(base[l] + add); });
  } else {
    const uint64_t *base = slot<uint64_t>(w, op.a);
    lanes(mask, [=, &addr](int l) { addr[l] = base[l] + add; });
  }
  switch (op.space) {
  case Space::GLOBAL:
  case Space::CONST:
    return check_global(w, op, mask, addr, a);
  case Space::SHARED:
    return check_shared(w, op, mask, addr, a);
  case Space::LOCAL:
    return check_local(w, op, mask, addr, a);
  case Space::PARAM:
    return op.is_local_param ? check_local(w, op, mask, addr, a) : check_param(w, op, mask, addr, a);
  case Space::GENERIC:
    return check_generic(w, op, mask, addr, a);
  }
  return false;
}

/* ---- decoding
 * ---------------------------------------------------------------------------------------------------- */

void decode_address(Decoder &d, Mods &m, size_t i, const char *word) {
  static const Space spaces[] = {Space::GLOBAL, Space::SHARED, Space::SHARED, Space::LOCAL,
                                 Space::CONST,  Space::PARAM,  Space::PARAM,  Space::PARAM};
  int space = m.take_one_of(
      {"global", "shared", "shared::cta", "local", "const", "param", "param::entry", "param::func"});
  const Operand &o = d.in->operands[i];

  d.op.space = space < 0 ? Space::GENERIC : spaces[space];
  bool is_order =
      m.take_one_of({"relaxed", "acquire", "release", "acq_rel", "volatile", "mmio", "seq_cst"}) >= 0;
  d.op.is_strong = is_order;
  m.take("weak");
  m.take_one_of({"cta", "cluster", "gpu", "sys"});
  m.take_one_of({"ca", "cg", "cs", "lu", "cv", "wb", "wt"});
  m.take("nc");
  for (const char *hint :
       {"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate",
        "L2::evict_first", "L2::evict_last", "L2::evict_normal", "L2::64B", "L2::128B", "L2::256B"})
    m.take(hint);
  d.op.may_fault = true;
  d.address(o, d.op.space);
  if (d.op.space == Space::PARAM)
    d.op.is_local_param = !d.is_entry() || (o.var && d.is_own(o.var));
  // the name of a variable in another space than its own
  if (o.var && d.op.space != Space::GENERIC && o.var->space != d.op.space)
    throw Unknown{o.var->name + " is not in this space"};
}

} // namespace sg
