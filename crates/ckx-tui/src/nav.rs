//! The tree on the left: what there is to see.

use std::collections::HashSet;

use ckx_core::inspect::section;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::keys::Action;
use crate::scroll::Scroll;
use crate::theme::Look;
use crate::view::outline::{OutlineView, place, select};
use crate::view::{Loaded, VIEWS, View, ViewSpec, other_sections};

/// Sections whose row of [`VIEWS`] has another title.
const NAMES: [(&str, &str); 2] = [("descriptors", "files"), ("rootfs-diff", "rootfs changes")];

/// A line of the tree: a row of [`VIEWS`], or a section below one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A row of [`VIEWS`].
    View(usize),
    /// A section, by name, below a row.
    Section(usize, &'static str),
    /// A section that has no place.
    Other(&'static str),
}

/// The tree.
#[derive(Debug)]
pub struct Nav {
    /// Lines that are shown.
    lines: Vec<Entry>,
    unfolded: HashSet<usize>,
    /// Whether there are two sources.
    two: bool,
    /// Place in it.
    pub scroll: Scroll,
}

impl Nav {
    /// The tree of one source, or of two.
    pub fn new(two: bool) -> Self {
        let mut nav = Self { lines: Vec::new(), unfolded: HashSet::new(), two, scroll: Scroll::default() };
        nav.list();
        nav
    }

    /// The rows of [`VIEWS`] that are there, with their places in it.
    fn views(&self) -> impl Iterator<Item = (usize, &'static ViewSpec)> {
        let two = self.two;
        VIEWS.iter().enumerate().filter(move |(_, view)| two || !view.of_two)
    }

    /// Selects a row by its number on the screen, from 1.
    pub fn jump(&mut self, number: usize) {
        if let Some((row, _)) = number.checked_sub(1).and_then(|at| self.views().nth(at)) {
            self.select(Entry::View(row));
        }
    }

    fn list(&mut self) {
        let at = self.entry();
        self.lines.clear();
        for (row, view) in self.views().collect::<Vec<_>>() {
            self.lines.push(Entry::View(row));
            if self.unfolded.contains(&row) {
                self.lines.extend(view.sections.iter().map(|name| Entry::Section(row, name)));
            }
        }
        self.lines.extend(other_sections().map(|section| Entry::Other(section.name)));
        self.scroll.set_len(self.lines.len());
        let place = self.lines.iter().position(|entry| Some(*entry) == at);
        self.scroll.select(place.unwrap_or(self.scroll.at));
    }

    /// The line that is selected.
    pub fn entry(&self) -> Option<Entry> {
        self.lines.get(self.scroll.at).copied()
    }

    /// Makes the view of a line.
    pub fn open(entry: Entry, loaded: &Loaded) -> Option<Box<dyn View>> {
        match entry {
            Entry::View(row) => (VIEWS.get(row)?.open)(loaded),
            Entry::Section(_, name) | Entry::Other(name) => {
                Some(Box::new(OutlineView::section(section(name)?)))
            }
        }
    }

    /// Takes a key. Whether it had a use for it.
    pub fn act(&mut self, action: Action) -> bool {
        let Some(entry) = self.entry() else { return false };
        match (action, entry) {
            (Action::Go(how), _) => self.scroll.go(how),
            (Action::Left, Entry::Section(row, _)) => self.select(Entry::View(row)),
            (Action::Left, Entry::View(row)) => return self.fold(row, true),
            (Action::Right, Entry::View(row)) => return self.fold(row, false),
            (Action::Fold, Entry::View(row)) => {
                let is_folded = !self.unfolded.contains(&row);
                self.fold(row, !is_folded);
            }
            (Action::FoldAll, _) => {
                let all = 0..VIEWS.len();
                self.unfolded = if self.unfolded.is_empty() { all.collect() } else { HashSet::new() };
                self.list();
            }
            _ => return false,
        }
        true
    }

    fn fold(&mut self, row: usize, is_folded: bool) -> bool {
        let can = VIEWS.get(row).is_some_and(|view| !view.sections.is_empty());
        let changed = can && if is_folded { self.unfolded.remove(&row) } else { self.unfolded.insert(row) };
        if changed {
            self.list();
        }
        changed
    }

    /// Selects a line.
    pub fn select(&mut self, entry: Entry) {
        if let Some(at) = self.lines.iter().position(|each| *each == entry) {
            self.scroll.select(at);
        }
    }

    /// Selects a row of [`VIEWS`] or a section by what its name begins with, and unfolds what hides it.
    pub fn find(&mut self, word: &str) -> bool {
        let word = NAMES.iter().find(|(name, _)| *name == word).map_or(word, |(_, title)| title);
        let found = self.views().find_map(|(row, view)| {
            let sections = view.sections.iter().map(|name| (*name, Entry::Section(row, name)));
            let mut all = std::iter::once((view.title, Entry::View(row))).chain(sections);
            all.find(|(name, _)| *name == word).map(|(_, entry)| entry)
        });
        let begins =
            || self.views().find(|(_, view)| view.title.starts_with(word)).map(|(row, _)| Entry::View(row));
        let Some(entry) = found.or_else(begins).filter(|_| !word.is_empty()) else { return false };
        if let Entry::Section(row, _) = entry {
            self.fold(row, false);
        }
        self.select(entry);
        true
    }

    /// Draws it.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, has_focus: bool) {
        for (row, at) in self.scroll.visible().enumerate() {
            let Some(entry) = self.lines.get(at) else { continue };
            let line = self.line(*entry, area.width.into(), look);
            place(select(line, at == self.scroll.at, has_focus, look), area, row, buffer, look);
        }
    }

    fn line(&self, entry: Entry, width: usize, look: Look) -> Line<'static> {
        let faint = look.theme.faint;
        let mut spans = match entry {
            Entry::View(row) => {
                let Some(view) = VIEWS.get(row) else { return Line::default() };
                let at = self.views().position(|(each, _)| each == row).unwrap_or(0);
                let number = if at < 9 { format!("{} ", at + 1) } else { "  ".to_owned() };
                let mark = match (view.sections.is_empty(), self.unfolded.contains(&row)) {
                    (true, _) => "  ",
                    (false, true) => look.pick("▾ ", "- "),
                    (false, false) => look.pick("▸ ", "+ "),
                };
                vec![Span::styled(number, faint), Span::styled(mark, faint), Span::raw(view.title)]
            }
            Entry::Section(_, name) => vec![Span::raw("      "), Span::raw(name)],
            Entry::Other(name) => vec![Span::raw("    "), Span::raw(name)],
        };
        let padding = width.saturating_sub(crate::text::columns(&spans));
        spans.push(Span::raw(" ".repeat(padding)));
        Line::from(spans)
    }
}

