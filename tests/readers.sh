# Readers that are not ours, for the files that we write: sourced by tests/run.

# Makes a Python with DuckDB, pyarrow, pika (a client of the broker) and the TPC-H generator, once, outside the tree's sources.
independent_readers() {
  local folder=${CARGO_TARGET_DIR:-$PWD/target}/readers
  if [ -z "${SQLEXTRACT_TEST_PYTHON:-}" ]; then
    if [ ! -x "$folder/bin/python" ] || ! "$folder/bin/python" -c 'import duckdb, pika, pyarrow' 2>/dev/null; then
      python3 -m venv "$folder"
      "$folder/bin/pip" install --quiet --disable-pip-version-check -r tests/readers.txt
    fi
    export SQLEXTRACT_TEST_PYTHON="$folder/bin/python"
  fi
}

# The programs that the benchmark compares with, in a folder of their own beside the readers.
bench_peers() {
  local folder=${CARGO_TARGET_DIR:-$PWD/target}/peers
  if [ ! -x "$folder/bin/python" ] || ! "$folder/bin/python" -c 'import duckdb, pyarrow, connectorx' 2>/dev/null; then
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r tests/readers.txt -r tests/bench/peers.txt
  fi
  export SQLEXTRACT_TEST_PYTHON="$folder/bin/python"
}
