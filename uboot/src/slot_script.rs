// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a slot run once it is chosen? Its `boot.scr`: load its own kernel, device tree and
//! initrd, each load checked, and start them.
//!
//! One boot image is installed into either slot, so the script does not know which one it is in:
//! the selector says so (`atomix_slot`), where it lies (`atomix_part`) and what the kernel must
//! be told (`atomix_args`). It never chooses, counts or saves; when it returns, the selector
//! records the failure and resets.

/// Seconds after which a panicked kernel reboots.
const PANIC_SECS: u32 = 5;

/// What a slot script must know of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotScriptFacts {
    /// U-Boot's interface of the disk that holds the slots, such as `mmc`.
    pub interface: String,
    /// Number of the disk on that interface.
    pub device: u32,
    /// The kernel image.
    pub kernel: LoadFacts,
    /// The initrd; loaded last, because its size is taken from the last load.
    pub initrd: LoadFacts,
    /// The device tree.
    pub device_tree: DeviceTreeFacts,
    /// Kernel arguments of every boot, such as the console.
    pub common_args: String,
    /// Kernel arguments that name the root file system of slots A and B.
    pub root_args: [String; 2],
}

/// A file in the boot partition and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFacts {
    /// Path in the boot partition.
    pub path: String,
    /// Load address.
    pub address: u64,
}

/// Where the kernel's device tree comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceTreeFacts {
    /// The slot brings it.
    File(LoadFacts),
    /// The firmware hands its own on, as under QEMU.
    Firmware,
}

/// The text of a `boot.scr`, to be wrapped by [`encode_script`](crate::encode_script).
///
/// `gpt` lets the kernel use the backup table when the primary is damaged; `panic=` turns a dead
/// kernel into the next attempt.
#[must_use]
pub fn slot_script(facts: &SlotScriptFacts) -> String {
    let SlotScriptFacts { interface, device, kernel, initrd, common_args, root_args, .. } = facts;
    let [root_a, root_b] = root_args;
    let load = |file: &LoadFacts| {
        let LoadFacts { path, address } = file;
        format!("load {interface} {device}:${{atomix_part}} {address:#x} {path}")
    };
    let (load_tree, tree) = match &facts.device_tree {
        DeviceTreeFacts::File(file) => (load(file), format!("{:#x}", file.address)),
        DeviceTreeFacts::Firmware => ("true".to_owned(), "${fdtcontroladdr}".to_owned()),
    };
    format!(
        "if test \"x${{atomix_slot}}\" = xA; then setenv atomix_root \"{root_a}\"; \
         else setenv atomix_root \"{root_b}\"; fi\n\
         setenv bootargs \"{common_args} gpt panic={PANIC_SECS} ${{atomix_root}} ${{atomix_args}}\"\n\
         setenv atomix_root\n\
         if {load_kernel}; then\n\
         if {load_tree}; then\n\
         if {load_initrd}; then\n\
         booti {kernel_address:#x} {initrd_address:#x}:${{filesize}} {tree}\n\
         fi\nfi\nfi\n\
         echo atomix: cannot load or start the kernel of slot ${{atomix_slot}}\n\
         false\n",
        load_kernel = load(kernel),
        load_initrd = load(initrd),
        kernel_address = kernel.address,
        initrd_address = initrd.address,
    )
}
