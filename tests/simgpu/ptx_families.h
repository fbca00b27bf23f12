/* Words like add are shared by integers, floats and 16-bit floats: ptx_float.cc looks at the type and asks
 * the others. */
#pragma once
#include "ptx_decode.h"

namespace sg {

inline bool is_small_float(Type t) {
  return t == Type::F16 || t == Type::BF16 || t == Type::F16X2 || t == Type::BF16X2;
}

void decode_int_add(Decoder &d, Mods &m, Type t, bool is_sub); // ptx_int.cc
void decode_int_mul(Decoder &d, Mods &m, Type t);
void decode_int_mad(Decoder &d, Mods &m);
void decode_int_div(Decoder &d, Type t);
void decode_int_min(Decoder &d, Mods &m, Type t, bool is_max);
void decode_int_sign(Decoder &d, Type t, bool is_neg);
bool decode_int_halves(Decoder &d, Mods &m, const std::string &word);

void decode_half_arithmetic(Decoder &d, Mods &m, Type t); // ptx_half.cc: add, sub, mul, fma, min, max
void decode_half_function(Decoder &d, Mods &m, Type t);   // ex2, tanh
void decode_half_sign(Decoder &d, Mods &m, Type t, bool is_neg);

void decode_barrier(Decoder &d, Mods &m);   // ptx_barrier.cc
void decode_warp_sync(Decoder &d, Mods &m); // ptx_warp.cc

} // namespace sg
