#include "tests/linalg_solve_util.h"
