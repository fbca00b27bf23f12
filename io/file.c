/* Files: two descriptors each, the search for O_DIRECT, and the few synchronous calls (headers, space,
 * fsync). */
#include "io/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The same file again with other flags. By /proc, else by name if that still is the same file; -1 with errno.
 */
static int reopen(int fd, int flags, const char *path) {
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int again = open(link, flags | O_CLOEXEC);
  if (again >= 0 || errno == EINVAL || !path) return again;
  struct stat a, b;
  again = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
  if (again >= 0 && (fstat(fd, &a) || fstat(again, &b) || a.st_dev != b.st_dev || a.st_ino != b.st_ino)) {
    close(again);
    errno = ENOENT;
    return -1;
  }
  return again;
}

/* Some file systems accept the flag and refuse the transfer, so one is made. */
static int probe(int fd, bool write) {
  alignas(MX_IO_ALIGN) char block[MX_IO_ALIGN];
  if (write) memset(block, 0, sizeof block);
  ssize_t n;
  do n = write ? pwrite(fd, block, sizeof block, 0) : pread(fd, block, sizeof block, 0);
  while (n < 0 && errno == EINTR);
  return n < 0 && errno != ENOSPC && errno != EDQUOT ? errno : 0;
}

mx_file *mx_file_create(mx_io_store *store, int fd, int flags, const char *path, bool write) {
  mx_file *file = mx_alloc(store->mem, sizeof *file);
  if (!file) {
    close(fd);
    return NULL;
  }
  *file = (mx_file){.fd = fd, .fd_direct = -1, .fixed = {-1, -1}};
  if (store->no_direct) return file;
  file->fd_direct = reopen(fd, flags | O_DIRECT, path);
  int error = file->fd_direct < 0 ? errno : probe(file->fd_direct, write);
  if (error) {
    if (file->fd_direct >= 0) close(file->fd_direct);
    file->fd_direct = -1;
    mx_io_say(&store->log, MX_SAID_DIRECT, MARS_LOG_INFO, "no O_DIRECT for '%s' (%s): using the page cache",
              path ? path : "spill file", strerror(error));
  } else {
    atomic_store(&store->direct, true);
  }
  return file;
}

void mx_file_close(mx_io_store *store, mx_file *file) {
  if (!file) return;
  close(file->fd);
  if (file->fd_direct >= 0) close(file->fd_direct);
  if (file->fixed[0] < 0 && file->fixed[1] < 0) {
    mx_free(store->mem, file);
    return;
  }
  pthread_mutex_lock(&store->lock);
  file->next = store->dead;
  store->dead = file;
  bool wake = store->asleep;
  store->asleep = false;
  pthread_mutex_unlock(&store->lock);
  if (wake) store->ring->ops->wake(store->ring);
}

int mx_file_read(mx_io_store *store, int fd, void *buf, size_t bytes, int64_t offset) {
  int fault = mx_io_fault(store, false);
  if (fault) return fault;
  for (size_t done = 0; done < bytes;) {
    ssize_t n = pread(fd, (char *)buf + done, bytes - done, offset + (int64_t)done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return -1;
    done += (size_t)n;
  }
  return 0;
}

int mx_file_write(mx_io_store *store, int fd, const void *buf, size_t bytes, int64_t offset) {
  int fault = mx_io_fault(store, true);
  if (fault) return fault;
  for (size_t done = 0; done < bytes;) {
    ssize_t n = pwrite(fd, (const char *)buf + done, bytes - done, offset + (int64_t)done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    done += (size_t)n;
  }
  return 0;
}

int mx_file_reserve(mx_io_store *store, int fd, int64_t bytes) {
  int error = mx_io_fault(store, true);
  if (error) return error;
  do error = fallocate(fd, 0, 0, bytes) ? errno : 0;
  while (error == EINTR);
  if (error == EOPNOTSUPP || error == ENOSYS) error = ftruncate(fd, bytes) ? errno : 0;
  return error;
}

int mx_file_sync(mx_io_store *store, int fd) {
  int error = mx_io_fault(store, true);
  if (error) return error;
  do error = fsync(fd) ? errno : 0;
  while (error == EINTR);
  return error;
}

void mx_file_temp_name(char *out, size_t out_bytes, const char *dir, const char *name, unsigned attempt) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t mix = (uint64_t)now.tv_nsec * 1000003u ^ (uint64_t)getpid() << 32 ^ (uint64_t)now.tv_sec;
  mix = (mix + attempt) * 0x9e3779b97f4a7c15u;
  char suffix[7] = {0};
  for (int i = 0; i < 6; i++, mix /= 36) suffix[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[mix % 36];
  /* a name may have 255 bytes; what does not fit is cut, as the suffix makes it unique */
  snprintf(out, out_bytes, "%s/.%.200s.mars-%s", dir, name, suffix);
}

int mx_file_nameless(mx_io_store *store, const char *dir, int *fd) {
  int error = mx_io_fault(store, true);
  if (error) return error;
  *fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (*fd >= 0) return 0;
  /* EISDIR: a kernel, EOPNOTSUPP: a file system that does not know O_TMPFILE */
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) return errno;
  char name[4096];
  for (unsigned attempt = 0; attempt < 100; attempt++) {
    mx_file_temp_name(name, sizeof name, dir, "spill", attempt);
    *fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (*fd < 0 && errno == EEXIST) continue;
    if (*fd < 0) return errno;
    unlink(name);
    return 0;
  }
  return EEXIST;
}

const char *mx_file_split(const char *path, char *dir, size_t dir_bytes) {
  const char *slash = strrchr(path, '/');
  if (!slash)
    snprintf(dir, dir_bytes, ".");
  else if (slash == path)
    snprintf(dir, dir_bytes, "/");
  else
    snprintf(dir, dir_bytes, "%.*s", (int)(slash - path), path);
  return slash ? slash + 1 : path;
}
