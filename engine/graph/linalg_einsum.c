/* Einstein summation: NumPy's subscripts, and the order in which several operands are contracted. */
#include "engine/graph/contract.h"
#include "engine/session.h"

#include <math.h>
#include <string.h>

enum { OPTIMAL = 8 /* operands for which every order is looked at */, DOTS = 200, MOST_OPERANDS = 1024 };

/* One operand's term of the subscripts. */
typedef struct term {
  int n;                        /* letters */
  char letter[MARS_MAX_DIMS];
  int dots;                     /* the ellipsis stands before letter[dots]; -1: there is none */
  int n_dots;                   /* axes that it stands for */
  int8_t label[MARS_MAX_DIMS];  /* of each axis */
} term;

typedef struct summation {
  mx_build *b;
  const char *text;
  size_t n;                     /* operands */
  term *in;
  term out;
  bool explicit_out;
  int most_dots;                /* axes of the widest ellipsis */
  int8_t id[256];               /* label of a letter, of the i-th ellipsis axis from the right at DOTS + i; -1 */
  int uses[128];                /* how often a letter occurs in the operands */
  int n_labels;
  int64_t extent[MX_MAX_LABELS];
  size_t first[MX_MAX_LABELS];  /* operand that the extent is of */
  mx_labelled *part;            /* operands; an item of `live` each */
} summation;

/* ---- subscripts ---- */

#define FAIL(s, st, fmt, ...) mx_build_fail((s)->b, st, "subscripts '%.80s': " fmt, (s)->text, __VA_ARGS__)

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* One term, up to a comma, an arrow or the end; returns where it stops. */
static const char *read_term(summation *s, const char *at, term *t) {
  t->n = 0;
  t->dots = -1;
  for (; s->b->st == MARS_OK && *at != '\0' && *at != ','; at++) {
    if (*at == ' ') continue;
    if (at[0] == '-' && at[1] == '>') break;
    if (*at == '.') {
      if (at[1] != '.' || at[2] != '.') FAIL(s, MARS_E_ARG, "a '%c' that is no part of an ellipsis '...'", '.');
      else if (t->dots >= 0) FAIL(s, MARS_E_ARG, "%s has two ellipses", t == &s->out ? "the output" : "an operand");
      else t->dots = t->n, at += 2;
    } else if (!is_letter(*at)) {
      FAIL(s, MARS_E_ARG, "'%c' is no label; labels are letters", *at);
    } else if (t->n == MARS_MAX_DIMS) {
      FAIL(s, MARS_E_ARG, "a term with more than %d labels", MARS_MAX_DIMS);
    } else {
      t->letter[t->n++] = *at;
    }
  }
  return at;
}

static bool read_terms(summation *s) {
  const char *at = s->text;

  for (size_t i = 0; i < s->n && s->b->st == MARS_OK; i++) {
    at = read_term(s, at, &s->in[i]);
    if (s->b->st != MARS_OK) return false;
    if (i + 1 == s->n) break;
    if (*at != ',') return FAIL(s, MARS_E_ARG, "%zu operands, but terms for %zu", s->n, i + 1), false;
    at++;
  }
  if (*at == ',') return FAIL(s, MARS_E_ARG, "more terms than the %zu operands", s->n), false;
  s->explicit_out = *at == '-';
  if (s->explicit_out) {
    at = read_term(s, at + 2, &s->out);
    if (s->b->st == MARS_OK && *at != '\0') FAIL(s, MARS_E_ARG, "'%c' behind the output", *at);
  }
  return s->b->st == MARS_OK;
}

/* ---- labels ---- */

static int8_t label_of(summation *s, int key) {
  if (s->id[key] < 0) {
    if (s->n_labels == MX_MAX_LABELS) return FAIL(s, MARS_E_UNSUPPORTED, "more than %d different axes", MX_MAX_LABELS), 0;
    s->extent[s->n_labels] = 1;
    s->first[s->n_labels] = 0;
    s->id[key] = (int8_t)s->n_labels++;
  }
  return s->id[key];
}

