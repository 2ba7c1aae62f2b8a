//! The standard columns, each made for many events at once.

use super::model::{Model, NANOS, Table};
use super::random::{Draw, Lane};
use super::text::{Channel, Texts, city, email, filler_length, name, state, word_length};
use arrow::array::{
    ArrayRef, Int64Array, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use std::sync::Arc;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Id,
    Name,
    EmailAddress,
    CreditCard,
    City,
    State,
    ItemName,
    Description,
    InitialBid,
    Reserve,
    Expires,
    Seller,
    Category,
    Auction,
    Bidder,
    Price,
    Channel,
    Url,
    DateTime,
    Extra,
}

/// The columns of a table with their names, in order.
pub(super) fn columns(table: Table) -> &'static [(&'static str, Column)] {
    match table {
        Table::Person => &[
            ("id", Column::Id),
            ("name", Column::Name),
            ("email_address", Column::EmailAddress),
            ("credit_card", Column::CreditCard),
            ("city", Column::City),
            ("state", Column::State),
            ("date_time", Column::DateTime),
            ("extra", Column::Extra),
        ],
        Table::Auction => &[
            ("id", Column::Id),
            ("item_name", Column::ItemName),
            ("description", Column::Description),
            ("initial_bid", Column::InitialBid),
            ("reserve", Column::Reserve),
            ("date_time", Column::DateTime),
            ("expires", Column::Expires),
            ("seller", Column::Seller),
            ("category", Column::Category),
            ("extra", Column::Extra),
        ],
        Table::Bid => &[
            ("auction", Column::Auction),
            ("bidder", Column::Bidder),
            ("price", Column::Price),
            ("channel", Column::Channel),
            ("url", Column::Url),
            ("date_time", Column::DateTime),
            ("extra", Column::Extra),
        ],
    }
}

impl Column {
    /// Its type unless another precision is declared.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Column::DateTime | Column::Expires => DataType::Timestamp(TimeUnit::Millisecond, None),
            Column::Id
            | Column::InitialBid
            | Column::Reserve
            | Column::Seller
            | Column::Category
            | Column::Auction
            | Column::Bidder
            | Column::Price => DataType::Int64,
            _ => DataType::Utf8,
        }
    }

    /// Whether it can be had in a type: its own, or for times a finer one.
    pub(super) fn fits(self, data_type: &DataType) -> bool {
        let finer =
            matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, None));
        *data_type == self.data_type() || finer && matches!(self, Column::DateTime | Column::Expires)
    }
}

/// Makes a table's columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Maker {
    pub(super) model: Model,
    pub(super) table: Table,
}

/// Categories are numbered from here on.
const FIRST_CATEGORY: i64 = 10;
const CATEGORIES: u64 = 5;
/// One more than the longest word, as Nexmark counts them.
const ITEM_NAME: u64 = 20;
const DESCRIPTION: u64 = 100;
/// A number's share of the size of a row in bytes.
const NUMBER: u64 = 8;

impl Maker {
    /// `column` for these events, which are all this table's.
    pub(super) fn make(
        &self,
        column: Column,
        data_type: &DataType,
        events: &[u64],
    ) -> Result<ArrayRef, ArrowError> {
        let model = &self.model;
        let numbers = |of: &dyn Fn(u64) -> i64| -> ArrayRef {
            Arc::new(events.iter().map(|e| of(*e)).collect::<Int64Array>())
        };
        let price = |lane| {
            let draws = model.draws(lane);
            move |event| draws.of(event).price()
        };
        Ok(match column {
            Column::Id if self.table == Table::Person => numbers(&Model::person_id),
            Column::Id => numbers(&Model::auction_id),
            Column::Seller => numbers(&model.sellers()),
            Column::Bidder => numbers(&model.bidders()),
            Column::Auction => numbers(&model.auctions()),
            Column::Price => numbers(&price(Lane::Price)),
            Column::InitialBid => numbers(&price(Lane::InitialBid)),
            Column::Reserve => {
                let (initial, more) = (price(Lane::InitialBid), price(Lane::Reserve));
                numbers(&|event| initial(event) + more(event))
            }
            Column::Category => {
                let draws = model.draws(Lane::Category);
                numbers(&|event| FIRST_CATEGORY + draws.of(event).below(CATEGORIES) as i64)
            }
            Column::DateTime => times(data_type, events, model.times()),
            Column::Expires => times(data_type, events, model.ends()),
            _ => self.texts(column, events)?,
        })
    }

