/*
 * Kernel programs: what one pass over a tile computes, as a short SSA list. Made by engine/fuse, run by devices.
 *
 * A program runs over a tile of an iteration space (ndim extents, C order). Each SSA value is one element per
 * iteration point. Loads, stores and generated values see the point through a binding with one stride per
 * iteration dimension (engine/device.h), so slices, transposes, flips and broadcasts cost nothing here.
 *
 * Layer: engine. Immutable after mx_program_seal; any thread may read.
 */
#ifndef MX_PROGRAM_H
#define MX_PROGRAM_H

#include "engine/mem.h"
#include "engine/op.h"

typedef enum mx_instr_kind {
  MX_I_LOAD,   /* dst[dtype] = in[slot]; dtype is the stored dtype, halves too */
  MX_I_CONST,  /* dst[dtype] = consts[slot] */
  MX_I_IOTA,   /* dst[i64] = gen[slot].base + sum stride_j * i_j */
  MX_I_RANDOM, /* dst[dtype] = random(gens[slot]) at element index gen[slot].base + sum stride_j * i_j */
  MX_I_CAST,   /* dst[dtype] = (dtype) src0[from] */
  MX_I_ROUND,  /* dst[f32] = src0[f32] rounded to `dtype` (f16 or bf16) and back */
  MX_I_OP,     /* dst = op(src...), loop dtype `dtype`. Result dtype is mx_op_result_dtype(op, dtype).
                  WHERE: src0 is bool. dtype F16, BF16 occur for NEXTAFTER and SPACING alone: the
                  registers are f32 that hold half values. */
  MX_I_STORE,  /* out[slot] = src0[dtype] */
  MX_I_REDUCE, /* out[slot] accumulates src0[dtype] over the dimensions in reduce_mask (op: a REDUCE row) */
  MX_I_SCAN    /* out[slot] = running op over the one dimension in reduce_mask of src0[dtype] (op: a SCAN row;
                  src0 has been cast to the result dtype, f32 for halves; out is stored in that dtype, so halves
                  are rounded by a kernel after this one) */
} mx_instr_kind;

typedef struct mx_instr {
  uint8_t kind, dtype, from, pad;
  uint16_t op;
  uint16_t slot;
  int32_t dst;    /* SSA value, -1 for STORE, REDUCE, SCAN */
  int32_t src[3]; /* SSA values, -1 unused */
} mx_instr;

typedef struct mx_const {
  mars_dtype dtype; /* never a half: those are f32 constants */
  union {
    uint8_t b;
    int64_t i;   /* every signed width: the value, to be narrowed */
    uint64_t u;  /* every unsigned width */
    double f;    /* f32: to be narrowed (it is exact) */
    double c[2]; /* c64 too */
  } v;
} mx_const;

/* One random stream. Element index e (64 bits), seed, stream fix the value: Philox 4x32-10 with
   key = (seed low, seed high); counter = (block low, block high, stream low 32, attempt << 24 | stream bits 32..55).
   block and what is taken from it: f64 uniform, exponential: block e/2, 64-bit word e%2 (words 0,1 and 2,3, low first);
   f32: block e/4, 32-bit word e%4; normal f64: elements 2k, 2k+1 are Box-Muller's cosine and sine from block k's two
   doubles; normal f32: 4k..4k+3 from the four words in two pairs; integers, bernoulli: as f64 uniform's words, integers
   rejected by Lemire's method take attempt + 1 of the same block and word.
   f64 uniform u = (word >> 11) * 2^-53; f32 u = (word >> 8) * 2^-24; result low + u * (high - low), limited below high.
   f32 does this in f32, with low and high rounded to it; product and sum are rounded each, not fused. u itself for [0, 1).
   exponential: -log1p(-u). Box-Muller: r = sqrt(-2 log(1 - u1)), angle 2 pi u2. bernoulli: u < p. integers: low + the
   high word of word * range, narrowed; a 256th attempt would be taken as it is; range 0: low + word. */
