//! A list of things that become rows when they are on the screen, with a filter that runs beside it.

use std::sync::Arc;

use crate::job::Answer;
use crate::keys::Action;
use crate::scroll::Scroll;
use crate::view::Cx;

/// Items, of which a filter may hide some.
pub struct List<T> {
    items: Arc<Vec<T>>,
    /// Places of the items that are shown.
    shown: Vec<u32>,
    filter: String,
    /// Whether a filter runs.
    pub is_filtering: bool,
    /// The place in it.
    pub scroll: Scroll,
    text: fn(&T) -> String,
}

impl<T: Send + Sync + 'static> List<T> {
    /// Nothing; `text` is what a filter looks at.
    pub fn new(text: fn(&T) -> String) -> Self {
        let items = Arc::new(Vec::new());
        Self {
            items,
            shown: Vec::new(),
            filter: String::new(),
            is_filtering: false,
            scroll: Scroll::default(),
            text,
        }
    }

    /// Replaces the items.
    pub fn set(&mut self, items: Vec<T>, cx: &mut Cx<'_>) {
        self.items = Arc::new(items);
        self.show_all();
        if !self.filter.is_empty() {
            let filter = std::mem::take(&mut self.filter);
            self.filter(&filter, cx);
        }
    }

    /// Adds items at the end; a filter is not asked again.
    pub fn extend(&mut self, more: Vec<T>)
    where
        T: Clone,
    {
        Arc::make_mut(&mut self.items).extend(more);
        if self.filter.is_empty() {
            self.show_all();
        }
    }

    fn show_all(&mut self) {
        self.shown = (0..u32::try_from(self.items.len()).unwrap_or(u32::MAX)).collect();
        self.scroll.set_len(self.shown.len());
    }

    /// All items.
    pub fn items(&self) -> &Arc<Vec<T>> {
        &self.items
    }

    /// The item at a place of what is shown.
    pub fn at(&self, place: usize) -> Option<&T> {
        self.items.get(*self.shown.get(place)? as usize)
    }

    /// The item that is selected.
    pub fn selected(&self) -> Option<&T> {
        self.at(self.scroll.at)
    }

    /// The filter.
    pub fn filter_text(&self) -> &str {
        &self.filter
    }

    /// Moves.
    pub fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Go(how) => self.scroll.go(how),
            _ => return false,
        }
        true
    }

    /// Shows only what has a word in it.
    pub fn filter(&mut self, text: &str, cx: &mut Cx<'_>) {
        if self.filter == text {
            return;
        }
        self.filter = text.to_owned();
        if text.is_empty() {
            self.is_filtering = false;
            cx.stop("filter");
            return self.show_all();
        }
        self.is_filtering = true;
        let (items, word, text) = (self.items.clone(), text.to_lowercase(), self.text);
        cx.job("filter", move |work| {
            let mut kept: Vec<u32> = Vec::new();
            for (at, item) in items.iter().zip(0u32..).map(|(item, at)| (at, item)) {
                if at % 4096 == 0 && work.is_stopped() {
                    break;
                }
                if text(item).to_lowercase().contains(&word) {
                    kept.push(at);
                }
            }
            Ok(Box::new(kept))
        });
    }

    /// Takes the answer of a filter.
    pub fn filtered(&mut self, answer: Answer) {
        if let Ok(kept) = answer.downcast::<Vec<u32>>() {
            self.is_filtering = false;
            self.shown = *kept;
            self.scroll.set_len(self.shown.len());
        }
    }

    /// What there is to say instead of rows, if there are none.
    pub fn nothing(&self, nothing: &'static str) -> Option<&'static str> {
        match (self.shown.is_empty(), self.filter.is_empty()) {
            (false, _) => None,
            (true, false) => Some("nothing matches the filter"),
            (true, true) => Some(nothing),
        }
    }
}
