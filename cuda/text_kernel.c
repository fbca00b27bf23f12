/* The loops around a body. Contract: cuda/text.h. */
#include "cuda/text.h"

#include "cuda/device_text.h"

/* Without a wish for blocks on a multiprocessor, ptxas spills registers of reductions to reach a rounder number of blocks. */
static const char *const HEAD_REDUCE = "extern \"C\" __global__ void __launch_bounds__(256, 2) mx_kernel(const mx_p p) {\n";
/* Accumulators stand in registers twice, as leaf and pile: many of them want more than half of a multiprocessor. */
static const char *const HEAD_MANY = "extern \"C\" __global__ void __launch_bounds__(256, 1) mx_kernel(const mx_p p) {\n";
enum { FEW_ACCUMULATORS = 4, OF_COMPLEX = 3, OF_MOMENTS = 2, FEW_INSTRS = 8 /* a random graph of 9 with two accumulators spilled */ };
static const char *const HEAD = "extern \"C\" __global__ void __launch_bounds__(256) mx_kernel(const mx_p p) {\n";

/* The coordinates c of n dimensions of the C-order number in `number` */
static void put_split_of(mx_text_frame *f, const char *number, const int *dim, int n, const char *indent) {
  if (n == 0) return;
  mx_text_put(f->t, "%s%sidx c%d = %s;\n", indent, n == 1 ? "const " : "", dim[0], number);
  for (int i = n - 1; i > 0; i--)
    mx_text_put(f->t, "%sconst idx c%d = c%d %% (idx)p.w[%d]; c%d /= (idx)p.w[%d];\n", indent, dim[i], dim[0], MX_W_EXTENT + dim[i], dim[0],
                MX_W_EXTENT + dim[i]);
}

/* c_first .. c_last-1 */
static void put_split(mx_text_frame *f, const char *number, int first, int last, const char *indent) {
  int dim[MARS_MAX_DIMS] = {0};

  for (int d = first; d < last; d++) dim[d - first] = d;
  put_split_of(f, number, dim, last - first, indent);
}

/* ---- elementwise ---- */

static void write_points(mx_text_frame *f) {
  int nd = f->layout.nd, vec = f->v->vec;

  mx_text_append(f->t, mx_text_wants_complex(f->prog) ? HEAD_MANY : HEAD); /* ptxas spilled exp2 of c128 for sm_100 to stay at 32 registers */
  mx_text_append(f->t, "  const idx n = (idx)p.w[0], step = (idx)gridDim.x * 256;\n"
                       "  for (idx q = (idx)blockIdx.x * 256 + threadIdx.x; q < n; q += step) {\n");
  if (vec == 1) {
    put_split(f, "q", 0, nd, "    ");
    mx_text_body(f, "    ");
  } else {
    /* the innermost extent counts groups: its coordinate is made one of elements */
    put_split(f, "q", 0, nd, "    ");
    mx_text_put(f->t, "    const idx g = c%d * %d;\n    {\n    const idx c%d = g;\n", nd - 1, vec, nd - 1);
    mx_text_vector_loads(f);
    mx_text_put(f->t, "#pragma unroll\n    for (int j = 0; j < %d; j++) {\n      const idx c%d = g + j;\n", vec, nd - 1);
    mx_text_body(f, "      ");
    mx_text_append(f->t, "    }\n");
    mx_text_vector_stores(f);
    mx_text_append(f->t, "    }\n");
  }
  mx_text_append(f->t, "  }\n}\n");
}

static int unroll_of(const mx_program *p) {
  if (p->cost > 40 || p->n_instrs > 40) return 1;
  return p->cost > 8 || p->n_instrs > 12 || p->n_out > 2 || mx_text_wants_complex(p) ? 2 : 4;
}

/* The points (y, x) of a tile whose coordinates are y0 + .., x0 + ..: the loop's head, without its closing braces */
static void open_tile_loop(mx_text_frame *f, int unroll, const char *along_y, const char *along_x) {
  int x = f->layout.nd - 1, y = f->v->across;

  mx_text_put(f->t,
              "#pragma unroll %d\n    for (u32 j = r; j < %d; j += 8) {\n      const idx c%d = y0 + %s, c%d = x0 + %s;\n"
              "      if (c%d < ey && c%d < ex) {\n",
              unroll, MX_TILE_SIDE, y, along_y, x, along_x, y, x);
}

