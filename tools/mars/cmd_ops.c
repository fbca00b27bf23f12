/* mars ops: the op table. */
#include "options.h"

#include <string.h>

static bool wanted(const mt_options *o, const mars_op_info *row) {
  if (!o->n_words) return true;
  for (size_t i = 0; i < o->n_words; i++)
    if (strstr(row->name, o->word[i]) || !strcmp(row->kind, o->word[i])) return true;
  return false;
}

static void print_row(const mars_op_info *row) {
  char ulp[32], arity[16] = "-"; /* routines have several forms */

  snprintf(ulp, sizeof ulp, "%g", row->ulp);
  if (row->arity >= 0) snprintf(arity, sizeof arity, "%d", row->arity);
  printf("%-22s %-8s %5s  %-5s %s\n", row->name, row->kind, arity, row->ulp > 0 ? ulp : "exact", row->doc);
}

static void print_json_row(const mars_op_info *row, bool first) {
  printf("%s\n  {\"name\": \"%s\", \"kind\": \"%s\", \"arity\": %d, \"ulp\": %g, \"doc\": \"", first ? "" : ",", row->name,
         row->kind, row->arity, row->ulp);
  for (const char *p = row->doc; *p; p++) {
    if (*p == '"' || *p == '\\') putchar('\\');
    putchar(*p);
  }
  printf("\"}");
}

int mt_main_ops(const char *command, int argc, char **argv) {
  const mars_op_info *row;
  mt_arena arena = {0};
  mt_diag diag = {0};
  size_t shown = 0;
  mt_options o;
  bool ok = mt_options_parse(command, argc, argv, &arena, &diag, &o);

  if (ok && o.help) {
    fputs(mt_help_page(command), stdout);
  } else if (ok) {
    if (o.json) printf("[");
    else printf("%-22s %-8s %5s  %-5s %s\n", "name", "kind", "arity", "ulp", "what it is");
    for (size_t i = 0; (row = mars_op_table(i)); i++) {
      if (!wanted(&o, row)) continue;
      if (o.json) print_json_row(row, shown == 0);
      else print_row(row);
      shown++;
    }
    if (o.json) printf("\n]\n");
    else if (!shown) ok = mt_fail(&diag, MT_EXIT_RUN, NULL, 0, "no op matches; 'mars ops' lists all");
  }
  if (!ok) mt_diag_print(stderr, command, &diag);
  mt_arena_free(&arena);
  return ok ? MT_EXIT_OK : diag.exit_code;
}
