"""Print the rows of Parquet files as JSON lines, read by a library that is not pith's.

usage: read_parquet.py duckdb|pyarrow FILE...    exit status 3: the library is not installed
"""

import json
import sys


def with_duckdb(paths):
    import duckdb

    cursor = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [paths])
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def with_pyarrow(paths):
    import pyarrow.parquet

    return [row for path in paths for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]


def main():
    read = {"duckdb": with_duckdb, "pyarrow": with_pyarrow}[sys.argv[1]]
    try:
        rows = read(sys.argv[2:])
    except ImportError as err:
        print(err, file=sys.stderr)
        sys.exit(3)
    for row in rows:
        print(json.dumps(row))


main()
