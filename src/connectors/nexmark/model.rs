//! Which event is what: the order of persons, auctions and bids, their ids, whom they refer to, and when they are.
//!
//! Of every 50 events the first makes a person, the next three an auction each, the others are bids. Ids are counted up,
//! so that what existed at an event follows from its number.

use super::random::{Draws, Lane};

/// Ids of persons and auctions begin here.
const FIRST_ID: u64 = 1000;
/// One id in this many is hot, for as long as no later one is.
const HOT: u64 = 100;
/// How many auctions are open at a time.
const IN_FLIGHT: u64 = 100;
/// How many of the youngest persons sell and bid.
const ACTIVE: u64 = 1000;
/// Events until the pattern begins again.
const ROUND: u64 = 50;

/// One of the three kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Person,
    Auction,
    Bid,
}

impl Table {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "person" => Some(Table::Person),
            "auction" => Some(Table::Auction),
            "bid" => Some(Table::Bid),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Table::Person => "person",
            Table::Auction => "auction",
            Table::Bid => "bid",
        }
    }

    /// The places that its rows have in a round: the first, and how many.
    fn places(self) -> (u64, u64) {
        match self {
            Table::Person => (0, 1),
            Table::Auction => (1, 3),
            Table::Bid => (4, 46),
        }
    }

    /// How many of the events before `event` are this table's.
    pub(super) fn rows_before(self, event: u64) -> u64 {
        let (first, count) = self.places();
        event / ROUND * count + (event % ROUND).saturating_sub(first).min(count)
    }

    /// The event that makes a row (counted from 0).
    pub(super) fn event_of(self, row: u64) -> u64 {
        let (first, count) = self.places();
        row / count * ROUND + first + row % count
    }
}

/// What all events of a stream have in common. Times are in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) seed: u64,
    pub(super) first_time: i64,
    pub(super) inter_event: i64,
    pub(super) out_of_order: i64,
}

impl Model {
    pub(super) fn draws(&self, lane: Lane) -> Draws {
        Draws::new(self.seed, lane)
    }

    /// The youngest person at an event, counted from 0; the event may make it.
    fn last_person(event: u64) -> u64 {
        Table::Person.rows_before(event + 1) - 1
    }

    /// The youngest auction at an event that comes after a person.
    fn last_auction(event: u64) -> u64 {
        Table::Auction.rows_before(event + 1).saturating_sub(1)
    }

    /// The id of the person that an event makes.
    pub(super) fn person_id(event: u64) -> i64 {
        id(Self::last_person(event))
    }

    /// The id of the auction that an event makes.
    pub(super) fn auction_id(event: u64) -> i64 {
        id(Self::last_auction(event))
    }

    /// Who sells what an event offers: the hot seller in three of four cases, else an active person.
    pub(super) fn sellers(&self) -> impl Fn(u64) -> i64 + use<> {
        let draws = self.draws(Lane::Seller);
        move |event| {
            let mut draw = draws.of(event);
            let last = Self::last_person(event);
            id(if draw.below(4) > 0 {
                last / HOT * HOT
            } else {
                active(last, draw.below(active_count(last)))
            })
        }
    }

    /// Who bids: the hot bidder in three of four cases, else an active person. The hot bidder is not the hot
    /// seller, but for the very first person.
    pub(super) fn bidders(&self) -> impl Fn(u64) -> i64 + use<> {
        let draws = self.draws(Lane::Bidder);
        move |event| {
            let mut draw = draws.of(event);
            let last = Self::last_person(event);
            let hot = (last / HOT * HOT + 1).min(last);
            id(if draw.below(4) > 0 { hot } else { active(last, draw.below(active_count(last))) })
        }
    }

    /// What is bid on: the hot auction in one of two cases, else one of those in flight.
    pub(super) fn auctions(&self) -> impl Fn(u64) -> i64 + use<> {
        let draws = self.draws(Lane::Auction);
        move |event| {
            let mut draw = draws.of(event);
            let last = Self::last_auction(event);
            let first = last.saturating_sub(IN_FLIGHT);
            id(if draw.below(2) > 0 { last / HOT * HOT } else { first + draw.below(last - first + 1) })
        }
    }

