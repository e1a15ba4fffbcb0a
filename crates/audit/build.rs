//! The shipped policies are part of this crate: a file that is added to them is a change of it.
#![allow(clippy::print_stdout, reason = "how a build script talks to Cargo")]

fn main() {
    println!("cargo:rerun-if-changed=../../policies");
}
