//! Requests get one clear answer, and bad ones change nothing.

use serde_json::{Value, json};
use sqlextract_system_tests::{Dialect, Fleet, all_files, eventually};

use crate::clients::publish;
use crate::fingerprint::Orders;

fn request(id: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/tests", "type": "io.sqlextract.extraction.requested.v1", "data": data})
}

fn of_orders(more: &Value) -> Value {
    let mut data = json!({"source": "shop", "destination": "lake", "tables": [{"name": "public.orders"}]});
    let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) else {
        panic!("both are objects")
    };
    data.extend(more.clone());
    Value::Object(data.clone())
}

fn table(table: &Value) -> Value {
    of_orders(&json!({"tables": [table]}))
}

/// Ids, requests that nobody may have answered, and what the reason says.
fn bad_requests(url: &str) -> Vec<(&'static str, Value, &'static str)> {
    let evil = "x\"; DROP TABLE orders; --";
    let filter = |column: &str, value: &str| json!({"name": "public.orders", "filter": {"column": column, "op": "=", "value": value}});
    vec![
        ("source", of_orders(&json!({"source": "elsewhere"})), "no source"),
        ("source-injected", of_orders(&json!({"source": evil})), "no source"),
        ("source-url", of_orders(&json!({"source": url})), "no source"),
        (
            "destination",
            of_orders(&json!({"destination": "s3://other/x"})),
            "no destination",
        ),
        ("table", table(&json!({"name": "hidden.secrets"})), "not allowed"),
        (
            "table-injected",
            table(&json!({"name": format!("public.{evil}")})),
            "no table name",
        ),
        (
            "table-quoted",
            table(&json!({"name": "public.\"x\"\"; DROP TABLE orders; --\""})),
            "drop table",
        ),
        ("table-missing", table(&json!({"name": "public.nothing"})), "nothing"),
        (
            "column-injected",
            table(&json!({"name": "public.orders", "columns": [evil]})),
            "column",
        ),
        ("filter-column", table(&filter(evil, "1")), "column"),
        (
            "filter-sql",
            table(&json!({"name": "public.orders", "filter": "1=1; DROP TABLE orders"})),
            "read",
        ),
        (
            "target",
            of_orders(&json!({"targets": [{"platform": "oracle"}]})),
            "read",
        ),
        (
            "target-injected",
            of_orders(&json!({"targets": [{"platform": "postgres", "table": "a\u{0}b"}]})),
            "control",
        ),
        ("format", of_orders(&json!({"format": "xml"})), "read"),
    ]
}

/// Two that cannot be read at all, one that is too deep, and one of a version to come.
fn publish_unreadable(fleet: &Fleet) {
    // Read by recursion, it would end the process.
    let deep = format!("{}1{}", "{\"not\":".repeat(100_000), "}".repeat(100_000));
    let deep = request("deep", &table(&json!({"name": "public.orders", "filter": "DEEP"})))
        .to_string()
        .replace("\"DEEP\"", &deep);
    publish(fleet, "requests", &deep);
    publish(fleet, "requests", "no json at all");
    publish(
        fleet,
        "requests",
        &request("large", &json!("x".repeat(5_000_000))).to_string(),
    );
    publish(
        fleet,
        "requests",
        &request("v2", &of_orders(&json!({})))
            .to_string()
            .replace("requested.v1", "requested.v2"),
    );
}

#[test]
fn a_bad_request_is_rejected_with_its_reason_and_changes_nothing() {
    let orders = Orders::new(Dialect::Postgres, 100);
    orders
        .database
        .run("CREATE SCHEMA hidden; CREATE TABLE hidden.secrets (id int PRIMARY KEY);");
    let fleet = Fleet::of(&orders.database.url());
    let _planner = fleet.serve("planner");
    let watch = fleet.watch();
    let before = all_files(&fleet.folder());
    let cases = bad_requests(&orders.database.url());
    for (id, data, _) in &cases {
        publish(&fleet, "requests", &request(id, data).to_string());
    }
    publish_unreadable(&fleet);

    let rejected = |id: &str| {
        let all = watch.events();
        let mut mine = all.into_iter().filter(|event| event["data"]["request"] == id);
        mine.find(|event| event["type"] == "io.sqlextract.extraction.rejected.v1")
    };
    for (id, _, reason) in &cases {
        eventually(&format!("the rejection of {id}"), || rejected(id).is_some());
        let failures = rejected(id).unwrap_or_default()["data"]["failures"].to_string();
        assert!(failures.to_lowercase().contains(reason), "{id}: {failures}");
    }
    for id in ["v2", "deep"] {
        eventually(&format!("the rejection of {id}"), || rejected(id).is_some());
    }
    // Those without a readable id are told under the hash of their bytes, and kept.
    eventually("the rejection of two unreadable messages", || {
        let hashed = |event: &Value| event["data"]["request"].as_str().is_some_and(|id| id.len() == 64);
        watch.events().iter().filter(|event| hashed(event)).count() == 2
    });
    eventually("two parked messages", || {
        let listed = fleet.run(&["parked", "list", "--json"]).exits(0);
        listed.stdout.lines().count() == 2
    });
    assert_eq!(all_files(&fleet.folder()), before, "a bad request has left something");
    assert_eq!(orders.database.value("SELECT count(*) FROM orders"), "100");
}

