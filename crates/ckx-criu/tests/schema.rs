//! The schema and the table of kinds against the recorded facts in `tests/tables/`, row by row and
//! in both directions.

#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ckx_criu::kind::{Framing, Header, KINDS};
use ckx_criu::schema::{DESCRIPTOR_SET, ENUMS, Label, MESSAGES, MessageDesc, Type};
use prost_reflect::{Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};

/// Rows of a table as maps from column to cell.
fn table(name: &str) -> Vec<BTreeMap<String, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(name);
    let text = fs::read_to_string(path).expect("the table is there");
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().expect("a head").split('\t').collect();
    lines
        .map(|line| {
            let cells = line.split('\t').chain(std::iter::repeat(""));
            columns.iter().map(|column| (*column).to_owned()).zip(cells.map(str::to_owned)).collect()
        })
        .collect()
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTOR_SET).expect("the embedded descriptors are valid")
}

fn ours(pool: &DescriptorPool) -> impl Iterator<Item = MessageDescriptor> + '_ {
    pool.all_messages().filter(|message| !message.parent_file().name().starts_with("google/"))
}

/// A field in the words of the tables: message, name, number, label, type, default, packed, options.
fn row_of(field: &FieldDescriptor) -> String {
    let label = match field.cardinality() {
        Cardinality::Required => "required",
        Cardinality::Optional => "optional",
        Cardinality::Repeated => "repeated",
    };
    let ty = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(each) => each.full_name().to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let default = field.field_descriptor_proto().default_value.clone().unwrap_or_default();
    let packed = if field.is_packed() { "packed" } else { "" };
    let parent = field.parent_message();
    format!(
        "{} {} {} = {} {label} {ty} [{default}] {packed} ({})",
        parent.parent_file().name(),
        parent.full_name(),
        field.name(),
        field.number(),
        options_of(field)
    )
}

fn options_of(field: &FieldDescriptor) -> String {
    let extension = field.parent_pool().all_extensions().find(|each| each.name() == "criu").expect("(criu)");
    let options = field.options();
    let value = options.get_extension(&extension);
    let message: &DynamicMessage = value.as_message().expect("a message");
    let mut list: Vec<String> = message
        .fields()
        .map(|(option, value)| {
            let text =
                value.as_str().map_or_else(|| value.as_bool().unwrap_or(false).to_string(), str::to_owned);
            format!("{}={text}", option.name())
        })
        .collect();
    list.sort();
    list.join(";")
}

/// A row of `schema.tsv` or `schema-newer.tsv` in the same words. Enum and message types are given
/// there without the message around them.
fn row_of_table(row: &BTreeMap<String, String>) -> String {
    let cell = |name: &str| row.get(name).map_or("", String::as_str);
    let plain = |text: &str| if text == "-" { String::new() } else { text.to_owned() };
    let file = cell("proto_file").rsplit('/').next().unwrap_or_default();
    let mut options: Vec<String> = plain(cell("criu_option"))
        .split(';')
        .filter(|option| !option.is_empty())
        .map(|option| if option.contains('=') { option.to_owned() } else { format!("{option}=true") })
        .collect();
    options.sort();
    let packed = if cell("packed") == "yes" { "packed" } else { "" };
    format!(
        "{file} {} {} = {} {} {} [{}] {packed} ({})",
        cell("message"),
        cell("field_name"),
        cell("field_number"),
        cell("label"),
        cell("type"),
        cell("default"),
        options.join(";")
    )
}

