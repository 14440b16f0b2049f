//! `index.html`: the sections and the texts as one page that asks nobody for anything.
//!
//! Everything from outside is escaped by the template engine; only our own drawings go in as they
//! are. A content security policy forbids scripts and requests in case anything slipped through.
use anyhow::Context;
use minijinja::{Environment, Value, context, syntax::SyntaxConfig, value::Serde};

use super::{
    answers::{Asked, Samples},
    document::Section,
};

/// The file's own content security policy.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// What the page shows, in order.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) name: &'a str,
    pub(super) headline: &'a str,
    pub(super) progress: &'a str,
    pub(super) sections: &'a [Section],
    pub(super) samples: &'a Samples,
    pub(super) asked: &'a [Asked],
    /// Stages and provenance, after the texts.
    pub(super) colophon: &'a [Section],
    pub(super) served: Option<&'a Served>,
}

/// What a server puts on top of the page.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Markup, escaped already.
    pub top: String,
    /// The content security policy in place of the file's own.
    pub policy: String,
    /// CSS, after the page's own.
    pub style: String,
    /// The address of a script.
    pub script: String,
}

impl Page<'_> {
    pub(super) fn render(&self) -> anyhow::Result<String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
        environment.set_syntax(syntax);
        environment.add_template("index.html", include_str!("page.html"))?;
        let page = environment.get_template("index.html")?;
        let own_style = self.served.map_or("", |served| &served.style);
        page.render(context! {
            style => Value::from_safe_string(include_str!("page.css").to_owned() + own_style),
            name => self.name,
            headline => self.headline,
            progress => self.progress,
            sections => Value::from(Serde(self.sections)),
            samples => Value::from(Serde(self.samples)),
            asked => Value::from(Serde(self.asked)),
            colophon => Value::from(Serde(self.colophon)),
            top => self.served.map(|served| Value::from_safe_string(served.top.clone())),
            policy => self.served.map_or(POLICY, |served| &served.policy),
            script => self.served.map(|served| &served.script),
        })
        .context("cannot fill in the report page")
    }
}
