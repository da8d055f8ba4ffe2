//! What goes wrong between here and a registry, and what is to be done about it.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use ckx_core::Name;
use oci_client::errors::{OciDistributionError, OciErrorCode};

/// A request that failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub kind: Kind,
    /// What the other side, or the system, says of it. Not escaped.
    pub detail: String,
    /// How long the registry wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An answer with this HTTP status.
    Status(u16),
    /// Nobody listens there.
    Refused,
    /// The host cannot be reached, or has no address.
    Unreachable,
    /// No encrypted connection came about.
    Secure,
    /// The connection ended before its time, or nothing came for long.
    Cut,
    /// The answer is not what the protocol says.
    Protocol,
    /// The registry forgot an upload.
    Lost,
}

/// Bytes of an answer that are told.
const MAX_DETAIL: usize = 300;

impl Failure {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None }
    }

    /// An answer that is none of those that were hoped for.
    pub fn status(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        Self { kind: Kind::Status(status), detail: message(body), retry_after }
    }

    /// Whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self.kind, Kind::Cut | Kind::Status(408 | 425 | 429 | 500 | 502 | 503 | 504))
    }

    /// Whether it has this HTTP status.
    pub fn is_status(&self, status: u16) -> bool {
        self.kind == Kind::Status(status)
    }
}

/// What a registry says in the body of an error: JSON with messages, or text.
fn message(body: &[u8]) -> String {
    let told = || {
        let document: serde_json::Value = serde_json::from_slice(body).ok()?;
        let error = document.get("errors")?.get(0)?;
        let text = |key: &str| error.get(key)?.as_str().filter(|text| !text.is_empty());
        text("message").or_else(|| text("code")).map(str::to_owned)
    };
    told().unwrap_or_else(|| {
        let text = String::from_utf8_lossy(body);
        // A page of a proxy says nothing that its status does not.
        if text.trim_start().starts_with('<') { String::new() } else { text.trim().to_owned() }
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Status(status) => {
                let name = reqwest::StatusCode::from_u16(status).ok();
                let name = name.and_then(|status| status.canonical_reason()).unwrap_or_default();
                format!("the registry answers {status} {name}")
            }
            Kind::Refused => "the connection is refused".to_owned(),
            Kind::Unreachable => "the host cannot be reached".to_owned(),
            Kind::Secure => "no encrypted connection comes about".to_owned(),
            Kind::Cut => "the connection was cut".to_owned(),
            Kind::Protocol => "the answer is not understood".to_owned(),
            Kind::Lost => "the registry lost the upload".to_owned(),
        };
        f.write_str(what.trim_end())?;
        if self.detail.is_empty() {
            return Ok(());
        }
        let cut = self.detail.char_indices().nth(MAX_DETAIL).map_or(self.detail.len(), |(at, _)| at);
        // It comes from the other side and goes to a terminal.
        write!(f, ": {}", Name::from(self.detail.as_bytes().get(..cut).unwrap_or_default()))
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        if let Some(status) = error.status() {
            return Self::new(Kind::Status(status.as_u16()), "");
        }
        let mut causes: Vec<String> = Vec::new();
        let mut refused = false;
        let mut cause = error.source();
        while let Some(error) = cause {
            refused |= error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            causes.push(error.to_string());
            cause = error.source();
        }
        let detail = causes.last().cloned().unwrap_or_else(|| error.to_string());
        let speaks_of = |word: &str| causes.iter().any(|cause| cause.contains(word));
        let kind = if refused {
            Kind::Refused
        } else if speaks_of("certificate") || speaks_of("InvalidContentType") || speaks_of("HandshakeFailure")
        {
            Kind::Secure
        } else if error.is_timeout() && !error.is_connect() {
            return Self::new(Kind::Cut, "nothing came for minutes");
        } else if speaks_of("no records found") {
            // The resolver tells it of one of the queries that it made, in its own terms.
            return Self::new(Kind::Unreachable, "no name server knows an address of it");
        } else if error.is_connect() {
            Kind::Unreachable
        } else if error.is_builder() || error.is_redirect() {
            Kind::Protocol
        } else {
            Kind::Cut
        };
        Self::new(kind, detail)
    }
}

impl From<OciDistributionError> for Failure {
    fn from(error: OciDistributionError) -> Self {
        match error {
            OciDistributionError::RequestError(error) => error.into(),
            OciDistributionError::ServerError { code, message, .. } => {
                Self::status(code, message.as_bytes(), None)
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                let first = envelope.errors.into_iter().next();
                let status = first.as_ref().map_or(400, |error| status_of(&error.code));
                Self::new(Kind::Status(status), first.map(|error| error.message).unwrap_or_default())
            }
            OciDistributionError::UnauthorizedError { .. } => Self::new(Kind::Status(401), ""),
            OciDistributionError::AuthenticationFailure(reason) => {
                Self { kind: Kind::Status(401), detail: message(reason.as_bytes()), retry_after: None }
            }
            OciDistributionError::IoError(error) => Self::new(Kind::Cut, error.to_string()),
            other => Self::new(Kind::Protocol, other.to_string()),
        }
    }
}

/// The status that goes with a code of the distribution protocol.
fn status_of(code: &OciErrorCode) -> u16 {
    match code {
        OciErrorCode::Unauthorized => 401,
        OciErrorCode::Denied => 403,
        OciErrorCode::BlobUnknown
        | OciErrorCode::ManifestUnknown
        | OciErrorCode::NameUnknown
        | OciErrorCode::NotFound => 404,
        OciErrorCode::Toomanyrequests => 429,
        _ => 400,
    }
}

/// A registry did not do what was asked of it.
#[derive(Debug)]
pub struct Fault {
    action: &'static str,
    reference: String,
    failure: String,
    hint: Option<String>,
}

impl Fault {
    pub(super) fn new(
        action: &'static str,
        reference: &str,
        failure: &Failure,
        hint: Option<String>,
    ) -> Self {
        Self { action, reference: reference.to_owned(), failure: failure.to_string(), hint }
    }

    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Name::from(self.reference.as_bytes());
        write!(f, "cannot {} `docker://{name}`: {}", self.action, self.failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_short_and_escaped() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no \u001b[31mway"}]}"#;
        let text = Failure::status(403, body, None).to_string();
        assert_eq!(text, r"the registry answers 403 Forbidden: no \x1b[31mway");
        let page = Failure::status(502, b"<html>long</html>", None);
        assert_eq!(page.to_string(), "the registry answers 502 Bad Gateway");
        let long = Failure::status(500, &[b'x'; 5000], None).to_string();
        assert!(long.len() < 400, "{long}");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let passing = |status| Failure::status(status, b"", None).is_passing();
        assert!([408, 429, 500, 502, 503, 504].into_iter().all(passing));
        assert!(![400, 401, 403, 404, 405, 413, 416, 501].into_iter().any(passing));
        assert!(!Failure::new(Kind::Refused, "").is_passing());
    }
}
