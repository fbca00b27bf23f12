/*
 * Elementwise loops over bool and the integers.
 *
 * Layer: host; contract in host/loops.h.
 */
#include "host/loops_impl.h"

#include "host/scalar_bool.h"
#define PREFIX b
#define T uint8_t
#define RT uint8_t
#define KIND b
#define DTYPE MARS_BOOL
#include "host/loops_pass.inc"

#define PREFIX i8
#define T int8_t
#define UT uint8_t
#define BITS 8
#define SIGNED 1
#include "host/scalar_int.h"
#define PREFIX i8
#define T int8_t
#define RT T
#define KIND i
#define DTYPE MARS_I8
#include "host/loops_pass.inc"

#define PREFIX u8
#define T uint8_t
#define UT uint8_t
#define BITS 8
#define SIGNED 0
#include "host/scalar_int.h"
#define PREFIX u8
#define T uint8_t
#define RT T
#define KIND i
#define DTYPE MARS_U8
#include "host/loops_pass.inc"

#define PREFIX i16
#define T int16_t
#define UT uint16_t
#define BITS 16
#define SIGNED 1
#include "host/scalar_int.h"
#define PREFIX i16
#define T int16_t
#define RT T
#define KIND i
#define DTYPE MARS_I16
#include "host/loops_pass.inc"

#define PREFIX u16
#define T uint16_t
#define UT uint16_t
#define BITS 16
#define SIGNED 0
#include "host/scalar_int.h"
#define PREFIX u16
#define T uint16_t
#define RT T
#define KIND i
#define DTYPE MARS_U16
#include "host/loops_pass.inc"

#define PREFIX i32
#define T int32_t
#define UT uint32_t
#define BITS 32
#define SIGNED 1
#include "host/scalar_int.h"
#define PREFIX i32
#define T int32_t
#define RT T
#define KIND i
#define DTYPE MARS_I32
#include "host/loops_pass.inc"

#define PREFIX u32
#define T uint32_t
#define UT uint32_t
#define BITS 32
#define SIGNED 0
#include "host/scalar_int.h"
#define PREFIX u32
#define T uint32_t
#define RT T
#define KIND i
#define DTYPE MARS_U32
#include "host/loops_pass.inc"

#define PREFIX i64
#define T int64_t
#define UT uint64_t
#define BITS 64
#define SIGNED 1
#include "host/scalar_int.h"
#define PREFIX i64
#define T int64_t
#define RT T
#define KIND i
#define DTYPE MARS_I64
#include "host/loops_pass.inc"

#define PREFIX u64
#define T uint64_t
#define UT uint64_t
#define BITS 64
#define SIGNED 0
#include "host/scalar_int.h"
#define PREFIX u64
#define T uint64_t
#define RT T
#define KIND i
#define DTYPE MARS_U64
#include "host/loops_pass.inc"

void MX_PER_ISA(mx_loops_fill_int)(mx_loops *out) {
  fill_b(out);
  fill_i8(out);
  fill_i16(out);
  fill_i32(out);
  fill_i64(out);
  fill_u8(out);
  fill_u16(out);
  fill_u32(out);
  fill_u64(out);
}
