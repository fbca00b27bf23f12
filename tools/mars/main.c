/* The command `mars`: picks the subcommand. */
#include "options.h"

#include <string.h>

static int help(int argc, char **argv) {
  const char *topic = argc > 0 ? argv[0] : "", *page = mt_help_page(topic);
  mt_diag diag = {0};

  if (!strcmp(topic, "functions")) {
    mt_help_functions(stdout);
    return MT_EXIT_OK;
  }
  if (page) {
    fputs(page, stdout);
    return MT_EXIT_OK;
  }
  mt_fail(&diag, MT_EXIT_USAGE, NULL, 0,
          "no page '%.60s'; there are calc, plan, info, ops, functions, syntax, environment", topic);
  mt_diag_print(stderr, "help", &diag);
  return MT_EXIT_USAGE;
}

static int unknown(const char *command, const char *const *names, size_t n) {
  mt_arena arena = {0};
  mt_diag diag = {0};
  mt_suggest s;

  mt_suggest_init(&s, command);
  for (size_t i = 0; i < n; i++) mt_suggest_offer(&s, names[i]);
  mt_fail(&diag, MT_EXIT_USAGE, NULL, 0, "unknown command '%.60s'%s", command, mt_suggest_text(&s, &arena));
  mt_diag_print(stderr, "", &diag);
  fputs("Try 'mars help'.\n", stderr);
  mt_arena_free(&arena);
  return MT_EXIT_USAGE;
}

int main(int argc, char **argv) {
  static const char *const names[] = {"calc", "plan", "info", "ops", "help", "version"};
  const char *command = argc > 1 ? argv[1] : "";

  if (argc < 2) {
    fputs(mt_help_page(""), stderr);
    return MT_EXIT_USAGE;
  }
  if (!strcmp(command, "calc") || !strcmp(command, "plan")) return mt_main_calc(command, argc - 2, argv + 2);
  if (!strcmp(command, "info")) return mt_main_info(command, argc - 2, argv + 2);
  if (!strcmp(command, "ops")) return mt_main_ops(command, argc - 2, argv + 2);
  if (!strcmp(command, "help") || !strcmp(command, "--help") || !strcmp(command, "-h")) return help(argc - 2, argv + 2);
  if (!strcmp(command, "version") || !strcmp(command, "--version")) {
    printf("mars %s\n", mars_version());
    return MT_EXIT_OK;
  }
  return unknown(command, names, sizeof names / sizeof *names);
}
