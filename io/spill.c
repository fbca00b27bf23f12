/*
 * The spill store's space: slab files without a name, striped chunk by chunk over the directories.
 *
 * Slabs grow geometrically (16 MiB, then as much again as the directory holds, at most 4 GiB), so that a
 * small job takes little disk and a terabyte few descriptors. Their space is reserved when they are made: a
 * full disk is told here.
 */
#include "io/internal.h"

#include "io/extent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SLAB_MIN ((int64_t)16 << 20)
#define SLAB_MAX ((int64_t)4 << 30)

typedef struct spill_dir {
  const char *path;
  mx_extents extents;
  mx_file **slabs;
  int32_t n_slabs;
  int64_t bytes; /* of all slabs */
} spill_dir;

struct mx_spill {
  mx_io_store *store;
  pthread_mutex_t lock;
  spill_dir *dirs;
  int n_dirs, next; /* next: whose turn it is */
  int64_t budget, used, total;
  bool direct;
};

mars_status mx_spill_create(mx_io_store *store, const mx_store_config *config, mx_spill **out,
                            mars_error *err) {
  mars_status st = MARS_OK;
  mx_spill *s = mx_alloc(store->mem, sizeof *s);
  *out = NULL;
  if (!s) return mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for the spill store");
  s->store = store;
  pthread_mutex_init(&s->lock, NULL);
  s->budget = config->spill_budget_bytes > INT64_MAX ? INT64_MAX : (int64_t)config->spill_budget_bytes;
  s->dirs = mx_calloc(store->mem, (size_t)store->n_dirs, sizeof *s->dirs);
  if (!s->dirs) {
    st = mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for the spill store");
    goto done;
  }
  for (int i = 0; i < store->n_dirs; i++) {
    s->dirs[i].path = store->dirs[i];
    mx_extents_init(&s->dirs[i].extents, store->mem);
    s->n_dirs = i + 1;
    int fd = -1, error = mx_file_nameless(store, store->dirs[i], &fd);
    if (error == ENOSPC || error == EDQUOT) {
      /* another directory may have space, and perhaps nothing will be spilled */
      mx_io_say(&store->log, MX_SAID_SPACE, MARS_LOG_WARNING, "spill directory '%s' is full", store->dirs[i]);
      continue;
    }
    if (error) {
      st = mx_fail_errno(
          err, MARS_E_IO, error,
          "mars_session_create: cannot make files in spill directory '%s'; name a directory that exists "
          "and can be written to",
          store->dirs[i]);
      goto done;
    }
    mx_file *file = mx_file_create(store, fd, O_RDWR, NULL, true);
    if (!file) {
      st = mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for the spill store");
      goto done;
    }
    s->direct |= file->fd_direct >= 0;
    mx_file_close(store, file);
  }
  *out = s;
  s = NULL;

done:
  mx_spill_destroy(store, s);
  return st;
}

void mx_spill_destroy(mx_io_store *store, mx_spill *s) {
  if (!s) return;
  for (int i = 0; i < s->n_dirs; i++) {
    for (int32_t k = 0; k < s->dirs[i].n_slabs; k++) mx_file_close(store, s->dirs[i].slabs[k]);
    mx_free(store->mem, s->dirs[i].slabs);
    mx_extents_reset(&s->dirs[i].extents);
  }
  mx_free(store->mem, s->dirs);
  pthread_mutex_destroy(&s->lock);
  mx_free(store->mem, s);
}

/* Another slab of at least `bytes` in directory d. 0, an errno, or ENOMEM. */
static int grow(mx_spill *s, spill_dir *d, int64_t bytes) {
  int64_t want = d->bytes < SLAB_MIN ? SLAB_MIN : d->bytes > SLAB_MAX ? SLAB_MAX : mx_align_up(d->bytes);
  if (s->budget && want > s->budget - s->total) want = mx_align_down(s->budget - s->total);
  if (want < bytes) want = bytes;
  size_t old = (size_t)d->n_slabs * sizeof *d->slabs;
  mx_file **slabs = mx_grow(s->store->mem, d->slabs, old, old + sizeof *slabs);
  if (!slabs) return ENOMEM;
  d->slabs = slabs;
  int fd = -1, error = mx_file_nameless(s->store, d->path, &fd);
  if (error) return error;
  mx_file *file = mx_file_create(s->store, fd, O_RDWR, NULL, true);
  if (!file) return ENOMEM;
  while ((error = mx_file_reserve(s->store, fd, want)) != 0) {
    if ((error != ENOSPC && error != EDQUOT && error != EFBIG) || want == bytes) break;
    if (ftruncate(fd, 0)) break; /* give back what a partial reservation took */
    want = want / 2 > bytes ? mx_align_up(want / 2) : bytes;
  }
  if (!error && !mx_extents_add(&d->extents, d->n_slabs, want)) error = ENOMEM;
  if (error) {
    mx_file_close(s->store, file);
    return error;
  }
  d->slabs[d->n_slabs++] = file;
  d->bytes += want;
  s->total += want;
  return 0;
}

