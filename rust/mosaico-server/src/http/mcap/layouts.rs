//! The layouts of files that were asked for lately.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::plan::Plan;

/// Layouts that are remembered. One has about 100 bytes per MiB of its file.
const REMEMBERED: usize = 16;

/// A layout, once somebody has made it.
pub(super) type Layout = Arc<OnceCell<Plan>>;

/// The layouts of files that were asked for lately, by tag.
#[derive(Debug, Default)]
pub(crate) struct Layouts(Mutex<VecDeque<(String, Layout)>>);

impl Layouts {
    pub(super) fn get(&self, tag: &str) -> Layout {
        let mut all = self.0.lock();
        let known = all.iter().position(|(known, _)| known == tag).and_then(|at| all.remove(at));
        let found = known.unwrap_or_else(|| (tag.to_owned(), Layout::default()));
        let layout = Arc::clone(&found.1);
        all.push_front(found);
        all.truncate(REMEMBERED);
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_layouts_are_remembered() {
        let layouts = Layouts::default();
        let first = layouts.get("a");
        assert!(Arc::ptr_eq(&first, &layouts.get("a")));
        (0..REMEMBERED).for_each(|number| drop(layouts.get(&number.to_string())));
        assert!(!Arc::ptr_eq(&first, &layouts.get("a")));
    }
}
