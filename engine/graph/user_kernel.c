/* mars_kernel_apply: a kernel of the user's own becomes a routine node on flat operands. */
#include "engine/graph/build.h"
#include "engine/session.h"
#include "engine/user.h"

#include <string.h>

/* ---- what is kept of a description ---- */

static bool same_text(const char *a, const char *b) { return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0); }

static bool same(const mx_user_kernel *a, const mars_kernel *b, const mars_shape *shape) {
  return same_text(a->name, b->name) && same_text(a->source, b->source) && same_text(a->entry, b->entry) && a->host == b->host &&
         a->user == b->user && a->n_in == b->n_in && a->n_out == b->n_out &&
         a->shape.ndim == shape->ndim && memcmp(a->shape.dims, shape->dims, (size_t)shape->ndim * sizeof *shape->dims) == 0 &&
         memcmp(a->in, b->in, (size_t)b->n_in * sizeof *b->in) == 0 && memcmp(a->out, b->out, (size_t)b->n_out * sizeof *b->out) == 0;
}

static char *put(char **at, const char *text) {
  char *p = *at;

  if (text == NULL) return NULL;
  strcpy(p, text);
  *at += strlen(text) + 1;
  return p;
}

static size_t bytes_of(const char *text) { return text != NULL ? strlen(text) + 1 : 0; }

static mx_user_kernel *copy_of(mx_mem *mem, const mars_kernel *k, const mars_shape *shape) {
  mx_user_kernel *u = mx_alloc(mem, sizeof *u + bytes_of(k->name) + bytes_of(k->source) + bytes_of(k->entry));
  char *at = (char *)(u + 1);

  if (u == NULL) return NULL;
  u->name = put(&at, k->name);
  u->source = put(&at, k->source);
  u->entry = put(&at, k->entry);
  u->host = k->host;
  u->user = k->user;
  u->shape = *shape;
  u->n_in = k->n_in;
  u->n_out = k->n_out;
  memcpy(u->in, k->in, (size_t)k->n_in * sizeof *k->in);
  memcpy(u->out, k->out, (size_t)k->n_out * sizeof *k->out);
  return u;
}

/* Equal descriptions with results of one shape are one record, so that equal calls are one node. */
static const mx_user_kernel *record_of(mx_build *b, const mars_kernel *k, const mars_shape *shape) {
  mars_session *s = b->session;
  mx_user_kernel *u;

  pthread_mutex_lock(&s->export_lock);
  for (u = s->kernels; u != NULL && !same(u, k, shape); u = u->next) {
  }
  if (u == NULL && (u = copy_of(&s->mem, k, shape)) != NULL) {
    u->next = s->kernels;
    s->kernels = u;
  }
  pthread_mutex_unlock(&s->export_lock);
  if (u == NULL) mx_build_fail(b, MARS_E_MEMORY, "no memory to keep the kernel");
  return u;
}

/* ---- checks ---- */

static bool check_kernel(mx_build *b, const mars_kernel *k) {
  bool chunks = false;

  if (k == NULL) mx_build_fail(b, MARS_E_ARG, "kernel is NULL");
  else if (k->source == NULL && k->host == NULL) mx_build_fail(b, MARS_E_ARG, "kernel '%.60s' has neither source nor a host function", k->name ? k->name : "");
  else if (k->source != NULL && (k->entry == NULL || k->entry[0] == '\0')) mx_build_fail(b, MARS_E_ARG, "the source of kernel '%.60s' has no entry", k->name ? k->name : "");
  else if (k->n_in < 1 || k->n_in > MX_USER_IN || k->in == NULL) mx_build_fail(b, MARS_E_ARG, "a kernel has 1 to %d operands, not %d", MX_USER_IN, k->n_in);
  else if (k->n_out < 1 || k->n_out > MX_USER_OUT || k->out == NULL) mx_build_fail(b, MARS_E_ARG, "a kernel has 1 to %d results, not %d", MX_USER_OUT, k->n_out);
  if (b->st != MARS_OK) return false;
  for (int i = 0; i < k->n_in && mx_build_dtype(b, k->in[i].dtype); i++) {
    if (k->in[i].rule != MARS_OPERAND_CHUNK && k->in[i].rule != MARS_OPERAND_WHOLE)
      mx_build_fail(b, MARS_E_ARG, "operand %d has rule %d, which is none of MARS_OPERAND_*", i + 1, (int)k->in[i].rule);
    chunks |= k->in[i].rule == MARS_OPERAND_CHUNK;
  }
  for (int o = 0; o < k->n_out && mx_build_dtype(b, k->out[o]); o++) {
  }
  if (b->st == MARS_OK && !chunks) mx_build_fail(b, MARS_E_ARG, "no operand is MARS_OPERAND_CHUNK: the results would have no shape");
  return b->st == MARS_OK;
}

