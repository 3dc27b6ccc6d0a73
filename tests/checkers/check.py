"""Checks scripts with programs that are not ours: `check.py fast|all FOLDER…`.

fast  the rules and the strict recogniser on every script, sqlfluff on a choice
all   sqruff, GoogleSQL, Microsoft's parser and Spark's as well, on every script

Prints what was checked, how often, and every complaint; ends with 1 where a script of ours is refused or a broken statement
passes.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import parsers
import rules
import statements
from broken import BROKEN
from databricks import copy_error

PLATFORMS = ("snowflake", "bigquery", "databricks", "mssql")


def complaints(platform, text, checkers, quick=False):
    """What the checkers say against a script; `quick` leaves out the one that takes seconds."""
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")) + "\n"
    found = [f"rule: {complaint}" for complaint in getattr(rules, platform)(bare)]
    if platform == "databricks":
        for statement in statements.databricks(text):
            if statement.upper().startswith("COPY INTO"):
                error = copy_error(statement)
                if error:
                    found.append(f"recogniser: {error}: {statement[:200]}")
    for name, checker in checkers.get(platform, {}).items():
        if quick and name == "sqlfluff":
            continue
        found += [f"{name}: {complaint}" for complaint in checker(text)]
    return found


def is_chosen(path):
    """A script that the slow parser sees too: one of every kind."""
    return path.parent.name == "golden" or "hostile-0" in path.name


def main():
    tier, folders = sys.argv[1], [Path(folder) for folder in sys.argv[2:]]
    checkers = parsers.of(tier)
    failed = 0
    for platform in PLATFORMS:
        scripts = sorted(path for folder in folders for path in folder.glob(f"{platform}-*"))
        if not scripts:
            print(f"{platform}: no script was written")
            failed = 1
        started, refused = time.time(), 0
        for path in scripts:
            found = complaints(platform, statements.read(path), checkers, quick=not is_chosen(path))
            refused += bool(found)
            for complaint in found[:5]:
                print(f"  {path.name}: {complaint}")
        passed = [text for text in BROKEN[platform] if not complaints(platform, text, checkers)]
        for text in passed:
            print(f"  passed although broken: {text!r}")
        names = ", ".join(["rules", *(["recogniser"] if platform == "databricks" else []), *checkers.get(platform, {})])
        print(
            f"{platform}: {len(scripts) - refused} of {len(scripts)} scripts accepted, "
            f"{len(BROKEN[platform]) - len(passed)} of {len(BROKEN[platform])} broken statements rejected, "
            f"{time.time() - started:.1f} s ({names})"
        )
        failed |= bool(refused or passed)
    sys.exit(failed)


if __name__ == "__main__":
    main()
