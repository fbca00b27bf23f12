/* Two treaps over the same nodes: by place, to coalesce, and by size, to fit. */
#include "io/extent.h"

#include <string.h>

enum { BY_PLACE, BY_SIZE };

static int compare(const mx_extent *a, const mx_extent *b, int by) {
  if (by == BY_SIZE && a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
  if (a->slab != b->slab) return a->slab < b->slab ? -1 : 1;
  if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
  return 0;
}

/* Nodes below key to *low, the others to *high. */
static void split(mx_extent *t, const mx_extent *key, int by, mx_extent **low, mx_extent **high) {
  while (t) {
    if (compare(t, key, by) < 0) {
      *low = t;
      low = &t->kid[by][1];
      t = *low;
    } else {
      *high = t;
      high = &t->kid[by][0];
      t = *high;
    }
  }
  *low = *high = NULL;
}

static mx_extent *merge(mx_extent *low, mx_extent *high, int by) {
  mx_extent *root = NULL, **at = &root;
  while (low && high) {
    if (low->priority > high->priority) {
      *at = low;
      at = &low->kid[by][1];
      low = *at;
    } else {
      *at = high;
      at = &high->kid[by][0];
      high = *at;
    }
  }
  *at = low ? low : high;
  return root;
}

static void insert(mx_extents *e, mx_extent *x, int by) {
  mx_extent **at = &e->root[by];
  while (*at && (*at)->priority >= x->priority) at = &(*at)->kid[by][compare(*at, x, by) < 0];
  split(*at, x, by, &x->kid[by][0], &x->kid[by][1]);
  *at = x;
}

static void erase(mx_extents *e, mx_extent *x, int by) {
  mx_extent **at = &e->root[by];
  while (*at != x) at = &(*at)->kid[by][compare(*at, x, by) < 0];
  *at = merge(x->kid[by][0], x->kid[by][1], by);
}

/* Greatest node before key (before) or least not before it. */
static mx_extent *neighbour(mx_extents *e, const mx_extent *key, int by, bool before) {
  mx_extent *best = NULL, *t = e->root[by];
  while (t) {
    bool below = compare(t, key, by) < 0;
    if (below == before) best = t;
    t = t->kid[by][below];
  }
  return best;
}

static void put(mx_extents *e, int32_t slab, int64_t offset, int64_t bytes) {
  mx_extent *x = e->spare;
  e->spare = x->kid[0][0];
  e->random ^= e->random << 13;
  e->random ^= e->random >> 17;
  e->random ^= e->random << 5;
  *x = (mx_extent){.slab = slab, .offset = offset, .bytes = bytes, .priority = e->random};
  insert(e, x, BY_PLACE);
  insert(e, x, BY_SIZE);
}

static void drop(mx_extents *e, mx_extent *x) {
  erase(e, x, BY_PLACE);
  erase(e, x, BY_SIZE);
  x->kid[0][0] = e->spare;
  e->spare = x;
}

static bool reserve(mx_extents *e, int64_t nodes) {
  if (nodes <= e->n_nodes) return true;
  int64_t more = e->n_nodes < 64 ? 64 : e->n_nodes;
  size_t old = (size_t)e->n_blocks * sizeof *e->blocks;
  void **blocks = mx_grow(e->mem, e->blocks, old, old + sizeof *e->blocks);
  if (!blocks) return false;
  e->blocks = blocks;
  mx_extent *block = mx_calloc(e->mem, (size_t)more, sizeof *block);
  if (!block) return false;
  e->blocks[e->n_blocks++] = block;
  for (int64_t i = 0; i < more; i++) {
    block[i].kid[0][0] = e->spare;
    e->spare = &block[i];
  }
  e->n_nodes += more;
  return true;
}

void mx_extents_init(mx_extents *e, mx_mem *mem) {
  memset(e, 0, sizeof *e);
  e->mem = mem;
  e->random = 2463534242u;
}

void mx_extents_reset(mx_extents *e) {
  for (int64_t i = 0; i < e->n_blocks; i++) mx_free(e->mem, e->blocks[i]);
  mx_free(e->mem, e->blocks);
  mx_extents_init(e, e->mem);
}

bool mx_extents_add(mx_extents *e, int32_t slab, int64_t bytes) {
  if (!reserve(e, e->n_used + e->n_slabs + 1)) return false;
  e->n_slabs++;
  put(e, slab, 0, bytes);
  return true;
}

int mx_extents_acquire(mx_extents *e, int64_t bytes, int32_t *slab, int64_t *offset) {
  mx_extent key = {.slab = INT32_MIN, .bytes = bytes};
  mx_extent *x = neighbour(e, &key, BY_SIZE, false);
  if (!x) return 0;
  if (!reserve(e, e->n_used + 1 + e->n_slabs)) return -1;
  *slab = x->slab;
  *offset = x->offset;
  int64_t rest = x->bytes - bytes;
  drop(e, x);
  if (rest) put(e, *slab, *offset + bytes, rest);
  e->n_used++;
  return 1;
}

void mx_extents_release(mx_extents *e, int32_t slab, int64_t offset, int64_t bytes) {
  mx_extent key = {.slab = slab, .offset = offset};
  mx_extent *before = neighbour(e, &key, BY_PLACE, true), *after = neighbour(e, &key, BY_PLACE, false);
  if (after && after->slab == slab && offset + bytes == after->offset) {
    bytes += after->bytes;
    drop(e, after);
  }
  if (before && before->slab == slab && before->offset + before->bytes == offset) {
    offset = before->offset;
    bytes += before->bytes;
    drop(e, before);
  }
  e->n_used--;
  put(e, slab, offset, bytes);
}
