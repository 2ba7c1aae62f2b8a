//! Consumer groups with real processes: shared partitions, members that are killed, places that are kept.

use super::resume::{Dice, signalled, spawn, until};
use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};

const PARTITIONS: usize = 4;
const TOTAL: u64 = 60_000;

fn topic(place: &Place) {
    place.sql(&format!("CREATE STREAM t (n BIGINT) WITH (partitions = {PARTITIONS}, key = 'n')"));
}

fn produce(place: &Place, numbers: std::ops::Range<u64>) {
    let lines: String = numbers.map(|n| format!("{{\"n\":{n}}}\n")).collect();
    place.run_with(&["topic", "produce", "t"], lines.as_bytes()).ok();
}

/// A member of the group g that prints into a file.
fn member(place: &Place, file: &str) -> Child {
    let arguments = ["topic", "consume", "t", "--group", "g", "--follow", "--metadata"];
    let out = std::fs::File::create(place.path(file)).unwrap();
    place.command(&arguments).stdout(out).spawn().unwrap()
}

/// What a member has printed, in order: partition, offset and n. What a kill has cut off is no row.
fn printed(place: &Place, file: &str) -> Vec<(u64, u64, u64)> {
    let text = std::fs::read_to_string(place.path(file)).unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let number = |row: &serde_json::Value, name: &str| row[name].as_u64().unwrap();
    whole
        .lines()
        .map(json)
        .map(|r| (number(&r, "_partition"), number(&r, "_offset"), number(&r, "n")))
        .collect()
}

/// The group's committed offset and owner of each partition.
fn places(place: &Place) -> Vec<(u64, Option<u64>)> {
    let out = place.run(&["group", "describe", "g"]).ok().out;
    let rows = out.lines().map(json);
    rows.map(|r| (r["committed_offset"].as_u64().unwrap_or(0), r["owner_pid"].as_u64())).collect()
}

fn owners(place: &Place) -> BTreeSet<u64> {
    places(place).iter().filter_map(|(_, owner)| *owner).collect()
}

/// All that was committed is printed, and each member has printed each partition in order.
#[track_caller]
fn check(place: &Place, files: &[String], committed: &[(u64, Option<u64>)]) {
    let mut offsets: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for file in files {
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for (partition, offset, _) in printed(place, file) {
            let before = last.insert(partition, offset);
            assert!(before.is_none_or(|before| before < offset), "{file}: {partition} goes back to {offset}");
            offsets.entry(partition).or_default().insert(offset);
        }
    }
    for (partition, (committed, _)) in committed.iter().enumerate() {
        let printed = offsets.remove(&(partition as u64)).unwrap_or_default();
        let missing: Vec<u64> = (0..*committed).filter(|offset| !printed.contains(offset)).collect();
        assert!(missing.is_empty(), "committed but not printed in partition {partition}: {missing:?}");
    }
}

#[test]
fn members_share_a_topic_and_what_one_leaves_the_others_take_over() {
    let place = Place::new();
    topic(&place);
    let mut dice = Dice(5);
    let mut files = vec!["0.out".to_string(), "1.out".to_string()];
    let mut members: Vec<Child> = files.iter().map(|file| member(&place, file)).collect();
    until(|| place.run(&["group", "list"]).ok().out.contains("\"owned_partitions\":4"));
    until(|| owners(&place).len() == 2);
    let written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for from in (0..TOTAL).step_by(1_000) {
                produce(&place, from..from + 1_000);
            }
            written.store(true, Ordering::Relaxed);
        });
        for round in 2..6 {
            // A third one comes, and one of the three is killed while rows come.
            files.push(format!("{round}.out"));
            members.push(member(&place, files.last().unwrap()));
            let pid = u64::from(members.last().unwrap().id());
            until(|| owners(&place).contains(&pid));
            let seen = printed(&place, &files[round]).len();
            until(|| printed(&place, &files[round]).len() > seen || written.load(Ordering::Relaxed));
            let mut killed = members.remove(dice.below(3) as usize);
            let pid = u64::from(killed.id());
            killed.kill().unwrap();
            killed.wait().unwrap();
            check(&place, &files, &places(&place));
            until(|| {
                let places = places(&place);
                places.iter().all(|(_, owner)| owner.is_some_and(|owner| owner != pid))
            });
        }
        until(|| {
            let all: BTreeSet<u64> = files.iter().flat_map(|f| printed(&place, f)).map(|row| row.2).collect();
            all.len() as u64 == TOTAL
        });
    });
    until(|| places(&place).iter().map(|(committed, _)| committed).sum::<u64>() == TOTAL);
    check(&place, &files, &places(&place));
    for child in members {
        signalled(&child, "TERM");
        Ran::of(child.wait_with_output().unwrap()).ok();
    }
    assert_eq!(owners(&place).len(), 0);
    assert_eq!(place.run(&["topic", "consume", "t", "--group", "g"]).ok().out, "", "all has been read");
}

