#!/bin/sh
# Builds, runs the suites and the bench on a machine's real GPUs, compares with the host, and prints what was reached:
# bandwidth of kernels by CUDA events, products against cuBLAS, transfers side by side, and what a budget of memory is worth.
#
# usage: tests/gpu/run_on_gpu.sh [--build FOLDER] [--no-build] [--quick] [--simulator] [--sanitizer COMMAND]
#   --build      default build
#   --quick      smaller suites and sizes
#   --simulator  on the simulated platform instead, which proves this script and not a GPU
#   --sanitizer  default compute-sanitizer, where there is one; on the simulated platform none
# Exit status: 0 all passed, 1 something did not, 77 there is no GPU, or no NVRTC.
set -u

build=build
quick=
simulator=
sanitizer=
compile=1
while [ $# -gt 0 ]; do
  case $1 in
    --build | --sanitizer)
      if [ $# -lt 2 ]; then echo "run_on_gpu: something is missing behind $1" >&2; exit 2; fi
      if [ "$1" = --build ]; then build=$2; else sanitizer=$2; fi
      shift
      ;;
    --no-build) compile= ;;
    --quick) quick=1 ;;
    --simulator) simulator=1 ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "run_on_gpu: unknown argument '$1'" >&2; exit 2 ;;
  esac
  shift
done
cd "$(dirname "$0")/../.." || exit 1
if [ -n "$compile" ]; then
  cmake -G Ninja -S . -B "$build" -DCMAKE_BUILD_TYPE=Release && cmake --build "$build" || exit 1
fi
build=$(cd "$build" && pwd) || exit 1
bin=$build/bin

if [ -n "$simulator" ]; then
  export MARS_CUDA_LIBRARY_PATH="$build/simgpu" MARS_SIMGPU_DEVICES=2 MARS_SIMGPU_BYTES=512M
  export MARS_CACHE_DIR="$build/kernels"
fi
[ -z "$quick" ] || export MARS_TEST_QUICK=1

found=$("$bin/mars" info 2>/dev/null | grep -o 'cuda:[0-9]*' | sort -u | tr '\n' ' ')
if [ -z "$found" ]; then
  echo "run_on_gpu: there is no CUDA device here:"
  "$bin/mars" info | grep -i -E 'cuda|nvrtc|cublas'
  exit 77
fi
if missing=$("$bin/mars" info 2>/dev/null | grep '^libnvrtc .*missing'); then
  echo "run_on_gpu: the devices would run no kernels: $missing"
  exit 77
fi
first=${found%% *}
all=$(echo "$found" | sed 's/ *$//; s/ /,/g')
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM
[ -z "$simulator" ] || export MARS_SIMGPU_REPORT="$temp/checks"

summary=
failed=0
# run NAME COMMAND...: one line of the summary. What the simulated platform's checks find fails it, too, and no case at all.
run() {
  name=$1
  shift
  echo "== $name"
  begin=$(date +%s)
  : >"$temp/checks"
  if "$@" >"$temp/log" 2>&1 && [ ! -s "$temp/checks" ] && ! grep -q '^\[=*\] 0 tests from' "$temp/log"; then
    verdict=passed
  else
    verdict=FAILED
    failed=$((failed + 1))
    cat "$temp/log" "$temp/checks"
  fi
  cases=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests*\.$/\1 cases/p' "$temp/log" | tail -1)
  skipped=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) tests*, listed below:$/, \1 skipped/p' "$temp/log" | tail -1)
  summary="$summary$(printf '  %-46s %s %4ds  %s%s' "$name" "$verdict" $(($(date +%s) - begin)) "$cases" "$skipped")
"
}

# The device's own suites, against the oracle and the host device.
program_filter='*' device_filter='*' suite_filter='*' interop_filter='*'
suites="api_ops api_types api_views api_graph api_random api_reduce api_outofcore api_async api_faults"
suites="$suites linalg_product linalg_symmetric linalg_einsum linalg_parts linalg_dense linalg_norms linalg_solve linalg_solve_errors linalg_tall"
if [ -n "$simulator" ]; then
  program_filter='VmScan*:*Traffic.AChain*' device_filter='CudaDevice.*-*EveryCall*' # these suites run there anyway
  interop_filter='Cuda.JobsRun*:Cuda.TheCallers*'
  suites=api_graph suite_filter='Creation.*:Graphs.Scan*:Graphs.Constant*'
