/* What the lanes of a warp do together: shfl, vote, match, redux, activemask, elect, bar.warp.sync. */
#include "ptx_decode.h"
#include "ptx_shared.h"

namespace sg {
namespace {

/*
 * The lanes that the member mask names must be here, unless they have ended. A warp whose lanes come by
 * different ways would wait on a GPU until all are at this instruction; here it is an error, because they
 * meet at no common place before it.
 */
bool check_members(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *members = slot<uint32_t>(w, op.e);
  for (uint32_t m = mask; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t missing = members[l] & w.live & ~mask;
    if (missing) {
      fault(w, op, l, SG_PTX_E_BARRIER,
            "the member mask " + hex(members[l]) + " names lanes that are elsewhere: " + hex(missing) +
                ", thread " + thread_name(*w.cta->launch, w.index * kLanes + __builtin_ctz(missing)) +
                " among them");
      return false;
    }
    if (!(members[l] >> l & 1)) {
      fault(w, op, l, SG_PTX_E_BARRIER, "the member mask " + hex(members[l]) + " lacks the lane itself");
      return false;
    }
  }
  return true;
}

enum { UP, DOWN, BFLY, IDX };

void shfl_op(Warp &w, const Op &op, uint32_t mask) {
  uint32_t *d = slot<uint32_t>(w, op.d);
  const uint32_t *b = slot<uint32_t>(w, op.b), *c = slot<uint32_t>(w, op.c);
  uint32_t a[kLanes], inside = 0;

  if (!check_members(w, op, mask))
    return;
  memcpy(a, slot<uint32_t>(w, op.a), sizeof a);
  each_lane(mask, [&](int l) {
    int segment = static_cast<int>(c[l] >> 8 & 31), clamp = static_cast<int>(c[l] & 31),
        by = static_cast<int>(b[l] & 31);
    int least = l & segment, most = least | (clamp & ~segment), j = l;
    bool is_inside = false;
    switch (op.mode) {
    case UP:
      j = l - by;
      is_inside = j >= most;
      break;
    case DOWN:
      j = l + by;
      is_inside = j <= most;
      break;
    case BFLY:
      j = l ^ by;
      is_inside = j <= most;
      break;
    default:
      j = least | (by & ~segment);
      is_inside = j <= most;
      break;
    }
    d[l] = a[is_inside ? j : l];
    inside |= static_cast<uint32_t>(is_inside) << l;
  });
  set_predicate(w, op.d2, mask, inside);
}

void decode_shfl(Decoder &d, Mods &m) {
  int mode = m.take_one_of({"up", "down", "bfly", "idx"});
  if (!m.take("sync") || mode < 0 || m.take_type() != Type::B32)
    throw Unknown{""};
  d.need(5);
  d.op.run = shfl_op;
  d.op.may_fault = true;
  d.op.mode = static_cast<uint8_t>(mode);
  d.op.d = d.dst(0, Type::B32);
  if (d.in->dst2.kind != Operand::NONE)
    d.op.d2 = d.destination(d.in->dst2, Type::PRED);
  d.op.a = d.src(1, Type::B32);
  d.op.b = d.src(2, Type::B32);
  d.op.c = d.src(3, Type::B32);
  d.op.e = d.src(4, Type::B32);
}

enum { ALL, ANY, UNI, BALLOT };

void vote_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *members = slot<uint32_t>(w, op.e);
  uint32_t p = predicate(w, op.c), result = 0;

  if (!check_members(w, op, mask))
    return;
  if (op.is_c_negated)
    p = ~p;
  each_lane(mask, [&](int l) {
    uint32_t who = members[l] & mask, yes = p & who;
    if (op.mode == BALLOT)
      slot<uint32_t>(w, op.d)[l] = yes;
    bool holds = op.mode == ALL ? yes == who : op.mode == ANY ? yes != 0 : yes == who || yes == 0;
    result |= static_cast<uint32_t>(holds) << l;
  });
  if (op.mode != BALLOT)
    set_predicate(w, op.d, mask, result);
}

void decode_vote(Decoder &d, Mods &m) {
  int mode = m.take_one_of({"all", "any", "uni", "ballot"});
  Type t = m.take_type();
  if (!m.take("sync") || mode < 0 || t != (mode == BALLOT ? Type::B32 : Type::PRED))
    throw Unknown{""};
  d.need(3);
  d.op.run = vote_op;
  d.op.may_fault = true;
  d.op.mode = static_cast<uint8_t>(mode);
  d.op.d = d.dst(0, t);
  d.op.c = d.predicate_source(d.in->operands[1], &d.op.is_c_negated);
  d.op.e = d.src(2, Type::B32);
}

template <class T> void match_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *members = slot<uint32_t>(w, op.e);
  uint32_t *d = slot<uint32_t>(w, op.d), all = 0;
  T a[kLanes];

