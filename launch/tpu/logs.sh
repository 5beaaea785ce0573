#!/usr/bin/env bash
# Shows the last lines of the log of one worker, or of all.
#
#   logs.sh --name=pod --zone=us-central1-a [--worker=0|all] [--dry_run]
set -euo pipefail
# shellcheck source=launch/tpu/common.sh
source "$(dirname "$0")/common.sh"
worker=0
if [[ "${REST[*]-}" == --worker=?* ]]; then
  worker="${REST[0]#*=}"
  REST=("${REST[@]:1}")
fi
no_rest
on_worker "$worker" 'tail -n 50 train.log'
