//! A shell script that loads with several sessions: one prologue, a step per chunk with retries, one epilogue.

use std::fmt::Write as _;

use sqlextract_model::Platform;

use crate::plan::{Dialect, Plan};
use crate::quote::shell_word;
use crate::script::{Parts, Section, commented, rollback};

/// Ends the statements within the shell script; no statement has such a line, since no name holds a line's end.
const END: &str = "SQLEXTRACT_END_OF_STEP";

/// What the prologue writes for a table that was loaded before.
pub(crate) const LOADED_BEFORE: &str = "sqlextract: loaded before";

/// How a client runs a file, and how its words tell a lasting failure from a passing one.
struct Client {
    run: &'static str,
    lasting: &'static str,
}

fn client(platform: Platform) -> Client {
    match platform {
        // Without an SQLSTATE it was the connection or the program that reads the chunk.
        Platform::Postgres => Client {
            run: "psql -X -q -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -f \"$1\"",
            lasting: "grep -Eq ': +[0-9A-Z]{5}: ' \"$1\" && ! grep -Eq ': +((08|40|53|57)[0-9A-Z]{3}|55P03): ' \"$1\"",
        },
        // Deadlocks, lock time-outs, connections, and what Azure calls transient.
        _ => Client {
            run: "sqlcmd -b -x -r 1 -i \"$1\"",
            lasting: "grep -Eq 'Msg [0-9]+' \"$1\" && ! grep -Eq 'Msg (1204|1205|1222|233|10053|10054|10060|40197|40501|40613|49918|49919|49920)[, ]' \"$1\"",
        },
    }
}

pub(crate) fn text(plan: &Plan<'_>, dialect: &dyn Dialect, header: &[String], parts: &Parts) -> String {
    let client = client(dialect.platform());
    let loads: Vec<_> = parts.tables.iter().flat_map(|t| &t.loads).collect();
    let mut out = String::from("#!/usr/bin/env bash\n");
    out.push_str(&commented("#", header));
    out.push_str(&commented("#", &rollback(plan, parts)));
    let _ = write!(
        out,
        "\nset -euo pipefail\n\
         sessions=${{SQLEXTRACT_SESSIONS:-{sessions}}}\n\
         tries=${{SQLEXTRACT_TRIES:-5}}\n\
         log=${{SQLEXTRACT_LOG:-sqlextract-{job}.log}}\n\
         \n\
         client() {{ {run}; }}\n\
         \n\
         # Whether trying again cannot help, by what the client said.\n\
         lasts() {{ {lasting}; }}\n\
         \n\
         # What a step loads, for the log.\n\
         about() {{\n  case $1 in\n",
        sessions = plan.sessions,
        job = plan.job(),
        run = client.run,
        lasting = client.lasting,
    );
    for (number, load) in loads.iter().enumerate() {
        let _ = writeln!(out, "    {}) echo {} ;;", number + 1, shell_word(&load.about));
    }
    out.push_str(
        "    *) echo 'all tables' ;;\n  esac\n}\n\n# The statements of a step.\nstatements() {\n  case $1 in\n",
    );
    let before = parts.tables.iter().map(|t| t.before.as_slice());
    let after = parts.tables.iter().map(|t| t.after.as_slice());
    step(&mut out, "prologue", &sections(plan, parts, before));
    for (number, load) in loads.iter().enumerate() {
        step(&mut out, &(number + 1).to_string(), &load.sql);
    }
    step(&mut out, "epilogue", &sections(plan, parts, after));
    out.push_str("  esac\n}\n\n");
    out.push_str(
        &STEPS
            .replace("COUNT", &loads.len().to_string())
            .replace("TABLES", &plan.tables.len().to_string())
            .replace("LOADED_BEFORE", LOADED_BEFORE),
    );
    out
}

fn sections<'a>(plan: &Plan<'_>, parts: &Parts, tables: impl Iterator<Item = &'a [Section]>) -> String {
    let mut out = parts.opening.clone();
    for (table, sections) in plan.tables.iter().zip(tables) {
        let _ = writeln!(out, "\n-- ==== {}", crate::quote::comment_text(&table.place.shown()));
        for Section { title, sql } in sections {
            let _ = write!(out, "\n-- {title}\n{sql}");
        }
    }
    out.push_str(&parts.closing);
    out
}

fn step(out: &mut String, name: &str, sql: &str) {
    let _ = write!(
        out,
        "    {name})\n      cat <<'{END}'\n{}\n{END}\n      ;;\n",
        sql.trim_end()
    );
}

/// Runs a step until it succeeds, fails for good, or was tried often enough.
const STEPS: &str = r#"say() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" | tee -a "$log" >&2; }

attempt() {
  local step=$1 try=1 pause=1
  statements "$step" >"$work/$step.sql"
  until client "$work/$step.sql" >"$work/$step.out" 2>&1; do
    say "step $step, $(about "$step"), try $try failed: $(tr '\n' ' ' <"$work/$step.out" | cut -c 1-2000)"
    if lasts "$work/$step.out" || [ "$try" -ge "$tries" ]; then
      sed "s/^/step $step: /" "$work/$step.sql" >>"$log"
      return 1
    fi
    sleep "$pause"
    try=$((try + 1)) pause=$((pause * 2))
  done
}

if [ "${1:-}" = step ]; then
  work=$SQLEXTRACT_WORK
  attempt "$2"
  exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SQLEXTRACT_WORK=$work SQLEXTRACT_LOG=$log SQLEXTRACT_TRIES=$tries
attempt prologue
cat "$work/prologue.out"
if [ "$(grep -c 'LOADED_BEFORE' "$work/prologue.out")" = TABLES ]; then exit 0; fi
if ! seq COUNT | xargs -P "$sessions" -n 1 bash "$0" step; then
  say "some chunks were not loaded, and nothing was published; run it again: it loads only what is missing"
  exit 1
fi
attempt epilogue
cat "$work/epilogue.out"
"#;
