"""lineitem from PostgreSQL to Parquet (snappy), beside DuckDB's COPY of the same table: in turn, median of five.

Run by `tests/run bench`. SCALE (default 1) is TPC-H's scale factor. The values of both results are compared first.
"""

import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

SCALE = os.environ.get("SCALE", "1")
RUNS = int(os.environ.get("RUNS", "5"))
BINARY = os.environ["SQLEXTRACT_BINARY"]
ADMIN = os.environ["SQLEXTRACT_TEST_POSTGRES"]
COLUMNS = """l_orderkey bigint not null, l_partkey bigint not null, l_suppkey bigint not null, l_linenumber int not null,
l_quantity numeric(15,2) not null, l_extendedprice numeric(15,2) not null, l_discount numeric(15,2) not null,
l_tax numeric(15,2) not null, l_returnflag char(1) not null, l_linestatus char(1) not null, l_shipdate date not null,
l_commitdate date not null, l_receiptdate date not null, l_shipinstruct char(25) not null, l_shipmode char(10) not null,
l_comment varchar(44) not null"""
CHECK = """count(*), sum(l_orderkey), sum(l_quantity), sum(l_extendedprice), sum(length(trim(l_comment))), min(l_shipdate),
max(l_receiptdate), count(distinct l_shipmode)"""


def psql(url, *statements):
    for statement in statements:
        subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url, "-c", statement], check=True)


def prepare(folder):
    name = "bench_lineitem"
    parts = urllib.parse.urlsplit(ADMIN)
    url = urllib.parse.urlunsplit(parts._replace(path=f"/{name}"))
    psql(ADMIN, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    generator = pathlib.Path(sys.executable).with_name("tpchgen-cli")
    subprocess.run([generator, "csv", "-s", SCALE, "--tables", "lineitem", "--output-dir", folder], check=True)
    psql(url, f"CREATE TABLE lineitem ({COLUMNS})")
    psql(url, f"\\copy lineitem FROM '{folder}/lineitem.csv' WITH (FORMAT csv, HEADER)")
    psql(url, "VACUUM ANALYZE lineitem")
    return url


def timed(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(url, out):
    return [BINARY, "extract", "--source", url, "--table", "lineitem", "--output", out, "--compression", "snappy",
            "--buffer-size", "128MB", "--progress", "none"]


def duckdb(url, out):
    # DuckDB's extensions come as Python packages, since its own download needs another network.
    program = f"""
import duckdb, os
from duckdb_extensions import import_extension
import_extension("postgres_scanner")
os.makedirs({str(out)!r}, exist_ok=True)
db = duckdb.connect()
db.execute("SET threads = 2")
db.execute("LOAD postgres_scanner")
db.execute("ATTACH '{url}' AS pg (TYPE postgres, READ_ONLY)")
db.execute("COPY (SELECT * FROM pg.public.lineitem) TO '{out}/lineitem.parquet' (FORMAT parquet, COMPRESSION snappy)")
"""
    return [sys.executable, "-c", program]


def checked(pattern):
    import duckdb as reader

    return reader.connect().execute(f"SELECT {CHECK} FROM read_parquet('{pattern}')").fetchone()


def main():
    with tempfile.TemporaryDirectory() as folder:
        url = prepare(folder)
        times = {"sqlextract": [], "duckdb": []}
        results = {}
        for run in range(RUNS + 1):
            for name, make, pattern in [("sqlextract", ours, "**/data/**/*.parquet"), ("duckdb", duckdb, "*.parquet")]:
                out = pathlib.Path(folder) / name
                shutil.rmtree(out, ignore_errors=True)
                took = timed(make(url, out))
                results[name] = checked(f"{out}/{pattern}")
                if run > 0:  # the first round warms the caches
                    times[name].append(took)
        if results["sqlextract"] != results["duckdb"]:
            sys.exit(f"the results differ: {results}")
        for name, took in times.items():
            wall = statistics.median(t[0] for t in took)
            cpu = statistics.median(t[1] for t in took)
            print(f"{name}: wall {wall:.2f} s, client CPU {cpu:.2f} s (median of {RUNS})")
        ratio = statistics.median(a[0] / b[0] for a, b in zip(times["sqlextract"], times["duckdb"]))
        print(f"wall ratio sqlextract / duckdb: {ratio:.2f}")


main()
