//! Rows in columns: they are what they were, however they came, are packed and go.

use super::*;
use arrow::array::{
    AsArray, BooleanArray, Int64Array, StringArray, TimestampMillisecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::take;
use arrow::datatypes::Int64Type;
use proptest::prelude::*;
use std::sync::Arc;

/// Rows of these numbers, in columns of each kind: a number, texts that are all different, texts that repeat, texts that
/// repeat for some time, numbers near each other with nulls, times, numbers far from each other, a truth value.
fn columns(numbers: &[i64]) -> Vec<ArrayRef> {
    let texts = numbers.iter().map(|n| (n % 3 != 0).then(|| format!("row {n}")));
    let repeated =
        numbers.iter().map(|n| (n % 5 != 0).then(|| format!("one of not so many texts: {}", n % 977)));
    let for_some_time =
        numbers.iter().map(|n| Some(format!("one of many texts, one after the other: {}", n / 50)));
    vec![
        Arc::new(Int64Array::from(numbers.to_vec())),
        Arc::new(texts.collect::<StringArray>()),
        Arc::new(repeated.collect::<StringArray>()),
        Arc::new(for_some_time.collect::<StringArray>()),
        Arc::new(numbers.iter().map(|n| (n % 7 != 0).then_some(n % 100)).collect::<Int64Array>()),
        Arc::new(
            numbers.iter().map(|n| Some(1_700_000_000_000 + n * 100)).collect::<TimestampMillisecondArray>(),
        ),
        Arc::new(
            numbers
                .iter()
                .map(|n| Some(n.wrapping_mul(0x1234_5678_9abc_def1) as u64))
                .collect::<UInt64Array>(),
        ),
        Arc::new(numbers.iter().map(|n| Some(n % 2 == 0)).collect::<BooleanArray>()),
    ]
}

/// Pushes all rows of columns.
fn push(store: &mut ColumnStore, columns: &[ArrayRef]) -> Place {
    store.push(columns, Chosen::All(columns[0].len())).unwrap()
}

fn none() -> Vec<ArrayRef> {
    columns(&[])
}

#[test]
fn chunks_whose_rows_have_gone_are_used_again() {
    let mut store = ColumnStore::default();
    let mut old: Vec<Place> = Vec::new();
    for round in 0..40i64 {
        let numbers: Vec<i64> = (0..5_000).map(|n| round * 5_000 + n).collect();
        let first = push(&mut store, &columns(&numbers));
        old.drain(..).for_each(|place| store.free(place));
        old = (0..5_000).map(|n| first + n).collect();
        let got = store.gather(&old[4_990..], &none()).unwrap();
        assert_eq!(got, columns(&numbers[4_990..]));
    }
    assert!(store.chunks.len() < 5, "{} chunks", store.chunks.len());
    assert!(store.bytes() < 6_000_000, "{} bytes", store.bytes());
}

#[test]
fn rows_that_are_held_stay_what_they_were() {
    let mut store = ColumnStore::default();
    let numbers: Vec<i64> = (0..6_000).collect();
    let firsts: Vec<Place> = numbers.chunks(60).map(|some| push(&mut store, &columns(some))).collect();
    let mut places: Vec<Place> = firsts.iter().flat_map(|first| *first..*first + 60).collect();
    let held = store.hold(places.clone(), &none()).unwrap();
    places.drain(..5_000).for_each(|place| store.free(place));
    store.rewrite(places.iter_mut().collect(), &none()).unwrap();
    push(&mut store, &columns(&[7; 3_000]));
    assert_eq!(held.take(&[5_999, 0, 61, 60, 4_242]).unwrap(), columns(&[5_999, 0, 61, 60, 4_242]));
    assert_eq!(held.take(&[]).unwrap(), none());
}

#[test]
fn a_chunk_is_closed_before_its_texts_are_too_long() {
    let mut store = ColumnStore::default();
    let long = |n: u8| -> Vec<ArrayRef> {
        let text = String::from_utf8(vec![b'a' + n; CHUNK_BYTES / 3]).unwrap();
        vec![Arc::new(StringArray::from(vec![text]))]
    };
    let none: Vec<ArrayRef> = vec![Arc::new(StringArray::from(Vec::<&str>::new()))];
    let places: Vec<Place> = (0..4).map(|n| push(&mut store, &long(n))).collect();
    assert!(store.chunks.len() > 1);
    for (n, place) in (0..4).zip(places) {
        assert_eq!(store.gather(&[place], &none).unwrap(), long(n));
        store.free(place);
    }
    assert_eq!(store.live, 0);
}

#[test]
fn a_row_is_a_copy_of_its_own() {
    let mut store = ColumnStore::default();
    let many = columns(&(0..100_000).collect::<Vec<_>>());
    for i in 0..10 {
        let one: Vec<ArrayRef> = many.iter().map(|c| c.slice(i * 1_000, 1)).collect();
        push(&mut store, &one);
    }
    let held = |piece: &Piece| {
        piece.columns.iter().map(|c| c.plain().unwrap().get_array_memory_size()).sum::<usize>()
    };
    let held: usize = store.chunks.iter().flat_map(|c| &c.pieces).map(held).sum();
    assert!(held < 10_000, "{held} bytes");
}

#[test]
fn texts_that_are_dealt_out_are_kept_once() {
    let all: StringArray = (0..9_000).map(|n| Some(format!("a text that no other row has: {n}"))).collect();
    let all: ArrayRef = piece::copied(&[Arc::new(all)]).unwrap();
    let none = vec![all.slice(0, 0)];
    let mut stores = [ColumnStore::default(), ColumnStore::default(), ColumnStore::default()];
    let mut places: Vec<Place> = Vec::new();
    for (n, store) in (0u32..).zip(&mut stores) {
        let rows: UInt32Array = (0..3_000).map(|row| Some(row * 3 + n)).collect();
        places.push(store.push(std::slice::from_ref(&all), Chosen::Dealt(&rows)).unwrap());
    }
    // The stores hold it, and this test.
    let buffer = &all.to_data().buffers()[1].clone();
    assert_eq!(buffer.strong_count(), 3 + 3, "no store has a copy");
    let bytes: usize = stores.iter().flat_map(|store| &store.chunks).map(|chunk| chunk.bytes).sum();
    assert_eq!(bytes, bytes_of(&all).unwrap() - 4 + 4 * 9_000);
    for ((n, store), first) in (0..).zip(&stores).zip(places) {
        let got = store.gather(&[first + 2_999, first], &none).unwrap();
        assert_eq!(got, [take(&all, &UInt32Array::from(vec![8_997 + n, n]), None).unwrap()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Rows are what they were, however they came and whatever has gone beside them.
    #[test]
    fn rows_are_found_at_their_places(
        sizes in prop::collection::vec(prop_oneof![1usize..20, 1_000usize..ColumnStore::MOST], 1..12),
        gone in 0u64..1000,
        looks in prop::collection::vec(any::<prop::sample::Index>(), 1..50),
    ) {
        let mut store = ColumnStore::default();
        let mut held: Vec<(Place, i64)> = Vec::new();
        let mut next = 0;
        for size in sizes {
            let numbers: Vec<i64> = (next..next + size as i64).collect();
            next += size as i64;
            // Half of the pushes are of rows among others.
            let first = if size % 2 == 0 {
                push(&mut store, &columns(&numbers))
            } else {
                let among: Vec<i64> = numbers.iter().rev().flat_map(|n| [-n, *n, 5 - n]).collect();
                let chosen: UInt32Array = (0..size as u32).rev().map(|row| row * 3 + 1).collect::<Vec<_>>().into();
                let chosen = if size % 4 == 1 { Chosen::These(&chosen) } else { Chosen::Dealt(&chosen) };
                // Without room for more in their buffers.
                let among = columns(&among).iter().map(|c| piece::copied(std::slice::from_ref(c)).unwrap()).collect::<Vec<_>>();
                store.push(&among, chosen).unwrap()
            };
            held.extend((first..).zip(numbers));
            held.retain(|(place, n)| {
                let goes = (*n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54 < gone;
                if goes && n % 7 == next % 7 {
                    store.free(*place);
                }
                !(goes && n % 7 == next % 7)
            });
            if held.is_empty() {
                continue;
            }
            let looked: Vec<(Place, i64)> = looks.iter().map(|look| held[look.index(held.len())]).collect();
            let places: Vec<Place> = looked.iter().map(|(place, _)| *place).collect();
            let numbers: Vec<i64> = looked.iter().map(|(_, n)| *n).collect();
            let got = store.gather(&places, &none()).unwrap();
            prop_assert_eq!(got[0].as_primitive::<Int64Type>().values().to_vec(), numbers.clone());
            prop_assert_eq!(got, columns(&numbers));
        }
    }
}
