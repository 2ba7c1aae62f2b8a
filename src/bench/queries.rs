//! The queries: Nexmark's, as the files in `queries/nexmark/` ask them, and *wc*, a count by window and key.
//!
//! DataFusion's batch engine is asked the same text where it knows all of it. It knows no windows: where there are some, it
//! is asked plain SQL that computes them from the milliseconds of the event time.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use std::fmt::Write as _;

/// A query.
#[derive(Debug)]
pub struct Query {
    /// What it is called.
    pub name: &'static str,
    /// The file whose last statement it is, or its text.
    text: &'static str,
    /// What the batch engine is asked, where it is not the same.
    batch: Option<&'static str>,
    /// The streams that it reads.
    pub tables: &'static [&'static str],
    /// Whether it can be asked with EMIT FINAL.
    pub has_final: bool,
    /// The columns whose values do not hang on the order of rows that are equal in what a ranking goes by; all, where it
    /// is empty. The engines are free to take either of such rows, so the others are not compared.
    pub compared: &'static [&'static str],
}

impl Query {
    /// What our engine is asked, without an EMIT clause.
    pub fn ours(&self) -> String {
        let plain: String = self.text.lines().filter(|l| !l.trim_start().starts_with("--")).fold(
            String::new(),
            |mut all, line| {
                // Writing to a String cannot fail.
                let _ = writeln!(all, "{line}");
                all
            },
        );
        let last = plain.split(';').map(str::trim).rfind(|statement| !statement.is_empty());
        renamed(last.unwrap_or_default())
    }

    /// What the batch engine is asked.
    pub fn batch(&self) -> String {
        self.batch.map_or_else(|| self.ours(), String::from)
    }
}

/// The columns whose names in the files of events are others than in `queries/nexmark/`.
const RENAMED: [(&str, &str); 5] = [
    ("date_time", "\"dateTime\""),
    ("item_name", "\"itemName\""),
    ("initial_bid", "\"initialBid\""),
    ("email_address", "\"emailAddress\""),
    ("credit_card", "\"creditCard\""),
];

/// The query with the columns' names as the files of events have them.
fn renamed(query: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut text = String::with_capacity(query.len());
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let length = match is_part(c) {
            true => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            false => c.len_utf8(),
        };
        let (word, behind) = rest.split_at(length);
        let other = RENAMED.iter().find(|(plain, _)| *plain == word);
        text.push_str(other.map_or(word, |(_, other)| other));
        rest = behind;
    }
    text
}

/// The query of this name.
pub fn query(name: &str) -> Option<&'static Query> {
    QUERIES.iter().find(|q| q.name == name)
}

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../queries/nexmark/", $name, ".sql"))
    };
}

const BID: &[&str] = &["bid"];
const AUCTION_BID: &[&str] = &["auction", "bid"];
const PERSON_AUCTION: &[&str] = &["person", "auction"];

/// A query whose text both engines are asked.
const fn same(name: &'static str, text: &'static str, tables: &'static [&'static str]) -> Query {
    Query { name, text, batch: None, tables, has_final: false, compared: &[] }
}

/// A query over windows.
const fn windowed(
    name: &'static str,
    text: &'static str,
    tables: &'static [&'static str],
    batch: &'static str,
) -> Query {
    Query { name, text, batch: Some(batch), tables, has_final: true, compared: &[] }
}

/// All queries.
pub const QUERIES: &[Query] = &[
    windowed("wc", WC, BID, WC_BATCH),
    same("q0", file!("q0"), BID),
    same("q1", file!("q1"), BID),
    same("q2", file!("q2"), BID),
    same("q3", file!("q3"), PERSON_AUCTION),
    same("q4", file!("q4"), AUCTION_BID),
    windowed("q5", file!("q5"), BID, Q5_BATCH),
    windowed("q7", file!("q7"), BID, Q7_BATCH),
    windowed("q8", file!("q8"), PERSON_AUCTION, Q8_BATCH),
    Query { compared: &["id", "price", "bid_date_time"], ..same("q9", file!("q9"), AUCTION_BID) },
    windowed("q11", file!("q11"), BID, Q11_BATCH),
    windowed("q12", file!("q12"), BID, Q12_BATCH),
    same("q14", file!("q14"), BID),
    same("q15", file!("q15"), BID),
    same("q16", file!("q16"), BID),
    same("q17", file!("q17"), BID),
    Query { compared: &["auction", "bidder", "dateTime"], ..same("q18", file!("q18"), BID) },
    Query { compared: &["auction", "price", "rank_number"], ..same("q19", file!("q19"), BID) },
    same("q20", file!("q20"), AUCTION_BID),
    same("q21", file!("q21"), BID),
    same("q22", file!("q22"), BID),
];

