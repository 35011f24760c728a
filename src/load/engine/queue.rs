//! An open loop's requests that are due, and the connections that wait for one.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use super::schedule::Schedule;

/// Connections take what is due when they are free; those that are idle are given it, the longest idle one first, so
/// that all of them are used.
#[derive(Debug)]
pub struct Queue {
    schedule: Schedule,
    /// Requests of the measurement that were due before all began.
    pub left_out: u64,
    next: Option<u64>,
    /// Nothing that is due then or later is sent.
    end: u64,
    seats: Vec<Seat>,
    /// May name connections that have left since.
    idle: VecDeque<usize>,
}

#[derive(Debug, Default)]
struct Seat {
    waits: bool,
    given: Option<u64>,
    waker: Option<Waker>,
}

/// When something has to be handed out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    At(u64),
    /// Nobody is idle; something is due.
    Backlog,
    Over,
}

impl Queue {
    /// Nothing is due before `begin`: what the schedule has earlier is left out.
    pub fn new(mut schedule: Schedule, connections: usize, begin: u64) -> Queue {
        let from = schedule.from();
        let mut left_out = 0;
        let next = schedule.find(|due| {
            left_out += u64::from((from..begin).contains(due));
            *due >= begin
        });
        let seats = (0..connections).map(|_| Seat::default()).collect();
        Queue { schedule, left_out, next, end: u64::MAX, seats, idle: VecDeque::with_capacity(connections) }
    }

    /// The oldest request that is due by now.
    pub fn take(&mut self, now: u64) -> Option<u64> {
        let due = self.next.filter(|due| *due <= now && *due < self.end)?;
        self.next = self.schedule.next();
        Some(due)
    }

    /// Gives what is due to those that are idle.
    pub fn hand_out(&mut self, now: u64) -> Next {
        loop {
            match self.next {
                Some(due) if due >= self.end => return self.over(),
                None => return self.over(),
                Some(due) if due > now => return Next::At(due),
                Some(due) => {
                    let Some(seat) = self.longest_idle() else { return Next::Backlog };
                    seat.given = Some(due);
                    if let Some(waker) = seat.waker.take() {
                        waker.wake();
                    }
                    self.next = self.schedule.next();
                }
            }
        }
    }

    fn longest_idle(&mut self) -> Option<&mut Seat> {
        loop {
            let index = self.idle.pop_front()?;
            if self.seats[index].waits {
                self.seats[index].waits = false;
                return Some(&mut self.seats[index]);
            }
        }
    }

    /// Waits for a request to be given; None: there will be no more.
    pub fn poll_given(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<Option<u64>> {
        let over = self.is_over();
        let seat = &mut self.seats[index];
        if let Some(due) = seat.given.take() {
            return Poll::Ready(Some(due));
        }
        if over {
            seat.waits = false;
            return Poll::Ready(None);
        }
        if seat.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            seat.waker = Some(cx.waker().clone());
        }
        if !seat.waits {
            seat.waits = true;
            self.idle.push_back(index);
        }
        Poll::Pending
    }

    /// It waits no longer, before something was given to it.
    pub fn leave(&mut self, index: usize) {
        self.seats[index].waits = false;
    }

    pub fn is_over(&self) -> bool {
        self.next.is_none_or(|due| due >= self.end)
    }

    /// Nothing that is due from now on is sent.
    pub fn end_at(&mut self, end: u64) {
        self.end = self.end.min(end);
        if self.is_over() {
            self.over();
        }
    }

    fn over(&mut self) -> Next {
        for seat in &mut self.seats {
            if let Some(waker) = seat.waker.take() {
                waker.wake();
            }
        }
        Next::Over
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{
        engine::share::Share,
        spec::{Arrivals, Limit, LoadSpec, fixture},
    };

    /// Five requests, one each ms.
    fn queue(begin: u64) -> Queue {
        let spec = LoadSpec {
            arrivals: Arrivals::Constant { rate: 1000.0 },
            limit: Limit::Duration { duration: Duration::from_millis(5) },
            ..fixture(&["/"])
        };
        Queue::new(Schedule::new(&spec, Share::WHOLE).unwrap(), 3, begin)
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn the_longest_idle_gets_the_oldest() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut queue = queue(0);
        for index in [2, 0, 1] {
            assert!(queue.poll_given(index, &mut cx).is_pending());
        }
        queue.leave(0);
        assert_eq!(queue.hand_out(MS), Next::At(2 * MS));
        assert_eq!(queue.poll_given(2, &mut cx), Poll::Ready(Some(0)));
        assert_eq!(queue.poll_given(1, &mut cx), Poll::Ready(Some(MS)));
        assert_eq!(queue.hand_out(3 * MS), Next::Backlog);
        assert_eq!(queue.take(3 * MS), Some(2 * MS));
        assert_eq!(queue.take(3 * MS), Some(3 * MS));
        assert_eq!(queue.take(3 * MS), None);
        assert!(queue.poll_given(1, &mut cx).is_pending());
        assert_eq!(queue.hand_out(9 * MS), Next::Over);
        assert_eq!(queue.poll_given(1, &mut cx), Poll::Ready(Some(4 * MS)));
        assert_eq!(queue.poll_given(1, &mut cx), Poll::Ready(None));
    }

    #[test]
    fn an_early_end_and_a_late_begin_leave_out() {
        let mut queue = queue(2 * MS);
        queue.end_at(4 * MS);
        assert_eq!((0..4).map(|_| queue.take(9 * MS)).collect::<Vec<_>>(), [Some(2 * MS), Some(3 * MS), None, None]);
        assert!(queue.is_over());
        assert_eq!(queue.hand_out(9 * MS), Next::Over);
    }
}
