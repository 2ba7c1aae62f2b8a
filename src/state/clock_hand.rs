//! A clock's hand: which slots have not been used for longest, roughly, without keeping them in order.

/// Goes round slots; leaves those that have been used since it came by last, and finds the others (Corbató 1968).
#[derive(Debug, Default)]
pub struct ClockHand(usize);

impl ClockHand {
    /// The slots, of `slots`, that are to go so that about `wanted` bytes are free; it goes round twice at most. `look` says
    /// how many bytes a slot would free; `None` = it stays, as nothing is there or it has been used: that it takes away.
    pub fn find(
        &mut self,
        slots: usize,
        wanted: usize,
        mut look: impl FnMut(usize) -> Option<usize>,
    ) -> Vec<u32> {
        let (mut found, mut freed) = (Vec::new(), 0);
        // Those that were found in the first round come by in the same order in the second.
        let mut again = 0;
        for step in 0..2 * slots {
            if freed >= wanted {
                break;
            }
            let slot = self.0 % slots;
            self.0 = slot + 1;
            if step >= slots && found.get(again) == Some(&(slot as u32)) {
                again += 1;
            } else if let Some(bytes) = look(slot) {
                freed += bytes;
                found.push(slot as u32);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_goes_after_what_was_not_and_each_once() {
        let (mut hand, mut used) = (ClockHand::default(), [true, false, true, false]);
        let mut find = |wanted| hand.find(4, wanted, |slot| (!std::mem::take(&mut used[slot])).then_some(10));
        assert_eq!(find(10), [1]);
        assert_eq!(find(100), [3, 0, 1, 2]);
        assert!(hand.find(0, 1, |_| Some(1)).is_empty());
    }
}
