//! The memory budget: what readers, encoders and uploads hold in flight, by accounting.

#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use sqlextract_model::{ByteSize, Code, Failure, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Reservations are handed out in steps of this many bytes.
const STEP_BYTES: u64 = 1024;

/// A hard budget of bytes. Clones are handles of the same budget.
///
/// # How two that both want more never wait for each other
///
/// `shares` gives half of the budget to the workers in equal shares, which nobody else touches: a reservation inside a
/// share waits for its own worker only. Whatever passes a share comes from the other half, one worker at a time (the
/// *oversize lane*): its holder keeps its share, takes from the whole half, and waits for nobody who holds some of that
/// half and wants more. So a worker can reach its share and half of the budget; a request beyond that is an error.
///
/// Inside one worker the order is the worker's: reserve what a row needs in all stages before reading it, or have later
/// stages release without reserving. `reserve` on the budget itself also draws from the undivided half; its callers
/// must not ask for more while they hold some.
#[derive(Clone)]
pub struct MemoryBudget {
    pool: Arc<Pool>,
}

/// The undivided part, and the figures of the whole.
struct Pool {
    limit: u64,
    /// Bytes that no share has: what `free` holds when nobody has reserved any.
    undivided: AtomicU64,
    used: AtomicU64,
    peak: AtomicU64,
    /// In steps; those who wait are served in the order of asking.
    free: Arc<Semaphore>,
    lane: Arc<Semaphore>,
}

impl MemoryBudget {
    pub fn new(bytes: u64) -> Self {
        let steps = (bytes / STEP_BYTES).min(u64::from(u32::MAX));
        let pool = Pool {
            limit: bytes,
            undivided: AtomicU64::new(steps * STEP_BYTES),
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            free: Arc::new(Semaphore::new(steps as usize)),
            lane: Arc::new(Semaphore::new(1)),
        };
        Self { pool: Arc::new(pool) }
    }

    pub fn limit(&self) -> u64 {
        self.pool.limit
    }

    /// The budget's equal part for each of so many workers: what a batch reserves as a whole before it begins.
    pub fn share(&self, workers: usize) -> u64 {
        self.pool.limit / STEP_BYTES / workers.max(1) as u64 * STEP_BYTES
    }

    /// Bytes that are reserved now.
    pub fn used(&self) -> u64 {
        self.pool.used.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever reserved at once.
    pub fn peak(&self) -> u64 {
        self.pool.peak.load(Ordering::Relaxed)
    }

    /// Waits in line for bytes of the undivided part. More than that part ever holds is `value_too_large`.
    pub async fn reserve(&self, bytes: u64) -> Result<Reservation> {
        let most = self.pool.undivided();
        if rounded(bytes) > most {
            return Err(self.pool.too_large(bytes, most));
        }
        let steps = take(&self.pool.free, steps_of(bytes)).await;
        Ok(Reservation::of(
            &self.pool,
            bytes,
            None,
            Some(Extra { steps, _lane: None }),
        ))
    }

    /// Divides half of the budget among the workers. To be called once, at the start: what is reserved or divided
    /// already is not divided again.
    pub fn shares(&self, workers: NonZeroUsize) -> Vec<Share> {
        let steps = self.pool.free.available_permits() / 2 / workers.get();
        let share = || {
            let taken = self.pool.free.forget_permits(steps);
            let bytes = taken as u64 * STEP_BYTES;
            self.pool.undivided.fetch_sub(bytes, Ordering::Relaxed);
            let inner = Shared {
                bytes,
                free: Arc::new(Semaphore::new(taken)),
                lane: tokio::sync::Mutex::new(Weak::new()),
                pool: Arc::clone(&self.pool),
            };
            Share { inner: Arc::new(inner) }
        };
        std::iter::repeat_with(share).take(workers.get()).collect()
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget")
            .field("limit", &self.limit())
            .field("used", &self.used())
            .field("peak", &self.peak())
            .finish()
    }
}

/// What one worker is guaranteed. Clones are handles of the same share, for the stages of one worker.
#[derive(Clone)]
pub struct Share {
    inner: Arc<Shared>,
}

struct Shared {
    bytes: u64,
    free: Arc<Semaphore>,
    /// The lane's permit while this worker holds oversize bytes: its stages use it together.
    lane: tokio::sync::Mutex<Weak<OwnedSemaphorePermit>>,
    pool: Arc<Pool>,
}

impl Share {
    /// What nobody else can take.
    pub fn guaranteed(&self) -> u64 {
        self.inner.bytes
    }

    /// The largest reservation that this worker can ever get.
    pub fn most(&self) -> u64 {
        self.inner.bytes + self.inner.pool.undivided()
    }

    /// Waits until this worker's own stages have released enough of the share. What passes the whole share comes from
    /// the oversize lane; more than `most` is `value_too_large`.
    pub async fn reserve(&self, bytes: u64) -> Result<Reservation> {
        let pool = &self.inner.pool;
        if rounded(bytes) > self.most() {
            return Err(pool.too_large(bytes, self.most()));
        }
        if rounded(bytes) <= self.inner.bytes {
            let within = take(&self.inner.free, steps_of(bytes)).await;
            return Ok(Reservation::of(pool, bytes, Some(within), None));
        }
        let within = take(
            &self.inner.free,
            steps_of(rounded(bytes).saturating_sub(pool.undivided())),
        )
        .await;
        let extra = self.oversize(steps_of(bytes) - within.num_permits() as u32).await;
        Ok(Reservation::of(pool, bytes, Some(within), Some(extra)))
    }

