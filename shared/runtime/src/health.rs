//! `/healthz`, `/readyz` and `/metrics` over HTTP.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sqlextract_model::{Code, Failure, Result};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::Metrics;

/// Connections that are answered at once; more wait.
const CONNECTIONS: usize = 32;
/// A client that says nothing is left after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a process says of itself.
pub trait Health: Send + Sync + fmt::Debug {
    /// Why the process should get no work now, or `None`. Asked at each request: it must not wait.
    fn unready(&self) -> Option<String>;

    /// Brings numbers that are kept elsewhere up to date.
    fn refresh(&self, metrics: &Metrics);
}

/// The listener of a process's health and numbers.
#[derive(Debug)]
pub struct HealthServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl HealthServer {
    /// `address` is as in `127.0.0.1:9464`; port 0 takes a free one.
    pub async fn bind(address: &str) -> Result<Self> {
        let refused = |cause: std::io::Error| {
            Failure::new(Code::PreflightFailed, format!("nothing can listen on {address}")).because(cause)
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `until` is cancelled. That it answers at all is liveness: it depends on nobody else.
    pub async fn serve(self, health: Arc<dyn Health>, metrics: Metrics, until: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            let place = place.expect("the semaphore is never closed");
            let stream = tokio::select! {
                () = until.cancelled() => return,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    // Out of descriptors, or the client is gone already.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let (health, metrics) = (Arc::clone(&health), metrics.clone());
            tokio::spawn(async move {
                let _place = place;
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = answer(request.method(), request.uri().path(), health.as_ref(), &metrics);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(PATIENCE)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service);
                // A client that breaks off has its answer or wants none.
                let _ = tokio::time::timeout(PATIENCE, connection).await;
            });
        }
    }
}

fn answer(method: &Method, path: &str, health: &dyn Health, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, kind, text) = match path {
        _ if method != Method::GET && method != Method::HEAD => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "only GET is answered\n".to_owned(),
        ),
        "/healthz" => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" => match health.unready() {
            None => (StatusCode::OK, "text/plain", "ready\n".to_owned()),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{why}\n")),
        },
        "/metrics" => {
            health.refresh(metrics);
            (
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                metrics.text(),
            )
        }
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "/healthz, /readyz, /metrics\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::Metric;

    #[derive(Debug)]
    struct Draining;

    impl Health for Draining {
        fn unready(&self) -> Option<String> {
            Some("draining".to_owned())
        }

        fn refresh(&self, metrics: &Metrics) {
            metrics.set(Metric::Draining, &[], 1.0);
        }
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_draining_process_is_alive_and_not_ready() {
        let server = HealthServer::bind("127.0.0.1:0").await.unwrap();
        let address = server.address();
        let until = CancellationToken::new();
        let serving = tokio::spawn(server.serve(Arc::new(Draining), Metrics::new(), until.clone()));
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let ready = get(address, "/readyz").await;
        assert!(
            ready.starts_with("HTTP/1.1 503") && ready.ends_with("draining\n"),
            "{ready}"
        );
        assert!(get(address, "/metrics").await.contains("\nsqlextract_draining 1\n"));
        assert!(get(address, "/x").await.starts_with("HTTP/1.1 404"));
        until.cancel();
        serving.await.unwrap();
    }
}
