#!/usr/bin/env bash
# What the scripts beside this one share: flags, and how a command is run.
#
# Flags are --name=value. Read here: --name, --zone, --type, --version, --spot,
# --dry_run; whatever else a script takes is in REST.
# shellcheck disable=SC2034  # The scripts use what is unused here.
set -euo pipefail

fail() {
  echo "error: $1" >&2
  exit 2
}

# macOS has 3.2; 4.4 is the first with @Q and with empty arrays under set -u.
((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || fail \
  "bash $BASH_VERSION; expected 4.4 or later. Install it (brew install bash)."

NAME='' ZONE='' TYPE='' VERSION='' SPOT=false DRY_RUN=false REST=()
for flag in "$@"; do
  case "$flag" in
    --name=?*) NAME="${flag#*=}" ;;
    --zone=?*) ZONE="${flag#*=}" ;;
    --type=?*) TYPE="${flag#*=}" ;;
    --version=?*) VERSION="${flag#*=}" ;;
    --spot) SPOT=true ;;
    --dry_run) DRY_RUN=true ;;
    *) REST+=("$flag") ;;
  esac
done
[[ -n "$NAME" && -n "$ZONE" ]] || fail \
  "--name='$NAME' --zone='$ZONE'; expected both, as in --name=pod --zone=us-central1-a."

# Runs a command, or prints it with --dry_run.
do_it() {
  if ! "$DRY_RUN"; then
    "$@"
    return
  fi
  local word words=()
  for word in "$@"; do
    if [[ ! "$word" =~ ^[[:alnum:]_.,:=/@-]+$ ]]; then word="${word@Q}"; fi
    words+=("$word")
  done
  echo "${words[*]}"
}

# Runs a command on one worker or on 'all'.
on_worker() {
  do_it gcloud compute tpus tpu-vm ssh "$NAME" --zone="$ZONE" \
    --worker="$1" --command="$2"
}

no_rest() {
  [[ ${#REST[@]} -eq 0 ]] || fail \
    "unknown flags ${REST[*]}; expected those named at the top of ${0##*/}."
}
