//! Session windows to operators.

use super::super::dataflow::Spec;
use super::super::session::SessionNode;
use super::super::state_bound::{StateBound, passes};
use super::super::trace::trace;
use super::super::{EmitMode, mistakes};
use super::{Lowering, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use std::sync::Arc;

impl Lowering {
    pub(super) fn session(&mut self, plan: &LogicalPlan, session: &SessionNode) -> Result<usize> {
        let input = self.plan(&session.input)?;
        let traces = trace(&session.input).map_err(mistakes::without_place)?;
        let time = session.time_index().map_err(mistakes::without_place)?;
        let closes = traces[time].event_time;
        let spec = session.spec(self.mode, closes).map_err(mistakes::without_place)?;
        let keys: Vec<Arc<dyn PhysicalExpr>> = spec
            .keys
            .iter()
            .map(|key| Arc::new(PhysicalColumn::new(spec.schema.field(*key).name(), *key)) as _)
            .collect();
        let input = self.exchange(input, &keys);
        let growth = self.flow.growth(input);
        let state = if closes {
            let watermark = self.flow.watermark_of(&[input]);
            StateBound::watermark(passes(&watermark, "the session's end", spec.grace), growth)
        } else {
            let time = spec.schema.field(spec.time).name();
            StateBound::all_of(growth, || {
                format!("WATERMARK FOR {time} AS {time} - INTERVAL '5 seconds' where the stream is created")
            })
        };
        // What is over never changes, so it goes out once, whatever the input.
        let append_only = spec.mode == EmitMode::Final;
        self.add(plan, Spec::Session(spec), vec![input], append_only, Some(state))
    }
}
