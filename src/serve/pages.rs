//! How pages are put together: templates that escape whatever they are given, and the headers that keep
//! a browser from asking anybody else for anything.
use anyhow::Context;
use minijinja::{Environment, Value, syntax::SyntaxConfig};

use super::http::Response;

/// Nothing but this server's own style and script, and no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const TEMPLATES: [(&str, &str); 6] = [
    ("base.html", include_str!("pages/base.html")),
    ("choose.html", include_str!("pages/choose.html")),
    ("live.html", include_str!("pages/live.html")),
    ("message.html", include_str!("pages/message.html")),
    ("rate.html", include_str!("pages/rate.html")),
    ("results.html", include_str!("pages/results.html")),
];

/// A whole page.
///
/// # Errors
/// When the template cannot be filled in.
pub(super) fn page(template: &str, values: Value) -> anyhow::Result<Response> {
    fragment(template, values).map(Response::html)
}

/// A page or a part of one, everything in it escaped.
///
/// # Errors
/// When the template cannot be filled in.
pub(super) fn fragment(template: &str, values: Value) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    let found = environment.get_template(template)?;
    found.render(values).with_context(|| format!("cannot fill in {template}"))
}

/// A page that says one thing.
pub(super) fn message(status: u16, title: &str, text: &str) -> Response {
    let values = minijinja::context! { title => title, text => text };
    match page("message.html", values) {
        Ok(page) => Response { status, ..page },
        Err(error) => super::guard::refuse(500, &format!("{error:#}")),
    }
}

/// Styles and scripts, which hold nothing of anybody.
pub(super) fn asset(name: &str) -> Response {
    let css = "text/css; charset=utf-8";
    let script = "text/javascript; charset=utf-8";
    match name {
        "style.css" => {
            let report = include_str!("../report/page.css");
            Response::new(200, css, format!("{report}\n{}", include_str!("pages/style.css")))
        }
        "keys.js" => Response::new(200, script, include_str!("pages/keys.js").to_owned()),
        "live.js" => Response::new(200, script, include_str!("pages/live.js").to_owned()),
        _ => message(404, "No such page", "There is nothing at this address."),
    }
}

/// Adds the headers that every answer has.
pub(super) fn secured(mut response: Response) -> Response {
    if !response.headers.iter().any(|(name, _)| *name == "content-security-policy") {
        response = response.with("content-security-policy", POLICY.to_owned());
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        // With less, browsers would not say that a form comes from here.
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
    ] {
        response = response.with(name, value.to_owned());
    }
    response
}
