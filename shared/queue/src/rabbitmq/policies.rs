//! What an operator tunes, as RabbitMQ's own definitions file. `deploy/rabbitmq/definitions.json` is this, for the
//! default prefix; a test compares them.

use serde_json::{Value, json};

/// Deliveries after which the broker takes a message for poison and dead-letters it: the last net, far above our own
/// count of attempts.
const DELIVERY_LIMIT: u64 = 50;
/// Where people look at messages and put them back, the count must not carry anything away.
const NO_DELIVERY_LIMIT: u64 = 1_000_000;
/// A fuse: publishers wait at a full queue instead of filling the broker's disk.
const MOST_WORK: u64 = 200_000;
const MOST_KEPT: u64 = 1_000_000;
/// A subscriber that went away misses what is older, and holds up nobody.
const MOST_EVENTS: u64 = 10_000;
const SUBSCRIPTION_EXPIRES_MILLISECONDS: u64 = 24 * 3600 * 1000;

/// The policies for a prefix as a definitions file, to be loaded with `rabbitmqctl import_definitions FILE`.
pub fn rabbitmq_definitions(prefix: &str) -> String {
    let head = prefix.replace('.', "\\.");
    let policies = [
        policy(
            prefix,
            "work",
            &format!("^{head}\\.(requests|ticks|scripter|(long-)?batches\\..+)$"),
            json!({"max-length": MOST_WORK, "delivery-limit": DELIVERY_LIMIT}),
        ),
        policy(
            prefix,
            "retry",
            &format!("^{head}\\.retry\\."),
            json!({"max-length": MOST_WORK}),
        ),
        policy(
            prefix,
            "kept",
            &format!("^{head}\\.(parked|dead)$"),
            json!({"max-length": MOST_KEPT, "overflow": "reject-publish", "delivery-limit": NO_DELIVERY_LIMIT}),
        ),
        policy(
            prefix,
            "events",
            &format!("^{head}\\.events\\."),
            json!({
                "max-length": MOST_EVENTS, "overflow": "drop-head", "delivery-limit": DELIVERY_LIMIT,
                "expires": SUBSCRIPTION_EXPIRES_MILLISECONDS
            }),
        ),
    ];
    let file = json!({"vhosts": [{"name": "/"}], "policies": policies});
    let mut text = serde_json::to_string_pretty(&file).expect("the file has string keys and serialises");
    text.push('\n');
    text
}

fn policy(prefix: &str, name: &str, pattern: &str, definition: Value) -> Value {
    json!({
        "vhost": "/", "name": format!("{prefix}-{name}"), "pattern": pattern, "apply-to": "queues", "priority": 10,
        "definition": definition
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployed_policies_are_those_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/rabbitmq/definitions.json");
        let deployed = std::fs::read_to_string(path).unwrap();
        let deployed: Value = serde_json::from_str(&deployed).unwrap();
        let ours: Value = serde_json::from_str(&rabbitmq_definitions("sqlextract")).unwrap();
        assert_eq!(
            deployed, ours,
            "deploy/rabbitmq/definitions.json is not what the code writes"
        );
    }

    #[test]
    fn a_dot_of_the_prefix_matches_itself_alone() {
        assert!(rabbitmq_definitions("a.b").contains(r"^a\\.b\\.retry"));
    }
}
