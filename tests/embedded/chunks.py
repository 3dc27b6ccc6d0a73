"""Reads chunks with DuckDB: {"files", "format", "sql"} in, the rows of the query over the view `chunks` out, as text."""

import csv
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
    # Every option is named: detection would hide a file that is not in the dialect. Quoted fields are never NULL.
    with open(files[0], newline="", encoding="utf-8") as file:
        names = next(csv.reader(file))
    quoted = lambda text: "'" + text.replace("'", "''") + "'"
    listed = ", ".join(quoted(file) for file in files)
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    chunks = connection.sql(
        f"SELECT * FROM read_csv([{listed}], columns = {{{columns}}}, auto_detect = false, header = true, delim = ',', "
        "quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false, strict_mode = true, max_line_size = 64000000)"
    )
chunks.create_view("chunks")
rows = connection.execute(asked["sql"]).fetchall()
json.dump([[None if cell is None else str(cell) for cell in row] for row in rows], sys.stdout)
