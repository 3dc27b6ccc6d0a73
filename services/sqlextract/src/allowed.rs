//! From settings to what requests may ask for.

use sqlextract_model::{Platform, Result};
use sqlextract_planner::{AllowedRequests, SourceRules, TablePattern};

use crate::request::DEFAULT_CHUNK_BYTES;
use crate::service_settings::config;
use crate::settings::SettingsFile;

pub(crate) fn requests(file: &SettingsFile) -> Result<AllowedRequests> {
    let mut allowed = AllowedRequests {
        destinations: file.destinations.keys().cloned().collect(),
        platforms: Platform::ALL.iter().copied().collect(),
        chunk_bytes: file.extract.chunk_size()?.map_or(DEFAULT_CHUNK_BYTES, |size| size.0),
        ..AllowedRequests::default()
    };
    for (name, source) in &file.sources {
        let rules = SourceRules {
            tables: patterns(name, &source.tables)?,
            senders: source.senders.iter().cloned().collect(),
        };
        allowed.sources.insert(name.clone(), rules);
    }
    Ok(allowed)
}

/// The tables of a source that may be asked for.
pub(crate) fn patterns(source: &str, tables: &[String]) -> Result<Vec<TablePattern>> {
    let pattern = |text: &String| {
        TablePattern::parse(text).ok_or_else(|| {
            config(format!("sources.{source}.tables: `{text}` is no pattern"))
                .remedy("Write `schema.table`, `schema.*` or `*`.")
        })
    };
    tables.iter().map(pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_allowed_by_name_and_none_by_default() {
        let file: SettingsFile = toml::from_str("[sources.a]\ntables = [\"public.*\"]\n[sources.b]").unwrap();
        let allowed = requests(&file).unwrap();
        assert_eq!(allowed.sources["a"].tables.len(), 1);
        assert!(allowed.sources["b"].tables.is_empty());
        let file: SettingsFile = toml::from_str("[sources.a]\ntables = [\"orders\"]").unwrap();
        assert!(requests(&file).unwrap_err().message.contains("sources.a.tables"));
    }
}
