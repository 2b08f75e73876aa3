#!/bin/sh
# Makes a Python with the readers that the logs and exports are checked with (DuckDB, pyarrow, pandas,
# Polars, TensorBoard, MLflow) in DIR (default: a folder under the user's cache) and prints its path,
# for PITH_PYTHON:
#   PITH_PYTHON=$(.ci/parquet-reader.sh) go test ./traces ./analysis/exporters
#   PITH_PYTHON=$(.ci/parquet-reader.sh) go test ./cmd/pith -run Queries
set -eu
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/pith-parquet-reader}
pins="duckdb==2.0.1 pyarrow==26.0.1 pandas==3.1.1 polars==2.1.0 tensorboard==2.21.0 mlflow-skinny==3.17.2"
if [ "$(cat "$dir/pins" 2>/dev/null)" != "$pins" ]; then
	python3 -m venv "$dir" >&2
	# shellcheck disable=SC2086 # the pins are words
	"$dir/bin/pip" install --quiet --disable-pip-version-check $pins >&2
	echo "$pins" >"$dir/pins"
fi
echo "$dir/bin/python"
