//! Nexmark: the persons, auctions and bids of an online auction house, made up from a seed.
//!
//! ```sql
//! CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds')
//! WITH (connector = 'nexmark', table = 'bid', events = 100000)
//! ```
//!
//! Options: see [`NEXMARK`]. The columns need not be declared; those that are must have the standard names and
//! types, and may be fewer. Streams with the same options but for the `table` belong together: `events` counts the rows of
//! all three. Of every 50 events one makes a person, three an auction, and 46 are bids; half of the bids go to the hot
//! auction, three of four come from the hot bidder, and three of four auctions are the hot seller's. Unlike
//! the reference generator, whose ids run up to ten ahead, an event only refers to what exists already.
//!
//! Delivery: every row follows from the seed and the number of its event alone, so it can be made again from any position,
//! and what is read counts exactly once. An offset is the number of the next event. The partitions are dealt
//! the table's rows in turn. The stream ends after `events`. With a `rate`, a continuous query gets the events as time
//! passes; a query without EMIT gets them at once.

mod columns;
mod model;
mod random;
mod reader;
mod text;
pub mod words;

use self::columns::{Column, Maker, columns};
use self::model::{Model, NANOS, Table};
use self::reader::{NexmarkReader, Pace};
use super::options::{ConnectorInfo, OptionError, OptionInfo, check_options};
use super::{ConnectorError, PartitionReader, Position};
use crate::clock::Clock;
use arrow::compute::kernels::cast_utils::{parse_interval_month_day_nano, string_to_timestamp_nanos};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// What `WITH (connector = 'nexmark')` offers.
pub const NEXMARK: ConnectorInfo = ConnectorInfo {
    name: "nexmark",
    help: "makes up the persons, auctions and bids of the Nexmark benchmark",
    options: &[
        OptionInfo { name: "table", default: None, help: "person, auction or bid" },
        OptionInfo { name: "events", default: Some("100000"), help: "rows of all three tables together" },
        OptionInfo { name: "seed", default: Some("42"), help: "what all values follow from" },
        OptionInfo {
            name: "first_time",
            default: Some("2015-07-15 00:00:00"),
            help: "date_time of the first event, UTC",
        },
        OptionInfo {
            name: "inter_event",
            default: Some("100 microseconds"),
            help: "how much later each event is than the one before",
        },
        OptionInfo {
            name: "out_of_order",
            default: Some("0 seconds"),
            help: "one event in ten is up to this much earlier than its turn",
        },
        OptionInfo {
            name: "rate",
            default: Some("0"),
            help: "events a second as continuous queries get them; 0 = as fast as they can",
        },
        OptionInfo {
            name: "partitions",
            default: Some("1"),
            help: "how many the rows are dealt to, 1 to 1024",
        },
    ],
};

/// The most events: ids stay far from overflow, and so do times that are a microsecond apart.
const MOST_EVENTS: u64 = 1_000_000_000_000;
const MOST_PARTITIONS: u64 = 1024;

/// The options of a Nexmark stream, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NexmarkConfig {
    table: Table,
    model: Model,
    events: u64,
    rate: u64,
    partitions: u64,
}

impl NexmarkConfig {
    /// The configuration that `options` state. `extra` are options that are known but not ours. Fails for the first
    /// option that is unknown, missing, or has a value that it cannot have.
    pub fn parse(options: &[(String, String)], extra: &[OptionInfo]) -> Result<NexmarkConfig, OptionError> {
        check_options(&NEXMARK, options, extra)?;
        let given = |name: &str| -> &str {
            let standard = NEXMARK.options.iter().find(|o| o.name == name).and_then(|o| o.default);
            let written = options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            written.or(standard).unwrap_or_default()
        };
        let number = |name: &str, least: u64, most: u64| -> Result<u64, OptionError> {
            let value = given(name).parse().ok().filter(|n| (least..=most).contains(n));
            let expected = match most {
                u64::MAX => "a whole number from 0 on".to_owned(),
                _ => format!("a whole number from {least} to {most}"),
            };
            value.ok_or_else(|| OptionError::value(name, given(name), &expected))
        };
        let table = given("table");
        let Some(table) = Table::named(table) else {
            return Err(OptionError::value("table", table, "'person', 'auction' or 'bid'"));
        };
        let events = number("events", 0, MOST_EVENTS)?;
        let model = Model {
            seed: number("seed", 0, u64::MAX)?,
            first_time: time("first_time", given("first_time"))?,
            inter_event: interval("inter_event", given("inter_event"))?,
            out_of_order: interval("out_of_order", given("out_of_order"))?,
        };
        let config = NexmarkConfig {
            table,
            model,
            events,
            rate: number("rate", 0, u64::MAX)?,
            partitions: number("partitions", 1, MOST_PARTITIONS)?,
        };
        config.check_times()?;
        Ok(config)
    }

