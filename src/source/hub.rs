//! `hf:` places: files and models of a Hugging Face hub, kept in the cache that its other clients use.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::Context;
use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;

use super::{
    cache::{Brought, Expected, Whole},
    place::Wanted,
    server::{self, Patience},
    snapshot::{Hub, Snapshot, published_sha256},
};
use crate::watch::Watch;

/// What a model's directory must have beside its weights, and what it may have.
const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];
const OPTIONAL: [&str; 3] =
    ["tokenizer_config.json", "generation_config.json", "chat_template.jinja"];
const WEIGHTS: &str = "model.safetensors";
const WEIGHTS_INDEX: &str = "model.safetensors.index.json";

/// Brings the wanted file, or the files of a model.
pub(super) fn bring(
    wanted: &Wanted,
    sha256: Option<&str>,
    hub: &Hub,
    patience: &Patience,
    watch: Watch,
) -> anyhow::Result<Brought> {
    server::check(&hub.endpoint).with_context(|| format!("HF_ENDPOINT is {:?}", hub.endpoint))?;
    let cache = hub.cache.clone().context(
        "no place for files of the hub: neither HF_HOME nor HOME is set; set one of them",
    )?;
    let cache = Cache::new(std::path::absolute(cache)?);
    let kind = if wanted.dataset { RepoType::Dataset } else { RepoType::Model };
    let repository = Repo::with_revision(wanted.repository.clone(), kind, wanted.revision.clone());
    let token = hub.token.clone().or_else(|| cache.token());
    let hub = Hub { token, ..hub.clone() };
    let is_commit =
        wanted.revision.len() == 40 && wanted.revision.bytes().all(|b| b.is_ascii_hexdigit());
    let mut snapshot = Snapshot {
        hub: &hub,
        cache: &cache,
        agent: server::agent(&hub.endpoint, patience)?,
        patience,
        repository,
        commit: is_commit.then(|| wanted.revision.clone()),
    };
    let (names, whole) = match &wanted.file {
        Some(name) => {
            snapshot.required(name, sha256, watch)?;
            (vec![name.clone()], Whole::File)
        }
        None => (model(&mut snapshot, watch)?, Whole::List),
    };
    let commit = snapshot.commit.context("a file came from a commit")?;
    let root = cache.repo(snapshot.repository).pointer_path(&commit);
    let files = names
        .into_iter()
        .map(|name| Expected { sha256: published_sha256(&root.join(&name)), name });
    Ok(Brought {
        from: format!("{} (commit {commit})", wanted.place()),
        files: files.collect(),
        root: Some(root),
        whole,
    })
}

/// The names of a model's files, all of which are then here.
fn model(snapshot: &mut Snapshot, watch: Watch) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = REQUIRED.map(str::to_owned).to_vec();
    for name in &names {
        snapshot.required(name, None, watch)?;
    }
    for name in OPTIONAL {
        if snapshot.file(name, None, watch)?.is_some() {
            names.push(name.to_owned());
        }
    }
    if snapshot.file(WEIGHTS, None, watch)?.is_some() {
        names.push(WEIGHTS.to_owned());
        return Ok(names);
    }
    let index = snapshot.required(WEIGHTS_INDEX, None, watch).with_context(|| {
        format!("the model has neither {WEIGHTS} nor {WEIGHTS_INDEX}; other formats are not read")
    })?;
    names.push(WEIGHTS_INDEX.to_owned());
    for shard in shards(&index)? {
        snapshot.required(&shard, None, watch)?;
        names.push(shard);
    }
    Ok(names)
}

