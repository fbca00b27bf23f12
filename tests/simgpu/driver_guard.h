/*
 * Pages of pinned memory that the host has no right to touch yet: the target of a copy from a device, to be neither read nor
 * written, and the source of one to a device, to be read only, until the host has learned of the copy's end. They are protected
 * (mprotect), so that a use too early faults: the handler makes it a failed check, opens the pages and lets the access go on.
 *
 * What the driver itself and the work of streams do there is ordered by streams and events, which driver_race.cc looks at: where
 * such an access meets a guard it opens it, and nothing is said.
 *
 * Layer: tests/simgpu, inside libcuda.so.1.
 * Threads: any. Its own lock is taken last, with State's lock held or without it; only a report takes State's lock itself.
 */
#pragma once
#include "driver_stream.h"

namespace sg {

/* Protects the whole pages of `bytes`, which the copy `t` has just been queued to read or (bytes.write) to write. State's lock
   is held. Nothing happens where there is no whole page, or too much is protected already. */
void guard_protect(const Ticket &t, const Touch &bytes, const char *what);
void guard_learned(const Clock &host);               /* opens what the host now knows to be done */
void guard_forget(uintptr_t base, size_t bytes);     /* opens what lies there, in whole or in part */
/* Writes where pages may be protected, and leaves them so. */
void guard_write(uintptr_t dst, const void *src, size_t bytes);

/* This thread is the driver's or the device's for as long as one lives, except inside a function of cuLaunchHostFunc. */
class InsideDriver {
public:
  InsideDriver();
  ~InsideDriver();
  InsideDriver(const InsideDriver &) = delete;
  InsideDriver &operator=(const InsideDriver &) = delete;
};

} // namespace sg
