/* Tensors in and out by DLPack: its structs checked and described. Memory that is given away: engine/exec/export.h. */
#include "engine/dlpack.h"
#include "engine/exec/export.h"
#include "engine/exec/value.h"
#include "engine/graph/build.h"
#include "engine/session.h"

#include <stdio.h>
#include <string.h>

/* ---- dtypes ---- */

static int code_of(mars_dtype dt) {
  if (dt == MARS_BOOL) return MX_DL_BOOL;
  if (dt == MARS_BF16) return MX_DL_BFLOAT;
  if (mx_dtype_is_signed(dt)) return MX_DL_INT;
  if (mx_dtype_is_unsigned(dt)) return MX_DL_UINT;
  return mx_dtype_is_complex(dt) ? MX_DL_COMPLEX : MX_DL_FLOAT;
}

static mars_dtype read_dtype(mx_build *b, const mx_dl_tensor *t) {
  if (t->lanes == 1)
    for (int dt = 0; dt < MARS_DTYPE_COUNT; dt++)
      if (code_of((mars_dtype)dt) == t->code && mars_dtype_bytes((mars_dtype)dt) * 8 == t->bits) return (mars_dtype)dt;
  mx_build_fail(b, MARS_E_DTYPE,
                "DLPack's dtype of code %d with %d bits and %d lanes is none of Mars'; those are int and uint (codes 0, 1) of 8 to 64 bits, "
                "float (2) of 16 to 64, bfloat (4) of 16, complex (5) of 64 and 128, bool (6) of 8, all with 1 lane",
                t->code, t->bits, t->lanes);
  return MARS_DTYPE_AUTO;
}

/* ---- in ---- */

/* The session's device whose memory it is, -1 after a failure. */
static int read_device(mx_build *b, const mx_dl_tensor *t) {
  mars_error err = {0};
  char name[32];
  int d;

  if (t->device_type == MX_DL_CPU || t->device_type == MX_DL_CUDA_HOST) return 0;
  if (t->device_type != MX_DL_CUDA) {
    mx_build_fail(b, MARS_E_ARG, "DLPack's device type %d (device %d) is not supported; CPU (1), CUDA (2) and pinned host memory (3) are", t->device_type,
                  t->device_id);
    return -1;
  }
  snprintf(name, sizeof name, "cuda:%d", t->device_id);
  d = mx_session_device(b->session, "mars_from_dlpack: the tensor's device", name, &err);
  if (d < 0) mx_build_fail_copy(b, &err);
  return d;
}

static bool read_shape(mx_build *b, mars_dtype dt, const mx_dl_tensor *t, mars_shape *shape, int64_t *stride) {
  mars_shape raw = {.ndim = t->ndim};
  const int64_t bytes = (int64_t)mars_dtype_bytes(dt);

  if (t->ndim < 0 || t->ndim > MARS_MAX_DIMS) {
    mx_build_fail(b, MARS_E_SHAPE, "the tensor has %d dimensions; 0 to %d are possible", t->ndim, MARS_MAX_DIMS);
    return false;
  }
  if (t->ndim > 0 && t->shape == NULL) {
    mx_build_fail(b, MARS_E_ARG, "the tensor has %d dimensions, but its shape is NULL", t->ndim);
    return false;
  }
  for (int d = 0; d < t->ndim; d++) {
    raw.dims[d] = t->shape[d];
    if (t->strides != NULL && !mx_mul_i64(t->strides[d], bytes, &stride[d])) {
      mx_build_fail(b, MARS_E_OVERFLOW, "stride %lld of axis %d overflows in bytes", (long long)t->strides[d], d);
      return false;
    }
  }
  return mx_build_shape(b, dt, &raw, shape);
}

/* Bytes from the lowest to behind the highest element, relative to data. */
static bool extent_of(mx_build *b, mars_dtype dt, const mars_shape *shape, const int64_t *stride, int64_t *low, int64_t *high) {
  *low = 0;
  *high = (int64_t)mars_dtype_bytes(dt);
  for (int d = 0; d < shape->ndim; d++) {
    int64_t reach, *end = stride[d] < 0 ? low : high;

    if (shape->dims[d] == 0) return *high = *low = 0, true;
    if (mx_mul_i64(shape->dims[d] - 1, stride[d], &reach) && mx_add_i64(*end, reach, end)) continue;
    mx_build_fail(b, MARS_E_OVERFLOW, "stride %lld bytes over extent %lld of axis %d overflows", (long long)stride[d], (long long)shape->dims[d], d);
    return false;
  }
  return true;
}