static int take(mx_spill *s, int i, int64_t bytes, mx_slot *slot) {
  int got = mx_extents_acquire(&s->dirs[i].extents, bytes, &slot->slab, &slot->offset);
  if (got > 0) {
    slot->dir = i + 1;
    slot->bytes = bytes;
    s->used += bytes;
    s->next = (i + 1) % s->n_dirs;
  }
  return got;
}

static mars_status no_space(mx_spill *s, int64_t bytes, int error, mars_error *err) {
  char names[256] = "";
  size_t at = 0;
  for (int i = 0; i < s->n_dirs && at < sizeof names - 1; i++)
    at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", s->dirs[i].path);
  return mx_fail_errno(
      err, MARS_E_IO, error,
      "mars_run: cannot spill %lld bytes to %s (%lld bytes are in use there); free disk space, name "
      "more spill directories or raise the host budget",
      (long long)bytes, names, (long long)s->used);
}

mars_status mx_spill_acquire(mx_spill *s, int64_t bytes, mx_slot *slot, mars_error *err) {
  mars_status st = MARS_OK;
  int error = 0;
  *slot = (mx_slot){0};
  pthread_mutex_lock(&s->lock);
  if (!s->n_dirs) {
    st = mx_fail(err, MARS_E_STATE,
                 "mars_run: %lld bytes would have to be spilled, but the session has no spill directory; set "
                 "spill_dirs or raise host_budget_bytes",
                 (long long)bytes);
    goto done;
  }
  if (s->budget && bytes > s->budget - s->used) {
    st = mx_fail(err, MARS_E_BUDGET,
                 "mars_run: %lld bytes to spill, but %lld of the spill budget's %lld bytes are in use; "
                 "spill_budget_bytes must be at least %lld",
                 (long long)bytes, (long long)s->used, (long long)s->budget, (long long)(s->used + bytes));
    goto done;
  }
  for (int k = 0, first = s->next; k < s->n_dirs; k++) {
    int i = (first + k) % s->n_dirs, got = take(s, i, bytes, slot);
    if (got > 0) goto done;
    int grown = got < 0 ? ENOMEM : grow(s, &s->dirs[i], bytes);
    if (!grown && (got = take(s, i, bytes, slot)) > 0) goto done;
    if (grown == ENOMEM || got < 0) {
      st = mx_fail(err, MARS_E_MEMORY, "mars_run: no memory for the records of the spill store");
      goto done;
    }
    error = grown; /* full or broken: try the next directory */
  }
  st = no_space(s, bytes, error, err);

done:
  pthread_mutex_unlock(&s->lock);
  return st;
}

void mx_spill_release(mx_spill *s, mx_slot *slot) {
  if (!slot->dir) return;
  pthread_mutex_lock(&s->lock);
  mx_extents_release(&s->dirs[slot->dir - 1].extents, slot->slab, slot->offset, slot->bytes);
  s->used -= slot->bytes;
  pthread_mutex_unlock(&s->lock);
  *slot = (mx_slot){0};
}

mx_file *mx_spill_file(mx_spill *s, const mx_slot *slot) {
  mx_file *file = NULL;
  pthread_mutex_lock(&s->lock);
  if (slot->dir > 0 && slot->dir <= s->n_dirs) {
    spill_dir *d = &s->dirs[slot->dir - 1];
    if (slot->slab >= 0 && slot->slab < d->n_slabs) file = d->slabs[slot->slab];
  }
  pthread_mutex_unlock(&s->lock);
  return file;
}

const char *mx_spill_dir(mx_spill *s, const mx_slot *slot) {
  return slot->dir > 0 && slot->dir <= s->n_dirs ? s->dirs[slot->dir - 1].path : "?";
}

bool mx_spill_direct(mx_spill *s) {
  return s->direct;
}

size_t mx_spill_used_bytes(mx_spill *s) {
  pthread_mutex_lock(&s->lock);
  int64_t used = s->used;
  pthread_mutex_unlock(&s->lock);
  return (size_t)used;
}
