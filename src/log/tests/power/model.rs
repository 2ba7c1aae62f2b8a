//! What a log must hold: of each partition the appends in their order, with what is known of each.

use std::fmt;

/// An append that has not been told to have failed for good.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// Its number; its rows follow from it.
    pub(super) id: i64,
    pub(super) rows: usize,
    pub(super) producer: u128,
    pub(super) step: u64,
    /// The offset of its first row, once that is known.
    pub(super) base: Option<u64>,
    pub(super) state: State,
}

/// What is known of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It failed: it may be there or not, and nothing follows from it for the others.
    Maybe,
    /// It was acknowledged or has been read.
    There,
    /// It was there, but was not synced when the power went or a sync failed: if it is lost, so is all that
    /// came after it.
    Loose,
    /// It is there and on disk for good.
    Durable,
}

/// What is found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: i64,
    pub(super) rows: usize,
    pub(super) producer: u128,
    pub(super) step: u64,
    pub(super) base: u64,
}

/// What a partition must hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    pub(super) slots: Vec<Slot>,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Slot { id, rows, producer, step, base, state } in &self.slots {
            write!(f, "\n    #{id} {state:?}, {rows} rows")?;
            if let Some(base) = base {
                write!(f, " at {base}")?;
            }
            if *producer != 0 {
                write!(f, ", step {step} of producer {producer}")?;
            }
        }
        Ok(())
    }
}

impl Held {
    /// The greatest step of a producer among the appends that surely are there (`sure`) or may be.
    pub(super) fn last_step(&self, producer: u128, sure: bool) -> Option<u64> {
        let of = self.slots.iter().filter(|slot| slot.producer == producer);
        of.filter(|slot| !sure || matches!(slot.state, State::There | State::Durable))
            .map(|slot| slot.step)
            .max()
    }

    /// The least and the greatest offset at which the partition can end.
    pub(super) fn ends(&self) -> (u64, u64) {
        let rows = |with: &dyn Fn(&Slot) -> bool| {
            self.slots.iter().filter(|slot| with(slot)).map(|slot| slot.rows as u64).sum()
        };
        (rows(&|slot| matches!(slot.state, State::There | State::Durable)), rows(&|_| true))
    }

    /// What has been acknowledged up to now is on disk for good.
    pub(super) fn synced(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.state == State::There) {
            slot.state = State::Durable;
        }
    }

    /// All rows before `offset` are said to be on disk for good.
    pub(super) fn durable(&mut self, offset: u64) {
        for slot in self.slots.iter_mut().filter(|slot| slot.state == State::There) {
            if slot.base.is_some_and(|base| base + slot.rows as u64 <= offset && slot.rows > 0) {
                slot.state = State::Durable;
            }
        }
    }

    /// What is not on disk for good may be lost from now on.
    pub(super) fn loosen(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.state == State::There) {
            slot.state = State::Loose;
        }
    }

    /// Takes in an append that was acknowledged, and what follows from it for those that failed.
    pub(super) fn appended(&mut self, slot: Slot) -> Result<(), String> {
        let base = slot.base.unwrap_or_default();
        let (least, most) = self.ends();
        if !(least..=most).contains(&base) {
            return Err(format!("#{} got the offset {base}, not one from {least} to {most}:{self}", slot.id));
        }
        if slot.producer != 0 {
            if let Some(last) = self.last_step(slot.producer, true).filter(|last| *last >= slot.step) {
                let Slot { id, step, producer, .. } = slot;
                return Err(format!(
                    "#{id} doubles step {step} of producer {producer}, who had {last}:{self}"
                ));
            }
            self.drop_absent(|other| other.producer == slot.producer && other.step >= slot.step);
        }
        if base == least {
            self.drop_absent(|other| other.rows > 0);
        }
        // What is loose lies before it or is lost.
        let end = |other: &Slot| other.base.map(|base| base + other.rows as u64);
        self.drop_absent(|other| other.state == State::Loose && end(other) > Some(base));
        for other in self.slots.iter_mut().filter(|other| other.state == State::Loose && end(other).is_some())
        {
            // One without rows may have been the last before it, or not be there.
            let unsure = other.rows == 0 && end(other) == Some(base);
            other.state = if unsure { State::Maybe } else { State::There };
        }
        self.slots.push(slot);
        Ok(())
    }

    /// Drops of the uncertain ones those that are not there, and what was lost with them.
    fn drop_absent(&mut self, absent: impl Fn(&Slot) -> bool) {
        let mut lost = false;
        self.slots.retain(|slot| match slot.state {
            State::Maybe => !absent(slot),
            State::Loose => {
                lost |= absent(slot);
                !lost
            }
            State::There | State::Durable => true,
        });
    }

    /// A step was said to be there already.
    pub(super) fn duplicate(&mut self, producer: u128, step: u64) -> Result<(), String> {
        let mut there: Vec<&mut Slot> =
            self.slots.iter_mut().filter(|slot| slot.producer == producer && slot.step >= step).collect();
        match &mut there[..] {
            [] => Err(format!("step {step} of producer {producer} was taken for a duplicate:{self}")),
            [one] if one.state == State::Maybe => {
                one.state = State::There;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Compares with all that is found in the partition, and settles what was uncertain. Unless the partition has been
    /// `entered`, which finishes what others left unfinished, failed appends at the end may still come.
    pub(super) fn settle(&mut self, found: &[Found], entered: bool) -> Result<(), String> {
        let told = self.to_string();
        let wrong = |what: String| Err(format!("{what}; expected:{told}\nfound: {found:#?}"));
        let mut rest = found.iter().peekable();
        let mut lost = None;
        let mut kept = Vec::new();
        let mut offset = 0;
        for mut slot in std::mem::take(&mut self.slots) {
            let Some(there) = rest.next_if(|there| there.id == slot.id) else {
                match slot.state {
                    State::Maybe if !entered && rest.peek().is_none() => kept.push(slot),
                    State::Maybe => {}
                    State::Loose => lost = lost.or(Some(slot.id)),
                    State::There | State::Durable => {
                        return wrong(format!("#{} ({:?}) is lost", slot.id, slot.state));
                    }
                }
                continue;
            };
            if let Some(lost) = lost.filter(|_| slot.state == State::Loose) {
                return wrong(format!("#{lost} is lost, but #{}, which came later, is there", slot.id));
            }
            let expected = Found {
                id: slot.id,
                rows: slot.rows,
                producer: slot.producer,
                step: slot.step,
                base: slot.base.unwrap_or(offset),
            };
            if *there != expected || there.base != offset {
                return wrong(format!("{there:?} was found at {offset} where {expected:?} should be"));
            }
            offset += slot.rows as u64;
            slot.base = Some(there.base);
            slot.state = if slot.state == State::Durable { State::Durable } else { State::There };
            kept.push(slot);
        }
        if let Some(more) = rest.next() {
            return wrong(format!("{more:?} was found where nothing should be"));
        }
        self.slots = kept;
        Ok(())
    }
}
