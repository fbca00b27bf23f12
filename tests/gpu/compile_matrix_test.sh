#!/bin/sh
# compile_matrix.sh --whole with programs that are scripts: which units are run, where their kernels go, what the compiler is given, and
# that a run goes on where it was.
set -u
script=$(cd "$(dirname "$0")" && pwd)/compile_matrix.sh
. "$(dirname "$0")/../simgpu/script_test.sh"

build=$temp/build
mkdir -p "$build/bin" "$build/simgpu"
echo platform >"$build/simgpu/libcuda.so.1"
touch "$build/libmars.so"
cat >"$build/bin/some_test" <<'END'
#!/bin/sh
echo "$MARS_TEST_DEVICES $GTEST_SHARD_INDEX" >>"$TEMP/calls"
[ ! -f "$TEMP/slow" ] || sleep 1.1
echo "kernel $GTEST_SHARD_INDEX" >"$MARS_KERNEL_SOURCES/k$GTEST_SHARD_INDEX.cu"
[ ! -f "$TEMP/bad" ] || exit 1
echo "[       OK ] Some.Case (1 ms)"
END
# says how many kernels it was given, as the real one; a folder of its own for each unit
cat >"$build/bin/cuda_matrix_test" <<'END'
#!/bin/sh
echo "sm_80: $(find "$MARS_KERNEL_SOURCES" -name '*.cu' | wc -l) kernels, results in $(basename "$MARS_MATRIX_RESULTS")"
[ ! -f "$TEMP/spill" ] || exit 1
END
chmod +x "$build/bin/some_test" "$build/bin/cuda_matrix_test"
for shard in 0 1; do
  echo "some.one.$shard some_test cuda:0 1 32768 2 $shard 0"
  echo "some.two.$shard some_test cuda:0,cuda:1 2 32768 2 $shard 0"
done >"$build/gpu_units.txt"

run() { "$script" --no-build "$@" "$build"; }

expect "nothing of that name" 1 0 "compile_matrix: no test of $build matches ^none" --whole --only '^none'
expect "some units" 0 1 "sm_80: 1 kernels, results in results" --whole --only '^some\.two\.1'
grep -q '^cuda:0,cuda:1 1$' "$temp/calls" || { echo "FAILED: what the unit is told"; failed=1; }
touch "$temp/bad"
expect "a unit that fails" 1 3 "sm_80: 4 kernels, results in results" --whole
rm "$temp/bad"
expect "it goes on where it was" 0 3 "sm_80: 4 kernels, results in results" --whole -j 2
expect "nothing is left" 0 0 "sm_80: 4 kernels, results in results" --whole
touch "$temp/spill"
expect "a kernel that spills" 1 0 "sm_80: 4 kernels, results in results" --whole
rm "$temp/spill"
echo "# changed" >>"$build/bin/some_test"
expect "a changed program's kernels are asked for again" 0 4 "sm_80: 4 kernels, results in results" --whole
echo "# once more" >>"$build/bin/some_test"
touch "$temp/slow"
"$script" --no-build --whole --seconds 1 -j 1 "$build" >"$temp/out" 2>&1
if [ $? -ne 75 ] || ! grep -q 'run it again$' "$temp/out" || grep -q '^sm_80' "$temp/out"; then
  echo "FAILED: no time is left"
  cat "$temp/out"
  failed=1
fi
exit $failed
