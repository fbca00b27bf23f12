/*
 * Numbers and arrays as text, as NumPy prints them: shortest digits that read back as the same value of the dtype,
 * 8 fractional digits in arrays, columns aligned, lines of 75 characters, long axes as their first and last 3.
 *
 * Layer: tools; of libmars only the dtypes. Threads: one.
 */
#ifndef MT_FMT_H
#define MT_FMT_H

#include "value.h"

enum { MT_FMT_EDGE = 3, MT_FMT_THRESHOLD = 1000, MT_FMT_WIDTH = 75 };

/* Elements to print. Of an axis with cut[d] only the first and last MT_FMT_EDGE are there. */
typedef struct mt_array {
  mars_dtype dtype;
  mars_shape shape; /* of the data at hand */
  bool cut[MARS_MAX_DIMS];
  const void *data; /* C order */
} mt_array;

/* Appends the array without a line break at the end; a 0-d one as its scalar. */
void mt_fmt_array(const mt_array *a, mt_str *out);
/* A number of the expression as Python's repr has it. */
void mt_fmt_number(const mt_value *v, mt_str *out);

/* Shortest decimal digits d[0].d[1]... x 10**exponent that read back as v in dt (a real floating dtype); v finite.
   Returns their number; zero is "0", exponent 0. digits takes at least 24 bytes. */
int mt_fmt_digits(double v, mars_dtype dt, char *digits, int *exponent);
/* The values of a half. */
double mt_half_to_double(mars_dtype dt, uint16_t bits);
uint16_t mt_half_of_double(mars_dtype dt, double v);

/* "512M", "1.5GiB", "65536" -> bytes (binary units). False: not a size. */
bool mt_parse_bytes(const char *text, size_t *out);
/* "1.5 GiB"; in a static ring of 8. */
const char *mt_fmt_bytes(double bytes);
/* "1:02:03", "12.3 s", "45 ms"; in the same ring. */
const char *mt_fmt_seconds(double seconds);
/* "12.3 M", "998"; in the same ring. */
const char *mt_fmt_count(double n);

#endif
