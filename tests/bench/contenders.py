"""The command line of each contender for a work."""

import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
BINARY = os.environ["SQLEXTRACT_BINARY"]


def sqlextract(url, work, out, *more):
    source = f"sqlite://{url}" if work.kind == "sqlite" else url
    compression = [] if work.form == "csv" else ["--compression", work.compression, "--parquet-version", work.version]
    return [BINARY, "extract", "--source", source, "--table", work.table, "--output", str(out), "--format", work.form,
            *compression, "--buffer-size", "192MB", "--progress", "none", *more]


def drain(url, work):
    """Two binary COPYs of half of the blocks each, to nowhere: what no reader can be faster than."""
    blocks = subprocess.run(["psql", "-X", "-At", url, "-c", f"SELECT pg_relation_size('{work.table}') / 8192"],
                            check=True, capture_output=True, text=True).stdout.strip()
    half = int(blocks) // 2
    copies = [f"psql -X -q '{url}' -c \"\\copy (SELECT * FROM {work.table} WHERE ctid {bound} '({half},0)') "
              "TO '/dev/null' (FORMAT binary)\"" for bound in ("<", ">=")]
    return ["/bin/sh", "-c", f"{copies[0]} & {copies[1]}; wait"]


def command(name, url, work, out, s3):
    if name == "drain":
        return drain(url, work), {}
    if name in ("duckdb", "connectorx"):
        return [sys.executable, str(HERE / "peer.py"), name, work.kind, url, work.table, work.form, work.compression,
                work.version, str(out)], {}
    if name.endswith("worker") or name.endswith("workers"):
        return sqlextract(url, work, out, "--workers", name.split()[0]), {}
    if work.name.endswith("s3") and name == "sqlextract":
        return sqlextract(url, work, f"s3://bench/{out.name}", "--allow-plaintext"), s3.variables()
    return sqlextract(url, work, out), {}


def run(command, variables):
    """What it took, as measure.py tells."""
    answer = subprocess.run([sys.executable, str(HERE / "measure.py"), *command], check=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=os.environ | variables)
    took = json.loads(answer.stdout)
    if took.pop("exit") != 0:
        raise SystemExit(f"{command} failed:\n{answer.stderr[-2000:]}")
    return took


class S3Server:
    """The S3 server of the tests, in a folder whose files are the objects."""

    def __init__(self, folder):
        program = pathlib.Path(BINARY).with_name("s3-server")
        self.folder = folder
        self.process = subprocess.Popen([program, "--root", folder, "--bucket", "bench"], stdout=subprocess.PIPE,
                                        text=True)
        self.url = self.process.stdout.readline().strip()

    def variables(self):
        return {"AWS_ENDPOINT_URL": self.url, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test-secret"}

    def stop(self):
        self.process.terminate()
        self.process.wait()
