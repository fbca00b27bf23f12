#!/bin/sh
# run_matrix.sh with programs that are scripts: what is run, what is kept, what is run again.
set -u
script=$(cd "$(dirname "$0")" && pwd)/run_matrix.sh
. "$(dirname "$0")/script_test.sh"

mkdir -p "$temp/build/bin" "$temp/build/simgpu"
echo platform >"$temp/build/simgpu/libcuda.so.1"
# case 1 of list "two" fails as long as there is a file named bad; "crash" ends without a failing case
cat >"$temp/build/bin/some_test" <<'END'
#!/bin/sh
echo "$MARS_TEST_DEVICES $GTEST_SHARD_INDEX/$GTEST_TOTAL_SHARDS $MARS_TEST_QUICK $MARS_SIMGPU_SEED" >>"$TEMP/calls"
echo "[       OK ] Some.Case/$GTEST_SHARD_INDEX (1 ms)"
if [ -f "$TEMP/bad" ] && [ "$MARS_TEST_DEVICES $GTEST_SHARD_INDEX" = "cuda:0,cuda:1 1" ]; then
  echo "[  FAILED  ] Some.Other (1 ms)"
  echo "[  FAILED  ] Some.Other"
  exit 1
fi
if [ -f "$TEMP/crash" ] && [ "$GTEST_SHARD_INDEX" = 0 ]; then exit 134; fi
exit 0
END
chmod +x "$temp/build/bin/some_test"
for shard in 0 1; do
  echo "some.one.$shard some_test cuda:0 1 32768 2 $shard 0"
  echo "some.two.$shard some_test cuda:0,cuda:1 2 32768 2 $shard $((30 * shard))"
done >"$temp/build/gpu_units.txt"

run() { "$script" --build "$temp/build" -j 2 "$@"; }

touch "$temp/bad"
expect "a failing case" 1 4 "4 passed, 1 failed" --resume "$temp/results"
grep -q '^  some.two.1$' "$temp/out" || { echo "FAILED: the failing unit is not named"; failed=1; }
grep -q '^some  *2/2  *1/2 ' "$temp/out" || { echo "FAILED: the table"; cat "$temp/out"; failed=1; }
rm "$temp/bad"
expect "only what failed is run again" 0 1 "4 passed, 0 failed" --resume "$temp/results"
expect "nothing is left" 0 0 "4 passed, 0 failed" --resume "$temp/results"
rm "$temp/results/some.one.0.result"
expect "the table tells what is missing" 1 0 "3 passed, 1 failed" --resume "$temp/results" --table
expect "what a stopped run left out" 0 1 "4 passed, 0 failed" --resume "$temp/results"
echo "# changed" >>"$temp/build/bin/some_test"
expect "older results are said to be older" 0 0 "4 passed, 0 failed" --resume "$temp/results" --keep-older
grep -q '^4 of the results are of earlier programs$' "$temp/out" || { echo "FAILED: earlier programs"; failed=1; }
expect "a changed program is run again" 0 4 "4 passed, 0 failed" --resume "$temp/results"
echo changed >"$temp/build/simgpu/libcuda.so.1"
expect "a changed platform, too" 0 2 "2 passed, 0 failed" --resume "$temp/results" --only '^some\.two'
expect "other sizes, too" 0 2 "2 passed, 0 failed" --resume "$temp/results" --only '^some\.two' --quick
grep -q '^cuda:0,cuda:1 0/2 1 0$' "$temp/calls" && grep -q '^cuda:0,cuda:1 1/2 1 30$' "$temp/calls" || { echo "FAILED: what the programs are told"; failed=1; }
expect "no time, nothing is begun" 75 0 "0 passed, 4 failed" --seconds 0
expect "time enough" 0 4 "4 passed, 0 failed" --seconds 1000
export MARS_KERNEL_SOURCES="$temp/kernels"
mkdir -p "$temp/kernels/some.one.0/older" "$temp/kernels/some.two.1/older"
expect "kernels of each unit in its own folder, which is emptied" 0 2 "2 passed, 0 failed" --only '^some\.one'
if [ -e "$temp/kernels/some.one.0/older" ] || [ ! -d "$temp/kernels/some.one.1" ] || [ ! -e "$temp/kernels/some.two.1/older" ]; then
  echo "FAILED: folders of kernels"
  failed=1
fi
unset MARS_KERNEL_SOURCES
touch "$temp/crash"
expect "a crash is a failure, and old results go without --resume" 1 4 "4 passed, 2 failed"
exit $failed