static bool check_reach(mx_build *b, int device, const char *data, int64_t low, int64_t high) {
  mx_device *dev = b->session->machine.device[device].dev;
  mars_error err = {0};

  if (device == 0 || low == high) return true;
  if (dev->ops->reaches == NULL)
    mx_build_fail(b, MARS_E_UNSUPPORTED, "device %s reads no memory but its own", b->session->machine.device[device].name);
  else if (dev->ops->reaches(dev, data + low, (size_t)(high - low), &err) != MARS_OK)
    mx_build_fail(b, err.status, "%s", err.message);
  return b->st == MARS_OK;
}

/* *owned: a value was made, which calls release when it ends. */
static mx_node *import(mx_build *b, const mx_dl_tensor *t, void (*release)(void *), void *managed, bool *owned) {
  mars_dtype dt = read_dtype(b, t);
  int64_t stride[MARS_MAX_DIMS] = {0}, low, high;
  mx_value *value;
  mars_shape shape;
  const char *data;
  int device;

  if (b->st != MARS_OK || (device = read_device(b, t)) < 0 || !read_shape(b, dt, t, &shape, stride)) return NULL;
  if (t->strides == NULL) mx_strides_c(shape.ndim, shape.dims, (int64_t)mars_dtype_bytes(dt), stride);
  if (t->data == NULL && t->byte_offset != 0)
    return mx_build_fail(b, MARS_E_ARG, "data is NULL with a byte offset of %llu", (unsigned long long)t->byte_offset);
  data = t->data == NULL ? NULL : (const char *)t->data + t->byte_offset;
  if (!mx_build_memory(b, dt, &shape, stride, data) || !extent_of(b, dt, &shape, stride, &low, &high) || !check_reach(b, device, data, low, high))
    return NULL;
  value = mx_value_memory(b->session, dt, &shape, stride, (void *)data, false, release, managed);
  *owned = value != NULL;
  if (value != NULL) value->device = device;
  return mx_build_source(b, dt, &shape, value);
}

static void release_plain(void *p) {
  struct DLManagedTensor *m = p;

  if (m->deleter != NULL) m->deleter(m);
}

static void release_versioned(void *p) {
  struct DLManagedTensorVersioned *m = p;

  if (m->deleter != NULL) m->deleter(m);
}

/* The release of a tensor that nobody holds is called here. */
static mars_tensor *finish(mx_build *b, const mx_dl_tensor *t, void (*release)(void *), void *managed) {
  bool owned = false;
  mx_node *node = b->st == MARS_OK ? import(b, t, release, managed, &owned) : NULL;

  if (!owned && managed != NULL) release(managed);
  return mx_build_close(b, node, false);
}

mars_tensor *mars_from_dlpack(mars_session *s, struct DLManagedTensor *managed) {
  mx_build b;

  mx_build_open(&b, s, "from_dlpack");
  if (managed == NULL) mx_build_fail(&b, MARS_E_ARG, "managed is NULL");
  return finish(&b, managed != NULL ? &managed->tensor : NULL, release_plain, managed);
}

mars_tensor *mars_from_dlpack_versioned(mars_session *s, struct DLManagedTensorVersioned *managed) {
  mx_build b;

  mx_build_open(&b, s, "from_dlpack_versioned");
  if (managed == NULL) mx_build_fail(&b, MARS_E_ARG, "managed is NULL");
  else if (managed->major != MX_DL_MAJOR)
    mx_build_fail(&b, MARS_E_UNSUPPORTED, "the tensor is of DLPack version %u.%u; version %d is understood", managed->major, managed->minor, MX_DL_MAJOR);
  return finish(&b, managed != NULL ? &managed->tensor : NULL, release_versioned, managed);
}

/* ---- out ---- */

static void delete_plain(struct DLManagedTensor *self) { mx_export_destroy(self->context); }
static void delete_versioned(struct DLManagedTensorVersioned *self) { mx_export_destroy(self->context); }

