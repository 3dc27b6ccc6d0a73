use super::*;

fn lost() -> Answer {
    Answer::Lost("gone".to_owned())
}

fn kinds(outcomes: &[Outcome]) -> String {
    let letter = |outcome: &Outcome| match outcome {
        Outcome::Taken => 't',
        Outcome::Refused => 'r',
        Outcome::Returned => 'b',
        Outcome::Unsent(_) => 's',
        Outcome::Unknown(_) => 'u',
        Outcome::NotConfirmed => 'd',
    };
    outcomes.iter().map(letter).collect()
}

#[test]
fn a_return_is_matched_by_its_message_and_never_by_its_place() {
    // The library attached the return of message 1 to the confirm of message 0; the answers are equal.
    let outcomes = judge(vec![Answer::Ack, Answer::Ack, Answer::Nack], |number| number == 1);
    assert_eq!(kinds(&outcomes), "tbr");
}

#[test]
fn a_window_with_a_missing_answer_proves_nothing_about_the_others() {
    let outcomes = judge(vec![Answer::Ack, lost(), Answer::Nack, Answer::Ack], |number| {
        number == 3
    });
    assert_eq!(kinds(&outcomes), "uurb");
}

#[test]
fn an_unconfirmed_channel_is_a_defect_and_no_success() {
    assert_eq!(kinds(&judge(vec![Answer::NotRequested], |_| false)), "d");
}

#[test]
fn a_complete_window_is_taken() {
    assert_eq!(kinds(&judge(vec![Answer::Ack; 3], |_| false)), "ttt");
    assert_eq!(kinds(&judge(Vec::new(), |_| true)), "");
}
