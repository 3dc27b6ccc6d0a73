//! The nouns of sqlextract.
//!
//! Everything here is data with its rules: no I/O, no clock, no environment, no async. A word means one thing in
//! the whole project; `ARCHITECTURE.md` has the glossary.

mod catalogue;
mod column;
mod commit;
mod condition;
mod digest;
mod failure;
mod format;
mod id;
mod incoming;
mod key;
mod load;
mod manifest;
mod message;
mod name;
mod object_key;
mod part;
mod plan;
mod request;
mod size;
mod snapshot;
mod strain;

pub use catalogue::{BlockLeaf, KeyFacts, SourceFacts, SourceIdentity, TableFacts, TableKind};
pub use column::{Cast, ChunkType, ColumnMapping, Lossy, SourceColumn, TimestampUnit, TypeClass, Wire};
pub use commit::{ChunkRecord, ColumnAggregate, CommitRecord};
pub use condition::{AndCondition, Comparison, Condition, NotCondition, Operand, Operator, OrCondition, Value};
pub use digest::{Digest, canonical_hash};
pub use failure::{Blame, Class, Code, Failure, Result};
pub use format::{AskedFormat, Compression, Dialect, FileFormat, Format, ParquetVersion, Platform, ScriptLanguage};
pub use id::{AttemptId, BatchIndex, Epoch, Generation, JobId, PlanId};
pub use incoming::{
    Incoming, JobLimits, LONGEST_REQUEST_BYTES, Order, OrderData, RequestData, Sender, TableRequest, Unreadable,
};
pub use key::{KeyColumn, KeyKind, KeyRange, KeyValue};
pub use load::{ReadLoad, ReadLoads, SourceCounters, SourceLoad};
pub use manifest::{Manifest, ManifestEntry, ManifestPage, ManifestTable, Outcome, Totals};
pub use message::{BatchMessage, Event, EventData, EventKind, JobProgress, TickMessage};
pub use name::{TableName, TableSegment, segments};
pub use object_key::ObjectKey;
pub use part::{PartPath, PartRecord};
pub use plan::{Batch, BlockRange, PlanPage, Range, Rung, TablePlan};
pub use request::{
    ColumnOverride, Consistency, EpochRecord, ExtractionRequest, JobRecord, JobTable, OnLossy, OnSnapshotLost, Origin,
    OverrideType, Relation, RequestedTable, Selection, Target,
};
pub use size::{ByteSize, parse_duration};
pub use snapshot::{SnapshotEvidence, SnapshotToken};
pub use strain::Strain;
