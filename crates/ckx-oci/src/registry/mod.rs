//! Registries: images that are pushed and pulled by the protocol of the distribution specification.
//!
//! Everything else here is synchronous, so a [`Registry`] has a runtime of its own that runs on the thread
//! that asks for something. It exists only while an image has a name of the form `docker://…`.
//!
//! Who we are, reading blobs, and whether one is there is `oci-client`'s work. Uploads are our own: they go
//! on where a connection was cut, and blobs are sent while they are made.

mod credentials;
mod fault;
mod pull;
mod upload;

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ckx_archive::Progress;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use reqwest::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use tokio::runtime::Runtime;

use crate::Error;
use credentials::Login;
pub use fault::Fault;
pub(crate) use fault::{Failure, Kind};
pub use pull::Pulled;
pub(crate) use upload::{Begun, Upload};

/// How a registry is talked to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Without encryption. Hosts that are this machine are never asked for it.
    pub plain_http: bool,
    /// The file with credentials; without it the usual ones are looked at.
    pub auth_file: Option<PathBuf>,
    /// How often a request is tried before it counts as failed.
    pub attempts: u32,
    /// The wait before the second attempt. It doubles each time.
    pub first_wait: Duration,
    /// Bytes of a blob that are sent at once.
    pub chunk_bytes: usize,
    /// Blobs up to this size are kept in memory until their digest is known; larger ones are made twice.
    pub kept_bytes: usize,
    /// Counts what was sent.
    pub progress: Option<Arc<Progress>>,
    /// Repositories of the same registry that may have blobs already.
    pub mount_from: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            plain_http: false,
            auth_file: None,
            attempts: 5,
            first_wait: Duration::from_millis(500),
            // Proxies in front of registries take bodies of this size.
            chunk_bytes: 16 << 20,
            kept_bytes: 32 << 20,
            progress: None,
            mount_from: Vec::new(),
        }
    }
}

/// The longest wait between attempts, also if the registry asks for more.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Until a connection must have come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Without a byte. A registry that hashes a large blob is silent for long.
const READ_TIMEOUT: Duration = Duration::from_mins(5);
/// Tokens live for a minute at least.
const TOKEN_LIFE: Duration = Duration::from_secs(45);
/// Bytes of an answer to a fault that are read.
const MAX_ERROR_BODY: usize = 64 << 10;

