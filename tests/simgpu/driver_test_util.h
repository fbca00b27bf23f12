/*
 * The stand-ins opened as an application opens the real libraries: by dlopen, symbols by their exported names.
 *
 * Layer: tests/simgpu.
 */
#pragma once
#include <cuda.h>

#include "simgpu.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

/* The header's macros turn cuMemAlloc into cuMemAlloc_v2: the text of it is the symbol. */
#define SYMBOL_TEXT_(x) #x
#define SYMBOL_TEXT(x) SYMBOL_TEXT_(x)

void *library(const char *file); /* opened once from SIMGPU_DIR; fails the process if it is not there */
void *symbol(const char *file, const char *name);

#define CU(name) reinterpret_cast<decltype(&name)>(symbol("libcuda.so.1", SYMBOL_TEXT(name)))
#define SIM(name) reinterpret_cast<decltype(&name)>(symbol("libcuda.so.1", #name))
#define OK(call) ASSERT_EQ(call, CUDA_SUCCESS)

/* Four devices of 64 MiB with one stream each; after the test nothing is live and no check has failed. */
class Simulated : public ::testing::Test {
protected:
  void SetUp() override;
  void TearDown() override;
  void start(const char *configuration); /* from the beginning, with other devices */
  void finish();
  /* The test wanted this: a failed check with `text` in it. It is forgotten. */
  void expect_failed_check(const char *text);
  sg_sim_live_info live();

  std::vector<CUcontext> ctx;
  std::vector<CUstream> stream;
  int devices = 0;
};
