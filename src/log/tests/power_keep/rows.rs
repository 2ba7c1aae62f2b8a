//! The rows of the programs as batches, and back.

use super::model::{At, Row};
use crate::log::{LogError, LogReader};
use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use std::sync::Arc;

/// The rows of a reader's next frame, or what is wrong with it.
pub(super) fn next(reader: &mut LogReader) -> Result<Option<Result<Vec<At>, String>>, LogError> {
    let due = reader.offset();
    let Some(frame) = reader.next()? else { return Ok(None) };
    let keys = frame.batch.column(0).as_string::<i32>();
    let values = frame.batch.column(1).as_primitive::<Int64Type>();
    let gone = frame.batch.column(2).as_boolean();
    let stays = |(mark, value)| mark == value || mark == Some(i64::MIN);
    let marked = frame.marks.as_ref().is_none_or(|marks| marks.iter().zip(values.iter()).all(stays));
    if frame.base_offset != due || reader.offset() != frame.next_offset || !marked {
        return Ok(Some(Err(format!("{frame:?} was read at {due}"))));
    }
    let row = |i: usize| {
        let key = if keys.is_valid(i) { keys.value(i).parse().unwrap_or(u8::MAX) } else { 0 };
        (frame.offset(i), Row { key, value: values.value(i), gone: gone.value(i) })
    };
    let rows: Vec<At> = (0..frame.batch.num_rows()).map(row).collect();
    let within = rows.iter().all(|(at, _)| (due..frame.next_offset).contains(at));
    if !within || !rows.is_sorted_by(|a, b| a.0 < b.0) {
        return Ok(Some(Err(format!("{frame:?} was read at {due}"))));
    }
    Ok(Some(Ok(rows)))
}

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, true),
        Field::new("v", DataType::Int64, true),
        Field::new("gone", DataType::Boolean, false),
    ]))
}

pub(super) fn batch(rows: &[Row]) -> RecordBatch {
    let keys: StringArray = rows.iter().map(|row| (row.key > 0).then(|| row.key.to_string())).collect();
    let values = Int64Array::from_iter_values(rows.iter().map(|row| row.value));
    let gone: BooleanArray = rows.iter().map(|row| Some(row.gone)).collect();
    RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(values), Arc::new(gone)]).unwrap()
}
