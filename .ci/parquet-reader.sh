#!/bin/sh
# Makes a Python with DuckDB and pyarrow in DIR (default: a folder under the user's cache) and
# prints its path, for PITH_PYTHON: the test that other readers open the logs needs one.
#   PITH_PYTHON=$(.ci/parquet-reader.sh) go test ./traces
set -eu
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/pith-parquet-reader}
if ! "$dir/bin/python" -c 'import duckdb, pyarrow' 2>/dev/null; then
	python3 -m venv "$dir" >&2
	"$dir/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1 >&2
fi
echo "$dir/bin/python"