static void axis_label(summation *s, size_t i, int d, int key) {
  term *t = &s->in[i];
  const mars_shape *shape = &s->part[i].node->shape;
  const int64_t n = shape->dims[d];
  char text[MX_SHAPE_TEXT], other[MX_SHAPE_TEXT];

  t->label[d] = label_of(s, key);
  int64_t *extent = &s->extent[t->label[d]];
  const char name[2] = {key < DOTS ? (char)key : '.', '\0'};
  for (int e = 0; e < d; e++)
    if (t->label[e] == t->label[d] && shape->dims[e] != n) {
      FAIL(s, MARS_E_SHAPE, "label '%s' stands for extents %lld and %lld of operand %zu, shape %s", name, (long long)shape->dims[e],
           (long long)n, i + 1, mx_shape_text(shape, text, sizeof text));
      return;
    }
  size_t *first = &s->first[t->label[d]];
  if (*extent == 1) *extent = n, *first = i;
  else if (n != 1 && n != *extent)
    FAIL(s, MARS_E_SHAPE, "label '%s' has extent %lld in operand %zu, shape %s, and %lld in operand %zu, shape %s", key < DOTS ? name : "...",
         (long long)n, i + 1, mx_shape_text(shape, text, sizeof text), (long long)*extent, *first + 1,
         mx_shape_text(&s->part[*first].node->shape, other, sizeof other));
}

/* Gives every axis of operand i its label. */
static bool label_operand(summation *s, size_t i) {
  term *t = &s->in[i];
  const mars_shape *shape = &s->part[i].node->shape;
  char text[MX_SHAPE_TEXT];

  t->n_dots = shape->ndim - t->n;
  if (t->n_dots < 0 || (t->n_dots > 0 && t->dots < 0)) {
    FAIL(s, MARS_E_SHAPE, "%d labels for operand %zu, whose shape is %s%s", t->n, i + 1, mx_shape_text(shape, text, sizeof text),
         t->n_dots > 0 ? "; '...' stands for axes without labels" : "");
    return false;
  }
  if (t->n_dots > s->most_dots) s->most_dots = t->n_dots;
  for (int d = 0, l = 0; d < shape->ndim && s->b->st == MARS_OK; d++) {
    const bool dots = t->n_dots > 0 && d >= t->dots && d < t->dots + t->n_dots;
    if (dots) axis_label(s, i, d, DOTS + t->n_dots - 1 - (d - t->dots));
    else axis_label(s, i, d, t->letter[l++]);
  }
  for (int l = 0; l < t->n; l++) s->uses[(int)t->letter[l]]++;
  return s->b->st == MARS_OK;
}

/* Labels of the result's axes; its number of axes, -1 after a failure. */
static int label_result(summation *s, int8_t *label) {
  term *t = &s->out;
  int n = 0;

  if (!s->explicit_out) {
    t->n = 0;
    t->dots = 0;
    for (int c = 'A'; c <= 'z'; c++)
      if (s->uses[c] == 1) {
        if (t->n == MARS_MAX_DIMS) return FAIL(s, MARS_E_SHAPE, "a result of more than %d axes", MARS_MAX_DIMS), -1;
        t->letter[t->n++] = (char)c;
      }
  }
  if (t->dots < 0 && s->most_dots > 0)
    return FAIL(s, MARS_E_ARG, "the operands have %d axes under '...', the output has no '...'", s->most_dots), -1;
  if (t->n + s->most_dots > MARS_MAX_DIMS) return FAIL(s, MARS_E_SHAPE, "a result of more than %d axes", MARS_MAX_DIMS), -1;
  for (int l = 0; l <= t->n; l++) {
    if (l == t->dots)
      for (int d = s->most_dots; d-- > 0;) label[n++] = label_of(s, DOTS + d);
    if (l == t->n) break;
    for (int k = 0; k < l; k++)
      if (t->letter[k] == t->letter[l]) return FAIL(s, MARS_E_ARG, "label '%c' occurs twice in the output", t->letter[l]), -1;
    if (s->uses[(int)t->letter[l]] == 0) return FAIL(s, MARS_E_ARG, "label '%c' of the output is in no operand", t->letter[l]), -1;
    label[n++] = label_of(s, t->letter[l]);
  }
  return n;
}

