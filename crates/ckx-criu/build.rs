//! Compiles `proto/` into three things: the embedded descriptor set (with the display options),
//! static tables for descriptor-driven access, and typed prost messages.
//!
//! protox replaces a system `protoc`. Every `string` field becomes `bytes` before prost sees it,
//! because text in images is whatever bytes Linux had there, UTF-8 or not; the static tables keep
//! the difference, so that text is still shown as text.

#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, Value};
use prost_types::field_descriptor_proto::Type as ProtoType;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// Files that never lie on disk as an image and whose generated Rust names would clash
/// (`CRIU_Opts` and `criu_opts`): they stay in the descriptor set and in the tables.
const NOT_TYPED: &[&str] = &["opts.proto", "rpc.proto", "google/protobuf/descriptor.proto"];

/// What describes the schema itself is in the descriptor set only.
const NOT_IN_TABLES: &[&str] = &["opts.proto", "google/protobuf/descriptor.proto"];

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let proto = manifest.join("../../proto");
    println!("cargo::rerun-if-changed={}", proto.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut files: Vec<PathBuf> = fs::read_dir(&proto)
        .expect("proto/ is readable")
        .map(|entry| entry.expect("proto/ is readable").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "proto"))
        .collect();
    files.sort();

    let mut compiler = protox::Compiler::new([&proto]).expect("proto/ is a folder");
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files).unwrap_or_else(|error| panic!("proto/ does not compile: {error:?}"));
    // Encoded by protox and not by way of prost_types, which would drop the display options.
    let encoded = compiler.encode_file_descriptor_set();

    let pool = DescriptorPool::decode(encoded.as_slice()).expect("protox output is valid");
    fs::write(out.join("schema.rs"), schema_tables(&pool)).expect("OUT_DIR is writable");
    typed_messages(&encoded, &out, &pool);
    fs::write(out.join("descriptors.bin"), without_source_info(&encoded)).expect("OUT_DIR is writable");
}

/// The descriptor set without comments and positions: a third of the size, same meaning.
///
/// Done on the wire, field by field, because decoding into prost types loses the options.
fn without_source_info(set: &[u8]) -> Vec<u8> {
    const FILE: u64 = 1;
    const SOURCE_CODE_INFO: u64 = 9;
    let mut out = Vec::new();
    for (_, tag, value) in wire_fields(set) {
        assert_eq!(tag >> 3, FILE, "a descriptor set holds files only");
        let mut file = Vec::new();
        for (raw, tag, _) in wire_fields(value) {
            if tag >> 3 != SOURCE_CODE_INFO {
                file.extend_from_slice(raw);
            }
        }
        prost::encoding::encode_varint(tag, &mut out);
        prost::encoding::encode_varint(file.len() as u64, &mut out);
        out.extend_from_slice(&file);
    }
    out
}

/// Splits a message of length-delimited fields into (whole field, tag, value).
fn wire_fields(mut bytes: &[u8]) -> Vec<(&[u8], u64, &[u8])> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let start = bytes;
        let tag = prost::encoding::decode_varint(&mut bytes).expect("valid descriptor");
        assert_eq!(tag & 7, 2, "descriptors hold length-delimited fields here");
        let len = prost::encoding::decode_varint(&mut bytes).expect("valid descriptor") as usize;
        let (value, rest) = bytes.split_at(len);
        fields.push((&start[..start.len() - rest.len()], tag, value));
        bytes = rest;
    }
    fields
}

