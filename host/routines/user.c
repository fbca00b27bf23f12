/* USER: a kernel of the user's own, by the function that it has for the host. */
#include "engine/user.h"
#include "host/routines/tile.h"

int64_t mx_tile_units_user(const mx_tile_call *t, int threads) {
  (void)t, (void)threads;
  return 1;
}

mars_status mx_tile_run_user(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const void *in[MX_USER_IN];
  void *out[MX_USER_OUT];
  mars_chunk chunk;
  const mx_user_kernel *u = mx_user_call(t, &chunk);

  (void)scratch, (void)unit, (void)units;
  if (u->host == NULL)
    return mx_fail(err, MARS_E_UNSUPPORTED, "mars_kernel_apply: kernel '%.60s' is CUDA C alone, and a part of it does not fit any device: give a larger device budget, smaller chunks or a host function",
                   u->name != NULL ? u->name : u->entry);
  for (int o = 0; o < u->n_out; o++) out[o] = t->mat[o].base;
  for (int i = 0; i < u->n_in; i++) in[i] = t->mat[u->n_out + i].base;
  u->host(&chunk, in, out, u->user);
  return MARS_OK;
}
