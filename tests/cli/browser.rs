//! The pages in a real browser, by `tests/browser/pages.js`, where there is one.
use std::{fs, path::Path, process::Command};

use super::Workplace;

/// Why the pages cannot be opened here.
fn missing(modules: &Path) -> Option<&'static str> {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    if !runs("node") {
        Some("node is not installed")
    } else if !runs(&chromium) {
        Some("there is no Chromium, and CHROMIUM names none")
    } else if !["playwright-core", "axe-core"].iter().all(|name| modules.join(name).is_dir()) {
        Some("npm ci was not run in tests/browser")
    } else {
        None
    }
}

const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- <style>* { display: none }</style> \u{202E}turned\u{202C} \u{0}\u{1b}[31m";

#[test]
fn report_and_rating_in_a_browser() {
    let browser = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    if let Some(why) = missing(&browser.join("node_modules")) {
        return eprintln!("skipped: {why}; see CONTRIBUTING.md");
    }
    let workplace = Workplace::new();
    assert!(workplace.run(&["run", "recipes/scripted.toml", "--out", "run"]).starts_with("exit 0"));
    // What a model could write to break the page.
    let answers = workplace.path("run/M2/completions.jsonl");
    let text = fs::read_to_string(&answers).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let mut row: serde_json::Value = serde_json::from_str(first).unwrap();
    row["output"] = HOSTILE.into();
    fs::write(&answers, format!("{row}\n{rest}")).unwrap();
    assert!(workplace.run(&["report", "run"]).starts_with("exit 0"));
    let output = Command::new("node")
        .arg(browser.join("pages.js"))
        .arg(env!("CARGO_BIN_EXE_spyhop"))
        .arg(workplace.path("run"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
