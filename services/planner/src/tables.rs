//! One table's plan: facts from the source, decisions from `type-mapping` and `planning`, stored create-only.

use std::fmt::Write as _;

use sqlextract_model::{
    Batch, BatchIndex, ByteSize, Code, ColumnMapping, Consistency, Dialect, EpochRecord, ExtractionRequest, Failure,
    FileFormat, Generation, JobRecord, JobTable, KeyColumn, PlanId, PlanPage, Relation, RequestedTable, Result,
    Selection, SnapshotToken, SourceFacts, TableFacts, TablePlan,
};
use sqlextract_planning::{Answer, Pace, PlanOptions, Question, Split, condition_sql};
use sqlextract_runtime::crash_point;
use sqlextract_source::{Probe, ProbeAnswer, Source};
use sqlextract_storage::{JobRecords, Stored};
use sqlextract_type_mapping::{MappingOptions, map_table};

use crate::long::pace_of;
use crate::{Planner, timed};

/// Batches of a plan page: what an extractor reads to learn one range.
const PAGE_BATCHES: usize = 4096;

/// A table's plan before it is stored: columns, ranges and the reasons.
#[derive(Debug)]
pub struct PlannedTable {
    pub facts: TableFacts,
    pub columns: Vec<ColumnMapping>,
    pub row_key: Vec<KeyColumn>,
    /// The request's filter, in the source's SQL.
    pub filter: Option<String>,
    pub split: Split,
}

/// What a table's next generation is made from.
pub(crate) struct TableToPlan<'a> {
    pub(crate) record: &'a JobRecord,
    pub(crate) table: &'a JobTable,
    pub(crate) generation: Generation,
    pub(crate) epoch: &'a EpochRecord,
    pub(crate) batch_rows: Option<u64>,
    pub(crate) chunk_bytes: u64,
}

impl Planner {
    pub(crate) async fn create_plan(
        &self,
        records: &JobRecords,
        to_plan: TableToPlan<'_>,
        token: Option<&SnapshotToken>,
    ) -> Result<Stored<TablePlan>> {
        let request = &to_plan.record.request;
        let source = self.ports.source(&request.source)?;
        let plan_id = PlanId(self.ports.surroundings.random()?);
        let (facts, ()) = tokio::join!(
            inspect_one(source.as_ref(), &to_plan),
            records.prepare_plan(plan_id, &to_plan.table.segment, to_plan.generation)
        );
        let facts = facts?;
        if facts.identity.system != to_plan.record.source.system {
            return Err(Failure::new(
                Code::SourceChanged,
                format!(
                    "{} is another database than the one that the job was started on",
                    facts.identity.location
                ),
            ));
        }
        let asked = &request.tables[to_plan.table.selected_by];
        let pace = ExtractionRequest {
            batch_rows: to_plan.batch_rows,
            chunk_bytes: to_plan.chunk_bytes,
            ..request.clone()
        };
        let timed = !self.settings.unprobed.contains(&request.source) && pace_of(request) == Pace::default();
        let planned = plan_table(source.as_ref(), facts, &pace, asked, (token, timed)).await?;
        self.check_length(request, &to_plan.table.name, &planned.split)?;
        let pages = store_pages(records, plan_id, &planned.split).await?;
        records
            .create_plan(&table_plan(&to_plan, planned, plan_id, pages, token.is_some()))
            .await
    }
}

