//! Outlines as text: indented fields, trees with branches, tables.

use ckx_core::outline::{Cell, Node, Outline};

use crate::render::value::{HEADING, Look, NAME, Span, cut};
use crate::render::{flow, table};

/// Draws an outline under a title.
pub fn section(title: &str, outline: &Outline, look: Look, out: &mut String) {
    let mut text = Text { look, out };
    text.line("", vec![Span::styled(title, HEADING)]);
    text.nodes(&outline.nodes, "  ");
}

/// Levels of a tree that are indented. Deeper ones stand below each other: a checkpoint may hold a
/// chain of any length.
const MAX_INDENT: usize = 40;

struct Text<'o> {
    look: Look,
    out: &'o mut String,
}

impl Text<'_> {
    fn line(&mut self, prefix: &str, spans: Vec<Span>) {
        let spans = match self.look.width {
            Some(width) => cut(spans, width.saturating_sub(prefix.chars().count()).max(20)),
            None => spans,
        };
        self.out.push_str(prefix);
        self.look.paint(&spans, self.out);
        // Padding of a last column and prefixes leave spaces behind.
        let end = self.out.trim_end_matches(' ').len();
        self.out.truncate(end);
        self.out.push('\n');
    }

    fn nodes(&mut self, nodes: &[Node], prefix: &str) {
        let mut open: Vec<(&[Node], usize, String, bool)> = vec![(nodes, 0, prefix.to_owned(), false)];
        // A stack of our own: the tree is as deep as the checkpoint says.
        while let Some((nodes, at, prefix, in_tree)) = open.pop() {
            let Some(node) = nodes.get(at) else { continue };
            let rest = nodes.get(at + 1..).unwrap_or_default();
            open.push((nodes, at + 1, prefix.clone(), in_tree));
            match node {
                Node::Group(line, children) => {
                    let more = rest.iter().any(|node| matches!(node, Node::Group(..)));
                    let (branch, below) = branches(in_tree, more, &prefix);
                    let spans = self.look.line(line);
                    self.line(&branch, spans);
                    let is_tree = children.iter().any(|child| matches!(child, Node::Group(..)));
                    let below = if is_tree || in_tree { below } else { format!("{prefix}  ") };
                    open.push((children, 0, below, is_tree));
                }
                Node::Field(..) if at > 0 && matches!(nodes.get(at - 1), Some(Node::Field(..))) => {
                    // Drawn with the first of its run.
                }
                Node::Field(..) => self.fields(nodes.get(at..).unwrap_or_default(), &prefix),
                Node::Table(table) => {
                    let indent = prefix.chars().count();
                    for spans in table::lines(table, self.look, indent) {
                        self.line(&prefix, spans);
                    }
                }
                Node::Lines(lines) => {
                    lines.iter().for_each(|cell| self.words(cell, &prefix));
                }
            }
        }
    }

    /// A line of text. One of several cells is broken between them where the screen has no room.
    fn words(&mut self, cell: &Cell, prefix: &str) {
        let Cell::Line(cells) = cell else {
            let spans = self.look.spans(cell);
            return self.line(prefix, spans);
        };
        let indent = prefix.chars().count();
        let pieces = cells.iter().map(|cell| self.look.spans(cell)).collect();
        for (at, line) in flow::flow(pieces, [indent, indent + 4], self.look.width).into_iter().enumerate() {
            let below = format!("{prefix}    ");
            self.line(if at == 0 { prefix } else { &below }, line);
        }
    }

    /// Fields one below the other, their values aligned. A name that would take more than half of the
    /// screen has its value below it.
    fn fields(&mut self, nodes: &[Node], prefix: &str) {
        let run: Vec<(String, &Cell)> = nodes
            .iter()
            .map_while(|node| match node {
                Node::Field(name, value) => {
                    Some((ckx_criu::text::escaped(name.as_bytes()).to_string(), value))
                }
                _ => None,
            })
            .collect();
        let columns = |name: &String| name.chars().count();
        let most = self.look.width.map_or(MAX_NAME, |width| (width / 2).max(MIN_NAME));
        let width = run.iter().map(|(name, _)| columns(name)).filter(|len| *len <= most).max().unwrap_or(0);
        for (name, value) in run {
            let mut value = self.look.spans(value);
            let is_long = columns(&name) > most;
            let padding = " ".repeat(if is_long { width + 2 } else { width + 2 - columns(&name) });
            let name = Span::styled(name, NAME);
            if is_long {
                self.line(prefix, vec![name]);
                if value.iter().all(|span| span.text.is_empty()) {
                    continue;
                }
                value.insert(0, Span::plain(padding));
            } else {
                value.splice(0..0, [name, Span::plain(padding)]);
            }
            self.line(prefix, value);
        }
    }
}

