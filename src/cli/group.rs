//! `millstream group …`.

use super::Exit;
use super::args::Invocation;
use super::commands::GroupCommand;
use super::topic::{Failure, numbers, on_engine, print, some_numbers, texts, times};
use crate::engine::GroupPartition;

/// Runs a group command.
pub(super) fn run(invocation: &Invocation, command: &GroupCommand) -> Exit {
    on_engine(invocation, |engine| match command {
        GroupCommand::List => {
            let groups = engine.groups()?;
            print(
                invocation,
                vec![
                    ("group", texts(groups.iter().map(|g| &g.name))),
                    ("topics", texts(groups.iter().map(|g| g.topics.join(", ")))),
                    ("owned_partitions", numbers(groups.iter().map(|g| g.owned))),
                    ("lag", numbers(groups.iter().map(|g| g.lag))),
                ],
            )
        }
        GroupCommand::Describe { name } => places(invocation, &engine.describe_group(name)?),
        GroupCommand::Reset { name, topic, partition, to } => {
            places(invocation, &engine.reset_group(name, topic, *partition, *to)?)
        }
        GroupCommand::Delete { name } => Ok(engine.delete_group(name)?),
    })
}

fn places(invocation: &Invocation, places: &[GroupPartition]) -> Result<(), Failure> {
    print(
        invocation,
        vec![
            ("topic", texts(places.iter().map(|p| &p.topic))),
            ("partition", numbers(places.iter().map(|p| u64::from(p.partition)))),
            ("committed_offset", some_numbers(places.iter().map(|p| p.committed))),
            ("end_offset", numbers(places.iter().map(|p| p.end))),
            ("lag", numbers(places.iter().map(|p| p.lag))),
            ("owner_pid", some_numbers(places.iter().map(|p| p.owner.map(u64::from)))),
            ("committed_at", times(places.iter().map(|p| p.committed_ns))),
        ],
    )
}
