//! Incremental checkpoints whose earlier dumps are in sources of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ckx_core::Checkpoint;
use ckx_oci::compress::Method;
use ckx_oci::repack::{Input, Options, Report, repack};
use ckx_oci::{Error, MemoryOptions};

use crate::delta::{check_same_pages, delta, find, inspected, layer, pages};
use crate::support::{corpus, open};

/// A checkpoint with the dumps before it, the nearest first.
fn with(source: &Path, parents: &[&Path]) -> Checkpoint {
    let parents: Vec<Checkpoint> = parents.iter().map(|path| open(path)).collect();
    open(source).with_previous(Checkpoint::chained(parents))
}

fn write(input: Input<'_>, target: &str, flatten: bool) -> Result<Report, Error> {
    let memory = MemoryOptions { flatten, ..MemoryOptions::default() };
    let options = Options { method: Some(Method::None), memory, ..Options::default() };
    repack(input, &target.parse().unwrap(), &options)
}

#[test]
fn a_pre_dump_goes_into_the_output_or_its_pages_do() {
    let place = tempfile::tempdir().unwrap();
    let archives = corpus(place.path());
    if archives.is_empty() {
        return;
    }
    let at = |name: &str| place.path().join(name);
    let (source, parent) = (find(&archives, "nginx-incr.tar"), find(&archives, "nginx-incr-pre.tar"));
    let checkpoint = with(&source, &[&parent]);
    let wanted = pages(&checkpoint);

    let image = write((&checkpoint).into(), &format!("oci:{}", at("image").display()), false).unwrap();
    assert_eq!(layer(&image, "parent").len(), 1);
    check_same_pages(&wanted, &pages(&open(&at("image"))));
    // A directory as engines have it, without the link that led out of the archive.
    write((&checkpoint).into(), &format!("dir:{}", at("dir").display()), false).unwrap();
    assert!(at("dir/checkpoint/parent").symlink_metadata().unwrap().is_dir());
    check_same_pages(&wanted, &pages(&open(&at("dir"))));

    write((&checkpoint).into(), &format!("tar:{}", at("flat.tar").display()), true).unwrap();
    let flat = open(&at("flat.tar"));
    check_same_pages(&wanted, &pages(&flat));
    assert!(flat.archive().members().iter().all(|member| !member.name.starts_with(b"checkpoint/parent")));
    // Sections that are read out of memory.
    let (told, wanted_told) = (inspected(&flat), inspected(&checkpoint));
    for section in ["environment", "auxv", "threads", "sockets"] {
        assert_eq!(told[section], wanted_told[section], "{section}");
    }

    // Against another checkpoint its pages are read through the dump before.
    let earlier = open(&find(&archives, "nginx-1.tar"));
    let input = Input { checkpoint: &checkpoint, base: Some(&earlier) };
    let report = write(input, &format!("oci:{}", at("delta").display()), false).unwrap();
    assert!(report.delta.unwrap().same_pages > 1000);
    check_same_pages(&wanted, &pages(&open(&at("delta"))));
}

#[test]
fn chains_of_three_are_put_one_below_the_other() {
    let place = tempfile::tempdir().unwrap();
    let archives = corpus(place.path());
    if archives.is_empty() {
        return;
    }
    let at = |name: &str| place.path().join(name);
    let (first, second) = (find(&archives, "nginx-1.tar"), find(&archives, "nginx-2.tar"));
    let (below, _) = delta(&first, &second, place.path(), "below");
    let (chain, report) = delta(&below, &second, place.path(), "chain");
    assert_eq!(report.delta.unwrap().depth, 2);
    // Its dumps, each in a directory of its own.
    write((&open(&chain)).into(), &format!("dir:{}", at("0").display()), false).unwrap();
    let apart: Vec<PathBuf> = (1..3).map(|level| at(&level.to_string())).collect();
    let mut inner = at("0/checkpoint");
    for path in &apart {
        fs::rename(inner.join("parent"), path).unwrap();
        fs::copy(at("0/checkpoint/inventory.img"), path.join("inventory.img")).unwrap();
        inner.clone_from(path);
    }
    let checkpoint = with(&at("0"), &[&apart[0], &apart[1]]);
    let wanted = pages(&open(&second));
    for (name, flatten) in [("again", false), ("flat", true)] {
        write((&checkpoint).into(), &format!("oci:{}", at(name).display()), flatten).unwrap();
        check_same_pages(&wanted, &pages(&open(&at(name))));
    }
    // Without the last of them pages are missing.
    let error = write((&with(&at("0"), &[&apart[0]])).into(), &format!("oci:{}", at("x").display()), true);
    assert!(error.unwrap_err().to_string().contains("the parent does not fit"));
    assert!(!at("x").exists());
}