typedef struct mx_random {
  mx_op op; /* UNIFORM, NORMAL, EXPONENTIAL, INTEGERS, BERNOULLI */
  mars_dtype dtype;
  uint64_t seed, stream;
  double p0, p1;  /* UNIFORM: low, high; BERNOULLI: p0 = p */
  int64_t low;    /* INTEGERS: low */
  uint64_t range; /* INTEGERS: high - low, > 0 (0: all 2^64) */
} mx_random;

/* What an output slot is for. */
typedef struct mx_out_desc {
  bool reduce;      /* REDUCE: an accumulator or, when the call says `final`, the finished values */
  mx_op op;         /* REDUCE row */
  mars_dtype src;   /* REDUCE: dtype of the reduced register */
  mars_dtype dtype; /* stored dtype (REDUCE: of the finished values; halves possible) */
  double ddof;
} mx_out_desc;

#define MX_MAX_SLOTS 256

typedef struct mx_program {
  mx_mem *mem;
  int ndim;                /* of the iteration space */
  int64_t space[MARS_MAX_DIMS]; /* whole iteration space: reductions count and index with it */
  uint32_t reduce_mask;    /* dimensions over which REDUCE and SCAN run; 0 if there are none */
  int n_instrs, n_values, n_in, n_gen, n_out, n_consts;
  mx_instr *instrs;
  mars_dtype *value_dtype; /* [n_values] register dtype of each SSA value */
  mars_dtype *in_dtype;    /* [n_in] */
  mx_random *gens;         /* [n_gen]; IOTA slots are unused entries with op = MX_OP_IOTA */
  mx_out_desc *outs;       /* [n_out] */
  mx_const *consts;        /* [n_consts] */
  bool routine;            /* no program: its calls are tile operations */
  double cost;             /* sum of op costs per element */
} mx_program;

/* ---- accumulators ---------------------------------------------------------------------------------
 * An accumulator of K kept elements is a struct of arrays, each starting at a multiple of 64 bytes:
 *   SUM PROD            acc[K]; acc dtype: bool, i*: i64; u*: u64; f32, f64: f64; c64, c128: c128
 *   MIN MAX FMIN FMAX   value[K] of the source register's dtype
 *   ANY ALL             bool[K];   COUNT i64[K]
 *   ARGMIN ... NANARGMAX value[K] (source dtype), index[K] i64 (C order over the reduced axes of the space; -1: none yet)
 *   NANSUM              sum[K] (as SUM, ints cannot occur), count[K] i64
 *   MOMENTS NANMOMENTS  mean[K] f64 (c128 for complex), m2[K] f64, count[K] i64
 */
typedef struct mx_acc_layout {
  int n_parts;
  mars_dtype dtype[3];
  size_t offset[3];
  size_t bytes; /* whole accumulator */
} mx_acc_layout;

void mx_acc_layout_of(mx_acc acc, mars_dtype src, int64_t kept, mx_acc_layout *out);

/* Accumulators that are joined by one operation, element by element, with the same bits in any order. */
typedef enum mx_join_op { MX_JOIN_SUM, MX_JOIN_PROD, MX_JOIN_MIN, MX_JOIN_MAX } mx_join_op;
typedef struct mx_join {
  mx_join_op op;
  mars_dtype dtype; /* of the accumulator's one part: an integer of 8, 32 or 64 bits; bool as u8 */
} mx_join;
/* false: floats, whose sums depend on the order and whose NaNs and signed zeros on the comparison; accumulators of more than one part;
   integers of 16 bits, for which collective operations of devices have no type. */
bool mx_acc_join_of(mx_acc acc, mars_dtype src, mx_join *out);

/* Text of a program, for mars plan and for messages; returns length needed like snprintf. */
int mx_program_text(const mx_program *prog, char *buf, size_t bytes);

#endif
