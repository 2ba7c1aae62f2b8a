//! A session's queries as plans. A mistake that comes without a place is told at the smallest expression that makes it by
//! itself.

use super::define::emit_mode;
use super::insert::{exact_decimals, into_columns};
use super::{Result, Session};
use crate::catalog::{Definitions, StreamDef};
use crate::plan::Dataflow;
use crate::plan::order::LastLimit;
use crate::plan::unique::{UniqueKeys, unique_keys};
use crate::sql::{self, Diagnostic, EmitQuery, Insert};
use datafusion::logical_expr::LogicalPlan;
use std::sync::Arc;

/// How far a query is planned until the mistake shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// From text to a plan.
    Plan,
    /// To a plan that DataFusion's batch engine runs.
    Bounded,
    /// To operators.
    Flow,
}

impl Session {
    pub(super) fn plan(
        &self,
        definitions: &Definitions,
        source: &str,
        query: &EmitQuery,
    ) -> Result<LogicalPlan> {
        let placed = |d| self.placed(definitions, source, query, Stage::Plan, d);
        Ok(self.engine.0.planner.query(definitions, source, &query.query).map_err(placed)?)
    }

    /// The plan of a SELECT without EMIT, as DataFusion's batch engine takes it.
    pub(super) fn bounded_plan(
        &self,
        definitions: &Definitions,
        source: &str,
        query: &EmitQuery,
    ) -> Result<LogicalPlan> {
        let plan = self.plan(definitions, source, query)?;
        let placed = |d| self.placed(definitions, source, query, Stage::Bounded, d);
        let planner = &self.engine.0.planner;
        let plan = planner.bounded(plan, LastLimit::First).map_err(placed)?;
        planner.check_types(&plan).map_err(placed)?;
        Ok(plan)
    }

    /// The query's dataflow, and what tells its rows apart.
    pub(super) fn flow(
        &self,
        definitions: &Definitions,
        source: &str,
        query: &EmitQuery,
    ) -> Result<(Arc<Dataflow>, UniqueKeys)> {
        self.dataflow(definitions, source, query, self.plan(definitions, source, query)?)
    }

    pub(super) fn dataflow(
        &self,
        definitions: &Definitions,
        source: &str,
        query: &EmitQuery,
        plan: LogicalPlan,
    ) -> Result<(Arc<Dataflow>, UniqueKeys)> {
        let planner = &self.engine.0.planner;
        let placed = |d| self.placed(definitions, source, query, Stage::Flow, d);
        let optimized = planner.optimize(plan).map_err(placed)?;
        let flow = planner.dataflow(&optimized, emit_mode(query)).map_err(placed)?;
        Ok((Arc::new(flow), unique_keys(&optimized)))
    }

    /// The plan of an INSERT's query, whose columns are those of `stream`.
    pub(super) fn inserted_plan(
        &self,
        definitions: &Definitions,
        source: &str,
        insert: &Insert,
        stream: &StreamDef,
    ) -> Result<LogicalPlan> {
        let query = exact_decimals(stream, insert);
        let plan = self
            .plan(definitions, source, &query)
            .and_then(|plan| into_columns(source, stream, insert, plan));
        plan.map_err(|error| self.placed_value(definitions, source, insert, stream, error))
    }

    /// Gives a mistake about `query` that has no place the place of the expression that makes it, else that of EMIT if it is
    /// about that, else the whole query's.
    pub(super) fn placed(
        &self,
        definitions: &Definitions,
        source: &str,
        query: &EmitQuery,
        stage: Stage,
        mut mistake: Diagnostic,
    ) -> Diagnostic {
        if mistake.span.is_some() {
            return mistake;
        }
        let emit = query.emit.as_ref().map(|(_, span)| span.clone());
        if let Some(span) = emit.filter(|_| mistake.message.starts_with("EMIT")) {
            return mistake.at(span);
        }
        let suspects = sql::suspects(source, &query.query);
        let makes_it = |alone: Box<_>| {
            let alone = EmitQuery { query: alone, ..query.clone() };
            let found = self.mistake_of(definitions, source, &alone, stage);
            found.is_some_and(|found| found.message == mistake.message)
        };
        let culprit = suspects.into_iter().find(|s| makes_it(s.query.clone()) && !makes_it(s.bare.clone()));
        mistake.span = Some(culprit.map_or_else(|| query.span.clone(), |suspect| suspect.span));
        mistake
    }

    fn mistake_of(
        &self,
        definitions: &Definitions,
        source: &str,
        query: &EmitQuery,
        stage: Stage,
    ) -> Option<Diagnostic> {
        let planner = &self.engine.0.planner;
        let planned = planner.query(definitions, source, &query.query);
        let done = planned.and_then(|plan| match stage {
            Stage::Plan => Ok(()),
            Stage::Bounded => {
                planner.bounded(plan, LastLimit::First).and_then(|plan| planner.check_types(&plan))
            }
            Stage::Flow => {
                let plan = planner.optimize(plan)?;
                planner.dataflow(&plan, emit_mode(query)).map(drop)
            }
        });
        done.err()
    }
}
