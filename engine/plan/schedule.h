/*
 * The scheduler's state: which chunk is in which arena, what leaves next. Internal to engine/plan.
 *
 * schedule.c   the tasks in order, loads and copies ahead of them
 * residency.c  who leaves: next uses, heaps, room
 * moves.c      steps that bring a chunk into an arena or out of it
 * join.c       accumulators of several devices become one
 *
 * Every device has an arena; a chunk may be in several of them, as copies of one version. Arena 0 is the host's, which
 * files and spill store reach: what a device needs of them comes through it.
 */
#ifndef MX_SCHEDULE_H
#define MX_SCHEDULE_H

#include "engine/plan/plan.h"

#define MX_NEVER INT32_MAX     /* next use of a kept chunk */
#define MX_LATER (MX_NEVER - 1) /* of a copy that others than its arena's tasks may need */

#define MX_PIN_AHEAD(position) (-2 - (position)) /* pin of what was loaded ahead at that position */

enum { MX_LOOKAHEAD = 256 /* tasks that loads and copies may run ahead */ };

/* Of a copy: RESIDENT, AHEAD (spilled or copied down ahead), EARLY (loaded ahead). Of the chunk itself, in arena 0's state: CLEAN
   (file or spill store has it), SPILLED, DROPPED, KEEP, TAKEN (its last reader updates it in place). */
enum { MX_RESIDENT = 1, MX_CLEAN = 2, MX_SPILLED = 4, MX_DROPPED = 8, MX_KEEP = 32, MX_AHEAD = 64, MX_EARLY = 128, MX_TAKEN = 256 };

typedef struct mx_copy {
  int64_t offset;
  mx_fence fence;  /* last steps that touched the memory */
  int32_t use;     /* place in `uses` of the next use by this device */
  int32_t pin;     /* task position that needs it in place, or MX_PIN_AHEAD of the one at which it was loaded */
  uint16_t flags;
  uint16_t where;  /* of arena 0's state: bit per arena that has the chunk */
} mx_copy;

/* Scratch of the last tasks: given back late, since the next task would take the same memory and so wait for the one before,
   with which it could run side by side. */
enum { MX_SCRATCHES = 16 };
typedef struct mx_late {
  int64_t offset, bytes;
  mx_fence fence;
} mx_late;

/* Room in a device's arena that chunks leave which are on their way to others: given back behind the next ones, since what is made next would
   take it and wait for the copy, and computing and copies would take turns. Of the arena they have RESTS_SHARE at most. */
enum { MX_RESTS = 5, MX_RESTS_SHARE = 4 };

typedef struct mx_heap_entry {
  int32_t next_use, chunk;
} mx_heap_entry;

typedef MX_VEC(mx_heap_entry) mx_heap;

typedef struct mx_arena {
  mx_space *space;
  mx_copy *s;         /* per chunk */
  mx_heap clean, dirty; /* evictable chunks, farthest next use first; entries go stale */
  bool evicting;      /* heaps are kept up */
  bool tiny_too;      /* chunks below a page may leave as well: they free next to nothing */
  int32_t ahead;      /* position at which loading ahead stopped last time */
  int64_t clean_ahead, loaded_ahead, to_come;
  int64_t promised;   /* to what routines will build up, by tasks that loads have run ahead of: not to be filled with operands */
  mx_late scratches[MX_SCRATCHES];
  int n_scratches;
  mx_late rests[MX_RESTS];
  int n_rests;
  int64_t *full_scratch; /* per kernel: scratch of a whole tile, -1 unknown */
} mx_arena;

enum { MX_PASSING = 3 };

typedef struct mx_scheduler {
  mx_plan *plan;
  mx_scratch_fn *scratch;
  void *ctx;
  int n;              /* arenas */
  mx_arena arena[MX_MAX_DEVICES];
  int32_t *uses;      /* positions in the order, per chunk ascending */
  int32_t *first_use;
  int32_t *left;      /* per chunk: uses still to come; NULL with one arena */
  int32_t passing[MX_PASSING]; /* chunks whose copies up leave the host behind the next ones */
  int n_passing;
  int64_t spill_used;
  bool to_file;       /* a result goes to a file */
  bool nomem, no_spill_room;
} mx_scheduler;

