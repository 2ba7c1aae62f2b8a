//! Every kind of mistake that has a code: what is printed as `error[MS003]`, and what `millstream explain MS003` says.
//!
//! A code stays what it is: others may be added, none is used for something else.

/// A kind of mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is no SQL.
    Syntax,
    /// What was named is not there.
    NoRelation,
    /// A column that is not there.
    NoColumn,
    /// A function that is not there.
    NoFunction,
    /// An option, a setting or a connector that is not there.
    NoOption,
    /// An option's or setting's value.
    OptionValue,
    /// A type that is not there.
    NoType,
    /// A name that several columns have.
    Ambiguous,
    /// A column that is neither grouped nor aggregated.
    NotGrouped,
    /// An operator or function that does not take such values.
    Types,
    /// A query whose columns are not those of what it writes.
    Columns,
    /// A value that is not what its column takes.
    Value,
    /// A null where none may be.
    NotNull,
    /// A name that is taken, by something else.
    Taken,
    /// A stream or table that statements do not write.
    NotWritten,
    /// Something only streams, or only tables, can do.
    WrongKind,
    /// A statement or clause that is not there.
    NotSupported,
    /// A window or WITHIN that is not written as it must be.
    Window,
    /// An event time that is missing, or is no time.
    EventTime,
    /// A place to start from.
    Start,
    /// A query whose answer cannot be kept up to date.
    NotMaintained,
    /// A function that gives another answer each time.
    NotDeterministic,
    /// EMIT FINAL over what may always change.
    NeverFinal,
    /// A stream is to be written by a query whose rows do not stay.
    NotAppendOnly,
    /// A table without a primary key, or a key that tells no rows apart.
    Key,
    /// A job whose query is another one now.
    QueryChanged,
    /// A job that is not there, or does not take what it is told.
    Job,
    /// A division by zero.
    DivisionByZero,
    /// A value that a cast cannot make one of its type.
    NotAValue,
    /// A result that its type cannot hold.
    OutOfRange,
    /// A subquery that stands for one value and has several rows.
    ManyRows,
    /// A function that fails on what it is given.
    Argument,
    /// A record that does not fit the columns of its stream.
    BadRecord,
    /// A file that is not there, or cannot be read.
    Unreadable,
    /// What a job has read is not there any more as it was.
    SourceChanged,
    /// The disk takes no more, or cannot be read or written.
    Storage,
    /// Files of the data directory that are not as they were written.
    Damaged,
    /// A job that another process runs.
    Busy,
}

/// What there is to say about a code.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// The kind.
    pub code: Code,
    /// As it is printed.
    pub id: &'static str,
    /// What is wrong, and why that is so.
    pub text: &'static str,
    /// SQL with the mistake, behind [`SETUP`].
    pub wrong: &'static str,
    /// The same without it.
    pub right: &'static str,
}

/// What the examples stand behind.
pub const SETUP: &str = "CREATE STREAM rides (at TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR at AS at);
CREATE TABLE cities (city TEXT, country TEXT, PRIMARY KEY (city));";

const fn explained(
    code: Code,
    id: &'static str,
    text: &'static str,
    wrong: &'static str,
    right: &'static str,
) -> Explanation {
    Explanation { code, id, text, wrong, right }
}