/* A block has tiles of the innermost dimension x and of y, along which the staged operands are contiguous: it reads these as they lie, and
   then has their elements for points in the order of the result. Barriers are outside of everything that threads of a block differ in. */
static void write_tiles(mx_text_frame *f) {
  int nd = f->layout.nd, x = nd - 1, y = f->v->across, others[MARS_MAX_DIMS], n = 0;

  for (int d = 0; d < nd; d++)
    if (d != x && d != y) others[n++] = d;
  mx_text_append(f->t, mx_text_wants_complex(f->prog) ? HEAD_MANY : HEAD);
  mx_text_tiles_declare(f);
  mx_text_put(f->t,
              "  const u32 s = threadIdx.x & 31, r = threadIdx.x >> 5;\n"
              "  const idx n = (idx)p.w[0], ey = (idx)p.w[%d], ex = (idx)p.w[%d], ny = (ey + 31) / 32, nx = (ex + 31) / 32;\n"
              "  for (idx q = blockIdx.x; q < n; q += gridDim.x) {\n"
              "    const idx x0 = q %% nx * 32, y0 = q / nx %% ny * 32;\n",
              MX_W_EXTENT + y, MX_W_EXTENT + x);
  put_split_of(f, "q / nx / ny", others, n, "    ");
  open_tile_loop(f, MX_TILE_SIDE / 8, "s", "j");
  mx_text_tiles_fill(f);
  mx_text_append(f->t, "      }\n    }\n    __syncthreads();\n");
  open_tile_loop(f, unroll_of(f->prog), "j", "s");
  mx_text_body(f, "        ");
  mx_text_append(f->t, "      }\n    }\n    __syncthreads();\n  }\n}\n");
}

/* ---- reductions ---- */

static int weight_of(const mx_out_desc *out) {
  const mx_acc acc = mx_op_row_of(out->op)->acc;

  return out->src >= MARS_C64 ? OF_COMPLEX : acc == MX_ACC_MOMENTS || acc == MX_ACC_NANMOMENTS ? OF_MOMENTS : 1;
}

