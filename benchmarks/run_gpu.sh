#!/usr/bin/env bash
# All GPU tests and GPU benchmarks in one call of less than nine minutes.
#
#   benchmarks/run_gpu.sh FOLDER [BUNDLE ...]
#
# Writes FOLDER/gpu.json, and beside it the parts that it is made of and their logs. Each part is a process of its own with a time
# limit: one that fails, crashes or hangs is recorded, and the next one runs. BUNDLE is timed besides the one that ships.
# PYTHON chooses the interpreter. Tests that need TensorRT are skipped where there is none, unless EDGESEG_REQUIRE_GPU=1.
set -u
cd "$(dirname "$0")/.." || exit 2
out=${1:?usage: benchmarks/run_gpu.sh FOLDER [BUNDLE ...]}
shift
mkdir -p "$out"
out=$(cd "$out" && pwd)
python=${PYTHON:-python3}
export EDGESEG_REQUIRE_GPU=${EDGESEG_REQUIRE_GPU:-device} EDGESEG_CACHE=${EDGESEG_CACHE:-$(mktemp -d)} PYTHONUNBUFFERED=1

# part NAME SECONDS COMMAND...
part() {
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    echo "== $name" >&2
    timeout -k 5 "$limit" "$@" >"$out/$name.log" 2>&1
    echo "$name $? $((SECONDS - start)) $limit" >>"$out/parts.txt"
}

tests() { part "$1" "$2" "$python" -m pytest -c tests/gpu/pytest.ini --rootdir=. -v --junitxml="$out/$1.xml" "${@:3}"; }

rm -f "$out"/parts.txt "$out"/*.xml "$out"/*.json
part machine 15 "$python" -m benchmarks.gpu machine --out "$out/machine.json"
tests device_pycuda 45 tests/gpu/test_device.py -k pycuda
tests device_cuda_python 45 tests/gpu/test_device.py -k cuda-python
tests onnxruntime 50 tests/gpu/test_onnxruntime.py
tests tensorrt 75 tests/gpu/test_tensorrt.py
tests contract 40 tests/contract/test_backend_contract.py -k "tensorrt or onnxruntime"
part seam 15 "$python" -m benchmarks.gpu seam --out "$out/seam.json"
part prepare 40 "$python" -m benchmarks.device_prepare --out "$out/prepare.json"
part graphs 65 "$python" -m benchmarks.gpu graphs --out "$out/graphs.json" "$@"
part providers 90 "$python" -m benchmarks.gpu_providers --out "$out/providers.json" "$@"
part replay 55 "$python" -m benchmarks.gpu_replay --out "$out/replay.json" "$@"
"$python" -m benchmarks.gpu summary --folder "$out"
