//! Columns from a sample of text: what each key or field holds in all of its records.
//!
//! | seen | column |
//! |---|---|
//! | whole numbers; with fractions among them | BIGINT; DOUBLE |
//! | `true`, `false` | BOOLEAN |
//! | texts that are all dates; timestamps (dates among them) | DATE; TIMESTAMP (ns, UTC) |
//! | objects; arrays | struct; list |
//! | nothing but null; anything else or a mixture | VARCHAR (other values as their JSON text) |
//!
//! Every column may be NULL. Names are folded to lower case where that keeps them apart. In CSV a
//! number with a leading zero (007) is text, and so is a whole number beyond BIGINT everywhere:
//! as a DOUBLE it would become another number.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde_json::Value;

use super::csv::{Header, header_names, records};
use super::{Chunk, CsvOptions, Format, FormatError, timestamp};

/// Records that are looked at.
pub const SAMPLE_RECORDS: usize = 1000;

/// What a value can be read as.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Nothing,
    Boolean,
    Whole,
    /// A whole number beyond 64 bits.
    Big,
    Float,
    Date,
    Time,
    Text,
    List(Box<Seen>),
    Object(Object),
}

/// Keys in order of first sight.
#[derive(Debug, Clone, Default, PartialEq)]
struct Object {
    keys: Vec<(String, Seen)>,
    places: HashMap<String, usize>,
}

/// The columns of the records in `sample` (from the start of the text; the first
/// [`SAMPLE_RECORDS`] count), `last` = nothing follows it. Records that cannot be read do not count
/// here; the reader reports them. Fails where no column is found.
pub fn infer(format: Format, sample: &[u8], last: bool) -> Result<SchemaRef, FormatError> {
    let sample = sample.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(sample);
    let object = match format {
        Format::Json => json(sample, last)?,
        Format::Csv(options) => csv(sample, last, options)?,
    };
    let folds: Vec<String> = object.keys.iter().map(|(name, _)| name.to_lowercase()).collect();
    let mut times_seen = HashMap::new();
    folds.iter().for_each(|fold| *times_seen.entry(fold.as_str()).or_insert(0) += 1);
    let fields = object.keys.iter().zip(&folds).map(|((name, seen), fold)| {
        let alone = times_seen.get(fold.as_str()) == Some(&1);
        Field::new(if alone { fold } else { name }, seen.kind(), true)
    });
    Ok(Arc::new(Schema::new(fields.collect::<Fields>())))
}

fn json(sample: &[u8], last: bool) -> Result<Object, FormatError> {
    let mut object = Object::default();
    let mut failure = None;
    let lines = sample.split_inclusive(|byte| *byte == b'\n');
    let whole = lines.filter(|line| (last || line.ends_with(b"\n")) && !line.trim_ascii().is_empty());
    for line in whole.take(SAMPLE_RECORDS) {
        match serde_json::from_slice(line) {
            Ok(Value::Object(map)) => object.see(map),
            Ok(_) => failure = failure.or_else(|| Some("the first line is not a JSON object".to_owned())),
            Err(error) => failure = failure.or_else(|| Some(format!("the first line is not JSON: {error}"))),
        }
    }
    match (object.keys.is_empty(), failure) {
        (false, _) => Ok(object),
        (true, Some(reason)) => Err(FormatError::Inference(reason)),
        (true, None) => Err(FormatError::Inference("there is no record".into())),
    }
}

fn csv(sample: &[u8], last: bool, options: CsvOptions) -> Result<Object, FormatError> {
    let nothing = || FormatError::Inference("there is no record".into());
    let (names, start) = match header_names(Chunk { text: sample, line: 0, last }, options)? {
        Header::Names(names, taken) if options.header => (names, taken.bytes),
        Header::Names(names, _) => (vec![String::new(); names.len()], 0),
        Header::Absent(_) | Header::Incomplete => return Err(nothing()),
    };
    let mut seen = vec![Seen::Nothing; names.len()];
    let rest = sample.get(start..).unwrap_or_default();
    for record in records(rest, last, options.delimiter).take(SAMPLE_RECORDS) {
        // A record of another length is bad: the reader will say so.
        if record.len() == seen.len() {
            for (seen, field) in seen.iter_mut().zip(&record) {
                *seen = std::mem::replace(seen, Seen::Nothing).merge(Seen::field(field));
            }
        }
    }
    let mut object = Object::default();
    for (place, (name, seen)) in names.into_iter().zip(seen).enumerate() {
        let name = if name.is_empty() { format!("column{}", place + 1) } else { name };
        if object.places.contains_key(&name) {
            return Err(FormatError::Twice(name));
        }
        object.see_key(name, seen);
    }
    Ok(object)
}

impl Object {
    fn see(&mut self, map: serde_json::Map<String, Value>) {
        for (key, value) in map {
            self.see_key(key, Seen::value(value));
        }
    }

    fn see_key(&mut self, key: String, seen: Seen) {
        match self.places.get(&key).and_then(|place| self.keys.get_mut(*place)) {
            Some((_, before)) => *before = std::mem::replace(before, Seen::Nothing).merge(seen),
            None => {
                self.places.insert(key.clone(), self.keys.len());
                self.keys.push((key, seen));
            }
        }
    }
}

impl Seen {
    fn value(value: Value) -> Seen {
        match value {
            Value::Null => Seen::Nothing,
            Value::Bool(_) => Seen::Boolean,
            Value::Number(number) if number.is_i64() => Seen::Whole,
            Value::Number(number) if number.is_u64() => Seen::Big,
            Value::Number(_) => Seen::Float,
            Value::String(text) => Seen::time(&text).unwrap_or(Seen::Text),
            Value::Array(items) => {
                let seen = items.into_iter().map(Seen::value).fold(Seen::Nothing, Seen::merge);
                Seen::List(Box::new(seen))
            }
            Value::Object(map) => {
                let mut object = Object::default();
                object.see(map);
                Seen::Object(object)
            }
        }
    }

