use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Context;
use spyhop::{
    generate::Settings,
    model::{Conversation, Generation, Message, Model, Role, Rounding, Sampling},
    record::Finish,
};

use super::{model, progress::Progress, say};

/// Talk to a model on this machine
///
/// A turn is a line of stdin, and replies go to stdout as they come: with stdin piped, nothing else
/// does. A model of a run is asked as the run asked it: with its system prompt and sampling, but for
/// what is given here. /reset starts anew, /system TEXT starts anew under another system prompt, and
/// Ctrl-D ends.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop chat runs/quickstart/M2
  echo 'What is a whale?' | spyhop chat SmolLM2-135M-Instruct.gguf --temperature 0")]
pub(crate) struct ChatArgs {
    /// A GGUF file, a directory in Hugging Face layout, or a model of a run such as runs/quickstart/M2
    model: String,
    /// What the model is told at the beginning; empty for nothing
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// 0 takes the likeliest token [default: the run's, or 0.7]
    #[arg(long, value_name = "NUMBER")]
    temperature: Option<f64>,
    /// Draw from the likeliest tokens that together reach this probability [default: the run's, or 0.9]
    #[arg(long, value_name = "SHARE")]
    top_p: Option<f64>,
    /// Draw from so many of the likeliest tokens [default: the run's, or all]
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Chance of the replies: the same seed and turns give the same replies
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Longest reply, in tokens
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    max_new_tokens: u32,
}

pub(crate) fn run(args: &ChatArgs) -> anyhow::Result<()> {
    let progress = Progress::new();
    let (path, settings) = model::find(&args.model, &|event| progress.watch(event))?;
    let settings = chosen(args, settings)?;
    let mut model = Model::load(&path)?;
    model.round(Rounding::fine_alone());
    let is_terminal = io::stdin().is_terminal();
    if is_terminal {
        say("/reset starts anew, /system TEXT under another system prompt, Ctrl-D ends");
    }
    let mut talk = Talk {
        model: &model,
        system: settings.system.clone(),
        turns: Vec::new(),
        conversation: Conversation::default(),
        asked: 0,
    };
    loop {
        if is_terminal {
            eprint!("> ");
        }
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line).context("cannot read stdin")? == 0 {
            return Ok(());
        }
        match talk.turn(line.trim(), args.seed, &settings) {
            // Who closes the pipe early, such as `head`, has what was wanted.
            Err(error) if is_broken_pipe(&error) => return Ok(()),
            Err(error) if is_terminal => say(&format!("error: {error:#}")),
            done => done?,
        }
    }
}

/// The settings of the run, but for what the command line says.
fn chosen(args: &ChatArgs, settings: Settings) -> anyhow::Result<Settings> {
    let system = args.system.clone().or(settings.system);
    let chosen = Settings {
        system: system.filter(|system| !system.trim().is_empty()),
        temperature: args.temperature.unwrap_or(settings.temperature),
        top_p: args.top_p.unwrap_or(settings.top_p),
        top_k: args.top_k.or(settings.top_k),
        max_tokens: args.max_new_tokens as usize,
        ..settings
    };
    chosen.check()?;
    Ok(chosen)
}

/// A conversation under way.
struct Talk<'a> {
    model: &'a Model,
    system: Option<String>,
    /// What both sides said.
    turns: Vec<Message>,
    conversation: Conversation,
    /// Questions so far, of all conversations: each reply has a chance of its own.
    asked: u64,
}

impl Talk<'_> {
    /// One line: a command, or something to be answered on stdout.
    fn turn(&mut self, line: &str, seed: u64, settings: &Settings) -> anyhow::Result<()> {
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command {
            "" => Ok(()),
            "/reset" => {
                self.turns.clear();
                Ok(())
            }
            "/system" => {
                self.turns.clear();
                self.system = Some(rest.trim().to_owned()).filter(|system| !system.is_empty());
                Ok(())
            }
            _ if command.starts_with('/') => anyhow::bail!(
                "there is no command {command}: /reset starts anew, /system TEXT under another system prompt"
            ),
            _ => self.answer(line, seed, settings),
        }
    }

    fn answer(&mut self, line: &str, seed: u64, settings: &Settings) -> anyhow::Result<()> {
        let system = self.system.as_deref().map(|text| Message::new(Role::System, text));
        let question = Message::new(Role::User, line);
        let messages: Vec<Message> = system
            .into_iter()
            .chain(self.turns.iter().cloned())
            .chain([question.clone()])
            .collect();
        let request = Generation {
            prompt: self.model.chat.prompt(&messages, "")?,
            sampling: Sampling::new(settings.temperature, settings.top_p, settings.top_k),
            max_tokens: settings.max_tokens,
            seed: seed.wrapping_add(self.asked),
            stop: settings.stop.clone(),
        };
        let mut out = io::stdout().lock();
        let reply = self.conversation.reply(self.model, &request, |text| {
            out.write_all(text.as_bytes())?;
            Ok(out.flush()?)
        })?;
        anyhow::ensure!(
            reply.finish != Finish::Overlong,
            "the conversation has {} tokens, and the model's context holds {}: /reset starts anew",
            request.prompt.len(),
            self.model.weights.config.context
        );
        writeln!(out)?;
        out.flush()?;
        if reply.finish == Finish::Length {
            say(&format!("(cut after {} tokens: --max-new-tokens)", reply.ids.len()));
        }
        self.asked += 1;
        self.turns.extend([question, Message::new(Role::Assistant, reply.text)]);
        Ok(())
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
