// Statuses, dtypes, promotion, the op table, accumulator layouts, program text: what the graph stands on.
#include "tests/graph_shim.h"
#include <gtest/gtest.h>
#include <cstring>
#include <set>
#include <string>

namespace {

// NumPy's table (np.promote_types), rows and columns in dtype order; bf by the same rules as f2.
const char *const kShort[] = {"b", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "bf", "f4", "f8", "c8", "cg"};
const char *const kPromote[] = {
    "b  i1 i2 i4 i8 u1 u2 u4 u8 f2 bf f4 f8 c8 cg", //
    "i1 i1 i2 i4 i8 i2 i4 i8 f8 f2 bf f4 f8 c8 cg", //
    "i2 i2 i2 i4 i8 i2 i4 i8 f8 f4 f4 f4 f8 c8 cg", //
    "i4 i4 i4 i4 i8 i4 i4 i8 f8 f8 f8 f8 f8 cg cg", //
    "i8 i8 i8 i8 i8 i8 i8 i8 f8 f8 f8 f8 f8 cg cg", //
    "u1 i2 i2 i4 i8 u1 u2 u4 u8 f2 bf f4 f8 c8 cg", //
    "u2 i4 i4 i4 i8 u2 u2 u4 u8 f4 f4 f4 f8 c8 cg", //
    "u4 i8 i8 i8 i8 u4 u4 u4 u8 f8 f8 f8 f8 cg cg", //
    "u8 f8 f8 f8 f8 u8 u8 u8 u8 f8 f8 f8 f8 cg cg", //
    "f2 f2 f4 f8 f8 f2 f4 f8 f8 f2 f4 f4 f8 c8 cg", //
    "bf bf f4 f8 f8 bf f4 f8 f8 f4 bf f4 f8 c8 cg", //
    "f4 f4 f4 f8 f8 f4 f4 f8 f8 f4 f4 f4 f8 c8 cg", //
    "f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 cg cg", //
    "c8 c8 c8 cg cg c8 c8 cg cg c8 c8 c8 cg c8 cg", //
    "cg cg cg cg cg cg cg cg cg cg cg cg cg cg cg",
};

TEST(Types, PromotionIsNumPys) {
  for (int a = 0; a < MARS_DTYPE_COUNT; a++) {
    char row[64];
    strcpy(row, kPromote[a]);
    int b = 0;
    for (char *want = strtok(row, " "); want != nullptr; want = strtok(nullptr, " "), b++) {
      mars_dtype got = mars_dtype_promote((mars_dtype)a, (mars_dtype)b);
      ASSERT_GE((int)got, 0);
      EXPECT_STREQ(kShort[got], want) << mars_dtype_name((mars_dtype)a) << " " << mars_dtype_name((mars_dtype)b);
    }
    EXPECT_EQ(b, MARS_DTYPE_COUNT);
  }
  EXPECT_EQ(mars_dtype_promote(MARS_DTYPE_AUTO, MARS_I8), MARS_DTYPE_AUTO);
}

TEST(Types, NamesGoBothWays) {
  for (int i = 0; i < MARS_DTYPE_COUNT; i++)
    EXPECT_EQ(mars_dtype_from_name(mars_dtype_name((mars_dtype)i)), i);
  EXPECT_EQ(mars_dtype_from_name("f8"), MARS_F64);
  EXPECT_EQ(mars_dtype_from_name("f16"), MARS_F16);
  EXPECT_EQ(mars_dtype_from_name("bf16"), MARS_BF16);
  EXPECT_EQ(mars_dtype_from_name("c16"), MARS_C128);
  EXPECT_EQ(mars_dtype_from_name("i8"), MARS_DTYPE_AUTO); // int8 or 8 bytes? refused
  EXPECT_EQ(mars_dtype_from_name("object"), MARS_DTYPE_AUTO);
  EXPECT_EQ(mars_dtype_from_name(nullptr), MARS_DTYPE_AUTO);
  EXPECT_STREQ(mars_dtype_name((mars_dtype)99), "?");
  EXPECT_EQ(mars_dtype_bytes(MARS_C128), 16u);
  EXPECT_EQ(mars_dtype_bytes(MARS_DTYPE_AUTO), 0u);
}

TEST(Types, StatusesHaveNamesAndTexts) {
  EXPECT_STREQ(mars_status_name(MARS_E_SHAPE), "MARS_E_SHAPE");
  EXPECT_STREQ(mars_status_text(MARS_E_SHAPE), "shapes do not fit");
  EXPECT_STREQ(mars_status_name((mars_status)77), "MARS_E_?");
  std::set<std::string> texts;
  for (int i = MARS_OK; i <= MARS_E_INTERNAL; i++) texts.insert(mars_status_text((mars_status)i));
  EXPECT_EQ(texts.size(), (size_t)MARS_E_INTERNAL + 1);
}

TEST(Ops, TableIsComplete) {
  std::set<std::string> names;
  size_t n = 0;
  for (const mars_op_info *op; (op = mars_op_table(n)) != nullptr; n++) {
    EXPECT_TRUE(names.insert(op->name).second) << op->name;
    EXPECT_NE(op->doc[0], '\0') << op->name;
    EXPECT_GE(op->ulp, 0) << op->name;
  }
  EXPECT_GT(n, 120u);
  EXPECT_EQ(mars_op_table(n + 1), nullptr);
  EXPECT_EQ(names.count("logaddexp2"), 1u);
}

TEST(Ops, DomainsAndResults) {
  struct Case {
    const char *op;
    mars_dtype dt;
    int loop, result; // -1: not accepted
  };
  const Case cases[] = {
      {"add", MARS_BOOL, MARS_BOOL, MARS_BOOL},          {"subtract", MARS_BOOL, -1, -1},
      {"power", MARS_BOOL, MARS_I8, MARS_I8},            {"floor_divide", MARS_BOOL, MARS_I8, MARS_I8},
      {"floor_divide", MARS_C64, -1, -1},                {"floor", MARS_BOOL, MARS_BOOL, MARS_BOOL},
      {"divide", MARS_I8, MARS_F64, MARS_F64},           {"divide", MARS_F16, MARS_F16, MARS_F16},
      {"sqrt", MARS_BOOL, MARS_F16, MARS_F16},           {"sqrt", MARS_U8, MARS_F16, MARS_F16},
      {"sqrt", MARS_I16, MARS_F32, MARS_F32},            {"sqrt", MARS_U32, MARS_F64, MARS_F64},
      {"sqrt", MARS_C64, MARS_C64, MARS_C64},            {"cbrt", MARS_C64, -1, -1},
      {"bitwise_and", MARS_F32, -1, -1},                 {"left_shift", MARS_BOOL, MARS_I8, MARS_I8},
      {"bitwise_count", MARS_I64, MARS_I64, MARS_U8},    {"absolute", MARS_C128, MARS_C128, MARS_F64},
      {"less", MARS_F32, MARS_F32, MARS_BOOL},           {"frexp_exponent", MARS_F64, MARS_F64, MARS_I32},
      {"sum", MARS_BOOL, MARS_BOOL, MARS_I64},           {"sum", MARS_U8, MARS_U8, MARS_U64},
      {"sum", MARS_F16, MARS_F16, MARS_F16},             {"mean", MARS_I32, MARS_I32, MARS_F64},
      {"mean", MARS_C64, MARS_C64, MARS_C64},            {"var", MARS_C64, MARS_C64, MARS_F32},
      {"argmax", MARS_F32, MARS_F32, MARS_I64},          {"any", MARS_F32, MARS_F32, MARS_BOOL},
  };
  for (const Case &c : cases) {
    int loop = gs_loop_dtype(c.op, c.dt);
    EXPECT_EQ(loop, c.loop) << c.op << " " << mars_dtype_name(c.dt);
    if (loop >= 0) { EXPECT_EQ(gs_result_dtype(c.op, loop), c.result) << c.op << " " << mars_dtype_name(c.dt); }
  }
}

TEST(Program, AccumulatorLayout) {
  int n, dtypes[3];
  size_t offsets[3];
  EXPECT_EQ(gs_acc_layout("sum", MARS_I8, 1, &n, dtypes, offsets), 64u);
  EXPECT_EQ(n, 1);
  EXPECT_EQ(dtypes[0], MARS_I64);
  EXPECT_EQ(gs_acc_layout("argmin", MARS_F32, 17, &n, dtypes, offsets), 128u + 192u); // 68 and 136 bytes, rounded up
  EXPECT_EQ(n, 2);
  EXPECT_EQ(dtypes[1], MARS_I64);
  EXPECT_EQ(offsets[1], 128u);
  EXPECT_EQ(gs_acc_layout("std", MARS_C64, 4, &n, dtypes, offsets), 3 * 64u);
  EXPECT_EQ(n, 3);
  EXPECT_EQ(dtypes[0], MARS_C128);
  EXPECT_EQ(offsets[2], 128u);
}

TEST(Program, TextMeasuresAndCuts) {
  char text[600], cut[10];
  int n = gs_program_text(text, sizeof text);
  ASSERT_LT(n, (int)sizeof text);
  EXPECT_EQ((int)strlen(text), n);
  EXPECT_NE(strstr(text, "%2 = multiply float32 %0, %1"), nullptr) << text;
  EXPECT_NE(strstr(text, "sum float32 over {1} out1 %0"), nullptr) << text;
  EXPECT_EQ(gs_program_text(cut, sizeof cut), n);
  EXPECT_EQ(std::string(cut), std::string(text, 9));
  EXPECT_EQ(gs_program_text(nullptr, 0), n);
}

} // namespace
