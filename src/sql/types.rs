//! The column types that the planner knows; any other is refused with the one to write instead.

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::words::nearest;
use sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, TimezoneInfo};

/// The types as we advise to write them.
const KNOWN: &[&str] = &[
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "INTEGER",
    "BIGINT",
    "REAL",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "NUMERIC",
    "TEXT",
    "VARCHAR",
    "CHAR",
    "STRING",
    "BYTEA",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "INTERVAL",
    "ARRAY",
    "STRUCT",
];

/// What other systems call a type, and its name here.
const SYNONYMS: &[(&str, &str)] = &[
    ("LONG", "BIGINT"),
    ("INT64", "BIGINT"),
    ("HUGEINT", "DECIMAL(38, 0)"),
    ("BIGSERIAL", "BIGINT"),
    ("SERIAL", "INT"),
    ("INT32", "INT"),
    ("MEDIUMINT", "INT"),
    ("INT16", "SMALLINT"),
    ("BYTE", "TINYINT"),
    ("FLOAT64", "DOUBLE"),
    ("FLOAT32", "REAL"),
    ("NUMBER", "DECIMAL"),
    ("DEC", "DECIMAL"),
    ("BIGNUMERIC", "DECIMAL"),
    ("BIGDECIMAL", "DECIMAL"),
    ("MONEY", "DECIMAL"),
    ("UTF8", "TEXT"),
    ("JSON", "TEXT"),
    ("JSONB", "TEXT"),
    ("UUID", "TEXT"),
    ("CHARACTER", "VARCHAR"),
    ("NVARCHAR", "VARCHAR"),
    ("VARCHAR2", "VARCHAR"),
    ("CLOB", "TEXT"),
    ("TINYTEXT", "TEXT"),
    ("MEDIUMTEXT", "TEXT"),
    ("LONGTEXT", "TEXT"),
    ("ENUM", "TEXT"),
    ("BYTES", "BYTEA"),
    ("BINARY", "BYTEA"),
    ("VARBINARY", "BYTEA"),
    ("BLOB", "BYTEA"),
    ("DATETIME", "TIMESTAMP"),
    ("DATETIME64", "TIMESTAMP"),
    ("TIMESTAMP_LTZ", "TIMESTAMP WITH TIME ZONE"),
    ("DATE32", "DATE"),
    ("ROW", "STRUCT<name TYPE, …>"),
];

/// Errors (without a place) if the planner cannot read the type.
pub(super) fn check(data_type: &DataType) -> Result<(), Diagnostic> {
    match data_type {
        DataType::Boolean
        | DataType::Bool
        | DataType::TinyInt(_)
        | DataType::SmallInt(_)
        | DataType::Int2(_)
        | DataType::Int(_)
        | DataType::Integer(_)
        | DataType::Int4(_)
        | DataType::BigInt(_)
        | DataType::Int8(_)
        | DataType::TinyIntUnsigned(_)
        | DataType::SmallIntUnsigned(_)
        | DataType::Int2Unsigned(_)
        | DataType::IntUnsigned(_)
        | DataType::IntegerUnsigned(_)
        | DataType::Int4Unsigned(_)
        | DataType::BigIntUnsigned(_)
        | DataType::Int8Unsigned(_)
        | DataType::Float(_)
        | DataType::Real
        | DataType::Float4
        | DataType::Double(ExactNumberInfo::None)
        | DataType::DoublePrecision
        | DataType::Float8
        | DataType::Numeric(_)
        | DataType::Decimal(_)
        | DataType::Char(_)
        | DataType::Varchar(_)
        | DataType::Text
        | DataType::String(_)
        | DataType::Bytea
        | DataType::Date
        | DataType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
        | DataType::Timestamp(None | Some(0 | 3 | 6 | 9), _)
        | DataType::Interval { fields: None, precision: None } => Ok(()),
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(inner) | ArrayElemTypeDef::SquareBracket(inner, _),
        ) => check(inner),
        DataType::Struct(fields, _) => fields.iter().try_for_each(|field| check(&field.field_type)),
        other => Err(refused(other)),
    }
}

fn refused(data_type: &DataType) -> Diagnostic {
    let text = data_type.to_string();
    let diagnostic = match data_type {
        DataType::Custom(..) => Diagnostic::coded(Code::NoType, format!("unknown type {text}")),
        _ => Diagnostic::coded(Code::NoType, format!("type {text} is not supported")),
    };
    match data_type {
        DataType::Timestamp(..) => diagnostic.help("the precision of TIMESTAMP is 0, 3, 6 or 9"),
        DataType::Time(..) => diagnostic.help("write TIME"),
        DataType::Double(_) => diagnostic.help("write DOUBLE, or DECIMAL(precision, scale)"),
        DataType::Interval { .. } => diagnostic.help("write INTERVAL"),
        DataType::Array(_) => diagnostic.help("write the type of its elements: INT[] or ARRAY<INT>"),
        _ => match instead(&text) {
            Some(known) => diagnostic.help(format!("did you mean {known}?")),
            None => diagnostic.help(format!("the types are {}", KNOWN.join(", "))),
        },
    }
}

/// The known type for an unknown one.
fn instead(text: &str) -> Option<&'static str> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let word = text[..end].to_ascii_uppercase();
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == word).map(|(_, known)| *known);
    synonym.or_else(|| nearest(&word, KNOWN.iter().copied()))
}
