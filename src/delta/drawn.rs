//! Deltas as drawn text, for tests: a line per row, its sign (with a count when it is not 1), then
//! its cells, divided by spaces: `+ 1 a` · `- 1 a` · `+3 2 null`.

use super::Delta;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;

/// The delta that `text` draws. Panics on text that does not fit the schema: it is for tests.
#[expect(
    clippy::unwrap_used,
    reason = "a drawing in a test that does not fit its schema is a fault of the test"
)]
pub fn drawn(schema: &SchemaRef, text: &str) -> Delta {
    let mut weights = Vec::new();
    let mut cells: Vec<Vec<Option<String>>> = vec![Vec::new(); schema.fields().len()];
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let mut words = line.split_whitespace();
        let sign = words.next().unwrap();
        let count: i64 = if sign.len() > 1 { sign[1..].parse().unwrap() } else { 1 };
        weights.push(if sign.starts_with('-') { -count } else { count });
        for column in &mut cells {
            let word = words.next().unwrap();
            column.push((word != "null").then(|| word.to_string()));
        }
        assert!(words.next().is_none(), "more cells than columns in: {line}");
    }
    let columns: Vec<ArrayRef> = cells
        .into_iter()
        .zip(schema.fields())
        .map(|(cells, field)| {
            let text: ArrayRef = Arc::new(StringArray::from(cells));
            cast(&text, field.data_type()).unwrap()
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(weights.len()));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options).unwrap();
    let weights = (weights.iter().any(|w| *w != 1)).then(|| Int64Array::from(weights));
    Delta::weighted(batch, weights)
}

/// The drawing of `deltas`, a line per row in the order of the rows.
#[expect(clippy::unwrap_used, reason = "every Arrow type that a test draws can be displayed")]
pub fn draw(deltas: &[Delta]) -> String {
    let mut out = String::new();
    let options = FormatOptions::default().with_null("null");
    for delta in deltas {
        let columns: Vec<_> =
            delta.batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..delta.num_rows() {
            match delta.weight(row) {
                1 => out.push('+'),
                -1 => out.push('-'),
                n => out.push_str(&format!("{n:+}")),
            }
            for column in &columns {
                out.push_str(&format!(" {}", column.value(row)));
            }
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};

    #[test]
    fn what_is_drawn_can_be_read_again() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Utf8, true),
        ]));
        let text = "+ 1 x\n-2 null y\n+ 3 null\n";
        assert_eq!(draw(&[drawn(&schema, text)]), text);
    }
}
