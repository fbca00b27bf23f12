/* mars info: what a session finds and uses. */
#include "fmt.h"
#include "options.h"

#include <gnu/libc-version.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#ifndef MARS_BUILT_WITH
#define MARS_BUILT_WITH ""
#endif

/* Shared libraries that are loaded and matter, by file name ("libhwloc.so.15.6.1"). */
typedef struct libraries {
  char name[16][80];
  int n;
} libraries;

static int add_library(struct dl_phdr_info *info, size_t bytes, void *user) {
  static const char *const wanted[] = {"libmars.", "libhwloc.", "liburing.", "libsleef.", "libxxhash.", "libgomp.",
                                       "libopenblas", "liblapacke.",
                                       "libcuda.", "libnvrtc.", "libnccl."};
  libraries *l = user;
  char *path = info->dlpi_name && *info->dlpi_name ? realpath(info->dlpi_name, NULL) : NULL;
  const char *base = path ? strrchr(path, '/') : NULL;

  for (size_t i = 0; base && i < sizeof wanted / sizeof *wanted; i++)
    if (!strncmp(base + 1, wanted[i], strlen(wanted[i])) && l->n < 16)
      snprintf(l->name[l->n++], sizeof l->name[0], "%s", base + 1);
  free(path);
  return 0;
}

static void put_json_string(const char *key, const char *value, const char *end) {
  printf("\"%s\": ", key);
  if (!value) {
    printf("null%s", end);
    return;
  }
  putchar('"');
  for (const char *p = value; *p; p++) {
    if (*p == '"' || *p == '\\') printf("\\%c", *p);
    else if ((unsigned char)*p < 32) printf("\\u%04x", *p);
    else putchar(*p);
  }
  printf("\"%s", end);
}

static const char *yes(bool b) { return b ? "yes" : "no"; }
static const char *truth(bool b) { return b ? "true" : "false"; }

static double free_bytes(const char *dir) {
  struct statvfs v;
  return statvfs(dir, &v) == 0 ? (double)v.f_bavail * (double)v.f_frsize : -1;
}

static void print_cuda(void) {
  mars_library l;

  for (size_t i = 0; mars_library_get(i, &l); i++) {
    if (l.path != NULL) printf("%-12s %s%s%s\n", l.name, l.path, l.version[0] != '\0' ? ", " : "", l.version);
    else printf("%-12s missing: %s\n", l.name, l.missing);
  }
}

static void print_cuda_json(void) {
  mars_library l;

  printf("\"cuda\": [");
  for (size_t i = 0; mars_library_get(i, &l); i++) {
    printf("%s{", i > 0 ? ", " : "");
    put_json_string("name", l.name, ", ");
    put_json_string("path", l.path, ", ");
    put_json_string("version", l.version, ", ");
    put_json_string("missing", l.missing, "}");
  }
  printf("], ");
}

static void print_text(const mars_session_info *i, const struct utsname *u, const libraries *l) {
  printf("mars         %s\n", i->version);
  printf("machine      %s %s %s, glibc %s\n", u->sysname, u->release, u->machine, gnu_get_libc_version());
  printf("cpu          %s\n", i->cpu ? i->cpu : "unknown");
  printf("cores        %d in %d NUMA node%s\n", i->cores, i->numa_nodes, i->numa_nodes == 1 ? "" : "s");
  printf("memory       %s\n", mt_fmt_bytes((double)i->memory_bytes));
  printf("device 0     host: %d thread%s, %s kernels\n", i->threads, i->threads == 1 ? "" : "s", i->isa);
  for (int d = 1; d < i->n_devices; d++)
    printf("device %d     %s: %s, %s of %s for tensor data\n", d, i->devices[d].name, i->devices[d].model ? i->devices[d].model : "unknown",
           mt_fmt_bytes((double)i->devices[d].budget_bytes), mt_fmt_bytes((double)i->devices[d].memory_bytes));
  printf("budget       %s of host memory for tensor data; arena %s, huge pages: %s\n",
         mt_fmt_bytes((double)i->host_budget_bytes), mt_fmt_bytes((double)i->arena_bytes), yes(i->huge_pages));
  printf("input/output %s; O_DIRECT: %s, registered buffers: %s\n", i->io_backend, yes(i->io_direct),
         yes(i->io_fixed_buffers));
  for (int d = 0; d < i->n_spill_dirs; d++) {
    double room = free_bytes(i->spill_dirs[d]);
    printf("spill        %s, %s free\n", i->spill_dirs[d], room < 0 ? "?" : mt_fmt_bytes(room));
  }
  if (i->n_spill_dirs <= 0) printf("spill        off\n");
  printf("blas         %s\n", i->blas);
  print_cuda();
  printf("libraries   ");
  for (int k = 0; k < l->n; k++) printf(" %s", l->name[k]);
  printf("\nbuilt with   %s\n", MARS_BUILT_WITH);
}

