#!/usr/bin/env bash
# Starts a training on all workers, or continues it; ends at once.
#
#   run.sh --name=pod --zone=us-central1-a --config=configs/X.py
#     --workdir=/mnt/runs/X [--config.<section>.<key>=<value> ...] [--dry_run]
#
# --workdir is a folder that all workers see, or gs://<bucket>/<folder>. With
# JAX_COMPILATION_CACHE_DIR set here, also in a bucket, workers keep there what
# they have compiled.
set -euo pipefail
# shellcheck source=launch/tpu/common.sh
source "$(dirname "$0")/common.sh"
[[ " ${REST[*]-}" == *" --config="* && " ${REST[*]-}" == *" --workdir="* ]] ||
  fail "flags '${REST[*]-}'; expected --config=... and --workdir=... too."

# Quoted twice: for the shell of the workers, and for the one that it starts.
train='exec'
if [[ -n "${JAX_COMPILATION_CACHE_DIR-}" ]]; then
  train+=" env JAX_COMPILATION_CACHE_DIR=$(printf '%q' "$JAX_COMPILATION_CACHE_DIR")"
fi
train+=" .venv/bin/python -u -m seqdiff.main --distributed=auto --platform=tpu"
train+="$(printf ' %q' "${REST[@]}")"
on_worker all "cd seqdiff && if pgrep -f '^.venv/bin/python .*seqdiff.main' > /dev/null; then \
echo 'It is running already.'; else nohup bash -c $(printf '%q' "$train") \
>> ../train.log 2>&1 < /dev/null & fi"
