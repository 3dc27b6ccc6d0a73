"""Reads chunks with DuckDB and with pyarrow: {"files", "format"} in; the rows out, once every cell is the same in both."""

import csv
import json
import sys

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

# One `md5(...)` of what is compared would hide which column differs: columns are compared one by one.


def by_duckdb(files, kind, names):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if kind == "parquet":
        return connection.read_parquet(files).to_arrow_table()
    quoted = lambda text: "'" + text.replace("'", "''") + "'"
    listed = ", ".join(quoted(file) for file in files)
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    return connection.sql(
        f"SELECT * FROM read_csv([{listed}], columns = {{{columns}}}, auto_detect = false, header = true, delim = ',', "
        "quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false, strict_mode = true, max_line_size = 64000000)"
    ).to_arrow_table()


def by_pyarrow(files, kind, names):
    if kind == "parquet":
        return pa.concat_tables(pyarrow.parquet.ParquetFile(file).read() for file in files)
    convert = pyarrow.csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    read = pyarrow.csv.ReadOptions(block_size=128 << 20)
    return pa.concat_tables(
        pyarrow.csv.read_csv(file, read_options=read, parse_options=parse, convert_options=convert) for file in files
    )


def plain(array):
    """The values in a type that both readers have, floats by their bits: NaN is equal to itself there."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    kind = array.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_dictionary(kind):
        return array.cast(pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return array.cast(pa.binary())
    if pa.types.is_float32(kind):
        return array.view(pa.int32())
    if pa.types.is_float64(kind):
        return array.view(pa.int64())
    if pa.types.is_timestamp(kind):
        return array.cast(pa.timestamp(kind.unit)).cast(pa.int64()) if kind.unit == "us" else array.view(pa.int64())
    if pa.types.is_list(kind):
        lengths = pa.compute.list_value_length(array)
        return pa.StructArray.from_arrays([lengths], ["lengths"]), plain(pa.compute.list_flatten(array))
    return array


def same(left, right):
    left, right = plain(left), plain(right)
    if isinstance(left, tuple):
        return left[0].equals(right[0]) and left[1].equals(right[1])
    if left.type != right.type and pa.types.is_decimal(left.type):
        right = right.cast(left.type)
    return left.type == right.type and left.equals(right)


asked = json.load(sys.stdin)
files, kind = asked["files"], asked["format"]
names = []
if kind == "csv":
    with open(files[0], newline="", encoding="utf-8") as file:
        names = next(csv.reader(file))
ours, theirs = by_duckdb(files, kind, names), by_pyarrow(files, kind, names)
if ours.num_rows != theirs.num_rows or ours.num_columns != theirs.num_columns:
    sys.exit(f"DuckDB reads {ours.num_rows} rows of {ours.num_columns}, pyarrow {theirs.num_rows} of {theirs.num_columns}")
for place, name in enumerate(theirs.column_names):
    if not same(ours.column(place), theirs.column(place)):
        sys.exit(f"column {name}: DuckDB reads {ours.column(place).slice(0, 20)}, pyarrow {theirs.column(place).slice(0, 20)}")
json.dump(theirs.num_rows, sys.stdout)
