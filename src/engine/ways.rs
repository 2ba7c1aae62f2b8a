//! What becomes of a statement whose query has changed since its job began: it is refused, told what has changed, unless
//! the run says `--fresh` (begin it anew) or `--as` (write the new result beside the old one, under another name).

use super::asked::Asked;
use super::jobs::{JobHome, Origin, job_home};
use super::{Engine, Result, Session, fresh};
use crate::catalog::{Definitions, StreamDef};
use crate::plan::Dataflow;
use crate::sql::Code;
use crate::sql::{Diagnostic, EmitQuery};
use std::ops::Range;
use std::sync::Arc;

/// Which jobs `--fresh` begins anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fresh {
    /// Those whose query has changed.
    Changed,
    /// All.
    All,
    /// The one of this name, or that writes the stream of this name.
    Job(String),
}

/// `--as`: a result goes into another stream or table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// The one that the statement names; `None` = that of the statement whose query has changed.
    pub sink: Option<String>,
    /// The one that is written instead.
    pub name: String,
}

/// How a run treats statements whose query has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ways {
    /// `--fresh`.
    pub fresh: Vec<Fresh>,
    /// `--as`.
    pub renames: Vec<Rename>,
    /// `--fail-fast`: the first job that fails ends all.
    pub fail_fast: bool,
}

/// The ways, and what of them has been used.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    ways: Ways,
    origin: Option<Origin>,
    /// What each of `ways.renames` has been used for.
    renamed: Vec<Option<String>>,
    /// Which of `ways.fresh` have been used.
    begun: Vec<bool>,
}

/// What is done with a statement whose query has changed.
pub(super) enum Way {
    Refuse,
    Fresh,
    As(String),
}

impl Chosen {
    /// Whether statements whose query has changed are refused: nothing else was asked for.
    pub(super) fn is_plain(&self) -> bool {
        self.ways.fresh.is_empty() && self.ways.renames.is_empty()
    }

    pub(super) fn fail_fast(&self) -> bool {
        self.ways.fail_fast
    }

    /// The name that `--as SINK=NAME` gives to what is written to `sink`.
    pub(super) fn renames(&mut self, sink: &str) -> Option<String> {
        let at = self.ways.renames.iter().position(|r| r.sink.as_deref() == Some(sink))?;
        self.renamed[at] = Some(sink.into());
        Some(self.ways.renames[at].name.clone())
    }

    /// Whether the job is begun anew though nothing has changed.
    fn begins(&mut self, job: &str, sink: &str) -> bool {
        let mut begins = false;
        for (fresh, begun) in self.ways.fresh.iter().zip(&mut self.begun) {
            let named = match fresh {
                Fresh::Changed => false,
                Fresh::All => true,
                Fresh::Job(name) => name == job || name == sink,
            };
            *begun |= named;
            begins |= named;
        }
        begins
    }

    /// What is done with the job, whose query has changed.
    pub(super) fn on_change(&mut self, job: &str, sink: &str) -> Result<Way, Diagnostic> {
        if self.begins(job, sink) || self.ways.fresh.contains(&Fresh::Changed) {
            return Ok(Way::Fresh);
        }
        let Some(at) = self.ways.renames.iter().position(|r| r.sink.is_none()) else {
            return Ok(Way::Refuse);
        };
        let name = self.ways.renames[at].name.clone();
        match &self.renamed[at] {
            Some(other) if other != sink => {
                let d = Diagnostic::coded(
                    Code::QueryChanged,
                    format!(
                        "--as {name} is for one statement, but those that write \"{other}\" and \"{sink}\" have changed"
                    ),
                );
                Err(d.help(format!("write --as {other}={name} --as {sink}=ANOTHER_NAME")))
            }
            _ => {
                self.renamed[at] = Some(sink.into());
                Ok(Way::As(name))
            }
        }
    }

