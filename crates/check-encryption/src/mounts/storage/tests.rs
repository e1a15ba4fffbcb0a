//! On recorded trees: /proc and /sys in the forms of proc_pid_mountinfo(5) and of Linux's
//! Documentation/ABI/stable/sysfs-block, options of eCryptfs as fs/ecryptfs/super.c shows them, `zfs get -H` as zfs-get(8)
//! writes it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use serde_json::{Value, json};

use super::*;
use crate::luks::Luks;
use crate::luks::tests::{luks2, metadata};
use crate::mounts::tests::machine;
use crate::testing::{Machine, observe_on};

async fn look(machine: &Machine, device: Option<&str>, mounts: &[&str]) -> Value {
    let spec = json!({ "device": device, "mounts": mounts });
    observe_on(Storage { root: machine.root() }, SORT, spec).await.unwrap()
}

/// Outcome and layer of each holder of the first path.
fn holders(facts: &Value) -> Vec<(&str, &str, Option<&str>)> {
    let holders = facts["paths"][0]["holders"].as_array().unwrap();
    holders
        .iter()
        .map(|h| {
            let encryption = &h["encryption"];
            (h["name"].as_str().unwrap(), encryption["outcome"].as_str().unwrap(), encryption["layer"].as_str())
        })
        .collect()
}

/// The machine of the mounts' tests, whose first encrypted partition has a header with the UUID that it was opened with.
fn with_header() -> Machine {
    let machine = machine();
    machine.file("/sys/devices/block/dm-0/dm/uuid", "CRYPT-LUKS2-ccaee57121db44e49bb1dc16b6c9433d-cryptroot\n");
    let image = luks2(metadata("aes-xts-plain64", 64).to_string().as_bytes(), [3, 3], 0x4_0000);
    machine.file("/dev/nvme0n1p2", image);
    machine.file("/srv/x/file", "");
    machine
}

#[tokio::test]
async fn every_file_system_below_a_path_counts() {
    let machine = machine();
    machine.file("/var/lib/data/x", "");
    machine.file("/srv/bound/x", "");
    // The root is encrypted; /var/lib/data is mounted from half a disk that is not.
    let facts = look(&machine, None, &["/var/lib"]).await;
    let found = holders(&facts);
    assert!(found.contains(&("/", "present", Some("LUKS2"))), "{found:?}");
    assert!(found.contains(&("/var/lib/data", "absent", Some("LUKS1"))), "{found:?}");
    // An overlay whose folders are not there is nothing that can be judged.
    assert!(found.contains(&("/var/lib/docker/overlay2/x/merged", "not_proven", None)), "{found:?}");
    let facts = look(&machine, None, &["/srv/bound"]).await;
    assert_eq!(holders(&facts), [("/", "present", Some("LUKS2"))]);
    assert_eq!(facts["paths"][0]["holders"][0]["on_device"]["outcome"], "not_proven");
}

#[tokio::test]
async fn links_lead_to_where_the_data_are() {
    let machine = machine();
    machine.file("/var/lib/data/chat/x", "");
    machine.link("/srv/chat", "../var/lib/data/chat");
    let facts = look(&machine, None, &["/srv/chat", "/srv/missing"]).await;
    assert_eq!(facts["paths"][0]["real"], "/var/lib/data/chat");
    assert_eq!(holders(&facts), [("/var/lib/data", "absent", Some("LUKS1"))]);
    assert_eq!(facts["paths"][1]["outcome"], "not_proven");
    machine.link("/srv/a", "b");
    machine.link("/srv/b", "a");
    let facts = look(&machine, None, &["/srv/a"]).await;
    assert!(facts["paths"][0]["why"].as_str().unwrap().contains("symbolic links"), "{facts}");
}

