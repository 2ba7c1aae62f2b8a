//! Streams, tables and views: their definitions, kept in the data directory. May use `disk`.

mod definition;
mod store;

pub use definition::{Column, DELETED, EventTimeDef, StreamDef, ViewDef};
pub use store::{CatalogError, CatalogStore};

use std::collections::BTreeMap;
use std::sync::Arc;

/// All definitions at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Definitions {
    /// Streams and tables by folded name.
    pub streams: BTreeMap<String, Arc<StreamDef>>,
    /// Views by folded name.
    pub views: BTreeMap<String, Arc<ViewDef>>,
}

impl Definitions {
    /// The stream or view name nearest to `name`, if one is near.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let names = self.streams.keys().chain(self.views.keys());
        let scored = names.map(|n| (strsim::jaro_winkler(n, name), n));
        scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, n)| n.as_str())
    }
}
