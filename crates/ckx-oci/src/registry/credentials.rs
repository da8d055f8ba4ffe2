//! Who we are to a registry: the files that logins of other tools leave, and their helpers.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use oci_client::secrets::RegistryAuth;
use serde_json::Value;

/// What was found.
#[derive(Debug)]
pub(super) struct Login {
    pub auth: RegistryAuth,
    /// The file that it comes from.
    pub file: Option<PathBuf>,
    /// Why something that was found is of no use.
    pub trouble: Option<String>,
}

impl Login {
    /// What to do when the registry does not take it.
    pub fn hint(&self, host: &str) -> String {
        match (&self.trouble, &self.file) {
            (Some(trouble), _) => trouble.clone(),
            (None, Some(file)) => {
                format!("it was asked with the credentials of `{}`: log in again", file.display())
            }
            (None, None) => format!(
                "no credentials were found: log in with `podman login {host}` or `docker login {host}`, \
                 or name a file with --authfile"
            ),
        }
    }
}

/// The files in which credentials are looked for, the first first. One that was asked for is the only one.
fn files(asked_for: Option<&Path>) -> Vec<PathBuf> {
    if let Some(file) = asked_for {
        return vec![file.to_owned()];
    }
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(file) = variable("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let home = variable("HOME");
    let docker = variable("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
    [
        variable("XDG_RUNTIME_DIR").map(|place| place.join("containers/auth.json")),
        variable("XDG_CONFIG_HOME").map(|place| place.join("containers/auth.json")),
        home.map(|place| place.join(".config/containers/auth.json")),
        docker.map(|place| place.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Looks for credentials. Having none is not a fault: many registries are read without.
pub(super) fn find(registry: &str, repository: &str, asked_for: Option<&Path>) -> Login {
    let mut login = Login { auth: RegistryAuth::Anonymous, file: None, trouble: None };
    for file in files(asked_for) {
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if asked_for.is_some() => {
                login.trouble = Some(format!("`{}` cannot be read: {error}", file.display()));
                continue;
            }
            Err(_) => continue,
        };
        match of_file(&text, registry, repository) {
            Ok(None) => {}
            Ok(Some(auth)) => return Login { auth, file: Some(file), trouble: None },
            Err(trouble) => {
                login.trouble.get_or_insert(format!("`{}`: {trouble}", file.display()));
            }
        }
    }
    login
}

fn of_file(text: &[u8], registry: &str, repository: &str) -> Result<Option<RegistryAuth>, String> {
    let document: Value = serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
    for name in names(&document, registry, repository) {
        match get_credential_from_reader(text, &name) {
            Ok(DockerCredential::UsernamePassword(name, password)) => {
                return Ok(Some(RegistryAuth::Basic(name, password)));
            }
            Ok(DockerCredential::IdentityToken(_)) => {
                return Err(format!(
                    "it has an identity token for {registry}, which is not supported: log in with a password \
                     or an access token"
                ));
            }
            Err(error) => match trouble(&error) {
                Some(trouble) => return Err(trouble),
                None => continue,
            },
        }
    }
    Ok(None)
}

/// Names under which a file may have credentials: those of a part of the registry come first.
fn names(document: &Value, registry: &str, repository: &str) -> Vec<String> {
    let has = |name: &String| {
        ["auths", "credHelpers"].iter().any(|key| document.get(key).and_then(|all| all.get(name)).is_some())
    };
    let mut path = format!("{registry}/{repository}");
    let mut names = Vec::new();
    while path.contains('/') {
        names.push(path.clone());
        path.truncate(path.rfind('/').unwrap_or_default());
    }
    names.retain(has);
    names.push(registry.to_owned());
    if registry == "docker.io" {
        names.push("https://index.docker.io/v1/".to_owned());
    }
    names
}

/// What is wrong, unless there is simply nothing.
fn trouble(error: &CredentialRetrievalError) -> Option<String> {
    match error {
        CredentialRetrievalError::NoCredentialConfigured => None,
        CredentialRetrievalError::HelperFailure { stdout, stderr, .. }
            if [stdout, stderr].iter().any(|text| text.contains("not found")) =>
        {
            None
        }
        CredentialRetrievalError::HelperCommunicationError => {
            Some("the credential helper that it names cannot be run".to_owned())
        }
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, registry: &str, repository: &str) -> Result<Option<(String, String)>, String> {
        Ok(match of_file(text.as_bytes(), registry, repository)? {
            Some(RegistryAuth::Basic(name, password)) => Some((name, password)),
            Some(_) => unreachable!("only passwords are read"),
            None => None,
        })
    }

    #[test]
    fn the_nearest_name_counts() {
        // `printf name:password | base64`, by the program of the system.
        let text = r#"{"auths":{"h:5000":{"auth":"aG9zdDpwYXNz"},"h:5000/a":{"auth":"YTpwYXNz"}}}"#;
        let pair = |name: &str| Ok(Some((name.to_owned(), "pass".to_owned())));
        assert_eq!(of(text, "h:5000", "b/c"), pair("host"));
        assert_eq!(of(text, "h:5000", "a/c"), pair("a"));
        assert_eq!(of(text, "other", "a/c"), Ok(None));
        let docker = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"aG9zdDpwYXNz"}}}"#;
        assert_eq!(of(docker, "docker.io", "library/x"), pair("host"));
    }

    #[test]
    fn what_is_of_no_use_is_told() {
        let token = r#"{"auths":{"h":{"identitytoken":"x"}}}"#;
        assert!(of(token, "h", "a").unwrap_err().contains("identity token"));
        let helper = r#"{"credHelpers":{"h":"ckx-no-such-helper"}}"#;
        assert!(of(helper, "h", "a").unwrap_err().contains("cannot be run"));
        assert!(of("no", "h", "a").unwrap_err().contains("no JSON"));
    }
}
