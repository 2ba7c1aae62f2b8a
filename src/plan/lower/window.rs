//! Windows to operators.

use super::super::dataflow::Spec;
use super::super::mistakes;
use super::super::window::WindowNode;
use super::{Lowering, Result};
use crate::operators::window::WindowSpec;
use datafusion::logical_expr::LogicalPlan;

impl Lowering {
    pub(super) fn window(&mut self, plan: &LogicalPlan, window: &WindowNode) -> Result<usize> {
        let input = self.plan(&window.input)?;
        let spec = window.spec().map_err(mistakes::without_place)?;
        self.keep_late_rows(input, &spec);
        let append_only = self.append_only(input);
        self.add(plan, Spec::Window(spec), vec![input], append_only, None)
    }

    /// Tells the source under `node` which window its rows meet first, so that it can keep the late ones.
    fn keep_late_rows(&mut self, mut node: usize, spec: &WindowSpec) {
        loop {
            match &self.flow.nodes[node].spec {
                Spec::Source(source) => {
                    let source = &mut self.flow.sources[*source];
                    if source.stream.option("late_topic").is_some() && source.late_window.is_none() {
                        let schema = source.stream.schema();
                        let time = source.stream.event_time_index();
                        source.late_window = time.map(|time| WindowSpec { time, schema, ..spec.clone() });
                    }
                    return;
                }
                Spec::Filter(_) | Spec::Project(_) => node = self.flow.nodes[node].inputs[0],
                _ => return,
            }
        }
    }
}
