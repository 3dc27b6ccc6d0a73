//! Facts about a whole relation's values, computed by the database, each as the commit records hold it.
//!
//! How the texts look, so that what Rust computes from the chunks is equal character by character:
//!
//! - integers: plain decimal digits; decimals: with exactly as many digits behind the point as the chunk's scale;
//! - floats: the shortest digits that read back as the same 64-bit (32-bit for Float32) float, as Rust's `Display`
//!   writes them (`0.1`, `1`, `inf`), negative zero as `0`, NaN left out of `min` and `max`;
//! - text, JSON and bytes: the sum of octet lengths; UUIDs and lists: the count alone;
//! - booleans: the sum of ones; dates: days since 1970; times: microseconds since midnight or since 1970.
//!
//! `sum`, `min` and `max` are `None` where no value is there.

use sqlextract_model::{ChunkType, Code, ColumnAggregate, ColumnMapping, Failure, Lossy, Relation, Result, Wire};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::checks::{self, Subject};
use super::probe::named;
use super::{PostgresSource, errors, sql};

pub(super) async fn aggregate(
    source: &PostgresSource,
    relation: &Relation,
    filter: Option<&str>,
    columns: &[ColumnMapping],
) -> Result<(u64, Vec<ColumnAggregate>)> {
    let mut session = source.connections.begin::<PgConnection>(None).await?;
    let connection = session.connection();
    let subject = Subject::Relation(relation);
    checks::unchanged(connection, subject, columns, false)
        .await
        .map_err(|f| named(f, relation))?;
    if let Some(filter) = filter {
        checks::filter_is_one_expression(connection, subject, filter)
            .await
            .map_err(|f| named(f, relation))?;
    }
    let conditions: Vec<_> = filter.map(sql::filter).into_iter().collect();
    let arrays: Vec<_> = columns.iter().map(|column| facts(column).array()).collect();
    let text = format!(
        "SELECT count(*){}{} FROM {}{}",
        if arrays.is_empty() { "" } else { ", " },
        arrays.join(", "),
        sql::relation(relation),
        sql::where_clause(&conditions)
    );
    let doing = "cannot compute the aggregates of the columns";
    let row = sql::query(text)
        .fetch_one(connection)
        .await
        .map_err(errors::in_use(doing));
    let row = row.map_err(|failure| named(failure, relation))?;
    let rows: i64 = row.try_get(0).map_err(errors::in_use(doing))?;
    let mut aggregates = Vec::with_capacity(columns.len());
    for (i, column) in columns.iter().enumerate() {
        let values: Vec<Option<String>> = row.try_get(i + 1).map_err(errors::in_use(doing))?;
        aggregates.push(read(column, values)?);
    }
    session.end().await;
    Ok((rows.unsigned_abs(), aggregates))
}

/// SQL of a column's facts; `None` where there is no such fact.
#[derive(Default)]
struct Facts {
    count: String,
    nan: Option<String>,
    sum: Option<String>,
    min: Option<String>,
    max: Option<String>,
}

impl Facts {
    fn array(&self) -> String {
        let none = "NULL".to_owned();
        let parts = [&self.nan, &self.sum, &self.min, &self.max].map(|part| part.as_ref().unwrap_or(&none));
        let parts: Vec<_> = parts.into_iter().map(|part| format!("({part})::text")).collect();
        format!("ARRAY[{}::text, {}]", self.count, parts.join(", "))
    }
}

fn facts(column: &ColumnMapping) -> Facts {
    let value = value(column);
    let count = format!("count({value})");
    match &column.chunk {
        ChunkType::Boolean => {
            let ones = if column.wire == Wire::Bool {
                format!("({value})::int4")
            } else {
                value
            };
            Facts {
                sum: Some(format!("sum({ones})::numeric(38,0)")),
                count,
                ..Facts::default()
            }
        }
        // oid, xid and cid have no arithmetic; their text has.
        ChunkType::Int64 if matches!(column.wire, Wire::Unsigned { .. }) => {
            exact(&format!("({value})::text::int8"), 0, count)
        }
        ChunkType::Int8 | ChunkType::Int16 | ChunkType::Int32 | ChunkType::Int64 => {
            exact(&format!("({value})"), 0, count)
        }
        ChunkType::Decimal { scale, .. } => exact(&format!("({value})"), *scale, count),
        ChunkType::Float32 | ChunkType::Float64 => float(column, &value, count),
        ChunkType::Text | ChunkType::Json => octets(&text(column, &value), count),
        ChunkType::Binary if column.wire == Wire::Text => octets(&format!("({value})::text"), count),
        ChunkType::Binary => octets(&value, count),
        ChunkType::Date => exact(&format!("({value} - date '1970-01-01')"), 0, count),
        ChunkType::Time => exact(&microseconds(&format!("({value} - time '00:00')")), 0, count),
        ChunkType::Timestamp { .. } => {
            let epoch = match column.wire {
                Wire::TimestampWithZone => "timestamptz '1970-01-01 00:00:00+00'",
                _ => "timestamp '1970-01-01 00:00:00'",
            };
            exact(&microseconds(&format!("({value} - {epoch})")), 0, count)
        }
        ChunkType::Uuid | ChunkType::List(_) => Facts {
            count,
            ..Facts::default()
        },
    }
}

