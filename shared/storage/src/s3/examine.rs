//! What operators want to know of a bucket before work depends on it: uploads in parts, and what its rules remove.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, ExpirationStatus, LifecycleRule};
use sqlextract_model::Result;

use super::bucket::Bucket;
use super::failure::{Failed, Intent};
use super::stale::abort_one;
use super::upload::random_token;
use crate::key::OWN_SEGMENT;

/// What a bucket does, as far as it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Facts {
    pub lifecycle: Lifecycle,
}

/// What the bucket's lifecycle rules do below the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lifecycle {
    Known {
        /// Uploads that nobody completes are ended after so many days.
        uploads_end_after_days: Option<i32>,
        expiring: Vec<Expiring>,
    },
    /// The store has no such rules, or does not let this user read them: why.
    Unknown(String),
}

/// A rule that removes objects below the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    pub rule: String,
    /// `None` at a date that the rule names.
    pub after_days: Option<i32>,
}

/// Uploads in parts once to the end and once only to its abort, and reads the rules. Leaves nothing.
pub(super) async fn examine(bucket: &Bucket) -> Result<S3Facts> {
    let key = format!("{OWN_SEGMENT}/probe-{}", random_token()?);
    let completed = upload_in_parts(bucket, &key).await;
    if let Err(failure) = bucket.delete(&key).await {
        tracing::debug!(%key, %failure, "the probe stays, for want of permission to delete");
    }
    completed?;
    let id = begin(bucket, &key).await?;
    abort_one(bucket, &bucket.full_key(&key), &id).await?;
    Ok(S3Facts {
        lifecycle: lifecycle(bucket).await?,
    })
}

async fn upload_in_parts(bucket: &Bucket, key: &str) -> Result<()> {
    let id = begin(bucket, key).await?;
    let completed = complete(bucket, key, &id).await;
    if completed.is_err()
        && let Err(failure) = abort_one(bucket, &bucket.full_key(key), &id).await
    {
        tracing::debug!(%key, %failure, "the probe's upload stays open");
    }
    completed
}

async fn begin(bucket: &Bucket, key: &str) -> Result<String> {
    let request = bucket.client.create_multipart_upload();
    let sent = request.bucket(&bucket.name).key(bucket.full_key(key)).send().await;
    let message = || format!("cannot begin an upload in parts to {}", bucket.location);
    let begun = sent.map_err(|error| Failed::new(Intent::Read, message(), error))?;
    Ok(begun.upload_id.unwrap_or_default())
}

async fn complete(bucket: &Bucket, key: &str, id: &str) -> Result<()> {
    let full_key = bucket.full_key(key);
    let part = bucket.client.upload_part().bucket(&bucket.name).key(&full_key);
    let part = part
        .upload_id(id)
        .part_number(1)
        .body(ByteStream::from_static(b"probe"));
    let message = || format!("cannot upload a part to {}", bucket.location);
    let sent = part
        .send()
        .await
        .map_err(|error| Failed::new(Intent::Read, message(), error))?;
    let part = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(sent.e_tag)
        .set_checksum_crc32(sent.checksum_crc32)
        .build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let request = bucket
        .client
        .complete_multipart_upload()
        .bucket(&bucket.name)
        .key(&full_key);
    let message = || format!("cannot complete an upload in parts to {}", bucket.location);
    let sent = request.upload_id(id).multipart_upload(parts).send().await;
    sent.map_err(|error| Failed::new(Intent::Read, message(), error))?;
    Ok(())
}

async fn lifecycle(bucket: &Bucket) -> Result<Lifecycle> {
    let request = bucket.client.get_bucket_lifecycle_configuration().bucket(&bucket.name);
    let message = || format!("cannot read the lifecycle rules of s3://{}", bucket.name);
    let rules = match request.send().await {
        Ok(answer) => answer.rules.unwrap_or_default(),
        Err(error) => {
            let failed = Failed::new(Intent::Read, message(), error);
            match failed.status() {
                _ if failed.is("NoSuchLifecycleConfiguration") => Vec::new(),
                Some(403) => return Ok(Lifecycle::Unknown("this user may not read them".to_owned())),
                Some(400..=499 | 501) => return Ok(Lifecycle::Unknown("the store does not tell them".to_owned())),
                _ => return Err(failed.into()),
            }
        }
    };
    Ok(judge(rules.iter().map(Rule::of), &bucket.prefix))
}

