/* Rows as a table on standard output (at most 120 columns) and as a JSON list. */
#include "bench/bench.h"
#include "bench/util.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench_report {
  const bench_options *o;
  bench_row *rows;
  int n, cap;
  bool no_memory;
};

bench_report *bench_report_create(const bench_options *o) {
  bench_report *r = calloc(1, sizeof *r);

  if (r != NULL)
    r->o = o;
  return r;
}

void bench_report_destroy(bench_report *r) {
  if (r == NULL)
    return;
  free(r->rows);
  free(r);
}

int bench_report_failures(const bench_report *r) {
  int failures = r->no_memory;

  for (int i = 0; i < r->n; i++)
    failures += r->rows[i].error[0] != '\0' || !r->rows[i].correct;
  return failures;
}

/* ---- table ----------------------------------------------------------------------------------------- */

static void size_text(char *to, size_t cap, double size) {
  const int exponent = size >= 1 ? (int)floor(log10(size)) : 0;
  const double mantissa = size / pow(10, exponent);

  if (exponent < 4)
    snprintf(to, cap, "%.0f", size);
  else
    snprintf(to, cap, fabs(mantissa - rint(mantissa)) < 0.005 ? "%.0fe%d" : "%.2fe%d", mantissa, exponent);
}

static void seconds_text(char *to, size_t cap, double s) {
  if (s >= 100)
    snprintf(to, cap, "%.0f s", s);
  else if (s >= 1)
    snprintf(to, cap, "%.3g s", s);
  else if (s >= 1e-3)
    snprintf(to, cap, "%.3g ms", s * 1e3);
  else
    snprintf(to, cap, "%.3g us", s * 1e6);
}

static void ratio_text(char *to, size_t cap, const bench_row *row, const char *peer) {
  snprintf(to, cap, "-");
  for (int i = 0; i < row->n_peers; i++)
    if (strcmp(row->peers[i].name, peer) == 0)
      snprintf(to, cap, row->peers[i].ratio < 10 ? "%.2f" : "%.1f", row->peers[i].ratio);
}

static void print_head(const bench_options *o) {
  printf("%d threads; hand and peers: their time over ours (above 1: mars is faster); limit: the physical "
         "one and the "
         "part reached\n",
         o->threads);
  printf("%-8s %-10s %7s %-4s %8s %15s %-22s %5s %6s %6s %6s %-2s %9s\n", "suite", "case", "size", "type",
         "time", "rate", "limit", "hand", "numpy", "numexp", "dask", "ok", "peak RSS");
}

static void print_row(const bench_row *row) {
  char size[24], seconds[24], rate[48], limit[64] = "-", hand[16] = "-", rss[24];
  char peers[BENCH_MAX_PEERS][16];

  size_text(size, sizeof size, row->size);
  if (row->error[0] != '\0') {
    printf("%-8s %-10s %7s %-4s failed: %s\n", row->suite, row->name, size, row->dtype, row->error);
    return;
  }
  seconds_text(seconds, sizeof seconds, row->seconds);
  snprintf(rate, sizeof rate, "%.3g %s", row->rate, row->unit);
  if (row->has_limit)
    snprintf(limit, sizeof limit, "%.2f of %.3g %s", row->limit_fraction, row->limit_value, row->limit_name);
  if (row->has_hand)
    snprintf(hand, sizeof hand, "%.2f", row->hand_ratio);
  for (int i = 0; i < BENCH_MAX_PEERS; i++)
    ratio_text(peers[i], sizeof peers[i], row, bench_peer_names[i]);
  snprintf(rss, sizeof rss, "%.0f MiB", (double)row->peak_rss_bytes / 1048576.0);
  printf("%-8s %-10s %7s %-4s %8s %15s %-22s %5s %6s %6s %6s %-2s %9s\n", row->suite, row->name, size,
         row->dtype, seconds, rate, limit, hand, peers[0], peers[1], peers[2], row->correct ? "ok" : "NO",
         rss);
}

