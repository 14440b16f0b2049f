//! Tells the program which commit it was built from.
use std::process::Command;

fn main() {
    let describe = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let commit = describe
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or("unknown".to_owned(), |commit| commit.trim().to_owned());
    println!("cargo::rustc-env=SPYHOP_COMMIT={commit}");
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/index");
    println!("cargo::rerun-if-changed=src");
}
