//! The machine itself: its system, this program's rights on it, and its clock.

mod clock;
mod status;

use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use crate::facts::{HostFacts, OperatingSystem, Outcome, Privileges, Sign};
use crate::root::{Root, is_missing, why};
use crate::{proc, virtual_machine};

/// Looks at the machine that this program runs on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    root: Root,
}

/// Files that a container's engine leaves, and what they say.
const MARKS: [(&str, &str); 3] =
    [("/.dockerenv", "docker"), ("/run/.containerenv", "podman"), ("/run/secrets/kubernetes.io", "kubernetes")];

impl Probe for Host {
    fn kind(&self) -> Kind {
        Kind::new("host", Level::Effective)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(HostFacts)
    }

    fn plan(&self, _target: &Target) -> Plan {
        let files = [
            "/etc/os-release",
            "/proc/sys/kernel/hostname",
            "/proc/sys/kernel/osrelease",
            "/proc/sys/crypto/fips_enabled",
            "/proc/stat",
            "/proc/self/status",
            "/proc/self/uid_map",
            "/proc/1/environ",
            "/proc/cpuinfo",
            "/run/systemd/",
            "/sys/class/dmi/id/",
        ];
        Plan {
            files: files.map(str::to_owned).into(),
            commands: clock::COMMANDS.map(str::to_owned).into(),
            connections: 0,
        }
    }

    fn observe<'a>(&'a self, _target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&self.look(cx).await?) })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

impl Host {
    async fn look(&self, cx: &Cx) -> Result<HostFacts, Failure> {
        let (cx, root) = (cx, &self.root);
        let stat = root.text(cx, "/proc/stat", 8 << 20).await;
        if stat.as_ref().is_err_and(is_missing) {
            return Err(Failure::new(FailureClass::Missing, "host: /proc is not there; is it mounted?"));
        }
        Ok(HostFacts {
            hostname: root.line(cx, "/proc/sys/kernel/hostname").await,
            os: self.os(cx).await,
            kernel: root.line(cx, "/proc/sys/kernel/osrelease").await,
            architecture: rustix::system::uname().machine().to_string_lossy().into_owned(),
            booted: stat.ok().and_then(|text| proc::boot_time(&text)).map(|time| time.to_string()),
            fips_mode: match root.line(cx, "/proc/sys/crypto/fips_enabled").await.as_deref() {
                Some("1") => Some(true),
                Some("0") => Some(false),
                _ => None,
            },
            privileges: self.privileges(cx).await,
            container: self.container(cx).await,
            virtual_machine: virtual_machine::sign(cx, root).await,
            clock: clock::look(cx, root).await,
        })
    }

    async fn os(&self, cx: &Cx) -> OperatingSystem {
        let mut text = Err("neither /etc/os-release nor /usr/lib/os-release is there".to_owned());
        let mut outcome = Outcome::Absent;
        for path in ["/etc/os-release", "/usr/lib/os-release"] {
            match self.root.text(cx, path, 1 << 16).await {
                Ok(found) => {
                    text = Ok(found);
                    break;
                }
                Err(e) if is_missing(&e) => {}
                Err(e) => {
                    text = Err(why(&e));
                    outcome = Outcome::NotProven;
                }
            }
        }
        match text {
            Ok(text) => OperatingSystem {
                outcome: Outcome::Present,
                why: None,
                id: status::os_release(&text, "ID"),
                version: status::os_release(&text, "VERSION_ID"),
                name: status::os_release(&text, "PRETTY_NAME"),
            },
            Err(why) => OperatingSystem { outcome, why: Some(why), id: None, version: None, name: None },
        }
    }

    async fn privileges(&self, cx: &Cx) -> Privileges {
        let read = match self.root.text(cx, "/proc/self/status", 1 << 16).await {
            Ok(text) => status::rights(&text).ok_or_else(|| "/proc/self/status is in another form".to_owned()),
            Err(e) => Err(why(&e)),
        };
        let user_namespace = self.root.line(cx, "/proc/self/uid_map").await.map(|map| !status::is_identity(&map));
        match read {
            Ok((uid, capabilities)) => {
                let reads =
                    ["CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"].iter().any(|c| capabilities.iter().any(|h| h == c));
                Privileges {
                    outcome: Outcome::Present,
                    why: None,
                    effective_uid: Some(uid),
                    privileged: Some(uid == 0 && reads),
                    capabilities,
                    user_namespace,
                }
            }
            Err(why) => Privileges {
                outcome: Outcome::NotProven,
                why: Some(why),
                effective_uid: None,
                privileged: None,
                capabilities: vec![],
                user_namespace,
            },
        }
    }

