//! Settings to a client: endpoint, credentials, timeouts, retries.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction, RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, ProvideCredentials, Region, RequestChecksumCalculation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::operation::upload_part::UploadPartError;
use aws_smithy_runtime_api::client::interceptors::context::Error as OperationError;
use aws_types::service_config::ServiceConfigKey;
use sqlextract_model::{Code, Failure, Result};

use super::bucket::Bucket;
use super::failure::chain;
use super::settings::{Checksum, S3Settings, invalid};
use crate::pace::Pace;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPTS: u32 = 6;
const LONGEST_BACKOFF: Duration = Duration::from_secs(20);
/// Weak networks stand still for longer than the client's own default of five seconds.
const STALL_GRACE: Duration = Duration::from_secs(20);
/// Where a store neither needs nor tells a region, requests are signed for this one.
const REGION_OF_COMPATIBLES: &str = "us-east-1";

pub(super) async fn connect(settings: &S3Settings) -> Result<Bucket> {
    let shared = load(settings).await;
    let endpoint = settings.endpoint.clone().or_else(|| configured_endpoint(&shared));
    let way = match &endpoint {
        Some(endpoint) => check_endpoint(endpoint, settings.allow_plaintext)?,
        None => Way::Guarded,
    };
    prove_credentials(&shared).await?;
    let mut builder = Builder::from(&shared)
        .behavior_version(BehaviorVersion::v2026_01_12())
        .force_path_style(settings.path_style.unwrap_or(endpoint.is_some()))
        .retry_classifier(AlsoTransient)
        // Each request is bounded by its own attempts. A quota shared by all would fail a long job's requests because
        // of retries that succeeded long ago.
        .retry_partition(
            RetryPartition::custom("sqlextract")
                .token_bucket(TokenBucket::unlimited())
                .build(),
        );
    if shared.region().is_none() {
        if endpoint.is_none() {
            return Err(invalid("no AWS region is set").remedy("Set AWS_REGION or the destination's region."));
        }
        builder = builder.region(Region::from_static(REGION_OF_COMPATIBLES));
    }
    builder.set_endpoint_url(endpoint);
    let prefix = match settings.prefix.trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    Ok(Bucket {
        client: Client::from_conf(builder.build()),
        location: format!("s3://{}/{prefix}", settings.bucket)
            .trim_end_matches('/')
            .to_owned(),
        name: settings.bucket.clone(),
        prefix,
        request_timeout: settings.request_timeout,
        first_backoff: settings.first_backoff,
        part_bytes: settings.part_bytes,
        threshold_bytes: settings.multipart_threshold_bytes,
        creates_only: false,
        signs_bodies: way == Way::Open || settings.checksum == Checksum::WhenRequired,
        pace: settings.upload_bytes_per_second.map(|limit| Arc::new(Pace::new(limit))),
    })
}

async fn load(settings: &S3Settings) -> SdkConfig {
    let checksum = match settings.checksum {
        Checksum::WhenSupported => RequestChecksumCalculation::WhenSupported,
        Checksum::WhenRequired => RequestChecksumCalculation::WhenRequired,
    };
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .retry_config(retries(ATTEMPTS, settings.first_backoff))
        .timeout_config(timeouts(settings.request_timeout))
        .request_checksum_calculation(checksum)
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled()
                .grace_period(STALL_GRACE)
                .build(),
        );
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(given) = &settings.credentials {
        let (access, secret) = (given.access_key.clone(), given.secret_key.clone());
        let token = given.session_token.clone();
        loader = loader.credentials_provider(Credentials::new(access, secret, token, None, "settings"));
    }
    loader.load().await
}

pub(super) fn retries(attempts: u32, first_backoff: Duration) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(attempts)
        .with_initial_backoff(first_backoff)
        .with_max_backoff(LONGEST_BACKOFF)
}

/// Time for one attempt, and for the operation with all its retries. The attempts of a stalled store must not add up
/// to more than a batch has.
pub(super) fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 3 + LONGEST_BACKOFF)
        .build()
}

/// What the environment or the profile sets for S3, or for all services.
fn configured_endpoint(shared: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let for_s3 = shared.service_config().and_then(|config| config.load_config(key));
    for_s3.or_else(|| shared.endpoint_url().map(str::to_owned))
}

/// Whether others can change what is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is encrypted, or does not leave this host.
    Guarded,
    Open,
}

pub(super) fn check_endpoint(endpoint: &str, allow_plaintext: bool) -> Result<Way> {
    let (plaintext, rest) = match (endpoint.strip_prefix("https://"), endpoint.strip_prefix("http://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err(invalid("an S3 endpoint begins with https:// or http://")),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return Err(invalid(
            "an S3 endpoint names a host, without user or password: credentials have settings of their own",
        ));
    }
    if !plaintext || is_loopback(authority) {
        return Ok(Way::Guarded);
    }
    if !allow_plaintext {
        let message = format!("the S3 endpoint http://{authority} is not encrypted and not on this host");
        return Err(Failure::new(Code::PlaintextRefused, message)
            .remedy("Use an https:// endpoint, or allow plain text by name with `--allow-plaintext`."));
    }
    Ok(Way::Open)
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Asks for credentials once, so that missing ones are named as such and not as a failed write.
async fn prove_credentials(shared: &SdkConfig) -> Result<()> {
    let missing = || Failure::new(Code::StorageAuthentication, "no credentials for S3 were found");
    let provider = shared.credentials_provider().ok_or_else(missing)?;
    let found = provider.provide_credentials().await;
    found.map(drop).map_err(|error| {
        missing()
            .because(chain(&error))
            .remedy("Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this host a role.")
    })
}

/// Answers that the client does not try again by itself although another attempt can help: two create-only writes at
/// the same moment, and bytes that changed on their way.
#[derive(Debug)]
struct AlsoTransient;

const ALSO_TRANSIENT: [&str; 4] = [
    "ConditionalRequestConflict",
    "OperationAborted",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
];

impl ClassifyRetry for AlsoTransient {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = match context.output_or_error() {
            Some(Err(error)) => error.as_operation_error(),
            _ => None,
        };
        match error.and_then(write_error_code) {
            Some(code) if ALSO_TRANSIENT.contains(&code) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "conflicts and digests"
    }
}

/// The code that a write of data was refused with.
fn write_error_code(error: &OperationError) -> Option<&str> {
    let put = error.downcast_ref::<PutObjectError>().map(|e| e.code());
    let part = || error.downcast_ref::<UploadPartError>().map(|e| e.code());
    let complete = || error.downcast_ref::<CompleteMultipartUploadError>().map(|e| e.code());
    put.or_else(part).or_else(complete).flatten()
}
