/*
 * Errors inside the engine: filling mars_error, the MX_TRY / done form, checked size arithmetic.
 *
 * Layer: engine, used by every folder. Threads: any; no state.
 */
#ifndef MX_STATUS_H
#define MX_STATUS_H

#include <mars/types.h>

/* Fill err (NULL is fine) and return st. The message names the public function, the values, what is right. */
mars_status mx_fail(mars_error *err, mars_status st, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with errno's code and text appended; ENOSPC and EDQUOT turn MARS_E_IO into MARS_E_NOSPACE. */
mars_status mx_fail_errno(mars_error *err, mars_status st, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with the status and the native code of what it comes from, which may be err itself. */
mars_status mx_fail_from(mars_error *err, const mars_error *cause, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void mx_error_clear(mars_error *err);

/* Never leaves the engine: a factorisation's condition does not suit the method that was planned; mars_error.code is the level
   of mx_plan.exact that the job is to be planned again with. */
#define MX_E_CONDITION ((mars_status)1000)

/* Needs `mars_status st` in scope and a label done. */
#define MX_TRY(call)                                                                                         \
  do {                                                                                                       \
    st = (call);                                                                                             \
    if (st != MARS_OK) goto done;                                                                            \
  } while (0)

/* false on overflow; *out then unset */
static inline bool mx_mul_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool mx_add_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_add_overflow(a, b, out); }

/* "(2, 3)" for messages; returns buf */
#define MX_SHAPE_TEXT 256
char *mx_shape_text(const mars_shape *shape, char *buf, size_t bytes);
/* elements of a shape; false on overflow of int64 or of elements * elem_bytes */
bool mx_shape_elements(const mars_shape *shape, size_t elem_bytes, int64_t *elements);

#endif
