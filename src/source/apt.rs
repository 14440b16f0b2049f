//! `apt:` places: files inside a Debian package. Nothing is installed, no rights are needed, and the
//! machine's own package lists stay as they are.
use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{
    cache::{self, Brought, Entry, Expected, Whole},
    client::{Call, Outcome, last_words},
    pattern::{Links, Pattern, walk},
};
use crate::watch::{Event, Watch};

/// Downloads the package and unpacks what is wanted of it.
pub(super) fn bring(
    package: &str,
    pattern: &Pattern,
    apt_get: &[String],
    dpkg_deb: &[String],
    entry: &Entry,
    watch: Watch,
) -> anyhow::Result<Brought> {
    let work = entry.work()?;
    let deb = download(package, apt_get, work.path(), watch)?;
    let deb_name = deb.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unpacked = work.path().join("unpacked");
    let arguments = ["-x".to_owned(), deb.display().to_string(), unpacked.display().to_string()];
    let what = format!("unpacking {deb_name}");
    let call =
        Call { command: dpkg_deb, arguments: &arguments, directory: work.path(), what: &what };
    match call.run(watch)? {
        Outcome::Done => {}
        Outcome::Missing => anyhow::bail!(
            "{} is missing: install the package dpkg, or name another place in `from`",
            dpkg_deb.join(" ")
        ),
        Outcome::Failed(words) => anyhow::bail!("cannot unpack {deb_name}: {words}"),
    }
    let names = pattern.select(walk(&unpacked, Links::Skip)?, &deb_name)?;
    let files = entry.empty_files()?;
    for name in &names {
        let target = files.join(name);
        let keep = || {
            fs::create_dir_all(target.parent().unwrap_or(&files))?;
            fs::rename(unpacked.join(name), &target)
        };
        keep().with_context(|| format!("cannot keep {name} of {deb_name}"))?;
    }
    let whole = if pattern.literal().is_some() { Whole::File } else { cache::archive(&deb)? };
    let files = names.into_iter().map(|name| Expected { name, sha256: None }).collect();
    Ok(Brought { from: format!("{} ({deb_name})", entry.place()), root: None, files, whole })
}

/// Tries the machine's package lists first: fetching new ones takes longer than most packages.
fn download(
    package: &str,
    apt_get: &[String],
    work: &Path,
    watch: Watch,
) -> anyhow::Result<PathBuf> {
    const ADVICE: &str = "apt-get reads the machine's sources.list and Acquire::http::Proxy; on a machine without network, name another place in `from`, such as file:";
    let what = format!("downloading {package}");
    let run = |what: &str, arguments: Vec<String>| {
        Call { command: apt_get, arguments: &arguments, directory: work, what }.run(watch)
    };
    let make = || -> std::io::Result<()> {
        for directory in ["cache/archives/partial", "state/lists/partial"] {
            fs::create_dir_all(work.join(directory))?;
        }
        fs::write(work.join("apt.conf"), CONFIGURATION)
    };
    make().with_context(|| format!("cannot prepare {}", work.display()))?;
    match run(&what, arguments(work, Lists::Machine, &["download", package]))? {
        Outcome::Done => return found(package, work),
        Outcome::Missing => anyhow::bail!(
            "{} is missing: this kind of place needs Debian, Ubuntu or a relative; name another place in `from`",
            apt_get.join(" ")
        ),
        Outcome::Failed(_) => watch(Event::Say(format!(
            "this machine's package lists do not lead to {package}: fetching new ones, which are not kept"
        ))),
    }
    run("fetching package lists", arguments(work, Lists::Private, &["update"]))?;
    // apt-get ends an update well even when no list came; what it said is kept for the error below.
    let update = fs::read(work.join("client.err")).unwrap_or_default();
    match run(&what, arguments(work, Lists::Private, &["download", package]))? {
        Outcome::Done => found(package, work),
        Outcome::Missing => anyhow::bail!("{} has vanished", apt_get.join(" ")),
        Outcome::Failed(words) => {
            let update = last_words(&String::from_utf8_lossy(&update));
            let update =
                if update.is_empty() { update } else { format!("; the update said: {update}") };
            anyhow::bail!("{words}{update} ({ADVICE})")
        }
    }
}

fn found(package: &str, work: &Path) -> anyhow::Result<PathBuf> {
    cache::only_file(work, "deb").with_context(|| format!("apt-get left no package {package}"))
}

/// Whose package lists apt-get reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lists {
    Machine,
    Private,
}