/* ---- the order of contractions ---- */

static double volume(const summation *s, uint64_t labels) {
  double v = 1;

  for (int l = 0; l < s->n_labels; l++)
    if (labels >> l & 1) v *= (double)s->extent[l];
  return v;
}

/* What making `result` from operands with `all` labels costs: products, and elements written. */
static double cost_of(const summation *s, uint64_t all, uint64_t result) {
  return __builtin_popcountll(result) > MARS_MAX_DIMS ? 1e300 : volume(s, all) + volume(s, result);
}

/* Labels of a set of operands when everything else is contracted away. */
typedef struct subset {
  double cost;
  uint64_t labels;
  uint32_t left; /* one half of its best split */
} subset;

static mx_labelled contract_subset(summation *s, const subset *best, uint32_t set, const mx_labelled *part) {
  if ((set & (set - 1)) == 0) return part[__builtin_ctz(set)];
  const uint32_t left = best[set].left;
  mx_labelled x = contract_subset(s, best, left, part), y = contract_subset(s, best, set & ~left, part);
  return mx_contract_pair(s->b, x, y, best[set].labels);
}

static mx_labelled contract_optimal(summation *s, uint64_t out) {
  subset best[1 << OPTIMAL];
  const uint32_t all = (1u << s->n) - 1;

  for (uint32_t set = 1; set <= all; set++) {
    uint64_t inside = 0, outside = out;
    for (size_t i = 0; i < s->n; i++)
      *(set >> i & 1 ? &inside : &outside) |= mx_contract_labels(&s->part[i]);
    best[set] = (subset){.cost = (set & (set - 1)) == 0 ? 0 : INFINITY, .labels = inside & outside};
    for (uint32_t left = (set - 1) & set; left > (set & ~left); left = (left - 1) & set) { /* each split once */
      const subset *x = &best[left], *y = &best[set & ~left];
      const double cost = x->cost + y->cost + cost_of(s, x->labels | y->labels, best[set].labels);
      if (cost >= best[set].cost) continue;
      best[set].cost = cost;
      best[set].left = left;
    }
  }
  return contract_subset(s, best, all, s->part);
}

/* Pair after pair: the one whose product is the least larger than its factors; of equal ones the cheapest. */
static mx_labelled contract_greedy(summation *s, uint64_t out) {
  mx_labelled *part = s->part;

  for (size_t n = s->n; n > 1 && s->b->st == MARS_OK; n--) {
    size_t best_i = 0, best_j = 1;
    double best = 0, best_cost = 0;
    uint64_t best_need = 0;
    for (size_t i = 0; i < n; i++)
      for (size_t j = i + 1; j < n; j++) {
        uint64_t need = out, x = mx_contract_labels(&part[i]), y = mx_contract_labels(&part[j]);
        for (size_t k = 0; k < n; k++)
          if (k != i && k != j) need |= mx_contract_labels(&part[k]);
        const double cost = cost_of(s, x | y, (x | y) & need);
        const double growth = cost >= 1e300 ? cost : volume(s, (x | y) & need) - volume(s, x) - volume(s, y);
        if ((i > 0 || j > 1) && (growth > best || (growth == best && cost >= best_cost))) continue;
        best = growth, best_cost = cost, best_need = need;
        best_i = i, best_j = j;
      }
    part[best_i] = mx_contract_pair(s->b, part[best_i], part[best_j], best_need);
    part[best_j] = part[n - 1];
  }
  return part[0];
}

