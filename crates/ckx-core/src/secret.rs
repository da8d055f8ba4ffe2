//! What is likely to be secret, by its name or its form.
//!
//! A value that is hidden in vain costs an option on the command line; one that is shown in vain may
//! cost a password. So the lists say what is surely harmless in an environment, and what is surely
//! not in a command line, where most words have to be read.

use crate::Name;

/// Variables whose values are harmless, unless their form speaks against it.
const HARMLESS: &[&str] = &[
    "_",
    "CHARSET",
    "COLORTERM",
    "COLUMNS",
    "DEBIAN_FRONTEND",
    "DISPLAY",
    "EDITOR",
    "GOPATH",
    "HOME",
    "HOSTNAME",
    "INVOCATION_ID",
    "JAVA_HOME",
    "LANG",
    "LANGUAGE",
    "LINES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LOGNAME",
    "LS_COLORS",
    "MAIL",
    "MANPATH",
    "NOTIFY_SOCKET",
    "OLDPWD",
    "PAGER",
    "PATH",
    "PWD",
    "SHELL",
    "SHLVL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "container",
];

/// Ends of the names of variables that say where something is or which one.
const HARMLESS_ENDS: &[&str] =
    &["_HOST", "_PORT", "_PROTO", "_ADDR", "_VERSION", "_RELEASE", "_HOME", "_DIR", "_LOCALE", "_LEVEL"];

/// Parts of names of what is secret.
const SECRET_PARTS: &[&str] = &[
    "access-key",
    "accesskey",
    "api-key",
    "apikey",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "private-key",
    "privatekey",
    "secret",
    "token",
];

/// The same, where the part has to be a word: parts of other words look like them.
const SECRET_WORDS: &[&str] = &["auth", "bearer", "cookie", "jwt", "pass", "pwd", "session", "signature"];

/// Beginnings of keys and tokens that are known by them.
const TOKEN_BEGINNINGS: &[&str] = &[
    "AKIA",
    "ASIA",
    "AIza",
    "eyJ",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "hvs.",
    "npm_",
    "pypi-",
    "sk-",
    "sk_live_",
    "rk_live_",
    "xoxb-",
    "xoxp-",
    "-----BEGIN",
];

/// What stands in the place of what is hidden.
pub(crate) const HIDDEN: &str = "[redacted]";

/// Whether the value of an environment variable is to be hidden.
pub(crate) fn hides_variable(name: &[u8], value: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name);
    let is_harmless = HARMLESS.contains(&name.as_ref())
        || name.starts_with("LC_")
        || HARMLESS_ENDS.iter().any(|end| name.ends_with(end));
    let is_named = has_secret_name(&name) && name != "PWD";
    !value.is_empty() && (!is_harmless || is_named || has_secret_form(value))
}

/// Whether the value of an annotation or a label is to be hidden. Most of them are facts that engines
/// write, so only what is named as a secret, or looks like one, is.
pub(crate) fn hides_annotation(name: &str, value: &str) -> bool {
    !value.is_empty() && (has_secret_name(name) || has_secret_form(value.as_bytes()))
}

/// Whether a text that belongs to no name is to be hidden: a rest of an environment.
pub(crate) fn hides_rest(text: &[u8]) -> bool {
    has_secret_form(text) || is_random(text)
}

/// Whether a name is that of a secret.
fn has_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    SECRET_PARTS.iter().any(|part| name.contains(part))
        || name.split(['-', '.']).any(|word| SECRET_WORDS.contains(&word))
}

/// Whether a value has the form of a key, or an address with a password in it.
fn has_secret_form(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    TOKEN_BEGINNINGS.iter().any(|start| text.starts_with(start)) || password_in_address(&text).is_some()
}

/// A word of 20 bytes or more with letters and digits mixed, which is neither path nor sentence.
fn is_random(text: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-.~".contains(byte);
    text.len() >= 20
        && text.iter().all(is_word)
        && !text.contains(&b'/')
        && text.iter().any(u8::is_ascii_digit)
        && text.iter().any(u8::is_ascii_alphabetic)
}

