//! What long work tells whoever watches it. The library draws nothing: the command line turns these
//! into progress bars, a test into a list.

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Work of `total` units begins, or of an unknown number where `total` is 0; nothing is known to
    /// be left of earlier work.
    Begin { what: String, total: u64, unit: Unit },
    /// That many more units are done.
    Advance(u64),
    /// Something worth showing beside the bar, such as the latest loss.
    Show(String),
    /// The work begun last is over.
    End,
    /// Something to say that stays on the screen.
    Say(String),
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Rows,
    Bytes,
    Tokens,
}

/// Receives events; passed down by reference to everything that may take long.
pub type Watch<'a> = &'a dyn Fn(Event);

/// A watcher that looks away.
pub fn nobody(_: Event) {}
