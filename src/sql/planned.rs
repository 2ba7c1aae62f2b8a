//! Tests only: parsed queries go through DataFusion's SQL planner, as the planner of the engine will send them.
//!
//! The relation planner here puts constants where a real one assigns windows: what is tested are names and types.

use super::{Statement, WindowCall, expose_metadata, parse, window_call};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::{DFSchema, Result, TableReference, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::functions_aggregate::{count::count_udaf, sum::sum_udaf};
use datafusion::logical_expr::logical_plan::builder::LogicalTableSource;
use datafusion::logical_expr::planner::{
    ContextProvider, PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF,
    lit,
};
use datafusion::scalar::ScalarValue;
use datafusion::sql::planner::SqlToRel;
use sqlparser::ast::{self, TableFactor};
use std::sync::Arc;

#[derive(Debug)]
struct Windows;

impl RelationPlanner for Windows {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let call = window_call(&relation)
            .map_err(|error| datafusion::error::DataFusionError::External(error.into()))?;
        let Some(WindowCall { input, time, size, keys, filter, slide, offset, grace, alias, .. }) = call
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let input = context.plan(input)?;
        if let Some(time) = time {
            context.sql_to_expr(time, input.schema())?;
        }
        if let Some(filter) = filter {
            context.sql_to_expr(filter, input.schema())?;
        }
        for key in keys {
            let key = match key {
                ast::Expr::Named { expr, .. } => *expr,
                key => key,
            };
            context.sql_to_expr(key, input.schema())?;
        }
        for interval in [Some(size), slide, offset, grace].into_iter().flatten() {
            let interval = context.sql_to_expr(interval, &DFSchema::empty())?;
            assert!(
                matches!(interval, Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(_)), _)),
                "{interval}"
            );
        }
        let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let bound = || lit(ScalarValue::TimestampNanosecond(Some(0), None));
        columns.extend(["window_start", "window_end", "window_time"].map(|name| bound().alias(name)));
        let plan = LogicalPlanBuilder::from(input).project(columns)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

struct Catalog {
    options: ConfigOptions,
    planners: Vec<Arc<dyn RelationPlanner>>,
}

impl ContextProvider for Catalog {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let mut fields = vec![
            Field::new("k", DataType::Utf8, true),
            Field::new("v", DataType::Int64, true),
            Field::new("ts", time.clone(), true),
        ];
        match name.table() {
            "s" | "r" => {}
            "s$meta" | "r$meta" => fields.extend([
                Field::new("_partition", DataType::Int32, false),
                Field::new("_offset", DataType::Int64, false),
                Field::new("_timestamp", time, false),
            ]),
            other => return plan_err!("no table {other}"),
        }
        Ok(Arc::new(LogicalTableSource::new(Arc::new(Schema::new(fields)))))
    }
    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.planners
    }
    fn get_function_meta(&self, _: &str) -> Option<Arc<ScalarUDF>> {
        None
    }
    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }
    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        match name {
            "count" => Some(count_udaf()),
            "sum" => Some(sum_udaf()),
            _ => None,
        }
    }
    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }
    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }
    fn options(&self) -> &ConfigOptions {
        &self.options
    }
    fn udf_names(&self) -> Vec<String> {
        vec![]
    }
    fn higher_order_function_names(&self) -> Vec<String> {
        vec![]
    }
    fn udaf_names(&self) -> Vec<String> {
        vec!["count".to_owned(), "sum".to_owned()]
    }
    fn udwf_names(&self) -> Vec<String> {
        vec![]
    }
}

