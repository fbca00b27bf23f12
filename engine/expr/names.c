/* Names of the same thing. Contract: engine/expr/parse.h. */
#include "engine/expr/parse.h"

#include <string.h>

/* Other names of the same thing: NumPy's, the array API standard's, Python's. */
static const struct {
  const char *alias, *name;
} aliases[] = {
    {"abs", "absolute"},      {"acos", "arccos"},         {"asin", "arcsin"},
    {"atan", "arctan"},       {"acosh", "arccosh"},       {"asinh", "arcsinh"},
    {"atanh", "arctanh"},     {"atan2", "arctan2"},       {"pow", "power"},
    {"mod", "remainder"},     {"true_divide", "divide"},  {"bitwise_not", "invert"},
    {"bitwise_invert", "invert"}, {"deg2rad", "radians"}, {"rad2deg", "degrees"},
    {"amax", "max"},          {"amin", "min"},            {"product", "prod"},
    {"conjugate", "conj"},    {"fix", "trunc"},           {"lgamma", "gammaln"},
    {"bitwise_left_shift", "left_shift"}, {"bitwise_right_shift", "right_shift"},
    {"concat", "concatenate"}, {"around", "round"},       {"cumulative_sum", "cumsum"},
    {"cumulative_prod", "cumprod"}, {"sometrue", "any"},  {"alltrue", "all"},
    {"asarray", "array"},     {"random.randint", "random.integers"}, {"random.random", "random.random_sample"},
    {"popcount", "bitwise_count"},
};

const char *mx_canonical_name(const char *name) {
  for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
    if (!strcmp(aliases[i].alias, name)) return aliases[i].name;
  return name;
}

const char *mx_other_name(size_t index) { return index < sizeof aliases / sizeof *aliases ? aliases[index].alias : NULL; }
