#include "engine/exec/owner.h"

struct mx_owner {
  mx_mem *mem;
  mx_device *device;
  mx_mailbox inbox, *reports;
  int report_kind;
  mx_message stop;
  pthread_t thread;
};

enum { LAUNCH = 0, STOP = 1 };

void mx_batch_launch(mx_device *device, mx_batch *b, bool here) {
  if (*b->broken) {
    b->status = MARS_E_CANCELLED; /* nobody hears of it: the one that broke the lane is reported before */
    return;
  }
  if (b->ranges) b->ranges->push("compute", b->first_step);
  const mx_device_ops *ops = device->ops;
  b->status = (here ? ops->launch_here : b->row ? ops->launch_rows : ops->launch)(device, b->calls, b->n, &b->error);
  if (b->ranges) b->ranges->pop();
  *b->broken = b->status != MARS_OK;
}

static void *owner_main(void *arg) {
  mx_owner *o = arg;
  for (;;) {
    mx_message *m = mx_mailbox_take(&o->inbox, -1);
    while (m) {
      mx_message *next = m->next;
      if (m->kind == STOP) return NULL;
      mx_batch *b = (mx_batch *)m;
      mx_batch_launch(o->device, b, false);
      m->kind = o->report_kind;
      mx_mailbox_post(o->reports, m);
      m = next;
    }
  }
}

mars_status mx_owner_create(mx_mem *mem, mx_device *device, mx_mailbox *reports, int report_kind, mx_owner **out, mars_error *err) {
  mx_owner *o = mx_alloc(mem, sizeof *o);
  *out = NULL;
  if (!o) return MX_NOMEM(err, "mars_session_create");
  *o = (mx_owner){.mem = mem, .device = device, .reports = reports, .report_kind = report_kind, .stop = {.kind = STOP}};
  int e = mx_mailbox_init(&o->inbox);
  if (!e) {
    e = pthread_create(&o->thread, NULL, owner_main, o);
    if (e) mx_mailbox_reset(&o->inbox);
  }
  if (e) {
    mx_free(mem, o);
    return mx_fail_errno(err, MARS_E_MEMORY, e, "mars_session_create: no thread for device %s", device->ops->name(device));
  }
  *out = o;
  return MARS_OK;
}

void mx_owner_launch(mx_owner *owner, mx_batch *batch) {
  batch->message.kind = LAUNCH;
  mx_mailbox_post(&owner->inbox, &batch->message);
}

void mx_owner_destroy(mx_owner *o) {
  if (!o) return;
  mx_mailbox_post(&o->inbox, &o->stop);
  pthread_join(o->thread, NULL);
  mx_mailbox_reset(&o->inbox);
  mx_free(o->mem, o);
}
