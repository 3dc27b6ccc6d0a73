//! The ports that services stand on. Services see these; which adapter is behind one is chosen where they are opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlextract_checkpoint::Checkpoint;
use sqlextract_model::{Code, Failure, Result};
use sqlextract_queue::Queue;
use sqlextract_source::Source;
use sqlextract_storage::Storage;

use crate::Surroundings;

/// Queue, checkpoint, the sources and destinations that messages name, and the surroundings.
#[derive(Debug, Clone)]
pub struct Ports {
    pub queue: Arc<dyn Queue>,
    pub checkpoint: Arc<dyn Checkpoint>,
    pub sources: BTreeMap<String, Arc<dyn Source>>,
    pub destinations: BTreeMap<String, Arc<dyn Storage>>,
    pub surroundings: Arc<dyn Surroundings>,
}

impl Ports {
    /// The source of a name from a message; an unknown name is the request's fault.
    pub fn source(&self, name: &str) -> Result<Arc<dyn Source>> {
        let unknown = || {
            Failure::new(
                Code::ConfigInvalid,
                format!("there is no source `{name}` in the settings"),
            )
        };
        self.sources.get(name).cloned().ok_or_else(unknown)
    }

    pub fn destination(&self, name: &str) -> Result<Arc<dyn Storage>> {
        let unknown = || {
            Failure::new(
                Code::ConfigInvalid,
                format!("there is no destination `{name}` in the settings"),
            )
        };
        self.destinations.get(name).cloned().ok_or_else(unknown)
    }
}
