"""What is measured: each work, who does it, and the goals it is held to."""

from dataclasses import dataclass, field


@dataclass
class Work:
    name: str
    kind: str
    table: str
    form: str
    compression: str
    # In the order of their turns.
    contenders: list
    goals: list = field(default_factory=list)
    # Of Parquet's encodings, where a contender has the choice.
    version: str = "v1"


@dataclass
class Goal:
    measure: str
    most: float
    # Beside the better of these; beside nothing: `most` is a number of the measure's own unit.
    beside: tuple = ("duckdb",)
    of: str = "sqlextract"


WALL, CPU, MEMORY, BYTES = "wall_seconds", "cpu_seconds", "memory_bytes", "bytes"
BOTH = ("duckdb", "connectorx")

WORKS = [
    Work("postgres-parquet-snappy", "postgres", "lineitem", "parquet", "snappy", ["sqlextract", "duckdb", "connectorx", "drain"],
         [Goal(WALL, 0.75), Goal(CPU, 0.6), Goal(MEMORY, 0.6), Goal(BYTES, 1.0), Goal(WALL, 1.25, ("drain",))]),
    Work("postgres-parquet-zstd", "postgres", "lineitem", "parquet", "zstd", ["sqlextract", "duckdb"],
         [Goal(WALL, 0.75), Goal(CPU, 0.6), Goal(MEMORY, 0.6), Goal(BYTES, 1.0)]),
    Work("postgres-parquet-v2-snappy", "postgres", "lineitem", "parquet", "snappy", ["sqlextract", "duckdb"], version="v2"),
    Work("postgres-parquet-v2-zstd", "postgres", "lineitem", "parquet", "zstd", ["sqlextract", "duckdb"], version="v2"),
    Work("postgres-csv", "postgres", "lineitem", "csv", "none", ["sqlextract", "duckdb"], [Goal(WALL, 0.8)]),
    Work("mariadb-parquet", "mysql", "lineitem", "parquet", "snappy", ["sqlextract", "duckdb", "connectorx"],
         [Goal(WALL, 0.6, BOTH), Goal(MEMORY, 160e6, ())]),
    Work("sqlite-parquet", "sqlite", "lineitem", "parquet", "snappy", ["sqlextract", "duckdb", "connectorx"], [Goal(WALL, 0.8, BOTH)]),
    Work("wide", "postgres", "wide", "parquet", "snappy", ["sqlextract", "duckdb"], [Goal(WALL, 0.85)]),
    Work("narrow", "postgres", "narrow", "parquet", "snappy", ["sqlextract", "duckdb"], [Goal(WALL, 0.85)]),
    Work("narrow-v2", "postgres", "narrow", "parquet", "snappy", ["sqlextract", "duckdb"], version="v2"),
    Work("long-text", "postgres", "long_text", "parquet", "snappy", ["sqlextract", "duckdb"], [Goal(WALL, 0.85)]),
    Work("numerics", "postgres", "numerics", "parquet", "snappy", ["sqlextract", "duckdb"], [Goal(WALL, 0.85)]),
    Work("postgres-parquet-s3", "postgres", "lineitem", "parquet", "snappy", ["sqlextract", "to disk"],
         [Goal(WALL, 1.15, ("to disk",))]),
    Work("workers", "postgres", "lineitem", "parquet", "snappy", ["1 worker", "2 workers", "4 workers", "8 workers"],
         [Goal(WALL, 1.1, ("1 worker", "2 workers", "4 workers", "8 workers"), of=of) for of in ("4 workers", "8 workers")]),
]
