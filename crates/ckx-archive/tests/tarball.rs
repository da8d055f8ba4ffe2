//! Tars made by GNU tar: every form that it writes gives the same members, mapped and streamed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use ckx_archive::tarball::{EntryKind, Step, content, index, stream};

/// A folder with what checkpoint archives have: long names, links, a pipe, and a sparse file of
/// 40 pieces.
fn folder(place: &Path) {
    let long = place.join("a".repeat(90)).join("b".repeat(90));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("file"), b"deep").unwrap();
    fs::write(place.join("plain"), vec![7; 3000]).unwrap();
    fs::write(place.join("empty"), b"").unwrap();
    std::os::unix::fs::symlink("../../etc/passwd", place.join("link")).unwrap();
    fs::hard_link(place.join("plain"), place.join("same")).unwrap();
    assert!(Command::new("mkfifo").arg(place.join("pipe")).status().unwrap().success());
    let mut sparse = File::create(place.join("sparse")).unwrap();
    for piece in 0..40u64 {
        sparse.seek(SeekFrom::Start(piece << 20)).unwrap();
        sparse.write_all(&[piece as u8 + 1; 4096]).unwrap();
    }
    sparse.set_len(50 << 20).unwrap();
}

fn tar(place: &Path, options: &[&str]) -> Bytes {
    let output =
        Command::new("tar").args(options).args(["-C"]).arg(place).args(["-cf", "-", "."]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.into()
}

type Members = BTreeMap<String, (EntryKind, u64, Option<String>, Vec<u8>)>;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn mapped(data: &Bytes) -> Members {
    let found = index(data);
    assert_eq!(found.fault, None);
    let each = |member: &ckx_archive::tarball::TarMember| {
        let bytes = content(data, member, 1 << 30).unwrap().to_vec();
        (text(&member.name), (member.kind, member.size_bytes, member.link.as_deref().map(text), bytes))
    };
    found.members.iter().map(each).collect()
}

fn streamed(data: &[u8]) -> Members {
    let mut members = Members::new();
    stream(data, |member, reader| {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        members.insert(
            text(&member.name),
            (member.kind, member.size_bytes, member.link.as_deref().map(text), bytes),
        );
        Ok::<_, std::io::Error>(Step::Next)
    })
    .unwrap()
    .unwrap();
    members
}

#[test]
fn every_form_of_gnu_tar_gives_the_same() {
    let place = tempfile::tempdir().unwrap();
    folder(place.path());
    let forms: &[&[&str]] = &[
        &["--format=gnu"],
        &["--format=gnu", "--sparse"],
        &["--format=posix"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
    ];
    let sparse = fs::read(place.path().join("sparse")).unwrap();
    for form in forms {
        let data = tar(place.path(), form);
        let members = mapped(&data);
        assert_eq!(members.len(), 10, "{form:?}: {:?}", members.keys());
        let (kind, size, _, bytes) = &members["sparse"];
        assert_eq!((*kind, *size), (EntryKind::File, 50 << 20), "{form:?}");
        assert!(*bytes == sparse, "{form:?}: the sparse file differs");
        assert_eq!(members["link"].0, EntryKind::Symlink);
        assert_eq!(members["link"].2.as_deref(), Some("../../etc/passwd"));
        assert_eq!(members["pipe"].0, EntryKind::Fifo);
        let linked = [&members["plain"], &members["same"]];
        assert!(linked.iter().any(|member| member.0 == EntryKind::Hardlink), "{form:?}");
        let deep = format!("{}/{}/file", "a".repeat(90), "b".repeat(90));
        assert_eq!(members[&deep].3, b"deep", "{form:?}");
        assert!(streamed(&data) == members, "{form:?}: the stream differs");
    }
}

#[test]
fn content_of_a_mapped_tar_is_not_copied() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("plain"), vec![7; 3000]).unwrap();
    let data = tar(place.path(), &[]);
    let found = index(&data);
    let member = found.members.iter().find(|member| &*member.name == b"plain").unwrap();
    let bytes = content(&data, member, 0).unwrap();
    assert!(data.as_ptr_range().contains(&bytes.as_ptr()));
}

#[test]
fn a_cut_tar_gives_what_is_there() {
    let place = tempfile::tempdir().unwrap();
    folder(place.path());
    let data = tar(place.path(), &["--format=gnu", "--sparse", "--sort=name"]);
    let whole = index(&data).members;
    for cut in (0..data.len()).step_by(509) {
        let part = data.slice(..cut);
        let found = index(&part);
        for member in &found.members {
            // A member whose content is there has it; another one says what is missing.
            let end = member.data_offset + member.stored_bytes;
            assert_eq!(content(&part, member, 1 << 30).is_ok(), end <= cut as u64, "cut at {cut}");
        }
        assert!(whole.starts_with(&found.members), "cut at {cut}");
    }
}