#[tokio::test]
async fn the_declared_device_is_found_by_the_uuid_of_its_header() {
    let machine = with_header();
    machine.file("/dev/sdq", luks2(b"{}", [1, 1], 0x8000));
    for (device, outcome) in [("/dev/nvme0n1p2", "present"), ("/dev/sdq", "absent"), ("/dev/none", "absent")] {
        let facts = look(&machine, Some(device), &["/srv/x"]).await;
        assert_eq!(facts["paths"][0]["holders"][0]["on_device"]["outcome"], outcome, "{device}: {facts}");
    }
    // A copy of the header alone, as a detached one is.
    machine.file("/etc/header.img", std::fs::read(machine.path("/dev/nvme0n1p2")).unwrap());
    let facts = look(&machine, Some("/etc/header.img"), &["/srv/x"]).await;
    assert_eq!(facts["paths"][0]["holders"][0]["on_device"]["outcome"], "present");
    // Without a declared device the header is found beneath the path.
    let spec = json!({ "device": null, "mounts": ["/srv/x", "/run"] });
    let facts = observe_on(Luks { root: machine.root() }, SORT, spec.clone()).await.unwrap();
    assert_eq!(facts["volumes"][0]["name"], "/dev/nvme0n1p2", "{facts}");
    assert_eq!(facts["volumes"][0]["segments"][0]["cipher"]["strength_bits"], 256);
    assert_eq!((&facts["asked"], &facts["not_read"][0]["name"]), (&json!("all"), &json!("/run")));
    // Another header on that device is not the one that is in use.
    machine.file("/sys/devices/block/dm-0/dm/uuid", "CRYPT-LUKS2-00000000000000000000000000000000-cryptroot\n");
    let facts = observe_on(Luks { root: machine.root() }, SORT, spec).await.unwrap();
    assert_eq!(facts["volumes"], json!([]));
    assert!(facts["not_read"][0]["why"].as_str().unwrap().contains("nvme0n1p2"), "{facts}");
}

#[tokio::test]
async fn a_copy_of_the_header_does_not_hide_that_on_the_disk() {
    let machine = with_header();
    machine.file("/etc/header.img", std::fs::read(machine.path("/dev/nvme0n1p2")).unwrap());
    let spec = json!({ "device": "/etc/header.img", "mounts": ["/srv/x"] });
    let facts = observe_on(Luks { root: machine.root() }, SORT, spec.clone()).await.unwrap();
    assert_eq!((facts["volumes"].as_array().unwrap().len(), &facts["not_read"]), (1, &json!([])), "{facts}");
    let weak = luks2(metadata("cipher_null-ecb", 64).to_string().as_bytes(), [4, 4], 0x4_0000);
    machine.file("/dev/nvme0n1p2", weak);
    let facts = observe_on(Luks { root: machine.root() }, SORT, spec).await.unwrap();
    let seen = |at: usize, key: &str| facts["volumes"][at][key].clone();
    assert_eq!((seen(0, "name"), seen(1, "name")), (json!("/etc/header.img"), json!("/dev/nvme0n1p2")), "{facts}");
    assert_eq!(
        (seen(1, "declared"), seen(1, "segments")[0]["cipher"]["strength_bits"].clone()),
        (json!(false), json!(0))
    );
}

#[tokio::test]
async fn a_covered_mount_neither_holds_nor_counts() {
    let machine = machine();
    machine.file("/mnt/x/file", "");
    let table = "27 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw\n30 27 259:1 / /mnt rw - ext2 /dev/nvme0n1p1 rw\n\
                 31 30 0:40 / /mnt/x rw - tmpfs none rw\n";
    machine.file("/proc/self/mountinfo", table);
    assert_eq!(holders(&look(&machine, None, &["/mnt/x"]).await), [("/mnt/x", "present", None)]);
    machine.file("/proc/self/mountinfo", format!("{table}32 30 259:1 / /mnt rw - ext2 /dev/nvme0n1p1 rw\n"));
    assert_eq!(holders(&look(&machine, None, &["/mnt/x"]).await), [("/mnt", "absent", None)]);
    assert_eq!(holders(&look(&machine, None, &["/mnt"]).await), [("/mnt", "absent", None)]);
}

/// One mount, and what is said of a folder on it.
async fn on(mount: &str, prepare: impl Fn(&Machine)) -> (String, Option<String>) {
    let machine = machine();
    machine.file("/proc/self/mountinfo", format!("27 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw\n{mount}\n"));
    machine.file("/mnt/x/file", "");
    prepare(&machine);
    let facts = look(&machine, None, &["/mnt/x"]).await;
    let encryption = &facts["paths"][0]["holders"][0]["encryption"];
    let text = |key: &str| encryption[key].as_str().map(str::to_owned);
    (text("outcome").unwrap(), text("layer"))
}

fn said(outcome: &str, layer: Option<&str>) -> (String, Option<String>) {
    (outcome.to_owned(), layer.map(str::to_owned))
}

