//! DataFusion's side: its batch engine over the same files, or over the same rows in memory. Its result is counted and dropped, too.

use super::child::{Ask, Ran};
use super::queries::{Query, TABLES, Table};
use super::usage::{Stopwatch, peak_memory_mb};
use super::{BenchError, Input, Result};
use arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::{JsonReadOptions, SessionConfig, SessionContext};
use futures::StreamExt;
use std::sync::Arc;

/// Runs a query once.
pub(super) fn run(ask: &Ask, query: &Query) -> Result<Ran> {
    threads(ask)?.block_on(async {
        let loaded = match ask.input {
            Input::Json => None,
            Input::Topic => Some(in_memory(ask, query).await?),
        };
        let watch = Stopwatch::start();
        let context = match loaded {
            Some(context) => context,
            None => over_files(ask, query).await?,
        };
        let mut rows_out = 0;
        let mut batches = context.sql(&query.batch()).await?.execute_stream().await?;
        while let Some(batch) = batches.next().await {
            rows_out += batch?.num_rows() as u64;
        }
        let (wall_s, cpu_s) = watch.seconds();
        Ok(Ran { wall_s, cpu_s, peak_mb: peak_memory_mb(), rows_in: None, rows_out, steps: None, kept: None })
    })
}

/// The rows of the result.
pub(super) fn rows(ask: &Ask, query: &Query) -> Result<Vec<RecordBatch>> {
    threads(ask)?.block_on(async {
        let context = over_files(ask, query).await?;
        Ok(context.sql(&query.batch()).await?.collect().await?)
    })
}

fn threads(ask: &Ask) -> Result<tokio::runtime::Runtime> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let threads = threads.worker_threads(ask.workers).enable_all().build();
    threads.map_err(|e| BenchError::Run(format!("cannot start threads: {e}")))
}

fn context(ask: &Ask) -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(ask.workers))
}

fn read<'q>(query: &'q Query) -> impl Iterator<Item = &'static Table> + 'q {
    TABLES.iter().filter(|t| query.tables.contains(&t.name))
}

async fn over_files(ask: &Ask, query: &Query) -> Result<SessionContext> {
    let context = context(ask);
    for table in read(query) {
        let schema = table.schema();
        // With a slash behind it, it is a folder.
        let folder = format!("{}/", ask.data.folder(table.name).display());
        context.register_json(table.name, folder, JsonReadOptions::default().schema(&schema)).await?;
    }
    Ok(context)
}

async fn in_memory(ask: &Ask, query: &Query) -> Result<SessionContext> {
    let (files, memory) = (over_files(ask, query).await?, context(ask));
    for table in read(query) {
        let partitions = files.table(table.name).await?.collect_partitioned().await?;
        let rows = MemTable::try_new(Arc::new(table.schema()), partitions)?;
        memory.register_table(table.name, Arc::new(rows))?;
    }
    Ok(memory)
}
