//! Downloads, alternatives and the cache, against a server on this machine.
use std::{fs, path::Path, sync::Mutex, time::Duration};

use super::{
    test_server::{Reply, Request, Server},
    *,
};
use crate::watch::{Event, nobody};

/// Nothing outside: no programs, no hub, and no patience to speak of.
pub(super) fn outside() -> Outside {
    let nothing = || vec!["spyhop-has-no-such-program".to_owned()];
    Outside {
        pip: vec![nothing()],
        apt_get: nothing(),
        dpkg_deb: nothing(),
        hub: snapshot::Hub::from_variables(|_| None),
        patience: server::Patience {
            tries: 3,
            first_wait: Duration::from_millis(1),
            silence: Duration::from_secs(5),
        },
    }
}

pub(super) fn source(from: &[&str], sha256: Option<&str>) -> recipe::Source {
    recipe::Source {
        from: from.iter().map(|text| text.to_string()).collect(),
        sha256: sha256.map(str::to_owned),
    }
}

/// 300,000 bytes: several reads, and no two parts alike.
fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(|number| number.to_le_bytes()[..3].to_vec()).collect()
}

/// Fetches one address into `cache`, with the hash of `content` unless told otherwise.
fn get(cache: &Path, url: &str, sha256: Option<&str>) -> anyhow::Result<Fetched> {
    fetch_with(&source(&[url], sha256), Path::new(""), cache, &outside(), &nobody)
}

fn sha256_of(content: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    digest::file(file.path(), &nobody).unwrap().0
}

fn header(request: &Request, name: &str) -> String {
    request.headers.get(name).cloned().unwrap_or_default()
}

/// Names of all files in a cache, without the directory of the place.
fn names(cache: &Path) -> Vec<String> {
    let mut names = pattern::walk(cache, pattern::Links::Skip).unwrap();
    names.sort();
    names.iter().map(|name| name.splitn(3, '/').nth(2).unwrap().to_owned()).collect()
}

#[test]
fn a_file_is_downloaded_once() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| Reply::file(request, &content(), "1"));
    let url = server.url("/data.bin");
    let events = Mutex::new(Vec::new());
    let watch = |event: Event| events.lock().unwrap().push(event);
    let wanted = source(&[&url], None);
    let first = fetch_with(&wanted, Path::new(""), cache.path(), &outside(), &watch).unwrap();
    assert_eq!(fs::read(&first.files[0]).unwrap(), content());
    assert_eq!(first.files, [first.root.join("data.bin")]);
    assert_eq!((first.from.as_str(), first.bytes), (url.as_str(), 300_000));
    assert_eq!(first.sha256, sha256_of(&content()));
    assert_eq!(names(cache.path()), ["complete.json", "files/data.bin", "lock"]);
    let advanced = |event: &Event| if let Event::Advance(bytes) = event { *bytes } else { 0 };
    let advanced: u64 = events.lock().unwrap().iter().map(advanced).sum();
    assert_eq!(advanced, 600_000, "downloaded, then checked");
    assert_eq!(server.requests().len(), 1);
    drop(server);
    assert_eq!(get(cache.path(), &url, None).unwrap(), first);
    assert_eq!(get(cache.path(), &url, Some(&first.sha256.to_uppercase())).unwrap(), first);
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let cache = tempfile::tempdir().unwrap();
    // More breaks than tries: each of them brings something, so none counts against the next.
    let server = Server::start(|request, _| Reply::file(request, &content(), "1").cut(50_000));
    let fetched = get(cache.path(), &server.url("/f"), None).unwrap();
    assert_eq!(fs::read(&fetched.files[0]).unwrap(), content());
    let ranges: Vec<String> =
        server.requests().iter().map(|request| header(request, "range")).collect();
    assert_eq!(ranges[0], "");
    assert_eq!(ranges[1], "bytes=50000-");
    assert_eq!(ranges.last().unwrap(), "bytes=250000-");
    assert_eq!(header(&server.requests()[1], "if-range"), "\"1\"");
}

