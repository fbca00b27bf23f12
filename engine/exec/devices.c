/*
 * The devices of a session: which are named, which are there, what planning may know of them.
 */
#include "engine/exec/actor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct finder {
  mars_session *s;
  const mx_device_kind *const *kinds;
  int n_kinds;
  mx_device *of[MX_MAX_DEVICES]; /* devices of the kind that is being connected */
  int kind[MX_MAX_DEVICES];      /* per device of the session */
} finder;

static void list_there(const finder *f, char *buf, size_t bytes) {
  size_t n = (size_t)snprintf(buf, bytes, "host");
  for (int k = 0; k < f->n_kinds; k++)
    for (int i = 0; i < f->kinds[k]->count(f->kinds[k]->ctx) && n < bytes; i++)
      n += (size_t)snprintf(buf + n, bytes - n, ", %s:%d", f->kinds[k]->name, i);
}

static void device_log(void *user, mars_log_level level, const char *text) { mx_log(user, level, "%s", text); }

/* A device that cannot register it, for want of memory that may be pinned too, copies in another way. */
static void offer_arena(mars_session *s, mx_device *dev) {
  size_t bytes;
  mars_error err = {0};
  void *arena = s->device->ops->memory(s->device, &bytes);
  if (dev->ops->host_memory && dev->ops->host_memory(dev, arena, bytes, &err) != MARS_OK)
    mx_log(s, MARS_LOG_INFO, "copies to %s are staged: %s", dev->ops->name(dev), err.message);
}

/* What a kind says names the call and the device. */
static mars_status explain_failure(const char *name, mars_status st, mars_error *err) {
  if (err && !strstr(err->message, "mars_session_create"))
    return mx_fail(err, st, "mars_session_create: device %s: %s", name, err->message[0] ? err->message : mars_status_text(st));
  return st;
}

static mars_status add_device(finder *f, int kind, int index, mars_error *err) {
  mars_session *s = f->s;
  const mx_device_kind *k = f->kinds[kind];
  mx_machine *m = &s->machine;
  mx_device_info whole = {0}, info = {0};
  mars_status st = MARS_OK;
  const int d = m->n_devices;
  if (d == MX_MAX_DEVICES) return mx_fail(err, MARS_E_ARG, "mars_session_create: config.devices names more than %d devices", MX_MAX_DEVICES - 1);
  snprintf(s->device_name[d], sizeof s->device_name[d], "%s:%d", k->name, index);
  st = k->describe(k->ctx, index, &whole, err);
  if (st != MARS_OK) MX_TRY(explain_failure(s->device_name[d], st, err));
  const size_t budget = s->config.device_budget_bytes;
  if (budget > whole.memory_bytes)
    MX_TRY(mx_fail(err, MARS_E_BUDGET, "mars_session_create: config.device_budget_bytes is %zu, but device %s has %zu bytes of memory", budget,
                   s->device_name[d], whole.memory_bytes));
  mx_device_request r = {.mem = &s->mem, .index = index, .budget_bytes = budget, .first = true, .log = device_log, .log_user = s};
  for (int i = 1; i < d; i++) r.first &= strncmp(s->device_name[i], k->name, strlen(k->name)) != 0;
  mx_machine_device *out = &m->device[d];
  *out = (mx_machine_device){.name = s->device_name[d]};
  st = k->create(k->ctx, &r, &out->dev, err);
  if (st != MARS_OK) MX_TRY(explain_failure(s->device_name[d], st, err));
  f->kind[d] = kind;
  m->n_devices++; /* the session destroys it from now on */
  offer_arena(s, out->dev);
  out->dev->ops->info(out->dev, &info);
  (void)out->dev->ops->memory(out->dev, &out->arena_bytes);
  out->flops = info.flops;
  out->memory_bytes_per_second = info.memory_bytes_per_second;
  out->link_bytes_per_second = info.link_bytes_per_second;
  m->use[m->n_use++] = (uint8_t)d;
  if (out->arena_bytes < m->arena_bytes) m->arena_bytes = out->arena_bytes;
  s->device_info[d] = (mars_device_info){.name = out->name, .model = info.model, .memory_bytes = whole.memory_bytes,
                                         .budget_bytes = out->arena_bytes, .shares_work = true};
done:
  return st;
}

/* The kind that a name such as "cuda:3" means, NULL. */
static const mx_device_kind *kind_of(const finder *f, const char *name, size_t n) {
  for (int k = 0; k < f->n_kinds; k++) {
    const size_t len = strlen(f->kinds[k]->name);
    if (n > len && name[len] == ':' && !memcmp(name, f->kinds[k]->name, len)) return f->kinds[k];
  }
  return NULL;
}

/* The text [name, name + n) of the list. */
static mars_status add_named(finder *f, const char *name, size_t n, mars_error *err) {
  mars_session *s = f->s;
  char there[256];
  for (int i = 0; i < s->machine.n_use; i++)
    if (strlen(s->machine.device[s->machine.use[i]].name) == n && !memcmp(s->machine.device[s->machine.use[i]].name, name, n))
      return mx_fail(err, MARS_E_ARG, "mars_session_create: config.devices names %.*s twice", (int)n, name);
  if (n == 4 && !memcmp(name, "host", 4)) {
    s->machine.use[s->machine.n_use++] = 0;
    s->device_info[0].shares_work = true;
    return MARS_OK;
  }
  for (int k = 0; k < f->n_kinds; k++) {
    const int count = f->kinds[k]->count(f->kinds[k]->ctx);
    for (int i = 0; i < count; i++) {
      char own[32];
      int len = snprintf(own, sizeof own, "%s:%d", f->kinds[k]->name, i);
      if ((size_t)len == n && !memcmp(own, name, n)) return add_device(f, k, i, err);
    }
  }
  list_there(f, there, sizeof there);
  const mx_device_kind *kind = kind_of(f, name, n);
  char why[280] = "";
  if (kind && kind->why) kind->why(kind->ctx, why, sizeof why);
  return mx_fail(err, MARS_E_ARG, "mars_session_create: there is no device \"%.*s\"%s%s%s; there are: %s", (int)(n < 64 ? n : 64), name,
                 why[0] ? " (" : "", why, why[0] ? ")" : "", there);
}

