#!/bin/sh
# run_on_gpu.sh with --simulator.
#
# usage: tests/gpu/run_on_gpu_test.sh [BUILD]
# With BUILD its programs are run, and the table must have every line that it has of a GPU, compute-sanitizer's too (a command of that name
# which runs what it is given). Without: programs that are scripts, and what must make the script fail.
set -u
script=$(cd "$(dirname "$0")" && pwd)/run_on_gpu.sh
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
export TEMP="$temp"
failed=0

mkdir "$temp/path"
cat >"$temp/path/compute-sanitizer" <<'END'
#!/bin/sh
[ "$1 $3 $4" = "--tool --error-exitcode 1" ] || exit 9
echo "$2 $(basename "$5")" >>"$TEMP/sanitized"
shift 4
exec "$@"
END
chmod +x "$temp/path/compute-sanitizer"
PATH=$temp/path:$PATH
: >"$temp/sanitized"

# has REGEX [TIMES]: so many lines of the output, default one
has() {
  n=$(grep -c -E -e "$1" "$temp/out")
  [ "$n" -eq "${2:-1}" ] || { echo "FAILED: $n lines of the output match, not ${2:-1}: $1"; failed=1; }
}
# sanitized REGEX: compute-sanitizer was called so
sanitized() { grep -q "^$1\$" "$temp/sanitized" || { echo "FAILED: compute-sanitizer was not called: $1"; failed=1; }; }

if [ $# -gt 0 ]; then
  "$script" --simulator --quick --no-build --build "$1" --sanitizer compute-sanitizer >"$temp/out" 2>&1
  got=$?
  cat "$temp/out"
  [ $got -ne 77 ] || exit 77
  [ $got -eq 0 ] || failed=1
  row=' +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9]+% +[0-9.]+% +yes$'
  has "$row" 14 # kernels: MB, ms, GB/s, parts of a copy's rate and of the nominal one
  has "^f32 square$row"
  has '^float(32|64) +[0-9]+ +[0-9.]+ +[0-9.]+ +[0-9]+% +yes$' 2 # products: order, ms, Tflop/s, part of cuBLAS
  has '^  up [0-9.]+ GB/s, down [0-9.]+ GB/s, both at once [0-9.]+ GB/s$'
  has '^  overlap of up and down: [0-9]+% of'
  has '^  overlap with kernels: [0-9]+% of'
  has '^next job, another context having taken all'
  for suite in pi axpb reduce stream matmul; do has "^  bench $suite on cuda:0 +passed "; done
  has '^matmul +f32 .* ok '
  has '^stream +npy .* ok '
  has '^  api_graph on cuda:0(,cuda:1(,host)?)? +passed .* [1-9][0-9]* cases' 3
  for tool in memcheck racecheck initcheck synccheck; do
    has "^  compute-sanitizer $tool: (programs|copies) +passed .* [1-9][0-9]* cases" 2
    sanitized "$tool cuda_vm_test"
  done
  has '^  compute-sanitizer memcheck: (tile operations|factorisations) +passed .* [1-9][0-9]* cases' 2
  sanitized 'memcheck cuda_factor_test'
  sanitized 'memcheck cuda_device_test'
  has 'FAILED' 0
  exit $failed
fi

build=$temp/build
mkdir -p "$build/bin" "$build/simgpu"
cat >"$build/bin/mars" <<'END'
#!/bin/sh
[ -f "$TEMP/none" ] || echo "cuda:0 cuda:1"
[ ! -f "$TEMP/no_nvrtc" ] || echo "libnvrtc     missing: not found"
END
# a program of $TEMP/bad ends badly, one of $TEMP/checks has a failed check, one of $TEMP/empty has no cases
cat >"$build/bin/program" <<'END'
#!/bin/sh
name=$(basename "$0")
echo "$name ${MARS_TEST_DEVICES:-} $*" >>"$TEMP/calls"
if grep -qx "$name" "$TEMP/empty" 2>/dev/null; then echo "[==========] 0 tests from 0 test suites ran. (0 ms total)"; fi
if grep -qx "$name" "$TEMP/checks" 2>/dev/null; then echo "failed check: a race" >>"$MARS_SIMGPU_REPORT"; fi
if grep -qx "$name" "$TEMP/bad" 2>/dev/null; then exit 1; fi
END
chmod +x "$build/bin/mars" "$build/bin/program"
for name in cuda_vm_test cuda_device_test cuda_factor_test kernel_raw_test interop_test api_graph_test mars-bench gpu_pools gpu_measure; do
  ln -s program "$build/bin/$name"
done

# expect NAME STATUS ARGUMENTS...
expect() {
  name=$1 status=$2
  shift 2
  "$script" --simulator --no-build --build "$build" "$@" >"$temp/out" 2>&1
  got=$?
  [ $got -eq "$status" ] || { echo "FAILED: $name: status $got"; cat "$temp/out"; failed=1; }
}

expect "all is well" 0
has '^  compute-sanitizer: not asked for'
[ ! -s "$temp/sanitized" ] || { echo "FAILED: compute-sanitizer was not asked for"; failed=1; }
for list in cuda:0 cuda:0,cuda:1 cuda:0,cuda:1,host; do
  grep -q "^api_graph_test $list " "$temp/calls" || { echo "FAILED: api_graph on $list was not run"; failed=1; }
done
for program in interop_test kernel_raw_test gpu_measure; do
  for how in bad checks empty; do
    echo $program >"$temp/$how"
    expect "$program: $how" 1
    has ' FAILED '
    rm "$temp/$how"
  done
done
echo mars-bench >"$temp/checks"
expect "failed checks in the bench" 1
has '^failed check: a race$' 5
rm "$temp/checks"
echo cuda_factor_test >"$temp/bad"
expect "compute-sanitizer finds something" 1 --sanitizer compute-sanitizer
has '^  compute-sanitizer memcheck: factorisations +FAILED'
rm "$temp/bad"
touch "$temp/no_nvrtc"
expect "no NVRTC" 77
has 'no kernels: libnvrtc +missing: not found'
touch "$temp/none"
expect "no GPU" 77
exit $failed