/// Plans a table without storing anything, as `extract --dry-run` and `inspect` show it. Those do without the timed probe:
/// they read catalogues only.
pub async fn plan_table(
    source: &dyn Source,
    mut facts: SourceFacts,
    request: &ExtractionRequest,
    asked: &RequestedTable,
    (snapshot, timed): (Option<&SnapshotToken>, bool),
) -> Result<PlannedTable> {
    let Some(table) = facts.tables.pop() else {
        return Err(Failure::new(Code::SourceObjectMissing, "the table is gone"));
    };
    let columns = mapped_columns(source.dialect(), &table, request, asked)?;
    let filter = filter_sql(source.dialect(), &table, asked)?;
    let relation = relation_of(&table, &asked.selection);
    let bytes_per_second = match timed && timed::is_worth_it(&table, request.batch_rows, filter.as_deref()) {
        true => timed::bytes_per_second(source, &table, &relation, &columns, snapshot).await,
        false => None,
    };
    let options = PlanOptions {
        consistency: if snapshot.is_some() {
            Consistency::Snapshot
        } else {
            Consistency::Batch
        },
        shared_snapshot: snapshot.is_some(),
        batch_rows: request.batch_rows,
        bytes_per_second,
        chunk_bytes: request.chunk_bytes,
        format: request.format,
    };
    let mut split = split(source, &table, &relation, filter.as_deref(), options, snapshot).await?;
    if let Some(rate) = bytes_per_second {
        let _ = write!(split.reason, "; a probe read {} per second", ByteSize(rate));
    }
    sqlextract_planning::check(split.iter(), &table)?;
    let row_key = row_key(&table, &columns);
    Ok(PlannedTable {
        facts: table,
        columns,
        row_key,
        filter,
        split,
    })
}

/// The form of every column in the chunk, or all refusals at once.
pub(crate) fn mapped_columns(
    dialect: Dialect,
    table: &TableFacts,
    request: &ExtractionRequest,
    asked: &RequestedTable,
) -> Result<Vec<ColumnMapping>> {
    let mapping = MappingOptions {
        dialect,
        on_lossy: request.on_lossy,
        overrides: &asked.overrides,
        columns: asked.columns.as_deref(),
        exclude: &asked.exclude_columns,
    };
    map_table(&table.name, &table.columns, &mapping).map_err(|refusals| all_refusals(table, refusals))
}

/// Free SQL and the typed condition, both where both are given.
pub(crate) fn filter_sql(dialect: Dialect, table: &TableFacts, asked: &RequestedTable) -> Result<Option<String>> {
    let condition = asked.condition.as_ref();
    let condition = condition.map(|c| condition_sql(c, table, dialect)).transpose()?;
    Ok(match (&asked.filter, condition) {
        (Some(filter), Some(condition)) => Some(format!("({filter}\n) AND {condition}")),
        (filter, condition) => condition.or_else(|| filter.clone()),
    })
}

async fn split(
    source: &dyn Source,
    table: &TableFacts,
    relation: &Relation,
    filter: Option<&str>,
    options: PlanOptions,
    snapshot: Option<&SnapshotToken>,
) -> Result<Split> {
    let mut planner = sqlextract_planning::Planner::new(table, source.dialect(), options)?;
    loop {
        let questions = planner.questions();
        if questions.is_empty() {
            return planner.finish();
        }
        let probes: Vec<Probe> = questions.into_iter().map(probe).collect();
        let answers = source
            .probe(relation, filter, &probes, snapshot)
            .await
            .map_err(|f| f.table(&table.name))?;
        planner.answer(answers.into_iter().map(answer).collect())?;
    }
}

fn probe(question: Question) -> Probe {
    match question {
        Question::Bounds { columns } => Probe::Bounds { columns },
        Question::NextKey { within, at_least } => Probe::NextKey { within, at_least },
        Question::EstimateRows { range } => Probe::EstimateRows { range },
        Question::Explain { range } => Probe::Explain { range },
    }
}

fn answer(answer: ProbeAnswer) -> Answer {
    match answer {
        ProbeAnswer::Bounds(bounds) => Answer::Bounds(bounds),
        ProbeAnswer::NextKey(key) => Answer::NextKey(key),
        ProbeAnswer::Rows(rows) => Answer::Rows(rows),
        ProbeAnswer::Explain(step) => Answer::Explain(step),
    }
}

