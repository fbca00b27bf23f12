/*
 * The arena as the planner sees it: who lives where. The executor uses the offsets decided here, so what this model
 * allows is what memory will hold.
 *
 * Free blocks wait in bins of equal size; large blocks are taken from the low end of the untouched middle, small ones
 * from its high end, of which a little is kept for them: one small block in the midst of the large ones would keep two of
 * them from being merged. Only when nothing fits are neighbours merged.
 */
#include "engine/plan/plan.h"

#include <stdlib.h>

enum { PAGE = MX_IO_ALIGN, SMALL_UNIT = 64, SMALL_SHARE = 64, SMALL_MOST = 1 << 20 };

typedef struct block {
  int64_t offset, bytes;
  mx_fence fence;
  int32_t next; /* in its bin, -1 end */
} block;

typedef struct bin {
  int64_t bytes;
  int32_t head, tail;
} bin;

struct mx_space {
  mx_mem *mem;
  int64_t bytes, lo, hi; /* [lo, hi) was never used, or merged back */
  int64_t kept;          /* of it, for blocks below a page */
  mx_fence wild;
  int64_t used, peak;
  int64_t freed; /* frees since the last merge */
  MX_VEC(block) blocks;
  int32_t spare; /* unused block records */
  MX_VEC(bin) bins;
  MX_VEC(block) reserved;
};

static void raise(mx_fence *f, mx_fence by) {
  if (by.after > f->after) f->after = by.after;
  if (by.after_store > f->after_store) f->after_store = by.after_store;
}

int64_t mx_space_round(int64_t bytes) {
  int64_t unit = bytes >= PAGE / 2 ? PAGE : SMALL_UNIT;
  return bytes <= 0 ? SMALL_UNIT : (bytes + unit - 1) / unit * unit;
}

mx_space *mx_space_create(mx_mem *mem, size_t bytes) {
  mx_space *s = mx_alloc(mem, sizeof *s);
  if (!s) return NULL;
  *s = (mx_space){.mem = mem, .bytes = (int64_t)(bytes - bytes % PAGE), .spare = -1, .wild = {-1, -1}};
  s->hi = s->bytes;
  s->kept = s->bytes / SMALL_SHARE < SMALL_MOST ? s->bytes / SMALL_SHARE / PAGE * PAGE : SMALL_MOST;
  return s;
}

void mx_space_destroy(mx_space *s) {
  if (!s) return;
  mx_vec_free(s->mem, &s->blocks);
  mx_vec_free(s->mem, &s->bins);
  mx_vec_free(s->mem, &s->reserved);
  mx_free(s->mem, s);
}

int64_t mx_space_used(const mx_space *s) { return s->used; }
int64_t mx_space_peak(const mx_space *s) { return s->peak; }
int64_t mx_space_bytes(const mx_space *s) { return s->bytes; }
int64_t mx_space_large(const mx_space *s) { return s->bytes - s->kept; }

static bin *find_bin(mx_space *s, int64_t bytes, bool create) {
  for (int64_t i = 0; i < s->bins.n; i++)
    if (s->bins.at[i].bytes == bytes) return &s->bins.at[i];
  if (!create || !mx_vec_push(s->mem, &s->bins, ((bin){bytes, -1, -1}))) return NULL;
  return &s->bins.at[s->bins.n - 1];
}

static bool put(mx_space *s, int64_t offset, int64_t bytes, mx_fence fence, bool last) {
  if (bytes <= 0) return true;
  bin *b = find_bin(s, bytes, true);
  int32_t i = s->spare;
  if (!b) return false;
  if (i >= 0) s->spare = s->blocks.at[i].next;
  else {
    if (!mx_vec_push(s->mem, &s->blocks, ((block){0}))) return false;
    i = (int32_t)s->blocks.n - 1;
  }
  s->blocks.at[i] = (block){offset, bytes, fence, -1};
  if (b->head < 0) b->head = b->tail = i;
  else if (last) {
    s->blocks.at[b->tail].next = i;
    b->tail = i;
  } else {
    s->blocks.at[i].next = b->head;
    b->head = i;
  }
  return true;
}

static block take_head(mx_space *s, bin *b) {
  int32_t i = b->head;
  block out = s->blocks.at[i];
  b->head = out.next;
  if (b->head < 0) b->tail = -1;
  s->blocks.at[i].next = s->spare;
  s->spare = i;
  return out;
}

static int by_offset(const void *a, const void *b) {
  int64_t x = ((const block *)a)->offset, y = ((const block *)b)->offset;
  return (x > y) - (x < y);
}

