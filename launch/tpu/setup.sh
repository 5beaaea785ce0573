#!/usr/bin/env bash
# Copies this repository to all workers and installs it there; again: updates.
#
#   setup.sh --name=pod --zone=us-central1-a [--dry_run]
set -euo pipefail
# shellcheck source=launch/tpu/common.sh
source "$(dirname "$0")/common.sh"
no_rest
archive="$(mktemp -d)/seqdiff.tar.gz"
trap 'rm -r "${archive%/*}"' EXIT

do_it git -C "$(dirname "$0")/../.." archive --format=tar.gz \
  --prefix=seqdiff/ --output="$archive" HEAD
do_it gcloud compute tpus tpu-vm scp "$archive" "$NAME:seqdiff.tar.gz" \
  --zone="$ZONE" --worker=all
# The images have Python 3.10: uv brings its own.
on_worker all "tar -xzf seqdiff.tar.gz && cd seqdiff && \
python3 -m pip install -q --user uv && PATH=~/.local/bin:\$PATH && \
uv venv -q --allow-existing --python=3.12 && uv pip install -q -e '.[tpu,gcs]'"
