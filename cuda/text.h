/*
 * Kernel programs as CUDA C. A program becomes one kernel for each variant of how its slots lie in memory; what differs
 * between two programs of the same form (constants, seeds, strides, extents) is a parameter and not in the text, so that
 * they share one compiled kernel.
 *
 * The kernel has one parameter, an array of 64-bit words; mx_text_layout says which word is what.
 *
 *   text.c         writing, names of types, layout of the words
 *   text_body.c    instructions to statements
 *   text_kernel.c  the loops around them
 *
 * Layer: cuda, but no CUDA header is needed here. Pure functions of their arguments; any thread.
 */
#ifndef MX_CUDA_TEXT_H
#define MX_CUDA_TEXT_H

#include "engine/program.h"

typedef enum mx_text_kind {
  MX_TEXT_POINTS,
  MX_TEXT_TILES, /* POINTS with operands that are contiguous along another dimension than the first result is */
  MX_TEXT_REDUCE,
  MX_TEXT_LINES, /* SCAN: a thread for each line */
  MX_TEXT_LINE,  /* SCAN: a block for each line */
  MX_TEXT_LINES_TILED /* SCAN along the innermost dimension: a block for 32 lines, that go by tiles in shared memory */
} mx_text_kind;

typedef struct mx_text_variant {
  uint8_t kind;
  uint8_t dims[3];        /* outer kept (POINTS, TILES: all), reduced, inner kept dimensions, after merging */
  bool wide;              /* offsets or counts that need 64 bits */
  uint8_t vec;            /* POINTS: elements of the innermost dimension that a thread takes at once; 1, 2, 4, 8, 16 */
  uint64_t broadcast[MX_MAX_SLOTS / 64]; /* vec > 1: in slots that stand still along it */
  uint8_t across;         /* TILES: the dimension along which staged operands are contiguous; tiles are of it and the innermost one */
  uint64_t staged[MX_MAX_SLOTS / 64];    /* TILES: in slots that are read through shared memory */
} mx_text_variant;

/* Words of all kinds. POINTS: 0: points, or groups of vec of them; TILES: 0: tiles. */
enum { MX_W_KO, MX_W_R, MX_W_KI, MX_W_ROWS, MX_W_SPLITS, MX_W_BITS, MX_W_COUNT, MX_W_CARRY_IN, MX_W_CARRY_OUT, MX_W_EXTENT };
enum { MX_PARAM_WORDS = 500 }; /* a kernel's parameters have room for 4 KiB */

typedef struct mx_text_layout {
  int words, nd;
  bool has_at;  /* a reduction wants to know where its elements stand */
  int in, gen, at, konst, random; /* first words; a slot has its base and nd strides, `random` 5 words, constants 2 */
  int16_t out[MX_MAX_SLOTS];      /* STORE, SCAN: base and strides. REDUCE: base, bytes between splits, finish, ddof */
} mx_text_layout;
enum { MX_RANDOM_WORDS = 5 };

void mx_text_layout_of(const mx_program *prog, const mx_text_variant *v, mx_text_layout *out);

/* A text being written. `failed`: there was no memory, and what was written is lost. */
typedef struct mx_text {
  mx_mem *mem;
  char *buf;
  size_t len, cap;
  bool failed;
} mx_text;
void mx_text_put(mx_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mx_text_append(mx_text *t, const char *text);
void mx_text_reset(mx_text *t);
const char *mx_text_type(mars_dtype dt); /* "f32" */

/* Whether there is device code for every instruction; if not, *why (may be NULL) says for which there is none. */
bool mx_text_can(const mx_program *prog, const char **why);
/* What kind of kernel the program is: POINTS, REDUCE or LINES. */
mx_text_kind mx_text_kind_of(const mx_program *prog);

enum { MX_TILE_SIDE = 32, MX_TILE_PITCH = 33, /* of TILES and copies by tiles; a row of one in shared memory: its columns are in different banks */
       MX_TILE_WORTH = 16 /* extents below which a tile is more empty than not */ };

/* Elements that a thread takes at once at most, where the widest slot has `widest` bytes. */
int mx_text_vec(const mx_program *prog, int widest);

/* Name of the kernel in the texts: "mx_kernel". The whole text begins with mx_text_prelude's. */
void mx_text_prelude(mx_text *t, bool complex_functions);
/* Behind it where there are random numbers. */
void mx_text_random(mx_text *t);
bool mx_text_wants_complex(const mx_program *prog);
void mx_text_program(mx_text *t, const mx_program *prog, const mx_text_variant *v);
/* The same without the texts of cuda/device in front of it. */
void mx_text_kernel(mx_text *t, const mx_program *prog, const mx_text_variant *v);
/* COMBINE of an out slot; words: MX_C_ below. */
enum { MX_C_TABLE, MX_C_BASE, MX_C_STEP, MX_C_N, MX_C_KEPT, MX_C_OUT, MX_C_FINISH, MX_C_COUNT, MX_C_DDOF, MX_C_BITS, MX_C_WORDS };
void mx_text_combine(mx_text *t, const mx_out_desc *out);
void mx_text_combine_kernel(mx_text *t, const mx_out_desc *out); /* without the device texts */
/* Strided copies over `dims` dimensions: kernels mx_copy_1, _2, _4, _8, _16; by tiles: mx_turn_1 ... and mx_turn_conj_8, _16. */
void mx_text_copy(mx_text *t, int dims, bool by_tiles);

/* text_body.c, for text_kernel.c */
typedef struct mx_text_frame {
  mx_text *t;
  const mx_program *prog;
  const mx_text_variant *v;
  mx_text_layout layout;
} mx_text_frame;
void mx_text_ops(mx_text_frame *f);                     /* functions of the ops that occur */
void mx_text_body(mx_text_frame *f, const char *indent); /* statements for the point c0, c1, ... */
void mx_text_tiles_declare(mx_text_frame *f);           /* shared memory of the staged operands */
void mx_text_tiles_fill(mx_text_frame *f);              /* the element of point c0, c1, ... of each */
void mx_text_vector_loads(mx_text_frame *f);
void mx_text_vector_stores(mx_text_frame *f);
void mx_text_scan_store(mx_text_frame *f, const mx_instr *in, const char *indent);
void mx_text_accumulator(mx_text *t, const mx_out_desc *out); /* "A_sum<f32, false>" */

#endif
