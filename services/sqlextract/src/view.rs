//! Progress on standard error: bars on a terminal, plain lines elsewhere, JSON lines by choice.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle as BarStyle};
use sqlextract_model::{ByteSize, JobId, TableName};
use sqlextract_runtime::{Gate, LimiterState, MemoryBudget, News, ProgressSink, RateLimiter, Severity, TableProgress};

use crate::args::ProgressStyle;

/// Plain lines come at most this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct View {
    style: Style,
    started: Instant,
    /// What holds the work of this process back; `None` where others work.
    own: Option<Own>,
    tables: Mutex<State>,
}

#[derive(Debug)]
struct Own {
    budget: MemoryBudget,
    limiter: Option<RateLimiter>,
    gate: Gate,
}

#[derive(Debug, Clone)]
enum Style {
    Bars(MultiProgress),
    Plain,
    Json,
    None,
}

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<TableName, Table>,
    last_line: Option<Instant>,
}

/// Only what is durable counts as done; rows in flight are shown apart.
#[derive(Debug, Default)]
struct Table {
    batches: u64,
    done: u64,
    resumed: u64,
    running: u64,
    estimated_rows: u64,
    rows: u64,
    /// Of those, what was there when the view began.
    rows_before: u64,
    rows_read: u64,
    bytes: u64,
    bar: Option<ProgressBar>,
}

impl View {
    pub(crate) fn new(style: ProgressStyle, budget: MemoryBudget, limiter: Option<RateLimiter>, gate: Gate) -> Self {
        let own = Own { budget, limiter, gate };
        Self::with(style, Some(own))
    }

    /// A view of what other processes do.
    pub(crate) fn of_others(style: ProgressStyle) -> Self {
        Self::with(style, None)
    }

    fn with(style: ProgressStyle, own: Option<Own>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let style = match style {
            ProgressStyle::Auto if terminal => Style::Bars(MultiProgress::new()),
            ProgressStyle::Auto | ProgressStyle::Plain => Style::Plain,
            ProgressStyle::Json => Style::Json,
            ProgressStyle::None => Style::None,
        };
        Self {
            style,
            started: Instant::now(),
            own,
            tables: Mutex::default(),
        }
    }

