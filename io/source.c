/* Sources: npy files that tensors are read from. */
#include "io/internal.h"

#include "io/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Open path if it is a regular file. O_NONBLOCK, as a FIFO must not make us wait; cleared again, as it would
   make io_uring answer EAGAIN. */
static mars_status open_regular(const char *fn, const char *path, int *fd, int64_t *bytes, mars_error *err) {
  struct stat info;
  int n = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (n < 0) return mx_fail_errno(err, MARS_E_IO, errno, "%s: cannot open '%s'", fn, path);
  if (fstat(n, &info) || !S_ISREG(info.st_mode)) {
    close(n);
    return mx_fail(err, MARS_E_IO, "%s: '%s' is %s, not a regular file", fn, path,
                   S_ISDIR(info.st_mode) ? "a directory" : "something else");
  }
  int flags = fcntl(n, F_GETFL);
  if (flags < 0 || fcntl(n, F_SETFL, flags & ~O_NONBLOCK)) {
    int error = errno;
    close(n);
    return mx_fail_errno(err, MARS_E_IO, error, "%s: cannot open '%s'", fn, path);
  }
  *fd = n;
  *bytes = info.st_size;
  return MARS_OK;
}

static mars_status read_failed(const char *fn, const char *path, int error, mars_error *err) {
  if (error < 0) return mx_fail(err, MARS_E_FORMAT, "%s: '%s' ends within the npy header", fn, path);
  return mx_fail_errno(err, MARS_E_IO, error, "%s: cannot read the npy header of '%s'", fn, path);
}

static mars_status read_header(mx_io_store *store, const char *fn, const char *path, int fd,
                               int64_t file_bytes, mx_source_info *info, int64_t *data_bytes,
                               mars_error *err) {
  mars_status st = MARS_OK;
  unsigned char head[MX_NPY_PREFIX_BYTES];
  size_t head_bytes = file_bytes < (int64_t)sizeof head ? (size_t)file_bytes : sizeof head;
  int64_t dict_offset = 0, dict_bytes = 0, elements = 0;
  char *dict = NULL;

  int error = mx_file_read(store, fd, head, head_bytes, 0);
  if (error) return read_failed(fn, path, error, err);
  MX_TRY(mx_npy_prefix(fn, path, head, head_bytes, &dict_offset, &dict_bytes, err));
  if (dict_offset + dict_bytes > file_bytes)
    return mx_fail(err, MARS_E_FORMAT,
                   "%s: '%s' claims an npy header of %lld bytes, but the file has only %lld", fn, path,
                   (long long)dict_bytes, (long long)file_bytes);
  dict = mx_alloc(store->mem, (size_t)dict_bytes);
  if (!dict) return mx_fail(err, MARS_E_MEMORY, "%s: no memory for the npy header of '%s'", fn, path);
  error = mx_file_read(store, fd, dict, (size_t)dict_bytes, dict_offset);
  if (error) {
    st = read_failed(fn, path, error, err);
    goto done;
  }
  memset(info, 0, sizeof *info);
  MX_TRY(mx_npy_parse(fn, path, dict, (size_t)dict_bytes, info, err));
  info->data_offset = dict_offset + dict_bytes;
  size_t elem = mars_dtype_bytes(info->dtype);
  char text[MX_SHAPE_TEXT];
  if (!mx_shape_elements(&info->shape, elem, &elements)) {
    st = mx_fail(err, MARS_E_OVERFLOW, "%s: '%s' has shape %s of %s: its size overflows", fn, path,
                 mx_shape_text(&info->shape, text, sizeof text), mars_dtype_name(info->dtype));
    goto done;
  }
  *data_bytes = elements * (int64_t)elem;
  if (*data_bytes > file_bytes - info->data_offset)
    st = mx_fail(err, MARS_E_FORMAT,
                 "%s: '%s' is truncated: shape %s of %s needs %lld bytes of data, but the file has %lld", fn,
                 path, mx_shape_text(&info->shape, text, sizeof text), mars_dtype_name(info->dtype),
                 (long long)*data_bytes, (long long)(file_bytes - info->data_offset));

done:
  mx_free(store->mem, dict);
  return st;
}

static void source_destroy(mx_source *source) {
  if (!source) return;
  mx_io_store *store = source->store;
  mx_file_close(store, source->file);
  mx_free(store->mem, source->path);
  mx_free(store->mem, source->fn);
  mx_free(store->mem, source);
}

mars_status mx_source_open(mx_store *base, const char *fn, const char *path, mx_source_info *info,
                           mx_source **out, mars_error *err) {
  mx_io_store *store = mx_io_store_of(base);
  mars_status st = MARS_OK;
  int64_t file_bytes = 0;
  int fd = -1;
  mx_source *source = NULL;

  *out = NULL;
  if (!path) return mx_fail(err, MARS_E_ARG, "%s: path is NULL", fn);
  MX_TRY(open_regular(fn, path, &fd, &file_bytes, err));
  source = mx_alloc(store->mem, sizeof *source);
  if (!source) goto memory;
  source->store = store;
  atomic_init(&source->refs, 1);
  MX_TRY(read_header(store, fn, path, fd, file_bytes, &source->info, &source->data_bytes, err));
  source->path = mx_strdup(store->mem, path);
  source->fn = mx_strdup(store->mem, fn);
  source->file = mx_file_create(store, fd, O_RDONLY, path, false);
  fd = -1;
  if (!source->path || !source->fn || !source->file) goto memory;
  *info = source->info;
  *out = source;
  source = NULL;
  goto done;

memory:
  st = mx_fail(err, MARS_E_MEMORY, "%s: no memory to open '%s'", fn, path);
done:
  if (fd >= 0) close(fd);
  source_destroy(source);
  return st;
}

void mx_source_retain(mx_source *source) {
  atomic_fetch_add(&source->refs, 1);
}

void mx_source_release(mx_source *source) {
  if (source && atomic_fetch_sub(&source->refs, 1) == 1) source_destroy(source);
}

size_t mx_source_phase(mx_source *source, int64_t offset) {
  return (size_t)((source->info.data_offset + offset) & (MX_IO_ALIGN - 1));
}
