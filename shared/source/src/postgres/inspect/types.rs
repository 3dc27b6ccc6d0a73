//! Types as the catalogue has them: domains followed to their base, arrays to their elements.

use std::collections::HashMap;

use sqlextract_model::{KeyKind, Result, SourceColumn, TypeClass};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use crate::postgres::{errors, sql};

const TYPES: &str = "\
    WITH RECURSIVE used(oid) AS ( \
        SELECT unnest($1::int8[]::oid[]) \
        UNION \
        SELECT next.oid FROM used JOIN pg_type t ON t.oid = used.oid \
            CROSS JOIN LATERAL (VALUES (t.typbasetype), (t.typelem)) AS next(oid) WHERE next.oid <> 0 \
    ) \
    SELECT t.oid::int8, t.typname::text, n.nspname::text, t.typtype::text, t.typbasetype::int8, t.typtypmod, \
        t.typnotnull, CASE WHEN e.oid IS NULL THEN 0 ELSE e.oid::int8 END, format_type(t.oid, -1) \
    FROM used JOIN pg_type t USING (oid) JOIN pg_namespace n ON n.oid = t.typnamespace \
        LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid";

/// A column's type before its domains are resolved.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) declared: String,
    pub(super) type_oid: i64,
    pub(super) modifier: i32,
    pub(super) not_null: bool,
}

#[derive(Debug)]
struct Type {
    name: String,
    schema: String,
    kind: String,
    base: i64,
    modifier: i32,
    not_null: bool,
    element: i64,
    /// For a cast, without lengths or precisions.
    cast: String,
}

/// Every type that some columns need.
#[derive(Debug, Default)]
pub(super) struct Types(HashMap<i64, Type>);

/// A type with its domains resolved.
struct Resolved<'a> {
    definition: &'a Type,
    modifier: i32,
    not_null: bool,
}

impl Types {
    pub(super) async fn load(connection: &mut PgConnection, oids: Vec<i64>) -> Result<Self> {
        let doing = "cannot read the column types from the catalogue";
        let rows = sql::query(TYPES.to_owned())
            .bind(oids)
            .fetch_all(connection)
            .await
            .map_err(errors::in_use(doing))?;
        let mut types = HashMap::new();
        for row in &rows {
            let (oid, definition) = read_type(row).map_err(errors::in_use(doing))?;
            types.insert(oid, definition);
        }
        Ok(Self(types))
    }

    pub(super) fn column(&self, attribute: &Attribute) -> SourceColumn {
        let outer = self.resolve(attribute.type_oid, attribute.modifier);
        let not_null = attribute.not_null || outer.as_ref().is_some_and(|r| r.not_null);
        let (class, inner) = match &outer {
            Some(array) if array.definition.element != 0 => {
                (TypeClass::Array, self.resolve(array.definition.element, array.modifier))
            }
            _ => (outer.as_ref().map_or(TypeClass::Other, |r| class(r.definition)), outer),
        };
        let (base, modifier) = inner.map_or((String::new(), -1), |r| (r.definition.name.clone(), r.modifier));
        let (precision, scale, length) = dimensions(&base, modifier);
        SourceColumn {
            name: attribute.name.clone(),
            declared: attribute.declared.clone(),
            base,
            class,
            nullable: !not_null,
            precision,
            scale,
            length,
            unsigned: false,
            binary: false,
        }
    }

