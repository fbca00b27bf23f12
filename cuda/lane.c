/*
 * Transfers. Contract: cuda/device.h, engine/device.h.
 *
 * A lane has a stream and a thread. Copies between registered memory and the device begin in the thread that queues them, as
 * long as fewer than MX_IN_FLIGHT fly; the lane's thread waits for the oldest, tells its end and begins the next. Where the host's memory
 * is not registered the lane's thread copies through pinned buffers of its own.
 */
#include "cuda/device.h"

#include <string.h>

/* ---- beginning ---- */

static bool on_host(const mx_cuda *dev, const mx_transfer *t) {
  const char *p = t->kind == MX_TRANSFER_UP ? t->src : t->dst;

  return dev->host != NULL && p >= dev->host && p + t->bytes <= dev->host + dev->host_bytes;
}

static bool is_direct(const mx_lane *lane, const mx_transfer *t) { return t->kind == MX_TRANSFER_PEER || on_host(lane->dev, t); }

/* Reading a neighbour's memory over the link, where the driver allows it; else the driver goes through the host. */
static void open_peer(mx_cuda *dev, const mx_cuda *peer) {
  unsigned bit = peer->ordinal < 32 ? 1u << peer->ordinal : 0;
  int can = 0;

  if (bit == 0 || (atomic_fetch_or(&dev->peers, bit) & bit)) return;
  if (dev->cu->cuDeviceCanAccessPeer == NULL || dev->cu->cuCtxEnablePeerAccess == NULL) return;
  if (dev->cu->cuDeviceCanAccessPeer(&can, dev->device, peer->device) == CUDA_SUCCESS && can)
    (void)dev->cu->cuCtxEnablePeerAccess(peer->ctx, 0);
}

static mars_status begin_copy(mx_lane *lane, const mx_transfer *t, mars_error *err) {
  mx_cuda *dev = lane->dev;
  const mx_cuda_api *cu = dev->cu;
  CUdeviceptr dst = (CUdeviceptr)(uintptr_t)t->dst, src = (CUdeviceptr)(uintptr_t)t->src;

  switch (t->kind) {
  case MX_TRANSFER_UP: return mx_cuda_check(dev, cu->cuMemcpyHtoDAsync(dst, t->src, t->bytes, lane->stream), "a copy to the device", err);
  case MX_TRANSFER_DOWN: return mx_cuda_check(dev, cu->cuMemcpyDtoHAsync(t->dst, src, t->bytes, lane->stream), "a copy to the host", err);
  case MX_TRANSFER_JOIN: break; /* not a lane's */
  case MX_TRANSFER_PEER: {
    const mx_cuda *peer = (const mx_cuda *)t->peer;

    open_peer(dev, peer);
    if (peer == dev) return mx_cuda_check(dev, cu->cuMemcpyDtoDAsync(dst, src, t->bytes, lane->stream), "a copy on the device", err);
    if (cu->cuMemcpyPeerAsync == NULL) return mx_fail(err, MARS_E_UNSUPPORTED, "mars_run: %s: this driver copies nothing between devices", dev->name);
    return mx_cuda_check(dev, cu->cuMemcpyPeerAsync(dst, dev->ctx, src, peer->ctx, t->bytes, lane->stream),
                         "a copy between devices", err);
  }
  }
  return mx_fail(err, MARS_E_INTERNAL, "mars_run: a transfer of kind %d", (int)t->kind);
}

/* With the lock held and the context entered: t flies. */
static mars_status begin(mx_lane *lane, mx_transfer *t, mars_error *err) {
  mars_status st = MARS_OK;
  int at = (lane->first + lane->n_flying) % MX_IN_FLIGHT;

  MX_TRY(begin_copy(lane, t, err));
  MX_TRY(mx_cuda_check(lane->dev, lane->dev->cu->cuEventRecord(lane->event[at], lane->stream), "marking the end of a copy", err));
  lane->flying[at] = t;
  lane->n_flying++;
  return MARS_OK;

done:
  (void)lane->dev->cu->cuStreamSynchronize(lane->stream); /* a copy that has begun ends before its failure is told */
  return st;
}

/* ---- through pinned buffers ---- */

static mars_status make_stages(mx_lane *lane, mars_error *err) {
  mars_status st = MARS_OK;

  for (int i = 0; i < MX_IN_FLIGHT; i++) {
    if (lane->stage[i] != NULL) continue;
    MX_TRY(mx_cuda_check(lane->dev, lane->dev->cu->cuMemHostAlloc((void **)&lane->stage[i], MX_STAGE_BYTES, 0),
                         "pinned memory for copies", err));
  }

done:
  return st;
}