/// A rule, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    id: String,
    prefix: String,
    /// It concerns objects of some tags or sizes only.
    conditional: bool,
    uploads_end_after_days: Option<i32>,
    /// Objects expire, after some days or at a date.
    expires: Option<Option<i32>>,
}

impl Rule {
    /// `None` for a rule that is switched off.
    fn of(rule: &LifecycleRule) -> Option<Self> {
        if rule.status != ExpirationStatus::Enabled {
            return None;
        }
        let filter = rule.filter.as_ref();
        let and = filter.and_then(|filter| filter.and.as_ref());
        let prefix = filter.and_then(|filter| filter.prefix.as_ref());
        let prefix = prefix.or_else(|| and.and_then(|and| and.prefix.as_ref()));
        #[expect(deprecated, reason = "rules of old have their prefix here")]
        let prefix = prefix.or(rule.prefix.as_ref());
        let conditional = and.is_some()
            || filter.is_some_and(|filter| {
                filter.tag.is_some()
                    || filter.object_size_greater_than.is_some()
                    || filter.object_size_less_than.is_some()
            });
        let expiration = rule.expiration.as_ref();
        let expiration = expiration.filter(|expiration| expiration.days.is_some() || expiration.date.is_some());
        let uploads = rule.abort_incomplete_multipart_upload.as_ref();
        Some(Self {
            id: rule.id.clone().unwrap_or_else(|| "without a name".to_owned()),
            prefix: prefix.cloned().unwrap_or_default(),
            conditional,
            uploads_end_after_days: uploads.and_then(|uploads| uploads.days_after_initiation),
            expires: expiration.map(|expiration| expiration.days),
        })
    }

    fn covers(&self, prefix: &str) -> bool {
        !self.conditional && prefix.starts_with(&self.prefix)
    }

    fn touches(&self, prefix: &str) -> bool {
        prefix.starts_with(&self.prefix) || self.prefix.starts_with(prefix)
    }
}

fn judge(rules: impl Iterator<Item = Option<Rule>>, prefix: &str) -> Lifecycle {
    let rules: Vec<Rule> = rules.flatten().collect();
    let covering = rules.iter().filter(|rule| rule.covers(prefix));
    let touching = rules.iter().filter(|rule| rule.touches(prefix));
    Lifecycle::Known {
        uploads_end_after_days: covering.filter_map(|rule| rule.uploads_end_after_days).min(),
        expiring: touching
            .filter_map(|rule| {
                Some(Expiring {
                    rule: rule.id.clone(),
                    after_days: rule.expires?,
                })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(prefix: &str, conditional: bool, uploads: Option<i32>, expires: Option<Option<i32>>) -> Option<Rule> {
        Some(Rule {
            id: "r".to_owned(),
            prefix: prefix.to_owned(),
            conditional,
            uploads_end_after_days: uploads,
            expires,
        })
    }

    #[test]
    fn a_rule_counts_where_it_touches_the_prefix_and_ends_uploads_where_it_covers_it() {
        let days = |days| Some(Some(days));
        // A rule, and the days of uploads and of objects below `a/b/`.
        let cases = [
            (None, None, None),
            (rule("", false, Some(7), None), Some(7), None),
            (rule("a/", false, Some(7), days(30)), Some(7), days(30)),
            (rule("a/b/c/", false, Some(7), days(30)), None, days(30)),
            (rule("a/x", false, Some(7), days(30)), None, None),
            (rule("a/b", true, Some(7), days(30)), None, days(30)),
            (rule("a/b/", false, None, Some(None)), None, Some(None)),
        ];
        for (rule, uploads, objects) in cases {
            let Lifecycle::Known {
                uploads_end_after_days,
                expiring,
            } = judge([rule.clone()].into_iter(), "a/b/")
            else {
                panic!("rules were given")
            };
            assert_eq!(uploads_end_after_days, uploads, "{rule:?}");
            assert_eq!(
                expiring.first().map(|expiring| expiring.after_days),
                objects,
                "{rule:?}"
            );
        }
    }
}
