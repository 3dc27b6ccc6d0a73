//! Columns for tests, and mappings as short text.

use sqlextract_model::{
    Cast, ChunkType, ColumnMapping, ColumnOverride, Dialect, Failure, Lossy, OnLossy, OverrideType, SourceColumn,
    TableName, TypeClass, Wire,
};
use sqlextract_type_mapping::{MappingOptions, map_table};

pub(crate) fn table() -> TableName {
    TableName::new("public", "t")
}

pub(crate) fn column(base: &str) -> SourceColumn {
    SourceColumn {
        name: "c".to_owned(),
        declared: base.to_owned(),
        base: base.to_owned(),
        class: TypeClass::Scalar,
        nullable: false,
        precision: None,
        scale: None,
        length: None,
        unsigned: false,
        binary: false,
    }
}

pub(crate) fn of_class(base: &str, class: TypeClass) -> SourceColumn {
    SourceColumn { class, ..column(base) }
}

pub(crate) fn decimal(base: &str, precision: u32, scale: i32) -> SourceColumn {
    SourceColumn {
        precision: Some(precision),
        scale: Some(scale),
        ..column(base)
    }
}

pub(crate) fn sized(base: &str, length: u32) -> SourceColumn {
    SourceColumn {
        length: Some(length),
        ..column(base)
    }
}

pub(crate) fn declared(affinity: &str, declared: &str) -> SourceColumn {
    SourceColumn {
        declared: declared.to_owned(),
        ..column(affinity)
    }
}

pub(crate) fn map(dialect: Dialect, column: &SourceColumn) -> Result<ColumnMapping, Vec<Failure>> {
    map_as(dialect, column, None, OnLossy::Fail)
}

pub(crate) fn map_as(
    dialect: Dialect,
    column: &SourceColumn,
    target: Option<OverrideType>,
    on_lossy: OnLossy,
) -> Result<ColumnMapping, Vec<Failure>> {
    let overrides: Vec<_> = target
        .map(|target| ColumnOverride {
            column: column.name.clone(),
            target,
        })
        .into_iter()
        .collect();
    let options = MappingOptions {
        dialect,
        on_lossy,
        overrides: &overrides,
        columns: None,
        exclude: &[],
    };
    map_table(&table(), std::slice::from_ref(column), &options).map(|mut mapped| mapped.remove(0))
}

/// `cast wire -> chunk (lossy)`, for tables.
pub(crate) fn shown(mapping: &ColumnMapping) -> String {
    let cast = match &mapping.cast {
        Cast::None => String::new(),
        Cast::Decimal { precision, scale } => format!("decimal({precision},{scale}) "),
        other => format!("{} ", format!("{other:?}").to_lowercase()),
    };
    let wire = match &mapping.wire {
        Wire::Int { bytes } => format!("int{bytes}"),
        Wire::Unsigned { bytes } => format!("uint{bytes}"),
        Wire::Float { bytes } => format!("float{bytes}"),
        other => format!("{other:?}"),
    };
    let chunk = match &mapping.chunk {
        ChunkType::Decimal { precision, scale } => format!("Decimal({precision},{scale})"),
        ChunkType::Timestamp { utc, .. } => if *utc { "TimestampUtc" } else { "Timestamp" }.to_owned(),
        other => format!("{other:?}"),
    };
    let lossy = match mapping.lossy {
        None => "",
        Some(Lossy::Rounded) => " (rounded)",
        Some(Lossy::NullForUnrepresentable) => " (null)",
        Some(Lossy::AsText) => " (as text)",
    };
    format!("{cast}{wire} -> {chunk}{lossy}")
}

/// A mapping as short text, or the code of its one refusal.
pub(crate) fn outcome(result: Result<ColumnMapping, Vec<Failure>>) -> String {
    match result {
        Ok(mapping) => shown(&mapping),
        Err(failures) => {
            assert_eq!(failures.len(), 1, "{failures:?}");
            failures[0].code.to_string()
        }
    }
}
