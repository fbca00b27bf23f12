/*
 * Running outputs with a progress line, stopped cleanly by Ctrl-C.
 *
 * Layer: tools. Threads: one; signal handlers only set a flag, which the waiting loop polls.
 */
#ifndef MT_RUN_H
#define MT_RUN_H

#include "options.h"

/* Run all outputs in one pass. False: an error is in diag; exit code 128 + signal when a signal stopped it.
   stats may be NULL. */
bool mt_run(mars_session *s, const mars_output *outputs, size_t n, const mt_options *o, mars_stats *stats, mt_diag *diag);

/* "[#####.....]  42%  1234/2900 tasks  5.6 k tasks/s  ETA 0:12", at most `columns` wide, in the buffer. */
void mt_progress_text(const mars_progress *p, int columns, char *out, size_t bytes);

#endif
