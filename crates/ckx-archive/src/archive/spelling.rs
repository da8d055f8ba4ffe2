//! How people write sources: paths, and the transports of container tools.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::archive::Form;

/// A source as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spelled {
    /// Path in the file system.
    pub path: PathBuf,
    /// The form that it must have.
    pub form: Option<Form>,
    /// Which image of several.
    pub image: Option<String>,
}

const TRANSPORTS: [(&[u8], Form); 2] = [(b"oci:", Form::OciLayout), (b"oci-archive:", Form::OciArchive)];

/// Reads `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, both also with `@DIGEST`, and plain paths. A path may
/// have colons in it: the longest one that exists is meant.
pub(super) fn spelled(written: &Path) -> Spelled {
    let bytes = written.as_os_str().as_bytes();
    let known = TRANSPORTS.iter().find_map(|(prefix, form)| Some((bytes.strip_prefix(*prefix)?, *form)));
    let Some((rest, form)) = known else {
        return Spelled { path: written.into(), form: None, image: None };
    };
    let path_of = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let plain = || Spelled { path: path_of(rest), form: Some(form), image: None };
    if path_of(rest).exists() {
        return plain();
    }
    let marks = rest.iter().enumerate().filter(|(_, byte)| matches!(byte, b':' | b'@')).map(|(at, _)| at);
    let marks: Vec<usize> = marks.collect();
    let split = marks.iter().rev().find(|at| path_of(&rest[..**at]).exists()).or(marks.first());
    match split.and_then(|at| Some((*at, String::from_utf8(rest.get(at + 1..)?.to_vec()).ok()?))) {
        Some((at, image)) => Spelled { path: path_of(&rest[..at]), form: Some(form), image: Some(image) },
        None => plain(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_those_of_skopeo() {
        let place = tempfile::tempdir().unwrap();
        let odd = place.path().join("a:b");
        std::fs::create_dir(&odd).unwrap();
        let at = odd.display();
        let layout = |path: &Path, image: Option<&str>| Spelled {
            path: path.into(),
            form: Some(Form::OciLayout),
            image: image.map(str::to_owned),
        };
        let of = |text: String| spelled(Path::new(&text));
        assert_eq!(of(format!("oci:{at}")), layout(&odd, None));
        assert_eq!(of(format!("oci:{at}:v1")), layout(&odd, Some("v1")));
        assert_eq!(of(format!("oci:{at}:docker.io/x:v1")), layout(&odd, Some("docker.io/x:v1")));
        assert_eq!(of(format!("oci:{at}@sha256:00")), layout(&odd, Some("sha256:00")));
        assert_eq!(of("oci:absent:v1".to_owned()), layout(Path::new("absent"), Some("v1")));
        assert_eq!(of("oci:absent".to_owned()), layout(Path::new("absent"), None));
        let file = of("oci-archive:x.tar".to_owned());
        assert_eq!((file.form, file.path), (Some(Form::OciArchive), "x.tar".into()));
        assert_eq!(of("plain:x".to_owned()), Spelled { path: "plain:x".into(), form: None, image: None });
    }
}
