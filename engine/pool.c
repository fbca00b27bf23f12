#include "engine/pool.h"

#include <stdlib.h>
#include <string.h>

typedef struct mx_pool_block {
  struct mx_pool_block *next;
  char data[] __attribute__((aligned(16)));
} mx_pool_block;

enum { FIRST_BYTES = 4 << 10, BLOCK_BYTES = 64 << 10 }; /* small plans are not to pay for clearing large blocks */

void mx_pool_init(mx_pool *pool, mx_mem *mem) { *pool = (mx_pool){.mem = mem}; }

void *mx_pool_alloc(mx_pool *pool, size_t bytes) {
  bytes = (bytes + 15) & ~(size_t)15;
  if (bytes <= pool->left) {
    void *p = pool->at;
    pool->at += bytes;
    pool->left -= bytes;
    return p;
  }
  size_t block = pool->next_bytes ? pool->next_bytes : FIRST_BYTES;
  bool own = bytes > block / 4; /* large ones do not end the current block */
  mx_pool_block *b = mx_alloc(pool->mem, sizeof *b + (own ? bytes : block));
  if (!b) return NULL;
  b->next = pool->blocks;
  pool->blocks = b;
  if (own) return b->data;
  pool->at = b->data + bytes;
  pool->left = block - bytes;
  pool->next_bytes = block < BLOCK_BYTES ? 2 * block : block;
  return b->data;
}

void mx_pool_reset(mx_pool *pool) {
  while (pool->blocks) {
    mx_pool_block *b = pool->blocks;
    pool->blocks = b->next;
    mx_free(pool->mem, b);
  }
  pool->at = NULL;
  pool->left = pool->next_bytes = 0;
}

bool mx_vec_reserve_(mx_mem *mem, void **at, int64_t *cap, int64_t want, size_t item) {
  int64_t c = *cap ? *cap * 2 : 16;
  if (c < want) c = want;
  void *p = mx_grow(mem, *at, (size_t)*cap * item, (size_t)c * item);
  if (!p) return false;
  *at = p;
  *cap = c;
  return true;
}
