"""Reads Parquet chunks with the types that a script declares: {"files", "columns": {name: type of Spark}, "spark"} in; per
reader what it saw out: {reader: {name: [type, values that are not NULL]}}, its types in the words of the script.
"""

import json
import re
import sys

WORDS = {
    "BOOLEAN": ("BOOLEAN", "bool"),
    "TINYINT": ("TINYINT", "int8"),
    "SMALLINT": ("SMALLINT", "int16"),
    "INT": ("INTEGER", "int32"),
    "BIGINT": ("BIGINT", "int64"),
    "FLOAT": ("FLOAT", "float"),
    "DOUBLE": ("DOUBLE", "double"),
    "STRING": ("VARCHAR", "string"),
    "BINARY": ("BLOB", "binary"),
    "DATE": ("DATE", "date32[day]"),
    "TIMESTAMP": ("TIMESTAMP WITH TIME ZONE", "timestamp[us, tz=UTC]"),
    "TIMESTAMP_NTZ": ("TIMESTAMP", "timestamp[us]"),
}


def in_words(told, reader):
    """A reader's type in the script's words; a type that has none stays as it is."""
    decimal = re.fullmatch(r"(?:DECIMAL|decimal128)\((\d+), ?(\d+)\)", told)
    if decimal:
        return f"DECIMAL({decimal.group(1)},{decimal.group(2)})"
    return next((word for word, names in WORDS.items() if names[reader] == told), told)


def by_duckdb(files, names):
    import duckdb

    relation = duckdb.connect().read_parquet(files)
    counts = relation.aggregate(", ".join(f'count("{name}")' for name in names)).fetchone()
    kinds = dict(zip(relation.columns, map(str, relation.types)))
    return {name: [in_words(kinds[name], 0), count] for name, count in zip(names, counts)}


def by_pyarrow(files, names):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.concat_tables(pyarrow.parquet.ParquetFile(file).read() for file in files)
    found = {}
    for name in names:
        column = table.column(name)
        found[name] = [in_words(str(column.type), 1), len(column) - column.null_count]
    return found


def by_spark(files, columns):
    """First without a word about types, then with those of the script: both must be the same."""
    from pyspark.sql import SparkSession, functions

    session = (
        SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    own = dict(session.read.parquet(*files).dtypes)
    declared = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
    frame = session.read.schema(declared).parquet(*files)
    counts = frame.agg(*[functions.count(f"`{name}`") for name in columns]).collect()[0]
    return {name: [own[name].upper(), count] for name, count in zip(columns, counts)}


def main():
    asked = json.load(sys.stdin)
    files, columns = asked["files"], asked["columns"]
    if asked["spark"]:
        seen = {"spark": by_spark(files, columns)}
    else:
        seen = {"duckdb": by_duckdb(files, list(columns)), "pyarrow": by_pyarrow(files, list(columns))}
    json.dump(seen, sys.stdout)


main()
