// A producer of tensors, as other software would be, and small sessions for what it gives.
#ifndef TESTS_INTEROP_UTIL_H
#define TESTS_INTEROP_UTIL_H

#include "engine/dlpack.h"
#include "tests/api_util.h"

#include <list>
#include <string>
#include <vector>

namespace interop {

using namespace api;

struct Producer {
  mx_dl_tensor t = {};
  std::vector<int64_t> shape, strides;
  int deleted = 0;
  DLManagedTensor plain = {};
  DLManagedTensorVersioned versioned = {};

  Producer(void *data, int code, int bits, std::vector<int64_t> dims) : shape(std::move(dims)) {
    t.data = data, t.device_type = MX_DL_CPU, t.ndim = (int)shape.size();
    t.code = (uint8_t)code, t.bits = (uint8_t)bits, t.lanes = 1;
  }
  DLManagedTensor *give() {
    t.shape = shape.data();
    if (!strides.empty()) t.strides = strides.data();
    plain.tensor = t, plain.context = this;
    plain.deleter = [](DLManagedTensor *self) { ((Producer *)self->context)->deleted++; };
    return &plain;
  }
  DLManagedTensorVersioned *give_versioned(uint32_t major = 1, uint64_t flags = 0) {
    versioned.tensor = give()->tensor, versioned.context = this;
    versioned.major = major, versioned.minor = 7, versioned.flags = flags;
    versioned.deleter = [](DLManagedTensorVersioned *self) { ((Producer *)self->context)->deleted++; };
    return &versioned;
  }
};

// They stay: whoever holds a tensor may give it back after the test's last line.
template <class... T> Producer &producer(T... t) {
  static std::list<Producer> all;
  return all.emplace_back(t...);
}

const struct {
  mars_dtype dt;
  int code, bits;
} kCodes[] = {{MARS_BOOL, 6, 8}, {MARS_I8, 0, 8}, {MARS_I16, 0, 16}, {MARS_I32, 0, 32}, {MARS_I64, 0, 64},
              {MARS_U8, 1, 8}, {MARS_U16, 1, 16}, {MARS_U32, 1, 32}, {MARS_U64, 1, 64}, {MARS_F16, 2, 16},
              {MARS_BF16, 4, 16}, {MARS_F32, 2, 32}, {MARS_F64, 2, 64}, {MARS_C64, 5, 64}, {MARS_C128, 5, 128}};

inline Config small_config(size_t budget = 4 * MiB) {
  Config c;
  c.budget = budget;
  c.devices = "host";
  return c;
}

inline size_t used(mars_session *s) {
  mars_session_info i;
  mars_session_get_info(s, &i);
  return i.arena_used_bytes;
}

} // namespace interop

#endif
