#!/bin/sh
# Runs every case of every suite on simulated GPUs: on one, two and four, and on two with the host. Units of some cases each; what each
# gave is kept in a folder, so that a run that was stopped goes on where it was.
#
# usage: tests/simgpu/run_matrix.sh [--build FOLDER] [--resume FOLDER] [--keep-older] [--only REGEX] [--seconds N] [--quick] [--table] [-j N]
#   --build FOLDER   where the programs are, default build
#   --resume FOLDER  results are kept there, and what has passed with these programs is not run again;
#                    default gpu-matrix in the build folder, which is emptied first
#   --keep-older     what has passed with earlier programs is not run again either; the table tells how many
#   --only REGEX     units of these names alone, as api_ops.two.17: suite, devices, number
#   --seconds N      no unit is begun after these; the exit status is then 75, if none has failed
#   --quick          fewer sizes and configurations in each case (MARS_TEST_QUICK)
#   --table          nothing is run, the table alone
#   -j N             N units at once, default one for each core
# With MARS_KERNEL_SOURCES=FOLDER the kernels of each unit are left in a folder of its name there.
# The last line is "N passed, N failed", counting cases. Exit status: 0 all of the matrix passed, 1 not.
set -u

# unit FOLDER NAME KEY PROGRAM DEVICES COUNT BYTES SHARDS SHARD SEED: leaves NAME.log, and NAME.result: key, verdict, cases that passed,
# cases that failed, seconds
unit() {
  log=$1/$2.log
  begin=$(date +%s)
  [ -z "${RUN_MATRIX_UNTIL:-}" ] || [ "$begin" -lt "$RUN_MATRIX_UNTIL" ] || return 0
  if [ -n "${MARS_KERNEL_SOURCES:-}" ]; then
    MARS_KERNEL_SOURCES=$MARS_KERNEL_SOURCES/$2
    rm -rf "$MARS_KERNEL_SOURCES" && mkdir -p "$MARS_KERNEL_SOURCES" || return
  fi
  timeout 1800 env MARS_TEST_DEVICES="$5" MARS_SIMGPU_DEVICES="$6" MARS_TEST_DEVICE_BYTES="$7" GTEST_TOTAL_SHARDS="$8" \
    GTEST_SHARD_INDEX="$9" MARS_SIMGPU_SEED="${10}" "$4" >"$log" 2>&1
  status=$?
  # a program that ended in another way than by a failing case has a failed case, too
  passed=$(grep -c '^\[       OK \] ' "$log")
  failed=$(grep -c '^\[  FAILED  \] .* ms)$' "$log")
  verdict=passed
  if [ $status -ne 0 ] || [ "$failed" -ne 0 ]; then
    verdict=FAILED
    [ "$failed" -ne 0 ] || failed=1
  fi
  echo "$3 $verdict $passed $failed $(($(date +%s) - begin))" >"$1/$2.new"
  mv "$1/$2.new" "$1/$2.result"
  echo "$2: $verdict, $passed cases, $(($(date +%s) - begin)) s"
}

if [ "${1:-}" = --unit ]; then
  shift
  unit "$@"
  exit 0
fi

build=build
folder=
older=
only=.
quick=0
table=
seconds=
jobs=$(nproc)
need() {
  if [ "$1" -lt 2 ]; then
    echo "run_matrix: something is missing behind $2" >&2
    exit 2
  fi
}
while [ $# -gt 0 ]; do
  case $1 in
    --build) need $# "$1"; build=$2; shift ;;
    --resume) need $# "$1"; folder=$2; shift ;;
    --keep-older) older=1 ;;
    --only) need $# "$1"; only=$2; shift ;;
    --seconds) need $# "$1"; seconds=$2; shift ;;
    --quick) quick=1 ;;
    --table) table=1 ;;
    -j) need $# "$1"; jobs=$2; shift ;;
    -h | --help) sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "run_matrix: unknown argument '$1'" >&2; exit 2 ;;
  esac
  shift
done
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
build=$(cd "$build" && pwd) || exit 1
units=$build/gpu_units.txt
if [ ! -f "$units" ]; then
  echo "run_matrix: $build was built without simulated GPUs" >&2
  exit 1
fi
if [ -z "$folder" ]; then
  folder=$build/gpu-matrix
  [ -n "$table" ] || rm -rf "$folder"
fi
mkdir -p "$folder" && folder=$(cd "$folder" && pwd) || exit 1

# A result is of a program, the simulated platform and the number of sizes: what has changed has another key.
platform=$(cat "$build"/simgpu/*.so* | sha256sum)
keys=$folder/keys
for program in $(cut -d ' ' -f 2 "$units" | sort -u); do
  if [ ! -x "$build/bin/$program" ]; then
    echo "run_matrix: $build/bin/$program is missing" >&2
    exit 1
  fi
  echo "$program $( (echo "$platform $quick"; cat "$build/bin/$program") | sha256sum | cut -c 1-16)"
done >"$keys"

# selected: the units to look at, each with its key, what is known of it (key verdict passed failed seconds), and its seed
selected() {
  awk -v folder="$folder" -v only="$only" '
    FNR == NR { key[$1] = $2; next }
    $1 ~ only {
      known = "- - 0 0 0"
      getline known < (folder "/" $1 ".result")
      print $1, key[$2], $2, $3, $4, $5, $6, $7, known, $8 + 0
    }' "$keys" "$units"
}

if [ -z "$table" ]; then
  RUN_MATRIX_UNTIL=${seconds:+$(($(date +%s) + seconds))}
  export RUN_MATRIX_UNTIL
  export MARS_CUDA_LIBRARY_PATH="$build/simgpu" MARS_CACHE_DIR="${MARS_CACHE_DIR:-$build/kernels}" MARS_SIMGPU_BYTES=64M MARS_TEST_QUICK=$quick
  selected | awk -v older="$older" -v bin="$build/bin" '
    $10 == "passed" && (older || $9 == $2) { next }
    { print $1, $2, bin "/" $3, $4, $5, $6, $7, $8, $14 }' | xargs -r -L 1 -P "$jobs" "$script" --unit "$folder"
fi

echo
selected | awk -v older="$older" -v limited="${seconds:+1}" '
  { split($1, part, "."); row = part[1]; list = part[2]
    if (!(row in seen)) { seen[row] = 1; rows[++n] = row }
    cell = row SUBSEP list; total[cell]++
    ok[cell] += $10 == "passed"; cases[row] += $11; seconds[row] += $13; passed += $11; failed += $12
    if ($10 == "FAILED") bad = bad "\n  " $1
    if ($9 == "-") missing++; else if ($9 != $2) old++
    if ($9 != $2 && !(older && $10 == "passed")) later++; else bad_now += $10 == "FAILED" }
  END {
    printf "%-18s %10s %10s %10s %10s %8s %8s\n", "units that passed", "one", "two", "four", "host too", "cases", "seconds"
    split("one two four mixed", lists, " ")
    for (i = 1; i <= n; i++) {
      line = sprintf("%-18s", rows[i])
      for (j = 1; j <= 4; j++) { cell = rows[i] SUBSEP lists[j]; line = line sprintf(" %10s", ok[cell] + 0 "/" total[cell] + 0) }
      print line sprintf(" %8d %8d", cases[rows[i]], seconds[rows[i]])
    }
    if (old) print old " of the results are of earlier programs"
    if (missing) print missing " units have not been run"
    if (bad) print "failed, see their .log in the folder of results:" bad
    print passed + 0 " passed, " failed + missing " failed"
    exit limited && later && !bad_now ? 75 : failed + missing > 0
  }'