    async fn container(&self, cx: &Cx) -> Sign {
        let present = |detail: String, shown_by: &str| Sign {
            outcome: Outcome::Present,
            why: None,
            detail: Some(detail),
            shown_by: Some(shown_by.into()),
        };
        // <https://systemd.io/CONTAINER_INTERFACE>: systemd copies the variable that the engine gave it.
        if let Some(name) = self.root.line(cx, "/run/systemd/container").await {
            return present(name, "/run/systemd/container");
        }
        for (path, name) in MARKS {
            if cx.metadata(self.root.path(path)).await.is_ok() {
                return present(name.into(), path);
            }
        }
        // Other variables may be secrets.
        let environ = cx.read_secret_file(self.root.path("/proc/1/environ"), 1 << 20).await;
        match environ.map(|bytes| status::container(&bytes)) {
            Ok(Some(name)) => present(name, "/proc/1/environ"),
            read => Sign {
                outcome: Outcome::NotProven,
                why: Some(match read {
                    Ok(_) => "no engine left a mark; some leave none".into(),
                    Err(e) => format!("no engine left a mark, and the first process can't be asked: {}", why(&e)),
                }),
                detail: None,
                shown_by: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

    use serde_json::json;

    use super::*;
    use crate::testing::{Machine, observe};

    fn machine() -> Machine {
        let machine = Machine::new();
        machine.file("/proc/stat", "cpu 1 2\nbtime 1700000000\n");
        machine.file("/proc/sys/kernel/hostname", "edge1\n");
        machine.file("/proc/sys/kernel/osrelease", "6.1.0-28-amd64\n");
        machine.file("/proc/self/status", "Name:\tx\nUid:\t1000\t0\t0\t0\nCapEff:\t0000000000000004\n");
        machine.file("/proc/self/uid_map", "         0     100000      65536\n");
        machine.file(
            "/usr/lib/os-release",
            "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        );
        machine.file("/proc/1/environ", "TOKEN=s3cret\0container=lxc\0");
        machine
    }

    #[tokio::test]
    async fn the_machine_is_described() {
        let machine = machine();
        let facts = observe(Host { root: machine.root() }).await.unwrap();
        assert_eq!(facts["hostname"], "edge1");
        assert_eq!(facts["booted"], "2023-11-14T22:13:20Z");
        assert_eq!(facts["os"]["version"], "12");
        assert_eq!(facts["fips_mode"], json!(null));
        assert_eq!(facts["privileges"]["capabilities"], json!(["CAP_DAC_READ_SEARCH"]));
        assert_eq!(facts["privileges"]["privileged"], true);
        assert_eq!(facts["privileges"]["user_namespace"], true);
        assert_eq!(facts["container"]["detail"], "lxc");
        assert_eq!(facts["virtual_machine"]["outcome"], "not_proven");
        assert_eq!(facts["clock"]["outcome"], "not_proven");
        assert!(!facts.to_string().contains("s3cret"));
    }

    #[tokio::test]
    async fn chrony_is_asked_first() {
        let machine = machine();
        machine.link("/usr/bin/chronyc", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/said"));
        machine.file("/usr/bin/chronyc.said", include_str!("../tests/fixtures/chronyc-tracking"));
        machine.file("/run/systemd/timesync/synchronized", "");
        let facts = observe(Host { root: machine.root() }).await.unwrap();
        let clock =
            json!({"outcome": "present", "why": null, "synchronised": true, "error_millis": 9, "source": "chrony"});
        assert_eq!(facts["clock"], clock);
    }

    #[tokio::test]
    async fn the_mark_of_timesyncd_counts_where_nothing_else_speaks() {
        let machine = machine();
        machine.file("/run/systemd/timesync/synchronized", "");
        let facts = observe(Host { root: machine.root() }).await.unwrap();
        assert_eq!(facts["clock"]["source"], "timesyncd");
        assert_eq!(facts["clock"]["synchronised"], true);
    }

    #[tokio::test]
    async fn this_machine_is_described() {
        let facts = observe(Host::default()).await.unwrap();
        assert_eq!(facts["privileges"]["effective_uid"], rustix::process::geteuid().as_raw());
        assert_eq!(facts["os"]["outcome"], "present");
        assert!(facts["booted"].is_string());
    }
}
