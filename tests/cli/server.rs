//! A server on this machine that speaks OpenAI's chat completions, well or badly, as a test tells it.
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// How often each question was asked, and how often it was answered.
type Asked = Arc<Mutex<HashMap<String, (usize, usize)>>>;

pub(crate) struct Server {
    pub(crate) url: String,
    asked: Asked,
}

/// What a server does with the `n`-th time that a question is asked, from 0.
pub(crate) type Manner = fn(question: &str, n: usize) -> Act;

pub(crate) enum Act {
    /// Says this, after so many milliseconds.
    Say(&'static str, u64),
    /// Answers with a status and a body.
    Status(u16, &'static str),
    /// Closes the connection after half of a good answer.
    Cut,
    /// Closes it at once.
    Reset,
}

impl Server {
    /// Serves until the test ends.
    pub(crate) fn new(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Asked::default();
        let counts = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counts = Arc::clone(&counts);
                thread::spawn(move || serve(stream, manner, &counts));
            }
        });
        Self { url, asked }
    }

    /// Questions that were answered well, each with how often that was.
    pub(crate) fn answered(&self) -> Vec<usize> {
        let asked = self.asked.lock().unwrap();
        asked.values().map(|(_, answered)| *answered).filter(|&count| count > 0).collect()
    }
}

/// One request a connection: who is cut off has lost no other.
fn serve(stream: TcpStream, manner: Manner, counts: &Asked) {
    let Some((question, body)) = read(&stream) else { return };
    let n = {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(question.clone()).or_default();
        count.0 += 1;
        count.0 - 1
    };
    let logprobs = body["logprobs"].as_bool().unwrap_or(false);
    match manner(&question, n) {
        Act::Reset => {}
        Act::Status(status, text) => drop(send(&stream, status, text.as_bytes())),
        Act::Cut => {
            let whole = reply("Verdict: A", logprobs);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
            drop((&stream).write_all(head.as_bytes()));
            drop((&stream).write_all(&whole.as_bytes()[..whole.len() / 2]));
        }
        Act::Say(text, wait) => {
            thread::sleep(Duration::from_millis(wait));
            // Counted before it is sent: who hangs up may have got it.
            counts.lock().unwrap().get_mut(&question).unwrap().1 += 1;
            drop(send(&stream, 200, reply(text, logprobs).as_bytes()));
        }
    }
}

fn read(stream: &TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    let body: Value = serde_json::from_slice(&bytes).ok()?;
    Some((body["messages"].to_string(), body))
}

fn reply(text: &str, logprobs: bool) -> String {
    let candidates = json!([
        {"token": "A", "logprob": -0.2}, {"token": "B", "logprob": -1.8}
    ]);
    let logprobs = match logprobs {
        true => json!({"content": [{"token": "A", "top_logprobs": candidates}]}),
        false => Value::Null,
    };
    let choice = json!({
        "message": {"role": "assistant", "content": text}, "finish_reason": "stop", "logprobs": logprobs
    });
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10});
    json!({"choices": [choice], "usage": usage, "model": "judge-1"}).to_string()
}

fn send(mut stream: &TcpStream, status: u16, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
