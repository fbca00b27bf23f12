#!/bin/sh
# Compiles every kernel that the suites make, and every row of the op table, by NVRTC for sm_80, sm_90 and sm_100, and looks for spills.
# No GPU is needed: the suites run on the simulated platform.
#
# usage: tests/gpu/compile_matrix.sh [BUILD_FOLDER]      default build; long
set -eu
cd "$(dirname "$0")/../.."
build=$(cd "${1:-build}" && pwd)
sources=$build/kernel_sources_all
cmake --build "$build"
rm -rf "$sources"
mkdir -p "$sources"
echo "== the suites, for their kernels"
(cd "$build" && MARS_KERNEL_SOURCES=$sources ctest -R '^cuda_(vm|device|fault|factor|clique)_test|_on_(unlinked_)?gpu_|^kernel_expression_on' --output-on-failure)
echo "== $(ls "$sources" | wc -l) kernels for each architecture"
MARS_KERNEL_SOURCES=$sources MARS_CUDA_LIBRARY_PATH=$build/simgpu "$build/bin/cuda_matrix_test"
echo "== the rows of the op table, alone"
MARS_TEST_FULL=1 MARS_CUDA_LIBRARY_PATH=$build/simgpu "$build/bin/cuda_text_test"
