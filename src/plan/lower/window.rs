//! Windows, and lateness by a row's own time, to operators.

use super::super::dataflow::Spec;
use super::super::in_time::InTimeNode;
use super::super::mistakes;
use super::super::window::WindowNode;
use super::{Lowering, Result};
use crate::operators::in_time::InTimeSpec;
use crate::operators::late::LateRule;
use crate::operators::window::WindowSpec;
use datafusion::logical_expr::LogicalPlan;

impl Lowering {
    pub(super) fn window(&mut self, plan: &LogicalPlan, window: &WindowNode) -> Result<usize> {
        let input = self.plan(&window.input)?;
        let spec = window.spec().map_err(mistakes::without_place)?;
        if spec.event_time {
            self.keep_late_rows(input, LateRule::Window(spec.clone()));
        }
        let append_only = self.append_only(input);
        self.add(plan, Spec::Window(spec), vec![input], append_only, None)
    }

    pub(super) fn in_time(&mut self, plan: &LogicalPlan, in_time: &InTimeNode) -> Result<usize> {
        let input = self.plan(&in_time.input)?;
        let spec = in_time.spec().map_err(mistakes::without_place)?;
        if spec.event_time {
            self.keep_late_rows(input, LateRule::InTime(spec.clone()));
        }
        let append_only = self.append_only(input);
        self.add(plan, Spec::InTime(spec), vec![input], append_only, None)
    }

    /// Tells the source under `node` what its rows meet first that leaves late ones out, so that it can keep them.
    fn keep_late_rows(&mut self, mut node: usize, rule: LateRule) {
        loop {
            match &self.flow.nodes[node].spec {
                Spec::Source(source) => {
                    let source = &mut self.flow.sources[*source];
                    if source.stream.option("late_topic").is_some() && source.late_rule.is_none() {
                        let schema = source.stream.schema();
                        let time = source.stream.event_time_index();
                        source.late_rule = time.map(|time| match rule {
                            LateRule::Window(spec) => LateRule::Window(WindowSpec { time, schema, ..spec }),
                            LateRule::InTime(spec) => LateRule::InTime(InTimeSpec { time, schema, ..spec }),
                        });
                    }
                    return;
                }
                Spec::Filter(_) | Spec::Project(_) => node = self.flow.nodes[node].inputs[0],
                _ => return,
            }
        }
    }
}
