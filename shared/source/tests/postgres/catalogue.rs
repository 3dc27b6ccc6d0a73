use sqlextract_model::{Code, Dialect, Selection, TableFacts, TableKind, TableName, TypeClass};
use sqlextract_source::{PostgresSource, Source};

use crate::fixture::{Reading, Scratch, inspect, settings, table};

#[tokio::test]
async fn columns_are_told_with_their_resolved_types() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a int); CREATE EXTENSION citext; \
             CREATE DOMAIN amount AS numeric(12,3); CREATE DOMAIN price AS amount NOT NULL; \
             CREATE TABLE t (gone int, a int NOT NULL, b price, c varchar(44), d numeric(5,-2), e timestamp(3)[], f mood, \
                 g int4range, h pair, i citext, j bit(9), k char, l interval(2), m int GENERATED ALWAYS AS (a + 1) STORED, \
                 n mood[], o amount[]); \
             ALTER TABLE t DROP COLUMN gone",
        )
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let told: Vec<String> = facts
        .columns
        .iter()
        .map(|c| {
            let number = |n: Option<i64>| n.map_or("-".to_owned(), |n| n.to_string());
            format!(
                "{} {} {:?} {} {} {} {}",
                c.name,
                c.base,
                c.class,
                if c.nullable { "null" } else { "not-null" },
                number(c.precision.map(i64::from)),
                number(c.scale.map(i64::from)),
                number(c.length.map(i64::from))
            )
        })
        .collect();
    let expected = [
        "a int4 Scalar not-null - - -",
        "b numeric Scalar not-null 12 3 -",
        "c varchar Scalar null - - 44",
        "d numeric Scalar null 5 -2 -",
        "e timestamp Array null 3 - -",
        "f mood Enum null - - -",
        "g int4range Range null - - -",
        "h pair Composite null - - -",
        "i citext Other null - - -",
        "j bit Scalar null - - 9",
        "k bpchar Scalar null - - 1",
        "l interval Scalar null 2 - -",
        "m int4 Scalar null - - -",
        "n mood Array null - - -",
        "o numeric Array null 12 3 -",
    ];
    assert_eq!(told, expected);
    assert_eq!(facts.columns[2].declared, "character varying(44)");
    assert!(
        facts
            .columns
            .iter()
            .all(|c| c.class != TypeClass::Other || c.base == "citext")
    );
    scratch.remove().await;
}

fn leaf_names(facts: &TableFacts) -> Vec<&str> {
    facts.leaves.iter().map(|leaf| leaf.name.name.as_str()).collect()
}

#[tokio::test]
async fn partitions_and_children_are_leaves_whatever_their_column_order() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE p (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); \
             CREATE TABLE p2 (v text, extra int, id int NOT NULL); ALTER TABLE p2 DROP COLUMN extra; \
             ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20); \
             CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (40) PARTITION BY LIST (id); \
             CREATE TABLE p3a PARTITION OF p3 DEFAULT; \
             INSERT INTO p SELECT i, 'v' || i FROM generate_series(0, 29) i; \
             CREATE TABLE i (id int PRIMARY KEY, v text); CREATE TABLE i1 (w int, v text, id int NOT NULL); \
             ALTER TABLE i1 INHERIT i; INSERT INTO i VALUES (1, 'parent'); INSERT INTO i1 VALUES (9, 'child', 2); \
             CREATE UNLOGGED TABLE u (id int)",
        )
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "p").await;
    assert_eq!(facts.kind, TableKind::Partitioned);
    assert_eq!(leaf_names(&facts), ["p1", "p2", "p3a"]);
    assert!(facts.leaves.iter().all(|leaf| leaf.heap && leaf.blocks == 1));
    assert_eq!(facts.keys[0].columns[0].name, "id");
    let whole = Reading::all(&facts).rows(&source).await;
    assert_eq!(whole.len(), 30);
    let mut by_leaf = Vec::new();
    for range in crate::fixture::block_ranges(&facts, 1) {
        by_leaf.extend(Reading::all(&facts).range(range).rows(&source).await);
    }
    by_leaf.sort();
    assert_eq!(by_leaf, whole);

    let facts = inspect(&source, "i").await;
    assert_eq!(
        (facts.kind, leaf_names(&facts)),
        (TableKind::Partitioned, vec!["i", "i1"])
    );
    assert!(
        facts.keys.is_empty(),
        "the parent's index does not cover the child: {:?}",
        facts.keys
    );
    let mut rows = Vec::new();
    for range in crate::fixture::block_ranges(&facts, 1) {
        rows.extend(Reading::all(&facts).range(range).rows(&source).await);
    }
    assert_eq!(rows, ["1|parent", "2|child"]);
    assert!(!inspect(&source, "u").await.logged);
    assert!(facts.logged);
    scratch.remove().await;
}

