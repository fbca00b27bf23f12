// Every routine that can be run has an oracle: a test source that says so.
#include "tests/linalg_oracle.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace {

TEST(RoutineRows, EveryRoutineHasAnOracle) {
  std::string all;
  for (const auto &entry : std::filesystem::directory_iterator(MARS_TESTS_DIR)) {
    const std::string name = entry.path().filename().string();
    if ((name.rfind("linalg_", 0) != 0 && name.rfind("kernel_", 0) != 0) || entry.path().extension() != ".cc" || name == "linalg_rows_test.cc")
      continue;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    all += text.str();
  }
  const mars_op_info *op;
  int routines = 0;
  for (size_t i = 0; (op = mars_op_table(i)) != nullptr; i++) {
    if (std::string(op->kind) != "routine" || !shim_has_rule(op->name))
      continue;
    routines++;
    EXPECT_NE(all.find(std::string("ORACLE_OF_ROUTINE(") + op->name + ")"), std::string::npos)
        << "no oracle for the routine '" << op->name << "': no tests/linalg_*.cc and no tests/kernel_*.cc has ORACLE_OF_ROUTINE(" << op->name << ")";
  }
  EXPECT_GE(routines, 1);
}

} // namespace
