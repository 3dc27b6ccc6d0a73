"""SQLite by Python's own library: runs a script, answers a query, or loads a CSV file with a header."""

import csv
import hashlib
import json
import sqlite3
import sys

asked = json.load(sys.stdin)
connection = sqlite3.connect(asked["file"])
connection.create_function("md5", 1, lambda text: hashlib.md5(str(text).encode()).hexdigest())
connection.create_function("concat_ws", -1, lambda gap, *parts: gap.join(str(p) for p in parts if p is not None))
connection.create_function("hex_value", 1, lambda text: int(text, 16))
answer = []
if "script" in asked:
    connection.executescript(asked["script"])
elif "query" in asked:
    answer = [[None if cell is None else str(cell) for cell in row] for row in connection.execute(asked["query"])]
else:
    with open(asked["csv"], newline="") as file:
        rows = csv.reader(file)
        marks = ",".join("?" for _ in next(rows))
        connection.executemany(f"INSERT INTO {asked['table']} VALUES ({marks})", rows)
    connection.execute("ANALYZE")
connection.commit()
json.dump(answer, sys.stdout)
