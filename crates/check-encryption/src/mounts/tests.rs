#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use serde_json::{Value, json};

use super::*;
use crate::facts::LayerKind;
use crate::testing::{Machine, observe};

/// A laptop: LVM on LUKS2 for the root, a second disk that is half encrypted, a bare boot partition.
pub(super) fn machine() -> Machine {
    let machine = Machine::new();
    machine.file("/proc/self/mountinfo", include_str!("../../tests/fixtures/mountinfo"));
    machine.file("/proc/swaps", include_str!("../../tests/fixtures/swaps"));
    machine.file("/proc/cpuinfo", "flags : fpu lm\n");
    disk(&machine, "259:0", "nvme0n1", None);
    disk(&machine, "259:1", "nvme0n1/nvme0n1p1", Some("1"));
    disk(&machine, "259:2", "nvme0n1/nvme0n1p2", Some("2"));
    mapped(&machine, "253:0", "dm-0", "cryptroot", include_str!("../../tests/fixtures/dm-uuid-luks2"), &["nvme0n1p2"]);
    mapped(&machine, "253:1", "dm-1", "vg-root", "LVM-u4tQ\n", &["dm-0"]);
    mapped(&machine, "253:2", "dm-2", "vg-swap", "LVM-x9bP\n", &["dm-0"]);
    disk(&machine, "8:0", "sda", None);
    disk(&machine, "8:16", "sdb", None);
    mapped(&machine, "253:4", "dm-4", "cryptdata", "CRYPT-LUKS1-aa-cryptdata\n", &["sda"]);
    mapped(&machine, "253:3", "dm-3", "vg-data", "LVM-half\n", &["dm-4", "sdb"]);
    mapped(&machine, "253:5", "dm-5", "verity", "CRYPT-VERITY-bb-usr\n", &["sdb"]);
    disk(&machine, "252:0", "zram0", None);
    machine
}

fn block(machine: &Machine, device: &str, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap();
    machine.link(&format!("/sys/dev/block/{device}"), format!("../../devices/block/{path}"));
    machine.link(&format!("/sys/class/block/{name}"), format!("../../devices/block/{path}"));
    format!("/sys/devices/block/{path}")
}

fn disk(machine: &Machine, device: &str, path: &str, partition: Option<&str>) {
    let folder = block(machine, device, path);
    machine.file(&format!("{folder}/dev"), device);
    if let Some(number) = partition {
        machine.file(&format!("{folder}/partition"), number);
    }
}

fn mapped(machine: &Machine, device: &str, name: &str, label: &str, uuid: &str, slaves: &[&str]) {
    let folder = block(machine, device, name);
    machine.file(&format!("{folder}/dm/uuid"), uuid);
    machine.file(&format!("{folder}/dm/name"), format!("{label}\n"));
    for slave in slaves {
        machine.link(&format!("{folder}/slaves/{slave}"), format!("../../{slave}"));
    }
}

fn of<'a>(facts: &'a Value, point: &str) -> &'a Value {
    facts["mounts"].as_array().unwrap().iter().find(|m| m["name"] == point).unwrap()
}