#[cfg(test)]
mod tests {
    use ckx_core::inspect::SECTIONS;

    use super::*;
    use crate::view::MAIN_SECTIONS;

    #[test]
    fn every_section_is_in_the_tree_once() {
        for each in SECTIONS {
            let as_main = MAIN_SECTIONS.iter().filter(|name| **name == each.name).count();
            let below =
                VIEWS.iter().flat_map(|view| view.sections).filter(|name| **name == each.name).count();
            let other = other_sections().filter(|other| other.name == each.name).count();
            assert_eq!(as_main + below + other, 1, "{}", each.name);
        }
        let named = MAIN_SECTIONS.iter().chain(VIEWS.iter().flat_map(|view| view.sections));
        for name in named {
            assert!(section(name).is_some(), "{name} is no section");
        }
    }

    #[test]
    fn it_folds_and_finds() {
        let mut nav = Nav::new(false);
        assert!(nav.find("threads"));
        assert!(matches!(nav.entry(), Some(Entry::Section(_, "threads"))));
        nav.act(Action::Left);
        assert!(matches!(nav.entry(), Some(Entry::View(_))));
        nav.act(Action::Left);
        assert!(!nav.lines.iter().any(|entry| matches!(entry, Entry::Section(..))));
        assert!(nav.find("sock") && !nav.find("nothing") && !nav.find("differences"));
        assert!(Nav::new(true).find("differences"));
    }
}
