//! What one stage takes by itself: `tests/run bench-stages [NAME…]`. Each works at 65,536 rows of lineitem's form, but for
//! plans, which have no rows.

use std::fmt::Write as _;

use arrow::record_batch::RecordBatch;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use sqlextract_encoding::{Aggregator, ChunkEncoder, EncoderSettings};
use sqlextract_model::{
    BlockLeaf, Cast, ChunkType, ColumnMapping, Compression, Consistency, Dialect, FileFormat, Format, ParquetVersion,
    TableFacts, TableKind, TableName, Wire,
};
use sqlextract_planning::{Answer, PlanOptions, Planner, Question};
use sqlextract_source::ReadLimits;
use sqlextract_source::fuzzing::decode_row_messages;

const ROWS: u32 = 65_536;
/// What one read off a socket gives.
const RECEIVED: usize = 256 << 10;
const DECIMAL: ChunkType = ChunkType::Decimal {
    precision: 15,
    scale: 2,
};

fn main() {
    divan::main();
}

fn columns() -> Vec<ColumnMapping> {
    let of = |wire: Wire, chunk: ChunkType, names: &'static [&'static str]| {
        names.iter().map(move |name| ColumnMapping {
            name: (*name).to_owned(),
            declared: String::new(),
            nullable: false,
            cast: Cast::None,
            wire: wire.clone(),
            chunk: chunk.clone(),
            lossy: None,
            length: None,
        })
    };
    of(
        Wire::Int { bytes: 8 },
        ChunkType::Int64,
        &["orderkey", "partkey", "suppkey"],
    )
    .chain(of(Wire::Int { bytes: 4 }, ChunkType::Int32, &["linenumber"]))
    .chain(of(Wire::Decimal, DECIMAL, &["quantity", "price", "discount", "tax"]))
    .chain(of(Wire::Date, ChunkType::Date, &["shipped", "committed", "received"]))
    .chain(of(
        Wire::Text,
        ChunkType::Text,
        &["flag", "status", "instruct", "mode", "comment"],
    ))
    .collect()
}

/// The messages of such rows, as a server sends them.
fn sent() -> Vec<u8> {
    let mut messages = Vec::new();
    let mut message = |body: &[u8]| {
        messages.push(b'D');
        messages.extend_from_slice(&(4 + body.len() as u32).to_be_bytes());
        messages.extend_from_slice(body);
    };
    let mut body = Vec::new();
    for row in 0..ROWS {
        body.extend_from_slice(&16_u16.to_be_bytes());
        for key in [row, row * 7 % 200_000, row * 13 % 10_000] {
            field(&mut body, &i64::from(key).to_be_bytes());
        }
        field(&mut body, &(row % 7).to_be_bytes());
        for hundredths in [row % 50 * 100, row * 31 % 9_999_999, row % 11, row % 9] {
            let decimal = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            field(&mut body, decimal.as_bytes());
        }
        for days in [0, 30, 60] {
            field(&mut body, &(row % 2500 + days).to_be_bytes());
        }
        let words = ["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"];
        let mut comment = String::new();
        let _ = write!(comment, "carefully final deposits {}", row.wrapping_mul(2_654_435_761));
        for text in [
            "A",
            "F",
            words[row as usize % 4],
            ["AIR", "TRUCK", "MAIL"][row as usize % 3],
            &comment,
        ] {
            field(&mut body, text.as_bytes());
        }
        message(&body);
        body.clear();
    }
    messages
}

fn field(body: &mut Vec<u8>, value: &[u8]) {
    body.extend_from_slice(&(value.len() as u32).to_be_bytes());
    body.extend_from_slice(value);
}

fn decoded(columns: &[ColumnMapping], messages: &[u8]) -> Vec<RecordBatch> {
    let limits = ReadLimits {
        record_batch_bytes: 8 << 20,
        record_batch_rows: 64 << 10,
        alone_bytes: 8 << 20,
        row_bytes: 8 << 20,
    };
    decode_row_messages(columns, messages, RECEIVED, limits).expect("the rows are well formed")
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let (columns, messages) = (columns(), sent());
    let count = (ItemsCount::new(ROWS), BytesCount::new(messages.len()));
    let bencher = bencher.counter(count.0).counter(count.1);
    bencher.bench_local(|| decoded(&columns, black_box(&messages)));
}

