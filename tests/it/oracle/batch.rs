//! The reference: DataFusion alone, over all rows at once.

use super::data::{MARK, STREAMS, Shape};
use super::rows::Answer;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use millstream::plan::Planner;
use std::sync::{Arc, Mutex};

/// A table whose rows change between runs of a plan.
#[derive(Debug)]
struct Exchangeable {
    schema: SchemaRef,
    rows: Mutex<Vec<RecordBatch>>,
}

#[async_trait]
impl TableProvider for Exchangeable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
    fn table_type(&self) -> TableType {
        TableType::Base
    }
    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows.lock().unwrap().clone();
        Ok(MemorySourceConfig::try_new_exec(&[rows], self.schema.clone(), projection.cloned())?)
    }
}

/// A query, planned for any data.
pub(super) struct Reference {
    state: SessionState,
    tables: Vec<Arc<Exchangeable>>,
    plan: LogicalPlan,
    runtime: tokio::runtime::Runtime,
}

impl Reference {
    pub(super) fn new(shape: &Shape, sql: &str) -> Result<Self> {
        let mut config = SessionConfig::new().with_target_partitions(1);
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        // As in Millstream: what has no zone is UTC, so a function that gives a zoned time gives UTC.
        config.options_mut().execution.time_zone = Some("+00:00".into());
        // Run as expressions of their own, subqueries that give null let rows pass that a comparison with null must not.
        config.options_mut().optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        let context = SessionContext::new_with_config(config);
        let mut fields = shape.schema().fields().to_vec();
        fields.push(Arc::new(Field::new(MARK, DataType::Int64, true)));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let mut tables = Vec::new();
        for name in STREAMS {
            let table = Arc::new(Exchangeable { schema: schema.clone(), rows: Mutex::default() });
            context.register_table(name, table.clone())?;
            tables.push(table);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        // Of the optimizer's faults, those that are known are kept out here too.
        let planner = Planner::new();
        let state = SessionStateBuilder::new_from_existing(context.state())
            .with_optimizer_rules(planner.session_state().optimizers().to_vec())
            .with_physical_optimizer_rules(planner.session_state().physical_optimizers().to_vec())
            .build();
        let plan = runtime.block_on(state.create_logical_plan(sql))?;
        let plan = state.optimize(&plan)?;
        Ok(Reference { state, tables, plan, runtime })
    }

    /// The answer over these rows of `s` and `t` with their marks.
    pub(super) fn answer(&self, rows: [RecordBatch; 2]) -> Result<Answer> {
        for (table, rows) in self.tables.iter().zip(rows) {
            *table.rows.lock().unwrap() = vec![rows];
        }
        self.runtime.block_on(async {
            let plan = self.state.query_planner().create_physical_plan(&self.plan, &self.state).await?;
            let schema = plan.schema();
            Ok(Answer::of(&schema, &collect(plan, self.state.task_ctx()).await?))
        })
    }
}