    /// Fails if the times of the events, or those when auctions end, leave what a timestamp holds.
    fn check_times(&self) -> Result<(), OptionError> {
        let Model { first_time, inter_event, out_of_order, .. } = self.model;
        // Auctions end within the time of a few thousand more events.
        let after = i128::from(inter_event) * i128::from(self.events + 10_000) + i128::from(NANOS);
        let last = i128::from(first_time) + after;
        let first = i128::from(first_time) - i128::from(out_of_order);
        if last > i128::from(i64::MAX) || first < i128::from(i64::MIN) {
            let message = "the events' times do not fit a timestamp, which ends in the year 2262";
            return Err(OptionError::new("inter_event", message, "make it shorter, or 'events' fewer"));
        }
        Ok(())
    }

    /// The table's standard columns. None of them is ever null.
    pub fn columns(&self) -> SchemaRef {
        let fields =
            columns(self.table).iter().map(|(name, column)| Field::new(*name, column.data_type(), false));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The table's name.
    pub fn table(&self) -> &'static str {
        self.table.name()
    }

    /// Whether the column of that name can be had in `data_type`; `None` = there is no such column.
    pub fn fits(&self, name: &str, data_type: &DataType) -> Option<bool> {
        self.column(name).map(|column| column.fits(data_type))
    }

    fn column(&self, name: &str) -> Option<Column> {
        columns(self.table).iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
    }

    /// How many partitions the rows are dealt to.
    pub fn partitions(&self) -> usize {
        self.partitions as usize
    }

    /// A reader of one partition from `start` on that delivers `schema`, some of the table's columns. With a `clock`,
    /// the events come at the declared rate, from now on; without, all are there.
    pub fn reader(
        &self,
        schema: SchemaRef,
        partition: usize,
        start: Position,
        clock: Option<Clock>,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let mut wanted = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let column = self.column(field.name()).filter(|column| column.fits(field.data_type()));
            wanted.push(column.ok_or_else(|| {
                let table = self.table.name();
                ConnectorError::Other(format!("{table} has no column {} of this type", field.name()))
            })?);
        }
        if partition >= self.partitions() {
            let count = self.partitions;
            return Err(ConnectorError::Other(format!(
                "there is no partition {partition}: there are {count}"
            )));
        }
        let pace = clock.filter(|_| self.rate > 0).map(|clock| Pace::new(clock, start.offset, self.rate));
        Ok(Box::new(NexmarkReader {
            maker: Maker { model: self.model, table: self.table },
            columns: wanted,
            schema,
            partition: (partition as u64, self.partitions),
            events: self.events,
            at: start.offset,
            pace,
        }))
    }
}

fn time(option: &str, text: &str) -> Result<i64, OptionError> {
    string_to_timestamp_nanos(text)
        .map_err(|_| OptionError::value(option, text, "a timestamp such as '2015-07-15 00:00:00'"))
}

/// A length of time in nanoseconds, in the notation of INTERVAL.
fn interval(option: &str, text: &str) -> Result<i64, OptionError> {
    const DAY: i64 = 86_400_000_000_000;
    let nanos = parse_interval_month_day_nano(text).ok().filter(|interval| interval.months == 0).and_then(
        |interval| {
            i64::from(interval.days)
                .checked_mul(DAY)?
                .checked_add(interval.nanoseconds)
                .filter(|nanos| *nanos >= 0)
        },
    );
    nanos.ok_or_else(|| {
        OptionError::value(option, text, "an interval such as '100 microseconds' or '1 second'")
    })
}

#[cfg(test)]
mod tests;
