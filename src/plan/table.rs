//! What is read of a table's topic to know certain columns of its rows.

use super::dataflow::SourceSpec;
use crate::catalog::StreamDef;
use crate::operators::upsert::UpsertSpec;
use arrow::datatypes::{Schema, SchemaRef};
use std::sync::Arc;

/// How a table is read.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// Which of its topic's columns are read.
    pub source: SourceSpec,
    /// How the table's rows follow from them.
    pub upsert: UpsertSpec,
}

/// How the columns `wanted` of a table are read, under `schema`: first the key columns, then those of the wanted that
/// are none, last the one that tells tombstones.
pub fn table_spec(table: &Arc<StreamDef>, wanted: &[usize], schema: SchemaRef) -> TableSpec {
    let topic = table.topic_schema();
    let mut columns = table.key_indices().unwrap_or_default();
    let keys = (0..columns.len()).collect();
    for column in wanted {
        if !columns.contains(column) {
            columns.push(*column);
        }
    }
    let read = wanted.iter().filter_map(|w| columns.iter().position(|c| c == w)).collect();
    columns.push(table.columns.len());
    let fields: Vec<_> = columns.iter().map(|c| topic.field(*c).clone()).collect();
    let input_schema = Arc::new(Schema::new(fields));
    let upsert = UpsertSpec {
        table: table.name.clone(),
        input_schema: input_schema.clone(),
        keys,
        deleted: columns.len() - 1,
        columns: read,
        schema,
    };
    let source = SourceSpec {
        stream: table.clone(),
        start: Default::default(),
        columns,
        schema: input_schema,
        late_rule: None,
    };
    TableSpec { source, upsert }
}
