# Checkers of the scripts that we write: sourced by tests/run.

# Makes a Python with the parsers and one with a Snowflake that executes, once; `all` adds the slow ones.
script_checkers() {
  local folder=${CARGO_TARGET_DIR:-$PWD/target}/checkers
  if [ ! -e "$folder/ready" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/checkers.txt
    python3 -m venv "$folder/snowflake"
    "$folder/snowflake/bin/pip" install --quiet --disable-pip-version-check -r tests/checkers-snowflake.txt
    touch "$folder/ready"
  fi
  if [ "$1" = all ] && [ ! -e "$folder/ready-all" ]; then
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/checkers-spark.txt
    # Microsoft's own parser comes within a package; it is run, never shipped.
    mkdir -p "$folder/mssql-cli"
    "$folder/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps -d "$folder" mssql-cli==1.0.0
    python3 -m zipfile -e "$folder"/mssql_cli-1.0.0-*.whl "$folder/mssql-cli"
    touch "$folder/ready-all"
  fi
  checkers_folder=$folder
}

# Writes the scripts and has them checked: `fast` for every change, `all` for everything.
check_scripts() {
  local tier=$1 scripts=${CARGO_TARGET_DIR:-$PWD/target}/tmp/scripts failed=0
  script_checkers "$tier"
  rm -rf "$scripts"
  # Of the whole workspace, so that features are those of every other build and nothing is compiled twice.
  cargo test --locked --quiet --workspace --test scripts >/dev/null
  "$checkers_folder/venv/bin/python" tests/checkers/check.py "$tier" "$scripts" shared/ingest-sql/tests/golden || failed=1
  "$checkers_folder/snowflake/bin/python" -W ignore tests/checkers/execute_snowflake.py || failed=1
  return $failed
}
