"""How much of a small table's run is our own time: all but the waiting for the database's answers.

Run by `tests/run bench-small`, as root, since it listens to what the process and the database say to each other. Time
between what went to the database and what came back, or between two pieces that came back, is the database's; all other
time of the process is ours, its start, its end and what it waits for the disk among it.
"""

import os
import pathlib
import shutil
import socket
import statistics
import struct
import sys
import tempfile
import time
import urllib.parse

import data

BINARY = os.environ["SQLEXTRACT_BINARY"]
RUNS = int(os.environ.get("RUNS", "20"))
OUT = pathlib.Path(os.environ.get("OUT", "target/bench"))
ROWS = 1000
GOAL_MS = 30
# No answer about the catalogue is that long, and the rows' is longer.
ROWS_BYTES = 16 << 10
ETHERTYPE_IP = 0x0800
ETHERNET_BYTES = 14
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35


class Ear:
    """Hears what clients and a server of this machine say to each other, and when, without standing between them."""

    def __init__(self, port):
        self.port = port
        self.heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_IP))
        self.heard.bind(("lo", 0))
        self.heard.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.heard.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.heard.setblocking(False)

    def talk(self):
        """What was said since the last time: seconds, the client's port, whether the server said it, and how many bytes."""
        while True:
            try:
                packet, extra, _, address = self.heard.recvmsg(1 << 17, 64)
            except BlockingIOError:
                return
            if address[2] == socket.PACKET_OUTGOING:
                # On its way through this machine each packet is seen as it leaves and as it comes.
                continue
            ip = packet[ETHERNET_BYTES:]
            header = (ip[0] & 15) * 4
            source, target = struct.unpack_from("!HH", ip, header)
            said = struct.unpack_from("!H", ip, 2)[0] - header - (ip[header + 12] >> 4) * 4
            if ip[9] != socket.IPPROTO_TCP or self.port not in (source, target):
                continue
            seconds, nanoseconds = struct.unpack("qq", extra[0][2])
            by_server = source == self.port
            yield seconds + nanoseconds / 1e9, target if by_server else source, by_server, said


def waits(talk):
    """When answers were waited for, as pairs of times, and when the rows came first.

    A packet without bytes opens or closes a connection, or acknowledges."""
    last, answers, found, rows = {}, {}, [], None
    for when, client, by_server, said in talk:
        if client not in last:
            last[client] = when
        if said == 0:
            continue
        answers[client] = answers.get(client, 0) + said if by_server else 0
        if by_server:
            found.append((last[client], when))
            if answers[client] >= ROWS_BYTES and rows is None:
                rows = when
        last[client] = when
    return found, rows


def covered(spans, until):
    """Seconds of all spans together, each moment once."""
    total, last = 0.0, 0.0
    for begin, end in sorted(spans):
        begin, end = max(begin, last), min(end, until)
        if end > begin:
            total += end - begin
            last = end
    return total


def run(url, folder):
    """Starts the command and answers with when it began and when it was done."""
    arguments = [BINARY, "extract", "--source", url, "--table", "small", "--output", str(folder), "--progress", "none"]
    # By the clock that packets are stamped with.
    begin = time.time()
    child = os.posix_spawn(BINARY, arguments, os.environ,
                           file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    # The sessions that the database ends with it take all processors, and the end must be seen before them.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    _, status = os.waitpid(child, 0)
    end = time.time()
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    if status != 0:
        raise SystemExit(f"{arguments} failed")
    return begin, end


def measure(url, folder):
    parts = urllib.parse.urlsplit(url)
    ear = Ear(parts.port)
    found = []
    for number in range(RUNS + 1):
        list(ear.talk())
        begin, end = run(url, folder / f"{parts.scheme}-{number}")
        waited, rows = waits(ear.talk())
        if rows is None:
            raise SystemExit("no answer was as long as the rows are")
        to_rows = rows - begin - covered(waited, rows)
        found.append([seconds * 1000 for seconds in (to_rows, end - begin - covered(waited, end), end - begin)])
    # The first run warms caches.
    return [statistics.median(column) for column in zip(*found[1:])]


def prepare():
    """A table of 1,000 rows in each of the servers."""
    urls = [data.other_database(os.environ[f"SQLEXTRACT_TEST_{name}"], "small") for name in ("POSTGRES", "MYSQL")]
    data.psql(os.environ["SQLEXTRACT_TEST_POSTGRES"], "DROP DATABASE IF EXISTS small", "CREATE DATABASE small")
    data.psql(urls[0], "CREATE TABLE small (id bigint PRIMARY KEY, name text NOT NULL, at timestamp NOT NULL)",
              f"INSERT INTO small SELECT i, 'name of ' || i, '2026-01-01'::timestamp + i * interval '1 s' "
              f"FROM generate_series(1, {ROWS}) AS g(i)", "VACUUM ANALYZE")
    data.mysql(os.environ["SQLEXTRACT_TEST_MYSQL"], f"""DROP DATABASE IF EXISTS small; CREATE DATABASE small; USE small;
CREATE TABLE small (id bigint PRIMARY KEY, name text NOT NULL, at datetime NOT NULL);
INSERT INTO small SELECT seq, concat('name of ', seq), '2026-01-01' + INTERVAL seq SECOND FROM seq_1_to_{ROWS};
ANALYZE TABLE small;""")
    return urls


def main():
    urls = prepare()
    # Not among temporary files: a file system may be slow to give out again what others have just given back.
    OUT.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(dir=OUT.resolve()))
    missed = False
    try:
        for name, url in zip(("PostgreSQL", "MariaDB"), urls):
            to_rows, own, whole = measure(url, folder)
            verdict = "met" if own <= GOAL_MS else "MISSED"
            missed |= own > GOAL_MS
            print(f"{name}, {ROWS} rows: {whole:.1f} ms from start to end, of which our own {own:.1f} "
                  f"(goal: {GOAL_MS}): {verdict}; our own before the first rows came {to_rows:.1f}; medians of {RUNS}")
    finally:
        shutil.rmtree(folder)
    sys.exit(missed)


main()
