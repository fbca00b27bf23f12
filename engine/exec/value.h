/*
 * Values: tensor data that exists, in caller memory, in a file, or as chunks in the arena and the spill store.
 *
 * Layer: engine. Threads: refcount atomic; contents are touched by the session's thread only.
 */
#ifndef MX_VALUE_H
#define MX_VALUE_H

#include "engine/mem.h"
#include "engine/store.h"
#include <stdatomic.h>

/* A regular grid: chunk extents along every axis; chunks are numbered in C order of their grid coordinates. */
typedef struct mx_grid {
  int64_t chunk[MARS_MAX_DIMS];
  int64_t count[MARS_MAX_DIMS];
  int64_t total;
} mx_grid;

typedef enum mx_value_kind { MX_VALUE_MEMORY, MX_VALUE_FILE, MX_VALUE_CHUNKS } mx_value_kind;

/* A chunk of a kept value. Compact, C order. */
typedef struct mx_chunk {
  int64_t offset;   /* in the arena, -1: not resident */
  uint32_t phase;   /* data at offset + phase */
  uint32_t generation;
  mx_slot slot;     /* dir 0: not spilled */
  int device;       /* that has a copy besides, 0: none; its arena belongs to the session's plans */
  int64_t there;    /* offset of that copy */
} mx_chunk;

typedef struct mx_value {
  mx_value_kind kind;
  atomic_int refs;
  mars_session *session;
  mars_dtype dtype;
  mars_shape shape;
  /* MEMORY */
  char *data;                          /* element [0, 0, ...] */
  int device;                          /* that reaches it, 0: the host */
  int64_t stride[MARS_MAX_DIMS];       /* bytes */
  void (*release)(void *user);         /* borrowed: called once at the end */
  void *release_user;
  bool owned;                          /* data is mx_alloc'ed by us (mars_from_copy) */
  /* FILE */
  mx_source *source;
  /* CHUNKS */
  mx_grid grid;
  mx_chunk *chunks; /* [grid.total] */
  struct mx_value *next; /* among the discarded ones */
} mx_value;

/* MEMORY over data; strides NULL: C order. NULL: no memory (release is then not called). */
mx_value *mx_value_memory(mars_session *s, mars_dtype dt, const mars_shape *shape, const int64_t *byte_strides, void *data,
                          bool owned, void (*release)(void *), void *user);
/* FILE; takes over the source reference on success. shape: as stored. */
mx_value *mx_value_file(mars_session *s, mars_dtype dt, const mars_shape *shape, mx_source *source);
/* CHUNKS, none resident yet. */
mx_value *mx_value_chunks(mars_session *s, mars_dtype dt, const mars_shape *shape, const mx_grid *grid);
void mx_value_retain(mx_value *value);
/* Retain, unless the last reference is gone already. */
bool mx_value_try_retain(mx_value *value);
void mx_value_free(mx_value *value); /* the record alone, after its chunks were given back */
void mx_value_release(mx_value *value); /* any thread; chunks are given back through the session */

#endif
