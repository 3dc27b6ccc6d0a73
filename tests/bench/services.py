"""The services on RabbitMQ, Redis and S3: how soon a small job is done, how fast small batches go through, and what a large
table costs beside the same table extracted by one process to the same store.

Run by `tests/run bench-services [latency|batches|lineitem…]`. SCALE (1) is lineitem's scale factor, RUNS (3) its rounds,
BATCHES (10000) the small batches, WORKERS (2) those of the one extractor and of the process beside it. One
replica of each service, with its logs in the folder; fails where a goal is missed.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import pika

from contenders import BINARY, S3Server
from data import LINEITEM, LINEITEM_KEY, lineitem_csv, other_database, psql

ADMIN = os.environ["SQLEXTRACT_TEST_POSTGRES"]
BROKER = os.environ["SQLEXTRACT_TEST_RABBITMQ"]
SCALE = float(os.environ.get("SCALE", "1"))
RUNS = int(os.environ.get("RUNS", "3"))
WORKERS = os.environ.get("WORKERS", "2")
SMALL_JOBS = 30
BATCHES = int(os.environ.get("BATCHES", "10000"))

ROLES = ["planner", "extractor", "scripter"]
LATENCY_GOAL_MS, BATCHES_GOAL, LINEITEM_GOAL = 150, 300, 1.10


def prepare(folder):
    """A database of three tables, made once."""
    url = other_database(ADMIN, "bench_services")
    known = subprocess.run(["psql", "-X", "-At", url, "-c", "SELECT relname FROM pg_class"], capture_output=True, text=True)
    if known.returncode != 0:
        psql(ADMIN, "CREATE DATABASE bench_services")
    tables = known.stdout.split()
    if "one_row" not in tables:
        psql(url, "CREATE TABLE one_row (id integer PRIMARY KEY, note text NOT NULL)",
             "INSERT INTO one_row VALUES (1, 'the only row')", "VACUUM ANALYZE one_row")
    small = f"small_{BATCHES}"
    if small not in tables:
        psql(url, f"CREATE TABLE {small} (id integer PRIMARY KEY, note text NOT NULL)",
             f"INSERT INTO {small} SELECT i, 'row ' || i FROM generate_series(1, {BATCHES}) i", f"VACUUM ANALYZE {small}")
    if "lineitem" not in tables:
        declared = ", ".join(f"{name} {sql} NOT NULL" for name, sql, _ in LINEITEM)
        psql(url, f"CREATE TABLE lineitem ({declared})",
             f"\\copy lineitem FROM '{lineitem_csv(folder, SCALE)}' WITH (FORMAT csv, HEADER)",
             f"ALTER TABLE lineitem ADD PRIMARY KEY ({LINEITEM_KEY})", "VACUUM ANALYZE lineitem")
    return url


class Fleet:
    """Planner, extractor and scripter, each a process."""

    def __init__(self, folder, url, s3):
        self.prefix = f"bench-{os.getpid()}"
        self.settings = folder / "fleet.toml"
        self.settings.write_text(
            f'[queue]\nurl = "env:SQLEXTRACT_TEST_RABBITMQ"\nprefix = "{self.prefix}"\n'
            f'[checkpoint]\nurl = "env:SQLEXTRACT_TEST_REDIS"\nprefix = "{self.prefix}"\n'
            f'[sources.bench]\nurl = "{url}"\ntables = ["public.*"]\n'
            '[destinations.lake]\nlocation = "s3://bench/lake"\n'
            f'[extractor]\nworkers = {WORKERS}\nbuffer_size = "128MB"\n'
        )
        self.environment = os.environ | s3.variables()
        self.run("topology", "apply")
        self.services = []
        for role in ROLES:
            with open(folder / f"{role}.log", "w", encoding="utf-8") as log:
                self.services.append(subprocess.Popen([BINARY, "--config", self.settings, "serve", role],
                                                      env=self.environment, stdout=log, stderr=log))
        self.connection = pika.BlockingConnection(pika.URLParameters(BROKER))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.answers = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(self.answers, f"{self.prefix}.events", "extraction.#")
        self.asked = 0

    def run(self, *arguments):
        subprocess.run([BINARY, "--config", self.settings, *arguments], check=True, env=self.environment,
                       stdout=subprocess.DEVNULL)

    def extract(self, table, **data):
        """Seconds from the request to its completion, and the totals."""
        self.asked += 1
        # Each time another job: the size of a chunk is part of what a job is.
        data = {"source": "bench", "destination": "lake", "tables": [{"name": table}], **data}
        data["chunk_bytes"] = data.get("chunk_bytes", 64_000_000) + self.asked
        request = {"specversion": "1.0", "id": f"{self.prefix}-{self.asked}", "source": "/bench", "data": data,
                   "type": "io.sqlextract.extraction.requested.v1"}
        began = time.monotonic()
        self.channel.basic_publish(f"{self.prefix}.requests", "", json.dumps(request).encode(),
                                   pika.BasicProperties(delivery_mode=2))
        for _, _, body in self.channel.consume(self.answers, auto_ack=True, inactivity_timeout=300):
            if body is None:
                raise SystemExit(f"{table} is not done after 300 s without a word")
            event = json.loads(body)
            if event["data"].get("request") != request["id"] or event["data"].get("table"):
                continue
            last = event["type"].split(".")[3]
            if last in ("rejected", "failed", "cancelled"):
                raise SystemExit(body.decode())
            if last == "completed":
                return time.monotonic() - began, event["data"]["totals"]

    def cpu_seconds(self):
        """What each role has spent so far."""
        spent = {}
        for role, service in zip(ROLES, self.services):
            fields = pathlib.Path(f"/proc/{service.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            spent[role] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return spent

    def stop(self):
        self.connection.close()
        for service in self.services:
            service.terminate()
        for service in self.services:
            service.wait()
        broker = pika.BlockingConnection(pika.URLParameters(BROKER))
        channel = broker.channel()
        for queue in ["requests", "ticks", "batches.bench", "scripter", "parked"]:
            channel.queue_delete(f"{self.prefix}.{queue}")
        broker.close()


def goal(met, text):
    print(f"{text}: {'met' if met else 'MISSED'}", flush=True)
    return met


def latency(fleet, _):
    fleet.extract("public.one_row")
    took = []
    for _ in range(SMALL_JOBS):
        time.sleep(0.2)
        took.append(1000 * fleet.extract("public.one_row")[0])
    median, worst = statistics.median(took), max(took)
    return goal(median <= LATENCY_GOAL_MS,
                f"one row, request to completion: median {median:.0f} ms, worst of {SMALL_JOBS} {worst:.0f} ms "
                f"(goal: median {LATENCY_GOAL_MS} ms)")


def batches(fleet, _):
    before = fleet.cpu_seconds()
    seconds, totals = fleet.extract(f"public.small_{BATCHES}", batch_rows=1, consistency="batch")
    rate = totals["batches"] / seconds
    assert totals["rows"] == BATCHES, totals
    for role, spent in fleet.cpu_seconds().items():
        print(f"CPU of the {role}: {1000 * (spent - before[role]) / BATCHES:.2f} ms a batch")
    return goal(rate >= BATCHES_GOAL,
                f"{totals['batches']} batches of one row in {seconds:.1f} s: {rate:.0f} batches/s (goal: {BATCHES_GOAL})")


def embedded(fleet, url, number):
    command = [BINARY, "extract", "--source", url, "--table", "lineitem", "--output", f"s3://bench/embedded-{number}",
               "--allow-plaintext", "--workers", WORKERS, "--buffer-size", "128MB", "--progress", "none"]
    began = time.monotonic()
    subprocess.run(command, check=True, env=fleet.environment, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def lineitem(fleet, url):
    alone, served = [], []
    for number in range(RUNS):
        alone.append(embedded(fleet, url, number))
        served.append(fleet.extract("public.lineitem")[0])
    one, other = statistics.median(alone), statistics.median(served)
    return goal(other <= LINEITEM_GOAL * one,
                f"lineitem at scale {SCALE:g}: embedded {one:.2f} s {sorted(alone)}, services {other:.2f} s {sorted(served)}: "
                f"{other / one:.3f} (goal: {LINEITEM_GOAL:.2f})")


WORKS = {"latency": latency, "batches": batches, "lineitem": lineitem}


def main():
    chosen = sys.argv[1:] or list(WORKS)
    if unknown := [name for name in chosen if name not in WORKS]:
        raise SystemExit(f"no work is called {', '.join(unknown)}; there are: {', '.join(WORKS)}")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        folder = pathlib.Path(os.environ.get("FOLDER", folder))
        url = prepare(folder)
        s3 = S3Server(folder / "s3")
        fleet = Fleet(folder, url, s3)
        try:
            met = [WORKS[name](fleet, url) for name in chosen]
        finally:
            fleet.stop()
            s3.stop()
    sys.exit(0 if all(met) else 1)


main()