static void write_reduce(mx_text_frame *f) {
  const mx_text_variant *v = f->v;
  int d1 = v->dims[0], d2 = d1 + v->dims[1], accumulators = 0;

  for (int o = 0; o < f->prog->n_out; o++) {
    if (!f->prog->outs[o].reduce) continue;
    accumulators += weight_of(&f->prog->outs[o]);
    mx_text_append(f->t, "typedef ");
    mx_text_accumulator(f->t, &f->prog->outs[o]);
    mx_text_put(f->t, " R%d;\n", o);
  }
  mx_text_append(f->t, accumulators > FEW_ACCUMULATORS || f->prog->n_instrs > FEW_INSTRS ? HEAD_MANY : HEAD_REDUCE);
  mx_text_put(f->t,
              "  __shared__ u32 shared[MX_WORDS * MX_BLOCK];\n"
              "  const idx ko = (idx)p.w[%d], nr = (idx)p.w[%d], ki = (idx)p.w[%d], rows = (idx)p.w[%d];\n"
              "  const u32 bits = (u32)p.w[%d], xb = bits & 255, yb = bits >> 8 & 255, t = threadIdx.x;\n"
              "  const u32 y = t >> xb & ((1u << yb) - 1), by = 1u << yb, splits = (u32)p.w[%d];\n"
              "  const u32 strips = (u32)((ki + ((idx)1 << xb) - 1) >> xb), strip = blockIdx.x %% strips;\n"
              "  const u32 split = blockIdx.x / strips %% splits;\n"
              "  const idx k = ((idx)(blockIdx.x / strips / splits) << (8 - xb - yb)) + (t >> (xb + yb));\n"
              "  const idx i = ((idx)strip << xb) + (t & ((1u << xb) - 1));\n"
              "  const idx r0 = split * rows, r1 = nr - r0 < rows ? nr : r0 + rows;\n"
              "  const bool mine = k < ko && i < ki;\n  u32 leaves = 0;\n",
              MX_W_KO, MX_W_R, MX_W_KI, MX_W_ROWS, MX_W_BITS, MX_W_SPLITS);
  for (int o = 0; o < f->prog->n_out; o++)
    if (f->prog->outs[o].reduce) mx_text_put(f->t, "  mx_pile<R%d> pile%d; R%d l%d;\n", o, o, o, o);
  mx_text_append(f->t, "  if (mine) {\n");
  put_split(f, "k", 0, d1, "    ");
  put_split(f, "i", d2, f->layout.nd, "    ");
  mx_text_append(f->t, "    auto body = [&](const idx r) {\n");
  put_split(f, "r", d1, d2, "      ");
  mx_text_body(f, "      ");
  mx_text_append(f->t, "    };\n    for (idx r = r0 + y; r < r1;) {\n");
  for (int o = 0; o < f->prog->n_out; o++)
    if (f->prog->outs[o].reduce) mx_text_put(f->t, "      l%d.none();\n", o);
  mx_text_put(f->t,
              "      if (r1 - r > (idx)15 * by) {\n#pragma unroll %d\n"
              "        for (int u = 0; u < MX_LEAF; u++, r += by) body(r);\n"
              "      } else {\n#pragma unroll 1\n        for (; r < r1; r += by) body(r);\n      }\n",
              unroll_of(f->prog));
  for (int o = 0; o < f->prog->n_out; o++)
    if (f->prog->outs[o].reduce) mx_text_put(f->t, "      l%d.end(); pile%d.push(l%d, leaves);\n", o, o, o);
  mx_text_append(f->t, "      leaves++;\n    }\n  }\n");
  for (int o = 0; o < f->prog->n_out; o++) {
    int w = f->layout.out[o];

    if (!f->prog->outs[o].reduce) continue;
    mx_text_put(f->t,
                "  { R%d a = pile%d.all(leaves); mx_fold(a, shared, xb, yb);\n"
                "    if (y == 0 && mine) mx_emit<%s>(a, (char *)p.w[%d] + (i64)split * (i64)p.w[%d], p.w[%d] != 0, splits == 1, (i64)ko * ki,\n"
                "      (i64)k * ki + i, of_bits(p.w[%d]), of_bits(p.w[%d])); }\n",
                o, o, mx_text_type(f->prog->outs[o].dtype), w, w + 1, w + 2, MX_W_COUNT, w + 3);
  }
  mx_text_append(f->t, "}\n");
}

void mx_text_combine(mx_text *t, const mx_out_desc *out) {
  mx_text_prelude(t, out->src >= MARS_C64);
  mx_text_append(t, mx_device_reduce);
  mx_text_combine_kernel(t, out);
}

void mx_text_combine_kernel(mx_text *t, const mx_out_desc *out) {
  mx_text_put(t, "struct mx_p { u64 w[%d]; };\n", MX_C_WORDS);
  mx_text_append(t, HEAD_REDUCE);
  mx_text_append(t, "  mx_combine<");
  mx_text_accumulator(t, out);
  mx_text_put(t,
              ", %s>((const char *const *)p.w[%d], (const char *)p.w[%d], (i64)p.w[%d], (i64)p.w[%d], (i64)p.w[%d],\n"
              "    (char *)p.w[%d], p.w[%d] != 0, of_bits(p.w[%d]), of_bits(p.w[%d]), (u32)p.w[%d] & 255, (u32)p.w[%d] >> 8);\n}\n",
              mx_text_type(out->dtype), MX_C_TABLE, MX_C_BASE, MX_C_STEP, MX_C_N, MX_C_KEPT, MX_C_OUT, MX_C_FINISH, MX_C_COUNT,
              MX_C_DDOF, MX_C_BITS, MX_C_BITS);
}

/* ---- scans ---- */

static const mx_instr *scan_of(const mx_program *p) {
  int i = 0;

  while (p->instrs[i].kind != MX_I_SCAN) i++;
  return &p->instrs[i];
}

