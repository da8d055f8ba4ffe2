//! The JSON of an OCI image, read leniently: what is not needed is not looked at.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Keys and values that tell about an image.
pub type Annotations = BTreeMap<String, String>;

/// Tells which blob, and what it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    pub digest: String,
    pub size: Option<u64>,
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: Annotations,
    pub platform: Option<Platform>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Platform {
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
}

/// An index or a manifest: they are told apart by what they hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: Annotations,
    pub manifests: Option<Vec<Descriptor>>,
    pub config: Option<Descriptor>,
    pub layers: Option<Vec<Descriptor>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Config {
    pub architecture: Option<String>,
    pub os: Option<String>,
    pub created: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub config: Runtime,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Runtime {
    #[serde(rename = "Labels", default, deserialize_with = "or_default")]
    pub labels: Annotations,
}

/// `null` is as good as nothing: Go writes it for empty maps.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Path of a blob inside a layout. `None` unless the digest is an algorithm and a number in
/// hexadecimal: a path is made of it.
pub(super) fn blob_name(digest: &str) -> Option<String> {
    let (algorithm, hex) = digest.split_once(':')?;
    is_digest(algorithm.as_bytes(), hex.as_bytes()).then(|| format!("blobs/{algorithm}/{hex}"))
}

/// The digest that a member of a layout has as its name.
pub(in crate::archive) fn digest_of(name: &[u8]) -> Option<String> {
    let mut parts = name.strip_prefix(b"blobs/")?.split(|byte| *byte == b'/');
    let (algorithm, hex) = (parts.next()?, parts.next()?);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    (parts.next().is_none() && is_digest(algorithm, hex))
        .then(|| Some(format!("{}:{}", text(algorithm)?, text(hex)?)))
        .flatten()
}

fn is_digest(algorithm: &[u8], hex: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=16).contains(&algorithm.len())
        && algorithm.iter().all(is_word)
        && (32..=128).contains(&hex.len())
        && hex.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_become_paths() {
        let hex = "0123456789abcdef".repeat(4);
        let name = format!("blobs/sha256/{hex}");
        assert_eq!(blob_name(&format!("sha256:{hex}")), Some(name.clone()));
        assert_eq!(digest_of(name.as_bytes()), Some(format!("sha256:{hex}")));
        let above = format!("sha256:../{}", &hex[3..]);
        let wrong = ["sha256:../../../../etc/passwd", "../../etc:0123", "sha256:", "sha256", "", &above];
        for digest in wrong {
            assert_eq!(blob_name(digest), None, "{digest}");
        }
        assert_eq!(blob_name(&format!("sha256:{}", hex.to_uppercase())), None);
        assert_eq!(digest_of(format!("{name}/more").as_bytes()), None);
        assert_eq!(digest_of(b"blobs/sha256"), None);
    }

    #[test]
    fn what_go_leaves_empty_is_null() {
        let text = r#"{"manifests":[{"mediaType":null,"digest":"d","size":1,"annotations":null}],"annotations":null}"#;
        let index: Document = serde_json::from_str(text).unwrap();
        assert_eq!(index.manifests.unwrap()[0].annotations, Annotations::new());
    }
}