#[tokio::test]
async fn file_systems_that_encrypt_by_themselves() {
    let ecryptfs =
        "30 27 0:40 / /mnt rw - ecryptfs /srv/.enc rw,ecryptfs_sig=0,ecryptfs_cipher=aes,ecryptfs_key_bytes=32";
    assert_eq!(on(ecryptfs, |_| ()).await, said("present", Some("eCryptfs")));
    assert_eq!(on(&format!("{ecryptfs},ecryptfs_passthrough"), |_| ()).await, said("not_proven", None));
    assert_eq!(on("30 27 0:40 / /mnt rw - ecryptfs /srv/.enc rw", |_| ()).await, said("not_proven", None));

    let gocryptfs = "30 27 0:40 / /mnt rw - fuse.gocryptfs /srv/.enc rw,user_id=0,group_id=0";
    let config = |machine: &Machine| machine.file("/srv/.enc/gocryptfs.conf", "{}");
    assert_eq!(on(gocryptfs, config).await, said("present", Some("gocryptfs")));
    assert_eq!(on(gocryptfs, |_| ()).await, said("not_proven", None));
    assert_eq!(on(&gocryptfs.replace("user_id=0", "user_id=1000"), config).await, said("not_proven", None));

    let zfs = "30 27 0:40 / /mnt rw - zfs tank/data rw,xattr,noacl";
    let program = |value: &'static str| {
        move |machine: &Machine| {
            machine.file(
                "/usr/sbin/zfs",
                format!("#!/bin/sh\n[ \"$6\" = tank/data ] && printf 'encryption\\t{value}\\n'\n"),
            );
            machine.mode("/usr/sbin/zfs", 0o755);
        }
    };
    assert_eq!(on(zfs, program("aes-256-gcm")).await, said("present", Some("ZFS")));
    for value in ["off", "-", "on"] {
        assert_eq!(on(zfs, program(value)).await, said("not_proven", None), "{value}");
    }
    assert_eq!(on(zfs, |_| ()).await, said("not_proven", None));
}

#[tokio::test]
async fn an_overlay_is_as_bare_as_its_barest_folder() {
    let overlay = "30 27 0:40 / /mnt rw - overlay overlay rw,lowerdir=/low/a:/low/b,upperdir=/up,workdir=/work";
    let folders = |machine: &Machine| ["/low/a/x", "/low/b/x", "/up/x"].iter().for_each(|path| machine.file(path, ""));
    assert_eq!(on(overlay, folders).await, said("present", Some("LUKS2")));
    assert_eq!(on(overlay, |_| ()).await, said("not_proven", None));
    let bare = format!("29 27 259:1 / /low/b rw - ext2 /dev/nvme0n1p1 rw\n{overlay}");
    assert_eq!(on(&bare, folders).await, said("absent", None));
    // The root of a container.
    let machine = machine();
    machine.file("/proc/self/mountinfo", overlay.replace(" /mnt ", " / "));
    folders(&machine);
    assert_eq!(holders(&look(&machine, None, &["/up"]).await), [("/", "not_proven", None)]);
}

#[tokio::test]
async fn an_image_in_a_loop_lies_where_its_file_does() {
    let machine = machine();
    let root = "27 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw\n28 27 259:1 / /boot rw - ext2 /dev/nvme0n1p1 rw";
    machine.file("/proc/self/mountinfo", format!("{root}\n30 27 7:0 / /mnt rw - ext4 /dev/loop0 rw\n"));
    machine.link("/sys/dev/block/7:0", "../../devices/virtual/block/loop0");
    machine.link("/sys/class/block/loop0", "../../devices/virtual/block/loop0");
    machine.file("/mnt/x", "");
    for (file, outcome) in [("/srv/disk.img", "present"), ("/boot/disk.img", "absent")] {
        machine.file("/sys/devices/virtual/block/loop0/loop/backing_file", format!("{file}\n"));
        let facts = look(&machine, None, &["/mnt"]).await;
        assert_eq!(facts["paths"][0]["holders"][0]["encryption"]["outcome"], outcome, "{facts}");
    }
}

#[tokio::test]
async fn of_very_many_mounts_the_rest_is_not_claimed() {
    let machine = machine();
    let mut table = "27 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw\n".to_owned();
    for number in 0..=MOST_BELOW {
        table += &format!("{} 27 0:40 / /srv/{number} rw - tmpfs tmpfs rw\n", number + 100);
    }
    machine.file("/proc/self/mountinfo", &table);
    machine.file("/srv/0/x", "");
    let facts = look(&machine, None, &["/srv"]).await;
    assert_eq!(facts["paths"][0]["asked"], json!([]));
    assert_eq!(holders(&facts).len(), MOST_BELOW + 1);
    machine.file("/proc/self/mountinfo", table.lines().take(MOST_BELOW + 1).collect::<Vec<_>>().join("\n"));
    assert_eq!(look(&machine, None, &["/srv"]).await["paths"][0]["asked"], "all");
}
