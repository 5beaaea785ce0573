#!/usr/bin/env bash
# Gives the TPUs back, with the disks of the workers.
#
#   delete.sh --name=pod --zone=us-central1-a [--dry_run]
set -euo pipefail
# shellcheck source=launch/tpu/common.sh
source "$(dirname "$0")/common.sh"
no_rest
do_it gcloud compute tpus queued-resources delete "$NAME" --zone="$ZONE" \
  --force --quiet
