//! The executable, run as its users run it.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::secrets;

/// How `abort` ends a process.
const SIGABRT: i32 = 6;
/// No scenario's single command may take longer.
const DEADLINE: Duration = Duration::from_secs(240);

/// An address or a program that the test command provides.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; `tests/run` sets it"))
}

/// Waits until the condition holds, and says what did not come true. SQLEXTRACT_TEST_PATIENCE, in seconds, shortens the
/// wait while a test is being written.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let patience = std::env::var("SQLEXTRACT_TEST_PATIENCE").ok();
    let seconds = patience.and_then(|seconds| seconds.parse().ok());
    let deadline = seconds.map_or(DEADLINE, Duration::from_secs);
    let end = Instant::now() + deadline;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not come true within {deadline:?}");
        pause(Duration::from_millis(2));
    }
}

/// Gives others the time; only for the steps of a poll and for moments drawn by lot.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
    {
        std::thread::park_timeout(left);
    }
}

/// Runs one of our Python programs with JSON in, and returns the JSON it writes.
pub fn python(script: &str, input: &Value) -> Value {
    python_of("SQLEXTRACT_TEST_PYTHON", script, input)
}

/// The same with the Python that a variable names.
pub fn python_of(interpreter: &str, script: &str, input: &Value) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("embedded").join(script);
    let mut child = Command::new(variable(interpreter))
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{interpreter} does not start: {e}"));
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    // A program that ends early says why itself.
    let _ = stdin.write_all(input.to_string().as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the program can be waited for");
    let told = String::from_utf8_lossy(&output.stderr);
    let shown: String = input.to_string().chars().take(2000).collect();
    assert!(output.status.success(), "{script} failed on {shown}:\n{told}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{script} wrote no JSON: {e}"))
}

/// A folder of its own for a test: sources, outputs, the checkpoint.
#[derive(Debug)]
pub struct Scenario {
    folder: TempDir,
    started: AtomicU32,
    hushed: AtomicBool,
}

impl Drop for Scenario {
    fn drop(&mut self) {
        secrets::look_below(self.folder.path());
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self::new()
    }
}

impl Scenario {
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        Self {
            folder,
            started: AtomicU32::new(0),
            hushed: AtomicBool::new(false),
        }
    }

    /// From now on processes say no more than they do by themselves, for tests that look at every line or at the clock.
    /// Otherwise they log everything, so that no secret can hide behind a level.
    pub fn hush(&self) {
        self.hushed.store(true, Ordering::Relaxed);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn output(&self) -> PathBuf {
        self.path("out")
    }

    /// The executable with these arguments, nothing inherited that would change what it does.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&variable("SQLEXTRACT_BINARY"), arguments)
    }

    /// The same of a debug build, which ends itself at crash points.
    pub fn debug_command(&self, arguments: &[&str]) -> Command {
        let debug = std::env::var("SQLEXTRACT_DEBUG_BINARY");
        // Work by hand has no other build.
        self.command_of(&debug.unwrap_or_else(|_| variable("SQLEXTRACT_BINARY")), arguments)
    }

    pub(crate) fn command_of(&self, binary: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars() {
            if name.starts_with("SQLEXTRACT_") || name.starts_with("AWS_") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        if !self.hushed.load(Ordering::Relaxed) {
            command.env("RUST_LOG", "trace");
        }
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    pub fn start(&self, mut command: Command) -> Running {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| self.path(&format!("{name}-{number}")));
        let open = |path: &Path| File::create(path).expect("the temporary folder takes files");
        let child = command
            .stdin(Stdio::null())
            .stdout(open(&stdout))
            .stderr(open(&stderr))
            .spawn()
            .expect("SQLEXTRACT_BINARY starts");
        Running { child, stdout, stderr }
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.start(self.command(arguments)).wait()
    }

    /// `extract` into the scenario's output, with the summary as JSON.
    pub fn start_extract(&self, source: &str, arguments: &[&str]) -> Running {
        let output = self.output();
        let output = output.to_str().expect("temporary paths are text");
        let mut all = vec!["extract", "--json", "--source", source, "--output", output];
        if !arguments.contains(&"--progress") {
            all.extend(["--progress", "none"]);
        }
        all.extend(arguments);
        self.start(self.command(&all))
    }

    pub fn extract(&self, source: &str, arguments: &[&str]) -> Run {
        self.start_extract(source, arguments).wait()
    }

    /// A command about the job of a run, by its manifest.
    pub fn about(&self, run: &Run, command: &str, arguments: &[&str]) -> Run {
        let manifest = run.json["manifest"].as_str().expect("the run has a manifest");
        let mut all = vec![command, "--manifest", manifest];
        all.extend(arguments);
        self.run(&all)
    }
}

