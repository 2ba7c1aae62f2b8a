//! Failures while something runs, as they are told: the code of their kind, the place in the SQL, and what to write instead.

use super::EngineError;
use crate::catalog::CatalogError;
use crate::connectors::ConnectorError;
use crate::log::LogError;
use crate::operators::OperatorError;
use crate::runtime::RuntimeError;
use crate::sql::{Code, Diagnostic};
use datafusion::error::DataFusionError;
use std::ops::Range;
use std::sync::Arc;

/// Where a failure comes from: bytes of a text that was run.
#[derive(Debug, Clone)]
pub struct Place {
    /// The text.
    pub text: Arc<str>,
    /// The bytes of it.
    pub span: Range<usize>,
}

impl EngineError {
    /// The failure with its code and what to do about it. Its place, if it has one, lies in [`EngineError::text`].
    pub fn told(&self) -> Diagnostic {
        if let EngineError::Sql(mistake) = self {
            return mistake.clone();
        }
        let mut told = Diagnostic::new(in_words(&self.to_string()));
        told.code = self.kind();
        told.span = self.place().map(|place| place.span.clone());
        told.help = told.code.and_then(|code| help(code, &told.message));
        told
    }

    /// A failure of values that are written, as a mistake in them: what is no value of its column has a code of its own.
    pub(super) fn as_mistake(&self) -> Diagnostic {
        let told = self.told();
        match told.code {
            Some(Code::DivisionByZero | Code::ManyRows | Code::Argument) => told,
            _ => Diagnostic { code: Some(Code::Value), help: None, ..told },
        }
    }

    /// The text that the failure's place lies in.
    pub fn text(&self) -> Option<&str> {
        self.place().map(|place| place.text.as_ref())
    }

    fn place(&self) -> Option<&Place> {
        match self {
            EngineError::Placed { place, .. } => Some(place),
            _ => None,
        }
    }

    /// Its kind, if that has a code.
    pub fn kind(&self) -> Option<Code> {
        match self {
            EngineError::Sql(mistake) => mistake.code,
            EngineError::Placed { source, .. } => source.kind(),
            EngineError::Job { source, .. } => of_job(source),
            EngineError::Runtime(error) => of_job(error),
            EngineError::Busy { .. } => Some(Code::Busy),
            EngineError::Damaged { .. } => Some(Code::Damaged),
            EngineError::Log(error) => of_log(error),
            EngineError::Catalog(CatalogError::Damaged { .. }) => Some(Code::Damaged),
            EngineError::Catalog(CatalogError::Disk(_)) | EngineError::Disk(_) => Some(Code::Storage),
            EngineError::Connector(error) => of_source(error),
            EngineError::Query(error) => of_query(error),
            EngineError::Arrow(_) => of_words(&self.to_string()),
            EngineError::Catalog(_) | EngineError::Start(_) => None,
        }
    }
}

fn of_job(error: &RuntimeError) -> Option<Code> {
    match error {
        RuntimeError::Connector(error) => of_source(error),
        RuntimeError::Log(error) => of_log(error),
        RuntimeError::Operator(error) => of_operator(error),
        RuntimeError::Arrow(_) => of_words(&error.to_string()),
        RuntimeError::Disk(_) | RuntimeError::JournalSync(_) | RuntimeError::StoppedWaiting { .. } => {
            Some(Code::Storage)
        }
        RuntimeError::State { .. } => Some(Code::Damaged),
        RuntimeError::SourceChanged { .. } | RuntimeError::RowsGone { .. } => Some(Code::SourceChanged),
        RuntimeError::Output(words) if words.starts_with("the query gave a null for") => Some(Code::NotNull),
        RuntimeError::Output(words) if words.starts_with("the query gave two rows") => Some(Code::Key),
        RuntimeError::WorkerGone
        | RuntimeError::WorkerLost
        | RuntimeError::WorkerPanicked(_)
        | RuntimeError::Thread(_)
        | RuntimeError::Needless
        | RuntimeError::Output(_) => None,
    }
}

fn of_operator(error: &OperatorError) -> Option<Code> {
    match error {
        OperatorError::Expression(error) => of_query(error),
        OperatorError::Arrow(_) => of_words(&error.to_string()),
        OperatorError::ManyRows => Some(Code::ManyRows),
        OperatorError::Cold(_) => Some(Code::Storage),
        OperatorError::Restore { .. } => Some(Code::Damaged),
    }
}

