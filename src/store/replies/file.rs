//! The SQLite file itself: what makes it ours, how it is opened, and what its errors mean.
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

/// SQLite's mark of whose file it is: the letters `spyh`.
const APPLICATION: i32 = 0x7370_7968;

/// The version of [`SCHEMA`].
const VERSION: i32 = 1;

/// Short columns come first and the request last: SQLite reads a row from its beginning, and a lookup
/// then never reads the request. It is there to explain the reply, and hashes to the key.
const SCHEMA: &str = "
    CREATE TABLE replies (
        key BLOB NOT NULL UNIQUE,
        model TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        cost REAL,
        stored INTEGER NOT NULL,
        reply TEXT NOT NULL,
        request TEXT NOT NULL
    ) STRICT";

/// How long to wait for another process, which may be giving back the space of a large file.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens or creates a file of the present schema.
pub(super) fn open(path: &Path) -> anyhow::Result<Connection> {
    // SQLite gives a meaning to some names, such as `:memory:`; none of them is an absolute path.
    let absolute =
        std::path::absolute(path).with_context(|| format!("{:?} is no path", path.display()))?;
    if let Some(directory) = absolute.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let explain = |error| explain(path, error);
    let mut connection = Connection::open(absolute).map_err(explain)?;
    connection.busy_timeout(PATIENCE).map_err(explain)?;
    if !is_ours(&connection, path)? {
        create(&mut connection, path)?;
    }
    // A reply may have cost money, so a commit waits for the disk.
    connection.pragma_update(None, "synchronous", "FULL").map_err(explain)?;
    Ok(connection)
}

/// What went wrong with a file, and what to do.
pub(super) fn explain(path: &Path, error: rusqlite::Error) -> anyhow::Error {
    let path = path.display();
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            "; it is no store of replies, or its beginning is damaged: choose another file, or move this one away to start a new one"
        }
        // No code: SQLite itself is content, but a row does not hold what was put there.
        Some(ErrorCode::DatabaseCorrupt) | None => {
            "; the file is damaged: move it away to start a new one, or save what is left with `sqlite3 FILE .recover | sqlite3 NEW`"
        }
        Some(ErrorCode::DiskFull) => {
            "; free some space and run again: replies that were kept before are safe"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another process has been writing to it for a minute: wait for that one, or choose another file"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "; choose a file in a directory that you may write to"
        }
        _ => "",
    };
    anyhow::anyhow!("cannot use the replies in {path}: {error}{advice}")
}

/// Whether a file is a store of replies; false for a new, empty one.
///
/// # Errors
/// When it is something else.
fn is_ours(connection: &Connection, path: &Path) -> anyhow::Result<bool> {
    let read = || {
        let marks = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
            FROM pragma_application_id, pragma_user_version";
        connection.query_row(marks, [], |row| {
            Ok((row.get::<_, i32>(0)?, row.get::<_, i32>(1)?, row.get::<_, i64>(2)?))
        })
    };
    let path_shown = path.display();
    match read().map_err(|error| explain(path, error))? {
        (APPLICATION, VERSION, _) => Ok(true),
        (0, 0, 0) => Ok(false),
        (APPLICATION, newer, _) => anyhow::bail!(
            "{path_shown} was made by another spyhop (version {newer} of the schema, this one knows {VERSION}); use that spyhop, or choose another file"
        ),
        _ => anyhow::bail!(
            "{path_shown} is the SQLite file of another program, and stays as it is; choose another file for replies"
        ),
    }
}

fn create(connection: &mut Connection, path: &Path) -> anyhow::Result<()> {
    let explain = |error| explain(path, error);
    // Readers and one writer do not wait for each other. The file remembers it.
    let began = Instant::now();
    while let Err(error) = connection.pragma_update(None, "journal_mode", "WAL") {
        // For this one change SQLite does not wait by itself, and another process may be at it.
        let busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
        if !busy || began.elapsed() > PATIENCE {
            return Err(explain(error));
        }
        thread::sleep(Duration::from_millis(5));
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
    // Another process may have created it while this one waited.
    if !is_ours(&transaction, path)? {
        transaction.execute_batch(SCHEMA).map_err(explain)?;
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(explain)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(explain)?;
    }
    transaction.commit().map_err(explain)
}