#[test]
fn what_is_given_stands_below_what_the_source_has() {
    let place = tempfile::tempdir().unwrap();
    let archives = corpus(place.path());
    if archives.is_empty() {
        return;
    }
    let at = |name: &str| place.path().join(name);
    let (first, second) = (find(&archives, "nginx-1.tar"), find(&archives, "nginx-2.tar"));
    let (below, _) = delta(&first, &second, place.path(), "below");
    let (chain, _) = delta(&below, &second, place.path(), "chain");
    write((&open(&chain)).into(), &format!("dir:{}", at("0").display()), false).unwrap();
    // The last dump apart; the one between stays in the source.
    let own = at("0/checkpoint/parent");
    fs::rename(own.join("parent"), at("2")).unwrap();
    fs::copy(at("0/checkpoint/inventory.img"), at("2/inventory.img")).unwrap();
    let wanted = pages(&open(&second));
    let check = |round: &str| {
        let checkpoint = with(&at("0"), &[&at("2")]);
        check_same_pages(&wanted, &pages(&checkpoint));
        for (form, flatten) in [("oci", false), ("dir", false), ("oci", true), ("dir", true)] {
            let name = format!("{round}-{form}-{flatten}");
            write((&checkpoint).into(), &format!("{form}:{}", at(&name).display()), flatten).unwrap();
            let output = open(&at(&name));
            check_same_pages(&wanted, &pages(&output));
            let kept =
                output.archive().members().iter().filter(|member| member.name.ends_with(b"pages-1.img"));
            assert_eq!(kept.count(), if flatten { 1 } else { 3 }, "{name}");
        }
    };
    check("directory");
    // As CRIU leaves it: links, of which the last leads out of the source.
    symlink("../../2", own.join("parent")).unwrap();
    check("dangling");
    fs::rename(&own, at("0/before")).unwrap();
    symlink("../before", &own).unwrap();
    check("links");
}

#[test]
fn links_that_lead_to_themselves_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let archives = corpus(place.path());
    if archives.is_empty() {
        return;
    }
    let at = |name: &str| place.path().join(name);
    let (first, second) = (find(&archives, "nginx-1.tar"), find(&archives, "nginx-2.tar"));
    let (chain, _) = delta(&first, &second, place.path(), "chain");
    write((&open(&chain)).into(), &format!("dir:{}", at("0").display()), false).unwrap();
    let own = at("0/checkpoint/parent");
    for link in ["../../checkpoint", "..", "../.."] {
        symlink(link, own.join("parent")).unwrap();
        let error = write((&open(&at("0"))).into(), &format!("oci:{}", at("x").display()), false);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("has the link in it"), "{link}: {error}");
        fs::remove_file(own.join("parent")).unwrap();
    }
}

#[test]
fn what_is_no_parent_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let archives = corpus(place.path());
    if archives.is_empty() {
        return;
    }
    let target = format!("oci:{}", place.path().join("x").display());
    for (source, parent, reason) in [
        ("nginx-incr.tar", "python-1.tar", "it is a checkpoint of the container `py`, not `ngx`"),
        ("nginx-2.tar", "nginx-1.tar", "it stands on no earlier dump"),
    ] {
        let checkpoint = with(&find(&archives, source), &[&find(&archives, parent)]);
        let error = write((&checkpoint).into(), &target, false).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
