#!/usr/bin/env bash
# Queues a request for TPUs; they are there when its state is ACTIVE.
#
#   create.sh --name=pod --zone=us-central1-a --type=v5litepod-16
#     [--version=v2-alpha-tpuv5-lite] [--spot] [--dry_run]
set -euo pipefail
# shellcheck source=launch/tpu/common.sh
source "$(dirname "$0")/common.sh"
no_rest
[[ -n "$TYPE" ]] || fail "no --type; expected one as in --type=v5litepod-16."
state=(gcloud compute tpus queued-resources describe "$NAME" --zone="$ZONE"
  --format='value(state.state)')

if ! "$DRY_RUN" && found=$("${state[@]}" 2>/dev/null); then
  echo "$NAME exists: $found"
  exit
fi
more=()
if "$SPOT"; then more+=(--spot); fi
do_it gcloud compute tpus queued-resources create "$NAME" --node-id="$NAME" \
  --zone="$ZONE" --accelerator-type="$TYPE" \
  --runtime-version="${VERSION:-v2-alpha-tpuv5-lite}" "${more[@]}"
do_it "${state[@]}"
