"""Runs a program: {"command", "environment"} in; its exit code, what it said, and its peak resident bytes out."""

import json
import resource
import subprocess
import sys

asked = json.load(sys.stdin)
done = subprocess.run(asked["command"], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=asked["folder"])
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
json.dump({"exit": done.returncode, "stdout": done.stdout, "stderr": done.stderr, "peak": peak}, sys.stdout)
