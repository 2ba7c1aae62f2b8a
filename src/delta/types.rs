//! The names of types, as people write them in SQL.

use arrow::datatypes::{DataType, TimeUnit};

/// A type's name in SQL, as it is written in statements and told in messages.
pub fn type_name(kind: &DataType) -> String {
    named(kind, str::to_string)
}

/// The same in lower case, as the heads of tables and DESCRIBE show it; the names of fields stay as they are written.
pub fn shown_type(kind: &DataType) -> String {
    named(kind, str::to_lowercase)
}

/// A type's name with each of SQL's words in it as `word` makes it.
fn named(kind: &DataType, word: fn(&str) -> String) -> String {
    let inner = |kind: &DataType| named(kind, word);
    word(match kind {
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INTEGER UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float16 | DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => return format!("{}({p},{s})", word("DECIMAL")),
        DataType::Boolean => "BOOLEAN",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "BYTEA"
        }
        DataType::Timestamp(unit, zone) => {
            let digits = match unit {
                TimeUnit::Second => "(0)",
                TimeUnit::Millisecond => "(3)",
                TimeUnit::Microsecond => "(6)",
                TimeUnit::Nanosecond => "",
            };
            let zone = if zone.is_some() { " WITH TIME ZONE" } else { "" };
            return word(&format!("TIMESTAMP{digits}{zone}"));
        }
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL",
        DataType::Dictionary(_, values) => return inner(values),
        DataType::RunEndEncoded(_, values) => return inner(values.data_type()),
        DataType::List(items)
        | DataType::LargeList(items)
        | DataType::ListView(items)
        | DataType::LargeListView(items)
        | DataType::FixedSizeList(items, _) => return format!("{}[]", inner(items.data_type())),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| format!("{} {}", field.name(), inner(field.data_type())));
            return format!("{}({})", word("STRUCT"), fields.collect::<Vec<_>>().join(", "));
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                let [key, value] = [0, 1].map(|i| inner(fields[i].data_type()));
                return format!("{}({key}, {value})", word("MAP"));
            }
            _ => "MAP",
        },
        DataType::Null => "NULL",
        DataType::Union(..) => "UNION",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_types_are_named_in_sql_throughout() {
        let item = std::sync::Arc::new(arrow::datatypes::Field::new("a", DataType::Decimal128(10, 2), true));
        let list = DataType::List(item.clone());
        assert_eq!(type_name(&list), "DECIMAL(10,2)[]");
        assert_eq!(type_name(&DataType::Struct(vec![item].into())), "STRUCT(a DECIMAL(10,2))");
        assert_eq!(type_name(&DataType::Timestamp(TimeUnit::Millisecond, None)), "TIMESTAMP(3)");
    }

    /// A name that people read is the one that they may write.
    #[test]
    fn what_is_shown_is_the_same_name_in_lower_case() {
        let field = |kind| std::sync::Arc::new(arrow::datatypes::Field::new("Odd", kind, true));
        let kind = DataType::Struct(vec![field(DataType::Int32), field(DataType::Decimal128(10, 2))].into());
        assert_eq!(type_name(&kind), "STRUCT(Odd INTEGER, Odd DECIMAL(10,2))");
        assert_eq!(shown_type(&kind), "struct(Odd integer, Odd decimal(10,2))");
        let zoned = DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()));
        assert_eq!(shown_type(&zoned), "timestamp with time zone");
    }
}
