"""What no parser knows: rules of the platforms' documentation, each a function from a script's text to complaints."""

import re

BIGQUERY_OPTIONS = {
    "format", "uris", "compression", "skip_leading_rows", "field_delimiter", "quote", "encoding", "allow_quoted_newlines",
    "allow_jagged_rows", "ignore_unknown_values", "max_bad_records", "preserve_ascii_control_characters", "enable_list_inference",
}
BIGQUERY_TYPES = {
    "BOOL", "INT64", "FLOAT64", "STRING", "JSON", "BYTES", "DATE", "TIME", "DATETIME", "TIMESTAMP", "NUMERIC", "BIGNUMERIC", "ARRAY",
}
MSSQL_TYPES = {
    "BIT", "SMALLINT", "INT", "BIGINT", "REAL", "FLOAT", "DECIMAL", "NVARCHAR", "VARCHAR", "UNIQUEIDENTIFIER", "VARBINARY", "DATE", "TIME",
    "DATETIME2", "DATETIMEOFFSET",
}


def bigquery(text):
    for literal in re.finditer(r"`(?:\\.|[^`\\])*`(`?)|'(?:\\.|[^'\\])*'('?)", text):
        if literal.group(1) or literal.group(2):
            yield f"a doubled quote, which ends the text: {literal.group(0)[:80]}"
    for files in re.findall(r"FROM FILES \(\n(.*?)\n *\)(?:\n|;)", text, re.S):
        for option in re.findall(r"^ *(\w+) *=", re.sub(r"'(?:\\.|[^'\\])*'", "''", files), re.M):
            if option not in BIGQUERY_OPTIONS:
                yield f"unknown load option {option}"
        uris = re.findall(r"'((?:\\.|[^'\\])*)'", files.split("uris = [")[-1])
        if any("*" in uri for uri in uris):
            yield "a pattern among the URIs"
        if len(uris) > 10_000:
            yield "more than 10,000 URIs"
    for load in re.findall(r"LOAD DATA (?:INTO|OVERWRITE) \S+( \()?", text):
        if not load:
            yield "LOAD DATA without declared columns: types would be guessed"
    for table in re.findall(r"(?:CREATE (?:OR REPLACE )?TABLE(?: IF NOT EXISTS)?|LOAD DATA \w+) \S+ \(\n(.*?)\n *\)", text, re.S):
        for kind in re.findall(r"^ *(?:`(?:\\.|[^`\\])*`|\w+) ([A-Z0-9]+)", table, re.M):
            if kind not in BIGQUERY_TYPES:
                yield f"unknown type {kind}"
    if re.search(r"gs://[^\]]*?\]\s*\)\s*WITH CONNECTION", text):
        yield "a connection for gs://, which needs none"


def mssql(text):
    for path, options in re.findall(r"BULK INSERT .*?\s+FROM '((?:[^']|'')*)'\s*WITH \((.*?)\);", text, re.S):
        if "*" in path:
            yield "a pattern in BULK INSERT"
        if "FORMAT = 'CSV'" not in options:
            yield "BULK INSERT without FORMAT = 'CSV': quotes become data"
        if "ROWTERMINATOR = '0x0a'" not in options:
            yield "BULK INSERT without a line's end of one byte"
        skipped = re.search(r"MAXERRORS = (\d+)", options)
        if not skipped:
            yield "BULK INSERT without MAXERRORS leaves ten rows out without a word"
        elif skipped.group(1) != "0" and "ERRORFILE" not in options:
            yield "rows are left out and nothing says which"
    if "BULK INSERT" in text and "FORMAT = 'PARQUET'" in text.split("BULK INSERT")[1].split(";")[0]:
        yield "BULK INSERT reads no Parquet"
    for bulk in re.findall(r"OPENROWSET\(BULK ('(?:[^']|'')*'|\()", text):
        if "*" in bulk:
            yield "a pattern in OPENROWSET"
    for table in re.findall(r"CREATE TABLE \S+ \(\n(.*?)\n *\)", text, re.S):
        for kind in re.findall(r"^ *(?:\[(?:[^\]]|\]\])*\]|\w+) ([A-Z0-9]+)", table, re.M):
            if kind not in MSSQL_TYPES and kind != "KEY":
                yield f"unknown type {kind}"
        for precision in re.findall(r"DECIMAL\((\d+)", table):
            if int(precision) > 38:
                yield f"DECIMAL({precision})"


def snowflake(text):
    for files in re.findall(r"FILES = \((.*?)\)\nFILE_FORMAT", text, re.S):
        names = re.findall(r"'(?:[^'\\]|''|\\.)*'", files)
        if any("*" in name for name in names):
            yield "a pattern among the files"
        if len(names) > 1000:
            yield "more than 1000 files in a statement"
    if re.search(r"COPY INTO(?!.*?FILES = )", text, re.S) and "COPY INTO" in text and "FILES = " not in text:
        yield "COPY INTO without named files"
    for copy in re.findall(r"COPY INTO .*?;\n", text, re.S):
        if "TYPE = CSV" in copy:
            for option in ("FIELD_OPTIONALLY_ENCLOSED_BY = '\"'", "ESCAPE_UNENCLOSED_FIELD = NONE", "NULL_IF = ()"):
                if option not in copy:
                    yield f"CSV without {option}: values change"
        if "TYPE = PARQUET" in copy and "SELECT" not in copy and "MATCH_BY_COLUMN_NAME" not in copy:
            yield "Parquet into columns without a SELECT"
        if "ON_ERROR = CONTINUE" in copy and "TYPE = PARQUET" in copy:
            yield "whole Parquet files would be left out"


def databricks(text):
    for copy in re.findall(r"COPY INTO .*?;\n", text, re.S):
        if "FILES = (" not in copy:
            yield "COPY INTO without named files"
        if "FILEFORMAT = CSV" in copy:
            for option in ("'escape' = '\"'", "'multiLine' = 'true'", "'nullValue'", "'mode'"):
                if option not in copy:
                    yield f"CSV without {option}: values change"
