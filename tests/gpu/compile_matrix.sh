#!/bin/sh
# Compiles every kernel that the suites make by NVRTC to machine code of sm_80, sm_90 and sm_100, and looks for spills to local memory.
# No GPU is needed: the suites run on the simulated platform. What has been done is kept in BUILD/compile_matrix and not done again,
# so that a run may be stopped at any time and the next one goes on.
#
# usage: tests/gpu/compile_matrix.sh [--whole] [--only REGEX] [--seconds N] [--no-build] [-j N] [BUILD]
#   --whole      every case of every suite on every list of devices (hours for the suites, an hour for the compiler), by
#                tests/simgpu/run_matrix.sh, not the part that a regular run takes of them
#   --only       kernels of the tests whose names match, as ctest knows them; with --whole of units, too, as api_ops.two.17
#   --seconds    stop after about so many; the exit status is then 75, and the same command goes on
#   --no-build   BUILD (default build) is up to date
#   -j N         with --whole N units at once, default one for each core
# Exit status: 0 no kernel spills, 1 one does or something failed, 75 more is to be done.
set -u

own='^cuda_(vm|device|fault|factor|clique)_test|^kernel_expression_on|_(factors|errors)_on_gpu_two$|_on_unlinked_gpu_four$'
part='_on_gpu_(one|two|four|mixed)$'
whole=
only=
build=build
compile=1
seconds=0
jobs=$(nproc)
begin=$(date +%s)
while [ $# -gt 0 ]; do
  case $1 in
    --whole) whole=1 ;;
    --only | --seconds | -j)
      if [ $# -lt 2 ]; then echo "compile_matrix: something is missing behind $1" >&2; exit 2; fi
      case $1 in --only) only=$2 ;; --seconds) seconds=$2 ;; *) jobs=$2 ;; esac
      shift
      ;;
    --no-build) compile= ;;
    -h | --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "compile_matrix: unknown argument '$1'" >&2; exit 2 ;;
    *) build=$1 ;;
  esac
  shift
done
cd "$(dirname "$0")/../.." || exit 1
script=$(pwd)/tests/simgpu/run_matrix.sh
if [ -n "$compile" ]; then
  cmake -G Ninja -S . -B "$build" -DCMAKE_BUILD_TYPE=Release && cmake --build "$build" || exit 1
fi
build=$(cd "$build" && pwd) || exit 1
state=$build/compile_matrix
sources=$state/${whole:+whole-}sources
units=$state/units
mkdir -p "$sources" "$state/done" "$units" || exit 1

late() { [ "$seconds" -gt 0 ] && [ $(($(date +%s) - begin)) -ge "$seconds" ]; }
# what is left of the seconds, one at least; nothing if they were not limited
rest() {
  [ "$seconds" -gt 0 ] || return 0
  left_s=$((seconds - $(date +%s) + begin))
  echo $((left_s > 0 ? left_s : 1))
}

# Each test once, as long as its program and the library stay as they are; its kernels in a folder of their own. Where the units are
# run, too, those of the suites are theirs.
[ -n "$whole" ] || own="$own|$part"
(cd "$build" && ctest -N -V -R "${only:-$own}") |
  awk -v whole="$whole" -v own="$own" '
    /: Test command: / { program = $4; gsub(/"/, "", program) }
    /^ *Test +#[0-9]+: / && (!whole || $NF ~ own) { print $NF, program }' >"$state/tests"
chosen=0
[ -z "$whole" ] || chosen=$(awk -v only="${only:-.}" '$1 ~ only' "$build/gpu_units.txt" | wc -l)
if [ ! -s "$state/tests" ] && [ "$chosen" -eq 0 ]; then
  echo "compile_matrix: no test of $build matches ${only:-$own}"
  exit 1
fi
failed=0
left=0
while read -r name program; do
  done=$state/done/${whole:+whole-}$name
  [ -e "$done" ] && [ "$done" -nt "$program" ] && [ "$done" -nt "$build/libmars.so" ] && continue
  if late; then
    left=$((left + 1))
    continue
  fi
  echo "== $name"
  rm -rf "$sources/$name" "$done"
  mkdir -p "$sources/$name"
  if (cd "$build" && MARS_KERNEL_SOURCES=$sources/$name ctest -R "^$name\$" --output-on-failure </dev/null >"$state/log" 2>&1); then
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
if [ "$chosen" -gt 0 ]; then
  rest=$(rest)
  MARS_KERNEL_SOURCES=$sources "$script" --build "$build" --resume "$units" -j "$jobs" --only "${only:-.}" ${rest:+--seconds "$rest"}
  case $? in
    0) ;;
    75) echo "compile_matrix: units are left, whose kernels nobody knows yet; run it again"; exit 75 ;;
    *) failed=$((failed + 1)) ;;
  esac
fi

echo "== the compiler"
MARS_KERNEL_SOURCES=$sources MARS_MATRIX_RESULTS=$state/results MARS_MATRIX_SECONDS=$(rest) MARS_CUDA_LIBRARY_PATH=$build/simgpu \
  "$build/bin/cuda_matrix_test" >"$state/log" 2>&1 || failed=$((failed + 1))
grep -v '^\[\|^Running\|^Note' "$state/log"
if [ "$failed" -eq 0 ] && grep -q 'kernels are left' "$state/log"; then exit 75; fi
[ "$failed" -eq 0 ]