    /// Takes the bars away, so that what follows is not drawn over.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        for table in state.tables.values_mut() {
            if let Some(bar) = table.bar.take() {
                bar.finish_and_clear();
            }
        }
    }

    /// Shows the last numbers, and takes the bars away.
    pub(crate) fn finish(&self) {
        self.refresh(true);
        self.close();
    }

    /// Batches that were done before this run.
    pub(crate) fn resumed(&self) -> u64 {
        self.state().tables.values().map(|t| t.resumed).sum()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tables, as they stand when they are first seen or planned anew.
    pub(crate) fn begin(&self, tables: &[TableProgress]) {
        self.plan(tables);
    }

    /// What others have done of a table by now; what they did before the first time counts for no rate.
    pub(crate) fn stands(&self, table: &TableName, done: u64, rows: u64, bytes: u64) {
        self.change(table, |table| {
            if table.rows == 0 {
                table.rows_before = rows;
            }
            (table.done, table.rows, table.bytes) = (done, rows, bytes);
        });
        self.refresh(false);
    }

    pub(crate) fn line(&self, text: &str) {
        match &self.style {
            Style::Bars(bars) => {
                // A terminal that went away takes the news with it; the work goes on.
                let _ = bars.println(text);
            }
            Style::Plain => write_line(text),
            Style::Json | Style::None => {}
        }
    }

    fn plan(&self, tables: &[TableProgress]) {
        let mut state = self.state();
        for planned in tables {
            let table = state.tables.entry(planned.table.clone()).or_default();
            (table.batches, table.done, table.resumed) = (planned.batches, planned.done, planned.done);
            table.estimated_rows = planned.estimated_rows;
            if let Style::Bars(bars) = &self.style
                && table.bar.is_none()
            {
                let bar = bars.add(ProgressBar::new(planned.batches));
                bar.set_style(bar_style());
                bar.set_prefix(planned.table.to_string());
                bar.enable_steady_tick(Duration::from_millis(500));
                table.bar = Some(bar);
            }
        }
        drop(state);
        self.refresh(true);
    }

    fn change(&self, name: &TableName, change: impl FnOnce(&mut Table)) {
        let mut state = self.state();
        if let Some(table) = state.tables.get_mut(name) {
            change(table);
        }
    }

    fn refresh(&self, now: bool) {
        let mut state = self.state();
        let elapsed = self.started.elapsed();
        if let Style::Bars(_) = self.style {
            for table in state.tables.values() {
                if let Some(bar) = &table.bar {
                    bar.set_length(table.batches);
                    bar.set_position(table.done);
                    bar.set_message(
                        format!("{} {}", figures(table, elapsed), self.pressure())
                            .trim_end()
                            .to_owned(),
                    );
                }
            }
            return;
        }
        if matches!(self.style, Style::None) {
            return;
        }
        if !now && state.last_line.is_some_and(|last| last.elapsed() < PLAIN_INTERVAL) {
            return;
        }
        state.last_line = Some(Instant::now());
        for (name, table) in &state.tables {
            if table.done < table.batches || now {
                write_line(&self.table_line(name, table, elapsed));
            }
        }
    }

    fn table_line(&self, name: &TableName, table: &Table, elapsed: Duration) -> String {
        if let Style::Json = self.style {
            let mut line = serde_json::json!({
                "event": "progress", "elapsed_seconds": elapsed.as_secs_f64(), "table": name.to_string(),
                "rows": table.rows, "rows_read": table.rows_read, "bytes": table.bytes,
                "batches_done": table.done, "batches": table.batches, "batches_running": table.running,
            });
            if let Some(own) = &self.own {
                let workers = own.gate.course();
                line["memory_bytes"] = own.budget.used().into();
                line["memory_limit_bytes"] = own.budget.limit().into();
                line["workers"] = workers.now.into();
                line["workers_reason"] = workers.reason.map(|reason| reason.to_string()).into();
            }
            return line.to_string();
        }
        let clock = format!("{:02}:{:02}", elapsed.as_secs() / 60, elapsed.as_secs() % 60);
        format!(
            "{clock} {name} {}/{} batches {} {}",
            table.done,
            table.batches,
            figures(table, elapsed),
            self.pressure()
        )
    }

    /// What holds the work back or could: memory, workers and the rate limit.
    fn pressure(&self) -> String {
        let Some(own) = &self.own else {
            return String::new();
        };
        let mut text = format!("mem {}/{}", ByteSize(own.budget.used()), ByteSize(own.budget.limit()));
        let workers = own.gate.course();
        text.push_str(&format!(" workers {}", workers.now));
        if let Some(reason) = workers.reason.filter(|_| workers.now != workers.start) {
            text.push_str(&format!(" ({reason})"));
        }
        match own.limiter.as_ref().map(RateLimiter::state) {
            Some(LimiterState::Idle) => text.push_str(" limiter idle"),
            Some(LimiterState::Limited(what)) => text.push_str(&format!(" limiter holds {what}")),
            Some(LimiterState::Paused) => text.push_str(" limiter pauses"),
            None => {}
        }
        text
    }

    fn news(&self, news: News<'_>) {
        match news {
            News::Planned { tables } => self.plan(tables),
            News::BatchStarted { table } => self.change(table, |t| t.running += 1),
            News::RowsRead { table, rows, .. } => {
                self.change(table, |t| t.rows_read += rows);
                self.refresh(false);
            }
            News::BatchCommitted { table, commit } => {
                self.change(table, |t| {
                    t.done += 1;
                    t.running = t.running.saturating_sub(1);
                    t.rows += commit.rows;
                    t.bytes += commit.chunks.iter().map(|c| c.bytes).sum::<u64>();
                });
                self.refresh(false);
            }
            News::BatchParked { table, failure } => {
                self.line(&format!("parked: a batch of {table}: {failure} [{}]", failure.code));
            }
            News::ScriptWritten { platform, location } => self.line(&format!("script for {platform}: {location}")),
            News::Note { severity, text } => match severity {
                Severity::Information => self.line(&format!("note: {text}")),
                Severity::Warning => self.line(&format!("warning: {text}")),
            },
            News::Finished { .. } => self.refresh(true),
        }
    }
}

impl ProgressSink for View {
    fn tell(&self, _: &JobId, news: News<'_>) {
        self.news(news);
    }
}

fn bar_style() -> BarStyle {
    let template = "{prefix:>20.bold} {bar:24} {pos}/{len} batches {msg}";
    BarStyle::with_template(template).unwrap_or_else(|_| BarStyle::default_bar())
}

/// Rows, rate, bytes and the time that is left; what is not known is left out.
fn figures(table: &Table, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rows = table.rows.max(table.rows_read);
    let mut text = format!(
        "{} rows {}/s {}",
        short(rows),
        short(((rows - table.rows_before.min(rows)) as f64 / seconds) as u64),
        ByteSize(table.bytes)
    );
    let fresh = table.done - table.resumed.min(table.done);
    if fresh > 0 && table.done < table.batches {
        let left = seconds * (table.batches - table.done) as f64 / fresh as f64;
        text.push_str(&format!(" ETA {:02}:{:02}", left as u64 / 60, left as u64 % 60));
    }
    text
}

fn short(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{:.2}M", count as f64 / 1e6),
    }
}

/// Standard error may be closed; that is no reason to stop.
pub(crate) fn write_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
