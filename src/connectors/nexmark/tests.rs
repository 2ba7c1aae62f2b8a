//! Generated streams as their readers give them.

use super::*;
use crate::connectors::Read;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

fn parsed(options: &[(&str, &str)]) -> Result<NexmarkConfig, OptionError> {
    let options: Vec<_> = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    NexmarkConfig::parse(&options, &[])
}

fn config(table: &str, options: &[(&str, &str)]) -> NexmarkConfig {
    parsed(&[&[("table", table)], options].concat()).unwrap()
}

/// The rows from `start` on in slices of at most `max_rows`, and where each slice ended.
fn rows(
    config: &NexmarkConfig,
    partition: usize,
    start: Position,
    max_rows: usize,
) -> (RecordBatch, Vec<(Position, RecordBatch)>) {
    let schema = config.columns();
    let mut reader = config.reader(schema.clone(), partition, start, None).unwrap();
    let mut slices = Vec::new();
    loop {
        match reader.read(max_rows).unwrap() {
            Read::Rows(slice) => {
                assert!((1..=max_rows).contains(&slice.batch.num_rows()));
                assert_eq!(slice.end, reader.position());
                slices.push((slice.end, slice.batch));
            }
            Read::Pending => panic!("nothing to wait for"),
            Read::End => break,
        }
    }
    let batches: Vec<&RecordBatch> = slices.iter().map(|(_, batch)| batch).collect();
    (concat_batches(&schema, batches).unwrap(), slices)
}

fn all(config: &NexmarkConfig) -> RecordBatch {
    rows(config, 0, Position::default(), 60_000).0
}

fn numbers(batch: &RecordBatch, column: &str) -> Vec<i64> {
    batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

fn texts<'a>(batch: &'a RecordBatch, column: &str) -> Vec<&'a str> {
    batch.column_by_name(column).unwrap().as_string::<i32>().iter().flatten().collect()
}

const TABLES: [&str; 3] = ["person", "auction", "bid"];

#[test]
fn one_person_three_auctions_and_46_bids_in_50_events() {
    for (events, counts) in
        [("0", [0, 0, 0]), ("3", [1, 2, 0]), ("10000", [200, 600, 9200]), ("10030", [201, 603, 9226])]
    {
        let counted = TABLES.map(|table| all(&config(table, &[("events", events)])).num_rows());
        assert_eq!(counted, counts, "{events} events");
    }
}

#[test]
fn any_cut_and_any_resumption_gives_the_same_rows() {
    for table in TABLES {
        for partitions in ["1", "3"] {
            let config =
                config(table, &[("events", "700"), ("partitions", partitions), ("out_of_order", "1 second")]);
            for partition in 0..config.partitions() {
                let whole = rows(&config, partition, Position::default(), 100_000).0;
                for max_rows in [1, 7, 64] {
                    let (again, slices) = rows(&config, partition, Position::default(), max_rows);
                    assert_eq!(again, whole);
                    let mut start = Position::default();
                    for (i, (end, slice)) in slices.iter().enumerate() {
                        let mut reader = config.reader(config.columns(), partition, start, None).unwrap();
                        let Read::Rows(same) = reader.read_until(*end, 100_000).unwrap() else {
                            panic!("no rows")
                        };
                        assert_eq!((same.batch, same.end), (slice.clone(), *end));
                        if i % 5 == 0 {
                            let rest: Vec<_> = rows(&config, partition, *end, max_rows).1;
                            assert_eq!(rest, slices[i + 1..]);
                        }
                        start = *end;
                    }
                }
            }
        }
    }
}

#[test]
fn partitions_are_dealt_the_rows_in_turn() {
    for table in TABLES {
        let whole = all(&config(table, &[("events", "1234")]));
        let dealt = config(table, &[("events", "1234"), ("partitions", "4")]);
        let parts: Vec<RecordBatch> = (0..4).map(|p| rows(&dealt, p, Position::default(), 1000).0).collect();
        assert_eq!(parts.iter().map(RecordBatch::num_rows).sum::<usize>(), whole.num_rows());
        for row in 0..whole.num_rows() {
            assert_eq!(whole.slice(row, 1), parts[row % 4].slice(row / 4, 1), "{table} {row}");
        }
    }
}

