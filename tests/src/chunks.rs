//! A job as it lies in its folder, read without our own code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::{Run, python};
use crate::rows::{Rows, from_json};

/// Every file below a folder, relative to it.
pub fn all_files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(folder).expect("it is below the folder");
                found.insert(relative.to_owned());
            }
        }
    }
    found
}

/// A finished job: its manifest and the lines of its pages.
#[derive(Debug)]
pub struct Job {
    pub folder: PathBuf,
    pub manifest: Value,
    pub entries: Vec<Value>,
}

impl Job {
    pub fn of(run: &Run) -> Self {
        let manifest = run.json["manifest"].as_str().unwrap_or_else(|| {
            panic!("the summary names a manifest: {}\n{}", run.stdout, run.stderr);
        });
        Self::at(Path::new(manifest).parent().expect("a manifest is in a folder"))
    }

    /// The job whose files are below this folder.
    pub fn at(folder: &Path) -> Self {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let manifest: Value = serde_json::from_str(&read(&folder.join("manifest.json"))).expect("the manifest is JSON");
        let pages = manifest["pages"].as_array().expect("the manifest has pages");
        let lines = pages.iter().flat_map(|page| {
            let number = page["number"].as_u64().expect("a page has a number");
            let text = read(&folder.join(format!("manifest/page-{number:05}.jsonl")));
            text.lines()
                .map(|line| serde_json::from_str(line).expect("a page's line is JSON"))
                .collect::<Vec<Value>>()
        });
        let entries = lines.collect();
        Self {
            folder: folder.to_owned(),
            manifest,
            entries,
        }
    }

    /// The manifest's head of a table, by its bare name.
    pub fn table(&self, name: &str) -> &Value {
        let tables = self.manifest["tables"].as_array().expect("the manifest has tables");
        let found = tables.iter().find(|t| t["table"]["name"] == name);
        found.unwrap_or_else(|| panic!("the manifest has no table {name}"))
    }

    fn keys(&self, table: Option<&str>) -> Vec<String> {
        let mine = |entry: &&Value| table.is_none_or(|name| entry["table"]["name"] == name);
        let chunks = self
            .entries
            .iter()
            .filter(mine)
            .flat_map(|e| e["chunks"].as_array().into_iter().flatten());
        chunks
            .map(|c| c["key"].as_str().expect("a chunk has a key").to_owned())
            .collect()
    }

    /// The paths of a table's chunks, as the manifest names them.
    pub fn chunks(&self, table: &str) -> Vec<PathBuf> {
        self.keys(Some(table)).iter().map(|key| self.folder.join(key)).collect()
    }

    /// What the manifest tells of the source's load is that of the attempts that count, and of no other.
    pub fn accounts_for_its_source(&self) -> &Self {
        let commits = self.folder.join("commits");
        let told: Vec<Value> = all_files(&commits)
            .iter()
            .map(|file| {
                let text = std::fs::read_to_string(commits.join(file)).expect("a commit record can be read");
                let record: Value = serde_json::from_str(&text).expect("a commit record is JSON");
                record["load"].clone()
            })
            .collect();
        assert_eq!(told.len(), self.entries.len(), "one commit record per batch");
        let load = &self.manifest["source_load"];
        let figures = |name: &str| -> Vec<u64> { told.iter().filter_map(|read| read[name].as_u64()).collect() };
        assert_eq!(
            load["wire_bytes"],
            figures("wire_bytes").iter().sum::<u64>(),
            "{told:?}"
        );
        for (whole, part) in [
            ("longest_statement_ms", "statement_ms"),
            ("longest_transaction_ms", "transaction_ms"),
            ("peak_connections", "connections"),
        ] {
            assert_eq!(
                load[whole].as_u64(),
                figures(part).into_iter().max(),
                "{whole} of {told:?}"
            );
        }
        self
    }

    /// What must hold of every finished job: no batch twice, each batch of each plan there, and below `data/`
    /// exactly what the manifest names, with the sizes that it gives.
    #[track_caller]
    pub fn is_sound(&self) -> &Self {
        let mut batches = BTreeSet::new();
        for entry in &self.entries {
            let batch = (entry["table"].to_string(), entry["batch"].as_u64());
            assert!(batches.insert(batch), "a batch is twice in the manifest: {entry}");
            for chunk in entry["chunks"].as_array().expect("a batch has chunks") {
                let path = self.folder.join(chunk["key"].as_str().expect("a chunk has a key"));
                let bytes = std::fs::metadata(&path).map(|m| m.len()).ok();
                assert_eq!(bytes, chunk["bytes"].as_u64(), "size of {}", path.display());
            }
        }
        let named: BTreeSet<PathBuf> = self.keys(None).iter().map(PathBuf::from).collect();
        let data = all_files(&self.folder.join("data"));
        let there: BTreeSet<PathBuf> = data.iter().map(|path| Path::new("data").join(path)).collect();
        assert_eq!(there, named, "what is below data/, and what the manifest names");
        for table in self.manifest["tables"].as_array().expect("the manifest has tables") {
            let mine = self.entries.iter().filter(|e| e["table"] == table["table"]);
            let rows: u64 = mine.clone().map(|e| e["rows"].as_u64().unwrap_or_default()).sum();
            assert_eq!(
                Some(rows),
                table["totals"]["rows"].as_u64(),
                "rows of {}",
                table["table"]
            );
            let planned = table["totals"]["batches"].as_u64();
            assert_eq!(Some(mine.count() as u64), planned, "batches of {}", table["table"]);
        }
        self
    }

    /// A query over a table's chunks by DuckDB, where they are the view `chunks`. Cells of CSV are all text.
    pub fn query(&self, table: &str, sql: &str) -> Rows {
        let input = json!({"files": self.chunks(table), "format": self.manifest["format"]["format"], "sql": sql});
        from_json(&python("chunks.py", &input))
    }

    /// DuckDB and pyarrow read the same cells from a table's chunks, each of them; answers with the rows.
    pub fn readers_agree(&self, table: &str) -> u64 {
        let input = json!({"files": self.chunks(table), "format": self.manifest["format"]["format"]});
        let rows = python("agree.py", &input);
        rows.as_u64().expect("the readers count rows")
    }
}