const WC: &str = "\
SELECT window_start, auction, count(*) AS n
FROM TUMBLE(bid, date_time, INTERVAL '10 seconds')
GROUP BY window_start, auction";

const WC_BATCH: &str = "\
SELECT CAST(\"dateTime\" AS BIGINT) / 10000 * 10000 AS window_start, auction, count(*) AS n
FROM bid
GROUP BY 1, 2";

/// Counted for every two seconds first, then spread on the five windows in which these lie.
const Q5_BATCH: &str = "\
WITH pane AS (
  SELECT CAST(\"dateTime\" AS BIGINT) / 2000 AS s, auction, count(*) AS n FROM bid GROUP BY 1, 2
), counted AS (
  SELECT (s - k) * 2000 AS starttime, auction, sum(n) AS num
  FROM pane CROSS JOIN (VALUES (0), (1), (2), (3), (4)) AS p(k)
  GROUP BY 1, 2
)
SELECT auction, num, starttime, starttime + 10000 AS endtime
FROM (SELECT *, max(num) OVER (PARTITION BY starttime) AS maxn FROM counted) AS x
WHERE num = maxn";

const Q7_BATCH: &str = "\
WITH highest AS (
  SELECT max(price) AS maxprice, CAST(\"dateTime\" AS BIGINT) / 10000 * 10000 + 10000 AS end_ms
  FROM bid
  GROUP BY 2
)
SELECT b.auction, b.price, b.bidder, b.\"dateTime\", b.extra
FROM bid AS b
JOIN highest AS h ON b.price = h.maxprice
WHERE CAST(b.\"dateTime\" AS BIGINT) BETWEEN h.end_ms - 10000 AND h.end_ms";

const Q8_BATCH: &str = "\
SELECT p.id, p.name, p.starttime
FROM (
  SELECT id, name, CAST(\"dateTime\" AS BIGINT) / 10000 * 10000 AS starttime FROM person GROUP BY 1, 2, 3
) AS p
JOIN (
  SELECT seller, CAST(\"dateTime\" AS BIGINT) / 10000 * 10000 AS starttime FROM auction GROUP BY 1, 2
) AS a
ON p.id = a.seller AND p.starttime = a.starttime";

/// A session begins with a bid that comes more than ten seconds after the one before.
const Q11_BATCH: &str = "\
WITH bids AS (
  SELECT bidder, CAST(\"dateTime\" AS BIGINT) AS ms FROM bid
), begun AS (
  SELECT bidder, ms, CASE WHEN ms - lag(ms) OVER (PARTITION BY bidder ORDER BY ms) <= 10000 THEN 0 ELSE 1 END AS begins
  FROM bids
), numbered AS (
  SELECT bidder, ms, sum(begins) OVER (PARTITION BY bidder ORDER BY ms ROWS UNBOUNDED PRECEDING) AS session
  FROM begun
)
SELECT bidder, count(*) AS bid_count, min(ms) AS starttime, max(ms) + 10000 AS endtime
FROM numbered
GROUP BY bidder, session";

const Q12_BATCH: &str = "\
SELECT bidder, count(*) AS bid_count, start_ms AS starttime, start_ms + 10000 AS endtime
FROM (SELECT bidder, CAST(\"dateTime\" AS BIGINT) / 10000 * 10000 AS start_ms FROM bid) AS b
GROUP BY bidder, start_ms";

/// A column of the events.
#[derive(Debug, Clone, Copy)]
enum Type {
    BigInt,
    Text,
    Time,
}

/// A stream of events.
#[derive(Debug)]
pub struct Table {
    /// What it is called.
    pub name: &'static str,
    columns: &'static [(&'static str, Type)],
}

/// The streams.
pub const TABLES: &[Table] = {
    use Type::{BigInt, Text, Time};
    &[
        Table {
            name: "person",
            columns: &[
                ("id", BigInt),
                ("name", Text),
                ("emailAddress", Text),
                ("creditCard", Text),
                ("city", Text),
                ("state", Text),
                ("dateTime", Time),
                ("extra", Text),
            ],
        },
        Table {
            name: "auction",
            columns: &[
                ("id", BigInt),
                ("itemName", Text),
                ("description", Text),
                ("initialBid", BigInt),
                ("reserve", BigInt),
                ("dateTime", Time),
                ("expires", Time),
                ("seller", BigInt),
                ("category", BigInt),
                ("extra", Text),
            ],
        },
        Table {
            name: "bid",
            columns: &[
                ("auction", BigInt),
                ("bidder", BigInt),
                ("price", BigInt),
                ("channel", Text),
                ("url", Text),
                ("dateTime", Time),
                ("extra", Text),
            ],
        },
    ]
};

impl Table {
    /// The columns, for the batch engine.
    pub fn schema(&self) -> Schema {
        let field = |(name, kind): &(&str, Type)| {
            let data_type = match kind {
                Type::BigInt => DataType::Int64,
                Type::Text => DataType::Utf8,
                Type::Time => DataType::Timestamp(TimeUnit::Millisecond, None),
            };
            Field::new(*name, data_type, true)
        };
        Schema::new(self.columns.iter().map(field).collect::<Vec<_>>())
    }

    /// The stream as a topic.
    pub fn as_topic(&self) -> String {
        self.definition(&format!("partitions = {}", super::events::PARTS))
    }

    /// The stream over the JSON files of a folder.
    pub fn as_files(&self, folder: &str) -> String {
        self.definition(&format!(
            "connector = 'file', path = '{}/*.json', format = 'json'",
            folder.replace('\'', "''")
        ))
    }

    fn definition(&self, options: &str) -> String {
        let mut text = format!("CREATE STREAM {} (", self.name);
        for (name, kind) in self.columns {
            let kind = match kind {
                Type::BigInt => "BIGINT",
                Type::Text => "TEXT",
                Type::Time => "TIMESTAMP(3)",
            };
            // Writing to a String cannot fail.
            let _ = write!(text, "\"{name}\" {kind}, ");
        }
        text.push_str("WATERMARK FOR \"dateTime\" AS \"dateTime\" - INTERVAL '4 seconds') WITH (");
        text + options + ");\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_statement_counts_and_columns_are_named_as_in_the_files() {
        let text = query("q20").unwrap().ours();
        assert!(text.starts_with("SELECT b.auction, b.bidder"), "{text}");
        assert!(text.ends_with("WHERE a.category = 10"), "{text}");
        // Whole words only: an alias that ends in the same letters stays.
        assert!(text.contains("b.\"dateTime\" AS bid_date_time, b.extra"), "{text}");
        assert!(text.contains("a.\"itemName\", a.description, a.\"initialBid\""), "{text}");
        assert_eq!(renamed("date_time,'é' date_time2"), "\"dateTime\",'é' date_time2");
    }

    #[test]
    fn every_query_names_the_streams_that_it_reads() {
        for query in QUERIES {
            let text = format!("{}\n", query.ours());
            assert!(text.starts_with("SELECT") && !text.contains("EMIT") && !text.contains("--"), "{text}");
            for table in TABLES.iter().map(|t| t.name) {
                let reads = ["FROM ", "JOIN ", ", ", "TUMBLE(", "HOP(", "TABLE "].iter().any(|before| {
                    [" ", "\n", ","].iter().any(|behind| text.contains(&format!("{before}{table}{behind}")))
                });
                // "auction" is a column as well.
                if table != "auction" || !reads {
                    assert_eq!(reads, query.tables.contains(&table), "{} {table}", query.name);
                }
            }
        }
    }

    #[test]
    fn streams_are_defined_with_the_columns_of_the_files() {
        let bid = TABLES.iter().find(|t| t.name == "bid").unwrap();
        assert_eq!(
            bid.as_files("/a'b/bid"),
            "CREATE STREAM bid (\"auction\" BIGINT, \"bidder\" BIGINT, \"price\" BIGINT, \"channel\" TEXT, \"url\" TEXT, \
             \"dateTime\" TIMESTAMP(3), \"extra\" TEXT, WATERMARK FOR \"dateTime\" AS \"dateTime\" - INTERVAL '4 seconds') \
             WITH (connector = 'file', path = '/a''b/bid/*.json', format = 'json');\n"
        );
        assert_eq!(bid.schema().fields().len(), 7);
    }
}
