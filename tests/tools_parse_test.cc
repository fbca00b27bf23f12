// Lexer and parser of calc expressions, and how their errors are shown.
#include "tests/tools_shim.h"
#include <gtest/gtest.h>
#include <random>
#include <string>

namespace {

std::string Parse(const std::string &source) {
  tools_result r;
  tools_parse(source.c_str(), &r);
  EXPECT_EQ(r.code, 0) << source << ": " << r.text;
  return r.text;
}

// The message must contain `part` and be shown at `pos`.
void ExpectError(const std::string &source, int pos, const std::string &part) {
  tools_result r;
  tools_parse(source.c_str(), &r);
  EXPECT_EQ(r.code, 2) << source;
  EXPECT_EQ(r.pos, pos) << source << ": " << r.text;
  EXPECT_NE(std::string(r.text).find(part), std::string::npos) << source << ": " << r.text;
}

std::string Repeat(const std::string &s, int n) {
  std::string out;
  for (int i = 0; i < n; i++) out += s;
  return out;
}

TEST(ToolsLex, Numbers) {
  EXPECT_EQ(Parse("0"), "0");
  EXPECT_EQ(Parse("1_000_000"), "1000000");
  EXPECT_EQ(Parse("0xff"), "255");
  EXPECT_EQ(Parse("0b101"), "5");
  EXPECT_EQ(Parse("0o17"), "15");
  EXPECT_EQ(Parse("1.5"), "1.5f");
  EXPECT_EQ(Parse(".5"), "0.5f");
  EXPECT_EQ(Parse("5."), "5f");
  EXPECT_EQ(Parse("1e3"), "1000f");
  EXPECT_EQ(Parse("25e-2"), "0.25f");
  EXPECT_EQ(Parse("2j"), "2j");
  EXPECT_EQ(Parse("1.5e1J"), "15j");
  EXPECT_EQ(Parse("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(Parse("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(Parse("1e999"), "inff");
}

TEST(ToolsLex, BadNumbers) {
  ExpectError("9223372036854775809", 0, "64 bits");
  ExpectError("1 + 99999999999999999999", 4, "64 bits");
  ExpectError("12abc", 2, "runs into");
  ExpectError("1_", 1, "runs into");
  ExpectError("0x", 0, "no number");
  ExpectError("0b12", 0, "no number");
}

TEST(ToolsLex, Strings) {
  EXPECT_EQ(Parse("'a b'"), "'a b'");
  EXPECT_EQ(Parse("\"it's\""), "'it's'");
  EXPECT_EQ(Parse("'a\\\\b'"), "'a\\b'");
  ExpectError("load('x.npy)", 5, "not closed");
  ExpectError("'a\\qb'", 2, "escape");
  ExpectError("'a\nb'", 0, "not closed");
}

TEST(ToolsLex, ForeignOperators) {
  ExpectError("a && b", 2, "use &");
  ExpectError("a || b", 2, "use |");
  ExpectError("!a", 0, "~");
  ExpectError("a ? b", 2, "unexpected character '?'");
  ExpectError("a \xc3\x97 b", 2, "ASCII");
  ExpectError("a \x01 b", 2, "0x01");
}

TEST(ToolsParse, Precedence) {
  EXPECT_EQ(Parse("a + b * c"), "(+ a (* b c))");
  EXPECT_EQ(Parse("(a + b) * c"), "(* (+ a b) c)");
  EXPECT_EQ(Parse("a - b - c"), "(- (- a b) c)");
  EXPECT_EQ(Parse("-a ** 2"), "(- (** a 2))");
  EXPECT_EQ(Parse("2 ** -1"), "(** 2 (- 1))");
  EXPECT_EQ(Parse("2 ** 3 ** 2"), "(** 2 (** 3 2))");
  EXPECT_EQ(Parse("2 ** -3 ** 2 * 4"), "(* (** 2 (- (** 3 2))) 4)");
  EXPECT_EQ(Parse("~a & b | c ^ d"), "(| (& (~ a) b) (^ c d))");
  EXPECT_EQ(Parse("a << 1 + b"), "(<< a (+ 1 b))");
  EXPECT_EQ(Parse("a // b % c / d @ e"), "(@ (/ (% (// a b) c) d) e)");
  EXPECT_EQ(Parse("a & b == c"), "((& a b) == c)");
  EXPECT_EQ(Parse("not a == b"), "(not (a == b))");
  EXPECT_EQ(Parse("not not a"), "(not (not a))");
  EXPECT_EQ(Parse("- - + ~a"), "(- (- (+ (~ a))))");
  EXPECT_EQ(Parse("-a.T"), "(- (.T a))");
}

TEST(ToolsParse, Comparisons) {
  EXPECT_EQ(Parse("a < b"), "(a < b)");
  EXPECT_EQ(Parse("a < b <= c != d"), "(a < b <= c != d)");
  EXPECT_EQ(Parse("(a < b) < c"), "((a < b) < c)");
}

TEST(ToolsParse, CallsAndAttributes) {
  EXPECT_EQ(Parse("f()"), "(call f)");
  EXPECT_EQ(Parse("f(a, b, k=1,)"), "(call f a b k=1)");
  EXPECT_EQ(Parse("np.random.uniform(size=(2, 3))"), "(call (.uniform (.random np)) size=(tuple 2 3))");
  EXPECT_EQ(Parse("x.sum(axis=0).T"), "(.T (call (.sum x) axis=0))");
  EXPECT_EQ(Parse("f(a == b)"), "(call f (a == b))");
  ExpectError("f(k=1, 2)", 7, "positional");
  ExpectError("f(1=2)", 3, "','");
  ExpectError("f(a.b=2)", 5, "','");
  ExpectError("f(a b)", 4, "','");
  ExpectError("f(a", 3, "ends");
  ExpectError("x.", 2, "a name");
}

TEST(ToolsParse, Indices) {
  EXPECT_EQ(Parse("x[1]"), "(index x 1)");
  EXPECT_EQ(Parse("x[1:10:2, ..., None, -1]"), "(index x (slice 1 10 2) ... None (- 1))");
  EXPECT_EQ(Parse("x[:]"), "(index x (slice _ _ _))");
  EXPECT_EQ(Parse("x[::-1]"), "(index x (slice _ _ (- 1)))");
  EXPECT_EQ(Parse("x[:n+1,]"), "(index x (slice _ (+ n 1) _))");
  EXPECT_EQ(Parse("x[0][1]"), "(index (index x 0) 1)");
  ExpectError("x[]", 2, "index");
  ExpectError("x[1:2:3:4]", 7, "']'");
  ExpectError("x[1", 3, "']'");
}

TEST(ToolsParse, TuplesAndLists) {
  EXPECT_EQ(Parse("()"), "(tuple)");
  EXPECT_EQ(Parse("(1,)"), "(tuple 1)");
  EXPECT_EQ(Parse("(1)"), "1");
  EXPECT_EQ(Parse("1, 2"), "(tuple 1 2)");
  EXPECT_EQ(Parse("[[1, 2], [3, 4],]"), "(list (list 1 2) (list 3 4))");
  EXPECT_EQ(Parse("[]"), "(list)");
  ExpectError("(1, 2", 5, "')'");
  ExpectError("[1 2]", 3, "']'");
  ExpectError(")", 0, "operand");
}

TEST(ToolsParse, Statements) {
  EXPECT_EQ(Parse("a = 1; b = a; a + b"), "a = 1; b = a; (+ a b)");
  EXPECT_EQ(Parse(";; a ;"), "a");
  EXPECT_EQ(Parse("q, r = divmod(a, b)"), "q r = (call divmod a b)");
  EXPECT_EQ(Parse("(q, r) = t"), "q r = t");
  EXPECT_EQ(Parse("a = 1\nb = (2 +\n 3) # five\n\na"), "a = 1; b = (+ 2 3); a");
  EXPECT_EQ(Parse("t = 1, 2"), "t = (tuple 1 2)");
  ExpectError("", 0, "empty");
  ExpectError("  # nothing", 0, "empty");
  ExpectError("a = ", 4, "operand");
  ExpectError("1 = 2", 0, "assigned");
  ExpectError("True = 2", 0, "assigned");
  ExpectError("x[0] = 2", 1, "assigned");
  ExpectError("a = b = 2", 6, "operator");
  ExpectError("a b", 2, "operator");
  ExpectError("a +; b", 3, "operand");
}

TEST(ToolsParse, PythonKeywordsAreExplained) {
  ExpectError("a and b", 2, "use &");
  ExpectError("a or b", 2, "use |");
  ExpectError("a if b else c", 2, "where(");
  ExpectError("lambda x: x", 0, "defined");
  ExpectError("[a for a in b]", 3, "loops");
  ExpectError("a + not b", 4, "'not' cannot stand here");
  ExpectError("import numpy", 0, "imported");
}

TEST(ToolsParse, NestingIsLimited) {
  EXPECT_EQ(Parse(Repeat("(", 150) + "a" + Repeat(")", 150)), "a");
  ExpectError(Repeat("(", 100000) + "a", 200, "nest");
  ExpectError(Repeat("-", 100000) + "a", 200, "nest");
  ExpectError(Repeat("[", 100000), 200, "nest");
  ExpectError(Repeat("not ", 100000), 800, "nest");
  ExpectError(Repeat("2**", 100000) + "2", 600, "nest");
  ExpectError(Repeat("f(", 100000), 400, "nest");
  ExpectError(Repeat("x[", 100000), 400, "nest");
}

TEST(ToolsParse, LongChainsAreLimitedByDepth) {
  EXPECT_FALSE(Parse("a" + Repeat("+a", 1500)).empty());
  tools_result r;
  tools_parse(("a" + Repeat("+a", 100000)).c_str(), &r);
  EXPECT_EQ(r.code, 2);
  EXPECT_NE(std::string(r.text).find("deep"), std::string::npos) << r.text;
  tools_parse(("a" + Repeat(".T", 100000)).c_str(), &r);
  EXPECT_EQ(r.code, 2);
  EXPECT_FALSE(Parse("f(" + Repeat("a,", 5000) + ")").empty());      // wide is fine
  EXPECT_FALSE(Parse("a" + Repeat("<a", 5000)).empty());
  EXPECT_FALSE(Parse(Repeat("a=1;", 5000)).empty());
}

// Whatever comes in: a tree or a message with a place inside the text, never a crash.
TEST(ToolsParse, GarbageGivesMessages) {
  static const char *const words[] = {"a", "b", "1", "2.5", "3j", "'s'", "(", ")", "[", "]", ",", ":", ".", "=", ";", "+", "-",
                                      "*", "**", "/", "//", "<", "<=", "==", "not", "and", "True", "None", "...", "~", "&", "@",
                                      " ", "\n", "f(", "x.", "k=", "\\", "\"", "\xff", "#", "$", "0x", "1e", "_"};
  std::mt19937 rng(12345);
  int parsed = 0, refused = 0;
  for (int round = 0; round < 20000; round++) {
    std::string source;
    int n = 1 + (int)(rng() % 24);
    for (int i = 0; i < n; i++) source += words[rng() % (sizeof words / sizeof *words)];
    if (round % 4 == 0 && !source.empty()) source[rng() % source.size()] = (char)(1 + rng() % 255);
    tools_result r;
    tools_parse(source.c_str(), &r);
    if (r.code == 0) {
      parsed++;
    } else {
      refused++;
      ASSERT_EQ(r.code, 2);
      ASSERT_GE(r.pos, 0) << source;
      ASSERT_LE(r.pos, (int)source.size()) << source;
      ASSERT_NE(r.text[0], 0) << source;
    }
  }
  EXPECT_GT(parsed, 200);
  EXPECT_GT(refused, 1000);
}

// Every prefix of a legal program.
TEST(ToolsParse, TruncatedPrograms) {
  const std::string source = "a = [1, 2.5, 3j]; q, r = divmod(x[1:10:2, ..., None, -1], y.T); -q ** 2 @ r < f(k='s') != not_x";
  for (size_t n = 0; n <= source.size(); n++) {
    tools_result r;
    tools_parse(source.substr(0, n).c_str(), &r);
    if (r.code) {
      EXPECT_LE(r.pos, (int)n);
    }
  }
  Parse(source);
}

std::string Diagnose(const std::string &source, size_t pos) {
  tools_result r;
  tools_diagnose("calc", source.c_str(), pos, "message", &r);
  return r.text;
}

TEST(ToolsDiagnose, CaretUnderThePosition) {
  EXPECT_EQ(Diagnose("a + b", 2), "mars: calc: message\n  a + b\n    ^\n");
  EXPECT_EQ(Diagnose("a + b", 5), "mars: calc: message\n  a + b\n       ^\n");
  EXPECT_EQ(Diagnose("a + b", 999), "mars: calc: message\n  a + b\n       ^\n");
  EXPECT_EQ(Diagnose("first\n se\tcond\nthird", 9), "mars: calc: message\n   se cond\n     ^\n");
  EXPECT_EQ(Diagnose("'\xc3\xa4\xc3\xa4' + b", 7), "mars: calc: message\n  '\xc3\xa4\xc3\xa4' + b\n       ^\n");
}

TEST(ToolsDiagnose, LongLinesAreCut) {
  std::string text = Diagnose(std::string(500, 'a') + "!" + std::string(500, 'b'), 500);
  EXPECT_EQ(text, "mars: calc: message\n  ..." + std::string(60, 'a') + "!" + std::string(59, 'b') + "...\n  " +
                      std::string(63, ' ') + "^\n");
}

} // namespace