/// An image, or a name for one, in a registry.
pub struct Registry {
    /// The name as it was written, without `docker://`.
    name: String,
    reference: Reference,
    base: Url,
    client: Client,
    http: reqwest::Client,
    login: Login,
    /// Whether the registry wants to know who we are.
    asks_who: bool,
    token: Mutex<Option<(String, Instant)>>,
    runtime: Runtime,
    pub(crate) settings: Settings,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is written in front of a name of an image in a registry.
pub const SCHEME: &str = "docker://";

/// Checks the name of an image in a registry, as in `HOST/NAME:TAG`.
///
/// # Errors
/// Why it is none.
pub fn check_name(name: &str) -> Result<(), String> {
    name.parse::<Reference>()
        .map(drop)
        .map_err(|error| format!("`{}` is no name of an image: {error}", name.escape_debug()))
}

impl Registry {
    /// Finds credentials and connects.
    ///
    /// # Errors
    /// [`Error::Registry`] when nobody answers there; [`Error::Refused`] for a name that is none.
    pub fn connect(name: &str, settings: Settings) -> Result<Arc<Self>, Error> {
        check_name(name).map_err(Error::refused)?;
        let reference: Reference = name.parse().map_err(|_| Error::refused("no name of an image"))?;
        let host = reference.resolve_registry().to_owned();
        let is_plain = settings.plain_http || is_loopback(&host);
        let login =
            credentials::find(reference.registry(), reference.repository(), settings.auth_file.as_deref());
        let scheme = if is_plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}"))
            .map_err(|error| Error::refused(format!("`{host}` is no name of a host: {error}")))?;
        let failed = |failure: Failure| fault("reach", name, &base, &login, &failure);
        require_name_server(&host).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(Failure::new(Kind::Protocol, error.to_string())))?;
        // Clients take the provider of the process; an earlier one of somebody else is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_from(ClientConfig {
            protocol: if is_plain { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        })
        .map_err(|error| failed(error.into()))?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| failed(error.into()))?;
        let mut registry = Self {
            name: name.to_owned(),
            reference,
            base,
            client,
            http,
            login,
            asks_who: false,
            token: Mutex::new(None),
            runtime,
            settings,
        };
        registry.asks_who = registry.greet().map_err(|failure| registry.fault("reach", &failure))?;
        Ok(Arc::new(registry))
    }

    /// Whether the registry asks who we are.
    fn greet(&self) -> Result<bool, Failure> {
        let url = self.url("/v2/")?;
        self.retrying(async || {
            let response = self.http.get(url.clone()).send().await?;
            let asks = response.headers().contains_key(WWW_AUTHENTICATE);
            match response.status() {
                StatusCode::UNAUTHORIZED => Ok(asks),
                status if status.is_success() => Ok(asks),
                _ => Err(refusal(response).await),
            }
        })
    }

    /// The name as it was written, without `docker://`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host, with its port.
    pub fn host(&self) -> &str {
        self.reference.resolve_registry()
    }

    /// The repository: the name without host and tag.
    pub fn repository(&self) -> &str {
        self.reference.repository()
    }

    /// The tag; `None` for a name with a digest.
    pub(crate) fn tag(&self) -> Option<&str> {
        if self.reference.digest().is_some() { None } else { Some(self.reference.tag().unwrap_or("latest")) }
    }

    /// Makes an error of a failure.
    pub(crate) fn fault(&self, action: &'static str, failure: &Failure) -> Error {
        fault(action, &self.name, &self.base, &self.login, failure)
    }

    /// Does something until it succeeds, as long as there is hope. A token that is refused is fetched again
    /// once.
    pub(crate) fn retrying<T>(&self, work: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut attempt = 0;
        let mut has_new_token = false;
        loop {
            let failure = match self.runtime.block_on(work()) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if failure.is_status(401) && !has_new_token && self.forget_token() {
                has_new_token = true;
                continue;
            }
            attempt += 1;
            if !failure.is_passing() || attempt >= self.settings.attempts {
                return Err(failure);
            }
            self.wait(attempt, &failure);
        }
    }

    /// Waits before another attempt, as long as the registry says.
    pub(crate) fn wait(&self, attempt: u32, failure: &Failure) {
        let doubled = self.settings.first_wait.saturating_mul(1 << attempt.saturating_sub(1).min(10));
        std::thread::sleep(failure.retry_after.unwrap_or(doubled).min(MAX_WAIT));
    }

    fn forget_token(&self) -> bool {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// A place in the registry.
    pub(crate) fn url(&self, path: &str) -> Result<Url, Failure> {
        self.base.join(path).map_err(|error| Failure::new(Kind::Protocol, error.to_string()))
    }

    /// A place in the repository.
    pub(crate) fn place(&self, path: &str) -> Result<Url, Failure> {
        self.url(&format!("/v2/{}/{path}", self.repository()))
    }

    /// A request that says who we are, unless it goes to another host: an upload may, and nobody there
    /// needs to know.
    pub(crate) async fn request(
        &self,
        method: Method,
        url: Url,
        operation: RegistryOperation,
    ) -> Result<RequestBuilder, Failure> {
        let is_ours = url.origin() == self.base.origin();
        let request = self.http.request(method, url);
        if !is_ours || !self.asks_who {
            return Ok(request);
        }
        if let Some(header) = self.known_token() {
            return Ok(request.header(AUTHORIZATION, header));
        }
        let token = self.client.auth(&self.reference, &self.login.auth, operation).await?;
        match (token, &self.login.auth) {
            (Some(token), _) => {
                let header = format!("Bearer {token}");
                let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
                *known = Some((header.clone(), Instant::now()));
                Ok(request.header(AUTHORIZATION, header))
            }
            (None, RegistryAuth::Basic(name, password)) => Ok(request.basic_auth(name, Some(password))),
            _ => Ok(request),
        }
    }

    fn known_token(&self) -> Option<String> {
        let known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(_, since)| since.elapsed() < TOKEN_LIFE).map(|(header, _)| header.clone())
    }

    /// Whether the repository has a blob.
    pub(crate) fn has(&self, digest: &str) -> Result<bool, Failure> {
        self.retrying(async || {
            self.client.store_auth_if_needed(self.host(), &self.login.auth).await;
            Ok(self.client.blob_exists(&self.reference, digest).await?)
        })
    }

    /// Whether the repository has no image. One that is refused to tell counts as one that has.
    pub(crate) fn is_empty(&self) -> Result<bool, Failure> {
        let url = self.place("tags/list?n=1")?;
        self.retrying(async || {
            // The token that is got here is used for sending too.
            let request = self.request(Method::GET, url.clone(), RegistryOperation::Push).await?;
            let response = request.send().await?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(true);
            }
            let body = limited(expect(response, &[StatusCode::OK]).await?, MAX_TAGS).await?;
            let list: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            Ok(match list.get("tags") {
                Some(serde_json::Value::Null) => true,
                Some(serde_json::Value::Array(tags)) => tags.is_empty(),
                _ => false,
            })
        })
    }

    /// Gives the manifest its tag: from here on the image is known. Gives the digest that the registry
    /// computed, if it says.
    pub(crate) fn put_manifest(&self, manifest: &[u8], media_type: &str) -> Result<Option<String>, Failure> {
        let url = self.place(&format!("manifests/{}", self.tag().unwrap_or("latest")))?;
        let body = Bytes::copy_from_slice(manifest);
        self.retrying(async || {
            let request = self.request(Method::PUT, url.clone(), RegistryOperation::Push).await?;
            let request = request.header(reqwest::header::CONTENT_TYPE, media_type).body(body.clone());
            let response = expect(request.send().await?, &[StatusCode::CREATED]).await?;
            let digest = response.headers().get("docker-content-digest");
            Ok(digest.and_then(|digest| digest.to_str().ok()).map(str::to_owned))
        })
    }
}