fn of_query(error: &DataFusionError) -> Option<Code> {
    let words = || crate::operators::plain_error(error);
    match error.find_root() {
        DataFusionError::External(inner) => {
            if let Some(error) = inner.downcast_ref::<EngineError>() {
                error.kind()
            } else if let Some(error) = inner.downcast_ref::<ConnectorError>() {
                of_source(error)
            } else if let Some(error) = inner.downcast_ref::<RuntimeError>() {
                of_job(error)
            } else if let Some(error) = inner.downcast_ref::<OperatorError>() {
                of_operator(error)
            } else if let Some(mistake) = inner.downcast_ref::<Diagnostic>() {
                mistake.code
            } else {
                of_words(&words())
            }
        }
        // A fault of the program is no kind of mistake.
        DataFusionError::Internal(_) => None,
        _ => of_words(&words()),
    }
}

/// The kind of a failure that an expression has made on the data.
fn of_words(words: &str) -> Option<Code> {
    let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    Some(if words.starts_with("division by zero") {
        Code::DivisionByZero
    } else if words.starts_with("more than one row returned") {
        Code::ManyRows
    } else if says(&[" is not a value of type ", "annot cast", "Unable to cast", "too large to store in a"]) {
        Code::NotAValue
    } else if words.starts_with("the result is out of range") || words == "Timestamp out of range" {
        Code::OutOfRange
    } else {
        Code::Argument
    })
}

fn of_source(error: &ConnectorError) -> Option<Code> {
    match error {
        ConnectorError::Bad(_) => Some(Code::BadRecord),
        ConnectorError::Io { .. } | ConnectorError::Format { .. } => Some(Code::Unreadable),
        ConnectorError::Log(error) => of_log(error),
        ConnectorError::Other(_) => None,
    }
}

fn of_log(error: &LogError) -> Option<Code> {
    match error {
        LogError::Disk(_) => Some(Code::Storage),
        LogError::FormatDamaged { .. } | LogError::TopicDamaged { .. } => Some(Code::Damaged),
        _ => None,
    }
}

/// What the libraries say in other words than for the same elsewhere.
fn in_words(message: &str) -> String {
    if let Some((before, rest)) = message.split_once("Cannot cast value ")
        && let Some((value, kind)) =
            rest.strip_suffix(" type").and_then(|rest| rest.rsplit_once(" to value of "))
    {
        return format!("{before}{value} is not a value of type {kind}");
    }
    if let Some((before, rest)) = message.split_once("Regular expression did not compile: ") {
        let why = rest.rsplit_once("error: ").map_or("", |(_, why)| why);
        let why = why.lines().next().unwrap_or_default().trim_end_matches([')', '.']);
        return format!("{before}the text is no regular expression: {why}");
    }
    message.replace("Timestamp out of range", "the result is out of range of TIMESTAMP")
}

/// What to write instead.
fn help(code: Code, message: &str) -> Option<String> {
    let kind = message.rsplit_once(" is not a value of type ").map(|(_, kind)| kind);
    Some(match code {
        Code::DivisionByZero => {
            "where a divisor may be 0, write NULLIF(divisor, 0): the result is NULL".into()
        }
        Code::NotAValue => match kind.and_then(|kind| kind.split(':').next()) {
            Some(kind) => format!("TRY_CAST(… AS {kind}) gives NULL for what is none"),
            None => "TRY_CAST gives NULL for what has no place in the type".into(),
        },
        Code::OutOfRange if message.ends_with("TIMESTAMP") => {
            "a TIMESTAMP reaches from the year 1677 to 2262".into()
        }
        Code::OutOfRange => "compute in a wider type, such as CAST(… AS DOUBLE)".into(),
        Code::ManyRows => {
            "write IN (…) for any of its rows, or make one of them: max(…), or ORDER BY … LIMIT 1".into()
        }
        Code::BadRecord => {
            "mend the record and run it again; with on_bad = 'skip' or 'topic' in its definition a \
                            stream leaves such records out"
                .into()
        }
        Code::SourceChanged => "run with --fresh it begins anew, with what there is now".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_kinds_and_are_the_same_for_the_same() {
        for (words, code) in [
            ("division by zero", Code::DivisionByZero),
            ("'x' is not a value of type BIGINT", Code::NotAValue),
            ("Cannot cast value 'x' to value of BOOLEAN type", Code::NotAValue),
            ("99.99 is too large to store in a DECIMAL of precision 3. Max is 9.99", Code::NotAValue),
            ("the result is out of range: 9 * 9", Code::OutOfRange),
            ("cannot take square root of a negative number", Code::Argument),
        ] {
            assert_eq!(of_words(words), Some(code), "{words}");
        }
        assert_eq!(
            in_words("job q failed: Cannot cast value 'x' to value of BOOLEAN type"),
            "job q failed: 'x' is not a value of type BOOLEAN"
        );
        assert_eq!(
            in_words(
                "Regular expression did not compile: Syntax(\n~~~\nregex parse error:\n    (\n    ^\nerror: unclosed group\n~~~\n)"
            ),
            "the text is no regular expression: unclosed group"
        );
        let told = EngineError::Busy { job: "q".into() }.told();
        assert_eq!((told.code, told.span), (Some(Code::Busy), None));
    }
}
