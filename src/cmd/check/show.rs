//! What became of the checks, for people, files and the system that runs them.
use std::{fs, io::Write, path::Path};

use anyhow::Context;
use serde_json::json;
use spyhop::{
    gate::{
        Outcome, Verdict,
        output::{Made, gitlab, junit, markdown},
    },
    store::write_atomic,
};

use super::CheckArgs;
use crate::cmd::{
    output::{Format, Row, print_csv, table},
    print, say,
};

pub(super) fn show(args: &CheckArgs, made: &[Made]) -> anyhow::Result<()> {
    let write = |path: &Path, text: &str| {
        write_atomic(&std::path::absolute(path)?, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(path) = &args.junit {
        write(path, &junit(made)?)?;
    }
    if let Some(path) = &args.markdown {
        write(path, &markdown(made))?;
    }
    if let Some(path) = &args.gitlab {
        write(path, &gitlab(made, &args.config.display().to_string()))?;
    }
    match args.format {
        Format::Table => print(&as_table(made))?,
        Format::Json => print(&serde_json::to_string_pretty(&outcomes(made))?)?,
        Format::Csv => print_csv(&rows(made))?,
    }
    if std::env::var_os("GITHUB_ACTIONS").is_some() {
        github(made)?;
    }
    for one in made {
        match one {
            Ok((outcome, _)) => {
                say(&format!("{}: {}", outcome.check, outcome.verdict.words()));
                outcome.reasons.iter().for_each(|reason| say(&format!("  {reason}")));
            }
            Err(failed) => say(&format!("error: {}: {}", failed.check, failed.error)),
        }
    }
    Ok(())
}

/// Annotations, and the summary of the job.
fn github(made: &[Made]) -> anyhow::Result<()> {
    for one in made {
        let (level, check, text) = match one {
            Err(failed) => ("error", &failed.check, failed.error.clone()),
            Ok((outcome, _)) => {
                let level = match outcome.verdict {
                    Verdict::Better | Verdict::NoWorse => "notice",
                    Verdict::Regressed => "error",
                    Verdict::Inconclusive => "warning",
                };
                let words = outcome.verdict.words();
                (level, &outcome.check, format!("{words}: {}", outcome.reasons.join("; ")))
            }
        };
        // GitHub's escapes of a workflow command.
        let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        say(&format!("::{level} title=spyhop check {check}::{text}"));
    }
    let Some(summary) = std::env::var_os("GITHUB_STEP_SUMMARY") else { return Ok(()) };
    let path = Path::new(&summary);
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("cannot write the job's summary {}", path.display()))?;
    file.write_all(markdown(made).as_bytes())?;
    Ok(())
}

fn as_table(made: &[Made]) -> String {
    let header = ["check", "comparison", "n", "points", "95%", ""];
    let mut lines = vec![header.map(str::to_owned).to_vec()];
    for one in made {
        let outcome = match one {
            Ok((outcome, _)) => outcome,
            Err(failed) => {
                let line = [&failed.check, "", "", "", "", "error"].map(str::to_owned);
                lines.push(line.to_vec());
                continue;
            }
        };
        for (place, part) in outcome.parts.iter().enumerate() {
            let (points, range) = part.difference.map_or(Default::default(), |found| {
                let range = format!("[{:+.1}, {:+.1}]", found.lower, found.upper);
                (format!("{:+.1}", found.point), range)
            });
            lines.push(vec![
                if place == 0 { outcome.check.clone() } else { String::new() },
                part.what.words(),
                part.difference.map_or(0, |found| found.n).to_string(),
                points,
                range,
                serde_json::to_value(part.gate)
                    .ok()
                    .and_then(|gate| Some(gate.as_str()?.replace('_', " ")))
                    .unwrap_or_default(),
            ]);
        }
    }
    table(&lines)
}

fn outcomes(made: &[Made]) -> Vec<serde_json::Value> {
    let one = |one: &Made| match one {
        Ok((outcome, _)) => json!(outcome),
        Err(failed) => {
            json!({"check": failed.check, "verdict": "error", "reasons": [failed.error]})
        }
    };
    made.iter().map(one).collect()
}

fn rows(made: &[Made]) -> Vec<Row> {
    let mut rows = Vec::new();
    let row =
        |check: &str, verdict: &str, what: &str, outcome: Option<&Outcome>, part: usize| -> Row {
            let found = outcome.and_then(|outcome| outcome.parts[part].difference);
            vec![
                ("check", json!(check)),
                ("verdict", json!(verdict)),
                ("comparison", json!(what)),
                ("n", json!(found.map(|found| found.n))),
                ("points", json!(found.map(|found| found.point))),
                ("low", json!(found.map(|found| found.lower))),
                ("high", json!(found.map(|found| found.upper))),
                ("gate", json!(outcome.map(|outcome| outcome.parts[part].gate))),
            ]
        };
    for one in made {
        match one {
            Err(failed) => rows.push(row(&failed.check, "error", "", None, 0)),
            Ok((outcome, _)) => rows.extend((0..outcome.parts.len()).map(|part| {
                let what = outcome.parts[part].what.words();
                row(&outcome.check, outcome.verdict.words(), &what, Some(outcome), part)
            })),
        }
    }
    rows
}