    /// When events are, in milliseconds. With `out_of_order`, one event in ten is up to that much earlier than its turn.
    pub(super) fn times(&self) -> impl Fn(u64) -> i64 + use<> {
        let (draws, model) = (self.draws(Lane::Delay), *self);
        let most = (model.out_of_order / NANOS).unsigned_abs();
        move |event| {
            let turn = model.turn(event).div_euclid(NANOS);
            let mut draw = draws.of(event);
            if most > 0 && draw.below(10) == 0 { turn - draw.below(most + 1) as i64 } else { turn }
        }
    }

    /// When an event's turn is, in nanoseconds.
    fn turn(&self, event: u64) -> i64 {
        self.first_time
            .saturating_add(self.inter_event.saturating_mul(i64::try_from(event).unwrap_or(i64::MAX)))
    }

    /// When auctions end, in milliseconds: within twice the time in which as many others begin as are in flight.
    pub(super) fn ends(&self) -> impl Fn(u64) -> i64 + use<> {
        let (draws, times) = (self.draws(Lane::Expires), self.times());
        let events = (IN_FLIGHT * ROUND / 3) as i64;
        let horizon = (self.inter_event.saturating_mul(events) / NANOS).unsigned_abs();
        move |event| times(event) + 1 + draws.of(event).below((2 * horizon).max(1)) as i64
    }
}

/// Nanoseconds in a millisecond.
pub(super) const NANOS: i64 = 1_000_000;

fn id(number: u64) -> i64 {
    (FIRST_ID + number) as i64
}

fn active_count(last: u64) -> u64 {
    (last + 1).min(ACTIVE)
}

/// The `nth` of the active persons.
fn active(last: u64, nth: u64) -> u64 {
    last + 1 - active_count(last) + nth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_one_row_of_one_table() {
        for event in 0..1000 {
            let made: Vec<Table> = [Table::Person, Table::Auction, Table::Bid]
                .into_iter()
                .filter(|t| t.rows_before(event + 1) > t.rows_before(event))
                .collect();
            assert_eq!(made.len(), 1, "event {event}");
            assert_eq!(made[0].event_of(made[0].rows_before(event)), event);
        }
        let rows = |table: Table| table.rows_before(50_000);
        assert_eq!((rows(Table::Person), rows(Table::Auction), rows(Table::Bid)), (1000, 3000, 46_000));
    }

    #[test]
    fn ids_count_the_rows_of_a_table() {
        let ids = |table: Table, id: fn(u64) -> i64| -> Vec<i64> {
            (0..200).map(|row| id(table.event_of(row))).collect()
        };
        let counted: Vec<i64> = (1000..1200).collect();
        assert_eq!(ids(Table::Person, Model::person_id), counted);
        assert_eq!(ids(Table::Auction, Model::auction_id), counted);
    }

    #[test]
    fn an_event_refers_to_what_is_there_already() {
        let model = Model { seed: 7, first_time: 0, inter_event: 1, out_of_order: 0 };
        let (seller, bidder, auction) = (model.sellers(), model.bidders(), model.auctions());
        for event in 0..200_000 {
            let persons = 1000..1000 + Table::Person.rows_before(event) as i64;
            let auctions = 1000..1000 + Table::Auction.rows_before(event) as i64;
            match event % 50 {
                0 => {}
                1..=3 => assert!(persons.contains(&seller(event)), "seller of event {event}"),
                _ => {
                    assert!(persons.contains(&bidder(event)), "bidder of event {event}");
                    assert!(auctions.contains(&auction(event)), "auction of event {event}");
                }
            }
        }
    }

    #[test]
    fn times_go_forward_but_for_one_event_in_ten() {
        let model = Model { seed: 7, first_time: 5 * NANOS, inter_event: 100_000, out_of_order: 0 };
        let times = model.times();
        assert_eq!((times(0), times(9), times(10), times(10_000)), (5, 5, 6, 1005));
        let late = Model { out_of_order: 200 * NANOS, ..model }.times();
        let back: Vec<i64> = (0..10_000).map(|e| times(e) - late(e)).collect();
        assert!(back.iter().all(|b| (0..=200).contains(b)));
        assert!((900..1100).contains(&back.iter().filter(|b| **b > 0).count()));
        let ends = model.ends();
        assert!((0..10_000).all(|e| (1..=332).contains(&(ends(e) - times(e)))));
    }
}
