# Coverage-guided fuzzing on the stable compiler: sourced by tests/run.

# libFuzzer itself is C++; nothing else here is.
cpp_compiler() {
  command -v c++ >/dev/null && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: a C++ compiler (c++), which libFuzzer is built with" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends g++
}

# Fuzzes each target for this many seconds, from the committed corpus and from what earlier runs have found.
fuzz() {
  local seconds=$1 name
  local found=$target/fuzz/found broken=$target/fuzz/broken
  cpp_compiler
  step "fuzz targets"
  cargo clippy --locked --workspace --features sqlextract-fuzz/libfuzzer --bin fuzz-records --bin fuzz-rows -- -D warnings
  # The wrapper instruments the workspace's own crates; dependencies are those of every other build.
  CARGO_PROFILE_DEV_OPT_LEVEL=1 RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz/coverage-rustc \
    cargo build --locked --workspace --features sqlextract-fuzz/libfuzzer --bin fuzz-records --bin fuzz-rows
  for name in rows records; do
    step "fuzz $name for $seconds s"
    mkdir -p "$found/$name" "$broken"
    "$target/debug/fuzz-$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=4096 \
      -print_final_stats=1 -artifact_prefix="$broken/$name-" "$found/$name" "tests/fuzz/corpus/$name" \
      2>"$target/fuzz/$name.log" || {
      tail -n 60 "$target/fuzz/$name.log" >&2
      echo "the input is in $broken" >&2
      exit 1
    }
    grep -E 'inline 8-bit counters|^#[0-9]+\s+(INITED|DONE)|^stat::(number|average)' "$target/fuzz/$name.log"
  done
}