const USER_AGENT: &str = concat!("ckx/", env!("CARGO_PKG_VERSION"));

/// Bytes of a list of tags that are read: registries that do not know `n` send all of them.
const MAX_TAGS: usize = 1 << 20;

/// Where the addresses of name servers stand.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    name == "localhost" || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn without_port(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Without `resolv.conf` the resolver would ask public name servers, which must not learn what is looked at.
fn require_name_server(host: &str) -> Result<(), Failure> {
    let name = without_port(host);
    if name == "localhost" || name.parse::<Ipv4Addr>().is_ok() {
        return Ok(());
    }
    File::open(RESOLV_CONF).map(drop).map_err(|error| {
        let detail = format!("no name servers are known, {RESOLV_CONF} cannot be opened: {error}");
        Failure::new(Kind::Unreachable, detail)
    })
}

/// The answer, if it has one of these states.
pub(crate) async fn expect(response: Response, good: &[StatusCode]) -> Result<Response, Failure> {
    if good.contains(&response.status()) { Ok(response) } else { Err(refusal(response).await) }
}

/// What an answer says that was not hoped for.
async fn refusal(response: Response) -> Failure {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = limited(response, MAX_ERROR_BODY).await.unwrap_or_default();
    if status.is_success() || status.is_redirection() {
        return Failure::new(Kind::Protocol, format!("{status} where something else is due"));
    }
    Failure::status(status.as_u16(), &body, seconds.map(Duration::from_secs))
}

/// The first bytes of a body.
pub(crate) async fn limited(mut response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if chunk.len() > room {
            break;
        }
    }
    Ok(body)
}

fn fault(action: &'static str, name: &str, base: &Url, login: &Login, failure: &Failure) -> Error {
    let host = base.host_str().unwrap_or_default();
    let host = base.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
    let hint = match failure.kind {
        Kind::Status(401) => Some(login.hint(&host)),
        Kind::Status(403) => Some(format!("the account may not do this; {}", login.hint(&host))),
        Kind::Status(404) if action == "read" => Some("it has no such image, or does not show it".to_owned()),
        Kind::Status(404) => Some("the registry knows no such repository, and makes none".to_owned()),
        Kind::Status(429 | 500..) | Kind::Cut | Kind::Lost => Some(
            "it was tried several times; run the command again later: what arrived is not sent again"
                .to_owned(),
        ),
        Kind::Refused | Kind::Unreachable => Some(format!("is a registry running at {host}?")),
        Kind::Secure if failure.detail.contains("certificate") => Some(
            "add the certificate of its authority to those of the system, or name a file with it in SSL_CERT_FILE"
                .to_owned(),
        ),
        Kind::Secure if base.scheme() == "https" => {
            Some("a registry without encryption is reached with --plain-http".to_owned())
        }
        _ => None,
    };
    Error::Registry(Box::new(Fault::new(action, name, failure, hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_needs_no_encryption() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.8.8"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.org", "128.0.0.1:5000", "10.0.0.1", "registry"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn names_are_checked_before_anything_is_asked() {
        assert_eq!(check_name("127.0.0.1:5000/a/b:t"), Ok(()));
        for bad in ["", "h/UPPER:t", "h/a:t t", "h/a:", "h/../a", "h/a\u{1b}[m"] {
            let reason = check_name(bad).unwrap_err();
            assert!(!reason.contains('\u{1b}'), "{reason}");
        }
    }
}
