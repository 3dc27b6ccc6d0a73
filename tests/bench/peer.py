"""One peer's way to do a piece of work, as a program: peer.py NAME SOURCE_KIND URL TABLE FORMAT
COMPRESSION PARQUET_VERSION OUT."""

import os
import sys
import urllib.parse


def duckdb(kind, url, table, form, compression, version, out):
    import duckdb as engine
    from duckdb_extensions import import_extension

    # DuckDB's extensions come as Python packages.
    scanner = f"{kind}_scanner"
    import_extension(scanner)
    database = engine.connect()
    database.execute("SET threads = 2")
    database.execute(f"LOAD {scanner}")
    if kind == "mysql":
        parts = urllib.parse.urlsplit(url)
        password = f"password={parts.password}" if parts.password else ""
        url = f"host={parts.hostname} port={parts.port} user={parts.username} {password} database={parts.path[1:]}"
    database.execute(f"ATTACH '{url}' AS source (TYPE {kind}, READ_ONLY)")
    name = f"source.public.{table}" if kind == "postgres" else f"source.{table}"
    options = "FORMAT csv, HEADER" if form == "csv" else f"FORMAT parquet, COMPRESSION {compression}, PARQUET_VERSION {version}"
    database.execute(f"COPY (SELECT * FROM {name}) TO '{out}/{table}.{form}' ({options})")


def connectorx(kind, url, table, form, compression, _version, out):
    import connectorx as reader
    import pyarrow.csv
    import pyarrow.parquet

    url = f"sqlite://{url}" if kind == "sqlite" else url
    key = {"lineitem": "l_orderkey", "narrow": "a"}.get(table, "id")
    rows = reader.read_sql(url, f"SELECT * FROM {table}", partition_on=key, partition_num=2, return_type="arrow")
    if form == "csv":
        pyarrow.csv.write_csv(rows, f"{out}/{table}.csv")
    else:
        pyarrow.parquet.write_table(rows, f"{out}/{table}.parquet", compression=compression)


def main():
    name, *work = sys.argv[1:]
    os.makedirs(work[-1], exist_ok=True)
    {"duckdb": duckdb, "connectorx": connectorx}[name](*work)


main()
