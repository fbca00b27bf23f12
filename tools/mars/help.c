/* The pages of mars help and --help. */
#include "fn.h"
#include "options.h"

#include <string.h>

#define RUN_OPTIONS                                                                                                     \
  "  --budget SIZE      host memory for tensor data, e.g. 512M, 2.5G (binary units); default: half of what the\n"       \
  "                     process may use. Peak resident memory stays below it + 64 MiB.\n"                              \
  "  --devices LIST     devices that share the work, e.g. cuda:0,cuda:1,host; default: $MARS_DEVICES, else all GPUs,\n" \
  "                     else the host\n"                                                                              \
  "  --device-budget SIZE  memory of each GPU for tensor data; default: what is free there, less a reserve\n"           \
  "  --threads N        compute threads; default: one for each core that the process may use\n"                        \
  "  --spill DIR        directory for data that does not fit; several are striped. Default: $MARS_SPILL_DIR, else\n"    \
  "                     $TMPDIR, else /tmp\n"                                                                          \
  "  --no-spill         never spill: a job that would have to is refused\n"

#define CALC_OPTIONS                                                                                                    \
  "  --chunk N          elements of a chunk; default: chosen from budget and sizes\n"                                  \
  "  --dtype D          convert the results to D, e.g. float32\n"                                                      \
  "  --seed N           seed of the random streams; default 0\n"                                                       \
  "  --no-fusion        every operation a pass of its own (for comparisons)\n"

static const char main_page[] =
    "mars - NumPy-style tensor programs on data larger than memory\n"
    "\n"
    "usage: mars COMMAND [ARGUMENTS]\n"
    "\n"
    "  calc EXPRESSION    calculate with npy files and generators; print or write the result\n"
    "  plan EXPRESSION    show how calc would do it: chunks, kernels, schedule, memory, bytes moved\n"
    "  ops                the table of operations with their error bounds\n"
    "  info               machine, devices, libraries, budgets\n"
    "  help [TOPIC]       this page, a command's, or: functions, syntax, environment\n"
    "  version            the version\n"
    "\n"
    "  mars calc '(x + 1) * 2' x=big.npy -o out.npy --budget 512M\n"
    "  mars calc 'random.uniform(size=10**9).mean()'\n"
    "\n"
    "Every command has --help. Exit status: 0 success, 1 the run failed, 2 usage or syntax, 130 interrupted.\n";

static const char calc_page[] =
    "mars calc - calculate an expression over npy files and generators\n"
    "\n"
    "usage: mars calc EXPRESSION [name=FILE.npy | name=EXPRESSION]... [-o FILE.npy | -o name=FILE.npy]... [options]\n"
    "\n"
    "The expression is Python's, with NumPy's functions; see 'mars help syntax' and 'mars help functions'. Several\n"
    "statements are separated by ';', the last one's value is the result. Names are given on the command line, in\n"
    "order, as files or as expressions. Files are read and written chunk by chunk: they may be larger than memory.\n"
    "\n"
    "Without -o the result is printed as NumPy would: up to 1000 elements in full, else the first and last three of\n"
    "each axis, and only these are fetched. With -o it is written to a file (npy 1.0, C order) under a temporary name and\n"
    "renamed when it is complete: there is never half a file. All outputs are made in one pass.\n"
    "\n"
    "options:\n"
    "  -o FILE.npy        write the result; -o name=FILE.npy writes a name that was set; may be given several times\n"
    RUN_OPTIONS CALC_OPTIONS
    "  --shape            print dtype and shape of the result instead of its values; nothing is run for it\n"
    "  --stats            afterwards, print tasks, times, peak memory and bytes moved to standard error\n"
    "  --no-progress      no progress bar (it is shown on a terminal only)\n"
    "  -q, --quiet        no progress bar and no warnings\n"
    "  --verbose          also what the library reports for information\n"
    "  --                 what follows are no options: mars calc -- '--x'\n"
    "\n"
    "Ctrl-C stops the run cleanly: no file is left behind, exit status 130. A second Ctrl-C ends the process at once.\n"
    "\n"
    "examples:\n"
    "  mars calc '(x + 1) * 2' x=big.npy -o out.npy --budget 512M\n"
    "  mars calc 'x.mean(axis=0)' x=big.npy --spill /mnt/fast --spill /mnt/fast2\n"
    "  mars calc 'a = random.uniform(size=(n, n)); ((a @ a.T) - a).std()' n=20000 --budget 1G\n"
    "  mars calc 'u, s, v = svd(a); max(abs(u * s @ v - a))' a='random.uniform(size=(100000, 32))'\n"
    "  mars calc '4 * (random.uniform(size=n)**2 + random.uniform(size=n)**2 < 1).mean()' n=1e9\n"
    "  mars calc 'q, r = divmod(x, 7)' x='arange(100)' -o q=q.npy -o r=r.npy\n"
    "\n"
    "exit status: 0 success; 1 the run failed (shapes that do not fit, unreadable file, no space, budget too small);\n"
    "2 usage or syntax, with the place in the expression; 130 interrupted.\n";

