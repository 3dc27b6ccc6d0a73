"""Runs every work's contenders in turn, checks that their results hold the same values, and reports medians.

Run by `tests/run bench [WORK…]`. SCALE (1) is TPC-H's scale factor, RUNS (5) the counted rounds behind one that warms
caches, OUT (target/bench) where bench.json and bench.svg go. The servers are those of the tests.
"""

import datetime
import os
import pathlib
import shutil
import sys

import contenders
import data
import report
import results
import works

SCALE = float(os.environ.get("SCALE", "1"))
RUNS = int(os.environ.get("RUNS", "5"))
OUT = pathlib.Path(os.environ.get("OUT", "target/bench"))


def chosen(names):
    known = [work.name for work in works.WORKS]
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no work is called {', '.join(unknown)}; there are: {', '.join(known)}")
    return [work for work in works.WORKS if not names or work.name in names]


def prepare(chosen_works, folder):
    urls = {}
    if tables := [*dict.fromkeys(work.table for work in chosen_works if work.kind == "postgres")]:
        urls["postgres"] = data.postgres(os.environ["SQLEXTRACT_TEST_POSTGRES"], folder, SCALE, tables)
    if any(work.kind == "mysql" for work in chosen_works):
        urls["mysql"] = data.mariadb(os.environ["SQLEXTRACT_TEST_MYSQL"], folder, SCALE)
    if any(work.kind == "sqlite" for work in chosen_works):
        urls["sqlite"] = str(data.sqlite(folder, SCALE))
    (folder / "lineitem.csv").unlink(missing_ok=True)
    return urls


def measure(work, url, folder, s3):
    runs = {name: [] for name in work.contenders}
    prints = {}
    for round_number in range(RUNS + 1):
        for name in work.contenders:
            out = folder / "out" / f"{name.replace(' ', '-')}-{round_number}"
            command, variables = contenders.command(name, url, work, out, s3)
            took = contenders.run(command, variables)
            if name != "drain":
                stored = s3.folder / "bench" / out.name if variables else out
                took["bytes"] = results.stored_bytes(stored, work.form)
                prints[name] = results.fingerprint(stored, work.table, work.form)
                shutil.rmtree(stored)
            if round_number > 0:
                runs[name].append(took)
    if len(set(prints.values())) > 1:
        raise SystemExit(f"{work.name}: the results differ: {prints}")
    found = {name: report.medians(took) for name, took in runs.items()}
    return {"work": work.name, "table": work.table, "form": work.form, "compression": work.compression,
            "rounds": RUNS, "medians": found, "goals": report.verdicts(work, found), "runs": runs}


def main():
    selected = chosen(sys.argv[1:])
    folder = OUT / "data"
    shutil.rmtree(OUT / "data", ignore_errors=True)
    folder.mkdir(parents=True)
    folder = folder.resolve()
    urls = prepare(selected, folder)
    s3 = contenders.S3Server(folder / "s3") if any(work.name.endswith("s3") for work in selected) else None
    told = []
    try:
        for work in selected:
            print(f"measuring {work.name}", file=sys.stderr)
            told.append(measure(work, urls[work.kind], folder, s3))
            print(report.text(told[-1:]), flush=True)
    finally:
        if s3:
            s3.stop()
    shutil.rmtree(folder)
    command = " ".join(["tests/run bench", *sys.argv[1:]])
    report.write(told, OUT, datetime.date.today().isoformat(), command)
    print(f"\n{OUT}/bench.json and {OUT}/bench.svg hold the figures", file=sys.stderr)


main()
