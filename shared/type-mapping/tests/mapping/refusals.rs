//! What people are told, all of it at once.

use crate::columns::{column, of_class, table};
use sqlextract_model::{Code, ColumnOverride, Dialect, Failure, OnLossy, OverrideType, SourceColumn, TypeClass};
use sqlextract_type_mapping::{MappingOptions, map_table, parse_override};

fn columns() -> Vec<SourceColumn> {
    let named = |name: &str, column: SourceColumn| SourceColumn {
        name: name.to_owned(),
        ..column
    };
    vec![
        named("id", column("int8")),
        named("Tags", of_class("hstore", TypeClass::Other)),
        named("where is it", of_class("geometry", TypeClass::Other)),
        named("total", column("numeric")),
    ]
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn refused(overrides: &[ColumnOverride], selected: Option<&[&str]>, exclude: &[&str]) -> Vec<Failure> {
    let (selected, exclude) = (selected.map(strings), strings(exclude));
    let options = MappingOptions {
        dialect: Dialect::Postgres,
        on_lossy: OnLossy::Fail,
        overrides,
        columns: selected.as_deref(),
        exclude: &exclude,
    };
    map_table(&table(), &columns(), &options).expect_err("refused")
}

#[test]
fn all_refusals_of_a_table_come_together_with_the_option_that_helps() {
    let overrides = [
        ColumnOverride {
            column: "id".to_owned(),
            target: OverrideType::Float64,
        },
        ColumnOverride {
            column: "totl".to_owned(),
            target: OverrideType::Text,
        },
    ];
    let told: Vec<_> = refused(&overrides, None, &["TOTAL"])
        .into_iter()
        .map(|f| {
            assert_eq!(f.table.as_deref(), Some("public.t"));
            format!(
                "{} | {} | {} | {}",
                f.code,
                f.column.as_deref().unwrap_or_default(),
                f.message,
                f.action()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "source_object_missing | TOTAL | public.t has no column TOTAL | Names are taken as written; there is a \
             column total.",
            "source_object_missing | totl | public.t has no column totl | `sqlextract inspect --table public.t` lists \
             its columns.",
            "type_lossy | id | column id of public.t has the type int8, which loses digits as float8 | Add `--on-lossy \
             round` to accept that, or keep every digit with `--column-type public.t.id=text`.",
            "type_unsupported | Tags | column Tags of public.t has the type hstore, which has no exact form in a chunk | \
             Use `--column-type public.t.Tags=text` (also possible: json), or leave the column out with \
             `--exclude-columns Tags`.",
            "type_unsupported | where is it | column where is it of public.t has the type geometry, which has no exact \
             form in a chunk | Use `--column-type 'public.t.where is it=text'` (also possible: binary), or leave the \
             column out with `--exclude-columns 'where is it'`.",
        ]
    );
}

#[test]
fn what_a_remedy_says_to_write_reads_back() {
    for failure in refused(&[], None, &[]) {
        let action = failure.action().to_owned();
        let flag = action
            .split('`')
            .find(|part| part.starts_with("--column-type "))
            .unwrap();
        let argument = flag["--column-type ".len()..].trim_matches('\'');
        let read = parse_override(argument).unwrap();
        assert_eq!(read.schema.as_deref(), Some("public"));
        assert_eq!(Some(read.column.column), failure.column);
        assert_eq!(read.column.target, OverrideType::Text);
    }
}

#[test]
fn columns_come_in_the_order_asked_for_and_refused_ones_may_be_left_out() {
    let map = |selected: Option<&[&str]>, exclude: &[&str]| {
        let (selected, exclude) = (selected.map(strings), strings(exclude));
        let options = MappingOptions {
            dialect: Dialect::Postgres,
            on_lossy: OnLossy::Fail,
            overrides: &[],
            columns: selected.as_deref(),
            exclude: &exclude,
        };
        let mapped = map_table(&table(), &columns(), &options).unwrap();
        mapped.into_iter().map(|m| m.name).collect::<Vec<_>>()
    };
    assert_eq!(map(Some(&["total", "id"]), &[]), ["total", "id"]);
    assert_eq!(map(None, &["Tags", "where is it"]), ["id", "total"]);
}

#[test]
fn wishes_that_contradict_themselves_are_refused() {
    let twice = ColumnOverride {
        column: "id".to_owned(),
        target: OverrideType::Text,
    };
    let doubled = [twice.clone(), twice];
    let cases = [
        (
            refused(&[], Some(&["id", "id"]), &[]),
            "column id of public.t is selected twice",
        ),
        (
            refused(&doubled, Some(&["id"]), &[]),
            "column id of public.t is given a type twice",
        ),
        (
            refused(&[], Some(&["id"]), &["id"]),
            "no column of public.t is left to extract",
        ),
    ];
    for (failures, message) in cases {
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert_eq!(
            (failures[0].code, failures[0].message.as_str()),
            (Code::UsageInvalid, message)
        );
    }
}
