//! The `topic`, `group` and `job` commands as they are typed.

use crate::engine::{Start, parse_start};
use clap::Subcommand;
use std::path::PathBuf;

const TIMES: &str = "\
A place to start from is one of
  earliest               the first row that is still there
  latest                 the rows that come from now on
  17                     the row of this offset, in each partition
  '2026-01-31 12:00:00'  the first row that was written then or later (UTC, or with an offset such as +01:00);
                         where there is none yet, the rows that come
";

const CREATE: &str = "\
Example:
  millstream topic create trips --columns \"id BIGINT, at TIMESTAMP(3), WATERMARK FOR at AS at - INTERVAL '5 seconds'\" --partitions 4

The topic is a stream: the same as CREATE STREAM trips (…) WITH (partitions = 4).
";

const PRODUCE: &str = "\
Records are JSON lines (the default) or CSV (--format csv), with the topic's columns. Each is visible to readers as \
soon as it is appended, which is a few milliseconds after it was read.

With --producer NAME each row is appended once, however often the command is run again with the same input from its \
start (cut off by a crash or not, or with rows added at its end): rows are told apart by their number in the input, so \
another input under the same name loses rows. Without it each run appends all of its rows.
";

const CONSUME: &str = "\
With --group the place of the group is kept: the next run goes on where this one ended. Processes that consume with \
one group at the same time share the topic's partitions; when one ends or dies, the others take its partitions over \
within a second. Rows are printed before their place is kept: after a crash some may be printed again, none is left out.
";

/// What `millstream topic` can do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum TopicCommand {
    /// Make a topic, which is a stream that SQL can query
    #[command(after_help = CREATE)]
    Create {
        /// The topic
        name: String,
        /// Its columns, as in CREATE STREAM
        #[arg(long, value_name = "COLUMNS")]
        columns: String,
        /// How many partitions it has
        #[arg(long, value_name = "N")]
        partitions: Option<u32>,
        /// How its rows are compressed: lz4, zstd or none
        #[arg(long)]
        codec: Option<String>,
        /// The column by whose hash rows are placed in partitions
        #[arg(long, value_name = "COLUMN")]
        key: Option<String>,
        /// How it is kept
        #[command(flatten)]
        /// How it is kept.
        settings: TopicSettings,
        /// Any other option of CREATE STREAM … WITH (…)
        #[arg(long, value_name = "NAME=VALUE", value_parser = parse_option)]
        with: Vec<(String, String)>,
    },
    /// List all topics
    List,
    /// Show a topic's columns, its partitions, and the groups that read it
    Describe {
        /// The topic
        name: String,
    },
    /// Append records from standard input
    #[command(after_help = PRODUCE)]
    Produce {
        /// The topic
        name: String,
        /// CSV without a header: the fields are the topic's columns in their order
        #[arg(long)]
        no_header: bool,
        /// What becomes of a record that does not fit the columns
        #[arg(long, value_enum, default_value = "stop")]
        on_error: OnError,
        /// Append each row once, over all runs with this name
        #[arg(long, value_name = "NAME")]
        producer: Option<String>,
    },
    /// Print a topic's rows
    #[command(after_help = format!("{TIMES}\n{CONSUME}"))]
    Consume {
        /// The topic
        name: String,
        /// Stop after so many rows
        #[arg(short = 'n', value_name = "N")]
        rows: Option<u64>,
        /// Where to start [default: earliest]; with --group, in partitions that the group has not read yet
        #[arg(long, value_name = "PLACE", value_parser = parse_start)]
        from: Option<Start>,
        /// Start at the oldest row: the same as --from earliest
        #[arg(long, conflicts_with = "from")]
        from_beginning: bool,
        /// Wait for further rows instead of ending
        #[arg(long)]
        follow: bool,
        /// Read one partition only
        #[arg(long, value_name = "P", conflicts_with = "group")]
        partition: Option<u32>,
        /// Read as a member of this consumer group, which keeps how far it has read
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
        /// Print _partition, _offset and _timestamp as well
        #[arg(long)]
        metadata: bool,
    },
    /// Write a topic's rows into a Parquet or Arrow file
    #[command(after_help = TIMES)]
    Export {
        /// The topic
        name: String,
        /// The file: it ends in .parquet or .arrow
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// One partition only
        #[arg(long, value_name = "P")]
        partition: Option<u32>,
        /// Where to start
        #[arg(long, value_name = "PLACE", default_value = "earliest", value_parser = parse_start)]
        from: Start,
        /// The offset before which to end, in each partition
        #[arg(long, value_name = "OFFSET")]
        to_offset: Option<u64>,
        /// Write _partition, _offset and _timestamp as well
        #[arg(long)]
        metadata: bool,
    },
    /// Change how a topic is kept
    Alter {
        /// The topic
        name: String,
        /// How it is kept
        #[command(flatten)]
        /// What is to change.
        settings: TopicSettings,
    },
    /// Read every byte of a topic, and name what is damaged
    Verify {
        /// The topic
        name: String,
        /// One partition only
        #[arg(long, value_name = "P")]
        partition: Option<u32>,
    },
    /// Put what is damaged aside, so that what lies behind can be read and rows can be appended again
    Repair {
        /// The topic
        name: String,
        /// One partition only
        #[arg(long, value_name = "P")]
        partition: Option<u32>,
    },
    /// Remove now what a topic's settings say: rows that are too old, of a table those that have been replaced
    Compact {
        /// The topic
        name: String,
    },
    /// Delete a topic and its rows
    Delete {
        /// The topic
        name: String,
    },
}

