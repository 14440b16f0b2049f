//! Whether the judge is still the one that it was.
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use spyhop::{
    judge::{Court, anchors},
    store::write_atomic,
    watch::Watch,
};

use super::EvalArgs;
use crate::cmd::{budget::Budget, say, server};

/// Puts the anchors to the judge, and says how it did. Its history is beside the store of replies.
pub(super) fn check(
    args: &EvalArgs,
    court: &Court,
    budget: &mut Budget,
    watch: Watch,
) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is wrong")?.as_secs();
    let out = args.out.join(format!("anchors-{now}.jsonl"));
    budget.foresee("the anchors' check", anchors::outlook(court, now, &out)?)?;
    let history = args.server.store()?.with_file_name("anchors.jsonl");
    let (checked, spent) = anchors::check(court, now, &history, &out, watch)?;
    server::account("anchors", &spent);
    checked.words().iter().for_each(|line| say(line));
    let text = serde_json::to_string_pretty(&checked)? + "\n";
    write_atomic(&std::path::absolute(args.out.join("anchors.json"))?, text.as_bytes())
}
