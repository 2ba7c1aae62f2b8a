//! The rows that the jobs read: orders, of which few are late and those for certain, payments of some of them, customers that
//! move.

use crate::cli::Place;
use crate::oracle::draw::Draw;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use millstream::clock::Clock;
use millstream::disk::Disk;
use millstream::log::{Append, Log, Topic};
use std::sync::Arc;

/// The sources' topics, written by this process.
pub(super) struct Sources {
    log: Log,
    orders: i64,
    paid: i64,
    /// The greatest time of an order in each partition, in seconds.
    reached: [i64; 3],
    /// The orders that are late for their minute.
    late: Vec<i64>,
}

const CUSTOMERS: usize = 40;
const CITIES: [&str; 5] = ["Oslo", "Graz", "Lyon", "Cork", "Bari"];

impl Sources {
    /// Of jobs that have run once.
    pub(super) fn open(place: &Place) -> Self {
        let log = Log::open(place.path(".millstream"), Disk::real(), Clock::system()).unwrap();
        Sources { log, orders: 0, paid: 0, reached: [0; 3], late: Vec::new() }
    }

    /// How many orders there are.
    pub(super) fn orders(&self) -> i64 {
        self.orders
    }

    /// Those that are late, by id.
    pub(super) fn late(&self) -> &[i64] {
        &self.late
    }

    /// Appends some rows to each.
    pub(super) fn append(&mut self, draw: &mut Draw) {
        let rows = 1 + draw.below(60) as i64;
        let ids: Vec<i64> = (self.orders..self.orders + rows).collect();
        self.orders += rows;
        // Two seconds between them, give or take four: none is late by more than the delay of its partition.
        let partition = draw.below(3);
        let mut times = Vec::with_capacity(ids.len());
        for id in &ids {
            let reached = self.reached[partition];
            // Ten minutes behind is late by far.
            let late = reached > 0 && draw.chance(3);
            let time = if late { reached - 600 } else { 1_700_000_000 + id * 2 + draw.below(3) as i64 };
            self.late.extend(late.then_some(*id));
            self.reached[partition] = reached.max(time);
            times.push(time * 1_000_000);
        }
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times));
        let customers: Int64Array = ids.iter().map(|_| draw.below(CUSTOMERS) as i64).collect();
        let amounts: Int64Array = ids.iter().map(|_| draw.below(1000) as i64).collect();
        let orders = vec![times, numbers(&ids), Arc::new(customers), Arc::new(amounts)];
        self.put_at("orders", orders, partition as u32);
        if self.paid < self.orders {
            let ids: Vec<i64> = (self.paid..self.orders).step_by(1 + draw.below(3)).collect();
            self.paid = self.orders;
            let ok: BooleanArray = ids.iter().map(|_| Some(draw.chance(80))).collect();
            self.put("payments", vec![numbers(&ids), Arc::new(ok)], draw);
        }
        let moving: Vec<i64> = (0..draw.below(6)).map(|_| draw.below(CUSTOMERS) as i64).collect();
        let cities: StringArray = moving.iter().map(|_| Some(CITIES[draw.below(CITIES.len())])).collect();
        let gone: BooleanArray = moving.iter().map(|_| Some(draw.chance(10))).collect();
        // A key's rows lie in one partition; one batch of one key keeps that true without knowing how keys are spread.
        for i in 0..moving.len() {
            let columns: Vec<ArrayRef> =
                vec![numbers(&moving), Arc::new(cities.clone()), Arc::new(gone.clone())];
            let columns = columns.iter().map(|c| c.slice(i, 1)).collect();
            self.put_at("customers", columns, (moving[i] % 2) as u32);
        }
    }

    /// Appends an order to each partition that closes all windows before it.
    pub(super) fn close(&mut self) {
        for partition in 0..3 {
            let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![4_200_000_000_000_000]));
            let id = numbers(&[self.orders]);
            self.put_at("orders", vec![time, id, numbers(&[1]), numbers(&[0])], partition);
            self.orders += 1;
        }
    }

    fn put(&self, topic: &str, columns: Vec<ArrayRef>, draw: &mut Draw) {
        let partition = draw.below(self.log.topic(topic).unwrap().partitions() as usize) as u32;
        self.put_at(topic, columns, partition);
    }

    fn put_at(&self, topic: &str, columns: Vec<ArrayRef>, partition: u32) {
        let topic: Arc<Topic> = self.log.topic(topic).unwrap();
        let schema = topic.schema();
        let columns = columns.iter().zip(schema.fields()).map(|(c, f)| cast(c, f.data_type()).unwrap());
        let batch = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
        topic.writer(partition).unwrap().append(Append::rows(&batch)).unwrap();
    }
}

fn numbers(numbers: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(numbers.to_vec()))
}