/// The shards that an index of weights names.
fn shards(index: &Path) -> anyhow::Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = fs::read(index).with_context(|| format!("cannot read {}", index.display()))?;
    let index: Index = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no index of weights", index.display()))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    for shard in &shards {
        anyhow::ensure!(
            !shard.starts_with('/')
                && !shard.split('/').any(|part| part == ".." || part.is_empty()),
            "the index of weights names {shard:?}, which is no file of the model"
        );
    }
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{
        super::{
            Fetched, Outside, fetch_with,
            test_server::{Reply, Request, Server},
            tests::{outside, source},
        },
        *,
    };
    use crate::watch::nobody;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// What a hub answers for a file with this content: large files lead elsewhere.
    fn answer(request: &Request, content: &str, sha256: Option<&str>) -> Reply {
        let reply = match sha256 {
            Some(sha256) if request.line.starts_with("HEAD") => Reply::status(302)
                .header("Location", "http://127.0.0.1:1/elsewhere")
                .header("X-Linked-Etag", &format!("{sha256:?}")),
            _ => Reply::file(request, content.as_bytes(), &format!("etag-{}", content.len())),
        };
        reply.header("X-Repo-Commit", COMMIT)
    }

    struct Place {
        directory: tempfile::TempDir,
        outside: Outside,
    }

    impl Place {
        fn new(server: &Server) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut outside = outside();
            outside.hub.endpoint = server.url("");
            outside.hub.cache = Some(directory.path().join("hub"));
            Self { directory, outside }
        }

        fn bring(&self, place: &str, sha256: Option<&str>) -> anyhow::Result<Fetched> {
            let cache = self.directory.path().join("cache");
            fetch_with(&source(&[place], sha256), Path::new(""), &cache, &self.outside, &nobody)
        }

        fn fails(&self, place: &str) -> String {
            format!("{:#}", self.bring(place, None).unwrap_err())
        }
    }

    #[test]
    fn a_file_lies_where_other_clients_look_for_it() {
        let server = Server::start(|request, _| match request.line.as_str() {
            "HEAD /datasets/a/b/resolve/v1/sub/c%20d.gguf" => answer(request, "abc", Some(ABC)),
            line if line == format!("GET /datasets/a/b/resolve/{COMMIT}/sub/c%20d.gguf") => {
                answer(request, "abc", Some(ABC))
            }
            _ => Reply::status(404),
        });
        let mut place = Place::new(&server);
        place.outside.hub.token = Some("secret".into());
        let name = "hf:datasets/a/b@v1#sub/c d.gguf";
        let fetched = place.bring(name, Some(ABC)).unwrap();
        assert_eq!(fetched.from, format!("{name} (commit {COMMIT})"));
        let root = place.directory.path().join("hub/datasets--a--b");
        assert_eq!(fetched.root, root.join("snapshots").join(COMMIT));
        assert_eq!(fetched.files, [fetched.root.join("sub/c d.gguf")]);
        assert_eq!(fetched.sha256, ABC);
        assert_eq!(fs::read_to_string(root.join("blobs").join(ABC)).unwrap(), "abc");
        assert_eq!(fs::read_to_string(root.join("refs/v1")).unwrap(), COMMIT);
        let tokens = server.requests();
        assert!(tokens.iter().all(|request| request.headers["authorization"] == "Bearer secret"));
        // Neither cache needs the server any more.
        drop(server);
        assert_eq!(place.bring(name, None).unwrap(), fetched);
        fs::remove_dir_all(place.directory.path().join("cache")).unwrap();
        assert_eq!(place.bring(name, Some(ABC)).unwrap(), fetched);
        place.outside.hub.offline = true;
        let error = place.fails("hf:datasets/a/b@v1#other");
        assert!(error.contains("no file other at v1 in the cache, and HF_HUB_OFFLINE"), "{error}");
    }

    #[test]
    fn a_model_is_its_directory() {
        let server = Server::start(|request, _| {
            let name = request.line.rsplit('/').next().unwrap();
            let sharded = request.line.contains("sharded");
            let index = r#"{"weight_map": {"x": "2.safetensors", "y": "1.safetensors", "z": "1.safetensors"}}"#;
            match name {
                "config.json" => answer(request, "{}", None),
                "tokenizer.json" => answer(request, "{...}", None),
                "generation_config.json" => answer(request, "{.}", None),
                "model.safetensors" if !sharded => answer(request, "abc", Some(ABC)),
                "model.safetensors.index.json" if sharded => answer(request, index, None),
                "1.safetensors" | "2.safetensors" => answer(request, "abc", Some(ABC)),
                _ => Reply::status(404),
            }
        });
        let place = Place::new(&server);
        let names = |fetched: &Fetched| {
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            fetched.files.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        let whole = place.bring("hf:a/whole", None).unwrap();
        assert_eq!(
            names(&whole),
            "config.json generation_config.json model.safetensors tokenizer.json"
        );
        assert_eq!(whole.bytes, 2 + 3 + 3 + 5);
        let sharded = place.bring("hf:a/sharded@main", None).unwrap();
        assert_eq!(
            names(&sharded),
            "1.safetensors 2.safetensors config.json generation_config.json model.safetensors.index.json tokenizer.json"
        );
        // All but the first file are asked for at the first one's commit.
        let asked = server.requests();
        assert!(asked[0].line.ends_with("/whole/resolve/main/config.json"));
        assert_eq!(asked.iter().filter(|request| request.line.contains("/main/")).count(), 2);
    }

    #[test]
    fn what_the_hub_refuses_is_told() {
        let server = Server::start(|request, _| match request.line.rsplit('/').next().unwrap() {
            "gated" => Reply::status(401),
            "damaged" => answer(request, "abd", Some(ABC)),
            "strange" => Reply::file(request, b"abc", "1"),
            "moved" if request.line.contains("/old/") => {
                Reply::status(307).header("Location", "/new/resolve/main/moved")
            }
            "moved" => answer(request, "abc", None),
            _ => Reply::status(404),
        });
        let mut place = Place::new(&server);
        let check = |name: &str, expected: &str| {
            let error = place.fails(&format!("hf:a/b#{name}"));
            assert!(error.contains(expected), "{error}");
        };
        check("gated", "set HF_TOKEN to a token");
        check("missing", "a/b has no file missing at main");
        check("strange", "does not answer like a Hugging Face hub");
        check("damaged", "damaged was damaged on its way");
        let blobs = place.directory.path().join("hub/models--a--b/blobs");
        assert!(!blobs.join(ABC).exists());
        assert!(place.fails("hf:a/b").contains("has no file config.json"));
        assert!(place.bring("hf:old#moved", None).is_ok());
        let wrong = place.bring("hf:old#moved", Some(&"0".repeat(64))).unwrap_err();
        assert!(format!("{wrong:#}").contains(ABC), "{wrong:#}");
        place.outside.hub.endpoint = "http://hub.example.org".into();
        assert!(
            place.fails("hf:a/b#f").contains("HF_ENDPOINT is \"http://hub.example.org\": http:")
        );
    }

    #[test]
    fn variables_are_those_of_hugging_face() {
        let check = |variables: &[(&str, &str)], cache: &str| {
            let find = |name: &str| variables.iter().find(|(other, _)| *other == name);
            let hub = Hub::from_variables(|name| find(name).map(|(_, value)| value.to_string()));
            assert_eq!(hub.cache.unwrap_or_default(), Path::new(cache));
            (hub.endpoint, hub.token, hub.offline)
        };
        let default = ("https://huggingface.co".to_owned(), None, false);
        assert_eq!(check(&[], ""), default);
        assert_eq!(check(&[("HOME", "/h")], "/h/.cache/huggingface/hub"), default);
        assert_eq!(
            check(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            default
        );
        assert_eq!(check(&[("HOME", "/h"), ("HF_HOME", "/f")], "/f/hub"), default);
        assert_eq!(check(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/f")], "/c"), default);
        let set = [("HF_ENDPOINT", "https://m.org/"), ("HF_TOKEN", "t"), ("HF_HUB_OFFLINE", "1")];
        assert_eq!(check(&set, ""), ("https://m.org".to_owned(), Some("t".to_owned()), true));
    }
}