    /// How the type orders rows, and what a literal of it is cast to; `None` for types that are no key here.
    pub(super) fn key(&self, type_oid: i64) -> Option<(KeyKind, String)> {
        let definition = self.resolve(type_oid, -1)?.definition;
        let kind = match (class(definition), definition.name.as_str()) {
            (TypeClass::Enum, _) => KeyKind::Literal,
            (TypeClass::Scalar, "int2" | "int4" | "int8") => KeyKind::Integer,
            (TypeClass::Scalar, "uuid") => KeyKind::Uuid,
            (TypeClass::Scalar, "text" | "varchar" | "bpchar") => KeyKind::Text,
            (TypeClass::Scalar, "bytea") => KeyKind::Bytes,
            (TypeClass::Scalar, "date" | "timestamp" | "timestamptz" | "time" | "timetz" | "interval") => {
                KeyKind::Literal
            }
            (TypeClass::Scalar, "numeric" | "float4" | "float8" | "bool" | "oid") => KeyKind::Literal,
            (TypeClass::Scalar, "name" | "char" | "inet" | "cidr" | "macaddr") => KeyKind::Literal,
            _ => return None,
        };
        Some((kind, definition.cast.clone()))
    }

    /// The domain's own modifier counts, unless the column has one, which no domain allows.
    fn resolve(&self, oid: i64, modifier: i32) -> Option<Resolved<'_>> {
        let mut definition = self.0.get(&oid)?;
        let mut resolved = Resolved {
            definition,
            modifier,
            not_null: false,
        };
        while definition.kind == "d" {
            resolved.not_null |= definition.not_null;
            if resolved.modifier < 0 {
                resolved.modifier = definition.modifier;
            }
            definition = self.0.get(&definition.base)?;
        }
        resolved.definition = definition;
        Some(resolved)
    }
}

fn read_type(row: &sqlx::postgres::PgRow) -> sqlx::Result<(i64, Type)> {
    let definition = Type {
        name: row.try_get(1)?,
        schema: row.try_get(2)?,
        kind: row.try_get(3)?,
        base: row.try_get(4)?,
        modifier: row.try_get(5)?,
        not_null: row.try_get(6)?,
        element: row.try_get(7)?,
        cast: row.try_get(8)?,
    };
    Ok((row.try_get(0)?, definition))
}

fn class(definition: &Type) -> TypeClass {
    match definition.kind.as_str() {
        _ if definition.element != 0 => TypeClass::Array,
        "e" => TypeClass::Enum,
        "r" | "m" => TypeClass::Range,
        "c" => TypeClass::Composite,
        "b" if definition.schema == "pg_catalog" => TypeClass::Scalar,
        _ => TypeClass::Other,
    }
}

/// Precision, scale and length out of a type's modifier, which each type packs in its own way.
fn dimensions(base: &str, modifier: i32) -> (Option<u32>, Option<i32>, Option<u32>) {
    if modifier < 0 {
        return (None, None, None);
    }
    let number = |value: i32| u32::try_from(value).ok();
    match base {
        "numeric" => {
            let packed = modifier - 4;
            // Eleven bits with a sign: scales may be negative since version 15.
            (
                number((packed >> 16) & 0xFFFF),
                Some(((packed & 0x7FF) ^ 1024) - 1024),
                None,
            )
        }
        "varchar" | "bpchar" => (None, None, number(modifier - 4)),
        "bit" | "varbit" => (None, None, number(modifier)),
        "time" | "timetz" | "timestamp" | "timestamptz" => (number(modifier), None, None),
        "interval" => (number(modifier & 0xFFFF).filter(|p| *p <= 6), None, None),
        _ => (None, None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_unpack_as_the_server_packs_them() {
        let numeric = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7FF)) + 4;
        let cases = [
            ("numeric", numeric(15, 2), (Some(15), Some(2), None)),
            ("numeric", numeric(5, -3), (Some(5), Some(-3), None)),
            ("numeric", numeric(1000, 1000), (Some(1000), Some(1000), None)),
            ("numeric", -1, (None, None, None)),
            ("varchar", 48, (None, None, Some(44))),
            ("bpchar", 5, (None, None, Some(1))),
            ("varbit", 9, (None, None, Some(9))),
            ("timestamptz", 3, (Some(3), None, None)),
            ("interval", 0x7FFF_FFFF, (None, None, None)),
            ("text", -1, (None, None, None)),
        ];
        for (base, modifier, expected) in cases {
            assert_eq!(dimensions(base, modifier), expected, "{base} {modifier}");
        }
    }
}
