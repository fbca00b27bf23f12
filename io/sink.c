/*
 * Sinks: npy files that results are written to. Nobody sees one before it is whole: it has no name
 * (O_TMPFILE) or a temporary one until sink_commit.
 */
#include "io/internal.h"

#include "io/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where path really leads, and whether a file may be put there. */
static mars_status resolve(const char *fn, const char *path, char *real, size_t real_bytes, mars_error *err) {
  struct stat info;
  if (!path || !*path) return mx_fail(err, MARS_E_ARG, "%s: the path is empty", fn);
  if (strlen(path) >= real_bytes)
    return mx_fail_errno(err, MARS_E_IO, ENAMETOOLONG, "%s: '%.200s...'", fn, path);
  snprintf(real, real_bytes, "%s", path);
  if (path[strlen(path) - 1] == '/')
    return mx_fail(err, MARS_E_IO, "%s: '%s' is a directory's name", fn, path);
  if (lstat(path, &info))
    return MARS_OK; /* not there yet; a missing directory is told when the file is made */
  if (S_ISLNK(info.st_mode)) {
    /* write through the link, as any program that opens its output would */
    char target[PATH_MAX];
    if (!realpath(path, target))
      return mx_fail_errno(err, MARS_E_IO, errno, "%s: cannot follow the symbolic link '%s'", fn, path);
    snprintf(real, real_bytes, "%s", target);
    if (stat(real, &info)) return mx_fail_errno(err, MARS_E_IO, errno, "%s: cannot write '%s'", fn, path);
  }
  if (!S_ISREG(info.st_mode))
    return mx_fail_errno(err, MARS_E_IO, S_ISDIR(info.st_mode) ? EISDIR : EINVAL,
                         "%s: cannot write '%s': only regular files can be replaced", fn, path);
  if (access(real, W_OK)) return mx_fail_errno(err, MARS_E_IO, errno, "%s: cannot write '%s'", fn, path);
  return MARS_OK;
}

/* Nameless if it can be named later (/proc is there), else under a temporary name. Both take the umask. */
static int open_temporary(mx_io_store *store, mx_sink *sink, const char *name, int *fd) {
  int error = mx_io_fault(store, true);
  if (error) return error;
  char text[PATH_MAX];
  *fd = open(sink->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (*fd >= 0) {
    snprintf(text, sizeof text, "/proc/self/fd/%d", *fd);
    if (access(text, F_OK) == 0) return 0;
    close(*fd);
    *fd = -1;
  } else if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
    return errno;
  }
  for (unsigned attempt = 0; attempt < 100; attempt++) {
    mx_file_temp_name(text, sizeof text, sink->dir, name, attempt);
    *fd = open(text, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    if (*fd < 0 && errno == EEXIST) continue;
    if (*fd < 0) return errno;
    sink->named = true;
    sink->temp = mx_strdup(store->mem, text);
    if (sink->temp) return 0;
    unlink(text);
    close(*fd);
    *fd = -1;
    return ENOMEM;
  }
  return EEXIST;
}

static void sink_destroy(mx_sink *sink) {
  if (!sink) return;
  mx_io_store *store = sink->store;
  if (sink->named) unlink(sink->temp);
  mx_file_close(store, sink->file);
  mx_free(store->mem, sink->path);
  mx_free(store->mem, sink->dir);
  mx_free(store->mem, sink->temp);
  mx_free(store->mem, sink->fn);
  mx_free(store->mem, sink);
}

static mars_status check_size(const char *fn, const char *path, mars_dtype dtype, const mars_shape *shape,
                              int64_t *data_bytes, mars_error *err) {
  int64_t elements = 0;
  char text[MX_SHAPE_TEXT];
  if (dtype == MARS_BF16)
    return mx_fail(err, MARS_E_DTYPE, "%s: npy has no bfloat16; cast to float32 before writing '%s'", fn,
                   path);
  size_t elem = mars_dtype_bytes(dtype);
  if (!elem) return mx_fail(err, MARS_E_DTYPE, "%s: %d is no dtype", fn, (int)dtype);
  if (!mx_shape_elements(shape, elem, &elements) ||
      elements * (int64_t)elem > INT64_MAX - 2 * MX_NPY_DATA_OFFSET)
    return mx_fail(err, MARS_E_OVERFLOW, "%s: shape %s of %s: its size overflows", fn,
                   mx_shape_text(shape, text, sizeof text), mars_dtype_name(dtype));
  *data_bytes = elements * (int64_t)elem;
  return MARS_OK;
}

/* Header and space. */
static mars_status prepare(mx_sink *sink, mars_dtype dtype, const mars_shape *shape, mars_error *err) {
  mx_io_store *store = sink->store;
  int64_t bytes = MX_NPY_DATA_OFFSET + sink->data_bytes;
  int error = mx_file_reserve(store, sink->file->fd, bytes);
  if (error)
    return mx_fail_errno(err, MARS_E_IO, error, "%s: cannot reserve %lld bytes for '%s'", sink->fn,
                         (long long)bytes, sink->path);
  char header[MX_NPY_DATA_OFFSET];
  mx_npy_format(dtype, shape, header);
  error = mx_file_write(store, sink->file->fd, header, sizeof header, 0);
  if (error) return mx_fail_errno(err, MARS_E_IO, error, "%s: cannot write to '%s'", sink->fn, sink->path);
  return MARS_OK;
}

mars_status mx_sink_create(mx_store *base, const char *fn, const char *path, mars_dtype dtype,
                           const mars_shape *shape, mx_sink **out, mars_error *err) {
  mx_io_store *store = mx_io_store_of(base);
  mars_status st = MARS_OK;
  char real[PATH_MAX], dir[PATH_MAX], whole[PATH_MAX];
  mx_sink *sink = NULL;
  int64_t data_bytes = 0;
  int fd = -1, error = 0;

  *out = NULL;
  MX_TRY(resolve(fn, path, real, sizeof real, err));
  MX_TRY(check_size(fn, path, dtype, shape, &data_bytes, err));
  const char *name = mx_file_split(real, dir, sizeof dir);
  if (!realpath(dir, whole)) /* absolute, as the working directory may be another when the file is finished */
    return mx_fail_errno(err, MARS_E_IO, errno, "%s: cannot create '%s' in directory '%s'", fn, path, dir);
  sink = mx_alloc(store->mem, sizeof *sink);
  if (!sink) goto memory;
  sink->store = store;
  sink->data_bytes = data_bytes;
  sink->dir = mx_strdup(store->mem, whole);
  sink->path = mx_alloc(store->mem, strlen(whole) + strlen(name) + 2);
  if (sink->path) sprintf(sink->path, "%s/%s", whole, name);
  sink->fn = mx_strdup(store->mem, fn);
  if (!sink->path || !sink->dir || !sink->fn) goto memory;
  error = open_temporary(store, sink, name, &fd);
  if (error == ENOMEM) goto memory;
  if (error) {
    st = mx_fail_errno(err, MARS_E_IO, error, "%s: cannot create '%s'", fn, path);
    goto done;
  }
  sink->file = mx_file_create(store, fd, O_RDWR, sink->temp, true);
  if (!sink->file) goto memory;
  MX_TRY(prepare(sink, dtype, shape, err));
  *out = sink;
  sink = NULL;
  goto done;

memory:
  st = mx_fail(err, MARS_E_MEMORY, "%s: no memory to create '%s'", fn, path);
done:
  sink_destroy(sink);
  return st;
}

/* Give the nameless file the name `to`. 0 or an errno. */
static int link_fd(int fd, const char *to) {
  char from[40];
  snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
  return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) ? errno : 0;
}