    /// Adds bytes to a reservation of this share, which keeps what it has: from the share if enough of it is free now,
    /// else through the oversize lane. On an error, and when it is cancelled, nothing is changed.
    pub async fn grow(&self, reservation: &mut Reservation, bytes: u64) -> Result<()> {
        let pool = &self.inner.pool;
        let total = reservation.bytes.saturating_add(bytes);
        if rounded(total) > self.most() {
            return Err(pool.too_large(total, self.most()));
        }
        let wanted = steps_of(total) - reservation.held_steps() as u32;
        match (
            Arc::clone(&self.inner.free).try_acquire_many_owned(wanted),
            &mut reservation.within,
        ) {
            (Ok(more), Some(within)) => within.merge(more),
            (Ok(more), none) => *none = Some(more),
            (Err(_), _) => {
                let held = reservation.extra.as_ref().map_or(0, |extra| extra.steps.num_permits()) as u64;
                let extra = (held + u64::from(wanted)) * STEP_BYTES;
                if extra > pool.undivided() {
                    return Err(pool.too_large(total, total - bytes + pool.undivided() - held * STEP_BYTES));
                }
                let more = self.oversize(wanted).await;
                match &mut reservation.extra {
                    Some(extra) => extra.steps.merge(more.steps),
                    none => *none = Some(more),
                }
            }
        }
        reservation.bytes = total;
        pool.add(bytes);
        Ok(())
    }

    /// Waits for the lane, unless another stage of this worker has it, then for the bytes.
    async fn oversize(&self, steps: u32) -> Extra {
        // Held while waiting for the lane, so that a second stage waits for the first and not for the lane itself.
        let mut ours = self.inner.lane.lock().await;
        let lane = match ours.upgrade() {
            Some(lane) => lane,
            None => Arc::new(take(&self.inner.pool.lane, 1).await),
        };
        *ours = Arc::downgrade(&lane);
        drop(ours);
        let steps = take(&self.inner.pool.free, steps).await;
        Extra {
            steps,
            _lane: Some(lane),
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
            .field("guaranteed", &self.guaranteed())
            .finish_non_exhaustive()
    }
}

/// Bytes that are ours until this is dropped.
pub struct Reservation {
    pool: Arc<Pool>,
    bytes: u64,
    /// Steps of a share.
    within: Option<OwnedSemaphorePermit>,
    extra: Option<Extra>,
}

/// Bytes of the undivided part, with the lane where they are a worker's.
struct Extra {
    steps: OwnedSemaphorePermit,
    _lane: Option<Arc<OwnedSemaphorePermit>>,
}

impl Reservation {
    fn of(pool: &Arc<Pool>, bytes: u64, within: Option<OwnedSemaphorePermit>, extra: Option<Extra>) -> Self {
        pool.add(bytes);
        Self {
            pool: Arc::clone(pool),
            bytes,
            within,
            extra,
        }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives bytes back, those beyond the share first.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.pool.used.fetch_sub(bytes, Ordering::Relaxed);
        let mut surplus = self.held_steps() - steps_of(self.bytes) as usize;
        if let Some(extra) = &mut self.extra {
            let given = surplus.min(extra.steps.num_permits());
            drop(extra.steps.split(given));
            surplus -= given;
            if extra.steps.num_permits() == 0 {
                self.extra = None;
            }
        }
        if let Some(within) = &mut self.within {
            drop(within.split(surplus));
        }
    }

    fn held_steps(&self) -> usize {
        let within = self.within.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        within + self.extra.as_ref().map_or(0, |extra| extra.steps.num_permits())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // Before the permits go back, so that the figure never passes the limit.
        self.pool.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Pool {
    fn undivided(&self) -> u64 {
        self.undivided.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(used, Ordering::Relaxed);
    }

    fn too_large(&self, bytes: u64, most: u64) -> Failure {
        let text = format!(
            "{} ({bytes} bytes) are needed at once, and {} ({most} bytes) of the memory budget of {} can be given",
            ByteSize(bytes),
            ByteSize(most),
            ByteSize(self.limit)
        );
        Failure::new(Code::ValueTooLarge, text)
    }
}

/// Steps that hold so many bytes. More than the budget's limit never gets here.
fn steps_of(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(STEP_BYTES)).unwrap_or(u32::MAX)
}

fn rounded(bytes: u64) -> u64 {
    bytes.div_ceil(STEP_BYTES).saturating_mul(STEP_BYTES)
}

async fn take(semaphore: &Arc<Semaphore>, steps: u32) -> OwnedSemaphorePermit {
    let taken = Arc::clone(semaphore).acquire_many_owned(steps).await;
    taken.expect("the budget never closes its semaphores")
}
