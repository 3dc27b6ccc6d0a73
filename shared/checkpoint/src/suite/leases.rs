//! Leases between two handles.

use std::time::{Duration, Instant};

use super::Subject;
use crate::Lease;

const LONG: Duration = Duration::from_secs(600);
const DEADLINE: Duration = Duration::from_secs(30);

fn busy(holder: &str) -> Lease {
    Lease::Busy {
        holder: holder.to_owned(),
    }
}

pub async fn leases_are_taken_renewed_and_given_back(subject: Subject) {
    let Subject { first, second } = subject;
    for _ in 0..2 {
        assert_eq!(first.lease("job-1", "a", LONG).await, Ok(Lease::Held));
        assert_eq!(second.lease("job-1", "b", LONG).await, Ok(busy("a")));
        // A holder is known by its name, whichever handle it uses; one handle can serve two holders.
        assert_eq!(first.lease("job-1", "b", LONG).await, Ok(busy("a")));
    }
    assert_eq!(second.lease("job-2", "b", LONG).await, Ok(Lease::Held));
    // Nobody can give back what is somebody else's.
    assert_eq!(second.lease("job-1", "b", Duration::ZERO).await, Ok(busy("a")));
    assert_eq!(first.lease("job-1", "a", Duration::ZERO).await, Ok(Lease::Held));
    assert_eq!(first.lease("job-1", "a", Duration::ZERO).await, Ok(Lease::Held));
    assert_eq!(second.lease("job-1", "b", LONG).await, Ok(Lease::Held));
    assert_eq!(first.lease("job-1", "a", LONG).await, Ok(busy("b")));
}

pub async fn leases_end_with_their_time(subject: Subject) {
    let Subject { first, second } = subject;
    let short = Duration::from_millis(300);
    let begun = Instant::now();
    assert_eq!(first.lease("job-1", "a", short).await, Ok(Lease::Held));
    let taken = tokio::time::timeout(DEADLINE, async {
        while second.lease("job-1", "b", LONG).await != Ok(Lease::Held) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    taken.await.expect("the lease ends before the deadline");
    assert!(begun.elapsed() >= short, "the lease ended after {:?}", begun.elapsed());
    assert_eq!(first.lease("job-1", "a", short).await, Ok(busy("b")));
    // A lease that is renewed does not end.
    assert_eq!(first.lease("job-2", "a", short).await, Ok(Lease::Held));
    assert_eq!(first.lease("job-2", "a", LONG).await, Ok(Lease::Held));
    while begun.elapsed() < 3 * short {
        assert_eq!(second.lease("job-2", "b", LONG).await, Ok(busy("a")));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn one_of_many_gets_a_lease(subject: Subject) {
    for round in 0..20 {
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..8 {
            let handle = if racer % 2 == 0 {
                &subject.first
            } else {
                &subject.second
            };
            let handle = std::sync::Arc::clone(handle);
            racers.spawn(async move {
                handle
                    .lease(&format!("job-{round}"), &format!("racer-{racer}"), LONG)
                    .await
            });
        }
        let mut held = 0;
        while let Some(answer) = racers.join_next().await {
            let answer = answer.expect("no racer panics").expect("leasing works");
            held += u32::from(answer == Lease::Held);
        }
        assert_eq!(held, 1);
    }
}
