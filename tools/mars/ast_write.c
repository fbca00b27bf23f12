#include "parse.h"

static void write_kids(const mx_ast *ast, size_t first, mt_str *out) {
  for (size_t i = first; i < ast->n; i++) {
    mt_str_puts(out, " ");
    if (ast->kid[i]) mt_ast_write(ast->kid[i], out);
    else mt_str_puts(out, "_");
  }
}

static void write_branch(const mx_ast *ast, const char *head, mt_str *out) {
  mt_str_printf(out, "(%s", head);
  write_kids(ast, 0, out);
  mt_str_puts(out, ")");
}

void mt_ast_write(const mx_ast *ast, mt_str *out) {
  switch (ast->kind) {
  case MX_AST_INT: mt_str_printf(out, "%lld", (long long)ast->i); break;
  case MX_AST_FLOAT: mt_str_printf(out, "%.17gf", ast->f); break;
  case MX_AST_IMAGINARY: mt_str_printf(out, "%.17gj", ast->f); break;
  case MX_AST_STRING: mt_str_printf(out, "'%s'", ast->text); break;
  case MX_AST_NAME: mt_str_puts(out, ast->text); break;
  case MX_AST_ELLIPSIS: mt_str_puts(out, "..."); break;
  case MX_AST_UNARY:
  case MX_AST_BINARY: write_branch(ast, mx_sign_text(ast->op), out); break;
  case MX_AST_COMPARE:
    mt_str_puts(out, "(");
    mt_ast_write(ast->kid[0], out);
    for (size_t i = 1; i < ast->n; i++) {
      mt_str_printf(out, " %s ", mx_sign_text(ast->ops[i - 1]));
      mt_ast_write(ast->kid[i], out);
    }
    mt_str_puts(out, ")");
    break;
  case MX_AST_CALL: write_branch(ast, "call", out); break;
  case MX_AST_KEYWORD:
    mt_str_printf(out, "%s=", ast->text);
    mt_ast_write(ast->kid[0], out);
    break;
  case MX_AST_ATTRIBUTE:
    mt_str_puts(out, "(.");
    mt_str_puts(out, ast->text);
    write_kids(ast, 0, out);
    mt_str_puts(out, ")");
    break;
  case MX_AST_INDEX: write_branch(ast, "index", out); break;
  case MX_AST_SLICE: write_branch(ast, "slice", out); break;
  case MX_AST_TUPLE: write_branch(ast, "tuple", out); break;
  case MX_AST_LIST: write_branch(ast, "list", out); break;
  }
}