#[test]
fn a_group_goes_on_where_it_was_and_is_moved_only_when_nobody_reads() {
    let place = Place::new();
    topic(&place);
    produce(&place, 0..100);
    let consume = |more: &[&str]| {
        let arguments: Vec<&str> =
            ["topic", "consume", "t", "--group", "g"].iter().chain(more).copied().collect();
        let out = place.run(&arguments).ok().out;
        out.lines().map(|line| json(line)["n"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let mut all = consume(&["-n", "10"]);
    assert_eq!(all.len(), 10);
    all.extend(consume(&["-n", "7", "--format", "jsonl"]));
    all.extend(consume(&[]));
    all.sort_unstable();
    assert!(all == (0..100).collect::<Vec<_>>(), "{all:?}");
    assert_eq!(consume(&[]), [0; 0]);
    produce(&place, 100..103);
    let described = place.run(&["topic", "describe", "t"]).ok();
    assert!(described.err.contains("group g: 3 rows behind; nobody reads with it now"), "{}", described.err);
    assert_eq!(
        place.run(&["group", "list"]).ok().out,
        "{\"group\":\"g\",\"topics\":\"t\",\"owned_partitions\":0,\"lag\":3}\n"
    );

    let mut child = spawn(&place, &["topic", "consume", "t", "--group", "g", "--follow"]);
    until(|| owners(&place).len() == 1);
    let reset = ["group", "reset", "g", "--topic", "t", "--to", "earliest"];
    let pid = child.id().to_string();
    place.run(&reset).fails(1, &["cannot be reset while process", &pid]);
    place.run(&["group", "delete", "g"]).fails(1, &["cannot be deleted while process", &pid]);
    child.kill().unwrap();
    child.wait().unwrap();
    place.run(&reset).ok();
    assert_eq!(consume(&[]).len(), 103);
    place.run(&["group", "reset", "g", "--topic", "t", "--partition", "2", "--to", "0"]).ok();
    let again = consume(&[]).len() as u64;
    assert_eq!(again, places(&place)[2].0);
    place.run(&["group", "reset", "g", "--topic", "t", "--to", "1000"]).fails(1, &["out of range"]);
    place.run(&["group", "reset", "g", "--topic", "t", "--to", "2200-01-01"]).ok();
    assert_eq!(consume(&[]), [0; 0]);
    place.run(&["group", "reset", "h", "--topic", "t", "--to", "0"]).fails(1, &["there is no group"]);
    place.run(&["group", "describe", "gg"]).fails(1, &["did you mean \"g\""]);
    // From latest: only of what the group has not read yet.
    assert_eq!(place.run(&["topic", "consume", "t", "--group", "new", "--from", "latest"]).ok().out, "");
    produce(&place, 103..104);
    let latest = ["topic", "consume", "t", "--group", "new", "--from", "latest"];
    assert_eq!(place.run(&latest).ok().out, "{\"n\":103}\n", "where the latest was the first time");
    place.run(&["group", "delete", "g"]).ok();
    place.run(&["group", "describe", "g"]).fails(1, &["there is no group"]);
    place.run(&["topic", "consume", "t", "--group", "a/b"]).fails(1, &["cannot be a group's name"]);
}
