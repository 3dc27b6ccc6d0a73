//! What goes wrong is told by code, object and remedy, and leaves nothing half-made.

use sqlextract_system_tests::{Database, Dialect, Job, Run, Scenario, all_files};

use crate::fingerprint::Orders;

/// The run failed for this reason, named these things, and left no manifest.
#[track_caller]
fn fails(scenario: &Scenario, run: Run, exit: i32, code: &str, named: &[&str]) {
    let run = run.exits(exit).says(named).says(&[&format!("[{code}]"), "hint: "]);
    assert_eq!(run.json["error"]["code"], code, "{}", run.stdout);
    assert_eq!(run.json["error"]["exit_code"], exit);
    let files = all_files(&scenario.output());
    assert!(!files.iter().any(|f| f.ends_with("manifest.json")), "{files:?}");
}

#[test]
fn a_wrong_password_is_refused_without_being_shown() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Mysql, 10);
    let user = orders.database.name().to_owned();
    orders.database.run(&format!(
        "CREATE USER {user}@'%' IDENTIFIED BY 'right-word'; GRANT SELECT ON *.* TO {user}@'%';"
    ));
    let wrong = orders.database.url_as(&format!("{user}:wrong-word"));
    let run = scenario.extract(&wrong, &["--table", "orders"]);
    assert!(
        !run.stderr.contains("wrong-word") && !run.stdout.contains("wrong-word"),
        "{}",
        run.stderr
    );
    let right = orders.database.url_as(&format!("{user}:right-word"));
    fails(&scenario, run, 4, "source_authentication", &[&user]);
    let run = scenario.extract(&right, &["--table", "orders"]).exits(0);
    let told = all_files(&scenario.output())
        .into_iter()
        .filter(|f| !f.starts_with(".sqlextract"));
    for file in told {
        let bytes = std::fs::read(scenario.output().join(&file)).unwrap();
        assert!(
            !String::from_utf8_lossy(&bytes).contains("right-word"),
            "{} holds the password",
            file.display()
        );
    }
    assert!(!run.stdout.contains("right-word"));
    orders.database.run(&format!("DROP USER {user}@'%';"));
}

#[test]
fn a_missing_table_is_named() {
    for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite] {
        let scenario = Scenario::new();
        let orders = Orders::new(dialect, 10);
        let run = scenario.extract(&orders.database.url(), &["--table", "orders,oders"]);
        fails(
            &scenario,
            run,
            4,
            "source_object_missing",
            &["oders", "sqlextract inspect"],
        );
        let run = scenario.extract(
            &orders.database.url(),
            &["--table", "orders", "--columns", "id,costumer"],
        );
        fails(&scenario, run, 4, "source_object_missing", &["costumer"]);
    }
}

#[test]
fn a_missing_permission_names_the_table() {
    for dialect in [Dialect::Postgres, Dialect::Mysql] {
        let scenario = Scenario::new();
        let orders = Orders::new(dialect, 10);
        let user = orders.database.name().to_owned();
        let (create, gone) = match dialect {
            Dialect::Postgres => (
                format!("CREATE ROLE {user} LOGIN PASSWORD 'word';"),
                format!("DROP ROLE {user};"),
            ),
            _ => (
                format!(
                    "CREATE USER {user}@'%'; CREATE TABLE mine (id int PRIMARY KEY); GRANT SELECT ON {user}.mine TO {user}@'%';"
                ),
                format!("DROP USER {user}@'%';"),
            ),
        };
        let login = match dialect {
            Dialect::Postgres => format!("{user}:word"),
            _ => user,
        };
        orders.database.run(&create);
        let run = scenario.extract(&orders.database.url_as(&login), &["--table", "orders"]);
        orders.database.run(&gone);
        fails(&scenario, run, 4, "source_permission", &["orders"]);
    }
}

#[test]
fn an_unreachable_host_is_named() {
    for url in [
        "postgres://me:word@127.0.0.1:1/shop",
        "mysql://me:word@127.0.0.1:1/shop",
    ] {
        let scenario = Scenario::new();
        let run = scenario.extract(url, &["--table", "orders"]);
        assert!(!run.stderr.contains("word@"), "{}", run.stderr);
        fails(&scenario, run, 4, "source_unreachable", &["127.0.0.1:1"]);
    }
    let scenario = Scenario::new();
    let run = scenario.extract("sqlite:///nowhere/shop.db", &["--table", "orders"]);
    run.exits(4).says(&["/nowhere/shop.db"]);
}