#[tokio::test]
async fn the_stack_beneath_decides() {
    let machine = machine();
    let facts = observe(Mounts { root: machine.root() }).await.unwrap();
    assert_eq!(facts["asked"], "all");

    let root = of(&facts, "/");
    assert_eq!(
        root["encryption"],
        json!({"outcome": "present", "why": null, "layer": "LUKS2", "device": "/dev/mapper/cryptroot"})
    );
    let layers: Vec<_> =
        root["stack"].as_array().unwrap().iter().map(|l| (l["name"].clone(), l["kind"].clone())).collect();
    let expected = [("dm-1", "LVM"), ("dm-0", "LUKS2"), ("nvme0n1p2", "partition"), ("nvme0n1", "disk")];
    assert_eq!(layers, expected.map(|(n, k)| (json!(n), json!(k))));
    assert_eq!(root["also_at"], json!(["/var/lib/bound"]));
    assert_eq!(root["options"], json!(["relatime", "rw"]));

    let boot = of(&facts, "/boot");
    assert_eq!(boot["encryption"]["outcome"], "absent");
    assert!(boot["encryption"]["why"].as_str().unwrap().contains("nvme0n1"));

    // One of two disks is bare: that the other is encrypted does not help.
    let data = of(&facts, "/var/lib/data");
    assert_eq!(data["encryption"]["outcome"], "absent");
    assert_eq!(data["encryption"]["layer"], "LUKS1");

    let run = of(&facts, "/run");
    assert_eq!((&run["in_memory"], &run["encryption"]["layer"]), (&json!(true), &json!(null)));
    for point in ["/var/lib/docker/overlay2/x/merged", "/srv/share", "/tank", "/usr/verity", "/media/my disk"] {
        assert_eq!(of(&facts, point)["encryption"]["outcome"], "not_proven", "{point}");
        assert!(of(&facts, point)["encryption"]["why"].is_string());
    }
    assert!(facts["left_out"].as_array().unwrap().contains(&json!({"name": "proc", "count": 1})));
}