static const char plan_page[] =
    "mars plan - show how mars calc would run an expression\n"
    "\n"
    "usage: mars plan EXPRESSION [name=FILE.npy | name=EXPRESSION]... [-o ...]... [options]\n"
    "\n"
    "Takes what 'mars calc' takes, plans it for the same budget, and prints chunk graph, kernel programs and schedule, with\n"
    "peak bytes of every tier and the bytes that will be moved. Nothing is run and no file is written. Without -o the\n"
    "plan is for computing the whole result and keeping it.\n"
    "\n"
    "options:\n"
    "  --dot              the chunk graph in the DOT language, for Graphviz\n"
    "  -o ...             plan for writing these files\n"
    RUN_OPTIONS CALC_OPTIONS
    "  -q, --quiet        no warnings\n"
    "  --verbose          also what the library reports for information\n"
    "\n"
    "example: mars plan '((x - x.mean()) / x.std()).max()' x=big.npy --budget 256M\n";

static const char info_page[] =
    "mars info - what Mars finds on this machine and would use\n"
    "\n"
    "usage: mars info [--json] [options]\n"
    "\n"
    "Opens a session and prints machine, CPU, kernels in use, devices, memory budget, input/output, spill directories with\n"
    "their free space, and the libraries that are loaded.\n"
    "\n"
    "options:\n"
    "  --json             as a JSON object\n"
    RUN_OPTIONS
    "  -q, --quiet        no warnings\n"
    "  --verbose          also what the library reports for information\n";

static const char ops_page[] =
    "mars ops - the table of operations\n"
    "\n"
    "usage: mars ops [--json] [WORD]...\n"
    "\n"
    "One line for each row: name, kind, number of operands, largest error in units in the last place (of reductions: the\n"
    "constant part of it; 'mars help functions' has the functions that are made of several), and what it is. With words:\n"
    "only the rows whose name contains one, or whose kind is one: unary, binary, ternary, reduce, scan, routine, random, node.\n"
    "Errors of routines are measured in norm, and grow with the order of the problem: times it. Their operands stand in\n"
    "'mars help functions'.\n"
    "\n"
    "options:\n"
    "  --json             as a JSON list of objects with the keys name, kind, arity, ulp, doc\n";

