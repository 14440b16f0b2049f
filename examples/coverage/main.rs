//! How often intervals hold the truth, and how often tests and gates err: by simulation.
//!
//! `cargo run --release --example coverage` writes the tables of `docs/statistics/coverage.md`;
//! with `-- --print` they go to standard output instead. Every number depends on the seed in its
//! row alone, so a second run gives the same bytes, on however many cores.
mod differences;
mod draw;
mod false_alarms;
mod judges;
mod models;
mod planning;
mod sequential;
mod table;
mod win_rates;

use std::{
    env, fs,
    io::{self, Write},
    path::Path,
};

use anyhow::Context;

const BEGIN: &str = "<!-- BEGIN: coverage -->\n";
const END: &str = "<!-- END: coverage -->\n";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let print = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--print"] => true,
        _ => anyhow::bail!("expected nothing or --print"),
    };
    let tables = tables();
    if print {
        return Ok(io::stdout().write_all(tables.as_bytes())?);
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/statistics/coverage.md");
    let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let (before, rest) =
        text.split_once(BEGIN).context("the page has no line for the beginning")?;
    let (_, after) = rest.split_once(END).context("the page has no line for the end")?;
    fs::write(&page, format!("{before}{BEGIN}{tables}{END}{after}"))?;
    Ok(())
}

fn tables() -> String {
    let sections = [
        win_rates::section(),
        differences::section(),
        judges::section(),
        models::section(),
        sequential::section(),
        false_alarms::section(),
        planning::gates(),
        planning::power(),
    ];
    let command =
        "Written by `cargo run --release --example coverage`; edit the example instead.\n";
    let mut text = String::from(command);
    for section in &sections {
        text += &section.markdown();
    }
    text + &sequential::price()
}
