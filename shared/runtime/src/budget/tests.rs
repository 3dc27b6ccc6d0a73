use std::time::Duration;

use tokio::time::timeout;

use super::*;

const KIB: u64 = 1024;

fn workers(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future)
        .await
        .expect("it does not wait for ever")
}

async fn waits<T>(future: impl Future<Output = T>) -> bool {
    timeout(Duration::from_secs(60), future).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn reservations_wait_in_line_and_figures_add_up() {
    let budget = MemoryBudget::new(100 * KIB);
    let mut first = budget.reserve(60 * KIB).await.unwrap();
    let large = budget.reserve(80 * KIB);
    tokio::pin!(large);
    assert!(waits(&mut large).await);
    // Behind the large one, although it would fit.
    let small = budget.reserve(10 * KIB);
    tokio::pin!(small);
    assert!(waits(&mut small).await);
    assert_eq!((budget.used(), budget.peak()), (60 * KIB, 60 * KIB));
    first.shrink(50 * KIB);
    let large = soon(large).await.unwrap();
    let small = soon(small).await.unwrap();
    assert_eq!(
        (budget.used(), budget.peak(), budget.limit()),
        (100 * KIB, 100 * KIB, 100 * KIB)
    );
    drop((first, large, small));
    assert_eq!((budget.used(), budget.peak()), (0, 100 * KIB));
}

#[tokio::test]
async fn what_can_never_be_met_is_refused_with_both_numbers() {
    let budget = MemoryBudget::new(100 * KIB);
    let refused = budget.reserve(100 * KIB + 1).await.unwrap_err();
    assert_eq!(refused.code, Code::ValueTooLarge);
    assert!(
        refused.message.contains("102401 bytes") && refused.message.contains("102400 bytes"),
        "{refused}"
    );
    let shares = budget.shares(workers(2));
    assert_eq!((shares[0].guaranteed(), shares[0].most()), (25 * KIB, 75 * KIB));
    assert_eq!(
        shares[0].reserve(75 * KIB + 1).await.unwrap_err().code,
        Code::ValueTooLarge
    );
    assert_eq!(shares[0].reserve(u64::MAX).await.unwrap_err().code, Code::ValueTooLarge);
    let mut held = shares[0].reserve(20 * KIB).await.unwrap();
    assert_eq!(
        shares[0].grow(&mut held, u64::MAX).await.unwrap_err().code,
        Code::ValueTooLarge
    );
    assert_eq!(
        shares[0].grow(&mut held, 55 * KIB + 1).await.unwrap_err().code,
        Code::ValueTooLarge
    );
    assert_eq!((held.bytes(), budget.used()), (20 * KIB, 20 * KIB));
    drop(held);
    assert_eq!(shares[0].reserve(75 * KIB).await.unwrap().bytes(), 75 * KIB);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_share_waits_for_its_own_worker_only() {
    let budget = MemoryBudget::new(100 * KIB);
    let shares = budget.shares(workers(2));
    let others = shares[1].reserve(75 * KIB).await.unwrap();
    let mine = soon(shares[0].reserve(25 * KIB)).await.unwrap();
    let next = shares[0].reserve(KIB);
    tokio::pin!(next);
    assert!(waits(&mut next).await);
    drop(mine);
    soon(next).await.unwrap();
    drop(others);
}

#[tokio::test(start_paused = true)]
async fn two_that_hold_and_want_more_take_turns() {
    let budget = MemoryBudget::new(100 * KIB);
    let shares = budget.shares(workers(2));
    let mut first = shares[0].reserve(25 * KIB).await.unwrap();
    let mut second = shares[1].reserve(25 * KIB).await.unwrap();
    soon(shares[0].grow(&mut first, 30 * KIB)).await.unwrap();
    {
        let grown = shares[1].grow(&mut second, KIB);
        tokio::pin!(grown);
        // There are free bytes, and the lane is the first one's until it is done.
        assert!(waits(&mut grown).await);
        soon(shares[0].grow(&mut first, 20 * KIB)).await.unwrap();
        assert_eq!(budget.used(), 100 * KIB);
        first.shrink(50 * KIB);
        soon(grown).await.unwrap();
    }
    assert_eq!((first.bytes(), second.bytes()), (25 * KIB, 26 * KIB));
    drop((first, second));
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn stages_of_one_worker_use_the_lane_together() {
    let budget = MemoryBudget::new(100 * KIB);
    let shares = budget.shares(workers(4));
    let reader = soon(shares[0].reserve(20 * KIB)).await.unwrap();
    let encoder = soon(shares[0].clone().reserve(20 * KIB)).await.unwrap();
    assert!(waits(shares[1].reserve(20 * KIB)).await);
    drop(reader);
    assert!(waits(shares[1].reserve(20 * KIB)).await);
    drop(encoder);
    soon(shares[1].reserve(20 * KIB)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_holds_nothing() {
    let budget = MemoryBudget::new(100 * KIB);
    let shares = budget.shares(workers(2));
    let first = shares[0].reserve(60 * KIB).await.unwrap();
    let mut second = shares[1].reserve(25 * KIB).await.unwrap();
    assert!(waits(shares[1].grow(&mut second, 10 * KIB)).await);
    assert_eq!(budget.used(), 85 * KIB);
    drop(first);
    soon(shares[0].reserve(75 * KIB)).await.unwrap();
}

/// Many workers grow and shrink at random, more than fits; every one of them ends, and no figure passes the limit.
#[tokio::test(start_paused = true)]
async fn any_number_of_growing_workers_comes_to_an_end() {
    for n in [1, 2, 3, 7] {
        let budget = MemoryBudget::new(1000 * KIB);
        let mut tasks = tokio::task::JoinSet::new();
        for (number, share) in budget.shares(workers(n)).into_iter().enumerate() {
            tasks.spawn(async move {
                let mut chance = number as u64 + 1;
                let mut next = move |below: u64| {
                    chance = chance
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (chance >> 33) % below
                };
                for _ in 0..300 {
                    let mut held = share.reserve(next(share.most())).await.unwrap();
                    for _ in 0..3 {
                        let wanted = next(100 * KIB);
                        let before = held.bytes();
                        match share.grow(&mut held, wanted).await {
                            Ok(()) => assert_eq!(held.bytes(), before + wanted),
                            Err(failure) => assert_eq!((failure.code, held.bytes()), (Code::ValueTooLarge, before)),
                        }
                        tokio::time::sleep(Duration::from_millis(next(5))).await;
                        held.shrink(next(200 * KIB));
                    }
                }
            });
        }
        let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
        timeout(Duration::from_secs(100_000), all)
            .await
            .expect("nobody waits for ever");
        assert_eq!(budget.used(), 0);
        assert!(budget.peak() <= budget.limit(), "{n}: {}", budget.peak());
    }
}
