# For the tests of scripts that run programs, to be sourced: a folder of their own, and a comparison. They define run ARGUMENTS...; what it
# runs leaves a line for each call in $temp/calls.
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
export TEMP="$temp"
failed=0

# expect NAME STATUS CALLS LAST_LINE ARGUMENTS...
expect() {
  name=$1 status=$2 calls=$3 last=$4
  shift 4
  : >"$temp/calls"
  run "$@" >"$temp/out" 2>&1
  got=$?
  n=$(wc -l <"$temp/calls")
  if [ $got -ne "$status" ] || [ "$n" -ne "$calls" ] || [ "$(tail -1 "$temp/out")" != "$last" ]; then
    echo "FAILED: $name: status $got, $n calls, output:"
    cat "$temp/out"
    failed=1
  fi
}
