#!/usr/bin/env bash
# Installs what the tests need beside npm's packages and is missing: a Redis server and a Chromium, on Debian and Ubuntu.
# Quick when they are there, asks no question, safe to repeat. Where it cannot install, it prints the command to run:
# `npm test` then leaves those suites out and says so. With CI set, that is a failure.
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }

missing=()
has redis-server || missing+=(redis-server)
if ! { has chromium || has chromium-browser || has google-chrome; }; then
  if grep -qs '^ID=ubuntu' /etc/os-release; then
    # Ubuntu's package is a stub that installs a snap, which containers and build machines cannot run.
    echo 'No Chromium: to run the browser suites, install one or Google Chrome by hand.' >&2
    [ -z "${CI:-}" ] || exit 1
  else
    missing+=(chromium)
  fi
fi

if [ ${#missing[@]} -eq 0 ]; then
  echo 'Nothing to install.'
  exit 0
fi

give_up() {
  echo "$1" >&2
  [ -z "${CI:-}" ] || exit 1
  exit 0
}

apt_install='apt-get install -y --no-install-recommends'

if ! has apt-get; then
  give_up "Missing: ${missing[*]}. Install them with this system's package manager to run every suite."
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if has sudo && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    give_up "Missing: ${missing[*]}. To run every suite: sudo sh -c 'apt-get update && $apt_install ${missing[*]}'"
  fi
fi

echo "Installing ${missing[*]} ..."
apt() {
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null
}
apt update
apt install -y --no-install-recommends "${missing[@]}"
