//! Columns as the catalogue or a prepared query tells them.

use std::collections::HashMap;

use sqlextract_model::{Result, SourceColumn, TypeClass};
use sqlx::mysql::MySqlColumn;
use sqlx::{Column, TypeInfo};

use super::catalogue::CatalogueRow;
use super::cell;
use super::connection::Lease;
use super::schema::is_text;
use super::sql::Statement;

/// The columns of a table or view that `SELECT *` would give, in their order.
pub(super) async fn of_table(lease: &mut Lease, schema: &str, table: &str) -> Result<Vec<SourceColumn>> {
    let look = "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, NUMERIC_PRECISION, NUMERIC_SCALE, \
                DATETIME_PRECISION, CHARACTER_MAXIMUM_LENGTH, CHARACTER_SET_NAME, EXTRA \
                FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";
    let look = Statement::new(look).bind(schema).bind(table);
    let rows = lease.catalogue(&look, "cannot look up the columns").await?;
    let columns = rows.iter().map(declared_column).collect::<Result<Vec<_>>>()?;
    Ok(columns.into_iter().flatten().collect())
}

/// `None` for an invisible column.
fn declared_column(row: &CatalogueRow) -> Result<Option<SourceColumn>> {
    let text = |i| Ok(row.text(i)?.unwrap_or_default());
    let number = |i| Ok(row.number(i)?.map(|n| u32::try_from(n).unwrap_or(u32::MAX)));
    if text(9)?.to_ascii_uppercase().split(' ').any(|word| word == "INVISIBLE") {
        return Ok(None);
    }
    let base = text(1)?.to_ascii_lowercase();
    let declared = text(2)?;
    let (numeric, fraction, characters) = (number(4)?, number(6)?, number(7)?);
    let scale = number(5)?;
    let (precision, scale, length) = match base.as_str() {
        "decimal" | "numeric" => (numeric, scale.map(u32::cast_signed), None),
        "datetime" | "timestamp" | "time" => (fraction, None, None),
        "bit" => (None, None, numeric),
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => (None, None, display_width(&declared)),
        _ => (None, None, characters),
    };
    Ok(Some(SourceColumn {
        name: text(0)?,
        class: class_of(&base),
        nullable: text(3)?.eq_ignore_ascii_case("YES"),
        precision,
        scale,
        length,
        unsigned: declared.to_ascii_lowercase().split(' ').any(|word| word == "unsigned"),
        binary: is_bytes(&base) || text(8)?.eq_ignore_ascii_case("binary"),
        declared,
        base,
    }))
}

fn display_width(declared: &str) -> Option<u32> {
    let (_, rest) = declared.split_once('(')?;
    rest.split_once(')')?.0.parse().ok()
}

fn is_bytes(base: &str) -> bool {
    matches!(
        base,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob"
    )
}

fn class_of(base: &str) -> TypeClass {
    match base {
        "enum" => TypeClass::Enum,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "numeric" | "float" | "double"
        | "bit" | "date" | "datetime" | "timestamp" | "time" | "year" | "char" | "varchar" | "tinytext" | "text"
        | "mediumtext" | "longtext" | "set" | "json" | "uuid" | "inet4" | "inet6" | "geometry" | "point"
        | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon" | "geomcollection"
        | "geometrycollection" => TypeClass::Scalar,
        _ if is_bytes(base) => TypeClass::Scalar,
        _ => TypeClass::Other,
    }
}

/// The columns of a query, from what the server announces for it.
///
/// The protocol's announcement has no precision that the driver passes on. A column that is a table's own has its
/// declaration looked up; for an expression, digits and lengths stay unknown.
pub(super) async fn of_query(lease: &mut Lease, sql: &str) -> Result<Vec<SourceColumn>> {
    let what = "the server does not accept the query";
    // Wrapped first: that is how it will be read, and two columns of one name are refused.
    let wrapped = Statement::new(format!("SELECT * FROM (\n{sql}\n) AS q"));
    let wrapped = lease.prepare(&wrapped, what).await?;
    let bare = lease.prepare(&Statement::new(sql), what).await?;
    let announced = sqlx::Statement::columns(&wrapped);
    let origins = sqlx::Statement::columns(&bare);
    let mut tables: HashMap<String, Vec<SourceColumn>> = HashMap::new();
    let mut columns = Vec::with_capacity(announced.len());
    for (i, column) in announced.iter().enumerate() {
        let mut described = announced_column(column);
        let origin = origins.get(i).filter(|o| o.name() == column.name()).map(Column::origin);
        if let Some((table, name)) = origin
            .as_ref()
            .and_then(|o| o.table_column())
            .map(|o| (o.table.to_string(), &o.name))
        {
            if !tables.contains_key(&table) {
                let (schema, bare) = table.split_once('.').unwrap_or(("", &table));
                let found = of_table(lease, schema, bare).await?;
                tables.insert(table.clone(), found);
            }
            let declared = tables[&table]
                .iter()
                .find(|c| c.name == **name && same_kind(&c.base, &described.base));
            if let Some(declared) = declared {
                // An outer join makes NULL of what is declared NOT NULL.
                described = SourceColumn {
                    name: described.name,
                    nullable: true,
                    ..declared.clone()
                };
            }
        }
        columns.push(described);
    }
    Ok(columns)
}

/// Texts and bytes are announced without their size.
fn same_kind(declared: &str, announced: &str) -> bool {
    let family = |base: &str| {
        match base {
            "tinytext" | "text" | "mediumtext" | "longtext" => "text",
            "tinyblob" | "blob" | "mediumblob" | "longblob" => "blob",
            "numeric" => "decimal",
            // MariaDB announces these as text.
            "uuid" | "inet4" | "inet6" | "set" | "char" => "char",
            _ => return base.to_owned(),
        }
        .to_owned()
    };
    family(declared) == family(announced)
}

fn announced_column(column: &MySqlColumn) -> SourceColumn {
    let info = column.type_info();
    let text = is_text(info);
    let base =
        match info.name() {
            "BOOLEAN" => "tinyint",
            // The driver tells text from bytes by a flag that the `_bin` collations have too.
            "CHAR" | "BINARY" if text => "char",
            "CHAR" | "BINARY" => "binary",
            "VARCHAR" | "VARBINARY" if text => "varchar",
            "VARCHAR" | "VARBINARY" => "varbinary",
            // Every size of text is announced as one type, so the largest is assumed.
            "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" => {
                if text { "longtext" } else { "longblob" }
            }
            // Of the type of NULL, every value is NULL.
            "NULL" => "char",
            other => &other.strip_suffix(" UNSIGNED").unwrap_or(other).to_ascii_lowercase(),
        };
    let unsigned = cell::is_unsigned(info) && base != "year";
    SourceColumn {
        name: column.name().to_owned(),
        declared: if unsigned {
            format!("{base} unsigned")
        } else {
            base.to_owned()
        },
        class: class_of(base),
        nullable: true,
        precision: None,
        scale: None,
        length: None,
        unsigned,
        binary: is_bytes(base),
        base: base.to_owned(),
    }
}
