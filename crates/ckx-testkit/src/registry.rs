//! A small registry on this machine, for tests of what goes wrong: it does what it is told to, once or
//! several times, and remembers what it was asked.
//!
//! Written from the distribution specification with nothing but the standard library, so that a mistake in
//! our client cannot hide itself.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A registry that serves until the process ends.
#[derive(Debug, Clone)]
pub struct Registry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What a registry holds and was told.
#[derive(Debug, Default)]
pub struct State {
    /// Blobs by repository and digest.
    pub blobs: BTreeMap<(String, String), Vec<u8>>,
    /// Manifests by repository and tag or digest, with their media types.
    pub manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    /// What arrived of uploads.
    pub uploads: BTreeMap<String, Vec<u8>>,
    /// Each request: method and path.
    pub requests: Vec<String>,
    /// What goes wrong next.
    pub faults: Vec<Fault>,
    /// Who may do anything.
    pub login: Login,
    /// The port, for absolute addresses.
    address: String,
    count: usize,
}

/// Something that goes wrong.
#[derive(Debug, Clone)]
pub struct Fault {
    /// With requests of this method,
    pub method: &'static str,
    /// whose path holds this,
    pub path: &'static str,
    /// this many times.
    pub times: usize,
    /// What happens.
    pub what: Wrong,
}

/// Ways of going wrong.
#[derive(Debug, Clone, Copy)]
pub enum Wrong {
    /// The answer has this status, and perhaps a time to wait in seconds.
    Status(u16, Option<u64>),
    /// The connection is cut after so many bytes of the body; these are kept.
    CutBody(usize),
    /// As that, and the upload is forgotten.
    Forget(usize),
    /// The connection is cut after so many bytes of the answer.
    CutAnswer(usize),
    /// A byte of the answer is another.
    Flip,
}

/// Whom a registry serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Login {
    /// Everybody.
    #[default]
    Nobody,
    /// Who sends name and password with each request: `user` and `pass`.
    Basic,
    /// Who has a token, which is had for the same.
    Bearer,
}

/// `user:pass`, as the program `base64` writes it.
pub const CREDENTIALS: &str = "dXNlcjpwYXNz";

