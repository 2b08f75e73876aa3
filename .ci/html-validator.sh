#!/bin/sh
# Installs an HTML validator for Node in DIR (default: a folder under the user's cache), at the
# versions and digests that its lock file pins, and prints the path, for PITH_HTML_VALIDATOR: the
# tests that our pages are valid need it.
#   PITH_HTML_VALIDATOR=$(.ci/html-validator.sh) go test ./analysis/...
set -eu
from=$(cd "$(dirname "$0")/../analysis/htmlcheck/testdata/validator" && pwd)
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/pith-html-validator}
if ! cmp -s "$from/package-lock.json" "$dir/node_modules/.installed-lock.json"; then
	mkdir -p "$dir"
	cp "$from/package.json" "$from/package-lock.json" "$dir/"
	(cd "$dir" && npm ci --no-audit --no-fund --ignore-scripts --silent) >&2
	cp "$from/package-lock.json" "$dir/node_modules/.installed-lock.json"
fi
cp "$from/htmlvalidate.json" "$dir/.htmlvalidate.json"
echo "$dir"
