#!/bin/sh
# Builds, runs the suites and the bench on a machine's real GPUs, compares with the host, and prints what was reached:
# bandwidth of kernels by CUDA events, products against cuBLAS, transfers side by side, and what a budget of memory is worth.
#
# usage: tests/gpu/run_on_gpu.sh [--build FOLDER] [--no-build] [--quick] [--simulator]
#   --build      default build
#   --quick      smaller suites and sizes
#   --simulator  on the simulated platform instead, which proves this script and not a GPU
# Exit status: 0 all passed, 1 something did not, 77 there is no GPU.
set -u

build=build
quick=
simulator=
compile=1
while [ $# -gt 0 ]; do
  case $1 in
    --build)
      if [ $# -lt 2 ]; then echo "run_on_gpu: a folder is missing behind --build" >&2; exit 2; fi
      build=$2
      shift
      ;;
    --no-build) compile= ;;
    --quick) quick=1 ;;
    --simulator) simulator=1 ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
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
first=${found%% *}
all=$(echo "$found" | sed 's/ *$//; s/ /,/g')
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM

summary=
failed=0
# run NAME COMMAND...: one line of the summary
run() {
  name=$1
  shift
  echo "== $name"
  begin=$(date +%s)
  if "$@" >"$temp/log" 2>&1; then
    verdict=passed
  else
    verdict=FAILED
    failed=$((failed + 1))
    cat "$temp/log"
  fi
  cases=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests*\.$/\1 cases/p' "$temp/log" | tail -1)
  skipped=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) tests*, listed below:$/, \1 skipped/p' "$temp/log" | tail -1)
  summary="$summary$(printf '  %-44s %s %4ds  %s%s' "$name" "$verdict" $(($(date +%s) - begin)) "$cases" "$skipped")
"
}

# The device's own suites, against the oracle and the host device.
program_filter='*' device_filter='*' suite_filter='*'
suites="api_ops api_types api_views api_graph api_random api_reduce api_outofcore api_async api_faults"
suites="$suites linalg_product linalg_symmetric linalg_einsum linalg_parts linalg_dense linalg_norms linalg_solve linalg_tall"
benches="pi axpb stream reduce matmul"
if [ -n "$simulator" ]; then
  program_filter='VmScan*:*Traffic.AChain*' device_filter='CudaDevice.*-*EveryCall*' # these suites run there anyway
  benches="pi axpb reduce" # bench_devices_test has the others
  suites=api_graph suite_filter='Creation.*:Graphs.Scan*:Graphs.Constant*'
fi
run "programs and rows on $first" "$bin/cuda_vm_test" --gtest_filter="$program_filter"
run "transfers, tile operations, errors" "$bin/cuda_device_test" --gtest_filter="$device_filter"
if [ -z "$simulator" ]; then
  run "factorisations" "$bin/cuda_factor_test"
  [ "$first" = "$all" ] || run "copies by NCCL" "$bin/cuda_clique_test"
fi
[ ! -x "$bin/nvtx_test" ] || run "ranges for profilers" "$bin/nvtx_test" --gtest_filter='Ranges.*'
# The suites of the whole library, every session on the devices, with 1 MiB each so that chunks come and go.
for suite in $suites; do
  run "$suite on $first" env MARS_TEST_DEVICES="$first" "$bin/${suite}_test" --gtest_filter="$suite_filter"
  [ "$first" = "$all" ] || run "$suite on $all" env MARS_TEST_DEVICES="$all" "$bin/${suite}_test" --gtest_filter="$suite_filter"
done

# The bench checks every result in the same run.
if [ -x "$bin/mars-bench" ]; then
  size=
  [ -z "$simulator" ] || size="--size 20000 --repeat 1"
  for suite in $benches; do
    # shellcheck disable=SC2086 # lists of words
    run "bench $suite on $first" "$bin/mars-bench" run "$suite" --devices "$first" --spill "$temp" ${quick:+--quick} $size
    grep -v '^==' "$temp/log"
  done
fi

# compute-sanitizer says of a real device what the simulated one checks by itself.
if [ -n "$simulator" ]; then
  summary="$summary  compute-sanitizer: not on the simulated platform, which has checks of its own
"
elif command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    run "compute-sanitizer $tool" compute-sanitizer --tool "$tool" --error-exitcode 1 "$bin/cuda_vm_test" --gtest_filter='VmReduce*:VmScan*:VmPoints*'
  done
else
  summary="$summary  compute-sanitizer: not installed, not run
"
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