    /// What a CSV field is.
    fn field(text: &str) -> Seen {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        if text.is_empty() {
            Seen::Nothing
        } else if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            Seen::Boolean
        } else if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || leading_zero {
            Seen::Text
        } else if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            if text.parse::<i64>().is_ok() { Seen::Whole } else { Seen::Big }
        } else if text.parse::<f64>().is_ok_and(f64::is_finite) {
            Seen::Float
        } else {
            Seen::time(text).unwrap_or(Seen::Text)
        }
    }

    /// A date or timestamp, if `text` is one that fits nanoseconds.
    fn time(text: &str) -> Option<Seen> {
        let dated = text.as_bytes().get(4) == Some(&b'-');
        let fits = dated && timestamp::from_text(text, TimeUnit::Nanosecond).is_ok();
        fits.then_some(if text.len() == 10 { Seen::Date } else { Seen::Time })
    }

    fn merge(self, other: Seen) -> Seen {
        match (self, other) {
            (Seen::Nothing, seen) | (seen, Seen::Nothing) => seen,
            (Seen::Float, Seen::Whole | Seen::Big) | (Seen::Whole | Seen::Big, Seen::Float) => Seen::Float,
            (Seen::Big, Seen::Whole) | (Seen::Whole, Seen::Big) => Seen::Big,
            (Seen::Date, Seen::Time) | (Seen::Time, Seen::Date) => Seen::Time,
            (Seen::List(a), Seen::List(b)) => Seen::List(Box::new(a.merge(*b))),
            (Seen::Object(mut a), Seen::Object(b)) => {
                b.keys.into_iter().for_each(|(key, seen)| a.see_key(key, seen));
                Seen::Object(a)
            }
            (a, b) if a == b => a,
            _ => Seen::Text,
        }
    }

    fn kind(&self) -> DataType {
        match self {
            Seen::Nothing | Seen::Big | Seen::Text => DataType::Utf8,
            Seen::Boolean => DataType::Boolean,
            Seen::Whole => DataType::Int64,
            Seen::Float => DataType::Float64,
            Seen::Date => DataType::Date32,
            Seen::Time => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Seen::List(items) => DataType::new_list(items.kind(), true),
            // A struct without fields holds nothing; as text it is at least `{}`.
            Seen::Object(object) if object.keys.is_empty() => DataType::Utf8,
            Seen::Object(object) => DataType::Struct(
                object.keys.iter().map(|(key, seen)| Field::new(key, seen.kind(), true)).collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::type_name;

    fn columns(format: Format, sample: &str) -> Vec<String> {
        let schema = infer(format, sample.as_bytes(), true).unwrap();
        schema.fields().iter().map(|f| format!("{} {}", f.name(), type_name(f.data_type()))).collect()
    }

    #[test]
    fn json_columns() {
        let sample = concat!(
            r#"{"at":"2013-01-01T10:17:00Z","day":"2013-01-01","N":1,"x":1,"big":18446744073709551615,"#,
            r#""s":{"a":1,"B":[1]},"l":[],"e":{},"none":null,"mixed":1,"id":1,"ID":2}"#,
            "\n",
            "not json\n\n",
            r#"{"at":"2013-01-01","day":"2013-01-02","N":2,"x":1.5,"big":7,"#,
            r#""s":{"a":"z","c":true},"l":[1,2.5],"e":{},"none":null,"mixed":[1],"late":false}"#,
        );
        assert_eq!(
            columns(Format::Json, sample),
            [
                "at TIMESTAMP",
                "day DATE",
                "n BIGINT",
                "x DOUBLE",
                "big VARCHAR",
                "s STRUCT(a VARCHAR, B BIGINT[], c BOOLEAN)",
                "l DOUBLE[]",
                "e VARCHAR",
                "none VARCHAR",
                "mixed VARCHAR",
                "id BIGINT",
                "ID BIGINT",
                "late BOOLEAN",
            ]
        );
        for (sample, reason) in [
            ("", "there is no record"),
            ("{}", "there is no record"),
            ("[1]\n", "the first line is not a JSON object"),
            ("{\"a\":}\n", "the first line is not JSON: expected value at line 1 column 6"),
        ] {
            let error = infer(Format::Json, sample.as_bytes(), true).unwrap_err().to_string();
            assert_eq!(error, format!("the columns cannot be inferred: {reason}"));
        }
    }

    #[test]
    fn csv_columns() {
        let sample = "N,x,zip,at,b,none,\"q \"\"r\"\"\"\r\n1,1,007,2013-01-01 10:17:00,true,,\"a\nb\"\r\n\r\n-2,.5,1,2013-01-02,FALSE,,2\r\nshort\r\n";
        let expected = [
            "n BIGINT",
            "x DOUBLE",
            "zip VARCHAR",
            "at TIMESTAMP",
            "b BOOLEAN",
            "none VARCHAR",
            "q \"r\" VARCHAR",
        ];
        assert_eq!(columns(Format::Csv(CsvOptions::default()), sample), expected);
        let bare = Format::Csv(CsvOptions { delimiter: b'\t', header: false });
        assert_eq!(columns(bare, "1\ta\n2\tb"), ["column1 BIGINT", "column2 VARCHAR"]);
        assert!(infer(Format::Csv(CsvOptions::default()), b"a,a\n1,2\n", true).is_err());
    }
}
