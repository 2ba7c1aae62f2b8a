//! Real data that comes with the program, played again into a topic as if it happened now, only quicker.

use crate::cli::args::Demo;
use crate::engine::{Engine, InputFormat, ProduceOptions, Start, parse_start};
use flate2::read::MultiGzDecoder;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How often it is looked whether a row is due.
const LOOK: Duration = Duration::from_millis(25);
const HOUR: i64 = 3_600_000_000_000;

/// What is known of a demo.
pub(super) struct Script {
    /// What it is, for people.
    pub(super) about: &'static str,
    /// The statement that makes its stream.
    pub(super) create: &'static str,
    pub(super) stream: &'static str,
    /// Three queries to begin with; the first is the first that the arrow key brings.
    pub(super) queries: [&'static str; 3],
    /// The column of the data by which its rows come.
    by: &'static str,
    /// So much of it is there from the start (ns of event time).
    ahead: i64,
    /// How many times faster than it happened it is played, unless that is said.
    pub(super) speed: usize,
    data: &'static [u8],
}

const FLIGHTS: Script = Script {
    about: "26,483 departures from New York's airports in January 2013 (US Bureau of Transportation Statistics)",
    create: "CREATE STREAM departures (
  event_time TIMESTAMP, flight_id TEXT, carrier TEXT, flight BIGINT, tailnum TEXT, origin TEXT, dest TEXT,
  sched_dep_time TIMESTAMP, dep_delay_min BIGINT, WATERMARK FOR event_time AS event_time
)",
    stream: "departures",
    queries: [
        "SELECT origin, count(*) AS flights, round(avg(dep_delay_min), 1) AS avg_delay, max(dep_delay_min) AS worst\nFROM departures GROUP BY origin ORDER BY flights DESC EMIT CHANGES;",
        "SELECT window_start, origin, count(*) AS flights, round(avg(dep_delay_min), 1) AS avg_delay\nFROM TUMBLE(departures, event_time, INTERVAL '1 day') GROUP BY window_start, origin EMIT FINAL;",
        "SELECT event_time, flight_id, origin, dest, dep_delay_min FROM departures WHERE dep_delay_min > 120 EMIT CHANGES;",
    ],
    by: "event_time",
    ahead: 24 * HOUR,
    speed: 3600,
    data: include_bytes!("../../../queries/data/nyc_flights/departures.jsonl.gz"),
};

const QUAKES: Script = Script {
    about: "1,707 earthquakes of a week in 2018, as they became known (US Geological Survey)",
    create: "CREATE STREAM quakes (
  event_time TIMESTAMP, updated_at TIMESTAMP, quake_id TEXT, magnitude DOUBLE, depth_km DOUBLE, place TEXT, region TEXT,
  WATERMARK FOR event_time AS event_time - INTERVAL '6 hours'
)",
    stream: "quakes",
    queries: [
        "SELECT region, count(*) AS quakes, max(magnitude) AS strongest\nFROM quakes GROUP BY region ORDER BY quakes DESC LIMIT 10 EMIT CHANGES;",
        "SELECT window_start, count(*) AS quakes, max(magnitude) AS strongest\nFROM TUMBLE(quakes, event_time, INTERVAL '12 hours') GROUP BY window_start EMIT FINAL;",
        "SELECT event_time, magnitude, place FROM quakes WHERE magnitude >= 5 EMIT CHANGES;",
    ],
    by: "updated_at",
    ahead: 12 * HOUR,
    speed: 3600,
    data: include_bytes!("../../../queries/data/quakes/quakes_by_arrival.jsonl.gz"),
};

const STORMS: Script = Script {
    about: "11,859 fixes of the Atlantic's tropical storms, 1975 to 2020 (US National Oceanic and Atmospheric Administration)",
    create: "CREATE STREAM storms (
  event_time TIMESTAMP, storm_id TEXT, name TEXT, status TEXT, wind_kt BIGINT, pressure_mb BIGINT,
  WATERMARK FOR event_time AS event_time
)",
    stream: "storms",
    queries: [
        "SELECT storm_id, count(*) AS fixes, max(wind_kt) AS strongest_kt, max(event_time) AS last_seen\nFROM storms GROUP BY storm_id ORDER BY strongest_kt DESC LIMIT 10 EMIT CHANGES;",
        "SELECT storm_id, window_start AS began, count(*) AS fixes, max(wind_kt) AS strongest_kt\nFROM SESSION(TABLE storms PARTITION BY storm_id, DESCRIPTOR(event_time), INTERVAL '24' HOUR)\nGROUP BY storm_id, window_start, window_end EMIT FINAL;",
        "SELECT event_time, name, wind_kt FROM storms WHERE wind_kt >= 140 EMIT CHANGES;",
    ],
    by: "event_time",
    ahead: 365 * 24 * HOUR,
    speed: 2_592_000,
    data: include_bytes!("../../../queries/data/storms/storms.jsonl.gz"),
};

/// What a demo consists of.
pub(super) fn script(demo: Demo) -> &'static Script {
    match demo {
        Demo::Flights => &FLIGHTS,
        Demo::Quakes => &QUAKES,
        Demo::Storms => &STORMS,
    }
}

