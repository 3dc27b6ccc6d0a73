//! What holds for every column, every type by name and every policy.

use crate::columns::{map_as, shown};
use proptest::prelude::*;
use sqlextract_model::{
    Cast, ChunkType, ColumnMapping, Dialect, Lossy, OnLossy, OverrideType, SourceColumn, TypeClass, Wire,
};
use sqlextract_type_mapping::every_mapping;

/// The pairs that an adapter reads exactly or checks value by value. Anything else could lose something unseen.
fn is_sound(mapping: &ColumnMapping, dialect: Dialect) -> bool {
    use ChunkType as C;
    let ColumnMapping { cast, wire, chunk, .. } = mapping;
    if dialect == Dialect::Sqlite {
        return *cast == Cast::None && (*wire == Wire::Cell || (*wire == Wire::CellAsText && *chunk == C::Text));
    }
    let number = matches!(
        chunk,
        C::Boolean | C::Int8 | C::Int16 | C::Int32 | C::Int64 | C::Float64 | C::Decimal { .. }
    );
    match (cast, wire) {
        (Cast::Text, Wire::Text) => matches!(chunk, C::Text | C::Uuid),
        (Cast::Json, Wire::Json) => *chunk == C::Json,
        (Cast::WellKnownBinary, Wire::Bytes) => *chunk == C::Binary,
        (Cast::Decimal { .. } | Cast::None, Wire::Decimal) => number,
        (Cast::None, Wire::Bool) => *chunk == C::Boolean,
        (Cast::None, Wire::Int { .. } | Wire::Unsigned { .. } | Wire::Bit | Wire::Year) => number,
        (Cast::None, Wire::Float { .. }) => {
            matches!(chunk, C::Float32 | C::Float64) || (*chunk == C::Text && dialect == Dialect::Mysql)
        }
        (Cast::None, Wire::Text) => matches!(chunk, C::Text | C::Json | C::Binary),
        (Cast::None, Wire::Bytes) => matches!(chunk, C::Binary | C::Text),
        (Cast::None, Wire::Date) => *chunk == C::Date,
        (Cast::None, Wire::Time) => *chunk == C::Time || (*chunk == C::Text && dialect == Dialect::Mysql),
        (Cast::None, Wire::Timestamp | Wire::TimestampWithZone) => matches!(chunk, C::Timestamp { .. }),
        (Cast::None, Wire::Uuid) => *chunk == C::Uuid,
        (Cast::None, Wire::Json | Wire::Jsonb) => *chunk == C::Json,
        _ => false,
    }
}

#[test]
fn the_page_about_types_is_the_one_that_the_code_writes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/TYPES.md");
    let written = sqlextract_type_mapping::type_table_markdown();
    if std::env::var_os("SQLEXTRACT_WRITE_TYPES").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        committed, written,
        "run this test once with SQLEXTRACT_WRITE_TYPES=1 and commit TYPES.md"
    );
}

#[test]
fn every_sample_of_the_documentation_is_sound() {
    for dialect in Dialect::ALL {
        let mappings = every_mapping(*dialect);
        assert!(mappings.len() > 50, "{dialect}");
        for mapping in mappings {
            assert!(
                is_sound(&mapping, *dialect),
                "{dialect} {}: {}",
                mapping.declared,
                shown(&mapping)
            );
        }
    }
}

fn bases() -> impl Strategy<Value = String> {
    let names = [
        "bool",
        "int2",
        "int4",
        "int8",
        "oid",
        "float4",
        "float8",
        "numeric",
        "money",
        "text",
        "varchar",
        "bpchar",
        "char",
        "bytea",
        "date",
        "time",
        "timetz",
        "timestamp",
        "timestamptz",
        "interval",
        "uuid",
        "json",
        "jsonb",
        "xml",
        "bit",
        "inet",
        "tsvector",
        "point",
        "hstore",
        "geometry",
        "tinyint",
        "smallint",
        "mediumint",
        "int",
        "bigint",
        "decimal",
        "float",
        "double",
        "datetime",
        "year",
        "longtext",
        "varbinary",
        "blob",
        "enum",
        "set",
        "inet6",
        "integer",
        "real",
        "",
        "anything",
    ];
    proptest::sample::select(names.to_vec()).prop_map(str::to_owned)
}

fn column() -> impl Strategy<Value = SourceColumn> {
    let class = proptest::sample::select(vec![
        TypeClass::Scalar,
        TypeClass::Array,
        TypeClass::Enum,
        TypeClass::Range,
        TypeClass::Composite,
        TypeClass::Other,
    ]);
    let digits = (proptest::option::of(0..1500_u32), proptest::option::of(-1000..1000_i32));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (bases(), class, digits, proptest::option::of(0..100_u32), flags).prop_map(
        |(base, class, (precision, scale), length, (nullable, unsigned, binary))| SourceColumn {
            name: "c".to_owned(),
            declared: base.clone(),
            base,
            class,
            nullable,
            precision,
            scale,
            length,
            unsigned,
            binary,
        },
    )
}

fn target() -> impl Strategy<Value = Option<OverrideType>> {
    let decimals = (any::<u8>(), any::<i8>()).prop_map(|(precision, scale)| OverrideType::Decimal { precision, scale });
    let others = proptest::sample::select(vec![
        OverrideType::Text,
        OverrideType::Boolean,
        OverrideType::Int16,
        OverrideType::Int32,
        OverrideType::Int64,
        OverrideType::Float64,
        OverrideType::Date,
        OverrideType::Time,
        OverrideType::Timestamp,
        OverrideType::TimestampUtc,
        OverrideType::Binary,
        OverrideType::Json,
        OverrideType::NullUnrepresentable,
    ]);
    proptest::option::of(prop_oneof![1 => decimals, 4 => others])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_value_becomes_null_and_no_digit_goes_but_by_name(
        column in column(),
        target in target(),
        dialect in proptest::sample::select(Dialect::ALL.to_vec()),
        on_lossy in proptest::sample::select(vec![OnLossy::Fail, OnLossy::Text, OnLossy::Round]),
    ) {
        match map_as(dialect, &column, target, on_lossy) {
            Ok(mapping) => {
                let by_null = target == Some(OverrideType::NullUnrepresentable);
                prop_assert_eq!(mapping.lossy == Some(Lossy::NullForUnrepresentable), by_null);
                prop_assert!(mapping.lossy != Some(Lossy::Rounded) || (on_lossy == OnLossy::Round && target.is_some()));
                prop_assert_eq!(mapping.nullable, column.nullable || by_null);
                prop_assert!(is_sound(&mapping, dialect), "{}", shown(&mapping));
                if let ChunkType::Decimal { precision, scale } = mapping.chunk {
                    prop_assert!((1..=38).contains(&precision) && (0..=precision.cast_signed()).contains(&scale));
                }
            }
            Err(failures) => {
                prop_assert_eq!(failures.len(), 1);
                prop_assert!(failures[0].remedy.is_some() && failures[0].column.is_some());
            }
        }
    }
}