static mars_status staged_up(mx_lane *lane, const mx_transfer *t, mars_error *err) {
  mars_status st = MARS_OK;
  mx_cuda *dev = lane->dev;
  int i = 0;

  for (size_t at = 0; at < t->bytes; at += MX_STAGE_BYTES, i++) {
    size_t n = t->bytes - at < MX_STAGE_BYTES ? t->bytes - at : MX_STAGE_BYTES;
    int b = i % MX_IN_FLIGHT;

    if (i >= MX_IN_FLIGHT) MX_TRY(mx_cuda_check(dev, dev->cu->cuEventSynchronize(lane->stage_event[b]), "a copy to the device", err));
    memcpy(lane->stage[b], t->src + at, n);
    MX_TRY(mx_cuda_check(dev, dev->cu->cuMemcpyHtoDAsync((CUdeviceptr)(uintptr_t)(t->dst + at), lane->stage[b], n, lane->stream),
                         "a copy to the device", err));
    MX_TRY(mx_cuda_check(dev, dev->cu->cuEventRecord(lane->stage_event[b], lane->stream), "a copy to the device", err));
  }
  MX_TRY(mx_cuda_check(dev, dev->cu->cuStreamSynchronize(lane->stream), "a copy to the device", err));

done:
  if (st != MARS_OK) (void)dev->cu->cuStreamSynchronize(lane->stream); /* the buffers are written again */
  return st;
}

static mars_status staged_down(mx_lane *lane, const mx_transfer *t, mars_error *err) {
  mars_status st = MARS_OK;
  mx_cuda *dev = lane->dev;
  size_t parts = (t->bytes + MX_STAGE_BYTES - 1) / MX_STAGE_BYTES;

  for (size_t i = 0; i < parts + MX_IN_FLIGHT - 1; i++) {
    if (i < parts) {
      size_t at = i * MX_STAGE_BYTES, n = t->bytes - at < MX_STAGE_BYTES ? t->bytes - at : MX_STAGE_BYTES;
      int b = (int)(i % MX_IN_FLIGHT);

      MX_TRY(mx_cuda_check(dev, dev->cu->cuMemcpyDtoHAsync(lane->stage[b], (CUdeviceptr)(uintptr_t)(t->src + at), n, lane->stream),
                           "a copy to the host", err));
      MX_TRY(mx_cuda_check(dev, dev->cu->cuEventRecord(lane->stage_event[b], lane->stream), "a copy to the host", err));
    }
    if (i >= MX_IN_FLIGHT - 1 && i - (MX_IN_FLIGHT - 1) < parts) {
      size_t done = i - (MX_IN_FLIGHT - 1), at = done * MX_STAGE_BYTES;
      size_t n = t->bytes - at < MX_STAGE_BYTES ? t->bytes - at : MX_STAGE_BYTES;
      int b = (int)(done % MX_IN_FLIGHT);

      MX_TRY(mx_cuda_check(dev, dev->cu->cuEventSynchronize(lane->stage_event[b]), "a copy to the host", err));
      memcpy(t->dst + at, lane->stage[b], n);
    }
  }

done:
  if (st != MARS_OK) (void)dev->cu->cuStreamSynchronize(lane->stream);
  return st;
}

static mars_status run_staged(mx_lane *lane, const mx_transfer *t, mars_error *err) {
  mars_status st = make_stages(lane, err);

  if (st != MARS_OK) return st;
  return t->kind == MX_TRANSFER_UP ? staged_up(lane, t, err) : staged_down(lane, t, err);
}

/* ---- the thread ---- */

static void finish(mx_transfer *t, mars_status st) {
  t->status = st;
  t->done(t);
}

/* Takes the lock's state as it is: held. Returns with it held. */
static void begin_queued(mx_lane *lane) {
  while (lane->head != NULL && lane->n_flying < MX_IN_FLIGHT) {
    mx_transfer *t = lane->head;
    bool direct = is_direct(lane, t);
    mars_status st = t->status;

    if (st == MARS_OK && !direct && lane->n_flying > 0) return; /* in order */
    lane->head = t->next;
    if (lane->head == NULL) lane->tail = NULL;
    if (st == MARS_OK && direct) {
      st = begin(lane, t, &t->err);
      if (st == MARS_OK) continue;
    }
    pthread_mutex_unlock(&lane->lock);
    if (st == MARS_OK) st = run_staged(lane, t, &t->err);
    finish(t, st);
    pthread_mutex_lock(&lane->lock);
  }
}