/// Sends a signal, given as `kill` takes it.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.expect("kill is in the PATH").success());
}

/// The fields of a `stat` behind the program's name, which is in parentheses and may hold anything.
fn after_name(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

/// A process that is at work; it does not outlive its test.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// `kill -9`, and waits until the process is gone. Returns whether it was still at work.
    pub fn kill(mut self) -> bool {
        let ended = self.child.try_wait().expect("a child can be waited for").is_some();
        let _ = self.child.kill();
        let _ = self.child.wait();
        !ended
    }

    /// What the system lists for each of its threads, now.
    pub fn threads(&self) -> Vec<String> {
        self.of_threads("status")
    }

    /// A file of each thread. One may end before it is read, and so may the process.
    fn of_threads(&self, file: &str) -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let threads = threads.into_iter().flatten().flatten();
        threads
            .filter_map(|thread| std::fs::read_to_string(thread.path().join(file)).ok())
            .collect()
    }

    /// Time that processors have spent on it until now, in hundredths of a second; `None` once it is gone.
    pub fn processor_time(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let times = after_name(&stat)?.skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().ok()).sum()
    }

    /// The niceness of each of its threads, now.
    pub fn niceness(&self) -> Vec<i32> {
        let of_thread = |stat: &String| after_name(stat)?.nth(16)?.parse().ok();
        self.of_threads("stat").iter().filter_map(of_thread).collect()
    }

    /// Lets it have so many more bytes of memory, and no more.
    pub fn confine(&self, more: u64) {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).expect("the process is at work");
        let data = status.lines().find_map(|line| line.strip_prefix("VmData:"));
        let kilobytes = data.and_then(|data| data.split_whitespace().next()?.parse::<u64>().ok());
        let bytes = kilobytes.expect("the system tells a process's memory") * 1024 + more;
        let limit = [format!("--pid={}", self.child.id()), format!("--data={bytes}")];
        let limited = Command::new("prlimit").args(limit).status();
        assert!(limited.expect("prlimit is in the PATH").success());
    }

    /// Sends a signal, given as `kill` takes it.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Puts a text beside what it has written.
    pub fn keep(&self, what: &str, text: &str) {
        let path = self.stdout.with_extension(what);
        std::fs::write(path, text).expect("the temporary folder takes files");
    }

    /// What it has written to standard output so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stdout).unwrap_or_default()).into_owned()
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        let bytes = std::fs::read(&self.stderr).expect("what the process wrote can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits until the process has ended itself at a crash point.
    #[track_caller]
    pub fn crashes(mut self) {
        eventually("the crash of a debug build", || self.ended());
        let status = self.child.wait().expect("a child can be waited for");
        assert_eq!(status.signal(), Some(SIGABRT), "{status}: {}", self.said());
    }

    /// Whether the process is stopped, by a signal or at a crash point.
    pub fn is_frozen(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let state = status.rsplit_once(") ").map(|(_, rest)| rest);
        state.is_some_and(|state| state.starts_with('T'))
    }

    /// Standard error until now.
    pub fn said_so_far(&self) -> String {
        std::fs::read_to_string(&self.stderr).expect("what the process wrote can be read")
    }

    pub fn wait(mut self) -> Run {
        eventually("the end of the process", || self.ended());
        let status = self.child.wait().expect("a child can be waited for");
        let read = |path: &Path| {
            let bytes = std::fs::read(path).expect("what the process wrote can be read");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let stdout = read(&self.stdout);
        Run {
            exit: status.code().unwrap_or(-1),
            json: serde_json::from_str(&stdout).unwrap_or(Value::Null),
            stdout,
            stderr: read(&self.stderr),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What a service said last tells more than the condition that did not come true.
        if std::thread::panicking() {
            let said = String::from_utf8_lossy(&std::fs::read(&self.stderr).unwrap_or_default()).into_owned();
            let from = said.len().saturating_sub(6000);
            let from = said.ceil_char_boundary(from);
            let _ = writeln!(
                std::io::stderr(),
                "process {} said last:\n{}",
                self.child.id(),
                &said[from..]
            );
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process left.
#[derive(Debug, Clone)]
pub struct Run {
    pub exit: i32,
    /// Standard output, where it is JSON.
    pub json: Value,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The exit code that is due, or a panic with everything that was said.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.exit, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in: {}", self.stderr);
        }
        self
    }

    #[track_caller]
    pub fn outcome(self, outcome: &str) -> Self {
        assert_eq!(self.json["outcome"], outcome, "{}\n{}", self.stdout, self.stderr);
        self
    }
}
