use std::time::Duration;

use super::*;

const LIMIT: u64 = 1 << 30;

fn sample(current: u16, level: f64, history: History) -> Sample {
    Sample {
        memory_used: LIMIT / 16 * u64::from(current),
        memory_limit: LIMIT,
        own_cpu: 0.5,
        foreign: Some(Strain {
            level,
            signal: "replica lag",
        }),
        current,
        floor: 2,
        ceiling: 16,
        history,
    }
}

/// The numbers of workers over so many samples, with the strain that each number and moment brings.
fn run(start: u16, samples: u32, strain: impl Fn(u32, u16) -> f64) -> Vec<u16> {
    let (mut current, mut history, mut course) = (start, History::default(), Vec::new());
    for moment in 0..samples {
        let seen = sample(current, strain(moment, current), history);
        let decision = decide(&seen);
        history = history.after(&seen, &decision);
        if let Decision::Raise { to, .. } | Decision::Lower { to, .. } = decision {
            current = to;
        }
        course.push(current);
    }
    course
}

fn changes(course: &[u16]) -> usize {
    course.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

#[test]
fn a_sample_decides_by_its_history() {
    let history = |strained, calm, since_change| History {
        strained,
        calm,
        since_change,
        ..History::default()
    };
    let cases = [
        ("first strain", sample(8, 1.5, history(0, 9, 9)), None),
        ("strain for sure", sample(8, 1.5, history(1, 0, 9)), Some(6)),
        ("strain, just lowered", sample(8, 1.5, history(1, 0, 0)), None),
        ("strain at the floor", sample(2, 9.0, history(9, 0, 9)), None),
        (
            "strain near the floor",
            sample(3, f64::INFINITY, history(9, 0, 9)),
            Some(2),
        ),
        ("strain for long", sample(2, 9.0, history(99, 0, 99)), Some(3)),
        ("in between", sample(8, 0.9, history(0, 0, 9)), None),
        ("calm, not for sure", sample(8, 0.1, history(0, 1, 9)), None),
        ("calm for sure", sample(8, 0.1, history(0, 2, 9)), Some(10)),
        ("calm, no number", sample(8, f64::NAN, history(0, 2, 9)), Some(10)),
        ("calm at the ceiling", sample(16, 0.1, history(0, 9, 9)), None),
        ("ceiling lowered", sample(20, 0.1, history(0, 9, 9)), Some(16)),
        ("below the floor", sample(0, 0.1, history(0, 0, 0)), Some(2)),
    ];
    for (what, sample, expected) in cases {
        let to = match decide(&sample) {
            Decision::Hold { reason } => {
                assert!(!reason.is_empty());
                None
            }
            Decision::Raise { to, .. } => Some(to).filter(|to| *to > sample.current),
            Decision::Lower { to, .. } => Some(to).filter(|to| *to < sample.current),
        };
        assert_eq!(to, expected, "{what}");
    }
}

#[test]
fn our_own_load_never_lowers() {
    for (memory_used, own_cpu) in [(LIMIT, 0.1), (0, 1.0), (LIMIT, 1.0), (2 * LIMIT, 99.0)] {
        for foreign in [None, Some(Strain { level: 0.0, signal: "" })] {
            let busy = Sample {
                memory_used,
                own_cpu,
                foreign,
                ..sample(
                    8,
                    0.0,
                    History {
                        calm: 99,
                        since_change: 9,
                        ..History::default()
                    },
                )
            };
            assert!(
                !matches!(decide(&busy), Decision::Lower { .. }),
                "{memory_used} {own_cpu}"
            );
            let full = matches!(decide(&busy), Decision::Hold { .. });
            assert_eq!(
                full,
                memory_used >= LIMIT,
                "memory that is full holds, busy processors do not"
            );
        }
    }
}

#[test]
fn an_idle_server_lets_workers_return_to_the_ceiling() {
    let episode = |moment: u32, _| if (100..130).contains(&moment) { 3.0 } else { 0.0 };
    let course = run(16, 400, episode);
    assert!(course[..100].iter().all(|n| *n == 16));
    assert_eq!(course[129], 2, "{course:?}");
    assert_eq!(course[200..].iter().min(), Some(&16), "{course:?}");
}

#[test]
fn a_strain_that_grows_with_us_settles_without_swinging() {
    // Tolerated up to seven workers; at eight others feel it.
    let course = run(16, 2000, |_, workers| f64::from(workers) / 7.5);
    assert!(course[50..].iter().all(|n| (4..=8).contains(n)), "{course:?}");
    assert!(changes(&course[50..]) <= 2 * (2000 / 60), "{course:?}");
    // A cliff: no number lies between calm and strain.
    let course = run(16, 2000, |_, workers| if workers > 7 { 2.0 } else { 0.0 });
    assert!(changes(&course[1000..]) <= 20, "{:?}", &course[1000..]);
    assert!(course[50..].iter().filter(|n| **n > 7).count() < 100, "{course:?}");
}

#[test]
fn noise_changes_nothing() {
    // One sample in four is bad, and never two in a row.
    let course = run(16, 1000, |moment, _| if moment % 4 == 0 { 5.0 } else { 0.2 });
    assert_eq!(changes(&course), 0);
}

#[test]
fn a_strain_that_is_not_ours_is_probed_now_and_then() {
    let course = run(16, 3000, |_, _| 1.2);
    assert!(course[100..].iter().all(|n| *n <= 3), "{course:?}");
    let probes = changes(&course[100..]);
    assert!((2..=30).contains(&probes), "{probes}");
}

#[tokio::test(start_paused = true)]
async fn the_gate_narrows_as_permits_come_back_and_widens_at_once() {
    let gate = Gate::new(3);
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(gate.enter().await);
    }
    let waits = async || {
        tokio::time::timeout(Duration::from_secs(9), gate.enter())
            .await
            .is_err()
    };
    gate.resize(1);
    assert_eq!(gate.width(), 1);
    inside.pop();
    assert!(waits().await, "two are in, one may be");
    inside.pop();
    assert!(waits().await, "one is in, one may be");
    gate.apply(&Decision::Raise {
        to: 2,
        reason: "calm".to_owned(),
    });
    inside.push(gate.enter().await);
    assert!(waits().await);
    inside.clear();
    // Narrowed and widened again while all are out and in: exactly two fit in the end.
    let held = [gate.enter().await, gate.enter().await];
    gate.resize(0);
    gate.resize(2);
    drop(held);
    let _held = [gate.enter().await, gate.enter().await];
    assert!(waits().await);
}