#[test]
fn every_field_is_as_recorded() {
    let mut recorded: BTreeSet<String> = table("schema.tsv").iter().map(row_of_table).collect();
    let newer = table("schema-newer.tsv");
    let merged = newer.iter().filter(|row| {
        let is_field = !row["field_name"].starts_with('(') && !row["message"].starts_with('(');
        ["final-design", "merged-later"].contains(&row["status"].as_str()) && is_field
    });
    recorded.extend(merged.map(row_of_table));
    assert!(recorded.len() > 1200, "the table was not read");
    let gone: BTreeSet<String> = table("removed.tsv")
        .into_iter()
        .filter(|row| row["kind"] == "message-gone")
        .map(|row| row["message_or_enum"].clone())
        .collect();
    let pool = pool();
    let compiled: BTreeSet<String> = ours(&pool)
        .filter(|message| !gone.contains(message.full_name()))
        .flat_map(|message| message.fields().map(|field| row_of(&field)).collect::<Vec<_>>())
        .collect();
    let only_compiled: Vec<_> = compiled.difference(&recorded).collect();
    let only_recorded: Vec<_> = recorded.difference(&compiled).collect();
    assert!(
        only_compiled.is_empty() && only_recorded.is_empty(),
        "only in proto/: {only_compiled:#?}\nonly recorded: {only_recorded:#?}"
    );
}

