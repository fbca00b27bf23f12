/*
 * Mars: plain types of the public API: status codes, errors, dtypes, shapes, axes, slices.
 *
 * Everything here is the caller's plain memory; nothing needs to be freed.
 */
#ifndef MARS_TYPES_H
#define MARS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(MARS_BUILD) || !defined(__GNUC__)
#define MARS_API __attribute__((visibility("default")))
#else
#define MARS_API
#endif
#define MARS_NODISCARD __attribute__((warn_unused_result))

/** Greatest number of dimensions of a tensor. */
#define MARS_MAX_DIMS 16

/** Every status: constant, value, short text. The one list; names and texts come from it. */
#define MARS_STATUS_LIST(X)                                                                                  \
  X(MARS_OK, 0, "success")                                                                                   \
  X(MARS_E_ARG, 1, "invalid argument")                                                                       \
  X(MARS_E_SHAPE, 2, "shapes do not fit")                                                                    \
  X(MARS_E_DTYPE, 3, "dtype not supported")                                                                  \
  X(MARS_E_AXIS, 4, "axis out of range")                                                                     \
  X(MARS_E_INDEX, 5, "index out of range")                                                                   \
  X(MARS_E_OVERFLOW, 6, "size overflows")                                                                    \
  X(MARS_E_MEMORY, 7, "allocation failed")                                                                   \
  X(MARS_E_BUDGET, 8, "budget too small")                                                                    \
  X(MARS_E_IO, 9, "input or output failed")                                                                  \
  X(MARS_E_NOSPACE, 10, "no space left on device")                                                           \
  X(MARS_E_FORMAT, 11, "file format not understood")                                                         \
  X(MARS_E_CHECKSUM, 12, "stored data is damaged")                                                           \
  X(MARS_E_CANCELLED, 13, "cancelled")                                                                       \
  X(MARS_E_DEVICE, 14, "device failed")                                                                      \
  X(MARS_E_NUMERIC, 15, "numeric failure")                                                                   \
  X(MARS_E_STATE, 16, "not allowed in this state")                                                           \
  X(MARS_E_UNSUPPORTED, 17, "not supported")                                                                 \
  X(MARS_E_INTERNAL, 18, "internal error")

typedef enum mars_status {
#define X(id, value, text) id = value,
  MARS_STATUS_LIST(X)
#undef X
} mars_status;

/** Caller's memory for the details of a failure. Valid only after a call returned something but MARS_OK. */
typedef struct mars_error {
  mars_status status;
  int64_t code;      /**< native code of `domain`, e.g. errno; 0 if none */
  char domain[16];   /**< "errno", "CUresult", ...; empty if none */
  char message[492]; /**< public function's name, offending values, what would be right */
} mars_error;

/** Every dtype: constant, value, name, bytes, kind (b bool, i signed, u unsigned, f float, c complex). */
#define MARS_DTYPE_LIST(X)                                                                                   \
  X(MARS_BOOL, 0, "bool", 1, 'b')                                                                            \
  X(MARS_I8, 1, "int8", 1, 'i')                                                                              \
  X(MARS_I16, 2, "int16", 2, 'i')                                                                            \
  X(MARS_I32, 3, "int32", 4, 'i')                                                                            \
  X(MARS_I64, 4, "int64", 8, 'i')                                                                            \
  X(MARS_U8, 5, "uint8", 1, 'u')                                                                             \
  X(MARS_U16, 6, "uint16", 2, 'u')                                                                           \
  X(MARS_U32, 7, "uint32", 4, 'u')                                                                           \
  X(MARS_U64, 8, "uint64", 8, 'u')                                                                           \
  X(MARS_F16, 9, "float16", 2, 'f')                                                                          \
  X(MARS_BF16, 10, "bfloat16", 2, 'f')                                                                       \
  X(MARS_F32, 11, "float32", 4, 'f')                                                                         \
  X(MARS_F64, 12, "float64", 8, 'f')                                                                         \
  X(MARS_C64, 13, "complex64", 8, 'c')                                                                       \
  X(MARS_C128, 14, "complex128", 16, 'c')

