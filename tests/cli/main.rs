//! The real program, run as a person runs it.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod batch;
mod browser;
mod chat;
mod check;
mod contestants;
mod eval;
mod judgments;
mod mistakes;
mod models;
mod quality;
mod report;
mod resume;
mod serve;
mod server;
mod tiny;
mod verbs;
mod workflows;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A temporary copy of the scripted recipe, with a cache of its own.
struct Workplace {
    directory: tempfile::TempDir,
}

impl Workplace {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&project.join("eval_sets"), &directory.path().join("eval_sets"));
        let recipes = directory.path().join("recipes");
        copy(&project.join("recipes/scripted"), &recipes.join("scripted"));
        copy(&project.join("recipes/quickstart"), &recipes.join("quickstart"));
        for recipe in ["scripted.toml", "quickstart.toml"] {
            fs::copy(project.join("recipes").join(recipe), recipes.join(recipe)).unwrap();
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Changes one place in a file.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {name}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    /// Changes every place in a file.
    fn edit_all(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spyhop"));
        command
            .args(args)
            .current_dir(self.directory.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("NO_COLOR", "1");
        command
    }

    /// Exit code, stdout and stderr, with the temporary directory's name taken out.
    fn run(&self, args: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            text.replace(&self.directory.path().display().to_string(), "DIR")
        };
        let code = status.code().map_or("killed".to_owned(), |code| code.to_string());
        format!("exit {code}\n--- stdout\n{}--- stderr\n{}", text(&stdout), text(&stderr))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let main = fs::read_to_string(directory.join("main.rs")).unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name}");
    }
}