#[test]
fn every_enum_value_is_as_recorded() {
    let recorded: BTreeSet<String> = table("enums.tsv")
        .iter()
        .map(|row| format!("{} {} = {}", row["enum"], row["value_name"], row["number"]))
        .collect();
    let pool = pool();
    let compiled: BTreeSet<String> = pool
        .all_enums()
        .filter(|each| !each.parent_file().name().starts_with("google/"))
        .flat_map(|each| {
            let name = each.full_name().to_owned();
            each.values()
                .map(|value| format!("{name} {} = {}", value.name(), value.number()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(compiled, recorded);
}

#[test]
fn messages_of_earlier_releases_stay_decodable() {
    let gone: Vec<_> = table("removed.tsv").into_iter().filter(|row| row["kind"] == "message-gone").collect();
    assert!(!gone.is_empty());
    for row in gone {
        let message = ckx_criu::schema::message(&row["message_or_enum"]).expect("the message is there");
        let field = message.field_named(&row["field_or_value"]).expect("the field is there");
        assert_eq!(field.number.to_string(), row["number"]);
    }
    // A renamed field is still the field of that number.
    for row in table("removed.tsv").into_iter().filter(|row| row["kind"] == "field-renamed") {
        let message = ckx_criu::schema::message(&row["message_or_enum"]).expect("the message is there");
        let number = row["number"].parse().expect("a number");
        assert!(message.field(number).is_some(), "{} {number}", message.name);
    }
}

/// The static tables say what the descriptors say.
#[test]
fn static_tables_equal_the_descriptors() {
    let pool = pool();
    let mut seen = 0;
    for message in ours(&pool).filter(|message| message.parent_file().name() != "opts.proto") {
        let desc = ckx_criu::schema::message(message.full_name()).expect("every message has a table");
        assert_eq!(desc.file, message.parent_file().name());
        assert_eq!(desc.fields.len(), message.fields().len(), "{}", desc.name);
        for field in message.fields() {
            let row = desc.field(field.number()).expect("every field has a row");
            assert_eq!(row.name, field.name());
            let label = match field.cardinality() {
                Cardinality::Required => Label::Required,
                Cardinality::Optional => Label::Optional,
                Cardinality::Repeated => Label::Repeated,
            };
            assert_eq!(row.label, label, "{}.{}", desc.name, row.name);
            assert_eq!(row.packed, field.is_packed());
            match (row.ty, field.kind()) {
                (Type::Message(inner), Kind::Message(message)) => assert_eq!(inner.name, message.full_name()),
                (Type::Enum(inner), Kind::Enum(each)) => assert_eq!(inner.name, each.full_name()),
                (Type::Text, kind) => assert_eq!(kind, Kind::String),
                (ty, kind) => {
                    assert_eq!(format!("{ty:?}").to_lowercase(), format!("{kind:?}").to_lowercase())
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 1200 && MESSAGES.len() > 180 && !ENUMS.is_empty());
}

/// Rows of `images.tsv` in parentheses: what each is in the table of kinds, or why it is not.
const OTHER_ROWS: &[(&str, Option<&str>)] = &[
    ("(kerndat cache)", Some("KDAT")),
    ("(parent link)", Some("PARENT")),
    ("(descriptors)", Some("DESCRIPTORS")),
    ("(amdgpu kfd)", Some("AMDGPU_KFD")),
    ("(amdgpu render)", Some("AMDGPU_RENDER")),
    ("(amdgpu vram pages)", Some("AMDGPU_PAGES")),
    ("(amdgpu drm pages)", Some("AMDGPU_DRM_PAGES")),
    ("(amdgpu dmabuf)", Some("AMDGPU_DMABUF")),
    // The plugin writes no files.
    ("(cuda plugin)", None),
    // Messages of a live protocol and a stream of shards: no files of an image directory.
    ("(image streamer request)", None),
    ("(image streamer stream)", None),
    // Any unknown magic.
    ("(VZ/other)", None),
];

/// Rows whose name in crit is that of another row with the same magic.
const SHARED_NAMES: &[(&str, &str)] =
    &[("SHMEM_PAGEMAP", "PAGEMAP"), ("PSIGNAL", "SIGNAL"), ("BINFMT_MISC_OLD", "BINFMT_MISC")];

#[test]
fn every_kind_of_image_is_as_recorded() {
    let mut matched = BTreeSet::new();
    for row in table("images.tsv") {
        let key = row["image_key"].as_str();
        let pattern = row["file_name_pattern"].replace("%lu", "%u").replace("%ld", "%u").replace("%d", "%u");
        let pattern = pattern.replace("%04x", "%x");
        let name = match OTHER_ROWS.iter().find(|(other, _)| *other == key) {
            Some((_, None)) => continue,
            Some((_, Some(name))) => name,
            None => SHARED_NAMES.iter().find(|(other, _)| *other == key).map_or(key, |(_, name)| name),
        };
        let found = KINDS.iter().enumerate().find(|(_, spec)| spec.name == name && spec.pattern == pattern);
        let (index, spec) = found.unwrap_or_else(|| panic!("{key}: no row {name} {pattern}"));
        assert!(matched.insert(index), "{key} stands twice");
        let magic = row["magic"].strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok());
        assert_eq!(spec.magic, magic.filter(|magic| *magic != 0), "{key}");
        let message = row["top_message"].split([' ', ',']).next().unwrap_or_default();
        assert_eq!(message_of(spec.framing).unwrap_or("-"), message, "{key}");
        let header = match row["header"].chars().next() {
            Some('v') => Header::Common,
            Some('I') => Header::Service,
            Some('o') => Header::Own,
            _ => spec.header,
        };
        // Pages of CRIU 0.4 had their magic alone; the table gives the later form for all.
        let extinct = key.ends_with("PAGES_OLD");
        assert!(extinct || spec.header == header, "{key}");
        let single = row["cardinality"].starts_with('1');
        let is_single = matches!(spec.framing, Framing::Single(..) | Framing::Bare(_) | Framing::Ghost(..));
        assert!(
            matches!(spec.framing, Framing::Raw(_)) || single == is_single,
            "{key}: {}",
            row["cardinality"]
        );
    }
    let unmatched: Vec<_> = KINDS
        .iter()
        .enumerate()
        .filter(|(index, _)| !matched.contains(index))
        .map(|(_, spec)| spec.name)
        .collect();
    assert!(unmatched.is_empty(), "kinds without a recorded row: {unmatched:?}");
}

fn message_of(framing: Framing) -> Option<&'static str> {
    let desc: &MessageDesc = match framing {
        Framing::Single(desc, _) | Framing::Stream(desc, _) | Framing::Bare(desc) => desc,
        Framing::HeadThenStream(head, _) | Framing::Ghost(head, _) => head,
        Framing::Raw(_) => return None,
    };
    Some(desc.name)
}

/// Fields shown by a flag map hold no negative numbers: their rendering could not be read back.
#[test]
fn flag_maps_stand_on_unsigned_fields() {
    for (message, field) in
        MESSAGES.iter().flat_map(|message| message.fields.iter().map(move |field| (message, field)))
    {
        let display = field.display();
        if display.flags.is_some() || display.dev || display.odev || display.dict.is_some() || display.ipadd {
            let unsigned = matches!(field.ty, Type::Uint32 | Type::Uint64);
            assert!(unsigned, "{}.{}: {:?}", message.name, field.name, field.ty);
        }
    }
}