typedef enum mars_dtype {
#define X(id, value, name, bytes, kind) id = value,
  MARS_DTYPE_LIST(X)
#undef X
      MARS_DTYPE_COUNT = 15,
  MARS_DTYPE_AUTO = -1 /**< "NumPy's default", where a function says that it takes it */
} mars_dtype;

/** A shape, by value. Extents >= 0; ndim 0 is a scalar. */
typedef struct mars_shape {
  int ndim;
  int64_t dims[MARS_MAX_DIMS];
} mars_shape;

/** A set of axes, by value; negative axes count from the end. count MARS_ALL_AXES: every axis. */
#define MARS_ALL_AXES (-1)
typedef struct mars_axes {
  int count;
  int axis[MARS_MAX_DIMS];
} mars_axes;

#ifndef __cplusplus
/** MARS_SHAPE(2, 3): a 2 x 3 shape; at least one extent. */
#define MARS_SHAPE(...)                                                                                      \
  ((mars_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})
/** The shape of a scalar. */
#define MARS_SHAPE_0D ((mars_shape){0, {0}})
/** MARS_AXES(0, 2): these axes. MARS_ALL: all of them. */
#define MARS_AXES(...) ((mars_axes){(int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), {__VA_ARGS__}})
#define MARS_ALL ((mars_axes){MARS_ALL_AXES, {0}})
#else
} /* extern "C" */
template <class... T> inline mars_shape mars_make_shape_(T... d) {
  return mars_shape{(int)sizeof...(d), {(int64_t)d...}};
}
template <class... T> inline mars_axes mars_make_axes_(T... a) {
  return mars_axes{(int)sizeof...(a), {(int)a...}};
}
#define MARS_SHAPE(...) mars_make_shape_(__VA_ARGS__)
#define MARS_SHAPE_0D mars_make_shape_()
#define MARS_AXES(...) mars_make_axes_(__VA_ARGS__)
#define MARS_ALL (mars_axes{MARS_ALL_AXES, {0}})
extern "C" {
#endif

/** "not given" in a mars_slice, as an empty place between colons in Python. */
#define MARS_NONE INT64_MIN

typedef enum mars_slice_kind {
  MARS_SLICE_RANGE = 0,   /**< start:stop:step, any of them may be MARS_NONE */
  MARS_SLICE_INTEGER = 1, /**< one index `start`; the axis goes away */
  MARS_SLICE_NEWAXIS = 2,
  MARS_SLICE_ELLIPSIS = 3
} mars_slice_kind;

/** One item of a basic index, e.g. {MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, -1} for `::-1`. */
typedef struct mars_slice {
  mars_slice_kind kind;
  int64_t start, stop, step;
} mars_slice;

/** \brief Name of a status constant ("MARS_E_SHAPE") and its short text; never NULL. */
MARS_API const char *mars_status_name(mars_status st);
MARS_API const char *mars_status_text(mars_status st);
/** \brief NumPy's name of a dtype, "?" if it is none. */
MARS_API const char *mars_dtype_name(mars_dtype dt);
/** \brief dtype of a name ("float64", "f8", "f64", "bf16", ...); MARS_DTYPE_AUTO if it is none. "i8", "u8" are none: bits
    here, bytes in NumPy. */
MARS_API mars_dtype mars_dtype_from_name(const char *name);
/** \brief Bytes of an element, 0 if dt is no dtype. */
MARS_API size_t mars_dtype_bytes(mars_dtype dt);
/** \brief NumPy 2's promotion of two dtypes. */
MARS_API mars_dtype mars_dtype_promote(mars_dtype a, mars_dtype b);

#ifdef __cplusplus
}
#endif
#endif