#[test]
fn a_column_is_the_same_alone_and_among_others() {
    for table in TABLES {
        let config = config(table, &[("events", "500")]);
        let whole = all(&config);
        for (i, field) in config.columns().fields().iter().enumerate() {
            let alone = Arc::new(Schema::new(vec![field.clone()]));
            let mut reader = config.reader(alone, 0, Position::default(), None).unwrap();
            let Read::Rows(slice) = reader.read(1000).unwrap() else { panic!("no rows") };
            assert_eq!(slice.batch.column(0), whole.column(i));
        }
        let none = Arc::new(Schema::empty());
        let mut reader = config.reader(none, 0, Position::default(), None).unwrap();
        let Read::Rows(slice) = reader.read(1000).unwrap() else { panic!("no rows") };
        assert_eq!(slice.batch.num_rows(), whole.num_rows());
    }
}

#[test]
fn the_seed_decides_on_the_values_and_the_number_on_the_ids() {
    let one = all(&config("bid", &[("events", "500")]));
    let same = all(&config("bid", &[("events", "500"), ("seed", "42")]));
    let other = all(&config("bid", &[("events", "500"), ("seed", "43")]));
    assert_eq!(one, same);
    for column in ["auction", "price", "url", "extra"] {
        assert_ne!(one.column_by_name(column), other.column_by_name(column), "{column}");
    }
    assert_eq!(one.column_by_name("date_time"), other.column_by_name("date_time"));
    // More events are the same ones and more.
    let more = all(&config("bid", &[("events", "1000")]));
    assert_eq!(more.slice(0, one.num_rows()), one);
}

#[test]
fn rows_refer_to_what_came_before_them() {
    let [person, auction, bid] = TABLES.map(|table| all(&config(table, &[("events", "20000")])));
    let time = |batch: &RecordBatch, column: &str| -> Vec<i64> {
        batch.column_by_name(column).unwrap().as_primitive::<TimestampMillisecondType>().values().to_vec()
    };
    let born = |batch: &RecordBatch| -> HashMap<i64, i64> {
        numbers(batch, "id").into_iter().zip(time(batch, "date_time")).collect()
    };
    let (persons, auctions) = (born(&person), born(&auction));
    assert_eq!(persons.len(), person.num_rows());
    assert_eq!(auctions.len(), auction.num_rows());
    let check = |batch: &RecordBatch, column: &str, of: &HashMap<i64, i64>| {
        for (id, at) in numbers(batch, column).into_iter().zip(time(batch, "date_time")) {
            assert!(of[&id] <= at, "{column} {id}");
        }
    };
    check(&auction, "seller", &persons);
    check(&bid, "bidder", &persons);
    check(&bid, "auction", &auctions);
    for (begin, end) in time(&auction, "date_time").into_iter().zip(time(&auction, "expires")) {
        assert!(begin < end);
    }
    for (initial, reserve) in numbers(&auction, "initial_bid").into_iter().zip(numbers(&auction, "reserve")) {
        assert!(initial < reserve);
    }
}

#[test]
fn some_auctions_bidders_and_sellers_are_hot() {
    let [auction, bid] = ["auction", "bid"].map(|table| all(&config(table, &[("events", "50000")])));
    let share = |values: Vec<i64>, hot: i64| {
        values.iter().filter(|id| *id % 100 == hot).count() as f64 / values.len() as f64
    };
    // Some that are not drawn as hot have such an id as well.
    let auctions = share(numbers(&bid, "auction"), 0);
    let bidders = share(numbers(&bid, "bidder"), 1);
    let sellers = share(numbers(&auction, "seller"), 0);
    assert!((0.49..0.53).contains(&auctions), "{auctions}");
    assert!((0.74..0.78).contains(&bidders), "{bidders}");
    assert!((0.74..0.79).contains(&sellers), "{sellers}");
}

#[test]
fn rows_have_the_sizes_and_values_of_nexmark() {
    let sizes = TABLES.map(|table| {
        let batch = all(&config(table, &[("events", "50000")]));
        let text: usize = batch
            .columns()
            .iter()
            .filter_map(|c| c.as_string_opt::<i32>())
            .map(|c| c.value_data().len())
            .sum();
        text / batch.num_rows()
    });
    // Without the numbers: 8 of the 200 bytes of a person, 48 of the 500 of an auction. The 100 of a bid do not count its
    // channel and url.
    assert!((185..200).contains(&sizes[0]) && (440..460).contains(&sizes[1]), "{sizes:?}");
    assert!((130..150).contains(&sizes[2]), "{sizes:?}");
    let auction = all(&config("auction", &[("events", "50000")]));
    assert_eq!(numbers(&auction, "category").into_iter().collect::<HashSet<_>>(), (10..15).collect());
    let person = all(&config("person", &[("events", "50000")]));
    assert_eq!(texts(&person, "state").into_iter().collect::<HashSet<_>>().len(), 6);
    assert!(texts(&person, "credit_card").iter().all(|card| card.len() == 19));
    assert!(texts(&person, "email_address").iter().all(|mail| mail.contains('@') && mail.ends_with(".com")));
    assert!(
        texts(&auction, "item_name").iter().all(|name| name.trim().len() == name.len() && !name.is_empty())
    );
}

