use std::time::Duration;

use super::*;

const LIMIT: u64 = 1 << 30;

fn sample(current: u16, level: f64, history: History) -> Sample {
    Sample {
        memory_used: LIMIT / 16 * u64::from(current),
        memory_limit: LIMIT,
        own_cpu: 0.5,
        free_cpus: 0.0,
        foreign: Some(Strain {
            level,
            signal: "replica lag",
        }),
        memory: None,
        current,
        bounds: Bounds {
            floor: 2,
            usual: 16,
            ceiling: 16,
        },
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
    for (memory_used, own_cpu) in [(LIMIT, 0.1), (0, 1.0), (LIMIT, 1.0), (2 * LIMIT, 99.0), (0, f64::NAN)] {
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
fn beyond_the_usual_number_only_free_processors_lead() {
    let course = |free_cpus: &dyn Fn(u16) -> f64| {
        let (mut current, mut history, mut course) = (2, History::default(), Vec::new());
        for _ in 0..200 {
            let seen = Sample {
                foreign: None,
                free_cpus: free_cpus(current),
                bounds: Bounds {
                    floor: 1,
                    usual: 2,
                    ceiling: 6,
                },
                ..sample(current, 0.0, history)
            };
            let decision = decide(&seen);
            history = history.after(&seen, &decision);
            match decision {
                Decision::Raise { to, .. } => current = to,
                Decision::Lower { to, .. } => panic!("our own load lowered to {to}"),
                Decision::Hold { .. } => {}
            }
            course.push(current);
        }
        course
    };
    assert_eq!(course(&|_| 0.0).pop(), Some(2), "the server takes what we leave");
    assert_eq!(course(&|_| 2.0).pop(), Some(6));
    // Each worker takes most of a processor of four.
    let settled = course(&|workers| 4.0 - 0.8 * f64::from(workers));
    assert_eq!(settled.last(), Some(&5));
    assert_eq!(changes(&settled), 3, "{settled:?}");
}

#[test]
fn a_machine_short_of_memory_lowers_and_returns() {
    let (mut current, mut history, mut course) = (16, History::default(), Vec::new());
    for moment in 0..300 {
        let level = if (50..80).contains(&moment) { 1.5 } else { 0.1 };
        let seen = Sample {
            foreign: None,
            memory: Some(Strain {
                level,
                signal: "waits for memory",
            }),
            ..sample(current, 0.0, history)
        };
        let decision = decide(&seen);
        history = history.after(&seen, &decision);
        if let Decision::Raise { to, reason } | Decision::Lower { to, reason } = decision {
            assert!(to > current || reason.contains("waits for memory"), "{reason}");
            current = to;
        }
        course.push(current);
    }
    assert!(course[..50].iter().all(|n| *n == 16));
    assert!(course[79] < 8, "{course:?}");
    assert_eq!(course[299], 16);
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
    let course = gate.course();
    assert_eq!((course.start, course.now, course.lowest, course.highest), (3, 2, 1, 3));
    assert_eq!((course.changes, course.reason.as_deref()), (1, Some("calm")));
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
