"""Whether two results hold the same values: counts and sums per column, in a form that all writers agree on."""

import pathlib

import data


def fingerprint(folder, table, form):
    import duckdb

    files = [str(file) for file in sorted(pathlib.Path(folder).rglob(f"*.{form}"))]
    if not files:
        raise SystemExit(f"{folder} holds no {form} file")
    parts = ["count(*)"]
    for name, kind in data.columns(table):
        text = f"rtrim(CAST({name} AS VARCHAR))"
        parts.append(f"count({name})")
        parts.append({
            # Floats instead of decimals are a peer's choice; the values must be there all the same.
            data.NUMBER: f"sum(CAST(round(CAST({name} AS DOUBLE) * 100) AS HUGEINT))",
            data.TEXT: f"sum(CAST(hash({text}) AS HUGEINT))",
            data.DATE: f"sum(CAST(hash(CAST(CAST({name} AS DATE) AS VARCHAR)) AS HUGEINT))",
        }[kind])
    reader = "read_csv(?, header = true, all_varchar = true)" if form == "csv" else "read_parquet(?)"
    return duckdb.connect().execute(f"SELECT {', '.join(parts)} FROM {reader}", [files]).fetchone()


def stored_bytes(folder, form):
    return sum(file.stat().st_size for file in pathlib.Path(folder).rglob(f"*.{form}"))
