/* Branches, calls and other flow as rows; the functions of the system that kernels may call: vprintf,
 * __assertfail. */
#include <cstdio>

#include "ptx_access.h"
#include "ptx_families.h"

namespace sg {
namespace {

void decode_bra(Decoder &d, Mods &m) {
  m.take("uni");
  d.need(1);
  d.branch();
}

void decode_brx(Decoder &d, Mods &m) {
  if (!m.take("idx"))
    throw Unknown{""};
  m.take("uni");
  d.need(2);
  d.op.a = d.src(0, Type::U32);
  d.branch_table();
}

void decode_call(Decoder &d, Mods &m) {
  m.take("uni");
  d.call();
}

void decode_ret(Decoder &d, Mods &m) {
  m.take("uni");
  d.op.flow = d.is_entry() ? Flow::EXIT : Flow::RET;
}

void decode_exit(Decoder &d, Mods &) {
  d.op.flow = Flow::EXIT;
}
void decode_trap(Decoder &d, Mods &) {
  d.op.flow = Flow::TRAP;
}

/* Lanes run in order and blocks one after another: memory is always in order. */
void decode_fence(Decoder &d, Mods &m) {
  m.take("proxy");
  m.take_one_of({"async", "alias"});
  m.take_one_of({"sc", "acq_rel", "acquire", "release"});
  m.take_one_of({"cta", "cluster", "gpu", "sys", "gl"});
  d.op.flow = Flow::NEXT;
}

void decode_nothing(Decoder &d, Mods &m) {
  m.take_one_of({"u32", "launch_dependents", "wait", "mask"});
  d.op.flow = Flow::NEXT;
}

/* ---- functions of the system
 * ------------------------------------------------------------------------------------- */

template <class T> T argument(Warp &w, const Call &call, size_t i, int lane) {
  T value = {};
  const uint8_t *p = w.local.data() + static_cast<size_t>(lane) * w.cta->launch->local_stride +
                     w.local_base() + call.params[i].first;
  memcpy(&value, p, std::min(sizeof value, call.params[i].second));
  return value;
}

/* n bytes of a generic address, if they may be read. */
bool peek(Warp &w, int lane, uint64_t addr, void *out, size_t n) {
  Launch &launch = *w.cta->launch;
  if ((addr & kWindowMask) == kLocalWindow) {
    uint64_t at = addr & ~kWindowMask;
    if (at + n > launch.local_stride)
      return false;
    memcpy(out, w.local.data() + static_cast<size_t>(lane) * launch.local_stride + at, n);
    return true;
  }
  if (sg_memory_check_read(launch.mem, addr, n, 1, launch.device, nullptr, 0) != SG_MEMORY_OK)
    return false;
  memcpy(out, reinterpret_cast<const void *>(addr), n);
  return true;
}

bool peek_string(Warp &w, int lane, uint64_t addr, std::string *out) {
  char c;
  for (out->clear(); out->size() < 4096; *out += c) {
    if (!peek(w, lane, addr + out->size(), &c, 1))
      return false;
    if (c == 0)
      return true;
  }
  return true;
}

/* One conversion of a format, with its argument: 8 bytes, aligned; ints take 4. */
bool convert(Warp &w, int lane, const std::string &spec, uint64_t *args, std::string *out) {
  char text[512];
  char kind = spec.back();
  bool is_wide = spec.find('l') != std::string::npos || spec.find('j') != std::string::npos ||
                 spec.find('z') != std::string::npos;
  bool is_8 = is_wide || strchr("eEfFgGaAsp", kind);
  uint64_t word = 0;
  size_t bytes = is_8 ? 8 : 4;

  *args = (*args + bytes - 1) / bytes * bytes;
  if (!peek(w, lane, *args, &word, bytes))
    return false;
  *args += bytes;
  std::string flags;
  for (char c : spec.substr(0, spec.size() - 1))
    if (!strchr("hljzt", c))
      flags += c;
  if (kind == 's') {
    std::string s;
    if (!peek_string(w, lane, word, &s))
      return false;
    snprintf(text, sizeof text, (flags + "s").c_str(), s.c_str());
  } else if (strchr("eEfFgGaA", kind)) {
    double x;
    memcpy(&x, &word, sizeof x);
    snprintf(text, sizeof text, (flags + kind).c_str(), x);
  } else if (kind == 'p') {
    snprintf(text, sizeof text, (flags + "p").c_str(), reinterpret_cast<void *>(word));
  } else if (strchr("di", kind)) {
    long long x = is_8 ? static_cast<long long>(word) : static_cast<int32_t>(word);
    snprintf(text, sizeof text, (flags + "ll" + kind).c_str(), x);
  } else {
    snprintf(text, sizeof text, (flags + (kind == 'c' ? "" : "ll") + kind).c_str(), word);
  }
  *out += text;
  return true;
}

bool format(Warp &w, int lane, const std::string &f, uint64_t args, std::string *out) {
  for (size_t i = 0; i < f.size(); i++) {
    if (f[i] != '%' || i + 1 == f.size()) {
      *out += f[i];
    } else if (f[i + 1] == '%') {
      *out += f[++i];
    } else {
      size_t end = f.find_first_of("diouxXcsfFeEgGaAp", i + 1);
      if (end == std::string::npos || end - i > 20 || f.find('*', i) < end)
        return false;
      if (!convert(w, lane, f.substr(i, end - i + 1), &args, out))
        return false;
      i = end;
    }
  }
  return true;
}

void print(Warp &w, const Op &op, const Call &call, uint32_t mask) {
  for (uint32_t m = mask; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    std::string f, out;
    if (call.params.size() < 2 || !peek_string(w, l, argument<uint64_t>(w, call, 0, l), &f) ||
        !format(w, l, f, argument<uint64_t>(w, call, 1, l), &out)) {
      fault(w, op, l, SG_PTX_E_ILLEGAL_ADDRESS, "printf: its format or an argument cannot be read");
      return;
    }
    fputs(out.c_str(), stdout);
    if (call.results.empty())
      continue;
    int32_t n = static_cast<int32_t>(out.size());
    memcpy(w.local.data() + static_cast<size_t>(l) * w.cta->launch->local_stride + w.local_base() +
               call.results[0].first,
           &n, sizeof n);
  }
}

} // namespace

void system_call(Warp &w, const Op &op, uint32_t mask) {
  const Call &call = w.frames.back().code->calls[op.target];
  int first = __builtin_ctz(mask);

  if (call.name == "vprintf") {
    print(w, op, call, mask);
    return;
  }
  std::string what, file; // __assertfail(message, file, line, function, size of a char)
  if (call.params.size() >= 3) {
    peek_string(w, first, argument<uint64_t>(w, call, 0, first), &what);
    peek_string(w, first, argument<uint64_t>(w, call, 1, first), &file);
    file += ":" + std::to_string(argument<uint32_t>(w, call, 2, first));
  }
  fault(w, op, first, SG_PTX_E_TRAP, "assertion failed: " + what + " (" + file + ")");
}

const Row kFlowRows[] = {
    {"bra", decode_bra},         {"brx", decode_brx},
    {"call", decode_call},       {"ret", decode_ret},
    {"exit", decode_exit},       {"trap", decode_trap},
    {"brkpt", decode_trap},      {"bar", decode_barrier},
    {"barrier", decode_barrier}, {"membar", decode_fence},
    {"fence", decode_fence},     {"nanosleep", decode_nothing},
    {"pmevent", decode_nothing}, {"griddepcontrol", decode_nothing},
    {nullptr, nullptr},
};

} // namespace sg