static mx_labelled contract(summation *s, uint64_t out) {
  for (size_t i = 0; i < s->n && s->b->st == MARS_OK; i++) { /* sums over one operand alone */
    uint64_t need = out;
    for (size_t k = 0; k < s->n; k++)
      if (k != i) need |= mx_contract_labels(&s->part[k]);
    s->part[i] = mx_contract_sum(s->b, s->part[i], need);
  }
  if (s->b->st != MARS_OK) return (mx_labelled){.node = NULL};
  return s->n <= OPTIMAL ? contract_optimal(s, out) : contract_greedy(s, out);
}

/* ---- the call ---- */

static mx_node *sum_up(summation *s, mars_tensor *const *operand) {
  mx_build *b = s->b;
  int8_t label[MARS_MAX_DIMS];
  mars_shape shape = {0}, clean;
  bool weak, empty = false;

  mx_term *terms = mx_calloc(&b->session->mem, s->n, sizeof *terms);
  if (terms == NULL) return mx_build_fail(b, MARS_E_MEMORY, "no memory for %zu operands", s->n);
  for (size_t i = 0; i < s->n; i++) terms[i] = mx_term_of(operand[i]);
  const mars_dtype dt = mx_build_promote(b, terms, (int)s->n, &weak);
  for (size_t i = 0; i < s->n; i++)
    s->part[i].node = mx_build_cast(b, mx_build_cast_term(b, &terms[i], dt), mx_contract_dtype(dt));
  mx_free(&b->session->mem, terms);
  for (size_t i = 0; i < s->n && b->st == MARS_OK; i++) label_operand(s, i);
  if (b->st != MARS_OK) return NULL;
  shape.ndim = label_result(s, label);
  if (b->st != MARS_OK) return NULL;
  uint64_t out = 0;
  for (int d = 0; d < shape.ndim; d++) {
    shape.dims[d] = s->extent[label[d]];
    if (shape.dims[d] != 1) out |= (uint64_t)1 << label[d];
  }
  if (!mx_build_shape(b, mx_contract_dtype(dt), &shape, &clean)) return NULL;
  for (int l = 0; l < s->n_labels; l++) empty |= s->extent[l] == 0;
  if (empty) return mx_build_number(b, dt, &clean, 0);
  for (size_t i = 0; i < s->n && b->st == MARS_OK; i++) s->part[i] = mx_contract_label(b, s->part[i].node, s->in[i].label);
  return mx_build_cast(b, mx_contract_arrange(b, contract(s, out), label, shape.ndim, s->extent), dt);
}

mars_tensor *mars_einsum(const char *subscripts, mars_tensor *const *operands, size_t n) {
  mx_node *node = NULL;
  mx_build b;

  if (operands == NULL) n = 0;
  mx_build_open_on(&b, NULL, "einsum", operands, n);
  if (n == 0) return mx_build_close(&b, NULL, false); /* no tensor, no session: NULL */
  if (subscripts == NULL) mx_build_fail(&b, MARS_E_ARG, "subscripts is NULL");
  if (n > MOST_OPERANDS) mx_build_fail(&b, MARS_E_ARG, "%zu operands; at most %d", n, MOST_OPERANDS);
  if (b.st == MARS_OK) {
    summation s = {.b = &b, .text = subscripts, .n = n};
    memset(s.id, -1, sizeof s.id);
    s.in = mx_calloc(&b.session->mem, n, sizeof *s.in);
    s.part = mx_calloc(&b.session->mem, n, sizeof *s.part);
    if (s.in == NULL || s.part == NULL) mx_build_fail(&b, MARS_E_MEMORY, "no memory for %zu operands", n);
    else if (read_terms(&s)) node = sum_up(&s, operands);
    mx_free(&b.session->mem, s.in);
    mx_free(&b.session->mem, s.part);
  }
  return mx_build_close(&b, node, false);
}