/// Place of the password in `scheme://user:password@host`.
fn password_in_address(text: &str) -> Option<(usize, usize)> {
    let start = text.find("://")? + 3;
    let authority = text.get(start..)?.split(['/', '?', '#', ' ']).next()?;
    let at = authority.rfind('@')?;
    let colon = authority.get(..at)?.find(':')?;
    (colon + 1 < at).then_some((start + colon + 1, start + at))
}

/// Arguments with what is likely to be secret hidden, and whether there was any.
pub(crate) fn arguments(arguments: &[Vec<u8>], reveal: bool) -> (Vec<Name>, bool) {
    let mut shown = Vec::with_capacity(arguments.len());
    let mut any = false;
    let mut is_next_secret = false;
    for argument in arguments {
        let hidden = if reveal { None } else { hidden_argument(argument, is_next_secret) };
        // A title of a program holds words that are options and values in one argument.
        is_next_secret = argument.starts_with(b"-")
            && !argument.contains(&b'=')
            && has_secret_name(&String::from_utf8_lossy(argument));
        any |= hidden.is_some();
        shown.push(hidden.map_or_else(|| Name::from(argument), Name::from));
    }
    (shown, any)
}

/// The argument without its secret; `None` if it has none.
fn hidden_argument(argument: &[u8], is_value: bool) -> Option<Vec<u8>> {
    if is_value && !argument.starts_with(b"-") && !argument.is_empty() {
        return Some(HIDDEN.into());
    }
    let text = std::str::from_utf8(argument).ok()?;
    if let Some((from, to)) = password_in_address(text) {
        return Some([text.get(..from)?, HIDDEN, text.get(to..)?].concat().into());
    }
    if let Some((name, value)) = text.split_once('=')
        && !value.is_empty()
        && !name.contains(char::is_whitespace)
        && has_secret_name(name)
    {
        return Some(format!("{name}={HIDDEN}").into());
    }
    let is_token = !text.contains(char::is_whitespace) && has_secret_form(argument);
    is_token.then(|| HIDDEN.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        for (name, value) in [
            ("MY_SECRET", "hunter2"),
            ("DATABASE", "anything"),
            ("HOME", "postgres://me:pw@db/x"),
            ("APP_VERSION", "ghp_aaaaaaaaaaaaaaaaaa"),
            ("SECRET_HOST", "x"),
            ("TOKEN_PORT", "1"),
        ] {
            assert!(hides_variable(name.as_bytes(), value.as_bytes()), "{name}");
        }
        for (name, value) in [
            ("PATH", "/bin"),
            ("PWD", "/"),
            ("LC_ALL", "C.UTF-8"),
            ("NGINX_VERSION", "1.27.0"),
            ("KUBERNETES_SERVICE_PORT", "443"),
            ("PASSWORD", ""),
        ] {
            assert!(!hides_variable(name.as_bytes(), value.as_bytes()), "{name}");
        }
    }

    #[test]
    fn command_lines() {
        let hide = |words: &[&str]| {
            let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            let (shown, any) = arguments(&words, false);
            (shown.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), any)
        };
        assert_eq!(
            hide(&["mysqld", "--password=x", "-v"]),
            ("mysqld --password=[redacted] -v".to_owned(), true)
        );
        assert_eq!(hide(&["a", "--api-key", "k", "b"]), ("a --api-key [redacted] b".to_owned(), true));
        assert_eq!(hide(&["a", "https://me:pw@h/x"]), ("a https://me:[redacted]@h/x".to_owned(), true));
        assert_eq!(hide(&["a", "AKIAFAKEFAKE"]), ("a [redacted]".to_owned(), true));
        assert_eq!(hide(&["a", "MY_TOKEN=1"]), ("a MY_TOKEN=[redacted]".to_owned(), true));
        for plain in [
            &["bash", "-c", "while true; do sleep 1; done"][..],
            &["git", "--author=me"],
            &["nginx: worker process"],
            &["--token", "-v"],
        ] {
            assert!(!hide(plain).1, "{plain:?}");
        }
        let (shown, any) = arguments(&[b"--password=x".to_vec()], true);
        assert_eq!((shown[0].as_bytes(), any), (&b"--password=x"[..], false));
    }

    #[test]
    fn rests() {
        assert!(hides_rest(b"1234567890-not-real-abc"));
        assert!(!hides_rest(b"/etc/nginx/nginx.conf"));
        assert!(!hides_rest(b"daemon off;"));
    }
}