fn plan(sql: &str) -> LogicalPlan {
    let statement = parse(sql).unwrap().remove(0).statement;
    let Statement::Query(mut query) = statement else { panic!("{sql} is no query") };
    expose_metadata(&mut query.query, &|name| ["s", "r"].contains(&name));
    let catalog = Catalog { options: ConfigOptions::default(), planners: vec![Arc::new(Windows)] };
    let planned = SqlToRel::new(&catalog).sql_statement_to_plan(ast::Statement::Query(query.query));
    planned.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The names of the columns that a query gives.
fn columns(sql: &str) -> String {
    plan(sql).schema().field_names().join(" ")
}

#[test]
fn every_spelling_plans() {
    let spellings = [
        "SELECT k, window_start, count(*) AS n FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY k, window_start, window_end",
        "SELECT k, window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '1 hour', INTERVAL '-8' HOUR) GROUP BY k, window_start",
        "SELECT s.k, WINDOWSTART AS window_start, count(*) AS n FROM s WINDOW TUMBLING (SIZE 1 HOUR, GRACE PERIOD 10 MINUTES) WHERE s.v > 1 GROUP BY s.k HAVING WINDOWEND > WINDOWSTART ORDER BY WINDOWSTART",
        "SELECT s.k, TUMBLE_START(s.ts, INTERVAL '1' HOUR) AS window_start, count(*) AS n FROM s GROUP BY TUMBLE(s.ts, INTERVAL '60' MINUTES), s.k ORDER BY TUMBLE_START(ts, INTERVAL '1' HOUR)",
        "SELECT k, window_start, count(*) AS n FROM HOP((SELECT * FROM s WHERE v > 1), ts, SIZE => INTERVAL 1 HOUR, SLIDE => INTERVAL '5' MINUTES) AS w GROUP BY w.k, w.window_start",
        "SELECT x.k, WINDOWSTART AS window_start, count(*) AS n FROM s AS x WINDOW HOPPING (SIZE 90 SECONDS, ADVANCE BY 500 MILLISECONDS) GROUP BY k",
        "SELECT k, window_start, count(*) AS n FROM TABLE(SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' MINUTES)) GROUP BY k, window_start, window_end",
        "SELECT k, window_start, count(*) AS n FROM SESSION(s, ts, INTERVAL '5 minutes', PARTITION => k, GRACE => INTERVAL '1 minute') GROUP BY 1, 2",
        "SELECT s.k, WINDOWSTART AS window_start, count(*) AS n FROM s WINDOW SESSION (5 MINUTES, GRACE PERIOD 1 MINUTE) WHERE s.v > 1 GROUP BY s.k",
        "SELECT s.k, SESSION_START(s.ts, INTERVAL '5' MINUTE) AS window_start, count(*) AS n FROM s GROUP BY SESSION(s.ts, INTERVAL '5' MINUTES), s.k HAVING SESSION_END(s.ts, INTERVAL '5' MINUTE) IS NOT NULL",
        "WITH s AS (SELECT * FROM r) SELECT k, window_start, count(*) AS n FROM CUMULATE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '1 day') GROUP BY 1, 2",
    ];
    for sql in spellings {
        let names: Vec<String> =
            plan(sql).schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["k", "window_start", "n"], "{sql}");
    }
}

/// What sessions are kept apart by, wherever it is written.
#[test]
fn keys_of_sessions_are_found() {
    let cases = [
        ("TABLE(SESSION(TABLE s, DESCRIPTOR(ts), INTERVAL '5' MINUTES))", ""),
        ("TABLE(SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' MINUTES))", "k"),
        ("TABLE(SESSION(TABLE s PARTITION BY k, v, DESCRIPTOR(ts), INTERVAL '5' MINUTES))", "k, v"),
        ("SESSION(TABLE s PARTITION BY (k, v), DESCRIPTOR(ts), INTERVAL '5' MINUTES)", "k, v"),
        (
            "SESSION(DATA => TABLE s PARTITION BY k, upper(k), TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '5' MINUTES)",
            "k, upper(k)",
        ),
        ("SESSION(s PARTITION BY k, v, ts, INTERVAL '5 minutes')", "k, v"),
        ("SESSION(s PARTITION BY k, ts, 5 * INTERVAL '1 minute')", "k"),
        ("SESSION(s PARTITION BY k, v, TIMECOL => ts, GAP => INTERVAL '5 minutes')", "k, v"),
        (
            "SESSION((SELECT ts, (k), v FROM s WHERE k IN ('a', 'b')) PARTITION BY k, ts, INTERVAL '5 minutes')",
            "k",
        ),
        ("SESSION(TABLE (SELECT * FROM s) PARTITION BY k, ts, INTERVAL '5 minutes')", "k"),
        ("SESSION(s, ts, INTERVAL '5 minutes', PARTITION => k)", "k"),
        ("SESSION(s, ts, INTERVAL '5 minutes', PARTITION => (k, v))", "k, v"),
        (
            "s WINDOW SESSION (5 MINUTES, RETENTION 1 DAY) GROUP BY k, WINDOWSTART, upper(s.k)",
            "k, upper(s.k)",
        ),
        ("s GROUP BY v, SESSION(ts, INTERVAL '5' MINUTE), k", "v, k"),
        ("s GROUP BY SESSION(ts, INTERVAL '5' MINUTE)", ""),
        ("s WINDOW SESSION (5 MINUTES) GROUP BY 2, n", "k, count(*) AS n"),
    ];
    for (from, expected) in cases {
        let sql = format!("SELECT count(*) AS n, k FROM {from}");
        let statement = parse(&sql).unwrap_or_else(|e| panic!("{sql}: {e:?}")).remove(0).statement;
        let Statement::Query(query) = statement else { panic!("{sql} is no query") };
        let relation = &query.query.body.as_select().unwrap().from[0].relation;
        let call = window_call(relation).unwrap().unwrap();
        let keys: Vec<String> = call.keys.iter().map(ToString::to_string).collect();
        assert_eq!(keys.join(", "), expected, "{sql}");
        assert_eq!(call.size.to_string().matches("INTERVAL").count(), 1, "{sql}");
    }
}

