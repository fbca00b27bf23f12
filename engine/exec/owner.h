/*
 * A device's owner thread: takes batches of independent calls from its mailbox, launches them in order, reports each.
 */
#ifndef MX_OWNER_H
#define MX_OWNER_H

#include "engine/device.h"
#include "engine/exec/mailbox.h"
#include "engine/pool.h"

typedef struct mx_batch {
  mx_message message; /* first */
  mx_pool pool;       /* the calls and all that they point to */
  mx_call **calls;
  int n, cap;
  bool row;           /* each depends on those before it: for launch_rows */
  int device;
  bool *broken; /* the owner's to set and ask: an earlier batch of the lane failed, and this one would read what it did not write */
  const mx_ranges *ranges; /* a profiler's; NULL */
  int64_t tasks;
  int32_t first_step, last_step;
  mars_status status;
  mars_error error;
} mx_batch;

typedef struct mx_owner mx_owner;
mars_status mx_owner_create(mx_mem *mem, mx_device *device, mx_mailbox *reports, int report_kind, mx_owner **out, mars_error *err);
/* What the owner does with it. here: by the device's launch_here, in the calling thread, while the owner rests. */
void mx_batch_launch(mx_device *device, mx_batch *batch, bool here);
void mx_owner_launch(mx_owner *owner, mx_batch *batch);
void mx_owner_destroy(mx_owner *owner); /* after the last report; NULL is fine */

#endif