    /// What was asked for and had nothing to do, in words.
    fn unused(&self) -> Option<String> {
        for (rename, used) in self.ways.renames.iter().zip(&self.renamed) {
            let name = &rename.name;
            match &rename.sink {
                None if used.is_none() => {
                    return Some(format!(
                        "--as {name}: no statement's query has changed since its job began; to run one under another name \
                         all the same, write --as SINK={name}"
                    ));
                }
                Some(sink) if used.is_none() => {
                    return Some(format!(
                        "--as {sink}={name}: no statement writes the result of a query to {sink}"
                    ));
                }
                _ => {}
            }
        }
        let idle = self.ways.fresh.iter().zip(&self.begun).find(|(_, begun)| !**begun);
        match idle {
            Some((Fresh::Job(job), _)) => {
                Some(format!("--fresh={job}: no statement is the job {job}, or writes {job}"))
            }
            _ => None,
        }
    }
}

/// A job's folder, if it can be opened as it is.
pub(super) enum Home {
    /// Open, and the words by which its checkpoint knows what it computes.
    Open(Box<JobHome>, String),
    /// The result is to go elsewhere.
    As(String),
}

impl Session {
    /// Sets what is done with statements whose query has changed.
    pub fn set_ways(&mut self, ways: Ways, origin: Option<Origin>) {
        let (renamed, begun) = (vec![None; ways.renames.len()], vec![false; ways.fresh.len()]);
        self.chosen = Chosen { ways, origin, renamed, begun };
    }

    /// What of the ways had nothing to do, in words.
    pub fn unused_ways(&self) -> Option<String> {
        self.chosen.unused()
    }

    /// Fails if a job of this run reads the stream whose writer is to write elsewhere.
    pub(super) fn check_unread(
        &self,
        sink: &str,
        name: &str,
        place: &Range<usize>,
    ) -> Result<(), Diagnostic> {
        let Some(reader) = self.reader_of(sink) else { return Ok(()) };
        let d = Diagnostic::coded(
            Code::QueryChanged,
            format!("job {reader} reads \"{sink}\", but with --as the result goes to \"{name}\""),
        );
        Err(d.at(place.clone()).help(format!("put what reads {sink} into a file of its own")))
    }

    /// Fails if a query reads a stream whose writer of this run writes elsewhere now.
    pub(super) fn check_renamed(
        &self,
        definitions: &Definitions,
        query: &EmitQuery,
    ) -> Result<(), Diagnostic> {
        let renamed = self.chosen.ways.renames.iter().zip(&self.chosen.renamed);
        for (rename, sink) in renamed.filter_map(|(r, s)| Some((r, s.as_ref()?))) {
            if super::asked::reads_stream(definitions, query, sink) {
                let name = &rename.name;
                let d = Diagnostic::coded(
                    Code::QueryChanged,
                    format!("this query reads \"{sink}\", but with --as the result goes to \"{name}\""),
                );
                return Err(d
                    .at(query.span.clone())
                    .help(format!("write {name} here, or put what reads {sink} into a file of its own")));
            }
        }
        Ok(())
    }

    /// Opens the folder of the job `name`, which computes `asked` and writes `sink`; `afresh`: it is begun anew in any case.
    /// Errors: it has begun with another query.
    pub(super) fn open_home(
        &mut self,
        name: &str,
        sink: &StreamDef,
        asked: &Asked,
        flow: &Dataflow,
        afresh: bool,
        place: &Range<usize>,
    ) -> Result<Home> {
        let at_place = |d: Diagnostic| d.at(place.clone());
        let mut home = job_home(&self.engine, name, &sink.name)?;
        let mut begins = self.chosen.begins(name, &sink.name) || afresh;
        let mut fingerprint = asked.fingerprint();
        match home.standing(asked)? {
            Standing::New => {}
            Standing::Same(known) => fingerprint = known,
            Standing::Changed(..) if begins => fingerprint = asked.fingerprint(),
            Standing::Changed(what, lines) => {
                match self.chosen.on_change(name, &sink.name).map_err(at_place)? {
                    Way::Fresh => begins = true,
                    Way::As(new) => return Ok(Home::As(new)),
                    Way::Refuse => return Err(refusal(name, &what, &lines).at(place.clone()).into()),
                }
            }
        }
        if begins {
            fresh::check(&self.engine, &home, sink, flow).map_err(at_place)?;
            home.begin_afresh(asked, sink.is_table())?;
            fingerprint = asked.fingerprint();
        }
        if home.file.asked.is_none() || home.file.origin != self.chosen.origin {
            home.file.asked.get_or_insert_with(|| asked.clone());
            home.file.origin.clone_from(&self.chosen.origin);
            home.write()?;
        }
        Ok(Home::Open(Box::new(home), fingerprint))
    }
}

