#!/bin/sh
# Where CUDA's headers are missing, or are not wanted: what the build takes, and how a library without the CUDA device speaks and works.
# usage: cuda_stub_test.sh SOURCE MARS_WITHOUT_CUDA NM
source=$1 mars=$2 nm=$3
. "$source/tests/simgpu/script_test.sh"

# says NAME WORDS FILE, says_not likewise
says() { grep -qF -- "$2" "$3" || { echo "FAILED: $1: no '$2' in"; cat "$3"; failed=1; }; }
says_not() { grep -F -- "$2" "$3" && { echo "FAILED: $1: '$2'"; failed=1; }; }

# configured NAME WORDS OPTION: with it, the library gets stub.c, which says WORDS, and no other file of cuda/
configured() {
  rm -rf "$temp/build"
  cmake -S "$source" -B "$temp/build" -DMARS_TESTS=OFF -DMARS_BENCH=OFF -DMARS_TOOLS=OFF "$3" >"$temp/log" 2>&1 || { echo "FAILED: $1"; cat "$temp/log"; failed=1; }
  grep '"command"' "$temp/build/compile_commands.json" | grep '/cuda/' >"$temp/files"
  says "$1" "/cuda/stub.c" "$temp/files"
  says "$1" "$2" "$temp/files"
  [ "$(wc -l <"$temp/files")" -eq 1 ] || { echo "FAILED: $1: more than stub.c:"; cat "$temp/files"; failed=1; }
}
configured "switched off" "built with MARS_CUDA=OFF" -DMARS_CUDA=OFF
configured "no header" "built without CUDA's headers" -DMARS_INCLUDE_cuda_h=
says "no header" "No CUDA device: missing cuda.h; where there is no toolkit, tools/setup --cuda gets them" "$temp/log"

# run ARGUMENTS...: with the libraries in reach, which nobody is to look for
run() { "$mars" "$@"; }

"$nm" "$mars" >"$temp/symbols"
says "the program" "mx_cuda_kind" "$temp/symbols"
says_not "the program" "mx_cuda_load" "$temp/symbols"
run info >"$temp/info" 2>&1 || failed=1
says info "missing: libmars was built without CUDA's headers" "$temp/info"
says info "device 0     host" "$temp/info"
says_not info "libcuda" "$temp/info"
expect "the host works" 0 0 4950 calc 'sum(arange(100))'
expect "the host by its name" 0 0 4950 calc 'sum(arange(100))' --devices host
expect "a GPU is asked for" 1 0 \
  "mars: calc: mars_session_create: there is no device \"cuda:0\" (libmars was built without CUDA's headers); there are: host" \
  calc 'sum(arange(100))' --devices cuda:0
exit $failed
