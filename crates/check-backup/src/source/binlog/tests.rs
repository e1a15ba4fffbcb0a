#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

/// Three files that MariaDB 10.11 wrote: two were rotated, the last one ends with a shutdown.
fn file(number: u8) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/format/fixtures/binlog");
    std::fs::read(format!("{folder}/bin.00000{number}")).unwrap()
}

fn look(number: u8) -> (String, Head, Last) {
    let bytes = file(number);
    let head = head(&bytes).unwrap();
    let end = head.end(&bytes, bytes.len() as u64);
    (format!("bin.00000{number}"), head, end)
}

#[test]
fn what_a_server_wrote() {
    let (one, two, three) = (look(1), look(2), look(3));
    assert_eq!(one.2.end, End::Rotates("bin.000002".to_owned()));
    assert_eq!(three.2.end, End::Stops);
    assert_eq!(one.2.gtid, Some(((0, 1), 3)));
    assert_eq!(one.1.before, Some(Positions::new()));
    assert_eq!(two.1.before, Some(Positions::from([((0, 1), 3)])));
    assert_eq!((link(&one, &two), link(&two, &three)), (Ok(None), Ok(None)));
    assert!(link(&one, &three).unwrap().unwrap().contains("goes on in bin.000002"));
    // A shutdown names no successor; the positions tell.
    let stopped =
        |of: &(String, Head, Last)| (of.0.clone(), of.1.clone(), Last { end: End::Stops, gtid: None, ..of.2.clone() });
    assert!(link(&stopped(&three), &two).unwrap().unwrap().contains("another history"));
    assert!(link(&stopped(&three), &one).unwrap_err().contains("does not tell"));
}

#[test]
fn what_another_server_wrote_does_not_follow() {
    let (one, two) = (look(1), look(2));
    let other = |change: &dyn Fn(&mut Head)| {
        let mut other = two.clone();
        change(&mut other.1);
        link(&one, &other)
    };
    // Of the same domain and server, with more transactions than this one ever had.
    let more = other(&|head| head.before = Some(Positions::from([((0, 1), 900)])));
    assert!(more.clone().unwrap().unwrap().contains("does not begin there"), "{more:?}");
    let server = other(&|head| head.before = Some(Positions::from([((0, 2), 900)])));
    assert!(server.clone().unwrap().unwrap().contains("another history"), "{server:?}");
    // A whole domain can be taken out.
    let domain = other(&|head| head.before = Some(Positions::from([((7, 1), 3)])));
    assert!(domain.clone().unwrap_err().contains("does not tell"), "{domain:?}");
    // What carries no positions is known by its server and its time alone.
    assert_eq!(other(&|head| head.before = None), Ok(None));
    let bare = |change: &dyn Fn(&mut Head)| other(&|head| (head.before, _) = (None, change(head)));
    assert!(bare(&|head| head.server = 2).unwrap_err().contains("by the server 2"));
    assert!(bare(&|head| head.begun = one.2.at + 601).unwrap_err().contains("another server"));
    assert!(bare(&|head| head.begun = one.2.at - 601).unwrap_err().contains("another server"));
    assert_eq!(
        (bare(&|head| head.begun = one.2.at + 600), bare(&|head| head.begun = one.2.at - 600)),
        (Ok(None), Ok(None))
    );
}

#[test]
fn what_is_cut_does_not_end() {
    let bytes = file(1);
    let head = head(&bytes).unwrap();
    for length in 0..bytes.len() {
        assert_eq!(head.end(&bytes[..length], length as u64).end, End::Open, "{length}");
    }
    // A file that was cut inside and kept its end is as long as its last event does not say.
    let mut spliced = bytes.clone();
    spliced.drain(400..440);
    assert_eq!(head.end(&spliced, spliced.len() as u64).end, End::Open);
}

#[test]
fn a_changed_head_or_end_is_seen() {
    let bytes = file(2);
    let sound = head(&bytes).unwrap();
    for at in 0..252 {
        // The flag of a file that is being written is not covered.
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        assert!(head(&changed).is_err() || at == 21, "{at}");
    }
    for at in bytes.len() - 41..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        assert_eq!(sound.end(&changed, changed.len() as u64).end, End::Open, "{at}");
    }
}

#[test]
fn names_and_places() {
    assert_eq!(numbered("mysql-bin.000042"), Some(("mysql-bin", 42)));
    assert_eq!(numbered("a.b.1000000"), Some(("a.b", 1_000_000)));
    for other in ["mysql-bin.index", "mysql-bin.state", "000042", "x.42", "x.99999999999999999999999999", ""] {
        assert_eq!(numbered(other), None, "{other}");
    }
    assert_eq!(base("./log/bin.000001"), "bin.000001");
    let bytes = file(3);
    assert!(begins(&bytes[4..], 4) && begins(&bytes[538..], 538));
    assert!(!begins(&bytes[5..], 5) && !begins(&[], 4));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..600), marked in any::<bool>()) {
        if marked && bytes.len() >= 4 {
            bytes[..4].copy_from_slice(MAGIC);
        }
        let _ = head(&bytes);
        let any = Head { checksums: marked, encrypted: false, before: None, begun: 0, server: 1 };
        let _ = any.end(&bytes, bytes.len() as u64);
        let _ = begins(&bytes, 7);
    }

    #[test]
    fn any_change_is_survived(at in 0_usize..561, value in any::<u8>(), length in 0_usize..561) {
        let mut bytes = file(3);
        bytes[at] = value;
        bytes.truncate(length);
        if let Ok(head) = head(&bytes) {
            let _ = head.end(&bytes, bytes.len() as u64);
        }
    }

    #[test]
    fn any_list_is_survived(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = positions(&body);
    }
}