static const char syntax_page[] =
    "mars help syntax - the expressions of mars calc\n"
    "\n"
    "  statement ; statement ; ...        a line break separates them as well; '#' begins a comment\n"
    "  a = expression                     sets a name; u, s, v = svd(x) sets several\n"
    "  1  0x1f  1_000_000  1.5e-3  2j  True  False  None  'text'  pi  e  inf  nan\n"
    "  (1, 2)  [1, 2]                     tuples for shapes and axes; nested lists of numbers are arrays\n"
    "  **                                 binds tightest, then\n"
    "  + - ~                              signs and bitwise not\n"
    "  * / // % @                         products, quotients, matrix products; // and % round down as in Python\n"
    "  + -\n"
    "  << >>\n"
    "  &    ^    |                        also for conditions: (a > 0) & (b > 0)\n"
    "  < <= > >= == !=                    chained: 0 <= x < 1 is (0 <= x) & (x < 1)\n"
    "  not\n"
    "  f(x, axis=0)  x.f(axis=0)          np., numpy., scipy., mt. and mars. before a name mean nothing\n"
    "  x[1:10:2, ..., None, -1]           slices, ellipsis, new axes, integers, any step\n"
    "  x.T .mT .shape .dtype .size .ndim .real .imag .itemsize .nbytes\n"
    "  float32(x)  x.astype(float32)      casts; bool, int, float, complex are bool, int64, float64, complex128\n"
    "\n"
    "Numbers are Python's until they meet a tensor, then they take its dtype where NumPy 2's scalars do: x + 1.5 stays\n"
    "float32 for a float32 x. Integers have 64 bits. Sizes may be written 1e6. Division of numbers by zero is an error, of\n"
    "tensors inf or nan. Casting a float that is out of an integer's range gives its nearest end, nan gives 0 (NumPy leaves\n"
    "both undefined). max(x), min(x), sum(x), abs(x) and round(x, n) are NumPy's.\n"
    "\n"
    "Random functions take the next stream of the seed with each call: the same expression with the same --seed gives the\n"
    "same values for any number of threads, chunk size or budget.\n";

static const char environment_page[] =
    "mars help environment - environment variables\n"
    "\n"
    "  MARS_ISA           kernels to use: baseline, avx2, avx512; default: the best of this CPU\n"
    "  MARS_DEVICES       devices that share the work when --devices is not given, e.g. cuda:0,host\n"
    "  MARS_CUDA_LIBRARY_PATH  folders, apart by colons, in which CUDA's libraries are looked for first\n"
    "  MARS_CACHE_DIR     compiled GPU kernels; default: $XDG_CACHE_HOME/mars, else ~/.cache/mars\n"
    "  MARS_IO            input and output: uring, threads; default: io_uring where it can be had\n"
    "  MARS_SPILL_DIR     directory for spilled data when --spill is not given; default: $TMPDIR, else /tmp\n";

const char *mt_help_page(const char *topic) {
  static const struct {
    const char *topic, *page;
  } pages[] = {{"", main_page},       {"calc", calc_page},     {"plan", plan_page}, {"info", info_page},
               {"ops", ops_page},     {"syntax", syntax_page}, {"environment", environment_page}};

  for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
    if (!strcmp(pages[i].topic, topic)) return pages[i].page;
  return NULL;
}

/* A signature as Python writes it: without the synonyms of parameters. */
static void print_signature(FILE *out, const mt_fn *fn) {
  int n = fprintf(out, "  %s(", fn->name);

  for (const char *s = fn->signature; *s; s++) {
    if (*s == '/') {
      s += strcspn(s, "=,") - 1;
      continue;
    }
    fputc(*s == '|' ? '*' : *s, out);
    n++;
  }
  fputc(')', out);
  fprintf(out, "%*s%s%s\n", n < 58 ? 58 - n : 1, "", fn->method ? "(also a method) " : "", fn->doc);
}

void mt_help_functions(FILE *out) {
  fputs("mars help functions - the functions of mars calc\n\n"
        "All operations of 'mars ops' by name: elementwise ones take tensors and numbers; reductions are\n"
        "  sum(a, axis=None, *, keepdims=False, dtype=None), var and std with ddof=0, also as methods: x.sum(axis=0)\n"
        "  cumsum(a, axis=None, dtype=None) and cumprod, also as methods\n"
        "and those of several operations or with arguments of their own, from matmul on with or without linalg. in front:\n\n",
        out);
  for (size_t t = 0; mt_fn_table(t); t++)
    for (const mt_fn *fn = mt_fn_table(t); fn->name; fn++) print_signature(out, fn);
}
