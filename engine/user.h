/*
 * Kernels of the user's own: what mars_kernel_apply keeps of a description, for the tile rule and the devices.
 *
 * Layer: engine; read by devices. Threads: made under the session's lock, immutable and alive as long as the session.
 */
#ifndef MX_USER_H
#define MX_USER_H

#include <mars/mars.h>

enum { MX_USER_IN = 32, MX_USER_OUT = 4 };

typedef struct mx_user_kernel {
  struct mx_user_kernel *next;
  const char *name, *source, *entry; /* source NULL: there is none */
  mars_kernel_fn *host;              /* NULL: there is none */
  void *user;
  int n_in, n_out;
  mars_kernel_operand in[MX_USER_IN];
  mars_dtype out[MX_USER_OUT];
  mars_shape shape; /* of the results */
} mx_user_kernel;

struct mx_tile_call;
/* The call of a USER tile operation as the kernel sees it: results first among its matrices, then operands. */
const mx_user_kernel *mx_user_call(const struct mx_tile_call *t, mars_chunk *chunk);

#endif
