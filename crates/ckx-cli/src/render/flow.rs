//! Lines that are broken where a narrow screen asks for it, instead of being cut.

use crate::render::value::{Span, columns, cut, cut_before};

/// Puts pieces on as few lines as the screen allows, with a space between two. Only a piece that is
/// wider than the screen is cut. `indents` are the columns that stand before the first line and before
/// the others.
pub fn flow(pieces: Vec<Vec<Span>>, indents: [usize; 2], width: Option<usize>) -> Vec<Vec<Span>> {
    let mut lines: Vec<Vec<Span>> = Vec::new();
    let mut used = 0;
    let room = |at: usize| width.map_or(usize::MAX, |width| width.saturating_sub(indents[at]).max(MIN_ROOM));
    for piece in pieces {
        let wide = columns(&piece);
        let fits = used + 1 + wide <= room(usize::from(lines.len() > 1));
        match lines.last_mut().filter(|_| fits) {
            Some(line) => {
                line.push(Span::plain(" "));
                line.extend(piece);
                used += 1 + wide;
            }
            None => {
                let piece = cut(piece, room(usize::from(!lines.is_empty())));
                used = columns(&piece);
                lines.push(piece);
            }
        }
    }
    lines
}

/// A name with what is told of it: on one line if there is room, else the name alone and the rest below.
/// Of a name that is too wide the last part stays.
pub fn under(
    name: Vec<Span>,
    pieces: Vec<Vec<Span>>,
    indents: [usize; 2],
    width: Option<usize>,
) -> Vec<Vec<Span>> {
    let total = columns(&name) + pieces.iter().map(|piece| 1 + columns(piece)).sum::<usize>();
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indents[0]).max(MIN_ROOM));
    if total <= room {
        return flow([vec![name], pieces].concat(), indents, width);
    }
    let end = last_part(&name);
    let mut lines = vec![cut_before(name, room, end)];
    lines.extend(flow(pieces, [indents[1]; 2], width));
    lines
}

/// Columns of the last part of a path: a file's name, a field's.
fn last_part(name: &[Span]) -> usize {
    let text: String = name.iter().map(|span| span.text.as_str()).collect();
    let at = text.rfind('/').or_else(|| text.rfind('.')).unwrap_or(0);
    text.get(at..).unwrap_or_default().chars().count()
}

/// Narrower no screen is taken to be.
const MIN_ROOM: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: Vec<Vec<Span>>) -> Vec<String> {
        lines.into_iter().map(|line| line.into_iter().map(|span| span.text).collect()).collect()
    }

    fn words(words: &[&str]) -> Vec<Vec<Span>> {
        words.iter().map(|word| vec![Span::plain(*word)]).collect()
    }

    #[test]
    fn lines_are_broken_between_pieces() {
        let pieces = || words(&["sack,", "wscale 7", "mss 1460,", "timestamps"]);
        assert_eq!(text(flow(pieces(), [0, 0], None)), ["sack, wscale 7 mss 1460, timestamps"]);
        assert_eq!(text(flow(pieces(), [0, 0], Some(24))), ["sack, wscale 7 mss 1460,", "timestamps"]);
        assert_eq!(text(flow(pieces(), [4, 0], Some(24))), ["sack, wscale 7", "mss 1460, timestamps"]);
        let long = "x".repeat(30);
        assert_eq!(text(flow(words(&["a", &long, "b"]), [0, 0], Some(24)))[1].chars().count(), 24);
        assert!(flow(Vec::new(), [0, 0], Some(24)).is_empty());
    }

    #[test]
    fn of_a_long_name_the_last_part_stays() {
        let path = format!("rootfs[/srv/{}/settings-of-the-service.json]", "deep/".repeat(20));
        let lines = text(under(words(&[&path]).concat(), words(&["size_bytes 3", "-> 4"]), [4, 6], Some(60)));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("rootfs[/srv/deep") && lines[0].chars().count() == 56, "{lines:?}");
        assert!(lines[0].ends_with("/settings-of-the-service.json]"), "{lines:?}");
        assert_eq!(lines[1], "size_bytes 3 -> 4");
        let wide = text(under(words(&[&path]).concat(), words(&["1"]), [4, 6], None));
        assert_eq!(wide, [format!("{path} 1")]);
    }
}
