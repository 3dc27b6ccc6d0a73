"""Reads chunks with DuckDB: {"files", "format", "sql"} in, the rows of the query over the view `chunks` out, as text."""

import json
import sys

import duckdb

asked = json.load(sys.stdin)
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
files = asked["files"]
if asked["format"] == "parquet":
    chunks = connection.read_parquet(files)
else:
    # Every option is named: detection would hide a file that is not in the dialect.
    chunks = connection.read_csv(
        files,
        header=True,
        all_varchar=True,
        delimiter=",",
        quotechar='"',
        escapechar='"',
        na_values="",
        auto_detect=False,
        strict_mode=True,
        columns={
            name: "VARCHAR"
            for name in connection.read_csv(files[0], header=True, all_varchar=True, delimiter=",", quotechar='"').columns
        },
    )
chunks.create_view("chunks")
rows = connection.execute(asked["sql"]).fetchall()
json.dump([[None if cell is None else str(cell) for cell in row] for row in rows], sys.stdout)
