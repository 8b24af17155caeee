#!/usr/bin/env bash
# Unpacks the packages of debian.txt whose command is missing into FOLDER, without root and without touching the system.
# Usage: debian.sh FOLDER
set -euo pipefail
folder=$1
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
wanted=()
while read -r command packages; do
    [[ $command == \#* || -z $command ]] && continue
    command -v "$command" >/dev/null && continue
    [[ -x $folder/bin/$command ]] && continue
    read -ra names <<<"$packages"
    wanted+=("$command" "${names[@]}" "")
done <"$(dirname "$0")/debian.txt"
((${#wanted[@]})) || exit 0

triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial" "$state/archives/partial" "$folder/bin"
apt=(apt-get -qq -o "Dir::State=$state" -o "Dir::State::status=/var/lib/dpkg/status" -o "Dir::Cache=$state" -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)")
"${apt[@]}" update
command=""
for name in "${wanted[@]}"; do
    if [[ -z $command ]]; then command=$name && continue; fi
    if [[ -n $name ]]; then
        (cd "$state/archives" && "${apt[@]}" download "$name")
        continue
    fi
    for package in "$state"/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
    rm -f "$state"/archives/*.deb
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' \
        "$folder/root/usr/lib/$triplet:$folder/root/lib/$triplet" "$folder/root/usr/bin/$command" >"$folder/bin/$command"
    chmod +x "$folder/bin/$command"
    command=""
done
