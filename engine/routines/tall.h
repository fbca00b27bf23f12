/*
 * What the tile rules and the tile operations of tall matrices both know: how many rows a panel has, and what that takes.
 *
 * Layer: engine; included by the devices' kernel files. Threads: any; no state.
 */
#ifndef MX_TALL_H
#define MX_TALL_H

#include <stdint.h>

enum {
  MX_TALL_MUL_UNITS = 8,
  MX_TALL_GRAM_PARTS = 16, /* of a block, at most, that are summed up side by side */
  MX_TALL_SYRK = 64        /* columns from which BLAS's half of a Gram matrix pays */
};

/* Rows that are multiplied at a time: in cache, and so few that narrow matrices stay below the 10^6 multiplications up to which
   OpenBLAS packs nothing. */
static inline int64_t mx_tall_panel(int64_t n) {
  const int64_t p = n < MX_TALL_SYRK ? 8192 / n & -(int64_t)16 : 256;

  return p > 1024 ? 1024 : p;
}

/* Bytes: a panel, and the product with it. */
static inline int64_t mx_tall_panel_bytes(int64_t n, int64_t wide) { return 2 * mx_tall_panel(n) * n * wide; }
/* The same, and a Gram matrix: for each part that is summed up. */
static inline int64_t mx_tall_gram_bytes(int64_t n, int64_t wide) { return mx_tall_panel_bytes(n, wide) + n * n * wide; }

#endif
