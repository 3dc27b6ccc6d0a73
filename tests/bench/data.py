"""The tables that are measured, and the databases that hold them. Made once per folder and scale."""

import pathlib
import sqlite3
import subprocess
import sys
import urllib.parse

# Columns by kind: what the comparison of results casts them to.
NUMBER, TEXT, DATE = "number", "text", "date"

LINEITEM = [
    ("l_orderkey", "bigint", NUMBER), ("l_partkey", "bigint", NUMBER), ("l_suppkey", "bigint", NUMBER),
    ("l_linenumber", "int", NUMBER), ("l_quantity", "decimal(15,2)", NUMBER),
    ("l_extendedprice", "decimal(15,2)", NUMBER), ("l_discount", "decimal(15,2)", NUMBER),
    ("l_tax", "decimal(15,2)", NUMBER), ("l_returnflag", "char(1)", TEXT), ("l_linestatus", "char(1)", TEXT),
    ("l_shipdate", "date", DATE), ("l_commitdate", "date", DATE), ("l_receiptdate", "date", DATE),
    ("l_shipinstruct", "char(25)", TEXT), ("l_shipmode", "char(10)", TEXT), ("l_comment", "varchar(44)", TEXT),
]
LINEITEM_KEY = "l_orderkey, l_linenumber"

# Made by the database itself: rows at scale 1, columns, and the expression of each over the row's number `i`.
MADE = {
    "wide": (
        100_000,
        [("id", "bigint", NUMBER, "i")]
        + [(f"n{c}", "integer", NUMBER, f"CASE WHEN (i + {c}) % 2 = 0 THEN i * {c} % 100003 END") for c in range(100)]
        + [(f"t{c}", "text", TEXT, f"CASE WHEN (i + {c}) % 2 = 1 THEN 'value ' || i % 1009 END") for c in range(99)],
    ),
    "narrow": (30_000_000, [("a", "integer", NUMBER, "i"), ("b", "integer", NUMBER, "i % 1000003")]),
    "long_text": (
        500_000,
        [("id", "bigint", NUMBER, "i"), ("body", "text", TEXT, "repeat(md5(i::text), 31) || md5((i * 7)::text)")],
    ),
    "numerics": (
        1_000_000,
        [("id", "bigint", NUMBER, "i")]
        + [(f"d{c}", "numeric(18,4)", NUMBER, f"(i * {c + 3} % 1000000007) / 10000.0") for c in range(20)],
    ),
}


def columns(table):
    """(name, kind) of each column."""
    if table == "lineitem":
        return [(name, kind) for name, _, kind in LINEITEM]
    return [(name, kind) for name, _, kind, _ in MADE[table][1]]


def psql(url, *statements):
    for statement in statements:
        subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url, "-c", statement], check=True,
                       stdout=subprocess.DEVNULL)


def lineitem_csv(folder, scale):
    """The generator's file, without its header."""
    file = folder / "lineitem.csv"
    if not file.exists():
        generator = pathlib.Path(sys.executable).with_name("tpchgen-cli")
        subprocess.run([generator, "csv", "-s", str(scale), "--tables", "lineitem", "--output-dir", folder], check=True)
    return file


def other_database(url, name):
    return urllib.parse.urlunsplit(urllib.parse.urlsplit(url)._replace(path=f"/{name}"))


def postgres(admin, folder, scale, tables):
    url = other_database(admin, "bench")
    psql(admin, "DROP DATABASE IF EXISTS bench", "CREATE DATABASE bench")
    for table in tables:
        print(f"making {table} in PostgreSQL", file=sys.stderr)
        if table == "lineitem":
            declared = ", ".join(f"{name} {sql} NOT NULL" for name, sql, _ in LINEITEM)
            psql(url, f"CREATE TABLE lineitem ({declared})",
                 f"\\copy lineitem FROM '{lineitem_csv(folder, scale)}' WITH (FORMAT csv, HEADER)")
        else:
            rows, made = MADE[table]
            declared = ", ".join(f"{name} {sql}" for name, sql, _, _ in made)
            values = ", ".join(expression for *_, expression in made)
            psql(url, f"CREATE TABLE {table} ({declared})",
                 f"INSERT INTO {table} SELECT {values} FROM generate_series(1::bigint, {int(rows * scale)}) AS g(i)")
    psql(url, "VACUUM ANALYZE", "CHECKPOINT")
    return url


def mysql(url, script):
    parts = urllib.parse.urlsplit(url)
    login = ["-h", parts.hostname, "-P", str(parts.port), "-u", parts.username or "root"]
    if parts.password:
        login.append(f"--password={parts.password}")
    subprocess.run(["mariadb", "--no-defaults", "--protocol=tcp", "--local-infile=1", *login], input=script, text=True,
                   check=True, stdout=subprocess.DEVNULL)


def mariadb(admin, folder, scale):
    print("making lineitem in MariaDB", file=sys.stderr)
    declared = ", ".join(f"{name} {sql} NOT NULL" for name, sql, _ in LINEITEM)
    mysql(admin, f"""DROP DATABASE IF EXISTS bench; CREATE DATABASE bench; USE bench;
CREATE TABLE lineitem ({declared}, PRIMARY KEY ({LINEITEM_KEY}));
SET unique_checks = 0, foreign_key_checks = 0;
LOAD DATA LOCAL INFILE '{lineitem_csv(folder, scale)}' INTO TABLE lineitem FIELDS TERMINATED BY ',' IGNORE 1 LINES;
ANALYZE TABLE lineitem;""")
    return other_database(admin, "bench")


def sqlite(folder, scale):
    file = folder / "bench.db"
    if file.exists():
        return file
    print("making lineitem in SQLite", file=sys.stderr)
    import csv

    database = sqlite3.connect(file)
    declared = ", ".join(f"{name} {sql} NOT NULL" for name, sql, _ in LINEITEM)
    database.execute(f"CREATE TABLE lineitem ({declared})")
    with open(lineitem_csv(folder, scale), newline="") as lines:
        rows = csv.reader(lines)
        next(rows)
        database.executemany(f"INSERT INTO lineitem VALUES ({', '.join('?' * len(LINEITEM))})", rows)
    database.commit()
    database.execute("ANALYZE")
    database.close()
    return file
