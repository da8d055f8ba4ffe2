//! A place in a list of which only a window is drawn.

/// Which line is selected, and which lines are on the screen. Lists have any length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scroll {
    /// Selected line.
    pub at: usize,
    /// First line on the screen.
    pub top: usize,
    /// Lines on the screen.
    pub height: usize,
    /// Lines in all.
    pub len: usize,
}

/// A movement in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// To the line above.
    Up,
    /// To the line below.
    Down,
    /// Half a screen up.
    HalfUp,
    /// Half a screen down.
    HalfDown,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// To the first line.
    First,
    /// To the last line.
    Last,
}

impl Scroll {
    /// Moves the selection.
    pub fn go(&mut self, how: Move) {
        let page = self.height.saturating_sub(1).max(1);
        let at = match how {
            Move::Up => self.at.saturating_sub(1),
            Move::Down => self.at.saturating_add(1),
            Move::HalfUp => self.at.saturating_sub(page / 2 + 1),
            Move::HalfDown => self.at.saturating_add(page / 2 + 1),
            Move::PageUp => self.at.saturating_sub(page),
            Move::PageDown => self.at.saturating_add(page),
            Move::First => 0,
            Move::Last => usize::MAX,
        };
        self.select(at);
    }

    /// Selects a line, or the last one, and brings it onto the screen.
    pub fn select(&mut self, at: usize) {
        self.at = at.min(self.len.saturating_sub(1));
        self.top = self.top.min(self.at).max((self.at + 1).saturating_sub(self.height.max(1)));
        self.top = self.top.min(self.len.saturating_sub(self.height));
    }

    /// Makes lines below the selected one seen, as many as fit.
    pub fn reveal(&mut self, below: usize) {
        let last = self.at.saturating_add(below).min(self.len.saturating_sub(1));
        self.top = self.top.max((last + 1).saturating_sub(self.height.max(1))).min(self.at);
    }

    /// The list has another length.
    pub fn set_len(&mut self, len: usize) {
        self.len = len;
        self.select(self.at);
    }

    /// The screen has another height.
    pub fn set_height(&mut self, height: usize) {
        self.height = height;
        self.select(self.at);
    }

    /// Lines on the screen.
    pub fn visible(&self) -> std::ops::Range<usize> {
        self.top..self.top.saturating_add(self.height).min(self.len)
    }

    /// The line at a row of the screen.
    pub fn at_row(&self, row: usize) -> Option<usize> {
        let at = self.top.saturating_add(row);
        (row < self.height && at < self.len).then_some(at)
    }

    /// `12/345`.
    pub fn place(&self) -> String {
        if self.len == 0 { String::new() } else { format!("{}/{}", self.at + 1, self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_is_always_on_the_screen() {
        let mut scroll = Scroll { height: 10, len: 1_000_000, ..Scroll::default() };
        use Move::*;
        for how in [Down, PageDown, HalfDown, Last, Up, PageUp, HalfUp, First, Up, Last, Down] {
            scroll.go(how);
            assert!(scroll.visible().contains(&scroll.at), "{how:?}: {scroll:?}");
        }
        assert_eq!((scroll.at, scroll.top), (999_999, 999_990));
        scroll.set_len(3);
        assert_eq!((scroll.at, scroll.top), (2, 0));
        scroll.set_len(0);
        assert_eq!((scroll.at, scroll.visible().len()), (0, 0));
        scroll.set_height(0);
        scroll.go(Down);
        assert_eq!(scroll.at, 0);
    }
}