  if (!check_members(w, op, mask))
    return;
  memcpy(a, slot<T>(w, op.a), sizeof a);
  each_lane(mask, [&](int l) {
    uint32_t same = 0, who = members[l] & mask;
    each_lane(who, [&](int k) { same |= static_cast<uint32_t>(a[k] == a[l]) << k; });
    if (op.mode == ANY)
      d[l] = same;
    else
      d[l] = same == who ? who : 0;
    all |= static_cast<uint32_t>(same == who) << l;
  });
  if (op.mode == ALL)
    set_predicate(w, op.d2, mask, all);
}

void decode_match(Decoder &d, Mods &m) {
  int mode = m.take_one_of({"all", "any"});
  Type t = m.take_type();
  if (!m.take("sync") || mode < 0 || (t != Type::B32 && t != Type::B64))
    throw Unknown{""};
  d.need(3);
  d.op.run = t == Type::B32 ? match_op<uint32_t> : match_op<uint64_t>;
  d.op.may_fault = true;
  d.op.mode = static_cast<uint8_t>(mode);
  d.op.d = d.dst(0, Type::B32);
  if (d.in->dst2.kind != Operand::NONE)
    d.op.d2 = d.destination(d.in->dst2, Type::PRED);
  d.op.a = d.src(1, t);
  d.op.e = d.src(2, Type::B32);
}

enum { REDUX_ADD, REDUX_MIN, REDUX_MAX, REDUX_AND, REDUX_OR, REDUX_XOR };

template <class T> void redux_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *members = slot<uint32_t>(w, op.e);
  T *d = slot<T>(w, op.d), a[kLanes];

  if (!check_members(w, op, mask))
    return;
  memcpy(a, slot<T>(w, op.a), sizeof a);
  each_lane(mask, [&](int l) {
    uint32_t who = members[l] & mask;
    T r = a[__builtin_ctz(who)];
    each_lane(who & (who - 1), [&](int k) {
      T x = a[k];
      switch (op.mode) {
      case REDUX_ADD:
        r = static_cast<T>(static_cast<uint32_t>(r) + static_cast<uint32_t>(x));
        break;
      case REDUX_MIN:
        r = x < r ? x : r;
        break;
      case REDUX_MAX:
        r = r < x ? x : r;
        break;
      case REDUX_AND:
        r &= x;
        break;
      case REDUX_OR:
        r |= x;
        break;
      default:
        r ^= x;
        break;
      }
    });
    d[l] = r;
  });
}

void decode_redux(Decoder &d, Mods &m) {
  int mode = m.take_one_of({"add", "min", "max", "and", "or", "xor"});
  Type t = m.take_type();
  bool is_bits = mode >= REDUX_AND;
  if (!m.take("sync") || mode < 0 || (is_bits ? t != Type::B32 : t != Type::U32 && t != Type::S32))
    throw Unknown{""};
  d.need(3);
  d.op.run = t == Type::S32 ? redux_op<int32_t> : redux_op<uint32_t>;
  d.op.may_fault = true;
  d.op.mode = static_cast<uint8_t>(mode);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.e = d.src(2, Type::B32);
}

void decode_activemask(Decoder &d, Mods &m) {
  if (m.take_type() != Type::B32)
    throw Unknown{""};
  d.need(1);
  d.op.d = d.dst(0, Type::B32);
  d.op.run = [](Warp &w, const Op &op, uint32_t mask) {
    lanes(mask, [d = slot<uint32_t>(w, op.d), mask](int l) { d[l] = mask; });
  };
}

void decode_elect(Decoder &d, Mods &m) {
  if (!m.take("sync"))
    throw Unknown{""};
  d.need(2);
  d.op.may_fault = true;
  d.op.d = d.dst(0, Type::B32);
  if (d.in->dst2.kind == Operand::NONE)
    throw Unknown{""};
  d.op.d2 = d.destination(d.in->dst2, Type::PRED);
  d.op.e = d.src(1, Type::B32);
  d.op.run = [](Warp &w, const Op &op, uint32_t mask) {
    if (!check_members(w, op, mask))
      return;
    uint32_t leader = static_cast<uint32_t>(__builtin_ctz(mask));
    lanes(mask, [d = slot<uint32_t>(w, op.d), leader](int l) { d[l] = leader; });
    set_predicate(w, op.d2, mask, 1u << leader);
  };
}

void warp_sync_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *members = slot<uint32_t>(w, op.e);

  if (!check_members(w, op, mask))
    return;
  for (uint32_t left = mask; left;) { // lanes with different masks are different groups
    uint32_t group = members[__builtin_ctz(left)] & mask;
    w.syncs.push_back(group);
    left &= ~group;
  }
  if (w.cta->shadow && w.syncs.size() > 1000)
    w.cta->shadow->forget_syncs(w);
}

} // namespace

/* bar.warp.sync: from ptx_barrier.cc */
void decode_warp_sync(Decoder &d, Mods &m) {
  m.take("sync");
  d.need(1);
  d.op.run = warp_sync_op;
  d.op.may_fault = true;
  d.op.e = d.src(0, Type::B32);
}

const Row kWarpRows[] = {
    {"shfl", decode_shfl},
    {"vote", decode_vote},
    {"match", decode_match},
    {"redux", decode_redux},
    {"activemask", decode_activemask},
    {"elect", decode_elect},
    {nullptr, nullptr},
};

} // namespace sg
