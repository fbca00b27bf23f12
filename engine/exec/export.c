#include "engine/exec/export.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256, PAGE = 4096 };

/* What takes up an arena between plans. */
typedef struct range {
  int64_t offset, bytes;
  mx_chunk *chunk; /* NULL: a range that is taken */
} range;

typedef MX_VEC(range) ranges;

static int64_t align(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

static int by_offset(const void *a, const void *b) {
  const int64_t x = ((const range *)a)->offset, y = ((const range *)b)->offset;
  return (x > y) - (x < y);
}

static bool add_kept(mx_actor *a, int device, ranges *out) {
  mx_mem *mem = &a->session->mem;
  int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS];
  for (int64_t k = 0; k < a->kept.n; k++) {
    const mx_value *v = a->kept.at[k];
    for (int64_t i = 0; i < v->grid.total; i++) {
      mx_chunk *e = &v->chunks[i];
      if (device ? e->device != device : e->offset < 0) continue;
      mx_grid_chunk(&v->grid, &v->shape, i, start, extent);
      mx_pchunk c = {.bytes = (int64_t)mars_dtype_bytes(v->dtype), .phase = e->phase};
      for (int d = 0; d < v->shape.ndim; d++) c.bytes *= extent[d];
      if (!mx_vec_push(mem, out, ((range){device ? e->there : e->offset, mx_chunk_room(&c, device), e}))) return false;
    }
  }
  return true;
}

static bool list(mx_actor *a, int device, ranges *out) {
  mars_session *s = a->session;
  bool ok = add_kept(a, device, out);
  pthread_mutex_lock(&s->export_lock);
  for (const mx_export *e = s->exports; e && ok; e = e->next)
    if (e->device == device) ok = mx_vec_push(&s->mem, out, ((range){e->offset, (int64_t)e->bytes, NULL}));
  pthread_mutex_unlock(&s->export_lock);
  if (out->n) qsort(out->at, (size_t)out->n, sizeof *out->at, by_offset);
  return ok;
}

/* The end of the last gap that holds it: what is kept grows from the other side. -1: none does. *widest: what there is. */
static int64_t find_gap(const ranges *r, int64_t arena, int64_t bytes, int64_t *widest) {
  int64_t at = 0, found = -1;
  *widest = 0;
  for (int64_t i = 0; i <= r->n; i++) {
    const int64_t end = i < r->n ? r->at[i].offset : arena;
    const int64_t place = (end - bytes) / ALIGN * ALIGN;
    if (end - at > *widest) *widest = end - at;
    if (end - bytes >= at && place >= at) found = place;
    if (i < r->n && r->at[i].offset + r->at[i].bytes > at) at = r->at[i].offset + r->at[i].bytes;
  }
  return found;
}

/* Kept chunks that are somewhere else as well leave this arena. */
static void drop_copies(ranges *r, int device) {
  int64_t n = 0;
  for (int64_t i = 0; i < r->n; i++) {
    mx_chunk *e = r->at[i].chunk;
    if (e && device) e->device = 0;
    else if (e && e->slot.dir) e->offset = -1;
    else r->at[n++] = r->at[i];
  }
  r->n = n;
}

/* The others of the host move down until they touch, round what is taken. */
static void push_together(ranges *r, char *arena) {
  int64_t at = 0;
  for (int64_t i = 0; i < r->n; i++) {
    range *g = &r->at[i];
    if (!g->chunk) continue;
    int64_t to = align(at, PAGE);
    for (int64_t k = 0; k < r->n; k++) /* ascending, as nothing passes what is taken */
      if (!r->at[k].chunk && to < r->at[k].offset + r->at[k].bytes && r->at[k].offset < to + g->bytes)
        to = align(r->at[k].offset + r->at[k].bytes, PAGE);
    if (to < g->offset) {
      memmove(arena + to, arena + g->offset, (size_t)g->bytes);
      g->offset = g->chunk->offset = to;
    }
    at = g->offset + g->bytes;
  }
  if (r->n) qsort(r->at, (size_t)r->n, sizeof *r->at, by_offset);
}

