//! A chat-completion server on this machine that answers as a test tells it, misbehaviour included.
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

/// What a client sent.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The request line and the headers.
    pub(super) head: String,
    pub(super) body: Value,
    /// How many requests came before it.
    pub(super) number: usize,
    /// The client's end of its connection.
    pub(super) connection: SocketAddr,
}

/// What to do about a request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Answer {
        status: u16,
        headers: &'static str,
        body: String,
    },
    /// Announces more than it sends.
    Cut(String),
    /// A byte now and then.
    Drip {
        body: String,
        every: Duration,
    },
    /// Sends nothing for so long, then hangs up.
    Silence(Duration),
    /// Hangs up in the middle of the request.
    Reset,
}

/// Serves until dropped.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    act: Box<dyn Fn(&Request) -> Act + Send + Sync>,
    requests: Mutex<Vec<Request>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    stop: AtomicBool,
}

impl Act {
    pub(super) fn status(status: u16, headers: &'static str, body: &str) -> Self {
        Self::Answer { status, headers, body: body.into() }
    }

    pub(super) fn say(text: &str) -> Self {
        Self::status(200, "Content-Type: application/json\r\n", &completion(text))
    }
}

/// A usual reply.
pub(super) fn completion(text: &str) -> String {
    let message = json!({ "role": "assistant", "content": text });
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "judge-2024-08-06",
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15 },
    })
    .to_string()
}

impl Server {
    pub(super) fn start(act: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            act: Box::new(act),
            requests: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let own = shared.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if own.stop.load(Ordering::SeqCst) {
                    return;
                }
                let own = own.clone();
                // A client that leaves in the middle is part of some tests.
                thread::spawn(move || drop(own.serve(&stream.unwrap())));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Most requests that were under way at once.
    pub(super) fn most_running(&self) -> usize {
        self.shared.most_running.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// One connection, to its end.
    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let connection = stream.peer_addr()?;
        let mut reader = BufReader::with_capacity(1, stream.try_clone()?);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head)? == 0 {
                    return Ok(());
                }
            }
            let length = head
                .to_lowercase()
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
            let mut body = vec![0; length];
            // A connection that is closed before all was read is reset, so the last byte waits.
            reader.read_exact(&mut body[..length - 1])?;
            body[length - 1] = b'}';
            let request = {
                let mut requests = self.requests.lock().unwrap();
                let body = serde_json::from_slice(&body).unwrap();
                let request = Request { head, body, number: requests.len(), connection };
                requests.push(request.clone());
                request
            };
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_running.fetch_max(running, Ordering::SeqCst);
            let act = (self.act)(&request);
            self.running.fetch_sub(1, Ordering::SeqCst);
            if matches!(act, Act::Reset) {
                return Ok(());
            }
            reader.read_exact(&mut body[..1])?;
            let send = |status: u16, headers: &str, length: usize, body: &str| {
                let head = format!("HTTP/1.1 {status} Status\r\n{headers}Content-Length: {length}");
                (&*stream).write_all(format!("{head}\r\n\r\n{body}").as_bytes())
            };
            match act {
                Act::Answer { status, headers, body } => {
                    send(status, headers, body.len(), &body)?;
                }
                Act::Cut(body) => return send(200, "", body.len() + 100, &body),
                Act::Drip { body, every } => {
                    send(200, "", body.len(), "")?;
                    for byte in body.bytes() {
                        thread::sleep(every);
                        stream.write_all(&[byte])?;
                    }
                }
                Act::Silence(time) => {
                    thread::sleep(time);
                    return Ok(());
                }
                Act::Reset => {}
            }
        }
    }
}