fn typed_messages(encoded: &[u8], out: &Path, pool: &DescriptorPool) {
    let mut set = FileDescriptorSet::decode(encoded).expect("protox output is valid");
    set.file.retain(|file| !NOT_TYPED.contains(&file.name()));
    for file in &mut set.file {
        file.dependency.retain(|name| !NOT_TYPED.contains(&name.as_str()));
        file.public_dependency.clear();
        file.weak_dependency.clear();
        file.message_type.iter_mut().for_each(text_to_bytes);
    }
    let mut config = prost_build::Config::new();
    config.out_dir(out);
    // An entry has one of some thirty messages. In place, each of them would take the room of all.
    if let Some(file) = pool.get_message_by_name("file_entry") {
        for field in file.fields().filter(|field| field.kind().as_message().is_some()) {
            config.boxed(format!(".file_entry.{}", field.name()));
        }
    }
    config.compile_fds(set).expect("prost accepts the schema");
    // Without a package prost-build names its one module file `_.rs`.
    let generated = fs::read_to_string(out.join("_.rs")).expect("prost-build wrote the module");
    let mut typed = generated;
    typed.push_str("\n// Which schema message each typed message stands for.\n");
    for message in pool.all_messages() {
        if NOT_TYPED.contains(&message.parent_file().name()) {
            continue;
        }
        let rust = rust_path(&message);
        let _ = writeln!(
            typed,
            "impl crate::typed::Record for {rust} {{\n    const SCHEMA: &'static crate::schema::MessageDesc = &crate::schema::messages::{};\n}}",
            constant(message.full_name())
        );
    }
    fs::write(out.join("typed.rs"), typed).expect("OUT_DIR is writable");
}

fn text_to_bytes(message: &mut DescriptorProto) {
    for field in &mut message.field {
        if field.r#type() == ProtoType::String {
            field.set_type(ProtoType::Bytes);
            field.default_value = None;
        }
    }
    message.nested_type.iter_mut().for_each(text_to_bytes);
}

/// The path prost-build gives a message: `CoreEntry`, or `outer::Inner` when nested.
fn rust_path(message: &MessageDescriptor) -> String {
    let mut path = camel(message.name());
    let mut parent = message.parent_message();
    while let Some(outer) = parent {
        path = format!("{}::{path}", outer.name().to_lowercase());
        parent = outer.parent_message();
    }
    path
}

fn camel(name: &str) -> String {
    name.split('_')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (head, tail) = part.split_at(1);
            head.to_uppercase() + tail
        })
        .collect()
}

fn constant(full_name: &str) -> String {
    full_name.replace('.', "_").to_uppercase()
}

fn schema_tables(pool: &DescriptorPool) -> String {
    let mut out = String::from(
        "/// One static per message of the schema, named as in `proto/` but in capitals.\n#[allow(missing_docs)]\npub mod messages {\n    use super::*;\n",
    );
    let mut messages = BTreeMap::new();
    let mut enums = BTreeMap::new();
    let mut shared = Shared::default();
    for message in pool.all_messages() {
        if !NOT_IN_TABLES.contains(&message.parent_file().name()) {
            messages.insert(message.full_name().to_owned(), message);
        }
    }
    for each in pool.all_enums() {
        if !NOT_IN_TABLES.contains(&each.parent_file().name()) {
            enums.insert(each.full_name().to_owned(), each);
        }
    }
    for (name, message) in &messages {
        let mut fields: Vec<FieldDescriptor> = message.fields().collect();
        fields.sort_by_key(FieldDescriptor::number);
        let _ = writeln!(
            out,
            "    pub static {}: MessageDesc = MessageDesc {{ name: {name:?}, file: {:?}, about: {:?}, fields: &[",
            constant(name),
            message.parent_file().name(),
            leading_comment(message),
        );
        for field in fields {
            let _ = writeln!(out, "        {},", field_row(&field, &mut shared));
        }
        out.push_str("    ] };\n");
    }
    out.push_str("}\n\n/// One static per enum of the schema.\n#[allow(missing_docs)]\npub mod enums {\n    use super::*;\n");
    for (name, each) in &enums {
        let values: Vec<String> =
            each.values().map(|value| format!("({:?}, {})", value.name(), value.number())).collect();
        let _ = writeln!(
            out,
            "    pub static {}_ENUM: EnumDesc = EnumDesc {{ name: {name:?}, values: &[{}] }};",
            constant(name),
            values.join(", ")
        );
    }
    out.push_str(
        "}\n\n/// All messages of the schema, by name.\npub static MESSAGES: &[&MessageDesc] = &[\n",
    );
    for name in messages.keys() {
        let _ = writeln!(out, "    &messages::{},", constant(name));
    }
    out.push_str("];\n\n/// All enums of the schema, by name.\npub static ENUMS: &[&EnumDesc] = &[\n");
    for name in enums.keys() {
        let _ = writeln!(out, "    &enums::{}_ENUM,", constant(name));
    }
    out.push_str("];\n\nstatic DISPLAYS: &[Display] = &[\n");
    for display in &shared.displays {
        let _ = writeln!(out, "    {display},");
    }
    let _ = writeln!(out, "];\n\nstatic DEFAULTS: &[Option<&str>] = &[{}];", shared.defaults.join(", "));
    out
}

