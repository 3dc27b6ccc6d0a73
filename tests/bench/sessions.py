"""lineitem into PostgreSQL by the script of one session and by the driver of several: in turn, best of RUNS.

Run by `tests/run sessions` and `tests/run full`. SCALE (default 1) is TPC-H's scale factor, SESSIONS (default 2,4) what is
compared with one. Each load goes into a database of its own and is compared with the source; it fails where no number of
sessions is faster.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse

from data import other_database, postgres, psql

BINARY = os.environ["SQLEXTRACT_BINARY"]
ADMIN = os.environ["SQLEXTRACT_TEST_POSTGRES"]
SCALE = float(os.environ.get("SCALE", "1"))
RUNS = int(os.environ.get("RUNS", "3"))
SESSIONS = [int(number) for number in os.environ.get("SESSIONS", "2,4").split(",")]
CHECK = "SELECT count(*), sum(l_orderkey), sum(l_extendedprice), sum(hashtext(l_comment)), max(l_shipdate) FROM lineitem"


def facts(url):
    told = subprocess.run(["psql", "-X", "-A", "-t", url, "-c", CHECK], check=True, capture_output=True, text=True)
    return told.stdout.strip()


def load(script, folder):
    """Seconds of one load into an empty database, and what is in it then."""
    name = "bench_target"
    psql(ADMIN, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    parts = urllib.parse.urlsplit(ADMIN)
    environment = dict(os.environ, PATH=f"{folder}/bin:{os.environ['PATH']}", PGHOST=parts.hostname, PGPORT=str(parts.port),
                       PGUSER=parts.username, PGPASSWORD=parts.password or "", PGDATABASE=name)
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", script] if script.suffix == ".sql" else ["bash", script]
    start = time.monotonic()
    subprocess.run(command, check=True, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - start, facts(other_database(ADMIN, name))


def main():
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        folder = pathlib.Path(folder)
        (folder / "bin").mkdir()
        (folder / "bin/sqlextract").symlink_to(pathlib.Path(BINARY).resolve())
        source = postgres(ADMIN, folder, SCALE, ["lineitem"])
        out = folder / "out"
        subprocess.run([BINARY, "extract", "--source", source, "--table", "lineitem", "--output", out, "--progress", "none"],
                       check=True, stdout=subprocess.DEVNULL)
        scripts = {}
        for sessions in [1, *SESSIONS]:
            script = folder / (f"load-{sessions}.sql" if sessions == 1 else f"load-{sessions}.sh")
            flags = [] if sessions == 1 else ["--parallel", str(sessions)]
            subprocess.run([BINARY, "generate-ingest", "--target", "postgres", "--output", out, "-o", script, *flags],
                           check=True, stderr=subprocess.DEVNULL)
            scripts[sessions] = script
        expected, best = facts(source), {}
        for _ in range(RUNS):
            for sessions, script in scripts.items():
                seconds, found = load(script, folder)
                assert found == expected, f"{sessions} sessions loaded {found}, the source has {expected}"
                best[sessions] = min(seconds, best.get(sessions, seconds))
        psql(ADMIN, "DROP DATABASE IF EXISTS bench_target", "DROP DATABASE IF EXISTS bench")
    for sessions, seconds in best.items():
        print(f"{sessions} session{'s' if sessions > 1 else ''}: {seconds:.2f} s, {best[1] / seconds:.2f} times as fast as one")
    sys.exit(0 if max(best[1] / best[n] for n in SESSIONS) > 1 else 1)


if __name__ == "__main__":
    main()
