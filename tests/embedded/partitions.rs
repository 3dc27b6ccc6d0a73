//! Tables made of tables: every row once.

use sqlextract_system_tests::{Database, Dialect, Job, Scenario};

fn every_row_once(database: &Database, table: &str, columns: &str) {
    let expected = database.rows(&format!("SELECT {columns} FROM {table} ORDER BY id;"));
    assert_eq!(expected.len(), 12_000, "rows of {table}");
    for size in ["700", "100000"] {
        let scenario = Scenario::new();
        let run = scenario
            .extract(&database.url(), &["--table", table, "--batch-size", size])
            .exits(0)
            .outcome("completed");
        let job = Job::of(&run);
        job.is_sound();
        assert_eq!(run.json["tables"].as_array().map(Vec::len), Some(1));
        let found = job.query(table, &format!("SELECT {columns} FROM chunks ORDER BY id::BIGINT"));
        assert!(found == expected, "{table} in batches of {size}: {} rows", found.len());
    }
}

#[test]
fn a_partitioned_table_arrives_with_every_row_once() {
    let database = Database::new(Dialect::Postgres);
    database.run(
        "CREATE TABLE sales (id bigint NOT NULL, region text NOT NULL, day date NOT NULL, amount numeric(10,2)) PARTITION BY LIST (region);
         CREATE TABLE sales_north PARTITION OF sales FOR VALUES IN ('north') PARTITION BY RANGE (day);
         CREATE TABLE sales_north_old PARTITION OF sales_north FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
         CREATE TABLE sales_north_new PARTITION OF sales_north FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
         CREATE TABLE sales_south PARTITION OF sales FOR VALUES IN ('south') PARTITION BY HASH (id);
         CREATE TABLE sales_south_0 PARTITION OF sales_south FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE sales_south_1 PARTITION OF sales_south FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         CREATE TABLE sales_rest PARTITION OF sales DEFAULT;
         INSERT INTO sales SELECT i, (ARRAY['north','south','east'])[i % 3 + 1], date '2025-06-01' + i % 400, i / 7.0
           FROM generate_series(1, 12000) AS i;
         ANALYZE;",
    );
    every_row_once(&database, "sales", "id, region, day::text, amount::text");
    // With a key the plan may split by it.
    database.run("ALTER TABLE sales ADD PRIMARY KEY (id, region, day); ANALYZE;");
    every_row_once(&database, "sales", "id, region, day::text, amount::text");
}

#[test]
fn an_inherited_table_arrives_with_its_childrens_rows() {
    let database = Database::new(Dialect::Postgres);
    database.run(
        "CREATE TABLE event (id bigint PRIMARY KEY, body text);
         CREATE TABLE click (x integer, PRIMARY KEY (id)) INHERITS (event);
         CREATE TABLE far_click (y integer) INHERITS (click);
         INSERT INTO event SELECT i, 'e' FROM generate_series(1, 4000) AS i;
         INSERT INTO click SELECT i, 'c', 1 FROM generate_series(4001, 8000) AS i;
         INSERT INTO far_click SELECT i, 'f', 1, 2 FROM generate_series(8001, 12000) AS i;
         ANALYZE;",
    );
    every_row_once(&database, "event", "id, body");
}

#[test]
fn keys_that_are_equal_in_parent_and_child_are_two_rows() {
    let database = Database::new(Dialect::Postgres);
    database.run(
        "CREATE TABLE event (id bigint PRIMARY KEY, body text);
         CREATE TABLE click () INHERITS (event);
         INSERT INTO event SELECT i, 'e' FROM generate_series(1, 6000) AS i;
         INSERT INTO click SELECT i, 'f' FROM generate_series(1, 6000) AS i;
         ANALYZE;",
    );
    let scenario = Scenario::new();
    let run = scenario
        .extract(&database.url(), &["--table", "event", "--batch-size", "500"])
        .exits(0);
    let job = Job::of(&run);
    job.is_sound();
    let found = job.query("event", "SELECT id, body FROM chunks ORDER BY id, body");
    assert!(found == database.rows("SELECT id, body FROM event ORDER BY id, body;"));
}
