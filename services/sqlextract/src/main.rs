//! `sqlextract`: one executable for every role. `main` decides the exit code and nothing else.

mod allowed;
mod args;
mod attach;
mod cancel;
mod cat;
mod demo;
mod extract;
mod finished;
mod generate;
mod inspect;
mod lazy_source;
mod lead;
mod lock;
mod opening;
mod operate;
mod ports;
mod replica;
mod report;
mod request;
mod resource_args;
mod schedule;
mod serve;
mod service_args;
mod service_settings;
mod settings;
mod shown;
mod standing;
mod summary;
mod tuning;
mod verify;
mod view;
mod workers;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, Parser};
use sqlextract_runtime::{LogFormat, Traces, init_logs};

use args::{Cli, Command, ConfigCommand, ExtractArgs, LogStyle};
use report::Failures;
use service_args::ServiceCommand;
use settings::SettingsFile;

/// The system shares by threads: with several of its own, a process must be nicer than the usual ten to stay at a small part.
const BACKGROUND_NICENESS: i32 = 15;

/// Gives freed memory back to the system. The C library's allocator keeps large values where it likes after the first
/// few, so that the budget for data in flight would bound what is used but not what the process holds.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors; clap knows which stream each belongs to.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    if is_background(&cli.command) {
        yield_to_others();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(cause) => {
            view::write_line(&format!("error: the threads of the process cannot be started: {cause}"));
            return ExitCode::from(3);
        }
    };
    let code = runtime.block_on(run(cli));
    // The threads end with the process: none has to be woken for that, and one that is still blocked in a database call
    // must not hold it.
    std::mem::forget(runtime);
    ExitCode::from(code)
}

/// Work that nobody waits for as for an extraction: it looks at what is there, or sweeps.
fn is_background(command: &Command) -> bool {
    matches!(command, Command::Verify(_) | Command::Service(ServiceCommand::Gc(_)))
}

/// Lets others have the processors first. Threads that are started later follow the one that calls; who was started
/// nicer stays so, and where the system refuses, the work goes on as it is.
fn yield_to_others() {
    let own = rustix::process::getpriority_process(None).unwrap_or_default();
    if own < BACKGROUND_NICENESS {
        let _ = rustix::process::setpriority_process(None, BACKGROUND_NICENESS);
    }
}

async fn run(cli: Cli) -> u8 {
    let log_format = match cli.log_format {
        LogStyle::Text => LogFormat::Text,
        LogStyle::Json => LogFormat::Json,
    };
    // A service's log is its only voice; a command has its own.
    let own = match (&cli.command, cli.verbose) {
        (Command::Service(ServiceCommand::Serve(_)), 0) => "info",
        (_, 0) => "warn",
        (_, 1) => "warn,sqlextract=info",
        (_, _) => "warn,sqlextract=debug",
    };
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| own.to_owned());
    let colours = std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal();
    let traces = match Traces::from_variables(|key| std::env::var(key).ok()) {
        Ok(traces) => traces,
        Err(failure) => return told(&failure.into()),
    };
    if let Err(failure) = init_logs(log_format, &filter, colours, traces.as_ref()) {
        return told(&failure.into());
    }
    let file = match &cli.config {
        Some(path) => match SettingsFile::read(path) {
            Ok(file) => file,
            Err(failure) => return told(&failure.into()),
        },
        None => SettingsFile::default(),
    };
    let code = dispatch(cli.command, &file).await;
    if let Some(traces) = traces {
        traces.close().await;
    }
    code
}

