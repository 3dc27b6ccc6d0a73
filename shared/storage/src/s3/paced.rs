//! Bodies that are sent no faster than a limit.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::pace::Pace;

/// Gives each attempt at a request a body that keeps the pace. That comes last, when the body in memory has its checksum
/// and its signature; a further attempt begins with that body again.
#[derive(Debug)]
pub(super) struct PacedBodies {
    pace: Arc<Pace>,
}

impl PacedBodies {
    pub(super) fn new(pace: Arc<Pace>) -> Self {
        Self { pace }
    }
}

impl Intercept for PacedBodies {
    fn name(&self) -> &'static str {
        "paced bodies"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request_mut().body_mut();
        if body.content_length() == Some(0) {
            return Ok(());
        }
        let paced = PacedBody {
            inner: std::mem::replace(body, SdkBody::taken()),
            rest: Bytes::new(),
            admitted: None,
            pace: Arc::clone(&self.pace),
        };
        *body = SdkBody::from_body_1_x(paced);
        Ok(())
    }
}

/// Hands on another body piece by piece, each when it may go.
struct PacedBody {
    inner: SdkBody,
    /// What the other body has given and is not handed on.
    rest: Bytes,
    /// The wait for the next piece, once it has its place in line, and its bytes.
    admitted: Option<(Pin<Box<Sleep>>, usize)>,
    pace: Arc<Pace>,
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(context)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => this.rest = bytes,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let (rest, pace) = (this.rest.len(), &this.pace);
        let (wait, bytes) = this.admitted.get_or_insert_with(|| {
            let bytes = rest.min(pace.piece_bytes());
            (Box::pin(tokio::time::sleep_until(pace.take(bytes))), bytes)
        });
        ready!(wait.as_mut().poll(context));
        let bytes = *bytes;
        this.admitted = None;
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.size_hint();
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
