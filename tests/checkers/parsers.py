"""Parsers of others, each a function from a script's text to complaints."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import statements

PROGRAMS = Path(sys.executable).parent
PREFIX = {"snowflake": "snowflake", "bigquery": "bigquery", "databricks": "databricks", "mssql": "tsql"}


def sqlfluff(platform):
    from sqlfluff.core import FluffConfig, Linter

    # The parser alone: braces are no template here, and the size is not what is judged.
    config = FluffConfig(overrides={"dialect": PREFIX[platform], "templater": "raw", "large_file_skip_byte_limit": 0, "rules": "LT12"})
    linter = Linter(config=config)

    def check(text):
        if platform == "mssql":
            # Its grammar of BULK INSERT knows only the bare number, and none of OPENROWSET's.
            text = re.sub(r"CODEPAGE = '(\d+)'", r"CODEPAGE = 'RAW'", text)
            # Nor does it know a doubled bracket within a name, which Microsoft's own parser judges.
            text = re.sub(r"\[(?:[^\[\]]|\]\])*\]", lambda name: name.group().replace("]]", "_"), text)
        for piece in cut(platform, text):
            parsed = linter.parse_string(piece)
            for violation in parsed.violations:
                yield f"{violation.desc()} at: {piece.splitlines()[max(0, violation.line_no - 1)][:160]}"

    return check


def cut(platform, text):
    """What a checker is given at once."""
    if platform == "snowflake":
        return [s + ";\n" for s in statements.snowflake(text) if not s.startswith("PUT ")]
    if platform == "databricks":
        # sqlfluff does not know schema evolution yet; Spark does, and sees it.
        plain = [s.replace("MERGE WITH SCHEMA EVOLUTION INTO", "MERGE INTO", 1) for s in statements.databricks(text)]
        return [s + ";\n" for s in plain if not s.upper().startswith("COPY INTO")]
    if platform == "mssql":
        return [batch + "\n" for batch in statements.mssql(text)]
    return [text]


def sqruff(platform):
    def check(text):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "script.sql"
            path.write_text("\n".join(cut(platform, text)))
            told = subprocess.run(
                [PROGRAMS / "sqruff", "--dialect", PREFIX[platform], "--parsing-errors", "lint", path], capture_output=True, text=True
            )
        for line in (told.stdout + told.stderr).splitlines():
            if "Unparsable section" in line or "arse error" in line:
                yield line.strip()[:300]

    return check


def zetasql():
    from zetasql.api import Parser

    def check(text):
        try:
            Parser.parse_script_static(text)
        except Exception as error:  # whatever it raises is its verdict
            yield str(error).splitlines()[0][:300]

    return check


def script_dom(library):
    os.environ["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1"
    import clr_loader
    import dotnetcore2
    from pythonnet import set_runtime

    root = os.path.join(os.path.dirname(dotnetcore2.__file__), "bin")
    version = os.listdir(os.path.join(root, "shared", "Microsoft.NETCore.App"))[0]
    settings = os.path.join(tempfile.mkdtemp(), "runtime.json")
    framework = {"name": "Microsoft.NETCore.App", "version": version}
    with open(settings, "w") as file:
        json.dump({"runtimeOptions": {"tfm": "netcoreapp3.1", "framework": framework}}, file)
    set_runtime(clr_loader.get_coreclr(runtime_config=settings, dotnet_root=root))
    import clr

    clr.AddReference(os.path.abspath(library))
    from Microsoft.SqlServer.TransactSql.ScriptDom import TSql150Parser
    from System.IO import StringReader

    def check(text):
        # The grammar of 2019: it knows the unquoted code page alone, and no OPENROWSET of 2022.
        text = re.sub(r"CODEPAGE = '(\d+)'", r"CODEPAGE = \1", text)
        for batch in statements.mssql(text):
            if "OPENROWSET(" in batch:
                continue
            _, errors = TSql150Parser(True).Parse(StringReader(batch), None)
            for error in errors:
                yield f"{error.Number} {error.Message} at: {batch.splitlines()[error.Line - 1][:160]}"

    return check


def spark():
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    parser = session._jsparkSession.sessionState().sqlParser()

    def check(text):
        for statement in statements.databricks(text):
            # COPY INTO and catalogs are Databricks' own.
            if statement.upper().startswith(("COPY INTO", "USE CATALOG")):
                continue
            try:
                parser.parsePlan(statement)
            except Exception as error:  # Java's exceptions come as several classes
                yield f"{str(error).splitlines()[0][:200]} at: {statement[:160]}"

    return check


def of(tier):
    """The parsers per platform."""
    made = {platform: {"sqlfluff": sqlfluff(platform)} for platform in PREFIX}
    if tier == "fast":
        return made
    made["snowflake"]["sqruff"] = sqruff("snowflake")
    made["bigquery"]["GoogleSQL"] = zetasql()
    made["databricks"]["Spark"] = spark()
    folder = PROGRAMS.parent.parent / "mssql-cli"
    library = folder / "mssqlcli/mssqltoolsservice/bin/Microsoft.SqlServer.TransactSql.ScriptDom.dll"
    made["mssql"]["ScriptDom"] = script_dom(library)
    return made