fi
run "programs and rows on $first" "$bin/cuda_vm_test" --gtest_filter="$program_filter"
run "transfers, tile operations, errors" "$bin/cuda_device_test" --gtest_filter="$device_filter"
if [ -z "$simulator" ]; then
  run "factorisations" "$bin/cuda_factor_test"
  [ "$first" = "$all" ] || run "what devices exchange by NCCL" "$bin/cuda_clique_test"
  run "expressions on $first" env MARS_TEST_DEVICES="$first" "$bin/kernel_expression_test"
fi
run "kernels of the user's own" "$bin/kernel_raw_test" --gtest_filter='CudaKernel.*'
run "the application's memory, streams, contexts" "$bin/interop_test" --gtest_filter="$interop_filter"
[ ! -x "$bin/nvtx_test" ] || run "ranges for profilers" "$bin/nvtx_test" --gtest_filter='Ranges.*'
# The suites of the whole library, every session on the devices, with 1 MiB each so that chunks come and go; and the host beside them.
lists="$first $all,host"
[ "$first" = "$all" ] || lists="$first $all $all,host"
for suite in $suites; do
  for list in $lists; do
    run "$suite on $list" env MARS_TEST_DEVICES="$list" "$bin/${suite}_test" --gtest_filter="$suite_filter"
  done
done

# bench SUITE ARGUMENTS...: it checks every result in the same run
bench() {
  suite=$1
  shift
  run "bench $suite on $first" "$bin/mars-bench" run "$suite" --devices "$first" --spill "$temp" ${quick:+--quick} "$@"
  grep -v '^==' "$temp/log"
}
if [ ! -x "$bin/mars-bench" ]; then
  summary="$summary  bench: mars-bench was not built
"
elif [ -n "$simulator" ]; then
  for suite in pi axpb reduce stream matmul; do
    case $suite in
      stream) bench stream --size 200000 --budget 16M --repeat 1 ;;
      matmul) bench matmul --size 64 --repeat 1 ;;
      *) bench "$suite" --size 20000 --repeat 1 ;;
    esac
  done
else
  for suite in pi axpb stream reduce matmul; do bench "$suite"; done
fi

# compute-sanitizer says of a real device what the simulated one checks by itself. A kernel takes some ten times as long under it or more, so
# parts of the suites, in which every kind of kernel is. NVIDIA's libraries have kernels of their own, on which only memcheck's word is
# about what they were given.
[ -n "$sanitizer$simulator" ] || sanitizer=$(command -v compute-sanitizer)
if [ -z "$sanitizer" ]; then
  why='not installed, not run'
  [ -z "$simulator" ] || why='not asked for on the simulated platform, which has checks of its own'
  summary="$summary  compute-sanitizer: $why
"
else
  # sanitized TOOL NAME PROGRAM FILTER
  sanitized() {
    run "compute-sanitizer $1: $2" "$sanitizer" --tool "$1" --error-exitcode 1 "$bin/$3" --gtest_filter="$4"
  }
  program_filter='VmReduce*:VmScan*:VmPoints*' copies='CudaDevice.Copies*:*Tiles.Moves*:*Tiles.Turns*'
  routines='*Tiles.*:CudaDevice.Copies*' factors='*Factor.*/float32:*Factor.*/complex128'
  if [ -n "$simulator" ]; then
    program_filter='VmScan.Carries*' copies='CudaDevice.CopiesThrough*' routines='*Tiles.Cholesky*' factors='*Factor.PanelsOfLu/float32'
  fi
  for tool in memcheck racecheck initcheck synccheck; do
    sanitized "$tool" programs cuda_vm_test "$program_filter"
    sanitized "$tool" copies cuda_device_test "$copies"
  done
  sanitized memcheck "tile operations" cuda_device_test "$routines"
  sanitized memcheck factorisations cuda_factor_test "$factors"
fi

# What a budget of memory is worth: the slab that the engine takes against pools of the driver.
run "memory: a slab and pools" "$bin/gpu_pools" --device "${first#cuda:}"
cat "$temp/log"

# The table.
for device in $found; do
  run "measuring $device" "$bin/gpu_measure" --device "${device#cuda:}"
  cat "$temp/log"
  [ -z "$simulator" ] || break
done

echo
[ -z "$simulator" ] || echo "On the SIMULATED platform:"
printf '%s' "$summary"
[ "$failed" -eq 0 ]
