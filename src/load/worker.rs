//! One worker of a load: its share of an order, told line by line.

use tokio_util::sync::CancellationToken;

use super::{
    engine::{self, Part, Share, Target},
    wire::{Line, Order, instant},
};
use crate::error::{Error, Kind, Result};

/// Sends the share of worker `index`, from 0, and hands on a line each second and at the end, also at an early end by
/// `cancel`. A failure is the last line, too: whoever reads the lines need not read anything else.
pub async fn run(order: &Order, index: u32, cancel: &CancellationToken, mut emit: impl FnMut(String)) -> Result<()> {
    let ended = work(order, index, cancel, &mut emit).await;
    if let Err(error) = &ended {
        emit(Line::Failed { worker: index, why: error.to_string() }.text()?);
    }
    ended
}

async fn work(order: &Order, index: u32, cancel: &CancellationToken, emit: &mut impl FnMut(String)) -> Result<()> {
    if index >= order.workers {
        return Err(Error::new(Kind::Usage, format!("there is no worker {index} of {}", order.workers)));
    }
    let target = Target::resolve(&order.spec).await?;
    let part = Part {
        share: Share { index, of: order.workers },
        threads: order.threads,
        start: order.start_unix_us.map_or_else(engine::soon, instant),
    };
    let mut unwritten = None;
    let result =
        engine::run(&order.spec, &target, part, cancel, |tick| match (Line::Tick { worker: index, tick }).text() {
            Ok(line) => emit(line),
            Err(error) => unwritten = Some(error),
        })
        .await?;
    if let Some(error) = unwritten {
        return Err(error);
    }
    emit(Line::Result { worker: index, result: Box::new(result) }.text()?);
    Ok(())
}
