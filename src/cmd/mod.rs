//! One verb a file. The only code that prints: data to stdout, talk to stderr.
#![expect(clippy::print_stderr)]

mod bench;
mod budget;
mod chat;
mod check;
mod compare;
mod convert;
mod entrants;
mod eval;
mod fetch;
mod init;
mod judge_quality;
mod judgments;
mod leaderboard;
mod model;
mod output;
mod plan;
mod progress;
mod rank;
mod replies;
mod report;
mod run;
mod score;
mod serve;
mod server;

use std::io::{ErrorKind, Write};

use anyhow::Context;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Verb {
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Report(report::ReportArgs),
    Serve(serve::ServeArgs),
    Eval(Box<eval::EvalArgs>),
    Check(Box<check::CheckArgs>),
    Init(init::InitArgs),
    JudgeQuality(Box<judge_quality::JudgeQualityArgs>),
    Score(score::ScoreArgs),
    Leaderboard(leaderboard::LeaderboardArgs),
    Compare(compare::CompareArgs),
    Rank(rank::RankArgs),
    Fetch(fetch::FetchArgs),
    Chat(chat::ChatArgs),
    Bench(bench::BenchArgs),
    Replies(replies::RepliesArgs),
    Convert(convert::ConvertArgs),
}

/// Runs a verb; the exit code is 0 but where a check says otherwise.
pub(crate) fn run(verb: Verb) -> anyhow::Result<u8> {
    match verb {
        Verb::Check(args) => return check::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Plan(args) => plan::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Serve(args) => serve::run(&args),
        Verb::Eval(args) => eval::run(&args),
        Verb::Init(args) => init::run(&args),
        Verb::JudgeQuality(args) => judge_quality::run(&args),
        Verb::Score(args) => score::run(&args),
        Verb::Leaderboard(args) => leaderboard::run(&args),
        Verb::Compare(args) => compare::run(&args),
        Verb::Fetch(args) => fetch::run(&args),
        Verb::Chat(args) => chat::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Replies(args) => replies::run(&args),
        Verb::Rank(args) => rank::run(&args),
        Verb::Convert(args) => convert::run(&args),
    }?;
    Ok(0)
}

/// Writes data to stdout. Who closes the pipe early, such as `head`, has what was wanted.
fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// Says something to the person at the terminal.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
