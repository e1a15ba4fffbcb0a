#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::{conclude, log};
use crate::facts::Outcome;

const SUMMARY: &str = r#"{"message_type":"summary","total_files_processed":3,"total_bytes_processed":30,"data_added":9,"snapshot_id":"5f2c01ab"}"#;

fn outcome(text: &str) -> Vec<Outcome> {
    log::read(text).iter().map(|job| conclude(job).outcome).collect()
}

#[test]
fn a_job_is_complete_only_where_its_log_says_how_it_ended() {
    use Outcome::{Absent, NotProven, Present};
    assert_eq!(outcome(&format!("{SUMMARY}\nexit 0\n")), [Present]);
    assert_eq!(outcome(&format!("{SUMMARY}\n{{\"exit\": 0}}\n")), [Present]);
    assert_eq!(outcome(&format!("open repository\n{SUMMARY}\nexit code: 3\n")), [Absent]);
    assert_eq!(outcome(SUMMARY), [NotProven]);
    assert_eq!(outcome(&format!("what is this\n{SUMMARY}\nexit 0\n")), [NotProven]);
    // restic 0.14 names a missing path on standard error and ends with 0.
    assert_eq!(outcome(&format!("/no/such does not exist, skipping\n{SUMMARY}\nexit 0\n")), [Absent]);
    let error = r#"{"message_type":"error","error":{"Op":"open"},"during":"archival","item":"/etc/shadow"}"#;
    assert_eq!(outcome(&format!("{error}\n{SUMMARY}\nexit 0\n")), [Absent]);
    assert_eq!(outcome("exit 0\n"), [], "a log without a copy says nothing of one");
}

#[test]
fn jobs_follow_each_other_in_one_log() {
    use Outcome::{Absent, Present};
    let second = SUMMARY.replace("5f2c01ab", "aa00bb11");
    let text = format!("{SUMMARY}\nexit 0\nWarning: at least one source file could not be read\n{second}\nexit 3\n");
    assert_eq!(outcome(&text), [Present, Absent]);
}

#[test]
fn borg_spreads_its_answer_over_lines() {
    let answer = "{\n    \"archive\": {\n        \"name\": \"host1-2026\",\n        \"stats\": {\n \"nfiles\": 4,\n \"original_size\": 40,\n \"deduplicated_size\": 7\n }\n    }\n}\n";
    let warning = r#"{"type": "log_message", "levelname": "WARNING", "message": "/nonexist: stat: [Errno 2]"}"#;
    assert_eq!(outcome(&format!("{answer}exit 0\n")), [Outcome::Present]);
    assert_eq!(outcome(&format!("{warning}\n{answer}exit 1\n")), [Outcome::Absent]);
    let jobs = log::read(answer);
    assert_eq!(jobs.first().map(|j| (j.made.clone(), j.files)), Some((vec!["host1-2026".to_owned()], Some(4))));
}

proptest! {
    #[test]
    fn any_text_is_read(text in "(\\PC|\\{|\\}|\"|\n){0,400}") {
        let _ = log::read(&text);
    }
}