mars_status mx_export_place(mx_actor *a, mx_export *e, const char *fn, mars_error *err) {
  mars_status st = MARS_OK;
  mars_session *s = a->session;
  const mx_machine_device *m = &s->machine.device[e->device];
  ranges r = {0};
  size_t arena_bytes;
  int64_t widest, place = -1, bytes = align((int64_t)e->bytes, ALIGN);
  char *arena = m->dev->ops->memory(m->dev, &arena_bytes);
  if (!list(a, e->device, &r)) MX_TRY(MX_NOMEM(err, fn));
  place = find_gap(&r, (int64_t)arena_bytes, bytes, &widest);
  if (place < 0) {
    drop_copies(&r, e->device);
    place = find_gap(&r, (int64_t)arena_bytes, bytes, &widest);
  }
  if (place < 0 && !e->device) {
    push_together(&r, arena);
    place = find_gap(&r, (int64_t)arena_bytes, bytes, &widest);
  }
  if (place < 0)
    MX_TRY(mx_fail(err, MARS_E_BUDGET, "%s: the result takes %lld bytes in one piece; of the budget of %s, %zu bytes, %lld are free in one piece", fn,
                   (long long)bytes, m->name, arena_bytes, (long long)widest));
  e->offset = place;
  e->bytes = (size_t)bytes;
  pthread_mutex_lock(&s->export_lock);
  e->next = s->exports;
  if (e->next) e->next->prev = e;
  s->exports = e;
  e->placed = true;
  pthread_mutex_unlock(&s->export_lock);
done:
  mx_vec_free(&s->mem, &r);
  return st;
}

mars_status mx_export_list(mars_session *s, mx_hold **out, int64_t *n, const char *fn, mars_error *err) {
  MX_VEC(mx_hold) all = {0};
  bool ok = true;
  pthread_mutex_lock(&s->export_lock);
  for (const mx_export *e = s->exports; e && ok; e = e->next)
    ok = mx_vec_push(&s->mem, &all, ((mx_hold){e->device, e->offset, (int64_t)e->bytes}));
  pthread_mutex_unlock(&s->export_lock);
  *out = all.at;
  *n = all.n;
  return ok ? MARS_OK : MX_NOMEM(err, fn);
}

char *mx_export_data(const mx_export *e) {
  size_t bytes;
  mx_device *dev = e->session->machine.device[e->device].dev;
  return e->bytes ? (char *)dev->ops->memory(dev, &bytes) + e->offset : NULL;
}

static void mark_stream(mx_export *e) {
  mars_session *s = e->session;
  mx_device *dev = s->machine.device[e->device].dev;
  pthread_mutex_lock(&s->export_lock);
  void *stream = s->closed || !e->placed || s->machine.device[e->device].lost ? MARS_NO_STREAM : s->stream[e->device];
  pthread_mutex_unlock(&s->export_lock);
  /* a stream that cannot be marked is one that no job can be submitted behind either: mark_streams says so */
  if (e->device && stream != MARS_NO_STREAM) (void)dev->ops->mark_create(dev, stream, &e->mark, NULL);
}

static void let_go(mx_export *e) {
  mx_device *dev = e->session->machine.device[e->device].dev;
  if (e->mark) dev->ops->mark_destroy(dev, e->mark);
  mx_free(&e->session->mem, e);
}

mars_status mx_export_settle(mars_session *s, bool wait, mars_error *err) {
  mars_status st = MARS_OK;
  pthread_mutex_lock(&s->export_lock);
  mx_export *e = s->left;
  s->left = NULL;
  pthread_mutex_unlock(&s->export_lock);
  while (e) {
    mx_export *next = e->next;
    const mx_machine_device *m = &s->machine.device[e->device];
    if (wait && st == MARS_OK && !m->lost) st = m->dev->ops->mark_wait(m->dev, e->mark, err);
    let_go(e);
    e = next;
  }
  return st;
}

void mx_export_destroy(mx_export *e) {
  if (!e) return;
  mars_session *s = e->session;
  mark_stream(e);
  pthread_mutex_lock(&s->export_lock);
  if (e->placed) {
    if (e->next) e->next->prev = e->prev;
    if (e->prev) e->prev->next = e->next;
    else s->exports = e->next;
  }
  if (e->mark && !s->closed) {
    e->next = s->left;
    s->left = e;
  } else {
    let_go(e); /* before the session can end */
  }
  const bool last = s->closed && --s->lent == 0;
  if (!s->closed) s->lent--;
  pthread_mutex_unlock(&s->export_lock);
  if (last) mx_session_finish(s);
}