static void put_line(mx_text_frame *f, const char *number) {
  const mx_text_variant *v = f->v;

  mx_text_put(f->t,
              "  const idx nr = (idx)p.w[%d], ki = (idx)p.w[%d], line = %s;\n"
              "  if (line >= (idx)p.w[%d] * ki) return;\n"
              "  const idx k = line / ki, i = line %% ki;\n  (void)k, (void)i;\n",
              MX_W_R, MX_W_KI, number, MX_W_KO);
  put_split(f, "k", 0, v->dims[0], "  ");
  put_split(f, "i", v->dims[0] + v->dims[1], f->layout.nd, "  ");
  mx_text_put(f->t,
              "  bool have = p.w[%d] != 0;\n  T run = have ? mx_ld<T>((const char *)p.w[%d] + (i64)line * (i64)sizeof(T)) : T();\n",
              MX_W_CARRY_IN, MX_W_CARRY_IN);
}

static void put_carry_out(mx_text_frame *f, const char *when) {
  mx_text_put(f->t, "  if (p.w[%d] != 0%s) mx_st((char *)p.w[%d] + (i64)line * (i64)sizeof(T), run);\n}\n", MX_W_CARRY_OUT, when,
              MX_W_CARRY_OUT);
}

/* The elements of a tile, neighbours along a line by neighbouring threads: the loop's head, without its closing braces */
static void open_lines_loop(mx_text_frame *f) {
  int d1 = f->v->dims[0], d2 = d1 + f->v->dims[1];

  mx_text_put(f->t, "#pragma unroll 1\n    for (u32 j = w; j < %d; j += 8) {\n      const idx k = l0 + j, e = r + s;\n      if (k < lines && s < n) {\n",
              MX_TILE_SIDE);
  put_split(f, "k", 0, d1, "        ");
  put_split(f, "e", d1, d2, "        ");
}

/* A block takes its 32 lines 32 elements at a time: it makes these as they lie in memory, one warp goes along the lines, a thread each, and the
   block writes them as they lie. */
static void write_lines_tiled(mx_text_frame *f, const mx_instr *scan) {
  mx_text_put(f->t,
              "  __shared__ T tile[%d];\n  const u32 s = threadIdx.x & 31, w = threadIdx.x >> 5;\n"
              "  const idx nr = (idx)p.w[%d], lines = (idx)p.w[%d], l0 = (idx)blockIdx.x * %d, line = l0 + s;\n"
              "  const bool mine = w == 0 && line < lines;\n  bool have = p.w[%d] != 0;\n"
              "  T run = T();\n  if (mine && have) run = mx_ld<T>((const char *)p.w[%d] + (i64)line * (i64)sizeof(T));\n"
              "#pragma unroll 1\n  for (idx r = 0; r < nr; r += %d) {\n    const u32 n = nr - r < %d ? (u32)(nr - r) : %d;\n",
              MX_TILE_SIDE * MX_TILE_PITCH, MX_W_R, MX_W_KO, MX_TILE_SIDE, MX_W_CARRY_IN, MX_W_CARRY_IN, MX_TILE_SIDE, MX_TILE_SIDE, MX_TILE_SIDE);
  open_lines_loop(f);
  mx_text_append(f->t, "        T sv = T();\n");
  mx_text_body(f, "        ");
  mx_text_put(f->t,
              "        tile[j * %d + s] = sv;\n      }\n    }\n    __syncthreads();\n"
              "    if (mine)\n      for (u32 j = 0; j < n; j++) {\n        const T v = tile[s * %d + j];\n"
              "        run = have ? mx_running<T, %s>(run, v) : v; have = true;\n        tile[s * %d + j] = run;\n      }\n    __syncthreads();\n",
              MX_TILE_PITCH, MX_TILE_PITCH, scan->op == MX_OP_CUMPROD ? "true" : "false", MX_TILE_PITCH);
  open_lines_loop(f);
  mx_text_put(f->t, "        const T run = tile[j * %d + s];\n", MX_TILE_PITCH);
  mx_text_scan_store(f, scan, "        ");
  mx_text_append(f->t, "      }\n    }\n    __syncthreads();\n  }\n");
  put_carry_out(f, " && mine");
}

