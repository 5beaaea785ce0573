#!/usr/bin/env bash
# Queues a request for TPUs; they are there when its state is ACTIVE.
#
#   create.sh --name=pod --zone=us-central1-a --type=v5litepod-16
#     [--version=...] [--spot] [--dry_run]
#
# --version is that of the software on the workers; known for v5litepod, v5p and
# v6e, see https://cloud.google.com/tpu/docs/runtimes for others.
set -euo pipefail
# shellcheck source=launch/tpu/common.sh
source "$(dirname "$0")/common.sh"
no_rest
[[ -n "$TYPE" ]] || fail "no --type; expected one as in --type=v5litepod-16."
if [[ -z "$VERSION" ]]; then
  case "$TYPE" in
    v5litepod-*) VERSION=v2-alpha-tpuv5-lite ;;
    v5p-*) VERSION=v2-alpha-tpuv5 ;;
    v6e-*) VERSION=v2-alpha-tpuv6e ;;
    *) fail "--type=$TYPE without --version; expected the software for this \
type too, see https://cloud.google.com/tpu/docs/runtimes." ;;
  esac
fi
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
  --runtime-version="$VERSION" "${more[@]}"
do_it "${state[@]}"
