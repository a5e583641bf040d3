//! The functions of a flow, each with its own state in its module.

use std::sync::Arc;

use crate::config::model::FunctionFailure;
use crate::proxy::course::Course;
use crate::proxy::itinerary::Refusal;
use crate::proxy::stage::{Chain, Stage, count_broken};
use crate::vnf::FlowInfo;

/// Spawns the functions that the flow of this id meets here, with the way that was chosen.
///
/// # Errors
/// When one is not configured or will not take the flow; then none is left.
pub fn chain(course: &Course, id: u64) -> Result<Chain, Refusal> {
    let itinerary = &course.itinerary;
    let mut stages = Vec::with_capacity(itinerary.steps.len());
    for (place, step) in itinerary.steps.iter().enumerate() {
        let Some(served) = course.runtime.functions.get(&step.function) else {
            return Err(Refusal::UnknownFunction(step.function));
        };
        served.counters.flows.one();
        if served.function.passes_at_once() {
            continue;
        }
        let info = FlowInfo {
            argument: step.argument,
            client: itinerary.client,
            server: itinerary.server,
            id,
            choice: course.choices.of(place),
        };
        match served.function.spawn(&info) {
            Ok(transform) => stages.push(Stage::new(
                step.function,
                transform,
                served.on_failure,
                Arc::clone(&served.counters),
            )),
            Err(error) if served.on_failure == FunctionFailure::Pass => {
                let id = step.function;
                log::log!(
                    count_broken(&served.counters),
                    "function {id:#06x}: {error}; its flow goes on untouched"
                );
            }
            Err(error) => {
                log::debug!("spawn function {:#06x}: {error}", step.function);
                return Err(Refusal::NotSpawned(step.function));
            }
        }
    }
    Ok(Chain::new(stages))
}