async fn inspect_one(source: &dyn Source, to_plan: &TableToPlan<'_>) -> Result<SourceFacts> {
    let asked = &to_plan.record.request.tables[to_plan.table.selected_by];
    let selection = match &asked.selection {
        query @ Selection::Query { .. } => query.clone(),
        Selection::Table { .. } | Selection::Schema(_) => Selection::Table {
            schema: Some(to_plan.table.name.schema.clone()),
            name: to_plan.table.name.name.clone(),
        },
    };
    source.inspect(&[selection]).await
}

async fn store_pages(records: &JobRecords, plan: PlanId, split: &Split) -> Result<Vec<PlanPage>> {
    let mut pages = Vec::new();
    let mut page: Vec<Batch> = Vec::new();
    let mut batches = split.iter().peekable();
    while let Some(batch) = batches.next() {
        page.push(batch);
        if page.len() == PAGE_BATCHES || batches.peek().is_none() {
            let number =
                u32::try_from(pages.len()).map_err(|e| Failure::new(Code::Defect, "too many plan pages").because(e))?;
            let sha256 = records.create_plan_page(plan, number, &page).await?;
            crash_point("after_plan_page");
            let first = page.first().map_or(BatchIndex(0), |b| b.index);
            pages.push(PlanPage {
                first,
                batches: page.len() as u64,
                sha256,
            });
            page.clear();
        }
    }
    Ok(pages)
}

fn table_plan(
    to_plan: &TableToPlan<'_>,
    planned: PlannedTable,
    plan_id: PlanId,
    pages: Vec<PlanPage>,
    shared_snapshot: bool,
) -> TablePlan {
    let request = &to_plan.record.request;
    let format: FileFormat = request.format;
    TablePlan {
        version: 1,
        job: to_plan.record.job.clone(),
        table: to_plan.table.name.clone(),
        segment: to_plan.table.segment.clone(),
        generation: to_plan.generation,
        epoch: to_plan.epoch.epoch,
        plan_id,
        source: to_plan.record.source.clone(),
        relation: to_plan.table.relation.clone(),
        filter: planned.filter,
        columns: planned.columns,
        row_key: planned.row_key,
        rung: planned.split.rung,
        reason: planned.split.reason.clone(),
        batches: planned.split.batches,
        estimated_rows: planned.split.estimated_rows,
        estimated_bytes: planned.split.estimated_bytes,
        pages,
        format,
        chunk_bytes: to_plan.chunk_bytes,
        consistency: if shared_snapshot {
            Consistency::Snapshot
        } else {
            Consistency::Batch
        },
        evidence: to_plan.epoch.evidence.clone(),
        logged: planned.facts.logged,
    }
}

/// The columns that name a row in an error: the best key whose columns are all selected.
fn row_key(table: &TableFacts, columns: &[ColumnMapping]) -> Vec<KeyColumn> {
    let selected = |key: &&sqlextract_model::KeyFacts| {
        key.unique && key.columns.iter().all(|c| columns.iter().any(|m| m.name == c.name))
    };
    table
        .keys
        .iter()
        .find(selected)
        .map(|key| key.columns.clone())
        .unwrap_or_default()
}

fn relation_of(table: &TableFacts, selection: &Selection) -> Relation {
    match selection {
        Selection::Query { sql, .. } => Relation::Query(sql.clone()),
        Selection::Table { .. } | Selection::Schema(_) => Relation::Table(table.name.clone()),
    }
}

/// One failure that carries every refusal, so that a person mends them all at once.
fn all_refusals(table: &TableFacts, mut refusals: Vec<Failure>) -> Failure {
    if refusals.len() == 1 {
        return refusals.remove(0).table(&table.name);
    }
    let code = refusals.first().map_or(Code::TypeUnsupported, |f| f.code);
    let message = format!(
        "{} columns of {} cannot be extracted as asked",
        refusals.len(),
        table.name
    );
    let failure = Failure::new(code, message).table(&table.name);
    let remedies: Vec<&str> = refusals.iter().map(Failure::action).collect();
    let remedy = remedies.join(" ");
    refusals
        .iter()
        .fold(failure, |f, refusal| f.because(refusal))
        .remedy(remedy)
}
