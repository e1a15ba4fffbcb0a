//! Files and folders that are read on a thread of their own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Told, observe};
use model::{Evidence, Facts, FailureClass};
use probe::{Cx, Limits, OpenFile, OpenFolder, Stop};

const LONG: Duration = Duration::from_secs(600);

/// Lets a probe do something with an open file and folder, and gives its evidence.
async fn told(
    dir: &Path,
    limits: Limits,
    stop: Stop,
    act: impl Fn(&mut OpenFile, &OpenFolder) + Clone + Send + Sync + 'static,
) -> Evidence {
    let dir = dir.to_owned();
    let probe = Told::new(move |cx: &Cx| {
        let (dir, act) = (dir.clone(), act.clone());
        Box::pin(async move {
            let mut file = cx.open_file(dir.join("file"), LONG).await.unwrap();
            let folder = cx.open_folder(&dir, LONG).await.unwrap();
            tokio::task::spawn_blocking(move || act(&mut file, &folder)).await.unwrap();
            Ok(Facts::default())
        })
    });
    let evidence = observe(probe, limits, stop).await;
    // A run that was stopped fails otherwise, and should.
    let panicked = evidence.failure.as_ref().filter(|failure| failure.class == FailureClass::Panic);
    assert_eq!(panicked, None);
    evidence
}

#[tokio::test]
async fn what_was_read_is_written_down_and_no_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("file"), "0123456789").unwrap();
    fs::create_dir_all(at("a/b")).unwrap();
    fs::write(at("a/b/deep"), "12345").unwrap();
    std::os::unix::fs::symlink("/etc", at("out")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", at("a/link")).unwrap();
    let evidence = told(dir.path(), Limits::default(), Stop::default(), |file, folder| {
        file.seek(SeekFrom::Start(6)).unwrap();
        let mut rest = String::new();
        file.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "6789");
        let mut found = Vec::new();
        let link = folder.each(100, &mut |file| found.push((file.name.to_owned(), file.size))).unwrap();
        found.sort();
        assert_eq!(found, [("a/b/deep".to_owned(), 5), ("file".to_owned(), 10)]);
        assert!(link.is_some());
        folder.open("a/b/deep").unwrap().unwrap().read_to_string(&mut rest).unwrap();
        assert!(folder.open("nothing").unwrap().is_none());
        assert!(folder.open("file/nothing").unwrap().is_none());
        for name in ["a/link", "out/hostname", "../x", "a/b", "a"] {
            assert!(folder.open(name).is_err(), "{name}");
        }
        assert!(folder.each(2, &mut |_| {}).is_err());
    })
    .await;
    let mut read: Vec<_> = evidence.provenance.files.iter().map(|f| (f.path.clone(), f.bytes)).collect();
    read.sort();
    assert_eq!(read, [(format!("{}/", dir.path().display()), 5), (at("file").display().to_string(), 4)]);
}

#[tokio::test]
async fn reading_ends_with_the_time_and_with_the_run() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "0123456789").unwrap();
    let limits = || Limits { deadline: Duration::from_millis(900), ..Limits::default() };
    let began = Instant::now();
    told(dir.path(), limits(), Stop::default(), |file, folder| {
        let mut byte = [0];
        while file.read(&mut byte).is_ok() {
            file.rewind().unwrap_or_default();
        }
        assert!(folder.open("file").is_err() && folder.each(9, &mut |_| {}).is_err());
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let stop = Stop::default();
    let switch = stop.clone();
    let began = Instant::now();
    told(dir.path(), Limits::default(), stop, move |file, _| {
        assert!(file.read(&mut [0]).is_ok());
        switch.stop();
        assert!(file.read(&mut [0]).is_err());
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn nothing_but_regular_files_and_folders() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let path = dir.path().to_owned();
    let probe = Told::new(move |cx: &Cx| {
        let path = path.clone();
        Box::pin(async move {
            assert!(cx.open_device(path.join("fifo"), LONG).await.is_err());
            assert!(cx.open_device(&path, LONG).await.is_err());
            // Opening some character devices is an act.
            assert!(cx.open_device("/dev/null", LONG).await.is_err());
            assert!(cx.open_file(path.join("fifo"), LONG).await.is_err());
            assert!(cx.open_file(&path, LONG).await.is_err());
            assert!(cx.open_file(path.join("missing"), LONG).await.is_err());
            assert!(cx.open_folder(path.join("fifo"), LONG).await.is_err());
            let folder = cx.open_folder(&path, LONG).await.unwrap();
            assert!(folder.open("fifo").is_err());
            Ok(Facts::default())
        })
    });
    let evidence = observe(probe, Limits::default(), Stop::default()).await;
    assert!(evidence.failure.is_none(), "{:?}", evidence.failure);
}
