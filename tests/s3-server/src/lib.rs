//! An S3 server for tests: the operations that the project uses, strict where S3 is strict, wrong where a test asks.
//!
//! Writes with `If-None-Match: *` are decided under one lock, checksums before an object can be seen, buckets must
//! exist, and parts are those that were sent. [`Faults`] are set from a test by [`S3Server::set_faults`], from
//! another process by `PUT /_faults` with their JSON.

mod faults;
mod objects;
mod service;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use faults::FaultControl;
pub use faults::{Dose, Faults, Hold};
pub use objects::ObjectRule;
use objects::Store;

const FAULTS_PATH: &str = "/_faults";

/// Where a server keeps its objects and whom it lets in.
#[derive(Clone)]
pub struct ServerSettings<'a> {
    pub root: &'a Path,
    /// `127.0.0.1:0` takes a free port.
    pub address: &'a str,
    pub access_key: &'a str,
    pub secret_key: &'a str,
    /// Made at the start where they are missing.
    pub buckets: &'a [&'a str],
}

impl fmt::Debug for ServerSettings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSettings")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// A running server; dropped, it stops listening.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    store: Arc<Store>,
    faults: Arc<FaultControl>,
    listening: JoinHandle<()>,
}

impl S3Server {
    pub async fn start(settings: ServerSettings<'_>) -> io::Result<Self> {
        let store = Arc::new(Store::open(settings.root)?);
        for bucket in settings.buckets {
            let made = store.create_bucket(bucket);
            made.map_err(|e| io::Error::other(format!("bucket {bucket}: {e:?}")))?;
        }
        let faults = Arc::new(FaultControl::default());
        let mut builder = S3ServiceBuilder::new(service::Service {
            store: Arc::clone(&store),
            faults: Arc::clone(&faults),
        });
        builder.set_auth(SimpleAuth::from_single(settings.access_key, settings.secret_key));
        let s3 = builder.build();
        let listener = TcpListener::bind(settings.address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            store,
            listening: tokio::spawn(listen(listener, s3, Arc::clone(&faults))),
            faults,
        })
    }

    /// `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set_faults(&self, faults: Faults) {
        self.faults.set(faults);
    }

    /// The switches as they are now, counted down.
    pub fn faults(&self) -> Faults {
        self.faults.get()
    }

    /// Puts an object into a bucket past the service, as somebody else would.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> io::Result<()> {
        let incoming = objects::Incoming {
            path: self.store.incoming_path(),
            bytes: bytes.len() as u64,
            etag: "put".to_owned(),
            crc32: None,
        };
        std::fs::write(&incoming.path, bytes)?;
        let put = self.store.publish((bucket, key), &incoming, None, false);
        put.map_err(|refused| io::Error::other(format!("{key}: {refused:?}")))
    }

    /// Removes an object past the service, as somebody else would.
    pub fn remove(&self, bucket: &str, key: &str) -> io::Result<()> {
        let removed = self.store.delete(bucket, key);
        removed.map_err(|refused| io::Error::other(format!("{key}: {refused:?}")))
    }

    /// Gives a bucket the lifecycle rules that it tells from now on.
    pub fn set_rules(&self, bucket: &str, rules: Vec<ObjectRule>) {
        self.store.set_rules(bucket, rules);
    }

    /// Multipart uploads of a bucket that are neither complete nor aborted.
    pub fn open_uploads(&self, bucket: &str) -> usize {
        self.store.uploads(bucket, "").len()
    }

    /// Parts of open uploads that have arrived, in all buckets.
    pub fn parts_received(&self) -> usize {
        self.store.parts()
    }

    /// Serves until the listener fails.
    pub async fn wait(&mut self) {
        // The task is never aborted while the server is borrowed, so that it ends only by itself.
        let _ = (&mut self.listening).await;
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, s3: S3Service, faults: Arc<FaultControl>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            // Out of descriptors for a moment: the next client tries again.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        // Without it an answer's body waits for the client to acknowledge its head, which takes the kernel 40 ms.
        let _ = socket.set_nodelay(true);
        let (s3, faults) = (s3.clone(), Arc::clone(&faults));
        let service = service_fn(move |request| answer(request, s3.clone(), Arc::clone(&faults)));
        connections.spawn(async move {
            let http = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(socket), service);
            // A client that goes away in the middle is its own business.
            let _ = http.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Ends a connection without an answer.
#[derive(Debug)]
struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoAnswer {}

fn no_answer(cause: impl fmt::Display) -> NoAnswer {
    NoAnswer(cause.to_string())
}

async fn answer(
    request: Request<Incoming>,
    s3: S3Service,
    faults: Arc<FaultControl>,
) -> Result<Response<Body>, NoAnswer> {
    if request.uri().path() == FAULTS_PATH {
        return switch_faults(request, &faults).await;
    }
    if faults.strikes(|f| &mut f.stall) {
        tokio::time::sleep(Duration::from_millis(faults.get().stall_ms)).await;
    }
    if faults.strikes(|f| &mut f.slow_down) {
        // Read to the end, so that the client sees the answer and not a broken pipe.
        request.into_body().collect().await.map_err(no_answer)?;
        return Ok(slow_down());
    }
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let held = writes.then(|| faults.holds(request.uri().path())).flatten();
    if held == Some(false) {
        std::future::pending::<()>().await;
    }
    let carries_data = *request.method() == Method::PUT;
    let completes = *request.method() == Method::POST && has_upload_id(&request);
    let lost = (writes && faults.strikes(|f| &mut f.lose_answer))
        || (completes && faults.strikes(|f| &mut f.lose_completions));
    let (head, body) = request.into_parts();
    let body = if carries_data && faults.strikes(|f| &mut f.corrupt_upload) {
        let sent = body.collect().await.map_err(no_answer)?.to_bytes();
        Body::from(flip_one_bit(sent))
    } else {
        Body::from(body)
    };
    let answer = s3.call(Request::from_parts(head, body)).await;
    let answer = answer.map_err(|e| no_answer(format_args!("{e:?}")))?;
    if held == Some(true) {
        std::future::pending::<()>().await;
    }
    if lost {
        return Err(no_answer("the answer is lost on purpose"));
    }
    Ok(answer)
}

fn has_upload_id(request: &Request<Incoming>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair.starts_with("uploadId="))
}

fn flip_one_bit(sent: Bytes) -> Bytes {
    let mut bytes = sent.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    Bytes::from(bytes)
}

async fn switch_faults(request: Request<Incoming>, faults: &FaultControl) -> Result<Response<Body>, NoAnswer> {
    let (status, text) = match *request.method() {
        Method::GET => (StatusCode::OK, serde_json::to_string(&faults.get()).map_err(no_answer)?),
        _ => {
            let body = request.into_body().collect().await.map_err(no_answer)?.to_bytes();
            match serde_json::from_slice::<Faults>(&body) {
                Ok(wanted) => {
                    faults.set(wanted);
                    (StatusCode::NO_CONTENT, String::new())
                }
                Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            }
        }
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    Ok(response)
}

fn slow_down() -> Response<Body> {
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your \
                request rate.</Message></Error>";
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
