//! No password is in anything that a scenario leaves: logs, what commands print, checkpoints, manifests, commit records,
//! scripts. Each scenario looks for them at its end.

use std::path::{Path, PathBuf};

/// The password of every test server.
pub const PASSWORD: &str = include_str!("../password").trim_ascii();
/// The secret key of every S3 server of a scenario.
pub const SECRET_KEY: &str = "marked-key-51d08b6a";

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Chunks hold the source's values and nothing of ours, and may be large; settings are the scenario's own.
const LEFT_OUT: [&str; 5] = ["parquet", "csv", "gz", "zst", "toml"];

/// How the secret may be written: as it is, percent-encoded, and in Base64 wherever it begins there.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let percent = secret.replace('-', "%2D");
    let base64 = (0..3).map(|before| within_base64(secret.as_bytes(), before));
    [secret.as_bytes().to_vec(), percent.into_bytes()]
        .into_iter()
        .chain(base64)
        .collect()
}

/// The digits that depend on the secret alone, behind so many other bytes.
fn within_base64(secret: &[u8], before: usize) -> Vec<u8> {
    let bit = |i: usize| secret[i / 8] >> (7 - i % 8) & 1;
    let first = (6 - before * 8 % 6) % 6;
    let whole = (secret.len() * 8 - first) / 6;
    let digit = |d: usize| (0..6).fold(0_u8, |value, i| value << 1 | bit(first + d * 6 + i));
    (0..whole).map(|d| DIGITS[usize::from(digit(d))]).collect()
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    let first = word[0];
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(word) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// Every line of a file, or of all files below a folder, that holds a secret, as `FILE:LINE`.
pub fn found_in(place: &Path) -> Vec<String> {
    let forms: Vec<Vec<u8>> = [PASSWORD, SECRET_KEY].into_iter().flat_map(forms).collect();
    let mut found = Vec::new();
    let mut places: Vec<PathBuf> = vec![place.to_owned()];
    while let Some(place) = places.pop() {
        if place.is_dir() {
            // What a server removes meanwhile holds nothing.
            let entries = std::fs::read_dir(&place).into_iter().flatten().flatten();
            places.extend(entries.map(|entry| entry.path()));
            continue;
        }
        let extension = place.extension().and_then(|extension| extension.to_str());
        if !place.is_file() || extension.is_some_and(|extension| LEFT_OUT.contains(&extension)) {
            continue;
        }
        let text = std::fs::read(&place).unwrap_or_default();
        if forms.iter().any(|form| holds(&text, form)) {
            let lines = text.split(|byte| *byte == b'\n').enumerate();
            let telling = lines.filter(|(_, line)| forms.iter().any(|form| holds(line, form)));
            found.extend(telling.map(|(i, line)| {
                let line: String = String::from_utf8_lossy(line).chars().take(300).collect();
                format!("{}:{}: {line}", place.display(), i + 1)
            }));
        }
    }
    found
}

/// At the end of a scenario; one that fails has said enough.
pub(crate) fn look_below(folder: &Path) {
    if std::thread::panicking() {
        return;
    }
    let found = found_in(folder);
    assert!(found.is_empty(), "a password is in {found:#?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_is_given_the_password_that_is_looked_for() {
        let definitions = include_str!("../rabbitmq/definitions.json");
        assert!(definitions.contains(&format!("\"password\": \"{PASSWORD}\"")));
    }

    #[test]
    fn a_planted_secret_is_found_however_it_is_written() {
        let planted = [
            format!("amqp://user:{PASSWORD}@host"),
            "redis://default:marked%2D9f2c7e41@host".to_owned(),
            // `user:marked-9f2c7e41`, and with one and two bytes more in front.
            "Basic dXNlcjptYXJrZWQtOWYyYzdlNDE=".to_owned(),
            "Basic eHVzZXI6bWFya2VkLTlmMmM3ZTQx".to_owned(),
            "Basic eHh1c2VyOm1hcmtlZC05ZjJjN2U0MQ==".to_owned(),
            SECRET_KEY.to_owned(),
        ];
        for text in planted {
            let folder = tempfile::TempDir::new().unwrap();
            assert_eq!(found_in(folder.path()), [""; 0]);
            let below = folder.path().join("job").join("commits");
            std::fs::create_dir_all(&below).unwrap();
            std::fs::write(below.join("0.json"), format!("nothing\n{text}\n")).unwrap();
            let found = found_in(folder.path());
            assert!(found.len() == 1 && found[0].contains("0.json:2: "), "{text}: {found:?}");
        }
    }
}
