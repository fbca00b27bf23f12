/*
 * What the loop files share. Each is compiled once per instruction set with MX_ISA = baseline, avx2 or avx512.
 *
 * Layer: host, private to host/loops*.c and host/random.c.
 */
#ifndef MX_LOOPS_IMPL_H
#define MX_LOOPS_IMPL_H

#include "host/loops.h"
#include "host/scalar.h"

#define MX_PER_ISA(name) MX_CAT3(name, _, MX_ISA)

/* Each puts its pointers into the table. */
#define MX_LOOPS_DECLARE(isa)                                                                                \
  void mx_loops_fill_int_##isa(mx_loops *out);                                                               \
  void mx_loops_fill_float_##isa(mx_loops *out);                                                             \
  void mx_loops_fill_cast_##isa(mx_loops *out);                                                              \
  void mx_loops_fill_random_##isa(mx_loops *out);
MX_LOOPS_DECLARE(baseline)
MX_LOOPS_DECLARE(avx2)
MX_LOOPS_DECLARE(avx512)
#undef MX_LOOPS_DECLARE

#endif