/// The playing: its speed can be changed, and it ends with this.
pub(super) struct Replay {
    speed: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Replay {
    /// Begins to play into the demo's topic, which is there.
    pub(super) fn start(engine: &Engine, script: &'static Script, speed: usize) -> io::Result<Self> {
        let speed = Arc::new(AtomicUsize::new(speed));
        let end = Arc::new(AtomicBool::new(false));
        let mut text = String::new();
        MultiGzDecoder::new(script.data).read_to_string(&mut text)?;
        let clock = engine.clone();
        let input = Played::new(
            text,
            script,
            speed.clone(),
            end.clone(),
            Box::new(move || clock.clock().monotonic()),
        );
        let (engine, stopped) = (engine.clone(), end.clone());
        let thread = std::thread::Builder::new().name("replay".into()).spawn(move || {
            let options = ProduceOptions { format: InputFormat::Json, skip_bad: true, producer: None };
            // A directory that cannot be written is told by whoever else writes to it.
            let _ = engine.produce(
                script.stream,
                &options,
                input,
                &mut || !stopped.load(Ordering::Acquire),
                &mut |_| {},
            );
        })?;
        Ok(Replay { speed, end, thread: Some(thread) })
    }

    /// Changes how many times faster than it happened it is played; 0 = it rests.
    pub(super) fn set_speed(&self, speed: usize) {
        self.speed.store(speed, Ordering::Release);
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing to add.
            let _ = thread.join();
        }
    }
}

/// The lines of a text, each when its time has come.
struct Played {
    text: String,
    /// When each line is due (ns of event time), and where it ends.
    lines: Vec<(i64, usize)>,
    next: usize,
    at: usize,
    /// The event time now.
    now: i64,
    looked: Option<Duration>,
    speed: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    clock: Box<dyn Fn() -> Duration + Send>,
}

impl Played {
    fn new(
        text: String,
        script: &Script,
        speed: Arc<AtomicUsize>,
        end: Arc<AtomicBool>,
        clock: Box<dyn Fn() -> Duration + Send>,
    ) -> Self {
        let mut lines = Vec::new();
        let mut ends = 0;
        let mut latest = i64::MIN;
        for line in text.split_inclusive('\n') {
            ends += line.len();
            latest = latest.max(time_of(line, script.by).unwrap_or(latest));
            lines.push((latest, ends));
        }
        let first = lines.first().map_or(0, |(at, _)| *at);
        Played {
            text,
            lines,
            next: 0,
            at: 0,
            now: first.saturating_add(script.ahead),
            looked: None,
            speed,
            end,
            clock,
        }
    }

    /// How far the text is due.
    fn due(&mut self) -> usize {
        let now = (self.clock)();
        let passed = now.saturating_sub(self.looked.unwrap_or(now));
        self.looked = Some(now);
        let speed = self.speed.load(Ordering::Acquire) as u128;
        let passed = i64::try_from(passed.as_nanos().saturating_mul(speed)).unwrap_or(i64::MAX);
        self.now = self.now.saturating_add(passed);
        while self.lines.get(self.next).is_some_and(|(at, _)| *at <= self.now) {
            self.next += 1;
        }
        self.next.checked_sub(1).map_or(0, |last| self.lines[last].1)
    }
}

impl Read for Played {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.end.load(Ordering::Acquire) || self.at == self.text.len() {
                return Ok(0);
            }
            let due = self.due();
            if due > self.at {
                let rows = (due - self.at).min(buffer.len());
                buffer[..rows].copy_from_slice(&self.text.as_bytes()[self.at..self.at + rows]);
                self.at += rows;
                return Ok(rows);
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The time that a line of JSON has in a column.
fn time_of(line: &str, column: &str) -> Option<i64> {
    let rest = line.split_once(&format!("\"{column}\":\""))?.1;
    match parse_start(rest.split_once('"')?.0) {
        Ok(Start::Time(at)) => Some(at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::parse_all;
    use std::sync::Mutex;

    #[test]
    fn every_demo_has_sound_statements_and_data() {
        for demo in [Demo::Flights, Demo::Quakes, Demo::Storms] {
            let script = script(demo);
            assert!(parse_all(script.create).1.is_none());
            for query in script.queries {
                let (statements, mistake) = parse_all(query);
                assert!(statements.len() == 1 && mistake.is_none(), "{query}");
            }
            let mut text = String::new();
            MultiGzDecoder::new(script.data).read_to_string(&mut text).unwrap();
            assert!(text.lines().all(|line| time_of(line, script.by).is_some()));
        }
    }

    #[test]
    fn lines_come_when_they_are_due_and_the_speed_can_change() {
        let script = Script { ahead: 0, by: "at", ..FLIGHTS };
        let line = |minute: u32| format!("{{\"at\":\"2013-01-01T10:{minute:02}:00Z\"}}\n");
        let text: String = [0, 0, 10, 20, 50].into_iter().map(line).collect();
        let seconds = Arc::new(Mutex::new(0.0));
        let told = seconds.clone();
        let speed = Arc::new(AtomicUsize::new(600));
        let mut played = Played::new(
            text.clone(),
            &script,
            speed.clone(),
            Arc::new(AtomicBool::new(false)),
            Box::new(move || Duration::from_secs_f64(*told.lock().unwrap())),
        );
        let mut lines = |at: f64| {
            *seconds.lock().unwrap() = at;
            text[..played.due()].lines().count()
        };
        assert_eq!([lines(0.0), lines(0.9), lines(1.0), lines(2.0)], [2, 2, 3, 4]);
        speed.store(0, Ordering::Release);
        assert_eq!(lines(100.0), 4);
        speed.store(60, Ordering::Release);
        assert_eq!([lines(129.0), lines(130.0)], [4, 5]);
    }
}
