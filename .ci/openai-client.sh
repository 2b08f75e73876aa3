#!/bin/sh
# Installs the official OpenAI client library for Node in DIR (default: a folder under the user's
# cache), at the versions and digests that its lock file pins, and prints the path, for
# PITH_OPENAI_CLIENT: the test that it works against `pith serve` needs it.
#   PITH_OPENAI_CLIENT=$(.ci/openai-client.sh) go test ./cmd/pith -run OpenAI
set -eu
from=$(cd "$(dirname "$0")/../cmd/pith/testdata/openai-client" && pwd)
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/pith-openai-client}
if ! cmp -s "$from/package-lock.json" "$dir/node_modules/.installed-lock.json"; then
	mkdir -p "$dir"
	cp "$from/package.json" "$from/package-lock.json" "$dir/"
	(cd "$dir" && npm ci --no-audit --no-fund --ignore-scripts --silent) >&2
	cp "$from/package-lock.json" "$dir/node_modules/.installed-lock.json"
fi
echo "$dir"
