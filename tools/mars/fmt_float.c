/* Halves, and the shortest digits of a floating-point number. */
#include "fmt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double mt_half_to_double(mars_dtype dt, uint16_t bits) {
  double sign = bits & 0x8000 ? -1.0 : 1.0;
  int fraction_bits = dt == MARS_BF16 ? 7 : 10, bias = dt == MARS_BF16 ? 127 : 15;
  int top = (1 << (15 - fraction_bits)) - 1;
  int exponent = (bits & 0x7FFF) >> fraction_bits, fraction = bits & ((1 << fraction_bits) - 1);

  if (exponent == top) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * ldexp(fraction, 1 - bias - fraction_bits);
  return sign * ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

/* Nearest, ties to even. */
uint16_t mt_half_of_double(mars_dtype dt, double v) {
  int fraction_bits = dt == MARS_BF16 ? 7 : 10, bias = dt == MARS_BF16 ? 127 : 15;
  int top = (1 << (15 - fraction_bits)) - 1, exponent;
  uint16_t sign = signbit(v) ? 0x8000 : 0;
  double a = fabs(v), scaled;

  if (isnan(v)) return (uint16_t)(sign | (top << fraction_bits) | (1 << (fraction_bits - 1)));
  if (isinf(v)) return (uint16_t)(sign | (top << fraction_bits));
  if (a == 0) return sign;
  frexp(a, &exponent);
  exponent -= 1;
  if (exponent < 1 - bias) exponent = 1 - bias; /* subnormal: the last place is fixed */
  scaled = rint(ldexp(a, fraction_bits - exponent));
  if (scaled >= ldexp(1, fraction_bits + 1)) {
    scaled /= 2;
    exponent++;
  }
  if (exponent > bias) return (uint16_t)(sign | (top << fraction_bits));
  if (scaled < (1 << fraction_bits)) return (uint16_t)(sign | (int)scaled);
  return (uint16_t)(sign | ((exponent + bias) << fraction_bits) | ((int)scaled - (1 << fraction_bits)));
}

static bool reads_back(const char *text, double v, mars_dtype dt) {
  switch (dt) {
  case MARS_F32: return strtof(text, NULL) == (float)v;
  case MARS_F16:
  case MARS_BF16: return mt_half_to_double(dt, mt_half_of_double(dt, strtod(text, NULL))) == v;
  default: return strtod(text, NULL) == v;
  }
}

/* The correctly rounded n digits are the shortest that read back, but at powers of two, where the neighbour below is
   nearer than the one above: there one digit more or less in the last place may do. */
int mt_fmt_digits(double v, mars_dtype dt, char *digits, int *exponent) {
  char text[40];
  int n;

  v = fabs(v);
  *exponent = 0;
  strcpy(digits, "0");
  if (v == 0) return 1;
  for (n = 1; n < 17; n++) {
    uint64_t whole = 0;
    char *e;
    snprintf(text, sizeof text, "%.*e", n - 1, v);
    if (reads_back(text, v, dt)) break;
    e = strchr(text, 'e');
    *exponent = atoi(e + 1);
    for (char *p = text; p < e; p++)
      if (*p != '.') whole = 10 * whole + (uint64_t)(*p - '0');
    snprintf(text, sizeof text, "%llue%d", (unsigned long long)whole + 1, *exponent - n + 1);
    if (reads_back(text, v, dt)) {
      snprintf(digits, 24, "%llu", (unsigned long long)whole + 1);
      *exponent += (int)strlen(digits) > n;
      goto trim;
    }
  }
  snprintf(text, sizeof text, "%.*e", n - 1, v);
  *exponent = atoi(strchr(text, 'e') + 1);
  digits[0] = text[0];
  if (n > 1) memcpy(digits + 1, text + 2, (size_t)n - 1);
  digits[n] = 0;
trim:
  for (n = (int)strlen(digits); n > 1 && digits[n - 1] == '0'; n--) digits[n - 1] = 0;
  return n;
}
