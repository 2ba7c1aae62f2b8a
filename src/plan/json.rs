//! Values out of JSON in text columns: `body -> 'user' ->> 'name'`, `json_get_int(body, 'n')`.
//!
//! | SQL | gives |
//! |---|---|
//! | `j -> 'key'`, `j -> 0`, `j #> ['a', 'b']`, `json_get(j, path…)` | the value there as JSON text |
//! | `j ->> 'key'`, `j #>> ['a', 'b']`, `json_as_text(j, path…)` | the value there as text, a JSON string without its quotes |
//! | `json_get_str`, `json_get_int`, `json_get_float`, `json_get_bool` | the value there, if it is of that type |
//! | `json_get_array`, `json_object_keys`, `json_length`, `json_contains` | elements, keys, how many, whether there is one |
//!
//! What is not there, is a JSON null or is not JSON at all gives NULL. The functions are those of
//! `datafusion-functions-json`, but for its union of all JSON types, which no stream can keep: `->` and `json_get`
//! give JSON text.

use super::context::mistake;
use crate::sql::Code;
use crate::sql::Diagnostic;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{ExprSchemable, ScalarUDF};
use datafusion_functions_json::udfs;
use sqlparser::ast::BinaryOperator;
use std::sync::Arc;

/// Gives a state the functions and operators.
pub(super) fn register(state: &mut SessionState) -> Result<()> {
    let get = Arc::new(udfs::json_get_json_udf().as_ref().clone().with_aliases(["json_get"]));
    let functions: [Arc<ScalarUDF>; 10] = [
        get,
        udfs::json_as_text_udf(),
        udfs::json_get_str_udf(),
        udfs::json_get_int_udf(),
        udfs::json_get_float_udf(),
        udfs::json_get_bool_udf(),
        udfs::json_get_array_udf(),
        udfs::json_object_keys_udf(),
        udfs::json_length_udf(),
        udfs::json_contains_udf(),
    ];
    for function in functions {
        state.register_udf(function)?;
    }
    state.register_expr_planner(Arc::new(JsonOperators))
}

/// The operators.
#[derive(Debug)]
struct JsonOperators;

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let function = match &expr.op {
            BinaryOperator::Arrow | BinaryOperator::HashArrow => udfs::json_get_json_udf(),
            BinaryOperator::LongArrow | BinaryOperator::HashLongArrow => udfs::json_as_text_udf(),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let found = expr.left.get_type(schema)?;
        if !found.is_string() && !found.is_null() {
            let found = crate::operators::plain(&found.to_string());
            let d = Diagnostic::coded(
                Code::Types,
                format!("{} takes JSON text on its left, not {found}", expr.op),
            );
            return Err(mistake(d.help("parts of structs and maps are taken as s['name']")));
        }
        Ok(PlannerResult::Planned(function.call(vec![expr.left, expr.right])))
    }
}
