//! What is defined: streams, tables and views.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::sync::Arc;

/// A column of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its folded name.
    pub name: String,
    /// Its Arrow type.
    pub data_type: DataType,
    /// Whether it may be null.
    pub nullable: bool,
}

/// The columns as the catalog file holds them: types in Arrow's own notation.
#[derive(Serialize, Deserialize)]
struct StoredColumn {
    name: String,
    r#type: String,
    nullable: bool,
}

impl Serialize for Column {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let r#type = self.data_type.to_string();
        StoredColumn { name: self.name.clone(), r#type, nullable: self.nullable }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredColumn::deserialize(deserializer)?;
        let data_type = DataType::from_str(&stored.r#type).map_err(serde::de::Error::custom)?;
        // Some that can be read are written in a way that cannot be.
        if DataType::from_str(&data_type.to_string()).ok().as_ref() != Some(&data_type) {
            let reason = format!("there is no type {}", stored.r#type.escape_debug());
            return Err(serde::de::Error::custom(reason));
        }
        Ok(Column { name: stored.name, data_type, nullable: stored.nullable })
    }
}

/// Which column is a stream's event time, and how far behind the greatest one the watermark stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTimeDef {
    /// The column, a timestamp.
    pub column: String,
    /// The declared delay in nanoseconds; `None` = the job that writes the stream states its watermark.
    pub delay: Option<i64>,
}

/// The last column of a table's topic: the row says that its key is gone.
pub const DELETED: &str = "_deleted";

/// A stream: append-only rows in a topic or an outside system. With a primary key it is a table: what is left of
/// a topic of upserts and tombstones when of each key only the last row counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDef {
    /// Its folded name; a topic has the same.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its event time, if it has one.
    pub event_time: Option<EventTimeDef>,
    /// Which connector holds it: `topic`, `file`, `blackhole`, …
    pub connector: String,
    /// The connector's options as written, sorted by name, without `connector`.
    pub options: Vec<(String, String)>,
    /// The text of AS SELECT, white space normalised, if the stream is a query's result.
    pub query: Option<String>,
    /// The columns of the primary key if this is a table; none of them = a table of at most one row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_key: Option<Vec<String>>,
}

impl StreamDef {
    /// The columns as an Arrow schema.
    pub fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), c.nullable));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        self.primary_key.is_some()
    }

    /// `table`, `materialized view` or `stream`.
    pub fn kind(&self) -> &'static str {
        match (&self.primary_key, &self.query) {
            (None, _) => "stream",
            (Some(_), None) => "table",
            (Some(_), Some(_)) => "materialized view",
        }
    }

    /// The places of a table's key columns; `None` = a stream.
    pub fn key_indices(&self) -> Option<Vec<usize>> {
        let place = |name: &String| self.columns.iter().position(|c| c.name == *name);
        self.primary_key.as_ref().map(|key| key.iter().filter_map(place).collect())
    }

    /// The columns of its topic: for a table its own, where only the key of a tombstone is there, and [`DELETED`].
    pub fn topic_schema(&self) -> SchemaRef {
        let Some(key) = &self.primary_key else { return self.schema() };
        let field =
            |c: &Column| Field::new(&c.name, c.data_type.clone(), c.nullable || !key.contains(&c.name));
        let mut fields: Vec<Field> = self.columns.iter().map(field).collect();
        fields.push(Field::new(DELETED, DataType::Boolean, false));
        Arc::new(Schema::new(fields))
    }

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Index of the event-time column.
    pub fn event_time_index(&self) -> Option<usize> {
        let column = &self.event_time.as_ref()?.column;
        self.columns.iter().position(|c| c.name == *column)
    }

    /// What differs in `other`, a line per difference (`-` here, `+` there); empty if they are identical.
    /// `type_name` gives a type's name in SQL.
    pub fn differences(&self, other: &StreamDef, type_name: &dyn Fn(&DataType) -> String) -> Vec<String> {
        let (old, new) = (self.lines(type_name), other.lines(type_name));
        let gone = old.iter().filter(|l| !new.contains(l)).map(|l| format!("- {l}"));
        let come = new.iter().filter(|l| !old.contains(l)).map(|l| format!("+ {l}"));
        let mut lines: Vec<String> = gone.chain(come).collect();
        if lines.is_empty() && self != other {
            lines.push("the columns stand in another order".into());
        }
        lines
    }

    fn lines(&self, type_name: &dyn Fn(&DataType) -> String) -> Vec<String> {
        let mut lines: Vec<String> = self
            .columns
            .iter()
            .map(|c| {
                format!("{} {}{}", c.name, type_name(&c.data_type), if c.nullable { "" } else { " NOT NULL" })
            })
            .collect();
        if let Some(event_time) = &self.event_time {
            let delay =
                event_time.delay.map_or("its writer's".into(), |d| format!("{} ms behind", d / 1_000_000));
            lines.push(format!("WATERMARK FOR {}: {delay}", event_time.column));
        }
        lines.extend(self.primary_key.as_ref().map(|key| format!("PRIMARY KEY ({})", key.join(", "))));
        lines.push(format!("connector = '{}'", self.connector));
        lines.extend(self.options.iter().map(|(n, v)| format!("{n} = '{v}'")));
        lines.extend(self.query.iter().map(|q| format!("AS {q}")));
        lines
    }
}

/// A view: a named query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewDef {
    /// Its folded name.
    pub name: String,
    /// The query's text.
    pub query: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;

    #[test]
    fn every_column_type_survives_the_catalog_file() {
        let int = Arc::new(Field::new("item", DataType::Int64, true));
        let types = [
            DataType::Int32,
            DataType::Utf8,
            DataType::Boolean,
            DataType::Float64,
            DataType::Date32,
            DataType::Decimal128(10, 2),
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())),
            DataType::Time64(TimeUnit::Nanosecond),
            DataType::Binary,
            DataType::List(int.clone()),
            DataType::Struct(vec![int, Arc::new(Field::new("b c", DataType::Utf8, true))].into()),
        ];
        for data_type in types {
            let column = Column { name: "a".into(), data_type, nullable: true };
            let text = serde_json::to_string(&column).unwrap();
            assert_eq!(serde_json::from_str::<Column>(&text).unwrap(), column, "{text}");
        }
    }
}