#[test]
fn a_broken_download_starts_over_where_it_cannot_go_on() {
    let check = |answer: fn(&Request, usize) -> Reply, second_range: &str| {
        let cache = tempfile::tempdir().unwrap();
        let server = Server::start(move |request, before| match before {
            0 => Reply::file(request, &[1; 90_000], "old").cut(50_000),
            _ => answer(request, before),
        });
        let fetched = get(cache.path(), &server.url("/f"), None).unwrap();
        assert_eq!(fs::read(&fetched.files[0]).unwrap(), content());
        assert_eq!(header(&server.requests()[1], "range"), second_range);
    };
    // The file has changed.
    check(|request, _| Reply::file(request, &content(), "new"), "bytes=50000-");
    // Ranges are not known here.
    check(
        |_, _| {
            let request = Request { line: String::new(), headers: Default::default() };
            Reply::file(&request, &content(), "old")
        },
        "bytes=50000-",
    );
    // Another range than was asked for.
    check(
        |request, before| {
            let reply = Reply::file(request, &content(), "old");
            let wrong = "bytes 60000-299999/300000";
            if before == 1 { reply.header("Content-Range", wrong) } else { reply }
        },
        "bytes=50000-",
    );
    // No range at all.
    check(
        |request, before| match before {
            1 => Reply::status(416),
            _ => Reply::file(request, &content(), "old"),
        },
        "bytes=50000-",
    );
}

#[test]
fn the_download_of_a_killed_process_goes_on() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|request, before| match before {
        0 => Reply::file(request, &content(), "1").cut(100_000),
        1..3 => Reply::status(503),
        _ => Reply::file(request, &content(), "1"),
    });
    let url = server.url("/f");
    let error = format!("{:#}", get(cache.path(), &url, None).unwrap_err());
    assert!(error.contains("gave up after 3 tries") && error.contains("503"), "{error}");
    assert_eq!(names(cache.path()), ["files/f.part", "files/f.part.validator", "lock"]);
    let fetched = get(cache.path(), &url, None).unwrap();
    assert_eq!(fs::read(&fetched.files[0]).unwrap(), content());
    assert_eq!(header(&server.requests()[3], "range"), "bytes=100000-");
    assert_eq!(names(cache.path()), ["complete.json", "files/f", "lock"]);
    // Killed between the last byte and the new name.
    let root = fetched.root.parent().unwrap();
    fs::rename(root.join("files/f"), root.join("files/f.part")).unwrap();
    fs::write(root.join("files/f.part.validator"), "\"1\"").unwrap();
    fs::remove_file(root.join("complete.json")).unwrap();
    assert_eq!(get(cache.path(), &url, None).unwrap(), fetched);
    assert_eq!(header(server.requests().last().unwrap(), "range"), "bytes=300000-");
}

#[test]
fn what_may_pass_is_tried_again_and_what_lasts_is_not() {
    let check = |answer: fn(&Request, usize) -> Reply, expected: &str, requests: usize| {
        let cache = tempfile::tempdir().unwrap();
        let server = Server::start(answer);
        let result = get(cache.path(), &server.url("/f"), None);
        let said = result.map_or_else(|error| format!("{error:#}"), |_| "fetched".into());
        assert!(said.contains(expected), "{said}");
        assert_eq!(server.requests().len(), requests, "{expected}");
        let complete = names(cache.path()).contains(&"complete.json".to_owned());
        assert_eq!(complete, expected == "fetched");
    };
    check(
        |request, before| match before {
            0 => Reply::status(500),
            1 => Reply::status(429),
            _ => Reply::file(request, b"abc", "1"),
        },
        "fetched",
        3,
    );
    check(|_, _| Reply::status(500), "gave up after 3 tries in a row: http://127.0.0.1", 3);
    check(|_, _| Reply::status(404), "404 Not Found; is the address right?", 1);
    check(
        |_, _| Reply::status(302).header("Location", "http://127.0.0.1:1/"),
        "leads away from this machine",
        1,
    );
    // Promises more than it sends, every time: the first try brings bytes, so it does not count.
    let wrong_length = |request: &Request, _| {
        let whole = Request { headers: Default::default(), ..request.clone() };
        Reply::file(&whole, b"abc", "1").header("Content-Length", "5")
    };
    check(wrong_length, "the connection broke after 3 bytes of f", 3);
    // Ends without saying where the end should be.
    check(
        |_, _| Reply { status: 200, body: b"abc".into(), ..Reply::default() },
        "give the source a sha256",
        1,
    );
}

