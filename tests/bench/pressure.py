"""What an extraction with its defaults puts on PostgreSQL, told by the server and by somebody who reads points beside it.

Run by `tests/run bench-pressure`. SCALE (1) is lineitem's scale factor, SECONDS (10) how long points are read alone and
beside, RATE (200) their number per second. Fails where a goal is missed; the figures are in OUT (target/bench)/pressure.json.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import contenders
import data
import works

ADMIN = os.environ["SQLEXTRACT_TEST_POSTGRES"]
SCALE = float(os.environ.get("SCALE", "1"))
SECONDS = int(os.environ.get("SECONDS", "10"))
RATE = int(os.environ.get("RATE", "200"))
OUT = pathlib.Path(os.environ.get("OUT", "target/bench"))
POINTS = 1_000_000

LONGEST_STATEMENT_SECONDS, BLOCKS_RATIO, TEMPORARY_BYTES = 15, 1.1, 0

WORK = next(work for work in works.WORKS if work.name == "postgres-parquet-snappy")
SESSIONS = ("SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)) FILTER (WHERE state = 'active'), 0), "
            "coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0), count(*) FROM pg_stat_activity "
            "WHERE application_name = 'sqlextract'")


def ask(url, question):
    answer = subprocess.run(["psql", "-X", "-At", "-F", " ", url, "-c", question], check=True, capture_output=True, text=True)
    return answer.stdout.split()


def counters(url):
    """Blocks of lineitem that were read, from the cache or not, and temporary bytes of the database, so far."""
    time.sleep(1.5)  # A session tells its counts when it ends or after a second of rest.
    return [int(count) for count in ask(url, "SELECT heap_blks_read + heap_blks_hit, (SELECT temp_bytes FROM pg_stat_database "
                                             "WHERE datname = current_database()) FROM pg_statio_user_tables "
                                             "WHERE relname = 'lineitem'")]


def extract(url, folder):
    out = folder / "out"
    took = contenders.run(contenders.sqlextract(url, WORK, out), {})
    shutil.rmtree(out)
    return took


def pressure(url, folder):
    """One extraction, watched from a session of its own."""
    before = counters(url)
    watch = subprocess.Popen(["psql", "-X", "-At", "-F", " ", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    watch.stdin.write(f"{SESSIONS} \\watch 0.02\n")
    watch.stdin.flush()
    took = extract(url, folder)
    watch.terminate()
    seen = [line.split() for line in watch.communicate()[0].splitlines()]
    seen = [[float(cell) for cell in cells] for cells in seen if len(cells) == 3]
    after = counters(url)
    blocks = int(ask(url, "SELECT pg_relation_size('lineitem') / 8192")[0])
    return {"wall_seconds": took["wall_seconds"], "longest_statement_seconds": max(cells[0] for cells in seen),
            "longest_transaction_seconds": max(cells[1] for cells in seen), "peak_connections": max(cells[2] for cells in seen),
            "table_blocks": blocks, "blocks_read": after[0] - before[0], "temporary_bytes": after[1] - before[1]}


def points(url, folder, beside):
    """Milliseconds of each look-up of one row by its key."""
    script = folder / "point.sql"
    script.write_text(f"\\set id random(1, {POINTS})\nSELECT note FROM points WHERE id = :id;\n")
    reader = subprocess.Popen(["pgbench", "-n", "-f", script, "-R", str(RATE), "-T", str(SECONDS), "-l", "--log-prefix",
                               folder / "points", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while beside and reader.poll() is None:
        extract(url, folder)
    if reader.wait() != 0:
        raise SystemExit("pgbench failed")
    log, = folder.glob("points.*")
    took = [int(line.split()[2]) / 1000 for line in log.read_text().splitlines()]
    log.unlink()
    cuts = statistics.quantiles(took, n=100)
    return {"p50_ms": cuts[49], "p99_ms": cuts[98], "lookups": len(took)}


def main():
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        folder = pathlib.Path(folder)
        url = data.postgres(ADMIN, folder, SCALE, ["lineitem"])
        data.psql(url, "CREATE TABLE points (id integer PRIMARY KEY, note text NOT NULL)",
                  f"INSERT INTO points SELECT i, md5(i::text) FROM generate_series(1, {POINTS}) i", "VACUUM ANALYZE points")
        points(url, folder, False)
        told = pressure(url, folder) | {"points_alone": points(url, folder, False), "points_beside": points(url, folder, True)}
    told |= {"scale": SCALE, "points_per_second": RATE}
    ratio = told["blocks_read"] / told["table_blocks"]
    goals = [
        (told["longest_statement_seconds"] <= LONGEST_STATEMENT_SECONDS,
         f"longest statement {told['longest_statement_seconds']:.2f} s (goal: {LONGEST_STATEMENT_SECONDS})"),
        (ratio <= BLOCKS_RATIO, f"blocks of the table read {ratio:.3f} times (goal: {BLOCKS_RATIO})"),
        (told["temporary_bytes"] <= TEMPORARY_BYTES, f"temporary bytes {told['temporary_bytes']} (goal: {TEMPORARY_BYTES})"),
    ]
    for met, text in goals:
        print(f"{text}: {'met' if met else 'MISSED'}")
    print(f"longest transaction {told['longest_transaction_seconds']:.2f} s of {told['wall_seconds']:.2f} s; "
          f"at most {told['peak_connections']:.0f} connections")
    for when in ("alone", "beside"):
        found = told[f"points_{when}"]
        print(f"points read {when}: p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms of {found['lookups']}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "pressure.json").write_text(json.dumps(told, indent=1) + "\n")
    raise SystemExit(0 if all(met for met, _ in goals) else 1)


main()