impl Registry {
    /// Starts one at a port that is free.
    ///
    /// # Panics
    /// If there is none.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = State { address: address.to_string(), ..State::default() };
        let registry = Self { address, state: Arc::new(Mutex::new(state)) };
        let served = registry.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                std::thread::spawn(move || served.serve(&stream));
            }
        });
        registry
    }

    /// `docker://` and the name of an image in it.
    pub fn image(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.address)
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What it holds; to change it too.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes something go wrong.
    pub fn fail(&self, method: &'static str, path: &'static str, times: usize, what: Wrong) {
        self.state().faults.push(Fault { method, path, times, what });
    }

    /// Requests of a method whose path holds this.
    pub fn asked(&self, method: &str, path: &str) -> usize {
        let is_one = |each: &&String| each.starts_with(&format!("{method} ")) && each.contains(path);
        self.state().requests.iter().filter(is_one).count()
    }

    fn serve(&self, stream: &TcpStream) {
        let mut input = BufReader::new(stream);
        // An error ends the connection; a client that is wrong shows in its own test.
        while let Ok(Some(request)) = Request::read(&mut input) {
            if self.answer(&request, &mut input, stream).is_err() {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn answer(&self, request: &Request, input: &mut dyn Read, mut out: &TcpStream) -> io::Result<()> {
        let wrong = {
            let mut state = self.state();
            state.requests.push(format!("{} {}", request.method, request.target));
            state.next_fault(request)
        };
        let mut body = vec![0; request.body_bytes];
        if let Some(Wrong::CutBody(bytes) | Wrong::Forget(bytes)) = wrong {
            body.truncate(bytes);
            input.read_exact(&mut body)?;
            self.state().cut(request, &body, matches!(wrong, Some(Wrong::Forget(_))));
            return Err(io::Error::other("cut"));
        }
        input.read_exact(&mut body)?;
        let mut answer = match wrong {
            Some(Wrong::Status(status, wait)) => {
                let wait = wait.map(|seconds| ("Retry-After", seconds.to_string()));
                Answer { headers: wait.into_iter().collect(), ..Answer::error(status, "told to") }
            }
            _ => self.state().answer(request, body),
        };
        let is_head = request.method == "HEAD";
        if let (Some(Wrong::Flip), Some(byte)) = (wrong, answer.body.last_mut()) {
            *byte ^= 1;
        }
        let mut head = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        out.write_all(format!("{head}\r\n").as_bytes())?;
        if let Some(Wrong::CutAnswer(bytes)) = wrong {
            out.write_all(answer.body.get(..bytes).unwrap_or_default())?;
            return Err(io::Error::other("cut"));
        }
        if is_head { Ok(()) } else { out.write_all(&answer.body) }
    }
}

#[derive(Debug)]
struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body_bytes: usize,
}

impl Request {
    fn read(input: &mut dyn BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let body_bytes = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Some(Self { method, target, headers, body_bytes }))
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn query(&self, name: &str) -> Option<String> {
        let pairs = self.target.split_once('?')?.1.split('&');
        let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1;
        Some(value.replace("%3A", ":").replace("%2F", "/"))
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn error(status: u16, message: &str) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"TEST","message":"{message}"}}]}}"#);
        Self { body: body.into_bytes(), ..Self::new(status) }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl State {
    fn next_fault(&mut self, request: &Request) -> Option<Wrong> {
        let is_meant = |fault: &Fault| {
            fault.times > 0 && fault.method == request.method && request.target.contains(fault.path)
        };
        let fault = self.faults.iter_mut().find(|fault| is_meant(fault))?;
        fault.times -= 1;
        Some(fault.what)
    }

    fn cut(&mut self, request: &Request, body: &[u8], is_forgotten: bool) {
        let Some(id) = request.path().rsplit('/').next() else { return };
        if is_forgotten {
            self.uploads.remove(id);
        } else if let Some(upload) = self.uploads.get_mut(id) {
            upload.extend_from_slice(body);
        }
    }

    fn answer(&mut self, request: &Request, body: Vec<u8>) -> Answer {
        if request.path() == "/token" {
            return self.token(request);
        }
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        let path = request.path().trim_start_matches("/v2/").to_owned();
        let split = |mark: &str| {
            path.split_once(mark).map(|(repository, rest)| (repository.to_owned(), rest.to_owned()))
        };
        if path.is_empty() {
            Answer::new(200)
        } else if let Some((repository, id)) = split("/blobs/uploads/") {
            self.upload(request, &repository, &id, body)
        } else if let Some(key) = split("/blobs/") {
            self.blob(request, &key)
        } else if let Some(key) = split("/manifests/") {
            self.manifest(request, key, body)
        } else if let Some((repository, _)) = split("/tags/list") {
            self.tags(&repository)
        } else {
            Answer::error(404, "no such place")
        }
    }

    /// A token for a scope, which is the token.
    fn token(&self, request: &Request) -> Answer {
        let is_known = request.headers.get("authorization").is_some_and(|who| who.ends_with(CREDENTIALS));
        let scope = request.query("scope").unwrap_or_default();
        if !is_known {
            return Answer::error(401, "wrong password");
        }
        let body = format!(r#"{{"token":"{}"}}"#, scope.replace("%2C", ","));
        Answer { body: body.into_bytes(), ..Answer::new(200) }
    }

    fn refusal(&self, request: &Request) -> Option<Answer> {
        let sent = request.headers.get("authorization").cloned().unwrap_or_default();
        let challenge = match self.login {
            Login::Nobody => return None,
            Login::Basic if sent == format!("Basic {CREDENTIALS}") => return None,
            Login::Basic => "Basic realm=\"test\"".to_owned(),
            Login::Bearer => {
                let repository = request.path().trim_start_matches("/v2/");
                let place = ["/blobs", "/manifests", "/tags"].iter().find_map(|place| repository.find(place));
                let repository = place.and_then(|at| repository.get(..at)).unwrap_or_default();
                let is_read = ["GET", "HEAD"].contains(&request.method.as_str());
                let prefix = format!("Bearer repository:{repository}:pull");
                if !repository.is_empty() && sent.starts_with(&prefix) && (is_read || sent.ends_with("push"))
                {
                    return None;
                }
                format!("Bearer realm=\"http://{}/token\",service=\"test\"", self.address)
            }
        };
        Some(Answer::error(401, "who are you").with("WWW-Authenticate", challenge))
    }

    fn upload(&mut self, request: &Request, repository: &str, id: &str, body: Vec<u8>) -> Answer {
        let place = |id: &str| format!("/v2/{repository}/blobs/uploads/{id}?state=kept");
        if request.method == "POST" {
            if let (Some(digest), Some(from)) = (request.query("mount"), request.query("from"))
                && let Some(blob) = self.blobs.get(&(from, digest.clone())).cloned()
            {
                self.blobs.insert((repository.to_owned(), digest), blob);
                return Answer::new(201).with("Location", "/");
            }
            self.count += 1;
            let id = format!("upload-{}", self.count);
            self.uploads.insert(id.clone(), Vec::new());
            return Answer::new(202).with("Location", place(&id));
        }
        let Some(upload) = self.uploads.get_mut(id) else { return Answer::error(404, "no such upload") };
        match request.method.as_str() {
            "GET" => {
                let last = upload.len().saturating_sub(1);
                Answer::new(204).with("Location", place(id)).with("Range", format!("0-{last}"))
            }
            "PATCH" => {
                let range = request.headers.get("content-range").cloned().unwrap_or_default();
                let expected = format!("{}-{}", upload.len(), upload.len() + body.len() - 1);
                if range != expected {
                    return Answer::error(416, "out of order");
                }
                upload.extend_from_slice(&body);
                Answer::new(202).with("Location", place(id))
            }
            "PUT" => {
                let blob = [std::mem::take(upload), body].concat();
                let digest = request.query("digest").unwrap_or_default();
                if request.query("state").is_none() || sha256(&blob) != digest {
                    return Answer::error(400, "another digest");
                }
                self.uploads.remove(id);
                self.blobs.insert((repository.to_owned(), digest), blob);
                Answer::new(201).with("Location", "/")
            }
            "DELETE" => {
                self.uploads.remove(id);
                Answer::new(204)
            }
            _ => Answer::error(405, "no"),
        }
    }

    fn blob(&self, request: &Request, key: &(String, String)) -> Answer {
        let Some(blob) = self.blobs.get(key) else { return Answer::error(404, "no such blob") };
        let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
        let start = range.and_then(|range| range.split_once('-')?.0.parse().ok());
        match start.and_then(|start: usize| blob.get(start..)) {
            Some(rest) => Answer { body: rest.to_vec(), ..Answer::new(206) },
            None => Answer { body: blob.clone(), ..Answer::new(200) },
        }
    }

    fn tags(&self, repository: &str) -> Answer {
        let own = self.manifests.keys().filter(|(place, _)| place == repository);
        let tags: Vec<String> =
            own.filter(|(_, name)| !name.contains(':')).map(|(_, tag)| format!("\"{tag}\"")).collect();
        if tags.is_empty() {
            return Answer::error(404, "no such repository");
        }
        let body = format!(r#"{{"name":"{repository}","tags":[{}]}}"#, tags.join(","));
        Answer { body: body.into_bytes(), ..Answer::new(200) }
    }

    fn manifest(&mut self, request: &Request, key: (String, String), body: Vec<u8>) -> Answer {
        if request.method != "PUT" {
            let Some((kind, manifest)) = self.manifests.get(&key) else {
                return Answer::error(404, "no such image");
            };
            return Answer { body: manifest.clone(), ..Answer::new(200) }.with("Content-Type", kind);
        }
        let kind = request.headers.get("content-type").cloned().unwrap_or_default();
        let digest = sha256(&body);
        self.manifests.insert((key.0.clone(), digest.clone()), (kind.clone(), body.clone()));
        self.manifests.insert(key, (kind, body));
        Answer::new(201).with("Location", "/").with("Docker-Content-Digest", digest)
    }
}

/// Debian's registry, with its images in a directory. It ends with the test.
#[derive(Debug)]
pub struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    /// Starts it; `None`, and a word about it, where it is not installed.
    ///
    /// # Panics
    /// If it does not serve.
    #[expect(clippy::print_stdout, reason = "a test says what it leaves out")]
    pub fn start(directory: &Path) -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let file = directory.join("config.yml");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '{address}'}}\n",
            directory.display()
        );
        std::fs::write(&file, config).expect("a directory that can be written");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("skipped: docker-registry is not installed");
            return None;
        };
        let served = Self { child, address };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < Duration::from_mins(1), "docker-registry does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(served)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A digest, computed by the program that every machine has.
fn sha256(data: &[u8]) -> String {
    let run = || -> io::Result<String> {
        let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(data)?;
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(format!("sha256:{}", text.get(..64).unwrap_or_default()))
    };
    run().unwrap_or_default()
}
