"""Reads chunks with Spark as a script's COPY INTO says: {"copies": {format: {"files", "script"}}} in; out what differs between
the formats, value by value, once each script's own SELECT was applied.

Open-source Spark has no COPY INTO: its options are given to the reader, its SELECT to a query.
"""

import json
import re
import sys

from pyspark.sql import SparkSession


def rows(session, kind, files, script):
    # The first is the one into the staging table.
    pattern = r"\nCOPY INTO [^\n]*\nFROM \(\n  SELECT ([^\n]*), _metadata\.file_name.*?\nFORMAT_OPTIONS \((.*?)\)\nCOPY_OPTIONS"
    copy = re.search(pattern, script, re.S)
    select, told = copy.groups()
    options = dict(re.findall(r"'(\w+)' = '((?:[^'\\]|\\.)*)'", told))
    frame = session.read.options(**options).format(kind).load(files)
    frame.createOrReplaceTempView("chunk")
    columns = session.sql(f"SELECT {select} FROM chunk")
    # As text, so that NaN is equal to itself; bytes as hex.
    texts = [
        f"hex(`{name}`)" if kind == "binary" else f"CAST(`{name}` AS STRING)" for name, kind in columns.dtypes
    ]
    columns.createOrReplaceTempView("selected")
    found = session.sql(f"SELECT {', '.join(texts)} FROM selected ORDER BY `id`").collect()
    return columns.dtypes, [list(row) for row in found]


def main():
    copies = json.load(sys.stdin)["copies"]
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    read = {kind: rows(session, kind, copy["files"], copy["script"]) for kind, copy in copies.items()}
    (kinds, expected), (other_kinds, found) = read["parquet"], read["csv"]
    different = [] if kinds == other_kinds else [f"types: {kinds} and {other_kinds}"]
    if len(expected) != len(found):
        different.append(f"{len(expected)} rows of Parquet, {len(found)} of CSV")
    for number, (one, other) in enumerate(zip(expected, found)):
        for (name, kind), a, b in zip(kinds, one, other):
            if a != b:
                different.append(f"row {number} {name} {kind}: {a!r:.200} in Parquet, {b!r:.200} in CSV")
    json.dump({"rows": len(expected), "different": different[:50]}, sys.stdout)


main()