/// What rows name by number because most of them have the same.
#[derive(Default)]
struct Shared {
    displays: Vec<String>,
    defaults: Vec<String>,
}

/// Number of a text in a list; appends it if it is new.
fn number_in(list: &mut Vec<String>, text: String) -> u8 {
    let at = list.iter().position(|each| *each == text).unwrap_or_else(|| {
        list.push(text);
        list.len() - 1
    });
    at.try_into().expect("few enough for a byte")
}

fn field_row(field: &FieldDescriptor, shared: &mut Shared) -> String {
    let label = match field.cardinality() {
        prost_reflect::Cardinality::Required => "Required",
        prost_reflect::Cardinality::Optional => "Optional",
        prost_reflect::Cardinality::Repeated => "Repeated",
    };
    let ty = match field.kind() {
        Kind::Bool => "Bool".to_owned(),
        Kind::Int32 => "Int32".to_owned(),
        Kind::Int64 => "Int64".to_owned(),
        Kind::Sint32 => "Sint32".to_owned(),
        Kind::Sint64 => "Sint64".to_owned(),
        Kind::Uint32 => "Uint32".to_owned(),
        Kind::Uint64 => "Uint64".to_owned(),
        Kind::Fixed32 => "Fixed32".to_owned(),
        Kind::Fixed64 => "Fixed64".to_owned(),
        Kind::String => "Text".to_owned(),
        Kind::Bytes => "Bytes".to_owned(),
        Kind::Enum(each) => format!("Enum(&enums::{}_ENUM)", constant(each.full_name())),
        Kind::Message(message) => format!("Message(&{})", constant(message.full_name())),
        other => panic!("{}: field type {other:?} has no reader yet", field.full_name()),
    };
    let default = if field.field_descriptor_proto().default_value.is_some() {
        format!("Some({:?})", field.field_descriptor_proto().default_value())
    } else {
        "None".to_owned()
    };
    format!(
        "FieldDesc {{ name: {:?}, number: {}, label: Label::{label}, ty: Type::{ty}, packed: {}, default: {}, display: {} }}",
        field.name(),
        field.number(),
        field.is_packed(),
        number_in(&mut shared.defaults, default),
        number_in(&mut shared.displays, display(field)),
    )
}

/// The display options of a field, from its `(criu)` option.
fn display(field: &FieldDescriptor) -> String {
    let pool = field.parent_pool();
    let extension = pool
        .all_extensions()
        .find(|extension| extension.name() == "criu")
        .expect("opts.proto declares the (criu) option");
    let options = field.options();
    let value = options.get_extension(&extension);
    let Value::Message(options) = value.as_ref() else { panic!("(criu) is a message") };
    let flag =
        |name: &str| options.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or(false);
    let text = |name: &str| {
        options
            .get_field_by_name(name)
            .and_then(|value| value.as_str().map(str::to_owned))
            .filter(|text| !text.is_empty())
            .map_or("None".to_owned(), |text| format!("Some({text:?})"))
    };
    format!(
        "Display {{ hex: {}, ipadd: {}, dev: {}, odev: {}, flags: {}, dict: {}, conv: {} }}",
        flag("hex"),
        flag("ipadd"),
        flag("dev"),
        flag("odev"),
        text("flags"),
        text("dict"),
        text("conv"),
    )
}

fn leading_comment(message: &MessageDescriptor) -> String {
    let file = message.parent_file();
    let path = message.path();
    let Some(info) = file.file_descriptor_proto().source_code_info.as_ref() else {
        return String::new();
    };
    info.location
        .iter()
        .find(|location| location.path == path)
        .map(|location| location.leading_comments().split_whitespace().collect::<Vec<_>>().join(" "))
        .unwrap_or_default()
}