#[test]
fn a_filter_takes_exactly_its_rows_whatever_is_in_it() {
    let orders = Orders::new(Dialect::Postgres, 500);
    orders.database.run(
        "CREATE TABLE odd (id int PRIMARY KEY, \"we\"\"ird\" text);
         INSERT INTO odd VALUES (1, 'it''s'), (2, 'back\\slash'), (3, '\"; DROP TABLE odd; --'), (4, NULL), (5, 'plain'); ANALYZE odd;",
    );
    let fleet = Fleet::of(&orders.database.url());
    let _services = fleet.serve_all(1);
    let column = "we\"ird";
    let cases = [
        (json!({"column": column, "op": "=", "value": "it's"}), vec!["1"]),
        (json!({"column": column, "op": "=", "value": "back\\slash"}), vec!["2"]),
        (
            json!({"column": column, "op": "in", "value": ["\"; DROP TABLE odd; --", "plain"]}),
            vec!["3", "5"],
        ),
        (
            json!({"or": [{"column": column, "op": "is null"}, {"column": "id", "op": "between", "value": [1, 2]}]}),
            vec!["1", "2", "4"],
        ),
        (json!({"not": {"column": "id", "op": ">", "value": 1}}), vec!["1"]),
        (json!({"column": "id", "op": "=", "value": "5"}), vec!["5"]),
    ];
    for (number, (filter, ids)) in cases.iter().enumerate() {
        let data = table(&json!({"name": "public.odd", "filter": filter}));
        let file = fleet.scenario().path(&format!("request-{number}.json"));
        std::fs::write(&file, data.to_string()).unwrap();
        let run = fleet
            .run(&["submit", "--file", file.to_str().unwrap(), "--wait", "--json"])
            .exits(0);
        let name = sqlextract_system_tests::answers(&run)[0]["data"]["job"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let rows = fleet.job(&name).query("odd", "SELECT id FROM chunks ORDER BY id");
        let found: Vec<String> = rows.into_iter().flatten().flatten().collect();
        assert_eq!(&found, ids, "{filter}");
    }
}

#[test]
fn the_same_id_is_one_job_and_with_other_content_it_is_rejected() {
    let orders = Orders::new(Dialect::Postgres, 2000);
    let fleet = Fleet::of(&orders.database.url());
    let _services = fleet.serve_all(1);
    let watch = fleet.watch();
    let same = request("same", &of_orders(&json!({"batch_rows": 200}))).to_string();
    for _ in 0..4 {
        publish(&fleet, "requests", &same);
    }
    let accepted = || {
        watch
            .events()
            .into_iter()
            .find(|e| e["data"]["request"] == "same" && e["type"] == "io.sqlextract.extraction.accepted.v1")
    };
    eventually("the acceptance", || accepted().is_some());
    let name = accepted().unwrap_or_default()["data"]["job"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(fleet.outcome(&name), "completed");
    publish(
        &fleet,
        "requests",
        &request("same", &of_orders(&json!({"format": "csv"}))).to_string(),
    );
    let rejected = || {
        watch
            .events()
            .into_iter()
            .find(|e| e["data"]["request"] == "same" && e["type"] == "io.sqlextract.extraction.rejected.v1")
    };
    eventually("the rejection of other content", || rejected().is_some());
    let reason = rejected().unwrap_or_default()["data"]["failures"][0]["message"].to_string();
    assert!(reason.contains("another request") && reason.contains(&name), "{reason}");
    orders.is_in(&fleet.job(&name));
    let folders: Vec<_> = std::fs::read_dir(fleet.folder())
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    let jobs = folders
        .iter()
        .filter(|f| f.to_string_lossy().starts_with("orders-"))
        .count();
    assert_eq!(jobs, 1, "{folders:?}");
    let completed = watch.heard(&name, "extraction.completed");
    let ids: std::collections::HashSet<String> = completed.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "one outcome has one event id");
    assert_eq!(
        fleet.job(&name).manifest["tables"][0]["generation"],
        1,
        "it was planned once"
    );
}
