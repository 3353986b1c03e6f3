//! What concerns the operating-system process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use rustler::types::atom::{self, Atom};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;

/// Whether the signals end the process at once; registered when first asked for, since nothing needs
/// them elsewhere.
static ENDS: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The exit code of shells. Where this fails the VM ends as it does without it.
        let _ = register_conditional_shutdown(signal, 128 + signal, Arc::clone(&ends));
    }
    ends
});

/// The id of the user that this process acts as.
#[rustler::nif]
fn process_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether Ctrl-C and SIGTERM end the process at once, with 130 and 143: the VM's own ways of stopping end
/// with 0, as if the work were done.
#[rustler::nif]
fn process_end_by_signals(ends: bool) -> Atom {
    ENDS.store(ends, Ordering::Relaxed);
    atom::ok()
}
