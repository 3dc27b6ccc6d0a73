use sqlextract_model::{Class, Code};

use super::connect::{Way, check_endpoint};
use super::failure::{Intent, Trouble, code};

fn answered(status: u16, text: &str) -> Trouble {
    Trouble::Answered {
        status,
        code: text.to_owned(),
    }
}

#[test]
fn answers_have_their_code_by_status_and_name() {
    let cases = [
        (403, "SignatureDoesNotMatch", Code::StorageAuthentication),
        (403, "InvalidAccessKeyId", Code::StorageAuthentication),
        (403, "AccessDenied", Code::StorageAuthentication),
        (403, "QuotaExceeded", Code::StorageFull),
        (401, "", Code::StorageAuthentication),
        (404, "NoSuchBucket", Code::StorageMissing),
        (404, "NoSuchUpload", Code::StorageUnreachable),
        (409, "ConditionalRequestConflict", Code::StorageUnreachable),
        (503, "SlowDown", Code::StorageUnreachable),
        (429, "", Code::StorageUnreachable),
        (400, "RequestTimeout", Code::StorageUnreachable),
        (507, "", Code::StorageFull),
        (507, "XMinioStorageFull", Code::StorageFull),
        (301, "PermanentRedirect", Code::StorageRejected),
        (400, "EntityTooLarge", Code::StorageRejected),
        (412, "PreconditionFailed", Code::StorageRejected),
    ];
    for (status, text, expected) in cases {
        for intent in [Intent::Read, Intent::Write] {
            assert_eq!(code(&answered(status, text), intent), expected, "{status} {text}");
        }
    }
}

#[test]
fn only_a_write_without_an_answer_is_indeterminate() {
    for trouble in [Trouble::NoAnswer, answered(500, "InternalError"), answered(504, "")] {
        assert_eq!(
            code(&trouble, Intent::Write).class(),
            Class::Indeterminate,
            "{trouble:?}"
        );
        assert_eq!(code(&trouble, Intent::Read).class(), Class::Retryable, "{trouble:?}");
    }
    for intent in [Intent::Read, Intent::Write] {
        assert_eq!(code(&Trouble::NotConnected, intent), Code::StorageUnreachable);
        assert_eq!(code(&Trouble::NoCredentials, intent), Code::StorageAuthentication);
    }
}

#[test]
fn only_plain_text_to_another_host_is_an_open_way() {
    let cases = [
        ("https://s3.example.com", Way::Guarded),
        ("http://127.0.0.1:9000", Way::Guarded),
        ("http://[::1]:9000", Way::Guarded),
        ("http://localhost", Way::Guarded),
        ("http://10.0.0.1:9000", Way::Open),
        ("http://127.0.0.1.example.com", Way::Open),
    ];
    for (endpoint, way) in cases {
        assert_eq!(check_endpoint(endpoint, true).unwrap(), way, "{endpoint}");
    }
}
