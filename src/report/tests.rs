//! The whole report, over fabricated runs.
use std::fs;

use super::{
    build,
    fabricated::{self, Kind, contents},
    table, win_rates,
};

#[test]
fn the_table_fits_a_terminal() {
    let run = fabricated::run(Kind::default());
    let table = table(&win_rates(run.path()).unwrap());
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    insta::assert_snapshot!(table, @"");
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let run = fabricated::run(Kind::default());
    let written = build(run.path()).unwrap();
    let report = run.path().join("report");
    let first = contents(&report);
    assert_eq!(written.len(), first.len());
    build(run.path()).unwrap();
    assert_eq!(contents(&report), first);
    if let Ok(to) = std::env::var("SPYHOP_LOOK") {
        fs::create_dir_all(&to).unwrap();
        for (name, content) in first {
            fs::write(std::path::Path::new(&to).join(name), content).unwrap();
        }
    }
}