    fn texts(&self, column: Column, events: &[u64]) -> Result<ArrayRef, ArrowError> {
        let draws = |lane: Lane| {
            let draws = self.model.draws(lane);
            move |event: u64| draws.of(event)
        };
        let channel = draws(Lane::Channel);
        let urls = self.model.draws(Lane::Url);
        let texts = match column {
            Column::Name => rows(events, 16, draws(Lane::Name), |to, draw| {
                let (first, last) = name(draw);
                [first, " ", last].into_iter().for_each(|piece| to.push(piece));
            }),
            Column::EmailAddress => rows(events, 16, draws(Lane::Email), |to, mut draw| {
                let (account, host) = email(&mut draw);
                to.push_word(account, b'_', &mut draw);
                to.push("@");
                to.push_word(host, b'_', &mut draw);
                to.push(".com");
            }),
            Column::CreditCard => rows(events, 20, draws(Lane::Card), |to, mut draw| {
                for i in 0..4 {
                    to.push(if i > 0 { " " } else { "" });
                    to.push_number(draw.below(10_000), 4);
                }
            }),
            Column::City => rows(events, 16, draws(Lane::City), |to, draw| to.push(city(draw))),
            Column::State => rows(events, 2, draws(Lane::State), |to, draw| to.push(state(draw))),
            Column::ItemName => rows(events, 16, draws(Lane::ItemName), |to, draw| word(to, draw, ITEM_NAME)),
            Column::Description => {
                rows(events, 64, draws(Lane::Description), |to, draw| word(to, draw, DESCRIPTION))
            }
            Column::Channel => rows(events, 16, channel, |to, draw| Channel::draw(draw).push_name(to)),
            Column::Url => rows(events, 80, channel, |to, draw| Channel::draw(draw).push_url(urls, to)),
            _ => self.filler(events),
        };
        Ok(Arc::new(texts.finish()?))
    }

    /// The text that makes rows as long as those of their kind are on average.
    fn filler(&self, events: &[u64]) -> Texts {
        let draws = self.model.draws(Lane::Extra);
        let size = self.size();
        let average = match self.table {
            Table::Person => 200,
            Table::Auction => 500,
            Table::Bid => 100,
        };
        let mut texts = Texts::with_capacity(events.len(), average as usize);
        for event in events {
            let mut draw = draws.of(*event);
            let length = filler_length(&mut draw, size(*event), average);
            texts.push_letters(length, &mut draw);
            texts.end_row();
        }
        texts
    }

    /// How long a row is without its filler: its numbers and texts.
    fn size(&self) -> impl Fn(u64) -> u64 + use<> {
        let (table, model) = (self.table, self.model);
        let draws = move |lane: Lane, event: u64| model.draws(lane).of(event);
        move |event| match table {
            Table::Person => {
                let (first, last) = name(draws(Lane::Name, event));
                let (account, host) = email(&mut draws(Lane::Email, event));
                let (city, state) = (city(draws(Lane::City, event)), state(draws(Lane::State, event)));
                let names = (first.len() + 1 + last.len() + city.len() + state.len()) as u64;
                // The address has "@" and ".com", the card four times four digits and the spaces between.
                NUMBER + names + account + host + 5 + 19
            }
            Table::Auction => {
                let name = word_length(&mut draws(Lane::ItemName, event), ITEM_NAME);
                let description = word_length(&mut draws(Lane::Description, event), DESCRIPTION);
                6 * NUMBER + name + description
            }
            Table::Bid => 4 * NUMBER,
        }
    }
}

fn word(to: &mut Texts, mut draw: Draw, most: u64) {
    let length = word_length(&mut draw, most);
    to.push_word(length, b' ', &mut draw);
}

fn rows(
    events: &[u64],
    bytes: usize,
    draws: impl Fn(u64) -> Draw,
    mut row: impl FnMut(&mut Texts, Draw),
) -> Texts {
    let mut texts = Texts::with_capacity(events.len(), bytes);
    for event in events {
        row(&mut texts, draws(*event));
        texts.end_row();
    }
    texts
}

fn times(data_type: &DataType, events: &[u64], of: impl Fn(u64) -> i64) -> ArrayRef {
    let millis = events.iter().map(|event| of(*event));
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Arc::new(TimestampNanosecondArray::from_iter_values(millis.map(|t| t.saturating_mul(NANOS))))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Arc::new(TimestampMicrosecondArray::from_iter_values(millis.map(|t| t.saturating_mul(1000))))
        }
        _ => Arc::new(TimestampMillisecondArray::from_iter_values(millis)),
    }
}
