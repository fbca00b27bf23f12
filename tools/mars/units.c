/* Sizes, times and counts for people. */
#include "fmt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool mt_parse_bytes(const char *text, size_t *out) {
  static const char units[] = "KMGTP";
  double v, scale = 1;
  char *end;

  if (!(*text >= '0' && *text <= '9') && *text != '.') return false;
  v = strtod(text, &end);
  if (end == text || !isfinite(v)) return false;
  if (*end) {
    char c = *end >= 'a' && *end <= 'z' ? (char)(*end - 32) : *end;
    const char *u = strchr(units, c);
    if (u) {
      scale = ldexp(1, 10 * ((int)(u - units) + 1));
      end++;
      if (*end == 'i') end++;
    }
    if (*end == 'B' || *end == 'b') end++;
    if (*end) return false;
  }
  if (v * scale >= 0x1p63) return false;
  *out = (size_t)(v * scale);
  return true;
}

static char *ring(void) {
  static char buffers[8][32];
  static unsigned next;
  return buffers[next++ % 8];
}

static const char *scaled(double v, double step, const char *const *units, int n) {
  char *s = ring();
  int u = 0;

  while (u + 1 < n && v >= step * 0.9995) {
    v /= step;
    u++;
  }
  snprintf(s, 32, u == 0 || v >= 99.95 ? "%.0f %s" : v >= 9.995 ? "%.1f %s" : "%.2f %s", v, units[u]);
  return s;
}

const char *mt_fmt_bytes(double bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  return scaled(bytes, 1024, units, 6);
}

const char *mt_fmt_count(double n) {
  static const char *const units[] = {"", "k", "M", "G", "T"};
  return scaled(n, 1000, units, 5);
}

const char *mt_fmt_seconds(double seconds) {
  char *s = ring();
  long long t;

  if (!(seconds >= 0) || seconds > 1e9) {
    snprintf(s, 32, "?");
  } else if (seconds < 0.9995) {
    snprintf(s, 32, "%.3g ms", seconds * 1e3);
  } else if (seconds < 60) {
    snprintf(s, 32, "%.1f s", seconds);
  } else {
    t = (long long)(seconds + 0.5);
    if (t < 3600) snprintf(s, 32, "%lld:%02lld", t / 60, t % 60);
    else snprintf(s, 32, "%lld:%02lld:%02lld", t / 3600, t / 60 % 60, t % 60);
  }
  return s;
}
