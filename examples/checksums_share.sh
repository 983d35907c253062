#!/bin/sh
# Hashes one share of the checksums example: FOLDER NUMBER. Prints the path of the file with the checksums.
set -eu
share="$1/share-$2"
xargs -0 -r sha256sum -- < "$share.list" > "$share.sha256"
printf '%s\n' "$share.sha256"
