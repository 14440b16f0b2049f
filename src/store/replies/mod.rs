//! Every reply of every model call, in one SQLite file, so that nothing is asked or paid for twice.
//!
//! Knows no model and no task: a request is whatever JSON the caller calls the complete request, and
//! a reply is JSON text. There is no way to keep an error. Several processes may share a file, which
//! has to be on a disk of their machine: SQLite's shared memory does not cross a network.
mod file;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use rusqlite::{
    Connection, OptionalExtension, Row, Statement, Transaction, TransactionBehavior, params,
};
use serde_json::Value;

/// An open store of replies, which threads may share.
#[derive(Debug)]
pub struct Replies {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// What a reply is found by: a hash of the complete request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(blake3::Hash);

impl fmt::Display for Key {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(&self.0.to_hex(), f)
    }
}

/// A reply as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// JSON text, returned to the byte as it was put.
    pub reply: String,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// In dollars; `None` where nobody knows the price.
    pub cost: Option<f64>,
    /// When it came, in seconds since 1970 (UTC).
    pub stored: u64,
}

/// What the store has of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSummary {
    pub model: String,
    pub replies: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// In dollars, over the replies whose cost is known; `None` where there is no such reply.
    pub cost: Option<f64>,
    /// How many replies have a known cost.
    pub priced: u64,
    /// When the oldest and the newest reply came, in seconds since 1970 (UTC).
    pub first: u64,
    pub last: u64,
    /// Size of the requests and replies as text.
    pub bytes: u64,
}