/// The value that the chunk holds: what becomes NULL or is rounded by choice is so here too.
fn value(column: &ColumnMapping) -> String {
    let value = sql::select_expression(column);
    match (column.lossy, &column.wire, &column.chunk) {
        (Some(Lossy::NullForUnrepresentable), Wire::Date, _) => {
            format!("CASE WHEN isfinite({value}) THEN {value} END")
        }
        (Some(Lossy::NullForUnrepresentable), Wire::Timestamp | Wire::TimestampWithZone, _) => {
            // The last instant that 64 bits of microseconds since 1970 hold.
            let last = "timestamptz '294247-01-10 04:00:54.775807+00'";
            format!("CASE WHEN isfinite({value}) AND {value} <= ({last} AT TIME ZONE 'UTC') THEN {value} END")
        }
        (Some(Lossy::NullForUnrepresentable), Wire::Decimal, ChunkType::Decimal { precision, scale }) => {
            let limit = format!("1e{}", i32::from(*precision) - i32::from(*scale));
            let fits = format!("abs({value}) < {limit} AND scale(trim_scale({value})) <= {scale}");
            format!("CASE WHEN {value} <> 'NaN' AND {fits} THEN {value} END")
        }
        (Some(Lossy::Rounded), Wire::Decimal, ChunkType::Float64) => format!("({value})::float8"),
        (Some(Lossy::Rounded), Wire::Decimal, chunk) => half_even(&value, chunk),
        _ => value,
    }
}

/// The database rounds halves away from zero.
fn half_even(value: &str, chunk: &ChunkType) -> String {
    let scale = match chunk {
        ChunkType::Decimal { scale, .. } => i32::from(*scale),
        _ => 0,
    };
    let scaled = format!("({value} * 1e{scale})");
    format!(
        "CASE WHEN abs({scaled} - trunc({scaled})) = 0.5 AND mod(trunc({scaled}), 2) = 0 \
         THEN trunc({value}, {scale}) ELSE round({value}, {scale}) END"
    )
}

fn exact(value: &str, scale: i8, count: String) -> Facts {
    let written = |aggregate: &str| Some(format!("round({aggregate}(({value})::numeric), {scale})"));
    Facts {
        count,
        nan: None,
        sum: written("sum"),
        min: written("min"),
        max: written("max"),
    }
}

fn float(column: &ColumnMapping, value: &str, count: String) -> Facts {
    // A numeric becomes the nearest float, like in the decoder; a narrow float is widened or not as the chunk says.
    let wide = if column.chunk == ChunkType::Float32 {
        "float4"
    } else {
        "float8"
    };
    let value = format!("({value})::{wide}");
    let number = |aggregate: &str| Some(format!("{aggregate}({value} + 0) FILTER (WHERE {value} <> 'NaN')"));
    Facts {
        nan: Some(format!("count(*) FILTER (WHERE {value} = 'NaN')")),
        sum: None,
        min: number("min"),
        max: number("max"),
        count,
    }
}

fn octets(value: &str, count: String) -> Facts {
    Facts {
        sum: Some(format!("sum(octet_length({value})::numeric)")),
        count,
        ..Facts::default()
    }
}

/// The text that the chunk holds.
fn text(column: &ColumnMapping, value: &str) -> String {
    match column.wire {
        Wire::Bytes => value.to_owned(),
        // Casting a padded text would cut its padding off; its own bytes are what travels.
        Wire::Text if column.declared.starts_with("character(") => format!("bpcharsend({value})"),
        _ => format!("({value})::text"),
    }
}

/// Of an interval without months: its parts are exact in every version, `extract(epoch …)` is not.
fn microseconds(interval: &str) -> String {
    format!(
        "(extract(day FROM {interval})::numeric * 86400000000 + extract(hour FROM {interval})::numeric * 3600000000 \
          + extract(minute FROM {interval})::numeric * 60000000 + extract(microseconds FROM {interval})::numeric)"
    )
}

fn read(column: &ColumnMapping, values: Vec<Option<String>>) -> Result<ColumnAggregate> {
    let unreadable = |text: &str| {
        Failure::new(
            Code::SourceProtocol,
            format!("the aggregate {text} of column {} cannot be read", column.name),
        )
        .column(&column.name)
    };
    let mut values = values.into_iter();
    let mut next = || values.next().flatten();
    let count = next().unwrap_or_default();
    let nan = next()
        .map(|nan| nan.parse().map_err(|_| unreadable(&nan)))
        .transpose()?;
    let (sum, min, max) = (next(), next(), next());
    let shortest = |text: Option<String>| -> Result<Option<String>> {
        let Some(text) = text else { return Ok(None) };
        Ok(Some(match column.chunk {
            ChunkType::Float32 => text.parse::<f32>().map_err(|_| unreadable(&text))?.to_string(),
            ChunkType::Float64 => text.parse::<f64>().map_err(|_| unreadable(&text))?.to_string(),
            _ => text,
        }))
    };
    Ok(ColumnAggregate {
        name: column.name.clone(),
        count: count.parse().map_err(|_| unreadable(&count))?,
        nan,
        sum,
        min: shortest(min)?,
        max: shortest(max)?,
    })
}
