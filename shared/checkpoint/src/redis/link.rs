//! The way to the server: one connection that all calls share, opened anew when it is lost.
//!
//! Every call is a script that may run twice, so a call whose answer is lost is repeated until its time is over.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, RedisResult, ScriptInvocation, TlsCertificates, Value};
use sqlextract_model::{Code, Failure, Result};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::RedisSettings;
use super::address::{self, Address};
use super::errors::{self, Meaning};

/// Calls that may wait to be sent; more wait for room.
const CALLS_UNDER_WAY: usize = 1024;
/// First and longest pause between two tries of a call.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

pub(super) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    location: String,
    retry_for: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<MultiplexedConnection>,
    /// Counts connections, so that nobody discards a newer one than the one that failed him.
    number: u64,
    /// When connecting failed last: those who waited meanwhile do not try one after the other.
    failed: Option<(Instant, RedisError)>,
}

impl Link {
    /// Reads the settings. Nothing is sent yet.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self> {
        let Address { info, location, tls } = address::parse(&settings.url, settings.allow_plaintext)?;
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(
            redis::io::tcp::socket2::TcpKeepalive::new()
                .with_time(Duration::from_secs(30))
                .with_interval(Duration::from_secs(10)),
        );
        let info = info.set_tcp_settings(tcp);
        let invalid = |cause: &dyn std::fmt::Display| {
            let text = format!("the checkpoint at {location} cannot be reached as the settings say");
            Failure::new(Code::ConfigInvalid, text).because(cause)
        };
        let client = match &settings.ca_file {
            None => Client::open(info).map_err(|error| invalid(&error))?,
            Some(_) if !tls => return Err(invalid(&"`ca_file` is for `rediss://…` alone")),
            Some(file) => {
                let root_cert = std::fs::read(file)
                    .map_err(|error| invalid(&format!("`ca_file` {} cannot be read: {error}", file.display())))?;
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(root_cert),
                };
                Client::build_with_tls(info, certificates).map_err(|error| invalid(&error))?
            }
        };
        Ok(Self {
            client,
            config: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(settings.connect_timeout))
                .set_response_timeout(Some(settings.call_timeout))
                .set_pipeline_buffer_size(CALLS_UNDER_WAY),
            location,
            retry_for: settings.retry_for,
            state: Mutex::default(),
        })
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// Runs a script until it has an answer or the time of a call is over.
    pub(super) async fn call(&self, script: &ScriptInvocation<'_>) -> Result<Value> {
        let deadline = Instant::now() + self.retry_for;
        let (mut pause, longest) = PAUSES;
        loop {
            let error = match timeout_at(deadline, self.once(script)).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => error,
                Err(_) => return Err(errors::unavailable(&self.location).because(self.patience())),
            };
            match errors::meaning(&error) {
                Meaning::Reconnect | Meaning::Wait if Instant::now() + pause < deadline => {
                    tracing::debug!(%error, location = %self.location, "a call to the checkpoint is repeated");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
                _ => return Err(errors::failure(&error, &self.location)),
            }
        }
    }

    fn patience(&self) -> String {
        format!("no answer within {} ms", self.retry_for.as_millis())
    }

    /// Runs a script once.
    pub(super) async fn once(&self, script: &ScriptInvocation<'_>) -> RedisResult<Value> {
        let (mut connection, number) = self.connection().await?;
        let answer = script.invoke_async(&mut connection).await;
        self.judge(answer, number).await
    }

    /// Runs a script once, for a caller with little time. A connection that has not answered by then is given up.
    pub(super) async fn once_within(&self, script: &ScriptInvocation<'_>, patience: Duration) -> RedisResult<Value> {
        let deadline = Instant::now() + patience;
        let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let (mut connection, number) = timeout_at(deadline, self.connection()).await.map_err(|_| late())??;
        let answer = timeout_at(deadline, script.invoke_async(&mut connection)).await;
        self.judge(answer.unwrap_or_else(|_| Err(late())), number).await
    }

    /// Sends a command once.
    pub(super) async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        let (mut connection, number) = self.connection().await?;
        let answer = connection.send_packed_command(command).await;
        self.judge(answer.and_then(Value::extract_error), number).await
    }

    async fn judge(&self, answer: RedisResult<Value>, number: u64) -> RedisResult<Value> {
        if let Err(error) = &answer
            && errors::meaning(error) == Meaning::Reconnect
        {
            let mut state = self.state.lock().await;
            if state.number == number {
                state.current = None;
            }
        }
        answer
    }

    async fn connection(&self) -> RedisResult<(MultiplexedConnection, u64)> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(current) = &state.current {
            return Ok((current.clone(), state.number));
        }
        if let Some((at, error)) = &state.failed
            && *at > asked
        {
            return Err(error.clone());
        }
        match self
            .client
            .get_multiplexed_async_connection_with_config(&self.config)
            .await
        {
            Ok(connection) => {
                state.number += 1;
                state.current = Some(connection.clone());
                Ok((connection, state.number))
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}