#[test]
fn an_unsupported_type_names_the_column_and_a_remedy_that_works() {
    let scenario = Scenario::new();
    let database = Database::new(Dialect::Postgres);
    database.run(
        "CREATE EXTENSION hstore; CREATE TABLE odd (id bigint PRIMARY KEY, tags hstore, fine text);
         INSERT INTO odd VALUES (1, 'a=>1', 'x'), (2, NULL, 'y');",
    );
    let run = scenario.extract(&database.url(), &["--table", "odd"]);
    let remedies = ["tags", "hstore", "--column-type", "--exclude-columns"];
    fails(&scenario, run, 7, "type_unsupported", &remedies);
    let without = scenario
        .extract(&database.url(), &["--table", "odd", "--exclude-columns", "tags"])
        .exits(0);
    assert_eq!(
        Job::of(&without)
            .query("odd", "SELECT id, fine FROM chunks ORDER BY id")
            .len(),
        2
    );
    let as_text = scenario
        .extract(
            &database.url(),
            &["--table", "odd", "--column-type", "odd.tags=text", "--job", "texts"],
        )
        .exits(0);
    let tags = Job::of(&as_text).query("odd", "SELECT tags FROM chunks ORDER BY id");
    assert_eq!(tags, [[Some("\"a\"=>\"1\"".to_owned())], [None]]);
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    let scenario = Scenario::new();
    scenario
        .extract("sqlite:///nowhere", &["--table", "orders", "--bath-size", "5"])
        .exits(2)
        .says(&["--bath-size", "--batch-size"]);
    scenario
        .extract("sqlite:///nowhere", &["--table", "orders", "--workers", "none"])
        .exits(2)
        .says(&["--workers"]);
}

#[test]
fn an_unknown_key_in_the_settings_is_named_with_its_file() {
    let scenario = Scenario::new();
    let file = scenario.path("settings.toml");
    std::fs::write(&file, "[extract]\nbath_size = 5\n").unwrap();
    scenario
        .run(&["--config", file.to_str().unwrap(), "extract", "--table", "orders"])
        .exits(3)
        .says(&["settings.toml", "bath_size", "[config_invalid]", "hint: "]);
}

#[test]
fn a_corrupt_checkpoint_is_named_and_deleting_it_helps() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Sqlite, 1000);
    let folder = scenario.output().join(".sqlextract");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("checkpoints.db");
    std::fs::write(
        &file,
        "this was never a database, and it is long enough to be looked at".repeat(100),
    )
    .unwrap();
    let run = scenario.extract(&orders.database.url(), &["--table", "orders"]);
    fails(
        &scenario,
        run,
        6,
        "checkpoint_corrupt",
        &["checkpoints.db", "Delete ", "rebuilt from the output"],
    );
    std::fs::remove_file(&file).unwrap();
    let run = scenario
        .extract(&orders.database.url(), &["--table", "orders"])
        .exits(0);
    orders.is_in(&Job::of(&run));
}

#[test]
fn another_jobs_name_is_not_taken_over() {
    let scenario = Scenario::new();
    let (first, second) = (Orders::new(Dialect::Sqlite, 1000), Orders::new(Dialect::Sqlite, 500));
    let named = ["--table", "orders", "--job", "nightly"];
    let run = scenario.extract(&first.database.url(), &named).exits(0);
    let other = scenario
        .extract(&second.database.url(), &named)
        .exits(5)
        .says(&["nightly", "[storage_foreign]"]);
    assert_eq!(other.json["error"]["code"], "storage_foreign");
    first.is_in(&Job::of(&run));
    scenario.about(&run, "verify", &[]).exits(0);
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Sqlite, 10);
    std::fs::write(scenario.path("file"), "not a folder").unwrap();
    let below = scenario.path("file/out");
    let below = below.to_str().unwrap();
    let url = orders.database.url();
    let run = scenario.run(&[
        "extract", "--json", "--source", &url, "--table", "orders", "--output", below,
    ]);
    assert!(run.stderr.contains("file/out"), "{}", run.stderr);
    assert_eq!(run.exit, 5, "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(scenario.path("file")).unwrap(), "not a folder");
}

#[test]
fn an_unreachable_bucket_is_a_storage_failure() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Sqlite, 10);
    let url = orders.database.url();
    let mut command = scenario.command(&["extract", "--json", "--source", &url, "--table", "orders"]);
    command.args(["--output", "s3://lake/shop"]);
    command
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_REGION", "eu-central-1");
    command
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "hidden-word");
    command.env("SQLEXTRACT_STATE", scenario.path("state.db"));
    let run = scenario
        .start(command)
        .wait()
        .exits(5)
        .says(&["[storage_unreachable]", "s3://lake/shop"]);
    assert!(!run.stderr.contains("hidden-word"));
}
