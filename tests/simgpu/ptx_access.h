/*
 * From the addresses of a warp's access to host pointers, with every check: ptx_access.cc. Loads, stores and
 * atomics use it.
 */
#pragma once
#include "ptx_decode.h"
#include "ptx_shared.h"

namespace sg {

constexpr size_t kMaxAccess = 32; // bytes of a lane: .v4.b64, .v8.b32

struct Access {
  size_t bytes, align; // of a lane
  Touch touch;
  const uint8_t (*data)[kMaxAccess]; // WRITE: what will be stored
  uint8_t *host[kLanes];             // out, for the lanes of the mask
  bool is_contiguous;                // out: all lanes of a full warp, one behind the other
};

/* false after a fault. The accesses are counted and, for writes, the bytes noted as written: the caller must
 * go on. */
bool resolve(Warp &w, const Op &op, uint32_t mask, Access *access);

/* Op.space and address operand i; .param of a device function is its local memory. Takes the modifiers of ld,
 * st and atom. */
void decode_address(Decoder &d, Mods &m, size_t i, const char *word);

} // namespace sg