#[tokio::test]
async fn swap_is_looked_at_too() {
    let machine = machine();
    let facts = observe(Mounts { root: machine.root() }).await.unwrap();
    let swap = &facts["swap"];
    assert_eq!((&swap["asked"], &swap["outcome"]), (&json!("all"), &json!("present")));
    let seen: Vec<_> = swap["areas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["kind"].clone(), a["encryption"]["outcome"].clone(), a["in_memory"].clone()))
        .collect();
    let expected = [("partition", "present", false), ("file", "present", false), ("zram", "present", true)];
    assert_eq!(seen, expected.map(|(k, o, m)| (json!(k), json!(o), json!(m))));
}

#[tokio::test]
async fn the_disk_of_a_virtual_machine_proves_nothing() {
    let machine = machine();
    machine.file("/proc/cpuinfo", "flags : fpu hypervisor lm\n");
    let facts = observe(Mounts { root: machine.root() }).await.unwrap();
    assert_eq!(of(&facts, "/boot")["encryption"]["outcome"], "not_proven");
    assert_eq!(of(&facts, "/")["encryption"]["outcome"], "present");
}

#[tokio::test]
async fn btrfs_is_as_bare_as_its_barest_device() {
    let machine = machine();
    machine.file("/proc/self/mountinfo", "30 1 0:30 / / rw - btrfs /dev/mapper/cryptdata rw,subvol=/\n");
    machine.link("/dev/mapper/cryptdata", "../dm-4");
    machine.file("/sys/fs/btrfs/features/skinny", "0");
    machine.file("/sys/fs/btrfs/1234/devices/dm-4", "");
    let facts = observe(Mounts { root: machine.root() }).await.unwrap();
    assert_eq!(of(&facts, "/")["encryption"]["outcome"], "present");
    machine.file("/sys/fs/btrfs/1234/devices/sdb", "");
    let facts = observe(Mounts { root: machine.root() }).await.unwrap();
    assert_eq!(of(&facts, "/")["encryption"]["outcome"], "absent");
}

#[tokio::test]
async fn what_is_hidden_has_a_name_of_its_own() {
    let machine = machine();
    let one = "30 1 0:30 / /mnt rw - tmpfs lower rw\n31 30 0:31 / /mnt rw - tmpfs upper rw\n";
    machine.file("/proc/self/mountinfo", one);
    let facts = observe(Mounts { root: machine.root() }).await.unwrap();
    assert_eq!(of(&facts, "/mnt")["source"], "upper");
    assert_eq!(of(&facts, "/mnt#2")["source"], "lower");
}

#[tokio::test]
async fn fscrypt_leaves_it_open() {
    let machine = machine();
    machine.file("/boot/.fscrypt/policies/x", "");
    let facts = observe(Mounts { root: machine.root() }).await.unwrap();
    assert_eq!(of(&facts, "/boot")["encryption"]["outcome"], "not_proven");
}

#[tokio::test]
async fn this_machine_has_a_root() {
    let facts = observe(Mounts::default()).await.unwrap();
    assert_eq!(facts["asked"], "all");
    assert!(of(&facts, "/")["encryption"]["outcome"].is_string());
}

/// A `dmsetup` that shows this table, and which arguments it got.
fn dmsetup(machine: &Machine, table: &str) {
    let script = format!("#!/bin/sh\n[ \"$*\" = 'table --target crypt' ] && printf '%s\\n' '{table}'\n");
    machine.file("/usr/sbin/dmsetup", script);
    machine.mode("/usr/sbin/dmsetup", 0o755);
}

#[tokio::test]
async fn the_cipher_in_use_is_what_the_kernel_says() {
    let machine = machine();
    dmsetup(&machine, "cryptroot: 0 9 crypt aes-xts-plain64 :64:logon:cryptsetup:5b0c-d0 0 259:2 32768");
    let facts = observe(Mounts { root: machine.root() }).await.unwrap();
    let cipher = &of(&facts, "/")["stack"][1]["cipher"];
    assert_eq!((&cipher["encryption"], &cipher["strength_bits"]), (&json!("aes-xts-plain64"), &json!(256)));
    assert_eq!(of(&facts, "/")["encryption"]["outcome"], "present");

    // A header of LUKS does not help where the kernel was told to let all pass.
    dmsetup(&machine, "cryptroot: 0 9 crypt cipher_null-ecb - 0 259:2 32768");
    let facts = observe(Mounts { root: machine.root() }).await.unwrap();
    let encryption = &of(&facts, "/")["encryption"];
    assert_eq!((&encryption["outcome"], &encryption["layer"]), (&json!("absent"), &json!(null)));
    assert!(
        encryption["why"]
            .as_str()
            .unwrap()
            .contains("/dev/mapper/cryptroot is mapped with a cipher that encrypts nothing")
    );
}

#[tokio::test]
async fn without_a_header_only_the_table_tells() {
    let machine = machine();
    machine.file("/proc/self/mountinfo", "30 1 253:6 / / rw - ext4 /dev/mapper/plain rw\n");
    mapped(&machine, "253:6", "dm-6", "plain", "CRYPT-PLAIN-plain\n", &["sda"]);
    let outcome = async || {
        let facts = observe(Mounts { root: machine.root() }).await.unwrap();
        of(&facts, "/")["encryption"]["outcome"].clone()
    };
    assert_eq!(outcome().await, "not_proven");
    dmsetup(
        &machine,
        "plain: 0 9 crypt aes-cbc-essiv:sha256 0000000000000000000000000000000000000000000000000000000000000000 0 8:0 0",
    );
    assert_eq!(outcome().await, "present");
    dmsetup(&machine, "plain: 0 9 crypt cipher_null-ecb - 0 8:0 0");
    assert_eq!(outcome().await, "absent");
}

#[test]
fn only_encryption_counts_as_encryption() {
    assert_eq!(stack::of_uuid("CRYPT-PLAIN-swap"), LayerKind::PlainDmCrypt);
    assert_eq!(stack::of_uuid("CRYPT-BITLK-aa-x"), LayerKind::OtherDmCrypt);
    for uuid in ["CRYPT-VERITY-aa", "CRYPT-INTEGRITY-aa", "CRYPT-SUBDEV-aa", "", "crypt-luks2-aa"] {
        assert_eq!(stack::of_uuid(uuid), LayerKind::DeviceMapper);
    }
    assert_eq!(stack::of_name("nvme0n1p1", true), LayerKind::Partition);
    assert_eq!(stack::of_name("weird0", false), LayerKind::Unknown);
}
