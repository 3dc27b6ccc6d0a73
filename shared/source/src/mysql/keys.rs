//! Indexes that serve ranges.

use sqlextract_model::{KeyColumn, KeyFacts, KeyKind, Result, SourceColumn};

use super::connection::Lease;
use super::sql::Statement;

/// A table's keys, best first: the primary key, unique ones without NULL, unique ones, others.
pub(super) async fn of_table(
    lease: &mut Lease,
    schema: &str,
    table: &str,
    columns: &[SourceColumn],
) -> Result<Vec<KeyFacts>> {
    // An index that the optimizer may not use serves no range; an expression is no column.
    let server = lease.server();
    let visible = match () {
        () if server.is_mysql_since(8, 0, 0) => "IS_VISIBLE = 'YES'",
        () if server.is_mariadb_since(10, 6) => "IGNORED = 'NO'",
        () => "TRUE",
    };
    let look = format!(
        "SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, COLLATION, INDEX_TYPE \
         FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND {visible} \
         ORDER BY INDEX_NAME, SEQ_IN_INDEX"
    );
    let look = Statement::new(look).bind(schema).bind(table);
    let rows = lease.catalogue(&look, "cannot look up the indexes").await?;
    let mut parts = Vec::with_capacity(rows.len());
    for row in &rows {
        let text = |i| Ok(row.text(i)?.unwrap_or_default());
        parts.push(IndexPart {
            index: text(0)?,
            unique: text(1)? == "0",
            column: row.text(2)?,
            whole: row.text(3)?.is_none(),
            ascending: text(4)? == "A",
            tree: text(5)?.eq_ignore_ascii_case("BTREE"),
        });
    }
    Ok(keys(&parts, columns))
}

/// A row of the catalogue's `STATISTICS`.
#[derive(Debug, Clone)]
struct IndexPart {
    index: String,
    unique: bool,
    /// `None` for an expression.
    column: Option<String>,
    /// Not a prefix of the column only.
    whole: bool,
    ascending: bool,
    tree: bool,
}

/// The parts of one index are adjacent, in their order.
fn keys(parts: &[IndexPart], columns: &[SourceColumn]) -> Vec<KeyFacts> {
    let indexes = parts.chunk_by(|a, b| a.index == b.index);
    let mut keys: Vec<_> = indexes.filter_map(|index| key(index, columns)).collect();
    keys.sort_by_key(|key| {
        let nullable = key.columns.iter().any(|c| c.nullable);
        (!key.primary, !key.unique, nullable, key.columns.len())
    });
    keys
}

/// The leading columns of an index that are whole, ascending and comparable. What follows them is left out, and then
/// the key is not unique.
fn key(index: &[IndexPart], columns: &[SourceColumn]) -> Option<KeyFacts> {
    let first = index.first().filter(|part| part.tree)?;
    let usable = |part: &IndexPart| {
        let name = part.column.as_ref().filter(|_| part.whole && part.ascending)?;
        let column = columns.iter().find(|c| c.name == *name)?;
        key_column(column)
    };
    let leading: Vec<_> = index.iter().map_while(usable).collect();
    let complete = leading.len() == index.len();
    (!leading.is_empty()).then(|| KeyFacts {
        name: first.index.clone(),
        columns: leading,
        unique: first.unique && complete,
        primary: first.index == "PRIMARY" && complete,
    })
}

/// `None` for a type whose values do not compare as they print: floats, enums (by position), bits, years.
pub(super) fn key_column(column: &SourceColumn) -> Option<KeyColumn> {
    let kind = match column.base.as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => KeyKind::Integer,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" if column.binary => KeyKind::Bytes,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => KeyKind::Text,
        // The server compares MariaDB's own types with their text.
        "uuid" | "inet4" | "inet6" => KeyKind::Text,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => KeyKind::Bytes,
        "decimal" | "date" | "datetime" | "timestamp" | "time" => KeyKind::Literal,
        _ => return None,
    };
    Some(KeyColumn {
        name: column.name.clone(),
        kind,
        nullable: column.nullable,
        declared: column.declared.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlextract_model::TypeClass;

    fn column(name: &str, base: &str, nullable: bool) -> SourceColumn {
        SourceColumn {
            name: name.to_owned(),
            declared: base.to_owned(),
            base: base.to_owned(),
            class: TypeClass::Scalar,
            nullable,
            precision: None,
            scale: None,
            length: None,
            unsigned: false,
            binary: false,
        }
    }

    fn part(index: &str, column: Option<&str>) -> IndexPart {
        let (index, column) = (index.to_owned(), column.map(str::to_owned));
        IndexPart {
            index,
            unique: true,
            column,
            whole: true,
            ascending: true,
            tree: true,
        }
    }

    #[test]
    fn the_primary_key_comes_first_then_unique_ones_without_null() {
        let columns = [
            column("a", "int", true),
            column("b", "int", false),
            column("c", "varchar", false),
        ];
        let parts = [
            IndexPart {
                unique: false,
                ..part("by_c", Some("c"))
            },
            part("PRIMARY", Some("c")),
            part("PRIMARY", Some("b")),
            part("unique_a", Some("a")),
            part("unique_b", Some("b")),
        ];
        let names: Vec<_> = keys(&parts, &columns).into_iter().map(|k| k.name).collect();
        assert_eq!(names, ["PRIMARY", "unique_b", "unique_a", "by_c"]);
    }

    #[test]
    fn what_does_not_order_whole_columns_is_no_key() {
        let columns = [
            column("a", "int", false),
            column("f", "double", false),
            column("e", "enum", false),
        ];
        let cases = [
            IndexPart {
                whole: false,
                ..part("prefix", Some("a"))
            },
            IndexPart {
                tree: false,
                ..part("hash", Some("a"))
            },
            IndexPart {
                ascending: false,
                ..part("descending", Some("a"))
            },
            part("expression", None),
            part("float", Some("f")),
            part("enum", Some("e")),
            part("invisible", Some("hidden")),
        ];
        for case in cases {
            assert_eq!(keys(std::slice::from_ref(&case), &columns), [], "{case:?}");
        }
        let parts = [part("both", Some("a")), part("both", Some("e"))];
        let found = keys(&parts, &columns);
        assert!(found.len() == 1 && found[0].columns.len() == 1 && !found[0].unique);
    }
}
