use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::{Value, json};
use spyhop::model::{
    Fidelity, Model, Rounding,
    speed::{Measured, Peaks, Work},
};

use super::{model, output, print, progress::Progress, say};

/// Measure how fast a model trains, reads and writes on this machine
///
/// Each rate stands beside the floor that the model's shape and the machine's measured peak set, for
/// each way to round the factors of products. With --text, also what rounding changes: the loss, the
/// distributions of next tokens, and greedy replies. The weights stay as they are.
#[derive(clap::Args)]
#[command(after_help = "Example:
  spyhop bench SmolLM2-135M-Instruct.gguf --work decode --products bf16 --text README.md

Other work on the machine slows everything: look at the range beside each median.")]
pub(crate) struct BenchArgs {
    /// A GGUF file, a directory in Hugging Face layout, or a model of a run such as runs/quickstart/M2
    model: String,
    /// How factors are rounded
    #[arg(long, value_enum, value_delimiter = ',', default_value = "f32,bf16,int8,int7")]
    products: Vec<Products>,
    /// What is measured
    #[arg(long, value_enum, value_delimiter = ',', default_value = "train,prefill,decode")]
    work: Vec<Kind>,
    /// Replies that are decoded at once
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,8,32,64",
        value_parser = clap::value_parser!(u16).range(1..=64))]
    requests: Vec<u16>,
    /// How often each is measured, after once that does not count
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repetitions: u16,
    /// A text of the kind that the model is for: compares rounded products with f32 on its first tokens,
    /// 5,120 at most
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Products {
    F32,
    Bf16,
    Int8,
    Int7,
}

impl Products {
    fn rounding(self) -> Option<Rounding> {
        match self {
            Self::F32 => None,
            Self::Bf16 => Some(Rounding::Bf16),
            Self::Int8 => Some(Rounding::Int8),
            Self::Int7 => Some(Rounding::Int7),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Steps of full finetuning, 4 sequences of 256 tokens
    Train,
    /// A prompt of 512 tokens
    Prefill,
    /// Replies under way after 128 tokens
    Decode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, 80 columns wide
    Table,
    /// One object
    Json,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let progress = Progress::new();
    let (path, _) = model::find(&args.model, &|event| progress.watch(event))?;
    let text = args.text.as_ref().map(|path| {
        fs::read_to_string(path).with_context(|| format!("cannot read the text {}", path.display()))
    });
    let text = text.transpose()?;
    let mut model = Model::load(&path)?;
    say("measuring the machine");
    let peaks = Peaks::measure();
    let config = model.weights.config.clone();
    let mut measured = Vec::new();
    for kind in &args.work {
        let works: Vec<Work> = match kind {
            Kind::Train => vec![Work::training(&config)],
            Kind::Prefill => vec![Work::prefill(&config)],
            Kind::Decode => {
                let requests = args.requests.iter();
                requests.map(|&requests| Work::decode(&config, requests.into())).collect()
            }
        };
        for work in works {
            for rounding in args.products.iter().map(|products| products.rounding()) {
                if *kind == Kind::Train && !rounding.is_none_or(Rounding::trains) {
                    continue;
                }
                say(&format!("measuring {}, {}", name(work), Rounding::name(rounding)));
                measured.push(model.measure(work, rounding, &peaks, args.repetitions.into())?);
            }
        }
    }
    let mut fidelity = Vec::new();
    if let Some(text) = &text {
        for rounding in args.products.iter().filter_map(|products| products.rounding()) {
            say(&format!("comparing {} with f32", Rounding::name(Some(rounding))));
            fidelity.push(model.fidelity(text, rounding)?);
        }
    }
    match args.format {
        Format::Table => print(&tables(&peaks, &measured, &fidelity)),
        Format::Json => {
            print(&serde_json::to_string_pretty(&object(&peaks, &measured, &fidelity))?)
        }
    }
}

fn name(work: Work) -> String {
    match work {
        Work::Train { sequences, tokens } => format!("train {sequences}x{tokens}"),
        Work::Prefill { tokens } => format!("prefill {tokens}"),
        Work::Decode { requests, .. } => format!("decode {requests}"),
    }
}

fn tables(peaks: &Peaks, measured: &[Measured], fidelity: &[Fidelity]) -> String {
    let heads = |heads: &[&str]| heads.iter().map(|&head| head.to_owned()).collect::<Vec<_>>();
    let mut rows =
        vec![heads(&["work", "products", "tokens/s", "range", "n", "floor", "of floor"])];
    for one in measured {
        let (median, least, most) = one.rates();
        rows.push(vec![
            name(one.work),
            Rounding::name(one.rounding).to_owned(),
            format!("{median:.1}"),
            format!("[{least:.1}, {most:.1}]"),
            one.seconds.len().to_string(),
            format!("{:.0}", one.floor_rate()),
            format!("{:.2}", median / one.floor_rate()),
        ]);
    }
    let mut parts = vec![format!(
        "products here, GFLOP/s: f32 {:.0}, bf16 {:.0}, int8 {:.0}, int7 {:.0}\nmemory: {:.1} GB/s; threads: {}",
        peaks.f32 / 1e9,
        peaks.bf16 / 1e9,
        peaks.int8 / 1e9,
        peaks.int7 / 1e9,
        peaks.bandwidth / 1e9,
        threads()
    )];
    if rows.len() > 1 {
        parts.push(output::table(&rows));
    }
    let mut rows =
        vec![heads(&["products", "tokens", "loss", "change", "KL", "same next", "same replies"])];
    for one in fidelity {
        rows.push(vec![
            Rounding::name(Some(one.rounding)).to_owned(),
            one.tokens.to_string(),
            format!("{:.4}", one.loss),
            format!("{:+.4}", one.rounded_loss - one.loss),
            format!("{:.5}", one.divergence),
            format!("{:.2}%", 100.0 * one.same_favourite as f64 / one.tokens as f64),
            format!("{} of {}", one.same_replies, one.replies),
        ]);
    }
    if rows.len() > 1 {
        parts.push(output::table(&rows));
    }
    parts.join("\n\n")
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn object(peaks: &Peaks, measured: &[Measured], fidelity: &[Fidelity]) -> Value {
    let speed = |one: &Measured| {
        let (median, least, most) = one.rates();
        json!({
            "work": name(one.work),
            "products": Rounding::name(one.rounding),
            "tokens_per_second": median,
            "least": least,
            "most": most,
            "n": one.seconds.len(),
            "floor": one.floor_rate(),
        })
    };
    let change = |one: &Fidelity| {
        json!({
            "products": Rounding::name(Some(one.rounding)),
            "tokens": one.tokens,
            "loss_f32": one.loss,
            "loss": one.rounded_loss,
            "kl_divergence": one.divergence,
            "same_next": one.same_favourite,
            "replies": one.replies,
            "same_replies": one.same_replies,
        })
    };
    json!({
        "machine": {
            "threads": threads(),
            "f32_operations_per_second": peaks.f32,
            "bf16_operations_per_second": peaks.bf16,
            "int8_operations_per_second": peaks.int8,
            "int7_operations_per_second": peaks.int7,
            "bytes_per_second": peaks.bandwidth,
        },
        "speed": measured.iter().map(speed).collect::<Vec<_>>(),
        "fidelity": fidelity.iter().map(change).collect::<Vec<_>>(),
    })
}
