"""Runs one command and prints what it took as JSON: wall and CPU seconds, and its peak of resident memory.

A program of its own, since a child's peak counts the memory of the process that it was forked from.
"""

import json
import os
import sys
import time


def main():
    start = time.monotonic()
    child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
                           file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - start
    json.dump({"exit": os.waitstatus_to_exitcode(status), "wall_seconds": wall,
               "cpu_seconds": usage.ru_utime + usage.ru_stime, "memory_bytes": usage.ru_maxrss * 1024}, sys.stdout)


main()
