//! What DataFusion alone answers over tables in memory.

use super::Table;
use crate::oracle::rows::Answer;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;

/// Tables to ask.
pub(crate) struct Reference {
    context: SessionContext,
    runtime: tokio::runtime::Runtime,
}

impl Reference {
    pub(crate) fn new(tables: &[Table]) -> Self {
        let mut config = SessionConfig::new().with_target_partitions(1);
        // As in Millstream: texts are plain strings, and times without a zone are UTC.
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        config.options_mut().execution.time_zone = Some("+00:00".into());
        let context = SessionContext::new_with_config(config);
        for table in tables {
            let rows = MemTable::try_new(table.rows.schema(), vec![vec![table.rows.clone()]]).unwrap();
            context.register_table(&table.name, Arc::new(rows)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Reference { context, runtime }
    }

    /// The answer to a query.
    pub(crate) fn answer(&self, sql: &str) -> Result<Answer> {
        self.runtime.block_on(async {
            let plan = self.context.sql(sql).await?.create_physical_plan().await?;
            let schema = plan.schema();
            Ok(Answer::of(&schema, &collect(plan, self.context.task_ctx()).await?))
        })
    }
}
