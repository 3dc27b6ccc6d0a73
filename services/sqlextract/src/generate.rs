//! `generate-ingest`: the script of a finished extraction, from its manifest alone.

use sqlextract_ingest_sql::{ScriptOptions, supports};
use sqlextract_model::{Code, Failure, Result};
use sqlextract_scripter::render_script;

use crate::args::{GenerateArgs, parse_target};
use crate::finished::FinishedJob;
use crate::settings::SettingsFile;

/// Answers with the script, or `None` where it was written to a file.
pub(crate) async fn run(args: &GenerateArgs, file: &SettingsFile) -> Result<Option<String>> {
    let target = parse_target(&args.target).map_err(|e| Failure::new(Code::UsageInvalid, format!("--target: {e}")))?;
    supports(target.platform)?;
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
    let script = render_script(&job.records, &target, &ScriptOptions::new(&*job.location)).await?;
    match &args.output_file {
        None => Ok(Some(script)),
        Some(path) => {
            std::fs::write(path, script).map_err(|e| {
                Failure::new(Code::StorageRejected, format!("{} cannot be written", path.display())).because(e)
            })?;
            Ok(None)
        }
    }
}
