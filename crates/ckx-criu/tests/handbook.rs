//! The handbook says what the table of kinds says.

use ckx_criu::kind::{Framing, KINDS};

const HANDBOOK: &str = include_str!("../HANDBOOK.md");

/// Cells of the rows of the table of kinds.
fn rows() -> Vec<Vec<&'static str>> {
    let section = HANDBOOK.split("\n# Kinds\n").nth(1).expect("the section is there");
    let table = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    table
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn every_kind_stands_in_the_table() {
    let rows = rows();
    assert_eq!(rows.len(), KINDS.len());
    for (spec, row) in KINDS.iter().zip(&rows) {
        let [name, magic, header, pattern, _, form, about] = row[..] else {
            panic!("{row:?} has other columns")
        };
        assert_eq!(name, format!("`{}`", spec.name));
        assert_eq!(magic, spec.magic.map_or("–".to_owned(), |magic| format!("{magic:#010x}")), "{name}");
        assert_eq!(header, spec.header.name(), "{name}");
        assert_eq!(pattern, format!("`{}`", spec.pattern), "{name}");
        assert_eq!(about, spec.about, "{name}");
        let message = match spec.framing {
            Framing::Raw(_) => continue,
            Framing::Single(desc, _) | Framing::Stream(desc, _) | Framing::Bare(desc) => desc,
            Framing::HeadThenStream(head, _) | Framing::Ghost(head, _) => head,
        };
        assert!(form.contains(&format!("`{}`", message.name)), "{name}: {form}");
    }
}
