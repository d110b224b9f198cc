#!/usr/bin/env bash
# Builds the TensorRT plans of a repository that `mediaserver triton repository DIR --flavour tensorrt` wrote:
#   docker run --rm --gpus all -v DIR:/models -v "$PWD/triton:/triton:ro" \
#     nvcr.io/nvidia/tensorrt:25.06-py3 /triton/build_plans.sh /models
# Use the image whose release is that of the Triton image: a plan runs in the TensorRT that built it, and on
# the kind of GPU that it was built on, and nowhere else.
set -euo pipefail

repository=${1:?"usage: build_plans.sh REPOSITORY"}
command -v trtexec >/dev/null || { echo "build_plans.sh: no trtexec; run this in NVIDIA's TensorRT image" >&2; exit 1; }

shopt -s nullglob
arguments=("$repository"/*/trtexec.args)
if ((${#arguments[@]} == 0)); then
  echo "build_plans.sh: $repository is no repository of the flavour tensorrt" >&2
  exit 1
fi
for file in "${arguments[@]}"; do
  model=$(dirname "$file")
  read -r -a shapes <"$file" || true # the file ends without a newline
  mkdir -p "$model/1"
  # Under another name first: Triton must not meet a plan that is half written.
  trtexec --onnx="$model/model.onnx" --fp16 "${shapes[@]}" --saveEngine="$model/1/model.plan.new"
  mv "$model/1/model.plan.new" "$model/1/model.plan"
done
