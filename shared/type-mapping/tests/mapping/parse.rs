//! `T.C=TYPE`, as people write it.

use sqlextract_model::{Code, OverrideType as To};
use sqlextract_type_mapping::parse_override;

#[test]
fn overrides_are_read() {
    let cases = [
        ("t.c=text", (None, "t", "c", To::Text)),
        (
            "public.t.c=decimal(38,10)",
            (
                Some("public"),
                "t",
                "c",
                To::Decimal {
                    precision: 38,
                    scale: 10,
                },
            ),
        ),
        (
            "t.c=DECIMAL( 5 , 0 )",
            (None, "t", "c", To::Decimal { precision: 5, scale: 0 }),
        ),
        (
            "t.c=numeric(7)",
            (None, "t", "c", To::Decimal { precision: 7, scale: 0 }),
        ),
        ("t.c=int2", (None, "t", "c", To::Int16)),
        ("t.c=int8", (None, "t", "c", To::Int64)),
        ("t.c=int64", (None, "t", "c", To::Int64)),
        ("t.c=integer", (None, "t", "c", To::Int32)),
        ("t.c=bool", (None, "t", "c", To::Boolean)),
        ("t.c=timestamptz", (None, "t", "c", To::TimestampUtc)),
        ("t.c=null", (None, "t", "c", To::NullUnrepresentable)),
        ("t.first name=date", (None, "t", "first name", To::Date)),
        (
            "\"We\"\"ird\".\"a.b\".\"c=d\"=json",
            (Some("We\"ird"), "a.b", "c=d", To::Json),
        ),
    ];
    for (text, (schema, table, column, target)) in cases {
        let read = parse_override(text).unwrap_or_else(|f| panic!("{text}: {f}"));
        let parts = (
            read.schema.as_deref(),
            read.table.as_str(),
            read.column.column.as_str(),
            read.column.target,
        );
        assert_eq!(parts, (schema, table, column, target), "{text}");
    }
}

#[test]
fn what_is_no_override_is_told_why() {
    let cases = [
        ("", "it is not of the form TABLE.COLUMN=TYPE"),
        ("t.c", "it is not of the form TABLE.COLUMN=TYPE"),
        ("t..c=text", "it is not of the form TABLE.COLUMN=TYPE"),
        ("\"t.c=text", "it is not of the form TABLE.COLUMN=TYPE"),
        ("c=text", "it names a column without its table"),
        ("a.b.c.d=text", "it has more parts than SCHEMA.TABLE.COLUMN"),
        ("t.c=", "the type is missing"),
        (
            "t.c=decimal",
            "`decimal` lacks its precision and scale, for example decimal(38,10)",
        ),
        (
            "t.c=decimal(39,0)",
            "`decimal(39,0)` is no decimal with 1 to 38 digits and a scale from 0 to that",
        ),
        (
            "t.c=decimal(5,6)",
            "`decimal(5,6)` is no decimal with 1 to 38 digits and a scale from 0 to that",
        ),
        (
            "t.c=decimal(5,-1)",
            "`decimal(5,-1)` is no decimal with 1 to 38 digits and a scale from 0 to that",
        ),
        ("t.c=decimal(5", "`decimal(5` lacks the closing parenthesis"),
        ("t.c=text(5)", "`text` takes no arguments here"),
    ];
    for (text, reason) in cases {
        let failure = parse_override(text).expect_err(text);
        assert_eq!(failure.code, Code::UsageInvalid);
        assert_eq!(failure.message, format!("`{text}` is no column type: {reason}"));
        assert!(failure.action().contains("decimal(P,S)"), "{}", failure.action());
    }
    let unknown = parse_override("t.c=blurb").unwrap_err();
    assert!(
        unknown.message.contains("`blurb` is none of text, bool, int2"),
        "{unknown}"
    );
}
