#include "fmt.h"
#include "run.h"

#include <string.h>

void mt_progress_text(const mars_progress *p, int columns, char *out, size_t bytes) {
  double done = p->tasks_total > 0 ? (double)p->tasks_done / (double)p->tasks_total : 0;
  double rate = p->seconds > 0 ? (double)p->tasks_done / p->seconds : 0;
  char tail[160], bar[64];
  int width, full;

  if (done > 1) done = 1;
  snprintf(tail, sizeof tail, "%3d%%  %lld/%lld tasks  %stasks/s  %s%s", (int)(100 * done), (long long)p->tasks_done,
           (long long)p->tasks_total, mt_fmt_count(rate), p->eta_seconds < 0 ? "" : "ETA ",
           p->eta_seconds < 0 ? "" : mt_fmt_seconds(p->eta_seconds));
  width = columns - 1 - (int)strlen(tail) - 4;
  if (width > 40) width = 40;
  if (width < 5) {
    snprintf(out, bytes, "%.*s", columns > 1 ? columns - 1 : 0, tail);
    return;
  }
  full = (int)(width * done);
  memset(bar, '#', (size_t)full);
  memset(bar + full, '.', (size_t)(width - full));
  bar[width] = 0;
  snprintf(out, bytes, "[%s] %s", bar, tail);
}