static mars_status open_export(mars_tensor *t, const char *fn, const char *device, mx_export **out, mars_error *err) {
  mars_session *s;
  mx_export *e;
  mars_status st;
  int d = 0;

  if (t == NULL) return mx_fail(err, MARS_E_MEMORY, "%s: the tensor is NULL: memory for its handle could not be had", fn);
  st = mars_check(t, err);
  if (st != MARS_OK) return st;
  s = t->session;
  if (device != NULL && (d = mx_session_device(s, fn, device, err)) < 0) return MARS_E_ARG;
  e = mx_alloc(&s->mem, sizeof *e);
  if (e == NULL) return MX_NOMEM(err, fn);
  e->session = s;
  e->device = d;
  e->bytes = (size_t)t->node->size * mars_dtype_bytes(t->node->dtype);
  pthread_mutex_lock(&s->export_lock);
  s->lent++;
  pthread_mutex_unlock(&s->export_lock);
  *out = e;
  return MARS_OK;
}

/* "cuda:3" is DLPack's CUDA device 3. */
static mars_status describe(mx_export *e, const mars_tensor *t, const char *fn, mx_dl_tensor *out, mars_error *err) {
  const char *name = e->session->machine.device[e->device].name;
  const mx_node *node = t->node;

  memcpy(e->shape, node->shape.dims, sizeof e->shape);
  mx_strides_c(node->shape.ndim, node->shape.dims, 1, e->stride);
  *out = (mx_dl_tensor){.data = mx_export_data(e), .device_type = MX_DL_CPU, .ndim = node->shape.ndim, .code = (uint8_t)code_of(node->dtype),
                        .bits = (uint8_t)(8 * mars_dtype_bytes(node->dtype)), .lanes = 1, .shape = e->shape, .strides = e->stride};
  if (e->device == 0) return MARS_OK;
  out->device_type = MX_DL_CUDA;
  return sscanf(name, "cuda:%d", &out->device_id) == 1
             ? MARS_OK : mx_fail(err, MARS_E_UNSUPPORTED, "%s: DLPack has no devices of the kind of %s", fn, name);
}

mars_status mars_to_dlpack(mars_tensor *t, const char *device, struct DLManagedTensor **out, mars_error *err) {
  mars_status st = MARS_OK;
  mx_export *e = NULL;

  if (out == NULL) return mx_fail(err, MARS_E_ARG, "mars_to_dlpack: out is NULL: there is no place for the result");
  *out = NULL;
  MX_TRY(open_export(t, "mars_to_dlpack", device, &e, err));
  MX_TRY(mx_run_export(t, "mars_to_dlpack", e, err));
  MX_TRY(describe(e, t, "mars_to_dlpack", &e->managed.plain.tensor, err));
  e->managed.plain.context = e;
  e->managed.plain.deleter = delete_plain;
  *out = &e->managed.plain;
  e = NULL;

done:
  mx_export_destroy(e);
  return st;
}

mars_status mars_to_dlpack_versioned(mars_tensor *t, const char *device, struct DLManagedTensorVersioned **out, mars_error *err) {
  mars_status st = MARS_OK;
  mx_export *e = NULL;

  if (out == NULL) return mx_fail(err, MARS_E_ARG, "mars_to_dlpack_versioned: out is NULL: there is no place for the result");
  *out = NULL;
  MX_TRY(open_export(t, "mars_to_dlpack_versioned", device, &e, err));
  MX_TRY(mx_run_export(t, "mars_to_dlpack_versioned", e, err));
  MX_TRY(describe(e, t, "mars_to_dlpack_versioned", &e->managed.versioned.tensor, err));
  e->managed.versioned.major = MX_DL_MAJOR;
  e->managed.versioned.minor = MX_DL_MINOR;
  e->managed.versioned.flags = MX_DL_IS_COPIED;
  e->managed.versioned.context = e;
  e->managed.versioned.deleter = delete_versioned;
  *out = &e->managed.versioned;
  e = NULL;

done:
  mx_export_destroy(e);
  return st;
}

/* ---- streams ---- */

mars_status mars_set_stream(mars_session *s, const char *device, void *stream, mars_error *err) {
  mx_device *dev;
  int d;

  if (s == NULL) return mx_fail(err, MARS_E_ARG, "mars_set_stream: the session is NULL");
  d = mx_session_device(s, "mars_set_stream", device, err);
  if (d < 0) return MARS_E_ARG;
  dev = s->machine.device[d].dev;
  if (dev->ops->mark_create == NULL && stream != MARS_NO_STREAM)
    return mx_fail(err, MARS_E_ARG, "mars_set_stream: device %s has no streams", s->machine.device[d].name);
  pthread_mutex_lock(&s->export_lock);
  s->stream[d] = stream;
  pthread_mutex_unlock(&s->export_lock);
  return MARS_OK;
}
