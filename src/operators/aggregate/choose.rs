//! Which kind of state serves which aggregate call: [`CallPlan`].
//!
//! | input, emit | function | kept |
//! |---|---|---|
//! | any | first/last/any_value, min/max | one value or row; all rows if they may be taken back |
//! | any | array_agg, string_agg, nth_value, approximate percentiles | all rows, in order |
//! | only grows | count(distinct) | the values; for all calls that count the same values one state, see [`super::seen`] |
//! | only grows, final | the others but count | DataFusion's vectorised accumulators |
//! | otherwise | count, count(distinct), sum, avg, bool_and/or | our own, exact vectors |
//! | only grows, changes | the others | a DataFusion accumulator a group |
//! | changes | the others | all rows, in order; recomputed for the groups touched |
//!
//! Functions that see an order, and those whose estimate depends on it, are given the rows sorted by
//! ORDER BY, then by value: their answer is one of the contents alone, never of arrival.

use super::call::CallState;
use super::extremes::{BagEnd, BestRow, End, EndOf, PrimitiveExtreme};
use super::kept::{Argument, CountDistinct, Kept, Recompute};
use super::native::{PerGroup, Vectorised};
use super::seen::CountSeen;
use super::spec::{AggregateCall, AggregateSpec, EmitMode};
use super::sums::{BoolFold, Count, ExactFloat, Factor, Outcome, Sum, Widened};
use crate::operators::Result;
use crate::operators::shown::shown;
use crate::state::bag::{Bags, RowCodec};
use crate::state::distinct::DistinctValues;
use crate::state::seen::{self, SeenValues};
use arrow::array::{ArrowNativeTypeOp, ArrowPrimitiveType, downcast_primitive};
use arrow::compute::SortOptions;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Schema, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::row::SortField;
use datafusion::common::{exec_err, not_impl_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{CastExpr, Literal};
use std::sync::Arc;

type State = Box<dyn CallState>;
/// Columns and how each is sorted.
type Ordered = (Vec<Arc<dyn PhysicalExpr>>, Vec<SortField>);

/// How a call is kept.
pub(super) struct CallPlan {
    /// The columns that its state is fed.
    pub(super) inputs: Vec<Arc<dyn PhysicalExpr>>,
    kind: Kind,
}

enum Kind {
    Count,
    CountDistinct(DataType),
    Seen(DataType),
    Sum(DataType),
    AvgInteger(DataType),
    AvgFloat,
    AvgMerged { to: DataType, expr: Arc<AggregateFunctionExpr> },
    ExactFloat { mean: bool },
    BoolFold { and: bool },
    PrimitiveExtreme(End, DataType),
    BestRow(EndOf, Vec<SortField>),
    BagEnd(EndOf, Vec<SortField>),
    Kept(Recompute, Vec<SortField>),
    PerGroup(Arc<AggregateFunctionExpr>),
    Vectorised(Arc<AggregateFunctionExpr>, Vec<DataType>),
}

impl CallPlan {
    /// Chooses for a call; an error for what cannot be kept.
    pub(super) fn new(call: &AggregateCall, spec: &AggregateSpec) -> Result<Self> {
        let expr = &call.expr;
        // What the function itself refuses is refused here, not at the first row.
        expr.create_accumulator()?;
        if expr.is_reversed() {
            return Ok(not_impl_err!("a reversed {}", expr.name())?);
        }
        let chooser = Chooser { expr, schema: &spec.input_schema, append_only: spec.input_append_only };
        let plan = chooser.choose(spec.mode)?;
        plan.state(&spec.input_schema, 1)?;
        Ok(plan)
    }

    /// How many calls of this kind that read the same may share a state.
    pub(super) fn shared_by(&self) -> usize {
        if matches!(self.kind, Kind::Seen(_)) { seen::MOST } else { 1 }
    }

    /// Whether it is a count of rows: one may stand for several.
    pub(super) fn is_count(&self) -> bool {
        matches!(self.kind, Kind::Count)
    }

    /// An empty state of `calls` calls.
    pub(super) fn state(&self, schema: &Schema, calls: usize) -> Result<State> {
        let codec = |fields: &[SortField]| {
            let types = self.inputs.iter().map(|e| e.data_type(schema)).collect::<Result<Vec<_>, _>>()?;
            Ok::<_, crate::operators::OperatorError>(RowCodec::new(fields.to_vec(), types)?)
        };
        Ok(match &self.kind {
            Kind::Count => Box::new(Count::default()),
            Kind::CountDistinct(data_type) => Box::new(CountDistinct::new(DistinctValues::new(data_type)?)),
            Kind::Seen(data_type) => Box::new(CountSeen::new(SeenValues::new(data_type, calls)?, calls)),
            Kind::Sum(data_type) => sum_state(data_type, Outcome::Sum)?,
            Kind::AvgInteger(data_type) => integer_average(data_type)?,
            Kind::AvgFloat => Box::new(Sum::<Float64Type, Float64Type>::new(
                DataType::Float64,
                |x| x,
                |sum, n| sum / n as f64,
                Outcome::Mean,
            )),
            Kind::AvgMerged { to, expr } => sum_state(to, Outcome::Merged(expr.clone()))?,
            Kind::ExactFloat { mean } => Box::new(ExactFloat::new(*mean)),
            Kind::BoolFold { and } => Box::new(BoolFold::new(*and)),
            Kind::PrimitiveExtreme(end, data_type) => primitive_extreme(*end, data_type)?,
            Kind::BestRow(of, fields) => Box::new(BestRow::new(of.clone(), codec(fields)?)),
            Kind::BagEnd(of, fields) => Box::new(BagEnd::new(of.clone(), codec(fields)?)),
            Kind::Kept(how, fields) => Box::new(Kept::new(how.clone(), Bags::new(codec(fields)?))),
            Kind::PerGroup(expr) => Box::new(PerGroup::new(expr.clone())),
            Kind::Vectorised(expr, types) => Box::new(Vectorised::new(expr.clone(), types.clone())?),
        })
    }
}

impl AggregateSpec {
    /// The values of which the calls keep all different ones of a group, in words: `v`, `(v, ts)`.
    pub fn kept_values(&self) -> Vec<String> {
        let mut values = Vec::new();
        for call in &self.aggregates {
            let Ok(plan) = CallPlan::new(call, self) else { continue };
            if matches!(plan.kind, Kind::CountDistinct(_) | Kind::Seen(_) | Kind::BagEnd(..) | Kind::Kept(..))
            {
                let names: Vec<String> = plan.inputs.iter().map(shown).collect();
                let value = if names.len() == 1 { names.concat() } else { format!("({})", names.join(", ")) };
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        values
    }
}

struct Chooser<'a> {
    expr: &'a Arc<AggregateFunctionExpr>,
    schema: &'a Schema,
    append_only: bool,
}

impl Chooser<'_> {
    fn choose(&self, mode: EmitMode) -> Result<CallPlan> {
        match self.expr.fun().name() {
            "min" => return self.extreme(End::First),
            "max" => return self.extreme(End::Last),
            "first_value" | "any_value" => return self.end(End::First),
            "last_value" => return self.end(End::Last),
            "array_agg" | "string_agg" | "nth_value" => return self.kept(),
            "approx_percentile_cont" | "approx_percentile_cont_with_weight" | "approx_median"
                if !self.expr.is_distinct() =>
            {
                return self.kept();
            }
            // Sets of floats are added up in the order of their hashes; a grouped bit_xor overlooks DISTINCT.
            "sum" | "avg" | "bit_xor" | "var" | "var_pop" if self.expr.is_distinct() => return self.kept(),
            name if self.expr.is_distinct() && DISTINCT_IGNORED.contains(&name) => {
                return Ok(not_impl_err!("DISTINCT in {}", self.expr.name())?);
            }
            _ => {}
        }
        if let (true, "count", [value]) =
            (self.expr.is_distinct(), self.expr.fun().name(), &self.expr.expressions()[..])
        {
            let data_type = value.data_type(self.schema)?;
            let kind = if self.append_only { Kind::Seen(data_type) } else { Kind::CountDistinct(data_type) };
            return Ok(CallPlan { inputs: self.expr.expressions(), kind });
        }
        // A row that is only counted may stand for several, which the library's functions do not know.
        let counts = self.expr.fun().name() == "count" && !self.expr.is_distinct();
        if self.append_only && mode == EmitMode::Final && !counts {
            let inputs = self.all_inputs();
            let types = self.types(&inputs)?;
            return Ok(CallPlan { inputs, kind: Kind::Vectorised(self.expr.clone(), types) });
        }
        if let Some(plan) = self.exact()? {
            return Ok(plan);
        }
        let orderless = self.expr.order_bys().is_empty() && ORDERLESS.contains(&self.expr.fun().name());
        if self.append_only && orderless {
            return Ok(CallPlan { inputs: self.all_inputs(), kind: Kind::PerGroup(self.expr.clone()) });
        }
        self.kept()
    }

    /// The vectors that take values back exactly, for the functions that have one.
    fn exact(&self) -> Result<Option<CallPlan>> {
        let mut inputs = self.expr.expressions();
        let kind = match (self.expr.fun().name(), self.expr.is_distinct()) {
            ("count", false) => {
                inputs.retain(|e| e.downcast_ref::<Literal>().is_none_or(|l| l.value().is_null()));
                Kind::Count
            }
            ("sum", _) => match self.expr.field().data_type() {
                DataType::Float64 if !self.append_only => Kind::ExactFloat { mean: false },
                DataType::Interval(_) => return Ok(None),
                data_type if same_kind(data_type, &inputs[0].data_type(self.schema)?) => {
                    Kind::Sum(data_type.clone())
                }
                _ => return Ok(None),
            },
            ("avg", _) => self.average(&mut inputs)?,
            (name @ ("bool_and" | "bool_or"), _)
                if inputs[0].data_type(self.schema)? == DataType::Boolean =>
            {
                Kind::BoolFold { and: name == "bool_and" }
            }
            _ => return Ok(None),
        };
        Ok(Some(CallPlan { inputs, kind }))
    }

    fn average(&self, inputs: &mut [Arc<dyn PhysicalExpr>]) -> Result<Kind> {
        // The planner turns integers into floats first; sums of the integers themselves are exact.
        if let Some(cast) = inputs[0].downcast_ref::<CastExpr>() {
            let (from, to) = (cast.expr().data_type(self.schema)?, cast.cast_type());
            if from.is_integer() && *to == DataType::Float64 {
                inputs[0] = cast.expr().clone();
                return Ok(Kind::AvgInteger(from));
            }
        }
        if inputs[0].data_type(self.schema)? == DataType::Float64 {
            return Ok(if self.append_only { Kind::AvgFloat } else { Kind::ExactFloat { mean: true } });
        }
        let to = self.expr.state_fields()?.swap_remove(1).data_type().clone();
        Ok(Kind::AvgMerged { to, expr: self.expr.clone() })
    }

    fn extreme(&self, end: End) -> Result<CallPlan> {
        let inputs = vec![self.expr.expressions().swap_remove(0)];
        let data_type = inputs[0].data_type(self.schema)?;
        let ordered = !matches!(data_type, DataType::Interval(_));
        if self.append_only && data_type.is_primitive() && ordered {
            return Ok(CallPlan { inputs, kind: Kind::PrimitiveExtreme(end, data_type) });
        }
        let fields = vec![SortField::new(data_type.clone())];
        Ok(self.end_plan(inputs, fields, EndOf { end, result: 0, skip_null: true, data_type }))
    }

    fn end(&self, end: End) -> Result<CallPlan> {
        let (mut inputs, mut fields) = self.ordering()?;
        let value = self.expr.expressions().swap_remove(0);
        let data_type = value.data_type(self.schema)?;
        let nulls_first = end == End::Last;
        let result = position(&inputs, &value);
        if result == inputs.len() {
            inputs.push(value);
            let options = SortOptions { descending: false, nulls_first };
            fields.push(SortField::new_with_options(data_type.clone(), options));
        }
        let skip_null = self.expr.ignore_nulls() || self.expr.fun().name() == "any_value";
        Ok(self.end_plan(inputs, fields, EndOf { end, result, skip_null, data_type }))
    }

    fn end_plan(&self, inputs: Vec<Arc<dyn PhysicalExpr>>, fields: Vec<SortField>, of: EndOf) -> CallPlan {
        let kind = if self.append_only { Kind::BestRow(of, fields) } else { Kind::BagEnd(of, fields) };
        CallPlan { inputs, kind }
    }

    /// All rows, in order.
    fn kept(&self) -> Result<CallPlan> {
        let (mut inputs, mut fields) = self.ordering()?;
        let sorted = SORTED.contains(&self.expr.fun().name());
        let once = self.expr.is_distinct() && ONCE.contains(&self.expr.fun().name());
        let expr = if sorted || once { self.plain(sorted, once)? } else { self.expr.clone() };

        let mut wanted = self.expr.expressions();
        if once && !inputs.iter().all(|key| wanted.contains(key)) {
            return Ok(exec_err!("ORDER BY of an aggregate with DISTINCT must name its argument")?);
        }
        // A function that sorts by itself gets the columns of its ORDER BY as well.
        wanted.extend(expr.order_bys().iter().map(|o| o.expr.clone()));
        let mut arguments = Vec::new();
        for value in wanted {
            if let Some(literal) = value.downcast_ref::<Literal>() {
                arguments.push(Argument::Constant(literal.value().clone()));
                continue;
            }
            let at = position(&inputs, &value);
            if at == inputs.len() {
                fields.push(self.by_value(&value)?);
                inputs.push(value);
            }
            arguments.push(Argument::Column(at));
        }
        if inputs.is_empty() {
            // Nothing varies: the constant stands for the rows.
            let value = self.expr.expressions().swap_remove(0);
            fields.push(self.by_value(&value)?);
            inputs.push(value);
        }
        Ok(CallPlan { inputs, kind: Kind::Kept(Recompute { expr, arguments, distinct: once }, fields) })
    }

    /// The function without its ORDER BY (the rows come sorted) and its DISTINCT (they come once).
    fn plain(&self, sorted: bool, once: bool) -> Result<Arc<AggregateFunctionExpr>> {
        let fun = Arc::new(self.expr.fun().clone());
        let order = if sorted { vec![] } else { self.expr.order_bys().to_vec() };
        let builder = AggregateExprBuilder::new(fun, self.expr.expressions())
            .schema(Arc::new(self.schema.clone()))
            .alias(self.expr.name())
            .order_by(order)
            .with_distinct(self.expr.is_distinct() && !once)
            .with_ignore_nulls(self.expr.ignore_nulls());
        Ok(Arc::new(builder.build()?))
    }

    /// The different columns of the ORDER BY.
    fn ordering(&self) -> Result<Ordered> {
        let (mut inputs, mut fields) = (Vec::new(), Vec::new());
        for key in self.expr.order_bys() {
            if !inputs.contains(&key.expr) {
                fields.push(SortField::new_with_options(key.expr.data_type(self.schema)?, key.options));
                inputs.push(key.expr.clone());
            }
        }
        Ok((inputs, fields))
    }

    fn by_value(&self, value: &Arc<dyn PhysicalExpr>) -> Result<SortField> {
        let options = SortOptions { descending: false, nulls_first: false };
        Ok(SortField::new_with_options(value.data_type(self.schema)?, options))
    }

    /// Arguments, then the columns of the ORDER BY: what DataFusion feeds its accumulators.
    fn all_inputs(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        let mut inputs = self.expr.expressions();
        inputs.extend(self.expr.order_bys().iter().map(|o| o.expr.clone()));
        inputs
    }

    fn types(&self, inputs: &[Arc<dyn PhysicalExpr>]) -> Result<Vec<DataType>> {
        Ok(inputs.iter().map(|e| e.data_type(self.schema)).collect::<Result<_, _>>()?)
    }
}

/// Whether values of both types are the same natively (decimals of another precision are).
fn same_kind(a: &DataType, b: &DataType) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// Where an expression stands, or would be put.
fn position(inputs: &[Arc<dyn PhysicalExpr>], wanted: &Arc<dyn PhysicalExpr>) -> usize {
    inputs.iter().position(|e| e == wanted).unwrap_or(inputs.len())
}

/// Functions that just follow the order of their input: they get it sorted.
const SORTED: [&str; 3] = ["array_agg", "string_agg", "nth_value"];

/// Functions whose DISTINCT means: each different argument once.
const ONCE: [&str; 10] = [
    "array_agg",
    "string_agg",
    "nth_value",
    "sum",
    "avg",
    "median",
    "percentile_cont",
    "bit_xor",
    "var",
    "var_pop",
];

/// Functions that compute as if there were no DISTINCT.
const DISTINCT_IGNORED: [&str; 13] = [
    "approx_percentile_cont",
    "corr",
    "covar_pop",
    "covar_samp",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
];

/// Functions with a small state that no order of rows changes (but for the last bits of a float).
const ORDERLESS: [&str; 22] = [
    "approx_distinct",
    "bit_and",
    "bit_or",
    "bit_xor",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
    "var_pop",
];

fn sum_of<T: ArrowPrimitiveType>(data_type: &DataType, outcome: Outcome) -> State
where
    T::Native: Factor,
{
    Box::new(Sum::<T, T>::new(data_type.clone(), |x| x, |_, _| f64::NAN, outcome))
}

fn sum_state(data_type: &DataType, outcome: Outcome) -> Result<State> {
    let merged = matches!(outcome, Outcome::Merged(_));
    Ok(match data_type {
        DataType::Int64 => sum_of::<Int64Type>(data_type, outcome),
        DataType::UInt64 => sum_of::<UInt64Type>(data_type, outcome),
        DataType::Float64 => sum_of::<Float64Type>(data_type, outcome),
        DataType::Decimal32(..) => sum_of::<Decimal32Type>(data_type, outcome),
        DataType::Duration(TimeUnit::Second) => sum_of::<DurationSecondType>(data_type, outcome),
        DataType::Duration(TimeUnit::Millisecond) => sum_of::<DurationMillisecondType>(data_type, outcome),
        DataType::Duration(TimeUnit::Microsecond) => sum_of::<DurationMicrosecondType>(data_type, outcome),
        DataType::Duration(TimeUnit::Nanosecond) => sum_of::<DurationNanosecondType>(data_type, outcome),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(data_type, outcome, merged),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(data_type, outcome, merged),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(data_type, outcome, merged),
        other => return Ok(not_impl_err!("a sum of type {other}")?),
    })
}

/// Averages sum in a wider decimal than their argument's.
fn decimal<T: ArrowPrimitiveType>(data_type: &DataType, outcome: Outcome, widen: bool) -> State
where
    T::Native: Factor,
{
    if !widen {
        return sum_of::<T>(data_type, outcome);
    }
    let inner = Sum::<T, T>::new(data_type.clone(), |x| x, |_, _| f64::NAN, outcome);
    Box::new(Widened { inner, to: data_type.clone() })
}

fn integer_average(data_type: &DataType) -> Result<State> {
    fn of<I: ArrowPrimitiveType>() -> State
    where
        I::Native: Into<i128> + ArrowNativeTypeOp,
    {
        Box::new(Sum::<I, Decimal128Type>::new(
            DataType::Decimal128(38, 0),
            Into::into,
            |sum, n| sum as f64 / n as f64,
            Outcome::Mean,
        ))
    }
    Ok(match data_type {
        DataType::Int8 => of::<Int8Type>(),
        DataType::Int16 => of::<Int16Type>(),
        DataType::Int32 => of::<Int32Type>(),
        DataType::Int64 => of::<Int64Type>(),
        DataType::UInt8 => of::<UInt8Type>(),
        DataType::UInt16 => of::<UInt16Type>(),
        DataType::UInt32 => of::<UInt32Type>(),
        DataType::UInt64 => of::<UInt64Type>(),
        other => return Ok(not_impl_err!("an integer average of type {other}")?),
    })
}

fn primitive_extreme(end: End, data_type: &DataType) -> Result<State> {
    macro_rules! extreme {
        ($t:ty) => {
            Box::new(PrimitiveExtreme::<$t>::new(end, data_type.clone()))
        };
    }
    let state: State = downcast_primitive! {
        data_type => (extreme),
        other => return Ok(not_impl_err!("min or max of type {other}")?)
    };
    Ok(state)
}
