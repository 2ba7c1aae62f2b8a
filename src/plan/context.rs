//! What DataFusion's SQL planner asks us: tables, functions, options.

use super::Planner;
use super::stream::{StreamSource, ViewSource};
use super::using::{Named, UsingPlanner};
use super::window::WindowPlanner;
use super::within;
use crate::catalog::Definitions;
use crate::sql::Code;
use crate::sql::{Diagnostic, StartAt, WITHIN, has_start, split_start};
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, TableReference};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner};
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use std::cell::Cell;
use std::sync::Arc;

pub(super) use crate::sql::METADATA_SUFFIX as META;
/// How deep views may stand in views.
const MAX_VIEW_DEPTH: usize = 32;

/// The tables and functions that a query sees.
pub(super) struct QueryContext<'a> {
    planner: &'a Planner,
    definitions: &'a Definitions,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
    depth: Cell<usize>,
}

impl<'a> QueryContext<'a> {
    pub(super) fn new(planner: &'a Planner, definitions: &'a Definitions, depth: usize) -> Self {
        QueryContext {
            planner,
            definitions,
            relation_planners: vec![Arc::new(WindowPlanner)],
            depth: Cell::new(depth),
        }
    }

    /// Knows what the query's text names.
    pub(super) fn with_named(mut self, named: Named) -> Self {
        self.relation_planners.push(Arc::new(UsingPlanner(named)));
        self
    }

    /// Fails for what has no place to start from: only the rows of a stream in a topic have offsets, and a table that
    /// began in its middle would lack rows.
    fn check_start(&self, name: &str) -> Result<()> {
        let (what, help) = match self.definitions.streams.get(name) {
            Some(stream) if stream.is_table() => (
                format!("\"{name}\" is a {}: read from its middle it would lack rows", stream.kind()),
                "leave AT out",
            ),
            Some(stream) if stream.connector == "topic" => return Ok(()),
            Some(stream) => (
                format!("AT needs a stream in a topic, and \"{name}\" is read from a {}", stream.connector),
                "leave AT out, or put its rows into a topic first: CREATE STREAM t AS SELECT * FROM …",
            ),
            None if self.definitions.views.contains_key(name) => (
                format!("AT needs a stream in a topic, and \"{name}\" is a view"),
                "write AT behind the streams inside of the view",
            ),
            None => return Ok(()),
        };
        Err(mistake(Diagnostic::coded(Code::Start, what).help(help)))
    }

    fn view(&self, name: &str) -> Result<Option<Arc<dyn TableSource>>> {
        let Some(view) = self.definitions.views.get(name) else { return Ok(None) };
        if self.depth.get() >= MAX_VIEW_DEPTH {
            return Err(mistake(Diagnostic::new(format!(
                "view \"{name}\" uses itself, or views stand too deep in views"
            ))));
        }
        let plan =
            self.planner.view_plan(self.definitions, view, self.depth.get() + 1).map_err(|mut d| {
                // The view's own text is not the one that the caret would point into.
                d.span = None;
                d.message = format!("in view \"{name}\": {}", d.message);
                mistake(d)
            })?;
        Ok(Some(Arc::new(ViewSource::new(plan))))
    }
}

/// A diagnostic on its way through DataFusion's planner.
pub(super) fn mistake(diagnostic: Diagnostic) -> DataFusionError {
    DataFusionError::External(Box::new(diagnostic))
}

impl ContextProvider for QueryContext<'_> {
    fn get_table_source(&self, reference: TableReference) -> Result<Arc<dyn TableSource>> {
        let written = reference.table();
        if let Some(stream) = self.definitions.streams.get(written) {
            return Ok(Arc::new(StreamSource::new(stream.clone(), StartAt::Earliest, false)));
        }
        let plain = written.strip_suffix(META).unwrap_or(written);
        let (name, start) = split_start(plain);
        if has_start(plain) {
            self.check_start(name)?;
        }
        if let Some(stream) = self.definitions.streams.get(name).filter(|_| plain == written) {
            return Ok(Arc::new(StreamSource::new(stream.clone(), start, false)));
        }
        if let Some(stream) = self.definitions.streams.get(name) {
            if stream.is_table() {
                let d = Diagnostic::coded(
                    Code::WrongKind,
                    format!(
                        "only streams have _partition, _offset and _timestamp; \"{}\" is a {}",
                        stream.name,
                        stream.kind()
                    ),
                );
                return Err(mistake(
                    d.help("leave them out: a table's row has no place in a topic of its own"),
                ));
            }
            return Ok(Arc::new(StreamSource::new(stream.clone(), start, true)));
        }
        if let Some(view) = self.view(name)? {
            return Ok(view);
        }
        let mut d = Diagnostic::coded(Code::NoRelation, format!("there is no stream or view \"{name}\""));
        d.help = Some(match self.definitions.nearest(name) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "SHOW STREAMS lists what there is; CREATE STREAM makes one".into(),
        });
        Err(mistake(d))
    }

    fn get_table_function_source(&self, name: &str, _: Vec<Expr>) -> Result<Arc<dyn TableSource>> {
        let d = Diagnostic::coded(Code::NoFunction, format!("there is no table function \"{name}\""));
        Err(mistake(
            d.help("TUMBLE, HOP, CUMULATE and SESSION make windows; SELECT unnest(range(1, 10)) makes rows"),
        ))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.planner.state.expr_planners()
    }
    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }
    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if name == WITHIN {
            return Some(Arc::new(within::marker()));
        }
        self.planner.state.scalar_functions().get(name).cloned()
    }
    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.planner.state.higher_order_functions().get(name).cloned()
    }
    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.planner.state.aggregate_functions().get(name).cloned()
    }
    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.planner.state.window_functions().get(name).cloned()
    }
    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }
    fn options(&self) -> &ConfigOptions {
        self.planner.state.config_options()
    }
    fn udf_names(&self) -> Vec<String> {
        self.planner.state.scalar_functions().keys().cloned().collect()
    }
    fn higher_order_function_names(&self) -> Vec<String> {
        self.planner.state.higher_order_functions().keys().cloned().collect()
    }
    fn udaf_names(&self) -> Vec<String> {
        self.planner.state.aggregate_functions().keys().cloned().collect()
    }
    fn udwf_names(&self) -> Vec<String> {
        self.planner.state.window_functions().keys().cloned().collect()
    }
}