#[test]
fn names_of_columns_stay_what_was_written() {
    let sql = "SELECT k, WINDOWSTART, WindowEnd FROM s WINDOW TUMBLING (SIZE 1 DAY) GROUP BY k";
    assert_eq!(columns(sql), "s.k windowstart windowend");
    let sql = "SELECT HOP_ROWTIME(ts, INTERVAL '1' HOUR, INTERVAL '1' DAY), sum(v) AS t FROM s GROUP BY HOP(ts, INTERVAL '1' HOUR, INTERVAL '1' DAY)";
    assert_eq!(columns(sql), "hop_rowtime t");
}

/// Over a join the columns keep the qualifiers of the joined relations.
#[test]
fn windows_of_joins_keep_qualifiers() {
    let sql = "SELECT s.k, r.v, count(*) AS n FROM s JOIN r ON s.k = r.k WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY s.k, r.v";
    assert_eq!(columns(sql), "s.k r.v n");
    let sql = "SELECT a.k, count(*) AS n FROM s a JOIN r b ON a.k = b.k GROUP BY a.k, TUMBLE(b.ts, INTERVAL '1' HOUR)";
    assert_eq!(columns(sql), "a.k n");
}

#[test]
fn metadata_columns_are_there_only_by_name() {
    let cases = [
        ("SELECT * FROM s", "s.k s.v s.ts"),
        ("SELECT *, _offset FROM s", "s.k s.v s.ts s._offset"),
        ("SELECT x.* FROM s x WHERE x._partition = 1 ORDER BY _offset", "x.k x.v x.ts"),
        ("SELECT * FROM s ORDER BY _timestamp", "s.k s.v s.ts"),
        ("SELECT k, _partition FROM TUMBLE(s, _timestamp, INTERVAL '1 hour')", "s.k s._partition"),
        (
            "SELECT * FROM TUMBLE(s, _timestamp, INTERVAL '1 hour') AS w",
            "w.k w.v w.ts w.window_start w.window_end w.window_time",
        ),
        ("SELECT s._offset, r.* FROM s JOIN r ON s.k = r.k", "s._offset r.k r.v r.ts"),
        ("SELECT o FROM (SELECT _offset AS o, * FROM s) t", "t.o"),
        ("SELECT k FROM s WHERE EXISTS (SELECT 1 FROM r WHERE r.v = s._offset)", "s.k"),
        ("WITH s AS (SELECT _offset FROM r) SELECT _offset FROM s", "s._offset"),
        (
            "SELECT k, _partition, count(*) AS n FROM s WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY k, _partition",
            "s.k s._partition n",
        ),
        ("SELECT * EXCLUDE (v), _offset FROM s", "s.k s.ts s._offset"),
        ("SELECT k FROM s UNION ALL SELECT CAST(_partition AS VARCHAR) FROM r", "k"),
    ];
    for (sql, expected) in cases {
        assert_eq!(columns(sql), expected, "{sql}");
    }
}
