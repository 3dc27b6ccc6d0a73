//! The exact text of every type.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::sync::Arc;

use crate::support::*;
use arrow::array::*;
use arrow::datatypes::{Field, Int32Type, Schema};
use sqlextract_encoding::{TextKind, TextWriter};
use sqlextract_model::{ChunkType, ColumnMapping, Compression, Format, TimestampUnit};

const DAY: i64 = 86_400_000_000;

fn columns() -> Vec<ColumnMapping> {
    let micros = |utc| ChunkType::Timestamp {
        unit: TimestampUnit::Microsecond,
        utc,
    };
    vec![
        mapping("b", ChunkType::Boolean),
        mapping("i", ChunkType::Int64),
        mapping("f", ChunkType::Float64),
        mapping("g", ChunkType::Float32),
        mapping("d", ChunkType::Decimal { precision: 9, scale: 2 }),
        mapping("t", ChunkType::Text),
        mapping("x", ChunkType::Binary),
        mapping("day", ChunkType::Date),
        mapping("time", ChunkType::Time),
        mapping("ts", micros(false)),
        mapping("tz", micros(true)),
        mapping("l", ChunkType::List(Box::new(ChunkType::Int32))),
        mapping("s", ChunkType::List(Box::new(ChunkType::Text))),
    ]
}

/// An array of the values with NULL behind them.
fn nullable<T, A: FromIterator<Option<T>> + Array + 'static>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Some).chain([None]).collect::<A>())
}

fn table() -> (Vec<ColumnMapping>, RecordBatch) {
    let columns = columns();
    let moments = [1_709_209_800_250_000, -1, -735_160 * DAY, 3_652_092 * DAY];
    let moments: TimestampMicrosecondArray = moments.into_iter().map(Some).chain([None]).collect();
    let decimals: Decimal64Array = [-5, 123_456_789, 0, 100].into_iter().map(Some).chain([None]).collect();
    let texts = ["", " a", "x,\"y\"\n\\.\n", "\\."];
    let bytes: [&[u8]; 4] = [b"", b"\x00\xff", b"a", b"\\"];
    let numbers = [
        Some(vec![Some(1), None]),
        Some(vec![]),
        Some(vec![Some(-7)]),
        Some(vec![None]),
        None,
    ];
    let mut words = ListBuilder::new(StringBuilder::new());
    for word in ["a\"b", "\\", "é\n", ""] {
        words.append_value([Some(word), None]);
    }
    words.append_null();
    let arrays: Vec<ArrayRef> = vec![
        nullable::<_, BooleanArray>([true, false, true, false]),
        nullable::<_, Int64Array>([i64::MIN, i64::MAX, 0, -1]),
        nullable::<_, Float64Array>([1.5, f64::NAN, -0.0, 1e300]),
        nullable::<_, Float32Array>([0.1, f32::INFINITY, f32::NEG_INFINITY, 100.0]),
        Arc::new(decimals.with_precision_and_scale(9, 2).unwrap()),
        nullable::<_, StringArray>(texts),
        nullable::<_, BinaryArray>(bytes),
        nullable::<_, Date32Array>([19_782, 0, -735_160, 3_652_092]),
        nullable::<_, Time64MicrosecondArray>([0, DAY, 45_000_000_001, DAY - 1]),
        Arc::new(moments.clone()),
        Arc::new(moments.with_timezone("UTC")),
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(numbers)),
        Arc::new(words.finish()),
    ];
    // Arrow's builders call the element `item`; the encoder does not mind.
    let fields = columns.iter().zip(&arrays);
    let fields: Vec<_> = fields
        .map(|(c, a)| Field::new(&c.name, a.data_type().clone(), true))
        .collect();
    (
        columns,
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap(),
    )
}

