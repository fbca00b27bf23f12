/*
 * The executor's state. Internal to engine/exec.
 *
 * executor.c  lanes: each plays the steps of one device's arena in order
 * moves.c     what travels: loads and stores of the host, copies between arenas
 * gather.c    accumulators of several arenas that become one
 *
 * Threads: the session's.
 */
#ifndef MX_EXEC_H
#define MX_EXEC_H

#include "engine/exec/actor.h"
#include "engine/exec/bind.h"
#include "engine/exec/owner.h"

typedef enum mx_io_state { MX_IO_NONE, MX_IO_WAITS, MX_IO_FLIES, MX_IO_DONE } mx_io_state;

typedef enum mx_move_kind { MX_MOVE_LOAD, MX_MOVE_STORE, MX_MOVE_COPY, MX_MOVE_JOIN } mx_move_kind;

struct mx_exec;

/* Of a JOIN: the accumulator of each device. The first is that of the arena in which they are joined. */
typedef struct mx_gather {
  int n;
  struct {
    int device;
    int32_t chunk, made; /* as in mx_move */
    bool loading;
  } from[MX_MOST_BROADCAST];
  mx_transfer part[MX_MOST_BROADCAST];
} mx_gather;

/* One load, store, copy or join. Of the last two all lanes that are read or written must have come to the step before it can start. */
typedef struct mx_move {
  mx_message message; /* first */
  struct mx_exec *x;
  struct mx_move *next;
  mx_move_kind kind;
  int32_t chunk, step;
  int from, to;       /* arenas; -1: file or spill store, or those of a JOIN */
  mx_fence fence;     /* in the arena that is written */
  int32_t made;       /* COMPUTE step of `from` that made what is read, -1 */
  bool loading;       /* what is read is still on its way into `from` */
  bool spill;
  uint64_t range;     /* a profiler's */
  uint8_t halves;     /* COPY: 1 read side known, 2 written side known; JOIN: lanes that have come to it */
  mx_gather *gather;  /* JOIN */
  mx_transfer copy;
  mx_io io;
  int64_t extent[MARS_MAX_DIMS], row_step[MARS_MAX_DIMS];
} mx_move;

/* The arena of one device. Its fences are about its own computes, and about what reads it for others. */
typedef struct mx_lane {
  int device;
  mx_device *dev;
  mx_owner *owner;
  mx_binder binder;
  int64_t pc;
  int64_t *offset;    /* per chunk: where it is now, -1 */
  int32_t *made;      /* per chunk: COMPUTE step that wrote it, -1 */
  uint8_t *loading;   /* per chunk: mx_io_state of its load or copy into the arena */
  uint8_t *sent;      /* per chunk: since it was made something has been told to read it for others */
  uint8_t *freed;     /* per chunk: it has left the arena; what it held is there until its store has ended */
  MX_VEC(int32_t) out; /* steps that read the arena for others and have not ended, ascending; ended ones become -1 */
  int64_t out_from;
  mx_batch *batch;    /* being filled */
  int batches;        /* launched and not reported */
  bool broken;        /* the owner's: a batch has failed */
  int64_t batch_points;
  int handed;         /* chunks of values that the batch makes and that are still there */
  int32_t computed;   /* last COMPUTE step that has ended */
} mx_lane;

typedef struct mx_exec {
  mx_actor *actor;
  mars_session *session;
  mars_job *job;
  mx_plan *plan;
  mx_mem *mem;
  mx_lane lane[MX_MAX_DEVICES];
  int n;
  int32_t *slot_of;   /* per chunk: number in slots, -1 */
  mx_slot *slots;
  int32_t n_slots;
  uint8_t *slot_dead; /* per slot: free it when its store has ended */
  uint8_t *slot_busy;
  mx_move *waiting, **waiting_tail; /* not started yet, in step order */
  mx_move **half;     /* per step: COPY or JOIN that not all of its lanes have come to; NULL with one lane */
  mx_move *spare;
  int64_t flying;
  mx_batch *spare_batches;
  int64_t most_points; /* of a batch */
  bool failed;
  mars_status status;
  mars_error error;
  mx_culprit culprit;
  int64_t next_progress_ns;
} mx_exec;

/* The first failure counts. device: whose it was, 0 for the host's and all else. */
void mx_exec_fail(mx_exec *x, int device, mars_status st, const mars_error *err);
void mx_exec_nomem(mx_exec *x);

/* ---- moves.c ---- */

/* Steps of these kinds. false: failed. */
bool mx_exec_load(mx_exec *x, const mx_step *s, int32_t number);
bool mx_exec_store(mx_exec *x, const mx_step *s, int32_t number);
/* Called by the lane that is read and by the one that is written, in any order. */
bool mx_exec_copy(mx_exec *x, mx_lane *l, const mx_step *s, int32_t number);
/* Called by each lane that the step is about, in any order. */
bool mx_exec_join(mx_exec *x, mx_lane *l, const mx_step *s, int32_t number);
/* Begin what waited and may start now; whether there was any. */
bool mx_exec_start_waiting(mx_exec *x);
void mx_exec_move_ended(mx_exec *x, mx_move *m);
void mx_exec_slot_release(mx_exec *x, int32_t chunk);
void mx_exec_free_moves(mx_exec *x);

/* ---- of moves.c, for gather.c ---- */

mx_move *mx_move_new(mx_exec *x, mx_move_kind kind, int32_t chunk, int32_t step);
/* Its end is told to the executor. */
void mx_move_done(mx_move *m);
/* Where a chunk's data are that has this offset. */
char *mx_lane_place(const mx_lane *l, const mx_pchunk *c, int64_t offset);
/* The step's chunk is on its way into the lane's arena, by m; where to. */
char *mx_lane_expects(const mx_exec *x, mx_lane *l, const mx_step *s, mx_move *m);
/* The lane's arena is read by the step from now on. */
bool mx_lane_out_begins(mx_exec *x, mx_lane *l, int32_t step);
void mx_move_start_or_wait(mx_exec *x, mx_move *m);

/* ---- gather.c, for moves.c ---- */

/* Has been made what all of the join read? */
bool mx_gather_is_there(const mx_exec *x, const mx_gather *g);
void mx_gather_start(mx_exec *x, mx_move *m);
/* The chunk has arrived in the arena. */
void mx_gather_arrived(mx_gather *g, int arena, int32_t chunk);

static inline int32_t mx_lane_oldest_out(const mx_lane *l) { return l->out_from < l->out.n ? l->out.at[l->out_from] : INT32_MAX; }

#endif