static void write_scan(mx_text_frame *f) {
  const mx_instr *scan = scan_of(f->prog);
  const char *type = mx_text_type(f->prog->value_dtype[scan->src[0]]);
  int d1 = f->v->dims[0], d2 = d1 + f->v->dims[1];

  mx_text_append(f->t, HEAD);
  mx_text_put(f->t, "  typedef %s T;\n", type);
  if (f->v->kind == MX_TEXT_LINES_TILED) {
    write_lines_tiled(f, scan);
    return;
  }
  if (f->v->kind == MX_TEXT_LINES) {
    put_line(f, "(idx)blockIdx.x * 256 + threadIdx.x");
    mx_text_append(f->t, "#pragma unroll 1\n  for (idx r = 0; r < nr; r++) {\n");
    put_split(f, "r", d1, d2, "    ");
    mx_text_body(f, "    ");
    mx_text_append(f->t, "  }\n");
    put_carry_out(f, "");
    return;
  }
  mx_text_append(f->t, "  __shared__ T shared[256];\n");
  put_line(f, "blockIdx.x");
  mx_text_append(f->t, "#pragma unroll 1\n  for (idx r = 0; r < nr; r += 256) {\n"
                       "    const idx e = r + threadIdx.x;\n    T sv = T();\n    if (e < nr) {\n");
  put_split(f, "e", d1, d2, "      ");
  mx_text_body(f, "      ");
  mx_text_put(f->t,
              "    }\n    const u32 n = nr - r < 256 ? (u32)(nr - r) : 256u;\n"
              "    const T run_here = mx_scan_block<T, %s>(sv, n, run, have, shared);\n    if (e < nr) {\n      const T run = run_here;\n",
              scan->op == MX_OP_CUMPROD ? "true" : "false");
  put_split(f, "e", d1, d2, "      ");
  mx_text_scan_store(f, scan, "      ");
  mx_text_append(f->t, "    }\n  }\n");
  put_carry_out(f, " && threadIdx.x == 0");
}

/* ---- the whole ---- */

void mx_text_random(mx_text *t) {
  mx_text_append(t, "#define MX_BM MX_DEV\n#define mx_bm_bits64 bits_of\n#define mx_bm_of64 of_bits\n"
                    "#define mx_bm_bits32 bits_of\n#define mx_bm_of32 of_bits\n");
  mx_text_append(t, mx_device_box_muller);
  mx_text_append(t, mx_device_random);
}

void mx_text_program(mx_text *t, const mx_program *prog, const mx_text_variant *v) {
  bool random = false;

  for (int i = 0; i < prog->n_instrs; i++) random |= prog->instrs[i].kind == MX_I_RANDOM;
  mx_text_prelude(t, mx_text_wants_complex(prog));
  if (random) mx_text_random(t);
  if (v->kind == MX_TEXT_REDUCE) mx_text_append(t, mx_device_reduce);
  if (v->kind == MX_TEXT_LINES || v->kind == MX_TEXT_LINE || v->kind == MX_TEXT_LINES_TILED) mx_text_append(t, mx_device_scan);
  mx_text_kernel(t, prog, v);
}

void mx_text_kernel(mx_text *t, const mx_program *prog, const mx_text_variant *v) {
  mx_text_frame f = {.t = t, .prog = prog, .v = v};

  mx_text_layout_of(prog, v, &f.layout);
  mx_text_put(t, "typedef %s idx;\ntypedef %s off;\nstruct mx_p { u64 w[%d]; };\n", v->wide ? "u64" : "u32", v->wide ? "i64" : "i32",
              f.layout.words > 0 ? f.layout.words : 1);
  mx_text_ops(&f);
  switch ((mx_text_kind)v->kind) {
  case MX_TEXT_POINTS: write_points(&f); break;
  case MX_TEXT_TILES: write_tiles(&f); break;
  case MX_TEXT_REDUCE: write_reduce(&f); break;
  default: write_scan(&f); break;
  }
}