/* Put the file at its path. A new name is linked at once; an old file is replaced by rename. */
static int publish(mx_sink *sink) {
  if (!sink->named) {
    int error = link_fd(sink->file->fd, sink->path);
    if (error != EEXIST) return error;
    char dir[PATH_MAX], temp[PATH_MAX];
    const char *name = mx_file_split(sink->path, dir, sizeof dir);
    for (unsigned attempt = 0; error == EEXIST && attempt < 100; attempt++) {
      mx_file_temp_name(temp, sizeof temp, sink->dir, name, attempt);
      error = link_fd(sink->file->fd, temp);
    }
    if (error) return error;
    error = rename(temp, sink->path) ? errno : 0;
    if (error) unlink(temp);
    return error;
  }
  if (rename(sink->temp, sink->path)) return errno;
  sink->named = false;
  return 0;
}

static int sync_dir(const char *dir) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return errno == EACCES ? 0 : errno; /* writable but not readable: the name is there all the same */
  int error = fsync(fd) && errno != EINVAL && errno != EROFS ? errno : 0;
  close(fd);
  return error;
}

mars_status mx_sink_commit(mx_sink *sink, mars_error *err) {
  mars_status st = MARS_OK;
  int error = 0;
  if (atomic_load(&sink->pending)) {
    st = mx_fail(err, MARS_E_STATE, "%s: '%s' was to be finished while writes to it were under way", sink->fn,
                 sink->path);
    goto done;
  }
  if ((error = mx_file_sync(sink->store, sink->file->fd)) != 0) {
    st = mx_fail_errno(err, MARS_E_IO, error, "%s: cannot flush '%s' to the disk", sink->fn, sink->path);
    goto done;
  }
  if ((error = mx_io_fault(sink->store, true)) != 0 || (error = publish(sink)) != 0 ||
      (error = sync_dir(sink->dir)) != 0)
    st = mx_fail_errno(err, MARS_E_IO, error, "%s: cannot move the finished file to '%s'", sink->fn,
                       sink->path);

done:
  sink_destroy(sink);
  return st;
}

void mx_sink_abort(mx_sink *sink) {
  sink_destroy(sink);
}

size_t mx_sink_phase(mx_sink *sink, int64_t offset) {
  return (size_t)(offset & (MX_IO_ALIGN - 1));
}
