//! Several writers and readers of one partition, in one process and in several.

use super::*;
use std::time::Duration;

/// Long enough never to pass: whoever waits is woken.
const FOREVER: Duration = Duration::from_secs(3600);

fn step(topic: &Arc<Topic>, producer: u128, step: u64) -> Appended {
    let rows = numbers([step as i64]);
    let append = Append { producer, step, ..Append::rows(&rows) };
    topic.writer(0).unwrap().append(append).unwrap()
}

#[test]
fn appends_from_everywhere_get_offsets_without_gaps_and_keep_their_order() {
    let place = Place::new();
    place.create(3_000);
    let (one, two) = (place.topic(), place.topic());
    std::thread::scope(|scope| {
        for (thread, topic) in [&one, &one, &two, &two].into_iter().enumerate() {
            scope.spawn(move || {
                let mut writer = topic.writer(0).unwrap();
                for i in 0..40 {
                    let value = thread as i64 * 1_000 + i;
                    let appended = writer.append(Append::rows(&numbers([value, value]))).unwrap();
                    assert_eq!(appended.next_offset, appended.base_offset + 2);
                    let at = read_from(topic, appended.base_offset).0;
                    assert_eq!(at[..2], [value, value], "what was acknowledged is there at once");
                }
            });
        }
    });
    for topic in [one, two, place.topic()] {
        let all = read(&topic);
        assert_eq!(all.len(), 4 * 40 * 2);
        for thread in 0..4 {
            let own: Vec<i64> = all.iter().step_by(2).copied().filter(|v| v / 1_000 == thread).collect();
            assert_eq!(own, (0..40).map(|i| thread * 1_000 + i).collect::<Vec<_>>());
        }
        assert!(place.segments(&topic).len() > 3);
        assert!(topic.recovered().is_empty());
    }
}

#[test]
fn a_reader_follows_the_tail_across_segments_and_is_woken() {
    let place = Place::new();
    let topic = place.create(2_000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = topic.writer(0).unwrap();
            (0..300).for_each(|i| {
                writer.append(Append::rows(&numbers([i]))).unwrap();
            });
        });
        let mut reader = topic.reader(0, 0, None).unwrap();
        let mut next = 0;
        while next < 300 {
            let generation = topic.generation();
            match reader.next().unwrap() {
                Some(frame) => {
                    assert_eq!((frame.base_offset, values(&frame)), (next, vec![next as i64]));
                    next += 1;
                }
                None => {
                    topic.wait_newer(generation, FOREVER);
                }
            }
        }
    });
    assert!(topic.generation() >= 300);
}

#[test]
fn a_reader_is_woken_by_who_has_the_directory_open_for_himself() {
    let place = Place::new();
    let topic = place.create(2_000);
    let told = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let news: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    topic.notify(&news);
    std::thread::scope(|scope| {
        let other = place.topic();
        // A row is appended only when the one before has been read: then the reader waits, or is about to.
        let (read, wanted) = std::sync::mpsc::channel();
        read.send(()).unwrap();
        scope.spawn(move || {
            for i in 0..20 {
                wanted.recv().unwrap();
                put(&other, [i]).unwrap();
            }
        });
        let mut reader = topic.reader(0, 0, None).unwrap();
        let mut next = 0;
        while next < 20 {
            let generation = topic.generation();
            match reader.next().unwrap() {
                Some(frame) => {
                    assert_eq!(values(&frame), [next]);
                    next += 1;
                    // The last one is wanted by nobody.
                    let _ = read.send(());
                }
                None => {
                    topic.wait_newer(generation, FOREVER);
                }
            }
        }
    });
    assert!(told.load(std::sync::atomic::Ordering::Relaxed) > 0);
    drop(news);
    topic.wake();
}

#[test]
fn a_producers_step_is_appended_once_whoever_appends_it() {
    let place = Place::new();
    place.create(1_000);
    let (one, two) = (place.topic(), place.topic());
    assert!(!step(&one, 7, 1).duplicate);
    assert!(step(&one, 7, 1).duplicate && step(&two, 7, 0).duplicate);
    for i in 2..20 {
        let (mine, other) = if i % 2 == 0 { (&one, &two) } else { (&two, &one) };
        assert!(!step(mine, 7, i).duplicate);
        assert!(!step(other, 8, i * 10).duplicate, "another producer");
        let again = step(other, 7, i);
        assert!(again.duplicate && again.base_offset == again.next_offset);
    }
    assert!(!step(&one, 0, 1).duplicate && !step(&one, 0, 1).duplicate);
    assert!(place.segments(&one).len() > 3);
    let reopened = place.topic();
    let writer = reopened.writer(0).unwrap();
    assert_eq!(writer.last_step(7).unwrap(), Some(19));
    assert_eq!(writer.last_step(8).unwrap(), Some(190));
    assert_eq!(writer.last_step(9).unwrap(), None);
    let before = read(&reopened);
    assert!(step(&reopened, 7, 19).duplicate);
    assert_eq!(read(&one), before);
}

#[test]
fn a_duplicate_wakes_nobody() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    step(&topic, 1, 1);
    let generation = topic.generation();
    step(&topic, 1, 1);
    assert_eq!(topic.generation(), generation);
}

#[test]
fn a_sync_makes_durable_what_all_have_appended() {
    let place = Place::new();
    place.create(1_000);
    let (one, two) = (place.topic(), place.topic());
    put(&one, [1, 2]).unwrap();
    put(&two, [3]).unwrap();
    assert_eq!(one.durable_offset(0).unwrap(), 0);
    let mut writer = two.writer(0).unwrap();
    writer.sync().unwrap();
    assert_eq!(one.durable_offset(0).unwrap(), 3);
    put(&one, [4]).unwrap();
    assert_eq!(two.durable_offset(0).unwrap(), 3);
    // Closing a segment makes it durable.
    for i in 0..5 {
        put(&one, [i]).unwrap();
    }
    assert!(one.durable_offset(0).unwrap() > 4);
}

#[test]
fn all_can_go_from_thread_to_thread() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<PartitionWriter>();
    send::<LogReader>();
    send::<Log>();
    sync::<Log>();
    sync::<Topic>();
}