#[tokio::test]
async fn sizes_follow_the_files_and_the_last_analysis() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE t (id int) WITH (autovacuum_enabled = off); INSERT INTO t SELECT generate_series(1, 10000)",
        )
        .await;
    let source = scratch.open().await;
    let unknown = inspect(&source, "t").await;
    assert_eq!(unknown.estimated_rows, 0);
    assert!(
        unknown.estimated_bytes > 300_000 && unknown.leaves[0].blocks > 40,
        "{unknown:?}"
    );
    scratch
        .execute("ANALYZE t; INSERT INTO t SELECT generate_series(1, 10000)")
        .await;
    let grown = inspect(&source, "t").await.estimated_rows;
    assert!((19_500..20_500).contains(&grown), "{grown}");
    scratch.remove().await;
}

#[tokio::test]
async fn views_foreign_tables_and_whole_schemas_are_found() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY); CREATE VIEW s.v AS SELECT * FROM s.a; \
             CREATE MATERIALIZED VIEW s.m AS SELECT 1 AS one; CREATE TABLE s.p (id int) PARTITION BY LIST (id); \
             CREATE TABLE s.p1 PARTITION OF s.p DEFAULT; INSERT INTO s.a SELECT generate_series(1, 500); ANALYZE s.a; \
             CREATE EXTENSION postgres_fdw; CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw; \
             CREATE FOREIGN TABLE s.f (id int) SERVER other",
        )
        .await;
    let source = scratch.open().await;
    let facts = source
        .inspect(&[Selection::Schema(Some("s".to_owned()))])
        .await
        .unwrap();
    let found: Vec<_> = facts.tables.iter().map(|t| (t.name.name.as_str(), t.kind)).collect();
    let expected = [
        ("a", TableKind::Table),
        ("f", TableKind::Foreign),
        ("m", TableKind::Table),
        ("p", TableKind::Partitioned),
    ];
    assert_eq!(found, expected);
    assert_eq!(facts.identity.dialect, Dialect::Postgres);
    assert!(facts.identity.system.parse::<u64>().is_ok() && facts.identity.version.starts_with(char::is_numeric));
    assert!(facts.free_connections.is_some_and(|free| free > 0) && facts.pooler.is_none());
    let view = source
        .inspect(&[Selection::Table {
            schema: Some("s".to_owned()),
            name: "v".to_owned(),
        }])
        .await
        .unwrap();
    let view = &view.tables[0];
    assert_eq!(
        (view.kind, view.leaves.len(), view.estimated_rows),
        (TableKind::View, 0, 500)
    );
    scratch.remove().await;
}

#[tokio::test]
async fn a_query_is_described_without_being_run() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, n numeric(9,3), c varchar(7)); INSERT INTO t VALUES (1, 2.5, 'x')",
        )
        .await;
    let source = scratch.open().await;
    let query = |sql: &str, key: Option<&str>| Selection::Query {
        name: "q".to_owned(),
        sql: sql.to_owned(),
        key: key.map(str::to_owned),
    };
    let sql = "SELECT id, n AS amount, c, id / (id - 1) AS boom, n + 1 AS more FROM t -- a comment";
    let facts = source
        .inspect(&[query(sql, Some("id"))])
        .await
        .unwrap()
        .tables
        .remove(0);
    assert_eq!(
        (facts.name.to_string().as_str(), facts.kind),
        ("query.q", TableKind::Query)
    );
    let declared: Vec<_> = facts.columns.iter().map(|c| c.declared.as_str()).collect();
    assert_eq!(
        declared,
        ["integer", "numeric(9,3)", "character varying(7)", "integer", "numeric"]
    );
    assert_eq!(
        (facts.keys[0].columns[0].name.as_str(), facts.keys[0].unique),
        ("id", true)
    );
    let cases = [
        ("SELECT 1 AS a, 2 AS a", None, Code::SourceQueryInvalid),
        ("SELEC 1", None, Code::SourceQueryInvalid),
        ("SELECT 1; DROP TABLE t", None, Code::SourceQueryInvalid),
        ("SELECT * FROM nowhere", None, Code::SourceObjectMissing),
        ("SELECT 1 AS a", Some("b"), Code::SourceObjectMissing),
        ("SELECT '(1,2)'::point AS a", Some("a"), Code::PlanRefused),
        ("DELETE FROM t RETURNING id", None, Code::SourceQueryInvalid),
    ];
    for (sql, key, code) in cases {
        let failure = source.inspect(&[query(sql, key)]).await.unwrap_err();
        assert_eq!(failure.code, code, "{sql}: {failure:?}");
    }
    assert_eq!(scratch.value("SELECT count(*) FROM t").await, "1");
    scratch.remove().await;
}

#[tokio::test]
async fn missing_tables_are_named_together_with_what_was_meant() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE orders (id int); CREATE SCHEMA sales; CREATE TABLE sales.customers (id int)")
        .await;
    let source = scratch.open().await;
    let failure = source
        .inspect(&[table("order"), table("orders"), table("customers"), table("zzz")])
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::SourceObjectMissing);
    let expected = "there are no tables public.order (did you mean public.orders?), \
        public.customers (did you mean sales.customers?), public.zzz";
    assert_eq!(failure.message, expected);
    let failure = source
        .inspect(&[Selection::Schema(Some("nowhere".to_owned()))])
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::SourceObjectMissing);
    scratch.remove().await;
}

