//! Typed filters as SQL: what comes from outside stays a name or a value.

use proptest::prelude::*;
use sqlextract_model::{
    Code, Comparison, Condition, Dialect, Operand, Operator, SourceColumn, TableFacts, TableKind, TableName, TypeClass,
    Value,
};
use sqlextract_planning::condition_sql;

fn table(columns: &[&str]) -> TableFacts {
    let column = |name: &&str| SourceColumn {
        name: (*name).to_owned(),
        declared: "text".to_owned(),
        base: "text".to_owned(),
        class: TypeClass::Scalar,
        nullable: true,
        precision: None,
        scale: None,
        length: None,
        unsigned: false,
        binary: false,
    };
    TableFacts {
        name: TableName::new("s", "o\"rders"),
        kind: TableKind::Table,
        columns: columns.iter().map(column).collect(),
        estimated_rows: 0,
        estimated_bytes: 0,
        keys: Vec::new(),
        leaves: Vec::new(),
        logged: true,
    }
}

fn sql(filter: &str, dialect: Dialect) -> String {
    let condition: Condition = serde_json::from_str(filter).unwrap();
    condition_sql(&condition, &table(&["id", "a\"b`c"]), dialect).unwrap()
}

#[test]
fn each_dialect_gets_its_own_quotes() {
    let filter = r#"{"and":[{"column":"a\"b`c","op":"in","value":["it's","\\",""]},{"not":{"column":"id","op":"between","value":[-1,2.5]}},{"or":[{"column":"id","op":"is null"},{"column":"id","op":"!=","value":true}]}]}"#;
    assert_eq!(
        sql(filter, Dialect::Postgres),
        r#"(("a""b`c" IN ('it''s', E'\\', '')) AND (NOT ("id" BETWEEN (-1) AND (2.5))) AND (("id" IS NULL) OR ("id" <> TRUE)))"#
    );
    assert_eq!(
        sql(filter, Dialect::Mysql),
        "((`a\"b``c` IN (_utf8mb4 X'69742773', _utf8mb4 X'5c', '')) AND (NOT (`id` BETWEEN (-1) AND (2.5))) AND ((`id` IS NULL) OR (`id` <> TRUE)))"
    );
    assert_eq!(
        sql(filter, Dialect::Sqlite),
        r#"(("o""rders"."a""b`c" IN ('it''s', '\', '')) AND (NOT ("o""rders"."id" BETWEEN (-1) AND (2.5))) AND (("o""rders"."id" IS NULL) OR ("o""rders"."id" <> 1)))"#
    );
}

#[test]
fn a_column_that_the_table_does_not_have_is_refused() {
    let condition: Condition = serde_json::from_str(r#"{"column":"1=1 OR id","op":"is null"}"#).unwrap();
    let failure = condition_sql(&condition, &table(&["id"]), Dialect::Postgres).unwrap_err();
    assert_eq!(failure.code, Code::SourceObjectMissing);
}

/// The text with every literal taken out, as PostgreSQL and SQLite read them.
fn without_literals(sql: &str) -> String {
    let mut rest = String::new();
    let mut characters = sql.chars().peekable();
    while let Some(c) = characters.next() {
        let escapes = rest.ends_with('E');
        rest.push(c);
        if c != '\'' {
            continue;
        }
        while let Some(inner) = characters.next() {
            match inner {
                '\\' if escapes => drop(characters.next()),
                '\'' if characters.peek() == Some(&'\'') => drop(characters.next()),
                '\'' => break,
                _ => {}
            }
        }
        rest.push('\'');
    }
    rest
}

proptest! {
    #[test]
    fn no_value_gets_out_of_its_literal(value in r#"[a-z'"\\;`\n-]{0,24}"#) {
        let condition = Condition::Comparison(Comparison {
            column: "id".to_owned(),
            op: Operator::Equal,
            value: Some(Operand::One(Value::Text(value.clone()))),
        });
        let facts = table(&["id"]);
        let postgres = condition_sql(&condition, &facts, Dialect::Postgres).unwrap();
        let left = without_literals(&postgres);
        prop_assert!(left == r#"("id" = '')"# || left == r#"("id" = E'')"#, "{postgres}");
        let sqlite = condition_sql(&condition, &facts, Dialect::Sqlite).unwrap();
        prop_assert_eq!(without_literals(&sqlite), r#"("o""rders"."id" = '')"#);
        let mysql = condition_sql(&condition, &facts, Dialect::Mysql).unwrap();
        let digits: String = value.bytes().map(|b| format!("{b:02x}")).collect();
        let expected = if value.is_empty() { "(`id` = '')".to_owned() } else { format!("(`id` = _utf8mb4 X'{digits}')") };
        prop_assert_eq!(mysql, expected);
    }
}