static inline int64_t mx_room_of(const mx_scheduler *z, int a, int32_t c) { return mx_chunk_room(&z->plan->chunks.at[c], a); }
static inline uint16_t mx_chunk_flags(const mx_scheduler *z, int32_t c) { return z->arena[0].s[c].flags; }
static inline uint16_t mx_where(const mx_scheduler *z, int32_t c) { return z->arena[0].s[c].where; }
static inline bool mx_resident(const mx_scheduler *z, int a, int32_t c) { return z->arena[a].s[c].flags & MX_RESIDENT; }

static const mx_fence MX_NO_FENCE = {-1, -1};

/* ---- residency.c ---- */

/* Position of the next task that will want this copy; -1: the chunk is needed nowhere any more. */
int32_t mx_next_use(const mx_scheduler *z, int a, int32_t c);
/* Should a chunk that the task at `position` has used, and that is needed again, rather be dropped and made again? */
bool mx_not_worth_keeping(const mx_scheduler *z, int a, int32_t c, int32_t position);
/* The copy's next use, or whether the chunk is elsewhere too, has changed. */
void mx_track(mx_scheduler *z, int a, int32_t c);
void mx_track_all(mx_scheduler *z, int32_t c);
/* Offset of room in an arena, -1. Chunks leave whose next use is after `beyond`: the task's own position, or that of the later
   task that this is loaded for. */
int64_t mx_make_room(mx_scheduler *z, int a, int64_t bytes, int32_t position, int32_t beyond, mx_fence *fence);
/* Make one chunk leave; false: there is none. */
bool mx_evict(mx_scheduler *z, int a, int32_t position, int32_t beyond);
/* Spill, or copy down to the host, what must leave anyway, while there is still room. */
void mx_leave_ahead(mx_scheduler *z, int a, int32_t position);
/* Room of what a task makes that later tasks go on updating in place: it stays for long. */
int64_t mx_lasting_room(const mx_scheduler *z, int a, int32_t task);
/* Is there room for more beside what is promised? What nobody needs soon leaves for it; what is not to be had again for a read
   only if the room is for a read. */
bool mx_spare(mx_scheduler *z, int a, int64_t bytes, int32_t position, int32_t beyond, bool for_load);
/* Gives room back, at once or behind the next ones. */
void mx_give_back(mx_scheduler *z, int a, int64_t at, int64_t bytes, mx_fence fence);
void mx_keep_scratch(mx_scheduler *z, int a, int64_t at, int64_t bytes, int32_t step_number);

/* ---- join.c ---- */

/* Plays the task as a collective operation of the devices that have its operands, if it can be one and they are all in place; else
   *joined is false. false: no room. */
bool mx_join_together(mx_scheduler *z, int32_t task, int32_t position, bool *joined);

/* ---- moves.c ---- */

/* Appends a step; its number. */
int32_t mx_step_add(mx_scheduler *z, mx_step_kind kind, int a, mx_tier tier, int32_t id, int64_t offset, mx_fence f);
/* The chunk lives at `at` from now on. */
bool mx_settle(mx_scheduler *z, int a, int32_t c, int64_t at, mx_fence fence, mx_step_kind kind, mx_tier tier);
void mx_leave(mx_scheduler *z, int a, int32_t c, uint8_t flags);
/* The first n of those that are passing leave the host. */
void mx_let_pass(mx_scheduler *z, int n, int32_t position);
void mx_store_spill(mx_scheduler *z, int32_t c);
/* Copy from another arena that has it. */
bool mx_copy_over(mx_scheduler *z, int a, int32_t c, int from, int32_t position, int32_t beyond);
/* Bring a chunk in from wherever it is. */
bool mx_bring(mx_scheduler *z, int a, int32_t c, int32_t position, int32_t beyond);
/* Nobody needs it any more. */
void mx_die(mx_scheduler *z, int32_t c);
bool mx_can_spill(const mx_scheduler *z, int32_t c);
/* Made by a task without inputs, cheaper to make again than to write and read? */
bool mx_recomputable(const mx_scheduler *z, int a, int32_t c);

#endif