#[tokio::test]
async fn what_may_not_be_read_is_said_before_anything_is_read() {
    let mut scratch = Scratch::new().await;
    let (role, url) = scratch.role().await;
    scratch
        .execute(&format!(
            "CREATE TABLE closed (id int); CREATE TABLE half (id int, secret int); GRANT SELECT (id) ON half TO {role}; \
             CREATE TABLE guarded (id int); GRANT SELECT ON guarded TO {role}; \
             ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY even ON guarded USING (id % 2 = 0); \
             CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p DEFAULT; \
             GRANT SELECT ON p TO {role}; INSERT INTO guarded VALUES (1), (2); INSERT INTO p VALUES (1)"
        ))
        .await;
    let source = PostgresSource::open(settings(url.clone())).await.unwrap();
    let failure = source.inspect(&[table("closed"), table("half")]).await.unwrap_err();
    assert_eq!(failure.code, Code::SourcePermission);
    assert_eq!(failure.message, "the user may not read public.closed, public.half");
    assert!(
        failure
            .causes
            .iter()
            .any(|cause| cause.contains("public.half: no SELECT on secret")),
        "{failure:?}"
    );
    let failure = source.inspect(&[table("guarded")]).await.unwrap_err();
    assert_eq!(failure.code, Code::SourcePermission);
    assert!(failure.action().contains("BYPASSRLS"));
    // Policies that appear after planning do not hide rows either.
    let owner = scratch.open().await;
    let guarded = inspect(&owner, "guarded").await;
    assert_eq!(
        Reading::all(&guarded).failure(&source).await.code,
        Code::SourcePermission
    );
    // Leaves that may only be read through their parent have no block addresses for this user.
    let facts = inspect(&source, "p").await;
    assert!(!facts.leaves[0].heap);
    assert_eq!(Reading::all(&facts).rows(&source).await, ["1"]);

    let wrong = PostgresSource::open(settings(url.replace(":pw@", ":hushhush@")))
        .await
        .unwrap_err();
    assert_eq!(wrong.code, Code::SourceAuthentication);
    assert!(!format!("{wrong:?}").contains("hushhush"));
    let nowhere = url
        .replace(&scratch.name, "no_such_database")
        .replace("no_such_database_user", &role);
    assert_eq!(
        PostgresSource::open(settings(nowhere)).await.unwrap_err().code,
        Code::SourceObjectMissing
    );
    let closed_port = "postgres://u:p@127.0.0.1:1/d".to_owned();
    assert_eq!(
        PostgresSource::open(settings(closed_port)).await.unwrap_err().code,
        Code::SourceUnreachable
    );
    scratch.execute(&format!("DROP OWNED BY {role}")).await;
    scratch.remove().await;
}

#[tokio::test]
async fn hostile_names_are_only_names() {
    let names = [
        "a \"quoted\" 'name'",
        "\"; DROP TABLE t; --",
        "line\nbreak",
        "ünï🦀",
        "a.b",
        "$1",
        "back\\slash",
        "--",
    ];
    let mut scratch = Scratch::new().await;
    scratch.execute("CREATE TABLE t (id int)").await;
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    for name in names {
        let (q, t) = (quoted(name), quoted(&format!("{name} type")));
        scratch
            .execute(&format!(
                "CREATE SCHEMA {q}; CREATE SCHEMA {t}; CREATE TYPE {t}.{t} AS ENUM ('{0}'); CREATE TABLE {q}.{q} ({q} text PRIMARY KEY, e {t}.{t}); \
                 INSERT INTO {q}.{q} VALUES ('{0}', '{0}'), ('other', NULL)",
                name.replace('\'', "''")
            ))
            .await;
    }
    let source = scratch.open().await;
    for name in names {
        let selection = Selection::Table {
            schema: Some(name.to_owned()),
            name: name.to_owned(),
        };
        let facts = source.inspect(&[selection]).await.unwrap().tables.remove(0);
        assert_eq!(facts.name, TableName::new(name, name));
        let rows = Reading::all(&facts).rows(&source).await;
        let mut expected = vec![format!("{name}|{name}"), "other|∅".to_owned()];
        expected.sort();
        assert_eq!(rows, expected);
        for range in crate::fixture::block_ranges(&facts, 1) {
            assert_eq!(Reading::all(&facts).range(range).rows(&source).await.len(), 2);
        }
        let key = sqlextract_model::KeyRange {
            columns: facts.keys[0].columns.clone(),
            lower: Some(vec![sqlextract_model::KeyValue::Text(name.to_owned())]),
            upper: None,
        };
        let rows = Reading::all(&facts)
            .range(sqlextract_model::Range::Keys(key))
            .rows(&source)
            .await;
        assert!(rows.contains(&format!("{name}|{name}")), "{name}: {rows:?}");
        let (count, _) = source
            .aggregate(&Reading::all(&facts).relation, None, &Reading::all(&facts).columns)
            .await
            .unwrap();
        assert_eq!(count, 2);
    }
    assert_eq!(scratch.value("SELECT count(*) FROM t").await, "0");
    scratch.remove().await;
}
