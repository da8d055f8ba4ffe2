//! What is in an entry, one level at a time.

use bytes::Bytes;
use ckx_criu::Entry;
use ckx_criu::display::pretty_integer;
use ckx_criu::dynamic::{FieldRef, MessageRef, Value};
use ckx_criu::schema::{FieldDesc, Label, MessageDesc, Type};
use ckx_criu::wire::{Scalar, WireValue};
use ratatui::text::Span;

use crate::text::safe;
use crate::theme::Look;

/// An entry of an image.
#[derive(Debug, Clone)]
pub struct Found {
    desc: &'static MessageDesc,
    body: Bytes,
    extra: Bytes,
    offset: u64,
}

/// A row below an entry.
#[derive(Debug, Clone)]
pub struct Node {
    /// Level below the entry, from 1.
    pub depth: usize,
    /// Name of the field, or number in its list.
    pub label: String,
    /// What people see.
    pub value: String,
    /// Bytes that are worth a view of their own.
    pub bytes: Option<Bytes>,
    /// Whether what is below it is shown.
    pub is_open: bool,
    below: Below,
}

/// What is below a row.
#[derive(Debug, Clone)]
enum Below {
    Nothing,
    /// A message.
    Message(&'static MessageDesc, Bytes, bool),
    /// Values of a repeated field of a message, from one to another.
    Values {
        desc: &'static MessageDesc,
        body: Bytes,
        number: u32,
        from: usize,
        to: usize,
        hex: bool,
    },
}

/// Values that are listed at once; more stand in groups of this size.
const GROUP: usize = 1000;

/// Values of numbers that stand in one line.
const INLINE: usize = 8;

/// Bodies that are decoded for a line on the screen.
const MAX_SUMMARY: usize = 64 << 10;

/// Bytes that are shown of a field.
const SHOWN: usize = 24;

impl Found {
    /// An entry of an image that lies in `file`.
    pub fn new(entry: &Entry<'_>, file: &Bytes) -> Self {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        let body = entry.body();
        let start = at(entry.body_offset());
        let end = start.saturating_add(body.len()).min(file.len());
        let last = at(entry.offset().saturating_add(entry.len() as u64)).max(end);
        Self {
            desc: entry.message(),
            body: file.slice(start..end),
            extra: file.slice(end..last),
            offset: entry.offset(),
        }
    }

    /// Where it is in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The rows below it.
    pub fn nodes(&self) -> Vec<Node> {
        let mut nodes = message(self.desc, &self.body, 1, false);
        if !self.extra.is_empty() {
            let value = shown(&self.extra);
            nodes.push(Node { bytes: Some(self.extra.clone()), ..Node::new(1, "extra", value) });
        }
        nodes
    }
}

impl Node {
    fn new(depth: usize, label: impl Into<String>, value: impl Into<String>) -> Self {
        let (label, value) = (label.into(), value.into());
        Self { depth, label, value, bytes: None, is_open: false, below: Below::Nothing }
    }

    /// Whether something is below it.
    pub fn is_foldable(&self) -> bool {
        !matches!(self.below, Below::Nothing)
    }

    fn children(&self) -> Vec<Node> {
        match &self.below {
            Below::Nothing => Vec::new(),
            Below::Message(desc, body, hex) => message(desc, body, self.depth + 1, *hex),
            Below::Values { desc, body, number, from, to, hex } => {
                values(desc, body, *number, *from..*to, *hex, self.depth + 1)
            }
        }
    }

    /// The row as it is drawn.
    pub fn spans(&self, look: Look) -> Vec<Span<'static>> {
        let mark = match (self.is_foldable(), self.is_open) {
            (true, true) => look.pick("▾ ", "- "),
            (true, false) => look.pick("▸ ", "+ "),
            (false, _) => "  ",
        };
        vec![
            Span::styled(format!("{}{mark}", "  ".repeat(self.depth.min(20))), look.theme.faint),
            Span::styled(self.label.clone(), look.theme.name),
            Span::raw(format!("  {}", self.value)),
        ]
    }
}

/// Shows or hides what is below a row.
pub fn toggle(nodes: &mut Vec<Node>, at: usize) {
    let Some(node) = nodes.get_mut(at) else { return };
    node.is_open = !node.is_open;
    if node.is_open {
        let children = node.children();
        nodes.splice(at + 1..at + 1, children);
    } else {
        let depth = node.depth;
        let below = nodes.iter().skip(at + 1).take_while(|below| below.depth > depth).count();
        nodes.drain(at + 1..at + 1 + below);
    }
}

