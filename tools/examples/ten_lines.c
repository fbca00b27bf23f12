#include <mars/mars.h>
#include <stdio.h>

int main(void) {
  mars_session *s;
  mars_error err;
  if (mars_session_create(NULL, &s, &err) != MARS_OK) return fprintf(stderr, "%s\n", err.message), 1;

  mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(1000000, 10), 0.0, 1.0); /* nothing is computed yet */
  mars_tensor *centred = mars_sub(a, mars_mean(a, MARS_AXES(0)));                        /* broadcasts as in NumPy */
  double sd;
  if (mars_fetch(mars_std(centred, MARS_ALL), &sd, sizeof sd, &err) != MARS_OK) fprintf(stderr, "%s\n", err.message);
  else printf("%.4f\n", sd); /* 0.2887 */

  mars_session_destroy(s);
  return 0;
}