/// How a topic is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct TopicSettings {
    /// How long rows are kept, such as '7 days'; '' for ever
    #[arg(long, value_name = "DURATION")]
    retention: Option<String>,
    /// How many bytes of each partition are kept at least, such as 10GB; '' for all
    #[arg(long, value_name = "BYTES")]
    retention_bytes: Option<String>,
    /// How long a segment file gets, such as 64MB
    #[arg(long, value_name = "BYTES")]
    segment_bytes: Option<String>,
    /// When rows are made to survive a power cut: step, os, or an interval such as '200 ms'
    #[arg(long, value_name = "WHEN")]
    fsync: Option<String>,
}

impl TopicSettings {
    /// Those that are given, as options of `WITH (…)`.
    pub(super) fn given(&self) -> Vec<(String, String)> {
        let all = [
            ("retention", &self.retention),
            ("retention_bytes", &self.retention_bytes),
            ("segment_bytes", &self.segment_bytes),
            ("fsync", &self.fsync),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value.clone()?))).collect()
    }
}

/// What becomes of a record that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnError {
    /// The rows before it are appended, and the command fails.
    Stop,
    /// It is told and left out.
    Skip,
}

/// What `millstream group` can do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum GroupCommand {
    /// List all consumer groups
    List,
    /// Show how far a group has read each partition, and who reads it now
    Describe {
        /// The group
        name: String,
    },
    /// Let a group go on elsewhere; nobody may be reading with it
    #[command(after_help = TIMES)]
    Reset {
        /// The group
        name: String,
        /// The topic
        #[arg(long)]
        topic: String,
        /// One partition only
        #[arg(long, value_name = "P")]
        partition: Option<u32>,
        /// Where it is to go on
        #[arg(long, value_name = "PLACE", value_parser = parse_start)]
        to: Start,
    },
    /// Delete a group, but not the topics that it reads
    Delete {
        /// The group
        name: String,
    },
}

const JOBS: &str = "\
A job is a statement that keeps running: CREATE STREAM s AS SELECT … and CREATE TABLE t AS SELECT … are named after what \
they write, INSERT INTO s SELECT … in a file x.sql is x.s. Statements of one file that read the same streams run as one: \
pausing, stopping or restarting one of them does so with all, and says it.

These commands work while the job runs in another process, which is asked and answers within a second.
";

const RESET: &str = "\
What the job has written stays. When it is run again, it reads its streams from their start and writes its whole result \
again: into a table that changes nothing twice, into a stream all rows come a second time.
";

/// What `millstream job` can do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
#[command(after_help = JOBS)]
pub enum JobCommand {
    /// List all jobs
    List,
    /// Show all that is known of a job: what it reads and how far, its operators, its state, its last checkpoint and failure
    Describe {
        /// The job
        name: String,
    },
    /// Say in words why a job gives no rows
    Why {
        /// The job
        name: String,
    },
    /// Let a job make no steps until it is resumed, also when it is run again
    Pause {
        /// The job
        name: String,
    },
    /// Let a paused job go on
    Resume {
        /// The job
        name: String,
    },
    /// End a job with a checkpoint; the other jobs of its process go on
    Stop {
        /// The job
        name: String,
    },
    /// End a job with a checkpoint and begin it again from there, in its process
    Restart {
        /// The job
        name: String,
    },
    /// Write a checkpoint now
    Checkpoint {
        /// The job
        name: String,
    },
    /// Forget the state of a job that does not run, so that it begins anew
    #[command(after_help = RESET)]
    Reset {
        /// The job
        name: String,
    },
    /// Forget a job that does not run; what it has written stays
    Drop {
        /// The job
        name: String,
    },
}

fn parse_option(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it takes NAME=VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("\"{name}\" is no option's name"));
    }
    Ok((name.into(), value.into()))
}
