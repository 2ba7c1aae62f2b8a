//! Whether both engines answer the same: the sum of our changes is compared with the rows of the batch engine.
//!
//! Both sides are brought into one form first: an instant is the number of its milliseconds, everything is text. Then
//! the rows of the batch engine are taken away from our changes, and nothing may be left.

use super::child::Ask;
use super::queries::Query;
use super::{Result, batch, ours};
use crate::delta::{Delta, consolidate};
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;

/// What differs, if something does.
pub(super) fn run(ask: &Ask, query: &Query) -> Result<Option<String>> {
    let (schema, changes) = ours::changes(ask, query)?;
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let columns: Vec<usize> = match query.compared {
        [] => (0..names.len()).collect(),
        compared => compared.iter().filter_map(|name| names.iter().position(|n| n == name)).collect(),
    };
    let theirs = batch::rows(ask, query)?;
    let theirs: Vec<Delta> = theirs.into_iter().map(Delta::insert).collect();
    difference(&names, &columns, &changes, &theirs)
}

/// What is left of `ours` less `theirs`, in these columns; nothing, if nothing is.
fn difference(names: &[&str], columns: &[usize], ours: &[Delta], theirs: &[Delta]) -> Result<Option<String>> {
    let fields: Vec<Field> = columns.iter().map(|c| Field::new(names[*c], DataType::Utf8, true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let mut all = Vec::with_capacity(ours.len() + theirs.len());
    for (deltas, sign) in [(ours, 1), (theirs, -1)] {
        for delta in deltas.iter().filter(|d| !d.is_empty()) {
            let texts = columns.iter().map(|c| as_text(delta.batch.column(*c)));
            let texts = RecordBatch::try_new(schema.clone(), texts.collect::<Result<_>>()?)?;
            let weights = Int64Array::from_iter_values((0..delta.num_rows()).map(|i| delta.weight(i) * sign));
            all.push(Delta::weighted(texts, Some(weights)));
        }
    }
    let (rows, weights) = consolidate(&schema, &all)?;
    if rows.num_rows() == 0 {
        return Ok(None);
    }
    let options = FormatOptions::default().with_null("NULL");
    let mut first = Vec::new();
    for (name, column) in names_of(&schema).zip(rows.columns()) {
        first.push(format!("{name} {}", ArrayFormatter::try_new(column, &options)?.value(0)));
    }
    let (weight, count) = (weights.value(0), rows.num_rows());
    let who = if weight > 0 { "ours" } else { "the batch engine" };
    let times = match weight.unsigned_abs() {
        1 => String::new(),
        n => format!(" {n} times"),
    };
    Ok(Some(format!(
        "{count} {} in one of both answers only; the first is in that of {who}{times}: {}",
        if count == 1 { "row is" } else { "rows are" },
        first.join(", ")
    )))
}

fn names_of(schema: &SchemaRef) -> impl Iterator<Item = &str> {
    schema.fields().iter().map(|f| f.name().as_str())
}

fn as_text(column: &ArrayRef) -> Result<ArrayRef> {
    let column = match column.data_type() {
        DataType::Timestamp(..) => {
            let ms = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
            cast(&ms, &DataType::Int64)?
        }
        _ => column.clone(),
    };
    Ok(cast(&column, &DataType::Utf8)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::drawn;

    #[test]
    fn the_sum_of_changes_is_compared_in_the_given_columns() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Int64, true),
        ]));
        let ours = [drawn(&schema, "+ 1 1\n+ 2 2"), drawn(&schema, "- 1 1\n+ 1 3")];
        let theirs = [drawn(&schema, "+ 2 2\n+ 1 3")];
        let names = ["a", "b"];
        assert_eq!(difference(&names, &[0, 1], &ours, &theirs).unwrap(), None);
        let theirs = [drawn(&schema, "+ 2 2\n+ 1 4\n+ 1 4")];
        assert_eq!(
            difference(&names, &[0, 1], &ours, &theirs).unwrap().unwrap(),
            "2 rows are in one of both answers only; the first is in that of ours: a 1, b 3"
        );
        assert_eq!(
            difference(&names, &[0], &ours, &theirs).unwrap().unwrap(),
            "1 row is in one of both answers only; the first is in that of the batch engine: a 1"
        );
        assert_eq!(difference(&names, &[0, 1], &[], &[]).unwrap(), None);
    }

    #[test]
    fn an_instant_is_the_number_of_its_milliseconds() {
        let at: ArrayRef = Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![5_000, 7_000]));
        let ms: ArrayRef = Arc::new(Int64Array::from(vec![5, 7]));
        assert_eq!(as_text(&at).unwrap().to_data(), as_text(&ms).unwrap().to_data());
    }
}
