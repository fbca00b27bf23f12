#!/bin/sh
# Compiles every kernel that the suites make by NVRTC to machine code of sm_80, sm_90 and sm_100, and looks for spills to local memory.
# No GPU is needed: the suites run on the simulated platform. What has been done is kept in BUILD/compile_matrix and not done again,
# so that a run may be stopped at any time and the next one goes on.
#
# usage: tests/gpu/compile_matrix.sh [--whole] [--only REGEX] [--seconds N] [--no-build] [BUILD]
#   --whole      every case of every suite (half an hour for their kernels, an hour for the compiler), not the part that a regular
#                run takes of them; BUILD is then build/gpu-matrix
#   --only       kernels of the tests whose names match, as ctest knows them
#   --seconds    stop after about so many; the exit status is then 75, and the same command goes on
#   --no-build   BUILD (default build) is up to date
# Exit status: 0 no kernel spills, 1 one does or something failed, 75 more is to be done.
set -u

only='^cuda_(vm|device|fault|factor|clique)_test|_on_(unlinked_)?gpu_(one|two|four|mixed)$|^kernel_expression_on'
whole=
build=
compile=1
seconds=0
begin=$(date +%s)
while [ $# -gt 0 ]; do
  case $1 in
    --whole)
      whole=1
      only='^cuda_(vm|device|fault|factor|clique)_test|_on_gpu_one_[0-9]+$|_on_(unlinked_)?gpu_(two|four)$|^kernel_expression_on' # the lists' kernels are the same
      ;;
    --only | --seconds)
      if [ $# -lt 2 ]; then echo "compile_matrix: something is missing behind $1" >&2; exit 2; fi
      if [ "$1" = --only ]; then only=$2; else seconds=$2; fi
      shift
      ;;
    --no-build) compile= ;;
    -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "compile_matrix: unknown argument '$1'" >&2; exit 2 ;;
    *) build=$1 ;;
  esac
  shift
done
cd "$(dirname "$0")/../.." || exit 1
[ -n "$build" ] || build=build${whole:+/gpu-matrix}
if [ -n "$compile" ]; then
  cmake -G Ninja -S . -B "$build" -DCMAKE_BUILD_TYPE=Release ${whole:+-DMARS_GPU_MATRIX=ON} && cmake --build "$build" || exit 1
fi
build=$(cd "$build" && pwd) || exit 1
state=$build/compile_matrix
mkdir -p "$state/sources" "$state/done" || exit 1

late() { [ "$seconds" -gt 0 ] && [ $(($(date +%s) - begin)) -ge "$seconds" ]; }

# Each test once, as long as its program and the library stay as they are; its kernels in a folder of their own.
(cd "$build" && ctest -N -V -R "$only") | awk '/: Test command: / { program = $4; gsub(/"/, "", program) } /^ *Test +#[0-9]+: / { print $NF, program }' >"$state/tests"
if [ ! -s "$state/tests" ]; then
  echo "compile_matrix: no test of $build matches $only"
  exit 1
fi
failed=0
left=0
while read -r name program; do
  done=$state/done/$name
  [ -e "$done" ] && [ "$done" -nt "$program" ] && [ "$done" -nt "$build/libmars.so" ] && continue
  if late; then
    left=$((left + 1))
    continue
  fi
  echo "== $name"
  rm -rf "$state/sources/$name" "$done"
  mkdir -p "$state/sources/$name"
  if (cd "$build" && MARS_KERNEL_SOURCES=$state/sources/$name ctest -R "^$name\$" --output-on-failure </dev/null >"$state/log" 2>&1); then
    touch "$done"
  else
    failed=$((failed + 1))
    cat "$state/log"
  fi
done <"$state/tests"
if [ "$left" -gt 0 ]; then
  echo "compile_matrix: $left tests are left, whose kernels nobody knows yet; run it again"
  exit 75
fi

echo "== the compiler"
rest=
[ "$seconds" -eq 0 ] || rest=$((seconds - $(date +%s) + begin))
[ -z "$rest" ] || [ "$rest" -gt 0 ] || rest=1
MARS_KERNEL_SOURCES=$state/sources MARS_MATRIX_RESULTS=$state/results MARS_MATRIX_SECONDS=$rest MARS_CUDA_LIBRARY_PATH=$build/simgpu \
  "$build/bin/cuda_matrix_test" >"$state/log" 2>&1 || failed=$((failed + 1))
grep -v '^\[\|^Running\|^Note' "$state/log"
if [ "$failed" -eq 0 ] && grep -q 'kernels are left' "$state/log"; then exit 75; fi
[ "$failed" -eq 0 ]