/* Merge neighbours; a block that touches the untouched middle joins it. */
static bool merge(mx_space *s) {
  block *all = mx_alloc(s->mem, (size_t)(s->blocks.n + 1) * sizeof *all);
  int64_t n = 0, m = 0;
  if (!all) return false;
  for (int64_t i = 0; i < s->bins.n; i++)
    while (s->bins.at[i].head >= 0) all[n++] = take_head(s, &s->bins.at[i]);
  qsort(all, (size_t)n, sizeof *all, by_offset);
  for (int64_t i = 0; i < n; i++) {
    if (m && all[m - 1].offset + all[m - 1].bytes == all[i].offset) {
      all[m - 1].bytes += all[i].bytes;
      raise(&all[m - 1].fence, all[i].fence);
    } else all[m++] = all[i];
  }
  bool ok = true;
  s->bins.n = 0;
  for (int64_t i = 0; i < m && ok; i++) {
    if (all[i].offset + all[i].bytes == s->lo) {
      s->lo = (all[i].offset + PAGE - 1) / PAGE * PAGE;
      raise(&s->wild, all[i].fence);
      if (all[i].offset < s->lo) ok = put(s, all[i].offset, s->lo - all[i].offset, all[i].fence, false);
    } else if (all[i].offset == s->hi) {
      s->hi += all[i].bytes;
      raise(&s->wild, all[i].fence);
    } else ok = put(s, all[i].offset, all[i].bytes, all[i].fence, all[i].fence.after_store >= 0);
  }
  mx_free(s->mem, all);
  s->freed = 0;
  return ok;
}

/* The smallest free block that holds an aligned run of `bytes`, cut to size. */
static int64_t split(mx_space *s, int64_t bytes, mx_fence *fence) {
  bin *best = NULL;
  for (int64_t i = 0; i < s->bins.n; i++) {
    bin *b = &s->bins.at[i];
    if (b->head < 0 || b->bytes < bytes || (best && best->bytes <= b->bytes)) continue;
    int64_t at = s->blocks.at[b->head].offset, unit = bytes >= PAGE ? PAGE : SMALL_UNIT;
    if ((at + unit - 1) / unit * unit + bytes <= at + b->bytes) best = b;
  }
  if (!best) return -1;
  block f = take_head(s, best);
  int64_t unit = bytes >= PAGE ? PAGE : SMALL_UNIT, at = (f.offset + unit - 1) / unit * unit;
  bool last = f.fence.after_store >= 0;
  if (!put(s, f.offset, at - f.offset, f.fence, last)) return -1;
  if (!put(s, at + bytes, f.offset + f.bytes - at - bytes, f.fence, last)) return -1;
  raise(fence, f.fence);
  return at;
}

static int64_t try_alloc(mx_space *s, int64_t bytes, mx_fence *fence) {
  bin *b = find_bin(s, bytes, false);
  if (b && b->head >= 0) {
    block f = take_head(s, b);
    if (bytes < PAGE || f.offset % PAGE == 0) {
      raise(fence, f.fence);
      return f.offset;
    }
    put(s, f.offset, f.bytes, f.fence, true);
  }
  if (s->hi - s->lo - (bytes < PAGE ? 0 : s->kept) >= bytes) {
    raise(fence, s->wild);
    if (bytes < PAGE) return s->hi -= bytes;
    int64_t at = s->lo;
    s->lo += bytes;
    return at;
  }
  return split(s, bytes, fence);
}

int64_t mx_space_alloc(mx_space *s, int64_t bytes, mx_fence *fence) {
  bytes = mx_space_round(bytes);
  if (s->used + bytes > s->bytes) return -1;
  int64_t at = try_alloc(s, bytes, fence);
  if (at < 0 && s->freed && merge(s)) at = try_alloc(s, bytes, fence);
  if (at < 0) return -1;
  s->used += bytes;
  if (s->used > s->peak) s->peak = s->used;
  return at;
}

bool mx_space_use_all(mx_space *s) {
  bool kept = s->kept > 0;
  s->kept = 0;
  return kept;
}

bool mx_space_free(mx_space *s, int64_t offset, int64_t bytes, mx_fence fence) {
  bytes = mx_space_round(bytes);
  s->used -= bytes;
  s->freed++;
  return put(s, offset, bytes, fence, fence.after_store >= 0);
}

bool mx_space_reserve(mx_space *s, int64_t offset, int64_t bytes) {
  return mx_vec_push(s->mem, &s->reserved, ((block){.offset = offset, .bytes = mx_space_round(bytes)}));
}

bool mx_space_ready(mx_space *s) {
  int64_t at = 0;
  const mx_fence none = {-1, -1};
  if (!s->reserved.n) return true;
  qsort(s->reserved.at, (size_t)s->reserved.n, sizeof(block), by_offset);
  for (int64_t i = 0; i < s->reserved.n; i++) {
    block r = s->reserved.at[i];
    int64_t page = (at + PAGE - 1) / PAGE * PAGE; /* blocks of pages stay aligned */
    if (page > r.offset) page = r.offset;
    int64_t whole = r.offset > page ? (r.offset - page) / PAGE * PAGE : 0;
    if (!put(s, at, page - at, none, false) || !put(s, page, whole, none, false) ||
        !put(s, page + whole, r.offset - page - whole, none, false))
      return false;
    at = r.offset + r.bytes;
    s->used += r.bytes;
  }
  s->lo = (at + PAGE - 1) / PAGE * PAGE;
  if (s->lo > s->hi) s->lo = s->hi;
  s->peak = s->used;
  s->freed = 1;
  return put(s, at, s->lo - at, none, false);
}
