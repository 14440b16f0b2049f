//! A web server on this machine for tests: it answers as a test tells it, misbehaviour included.
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// What a client sent. Header names are lower case.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Such as `GET /path`.
    pub(super) line: String,
    pub(super) headers: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// Closes the connection after so many bytes of the body.
    pub(super) cut: Option<usize>,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self { status, headers: vec![("Content-Length", "0".into())], ..Self::default() }
    }

    /// The body, or the part of it that the request asks for.
    pub(super) fn file(request: &Request, body: &[u8], etag: &str) -> Self {
        let etag = format!("{etag:?}");
        let fresh = request.headers.get("if-range").is_none_or(|sent| *sent == etag);
        let range = request.headers.get("range").filter(|_| fresh);
        let start =
            range.map(|range| range["bytes=".len()..].trim_end_matches('-').parse().unwrap());
        let (status, start) = match start {
            Some(start) if start >= body.len() => (416, body.len()),
            Some(start) => (206, start),
            None => (200, 0),
        };
        let mut headers =
            vec![("ETag", etag), ("Content-Length", (body.len() - start).to_string())];
        match status {
            206 => headers.push((
                "Content-Range",
                format!("bytes {start}-{}/{}", body.len() - 1, body.len()),
            )),
            416 => headers.push(("Content-Range", format!("bytes */{}", body.len()))),
            _ => {}
        }
        Self { status, headers, body: body[start..].to_vec(), cut: None }
    }

    pub(super) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }
}

/// Serves until dropped.
pub(super) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `answer` is told each request and how many came before it.
    pub(super) fn start(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, stopped) = (requests.clone(), stop.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that leaves in the middle is part of some tests.
                let _ = serve(stream.unwrap(), &seen, &answer);
            }
        });
        Self { address, requests, stop, thread: Some(thread) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &impl Fn(&Request, usize) -> Reply,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let line = first.trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let request = Request { line, headers };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let reply = answer(&request, before);
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if !request.line.starts_with("HEAD") {
        let end = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
        stream.write_all(&reply.body[..end])?;
    }
    Ok(())
}
