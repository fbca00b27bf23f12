/* Errors: texts, filling mars_error, shapes as text. Contract: engine/status.h. */
#include "engine/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *mars_status_name(mars_status st) {
  switch (st) {
#define X(id, value, text)                                                                                   \
  case id: return #id;
    MARS_STATUS_LIST(X)
#undef X
  }
  return "MARS_E_?";
}

const char *mars_status_text(mars_status st) {
  switch (st) {
#define X(id, value, text)                                                                                   \
  case id: return text;
    MARS_STATUS_LIST(X)
#undef X
  }
  return "unknown status";
}

void mx_error_clear(mars_error *err) {
  if (err == NULL) return;
  err->status = MARS_OK;
  err->code = 0;
  err->domain[0] = '\0';
  err->message[0] = '\0';
}

/* The text is made aside: an argument may be the message of the very same err. */
static void fill(mars_error *err, mars_status st, const char *text) {
  mx_error_clear(err);
  err->status = st;
  memcpy(err->message, text, strnlen(text, sizeof err->message - 1) + 1);
  err->message[sizeof err->message - 1] = '\0';
}

mars_status mx_fail(mars_error *err, mars_status st, const char *fmt, ...) {
  char text[sizeof err->message];
  va_list ap;

  if (err == NULL) return st;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  fill(err, st, text);
  return st;
}

mars_status mx_fail_from(mars_error *err, const mars_error *cause, const char *fmt, ...) {
  char text[sizeof err->message], domain[sizeof err->domain];
  const mars_status st = cause->status;
  const int64_t code = cause->code;
  va_list ap;

  if (err == NULL) return st;
  memcpy(domain, cause->domain, sizeof domain);
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  fill(err, st, text);
  err->code = code;
  memcpy(err->domain, domain, sizeof domain);
  return st;
}

mars_status mx_fail_errno(mars_error *err, mars_status st, int errnum, const char *fmt, ...) {
  char text[sizeof err->message], cause[128];
  size_t room;
  va_list ap;

  if (st == MARS_E_IO && (errnum == ENOSPC || errnum == EDQUOT)) st = MARS_E_NOSPACE;
  if (err == NULL) return st;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  room = strlen(text);
  snprintf(text + room, sizeof text - room, ": %s", strerror_r(errnum, cause, sizeof cause));
  fill(err, st, text);
  err->code = errnum;
  memcpy(err->domain, "errno", sizeof "errno");
  return st;
}

char *mx_shape_text(const mars_shape *shape, char *buf, size_t bytes) {
  size_t at = 0;

  if (bytes == 0) return buf;
  at += (size_t)snprintf(buf, bytes, "(");
  for (int d = 0; d < shape->ndim && d < MARS_MAX_DIMS && at < bytes; d++)
    at += (size_t)snprintf(buf + at, bytes - at, d == 0 ? "%lld" : ", %lld", (long long)shape->dims[d]);
  if (at < bytes) snprintf(buf + at, bytes - at, shape->ndim == 1 ? ",)" : ")");
  return buf;
}

bool mx_shape_elements(const mars_shape *shape, size_t elem_bytes, int64_t *elements) {
  int64_t n = 1, bytes;
  bool empty = false;

  /* (0, 2**62, 2**62) has no elements: an extent of 0 anywhere wins over an overflow */
  for (int d = 0; d < shape->ndim; d++) empty = empty || shape->dims[d] == 0;
  for (int d = 0; d < shape->ndim && !empty; d++)
    if (!mx_mul_i64(n, shape->dims[d], &n)) return false;
  if (empty) n = 0;
  if (!mx_mul_i64(n, (int64_t)elem_bytes, &bytes)) return false;
  *elements = n;
  return true;
}
