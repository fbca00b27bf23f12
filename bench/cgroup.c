/* A memory cgroup for one child, in whichever hierarchy the machine has. */
#include "bench/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_text(const char *dir, const char *file, const char *text, char *error) {
  char path[BENCH_PATH + 64];
  int fd;
  bool ok;

  snprintf(path, sizeof path, "%s/%s", dir, file);
  fd = open(path, O_WRONLY | O_CLOEXEC);
  ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (!ok)
    bench_set_error(error, "cannot write '%s' to %s: %s", text, path, strerror(errno));
  if (fd >= 0)
    close(fd);
  return ok;
}

bool bench_cgroup_create(size_t bytes, char *path, char *error) {
  const bool v1 = access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0;
  const char *root = v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
  char text[32], ignored[BENCH_TEXT];

  if (!v1 && access("/sys/fs/cgroup/cgroup.controllers", F_OK) != 0) {
    bench_set_error(error, "this machine has no memory cgroups under /sys/fs/cgroup");
    return false;
  }
  if (!v1)
    write_text(root, "cgroup.subtree_control", "+memory", ignored); /* may be on already */
  snprintf(path, BENCH_PATH, "%s/mars-bench-%d", root, (int)getpid());
  if (mkdir(path, 0755) != 0 && errno != EEXIST) {
    bench_set_error(error, "cannot make the cgroup %s: %s", path, strerror(errno));
    path[0] = '\0';
    return false;
  }
  snprintf(text, sizeof text, "%zu", bytes);
  if (write_text(path, v1 ? "memory.limit_in_bytes" : "memory.max", text, error))
    return true;
  bench_cgroup_remove(path);
  path[0] = '\0';
  return false;
}

bool bench_cgroup_enter(const char *path, char *error) {
  char text[32];

  snprintf(text, sizeof text, "%d", (int)getpid());
  return write_text(path, "cgroup.procs", text, error);
}

/* The kernel lets go of the last process a moment after it was reaped. */
void bench_cgroup_remove(const char *path) {
  for (int i = 0; i < 100 && path[0] != '\0' && rmdir(path) != 0 && errno == EBUSY; i++)
    usleep(10000);
}