static void print_json(const mars_session_info *i, const struct utsname *u, const libraries *l) {
  printf("{");
  put_json_string("version", i->version, ", ");
  put_json_string("system", u->sysname, ", ");
  put_json_string("release", u->release, ", ");
  put_json_string("machine", u->machine, ", ");
  put_json_string("glibc", gnu_get_libc_version(), ", ");
  put_json_string("cpu", i->cpu, ", ");
  printf("\"cores\": %d, \"numa_nodes\": %d, \"memory_bytes\": %zu, ", i->cores, i->numa_nodes, i->memory_bytes);
  printf("\"devices\": [{\"id\": 0, \"kind\": \"host\", \"threads\": %d, ", i->threads);
  put_json_string("isa", i->isa, "}");
  for (int d = 1; d < i->n_devices; d++) {
    printf(", {\"id\": %d, ", d);
    put_json_string("kind", i->devices[d].name, ", ");
    put_json_string("model", i->devices[d].model, ", ");
    printf("\"memory_bytes\": %zu, \"budget_bytes\": %zu}", i->devices[d].memory_bytes, i->devices[d].budget_bytes);
  }
  printf("], ");
  printf("\"host_budget_bytes\": %zu, \"arena_bytes\": %zu, \"huge_pages\": %s, ", i->host_budget_bytes, i->arena_bytes,
         truth(i->huge_pages));
  put_json_string("io_backend", i->io_backend, ", ");
  printf("\"io_direct\": %s, \"io_fixed_buffers\": %s, \"spill\": [", truth(i->io_direct), truth(i->io_fixed_buffers));
  for (int d = 0; d < i->n_spill_dirs; d++) {
    double room = free_bytes(i->spill_dirs[d]);
    printf("%s{", d ? ", " : "");
    put_json_string("directory", i->spill_dirs[d], ", ");
    printf("\"free_bytes\": %.0f}", room < 0 ? 0 : room);
  }
  printf("], ");
  print_cuda_json();
  put_json_string("blas", i->blas, ", \"libraries\": [");
  for (int k = 0; k < l->n; k++) printf("%s\"%s\"", k ? ", " : "", l->name[k]);
  printf("], ");
  put_json_string("built_with", MARS_BUILT_WITH, "}\n");
}

int mt_main_info(const char *command, int argc, char **argv) {
  mars_session *s = NULL;
  mars_session_info info;
  libraries libs = {0};
  mt_arena arena = {0};
  mt_diag diag = {0};
  struct utsname u;
  mt_options o;
  bool ok = mt_options_parse(command, argc, argv, &arena, &diag, &o);

  if (ok && o.help) {
    fputs(mt_help_page(command), stdout);
  } else if (ok && (ok = mt_session_open(&o, &s, &diag))) {
    mars_session_get_info(s, &info);
    uname(&u);
    dl_iterate_phdr(add_library, &libs);
    if (o.json) print_json(&info, &u, &libs);
    else print_text(&info, &u, &libs);
  }
  if (!ok) mt_diag_print(stderr, command, &diag);
  mars_session_destroy(s);
  mt_arena_free(&arena);
  return ok ? MT_EXIT_OK : diag.exit_code;
}