/// The rows of a message.
fn message(desc: &'static MessageDesc, body: &Bytes, depth: usize, hex: bool) -> Vec<Node> {
    let parsed = match MessageRef::parse(desc, body) {
        Ok(parsed) => parsed,
        Err(error) => {
            let value = format!("{}; the bytes are {}", safe(error.to_string()), shown(body));
            return vec![Node { bytes: Some(body.clone()), ..Node::new(depth, "unreadable", value) }];
        }
    };
    let fields = parsed.fields();
    let mut nodes: Vec<Node> = fields.known().map(|field| node(desc, body, &field, depth, hex)).collect();
    for (number, value) in fields.unknown() {
        let text = match value {
            WireValue::Bytes(bytes) => shown(bytes),
            other => format!("{other:?}"),
        };
        nodes.push(Node::new(depth, format!("unknown field {number}"), text));
    }
    nodes
}

fn node(owner: &'static MessageDesc, body: &Bytes, field: &FieldRef<'_>, depth: usize, hex: bool) -> Node {
    let desc = field.desc();
    let hex = hex || desc.display().hex;
    let values = field.values();
    let is_list = desc.label == Label::Repeated;
    let is_plain = !matches!(desc.ty, Type::Message(_) | Type::Bytes);
    if !is_list || (is_plain && values.len() <= INLINE) {
        let texts: Vec<String> = values.iter().map(|value| text(desc, value, hex)).collect();
        let mut node = Node::new(depth, desc.name, texts.join(", "));
        if let (false, Some(first)) = (is_list, values.first()) {
            below(&mut node, first, body, hex);
        }
        return node;
    }
    let mut node = Node::new(depth, desc.name, format!("[{}]", values.len()));
    node.below = Below::Values {
        desc: owner,
        body: body.clone(),
        number: desc.number,
        from: 0,
        to: values.len(),
        hex,
    };
    node
}

/// What is below a value.
fn below(node: &mut Node, value: &Value<'_>, owner: &Bytes, hex: bool) {
    match value {
        Value::Message(message) => {
            node.below = Below::Message(message.desc(), part(owner, message.bytes()), hex);
        }
        Value::Bytes(bytes) if bytes.len() > SHOWN => node.bytes = Some(part(owner, bytes)),
        _ => {}
    }
}

/// A part of a message without copying it, if it lies in there.
fn part(owner: &Bytes, bytes: &[u8]) -> Bytes {
    let range = owner.as_ptr_range();
    let inside = range.contains(&bytes.as_ptr()) && bytes.as_ptr_range().end <= range.end;
    if inside { owner.slice_ref(bytes) } else { Bytes::copy_from_slice(bytes) }
}

/// The rows of some values of a field; very many are grouped.
fn values(
    owner: &'static MessageDesc,
    body: &Bytes,
    number: u32,
    range: std::ops::Range<usize>,
    hex: bool,
    depth: usize,
) -> Vec<Node> {
    if range.len() > GROUP {
        let group = |from: usize| {
            let to = (from + GROUP).min(range.end);
            let mut node = Node::new(depth, format!("{from} to {}", to - 1), "");
            node.below = Below::Values { desc: owner, body: body.clone(), number, from, to, hex };
            node
        };
        return range.clone().step_by(GROUP).map(group).collect();
    }
    let Ok(parsed) = MessageRef::parse(owner, body) else { return Vec::new() };
    let fields = parsed.fields();
    let Some(field) = fields.known().find(|field| field.desc().number == number) else { return Vec::new() };
    let mut at = 0;
    let mut nodes = Vec::new();
    field.each(|value| {
        if range.contains(&at) {
            let mut node = Node::new(depth, at.to_string(), text(field.desc(), &value, hex));
            below(&mut node, &value, body, hex);
            nodes.push(node);
        }
        at += 1;
    });
    nodes
}

/// A value in a line.
fn text(desc: &FieldDesc, value: &Value<'_>, hex: bool) -> String {
    match value {
        Value::Scalar(scalar) => {
            // No flag at all has no name.
            let pretty = pretty_integer(desc, hex, *scalar).filter(|text| !text.is_empty());
            pretty.unwrap_or_else(|| number(*scalar))
        }
        Value::Enum(number, names) => {
            names.name_of(*number).map_or_else(|| number.to_string(), str::to_owned)
        }
        Value::Text(bytes) => format!("\"{}\"", safe(bytes)),
        Value::Bytes(bytes) => shown(bytes),
        Value::Message(message) => brief(message, hex, 60, 1),
    }
}

