//! What is deployed and what the code says are the same thing.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every word of a text that begins like this, up to what no name contains.
fn words<'a>(text: &'a str, prefix: &'a str) -> BTreeSet<&'a str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name(c))
        .filter(|word| word.starts_with(prefix) && word.len() > prefix.len())
        .collect()
}

#[test]
fn alerts_ask_for_numbers_that_there_are_and_have_a_page_each() {
    let (alerts, pages, code) = (
        read("deploy/prometheus/alerts.yml"),
        read("deploy/RUNBOOK.md"),
        read("shared/runtime/src/metrics.rs"),
    );
    for name in words(&alerts, "sqlextract_") {
        let known = name.strip_prefix("sqlextract_").map(|name| format!("\"{name}\" "));
        assert!(
            known.is_some_and(|known| code.contains(&known)),
            "there is no number {name}"
        );
    }
    let named: Vec<&str> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(named.len() >= 5, "{named:?}");
    for alert in &named {
        assert!(pages.contains(&format!("\n## {alert}\n")), "{alert} has no page");
        let link = format!("RUNBOOK.md#{}\"", alert.to_lowercase());
        assert!(alerts.contains(&link), "{alert} does not link its page");
    }
    let titles = pages.lines().filter_map(|line| line.strip_prefix("## "));
    for title in titles {
        assert!(named.contains(&title), "the page {title} has no alert");
    }
}

/// `name = "10m"` of a settings file, or `name: 10` of a manifest, in seconds.
fn seconds(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(name));
    let value = value.unwrap_or_else(|| panic!("there is no {name}"));
    let value = value.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let (number, unit) = value.split_at(value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len()));
    let number: u64 = number.parse().unwrap_or_else(|e| panic!("{name} {value}: {e}"));
    match unit {
        "" | "s" => number,
        "m" => number * 60,
        "h" => number * 3600,
        _ => panic!("{name}: {unit}"),
    }
}

#[test]
fn pods_and_containers_wait_longer_than_a_batch_may_take() {
    let settings = read("deploy/kubernetes/sqlextract.toml");
    let (deadline, grace) = (seconds(&settings, "batch_deadline"), seconds(&settings, "grace"));
    assert!(deadline < grace, "the service gives up before its batch");
    for role in ["planner", "extractor", "scripter"] {
        let manifest = read(&format!("deploy/kubernetes/{role}.yaml"));
        assert!(seconds(&manifest, "terminationGracePeriodSeconds") > grace, "{role}");
        assert!(manifest.contains(&format!("\"serve\", \"{role}\"")), "{role}");
        for probe in ["/healthz", "/readyz"] {
            assert!(manifest.contains(probe), "{role} is not asked for {probe}");
        }
        assert!(read("deploy/kubernetes/kustomization.yaml").contains(&format!("{role}.yaml")));
    }
    let settings = read("deploy/compose/sqlextract.toml");
    let (deadline, grace) = (seconds(&settings, "batch_deadline"), seconds(&settings, "grace"));
    let compose = read("docker-compose.yml");
    assert!(seconds(&compose, "stop_grace_period") > deadline.max(grace));
}

#[test]
fn extractors_are_scaled_by_the_queue_of_their_source_with_what_is_in_hand() {
    let scaling = read("deploy/kubernetes/scaling.yaml");
    let settings = read("deploy/kubernetes/sqlextract.toml");
    let queue = scaling
        .lines()
        .find_map(|line| line.trim().strip_prefix("queueName: sqlextract.batches."));
    let source = queue.expect("the scaler reads a queue of batches");
    assert!(
        settings.contains(&format!("[sources.{source}]")),
        "there is no source {source}"
    );
    assert!(scaling.contains("excludeUnacknowledged: \"false\"") && scaling.contains("protocol: http"));
}

#[test]
fn images_are_pinned_to_a_version() {
    for file in ["docker-compose.yml", "deploy/Dockerfile"] {
        let text = read(file);
        let images = text.lines().filter_map(|line| {
            let line = line.trim();
            line.strip_prefix("image: ").or_else(|| line.strip_prefix("FROM "))
        });
        for image in images {
            let name = image.split(' ').next().unwrap_or_default();
            let tag = name.rsplit_once(':').map(|(_, tag)| tag);
            assert!(tag.is_some_and(|tag| tag != "latest"), "{file}: {image}");
        }
    }
}
