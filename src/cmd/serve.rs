use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::Context;
use spyhop::{
    generate::Contestant,
    record::Completion,
    serve::{self, Server, Settings, Subject},
    source::cache_directory,
};

use super::{print, progress::Progress, say};

/// Serve a run's report as it grows, and have people compare answers blind
///
/// RUN is the directory of a run, finished or going on in another process, or of spyhop eval. Raters
/// see a prompt and two answers without names, and say which is better or that neither is; choices go
/// to RUN/human. No model is asked, and of the run files are only read. The address goes to stdout.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop serve runs/quickstart
  spyhop serve runs/quickstart --screening eval_sets/anchors/pairs.jsonl
  spyhop serve --candidate m2.json --baseline base.json --out runs/human
  spyhop serve runs/quickstart --export human.json")]
pub(crate) struct ServeArgs {
    /// The directory of a run or of spyhop eval
    #[arg(required_unless_present_all = ["candidate", "baseline"])]
    run: Option<PathBuf>,
    /// Without a run: a file of answers, as for spyhop eval
    #[arg(long, value_name = "CONTESTANT", conflicts_with = "run", requires = "baseline")]
    candidate: Option<String>,
    /// Whose answers they are compared with
    #[arg(long, value_name = "CONTESTANT", conflicts_with = "run", requires = "candidate")]
    baseline: Option<String>,
    /// Without a run: choices go to human/ in this directory
    #[arg(long, value_name = "DIR", default_value = "runs/human", conflicts_with = "run")]
    out: PathBuf,
    /// 0 for any that is free
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Another address than the loopback's opens only with a token
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    bind: IpAddr,
    /// What opens the pages [default off the loopback: made up and printed]
    #[arg(long)]
    token: Option<String>,
    /// Pairs whose better answer is known, to see who looks: JSONL with instruction, better, worse
    #[arg(long, value_name = "FILE")]
    screening: Option<PathBuf>,
    /// Pairs between two screening pairs
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    screening_every: u32,
    /// Ask each rater about at most so many pairs, the same for all
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Serve nothing: write what people said to this file, as AlpacaEval's annotations, or as a run's
    /// judgments if it ends in .jsonl
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let subject = match (&args.run, &args.candidate, &args.baseline) {
        (Some(run), ..) => Subject::Directory(run.clone()),
        (None, Some(candidate), Some(baseline)) => Subject::Answers {
            candidate: recorded(candidate)?,
            baseline: recorded(baseline)?,
            out: args.out.clone(),
        },
        (None, ..) => anyhow::bail!("name a run, or --candidate and --baseline"),
    };
    if let Some(file) = &args.export {
        let choices = serve::export(&subject, file)?;
        say(&format!("{choices} choices: {}", file.display()));
        return Ok(());
    }
    let settings = Settings {
        screening: args.screening.clone(),
        screening_every: args.screening_every as usize,
        limit: args.limit.unwrap_or(usize::MAX),
    };
    let address = SocketAddr::new(args.bind, args.port);
    let server = Server::open(subject, &settings, address, args.token.clone())?;
    say(&format!("for raters: {}", server.raters_link()));
    if args.bind.is_unspecified() {
        say(&format!("note: put the name of this machine in place of {}", args.bind));
    }
    print(&server.link())?;
    server.run()
}

fn recorded(name: &str) -> anyhow::Result<Vec<Completion>> {
    let progress = Progress::new();
    let answers =
        Contestant::load(name)?.recorded(&cache_directory()?, &|event| progress.watch(event))?;
    answers.with_context(|| {
        format!("{name} holds no recorded answers: have it answer first (spyhop eval)")
    })
}