fn number(scalar: Scalar) -> String {
    match scalar {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Signed(value) => value.to_string(),
        Scalar::Unsigned(value) => value.to_string(),
    }
}

/// Bytes in a line: how many, and the first.
fn shown(bytes: &[u8]) -> String {
    let head: Vec<String> = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    format!("{} bytes: {}{more}", bytes.len(), head.join(" "))
}

/// The plain fields of a message, as many as fit.
fn brief(message: &MessageRef<'_>, hex: bool, room: usize, levels: usize) -> String {
    if message.bytes().len() > MAX_SUMMARY {
        return ckx_core::outline::size(message.bytes().len() as u64);
    }
    let mut out = String::new();
    for field in message.fields().known() {
        let desc = field.desc();
        let hex = hex || desc.display().hex;
        let is_list = desc.label == Label::Repeated;
        let values = field.values();
        let text = match values.first() {
            Some(_) if is_list && values.len() > 1 => format!("[{}]", values.len()),
            Some(Value::Message(inner)) if levels > 0 => {
                format!("{{{}}}", brief(inner, hex, room, levels - 1))
            }
            Some(Value::Message(_)) => "{}".to_owned(),
            Some(Value::Bytes(bytes)) => format!("{} bytes", bytes.len()),
            Some(value) => text(desc, value, hex),
            None => continue,
        };
        if out.chars().count() > room {
            break;
        }
        if !out.is_empty() {
            out.push_str("  ");
        }
        out.push_str(desc.name);
        out.push(' ');
        out.push_str(&text);
    }
    out
}

/// An entry in a line.
pub fn summary(found: &Found, room: usize) -> String {
    if found.body.len() > MAX_SUMMARY {
        return ckx_core::outline::size(found.body.len() as u64);
    }
    match MessageRef::parse(found.desc, &found.body) {
        Ok(message) => brief(&message, false, room, 2),
        Err(error) => format!("unreadable: {}", safe(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use ckx_criu::Image;

    use super::*;

    /// All rows of the first entry of a synthetic image, unfolded.
    fn rows(name: &str) -> Vec<String> {
        let checkpoint = ckx_testkit::presets::web(ckx_testkit::Arch::X86_64).build();
        let bytes = Bytes::copy_from_slice(checkpoint.get(name).expect("the image is there"));
        let image = Image::parse(name.as_bytes(), &bytes).expect("an image");
        let entry = image.entries().next().expect("an entry").expect("no fault");
        let mut nodes = Found::new(&entry, &bytes).nodes();
        let mut at = 0;
        while let Some(node) = nodes.get(at) {
            if node.is_foldable() {
                toggle(&mut nodes, at);
            }
            at += 1;
        }
        nodes.iter().map(|node| format!("{} {} {}", node.depth, node.label, node.value)).collect()
    }

    #[test]
    fn messages_unfold_to_their_fields() {
        let rows = rows("mm-1.img");
        assert!(rows.iter().any(|row| row.starts_with("1 vmas [")), "{rows:#?}");
        assert!(rows.iter().any(|row| row.starts_with("2 0 start 0x")), "{rows:#?}");
        assert!(rows.iter().any(|row| row.starts_with("3 prot PROT_READ")), "{rows:#?}");
    }

    #[test]
    fn folding_undoes_unfolding() {
        let checkpoint = ckx_testkit::presets::web(ckx_testkit::Arch::X86_64).build();
        let bytes = Bytes::copy_from_slice(checkpoint.get("core-1.img").expect("the image is there"));
        let image = Image::parse(b"core-1.img", &bytes).expect("an image");
        let entry = image.entries().next().expect("an entry").expect("no fault");
        let mut nodes = Found::new(&entry, &bytes).nodes();
        let before = nodes.len();
        let first = nodes.iter().position(Node::is_foldable).expect("a message");
        toggle(&mut nodes, first);
        let inner = nodes.iter().skip(first + 1).position(Node::is_foldable);
        inner.into_iter().for_each(|inner| toggle(&mut nodes, first + 1 + inner));
        assert!(nodes.len() > before);
        toggle(&mut nodes, first);
        assert_eq!(nodes.len(), before);
    }
}