static mx_node *flat(mx_build *b, mx_node *node) {
  mars_shape line;

  memset(&line, 0, sizeof line);
  if (b->st != MARS_OK) return NULL;
  line.ndim = 1;
  line.dims[0] = node->size;
  return mx_build_reshape(b, node, &line);
}

/* Operands in their declared dtypes, broadcast to one shape, in one line. */
static bool take_operands(mx_build *b, const mars_kernel *k, mars_tensor *const *operands, mx_node **node, mars_shape *shape) {
  mx_term chunk[MX_USER_IN];
  int n = 0;

  for (int i = 0; i < k->n_in && b->st == MARS_OK; i++) {
    mx_term t = mx_term_of(operands[i]);

    if (!t.weak && t.node->dtype != k->in[i].dtype)
      mx_build_fail(b, MARS_E_DTYPE, "operand %d is %s; the kernel declares %s: cast it with mars_astype", i + 1, mars_dtype_name(t.node->dtype),
                    mars_dtype_name(k->in[i].dtype));
    node[i] = mx_build_cast_term(b, &t, k->in[i].dtype);
    if (k->in[i].rule == MARS_OPERAND_CHUNK) chunk[n++] = (mx_term){node[i], false};
  }
  if (b->st != MARS_OK || !mx_build_broadcast_shapes(b, chunk, n, shape)) return false;
  for (int i = 0; i < k->n_in; i++) {
    if (k->in[i].rule == MARS_OPERAND_CHUNK) node[i] = mx_build_broadcast(b, node[i], shape);
    else if (node[i] != NULL && node[i]->size == 0) mx_build_fail(b, MARS_E_SHAPE, "operand %d, which is given whole, has no elements", i + 1);
    node[i] = flat(b, node[i]);
  }
  return b->st == MARS_OK;
}

void mars_kernel_apply(mars_session *s, const mars_kernel *kernel, mars_tensor *const *operands, mars_tensor **results) {
  mx_node *in[MX_USER_IN], *out[MX_USER_OUT] = {NULL};
  mars_tensor **places[MX_USER_OUT];
  const mx_user_kernel *record = NULL;
  mars_shape shape, line;
  int n_out = kernel != NULL && kernel->n_out >= 1 && kernel->n_out <= MX_USER_OUT ? kernel->n_out : 1;
  mx_build b;

  if (results == NULL) return;
  mx_build_open(&b, s, "kernel_apply");
  memset(&line, 0, sizeof line);
  if (check_kernel(&b, kernel)) {
    if (operands == NULL) mx_build_fail(&b, MARS_E_ARG, "operands is NULL");
    for (int i = 0; i < kernel->n_in && b.st == MARS_OK; i++) mx_build_check(&b, operands[i], (size_t)i);
    if (b.st == MARS_OK && take_operands(&b, kernel, operands, in, &shape)) record = record_of(&b, kernel, &shape);
  }
  for (int o = 0; o < n_out; o++) {
    places[o] = &results[o];
    results[o] = NULL;
    if (b.st != MARS_OK) continue;
    line.ndim = 1;
    if (!mx_shape_elements(&shape, 1, &line.dims[0])) line.dims[0] = 0;
    out[o] = line.dims[0] == 0 ? mx_build_number(&b, kernel->out[o], &shape, 0)
                               : mx_build_routine(&b, MX_OP_KERNEL, in, kernel->n_in, kernel->out[o], &line, o, 0,
                                                  (int64_t)(intptr_t)record, 0);
    if (line.dims[0] != 0) out[o] = mx_build_reshape(&b, out[o], &shape);
  }
  mx_build_results(&b, out, places, n_out);
  mx_build_drop(&b);
}