async fn dispatch(command: Command, file: &SettingsFile) -> u8 {
    match command {
        Command::Extract(args) if args.dry_run || args.check => match inspect::dry_run(&args, file).await {
            Ok(plan) if args.json => planned(&plan.json().to_string(), &plan),
            Ok(plan) if args.check => planned(plan.check_text().trim_end(), &plan),
            Ok(plan) => planned(plan.text().trim_end(), &plan),
            Err(failure) => told(&failure.into()),
        },
        Command::Extract(args) => extract_command(&args, file).await,
        Command::Inspect(args) => match inspect::inspect(&args, file).await {
            Ok(found) if args.json => said(&found.json().to_string()),
            Ok(found) => said(found.text().trim_end()),
            Err(failure) => told(&failure.into()),
        },
        Command::GenerateIngest(args) => match generate::run(&args, file).await {
            Ok(script) => script.map_or(0, |script| said(script.trim_end())),
            Err(failure) => told(&failure.into()),
        },
        Command::Verify(args) => match verify::run(&args, file).await {
            Ok(verdict) => verified(verdict, args.json),
            Err(failure) => told(&failure.into()),
        },
        Command::Cat(args) => cat::run(&args, file)
            .await
            .map_or_else(|failure| told(&failure.into()), |()| 0),
        Command::Cancel(args) if args.place.output.is_none() && file.queue.is_there() => {
            let cancelled = operate::cancel(args.job(), args.json, file).await;
            cancelled.map_or_else(|failure| told(&failure.into()), |text| said(&text))
        }
        Command::Cancel(args) => match cancel::run(&args, file).await {
            Ok(cancelled) if args.json => said(&cancelled.json().to_string()),
            Ok(cancelled) => said(&cancelled.text()),
            Err(failure) => told(&failure.into()),
        },
        Command::Demo(args) => demo::run(&args, file)
            .await
            .map_or_else(|failures| told(&failures), |()| 0),
        Command::Service(command) => operate::dispatch(command, file).await.map_or_else(
            |failures| told(&failures),
            |text| text.map_or(0, |text| said(text.trim_end())),
        ),
        Command::Config(ConfigCommand::Show { origin }) => {
            said(shown::text(file, origin, |key| std::env::var(key).ok()).trim_end())
        }
        Command::Config(ConfigCommand::Errors) => said(report::error_page().trim_end()),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "sqlextract", &mut std::io::stdout());
            0
        }
    }
}

/// Shows a plan; columns that are refused end the command as they would end the extraction.
fn planned(text: &str, plan: &inspect::Inspection) -> u8 {
    print_line(text);
    Failures::gather(plan.refusals()).map_or(0, |refusals| refusals.exit_code())
}

fn verified(verdict: verify::Verdict, json: bool) -> u8 {
    let (job, chunks, rows) = (verdict.job, verdict.chunks, verdict.rows);
    let failures = Failures::gather(verdict.findings);
    if json {
        let verdict = if failures.is_none() { "verified" } else { "mismatch" };
        let error = failures.as_ref().map(Failures::json);
        print_line(
            &serde_json::json!({"job": job, "verdict": verdict, "chunks": chunks, "rows": rows, "error": error})
                .to_string(),
        );
    } else if failures.is_none() {
        print_line(&format!("verified: job {job}, {chunks} chunks, {rows} rows"));
    }
    failures.map_or(0, |failures| told(&failures))
}

async fn extract_command(args: &ExtractArgs, file: &SettingsFile) -> u8 {
    let started = Instant::now();
    match extract::run(args, file).await {
        Ok(mut ended) => {
            ended.summary.elapsed = started.elapsed();
            if args.json {
                print_line(
                    &ended
                        .summary
                        .json(ended.failures.as_ref().map(Failures::json))
                        .to_string(),
                );
            } else if ended.failures.is_none() {
                print_line(ended.summary.text().trim_end());
            }
            ended.failures.map_or(0, |failures| told(&failures))
        }
        Err(failures) => {
            if args.json {
                print_line(&serde_json::json!({"outcome": "failed", "error": failures.json()}).to_string());
            }
            told(&failures)
        }
    }
}

fn said(text: &str) -> u8 {
    print_line(text);
    0
}

fn told(failures: &Failures) -> u8 {
    view::write_line(failures.text().trim_end());
    failures.exit_code()
}

/// A closed standard output is the reader's choice.
fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
