use super::*;
use sqlextract_model::{Compression, ParquetVersion};

fn rules() -> AllowedRequests {
    let tables = ["public.orders", "audit.*"].map(|text| TablePattern::parse(text).unwrap());
    let shop = SourceRules {
        tables: tables.to_vec(),
        senders: BTreeSet::new(),
    };
    let guarded = SourceRules {
        tables: vec![TablePattern::parse("*").unwrap()],
        senders: BTreeSet::from(["/billing".to_owned()]),
    };
    AllowedRequests {
        sources: BTreeMap::from([("shop".to_owned(), shop), ("guarded".to_owned(), guarded)]),
        destinations: BTreeSet::from(["lake".to_owned()]),
        platforms: BTreeSet::from([Platform::Postgres]),
        chunk_bytes: 1_000_000,
    }
}

fn sender(source: &str) -> Sender {
    Sender {
        id: "1".to_owned(),
        source: source.to_owned(),
    }
}

fn asked(data: &str) -> Result<ExtractionRequest> {
    rules().request(sender("/x"), serde_json::from_str(data).unwrap())
}

fn with(fields: &str) -> String {
    format!(r#"{{"source":"shop","destination":"lake","tables":[{{"name":"public.orders"}}]{fields}}}"#)
}

fn of_table(table: &str) -> String {
    format!(r#"{{"source":"shop","destination":"lake","tables":[{table}]}}"#)
}

#[test]
fn a_request_within_the_rules_is_filled_in_from_the_defaults() {
    let request = asked(&with("")).unwrap();
    assert_eq!(
        (request.chunk_bytes, request.format.compression),
        (1_000_000, Compression::Zstd)
    );
    let second = asked(&with(r#","parquet_version":"v2""#)).unwrap();
    assert_eq!(second.format.parquet_version, ParquetVersion::V2);
    let filtered = of_table(r#"{"name":"audit.log","columns":["id"],"filter":{"column":"id","op":">","value":7}}"#);
    let request = asked(&filtered).unwrap();
    assert!(request.tables[0].condition.is_some() && request.tables[0].filter.is_none());
}

#[test]
fn what_is_not_allowed_is_refused_with_its_reason() {
    let cases = [
        (with("").replace("shop", "store"), "no source \"store\""),
        (
            with("").replace("lake", "s3://user:hunter2@elsewhere/x"),
            "no destination",
        ),
        (of_table(r#"{"name":"public.secrets"}"#), "not allowed"),
        (of_table(r#"{"name":"other.secrets"}"#), "not allowed"),
        (of_table(r#"{"name":"public\".orders"}"#), "no table name"),
        (of_table(r#"{"name":"a.b.c"}"#), "no table name"),
        (of_table(r#"{"name":"public.orders\u0000"}"#), "control characters"),
        (of_table(r#"{"name":"public.orders","columns":[]}"#), "columns"),
        (
            of_table(r#"{"name":"public.orders","columns":["a\n"]}"#),
            "control characters",
        ),
        (
            of_table(r#"{"name":"public.orders","filter":{"column":"id","op":"in","value":[]}}"#),
            "filter",
        ),
        (with(r#","targets":[{"platform":"snowflake"}]"#), "snowflake"),
        (with(r#","format":"csv","compression":"lz4""#), "lz4"),
        (with(r#","compression_level":40"#), "level 40"),
        (with(r#","format":"csv","parquet_version":"v1""#), "no version"),
        (with(r#","chunk_bytes":1"#), "chunk_bytes"),
        (with(r#","batch_rows":0"#), "at least 1"),
        (
            r#"{"source":"shop","destination":"lake","tables":[]}"#.to_owned(),
            "0 tables",
        ),
        (with("").replace("shop", "guarded"), "may not ask"),
    ];
    for (data, reason) in cases {
        let failure = asked(&data).unwrap_err();
        assert_eq!(failure.code, Code::RequestRefused, "{data}");
        assert!(failure.message.contains(reason), "{data}: {failure}");
        assert!(!failure.message.contains("hunter2"), "a password is told: {failure}");
    }
    let data = serde_json::from_str(&with("").replace("shop", "guarded")).unwrap();
    assert!(rules().request(sender("/billing"), data).is_ok());
}

#[test]
fn a_name_without_its_schema_is_checked_once_it_is_looked_up() {
    asked(&of_table(r#"{"name":"orders"}"#)).unwrap();
    let rules = rules();
    let shop = &rules.sources["shop"];
    assert!(shop.check_found(&TableName::new("public", "orders")).is_ok());
    assert!(shop.check_found(&TableName::new("audit", "anything")).is_ok());
    assert!(shop.check_found(&TableName::new("other", "orders")).is_err());
    assert!(shop.check_found(&TableName::new("public", "secrets")).is_err());
}
