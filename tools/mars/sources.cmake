# The command without its main: the tests link it too.
set(MARS_TOOL_SOURCES
    array.c ast_write.c call.c cmd_calc.c cmd_info.c cmd_ops.c eval.c fmt.c fmt_float.c fn_create.c fn_linalg.c
    fn_math.c fn_product.c fn_random.c fn_shape.c help.c options.c parse.c progress.c run.c session.c show.c text.c units.c value.c)
list(TRANSFORM MARS_TOOL_SOURCES PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
# what the library parses expressions with, too
foreach(part lex names parse)
  list(APPEND MARS_TOOL_SOURCES ${CMAKE_SOURCE_DIR}/engine/expr/${part}.c)
endforeach()
