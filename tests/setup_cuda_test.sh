#!/bin/sh
# tools/setup --cuda=FOLDER, with small wheels of this test's in place of the network's: where files land, that a wheel which is missing
# leaves nothing behind, that names which lead out of the folder are left alone. usage: setup_cuda_test.sh SOURCE
source=$1
. "$source/tests/simgpu/script_test.sh"
python3 -m pip --version >/dev/null 2>&1 || { echo "Skipped: python3 has no pip"; exit 77; }

# no package is looked for, none is installed
mkdir "$temp/bin" "$temp/wheels"
printf '#!/bin/sh\necho installed\n' >"$temp/bin/dpkg-query"
for name in apt-get sudo; do printf '#!/bin/sh\necho %s >>"$TEMP/calls"; exit 1\n' $name >"$temp/bin/$name"; done
chmod +x "$temp"/bin/*
export PATH="$temp/bin:$PATH" PIP_NO_INDEX=1 PIP_FIND_LINKS="$temp/wheels" PIP_CONFIG_FILE=/dev/null
unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_CONSTRAINT PIP_REQUIRE_VIRTUALENV

# The wheels that the script names, by its own words.
wheels=$(sed -n '/^wheels="/,/"$/p' "$source/tools/setup" | tr -d '"' | sed 's/^wheels=//')
python3 - "$temp/wheels" $wheels <<'PYTHON' || exit 1
import sys, zipfile
files = {
    "nvidia-cuda-nvrtc": ["cu13/include/nvrtc.h", "cu13/lib/libnvrtc.so.13", "cu13/lib/libnvrtc-builtins.so.13.0", "cu13/lib/libnvrtc_static.a"],
    "nvidia-cuda-runtime": ["cu13/include/cuda.h", "cu13/include/../../../../outside_a.h", "cu13/include/sub/../../../outside_b.h",
                            "../nvidia/cu13/include/outside_c.h", "cu13/lib/../libnvrtc.so.9", "cu13/lib/libcudart.so.13"],
    "nvidia-cuda-crt": ["cu13/include/crt/host_config.h"],
    "nvidia-cublas": ["cu13/include/cublas_v2.h", "cu13/lib/libcublas.so.13"],
    "nvidia-cusolver": ["cu13/include/cusolverDn.h"],
    "nvidia-cusparse": ["cu13/include/cusparse.h"],
    "nvidia-cufft": ["cu13/include/cufft.h"],
    "nvidia-nccl-cu13": ["nccl/include/nccl.h"],
}
folder = sys.argv[1]
for wheel in sys.argv[2:]:
    name, version = wheel.split("==")
    base = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(f"{folder}/{base}-py3-none-any.whl", "w") as z:
        for file in files.get(name, []):
            z.writestr("nvidia/" + file, f"{name} {file}\n")
        if name == "nvidia-cuda-runtime":
            z.writestr("/outside_d.h", "")
            z.writestr("../outside_e.h", "")
        z.writestr(f"{base}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        z.writestr(f"{base}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{base}.dist-info/RECORD", "")
PYTHON

run() { "$source/tools/setup" "$@"; }
# listed NAME FOLDER FILES: these are there, and no others
listed() {
  got=$(cd "$2" && find . -type f | sort | tr '\n' ' ')
  [ "$got" = "$3" ] || { echo "FAILED: $1: there are $got"; failed=1; }
}
# gone NAME: neither the folder nor a part of it
gone() {
  for left in "$temp"/kit*; do [ ! -e "$left" ] || { echo "FAILED: $1: $left is left"; failed=1; }; done
}

# one is missing, after others were unpacked
mkdir "$temp/away"
mv "$temp"/wheels/nvidia_cuda_runtime-* "$temp/away"
cannot="setup: CUDA's headers and NVRTC cannot be had (python3 -m pip download): the CUDA device is left out, the tests of GPUs skip"
expect "a wheel is missing" 0 0 "$cannot" "--cuda=$temp/kit"
grep -q "nvidia-cuda-runtime==" "$temp/out" || { echo "FAILED: the missing wheel is not named:"; cat "$temp/out"; failed=1; }
gone "a wheel is missing"
mv "$temp"/away/* "$temp/wheels"

expect "all are there" 0 0 "setup: CUDA's headers and NVRTC are in $temp/kit now; say CUDA_HOME=$temp/kit" "--cuda=$temp/kit"
listed "the toolkit" "$temp/kit" "./include/crt/host_config.h ./include/cublas_v2.h ./include/cuda.h ./include/cufft.h ./include/cusolverDn.h ./include/cusparse.h \
./include/nccl.h ./include/nvrtc.h ./lib64/libnvrtc-builtins.so.13.0 ./lib64/libnvrtc.so.13 "
[ "$(cat "$temp/kit/lib64/libnvrtc.so.13" 2>/dev/null)" = "nvidia-cuda-nvrtc cu13/lib/libnvrtc.so.13" ] || { echo "FAILED: another libnvrtc"; failed=1; }
outside=$(find "$temp" / -maxdepth 1 -name 'outside*'; find "$temp" -name 'outside*' -o -name 'libnvrtc.so.9'; find "$(dirname "$temp")" -maxdepth 1 -name 'outside_*')
[ -z "$outside" ] || { echo "FAILED: outside the folder: $outside"; failed=1; }
expect "again" 0 0 "setup: CUDA's headers and NVRTC are in $temp/kit" "--cuda=$temp/kit"
exit $failed