#[test]
fn a_rate_lets_events_come_as_time_passes() {
    let config = config("bid", &[("events", "100"), ("rate", "10")]);
    let clock = Clock::manual(0);
    let mut reader = config.reader(config.columns(), 0, Position::default(), Some(clock.clone())).unwrap();
    let mut read = || match reader.read(1000).unwrap() {
        Read::Rows(slice) => Some(slice.batch.num_rows()),
        Read::Pending => Some(0),
        Read::End => None,
    };
    // The first bid is event 4, which is there after 0.4 s.
    assert_eq!(read(), Some(0));
    clock.advance(Duration::from_millis(399));
    assert_eq!(read(), Some(0));
    clock.advance(Duration::from_millis(1));
    assert_eq!((read(), read()), (Some(1), Some(0)));
    clock.advance(Duration::from_secs(1));
    assert_eq!((read(), read()), (Some(10), Some(0)));
    clock.advance(Duration::from_secs(60));
    assert_eq!((read(), read()), (Some(81), None));
    // What was read before comes at once, whatever the time.
    let mut again = config.reader(config.columns(), 0, Position::default(), Some(Clock::manual(0))).unwrap();
    let Read::Rows(slice) = again.read_until(Position { offset: 15, line: 0 }, 1000).unwrap() else {
        panic!("no rows")
    };
    assert_eq!(slice.batch.num_rows(), 11);
}

#[test]
fn wrong_options_are_told() {
    let told = |options: &[(&str, &str)]| {
        let error = parsed(options).unwrap_err();
        (error.option.clone(), format!("{}; {}", error.message, error.help.unwrap_or_default()))
    };
    let error = |option: &str, text: &str| (option.to_owned(), text.to_owned());
    assert_eq!(
        told(&[]),
        error("table", "connector 'nexmark' needs option 'table'; table = '…': person, auction or bid")
    );
    assert_eq!(
        told(&[("table", "bids")]),
        error("table", "'bids' is not a value of 'table'; expected 'person', 'auction' or 'bid'")
    );
    for (option, value, expected) in [
        ("events", "many", "a whole number from 0 to 1000000000000"),
        ("events", "-1", "a whole number from 0 to 1000000000000"),
        ("seed", "x", "a whole number from 0 on"),
        ("rate", "1.5", "a whole number from 0 on"),
        ("partitions", "0", "a whole number from 1 to 1024"),
        ("first_time", "yesterday", "a timestamp such as '2015-07-15 00:00:00'"),
        ("inter_event", "5", "an interval such as '100 microseconds' or '1 second'"),
        ("inter_event", "1 month", "an interval such as '100 microseconds' or '1 second'"),
        ("out_of_order", "-1 seconds", "an interval such as '100 microseconds' or '1 second'"),
    ] {
        let text = format!("'{value}' is not a value of '{option}'; expected {expected}");
        assert_eq!(told(&[("table", "bid"), (option, value)]), error(option, &text));
    }
    let beyond = told(&[("table", "bid"), ("events", "1000000"), ("inter_event", "1 day")]);
    assert!(beyond.1.starts_with("the events' times do not fit a timestamp"), "{beyond:?}");
    assert_eq!(
        told(&[("table", "bid"), ("event", "1")]).1,
        "connector 'nexmark' has no option 'event'; did you mean 'events'?"
    );
}

#[test]
fn columns_are_had_in_finer_times() {
    let config = config("bid", &[("events", "50")]);
    let nanos = DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, None);
    assert_eq!(config.fits("date_time", &nanos), Some(true));
    assert_eq!(config.fits("price", &DataType::Int32), Some(false));
    assert_eq!(config.fits("name", &DataType::Utf8), None);
    let schema = Arc::new(Schema::new(vec![Field::new("date_time", nanos, true)]));
    let mut reader = config.reader(schema, 0, Position::default(), None).unwrap();
    let Read::Rows(slice) = reader.read(1).unwrap() else { panic!("no rows") };
    let time = slice.batch.column(0).as_primitive::<arrow::datatypes::TimestampNanosecondType>();
    assert_eq!(time.value(0), 1_436_918_400_000_000_000);
}
