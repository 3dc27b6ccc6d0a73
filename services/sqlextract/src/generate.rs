//! `generate-ingest`: the script of a finished extraction, from its manifest alone.

use sqlextract_ingest_sql::{ScriptOptions, TargetOptions};
use sqlextract_model::{ByteSize, Code, Failure, Platform, Result};
use sqlextract_scripter::render_script;

use crate::args::{GenerateArgs, parse_target};
use crate::finished::FinishedJob;
use crate::settings::SettingsFile;
use crate::view;

/// Sessions of `--parallel-load`, where no number is given.
const SESSIONS: u16 = 4;

/// Answers with the script, or `None` where it was written to a file.
pub(crate) async fn run(args: &GenerateArgs, file: &SettingsFile) -> Result<Option<String>> {
    let target = parse_target(&args.target).map_err(|e| Failure::new(Code::UsageInvalid, format!("--target: {e}")))?;
    let options = options(args, file, target.platform)?;
    let job = FinishedJob::open(&args.job, file).await?;
    let format = job.manifest.format.format;
    if let Some(asked) = args.format.filter(|asked| *asked != format) {
        return Err(Failure::new(
            Code::UsageInvalid,
            format!("the chunks of {} are {format}, not {asked}", job.manifest.job),
        )
        .remedy(format!(
            "Leave `--format` out, or extract again with `--format {asked}`."
        )));
    }
    let script = render_script(&job.records, &target, &ScriptOptions::of(&*job.location, options)).await?;
    for what in &script.fill_in {
        view::write_line(&format!("fill in before it runs: {what}"));
    }
    for note in &script.notes {
        view::write_line(&format!("note: {note}"));
    }
    match &args.output_file {
        None => Ok(Some(script.text)),
        Some(path) => {
            std::fs::write(path, script.text).map_err(|e| {
                Failure::new(Code::StorageRejected, format!("{} cannot be written", path.display())).because(e)
            })?;
            Ok(None)
        }
    }
}

/// The settings of the target, under the flags.
fn options(args: &GenerateArgs, file: &SettingsFile, platform: Platform) -> Result<TargetOptions> {
    let mut options = with_settings(file.target(platform), &args.set)?;
    let sessions = args.parallel_load.then_some(SESSIONS);
    options.parallel = args.parallel.or(options.parallel).or(sessions);
    if let Some(ByteSize(bytes)) = args.chunk_size {
        options.chunk_size = Some(format!("{bytes}B"));
    }
    options.check(platform)?;
    Ok(options)
}

/// Each KEY=VALUE over the settings; a value is TOML, or else the text itself, and a list may be written with commas.
fn with_settings(options: TargetOptions, pairs: &[String]) -> Result<TargetOptions> {
    if pairs.is_empty() {
        return Ok(options);
    }
    let invalid = |what: String| {
        Failure::new(Code::UsageInvalid, what).remedy(
            "Write `--set KEY=VALUE` with a key of `[scripter.targets.NAME]`; config/reference.toml has them all.",
        )
    };
    let mut table = toml::Table::try_from(options).map_err(|e| invalid(format!("--set: {e}")))?;
    for pair in pairs {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| invalid(format!("--set {pair}: expected KEY=VALUE")))?;
        let text = || toml::Value::String(value.to_owned());
        let value = match toml::from_str::<toml::Table>(&format!("value = {value}")) {
            Ok(mut parsed) => parsed.remove("value").unwrap_or_else(text),
            Err(_) if key == "key" => value
                .split(',')
                .map(|part| part.trim().to_owned())
                .collect::<Vec<_>>()
                .into(),
            Err(_) => text(),
        };
        table.insert(key.to_owned(), value);
    }
    table
        .try_into()
        .map_err(|e: toml::de::Error| invalid(format!("--set: {}", e.message())))
}

#[cfg(test)]
mod tests {
    use sqlextract_ingest_sql::{Case, Mode, OnError};

    use super::*;

    #[test]
    fn settings_are_overridden_one_by_one() {
        let file = TargetOptions {
            stage: Some("A".to_owned()),
            warehouse: Some("W".to_owned()),
            ..TargetOptions::default()
        };
        let set = |pairs: &[&str]| {
            let pairs: Vec<String> = pairs.iter().map(|p| (*p).to_owned()).collect();
            with_settings(file.clone(), &pairs)
        };
        let made = set(&[
            "stage=RAW.LANDING",
            "mode=merge",
            "key=id, line",
            "add_columns=true",
            "parallel=3",
        ])
        .unwrap();
        assert_eq!(made.stage.as_deref(), Some("RAW.LANDING"));
        assert_eq!(made.warehouse.as_deref(), Some("W"));
        assert_eq!(made.key, ["id", "line"]);
        assert_eq!((made.add_columns, made.parallel), (true, Some(3)));
        assert_eq!(set(&[]).unwrap(), file);
        for wrong in ["stages=x", "mode=both", "parallel=many", "stage"] {
            assert_eq!(set(&[wrong]).unwrap_err().code, Code::UsageInvalid, "{wrong}");
        }
    }

    #[test]
    fn the_reference_has_every_key_of_a_target() {
        let text = || Some("x".to_owned());
        let all = TargetOptions {
            url: text(),
            database: text(),
            schema: text(),
            tables: std::iter::once(("a".to_owned(), "b".to_owned())).collect(),
            case: Some(Case::Keep),
            mode: Mode::Merge,
            key: vec!["id".to_owned()],
            keys: std::iter::once(("a".to_owned(), vec!["id".to_owned()])).collect(),
            on_error: OnError::Skip,
            add_columns: true,
            warehouse: text(),
            stage: text(),
            storage_integration: text(),
            connection: text(),
            credential: text(),
            data_source: text(),
            parallel: Some(2),
            chunk_size: text(),
        };
        let reference = include_str!("../../../config/reference.toml");
        let section = reference.split("[scripter.targets.").nth(1).unwrap();
        for key in toml::Table::try_from(all).unwrap().keys() {
            let listed = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} = "));
            assert!(section.lines().any(listed), "{key} is not in the reference");
        }
    }
}
