// ORACLE_OF_ROUTINE(name) stands in the test source that checks a routine's results against an oracle of its own, or
// by residuals; linalg_rows_test looks for it for every routine that can be run.
#ifndef TESTS_LINALG_ORACLE_H
#define TESTS_LINALG_ORACLE_H

#include "tests/shim.h"
#include <gtest/gtest.h>

#define ORACLE_OF_ROUTINE(name)                                                                              \
  TEST(RoutineRow, name) { EXPECT_TRUE(shim_has_rule(#name)) << "no such routine"; }

#endif
