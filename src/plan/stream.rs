//! Streams and views as DataFusion's planner sees them.

use crate::catalog::StreamDef;
use crate::sql::StartAt;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::datasource::TableType;
use datafusion::logical_expr::{LogicalPlan, TableSource};
use std::borrow::Cow;
use std::sync::Arc;

/// The columns that every stream has besides its own: `_partition INT`, `_offset BIGINT` (what a
/// reader's position counts: see the connector) and `_timestamp TIMESTAMP` (when the row was written; null where
/// the source does not tell). They are only seen where a query names them.
pub fn metadata_fields() -> [Field; 3] {
    [
        Field::new("_partition", DataType::Int32, false),
        Field::new("_offset", DataType::Int64, false),
        Field::new("_timestamp", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
    ]
}

/// A stream in a plan. Its schema is the declared columns, then, if asked for, the metadata columns.
#[derive(Debug)]
pub struct StreamSource {
    /// The definition.
    pub stream: Arc<StreamDef>,
    /// Where reading it begins.
    pub start: StartAt,
    schema: SchemaRef,
}

impl StreamSource {
    /// A scan of `stream` from `start` on, with its metadata columns or without.
    pub fn new(stream: Arc<StreamDef>, start: StartAt, metadata: bool) -> Self {
        let mut schema = stream.schema();
        if metadata {
            let mut fields = schema.fields().to_vec();
            fields.extend(metadata_fields().map(Arc::new));
            schema = Arc::new(Schema::new(fields));
        }
        StreamSource { stream, start, schema }
    }
}

impl TableSource for StreamSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// A view in a plan: it is inlined.
#[derive(Debug)]
pub(super) struct ViewSource {
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl ViewSource {
    pub(super) fn new(plan: LogicalPlan) -> Self {
        ViewSource { schema: Arc::new(plan.schema().as_arrow().clone()), plan }
    }
}

impl TableSource for ViewSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
    fn table_type(&self) -> TableType {
        TableType::View
    }
    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }
}

/// The stream that a table scan reads, if it reads one of ours.
pub fn stream_of(source: &Arc<dyn TableSource>) -> Option<&StreamSource> {
    (source.as_ref() as &dyn std::any::Any).downcast_ref::<StreamSource>()
}
