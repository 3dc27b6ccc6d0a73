"""Runs our Snowflake scripts in fakesnow (DuckDB underneath), as far as it goes.

What it does not know is taken out first, and nothing else: options of sessions and file formats, the SELECT within a COPY,
the name of a row's file, the comparison over its catalogue, the transaction (its MERGE takes none). So this judges the order of statements, the COPY of named files, the count, the
ledger and the publication; not how Snowflake reads a CSV.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import fakesnow
import snowflake.connector

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import statements

GOLDEN = Path(__file__).parent.parent.parent / "shared/ingest-sql/tests/golden"
UNKNOWN = ("RECORD_DELIMITER = '\\n'", "ESCAPE = NONE", "ENCODING = 'UTF8'", "TRIM_SPACE = FALSE", "SKIP_BLANK_LINES = FALSE")


def reduced(text, folder):
    """The statements that fakesnow can run; `folder` stands for the bucket."""
    for option in UNKNOWN:
        text = text.replace(option, "")
    text = re.sub(r"URL = '[^']*' STORAGE_INTEGRATION = \"[^\"]*\"", f"URL = 'file://{folder}/'", text)
    text = text.replace("TRANSIENT TABLE", "TABLE").replace("COMPRESSION = NONE", "").replace("BINARY(67108864)", "BINARY").replace(', "SQLEXTRACT_FILE")', ")")
    # A SELECT over a CSV's fields is unknown to it: the fields go as they are.
    text = re.sub(r"FROM \(\n  SELECT \$1.*?METADATA\$FILENAME\n  FROM (@\S+)\n\)", r"FROM \1", text, flags=re.S)
    for statement in statements.snowflake(text):
        if statement.startswith(("ALTER SESSION", "USE WAREHOUSE", "USE DATABASE", "BEGIN TRANSACTION", "COMMIT")) or "wrong_files" in statement:
            continue
        if "AS differences" in statement or "ADD COLUMN" in statement:
            continue
        yield statement


def files(folder, rows):
    """The extraction that the scripts were written for: one chunk of two rows."""
    path = folder / "orders-0123abcd/data/shop.notes/g0001"
    path.mkdir(parents=True)
    lines = "".join(f"{number},{text},{photo}\n" for number, text, photo in rows)
    (path / "batch-0000000-00000000000000aa-00.csv").write_text("id,note,photo\n" + lines)


def run(mode, before, rows, expected):
    with tempfile.TemporaryDirectory() as folder, fakesnow.patch():
        folder = Path(folder)
        files(folder, rows)
        cursor = snowflake.connector.connect(database="ANALYTICS", schema="RAW").cursor()
        cursor.execute('CREATE TABLE "ANALYTICS"."RAW"."NOTES" ("ID" NUMBER(19,0), "NOTE" VARCHAR, "PHOTO" BINARY)')
        for row in before:
            cursor.execute(f'INSERT INTO "ANALYTICS"."RAW"."NOTES" SELECT {row}, \'before\', NULL')
        text = (GOLDEN / f"snowflake-{mode}.sql").read_text()
        for _ in range(2):
            for statement in reduced(text, folder):
                try:
                    cursor.execute(statement)
                except Exception:
                    print(statement, file=sys.stderr)
                    raise
            found = cursor.execute('SELECT "ID", "NOTE" FROM "ANALYTICS"."RAW"."NOTES" ORDER BY 1, 2').fetchall()
            assert found == expected, f"{mode}: {found}"
    print(f"snowflake, executed: {mode} twice: {len(expected)} rows as expected")


def refuses_other_counts():
    with tempfile.TemporaryDirectory() as folder, fakesnow.patch():
        folder = Path(folder)
        files(folder, [(1, "a", "00"), (2, "b", ""), (3, "c", "")])
        cursor = snowflake.connector.connect(database="ANALYTICS", schema="RAW").cursor()
        text = (GOLDEN / "snowflake-replace.sql").read_text()
        failed = []
        for statement in reduced(text, folder):
            # A client that goes on after errors.
            try:
                cursor.execute(statement)
            except Exception as error:
                failed.append(str(error))
        assert any("3 rows were loaded, the manifest says 2" in error for error in failed), failed
        found = cursor.execute('SELECT COUNT(*) FROM "ANALYTICS"."RAW"."NOTES"').fetchone()
        assert found == (0,), "a wrong count was published"
    print("snowflake, executed: a wrong count fails the script, and nothing is published though the client goes on")


ROWS = [(1, '"a, ""b""\nc"', "00ff"), (2, "it's", "")]
run("append", [1, 7], ROWS, [(1, 'a, "b"\nc'), (1, "before"), (2, "it's"), (7, "before")])
run("replace", [1, 7], ROWS, [(1, 'a, "b"\nc'), (2, "it's")])
run("merge", [1, 7], ROWS, [(1, 'a, "b"\nc'), (2, "it's"), (7, "before")])
refuses_other_counts()