#[test]
fn a_wrong_hash_is_told_and_its_file_deleted() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| Reply::file(request, b"abc", "1"));
    let url = server.url("/f");
    let right = sha256_of(b"abc");
    let wrong = "0".repeat(64);
    for _ in 0..2 {
        let error = format!("{:#}", get(cache.path(), &url, Some(&wrong)).unwrap_err());
        for part in [&url, "f is not the one", &wrong, &right, "deleted", "write the found one"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(names(cache.path()), ["lock"]);
    }
    assert_eq!(get(cache.path(), &url, Some(&right)).unwrap().sha256, right);
    // A recipe that changes its mind fetches again.
    assert!(get(cache.path(), &url, Some(&wrong)).is_err());
    assert!(get(cache.path(), &url, Some("abc")).is_err());
}

#[test]
fn damage_in_the_cache_is_found() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| Reply::file(request, b"abc", "1"));
    let url = server.url("/f");
    let sha256 = sha256_of(b"abc");
    let file = get(cache.path(), &url, None).unwrap().files[0].clone();
    for (damage, given, requests) in [
        (&b"ab"[..], None, 2),
        (b"abd", Some(sha256.as_str()), 3),
        // The same size, and no hash to tell by.
        (b"abd", None, 3),
    ] {
        fs::write(&file, damage).unwrap();
        get(cache.path(), &url, given).unwrap();
        assert_eq!(server.requests().len(), requests);
    }
}

#[test]
fn places_are_tried_in_order_and_all_reasons_told() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    let server = Server::start(|request, _| match request.line.as_str() {
        "GET /good" => Reply::file(request, b"abc", "1"),
        _ => Reply::status(404),
    });
    let (bad, good) = (server.url("/bad"), server.url("/good"));
    let bring = |from: &[&str]| {
        fetch_with(&source(from, None), directory.path(), &cache, &outside(), &nobody)
    };
    let error = bring(&["file:missing", &bad, "apt:a#b"]).unwrap_err().to_string();
    let expected = [
        "none of the 3 places in `from` works:\n  file:missing: cannot read ",
        &format!("\n  {bad}: {bad} answered 404"),
        "\n  apt:a#b: spyhop-has-no-such-program is missing",
    ];
    for part in expected {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(bring(&["file:missing", &bad, &good]).unwrap().from, good);
    // What the cache has needs no network, and does not ask those before it again.
    let before = server.requests().len();
    assert_eq!(bring(&["file:missing", &bad, &good]).unwrap().from, good);
    assert_eq!(server.requests().len(), before);
    // A file that comes first goes first.
    fs::write(directory.path().join("missing"), "abc").unwrap();
    assert_eq!(bring(&["file:missing", &bad, &good]).unwrap().from, "file:missing");
    assert_eq!(bring(&[&bad, "file:missing"]).unwrap().from, "file:missing");
    // A slip in a later place shows at once.
    assert!(bring(&["file:missing", "ftp://x"]).unwrap_err().to_string().contains("ftp://x"));
    assert!(bring(&[]).unwrap_err().to_string().contains("`from` is empty"));
}

#[test]
fn two_at_once_fetch_once() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| {
        std::thread::sleep(Duration::from_millis(100));
        Reply::file(request, &content(), "1")
    });
    let url = server.url("/f");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let fetched = get(cache.path(), &url, None).unwrap();
                assert_eq!(fs::read(&fetched.files[0]).unwrap(), content());
            });
        }
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_cache_follows_the_xdg_variables() {
    let check = |xdg: &str, home: &str, expected: &str| {
        let found = directory_from(|name| {
            let value = if name == "HOME" { home } else { xdg };
            (!value.is_empty()).then(|| value.into())
        });
        let found = found.map_or_else(|error| error.to_string(), |path| path.display().to_string());
        assert!(found.starts_with(expected), "{found}");
    };
    check("/x", "/h", "/x/spyhop");
    check("", "/h", "/h/.cache/spyhop");
    check("relative", "/h", "/h/.cache/spyhop");
    check("", "", "no place for downloaded files");
}