impl Replies {
    /// Opens or creates a store, and the directories above it.
    ///
    /// # Errors
    /// When the file cannot be opened, is no store of replies, or was made by a newer spyhop. Such a
    /// file is left as it was.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = Mutex::new(file::open(path)?);
        Ok(Self { path: path.to_owned(), connection })
    }

    /// The key of a request: BLAKE3 of its JSON without white space and with the names of every
    /// object in the order of their UTF-8 bytes.
    ///
    /// So the order of fields does not matter. Everything else does: order in arrays, each byte of a
    /// text, `1` and `1.0`, a field that is null and one that is not there. A request therefore has
    /// to hold all that the reply depends on (the model and its weights or endpoint, messages,
    /// sampling, the number of the sample) and nothing secret, as it is kept with the reply.
    pub fn key(request: &Value) -> Key {
        Key(blake3::hash(canonical(request).as_bytes()))
    }

    /// The reply kept for a request, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn get(&self, key: &Key) -> anyhow::Result<Option<Stored>> {
        self.with(|connection| find(&mut connection.prepare(FIND)?, key))
    }

    /// What [`Replies::get`] returns for each key, all as of one moment.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn get_many(&self, keys: &[Key]) -> anyhow::Result<Vec<Option<Stored>>> {
        self.with(|connection| {
            let _one_moment = connection.unchecked_transaction()?;
            let mut statement = connection.prepare(FIND)?;
            keys.iter().map(|key| find(&mut statement, key)).collect()
        })
    }

    /// Keeps a reply; once this returns, it outlasts a kill and a power cut.
    ///
    /// `model` is a label for [`Replies::summary`] and [`Replies::prune`] and no part of the key.
    /// Returns false where the request already had a reply, such as one of another process that
    /// asked at the same time: the first stays.
    ///
    /// # Errors
    /// When the reply is not JSON, or cannot be written, such as on a full disk. What was kept before
    /// stays.
    pub fn put(&self, model: &str, request: &Value, reply: &Stored) -> anyhow::Result<bool> {
        Ok(self.put_all(model, &[(request, reply)])? == 1)
    }

    /// Keeps several replies, all or none, in little more time than one takes. Returns how many of
    /// the requests had no reply before.
    ///
    /// # Errors
    /// Those of [`Replies::put`].
    pub fn put_all(&self, model: &str, replies: &[(&Value, &Stored)]) -> anyhow::Result<usize> {
        for (_, reply) in replies {
            serde_json::from_str::<serde::de::IgnoredAny>(&reply.reply)
                .context("a reply that is not whole JSON cannot be kept")?;
        }
        self.with(|connection| {
            let transaction =
                Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            let mut statement = transaction.prepare(INSERT)?;
            let mut added = 0;
            for (request, reply) in replies {
                let request = canonical(request);
                added += statement.execute(params![
                    blake3::hash(request.as_bytes()).as_bytes(),
                    model,
                    reply.prompt_tokens.cast_signed(),
                    reply.completion_tokens.cast_signed(),
                    reply.cost,
                    reply.stored.cast_signed(),
                    reply.reply,
                    request,
                ])?;
            }
            drop(statement);
            transaction.commit()?;
            Ok(added)
        })
    }

    /// What the store has of each model, by name.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn summary(&self) -> anyhow::Result<Vec<ModelSummary>> {
        self.with(|connection| {
            let mut statement = connection.prepare(
                "SELECT model, count(*), sum(prompt_tokens), sum(completion_tokens), sum(cost),
                     count(cost), min(stored), max(stored),
                     sum(octet_length(request) + octet_length(reply))
                 FROM replies GROUP BY model ORDER BY model",
            )?;
            let summaries = statement.query_map([], |row| {
                Ok(ModelSummary {
                    model: row.get(0)?,
                    replies: number(row, 1)?,
                    prompt_tokens: number(row, 2)?,
                    completion_tokens: number(row, 3)?,
                    cost: row.get(4)?,
                    priced: number(row, 5)?,
                    first: number(row, 6)?,
                    last: number(row, 7)?,
                    bytes: number(row, 8)?,
                })
            })?;
            summaries.collect()
        })
    }

    /// Size of the file in bytes, once SQLite has moved into it what waits in the log beside it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn bytes(&self) -> anyhow::Result<u64> {
        self.with(|connection| {
            let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
            connection.query_row(size, [], |row| number(row, 0))
        })
    }

    /// Removes the replies that came before a moment (in seconds since 1970, UTC), or those of a
    /// model, or those that are both; and gives their space back. Returns how many they were.
    ///
    /// # Errors
    /// When neither is given; or when the file cannot be written. If only the space cannot be given
    /// back, which takes as much again while it is done, the message says so.
    pub fn prune(&self, before: Option<u64>, model: Option<&str>) -> anyhow::Result<usize> {
        anyhow::ensure!(
            before.is_some() || model.is_some(),
            "say which replies to remove from {}: by age, by model, or both",
            self.path.display()
        );
        let removed = self.with(|connection| {
            connection.execute(
                "DELETE FROM replies
                 WHERE (?1 IS NULL OR stored < ?1) AND (?2 IS NULL OR model = ?2)",
                params![before.map(u64::cast_signed), model],
            )
        })?;
        if removed > 0 {
            self.with(|connection| {
                connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
            })
            .with_context(|| {
                format!("{removed} replies are removed, but their space is not free")
            })?;
        }
        Ok(removed)
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> anyhow::Result<T> {
        // A thread that panicked here left no transaction: SQLite has rolled it back.
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection).map_err(|error| file::explain(&self.path, error))
    }
}

const INSERT: &str = "INSERT INTO replies
     (key, model, prompt_tokens, completion_tokens, cost, stored, reply, request)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (key) DO NOTHING";

const FIND: &str = "SELECT reply, prompt_tokens, completion_tokens, cost, stored
     FROM replies WHERE key = ?1";

fn find(statement: &mut Statement, key: &Key) -> rusqlite::Result<Option<Stored>> {
    let stored = |row: &Row| {
        Ok(Stored {
            reply: row.get(0)?,
            prompt_tokens: number(row, 1)?,
            completion_tokens: number(row, 2)?,
            cost: row.get(3)?,
            stored: number(row, 4)?,
        })
    };
    statement.query_row([key.0.as_bytes()], stored).optional()
}

/// A column that was put as the signed number of the same bits, as SQLite has no other.
fn number(row: &Row, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

fn canonical(request: &Value) -> String {
    let mut sorted = request.clone();
    sorted.sort_all_objects();
    sorted.to_string()
}