/// All codes, in order.
pub const CODES: &[Explanation] = &[
    explained(
        Code::Syntax,
        "MS001",
        "The text cannot be read as SQL. The caret stands at the first word that does not fit; what was expected there is said.",
        "SELEC city FROM rides;",
        "SELECT city FROM rides;",
    ),
    explained(
        Code::NoRelation,
        "MS002",
        "No stream, table or view has this name in the data directory (-d). Names fold to lower case unless they stand in double quotes.",
        "SELECT * FROM ride;",
        "SELECT * FROM rides;",
    ),
    explained(
        Code::NoColumn,
        "MS003",
        "None of the relations in FROM has such a column. A text stands in single quotes; in double quotes it is a name. An alias of the SELECT list is not known in WHERE.",
        "SELECT town FROM rides;",
        "SELECT city FROM rides;",
    ),
    explained(
        Code::NoFunction,
        "MS004",
        "There is no function of this name. They are DataFusion's, and those for JSON; Tab completes them at the prompt.",
        "SELECT uper(city) FROM rides;",
        "SELECT upper(city) FROM rides;",
    ),
    explained(
        Code::NoOption,
        "MS005",
        "There is no option, setting or connector of this name. SHOW ALL lists the settings; each connector has options of its own.",
        "SET worker = 2;",
        "SET workers = 2;",
    ),
    explained(
        Code::OptionValue,
        "MS006",
        "An option or setting has a value that it does not take, or lacks one that it needs.",
        "CREATE STREAM s (a BIGINT) WITH (partitions = 'many');",
        "CREATE STREAM s (a BIGINT) WITH (partitions = 4);",
    ),
    explained(
        Code::NoType,
        "MS007",
        "There is no such type. BIGINT, DOUBLE, DECIMAL(p, s), TEXT, BOOLEAN, TIMESTAMP, DATE, INTERVAL, BYTEA, lists as TEXT[] and STRUCT(…) are there, among others.",
        "CREATE STREAM s (a NUMBER8);",
        "CREATE STREAM s (a BIGINT);",
    ),
    explained(
        Code::Ambiguous,
        "MS008",
        "Several relations have a column of this name. Write which one is meant.",
        "SELECT city FROM rides r JOIN cities c ON r.city = c.city;",
        "SELECT r.city FROM rides r JOIN cities c ON r.city = c.city;",
    ),
    explained(
        Code::NotGrouped,
        "MS009",
        "With GROUP BY or an aggregate there is one row for each group, and this column may have several values in it.",
        "SELECT city, fare, count(*) AS n FROM rides GROUP BY city;",
        "SELECT city, max(fare) AS fare, count(*) AS n FROM rides GROUP BY city;",
    ),
    explained(
        Code::Types,
        "MS010",
        "An operator or a function is given values of types that it does not take. Nothing is turned silently from text into a number.",
        "SELECT fare + at AS x FROM rides;",
        "SELECT at + INTERVAL '1 hour' AS x FROM rides;",
    ),
    explained(
        Code::Columns,
        "MS011",
        "The query does not give the columns of what it writes: another number of them, other names, or other types. They are taken by position; INSERT INTO s (b, a) names them.",
        "CREATE STREAM s (city TEXT, n BIGINT); INSERT INTO s SELECT city FROM rides;",
        "CREATE STREAM s (city TEXT, n BIGINT); INSERT INTO s (city) SELECT city FROM rides;",
    ),
    explained(
        Code::Value,
        "MS012",
        "A value is not what its column takes: of another type, too large, or no time.",
        "INSERT INTO rides VALUES ('yesterday', 'Rome', 5);",
        "INSERT INTO rides VALUES ('2026-01-31 12:00:00', 'Rome', 5);",
    ),
    explained(
        Code::NotNull,
        "MS013",
        "A column that is NOT NULL, as all of a primary key are, gets a null, or no value at all.",
        "INSERT INTO cities (country) VALUES ('Italy');",
        "INSERT INTO cities (city, country) VALUES ('Rome', 'Italy');",
    ),
    explained(
        Code::Taken,
        "MS014",
        "The name is taken. The same definition twice is no mistake, so that a file can be run again; another one under the same name is. What differs is shown.",
        "CREATE STREAM rides (at TIMESTAMP);",
        "CREATE STREAM other_rides (at TIMESTAMP);",
    ),
    explained(
        Code::NotWritten,
        "MS015",
        "What a query writes has one writer, its job; files and made-up data are only read.",
        "CREATE STREAM s AS SELECT city FROM rides; INSERT INTO s VALUES ('Rome');",
        "INSERT INTO rides VALUES ('2026-01-31 12:00:00', 'Rome', 5);",
    ),
    explained(
        Code::WrongKind,
        "MS016",
        "A stream's rows come and stay; a table holds the last row of each key. UPDATE and DELETE are for tables, metadata columns and AT for streams in topics.",
        "DELETE FROM rides WHERE city = 'Rome';",
        "DELETE FROM cities WHERE city = 'Rome';",
    ),
    explained(
        Code::NotSupported,
        "MS017",
        "This statement or clause is SQL, but not here. Nothing that is written is ignored silently.",
        "CREATE INDEX i ON rides (city);",
        "CREATE TABLE by_city (city TEXT, n BIGINT, PRIMARY KEY (city));",
    ),
    explained(
        Code::Window,
        "MS018",
        "A window is not written as it must be. TUMBLE(stream, time, size), HOP(stream, time, slide, size), CUMULATE(stream, time, step, size), SESSION(stream, time, gap, PARTITION => key); the other spellings are in the README.",
        "SELECT window_start, count(*) AS n FROM TUMBLE(rides, at) GROUP BY window_start;",
        "SELECT window_start, count(*) AS n FROM TUMBLE(rides, at, INTERVAL '1 hour') GROUP BY window_start;",
    ),
    explained(
        Code::EventTime,
        "MS019",
        "Windows and watermarks go by a column that says when each row happened, of type TIMESTAMP: WATERMARK FOR at AS at - INTERVAL '5 seconds' in CREATE STREAM.",
        "SELECT window_start, count(*) AS n FROM TUMBLE(rides, city, INTERVAL '1 hour') GROUP BY window_start;",
        "SELECT window_start, count(*) AS n FROM TUMBLE(rides, at, INTERVAL '1 hour') GROUP BY window_start;",
    ),
    explained(
        Code::Start,
        "MS020",
        "AT says where reading of a stream in a topic begins: AT EARLIEST, AT LATEST, AT OFFSET 17, or a time.",
        "SELECT city FROM rides AT '2026-13-01';",
        "SELECT city FROM rides AT '2026-01-31 12:00:00';",
    ),
    explained(
        Code::NotMaintained,
        "MS021",
        "The answer to a query with EMIT, or behind a stream or table that a query writes, is kept up to date by what changes. For this query that cannot be done; it is refused rather than answered wrongly. Without EMIT it is answered once.",
        "SELECT city, lag(fare) OVER (PARTITION BY city ORDER BY at) AS before FROM rides EMIT CHANGES;",
        "SELECT city, lag(fare) OVER (PARTITION BY city ORDER BY at) AS before FROM rides;",
    ),
    explained(
        Code::NotDeterministic,
        "MS022",
        "now(), random() and the like give another answer each time. What was emitted could not be taken back, nor made again after a crash.",
        "SELECT city, now() AS seen FROM rides EMIT CHANGES;",
        "SELECT city, at AS seen FROM rides EMIT CHANGES;",
    ),
    explained(
        Code::NeverFinal,
        "MS023",
        "EMIT FINAL sends each result once, when nothing can change it any more. That takes a window: its bounds among the GROUP BY keys, over a column with a watermark.",
        "SELECT city, count(*) AS n FROM rides GROUP BY city EMIT FINAL;",
        "SELECT window_start, city, count(*) AS n FROM TUMBLE(rides, at, INTERVAL '1 hour') GROUP BY window_start, city EMIT FINAL;",
    ),
    explained(
        Code::NotAppendOnly,
        "MS024",
        "A stream takes rows that stay, but this query takes rows back when its result changes. A table keeps such a result; or EMIT FINAL over a window sends what does not change any more.",
        "CREATE STREAM counts AS SELECT city, count(*) AS n FROM rides GROUP BY city;",
        "CREATE TABLE counts AS SELECT city, count(*) AS n FROM rides GROUP BY city;",
    ),
    explained(
        Code::Key,
        "MS025",
        "A table's rows are told apart by its primary key. A query's result has one if it is grouped, distinct, ranked, or joins tables by their keys; else it is declared, and must tell the rows apart.",
        "CREATE TABLE t (city TEXT, n BIGINT);",
        "CREATE TABLE t (city TEXT, n BIGINT, PRIMARY KEY (city));",
    ),
    explained(
        Code::QueryChanged,
        "MS026",
        "A job has begun with another query than the one that stands there now, and its state is that of the old one. Run with --fresh it begins anew, with --as NAME its result goes beside the old one.",
        "",
        "",
    ),
    explained(
        Code::Job,
        "MS027",
        "There is no such job, or it is in no state to do what it is told. SHOW JOBS lists them. Jobs are named after what they write, those of INSERT in a file x.sql as x.s.",
        "",
        "",
    ),
    explained(
        Code::DivisionByZero,
        "MS028",
        "A query has met a row for which a whole or decimal number is divided by zero. A divisor that may be 0 is written NULLIF(divisor, 0): the result is NULL then. With DOUBLE there is no such failure: the result is infinite.",
        "INSERT INTO rides VALUES ('2026-01-31', 'Rome', 0); SELECT 100 / CAST(fare AS BIGINT) AS x FROM rides;",
        "INSERT INTO rides VALUES ('2026-01-31', 'Rome', 0); SELECT 100 / NULLIF(CAST(fare AS BIGINT), 0) AS x FROM rides;",
    ),
    explained(
        Code::NotAValue,
        "MS029",
        "A query has met a value of which CAST cannot make one of the wanted type: a text that is no number or no time, or a number that is too large. TRY_CAST gives NULL there.",
        "INSERT INTO rides VALUES ('2026-01-31', 'Rome', 5); SELECT CAST(city AS BIGINT) AS x FROM rides;",
        "INSERT INTO rides VALUES ('2026-01-31', 'Rome', 5); SELECT TRY_CAST(city AS BIGINT) AS x FROM rides;",
    ),
    explained(
        Code::OutOfRange,
        "MS030",
        "A result has more digits than its type can hold, or is a time that cannot be told. Compute in a wider type, such as DOUBLE.",
        "INSERT INTO rides VALUES ('2026-01-31', 'Rome', 5); SELECT at + INTERVAL '10000 years' AS x FROM rides;",
        "INSERT INTO rides VALUES ('2026-01-31', 'Rome', 5); SELECT at + INTERVAL '100 years' AS x FROM rides;",
    ),
    explained(
        Code::ManyRows,
        "MS031",
        "A subquery that stands for one value, as behind =, has given several rows. IN takes all of them; an aggregate, or ORDER BY with LIMIT 1, makes one of them.",
        "INSERT INTO cities VALUES ('Rome', 'Italy'), ('Oslo', 'Norway'); SELECT city FROM cities WHERE city = (SELECT city FROM cities);",
        "INSERT INTO cities VALUES ('Rome', 'Italy'), ('Oslo', 'Norway'); SELECT city FROM cities WHERE city = (SELECT max(city) FROM cities);",
    ),
    explained(
        Code::Argument,
        "MS032",
        "A function has met a value that it does not take, such as the root of a negative number. Leave such rows out with WHERE, or give it NULL instead: CASE WHEN … THEN … END.",
        "INSERT INTO rides VALUES ('2026-01-31', 'Rome', -5); SELECT sqrt(CAST(fare AS BIGINT)) AS x FROM rides;",
        "INSERT INTO rides VALUES ('2026-01-31', 'Rome', -5); SELECT CASE WHEN fare >= 0 THEN sqrt(fare) END AS x FROM rides;",
    ),
    explained(
        Code::BadRecord,
        "MS033",
        "A record of a file or of standard input does not fit the columns of its stream. File, line, character and reason are told. WITH (on_bad = 'skip') leaves such records out and counts them, on_bad = 'topic' keeps them in a topic beside.",
        "",
        "",
    ),
    explained(
        Code::Unreadable,
        "MS034",
        "A file that a stream reads is not there, or cannot be read, or is not of the format that the stream says.",
        "",
        "",
    ),
    explained(
        Code::SourceChanged,
        "MS035",
        "A job goes on where it ended, but what it had read is not there any more as it was: a file was changed or removed, or retention took rows away. Run with --fresh it begins anew with what there is.",
        "",
        "",
    ),
    explained(
        Code::Storage,
        "MS036",
        "The data directory cannot be read or written. A full disk and other failures that pass are waited for; this one did not pass. The job goes on from its last checkpoint when it is run again.",
        "",
        "",
    ),
    explained(
        Code::Damaged,
        "MS037",
        "Files of the data directory are not as they were written. 'millstream topic verify' names every damaged place of a topic, 'millstream topic repair' puts them aside.",
        "",
        "",
    ),
    explained(
        Code::Busy,
        "MS038",
        "A job is run by one process at a time, and another one runs it now. SHOW JOBS names that process; 'millstream job stop NAME' ends the job there.",
        "",
        "",
    ),
];

impl Code {
    /// What there is to say about it.
    pub fn explanation(self) -> &'static Explanation {
        CODES.iter().find(|e| e.code == self).unwrap_or(&CODES[0])
    }

    /// As it is printed.
    pub fn id(self) -> &'static str {
        self.explanation().id
    }
}

/// The explanation of a code as it is printed, in any case.
pub fn explanation(id: &str) -> Option<&'static Explanation> {
    CODES.iter().find(|e| e.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_once_in_order() {
        for (at, explanation) in CODES.iter().enumerate() {
            assert_eq!(explanation.id, format!("MS{:03}", at + 1));
            assert_eq!(explanation.code.explanation().id, explanation.id);
        }
        assert_eq!(explanation("ms003").map(|e| e.code), Some(Code::NoColumn));
        assert!(explanation("MS999").is_none());
    }
}
