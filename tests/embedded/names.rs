//! Names and places: jobs and tables that look alike keep apart, and a path means what its place says.

use std::path::Path;

use sqlextract_system_tests::{Database, Dialect, Job, Scenario, all_files};

use crate::fingerprint::Orders;

#[test]
fn jobs_whose_names_begin_alike_keep_apart_though_they_run_at_once() {
    let scenario = Scenario::new();
    let orders: Vec<Orders> = (1..=3).map(|n| Orders::new(Dialect::Sqlite, n * 1000)).collect();
    let names = ["shop", "shop-1", "shop-1-r2"];
    let running: Vec<_> = orders
        .iter()
        .zip(names)
        .map(|(orders, name)| {
            let arguments = ["--table", "orders", "--batch-size", "100", "--job", name];
            scenario.start_extract(&orders.database.url(), &arguments)
        })
        .collect();
    let runs: Vec<_> = running
        .into_iter()
        .map(|r| r.wait().exits(0).outcome("completed"))
        .collect();
    for (run, orders) in runs.iter().zip(&orders) {
        orders.is_in(&Job::of(run));
        scenario.about(run, "verify", &["--depth", "full"]).exits(0);
    }
    // A restart of the first is a name that no other job has.
    let again = ["--table", "orders", "--job", "shop-1", "--restart"];
    let before = Job::of(&runs[2]).manifest;
    let taken = scenario.extract(&orders[1].database.url(), &again);
    assert!(taken.exit == 0 || taken.exit == 5, "{}", taken.stderr);
    assert_eq!(Job::of(&runs[2]).manifest, before, "another job's outcome was changed");
}

#[test]
fn what_a_job_did_not_write_is_neither_deleted_nor_counted() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Sqlite, 2000);
    let url = orders.database.url();
    let sibling = scenario
        .extract(&url, &["--table", "orders", "--job", "shop-old"])
        .exits(0);
    // A file of somebody else below the prefix that the next job will have.
    let foreign = scenario.output().join("shop/data/notes.txt");
    std::fs::create_dir_all(foreign.parent().expect("it is in a folder")).expect("the output takes folders");
    std::fs::write(&foreign, "mine").expect("the output takes files");
    let run = scenario.extract(&url, &["--table", "orders", "--job", "shop"]);
    let run = run.exits(5).says(&["notes.txt", "[storage_foreign]", "hint: "]);
    assert_eq!(run.json["error"]["code"], "storage_foreign");
    assert_eq!(std::fs::read_to_string(&foreign).expect("it is still there"), "mine");
    std::fs::remove_file(&foreign).expect("it can be taken away");
    let run = scenario
        .extract(&url, &["--table", "orders", "--job", "shop"])
        .exits(0)
        .outcome("completed");
    orders.is_in(&Job::of(&run));
    orders.is_in(&Job::of(&sibling));
}

#[test]
fn tables_that_differ_in_case_or_in_signs_have_places_of_their_own() {
    let database = Database::new(Dialect::Postgres);
    let names = [
        "users", "Users", "USERS", "u/s", "u.s", "u%2Fs", "ü", "u\u{308}", "a b", "..", "CON", "x\"y",
    ];
    for (n, name) in names.iter().enumerate() {
        let quoted = name.replace('"', "\"\"");
        database.run(&format!(
            "CREATE TABLE \"{quoted}\" (id integer PRIMARY KEY); INSERT INTO \"{quoted}\" SELECT i FROM generate_series(1, {}) AS i;",
            n + 1
        ));
    }
    for format in ["parquet", "csv"] {
        let scenario = Scenario::new();
        let arguments = ["--table", "public.*", "--format", format];
        let run = scenario
            .extract(&database.url(), &arguments)
            .exits(0)
            .outcome("completed");
        let job = Job::of(&run);
        job.is_sound();
        let folders = std::fs::read_dir(job.folder.join("data"))
            .expect("the job has chunks")
            .count();
        assert_eq!(folders, names.len(), "a folder for each table");
        for (n, name) in names.iter().enumerate() {
            let found = job.query(name, "SELECT count(*) FROM chunks");
            assert_eq!(found[0][0], Some((n + 1).to_string()), "rows of {name:?}");
        }
        let lower: std::collections::BTreeSet<String> = all_files(&job.folder)
            .iter()
            .map(|file| file.to_string_lossy().to_lowercase())
            .collect();
        assert_eq!(
            lower.len(),
            all_files(&job.folder).len(),
            "two files differ in case alone"
        );
        scenario
            .about(&run, "verify", &["--depth", "source", "--source", &database.url()])
            .exits(0);
    }
}

#[test]
fn a_path_is_relative_to_the_working_directory_and_in_a_file_to_that_file() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Sqlite, 100);
    let url = orders.database.url();
    let here = scenario.path("here");
    std::fs::create_dir_all(here.join("settings")).expect("the temporary folder takes folders");
    let database = url.strip_prefix("sqlite://").expect("an SQLite database has a path");
    std::fs::copy(database, here.join("beside.db")).expect("the database can be copied");
    std::fs::write(
        here.join("settings/embedded.toml"),
        "[sources.shop]\nurl = \"sqlite://../beside.db\"\n[destinations.lake]\nlocation = \"../from-the-file\"\n\
         [extract]\nsource = \"shop\"\noutput = \"../by-default\"\n",
    )
    .expect("the temporary folder takes files");
    let extract = |arguments: &[&str]| {
        let mut command = scenario.command(&["--config", "settings/embedded.toml", "extract", "--json"]);
        command.current_dir(&here).args(["--table", "orders"]).args(arguments);
        let run = scenario.start(command).wait().exits(0).outcome("completed");
        Path::new(run.json["manifest"].as_str().expect("the run has a manifest")).to_owned()
    };
    let places = [
        (extract(&["--output", "from-the-line"]), "from-the-line"),
        (extract(&["--output", "lake"]), "from-the-file"),
        (extract(&[]), "by-default"),
        (
            extract(&["--source", "sqlite://beside.db", "--output", "lake"]),
            "from-the-file",
        ),
    ];
    for (manifest, folder) in places {
        assert!(manifest.is_absolute(), "{}", manifest.display());
        let manifest = manifest.canonicalize().expect("the manifest is there");
        let expected = here.join(folder).canonicalize().expect("the output is there");
        assert!(
            manifest.starts_with(&expected),
            "{} is not in {}",
            manifest.display(),
            expected.display()
        );
    }
}