void bench_report_add(bench_report *r, const bench_row *row) {
  if (r->n == r->cap) {
    bench_row *more = realloc(r->rows, (size_t)(2 * r->cap + 16) * sizeof *more);
    if (more == NULL) {
      r->no_memory = true;
      return;
    }
    r->rows = more;
    r->cap = 2 * r->cap + 16;
  }
  if (r->n == 0)
    print_head(r->o);
  r->rows[r->n++] = *row;
  print_row(row);
  fflush(stdout);
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void put_text(FILE *f, const char *key, const char *value) {
  fprintf(f, "\"%s\": \"%s\"", key, value);
}

static void put_number(FILE *f, const char *key, double value) {
  if (isfinite(value))
    fprintf(f, "\"%s\": %.17g", key, value);
  else
    fprintf(f, "\"%s\": null", key);
}

static void put_row(FILE *f, const bench_row *row) {
  const bool failed = row->error[0] != '\0';

  fprintf(f, "  {");
  put_text(f, "suite", row->suite);
  fprintf(f, ", ");
  put_text(f, "case", row->name);
  fprintf(f, ", ");
  put_number(f, "size", row->size);
  fprintf(f, ", ");
  put_text(f, "dtype", row->dtype);
  fprintf(f, ", \"threads\": %d,\n   ", row->threads);
  put_number(f, "seconds", failed ? NAN : row->seconds);
  fprintf(f, ", ");
  put_number(f, "rate", failed ? NAN : row->rate);
  fprintf(f, ", ");
  put_text(f, "unit", row->unit);
  fprintf(f, ",\n   \"limit\": ");
  if (row->has_limit) {
    fprintf(f, "{\"name\": \"%s\", ", row->limit_name);
    put_number(f, "value", row->limit_value);
    fprintf(f, ", ");
    put_number(f, "fraction", row->limit_fraction);
    fprintf(f, "}");
  } else {
    fprintf(f, "null");
  }
  fprintf(f, ",\n   \"hand\": ");
  if (row->has_hand) {
    fprintf(f, "{");
    put_number(f, "seconds", row->hand_seconds);
    fprintf(f, ", ");
    put_number(f, "ratio", row->hand_ratio);
    fprintf(f, "}");
  } else {
    fprintf(f, "null");
  }
  fprintf(f, ",\n   \"peers\": [");
  for (int i = 0; i < row->n_peers; i++) {
    fprintf(f, "%s{\"name\": \"%s\", \"version\": \"%s\", ", i > 0 ? ", " : "", row->peers[i].name,
            row->peers[i].version);
    put_number(f, "seconds", row->peers[i].seconds);
    fprintf(f, ", ");
    put_number(f, "ratio", row->peers[i].ratio);
    fprintf(f, "}");
  }
  fprintf(f, "],\n   ");
  put_number(f, "result", failed ? NAN : row->result);
  fprintf(f, ", \"correct\": %s, \"budget_bytes\": %zu, \"peak_rss_bytes\": %zu,\n",
          row->correct && !failed ? "true" : "false", row->budget_bytes, row->peak_rss_bytes);
  fprintf(f, "   \"spill_written_bytes\": %zu, \"spill_read_bytes\": %zu, \"tasks\": %lld, ",
          row->stats.spill_written_bytes, row->stats.spill_read_bytes, (long long)row->stats.tasks);
  put_number(f, "plan_seconds", row->stats.plan_seconds);
  fprintf(f, "}");
}

bool bench_report_write_json(const bench_report *r, const char *path) {
  char temporary[BENCH_PATH + 16];
  FILE *f;
  bool ok;

  snprintf(temporary, sizeof temporary, "%.*s.tmp", BENCH_PATH, path);
  f = fopen(temporary, "w");
  if (f == NULL)
    return false;
  fprintf(f, "[\n");
  for (int i = 0; i < r->n; i++) {
    put_row(f, &r->rows[i]);
    fprintf(f, "%s\n", i + 1 < r->n ? "," : "");
  }
  fprintf(f, "]\n");
  ok = !ferror(f);
  ok = fclose(f) == 0 && ok;
  ok = ok && rename(temporary, path) == 0;
  if (!ok)
    remove(temporary);
  return ok;
}
