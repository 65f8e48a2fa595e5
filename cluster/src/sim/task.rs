//! Processes: every task of a node belongs to one, and stops or ends with it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::{World, lock};

/// Most task polls in one run. A run that needs more is in an endless loop.
const MOST_TURNS: u64 = 20_000_000;

thread_local! {
    static CURRENT: RefCell<Option<Process>> = const { RefCell::new(None) };
    static TURNS: Cell<u64> = const { Cell::new(0) };
}

/// Resets the counter of polls.
pub(super) fn begin_turns() {
    TURNS.set(0);
}

/// The state of a process, shared by its handles and its tasks.
struct Inner {
    host: usize,
    dead: AtomicBool,
    frozen: AtomicBool,
    tasks: Mutex<Tasks>,
}

/// The tasks to wake when the process goes on or ends.
#[derive(Default)]
struct Tasks {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// One run of a node on a host.
#[derive(Clone)]
pub struct Process {
    inner: Arc<Inner>,
}

impl Process {
    /// A process on `host`; the host has power from now on.
    pub fn start(world: &World, host: usize) -> Self {
        world.darken(host, false);
        let dead = AtomicBool::new(false);
        let frozen = AtomicBool::new(false);
        Self { inner: Arc::new(Inner { host, dead, frozen, tasks: Mutex::default() }) }
    }

    pub(crate) fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The host that it runs on.
    pub fn host(&self) -> usize {
        self.inner.host
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.inner.dead.load(Ordering::Relaxed)
    }

    /// Runs a future as part of the process. After the process is killed, the future is never ready.
    pub fn run<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        Here::new(Some(self.clone()), future)
    }

    /// Stops every task; time and the network go on.
    pub fn freeze(&self) {
        self.inner.frozen.store(true, Ordering::Relaxed);
    }

    /// Lets the tasks go on.
    pub fn thaw(&self) {
        self.inner.frozen.store(false, Ordering::Relaxed);
        self.wake();
    }

    /// Kills the process like `kill -9`. Its host resets the connections. What the process has written is
    /// still there.
    pub fn kill(&self, world: &World) {
        self.end(world, false);
    }

    /// Cuts the host's power: it sends nothing more, and some or all of what was not synced is gone.
    pub fn cut_power(&self, world: &World) {
        world.darken(self.host(), true);
        self.end(world, true);
    }

    fn end(&self, world: &World, power: bool) {
        self.inner.dead.store(true, Ordering::Relaxed);
        super::fs::crash(world, self.host(), power);
        self.wake();
    }

    fn wake(&self) {
        let wakers: Vec<Waker> = lock(&self.inner.tasks).wakers.iter_mut().filter_map(Option::take).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Marks a future as part of the process that makes it.
pub(crate) fn here<F: Future>(future: F) -> Here<F> {
    Here::new(Process::current(), future)
}

/// A future of a process.
pub(crate) struct Here<F> {
    process: Option<Process>,
    slot: Option<usize>,
    // Boxed so that it can be dropped, whatever its type, when the process ends.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Here<F> {
    fn new(process: Option<Process>, future: F) -> Self {
        Self { process, slot: None, future: Some(Box::pin(future)) }
    }

    /// Makes sure that this task is woken when the process ends or thaws.
    fn enlist(&mut self, waker: &Waker) {
        let Some(process) = &self.process else { return };
        let mut tasks = lock(&process.inner.tasks);
        let slot = *self.slot.get_or_insert_with(|| {
            tasks.free.pop().unwrap_or_else(|| {
                tasks.wakers.push(None);
                tasks.wakers.len() - 1
            })
        });
        if !tasks.wakers[slot].as_ref().is_some_and(|known| known.will_wake(waker)) {
            tasks.wakers[slot] = Some(waker.clone());
        }
    }
}

/// Sets the current process, and restores the former one when dropped.
struct Turn(Option<Process>);

impl Turn {
    fn of(process: Option<Process>) -> Self {
        Self(CURRENT.replace(process))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

impl<F: Future> Future for Here<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let process = self.process.clone();
        let (dead, frozen) = process.as_ref().map_or((false, false), |p| {
            (p.inner.dead.load(Ordering::Relaxed), p.inner.frozen.load(Ordering::Relaxed))
        });
        let _turn = Turn::of(process);
        if dead {
            self.future = None;
        } else {
            self.enlist(context.waker());
        }
        TURNS.set(TURNS.get() + 1);
        if frozen || TURNS.get() > MOST_TURNS {
            return Poll::Pending;
        }
        match &mut self.future {
            Some(future) => future.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Here<F> {
    fn drop(&mut self) {
        let _turn = Turn::of(self.process.clone());
        self.future = None;
        if let (Some(process), Some(slot)) = (&self.process, self.slot) {
            let mut tasks = lock(&process.inner.tasks);
            tasks.wakers[slot] = None;
            tasks.free.push(slot);
        }
    }
}
