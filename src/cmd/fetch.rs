use std::path::{Path, PathBuf};

use serde_json::json;
use spyhop::{
    eval_set::{self, EvalSet},
    generate::{self, Contestant, Published},
    judge::configured::{self, Judge},
    recipe::Source,
    source::{self, Mirror, cache_directory, cached},
    watch::Watch,
};

use super::{
    output::{Format, Row, print_csv, print_json, table},
    print,
    progress::Progress,
    say,
};

/// Bring eval sets, baselines and the prompts of judges to this machine, or list them
///
/// What others published is not part of spyhop: it is fetched once, checked by its SHA-256, and kept in
/// the cache. Every verb fetches what it needs by itself; this one does it ahead, for machines without a
/// network. Without names it lists what there is.
///
/// HF_ENDPOINT names a mirror of Hugging Face's hub; --mirror a folder that has the files, arranged in
/// any way: they are known by their content.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop fetch
  spyhop fetch alpaca-eval text-davinci-003 alpaca_eval_gpt4
  spyhop fetch --all --mirror /data/copies")]
pub(crate) struct FetchArgs {
    /// Eval sets, baselines, judges
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// A folder to look in before the network
    #[arg(long, value_name = "DIR")]
    mirror: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    EvalSet,
    Baseline,
    Judge,
}

/// What can be fetched by its name.
struct Item {
    kind: Kind,
    name: String,
    /// Prompts, or nothing.
    count: Option<usize>,
    licence: String,
    description: String,
    sources: Vec<Source>,
    published: Vec<Published>,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::EvalSet => "eval set",
            Self::Baseline => "baseline",
            Self::Judge => "judge",
        }
    }
}

pub(crate) fn run(args: &FetchArgs) -> anyhow::Result<()> {
    let cache = cache_directory()?;
    let progress = Progress::new();
    let watch = |event| progress.watch(event);
    let items = items()?;
    let wanted: Vec<&Item> = match args.all {
        true => items.iter().filter(|item| !item.sources.is_empty()).collect(),
        false => args.names.iter().map(|name| find(&items, name)).collect::<anyhow::Result<_>>()?,
    };
    let mut mirror = args.mirror.as_deref().map(Mirror::open).transpose()?;
    let mut failed = Vec::new();
    for item in &wanted {
        if let Err(error) = bring(item, mirror.as_mut(), &cache, &watch) {
            say(&format!("{}: {error:#}", item.name));
            failed.push(item.name.as_str());
        }
    }
    let shown = if wanted.is_empty() { items.iter().collect() } else { wanted };
    match args.format {
        Format::Table => print(&as_table(&shown, &cache, &watch))?,
        Format::Json => print_json(&rows(&shown, &cache, &watch))?,
        Format::Csv => print_csv(&rows(&shown, &cache, &watch))?,
    }
    anyhow::ensure!(failed.is_empty(), "not fetched: {}", failed.join(", "));
    Ok(())
}

fn items() -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    for set in eval_set::built_in()? {
        items.push(Item {
            kind: Kind::EvalSet,
            count: Some(set.count),
            licence: set.licence,
            description: set.description,
            sources: eval_set::sources(&set.name)?,
            name: set.name,
            published: Vec::new(),
        });
    }
    for contestant in generate::built_in() {
        let Contestant { name, description, outputs, finetuned, published, .. } = contestant;
        let pairs = finetuned.map(|pairs| pairs.source);
        let sources = outputs.into_iter().chain(pairs).collect();
        let licence = String::new();
        items.push(Item {
            kind: Kind::Baseline,
            name,
            count: None,
            licence,
            description,
            sources,
            published,
        });
    }
    for name in configured::built_in() {
        items.push(Item {
            kind: Kind::Judge,
            name: name.to_owned(),
            count: None,
            licence: String::new(),
            description: String::new(),
            sources: configured::prompt_source(name)?.into_iter().collect(),
            published: Vec::new(),
        });
    }
    Ok(items)
}

fn find<'a>(items: &'a [Item], name: &str) -> anyhow::Result<&'a Item> {
    items.iter().find(|item| item.name == name).ok_or_else(|| {
        anyhow::anyhow!(
            "there is no eval set, baseline or judge {name:?}: `spyhop fetch` lists them"
        )
    })
}

/// Fetches what an item needs, and reads it as it will be read, so that what is wrong shows now.
fn bring(
    item: &Item,
    mut mirror: Option<&mut Mirror>,
    cache: &Path,
    watch: Watch,
) -> anyhow::Result<()> {
    for source in &item.sources {
        if cached(source, cache, watch).is_some() {
            continue;
        }
        if let Some(mirror) = &mut mirror
            && mirror.bring(source, cache, watch)?.is_some()
        {
            continue;
        }
        source::fetch(source, Path::new(""), cache, watch)?;
    }
    match item.kind {
        Kind::EvalSet => drop(EvalSet::load(&item.name, cache, watch)?),
        Kind::Judge => drop(Judge::load(&item.name, cache, watch)?),
        Kind::Baseline => {
            anyhow::ensure!(!item.sources.is_empty(), "{}", item.description);
            Contestant::load(&item.name)?.recorded(cache, watch)?;
        }
    }
    Ok(())
}

fn here(item: &Item, cache: &Path, watch: Watch) -> Option<bool> {
    (!item.sources.is_empty())
        .then(|| item.sources.iter().all(|source| cached(source, cache, watch).is_some()))
}

fn as_table(items: &[&Item], cache: &Path, watch: Watch) -> String {
    let header = ["", "kind", "prompts", "published", "here", "licence"];
    let mut lines = vec![header.map(str::to_owned).to_vec()];
    for item in items {
        let here = match here(item, cache, watch) {
            Some(true) => "yes",
            Some(false) => "no",
            None if item.kind == Kind::Baseline => "figures only",
            None => "built in",
        };
        let published = item
            .published
            .first()
            .map_or(String::new(), |figure| format!("{:.2}%", figure.win_rate));
        lines.push(vec![
            item.name.clone(),
            item.kind.words().to_owned(),
            item.count.map_or(String::new(), |count| count.to_string()),
            published,
            here.to_owned(),
            item.licence.chars().take(24).collect(),
        ]);
    }
    format!(
        "{}\n\nPublished: win rates on AlpacaEval, by alpaca_eval_gpt4 against text_davinci_003; not\nmeasured here.",
        table(&lines)
    )
}

fn rows(items: &[&Item], cache: &Path, watch: Watch) -> Vec<Row> {
    let row = |item: &&Item| -> Row {
        vec![
            ("kind", json!(item.kind.words())),
            ("name", json!(item.name)),
            ("prompts", json!(item.count)),
            ("here", json!(here(item, cache, watch))),
            ("licence", json!(item.licence)),
            ("description", json!(item.description)),
            ("published", json!(item.published)),
        ]
    };
    items.iter().map(row).collect()
}