/// Columns of a name that has its value beside it, where lines are not cut.
const MAX_NAME: usize = 80;

/// The same, on the narrowest of screens.
const MIN_NAME: usize = 24;

/// What stands before a group's line, and before what is below it.
fn branches(in_tree: bool, more: bool, prefix: &str) -> (String, String) {
    if !in_tree {
        return (prefix.to_owned(), prefix.to_owned());
    }
    if prefix.chars().count() >= MAX_INDENT {
        return (prefix.to_owned(), prefix.to_owned());
    }
    let (branch, below) = if more { ("├─ ", "│  ") } else { ("└─ ", "   ") };
    (format!("{prefix}{branch}"), format!("{prefix}{below}"))
}

#[cfg(test)]
mod tests {
    use ckx_core::outline::Table;

    use super::*;

    fn drawn(outline: &Outline, width: Option<usize>) -> String {
        let mut out = String::new();
        section("title", outline, Look { width, ..Look::default() }, &mut out);
        out
    }

    fn group(line: &str, children: Vec<Node>) -> Node {
        Node::Group(vec![Cell::from(line)], children)
    }

    #[test]
    fn trees_have_branches_and_fields_line_up() {
        let mut outline = Outline::new();
        outline.field("a", "1");
        outline.field("long name", Cell::Bytes(2048));
        outline.nodes.push(group(
            "root",
            vec![group("child", vec![group("grandchild", vec![])]), group("last", vec![])],
        ));
        outline.nodes.push(group("leaf", vec![Node::Field("x".to_owned(), Cell::from("y"))]));
        let expected = "\
title
  a          1
  long name  2.0 KiB
  root
  ├─ child
  │  └─ grandchild
  └─ last
  leaf
    x  y
";
        assert_eq!(drawn(&outline, None), expected);
    }

    #[test]
    fn long_names_line_up_too() {
        let mut outline = Outline::new();
        outline.field("io.kubernetes.container.name", "nginx");
        outline.field("tty", "no");
        outline.field("io.kubernetes.container.terminationMessagePath", "/dev/log");
        outline.field("io.kubernetes.cri-o.SeccompProfilePath.and.more", "");
        let wide = "\
title
  io.kubernetes.container.name                     nginx
  tty                                              no
  io.kubernetes.container.terminationMessagePath   /dev/log
  io.kubernetes.cri-o.SeccompProfilePath.and.more
";
        assert_eq!(drawn(&outline, None), wide);
        let narrow = "\
title
  io.kubernetes.container.name  nginx
  tty                           no
  io.kubernetes.container.terminationMessagePath
                                /dev/log
  io.kubernetes.cri-o.SeccompProfilePath.and.more
";
        assert_eq!(drawn(&outline, Some(80)), narrow);
    }

    #[test]
    fn lines_of_several_cells_are_broken_and_not_cut() {
        let words =
            ["10.88.0.2:8080", "->", "10.88.0.1:42884", "timestamps", "sack", "mss:1460", "wscale:7,7"];
        let mut outline = Outline::new();
        outline.line(Cell::Line(words.map(Cell::from).to_vec()));
        let narrow = "\
title
  10.88.0.2:8080 -> 10.88.0.1:42884
      timestamps sack mss:1460
      wscale:7,7
";
        assert_eq!(drawn(&outline, Some(36)), narrow);
        assert_eq!(drawn(&outline, None), format!("title\n  {}\n", words.join(" ")));
    }

    #[test]
    fn tables_fit_the_screen() {
        let mut table = Table::new(&["FD", "PATH"]);
        table.row(vec![Cell::Count(3), Cell::from("/usr/lib/x86_64-linux-gnu/libc.so.6")]);
        table.row(vec![Cell::Count(12), Cell::from("pipe")]);
        let mut outline = Outline::new();
        outline.table(table);
        let expected = "\
title
  FD  PATH
   3  /usr/lib/x86_64…bc.so.6
  12  pipe
";
        assert_eq!(drawn(&outline, Some(29)), expected);
        assert!(drawn(&outline, None).contains("/usr/lib/x86_64-linux-gnu/libc.so.6\n"));
    }

    #[test]
    fn chains_of_any_length_are_drawn() {
        let mut node = group("0", vec![]);
        for depth in 1..20_000 {
            node = Node::Group(vec![Cell::Count(depth)], vec![node]);
        }
        let mut outline = Outline { nodes: vec![node] };
        assert_eq!(drawn(&outline, Some(80)).lines().count(), 20_001);
        // Taken apart by hand: dropping a chain recursively would need as much stack as it is long.
        while let Some(Node::Group(_, children)) = outline.nodes.pop() {
            outline.nodes = children;
        }
    }
}