/// What is told of a job that has begun with another query.
fn refusal(job: &str, what: &str, lines: &[String]) -> Diagnostic {
    let mut d = Diagnostic::coded(Code::QueryChanged, format!("job {job} cannot go on where it is: {what}"));
    if !lines.is_empty() {
        d = d.note(format!("when it began (-) and now (+):\n{}", lines.join("\n")));
    }
    d.help(THREE_WAYS)
}

/// What one can do about a changed query.
pub(super) const THREE_WAYS: &str = "run with --fresh: it begins anew, and only what differs is written; or with --as NEW_NAME: \
                                     its result goes there, beside the old one; or go back to the old text";

/// How a job's state stands to what it is to compute.
enum Standing {
    /// There is no state.
    New,
    /// It is the same, and known by these words.
    Same(String),
    /// It has changed: what, and the lines of both.
    Changed(String, Vec<String>),
}

impl JobHome {
    fn standing(&mut self, asked: &Asked) -> Result<Standing> {
        let manifest = self.saved()?.map(|s| s.manifest()).transpose()?.flatten();
        let part = manifest.and_then(|m| m.parts.into_iter().find(|p| p.name == self.store.job));
        let Some(part) = part else {
            // What it was to compute has not begun.
            self.file.asked = None;
            return Ok(Standing::New);
        };
        let same = part.fingerprint == asked.fingerprint();
        Ok(match &self.file.asked {
            Some(known) if !known.is_same(asked) => {
                let (what, lines) = known.differences(asked);
                Standing::Changed(what, lines)
            }
            Some(_) => Standing::Same(part.fingerprint),
            None if same => Standing::Same(part.fingerprint),
            None => {
                let (what, lines) = asked.differences_from(&part.fingerprint);
                Standing::Changed(what, lines)
            }
        })
    }
}

/// The stream or table `name`, like `model` but for the name; makes it if it is not there.
pub(super) fn define_like(
    engine: &Engine,
    model: &StreamDef,
    name: &str,
    place: &Range<usize>,
) -> Result<Arc<StreamDef>> {
    let definition = StreamDef { name: name.into(), ..model.clone() };
    let at_place = |message: String| Diagnostic::coded(Code::QueryChanged, message).at(place.clone());
    if engine.definitions()?.views.contains_key(name) {
        return Err(at_place(format!("--as {name}: that is a view already")).into());
    }
    let there = engine.0.catalog.change(|all| match all.streams.get(name) {
        Some(there) => there.clone(),
        None => {
            let new = Arc::new(definition.clone());
            all.streams.insert(name.into(), new.clone());
            new
        }
    })?;
    if *there != definition {
        let d = at_place(format!(
            "--as {name}: that is a {} already, and not like \"{}\"",
            there.kind(),
            model.name
        ));
        return Err(d.help("choose another name").into());
    }
    if definition.connector == "topic" && !engine.0.log.topic_exists(name)? {
        let options = super::settings::topic_options(name, model.primary_key.as_ref(), &model.options)
            .map_err(super::sources::option_diagnostic)?;
        if let Err(error) = engine.0.log.create_topic(name, options, definition.topic_schema()) {
            engine.0.catalog.change(|all| all.streams.remove(name))?;
            return Err(at_place(error.to_string()).into());
        }
    }
    Ok(there)
}