static mars_status add_list(finder *f, const char *list, mars_error *err) {
  mars_status st = MARS_OK;
  for (const char *p = list; st == MARS_OK;) {
    while (*p == ' ') p++;
    size_t n = strcspn(p, ","), end = n;
    while (n && p[n - 1] == ' ') n--;
    st = add_named(f, p, n, err);
    if (!p[end]) break;
    p += end + 1;
  }
  return st;
}

static mars_status add_all(finder *f, mars_error *err) {
  mars_session *s = f->s;
  for (int k = 0; k < f->n_kinds; k++) {
    const int n = f->kinds[k]->count(f->kinds[k]->ctx);
    for (int i = 0; i < n && s->machine.n_devices < MX_MAX_DEVICES; i++) {
      mars_status st = add_device(f, k, i, err);
      if (st == MARS_E_MEMORY || st == MARS_E_BUDGET) return st;
      if (st == MARS_OK) continue;
      mx_log(s, MARS_LOG_WARNING, "%s:%d is left out: %s", f->kinds[k]->name, i, err ? err->message : mars_status_text(st));
      mx_error_clear(err);
    }
  }
  if (s->machine.n_use) return MARS_OK;
  s->machine.use[s->machine.n_use++] = 0;
  s->device_info[0].shares_work = true;
  return MARS_OK;
}

static void connect_kinds(finder *f) {
  const mx_machine *m = &f->s->machine;
  for (int k = 0; k < f->n_kinds; k++) {
    int n = 0;
    for (int d = 1; d < m->n_devices; d++)
      if (f->kind[d] == k) f->of[n++] = m->device[d].dev;
    if (n > 1 && f->kinds[k]->connect) f->kinds[k]->connect(f->kinds[k]->ctx, f->of, n);
  }
}

static void find_peers(mx_machine *m) {
  for (int a = 1; a < m->n_devices; a++)
    for (int b = 1; b < m->n_devices; b++) {
      mx_device *x = m->device[a].dev, *y = m->device[b].dev;
      if (a != b && x->ops == y->ops && x->ops->can_peer && x->ops->can_peer(x, y)) m->device[a].peers |= 1u << b;
    }
}

/* The first kind that offers it, if it has more than one device. */
static void find_joined(mx_machine *m) {
  for (int a = 1; a < m->n_devices && !m->joined; a++) {
    const mx_device_ops *ops = m->device[a].dev->ops;
    uint32_t all = 0;
    for (int b = a; b < m->n_devices; b++)
      if (m->device[b].dev->ops == ops) all |= 1u << b;
    if ((all & (all - 1)) && ops->can_join && ops->can_join(m->device[a].dev, __builtin_popcount(all))) m->joined = all;
  }
}

mars_status mx_session_add_devices(mars_session *s, const mx_device_kind *const *kinds, int n_kinds, mars_error *err) {
  finder f = {.s = s, .kinds = kinds, .n_kinds = n_kinds};
  const char *list = s->config.devices ? s->config.devices : getenv("MARS_DEVICES");
  for (int k = 0; k < n_kinds && !s->ranges; k++) s->ranges = kinds[k]->ranges;
  snprintf(s->device_name[0], sizeof s->device_name[0], "host");
  s->machine.device[0] = (mx_machine_device){.dev = s->device, .name = s->device_name[0], .arena_bytes = s->machine.arena_bytes};
  s->machine.n_devices = 1;
  s->device_info[0] = (mars_device_info){.name = s->device_name[0], .model = s->info.cpu, .memory_bytes = s->info.memory_bytes,
                                         .budget_bytes = s->machine.arena_bytes};
  mars_status st = list && (list[0] || s->config.devices) ? add_list(&f, list, err) : add_all(&f, err);
  if (st == MARS_OK) connect_kinds(&f);
  find_peers(&s->machine);
  find_joined(&s->machine);
  s->info.n_devices = s->machine.n_devices;
  s->info.devices = s->device_info;
  return st;
}

void mx_session_lose(mars_session *s, int device, const mars_error *why) {
  mx_machine *m = &s->machine;
  s->device_error[device] = *why;
  m->device[device].lost = &s->device_error[device];
  s->device_info[device].lost = true;
  m->arena_bytes = m->device[0].arena_bytes;
  for (int d = 1; d < m->n_devices; d++)
    if (!m->device[d].lost && m->device[d].arena_bytes < m->arena_bytes) m->arena_bytes = m->device[d].arena_bytes;
}

int mx_session_device(const mars_session *s, const char *fn, const char *name, mars_error *err) {
  char there[256];
  size_t n = 0;
  for (int d = 0; d < s->machine.n_devices; d++) {
    if (name && !strcmp(s->machine.device[d].name, name)) return d;
    n += n < sizeof there ? (size_t)snprintf(there + n, sizeof there - n, "%s%s", d ? ", " : "", s->machine.device[d].name) : 0;
  }
  (void)mx_fail(err, MARS_E_ARG, "%s: the session has no device \"%s\"; it has: %s", fn, name ? name : "NULL", there);
  return -1;
}
