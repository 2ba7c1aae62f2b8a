//! ksqlDB's `JOIN … WITHIN`: the marker in the join's condition becomes a condition on the inputs' event times, and
//! late rows are left out with its grace.

use super::context::mistake;
use super::in_time::InTimeNode;
use super::trace::trace;
use super::window::constant_interval;
use crate::sql::Code;
use crate::sql::{Diagnostic, WITHIN};
use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, exec_err};
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Extension, Join, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use std::sync::Arc;

/// The function that stands for the clause until the join is planned; it is never called.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Marker {
    signature: Signature,
}

/// The marker as the SQL planner finds it.
pub(super) fn marker() -> ScalarUDF {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    // Volatile, so that nobody computes it beforehand.
    ScalarUDF::from(Marker { signature: Signature::exact(vec![interval; 3], Volatility::Volatile) })
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        WITHIN
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("WITHIN stands in a join's condition only")
    }
}

/// The plan with a condition on the event times in the place of each marker.
pub(super) fn planned(plan: LogicalPlan) -> Result<LogicalPlan> {
    let planned = plan.transform_up_with_subqueries(|plan| {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let marked = |filter: &Expr| split_conjunction(filter).into_iter().any(is_marker);
        let Some(filter) = join.filter.take_if(|filter| marked(filter)) else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        let (markers, mut conditions): (Vec<Expr>, Vec<Expr>) =
            split_conjunction_owned(filter).into_iter().partition(is_marker);
        let Some(Expr::ScalarFunction(marker)) = markers.into_iter().next() else {
            return datafusion::common::internal_err!("the marker is a function");
        };
        let grace =
            marker.args.last().map_or(Ok(0), constant_interval).map_err(|why| length("grace", &why))?;
        let times = [in_time(&mut join, 0, grace)?, in_time(&mut join, 1, grace)?].map(Expr::Column);
        let [left, right] = times;
        let mut lengths = marker.args.into_iter();
        let (Some(before), Some(after)) = (lengths.next(), lengths.next()) else {
            return datafusion::common::internal_err!("WITHIN has two lengths");
        };
        conditions.push(right.between(left.clone() - before, left + after));
        join.filter = conjunction(conditions);
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    });
    Ok(planned?.data)
}

fn is_marker(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(function) if function.name() == WITHIN)
}

fn length(what: &str, why: &str) -> datafusion::error::DataFusionError {
    mistake(Diagnostic::coded(Code::Window, format!("the {what} of WITHIN {why}")))
}

/// Leaves late rows out of an input; gives its event time.
fn in_time(join: &mut Join, side: usize, grace: i64) -> Result<Column> {
    let input = if side == 0 { &mut join.left } else { &mut join.right };
    let Some(time) = trace(input)?.iter().position(|t| t.event_time) else {
        let side = ["left", "right"][side];
        let d = Diagnostic::coded(
            Code::EventTime,
            format!("WITHIN needs an event time on both sides, and the {side} one has none"),
        );
        return Err(mistake(
            d.help("declare it where the stream is created: WATERMARK FOR ts AS ts - INTERVAL '5 seconds'"),
        ));
    };
    let time = Column::from(input.schema().qualified_field(time));
    let node = InTimeNode::try_new(input.as_ref().clone(), time.clone(), grace)?;
    *input = Arc::new(LogicalPlan::Extension(Extension { node: Arc::new(node) }));
    Ok(time)
}
