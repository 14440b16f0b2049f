//! `index.html`: the sections and the texts as one page that asks nobody for anything.
//!
//! Everything from outside is escaped by the template engine; only our own drawings and our own script
//! go in as they are. A content security policy forbids other scripts, and all requests, in case
//! anything slipped through.
use anyhow::Context;
use minijinja::{Environment, Value, context, syntax::SyntaxConfig, value::Serde};

use super::{browse::Browsed, document::Section, embed, glance::Fact, samples::Samples};

/// What a page may do that a server sends: also ask that server, and run its scripts.
pub fn served_policy() -> String {
    policy(" 'self'") + "; connect-src 'self'; form-action 'self'; base-uri 'none'"
}

fn policy(scripts: &str) -> String {
    let own = embed::script_source();
    format!("default-src 'none'; style-src 'unsafe-inline'; script-src {own}{scripts}")
}

/// What the page shows, in order.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) name: &'a str,
    pub(super) headline: &'a str,
    pub(super) progress: &'a str,
    /// The answers at the top.
    pub(super) facts: &'a [Fact],
    pub(super) sections: &'a [Section],
    pub(super) samples: &'a Samples,
    pub(super) browsed: &'a Browsed,
    /// Stages and provenance, after the texts.
    pub(super) colophon: &'a [Section],
    pub(super) served: Option<&'a Served>,
}

/// What a server puts on top of the page.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Markup, escaped already.
    pub top: String,
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
        let data = match self.browsed.is_empty() {
            true => None,
            false => Some(embed::data(self.browsed)?),
        };
        let own_style = self.served.map_or("", |served| &served.style);
        page.render(context! {
            style => Value::from_safe_string([include_str!("page.css"), include_str!("report.css"), own_style].concat()),
            name => self.name,
            headline => self.headline,
            progress => self.progress,
            sections => Value::from(Serde(self.sections)),
            samples => Value::from(Serde(self.samples)),
            facts => Value::from(Serde(self.facts)),
            data => data.map(|data| Value::from(Serde(data))),
            own_script => Value::from_safe_string(embed::SCRIPT.to_owned()),
            colophon => Value::from(Serde(self.colophon)),
            top => self.served.map(|served| Value::from_safe_string(served.top.clone())),
            policy => self.served.map_or_else(|| policy(""), |_| served_policy()),
            script => self.served.map(|served| &served.script),
        })
        .context("cannot fill in the report page")
    }
}