fn text(kind: TextKind) -> String {
    let (columns, rows) = table();
    let mut writer = TextWriter::new(kind, &columns);
    let mut out = writer.header().unwrap();
    writer.write(&rows, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const CSV: &str = r#"b,i,f,g,d,t,x,day,time,ts,tz,l,s
true,-9223372036854775808,1.5,0.1,-0.05,"","",2024-02-29,00:00:00,2024-02-29 12:30:00.250000,2024-02-29 12:30:00.250000+00:00,"[1,null]","[""a\""b"",null]"
false,9223372036854775807,NaN,Infinity,1234567.89," a",00ff,1970-01-01,24:00:00,1969-12-31 23:59:59.999999,1969-12-31 23:59:59.999999+00:00,[],"[""\\"",null]"
true,0,-0,-Infinity,0.00,"x,""y""
\.
",61,0044-03-15 BC,12:30:00.000001,0044-03-15 00:00:00 BC,0044-03-15 00:00:00+00:00 BC,[-7],"[""é\n"",null]"
false,-1,1e+300,100,1.00,"\.",5c,11969-02-02,23:59:59.999999,11969-02-02 00:00:00,11969-02-02 00:00:00+00:00,[null],"["""",null]"
,,,,,,,,,,,,
"#;

#[test]
fn csv_has_one_neutral_form() {
    assert_eq!(text(TextKind::Csv), CSV);
    let (columns, rows) = table();
    let chunks = encode(settings(format(Format::Csv, Compression::None), &columns), &[rows]).unwrap();
    assert_eq!(String::from_utf8_lossy(&chunks[0].bytes), CSV);
    assert!(chunks[0].end.end_of_copy_line);
}

#[test]
fn json_lines_keep_every_value_exact() {
    let lines = text(TextKind::JsonLines);
    let first = r#"{"b":true,"i":-9223372036854775808,"f":1.5,"g":0.1,"d":"-0.05","t":"","x":"","day":"2024-02-29","time":"00:00:00","ts":"2024-02-29 12:30:00.250000","tz":"2024-02-29 12:30:00.250000+00:00","l":[1,null],"s":["a\"b",null]}"#;
    let second = r#"{"b":false,"i":9223372036854775807,"f":"NaN","g":"Infinity","d":"1234567.89","t":" a","x":"00ff","day":"1970-01-01","time":"24:00:00","ts":"1969-12-31 23:59:59.999999","tz":"1969-12-31 23:59:59.999999+00:00","l":[],"s":["\\",null]}"#;
    let all_null = r#"{"b":null,"i":null,"f":null,"g":null,"d":null,"t":null,"x":null,"day":null,"time":null,"ts":null,"tz":null,"l":null,"s":null}"#;
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 5);
    assert_eq!([lines[0], lines[1], lines[4]], [first, second, all_null]);
}

#[test]
fn copy_text_doubles_backslashes_and_writes_arrays() {
    let expected = [
        r#"t	-9223372036854775808	1.5	0.1	-0.05		\\x	2024-02-29	00:00:00	2024-02-29 12:30:00.250000	2024-02-29 12:30:00.250000+00:00	{1,NULL}	{"a\\"b",NULL}"#,
        r#"f	9223372036854775807	NaN	Infinity	1234567.89	 a	\\x00ff	1970-01-01	24:00:00	1969-12-31 23:59:59.999999	1969-12-31 23:59:59.999999+00:00	{}	{"\\\\",NULL}"#,
        r#"t	0	-0	-Infinity	0.00	x,"y"\n\\.\n	\\x61	0044-03-15 BC	12:30:00.000001	0044-03-15 00:00:00 BC	0044-03-15 00:00:00+00:00 BC	{-7}	{"é\n",NULL}"#,
        r#"f	-1	1e+300	100	1.00	\\.	\\x5c	11969-02-02	23:59:59.999999	11969-02-02 00:00:00	11969-02-02 00:00:00+00:00	{NULL}	{"",NULL}"#,
        r#"\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N"#,
    ];
    assert_eq!(text(TextKind::PgText).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_line_that_ends_copy_is_noticed_wherever_it_stands() {
    let columns = [mapping("t", ChunkType::Text)];
    let cases = [
        ("plain", false),
        ("\\.", true),
        ("\\.\nrest", true),
        ("rest\n\\.", true),
        ("a\n\\.\r\nb", true),
        ("a\n \\.\nb", false),
        ("a\\.\nb", false),
        ("\\.x\ny", false),
    ];
    for (value, expected) in cases {
        let rows = batch(&columns, vec![Arc::new(StringArray::from(vec![value]))]);
        let chunks = encode(settings(format(Format::Csv, Compression::None), &columns), &[rows]).unwrap();
        assert_eq!(chunks[0].end.end_of_copy_line, expected, "{value:?}");
    }
}