/// Hooks that the machine runs after an update are for the machine's own lists.
const CONFIGURATION: &str = "\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
";

fn arguments(work: &Path, lists: Lists, verb: &[&str]) -> Vec<String> {
    let inside = |name: &str| work.join(name).display().to_string();
    let mut options = vec![
        "Debug::NoLocking=1".to_owned(),
        // As root, apt-get would download as a user who may not write here.
        "APT::Sandbox::User=root".to_owned(),
        "Acquire::Retries=3".to_owned(),
        "Acquire::http::Timeout=30".to_owned(),
        "Acquire::https::Timeout=30".to_owned(),
        format!("Dir::Cache={}", inside("cache")),
    ];
    if lists == Lists::Private {
        options.extend([
            format!("Dir::State={}", inside("state")),
            format!("Dir::State::Lists={}", inside("state/lists")),
            // Descriptions, sources and the like: more bytes than the package names themselves.
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled=false".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false".to_owned(),
        ]);
    }
    let options = options.into_iter().flat_map(|option| ["-o".to_owned(), option]);
    let first = ["-q".to_owned(), format!("--config-file={}", inside("apt.conf"))];
    first.into_iter().chain(options).chain(verb.iter().map(|word| word.to_string())).collect()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::{
        super::{
            digest, fetch_with,
            tests::{outside, source},
        },
        *,
    };
    use crate::watch::nobody;

    fn shell(script: &str, name: &str) -> Vec<String> {
        ["sh", "-c", script, name].map(str::to_owned).to_vec()
    }

    /// Stands in for apt-get: has lists only after an update into the private directory.
    const APT_GET: &str = "
        case \"$*\" in
            *update) test -d state/lists/partial && touch state/lists/here ;;
            *download*) test -f state/lists/here || { echo 'E: Unable to locate package' >&2; exit 100; }
                echo package > a_1%3a2_all.deb ;;
        esac";

    /// Stands in for dpkg-deb.
    const DPKG_DEB: &str = "
        test \"$1\" = -x && mkdir -p \"$3/usr/share/doc/a/sub\" && cd \"$3/usr/share/doc/a\" &&
        printf abc > index.html && printf abc > sub/b.html && ln -s /etc/passwd link.html";

    #[test]
    fn a_package_is_downloaded_and_unpacked() {
        let cache = tempfile::tempdir().unwrap();
        let mut outside = outside();
        outside.apt_get = shell(APT_GET, "apt-get");
        outside.dpkg_deb = shell(DPKG_DEB, "dpkg-deb");
        let place = "apt:a#usr/share/doc/**/*.html";
        let bring = |outside: &super::super::Outside| {
            fetch_with(&source(&[place], None), Path::new(""), cache.path(), outside, &nobody)
        };
        let fetched = bring(&outside).unwrap();
        assert_eq!(fetched.from, format!("{place} (a_1%3a2_all.deb)"));
        let names = walk(&fetched.root, Links::Follow).unwrap();
        assert_eq!(names.len(), 2, "the link leads out of the package: {names:?}");
        assert!(fetched.files[0].ends_with("files/usr/share/doc/a/index.html"));
        assert!(fetched.files[1].ends_with("files/usr/share/doc/a/sub/b.html"));
        let deb = tempfile::NamedTempFile::new().unwrap();
        fs::write(deb.path(), "package\n").unwrap();
        assert_eq!(fetched.sha256, digest::file(deb.path(), &nobody).unwrap().0);
        assert_eq!(fetched.bytes, 8);
        outside.apt_get = shell("exit 1", "apt-get");
        assert_eq!(bring(&outside).unwrap(), fetched);
    }

    #[test]
    fn what_apt_said_and_what_to_do_is_told() {
        let cache = tempfile::tempdir().unwrap();
        let mut outside = outside();
        outside.apt_get = shell(
            "case \"$*\" in
                *update) echo 'E: Failed to fetch http://deb.debian.org' >&2 ;;
                *) echo 'E: Unable to locate package a' >&2; exit 100 ;;
            esac",
            "apt-get",
        );
        let source = source(&["apt:a#**"], None);
        let error = fetch_with(&source, Path::new(""), cache.path(), &outside, &nobody);
        let error = format!("{:#}", error.unwrap_err());
        let expected = "E: Unable to locate package a; the update said: E: Failed to fetch http://deb.debian.org (apt-get reads";
        assert!(error.contains(expected), "{error}");
    }
}
