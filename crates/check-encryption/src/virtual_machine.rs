//! Signs of a virtual machine beneath the kernel.

use probe::Cx;

use crate::facts::{Outcome, Sign};
use crate::root::Root;

/// Firmware names of virtual machines (/sys/class/dmi/id/sys_vendor and product_name).
const VENDORS: [&str; 10] = [
    "QEMU",
    "KVM",
    "VMware",
    "VirtualBox",
    "innotek",
    "Xen",
    "Amazon EC2",
    "Google Compute Engine",
    "Virtual Machine",
    "Bochs",
];

/// Looks for signs of a virtual machine. Their absence proves nothing: a hypervisor can hide.
pub(crate) async fn sign(cx: &Cx, root: &Root) -> Sign {
    let mut names = Vec::new();
    for file in ["/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name"] {
        names.extend(root.line(cx, file).await);
    }
    let product = (!names.is_empty()).then(|| names.join(" "));
    let present = |detail: Option<String>, shown_by: &str| Sign {
        outcome: Outcome::Present,
        why: None,
        detail,
        shown_by: Some(shown_by.into()),
    };
    let cpu = root.text(cx, "/proc/cpuinfo", 16 << 20).await.unwrap_or_default();
    if has_hypervisor_flag(&cpu) {
        return present(product, "/proc/cpuinfo");
    }
    if let Some(kind) = root.line(cx, "/sys/hypervisor/type").await {
        return present(Some(kind), "/sys/hypervisor/type");
    }
    match product {
        // A machine of Amazon's may be a bare one, which has the same vendor and says `.metal`.
        Some(product) if VENDORS.iter().any(|v| product.contains(v)) && !product.contains(".metal") => {
            present(Some(product), "/sys/class/dmi/id")
        }
        product => Sign {
            outcome: Outcome::NotProven,
            why: Some("neither the processor, nor the firmware, nor the kernel shows one; it may be hidden".into()),
            detail: product,
            shown_by: None,
        },
    }
}

/// The flag that x86 processors set for a guest (CPUID leaf 1, ECX bit 31).
fn has_hypervisor_flag(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.and_then(|line| line.split_once(':')).is_some_and(|(_, f)| f.split_whitespace().any(|f| f == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_a_word_of_its_own() {
        assert!(has_hypervisor_flag("model : x\nflags\t\t: fpu vme hypervisor lm\n"));
        assert!(!has_hypervisor_flag("model name : hypervisor\nflags : fpu nohypervisor\n"));
        assert!(!has_hypervisor_flag(""));
    }
}