#[divan::bench(args = ["parquet none", "parquet snappy", "parquet zstd", "csv none", "csv zstd"])]
fn encode(bencher: Bencher<'_, '_>, name: &str) {
    let (format, compression) = match name.split_once(' ').expect("names have two words") {
        ("csv", "none") => (Format::Csv, Compression::None),
        ("csv", _) => (Format::Csv, Compression::Zstd),
        (_, "none") => (Format::Parquet, Compression::None),
        (_, "snappy") => (Format::Parquet, Compression::Snappy),
        _ => (Format::Parquet, Compression::Zstd),
    };
    let columns = columns();
    let batches = decoded(&columns, &sent());
    let settings = EncoderSettings {
        format: FileFormat {
            format,
            compression,
            level: None,
            parquet_version: ParquetVersion::default(),
        },
        columns,
        chunk_bytes: 128 << 20,
        memory_bytes: 32 << 20,
        created_by: "bench".to_owned(),
    };
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut encoder = ChunkEncoder::new(settings.clone()).expect("the settings hold");
        let mut outputs = 0_u64;
        let mut out = |output| {
            outputs += 1;
            black_box(output);
            Ok(())
        };
        for batch in &batches {
            encoder.write(batch, &mut out).expect("the values fit");
        }
        encoder.finish(&mut out).expect("the values fit");
        outputs
    });
}

#[divan::bench]
fn aggregate(bencher: Bencher<'_, '_>) {
    let columns = columns();
    let batches = decoded(&columns, &sent());
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut aggregator = Aggregator::new(&columns);
        for batch in &batches {
            aggregator.update(batch).expect("the columns are those of the batch");
        }
        aggregator.finish()
    });
}

/// What a source says that knows nothing more.
fn unknown(question: &Question) -> Answer {
    match question {
        Question::Bounds { .. } => Answer::Bounds(None),
        Question::NextKey { .. } => Answer::NextKey(None),
        Question::EstimateRows { .. } => Answer::Rows(None),
        Question::Explain { .. } => Answer::Explain(None),
    }
}

/// A plan of so many batches, with the proof that it holds every row once.
#[divan::bench(args = [100, 10_000, 1_000_000])]
fn plan(bencher: Bencher<'_, '_>, batches: u64) {
    let name = TableName::new("public", "lineitem");
    let facts = TableFacts {
        name: name.clone(),
        kind: TableKind::Table,
        columns: Vec::new(),
        estimated_rows: batches * 1000,
        estimated_bytes: batches * 100_000,
        keys: Vec::new(),
        leaves: vec![BlockLeaf {
            oid: 1,
            name,
            blocks: batches * 13,
            estimated_rows: batches * 1000,
            heap: true,
        }],
        logged: true,
    };
    let options = PlanOptions {
        consistency: Consistency::Snapshot,
        shared_snapshot: true,
        batch_rows: Some(1000),
        bytes_per_second: None,
        chunk_bytes: 128 << 20,
        format: FileFormat {
            format: Format::Parquet,
            compression: Compression::Zstd,
            level: None,
            parquet_version: ParquetVersion::default(),
        },
    };
    bencher.counter(ItemsCount::new(batches)).bench_local(|| {
        let mut planner = Planner::new(&facts, Dialect::Postgres, options.clone()).expect("the sizes are above 0");
        loop {
            let questions = planner.questions();
            if questions.is_empty() {
                break;
            }
            let answers = questions.iter().map(unknown).collect();
            planner.answer(answers).expect("there is an answer to each question");
        }
        let split = planner.finish().expect("no question is left");
        sqlextract_planning::check(split.iter(), &facts).expect("the plan is whole");
        split.batches
    });
}