static void wait_for_oldest(mx_lane *lane) {
  int at = lane->first;
  mx_transfer *t = lane->flying[at];
  mars_status st;

  pthread_mutex_unlock(&lane->lock);
  st = mx_cuda_check(lane->dev, lane->dev->cu->cuEventSynchronize(lane->event[at]), "a copy", &t->err);
  if (st != MARS_OK) (void)lane->dev->cu->cuStreamSynchronize(lane->stream);
  pthread_mutex_lock(&lane->lock);
  lane->first = (at + 1) % MX_IN_FLIGHT;
  lane->n_flying--;
  begin_queued(lane);
  pthread_mutex_unlock(&lane->lock);
  finish(t, st);
  pthread_mutex_lock(&lane->lock);
}

static void *lane_main(void *arg) {
  mx_lane *lane = arg;
  CUcontext old;

  (void)lane->dev->cu->cuCtxPushCurrent(lane->dev->ctx);
  pthread_mutex_lock(&lane->lock);
  for (;;) {
    begin_queued(lane);
    if (lane->n_flying > 0) wait_for_oldest(lane);
    else if (lane->stop && lane->head == NULL) break;
    else if (lane->head == NULL) pthread_cond_wait(&lane->more, &lane->lock);
  }
  pthread_mutex_unlock(&lane->lock);
  (void)lane->dev->cu->cuCtxPopCurrent(&old);
  return NULL;
}

void mx_lane_push(mx_lane *lane, mx_transfer *t) {
  bool entered, begun = false;

  t->next = NULL;
  mx_error_clear(&t->err);
  t->status = mx_cuda_enter(lane->dev, &t->err);
  entered = t->status == MARS_OK;
  pthread_mutex_lock(&lane->lock);
  if (entered && lane->head == NULL && lane->n_flying < MX_IN_FLIGHT && is_direct(lane, t)) {
    t->status = begin(lane, t, &t->err);
    begun = t->status == MARS_OK;
  }
  if (!begun) { /* a failed one too: its end is told by the lane's thread */
    if (lane->tail != NULL) lane->tail->next = t;
    else lane->head = t;
    lane->tail = t;
  }
  pthread_cond_signal(&lane->more);
  pthread_mutex_unlock(&lane->lock);
  if (entered) mx_cuda_leave(lane->dev);
}

/* ---- life ---- */

mars_status mx_lane_init(mx_lane *lane, mx_cuda *dev, mars_error *err) {
  mars_status st = MARS_OK;
  const unsigned flags = CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC;

  lane->dev = dev;
  MX_TRY(mx_cuda_check(dev, dev->cu->cuStreamCreate(&lane->stream, CU_STREAM_NON_BLOCKING), "a stream for copies", err));
  for (int i = 0; i < MX_IN_FLIGHT; i++) {
    MX_TRY(mx_cuda_check(dev, dev->cu->cuEventCreate(&lane->event[i], flags), "an event for copies", err));
    MX_TRY(mx_cuda_check(dev, dev->cu->cuEventCreate(&lane->stage_event[i], flags), "an event for copies", err));
  }
  if (pthread_mutex_init(&lane->lock, NULL) != 0) MX_TRY(mx_fail(err, MARS_E_MEMORY, "mars_session_create: %s: no lock for copies", dev->name));
  if (pthread_cond_init(&lane->more, NULL) != 0) {
    pthread_mutex_destroy(&lane->lock);
    MX_TRY(mx_fail(err, MARS_E_MEMORY, "mars_session_create: %s: no lock for copies", dev->name));
  }
  lane->has_lock = true;
  if (pthread_create(&lane->thread, NULL, lane_main, lane) != 0)
    MX_TRY(mx_fail(err, MARS_E_MEMORY, "mars_session_create: %s: no thread for copies", dev->name));
  lane->started = true;

done:
  return st; /* what there is goes with mx_lane_reset */
}

void mx_lane_reset(mx_lane *lane) {
  const mx_cuda_api *cu;

  if (lane->dev == NULL) return;
  cu = lane->dev->cu;
  if (lane->started) {
    pthread_mutex_lock(&lane->lock);
    lane->stop = true;
    pthread_cond_signal(&lane->more);
    pthread_mutex_unlock(&lane->lock);
    pthread_join(lane->thread, NULL);
  }
  if (lane->has_lock) {
    pthread_cond_destroy(&lane->more);
    pthread_mutex_destroy(&lane->lock);
  }
  for (int i = 0; i < MX_IN_FLIGHT; i++) {
    if (lane->event[i] != NULL) (void)cu->cuEventDestroy(lane->event[i]);
    if (lane->stage_event[i] != NULL) (void)cu->cuEventDestroy(lane->stage_event[i]);
    if (lane->stage[i] != NULL) (void)cu->cuMemFreeHost(lane->stage[i]);
  }
  if (lane->stream != NULL) (void)cu->cuStreamDestroy(lane->stream);
  memset(lane, 0, sizeof *lane);
}
